package tracestore

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testDir is a store and its log in one directory.
type testDir struct {
	dir string
	log *wal.Log
	s   *Store
}

func openDir(dir string, opts Options) (*testDir, error) {
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1, Sync: wal.SyncInterval})
	if err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = storetest.Now
	}
	s, err := Open(dir+"/traces", log, opts)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	err = log.Replay(ctx, func(model.Signal) wal.Pos { return s.Covered() }, s.Replay)
	return &testDir{dir, log, s}, err
}

func (d *testDir) close() {
	_ = d.s.Close()
	_ = d.log.Close(context.Background())
}

func openTest(t testing.TB, opts Options) *testDir {
	t.Helper()
	d, err := openDir(t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.close() })
	return d
}

func TestContract(t *testing.T) { runContract(t, minRunRows) }

// TestContractOfRuns is the same with parts of several runs.
func TestContractOfRuns(t *testing.T) { runContract(t, 4) }

func runContract(t *testing.T, minRun int) {
	storetest.RunTraces(t, func(t *testing.T) storetest.Subject[storetest.TraceStore] {
		d := openTest(t, Options{})
		d.s.minRun = minRun
		return storetest.Subject[storetest.TraceStore]{
			Store: d.s,
			Flush: func() error { return d.s.Flush(context.Background()) },
			Merge: func() error { return d.s.Merge(context.Background()) },
			Reopen: func() (storetest.TraceStore, error) {
				d.close()
				again, err := openDir(d.dir, Options{})
				if err != nil {
					return nil, err
				}
				*d = *again
				d.s.minRun = minRun
				return d.s, nil
			},
		}
	})
}
