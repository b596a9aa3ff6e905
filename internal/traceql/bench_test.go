package traceql

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// columnStore yields ready batches, so that benchmarks measure the language alone.
type columnStore struct {
	batches []*store.SpanRows
	spans   int
}

func (columnStore) Trace(context.Context, model.Tenant, model.TraceID, model.TimeRange, *store.Account) (ptrace.Traces, error) {
	return ptrace.Traces{}, store.ErrNotFound
}

func (columnStore) Caps() store.TraceCaps { return store.TraceCaps{} }

func (c columnStore) Scan(_ context.Context, _ model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		for _, b := range c.batches {
			rows := *b
			rows.Attrs = nil
			for _, col := range b.Attrs {
				for _, a := range sel.Attrs {
					if a == col.Attr {
						rows.Attrs = append(rows.Attrs, col)
					}
				}
			}
			if !yield(&rows, nil) {
				return
			}
		}
	}
}

// newColumnStore makes n spans in traces of 20: a chain of services with databases.
func newColumnStore(n int) columnStore {
	services := []string{"frontend", "cart", "checkout", "payment", "currency", "shipping", "email", "catalog"}
	out := columnStore{spans: n}
	for done := 0; done < n; done += 4000 {
		size := min(4000, n-done)
		r := &store.SpanRows{}
		system := store.AttrColumn{Attr: store.Attr{Scope: store.ScopeSpan, Name: "db.system"}, Type: store.ValueString}
		code := store.AttrColumn{Attr: store.Attr{Scope: store.ScopeSpan, Name: "http.status_code"}, Type: store.ValueInt}
		for i := range size {
			id := done + i
			trace := id / 20
			pos := id % 20
			r.TraceID = append(r.TraceID, model.TraceID{0: 1, 8: byte(trace >> 24), 9: byte(trace >> 16), 10: byte(trace >> 8), 11: byte(trace)})
			r.SpanID = append(r.SpanID, model.SpanID{7: byte(pos + 1)})
			parent := model.SpanID{}
			if pos > 0 {
				parent[7] = byte((pos-1)/2 + 1)
			}
			r.Parent = append(r.Parent, parent)
			r.Start = append(r.Start, fixtureT0+int64(trace*7919%100_000)*1e6+int64(pos)*1e5)
			r.Duration = append(r.Duration, int64(id*2654435761%1_000_000_000))
			r.Kind = append(r.Kind, uint8(pos%3+1))
			status := uint8(0)
			if id%97 == 0 {
				status = 2
			}
			r.Status = append(r.Status, status)
			r.Name = append(r.Name, fmt.Sprintf("GET /path/%d", pos))
			r.StatusMessage = append(r.StatusMessage, "")
			r.Service = append(r.Service, services[(trace+pos)%len(services)])
			r.ScopeName = append(r.ScopeName, "lib")
			r.ScopeVersion = append(r.ScopeVersion, "1")
			system.Has = append(system.Has, pos%4 == 3)
			system.Strs = append(system.Strs, []string{"", "postgresql"}[pos%4/3])
			code.Has = append(code.Has, pos%3 == 1)
			code.Ints = append(code.Ints, 200+300*int64(status/2))
		}
		r.Attrs = []store.AttrColumn{system, code}
		out.batches = append(out.batches, r)
	}
	return out
}

func BenchmarkSearch(b *testing.B) {
	s := newColumnStore(200_000)
	for _, q := range []string{
		`{ }`,
		`{ .service.name = "cart" && status = error }`,
		`{ span.db.system =~ ".*" && duration > 1s }`,
		`{ span.http.status_code >= 500 }`,
		`{ name =~ "GET /path/1.*" }`,
		`{ resource.service.name = "frontend" } >> { status = error }`,
		`{ resource.service.name = "frontend" } && { span.db.system = "postgresql" } | count() > 2`,
		`{ status = error } | by(resource.service.name) | count() > 1`,
		`{ nestedSetParent < 0 && duration > 900ms }`,
	} {
		e := mustParse(b, q)
		b.Run(q, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Search(b.Context(), s, tenant, e, Params{Range: fixtureRange}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.spans), "ns/span")
		})
	}
}

func BenchmarkMetrics(b *testing.B) {
	s := newColumnStore(200_000)
	for _, q := range []string{
		`{ } | rate()`,
		`{ status = error } | rate() by (resource.service.name)`,
		`{ } | rate() by (resource.service.name, name)`,
		`{ nestedSetParent < 0 } | quantile_over_time(duration, 0.5, 0.99) by (resource.service.name)`,
		`{ } | histogram_over_time(duration)`,
	} {
		e := mustParse(b, q)
		b.Run(q, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Metrics(b.Context(), s, tenant, e, MetricParams{Start: fixtureT0, End: fixtureT0 + 100e9}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.spans), "ns/span")
		})
	}
}
