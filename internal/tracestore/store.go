package tracestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/engine/rate"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
)

// Options configures a Store. The zero value is ready to use.
type Options struct {
	HeadSize int64         // bytes in memory after which spans are flushed to disk; 0 means 64 MiB
	HeadAge  time.Duration // longest a span waits in memory to be flushed; 0 means 1 minute
	Limits   Limits        // of every tenant that TenantLimits does not know

	// TenantLimits returns the limits of a tenant, or false for the common ones. It is
	// called on every append and must be cheap. nil means the same limits for all.
	TenantLimits func(model.Tenant) (Limits, bool)

	// Thin is the steps of sampling after the fact, in ascending order of After. The
	// referenced policy asks References; nil means that nothing is.
	Thin       []ThinStep
	References References

	Logger     *slog.Logger     // nil discards
	Now        func() time.Time // nil means time.Now; tests replace it
	Registerer prometheus.Registerer
}

// Limits bounds what a tenant may store. In every field 0 means the default, and a
// negative value means no limit.
type Limits struct {
	Retention     time.Duration // how long spans are kept; 0 means for ever
	MaxTraceSpans int           // spans of a trace between two flushes; 0 means 250,000
	MaxAge        time.Duration // spans that start earlier are refused; 0 means 168 h
	MaxAhead      time.Duration // spans that start further in the future are refused; 0 means 1 h
	Rate          int           // bytes of spans a second, as they were sent; 0 means no limit
	Burst         int           // bytes that may come at once; 0 means Rate
}

func (l Limits) withDefaults() Limits {
	l.MaxTraceSpans = cmp.Or(l.MaxTraceSpans, 250_000)
	l.MaxAge = cmp.Or(l.MaxAge, 168*time.Hour)
	l.MaxAhead = cmp.Or(l.MaxAhead, time.Hour)
	l.Burst = cmp.Or(l.Burst, l.Rate)
	return l
}

// window returns the oldest and newest acceptable start, Unix nanoseconds.
func (l Limits) window(now time.Time) (oldest, newest int64) {
	oldest, newest = 0, 1<<62 // the years 1970 to 2116: arithmetic on times cannot overflow
	if l.MaxAge > 0 {
		oldest = max(oldest, now.Add(-l.MaxAge).UnixNano())
	}
	if l.Retention > 0 {
		oldest = max(oldest, now.Add(-l.Retention).UnixNano())
	}
	if l.MaxAhead > 0 {
		newest = now.Add(l.MaxAhead).UnixNano()
	}
	return oldest, newest
}

func (o Options) withDefaults() Options {
	o.HeadSize = cmp.Or(o.HeadSize, 64<<20)
	o.HeadAge = cmp.Or(o.HeadAge, time.Minute)
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	if o.HeadSize < 0 {
		errs = append(errs, fmt.Errorf("head size %d is negative", o.HeadSize))
	}
	if o.HeadAge < 0 {
		errs = append(errs, fmt.Errorf("head age %s is negative", o.HeadAge))
	}
	for i, step := range o.Thin {
		if step.After < 0 || step.Sampler == nil || i > 0 && step.After <= o.Thin[i-1].After {
			errs = append(errs, fmt.Errorf("step %d of thinning: after %s; want a sampler, and steps in ascending order of time", i+1, step.After))
		}
	}
	return errors.Join(errs...)
}

// Store is a trace store. Its methods are safe for concurrent use.
type Store struct {
	opts      Options
	log       *wal.Log
	parts     *part.Set[*partIndex]
	z         *codec.Zstd // for flushes
	zMerge    *codec.Zstd
	scratch   scratches
	builders  builders
	recorders sync.Pool // of *recorder
	metrics   *metrics
	full      chan struct{} // tells Run that the head is full
	minRun    int           // spans of a run; tests make it small

	flushMu sync.Mutex // serialises flushes

	mu     sync.Mutex
	head   *head    // guarded by mu; takes writes
	sealed *head    // guarded by mu; being flushed, or nil
	lost   []string // guarded by mu; what Replay could not read

	rates map[model.Tenant]*rate.Bucket // guarded by mu; of tenants with a limit
}

// Open opens the store in dir, creating it if absent. Writes go to log. The caller then
// hands the records of the log to [Store.Replay], and starts [Store.Run]. Open starts no
// goroutine. Every invalid option is reported at once.
func Open(dir string, log *wal.Log, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open trace store: %w", err)
	}
	s := &Store{opts: opts, log: log, full: make(chan struct{}, 1), rates: map[model.Tenant]*rate.Bucket{}}
	s.head = newHead(opts.Now(), &s.builders)
	s.metrics = newMetrics(opts.Registerer, s)
	var err error
	if s.z, err = codec.NewZstd(codec.LevelFast); err != nil {
		return nil, fmt.Errorf("open trace store: %w", err)
	}
	if s.zMerge, err = codec.NewZstd(codec.LevelDefault); err != nil {
		return nil, fmt.Errorf("open trace store: %w", err)
	}
	s.parts, err = part.Open(dir, part.Options[*partIndex]{
		Signal:     model.Traces,
		Load:       loadIndex,
		Merge:      s.mergeParts,
		Rewrite:    s.toThin,
		Retention:  func(t model.Tenant) time.Duration { return max(0, s.limits(t).Retention) },
		Logger:     opts.Logger,
		Now:        opts.Now,
		Registerer: opts.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("open trace store: %w", err)
	}
	return s, nil
}

// limits returns the limits of tenant, defaults filled in.
func (s *Store) limits(tenant model.Tenant) Limits {
	if s.opts.TenantLimits != nil {
		if l, ok := s.opts.TenantLimits(tenant); ok {
			return l.withDefaults()
		}
	}
	return s.opts.Limits
}

// Covered returns the position of the log that the parts cover: replay begins behind it.
func (s *Store) Covered() wal.Pos { return s.parts.Covered() }

// Replay takes back a record of the log, in order, before the first Append. A record
// that cannot be read is logged and counted, and every query warns of it.
func (s *Store) Replay(r wal.Record) error {
	g, err := parseRecord(r.Data)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.head.add(r.Tenant, g)
	}
	s.metrics.unread.Inc()
	s.opts.Logger.Error("record of spans in the write-ahead log cannot be read", "tenant", string(r.Tenant), "pos", uint64(r.Pos), "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = append(s.lost, fmt.Sprintf("some spans in the write-ahead log could not be read back: %v", err))
	return nil
}

// Run flushes the head when it is due, merges parts and drops expired days until ctx is
// done; then it flushes once more.
func (s *Store) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	var mergeErr error
	wg.Go(func() { mergeErr = s.parts.Run(ctx) })
	err := s.flushUntil(ctx)
	wg.Wait()
	return errors.Join(err, mergeErr)
}

func (s *Store) flushUntil(ctx context.Context) error {
	tick := time.NewTicker(min(time.Second, s.opts.HeadAge))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
			if !s.due() {
				continue
			}
		case <-s.full:
		}
		if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.Error("flush spans; they stay in memory and in the log", "err", err)
		}
	}
}

// due reports whether the oldest span has waited long enough.
func (s *Store) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.Now().Sub(s.head.since) >= s.opts.HeadAge
}

// Flush moves all spans in memory to parts, and lets the log forget them. When it fails,
// nothing has changed.
func (s *Store) Flush(ctx context.Context) error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.mu.Lock()
	h, pos := s.head, s.log.End()
	s.head, s.sealed = newHead(s.opts.Now(), &s.builders), h
	s.mu.Unlock()

	err := s.writeHead(ctx, h, pos)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = nil
	if err != nil {
		h.join(s.head)
		s.head = h
		return fmt.Errorf("flush spans: %w", err)
	}
	return s.log.Release(model.Traces, pos)
}

// writeHead writes one part for each tenant and day of h.
func (s *Store) writeHead(ctx context.Context, h *head, pos wal.Pos) error {
	if h.empty() {
		return nil
	}
	var done []*part.Finished
	for key, gs := range h.groups {
		f, err := s.writePart(ctx, key, gs)
		if err != nil {
			for _, f := range done {
				f.Discard()
			}
			return err
		}
		done = append(done, f)
	}
	if err := s.parts.Commit(pos, done...); err != nil {
		return err
	}
	s.metrics.flushes.Inc()
	return nil
}

func (s *Store) writePart(ctx context.Context, key headKey, gs []*group) (*part.Finished, error) {
	w, err := s.parts.Create(key.tenant, key.day)
	if err != nil {
		return nil, err
	}
	out := newPartWriter(w, s.z)
	stretches := make([]stretch, len(gs))
	for i, g := range gs {
		stretches[i] = stretch{g.len(), g.times.lo, g.times.hi}
	}
	for _, r := range cluster(stretches, s.minRun) {
		m := &merger{size: groupRows, pool: &s.builders, emit: out.add, stop: ctx.Err}
		for _, i := range r {
			m.in = append(m.in, &mergeInput{next: streamOf(gs[i])})
		}
		if err := m.run(); err != nil {
			w.Abort()
			return nil, err
		}
	}
	return out.finish()
}

// Merge does every merge that is due now. Run does so in the background.
func (s *Store) Merge(ctx context.Context) error {
	_, err := s.parts.MergeOnce(ctx)
	return err
}

// Close closes the files. No method may be called after it, and no reader may be at
// work. Spans in memory stay in the log.
func (s *Store) Close() error {
	s.parts.Close()
	return nil
}
