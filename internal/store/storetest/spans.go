package storetest

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// Spans returns td as a batch that shares its strings: tests write spans as pdata, which
// reads well, and stores take batches.
func Spans(td ptrace.Traces) *spans.Batch {
	b := &spans.Batch{}
	sizer := &ptrace.ProtoMarshaler{}
	for _, rs := range td.ResourceSpans().All() {
		res := spans.Resource{
			Attrs: addAttrs(b, rs.Resource().Attributes()), Dropped: rs.Resource().DroppedAttributesCount(), SchemaURL: rs.SchemaUrl(),
		}
		for _, e := range entity.ResourceEntityRefs(rs.Resource()).All() {
			res.Entities = append(res.Entities, spans.Entity{
				SchemaURL: e.SchemaUrl(), Type: e.Type(), ID: e.IdKeys().AsRaw(), Description: e.DescriptionKeys().AsRaw(),
			})
		}
		b.Resources = append(b.Resources, res)
		for _, ss := range rs.ScopeSpans().All() {
			sc := ss.Scope()
			b.Scopes = append(b.Scopes, spans.Scope{
				Resource: int32(len(b.Resources) - 1), Name: sc.Name(), Version: sc.Version(),
				Attrs: addAttrs(b, sc.Attributes()), Dropped: sc.DroppedAttributesCount(), SchemaURL: ss.SchemaUrl(),
			})
			for _, s := range ss.Spans().All() {
				addSpan(b, s, sizer.SpanSize(s))
			}
		}
	}
	return b
}

// addSpan adds s to the last scope of b.
func addSpan(b *spans.Batch, s ptrace.Span, size int) {
	out := spans.Span{
		TraceID: model.TraceID(s.TraceID()), SpanID: model.SpanID(s.SpanID()), Parent: model.SpanID(s.ParentSpanID()),
		Scope: int32(len(b.Scopes) - 1), Kind: int32(s.Kind()), Status: int32(s.Status().Code()),
		Start: int64(s.StartTimestamp()), End: int64(s.EndTimestamp()), Name: s.Name(), StatusMessage: s.Status().Message(),
		TraceState: s.TraceState().AsRaw(), Flags: s.Flags(), Attrs: addAttrs(b, s.Attributes()),
		DroppedAttrs: s.DroppedAttributesCount(), DroppedEvents: s.DroppedEventsCount(), DroppedLinks: s.DroppedLinksCount(),
		Size: size,
	}
	out.Events.From = int32(len(b.Events))
	for _, e := range s.Events().All() {
		b.Events = append(b.Events, spans.Event{
			Time: int64(e.Timestamp()), Name: e.Name(), Attrs: addAttrs(b, e.Attributes()), Dropped: e.DroppedAttributesCount(),
		})
	}
	out.Events.To = int32(len(b.Events))
	out.Links.From = int32(len(b.Links))
	for _, l := range s.Links().All() {
		b.Links = append(b.Links, spans.Link{
			TraceID: model.TraceID(l.TraceID()), SpanID: model.SpanID(l.SpanID()), TraceState: l.TraceState().AsRaw(),
			Flags: l.Flags(), Attrs: addAttrs(b, l.Attributes()), Dropped: l.DroppedAttributesCount(),
		})
	}
	out.Links.To = int32(len(b.Links))
	b.Spans = append(b.Spans, out)
}

func addAttrs(b *spans.Batch, m pcommon.Map) spans.Range {
	r := spans.Range{From: int32(len(b.Attrs))}
	for k, v := range m.All() {
		b.Attrs = append(b.Attrs, spans.Attr{Key: k, Value: addValue(b, v)})
	}
	r.To = int32(len(b.Attrs))
	return r
}

func addValue(b *spans.Batch, v pcommon.Value) (out spans.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		out = spans.Value{Kind: spans.String, Str: v.Str()}
	case pcommon.ValueTypeBool:
		out.Kind = spans.Bool
		if v.Bool() {
			out.Num = 1
		}
	case pcommon.ValueTypeInt:
		out = spans.Value{Kind: spans.Int, Num: uint64(v.Int())}
	case pcommon.ValueTypeDouble:
		out = spans.Value{Kind: spans.Double, Num: math.Float64bits(v.Double())}
	case pcommon.ValueTypeBytes:
		out = spans.Value{Kind: spans.Bytes, Str: string(v.Bytes().AsRaw())}
	case pcommon.ValueTypeSlice:
		b.Reserve(&out, spans.Array, v.Slice().Len())
		for i, x := range v.Slice().All() {
			elem := addValue(b, x)
			b.Elems(&out)[i].Value = elem
		}
	case pcommon.ValueTypeMap:
		b.Reserve(&out, spans.Map, v.Map().Len())
		i := 0
		for k, x := range v.Map().All() {
			elem := addValue(b, x)
			b.Elems(&out)[i] = spans.Attr{Key: k, Value: elem}
			i++
		}
	case pcommon.ValueTypeEmpty:
	}
	return out
}

// TracesOf returns b as OpenTelemetry's data, which shares no memory with it.
func TracesOf(b *spans.Batch) ptrace.Traces {
	td := ptrace.NewTraces()
	for i := range b.Resources {
		r := &b.Resources[i]
		rs := td.ResourceSpans().AppendEmpty()
		b.CopyAttrs(b.AttrsOf(r.Attrs), rs.Resource().Attributes())
		rs.Resource().SetDroppedAttributesCount(r.Dropped)
		rs.SetSchemaUrl(r.SchemaURL)
		for _, e := range r.Entities {
			ref := entity.ResourceEntityRefs(rs.Resource()).AppendEmpty()
			ref.SetSchemaUrl(e.SchemaURL)
			ref.SetType(e.Type)
			ref.IdKeys().FromRaw(e.ID)
			ref.DescriptionKeys().FromRaw(e.Description)
		}
	}
	lists := make([]ptrace.SpanSlice, len(b.Scopes))
	for i := range b.Scopes {
		s := &b.Scopes[i]
		ss := td.ResourceSpans().At(int(s.Resource)).ScopeSpans().AppendEmpty()
		ss.Scope().SetName(s.Name)
		ss.Scope().SetVersion(s.Version)
		b.CopyAttrs(b.AttrsOf(s.Attrs), ss.Scope().Attributes())
		ss.Scope().SetDroppedAttributesCount(s.Dropped)
		ss.SetSchemaUrl(s.SchemaURL)
		lists[i] = ss.Spans()
	}
	for i := range b.Spans {
		copySpan(b, &b.Spans[i], lists[b.Spans[i].Scope].AppendEmpty())
	}
	return td
}

func copySpan(b *spans.Batch, s *spans.Span, dst ptrace.Span) {
	dst.SetTraceID(pcommon.TraceID(s.TraceID))
	dst.SetSpanID(pcommon.SpanID(s.SpanID))
	dst.SetParentSpanID(pcommon.SpanID(s.Parent))
	dst.SetKind(ptrace.SpanKind(s.Kind))
	dst.Status().SetCode(ptrace.StatusCode(s.Status))
	dst.Status().SetMessage(s.StatusMessage)
	dst.SetStartTimestamp(pcommon.Timestamp(s.Start))
	dst.SetEndTimestamp(pcommon.Timestamp(s.End))
	dst.SetName(s.Name)
	dst.TraceState().FromRaw(s.TraceState)
	dst.SetFlags(s.Flags)
	b.CopyAttrs(b.AttrsOf(s.Attrs), dst.Attributes())
	dst.SetDroppedAttributesCount(s.DroppedAttrs)
	dst.SetDroppedEventsCount(s.DroppedEvents)
	dst.SetDroppedLinksCount(s.DroppedLinks)
	for _, e := range b.Events[s.Events.From:s.Events.To] {
		out := dst.Events().AppendEmpty()
		out.SetTimestamp(pcommon.Timestamp(e.Time))
		out.SetName(e.Name)
		b.CopyAttrs(b.AttrsOf(e.Attrs), out.Attributes())
		out.SetDroppedAttributesCount(e.Dropped)
	}
	for _, l := range b.Links[s.Links.From:s.Links.To] {
		out := dst.Links().AppendEmpty()
		out.SetTraceID(pcommon.TraceID(l.TraceID))
		out.SetSpanID(pcommon.SpanID(l.SpanID))
		out.TraceState().FromRaw(l.TraceState)
		out.SetFlags(l.Flags)
		b.CopyAttrs(b.AttrsOf(l.Attrs), out.Attributes())
		out.SetDroppedAttributesCount(l.Dropped)
	}
}
