package codec

import "encoding/binary"

// AppendBits appends the encoding of vs to dst: its runs, or one bit a value.
//
//	uvarint count*2 + packed; packed: bits, lowest first; else: uvarint lengths of
//	alternating runs, beginning with false
func AppendBits(dst []byte, vs []bool) []byte {
	checkCount(len(vs))
	cost, run := 0, 0
	val := false
	for _, v := range vs {
		if v != val {
			cost += uvarintLen(uint64(run))
			val, run = v, 0
		}
		run++
	}
	if cost+uvarintLen(uint64(run)) <= packedLen(len(vs), 1) {
		dst = binary.AppendUvarint(dst, uint64(len(vs))<<1)
		for i, val := 0, false; i < len(vs); val = !val {
			from := i
			for i < len(vs) && vs[i] == val {
				i++
			}
			dst = binary.AppendUvarint(dst, uint64(i-from))
		}
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(vs))<<1|1)
	for len(vs) > 0 {
		n := min(8, len(vs))
		var b byte
		for i, v := range vs[:n] {
			if v {
				b |= 1 << i
			}
		}
		dst = append(dst, b)
		vs = vs[n:]
	}
	return dst
}

// DecodeBits reads a column written by [AppendBits] from the start of src, appends its
// values to dst, and returns the extended slice and what follows in src.
func DecodeBits(dst []bool, src []byte) (vs []bool, rest []byte, err error) {
	r := Reader{b: src}
	head := r.Uvarint()
	if head>>1 > MaxCount {
		r.Fail("column of %d bits", head>>1)
	}
	n := int(head >> 1)
	var packed []byte
	if head&1 == 1 {
		packed = r.Take(packedLen(n, 1))
	}
	if r.err != nil {
		return dst, src, r.err
	}
	had := len(dst)
	vs = grow(dst, n)
	out := vs[had:]
	if head&1 == 1 {
		for i := range out {
			out[i] = packed[i>>3]>>(i&7)&1 == 1
		}
		return vs, r.b, nil
	}
	for val, i := false, 0; i < n; val = !val {
		run := r.Count(n - i)
		if run == 0 && i > 0 {
			r.Fail("empty run")
		}
		if r.err != nil {
			return dst, src, r.err
		}
		for range run {
			out[i] = val
			i++
		}
	}
	return vs, r.b, nil
}
