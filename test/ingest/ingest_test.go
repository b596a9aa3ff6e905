package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/ingest/lokipush"
	"github.com/pharos-o11y/pharos/internal/ingest/otlp"
	"github.com/pharos-o11y/pharos/internal/ingest/remotewrite"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/pipeline"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is the three stores with every way in.
type house struct {
	metrics *storetest.Metrics
	logs    *storetest.Logs
	traces  *storetest.Traces
	http    string // of the OTLP receiver
}

// open runs the Collector with a configuration until the end of the test.
func open(t *testing.T, config string) *house {
	t.Helper()
	h := &house{metrics: storetest.NewMetrics(), logs: storetest.NewLogs(), traces: storetest.NewTraces(), http: freePort(t)}
	p, err := pipeline.New(t.Context(), pipeline.Options{
		Sink:   otlp.New(otlp.Options{Metrics: h.metrics, Logs: h.logs, Traces: h.traces}),
		Config: config, OTLPGRPC: "none", OTLPHTTP: h.http,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var runErr error
	wg.Go(func() { runErr = p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if runErr != nil {
			t.Errorf("run: %v", runErr)
		}
	})
	<-p.Ready()
	return h
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// post sends an OTLP request, gzipped, for tenant t.
func (h *house) post(t *testing.T, path string, body []byte) {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	z.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.http+path, &buf)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("X-Scope-OrgID", "t")
	tr := new(http.Transport)
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %q %v", path, res.StatusCode, text, err)
	}
}

// series returns the samples of tenant by the text of their series.
func (h *house) series(t *testing.T, tenant model.Tenant) map[string][]float64 {
	t.Helper()
	out := map[string][]float64{}
	for s, err := range h.metrics.Select(t.Context(), tenant, store.MetricSelector{All: true, Range: model.TimeRange{To: math.MaxInt64}}) {
		if err != nil {
			t.Fatal(err)
		}
		_, vs, err := s.Samples(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		out[s.Labels().String()] = vs
	}
	return out
}

// entries returns the log entries of tenant as text.
func (h *house) entries(t *testing.T, tenant model.Tenant) []string {
	t.Helper()
	var out []string
	for rows, err := range h.logs.Select(t.Context(), tenant, store.LogSelector{Range: model.TimeRange{To: math.MaxInt64}}) {
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range rows.Lines {
			out = append(out, fmt.Sprintf("%s %s %s", rows.Stream, line, rows.Row(i, nil)))
		}
	}
	slices.Sort(out)
	return out
}

func TestOTLP(t *testing.T) {
	h := open(t, "")
	now := pcommon.NewTimestampFromTime(time.Now())
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "checkout")
	rm.Resource().Attributes().PutStr("service.instance.id", "i1")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.server.requests")
	m.SetUnit("{request}")
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := m.Sum().DataPoints().AppendEmpty()
	p.SetTimestamp(now)
	p.SetIntValue(7)
	p.Attributes().PutStr("http.route", "/pay")
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	h.post(t, "/v1/metrics", body)
	want := map[string][]float64{`{__name__="http_server_requests_total", http_route="/pay", instance="i1", job="checkout", service_name="checkout"}`: {7}}
	if diff := cmp.Diff(want, h.series(t, "t")); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}

	id := pcommon.TraceID{15: 9}
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(id)
	s.SetSpanID([8]byte{7: 1})
	if body, err = ptraceotlp.NewExportRequestFromTraces(td).MarshalProto(); err != nil {
		t.Fatal(err)
	}
	h.post(t, "/v1/traces", body)
	if got, err := h.traces.Trace(t.Context(), "t", model.TraceID(id), model.TimeRange{}, nil); err != nil || got.SpanCount() != 1 {
		t.Errorf("trace: %v", err)
	}

	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetTimestamp(now)
	lr.SetTraceID(id)
	lr.SetSeverityText("WARN")
	lr.Body().SetStr("card declined")
	if body, err = plogotlp.NewExportRequestFromLogs(ld).MarshalProto(); err != nil {
		t.Fatal(err)
	}
	h.post(t, "/v1/logs", body)
	entry := `{service_name="checkout"} card declined {detected_level="warn", severity_text="WARN", trace_id="00000000000000000000000000000009"}`
	if diff := cmp.Diff([]string{entry}, h.entries(t, "t")); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// TestScrape scrapes a target in both text formats and sees it go away.
func TestScrape(t *testing.T) {
	for _, format := range []struct{ contentType, body string }{
		{"text/plain; version=0.0.4", "# TYPE app_requests counter\napp_requests{_path=\"/a\"} 42\n# TYPE app_bytes gauge\napp_bytes 1\n" +
			"# TYPE lat histogram\nlat_bucket{le=\"0.5\"} 1\nlat_bucket{le=\"+Inf\"} 2\nlat_sum 3\nlat_count 2\n# TYPE q summary\nq{quantile=\"0.9\"} 4\nq_sum 5\nq_count 6\nbare 8\n"},
		{"application/openmetrics-text; version=1.0.0", "# TYPE app_requests counter\napp_requests_total{_path=\"/a\"} 42\n# EOF\n"},
	} {
		t.Run(format.contentType, func(t *testing.T) {
			var down atomic.Bool
			target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if down.Load() {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				w.Header().Set("Content-Type", format.contentType)
				fmt.Fprint(w, format.body)
			}))
			t.Cleanup(target.Close)
			address := target.Listener.Addr().String()
			h := open(t, `
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: app
          scrape_interval: 100ms
          scrape_timeout: 100ms
          static_configs: [{targets: ['`+address+`']}]`)
			labels := `, instance="` + address + `", job="app"`
			names := []string{
				`__name__="up"` + labels, `__name__="app_requests", _path="/a"` + labels, `__name__="app_bytes"` + labels, `__name__="bare"` + labels,
				`__name__="lat_bucket"` + labels + `, le="0.5"`, `__name__="lat_bucket"` + labels + `, le="+Inf"`, `__name__="lat_sum"` + labels, `__name__="lat_count"` + labels,
				`__name__="q"` + labels + `, quantile="0.9"`, `__name__="q_sum"` + labels, `__name__="q_count"` + labels,
			}
			if strings.Contains(format.contentType, "openmetrics") {
				names = []string{`__name__="up"` + labels, `__name__="app_requests_total", _path="/a"` + labels}
			}
			for _, n := range []string{"duration_seconds", "samples_post_metric_relabeling", "samples_scraped", "series_added"} {
				names = append(names, `__name__="scrape_`+n+`"`+labels)
			}
			for i := range names {
				names[i] = "{" + names[i] + "}"
			}
			slices.Sort(names)
			var got map[string][]float64
			eventually(t, func() bool {
				got = h.series(t, model.DefaultTenant)
				return len(got) >= len(names)
			})
			var series []string
			for s := range got {
				series = append(series, s)
			}
			slices.Sort(series)
			if diff := cmp.Diff(names, series); diff != "" {
				t.Fatalf("series (-want +got):\n%s", diff)
			}
			down.Store(true)
			counter := names[slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, `"app_requests`) })]
			eventually(t, func() bool {
				got := h.series(t, model.DefaultTenant)
				up, vs := got[`{__name__="up"`+labels+`}`], got[counter]
				return up[len(up)-1] == 0 && value.IsStaleNaN(vs[len(vs)-1]) && vs[0] == 42
			})
		})
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// noOld refuses entries of the last century, as a store does with what is too old.
type noOld struct{ store.LogWriter }

func (w noOld) Append(ctx context.Context, tenant model.Tenant, b *store.LogBatch) error {
	var refused store.Refused
	for i := range b.Streams {
		s := &b.Streams[i]
		s.Entries = slices.DeleteFunc(s.Entries, func(e store.LogEntry) bool {
			old := e.Time < 1e18
			if old {
				refused.Add(store.ReasonTooOld, 1, func() string { return "entry too old" })
			}
			return old
		})
	}
	if err := w.LogWriter.Append(ctx, tenant, b); err != nil {
		return err
	}
	return refused.Err()
}

func TestPushHandlers(t *testing.T) {
	h := &house{metrics: storetest.NewMetrics(), logs: storetest.NewLogs()}
	send := func(handler http.Handler, contentType string, body []byte) (int, string) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	req := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
		{Labels: []prompb.Label{{Name: "__name__", Value: "m"}, {Name: "b", Value: "c"}}, Samples: []prompb.Sample{{Value: 1, Timestamp: 1000}}},
		{Labels: []prompb.Label{{Name: "__name__", Value: "bad\xff"}}, Samples: []prompb.Sample{{Value: 2, Timestamp: 1000}}},
		{Labels: []prompb.Label{{Name: "b", Value: "x"}, {Name: "b", Value: "y"}}, Samples: []prompb.Sample{{Value: 3, Timestamp: 1000}}},
		{Samples: []prompb.Sample{{Value: 4, Timestamp: 1000}}},
	}}
	raw, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	code, text := send(remotewrite.New(h.metrics, remotewrite.Options{}), "application/x-protobuf", s2.EncodeSnappy(nil, raw))
	if code != http.StatusBadRequest || !strings.Contains(text, "3 of 4 items refused (the other 1 are stored): 3 invalid_labels") {
		t.Errorf("remote write: %d %q", code, text)
	}
	if diff := cmp.Diff(map[string][]float64{`{__name__="m", b="c"}`: {1}}, h.series(t, model.DefaultTenant)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}

	push := fmt.Sprintf(`{"streams":[{"stream":{"app":"x"},"values":[["%d","level=error boom"],["1","old"]]}]}`, time.Now().UnixNano())
	code, text = send(lokipush.New(noOld{h.logs}, lokipush.Options{}).Push(), "application/json", []byte(push))
	if code != http.StatusBadRequest || !strings.Contains(text, "too old") {
		t.Errorf("push: %d %q", code, text)
	}
	want := []string{`{app="x", service_name="x"} level=error boom {detected_level="error"}`}
	if diff := cmp.Diff(want, h.entries(t, model.DefaultTenant)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
