// Package metricsql answers MetricsQL over the metric store: the dialect of
// VictoriaMetrics, with windows that need not be written, default and if, WITH templates,
// and some two hundred functions.
//
//	text --metricsql.Parse--> Expr --evaluator--> series on the grid of the query
//
// It differs from PromQL not in syntax only: rate and increase look at the last sample
// before the window and do not extrapolate. So it is an evaluator of its own, and a plain
// one: every node becomes a list of series whose values lie on the grid of the query, NaN
// where there is none. Only rollups (rollup.go) see raw samples; functions, aggregations
// and operators work on the grid.
//
//	rollup.go, rollupfuncs.go, rollupmulti.go   windows over samples
//	transform*.go                               series by series, labels, whole ranges
//	aggr.go, topk.go                            groups of series
//	binary.go                                   operators and matching
//
// What is done and what is not is listed in docs/metricsql.md, which a test holds against
// the parser's own list.
package metricsql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// ErrParse is wrapped by errors about the text of a query.
var ErrParse = errors.New("invalid MetricsQL")

// ErrEval is wrapped by errors of evaluation that the query itself causes.
var ErrEval = errors.New("MetricsQL evaluation")

// maxText bounds the text of a query, as VictoriaMetrics does: the parser recurses.
const maxText = 16 << 10

// maxPoints bounds the steps of a query.
const maxPoints = 30_000

// Query is an expression and where to evaluate it.
type Query struct {
	Tenant model.Tenant
	Text   string
	Start  time.Time // of an instant query the only time
	End    time.Time
	// Step of a range query; of an instant query the implicit window, 0 for 5 minutes.
	Step    time.Duration
	Instant bool
}

// Series is one series of a result. Values[i] is at Start + i*Step; NaN is no value.
type Series struct {
	Labels model.Labels
	Values []float64
}

// Result is what a query evaluates to, sorted by labels unless the query sorts. Raw is
// set instead of Series when an instant query asks for a range of samples, m[5m].
type Result struct {
	Start, Step int64 // Unix milliseconds, milliseconds
	Series      []Series
	Raw         []RawSeries
}

// RawSeries is the samples of a series.
type RawSeries struct {
	Labels model.Labels
	Times  []int64 // Unix milliseconds
	Values []float64
}

// Engine evaluates MetricsQL. It is safe for concurrent use.
type Engine struct {
	rollups    map[string]rollup
	transforms map[string]transform
	aggregates map[string]aggregate
}

// New returns an Engine.
func New() *Engine {
	return &Engine{rollups: rollupTable(), transforms: transformTable(), aggregates: aggregateTable()}
}

// Parse checks text. Errors wrap [ErrParse].
func (e *Engine) Parse(text string) error {
	_, err := e.parse(text)
	return err
}

func (e *Engine) parse(text string) (metricsql.Expr, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%w: %d bytes of text, at most %d are read", ErrParse, len(text), maxText)
	}
	expr, err := metricsql.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrParse, strings.TrimPrefix(err.Error(), "cannot parse "))
	}
	return expr, e.check(expr)
}

// check refuses what the parser knows and this package does not.
func (e *Engine) check(expr metricsql.Expr) error {
	var err error
	metricsql.VisitAll(expr, func(node metricsql.Expr) {
		var name string
		var known bool
		switch n := node.(type) {
		case *metricsql.FuncExpr:
			name = strings.ToLower(n.Name)
			_, isTransform := e.transforms[name]
			_, isRollup := e.rollups[name]
			known = isTransform || isRollup
		case *metricsql.AggrFuncExpr:
			name = strings.ToLower(n.Name)
			_, known = e.aggregates[name]
		default:
			return
		}
		if !known && err == nil {
			err = fmt.Errorf("%w: unknown or unsupported function %s; docs/metricsql.md lists those there are", ErrParse, name)
		}
	})
	return err
}

// Run evaluates q over r, charging acct. Errors wrap [ErrParse], [ErrEval],
// [store.ErrTooBroad], or are those of the reader or ctx.
func (e *Engine) Run(ctx context.Context, r store.MetricReader, q Query, acct *store.Account) (*Result, error) {
	expr, err := e.parse(q.Text)
	if err != nil {
		return nil, err
	}
	step := q.Step.Milliseconds()
	if q.Instant {
		q.End = q.Start
		if step <= 0 {
			step = (5 * time.Minute).Milliseconds()
		}
	}
	if step <= 0 || q.End.Before(q.Start) {
		return nil, fmt.Errorf("%w: step of %d ms from %s to %s", ErrEval, step, q.Start, q.End)
	}
	ev := &evaluator{
		engine: e, ctx: ctx, reader: r, tenant: q.Tenant, acct: acct,
		start: q.Start.UnixMilli(), end: q.End.UnixMilli(), step: step,
	}
	if n := (ev.end-ev.start)/step + 1; n > maxPoints {
		return nil, fmt.Errorf("%w: %d points a series, at most %d are evaluated; use a bigger step", ErrEval, n, maxPoints)
	}
	if raw, ok := rawRange(expr); ok && q.Instant {
		out, err := ev.raw(raw)
		return &Result{Start: ev.start, Step: step, Raw: out}, err
	}
	list, err := ev.eval(expr)
	if err != nil {
		return nil, err
	}
	return ev.result(expr, list)
}

// result removes empty series and sorts.
func (ev *evaluator) result(expr metricsql.Expr, list []*series) (*Result, error) {
	out := &Result{Start: ev.start, Step: ev.step}
	for _, s := range list {
		if !s.empty() {
			out.Series = append(out.Series, Series{Labels: s.labels, Values: s.values})
		}
	}
	if !sorts(expr) {
		slices.SortStableFunc(out.Series, func(a, b Series) int { return a.Labels.Compare(b.Labels) })
	}
	seen := map[string]bool{}
	for _, s := range out.Series {
		key := labelKey(s.Labels)
		if seen[key] {
			return nil, fmt.Errorf("%w: several series of the result have the labels %s", ErrEval, s.Labels)
		}
		seen[key] = true
	}
	return out, nil
}

// sorts reports whether the order of expr's result is its own.
func sorts(expr metricsql.Expr) bool {
	switch e := expr.(type) {
	case *metricsql.FuncExpr:
		name := strings.ToLower(e.Name)
		return strings.HasPrefix(name, "sort") || name == "limit_offset" || name == "union" || name == ""
	case *metricsql.AggrFuncExpr:
		name := strings.ToLower(e.Name)
		return strings.HasPrefix(name, "topk") || strings.HasPrefix(name, "bottomk") || strings.HasPrefix(name, "outliers")
	case *metricsql.BinaryOpExpr:
		return strings.EqualFold(e.Op, "or")
	}
	return false
}

func nan() float64 { return math.NaN() }
