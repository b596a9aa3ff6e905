package tempo

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// The traces of the fixture start at this second.
const fixtureSecond = 1795466604

// server serves the API over the traces of traceql's fixture, at the root and under
// /tempo.
func server(t testing.TB, tenancy api.Tenancy) http.Handler {
	t.Helper()
	s := storetest.NewTraces()
	load(t, s)
	return serve(s, tenancy)
}

// load appends the fixture to s.
func load(t testing.TB, s store.TraceWriter) {
	t.Helper()
	data, err := os.ReadFile("../../traceql/testdata/fixture.json")
	if err != nil {
		t.Fatal(err)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
}

func serve(s storetest.TraceStore, tenancy api.Tenancy) http.Handler {
	a := New(Options{
		Reader: s, Index: s, Door: query.New(query.Options{}), Tenancy: tenancy, Revision: "abc",
		Now: func() time.Time { return time.Unix(fixtureSecond+30, 0) },
	})
	mux := http.NewServeMux()
	a.Register(mux, "")
	a.Register(mux, "/tempo")
	streaming := a.GRPC()
	mux.Handle("POST /tempopb.StreamingQuerier/", streaming)
	mux.Handle("POST /grpc.health.v1.Health/", streaming)
	return mux
}

// get sends a request; W in the query stands for a window around the fixture.
func get(t testing.TB, h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	path, raw, _ := strings.Cut(target, "?")
	q := url.Values{}
	for part := range strings.SplitSeq(raw, "&&&") {
		switch k, v, ok := strings.Cut(part, "="); {
		case part == "W":
			q.Set("start", "1795466574")
			q.Set("end", "1795466634")
		case ok:
			q.Set(k, v)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+"?"+q.Encode(), nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// apiTest is a request and what its answer looks like.
type apiTest struct {
	target string
	code   int
	want   string // regular expression on the body
}

func metricsTests() []apiTest {
	return []apiTest{
		{`/api/metrics/query_range?q={ }&&&W`, 400, `^not a metrics query`},
		{`/api/metrics/query_range?q={ } | rate(&&&W`, 400, `^parse error at line 1, col 12: `},
		{`/api/metrics/query?q={ } | rate(&&&W`, 400, `^compiling query: parse error at line 1`},
		{`/api/metrics/query_range?q=&&&W`, 400, `unexpected \$end`},
		{`/api/metrics/query?q={ } | rate()&&&start=1700000000&&&end=1700100000`, 400, `^metrics query time range exceeds the maximum allowed duration of 24h0m0s`},
		{`/api/metrics/query_range?q={ } | rate()&&&start=9223372036854775000&&&end=9223372036854775807&&&step=1`, 400, `out of range`},
		{`/api/metrics/query?q={ } | rate()&&&start=1700000000&&&end=1700000000`, 400, `^end must be greater than start`},
		{`/api/metrics/query?q={ } | rate()&&&start=yesterday`, 400, `^could not parse 'start' parameter`},
		{`/api/metrics/query_range?q={ } | rate()&&&step=1ms&&&W`, 400, `^step of 1ms is too small, minimum step for given range is 6ms`},
		{`/api/metrics/query_range?q={ } | rate()&&&step=-1s&&&W`, 400, `step must be positive`},
		{`/api/metrics/query_range?q={ } | rate()&&&step=NaN&&&W`, 400, `step`},
		{`/api/metrics/query?q={ } | rate() by (.p,.q,.r,.s,.t,.u)&&&W`, 400, `metrics group by 6 values not yet supported`},
		{`/api/metrics/query?q={ resource.service.name="tree" } | count_over_time()&&&W`, 200, `^\{"series":\[\{"labels":\[\{"key":"__name__","value":\{"stringValue":"count_over_time"\}\}\],"value":7\}\],"metrics"`},
		{`/api/metrics/query?q={ resource.service.name="tree" } | count_over_time()&&&start=1795466574000000000&&&end=1795466634.5`, 200, `"value":7\}`},
		{`/api/metrics/query?query={ name="nope" } | count_over_time()`, 200, `"stringValue":"count_over_time"\}\}\]\}\]`},
		{`/api/metrics/query?q={ name="nope" } | count_over_time() by (name)`, 200, `^\{"series":\[\],"metrics"`},
		{`/tempo/api/metrics/query_range?q={ resource.service.name="tree" && name = "A" } | rate() by (name)&&&step=60&&&W`, 200, `^\{"series":\[\{"labels":\[\{"key":"name","value":\{"stringValue":"A"\}\}\],"samples":\[\{"timestampMs":"1795466520000"\},\{"timestampMs":"1795466580000"\},\{"timestampMs":"1795466640000","value":0\.016666666666666666\}\],"exemplars":\[\{"labels":\[\{"key":"trace:id","value":\{"stringValue":"d400"\}\},.*"value":0\.016666666666666666,"timestampMs":"1795466604000"\}\]\}\],"metrics"`},
		{`/api/metrics/query_range?q={ resource.service.name="tree" } | rate()&&&exemplars=0&&&W`, 200, `"exemplars":\[`},
		{`/api/metrics/query_range?q={ } | quantile_over_time(duration, .9)&&&W`, 200, `"labels":\[\{"key":"p","value":\{"doubleValue":0\.9\}\}\]`},
		{`/api/metrics/query_range?q={ } | rate()`, 200, `"series":\[\{`},
		{`/api/metrics/query_range?q={ name = "A" } | count_over_time()&&&query={ } | rate()&&&W`, 200, `"stringValue":"count_over_time"`},
		{`/api/metrics/query?q={ name = "A" } | count_over_time()&&&start=2026-11-23T20:42:54Z&&&end=2026-11-23T20:43:54.5Z`, 200, `"value":1\}`},
		{`/api/metrics/query?q={ name = "A" } | count_over_time()&&&since=15m`, 200, `"value":1\}`},
		{`/api/metrics/query?q={ name = "A" } | count_over_time()&&&since=10s`, 200, `"stringValue":"count_over_time"\}\}\]\}\]`},
		{`/api/metrics/query?q={ } | rate()&&&since=soon`, 400, `could not parse 'since' parameter`},
		{`/api/metrics/query?q={ } | rate()&&&end=tomorrow`, 400, `could not parse 'end' parameter`},
		{`/api/metrics/query_range?q={ name = "A" } | count_over_time()&&&step=30&&&W`, 200, `^[^@]*?(?:"timestampMs"[^@]*?){4}"value":1`},
		{`/api/metrics/query_range?q={ name = "A" } | count_over_time()&&&step=7.5&&&exemplars=x&&&W`, 200, `"exemplars":\[`},
		{`/api/metrics/query_range?q={ } | rate()&&&step=0&&&W`, 400, `step`},
		{`/api/metrics/query_range?q={ } | rate()&&&step=soon&&&W`, 400, `cannot parse "soon"`},
		{`/api/metrics/query_range?q={ name = "nope" } | rate()&&&step=60&&&W`, 200, `"samples":\[\{"timestampMs":"\d+"\},\{"timestampMs":"\d+"\},\{"timestampMs":"\d+"\}\]\}\],"metrics"`},
		{`/api/metrics/query_range?q={ name = "nope" } | rate() by (name)&&&W`, 200, `^\{"series":\[\],`},
		{`/api/metrics/query_range?q={ name = "A" } | rate() with (exemplars=false)&&&W`, 200, `"samples":\[[^\]]*\]\}\],"metrics"`},
		{`/api/metrics/query_range?q={ span.http.status_code = 500 } | rate() by (span.http.status_code, kind)&&&W`, 200, `"labels":\[\{"key":"span.http.status_code","value":\{"intValue":"500"\}\},\{"key":"kind","value":\{"stringValue":"server"\}\}\]`},
		{`/api/metrics/query_range?q={ } | rate() by (.p,.q,.r,.s,.t,.u)&&&W`, 400, `metrics group by 6 values not yet supported`},
		{`/api/metrics/query?q=&&&W`, 400, `unexpected \$end`},
	}
}

// TestAPI asks the reference store, and the engine when all is on disk.
func TestAPI(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testAPI(t, server(t, api.Tenancy{})) })
	t.Run("parts", func(t *testing.T) {
		h, flush := engine(t)
		flush()
		testAPI(t, h)
	})
}

func apiTests() []apiTest {
	return []apiTest{
		{"/api/echo", 200, `^echo\n$`},
		{"/tempo/api/echo", 200, `^echo\n$`},
		{"/api/status/buildinfo", 200, `^\{"version":"v2\.9\.0\+pharos","revision":"abc","branch":"pharos","buildUser":"","buildDate":"","goVersion":"go.*"\}$`},
		{"/api/nope", 404, ``},

		{"/api/traces/d400", 200, `^\{"batches":\[\{"resource":.*"traceId":"AAAAAAAAAAAAAAAAAADUAA==","spanId":"AAAAAAAAAKA=","name":"A","kind":"SPAN_KIND_INTERNAL","startTimeUnixNano":"1795466604000000000","endTimeUnixNano":"1795466604100000000","status":\{\}`},
		{"/api/traces/D400", 200, `"name":"G"`},
		{"/api/traces/a1", 200, `"status":\{"message":"timeout","code":"STATUS_CODE_ERROR"\}`},
		{"/api/traces/b200", 200, `\{"key":"arr\.empty","value":\{"arrayValue":\{\}\}\},\{"key":"b","value":\{"boolValue":true\}\},\{"key":"f","value":\{"doubleValue":1\.5\}\}.*"kvlistValue":\{"values":\[\{"key":"k","value":\{"stringValue":"v"\}\}\]\}.*"bytesValue":"AQI=".*"empty","value":\{"stringValue":""\}`},
		{"/api/traces/c300", 200, `"events":\[\{"timeUnixNano":"1795466604100000000","name":"exception",.*"links":\[\{"traceId":"AAAAAAAAAAAAAAAAAAAAoQ==","spanId":"AAAAAAAAABE=","attributes"`},
		{"/api/traces/0123456789abcdef", 404, `^$`},
		{"/api/traces/xyz", 400, `^trace IDs can only contain hex characters: invalid character 'x' at position 1\n$`},
		{"/api/traces/d400?start=900&&&end=700", 400, `^http parameter start must be before end`},
		{"/api/traces/d400?mode=foo", 400, `^invalid value for mode foo`},
		{"/api/traces/d400?mode=blocks&&&blockStart=0&&&blockEnd=f", 200, `"name":"G"`},
		{"/api/traces/d400?start=x&&&end=7", 400, `^invalid start`},
		{"/api/traces/d400?start=7", 400, `only one of start and end`},
		{"/api/traces/d400?W", 200, `"name":"G"`},
		{"/api/traces/0000000000000000000000000000d4000", 400, `^trace IDs can't be larger than 128 bits`},
		{"/api/traces/abg", 400, `invalid character 'g' at position 3`},
		{"/api/traces/1800", 200, `"kind":"SPAN_KIND_PRODUCER".*"parentSpanId":"AAAAAAAAAIE=".*"kind":"SPAN_KIND_CONSUMER"`},
		{"/api/traces/b200", 200, `"key":"arr.mixed","value":\{"arrayValue":\{"values":\[\{"stringValue":"x"\},\{"intValue":"1"\}\]\}\}`},
		{"/api/v2/traces/xyz", 400, `^trace IDs can only contain hex characters`},
		{"/api/v2/traces/D400?mode=ingesters", 200, `"name":"G"`},
		{"/api/v2/traces/d400/", 404, ``},
		{"/api/metrics/summary?q={ }", 404, ``},
		{"/api/v2/traces/d400", 200, `^\{"trace":\{"resourceSpans":\[.*"metrics":\{"inspectedBytes":"\d+"\}\}$`},
		{"/api/v2/traces/0123456789abcdef", 200, `^\{"trace":\{\},"metrics":\{\}\}$`},

		{`/api/v2/traces/d400?q={ name = "D" }`, 200, `^\{"trace":\{"resourceSpans":\[[^@]*"name":"D"[^@]*\]\},"metrics":\{"inspectedBytes":"\d+"\},"status":"PARTIAL","message":`},
		{`/api/v2/traces/d400?q={ name = "nope" }`, 200, `^\{"trace":\{\},"metrics":\{\},"status":"PARTIAL"`},
		{`/api/v2/traces/d400?q={ }`, 200, `"name":"G"[^@]*"metrics":\{"inspectedBytes":"\d+"\}\}$`},
		{`/api/v2/traces/d400?q={ name = "D" } && { name = "A" }`, 400, `^invalid TraceQL filter: want one filter`},
		{`/api/v2/traces/d400?q={ name = "D" } | count() > 1`, 400, `^invalid TraceQL filter: want one filter`},
		{`/api/v2/traces/d400?q={`, 400, `^invalid TraceQL filter: parse error at line 1, col 2`},
		{`/api/v2/traces/d400?q={ name = "D" }&&&match_depth=-2`, 400, `^invalid match_depth`},

		{"/api/search?q={&&&W", 400, `^invalid TraceQL query: parse error at line 1, col 2: `},
		{`/api/search?q={ name = "nope" }&&&W`, 200, `^\{"traces":\[\],"metrics":\{.*"completedJobs":1,"totalJobs":1`},
		{`/api/search?q={ name = "A" }&&&W`, 200, `"spanSet":\{"spans":\[\{"spanID":"00000000000000a0","name":"A","startTimeUnixNano":"1795466604000000000","durationNanos":"100000000"\}\],"matched":1\},"spanSets":\[\{"spans":\[\{"spanID":"00000000000000a0"`},
		{`/tempo/api/search?q={ name = "A" }&&&W`, 200, `"traceID":"d400","rootServiceName":"tree","rootTraceName":"A","startTimeUnixNano":"1795466604000000000","durationMs":100,`},
		{`/api/search?q={ resource.service.name = "many" }&&&W`, 200, `^(?:[^@]*"spanID"){6}[^@]*"matched":12`},
		{`/api/search?q={ resource.service.name = "many" }&&&spss=0&&&W`, 200, `"matched":12`},
		{`/api/search?q={ }&&&spss=1000&&&W`, 400, `^spss 1000 exceeds max spss 100`},
		{`/api/search?q={ }&&&limit=0&&&W`, 400, `^invalid limit: must be a positive number`},
		{`/api/search?q={ }&&&limit=x&&&W`, 400, `^invalid limit`},
		{`/api/search?q={ }&&&limit=300000&&&W`, 400, `^limit 300000 exceeds max limit 262144`},
		{`/api/search?q={ }&&&start=200&&&end=100`, 400, `^http parameter start must be before end. received start=200 end=100`},
		{`/api/search?q={ }&&&end=100`, 400, `only one of start and end`},
		{`/api/search?q={ }&&&start=1&&&end=1700000000`, 400, `^range specified by start and end exceeds 168h0m0s`},
		{`/api/search?q={ }&&&tags=a=b`, 400, `can't specify tags and q`},
		{`/api/search?q={ name = "child only" }&&&W`, 200, `"rootServiceName":"\\u003croot span not yet received\\u003e","startTimeUnixNano"`},
		{`/api/search?q={ name = "SELECT pay" }&&&W`, 200, `"serviceStats":\{"frontend":\{"spanCount":2\},"payment-service":\{"spanCount":4,"errorCount":2\}\}\}\]`},
		{`/api/search?q={ span.http.status_code = 500 && status = error }&&&W`, 200, `"attributes":\[\{"key":"http\.status_code","value":\{"intValue":"500"\}\},\{"key":"status","value":\{"stringValue":"error"\}\}\]`},
		{`/api/search?q={ span.b } | select(span.arr.i, span.f)&&&W`, 200, `\{"key":"arr\.i","value":\{"arrayValue":\{"values":\[\{"intValue":"1"\},\{"intValue":"2"\},\{"intValue":"3"\}\]\}\}\},\{"key":"f","value":\{"doubleValue":1\.5\}\}`},
		{`/api/search?q={ kind = producer }&&&W`, 200, `"spanID":"0000000000000081","startTimeUnixNano"`},
		{`/api/search?q={ resource.service.name = "payment-service" } | by(kind) | count() > 1&&&W`, 200, `"matched":2,"attributes":\[\{"key":"by\(kind\)","value":\{"stringValue":"client"\}\},\{"key":"count\(\)","value":\{"intValue":"2"\}\}\]`},
		{`/api/search?q={ name = "A" } | rate()&&&W`, 200, `"traceID":"d400"`},
		{`/api/search?q={ name = "A" }`, 200, `"traceID":"d400"`}, // the last hour
		{`/api/search?tags=service.name=pay&&&W`, 200, `^\{"traces":\[\{"traceID":"a1","rootServiceName":"frontend","rootTraceName":"GET /cart","startTimeUnixNano":"1795466604000000000","durationMs":3000\}\],`},
		{`/api/search?tags=db.system=postgresql service.name=front&&&W`, 200, `"traceID":"a1"`},
		{`/api/search?minDuration=2s&&&W`, 200, `^\{"traces":\[\{"traceID":"a1"[^}]*\}\],`},
		{`/api/search?minDuration=5x&&&W`, 400, `^invalid minDuration: `},
		{`/api/search?minDuration=5s&&&maxDuration=1s&&&W`, 400, `^invalid maxDuration: must be greater`},
		{`/api/search?tags=a="b&&&W`, 400, `^invalid tags: `},
		{`/api/search?tags=a=1 a=2&&&W`, 400, `^invalid tags: parse error at line 1, col 5: tag a has been set twice`},
		{`/api/search?maxDuration=x&&&W`, 400, `^invalid maxDuration: `},
		{`/api/search?q={ name = "A" }&&&minDuration=2s&&&W`, 200, `"traceID":"d400"`}, // q alone counts
		{`/api/search?W`, 200, `^(?:[^@]*?"rootServiceName"){9}`},
		{`/api/search?q=&&&tags=&&&limit=3&&&nosuch=1&&&W`, 200, `^(?:[^@]*?"rootServiceName"){3}`},
		{`/api/search?q={ }&&&start=5`, 400, `only one of start and end`},
		{`/api/search?q={ }&&&start=1.5&&&end=9`, 400, `^invalid start`},
		{`/api/search?q={ }&&&spss=-1&&&W`, 400, `^invalid spss`},
		{`/api/search?q={ }&&&limit=-1&&&W`, 400, `^invalid limit`},
		{`/api/search?q={ }&&&limit=2&&&W`, 200, `"rootServiceName"[^@]*"rootServiceName"`},
		{`/api/search?q={ status = foo }&&&W`, 400, `^invalid TraceQL query: parse error at line 1, col 12: unknown identifier: foo`},
		{`/api/search?q={ name = 5 }&&&W`, 400, `^invalid TraceQL query: .*must operate on the same type`},
		{`/api/search?q={ resource.service.name = "payment-service" } | by(span.db.operation)&&&W`, 200, `"key":"by\(span.db.operation\)","value":\{"stringValue":"nil"\}`},
		{`/api/search?q={ resource.service.name = "payment-service" } | avg(duration) > 1s&&&W`, 200, `"key":"avg\(duration\)","value":\{"stringValue":"1.04s"\}`},
		{`/api/search?q={ event:timeSinceStart > 400ms } | select(event:timeSinceStart, span:childCount, nestedSetLeft)&&&W`, 200, `"key":"event:timeSinceStart","value":\{"stringValue":"500ms"\}`},
		{`/api/search?q={ .service.name = "typed" && span.a = nil }&&&W`, 200, `"key":"a","value":\{"stringValue":"nil"\}`},
		{`/api/search?q={ name = "child only" } | select(nestedSetParent, nestedSetLeft, nestedSetRight)&&&W`, 200, `"nestedSetParent","value":\{"intValue":"0"\}\},\{"key":"nestedSetLeft","value":\{"intValue":"0"\}\},\{"key":"nestedSetRight","value":\{"intValue":"0"\}`},

		{"/api/v2/search/tags?W", 200, `^\{"scopes":\[\{"name":"resource","tags":\["host\.name","k8s.cluster.name","service.name","shared","x"\]\},\{"name":"span",.*\{"name":"event",.*\{"name":"link","tags":\["link.kind","shared"\]\},\{"name":"instrumentation","tags":\["lang","shared"\]\},\{"name":"intrinsic","tags":\["duration"`},
		{"/api/v2/search/tags?scope=event&&&W", 200, `^\{"scopes":\[\{"name":"event","tags":\["exception.message","exception.type","msg","shared"\]\}\],"metrics"`},
		{`/api/v2/search/tags?scope=span&&&q={ name = "SELECT pay" }&&&W`, 200, `"tags":\["db.name","db.operation","db.statement","db.system"\]`},
		{"/api/v2/search/tags?scope=trace", 200, `^\{"scopes":\[\],"metrics"`},
		{"/api/v2/search/tags?scope=foo", 400, `^invalid scope: foo`},
		{"/api/v2/search/tags?start=5", 400, `only one of start and end`},
		{"/api/v2/search/tags?start=5&&&end=1795466604", 400, `exceeds 168h`},
		{"/api/search/tags?W", 200, `^\{"tagNames":\["a","arr.empty".*"service.name","shared","sp ace","x"\],"metrics"`},
		{"/api/search/tags?scope=intrinsic&&&W", 200, `^\{"tagNames":\["duration","event:name"`},
		{"/api/v2/search/tag/span.a/values?W", 200, `\{"type":"int","value":"5"\}.*\{"type":"float","value":"5.0"\}.*\{"type":"bool","value":"true"\}`},
		{"/api/v2/search/tag/span.arr.i/values?W", 200, `^\{"tagValues":\[\{"type":"int","value":"1"\},\{"type":"int","value":"2"\},\{"type":"int","value":"3"\}\],"metrics"`},
		{"/api/v2/search/tag/status/values?W", 200, `^\{"tagValues":\[\{"type":"keyword","value":"error"\},\{"type":"keyword","value":"ok"\},\{"type":"keyword","value":"unset"\}\]`},
		{"/api/v2/search/tag/span.empty/values?W", 200, `^\{"tagValues":\[\{"type":"string"\}\]`},
		{`/api/v2/search/tag/name/values?q={ resource.service.name = "tworoots" && span.x = }&&&W`, 200, `^\{"tagValues":\[\{"type":"string","value":"r1"\},\{"type":"string","value":"r2"\}\]`},
		{`/api/v2/search/tag/name/values?q={ resource.service.name = "tworoots" || span.x = }&&&W`, 200, `"value":"GET /cart"`},
		{"/api/v2/search/tag/span%3Aname/values?limit=2&&&W", 200, `^\{"tagValues":\[\{[^}]*\},\{[^}]*\}\]`},
		{"/api/v2/search/tag/service.name/values", 400, `^please provide a valid tagName: failed to parse identifier service.name: parse error at line 1, col 1: unknown identifier: service`},
		{"/api/v2/search/tag/duration/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/search/tag/db.operation/values?W", 200, `^\{"tagValues":\["INSERT","SELECT"\],`},
		{"/api/search/tag/service.name/values?since=15m", 200, `^\{"tagValues":\["","cons",.*"frontend","many"`},
		{"/api/search/tag/service.name/values?start=1795466574&&&end=1795466603", 200, `^\{"tagValues":\[\],`},
		{"/api/search/tag/root.name/values?W", 200, `"A","GET /cart"`},
		{"/api/search/tag/status.code/values?W", 200, `^\{"tagValues":\["0","1","2","error","ok","unset"\]`},
		{"/api/search/tag/nosuch/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/search/tag/name/values?W", 200, `"A","B","C"`},
		{"/api/search/tag/error/values?W", 200, `^\{"tagValues":\["true"\]`},
		{"/api/search/tag/root.service.name/values?W", 200, `"frontend"`},
		{"/api/search/tag/db.operation/values?start=5", 400, `only one of start and end`},
		{"/api/search/tags?scope=resource&&&W", 200, `^\{"tagNames":\["host.name","k8s.cluster.name","service.name","shared","x"\]`},
		{"/api/search/tags?scope=foo", 400, `^invalid scope: foo`},
		{"/api/search/tags?since=soon", 400, `could not parse 'since'`},
		{"/api/v2/search/tags?scope=none&&&W", 200, `^(?:[^@]*?"name":"(?:resource|span|event|link|instrumentation|intrinsic)"){6}`},
		{"/api/v2/search/tags?scope=intrinsic", 200, `"tags":\["duration","event:name","event:timeSinceStart","instrumentation:name","instrumentation:version","kind","link:spanID","link:traceID","name","rootName","rootServiceName","span:duration","span:id","span:kind","span:name","span:parentID","span:status","span:statusMessage","status","statusMessage","trace:duration","trace:id","trace:rootName","trace:rootService","traceDuration"\]`},
		{"/api/v2/search/tags?scope=resource&&&limit=2&&&maxStaleValues=5&&&W", 200, `"tags":\["host.name","k8s.cluster.name"\]`},
		{"/api/v2/search/tags?scope=resource&&&start=2026-11-23T20:42:54Z&&&end=1795466634.5", 200, `"service.name"`},
		{"/api/v2/search/tags?scope=span&&&W", 200, `"arr.mixed".*"bytes".*"kv".*"sp ace"`},
		{`/api/v2/search/tags?q={{{&&&scope=link&&&W`, 200, `"link.kind"`},
		{"/api/v2/search/tag/kind/values?W", 200, `^(?:[^@]*?"type":"keyword"){6}`},
		{"/api/v2/search/tag/.shared/values?W", 200, `^\{"tagValues":\[\{"type":"string","value":"(?:rs|sp)"\},\{"type":"string","value":"(?:rs|sp)"\}\]`},
		{"/api/v2/search/tag/span.b/values?W", 200, `\{"type":"bool","value":"(?:true|false)"\}`},
		{"/api/v2/search/tag/event:timeSinceStart/values?W", 200, `\{"type":"int","value":"100000000"\}`},
		{"/api/v2/search/tag/trace:id/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/v2/search/tag/span:id/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/v2/search/tag/span:parentID/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/v2/search/tag/link:traceID/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/v2/search/tag/traceDuration/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/v2/search/tag/nestedSetLeft/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/v2/search/tag/rootServiceName/values?W", 200, `"value":"frontend"`},
		{"/api/v2/search/tag/span.%22sp%20ace%22/values?W", 200, `^\{"tagValues":\[\{"type":"string","value":"q"\}\]`},
		{"/api/v2/search/tag/span.nosuch/values?W", 200, `^\{"tagValues":\[\],`},
		{"/api/v2/search/tag/name/values?start=1&&&end=1700000000", 400, `exceeds 168h`},
		{`/api/v2/search/tag/name/values?q={ resource.service.name = "tworoots" } | count() > 1&&&W`, 200, `"value":"GET /cart"`},
		{"/api/v2/search/tag//values?W", 307, ``}, // to a path that is none
		{"/api/v2/search/tag/values?W", 404, ``},
	}
}

func testAPI(t *testing.T, h http.Handler) {
	for _, tt := range append(apiTests(), metricsTests()...) {
		t.Run(tt.target, func(t *testing.T) {
			w := get(t, h, tt.target)
			if w.Code != tt.code {
				t.Fatalf("status %d, want %d: %s", w.Code, tt.code, w.Body)
			}
			if !regexp.MustCompile(tt.want).MatchString(w.Body.String()) {
				t.Errorf("body does not match %s:\n%s", tt.want, w.Body)
			}
			if ct := w.Header().Get("Content-Type"); w.Code == 200 && strings.HasPrefix(w.Body.String(), "{") {
				if ct != "application/json" || !json.Valid(w.Body.Bytes()) {
					t.Errorf("content type %q, body %s", ct, w.Body)
				}
			} else if w.Code == 400 && ct != "text/plain; charset=utf-8" {
				t.Errorf("error has content type %q", ct)
			}
		})
	}
	for _, path := range []string{"/api/search", "/api/metrics/query", "/api/metrics/query_range", "/api/v2/traces/d400"} {
		if w := get(t, h, path+`?q={ .a = "`+strings.Repeat("x", 131072)+`" }`); w.Code != 400 || !strings.Contains(w.Body.String(), "131072 bytes") {
			t.Errorf("long query at %s: %d %.100s", path, w.Code, w.Body)
		}
	}
	if w := get(t, h, `/api/search?q={ span.duration > 1s }&&&W`); !strings.Contains(w.Header().Get("X-Pharos-Hint"), "span.duration") {
		t.Errorf("no hint in %v", w.Header())
	}
}

func TestProtobufAndGzip(t *testing.T) {
	h := server(t, api.Tenancy{})
	w := get(t, h, "/api/traces/e500", "Accept", "application/protobuf")
	if w.Header().Get("Content-Type") != "application/protobuf" || w.Body.Bytes()[0] != 0x0a {
		t.Errorf("v1: %v % x", w.Header(), w.Body.Bytes()[:4])
	}
	v1 := w.Body.Bytes()
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(v1)
	if err != nil || td.SpanCount() != 1 {
		t.Errorf("v1 does not decode: %v", err)
	}
	w = get(t, h, "/api/v2/traces/b200", "Accept", "application/protobuf")
	inner := field(t, w.Body.Bytes(), 1)
	if td, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(inner); err != nil || td.SpanCount() != 5 {
		t.Errorf("v2 does not decode: %v", err)
	}
	if m := field(t, w.Body.Bytes(), 2); len(m) < 2 || m[0] != 0x08 { // inspectedBytes
		t.Errorf("v2 has metrics % x", m)
	}
	if v, ok := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get("arr.i"); !ok || v.AsString() != "[1,2,3]" {
		t.Errorf("v2 lost an attribute: %v", v.AsString())
	}
	w = get(t, h, "/api/v2/traces/0123", "Accept", "application/protobuf")
	if got := w.Body.Bytes(); string(got) != "\x0a\x00\x12\x00" {
		t.Errorf("missing trace: % x", got)
	}
	w = get(t, h, `/api/search?q={ name = "A" }&&&W`, "Accept", "application/protobuf")
	if got := string(field(t, field(t, w.Body.Bytes(), 1), 1)); got != "d400" {
		t.Errorf("search: trace id %q", got)
	}

	for target, want := range map[string]string{ // field 1 of field 1
		`/api/v2/search/tags?scope=event&&&W`:         "event",
		`/api/v2/search/tag/span.db.system/values?W`:  "string",
		`/api/metrics/query?q={ } | rate()&&&W`:       "\x0a\x08__name__\x12\x06\x0a\x04rate",
		`/api/metrics/query_range?q={ } | rate()&&&W`: "\x0a\x08__name__\x12\x06\x0a\x04rate",
	} {
		w := get(t, h, target, "Accept", "text/html, application/protobuf;q=0.1")
		if got := string(field(t, field(t, w.Body.Bytes(), 1), 1)); got != want || w.Header().Get("Content-Type") != "application/protobuf" {
			t.Errorf("%s: %q as %s, want %q", target, got, w.Header().Get("Content-Type"), want)
		}
	}
	for _, target := range []string{`/api/search/tags?W`, `/api/search/tag/db.system/values?W`} {
		w := get(t, h, target, "Accept", "application/protobuf")
		if got := string(field(t, w.Body.Bytes(), 1)); got == "" {
			t.Errorf("%s: % x", target, w.Body.Bytes())
		}
	}

	w = get(t, h, "/api/traces/1900", "Accept-Encoding", "gzip")
	if w.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("Vary is %q", w.Header().Get("Vary"))
	}
	if w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %v", w.Header())
	}
	zr, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(zr); err != nil || !json.Valid(body) {
		t.Errorf("gzip: %v %s", err, body)
	}
}

// TestLLM asks for a trace as language models get it.
func TestLLM(t *testing.T) {
	h := server(t, api.Tenancy{})
	for _, tt := range []struct{ target, accept, contentType, want string }{
		{"/api/v2/traces/a1", "application/vnd.grafana.llm", "application/vnd.grafana.llm+json", `^\{"trace":\{"traceId":"000000000000000000000000000000a1","services":\[\{"serviceName":"frontend","resource":\{"k8s.cluster.name":"c1","x":"res-x"\},"scopes":\[\{"name":"lib","version":"1.0.0","spans":\[\{"spanId":"0000000000000011","name":"GET /cart","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1795466604000000000","endTimeUnixNano":"1795466607000000000","durationMs":3000,"attributes":\{"http.method":"GET","http.status_code":200,"x":1\},"status":\{"code":"STATUS_CODE_UNSET"\}\},\{"spanId":"0000000000000012","name":"HTTP POST","parentSpanId":"0000000000000011"`},
		{"/api/v2/traces/a1", "application/vnd.grafana.llm", "application/vnd.grafana.llm+json", `"status":\{"code":"STATUS_CODE_ERROR","message":"timeout"\}`},
		{"/api/v2/traces/b200", "application/vnd.grafana.llm", "application/vnd.grafana.llm+json", `"arr.i":\[1,2,3\].*"big":9007199254740993.*"kv":\{"k":"v"\}`},
		{"/api/v2/traces/0123", "application/vnd.grafana.llm", "application/vnd.grafana.llm+json", `^\{"trace":\{"traceId":"00000000000000000000000000000123","services":\[\]\}\}`},
		{"/api/v2/traces/a1", "application/vnd.grafana.llm, application/json;q=0.1", "application/json", `"resourceSpans"`},
		{"/api/traces/a1", "application/vnd.grafana.llm", "application/json", `"batches"`},
	} {
		w := get(t, h, tt.target, "Accept", tt.accept)
		if w.Code != 200 || w.Header().Get("Content-Type") != tt.contentType || !json.Valid(w.Body.Bytes()) || !regexp.MustCompile(tt.want).MatchString(w.Body.String()) {
			t.Errorf("%s as %s: %d %s %s, want %s", tt.target, tt.accept, w.Code, w.Header().Get("Content-Type"), w.Body, tt.want)
		}
	}
}

// TestTagValueBytes lists values that are too many bytes together.
func TestTagValueBytes(t *testing.T) {
	s := storetest.NewTraces()
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 300 {
		sp := spans.AppendEmpty()
		sp.SetTraceID([16]byte{15: 1})
		sp.SetSpanID([8]byte{1, 6: byte(i >> 8), 7: byte(i)})
		sp.SetStartTimestamp(fixtureSecond * 1e9)
		sp.SetEndTimestamp(fixtureSecond * 1e9)
		sp.Attributes().PutStr("long", fmt.Sprintf("%05d%s", i, strings.Repeat("x", 9995)))
	}
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	h := serve(s, api.Tenancy{})
	for _, target := range []string{"/api/search/tag/long/values?W", "/api/v2/search/tag/span.long/values?W", "/api/v2/search/tag/.long/values?limit=200&&&W"} {
		w := get(t, h, target)
		if n := strings.Count(w.Body.String(), "xx\""); w.Code != 200 || n != 100 || !strings.Contains(w.Header().Get("X-Pharos-Hint"), "more than 1000000 bytes") {
			t.Errorf("%s: %d, %d values, %v; want 100", target, w.Code, n, w.Header())
		}
	}
}

// TestBrokenText: senders may send texts that are not UTF-8; clients refuse messages with
// such.
func TestBrokenText(t *testing.T) {
	s := storetest.NewTraces()
	td := ptrace.NewTraces()
	sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID([16]byte{15: 1})
	sp.SetSpanID([8]byte{7: 1})
	sp.SetName("a\xffb")
	sp.Attributes().PutStr("k\xff", "\xfe\xfe")
	sp.SetStartTimestamp(fixtureSecond * 1e9)
	sp.SetEndTimestamp(fixtureSecond * 1e9)
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	h := serve(s, api.Tenancy{})
	for _, target := range []string{
		"/api/traces/1", "/api/v2/traces/1", `/api/search?q={ name =~ ".+" }&&&W`, "/api/search/tags?W", "/api/v2/search/tags?W",
		"/api/v2/search/tag/name/values?W", `/api/metrics/query?q={ } | rate() by (name)&&&W`, `/api/metrics/query_range?q={ } | rate() by (name)&&&W`,
	} {
		for _, accept := range []string{"application/protobuf", "application/json"} {
			w := get(t, h, target, "Accept", accept)
			body := w.Body.String()
			if w.Code != 200 || strings.Contains(body, "a\xff") || strings.Contains(body, "k\xff") || accept == "application/json" && !utf8.ValidString(body) {
				t.Errorf("%s as %s: %d %q", target, accept, w.Code, body)
			}
			if !strings.Contains(body, "\ufffd") && !strings.Contains(body, `\ufffd`) {
				t.Errorf("%s as %s: nothing is replaced in %q", target, accept, body)
			}
		}
	}
}

// TestLongAnswer asks for more samples than fit into the memory of a query.
func TestLongAnswer(t *testing.T) {
	s := storetest.NewTraces()
	load(t, s)
	mux := http.NewServeMux()
	New(Options{Reader: s, Index: s, Door: query.New(query.Options{MaxQueryMemory: 6 << 20})}).Register(mux, "")
	for step, code := range map[string]int{"1s": 200, "10ms": 422} {
		w := get(t, mux, `/api/metrics/query_range?q={ } | rate() by (name)&&&W&&&step=`+step)
		if w.Code != code || code == 422 && !strings.Contains(w.Body.String(), "series would be about") {
			t.Errorf("step %s: %d %.200s", step, w.Code, w.Body)
		}
	}
}

// TestBusy asks while all slots are taken.
func TestBusy(t *testing.T) {
	door := query.New(query.Options{MaxConcurrent: 1, MaxWait: time.Millisecond})
	s := storetest.NewTraces()
	mux := http.NewServeMux()
	a := New(Options{Reader: s, Index: s, Door: door})
	a.Register(mux, "")
	_, err := door.Do(t.Context(), query.Request{}, func(context.Context, *store.Account) error {
		w := get(t, mux, `/api/search?q={ }`)
		if w.Code != 429 || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/search?q={+}", nil)
		if err := a.streamError(t.Context(), "Search", a.search(httptest.NewRecorder(), r)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("stream: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPost asks with POST what GET answers: the parameters stay in the address.
func TestPost(t *testing.T) {
	h := server(t, api.Tenancy{})
	for path, code := range map[string]int{
		"/api/search":              200,
		"/api/metrics/query":       200,
		"/api/metrics/query_range": 200,
		"/api/search/tags":         405,
		"/api/traces/d400":         405,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path+"?q="+url.QueryEscape(`{ name = "A" } | rate()`), nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != code || code == 200 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, code)
		}
	}
}

func TestTenancy(t *testing.T) {
	h := server(t, api.Tenancy{Enabled: true})
	tests := []struct {
		target, tenant string
		code           int
	}{
		{"/api/traces/d400", "", 401},
		{"/api/traces/d400", "default", 200},
		{"/api/traces/d400", "other", 404},
		{"/api/traces/d400", "other|default", 200},
		{"/api/traces/d400", "a/b", 400},
		{"/api/echo", "", 200},
		{"/api/status/buildinfo", "", 200},
		{`/api/search?q={}&&&W`, "", 401},
		{`/api/search/tags?W`, "", 401},
		{"/api/v2/traces/d400", "", 401},
		{"/api/v2/traces/d400", "..", 400},
		{"/api/v2/traces/d400", strings.Repeat("x", 151), 400},
		{"/api/v2/traces/d400", "other", 200}, // and empty
		{`/api/v2/search/tag/name/values?W`, "", 401},
		{`/api/search/tag/service.name/values?W`, "", 401},
		{`/api/search/tag/service.name/values?W`, "other|default", 200},
		{`/api/search/tag/status.code/values?W`, "other|default", 200},
		{`/api/metrics/query?q={ } | rate()&&&W`, "", 401},
		{`/api/metrics/query_range?q={ } | rate()&&&W`, "other|a/b", 400},
	}
	for _, tt := range tests {
		if w := get(t, h, tt.target, "X-Scope-OrgID", tt.tenant); w.Code != tt.code {
			t.Errorf("%s as %q: status %d, want %d: %s", tt.target, tt.tenant, w.Code, tt.code, w.Body)
		}
	}
	if w := get(t, h, `/api/metrics/query?q={ name = "A" } | count_over_time()&&&W`, "X-Scope-OrgID", "other|default"); !strings.Contains(w.Body.String(), `"value":1`) {
		t.Errorf("metrics over two tenants: %s", w.Body)
	}
	if w := get(t, h, `/api/search?q={ name = "A" }&&&W`, "X-Scope-OrgID", "other|default"); !strings.Contains(w.Body.String(), "d400") {
		t.Errorf("search over two tenants: %s", w.Body)
	}
}

// TestTraceFilter takes spans around a match: the tree of d400 is A with the children B and C,
// D below B, E and F below C, and G alone.
func TestTraceFilter(t *testing.T) {
	h := server(t, api.Tenancy{})
	for more, want := range map[string]string{
		"":                       "B",
		"&&&match_depth=1":       "B D",
		"&&&match_depth=-1":      "B D",
		"&&&ancestor_depth=5":    "B", // keep_hierarchy is not on
		"&&&keep_hierarchy=true": "A B",
		"&&&keep_hierarchy=true&&&ancestor_depth=0": "B",
		"&&&keep_hierarchy=true&&&match_depth=3":    "A B D",
	} {
		w := get(t, h, `/api/v2/traces/d400?q={ name = "B" }`+more)
		var got []string
		for _, m := range regexp.MustCompile(`"name":"([A-G])"`).FindAllStringSubmatch(w.Body.String(), -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", more, got, want)
		}
	}
}
