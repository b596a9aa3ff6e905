package loki

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// base is the time of the entries of newTest.
const base = int64(1_767_225_600)

type testServer struct {
	*httptest.Server
	t    *testing.T
	logs *storetest.Logs
	api  *API
}

// newTest returns a server over a store that holds a stream {app="x"} with entries at base
// to base+4 and a stream {app="y", env="p"} with one at base+2. The clock stands at base+10.
func newTest(t *testing.T, opts Options) *testServer {
	t.Helper()
	logs := storetest.NewLogs()
	now := func() time.Time { return time.Unix(base+10, 0) }
	opts.Reader, opts.Index, opts.Now = logs, logs, now
	opts.Door = query.New(query.Options{Now: now})
	s := &testServer{t: t, logs: logs, api: New(opts)}
	s.push("", `{app="x"}`, 0, `{"level":"error","n":1}`, 1, `{"level":"info","n":2}`, 2, "plain <b>", 3, `k=v d=5ms`, 4, `k=w d=7ms`)
	s.push("", `{app="y", env="p"}`, 2, "y2")
	mux := http.NewServeMux()
	s.api.Register(mux, "")
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// push appends entries, given as seconds after base and lines, all with metadata user=u1.
func (s *testServer) push(tenant model.Tenant, labels string, entries ...any) {
	s.t.Helper()
	if tenant == "" {
		tenant = model.DefaultTenant
	}
	var ls []model.Label
	for pair := range strings.SplitSeq(strings.Trim(labels, "{}"), ", ") {
		name, value, _ := strings.Cut(pair, "=")
		ls = append(ls, model.Label{Name: name, Value: strings.Trim(value, `"`)})
	}
	st := store.LogStream{Labels: model.NewLabels(ls...)}
	for i := 0; i < len(entries); i += 2 {
		at := (base + int64(entries[i].(int))) * int64(time.Second)
		st.Entries = append(st.Entries, store.LogEntry{Time: at, Line: entries[i+1].(string), Meta: logmeta.New(model.Label{Name: "user", Value: "u1"})})
	}
	if err := s.logs.Append(s.t.Context(), tenant, &store.LogBatch{Streams: []store.LogStream{st}}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testServer) get(path string, params url.Values, header ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+"/loki/api/v1/"+path+"?"+params.Encode(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// params makes values of pairs; times are seconds after base.
func params(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func at(sec int64) string { return fmt.Sprint(base + sec) }

// equalJSON compares body with want, both without the member stats.
func equalJSON(t *testing.T, body, want string) {
	t.Helper()
	var got, exp any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(want, "BASE", fmt.Sprint(base/10))), &exp); err != nil {
		t.Fatalf("expectation %q: %v", want, err)
	}
	if m, ok := got.(map[string]any); ok {
		if d, ok := m["data"].(map[string]any); ok {
			delete(d, "stats")
		}
	}
	if diff := cmp.Diff(exp, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestAnswers holds requests with the answers. BASE is base without its last digit.
func TestAnswers(t *testing.T) {
	s := newTest(t, Options{})
	tests := []struct {
		name, path string
		params     url.Values
		header     []string
		want       string
	}{
		{
			name: "health query of Grafana", path: "query", params: params("query", "vector(1)+vector(1)", "time", "4000000000", "direction", "backward"),
			want: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[4000000000,"2"]}]}}`,
		},
		{
			name: "scalar", path: "query", params: params("query", "1+2", "time", at(0)+".25"),
			want: `{"status":"success","data":{"resultType":"scalar","result":[BASE0.25,"3"]}}`,
		},
		{
			name: "log query", path: "query_range", params: params("query", `{app="x"} |= "plain"`, "start", at(0), "end", at(9)),
			want: `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"x","user":"u1"},"values":[["BASE2000000000","plain <b>"]]}]}}`,
		},
		{
			name: "categorised", path: "query_range", params: params("query", `{app="x"} | logfmt | k="v"`, "start", at(0), "end", at(9)),
			header: []string{encodingHeader, "foo,categorize-labels"},
			want:   `{"status":"success","data":{"resultType":"streams","encodingFlags":["foo","categorize-labels"],"result":[{"stream":{"app":"x"},"values":[["BASE3000000000","k=v d=5ms",{"structuredMetadata":{"user":"u1"},"parsed":{"d":"5ms","k":"v"}}]]}]}}`,
		},
		{
			name: "unknown flag", path: "query_range", params: params("query", `{app="x"} |= "plain"`, "start", at(0), "end", at(9)),
			header: []string{encodingHeader, "foo, categorize-labels"},
			want:   `{"status":"success","data":{"resultType":"streams","encodingFlags":["foo"," categorize-labels"],"result":[{"stream":{"app":"x","user":"u1"},"values":[["BASE2000000000","plain <b>"]]}]}}`,
		},
		{
			name: "upper case direction, limit", path: "query_range", params: params("query", `{app=~".+"}`, "start", at(0), "end", at(9), "direction", "FORWARD", "limit", "1"),
			want: `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"x","user":"u1"},"values":[["BASE0000000000","{\"level\":\"error\",\"n\":1}"]]}]}}`,
		},
		{
			name: "no match", path: "query_range", params: params("query", `{app="none"}`, "start", at(0), "end", at(9)),
			want: `{"status":"success","data":{"resultType":"streams","result":[]}}`,
		},
		{
			name: "milliseconds are nanoseconds", path: "query_range", params: params("query", `{app="x"}`, "start", at(0)+"000", "end", at(9)+"000"),
			want: `{"status":"success","data":{"resultType":"streams","result":[]}}`,
		},
		{
			name: "matrix on the grid of the step", path: "query_range", params: params("query", `sum by (app) (count_over_time({app="x"}[1s]))`, "start", at(1), "end", at(4), "step", "2"),
			want: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"app":"x"},"values":[[BASE0,"1"],[BASE2,"1"],[BASE4,"1"]]}]}}`,
		},
		{
			name: "labels", path: "labels", params: params("start", at(0), "end", at(9)),
			want: `{"status":"success","data":["app","env"]}`,
		},
		{
			name: "labels by default window and selector", path: "label", params: params("query", `{app="x"}`),
			want: `{"status":"success","data":["app"]}`,
		},
		{name: "no labels", path: "labels", params: params("start", "1", "end", "2"), want: `{"status":"success"}`},
		{
			name: "label values", path: "label/app/values", params: params("start", at(0), "end", at(9)),
			want: `{"status":"success","data":["x","y"]}`,
		},
		{
			name: "series", path: "series", params: params("match[]", `{app="x"}`, "match[]", `{app=~"x|y"}`, "start", at(0), "end", at(9)),
			want: `{"status":"success","data":[{"app":"x"},{"app":"y","env":"p"}]}`,
		},
		{
			name: "all series", path: "series", params: params("match", `{}`, "start", at(0), "end", at(9)),
			want: `{"status":"success","data":[{"app":"x"},{"app":"y","env":"p"}]}`,
		},
		{name: "no series", path: "series", params: params("start", "1", "end", "2"), want: `{"status":"success","data":[]}`},
		{
			name: "volume", path: "index/volume", params: params("query", `{}`, "start", at(0), "end", at(9), "targetLabels", "env"),
			want: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"env":"p"},"value":[BASE9,"8"]}]}}`,
		},
		{
			name: "volume by label name", path: "index/volume", params: params("query", `{app="y"}`, "start", at(0), "end", at(9), "aggregateBy", "labels", "limit", "1"),
			want: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"app":""},"value":[BASE9,"8"]}]}}`,
		},
		{
			name: "volume range", path: "index/volume_range", params: params("query", `{app="y"}`, "start", at(0), "end", at(9), "step", "5"),
			want: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"app":"y"},"values":[[BASE4.999,"8"]]}]}}`,
		},
		{
			name: "detected labels", path: "detected_labels", params: params("start", at(0), "end", at(9)),
			want: `{"detectedLabels":[{"label":"app","cardinality":2},{"label":"env","cardinality":1}]}`,
		},
		{
			name: "detected fields", path: "detected_fields", params: params("query", `{app="x"} != "plain"`, "start", at(0), "end", at(9)),
			want: `{"fields":[{"label":"d","type":"duration","cardinality":2,"parsers":["logfmt"]},{"label":"k","type":"string","cardinality":2,"parsers":["logfmt"]},
				{"label":"level","type":"string","cardinality":2,"parsers":["json"],"jsonPath":["level"]},{"label":"n","type":"int","cardinality":2,"parsers":["json"],"jsonPath":["n"]},
				{"label":"user","type":"string","cardinality":1,"parsers":null}],"limit":1000}`,
		},
		{
			name: "detected field values", path: "detected_field/level/values", params: params("query", `{app="x"}`, "start", at(0), "end", at(9)),
			want: `{"values":["info","error"],"limit":1000}`,
		},
		{
			name: "patterns", path: "patterns", params: params("query", `{app="x"}`, "start", at(0), "end", at(9), "step", "60"),
			want: `{"status":"success","data":[{"pattern":"k=<_> d=<_>","samples":[[BASE0,2]]},
				{"pattern":"{\"level\":\"<_>\",\"n\":<_>}","samples":[[BASE0,2]]},{"pattern":"plain <<_>>","samples":[[BASE0,1]]}]}`,
		},
		{name: "no patterns", path: "patterns", params: params("query", `{app="none"}`), want: `{"status":"success","data":[]}`},
		{
			name: "price", path: "query_range", params: params("query", `{app="x"} |= "plain" | user="u1" `, "start", at(0), "end", at(9), "explain", "1"),
			want: `{"status":"success","data":{"query":"{app=\"x\"} |= \"plain\" | user=\"u1\"","totalBytes":102,"reads":[{"selector":"{app=\"x\"} |= \"plain\" | user=\"u1\"",
				"start":"BASE0000000000","end":"BASE9000000000","streams":1,"blocks":1,"entries":5,"bytes":102,"stopsAtLimit":true,"pushedDown":["line contains \"plain\"","metadata user=\"u1\""]}]}}`,
		},
		{
			name: "format", path: "format_query", params: params("query", `{a="b"}|json`),
			want: `{"status":"success","data":"{a=\"b\"} | json"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, body := s.get(tt.path, tt.params, tt.header...)
			if code != http.StatusOK {
				t.Fatalf("status %d: %s", code, body)
			}
			equalJSON(t, body, tt.want)
		})
	}
}

func TestRefusals(t *testing.T) {
	s := newTest(t, Options{})
	app := `{app="x"}`
	tests := []struct {
		path   string
		params url.Values
		code   int
		want   string
	}{
		{"query_range", params(), 400, "parse error at line 1, col 1: "},
		{"query_range", params("query", `{app="x"`), 400, "parse error at line 1, col 9: syntax error"},
		{"query_range", params("query", `{app="x"} | line_format "{{"`), 400, "parse error : stage"},
		{"query", params("query", app), 400, "log queries are not supported as an instant query type"},
		{"query_range", params("query", app, "start", at(5), "end", at(1)), 400, "end timestamp must not be before"},
		{"query_range", params("query", app, "start", "1", "end", at(1)), 400, "the query time range exceeds the limit (query length: "},
		{"query_range", params("query", app, "limit", "0"), 400, "limit must be a positive value"},
		{"query_range", params("query", app, "limit", "abc"), 400, "could not parse 'limit' parameter"},
		{"query_range", params("query", app, "limit", "5001"), 400, "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)"},
		{"query_range", params("query", app, "start", at(-86400), "end", at(0), "step", "1"), 400, "exceeded maximum resolution of 11000 points"},
		{"query_range", params("query", app, "step", "-1s"), 400, `cannot parse "-1s" to a valid duration`},
		{"query_range", params("query", app, "step", "0"), 400, "zero or negative"},
		{"query_range", params("query", app, "direction", "x"), 400, "invalid direction 'x'"},
		{"query_range", params("query", app, "end", "9999999999"), 400, "out of range"},
		{"query_range", params("query", app, "end", "9223372036854775807"), 400, "out of range"},
		{"query_range", params("query", app, "end", "9999-01-01T00:00:00Z"), 400, "out of range"},
		{"labels", params("start", "-9000000000000000000", "end", "9000000000000000000"), 400, "too long"},
		{"query", params("query", `rate({app="x"}[200y])`), 400, "reach back too far"},
		{"query", params("query", "vector(1)", "time", "9000000000"), 400, "between the years 1933 and 2116"},
		{"query_range", params("query", app, "end", "soon"), 400, "could not parse 'end' parameter"},
		{"labels", params("query", `{app="x"} |= "a"`), 400, "only label matchers are supported"},
		{"label/app/values", params("query", `{app=~".*"}`), 400, "queries require at least one"},
		{"series", params("match[]", "{}", "match[]", app), 400, "0 matchers in group: {}"},
		{"index/volume", params("query", app, "aggregateBy", "x"), 400, "invalid aggregation option"},
		{"detected_fields", params("query", `rate({app="x"}[1m])`), 400, "only log selector is supported"},
		{"format_query", params("query", `{`), 400, `{"error":"parse error at line 1, col 2: `},
		{"tail", params("query", app), 400, "Bad Request"},
		{"tail", params("query", app, "delay_for", "6"), 400, "delay_for"},
		{"patterns", params("query", `{app="x"} |= "a"`), 400, "only label matchers are supported"},
		{"patterns", params(), 400, "parse error"},
		{"rules", params(), 404, "no rule groups found"},
		{"rules/ns", params(), 404, "no rule groups found"},
	}
	for _, tt := range tests {
		t.Run(tt.path+"?"+tt.params.Encode(), func(t *testing.T) {
			code, body := s.get(tt.path, tt.params)
			if code != tt.code || !strings.Contains(body, tt.want) {
				t.Errorf("status %d, body %q; want %d, %q", code, body, tt.code, tt.want)
			}
		})
	}
}

func TestTenants(t *testing.T) {
	s := newTest(t, Options{Tenancy: api.Tenancy{Enabled: true}})
	s.push("t1", `{app="x"}`, 1, "of t1")
	q := params("query", `{app="x"}`, "start", at(0), "end", at(9))
	if code, body := s.get("query_range", q); code != 401 || !strings.HasPrefix(body, "no org id") {
		t.Errorf("without tenant: %d %s", code, body)
	}
	if code, body := s.get("query_range", q, api.TenantHeader, "a b"); code != 400 {
		t.Errorf("with a bad tenant: %d %s", code, body)
	}
	if code, body := s.get("query_range", q, api.TenantHeader, "t1"); code != 200 || !strings.Contains(body, "of t1") || strings.Contains(body, "plain") {
		t.Errorf("with tenant t1: %d %s", code, body)
	}
	for _, path := range []string{"status/buildinfo", "format_query", "drilldown-limits"} {
		if code, body := s.get(path, params("query", "1")); code != 200 {
			t.Errorf("%s needs no tenant: %d %s", path, code, body)
		}
	}
}

// TestSeriesLimit checks the refusal of too many series and the partial answer that Logs
// Drilldown asks for.
func TestSeriesLimit(t *testing.T) {
	s := newTest(t, Options{Limits: func(model.Tenant) Limits { return Limits{MaxSeries: 1} }})
	q := params("query", `sum by (app) (count_over_time({app=~".+"}[1m]))`, "time", at(9))
	if code, body := s.get("query", q); code != 400 || !strings.HasPrefix(body, "maximum number of series (1) reached for a single query") {
		t.Errorf("%d %s", code, body)
	}
	code, body := s.get("query", q, "X-Query-Tags", "Source=grafana-lokiexplore-app")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	equalJSON(t, body, `{"status":"success","warnings":["maximum number of series (1) reached for a single query; returning partial results"],"data":{"resultType":"vector","result":[{"metric":{"app":"x"},"value":[BASE9,"5"]}]}}`)
}

func TestPost(t *testing.T) {
	s := newTest(t, Options{})
	resp, err := s.Client().PostForm(s.URL+"/loki/api/v1/query?time="+at(9), params("query", `count_over_time({app="y"}[1m])`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	equalJSON(t, string(body), `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"app":"y","env":"p","user":"u1"},"value":[BASE9,"1"]}]}}`)
}

func (s *testServer) dial(ctx context.Context, q url.Values, header http.Header) *websocket.Conn {
	s.t.Helper()
	var conn *websocket.Conn
	var resp *http.Response
	var err error
	for { // an earlier tail may still be on its way out
		conn, resp, err = websocket.Dial(ctx, s.URL+"/loki/api/v1/tail?"+q.Encode(), &websocket.DialOptions{HTTPClient: s.Client(), HTTPHeader: header})
		if resp == nil || resp.StatusCode != http.StatusTooManyRequests || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.Body != nil {
		resp.Body.Close()
	}
	return conn
}

func TestTail(t *testing.T) {
	s := newTest(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn := s.dial(ctx, params("query", `{app="x"} | logfmt | k=~".+"`, "limit", "1"), http.Header{encodingHeader: {"categorize-labels"}})
	defer conn.CloseNow()
	read := func(want string) {
		t.Helper()
		_, body, err := conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		equalJSON(t, string(body), want)
	}
	read(`{"streams":[{"stream":{"app":"x"},"values":[["BASE4000000000","k=w d=7ms",{"structuredMetadata":{"user":"u1"},"parsed":{"d":"7ms","k":"w"}}]]}],"encodingFlags":["categorize-labels"]}`)
	s.push("", `{app="x"}`, 5, "no field", 6, "k=new")
	s.push("", `{app="z"}`, 5, "k=other")
	read(`{"streams":[{"stream":{"app":"x"},"values":[["BASE6000000000","k=new",{"structuredMetadata":{"user":"u1"},"parsed":{"k":"new"}}]]}],"encodingFlags":["categorize-labels"]}`)
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestTailEnds(t *testing.T) {
	s := newTest(t, Options{Limits: func(model.Tenant) Limits { return Limits{MaxTails: 1} }})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn := s.dial(ctx, params("query", `rate({app="x"}[1m])`), nil)
	defer conn.CloseNow()
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusInternalError {
		t.Errorf("metric query: %v, want close status 1011", err)
	}
	conn = s.dial(ctx, params("query", `{app="x"}`), nil)
	defer conn.CloseNow()
	if _, _, err := conn.Read(ctx); err != nil {
		t.Fatal(err)
	}
	_, resp, err := websocket.Dial(ctx, s.URL+"/loki/api/v1/tail?query="+url.QueryEscape(`{app="x"}`), &websocket.DialOptions{HTTPClient: s.Client()})
	if err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("second tail: %v %v, want status 429", resp, err)
	}
	resp.Body.Close()
}

// fakeDeleter has a request in each state.
type fakeDeleter struct{ Deleter }

func (fakeDeleter) Deletions(model.Tenant) []store.LogDeletion {
	d := store.LogDeletion{ID: "a", Query: `{app="x"}`, Range: model.TimeRange{From: base * 1e9, To: (base+5)*1e9 + 1}, Created: base*1e9 + 123_456_789}
	out := []store.LogDeletion{d, d, d, d}
	out[0].Cancelable = true
	out[2].Done, out[3].Done = 0.678, 1
	return out
}

// TestDeleteStates checks how far requests are said to be.
func TestDeleteStates(t *testing.T) {
	s := newTest(t, Options{Deleter: fakeDeleter{}})
	code, body := s.get("delete", nil)
	want := ""
	for _, status := range []string{"received", "0% Complete", "67% Complete", "processed"} {
		want += fmt.Sprintf(`,{"request_id":"a","start_time":%d,"end_time":%d,"query":"{app=\"x\"}","status":%q,"created_at":%d.123}`, base, base+5, status, base)
	}
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	equalJSON(t, body, "["+want[1:]+"]")
}
