package tracestore

import (
	"encoding/binary"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Tags of encoded values. The numbers are written to disk and never change.
const (
	tagEmpty  = 0
	tagString = 1
	tagInt    = 2
	tagFloat  = 3
	tagFalse  = 4
	tagTrue   = 5
	tagBytes  = 6
	tagSlice  = 7
	tagMap    = 8
)

// maxNesting bounds how deep arrays and maps may nest. What is deeper is kept as text.
const maxNesting = 200

// typeOf returns the type under which v is stored.
func typeOf(v pcommon.Value) store.ValueType {
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return store.ValueNone
	case pcommon.ValueTypeStr:
		return store.ValueString
	case pcommon.ValueTypeInt:
		return store.ValueInt
	case pcommon.ValueTypeDouble:
		return store.ValueFloat
	case pcommon.ValueTypeBool:
		return store.ValueBool
	case pcommon.ValueTypeSlice:
		if isArray(v.Slice()) {
			return store.ValueArray
		}
	}
	return store.ValueOther
}

// isArray reports whether s is a non-empty array of scalars of one type.
func isArray(s pcommon.Slice) bool {
	if s.Len() == 0 {
		return false
	}
	first := s.At(0).Type()
	switch first {
	case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
	default:
		return false
	}
	for i := range s.Len() {
		if s.At(i).Type() != first {
			return false
		}
	}
	return true
}

// appendValue appends the encoding of v, which keeps all of it.
func appendValue(dst []byte, v pcommon.Value, depth int) []byte {
	if depth > maxNesting {
		return codec.AppendBytes(append(dst, tagString), v.AsString())
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return codec.AppendBytes(append(dst, tagString), v.Str())
	case pcommon.ValueTypeInt:
		return binary.AppendVarint(append(dst, tagInt), v.Int())
	case pcommon.ValueTypeDouble:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat), math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		if v.Bool() {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case pcommon.ValueTypeBytes:
		b := v.Bytes()
		dst = binary.AppendUvarint(append(dst, tagBytes), uint64(b.Len()))
		for i := range b.Len() {
			dst = append(dst, b.At(i))
		}
		return dst
	case pcommon.ValueTypeSlice:
		s := v.Slice()
		dst = binary.AppendUvarint(append(dst, tagSlice), uint64(s.Len()))
		for i := range s.Len() {
			dst = appendValue(dst, s.At(i), depth+1)
		}
		return dst
	case pcommon.ValueTypeMap:
		dst = binary.AppendUvarint(append(dst, tagMap), uint64(v.Map().Len()))
		for name, x := range v.Map().All() {
			dst = appendValue(codec.AppendBytes(dst, name), x, depth+1)
		}
		return dst
	}
	return append(dst, tagEmpty)
}

// decodeValue sets v to the value that r holds.
func decodeValue(r *codec.Reader, v pcommon.Value, depth int) {
	if depth > maxNesting+1 {
		r.Fail("value nests deeper than %d", maxNesting)
		return
	}
	switch tag := r.Byte(); tag {
	case tagEmpty:
	case tagString:
		v.SetStr(string(r.Bytes()))
	case tagInt:
		v.SetInt(r.Varint())
	case tagFloat:
		v.SetDouble(math.Float64frombits(r.Uint64()))
	case tagFalse, tagTrue:
		v.SetBool(tag == tagTrue)
	case tagBytes:
		v.SetEmptyBytes().FromRaw(append([]byte(nil), r.Bytes()...))
	case tagSlice:
		s := v.SetEmptySlice()
		for range r.Count(r.Len()) {
			decodeValue(r, s.AppendEmpty(), depth+1)
		}
	case tagMap:
		m := v.SetEmptyMap()
		for range r.Count(r.Len()) {
			name := string(r.Bytes())
			decodeValue(r, m.PutEmpty(name), depth+1)
		}
	default:
		r.Fail("value with tag %d", tag)
	}
}

// valueText returns the text of an encoded value.
func valueText(b string) string {
	v := pcommon.NewValueEmpty()
	decodeValue(codec.NewReader([]byte(b)), v, 0)
	return v.AsString()
}
