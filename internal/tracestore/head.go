package tracestore

import (
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// head is the spans in memory: for each tenant and day groups in the order in which they
// were written. Small groups are merged as they gather, so that there are never many.
// The store's lock guards it; groups themselves never change.
type head struct {
	groups map[headKey][]*group
	spans  map[model.Tenant]map[model.TraceID]int32
	bytes  int64
	rows   int64
	since  time.Time // when it was made
	pool   *builders
}

type headKey struct {
	tenant model.Tenant
	day    part.Day
}

func newHead(now time.Time, pool *builders) *head {
	return &head{groups: map[headKey][]*group{}, spans: map[model.Tenant]map[model.TraceID]int32{}, since: now, pool: pool}
}

func (h *head) empty() bool { return len(h.groups) == 0 }

// When mergeFan groups of less than small, or of less than big spans have gathered at the
// end, they are merged.
const (
	mergeFan = 12
	small    = 256
	big      = 2048
)

// add takes the spans of g, which are of one day.
func (h *head) add(tenant model.Tenant, g *group) error {
	key := headKey{tenant, part.DayOf(intAt(g.ints[iStart], 0))}
	gs := append(h.groups[key], g)
	h.bytes += g.size()
	h.rows += int64(g.len())
	counts := h.spans[tenant]
	if counts == nil {
		counts = map[model.TraceID]int32{}
		h.spans[tenant] = counts
	}
	for t, id := range g.traces {
		from, to := g.run(t)
		counts[id] += int32(to - from)
	}
	for _, limit := range []int{small, big} {
		n := 0
		for n < len(gs) && slices.Max(gs[len(gs)-1-n].rows[:]) < limit {
			n++
		}
		if n < mergeFan {
			continue
		}
		tail := gs[len(gs)-n:]
		merged, err := mergeGroups(tail, h.pool)
		if err != nil {
			return err
		}
		for _, g := range tail {
			h.bytes -= g.size()
		}
		h.bytes += merged.size()
		gs = append(slices.Clip(gs[:len(gs)-n]), merged) // readers may hold the old slice
	}
	h.groups[key] = gs
	return nil
}

// join adds all of other, which is newer.
func (h *head) join(other *head) {
	for key, gs := range other.groups {
		h.groups[key] = append(h.groups[key], gs...)
	}
	for tenant, counts := range other.spans {
		if h.spans[tenant] == nil {
			h.spans[tenant] = counts
			continue
		}
		for id, n := range counts {
			h.spans[tenant][id] += n
		}
	}
	h.bytes += other.bytes
	h.rows += other.rows
}

// of returns the groups of a tenant, oldest first within a day.
func (h *head) of(tenant model.Tenant) []*group {
	var out []*group
	for key, gs := range h.groups {
		if key.tenant == tenant {
			out = append(out, gs...)
		}
	}
	return out
}
