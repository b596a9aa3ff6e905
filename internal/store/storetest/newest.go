package storetest

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A reader of the newest traces, and what the contract promises it.

// newestOf returns the ids of the newest traces that a store owes for sel, at most limit.
func (w *traceTwin) newestOf(t *testing.T, sel store.SpanSelector, limit int) []model.TraceID {
	t.Helper()
	var ids []model.TraceID
	for id := range readTraces(t, w.ref, tenant, sel) {
		if w.owed(sel, id) {
			ids = append(ids, id)
		}
	}
	w.sortNewest(ids)
	return ids[:min(limit, len(ids))]
}

func (w *traceTwin) sortNewest(ids []model.TraceID) {
	slices.SortFunc(ids, func(a, b model.TraceID) int {
		return cmp.Or(cmp.Compare(w.start(b), w.start(a)), b.Compare(a))
	})
}

func (w *traceTwin) start(id model.TraceID) int64 { return w.ref.spansOf(tenant, id)[0].start() }

// checkNewest reads the newest limit traces, tells the store which are too old, and compares
// with the reference, also what the store says to be settled.
func (w *traceTwin) checkNewest(t *testing.T, sel store.SpanSelector, limit int) {
	t.Helper()
	loose := sel
	loose.Where = nil
	may := readTraces(t, w.ref, tenant, loose)
	owed := w.newestOf(t, sel, math.MaxInt)
	sel.Newer, sel.Settled = new(atomic.Int64), new(atomic.Int64)
	sel.Newer.Store(math.MinInt64)
	sel.Settled.Store(math.MaxInt64)
	seen := map[model.TraceID]bool{}
	var best []model.TraceID
	settled := int64(math.MaxInt64)
	for r, err := range w.sub.Store.Scan(t.Context(), tenant, sel) {
		if err != nil {
			t.Fatalf("scan: %v", err)
		}
		if r.Len() > 0 {
			checkSpanShape(t, r, sel)
		}
		for i := 0; i < r.Len(); {
			id := r.TraceID[i]
			var b strings.Builder
			for ; i < r.Len() && r.TraceID[i] == id; i++ {
				rowText(&b, r, i)
			}
			if seen[id] || b.String() != may[id] {
				t.Fatalf("scan %s: trace %s, seen before %v, is\n%s\nwant\n%s", spanSelText(sel), id, seen[id], b.String(), may[id])
			}
			seen[id] = true
			if slices.Contains(owed, id) {
				best = append(best, id)
			}
		}
		if w.sortNewest(best); len(best) >= limit {
			best = best[:limit]
			sel.Newer.Store(w.start(best[limit-1]))
		}
		if now := sel.Settled.Load(); now > settled {
			t.Fatalf("settled rises from %d to %d", settled, now)
		} else {
			settled = now
		}
		for _, id := range owed {
			if start := w.start(id); start > settled && start >= sel.Newer.Load() && !seen[id] {
				t.Fatalf("scan %s: what starts after %d is settled, but trace %s of %d has not come", spanSelText(sel), settled, id, start)
			}
		}
	}
	if want := owed[:min(limit, len(owed))]; !slices.Equal(best, want) {
		t.Fatalf("scan %s: the newest traces are %v, want %v", spanSelText(sel), best, want)
	}
}

// minuteOfSpans makes the spans that arrive in minute n: of its own traces, and late ones of
// earlier traces.
func minuteOfSpans(rng *rand.Rand, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	add := func(trace int, at int64) {
		sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		var id pcommon.TraceID
		binary.BigEndian.PutUint64(id[:], uint64(trace+1)*0x9e3779b97f4a7c15)
		sp.SetTraceID(id)
		sp.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, rng.Uint64()|1)))
		sp.SetStartTimestamp(pcommon.Timestamp(at))
		sp.SetEndTimestamp(sp.StartTimestamp() + pcommon.Timestamp(rng.Int64N(2e9)))
		sp.Status().SetCode(ptrace.StatusCode(rng.IntN(3)))
	}
	const perMinute, minute = 6, int64(60e9)
	begin := nanos() - 40*minute
	for k := range perMinute {
		for range 1 + rng.IntN(3) {
			add(n*perMinute+k, begin+int64(n)*minute+rng.Int64N(minute))
		}
	}
	for range rng.IntN(3) {
		old := rng.IntN(n*perMinute + 1)
		at := begin + int64(old/perMinute)*minute
		if rng.IntN(2) == 0 {
			at = begin + int64(n)*minute
		}
		add(old, at+rng.Int64N(minute))
	}
	return td
}

// testTracesNewest writes half an hour in files by the minute, the last two in memory.
func testTracesNewest(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	rng := rand.New(rand.NewPCG(7, 7))
	const minutes = 30
	for n := range minutes {
		w.append(t, tenant, minuteOfSpans(rng, n))
		if sub.Flush == nil || n > minutes-3 {
			continue
		}
		if err := sub.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	failed := store.SpanPredicate{Attrs: []store.Attr{{Name: store.IntrinsicStatus}}, Op: store.OpEqual, Type: store.ValueInt, Int: 2}
	for range 3 {
		for _, limit := range []int{1, 5, 40, 10_000} {
			sel := everything()
			w.checkNewest(t, sel, limit)
			sel.Where = [][]store.SpanPredicate{{failed}}
			w.checkNewest(t, sel, limit)
			from := nanos() - 40*60e9 + rng.Int64N(20*60e9)
			sel.Range = model.TimeRange{From: from, To: from + rng.Int64N(10*60e9)}
			w.checkNewest(t, sel, limit)
			sel.Where = nil
			w.checkNewest(t, sel, limit)
		}
		settle(t, &w.sub)
	}
}
