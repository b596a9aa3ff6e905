package otlp

import (
	"bytes"
	"encoding/base64"
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

// skip passes over a field that is not wanted. One of known, a bit for each number, is
// only unwanted because its wire type is wrong.
func skip(r *wire.Reader, message string, num int, typ wire.Type, known uint64) error {
	if num < 64 && known>>num&1 != 0 {
		return r.Errorf("field %d of %s has wire type %d", num, message, typ)
	}
	return r.Skip(typ)
}

// each calls f with every message of field num of r, and passes over other fields.
func each(r wire.Reader, message string, num int, f func(wire.Reader) error) error {
	for r.More() {
		n, typ, err := r.Field()
		if err != nil {
			return err
		}
		if n != num || typ != wire.Bytes {
			if err := skip(&r, message, n, typ, 1<<num); err != nil {
				return err
			}
			continue
		}
		m, err := r.Message()
		if err != nil {
			return err
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

// read reads a KeyValue at a depth.
func (a *attr) read(r wire.Reader, depth int) error {
	*a = attr{}
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == wire.Bytes:
			a.key, err = r.String()
		case num == 2 && typ == wire.Bytes:
			var m wire.Reader
			if m, err = r.Message(); err == nil {
				err = a.anyValue.read(m, depth)
			}
		default:
			err = skip(&r, "KeyValue", num, typ, 1<<1|1<<2)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads an AnyValue at a depth. An empty one leaves v as it is.
func (v *anyValue) read(r wire.Reader, depth int) error {
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Bytes):
			*v = anyValue{kind: kindString}
			v.text, err = r.String()
		case 2<<3 | int(wire.Varint):
			*v = anyValue{kind: kindBool}
			v.num, err = r.Uvarint()
		case 3<<3 | int(wire.Varint):
			*v = anyValue{kind: kindInt}
			v.num, err = r.Uvarint()
		case 4<<3 | int(wire.Fixed64):
			*v = anyValue{kind: kindDouble}
			v.num, err = r.Fixed64()
		case 5<<3 | int(wire.Bytes), 6<<3 | int(wire.Bytes):
			*v = anyValue{kind: kindArray + uint8(num-5)}
			var m wire.Reader
			if m, err = r.Message(); err == nil {
				v.text = wire.AsString(m.Rest())
				err = v.check(m, depth)
			}
		case 7<<3 | int(wire.Bytes):
			*v = anyValue{kind: kindBytes}
			v.text, err = r.String()
		case 8<<3 | int(wire.Varint): // a place in a table that only profiles have
			*v = anyValue{}
			_, err = r.Uvarint()
		default:
			err = skip(&r, "AnyValue", num, typ, 0x1fe)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
		return doubleText(math.Float64frombits(v.num))
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

// doubleText writes a number as JavaScript does.
func doubleText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	b, _ := json.Marshal(f) // JSON's numbers are JavaScript's
	return string(b)
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
