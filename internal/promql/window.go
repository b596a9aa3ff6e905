package promql

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/util/kahansum"
)

// window is the samples of one series in (from, to], at least one.
type window struct {
	ts       []int64
	vs       []float64
	from, to int64      // Unix milliseconds
	rising   bool       // no value is below the one before it; only set for counters
	scratch  *[]float64 // memory of the worker, for functions that sort
}

// rollupFunc makes one value of a window; ok is false if there is none.
type rollupFunc func(w *window) (v float64, ok bool)

// lastSample is an instant selector: the newest sample, unless it is a stale marker.
func lastSample(w *window) (float64, bool) {
	v := w.vs[len(w.vs)-1]
	return v, !isAbsent(v)
}

// rollups returns the functions over a range that need no other argument.
func rollups() map[string]rollupFunc {
	return map[string]rollupFunc{
		"rate":              func(w *window) (float64, bool) { return extrapolated(w, rateKind{true, true}) },
		"increase":          func(w *window) (float64, bool) { return extrapolated(w, rateKind{counter: true}) },
		"delta":             func(w *window) (float64, bool) { return extrapolated(w, rateKind{}) },
		"irate":             func(w *window) (float64, bool) { return lastTwo(w, true) },
		"idelta":            func(w *window) (float64, bool) { return lastTwo(w, false) },
		"sum_over_time":     sumOverTime,
		"avg_over_time":     avgOverTime,
		"min_over_time":     minOverTime,
		"max_over_time":     maxOverTime,
		"count_over_time":   func(w *window) (float64, bool) { return float64(len(w.vs)), true },
		"present_over_time": func(*window) (float64, bool) { return 1, true },
		"last_over_time":    func(w *window) (float64, bool) { return w.vs[len(w.vs)-1], true },
		"stddev_over_time":  func(w *window) (float64, bool) { return math.Sqrt(variance(w.vs)), true },
		"stdvar_over_time":  func(w *window) (float64, bool) { return variance(w.vs), true },
		"changes":           changes,
		"resets":            resets,
	}
}

// rateKind is what tells delta, increase and rate apart.
type rateKind struct{ counter, perSecond bool }

// extrapolated is delta, increase and rate: the difference of last and first sample,
// counter resets added back, extended to the ends of the window where the samples come
// close enough to them (within 1.1 average intervals), else by half an interval, and never
// below zero for a counter. The operations are Prometheus' in its order, since ceil or ==
// show a difference in the last bit; divisions, most of the cost, are only made where a
// product cannot rule out that they matter.
func extrapolated(w *window, kind rateKind) (float64, bool) {
	n := len(w.vs)
	if n < 2 {
		return 0, false
	}
	first, last := w.vs[0], w.vs[n-1]
	result := last - first
	if kind.counter && !w.rising {
		prev := first
		for _, v := range w.vs[1:] {
			if v < prev {
				result += prev
			}
			prev = v
		}
	}
	toStart := float64(w.ts[0]-w.from) / 1000
	toEnd := float64(w.to-w.ts[n-1]) / 1000
	sampled := float64(w.ts[n-1]-w.ts[0]) / 1000
	if gaps := float64(n - 1); max(toStart, toEnd)*gaps > sampled*1.05 {
		average := sampled / gaps
		threshold := average * 1.1
		if toStart >= threshold {
			toStart = average / 2
		}
		if toEnd >= threshold {
			toEnd = average / 2
		}
	}
	if kind.counter && result > 0 && first >= 0 && sampled*first < toStart*result*1.001 {
		toStart = min(toStart, sampled*(first/result))
	}
	factor := (sampled + toStart + toEnd) / sampled
	if kind.perSecond {
		factor /= float64(w.to-w.from) / 1000
	}
	return result * factor, true
}

// lastTwo is irate and idelta.
func lastTwo(w *window, rate bool) (float64, bool) {
	n := len(w.vs)
	if n < 2 {
		return 0, false
	}
	prev, last := w.vs[n-2], w.vs[n-1]
	if !rate {
		return last - prev, true
	}
	v := last
	if !(last < prev) {
		v = last - prev
	}
	return v / (float64(w.ts[n-1]-w.ts[n-2]) / 1000), true
}

func sumOverTime(w *window) (float64, bool) {
	var sum, c float64
	for _, v := range w.vs {
		sum, c = kahansum.Inc(v, sum, c)
	}
	if math.IsInf(sum, 0) {
		return sum, true
	}
	return sum + c, true
}

// avgOverTime is the sum over the count; where that would overflow, the incremental mean.
func avgOverTime(w *window) (float64, bool) {
	sum, c := w.vs[0], 0.0
	mean, incremental := 0.0, false
	for i, v := range w.vs[1:] {
		count := float64(i + 2)
		if !incremental {
			s, nc := kahansum.Inc(v, sum, c)
			if !math.IsInf(s, 0) {
				sum, c = s, nc
				continue
			}
			incremental = true
			mean = sum / (count - 1)
			c /= count - 1
		}
		q := (count - 1) / count
		mean, c = kahansum.Inc(v/count, q*mean, q*c)
	}
	if incremental {
		return mean + c, true
	}
	n := float64(len(w.vs))
	return sum/n + c/n, true
}

func minOverTime(w *window) (float64, bool) {
	m := w.vs[0]
	for _, v := range w.vs {
		if v < m || math.IsNaN(m) {
			m = v
		}
	}
	return m, true
}

func maxOverTime(w *window) (float64, bool) {
	m := w.vs[0]
	for _, v := range w.vs {
		if v > m || math.IsNaN(m) {
			m = v
		}
	}
	return m, true
}

// variance is the population variance (Welford with compensated sums).
func variance(vs []float64) float64 {
	var count, mean, cMean, aux, cAux float64
	for _, v := range vs {
		count++
		delta := v - (mean + cMean)
		mean, cMean = kahansum.Inc(delta/count, mean, cMean)
		aux, cAux = kahansum.Inc(delta*(v-(mean+cMean)), aux, cAux)
	}
	return (aux + cAux) / count
}

// quantileOverTime returns the function for one quantile in [0, 1]: values are ranked,
// NaN first, and interpolated between the two nearest ranks.
func quantileOverTime(q float64) rollupFunc {
	return func(w *window) (float64, bool) {
		vs := append((*w.scratch)[:0], w.vs...)
		*w.scratch = vs
		slices.Sort(vs)
		rank := q * float64(len(vs)-1)
		lower := math.Floor(rank)
		upper := min(len(vs)-1, int(lower)+1)
		weight := rank - lower
		return vs[int(lower)]*(1-weight) + vs[upper]*weight, true
	}
}

func changes(w *window) (float64, bool) {
	n, prev := 0, w.vs[0]
	for _, v := range w.vs[1:] {
		if v != prev && !(math.IsNaN(v) && math.IsNaN(prev)) {
			n++
		}
		prev = v
	}
	return float64(n), true
}

func resets(w *window) (float64, bool) {
	n, prev := 0, w.vs[0]
	for _, v := range w.vs[1:] {
		if v < prev {
			n++
		}
		prev = v
	}
	return float64(n), true
}
