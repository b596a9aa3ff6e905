package tracestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// shop generates batches of spans as a busy shop with a dozen services sends them: about
// 20 attributes a span, some of many values.
type shop struct {
	rng *rand.Rand
	now int64
}

func newShop(seed uint64, now time.Time) *shop {
	return &shop{rng: rand.New(rand.NewPCG(seed, 1)), now: now.UnixNano()}
}

// batch returns a message of one service with about n spans of traces of 10 to 30 spans.
func (s *shop) batch(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	var spans [12]ptrace.SpanSlice
	for i := range spans {
		rs := td.ResourceSpans().AppendEmpty()
		m := rs.Resource().Attributes()
		m.PutStr("service.name", fmt.Sprint("service-", i))
		m.PutStr("service.version", "1.4.2")
		m.PutStr("host.name", fmt.Sprint("node-", i%4))
		m.PutStr("k8s.pod.name", fmt.Sprintf("service-%d-7d9f8c6b5-x%dk2v", i, i))
		m.PutStr("telemetry.sdk.name", "opentelemetry")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("io.opentelemetry.http")
		ss.Scope().SetVersion("2.1.0")
		spans[i] = ss.Spans()
	}
	for total := 0; total < n; {
		var trace pcommon.TraceID
		for i := range trace {
			trace[i] = byte(s.rng.Uint32())
		}
		s.now += s.rng.Int64N(20_000_000)
		var ids []pcommon.SpanID
		at := s.now
		for range 10 + s.rng.IntN(20) {
			var id pcommon.SpanID
			for i := range id {
				id[i] = byte(s.rng.Uint32())
			}
			span := spans[s.rng.IntN(len(spans))].AppendEmpty()
			span.SetTraceID(trace)
			span.SetSpanID(id)
			if len(ids) > 0 {
				span.SetParentSpanID(ids[s.rng.IntN(len(ids))])
			}
			ids = append(ids, id)
			at += s.rng.Int64N(3_000_000)
			s.fill(span, at)
			total++
		}
	}
	return td
}

func (s *shop) fill(span ptrace.Span, at int64) {
	r := s.rng
	route := r.IntN(40)
	span.SetName(fmt.Sprint("GET /api/v1/things/{id}/", route))
	span.SetKind(ptrace.SpanKind(1 + r.IntN(3)))
	span.SetStartTimestamp(pcommon.Timestamp(at))
	span.SetEndTimestamp(pcommon.Timestamp(at + int64(r.ExpFloat64()*8_000_000)))
	m := span.Attributes()
	m.PutStr("http.request.method", "GET")
	m.PutStr("http.route", fmt.Sprint("/api/v1/things/{id}/", route))
	m.PutStr("url.path", fmt.Sprintf("/api/v1/things/%d/%d", r.IntN(100_000), route))
	m.PutStr("url.scheme", "https")
	status := int64(200)
	if r.IntN(50) == 0 {
		status = 500
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage("upstream failed")
		e := span.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(pcommon.Timestamp(at + 1000))
		e.Attributes().PutStr("exception.type", "TimeoutError")
	}
	m.PutInt("http.response.status_code", status)
	m.PutStr("server.address", fmt.Sprintf("service-%d.shop.svc", r.IntN(12)))
	m.PutInt("server.port", 8080)
	m.PutStr("network.peer.address", fmt.Sprintf("10.0.%d.%d", r.IntN(4), r.IntN(60)))
	m.PutInt("network.peer.port", 30000+r.Int64N(30000))
	m.PutStr("network.protocol.version", "1.1")
	m.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) shop/"+fmt.Sprint(r.IntN(20)))
	m.PutInt("http.response.body.size", r.Int64N(20_000))
	m.PutInt("thread.id", r.Int64N(64))
	m.PutStr("thread.name", fmt.Sprint("worker-", r.IntN(64)))
	if r.IntN(3) == 0 {
		m.PutStr("db.system", "postgresql")
		m.PutStr("db.statement", fmt.Sprintf("SELECT * FROM things WHERE kind = $1 AND shard = %d", r.IntN(30)))
		m.PutStr("db.name", "shop")
	} else {
		m.PutStr("user.tier", []string{"free", "pro", "team"}[r.IntN(3)])
		m.PutBool("cache.hit", r.IntN(2) == 0)
		m.PutDouble("sampling.weight", 1)
	}
	m.PutStr("deployment.environment", "production")
}

// benchStore opens a store with its log and the usual options.
func benchStore(b *testing.B, now time.Time) (*Store, func()) {
	dir := b.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(dir+"/traces", log, Options{Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	return s, func() {
		_ = s.Close()
		_ = log.Close(context.Background())
	}
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIngest measures a span from OTLP data to merged parts: log, head, a flush
// every 100,000 spans, merges.
func BenchmarkIngest(b *testing.B) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	g := newShop(1, now)
	s, done := benchStore(b, now)
	defer done()
	ctx := b.Context()
	var appending, flushing, merging time.Duration
	measure := func(into *time.Duration, f func() error) {
		begin := cpu()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		*into += cpu() - begin
	}
	total, flushed := 0, 0
	for total < b.N {
		var batches []*spans.Batch
		for range 20 {
			batches = append(batches, storetest.Spans(g.batch(1000)))
		}
		runtime.GC()
		measure(&appending, func() error {
			for _, in := range batches {
				if err := s.Append(ctx, model.DefaultTenant, in); err != nil {
					return err
				}
				total += len(in.Spans)
			}
			return nil
		})
		if total-flushed > 100_000 || total >= b.N {
			measure(&flushing, func() error { return s.Flush(ctx) })
			measure(&merging, func() error { return s.Merge(ctx) })
			flushed = total
		}
	}
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(total) }
	b.ReportMetric(per(appending), "append-us/span")
	b.ReportMetric(per(flushing), "flush-us/span")
	b.ReportMetric(per(merging), "merge-us/span")
	b.ReportMetric(float64(s.parts.Size())/float64(total), "disk-B/span")
	b.ReportMetric(float64(s.log.End())/float64(total), "wal-B/span")
}

// BenchmarkRead measures reads of 200,000 spans in parts.
func BenchmarkRead(b *testing.B) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	g := newShop(1, now)
	s, done := benchStore(b, now)
	defer done()
	ctx := b.Context()
	var ids []model.TraceID
	for i := range 200 {
		td := g.batch(1000)
		ids = append(ids, model.TraceID(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceID()))
		if err := s.Append(ctx, model.DefaultTenant, storetest.Spans(td)); err != nil {
			b.Fatal(err)
		}
		if i%50 == 49 {
			if err := s.Flush(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("trace", func(b *testing.B) {
		begin := cpu()
		defer func() { b.ReportMetric(float64((cpu()-begin).Microseconds())/float64(b.N), "cpu-us") }()
		for i := range b.N {
			if _, err := s.Trace(ctx, model.DefaultTenant, ids[i%len(ids)], model.TimeRange{}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("absent trace", func(b *testing.B) {
		for i := range b.N {
			id := ids[i%len(ids)]
			id[8]++
			_, _ = s.Trace(ctx, model.DefaultTenant, id, model.TimeRange{}, nil)
		}
	})
	status := store.SpanPredicate{Attrs: []store.Attr{{Scope: store.ScopeSpan, Name: "http.response.status_code"}}, Op: store.OpEqual, Type: store.ValueInt, Int: 500}
	none := status
	none.Int = 418
	slow := store.SpanPredicate{Attrs: []store.Attr{{Scope: store.ScopeIntrinsic, Name: store.IntrinsicDuration}}, Op: store.OpGreater, Type: store.ValueInt, Int: 80_000_000}
	for _, q := range []struct {
		name string
		sel  store.SpanSelector
	}{
		{"all", store.SpanSelector{}},
		{"status", store.SpanSelector{Where: [][]store.SpanPredicate{{status}}}},
		{"slow", store.SpanSelector{Where: [][]store.SpanPredicate{{slow}}, Attrs: status.Attrs}},
		{"none", store.SpanSelector{Where: [][]store.SpanPredicate{{none}}}},
	} {
		q.sel.Range = model.TimeRange{From: 0, To: 1 << 62}
		b.Run("scan "+q.name, func(b *testing.B) {
			n, begin := 0, cpu()
			for range b.N {
				for r, err := range s.Scan(ctx, model.DefaultTenant, q.sel) {
					if err != nil {
						b.Fatal(err)
					}
					n += r.Len()
				}
			}
			b.ReportMetric(float64(n)/float64(b.N), "spans")
			b.ReportMetric(float64((cpu()-begin).Microseconds())/float64(b.N), "cpu-us")
		})
	}
}
