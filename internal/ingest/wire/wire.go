// Package wire reads protobuf messages where they lie: no generated code, no copies,
// no allocation. A [Reader] walks the fields of one message inside a larger buffer, so
// that every error, a [model.ErrMalformed], names the byte offset in what the client sent,
// and the caller keeps sub-slices of that buffer for as long as the buffer lives.
//
//	for r.More() {
//		num, typ, err := r.Field()
//		switch { case num == 1 && typ == wire.Bytes: b, err := r.Bytes() ... }
//	}
//
// It is what the push protocols (remote write, Loki push, OTLP) are decoded with.
package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Type is the wire type of a field.
type Type uint8

// The wire types that occur in the protocols decoded here. Groups are refused.
const (
	Varint  Type = 0
	Fixed64 Type = 1
	Bytes   Type = 2
	Fixed32 Type = 5
)

// Reader reads the fields of one message. The zero Reader is an empty message.
type Reader struct {
	buf    []byte // the whole body: positions are offsets a client can look up
	i, end int
}

// NewReader returns a Reader over the whole of body.
func NewReader(body []byte) Reader { return Reader{buf: body, end: len(body)} }

// More reports whether a field follows.
func (r *Reader) More() bool { return r.i < r.end }

// Pos returns the offset of the next byte in the body.
func (r *Reader) Pos() int { return r.i }

// Range returns the bytes of the body from one [Reader.Pos] to another.
func (r *Reader) Range(from, to int) []byte { return r.buf[from:to:to] }

// Rest returns the bytes of the message that are still unread.
func (r *Reader) Rest() []byte { return r.buf[r.i:r.end:r.end] }

// Advance passes over n bytes of [Reader.Rest] that the caller has read.
func (r *Reader) Advance(n int) { r.i += n }

// Errorf returns an error at the current offset.
func (r *Reader) Errorf(format string, args ...any) error {
	return fmt.Errorf("%w protobuf at byte %d: %s", model.ErrMalformed, r.i, fmt.Sprintf(format, args...))
}

// Field reads a field's number and wire type.
func (r *Reader) Field() (num int, typ Type, err error) {
	var tag uint64
	if b := r.buf[r.i:r.end]; len(b) > 0 && b[0] < 0x80 {
		tag = uint64(b[0])
		r.i++
	} else if tag, err = r.Uvarint(); err != nil {
		return 0, 0, err
	}
	if tag>>3 == 0 || tag>>3 > math.MaxInt32 {
		return 0, 0, r.Errorf("field number %d", tag>>3)
	}
	return int(tag >> 3), Type(tag & 7), nil
}

// Uvarint reads a varint.
func (r *Reader) Uvarint() (uint64, error) {
	if r.i < r.end && r.buf[r.i] < 0x80 {
		r.i++
		return uint64(r.buf[r.i-1]), nil
	}
	v, n := binary.Uvarint(r.buf[r.i:r.end])
	switch {
	case n == 0:
		return 0, r.Errorf("it is cut off inside a varint")
	case n < 0:
		return 0, r.Errorf("a varint is longer than 64 bits")
	}
	r.i += n
	return v, nil
}

// Int64 reads a varint as int64.
func (r *Reader) Int64() (int64, error) {
	v, err := r.Uvarint()
	return int64(v), err
}

// Sint64 reads a zig-zag encoded varint.
func (r *Reader) Sint64() (int64, error) {
	v, err := r.Uvarint()
	return int64(v>>1) ^ -int64(v&1), err
}

// Fixed64 reads a fixed64, sfixed64 or the bits of a double.
func (r *Reader) Fixed64() (uint64, error) {
	if r.end-r.i < 8 {
		return 0, r.Errorf("it is cut off inside a 64-bit number")
	}
	v := binary.LittleEndian.Uint64(r.buf[r.i:])
	r.i += 8
	return v, nil
}

// Fixed32 reads a fixed32.
func (r *Reader) Fixed32() (uint32, error) {
	if r.end-r.i < 4 {
		return 0, r.Errorf("it is cut off inside a 32-bit number")
	}
	v := binary.LittleEndian.Uint32(r.buf[r.i:])
	r.i += 4
	return v, nil
}

// Float64 reads a double.
func (r *Reader) Float64() (float64, error) {
	v, err := r.Fixed64()
	return math.Float64frombits(v), err
}

// Bytes reads a length-delimited field. The result is part of the body.
func (r *Reader) Bytes() ([]byte, error) {
	n, err := r.Uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(r.end-r.i) {
		return nil, r.Errorf("a field of %d bytes is cut off, %d bytes are left", n, r.end-r.i)
	}
	b := r.buf[r.i : r.i+int(n) : r.i+int(n)]
	r.i += int(n)
	return b, nil
}

// String reads a length-delimited field as a string that shares the body's memory.
func (r *Reader) String() (string, error) {
	b, err := r.Bytes()
	return AsString(b), err
}

// Message reads a length-delimited field as a message.
func (r *Reader) Message() (Reader, error) {
	b, err := r.Bytes()
	return Reader{buf: r.buf, i: r.i - len(b), end: r.i}, err
}

// Skip passes over the value of a field of type typ.
func (r *Reader) Skip(typ Type) error {
	switch typ {
	case Varint:
		_, err := r.Uvarint()
		return err
	case Fixed64:
		_, err := r.Fixed64()
		return err
	case Bytes:
		_, err := r.Bytes()
		return err
	case Fixed32:
		_, err := r.Fixed32()
		return err
	}
	return r.Errorf("wire type %d", typ)
}

// Expect returns an error unless got is the wire type want that field num of a message
// kind must have.
func (r *Reader) Expect(kind string, num int, got, want Type) error {
	if got == want {
		return nil
	}
	return r.Errorf("field %d of %s has wire type %d, want %d", num, kind, got, want)
}

// AsString returns b as a string that shares its memory.
func AsString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
