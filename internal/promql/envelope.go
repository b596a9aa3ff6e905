package promql

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/promql"
)

// Envelope is what a chart draws of more series than it can draw one by one: at every
// step that has a value the lowest, the middle and the highest one. NaN and histograms do
// not count.
type Envelope struct {
	Min, Median, Max []promql.FPoint
}

// NewEnvelope returns the envelope of the series of m.
func NewEnvelope(m promql.Matrix) Envelope {
	var e Envelope
	next := make([]int, len(m)) // point of each series
	vals := make([]float64, 0, len(m))
	for {
		at, more := int64(math.MaxInt64), false
		for i := range m {
			if next[i] < len(m[i].Floats) {
				at, more = min(at, m[i].Floats[next[i]].T), true
			}
		}
		if !more {
			return e
		}
		vals = vals[:0]
		lo, hi := math.Inf(1), math.Inf(-1)
		for i := range m {
			if next[i] == len(m[i].Floats) || m[i].Floats[next[i]].T != at {
				continue
			}
			v := m[i].Floats[next[i]].F
			next[i]++
			if !math.IsNaN(v) {
				vals = append(vals, v)
				lo, hi = min(lo, v), max(hi, v)
			}
		}
		if len(vals) > 0 {
			e.Min = append(e.Min, promql.FPoint{T: at, F: lo})
			e.Median = append(e.Median, promql.FPoint{T: at, F: median(vals)})
			e.Max = append(e.Max, promql.FPoint{T: at, F: hi})
		}
	}
}

// median returns the middle of vals, which it reorders: the halves around the middle are
// made without sorting them (quickselect).
func median(vals []float64) float64 {
	k := len(vals) / 2
	for from, to := 0, len(vals)-1; from < to; {
		pivot := vals[(from+to)/2]
		i, j := from, to
		for i <= j {
			for vals[i] < pivot {
				i++
			}
			for vals[j] > pivot {
				j--
			}
			if i <= j {
				vals[i], vals[j] = vals[j], vals[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			to = j
		case k >= i:
			from = i
		default:
			from = to
		}
	}
	if len(vals)%2 == 1 {
		return vals[k]
	}
	return slices.Max(vals[:k])/2 + vals[k]/2
}
