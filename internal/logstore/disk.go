package logstore

// DiskSize returns the bytes of all parts.
func (s *Store) DiskSize() int64 { return s.set.Size() }
