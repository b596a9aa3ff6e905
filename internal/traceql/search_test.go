package traceql

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

const (
	tenant    = model.DefaultTenant
	fixtureT0 = 1795466604000000000 // start of every trace in fixture.json
)

// fixtureRange holds the fixture.
var fixtureRange = model.TimeRange{From: fixtureT0 - 60e9, To: fixtureT0 + 60e9}

// fixture returns a store with the traces of fixture.json.
func fixture(t testing.TB) *storetest.Traces {
	t.Helper()
	data, err := os.ReadFile("testdata/fixture.json")
	if err != nil {
		t.Fatal(err)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.NewTraces()
	if err := s.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustParse(t testing.TB, q string) *Expr {
	t.Helper()
	e, err := Parse(q)
	if err != nil {
		t.Fatalf("parse %s: %v", q, err)
	}
	return e
}

func mustSearch(t testing.TB, s store.TraceReader, q string, p Params) SearchResult {
	t.Helper()
	res, err := Search(t.Context(), s, tenant, mustParse(t, q), p)
	if err != nil {
		t.Fatalf("search %s: %v", q, err)
	}
	return res
}

type behaviour struct {
	query string
	want  []string
}

// behaviours reads a .test file: blocks of a query and indented expectations.
func behaviours(t testing.TB, path string) []behaviour {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []behaviour
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t"):
			b := &out[len(out)-1]
			b.want = append(b.want, strings.TrimSpace(line))
		default:
			out = append(out, behaviour{query: line})
		}
	}
	return out
}

func spanIDs(spans []Span) []string {
	var out []string
	for _, sp := range spans {
		out = append(out, strings.TrimLeft(sp.ID.String(), "0"))
	}
	return out
}

func TestBehaviour(t *testing.T) {
	s := fixture(t)
	for _, b := range behaviours(t, "testdata/behaviour.test") {
		t.Run(b.query, func(t *testing.T) {
			res := mustSearch(t, s, b.query, Params{Range: fixtureRange, Limit: 200, SpansPerSpanset: 100})
			var got, want []string
			sets := strings.HasPrefix(b.want[0], "[")
			for _, tr := range res.Traces {
				for _, set := range tr.Spansets {
					if set.Matched != len(set.Spans) {
						t.Errorf("matched is %d of %d spans", set.Matched, len(set.Spans))
					}
					ids := spanIDs(set.Spans)
					if !sets {
						got = append(got, ids...)
						continue
					}
					var attrs []string
					for _, a := range set.Attrs {
						attrs = append(attrs, a.Key+"="+a.Value.String())
					}
					got = append(got, fmt.Sprintf("[%s] %s", strings.Join(attrs, ", "), strings.Join(ids, " ")))
				}
			}
			switch {
			case sets:
				want = b.want
			case b.want[0] != "nothing":
				want = strings.Fields(b.want[0])
			}
			slices.Sort(got)
			want = slices.Sorted(slices.Values(want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("result differs (-want +got):\n%s", diff)
			}
		})
	}
}
