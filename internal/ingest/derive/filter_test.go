package derive

import (
	"strings"
	"testing"
	"time"
)

func match(kind string, kvs ...string) *PolicyMatch {
	m := &PolicyMatch{MatchType: kind}
	for i := 0; i < len(kvs); i += 2 {
		m.Attributes = append(m.Attributes, PolicyAttribute{kvs[i], kvs[i+1]})
	}
	return m
}

func TestFilterPolicies(t *testing.T) {
	specs := []spec{
		{service: "pay", name: "GET /health", kind: server, trace: 1, id: 1, from: 5, attrs: map[string]any{"http.status": 200}},
		{service: "pay", name: "POST /pay", kind: server, trace: 1, id: 2, up: 1, from: 5, failed: true, attrs: map[string]any{"http.status": 503}},
		{service: "web", name: "call", kind: client, trace: 1, id: 3, up: 1, from: 5, resource: map[string]any{"cluster": "eu-1"}},
	}
	tests := []struct {
		name     string
		policies []FilterPolicy
		want     string // names of the spans that count
	}{
		{"none", nil, "GET /health,POST /pay,call"},
		{"kind", []FilterPolicy{{Include: match("strict", "kind", "SPAN_KIND_SERVER")}}, "GET /health,POST /pay"},
		{"status", []FilterPolicy{{Include: match("strict", "status", "STATUS_CODE_ERROR")}}, "POST /pay"},
		{"name by regex", []FilterPolicy{{Exclude: match("regex", "name", "^GET /(health|ready)$")}}, "POST /pay,call"},
		{"strict is no regex", []FilterPolicy{{Exclude: match("strict", "name", "GET /.*")}}, "GET /health,POST /pay,call"},
		{"resource", []FilterPolicy{{Include: match("regex", "resource.cluster", "^eu-")}}, "call"},
		{"a number", []FilterPolicy{{Include: match("strict", "span.http.status", "503")}}, "POST /pay"},
		{"scopes differ", []FilterPolicy{{Include: match("strict", "span.service.name", "pay")}}, ""},
		{"absent matches nothing", []FilterPolicy{{Exclude: match("regex", "span.http.status", ".*")}}, "call"},
		{"include wants all", []FilterPolicy{{Include: match("strict", "kind", "SPAN_KIND_SERVER", "resource.service.name", "web")}}, ""},
		{"include_any wants one", []FilterPolicy{{IncludeAny: match("strict", "kind", "SPAN_KIND_CLIENT", "name", "POST /pay")}}, "POST /pay,call"},
		{"exclude wants all", []FilterPolicy{{Exclude: match("strict", "kind", "SPAN_KIND_SERVER", "name", "call")}}, "GET /health,POST /pay,call"},
		{"exclude wins", []FilterPolicy{{Include: match("strict", "resource.service.name", "pay"), Exclude: match("regex", "name", "health")}}, "POST /pay"},
		{"every policy", []FilterPolicy{{Include: match("regex", "name", "a")}, {Exclude: match("strict", "resource.service.name", "web")}}, "GET /health,POST /pay"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, Options{Spans: SpanOptions{FilterPolicies: tt.policies}})
			r.send(specs...)
			r.wait(10 * time.Second)
			var got []string
			counted := r.out.last("traces_spanmetrics_calls_total")
			for _, s := range specs {
				for labels := range counted {
					if strings.Contains(labels, `span_name="`+s.name+`"`) {
						got = append(got, s.name)
					}
				}
			}
			if s := strings.Join(got, ","); s != tt.want {
				t.Errorf("counted %s, want %s", s, tt.want)
			}
			r.want("traces_service_graph_request_total", map[string]float64{ // whatever the policies say
				`{client="user", connection_type="virtual_node", server="pay"}`: 1,
			})
		})
	}
}

func TestDimensionMappings(t *testing.T) {
	r := newRig(t, Options{Spans: SpanOptions{
		Dimensions: []string{"region"},
		DimensionMappings: []DimensionMapping{
			{Name: "endpoint", SourceLabels: []string{"http.method", "http.route", "region"}, Join: " "},
			{Name: "service", SourceLabels: []string{"team"}},
		},
	}})
	r.send(spec{
		service: "a", name: "x", kind: internal, trace: 1, id: 1, from: 5,
		attrs: map[string]any{"http.method": "GET", "http.status": 200}, resource: map[string]any{"region": "eu", "team": "red"},
	}, spec{service: "b", name: "x", kind: internal, trace: 1, id: 2, from: 5})
	r.wait(10 * time.Second)
	r.want("traces_spanmetrics_calls_total", map[string]float64{
		`{__service="red", endpoint="GET eu", region="eu", service="a", span_kind="SPAN_KIND_INTERNAL", span_name="x", status_code="STATUS_CODE_UNSET"}`: 1,
		`{service="b", span_kind="SPAN_KIND_INTERNAL", span_name="x", status_code="STATUS_CODE_UNSET"}`:                                                  1,
	})
}

func TestSpanOptionsCheck(t *testing.T) {
	policy := func(m *PolicyMatch) SpanOptions {
		return SpanOptions{FilterPolicies: []FilterPolicy{{Include: match("strict", "name", "x")}, {Exclude: m}}}
	}
	tests := []struct {
		o    SpanOptions
		want string
	}{
		{policy(match("glob", "name", "x")), `filter_policies[1].exclude: match_type "glob"; want strict or regex`},
		{policy(match("strict")), "filter_policies[1].exclude: has no attributes"},
		{policy(nil), "filter_policies[1]: is empty"},
		{policy(match("strict", "http.method", "GET")), `key "http.method"; want kind, status, name, span.ATTRIBUTE or resource.ATTRIBUTE`},
		{policy(match("strict", "span.", "GET")), `key "span."`},
		{policy(match("regex", "name", "(")), "value of name: error parsing regexp"},
		{policy(match("strict", "kind", "server")), "want one of SPAN_KIND_UNSPECIFIED, SPAN_KIND_INTERNAL, SPAN_KIND_SERVER"},
		{policy(match("strict", "status", "error")), "want one of STATUS_CODE_UNSET, STATUS_CODE_OK, STATUS_CODE_ERROR"},
		{SpanOptions{DimensionMappings: []DimensionMapping{{SourceLabels: []string{"a"}}}}, "dimension_mappings[0]: has no name"},
		{SpanOptions{DimensionMappings: []DimensionMapping{{Name: "a"}}}, "dimension_mappings[0]: has no source_labels"},
		{SpanOptions{Dimensions: []string{"a.b"}, DimensionMappings: []DimensionMapping{{Name: "a_b", SourceLabels: []string{"c"}}}}, "the label a_b is there already"},
	}
	for _, tt := range tests {
		if err := tt.o.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
		if _, err := New(Options{Metrics: newFake(), Spans: tt.o}); err == nil {
			t.Errorf("New takes what is wrong: %s", tt.want)
		}
	}
}
