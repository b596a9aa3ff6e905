package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// Traces is the reference trace store.
type Traces struct {
	mu      sync.RWMutex
	tenants map[model.Tenant]map[model.TraceID]map[spanKey]*refSpan
}

// spanKey tells spans of one trace apart.
type spanKey struct {
	id   model.SpanID
	kind ptrace.SpanKind
}

// refSpan is one span with copies of its resource and scope.
type refSpan struct {
	res   ptrace.ResourceSpans // with no scope in it
	scope ptrace.ScopeSpans    // with no span in it
	span  ptrace.Span
}

// NewTraces returns an empty reference trace store.
func NewTraces() *Traces {
	return &Traces{tenants: map[model.Tenant]map[model.TraceID]map[spanKey]*refSpan{}}
}

// Append implements [store.TraceWriter].
func (s *Traces) Append(ctx context.Context, tenant model.Tenant, b *spans.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	traces := s.tenants[tenant]
	if traces == nil {
		traces = map[model.TraceID]map[spanKey]*refSpan{}
		s.tenants[tenant] = traces
	}
	var refused store.Refused
	for x := range eachSpan(TracesOf(b)) {
		if x.traceID().IsZero() || x.id().IsZero() {
			refused.Add(store.ReasonInvalidID, 1, func() string {
				return fmt.Sprintf("span %q has trace id %s and span id %s; trace ids must be 128 bit and span ids 64 bit, neither all zero", x.span.Name(), x.traceID(), x.id())
			})
			continue
		}
		refused.Kept++
		spans := traces[x.traceID()]
		if spans == nil {
			spans = map[spanKey]*refSpan{}
			traces[x.traceID()] = spans
		}
		if spans[x.key()] == nil {
			spans[x.key()] = x.clone()
		}
	}
	return refused.Err()
}

// eachSpan yields the spans of td, which share its memory.
func eachSpan(td ptrace.Traces) iter.Seq[*refSpan] {
	return func(yield func(*refSpan) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(&refSpan{rs, ss, span}) {
						return
					}
				}
			}
		}
	}
}

func (x *refSpan) traceID() model.TraceID { return model.TraceID(x.span.TraceID()) }
func (x *refSpan) id() model.SpanID       { return model.SpanID(x.span.SpanID()) }
func (x *refSpan) key() spanKey           { return spanKey{x.id(), x.span.Kind()} }
func (x *refSpan) start() int64           { return int64(x.span.StartTimestamp()) }
func (x *refSpan) duration() int64 {
	return max(0, int64(x.span.EndTimestamp())-int64(x.span.StartTimestamp()))
}

// clone copies x, without the siblings it had.
func (x *refSpan) clone() *refSpan {
	c := &refSpan{ptrace.NewResourceSpans(), ptrace.NewScopeSpans(), ptrace.NewSpan()}
	x.res.Resource().CopyTo(c.res.Resource())
	c.res.SetSchemaUrl(x.res.SchemaUrl())
	x.scope.Scope().CopyTo(c.scope.Scope())
	c.scope.SetSchemaUrl(x.scope.SchemaUrl())
	x.span.CopyTo(c.span)
	return c
}

func compareSpans(a, b *refSpan) int {
	ka, kb := a.key(), b.key()
	return cmp.Or(cmp.Compare(a.start(), b.start()), slices.Compare(ka.id[:], kb.id[:]), cmp.Compare(ka.kind, kb.kind))
}

// spansOf returns the spans of a trace in order.
func (s *Traces) spansOf(tenant model.Tenant, id model.TraceID) []*refSpan {
	return slices.SortedFunc(maps.Values(s.tenants[tenant][id]), compareSpans)
}

// Trace implements [store.TraceReader].
func (s *Traces) Trace(ctx context.Context, tenant model.Tenant, id model.TraceID, _ model.TimeRange, acct *store.Account) (ptrace.Traces, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := ptrace.NewTraces()
	if err := ctx.Err(); err != nil {
		return out, err
	}
	spans := s.spansOf(tenant, id)
	if len(spans) == 0 {
		return out, fmt.Errorf("read trace %s: %w", id, store.ErrNotFound)
	}
	if err := acct.Scanned(int64(200*len(spans)), int64(len(spans))); err != nil {
		return out, err
	}
	resources := map[string]ptrace.ResourceSpans{}
	scopes := map[string]ptrace.ScopeSpans{}
	for _, x := range spans {
		rk := resourceKey(x.res)
		rs, ok := resources[rk]
		if !ok {
			rs = out.ResourceSpans().AppendEmpty()
			x.res.Resource().CopyTo(rs.Resource())
			rs.SetSchemaUrl(x.res.SchemaUrl())
			resources[rk] = rs
		}
		sk := rk + "\xff" + scopeKey(x.scope)
		ss, ok := scopes[sk]
		if !ok {
			ss = rs.ScopeSpans().AppendEmpty()
			x.scope.Scope().CopyTo(ss.Scope())
			ss.SetSchemaUrl(x.scope.SchemaUrl())
			scopes[sk] = ss
		}
		x.span.CopyTo(ss.Spans().AppendEmpty())
	}
	return out, nil
}

// resourceKey is equal for equal resources and schema URLs.
func resourceKey(rs ptrace.ResourceSpans) string {
	td := ptrace.NewTraces()
	c := td.ResourceSpans().AppendEmpty()
	rs.Resource().CopyTo(c.Resource())
	c.SetSchemaUrl(rs.SchemaUrl())
	return protoText(td)
}

// scopeKey is equal for equal scopes and schema URLs.
func scopeKey(ss ptrace.ScopeSpans) string {
	td := ptrace.NewTraces()
	c := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	ss.Scope().CopyTo(c.Scope())
	c.SetSchemaUrl(ss.SchemaUrl())
	return protoText(td)
}

func protoText(td ptrace.Traces) string {
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		model.Bug("marshal traces: %v", err)
	}
	return string(b)
}

// refRows is how many spans a batch of the reference aims at, small so that tests see
// several.
const refRows = 16

// Scan implements [store.TraceReader].
func (s *Traces) Scan(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		s.mu.RLock()
		var traces [][]*refSpan
		for _, id := range slices.SortedFunc(maps.Keys(s.tenants[tenant]), model.TraceID.Compare) {
			if spans := s.spansOf(tenant, id); selects(sel, id, spans) {
				traces = append(traces, spans)
			}
		}
		s.mu.RUnlock()
		for len(traces) > 0 {
			var batch []*refSpan
			for len(traces) > 0 && (len(batch) == 0 || len(batch)+len(traces[0]) <= refRows) {
				batch = append(batch, traces[0]...)
				traces = traces[1:]
			}
			err := ctx.Err()
			if err == nil {
				err = sel.Account.Scanned(int64(200*len(batch)), int64(len(batch)))
			}
			if err != nil {
				yield(nil, err)
				return
			}
			sel.Account.Matched(int64(len(batch)))
			rows := spanRows(batch, sel)
			if !yield(rows, nil) {
				return
			}
			poisonSpanRows(rows)
		}
	}
}

// selects reports whether sel selects the trace that holds spans.
func selects(sel store.SpanSelector, id model.TraceID, spans []*refSpan) bool {
	if sel.TraceIDs != nil && !slices.Contains(sel.TraceIDs, id) {
		return false
	}
	return !sel.Range.Empty() &&
		slices.ContainsFunc(spans, func(x *refSpan) bool { return x.overlaps(sel.Range) }) &&
		slices.ContainsFunc(spans, func(x *refSpan) bool { return satisfies(x, sel.Where) })
}

func (x *refSpan) overlaps(r model.TimeRange) bool {
	return r.Overlaps(x.start(), x.start()+x.duration())
}

// poisonSpanRows spoils a batch that its reader may not use any more.
func poisonSpanRows(r *store.SpanRows) {
	const spoilt = "batch used after its iteration"
	for i := range r.Len() {
		r.TraceID[i], r.SpanID[i], r.Parent[i] = model.TraceID{0xbd}, model.SpanID{0xbd}, model.SpanID{0xbd}
		r.Start[i], r.Duration[i], r.Kind[i], r.Status[i] = -1, -1, 255, 255
		r.Name[i], r.StatusMessage[i], r.Service[i], r.ScopeName[i], r.ScopeVersion[i] = spoilt, spoilt, spoilt, spoilt, spoilt
	}
	for _, c := range r.Attrs {
		for i := range c.Strs {
			c.Strs[i] = spoilt
		}
		for i := range c.Ints {
			c.Ints[i] = -1
		}
		clear(c.Has)
	}
}

// Caps implements [store.TraceReader].
func (s *Traces) Caps() store.TraceCaps { return store.TraceCaps{ExactWhere: true} }

// Tags implements [store.TraceIndex]. Intrinsics are not listed.
func (s *Traces) Tags(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) ([]store.Attr, error) {
	attrs := map[store.Attr]bool{}
	s.eachInRange(tenant, sel, func(x *refSpan) {
		for a, v := range eachAttr(x) {
			if a.Scope != store.ScopeIntrinsic && v.typ != store.ValueNone {
				attrs[a] = true
			}
		}
	})
	return slices.SortedFunc(maps.Keys(attrs), compareAttrs), ctx.Err()
}

func compareAttrs(a, b store.Attr) int {
	return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name))
}

// TagValues implements [store.TraceIndex].
func (s *Traces) TagValues(ctx context.Context, tenant model.Tenant, attr store.Attr, limit int, sel store.SpanSelector) ([]store.TagValue, error) {
	counts := map[store.TagValue]int{}
	s.eachInRange(tenant, sel, func(x *refSpan) {
		for a, v := range eachAttr(x) {
			if a == attr && v.typ != store.ValueNone {
				counts[store.TagValue{Type: v.typ, Value: v.text()}]++
			}
		}
	})
	out := slices.SortedFunc(maps.Keys(counts), func(a, b store.TagValue) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
	if limit > 0 && len(out) > limit {
		sel.Account.Warn("attribute %s has %d values, the limit of %d cuts", attr.Name, len(out), limit)
		out = out[:limit]
	}
	return out, ctx.Err()
}

// Price implements [store.TraceIndex]. Every span of the tenant is one block.
func (s *Traces) Price(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) (model.ScanPrice, error) {
	var p model.ScanPrice
	s.eachInRange(tenant, sel, func(*refSpan) {
		p.Files = 1
		p.Blocks++
		p.Spans++
	})
	return p, ctx.Err()
}

func (s *Traces) eachInRange(tenant model.Tenant, sel store.SpanSelector, f func(*refSpan)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, spans := range s.tenants[tenant] {
		for _, x := range spans {
			if x.overlaps(sel.Range) {
				f(x)
			}
		}
	}
}

// refValue is the value of an attribute.
type refValue struct {
	typ store.ValueType
	str string // of strings, arrays, others
	num int64  // of ints, bools
	flt float64
}

// valueOf classifies v. The text of arrays, maps and bytes is that of
// [pcommon.Value.AsString].
func valueOf(v pcommon.Value) refValue {
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return refValue{typ: store.ValueNone}
	case pcommon.ValueTypeStr:
		return refValue{typ: store.ValueString, str: v.Str()}
	case pcommon.ValueTypeInt:
		return refValue{typ: store.ValueInt, num: v.Int()}
	case pcommon.ValueTypeDouble:
		return refValue{typ: store.ValueFloat, flt: v.Double()}
	case pcommon.ValueTypeBool:
		if v.Bool() {
			return refValue{typ: store.ValueBool, num: 1}
		}
		return refValue{typ: store.ValueBool}
	case pcommon.ValueTypeSlice:
		if uniformScalars(v.Slice()) {
			return refValue{typ: store.ValueArray, str: v.AsString()}
		}
	}
	return refValue{typ: store.ValueOther, str: v.AsString()}
}

// uniformScalars reports whether s is a non-empty array of scalars of one type.
func uniformScalars(s pcommon.Slice) bool {
	for _, v := range s.All() {
		switch t := v.Type(); t {
		case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
			if t != s.At(0).Type() {
				return false
			}
		default:
			return false
		}
	}
	return s.Len() > 0
}

func (v refValue) text() string {
	switch v.typ {
	case store.ValueInt:
		return strconv.FormatInt(v.num, 10)
	case store.ValueBool:
		return strconv.FormatBool(v.num == 1)
	case store.ValueFloat:
		return pcommon.NewValueDouble(v.flt).AsString()
	default:
		return v.str
	}
}

// eachAttr yields every attribute of x in every scope, intrinsics first; those of events
// and links once for each that has it.
func eachAttr(x *refSpan) iter.Seq2[store.Attr, refValue] {
	return func(yield func(store.Attr, refValue) bool) {
		str := func(s string) refValue { return refValue{typ: store.ValueString, str: s} }
		num := func(n int64) refValue { return refValue{typ: store.ValueInt, num: n} }
		for _, i := range []struct {
			name string
			v    refValue
		}{
			{store.IntrinsicName, str(x.span.Name())},
			{store.IntrinsicDuration, num(x.duration())},
			{store.IntrinsicStatus, num(int64(x.span.Status().Code()))},
			{store.IntrinsicStatusMessage, str(x.span.Status().Message())},
			{store.IntrinsicKind, num(int64(x.span.Kind()))},
		} {
			if !yield(store.Attr{Scope: store.ScopeIntrinsic, Name: i.name}, i.v) {
				return
			}
		}
		for scope, m := range attrMaps(x) {
			for name, v := range m.All() {
				if !yield(store.Attr{Scope: scope, Name: name}, valueOf(v)) {
					return
				}
			}
		}
	}
}

func attrMaps(x *refSpan) iter.Seq2[store.AttrScope, pcommon.Map] {
	return func(yield func(store.AttrScope, pcommon.Map) bool) {
		if !yield(store.ScopeSpan, x.span.Attributes()) ||
			!yield(store.ScopeResource, x.res.Resource().Attributes()) ||
			!yield(store.ScopeInstrumentation, x.scope.Scope().Attributes()) {
			return
		}
		for _, e := range x.span.Events().All() {
			if !yield(store.ScopeEvent, e.Attributes()) {
				return
			}
		}
		for _, l := range x.span.Links().All() {
			if !yield(store.ScopeLink, l.Attributes()) {
				return
			}
		}
	}
}
