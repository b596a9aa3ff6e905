package tracestore

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestRememberedValues asks for values of resources again and again while spans come in,
// for all time and for a part of it, and compares with a store that remembers nothing.
func TestRememberedValues(t *testing.T) {
	d := openTest(t, Options{})
	g := newShop(4, storetest.Now().Add(-1e12))
	half := model.TimeRange{From: 0, To: storetest.Now().Add(-1e12).UnixNano() + 1e8}
	for round := range 5 {
		if err := d.s.Append(t.Context(), model.DefaultTenant, storetest.Spans(g.batch(200))); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			if err := d.s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, attr := range []store.Attr{
			{Scope: store.ScopeResource, Name: "service.name"},
			{Scope: store.ScopeResource, Name: "host.name"},
			{Scope: store.ScopeInstrumentation, Name: "absent"},
			{Scope: store.ScopeSpan, Name: "http.route"},
		} {
			for _, r := range []model.TimeRange{allTime(), half, allTime()} {
				values := func() []store.TagValue {
					got, err := d.s.TagValues(t.Context(), model.DefaultTenant, attr, 0, store.SpanSelector{Range: r})
					if err != nil {
						t.Fatal(err)
					}
					return got
				}
				values()
				got := values() // from memory, if it remembers
				view := d.s.parts.View(model.DefaultTenant, allTime())
				for _, p := range view.Parts {
					p.Data.mu.Lock()
					p.Data.entities = nil
					p.Data.mu.Unlock()
				}
				view.Close()
				if diff := cmp.Diff(values(), got); diff != "" {
					t.Errorf("round %d: values of %v differ from those read again:\n%s", round, attr, diff)
				}
			}
		}
	}
}
