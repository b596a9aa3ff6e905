package metricstore

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// buffer is what one series has received since the last cut. The lock of its tenant
// guards it; after the cut it does not change any more. Readers take a view under the
// lock.
type buffer struct {
	// What a sample touches comes first, in one line of the cache.
	open       []store.Sample // in order, behind every chunk
	last       int64          // newest time in open and chunks
	minT, maxT int64          // of all samples and histograms
	rare       *rare          // nil: none of it
	lent       atomic.Bool    // a reader may have the array of open

	sealed sealed
	exMin  int64 // of the exemplars
	exMax  int64
}

// rare is what few series have.
type rare struct {
	late  []store.Sample // not newer than some sample before them; in order of arrival
	hists []store.HistogramSample
	exs   []store.Exemplar
}

// more returns what few series have, to add to it.
func (b *buffer) more() *rare {
	if b.rare == nil {
		b.rare = new(rare)
	}
	return b.rare
}

// view is what a buffer held at one moment. It may be read without the lock: slices of a
// buffer only grow, but for open, which begins anew in its own array unless that is lent.
type view struct {
	sealed sealed
	open   []store.Sample
	rare
}

// view returns what b, which may be nil, holds. The caller holds the lock.
func (b *buffer) view() (v view) {
	if b == nil {
		return v
	}
	b.lent.Store(true)
	v.sealed, v.open = b.sealed, b.open[:len(b.open):len(b.open)]
	if b.rare != nil {
		v.rare = *b.rare
	}
	return v
}

// plain reports whether b has nothing but samples in order.
func (b *buffer) plain() bool { return b.rare == nil || len(b.rare.late)+len(b.rare.hists) == 0 }

// sealed is runs of samples in order, without overlaps, compressed: a column of times and
// a column of values each, one behind the other.
type sealed struct {
	chunks []headChunk
	data   []byte
}

type headChunk struct {
	minT, maxT int64
	end        int // in data
}

// bytes returns the columns of chunk i.
func (s *sealed) bytes(i int) []byte {
	from := 0
	if i > 0 {
		from = s.chunks[i-1].end
	}
	return s.data[from:s.chunks[i].end]
}

// openLen is the number of samples of a series that are kept uncompressed.
const openLen = 32

// Rough sizes in memory, for the limit of the head.
const (
	sampleBytes   = 16
	chunkOverhead = 24
	bufferBytes   = 128
)

func newBuffer() *buffer {
	return &buffer{
		last: math.MinInt64, minT: math.MaxInt64, maxT: math.MinInt64,
		exMin: math.MaxInt64, exMax: math.MinInt64,
	}
}

// sealer compresses full runs of samples, reusing its memory.
type sealer struct {
	times  []int64 // of the last run
	column []byte  // times, encoded
	values []float64
	enc    codec.FloatEncoder
	buf    []byte
}

// timesOf returns the encoded times of run. Series of one scrape follow each other and
// have them in common.
func (sl *sealer) timesOf(run []store.Sample) []byte {
	same := len(run) == len(sl.times)
	for i := 0; same && i < len(run); i++ {
		same = run[i].Time == sl.times[i]
	}
	if !same {
		sl.times = sl.times[:0]
		for _, x := range run {
			sl.times = append(sl.times, x.Time)
		}
		sl.column = codec.AppendInts(sl.column[:0], sl.times)
	}
	return sl.column
}

// add appends samples and returns how many bytes the buffer grew and how many samples
// came late.
func (b *buffer) add(samples []store.Sample, sl *sealer) (grown, late int) {
	if b.rare != nil {
		b.rare.overwrite(samples)
	}
	for _, x := range samples {
		b.minT, b.maxT = min(b.minT, x.Time), max(b.maxT, x.Time)
		if x.Time <= b.last {
			if b.isLast(x) {
				continue // sent twice
			}
			r := b.more()
			had := cap(r.late)
			r.late = append(r.late, x)
			grown += (cap(r.late) - had) * sampleBytes
			late++
			continue
		}
		if len(b.open) == cap(b.open) {
			grown += b.makeRoom(sl)
		}
		b.open = append(b.open, x)
		b.last = x.Time
	}
	return grown, late
}

// isLast reports whether x is known to be the last sample that b has of its time.
func (b *buffer) isLast(x store.Sample) bool {
	if n := len(b.open); n > 0 && (b.rare == nil || len(b.rare.late) == 0) {
		y := b.open[n-1]
		return x.Time == y.Time && math.Float64bits(x.Value) == math.Float64bits(y.Value)
	}
	return false
}

// makeRoom grows open, or seals it when it is full.
func (b *buffer) makeRoom(sl *sealer) int {
	n := cap(b.open)
	if n < openLen {
		next := make([]store.Sample, n, min(openLen, max(4, 4*n)))
		copy(next, b.open)
		b.open = next
		return (cap(next) - n) * sampleBytes
	}
	sl.values = sl.values[:0]
	for _, x := range b.open {
		sl.values = append(sl.values, x.Value)
	}
	s := &b.sealed
	had := cap(s.data) + cap(s.chunks)*chunkOverhead
	s.data = append(s.data, sl.timesOf(b.open)...)
	sl.buf = sl.enc.Append(sl.buf[:0], sl.values)
	s.data = append(s.data, sl.buf...)
	s.chunks = append(s.chunks, headChunk{b.open[0].Time, b.open[n-1].Time, len(s.data)})
	if b.lent.Load() {
		b.open = make([]store.Sample, 0, openLen)
		b.lent.Store(false)
	}
	b.open = b.open[:0]
	return cap(s.data) + cap(s.chunks)*chunkOverhead - had
}

// decode appends the samples of chunk i.
func (s *sealed) decode(i int, ts []int64, vs []float64, dec *codec.FloatDecoder) ([]int64, []float64, error) {
	return decodeColumns(ts, vs, s.bytes(i), dec)
}

// decodeColumns appends the samples in a column of times and a column of values.
func decodeColumns(ts []int64, vs []float64, data []byte, dec *codec.FloatDecoder) ([]int64, []float64, error) {
	ts, rest, err := codec.DecodeInts(ts, data)
	if err != nil {
		return ts, vs, err
	}
	vs, _, err = dec.Decode(vs, rest)
	return ts, vs, err
}

// addHistogram appends a copy of h and returns its size.
func (b *buffer) addHistogram(h store.HistogramSample) int {
	b.minT, b.maxT = min(b.minT, h.Time), max(b.maxT, h.Time)
	r := b.more()
	r.hists = append(r.hists, cloneHistogram(h))
	return histogramBytes(h)
}

// addExemplar appends a copy of e and returns its size.
func (b *buffer) addExemplar(e store.Exemplar) int {
	r := b.more()
	if n := len(r.exs); n > 0 && sameExemplar(&r.exs[n-1], &e) {
		return 0
	}
	b.exMin, b.exMax = min(b.exMin, e.Time), max(b.exMax, e.Time)
	size := 64
	for _, l := range e.Labels {
		size += 32 + len(l.Name) + len(l.Value)
	}
	e.Labels = e.Labels.Clone()
	r.exs = append(r.exs, e)
	return size
}

// overlaps reports whether b, which may be nil, has samples or histograms in r, or, if
// exemplars is set, whether it may have exemplars there. The caller holds the lock.
func (b *buffer) overlaps(r model.TimeRange, exemplars bool) bool {
	switch {
	case b == nil:
		return false
	case exemplars:
		return r.Overlaps(b.exMin, b.exMax)
	case !r.Overlaps(b.minT, b.maxT):
		return false
	case r.Contains(b.minT) || r.Contains(b.maxT):
		return true
	}
	// The range lies between first and last sample: it may be a gap.
	var dec codec.FloatDecoder
	for i := range b.sealed.chunks {
		c := &b.sealed.chunks[i]
		switch {
		case !r.Overlaps(c.minT, c.maxT):
			continue
		case r.Contains(c.minT) || r.Contains(c.maxT):
			return true
		}
		ts, _, err := b.sealed.decode(i, nil, nil, &dec)
		if err != nil || slices.ContainsFunc(ts, r.Contains) {
			return true
		}
	}
	inRange := func(x store.Sample) bool { return r.Contains(x.Time) }
	if slices.ContainsFunc(b.open, inRange) {
		return true
	}
	return b.rare != nil && (slices.ContainsFunc(b.rare.late, inRange) || slices.ContainsFunc(b.rare.hists, func(h store.HistogramSample) bool { return r.Contains(h.Time) }))
}

// sortLate returns late samples in order of time, of equal times the last one, or the
// biggest.
func sortLate(late []store.Sample, big bool) []store.Sample {
	if big { // sorted so that the biggest of each time is the last of it
		late = slices.Clone(late)
		slices.SortStableFunc(late, func(a, b store.Sample) int {
			switch {
			case beats(a.Value, b.Value):
				return 1
			case beats(b.Value, a.Value):
				return -1
			}
			return 0
		})
	}
	return lastOfEach(late, func(x store.Sample) int64 { return x.Time })
}

// lastOfEach returns a copy of list in order of time, of equal times the last one.
func lastOfEach[T any](list []T, time func(T) int64) []T {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(time(a), time(b)) })
	n := 0
	for i := range out {
		if i+1 < len(out) && time(out[i+1]) == time(out[i]) {
			continue
		}
		out[n] = out[i]
		n++
	}
	return out[:n]
}
