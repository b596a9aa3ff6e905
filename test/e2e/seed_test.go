// Package e2e asks the real binary what its users ask.
package e2e

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/test/harness"
)

// The queries below are those of the text that Pharos was asked for with, word for word,
// on an hour of data whose answers can be worked out by hand: counters grow by a fixed
// rate, sampled every 15 s.

// counters are the rates of an hour, by series.
var counters = []struct {
	labels string
	rate   float64
}{
	{`http_requests_total,service=checkout,method=POST,status=200`, 9},
	{`http_requests_total,service=checkout,method=POST,status=503`, 1},
	{`http_requests_total,service=api,method=GET,status=200`, 19.98},
	{`http_requests_total,service=api,method=GET,status=500`, 0.02},
	{`http_request_duration_seconds_bucket,service=checkout,status=200,le=0.1`, 5},
	{`http_request_duration_seconds_bucket,service=checkout,status=200,le=0.5`, 8},
	{`http_request_duration_seconds_bucket,service=checkout,status=200,le=1`, 9},
	{`http_request_duration_seconds_bucket,service=checkout,status=200,le=+Inf`, 9},
	{`http_request_duration_seconds_bucket,service=checkout,status=503,le=0.1`, 0},
	{`http_request_duration_seconds_bucket,service=checkout,status=503,le=0.5`, 0},
	{`http_request_duration_seconds_bucket,service=checkout,status=503,le=1`, 1},
	{`http_request_duration_seconds_bucket,service=checkout,status=503,le=+Inf`, 1},
	{`http_request_duration_seconds_bucket,service=api,status=200,le=0.1`, 20},
	{`http_request_duration_seconds_bucket,service=api,status=200,le=0.5`, 20},
	{`http_request_duration_seconds_bucket,service=api,status=200,le=1`, 20},
	{`http_request_duration_seconds_bucket,service=api,status=200,le=+Inf`, 20},
	{`cpu_usage_total,service=api`, 0.25},
	{`go_gc_duration_seconds_sum,service=api`, 0.2},
	{`go_gc_duration_seconds_sum,service=checkout`, 0.01},
	{`traces_total,service=checkout`, 2},
}

// gauges are constant.
var gauges = []struct {
	labels string
	value  float64
}{
	{`mysql_threads_connected,instance=db1`, 140},
	{`mysql_max_connections,instance=db1`, 151},
	{`mysql_threads_connected,instance=db2`, 10},
	{`mysql_max_connections,instance=db2`, 151},
	{`mysql_global_status_slow_queries_rate,instance=db1`, 12},
	{`mysql_global_status_slow_queries_rate,instance=db2`, 1},
	{`process_resident_memory_bytes,instance=a`, 900},
	{`node_memory_MemTotal_bytes,instance=a`, 1000},
	{`process_resident_memory_bytes,instance=b`, 100},
	{`node_memory_MemTotal_bytes,instance=b`, 1000},
	{`user_sessions_active,service=user-service`, 42},
	{`http_requests_total,trace_id=xyz789`, 1},
}

func sampleLabels(text string) [][2]string {
	f := strings.Split(text, ",")
	all := [][2]string{{"__name__", f[0]}}
	for _, p := range f[1:] {
		k, v, _ := strings.Cut(p, "=")
		all = append(all, [2]string{k, v})
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all
}

func TestSeedQueries(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	now := time.Now().Truncate(15 * time.Second)
	sendSeedMetrics(t, s, now)
	t.Run("PromQL", func(t *testing.T) { seedPromQL(t, s, now) })
	t.Run("label_values", func(t *testing.T) {
		var got struct{ Data []string }
		s.Get(t, "/api/v1/label/service/values?"+url.Values{"match[]": {"http_requests_total"}}.Encode(), &got)
		if want := []string{"api", "checkout"}; !slices.Equal(got.Data, want) {
			t.Errorf("label_values(http_requests_total, service) = %v, want %v", got.Data, want)
		}
	})
	sendSeedLogs(t, s, now)
	t.Run("LogQL", func(t *testing.T) { seedLogQL(t, s, now) })
	sendSeedTraces(t, s, now)
	t.Run("TraceQL", func(t *testing.T) { seedTraceQL(t, s, now) })
}

func sendSeedMetrics(t *testing.T, s *harness.Server, now time.Time) {
	for k := range 241 {
		at := now.Add(time.Duration(k-240) * 15 * time.Second).UnixMilli()
		var batch []harness.Sample
		for _, c := range counters {
			batch = append(batch, harness.Sample{Labels: sampleLabels(c.labels), Millis: at, Value: 1e6 + c.rate*15*float64(k)})
		}
		for _, g := range gauges {
			batch = append(batch, harness.Sample{Labels: sampleLabels(g.labels), Millis: at, Value: g.value})
		}
		a, err := s.WriteMetrics(t, batch...)
		harness.MustOK(t, a, err)
	}
}

func seedPromQL(t *testing.T, s *harness.Server, now time.Time) {
	const all = 9 + 1 + 19.98 + 0.02
	tests := []struct {
		name, query string
		want        map[string]float64
	}{
		{"SLI", `(
  sum(rate(http_requests_total{status!~"5.."}[30d])) 
  / 
  sum(rate(http_requests_total[30d]))
) * 100`, map[string]float64{"{}": (9 + 19.98) / all * 100}},
		{"SLI by histogram", `1 - (
  sum(rate(http_request_duration_seconds_bucket{le="+Inf",status=~"5.."}[30d]))
  /
  sum(rate(http_request_duration_seconds_bucket{le="+Inf"}[30d]))
)`, map[string]float64{"{}": 1 - 1./30}},
		{"SLO alert", `(
    sum(rate(http_requests_total{status!~"5.."}[5m])) 
    / 
    sum(rate(http_requests_total[5m]))
  ) < 0.999`, map[string]float64{"{}": (9 + 19.98) / all}},
		{"sessions", `user_sessions_active{service="user-service"}`, map[string]float64{`{__name__="user_sessions_active",service="user-service"}`: 42}},
		{"correlation", `http_requests_total{trace_id="xyz789"}`, map[string]float64{`{__name__="http_requests_total",trace_id="xyz789"}`: 1}},
		{"error panel", `rate(http_requests_total{status=~"5.."}[5m])`, map[string]float64{
			`{method="POST",service="checkout",status="503"}`: 1, `{method="GET",service="api",status="500"}`: 0.02,
		}},
		{"template variable", `increase(traces_total{service="checkout"}[1h])`, map[string]float64{`{service="checkout"}`: 7200}},
		{"recording rule", `sum(rate(http_requests_total{service!=""}[5m])) by (service, method)`, map[string]float64{
			`{method="GET",service="api"}`: 20, `{method="POST",service="checkout"}`: 10,
		}},
		{"golden: errors", `sum(rate(http_requests_total{status=~"5.."}[5m])) by (service)
/ 
sum(rate(http_requests_total[5m])) by (service)`, map[string]float64{`{service="api"}`: 0.001, `{service="checkout"}`: 0.1}},
		{"golden: latency", `histogram_quantile(0.95, 
  sum(rate(http_request_duration_seconds_bucket[5m])) by (le, service)
)`, map[string]float64{`{service="api"}`: 0.095, `{service="checkout"}`: 0.875}},
		{"golden: traffic", `sum(rate(http_requests_total{service!=""}[5m])) by (service)`, map[string]float64{`{service="api"}`: 20, `{service="checkout"}`: 10}},
		{"golden: saturation", `rate(cpu_usage_total[5m])`, map[string]float64{`{service="api"}`: 0.25}},
		{"connection pool", `mysql_threads_connected / mysql_max_connections > 0.8`, map[string]float64{`{instance="db1"}`: 140. / 151}},
		{"slow queries", `mysql_global_status_slow_queries_rate > 10`, map[string]float64{`{__name__="mysql_global_status_slow_queries_rate",instance="db1"}`: 12}},
		{"memory pressure", `process_resident_memory_bytes / node_memory_MemTotal_bytes > 0.8`, map[string]float64{`{instance="a"}`: 0.9}},
		{"GC pressure", `rate(go_gc_duration_seconds_sum[5m]) > 0.1`, map[string]float64{`{service="api"}`: 0.2}},
		{"LatencyHigh", `histogram_quantile(0.95,
      sum(rate(http_request_duration_seconds_bucket{service="checkout"}[5m])) by (le)
    ) > 0.5`, map[string]float64{"{}": 0.875}},
		{"ErrorRateHigh", `sum(rate(http_requests_total{service="checkout",status=~"5.."}[5m]))
    /
    sum(rate(http_requests_total{service="checkout"}[5m])) > 0.01`, map[string]float64{"{}": 0.1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]float64{}
			for k, pts := range s.Prom(t, tt.query, now).Vector {
				v, err := strconv.ParseFloat(pts[0].Value, 64)
				if err != nil {
					t.Fatal(err)
				}
				got[k] = v
			}
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(tt.want))) {
				t.Fatalf("series %v, want %v", got, tt.want)
			}
			for k, want := range tt.want {
				if math.Abs(got[k]-want) > 1e-6*math.Abs(want) {
					t.Errorf("%s = %v, want %v", k, got[k], want)
				}
			}
		})
	}
}

// apiLine is line i of service api: every third a 5xx, every fourth not JSON.
func apiLine(i int) (line, endpoint string, failed bool) {
	if i%4 == 3 {
		return fmt.Sprintf("plain text with a 5 in line %d", i), "", false
	}
	status := 200
	if i%3 == 0 {
		status = 500 + i%4
	}
	endpoint = []string{"/users/{id}", "/orders/{id}"}[i%2]
	return fmt.Sprintf(`{"status_code":%d,"endpoint":%q,"message":"request 5","n":%d}`, status, endpoint, i), endpoint, status >= 500
}

func sendSeedLogs(t *testing.T, s *harness.Server, now time.Time) {
	var api, checkout []harness.Entry
	for i := range 120 {
		line, _, _ := apiLine(i)
		at := now.Add(-time.Hour + time.Duration(i)*30*time.Second + time.Second)
		api = append(api, harness.Entry{Time: at, Line: line})
		level := []string{"info", "error", "warn"}[i%3]
		checkout = append(checkout, harness.Entry{Time: at, Line: fmt.Sprintf(
			`{"timestamp":%q,"level":%q,"message":"payment %d","trace_id":"xyz%d","span_id":"abc123"}`, at.UTC().Format(time.RFC3339), level, i, i)})
	}
	checkout = append(checkout, harness.Entry{Time: now.Add(-time.Minute), Line: "error: this line is not JSON"})
	a, err := s.PushLogs(t, map[string]string{"service": "api", "level": "error", "environment": "production"}, api...)
	harness.MustOK(t, a, err)
	a, err = s.PushLogs(t, map[string]string{"service": "checkout"}, checkout...)
	harness.MustOK(t, a, err)
}

func seedLogQL(t *testing.T, s *harness.Server, now time.Time) {
	from, to := now.Add(-2*time.Hour), now.Add(time.Minute)
	var failed, errorLines []string
	perEndpoint := map[string]float64{}
	for i := range 120 {
		line, endpoint, bad := apiLine(i)
		if bad {
			failed = append(failed, line)
			perEndpoint[fmt.Sprintf("{endpoint=%q}", endpoint)] += 1. / 3600
		}
		if i%3 == 1 {
			at := now.Add(-time.Hour + time.Duration(i)*30*time.Second + time.Second)
			errorLines = append(errorLines, fmt.Sprintf("%s error payment %d", at.UTC().Format(time.RFC3339), i))
		}
	}
	lines := func(query string) []string {
		r := s.LokiRange(t, query, from, to)
		var all []harness.Line
		for _, l := range r.Streams {
			all = append(all, l...)
		}
		slices.SortFunc(all, func(a, b harness.Line) int { return int(a.Nanos - b.Nanos) })
		var texts []string
		for _, l := range all {
			texts = append(texts, l.Text)
		}
		return texts
	}
	t.Run("5xx", func(t *testing.T) {
		got := lines(`{service="api"} 
  |= "5" 
  | json 
  | status_code >= 500 
  | __error__ = ""`)
		if d := cmp.Diff(failed, got); d != "" {
			t.Error(d)
		}
	})
	t.Run("5xx by endpoint", func(t *testing.T) {
		// At 1 ns past the hour of the first line, so that the range holds them all.
		r := s.Loki(t, `sum by (endpoint) (
  rate(
    {service="api"} 
      | json 
      | status_code >= 500 
      | __error__ = ""[1h]
  )
)`, now)
		got := map[string]float64{}
		for k, pts := range r.Vector {
			v, err := strconv.ParseFloat(pts[0].Value, 64)
			if err != nil {
				t.Fatal(err)
			}
			got[k] = v
		}
		for k, want := range perEndpoint {
			if math.Abs(got[k]-want) > 1e-9 {
				t.Errorf("%s = %v, want %v", k, got[k], want)
			}
		}
		if len(got) != len(perEndpoint) {
			t.Errorf("got %v, want %v", got, perEndpoint)
		}
	})
	t.Run("errors of checkout", func(t *testing.T) {
		got := lines(`{service="checkout"} 
  |= "error" 
  | json 
  | __error__ = ""
  | line_format "{{.timestamp}} {{.level}} {{.message}}"`)
		if d := cmp.Diff(errorLines, got); d != "" {
			t.Error(d)
		}
	})
	t.Run("logs of a trace", func(t *testing.T) {
		got := lines(`{service="checkout"} | json | trace_id="xyz7"`)
		if len(got) != 1 || !strings.Contains(got[0], `"message":"payment 7"`) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("labels", func(t *testing.T) {
		if n := len(lines(`{service="api", level="error", environment="production"}`)); n != 120 {
			t.Errorf("%d lines, want 120", n)
		}
	})
}

func sendSeedTraces(t *testing.T, s *harness.Server, now time.Time) {
	td := ptrace.NewTraces()
	n := byte(0)
	span := func(service string, trace byte, name string, d time.Duration, status ptrace.StatusCode, attrs map[string]string) {
		n++
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{0: 0x5e, 15: trace})
		sp.SetSpanID(pcommon.SpanID{7: n})
		sp.SetName(name)
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-10 * time.Minute)))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(-10*time.Minute + d)))
		sp.Status().SetCode(status)
		if status == ptrace.StatusCodeError {
			sp.Status().SetMessage("card declined")
		}
		for _, k := range slices.Sorted(maps.Keys(attrs)) {
			sp.Attributes().PutStr(k, attrs[k])
		}
	}
	const unset, bad = ptrace.StatusCodeUnset, ptrace.StatusCodeError
	span("user-service", 1, "SELECT users", 1500*time.Millisecond, unset, map[string]string{"db.system": "postgresql", "db.operation": "SELECT", "db.statement": "SELECT 1"})
	span("user-service", 1, "INSERT users", 20*time.Millisecond, unset, map[string]string{"db.system": "postgresql", "db.operation": "INSERT"})
	span("user-service", 1, "GET /users", 1600*time.Millisecond, unset, nil)
	span("payment-service", 2, "process_payment", 100*time.Millisecond, bad, map[string]string{"payment.currency": "USD"})
	span("payment-service", 3, "process_payment", 100*time.Millisecond, unset, nil)
	span("checkout", 4, "POST /orders", 2500*time.Millisecond, unset, nil)
	span("checkout", 4, "SELECT orders", 2200*time.Millisecond, unset, map[string]string{"db.system": "mysql", "db.statement": "SELECT * FROM orders"})
	span("checkout", 5, "POST /orders", 1900*time.Millisecond, unset, nil)
	a, err := s.SendSpans(t, td)
	harness.MustOK(t, a, err)
}

func traceHex(n int) string { return fmt.Sprintf("5e%030x", n) }

func seedTraceQL(t *testing.T, s *harness.Server, now time.Time) {
	tests := []struct {
		name, query string
		want        map[string]int // trace -> matched spans over all spansets
		groups      int            // spansets of the first trace, 0 any
	}{
		{"slow database", `{ span.db.system =~ ".*" && duration > 1s }`, map[string]int{traceHex(1): 1, traceHex(4): 1}, 1},
		{"by operation", `{ .service.name = "user-service" } 
  | select(span.db.operation, span.duration)
  | by(span.db.operation)`, map[string]int{traceHex(1): 3}, 3},
		{"errors of a service", `{ .service.name = "payment-service" && status = error }
  | select(span.name, span.status_message)`, map[string]int{traceHex(2): 1}, 1},
		{"slow checkouts", `{ .service.name = "checkout" && duration > 2s }
  | select(span.name, span.duration, span.db.statement)
  | by(span.service.name)`, map[string]int{traceHex(4): 2}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]int{}
			var dump []string
			for _, f := range s.Search(t, tt.query, now.Add(-time.Hour), now) {
				id := strings.Repeat("0", 32-len(f.TraceID)) + f.TraceID
				for _, set := range f.SpanSets {
					got[id] += set.Matched
				}
				dump = append(dump, f.Groups()...)
				if tt.groups > 0 && len(f.SpanSets) != tt.groups {
					t.Errorf("%d spansets, want %d: %v", len(f.SpanSets), tt.groups, f.Groups())
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%s\n%v", d, dump)
			}
			t.Log(strings.Join(dump, "\n"))
		})
	}
	t.Run("selected attributes", func(t *testing.T) {
		for _, f := range s.Search(t, tests[3].query, now.Add(-time.Hour), now) {
			if text := strings.Join(f.Groups(), " "); !strings.Contains(text, "SELECT * FROM orders") {
				t.Errorf("db.statement is not shown: %s", text)
			}
		}
	})
	t.Run("v2", func(t *testing.T) {
		a, err := s.Do(t, http.MethodGet, "/api/v2/traces/"+traceHex(1), nil, map[string]string{"Accept": "application/json"})
		harness.MustOK(t, a, err)
		if strings.Count(a.Body, `"spanId"`) != 3 {
			t.Errorf("v2 trace: %s", a)
		}
	})
}
