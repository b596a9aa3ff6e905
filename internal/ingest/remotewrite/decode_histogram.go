package remotewrite

import (
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/store"
)

// rawHistogram is a Histogram message before it is known whether it counts in integers
// or floats.
type rawHistogram struct {
	time              int64
	count, zero       uint64
	countF, zeroF     float64
	float             bool
	hint              uint64
	sum, threshold    float64
	schema            int64
	negSpans, posSpan []histogram.Span
	negDelta, posDelt []int64
	negCount, posCoun []float64
	custom            []float64
}

// histogram decodes a native histogram; the two versions differ only in the start
// timestamp of 2.0.
func (d *decoder) histogram(r *wire.Reader) error {
	m, err := r.Message()
	if err != nil {
		return err
	}
	var h rawHistogram
	for m.More() {
		num, typ, err := m.Field()
		if err != nil {
			return err
		}
		if num <= 7 || num >= 14 && num <= 15 {
			err = h.scalar(&m, num, typ)
		} else if num == 17 && typ == wire.Varint {
			err = d.started(&m)
		} else {
			err = h.list(&m, num, typ)
		}
		if err != nil {
			return err
		}
	}
	d.keepHistogram(h.sample())
	return nil
}

// scalar reads a field that is one number.
func (h *rawHistogram) scalar(m *wire.Reader, num int, typ wire.Type) (err error) {
	want := wire.Varint
	switch num {
	case 2, 3, 5, 7:
		want = wire.Fixed64
	}
	if err := m.Expect("Histogram", num, typ, want); err != nil {
		return err
	}
	switch num {
	case 1:
		h.count, err = m.Uvarint()
		h.float = false
	case 2:
		h.countF, err = m.Float64()
		h.float = true
	case 3:
		h.sum, err = m.Float64()
	case 4:
		h.schema, err = m.Sint64()
	case 5:
		h.threshold, err = m.Float64()
	case 6:
		h.zero, err = m.Uvarint()
	case 7:
		h.zeroF, err = m.Float64()
	case 14:
		h.hint, err = m.Uvarint()
	case 15:
		h.time, err = m.Int64()
	}
	return err
}

// list reads a repeated field.
func (h *rawHistogram) list(m *wire.Reader, num int, typ wire.Type) (err error) {
	switch num {
	case 8:
		h.negSpans, err = appendSpan(h.negSpans, m, typ)
	case 9:
		h.negDelta, err = appendSints(h.negDelta, m, typ)
	case 10:
		h.negCount, err = appendDoubles(h.negCount, m, typ)
	case 11:
		h.posSpan, err = appendSpan(h.posSpan, m, typ)
	case 12:
		h.posDelt, err = appendSints(h.posDelt, m, typ)
	case 13:
		h.posCoun, err = appendDoubles(h.posCoun, m, typ)
	case 16:
		h.custom, err = appendDoubles(h.custom, m, typ)
	default:
		err = m.Skip(typ)
	}
	return err
}

// sample builds the histogram. Of the oneof count the kind that came last decides.
func (h *rawHistogram) sample() store.HistogramSample {
	s := store.HistogramSample{Time: h.time}
	hint := histogram.CounterResetHint(h.hint)
	if h.float {
		s.Float = &histogram.FloatHistogram{
			CounterResetHint: hint, Schema: int32(h.schema), ZeroThreshold: h.threshold, ZeroCount: h.zeroF,
			Count: h.countF, Sum: h.sum, PositiveSpans: h.posSpan, NegativeSpans: h.negSpans,
			PositiveBuckets: h.posCoun, NegativeBuckets: h.negCount, CustomValues: h.custom,
		}
		return s
	}
	s.Int = &histogram.Histogram{
		CounterResetHint: hint, Schema: int32(h.schema), ZeroThreshold: h.threshold, ZeroCount: h.zero,
		Count: h.count, Sum: h.sum, PositiveSpans: h.posSpan, NegativeSpans: h.negSpans,
		PositiveBuckets: h.posDelt, NegativeBuckets: h.negDelta, CustomValues: h.custom,
	}
	return s
}

func appendSpan(dst []histogram.Span, r *wire.Reader, typ wire.Type) ([]histogram.Span, error) {
	if err := r.Expect("Histogram spans", 0, typ, wire.Bytes); err != nil {
		return dst, err
	}
	m, err := r.Message()
	if err != nil {
		return dst, err
	}
	var s histogram.Span
	for m.More() {
		num, typ, err := m.Field()
		if err != nil {
			return dst, err
		}
		switch {
		case num == 1 && typ == wire.Varint:
			var v int64
			v, err = m.Sint64()
			s.Offset = int32(v)
		case num == 2 && typ == wire.Varint:
			var v uint64
			v, err = m.Uvarint()
			s.Length = uint32(v)
		case num <= 2:
			err = m.Errorf("field %d of BucketSpan has wire type %d", num, typ)
		default:
			err = m.Skip(typ)
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, s), nil
}

func appendSints(dst []int64, r *wire.Reader, typ wire.Type) ([]int64, error) {
	if typ == wire.Varint {
		v, err := r.Sint64()
		return append(dst, v), err
	}
	if err := r.Expect("Histogram deltas", 0, typ, wire.Bytes); err != nil {
		return dst, err
	}
	m, err := r.Message()
	for err == nil && m.More() {
		var v int64
		v, err = m.Sint64()
		dst = append(dst, v)
	}
	return dst, err
}

func appendDoubles(dst []float64, r *wire.Reader, typ wire.Type) ([]float64, error) {
	if typ == wire.Fixed64 {
		v, err := r.Float64()
		return append(dst, v), err
	}
	if err := r.Expect("Histogram counts", 0, typ, wire.Bytes); err != nil {
		return dst, err
	}
	m, err := r.Message()
	for err == nil && m.More() {
		var v float64
		v, err = m.Float64()
		dst = append(dst, v)
	}
	return dst, err
}
