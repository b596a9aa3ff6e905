package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, opts Options) *Log {
	t.Helper()
	l, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// put writes and commits one record.
func put(t *testing.T, l *Log, sig model.Signal, data string) Pos {
	t.Helper()
	pos, err := l.Write(sig, "t1", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), pos); err != nil {
		t.Fatal(err)
	}
	return pos
}

func none(model.Signal) Pos { return 0 }

func replay(t *testing.T, l *Log, covered func(model.Signal) Pos) []string {
	t.Helper()
	var got []string
	err := l.Replay(t.Context(), covered, func(r Record) error {
		got = append(got, string(r.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReplayReturnsEveryCommittedRecordInOrder(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentSize: 200})
	var want []string
	var mid Pos
	for i := range 50 {
		data := fmt.Sprintf("record %d", i)
		pos := put(t, l, model.Logs, data)
		if i == 20 {
			mid = pos
		}
		want = append(want, data)
	}
	closeLog(t, l)

	l = open(t, dir, Options{})
	defer closeLog(t, l)
	if got := replay(t, l, none); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := replay(t, l, func(model.Signal) Pos { return mid }); !slices.Equal(got, want[21:]) {
		t.Errorf("behind position %d: got %q, want %q", mid, got, want[21:])
	}
}

func TestCommitsOfManyWritersAreSharedAndKept(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentSize: 10_000})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 50 {
				pos, err := l.Write(model.Metrics, "t1", fmt.Appendf(nil, "%d/%d", w, i))
				if err == nil {
					err = l.Commit(t.Context(), pos)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// No Close: the files must hold everything already, as after kill -9.
	_ = l.lock.Close()
	l2 := open(t, dir, Options{})
	defer closeLog(t, l2)
	got := replay(t, l2, none)
	slices.Sort(got)
	if len(slices.Compact(got)) != 16*50 {
		t.Errorf("got %d distinct records, want %d", len(got), 16*50)
	}
	_ = l.file.Close()
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	defer closeLog(t, l)
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("second Open succeeded")
	}
}

func TestRefusedCommitIsNotReplayedAndPositionsGoOn(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	put(t, l, model.Logs, "a")
	_ = l.file.Close()
	l.file, _ = os.Open(l.path(l.segments[0].start)) // read-only: the write fails
	pos, err := l.Write(model.Logs, "t1", []byte("lost"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), pos); !errors.Is(err, store.ErrReadOnly) {
		t.Fatalf("commit error = %v, want ErrReadOnly", err)
	}
	if after := put(t, l, model.Logs, "b"); after <= pos {
		t.Errorf("position %d after %d", after, pos)
	}
	if err := l.Commit(t.Context(), pos); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("late commit error = %v, want ErrReadOnly", err)
	}
	closeLog(t, l)
	l = open(t, dir, Options{})
	defer closeLog(t, l)
	if got, want := replay(t, l, none), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDiskNearlyFullRefusesWrites(t *testing.T) {
	l := open(t, t.TempDir(), Options{MinFree: 1 << 62})
	defer closeLog(t, l)
	if _, err := l.Write(model.Logs, "t1", nil); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("write error = %v, want ErrReadOnly", err)
	}
}

func TestReleaseDeletesWhatNoSignalNeeds(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentSize: 64})
	defer closeLog(t, l)
	var pos Pos
	for range 10 {
		pos = put(t, l, model.Logs, "0123456789012345678901234567890123456789")
	}
	files := func() int {
		m, _ := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
		return len(m)
	}
	before := files()
	for _, sig := range []model.Signal{model.Logs, model.Traces} {
		if err := l.Release(sig, pos); err != nil {
			t.Fatal(err)
		}
	}
	if got := files(); got != before {
		t.Errorf("%d files, want %d: metrics have not released", got, before)
	}
	if err := l.Release(model.Metrics, pos); err != nil {
		t.Fatal(err)
	}
	if got := files(); got != 1 {
		t.Errorf("%d files left, want 1", got)
	}
}

// TestDamageNeverHidesOtherRecords flips or cuts bytes and demands that every record
// that was not touched is replayed, and that a loss in the middle is reported.
func TestDamageNeverHidesOtherRecords(t *testing.T) {
	src := t.TempDir()
	l := open(t, src, Options{})
	want := []string{"first record", "second record", "third record"}
	var ends []Pos
	for _, w := range want {
		ends = append(ends, put(t, l, model.Traces, w))
	}
	closeLog(t, l)
	data, err := os.ReadFile(l.path(0))
	if err != nil {
		t.Fatal(err)
	}
	for at := range data {
		bad := slices.Clone(data)
		bad[at] ^= 0x10
		hit := slices.IndexFunc(ends, func(p Pos) bool { return Pos(at) < p })
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(l.path(0))), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, dir, Options{})
		got := replay(t, l, none)
		if exp := slices.Delete(slices.Clone(want), hit, hit+1); !slices.Equal(got, exp) {
			t.Fatalf("flip at %d: got %q, want %q", at, got, exp)
		}
		if lost := l.Lost(); (len(lost) > 0) != (hit < 2) {
			t.Fatalf("flip at %d in record %d: reported %q", at, hit, lost)
		}
		closeLog(t, l)
	}
}

func FuzzReplay(f *testing.F) {
	f.Add(appendRecord(nil, model.Logs, "t", []byte("x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%016x%s", 0, segmentSuffix)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, dir, Options{})
		defer closeLog(t, l)
		if err := l.Replay(t.Context(), none, func(Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWritersMayOutliveClose lets writers go on while the log is closed: each record is
// either acknowledged and found again, or refused.
func TestWritersMayOutliveClose(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var acked []string
	started := make(chan struct{}, 8)
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				data := fmt.Sprintf("%d/%d", w, i)
				pos, err := l.Write(model.Logs, "t1", []byte(data))
				if err == nil {
					err = l.Commit(t.Context(), pos)
				}
				if err != nil {
					if !errors.Is(err, store.ErrReadOnly) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				acked = append(acked, data)
				mu.Unlock()
				if i == 10 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	closeLog(t, l)
	wg.Wait()
	l = open(t, dir, Options{})
	defer closeLog(t, l)
	got := map[string]bool{}
	for _, data := range replay(t, l, none) {
		got[data] = true
	}
	for _, data := range acked {
		if !got[data] {
			t.Errorf("acknowledged record %s is gone", data)
		}
	}
}
