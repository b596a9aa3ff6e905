package traceql

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Selection says which spans of a population are to be explained. All of it must hold.
type Selection struct {
	Filter *Expr // one filter, { duration > 1s }; nil for none
	// Slow selects the spans from about the 95th percentile of the population's durations on.
	Slow bool
	// Range restricts starts, Unix nanoseconds; the zero range restricts nothing.
	Range model.TimeRange
	// MinDuration and MaxDuration restrict durations, nanoseconds, inclusive; 0 for none.
	MinDuration, MaxDuration int64
}

// ExplainParams are the arguments of [Explain].
type ExplainParams struct {
	Population *Expr           // yields the spans that are compared
	Range      model.TimeRange // of their starts, Unix nanoseconds
	Selected   Selection
	// Baseline is what the selected spans are compared with, of those that are not
	// selected. Its Range may lie outside of Range. The zero Selection is all others.
	Baseline Selection
	Factors  int            // most factors returned; 0 means 20
	Examples int            // most spans returned of each side; 0 means 5
	Account  *store.Account // of the query; may be nil
}

// Explanation says what the selected spans have in common that the baseline has not.
type Explanation struct {
	Threshold          int64 // of a Slow selection: durations above it, nanoseconds
	Selected, Baseline Group
	Factors            []Factor // the strongest first
	Time               []TimeSpent
}

// Group describes one side of a comparison.
type Group struct {
	Spans    int
	P50, P95 int64     // of the durations, nanoseconds, within 3%
	Examples []Example // of the selection the slowest, of the baseline any; one a trace
}

// Example is a span and where it is.
type Example struct {
	Trace       model.TraceID
	Span        model.SpanID
	Service     string
	Name        string
	RootService string
	RootName    string
	Start       int64 // Unix nanoseconds
	Duration    int64 // nanoseconds
	Failed      bool
}

// Factor is an attribute and a value that selected spans have more often than the
// baseline.
type Factor struct {
	Attribute string // as written in a query
	Value     string
	Type      Type
	Filter    string // the condition that finds such spans
	Selected  int    // spans that have it
	Baseline  int
	// Difference is the share of selected spans that have it less that of the baseline.
	// Score is the lower end of its 95% confidence interval, by which factors are ranked.
	Difference, Score float64
	Lift              float64 // ratio of the shares, with half a span added to the baseline
	PValue            float64 // probability of such a difference by chance
	Same              []Same  // other attributes that exactly the same spans have
}

// Same is another name for a factor.
type Same struct{ Attribute, Value, Filter string }

// TimeSpent is how long the spans below (and including) those of a population are busy
// themselves: while none of their children runs. Nanoseconds a span of the population.
type TimeSpent struct {
	Service, Name      string
	Selected, Baseline float64
}

const (
	defaultFactors  = 20
	defaultExamples = 5
	slowQuantile    = 0.95
	maxTimeSpent    = 10
	maxOperations   = 10_000 // of which time is kept
)

// Explain compares the selected spans of a population with its others. It errs as
// [Search] does; an expression of the wrong kind matches [ErrParse].
func Explain(ctx context.Context, r store.TraceReader, tenant model.Tenant, p ExplainParams) (Explanation, error) {
	if p.Factors <= 0 {
		p.Factors = defaultFactors
	}
	if p.Examples <= 0 {
		p.Examples = defaultExamples
	}
	x := &explainer{params: p, reader: r, tenant: tenant, names: attrNames{}, byName: map[string]*factorAttr{}, time: map[operation]*[2]float64{}}
	defer func() { p.Account.Drop(x.held) }()
	if p.Population.meter != nil {
		return Explanation{}, fmt.Errorf("%w: the population of a comparison is a search, without a metrics function", ErrParse)
	}
	if p.Selected.Slow || p.Baseline.Slow {
		if err := x.findThreshold(ctx); err != nil {
			return Explanation{}, fmt.Errorf("compare spans: %w", err)
		}
	}
	if err := x.scan(ctx); err != nil {
		return Explanation{}, fmt.Errorf("compare spans: %w", err)
	}
	return x.result(), nil
}

// explainer counts the attributes of the two sides: 0 is the baseline, 1 the selection.
type explainer struct {
	params ExplainParams
	reader store.TraceReader
	tenant model.Tenant

	threshold int64
	filters   [2]int // ids of the filters of the sides, -1 for none
	skip      map[string]bool
	names     attrNames
	byName    map[string]*factorAttr
	attrs     []*factorAttr
	sides     []int8 // by row: a side, or -1
	ids       []uint64
	spans     [2]int
	durations [2]durations
	examples  [2][]Example
	time      map[operation]*[2]float64
	below     [2][]int32 // by side and row: spans of the population that it is, or is below
	self      []int64    // by row: time in which no child runs
	covered   []int64    // by row: end of what children cover
	held      int64
}

type operation struct{ service, name string }

// hold charges memory until the comparison ends.
func (x *explainer) hold(n int) error {
	if err := x.params.Account.Hold(int64(n)); err != nil {
		return err
	}
	x.held += int64(n)
	return nil
}

// window is the range of starts of everything that is looked at.
func (x *explainer) window() model.TimeRange {
	r := x.params.Range
	if b := x.params.Baseline.Range; !b.Empty() {
		r = model.TimeRange{From: min(r.From, b.From), To: max(r.To, b.To)}
	}
	return r
}

// each calls f for every span of the population.
func (x *explainer) each(ctx context.Context, pl *plan, begin func(*frame) error, span func(f *frame, t int, row int32) error, end func(*frame) error) error {
	f := newFrame(pl.slots, pl.filters)
	var one [1]set
	for rows, err := range x.reader.Scan(ctx, x.tenant, pl.sel) {
		if err != nil {
			return err
		}
		f.load(rows)
		if err := begin(f); err != nil {
			return err
		}
		for t := range f.traces() {
			f.used = 0
			one[0] = set{rows: f.span(t)}
			sets, err := runStages(f, t, pl.stages, one[:])
			if err != nil {
				return err
			}
			for _, s := range sets {
				for _, row := range s.rows {
					if err := span(f, t, row); err != nil {
						return err
					}
				}
			}
		}
		if err := end(f); err != nil {
			return err
		}
	}
	return nil
}

func nothing(*frame) error { return nil }

// findThreshold finds the duration above which a span is slow.
func (x *explainer) findThreshold(ctx context.Context) error {
	pl := newPlan(x.params.Population.pipe, x.params.Range, x.params.Account)
	if pl.sel.TraceIDs != nil && len(pl.sel.TraceIDs) == 0 {
		return nil
	}
	var all durations
	err := x.each(ctx, pl, nothing, func(f *frame, _ int, row int32) error {
		if x.params.Range.Contains(f.rows.Start[row]) {
			all.add(f.rows.Duration[row])
		}
		return nil
	}, nothing)
	x.threshold = all.below(slowQuantile)
	return err
}

func (x *explainer) scan(ctx context.Context) error {
	pl := newPlan(x.params.Population.pipe, x.window(), x.params.Account)
	b := &binder{slots: pl.slots, filters: pl.filters}
	x.skip = map[string]bool{}
	for side, s := range [2]*Selection{&x.params.Baseline, &x.params.Selected} {
		x.filters[side] = -1
		if s.Filter == nil {
			continue
		}
		e, ok := s.Filter.pipe.stages[0].(*filter)
		if !ok || len(s.Filter.pipe.stages) > 1 || s.Filter.meter != nil {
			return fmt.Errorf("%w: a selection is one filter, such as { duration > 1s }, not %s", ErrParse, s.Filter)
		}
		if e.expr != nil {
			pl.wantChildren(childrenOf(e.expr))
			walk(e.expr, func(a *attribute) { x.skip[fieldText(a)] = true })
		}
		x.filters[side] = b.filter(e.expr)
	}
	pl.finish(b)
	if pl.sel.TraceIDs != nil && len(pl.sel.TraceIDs) == 0 {
		return nil
	}
	pl.sel.AllAttrs, pl.sel.Events = true, true
	return x.each(ctx, pl, x.begin, x.span, x.end)
}

// begin readies the columns by row for a batch.
func (x *explainer) begin(f *frame) error {
	n := f.rows.Len()
	x.sides, x.ids, x.self, x.covered = resize(x.sides, n), resize(x.ids, n), resize(x.self, n), resize(x.covered, n)
	for i := range x.sides {
		x.sides[i] = -1
	}
	return nil
}

// end counts what needs the whole batch.
func (x *explainer) end(f *frame) error {
	if err := x.spend(f); err != nil {
		return err
	}
	return x.count(f)
}

// span finds the side of a span, and counts what is not an attribute.
func (x *explainer) span(f *frame, t int, row int32) error {
	side := x.side(f, row)
	if side < 0 || x.sides[row] >= 0 { // several spansets may hold it
		return nil
	}
	x.sides[row] = int8(side)
	x.ids[row] = mix(uint64(x.spans[0]+x.spans[1]) + 1)
	x.spans[side]++
	x.durations[side].add(f.rows.Duration[row])
	x.example(f, t, row, side)
	return nil
}

func (x *explainer) side(f *frame, row int32) int {
	start, took := f.rows.Start[row], f.rows.Duration[row]
	if x.params.Range.Contains(start) && x.params.Selected.holds(start, took, x.threshold) && x.passes(f, 1, row) {
		return 1
	}
	in := x.params.Range
	if r := x.params.Baseline.Range; !r.Empty() {
		in = r
	}
	if in.Contains(start) && x.params.Baseline.holds(start, took, x.threshold) && x.passes(f, 0, row) {
		return 0
	}
	return -1
}

func (x *explainer) passes(f *frame, side int, row int32) bool {
	return x.filters[side] < 0 || f.mask(x.filters[side])[row]
}

func (s *Selection) holds(start, took, threshold int64) bool {
	return (s.Range.Empty() || s.Range.Contains(start)) && (!s.Slow || took > threshold) &&
		took >= s.MinDuration && (s.MaxDuration == 0 || took <= s.MaxDuration)
}

// mix is splitmix64: it makes a number that looks random of each number.
func mix(n uint64) uint64 {
	n *= 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// example keeps the span if it is a good example: of the selection the slowest, of the
// baseline one of those with the least id, which has nothing to do with the question.
func (x *explainer) example(f *frame, t int, row int32, side int) {
	list := x.examples[side]
	id := f.rows.TraceID[row]
	worse := func(e Example) bool {
		if side == 1 {
			return e.Duration < f.rows.Duration[row]
		}
		return e.Trace.Compare(id) > 0
	}
	if len(list) == x.params.Examples && !worse(list[len(list)-1]) {
		return
	}
	if i := slices.IndexFunc(list, func(e Example) bool { return e.Trace == id }); i >= 0 {
		if !worse(list[i]) {
			return
		}
		list = slices.Delete(list, i, i+1)
	}
	e := Example{
		Trace: id, Span: f.rows.SpanID[row], Service: strings.Clone(f.rows.Service[row]), Name: strings.Clone(f.rows.Name[row]),
		Start: f.rows.Start[row], Duration: f.rows.Duration[row], Failed: f.rows.Status[row] == 2,
	}
	if root := f.info(t).root; root >= 0 {
		e.RootService, e.RootName = strings.Clone(f.rows.Service[root]), strings.Clone(f.rows.Name[root])
	}
	at := slices.IndexFunc(list, worse)
	if at < 0 {
		at = len(list)
	}
	list = slices.Insert(list, at, e)
	x.examples[side] = list[:min(len(list), x.params.Examples)]
}

// spend adds up, for every trace of a batch, the time that the spans from those of the
// population downwards are busy themselves. A span counts once for each span of the
// population that it is or that it is below.
func (x *explainer) spend(f *frame) error {
	for side := range x.below {
		x.below[side] = resize(x.below[side], f.rows.Len())
	}
	tr := &f.tree
	for t := range f.traces() {
		rows := f.span(t)
		if !slices.ContainsFunc(rows, func(r int32) bool { return x.sides[r] >= 0 }) {
			continue
		}
		f.buildTree(t)
		x.selfTimes(f, t)
		for side := range x.below {
			below := x.below[side]
			for _, r := range rows {
				below[r] = 0
				if int(x.sides[r]) == side {
					below[r] = 1
				}
			}
			for _, r := range tr.order[f.bounds[t]:tr.orderEnd[t]] { // parents first
				if up := tr.up[r]; up >= 0 {
					below[r] += below[up]
				}
			}
			for _, r := range rows {
				if below[r] == 0 {
					continue
				}
				if err := x.spent(f, r, side, float64(x.self[r])*float64(below[r])); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (x *explainer) spent(f *frame, r int32, side int, ns float64) error {
	sum := x.time[operation{f.rows.Service[r], f.rows.Name[r]}]
	if sum == nil {
		if len(x.time) == maxOperations {
			return nil
		}
		if err := x.hold(150 + len(f.rows.Service[r]) + len(f.rows.Name[r])); err != nil {
			return err
		}
		sum = &[2]float64{}
		x.time[operation{strings.Clone(f.rows.Service[r]), strings.Clone(f.rows.Name[r])}] = sum
	}
	sum[side] += ns
	return nil
}

// selfTimes computes the self times of trace t, whose rows are in order of start.
func (x *explainer) selfTimes(f *frame, t int) {
	for _, r := range f.span(t) {
		x.self[r], x.covered[r] = f.rows.Duration[r], f.rows.Start[r]
	}
	for _, r := range f.span(t) {
		p := f.tree.up[r]
		if p < 0 || f.rows.Start[p] > f.rows.Start[r] { // no parent, or clocks that differ
			continue
		}
		from := max(f.rows.Start[r], x.covered[p])
		to := min(f.rows.Start[r]+f.rows.Duration[r], f.rows.Start[p]+f.rows.Duration[p])
		if to > from {
			x.self[p] -= to - from
			x.covered[p] = to
		}
	}
}

// durations is a histogram with buckets 4% wide.
type durations struct {
	counts [64 * 16]int
	n      int
}

func (d *durations) add(ns int64) {
	i := 0
	if ns > 1 {
		i = min(int(math.Log2(float64(ns))*16), len(d.counts)-1)
	}
	d.counts[i]++
	d.n++
}

// quantile returns the middle of the bucket that holds the quantile.
func (d *durations) quantile(q float64) int64 { return d.edge(q, 0.5) }

// below returns a duration that at least the spans from the quantile on exceed.
func (d *durations) below(q float64) int64 { return d.edge(q, 0) - 1 }

func (d *durations) edge(q, part float64) int64 {
	rank := int(math.Ceil(q * float64(d.n)))
	for i, n := range d.counts {
		if rank -= n; rank <= 0 && d.n > 0 {
			return int64(math.Exp2((float64(i) + part) / 16))
		}
	}
	return 0
}
