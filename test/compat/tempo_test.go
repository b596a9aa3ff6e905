package compat

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/pharos-o11y/pharos/test/harness"
)

// tempoConfig makes derived metrics come soon.
const tempoConfig = `
traces:
  metrics_interval: 500ms
  service_graphs: {wait: 2s}
`

// tempoFixture sends the traces of TraceQL's fixture, moved so that they began a few
// seconds ago, and returns that second.
func tempoFixture(t *testing.T, s *harness.Server) time.Time {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(t), "internal/traceql/testdata/fixture.json"))
	if err != nil {
		t.Fatal(err)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		t.Fatal(err)
	}
	const fixtureSecond = 1795466604
	begin := time.Now().Add(-5 * time.Second).Truncate(time.Second)
	move := func(ts pcommon.Timestamp) pcommon.Timestamp {
		return pcommon.Timestamp(int64(ts) + (begin.Unix()-fixtureSecond)*1e9)
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				sp.SetStartTimestamp(move(sp.StartTimestamp()))
				sp.SetEndTimestamp(move(sp.EndTimestamp()))
				for _, e := range sp.Events().All() {
					e.SetTimestamp(move(e.Timestamp()))
				}
			}
		}
	}
	a, err := s.SendSpans(t, td)
	harness.MustOK(t, a, err)
	return begin
}

// statement is a line of the specification: a request and a pattern of its answer.
type statement struct {
	id     string
	target string // W among the parameters is the window of the fixture; parameters are separated by &&&
	code   int
	want   string
}

// tempoStatements are sections G8 and C9: the HTTP API, and what Traces Drilldown asks.
func tempoStatements() []statement {
	return []statement{
		{"8.1", "/api/echo", 200, `^echo\n$`},
		{"8.2", "/ready", 200, `^ready\n$`},
		{"8.3", "/api/status/buildinfo", 200, `^\{"version":"v2\.[89]\.\d+[^"]*","revision":"[^"]*","branch":"[^"]*","buildUser":"","buildDate":"","goVersion":"go[^"]*"\}$`},
		{"8.4", "/api/nope", 404, `not found`},
		{"8.5", "/api/traces/d400", 200, `^\{"batches":\[(?s:.*)"traceId":"AAAAAAAAAAAAAAAAAADUAA=="(?s:.*)"name":"G"`},
		{"8.6", "/api/traces/D400", 200, `"name":"G"`},
		{"8.7", "/api/traces/0123456789abcdef", 404, `^$`},
		{"8.8", "/api/traces/xyz", 400, `hex characters`},
		{"8.9", "/api/v2/traces/d400", 200, `^\{"trace":\{"resourceSpans":\[.*\]\},"metrics":\{`},
		{"8.10", "/api/v2/traces/0123456789abcdef", 200, `^\{"trace":\{\},"metrics":\{\}\}$`},
		{"8.12", `/api/search?q={&&&W`, 400, `line 1, col 2`},
		{"8.13", `/api/search?q={ name = "nope" }&&&W`, 200, `^\{"traces":\[\],"metrics":\{`},
		{"8.14", `/api/search?q={ name = "A" }&&&W`, 200, `"spanSet":\{"spans":\[\{"spanID":"00000000000000a0".*"spanSets":\[\{"spans":\[\{"spanID":"00000000000000a0"`},
		{"8.15", `/api/search?q={ resource.service.name = "many" }&&&W`, 200, `^(?:[^@]*?"spanID"){6}[^@]*"matched":12`},
		{"8.16", `/api/search?q={ resource.service.name = "many" }&&&spss=100&&&W`, 200, `^(?:[^@]*?"spanID"){24}`},
		{"8.17", `/api/search?q={ resource.service.name = "many" }&&&spss=0&&&W`, 200, `"matched":12`},
		{"8.18", `/api/search?q={ }&&&spss=1000&&&W`, 400, `exceeds`},
		{"8.19", `/api/search?q={ }&&&limit=2&&&W`, 200, `^(?:[^@]*?"rootServiceName"){2}`},
		{"8.20", `/api/search?q={ }&&&limit=0&&&W`, 400, `positive`},
		{"8.21", `/api/search?q={ }&&&start=200&&&end=100`, 400, `start must be before end`},
		{"8.22", `/api/search?q={ }&&&start=1&&&end=1700000000`, 400, `exceeds 168h0m0s`},
		{"8.23", `/api/search?q={ }&&&tags=a=b`, 400, `can't specify tags and q`},
		{"8.24", `/api/search?q={ name = "child only" }&&&W`, 200, `"rootServiceName":"\\u003croot span not yet received\\u003e","startTimeUnixNano"`},
		{"8.25", `/api/search?q={ name = "SELECT pay" }&&&W`, 200, `"serviceStats":\{"frontend":\{"spanCount":2\},"payment-service":\{"spanCount":4,"errorCount":2\}\}`},
		{"8.26", `/api/search?q={ span.http.status_code = 500 && status = error }&&&W`, 200, `\{"key":"http.status_code","value":\{"intValue":"500"\}\},\{"key":"status","value":\{"stringValue":"error"\}\}`},
		{"8.27", `/api/search?q={ kind = producer }&&&W`, 200, `"spanID":"0000000000000081","startTimeUnixNano"`},
		{"8.27b", `/api/search?q={ kind = producer } | select(name)&&&W`, 200, `"spanID":"0000000000000081","name":"publish"`},
		{"8.28", `/api/search?q={ name = "A" } | rate()&&&W`, 200, `"traceID":"d400"`},
		{"8.29", `/api/search?tags=service.name=pay&&&W`, 200, `^\{"traces":\[\{"traceID":"a1"[^\[\]]*\}\],`},
		{"8.30", `/api/search?tags=db.system=postgresql service.name=front&&&W`, 200, `"traceID":"a1"`},
		{"8.31", `/api/search?minDuration=2s&&&W`, 200, `^\{"traces":\[\{"traceID":"a1"`},
		{"8.32", `/api/v2/search/tags?W`, 200, `^(?:[^@]*?"name":"(?:resource|span|event|link|instrumentation|intrinsic)"){6}`},
		{"8.33", `/api/v2/search/tags?scope=event&&&W`, 200, `"tags":\["exception.message","exception.type","msg","shared"\]`},
		{"8.34", `/api/v2/search/tags?scope=foo`, 400, `invalid scope: foo`},
		{"8.35", `/api/v2/search/tags?start=5`, 400, `both or neither`},
		{"8.36", `/api/search/tags?W`, 200, `^\{"tagNames":\["a",[^\]]*"service.name"`},
		{"8.37", `/api/v2/search/tag/span.a/values?W`, 200, `"int","value":"5"(?s:.*)"float","value":"5.0"(?s:.*)"bool","value":"true"`},
		{"8.38", `/api/v2/search/tag/span.arr.i/values?W`, 200, `^(?:[^@]*?"type":"int"){3}`},
		{"8.39", `/api/v2/search/tag/status/values?W`, 200, `"keyword","value":"error"\},\{"type":"keyword","value":"ok"\},\{"type":"keyword","value":"unset"`},
		{"8.40", `/api/v2/search/tag/name/values?q={ resource.service.name = "tworoots" }&&&W`, 200, `^\{"tagValues":\[\{"type":"string","value":"r[12]"\},\{"type":"string","value":"r[12]"\}\]`},
		{"8.41", `/api/v2/search/tag/name/values?q={ resource.service.name = "tworoots" && span.x = }&&&W`, 200, `^\{"tagValues":\[\{"type":"string","value":"r[12]"\},\{"type":"string","value":"r[12]"\}\]`},
		{"8.42", `/api/v2/search/tag/name/values?q={ resource.service.name = "tworoots" || span.x = }&&&W`, 200, `"GET /cart"`},
		{"8.43", `/api/v2/search/tag/service.name/values`, 400, `unknown identifier: service`},
		{"8.44", `/api/search/tag/db.operation/values?W`, 200, `^\{"tagValues":\["INSERT","SELECT"\]`},
		{"8.45", `/api/v2/search/tag/duration/values?W`, 200, `^\{"tagValues":\[\]`},
		{"8.46", `/api/metrics/query_range?q={ }&&&W`, 400, `not a metrics query`},
		{"8.47", `/api/metrics/query?q={ } | rate()&&&start=1700000000&&&end=1700100000`, 400, `maximum`},
		{"8.48", `/api/metrics/query_range?q={ } | rate()&&&step=1ms&&&W`, 400, `too small`},
		{"8.49", `/api/metrics/query?q={ } | rate() by (.p,.q,.r,.s,.t,.u)&&&W`, 400, `group by`},
		{"8.50", `/api/metrics/query?q={ resource.service.name="tree" } | count_over_time()&&&W`, 200, `"value":7`},
		{"8.51", `/api/search?q={ .a = "` + strings.Repeat("x", 131072) + `" }`, 400, `exceeds`},
		{"8.26b", `/api/search?q={ .service.name = "payment-service" } | select(span.db.operation, span.duration) | by(span.db.operation)&&&W`, 200, `"key":"by\(span.db.operation\)","value":\{"stringValue":"SELECT"\}`},
		{"A11", `/api/search?tags=service.name=PAY error=true&&&W`, 200, `"traceID":"a1"`},
		{"B9 range", `/api/metrics/query_range?q={ resource.service.name="tree" } | count_over_time()&&&step=60s&&&W`, 200, `"samples":\[\{"timestampMs":"\d{13}"\}.*"value":7\}.*"exemplars":\[\{"labels":\[\{"key":"trace:id","value":\{"stringValue":"d400"`},
		{"B9 compare", `/api/metrics/query?q={ resource.service.name="tree" } | compare({ name = "A" })&&&W`, 200, `"key":"__meta_type","value":\{"stringValue":"selection"\}\},\{"key":"name","value":\{"stringValue":"A"\}\}\],"value":1`},
		{"B11", `/api/metrics/query?q=({ status = error } | count_over_time()) / ({ resource.service.name="many" } | count_over_time()) * 6&&&W`, 200, `"value":1\}`},
		{"C6 limit", `/api/v2/search/tag/name/values?limit=2&&&W`, 200, `^\{"tagValues":\[\{[^}]*\},\{[^}]*\}\]`},
		{"C6.2 codes", `/api/search/tag/status.code/values?W`, 200, `^\{"tagValues":\["0","1","2","error","ok","unset"\]`},
		{"C6.2 no name", `/api/search/tag/service.name/values?W`, 200, `^\{"tagValues":\["","cons",`},
		{"C7.5", `/api/metrics/summary?q={ }`, 404, ``},
		{"prefix", `/tempo/api/search?q={ name = "A" }&&&W`, 200, `"traceID":"d400"`},

		{"C9 rate", `/api/metrics/query_range?q={nestedSetParent<0 && resource.service.name="tree"} | rate() by(resource.service.name)&&&W`, 200, `"key":"resource.service.name","value":\{"stringValue":"tree"\}`},
		{"C9 errors", `/api/metrics/query_range?q={nestedSetParent<0 && status=error} | rate() by(resource.service.name)&&&W`, 200, `^\{"series":\[\],`},
		{"C9 heat map", `/api/metrics/query_range?q={nestedSetParent<0} | histogram_over_time(duration)&&&W`, 200, `"key":"__bucket"`},
		{"C9 percentiles", `/api/metrics/query_range?q={nestedSetParent<0} | quantile_over_time(duration, 0.9) by(resource.service.name)&&&W`, 200, `"key":"p","value":\{"doubleValue":0.9\}`},
		{"C9 totals", `/api/metrics/query_range?q={nestedSetParent<0 && span.http.method != nil} | rate() by(span.http.method) with(sample=true)&&&W`, 200, `"stringValue":"GET"`},
		{"C9 comparison", `/api/metrics/query_range?q={nestedSetParent<0 && true} | compare({duration >= 500ms})&&&step=120s&&&W`, 200, `"__meta_type","value":\{"stringValue":"selection"\}\},\{"key":"name","value":\{"stringValue":"GET /cart"\}`},
		{"C9 structure", `/api/search?q={nestedSetParent<0 && true} &>> {status=error} | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)&&&limit=200&&&spss=20&&&W`, 200, `"key":"nestedSetLeft"`},
		{"C9 exceptions", `/api/search?q={nestedSetParent<0 && event.exception.type != nil} | select(resource.service.name, event.exception.message, event.exception.stacktrace, event.exception.type)&&&limit=400&&&spss=10&&&W`, 200, `"key":"exception.message","value":\{"stringValue":"boom"\}`},
		{"C9 bounded comparison", `/api/metrics/query_range?q={nestedSetParent<0 && true} | compare({duration >= 500ms}, 10, 1795466604000000000, 1795466664000000000)&&&step=120s&&&W`, 200, `"__meta_type","value":\{"stringValue":"baseline"\}`},
		{"C9 totals, service", `/api/metrics/query_range?q={nestedSetParent<0 && resource.service.name != nil} | rate() by(resource.service.name)&&&step=15s&&&exemplars=100&&&W`, 200, `"stringValue":"frontend"`},
		{"C9 list", `/api/search?q={nestedSetParent<0 && true} | select(status, duration)&&&W`, 200, `"durationNanos"`},
	}
}

func TestTempo(t *testing.T) {
	s := harness.Start(t, harness.Options{Config: tempoConfig})
	begin := tempoFixture(t, s)
	for _, st := range tempoStatements() {
		t.Run(st.id, func(t *testing.T) {
			path, raw, _ := strings.Cut(st.target, "?")
			q := url.Values{}
			for part := range strings.SplitSeq(raw, "&&&") {
				switch k, v, ok := strings.Cut(part, "="); {
				case part == "W":
					q.Set("start", fmt.Sprint(begin.Unix()-60))
					q.Set("end", fmt.Sprint(begin.Unix()+60))
				case ok:
					q.Set(k, v)
				}
			}
			a, err := s.Do(t, http.MethodGet, path+"?"+q.Encode(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if a.Code != st.code || !regexp.MustCompile(st.want).MatchString(a.Body) {
				t.Errorf("%s: %s; want %d matching %s", st.target[:min(200, len(st.target))], a, st.code, st.want)
			}
			if ct := a.Header.Get("Content-Type"); a.Code == http.StatusBadRequest && ct != "text/plain; charset=utf-8" {
				t.Errorf("an error has content type %q", ct)
			}
		})
	}
	a, err := s.Do(t, http.MethodGet, "/api/traces/e500", nil, map[string]string{"Accept": "application/protobuf"})
	if err != nil || a.Code != http.StatusOK || a.Body[0] != 0x0a {
		t.Errorf("8.11: %s, %v", a, err)
	}
	t.Run("G11", func(t *testing.T) { tempoDerived(t, s) })
	t.Run("G12", func(t *testing.T) { tempoStreaming(t, s) })
	t.Run("G12 Jaeger", func(t *testing.T) { jaegerStatements(t, s) })
}

// tempoDerived is section G11: metrics of spans and of the service graph.
func tempoDerived(t *testing.T, s *harness.Server) {
	value := func(q string) string {
		var res struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		s.Get(t, "/api/v1/query?query="+url.QueryEscape(q), &res)
		if len(res.Data.Result) != 1 {
			return fmt.Sprintf("%d series", len(res.Data.Result))
		}
		return fmt.Sprint(res.Data.Result[0].Value[1])
	}
	const pay = `service="payment-service",span_name="POST /pay",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR"`
	for _, st := range []struct{ id, q, want string }{
		{"11.11", `traces_service_graph_request_total{client="user",server="frontend",connection_type="virtual_node"}`, "1"}, // first: it waits
		{"11.1", `traces_spanmetrics_calls_total{` + pay + `}`, "1"},
		{"11.2 sum", `traces_spanmetrics_latency_sum{` + pay + `}`, "2.6"},
		{"11.2 in", `traces_spanmetrics_latency_bucket{le="4.096",` + pay + `}`, "1"},
		{"11.2 out", `traces_spanmetrics_latency_bucket{le="2.048",` + pay + `}`, "0"},
		{"11.3", `traces_spanmetrics_size_total{` + pay + `} > bool 50`, "1"},
		{"11.4", `min_over_time(traces_spanmetrics_calls_total{` + pay + `}[5m])`, "0"},
		{"11.6", `traces_spanmetrics_calls_total{service="",span_name="nosvc"}`, "1"},
		{"11.7", `traces_service_graph_request_total{client="frontend",server="payment-service",connection_type=""}`, "1"},
		{"11.8", `traces_service_graph_request_failed_total{client="frontend",server="payment-service"}`, "1"},
		{"11.9", `traces_service_graph_request_total{client="prod",server="cons",connection_type="messaging_system"}`, "1"},
		{"11.10", `traces_service_graph_request_total{client="payment-service",server="paydb",connection_type="database"}`, "2"},
		{"11.16", `count(traces_service_graph_request_total{server="rootless"})`, "0 series"},
		{"11.19", `count(traces_service_graph_request_server_seconds_bucket{client="prod"})`, "9"},
	} {
		var got string
		ok := func() bool { got = value(st.q); return got == st.want }
		if st.id == "11.11" {
			harness.Eventually(t, st.q, ok)
		}
		if !ok() {
			t.Errorf("%s: %s is %s, want %s", st.id, st.q, got, st.want)
		}
	}
	a, err := s.Do(t, http.MethodGet, "/api/v1/query_exemplars?query="+url.QueryEscape(`traces_spanmetrics_latency_bucket{`+pay+`}`), nil, nil)
	if err != nil || !strings.Contains(a.Body, `"labels":{"traceID":"a1"},"value":"2.6"`) {
		t.Errorf("11.5: %s, %v", a, err)
	}
}

// tempoStreaming is the first half of section G12, with a gRPC client on the main port.
func tempoStreaming(t *testing.T, s *harness.Server) {
	conn, err := grpc.NewClient(strings.TrimPrefix(s.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// A StringValue is a message whose field 1 is a string: the query of the metrics
	// methods, the tag of the values ones.
	ask := func(ctx context.Context, method, field1 string) (*wrapperspb.StringValue, error) {
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/tempopb.StreamingQuerier/"+method)
		if err != nil {
			return nil, err
		}
		if err := stream.SendMsg(wrapperspb.String(field1)); err != nil {
			return nil, err
		}
		if err := stream.CloseSend(); err != nil {
			return nil, err
		}
		out := &wrapperspb.StringValue{}
		if err := stream.RecvMsg(out); err != nil {
			return nil, err
		}
		if err := stream.RecvMsg(&wrapperspb.StringValue{}); err != io.EOF { //nolint:errorlint // gRPC says EOF itself
			return nil, fmt.Errorf("after the message: %w", err)
		}
		return out, nil
	}
	if got, err := ask(t.Context(), "SearchTags", "event"); err != nil || got.GetValue() != "shared" { // the last of a repeated field
		t.Errorf("12.1: %v, %v", got, err)
	}
	_, err = ask(t.Context(), "MetricsQueryInstant", "{")
	if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.Contains(st.Message(), "line 1, col 2") {
		t.Errorf("12.2: %v", err)
	}
	for method, field1 := range map[string]string{"SearchTagsV2": "span", "SearchTagValuesV2": "name", "MetricsQueryInstant": "{ } | rate()", "MetricsQueryRange": "{ } | rate()"} {
		if _, err := ask(t.Context(), method, field1); err != nil && !strings.Contains(err.Error(), "UTF-8") { // messages are no strings
			t.Errorf("12.3 %s: %v", method, err)
		}
	}
}

// jaegerStatements is the second half of section G12.
func jaegerStatements(t *testing.T, s *harness.Server) {
	for _, st := range []statement{
		{"12.5", `/jaeger/api/services`, 200, `^\{"data":\["cons","evlink",.*\],"total":\d+,"limit":0,"offset":0,"errors":null\}`},
		{"12.6", `/jaeger/api/traces?service=payment-service&tags=` + url.QueryEscape(`{"error":"true"}`), 200, `"traceID":"00000000000000a1"`},
		{"12.7", `/jaeger/api/traces?service=frontend&minDuration=2s&limit=5`, 200, `"traceID":"00000000000000a1"`},
		{"12.8", `/jaeger/api/traces`, 400, `parameter 'service' is required`},
		{"12.9", `/jaeger/api/traces/0123456789abcdef`, 404, `"errors":\[\{"code":404`},
		{"12.10", `/jaeger/api/traces/a1`, 200, `"duration":2600000,.*\{"key":"error","type":"bool","value":true\}`},
		{"12.10 start", `/jaeger/api/traces/a1`, 200, `"startTime":\d{16},"duration":3000000,`},
		{"E6 operations", `/jaeger/api/operations?service=payment-service&spanKind=client`, 200, `\{"name":"INSERT pay","spanKind":"client"\},\{"name":"SELECT pay","spanKind":"client"\}`},
		{"E6 names", `/jaeger/api/services/payment-service/operations`, 200, `"data":\["INSERT pay",`},
		{"E6 ids", `/jaeger/api/traces?traceID=a1&traceID=fff`, 200, `"errors":\[\{"msg":"trace not found","traceID":"fff"\}\]`},
		{"E6 v3", `/jaeger/api/v3/traces/a1`, 200, `^\{"result":\{"resourceSpans":`},
		{"E6 v3 none", `/jaeger/api/v3/traces/fff`, 404, `No traces found`},
		{"12.11", `/api/traces/a1`, 200, `^\{"batches":`},
		{"E6 base64", `/jaeger/api/traces/AAAAAAAAAAAAAAAAAAAAoQ==`, 200, `"traceID":"00000000000000a1"`},
		{"E6 calls", `/jaeger/api/metrics/calls?service=payment-service&groupByOperation=true`, 200, `^\{"name":"service_operation_call_rate","type":"GAUGE".*\{"name":"operation","value":"POST /pay"\}\],"metricPoints":\[\{"gaugeValue":\{"doubleValue":0\.0\d+\},"timestamp":"`},
		{"E6 errors", `/jaeger/api/metrics/errors?service=payment-service`, 200, `"doubleValue":1\}`},
		{"E6 latencies", `/jaeger/api/metrics/latencies?service=payment-service&quantile=0.95`, 200, `^\{"name":"service_latencies",.*"doubleValue":[34]\d\d\d\.`},
		{"dependencies", `/jaeger/api/dependencies`, 200, `\{"parent":"frontend","child":"payment-service","callCount":1\}`},
	} {
		a, err := s.Do(t, http.MethodGet, st.target, nil, nil)
		if err != nil || a.Code != st.code || !regexp.MustCompile(st.want).MatchString(a.Body) {
			t.Errorf("%s: %s, %v; want %d matching %s", st.id, a, err, st.code, st.want)
		}
	}
}

// TestTempoIngest is section G10: OTLP over HTTP.
func TestTempoIngest(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	now := time.Now().UnixNano()
	span := func(trace, id, more string) string {
		return fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":%q,"spanId":%q,"name":"x","startTimeUnixNano":"%d","endTimeUnixNano":"%d"%s}]}]}]}`, trace, id, now, now+1000, more)
	}
	td := ptrace.NewTraces()
	sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID{15: 0xf1})
	sp.SetSpanID(pcommon.SpanID{7: 1})
	sp.SetStartTimestamp(pcommon.Timestamp(now))
	proto, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	if _, err := zw.Write(proto); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	const id, long = "000000000000000000000000000000e1", "0000000000000001"
	jsonType := map[string]string{"Content-Type": "application/json"}
	protoType := func(encoding string) map[string]string {
		return map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": encoding}
	}
	for _, st := range []struct {
		id, method, body string
		header           map[string]string
		code             int
		want             string
	}{
		{"10.1", http.MethodPost, span(id, long, ""), jsonType, 200, `^\{"partialSuccess":\{\}\}`},
		{"10.2", http.MethodPost, string(proto), protoType(""), 200, ``},
		{"10.3", http.MethodGet, "", nil, 405, ``},
		{"10.3 options", http.MethodOptions, "", nil, 405, ``},
		{"10.4 none", http.MethodPost, `{}`, nil, 415, ``},
		{"10.4 charset", http.MethodPost, `{}`, map[string]string{"Content-Type": "application/json; charset=utf-8"}, 200, ``},
		{"10.4 text", http.MethodPost, `{}`, map[string]string{"Content-Type": "text/plain"}, 415, ``},
		{"10.5 json", http.MethodPost, `{`, jsonType, 400, `message`},
		{"10.5 empty", http.MethodPost, "", jsonType, 400, ``},
		{"10.5 bytes", http.MethodPost, "\xff\xfe\xfd", protoType(""), 400, ``},
		{"10.6", http.MethodPost, `{}`, jsonType, 200, ``},
		{"10.7 gzip", http.MethodPost, zipped.String(), protoType("gzip"), 200, ``},
		{"10.7 broken", http.MethodPost, "not gzip", protoType("gzip"), 400, ``},
		{"10.7 br", http.MethodPost, "x", protoType("br"), 400, ``},
		{"10.8", http.MethodPost, strings.Repeat(" ", 65<<20) + "{}", jsonType, 400, `http: request body too large`}, // Pharos takes 64 MiB
		{"10.9 case", http.MethodPost, span("000000000000000000000000000000E1", "000000000000000A", ""), jsonType, 200, ``},
		{"10.9 short", http.MethodPost, span("00000000000000e1", long, ""), jsonType, 400, ``},
		{"10.10", http.MethodPost, span("00000000000000000000000000000000", long, ""), jsonType, 400, `trace ids must be 128 bit`},
		{"10.10 span", http.MethodPost, span(id, "0000000000000000", ""), jsonType, 400, `span ids 64 bit`},
		{"10.11", http.MethodPost, span(id, "0000000000000002", `,"kind":"SPAN_KIND_SERVER"`), jsonType, 200, ``},
		{"10.12", http.MethodPost, span(id, "0000000000000003", `,"nosuch":{"a":[1]}`), jsonType, 200, ``},
		{"10.24", http.MethodPost, span("000000000000000000000000000000e2", long, `,"traceState":"a=b","droppedAttributesCount":3,"attributes":[`+
			`{"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"intValue":"1"}}]}}},{"key":"bytes","value":{"bytesValue":"AQI="}},`+
			`{"key":"none","value":{}},{"key":"mixed","value":{"arrayValue":{"values":[{"stringValue":"x"},{"boolValue":true}]}}},{"key":"a","value":{"intValue":1}}]`), jsonType, 200, ``},
		{"10.15", http.MethodPost, span(id, long, ""), jsonType, 200, ``},
	} {
		t.Run(st.id, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), st.method, s.OTLPHTTP+"/v1/traces", strings.NewReader(st.body))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range st.header {
				if v != "" {
					req.Header.Set(k, v)
				}
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != st.code || !regexp.MustCompile(st.want).Match(body) {
				t.Errorf("%d %q, %v; want %d matching %s", res.StatusCode, body, err, st.code, st.want)
			}
		})
	}
	for encoding, w := range map[string]func(io.Writer) io.WriteCloser{ // E2
		"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zlib":    func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"snappy":  func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
	} {
		var buf bytes.Buffer
		z := w(&buf)
		_, err := z.Write(proto)
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{s.OTLPHTTP, s.URL} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/traces", bytes.NewReader(buf.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-protobuf")
			req.Header.Set("Content-Encoding", encoding)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
				t.Errorf("%s to %s: %s", encoding, url, res.Status)
			}
		}
	}
	for i, path := range []string{"/v1/traces", "/otlp/v1/traces", "/api/otlp/v1/traces"} { // E1: the main port
		id := fmt.Sprintf("%032x", 0xf0+i)
		a, err := s.Do(t, http.MethodPost, path, []byte(span(id, long, "")), jsonType)
		if err != nil || a.Code != http.StatusOK {
			t.Errorf("%s: %s, %v", path, a, err)
		}
		if a, err = s.Do(t, http.MethodGet, "/api/traces/"+id, nil, nil); err != nil || a.Code != http.StatusOK {
			t.Errorf("%s: the trace is not there: %s, %v", path, a, err)
		}
	}
	// 10.15 and 10.16: found at once, and once.
	a, err := s.Do(t, http.MethodGet, "/api/traces/e1", nil, nil)
	if err != nil || strings.Count(a.Body, `"spanId"`) != 4 {
		t.Errorf("10.15: %s, %v; want 4 spans", a, err)
	}
	a, err = s.Do(t, http.MethodGet, "/api/traces/e2", nil, nil)
	for _, want := range []string{
		`"traceState":"a=b"`, `"droppedAttributesCount":3`, `{"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"intValue":"1"}}]}}}`,
		`{"key":"bytes","value":{"bytesValue":"AQI="}}`, `{"key":"none","value":{}}`,
		`{"key":"mixed","value":{"arrayValue":{"values":[{"stringValue":"x"},{"boolValue":true}]}}}`, `{"key":"a","value":{"intValue":"1"}}`,
	} {
		if err != nil || !strings.Contains(a.Body, want) {
			t.Errorf("10.24: no %s in %s, %v", want, a, err)
		}
	}
}

// TestTempoOddSpans is what section E3 says about odd spans, and A9.4 about late ones.
func TestTempoOddSpans(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	now := time.Now().Unix()
	send := func(spans string) harness.Answer {
		body := `{"resourceSpans":[{"schemaUrl":"https://s/1","scopeSpans":[{"schemaUrl":"https://s/2","spans":[` + spans + `]}]}]}`
		a, err := s.Do(t, http.MethodPost, "/v1/traces", []byte(body), map[string]string{"Content-Type": "application/json"})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	span := func(trace byte, id, parent string, start, end int64, more string) string {
		return fmt.Sprintf(`{"traceId":"%032x","spanId":%q,"parentSpanId":%q,"startTimeUnixNano":"%d000000000","endTimeUnixNano":"%d000000000"%s}`, trace, id, parent, start, end, more)
	}
	one, two := "0000000000000001", "0000000000000002"
	for name, spans := range map[string]string{
		"end before start": span(1, one, "", now, now-5, `,"name":"back"`),
		"no name":          span(2, one, "", now, now, ""),
		"unknown parent":   span(3, one, two, now, now, `,"name":"orphan"`),
		"own parent":       span(4, one, one, now, now, `,"name":"self"`),
		"a ring":           span(5, one, two, now, now, `,"name":"ring"`) + "," + span(5, two, one, now, now, `,"name":"ring"`),
		"same key twice":   span(6, one, "", now, now, `,"name":"twice","attributes":[{"key":"k","value":{"intValue":1}},{"key":"k","value":{"intValue":2}}]`),
		"late":             span(7, one, "", now-3600, now-3599, `,"name":"late"`),
		"flags":            span(8, one, "", now, now, `,"name":"flags","flags":257,"links":[{"traceId":"000000000000000000000000000000ff","spanId":"00000000000000ff","flags":1}]`),
		"client":           span(9, one, "", now, now, `,"name":"client","kind":3`),
		"server":           span(9, one, "", now, now, `,"name":"server","kind":2`), // Zipkin's way: one id, two kinds
		"kind of tomorrow": span(10, one, "", now, now, `,"name":"odd","kind":99,"status":{"code":7}`),
	} {
		if a := send(spans); a.Code != http.StatusOK || !strings.Contains(a.Body, `"partialSuccess":{}`) {
			t.Errorf("%s: %s", name, a)
		}
	}
	if a := send(span(11, one, "", now, now, "") + "," + span(0, one, "", now, now, "") + "," + span(11, "0000000000000000", "", now, now, "")); a.Code != http.StatusOK ||
		!strings.Contains(a.Body, `"rejectedSpans":"2"`) || !strings.Contains(a.Body, "neither all zero") {
		t.Errorf("zero ids beside a good span: %s", a)
	}
	for _, st := range []struct{ path, want string }{
		{"/api/traces/1", `"name":"back"`},
		{"/api/search?q=" + url.QueryEscape(`{ name = "back" && duration = 0ns }`), `"spanID":"0000000000000001","name":"back","startTimeUnixNano":"\d+"\}`}, // no durations
		{"/api/search?q=" + url.QueryEscape(`{ name = "" }`), `"traceID":"2"`},
		{"/api/search?q=" + url.QueryEscape(`{ } !>> { name =~ "orphan|self|ring" }`), `^(?:[^@]*?"traceID"){3}`},
		{"/api/search?q=" + url.QueryEscape(`{ name =~ "self|ring" } > { }`), `^\{"traces":\[\]`},
		{"/api/search?q=" + url.QueryEscape(`{ name =~ "self|ring" } << { }`), `^\{"traces":\[\]`},
		{fmt.Sprintf("/api/search?start=%d&end=%d&q=", now-3700, now-3500) + url.QueryEscape(`{ name = "late" }`), `"traceID":"7"`},
		{fmt.Sprintf("/api/search?start=%d&end=%d&q=", now-60, now+60) + url.QueryEscape(`{ name = "late" }`), `^\{"traces":\[\]`},
		{"/api/traces/8", `"schemaUrl":"https://s/2"\}\],"schemaUrl":"https://s/1"`},
		{"/api/traces/8", `"flags":257.*"links":\[\{"traceId":"AAAAAAAAAAAAAAAAAAAA/w==","spanId":"AAAAAAAAAP8=","flags":1\}\]`},
		{"/api/traces/9", `"client".*"server"|"server".*"client"`},
		{"/api/traces/b", `^(?:[^@]*?"spanId"){1}[^@]*$`},
		{"/api/traces/a", `"name":"odd"`},
		{"/jaeger/api/traces/1", `"duration":0,.*"warnings":\["the span ends before it starts"\]`},
		{"/jaeger/api/traces/5", `^(?:[^@]*?"operationName":"ring"){2}`},
		{"/jaeger/api/traces/9", `"spanID":"0000000000000002","operationName":"server","references":\[\{"refType":"CHILD_OF","traceID":"0000000000000009","spanID":"0000000000000001"`},
	} {
		a, err := s.Do(t, http.MethodGet, st.path, nil, nil)
		if err != nil || a.Code != http.StatusOK || !regexp.MustCompile(st.want).MatchString(a.Body) {
			t.Errorf("%s: %s, %v; want %s", st.path, a.Body, err, st.want)
		}
	}
}

// TestTempoTenants is what section G10 says about tenants.
func TestTempoTenants(t *testing.T) {
	s := harness.Start(t, harness.Options{Config: "tenancy: {enabled: true}\n"})
	now := time.Now().UnixNano()
	for i, tenant := range []string{"red", "blue"} {
		body := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"0000000000000001","name":%q,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, i+1, tenant, now, now+1000)
		a, err := s.Do(t, http.MethodPost, "/v1/traces", []byte(body), map[string]string{"Content-Type": "application/json", "X-Scope-OrgID": tenant})
		if err != nil || a.Code != http.StatusOK {
			t.Fatalf("push as %s: %s, %v", tenant, a, err)
		}
	}
	for _, st := range []struct {
		id, method, target, tenant string
		code                       int
		want                       string
	}{
		{"10.21 query", http.MethodGet, "/api/search", "", 401, `no org id`},
		{"10.21 push", http.MethodPost, "/v1/traces", "", 401, ``},
		{"push of two", http.MethodPost, "/v1/traces", "red|blue", 400, `name one tenant`},
		{"own", http.MethodGet, "/api/traces/1", "red", 200, `"red"`},
		{"10.22", http.MethodGet, "/api/traces/2", "red", 404, `^$`},
		{"10.22 v2", http.MethodGet, "/api/v2/traces/2", "red", 200, `^\{"trace":\{\}`},
		{"10.22 search", http.MethodGet, "/api/search", "red", 200, `^\{"traces":\[\{[^{}]*"traceID":"1"[^{}]*\}\]`},
		{"10.23", http.MethodGet, "/api/search", "red|blue", 200, `"traceID":"[12]".*"traceID":"[12]"`},
		{"10.23 id", http.MethodGet, "/api/traces/2", "red|blue", 200, `"blue"`},
		{"illegal", http.MethodGet, "/api/search", "a/b", 400, ``},
		{"no tenant needed", http.MethodGet, "/api/echo", "", 200, `echo`},
	} {
		header := map[string]string{"Content-Type": "application/json"}
		if st.tenant != "" {
			header["X-Scope-OrgID"] = st.tenant
		}
		a, err := s.Do(t, st.method, st.target, []byte("{}"), header)
		if err != nil || a.Code != st.code || !regexp.MustCompile(st.want).MatchString(a.Body) {
			t.Errorf("%s: %s, %v; want %d matching %s", st.id, a, err, st.code, st.want)
		}
	}
}

// TestTempoLimits is what section G10 says about rates and long attributes.
func TestTempoLimits(t *testing.T) {
	s := harness.Start(t, harness.Options{Config: "limits: {span_rate: 20KB, span_burst: 20KB}\n"})
	now := time.Now()
	batch := func(trace byte, text string) ptraceotlp.ExportRequest {
		td := ptrace.NewTraces()
		sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{15: trace})
		sp.SetSpanID(pcommon.SpanID{7: 1})
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		sp.Attributes().PutStr("long", text)
		sp.Attributes().PutStr(text, "key")
		return ptraceotlp.NewExportRequestFromTraces(td)
	}
	body, err := batch(1, strings.Repeat("x", 3000)).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Do(t, http.MethodPost, "/v1/traces", body, map[string]string{"Content-Type": "application/x-protobuf"})
	harness.MustOK(t, a, err)
	cut := `"` + strings.Repeat("x", 2048) + `"`
	if a, err := s.Do(t, http.MethodGet, "/api/traces/1", nil, nil); err != nil || strings.Count(a.Body, cut) != 2 {
		t.Errorf("10.14: %d cut values in %s, %v", strings.Count(a.Body, cut), a, err)
	}

	big := batch(2, strings.Repeat("y", 15_000))
	if body, err = big.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	a, err = s.Do(t, http.MethodPost, "/v1/traces", body, map[string]string{"Content-Type": "application/json"})
	if err != nil || a.Code != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "5" || !regexp.MustCompile(`"code": ?8\b.*rate_limited.*RetryInfo`).MatchString(a.Body) {
		t.Errorf("10.13: %s %v, %v", a, a.Header, err)
	}
	conn, err := grpc.NewClient(s.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), big)
	st := status.Convert(err)
	if st.Code() != codes.ResourceExhausted || len(st.Details()) != 1 || !strings.Contains(fmt.Sprint(st.Details()), "seconds:5") {
		t.Errorf("10.13 gRPC: %v %v", err, st.Details())
	}
	for name, tt := range map[string]struct { // E4; a BytesValue is a message whose field 1 is bytes
		body []byte
		want codes.Code
	}{
		"empty":      {nil, codes.OK},
		"malformed":  {[]byte{0xff}, codes.InvalidArgument},
		"too large":  {make([]byte, 65<<20), codes.ResourceExhausted},
		"wrong wire": {[]byte{0x10, 0x05}, codes.InvalidArgument}, // scopeSpans is no number
	} {
		err := conn.Invoke(t.Context(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", wrapperspb.Bytes(tt.body), &emptypb.Empty{})
		if status.Code(err) != tt.want {
			t.Errorf("%s over gRPC: %v, want %v", name, err, tt.want)
		}
	}
	if a, err := s.Do(t, http.MethodGet, "/api/traces/2", nil, nil); err != nil || a.Code != http.StatusNotFound {
		t.Errorf("10.13: the refused trace: %s, %v", a, err)
	}
	if a, err := s.Do(t, http.MethodGet, "/metrics", nil, nil); err != nil || !strings.Contains(a.Body, `pharos_discarded_items_total{reason="rate_limited",signal="traces",tenant="default"} 2`) ||
		!strings.Contains(a.Body, `pharos_ingest_attributes_cut_total{scope="span"} 6`) {
		t.Errorf("metrics of what was refused and cut are missing: %v", err)
	}
}
