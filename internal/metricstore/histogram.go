package metricstore

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
)

func cloneHistogram(h store.HistogramSample) store.HistogramSample {
	if h.Int != nil {
		h.Int = h.Int.Copy()
		h.Int.CustomValues = append([]float64(nil), h.Int.CustomValues...) // Copy shares them
	}
	if h.Float != nil {
		h.Float = h.Float.Copy()
		h.Float.CustomValues = append([]float64(nil), h.Float.CustomValues...)
	}
	return h
}

// histogramBytes estimates the memory of h.
func histogramBytes(h store.HistogramSample) int {
	if h.Int != nil {
		return 200 + 8*(len(h.Int.PositiveBuckets)+len(h.Int.NegativeBuckets)+len(h.Int.PositiveSpans)+len(h.Int.NegativeSpans)+len(h.Int.CustomValues))
	}
	return 200 + 8*(len(h.Float.PositiveBuckets)+len(h.Float.NegativeBuckets)+len(h.Float.PositiveSpans)+len(h.Float.NegativeSpans)+len(h.Float.CustomValues))
}

// checkHistogram refuses what the languages could not read: spans that do not fit their
// buckets. Counts that do not add up are the sender's business.
func checkHistogram(h store.HistogramSample) error {
	switch {
	case h.Int != nil && h.Float == nil:
		return checkSpans(h.Int.PositiveSpans, len(h.Int.PositiveBuckets), h.Int.NegativeSpans, len(h.Int.NegativeBuckets))
	case h.Float != nil && h.Int == nil:
		return checkSpans(h.Float.PositiveSpans, len(h.Float.PositiveBuckets), h.Float.NegativeSpans, len(h.Float.NegativeBuckets))
	}
	return fmt.Errorf("want either an integer or a float histogram")
}

func checkSpans(pos []histogram.Span, posBuckets int, neg []histogram.Span, negBuckets int) error {
	for _, x := range []struct {
		sign    string
		spans   []histogram.Span
		buckets int
	}{{"positive", pos, posBuckets}, {"negative", neg, negBuckets}} {
		n := uint64(0)
		for _, s := range x.spans {
			n += uint64(s.Length)
		}
		if n != uint64(x.buckets) {
			return fmt.Errorf("%s spans describe %d buckets, the histogram has %d", x.sign, n, x.buckets)
		}
	}
	return nil
}

// A histogram on its own: flags (bit 0: float; bits 1-2: reset hint), schema, zero
// threshold, zero count, count, sum, spans, buckets, custom values. Buckets of an integer
// histogram are its deltas.
func appendHistogram(dst []byte, h store.HistogramSample) []byte {
	if h.Int != nil {
		x := h.Int
		dst = append(dst, byte(x.CounterResetHint&3)<<1)
		dst = binary.AppendVarint(dst, int64(x.Schema))
		dst = codec.AppendFloat(dst, x.ZeroThreshold)
		dst = binary.AppendUvarint(dst, x.ZeroCount)
		dst = binary.AppendUvarint(dst, x.Count)
		dst = codec.AppendFloat(dst, x.Sum)
		dst = appendSpans(dst, x.PositiveSpans)
		dst = appendSpans(dst, x.NegativeSpans)
		for _, bs := range [][]int64{x.PositiveBuckets, x.NegativeBuckets} {
			dst = binary.AppendUvarint(dst, uint64(len(bs)))
			for _, b := range bs {
				dst = binary.AppendVarint(dst, b)
			}
		}
		return appendFloats(dst, x.CustomValues)
	}
	x := h.Float
	dst = append(dst, 1|byte(x.CounterResetHint&3)<<1)
	dst = binary.AppendVarint(dst, int64(x.Schema))
	dst = codec.AppendFloat(dst, x.ZeroThreshold)
	dst = codec.AppendFloat(dst, x.ZeroCount)
	dst = codec.AppendFloat(dst, x.Count)
	dst = codec.AppendFloat(dst, x.Sum)
	dst = appendSpans(dst, x.PositiveSpans)
	dst = appendSpans(dst, x.NegativeSpans)
	dst = appendFloats(dst, x.PositiveBuckets)
	dst = appendFloats(dst, x.NegativeBuckets)
	return appendFloats(dst, x.CustomValues)
}

func appendSpans(dst []byte, spans []histogram.Span) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(spans)))
	for _, s := range spans {
		dst = binary.AppendVarint(dst, int64(s.Offset))
		dst = binary.AppendUvarint(dst, uint64(s.Length))
	}
	return dst
}

func appendFloats(dst []byte, vs []float64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(vs)))
	for _, v := range vs {
		dst = codec.AppendFloat(dst, v)
	}
	return dst
}

// readHistogram reads what appendHistogram wrote. Time is left 0.
func readHistogram(r *codec.Reader) store.HistogramSample {
	flags := r.Byte()
	hint := histogram.CounterResetHint(flags >> 1 & 3)
	schema := int32(r.Varint())
	threshold := r.Float()
	if flags&1 == 0 {
		x := &histogram.Histogram{CounterResetHint: hint, Schema: schema, ZeroThreshold: threshold}
		x.ZeroCount, x.Count, x.Sum = r.Uvarint(), r.Uvarint(), r.Float()
		x.PositiveSpans, x.NegativeSpans = readSpans(r), readSpans(r)
		x.PositiveBuckets, x.NegativeBuckets = readDeltas(r), readDeltas(r)
		x.CustomValues = readFloats(r)
		return store.HistogramSample{Int: x}
	}
	x := &histogram.FloatHistogram{CounterResetHint: hint, Schema: schema, ZeroThreshold: threshold}
	x.ZeroCount, x.Count, x.Sum = r.Float(), r.Float(), r.Float()
	x.PositiveSpans, x.NegativeSpans = readSpans(r), readSpans(r)
	x.PositiveBuckets, x.NegativeBuckets = readFloats(r), readFloats(r)
	x.CustomValues = readFloats(r)
	return store.HistogramSample{Float: x}
}

func readSpans(r *codec.Reader) []histogram.Span {
	n := r.Count(r.Len() / 2)
	if n == 0 {
		return nil
	}
	out := make([]histogram.Span, n)
	for i := range out {
		out[i] = histogram.Span{Offset: int32(r.Varint()), Length: uint32(r.Uvarint())}
	}
	return out
}

func readDeltas(r *codec.Reader) []int64 {
	n := r.Count(r.Len())
	if n == 0 {
		return nil
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = r.Varint()
	}
	return out
}

func readFloats(r *codec.Reader) []float64 {
	n := r.Count(r.Len())
	if n == 0 {
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = r.Float()
	}
	return out
}
