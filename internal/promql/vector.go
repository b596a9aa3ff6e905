package promql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// The vectorised evaluator. A vector expression is evaluated at all steps at once into a
// block: one row of float64 a series. Series are decoded into slices, rolled up and, where
// an aggregation stands right above, added to their group on the spot, in parallel over
// series; memory then grows with the output, not the input.
//
// A node of the syntax tree that meets something its code does not cover exactly, a rare
// function or a rare state of the data (series that become equal without their names), is
// grafted: Prometheus' engine evaluates that one node over the
// rows of its arguments (graft.go). Equality with that engine is tested over Prometheus'
// own scripts, over a list of queries for compliance, and over random expressions.

// errFallback means that Prometheus' engine must evaluate the node, or at the top the
// whole query.
var errFallback = errors.New("not vectorised")

// absent marks a step without a value in a row. It is the bit pattern of a stale marker,
// which no sample that counts can have.
func absent() float64 { return math.Float64frombits(value.StaleNaN) }

func isAbsent(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

// row is one series at all steps. Where it has a histogram, its float is absent.
type row struct {
	labels labels.Labels
	vals   []float64
	hists  []*histogram.FloatHistogram // by step; nil if there are none
}

// has reports whether the row has a value at step i.
func (r *row) has(i int) bool {
	return !isAbsent(r.vals[i]) || r.hists != nil && r.hists[i] != nil
}

// floats reports whether the row has floats.
func (r *row) floats() bool {
	return slices.ContainsFunc(r.vals, func(v float64) bool { return !isAbsent(v) })
}

// clear removes the value at step i.
func (r *row) clear(i int) {
	r.vals[i] = absent()
	if r.hists != nil {
		r.hists[i] = nil
	}
}

// take gives r the value that o has at step i, if it has one.
func (r *row) take(o *row, i int) {
	if !isAbsent(o.vals[i]) {
		r.vals[i] = o.vals[i]
	}
	if o.hists != nil && o.hists[i] != nil {
		if r.hists == nil {
			r.hists = make([]*histogram.FloatHistogram, len(r.vals))
		}
		r.hists[i] = o.hists[i]
	}
}

// operand is the value of an expression: a scalar (one value a step) or rows.
type operand struct {
	scalar []float64
	rows   []row
}

// histograms reports whether some row has histograms.
func (o operand) histograms() bool {
	return slices.ContainsFunc(o.rows, func(r row) bool { return r.hists != nil })
}

// query is what the evaluators of one query share: that of its own steps, and those of
// subqueries and of parts that are the same at every step.
type query struct {
	ctx     context.Context //nolint:containedctx // a query lives as long as one call of Run
	engine  *Engine
	reader  store.MetricReader
	tenant  model.Tenant
	acct    *store.Account
	look    int64 // lookback, milliseconds
	workers int
	points  atomic.Int64 // values held in rows
	max     int64        // bound of points

	mu    sync.Mutex
	annos annotations.Annotations // guarded by mu while workers run
}

// evaluator evaluates expressions at the steps of a grid.
type evaluator struct {
	*query
	start int64 // of the first step, Unix milliseconds
	end   int64 // as asked for: the last step may be before it
	step  int64 // milliseconds, 0 if only one step was asked for
	n     int   // steps
}

// at returns the time of step i.
func (ev *evaluator) at(i int) int64 { return ev.start + int64(i)*ev.step }

// newRow returns a row without values, charged to the query.
func (ev *evaluator) newRow() ([]float64, error) {
	if ev.points.Add(int64(ev.n)) > ev.max {
		return nil, fmt.Errorf("%w: it needs more than %d samples at one time", store.ErrTooBroad, ev.max)
	}
	if err := ev.acct.Hold(int64(ev.n) * 8); err != nil {
		return nil, err
	}
	vals := make([]float64, ev.n)
	a := absent()
	for i := range vals {
		vals[i] = a
	}
	return vals, nil
}

// drop gives back the charge of rows that nothing refers to any more.
func (ev *evaluator) drop(rows int) {
	ev.points.Add(-int64(rows) * int64(ev.n))
	ev.acct.Drop(int64(rows) * int64(ev.n) * 8)
}

// vectorised evaluates expr, which it may change, at the steps of q. It returns
// errFallback for values that are no rows: ranges of raw samples and strings.
func (e *Engine) vectorised(ctx context.Context, r store.MetricReader, q Query, expr parser.Expr, acct *store.Account) (parser.Value, annotations.Annotations, error) {
	if t := expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return nil, nil, errFallback
	}
	end := q.End
	if q.Step == 0 {
		end = q.Start
	}
	expr, err := promql.PreprocessExpr(expr, q.Start, end, q.Step)
	if err != nil {
		return nil, nil, parseError(err)
	}
	ev, err := e.evaluator(ctx, r, q, acct)
	if err != nil {
		return nil, nil, err
	}
	if ev.n == 0 {
		return promql.Matrix{}, nil, nil
	}
	out, err := ev.eval(expr)
	if err != nil {
		return nil, nil, err
	}
	v, err := ev.result(out, q.Step > 0)
	return v, ev.annos, err
}

// evaluator returns the evaluator of the steps of q: none if it ends before it starts.
func (e *Engine) evaluator(ctx context.Context, r store.MetricReader, q Query, acct *store.Account) (*evaluator, error) {
	ev := &evaluator{query: &query{
		ctx: ctx, engine: e, reader: r, tenant: q.Tenant, acct: acct,
		look: e.lookback.Milliseconds(), workers: runtime.GOMAXPROCS(0), max: int64(e.maxSamples),
	}, start: q.Start.UnixMilli(), end: q.Start.UnixMilli(), n: 1}
	if q.Lookback > 0 {
		ev.look = q.Lookback.Milliseconds()
	}
	if q.Step == 0 {
		return ev, nil
	}
	ev.end, ev.step = q.End.UnixMilli(), q.Step.Milliseconds()
	if ev.step == 0 {
		return nil, parseError(errors.New("the smallest step is 1ms"))
	}
	ev.n = max(0, int((ev.end-ev.start+ev.step)/ev.step))
	return ev, nil
}

// eval evaluates an expression of type vector or scalar.
func (ev *evaluator) eval(expr parser.Expr) (operand, error) {
	if err := ev.ctx.Err(); err != nil {
		return operand{}, err
	}
	said := maps.Clone(ev.annos)
	out, err := ev.native(expr)
	if !errors.Is(err, errFallback) {
		return out, err
	}
	ev.annos = said // or what is said again would count twice
	// Its arguments are evaluated again: what has been found out late may have changed them.
	var args []operand
	for _, arg := range arguments(expr) {
		in, err := ev.eval(arg)
		if err != nil {
			return operand{}, err
		}
		args = append(args, in)
	}
	return ev.graft(expr, args...)
}

// native evaluates an expression with our own code, or returns errFallback.
func (ev *evaluator) native(expr parser.Expr) (operand, error) {
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		return operand{scalar: ev.constant(e.Val)}, nil
	case *parser.ParenExpr:
		return ev.eval(e.Expr)
	case *parser.UnaryExpr:
		return ev.unary(e)
	case *parser.VectorSelector:
		spec, err := ev.selector(e)
		if err != nil {
			return operand{}, err
		}
		return ev.rollup(spec)
	case *parser.StepInvariantExpr:
		return ev.invariant(e)
	case *parser.Call:
		return ev.call(e)
	case *parser.AggregateExpr:
		return ev.aggregate(e)
	case *parser.BinaryExpr:
		return ev.binary(e)
	default:
		return operand{}, errFallback
	}
}

// invariant evaluates an expression that has the same value at every step.
func (ev *evaluator) invariant(e *parser.StepInvariantExpr) (operand, error) {
	one := &evaluator{query: ev.query, start: ev.start, end: ev.start, n: 1}
	in, err := one.eval(e.Expr)
	if err != nil {
		return operand{}, err
	}
	if in.scalar != nil {
		return operand{scalar: ev.constant(in.scalar[0])}, nil
	}
	if ev.n == 1 {
		return in, nil
	}
	for k := range in.rows {
		r := &in.rows[k]
		vals, err := ev.newRow()
		if err != nil {
			return operand{}, err
		}
		for i := range vals {
			vals[i] = r.vals[0]
		}
		if r.hists != nil {
			r.hists = slices.Repeat(r.hists, ev.n)
		}
		r.vals = vals
	}
	return in, nil
}

func (ev *evaluator) constant(v float64) []float64 {
	vals := make([]float64, ev.n)
	for i := range vals {
		vals[i] = v
	}
	return vals
}

func (ev *evaluator) unary(e *parser.UnaryExpr) (operand, error) {
	in, err := ev.eval(e.Expr)
	if err != nil || e.Op == parser.ADD {
		return in, err
	}
	hists := make([][]*histogram.FloatHistogram, len(in.rows))
	for k := range in.rows {
		hists[k], in.rows[k].hists = in.rows[k].hists, nil
	}
	out, err := ev.mapValues(in, func(_ int, v float64) float64 { return -v })
	for k := range out.rows {
		for i, h := range hists[k] {
			if h != nil {
				hists[k][i] = h.Copy().Mul(-1)
			}
		}
		out.rows[k].hists = hists[k]
	}
	return out, err
}

// mapValues applies f to every float of in, in place; histograms are passed over. Rows lose
// their name, as they do in every function.
func (ev *evaluator) mapValues(in operand, f func(i int, v float64) float64) (operand, error) {
	if in.scalar != nil {
		for i, v := range in.scalar {
			in.scalar[i] = f(i, v)
		}
		return in, nil
	}
	if in.histograms() {
		for k := range in.rows {
			in.rows[k].hists = nil
		}
		in.rows = dropEmpty(in.rows)
	}
	if !dropNames(in.rows) {
		return operand{}, errFallback
	}
	for _, r := range in.rows {
		for j, v := range r.vals {
			if !isAbsent(v) {
				r.vals[j] = f(j, v)
			}
		}
	}
	return in, nil
}

// dropNames removes the metric names of rows. It reports false if some are equal without.
func dropNames(rows []row) bool {
	for i := range rows {
		rows[i].labels = dropMetadata(rows[i].labels)
	}
	return unique(rows)
}

// dropMetadata removes the metric name and the labels that describe it.
func dropMetadata(ls labels.Labels) labels.Labels {
	return ls.DropReserved(func(name string) bool {
		return name == model.MetricName || name == "__type__" || name == "__unit__"
	})
}

// unique reports that no two rows have the same labels. If they do, whether that is an
// error depends on the steps at which they have values.
func unique(rows []row) bool {
	seen := make(map[uint64]struct{}, len(rows))
	for i := range rows {
		h := rows[i].labels.Hash()
		if _, dup := seen[h]; dup {
			return false
		}
		seen[h] = struct{}{}
	}
	return true
}

// result turns an operand into a value of Prometheus' types.
func (ev *evaluator) result(out operand, isRange bool) (parser.Value, error) {
	if out.scalar != nil {
		if !isRange {
			return promql.Scalar{T: ev.start, V: out.scalar[0]}, nil
		}
		out.rows = []row{{vals: out.scalar}}
	}
	if !isRange {
		vec := make(promql.Vector, 0, len(out.rows))
		for _, r := range out.rows {
			switch {
			case !isAbsent(r.vals[0]):
				vec = append(vec, promql.Sample{Metric: r.labels, T: ev.start, F: r.vals[0]})
			case r.hists != nil && r.hists[0] != nil:
				vec = append(vec, promql.Sample{Metric: r.labels, T: ev.start, H: r.hists[0]})
			}
		}
		return vec, nil
	}
	mat := make(promql.Matrix, 0, len(out.rows))
	for _, r := range out.rows {
		s, err := ev.series(r)
		if err != nil {
			return nil, err
		}
		if len(s.Floats)+len(s.Histograms) > 0 {
			mat = append(mat, s)
		}
	}
	slices.SortFunc(mat, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return mat, nil
}

// series turns a row into a series of points.
func (ev *evaluator) series(r row) (promql.Series, error) {
	s := promql.Series{Metric: r.labels}
	count := 0
	for _, v := range r.vals {
		if !isAbsent(v) {
			count++
		}
	}
	if err := ev.acct.Hold(int64(count) * 16); err != nil {
		return s, err
	}
	if count > 0 {
		s.Floats = make([]promql.FPoint, 0, count)
	}
	for i, v := range r.vals {
		if !isAbsent(v) {
			s.Floats = append(s.Floats, promql.FPoint{T: ev.at(i), F: v})
		}
	}
	for i, h := range r.hists {
		if h != nil {
			s.Histograms = append(s.Histograms, promql.HPoint{T: ev.at(i), H: h})
		}
	}
	return s, nil
}
