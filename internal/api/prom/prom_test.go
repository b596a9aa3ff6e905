package prom

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/metricsql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// base is the time of the first sample, Unix seconds.
const base = 1_700_000_000

func server(t *testing.T) http.Handler {
	t.Helper()
	m := storetest.NewMetrics()
	series := func(name, job string, value float64) store.SeriesWrite {
		w := store.SeriesWrite{Labels: model.NewLabels(model.Label{Name: model.MetricName, Value: name}, model.Label{Name: "job", Value: job})}
		for i := range int64(5) {
			w.Samples = append(w.Samples, store.Sample{Time: (base+i*15)*1000 + 250, Value: value + float64(i)})
		}
		return w
	}
	b := &store.MetricBatch{
		Series:   []store.SeriesWrite{series("up", "a", 1), series("up", "b<&>\"é", 10), series("big", "a", math.Inf(1))},
		Metadata: []store.MetricMetadata{{Metric: "up", Type: "gauge", Help: "Whether it is up."}},
	}
	b.Series[0].Exemplars = []store.Exemplar{{Time: base * 1000, Value: 2.5, Labels: model.NewLabels(model.Label{Name: "trace_id", Value: "abc"})}}
	if err := m.Append(t.Context(), model.DefaultTenant, b); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a := New(Options{
		Reader: m, Index: m, Engine: promql.New(promql.Options{}), MetricsQL: metricsql.New(), Door: query.New(query.Options{}),
		Build: BuildInfo{Version: "3.0.0"}, Now: func() time.Time { return time.Unix(base+60, 500_000_000) },
	})
	a.Register(mux, "")
	a.Register(mux, "/prometheus")
	return mux
}

func get(h http.Handler, path string, params url.Values) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path+"?"+params.Encode(), nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestAnswers(t *testing.T) {
	h := server(t)
	window := url.Values{"start": {"1700000000"}, "end": {"1700000100"}}
	with := func(kv ...string) url.Values {
		v := url.Values{}
		for k := range window {
			v[k] = window[k]
		}
		for i := 0; i < len(kv); i += 2 {
			v.Add(kv[i], kv[i+1])
		}
		return v
	}
	tests := []struct {
		path   string
		params url.Values
		want   string
	}{
		{"/api/v1/query", url.Values{"query": {`up{job="a"}`}}, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1700000060.500,"5"]}]}}`},
		{"/api/v1/query", url.Values{"query": {"1e-7"}, "time": {"5"}}, `{"status":"success","data":{"resultType":"scalar","result":[5,"1e-07"]}}`},
		{"/api/v1/query", url.Values{"query": {`"x"`}, "time": {"2023-11-14T22:13:20Z"}}, `{"status":"success","data":{"resultType":"string","result":[1700000000,"x"]}}`},
		{"/api/v1/query", url.Values{"query": {"big"}}, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"big","job":"a"},"value":[1700000060.500,"+Inf"]}]}}`},
		{"/api/v1/query", url.Values{"query": {"up"}, "limit": {"1"}}, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1700000060.500,"5"]}]},"warnings":["results truncated due to limit"]}`},
		{"/api/v1/query_range", with("query", "sum(up)", "step", "30s"), `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000030,"13"],[1700000060,"17"],[1700000090,"19"]]}]}}`},
		{"/api/v1/query_range", with("query", "sum(up) default 7", "step", "30s", "dialect", "metricsql"), `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000000,"7"],[1700000030,"13"],[1700000060,"17"],[1700000090,"19"]]}]}}`},
		{"/prometheus/api/v1/query", url.Values{"query": {`label_set(up{job="a"}, "x", "y")`}}, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a","x":"y"},"value":[1700000060.500,"5"]}]}}`},
		{"/api/v1/labels", with(), `{"status":"success","data":["__name__","job"]}`},
		{"/api/v1/label/job/values", with("match[]", "big"), `{"status":"success","data":["a"]}`},
		{"/api/v1/label/nope/values", with(), `{"status":"success","data":[]}`},
		{"/api/v1/series", with("match[]", `{job="a"}`, "match[]", "up"), `{"status":"success","data":[{"__name__":"big","job":"a"},{"__name__":"up","job":"a"},{"__name__":"up","job":"b\u003c\u0026\u003e\"é"}]}`},
		{"/api/v1/series", with("match[]", "nope"), `{"status":"success","data":[]}`},
		{"/api/v1/metadata", nil, `{"status":"success","data":{"up":[{"type":"gauge","help":"Whether it is up.","unit":""}]}}`},
		{"/api/v1/query_exemplars", with("query", `rate(up[5m])`), `{"status":"success","data":[{"seriesLabels":{"__name__":"up","job":"a"},"exemplars":[{"labels":{"trace_id":"abc"},"value":"2.5","timestamp":1700000000}]}]}`},
		{"/api/v1/format_query", url.Values{"query": {"sum( up)by(job)"}}, `{"status":"success","data":"sum by (job) (up)"}`},
		{"/api/v1/query_range", with("query", "up", "step", "60s", "limit", "1", "envelope", "1"), `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[1700000060,"4"]]}],"total_series":2,"envelope":{"min":[[1700000060,"4"]],"median":[[1700000060,"8.5"]],"max":[[1700000060,"13"]]}},"warnings":["results truncated due to limit"]}`},
		{"/api/v1/query_range", with("query", "sum(rate(up[1m]))", "step", "50s", "explain", "1"), `{"status":"success","data":{"plan":{"expr":"sum(rate(up[1m]))","how":"series are decoded, rolled up and added to their group one by one","steps":3,"args":[{"expr":"rate(up[1m])","how":"series are decoded and rolled up one by one, all steps at once","steps":3,"args":[{"expr":"up[1m]","how":"series are decoded one by one, all steps at once","steps":3,"price":{"series":2,"chunks":2,"bytes":160,"from":1699999940001,"to":1700000100001}}]}]},"price":{"series":2,"chunks":2,"bytes":160,"from":1699999940001,"to":1700000100001},"resultType":"plan"}}`},
		{"/api/v1/parse_query", url.Values{"query": {"(up[5m:] offset 1m)"}}, `{"status":"success","data":{"type":"parenExpr","expr":{"type":"subquery","expr":{"type":"vectorSelector","name":"up","matchers":[{"name":"__name__","type":"=","value":"up"}],"offset":0,"offsetExpr":null,"timestamp":null,"startOrEnd":null,"anchored":false,"smoothed":false},"range":300000,"rangeExpr":null,"offset":60000,"offsetExpr":null,"step":0,"stepExpr":null,"timestamp":null,"startOrEnd":null}}}`},
		{"/api/v1/parse_query", url.Values{"query": {"sum by (a) (rate(up[5m])) > 2"}}, `{"status":"success","data":{"bool":false,"lhs":{"expr":{"args":[{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"up"}],"name":"up","offset":0,"offsetExpr":null,"range":300000,"rangeExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"matrixSelector"}],"func":{"argTypes":["matrix"],"name":"rate","returnType":"vector","variadic":0},"type":"call"},"grouping":["a"],"op":"sum","param":null,"type":"aggregation","without":false},"matching":null,"op":">","rhs":{"type":"numberLiteral","val":"2"},"type":"binaryExpr"}}`},
		{"/api/v1/query_exemplars", with("query", `rate(up[5m])`, "limit", "1"), `{"status":"success","data":[{"seriesLabels":{"__name__":"up","job":"a"},"exemplars":[{"labels":{"trace_id":"abc"},"value":"2.5","timestamp":1700000000}]}]}`},
		{"/api/v1/label/U__job/values", with("match[]", "big"), `{"status":"success","data":["a"]}`},
		{"/api/v1/metadata", url.Values{"limit_per_metric": {"1"}}, `{"status":"success","data":{"up":[{"type":"gauge","help":"Whether it is up.","unit":""}]}}`},
		{"/api/v1/scrape_pools", nil, `{"status":"success","data":{"scrapePools":[]}}`},
		{"/api/v1/status/flags", nil, `{"status":"success","data":{}}`},
		{"/api/v1/rules", nil, `{"status":"success","data":{"groups":[]}}`},
		{"/api/v1/targets", nil, `{"status":"success","data":{"activeTargets":[],"droppedTargetCounts":{},"droppedTargets":[]}}`},
	}
	for _, tt := range tests {
		code, body := get(h, tt.path, tt.params)
		if code != http.StatusOK || !equalJSON(t, body, tt.want) {
			t.Errorf("%s %v: %d\n got %s\nwant %s", tt.path, tt.params, code, body, tt.want)
		}
	}
}

// equalJSON compares documents; numbers such as times keep their written form.
func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var docs [2]any
	for i, s := range []string{a, b} {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		if err := d.Decode(&docs[i]); err != nil {
			t.Fatalf("%v in %s", err, s)
		}
		if _, err := d.Token(); err != io.EOF {
			t.Fatalf("bytes after the document in %s", s)
		}
	}
	return cmp.Equal(docs[0], docs[1])
}

func TestErrorsNameKindAndPlace(t *testing.T) {
	h := server(t)
	tests := []struct {
		path   string
		params url.Values
		code   int
		want   []string
	}{
		{"/api/v1/query", url.Values{"query": {"sum(up"}}, 400, []string{`"errorType":"bad_data"`, "1:7"}},
		{"/api/v1/query", url.Values{"query": {"up + on() up"}}, 422, []string{`"errorType":"execution"`, "many-to-many"}},
		{"/api/v1/query", url.Values{"query": {"up"}, "time": {"noon"}}, 400, []string{"time", "noon"}},
		{"/api/v1/query", url.Values{"query": {"up"}, "timeout": {"-"}}, 400, []string{"timeout"}},
		{"/api/v1/query_range", url.Values{"query": {"up"}, "start": {"0"}, "end": {"10"}}, 400, []string{"step"}},
		{"/api/v1/query_range", url.Values{"query": {"up"}, "start": {"0"}, "end": {"10"}, "step": {"0"}}, 400, []string{"step"}},
		{"/api/v1/query_range", url.Values{"query": {"up"}, "start": {"0"}, "end": {"1"}, "step": {"0.0001"}}, 400, []string{"1ms"}},
		{"/api/v1/query_range", url.Values{"query": {"up"}, "start": {"0"}, "end": {"11001"}, "step": {"1"}}, 400, []string{"11,000 points"}},
		{"/api/v1/query_range", url.Values{"query": {"up"}, "start": {"10"}, "end": {"0"}, "step": {"1"}}, 400, []string{"before start"}},
		{"/api/v1/series", nil, 400, []string{"match[]"}},
		{"/api/v1/series", url.Values{"match[]": {"{"}}, 400, []string{"match[]"}},
		{"/api/v1/series", url.Values{"match[]": {"up", `{job!="a"}`}}, 400, []string{"match[]", "non-empty matcher"}},
		{"/api/v1/labels", url.Values{"match[]": {"{}"}}, 400, []string{"non-empty matcher"}},
		{"/api/v1/labels", url.Values{"limit": {"-1"}}, 400, []string{"limit"}},
	}
	for _, tt := range tests {
		code, body := get(h, tt.path, tt.params)
		if code != tt.code || !strings.Contains(body, `"status":"error"`) {
			t.Errorf("%s %v: %d %s, want %d", tt.path, tt.params, code, body, tt.code)
		}
		for _, w := range tt.want {
			if !strings.Contains(body, w) {
				t.Errorf("%s %v: %s lacks %s", tt.path, tt.params, body, w)
			}
		}
	}
}

func TestTenantsAreSeparate(t *testing.T) {
	h := server(t)
	r := httptest.NewRequest(http.MethodGet, "/api/v1/query?query=up", nil)
	r.Header.Set(api.TenantHeader, "other")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if body := w.Body.String(); !strings.Contains(body, `"result":[]`) {
		t.Errorf("got %s", body)
	}
	r.Header.Set(api.TenantHeader, "../x")
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusBadRequest {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestFormPost(t *testing.T) {
	h := server(t)
	r := httptest.NewRequest(http.MethodPost, "/api/v1/query", strings.NewReader("query=count(up)"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `"2"`) {
		t.Errorf("got %s", w.Body)
	}
}

// TestStatistics reads what stats=all adds to an answer.
func TestStatistics(t *testing.T) {
	h := server(t)
	var answer struct {
		Data struct {
			Stats struct {
				Timings struct{ ExecTotalTime float64 }
				Samples struct{ TotalQueryableSamples, PeakSamples int64 }
			}
		}
	}
	_, body := get(h, "/api/v1/query_range", url.Values{"query": {"max_over_time(up[1m])"}, "start": {"1700000000"}, "end": {"1700000100"}, "step": {"10"}, "stats": {"all"}})
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if s := answer.Data.Stats; s.Timings.ExecTotalTime <= 0 || s.Samples.TotalQueryableSamples != 10 || s.Samples.PeakSamples <= 0 {
		t.Errorf("statistics %+v of two series of five samples", s)
	}
}

func TestTargetsMetadata(t *testing.T) {
	m := storetest.NewMetrics()
	now := time.Unix(base, 0)
	b := &store.MetricBatch{Metadata: []store.MetricMetadata{
		{Metric: "up", Type: "gauge", Help: "Is it up."}, {Metric: "lag", Type: "histogram", Unit: "seconds"}, {Metric: "gone", Type: "gauge"},
	}}
	for _, s := range [][2]string{{"up", "a"}, {"up", "b"}, {"lag_bucket", "b"}} {
		b.Series = append(b.Series, store.SeriesWrite{
			Labels:  model.NewLabels(model.Label{Name: model.MetricName, Value: s[0]}, model.Label{Name: "job", Value: "j"}, model.Label{Name: "instance", Value: s[1]}),
			Samples: []store.Sample{{Time: now.UnixMilli() - 1000, Value: 1}},
		})
	}
	if err := m.Append(t.Context(), model.DefaultTenant, b); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(Options{
		Reader: m, Index: m, Engine: promql.New(promql.Options{}), MetricsQL: metricsql.New(), Door: query.New(query.Options{}),
		Now: func() time.Time { return now },
		Targets: func(context.Context, model.Tenant) ([]Target, error) {
			return []Target{{Job: "j", Labels: map[string]string{"job": "j", "instance": "a"}}, {Job: "j", Labels: map[string]string{"job": "j", "instance": "b"}}}, nil
		},
	}).Register(mux, "")
	const up, lag = `"type":"gauge","help":"Is it up.","unit":""}`, `"type":"histogram","help":"","unit":"seconds"}`
	const a, bb = `{"target":{"instance":"a","job":"j"},`, `{"target":{"instance":"b","job":"j"},`
	for _, tt := range []struct {
		params url.Values
		code   int
		want   string
	}{
		{nil, 200, `{"status":"success","data":[` + a + `"metric":"up",` + up + `,` + bb + `"metric":"lag",` + lag + `,` + bb + `"metric":"up",` + up + `]}`},
		{url.Values{"metric": {"up"}}, 200, `{"status":"success","data":[` + a + up + `,` + bb + up + `]}`},
		{url.Values{"match_target": {`{instance="b"}`}, "limit": {"1"}}, 200, `{"status":"success","data":[` + bb + `"metric":"lag",` + lag + `]}`},
		{url.Values{"metric": {"gone"}}, 404, `{"status":"error","errorType":"not_found","error":"specified metadata not found"}`},
		{url.Values{"match_target": {`{instance="c"}`}}, 404, `{"status":"error","errorType":"not_found","error":"specified metadata not found"}`},
		{url.Values{"limit": {"x"}}, 400, ""},
		{url.Values{"match_target": {"{"}}, 400, ""},
	} {
		if code, got := get(mux, "/api/v1/targets/metadata", tt.params); code != tt.code || tt.want != "" && got != tt.want {
			t.Errorf("%v: %d %s\nwant %d %s", tt.params, code, got, tt.code, tt.want)
		}
	}
	for query, want := range map[string]int{"": 2, "state=active": 2, "state=any": 2, "state=dropped": 0, "scrapePool=j": 2, "scrapePool=k": 0} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := get(mux, "/api/v1/targets", q); strings.Count(got, `"scrapeUrl"`) != want {
			t.Errorf("%s: %s, want %d targets", query, got, want)
		}
	}
}
