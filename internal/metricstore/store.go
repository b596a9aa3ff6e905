package metricstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/run"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Store is the embedded metrics engine. It implements [store.MetricWriter],
// [store.MetricReader] and [store.MetricIndex]. Its methods are safe for concurrent use.
type Store struct {
	opts    Options
	dir     string
	log     *wal.Log
	set     *part.Set[*partData]
	z       *codec.Zstd
	metrics *metrics
	opened  int64 // Unix milliseconds
	limit   int   // of what is in a part; partLimit but in tests

	appenders sync.Pool // of *appender
	decoders  sync.Pool // of *sampleDecoder
	packed    sync.Pool // of *[]byte: compressed blocks
	blocks    *blockCache
	curBytes  atomic.Int64
	oldBytes  atomic.Int64 // of the frozen buffers

	queried usage

	delMu   sync.Mutex // serialises changes of deleted
	deleted atomic.Pointer[deletions]

	mu      sync.RWMutex
	tenants map[model.Tenant]*tenant // guarded by mu
	lost    []string                 // guarded by mu; what replay could not read

	flushMu   sync.Mutex
	pending   bool      // guarded by flushMu; frozen buffers wait to be written (again)
	cutPos    wal.Pos   // guarded by flushMu; what they cover
	nextGen   uint32    // guarded by flushMu; generation of the next chunks
	lastFlush time.Time // guarded by flushMu

	genMu  sync.Mutex
	walGen uint64 // guarded by genMu; last wal generation
}

var (
	_ store.MetricWriter = (*Store)(nil)
	_ store.MetricReader = (*Store)(nil)
	_ store.MetricIndex  = (*Store)(nil)
)

// Open opens the store in dir, creating it if absent. The caller replays log into it
// (see [Store.Covered] and [Store.Replay]) before the first Append. Open starts no
// goroutine; that is [Store.Run].
func Open(dir string, log *wal.Log, opts Options) (*Store, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open metric store: %w", err)
	}
	opts = opts.withDefaults()
	s := &Store{opts: opts, dir: dir, log: log, limit: partLimit, tenants: map[model.Tenant]*tenant{}, lastFlush: opts.Now(), opened: opts.Now().UnixMilli(), blocks: newBlockCache(int(opts.BlockCache))}
	s.appenders.New = func() any { return new(appender) }
	s.decoders.New = func() any { return new(sampleDecoder) }
	var err error
	if s.z, err = codec.NewZstd(codec.LevelFast); err != nil {
		return nil, fmt.Errorf("open metric store: %w", err)
	}
	s.set, err = part.Open(dir, part.Options[*partData]{
		Signal:     model.Metrics,
		Load:       s.loadPart,
		Merge:      s.merge,
		Rewrite:    s.rewriteNext,
		Retention:  s.keep,
		Every:      opts.Every,
		Logger:     opts.Logger,
		Now:        opts.Now,
		Registerer: opts.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("open metric store: %w", err)
	}
	s.metrics = newMetrics(opts.Registerer, s)
	if err = errors.Join(s.openDeletions(), s.scanParts(), s.queried.load(dir, opts.Now().Unix())); err != nil {
		s.set.Close()
		return nil, fmt.Errorf("open metric store: %w", err)
	}
	return s, nil
}

// always is every time, in Unix nanoseconds.
func always() model.TimeRange { return model.TimeRange{From: math.MinInt64, To: math.MaxInt64} }

// scanParts takes from the parts what must be in memory: the newest generation and the
// metadata.
func (s *Store) scanParts() error {
	for _, name := range s.set.Tenants() {
		v := s.set.View(name, always())
		for _, p := range v.Parts {
			s.nextGen = max(s.nextGen, p.Data.maxGen+1)
			_, mds, err := s.readIndex(p.File)
			if err != nil {
				v.Close()
				return err
			}
			t := s.tenant(name)
			for i := range mds {
				t.meta.add(&mds[i], p.Info.Day, false)
			}
		}
		v.Close()
	}
	return nil
}

// tenant returns the head of a tenant, making it if need be.
func (s *Store) tenant(name model.Tenant) *tenant {
	if t := s.known(name); t != nil {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[name]
	if t == nil {
		t = newTenant(name, s.opened)
		s.tenants[name] = t
	}
	return t
}

// known returns the head of a tenant, nil if it never wrote.
func (s *Store) known(name model.Tenant) *tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tenants[name]
}

// all returns every tenant, in a fixed order.
func (s *Store) all() []*tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ts := make([]*tenant, 0, len(s.tenants))
	for _, t := range s.tenants {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b *tenant) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return ts
}

// newGeneration returns a wal generation that no record in the log has.
func (s *Store) newGeneration() uint64 {
	s.genMu.Lock()
	defer s.genMu.Unlock()
	s.walGen = max(s.walGen+1, uint64(s.log.End())+1)
	return s.walGen
}

func (s *Store) headBytes() int64 { return s.curBytes.Load() + s.oldBytes.Load() }

func (s *Store) headSeries() int {
	n := 0
	for _, t := range s.all() {
		t.mu.RLock()
		n += len(t.series)
		t.mu.RUnlock()
	}
	return n
}

// lose remembers a loss, for warnings.
func (s *Store) lose(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lost) < 10 && !slices.Contains(s.lost, text) {
		s.lost = append(slices.Clip(s.lost), text)
	}
}

// warnLost tells a query what is missing everywhere.
func (s *Store) warnLost(acct *store.Account) {
	if acct == nil {
		return
	}
	s.mu.RLock()
	lost := s.lost
	s.mu.RUnlock()
	for _, text := range lost {
		acct.Warn("%s", text)
	}
	for _, text := range s.log.Lost() {
		acct.Warn("%s", text)
	}
}

// Run flushes the head when it is big or old, merges parts, drops what is past its
// retention and releases the log, until ctx is done; then it flushes once more, so that
// the next start has nothing to replay, unless that takes longer than Options.StopFlush.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.set.Run(ctx) })
	g.Go(func() error { return s.flushLoop(ctx) })
	return g.Wait()
}

func (s *Store) flushLoop(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	trim := s.opts.Now()
	flushing, end := run.Linger(ctx, s.opts.StopFlush)
	defer end()
	for {
		select {
		case <-ctx.Done():
			switch err := s.Flush(flushing); {
			case err != nil && flushing.Err() != nil:
				s.opts.Logger.Info("the last flush of metrics would take too long; the next start reads them from the write-ahead log", "limit", s.opts.StopFlush)
			case err != nil:
				s.opts.Logger.Error("flush metrics", "err", err) // they are in the wal
			}
			if err := s.queried.save(s.dir); err != nil {
				s.opts.Logger.Error("tidy up metrics", "err", err)
			}
			return nil
		case <-tick.C:
		}
		if err := s.flushIfDue(flushing); err != nil && ctx.Err() == nil {
			s.opts.Logger.Error("flush metrics", "err", err)
		}
		if now := s.opts.Now(); now.Sub(trim) > tableIdle/2 {
			s.dropTables(now)
			if err := errors.Join(s.forgetDeletions(), s.queried.save(s.dir)); err != nil {
				s.opts.Logger.Error("tidy up metrics", "err", err)
			}
			trim = now
		}
	}
}

// minFlushGap is the shortest time between cuts that the size of the log causes.
const minFlushGap = time.Minute

func (s *Store) flushIfDue(ctx context.Context) error {
	s.flushMu.Lock()
	age := s.opts.Now().Sub(s.lastFlush)
	pending := s.pending
	s.flushMu.Unlock()
	switch {
	case pending, s.curBytes.Load() >= s.opts.HeadBytes, age >= s.opts.HeadAge:
		return s.Flush(ctx)
	case age >= minFlushGap && s.log.Size() >= s.opts.MaxWAL:
		return s.Flush(ctx)
	}
	return s.releaseIdle()
}

// Close closes the files of the store. Run must have returned and no query may go on;
// the log belongs to the caller.
func (s *Store) Close() error {
	s.set.Close()
	return nil
}

// Merge does every merge that is due now; Run does so by itself.
func (s *Store) Merge(ctx context.Context) error {
	_, err := s.set.MergeOnce(ctx)
	return err
}
