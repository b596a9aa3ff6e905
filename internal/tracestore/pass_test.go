package tracestore

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestPasses reads the newest of many files: what is older than the traces of the answer is
// not opened, and what is settled is told after each pass.
func TestPasses(t *testing.T) {
	s := openTest(t, Options{}).s
	const minutes, perMinute = 60, 10
	for n := range minutes {
		td := ptrace.NewTraces()
		spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		for k := range perMinute {
			sp := spans.AppendEmpty()
			var id pcommon.TraceID
			binary.BigEndian.PutUint64(id[:], uint64(n*perMinute+k+1)*0x9e3779b97f4a7c15)
			sp.SetTraceID(id)
			sp.SetSpanID(pcommon.SpanID{1})
			sp.SetStartTimestamp(pcommon.Timestamp(storetest.Now().UnixNano() + int64(n-minutes)*60e9 + int64(k)*1e9))
			sp.SetEndTimestamp(sp.StartTimestamp())
		}
		if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	begin := storetest.Now().UnixNano()
	read := func(enough int) (yielded int, settled []int64, use store.Usage) {
		sel := store.SpanSelector{Range: allTime(), Newer: new(atomic.Int64), Settled: new(atomic.Int64), Account: &store.Account{}}
		sel.Newer.Store(math.MinInt64)
		sel.Settled.Store(math.MaxInt64)
		for r, err := range s.Scan(t.Context(), model.DefaultTenant, sel) {
			if err != nil {
				t.Fatal(err)
			}
			if yielded += r.Len(); yielded == enough {
				sel.Newer.Store(begin - firstPass*60e9)
			}
			if now := sel.Settled.Load(); r.Len() == 0 {
				settled = append(settled, now)
			}
		}
		return yielded, settled, sel.Account.Usage()
	}
	// The first pass is the last eight minutes. Then the last span of the minute before is settled.
	yielded, settled, use := read(firstPass * perMinute)
	if yielded != firstPass*perMinute || len(settled) > 0 || use.BlocksSkipped < minutes/2 {
		t.Errorf("%d spans, settled %v, %d blocks read, %d left out", yielded, settled, use.BlocksRead, use.BlocksSkipped)
	}
	yielded, settled, _ = read(-1)
	if want := begin - (firstPass+1)*60e9 + (perMinute-1)*1e9; yielded != minutes*perMinute || len(settled) < 2 || settled[0] != want || !slices.IsSortedFunc(settled, func(a, b int64) int { return cmp.Compare(b, a) }) {
		t.Errorf("%d spans, settled %v, want the first to be %d", yielded, settled, want)
	}
}
