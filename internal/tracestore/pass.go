package tracestore

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/store"
)

// A scan for the newest traces ([store.SpanSelector.Newer]) goes from the newest sources to
// the oldest, in passes. A pass yields the traces that qualify because of a span in one of
// its sources, with their spans from all sources, and leaves out those that an earlier pass
// has yielded for the same reason. A trace does not start after any of its spans. So once a
// pass is done, all traces are known that start after the last span of the sources that are
// left; and when the reader has no use for traces as old as that, the others are not read.

// origin is a run of a part, or a group in memory.
type origin struct {
	part        *openPart // nil for a group in memory
	metas       []groupMeta
	base        int // number of the first of metas in the part
	mem         *group
	first, last int64 // first start and last end of a span
	begin       int64 // first start, but for stragglers
}

// origins returns all of a snapshot, oldest first.
func (s *snapshot) origins() []origin {
	out := make([]origin, 0, len(s.view.Parts)+len(s.mem))
	for _, p := range s.view.Parts {
		for _, r := range p.Data.runs {
			out = append(out, origin{part: p, metas: p.Data.groups[r.from:r.to], base: r.from, first: r.first, last: r.last, begin: r.lo})
		}
	}
	for _, g := range s.mem {
		meta := groupMeta{rows: g.len(), first: g.first(), last: g.last(), minStart: g.times.lo, maxEnd: g.times.hi}
		out = append(out, origin{metas: []groupMeta{meta}, mem: g, first: g.times.lo, last: g.times.hi, begin: g.times.lo})
	}
	return out
}

// passes says which sources each pass of a scan looks at.
type passes struct {
	origins []origin
	of      []int   // pass of each; -1 for those that are far from the range
	left    []int64 // by pass: the last end of a span in the sources of later passes
}

// firstPass is the least number of groups of the first pass that makes it worth to stop
// there; each later pass is twice as big as the one before.
const firstPass = 8

// passes plans a scan.
func (s *snapshot) passes(sel store.SpanSelector) passes {
	origins := s.origins()
	ps := passes{origins: origins, of: make([]int, len(origins))}
	var order []int // of sources near the range, newest first
	nearby := nearby(sel.Range)
	for i, o := range origins {
		ps.of[i] = -1
		if !sel.Range.Empty() && nearby.Overlaps(o.first, o.last) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(origins[b].last, origins[a].last) })
	enough, groups := firstPass, 0
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for n, i := range order {
		o := &origins[i]
		ps.of[i] = len(ps.left)
		groups, first, last = groups+len(o.metas), min(first, o.begin), max(last, o.last)
		if sel.Newer == nil || sel.TraceIDs != nil || n+1 == len(order) || groups < enough {
			continue
		}
		if next := origins[order[n+1]].last; next-first <= (last-first)/2 { // else little would be settled
			ps.left = append(ps.left, next)
			enough, groups, first, last = 2*enough, 0, math.MaxInt64, math.MinInt64
		}
	}
	ps.left = append(ps.left, math.MinInt64)
	return ps
}

// scanPasses hands the traces of all passes to emit, until that returns false.
func (s *Store) scanPasses(ctx context.Context, snap *snapshot, sel store.SpanSelector, emit func(*store.SpanRows) bool) error {
	ps := snap.passes(sel)
	stopped := false
	for pass := range ps.left {
		if pass > 0 {
			if left := ps.left[pass-1]; sel.Newer != nil && left < sel.Newer.Load() {
				ps.skip(sel, pass)
				return nil
			} else if sel.Settled != nil {
				sel.Settled.Store(left)
				if !emit(&store.SpanRows{}) {
					return nil
				}
			}
		}
		err := s.scanShards(ctx, sel, ps, ps.shards(sel, pass), func(rows *store.SpanRows) bool {
			stopped = !emit(rows)
			return !stopped
		})
		if err != nil || stopped {
			return err
		}
	}
	return nil
}

// skip counts the groups of a pass and later ones as not read.
func (ps *passes) skip(sel store.SpanSelector, pass int) {
	for i, o := range ps.origins {
		if ps.of[i] >= pass {
			sel.Account.Skipped(int64(len(o.metas)))
		}
	}
}
