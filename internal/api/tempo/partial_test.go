package tempo

// What streams tell before their answer: a search the traces that are certain, a metrics
// query its series so far.

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
	"github.com/pharos-o11y/pharos/internal/traceql"
	"github.com/pharos-o11y/pharos/internal/traceql/traceqltest"
	"github.com/pharos-o11y/pharos/internal/tracestore"
)

const (
	halfHour   = 30 // files
	perMinute  = 4  // traces
	minuteNano = int64(time.Minute)
)

// newTimeline fills two stores with half an hour of traces: a file a minute, the last minutes
// in memory, and spans that come late.
func newTimeline(t testing.TB, seed uint64, tenants ...model.Tenant) *twins {
	t.Helper()
	dir := t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1, Sync: wal.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	s, err := tracestore.Open(dir+"/traces", log, tracestore.Options{Now: func() time.Time { return time.Unix(0, fixtureT0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), log.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	plain := storetest.NewTraces()
	rng := rand.New(rand.NewPCG(seed, 4))
	for n := range halfHour {
		for _, tenant := range tenants {
			td := minuteOf(rng, n)
			for _, w := range []store.TraceWriter{s, plain} {
				if err := w.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n < halfHour-2 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &twins{s, plain}
}

// minuteOf makes the spans that come in minute n, some of them late.
func minuteOf(rng *rand.Rand, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	g := traceqltest.Generator{Rand: rng}
	add := func(trace int, at int64) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", g.Pick("typed", "tree", "frontend", "x"))
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		var id pcommon.TraceID
		binary.BigEndian.PutUint64(id[:], uint64(trace+1)*0x9e3779b97f4a7c15)
		sp.SetTraceID(id)
		sp.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, rng.Uint64()|1)))
		sp.SetName(g.Pick("A", "B", "C", "GET /cart"))
		sp.SetKind(ptrace.SpanKind(rng.IntN(6)))
		sp.Status().SetCode(ptrace.StatusCode(rng.IntN(3)))
		sp.SetStartTimestamp(pcommon.Timestamp(at))
		sp.SetEndTimestamp(pcommon.Timestamp(at + []int64{0, 1e6, 10e6, 1e9, 3e9}[rng.IntN(5)]))
		putRandom(g, sp.Attributes(), "a")
		putRandom(g, sp.Attributes(), "v")
		if rng.IntN(3) == 0 {
			sp.Events().AppendEmpty().SetName(g.Pick("log", "exception"))
		}
	}
	minute := func(n int) int64 { return fixtureT0 - (halfHour-int64(n))*minuteNano + rng.Int64N(minuteNano) }
	for k := range perMinute {
		for range 1 + rng.IntN(4) {
			add(n*perMinute+k, minute(n))
		}
	}
	old := rng.IntN(n*perMinute + 1)
	add(old, minute(old/perMinute))
	add(rng.IntN(n*perMinute+1), minute(n))
	return td
}

func timelineRange() model.TimeRange {
	return model.TimeRange{From: fixtureT0 - 40*minuteNano, To: fixtureT0 + minuteNano}
}

// TestPartialSearch asks random queries: what comes before the answer is its beginning, and
// the answer that of a plain search and of the store in memory.
func TestPartialSearch(t *testing.T) {
	early, valid := 0, 0
	for seed := range uint64(3) {
		w := newTimeline(t, seed, model.DefaultTenant)
		g := traceqltest.Generator{Rand: rand.New(rand.NewPCG(seed, 5))}
		queries := []string{"{}", "{ status = error }", "{ kind = server } | select(event:name, span.v)", "{ status = error } >> { }", "{ } | count() > 3"}
		for range 150 {
			queries = append(queries, g.Any())
		}
		for _, q := range queries {
			e, err := traceql.Parse(q)
			if err != nil {
				continue
			}
			valid++
			for _, limit := range []int{1, 7, 1000} {
				var parts []traceql.Trace
				p := traceql.Params{Range: timelineRange(), Limit: limit, SpansPerSpanset: 100}
				want, err1 := traceql.Search(t.Context(), w.plain, model.DefaultTenant, e, p)
				plain, err2 := traceql.Search(t.Context(), w.real, model.DefaultTenant, e, p)
				p.Due = func() bool { return true }
				p.Take = func(more []traceql.Trace) error {
					if len(more) == 0 {
						t.Errorf("%s: a part of nothing", q)
					}
					parts = append(parts, more...)
					return nil
				}
				got, err3 := traceql.Search(t.Context(), w.real, model.DefaultTenant, e, p)
				if !same(err1, err2) || !same(err1, err3) {
					t.Errorf("%s: errors %v, %v, %v", q, err1, err2, err3)
				}
				if err1 != nil {
					continue
				}
				if diff := differences(want.Traces, plain.Traces); diff != "" {
					t.Errorf("%s, limit %d: plain (-memory +store):\n%s", q, limit, diff)
				}
				if !reflect.DeepEqual(plain.Traces, got.Traces) {
					t.Errorf("%s, limit %d: in parts it answers otherwise:\n%s", q, limit, differences(plain.Traces, got.Traces))
				}
				if len(parts) > len(got.Traces) || len(parts) > 0 && !reflect.DeepEqual(parts, got.Traces[:len(parts)]) {
					t.Errorf("%s, limit %d: %d traces came before, not the first of the answer", q, limit, len(parts))
				}
				early += len(parts)
			}
		}
	}
	if valid < 100 || early < 1000 {
		t.Errorf("%d valid queries, %d traces before the end", valid, early)
	}
}

// TestPartialRefused ends a query when nobody takes its results.
func TestPartialRefused(t *testing.T) {
	w := newTimeline(t, 1, model.DefaultTenant)
	gone := errors.New("gone")
	now := func() bool { return true }
	e, err := traceql.Parse("{}")
	if err != nil {
		t.Fatal(err)
	}
	p := traceql.Params{Range: timelineRange(), Limit: 1000, Due: now, Take: func([]traceql.Trace) error { return gone }}
	if _, err := traceql.Search(t.Context(), w.real, model.DefaultTenant, e, p); !errors.Is(err, gone) {
		t.Errorf("search: error %v", err)
	}
	if e, err = traceql.Parse("{} | rate()"); err != nil {
		t.Fatal(err)
	}
	m := traceql.MetricParams{Start: timelineRange().From, End: timelineRange().To, Due: now, Take: func([]traceql.Series) error { return gone }}
	if _, err := traceql.Metrics(t.Context(), w.real, model.DefaultTenant, e, m); !errors.Is(err, gone) {
		t.Errorf("metrics: error %v", err)
	}
}

// steppedTraces is a store for which each batch takes a second.
type steppedTraces struct {
	storetest.TraceStore
	seconds *atomic.Int64
}

func (s steppedTraces) Scan(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		for rows, err := range s.TraceStore.Scan(ctx, tenant, sel) {
			s.seconds.Add(1)
			if !yield(rows, err) {
				return
			}
		}
	}
}

// serveSlowly serves s with a clock that goes on a second with each batch.
func serveSlowly(s storetest.TraceStore, tenancy api.Tenancy) *http.ServeMux {
	var seconds atomic.Int64
	slow := steppedTraces{s, &seconds}
	a := New(Options{Reader: slow, Index: slow, Door: query.New(query.Options{}), Tenancy: tenancy, Now: func() time.Time {
		return time.Unix(fixtureSecond+seconds.Load(), 0)
	}})
	mux := http.NewServeMux()
	a.Register(mux, "")
	mux.Handle("POST /tempopb.StreamingQuerier/", a.GRPC())
	return mux
}

// TestPartialStream merges the messages of streams as clients do: traces by id, series by
// labels.
func TestPartialStream(t *testing.T) {
	w := newTimeline(t, 7, "a", "b")
	mux := serveSlowly(w.real, api.Tenancy{Enabled: true})
	conn := dialTo(t, mux)
	const from, to, ns = fixtureSecond - 2400, fixtureSecond + 60, 1_000_000_000
	const window = "&&&start=1795464204&&&end=1795466664"
	for _, tt := range []struct {
		tenant, method string
		req            []byte
		http           string // the same question
		parts          bool   // there are results before the answer
	}{
		{"a", "Search", request(4, 500, 5, from, 6, to, 8, `{ status = error }`), `/api/search?q={ status = error }&&&limit=500` + window, true},
		{"a", "Search", request(4, 50, 5, from, 6, to, 8, `{ kind = server } | select(event:name)`), `/api/search?q={ kind = server } | select(event:name)&&&limit=50` + window, true},
		{"a|b", "Search", request(4, 500, 5, from, 6, to, 8, `{ status = error }`), `/api/search?q={ status = error }&&&limit=500` + window, true},
		{"a", "Search", request(4, 500, 5, from, 6, to, 8, `{ } with (order_by="duration")`), `/api/search?q={ } with (order_by="duration")&&&limit=500` + window, false},
		{"a", "MetricsQueryRange", request(1, `{ } | rate() by (name)`, 2, from*ns, 3, to*ns, 4, 60*ns), `/api/metrics/query_range?q={ } | rate() by (name)&&&step=60s` + window, true},
		{"a", "MetricsQueryRange", request(1, `{ } | sum_over_time(duration) by (resource.service.name)`, 2, from*ns, 3, to*ns, 4, 60*ns), `/api/metrics/query_range?q={ } | sum_over_time(duration) by (resource.service.name)&&&step=60s` + window, true},
		{"a|b", "MetricsQueryRange", request(1, `{ } | quantile_over_time(duration, 0.5, 0.9)`, 2, from*ns, 3, to*ns, 4, 60*ns), `/api/metrics/query_range?q={ } | quantile_over_time(duration, 0.5, 0.9)&&&step=60s` + window, true},
		{"a|b", "MetricsQueryInstant", request(1, `{ } | count_over_time() by (status)`, 2, from*ns, 3, to*ns), `/api/metrics/query?q={ } | count_over_time() by (status)` + window, true},
		{"a|b", "MetricsQueryRange", request(1, `{ } | rate() by (name) | topk(1)`, 2, from*ns, 3, to*ns, 4, 60*ns), `/api/metrics/query_range?q={ } | rate() by (name) | topk(1)&&&step=60s` + window, false},
		{"a|b", "MetricsQueryRange", request(1, `{ } | compare({ status = error })`, 2, from*ns, 3, to*ns, 4, 60*ns), `/api/metrics/query_range?q={ } | compare({ status = error })&&&step=60s` + window, false},
	} {
		t.Run(tt.tenant+" "+tt.http, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", tt.tenant)
			got, err := ask(ctx, conn, tt.method, tt.req)
			if err != nil {
				t.Fatal(err)
			}
			want := get(t, mux, tt.http, "Accept", "application/protobuf", "X-Scope-OrgID", tt.tenant)
			if want.Code != http.StatusOK {
				t.Fatalf("over HTTP: %d %s", want.Code, want.Body)
			}
			merged, last := map[string]string{}, map[string]string{}
			early := 0
			for i, m := range append(got, want.Body.Bytes()) {
				f, err := parseFields(m)
				if err != nil {
					t.Fatal(err)
				}
				if i == len(got) {
					for _, x := range f[1] {
						last[resultKey(t, tt.method, x.b)] = string(x.b)
					}
					break
				}
				if i < len(got)-1 {
					early += len(f[1])
				}
				for _, x := range f[1] {
					merged[resultKey(t, tt.method, x.b)] = string(x.b)
				}
			}
			if !reflect.DeepEqual(merged, last) || len(last) == 0 {
				t.Errorf("a client that merges has\n%q, over HTTP\n%q", merged, last)
			}
			if tt.parts != (early > 0) || len(got) < 2 {
				t.Errorf("%d results in %d messages before the answer", early, len(got)-1)
			}
			answer, _ := parseFields(got[len(got)-1])
			plain, _ := parseFields(want.Body.Bytes())
			if !reflect.DeepEqual(answer[1], plain[1]) {
				t.Errorf("the last message is not the answer over HTTP")
			}
		})
	}
}

// resultKey is by what a client merges traces or series.
func resultKey(t *testing.T, method string, b []byte) string {
	t.Helper()
	f, err := parseFields(b)
	if err != nil {
		t.Fatal(err)
	}
	if method == "Search" {
		return f.text(1)
	}
	key := ""
	for _, label := range f[1] {
		key += string(label.b) + ";"
	}
	return key
}

// endlessTraces is a store whose scans end with their context.
type endlessTraces struct {
	storetest.TraceStore
	ended chan struct{}
}

func (s endlessTraces) Scan(ctx context.Context, _ model.Tenant, _ store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		defer close(s.ended)
		for ctx.Err() == nil {
			if !yield(&store.SpanRows{}, nil) {
				return
			}
		}
		yield(nil, ctx.Err())
	}
}

// TestStreamCancel leaves a stream: its scan ends.
func TestStreamCancel(t *testing.T) {
	for method, req := range map[string][]byte{
		"Search":              request(8, "{}"),
		"MetricsQueryRange":   request(1, "{} | rate()"),
		"MetricsQueryInstant": request(1, "{} | count_over_time()"),
	} {
		t.Run(method, func(t *testing.T) {
			s := endlessTraces{storetest.NewTraces(), make(chan struct{})}
			a := New(Options{Reader: s, Index: s, Door: query.New(query.Options{})})
			mux := http.NewServeMux()
			mux.Handle("POST /tempopb.StreamingQuerier/", a.GRPC())
			conn := dialTo(t, mux)
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{StreamName: method, ServerStreams: true}, "/tempopb.StreamingQuerier/"+method, grpc.ForceCodec(rawCodec{}))
			if err != nil {
				t.Fatal(err)
			}
			raw := rawMessage(req)
			if err := errors.Join(stream.SendMsg(&raw), stream.CloseSend()); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(&raw); err != nil {
				t.Fatal(err)
			}
			cancel()
			<-s.ended
			for err == nil {
				err = stream.RecvMsg(&raw)
			}
			if errors.Is(err, io.EOF) {
				t.Error("the stream ends as if it were complete")
			}
		})
	}
}
