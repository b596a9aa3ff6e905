package metricstore

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// De-duplication for senders in pairs, as VictoriaMetrics defines it: time is cut into
// intervals (k*d, (k+1)*d], and of the samples of a series in one interval the newest one
// counts. Of several with that time the biggest counts, and a stale marker only when
// there is nothing else. It runs where samples are written to parts and merged, to save
// space, and once more on every read, which is what makes it exact.

// dedupOf returns the interval of a tenant in milliseconds, 0 for none.
func (s *Store) dedupOf(name model.Tenant) int64 {
	if s.opts.Dedup == nil {
		return 0
	}
	return max(0, int64(s.opts.Dedup(name)/time.Millisecond))
}

// intervalEnd returns the end of the interval of t.
func intervalEnd(t, interval int64) int64 {
	r := t % interval
	switch {
	case r == 0 || t > math.MaxInt64-interval:
		return t
	case r < 0:
		return t - r
	}
	return t - r + interval
}

// dedup thins the samples from index had on, which are in order of time.
func dedup(ts []int64, vs []float64, had int, interval int64) ([]int64, []float64) {
	if interval <= 0 {
		return ts, vs
	}
	off, n := len(vs)-len(ts), had // the slices may have begun at different lengths
	for i := had; i < len(ts); i++ {
		if i+1 < len(ts) && ts[i+1] <= intervalEnd(ts[i], interval) {
			continue
		}
		ts[n], vs[n+off] = ts[i], vs[i+off]
		n++
	}
	return ts[:n], vs[:n+off]
}

// dedupHistograms thins histograms, which are in order of time.
func dedupHistograms(hs []store.HistogramSample, interval int64) []store.HistogramSample {
	if interval <= 0 {
		return hs
	}
	n := 0
	for i := range hs {
		if i+1 < len(hs) && hs[i+1].Time <= intervalEnd(hs[i].Time, interval) {
			continue
		}
		hs[n] = hs[i]
		n++
	}
	return hs[:n]
}

// beats reports whether, of two values with one time, a counts under de-duplication.
func beats(a, b float64) bool {
	rank := func(v float64) int {
		switch {
		case value.IsStaleNaN(v):
			return 0
		case v != v:
			return 1
		}
		return 2
	}
	if x, y := rank(a), rank(b); x != y {
		return x > y
	}
	return a > b
}
