package metricstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Flush writes the head to parts and releases the log. When it fails, nothing is lost:
// the head stays readable and the next Flush writes it again.
func (s *Store) Flush(ctx context.Context) error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	begin := time.Now()
	for {
		retry := s.pending
		if !retry {
			s.cut()
		}
		if err := s.writeFrozen(ctx); err != nil {
			s.metrics.flushFailed.Inc()
			return fmt.Errorf("flush metrics: %w", err)
		}
		s.metrics.flushSeconds.Observe(time.Since(begin).Seconds())
		if !retry {
			return nil
		}
	}
}

// cut puts the buffers of all tenants aside in one step and notes the wal position that
// they cover. The caller holds flushMu.
func (s *Store) cut() {
	s.mu.Lock() // no new tenants
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		t.mu.Lock()
	}
	s.cutPos = s.log.End()
	for _, t := range s.tenants {
		t.cut()
		if t.walGen != 0 {
			t.walGen, t.nextRef = s.newGeneration(), 0
		}
		t.replay = nil
	}
	s.oldBytes.Store(s.curBytes.Swap(0))
	for _, t := range s.tenants {
		t.mu.Unlock()
	}
	s.pending = true
	s.lastFlush = s.opts.Now()
}

// cut moves the buffers of t. The caller holds mu.
func (t *tenant) cut() {
	t.epoch++
	for _, x := range t.series {
		x.idle++
	}
	for _, x := range t.dirty {
		x.idle = 0
		x.last = max(x.last, x.cur.maxT)
		x.frozen, x.cur = x.cur, nil
	}
	t.frozen, t.dirty = t.dirty, nil
	t.frozenMeta = t.meta.takeDirty()
	t.forget()
}

// releaseIdle lets the log go when there is nothing in the head: the other signals may
// be writing.
func (s *Store) releaseIdle() error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if s.pending {
		return nil
	}
	s.mu.Lock()
	for _, t := range s.tenants {
		t.mu.Lock()
	}
	pos := s.log.End()
	empty := true
	for _, t := range s.tenants {
		empty = empty && len(t.dirty) == 0 && !t.meta.hasDirty()
		t.mu.Unlock()
	}
	s.mu.Unlock()
	if !empty {
		return nil
	}
	return s.log.Release(model.Metrics, pos)
}

// writeFrozen writes the frozen buffers, commits the parts and lets the buffers go. The
// caller holds flushMu.
func (s *Store) writeFrozen(ctx context.Context) error {
	var done []*part.Finished
	discard := func() {
		for _, f := range done {
			f.Discard()
		}
	}
	gen := s.nextGen
	for _, t := range s.all() {
		fs, err := s.writeTenant(ctx, t, gen)
		done = append(done, fs...)
		if err != nil {
			discard()
			return err
		}
	}
	if len(done) > 0 {
		if err := s.set.Commit(s.cutPos, done...); err != nil {
			return err
		}
		s.nextGen++
	}
	for _, t := range s.all() {
		t.mu.Lock()
		for _, x := range t.frozen {
			x.frozen = nil
		}
		t.frozen, t.frozenMeta = nil, nil
		if keep := s.keep(t.name); keep > 0 {
			t.meta.expire(part.DayOf(s.opts.Now().Add(-keep).UnixNano()))
		}
		t.mu.Unlock()
	}
	s.oldBytes.Store(0)
	s.pending = false
	return s.log.Release(model.Metrics, s.cutPos)
}

// dayWriters is the open parts of one flush of a tenant. Samples may lie in any number of
// days: a pass over the series writes maxDays of them and leaves the others to the next.
type dayWriters struct {
	s       *Store
	tenant  model.Tenant
	gen     uint32
	dedup   int64 // interval, 0 for none
	open    map[part.Day]*partWriter
	written map[part.Day]bool // by earlier passes
	more    bool              // some days are left
	done    []*part.Finished
}

// maxDays bounds the parts that a flush writes at one time.
const maxDays = 32

// get returns the writer of a day, nil if the day is not for this pass.
func (d *dayWriters) get(day part.Day) (*partWriter, error) {
	w := d.open[day]
	switch {
	case w != nil && !w.full(d.s.limit):
		return w, nil
	case w != nil: // go on in a second part
		if err := d.finish(day); err != nil {
			return nil, err
		}
	case d.written[day]:
		return nil, nil
	case len(d.open) == maxDays:
		d.more = true
		return nil, nil
	}
	f, err := d.s.set.Create(d.tenant, day)
	if err != nil {
		return nil, err
	}
	w = newPartWriter(f, d.s.z, d.s.deleted.Load().last)
	d.open[day] = w
	return w, nil
}

// finish finishes the part of a day. On an error its file is gone.
func (d *dayWriters) finish(day part.Day) error {
	f, err := d.open[day].finish(day)
	delete(d.open, day)
	if err == nil {
		d.done = append(d.done, f)
	}
	return err
}

func (d *dayWriters) abort() {
	for _, w := range d.open {
		w.w.Abort()
	}
}

// writeTenant writes the frozen buffers of t.
func (s *Store) writeTenant(ctx context.Context, t *tenant, gen uint32) ([]*part.Finished, error) {
	frozen, meta := t.frozenByLabels()
	d := &dayWriters{s: s, tenant: t.name, gen: gen, dedup: s.dedupOf(t.name), open: map[part.Day]*partWriter{}, written: map[part.Day]bool{}}
	for more := true; more; more = d.more {
		d.more = false
		if err := d.pass(ctx, frozen, meta); err != nil {
			d.abort()
			return d.done, err
		}
		for _, day := range slices.Sorted(maps.Keys(d.open)) {
			d.written[day] = true
			if err := d.finish(day); err != nil {
				d.abort()
				return d.done, err
			}
		}
	}
	return d.done, nil
}

// frozenByLabels returns the series with a frozen buffer in the order of their labels, and
// the frozen metadata. If they are many it is the index that knows the order.
func (t *tenant) frozenByLabels() ([]*series, map[part.Day][]store.MetricMetadata) {
	t.mu.RLock()
	all, idx, meta := t.series, t.index, t.frozenMeta
	frozen := slices.Clone(t.frozen)
	t.mu.RUnlock()
	if len(frozen) < len(all)/8 {
		slices.SortFunc(frozen, func(a, b *series) int { return a.labels.Compare(b.labels) })
		return frozen, meta
	}
	n := 0
	for _, ref := range idx.Select(index.NewQuery(nil)) {
		if int(ref) < len(all) && all[ref].frozen != nil { // only a flush changes frozen
			frozen[n] = all[ref]
			n++
		}
	}
	return frozen[:n], meta
}

// pass writes what belongs to up to maxDays days.
func (d *dayWriters) pass(ctx context.Context, frozen []*series, meta map[part.Day][]store.MetricMetadata) error {
	var dec bufferDecoder
	for _, x := range frozen {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.series(x, &dec); err != nil {
			return err
		}
	}
	for day, mds := range meta {
		w, err := d.get(day)
		if err != nil {
			return err
		}
		if w != nil {
			w.metadata = append(w.metadata, mds...)
		}
	}
	return nil
}

// dayOf returns the day of a time in milliseconds.
func dayOf(ms int64) part.Day { return part.DayOf(ms * nsPerMs) }

const nsPerMs = int64(time.Millisecond)

// series writes the frozen buffer of one series to the parts of its days. A frozen
// buffer does not change, so no lock is needed.
func (d *dayWriters) series(x *series, dec *bufferDecoder) error {
	b := x.frozen.view()
	ts, vs, err := dec.samples(&b, d.dedup)
	if err != nil {
		return err
	}
	hs := dedupHistograms(b.histograms(), d.dedup)
	if len(hs) > 0 && len(ts) > 0 {
		m := newMixed(d.dedup > 0)
		m.addFloats(ts, vs, 0)
		m.addHistograms(hs, 1)
		ts, vs, hs = m.result()
	}
	for len(ts) > 0 {
		day := dayOf(ts[0])
		end := (day + 1).Start() / nsPerMs
		n, _ := slices.BinarySearch(ts, end)
		w, err := d.get(day)
		if err != nil {
			return err
		}
		if w != nil {
			w.series(x.labels)
			if err := w.samples(ts[:n], vs[:n], d.gen); err != nil {
				return err
			}
		}
		ts, vs = ts[n:], vs[n:]
	}
	for _, run := range splitDays(hs, func(h store.HistogramSample) int64 { return h.Time }) {
		w, err := d.get(dayOf(run[0].Time))
		if err != nil {
			return err
		}
		if w != nil {
			w.series(x.labels)
			if err := w.histograms(run, d.gen); err != nil {
				return err
			}
		}
	}
	for _, run := range splitDays(sortExemplars(slices.Clone(b.exs)), func(e store.Exemplar) int64 { return e.Time }) {
		w, err := d.get(dayOf(run[0].Time))
		if err != nil {
			return err
		}
		if w != nil {
			w.series(x.labels)
			w.addExemplars(run)
		}
	}
	return nil
}

// splitDays cuts sorted items at the ends of days.
func splitDays[T any](items []T, at func(T) int64) [][]T {
	var out [][]T
	from := 0
	for i := 1; i <= len(items); i++ {
		if i == len(items) || dayOf(at(items[i])) != dayOf(at(items[from])) {
			out = append(out, items[from:i])
			from = i
		}
	}
	return out
}

// bufferDecoder turns a buffer into sorted samples, reusing its memory.
type bufferDecoder struct {
	ts  []int64
	vs  []float64
	dec codec.FloatDecoder
}

func (d *bufferDecoder) samples(b *view, interval int64) ([]int64, []float64, error) {
	ts, vs := d.ts[:0], d.vs[:0]
	var err error
	for i := range b.sealed.chunks {
		if ts, vs, err = b.sealed.decode(i, ts, vs, &d.dec); err != nil {
			return nil, nil, err
		}
	}
	for _, x := range b.open {
		ts, vs = append(ts, x.Time), append(vs, x.Value)
	}
	d.ts, d.vs = ts, vs
	if len(b.late) == 0 {
		ts, vs = dedup(ts, vs, 0, interval)
		return ts, vs, nil
	}
	late := sortLate(b.late, interval > 0)
	lts, lvs := make([]int64, len(late)), make([]float64, len(late))
	for i, x := range late {
		lts[i], lvs[i] = x.Time, x.Value
	}
	ts, vs = mergeRuns(nil, nil, []sortedRun{{ts: ts, vs: vs, prio: 0}, {ts: lts, vs: lvs, prio: 1}}, interval > 0)
	ts, vs = dedup(ts, vs, 0, interval)
	return ts, vs, nil
}
