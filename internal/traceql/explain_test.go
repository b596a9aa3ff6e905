package traceql

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

const second = int64(1e9)

// shopTraces is 200 requests to a service; every tenth goes to a slow database in zone b,
// writes rows by the thousand and fails.
func shopTraces(t *testing.T) *storetest.Traces {
	t.Helper()
	s := storetest.NewTraces()
	for i := range 200 {
		slow := i%10 == 0
		td := ptrace.NewTraces()
		span := func(service, name string, id, up byte, start, took int64) ptrace.Span {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", service)
			sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			sp.SetTraceID(pcommon.TraceID{1, 14: byte(i >> 8), 15: byte(i)})
			sp.SetSpanID(pcommon.SpanID{7: id})
			sp.SetParentSpanID(pcommon.SpanID{7: up})
			sp.SetName(name)
			at := int64(1000+i) * second
			sp.SetStartTimestamp(pcommon.Timestamp(at + start))
			sp.SetEndTimestamp(pcommon.Timestamp(at + start + took))
			return sp
		}
		took := second/10 + int64(i)*1000
		if slow {
			took += 2 * second
		}
		root := span("shop", "GET /", 1, 0, 0, took)
		root.SetKind(ptrace.SpanKindServer)
		root.Attributes().PutStr("user", fmt.Sprint("user", i))
		root.Attributes().PutInt("rows", int64(i))
		root.Attributes().PutStr("zone", "a")
		root.Attributes().PutStr("method", "GET")
		step := span("shop", "load", 3, 1, second/100, took-second/50)
		step.SetKind(ptrace.SpanKindInternal)
		db := span("db", "SELECT", 2, 3, second/100, took-second/50) // comes before its parent: same start, lower id
		db.SetKind(ptrace.SpanKindClient)
		if slow {
			root.Attributes().PutStr("zone", "b")
			root.Attributes().PutStr("region", "west")
			root.Attributes().PutInt("rows", int64(1024+i))
			root.Status().SetCode(ptrace.StatusCodeError)
			root.Events().AppendEmpty().SetName("exception")
		}
		if err := s.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestExplain(t *testing.T) {
	s := shopTraces(t)
	window := model.TimeRange{From: 0, To: 10_000 * second}
	half := model.TimeRange{From: 0, To: 1100 * second}
	tests := []struct {
		name               string
		p                  ExplainParams
		selected, baseline int
		filters            []string // of the factors, in order; same ones joined
	}{
		{
			name:     "slow by itself",
			p:        ExplainParams{Selected: Selection{Slow: true}},
			selected: 20, baseline: 180,
			filters: []string{`{ event:name = "exception" } = { span.region = "west" } = { span.rows >= 1024 && span.rows < 2048 } = { span.zone = "b" } = { status = error }`},
		},
		{
			name:     "slower than",
			p:        ExplainParams{Selected: Selection{Filter: mustParse(t, `{ duration > 1s }`)}},
			selected: 20, baseline: 180,
			filters: []string{`{ event:name = "exception" } = { span.region = "west" } = { span.rows >= 1024 && span.rows < 2048 } = { span.zone = "b" } = { status = error }`},
		},
		{
			name:     "failing: what selects is not what explains",
			p:        ExplainParams{Selected: Selection{Filter: mustParse(t, `{ status = error && span.zone = "b" }`)}},
			selected: 20, baseline: 180,
			filters: []string{`{ event:name = "exception" } = { span.region = "west" } = { span.rows >= 1024 && span.rows < 2048 }`},
		},
		{
			name: "a box against the time before it",
			p: ExplainParams{
				Range:    model.TimeRange{From: 1100 * second, To: 10_000 * second},
				Selected: Selection{MinDuration: second, MaxDuration: 3 * second},
				Baseline: Selection{Range: half},
			},
			selected: 10, baseline: 100,
			filters: []string{
				`{ event:name = "exception" } = { span.region = "west" } = { span.rows >= 1024 && span.rows < 2048 } = { span.zone = "b" } = { status = error }`,
			},
		},
		{
			name:     "nothing to explain",
			p:        ExplainParams{Selected: Selection{Filter: mustParse(t, `{ span.rows = 5 || span.rows = 6 || span.rows = 17 }`)}},
			selected: 3, baseline: 197,
		},
		{
			name: "nothing selected",
			p:    ExplainParams{Selected: Selection{MinDuration: 100 * second}}, baseline: 200,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			acct := &store.Account{MaxMemory: 1 << 20}
			tt.p.Population, tt.p.Account = mustParse(t, `{ kind = server }`), acct
			if tt.p.Range.Empty() {
				tt.p.Range = window
			}
			got, err := Explain(t.Context(), s, tenant, tt.p)
			if err != nil {
				t.Fatal(err)
			}
			if got.Selected.Spans != tt.selected || got.Baseline.Spans != tt.baseline {
				t.Errorf("%d spans against %d, want %d against %d", got.Selected.Spans, got.Baseline.Spans, tt.selected, tt.baseline)
			}
			var filters []string
			for _, f := range got.Factors {
				text := f.Filter
				for _, x := range f.Same {
					text += " = " + x.Filter
				}
				filters = append(filters, text)
				if _, err := Parse(f.Filter); err != nil {
					t.Errorf("filter of a factor: %v", err)
				}
			}
			if !slices.Equal(filters, tt.filters) {
				t.Errorf("factors %q, want %q", filters, tt.filters)
			}
			if err := acct.Hold(1 << 20); err != nil {
				t.Errorf("memory is not given back: %v", err)
			}
		})
	}
}

func TestExplainNumbers(t *testing.T) {
	s := shopTraces(t)
	got, err := Explain(t.Context(), s, tenant, ExplainParams{
		Population: mustParse(t, `{ kind = server }`), Range: model.TimeRange{To: 10_000 * second},
		Selected: Selection{MinDuration: second}, Examples: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := got.Factors[0]
	if f.Selected != 20 || f.Baseline != 0 || f.Difference != 1 || f.Score < 0.8 || f.Score >= 1 || f.PValue > 1e-9 || f.Lift < 100 {
		t.Errorf("factor %+v", f)
	}
	near := func(got, want int64) bool {
		return float64(got) > 0.96*float64(want) && float64(got) < 1.04*float64(want)
	}
	if !near(got.Selected.P50, 2100e6) || !near(got.Baseline.P95, 100e6) {
		t.Errorf("quantiles %+v", got)
	}
	ex := got.Selected.Examples
	if len(ex) != 2 || ex[0].Trace != (model.TraceID{1, 15: 190}) || ex[1].Trace != (model.TraceID{1, 15: 180}) || !ex[0].Failed || ex[0].RootName != "GET /" {
		t.Errorf("examples %+v", ex)
	}
	// The extra time is spent in the database: its span has no children.
	if len(got.Time) != 1 || got.Time[0].Service != "db" || got.Time[0].Name != "SELECT" ||
		!near(int64(got.Time[0].Selected), 2080e6) || !near(int64(got.Time[0].Baseline), 80e6) {
		t.Errorf("time %+v", got.Time)
	}
}

// TestExplainNested compares spans of which some lie below others: a chain of 2,000 spans
// of 1 ms each, all of them in the population, in half of the traces twice as slow at the
// end.
func TestExplainNested(t *testing.T) {
	s := storetest.NewTraces()
	const depth = 2000
	for n := range 2 {
		td := ptrace.NewTraces()
		spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		for i := range depth {
			sp := spans.AppendEmpty()
			sp.SetTraceID(pcommon.TraceID{15: byte(n + 1)})
			sp.SetSpanID(pcommon.SpanID{6: byte(i >> 8), 7: byte(i), 0: 1})
			if i > 0 {
				sp.SetParentSpanID(pcommon.SpanID{6: byte((i - 1) >> 8), 7: byte(i - 1), 0: 1})
			}
			sp.SetName([]string{"step", "last"}[i/(depth-1)])
			sp.Attributes().PutBool("slow", n == 1)
			start := 1000*second + int64(i)*1e6
			sp.SetStartTimestamp(pcommon.Timestamp(start))
			sp.SetEndTimestamp(pcommon.Timestamp(1000*second + depth*1e6 + int64(n)*second))
		}
		if err := s.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Explain(t.Context(), s, tenant, ExplainParams{
		Population: mustParse(t, `{ }`), Range: model.TimeRange{To: 10_000 * second},
		Selected: Selection{Filter: mustParse(t, `{ span.slow = true }`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of every span of the chain the last takes 1 ms, and 1 s more in the slow trace.
	want := []TimeSpent{{Name: "last", Selected: 1001e6, Baseline: 1e6}}
	if !slices.Equal(got.Time, want) || got.Selected.Spans != depth || got.Baseline.Spans != depth {
		t.Errorf("time %+v of %d and %d spans, want %+v", got.Time, got.Selected.Spans, got.Baseline.Spans, want)
	}
}

func TestExplainErrors(t *testing.T) {
	s := fixture(t)
	all := mustParse(t, `{ }`)
	for _, p := range []ExplainParams{
		{Population: mustParse(t, `{ } | rate()`)},
		{Population: all, Selected: Selection{Filter: mustParse(t, `{ } | count() > 1`)}},
		{Population: all, Baseline: Selection{Filter: mustParse(t, `{ } >> { }`)}},
	} {
		p.Range = fixtureRange
		if _, err := Explain(t.Context(), s, tenant, p); !errors.Is(err, ErrParse) {
			t.Errorf("%s: error %v, want %v", p.Population, err, ErrParse)
		}
	}
	_, err := Explain(t.Context(), s, tenant, ExplainParams{Population: all, Range: fixtureRange, Account: &store.Account{MaxMemory: 100}})
	if !errors.Is(err, store.ErrTooBroad) {
		t.Errorf("error %v, want %v", err, store.ErrTooBroad)
	}
}
