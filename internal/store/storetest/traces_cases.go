package storetest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// traceID returns a trace id whose order has nothing to do with n.
func traceID(n int) (id model.TraceID) {
	binary.LittleEndian.PutUint64(id[:], uint64(n+1)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint32(id[12:], uint32(n+1))
	return id
}

func spanID(n int) (id model.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n+1))
	return id
}

// oneSpan returns traces with a single plain span.
func oneSpan(trace, span int) (ptrace.Traces, ptrace.Span) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID(traceID(trace)))
	s.SetSpanID(pcommon.SpanID(spanID(span)))
	s.SetName("GET /")
	s.SetKind(ptrace.SpanKindServer)
	setTimes(s, nanos()-int64(span)*1_000_000, 5_000_000)
	return td, s
}

func setTimes(s ptrace.Span, start, duration int64) {
	s.SetStartTimestamp(pcommon.Timestamp(start))
	s.SetEndTimestamp(pcommon.Timestamp(start + duration))
}

// everyValue fills m with a value of each type there is.
func everyValue(m pcommon.Map) {
	m.PutStr("str", "text ü \x00")
	m.PutStr("str.empty", "")
	m.PutInt("int", -1)
	m.PutInt("int.max", math.MaxInt64)
	m.PutInt("int.min", math.MinInt64)
	m.PutDouble("float", 0.1)
	m.PutDouble("float.whole", 3)
	m.PutDouble("float.negzero", math.Copysign(0, -1))
	m.PutDouble("float.inf", math.Inf(1))
	m.PutBool("bool.true", true)
	m.PutBool("bool.false", false)
	m.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 255})
	m.PutEmptyBytes("bytes.empty")
	m.PutEmpty("empty")
	m.PutEmptySlice("array.empty")
	strs := m.PutEmptySlice("array.str")
	strs.AppendEmpty().SetStr("a")
	strs.AppendEmpty().SetStr(`b"<`)
	m.PutEmptySlice("array.int").AppendEmpty().SetInt(7)
	floats := m.PutEmptySlice("array.float")
	floats.AppendEmpty().SetDouble(1)
	floats.AppendEmpty().SetDouble(2.5)
	m.PutEmptySlice("array.bool").AppendEmpty().SetBool(true)
	mixed := m.PutEmptySlice("array.mixed")
	mixed.AppendEmpty().SetInt(1)
	mixed.AppendEmpty().SetStr("one")
	mixed.AppendEmpty()
	m.PutEmptySlice("array.nested").AppendEmpty().SetEmptySlice().AppendEmpty().SetInt(1)
	m.PutEmptyMap("map.empty")
	deep := m.PutEmptyMap("map")
	deep.PutStr("z", "last")
	deep.PutInt("a", 1)
	deep.PutEmptyMap("inner").PutEmptyBytes("b").FromRaw([]byte("x"))
}

// fullTrace returns a trace that sets every field of OTLP.
func fullTrace(trace int) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range 2 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(fmt.Sprint("https://schema/resource/", r))
		rs.Resource().SetDroppedAttributesCount(uint32(1 + r))
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprint("service-", r))
		everyValue(rs.Resource().Attributes())
		for sc := range 2 {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl(fmt.Sprint("https://schema/scope/", sc))
			ss.Scope().SetName("scope")
			ss.Scope().SetVersion(fmt.Sprint("v", sc))
			ss.Scope().SetDroppedAttributesCount(uint32(3 + sc))
			everyValue(ss.Scope().Attributes())
			for i := range 2 {
				fullSpan(ss.Spans().AppendEmpty(), trace, 4*r+2*sc+i)
			}
		}
	}
	return td
}

func fullSpan(s ptrace.Span, trace, n int) {
	s.SetTraceID(pcommon.TraceID(traceID(trace)))
	s.SetSpanID(pcommon.SpanID(spanID(n)))
	s.SetParentSpanID(pcommon.SpanID(spanID(n + 50)))
	s.TraceState().FromRaw("vendor=1,other=2")
	s.SetFlags(0x80000301)
	s.SetName("full span")
	s.SetKind(ptrace.SpanKind(n % 6))
	setTimes(s, nanos()-int64(n)*1_000_000+int64(n), 12_345_678)
	everyValue(s.Attributes())
	s.SetDroppedAttributesCount(5)
	s.SetDroppedEventsCount(6)
	s.SetDroppedLinksCount(7)
	s.Status().SetCode(ptrace.StatusCode(n % 3))
	s.Status().SetMessage("status message")
	for i := range n % 3 {
		e := s.Events().AppendEmpty()
		e.SetName(fmt.Sprint("event ", i))
		e.SetTimestamp(s.StartTimestamp() + pcommon.Timestamp(1000-i))
		e.SetDroppedAttributesCount(8)
		everyValue(e.Attributes())
		l := s.Links().AppendEmpty()
		l.SetTraceID(pcommon.TraceID(traceID(99)))
		l.SetSpanID(pcommon.SpanID(spanID(i)))
		l.TraceState().FromRaw("link=1")
		l.SetFlags(0x100)
		l.SetDroppedAttributesCount(9)
		everyValue(l.Attributes())
	}
}

func testLossless(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	w.append(t, tenant, fullTrace(1))
	bare, span := oneSpan(2, 1) // nothing set that need not be
	bare.ResourceSpans().At(0).Resource().Attributes().Clear()
	span.SetName("")
	span.SetKind(0)
	w.append(t, tenant, bare)
	backward, span := oneSpan(3, 1) // ends before it starts
	span.SetEndTimestamp(span.StartTimestamp() - 5)
	w.append(t, tenant, backward)
	odd, span := oneSpan(4, 1) // end not set, unusual numbers
	span.SetEndTimestamp(0)
	span.SetKind(77)
	span.Status().SetCode(9)
	span.Attributes().PutStr("", "empty name")
	span.Events().AppendEmpty()
	span.Links().AppendEmpty()
	w.append(t, tenant, odd)
	types, span := oneSpan(5, 1) // one name, another type in each span
	spans := types.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	span.Attributes().PutInt("v", 1)
	for i, set := range []func(pcommon.Map){
		func(m pcommon.Map) { m.PutStr("v", "1") },
		func(m pcommon.Map) { m.PutDouble("v", 1) },
		func(m pcommon.Map) { m.PutBool("v", true) },
		func(m pcommon.Map) { m.PutEmpty("v") },
		func(pcommon.Map) {},
		func(m pcommon.Map) { m.PutStr("b", "order"); m.PutInt("v", 2); m.PutStr("a", "kept") },
	} {
		s := spans.AppendEmpty()
		span.CopyTo(s)
		s.SetSpanID(pcommon.SpanID(spanID(10 + i)))
		s.Attributes().Clear()
		set(s.Attributes())
	}
	w.append(t, tenant, types)
	w.checkEverywhere(t)
}

func testSpanDuplicates(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	for range 3 {
		td, span := oneSpan(1, 1)
		w.append(t, tenant, td)
		both := ptrace.NewTraces() // the same span twice in a message, once as a client
		td.CopyTo(both)
		td.ResourceSpans().At(0).CopyTo(both.ResourceSpans().AppendEmpty())
		w.append(t, tenant, both)
		span.SetKind(ptrace.SpanKindClient)
		w.append(t, tenant, td)
		span.SetTraceID(pcommon.TraceID(traceID(2)))
		w.append(t, tenant, td)
		w.checkEverywhere(t)
	}
}

// testTraceParts spreads traces over writes, parts and days.
func testTraceParts(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	for round := range 4 {
		for trace := range 6 {
			td, span := oneSpan(trace, round*10+trace)
			td.ResourceSpans().At(0).Resource().Attributes().PutInt("pod", int64(round%2))
			setTimes(span, nanos()-int64(round)*dayNanos/2-int64(trace), 10)
			w.append(t, tenant, td)
		}
		if round == 1 {
			settle(t, &w.sub)
		} else if w.sub.Flush != nil {
			if err := w.sub.Flush(); err != nil {
				t.Fatalf("flush: %v", err)
			}
		}
		w.checkTraces(t)
	}
	sel := everything()
	sel.Range = model.TimeRange{From: nanos() - dayNanos/2 - 3, To: nanos() - dayNanos/2 + 1}
	w.checkEverywhere(t, everything(), sel) // whole traces, though one part lies in the range
}

func testTraceRanges(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	midnight := nanos() - nanos()%dayNanos
	var edges []int64
	for i, start := range []int64{midnight - 100, midnight - 1, midnight, midnight + 1} {
		for j, duration := range []int64{0, 1, 50, 200} {
			td, span := oneSpan(i*10+j, i)
			setTimes(span, start, duration)
			w.append(t, tenant, td)
			edges = append(edges, start, start+duration)
		}
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	var sels []store.SpanSelector
	for _, from := range edges {
		for _, to := range edges {
			sels = append(sels, store.SpanSelector{Range: model.TimeRange{From: from, To: to}})
		}
	}
	w.checkEverywhere(t, sels...)
}

func testColumns(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	for trace := range 3 {
		w.append(t, tenant, fullTrace(trace))
	}
	attr := func(scope store.AttrScope, name string) store.Attr { return store.Attr{Scope: scope, Name: name} }
	sels := []store.SpanSelector{
		{},
		{Events: true},
		{Links: true},
		{AllAttrs: true},
		{Attrs: []store.Attr{attr(store.ScopeSpan, "int"), attr(store.ScopeResource, "str"), attr(store.ScopeInstrumentation, "map"), attr(store.ScopeSpan, "absent")}},
		{Attrs: []store.Attr{attr(store.ScopeEvent, "str"), attr(store.ScopeLink, "array.int"), attr(store.ScopeIntrinsic, store.IntrinsicName)}, Events: true, Links: true},
		{Attrs: []store.Attr{attr(store.ScopeEvent, "str")}},
	}
	for i := range sels {
		sels[i].Range = always()
	}
	w.checkEverywhere(t, sels...)
}

func testTraceIDs(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	for trace := range 40 {
		td, _ := oneSpan(trace, trace)
		w.append(t, tenant, td)
		if trace == 20 {
			settle(t, &w.sub)
		}
	}
	var sels []store.SpanSelector
	for _, traces := range [][]int{{}, {3}, {1, 2, 39}, {100}, {5, 101, 6}} {
		sel := everything()
		sel.TraceIDs = []model.TraceID{}
		for _, n := range traces {
			sel.TraceIDs = append(sel.TraceIDs, traceID(n))
		}
		slices.SortFunc(sel.TraceIDs, model.TraceID.Compare)
		sels = append(sels, sel)
	}
	w.checkEverywhere(t, sels...)
}

// testBigTrace writes a trace of more spans than a batch holds, among small ones.
func testBigTrace(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	td, _ := oneSpan(1, 0)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i := range 10_000 {
		s := spans.AppendEmpty()
		spans.At(0).CopyTo(s)
		s.SetSpanID(pcommon.SpanID(spanID(i + 1)))
		s.SetTraceID(pcommon.TraceID(traceID(1 + i%2*(i%500))))
		setTimes(s, nanos()+int64(i*7919%10_000), int64(i))
		s.Attributes().PutInt("i", int64(i%10))
	}
	w.append(t, tenant, td)
	sel := store.SpanSelector{Range: always(), AllAttrs: true}
	w.check(t, sel)
	settle(t, &w.sub)
	w.check(t, sel)
	w.checkTrace(t, traceID(1), model.TimeRange{})
}

func testTags(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	w.append(t, tenant, fullTrace(0))
	for i := range 10 {
		td, span := oneSpan(i+1, i)
		span.Attributes().PutStr("colour", []string{"red", "red", "red", "red", "red", "red", "blue", "blue", "blue", "green"}[i])
		span.SetName(fmt.Sprint("name ", i%2))
		w.append(t, tenant, td)
	}
	for range 2 {
		w.checkTags(t, everything())
		sel := everything()
		sel.Account = &store.Account{}
		got, err := w.sub.Store.TagValues(t.Context(), tenant, store.Attr{Scope: store.ScopeSpan, Name: "colour"}, 2, sel)
		want := []store.TagValue{{Type: store.ValueString, Value: "red"}, {Type: store.ValueString, Value: "blue"}}
		if err != nil || !slices.Equal(got, want) || len(sel.Account.Warnings()) == 0 {
			t.Errorf("two values of colour = %v, %v with warnings %q; want %v and a warning", got, err, sel.Account.Warnings(), want)
		}
		settle(t, &w.sub)
	}
}

// checkTags compares the questions about attributes. Intrinsics among tags do not count.
func (w *traceTwin) checkTags(t *testing.T, sel store.SpanSelector) {
	t.Helper()
	wide := sel
	wide.Range = wholeDays(sel.Range, dayNanos)
	tags := func(s TraceStore, sel store.SpanSelector) (out []string) {
		got, err := s.Tags(t.Context(), tenant, sel)
		if err != nil {
			t.Fatalf("tags: %v", err)
		}
		if !slices.IsSortedFunc(got, compareAttrs) {
			t.Errorf("tags are not sorted: %v", got)
		}
		for _, a := range got {
			if a.Scope != store.ScopeIntrinsic {
				out = append(out, fmt.Sprintf("%d %s", a.Scope, a.Name))
			}
		}
		return out
	}
	wantBetween(t, "tags", tags(w.sub.Store, sel), tags(w.ref, sel), tags(w.ref, wide))
	for _, a := range []store.Attr{
		{Scope: store.ScopeIntrinsic, Name: store.IntrinsicName},
		{Scope: store.ScopeIntrinsic, Name: store.IntrinsicStatus},
		{Scope: store.ScopeIntrinsic, Name: store.IntrinsicKind},
		{Scope: store.ScopeResource, Name: "service.name"},
		{Scope: store.ScopeSpan, Name: "colour"},
		{Scope: store.ScopeSpan, Name: "v"},
		{Scope: store.ScopeSpan, Name: "float"},
		{Scope: store.ScopeSpan, Name: "bool.true"},
		{Scope: store.ScopeEvent, Name: "str"},
		{Scope: store.ScopeLink, Name: "int"},
		{Scope: store.ScopeInstrumentation, Name: "array.str"},
		{Scope: store.ScopeSpan, Name: "absent"},
	} {
		values := func(s TraceStore, sel store.SpanSelector) (out []string) {
			got, err := s.TagValues(t.Context(), tenant, a, 0, sel)
			if err != nil {
				t.Fatalf("values of %v: %v", a, err)
			}
			for _, v := range got {
				out = append(out, fmt.Sprintf("%d %s", v.Type, v.Value))
			}
			slices.Sort(out)
			return out
		}
		wantBetween(t, fmt.Sprint("values of ", a), values(w.sub.Store, sel), values(w.ref, sel), values(w.ref, wide))
	}
}

// randomTraces returns spans of a few traces, each with an id of its own, counted by next:
// which one of two different spans with one id stays is up to the store.
func randomTraces(rng *rand.Rand, next *int) ptrace.Traces {
	td := ptrace.NewTraces()
	base := nanos() - rng.Int64N(2*dayNanos)
	for range 1 + rng.IntN(2) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", pick(rng, "shop", "cart", "db"))
		rs.Resource().Attributes().PutInt("pod", rng.Int64N(2))
		for range 1 + rng.IntN(2) {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(pick(rng, "http", "sql"))
			for range rng.IntN(12) {
				*next++
				s := ss.Spans().AppendEmpty()
				s.SetSpanID(pcommon.SpanID(spanID(*next * 7919 % 10_007)))
				randomSpan(rng, s, base)
			}
		}
	}
	return td
}

func randomSpan(rng *rand.Rand, s ptrace.Span, base int64) {
	s.SetTraceID(pcommon.TraceID(traceID(rng.IntN(40))))
	s.SetName(pick(rng, "GET /", "POST /pay", "query"))
	s.SetKind(ptrace.SpanKind(rng.IntN(3)))
	s.Status().SetCode(ptrace.StatusCode(rng.IntN(3)))
	setTimes(s, base+rng.Int64N(1_000_000), rng.Int64N(100_000))
	m := s.Attributes()
	if rng.IntN(2) == 0 {
		m.PutInt("http.status_code", pick(rng, int64(200), 404, 500))
	}
	switch rng.IntN(5) {
	case 0:
		m.PutStr("v", pick(rng, "a", "b", "10"))
	case 1:
		m.PutInt("v", rng.Int64N(5))
	case 2:
		m.PutDouble("v", float64(rng.IntN(10))/2)
	case 3:
		m.PutBool("v", rng.IntN(2) == 0)
	}
	if rng.IntN(4) == 0 {
		m.PutStr("colour", pick(rng, "red", "green", "blue"))
	}
	for range rng.IntN(3) {
		e := s.Events().AppendEmpty()
		e.SetName(pick(rng, "exception", "log"))
		e.SetTimestamp(s.StartTimestamp())
		e.Attributes().PutStr("str", pick(rng, "x", "y"))
	}
	if rng.IntN(5) == 0 {
		s.Links().AppendEmpty().Attributes().PutInt("int", rng.Int64N(3))
	}
}

func testTraceRandom(t *testing.T, open func(t *testing.T) Subject[TraceStore]) {
	seeds(t, func(t *testing.T, rng *rand.Rand) {
		w := newTraceTwin(open(t))
		next := 0
		var sent []ptrace.Traces
		for range 40 {
			sent = append(sent, randomTraces(rng, &next))
			w.append(t, tenant, sent[len(sent)-1])
			if rng.IntN(4) == 0 {
				w.append(t, tenant, pick(rng, sent...)) // a sender that retries
			}
			shake(t, rng, &w.sub)
			w.checkTrace(t, traceID(rng.IntN(40)), model.TimeRange{})
			for range 3 {
				sel := everything()
				sel.Events, sel.Links = rng.IntN(2) == 0, rng.IntN(2) == 0
				if rng.IntN(2) == 0 {
					sel.AllAttrs = false
					sel.Attrs = []store.Attr{{Scope: store.ScopeSpan, Name: "v"}, {Scope: store.ScopeResource, Name: "pod"}, {Scope: store.ScopeEvent, Name: "str"}}
				}
				if rng.IntN(3) > 0 {
					sel.Where = randomWhere(rng)
				}
				if rng.IntN(3) > 0 {
					from := nanos() - rng.Int64N(2*dayNanos)
					sel.Range = model.TimeRange{From: from, To: from + pick(rng, rng.Int64N(dayNanos), rng.Int64N(1_000_000))}
				}
				w.check(t, sel)
				if rng.IntN(3) == 0 {
					w.checkNewest(t, sel, 1+rng.IntN(10))
				}
				sel.Where = nil
				w.checkTags(t, sel)
			}
		}
		w.checkEverywhere(t)
	})
}
