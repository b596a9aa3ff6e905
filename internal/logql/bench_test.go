package logql

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// columns is a store that hands out prepared batches and evaluates nothing: what is left
// is the cost of the language.
type columns struct {
	*storetest.Logs
	batches  []*store.LogRows // oldest first
	backward []*store.LogRows // newest first
	caps     store.LogCaps
}

func (c *columns) Caps() store.LogCaps { return c.caps }

func (c *columns) Select(ctx context.Context, _ model.Tenant, sel store.LogSelector) iter.Seq2[*store.LogRows, error] {
	return func(yield func(*store.LogRows, error) bool) {
		for i := range c.batches {
			b := *c.batches[i]
			if sel.Direction == store.Backward {
				b = *c.backward[i]
			}
			if sel.NoMeta {
				b.Meta = nil
			}
			b.Frontier = b.Times[len(b.Times)-1]
			if !yield(&b, ctx.Err()) {
				return
			}
		}
	}
}

const benchLines = 200_000

// newColumns makes benchLines lines of about 200 bytes, a third JSON, a third logfmt, a
// third free text, in one stream each.
func newColumns() (*columns, int64) {
	rnd := rand.New(rand.NewPCG(3, 4))
	c := &columns{Logs: storetest.NewLogs()}
	bytes := int64(0)
	const size = 8192
	start := int64(1_700_000_000_000_000_000)
	for n := 0; n < benchLines; n += size {
		kind := n / size % 3
		b := &store.LogRows{Stream: model.Labels{{Name: "format", Value: []string{"json", "logfmt", "text"}[kind]}, {Name: "service_name", Value: "api"}}, StreamID: uint64(kind)}
		level := store.MetaColumn{Name: "detected_level"}
		for i := range size {
			b.Times = append(b.Times, start+int64(n+i)*int64(time.Millisecond))
			status, ms, user := []int{200, 200, 200, 404, 500}[rnd.IntN(5)], rnd.IntN(900), rnd.IntN(10000)
			var l string
			switch kind {
			case 0:
				l = fmt.Sprintf(`{"time":"2026-01-01T00:00:00.%03dZ","level":"info","method":"GET","path":"/api/v1/items/%d","status":%d,"duration_ms":%d,"user":{"id":"u-%d","plan":"free"},"message":"request served \"ok\""}`, i%1000, user, status, ms, user)
			case 1:
				l = fmt.Sprintf(`time=2026-01-01T00:00:00.%03dZ level=info method=GET path=/api/v1/items/%d status=%d duration=%dms user=u-%d msg="request served" host=node-7 region=eu-west`, i%1000, user, status, ms, user)
			default:
				l = fmt.Sprintf(`2026-01-01T00:00:00.%03dZ INFO 10.0.%d.%d GET /api/v1/items/%d %d %dms request served by worker %d after a while in the queue`, i%1000, user%250, ms%250, user, status, ms, user%16)
			}
			b.Lines = append(b.Lines, l)
			bytes += int64(len(l))
			level.Values = append(level.Values, "info")
		}
		b.Meta = []store.MetaColumn{level}
		c.batches = append(c.batches, b)
		r := &store.LogRows{Stream: b.Stream, StreamID: b.StreamID, Times: slices.Clone(b.Times), Lines: slices.Clone(b.Lines), Meta: b.Meta}
		slices.Reverse(r.Times)
		slices.Reverse(r.Lines)
		c.backward = append(c.backward, r)
	}
	slices.Reverse(c.backward)
	return c, bytes
}

func BenchmarkQuery(b *testing.B) {
	c, bytes := newColumns()
	start := c.batches[0].Times[0]
	last := c.batches[len(c.batches)-1]
	end := last.Times[len(last.Times)-1]
	for _, q := range []string{
		`{service_name="api"}`,
		`{service_name="api"} |= "items/777 "`,
		`{service_name="api"} |~ "items/77[0-9]+.* 500"`,
		`{service_name="api"} |~ "(?i)INFO.*worker 1 "`,
		`{service_name="api"} | json | status = 999`,
		`{service_name="api"} | logfmt | duration > 899ms`,
		"{service_name=\"api\"} | pattern `<_> <_> <ip> <method> <path> <status> <_>` | status=\"999\"",
		`sum(count_over_time({service_name="api"}[1m]))`,
		`sum by (format) (rate({service_name="api"}[5m]))`,
		`sum by (detected_level) (count_over_time({service_name="api"}[1m]))`,
		`count_over_time({service_name="api"}[1m])`,
		`sum by (status) (count_over_time({service_name="api"} | logfmt [1m]))`,
		`quantile_over_time(0.95, {service_name="api"} | logfmt | unwrap duration(duration) | __error__="" [1m]) by (method)`,
		`{service_name="api"} | json | line_format "{{.status}} {{.path}}"`,
	} {
		b.Run(strings.ReplaceAll(q, "/", "_"), func(b *testing.B) {
			e, err := Parse(q)
			if err != nil {
				b.Fatal(err)
			}
			p := Params{Start: start, End: end, Step: 15 * time.Second, Direction: store.Backward, Limit: 1000}
			g := &Engine{Reader: c}
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Query(b.Context(), "t", e, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
