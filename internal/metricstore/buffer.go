package metricstore

import (
	"cmp"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// buffer is what one series has received since the last cut. The lock of its tenant
// guards it; after the cut it does not change any more. All its slices only grow, so that
// a reader that copied their headers under the lock may read on without it.
type buffer struct {
	// What a sample touches comes first, in one line of the cache.
	open       []store.Sample // in order, behind every chunk
	last       int64          // newest time in open and chunks
	lastValue  float64
	minT, maxT int64 // of all samples and histograms

	sealed sealed
	late   []store.Sample // not newer than some sample before them; in order of arrival
	hists  []store.HistogramSample
	exs    []store.Exemplar
	exMin  int64 // of the exemplars
	exMax  int64
}

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
	bufferBytes   = 200
)

func newBuffer() *buffer {
	return &buffer{
		last: math.MinInt64, minT: math.MaxInt64, maxT: math.MinInt64,
		exMin: math.MaxInt64, exMax: math.MinInt64,
	}
}

// sealer compresses full runs of samples, reusing its memory.
type sealer struct {
	times  []int64
	values []float64
	enc    codec.FloatEncoder
	buf    []byte
}

// add appends samples and returns how many bytes the buffer grew and how many samples
// came late.
func (b *buffer) add(samples []store.Sample, sl *sealer) (grown, late int) {
	if len(b.hists) > 0 {
		b.overwrite(samples)
	}
	for _, x := range samples {
		b.minT, b.maxT = min(b.minT, x.Time), max(b.maxT, x.Time)
		if x.Time <= b.last {
			if x.Time == b.last && len(b.late) == 0 && math.Float64bits(x.Value) == math.Float64bits(b.lastValue) {
				continue // sent twice
			}
			had := cap(b.late)
			b.late = append(b.late, x)
			grown += (cap(b.late) - had) * sampleBytes
			late++
			continue
		}
		if len(b.open) == cap(b.open) {
			grown += b.makeRoom(sl)
		}
		b.open = append(b.open, x)
		b.last, b.lastValue = x.Time, x.Value
	}
	return grown, late
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
	sl.times, sl.values = sl.times[:0], sl.values[:0]
	for _, x := range b.open {
		sl.times, sl.values = append(sl.times, x.Time), append(sl.values, x.Value)
	}
	s := &b.sealed
	had := cap(s.data) + cap(s.chunks)*chunkOverhead
	sl.buf = codec.AppendInts(sl.buf[:0], sl.times)
	sl.buf = sl.enc.Append(sl.buf, sl.values)
	s.data = append(s.data, sl.buf...)
	s.chunks = append(s.chunks, headChunk{sl.times[0], sl.times[n-1], len(s.data)})
	b.open = make([]store.Sample, 0, openLen) // readers may still look at the old one
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
	b.hists = append(b.hists, cloneHistogram(h))
	return histogramBytes(h)
}

// addExemplar appends a copy of e and returns its size.
func (b *buffer) addExemplar(e store.Exemplar) int {
	if n := len(b.exs); n > 0 && sameExemplar(&b.exs[n-1], &e) {
		return 0
	}
	b.exMin, b.exMax = min(b.exMin, e.Time), max(b.exMax, e.Time)
	size := 64
	for _, l := range e.Labels {
		size += 32 + len(l.Name) + len(l.Value)
	}
	e.Labels = e.Labels.Clone()
	b.exs = append(b.exs, e)
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
	return slices.ContainsFunc(b.open, inRange) || slices.ContainsFunc(b.late, inRange) ||
		slices.ContainsFunc(b.hists, func(h store.HistogramSample) bool { return r.Contains(h.Time) })
}

// snapshot returns a copy that may be read without the lock.
func (b *buffer) snapshot() buffer {
	c := *b
	c.open = b.open[:len(b.open):len(b.open)]
	c.late = b.late[:len(b.late):len(b.late)]
	return c
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
