package traceql

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// foldExpr evaluates what consists of literals only, and brings literals into the form
// in which they are compared. It runs once, on a checked query.
func foldExpr(e *Expr) {
	if e.meter != nil {
		foldMetrics(e.meter)
		return
	}
	foldPipeline(e.pipe)
}

func foldMetrics(m metrics) {
	switch m := m.(type) {
	case *metricOp:
		foldMetrics(m.l)
		foldMetrics(m.r)
	case *metricQuery:
		foldPipeline(m.pipe)
		if m.cmp != nil {
			foldSpansets(m.cmp.sel)
		}
	}
}

func foldPipeline(pl *pipeline) {
	for _, s := range pl.stages {
		switch s := s.(type) {
		case spansets:
			foldSpansets(s)
		case *scalarFilter:
			foldScalar(s.l)
			foldScalar(s.r)
		case *groupBy:
			s.expr = fold(s.expr)
		}
	}
}

func foldSpansets(e spansets) {
	switch e := e.(type) {
	case *filter:
		if e.expr != nil {
			e.expr = fold(e.expr)
		}
	case *spansetOp:
		foldSpansets(e.l)
		foldSpansets(e.r)
	case *pipeline:
		foldPipeline(e)
	}
}

func foldScalar(s scalar) {
	switch s := s.(type) {
	case *scalarOp:
		foldScalar(s.l)
		foldScalar(s.r)
	case *aggregate:
		if s.expr != nil {
			s.expr = fold(s.expr)
		}
	}
}

// fold returns e with its constant parts evaluated. What fails is left for run time.
func fold(e field) field {
	switch e := e.(type) {
	case *unary:
		e.x = fold(e.x)
		x, ok := e.x.(*literal)
		if !ok {
			return e
		}
		if v := applyUnary(e.op, x.val); v.typ != TypeNil {
			return &literal{v, e.at}
		}
	case *binary:
		e.l, e.r = fold(e.l), fold(e.r)
		normaliseIDs(e)
		l, lok := e.l.(*literal)
		r, rok := e.r.(*literal)
		if !lok || !rok {
			return e
		}
		if v := foldBinary(e.op, l.val, r.val); v.typ != TypeNil && finite(v) {
			return &literal{v, l.at}
		}
	}
	return e
}

func foldBinary(op operator, l, r Value) Value {
	switch {
	case l.typ == TypeNil && r.typ == TypeNil:
		return boolValue(false)
	case l.typ == TypeNil || r.typ == TypeNil:
		return boolValue(op == opNotEqual)
	case op.regex():
		re, err := labels.NewFastRegexMatcher(r.s)
		if err != nil {
			return Value{}
		}
		return boolValue(re.MatchString(l.s) == (op == opRegex))
	}
	return apply(op, l, r)
}

func applyUnary(op operator, v Value) Value {
	if op == opNot {
		if v.typ != TypeBool {
			return Value{}
		}
		return boolValue(v.n == 0)
	}
	out := negate(v)
	return out
}

// normaliseIDs makes comparisons of ids with = and != blind to leading zeros and case:
// the literal gets the form in which the intrinsic is evaluated.
func normaliseIDs(e *binary) {
	if e.op != opEqual && e.op != opNotEqual {
		return
	}
	a, ok := e.l.(*attribute)
	lit, lok := e.r.(*literal)
	if !ok {
		a, ok = e.r.(*attribute)
		lit, lok = e.l.(*literal)
	}
	if !ok || !lok || lit.val.typ != TypeString {
		return
	}
	s := strings.ToLower(lit.val.s)
	switch a.in {
	case inTraceID, inLinkTraceID:
		s = strings.TrimLeft(s, "0")
	case inSpanID, inParentID, inLinkSpanID:
		if len(s) < 16 {
			s = strings.Repeat("0", 16-len(s)) + s
		}
	default:
		return
	}
	lit.val.s = s
}
