package tracestore

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
	"github.com/pharos-o11y/pharos/internal/tracestore/sampling"
)

func thinSampler(t *testing.T, policies ...sampling.Policy) *sampling.Sampler {
	t.Helper()
	s, err := sampling.New(policies)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// thinStore opens a store with a clock.
func thinStore(t *testing.T, dir string, now *time.Time, opts Options) *Store {
	t.Helper()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1, Sync: wal.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	opts.Now = func() time.Time { return *now }
	s, err := Open(dir+"/traces", log, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		_ = log.Close(context.Background())
	})
	return s
}

// addSpan appends one span of trace n.
func addSpan(t *testing.T, s *Store, n, span int, start time.Time, status ptrace.StatusCode) {
	t.Helper()
	td := ptrace.NewTraces()
	sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID(thinID(n)))
	sp.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, uint64(span))))
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	sp.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Millisecond)))
	sp.Status().SetCode(status)
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
}

func thinID(n int) (id model.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func spansOf(t *testing.T, s *Store, n int) int {
	t.Helper()
	td, err := s.Trace(t.Context(), model.DefaultTenant, thinID(n), model.TimeRange{}, nil)
	if errors.Is(err, store.ErrNotFound) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return td.SpanCount()
}

func flushAndMerge(t *testing.T, s *Store) {
	t.Helper()
	if err := errors.Join(s.Flush(t.Context()), s.Merge(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// TestThinning lets a day age past two steps. Decisions see the whole trace: its spans lie
// in several parts, in memory and across midnight.
func TestThinning(t *testing.T) {
	day := storetest.Now().Truncate(24 * time.Hour)
	now := day.Add(20 * time.Hour)
	dir := t.TempDir()
	opts := Options{
		Limits: Limits{MaxAge: -1, MaxAhead: -1},
		Thin: []ThinStep{
			{After: 24 * time.Hour, Sampler: thinSampler(t,
				sampling.Policy{Name: "errors", Type: "status_code", StatusCode: sampling.StatusCode{Codes: []string{"ERROR"}}},
				sampling.Policy{Name: "linked", Type: "referenced"})},
			{After: 72 * time.Hour, Sampler: thinSampler(t, sampling.Policy{Name: "linked", Type: "referenced"})},
		},
		References: func(context.Context, model.Tenant, model.TimeRange) (map[model.TraceID]struct{}, error) {
			return map[model.TraceID]struct{}{thinID(7): {}}, nil
		},
	}
	s := thinStore(t, dir, &now, opts)
	const traces = 20
	for n := 1; n <= traces; n++ {
		addSpan(t, s, n, 1, day.Add(10*time.Hour), ptrace.StatusCodeOk)
	}
	flushAndMerge(t, s)
	addSpan(t, s, 3, 2, day.Add(10*time.Hour), ptrace.StatusCodeError) // in another part
	flushAndMerge(t, s)
	addSpan(t, s, 4, 1, day.Add(24*time.Hour-time.Millisecond), ptrace.StatusCodeOk)
	now = day.Add(25 * time.Hour)
	addSpan(t, s, 4, 2, day.Add(24*time.Hour), ptrace.StatusCodeError) // the next day
	flushAndMerge(t, s)
	for n := 1; n <= traces; n++ {
		if spansOf(t, s, n) == 0 {
			t.Fatalf("trace %d is gone before its time", n)
		}
	}

	now = day.Add(49 * time.Hour)
	addSpan(t, s, 5, 2, day.Add(10*time.Hour), ptrace.StatusCodeError) // late, in memory
	check := func(want map[int]int) {
		t.Helper()
		for n := 1; n <= traces; n++ {
			if got := spansOf(t, s, n); got != want[n] {
				t.Errorf("at %s: trace %d has %d spans, want %d", now, n, got, want[n])
			}
		}
	}
	if err := s.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	flushAndMerge(t, s)
	want := map[int]int{3: 2, 4: 2, 5: 2, 7: 1}
	check(want)
	if n, err := s.parts.MergeOnce(t.Context()); n != 0 || err != nil {
		t.Errorf("thinned parts are merged %d times more, error %v", n, err)
	}

	now = day.Add(97*time.Hour - time.Minute)
	flushAndMerge(t, s)
	want = map[int]int{4: 1, 7: 1} // the second span of 4 is of a younger day
	check(want)
	now = day.Add(300 * time.Hour)
	flushAndMerge(t, s)
	want = map[int]int{7: 1}
	check(want)
	s = thinStore(t, t.TempDir(), &now, opts)
	if got := spansOf(t, s, 7); got != 0 {
		t.Errorf("an empty store has %d spans", got)
	}
}

// TestThinningFails keeps everything when it cannot be known what is referenced.
func TestThinningFails(t *testing.T) {
	now := storetest.Now()
	fail := true
	s := thinStore(t, t.TempDir(), &now, Options{
		Thin: []ThinStep{{Sampler: thinSampler(t, sampling.Policy{Type: "referenced"})}},
		References: func(context.Context, model.Tenant, model.TimeRange) (map[model.TraceID]struct{}, error) {
			if fail {
				return nil, errors.New("no answer")
			}
			return nil, nil
		},
	})
	addSpan(t, s, 1, 1, now, ptrace.StatusCodeOk)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(48 * time.Hour)
	if err := s.Merge(t.Context()); err == nil || spansOf(t, s, 1) != 1 {
		t.Errorf("error %v, %d spans left", err, spansOf(t, s, 1))
	}
	fail = false
	if err := s.Merge(t.Context()); err != nil || spansOf(t, s, 1) != 0 || s.DiskSize() != 0 {
		t.Errorf("error %v, %d spans and %d bytes left", err, spansOf(t, s, 1), s.DiskSize())
	}
}

// TestIndexVersion1 reads an index from before thinning.
func TestIndexVersion1(t *testing.T) {
	old := []byte{1, 0, 1, byte(store.ScopeSpan), 1, 'a'}
	idx, err := parseIndex(old)
	if err != nil || idx.thinned != 0 || len(idx.attrs) != 1 {
		t.Errorf("index %+v, error %v", idx, err)
	}
	if _, err := parseIndex([]byte{indexVersion + 1, 0, 0}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a later version: error %v", err)
	}
}
