package traceql

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// condition is what every matching trace must meet: some span of it satisfies all
// predicates of one element of where (nil: no condition), and it is one of ids (nil: any).
type condition struct {
	where [][]store.SpanPredicate
	ids   []model.TraceID
}

const (
	maxTerms = 16 // disjuncts, and predicates in each
)

// pushPipeline returns a condition that every trace with a result of pl meets.
func pushPipeline(pl *pipeline) condition {
	var out condition
	leading := true // only filters so far: their conditions meet in one span
	for _, s := range pl.stages {
		e, ok := s.(spansets)
		if !ok {
			// by, select and scalar filters do not change spans; a later filter still
			// needs a span that passed the first ones.
			continue
		}
		c := pushSpansets(e)
		if _, plain := e.(*filter); plain && leading {
			out = both(out, c)
		} else {
			out = better(out, c)
			leading = false
		}
	}
	return out
}

func pushSpansets(e spansets) condition {
	switch e := e.(type) {
	case *filter:
		if e.expr != nil {
			return pushField(e.expr)
		}
	case *pipeline:
		return pushPipeline(e)
	case *spansetOp:
		l, r := pushSpansets(e.l), pushSpansets(e.r)
		switch {
		case e.op == opOr:
			return either(l, r)
		case opNotChild <= e.op && e.op <= opNotSibling:
			return r
		}
		return better(l, r)
	}
	return condition{}
}

// both is the conjunction of conditions on one span.
func both(a, b condition) condition {
	out := condition{ids: intersectIDs(a.ids, b.ids)}
	switch {
	case a.where == nil:
		out.where = b.where
	case b.where == nil:
		out.where = a.where
	case len(a.where)*len(b.where) > maxTerms:
		out.where = better(condition{where: a.where}, condition{where: b.where}).where
	default:
		for _, x := range a.where {
			for _, y := range b.where {
				out.where = append(out.where, slices.Concat(x, y))
			}
		}
	}
	return out
}

// either is the disjunction.
func either(a, b condition) condition {
	var out condition
	if a.where != nil && b.where != nil && len(a.where)+len(b.where) <= maxTerms {
		out.where = slices.Concat(a.where, b.where)
	}
	if a.ids != nil && b.ids != nil {
		out.ids = sortIDs(slices.Concat(a.ids, b.ids))
	}
	return out
}

// better keeps the stricter of two conditions that different spans may meet.
func better(a, b condition) condition {
	out := condition{where: a.where, ids: intersectIDs(a.ids, b.ids)}
	if strictness(b.where) > strictness(a.where) {
		out.where = b.where
	}
	return out
}

// strictness guesses how few spans a condition leaves.
func strictness(where [][]store.SpanPredicate) int {
	if where == nil {
		return -1
	}
	least := 1 << 30
	for _, all := range where {
		best := 0
		for _, p := range all {
			best = max(best, predicateStrictness(p))
		}
		least = min(least, best)
	}
	return least
}

func predicateStrictness(p store.SpanPredicate) int {
	intrinsic := p.Attrs[0].Scope == store.ScopeIntrinsic
	switch p.Op {
	case store.OpEqual:
		switch {
		case p.Type == store.ValueString && !intrinsic:
			return 10
		case p.Type == store.ValueString:
			return 9
		case intrinsic && p.Int == 2: // status error
			return 6
		}
		return 8
	case store.OpRegexp:
		return 7
	case store.OpLess, store.OpLessEqual, store.OpGreater, store.OpGreaterEqual:
		return 5
	}
	return 2
}

// pushField returns the condition that e implies for a span.
func pushField(e field) condition {
	switch e := e.(type) {
	case *attribute:
		return pushPredicate(e, opEqual, boolValue(true))
	case *binary:
		switch {
		case e.op == opAnd:
			return both(pushField(e.l), pushField(e.r))
		case e.op == opOr:
			return either(pushField(e.l), pushField(e.r))
		case e.op.comparison():
			if a, lit, op, ok := attributeComparison(e); ok {
				return pushPredicate(a, op, lit)
			}
		}
	}
	return condition{}
}

// attributeComparison takes apart a comparison of an attribute with a literal, the
// attribute put on the left.
func attributeComparison(e *binary) (a *attribute, lit Value, op operator, ok bool) {
	a, ok = e.l.(*attribute)
	if l, lok := e.r.(*literal); ok && lok {
		return a, l.val, e.op, true
	}
	a, ok = e.r.(*attribute)
	if l, lok := e.l.(*literal); ok && lok && !e.op.regex() {
		return a, l.val, e.op.mirror(), true
	}
	return nil, Value{}, opNone, false
}

// pushPredicate returns the condition of "a op lit".
func pushPredicate(a *attribute, op operator, lit Value) condition {
	if a.in == inTraceID && op == opEqual && lit.typ == TypeString {
		id, err := model.ParseTraceID(lit.s)
		if err != nil {
			return condition{ids: []model.TraceID{}} // no trace has such an id
		}
		return condition{ids: []model.TraceID{id}}
	}
	attrs := pushAttrs(a)
	if attrs == nil || (slot{a.scope, a.name}).service() && a.in == inNone && trueOfEmpty(op, lit) {
		return condition{} // a missing service name is "" to us, absent to the store
	}
	p := store.SpanPredicate{Attrs: attrs}
	switch op {
	case opEqual:
		p.Op = store.OpEqual
	case opNotEqual:
		p.Op = store.OpNotEqual
	case opLess:
		p.Op = store.OpLess
	case opLessEqual:
		p.Op = store.OpLessEqual
	case opGreater:
		p.Op = store.OpGreater
	case opGreaterEqual:
		p.Op = store.OpGreaterEqual
	case opRegex:
		p.Op = store.OpRegexp
	case opNotRegex:
		p.Op = store.OpNotRegexp
	}
	switch lit.typ {
	case TypeNil:
		if op != opNotEqual {
			return condition{}
		}
		p.Op = store.OpExists
	case TypeString:
		p.Type, p.Str = store.ValueString, lit.s
	case TypeInt, TypeDuration, TypeStatus, TypeKind:
		p.Type, p.Int = store.ValueInt, lit.n
	case TypeBool:
		p.Type, p.Int = store.ValueBool, lit.n
	case TypeFloat:
		p.Type, p.Float = store.ValueFloat, lit.Float()
	default:
		return condition{}
	}
	return condition{where: [][]store.SpanPredicate{{p}}}
}

// trueOfEmpty reports whether the string "" satisfies "op lit".
func trueOfEmpty(op operator, lit Value) bool {
	if !op.regex() {
		return lit.typ == TypeNil || compareValues(op, stringValue(""), lit)
	}
	re, err := labels.NewFastRegexMatcher(lit.s)
	return err != nil || re.MatchString("") == (op == opRegex)
}

// pushAttrs returns the stored attributes of a, nil if the store knows none of them.
func pushAttrs(a *attribute) []store.Attr {
	intrinsic := func(name string) []store.Attr {
		return []store.Attr{{Scope: store.ScopeIntrinsic, Name: name}}
	}
	switch a.in {
	case inNone:
		if a.name == serviceName && a.scope == scopeResource {
			return []store.Attr{{Scope: store.ScopeResource, Name: serviceName}}
		}
		if a.scope == scopeNone {
			return []store.Attr{{Scope: store.ScopeSpan, Name: a.name}, {Scope: store.ScopeResource, Name: a.name}}
		}
		return []store.Attr{{Scope: a.scope.store(), Name: a.name}}
	case inName:
		return intrinsic(store.IntrinsicName)
	case inDuration:
		return intrinsic(store.IntrinsicDuration)
	case inStatus:
		return intrinsic(store.IntrinsicStatus)
	case inStatusMessage:
		return intrinsic(store.IntrinsicStatusMessage)
	case inKind:
		return intrinsic(store.IntrinsicKind)
	}
	return nil
}

func sortIDs(ids []model.TraceID) []model.TraceID {
	slices.SortFunc(ids, model.TraceID.Compare)
	return slices.Compact(ids)
}

// intersectIDs treats nil as every trace.
func intersectIDs(a, b []model.TraceID) []model.TraceID {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := []model.TraceID{}
	for _, id := range a {
		if slices.Contains(b, id) {
			out = append(out, id)
		}
	}
	return out
}
