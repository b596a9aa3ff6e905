package logstore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// query is one Select.
type query struct {
	s        *Store
	alive    func() error // why the query has to end, nil if it has not
	sel      store.LogSelector
	backward bool
	wants    wants
	fetch    *fetcher
	out      *emitter
	matched  int
}

// Select implements [store.LogReader].
func (s *Store) Select(ctx context.Context, tenant model.Tenant, sel store.LogSelector) iter.Seq2[*store.LogRows, error] {
	return func(yield func(*store.LogRows, error) bool) {
		if err := s.selectVisible(ctx, tenant, sel, func(r *store.LogRows) bool { return yield(r, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// clip bounds r to the times that entries can have, so that arithmetic cannot overflow.
func clip(r model.TimeRange) model.TimeRange {
	return model.TimeRange{From: max(r.From, minTime), To: min(r.To, maxTime)}
}

// selectRows calls yield with each batch until it returns false, which is no error.
func (s *Store) selectRows(ctx context.Context, tenant model.Tenant, sel store.LogSelector, yield func(*store.LogRows) bool) error {
	sel.Range = clip(sel.Range)
	q := &query{s: s, alive: ctx.Err, sel: sel, backward: sel.Direction == store.Backward}
	q.wants = wants{fields: sel.Fields, noLine: sel.NoLine, sizes: sel.Sizes, noMeta: sel.NoMeta}
	if sel.Limit == 0 && !q.backward {
		q.wants.pieces = sel.Pieces
	}
	var err error
	if q.wants.lines, err = compileLines(sel.Lines); err != nil {
		return err
	}
	for _, f := range sel.Fields {
		if f.Matcher == nil && f.Test == nil {
			return fmt.Errorf("select logs: %w: a field predicate without a condition", store.ErrUnsupported)
		}
	}
	q.wants.judge = &judge{filters: q.wants.lines, parser: sel.Parser, tests: sel.Tests, number: sel.Number, byKey: map[string]*judgement{}}
	if sel.Parser != nil {
		q.wants.judge.codes = &intCodes{}
	}
	q.wants.values = fieldValues(sel.Fields)
	q.wants.metas = &metaTable{byKey: map[string]*model.LineMeta{}}
	if sel.MetaNames != nil {
		q.wants.names = map[string]bool{}
		for _, n := range sel.MetaNames {
			q.wants.names[n] = true
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	snap := s.look(tenant, sel.Matchers, sel.Range, sel.Account)
	defer snap.view.Close()
	if snap.heads, err = q.searchHeads(snap.heads); err != nil {
		return err
	}
	p := newPlan(snap, sel.Matchers, sel.Range, func(x *partIndex) *pruner { return newPruner(&q.wants, x) }, sel.Account)
	q.out = newEmitter(q, yield)
	first, most := firstSlice, maxSlice
	if !q.wants.needText() && !slices.ContainsFunc(p.blocks, func(b *fetched) bool { return b.pruner.meta }) {
		most = maxSliceNoRow
	}
	if q.wants.pieces != nil { // it reads everything and keeps little
		most = max(most, maxSliceTally)
		first = most
	}
	for _, r := range p.slices(sel.Range, sel.Direction, first, most) {
		sp := p.slice(r, sel.Direction)
		if len(sp.streams) == 0 {
			continue
		}
		if err := q.slice(sp); err != nil {
			return err
		}
		if q.out.stopped {
			return q.out.err
		}
		if sel.Limit > 0 && q.matched >= sel.Limit {
			return nil
		}
	}
	return nil
}

// slice yields the rows of one slice.
func (q *query) slice(sp *slicePlan) error {
	w := q.wants
	w.r = sp.r
	q.fetch = q.s.newFetcher(q.alive, &w, sp.blocks, q.sel.Account)
	defer q.fetch.stop()
	q.out.fetch = q.fetch
	q.out.frontier = sp.r.From
	if q.backward {
		q.out.frontier = sp.r.To - 1
	}
	if w.pieces != nil {
		for i := range sp.streams {
			alone(sp.streams[i].sources)
		}
	}
	for i := range sp.streams {
		q.out.begin(sp.streams[i].foundStream, i == len(sp.streams)-1)
		m := rowMerge{q: q, w: &w, pending: sp.streams[i].sources, limit: math.MaxInt}
		if q.sel.Limit > 0 {
			m.limit = q.sel.Limit
		}
		if err := m.run(); err != nil {
			return err
		}
		if q.out.stopped {
			return nil
		}
	}
	q.out.end(sp.next)
	return nil
}

// searchHeads returns the heads that can hold rows that the query wants.
func (q *query) searchHeads(heads []headRuns) ([]headRuns, error) {
	var out []headRuns
	for i := range heads {
		h := &heads[i]
		lacks, passed := h.search(q.wants.lines)
		rows := 0
		if lacks {
			rows = h.selected()
		} else {
			out = append(out, *h)
		}
		if passed == 0 {
			continue
		}
		if err := q.sel.Account.Scanned(passed, int64(rows)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// headRows returns the rows of a run of the head that the query wants, in order of time,
// without duplicates.
func (q *query) headRows(h *run, w *wants) ([]row, error) {
	rows := h.between(w.r)
	if h.within != nil {
		rows = h.within.rows(rows)
	}
	size := int64(0)
	for i := range rows {
		size += int64(len(rows[i].line) + rows[i].meta.Size())
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if err := q.sel.Account.Scanned(size, int64(len(rows))); err != nil {
		return nil, err
	}
	if len(w.lines) == 0 && len(w.fields) == 0 {
		return sortRows(rows, h.sorted), nil
	}
	var out []row
	for i := range rows {
		r := &rows[i]
		if slices.ContainsFunc(w.fields, func(p store.FieldPredicate) bool { return !p.Holds(r.meta.Get(p.Field())) }) {
			continue
		}
		ok := true
		for k := range w.lines {
			if ok = w.lines[k].match(r.line); !ok {
				break
			}
		}
		if ok {
			out = append(out, *r)
		}
	}
	return sortRows(out, h.sorted), nil
}
