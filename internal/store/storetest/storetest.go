// Package storetest says in code what package store says in prose. For each signal it
// holds
//
//   - a reference: [Metrics], [Logs], [Traces], the obvious implementation of the
//     contract in memory, slow and plain enough to be read as its definition. Tests of
//     other packages use it as a store, and as the oracle for a fast one;
//   - a suite: [RunMetrics], [RunLogs], [RunTraces], which every implementation passes:
//     cases for each documented rule, then random writes and reads compared with the
//     reference, with flushes, merges and restarts in between if the store has them.
//
// Where the contract leaves a store freedom, the suite accepts all of it: the order of
// items that compare equal, empty series, and in the questions about names
// (LabelNames, Tags, ...) whatever lies in the UTC days that the asked range touches.
//
// The references overwrite a batch after its iteration, so that a reader that keeps
// what it does not own fails its tests.
//
// To add a rule, write it in package store, make the reference obey it, and add a case
// to the suite.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// MetricStore is all that a metric store does.
type MetricStore interface {
	store.MetricWriter
	store.MetricReader
	store.MetricIndex
}

// LogStore is all that a log store does.
type LogStore interface {
	store.LogWriter
	store.LogReader
	store.LogIndex
}

// TraceStore is all that a trace store does.
type TraceStore interface {
	store.TraceWriter
	store.TraceReader
	store.TraceIndex
}

// Subject is a store under test, empty, and what else the suite may do to it. Nil
// functions are left out. The functions that open a subject register its clean-up with
// t.Cleanup. A store with a clock uses [Now], and keeps data for at least a week: all
// that the suite writes lies in the three days before.
type Subject[S any] struct {
	Store  S
	Flush  func() error      // moves what is in memory to files
	Merge  func() error      // merges files
	Reopen func() (S, error) // closes Store and opens it again from its files and log
}

// Now is the time at which the suites run, and the clock of the references.
func Now() time.Time { return time.Date(2026, 1, 15, 18, 30, 0, 0, time.UTC) }

// tenant owns most of what the suites write.
const tenant model.Tenant = "team-a"

const (
	dayMillis = 24 * 3600 * 1000
	dayNanos  = dayMillis * 1_000_000
)

// always is a range that holds all that a suite writes, in either unit.
func always() model.TimeRange { return model.TimeRange{From: 0, To: 1 << 62} }

// shake flushes, merges or reopens the subject, or does nothing, at random.
func shake[S any](t *testing.T, rng *rand.Rand, sub *Subject[S]) {
	t.Helper()
	switch n := rng.IntN(6); {
	case n == 0 && sub.Flush != nil:
		if err := sub.Flush(); err != nil {
			t.Fatalf("flush: %v", err)
		}
	case n == 1 && sub.Merge != nil:
		if err := sub.Merge(); err != nil {
			t.Fatalf("merge: %v", err)
		}
	case n == 2 && sub.Reopen != nil:
		reopen(t, sub)
	}
}

func reopen[S any](t *testing.T, sub *Subject[S]) {
	t.Helper()
	s, err := sub.Reopen()
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	sub.Store = s
}

// settle flushes and merges the subject if it can.
func settle[S any](t *testing.T, sub *Subject[S]) {
	t.Helper()
	for _, f := range []func() error{sub.Flush, sub.Merge} {
		if f == nil {
			continue
		}
		if err := f(); err != nil {
			t.Fatalf("settle: %v", err)
		}
	}
}

// seeds runs f as a subtest for a few fixed seeds.
func seeds(t *testing.T, f func(t *testing.T, rng *rand.Rand)) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			f(t, rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)))
		})
	}
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// wantRefused checks that err is a Refused with these counts and only this reason.
func wantRefused(t *testing.T, err error, reason string, refused, kept int) {
	t.Helper()
	var r *store.Refused
	if !errors.As(err, &r) {
		t.Fatalf("append = %v, want a *Refused", err)
	}
	if len(r.Refusals) != 1 || r.Refusals[0].Reason != reason || r.Count() != refused || r.Kept != kept {
		t.Fatalf("append = %+v, want %d refused for %s and %d kept", r, refused, reason, kept)
	}
	if r.Refusals[0].Sample == "" {
		t.Errorf("refusal %+v has no sample", r.Refusals[0])
	}
}

// wantLastError drains seq and checks that it ends with one error, which is want.
func wantLastError[T any](t *testing.T, seq iter.Seq2[T, error], want error) {
	t.Helper()
	var last error
	for _, err := range seq {
		if last != nil {
			t.Fatalf("a sequence went on after its error %v", last)
		}
		last = err
	}
	if !errors.Is(last, want) {
		t.Fatalf("the sequence ended with error %v, want %v", last, want)
	}
}

// cancelled returns a context that is done.
func cancelled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// wantBetween checks that got is sorted, without duplicates, and lies between the sets
// low and high.
func wantBetween(t *testing.T, what string, got, low, high []string) {
	t.Helper()
	in := map[string]bool{}
	for i, g := range got {
		if in[g] {
			t.Errorf("%s: %q occurs twice", what, g)
		}
		if i > 0 && got[i-1] > g {
			t.Errorf("%s: %q before %q: not sorted", what, got[i-1], g)
		}
		in[g] = true
	}
	for _, l := range low {
		if !in[l] {
			t.Errorf("%s = %q: %q is missing", what, got, l)
		}
	}
	may := map[string]bool{}
	for _, h := range high {
		may[h] = true
	}
	for _, g := range got {
		if !may[g] {
			t.Errorf("%s = %q: %q does not belong", what, got, g)
		}
	}
}

// wholeDays widens r to full UTC days of unit length.
func wholeDays(r model.TimeRange, day int64) model.TimeRange {
	if r.Empty() {
		return r
	}
	return model.TimeRange{From: r.From - r.From%day, To: (r.To + day - 1) / day * day}
}
