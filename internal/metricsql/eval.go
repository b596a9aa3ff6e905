package metricsql

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// evaluator evaluates nodes on one grid: from start to end by step, Unix milliseconds.
type evaluator struct {
	engine           *Engine
	ctx              context.Context //nolint:containedctx // an evaluator lives as long as one query
	reader           store.MetricReader
	tenant           model.Tenant
	acct             *store.Account
	start, end, step int64
}

// points returns the number of points of the grid.
func (ev *evaluator) points() int { return int((ev.end-ev.start)/ev.step) + 1 }

// on returns an evaluator of another grid.
func (ev *evaluator) on(start, end, step int64) (*evaluator, error) {
	sub := *ev
	sub.start, sub.end, sub.step = start, end, step
	if step <= 0 {
		return nil, fmt.Errorf("%w: step of %d ms", ErrEval, step)
	}
	if n := sub.points(); n > maxPoints {
		return nil, fmt.Errorf("%w: a subquery has %d points, at most %d are evaluated", ErrEval, n, maxPoints)
	}
	return &sub, nil
}

// hold charges n series of the grid.
func (ev *evaluator) hold(n int) error { return ev.acct.Hold(int64(n) * int64(ev.points()*8+200)) }

// constant is a series without labels.
func (ev *evaluator) constant(v float64) []*series {
	values := make([]float64, ev.points())
	for i := range values {
		values[i] = v
	}
	return []*series{{values: values}}
}

// generate is a series without labels of f of each time, in seconds.
func (ev *evaluator) generate(f func(at float64) float64) []*series {
	values := make([]float64, ev.points())
	for i := range values {
		values[i] = f(float64(ev.start+int64(i)*ev.step) / 1e3)
	}
	return []*series{{values: values}}
}

// eval evaluates a node. The result belongs to the caller.
func (ev *evaluator) eval(expr metricsql.Expr) ([]*series, error) {
	if err := ev.ctx.Err(); err != nil {
		return nil, err
	}
	switch e := expr.(type) {
	case *metricsql.MetricExpr:
		return ev.rollup("default_rollup", nil, &metricsql.RollupExpr{Expr: e}, false)
	case *metricsql.RollupExpr:
		return ev.rollup("default_rollup", nil, e, false)
	case *metricsql.FuncExpr:
		return ev.function(e)
	case *metricsql.AggrFuncExpr:
		return ev.aggregate(e)
	case *metricsql.BinaryOpExpr:
		return ev.binary(e)
	case *metricsql.NumberExpr:
		return ev.constant(e.N), nil
	case *metricsql.DurationExpr:
		return ev.constant(float64(e.Duration(ev.step)) / 1e3), nil
	case *metricsql.StringExpr:
		return nil, fmt.Errorf("%w: the string %q stands where series are needed", ErrEval, e.S)
	}
	return nil, fmt.Errorf("%w: unexpected %T", ErrEval, expr)
}

// function evaluates a transform or a rollup function.
func (ev *evaluator) function(e *metricsql.FuncExpr) ([]*series, error) {
	name := strings.ToLower(e.Name)
	if at := metricsql.GetRollupArgIdx(e); at >= 0 {
		if at >= len(e.Args) {
			return nil, fmt.Errorf("%w: %s has %d arguments, it needs more than %d", ErrEval, name, len(e.Args), at)
		}
		re, ok := e.Args[at].(*metricsql.RollupExpr)
		if !ok {
			re = &metricsql.RollupExpr{Expr: e.Args[at]}
		}
		rest := append(append([]metricsql.Expr{}, e.Args[:at]...), e.Args[at+1:]...)
		return ev.rollup(name, rest, re, e.KeepMetricNames)
	}
	t := ev.engine.transforms[name]
	if n := len(e.Args); n < t.min || t.max >= 0 && n > t.max {
		return nil, fmt.Errorf("%w: %s has %d arguments, it takes %s", ErrEval, name, n, t.arity())
	}
	c := &call{ev: ev, name: name, args: e.Args}
	out, err := t.eval(c)
	if err != nil {
		return nil, err
	}
	if !t.keepName && !e.KeepMetricNames {
		for _, s := range out {
			s.dropName()
		}
	}
	return out, nil
}

// call is a function with its arguments, evaluated when asked for.
type call struct {
	ev   *evaluator
	name string
	args []metricsql.Expr
}

func (c *call) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrEval, c.name, fmt.Sprintf(format, args...))
}

// has reports whether there is an argument i.
func (c *call) has(i int) bool { return i < len(c.args) }

// series evaluates argument i.
func (c *call) series(i int) ([]*series, error) {
	if !c.has(i) {
		return nil, c.errorf("argument %d is missing", i+1)
	}
	return c.ev.eval(c.args[i])
}

// scalar evaluates argument i to one series.
func (c *call) scalar(i int) ([]float64, error) {
	list, err := c.series(i)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, c.errorf("argument %d is %d series, want a number", i+1, len(list))
	}
	return list[0].values, nil
}

// number evaluates argument i to a number that does not change.
func (c *call) number(i int) (float64, error) {
	values, err := c.scalar(i)
	if err != nil || len(values) == 0 {
		return nan(), err
	}
	return values[0], nil
}

// text returns argument i, a string.
func (c *call) text(i int) (string, error) {
	if !c.has(i) {
		return "", c.errorf("argument %d is missing", i+1)
	}
	switch e := c.args[i].(type) {
	case *metricsql.StringExpr:
		return e.S, nil
	case *metricsql.MetricExpr: // a bare word
		if list := e.LabelFilterss; len(list) == 1 && len(list[0]) == 1 && list[0][0].Label == model.MetricName && !list[0][0].IsRegexp && !list[0][0].IsNegative {
			return list[0][0].Value, nil
		}
	}
	return "", c.errorf("argument %d must be a string", i+1)
}

// texts returns the arguments from i on, strings.
func (c *call) texts(i int) ([]string, error) {
	var out []string
	for ; c.has(i); i++ {
		s, err := c.text(i)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// matchersOf returns the alternatives of a selector.
func matchersOf(e *metricsql.MetricExpr) ([][]*model.Matcher, error) {
	var out [][]*model.Matcher
	for _, filters := range e.LabelFilterss {
		var ms []*model.Matcher
		for _, f := range filters {
			t := model.MatchEqual
			switch {
			case f.IsRegexp && f.IsNegative:
				t = model.MatchNotRegexp
			case f.IsRegexp:
				t = model.MatchRegexp
			case f.IsNegative:
				t = model.MatchNotEqual
			}
			m, err := model.NewMatcher(t, f.Label, f.Value)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrParse, err)
			}
			ms = append(ms, m)
		}
		out = append(out, ms)
	}
	return out, nil
}

// same reports equality where NaN equals NaN.
func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
