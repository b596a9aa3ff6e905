package wire

import (
	"encoding/binary"
	"math"
)

// Fields walks the fields of a message so that a converter is a table of them:
//
//	f := wire.Walk(r, "Event")
//	for f.Next() {
//		switch f.Num {
//		case 1:
//			e.Time = f.Fixed64()
//		case 2:
//			e.Name = f.String()
//		}
//	}
//	return f.Err()
//
// A field that nothing reads is passed over. The first error ends the walk: one of a value,
// of a wire type other than that of the method that reads the field, or of [Fields.Check].
// What is read from then on is empty.
type Fields struct {
	Num int // of the field at hand

	typ  Type
	at   int // where the value of the field at hand begins; -1 if there is none
	r    Reader
	kind string // of the message, for errors
	err  error
}

// Walk returns the fields of a message, whose kind errors name.
func Walk(r Reader, kind string) Fields { return Fields{r: r, kind: kind, at: -1} }

// Next goes to the next field, and reports whether there is one.
func (f *Fields) Next() bool {
	if f.r.i == f.at {
		f.Check(f.r.Skip(f.typ))
	}
	i := f.r.i
	if i >= f.r.end {
		return false
	}
	tag := f.r.buf[i]
	if tag < 1<<3 || tag >= 0x80 {
		return f.longTag()
	}
	i++
	f.Num, f.typ, f.at, f.r.i = int(tag>>3), Type(tag&7), i, i
	return true
}

// longTag goes to a field whose tag has more than one byte, or is wrong.
func (f *Fields) longTag() bool {
	var err error
	f.Num, f.typ, err = f.r.Field()
	f.at = f.r.i
	f.Check(err)
	return err == nil
}

// Err returns the error that ended the walk, nil if the whole message was read.
func (f *Fields) Err() error { return f.err }

// Check ends the walk if err is not nil.
func (f *Fields) Check(err error) {
	if err != nil {
		f.end(err)
	}
}

// end ends the walk with an error, unless one did.
func (f *Fields) end(err error) {
	if f.err == nil {
		f.err = err
	}
	f.r.i, f.at = f.r.end, -1
}

// Errorf returns an error at the offset after the value that was read last.
func (f *Fields) Errorf(format string, args ...any) error { return f.r.Errorf(format, args...) }

// is reports whether the field at hand can be read as a wire type.
func (f *Fields) is(want Type) bool {
	if f.typ != want {
		f.end(f.r.Expect(f.kind, f.Num, f.typ, want))
	}
	return f.err == nil
}

// Uvarint reads a varint.
func (f *Fields) Uvarint() uint64 {
	if !f.is(Varint) {
		return 0
	}
	v, err := f.r.Uvarint()
	f.Check(err)
	return v
}

// Sint32 reads a zig-zag encoded int32.
func (f *Fields) Sint32() int32 {
	v := f.Uvarint()
	return int32(uint32(v)>>1) ^ -int32(v&1)
}

// Fixed64 reads a fixed64, sfixed64 or the bits of a double.
func (f *Fields) Fixed64() uint64 {
	if !f.is(Fixed64) {
		return 0
	}
	if i := f.r.i; f.r.end-i >= 8 {
		f.r.i = i + 8
		return binary.LittleEndian.Uint64(f.r.buf[i:])
	}
	_, err := f.r.Fixed64()
	f.Check(err)
	return 0
}

// Fixed32 reads a fixed32.
func (f *Fields) Fixed32() uint32 {
	if !f.is(Fixed32) {
		return 0
	}
	v, err := f.r.Fixed32()
	f.Check(err)
	return v
}

// Float64 reads a double.
func (f *Fields) Float64() float64 { return math.Float64frombits(f.Fixed64()) }

// Bytes reads a length-delimited field. The result is part of the body.
func (f *Fields) Bytes() []byte {
	if i := f.r.i; f.typ == Bytes && i < f.r.end {
		if end := i + 1 + int(f.r.buf[i]); f.r.buf[i] < 0x80 && end <= f.r.end {
			f.r.i = end
			return f.r.buf[i+1 : end : end]
		}
	}
	return f.longBytes()
}

// longBytes reads a field of more than 127 bytes, or a wrong one.
func (f *Fields) longBytes() []byte {
	if !f.is(Bytes) {
		return nil
	}
	b, err := f.r.Bytes()
	f.Check(err)
	return b
}

// String reads a length-delimited field as a string that shares the body's memory.
func (f *Fields) String() string { return AsString(f.Bytes()) }

// Message reads a length-delimited field as a message.
func (f *Fields) Message() Reader { return f.Inner(f.Bytes()) }

// Inner returns as a message what [Fields.Bytes] returned last.
func (f *Fields) Inner(b []byte) Reader { return Reader{buf: f.r.buf, i: f.r.i - len(b), end: f.r.i} }

// List reads a field that is repeated numbers of a wire type: all of them, packed, or one.
func (f *Fields) List(of Type) (list Reader, packed bool) {
	if f.typ == Bytes {
		return f.Message(), true
	}
	if !f.is(of) {
		return Reader{}, false
	}
	list = f.r
	f.Check(f.r.Skip(of))
	list.end = f.r.i
	return list, false
}
