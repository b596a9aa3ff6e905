package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
)

// This file reads attributes: KeyValue and AnyValue of OpenTelemetry's common.proto. What
// occurs twice is read as pdata does: the last one counts.

// attr is a KeyValue. Its strings share the memory of the request.
type attr struct {
	key string
	anyValue
}

// anyValue is an AnyValue. Arrays and maps were checked; they stay encoded until somebody
// asks for their text.
type anyValue struct {
	kind uint8
	num  uint64 // a bool, an int, or the bits of a double
	text string // a string or bytes, or an ArrayValue or KeyValueList
}

// Kinds of values.
const (
	kindEmpty = iota
	kindString
	kindBool
	kindInt
	kindDouble
	kindArray
	kindMap
	kindBytes
)

// maxDepth bounds how deep values are nested: well past what comes through the guards
// before receivers, and what a receiver makes of JSON, and well short of the stack.
const maxDepth = 20_000

// checked is the depth at which nothing inside a value is read: that was done before.
const checked = -1

// each calls f with every message of field num of r, and passes over other fields.
func each(r wire.Reader, message string, num int, f func(wire.Reader) error) error {
	w := wire.Walk(r, message)
	for w.Next() {
		if w.Num == num {
			if m := w.Message(); w.Err() == nil {
				w.Check(f(m))
			}
		}
	}
	return w.Err()
}

// read reads a KeyValue at a depth.
func (a *attr) read(r wire.Reader, depth int) error {
	if a.plain(r.Rest()) {
		return nil
	}
	*a = attr{}
	f := wire.Walk(r, "KeyValue")
	for f.Next() {
		switch f.Num {
		case 1:
			a.key = f.String()
		case 2:
			f.Check(a.anyValue.read(f.Message(), depth))
		}
	}
	return f.Err()
}

// plain reads a KeyValue whose value is plain, as nearly all are. It reports whether it is.
func (a *attr) plain(kv []byte) bool {
	name, v, ok := splitPlain(kv)
	if !ok {
		return false
	}
	a.key = wire.AsString(name[1:])
	return a.anyValue.plain(v)
}

// plain reads an AnyValue that is a short string, a bool or a number, and nothing else. It
// reports whether it is; v is to be read anew if not.
func (v *anyValue) plain(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	switch b[0] {
	case 1<<3 | byte(wire.Bytes):
		*v = anyValue{kind: kindString, text: wire.AsString(b[2:])}
		return b[1] < 0x80 && int(b[1]) == len(b)-2
	case 2<<3 | byte(wire.Varint), 3<<3 | byte(wire.Varint):
		n, size := binary.Uvarint(b[1:])
		*v = anyValue{kind: kindBool + b[0]>>3 - 2, num: n}
		return size == len(b)-1
	case 4<<3 | byte(wire.Fixed64):
		if len(b) == 9 {
			*v = anyValue{kind: kindDouble, num: binary.LittleEndian.Uint64(b[1:])}
			return true
		}
	}
	return false
}

// splitPlain returns the key of a KeyValue, its length before it, and its AnyValue, if
// they are all of it and both are short. Protobuf's own encoders write the key first, the
// Collector's writes it last.
func splitPlain(kv []byte) (name, v []byte, ok bool) {
	const key, val = 1<<3 | byte(wire.Bytes), 2<<3 | byte(wire.Bytes)
	if len(kv) < 4 || kv[1] >= 0x80 || len(kv) < 4+int(kv[1]) {
		return nil, nil, false
	}
	first, second := kv[:2+kv[1]], kv[2+kv[1]:]
	switch {
	case second[1] >= 0x80 || int(second[1]) != len(second)-2:
	case first[0] == key && second[0] == val:
		return first[1:], second[2:], true
	case first[0] == val && second[0] == key:
		return second[1:], first[2:], true
	}
	return nil, nil, false
}

// read reads an AnyValue at a depth. An empty one leaves v as it is.
func (v *anyValue) read(r wire.Reader, depth int) error {
	f := wire.Walk(r, "AnyValue")
	for f.Next() {
		switch f.Num {
		case 1:
			*v = anyValue{kind: kindString, text: f.String()}
		case 2:
			*v = anyValue{kind: kindBool, num: f.Uvarint()}
		case 3:
			*v = anyValue{kind: kindInt, num: f.Uvarint()}
		case 4:
			*v = anyValue{kind: kindDouble, num: f.Fixed64()}
		case 5, 6:
			m := f.Message()
			*v = anyValue{kind: kindArray + uint8(f.Num-5), text: wire.AsString(m.Rest())}
			f.Check(v.check(m, depth))
		case 7:
			*v = anyValue{kind: kindBytes, text: f.String()}
		case 8: // a place in a table that only profiles have
			*v = anyValue{}
			f.Uvarint()
		}
	}
	return f.Err()
}

// check reads all that is inside the array or map v, which lies in r.
func (v *anyValue) check(r wire.Reader, depth int) error {
	switch {
	case depth == checked:
		return nil
	case depth >= maxDepth:
		return r.Errorf("a value is nested too deep: more than %d levels", maxDepth)
	}
	return v.inner(r, depth+1, func(*attr) {})
}

// inner calls f with the elements of the array or map v, which lies in r. Elements of an
// array have no key.
func (v *anyValue) inner(r wire.Reader, depth int, f func(*attr)) error {
	if v.kind == kindArray {
		return each(r, "ArrayValue", 1, func(r wire.Reader) error {
			var a attr
			err := a.anyValue.read(r, depth)
			f(&a)
			return err
		})
	}
	return each(r, "KeyValueList", 1, func(r wire.Reader) error {
		var a attr
		err := a.read(r, depth)
		f(&a)
		return err
	})
}

// elements calls f with the elements of an array or map that was checked.
func (v *anyValue) elements(f func(*attr)) {
	_ = v.inner(wire.NewReader(asBytes(v.text)), checked, f) // it was read before
}

// asBytes returns the memory of s, to be read only.
func asBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// String returns the text of a value as pdata's AsString has it. That of a string shares
// the memory of the request.
func (v *anyValue) String() string {
	switch v.kind {
	case kindString:
		return v.text
	case kindBool:
		return strconv.FormatBool(v.num != 0)
	case kindInt:
		return strconv.FormatInt(int64(v.num), 10)
	case kindDouble:
		return string(appendDouble(nil, math.Float64frombits(v.num)))
	case kindBytes:
		return base64.StdEncoding.EncodeToString(asBytes(v.text))
	case kindArray, kindMap:
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v.raw()) // NaN has no JSON: the text is empty then, as pdata's
		return strings.TrimRight(buf.String(), "\n")
	}
	return ""
}

// maxDouble is more than the bytes of any double's text.
const maxDouble = 32

// appendDouble appends a number as JavaScript writes it, and JSON.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if size := math.Abs(f); size == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' { // exponents there have no zero in front
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// raw returns the value as encoding/json takes it.
func (v *anyValue) raw() any {
	switch v.kind {
	case kindString:
		return v.text
	case kindBool:
		return v.num != 0
	case kindInt:
		return int64(v.num)
	case kindDouble:
		return math.Float64frombits(v.num)
	case kindBytes:
		if v.text != "" {
			return asBytes(v.text)
		}
	case kindArray:
		out := []any{}
		v.elements(func(a *attr) { out = append(out, a.raw()) })
		return out
	case kindMap:
		out := map[string]any{}
		v.elements(func(a *attr) { out[a.key] = a.raw() })
		return out
	}
	return nil
}
