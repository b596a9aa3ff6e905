package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pharos-o11y/pharos/internal/store"
)

// samplePredicates returns each operator on each type and scope.
func samplePredicates() []store.SpanPredicate {
	in := func(scopes ...store.AttrScope) func(name string) []store.Attr {
		return func(name string) (out []store.Attr) {
			for _, s := range scopes {
				out = append(out, store.Attr{Scope: s, Name: name})
			}
			return out
		}
	}
	span, either, intrinsic := in(store.ScopeSpan), in(store.ScopeSpan, store.ScopeResource), in(store.ScopeIntrinsic)
	str := func(attrs []store.Attr, op store.CompareOp, v string) store.SpanPredicate {
		return store.SpanPredicate{Attrs: attrs, Op: op, Type: store.ValueString, Str: v}
	}
	num := func(attrs []store.Attr, op store.CompareOp, v int64) store.SpanPredicate {
		return store.SpanPredicate{Attrs: attrs, Op: op, Type: store.ValueInt, Int: v}
	}
	flt := func(attrs []store.Attr, op store.CompareOp, v float64) store.SpanPredicate {
		return store.SpanPredicate{Attrs: attrs, Op: op, Type: store.ValueFloat, Float: v}
	}
	boolean := func(attrs []store.Attr, op store.CompareOp, v int64) store.SpanPredicate {
		return store.SpanPredicate{Attrs: attrs, Op: op, Type: store.ValueBool, Int: v}
	}
	out := []store.SpanPredicate{
		{Attrs: span("v")},
		{Attrs: span("absent")},
		{Attrs: either("pod")},
		{Attrs: in(store.ScopeEvent)("str")},
		{Attrs: in(store.ScopeLink)("int")},
		{Attrs: intrinsic(store.IntrinsicName)},
		num(span("array.str"), store.OpEqual, 1), str(in(store.ScopeResource)("array.int"), store.OpRegexp, "x"), str(span("map"), store.OpEqual, "x"),
		str(intrinsic(store.IntrinsicName), store.OpRegexp, "GET.*"), str(intrinsic(store.IntrinsicName), store.OpRegexp, "GET"),
		str(intrinsic(store.IntrinsicName), store.OpNotRegexp, "GET.*"), str(intrinsic(store.IntrinsicStatusMessage), store.OpEqual, ""),
		num(intrinsic(store.IntrinsicStatus), store.OpEqual, 2), num(intrinsic(store.IntrinsicStatus), store.OpNotEqual, 0),
		num(intrinsic(store.IntrinsicKind), store.OpEqual, 2), num(intrinsic(store.IntrinsicDuration), store.OpGreater, 90_000),
		flt(intrinsic(store.IntrinsicDuration), store.OpLessEqual, 1000),
		str(in(store.ScopeResource)("service.name"), store.OpEqual, "cart"), str(either("service.name"), store.OpNotEqual, "cart"),
		num(in(store.ScopeResource)("pod"), store.OpEqual, 1), num(in(store.ScopeResource)("pod"), store.OpEqual, 7),
		str(in(store.ScopeEvent)("str"), store.OpEqual, "x"), str(in(store.ScopeEvent)("str"), store.OpNotEqual, "x"),
		num(in(store.ScopeLink)("int"), store.OpGreater, 1), str(in(store.ScopeInstrumentation)("str"), store.OpEqual, "text ü \x00"),
		str(span("colour"), store.OpEqual, "red"), str(span("colour"), store.OpEqual, "mauve"), str(span("colour"), store.OpRegexp, "(red|blue)"),
		num(span("http.status_code"), store.OpGreaterEqual, 404), num(span("http.status_code"), store.OpLess, 200),
		{}, // no attribute: never true
	}
	for op := store.OpEqual; op <= store.OpGreaterEqual; op++ {
		out = append(out, str(span("v"), op, "a"), num(span("v"), op, 2), flt(span("v"), op, 2), flt(span("v"), op, 1.5))
	}
	return append(out, boolean(span("v"), store.OpEqual, 1), boolean(span("v"), store.OpNotEqual, 1), str(span("v"), store.OpRegexp, "1."), str(span("v"), store.OpNotRegexp, "a"))
}

func randomWhere(rng *rand.Rand) [][]store.SpanPredicate {
	preds := samplePredicates()
	var where [][]store.SpanPredicate
	for range 1 + rng.IntN(3) {
		var all []store.SpanPredicate
		for range 1 + rng.IntN(3) {
			all = append(all, pick(rng, preds...))
		}
		where = append(where, all)
	}
	return where
}

func testPredicates(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	rng := rand.New(rand.NewPCG(7, 7))
	w.append(t, tenant, fullTrace(1000))
	next := 0
	for i := range 40 {
		w.append(t, tenant, randomTraces(rng, &next))
		if i == 30 {
			settle(t, &w.sub)
		}
	}
	for range 2 {
		for i, p := range samplePredicates() {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				sel := store.SpanSelector{Range: always()}
				sel.Where = [][]store.SpanPredicate{{p}}
				w.check(t, sel)
				sel.Where = [][]store.SpanPredicate{{p, pick(rng, samplePredicates()...)}, {pick(rng, samplePredicates()...), pick(rng, samplePredicates()...)}}
				w.check(t, sel)
			})
		}
		sel := store.SpanSelector{Range: always(), Where: [][]store.SpanPredicate{{}}} // nothing to satisfy
		w.check(t, sel)
		settle(t, &w.sub)
	}
}
