package promql

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-o11y/pharos/internal/store"
)

// Plan is how a part of a query would be evaluated, and what that would read.
type Plan struct {
	Expr  string  `json:"expr"`
	How   string  `json:"how"`             // in words
	Steps int     `json:"steps"`           // at which it is evaluated
	Price *Price  `json:"price,omitempty"` // of a selector
	Args  []*Plan `json:"args,omitempty"`
}

// Price is what a selector would decode.
type Price struct {
	Series int   `json:"series"`
	Chunks int   `json:"chunks"`
	Bytes  int64 `json:"bytes"`
	From   int64 `json:"from"` // Unix milliseconds
	To     int64 `json:"to"`   // exclusive
}

// The ways in which nodes are evaluated.
const (
	howFused     = "series are decoded, rolled up and added to their group one by one"
	howRollup    = "series are decoded and rolled up one by one, all steps at once"
	howSelect    = "series are decoded one by one, all steps at once"
	howRows      = "vectorised over the rows of its arguments"
	howOnce      = "the same at every step: evaluated once"
	howSteps     = "evaluated at the steps of the subquery"
	howReference = "by Prometheus' engine over the rows of its arguments"
	howConstant  = "a constant"
)

// Explain returns the plan of q and the sum of its prices, without reading samples. What
// only the data decides (native histograms, series that are equal without their names) is
// not foreseen.
func (e *Engine) Explain(ctx context.Context, r store.MetricReader, q Query, acct *store.Account) (*Plan, Price, error) {
	var total Price
	expr, err := e.Parse(q.Text)
	if err != nil {
		return nil, total, err
	}
	end := q.End
	if q.Step == 0 {
		end = q.Start
	}
	if expr, err = promql.PreprocessExpr(expr, q.Start, end, q.Step); err != nil {
		return nil, total, parseError(err)
	}
	ev, err := e.evaluator(ctx, r, q, acct)
	if err != nil {
		return nil, total, err
	}
	if ev.n == 0 {
		return nil, total, parseError(errors.New("the query ends before it starts"))
	}
	plan, err := ev.plan(expr)
	if err != nil {
		return nil, total, err
	}
	plan.sum(&total)
	return plan, total, nil
}

// sum adds the prices below p to total.
func (p *Plan) sum(total *Price) {
	if p.Price != nil {
		if total.Series == 0 || p.Price.From < total.From {
			total.From = p.Price.From
		}
		total.To = max(total.To, p.Price.To)
		total.Series += p.Price.Series
		total.Chunks += p.Price.Chunks
		total.Bytes += p.Price.Bytes
	}
	for _, a := range p.Args {
		a.sum(total)
	}
}

// plan explains expr.
func (ev *evaluator) plan(expr parser.Expr) (*Plan, error) {
	p := &Plan{Expr: expr.String(), How: howRows, Steps: ev.n}
	args := ev
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return ev.plan(e.Expr)
	case *parser.NumberLiteral, *parser.StringLiteral:
		p.How = howConstant
		return p, nil
	case *parser.StepInvariantExpr:
		p.How, args = howOnce, &evaluator{query: ev.query, start: ev.start, end: ev.start, n: 1}
	case *parser.VectorSelector:
		p.How = howSelect
		return p, ev.price(p, e, ev.look)
	case *parser.MatrixSelector:
		p.How = howSelect
		vs, ok := e.VectorSelector.(*parser.VectorSelector)
		if !ok {
			return nil, fmt.Errorf("explain %s: a range of no selector", p.Expr)
		}
		return p, ev.price(p, vs, e.Range.Milliseconds())
	case *parser.SubqueryExpr:
		grid := ev.subgrid(&rollupSpec{sub: e, window: e.Range.Milliseconds(), offset: e.OriginalOffset.Milliseconds(), fixed: e.Timestamp})
		p.How = howSteps
		if grid == nil {
			return p, nil
		}
		args = grid
	case *parser.Call:
		p.How = howCall(e)
	case *parser.AggregateExpr:
		p.How = howAggregate(e)
	case *parser.BinaryExpr:
		if m := e.VectorMatching; m != nil && (m.FillValues.LHS != nil || m.FillValues.RHS != nil) {
			p.How = howReference
		}
	}
	for child := range parser.ChildrenIter(expr) {
		arg, ok := child.(parser.Expr)
		if !ok {
			continue
		}
		sub, err := args.plan(arg)
		if err != nil {
			return nil, err
		}
		p.Args = append(p.Args, sub)
	}
	return p, nil
}

// price adds to p what vs reads.
func (ev *evaluator) price(p *Plan, vs *parser.VectorSelector, window int64) error {
	spec := rollupSpec{vs: vs, window: window, offset: vs.OriginalOffset.Milliseconds(), fixed: vs.Timestamp, keepName: true}
	src, err := ev.open(&spec)
	if err != nil {
		return err
	}
	defer src.release(ev)
	rng := ev.reach(&spec)
	p.Price = &Price{Series: len(src.series), From: rng.From, To: rng.To}
	for i := range src.series {
		chunks, bytes := src.series[i].Price()
		p.Price.Chunks += chunks
		p.Price.Bytes += bytes
	}
	return nil
}

func howCall(e *parser.Call) string {
	name := e.Func.Name
	_, plain := plainRollups()[name]
	switch name {
	case "rate", "increase", "delta", "irate", "idelta", "quantile_over_time", "predict_linear", "double_exponential_smoothing":
		plain = true
	case "time", "pi", "vector", "scalar", "max_of", "min_of", "clamp_min", "clamp_max", "round", "clamp", "timestamp",
		"absent", "label_replace", "label_join", "sort", "sort_desc", "histogram_quantile", "histogram_quantiles", "histogram_fraction":
		return howRows
	}
	switch {
	case plain:
		return howRollup
	case elementwise(name) != nil || datePart(name) != nil || histogramPart(name) != nil:
		return howRows
	default:
		return howReference
	}
}

func howAggregate(e *parser.AggregateExpr) string {
	_, plain := aggregations()[e.Op]
	heap := e.Op == parser.TOPK || e.Op == parser.BOTTOMK
	if !plain && !heap && e.Op != parser.QUANTILE {
		return howReference
	}
	arg := e.Expr
	for {
		p, ok := arg.(*parser.ParenExpr)
		if !ok {
			break
		}
		arg = p.Expr
	}
	switch a := arg.(type) {
	case *parser.VectorSelector:
		if plain || heap {
			return howFused
		}
	case *parser.Call:
		if (plain || heap) && howCall(a) == howRollup {
			return howFused
		}
	}
	return howRows
}
