package codec

import (
	"encoding/binary"
	"math"
)

// Picker reads single values of columns. Where a column allows it the others are not decoded.
// It reuses its memory; the zero value is ready to use.
type Picker struct {
	ints []int64
	ends []int64
}

// Ints reads a column written by [AppendInts] from the start of src, and appends its values at
// the positions at, which ascend, to dst. n is how many values the column has.
func (p *Picker) Ints(dst []int64, src []byte, at []int32) (vs []int64, n int, rest []byte, err error) {
	r := Reader{b: src}
	h := readIntHeader(&r)
	if len(at) > 0 && int(at[len(at)-1]) >= h.n {
		r.Fail("value %d of %d", at[len(at)-1], h.n)
	}
	if r.err != nil {
		return dst, h.n, src, r.err
	}
	if h.order > 0 {
		p.ints, rest, err = DecodeInts(p.ints[:0], src)
		if err != nil {
			return dst, h.n, src, err
		}
		for _, i := range at {
			dst = append(dst, p.ints[i])
		}
		return dst, h.n, rest, nil
	}
	vs = dst
	if h.mode&intRuns != 0 {
		vs = pickRuns(vs, &r, h.n, at)
	} else {
		vs = pickBlocks(vs, &r, h.n, at)
	}
	if r.err != nil {
		return dst, h.n, src, r.err
	}
	if h.factor != 1 || h.base != 0 {
		for i, v := range vs[len(dst):] {
			vs[len(dst)+i] = h.base + v*h.factor
		}
	}
	return vs, h.n, r.b, nil
}

func pickRuns(dst []int64, r *Reader, n int, at []int32) []int64 {
	for from := 0; from < n && r.err == nil; {
		v, run := r.Varint(), r.Count(n-from)
		if run == 0 {
			r.Fail("empty run")
		}
		from += run
		for len(at) > 0 && int(at[0]) < from {
			dst, at = append(dst, v), at[1:]
		}
	}
	return dst
}

func pickBlocks(dst []int64, r *Reader, n int, at []int32) []int64 {
	for from := 0; from < n; from += blockLen {
		lo, width := r.Varint(), uint(r.Byte())
		if width > 64 {
			r.Fail("width of %d bits", width)
		}
		packed := r.Take(packedLen(min(blockLen, n-from), width))
		if r.err != nil {
			return dst
		}
		for len(at) > 0 && int(at[0]) < from+blockLen {
			dst, at = append(dst, lo+unpackOne(packed, width, uint(int(at[0])-from))), at[1:]
		}
	}
	return dst
}

// unpackOne returns number i of what [appendPacked] has packed.
func unpackOne(src []byte, width, i uint) int64 {
	if width == 0 {
		return 0
	}
	bit := i * width
	var pad [9]byte
	b := src[bit>>3:]
	if len(b) < len(pad) {
		copy(pad[:], b)
		b = pad[:]
	}
	v := binary.LittleEndian.Uint64(b)>>(bit&7) | uint64(b[8])<<(64-bit&7)
	return int64(v & (math.MaxUint64 >> (64 - width)))
}

// Strings is like [Picker.Ints] for a column written by [AppendStrings]. The strings share
// memory with src or are new.
func (p *Picker) Strings(dst []string, src []byte, at []int32, z *Zstd) (vs []string, n int, err error) {
	r := Reader{b: src}
	mode := r.Byte()
	if mode > stringDict {
		r.Fail("string column with mode %d", mode)
	}
	if r.err != nil {
		return dst, 0, r.err
	}
	ends, rest, err := DecodeInts(p.ends[:0], r.b)
	if err != nil {
		return dst, 0, err
	}
	p.ends = ends
	text, _, rest, err := z.Decode(nil, rest)
	if err != nil {
		return dst, 0, err
	}
	end := int64(0)
	for i, size := range ends {
		if size < 0 || size > int64(len(text))-end {
			return dst, 0, corrupt("string of %d bytes, %d left", size, int64(len(text))-end)
		}
		end += size
		ends[i] = end
	}
	if end != int64(len(text)) {
		return dst, 0, corrupt("%d bytes behind the last string", int64(len(text))-end)
	}
	value := func(i int64) string {
		from := int64(0)
		if i > 0 {
			from = ends[i-1]
		}
		return view(text[from:ends[i]])
	}
	if mode == stringPlain {
		if n = len(ends); len(at) > 0 && int(at[len(at)-1]) >= n {
			return dst, n, corrupt("string %d of %d", at[len(at)-1], n)
		}
		for _, i := range at {
			dst = append(dst, value(int64(i)))
		}
		return dst, n, nil
	}
	var few [64]int64
	codes, n, _, err := p.Ints(few[:0], rest, at)
	if err != nil {
		return dst, n, err
	}
	for _, c := range codes {
		if uint64(c) >= uint64(len(ends)) {
			return dst, n, corrupt("string code %d of %d", c, len(ends))
		}
		dst = append(dst, value(c))
	}
	return dst, n, nil
}
