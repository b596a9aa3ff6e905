package promql

import (
	"math"
	"slices"
)

// windows says which samples of a series lie in the window of each step. The series of one
// scrape have the same timestamps, so what depends on them alone is worked out once and
// kept for as long as they repeat.
type windows struct {
	ts      []int64 // the timestamps that the rest is about
	lo, hi  []int32 // the samples in the window of each step; none if equal
	extents []extent
	counter rateKind // that extents are about
	known   bool
}

// extent is how a window is extrapolated to its ends: what rate, increase and delta need
// to know of the timestamps.
type extent struct {
	sampled  float64 // seconds from the first sample to the last
	toStart  float64 // seconds added before the first
	toEnd    float64 // seconds added after the last
	factor   float64 // of the difference of last and first sample
	divisor  float64 // seconds of the window, for rate
	possible bool    // there are two samples
}

// fit computes the windows over ts of n steps.
func (w *windows) fit(ts []int64, n int, end, stride, length int64) {
	if w.known && slices.Equal(ts, w.ts) {
		return
	}
	w.known, w.extents = true, w.extents[:0]
	w.ts = append(w.ts[:0], ts...)
	w.lo, w.hi = slices.Grow(w.lo[:0], n)[:n], slices.Grow(w.hi[:0], n)[:n]
	lo, hi := 0, 0
	for i := range n {
		for hi < len(ts) && ts[hi] <= end {
			hi++
		}
		for lo < hi && ts[lo] <= end-length {
			lo++
		}
		w.lo[i], w.hi[i] = int32(lo), int32(hi) //nolint:gosec // a series in memory has fewer samples
		end += stride
	}
}

// extend computes the extents of the windows, whose ends are end, end+stride and so on.
func (w *windows) extend(kind rateKind, end, stride, length int64) {
	if len(w.extents) > 0 && w.counter == kind {
		return
	}
	w.counter = kind
	w.extents = w.extents[:0]
	for i, lo := range w.lo {
		hi := w.hi[i]
		var x extent
		if hi-lo >= 2 {
			x = extrapolation(w.ts[lo], w.ts[hi-1], int(hi-lo), end-length, end, kind)
		}
		w.extents = append(w.extents, x)
		end += stride
	}
}

// extrapolation is how far n samples from first to last are extended to the ends of (from, to]: to the
// end where the samples come close enough to it (within 1.1 average intervals), else by
// half an interval. The operations are Prometheus' in its order, since ceil or == show a
// difference in the last bit.
func extrapolation(first, last int64, n int, from, to int64, kind rateKind) extent {
	x := extent{
		toStart: float64(first-from) / 1000, toEnd: float64(to-last) / 1000, sampled: float64(last-first) / 1000,
		possible: true,
	}
	average := x.sampled / float64(n-1)
	threshold := average * 1.1
	if x.toStart >= threshold {
		x.toStart = average / 2
	}
	if x.toEnd >= threshold {
		x.toEnd = average / 2
	}
	if kind.perSecond {
		x.divisor = float64(to-from) / 1000
	}
	x.factor = (x.sampled + x.toStart + x.toEnd) / x.sampled
	if kind.perSecond {
		x.factor /= x.divisor
	}
	return x
}

// rates fills vals with delta, increase or rate: the difference of last and first sample,
// counter resets added back, extrapolated, for a counter never below zero. It reports
// whether there is a value.
func (w *windows) rates(vs, vals []float64, kind rateKind) bool {
	rising := kind.counter && ascending(vs)
	has := false
	for i := range vals {
		x := &w.extents[i]
		if !x.possible {
			continue
		}
		has = true
		in := vs[w.lo[i]:w.hi[i]]
		first := in[0]
		result := in[len(in)-1] - first
		if !kind.counter {
			vals[i] = result * x.factor
			continue
		}
		if !rising {
			result = addResets(result, in)
		}
		vals[i] = x.counted(result, first, kind)
	}
	return has
}

// counted extrapolates by how much a counter grew, never below zero.
func (x *extent) counted(result, first float64, kind rateKind) float64 {
	factor := x.factor
	if result > 0 && first >= 0 && x.sampled*first < x.toStart*result*1.001 {
		toStart := min(x.toStart, x.sampled*(first/result))
		factor = (x.sampled + toStart + x.toEnd) / x.sampled
		if kind.perSecond {
			factor /= x.divisor
		}
	}
	return result * factor
}

// ascending reports whether no value is below the one before it, and none is NaN.
func ascending(vs []float64) bool {
	prev := math.Inf(-1)
	for _, v := range vs {
		if !(v >= prev) {
			return false
		}
		prev = v
	}
	return true
}

// sums fills vals with the sum over each window, or its average: four windows side by
// side, since each addition waits for the one before it. The compensation is Neumaier's,
// as in Prometheus; where a sum is not finite, or a zero has a sign, f decides.
func (w *windows) sums(vs, vals []float64, average bool, f rollupFunc) bool {
	has := false
	for i := 0; i < len(vals); i += 4 {
		var in [4][]float64
		for k := range min(4, len(vals)-i) {
			in[k] = vs[w.lo[i+k]:w.hi[i+k]]
		}
		s, c := sumFour(&in)
		for k, win := range in {
			n := float64(len(win))
			switch {
			case n == 0:
				continue
			case s[k] == 0 || math.IsInf(s[k], 0) || math.IsNaN(s[k]) || math.IsNaN(c[k]):
				vals[i+k], _ = f(&window{vs: win})
			case average:
				vals[i+k] = s[k]/n + c[k]/n
			default:
				vals[i+k] = s[k] + c[k]
			}
			has = true
		}
	}
	return has
}

// sumFour returns the sums of four windows and their compensations.
func sumFour(in *[4][]float64) (s, c [4]float64) {
	common := min(len(in[0]), len(in[1]), len(in[2]), len(in[3]))
	a, b, d, e := in[0][:common], in[1][:common], in[2][:common], in[3][:common]
	var s0, s1, s2, s3, c0, c1, c2, c3 float64
	for j := range common {
		t0, t1, t2, t3 := s0+a[j], s1+b[j], s2+d[j], s3+e[j]
		c0 += lost(s0, a[j], t0)
		c1 += lost(s1, b[j], t1)
		c2 += lost(s2, d[j], t2)
		c3 += lost(s3, e[j], t3)
		s0, s1, s2, s3 = t0, t1, t2, t3
	}
	s, c = [4]float64{s0, s1, s2, s3}, [4]float64{c0, c1, c2, c3}
	for k, win := range in {
		for _, v := range win[common:] {
			t := s[k] + v
			c[k] += lost(s[k], v, t)
			s[k] = t
		}
	}
	return s, c
}

// lost is what the sum t of a and b has lost to rounding, exactly (Knuth).
func lost(a, b, t float64) float64 {
	bb := t - a
	return (a - (t - bb)) + (b - bb)
}

// addResets adds to sum what the counter resets in vs took away.
func addResets(sum float64, vs []float64) float64 {
	prev := vs[0]
	for _, v := range vs[1:] {
		if v < prev {
			sum += prev
		}
		prev = v
	}
	return sum
}

// newest fills vals with the last sample of each window, which may be a stale marker.
func (w *windows) newest(vs, vals []float64) bool {
	has := false
	for i := range vals {
		if hi := w.hi[i]; hi > w.lo[i] {
			v := vs[hi-1]
			vals[i] = v
			has = has || !isAbsent(v)
		}
	}
	return has
}
