package tracestore

import (
	gocmp "cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestShards compares a scan in shards with one in a single pass, over a part and memory.
func TestShards(t *testing.T) {
	s := openTest(t, Options{HeadSize: 1 << 30, Limits: Limits{MaxTraceSpans: -1}}).s
	rnd := rand.New(rand.NewPCG(1, 2))
	const spans = 2*minShardGroups*groupRows + 15_000
	for n := 0; n < spans; n += 1000 {
		if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(randomSpans(rnd, 1000))); err != nil {
			t.Fatal(err)
		}
		if n == spans/10_000*10_000 { // the rest stays in memory
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	slow := store.SpanPredicate{Attrs: []store.Attr{{Name: store.IntrinsicDuration}}, Op: store.OpGreater, Type: store.ValueInt, Int: 900}
	for name, sel := range map[string]store.SpanSelector{
		"all":  {},
		"some": {Where: [][]store.SpanPredicate{{slow}}, Attrs: []store.Attr{{Scope: store.ScopeResource, Name: "service.name"}}},
	} {
		t.Run(name, func(t *testing.T) {
			sel.Range = allTime()
			snap := s.snapshot(model.DefaultTenant, sel.Range, nil)
			defer snap.close()
			ps := snap.passes(sel)
			shards := ps.shards(sel, 0)
			if len(shards) < 2 {
				t.Fatalf("%d shards of %d parts", len(shards), len(snap.view.Parts))
			}
			var want, got []model.SpanID
			err := s.scanShard(t.Context(), sel, ps, shard{first: true, last: true}, func(r *store.SpanRows) bool {
				want = append(want, r.SpanID...)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			for r, err := range s.Scan(t.Context(), model.DefaultTenant, sel) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, r.SpanID...)
			}
			if len(got) == 0 || !cmp.Equal(got, want) {
				t.Errorf("shards yield %d spans, one pass %d, or in another order", len(got), len(want))
			}
			for range s.Scan(t.Context(), model.DefaultTenant, sel) {
				break // the shards end without a reader
			}
		})
	}
	t.Run("newest", func(t *testing.T) { checkNewest(t, s) })
}

// checkNewest compares the newest traces of a scan that is told which are old with those
// of a whole one.
func checkNewest(t *testing.T, s *Store) {
	newest := func(newer *atomic.Int64) (traces []candidate, yielded int) {
		for r, err := range s.Scan(t.Context(), model.DefaultTenant, store.SpanSelector{Range: allTime(), Newer: newer}) {
			if err != nil {
				t.Fatal(err)
			}
			yielded += r.Len()
			for i := range r.Len() { // spans are in order of start
				if i == 0 || r.TraceID[i] != r.TraceID[i-1] {
					traces = append(traces, candidate{id: r.TraceID[i], start: r.Start[i]})
				}
			}
			slices.SortFunc(traces, func(a, b candidate) int { return b.cmpStart(a) })
			if len(traces) > 20 {
				traces = traces[:20]
				if newer != nil {
					newer.Store(traces[19].start)
				}
			}
		}
		return traces, yielded
	}
	want, all := newest(nil)
	got, some := newest(new(atomic.Int64))
	if !slices.Equal(got, want) {
		t.Errorf("newest traces %v, want %v", got, want)
	}
	if some > all/2 {
		t.Errorf("%d of %d spans are yielded", some, all)
	}
}

// cmpStart orders by start, then id.
func (c candidate) cmpStart(o candidate) int {
	return gocmp.Or(gocmp.Compare(c.start, o.start), c.id.Compare(o.id))
}

// randomSpans makes spans of traces that also have spans in other batches.
func randomSpans(rnd *rand.Rand, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", string(rune('a'+rnd.IntN(20))))
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	spans.EnsureCapacity(n)
	for range n {
		sp := spans.AppendEmpty()
		var id pcommon.TraceID
		binary.BigEndian.PutUint64(id[:], (1+rnd.Uint64N(40_000))*0x9e3779b97f4a7c15)
		sp.SetTraceID(id)
		sp.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, rnd.Uint64()|1)))
		sp.SetStartTimestamp(pcommon.Timestamp(storetest.Now().UnixNano() + rnd.Int64N(1e9)))
		sp.SetEndTimestamp(sp.StartTimestamp() + pcommon.Timestamp(rnd.Int64N(1000)))
		sp.SetName("work")
	}
	return td
}
