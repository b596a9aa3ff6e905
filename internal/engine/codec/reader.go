package codec

import (
	"encoding/binary"
	"math"
)

// Reader reads varints and short byte strings from a buffer. The first error sticks:
// everything after it returns zero values, so that a record is parsed in one go and
// [Reader.Err] is asked once. Results share memory with the buffer.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a Reader of b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns the first error, wrapping [store.ErrCorrupt].
func (r *Reader) Err() error { return r.err }

// Rest returns what has not been read.
func (r *Reader) Rest() []byte { return r.b }

// Len returns the number of bytes that have not been read; 0 after an error.
func (r *Reader) Len() int { return len(r.b) }

// Fail records an error found by the caller, unless there is one already.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = corrupt(format, args...)
	}
	r.b = nil
}

// Uvarint reads an unsigned varint.
func (r *Reader) Uvarint() uint64 {
	if b := r.b; len(b) > 0 && b[0] < 0x80 {
		r.b = b[1:]
		return uint64(b[0])
	}
	return r.longUvarint()
}

func (r *Reader) longUvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail("varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Varint reads a signed (zigzag) varint.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Count reads a number that must not exceed limit.
func (r *Reader) Count(limit int) int {
	v := r.Uvarint()
	if v > uint64(max(limit, 0)) {
		r.Fail("count %d, at most %d", v, limit)
		return 0
	}
	return int(v)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.b; len(b) > 0 {
		r.b = b[1:]
		return b[0]
	}
	r.short()
	return 0
}

func (r *Reader) short() { r.Fail("short input") }

// Take reads n bytes.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.Fail("%d bytes wanted, %d left", n, len(r.b))
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Uint64 reads 8 bytes, little endian.
func (r *Reader) Uint64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Bytes reads a byte string written by [AppendBytes].
func (r *Reader) Bytes() []byte { return r.Take(r.Count(len(r.b))) }

// Ints reads a column written by [AppendInts], appended to dst.
func (r *Reader) Ints(dst []int64) []int64 {
	if r.err != nil {
		return dst
	}
	vs, rest, err := DecodeInts(dst, r.b)
	if err != nil {
		r.err, r.b = err, nil
		return dst
	}
	r.b = rest
	return vs
}

// AppendBytes appends the length of b and b.
func AppendBytes[T ~string | ~[]byte](dst []byte, b T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// Float reads a value written by [AppendFloat].
func (r *Reader) Float() float64 {
	u := r.Uvarint()
	switch u & 3 {
	case 0:
		return float64(unzigzag(u >> 2))
	case 1:
		return float64(unzigzag(u>>4)) / powers[singleExponents[u>>2&3]]
	case 2:
		return math.Float64frombits(r.Uint64())
	}
	r.Fail("float with tag 3")
	return 0
}

// singleExponents are the decimal exponents that AppendFloat tries.
//
//nolint:gochecknoglobals // read-only
var singleExponents = [4]int{1, 2, 3, 6}

// AppendFloat appends one value on its own: integers and values of up to 3, or 6,
// decimals as a varint, others as 8 bytes and a tag. Every bit is kept.
func AppendFloat(dst []byte, v float64) []byte {
	if m, ok := scale(v, 0); ok {
		return binary.AppendUvarint(dst, zigzag(m)<<2)
	}
	for i, e := range singleExponents {
		if m, ok := scale(v, e); ok {
			return binary.AppendUvarint(dst, zigzag(m)<<4|uint64(i)<<2|1)
		}
	}
	return binary.LittleEndian.AppendUint64(append(dst, 2), math.Float64bits(v))
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
