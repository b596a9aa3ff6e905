package promql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/pharos-o11y/pharos/internal/store"
)

// A graft is one node of the syntax tree evaluated by Prometheus' engine. Its arguments,
// which the vectorised evaluator has computed, are replaced by selectors whose series are
// their rows:
//
//	a + on (x) b   -->   {__graft__="0"} + on (x) {__graft__="1"}
//
// The selectors stand at the positions of what they replace, so that warnings point at the
// right place. Steps without a value are stale markers. What the node itself reads (the
// series of info(), a selector that is smoothed or anchored) comes from the store.

// graftLabel selects the rows of an argument, by number.
const graftLabel = "__graft__"

// arguments returns the arguments of a node that are vectors or scalars.
// A node that can only be evaluated as a whole has none.
func arguments(expr parser.Expr) []parser.Expr {
	var list []parser.Expr
	add := func(e parser.Expr) {
		if e == nil {
			return
		}
		if t := e.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeScalar {
			list = append(list, e)
		}
	}
	switch e := expr.(type) {
	case *parser.BinaryExpr:
		add(e.LHS)
		add(e.RHS)
	case *parser.UnaryExpr:
		add(e.Expr)
	case *parser.AggregateExpr:
		add(e.Expr)
		add(e.Param)
	case *parser.Call:
		if isWhole(e) {
			return nil
		}
		for _, arg := range e.Args {
			add(arg)
		}
	}
	return list
}

// isWhole reports whether a call can only be evaluated together with its arguments: it
// looks at the selectors in them.
func isWhole(e *parser.Call) bool {
	if e.Func.Name == "info" {
		return true
	}
	for _, arg := range e.Args {
		if arg.Type() == parser.ValueTypeMatrix {
			return true
		}
		if _, ok := arg.(*parser.VectorSelector); ok && (e.Func.Name == "timestamp" || e.Func.Name == "absent") {
			return true
		}
	}
	return false
}

// graft evaluates expr on Prometheus' engine. args are the values of its [arguments].
func (ev *evaluator) graft(expr parser.Expr, args ...operand) (operand, error) {
	g := &grafted{queryable: queryable{reader: ev.reader, tenant: ev.tenant, acct: ev.acct}, ev: ev, args: args}
	node, next := plain(expr), 0
	stand := func(e parser.Expr) parser.Expr {
		if len(args) == 0 || e == nil {
			return e
		}
		if t := e.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
			return e
		}
		next++
		if _, literal := e.(*parser.NumberLiteral); literal {
			return e
		}
		return standIn(next-1, e)
	}
	switch e := node.(type) {
	case *parser.BinaryExpr:
		e.LHS = stand(e.LHS)
		e.RHS = stand(e.RHS)
	case *parser.UnaryExpr:
		e.Expr = stand(e.Expr)
	case *parser.AggregateExpr:
		e.Expr = stand(e.Expr)
		e.Param = stand(e.Param)
	case *parser.Call:
		for i := range e.Args {
			e.Args[i] = stand(e.Args[i])
		}
	}
	v, err := ev.reference(g, node)
	if err != nil {
		return operand{}, err
	}
	return ev.rowsOf(v, expr.Type() == parser.ValueTypeScalar)
}

// standIn is the selector of the rows of argument i, which stand in for e.
func standIn(i int, e parser.Expr) parser.Expr {
	vs := &parser.VectorSelector{
		LabelMatchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, graftLabel, strconv.Itoa(i))},
		PosRange:      e.PositionRange(),
	}
	if e.Type() == parser.ValueTypeVector {
		return vs
	}
	return &parser.Call{Func: parser.Functions["scalar"], Args: parser.Expressions{vs}, PosRange: e.PositionRange()}
}

// reference evaluates node, a tree that nothing else refers to, at the steps of ev.
func (ev *evaluator) reference(q storage.Queryable, node parser.Expr) (parser.Value, error) {
	opts := ev.engine.engineOptions()
	opts.Parser = given{ev.engine.parser, node}
	engine := promql.NewEngine(opts)
	look := promql.NewPrometheusQueryOpts(false, time.Duration(ev.look)*time.Millisecond)
	var query promql.Query
	var err error
	if ev.end == ev.start {
		query, err = engine.NewInstantQuery(ev.ctx, q, look, "", time.UnixMilli(ev.start))
	} else {
		query, err = engine.NewRangeQuery(ev.ctx, q, look, "", time.UnixMilli(ev.start), time.UnixMilli(ev.end), time.Duration(ev.step)*time.Millisecond)
	}
	if err != nil {
		return nil, parseError(err)
	}
	defer query.Close()
	res := query.Exec(ev.ctx)
	if res.Err != nil {
		return nil, evalError(ev.ctx, res.Err)
	}
	ev.annos.Merge(res.Warnings)
	return detach(res.Value), nil
}

// given is a parser that has parsed already.
type given struct {
	parser.Parser
	expr parser.Expr
}

// ParseExpr implements parser.Parser.
func (g given) ParseExpr(string) (parser.Expr, error) { return g.expr, nil }

// rowsOf turns a value of Prometheus' engine into an operand.
func (ev *evaluator) rowsOf(v parser.Value, scalar bool) (operand, error) {
	var out operand
	switch v := v.(type) {
	case promql.Scalar:
		return operand{scalar: []float64{v.V}}, nil
	case promql.Vector:
		for _, s := range v {
			r := row{labels: s.Metric, vals: []float64{s.F}}
			if s.H != nil {
				r.vals[0], r.hists = absent(), []*histogram.FloatHistogram{s.H}
			}
			out.rows = append(out.rows, r)
		}
	case promql.Matrix:
		for _, s := range v {
			vals, err := ev.newRow()
			if err != nil {
				return out, err
			}
			r := row{labels: s.Metric, vals: vals}
			for _, p := range s.Floats {
				vals[(p.T-ev.start)/ev.step] = p.F
			}
			if len(s.Histograms) > 0 {
				r.hists = make([]*histogram.FloatHistogram, ev.n)
			}
			for _, p := range s.Histograms {
				r.hists[(p.T-ev.start)/ev.step] = p.H
			}
			if scalar {
				return operand{scalar: vals}, nil
			}
			out.rows = append(out.rows, r)
		}
	default:
		return out, fmt.Errorf("evaluate part of a query: unexpected type %T", v)
	}
	return out, nil
}

// plain returns a copy of expr as it was before preprocessing, with modifiers resolved.
func plain(expr parser.Expr) parser.Expr {
	switch e := expr.(type) {
	case *parser.StepInvariantExpr:
		return plain(e.Expr)
	case *parser.ParenExpr:
		c := *e
		c.Expr = plain(e.Expr)
		return &c
	case *parser.UnaryExpr:
		c := *e
		c.Expr = plain(e.Expr)
		return &c
	case *parser.BinaryExpr:
		c := *e
		c.LHS, c.RHS = plain(e.LHS), plain(e.RHS)
		return &c
	case *parser.AggregateExpr:
		c := *e
		c.Expr = plain(e.Expr)
		if e.Param != nil {
			c.Param = plain(e.Param)
		}
		c.Grouping = append([]string(nil), e.Grouping...)
		return &c
	case *parser.Call:
		c := *e
		c.Args = make(parser.Expressions, len(e.Args))
		for i, arg := range e.Args {
			c.Args[i] = plain(arg)
		}
		return &c
	case *parser.VectorSelector:
		c := *e
		c.OriginalOffsetExpr, c.StartOrEnd, c.Series, c.UnexpandedSeriesSet = nil, 0, nil, nil
		return &c
	case *parser.MatrixSelector:
		c := *e
		c.RangeExpr, c.VectorSelector = nil, plain(e.VectorSelector)
		return &c
	case *parser.SubqueryExpr:
		c := *e
		c.RangeExpr, c.StepExpr, c.OriginalOffsetExpr, c.StartOrEnd = nil, nil, nil, 0
		c.Expr = plain(e.Expr)
		return &c
	default:
		return expr // literals
	}
}

// grafted serves the rows of arguments, and everything else from the store.
type grafted struct {
	queryable
	ev   *evaluator
	args []operand
}

// Querier implements storage.Queryable.
func (g *grafted) Querier(mint, maxt int64) (storage.Querier, error) {
	return &graftQuerier{querier{queryable: &g.queryable, mint: mint, maxt: maxt}, g}, nil
}

type graftQuerier struct {
	querier
	g *grafted
}

// Select implements storage.Querier.
func (q *graftQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if len(ms) != 1 || ms[0].Name != graftLabel {
		return q.querier.Select(ctx, sorted, hints, ms...)
	}
	i, err := strconv.Atoi(ms[0].Value)
	if err != nil || i >= len(q.g.args) {
		return storage.ErrSeriesSet(errors.New("the label " + graftLabel + " is reserved"))
	}
	arg := q.g.args[i]
	set := &rowSet{ev: q.g.ev, rows: arg.rows}
	if arg.scalar != nil {
		set.rows = []row{{vals: arg.scalar}}
	}
	return set
}

// rowSet is rows as a set of series.
type rowSet struct {
	ev   *evaluator
	rows []row
	next int
}

// Next implements storage.SeriesSet.
func (s *rowSet) Next() bool {
	s.next++
	return s.next <= len(s.rows)
}

// At implements storage.SeriesSet.
func (s *rowSet) At() storage.Series { return &rowSeries{s.ev, &s.rows[s.next-1]} }

// Err implements storage.SeriesSet.
func (s *rowSet) Err() error { return nil }

// Warnings implements storage.SeriesSet.
func (s *rowSet) Warnings() annotations.Annotations { return nil }

type rowSeries struct {
	ev *evaluator
	*row
}

// Labels implements storage.Series.
func (s *rowSeries) Labels() labels.Labels { return s.labels }

// Iterator implements storage.Series.
func (s *rowSeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	it := &iterator{}
	for i, v := range s.vals {
		if s.hists != nil && s.hists[i] != nil {
			it.hs = append(it.hs, store.HistogramSample{Time: s.ev.at(i), Float: s.hists[i]})
			continue
		}
		it.ts, it.vs = append(it.ts, s.ev.at(i)), append(it.vs, v)
	}
	return it
}
