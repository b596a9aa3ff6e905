package metricstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// item is what one SeriesWrite of a batch adds to a series.
type item struct {
	s       *series
	ref     uint32 // in the generation of the record being written
	samples []store.Sample
	hists   []store.HistogramSample
	exs     []store.Exemplar
	start   int64 // where a zero sample goes, 0 for nowhere
}

// definition is a series whose labels go into the record being written, and its ref.
type definition struct {
	s   *series
	ref uint32
}

// appender is the working memory of one Append.
type appender struct {
	now     int64 // Unix milliseconds
	oldest  int64 // samples before it are refused
	newest  int64 // samples behind it are refused
	started int64 // zero samples are for what started after it
	day     part.Day
	limits  Limits
	items   []item
	keys    []byte // of series without a Key
	keyEnd  []int  // where the one of series i ends, up to the last that has none
	labels  model.Labels
	defs    []definition
	meta    []store.MetricMetadata
	kept    []store.Sample // those of series of which some were refused
	refused store.Refused
	zeros   int   // samples of 0 that were added
	added   int64 // time of the earliest of them
	rec     recordWriter
	touched int64 // keeps the compiler from dropping touch
}

// farPast is the first time whose nanoseconds fit an int64, with a day to spare.
const farPast = math.MinInt64/1_000_000 + 86_400_000

// Append implements [store.MetricWriter].
func (s *Store) Append(ctx context.Context, name model.Tenant, b *store.MetricBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.overloaded(); err != nil {
		return err
	}
	t := s.tenant(name)
	a := s.appenders.Get().(*appender) //nolint:forcetypeassert // the pool holds nothing else
	defer func() {
		a.reset()
		s.appenders.Put(a)
	}()
	a.begin(s, name)
	err := s.write(ctx, t, a, b)
	b.Added = a.added
	if err != nil {
		return err
	}
	s.metrics.appended.Add(float64(a.refused.Kept))
	for _, x := range a.refused.Refusals {
		s.metrics.refused.WithLabelValues(x.Reason).Add(float64(x.Count))
	}
	if len(a.refused.Refusals) == 0 {
		return nil
	}
	refused := a.refused // outlives the appender
	return &refused
}

// overloaded refuses writes while flushes do not keep up.
func (s *Store) overloaded() error {
	if n := s.headBytes(); n > 3*s.opts.HeadBytes {
		return fmt.Errorf("append metrics: %w: %d bytes of samples wait to be written to disk", store.ErrOverloaded, n)
	}
	return nil
}

func (a *appender) begin(s *Store, name model.Tenant) {
	now := s.opts.Now()
	a.now = now.UnixMilli()
	a.day = part.DayOf(now.UnixNano())
	a.newest = now.Add(s.opts.MaxFuture).UnixMilli()
	a.oldest = farPast
	if keep := s.opts.Retention(name); keep > 0 {
		a.oldest = now.Add(-keep).UnixMilli()
	}
	a.started = math.MaxInt64
	if s.opts.CreatedZero {
		a.started = max(a.oldest, a.now-createdWindow)
	}
	a.limits = s.opts.Limits(name).withDefaults()
}

func (a *appender) reset() {
	clear(a.items)
	clear(a.labels)
	clear(a.defs)
	clear(a.meta)
	a.items, a.keys, a.keyEnd = a.items[:0], a.keys[:0], a.keyEnd[:0]
	a.labels, a.defs, a.meta, a.kept = a.labels[:0], a.defs[:0], a.meta[:0], a.kept[:0]
	a.refused = store.Refused{}
}

// write logs, applies and commits b.
func (s *Store) write(ctx context.Context, t *tenant, a *appender, b *store.MetricBatch) error {
	a.makeKeys(b)
	for {
		gen, epoch := s.resolve(t, a, b)
		if len(a.items) == 0 && len(a.meta) == 0 {
			return nil
		}
		if n := a.refused.Kept + a.zeros; n > codec.MaxCount {
			return fmt.Errorf("append metrics: %w: a batch of %d samples, at most %d", store.ErrLimit, n, codec.MaxCount)
		}
		rec := a.rec.encode(gen, a.day, a.defs, a.items, a.meta, s.z)
		pos, done, err := s.put(t, a, rec, epoch)
		if err != nil {
			return fmt.Errorf("append metrics: %w", err)
		}
		if !done {
			continue
		}
		if err := s.log.Commit(ctx, pos); err != nil {
			return fmt.Errorf("append metrics: %w", err)
		}
		if len(a.defs) > 0 {
			t.mu.Lock()
			for _, x := range a.defs {
				x.s.defined = max(x.s.defined, gen)
			}
			t.mu.Unlock()
		}
		return nil
	}
}

// put writes rec to the log and its samples to the head, as one step. done is false, and
// nothing happened, if the head was cut since epoch.
func (s *Store) put(t *tenant, a *appender, rec []byte, epoch int) (pos wal.Pos, done bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch != epoch {
		return 0, false, nil
	}
	if pos, err = s.log.Write(model.Metrics, t.name, rec); err != nil {
		return 0, false, err
	}
	for items := a.items; len(items) > 0; {
		n := min(touchAhead, len(items))
		a.touched += touch(items[:n])
		for i := range items[:n] {
			s.apply(t, &items[i])
		}
		items = items[n:]
	}
	for i := range a.meta {
		t.meta.add(&a.meta[i], a.day, true)
	}
	return pos, true, nil
}

// touchAhead is the number of series whose memory is fetched at one time.
const touchAhead = 16

// touch reads what apply is about to change. Nearly all of it is out of the caches, and
// reads that do not wait for each other are fetched together. The sum is of no use.
func touch(items []item) (sum int64) {
	for i := range items {
		if b := items[i].s.cur; b != nil {
			sum += b.last
			if n := len(b.open); n > 0 {
				sum += b.open[n-1].Time
			}
		}
	}
	return sum
}

// makeKeys makes keys for the series of b that have none.
func (a *appender) makeKeys(b *store.MetricBatch) {
	for i := range b.Series {
		if w := &b.Series[i]; w.Key == nil {
			for len(a.keyEnd) < i {
				a.keyEnd = append(a.keyEnd, len(a.keys))
			}
			a.keys = labelKey(a.keys, w.Labels)
			a.keyEnd = append(a.keyEnd, len(a.keys))
		}
	}
}

// key returns the key of series i of b and the decoder it is for.
func (a *appender) key(b *store.MetricBatch, i int, dec uintptr) ([]byte, uintptr) {
	if w := &b.Series[i]; w.Key != nil {
		return w.Key, dec
	}
	from := 0
	if i > 0 {
		from = a.keyEnd[i-1]
	}
	return a.keys[from:a.keyEnd[i]], 0
}

// resolve fills a.items, a.defs and a.meta from b, and returns the wal generation they
// are for and the number of cuts before it.
func (s *Store) resolve(t *tenant, a *appender, b *store.MetricBatch) (gen uint64, epoch int) {
	a.items, a.defs, a.meta, a.kept = a.items[:0], a.defs[:0], a.meta[:0], a.kept[:0]
	a.refused = store.Refused{}
	dec := decoderID(b.Decode)
	a.items = slices.Grow(a.items, len(b.Series))
	unknown := 0
	t.mu.RLock()
	gen, epoch = t.walGen, t.epoch
	ready := gen != 0
	var prev *keyEntry
	for i := range b.Series {
		w := &b.Series[i]
		if len(w.Samples)+len(w.Histograms)+len(w.Exemplars) == 0 {
			continue
		}
		key, dec := a.key(b, i, dec)
		a.items = append(a.items, item{samples: w.Samples, hists: w.Histograms, exs: w.Exemplars})
		it := &a.items[len(a.items)-1]
		e := t.after(prev, dec, key)
		if e == nil {
			unknown++
			it.ref = uint32(i) // for create
			continue
		}
		prev, it.s = e, e.s
		if w.Start > a.started {
			it.start = e.s.zeroAt(w.Start)
		}
		if it.s.defined == gen && ready {
			it.ref = it.s.walRef
		} else {
			ready = false
		}
	}
	for i := range b.Metadata {
		if t.meta.isNew(&b.Metadata[i], a.day) {
			a.meta = append(a.meta, b.Metadata[i])
		}
	}
	t.mu.RUnlock()
	if unknown > 0 || !ready {
		gen = s.prepare(t, a, b, dec, epoch)
	}
	a.check()
	a.addZeros()
	return gen, epoch
}

// prepare creates the unknown series and gives a wal ref to every series without one. If
// the head was cut since epoch, the caller will find out and begin anew.
func (s *Store) prepare(t *tenant, a *appender, b *store.MetricBatch, dec uintptr, epoch int) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch != epoch {
		a.items = a.items[:0]
		a.meta = append(a.meta, store.MetricMetadata{}) // something to write, so that the epoch is looked at
		return 0
	}
	if t.walGen == 0 {
		t.walGen = s.newGeneration()
	}
	n := 0
	for i := range a.items {
		it := &a.items[i]
		if it.s == nil {
			at := int(it.ref)
			key, dec := a.key(b, at, dec)
			x, err := s.createSeries(t, a, b, at, dec, key)
			if err != nil {
				a.refuse(it, err)
				continue
			}
			it.s = x
			if start := b.Series[at].Start; start > a.started {
				it.start = x.zeroAt(start)
			}
		}
		x := it.s
		if x.walGen != t.walGen {
			t.nextRef++
			x.walGen, x.walRef = t.walGen, t.nextRef
		}
		it.ref = x.walRef
		if x.defined != t.walGen && (len(a.defs) == 0 || a.defs[len(a.defs)-1].s != x) {
			a.defs = append(a.defs, definition{x, x.walRef})
		}
		if n != i {
			a.items[n] = *it
		}
		n++
	}
	clear(a.items[n:])
	a.items = a.items[:n]
	return t.walGen
}

// refuse counts everything in it as refused.
func (a *appender) refuse(it *item, err error) {
	reason := store.ReasonInvalidLabels
	var r *refusal
	if errors.As(err, &r) {
		reason = r.reason
	}
	a.refused.Add(reason, len(it.samples)+len(it.hists)+len(it.exs), err.Error)
}

func (s *Store) createSeries(t *tenant, a *appender, b *store.MetricBatch, i int, dec uintptr, key []byte) (*series, error) {
	hash := keyHash(dec, key)
	if e := t.lookup(hash, dec, key); e != nil {
		return e.s, nil // another Append was faster, or it is twice in the batch
	}
	var err error
	if w := &b.Series[i]; w.Key == nil {
		a.labels = append(a.labels[:0], w.Labels...)
	} else if a.labels, err = b.Decode(w.Key, a.labels[:0]); err != nil {
		return nil, fmt.Errorf("decode series key: %w", err)
	}
	ls, bad := checkLabels(a.labels, a.limits)
	if bad != nil {
		return nil, bad
	}
	x, fresh, err := t.create(ls, a.limits.ActiveSeries)
	if err != nil {
		return nil, &refusal{store.ReasonSeriesLimit, fmt.Errorf("series %s is new, and tenant %s has reached its limit of %d active series", short(ls), t.name, a.limits.ActiveSeries)}
	}
	if fresh {
		s.metrics.newSeries.Inc()
	}
	t.remember(hash, dec, key, x)
	return x, nil
}

// reasonHistogram is the reason to refuse a histogram that contradicts itself.
const reasonHistogram = "invalid_native_histogram"

// check refuses what lies outside the accepted times and counts what is kept.
func (a *appender) check() {
	n := 0
	for i := range a.items {
		it := &a.items[i]
		a.checkSamples(it)
		a.checkOthers(it)
		if kept := len(it.samples) + len(it.hists) + len(it.exs); kept > 0 {
			a.refused.Kept += kept
			if n != i {
				a.items[n] = *it
			}
			n++
		}
	}
	a.items = a.items[:n]
}

func (a *appender) inTime(at int64) bool { return at >= a.oldest && at <= a.newest }

func (a *appender) refuseTime(it *item, at int64) {
	reason, what := store.ReasonTooOld, "too old"
	if at > a.newest {
		reason, what = store.ReasonTooNew, "too far in the future"
	}
	a.refused.Add(reason, 1, func() string {
		return fmt.Sprintf("sample of %s at %d ms is %s: accepted are %d to %d", short(it.s.labels), at, what, a.oldest, a.newest)
	})
}

func (a *appender) checkSamples(it *item) {
	for i := range it.samples {
		if a.inTime(it.samples[i].Time) {
			continue
		}
		from := len(a.kept)
		for _, x := range it.samples {
			if a.inTime(x.Time) {
				a.kept = append(a.kept, x)
			} else {
				a.refuseTime(it, x.Time)
			}
		}
		it.samples = a.kept[from:len(a.kept):len(a.kept)]
		return
	}
}

func (a *appender) checkOthers(it *item) {
	if len(it.hists) > 0 {
		good := make([]store.HistogramSample, 0, len(it.hists))
		for _, h := range it.hists {
			if !a.inTime(h.Time) {
				a.refuseTime(it, h.Time)
			} else if err := checkHistogram(h); err != nil {
				a.refused.Add(reasonHistogram, 1, func() string { return fmt.Sprintf("histogram of %s: %v", short(it.s.labels), err) })
			} else {
				good = append(good, h)
			}
		}
		it.hists = good
	}
	if len(it.exs) > 0 {
		good := make([]store.Exemplar, 0, len(it.exs))
		for _, e := range it.exs {
			if a.inTime(e.Time) {
				good = append(good, e)
			} else {
				a.refuseTime(it, e.Time)
			}
		}
		it.exs = good
	}
}

// apply adds it to the head. The caller holds the lock of t.
func (s *Store) apply(t *tenant, it *item) {
	b := t.buffer(it.s)
	grown := 0
	if len(it.samples) > 0 {
		n, late := b.add(it.samples, &t.seal)
		grown += n
		if late > 0 {
			s.metrics.late.Add(float64(late))
		}
	}
	for _, h := range it.hists {
		grown += b.addHistogram(h)
	}
	for _, e := range it.exs {
		grown += b.addExemplar(e)
	}
	if grown > 0 {
		s.curBytes.Add(int64(grown))
	}
}
