package metricstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

const testTenant model.Tenant = "t1"

// samples is what a store holds: series, then time, to the bits of the value.
type samples map[string]map[int64]uint64

func (s samples) add(ls model.Labels, t int64, v float64) {
	name := ls.String()
	if s[name] == nil {
		s[name] = map[int64]uint64{}
	}
	s[name][t] = math.Float64bits(v)
}

// read returns everything in e. It fails on samples that come twice.
func read(t *testing.T, e *engine, acct *store.Account) samples {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := samples{}
	sel := store.MetricSelector{All: true, Range: model.TimeRange{From: 0, To: math.MaxInt64}, Account: acct}
	for x, err := range e.Select(ctx, testTenant, sel) {
		if err != nil {
			t.Fatal(err)
		}
		ts, vs, err := x.Samples(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ts {
			if i > 0 && ts[i-1] >= ts[i] {
				t.Fatalf("%s: %d after %d", x.Labels(), ts[i], ts[i-1])
			}
			got.add(x.Labels(), ts[i], vs[i])
		}
	}
	return got
}

func testLabels(i int) model.Labels {
	return model.LabelsFromMap(map[string]string{model.MetricName: fmt.Sprintf("metric_%d", i%5), "i": fmt.Sprint(i)})
}

func writeSample(t *testing.T, e *engine, ls model.Labels, at int64, v float64) {
	t.Helper()
	b := &store.MetricBatch{Series: []store.SeriesWrite{{Labels: ls, Samples: []store.Sample{{Time: at, Value: v}}}}}
	if err := e.Append(t.Context(), testTenant, b); err != nil {
		t.Error(err)
	}
}

// copyDir copies what kill -9 would leave behind. Files may vanish meanwhile, as merges
// and releases delete them; the manifest is copied first, so it may name parts that are
// gone only if a merge ended in between: then the copy is taken again.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	for {
		to := t.TempDir()
		if tryCopy(t, from, to) {
			return to
		}
	}
}

func tryCopy(t *testing.T, from, to string) bool {
	t.Helper()
	manifest := filepath.Join(from, "metrics", "MANIFEST")
	before, _ := os.ReadFile(manifest)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(manifest)
	return string(before) == string(after)
}

// TestCrash copies the directory of a busy store at moments when everything written so
// far is acknowledged, and demands all of it, once, from the copies.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	defer func() { e.close(t) }()
	rnd := rand.New(rand.NewPCG(1, 2))
	want := samples{}
	now := storetest.Now().UnixMilli()
	for round := range 12 {
		var wg sync.WaitGroup
		for w := range 3 {
			ops := make([][3]int64, 40)
			for i := range ops {
				ops[i] = [3]int64{rnd.Int64N(20)*3 + int64(w), now - rnd.Int64N(3*86_400_000), rnd.Int64N(1000)}
			}
			for _, op := range ops {
				want.add(testLabels(int(op[0])), op[1], float64(op[2]))
			}
			wg.Go(func() {
				for _, op := range ops {
					writeSample(t, e, testLabels(int(op[0])), op[1], float64(op[2]))
				}
			})
		}
		wg.Go(func() {
			if round%3 == 1 {
				if err := e.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if round%4 == 3 {
				if err := e.Merge(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		crashed := openEngine(t, copyDir(t, dir), testOptions())
		var acct store.Account
		if d := cmp.Diff(want, read(t, crashed, &acct)); d != "" || len(acct.Warnings()) > 0 {
			t.Fatalf("round %d: warnings %q (-want +got):\n%s", round, acct.Warnings(), d)
		}
		if round%5 == 4 { // go on from the crashed copy, which must log its series anew
			e.close(t)
			e, dir = crashed, filepath.Dir(crashed.dir)
			continue
		}
		crashed.close(t)
	}
}

// TestCrashWithinFlush cuts the head, forgets to write it, and demands it back.
func TestCrashWithinFlush(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	now := storetest.Now().UnixMilli()
	want := samples{}
	for i := range 10 {
		want.add(testLabels(i), now, float64(i))
		writeSample(t, e, testLabels(i), now, float64(i))
	}
	e.flushMu.Lock()
	e.cut()
	e.flushMu.Unlock()
	for i := range 10 { // refs of the next generation
		want.add(testLabels(9-i), now+1, float64(i))
		writeSample(t, e, testLabels(9-i), now+1, float64(i))
	}
	if d := cmp.Diff(want, read(t, e, nil)); d != "" {
		t.Fatalf("during the flush (-want +got):\n%s", d)
	}
	crashed := openEngine(t, copyDir(t, dir), testOptions())
	if d := cmp.Diff(want, read(t, crashed, nil)); d != "" {
		t.Fatalf("after the crash (-want +got):\n%s", d)
	}
	crashed.close(t)
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, read(t, e, nil)); d != "" {
		t.Fatalf("after the flush (-want +got):\n%s", d)
	}
	if n := e.headBytes(); n != 0 {
		t.Errorf("%d bytes in an empty head", n)
	}
	e.close(t)
}

// TestDamage flips bytes in every kind of file and demands that a store answers with the
// right samples or warns, and that it never fails or returns a wrong value.
func TestDamage(t *testing.T) {
	src := t.TempDir()
	e := openEngine(t, src, testOptions())
	now := storetest.Now().UnixMilli()
	want := samples{}
	for round := range 3 {
		for i := range 20 {
			at := now - int64(3-round)*1000
			want.add(testLabels(i), at, float64(i)/3)
			writeSample(t, e, testLabels(i), at, float64(i)/3)
		}
		if round < 2 {
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	e.close(t)
	var files []string
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "LOCK" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(data)/60)
		for at := 0; at < len(data); at += step {
			rel, _ := filepath.Rel(src, path)
			dir := t.TempDir()
			if !tryCopy(t, src, dir) {
				t.Fatal("copy")
			}
			bad := append([]byte(nil), data...)
			bad[at] ^= 1 << (at % 8)
			if err := os.WriteFile(filepath.Join(dir, rel), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			checkDamaged(t, dir, fmt.Sprintf("%s, byte %d", rel, at), want, strings.HasSuffix(rel, ".wal"))
		}
	}
}

func checkDamaged(t *testing.T, dir, what string, want samples, inLog bool) {
	t.Helper()
	e := openEngine(t, dir, testOptions())
	defer func() { e.close(t) }()
	for _, state := range []string{"opened", "flushed and merged"} {
		var acct store.Account
		got := read(t, e, &acct)
		for name, points := range got {
			for at, v := range points {
				if want[name][at] != v {
					t.Fatalf("%s, %s: wrong sample %s at %d", what, state, name, at)
				}
			}
		}
		lost := len(acct.Warnings()) > 0
		if inLog { // the last record of a segment may be a torn write, which nobody is told of
			lost = true
		}
		if !lost && !cmp.Equal(want, got) {
			t.Fatalf("%s, %s: samples are missing without a warning", what, state)
		}
		if err := e.Flush(t.Context()); err != nil {
			t.Fatalf("%s: flush: %v", what, err)
		}
		if err := e.Merge(t.Context()); err != nil {
			t.Fatalf("%s: merge: %v", what, err)
		}
	}
}

// TestDamagedRecordIsReported damages the record that defines the series of later ones.
func TestDamagedRecordIsReported(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	now := storetest.Now().UnixMilli()
	for i := range 5 {
		writeSample(t, e, testLabels(1), now+int64(i), 1)
	}
	e.close(t)
	segments, _ := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[20] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, dir, testOptions())
	defer e.close(t)
	var acct store.Account
	read(t, e, &acct)
	if len(acct.Warnings()) == 0 {
		t.Error("no warning")
	}
}

// TestWALIsReleased demands that the log shrinks when the head is flushed, and when
// there is nothing to flush.
func TestWALIsReleased(t *testing.T) {
	e := openEngine(t, t.TempDir(), testOptions())
	defer e.close(t)
	now := storetest.Now().UnixMilli()
	fill := func(sig model.Signal) {
		for range 20 {
			pos, err := e.log.Write(sig, testTenant, make([]byte, 20<<10))
			if err == nil {
				err = e.log.Commit(t.Context(), pos)
			}
			if err != nil {
				t.Fatal(err)
			}
			if sig == model.Logs {
				if err := e.log.Release(model.Logs, pos); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := e.log.Release(model.Traces, 1<<62); err != nil {
		t.Fatal(err)
	}
	fill(model.Logs)
	if err := e.releaseIdle(); err != nil {
		t.Fatal(err)
	}
	if n := e.log.Size(); n > 100<<10 {
		t.Errorf("an empty head holds %d bytes of log", n)
	}
	writeSample(t, e, testLabels(1), now, 1)
	fill(model.Logs)
	if err := e.releaseIdle(); err != nil {
		t.Fatal(err)
	}
	if n := e.log.Size(); n < 300<<10 {
		t.Errorf("log of a sample in the head was released: %d bytes left", n)
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := e.log.Size(); n > 100<<10 {
		t.Errorf("after a flush %d bytes of log are left", n)
	}
}

// TestRefusedCommit demands that a series whose first record the disk refused is logged
// again, and that what follows survives.
func TestRefusedCommit(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	now := storetest.Now().UnixMilli()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &store.MetricBatch{Series: []store.SeriesWrite{{Labels: testLabels(1), Samples: []store.Sample{{Time: now, Value: 1}}}}}
	tn := e.tenant(testTenant)
	a := new(appender)
	a.begin(e.Store, testTenant)
	if err := e.write(ctx, tn, a, b); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if s := tn.series[0]; len(a.defs) != 1 || s.defined != 0 && !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("series counts as defined by a record that may not be in the log")
	}
	writeSample(t, e, testLabels(1), now+1, 2)
	crashed := openEngine(t, copyDir(t, dir), testOptions())
	defer crashed.close(t)
	got := read(t, crashed, nil)
	if got[testLabels(1).String()][now+1] != math.Float64bits(2) {
		t.Errorf("got %v", got)
	}
	e.close(t)
}

// TestFailedFlushIsTriedAgain demands that a flush that the disk refuses loses nothing,
// in memory or after a crash, and that a later one writes everything once.
func TestFailedFlushIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	defer func() { e.close(t) }()
	now := storetest.Now().UnixMilli()
	want := samples{}
	write := func(at int64) {
		for i := range 5 {
			want.add(testLabels(i), at, float64(i))
			writeSample(t, e, testLabels(i), at, float64(i))
		}
	}
	check := func(when string, e *engine) {
		t.Helper()
		if d := cmp.Diff(want, read(t, e, nil)); d != "" {
			t.Fatalf("%s (-want +got):\n%s", when, d)
		}
	}
	write(now)
	obstacle := filepath.Join(e.dir, "data") // a file where a directory must be
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Flush(t.Context()); err == nil {
			t.Fatal("flush succeeded")
		}
		check("after a failed flush", e)
		now++
		write(now)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	crashed := openEngine(t, copyDir(t, dir), testOptions())
	check("after a crash", crashed)
	crashed.close(t)
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after the flush", e)
	if n := e.headBytes(); n != 0 {
		t.Errorf("%d bytes in an empty head", n)
	}
}

func TestFullDiskIsReadOnly(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	now := storetest.Now().UnixMilli()
	writeSample(t, e, testLabels(1), now, 1)
	e.close(t)
	log, err := wal.Open(filepath.Join(dir, "wal"), wal.Options{MinFree: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	opts := testOptions()
	opts.Now = storetest.Now
	s, err := Open(filepath.Join(dir, "metrics"), log, opts)
	if err != nil {
		t.Fatal(err)
	}
	full := &engine{s, log, ""}
	defer full.close(t)
	if err := log.Replay(t.Context(), func(model.Signal) wal.Pos { return s.Covered() }, s.Replay); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), testTenant, one(testLabels(1), now+1)); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("append = %v, want ErrReadOnly", err)
	}
	if got := read(t, full, nil); len(got[testLabels(1).String()]) != 1 {
		t.Errorf("got %v, want the one sample written before", got)
	}
}
