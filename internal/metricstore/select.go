package metricstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// selection is what one query sees: buffers of the head and parts of one moment. Its
// files are released when the context of the query is done.
type selection struct {
	ctx    context.Context //nolint:containedctx // the contract ties a Series to the context of its Select
	s      *Store
	t      *tenant
	acct   *store.Account
	r      model.TimeRange // Unix milliseconds
	dedup  int64           // interval, 0 for none
	shape  shape           // of samples made of rows
	latest bool            // only the newest sample of each series is wanted
	head   []headSeries    // in order of labels, with data in the range
	parts  []*selectedPart
	view   *part.View[*partData]
}

// headSeries is a series with its buffers at the moment of the query.
type headSeries struct {
	*series
	frozen, cur *buffer

	// plain: cur is all there is, and these are all samples in it, in order. It is so for
	// nearly every series, and reads of these need no lock.
	plain  bool
	sealed sealed
	open   []store.Sample
}

// headSeriesBytes is what a selection holds per series of the head, with what it yields.
const headSeriesBytes = 270

// selectedPart is a part with the series that match.
type selectedPart struct {
	p    *openPart
	t    *tables
	refs []uint32
	del  holes
	pos  int
	ls   model.Labels // of refs[pos]; valid until it advances
}

// tooBroad returns an error if sel might select every series without saying so.
func tooBroad(sel *store.MetricSelector, q *index.Query) error {
	if sel.All || !q.MatchesEmpty() {
		return nil
	}
	return fmt.Errorf("%w: at least one matcher must not match the empty string", store.ErrTooBroad)
}

// toNanos converts a range of milliseconds, clamping what does not fit.
func toNanos(r model.TimeRange) model.TimeRange {
	ns := func(ms int64) int64 {
		switch {
		case ms > math.MaxInt64/nsPerMs:
			return math.MaxInt64
		case ms < math.MinInt64/nsPerMs:
			return math.MinInt64
		}
		return ms * nsPerMs
	}
	return model.TimeRange{From: ns(r.From), To: ns(r.To)}
}

// open begins a query. Which series have data in the range is decided by has, for the
// head, and hasChunk, for parts.
func (s *Store) open(ctx context.Context, name model.Tenant, sel *store.MetricSelector, q *index.Query, exemplars bool) (*selection, error) {
	x, err := s.begin(ctx, sel)
	if err != nil || sel.Range.Empty() {
		return x, err
	}
	// The head first: a flush that ends in between shows its samples twice, never not at
	// all.
	if x.t = s.known(name); x.t != nil {
		x.openHead(q, exemplars)
	}
	return x, x.openParts(name, sel, q)
}

// begin makes a selection of nothing yet.
func (s *Store) begin(ctx context.Context, sel *store.MetricSelector) (*selection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.warnLost(sel.Account)
	return &selection{ctx: ctx, s: s, acct: sel.Account, r: sel.Range, shape: shapeOf(sel.Func), latest: sel.Latest}, nil
}

// openParts selects the series of the parts.
func (x *selection) openParts(name model.Tenant, sel *store.MetricSelector, q *index.Query) error {
	s := x.s
	x.dedup = s.dedupOf(name)
	x.view = s.set.View(name, toNanos(sel.Range))
	for _, w := range x.view.Warnings() {
		sel.Account.Warn("%s", w)
	}
	parts := x.view.Parts
	held := int64(len(x.head)) * headSeriesBytes
	if err := sel.Account.Hold(held); err != nil {
		x.view.Close()
		return err
	}
	context.AfterFunc(x.ctx, func() { // from here on the view belongs to the context
		x.view.Close()
		sel.Account.Drop(held)
	})
	deleted := s.deleted.Load()
	for _, p := range parts {
		t, err := s.load(p)
		if err != nil {
			if err := x.damage(p, p.Data.table.Off, err); err != nil {
				return err
			}
			continue
		}
		sp := &selectedPart{p: p, t: t, refs: t.series.Select(q), pos: -1, del: deleted.holesOf(p, t)}
		if len(sp.refs) == 0 {
			sel.Account.Skipped(int64(len(t.blocks)))
			continue
		}
		if res := p.Data.resolution; res > 0 {
			sel.Account.Warn("old samples are downsampled: they stand for %s each", time.Duration(res)*time.Millisecond)
		}
		x.parts = append(x.parts, sp)
	}
	return nil
}

// headValues returns the values of a label among the series of the head that have samples
// in the range, without looking at more series than it takes.
func (t *tenant) headValues(label string, r model.TimeRange) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.index.ValuesWhere(label, func(ref uint32) bool {
		if int(ref) >= len(t.series) {
			return false
		}
		s := t.series[ref]
		return s.frozen.overlaps(r, false) || s.cur.overlaps(r, false)
	})
}

func (x *selection) openHead(q *index.Query, exemplars bool) {
	t := x.t
	t.mu.RLock()
	all, idx := t.series, t.index
	t.mu.RUnlock()
	refs := idx.Select(q)
	x.head = make([]headSeries, 0, min(len(refs), 1<<15))
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, ref := range refs {
		if int(ref) >= len(all) {
			all = t.series // grew in the meantime
			if t.index != idx || int(ref) >= len(all) {
				continue // made after the query began
			}
		}
		h := headSeries{series: all[ref], frozen: all[ref].frozen, cur: all[ref].cur}
		if !h.frozen.overlaps(x.r, exemplars) {
			h.frozen = nil
		}
		if !h.cur.overlaps(x.r, exemplars) {
			h.cur = nil
		}
		if h.frozen == nil && h.cur == nil {
			continue
		}
		if h.frozen == nil && h.cur.plain() {
			v := h.cur.view()
			h.plain, h.sealed, h.open = true, v.sealed, v.open
		}
		x.head = append(x.head, h)
	}
}

// damage reports err, if it is damage, to the part and to the query, and returns it
// otherwise.
func (x *selection) damage(p *openPart, block uint64, err error) error {
	if e := x.ctx.Err(); e != nil {
		return e // the files may be closed already
	}
	if !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	p.Data.damaged(p, block, err)
	x.acct.Warn("part %s has damaged blocks: some rows of %s are missing", p.Name(), p.Info.Day)
	return nil
}

// has reports whether p holds data of chunk c in the range.
func (p *selectedPart) has(c *chunkMeta, r model.TimeRange) bool {
	return r.Overlaps(c.minT, c.maxT) && (p.del == nil || !covers(p.del[c.series], r, c.minT, c.maxT))
}

// advance moves p to its next series with a chunk in the range.
func (p *selectedPart) advance(r model.TimeRange) bool {
	for p.pos++; p.pos < len(p.refs); p.pos++ {
		for _, c := range p.t.of(p.refs[p.pos]) {
			if p.has(&c, r) {
				p.ls = p.t.series.AppendLabels(p.ls[:0], p.refs[p.pos])
				return true
			}
		}
	}
	return false
}

// selectedSlab is the number of series that are allocated at one time.
const selectedSlab = 32

// series yields the selected series in the order of their labels.
func (x *selection) series(yield func(*selected) bool) {
	parts := make([]int, 0, len(x.parts)) // those with series left
	for i, p := range x.parts {
		if p.advance(x.r) {
			parts = append(parts, i)
		}
	}
	head := x.head
	var slab []selected
	var refs []partRef
	var labels model.Labels
	for len(head) > 0 || len(parts) > 0 {
		if len(slab) == 0 {
			slab = make([]selected, selectedSlab)
			refs = make([]partRef, 0, selectedSlab*len(parts))
		}
		out := &slab[0]
		slab, out.x = slab[1:], x
		var lowest model.Labels
		if len(head) > 0 {
			lowest = head[0].labels
		}
		ties := 0
		for _, i := range parts {
			c := -1
			if lowest != nil {
				c = x.parts[i].ls.Compare(lowest)
			}
			if c < 0 {
				lowest, ties = x.parts[i].ls, 0
			}
			if c <= 0 {
				ties++
			}
		}
		if len(head) > 0 && (ties == 0 || head[0].labels.Equal(lowest)) {
			out.labels, out.head = head[0].labels, &head[0]
			head = head[1:]
		} else {
			if cap(labels)-len(labels) < len(lowest) {
				labels = make(model.Labels, 0, max(selectedSlab, len(lowest)))
			}
			n := len(labels)
			labels = append(labels, lowest...)
			out.labels = labels[n:len(labels):len(labels)]
		}
		if ties > 0 {
			from, n := len(refs), 0
			for _, i := range parts {
				p := x.parts[i]
				if p.ls.Equal(out.labels) {
					refs = append(refs, partRef{i, p.refs[p.pos]})
					if !p.advance(x.r) {
						continue
					}
				}
				parts[n] = i
				n++
			}
			parts = parts[:n]
			out.parts = refs[from:len(refs):len(refs)]
		}
		if !yield(out) {
			return
		}
	}
}

// Select implements [store.MetricReader].
func (s *Store) Select(ctx context.Context, name model.Tenant, sel store.MetricSelector) iter.Seq2[store.Series, error] {
	return func(yield func(store.Series, error) bool) {
		q := index.NewQuery(sel.Matchers)
		if err := tooBroad(&sel, q); err != nil {
			yield(nil, err)
			return
		}
		found := false
		err := s.each(ctx, name, &sel, q, func(out *selected) bool {
			if !found {
				found = true
				s.queried.note(name, sel.Matchers, s.opts.Now().Unix())
			}
			return yield(out, nil)
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// each calls f with the selected series until it returns false.
func (s *Store) each(ctx context.Context, name model.Tenant, sel *store.MetricSelector, q *index.Query, f func(*selected) bool) error {
	x, err := s.open(ctx, name, sel, q, false)
	if err != nil {
		return err
	}
	n := 0
	for out := range x.series {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n++; sel.Limit > 0 && n > sel.Limit {
			sel.Account.Warn("more than %d series match; the answer holds only the first ones", sel.Limit)
			return nil
		}
		if !f(out) {
			return nil
		}
	}
	return nil
}

// Caps implements [store.MetricReader].
func (s *Store) Caps() store.MetricCaps { return store.MetricCaps{} }

// block returns block i of a part of the selection, from the cache if it is there.
func (x *selection) block(p int, i uint32) ([]byte, error) {
	sp := x.parts[p]
	key := blockKey{sp.p.Info.ID, i}
	if b, ok := x.s.blocks.get(key); ok {
		return b, nil
	}
	b, err := x.s.readBlock(sp.p, sp.t, i)
	if err != nil {
		return nil, err
	}
	x.s.blocks.put(key, b)
	return b, nil
}
