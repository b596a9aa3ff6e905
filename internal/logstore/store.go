package logstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Store is the log engine. It implements [store.LogWriter], [store.LogReader] and
// [store.LogIndex].
type Store struct {
	opts    Options
	log     *wal.Log
	set     *part.Set[*partIndex]
	metrics *metrics
	reg     registry
	tails   tails

	zstd *codec.Zstd
	pool bufferPool

	filters filterCache

	builders sync.Pool // of *builders

	// gate is held for reading from the wal write of a batch until it is in the head, and
	// for writing while the head is cut: so a cut head holds exactly the records before it.
	gate sync.RWMutex
	// epoch changes when the head is cut, and every epochBytes: then wal records define
	// their streams anew.
	epoch      atomic.Uint64
	epochBytes atomic.Int64

	flushMu sync.Mutex // held by the one flush in progress
	// swap is held for writing while flushed entries move from a head to parts, and for
	// reading while a query takes its snapshot of both.
	swap sync.RWMutex

	wake   chan struct{} // asks Run to flush
	roomMu sync.Mutex
	room   chan struct{} // guarded by roomMu; closed when a flush has made room

	deletes  *deletes
	replayed map[uint64]*stream // streams by their id in the wal; nil after start-up
	lost     []string           // what replay could not read; fixed after start-up
}

// epochSize is the bytes of record text after which wal records define their streams
// anew, which bounds what a damaged record can take with it.
const epochSize = 8 << 20

var (
	_ store.LogWriter = (*Store)(nil)
	_ store.LogReader = (*Store)(nil)
	_ store.LogIndex  = (*Store)(nil)
)

// Open opens the store in dir, creating it if absent. It starts no goroutine: that is
// [Store.Run]. Before the first Append, replay log with [Store.Covered] and
// [Store.Replay].
func Open(dir string, log *wal.Log, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open log store: %w", err)
	}
	s := &Store{
		opts:     opts,
		log:      log,
		metrics:  newMetrics(opts.Registerer),
		wake:     make(chan struct{}, 1),
		room:     make(chan struct{}),
		replayed: map[uint64]*stream{},
	}
	s.reg = registry{tenants: map[model.Tenant]*tenantStreams{}, active: newHead()}
	s.tails.subs = map[*tail]struct{}{}
	s.epoch.Store(1)
	var err error
	if s.zstd, err = codec.NewZstd(codec.LevelFast); err != nil {
		return nil, fmt.Errorf("open log store: %w", err)
	}
	if err = s.openDeletes(dir); err != nil {
		return nil, fmt.Errorf("open log store: %w", err)
	}
	s.set, err = part.Open(dir, part.Options[*partIndex]{
		Signal:  model.Logs,
		Load:    s.loadIndex,
		Merge:   s.merge,
		Rewrite: s.rewrites,
		Drop:    s.filters.drop,
		Retention: func(t model.Tenant) time.Duration {
			lim := s.limits(t)
			return lim.longestRetention()
		},
		Logger:     opts.Logger,
		Now:        opts.Now,
		Registerer: opts.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("open log store: %w", err)
	}
	return s, nil
}

func (s *Store) takeBuilders() *builders {
	if b, ok := s.builders.Get().(*builders); ok {
		return b
	}
	return &builders{}
}

// giveBuilders keeps b for the next part, without what it holds of entries.
func (s *Store) giveBuilders(b *builders) {
	clear(b.block.metas[:cap(b.block.metas)])
	b.meta.release()
	s.builders.Put(b)
}

// Covered returns the wal position up to which every log record is in parts.
func (s *Store) Covered() wal.Pos { return s.set.Covered() }

// Replay puts a record of the wal back into memory. It is called for every log record
// past [Store.Covered], in order, before the first Append. A record that cannot be read is
// logged and counted, and every query warns of it.
func (s *Store) Replay(rec wal.Record) error {
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	now := s.opts.Now()
	gs, record, err := decodeRecord(rec.Data, func(id uint64, labels model.Labels) *stream {
		known := s.replayed[id]
		if labels == nil && known != nil {
			return known
		}
		if labels == nil {
			s.metrics.lostLabels.Inc()
			s.opts.Logger.Error("labels of a log stream were in a damaged wal record; its entries are kept under another label", "label", lostLabel, "stream_id", id)
			labels = model.Labels{{Name: lostLabel, Value: fmt.Sprint(id)}}
		}
		key, hash := streamKey(nil, labels)
		st := s.reg.resolve(s.reg.tenant(rec.Tenant, 0), labelKey{labels, key, hash}, id, 0)
		st.lastWrite = now.UnixNano()
		s.replayed[id] = st
		return st
	})
	if err != nil {
		s.metrics.unread.Inc()
		s.opts.Logger.Error("record of log entries in the write-ahead log cannot be read", "tenant", string(rec.Tenant), "pos", uint64(rec.Pos), "err", err)
		s.lost = append(s.lost, fmt.Sprintf("some log entries in the write-ahead log could not be read back: %v", err))
		return nil
	}
	s.reg.apply(rec.Tenant, gs, record, now)
	return nil
}

// lostLabel marks entries whose stream labels were lost with a damaged wal record.
const lostLabel = "stream_labels_lost"

// Run flushes the head by size and age, merges parts, drops expired ones and processes
// delete requests until ctx is
// done; then it flushes once more.
func (s *Store) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.set.Run(gctx) })
	g.Go(func() error { return s.flushLoop(gctx) })
	g.Go(func() error { return s.deleteLoop(gctx) })
	return g.Wait()
}

// flushEvery is the time between looks at the head.
const flushEvery = time.Second

func (s *Store) flushLoop(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := s.Flush(context.WithoutCancel(ctx)); err != nil {
				s.opts.Logger.Error("flush logs", "err", err) // they are in the wal
			}
			return nil
		case <-s.wake:
		case <-tick.C:
		}
		if err := s.flushDue(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.Error("flush logs; it is tried again", "err", err)
		}
	}
}

// flushDue flushes if the head is due, and lets the wal go if it is empty.
func (s *Store) flushDue(ctx context.Context) error {
	s.reg.mu.Lock()
	h, retry := s.reg.active, len(s.reg.frozen) > 0
	due := h.due(s.opts.Now(), &s.opts)
	empty := h.since.IsZero() && !retry
	s.metrics.headBytes.Set(float64(s.reg.bytes()))
	s.reg.mu.Unlock()
	switch {
	case due || retry:
		return s.Flush(ctx)
	case empty:
		return s.releaseEmpty()
	}
	return nil
}

// releaseEmpty tells the wal that nothing of it is needed, if that is still so.
func (s *Store) releaseEmpty() error {
	s.gate.Lock()
	s.reg.mu.Lock()
	empty := s.reg.active.since.IsZero() && len(s.reg.frozen) == 0
	end := s.log.End()
	s.reg.mu.Unlock()
	s.gate.Unlock()
	if !empty {
		return nil
	}
	return s.log.Release(model.Logs, end)
}

// Flush writes everything in memory to parts and lets the wal go.
func (s *Store) Flush(ctx context.Context) error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.cut()
	for {
		s.reg.mu.Lock()
		var h *head
		if len(s.reg.frozen) > 0 {
			h = s.reg.frozen[0]
		}
		s.reg.mu.Unlock()
		if h == nil {
			return nil
		}
		begin := time.Now()
		if err := s.flushHead(ctx, h); err != nil {
			s.metrics.flushFailed.Inc()
			return fmt.Errorf("flush logs: %w", err)
		}
		s.metrics.flushSeconds.Observe(time.Since(begin).Seconds())
	}
}

// cut freezes the head.
func (s *Store) cut() {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	s.replayed = nil
	s.reg.freeze(s.log.End())
	s.epoch.Add(1)
	s.metrics.streams.Set(float64(s.reg.expire(s.opts.Now())))
}

// flushHead writes h, the oldest frozen head, to parts and makes them count.
func (s *Store) flushHead(ctx context.Context, h *head) error {
	done, err := s.writeHead(ctx, h)
	if err != nil {
		discard(done)
		return err
	}
	s.swap.Lock()
	err = s.set.Commit(h.covered, done...)
	if err == nil {
		s.reg.mu.Lock()
		s.reg.frozen = s.reg.frozen[1:]
		s.reg.mu.Unlock()
	}
	s.swap.Unlock()
	if err != nil {
		discard(done)
		return err
	}
	s.roomMu.Lock()
	close(s.room)
	s.room = make(chan struct{})
	s.roomMu.Unlock()
	return s.log.Release(model.Logs, h.covered)
}

func discard(done []*part.Finished) {
	for _, d := range done {
		d.Discard()
	}
}

// Close closes the files. Run must have ended and no query may be running. What is in
// memory stays in the wal.
func (s *Store) Close() error {
	s.set.Close()
	return nil
}

// Caps implements [store.LogReader]: the store evaluates everything.
func (s *Store) Caps() store.LogCaps {
	return store.LogCaps{LineFilter: true, LineRegexp: true, FieldFilter: true, Shapes: true, Sizes: true}
}
