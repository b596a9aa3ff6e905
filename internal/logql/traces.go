package logql

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A label filter that Loki's language does not have asks the traces:
//
//	{service_name="api"} | trace_id in { status = error && duration > 1s }
//	{service_name="api"} | trace_id in ({ .user = "u1" } >> { status = error })
//
// In braces stands a TraceQL spanset filter, in parentheses any TraceQL search. Before the
// query runs, each is asked for the ids of its traces in the time range, and the filter
// becomes one that compares the label with these: so the store prunes by them as by any
// other value.

// TraceFinder returns the ids, lower-case hex, of the traces of tenant that a TraceQL query
// selects in r. More than limit of them are an error.
type TraceFinder func(ctx context.Context, tenant model.Tenant, query string, r model.TimeRange, limit int, acct *store.Account) ([]string, error)

// maxTraces bounds the ids of one filter.
const maxTraces = 1000

// noTrace is a value that no label has.
const noTrace = "\xff no trace"

// traceCond is label in {traceql}. It is replaced before a query is bound.
type traceCond struct {
	name  string
	query string // TraceQL
	paren bool   // written in parentheses
}

func (c *traceCond) String() string {
	if c.paren {
		return c.name + " in (" + c.query + ")"
	}
	return c.name + " in " + c.query
}

func (c *traceCond) names(dst []string) []string { return append(dst, c.name) }

func (c *traceCond) build() (predicate, error) {
	return nil, parseErrorf("%s: traces can be asked in queries only, not in tails and delete requests", c)
}

// traceText returns the length of the TraceQL at the start of s, which begins with an
// opening bracket, up to the one that closes it; 0 if none does.
func traceText(s string) int {
	var open []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '{':
			open = append(open, '}')
		case '(':
			open = append(open, ')')
		case '}', ')':
			if open[len(open)-1] != c {
				return 0
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return i + 1
			}
		case '"', '`':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' && c == '"' {
					i++
				}
			}
		}
	}
	return 0
}

// traceCondition parses what follows the label t: in and TraceQL, which is one token.
func (p *parser) traceCondition(t *token) (condition, error) {
	text := p.take().text
	c := &traceCond{name: t.text, query: text}
	if text[0] == '(' {
		c.paren, c.query = true, strings.TrimSpace(text[1:len(text)-1])
	}
	if strings.Trim(c.query, "{} ") == "" && c.paren {
		return nil, p.errorf(t, "%s in (): a TraceQL query is missing", t.text)
	}
	return c, nil
}

// tracer replaces the trace conditions of a query.
type tracer struct {
	x     *exec
	known map[string][]string // ids by query and range
}

// resolveTraces returns e without trace conditions. It asks each query once.
func (x *exec) resolveTraces(e Expr) (Expr, error) {
	t := &tracer{x: x, known: map[string][]string{}}
	return t.expr(e)
}

func (t *tracer) expr(e Expr) (Expr, error) {
	switch e := e.(type) {
	case *LogQuery:
		return t.logQuery(e, model.TimeRange{From: t.x.p.Start, To: max(t.x.p.End, t.x.p.Start+1)})
	case *rangeAggExpr:
		r := model.TimeRange{From: t.x.p.Start - int64(e.rng+e.offset), To: t.x.p.End - int64(e.offset) + 1}
		q, err := t.logQuery(e.query, r)
		if err != nil || q == e.query {
			return e, err
		}
		out := *e
		out.query = q
		return &out, nil
	case *vectorAggExpr:
		inner, err := t.metric(e.inner)
		if err != nil || inner == e.inner {
			return e, err
		}
		out := *e
		out.inner = inner
		return &out, nil
	case *labelReplaceExpr:
		inner, err := t.metric(e.inner)
		if err != nil || inner == e.inner {
			return e, err
		}
		out := *e
		out.inner = inner
		return &out, nil
	case *binaryExpr:
		left, err := t.metric(e.left)
		if err != nil {
			return nil, err
		}
		right, err := t.metric(e.right)
		if err != nil || left == e.left && right == e.right {
			return e, err
		}
		out := *e
		out.left, out.right = left, right
		return &out, nil
	}
	return e, nil
}

func (t *tracer) metric(e metricExpr) (metricExpr, error) {
	out, err := t.expr(e)
	if err != nil {
		return nil, err
	}
	m, ok := out.(metricExpr)
	if !ok {
		model.Bug("%s became a log query", e)
	}
	return m, nil
}

func (t *tracer) logQuery(q *LogQuery, r model.TimeRange) (*LogQuery, error) {
	out := q
	for i, s := range q.stages {
		n, ok := s.(*labelFilterNode)
		if !ok {
			continue
		}
		c, err := t.condition(n.cond, r)
		if err != nil {
			return nil, err
		}
		if c != n.cond {
			if out == q {
				out = &LogQuery{Matchers: q.Matchers, stages: slices.Clone(q.stages)}
			}
			out.stages[i] = &labelFilterNode{cond: c}
		}
	}
	return out, nil
}

func (t *tracer) condition(c condition, r model.TimeRange) (condition, error) {
	switch c := c.(type) {
	case *binaryCond:
		left, err := t.condition(c.left, r)
		if err != nil {
			return nil, err
		}
		right, err := t.condition(c.right, r)
		if err != nil || left == c.left && right == c.right {
			return c, err
		}
		return &binaryCond{or: c.or, left: left, right: right}, nil
	case *traceCond:
		ids, err := t.ids(c, r)
		if err != nil {
			return nil, err
		}
		return oneOf(c.name, ids)
	}
	return c, nil
}

// oneOf is the condition that a label has one of values.
func oneOf(name string, values []string) (condition, error) {
	switch len(values) {
	case 0:
		return &labelMatcher{typ: model.MatchEqual, name: name, value: noTrace}, nil
	case 1:
		return &labelMatcher{typ: model.MatchEqual, name: name, value: values[0]}, nil
	}
	text := strings.Join(values, "|")
	re, err := regexp.Compile("^(?:" + text + ")$")
	return &labelMatcher{typ: model.MatchRegexp, name: name, value: text, re: re}, err
}

// ids asks for the traces of c. A range is widened by a minute on both sides: a trace may
// begin after the line that names it was written, on another clock.
func (t *tracer) ids(c *traceCond, r model.TimeRange) ([]string, error) {
	if t.x.engine.Traces == nil {
		return nil, queryErrorf("%s: there are no traces here", c)
	}
	r = model.TimeRange{From: r.From - int64(time.Minute), To: r.To + int64(time.Minute)}
	key := c.query + "\x00" + time.Duration(r.From).String() + time.Duration(r.To).String()
	if ids, ok := t.known[key]; ok {
		return ids, nil
	}
	ids, err := t.x.engine.Traces(t.x.ctx, t.x.tenant, c.query, r, maxTraces, t.x.p.Account)
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	t.known[key] = ids
	return ids, nil
}
