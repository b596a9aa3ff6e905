package spans

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Text returns the text of v, a value of b, as pcommon.Value.AsString has it. That of a
// String is v's own.
func (b *Batch) Text(v *Value) string {
	switch v.Kind {
	case String:
		return v.Str
	case Bool:
		return strconv.FormatBool(v.Num != 0)
	case Int:
		return strconv.FormatInt(int64(v.Num), 10)
	case Empty:
		return ""
	}
	out := pcommon.NewValueEmpty()
	b.CopyValue(v, out)
	return out.AsString()
}

// CopyValue sets dst to v, a value of b.
func (b *Batch) CopyValue(v *Value, dst pcommon.Value) {
	switch v.Kind {
	case String:
		dst.SetStr(v.Str)
	case Bool:
		dst.SetBool(v.Num != 0)
	case Int:
		dst.SetInt(int64(v.Num))
	case Double:
		dst.SetDouble(math.Float64frombits(v.Num))
	case Bytes:
		dst.SetEmptyBytes().FromRaw([]byte(v.Str))
	case Array:
		list := dst.SetEmptySlice()
		elems := b.Elems(v)
		list.EnsureCapacity(len(elems))
		for i := range elems {
			b.CopyValue(&elems[i].Value, list.AppendEmpty())
		}
	case Map:
		b.CopyAttrs(b.Elems(v), dst.SetEmptyMap())
	case Empty:
	}
}

// CopyAttrs adds attrs, attributes of b, to dst.
func (b *Batch) CopyAttrs(attrs []Attr, dst pcommon.Map) {
	dst.EnsureCapacity(len(attrs))
	for i := range attrs {
		b.CopyValue(&attrs[i].Value, dst.PutEmpty(attrs[i].Key))
	}
}
