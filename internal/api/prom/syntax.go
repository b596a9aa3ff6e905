package prom

import (
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// node is a node of the syntax tree as /api/v1/parse_query shows it: the names of fields
// and types are Prometheus'.
type node map[string]any

// syntaxTree returns expr as JSON values.
func syntaxTree(expr parser.Expr) any {
	switch e := expr.(type) {
	case *parser.AggregateExpr:
		return node{
			"type": "aggregation", "op": e.Op.String(), "expr": syntaxTree(e.Expr), "param": syntaxTree(e.Param),
			"grouping": nonNil(e.Grouping), "without": e.Without,
		}
	case *parser.BinaryExpr:
		return node{
			"type": "binaryExpr", "op": e.Op.String(), "lhs": syntaxTree(e.LHS), "rhs": syntaxTree(e.RHS),
			"matching": matching(e.VectorMatching), "bool": e.ReturnBool,
		}
	case *parser.Call:
		args := []any{}
		for _, a := range e.Args {
			args = append(args, syntaxTree(a))
		}
		f := e.Func
		return node{"type": "call", "args": args, "func": node{
			"name": f.Name, "argTypes": f.ArgTypes, "variadic": f.Variadic, "returnType": f.ReturnType,
		}}
	case *parser.MatrixSelector:
		vs, ok := e.VectorSelector.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		n := selectorNode("matrixSelector", vs)
		n["range"], n["rangeExpr"] = e.Range.Milliseconds(), durationNode(e.RangeExpr)
		return n
	case *parser.VectorSelector:
		return selectorNode("vectorSelector", e)
	case *parser.SubqueryExpr:
		return node{
			"type": "subquery", "expr": syntaxTree(e.Expr), "range": e.Range.Milliseconds(), "rangeExpr": durationNode(e.RangeExpr),
			"offset": e.OriginalOffset.Milliseconds(), "offsetExpr": durationNode(e.OriginalOffsetExpr),
			"step": e.Step.Milliseconds(), "stepExpr": durationNode(e.StepExpr),
			"timestamp": e.Timestamp, "startOrEnd": startOrEnd(e.StartOrEnd),
		}
	case *parser.NumberLiteral:
		return node{"type": "numberLiteral", "val": strconv.FormatFloat(e.Val, 'f', -1, 64)}
	case *parser.StringLiteral:
		return node{"type": "stringLiteral", "val": e.Val}
	case *parser.ParenExpr:
		return node{"type": "parenExpr", "expr": syntaxTree(e.Expr)}
	case *parser.UnaryExpr:
		return node{"type": "unaryExpr", "op": e.Op.String(), "expr": syntaxTree(e.Expr)}
	default:
		return nil
	}
}

func selectorNode(kind string, vs *parser.VectorSelector) node {
	return node{
		"type": kind, "name": vs.Name, "matchers": matcherNodes(vs.LabelMatchers),
		"offset": vs.OriginalOffset.Milliseconds(), "offsetExpr": durationNode(vs.OriginalOffsetExpr),
		"timestamp": vs.Timestamp, "startOrEnd": startOrEnd(vs.StartOrEnd), "anchored": vs.Anchored, "smoothed": vs.Smoothed,
	}
}

func matching(m *parser.VectorMatching) any {
	if m == nil {
		return nil
	}
	return node{
		"card": m.Card.String(), "labels": nonNil(m.MatchingLabels), "on": m.On, "include": nonNil(m.Include),
		"fillValues": map[string]*float64{"lhs": m.FillValues.LHS, "rhs": m.FillValues.RHS},
	}
}

func matcherNodes(ms []*labels.Matcher) []node {
	out := []node{}
	for _, m := range ms {
		out = append(out, node{"name": m.Name, "value": m.Value, "type": m.Type.String()})
	}
	return out
}

// durationNode shows an expression that stands for a duration.
func durationNode(e *parser.DurationExpr) any {
	if e == nil {
		return nil
	}
	operand := func(x parser.Expr) any {
		switch x := x.(type) {
		case *parser.DurationExpr:
			return durationNode(x)
		case *parser.NumberLiteral:
			if x == nil {
				return nil
			}
			return node{"type": "numberLiteral", "val": strconv.FormatFloat(x.Val, 'f', -1, 64), "duration": x.Duration}
		default:
			return syntaxTree(x)
		}
	}
	return node{"type": "durationExpr", "op": e.Op.String(), "lhs": operand(e.LHS), "rhs": operand(e.RHS), "wrapped": e.Wrapped}
}

func startOrEnd(t parser.ItemType) any {
	if t == 0 {
		return nil
	}
	return t.String()
}

// nonNil makes JSON show an empty list instead of null.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
