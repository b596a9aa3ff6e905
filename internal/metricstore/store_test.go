package metricstore

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is a store with its log.
type engine struct {
	*Store
	log *wal.Log
	dir string // of the store; the log is beside it
}

// openEngine opens the store in dir and replays its log.
func openEngine(t testing.TB, dir string, opts Options) *engine {
	t.Helper()
	log, err := wal.Open(filepath.Join(dir, "wal"), wal.Options{SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Now == nil {
		opts.Now = storetest.Now
	}
	s, err := Open(filepath.Join(dir, "metrics"), log, opts)
	if err != nil {
		t.Fatal(err)
	}
	covered := func(model.Signal) wal.Pos { return s.Covered() }
	if err := log.Replay(context.Background(), covered, s.Replay); err != nil {
		t.Fatal(err)
	}
	return &engine{s, log, filepath.Join(dir, "metrics")}
}

func (e *engine) close(t testing.TB) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := e.log.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func testOptions() Options {
	return Options{Retention: func(model.Tenant) time.Duration { return 15 * 24 * time.Hour }}
}

func TestContract(t *testing.T) {
	storetest.RunMetrics(t, func(t *testing.T) storetest.Subject[storetest.MetricStore] {
		dir := t.TempDir()
		e := openEngine(t, dir, testOptions())
		t.Cleanup(func() { e.close(t) })
		return storetest.Subject[storetest.MetricStore]{
			Store: e.Store,
			Flush: func() error { return e.Flush(t.Context()) },
			Merge: func() error { return e.Merge(t.Context()) },
			Reopen: func() (storetest.MetricStore, error) {
				e.close(t)
				e = openEngine(t, dir, testOptions())
				return e.Store, nil
			},
		}
	})
}
