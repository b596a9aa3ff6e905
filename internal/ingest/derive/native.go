package derive

import (
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
)

// Native histograms begin with eight buckets for each power of two and halve their
// resolution whenever they would hold more buckets than maxNative.
const (
	firstSchema   = 3
	lowestSchema  = -4
	maxNative     = 100
	zeroThreshold = 2.938735877055719e-39 // 2^-128, Prometheus' usual one
)

// native is the buckets of a native histogram of values that are not negative.
type native struct {
	schema  int32
	zero    float64
	buckets map[int32]float64 // by index: bucket i ends at 2^(i*2^-schema)
}

func newNative() *native { return &native{schema: firstSchema, buckets: map[int32]float64{}} }

func (n *native) observe(v, weight float64) {
	if !(v > zeroThreshold) {
		n.zero += weight
		return
	}
	n.buckets[bucketIndex(v, n.schema)] += weight
	for len(n.buckets) > maxNative && n.schema > lowestSchema {
		n.coarsen()
	}
}

// bucketIndex returns the least i with v <= 2^(i*2^-schema).
func bucketIndex(v float64, schema int32) int32 {
	frac, exp := math.Frexp(v) // v = frac * 2^exp, frac in [0.5, 1)
	if schema <= 0 {
		if frac == 0.5 {
			exp--
		}
		div := 1 << -schema
		return int32((exp + div - 1) >> -schema)
	}
	per := float64(int32(1) << schema)
	i := int32(math.Ceil(math.Log2(frac)*per)) + int32(exp)*int32(per)
	if math.Exp2(float64(i-1)/per) >= v { // the logarithm was rounded up
		i--
	}
	return i
}

// coarsen halves the resolution: buckets 2i-1 and 2i become bucket i.
func (n *native) coarsen() {
	n.schema--
	next := make(map[int32]float64, len(n.buckets)/2+1)
	for i, c := range n.buckets {
		next[(i+1)>>1] += c
	}
	n.buckets = next
}

// sample returns the histogram as Prometheus has it.
func (n *native) sample(sum, count float64) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{
		Schema: n.schema, ZeroThreshold: zeroThreshold, ZeroCount: n.zero, Sum: sum, Count: count,
		PositiveBuckets: make([]float64, 0, len(n.buckets)),
	}
	next := int32(0)
	for _, i := range slices.Sorted(maps.Keys(n.buckets)) {
		if k := len(h.PositiveSpans); k > 0 && i == next {
			h.PositiveSpans[k-1].Length++
		} else {
			off := i
			if k > 0 {
				off = i - next
			}
			h.PositiveSpans = append(h.PositiveSpans, histogram.Span{Offset: off, Length: 1})
		}
		h.PositiveBuckets = append(h.PositiveBuckets, n.buckets[i])
		next = i + 1
	}
	return h
}
