package metricstore

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Downsampling. A day is kept as it was written until its retention ends. Then, instead
// of being dropped, it is merged into one part with a row per series and bucket of time:
// first, last, lowest, highest, sum and count of the values, and by how much a counter
// grew, resets included. When the time of that tier ends as well, its rows are combined
// into the longer buckets of the next. So a day is in one tier at any time, nothing is
// kept twice, and late samples are out of the question: they would be refused.
//
// A query reads rows as samples, made so that the function that is applied to them gives
// what it would give for the originals, to within a bucket: see [row.expand].

// Tier is a resolution in which samples are kept when they are older than Retention and
// the retention of the tiers before it.
type Tier struct {
	Resolution time.Duration // length of a bucket; divides a day
	Retention  time.Duration // age of samples up to which the tier keeps them
}

func checkTiers(ts []Tier) error {
	for i, t := range ts {
		switch {
		case t.Resolution < time.Millisecond || 24*time.Hour%t.Resolution != 0:
			return fmt.Errorf("resolution %s of a tier does not divide a day", t.Resolution)
		case i > 0 && (t.Resolution%ts[i-1].Resolution != 0 || t.Resolution == ts[i-1].Resolution):
			return fmt.Errorf("resolution %s of a tier is no multiple of the one before it, %s", t.Resolution, ts[i-1].Resolution)
		case i > 0 && t.Retention <= ts[i-1].Retention:
			return errors.New("a tier keeps samples no longer than the one before it")
		}
	}
	return nil
}

// keep returns how long anything of a tenant is kept, 0 for ever.
func (s *Store) keep(name model.Tenant) time.Duration {
	keep := s.opts.Retention(name)
	for _, t := range s.opts.Tiers {
		if keep > 0 {
			keep = max(keep, t.Retention)
		}
	}
	return keep
}

// resolution returns the bucket in which a day of a tenant is to be kept now, in
// milliseconds; 0 for the samples themselves.
func (s *Store) resolution(name model.Tenant, day part.Day) int64 {
	keep := s.opts.Retention(name)
	if keep == 0 {
		return 0
	}
	age := s.opts.Now().Sub(time.Unix(0, (day + 1).Start()))
	if age <= keep {
		return 0
	}
	res := int64(0)
	for _, t := range s.opts.Tiers {
		if t.Retention > keep {
			res = t.Resolution.Milliseconds()
			if age <= t.Retention {
				break
			}
		}
	}
	return res
}

// row is what is kept of the samples of a series in one bucket. Values that are not
// numbers count only if there are no others.
type row struct {
	from, to               int64 // times of the first and the last sample
	count                  int64 // 0: nothing but a stale marker
	first, last            float64
	low, high, sum, growth float64
	stale                  int64 // time of a stale marker behind the last sample, less to; 0: none
}

func (r *row) isNumber() bool { return r.count > 0 && r.first == r.first }

// step is by how much a counter grew between two values.
func step(before, after float64) float64 {
	if after >= before {
		return after - before
	}
	return after
}

// add appends a later row.
func (r *row) add(x row) {
	switch {
	case x.count == 0: // a marker
		if r.count > 0 {
			r.stale = x.from - r.to
		}
	case !x.isNumber() && r.isNumber():
		r.stale = 0
	case !r.isNumber() && (r.count == 0 || x.isNumber()):
		*r = x
	case !x.isNumber(): // neither is
		r.to, r.count, r.stale = x.to, r.count+x.count, x.stale
	default:
		r.growth += step(r.last, x.first) + x.growth
		r.low, r.high, r.sum = min(r.low, x.low), max(r.high, x.high), r.sum+x.sum
		r.to, r.last, r.count, r.stale = x.to, x.last, r.count+x.count, x.stale
	}
}

// rowOf returns the row of one sample.
func rowOf(t int64, v float64) row {
	if value.IsStaleNaN(v) {
		return row{from: t, to: t}
	}
	return row{from: t, to: t, count: 1, first: v, last: v, low: v, high: v, sum: v}
}

// rowsOf appends samples in order of time as rows of their own.
func rowsOf(dst []row, ts []int64, vs []float64) []row {
	for i, t := range ts {
		dst = append(dst, rowOf(t, vs[i]))
	}
	return dst
}

// combine combines the rows, which it sorts, of each bucket.
func combine(rows []row, res int64) []row {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.from, b.from) })
	n := 0
	for i := range rows {
		if n > 0 && bucket(rows[n-1].from, res) == bucket(rows[i].from, res) {
			rows[n-1].add(rows[i])
			continue
		}
		rows[n] = rows[i]
		n++
	}
	return rows[:n]
}

func bucket(t, res int64) int64 {
	b := t / res
	if t%res < 0 {
		b--
	}
	return b
}

// A chunk of rows: columns of times of the first sample, times to the last, counts, times
// to the stale marker; then first, last, low, high, sum, growth.
func appendRows(dst []byte, rows []row, enc *codec.FloatEncoder) []byte {
	ints := make([]int64, len(rows))
	for _, f := range []func(*row) int64{
		func(r *row) int64 { return r.from }, func(r *row) int64 { return r.to - r.from },
		func(r *row) int64 { return r.count }, func(r *row) int64 { return r.stale },
	} {
		for i := range rows {
			ints[i] = f(&rows[i])
		}
		dst = codec.AppendInts(dst, ints)
	}
	floats := make([]float64, len(rows))
	for k := range rowFloats {
		for i := range rows {
			floats[i] = *rows[i].float(k)
		}
		dst = enc.Append(dst, floats)
	}
	return dst
}

const rowFloats = 6

func (r *row) float(k int) *float64 {
	return [rowFloats]*float64{&r.first, &r.last, &r.low, &r.high, &r.sum, &r.growth}[k]
}

func decodeRows(dst []row, data []byte, count uint32, dec *codec.FloatDecoder) ([]row, error) {
	r := codec.NewReader(data)
	froms, tos, counts, stales := r.Ints(nil), r.Ints(nil), r.Ints(nil), r.Ints(nil)
	if err := r.Err(); err != nil {
		return dst, fmt.Errorf("rows: %w", err)
	}
	n := int(count)
	bad := len(froms) != n || len(tos) != n || len(counts) != n || len(stales) != n
	var floats [rowFloats][]float64
	rest := r.Rest()
	for k := range floats {
		var err error
		if floats[k], rest, err = dec.Decode(nil, rest); err != nil {
			return dst, fmt.Errorf("rows: %w", err)
		}
		bad = bad || len(floats[k]) != n
	}
	for i := 0; i < n && !bad; i++ {
		x := row{from: froms[i], to: froms[i] + tos[i], count: counts[i], stale: stales[i]}
		for k := range floats {
			*x.float(k) = floats[k][i]
		}
		const day = 86_400_000
		bad = tos[i] < 0 || tos[i] > day || x.count < 0 || x.count > tos[i]+1 || x.stale < 0 || x.stale > day
		dst = append(dst, x)
	}
	if bad {
		return dst, fmt.Errorf("rows: %w: columns contradict each other", store.ErrCorrupt)
	}
	return dst, nil
}

// rows writes rows of the series as chunks of generation gen.
func (w *partWriter) rowChunks(rows []row, gen uint32) error {
	for len(rows) > 0 {
		n := min(len(rows), maxChunk)
		w.buf = appendRows(w.buf[:0], rows[:n], &w.enc)
		last := &rows[n-1]
		m := chunkMeta{minT: rows[0].from, maxT: last.to + last.stale, count: uint32(n), gen: gen, kind: chunkRows}
		if err := w.chunk(m, w.buf, nil); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// thinHistograms keeps of histograms in order of time the last of each bucket, and those
// before and after a reset, so that nothing that was counted is lost.
func thinHistograms(hs []store.HistogramSample, res int64) []store.HistogramSample {
	n := 0
	for i := range hs {
		if i+1 < len(hs) && bucket(hs[i].Time, res) == bucket(hs[i+1].Time, res) && !isStale(&hs[i]) && !isStale(&hs[i+1]) &&
			!fell(hs[i], hs[i+1]) && (i == 0 || !fell(hs[i-1], hs[i])) {
			continue
		}
		hs[n] = hs[i]
		n++
	}
	return hs[:n]
}

// thin writes the found chunks of a series as rows.
func (m *merger) thin() error {
	var gen uint32
	var rows []row
	x := newMixed(m.dedup > 0)
	for i := range m.found {
		c := &m.found[i]
		data, ok, err := m.read(c)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if c.kind == chunkRows {
			rows, err = decodeRows(rows, data, c.count, &m.dec)
			rows = slices.DeleteFunc(rows, func(r row) bool {
				return slices.ContainsFunc(c.holes, func(h model.TimeRange) bool { return h.Overlaps(r.from, r.to+r.stale) })
			})
		} else {
			err = m.addTo(x, c, data)
		}
		if err != nil {
			if err := skipDamage(c.from.p, c.from.t.blocks[c.block].Off, fmt.Errorf("part %s: %w", c.from.p.Name(), err)); err != nil {
				return err
			}
			continue
		}
		gen = max(gen, c.gen)
	}
	ts, vs, hs := x.result()
	ts, vs = dedup(ts, vs, 0, m.dedup)
	rows = combine(rowsOf(rows, ts, vs), m.w.resolution)
	if err := m.w.rowChunks(rows, gen); err != nil {
		return err
	}
	return m.w.histograms(thinHistograms(dedupHistograms(hs, m.dedup), m.w.resolution), gen)
}

// shape is which samples are made of a row.
type shape uint8

const (
	shapeLine    shape = iota // from first to last
	shapeCounter              // from first to last, growing by growth on the way
	shapeMean                 // count times the mean
	shapeLow                  // the lowest
	shapeHigh                 // the highest
)

// shapeOf returns what suits a PromQL function.
func shapeOf(f string) shape {
	switch f {
	case "rate", "increase", "irate", "resets":
		return shapeCounter
	case "sum_over_time", "avg_over_time", "count_over_time":
		return shapeMean
	case "min_over_time":
		return shapeLow
	case "max_over_time":
		return shapeHigh
	}
	return shapeLine
}

// Times between the samples that are made of a row, at least, in milliseconds: enough for
// the lookback of instant vectors and for the windows of rates.
const (
	lineGap    = 60_000
	counterGap = 15_000
)

// expand appends samples that stand for r.
func (r *row) expand(ts []int64, vs []float64, s shape) ([]int64, []float64) {
	if r.count == 0 {
		return append(ts, r.from), append(vs, math.Float64frombits(value.StaleNaN))
	}
	n, span := r.count, r.to-r.from
	switch s {
	case shapeLine:
		n = min(n, max(2, span/lineGap+1))
	case shapeCounter:
		n = min(n, max(2, span/counterGap+1))
	case shapeMean, shapeLow, shapeHigh:
	}
	// A counter that grew by more than it is higher now is one that fell to 0 once.
	reset := s == shapeCounter && n > 1 && r.growth >= r.last
	peak := r.first + r.growth - r.last
	for i := range n {
		t, v := r.from, r.value(s, i, n)
		if i > 0 {
			t += span * i / (n - 1)
		}
		if grown := r.growth * float64(i) / float64(max(1, n-1)); reset && i > 0 && (r.first+grown > peak || i == n-1) {
			if before := ts[len(ts)-1]; t-before > 2 {
				ts, vs = append(ts, t-2, t-1), append(vs, peak, 0)
			}
			reset = false
		}
		ts, vs = append(ts, t), append(vs, v)
	}
	if r.stale > 0 {
		ts, vs = append(ts, r.to+r.stale), append(vs, math.Float64frombits(value.StaleNaN))
	}
	return ts, vs
}

// value returns the value of sample i of n that are made of r.
func (r *row) value(s shape, i, n int64) float64 {
	part := float64(i) / float64(max(1, n-1))
	switch {
	case s == shapeMean:
		return r.sum / float64(r.count)
	case s == shapeLow:
		return r.low
	case s == shapeHigh:
		return r.high
	case i == 0:
		return r.first
	case i == n-1:
		return r.last
	case s == shapeLine:
		return r.first + (r.last-r.first)*part
	}
	v, peak := r.first+r.growth*part, r.first+r.growth-r.last
	if r.growth >= r.last && v > peak {
		return v - peak
	}
	return v
}

// decodeExpanded appends the samples that stand for a chunk of rows.
func decodeExpanded(ts []int64, vs []float64, data []byte, count uint32, s shape, dec *sampleDecoder) ([]int64, []float64, error) {
	rows, err := decodeRows(nil, data, count, &dec.FloatDecoder)
	if err != nil {
		return ts, vs, err
	}
	for i := range rows {
		ts, vs = rows[i].expand(ts, vs, s)
	}
	return ts, vs, nil
}

// toThin returns the parts of a day that is to be kept in a coarser resolution now.
func (s *Store) toThin(name model.Tenant, day part.Day, ps []*openPart) []*openPart {
	if len(s.opts.Tiers) == 0 {
		return nil
	}
	if want := s.resolution(name, day); slices.ContainsFunc(ps, func(p *openPart) bool { return p.Data.resolution < want }) {
		return ps
	}
	return nil
}
