// Package promql answers PromQL over the metric store.
//
// The parser is Prometheus' own, and so is an engine inside: the oracle that the
// vectorised evaluator (vector.go) is tested against, and what evaluates the single nodes
// of a query that are not vectorised (graft.go):
//
//	text --parse--> Expr --vectorised--> value
//	                          |  ^
//	                   node + v  | rows
//	                  arguments: Prometheus' engine
//
// Both read through the same [store.MetricReader] (querier.go). What users see, texts of
// errors, warnings and infos included, is Prometheus'. docs/promql.md lists what is
// grafted.
//
// The package knows nothing of HTTP or limits; packages api and query add those.
package promql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// ErrParse is wrapped by errors about the text of a query. Its message is Prometheus',
// with the position.
var ErrParse = errors.New("invalid PromQL")

// ErrEval is wrapped by errors of evaluation that the query itself causes: many-to-many
// matching, duplicate series and the like.
var ErrEval = errors.New("PromQL evaluation")

// Options configures an Engine. The zero value is ready to use.
type Options struct {
	Lookback   time.Duration // how old a sample may be to count as current; 0 means 5 min
	MaxSamples int           // samples one query may hold; 0 means 50 million
	Logger     *slog.Logger  // nil discards

	// Features are the experimental parts of PromQL that are on, of those that [Features]
	// names.
	Features []string

	// Reference sends every query to Prometheus' engine: for tests and comparisons.
	Reference bool
}

// Engine evaluates PromQL. It is safe for concurrent use.
type Engine struct {
	engine     *promql.Engine
	parser     parser.Parser
	features   []string
	logger     *slog.Logger
	lookback   time.Duration
	maxSamples int
	reference  bool

	bufs   sync.Pool // of *rollupBuf: the memory of workers
	series sync.Pool // of *[]rollupSeries
}

// noTimeout leaves timing out to the context.
const noTimeout = 1<<63 - 1

// New returns an Engine.
func New(opts Options) *Engine {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		parser: newParser(opts.Features), features: opts.Features, logger: opts.Logger, lookback: cmp.Or(opts.Lookback, 5*time.Minute),
		maxSamples: cmp.Or(opts.MaxSamples, 50_000_000), reference: opts.Reference,
	}
	e.engine = promql.NewEngine(e.engineOptions())
	return e
}

// engineOptions configures Prometheus' engine.
func (e *Engine) engineOptions() promql.EngineOpts {
	return promql.EngineOpts{
		Logger:                   e.logger,
		MaxSamples:               e.maxSamples,
		Timeout:                  noTimeout,
		LookbackDelta:            e.lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return defaultSubqueryStep },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   e.parser,
	}
}

// defaultSubqueryStep is the step of a subquery that names none, milliseconds.
const defaultSubqueryStep = 60_000

// Query is an expression and where to evaluate it.
type Query struct {
	Tenant   model.Tenant
	Text     string
	Start    time.Time // of an instant query the only time
	End      time.Time
	Step     time.Duration // 0 means an instant query
	Lookback time.Duration // 0 means the engine's
}

// Result is the value of a query. Value is a parser.Value: promql.Matrix, promql.Vector,
// promql.Scalar or promql.String. It shares no memory with the store.
type Result struct {
	Value    parser.Value
	Warnings []string
	Infos    []string

	CachedSteps int // steps that a Cache did not evaluate again
}

// Run evaluates q over r, charging acct. Errors wrap [ErrParse], [ErrEval],
// [store.ErrTooBroad], or are those of the reader or ctx.
func (e *Engine) Run(ctx context.Context, r store.MetricReader, q Query, acct *store.Account) (Result, error) {
	expr, err := e.Parse(q.Text)
	if err != nil {
		return Result{}, err
	}
	if !e.reference {
		v, annos, err := e.vectorised(ctx, r, q, expr, acct)
		if err == nil {
			warnings, infos := annos.AsStrings(q.Text, maxAnnotations, maxAnnotations)
			return Result{Value: v, Warnings: warnings, Infos: infos}, nil
		}
		if !errors.Is(err, errFallback) {
			return Result{}, err
		}
	}
	return e.runReference(ctx, r, q, acct)
}

// runReference evaluates q on Prometheus' engine.
func (e *Engine) runReference(ctx context.Context, r store.MetricReader, q Query, acct *store.Account) (Result, error) {
	opts := promql.NewPrometheusQueryOpts(false, q.Lookback)
	queryable := &queryable{reader: r, tenant: q.Tenant, acct: acct}
	var query promql.Query
	var err error
	if q.Step > 0 {
		query, err = e.engine.NewRangeQuery(ctx, queryable, opts, q.Text, q.Start, q.End, q.Step)
	} else {
		query, err = e.engine.NewInstantQuery(ctx, queryable, opts, q.Text, q.Start)
	}
	if err != nil {
		return Result{}, parseError(err)
	}
	defer query.Close()
	res := query.Exec(ctx)
	if res.Err != nil {
		return Result{}, evalError(ctx, res.Err)
	}
	warnings, infos := res.Warnings.AsStrings(q.Text, maxAnnotations, maxAnnotations)
	return Result{Value: detach(res.Value), Warnings: warnings, Infos: infos}, nil
}

// maxAnnotations bounds the warnings and infos of one answer, as in Prometheus.
const maxAnnotations = 10

// detach copies what query.Close would take back: the engine pools the points of a
// matrix.
func detach(v parser.Value) parser.Value {
	m, ok := v.(promql.Matrix)
	if !ok {
		return v
	}
	out := make(promql.Matrix, len(m))
	for i, s := range m {
		out[i] = promql.Series{
			Metric:     s.Metric,
			Floats:     append([]promql.FPoint(nil), s.Floats...),
			Histograms: append([]promql.HPoint(nil), s.Histograms...),
		}
	}
	return out
}

func evalError(ctx context.Context, err error) error {
	var tooMany promql.ErrTooManySamples
	var storage promql.ErrStorage
	var canceled promql.ErrQueryCanceled
	var timeout promql.ErrQueryTimeout
	switch {
	case ctx.Err() != nil && (errors.As(err, &canceled) || errors.As(err, &timeout)):
		return ctx.Err()
	case errors.As(err, &tooMany):
		return fmt.Errorf("%w: %w", store.ErrTooBroad, err)
	case errors.As(err, &storage):
		return storage.Err
	}
	return evaluation{err}
}

// evaluation keeps Prometheus' text and is [ErrEval].
type evaluation struct{ error }

func (evaluation) Is(target error) bool { return target == ErrEval }

// parsing keeps Prometheus' text and is [ErrParse].
type parsing struct{ error }

func (parsing) Is(target error) bool { return target == ErrParse }

func parseError(err error) error { return parsing{err} }

// Parse checks text and returns its syntax tree. Errors wrap [ErrParse].
func (e *Engine) Parse(text string) (parser.Expr, error) {
	expr, err := e.parser.ParseExpr(text)
	if err != nil {
		return nil, parseError(e.disabled(text, err))
	}
	return expr, nil
}

// Selector parses a series selector such as up{job="x"}. Errors wrap [ErrParse].
func (e *Engine) Selector(text string) ([]*model.Matcher, error) {
	ms, err := e.parser.ParseMetricSelector(text)
	if err != nil {
		return nil, parseError(err)
	}
	return convertMatchers(ms)
}

// Selectors returns the matchers of every selector in expr.
func Selectors(expr parser.Expr) ([][]*model.Matcher, error) {
	var out [][]*model.Matcher
	for _, ms := range parser.ExtractSelectors(expr) {
		converted, err := convertMatchers(ms)
		if err != nil {
			return nil, err
		}
		out = append(out, converted)
	}
	return out, nil
}
