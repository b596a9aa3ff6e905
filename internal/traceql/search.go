package traceql

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Params are the arguments of [Search].
type Params struct {
	Range           model.TimeRange // Unix nanoseconds; traces that overlap it are searched
	Limit           int             // traces returned, the newest; 0 means 20
	SpansPerSpanset int             // spans returned of each spanset; 0 means 3
	Account         *store.Account  // of the query; may be nil

	// Take, if set, takes traces while the search goes on, whenever Due says so: the newest
	// first, each once, and only those of which it is certain that the result has them, so
	// that none is ever taken back. With order_by nothing is certain before the end. An error
	// ends the search.
	Take func([]Trace) error
	Due  func() bool
}

// SearchResult is what a search found.
type SearchResult struct {
	Traces    []Trace // newest first, unless the query says order_by
	Matched   int     // traces that matched, of those looked at: at least Limit if there may be more
	Inspected int     // traces looked at
}

// Trace describes a whole trace that matched, and which of its spans did.
type Trace struct {
	ID          model.TraceID
	RootService string // "" if no root span is stored, or it has no service name
	RootName    string
	Start       int64 // earliest start of a span, Unix nanoseconds
	Duration    int64 // to the latest end, nanoseconds
	Services    []ServiceStats
	Spansets    []Spanset // none for a search by tags
}

// ServiceStats counts the spans of one service in a trace.
type ServiceStats struct {
	Service       string
	Spans, Errors int
}

// Spanset is spans of one trace in order of start time, and what by() and scalar filters
// said about them.
type Spanset struct {
	Spans   []Span // at most SpansPerSpanset of them
	Matched int    // how many there are
	Attrs   []KeyValue
}

// Span is a span that matched.
type Span struct {
	ID       model.SpanID
	Name     string // "" unless the query mentions it
	Start    int64  // Unix nanoseconds
	Duration int64  // nanoseconds
	Attrs    []KeyValue
}

// KeyValue is an attribute as results show it. A key may occur twice.
type KeyValue struct {
	Key   string
	Value Value
}

const (
	defaultLimit = 20
	defaultSpans = 3
)

// Search runs a query over the traces of tenant and returns the newest that match, or the
// first by the hint order_by. Of a metrics query it runs the pipeline before the metrics
// function. Errors are those of [store.TraceReader.Scan], and [store.ErrUnsupported] for
// operands that turn out to be several spansets.
func Search(ctx context.Context, r store.TraceReader, tenant model.Tenant, e *Expr, p Params) (SearchResult, error) {
	if p.Limit <= 0 {
		p.Limit = defaultLimit
	}
	if p.SpansPerSpanset <= 0 {
		p.SpansPerSpanset = defaultSpans
	}
	by, err := orderOf(e)
	if err != nil {
		return SearchResult{}, err
	}
	pl := newPlan(e.pipe, p.Range, p.Account)
	by.bind(pl)
	pl.bindDisplay(e.pipe)
	if pl.sel.TraceIDs != nil && len(pl.sel.TraceIDs) == 0 {
		return SearchResult{}, nil
	}
	s := &searcher{reader: r, tenant: tenant, plan: pl, sel: pl.sel, params: p, order: by, bare: e.bare}
	if by.newest() {
		s.sel.Newer = newMark(math.MinInt64)
		s.sel.Settled = newMark(math.MaxInt64)
	}
	defer func() { p.Account.Drop(s.held) }()
	s.idsOnly = pl.twoScans() && !e.bare
	if err := s.scan(ctx); err != nil {
		return SearchResult{}, err
	}
	return s.result(ctx)
}

func newMark(t int64) *atomic.Int64 {
	m := new(atomic.Int64)
	m.Store(t)
	return m
}

// searcher collects the newest matching traces, or the first of another order.
type searcher struct {
	reader  store.TraceReader
	tenant  model.Tenant
	plan    *plan
	sel     store.SpanSelector
	params  Params
	order   order
	bare    bool // describe traces only
	idsOnly bool // the scan only finds traces: what is shown of them is read when they are certain

	best      traceHeap
	certain   []Trace // the first of the result
	known     int     // so many of best they are
	settled   int64   // [store.SpanSelector.Settled] when it was looked at last
	matched   int
	inspected int
	held      int64 // bytes charged to the account
}

func (s *searcher) scan(ctx context.Context) error {
	f := newFrame(s.plan.slots, s.plan.filters)
	s.settled = math.MaxInt64
	for rows, err := range s.reader.Scan(ctx, s.tenant, s.sel) {
		if err != nil {
			return fmt.Errorf("search traces: %w", err)
		}
		f.load(rows)
		if err := s.batch(f); err != nil {
			return fmt.Errorf("search traces: %w", err)
		}
		if err := s.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tell hands over the traces that have become certain, if it is time to.
func (s *searcher) tell(ctx context.Context) error {
	if s.params.Take == nil || s.sel.Settled == nil {
		return nil
	}
	settled := s.sel.Settled.Load()
	if settled == s.settled || !s.params.Due() {
		return nil
	}
	s.settled = settled
	n := len(s.certain)
	if err := s.settle(ctx, func(t *ranked) bool { return t.Start > settled }); err != nil || len(s.certain) == n {
		return err
	}
	return s.params.Take(s.certain[n:])
}

// settle appends to the certain traces the next ones of the best, as long as known says so.
func (s *searcher) settle(ctx context.Context, known func(*ranked) bool) error {
	order := make([]*ranked, len(s.best))
	for i := range s.best {
		order[i] = &s.best[i]
	}
	slices.SortFunc(order, func(a, b *ranked) int { return compareRanked(b, a) })
	var next []Trace
	for _, t := range order[s.known:] {
		if !known(t) {
			break
		}
		next = append(next, t.Trace)
	}
	s.known += len(next)
	if s.idsOnly && len(next) > 0 {
		var err error
		if next, err = s.read(ctx, next); err != nil {
			return err
		}
	}
	s.certain = append(s.certain, next...)
	return nil
}

// read reads all that is shown of traces that match.
func (s *searcher) read(ctx context.Context, traces []Trace) ([]Trace, error) {
	var ids []model.TraceID
	for i := range traces {
		ids = append(ids, traces[i].ID)
	}
	d := &searcher{reader: s.reader, tenant: s.tenant, plan: s.plan, sel: s.plan.withLater(s.sel), params: s.params, order: s.order}
	d.sel.TraceIDs = sortIDs(ids)
	d.sel.Where, d.sel.Newer, d.sel.Settled = nil, nil, nil
	d.params.Limit = len(traces)
	err := d.scan(ctx)
	s.held += d.held
	if err != nil {
		return nil, err
	}
	res, err := d.result(ctx)
	return res.Traces, err
}

func (s *searcher) batch(f *frame) error {
	s.inspected += f.traces()
	if s.plan.single >= 0 {
		return s.singleFilter(f)
	}
	var one [1]set
	for t := range f.traces() {
		f.used = 0
		one[0] = set{rows: f.span(t)}
		sets, err := runStages(f, t, s.plan.stages, one[:])
		if err != nil {
			return err
		}
		if len(sets) > 0 {
			if err := s.found(f, t, sets); err != nil {
				return err
			}
		}
	}
	return nil
}

// singleFilter is the short way for { ... } alone: most traces are passed over by
// looking at the mask.
func (s *searcher) singleFilter(f *frame) error {
	m := f.mask(s.plan.single)
	var one [1]set
	for t := range f.traces() {
		f.used = 0
		lo, hi := f.bounds[t], f.bounds[t+1]
		first := slices.Index(m[lo:hi], true)
		if first < 0 {
			continue
		}
		rows := f.alloc(int(hi - lo))
		for r := lo + int32(first); r < hi; r++ {
			if m[r] {
				rows = append(rows, r)
			}
		}
		one[0] = set{rows: rows}
		if err := s.found(f, t, one[:]); err != nil {
			return err
		}
	}
	return nil
}

// found takes a matching trace if it is among the first.
func (s *searcher) found(f *frame, t int, sets []set) error {
	s.matched++
	rows := int64(0)
	for _, x := range sets {
		rows += int64(len(x.rows))
	}
	s.params.Account.Matched(rows)
	start := f.info(t).start
	tr := ranked{Trace{ID: f.rows.TraceID[f.bounds[t]], Start: start}, s.order.rank(f, sets), s.order.oldest}
	if len(s.best) == s.params.Limit && compareRanked(&tr, &s.best[0]) <= 0 {
		return nil
	}
	if !s.idsOnly {
		tr.Trace = s.plan.describe(f, t)
		if !s.bare {
			for _, x := range sets {
				tr.Spansets = append(tr.Spansets, s.plan.spanset(f, x, s.params.SpansPerSpanset))
			}
		}
	}
	size := tr.size()
	if err := s.params.Account.Hold(size); err != nil {
		return err
	}
	s.held += size
	if len(s.best) < s.params.Limit {
		heap.Push(&s.best, tr)
	} else {
		old := s.best[0].size()
		s.params.Account.Drop(old)
		s.held -= old
		s.best[0] = tr
		heap.Fix(&s.best, 0)
	}
	if s.sel.Newer != nil && len(s.best) == s.params.Limit {
		s.sel.Newer.Store(s.best[0].Start)
	}
	return nil
}

// result ends the search.
func (s *searcher) result(ctx context.Context) (SearchResult, error) {
	out := SearchResult{Matched: s.matched, Inspected: s.inspected}
	err := s.settle(ctx, func(*ranked) bool { return true })
	out.Traces = s.certain
	return out, err
}

// compareNewest orders traces by start, then id.
func compareNewest(aStart int64, aID model.TraceID, bStart int64, bID model.TraceID) int {
	return cmp.Or(cmp.Compare(aStart, bStart), aID.Compare(bID))
}

// traceHeap is a heap with the trace on top that would be the last of the results.
type traceHeap []ranked

func (h traceHeap) Len() int { return len(h) }
func (h traceHeap) Less(i, j int) bool {
	return compareRanked(&h[i], &h[j]) < 0
}
func (h traceHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *traceHeap) Push(x any) {
	tr, ok := x.(ranked)
	if !ok {
		model.Bug("a %T is no trace", x)
	}
	*h = append(*h, tr)
}

// Pop implements [heap.Interface].
func (h *traceHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// size guesses the bytes a trace holds.
func (t *Trace) size() int64 {
	n := 200 + len(t.RootName) + len(t.RootService)
	attrs := func(kvs []KeyValue) {
		for _, kv := range kvs {
			n += 64 + len(kv.Key) + len(kv.Value.s)
		}
	}
	for _, s := range t.Services {
		n += 32 + len(s.Service)
	}
	for _, set := range t.Spansets {
		n += 80
		attrs(set.Attrs)
		for _, sp := range set.Spans {
			n += 80 + len(sp.Name)
			attrs(sp.Attrs)
		}
	}
	return int64(n)
}

// describe returns trace t without spansets.
func (p *plan) describe(f *frame, t int) Trace {
	info := f.info(t)
	tr := Trace{ID: f.rows.TraceID[f.bounds[t]], Start: info.start, Duration: info.end - info.start}
	if info.root >= 0 {
		tr.RootName = strings.Clone(f.rows.Name[info.root])
		tr.RootService = strings.Clone(f.rows.Service[info.root])
	}
	for _, r := range f.span(t) {
		name := f.rows.Service[r]
		i := slices.IndexFunc(tr.Services, func(s ServiceStats) bool { return s.Service == name })
		if i < 0 {
			i = len(tr.Services)
			tr.Services = append(tr.Services, ServiceStats{Service: strings.Clone(name)})
		}
		tr.Services[i].Spans++
		if f.rows.Status[r] == 2 {
			tr.Services[i].Errors++
		}
	}
	return tr
}

// spanset returns x for the result, with at most limit spans.
func (p *plan) spanset(f *frame, x set, limit int) Spanset {
	out := Spanset{Matched: len(x.rows), Attrs: make([]KeyValue, len(x.attrs))}
	for i, a := range x.attrs {
		out.Attrs[i] = KeyValue{a.Key, a.Value.clone()}
	}
	for _, r := range x.rows[:min(limit, len(x.rows))] {
		sp := Span{ID: f.rows.SpanID[r], Start: f.rows.Start[r], Duration: f.rows.Duration[r]}
		if p.showName {
			sp.Name = strings.Clone(f.rows.Name[r])
		}
		for i := range p.display {
			sp.Attrs = p.display[i].show(f, r, sp.Attrs)
		}
		out.Spans = append(out.Spans, sp)
	}
	return out
}
