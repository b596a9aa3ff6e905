package metricsql

import (
	"math"
	"slices"
	"sort"
)

// Statistics over values without NaN.

func sum(vs []float64) float64 {
	total := 0.0
	for _, v := range vs {
		total += v
	}
	return total
}

func sumSquares(vs []float64) float64 {
	total := 0.0
	for _, v := range vs {
		total += v * v
	}
	return total
}

// mean returns NaN for no values.
func mean(vs []float64) float64 { return sum(vs) / float64(len(vs)) }

// variance is that of the population, by Welford's method.
func variance(vs []float64) float64 {
	var avg, q float64
	for i, v := range vs {
		next := avg + (v-avg)/float64(i+1)
		q += (v - avg) * (v - next)
		avg = next
	}
	return q / float64(len(vs))
}

func stddev(vs []float64) float64 { return math.Sqrt(variance(vs)) }

func geomean(vs []float64) float64 {
	p := 1.0
	for _, v := range vs {
		p *= v
	}
	return math.Pow(p, 1/float64(len(vs)))
}

// quantile returns the phi quantile of vs, interpolated, -Inf and +Inf outside of [0, 1].
func quantile(phi float64, vs []float64) float64 {
	sorted := slices.Clone(vs)
	sort.Float64s(sorted)
	return quantileSorted(phi, sorted)
}

func quantileSorted(phi float64, sorted []float64) float64 {
	switch {
	case len(sorted) == 0 || math.IsNaN(phi):
		return nan()
	case phi < 0:
		return math.Inf(-1)
	case phi > 1:
		return math.Inf(1)
	}
	rank := phi * float64(len(sorted)-1)
	low := int(math.Floor(rank))
	high := min(low+1, len(sorted)-1)
	weight := rank - math.Floor(rank)
	return sorted[low]*(1-weight) + sorted[high]*weight
}

// mad is the median absolute deviation.
func mad(vs []float64) float64 {
	middle := quantile(0.5, vs)
	off := make([]float64, len(vs))
	for i, v := range vs {
		off[i] = math.Abs(v - middle)
	}
	return quantile(0.5, off)
}

// mode is the most frequent value, the smallest of several; prev, if not NaN, counts as a
// value of its own in front.
func mode(prev float64, vs []float64) float64 {
	sorted := slices.Clone(vs)
	sort.Float64s(sorted)
	if !math.IsNaN(prev) {
		sorted = slices.Insert(sorted, 0, prev)
	}
	best, n := nan(), 0
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		if j-i > n {
			best, n = sorted[i], j-i
		}
		i = max(j, i+1)
	}
	return best
}

func distinct(vs []float64) float64 {
	seen := make(map[float64]struct{}, len(vs))
	for _, v := range vs {
		seen[v] = struct{}{}
	}
	return float64(len(seen))
}

// iqr returns the bounds outside of which values are outliers: 1.5 interquartile ranges
// off the quartiles.
func iqr(vs []float64) (low, high float64) {
	sorted := slices.Clone(vs)
	sort.Float64s(sorted)
	q1, q3 := quantileSorted(0.25, sorted), quantileSorted(0.75, sorted)
	d := 1.5 * (q3 - q1)
	return q1 - d, q3 + d
}

// regression fits a line through values at times and returns its value at a time, and its
// slope per second.
func regression(vs []float64, times []int64, at int64) (v, slope float64) {
	if len(vs) == 0 {
		return nan(), nan()
	}
	if !slices.ContainsFunc(vs, func(x float64) bool { return x != vs[0] }) {
		return vs[0], 0
	}
	n := float64(len(vs))
	var sv, st, stv, stt float64
	for i, x := range vs {
		t := float64(times[i]-at) / 1e3
		sv += x
		st += t
		stv += t * x
		stt += t * t
	}
	if d := stt - st*st/n; math.Abs(d) >= 1e-6 {
		slope = (stv - st*sv/n) / d
	}
	return sv/n - slope*st/n, slope
}

// finite returns the values that are not NaN.
func finite(vs []float64) []float64 {
	out := make([]float64, 0, len(vs))
	for _, v := range vs {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}
