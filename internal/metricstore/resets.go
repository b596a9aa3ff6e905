package metricstore

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/store"
)

// resetHints sets the counter reset hint of histograms in order of time as Prometheus'
// TSDB does: gauges stay gauges, a reset that the sender knows of stays one, and
// everything else is compared with the histogram before it. Of the first one nothing is
// known. Doing it here and not on arrival keeps it right when samples come late.
func resetHints(hs []store.HistogramSample) {
	for i := range hs {
		cur := &hs[i]
		hint := hintOf(cur)
		if *hint == histogram.GaugeType || *hint == histogram.CounterReset {
			continue
		}
		*hint = histogram.UnknownCounterReset
		if i == 0 || isStale(cur) || isStale(&hs[i-1]) || *hintOf(&hs[i-1]) == histogram.GaugeType {
			continue
		}
		if fell(hs[i-1], *cur) {
			*hint = histogram.CounterReset
		} else {
			*hint = histogram.NotCounterReset
		}
	}
}

func hintOf(h *store.HistogramSample) *histogram.CounterResetHint {
	if h.Int != nil {
		return &h.Int.CounterResetHint
	}
	return &h.Float.CounterResetHint
}

func isStale(h *store.HistogramSample) bool {
	if h.Int != nil {
		return value.IsStaleNaN(h.Int.Sum)
	}
	return value.IsStaleNaN(h.Float.Sum)
}

// fell reports whether the counter was reset between two histograms.
func fell(before, after store.HistogramSample) bool {
	if a, b := before.Int, after.Int; a != nil && b != nil && sameLayout(a, b) {
		return b.Count < a.Count || b.ZeroCount < a.ZeroCount ||
			anyFell(a.PositiveBuckets, b.PositiveBuckets) || anyFell(a.NegativeBuckets, b.NegativeBuckets)
	}
	return toFloat(after).DetectReset(toFloat(before))
}

func toFloat(h store.HistogramSample) *histogram.FloatHistogram {
	if h.Float != nil {
		return h.Float
	}
	return h.Int.ToFloat(nil)
}

func sameLayout(a, b *histogram.Histogram) bool {
	return a.Schema == b.Schema && a.ZeroThreshold == b.ZeroThreshold &&
		slices.Equal(a.PositiveSpans, b.PositiveSpans) && slices.Equal(a.NegativeSpans, b.NegativeSpans) &&
		slices.Equal(a.CustomValues, b.CustomValues)
}

// anyFell reports whether a bucket of b is lower than in a. Both are deltas.
func anyFell(a, b []int64) bool {
	var x, y int64
	for i := range a {
		x, y = x+a[i], y+b[i]
		if y < x {
			return true
		}
	}
	return false
}
