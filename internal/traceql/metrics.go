package traceql

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// MetricParams are the arguments of [Metrics].
type MetricParams struct {
	Start, End int64          // Unix nanoseconds
	Step       int64          // nanoseconds; 0 means [DefaultStep]
	Instant    bool           // one value for the whole of [Start, End], Step is ignored
	Exemplars  int            // most exemplars of a range query; 0 means 100
	Account    *store.Account // of the query; may be nil

	// Take, if set, takes what the series are so far, all of them, whenever Due says so. It is
	// not asked where a series may vanish again: behind topk, comparisons and arithmetic, and
	// by compare(). An error ends the query.
	Take func([]Series) error
	Due  func() bool
}

// Series is one line of a metrics result.
type Series struct {
	Labels    []KeyValue // in the order of by()
	Samples   []Sample   // ascending in time; intervals without a value are absent
	Exemplars []Exemplar
}

// Sample is the value of the interval that ends at Time.
type Sample struct {
	Time  int64 // Unix milliseconds
	Value float64
}

// Exemplar is one span behind a series.
type Exemplar struct {
	Labels []KeyValue // trace:id first
	Time   int64      // start of the span, Unix milliseconds
	Value  float64
}

// MaxIntervals bounds the intervals of a range query.
const MaxIntervals = 10_000

const maxExemplars = 100

// DefaultStep returns the step of a range query that names none: about 240 intervals,
// rounded down to a length that people like.
func DefaultStep(start, end int64) int64 {
	delta := end - start
	b := delta / 240
	down := func(g int64) int64 { return b / g * g }
	if delta < int64(time.Minute) {
		if g := int64(50 * time.Millisecond); b > g {
			return down(g)
		}
		return int64(50 * time.Millisecond)
	}
	for _, g := range [...]time.Duration{time.Hour, 5 * time.Minute, time.Minute, 15 * time.Second, 5 * time.Second, time.Second} {
		if b > int64(g) {
			return down(int64(g))
		}
	}
	return int64(time.Second)
}

// grid is the intervals of a result: interval i is (start+i*step, start+(i+1)*step],
// shown at its right edge. That of an instant query includes start.
type grid struct {
	start, step int64
	n           int
	instant     bool
}

func newGrid(p MetricParams) grid {
	if p.Instant {
		return grid{start: p.Start, step: p.End - p.Start, n: 1, instant: true}
	}
	step := cmp.Or(p.Step, DefaultStep(p.Start, p.End))
	start := floorTo(p.Start, step) - step
	end := floorTo(p.End, step)
	if end < p.End {
		end += step
	}
	return grid{start: start, step: step, n: int((end - start) / step)}
}

func floorTo(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}

// interval returns the interval that t lies in, -1 if none.
func (g grid) interval(t int64) int {
	d := t - g.start
	switch {
	case g.instant:
		if d < 0 || d > g.step {
			return -1
		}
		return 0
	case d <= 0:
		return -1
	}
	i := (d - 1) / g.step
	if i >= int64(g.n) {
		return -1
	}
	return int(i)
}

// timeRange is the half-open range of span starts that count.
func (g grid) timeRange() model.TimeRange {
	r := model.TimeRange{From: g.start + 1, To: g.start + int64(g.n)*g.step + 1}
	if g.instant {
		r.From = g.start
	}
	return r
}

// edge returns the sample time of interval i in milliseconds.
func (g grid) edge(i int) int64 { return (g.start + int64(i+1)*g.step) / int64(time.Millisecond) }

// line is a series under evaluation; values are NaN where there is none.
type line struct {
	name      string // __name__, "" for grouped series
	labels    []KeyValue
	values    []float64
	exemplars []exemplar
}

type exemplar struct {
	Exemplar
	interval int // whose value to take, or -1
}

// Metrics runs a metrics query. Of queries that are none it returns an error that
// matches [ErrParse].
func Metrics(ctx context.Context, r store.TraceReader, tenant model.Tenant, e *Expr, p MetricParams) ([]Series, error) {
	if e.meter == nil {
		return nil, fmt.Errorf("%w: not a metrics query", ErrParse)
	}
	switch {
	case p.End <= p.Start:
		return nil, fmt.Errorf("%w: end must be greater than start", ErrParse)
	case p.Start < 0 || p.End > 1<<62:
		return nil, fmt.Errorf("%w: start or end is out of range", ErrParse)
	case p.Step < 0 || p.Step > 1<<61:
		return nil, fmt.Errorf("%w: step must be positive and less than 73 years", ErrParse)
	}
	g := newGrid(p)
	if g.n > MaxIntervals+2 {
		return nil, fmt.Errorf("%w: step of %s is too small, it makes %d intervals of at most %d", ErrParse, time.Duration(g.step), g.n, MaxIntervals)
	}
	run := &metricRun{reader: r, tenant: tenant, grid: g, acct: p.Account, exemplars: exemplarLimit(e, p)}
	if q, ok := e.meter.(*metricQuery); ok && len(q.second) == 0 {
		run.take, run.due = p.Take, p.Due
	}
	defer func() { p.Account.Drop(run.held) }()
	lines, err := run.eval(ctx, e.meter)
	if err != nil {
		return nil, fmt.Errorf("evaluate TraceQL metrics: %w", err)
	}
	return run.series(lines), nil
}

// exemplarLimit returns how many exemplars a query may have.
func exemplarLimit(e *Expr, p MetricParams) int {
	if p.Instant {
		return 0
	}
	n := p.Exemplars
	if v, ok := e.hint("exemplars", TypeBool); ok && !v.Bool() {
		return 0
	} else if ok {
		n = maxExemplars
	}
	if v, ok := e.hint("exemplars", TypeInt); ok {
		return int(min(max(v.n, 0), maxExemplars))
	}
	if n <= 0 || n > maxExemplars {
		n = maxExemplars
	}
	return n
}

// metricRun is one evaluation of a metrics query.
type metricRun struct {
	reader    store.TraceReader
	tenant    model.Tenant
	grid      grid
	acct      *store.Account
	exemplars int
	take      func([]Series) error // nil if series may vanish again
	due       func() bool
	held      int64
}

// hold charges memory until the query ends.
func (m *metricRun) hold(n int) error {
	if err := m.acct.Hold(int64(n)); err != nil {
		return err
	}
	m.held += int64(n)
	return nil
}

func (m *metricRun) eval(ctx context.Context, e metrics) ([]line, error) {
	switch e := e.(type) {
	case *metricQuery:
		var lines []line
		var err error
		if e.fn == fnCompare {
			lines, err = m.compare(ctx, e)
		} else {
			lines, err = m.query(ctx, e)
		}
		return m.secondStages(lines, e.second), err
	case *metricOp:
		lines, err := m.arithmetic(ctx, e)
		return m.secondStages(lines, e.second), err
	}
	model.Bug("no evaluation of %T", e)
	return nil, nil
}

// series turns lines into the result.
func (m *metricRun) series(lines []line) []Series {
	sortLines(lines)
	out := make([]Series, 0, len(lines))
	for _, l := range lines {
		s := Series{Labels: l.labels}
		if l.name != "" {
			s.Labels = append([]KeyValue{{"__name__", stringValue(l.name)}}, l.labels...)
		}
		for i, v := range l.values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				s.Samples = append(s.Samples, Sample{m.grid.edge(i), v})
			}
		}
		if len(s.Samples) == 0 {
			continue
		}
		for _, x := range l.exemplars {
			if x.interval >= 0 {
				if x.Value = l.values[x.interval]; math.IsNaN(x.Value) {
					continue
				}
			}
			s.Exemplars = append(s.Exemplars, x.Exemplar)
		}
		slices.SortFunc(s.Exemplars, func(a, b Exemplar) int { return cmp.Compare(a.Time, b.Time) })
		out = append(out, s)
	}
	return out
}

// sortLines puts lines in an order that does not depend on the store: shorter label
// sets first, then by label values.
func sortLines(lines []line) {
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(len(a.labels), len(b.labels)), slices.CompareFunc(a.labels, b.labels, func(x, y KeyValue) int {
			return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.Value.String(), y.Value.String()), cmp.Compare(x.Value.typ, y.Value.typ))
		}))
	})
}

// labelKey is equal for equal label sets, whatever their order.
func labelKey(labels []KeyValue) string {
	parts := make([]string, len(labels))
	for i, kv := range labels {
		parts[i] = fmt.Sprintf("%q=%d%q", kv.Key, kv.Value.typ, kv.Value.String())
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
