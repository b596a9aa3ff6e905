package pipeline

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// TestWhatIsDirect loads configurations and asks which signals of receiver otlp bypass the
// Collector.
func TestWhatIsDirect(t *testing.T) {
	const receivers = `
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}, http: {endpoint: 127.0.0.1:0}}}
  otlp/two: {protocols: {http: {endpoint: 127.0.0.1:0}}}
`
	for _, tt := range []struct{ name, config, want string }{
		{"default", "", "logs metrics traces"},
		{"a processor", "processors: {probabilistic_sampler: {sampling_percentage: 10}}", "logs metrics"},
		{"for all signals", "processors: {batch: {}}", ""},
		{"a tenant", receivers + `
exporters: {pharos: {tenant: team-a}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [pharos]}}}`, "metrics"},
		{"shared with another receiver", receivers + `
exporters: {pharos: {}}
service: {pipelines: {logs: {receivers: [otlp/two, otlp], exporters: [pharos]}, traces/two: {receivers: [otlp/two], exporters: [pharos]}}}`, "logs"},
		{"a second exporter", receivers + `
exporters: {pharos: {}, nop: {}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [pharos, nop]}}}`, ""},
		{"a second pipeline", receivers + `
exporters: {pharos: {}, nop: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [pharos]}, traces/more: {receivers: [otlp], exporters: [nop]}}}`, ""},
		{"a connector", receivers + `
exporters: {pharos: {}}
connectors: {spanmetrics: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [spanmetrics]}, metrics: {receivers: [spanmetrics], exporters: [pharos]}}}`, ""},
		{"a foreign exporter", receivers + `
exporters: {nop: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}`, ""},
		{"a foreign middleware", `
receivers: {otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}, http: {endpoint: 127.0.0.1:0, middlewares: [{id: health_check}]}}}}
extensions: {health_check: {}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := New(t.Context(), Options{Sink: new(sink)})
			if err != nil {
				t.Fatal(err)
			}
			l, err := p.load(t.Context(), tt.config)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for sig := range p.directReceivers(l.config)[component.MustNewID("otlp")].writers {
				got = append(got, sig.String())
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("direct are %q, want %q", s, tt.want)
			}
		})
	}
}

// requests returns one request of each signal, with two items and a field that pdata does
// not know.
func requests(t *testing.T) map[model.Signal][]byte {
	t.Helper()
	md, ld, td := pmetric.NewMetrics(), plog.NewLogs(), oneTrace("a")
	addSpan(td, 2, "b", nil)
	g := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge()
	g.DataPoints().AppendEmpty().SetIntValue(1)
	g.DataPoints().AppendEmpty().SetIntValue(2)
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.AppendEmpty().Body().SetStr("a")
	records.AppendEmpty().Body().SetStr("b")
	out := map[model.Signal][]byte{}
	var errs [3]error
	out[model.Metrics], errs[0] = pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	out[model.Logs], errs[1] = plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	out[model.Traces], errs[2] = ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	for sig, b := range out {
		out[sig] = protowire.AppendString(protowire.AppendTag(b, 77, protowire.BytesType), "unknown")
	}
	return out
}

var services = map[model.Signal]string{model.Metrics: "metrics.v1.MetricsService", model.Logs: "logs.v1.LogsService", model.Traces: "trace.v1.TraceService"}

// call sends a request over gRPC.
func (r *rig) call(ctx context.Context, t *testing.T, sig model.Signal, body []byte) (*status.Status, []byte) {
	t.Helper()
	conn, err := grpc.NewClient(r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var res []byte
	err = conn.Invoke(ctx, "/opentelemetry.proto.collector."+services[sig]+"/Export", &body, &res, grpc.ForceCodecV2(rawCodec{}))
	return status.Convert(err), res
}

// TestDirectAnswersAsReceiver sends the same to a receiver that is bypassed and to one
// whose data goes through a processor that changes nothing, and compares answers, what is
// stored, and the receiver's own metrics.
func TestDirectAnswersAsReceiver(t *testing.T) {
	type answer struct {
		Code   int // of HTTP or gRPC
		Body   string
		Header string
	}
	// readable makes texts of messages: empty ones have several encodings.
	readable := func(media, body string, code int) string {
		if media != "application/x-protobuf" {
			var v any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				return body
			}
			return fmt.Sprint(v) // protojson varies its white space on purpose
		}
		if code == http.StatusOK {
			res := plogotlp.NewExportResponse() // all three look alike
			if err := res.UnmarshalProto([]byte(body)); err != nil {
				return err.Error()
			}
			return fmt.Sprint(res.PartialSuccess().RejectedLogRecords(), res.PartialSuccess().ErrorMessage())
		}
		return body
	}
	run := func(t *testing.T, config string) (answers map[string]answer, stored []string, tenants map[model.Tenant]int, metrics map[string]float64) {
		reg := prometheus.NewRegistry()
		r := (&rig{sink: new(sink), grpc: freePort(t), http: freePort(t)}).run(t, Options{Registerer: reg, Config: config})
		answers = map[string]answer{}
		for name, err := range map[string]error{
			"stored":     nil,
			"refused":    &store.Refused{Refusals: []store.Refusal{{Reason: store.ReasonTooOld, Count: 2, Sample: "x\xff"}}},
			"partly":     &store.Refused{Kept: 1, Refusals: []store.Refusal{{Reason: store.ReasonTooOld, Count: 1, Sample: "x\xff"}}},
			"too fast":   &store.Refused{Refusals: []store.Refusal{{Reason: store.ReasonRateLimited, Count: 2, Sample: "x"}}},
			"overloaded": fmt.Errorf("append: %w", store.ErrOverloaded),
			"read-only":  store.ErrReadOnly,
			"limit":      store.ErrLimit,
			"no store":   store.ErrUnsupported,
			"canceled":   context.Canceled,
			"unknown":    errors.New("input/output error"),
		} {
			r.sink.fail(err)
			for sig, body := range requests(t) {
				key := func(transport string) string { return name + " " + sig.String() + " " + transport }
				for _, media := range []string{"application/x-protobuf", "application/json; charset=utf-8"} {
					send := body
					if strings.HasPrefix(media, "application/json") {
						send = jsonRequest(t, sig.String())
					}
					res := r.do(t, http.MethodPost, "/v1/"+sig.String(), send, "Content-Type", media, "X-Scope-OrgID", "team-h")
					answers[key(media)] = answer{res.code, readable(media, res.body, res.code), res.header.Get("Content-Type") + " " + res.header.Get("Retry-After")}
				}
				st, res := r.call(metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "team-g"), t, sig, body)
				answers[key("gRPC")] = answer{int(st.Code()), readable("application/x-protobuf", string(res), http.StatusOK), fmt.Sprint(st.Message(), st.Details())}
			}
		}
		r.sink.fail(nil)
		body := requests(t)[model.Logs]
		for name, req := range map[string]struct {
			method, path string
			body         []byte
			header       []string
		}{
			"GET":              {http.MethodGet, "/v1/logs", nil, nil},
			"text":             {http.MethodPost, "/v1/logs", body, []string{"Content-Type", "text/plain"}},
			"no path":          {http.MethodPost, "/v1/log", body, nil},
			"other path":       {http.MethodPost, "//v1/logs", body, nil},
			"gzip":             {http.MethodPost, "/v1/logs", zip(t, body), []string{"Content-Encoding", "gzip"}},
			"no gzip":          {http.MethodPost, "/v1/logs", body, []string{"Content-Encoding", "gzip"}},
			"unknown encoding": {http.MethodPost, "/v1/logs", body, []string{"Content-Encoding", "x"}},
			"too deep":         {http.MethodPost, "/v1/logs", deepLogs(10_000), nil},
			"empty":            {http.MethodPost, "/v1/logs", nil, nil},
			"bad JSON":         {http.MethodPost, "/v1/logs", []byte(`{"resourceLogs":`), []string{"Content-Type", "application/json"}},
		} {
			res := r.do(t, req.method, req.path, req.body, req.header...)
			answers[name] = answer{res.code, readable(res.header.Get("Content-Type"), res.body, res.code), res.header.Get("Content-Type")}
		}
		if res := r.do(t, http.MethodPost, "/v1/logs", body[:9]); res.code != http.StatusBadRequest {
			t.Errorf("cut off over HTTP: %d %q", res.code, res.body)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Errorf("gather: %v", err)
		}
		metrics = map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if strings.HasPrefix(f.GetName(), "otelcol_receiver") {
					metrics[f.GetName()+fmt.Sprint(m.GetLabel())] = m.GetCounter().GetValue()
				}
			}
		}
		// The direct way finds the tenant first and does not read, or count, what is nobody's.
		res := r.do(t, http.MethodPost, "/v1/logs", body, "X-Scope-OrgID", "a/b")
		answers["bad tenant"] = answer{res.code, readable("application/x-protobuf", res.body, res.code), res.header.Get("Content-Type")}
		if st, _ := r.call(metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "a/b"), t, model.Logs, body); st.Code() != codes.InvalidArgument {
			t.Errorf("bad tenant over gRPC: %v", st)
		}
		return answers, r.sink.bodies, r.sink.tenants, metrics
	}
	direct, bodies, tenants, metrics := run(t, "")
	for name, want := range map[string]answer{ // what OTLP calls retryable
		"too fast traces gRPC":                   {Code: int(codes.ResourceExhausted)},
		"too fast traces application/x-protobuf": {Code: http.StatusTooManyRequests, Header: "application/x-protobuf 5"},
		"overloaded traces gRPC":                 {Code: int(codes.Unavailable)},
		"overloaded logs application/x-protobuf": {Code: http.StatusServiceUnavailable, Header: "application/x-protobuf 5"},
		"refused metrics gRPC":                   {Code: int(codes.InvalidArgument)},
		"refused logs application/x-protobuf":    {Code: http.StatusBadRequest, Header: "application/x-protobuf "},
	} {
		if got := direct[name]; got.Code != want.Code || want.Header != "" && got.Header != want.Header || want.Header == "" && want.Code != int(codes.InvalidArgument) && !strings.Contains(got.Header, "retry_delay:{seconds:5}") {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	through, slow, wantTenants, wantMetrics := run(t, "processors: {attributes: {actions: [{key: nothing, action: delete}]}}")
	if d := gocmp.Diff(through, direct); d != "" {
		t.Errorf("answers (-receiver +direct):\n%s", d)
	}
	if d := gocmp.Diff(wantTenants, tenants); d != "" {
		t.Errorf("tenants (-receiver +direct):\n%s", d)
	}
	if d := gocmp.Diff(wantMetrics, metrics); d != "" || len(metrics) == 0 {
		t.Errorf("metrics (-receiver +direct):\n%s", d)
	}
	for sig, body := range requests(t) {
		known := func(s string) bool { return strings.HasSuffix(s, "unknown") }
		if !slices.ContainsFunc(bodies, known) || slices.ContainsFunc(slow, known) {
			t.Errorf("the bytes that came are not the bytes that were sent")
		}
		if sig != model.Traces && !slices.Contains(bodies, string(body)) {
			t.Errorf("%s were not written as they came", sig)
		}
	}
}

// response is an answer over HTTP.
type response struct {
	code   int
	body   string
	header http.Header
}

// do sends a request to the OTLP/HTTP receiver.
func (r *rig) do(t *testing.T, method, path string, body []byte, header ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.http+path, bytes.NewReader(body))
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
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, b.String(), res.Header}
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestDirectBehindAuth has a receiver that authenticates: who is not let in reaches
// nothing, though gRPC reads requests first.
func TestDirectBehindAuth(t *testing.T) {
	g, h := freePort(t), freePort(t)
	r := (&rig{sink: new(sink), grpc: g, http: h}).run(t, Options{Registerer: prometheus.NewRegistry(), Config: `
extensions: {bearertokenauth: {token: secret}}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "` + g + `", auth: {authenticator: bearertokenauth}}
      http: {endpoint: "` + h + `", auth: {authenticator: bearertokenauth}}
exporters: {pharos: {tenant: mine}}
service:
  extensions: [bearertokenauth]
  pipelines: {logs: {receivers: [otlp], exporters: [pharos]}}`})
	body := requests(t)[model.Logs]
	if st, _ := r.call(t.Context(), t, model.Logs, body); st.Code() != codes.Unauthenticated {
		t.Errorf("no token over gRPC: %v", st)
	}
	if res := r.do(t, http.MethodPost, "/v1/logs", body); res.code != http.StatusUnauthorized {
		t.Errorf("no token over HTTP: %+v", res)
	}
	if len(r.sink.bodies) != 0 {
		t.Errorf("stored %q", r.sink.bodies)
	}
	if st, _ := r.call(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret"), t, model.Logs, body); st.Code() != codes.OK {
		t.Errorf("over gRPC: %v", st)
	}
	if res := r.do(t, http.MethodPost, "/v1/logs", body, "Authorization", "Bearer secret"); res.code != http.StatusOK {
		t.Errorf("over HTTP: %+v", res)
	}
	if d := gocmp.Diff([]string{string(body), string(body)}, r.sink.bodies); d != "" || r.sink.tenants["mine"] != 4 {
		t.Errorf("tenants %v, bodies (-want +got):\n%s", r.sink.tenants, d)
	}
}

// TestDirectFollowsReload changes between a plain pipeline and one with a processor.
func TestDirectFollowsReload(t *testing.T) {
	r := start(t, "")
	for i, config := range []string{"", "processors: {batch: {timeout: 1ms}}", ""} {
		if err := r.Reload(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		body := requests(t)[model.Metrics]
		if st, _ := r.call(t.Context(), t, model.Metrics, body); st.Code() != codes.OK {
			t.Fatal(st)
		}
		eventually(t, "the points are stored", func() bool {
			r.sink.mu.Lock()
			defer r.sink.mu.Unlock()
			return len(r.sink.bodies) == i+1
		})
		if got := r.sink.bodies[i] == string(body); got != (config == "") {
			t.Errorf("reload %d: written as it came: %t", i, got)
		}
	}
}

// ExportLogsServiceRequest stands for pdata's, of which the codec knows the name.
type ExportLogsServiceRequest struct{ _ int }

// TestCodecHoldsNothingBack leaves no request behind, however it ends.
func TestCodecHoldsNothingBack(t *testing.T) {
	pool := &countingPool{BufferPool: mem.NewTieredBufferPool(1 << 20)}
	c := newCodec(&bypass{directReceiver: &directReceiver{writers: map[model.Signal]*sinkExporter{model.Logs: {}}}})
	c.pool = pool
	half := make([]byte, 100_000)
	msg := mem.BufferSlice{mem.SliceBuffer(half), mem.SliceBuffer(half)}
	for _, want := range []error{nil, errors.New("not let in")} {
		v := new(ExportLogsServiceRequest)
		if err := c.Unmarshal(msg, v); err == nil {
			_, err = c.hold(t.Context(), v, nil, func(ctx context.Context, _ any) (any, error) {
				if h, ok := ctx.Value(heldKey{}).(held); !ok || h.signal != model.Logs || h.body.Len() != 2*len(half) {
					t.Errorf("held %v", h)
				}
				return nil, want
			})
			if !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
		}
	}
	deep := deepLogs(10_000)
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(deep[:5]), mem.SliceBuffer(deep[5:])}, new(ExportLogsServiceRequest)); err == nil {
		t.Error("too deep a request was read")
	}
	if len(c.held) != 0 || pool.out != 0 {
		t.Errorf("%d requests are held, %d buffers not put back", len(c.held), pool.out)
	}
}

// countingPool counts the buffers that are out.
type countingPool struct {
	mem.BufferPool
	out int
}

func (p *countingPool) Get(n int) *[]byte { p.out++; return p.BufferPool.Get(n) }

func (p *countingPool) Put(b *[]byte) { p.out--; p.BufferPool.Put(b) }

// TestDirectKeepsRequestsApart sends many at a time: each arrives as it was sent, though
// buffers are used again.
func TestDirectKeepsRequestsApart(t *testing.T) {
	r := start(t, "")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var sent []string
	for i := range 8 {
		wg.Go(func() {
			for k := range 10 {
				ld := plog.NewLogs()
				lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				lr.Body().SetStr(strings.Repeat(fmt.Sprint(i, k, " "), 1000*(i+1)))
				b, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					if res := r.do(t, http.MethodPost, "/v1/logs", b); res.code != http.StatusOK {
						t.Errorf("%+v", res)
					}
				} else if st, _ := r.call(t.Context(), t, model.Logs, b); st.Code() != codes.OK {
					t.Error(st)
				}
				mu.Lock()
				sent = append(sent, string(b))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(sent, cmp.Compare)
	slices.SortFunc(r.sink.bodies, cmp.Compare)
	if !slices.Equal(sent, r.sink.bodies) {
		t.Errorf("%d requests arrived of %d, or they are not the same", len(r.sink.bodies), len(sent))
	}
}
