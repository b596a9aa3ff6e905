package traceql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
	"github.com/pharos-o11y/pharos/internal/traceql/traceqltest"
)

// attrText lists attributes as key=value.
func attrText(attrs []KeyValue) string {
	var out []string
	for _, a := range attrs {
		out = append(out, a.Key+"="+a.Value.String())
	}
	return strings.Join(out, " ")
}

func TestSearchAttributes(t *testing.T) {
	s := fixture(t)
	tests := []struct {
		q, span, want string
		name          string
	}{
		{`{ span.http.status_code = 500 && status = error }`, "13", "http.status_code=500 status=error", ""},
		{`{ .service.name = "frontend" && kind = client }`, "12", "service.name=frontend kind=client", ""},
		{`{ name = "SELECT pay" }`, "14", "", "SELECT pay"},
		{`{ kind = producer } | select(name)`, "81", "kind=producer", "publish"},
		{`{ span.a = nil && .service.name = "typed" }`, "25", "a=nil service.name=typed", ""},
		{`{ span.b = true || span.a = 7 }`, "21", "b=true a=5", ""},
		{`{ span.b } | select(span.arr.i, span.kv, span.nosuch, span.empty)`, "21", "b=true arr.i=[1, 2, 3] empty=", ""},
		{`{ name = "A" } | select(nestedSetParent, nestedSetLeft, nestedSetRight)`, "a0", "nestedSetParent=-1 nestedSetLeft=1 nestedSetRight=12", "A"},
		{`{ name = "SELECT pay" } | select(span.name, span.duration, span.status_message)`, "14", "name=SELECT pay duration=1.5s status_message=timeout", "SELECT pay"},
		{`{ event.msg = "hi" } | select(event:name, event.exception.type, link:traceID)`, "31", "msg=hi event:name=exception event:name=log exception.type=E1 link:traceID=a1", ""},
		{`{ trace:id = "a1" && span:id = "14" && duration > 1s && rootName = "GET /cart" }`, "14", "", ""},
		{`{ resource.x != nil && .x = 1 }`, "11", "x=res-x x=1", ""},
		{`{ kind = server } | by(instrumentation:version) | select(instrumentation:name) | { name = "r1" }`, "61", "kind=server instrumentation:version=1.0.0 instrumentation:name=lib", "r1"},
	}
	for _, tt := range tests {
		t.Run(tt.q, func(t *testing.T) {
			res := mustSearch(t, s, tt.q, Params{Range: fixtureRange})
			for _, tr := range res.Traces {
				for _, sp := range tr.Spansets[0].Spans {
					if strings.TrimLeft(sp.ID.String(), "0") != tt.span {
						continue
					}
					if got := attrText(sp.Attrs); got != tt.want {
						t.Errorf("attributes %q, want %q", got, tt.want)
					}
					if sp.Name != tt.name {
						t.Errorf("name %q, want %q", sp.Name, tt.name)
					}
					return
				}
			}
			t.Errorf("span %s not found in %+v", tt.span, res)
		})
	}
}

func TestSearchTrace(t *testing.T) {
	s := fixture(t)
	res := mustSearch(t, s, `{ name = "SELECT pay" }`, Params{Range: fixtureRange})
	want := SearchResult{Matched: 1, Inspected: 1, Traces: []Trace{{
		ID: model.TraceID{15: 0xa1}, RootService: "frontend", RootName: "GET /cart",
		Start: fixtureT0, Duration: 3e9,
		Services: []ServiceStats{{"frontend", 2, 0}, {"payment-service", 4, 2}},
		Spansets: []Spanset{{Matched: 1, Attrs: []KeyValue{}, Spans: []Span{{
			ID: model.SpanID{7: 0x14}, Name: "SELECT pay", Start: fixtureT0 + 300e6, Duration: 1500e6,
		}}}},
	}}}
	if diff := cmp.Diff(want, res, cmp.AllowUnexported(Value{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	res = mustSearch(t, s, `{ resource.service.name = "many" }`, Params{Range: fixtureRange})
	if set := res.Traces[0].Spansets[0]; len(set.Spans) != 3 || set.Matched != 12 {
		t.Errorf("%d spans, matched %d; want 3 of 12", len(set.Spans), set.Matched)
	}
	if res := mustSearch(t, s, `{ name = "child only" }`, Params{Range: fixtureRange}); res.Traces[0].RootName != "" || res.Traces[0].RootService != "" {
		t.Errorf("trace without root has one: %+v", res.Traces[0])
	}
	if res := mustSearch(t, s, `{ }`, Params{Range: model.TimeRange{From: fixtureT0 + 200e6, To: fixtureT0 + 300e6}}); len(res.Traces) != 2 {
		t.Errorf("%d traces overlap 200..300 ms, want a1 and c300", len(res.Traces))
	}
	// A span outside of the window is found all the same if its trace is inside.
	if res := mustSearch(t, s, `{ name = "INSERT pay" }`, Params{Range: model.TimeRange{From: fixtureT0 + 200e6, To: fixtureT0 + 300e6}}); len(res.Traces) != 1 {
		t.Errorf("%d traces, want a1 by a span that starts later", len(res.Traces))
	}
}

// TestSearchNewest checks that the newest traces are returned, whatever their ids.
func TestSearchNewest(t *testing.T) {
	s := storetest.NewTraces()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, i := range rng.Perm(200) {
		td := ptrace.NewTraces()
		sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		id := pcommon.TraceID{1: byte(rng.Uint32()), 2: byte(i + 1)}
		sp.SetTraceID(id)
		sp.SetSpanID(pcommon.SpanID{1})
		sp.SetName(fmt.Sprintf("n%d", i%2))
		sp.SetStartTimestamp(pcommon.Timestamp(fixtureT0 + i*1000))
		sp.SetEndTimestamp(pcommon.Timestamp(fixtureT0 + i*1000))
		if err := s.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []string{`{ name = "n1" }`, `{ name = "n1" } | select(span.x)`, `{ } | { name = "n1" }`} {
		acct := &store.Account{MaxMemory: 10_000}
		res := mustSearch(t, s, q, Params{Range: fixtureRange, Limit: 7, Account: acct})
		if len(res.Traces) != 7 || res.Matched != 100 || res.Inspected > 200 {
			t.Fatalf("%s: %d traces, %d matched, %d inspected", q, len(res.Traces), res.Matched, res.Inspected)
		}
		for i, tr := range res.Traces {
			if want := int64(fixtureT0 + (199-2*i)*1000); tr.Start != want {
				t.Errorf("%s: trace %d starts at %d, want %d", q, i, tr.Start, want)
			}
		}
		if err := acct.Hold(10_000); err != nil {
			t.Errorf("%s: memory is not given back: %v", q, err)
		}
	}
	_, err := Search(t.Context(), s, tenant, mustParse(t, `{ }`), Params{Range: fixtureRange, Account: &store.Account{MaxMemory: 1000}})
	if !errors.Is(err, store.ErrTooBroad) {
		t.Errorf("search with little memory: %v, want ErrTooBroad", err)
	}
}

func TestSearchErrors(t *testing.T) {
	s := fixture(t)
	_, err := Search(t.Context(), s, tenant, mustParse(t, `({ } | by(name)) > ({ })`), Params{Range: fixtureRange})
	if !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("several spansets as an operand: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Search(ctx, s, tenant, mustParse(t, `{ }`), Params{Range: fixtureRange}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	acct := &store.Account{}
	mustSearch(t, s, `{ span.duration > 1s }`, Params{Range: fixtureRange, Account: acct})
	if w := acct.Warnings(); len(w) != 1 || !strings.Contains(w[0], "span.duration") {
		t.Errorf("warnings %q", w)
	}
}

// unpruned hides from a store what it could prune by.
type unpruned struct{ store.TraceReader }

func (u unpruned) Scan(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	sel.Where = nil
	return u.TraceReader.Scan(ctx, tenant, sel)
}

// TestPruning compares answers with and without the conditions given to the store.
func TestPruning(t *testing.T) {
	s := fixture(t)
	queries := []string{}
	for _, b := range behaviours(t, "testdata/behaviour.test") {
		queries = append(queries, b.query)
	}
	g := traceqltest.Generator{Rand: rand.New(rand.NewPCG(3, 4))}
	for range 400 {
		queries = append(queries, g.Joined())
	}
	for _, q := range queries {
		e, err := Parse(q)
		if err != nil {
			continue // a generated query with ill types
		}
		p := Params{Range: fixtureRange, Limit: 100, SpansPerSpanset: 100}
		got, err := Search(t.Context(), s, tenant, e, p)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		want, err := Search(t.Context(), unpruned{s}, tenant, e, p)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		if diff := cmp.Diff(want.Traces, got.Traces, cmp.AllowUnexported(Value{})); diff != "" {
			t.Errorf("%s: pruning changes the answer (-without +with):\n%s", q, diff)
		}
	}
}

// TestMasks compares the evaluation of filters by column with that span by span.
func TestMasks(t *testing.T) {
	s := fixture(t)
	g := traceqltest.Generator{Rand: rand.New(rand.NewPCG(5, 6))}
	tried := 0
	for range 3000 {
		q := "{ " + g.Filter(3) + " }"
		e, err := Parse(q)
		if err != nil {
			continue
		}
		tried++
		f, ok := e.pipe.stages[0].(*filter)
		if !ok || childrenOf(f.expr).any() {
			continue
		}
		b := &binder{}
		id := b.filter(f.expr)
		row := rowMask{b.evaluator(f.expr)}
		p := &plan{sel: store.SpanSelector{Range: fixtureRange}}
		p.finish(b)
		fr := newFrame(b.slots, b.filters)
		for rows, err := range s.Scan(t.Context(), tenant, p.sel) {
			if err != nil {
				t.Fatal(err)
			}
			fr.load(rows)
			want := make([]bool, rows.Len())
			for i := range want {
				want[i] = true
			}
			row.refine(fr, want)
			if got := fr.mask(id); !cmp.Equal(got, want) {
				t.Fatalf("%s: mask %v, row by row %v", q, got, want)
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d generated queries are valid", tried)
	}
}
