package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func env(name string) (string, bool) {
	v, ok := map[string]string{"PORT": "5000", "KEEP": "7d"}[name]
	return v, ok
}

func TestParse(t *testing.T) {
	c, err := Parse([]byte(`
listen: 127.0.0.1:${PORT}
data: ${DIR:-/tmp/x}
retention:
  logs: ${KEEP}
  tenants:
    team-api: {metrics: 90d}
limits: {max_body: 1MiB}
pipeline:
  processors:
    batch: {timeout: "${env:T}"}
`), env)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen, want.Data = "127.0.0.1:5000", "/tmp/x"
	want.Retention.Logs = days(7)
	want.Retention.Tenants = map[string]TenantRetention{"team-api": {Metrics: days(90)}}
	want.Limits.MaxBody = 1 << 20
	if diff := cmp.Diff(want, *c, cmpopts.IgnoreTypes(Pipeline{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if y, err := c.Pipeline.YAML(); err != nil || !strings.Contains(y, "${env:T}") {
		t.Errorf("pipeline %q, error %v", y, err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"unknown key", "lissten: x", "line 1: unknown key lissten; did you mean listen?"},
		{"unknown nested key", "wal:\n  synk: commit", "line 2: unknown key wal.synk; did you mean sync?"},
		{"unknown key in a list", "traces: {sampling: [{after: 1d, policies: [{name: a, type: latency, latency: {threshold: 5}}]}]}", "unknown key traces.sampling[0].policies[0].latency.threshold"},
		{"policy", "traces: {sampling: [{after: 1d, policies: [{name: a, type: latncy}]}]}", `traces.sampling[0].policies: policy "a" of type latncy`},
		{"order of steps", "traces: {sampling: [{after: 2d, policies: [{type: always_sample}]}, {after: 1d, policies: [{type: always_sample}]}]}", "traces.sampling[1].after: 1d does not come after the step before, 2d"},
		{"unknown key of a tenant", "retention: {tenants: {a: {metric: 1d}}}", "unknown key retention.tenants.a.metric; did you mean metrics?"},
		{"bad duration", "retention: {logs: 5 days}", `line 1: "5 days" is not a duration`},
		{"bad size", "limits: {max_body: big}", `"big" is not a size`},
		{"missing variable", "data: ${NOPE}", "line 1: the environment has no variable NOPE"},
		{"bad choice", "wal: {sync: never}", `wal.sync: "never"; want commit or interval`},
		{"open to the world", "listen: 0.0.0.0:4319", "set allow_open: true"},
		{"not a mapping", "[1]", "want keys such as"},
		{"pipeline of the wrong kind", "pipeline: 5", "pipeline is not a mapping"},
		{"short retention", "retention: {logs: 1h}", "the least is 1d"},
		{"not YAML", "a: b: c", "yaml"},
		{"limit of Loki's alone", "logs: {limits: {max_chunks_per_query: 5}}", "unknown key logs.limits.max_chunks_per_query, a limit of Loki's that is not here: there are no chunks; set max_query_bytes_read"},
		{"and of a tenant", "logs: {tenants: {a: {split_queries_by_interval: 1h}}}", "unknown key logs.tenants.a.split_queries_by_interval, a limit of Loki's that is not here: queries are not split"},
		{"block of Loki's", "limits_config: {max_line_size: 1MB}", "unknown key limits_config, which is logs.limits here"},
		{"limit that is misspelt", "logs: {limits: {max_line_sise: 5}}", "did you mean max_line_size?"},
		{"no such mode", "logs: {limits: {deletion_mode: off}}", `logs.limits.deletion_mode: "off"; want disabled, filter-only or filter-and-delete`},
		{"no time", "logs: {limits: {block_ingestion_until: tomorrow}}", `"tomorrow" is not a time such as`},
		{"no status", "logs: {limits: {block_ingestion_status_code: 26}}", "block_ingestion_status_code: 26 is not the status of an answer"},
		{"no selector of a policy", "logs: {limits: {policy_stream_mapping: {a: [{selector: '{}'}]}}}", "logs.limits.policy_stream_mapping.a: selector 1:"},
		{"unknown key of a policy", "logs: {limits: {policy_stream_mapping: {a: [{select: '{a=\"b\"}'}]}}}", "unknown key logs.limits.policy_stream_mapping.a[0].select; did you mean selector?"},
		{"no such policy", "logs: {limits: {block_ingestion_policy_until: {a: 2026-01-02T15:04:05Z}}}", "policy a is not in policy_stream_mapping"},
		{"two at once", "log: {level: loud, format: xml}", `log.format: "xml"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in), env)
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestPrintedConfigReadsBack(t *testing.T) {
	c := Default()
	c.Query.Timeout = Duration(90 * time.Second)
	var b bytes.Buffer
	if err := Print(&b, &c); err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b.Bytes(), env)
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if diff := cmp.Diff(c, *got, cmpopts.IgnoreTypes(Pipeline{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestTenantsAddToPolicies checks that what a tenant says about policies is on top of what
// holds for all, and only its own.
func TestTenantsAddToPolicies(t *testing.T) {
	c, err := Parse([]byte(`
logs:
  limits:
    policy_stream_mapping: {a: [{selector: '{app="a"}', priority: 1}]}
    block_ingestion_policy_until: {"*": 2026-01-02T15:04:05Z}
  tenants:
    x: {policy_stream_mapping: {b: [{selector: '{app="b"}'}]}, policy_enforced_labels: {b: [team]}}
    y: {deletion_mode: disabled}
`), env)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, l := range []LogLimits{c.Logs.Limits, c.Logs.Tenants["x"], c.Logs.Tenants["y"]} {
		got += fmt.Sprint(l.PolicyNames())
	}
	if want := "[* a][* a b][* a]"; got != want {
		t.Errorf("policies of all, x and y: %s, want %s", got, want)
	}
}

// TestReferenceIsCurrent keeps docs/configuration.md equal to what the types say.
func TestReferenceIsCurrent(t *testing.T) {
	var b bytes.Buffer
	if err := Docs(&b); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil || !bytes.Equal(doc, b.Bytes()) {
		t.Errorf("docs/configuration.md is out of date (%v): run go run ./cmd/pharos config docs > docs/configuration.md", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:1\npipeline: {a: b}"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = Parse(data, env) })
}

func TestSpanMetricsFilter(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"filter_policies: [{include: {match_type: strict, attributes: [{key: span.http.status, value: 503}]}}]", ""},
		{"dimension_mappings: [{name: endpoint, source_labels: [http.method, http.route], join: ' '}]", ""},
		{"filter_policies: [{include: {match_type: glob}}]", `traces.span_metrics: filter_policies[0].include: match_type "glob"`},
		{"filter_policies: [{includes: {match_type: strict}}]", "unknown key traces.span_metrics.filter_policies[0].includes"},
		{"dimension_mappings: [{name: a}]", "traces.span_metrics: dimension_mappings[0]: has no source_labels"},
	} {
		_, err := Parse([]byte("traces: {span_metrics: {"+c.yaml+"}}"), env)
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) && c.want != "" {
			t.Errorf("%s: %v, want %q", c.yaml, err, c.want)
		}
	}
}

func TestDownsampling(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"downsampling:\n  - resolution: \"5m\"\n    retention: \"90d\"\n  - resolution: \"1h\"\n    retention: \"1y\"\n", ""},
		{"downsampling: [{resolution: 7m, retention: 90d}]", "does not divide a day"},
		{"downsampling: [{resolution: 5m, retention: 20d}]", "is not longer than"},
		{"downsampling: [{resolution: 10m, retention: 60d}, {resolution: 15m, retention: 90d}]", "is no multiple"},
		{"retention: {metrics: 0}\ndownsampling: [{resolution: 5m, retention: 90d}]", "kept for ever"},
	} {
		_, err := Parse([]byte(c.yaml), func(string) (string, bool) { return "", false })
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) && c.want != "" {
			t.Errorf("%s: %v, want %q", c.yaml, err, c.want)
		}
	}
}
