package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is an OTLP receiver that keeps what it gets, and a Loki push API beside it.
type receiver struct {
	mu      sync.Mutex
	traces  []ptrace.Traces
	metrics []pmetric.Metrics
	logs    []plog.Logs
	pushed  []string // "service line"
	got     chan struct{}
	addr    string
	loki    string
}

type traceServer struct {
	ptraceotlp.UnimplementedGRPCServer
	r *receiver
}

type metricServer struct {
	pmetricotlp.UnimplementedGRPCServer
	r *receiver
}

type logServer struct {
	plogotlp.UnimplementedGRPCServer
	r *receiver
}

func (s *traceServer) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.r.keep(func() { s.r.traces = append(s.r.traces, req.Traces()) })
	return ptraceotlp.NewExportResponse(), nil
}

func (s *metricServer) Export(_ context.Context, req pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.r.keep(func() { s.r.metrics = append(s.r.metrics, req.Metrics()) })
	return pmetricotlp.NewExportResponse(), nil
}

func (s *logServer) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.r.keep(func() { s.r.logs = append(s.r.logs, req.Logs()) })
	return plogotlp.NewExportResponse(), nil
}

func (r *receiver) keep(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	select {
	case r.got <- struct{}{}:
	default:
	}
}

// until waits for ok, looking each time something arrives.
func (r *receiver) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	locked := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return ok()
	}
	for {
		if locked() {
			return
		}
		select {
		case <-r.got:
		case <-deadline:
			t.Fatalf("%s did not arrive", what)
		}
	}
}

func (r *receiver) push(_ http.ResponseWriter, req *http.Request) {
	var body struct {
		Streams []struct {
			Stream map[string]string
			Values [][2]string
		}
	}
	raw, err := io.ReadAll(req.Body)
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	if err != nil || req.URL.Path != "/loki/api/v1/push" {
		panic(http.ErrAbortHandler)
	}
	r.keep(func() {
		for _, s := range body.Streams {
			for _, v := range s.Values {
				r.pushed = append(r.pushed, s.Stream["service"]+" "+v[1])
			}
		}
	})
}

func newReceiver(t *testing.T, l net.Listener) *receiver {
	r := &receiver{got: make(chan struct{}, 1), addr: l.Addr().String()}
	srv := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(srv, &traceServer{r: r})
	pmetricotlp.RegisterGRPCServer(srv, &metricServer{r: r})
	plogotlp.RegisterGRPCServer(srv, &logServer{r: r})
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	files := httptest.NewServer(http.HandlerFunc(r.push))
	r.loki = files.URL
	t.Cleanup(func() { srv.Stop(); files.Close(); wg.Wait() })
	return r
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs a shop until the test ends.
func start(t *testing.T, opts Options) *Shop {
	s := New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait(); http.DefaultClient.CloseIdleConnections() })
	return s
}

type spanInfo struct {
	ptrace.Span
	service string
}

func (r *receiver) spans() map[pcommon.SpanID]spanInfo {
	all := map[pcommon.SpanID]spanInfo{}
	for _, td := range r.traces {
		for _, rs := range td.ResourceSpans().All() {
			name, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					all[sp.SpanID()] = spanInfo{sp, name.Str()}
				}
			}
		}
	}
	return all
}

func (r *receiver) each(f func(service string, m pmetric.Metric)) {
	for _, md := range r.metrics {
		for _, rm := range md.ResourceMetrics().All() {
			name, _ := rm.Resource().Attributes().Get("service.name")
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					f(name.Str(), m)
				}
			}
		}
	}
}

func TestShop(t *testing.T) {
	r := newReceiver(t, listen(t))
	before := time.Now()
	start(t, Options{GRPCEndpoint: r.addr, LokiURL: r.loki, Seed: 7, Tick: 50 * time.Millisecond, MetricEvery: 100 * time.Millisecond})
	// The services send side by side: wait for a moment at which nothing is under way.
	r.until(t, "whole traces of the present", func() bool {
		now := time.Now()
		spans := r.spans()
		if !r.whole(spans, before.Add(time.Second)) {
			return false
		}
		checkSpans(t, spans, now)
		checkMetrics(t, r, spans, before, now)
		checkLogs(t, r, spans)
		return true
	})
}

// whole reports whether a span began after a time, and all spans that others name are there.
func (r *receiver) whole(spans map[pcommon.SpanID]spanInfo, after time.Time) bool {
	present := false
	for _, s := range spans {
		present = present || s.StartTimestamp().AsTime().After(after)
		if _, ok := spans[s.ParentSpanID()]; !ok && !s.ParentSpanID().IsEmpty() {
			return false
		}
	}
	r.each(func(_ string, m pmetric.Metric) {
		if m.Type() == pmetric.MetricTypeHistogram {
			for _, p := range m.Histogram().DataPoints().All() {
				for _, e := range p.Exemplars().All() {
					_, ok := spans[e.SpanID()]
					present = present && ok
				}
			}
		}
	})
	for _, ld := range r.logs {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, rec := range sl.LogRecords().All() {
					_, ok := spans[rec.SpanID()]
					present = present && ok
				}
			}
		}
	}
	return present
}

func checkSpans(t *testing.T, spans map[pcommon.SpanID]spanInfo, now time.Time) {
	seen := map[string]int{}
	attrs := 0
	for _, s := range spans {
		seen[s.service]++
		seen[s.Kind().String()]++
		attrs += s.Attributes().Len()
		if s.EndTimestamp().AsTime().After(now) || s.EndTimestamp() < s.StartTimestamp() {
			t.Errorf("span %s of %s from %s to %s, now %s", s.Name(), s.service, s.StartTimestamp().AsTime(), s.EndTimestamp().AsTime(), now)
		}
		if s.Status().Code() == ptrace.StatusCodeError {
			seen["error"]++
		}
		for _, e := range s.Events().All() {
			seen[e.Name()]++
		}
		if s.Links().Len() > 0 {
			seen["linked"]++
			if _, ok := spans[s.Links().At(0).SpanID()]; !ok {
				t.Errorf("%s links to a span that was not sent", s.Name())
			}
		}
		if s.ParentSpanID().IsEmpty() {
			continue
		}
		parent, ok := spans[s.ParentSpanID()]
		if !ok {
			t.Fatalf("parent of %s of %s was not sent", s.Name(), s.service)
		}
		if parent.TraceID() != s.TraceID() {
			t.Errorf("%s is in another trace than its parent", s.Name())
		}
		if s.Kind() != ptrace.SpanKindConsumer && (s.StartTimestamp() < parent.StartTimestamp() || s.EndTimestamp() > parent.EndTimestamp()) {
			t.Errorf("%s of %s sticks out of its parent %s", s.Name(), s.service, parent.Name())
		}
	}
	for _, want := range []string{
		"frontend", "api", "checkout", "cart", "payment", "catalog", "inventory", "shipping", "email",
		"Server", "Client", "Producer", "Consumer", "Internal", "error", "exception", "slow_query", "linked",
	} {
		if seen[want] == 0 {
			t.Errorf("no span with %s among %d", want, len(spans))
		}
	}
	if mean := float64(attrs) / float64(len(spans)); mean < 13 {
		t.Errorf("%.1f attributes a span, want 13 or more", mean)
	}
}

func checkMetrics(t *testing.T, r *receiver, spans map[pcommon.SpanID]spanInfo, before, now time.Time) {
	names := map[string]bool{}
	exemplars := 0
	oldest := now
	r.each(func(service string, m pmetric.Metric) {
		names[m.Name()] = true
		if m.Type() == pmetric.MetricTypeSum {
			for _, p := range m.Sum().DataPoints().All() {
				if at := p.Timestamp().AsTime(); at.Before(oldest) {
					oldest = at
				}
			}
		}
		if m.Type() != pmetric.MetricTypeHistogram {
			return
		}
		for _, p := range m.Histogram().DataPoints().All() {
			for _, e := range p.Exemplars().All() {
				exemplars++
				s, ok := spans[e.SpanID()]
				if !ok || s.service != service {
					t.Fatalf("exemplar of %s of %s names a span that was not sent", m.Name(), service)
				}
				if e.Timestamp() != s.EndTimestamp() {
					t.Fatalf("exemplar of %s at %s, its span ended %s", m.Name(), e.Timestamp().AsTime(), s.EndTimestamp().AsTime())
				}
			}
		}
	})
	for _, want := range []string{
		"http.server.request.duration", "http.client.request.duration", "rpc.server.call.duration", "db.client.operation.duration",
		"messaging.process.duration", "http_requests", "http_request_duration", "cpu_usage", "mysql_threads_connected", "mysql_max_connections",
		"process_resident_memory", "node_memory_MemTotal", "go_gc_duration", "orders", "order_revenue", "queue_depth", "user_sessions_active", "traces",
	} {
		if !names[want] {
			t.Errorf("no metric %s", want)
		}
	}
	if exemplars == 0 {
		t.Error("no exemplars")
	}
	if want := before.Add(-14 * time.Minute); oldest.After(want) {
		t.Errorf("oldest point at %s, want before %s", oldest, want)
	}
}

func checkLogs(t *testing.T, r *receiver, spans map[pcommon.SpanID]spanInfo) {
	services := map[string]bool{}
	for _, ld := range r.logs {
		for _, rl := range ld.ResourceLogs().All() {
			name, _ := rl.Resource().Attributes().Get("service.name")
			services[name.Str()] = true
			for _, sl := range rl.ScopeLogs().All() {
				for _, rec := range sl.LogRecords().All() {
					if s, ok := spans[rec.SpanID()]; !ok || s.TraceID() != rec.TraceID() {
						t.Fatalf("log %q of %s names a span that was not sent", rec.Body().AsString(), name.Str())
					}
				}
			}
		}
	}
	for _, want := range []string{"checkout", "payment", "catalog", "cart", "shipping", "email"} {
		if !services[want] {
			t.Errorf("no logs of %s", want)
		}
	}
	has := func(parts ...string) bool {
		return slices.ContainsFunc(r.pushed, func(l string) bool {
			for _, p := range parts {
				if !strings.Contains(l, p) {
					return false
				}
			}
			return true
		})
	}
	if !has("api {", `"status_code":503`, `"trace_id":"`) {
		t.Error("no failed request in the access log of api")
	}
	if !has("checkout {", `"level":"error"`, `"message":"order failed`, `"timestamp":"`) {
		t.Error("no failed order in the log file of checkout")
	}
}

func TestFault(t *testing.T) {
	r := newReceiver(t, listen(t))
	var mu sync.Mutex
	clock := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		clock = clock.Add(20 * time.Second) // each tick is 20 s of shopping
		return clock
	}
	s := start(t, Options{GRPCEndpoint: r.addr, Seed: 9, History: -1, Tick: 10 * time.Millisecond, MetricEvery: time.Nanosecond, Now: now})
	share := func() (failed, all float64) {
		r.each(func(service string, m pmetric.Metric) {
			if service != "checkout" || m.Name() != "http_requests" {
				return
			}
			f, a := 0., 0. // cumulative: the last point counts
			for _, p := range m.Sum().DataPoints().All() {
				a += float64(p.IntValue())
				if status, _ := p.Attributes().Get("status"); status.Int() >= 500 {
					f += float64(p.IntValue())
				}
			}
			failed, all = f, a
		})
		return failed, all
	}
	r.until(t, "400 checkouts", func() bool { _, all := share(); return all > 400 })
	r.mu.Lock()
	f0, a0 := share()
	r.mu.Unlock()
	if f0/a0 > 0.05 {
		t.Errorf("%.0f of %.0f checkouts fail without the fault", f0, a0)
	}
	if s.Fault() {
		t.Error("fault is on at the start")
	}
	s.SetFault(true)
	r.until(t, "400 more checkouts", func() bool { _, all := share(); return all > a0+400 })
	r.mu.Lock()
	f1, a1 := share()
	r.mu.Unlock()
	if got := (f1 - f0) / (a1 - a0); got < 0.1 || got > 0.6 {
		t.Errorf("%.2f of checkouts fail with the fault, want 0.1 to 0.6", got)
	}
}

// A shop that is opened before its receiver waits with its history.
func TestReceiverComesLater(t *testing.T) {
	l := listen(t)
	addr := l.Addr().String()
	l.Close()
	start(t, Options{GRPCEndpoint: addr, Seed: 3, History: time.Minute, Tick: 20 * time.Millisecond})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, l)
	r.until(t, "the history", func() bool { return len(r.traces) > 5 && len(r.logs) > 5 })
}

func TestRunTwice(t *testing.T) {
	s := New(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); !errors.Is(err, ErrRan) {
		t.Errorf("second run: %v, want %v", err, ErrRan)
	}
}

// BenchmarkSecond is the cost of one second of the history, without its receiver.
func BenchmarkSecond(b *testing.B) {
	s := New(Options{Seed: 1})
	out, err := newExporter(b.Context(), s.opts)
	if err != nil {
		b.Fatal(err)
	}
	defer out.close()
	s.out = out
	s.svcs = newServices(s, s.rng)
	s.state.reset()
	at := time.Now()
	s.keep = historyShare
	for b.Loop() {
		s.simulate(b.Context(), at, at.Add(time.Second))
		at = at.Add(time.Second)
		out.spans, out.records = out.spans[:0], out.records[:0]
	}
}
