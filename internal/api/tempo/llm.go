package tempo

import (
	"encoding/json"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
)

// A trace for language models: plain JSON with ids in hex and attributes as an object, a
// third of the tokens of OTLP's. Tempo calls the format unstable.

const mediaLLM = "application/vnd.grafana.llm"

// wantsLLM reports whether a client accepts the format, and neither JSON nor protobuf.
func wantsLLM(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, mediaLLM) && !strings.Contains(accept, "application/json") && !wantsProto(r)
}

type llmTrace struct {
	TraceID  string       `json:"traceId"`
	Services []llmService `json:"services"`
}

type llmService struct {
	Name     string         `json:"serviceName"`
	Resource map[string]any `json:"resource"`
	Scopes   []llmScope     `json:"scopes"`
}

type llmScope struct {
	Name    string    `json:"name"`
	Version string    `json:"version,omitempty"`
	Spans   []llmSpan `json:"spans"`
}

type llmSpan struct {
	SpanID     string         `json:"spanId"`
	Name       string         `json:"name"`
	Parent     string         `json:"parentSpanId,omitempty"`
	Kind       string         `json:"kind"`
	Start      uint64         `json:"startTimeUnixNano,string"`
	End        uint64         `json:"endTimeUnixNano,string"`
	DurationMs float64        `json:"durationMs"`
	Attributes map[string]any `json:"attributes"`
	Status     llmStatus      `json:"status"`
}

type llmStatus struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

func sendLLM(w http.ResponseWriter, id model.TraceID, td ptrace.Traces) error {
	t := llmTrace{TraceID: id.String(), Services: []llmService{}}
	for _, rs := range td.ResourceSpans().All() {
		s := llmService{Resource: rawMap(rs.Resource().Attributes()), Scopes: []llmScope{}}
		if v, ok := rs.Resource().Attributes().Get("service.name"); ok {
			s.Name = v.AsString()
			delete(s.Resource, "service.name")
		}
		for _, ss := range rs.ScopeSpans().All() {
			scope := llmScope{Name: ss.Scope().Name(), Version: ss.Scope().Version(), Spans: []llmSpan{}}
			for _, sp := range ss.Spans().All() {
				scope.Spans = append(scope.Spans, newLLMSpan(sp))
			}
			s.Scopes = append(s.Scopes, scope)
		}
		t.Services = append(t.Services, s)
	}
	w.Header().Set("Content-Type", mediaLLM+"+json")
	return json.NewEncoder(w).Encode(map[string]llmTrace{"trace": t})
}

func newLLMSpan(s ptrace.Span) llmSpan {
	start, end := uint64(s.StartTimestamp()), uint64(s.EndTimestamp())
	out := llmSpan{
		SpanID: s.SpanID().String(), Name: s.Name(), Kind: kindName(s.Kind()), Start: start, End: end, DurationMs: float64(max(start, end)-start) / 1e6,
		Attributes: rawMap(s.Attributes()), Status: llmStatus{statusName(s.Status().Code()), s.Status().Message()},
	}
	if !s.ParentSpanID().IsEmpty() {
		out.Parent = s.ParentSpanID().String()
	}
	return out
}

// rawMap is attributes as encoding/json takes them: numbers that JSON has not are text.
func rawMap(m pcommon.Map) map[string]any {
	out := make(map[string]any, m.Len())
	for k, v := range m.All() {
		raw := v.AsRaw()
		if _, err := json.Marshal(raw); err != nil {
			raw = v.AsString()
		}
		out[k] = raw
	}
	return out
}
