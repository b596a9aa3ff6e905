// Package query is the one front door of the query languages. Every query of every
// language passes through [Door.Do], which admits it (a bounded number run at once, per
// tenant and in all; others wait in line), gives it a memory and byte budget and a
// context that ends with it, lists it while it runs, keeps it if it was slow, and turns
// what it used into statistics.
//
// The package does not know what a query computes: that is the closure it is given.
package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// ErrCanceled is the cause of a query that [Door.Cancel] ended.
var ErrCanceled = errors.New("query canceled by an operator")

// errPanic is how a query ended that hit a bug.
var errPanic = errors.New("query panicked")

// Options configures a Door. The zero value is ready to use.
type Options struct {
	MaxConcurrent       int           // queries running at once; 0 means 4 per CPU, at least 16
	MaxTenantConcurrent int           // of those, of one tenant; 0 means MaxConcurrent
	MaxWaiting          int           // queries in line; 0 means 1,000
	MaxWait             time.Duration // time in line; 0 means 30 s
	Timeout             time.Duration // longest run; 0 means 2 min
	MaxBytes            int64         // bytes one query may read; 0 means no limit
	MaxQueryMemory      int64         // bytes one query may hold; 0 means 512 MiB
	MaxMemory           int64         // bytes all queries may hold; 0 means 1 GiB
	Slow                time.Duration // queries longer than this are kept in the list of slow ones; 0 means 5 s
	Logger              *slog.Logger  // nil discards
	Now                 func() time.Time
	Registerer          prometheus.Registerer
}

func (o Options) withDefaults() Options {
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, max(16, 4*runtime.GOMAXPROCS(0)))
	o.MaxTenantConcurrent = cmp.Or(o.MaxTenantConcurrent, o.MaxConcurrent)
	o.MaxWaiting = cmp.Or(o.MaxWaiting, 1000)
	o.MaxWait = cmp.Or(o.MaxWait, 30*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Minute)
	o.MaxQueryMemory = cmp.Or(o.MaxQueryMemory, 512<<20)
	o.MaxMemory = cmp.Or(o.MaxMemory, 1<<30)
	o.Slow = cmp.Or(o.Slow, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Request names a query.
type Request struct {
	Tenant   model.Tenant
	Language string        // promql, logql, traceql
	Text     string        // as the user wrote it, for lists and logs
	Timeout  time.Duration // 0 or longer than Options.Timeout means that
}

// Stats is what a query cost.
type Stats struct {
	store.Usage
	Queued   time.Duration
	Run      time.Duration
	Warnings []string
}

// Running is a query in progress.
type Running struct {
	ID    uint64
	Start time.Time
	Request
	Usage store.Usage
}

// Finished is a query in the list of slow ones.
type Finished struct {
	Running
	Took time.Duration
	Err  error // nil if it succeeded
}

// Door admits and accounts queries. Its methods are safe for concurrent use.
type Door struct {
	opts    Options
	memory  store.Account // of all queries
	slots   *slots
	metrics *metrics

	mu      sync.Mutex
	lastID  uint64                // guarded by mu
	running map[uint64]*inFlight  // guarded by mu
	slow    []Finished            // guarded by mu; oldest first
	costly  map[costlyKey]*Costly // guarded by mu
}

type inFlight struct {
	Running
	acct   *store.Account
	cancel context.CancelCauseFunc
}

// maxSlow is the length of the list of slow queries.
const maxSlow = 100

// New returns a Door.
func New(opts Options) *Door {
	opts = opts.withDefaults()
	return &Door{
		opts:    opts,
		memory:  store.Account{MaxMemory: opts.MaxMemory},
		slots:   newSlots(opts.MaxConcurrent, opts.MaxTenantConcurrent, opts.MaxWaiting),
		metrics: newMetrics(opts.Registerer),
		running: map[uint64]*inFlight{},
		costly:  map[costlyKey]*Costly{},
	}
}

// Do runs the query req: it waits for a slot, calls run and returns what run used. The
// context of run is done when the query is over, times out or is canceled, so whatever a
// store hands out is valid inside run only; run writes or copies its result.
//
// Errors are those of run, or wrap [store.ErrOverloaded] when the line is full or too
// slow, [context.DeadlineExceeded], or [ErrCanceled]. Stats are set in every case.
func (d *Door) Do(ctx context.Context, req Request, run func(ctx context.Context, acct *store.Account) error) (Stats, error) {
	var st Stats
	arrived := d.opts.Now()
	if err := d.slots.take(ctx, req.Tenant, d.opts.MaxWait); err != nil {
		d.metrics.rejected.WithLabelValues(req.Language).Inc()
		return st, err
	}
	defer d.slots.give(req.Tenant)

	q := d.begin(req)
	st.Queued = q.Start.Sub(arrived)
	timeout := d.opts.Timeout
	if req.Timeout > 0 && req.Timeout < timeout {
		timeout = req.Timeout
	}
	ctx, cancelTimeout := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("query ran longer than %s: %w", timeout, context.DeadlineExceeded))
	defer cancelTimeout()
	ctx, q.cancel = context.WithCancelCause(ctx)
	defer q.cancel(nil)
	d.list(q)
	ended := false
	defer func() {
		if !ended { // run has panicked; the server lives on, and the query must not
			d.end(q, st, errPanic)
		}
	}()

	err := run(ctx, q.acct)
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, ctx.Err()) {
		err = cause
	}
	st.Run = d.opts.Now().Sub(q.Start)
	st.Usage, st.Warnings = q.acct.Usage(), q.acct.Warnings()
	ended = true
	d.end(q, st, err)
	return st, err
}

func (d *Door) begin(req Request) *inFlight {
	acct := &store.Account{MaxBytes: d.opts.MaxBytes, MaxMemory: d.opts.MaxQueryMemory, Parent: &d.memory}
	return &inFlight{Running: Running{Start: d.opts.Now(), Request: req}, acct: acct}
}

func (d *Door) list(q *inFlight) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastID++
	q.ID = d.lastID
	d.running[q.ID] = q
	d.metrics.running.Set(float64(len(d.running)))
}

func (d *Door) end(q *inFlight, st Stats, err error) {
	q.acct.Close()
	d.metrics.observe(q.Language, st, err)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, q.ID)
	d.metrics.running.Set(float64(len(d.running)))
	d.spent(q, st, err)
	if st.Run < d.opts.Slow {
		return
	}
	q.Usage = st.Usage
	if len(d.slow) == maxSlow {
		d.slow = d.slow[1:]
	}
	d.slow = append(d.slow, Finished{q.Running, st.Run, err})
	d.opts.Logger.Warn("slow query", "tenant", string(q.Tenant), "language", q.Language, "query", q.Text,
		"seconds", st.Run.Seconds(), "bytes_read", st.BytesRead, "rows", st.RowsScanned, "err", err)
}

// Running returns the queries in progress, oldest first.
func (d *Door) Running() []Running {
	d.mu.Lock()
	defer d.mu.Unlock()
	rs := make([]Running, 0, len(d.running))
	for _, q := range d.running {
		r := q.Running
		r.Usage = q.acct.Usage()
		rs = append(rs, r)
	}
	slices.SortFunc(rs, func(a, b Running) int { return cmp.Compare(a.ID, b.ID) })
	return rs
}

// Slow returns the latest slow queries, oldest first.
func (d *Door) Slow() []Finished {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.slow)
}

// Cancel ends the running query id of tenant. It reports false if there is none.
func (d *Door) Cancel(tenant model.Tenant, id uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	q, ok := d.running[id]
	if !ok || q.Tenant != tenant {
		return false
	}
	q.cancel(ErrCanceled)
	return true
}
