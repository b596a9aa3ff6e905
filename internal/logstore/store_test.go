package logstore

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened is a store with its wal, in a directory that survives reopening.
type opened struct {
	*Store
	log *wal.Log
	dir string
}

// openAt opens the store in dir and replays its wal, as app does.
func openAt(t testing.TB, dir string, opts Options) *opened {
	t.Helper()
	o, err := tryOpen(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func tryOpen(dir string, opts Options) (*opened, error) {
	if opts.Now == nil {
		opts.Now = storetest.Now
	}
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1})
	if err != nil {
		return nil, err
	}
	s, err := Open(dir+"/logs", log, opts)
	if err != nil {
		return nil, err
	}
	covered := func(sig model.Signal) wal.Pos {
		if sig == model.Logs {
			return s.Covered()
		}
		return 0
	}
	err = log.Replay(context.Background(), covered, s.Replay)
	return &opened{Store: s, log: log, dir: dir}, err
}

func (o *opened) close(t testing.TB) {
	t.Helper()
	if err := o.Store.Close(); err != nil {
		t.Error(err)
	}
	if err := o.log.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func (o *opened) mergeAll(ctx context.Context) error {
	_, err := o.set.MergeOnce(ctx)
	return err
}

func TestContract(t *testing.T) {
	storetest.RunLogs(t, func(t *testing.T) storetest.Subject[storetest.LogStore] {
		o := openAt(t, t.TempDir(), Options{})
		t.Cleanup(func() { o.close(t) })
		sub := storetest.Subject[storetest.LogStore]{
			Store: o,
			Flush: func() error { return o.Flush(context.Background()) },
			Merge: func() error { return o.mergeAll(context.Background()) },
		}
		sub.Reopen = func() (storetest.LogStore, error) {
			o.close(t)
			next, err := tryOpen(o.dir, Options{})
			if err == nil {
				*o = *next
			}
			return o, err
		}
		return sub
	})
}
