package traceql

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/pharos-o11y/pharos/internal/model"
)

// evaluator yields the value of a field expression at a cursor: the general way, one
// span at a time. Masks are the fast one.
type evaluator interface {
	value(f *frame, c cursor) Value
}

// children says which child rows of a span an expression reads.
type children struct{ events, links bool }

func (a children) or(b children) children {
	return children{a.events || b.events, a.links || b.links}
}

func (a children) any() bool { return a.events || a.links }

// missing reports whether the cursor lacks a child row that a needs.
func (a children) missing(c cursor) bool {
	return a.events && c.event < 0 || a.links && c.link < 0
}

func childrenOf(e field) children {
	var out children
	walk(e, func(a *attribute) { out = out.or(a.children()) })
	return out
}

func (e *attribute) children() children {
	switch {
	case e.in == inEventName, e.in == inEventTime, e.in == inNone && e.scope == scopeEvent:
		return children{events: true}
	case e.in == inLinkTraceID, e.in == inLinkSpanID, e.in == inNone && e.scope == scopeLink:
		return children{links: true}
	}
	return children{}
}

type (
	constEval     struct{ val Value }
	slotEval      struct{ slot int }
	intrinsicEval struct{ in intrinsic }
	unaryEval     struct {
		op    operator
		x     evaluator
		needs children
	}
	binaryEval struct {
		op    operator
		l, r  evaluator
		needs children
	}
	regexEval struct {
		x      evaluator
		re     *labels.FastRegexMatcher
		negate bool
		needs  children
	}
	nilEval struct {
		x     evaluator
		want  bool // true for = nil
		needs children
	}
)

func (e *constEval) value(*frame, cursor) Value         { return e.val }
func (e *slotEval) value(f *frame, c cursor) Value      { return f.attr(e.slot, c) }
func (e *intrinsicEval) value(f *frame, c cursor) Value { return f.intrinsic(e.in, c) }

func (e *unaryEval) value(f *frame, c cursor) Value {
	if e.op == opNot && e.needs.missing(c) {
		return boolValue(false)
	}
	return applyUnary(e.op, e.x.value(f, c))
}

func (e *binaryEval) value(f *frame, c cursor) Value {
	if e.op.comparison() && e.needs.missing(c) {
		return boolValue(false)
	}
	l := e.l.value(f, c)
	if e.op == opAnd && !l.isTrue() || e.op == opOr && l.isTrue() {
		return boolValue(e.op == opOr)
	}
	return apply(e.op, l, e.r.value(f, c))
}

func (e *regexEval) value(f *frame, c cursor) Value {
	return boolValue(e.matches(e.x.value(f, c)))
}

func (e *regexEval) matches(v Value) bool {
	switch v.typ {
	case TypeString:
		return e.re.MatchString(v.s) != e.negate
	case TypeArray:
		for _, x := range v.Elems() {
			if x.typ != TypeString {
				return false
			}
			if e.re.MatchString(x.s) {
				return !e.negate
			}
		}
		return e.negate
	}
	return false
}

func (e *nilEval) value(f *frame, c cursor) Value {
	if e.needs.missing(c) {
		return boolValue(false)
	}
	return boolValue((e.x.value(f, c).typ == TypeNil) == e.want)
}

// evaluator compiles e.
func (b *binder) evaluator(e field) evaluator {
	switch e := e.(type) {
	case *literal:
		return &constEval{e.val}
	case *attribute:
		if e.in != inNone {
			return &intrinsicEval{e.in}
		}
		return &slotEval{b.slot(e)}
	case *unary:
		return &unaryEval{e.op, b.evaluator(e.x), childrenOf(e)}
	case *binary:
		needs := childrenOf(e)
		switch {
		case isNil(e.r):
			return &nilEval{b.evaluator(e.l), e.op == opEqual, needs}
		case isNil(e.l):
			return &nilEval{b.evaluator(e.r), e.op == opEqual, needs}
		case e.op.regex():
			return &regexEval{b.evaluator(e.l), compileRegex(e), e.op == opNotRegex, needs}
		}
		return &binaryEval{e.op, b.evaluator(e.l), b.evaluator(e.r), needs}
	}
	model.Bug("no evaluator for %T", e)
	return nil
}

// compileRegex compiles the right side of =~ or !~, which the checks have seen.
func compileRegex(e *binary) *labels.FastRegexMatcher {
	lit, ok := e.r.(*literal)
	if !ok {
		model.Bug("regular expression of %s is no literal", fieldText(e))
	}
	re, err := labels.NewFastRegexMatcher(lit.val.s)
	if err != nil {
		model.Bug("regular expression checked and yet bad: %v", err)
	}
	return re
}
