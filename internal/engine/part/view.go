package part

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
)

// View is the parts of one tenant at one moment. Close it.
type View[T any] struct {
	// Parts overlap the range, in order of day, then id (oldest data first).
	Parts   []*Part[T]
	missing []Info
}

// View returns the parts of tenant that hold rows in r (Unix nanoseconds).
func (s *Set[T]) View(tenant model.Tenant, r model.TimeRange) *View[T] {
	v := &View[T]{}
	if r.Empty() {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, ps := range s.parts {
		if key.tenant != tenant {
			continue
		}
		for _, p := range ps {
			if r.Overlaps(p.stats.MinTime, p.stats.MaxTime) {
				p.refs.Add(1)
				v.Parts = append(v.Parts, p)
			}
		}
	}
	for _, info := range s.bad {
		if info.Tenant == tenant && r.Overlaps(info.Stats.MinTime, info.Stats.MaxTime) {
			v.missing = append(v.missing, info)
		}
	}
	slices.SortFunc(v.Parts, func(a, b *Part[T]) int {
		return cmp.Or(cmp.Compare(a.Info.Day, b.Info.Day), cmp.Compare(a.Info.ID, b.Info.ID))
	})
	return v
}

// Warnings tells what cannot be read of the range: quarantined parts and damaged blocks
// met so far.
func (v *View[T]) Warnings() []string {
	var ws []string
	for _, info := range v.missing {
		ws = append(ws, fmt.Sprintf("part %s is damaged and quarantined: up to %d rows of %s are missing", info.path(), info.Stats.Rows, info.Day))
	}
	for _, p := range v.Parts {
		if n := p.damaged.Load(); n > 0 {
			ws = append(ws, fmt.Sprintf("part %s has damaged blocks: some rows of %s are missing", p.name, p.Info.Day))
		}
	}
	return ws
}

// Close gives the parts back. It may be called more than once.
func (v *View[T]) Close() {
	for _, p := range v.Parts {
		p.release()
	}
	v.Parts = nil
}
