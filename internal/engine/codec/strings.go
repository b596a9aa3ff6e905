package codec

import (
	"encoding/binary"
	"unsafe"
)

// The first byte of a string column.
const (
	stringPlain = 0 // lengths, then all bytes
	stringDict  = 1 // distinct strings in order of first use, then codes
)

// maxDict bounds the distinct strings for which a dictionary is tried.
const maxDict = 1 << 16

// fewCodes is the distinct strings up to which differences of their codes mean nothing.
const fewCodes = 16

// AppendStrings appends the encoding of vs to dst. Repeated strings are stored once when
// that is smaller; the text is compressed with z, which may be nil.
func AppendStrings[T ~string | ~[]byte](dst []byte, vs []T, z *Zstd) []byte {
	checkCount(len(vs))
	if distinct, codes, ok := dictionary(vs); ok {
		return AppendDict(dst, distinct, codes, z)
	}
	return AppendPlain(dst, vs, z)
}

// AppendDict appends the encoding of distinct[codes[0]], distinct[codes[1]] and so on, for
// who knows the dictionary of a column.
func AppendDict(dst []byte, distinct []string, codes []int64, z *Zstd) []byte {
	checkCount(len(codes))
	dst = appendPlain(append(dst, stringDict), distinct, z)
	if len(distinct) <= fewCodes {
		return appendFew(dst, codes)
	}
	return AppendInts(dst, codes)
}

// AppendPlain appends the encoding of vs, for who knows that no dictionary pays.
func AppendPlain[T ~string | ~[]byte](dst []byte, vs []T, z *Zstd) []byte {
	checkCount(len(vs))
	return appendPlain(append(dst, stringPlain), vs, z)
}

// dictionary returns the distinct strings and the code of each value. It gives up when
// more than half of the values are distinct.
func dictionary[T ~string | ~[]byte](vs []T) (distinct []string, codes []int64, ok bool) {
	limit := min(len(vs)/2, maxDict)
	if limit == 0 {
		return nil, nil, false
	}
	seen := make(map[string]int64, min(limit, 64))
	var recent [64]struct { // spares most look-ups where there are few distinct values
		s    string
		code int64
	}
	codes = make([]int64, len(vs))
	for i, v := range vs {
		if i > 0 && string(v) == string(vs[i-1]) {
			codes[i] = codes[i-1]
			continue
		}
		r := &recent[0]
		if n := len(v); n > 0 {
			if r = &recent[(n+7*int(v[0])+31*int(v[n/2])+13*int(v[n-1]))%len(recent)]; r.s == string(v) {
				codes[i] = r.code
				continue
			}
		}
		code, known := seen[string(v)]
		if !known {
			code = int64(len(distinct))
			if len(distinct) == limit || mostlyDistinct(len(distinct), i, len(vs)) {
				return nil, nil, false
			}
			s := string(v)
			seen[s] = code
			distinct = append(distinct, s)
		}
		codes[i], r.s, r.code = code, distinct[code], code
	}
	return distinct, codes, true
}

// mostlyDistinct reports whether a dictionary is given up at value i of n, for what the
// values so far say of the others.
func mostlyDistinct(distinct, i, n int) bool {
	switch i {
	case 128:
		return n <= 4096 && distinct >= i-1
	case 512:
		return n <= 4096 && distinct > i*15/16
	}
	return i == 4096 && distinct > i*3/4
}

func appendPlain[T ~string | ~[]byte](dst []byte, vs []T, z *Zstd) []byte {
	lens := make([]int64, len(vs))
	total := 0
	for i, v := range vs {
		lens[i] = int64(len(v))
		total += len(v)
	}
	dst = AppendInts(dst, lens)
	if z == nil || total < minCompress { // as Zstd.Append would, without the copy
		dst = binary.AppendUvarint(dst, uint64(total)<<1)
		for _, v := range vs {
			dst = append(dst, v...)
		}
		return dst
	}
	text := make([]byte, 0, total)
	for _, v := range vs {
		text = append(text, v...)
	}
	return z.Append(dst, text)
}

// DecodeStrings reads a column written by [AppendStrings] from the start of src and
// appends its values to dst. The strings share memory with src and with used, which is
// arena with what had to be decompressed appended: they are valid until either is
// reused. Pass a nil arena to keep them as long as src.
func DecodeStrings(dst []string, arena, src []byte, z *Zstd) (vs []string, used, rest []byte, err error) {
	r := Reader{b: src}
	mode := r.Byte()
	if r.err != nil {
		return dst, arena, src, r.err
	}
	switch mode {
	case stringPlain:
		return decodePlain(dst, arena, r.b, z)
	case stringDict:
		var distinct []string
		distinct, used, rest, err = decodePlain(nil, arena, r.b, z)
		if err != nil {
			return dst, arena, src, err
		}
		codes, rest, err := DecodeInts(nil, rest)
		if err != nil {
			return dst, arena, src, err
		}
		had := len(dst)
		vs = grow(dst, len(codes))
		for i, c := range codes {
			if uint64(c) >= uint64(len(distinct)) {
				return dst, arena, src, corrupt("string code %d of %d", c, len(distinct))
			}
			vs[had+i] = distinct[c]
		}
		return vs, used, rest, nil
	}
	return dst, arena, src, corrupt("string column with mode %d", mode)
}

func decodePlain(dst []string, arena, src []byte, z *Zstd) (vs []string, used, rest []byte, err error) {
	lens, rest, err := DecodeInts(nil, src)
	if err != nil {
		return dst, arena, src, err
	}
	text, used, rest, err := z.Decode(arena, rest)
	if err != nil {
		return dst, arena, src, err
	}
	had := len(dst)
	vs = grow(dst, len(lens))
	for i, n := range lens {
		if n < 0 || n > int64(len(text)) {
			return dst, arena, src, corrupt("string of %d bytes, %d left", n, len(text))
		}
		vs[had+i] = view(text[:n])
		text = text[n:]
	}
	if len(text) > 0 {
		return dst, arena, src, corrupt("%d bytes behind the last string", len(text))
	}
	return vs, used, rest, nil
}

// view returns b as a string that shares its memory.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// DecodeDict reads a column like [DecodeStrings] without repeating its strings: value i
// of the column is distinct[codes[i]]. A column that was written plain has every value in
// distinct, repeated or not. Predicates can so be evaluated once per distinct string. Codes
// lie in the memory of buf if that is large enough.
func DecodeDict(buf []int64, src []byte, z *Zstd) (distinct []string, codes []int64, rest []byte, err error) {
	if len(src) > 0 && src[0] == stringDict {
		distinct, _, rest, err = decodePlain(nil, nil, src[1:], z)
		if err != nil {
			return nil, nil, src, err
		}
		codes, rest, err = DecodeInts(buf[:0], rest)
		if err != nil {
			return nil, nil, src, err
		}
		for _, c := range codes {
			if uint64(c) >= uint64(len(distinct)) {
				return nil, nil, src, corrupt("string code %d of %d", c, len(distinct))
			}
		}
		return distinct, codes, rest, nil
	}
	distinct, _, rest, err = DecodeStrings(nil, nil, src, z)
	if err != nil {
		return nil, nil, src, err
	}
	codes = grow(buf[:0], len(distinct))
	for i := range codes {
		codes[i] = int64(i)
	}
	return distinct, codes, rest, nil
}
