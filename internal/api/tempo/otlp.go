package tempo

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/traceql"
)

// This file writes OTLP's data types: those of stored traces from pdata, and those of
// results from TraceQL values.

// anyValue writes a value of a result; nil, which OTLP has not, as the string "nil".
func anyValue(m message, v traceql.Value) {
	switch v.Type() {
	case traceql.TypeInt:
		m.oneofInt(3, "intValue", v.Int())
	case traceql.TypeFloat:
		m.oneofDouble(4, "doubleValue", v.Float())
	case traceql.TypeBool:
		m.oneofBool(2, "boolValue", v.Bool())
	case traceql.TypeArray:
		m.message(5, "arrayValue", func(m message) {
			m.list(1, "values", len(v.Elems()), false, func(i int, m message) { anyValue(m, v.Elems()[i]) })
		})
	default:
		m.oneofStr(1, "stringValue", v.String())
	}
}

func keyValues(m message, num protowire.Number, name string, kvs []traceql.KeyValue) {
	m.list(num, name, len(kvs), false, func(i int, m message) {
		m.str(1, "key", kvs[i].Key)
		m.message(2, "value", func(m message) { anyValue(m, kvs[i].Value) })
	})
}

// resourceSpans writes td as a list of ResourceSpans.
func resourceSpans(m message, num protowire.Number, name string, td ptrace.Traces) {
	all := td.ResourceSpans()
	m.list(num, name, all.Len(), false, func(i int, m message) {
		rs := all.At(i)
		m.message(1, "resource", func(m message) {
			attributes(m, 1, rs.Resource().Attributes())
			m.uint32(2, "droppedAttributesCount", rs.Resource().DroppedAttributesCount())
		})
		m.list(2, "scopeSpans", rs.ScopeSpans().Len(), false, func(i int, m message) {
			ss := rs.ScopeSpans().At(i)
			m.message(1, "scope", func(m message) {
				m.str(1, "name", ss.Scope().Name())
				m.str(2, "version", ss.Scope().Version())
				attributes(m, 3, ss.Scope().Attributes())
				m.uint32(4, "droppedAttributesCount", ss.Scope().DroppedAttributesCount())
			})
			m.list(2, "spans", ss.Spans().Len(), false, func(i int, m message) { span(m, ss.Spans().At(i)) })
			m.str(3, "schemaUrl", ss.SchemaUrl())
		})
		m.str(3, "schemaUrl", rs.SchemaUrl())
	})
}

func span(m message, s ptrace.Span) {
	traceID, spanID, parent := s.TraceID(), s.SpanID(), s.ParentSpanID()
	m.bytes(1, "traceId", traceID[:])
	m.bytes(2, "spanId", spanID[:])
	m.str(3, "traceState", s.TraceState().AsRaw())
	if !parent.IsEmpty() {
		m.bytes(4, "parentSpanId", parent[:])
	}
	m.fixed32(16, "flags", s.Flags())
	m.str(5, "name", s.Name())
	m.enum(6, "kind", int(s.Kind()), kindName(s.Kind()))
	m.fixed64(7, "startTimeUnixNano", uint64(s.StartTimestamp()))
	m.fixed64(8, "endTimeUnixNano", uint64(s.EndTimestamp()))
	attributes(m, 9, s.Attributes())
	m.uint32(10, "droppedAttributesCount", s.DroppedAttributesCount())
	m.list(11, "events", s.Events().Len(), false, func(i int, m message) {
		e := s.Events().At(i)
		m.fixed64(1, "timeUnixNano", uint64(e.Timestamp()))
		m.str(2, "name", e.Name())
		attributes(m, 3, e.Attributes())
		m.uint32(4, "droppedAttributesCount", e.DroppedAttributesCount())
	})
	m.uint32(12, "droppedEventsCount", s.DroppedEventsCount())
	m.list(13, "links", s.Links().Len(), false, func(i int, m message) {
		l := s.Links().At(i)
		traceID, spanID := l.TraceID(), l.SpanID()
		m.bytes(1, "traceId", traceID[:])
		m.bytes(2, "spanId", spanID[:])
		m.str(3, "traceState", l.TraceState().AsRaw())
		attributes(m, 4, l.Attributes())
		m.uint32(5, "droppedAttributesCount", l.DroppedAttributesCount())
		m.fixed32(6, "flags", l.Flags())
	})
	m.uint32(14, "droppedLinksCount", s.DroppedLinksCount())
	m.message(15, "status", func(m message) {
		m.str(2, "message", s.Status().Message())
		m.enum(3, "code", int(s.Status().Code()), statusName(s.Status().Code()))
	})
}

func kindName(k ptrace.SpanKind) string {
	switch k {
	case ptrace.SpanKindInternal:
		return "SPAN_KIND_INTERNAL"
	case ptrace.SpanKindServer:
		return "SPAN_KIND_SERVER"
	case ptrace.SpanKindClient:
		return "SPAN_KIND_CLIENT"
	case ptrace.SpanKindProducer:
		return "SPAN_KIND_PRODUCER"
	case ptrace.SpanKindConsumer:
		return "SPAN_KIND_CONSUMER"
	}
	return "SPAN_KIND_UNSPECIFIED"
}

func statusName(c ptrace.StatusCode) string {
	switch c {
	case ptrace.StatusCodeOk:
		return "STATUS_CODE_OK"
	case ptrace.StatusCodeError:
		return "STATUS_CODE_ERROR"
	}
	return "STATUS_CODE_UNSET"
}

func attributes(m message, num protowire.Number, attrs pcommon.Map) {
	pairs(m, num, "attributes", attrs)
}

// pairs writes a map as a list of key and value.
func pairs(m message, num protowire.Number, name string, attrs pcommon.Map) {
	type pair struct {
		key string
		val pcommon.Value
	}
	all := make([]pair, 0, attrs.Len())
	for k, v := range attrs.All() {
		all = append(all, pair{k, v})
	}
	m.list(num, name, len(all), false, func(i int, m message) {
		m.str(1, "key", all[i].key)
		m.message(2, "value", func(m message) { storedValue(m, all[i].val) })
	})
}

// storedValue writes a value as it was stored, whatever its type.
func storedValue(m message, v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		m.oneofStr(1, "stringValue", v.Str())
	case pcommon.ValueTypeBool:
		m.oneofBool(2, "boolValue", v.Bool())
	case pcommon.ValueTypeInt:
		m.oneofInt(3, "intValue", v.Int())
	case pcommon.ValueTypeDouble:
		m.oneofDouble(4, "doubleValue", v.Double())
	case pcommon.ValueTypeSlice:
		m.message(5, "arrayValue", func(m message) {
			m.list(1, "values", v.Slice().Len(), false, func(i int, m message) { storedValue(m, v.Slice().At(i)) })
		})
	case pcommon.ValueTypeMap:
		m.message(6, "kvlistValue", func(m message) { pairs(m, 1, "values", v.Map()) })
	case pcommon.ValueTypeBytes:
		m.bytes(7, "bytesValue", v.Bytes().AsRaw())
	}
}
