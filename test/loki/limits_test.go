package loki

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pharos-o11y/pharos/test/harness"
)

// limited is the configuration of TestLimits: tenants named by the limit they have.
const limited = `
logs:
  tenants:
    line: {max_line_size: 10}
    cut: {max_line_size: 10, max_line_size_truncate: true}
    names: {max_label_names_per_series: 2}
    name: {max_label_name_length: 12}
    value: {max_label_value_length: 5}
    meta_size: {max_structured_metadata_size: 10}
    meta_count: {max_structured_metadata_entries_count: 1}
    no_meta: {allow_structured_metadata: false}
    old: {reject_old_samples: true, reject_old_samples_max_age: 1h}
    new: {creation_grace_period: 1m}
    streams: {max_global_streams_per_user: 1}
    rate: {ingestion_rate_mb: 0.00001, ingestion_burst_size_mb: 0.00002}
    stream_rate: {per_stream_rate_limit: 10, per_stream_rate_limit_burst: 40}
    enforced: {enforced_labels: [team, app]}
    blocked: {block_ingestion_until: 2100-01-01T00:00:00Z}
    hushed: {block_ingestion_until: 2100-01-01T00:00:00Z, block_ingestion_status_code: 200}
    unblocked: {block_ingestion_until: 2000-01-01T00:00:00Z}
    policies:
      policy_stream_mapping: {dev: [{selector: '{env="dev"}', priority: 1}], prod: [{selector: '{env="prod"}', priority: 1}]}
      policy_enforced_labels: {prod: [team]}
      block_ingestion_policy_until: {dev: 2100-01-01T00:00:00Z}
    no_deletes: {deletion_mode: disabled}
    spread: {increment_duplicate_timestamp: true}
    service: {discover_service_name: [team]}
    no_service: {discover_service_name: []}
    levels: {log_level_fields: [prio]}
    no_levels: {discover_log_levels: false}
    otlp:
      otlp_config:
        resource_attributes:
          attributes_config:
            - {action: index_label, regex: "team\\..*"}
            - {action: drop, attributes: [host.name]}
        scope_attributes: [{action: drop, attributes: [noise]}]
        log_attributes: [{action: drop, regex: "secret.*"}]
    severity: {otlp_config: {severity_text_as_label: true}}
    entries: {max_entries_limit_per_query: 7}
    series: {max_query_series: 1}
    length: {max_query_length: 1h}
    range: {max_query_range: 5m}
    lookback: {max_query_lookback: 5m}
    matchers: {max_streams_matchers_per_query: 1}
    required: {required_labels: [app]}
    number: {minimum_labels_number: 2}
    bytes: {max_query_bytes_read: 100}
    volume: {volume_max_series: 1}
    no_volume: {volume_enabled: false}
    tails: {max_concurrent_tail_requests: 1}
    kept:
      retention_stream: [{selector: '{env="dev"}', priority: 1, period: 1d}, {selector: '{app="audit"}', priority: 2, period: 60d}]
retention: {logs: 3d}
`

// TestLimits has a row for each limit of part C: what is refused with which status and
// words, that the rest of the request is kept, and that it is counted by reason.
func TestLimits(t *testing.T) {
	r := start(t, limited)
	now := time.Now()
	r.base = now.Add(-10 * time.Minute).Truncate(time.Minute)
	ten := strings.Repeat("y", 10)
	for _, tt := range []struct {
		tenant, body string
		code         int
		want         string
		reason       string
		n            int
		kept         int // entries of {app=~".+"}; -1 means it is not looked at
	}{
		{"line", push(`{"app":"x"}`, "+0", ten, "+1", ten+"y"), 400, "max entry size '10' bytes exceeded", "line_too_long", 1, 1},
		{"cut", push(`{"app":"x"}`, "+0", ten+"zzz"), 204, "", "", 0, 1},
		{"names", two(`{"app":"x","a":"1","b":"2"}`, `{"app":"x","service_name":"s","b":"2"}`), 400, "has 3 label names; limit 2", "max_label_names_per_series", 1, 1},
		{"name", two(`{"app":"x","longer_than_12":"1"}`, `{"app":"x"}`), 400, "label name too long", "label_name_too_long", 1, 1},
		{"value", two(`{"app":"longer"}`, `{"app":"x"}`), 400, "label value too long", "label_value_too_long", 1, 1},
		{"meta_size", meta(`{"k":"12345678910"}`, `{"k":"1"}`), 400, "structured metadata too large", "structured_metadata_too_large", 1, 1},
		{"meta_count", meta(`{"k":"1","l":"2"}`, `{"k":"1"}`), 400, "too many structured metadata labels", "structured_metadata_too_many", 1, 1},
		{"no_meta", meta(`{"k":"1"}`, `{}`), 400, "structured metadata", "disallowed_structured_metadata", 1, 1},
		{"old", push(`{"app":"x"}`, "-3600", "gone", "+0", "kept"), 400, "timestamp too old", "greater_than_max_sample_age", 1, 1},
		{"new", push(`{"app":"x"}`, "+840", "gone", "+0", "kept"), 400, "timestamp too new", "too_far_in_future", 1, 1},
		{"streams", two(`{"app":"x"}`, `{"app":"y"}`), 429, "maximum", "stream_limit", 1, 1},
		{"rate", push(`{"app":"x"}`, "+0", ten+ten+ten), 429, "ingestion rate limit exceeded", "rate_limited", 1, 0},
		{"stream_rate", `{"streams":[{"stream":{"app":"x"},"values":[["{Tn}","` + ten + ten + ten + `"]]},{"stream":{"app":"y"},"values":[["{Tn}","y"]]}]}`, 429, "rate", "per_stream_rate_limit", 1, 1},
		{"enforced", two(`{"app":"x"}`, `{"app":"x","team":"t"}`), 400, "lacks the required label team", "missing_enforced_labels", 1, 1},
		{"blocked", push(`{"app":"x"}`, "+0", "gone"), 260, "ingestion is blocked until 2100-01-01T00:00:00Z", "blocked_ingestion", 1, 0},
		{"hushed", push(`{"app":"x"}`, "+0", "gone"), 204, "", "blocked_ingestion", 2, 0}, // and the one before, of no known tenant either
		{"unblocked", push(`{"app":"x"}`, "+0", "kept"), 204, "", "", 0, 1},
		{"policies", two(`{"app":"x","env":"dev"}`, `{"app":"x"}`), 260, "of policy dev is blocked", "blocked_ingestion_policy", 1, 1},
		{"policies", two(`{"app":"x","env":"dev"}`, `{"app":"x","env":"prod"}`), 400, "lacks the required label team", "missing_enforced_labels", 1, 1},
		{"policies", two(`{"app":"x","env":"prod","team":"t"}`, `{"app":"y"}`), 204, "", "", 0, 3},
		{"no_service", `{"streams":[{"stream":{},"values":[["{Tn}","gone"]]},{"stream":{"app":"x"},"values":[["{Tn}","kept"]]}]}`, 400, "at least one label", "missing_labels", 1, 1},
		{"no_service", two(`{"a-b":"x"}`, `{"app":"y"}`), 400, "invalid label name", "invalid_labels", 1, 2},
	} {
		t.Run(tt.tenant, func(t *testing.T) {
			tenant := "X-Scope-OrgID: " + tt.tenant
			(&runner{t: t, s: r.s, base: r.base}).one(t, &call{path: pushPath, headers: jsonType + "; " + tenant, body: tt.body, code: tt.code, want: []string{tt.want}})
			(&runner{t: t, s: r.s, base: r.base}).one(t, &call{
				path: "/loki/api/v1/query", headers: tenant, params: `query=sum(count_over_time({app=~".%2B"}[1h])) or vector(0)&time={T+600}`, want: []string{fmt.Sprintf(`,"%d"]`, tt.kept)},
			})
			if tt.reason != "" {
				name := tt.tenant
				if tt.kept == 0 { // of a tenant that stored nothing yet
					name = ""
				}
				(&runner{t: t, s: r.s, base: r.base}).one(t, &call{path: "/metrics", want: []string{fmt.Sprintf("pharos_discarded_items_total{reason=%q,signal=\"logs\",tenant=%q} %d\n", tt.reason, name, tt.n)}})
			}
		})
	}
	r.run(
		call{n: "C1", name: "a line that was cut", path: rangePath, headers: "X-Scope-OrgID: cut", params: `query={app="x"}&start={T}&end={T+59}`, want: []string{`"` + ten + `"]`}},
	)
}

// two is a push of an entry to each of two streams.
func two(a, b string) string {
	return `{"streams":[{"stream":` + a + `,"values":[["{Tn}","x"]]},{"stream":` + b + `,"values":[["{Tn}","x"]]}]}`
}

// meta is a push of two entries with metadata.
func meta(a, b string) string {
	return `{"streams":[{"stream":{"app":"x"},"values":[["{Tn}","x",` + a + `],["{T+1n}","x",` + b + `]]}]}`
}

// TestRules checks what limits_config says about how entries are read.
func TestRules(t *testing.T) {
	r := start(t, limited)
	win := "&start={T}&end={T+59}"
	of := func(tenant string) string { return "X-Scope-OrgID: " + tenant }
	for _, tenant := range []string{"spread", "service", "no_service", "levels", "no_levels"} {
		r.push(tenant, push(`{"app":"x","team":"a"}`, "+0", "prio=warn error", "+0", "b"))
	}
	otlp := `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}},{"key":"team.id","value":{"stringValue":"7"}},{"key":"host.name","value":{"stringValue":"h"}},{"key":"zone","value":{"stringValue":"z"}}]},
		"scopeLogs":[{"scope":{"attributes":[{"key":"noise","value":{"stringValue":"n"}},{"key":"kept","value":{"stringValue":"k"}}]},"logRecords":[{"timeUnixNano":"{Tn}","body":{"stringValue":"x"},
		"attributes":[{"key":"secret.a","value":{"stringValue":"s"}},{"key":"open","value":{"stringValue":"o"}}]}]}]}]}`
	r.run(
		call{n: "C1", name: "equal times are spread", path: rangePath, headers: of("spread"), params: `query={app="x"}&direction=forward` + win, want: []string{`0000000001","b"]`}},
		call{n: "C1", name: "other labels name the service", path: "/loki/api/v1/series", headers: of("service"), params: "x=y" + win, want: []string{`"service_name":"a"`}},
		call{n: "C1", name: "no service_name", path: "/loki/api/v1/series", headers: of("no_service"), params: "x=y" + win, exact: `{"status":"success","data":[{"app":"x","team":"a"}]}`},
		call{n: "C1", name: "other fields hold the level", path: rangePath, headers: of("levels"), params: `query={app="x"}` + win, want: []string{`"detected_level":"warn"`, `"detected_level":"unknown"`}},
		call{n: "C1", name: "no level", path: rangePath, headers: of("no_levels"), params: `query={app="x"}` + win, not: []string{"detected_level"}},
		call{n: "C1", name: "shown to clients", path: "/loki/api/v1/drilldown-limits", headers: of("levels"), want: []string{`"log_level_fields":["prio"]`, `"discover_log_levels":true`}},
		call{n: "C1", name: "shown as YAML", path: "/config/tenant/v1/limits", headers: of("no_service"), want: []string{"discover_service_name: []"}},
		call{n: "B2.9", name: "OTLP by rules", path: "/otlp/v1/logs", headers: jsonType + "; " + of("otlp"), body: otlp, code: 204},
		call{n: "B2.9", name: "labels by rules", path: "/loki/api/v1/series", headers: of("otlp"), params: "x=y" + win, exact: `{"status":"success","data":[{"service_name":"s","team_id":"7"}]}`},
		call{n: "B2.9", name: "metadata by rules", path: rangePath, headers: of("otlp"), params: `query={service_name="s"}` + win, want: []string{`"zone":"z"`, `"kept":"k"`, `"open":"o"`}, not: []string{"host_name", "secret", "noise"}},
		call{n: "C1", name: "severities", path: "/otlp/v1/logs", headers: jsonType + "; " + of("severity"), code: 204, body: `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeLogs":[{"logRecords":[
			{"timeUnixNano":"{T+1n}","severityText":"Info","body":{"stringValue":"a"}},{"timeUnixNano":"{T+2n}","body":{"stringValue":"b"}},{"timeUnixNano":"{T+3n}","severityText":"Info","body":{"stringValue":"c"}}]}]}]}`},
		call{n: "C1", name: "are labels", path: "/loki/api/v1/series", headers: of("severity"), params: "x=y" + win, want: []string{`{"service_name":"s","severity_text":"Info"}`, `{"service_name":"s"}`}},
		call{n: "C1", name: "and not metadata", path: rangePath, headers: of("severity") + "; X-Loki-Response-Encoding-Flags: categorize-labels", params: `query={severity_text="Info"}` + win, want: []string{`["{T+3n}","c",{"structuredMetadata":{"detected_level":"info"}}],["{T+1n}","a",`}},
		call{n: "C1", name: "deletion_mode", method: "POST", path: "/loki/api/v1/delete", headers: of("no_deletes"), params: `query={app="x"}&start={T}`, code: 403, want: []string{"deletion is not available for this tenant"}},
		call{n: "C1", name: "deletion_mode of the list", path: "/loki/api/v1/delete", headers: of("no_deletes"), code: 403},
		call{n: "B9.4", name: "otlp_config is shown", path: "/loki/api/v1/drilldown-limits", headers: of("otlp"), want: []string{`"otlp_config":{`, `"regex":"secret.*"`}},
	)
}

// TestQueryLimits has a row for each limit of queries.
func TestQueryLimits(t *testing.T) {
	r := start(t, limited)
	for _, tenant := range []string{"entries", "series", "length", "range", "lookback", "matchers", "required", "number", "bytes", "volume", "no_volume"} {
		r.push(tenant, push(`{"app":"x","pod":"a"}`, "+0", "old", "+1", strings.Repeat("x", 100)))
		r.push(tenant, push(`{"app":"x","pod":"b"}`, "+590", "new"))
	}
	one := func(tenant, name, path, params string, code int, want ...string) call {
		return call{n: "C1", name: tenant + " " + name, path: "/loki/api/v1/" + path, headers: "X-Scope-OrgID: " + tenant, params: params, code: code, want: want}
	}
	win := "&start={T}&end={T+599}"
	not := func(c call, not ...string) call {
		c.not = not
		return c
	}
	r.run(
		one("entries", "8", "query_range", `query={app="x"}&limit=8`, 400, "max entries limit", "8 > 7"),
		one("entries", "7", "query_range", `query={app="x"}&limit=7`+win, 200, "old"),
		one("series", "2", "query", `query=sum by (pod) (count_over_time({app="x"}[1h]))&time={T+600}`, 400, "maximum number of series (1) reached for a single query"),
		one("series", "1 of 2", "query", `query=sum(sum by (pod) (count_over_time({app="x"}[1h])))&time={T+600}`, 200, `"3"]`),
		one("series", "literal", "query_range", `query=1&start={T}&end={T+5}`, 200, `"1"]`),
		one("length", "61 minutes", "query_range", `query={app="x"}&start={T-3000}&end={T+660}`, 400, "query length: 1h1m0s, limit: 1h"),
		one("length", "a long range is none", "query", `query=sum(count_over_time({app="x"}[1d]))&time={T+600}`, 200, `"3"]`),
		one("range", "6 minutes", "query", `query=sum(count_over_time({app="x"}[5m])) + sum(count_over_time({app="x"}[6m]))`, 400, "interval: [6m], limit: 5m"),
		one("range", "5 minutes", "query", `query=sum(count_over_time({app="x"}[5m]))`, 200),
		not(one("lookback", "5 minutes", "query_range", `query={app="x"}`+win, 200, "new"), "old"),
		one("lookback", "all before", "query_range", `query={app="x"}&start={T}&end={T+30}`, 200, `"result":[]`),
		one("lookback", "series", "series", `match[]={app="x"}`+win, 200, `"pod":"b"`),
		one("matchers", "2", "query_range", `query={app="x",pod="a"}`, 400, "max streams matchers per query exceeded", "2 > 1"),
		one("matchers", "1", "query_range", `query={app="x"}`, 200),
		one("required", "without", "query_range", `query={pod="a"}`, 400, "missing required matchers [app]"),
		one("required", "with", "query_range", `query={app="x"}`+win, 200, "old"),
		one("required", "without in one of two", "query", `query=count_over_time({app="x"}[1m]) / count_over_time({pod="x"}[1m])`, 400, "missing required matchers [app]"),
		one("number", "1", "query_range", `query={app="x"}`, 400, "less label matchers than required"),
		one("number", "2", "query_range", `query={app="x",pod="a"}`+win, 200, "old"),
		one("bytes", "too many", "query_range", `query={app="x"}`+win, 400, "would read too many bytes", "limit: 100 B"),
		one("bytes", "few", "query_range", `query={app="x",pod="b"}`+win, 200, "new"),
		one("bytes", "metric", "query", `query=sum(count_over_time({app="x"}[1h]))&time={T+600}`, 400, "would read too many bytes"),
		not(one("volume", "the largest", "index/volume", `query={}&limit=10`+win, 200, `"pod":"a"`), `"pod":"b"`),
		one("no_volume", "volume", "index/volume", `query={}`+win, 400, "volume_enabled"),
		one("no_volume", "volume_range", "index/volume_range", `query={}`+win, 400, "volume_enabled"),
		one("no_volume", "is shown", "drilldown-limits", "", 200, `"volume_enabled":false`),
	)
}

// TestTailLimit opens one tail more than max_concurrent_tail_requests, and then, once the first
// is closed, another.
func TestTailLimit(t *testing.T) {
	r := start(t, limited)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	open := func() (*websocket.Conn, int) {
		conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(r.s.URL, "http")+"/loki/api/v1/tail?query="+url.QueryEscape(`{app="x"}`),
			&websocket.DialOptions{HTTPHeader: http.Header{"X-Scope-Orgid": {"tails"}}})
		if resp == nil {
			t.Fatal(err)
		}
		if resp.Body != nil {
			resp.Body.Close()
		}
		return conn, resp.StatusCode
	}
	first, code := open()
	if code != http.StatusSwitchingProtocols {
		t.Fatalf("the first tail: %d", code)
	}
	if _, code := open(); code != http.StatusTooManyRequests {
		t.Errorf("the second tail: %d, want 429", code)
	}
	first.Close(websocket.StatusNormalClosure, "")
	harness.Eventually(t, "another tail", func() bool {
		conn, code := open()
		if code != http.StatusSwitchingProtocols {
			return false
		}
		conn.CloseNow()
		return true
	})
}

// TestStreamRetention writes what one selector keeps for longer and another for shorter
// than the rest.
func TestStreamRetention(t *testing.T) {
	r := start(t, limited)
	const day = 86400
	at := func(days int) string { return fmt.Sprint(-days * day) }
	for _, tt := range []struct {
		stream string
		days   int
		code   int
	}{
		{`{"app":"x"}`, 2, 204},
		{`{"app":"x"}`, 4, 400},
		{`{"app":"x","env":"dev"}`, 2, 400},
		{`{"app":"audit"}`, 50, 204},
		{`{"app":"audit","env":"dev"}`, 50, 204}, // the higher priority counts
		{`{"app":"audit"}`, 61, 400},
	} {
		a, err := r.s.Do(t, http.MethodPost, pushPath, []byte(r.expand(push(tt.stream, at(tt.days), "x"))), map[string]string{"Content-Type": "application/json", "X-Scope-OrgID": "kept"})
		if err != nil || a.Code != tt.code {
			t.Errorf("%s of %d days ago: %d %s %v, want %d", tt.stream, tt.days, a.Code, a.Body, err, tt.code)
		}
	}
	a, err := r.s.Do(t, http.MethodPost, "/flush", nil, nil)
	harness.MustOK(t, a, err)
	r.run(call{n: "C1", name: "what is kept", path: "/loki/api/v1/series", headers: "X-Scope-OrgID: kept", params: "start={T-6000000}&end={T}", want: []string{`{"app":"audit","env":"dev"`, `{"app":"x"`}, not: []string{`{"app":"x","env":"dev"`}})
}
