package jaeger

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The names under which OpenTelemetry's fields are Jaeger's tags.
const (
	serviceName       = "service.name"
	noServiceName     = "OTLPResourceNoServiceName"
	tagKind           = "span.kind"
	tagError          = "error"
	tagStatusCode     = "otel.status_code"
	tagStatusText     = "otel.status_description"
	tagScopeName      = "otel.scope.name"
	tagScopeVersion   = "otel.scope.version"
	tagTraceState     = "w3c.tracestate"
	attrRefType       = "opentracing.ref_type"
	refChildOf        = "CHILD_OF"
	refFollowsFrom    = "FOLLOWS_FROM"
	maxExact          = 1<<53 - 1 // the largest integer of a JavaScript number
	warnMissingParent = "the parent span %s is not in this trace"
)

type traceJSON struct {
	TraceID   string                 `json:"traceID"`
	Spans     []spanJSON             `json:"spans"`
	Processes map[string]processJSON `json:"processes"`
	Warnings  []string               `json:"warnings"`
}

type spanJSON struct {
	TraceID    string     `json:"traceID"`
	SpanID     string     `json:"spanID"`
	Operation  string     `json:"operationName"`
	References []refJSON  `json:"references"`
	StartTime  int64      `json:"startTime"` // Unix microseconds
	Duration   int64      `json:"duration"`  // microseconds
	Tags       []keyValue `json:"tags"`
	Logs       []logJSON  `json:"logs"`
	ProcessID  string     `json:"processID"`
	Warnings   []string   `json:"warnings"`
}

type refJSON struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

type logJSON struct {
	Timestamp int64      `json:"timestamp"` // Unix microseconds
	Fields    []keyValue `json:"fields"`
}

type processJSON struct {
	Service string     `json:"serviceName"`
	Tags    []keyValue `json:"tags"`
}

type keyValue struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// newTrace turns the spans of one trace into Jaeger's model. It may change td.
func newTrace(td ptrace.Traces) *traceJSON {
	splitShared(td)
	t := &traceJSON{Spans: make([]spanJSON, 0, td.SpanCount()), Processes: map[string]processJSON{}}
	ids := map[pcommon.SpanID]bool{}
	processes := map[string]string{} // name by content
	for _, rs := range td.ResourceSpans().All() {
		process := t.process(rs.Resource().Attributes(), processes)
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				t.TraceID = traceID(s.TraceID())
				ids[s.SpanID()] = true
				t.Spans = append(t.Spans, newSpan(s, ss.Scope(), process))
			}
		}
	}
	i := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if up := s.ParentSpanID(); !up.IsEmpty() && !ids[up] {
					t.Spans[i].Warnings = append(t.Spans[i].Warnings, strings.Replace(warnMissingParent, "%s", up.String(), 1))
				}
				i++
			}
		}
	}
	return t
}

// process returns the name of the process with these resource attributes.
func (t *traceJSON) process(attrs pcommon.Map, known map[string]string) string {
	p := processJSON{Service: noServiceName, Tags: []keyValue{}}
	for k, v := range attrs.All() {
		if k == serviceName && v.AsString() != "" {
			p.Service = v.AsString()
			continue
		}
		p.Tags = append(p.Tags, newKeyValue(k, v))
	}
	text, err := json.Marshal(p)
	if name, ok := known[string(text)]; ok && err == nil {
		return name
	}
	name := "p" + strconv.Itoa(len(t.Processes)+1)
	known[string(text)] = name
	t.Processes[name] = p
	return name
}

func newSpan(s ptrace.Span, scope pcommon.InstrumentationScope, process string) spanJSON {
	start, end := int64(s.StartTimestamp()), int64(s.EndTimestamp())
	out := spanJSON{
		TraceID: traceID(s.TraceID()), SpanID: s.SpanID().String(), Operation: s.Name(), References: []refJSON{},
		StartTime: start / 1000, Duration: max(0, end-start) / 1000, Tags: make([]keyValue, 0, s.Attributes().Len()+4), Logs: []logJSON{}, ProcessID: process,
	}
	if end < start {
		out.Warnings = append(out.Warnings, "the span ends before it starts")
	}
	if up := s.ParentSpanID(); !up.IsEmpty() {
		out.References = append(out.References, refJSON{refChildOf, out.TraceID, up.String()})
	}
	for _, l := range s.Links().All() {
		kind := refFollowsFrom
		if v, ok := l.Attributes().Get(attrRefType); ok && v.AsString() == "child_of" {
			kind = refChildOf
		}
		out.References = append(out.References, refJSON{kind, traceID(l.TraceID()), l.SpanID().String()})
	}
	for k, v := range s.Attributes().All() {
		out.Tags = append(out.Tags, newKeyValue(k, v))
	}
	text := func(key, v string) {
		if v != "" {
			out.Tags = append(out.Tags, keyValue{key, "string", v})
		}
	}
	text(tagScopeName, scope.Name())
	text(tagScopeVersion, scope.Version())
	if s.Kind() != ptrace.SpanKindUnspecified {
		text(tagKind, strings.ToLower(s.Kind().String()))
	}
	switch s.Status().Code() {
	case ptrace.StatusCodeError:
		text(tagStatusCode, "ERROR")
		out.Tags = append(out.Tags, keyValue{tagError, "bool", true})
	case ptrace.StatusCodeOk:
		text(tagStatusCode, "OK")
	default:
	}
	text(tagStatusText, s.Status().Message())
	text(tagTraceState, s.TraceState().AsRaw())
	for _, e := range s.Events().All() {
		l := logJSON{Timestamp: int64(e.Timestamp()) / 1000, Fields: []keyValue{}}
		if e.Name() != "" {
			l.Fields = append(l.Fields, keyValue{"event", "string", e.Name()})
		}
		for k, v := range e.Attributes().All() {
			l.Fields = append(l.Fields, newKeyValue(k, v))
		}
		out.Logs = append(out.Logs, l)
	}
	return out
}

// traceID writes an id without its upper half if that is zero.
func traceID(id pcommon.TraceID) string {
	if [8]byte(id[:8]) == [8]byte{} {
		return id.String()[16:]
	}
	return id.String()
}

func newKeyValue(key string, v pcommon.Value) keyValue {
	switch v.Type() {
	case pcommon.ValueTypeBool:
		return keyValue{key, "bool", v.Bool()}
	case pcommon.ValueTypeInt:
		if n := v.Int(); n > maxExact || n < -maxExact {
			return keyValue{key, "int64", strconv.FormatInt(n, 10)}
		}
		return keyValue{key, "int64", v.Int()}
	case pcommon.ValueTypeDouble:
		if _, err := json.Marshal(v.Double()); err != nil { // NaN and infinities
			return keyValue{key, "string", v.AsString()}
		}
		return keyValue{key, "float64", v.Double()}
	case pcommon.ValueTypeBytes:
		return keyValue{key, "binary", base64.StdEncoding.EncodeToString(v.Bytes().AsRaw())}
	default:
		return keyValue{key, "string", v.AsString()}
	}
}
