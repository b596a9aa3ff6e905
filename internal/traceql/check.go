package traceql

import (
	"github.com/prometheus/prometheus/model/labels"
)

// typeOf is what is known of an expression's type before it runs: dynamic when only the
// span tells.
type typeOf struct {
	Type
	dynamic bool
}

//nolint:gochecknoglobals // read-only
var dynamic = typeOf{dynamic: true}

// checkExpr applies every static rule to a parsed query.
func checkExpr(e *Expr) error {
	if e.meter != nil {
		return checkMetrics(e.meter, false)
	}
	return checkPipeline(e.pipe)
}

func checkPipeline(pl *pipeline) error {
	for _, s := range pl.stages {
		var err error
		switch s := s.(type) {
		case spansets:
			err = checkSpansets(s)
		case *scalarFilter:
			if err = checkScalar(s.l); err == nil {
				err = checkScalar(s.r)
			}
		case *groupBy:
			if _, err = check(s.expr); err == nil && !referencesSpan(s.expr) {
				err = s.at.errorf("grouping field expressions must reference the span: by(%s)", fieldText(s.expr))
			}
		case *selection:
			err = checkAttributes(s.attrs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkAttributes(attrs []*attribute) error {
	for _, a := range attrs {
		if _, err := check(a); err != nil {
			return err
		}
	}
	return nil
}

func checkSpansets(e spansets) error {
	switch e := e.(type) {
	case *filter:
		return checkFilter(e)
	case *spansetOp:
		if err := checkSpansets(e.l); err != nil {
			return err
		}
		return checkSpansets(e.r)
	case *pipeline:
		return checkPipeline(e)
	}
	return nil
}

func checkFilter(f *filter) error {
	if f.expr == nil {
		return nil
	}
	t, err := check(f.expr)
	if err != nil {
		return err
	}
	if !t.dynamic && t.Type != TypeBool {
		return f.expr.pos().errorf("span filter field expressions must resolve to a boolean: { %s }", fieldText(f.expr)).
			hint("this is a %s; compare it with something", t.Type)
	}
	return nil
}

func checkScalar(s scalar) error {
	switch s := s.(type) {
	case *scalarOp:
		if err := checkScalar(s.l); err != nil {
			return err
		}
		return checkScalar(s.r)
	case *aggregate:
		if s.expr == nil {
			return nil
		}
		t, err := check(s.expr)
		switch {
		case err != nil:
			return err
		case !t.dynamic && !t.numeric():
			return s.at.errorf("aggregate field expressions must resolve to a number type: %s(%s)", s.name, fieldText(s.expr))
		case !referencesSpan(s.expr):
			return s.at.errorf("aggregate field expressions must reference the span: %s(%s)", s.name, fieldText(s.expr))
		}
	}
	return nil
}

// referencesSpan reports whether e mentions an attribute or intrinsic.
func referencesSpan(e field) bool {
	found := false
	walk(e, func(*attribute) { found = true })
	return found
}

// walk calls f for every attribute in e, left to right.
func walk(e field, f func(*attribute)) {
	switch e := e.(type) {
	case *attribute:
		f(e)
	case *unary:
		walk(e.x, f)
	case *binary:
		walk(e.l, f)
		walk(e.r, f)
	}
}

func checkMetrics(m metrics, nested bool) error {
	switch m := m.(type) {
	case *metricOp:
		if err := checkMetrics(m.l, true); err != nil {
			return err
		}
		return checkMetrics(m.r, true)
	case *metricQuery:
		return checkMetricQuery(m, nested)
	}
	return nil
}

func checkMetricQuery(m *metricQuery, nested bool) error {
	if err := checkPipeline(m.pipe); err != nil {
		return err
	}
	attrs := m.by
	if m.attr != nil {
		attrs = append([]*attribute{m.attr}, attrs...)
	}
	if err := checkAttributes(attrs); err != nil {
		return err
	}
	if limit := metricFuncs[m.fn].maxBy; len(m.by) > limit {
		return m.by[limit].at.errorf("metrics group by %d values not yet supported", len(m.by)).
			hint("%s groups by at most %d", m.fn, limit)
	}
	for _, q := range m.quantiles {
		if q < 0 || q > 1 {
			return m.at.errorf("quantile must be between 0 and 1: %s", formatFloat(q))
		}
	}
	c := m.cmp
	if c == nil {
		return nil
	}
	switch {
	case nested || len(m.second) > 0:
		return m.at.errorf("`compare()` cannot be used with second stage functions")
	case c.topN < 1 || c.topN > 1000:
		return m.at.errorf("compare() top number of values must be between 1 and 1000, is %d", c.topN)
	case c.args == 3 && (c.start <= 0 || c.end <= 0):
		return m.at.errorf("compare() timestamps must be positive Unix nanoseconds")
	case c.args == 3 && c.end <= c.start:
		return m.at.errorf("compare() end timestamp must be after its start timestamp")
	}
	return checkFilter(c.sel)
}

// check returns the type of e, or what is wrong with it.
func check(e field) (typeOf, error) {
	switch e := e.(type) {
	case *literal:
		return typeOf{Type: e.val.typ}, nil
	case *attribute:
		return checkAttribute(e)
	case *unary:
		t, err := check(e.x)
		if err != nil {
			return t, err
		}
		if !t.dynamic && (e.op == opNot && t.Type != TypeBool || e.op == opSub && !t.numeric()) {
			return t, e.at.errorf("illegal operation for the given type: %s", fieldText(e)).hint("the operand is a %s", t.Type)
		}
		return t, nil
	case *binary:
		return checkBinary(e)
	}
	return dynamic, nil
}

func checkAttribute(e *attribute) (typeOf, error) {
	switch {
	case e.parent:
		return dynamic, e.at.errorf("parent not yet supported").hint("relate spans with > as in { .a } > { .b }")
	case e.in == inParent:
		return dynamic, e.at.errorf("intrinsic (parent) not yet supported").hint("root spans are nestedSetParent < 0")
	case e.in == inNone, e.in == inScopeName, e.in == inScopeVersion:
		return dynamic, nil
	}
	return typeOf{Type: e.in.info().typ}, nil
}

func checkBinary(e *binary) (typeOf, error) {
	result := typeOf{Type: TypeBool}
	l, err := check(e.l)
	if err != nil {
		return result, err
	}
	r, err := check(e.r)
	if err != nil {
		return result, err
	}
	if isNil(e.l) || isNil(e.r) {
		return result, checkNilTest(e)
	}
	if e.op.regex() {
		lit, ok := e.r.(*literal)
		if !ok || lit.val.typ != TypeString {
			return result, e.r.pos().errorf("invalid type for =~ or !~: %s", fieldText(e.r)).hint("the right side is a string literal")
		}
		if _, err := labels.NewFastRegexMatcher(lit.val.s); err != nil {
			return result, e.r.pos().errorf("invalid regex: `%s`: %v", lit.val.s, err)
		}
	}
	if !l.dynamic && !r.dynamic && l.Type != r.Type && (!l.numeric() || !r.numeric()) {
		return result, e.at.errorf("binary operations must operate on the same type: %s", fieldText(e)).
			hint("%s is a %s, %s a %s", fieldText(e.l), l.Type, fieldText(e.r), r.Type)
	}
	if !l.dynamic && !supports(l.Type, e.op) || !r.dynamic && !supports(r.Type, e.op) {
		return result, e.at.errorf("illegal operation for the given types: %s", fieldText(e))
	}
	if e.op.arithmetic() {
		if l.dynamic {
			return r, nil
		}
		return l, nil
	}
	return result, nil
}

// checkNilTest refuses = nil for what is never nil.
func checkNilTest(e *binary) error {
	a, ok := e.l.(*attribute)
	if !ok {
		a, ok = e.r.(*attribute)
	}
	if !ok || e.op != opEqual {
		return nil
	}
	switch {
	case a.in != inNone:
		return e.at.errorf("%s=nil is not valid because intrinsics cannot be nil", fieldText(a))
	case a.scope == scopeResource && a.name == serviceName:
		return e.at.errorf("%s=nil is not valid because resource.service.name cannot be nil", fieldText(a)).hint(`a missing service name is ""`)
	}
	return nil
}

// serviceName is the attribute that resources always have.
const serviceName = "service.name"

// supports reports whether values of type t can stand beside op.
func supports(t Type, op operator) bool {
	switch {
	case op == opEqual, op == opNotEqual:
		return t != TypeNil
	case op.arithmetic():
		return t.numeric()
	case op.ordering():
		return t.numeric() || t == TypeString
	case op.regex():
		return t == TypeString
	case op.boolean():
		return t == TypeBool
	}
	return false
}
