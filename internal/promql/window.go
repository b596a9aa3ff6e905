package promql

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/util/kahansum"
)

// window is the samples of one series at one step, at least one.
type window struct {
	ts []int64
	vs []float64

	step    int        // number of the step
	at      int64      // time of the step
	scratch *[]float64 // memory of the worker, for functions that sort
}

// rollupFunc makes one value of a window; ok is false if there is none.
type rollupFunc func(w *window) (v float64, ok bool)

// rollupFuncs returns the function over a range of a name, bound to its parameters (their
// values by step). ok is false if it is not ours or they are out of its bounds. Functions
// that [windows] evaluates have none.
func rollupFuncs(name string, params [][]float64) (f rollupFunc, ok bool) {
	outside := func(vs []float64, in func(v float64) bool) bool {
		return slices.ContainsFunc(vs, func(v float64) bool { return !in(v) })
	}
	switch name {
	case "rate", "increase", "delta":
		return nil, true
	case "irate":
		return func(w *window) (float64, bool) { return lastTwo(w, true) }, true
	case "idelta":
		return func(w *window) (float64, bool) { return lastTwo(w, false) }, true
	case "quantile_over_time":
		if outside(params[0], func(q float64) bool { return q >= 0 && q <= 1 }) {
			return nil, false
		}
		return func(w *window) (float64, bool) { return w.quantile(params[0][w.step]), true }, true
	case "predict_linear":
		return func(w *window) (float64, bool) { return predictLinear(w, params[0][w.step]) }, true
	case "double_exponential_smoothing":
		for _, p := range params {
			if outside(p, func(f float64) bool { return f > 0 && f < 1 }) {
				return nil, false
			}
		}
		return func(w *window) (float64, bool) { return smooth(w, params[0][w.step], params[1][w.step]) }, true
	}
	f, ok = plainRollups()[name]
	return f, ok
}

// plainRollups returns the functions over a range that have no parameter.
func plainRollups() map[string]rollupFunc {
	return map[string]rollupFunc{
		"sum_over_time":         sumOverTime,
		"avg_over_time":         avgOverTime,
		"min_over_time":         minOverTime,
		"max_over_time":         maxOverTime,
		"count_over_time":       func(w *window) (float64, bool) { return float64(len(w.vs)), true },
		"present_over_time":     func(*window) (float64, bool) { return 1, true },
		"absent_over_time":      func(*window) (float64, bool) { return 1, true }, // inverted by absentOverTime
		"first_over_time":       func(w *window) (float64, bool) { return w.vs[0], true },
		"last_over_time":        func(w *window) (float64, bool) { return w.vs[len(w.vs)-1], true },
		"stddev_over_time":      func(w *window) (float64, bool) { return math.Sqrt(variance(w.vs)), true },
		"stdvar_over_time":      func(w *window) (float64, bool) { return variance(w.vs), true },
		"mad_over_time":         madOverTime,
		"ts_of_first_over_time": func(w *window) (float64, bool) { return float64(w.ts[0]) / 1000, true },
		"ts_of_last_over_time":  func(w *window) (float64, bool) { return float64(w.ts[len(w.ts)-1]) / 1000, true },
		"ts_of_max_over_time":   func(w *window) (float64, bool) { return stampOf(w, func(v, m float64) bool { return v >= m }), true },
		"ts_of_min_over_time":   func(w *window) (float64, bool) { return stampOf(w, func(v, m float64) bool { return v <= m }), true },
		"deriv":                 deriv,
		"changes":               changes,
		"resets":                resets,
	}
}

// sorted returns the values in order, NaN first, in the memory of the worker.
func (w *window) sorted() []float64 {
	vs := append((*w.scratch)[:0], w.vs...)
	*w.scratch = vs
	sortFloats(vs)
	return vs
}

// sortFloats sorts, NaN first. Windows are short: most often insertion is the fastest way.
func sortFloats(vs []float64) {
	if len(vs) > 48 {
		slices.Sort(vs)
		return
	}
	for i := 1; i < len(vs); i++ {
		v := vs[i]
		k := i
		for k > 0 && (v < vs[k-1] || math.IsNaN(v) && !math.IsNaN(vs[k-1])) {
			vs[k] = vs[k-1]
			k--
		}
		vs[k] = v
	}
}

// quantileOf interpolates between the two nearest ranks of sorted values, for q in [0, 1].
func quantileOf(vs []float64, q float64) float64 {
	rank := q * float64(len(vs)-1)
	lower := math.Floor(rank)
	upper := min(len(vs)-1, int(lower)+1)
	weight := rank - lower
	return vs[int(lower)]*(1-weight) + vs[upper]*weight
}

// quantile returns the quantile q in [0, 1] of the values. It keeps only the highest or the
// lowest values in order, as many as it takes to reach the two ranks that count.
func (w *window) quantile(q float64) float64 {
	n := len(w.vs)
	rank := q * float64(n-1)
	lower := int(math.Floor(rank))
	upper := min(n-1, lower+1)
	weight := rank - math.Floor(rank)
	keep, sign := n-lower, 1.0 // the highest, or negated the lowest
	if upper+1 < keep {
		keep, sign = upper+1, -1
	}
	*w.scratch = slices.Grow((*w.scratch)[:0], keep)
	top := (*w.scratch)[:keep]
	for i, v := range w.vs {
		if math.IsNaN(v) {
			return quantileOf(w.sorted(), q)
		}
		v *= sign
		k := 0
		switch {
		case i < keep:
			for k = i; k > 0 && v < top[k-1]; k-- {
				top[k] = top[k-1]
			}
		case v > top[0]:
			for k = 1; k < keep && v > top[k]; k++ {
				top[k-1] = top[k]
			}
			k--
		default:
			continue
		}
		top[k] = v
	}
	if sign < 0 {
		return -top[keep-1-lower]*(1-weight) - top[keep-1-upper]*weight
	}
	return top[0]*(1-weight) + top[upper-lower]*weight
}

// madOverTime is the median of the distances to the median.
func madOverTime(w *window) (float64, bool) {
	vs := w.sorted()
	if math.IsNaN(vs[0]) {
		return math.NaN(), true
	}
	median := quantileOf(vs, 0.5)
	for i, v := range vs {
		vs[i] = math.Abs(v - median)
	}
	sortFloats(vs)
	return quantileOf(vs, 0.5), true
}

// stampOf returns the time of the last sample that beats all before it.
func stampOf(w *window, beats func(v, m float64) bool) float64 {
	m, at := w.vs[0], w.ts[0]
	for i, v := range w.vs {
		if beats(v, m) || math.IsNaN(m) {
			m, at = v, w.ts[i]
		}
	}
	return float64(at) / 1000
}

// deriv is the slope per second of a least-squares line.
func deriv(w *window) (float64, bool) {
	if len(w.vs) < 2 {
		return 0, false
	}
	slope, _ := regression(w, w.ts[0])
	return slope, true
}

// predictLinear is where the line is some seconds after the step.
func predictLinear(w *window, seconds float64) (float64, bool) {
	if len(w.vs) < 2 {
		return 0, false
	}
	slope, intercept := regression(w, w.at)
	return slope*seconds + intercept, true
}

// regression fits a line through the window; intercept is its value at time origin. Sums
// are compensated, and a constant is exactly that, as in Prometheus.
func regression(w *window, origin int64) (slope, intercept float64) {
	var sumX, cX, sumY, cY, sumXY, cXY, sumX2, cX2 float64
	constant := true
	for i, y := range w.vs {
		constant = constant && y == w.vs[0] || i == 0
		x := float64(w.ts[i]-origin) / 1e3
		sumX, cX = kahansum.Inc(x, sumX, cX)
		sumY, cY = kahansum.Inc(y, sumY, cY)
		sumXY, cXY = kahansum.Inc(x*y, sumXY, cXY)
		sumX2, cX2 = kahansum.Inc(x*x, sumX2, cX2)
	}
	if constant {
		if math.IsInf(w.vs[0], 0) {
			return math.NaN(), math.NaN()
		}
		return 0, w.vs[0]
	}
	n := float64(len(w.vs))
	sumX, sumY, sumXY, sumX2 = sumX+cX, sumY+cY, sumXY+cXY, sumX2+cX2
	slope = (sumXY - sumX*sumY/n) / (sumX2 - sumX*sumX/n)
	return slope, sumY/n - slope*sumX/n
}

// smooth is double exponential smoothing with smoothing factor sf and trend factor tf.
func smooth(w *window, sf, tf float64) (float64, bool) {
	if len(w.vs) < 2 {
		return 0, false
	}
	before, level := 0.0, w.vs[0]
	trend := w.vs[1] - w.vs[0]
	for i, v := range w.vs[1:] {
		if i > 0 {
			trend = tf*(level-before) + (1-tf)*trend
		}
		before, level = level, sf*v+(1-sf)*(level+trend)
	}
	return level, true
}

// rateKind is what tells delta, increase and rate apart.
type rateKind struct{ counter, perSecond bool }

func rateOf(name string) rateKind {
	return rateKind{counter: name != "delta", perSecond: name == "rate"}
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
