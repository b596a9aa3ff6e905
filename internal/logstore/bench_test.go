package logstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// benchLines makes lines of about 150 bytes in several shapes, a third of them with a
// trace id.
type benchLines struct {
	rng *rand.Rand
	at  int64
	// traces are some of the trace ids that occurred.
	traces []string
}

func newBenchLines(seed uint64) *benchLines {
	return &benchLines{rng: rand.New(rand.NewPCG(seed, 1)), at: storetest.Now().Add(-2 * time.Hour).UnixNano()}
}

func (g *benchLines) entry() store.LogEntry {
	r := g.rng
	g.at += r.Int64N(2_000_000)
	level := [...]string{"INFO", "INFO", "INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"}[r.IntN(10)]
	method := [...]string{"GET", "GET", "GET", "POST", "PUT", "DELETE"}[r.IntN(6)]
	path := [...]string{"/api/users/", "/api/orders/", "/api/products/", "/api/carts/", "/internal/jobs/"}[r.IntN(5)]
	status := 200
	switch n := r.IntN(100); {
	case n < 2:
		status = 500 + r.IntN(4)
	case n < 8:
		status = 404
	}
	id, ms, trace := r.IntN(100_000), r.IntN(900), fmt.Sprintf("%016x", r.Uint64())
	if r.IntN(5000) == 0 {
		g.traces = append(g.traces, trace)
	}
	at := time.Unix(0, g.at).UTC()
	text := at.Format("2006-01-02 15:04:05.000")
	var line string
	switch kind := r.IntN(100); {
	case kind < 30:
		line = fmt.Sprintf(`{"timestamp":"%s","level":"%s","message":"request handled","method":"%s","endpoint":"%s{id}","status_code":%d,"duration_ms":%d,"user_id":"user_%05d","trace_id":"%s%016x"}`,
			at.Format(time.RFC3339Nano), level, method, path, status, ms, id, trace, r.Uint64())
	case kind < 80:
		line = fmt.Sprintf("%s %-5s [worker-%d] %s %s%d from 10.%d.%d.%d status=%d took=%dms trace=%s", text, level, r.IntN(16), method, path, id, r.IntN(256), r.IntN(256), r.IntN(256), status, ms, trace)
	case kind < 97:
		line = fmt.Sprintf("%s %-5s [db-pool] query on table %s returned %d rows in %d.%03dms (connection %d of 64)", text, level, path[5:8], id%977, ms, id%1000, r.IntN(64))
	default:
		line = fmt.Sprintf("%s ERROR [worker-%d] com.example.shop.PaymentException: upstream timed out after %dms at com.example.shop.Client.call(Client.java:%d)", text, r.IntN(16), ms*10, r.IntN(400))
	}
	if r.IntN(100_000) == 0 {
		line += " marker=deadbeefcafe"
	}
	return store.LogEntry{Time: g.at, Line: line}
}

// cpu returns the CPU time of the process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// filled is what fill wrote: bytes of lines, entries, some of the trace ids, and the CPU
// time of appending and flushing.
type filled struct {
	raw, entries int
	traces       []string
	spent        time.Duration
}

// fill appends about size bytes of lines in batches of 1000 over n streams.
func fill(t testing.TB, o *opened, size, n int) (f filled) {
	t.Helper()
	g := newBenchLines(1)
	group := min(n, 10) // streams in a batch
	if n >= 5000 {
		group = 1000
	}
	per := 1000 / group
	next := 0
	for f.raw < size {
		b := &store.LogBatch{}
		for range group {
			s := store.LogStream{Labels: model.Labels{{Name: "app", Value: fmt.Sprint("app-", next%20)}, {Name: "pod", Value: fmt.Sprint("pod-", next)}}}
			next = (next + 1) % n
			for range per {
				e := g.entry()
				f.raw += len(e.Line)
				s.Entries = append(s.Entries, e)
			}
			f.entries += per
			b.Streams = append(b.Streams, s)
		}
		begin := cpu()
		if err := o.Append(context.Background(), "bench", b); err != nil {
			t.Fatal(err)
		}
		if o.reg.active.full(&o.opts) {
			if err := o.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		f.spent += cpu() - begin
	}
	begin := cpu()
	if err := o.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.spent += cpu() - begin
	f.traces = g.traces
	return f
}

// BenchmarkIngest reports the CPU of appending, flushing and merging, and the disk.
func BenchmarkIngest(b *testing.B) {
	for _, streams := range []int{1, 100, 5000, 100_000} {
		b.Run(fmt.Sprint("streams=", streams), func(b *testing.B) {
			for range b.N {
				o := openAt(b, b.TempDir(), Options{HeadSize: 16 << 20, Limits: Limits{MaxStreams: -1}})
				f := fill(b, o, 150<<20, streams)
				begin := cpu()
				if err := o.mergeAll(context.Background()); err != nil {
					b.Fatal(err)
				}
				merged := cpu() - begin
				gb := float64(f.raw) / 1e9
				b.ReportMetric(f.spent.Seconds()/gb, "cpu-s/GB")
				b.ReportMetric(merged.Seconds()/gb, "merge-cpu-s/GB")
				b.ReportMetric(float64(o.set.Size())/float64(f.raw), "disk/raw")
				o.close(b)
			}
		})
	}
}

// BenchmarkSelect reports the CPU of queries.
func BenchmarkSelect(b *testing.B) {
	o := openAt(b, b.TempDir(), Options{})
	defer o.close(b)
	f := fill(b, o, 200<<20, 100)
	trace := f.traces[len(f.traces)/2]
	all := model.TimeRange{From: 0, To: 1 << 62}
	line := func(p string, re bool) []store.LineFilter {
		return []store.LineFilter{{Patterns: []string{p}, Regexp: re}}
	}
	for _, q := range []struct {
		name string
		sel  store.LogSelector
	}{
		{"count", store.LogSelector{NoLine: true, NoMeta: true}},
		{"count_one_stream", store.LogSelector{NoLine: true, NoMeta: true, Matchers: []*model.Matcher{model.MustMatcher(model.MatchEqual, "pod", "pod-7")}}},
		{"newest100", store.LogSelector{Direction: store.Backward, Limit: 100}},
		{"needle_rare", store.LogSelector{Lines: line("deadbeefcafe", false)}},
		{"substring", store.LogSelector{Lines: line("aymentExcept", false), Limit: 100}},
		{"regex_literal", store.LogSelector{Lines: line("status=50[0-3] took=[78]", true)}},
		{"needle_trace", store.LogSelector{Lines: line(trace, false)}},
		{"needle_absent", store.LogSelector{Lines: line("4bf92f3577b34da6a3ce929d0e0e4736", false)}},
		{"needle_part", store.LogSelector{Lines: line(trace[3:14], false)}},
		{"word_absent", store.LogSelector{Lines: line("OutOfMemory", false)}},
		{"word_common", store.LogSelector{Lines: line("error", false), NoLine: true, NoMeta: true}},
		{"regex", store.LogSelector{Lines: line(`status=5\d\d|" 50[03] `, true), NoLine: true, NoMeta: true}},
		{"scan", store.LogSelector{NoMeta: true}},
	} {
		b.Run(q.name, func(b *testing.B) {
			q.sel.Range = all
			rows := 0
			begin := cpu()
			for range b.N {
				rows = 0
				for r, err := range o.Select(context.Background(), "bench", q.sel) {
					if err != nil {
						b.Fatal(err)
					}
					rows += len(r.Times)
				}
			}
			b.ReportMetric((cpu()-begin).Seconds()/float64(b.N)/(float64(f.raw)/1e9), "cpu-s/GB")
			b.ReportMetric(float64(rows)/float64(f.entries), "rows-share")
		})
	}
	runtime.KeepAlive(o)
}
