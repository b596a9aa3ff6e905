package promql

import (
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/pharos-o11y/pharos/internal/store"
)

// iterator walks the decoded samples of one series: floats and histograms merged by
// time.
type iterator struct {
	ts    []int64
	vs    []float64
	hs    []store.HistogramSample
	f, h  int  // next float, next histogram
	isH   bool // the current sample is hs[h-1], else ts[f-1]
	begun bool
	err   error
}

var _ chunkenc.Iterator = (*iterator)(nil)

func (it *iterator) decode(s store.Series) {
	it.f, it.h, it.isH, it.begun = 0, 0, false, false
	it.ts, it.vs, it.err = s.Samples(it.ts[:0], it.vs[:0])
	clear(it.hs)
	it.hs = it.hs[:0]
	if it.err == nil {
		it.hs, it.err = s.Histograms(it.hs)
	}
}

// Next implements chunkenc.Iterator.
func (it *iterator) Next() chunkenc.ValueType {
	it.begun = true
	switch {
	case it.err != nil:
		return chunkenc.ValNone
	case it.h < len(it.hs) && (it.f == len(it.ts) || it.hs[it.h].Time < it.ts[it.f]):
		it.h++
		it.isH = true
	case it.f < len(it.ts):
		it.f++
		it.isH = false
	default:
		return chunkenc.ValNone
	}
	return it.kind()
}

func (it *iterator) kind() chunkenc.ValueType {
	switch {
	case !it.isH:
		return chunkenc.ValFloat
	case it.hs[it.h-1].Int != nil:
		return chunkenc.ValHistogram
	default:
		return chunkenc.ValFloatHistogram
	}
}

// Seek implements chunkenc.Iterator.
func (it *iterator) Seek(t int64) chunkenc.ValueType {
	if it.err != nil {
		return chunkenc.ValNone
	}
	if it.begun && (it.f > 0 || it.h > 0) && it.AtT() >= t {
		return it.kind()
	}
	it.f += sort.Search(len(it.ts)-it.f, func(i int) bool { return it.ts[it.f+i] >= t })
	it.h += sort.Search(len(it.hs)-it.h, func(i int) bool { return it.hs[it.h+i].Time >= t })
	return it.Next()
}

// At implements chunkenc.Iterator.
func (it *iterator) At() (int64, float64) { return it.ts[it.f-1], it.vs[it.f-1] }

// AtHistogram implements chunkenc.Iterator.
func (it *iterator) AtHistogram(dst *histogram.Histogram) (int64, *histogram.Histogram) {
	s := it.hs[it.h-1]
	if dst == nil {
		return s.Time, s.Int.Copy()
	}
	s.Int.CopyTo(dst)
	return s.Time, dst
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *iterator) AtFloatHistogram(dst *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	s := it.hs[it.h-1]
	if s.Int != nil {
		return s.Time, s.Int.ToFloat(dst)
	}
	if dst == nil {
		return s.Time, s.Float.Copy()
	}
	s.Float.CopyTo(dst)
	return s.Time, dst
}

// AtT implements chunkenc.Iterator.
func (it *iterator) AtT() int64 {
	if it.isH {
		return it.hs[it.h-1].Time
	}
	return it.ts[it.f-1]
}

// AtST implements chunkenc.Iterator; start timestamps are not kept.
func (it *iterator) AtST() int64 { return 0 }

// Err implements chunkenc.Iterator.
func (it *iterator) Err() error { return it.err }
