package metricstore

import (
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// rewriteNext returns the parts of a day that are to be merged now, whatever their size.
func (s *Store) rewriteNext(name model.Tenant, day part.Day, ps []*openPart) []*openPart {
	if in := s.toThin(name, day, ps); in != nil {
		return in
	}
	return s.toClean(ps)
}
