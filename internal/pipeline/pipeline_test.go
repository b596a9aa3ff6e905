package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// sink is a Sink that keeps what it is given.
type sink struct {
	mu      sync.Mutex
	metrics []pmetric.Metrics
	logs    []plog.Logs
	traces  []ptrace.Traces
	tenants map[model.Tenant]int // spans, records and points by tenant
	bodies  []string             // as they came
	err     error
}

func (s *sink) add(tenant model.Tenant, n int, body []byte, keep func()) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies, string(body))
	if s.tenants == nil {
		s.tenants = map[model.Tenant]int{}
	}
	s.tenants[tenant] += n
	keep()
	return n, s.err
}

func (s *sink) WriteMetrics(_ context.Context, tenant model.Tenant, body []byte) (int, error) {
	md, err := new(pmetric.ProtoUnmarshaler).UnmarshalMetrics(body)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", model.ErrMalformed, err)
	}
	return s.add(tenant, md.DataPointCount(), body, func() { s.metrics = append(s.metrics, md) })
}

func (s *sink) WriteLogs(_ context.Context, tenant model.Tenant, body []byte) (int, error) {
	ld, err := new(plog.ProtoUnmarshaler).UnmarshalLogs(body)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", model.ErrMalformed, err)
	}
	return s.add(tenant, ld.LogRecordCount(), body, func() { s.logs = append(s.logs, ld) })
}

func (s *sink) WriteTraces(_ context.Context, tenant model.Tenant, body []byte) (int, error) {
	td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", model.ErrMalformed, err)
	}
	return s.add(tenant, td.SpanCount(), body, func() { s.traces = append(s.traces, td) })
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// spans returns all spans so far, by name.
func (s *sink) spans() map[string]ptrace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]ptrace.Span{}
	for _, td := range s.traces {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					out[span.Name()] = span
				}
			}
		}
	}
	return out
}

// records returns the bodies of all log records so far.
func (s *sink) records() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, ld := range s.logs {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					out = append(out, lr.Body().AsString())
				}
			}
		}
	}
	return out
}

// points returns the values of all number data points so far, by metric name.
func (s *sink) points() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]float64{}
	for _, md := range s.metrics {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					ps := pmetric.NewNumberDataPointSlice()
					switch m.Type() {
					case pmetric.MetricTypeGauge:
						ps = m.Gauge().DataPoints()
					case pmetric.MetricTypeSum:
						ps = m.Sum().DataPoints()
					}
					if ps.Len() > 0 {
						out[m.Name()] = ps.At(0).DoubleValue() + float64(ps.At(0).IntValue())
					}
				}
			}
		}
	}
	return out
}

// freePort returns a loopback address that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// rig is a running Pipeline with addresses of its OTLP receiver.
type rig struct {
	*Pipeline
	sink       *sink
	grpc, http string
}

// start runs a Pipeline until the end of the test.
func start(t *testing.T, config string) *rig {
	t.Helper()
	r := &rig{sink: new(sink), grpc: freePort(t), http: freePort(t)}
	return r.run(t, Options{Config: config, Registerer: prometheus.NewRegistry()})
}

func (r *rig) run(t *testing.T, opts Options) *rig {
	t.Helper()
	opts.Sink, opts.OTLPGRPC, opts.OTLPHTTP = r.sink, r.grpc, r.http
	opts.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	r.Pipeline = p
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
	select {
	case <-p.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the pipeline is not ready")
	}
	return r
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// post sends a request to the OTLP/HTTP receiver.
func (r *rig) post(t *testing.T, path string, body []byte, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.http+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	tr := new(http.Transport)
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// sendTraces sends td and fails the test unless it is taken.
func (r *rig) sendTraces(t *testing.T, td ptrace.Traces) {
	t.Helper()
	b, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if code, body := r.post(t, "/v1/traces", b); code != http.StatusOK {
		t.Fatalf("send traces: %d %q", code, body)
	}
}

func (r *rig) sendLogs(t *testing.T, ld plog.Logs) {
	t.Helper()
	b, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if code, body := r.post(t, "/v1/logs", b); code != http.StatusOK {
		t.Fatalf("send logs: %d %q", code, body)
	}
}

// trace makes a trace of one span. The low bytes of id are random enough for samplers.
func addSpan(td ptrace.Traces, id int, name string, attrs map[string]any) ptrace.Span {
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	x := uint64(id+1) * 0x9E3779B97F4A7C15
	s.SetTraceID([16]byte{
		byte(x), byte(x >> 8), byte(x >> 16), byte(x >> 24), byte(x >> 32), byte(x >> 40), byte(x >> 48), byte(x >> 56),
		byte(x >> 7), byte(x >> 15), byte(x >> 23), byte(x >> 31), byte(x >> 39), byte(x >> 47), byte(x >> 55), byte(x) | 1,
	})
	s.SetSpanID([8]byte{7: 1})
	s.SetName(name)
	now := time.Now()
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond)))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	if err := s.Attributes().FromRaw(attrs); err != nil {
		panic(err)
	}
	return s
}

func oneTrace(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	addSpan(td, 1, name, nil)
	return td
}

// jsonRequest is an OTLP request of one item.
func jsonRequest(t *testing.T, signal string) []byte {
	t.Helper()
	var b []byte
	var err error
	switch signal {
	case "traces":
		b, err = ptraceotlp.NewExportRequestFromTraces(oneTrace("json")).MarshalJSON()
	case "logs":
		ld := plog.NewLogs()
		ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		b, err = plogotlp.NewExportRequestFromLogs(ld).MarshalJSON()
	default:
		md := pmetric.NewMetrics()
		md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
		b, err = pmetricotlp.NewExportRequestFromMetrics(md).MarshalJSON()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDefault(t *testing.T) {
	r := start(t, "")
	b, err := ptraceotlp.NewExportRequestFromTraces(oneTrace("http")).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if code, body := r.post(t, "/v1/traces", b, "X-Scope-OrgID", "team-a"); code != http.StatusOK {
		t.Fatalf("%d %q", code, body)
	}
	if code, body := r.post(t, "/v1/traces", b, "X-Scope-OrgID", "a/b"); code != http.StatusBadRequest {
		t.Errorf("bad tenant: %d %q", code, body)
	}
	conn, err := grpc.NewClient(r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := ptraceotlp.NewGRPCClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "team-b")
	if _, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(oneTrace("grpc"))); err != nil {
		t.Fatal(err)
	}
	if r.sink.tenants["team-a"] != 1 || r.sink.tenants["team-b"] != 1 {
		t.Errorf("spans by tenant: %v", r.sink.tenants)
	}

	r.sink.fail(&store.Refused{Refusals: []store.Refusal{{Reason: store.ReasonTooOld, Count: 1, Sample: "span x"}}})
	_, err = client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(oneTrace("x")))
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "1 of 1 items refused") {
		t.Errorf("all refused over gRPC: %v", err)
	}
	if code, body := r.post(t, "/v1/traces", b); code != http.StatusBadRequest || !strings.Contains(body, "1 of 1 items refused") {
		t.Errorf("all refused over HTTP: %d %q", code, body)
	}

	r.sink.fail(&store.Refused{Kept: 2, Refusals: []store.Refusal{{Reason: store.ReasonTooOld, Count: 1, Sample: "span x"}}})
	message := "1 of 3 items refused (the other 2 are stored): 1 " + store.ReasonTooOld + ", for example: span x"
	res, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(oneTrace("x")))
	if err != nil || res.PartialSuccess().RejectedSpans() != 1 || res.PartialSuccess().ErrorMessage() != message {
		t.Errorf("partial success over gRPC: %d %q, error %v", res.PartialSuccess().RejectedSpans(), res.PartialSuccess().ErrorMessage(), err)
	}
	code, body := r.post(t, "/v1/traces", b)
	res = ptraceotlp.NewExportResponse()
	if err := res.UnmarshalProto([]byte(body)); err != nil || code != http.StatusOK || res.PartialSuccess().ErrorMessage() != message {
		t.Errorf("partial success over HTTP: %d %q, error %v", code, body, err)
	}
	for path, count := range map[string]string{"traces": "rejectedSpans", "metrics": "rejectedDataPoints", "logs": "rejectedLogRecords"} {
		want := `{"partialSuccess":{"errorMessage":"` + message + `","` + count + `":"1"}}`
		if code, body := r.post(t, "/v1/"+path, jsonRequest(t, path), "Content-Type", "application/json"); code != http.StatusOK || body != want {
			t.Errorf("partial success of %s in JSON: %d %s\nwant %s", path, code, body, want)
		}
	}

	r.sink.fail(fmt.Errorf("append: %w", store.ErrOverloaded))
	_, err = client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(oneTrace("x")))
	st := status.Convert(err)
	if st.Code() != codes.Unavailable || len(st.Details()) != 1 {
		t.Fatalf("overloaded over gRPC: %v, details %v", err, st.Details())
	}
	if info, ok := st.Details()[0].(*errdetails.RetryInfo); !ok || info.RetryDelay.AsDuration() != retryDelay {
		t.Errorf("retry info %v", st.Details()[0])
	}
	if code, body := r.post(t, "/v1/traces", b); code != http.StatusServiceUnavailable {
		t.Errorf("overloaded over HTTP: %d %q", code, body)
	}
	r.sink.fail(errors.New("input/output error"))
	if code, body := r.post(t, "/v1/traces", b); code != http.StatusServiceUnavailable {
		t.Errorf("unknown error over HTTP: %d %q", code, body)
	}
	if code, _ := r.post(t, "/v1/traces", b[:10]); code != http.StatusBadRequest {
		t.Errorf("truncated: %d", code)
	}
}

func TestOTLPHandler(t *testing.T) {
	r := start(t, "")
	b, err := ptraceotlp.NewExportRequestFromTraces(oneTrace("proxied")).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	h := r.OTLPHandler()
	send := func(path string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(b))
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("X-Scope-OrgID", "team-p")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec
	}
	if rec := send("/v1/traces"); rec.Code != http.StatusOK || r.sink.tenants["team-p"] != 1 {
		t.Errorf("%d %q, spans by tenant %v", rec.Code, rec.Body, r.sink.tenants)
	}
	if rec := send("/v1/profiles"); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "/v1/metrics") {
		t.Errorf("unknown path: %d %q", rec.Code, rec.Body)
	}
	if err := r.Reload(t.Context(), `
receivers: {otlp: {protocols: {grpc: {endpoint: "`+r.grpc+`"}}}}
exporters: {pharos: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [pharos]}}}`); err != nil {
		t.Fatal(err)
	}
	if rec := send("/v1/traces"); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "no otlp receiver with protocol http") {
		t.Errorf("no receiver: %d %q", rec.Code, rec.Body)
	}
}

func TestReload(t *testing.T) {
	r := start(t, "")
	enrich := func(v string) string {
		return "processors: {attributes: {actions: [{key: env, action: insert, value: " + v + "}]}}"
	}
	if err := r.Reload(t.Context(), enrich("one")); err != nil {
		t.Fatal(err)
	}
	env := func() string {
		r.sendTraces(t, oneTrace("s"))
		v, _ := r.sink.spans()["s"].Attributes().Get("env")
		return v.Str()
	}
	if got := env(); got != "one" {
		t.Errorf("env = %q after a reload, want one", got)
	}
	if err := r.Reload(t.Context(), "processors: {attributes: {actions: [{key: env, action: explode}]}}"); err == nil || !strings.Contains(err.Error(), "unknown action explode") {
		t.Errorf("bad reload: %v", err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	err = r.Reload(t.Context(), `
receivers: {otlp: {protocols: {http: {endpoint: "`+busy.Addr().String()+`"}}}}
processors: {attributes: {actions: [{key: env, action: insert, value: two}]}}`)
	if err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), "previous configuration runs on") {
		t.Errorf("reload onto a busy port: %v", err)
	}
	if got := env(); got != "one" {
		t.Errorf("env = %q after failed reloads, want one", got)
	}
}

// TestBatchKeepsTenants checks that batching does not mix tenants.
func TestBatchKeepsTenants(t *testing.T) {
	r := start(t, "processors: {batch: {timeout: 50ms}}")
	b, err := ptraceotlp.NewExportRequestFromTraces(oneTrace("x")).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"a", "b", "a"} {
		if code, body := r.post(t, "/v1/traces", b, "X-Scope-OrgID", tenant); code != http.StatusOK {
			t.Fatalf("%d %q", code, body)
		}
	}
	eventually(t, "both tenants have their spans", func() bool {
		r.sink.mu.Lock()
		defer r.sink.mu.Unlock()
		return r.sink.tenants["a"] == 2 && r.sink.tenants["b"] == 1
	})
}

func TestSelfMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := (&rig{sink: new(sink), grpc: freePort(t), http: freePort(t)}).run(t, Options{Registerer: reg})
	if err := r.Reload(t.Context(), "processors: {batch: }"); err != nil {
		t.Fatal(err)
	}
	r.sendTraces(t, oneTrace("x"))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{"pharos_pipeline_reloads_total", "otelcol_receiver_accepted_spans_total"} {
		if !names[want] {
			t.Errorf("no metric %s; there are %v", want, names)
		}
	}
}
