package promql

import (
	"cmp"
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// CacheOptions configures a Cache. The zero value is ready to use.
type CacheOptions struct {
	MaxBytes   int64         // of kept points and labels; 0 means 64 MiB
	Margin     time.Duration // younger steps are not kept, since samples still come in for them; 0 means 5 min
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Cache keeps the answers of range queries, so that a dashboard that refreshes evaluates
// only the steps since the last time. It is safe for concurrent use.
//
// A kept step is right as long as nothing is written or deleted at or before it. All
// writers therefore go through [Cache.Watch], which notes the oldest time in every batch,
// after the batch can be seen and before it is acknowledged:
//
//	read the number of the last note  -->  evaluate  -->  keep, with that number
//	next time: a newer note not younger than the last kept step?  -->  forget
//
// Queries whose steps depend on each other, on the range or on later samples are not kept
// (see keepable), nor are answers with warnings, infos or histograms.
type Cache struct {
	opts    CacheOptions
	metrics cacheMetrics

	mu      sync.Mutex
	entries map[cacheKey]*list.Element // guarded by mu; of *cacheEntry
	order   list.List                  // guarded by mu; least recently used last
	bytes   int64                      // guarded by mu
	notes   map[model.Tenant]*writeLog // guarded by mu
}

type cacheMetrics struct{ steps, reused prometheus.Counter }

// cacheKey identifies queries that can share steps.
type cacheKey struct {
	tenant   model.Tenant
	text     string
	step     int64
	phase    int64 // of the steps
	lookback time.Duration
}

type cacheEntry struct {
	key      cacheKey
	from, to int64 // first and last step
	matrix   promql.Matrix
	seen     uint64    // number of the last note when it was evaluated
	made     time.Time // when the oldest part of it was evaluated
	bytes    int64
}

// NewCache returns an empty Cache.
func NewCache(opts CacheOptions) *Cache {
	opts.MaxBytes = cmp.Or(opts.MaxBytes, 64<<20)
	opts.Margin = cmp.Or(opts.Margin, 5*time.Minute)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	c := &Cache{
		opts: opts, entries: map[cacheKey]*list.Element{}, notes: map[model.Tenant]*writeLog{},
		metrics: cacheMetrics{
			steps:  prometheus.NewCounter(prometheus.CounterOpts{Name: "pharos_query_cache_steps_total", Help: "Steps of range queries that could be kept."}),
			reused: prometheus.NewCounter(prometheus.CounterOpts{Name: "pharos_query_cache_reused_steps_total", Help: "Of those, steps that were not evaluated again."}),
		},
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(c.metrics.steps, c.metrics.reused)
	}
	return c
}

// Run is [Engine.Run] with what is kept.
func (c *Cache) Run(ctx context.Context, e *Engine, r store.MetricReader, q Query, acct *store.Account) (Result, error) {
	key, ok := c.key(e, q)
	if !ok {
		return e.Run(ctx, r, q, acct)
	}
	last := q.Start.UnixMilli() + (q.End.UnixMilli()-q.Start.UnixMilli())/key.step*key.step
	old, seen := c.find(key)
	res, err := c.complete(ctx, e, r, q, acct, old, last)
	if err != nil {
		return res, err
	}
	c.metrics.steps.Add(float64((last-q.Start.UnixMilli())/key.step + 1))
	c.metrics.reused.Add(float64(res.CachedSteps))
	if mat, ok := plainMatrix(res); ok && len(acct.Warnings()) == 0 {
		made := c.opts.Now()
		if old != nil && res.CachedSteps > 0 {
			made = old.made
		}
		c.keep(cacheEntry{key: key, from: q.Start.UnixMilli(), to: last, matrix: mat, seen: seen, made: made})
	}
	return res, nil
}

// key returns the key of q; ok is false if it must not be kept.
func (c *Cache) key(e *Engine, q Query) (key cacheKey, ok bool) {
	step := q.Step.Milliseconds()
	if step == 0 || q.Step%time.Millisecond != 0 || q.End.Before(q.Start) {
		return key, false
	}
	expr, err := e.Parse(q.Text)
	if err != nil || !keepable(expr) {
		return key, false
	}
	phase := q.Start.UnixMilli() % step
	return cacheKey{q.Tenant, expr.String(), step, phase, q.Lookback}, true
}

// keepable reports whether each step of expr depends on nothing but samples up to it.
func keepable(expr parser.Expr) bool {
	ok := true
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			ok = ok && n.Timestamp == nil && n.StartOrEnd == 0 && n.OriginalOffset >= 0 && n.OriginalOffsetExpr == nil && !n.Anchored && !n.Smoothed
		case *parser.MatrixSelector:
			ok = ok && n.RangeExpr == nil
		case *parser.SubqueryExpr:
			ok = ok && n.Timestamp == nil && n.StartOrEnd == 0 && n.OriginalOffset >= 0 && n.OriginalOffsetExpr == nil && n.RangeExpr == nil && n.StepExpr == nil
		case *parser.Call:
			ok = ok && !slices.Contains([]string{"start", "end", "range", "step", "info"}, n.Func.Name)
		case *parser.AggregateExpr:
			ok = ok && n.Op != parser.LIMITK && n.Op != parser.LIMIT_RATIO
		}
		return nil
	})
	return ok
}

// find returns the entry of key, if it still holds, and the number of the last note.
func (c *Cache) find(key cacheKey) (*cacheEntry, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.log(key.tenant)
	el, ok := c.entries[key]
	if !ok {
		return nil, log.last
	}
	entry, _ := el.Value.(*cacheEntry)
	if log.since(entry.seen, entry.to) || c.opts.Now().Sub(entry.made) > maxAge {
		c.forget(el)
		return nil, log.last
	}
	c.order.MoveToFront(el)
	return entry, log.last
}

// complete answers q, evaluating only the steps before and after those of old.
func (c *Cache) complete(ctx context.Context, e *Engine, r store.MetricReader, q Query, acct *store.Account, old *cacheEntry, last int64) (Result, error) {
	start := q.Start.UnixMilli()
	if old == nil || old.to < start || old.from > last {
		return e.Run(ctx, r, q, acct)
	}
	step := old.key.step
	from, to := max(start, old.from), min(last, old.to)
	kept := cutMatrix(old.matrix, from, to)
	parts := []promql.Matrix{kept}
	for _, gap := range [][2]int64{{start, from - step}, {to + step, last}} {
		if gap[0] > gap[1] {
			continue
		}
		part := q
		part.Start, part.End = time.UnixMilli(gap[0]), time.UnixMilli(gap[1])
		res, err := e.Run(ctx, r, part, acct)
		if err != nil {
			return res, err
		}
		mat, ok := plainMatrix(res)
		if !ok {
			return e.Run(ctx, r, q, acct)
		}
		if gap[1] < from {
			parts = slices.Insert(parts, 0, mat)
		} else {
			parts = append(parts, mat)
		}
	}
	mat, err := joinMatrices(parts, acct)
	return Result{Value: mat, CachedSteps: int((to-from)/step) + 1}, err
}

// plainMatrix returns the matrix of a result that holds floats and has nothing to say.
func plainMatrix(res Result) (promql.Matrix, bool) {
	mat, ok := res.Value.(promql.Matrix)
	if !ok || len(res.Warnings)+len(res.Infos) > 0 {
		return nil, false
	}
	return mat, !slices.ContainsFunc(mat, func(s promql.Series) bool { return len(s.Histograms) > 0 })
}

// cutMatrix returns the points from from to to. It shares their memory.
func cutMatrix(mat promql.Matrix, from, to int64) promql.Matrix {
	out := make(promql.Matrix, 0, len(mat))
	at := func(p promql.FPoint, t int64) int { return cmp.Compare(p.T, t) }
	for _, s := range mat {
		lo, _ := slices.BinarySearchFunc(s.Floats, from, at)
		hi, _ := slices.BinarySearchFunc(s.Floats, to+1, at)
		if lo < hi {
			out = append(out, promql.Series{Metric: s.Metric, Floats: s.Floats[lo:hi:hi]})
		}
	}
	return out
}

// joinMatrices puts matrices that follow each other in time together.
func joinMatrices(parts []promql.Matrix, acct *store.Account) (promql.Matrix, error) {
	if len(parts) == 1 {
		return parts[0], nil
	}
	count := map[string]int{}
	var buf []byte
	for _, part := range parts {
		for _, s := range part {
			buf = s.Metric.Bytes(buf)
			count[string(buf)] += len(s.Floats)
		}
	}
	at := make(map[string]int, len(count))
	out := make(promql.Matrix, 0, len(count))
	for _, part := range parts {
		for _, s := range part {
			buf = s.Metric.Bytes(buf)
			i, ok := at[string(buf)]
			if !ok {
				n := count[string(buf)]
				if err := acct.Hold(int64(n) * 16); err != nil {
					return nil, err
				}
				i = len(out)
				at[string(buf)] = i
				out = append(out, promql.Series{Metric: s.Metric, Floats: make([]promql.FPoint, 0, n)})
			}
			out[i].Floats = append(out[i].Floats, s.Floats...)
		}
	}
	slices.SortFunc(out, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return out, nil
}

// maxAge is how long a kept step is believed: retention may have dropped what it came from.
const maxAge = time.Hour

// keep stores the steps of an answer that are old enough.
func (c *Cache) keep(entry cacheEntry) {
	key := entry.key
	horizon := c.opts.Now().Add(-c.opts.Margin).UnixMilli()
	if horizon < entry.from {
		return
	}
	if entry.to > horizon {
		entry.to = entry.from + (horizon-entry.from)/key.step*key.step
	}
	entry.matrix = cutMatrix(entry.matrix, entry.from, entry.to)
	entry.bytes = int64(len(key.text)) + 200
	for _, s := range entry.matrix {
		entry.bytes += int64(s.Metric.ByteSize()) + int64(cap(s.Floats))*16 + 64
	}
	if entry.bytes > c.opts.MaxBytes/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.entries[key]; ok {
		c.forget(el)
	}
	c.entries[key] = c.order.PushFront(&entry)
	c.bytes += entry.bytes
	for c.bytes > c.opts.MaxBytes {
		c.forget(c.order.Back())
	}
}

// forget removes an entry. The caller holds mu.
func (c *Cache) forget(el *list.Element) {
	entry, _ := c.order.Remove(el).(*cacheEntry)
	delete(c.entries, entry.key)
	c.bytes -= entry.bytes
}

// Drop forgets all answers for tenant: call it after a deletion.
func (c *Cache) Drop(tenant model.Tenant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log(tenant).note(-1 << 62)
}

// log returns the notes on tenant. The caller holds mu.
func (c *Cache) log(tenant model.Tenant) *writeLog {
	log, ok := c.notes[tenant]
	if !ok {
		log = &writeLog{}
		c.notes[tenant] = log
	}
	return log
}

// Watch returns a writer that notes what w has stored.
func (c *Cache) Watch(w store.MetricWriter) store.MetricWriter { return watched{c, w} }

type watched struct {
	c *Cache
	w store.MetricWriter
}

// Append implements [store.MetricWriter].
func (w watched) Append(ctx context.Context, tenant model.Tenant, b *store.MetricBatch) error {
	oldest := int64(1<<63 - 1)
	for i := range b.Series {
		s := &b.Series[i]
		for k := range s.Samples {
			oldest = min(oldest, s.Samples[k].Time)
		}
		for k := range s.Histograms {
			oldest = min(oldest, s.Histograms[k].Time)
		}
	}
	err := w.w.Append(ctx, tenant, b)
	if b.Added != 0 {
		oldest = min(oldest, b.Added)
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.log(tenant).note(oldest)
	return err
}

// writeLog answers whether something at or before a time was written since a note. Of two
// notes the older one matters only if its time is the earlier one, so the times rise; they
// are rounded down to minutes, which keeps them few.
type writeLog struct {
	last  uint64 // number of the last note
	lost  uint64 // notes up to this number have been forgotten
	notes []writeNote
}

type writeNote struct {
	number uint64
	oldest int64
}

const (
	noteGrain = 60_000
	maxNotes  = 4096
)

func (l *writeLog) note(oldest int64) {
	oldest -= ((oldest % noteGrain) + noteGrain) % noteGrain
	for len(l.notes) > 0 && l.notes[len(l.notes)-1].oldest >= oldest {
		l.notes = l.notes[:len(l.notes)-1]
	}
	l.last++
	l.notes = append(l.notes, writeNote{l.last, oldest})
	if len(l.notes) > maxNotes {
		drop := len(l.notes) - maxNotes/2
		l.lost = l.notes[drop-1].number
		l.notes = append(l.notes[:0], l.notes[drop:]...)
	}
}

// since reports whether something at or before time was noted after note number.
func (l *writeLog) since(number uint64, time int64) bool {
	if number < l.lost {
		return true
	}
	i, _ := slices.BinarySearchFunc(l.notes, number+1, func(n writeNote, x uint64) int { return cmp.Compare(n.number, x) })
	return i < len(l.notes) && l.notes[i].oldest <= time
}
