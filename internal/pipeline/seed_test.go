package pipeline

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// The configurations that Pharos was asked for with are in testdata/seed: as they were
// given, and, where the given one is wrong, corrected. Every test here runs the real
// Collector.

// seed reads a configuration, with replacements of what cannot be had in a test.
func seed(t *testing.T, name string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/seed/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(b), replace[i]) {
			t.Fatalf("%s lacks %q", name, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(b))
}

// refused checks that a configuration is refused with an error that says wants.
func refused(t *testing.T, config string, wants ...string) {
	t.Helper()
	_, err := New(t.Context(), Options{Sink: new(sink), Config: config})
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant %s", err, want)
		}
	}
}

func attr(s ptrace.Span, key string) string {
	v, ok := s.Attributes().Get(key)
	if !ok {
		return "(none)"
	}
	return v.AsString()
}

func TestSeedNormalizeEndpoints(t *testing.T) {
	refused(t, seed(t, "normalize_endpoints.given"),
		"processors::resource/normalize_endpoints::attributes[0] (key http.route)", "from_attribute does not go with value",
		`set(span.attributes["http.route"], span.attributes["http.target"])`, `replace_pattern(span.attributes["http.route"]`)

	r := start(t, seed(t, "normalize_endpoints.corrected"))
	td := ptrace.NewTraces()
	addSpan(td, 1, "user", map[string]any{"user_id": "u1", "http.target": "/api/users/12345?x=1"})
	addSpan(td, 2, "orders", map[string]any{"http.target": "/api/users/12345/orders"})
	addSpan(td, 3, "other", map[string]any{"http.route": "/health"})
	r.sendTraces(t, td)
	spans := r.sink.spans()
	for name, want := range map[string]string{"user": "/api/users/{id}?x=1", "orders": "/api/users/{id}/orders", "other": "/health"} {
		if got := attr(spans[name], "http.route"); got != want {
			t.Errorf("route of %s = %s, want %s", name, got, want)
		}
	}
	if got := attr(spans["user"], "user_id"); got != "(none)" {
		t.Errorf("user_id = %s", got)
	}
}

func TestSeedScrubPII(t *testing.T) {
	refused(t, seed(t, "scrub_pii.given"),
		"processors::attributes/scrub_pii::actions[2] (key credit_card)", "pattern does not go with action update", `replace_pattern(span.attributes["credit_card"], "\\d{4}`)

	r := start(t, seed(t, "scrub_pii.corrected"))
	td := ptrace.NewTraces()
	addSpan(td, 1, "pay", map[string]any{"email": "a@example.com", "user.phone": "+1 555", "credit_card": "card 4111-1111 1111-1111, thanks"})
	r.sendTraces(t, td)
	s := r.sink.spans()["pay"]
	if got := attr(s, "email"); len(got) != 64 || strings.Contains(got, "@") {
		t.Errorf("email = %q, want a SHA-256", got)
	}
	if got := attr(s, "user.phone"); got != "(none)" {
		t.Errorf("user.phone = %q", got)
	}
	if got := attr(s, "credit_card"); got != "card ****-****-****-XXXX, thanks" {
		t.Errorf("credit_card = %q", got)
	}
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.Attributes().PutStr("credit_card", "4111111111111111")
	r.sendLogs(t, ld)
	rl := r.sink.logs[0].ResourceLogs().At(0)
	if v, _ := rl.ScopeLogs().At(0).LogRecords().At(0).Attributes().Get("credit_card"); v.Str() != "****-****-****-XXXX" {
		t.Errorf("credit_card of a log record = %q", v.Str())
	}
}

func TestSeedFilterLogs(t *testing.T) {
	r := start(t, seed(t, "filter_logs.given"))
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, level := range []string{"debug", "info", "error"} {
		lr := records.AppendEmpty()
		lr.Body().SetStr(level)
		lr.Attributes().PutStr("level", level)
	}
	r.sendLogs(t, ld)
	if got := r.sink.records(); !slices.Equal(got, []string{"info", "error"}) {
		t.Errorf("kept %q", got)
	}
	r.sendTraces(t, oneTrace("untouched"))
	if len(r.sink.spans()) != 1 {
		t.Error("the log filter dropped a span")
	}
}

func TestSeedHeadSampling(t *testing.T) {
	r := start(t, seed(t, "head_sampling"))
	td := ptrace.NewTraces()
	const n = 5000
	for i := range n {
		addSpan(td, i, fmt.Sprint(i), nil)
	}
	r.sendTraces(t, td)
	if got := len(r.sink.spans()); got < n/10*8/10 || got > n/10*12/10 {
		t.Errorf("kept %d of %d traces, want about 10 %%", got, n)
	}
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range 100 {
		records.AppendEmpty()
	}
	r.sendLogs(t, ld)
	if got := len(r.sink.records()); got != 100 {
		t.Errorf("kept %d of 100 log records: sampling is of traces", got)
	}
}

// quick makes tail sampling decide after a second instead of half a minute.
func quick(text string) string {
	return strings.Replace(text, "policies:", "decision_wait: 1s\n    policies:", 1)
}

// sampled sends n fast traces, and as many with errors and slow ones.
func sampled(t *testing.T, r *rig, n int) {
	t.Helper()
	td := ptrace.NewTraces()
	for i := range n {
		addSpan(td, 3*i, fmt.Sprintf("fast-%d", i), nil)
		addSpan(td, 3*i+1, fmt.Sprintf("error-%d", i), nil).Status().SetCode(ptrace.StatusCodeError)
		s := addSpan(td, 3*i+2, fmt.Sprintf("slow-%d", i), nil)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(s.EndTimestamp().AsTime().Add(-1500 * time.Millisecond)))
	}
	r.sendTraces(t, td)
}

// kept counts the kept traces of a kind.
func (r *rig) kept(kind string) int {
	n := 0
	for name := range r.sink.spans() {
		if strings.HasPrefix(name, kind) {
			n++
		}
	}
	return n
}

func TestSeedTailSampling(t *testing.T) {
	t.Parallel()
	r := start(t, quick(seed(t, "tail_sampling")))
	sampled(t, r, 50)
	eventually(t, "all traces with errors and all slow ones are kept", func() bool { return r.kept("error-") == 50 && r.kept("slow-") == 50 })
	if got := r.kept("fast-"); got != 0 {
		t.Errorf("%d fast traces are kept", got)
	}
}

// TestSeedSampling has both samplers one after the other: of a tenth of all traces, those
// with errors and the slow ones.
func TestSeedSampling(t *testing.T) {
	t.Parallel()
	r := start(t, quick(seed(t, "sampling.given")))
	const n = 1000
	sampled(t, r, n)
	within := func(got int) bool { return got > n/10*7/10 && got < n/10*13/10 }
	eventually(t, "a tenth of the traces with errors and of the slow ones is kept", func() bool { return within(r.kept("error-")) && within(r.kept("slow-")) })
	if got := r.kept("fast-"); got != 0 {
		t.Errorf("%d fast traces are kept", got)
	}
}

func TestSeedTailSamplingCost(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(seed(t, "tail_sampling_cost.given"), "policies:", "decision_wait: 1s\n  policies:", 1))
	const n = 1000
	sampled(t, r, n)
	eventually(t, "all traces with errors and a hundredth of the others are kept", func() bool {
		return r.kept("error-") == n && r.kept("fast-")+r.kept("slow-") > 0
	})
	if got := r.kept("fast-") + r.kept("slow-"); got > 2*n/100*3 {
		t.Errorf("%d of %d normal traces are kept, want about 1 %%", got, 2*n)
	}
}

// target serves a metric to scrape.
func target(t *testing.T) (address string, scrapes *atomic.Int64) {
	t.Helper()
	scrapes = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		scrapes.Add(1)
		fmt.Fprint(w, "# TYPE app_requests_total counter\napp_requests_total 42\n")
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), scrapes
}

// TestSeedPipeline runs the whole configuration, whose exporters point to other systems.
func TestSeedPipeline(t *testing.T) {
	t.Parallel()
	tempo, spans := tempoServer(t)
	victoria := make(chan string, 100)
	rw := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		select {
		case victoria <- req.URL.Path:
		default:
		}
	}))
	t.Cleanup(rw.Close)
	app, _ := target(t)
	address := freePort(t)
	r := start(t, seed(t, "pipeline.given",
		"0.0.0.0:4317", address, // nobody else's port
		"endpoint: tempo:4317", "endpoint: "+tempo+"\n    tls: {insecure: true}",
		"victoriametrics:8428", rw.Listener.Addr().String(),
		"job_name: 'app'", "job_name: 'app'\n          scrape_interval: 100ms\n          scrape_timeout: 100ms",
		"localhost:8080", app))

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	td := ptrace.NewTraces()
	addSpan(td, 1, "s", map[string]any{"debug": true})
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(td)); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-spans:
		s := got.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		if attr(s, "environment") != "production" || attr(s, "debug") != "(none)" {
			t.Errorf("attributes at the other system: %v", s.Attributes().AsRaw())
		}
	case <-time.After(15 * time.Second):
		t.Error("the span did not reach the other system")
	}
	select {
	case path := <-victoria:
		if path != "/api/v1/write" {
			t.Errorf("remote write to %s", path)
		}
	case <-time.After(15 * time.Second):
		t.Error("no remote write")
	}
	targets, err := r.Targets(t.Context())
	if err != nil || len(targets) != 1 || targets[0].Job != "app" || !strings.Contains(targets[0].URL, app) {
		t.Errorf("targets %+v, error %v", targets, err)
	}
}

// tempoServer is an OTLP gRPC server that hands on the traces it gets.
func tempoServer(t *testing.T) (address string, got chan ptrace.Traces) {
	t.Helper()
	got = make(chan ptrace.Traces, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(s, &traceService{got: got})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) }) // it ends with Stop
	t.Cleanup(func() { s.Stop(); wg.Wait() })
	return l.Addr().String(), got
}

type traceService struct {
	ptraceotlp.UnimplementedGRPCServer
	got chan ptrace.Traces
}

// Export implements ptraceotlp.GRPCServer.
func (s *traceService) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.got <- req.Traces()
	return ptraceotlp.NewExportResponse(), nil
}

// TestSeedPipelineIntoPharos keeps the data of the same configuration here.
func TestSeedPipelineIntoPharos(t *testing.T) {
	t.Parallel()
	app, scrapes := target(t)
	otlpHTTP := freePort(t)
	r := start(t, seed(t, "pipeline.pharos",
		"127.0.0.1:4317", freePort(t), "127.0.0.1:4318", otlpHTTP,
		"job_name: 'app'", "job_name: 'app'\n          scrape_interval: 100ms\n          scrape_timeout: 100ms",
		"localhost:8080", app))
	r.http = otlpHTTP
	td := ptrace.NewTraces()
	addSpan(td, 1, "s", map[string]any{"debug": true})
	r.sendTraces(t, td)
	s := r.sink.spans()["s"]
	if attr(s, "environment") != "production" || attr(s, "debug") != "(none)" {
		t.Errorf("attributes: %v", s.Attributes().AsRaw())
	}
	eventually(t, "the target is scraped", func() bool {
		p := r.sink.points()
		return p["app_requests_total"] == 42 && p["up"] == 1
	})
	if scrapes.Load() == 0 {
		t.Error("nobody scraped the target")
	}
	targets, err := r.Targets(t.Context())
	if err != nil || len(targets) != 1 {
		t.Fatalf("targets %+v, error %v", targets, err)
	}
	got := targets[0]
	if got.Job != "app" || got.URL != "http://"+app+"/metrics" || got.Health != "up" || got.LastError != "" || got.Labels["instance"] != app || got.Interval != "100ms" {
		t.Errorf("target %+v", got)
	}
}
