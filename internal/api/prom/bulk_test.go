package prom

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func bulkServer(m *storetest.Metrics) http.Handler {
	mux := http.NewServeMux()
	New(Options{
		Reader: m, Index: m, Writer: m, Engine: promql.New(promql.Options{}), Door: query.New(query.Options{}),
		Now: func() time.Time { return time.Unix(base+60, 0) }, MaxBody: 1 << 20,
	}).Register(mux, "/prometheus")
	return mux
}

func send(h http.Handler, path, contentType, body string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestExportImport demands that what is exported and imported elsewhere is exported the
// same again, to the last bit.
func TestExportImport(t *testing.T) {
	from, to := storetest.NewMetrics(), storetest.NewMetrics()
	odd := []float64{
		0, math.Copysign(0, -1), 0.1, 1e-300, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Pi, 1 << 53,
		math.Inf(1), math.Inf(-1), math.Float64frombits(value.NormalNaN), math.Float64frombits(value.StaleNaN),
	}
	w := store.SeriesWrite{Labels: model.LabelsFromMap(map[string]string{model.MetricName: "odd", "l": "a\"b\\c\nd é"})}
	for i, v := range odd {
		w.Samples = append(w.Samples, store.Sample{Time: base*1000 + int64(i), Value: v})
	}
	h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 1.5, PositiveSpans: []histogram.Span{{Offset: 2, Length: 2}}, PositiveBuckets: []int64{1, 1}}
	hw := store.SeriesWrite{
		Labels:     model.LabelsFromMap(map[string]string{model.MetricName: "hist"}),
		Histograms: []store.HistogramSample{{Time: base * 1000, Int: h}, {Time: base*1000 + 1, Float: h.ToFloat(nil)}},
	}
	if err := from.Append(t.Context(), model.DefaultTenant, &store.MetricBatch{Series: []store.SeriesWrite{w, hw}}); err != nil {
		t.Fatal(err)
	}
	match := url.Values{"match[]": {`{__name__=~".+"}`, "odd"}, "max_rows_per_line": {"5"}}
	code, lines := get(bulkServer(from), "/prometheus/api/v1/export", match)
	if code != http.StatusOK || strings.Count(lines, "\n") != 3 {
		t.Fatalf("export: %d %s", code, lines)
	}
	if code, body := send(bulkServer(to), "/prometheus/api/v1/import", "", lines); code != http.StatusNoContent {
		t.Fatalf("import: %d %s", code, body)
	}
	if code, again := get(bulkServer(to), "/prometheus/api/v1/export", match); code != http.StatusOK || again != lines {
		t.Errorf("export after import: %d (-want +got)\n%s", code, cmp.Diff(lines, again))
	}
	for x, err := range to.Select(t.Context(), model.DefaultTenant, store.MetricSelector{Matchers: []*model.Matcher{model.MustMatcher(model.MatchEqual, model.MetricName, "odd")}, Range: model.TimeRange{From: 0, To: math.MaxInt64}}) {
		if err != nil {
			t.Fatal(err)
		}
		_, vs, err := x.Samples(nil, nil)
		if err != nil || !slices.EqualFunc(vs, odd, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			t.Errorf("values %v, %v", vs, err)
		}
	}
}

func TestImportMistakes(t *testing.T) {
	for _, c := range []struct{ path, body, want string }{
		{"/prometheus/api/v1/import", `{"metric":{"__name__":"a"},"values":[1],"timestamps":[1]}` + "\n{", "line 2: not a line of export: unexpected end of JSON input; the 1 samples before it are stored"},
		{"/prometheus/api/v1/import", `{"metric":{"__name__":"a"},"values":[1,2],"timestamps":[1]}`, "line 1: 2 values and 1 timestamps"},
		{"/prometheus/api/v1/import", `{"metric":{"__name__":"a"},"values":["x"],"timestamps":[1]}`, "is not a number"},
		{"/prometheus/api/v1/import?extra_label=x", ``, "is not name=value"},
		{"/prometheus/api/v1/import/prometheus", "a{ 1\n", "parse text"},
		{"/prometheus/api/v1/import/prometheus?timestamp=yesterday", "a 1\n", "is not a number of milliseconds"},
		{"/prometheus/api/v1/import/prometheus", strings.Repeat("a 1\n", 1<<19), "more than 1048576 bytes"},
	} {
		code, body := send(bulkServer(storetest.NewMetrics()), c.path, "", c.body)
		if code != http.StatusBadRequest || !strings.Contains(body, c.want) {
			t.Errorf("%s %.60s: %d %s, want %q", c.path, c.body, code, body, c.want)
		}
	}
}

// TestFederate imports text and gets it back, as another server would scrape it.
func TestFederate(t *testing.T) {
	h := bulkServer(storetest.NewMetrics())
	text := "# HELP up Is it up.\n# TYPE up gauge\nup{job=\"a\\\"b\\n\"} 1 1700000050000\nup{job=\"c\"} NaN\nold 5 1600000000000\nother +Inf\n"
	if code, body := send(h, "/prometheus/api/v1/import/prometheus?extra_label=env=prod", "text/plain", text); code != http.StatusNoContent {
		t.Fatalf("import: %d %s", code, body)
	}
	open := "# TYPE rpc counter\nrpc_total{x=\"y\"} 7 1700000055.5 # {trace_id=\"abc\"} 0.5 1700000050\n# EOF\n"
	if code, body := send(h, "/prometheus/api/v1/import/prometheus", "application/openmetrics-text; version=1.0.0", open); code != http.StatusNoContent {
		t.Fatalf("import: %d %s", code, body)
	}
	want := strings.Join([]string{
		`# TYPE other untyped`, `other{env="prod"} +Inf 1700000060000`,
		`# TYPE rpc_total untyped`, `rpc_total{x="y"} 7 1700000055500`,
		`# TYPE up untyped`, `up{env="prod",job="a\"b\n"} 1 1700000050000`, `up{env="prod",job="c"} NaN 1700000060000`,
	}, "\n")
	code, got := get(h, "/prometheus/federate", url.Values{"match[]": {`{__name__=~".+"}`}})
	if d := cmp.Diff(want, got); code != http.StatusOK || d != "" {
		t.Errorf("federate: %d (-want +got)\n%s", code, d)
	}
	if code, got := get(h, "/prometheus/api/v1/query_exemplars", url.Values{"query": {"rpc_total"}, "start": {"1700000000"}, "end": {"1700000100"}}); !strings.Contains(got, `"trace_id":"abc"`) {
		t.Errorf("exemplars: %d %s", code, got)
	}
	if code, got := get(h, "/prometheus/api/v1/metadata", url.Values{"metric": {"up"}}); !strings.Contains(got, `"type":"gauge","help":"Is it up."`) {
		t.Errorf("metadata: %d %s", code, got)
	}
}

// TestCardinalityOfADay asks for a day, a selector, a label and the change.
func TestCardinalityOfADay(t *testing.T) {
	m := storetest.NewMetrics()
	b := &store.MetricBatch{}
	add := func(metric, job string, at int64) {
		b.Series = append(b.Series, store.SeriesWrite{
			Labels: model.LabelsFromMap(map[string]string{model.MetricName: metric, "job": job}), Samples: []store.Sample{{Time: at * 1000, Value: 1}},
		})
	}
	add("a", "x", base)
	add("a", "y", base)
	add("b", "x", base)
	add("a", "x", base-86_400)
	add("c", "x", base-86_400)
	if err := m.Append(t.Context(), model.DefaultTenant, b); err != nil {
		t.Fatal(err)
	}
	h := bulkServer(m)
	for _, c := range []struct {
		params url.Values
		want   string
	}{
		{url.Values{"change": {"true"}}, `"seriesCountByMetricName":[{"name":"a","value":2,"change":1},{"name":"b","value":1,"change":1}]`},
		{url.Values{"date": {"2023-11-13"}, "topN": {"1"}}, `"seriesCountByMetricName":[{"name":"a","value":1}]`},
		{url.Values{"match[]": {`{job="x"}`, "a"}, "focusLabel": {"job"}}, `"seriesCountByFocusLabelValue":[{"name":"x","value":2},{"name":"y","value":1}]`},
		{url.Values{"date": {"today"}}, `is not a day such as`},
	} {
		if _, got := get(h, "/prometheus/api/v1/status/tsdb", c.params); !strings.Contains(got, c.want) {
			t.Errorf("%v: %s, want %s", c.params, got, c.want)
		}
	}
}
