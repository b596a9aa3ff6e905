package metricstore

import "github.com/pharos-o11y/pharos/internal/model"

// DiskSize returns the bytes of all parts.
func (s *Store) DiskSize() int64 { return s.set.Size() }

// Snapshot makes dir a store of its own that holds the parts of this moment. Flush first
// to have the head in it as well.
func (s *Store) Snapshot(dir string) error {
	deleted := s.deleted.Load() // before the parts: a merge may make a note superfluous
	if err := s.set.Snapshot(dir); err != nil {
		return err
	}
	return deleted.save(dir)
}

// Tenants returns the tenants that have data, sorted.
func (s *Store) Tenants() []model.Tenant {
	var out []model.Tenant
	for _, t := range s.all() {
		out = append(out, t.name)
	}
	return out
}
