package codec

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The first byte of a float column.
const (
	floatDecimal = 0 // integers times a power of ten, with exceptions
	floatXor     = 1 // xor with the previous value, packed in blocks of 128
	floatBits    = 2 // the IEEE bits as an integer column
)

// maxExponent bounds the decimal digits behind the point; 10^22 is the largest power of
// ten that a float64 holds exactly.
const maxExponent = 18

//nolint:gochecknoglobals // read-only
var powers = [maxExponent + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// AppendFloats appends the encoding of vs to dst. Every bit is kept.
//
// Values with few decimal digits (counters, percentages, sizes) become integers;
// staleness markers and the like among them are exceptions that cost a few bytes. Other
// values are stored as what differs from their predecessor.
func AppendFloats(dst []byte, vs []float64) []byte {
	checkCount(len(vs))
	var e FloatEncoder
	return e.Append(dst, vs)
}

// FloatEncoder encodes float columns like [AppendFloats] and keeps its buffers between
// calls. The zero value is ready to use. It is not safe for concurrent use.
type FloatEncoder struct {
	ints []int64
	exc  []exception
	alt  []byte
}

// exception is a value that the decimal layout cannot hold.
type exception struct {
	at   int
	bits uint64
}

// Append appends the encoding of vs to dst.
func (e *FloatEncoder) Append(dst []byte, vs []float64) []byte {
	checkCount(len(vs))
	start := len(dst)
	if exp, ok := e.decimals(vs); ok {
		dst = append(dst, floatDecimal, byte(exp))
		dst = binary.AppendUvarint(dst, uint64(len(e.exc)))
		last := 0
		for _, x := range e.exc {
			dst = binary.AppendUvarint(dst, uint64(x.at-last))
			dst = binary.LittleEndian.AppendUint64(dst, x.bits)
			last = x.at
		}
		dst = AppendInts(dst, e.ints)
		if len(dst)-start <= 4*len(vs)+16 {
			return dst // xor will hardly beat it
		}
	}
	e.alt = appendXor(append(e.alt[:0], floatXor), vs)
	if len(dst) == start || len(e.alt) < len(dst)-start {
		dst = append(dst[:start], e.alt...)
	}
	e.ints = e.ints[:0]
	for _, v := range vs {
		e.ints = append(e.ints, int64(math.Float64bits(v)))
	}
	e.alt = AppendInts(append(e.alt[:0], floatBits), e.ints)
	if len(e.alt) < len(dst)-start {
		dst = append(dst[:start], e.alt...)
	}
	return dst
}

// decimals fills e.ints with vs times 10^exp and e.exc with the values for which that is
// not exact. ok is false when too many are not.
func (e *FloatEncoder) decimals(vs []float64) (exp int, ok bool) {
	for {
		next, ok := e.scaleAll(vs, exp)
		if !ok {
			return 0, false
		}
		if next == exp {
			break
		}
		exp = next // some value needs it; values before it must be scaled anew
	}
	if len(e.exc) > 0 && e.exc[0].at == 0 {
		e.fillFirst()
	}
	return exp, true
}

// scaleAll does the work of decimals with one exponent. If a value needs a larger one it
// finds the one that all values need, and returns that instead.
func (e *FloatEncoder) scaleAll(vs []float64, exp int) (next int, ok bool) {
	e.ints, e.exc = e.ints[:0], e.exc[:0]
	limit := len(vs)/8 + 1
	prev := int64(0)
	for i, v := range vs {
		m, ok := scale(v, exp)
		if !ok {
			if x, ok := digits(v, exp); ok {
				return maxDigits(vs[i+1:], x), true
			}
			if limit--; limit < 0 {
				return 0, false
			}
			e.exc = append(e.exc, exception{i, math.Float64bits(v)})
			m = prev
		}
		e.ints = append(e.ints, m)
		prev = m
	}
	return exp, true
}

// maxDigits returns the exponent that vs needs, at least exp.
func maxDigits(vs []float64, exp int) int {
	for _, v := range vs {
		if _, ok := scale(v, exp); !ok {
			if x, ok := digits(v, exp); ok {
				exp = x
			}
		}
	}
	return exp
}

// fillFirst replaces the placeholders of exceptions at the start, which have no
// predecessor to repeat, with the first real value.
func (e *FloatEncoder) fillFirst() {
	n := 0
	for n < len(e.exc) && e.exc[n].at == n {
		n++
	}
	if n == len(e.ints) {
		return
	}
	for i := range n {
		e.ints[i] = e.ints[n]
	}
}

// digits returns the smallest exponent from exp on with which v is exact.
func digits(v float64, exp int) (int, bool) {
	for ; exp <= maxExponent; exp++ {
		if _, ok := scale(v, exp); ok {
			return exp, true
		}
		if math.Abs(v*powers[exp]) >= maxExact {
			break
		}
	}
	return 0, false
}

// maxExact is the first integer behind which float64 has gaps.
const maxExact = 1 << 53

// scale returns v * 10^exp if dividing it by 10^exp gives back v bit for bit.
func scale(v float64, exp int) (int64, bool) {
	if exp == 0 {
		m := int64(v) // of NaN and values out of range: some number, which does not compare equal
		if float64(m) == v && m < maxExact && m > -maxExact && (m != 0 || !math.Signbit(v)) {
			return m, true
		}
		return 0, false
	}
	f := math.RoundToEven(v * powers[exp])
	if !(math.Abs(f) < maxExact) { // NaN too
		return 0, false
	}
	m := int64(f)
	if math.Float64bits(float64(m)/powers[exp]) != math.Float64bits(v) {
		return 0, false
	}
	return m, true
}

// appendXor appends the number of values, the first one, and blocks of xors. A block
// stores how many bits to drop at the right and how many to keep.
func appendXor(dst []byte, vs []float64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(vs)))
	if len(vs) == 0 {
		return dst
	}
	prev := math.Float64bits(vs[0])
	dst = binary.LittleEndian.AppendUint64(dst, prev)
	vs = vs[1:]
	var buf [blockLen]int64
	for len(vs) > 0 {
		block := buf[:min(blockLen, len(vs))]
		var all uint64
		for i := range block {
			b := math.Float64bits(vs[i])
			block[i] = int64(b ^ prev)
			all |= b ^ prev
			prev = b
		}
		vs = vs[len(block):]
		if all == 0 {
			dst = append(dst, 0, 0)
			continue
		}
		right := bits.TrailingZeros64(all)
		width := bits.Len64(all) - right
		for i := range block {
			block[i] = int64(uint64(block[i]) >> right)
		}
		dst = append(dst, byte(right), byte(width))
		dst = appendPacked(dst, block, 0, uint(width))
	}
	return dst
}

// DecodeFloats reads a column written by [AppendFloats] from the start of src, appends
// its values to dst, and returns the extended slice and what follows in src.
func DecodeFloats(dst []float64, src []byte) (vs []float64, rest []byte, err error) {
	var d FloatDecoder
	return d.Decode(dst, src)
}

// FloatDecoder decodes float columns like [DecodeFloats] and keeps its buffers between
// calls. The zero value is ready to use. It is not safe for concurrent use.
type FloatDecoder struct {
	ints []int64
	exc  []exception
}

// Decode reads one column, like [DecodeFloats].
func (d *FloatDecoder) Decode(dst []float64, src []byte) (vs []float64, rest []byte, err error) {
	r := Reader{b: src}
	switch mode := r.Byte(); mode {
	case floatDecimal:
		vs = d.decimals(dst, &r)
	case floatXor:
		vs = decodeXor(dst, &r)
	case floatBits:
		d.ints = r.Ints(d.ints[:0])
		vs = grow(dst, len(d.ints))
		out := vs[len(dst):]
		for i, v := range d.ints {
			out[i] = math.Float64frombits(uint64(v))
		}
	default:
		r.Fail("float column with mode %d", mode)
	}
	if r.err != nil {
		return dst, src, r.err
	}
	return vs, r.b, nil
}

func (d *FloatDecoder) decimals(dst []float64, r *Reader) []float64 {
	exp := r.Byte()
	if exp > maxExponent {
		r.Fail("decimal exponent %d", exp)
	}
	d.exc = d.exc[:0]
	at := 0
	for range r.Count(min(MaxCount, r.Len()/9)) {
		at += r.Count(MaxCount)
		d.exc = append(d.exc, exception{at, r.Uint64()})
	}
	ints, h := decodeElements(d.ints[:0], r)
	if d.ints = ints; r.err != nil {
		return dst
	}
	vs := grow(dst, len(ints))
	out := vs[len(dst):]
	scaled(out, ints, h, powers[exp])
	for _, x := range d.exc {
		if x.at >= len(out) {
			r.Fail("exception at %d of %d values", x.at, len(out))
			return dst
		}
		out[x.at] = math.Float64frombits(x.bits)
	}
	return vs
}

// scaled fills out with the values that elements stand for, divided by p: integration and
// conversion in one pass.
func scaled(out []float64, elements []int64, h intHeader, p float64) {
	out = out[:len(elements)]
	base, factor := h.base, h.factor
	var v, d int64
	switch {
	case h.order == 2:
		if len(elements) > 0 {
			v = elements[0]
			out[0] = float64(base+v*factor) / p
			elements, out = elements[1:], out[1:]
		}
		for i, e := range elements {
			d += e
			v += d
			out[i] = float64(base+v*factor) / p
		}
	case h.order == 1 && p == 1:
		for i, e := range elements {
			v += e
			out[i] = float64(base + v*factor)
		}
	case h.order == 1:
		for i, e := range elements {
			v += e
			out[i] = float64(base+v*factor) / p
		}
	case p == 1:
		for i, e := range elements {
			out[i] = float64(base + e*factor)
		}
	default:
		for i, e := range elements {
			out[i] = float64(base+e*factor) / p
		}
	}
}

func decodeXor(dst []float64, r *Reader) []float64 {
	n := r.Count(MaxCount)
	if n == 0 || r.err != nil {
		return dst
	}
	if (n-1)/blockLen*2+8 > r.Len() {
		r.Fail("%d values in %d bytes", n, r.Len())
		return dst
	}
	prev := r.Uint64()
	vs := grow(dst, n)
	out := vs[len(dst):]
	out[0] = math.Float64frombits(prev)
	out = out[1:]
	var buf [blockLen]int64
	for len(out) > 0 {
		block := buf[:min(blockLen, len(out))]
		right, width := r.Byte(), uint(r.Byte())
		size := packedLen(len(block), width)
		if uint(right)+width > 64 || size > r.Len() {
			r.Fail("xor block of %d+%d bits with %d bytes left", right, width, r.Len())
			return dst
		}
		unpack(block, r.b, 0, width)
		r.b = r.b[size:]
		for i, x := range block {
			prev ^= uint64(x) << right
			out[i] = math.Float64frombits(prev)
		}
		out = out[len(block):]
	}
	return vs
}
