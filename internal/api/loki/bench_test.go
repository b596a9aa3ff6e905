package loki

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/logstore"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// BenchmarkEngine runs queries on 200,000 lines in the embedded log engine.
func BenchmarkEngine(b *testing.B) {
	s := benchStore(b)
	for _, q := range []string{
		`{service="api"}`,
		`{service="api"} |= "items/777"`,
		`{service=~".+"} |= "nothing like this"`,
		`{service="web"} |~ "(?i)ERROR.*worker 1$"`,
		`{service="api"} | json | status_code >= 600`,
		`{service="api"} | json | trace_id="0123456789abcdef"`,
		`{service="checkout"} | logfmt | duration > 899ms | status="500"`,
		`sum(count_over_time({service=~".+"}[1m]))`,
		`sum by (service) (rate({service=~".+"}[5m]))`,
		`sum by (detected_level) (count_over_time({service=~".+"}[1m]))`,
		`sum by (path) (rate({service="api"} | json | status_code >= 500 | __error__="" [1h]))`,
		`sum by (status) (count_over_time({service="checkout"} | logfmt [1m]))`,
		`quantile_over_time(0.95, {service="checkout"} | logfmt | unwrap duration(duration) | __error__="" [1m]) by (service)`,
		`sum(bytes_over_time({service=~".+"}[1m]))`,
	} {
		b.Run(q, func(b *testing.B) {
			e, err := logql.Parse(q)
			if err != nil {
				b.Fatal(err)
			}
			g := &logql.Engine{Reader: s, Index: s}
			b.ReportAllocs()
			for b.Loop() {
				p := logql.Params{Start: base * 1e9, End: (base + 3600) * 1e9, Step: 15 * time.Second, Direction: store.Backward, Limit: 1000, Account: &store.Account{}}
				if _, err := g.Query(b.Context(), "t", e, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchStore returns a store with lines in JSON, in logfmt and in free text.
func benchStore(b *testing.B) *logstore.Store {
	b.Helper()
	dir := b.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close(context.Background()) })
	s, err := logstore.Open(dir+"/logs", log, logstore.Options{Now: func() time.Time { return time.Unix(base+4000, 0) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	rnd := rand.New(rand.NewPCG(3, 4))
	const lines = 200_000
	for n := 0; n < lines; {
		var bt store.LogBatch
		for st := range 20 {
			kind := st % 3
			ls := model.NewLabels(model.Label{Name: "service", Value: []string{"api", "checkout", "web"}[kind]}, model.Label{Name: "pod", Value: fmt.Sprintf("p%d", st)})
			str := store.LogStream{Labels: ls}
			for range 250 {
				t := base*1e9 + int64(n)*3600e9/lines
				n++
				status, ms, user := []int{200, 200, 200, 404, 500}[rnd.IntN(5)], rnd.IntN(900), rnd.IntN(10000)
				level := []string{"info", "info", "warn", "error"}[rnd.IntN(4)]
				var l string
				switch kind {
				case 0:
					l = fmt.Sprintf(`{"level":"%s","method":"GET","path":"/api/v1/items/%d","status_code":%d,"duration_ms":%d,"trace_id":"%016x","message":"request served"}`, level, user, status, ms, rnd.Uint64())
				case 1:
					l = fmt.Sprintf(`level=%s method=GET path=/api/v1/items/%d status=%d duration=%dms trace_id=%016x msg="request served" host=node-7`, level, user, status, ms, rnd.Uint64())
				default:
					l = fmt.Sprintf(`2026-01-01T00:00:00Z %s 10.0.%d.%d GET /api/v1/items/%d %d %dms served by worker %d`, level, user%250, ms%250, user, status, ms, user%16)
				}
				str.Entries = append(str.Entries, store.LogEntry{Time: t, Line: l, Meta: logmeta.New(model.Label{Name: "detected_level", Value: level})})
			}
			bt.Streams = append(bt.Streams, str)
		}
		if err := s.Append(b.Context(), "t", &bt); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s
}
