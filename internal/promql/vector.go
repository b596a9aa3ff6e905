package promql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

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
// It covers what dashboards and rules ask all day. Whatever it does not cover exactly,
// be it a construct or a rare state of the data (native histograms, duplicate label
// sets), is errFallback, and the whole query runs on Prometheus' engine instead. Equality
// with that engine is tested over Prometheus' own scripts and over random expressions.

// errFallback means that Prometheus' engine must evaluate the query.
var errFallback = errors.New("not vectorised")

// absent marks a step without a value in a row. It is the bit pattern of a stale marker,
// which no sample that counts can have.
func absent() float64 { return math.Float64frombits(value.StaleNaN) }

func isAbsent(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

// row is one series at all steps.
type row struct {
	labels labels.Labels
	vals   []float64
}

// operand is the value of an expression: a scalar (one value a step) or rows.
type operand struct {
	scalar []float64
	rows   []row
}

// evaluator evaluates one query.
type evaluator struct {
	ctx     context.Context //nolint:containedctx // the evaluator lives as long as one call of Run
	reader  store.MetricReader
	tenant  model.Tenant
	acct    *store.Account
	start   int64 // of the first step, Unix milliseconds
	step    int64 // milliseconds, 0 if there is one step
	n       int   // steps
	look    int64 // lookback, milliseconds
	workers int
	points  atomic.Int64 // values held in rows
	max     int64        // bound of points
	annos   annotations.Annotations
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

// vectorised evaluates expr at the steps of q. It returns errFallback if it must not.
func (e *Engine) vectorised(ctx context.Context, r store.MetricReader, q Query, expr parser.Expr, acct *store.Account) (parser.Value, annotations.Annotations, error) {
	ev := &evaluator{
		ctx: ctx, reader: r, tenant: q.Tenant, acct: acct,
		start: q.Start.UnixMilli(), n: 1, look: e.lookback.Milliseconds(), workers: runtime.GOMAXPROCS(0),
		max: int64(e.maxSamples),
	}
	if q.Step > 0 {
		ev.step = q.Step.Milliseconds()
		if ev.step == 0 {
			return nil, nil, errFallback
		}
		ev.n = int((q.End.UnixMilli()-ev.start)/ev.step) + 1
	}
	if q.Lookback > 0 {
		ev.look = q.Lookback.Milliseconds()
	}
	out, err := ev.eval(expr)
	if err != nil {
		return nil, nil, err
	}
	v, err := ev.result(out, q.Step > 0)
	return v, ev.annos, err
}

// eval evaluates an expression.
func (ev *evaluator) eval(expr parser.Expr) (operand, error) {
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		return operand{scalar: ev.constant(e.Val)}, nil
	case *parser.ParenExpr:
		return ev.eval(e.Expr)
	case *parser.UnaryExpr:
		return ev.unary(e)
	case *parser.VectorSelector:
		rows, err := ev.rollup(e, rollupSpec{vs: e, window: ev.look, f: lastSample, instant: true, keepName: true})
		return operand{rows: rows}, err
	case *parser.Call:
		return ev.call(e)
	case *parser.AggregateExpr:
		rows, err := ev.aggregate(e)
		return operand{rows: rows}, err
	case *parser.BinaryExpr:
		return ev.binary(e)
	default:
		return operand{}, errFallback
	}
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
	return ev.mapValues(in, true, func(v float64) float64 { return -v })
}

// mapValues applies f to every value of in, in place.
func (ev *evaluator) mapValues(in operand, dropName bool, f func(float64) float64) (operand, error) {
	for i, v := range in.scalar {
		in.scalar[i] = f(v)
	}
	for i := range in.rows {
		r := &in.rows[i]
		if dropName {
			r.labels = dropMetadata(r.labels)
		}
		for j, v := range r.vals {
			if !isAbsent(v) {
				r.vals[j] = f(v)
			}
		}
	}
	if dropName {
		return in, checkUnique(in.rows)
	}
	return in, nil
}

// dropMetadata removes the metric name and the labels that describe it.
func dropMetadata(ls labels.Labels) labels.Labels {
	return ls.DropReserved(func(name string) bool {
		return name == model.MetricName || name == "__type__" || name == "__unit__"
	})
}

// checkUnique falls back when two rows have the same labels: whether that is an error
// depends on the steps at which they have values.
func checkUnique(rows []row) error {
	seen := make(map[uint64]struct{}, len(rows))
	for i := range rows {
		h := rows[i].labels.Hash()
		if _, dup := seen[h]; dup {
			return errFallback
		}
		seen[h] = struct{}{}
	}
	return nil
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
			if !isAbsent(r.vals[0]) {
				vec = append(vec, promql.Sample{Metric: r.labels, T: ev.start, F: r.vals[0]})
			}
		}
		return vec, nil
	}
	mat := make(promql.Matrix, 0, len(out.rows))
	for _, r := range out.rows {
		count := 0
		for _, v := range r.vals {
			if !isAbsent(v) {
				count++
			}
		}
		if count == 0 {
			continue
		}
		if err := ev.acct.Hold(int64(count) * 16); err != nil {
			return nil, err
		}
		points := make([]promql.FPoint, 0, count)
		for i, v := range r.vals {
			if !isAbsent(v) {
				points = append(points, promql.FPoint{T: ev.at(i), F: v})
			}
		}
		mat = append(mat, promql.Series{Metric: r.labels, Floats: points})
	}
	slices.SortFunc(mat, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return mat, nil
}
