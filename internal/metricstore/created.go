package metricstore

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/store"
)

// Zero samples. A counter that begins at 5 has grown by 5, but rate sees no growth in a
// first sample. Where the sender says when the counting began, a sample of 0 goes there, if
// that is newer than all that the series has: else it would be a reset that never was. Of a
// series that is not in the head that is known only from when the head was empty, or last
// forgot a series: tenant.past.

// createdWindow is the age, in milliseconds, up to which the start of a series counts.
const createdWindow = 3_600_000

// zeroAt returns start if it is newer than everything in s, else 0. The caller holds the
// lock of the tenant.
func (s *series) zeroAt(start int64) int64 {
	if start <= s.last || s.cur != nil && start <= s.cur.maxT {
		return 0
	}
	return start
}

// addZeros puts zero samples in front of the items that get one.
func (a *appender) addZeros() {
	a.zeros, a.added = 0, 0
	for i := range a.items {
		it := &a.items[i]
		if it.start == 0 {
			continue
		}
		if len(it.samples) > 0 && it.start < it.samples[0].Time && !value.IsStaleNaN(it.samples[0].Value) {
			from := len(a.kept)
			a.kept = append(append(a.kept, store.Sample{Time: it.start}), it.samples...)
			it.samples = a.kept[from:len(a.kept):len(a.kept)]
			a.countZero(it.start)
		}
		if len(it.hists) > 0 && it.start < it.hists[0].Time {
			it.hists = slices.Insert(slices.Clip(it.hists), 0, zeroHistogram(it.hists[0], it.start))
			a.countZero(it.start)
		}
	}
}

func (a *appender) countZero(at int64) {
	if a.zeros++; a.added == 0 || at < a.added {
		a.added = at
	}
}

// zeroHistogram returns an empty histogram with the buckets of h.
func zeroHistogram(h store.HistogramSample, at int64) store.HistogramSample {
	out := store.HistogramSample{Time: at}
	if h.Int != nil {
		out.Int = &histogram.Histogram{
			CounterResetHint: histogram.CounterReset, Schema: h.Int.Schema, ZeroThreshold: h.Int.ZeroThreshold, CustomValues: h.Int.CustomValues,
		}
	} else {
		out.Float = &histogram.FloatHistogram{
			CounterResetHint: histogram.CounterReset, Schema: h.Float.Schema, ZeroThreshold: h.Float.ZeroThreshold, CustomValues: h.Float.CustomValues,
		}
	}
	return out
}
