package otlp

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/store"
)

// This file holds the data points that are more than a number: histograms, classic and
// exponential, and summaries.

// point is a data point of one of them, in memory that the next one uses again.
type point struct {
	start, ts uint64
	flags     uint32
	count     uint64
	sum       float64
	hasSum    bool

	counts    []uint64  // classic histograms: of the buckets
	bounds    []float64 // classic histograms
	quantiles []quantile

	scale              int32 // exponential histograms, as all below
	zeros              uint64
	positive, negative buckets

	key       []byte // records that its series share: the resource's and its own
	exemplars []store.Exemplar
	attrs     []attr // scratch of an exemplar
}

// quantile is a ValueAtQuantile.
type quantile struct{ quantile, value float64 }

// buckets is the buckets of an exponential histogram from offset on.
type buckets struct {
	offset int32
	counts []uint64
}

// reset empties p but for its memory. key becomes the beginning of its own.
func (p *point) reset(key []byte) {
	*p = point{
		counts: p.counts[:0], bounds: p.bounds[:0], quantiles: p.quantiles[:0],
		positive: buckets{counts: p.positive.counts[:0]}, negative: buckets{counts: p.negative.counts[:0]},
		key: append(p.key[:0], key...), exemplars: p.exemplars[:0], attrs: p.attrs[:0],
	}
}

// read reads a field that points of all these kinds have by the same number, and reports
// whether f is one.
func (p *point) read(f *wire.Fields) bool {
	switch f.Num {
	case 2:
		p.start = f.Fixed64()
	case 3:
		p.ts = f.Fixed64()
	case 4:
		p.count = f.Fixed64()
	case 5:
		p.sum, p.hasSum = f.Float64(), true
	default:
		return false
	}
	return true
}

// release lets go of the request's memory.
func (p *point) release() {
	clear(p.exemplars[:cap(p.exemplars)])
	clear(p.attrs[:cap(p.attrs)])
}

// readHistogram reads a HistogramDataPoint.
func (c *converter) readHistogram(p *point, r wire.Reader) error {
	p.reset(c.resource)
	f := wire.Walk(r, "HistogramDataPoint")
	for f.Next() {
		if p.read(&f) {
			continue
		}
		switch f.Num {
		case 6:
			p.counts = fixed64s(&f, p.counts, func(bits uint64) uint64 { return bits })
		case 7:
			p.bounds = fixed64s(&f, p.bounds, math.Float64frombits)
		case 8:
			p.exemplars = c.appendExemplar(p.exemplars, &f)
		case 9:
			p.key = c.appendAttr(p.key, &f)
		case 10:
			p.flags = uint32(f.Uvarint())
		}
	}
	return f.Err()
}

// fixed64s reads a field of a list of 64-bit numbers: all of them packed, or one more.
func fixed64s[T any](f *wire.Fields, dst []T, as func(bits uint64) T) []T {
	list, packed := f.List(wire.Fixed64)
	b := list.Rest()
	if len(b)%8 != 0 {
		f.Check(f.Errorf("a list of 64-bit numbers has %d bytes", len(b)))
		return dst
	}
	if packed {
		dst = dst[:0]
	}
	for ; len(b) > 0; b = b[8:] {
		dst = append(dst, as(binary.LittleEndian.Uint64(b)))
	}
	return dst
}

// histogram adds a classic histogram's data point: _sum, _count and a _bucket for every
// bound and +Inf.
func (c *converter) histogram(name string, p *point, delta bool) {
	counts, count, sum, hasSum := p.counts, p.count, p.sum, p.hasSum
	if delta && p.flags&flagNoValue == 0 {
		s, err := c.deltaHistogram(name, p)
		if err != nil {
			c.refuseDelta(name, err)
			return
		}
		counts, count, sum, hasSum = s.counts, s.count, s.sum, s.hasSum
	}
	ts := millis(p.ts)
	if hasSum {
		c.sub(p, name, "_sum", nil, ts, sum, len(c.exemplars))
	}
	c.sub(p, name, "_count", nil, ts, float64(count), len(c.exemplars))
	c.les.set(p.bounds)
	rest := p.exemplars
	take := func(upTo float64) (first int) { // exemplars come in order of value
		first = len(c.exemplars)
		for len(rest) > 0 && !(rest[0].Value > upTo) {
			c.exemplars, rest = append(c.exemplars, rest[0]), rest[1:]
		}
		return first
	}
	var below uint64
	for i := range min(len(p.bounds), len(counts)) {
		below += counts[i]
		c.sub(p, name, "_bucket", c.les.rec(i), ts, float64(below), take(p.bounds[i]))
	}
	c.sub(p, name, "_bucket", c.les.rec(len(p.bounds)), ts, float64(count), take(math.Inf(1)))
}

// les is the records of the label le for the bounds of a histogram and +Inf. They are
// kept: the next histogram nearly always has the same bounds, and writing numbers is slow.
type les struct {
	bounds []float64
	recs   []byte
	ends   []int // where in recs the record of each bound ends
}

// set makes the records of bounds, unless they are there.
func (l *les) set(bounds []float64) {
	same := func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) } // 0 is not -0 as text
	if len(l.ends) > 0 && slices.EqualFunc(l.bounds, bounds, same) {
		return
	}
	l.bounds, l.recs, l.ends = append(l.bounds[:0], bounds...), l.recs[:0], l.ends[:0]
	for _, b := range bounds {
		l.recs = appendNumber(l.recs, "le", b)
		l.ends = append(l.ends, len(l.recs))
	}
	l.recs = appendRec(l.recs, recFinal, "le", "+Inf")
	l.ends = append(l.ends, len(l.recs))
}

// rec returns the record of bound i, or of +Inf after the last.
func (l *les) rec(i int) []byte {
	from := 0
	if i > 0 {
		from = l.ends[i-1]
	}
	return l.recs[from:l.ends[i]]
}

// appendNumber appends the record of a label whose value is a number.
func appendNumber(dst []byte, name string, v float64) []byte {
	var buf [32]byte
	return appendRec(dst, recFinal, name, wire.AsString(strconv.AppendFloat(buf[:0], v, 'f', -1, 64)))
}

// deltaHistogram adds p to the state of its series.
func (c *converter) deltaHistogram(name string, p *point) (*deltaState, error) {
	key := len(c.keys)
	c.keys = appendName(append(c.keys, p.key...), name, "")
	s, err := c.add(key, p.start, p.ts, func(old *deltaState) (*deltaState, error) {
		return old.plusHistogram(slices.Clone(p.counts), slices.Clone(p.bounds), p.count, p.sum, p.hasSum), nil
	})
	c.keys = c.keys[:key]
	return s, err
}

// sub adds one of the series of a data point, with a record of its own and the exemplars
// appended since first.
func (c *converter) sub(p *point, name, suffix string, rec []byte, ts int64, v float64, first int) {
	if !c.room(p.key) {
		return
	}
	key := len(c.keys)
	c.keys = append(appendName(append(c.keys, p.key...), name, suffix), rec...)
	c.sample(key, ts, stale(p.flags, v), first)
}

// readSummary reads a SummaryDataPoint.
func (c *converter) readSummary(p *point, r wire.Reader) error {
	p.reset(c.resource)
	f := wire.Walk(r, "SummaryDataPoint")
	for f.Next() {
		if p.read(&f) {
			continue
		}
		switch f.Num {
		case 6:
			q, err := readQuantile(f.Message())
			p.quantiles = append(p.quantiles, q)
			f.Check(err)
		case 7:
			p.key = c.appendAttr(p.key, &f)
		case 8:
			p.flags = uint32(f.Uvarint())
		}
	}
	return f.Err()
}

// readQuantile reads a ValueAtQuantile.
func readQuantile(r wire.Reader) (q quantile, err error) {
	f := wire.Walk(r, "ValueAtQuantile")
	for f.Next() {
		switch f.Num {
		case 1:
			q.quantile = f.Float64()
		case 2:
			q.value = f.Float64()
		}
	}
	return q, f.Err()
}

// summary adds a summary's data point.
func (c *converter) summary(name string, p *point) {
	ts := millis(p.ts)
	c.sub(p, name, "_sum", nil, ts, p.sum, len(c.exemplars))
	c.sub(p, name, "_count", nil, ts, float64(p.count), len(c.exemplars))
	c.start = 0
	for _, q := range p.quantiles {
		c.text = appendNumber(c.text[:0], "quantile", q.quantile)
		c.sub(p, name, "", c.text, ts, q.value, len(c.exemplars))
	}
}

// readExponential reads an ExponentialHistogramDataPoint.
func (c *converter) readExponential(p *point, r wire.Reader) error {
	p.reset(c.prefix)
	f := wire.Walk(r, "ExponentialHistogramDataPoint")
	for f.Next() {
		if p.read(&f) {
			continue
		}
		switch f.Num {
		case 1:
			p.key = c.appendAttr(p.key, &f)
		case 6:
			p.scale = f.Sint32()
		case 7:
			p.zeros = f.Fixed64()
		case 8:
			f.Check(p.positive.read(f.Message()))
		case 9:
			f.Check(p.negative.read(f.Message()))
		case 10:
			p.flags = uint32(f.Uvarint())
		case 11:
			p.exemplars = c.appendExemplar(p.exemplars, &f)
		}
	}
	return f.Err()
}

// read reads Buckets.
func (b *buckets) read(r wire.Reader) error {
	f := wire.Walk(r, "Buckets")
	for f.Next() {
		switch f.Num {
		case 1:
			b.offset = f.Sint32()
		case 2:
			list, _ := f.List(wire.Varint)
			for list.More() {
				n, err := list.Uvarint()
				if err != nil {
					return err
				}
				b.counts = append(b.counts, n)
			}
		}
	}
	return f.Err()
}

// exponential adds an exponential histogram's data point as a native histogram.
func (c *converter) exponential(name string, p *point, delta bool) {
	h, err := native(p)
	if err == nil {
		err = h.Validate()
	}
	if err != nil {
		c.refused.Add(reasonHistogram, 1, func() string { return fmt.Sprintf("metric %s: %v", name, err) })
		return
	}
	if !c.room(p.key) {
		return
	}
	key := len(c.keys)
	c.keys = append(c.keys, p.key...)
	out := store.HistogramSample{Time: millis(p.ts), Int: h}
	if delta && p.flags&flagNoValue == 0 {
		s, err := c.add(key, p.start, p.ts, func(old *deltaState) (*deltaState, error) { return old.plusNative(h) })
		if err != nil {
			c.refuseDelta(name, err)
			c.keys = c.keys[:key]
			return
		}
		out.Int, out.Float = nil, s.native.Copy()
	}
	first := len(c.exemplars)
	c.exemplars = append(c.exemplars, p.exemplars...)
	c.histos = append(c.histos, out)
	c.series(key, len(c.samples), len(c.histos)-1, first)
}

// defaultZeroThreshold is what OpenTelemetry's zero bucket means to Prometheus.
const defaultZeroThreshold = 1e-128

// maxBucketIndex is well past the bucket of the biggest float64 at the finest resolution
// of native histograms. Arithmetic on indexes up to it cannot overflow.
const maxBucketIndex = 1 << 20

// native turns an exponential histogram into a native one.
func native(p *point) (*histogram.Histogram, error) {
	scale, down := p.scale, int32(0)
	if scale < histogram.ExponentialSchemaMin {
		return nil, fmt.Errorf("scale %d is below %d, the coarsest of native histograms", scale, histogram.ExponentialSchemaMin)
	}
	if scale > histogram.ExponentialSchemaMax {
		scale, down = histogram.ExponentialSchemaMax, scale-histogram.ExponentialSchemaMax
	}
	for _, b := range []*buckets{&p.positive, &p.negative} {
		first := int64(b.offset) >> min(down, 31)
		last := (int64(b.offset) + int64(len(b.counts))) >> min(down, 31)
		if len(b.counts) > 0 && (first < -maxBucketIndex || last > maxBucketIndex) {
			return nil, fmt.Errorf("buckets %d to %d of scale %d lie beyond every float64", b.offset, int64(b.offset)+int64(len(b.counts))-1, p.scale)
		}
	}
	h := &histogram.Histogram{Schema: scale, ZeroThreshold: defaultZeroThreshold, ZeroCount: p.zeros}
	h.PositiveSpans, h.PositiveBuckets = nativeBuckets(&p.positive, down)
	h.NegativeSpans, h.NegativeBuckets = nativeBuckets(&p.negative, down)
	h.Count, h.Sum = p.count, stale(p.flags, p.sum)
	return h, nil
}

// nativeBuckets turns dense buckets into spans and deltas, merging 2^down neighbours.
// Bucket i holds (base^i, base^(i+1)] in OpenTelemetry, (base^(i-1), base^i] here.
func nativeBuckets(b *buckets, down int32) (spans []histogram.Span, out []int64) {
	var next int32 // index after the last bucket written
	var prev int64 // its count
	put := func(index int32, n int64) {
		switch {
		case n == 0:
			return
		case len(spans) == 0:
			spans = append(spans, histogram.Span{Offset: index})
		case index-next > 2:
			spans = append(spans, histogram.Span{Offset: index - next})
		default:
			for ; next < index; next++ { // a short gap is cheaper as empty buckets
				spans[len(spans)-1].Length++
				out = append(out, -prev)
				prev = 0
			}
		}
		spans[len(spans)-1].Length++
		out = append(out, n-prev)
		prev, next = n, index+1
	}
	var index int32
	var n int64
	for i, count := range b.counts {
		at := (int32(i)+b.offset)>>min(down, 31) + 1
		if i == 0 || at != index {
			put(index, n)
			index, n = at, 0
		}
		n += int64(count)
	}
	put(index, n)
	return spans, out
}
