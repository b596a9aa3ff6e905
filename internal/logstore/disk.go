package logstore

import "github.com/pharos-o11y/pharos/internal/model"

// DiskSize returns the bytes of all parts.
func (s *Store) DiskSize() int64 { return s.set.Size() }

// Snapshot makes dir a store of its own that holds the parts of this moment. Flush first
// to have the head in it as well.
func (s *Store) Snapshot(dir string) error { return s.set.Snapshot(dir) }

// Tenants returns the tenants that have data in parts, sorted.
func (s *Store) Tenants() []model.Tenant { return s.set.Tenants() }
