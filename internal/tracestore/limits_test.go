package tracestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// traceOfSpans returns one trace of n spans that start at start.
func traceOfSpans(trace byte, n int, start time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{trace})
		s.SetSpanID(pcommon.SpanID{1, byte(i), byte(i >> 8)})
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Millisecond)))
	}
	return td
}

func TestRefusals(t *testing.T) {
	now := storetest.Now()
	d := openTest(t, Options{Limits: Limits{MaxTraceSpans: 10, MaxAge: time.Hour, MaxAhead: time.Minute}})
	for _, tt := range []struct {
		name   string
		td     ptrace.Traces
		reason string
		kept   int
	}{
		{"old", traceOfSpans(1, 2, now.Add(-2*time.Hour)), store.ReasonTooOld, 0},
		{"no start", traceOfSpans(1, 2, time.Unix(0, 0)), store.ReasonTooOld, 0},
		{"ahead", traceOfSpans(1, 2, now.Add(2*time.Minute)), store.ReasonTooNew, 0},
		{"far ahead", traceOfSpans(1, 2, time.Unix(0, -1)), store.ReasonTooNew, 0}, // 2^64-1
		{"big", traceOfSpans(2, 12, now), store.ReasonTraceTooLarge, 10},
		{"full", traceOfSpans(2, 2, now), store.ReasonTraceTooLarge, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := d.s.Append(t.Context(), model.DefaultTenant, storetest.Spans(tt.td))
			var r *store.Refused
			if !errors.As(err, &r) || r.Kept != tt.kept || len(r.Refusals) != 1 || r.Refusals[0].Reason != tt.reason {
				t.Errorf("append = %v, want %s with %d kept", err, tt.reason, tt.kept)
			}
		})
	}
}

// TestRate sends at a tenant's rate, beyond it, and as another tenant.
func TestRate(t *testing.T) {
	now := storetest.Now()
	b := storetest.Spans(traceOfSpans(1, 4, now))
	size := 0
	for _, s := range b.Spans {
		size += s.Size
	}
	d := openTest(t, Options{Now: func() time.Time { return now }, TenantLimits: func(tenant model.Tenant) (Limits, bool) {
		return Limits{Rate: size, Burst: 2 * size}, tenant == "slow"
	}})
	for i, step := range []struct {
		tenant model.Tenant
		wait   time.Duration
		ok     bool
	}{{"slow", 0, true}, {"slow", 0, true}, {"slow", 0, false}, {"quick", 0, true}, {"slow", time.Second, true}, {"slow", 999 * time.Millisecond, false}, {"slow", time.Millisecond, true}} {
		now = now.Add(step.wait)
		err := d.s.Append(t.Context(), step.tenant, b)
		var r *store.Refused
		if step.ok && err != nil || !step.ok && (!errors.As(err, &r) || r.Kept != 0 || r.Count() != 4 || r.Refusals[0].Reason != store.ReasonRateLimited || !r.TryLater()) {
			t.Errorf("append %d as %s: %v", i, step.tenant, err)
		}
	}
}

func TestOverload(t *testing.T) {
	d := openTest(t, Options{HeadSize: 4000})
	var err error
	for i := 0; err == nil && i < 200; i++ {
		err = d.s.Append(t.Context(), model.DefaultTenant, storetest.Spans(traceOfSpans(byte(i+1), 5, storetest.Now())))
	}
	if !errors.Is(err, store.ErrOverloaded) {
		t.Fatalf("append without flushes = %v, want ErrOverloaded", err)
	}
	if err := d.s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.s.Append(t.Context(), model.DefaultTenant, storetest.Spans(traceOfSpans(1, 5, storetest.Now()))); err != nil {
		t.Errorf("append after a flush = %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir+"/traces", log, Options{Now: storetest.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(s.Close(), log.Close(context.Background())) }()
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(traceOfSpans(1, 1, storetest.Now()))); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("append to a full disk = %v, want ErrReadOnly", err)
	}
	if _, err := s.Trace(t.Context(), model.DefaultTenant, model.TraceID{1}, model.TimeRange{}, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("trace = %v, want ErrNotFound", err)
	}
}

// TestManyEvents writes spans with so many events that one group cannot hold them all,
// and one span with too many.
func TestManyEvents(t *testing.T) {
	d := openTest(t, Options{HeadSize: 1 << 30})
	const spans = maxChildren/maxSpanChildren + 2
	for i := range spans {
		td := traceOfSpans(byte(i+1), 1, storetest.Now())
		events := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events()
		for range maxSpanChildren {
			events.AppendEmpty()
		}
		if err := d.s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
		events.AppendEmpty()
		if err := d.s.Append(t.Context(), "other", storetest.Spans(td)); !errors.Is(err, store.ErrLimit) {
			t.Errorf("append of too many events = %v, want ErrLimit", err)
		}
	}
	if err := d.s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := d.s.parts.View(model.DefaultTenant, allTime())
	defer v.Close()
	if n := len(v.Parts[0].Data.groups); n != 2 {
		t.Errorf("%d groups, want 2", n)
	}
}

func TestBadOptions(t *testing.T) {
	if _, err := Open(t.TempDir(), nil, Options{HeadSize: -1, HeadAge: -1}); err == nil {
		t.Error("negative options are accepted")
	}
}

// TestRun checks that spans move to parts by themselves, and once more at the end.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir+"/traces", log, Options{HeadAge: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(s.Close(), log.Close(context.Background())) }()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	rows := func() (n int64) {
		v := s.parts.View(model.DefaultTenant, allTime())
		defer v.Close()
		for _, p := range v.Parts {
			n += p.Stats().Rows
		}
		return n
	}
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(traceOfSpans(1, 3, time.Now()))); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); rows() < 3; {
		if time.Now().After(deadline) {
			t.Fatalf("%d spans are in parts, want 3", rows())
		}
	}
	cancel()
	wg.Wait()
	if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(traceOfSpans(2, 2, time.Now()))); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err != nil { // ctx is done: only the last flush
		t.Fatal(err)
	}
	if rows() != 5 || s.Covered() != log.End() {
		t.Errorf("%d spans are in parts, want 5; covered %d of %d", rows(), s.Covered(), log.End())
	}
}

// TestFailedFlush checks that spans stay readable when they cannot be written, and are
// written later.
func TestFailedFlush(t *testing.T) {
	d := openTest(t, Options{})
	put := func(trace byte) {
		t.Helper()
		if err := d.s.Append(t.Context(), model.DefaultTenant, storetest.Spans(traceOfSpans(trace, 3, storetest.Now()))); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	obstacle := filepath.Join(d.dir, "traces", "data")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.s.Flush(t.Context()); err == nil {
		t.Fatal("flush without a directory succeeds")
	}
	put(2)
	check := func(when string) {
		t.Helper()
		for trace := range byte(2) {
			td, err := d.s.Trace(t.Context(), model.DefaultTenant, model.TraceID{trace + 1}, model.TimeRange{}, nil)
			if err != nil || td.SpanCount() != 3 {
				t.Errorf("%s: trace %d has %d spans, %v", when, trace+1, td.SpanCount(), err)
			}
		}
	}
	check("after a failed flush")
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if err := d.s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after a flush")
	if d.s.Covered() != d.log.End() {
		t.Errorf("parts cover %d of %d", d.s.Covered(), d.log.End())
	}
}
