package logql

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
)

// accum collects the samples of one series: for each piece of time (see windows) what
// the function needs of them. The slices are parallel; those that the function does not
// need are nil.
type accum struct {
	labels model.Labels
	base   int // piece of element 0
	n      []int64
	a, b   []float64
	ts     []int64
	list   [][]sample
	nums   [][]float64
}

type sample struct {
	time  int64
	value float64
}

// fields says which slices of an accum a function needs, and what an element costs.
type fields struct {
	a, b, ts, list, nums bool

	bytes  int64
	sample int64 // bytes of each sample
}

// each reports whether each sample counts, not just what many come to.
func (f *fields) each() bool { return f.b || f.nums }

func (k accKind) fields() fields {
	f := fields{bytes: 8}
	switch k {
	case accSum, accAvg, accMin, accMax:
		f.a = true
		f.bytes += 8
	case accVar, accStddev:
		f.a, f.b = true, true
		f.bytes += 16
	case accFirst, accLast:
		f.a, f.ts = true, true
		f.bytes += 16
	case accQuantile:
		f.nums = true
		f.bytes += 24
		f.sample = 8
	case accCounter:
		f.list = true
		f.bytes += 24
		f.sample = 16
	}
	return f
}

// slot returns the index of piece j, and by how many elements the slices grew.
func (s *accum) slot(j int, f fields) (i, grew int) {
	switch {
	case len(s.n) == 0:
		s.base = j
		s.extend(0, 1, f)
		return 0, 1
	case j < s.base:
		grew = s.base - j
		s.extend(grew, 0, f)
		s.base = j
		return 0, grew
	case j-s.base >= len(s.n):
		grew = j - s.base + 1 - len(s.n)
		s.extend(0, grew, f)
	}
	return j - s.base, grew
}

// extend adds zero elements before and behind.
func (s *accum) extend(before, behind int, f fields) {
	s.n = pad(s.n, before, behind)
	if f.a {
		s.a = pad(s.a, before, behind)
	}
	if f.b {
		s.b = pad(s.b, before, behind)
	}
	if f.ts {
		s.ts = pad(s.ts, before, behind)
	}
	if f.list {
		s.list = pad(s.list, before, behind)
	}
	if f.nums {
		s.nums = pad(s.nums, before, behind)
	}
}

func pad[T any](s []T, before, behind int) []T {
	if before > 0 {
		s = slices.Insert(s, 0, make([]T, before)...)
	}
	if behind > 0 {
		s = slices.Grow(s, behind)
		s = s[:len(s)+behind]
		clear(s[len(s)-behind:])
	}
	return s
}

// add adds a sample to element i.
func (s *accum) add(k accKind, i int, t int64, v float64) {
	n := s.n[i]
	s.n[i]++
	switch k {
	case accSum, accAvg:
		s.a[i] += v
	case accMin:
		if n == 0 || v < s.a[i] || math.IsNaN(s.a[i]) {
			s.a[i] = v
		}
	case accMax:
		if n == 0 || v > s.a[i] || math.IsNaN(s.a[i]) {
			s.a[i] = v
		}
	case accFirst:
		if n == 0 || t < s.ts[i] {
			s.a[i], s.ts[i] = v, t
		}
	case accLast:
		if n == 0 || t >= s.ts[i] {
			s.a[i], s.ts[i] = v, t
		}
	case accVar, accStddev:
		delta := v - s.a[i]
		s.a[i] += delta / float64(n+1)
		s.b[i] += delta * (v - s.a[i])
	case accQuantile:
		s.nums[i] = append(s.nums[i], v)
	case accCounter:
		s.list[i] = append(s.list[i], sample{t, v})
	}
}

// window is the sum of a run of elements: an accum of one element.
type window struct{ accum }

func newWindow(f fields) *window {
	w := &window{}
	w.extend(0, 1, f)
	return w
}

// merge adds element i of s.
func (w *window) merge(k accKind, s *accum, i int) {
	if s.n[i] == 0 {
		return
	}
	n := w.n[0]
	w.n[0] += s.n[i]
	switch k {
	case accSum, accAvg:
		w.a[0] += s.a[i]
	case accMin:
		if v := s.a[i]; n == 0 || v < w.a[0] || math.IsNaN(w.a[0]) {
			w.a[0] = v
		}
	case accMax:
		if v := s.a[i]; n == 0 || v > w.a[0] || math.IsNaN(w.a[0]) {
			w.a[0] = v
		}
	case accFirst:
		if n == 0 || s.ts[i] < w.ts[0] {
			w.a[0], w.ts[0] = s.a[i], s.ts[i]
		}
	case accLast:
		if n == 0 || s.ts[i] >= w.ts[0] {
			w.a[0], w.ts[0] = s.a[i], s.ts[i]
		}
	case accVar, accStddev:
		delta := s.a[i] - w.a[0]
		total := float64(n + s.n[i])
		w.b[0] += s.b[i] + delta*delta*float64(n)*float64(s.n[i])/total
		w.a[0] += delta * float64(s.n[i]) / total
	case accQuantile:
		w.nums[0] = append(w.nums[0], s.nums[i]...)
	case accCounter:
		w.list[0] = append(w.list[0], s.list[i]...)
	}
}

// unmerge takes element i of s away again. It is for counts and sums of whole numbers.
func (w *window) unmerge(s *accum, i int) {
	w.n[0] -= s.n[i]
	if w.a != nil {
		w.a[0] -= s.a[i]
	}
}

// clear empties w.
func (w *window) clear() {
	w.n[0] = 0
	if w.a != nil {
		w.a[0] = 0
	}
	if w.b != nil {
		w.b[0] = 0
	}
	if w.list != nil {
		w.list[0] = w.list[0][:0]
	}
	if w.nums != nil {
		w.nums[0] = w.nums[0][:0]
	}
}

// value returns the result of w, which is not empty. It ends at end.
func (w *window) value(e *rangeAggExpr, k accKind, end int64) float64 {
	v := 0.0
	switch k {
	case accCount:
		v = float64(w.n[0])
	case accAvg:
		v = w.a[0] / float64(w.n[0])
	case accVar:
		v = w.b[0] / float64(w.n[0])
	case accStddev:
		v = math.Sqrt(w.b[0] / float64(w.n[0]))
	case accQuantile:
		v = quantile(e.param, w.nums[0])
	case accCounter:
		v = counterRate(w.list[0], end-int64(e.rng), end)
	default:
		v = w.a[0]
	}
	if e.fn.perSec {
		v /= e.rng.Seconds()
	}
	return v
}

// quantile returns the quantile phi of s, which it rearranges.
func quantile(phi float64, s []float64) float64 {
	switch {
	case math.IsNaN(phi):
		return math.NaN()
	case phi < 0:
		return math.Inf(-1)
	case phi > 1:
		return math.Inf(1)
	}
	rank := phi * float64(len(s)-1)
	lower := math.Floor(rank)
	upper := min(int(lower)+1, len(s)-1)
	weight := rank - lower
	least := order(s, int(lower))
	next := least
	if upper > int(lower) {
		next = slices.MinFunc(s[upper:], cmp.Compare[float64])
	}
	return least*(1-weight) + next*weight
}

// order rearranges s so that no value before element k is greater than it, and none behind it
// is less, and returns element k. NaN is less than anything.
func order(s []float64, k int) float64 {
	from := 0 // NaN stands before
	for i, v := range s {
		if math.IsNaN(v) {
			s[from], s[i] = v, s[from]
			from++
		}
	}
	to := len(s)
	for range 2 * bits.Len(uint(to)) {
		if k < from || to-from < 2 {
			return s[k]
		}
		a, b, c := s[from], s[(from+to)/2], s[to-1]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := from, to-1
		for i <= j {
			for s[i] < pivot {
				i++
			}
			for s[j] > pivot {
				j--
			}
			if i <= j {
				s[i], s[j] = s[j], s[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			to = j + 1
		case k >= i:
			from = i
		default:
			return s[k]
		}
	}
	slices.Sort(s[from:to])
	return s[k]
}

// counterRate is the increase per second of a counter that may reset, extrapolated to the
// window (from, to] the way Prometheus does.
func counterRate(s []sample, from, to int64) float64 {
	if len(s) < 2 {
		return 0
	}
	slices.SortStableFunc(s, func(a, b sample) int { return cmp.Compare(a.time, b.time) })
	first, last := s[0], s[len(s)-1]
	increase := last.value - first.value
	for i := 1; i < len(s); i++ {
		if s[i].value < s[i-1].value {
			increase += s[i-1].value
		}
	}
	const second = 1e9
	rng := float64(to-from) / second
	sampled := float64(last.time-first.time) / second
	if sampled == 0 {
		return increase / rng
	}
	average := sampled / float64(len(s)-1)
	toStart, toEnd := float64(first.time-from)/second, float64(to-last.time)/second
	if toStart >= average*1.1 {
		toStart = average / 2
	}
	if increase > 0 && first.value >= 0 {
		toStart = min(toStart, sampled*(first.value/increase))
	}
	if toEnd >= average*1.1 {
		toEnd = average / 2
	}
	return increase * (sampled + toStart + toEnd) / sampled / rng
}
