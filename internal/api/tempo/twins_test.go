package tempo

// Random queries about random traces, answered over the real store, with its files, its
// memory and the conditions it prunes by, and over the traces in memory, without any.

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
	"github.com/pharos-o11y/pharos/internal/traceql"
	"github.com/pharos-o11y/pharos/internal/traceql/traceqltest"
	"github.com/pharos-o11y/pharos/internal/tracestore"
)

const fixtureT0 = fixtureSecond * int64(1e9)

// twins are two stores of the same spans.
type twins struct {
	real  *tracestore.Store
	plain *storetest.Traces
}

// newTwins fills both with the fixture and random traces, the spans of one trace in several
// files and in memory.
func newTwins(t testing.TB, seed uint64) *twins {
	t.Helper()
	dir := t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1, Sync: wal.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	s, err := tracestore.Open(dir+"/traces", log, tracestore.Options{Now: func() time.Time { return time.Unix(0, fixtureT0+30e9) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), log.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	plain := storetest.NewTraces()
	load(t, s)
	load(t, plain)
	rng := rand.New(rand.NewPCG(seed, 1))
	batches := randomSpans(rng)
	for i, td := range batches {
		for _, w := range []store.TraceWriter{s, plain} {
			if err := w.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
				t.Fatal(err)
			}
		}
		if i < len(batches)-1 {
			err = s.Flush(t.Context())
		}
		if i == 1 {
			err = s.Merge(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &twins{s, plain}
}

// randomSpans makes spans of 60 traces in four batches.
func randomSpans(rng *rand.Rand) []ptrace.Traces {
	batches := make([]ptrace.Traces, 4)
	for i := range batches {
		batches[i] = ptrace.NewTraces()
	}
	g := traceqltest.Generator{Rand: rng}
	for i := range 60 {
		n := 1 + rng.IntN(14)
		for k := range n {
			rs := batches[rng.IntN(len(batches))].ResourceSpans().AppendEmpty()
			if service := g.Pick("typed", "tree", "frontend", "x", ""); service != "" {
				rs.Resource().Attributes().PutStr("service.name", service)
			}
			putRandom(g, rs.Resource().Attributes(), "v")
			sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			sp.SetTraceID(pcommon.TraceID{0: byte(i * 37), 15: 1})
			sp.SetSpanID(pcommon.SpanID{6: byte(i), 7: byte(k + 1)})
			switch parent := rng.IntN(n + 2); {
			case k == 0 && rng.IntN(3) > 0: // a root
			case rng.IntN(12) == 0: // any other, itself, or none that is there: there may be cycles
				sp.SetParentSpanID(pcommon.SpanID{6: byte(i), 7: byte(parent)})
			default:
				sp.SetParentSpanID(pcommon.SpanID{6: byte(i), 7: byte(min(parent, k))})
			}
			sp.SetName(g.Pick("A", "B", "C", "", "GET /cart"))
			sp.SetKind(ptrace.SpanKind(rng.IntN(6)))
			sp.Status().SetCode(ptrace.StatusCode(rng.IntN(3)))
			sp.Status().SetMessage(g.Pick("", "", "x", "timeout"))
			start := fixtureT0 + int64(i)*1e6 + rng.Int64N(5)*1e9
			sp.SetStartTimestamp(pcommon.Timestamp(start))
			sp.SetEndTimestamp(pcommon.Timestamp(start + []int64{0, 1e6, 10e6, 1e9, 3e9}[rng.IntN(5)]))
			for _, key := range []string{"a", "v", "s", "x", "arr.s", "arr.i"} {
				putRandom(g, sp.Attributes(), key)
			}
			for range rng.IntN(3) {
				e := sp.Events().AppendEmpty()
				e.SetName(g.Pick("log", "exception", ""))
				e.SetTimestamp(pcommon.Timestamp(start + rng.Int64N(2)*1e6))
				putRandom(g, e.Attributes(), "msg")
				putRandom(g, e.Attributes(), "v")
			}
			if rng.IntN(4) == 0 {
				putRandom(g, sp.Links().AppendEmpty().Attributes(), "v")
			}
		}
	}
	return batches
}

// putRandom gives key a value of some type, or none.
func putRandom(g traceqltest.Generator, m pcommon.Map, key string) {
	switch g.Rand.IntN(12) {
	case 0, 1:
		m.PutStr(key, g.Pick("x", "5", "abc", "", "log"))
	case 2, 3:
		m.PutInt(key, int64(g.Rand.IntN(7))-1)
	case 4:
		m.PutDouble(key, []float64{5, 1.5, -1, 0}[g.Rand.IntN(4)])
	case 5:
		m.PutBool(key, g.Rand.IntN(2) == 0)
	case 6:
		list := m.PutEmptySlice(key)
		for range g.Rand.IntN(4) {
			list.AppendEmpty().SetStr(g.Pick("x", "y", "abc", ""))
		}
	case 7:
		list := m.PutEmptySlice(key)
		for range g.Rand.IntN(4) {
			list.AppendEmpty().SetInt(int64(g.Rand.IntN(6)))
		}
	case 8:
		list := m.PutEmptySlice(key)
		list.AppendEmpty().SetDouble(5)
		list.AppendEmpty().SetBool(true)
	}
}

// same reports whether two errors are both nil or of one kind.
func same(a, b error) bool {
	for _, kind := range []error{store.ErrUnsupported, store.ErrTooBroad, traceql.ErrParse} {
		if errors.Is(a, kind) || errors.Is(b, kind) {
			return errors.Is(a, kind) && errors.Is(b, kind)
		}
	}
	return a == nil && b == nil
}

// differences returns how two answers differ, but for rounding.
func differences(want, got any) string {
	if reflect.DeepEqual(want, got) { // fast
		return ""
	}
	return cmp.Diff(want, got, cmp.AllowUnexported(traceql.Value{}), cmpopts.EquateApprox(1e-9, 1e-12), cmpopts.EquateNaNs(), cmpopts.EquateEmpty())
}

// check compares the answers to one query; it reports whether the query is valid.
func (w *twins) check(t *testing.T, q string) bool {
	t.Helper()
	e, err := traceql.Parse(q)
	if err != nil {
		return false // ill types
	}
	p := traceql.Params{Range: model.TimeRange{From: fixtureT0 - 60e9, To: fixtureT0 + 60e9}, Limit: 1000, SpansPerSpanset: 100}
	got, err1 := traceql.Search(t.Context(), w.real, model.DefaultTenant, e, p)
	want, err2 := traceql.Search(t.Context(), w.plain, model.DefaultTenant, e, p)
	if !same(err1, err2) {
		t.Errorf("%s: the store errs with %v, memory with %v", q, err1, err2)
	}
	if diff := differences(want.Traces, got.Traces); diff != "" && err1 == nil {
		t.Errorf("%s: the store answers otherwise (-memory +store):\n%s", q, diff)
	}
	if !e.IsMetrics() {
		return true
	}
	for _, mp := range []traceql.MetricParams{
		{Start: fixtureT0 - 60e9, End: fixtureT0 + 60e9, Instant: true},
		{Start: fixtureT0 - 2e9, End: fixtureT0 + 4e9, Step: 1e9},
	} {
		got, err1 := traceql.Metrics(t.Context(), w.real, model.DefaultTenant, e, mp)
		want, err2 := traceql.Metrics(t.Context(), w.plain, model.DefaultTenant, e, mp)
		if !same(err1, err2) {
			t.Errorf("%s: the store errs with %v, memory with %v", q, err1, err2)
		}
		for _, x := range [...][]traceql.Series{got, want} { // which spans become exemplars depends on the order of traces
			for i := range x {
				x[i].Exemplars = nil
			}
		}
		if diff := differences(want, got); diff != "" && err1 == nil {
			t.Errorf("%s: the store counts otherwise (-memory +store):\n%s", q, diff)
		}
	}
	return true
}

func TestTwins(t *testing.T) {
	for seed := range uint64(3) {
		w := newTwins(t, seed)
		g := traceqltest.Generator{Rand: rand.New(rand.NewPCG(seed, 2))}
		valid := 0
		for range 400 {
			if w.check(t, g.Any()) {
				valid++
			}
		}
		if valid < 100 {
			t.Errorf("only %d generated queries are valid", valid)
		}
	}
}

func FuzzTwins(f *testing.F) {
	f.Add(uint64(1))
	w := newTwins(f, 9)
	f.Fuzz(func(t *testing.T, seed uint64) {
		w.check(t, traceqltest.Generator{Rand: rand.New(rand.NewPCG(seed, 3))}.Any())
	})
}
