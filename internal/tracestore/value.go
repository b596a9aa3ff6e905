package tracestore

import (
	"encoding/binary"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
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

// typeOf returns the type under which v, a value of b, is stored.
func typeOf(b *spans.Batch, v *spans.Value) store.ValueType {
	switch v.Kind {
	case spans.Empty:
		return store.ValueNone
	case spans.String:
		return store.ValueString
	case spans.Int:
		return store.ValueInt
	case spans.Double:
		return store.ValueFloat
	case spans.Bool:
		return store.ValueBool
	case spans.Array:
		if isArray(b.Elems(v)) {
			return store.ValueArray
		}
	case spans.Map, spans.Bytes:
	}
	return store.ValueOther
}

// isArray reports whether elems is a non-empty array of scalars of one type.
func isArray(elems []spans.Attr) bool {
	for i := range elems {
		switch k := elems[i].Kind; k {
		case spans.String, spans.Int, spans.Double, spans.Bool:
			if k != elems[0].Kind {
				return false
			}
		default:
			return false
		}
	}
	return len(elems) > 0
}

// appendValue appends the encoding of v, a value of b, which keeps all of it.
func appendValue(dst []byte, b *spans.Batch, v *spans.Value, depth int) []byte {
	if depth > maxNesting {
		return codec.AppendBytes(append(dst, tagString), b.Text(v))
	}
	switch v.Kind {
	case spans.String:
		return codec.AppendBytes(append(dst, tagString), v.Str)
	case spans.Int:
		return binary.AppendVarint(append(dst, tagInt), int64(v.Num))
	case spans.Double:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat), v.Num)
	case spans.Bool:
		if v.Num != 0 {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case spans.Bytes:
		return codec.AppendBytes(append(dst, tagBytes), v.Str)
	case spans.Array:
		elems := b.Elems(v)
		dst = binary.AppendUvarint(append(dst, tagSlice), uint64(len(elems)))
		for i := range elems {
			dst = appendValue(dst, b, &elems[i].Value, depth+1)
		}
		return dst
	case spans.Map:
		elems := b.Elems(v)
		dst = binary.AppendUvarint(append(dst, tagMap), uint64(len(elems)))
		for i := range elems {
			dst = appendValue(codec.AppendBytes(dst, elems[i].Key), b, &elems[i].Value, depth+1)
		}
		return dst
	case spans.Empty:
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
