package jaeger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// The traces of TraceQL's fixture start at this second.
const fixtureSecond = 1795466604

func server(t *testing.T, tenancy api.Tenancy, metrics store.MetricReader) http.Handler {
	t.Helper()
	data, err := os.ReadFile("../../traceql/testdata/fixture.json")
	if err != nil {
		t.Fatal(err)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.NewTraces()
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(Options{
		Reader: s, Index: s, Metrics: metrics, Door: query.New(query.Options{}), Tenancy: tenancy,
		Now: func() time.Time { return time.Unix(fixtureSecond+30, 0) },
	}).Register(mux, "/jaeger")
	return mux
}

func get(t *testing.T, h http.Handler, target string, q url.Values, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target+"?"+q.Encode(), http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAPI(t *testing.T) {
	h := server(t, api.Tenancy{}, nil)
	// v is the parameters of a request: name, value, name, value.
	v := func(kvs ...string) url.Values {
		q := url.Values{}
		for i := 0; i < len(kvs); i += 2 {
			q.Add(kvs[i], kvs[i+1])
		}
		return q
	}
	const (
		none = `^\{"data":\[\],"total":0,"limit":0,"offset":0,"errors":null\}`
		a1   = `^\{"data":\[\{"traceID":"00000000000000a1",[^@]*\],"total":0,"limit":0,"offset":0,"errors":null\}`
	)
	from, to := "query.startTimeMin", "query.startTimeMax"
	t0, t1 := time.Unix(fixtureSecond-30, 0).UTC().Format(time.RFC3339), time.Unix(fixtureSecond+30, 0).UTC().Format(time.RFC3339)
	tests := []struct {
		path string
		q    url.Values
		code int
		want string // regular expression
	}{
		{"/api/services", nil, 200, `^\{"data":\["cons",.*"frontend",.*"payment-service",.*\],"total":\d+,"limit":0,"offset":0,"errors":null\}`},
		{"/api/services/payment-service/operations", nil, 200, `^\{"data":\["INSERT pay","POST /pay","SELECT pay",[^\]]*\],"total":`},
		{"/api/services/nope/operations", nil, 200, none},
		{"/api/operations", v("service", "frontend"), 200, `^\{"data":\[\{"name":"GET /cart","spanKind":"server"\},\{"name":"HTTP POST","spanKind":"client"\}\],"total":2,`},
		{"/api/operations", v("service", "frontend", "spanKind", "client"), 200, `^\{"data":\[\{"name":"HTTP POST","spanKind":"client"\}\]`},
		{"/api/operations", v("service", "frontend", "spanKind", "foo"), 400, `"msg":"parameter 'spanKind' is`},
		{"/api/operations", nil, 400, `^\{"data":null,"total":0,"limit":0,"offset":0,"errors":\[\{"code":400,"msg":"parameter 'service' is required"\}\]\}`},

		{"/api/traces", v("service", "payment-service", "tags", `{"error":"true"}`), 200, a1},
		{"/api/traces", v("service", "frontend", "minDuration", "2s", "limit", "5"), 200, a1},
		{"/api/traces", v("service", "frontend", "minDuration", "4s"), 200, none},
		{"/api/traces", v("service", "frontend", "maxDuration", "1ms"), 200, none},
		{"/api/traces", v("service", "frontend", "operation", "GET /cart", "lookback", "1h"), 200, a1},
		{"/api/traces", v("service", "frontend", "operation", "GET"), 200, none},
		{"/api/traces", v("service", "payment-service", "tag", "http.status_code:500", "tag", "error"), 200, a1},
		{"/api/traces", v("service", "payment-service", "tags", `{"http.status_code":"501"}`), 200, none},
		{"/api/traces", v("service", "payment-service", "tags", `{"span.kind":"client","db.system":"postgresql"}`), 200, a1},
		{"/api/traces", v("service", "payment-service", "tags", `{"span.kind":"server","db.system":"postgresql"}`), 200, none}, // not on one span
		{"/api/traces", v("service", "payment-service", "tags", `{"otel.status_description":"timeout"}`), 200, a1},
		{"/api/traces", v("service", "evlink", "tags", `{"exception.type":"E1"}`), 200, `"traceID":"000000000000c300"`}, // of an event
		{"/api/traces", v("service", "evlink", "tags", `{"event":"exception"}`), 200, `"traceID":"000000000000c300"`},
		{"/api/traces", v("service", "frontend", "start", "1795466574000000", "end", "1795466634000000"), 200, a1},
		{"/api/traces", v("service", "frontend", "start", "1795466500000000", "end", "1795466600000000"), 200, none},
		{"/api/traces", v("service", "frontend", "start", "5", "end", "4"), 400, `'start' must be before 'end'`},
		{"/api/traces", v("service", "frontend", "start", "x"), 400, `cannot parse parameter 'start'`},
		{"/api/traces", v("service", "frontend", "minDuration", "2s", "maxDuration", "1s"), 400, `'maxDuration' should be greater than 'minDuration'`},
		{"/api/traces", v("service", "frontend", "minDuration", "fast"), 400, `cannot parse parameter 'minDuration'`},
		{"/api/traces", v("service", "frontend", "limit", "0"), 400, `parameter 'limit' is 0`},
		{"/api/traces", v("service", "frontend", "tags", `{`), 400, `malformed 'tags' parameter`},
		{"/api/traces", nil, 400, `parameter 'service' is required`},
		{"/api/traces", v("traceID", "a1", "traceID", "123"), 200, `^\{"data":\[\{"traceID":"00000000000000a1".*"errors":\[\{"msg":"trace not found","traceID":"123"\}\]\}`},

		{"/api/traces", v("service", "evlink", "tag", "otel.scope.name:mylib", "tag", "otel.scope.version:2.1"), 200, `"traceID":"000000000000c300"`},
		{"/api/traces", v("service", "evlink", "tags", `{"shared":"rs","e":"1"}`), 200, `"traceID":"000000000000c300"`}, // of the process and the span
		{"/api/traces", v("service", "typed", "tag", "b", "tag", "f:1.5"), 200, `"traceID":"000000000000b200"`},
		{"/api/traces", v("service", "typed", "tag", "b:false", "tag", "f:1.5"), 200, none},
		{"/api/traces", v("service", "payment-service", "operation", "INSERT pay", "tag", "error"), 200, none},
		{"/api/traces", v("service", "payment-service", "tag", "otel.status_code:OK"), 200, a1},
		{"/api/traces", v("service", "payment-service", "minDuration", "500us", "maxDuration", "60ms"), 200, a1},
		{"/api/traces", v("service", "frontend", "limit", "x"), 400, `cannot parse parameter 'limit'`},
		{"/api/traces", v("service", "frontend", "end", "1.5"), 400, `cannot parse parameter 'end'`},
		{"/api/traces", v("service", "nope"), 200, none},
		{"/api/traces", v("traceID", "xyz"), 400, `"code":400,"msg":"invalid id`},
		{"/api/traces", v("traceID", "123"), 200, `^\{"data":\[\],.*"errors":\[\{"msg":"trace not found"`},

		{"/api/traces", v("service", "frontend", "tag", "w3c.tracestate:a=b"), 200, none},
		{"/api/traces/a1", nil, 200, a1},
		{"/api/traces/AAAAAAAAAAAAAAAAAAAAoQ==", nil, 200, a1}, // base64
		{"/api/traces", v("traceID", "AAAAAAAAAAAAAAAAAAAAoQ=="), 200, a1},
		{"/api/traces/AAAAAAAAAAAAAAAAAAAAow==", nil, 404, `trace not found`},
		{"/api/traces/AAAA=", nil, 400, `"code":400`},

		{"/api/metrics/minstep", nil, 200, `^\{"data":1,"total":0,"limit":0,"offset":0,"errors":null\}`},
		{"/api/metrics/calls", nil, 400, `parameter 'service' is required`},
		{"/api/metrics/calls", v("service", "x"), 501, `"code":501,"msg":"metrics of services: not supported`},
		{"/api/traces/a1", v("raw", "true", "start", "1795466574000000", "end", "1795466634000000"), 200, a1},
		{"/api/traces/a1", v("prettyPrint", "false"), 200, a1},
		{"/api/traces/a1", nil, 200, `"operationName":"GET /cart","references":\[\],"startTime":1795466604000000,"duration":3000000,`},
		{"/api/traces/c300", nil, 200, `"refType":"FOLLOWS_FROM","traceID":"00000000000000a1","spanID":"0000000000000011"`},
		{"/api/services/evlink%2F/operations", nil, 200, none},
		{"/api/traces/000000000000000000000000000000A1", nil, 200, a1},
		{"/api/traces/a1", v("prettyPrint", "true"), 200, `^\{\n    "data": \[`},
		{"/api/traces/123", nil, 404, `^\{"data":null,.*"errors":\[\{"code":404,"msg":"trace not found"\}\]\}`},
		{"/api/traces/xyz", nil, 400, `"code":400,"msg":"invalid id: trace id \\"xyz\\"`},

		{"/api/dependencies", nil, 200, `\{"parent":"frontend","child":"payment-service","callCount":1\}`},
		{"/api/dependencies", v("service", "nope"), 200, none},
		{"/api/dependencies", v("endTs", "1000", "lookback", "500"), 200, none},
		{"/api/dependencies", v("endTs", "x"), 400, `cannot parse parameter 'endTs'`},
		{"/api/dependencies", v("lookback", "x"), 400, `cannot parse parameter 'lookback'`},
		{"/api/dependencies", v("endTs", "1795466634000", "lookback", "60000", "service", "frontend"), 200, `"parent":"frontend"`},

		{"/api/v3/services", nil, 200, `^\{"services":\["cons",`},
		{"/api/v3/operations", v("service", "frontend", "span_kind", "server"), 200, `^\{"operations":\[\{"name":"GET /cart","spanKind":"server"\}\]\}`},
		{"/api/v3/traces/a1", nil, 200, `^\{"result":\{"resourceSpans":\[.*"traceId":"000000000000000000000000000000a1"`},
		{"/api/v3/traces/123", nil, 404, `^\{"error":\{"httpCode":404,"message":"No traces found"\}\}`},
		{"/api/v3/traces", v("query.serviceName", "frontend", from, t0, to, t1, "query.durationMin", "2s", "query.searchDepth", "3"), 200, `^\{"result":\{"resourceSpans":\[`},
		{"/api/v3/traces", v("query.service_name", "payment-service", "query.start_time_min", t0, "query.start_time_max", t1, "query.attributes", `{"error":"true"}`), 200, `"traceId":"000000000000000000000000000000a1"`},
		{"/api/v3/traces", v("query.serviceName", "nope", from, t0, to, t1), 404, `No traces found`},
		{"/api/v3/traces", v("query.serviceName", "frontend"), 400, `is required: want a time in RFC 3339`},
		{"/api/v3/traces", v("query.serviceName", "frontend", from, "now", to, t1), 400, `want a time in RFC 3339, not`},
		{"/api/v3/traces", v("query.serviceName", "frontend", from, t1, to, t0), 400, `must be before`},
		{"/api/v3/traces", v("query.serviceName", "frontend", from, t0, to, t1, "query.attributes", "{"), 400, `query.attributes`},
		{"/api/v3/traces", v("query.serviceName", "frontend", from, t0, to, t1, "query.durationMax", "1ms"), 404, `No traces found`},
		{"/api/v3/operations", nil, 400, `^\{"error":\{"httpCode":400,"message":"parameter 'service' is required"\}\}`},
		{"/api/v3/traces/xyz", nil, 400, `"httpCode":400`},
	}
	for _, tt := range tests {
		t.Run(tt.path+"?"+tt.q.Encode(), func(t *testing.T) {
			w := get(t, h, "/jaeger"+tt.path, tt.q)
			if w.Code != tt.code || !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("status %d, want %d: %s %s", w.Code, tt.code, w.Header().Get("Content-Type"), w.Body)
			}
			if !regexp.MustCompile(tt.want).MatchString(w.Body.String()) {
				t.Errorf("body does not match %s:\n%s", tt.want, w.Body)
			}
		})
	}
}

// TestTraceState searches by a field that TraceQL does not have: it is the span's that
// matches the rest.
func TestTraceState(t *testing.T) {
	s := storetest.NewTraces()
	td := ptrace.NewTraces()
	for i := range 5 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "shop")
		for j, name := range []string{"in", "out"} {
			sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			sp.SetTraceID(pcommon.TraceID{1, 15: byte(i)})
			sp.SetSpanID(pcommon.SpanID{1, 7: byte(j)})
			sp.SetName(name)
			sp.SetStartTimestamp(pcommon.Timestamp(fixtureSecond*1e9 + i))
			sp.SetEndTimestamp(pcommon.Timestamp(fixtureSecond*1e9 + i))
			if name == "in" && i%2 == 0 {
				sp.TraceState().FromRaw("a=b,c=d")
			}
		}
	}
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(Options{Reader: s, Index: s, Door: query.New(query.Options{}), Now: func() time.Time { return time.Unix(fixtureSecond+30, 0) }}).Register(mux, "/jaeger")
	for _, tt := range []struct {
		q    url.Values
		want []string
	}{
		{url.Values{"tag": {"w3c.tracestate:a=b,c=d"}}, []string{"4", "2", "0"}},
		{url.Values{"tags": {`{"w3c.tracestate":"a=b,c=d"}`}, "limit": {"2"}}, []string{"4", "2"}},
		{url.Values{"tag": {"w3c.tracestate:a=b,c=d"}, "operation": {"in"}}, []string{"4", "2", "0"}},
		{url.Values{"tag": {"w3c.tracestate:a=b,c=d"}, "operation": {"out"}}, nil},
		{url.Values{"tag": {"w3c.tracestate:a=b"}}, nil},
	} {
		tt.q.Set("service", "shop")
		var answer struct {
			Data   []struct{ TraceID string }
			Errors []any
		}
		if err := json.Unmarshal(get(t, mux, "/jaeger/api/traces", tt.q).Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tr := range answer.Data {
			got = append(got, tr.TraceID[len(tr.TraceID)-1:])
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || answer.Errors != nil {
			t.Errorf("%v (-want +got):\n%s%v", tt.q, diff, answer.Errors)
		}
	}
}

// TestBrokenText: what is not UTF-8 is replaced in every answer.
func TestBrokenText(t *testing.T) {
	s := storetest.NewTraces()
	td := ptrace.NewTraces()
	sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID{15: 1})
	sp.SetSpanID(pcommon.SpanID{7: 1})
	sp.SetName("a\xffb")
	sp.Attributes().PutStr("k\xff", "\xfe")
	sp.SetStartTimestamp(fixtureSecond * 1e9)
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(Options{Reader: s, Index: s, Door: query.New(query.Options{})}).Register(mux, "/jaeger")
	for _, path := range []string{"/jaeger/api/traces/1", "/jaeger/api/v3/traces/1"} {
		if body := get(t, mux, path, nil).Body.String(); !utf8.ValidString(body) || !json.Valid([]byte(body)) || !strings.Contains(body, "a\ufffdb") && !strings.Contains(body, `a\ufffdb`) {
			t.Errorf("%s: %q", path, body)
		}
	}
}

// TestMonitor asks for rates as the Monitor tab does.
func TestMonitor(t *testing.T) {
	m := storetest.NewMetrics()
	end := int64(fixtureSecond+30) * 1000
	series := func(name, service, op, kind, more string, perSecond float64) store.SeriesWrite {
		ls := map[string]string{model.MetricName: name, "service": service, "span_name": op, "span_kind": "SPAN_KIND_" + kind}
		if k, v, ok := strings.Cut(more, "="); ok {
			ls[k] = v
		}
		w := store.SeriesWrite{Labels: model.LabelsFromMap(ls)}
		for at := end - 1800_000; at <= end; at += 10_000 {
			w.Samples = append(w.Samples, store.Sample{Time: at, Value: perSecond * float64(at-end+1800_000) / 1000})
		}
		return w
	}
	const ok, failed = "status_code=STATUS_CODE_UNSET", "status_code=STATUS_CODE_ERROR"
	const latency = "traces_spanmetrics_latency_bucket"
	err := m.Append(t.Context(), model.DefaultTenant, &store.MetricBatch{Series: []store.SeriesWrite{
		series(callsMetric, "shop", "GET /", "SERVER", ok, 3),
		series(callsMetric, "shop", "GET /", "SERVER", failed, 1),
		series(callsMetric, "shop", "GET /x", "SERVER", ok, 4),
		series(callsMetric, "shop", "SELECT", "CLIENT", ok, 7),
		series(callsMetric, "soap", "idle", "SERVER", ok, 0),
		series(latency, "shop", "GET /", "SERVER", "le=0.5", 0),
		series(latency, "shop", "GET /", "SERVER", "le=1", 4),
		series(latency, "shop", "GET /", "SERVER", "le=+Inf", 4),
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := server(t, api.Tenancy{}, m)
	point := func(v string) string {
		return `"metricPoints":[{"gaugeValue":{"doubleValue":` + v + `},"timestamp":"2026-11-23T20:43:54Z"}]`
	}
	one := func(op, v string) string {
		if op != "" {
			op = `,{"name":"operation","value":"` + op + `"}`
		}
		return `{"labels":[{"name":"service_name","value":"shop"}` + op + `],` + point(v) + `}`
	}
	for _, tt := range []struct {
		path string
		more string
		code int
		want string
	}{
		{"calls", "", 200, `{"name":"service_call_rate","type":"GAUGE","help":"calls/sec, grouped by service","metrics":[` + one("", "8") + `]}`},
		{"calls", "&groupByOperation=true", 200, `{"name":"service_operation_call_rate","type":"GAUGE","help":"calls/sec, grouped by service & operation","metrics":[` + one("GET /", "4") + "," + one("GET /x", "4") + `]}`},
		{"calls", "&spanKind=client&spanKind=server", 200, one("", "15")},
		{"calls", "&spanKind=consumer", 200, `"metrics":[]}`},
		{"calls", "&spanKind=foo", 400, `parameter 'spanKind'`},
		{"calls", "&step=0", 400, `parameter 'step' is 0 ms`},
		{"calls", "&step=1&lookback=86400000", 400, `at most 11000 steps`},
		{"calls", "&groupByOperation=perhaps", 400, `parameter 'groupByOperation'`},
		{"calls", "&ratePer=x", 400, `parameter 'ratePer'`},
		{"errors", "", 200, `{"name":"service_error_rate","type":"GAUGE","help":"error rate, computed as a fraction of errors/sec over calls/sec, grouped by service","metrics":[` + one("", "0.125") + `]}`},
		{"errors", "&groupByOperation=1", 200, one("GET /", "0.25") + "," + one("GET /x", "0")},
		{"latencies", "&quantile=0.5", 200, `{"name":"service_latencies","type":"GAUGE","help":"0.5th quantile latency, grouped by service","metrics":[` + one("", "750") + `]}`},
		{"latencies", "&quantile=0.95&groupByOperation=true", 200, `{"name":"service_operation_latencies","type":"GAUGE","help":"0.95th quantile latency, grouped by service & operation","metrics":[` + one("GET /", "975") + `]}`},
		{"latencies", "", 400, `parameter 'quantile'`},
		{"latencies", "&quantile=2", 400, `parameter 'quantile'`},
	} {
		q, err := url.ParseQuery("service=shop&service=s.*p" + tt.more + "&lookback=0&ratePer=600000")
		if err != nil {
			t.Fatal(err)
		}
		w := get(t, h, "/jaeger/api/metrics/"+tt.path, q)
		if body := strings.ReplaceAll(w.Body.String(), `\u0026`, "&"); w.Code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s%s: %d %s\nwant %d %s", tt.path, tt.more, w.Code, body, tt.code, tt.want)
		}
	}
	q := url.Values{"service": {"soap"}, "lookback": {"60000"}, "step": {"20000"}}
	if w := get(t, h, "/jaeger/api/metrics/calls", q); strings.Count(w.Body.String(), "gaugeValue") != 4 {
		t.Errorf("four steps: %s", w.Body)
	}
	if w := get(t, h, "/jaeger/api/metrics/errors", q); !strings.Contains(w.Body.String(), `"metrics":[]`) {
		t.Errorf("of no calls no share fails: %s", w.Body)
	}
}

func TestTenants(t *testing.T) {
	h := server(t, api.Tenancy{Enabled: true}, nil)
	for tenant, code := range map[string]int{"": 401, "default": 200, "other": 404} {
		if w := get(t, h, "/jaeger/api/traces/a1", nil, "X-Scope-OrgID", tenant); w.Code != code {
			t.Errorf("as %q: %d, want %d", tenant, w.Code, code)
		}
	}
}

// TestModel goes through the mapping of OTLP to Jaeger's model.
func TestModel(t *testing.T) {
	td := ptrace.NewTraces()
	for _, service := range []string{"shop", "", "shop"} {
		rs := td.ResourceSpans().AppendEmpty()
		if service != "" {
			rs.Resource().Attributes().PutStr("service.name", service)
		}
		rs.Resource().Attributes().PutStr("host.name", "h1")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("lib")
		ss.Scope().SetVersion("1.2")
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{15: 0xa1})
		s.SetSpanID(pcommon.SpanID{7: byte(td.ResourceSpans().Len())})
	}
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	s.SetName("GET /")
	s.SetKind(ptrace.SpanKindServer)
	s.SetParentSpanID(pcommon.SpanID{7: 9})
	s.SetStartTimestamp(1_700_000_000_123_456_789)
	s.SetEndTimestamp(1_700_000_000_123_459_788)
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("broken")
	s.TraceState().FromRaw("a=b")
	at := s.Attributes()
	at.PutStr("str", "x")
	at.PutInt("int", 5)
	at.PutInt("big", 1<<60)
	at.PutDouble("float", 0.5)
	at.PutBool("bool", true)
	at.PutEmptyBytes("bytes").FromRaw([]byte{1, 2})
	at.PutEmptySlice("list").AppendEmpty().SetInt(1)
	at.PutEmptyMap("map").PutStr("k", "v")
	e := s.Events().AppendEmpty()
	e.SetName("exception")
	e.SetTimestamp(1_700_000_000_123_457_000)
	e.Attributes().PutStr("exception.type", "E")
	for _, ref := range []string{"", "child_of"} {
		l := s.Links().AppendEmpty()
		l.SetTraceID(pcommon.TraceID{1, 15: 2})
		l.SetSpanID(pcommon.SpanID{7: 7})
		if ref != "" {
			l.Attributes().PutStr("opentracing.ref_type", ref)
		}
	}
	td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).Status().SetCode(ptrace.StatusCodeOk)
	td.ResourceSpans().At(2).ScopeSpans().At(0).Spans().At(0).SetParentSpanID(pcommon.SpanID{7: 1})

	scope := []keyValue{{"otel.scope.name", "string", "lib"}, {"otel.scope.version", "string", "1.2"}}
	host := []keyValue{{"host.name", "string", "h1"}}
	want := &traceJSON{
		TraceID:   "00000000000000a1",
		Processes: map[string]processJSON{"p1": {"shop", host}, "p2": {"OTLPResourceNoServiceName", host}},
		Spans: []spanJSON{
			{
				TraceID: "00000000000000a1", SpanID: "0000000000000001", Operation: "GET /", StartTime: 1_700_000_000_123_456, Duration: 2, ProcessID: "p1",
				References: []refJSON{
					{"CHILD_OF", "00000000000000a1", "0000000000000009"},
					{"FOLLOWS_FROM", "01000000000000000000000000000002", "0000000000000007"},
					{"CHILD_OF", "01000000000000000000000000000002", "0000000000000007"},
				},
				Tags: []keyValue{
					{"str", "string", "x"},
					{"int", "int64", int64(5)},
					{"big", "int64", "1152921504606846976"},
					{"float", "float64", 0.5},
					{"bool", "bool", true},
					{"bytes", "binary", "AQI="},
					{"list", "string", "[1]"},
					{"map", "string", `{"k":"v"}`},
					scope[0], scope[1],
					{"span.kind", "string", "server"},
					{"otel.status_code", "string", "ERROR"},
					{"error", "bool", true},
					{"otel.status_description", "string", "broken"},
					{"w3c.tracestate", "string", "a=b"},
				},
				Logs:     []logJSON{{1_700_000_000_123_457, []keyValue{{"event", "string", "exception"}, {"exception.type", "string", "E"}}}},
				Warnings: []string{"the parent span 0000000000000009 is not in this trace"},
			},
			{
				TraceID: "00000000000000a1", SpanID: "0000000000000002", ProcessID: "p2", References: []refJSON{}, Logs: []logJSON{},
				Tags: append(append([]keyValue{}, scope...), keyValue{"otel.status_code", "string", "OK"}),
			},
			{
				TraceID: "00000000000000a1", SpanID: "0000000000000003", ProcessID: "p1", Logs: []logJSON{}, Tags: scope,
				References: []refJSON{{"CHILD_OF", "00000000000000a1", "0000000000000001"}},
			},
		},
	}
	if diff := cmp.Diff(want, newTrace(td)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDependenciesOfServiceGraph(t *testing.T) {
	m := storetest.NewMetrics()
	at := time.Unix(fixtureSecond, 0).UnixMilli()
	series := func(client, server, kind string, values ...float64) store.SeriesWrite {
		w := store.SeriesWrite{Labels: model.LabelsFromMap(map[string]string{model.MetricName: graphMetric, "client": client, "server": server, "connection_type": kind})}
		for i, v := range values {
			w.Samples = append(w.Samples, store.Sample{Time: at + int64(i)*1000, Value: v})
		}
		return w
	}
	err := m.Append(context.Background(), model.DefaultTenant, &store.MetricBatch{Series: []store.SeriesWrite{
		series("a", "b", "", 0, 5, 7, 2, 3), // 7, then it begins anew
		series("a", "db", "database", 0, 4),
		series("user", "a", "virtual_node", 0, 9),
		series("b", "c", "", 5, 5),
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := get(t, server(t, api.Tenancy{}, m), "/jaeger/api/dependencies", nil)
	want := `{"data":[{"parent":"a","child":"b","callCount":10},{"parent":"a","child":"db","callCount":4}],"total":2,"limit":0,"offset":0,"errors":null}` + "\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
