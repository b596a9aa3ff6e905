package tracestore

// DiskSize returns the bytes of all parts.
func (s *Store) DiskSize() int64 { return s.parts.Size() }
