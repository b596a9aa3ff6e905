package tempo

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// limited serves the fixture with limits.
func limited(t *testing.T, traceBytes int64, series int) *http.ServeMux {
	t.Helper()
	s := storetest.NewTraces()
	load(t, s)
	a := New(Options{Reader: s, Index: s, Door: query.New(query.Options{}), MaxBytesPerTrace: traceBytes, MaxSeries: series})
	mux := http.NewServeMux()
	a.Register(mux, "")
	mux.Handle("POST /tempopb.StreamingQuerier/", a.GRPC())
	return mux
}

// TestTraceTooBig asks for a trace of six spans that is longer than the limit.
func TestTraceTooBig(t *testing.T) {
	whole := get(t, limited(t, 1<<20, 0), "/api/v2/traces/a1", "Accept", "application/protobuf")
	if n := strings.Count(get(t, limited(t, 1<<20, 0), "/api/v2/traces/a1").Body.String(), `"spanId"`); n != 6 {
		t.Fatalf("the trace has %d spans", n)
	}
	h := limited(t, 400, 0)
	v2 := get(t, h, "/api/v2/traces/a1")
	shown := strings.Count(v2.Body.String(), `"spanId"`)
	message := fmt.Sprintf("query.max_bytes_per_trace is 400: of its 6 spans the first %d are shown", shown)
	if v2.Code != http.StatusOK || shown == 0 || shown == 6 || !strings.Contains(v2.Body.String(), `"status":"PARTIAL"`) || !strings.Contains(v2.Body.String(), message) {
		t.Errorf("%d %s, want PARTIAL and %q", v2.Code, v2.Body, message)
	}
	if !strings.Contains(v2.Body.String(), `"name":"GET /cart"`) {
		t.Error("the root span, which starts first, is missing")
	}
	f, err := parseFields(get(t, h, "/api/v2/traces/a1", "Accept", "application/protobuf").Body.Bytes())
	if err != nil || f.number(3) != 1 || len(f[1][0].b) > 400 || len(f[1][0].b) >= whole.Body.Len() {
		t.Errorf("protobuf: %v, status %d, trace of %d bytes", err, f.number(3), len(f[1][0].b))
	}
	if w := get(t, h, "/api/traces/a1"); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "trace exceeds max size (max bytes: 400)") {
		t.Errorf("v1: %d %s", w.Code, w.Body)
	}
	filtered := get(t, limited(t, 100, 0), `/api/v2/traces/a1?q={ name != "nope" }`).Body.String()
	if !strings.Contains(filtered, "spans the first 1 are shown; only the spans that q asks for") {
		t.Errorf("with a filter: %s", filtered)
	}
	if w := get(t, limited(t, 1, 0), "/api/v2/traces/ffff"); strings.Contains(w.Body.String(), "PARTIAL") {
		t.Errorf("a trace that is not there: %s", w.Body)
	}
}

func TestCutTrace(t *testing.T) {
	td := ptrace.NewTraces()
	for i := range 50 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutInt("n", int64(i))
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetSpanID(pcommon.SpanID{byte(i + 1)})
		s.SetStartTimestamp(pcommon.Timestamp(1000 - i)) // the last one is the first
		s.SetName(strings.Repeat("x", 10*i))
	}
	sizer := &ptrace.ProtoMarshaler{}
	whole := sizer.TracesSize(td)
	for _, limit := range []int64{0, 1 << 30, int64(whole)} {
		if why := cutTrace(td, limit); why != "" || td.SpanCount() != 50 {
			t.Fatalf("limit %d of %d bytes: %d spans, %q", limit, whole, td.SpanCount(), why)
		}
	}
	for limit := int64(whole) - 1; limit > 3000; limit -= 997 {
		c := ptrace.NewTraces()
		td.CopyTo(c)
		why := cutTrace(c, limit)
		kept := c.ResourceSpans().Len()
		if n, ok := c.ResourceSpans().At(0).Resource().Attributes().Get("n"); why == "" || !ok || n.Int() != int64(50-kept) || int64(sizer.TracesSize(c)) > limit {
			t.Errorf("limit %d: %d spans of %d bytes, %q", limit, kept, sizer.TracesSize(c), why)
		}
	}
	if cutTrace(td, 1); td.SpanCount() != 1 {
		t.Errorf("%d spans stay at least", td.SpanCount())
	}
}

// TestTooManySeries asks for more series than the limit.
func TestTooManySeries(t *testing.T) {
	const q = `/api/metrics/query_range?q={ } | rate() by (name)&&&step=60&&&W`
	all := strings.Count(get(t, limited(t, 0, 0), q).Body.String(), `"labels":[{"key":"name"`)
	for _, tt := range []struct {
		limit int
		more  string // of the query
		want  int
	}{
		{0, "", all}, {all, "", all}, {2, "", 2}, {1000, "&&&maxSeries=3", 3}, {2, "&&&maxSeries=3", 2}, {0, "&&&maxSeries=1", 1}, {2, "&&&maxSeries=0", 2},
	} {
		h := limited(t, 0, tt.limit)
		for _, path := range []string{q, strings.Replace(q, "query_range", "query", 1)} {
			w := get(t, h, path+tt.more)
			body := w.Body.String()
			partial := fmt.Sprintf(`"status":"PARTIAL","message":"the query has %d series, the limit is %d: the others are left out"`, all, tt.want)
			if w.Code != http.StatusOK || strings.Count(body, `"labels":[{"key":"name"`) != tt.want || strings.Contains(body, partial) != (tt.want < all) {
				t.Errorf("limit %d %s: %d %s", tt.limit, tt.more, w.Code, body)
			}
		}
	}
	if w := get(t, limited(t, 0, 2), q+"&&&maxSeries=x"); w.Code != http.StatusBadRequest {
		t.Errorf("maxSeries=x: %d %s", w.Code, w.Body)
	}
	const from, to, ns = fixtureSecond - 30, fixtureSecond + 30, 1_000_000_000
	got, err := ask(t.Context(), dialTo(t, limited(t, 0, 3)), "MetricsQueryRange", request(1, `{ } | rate() by (name)`, 2, from*ns, 3, to*ns, 4, 60*ns, 17, 2))
	if err != nil || len(got) != 1 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	f, err := parseFields(got[0])
	if err != nil || len(f[1]) != 2 || f.number(3) != 1 || !strings.Contains(f.text(4), "the limit is 2") {
		t.Errorf("stream: %d series, status %d, %q, %v", len(f[1]), f.number(3), f.text(4), err)
	}
}
