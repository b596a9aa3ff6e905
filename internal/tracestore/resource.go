package tracestore

import (
	"encoding/binary"
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// A resource and a scope are stored as the protobuf message of otherwise empty
// ResourceSpans and ScopeSpans, as pdata writes it: few are different, and nothing of them
// is lost.

// encodeOwners returns the messages of the resources and scopes of b, with their schema
// URLs.
func encodeOwners(b *spans.Batch) (resources, scopes []string) {
	resources, scopes = make([]string, len(b.Resources)), make([]string, len(b.Scopes))
	e := ownerEncoder{b: b}
	for i := range b.Resources {
		resources[i] = string(e.resource(&b.Resources[i]))
	}
	for i := range b.Scopes {
		scopes[i] = string(e.scope(&b.Scopes[i]))
	}
	return resources, scopes
}

// ownerEncoder writes messages. Their lengths stand before them and are known after.
type ownerEncoder struct {
	b   *spans.Batch
	buf []byte
}

// message writes what body writes as field num.
func (e *ownerEncoder) message(num byte, body func()) {
	e.buf = append(e.buf, num<<3|2)
	from := len(e.buf)
	body()
	n := len(e.buf) - from
	var length [binary.MaxVarintLen64]byte
	e.buf = slices.Insert(e.buf, from, length[:binary.PutUvarint(length[:], uint64(n))]...)
}

// text writes a string that is not left out when empty.
func (e *ownerEncoder) text(num byte, s string) {
	e.buf = codec.AppendBytes(append(e.buf, num<<3|2), s)
}

func (e *ownerEncoder) textIfAny(num byte, s string) {
	if s != "" {
		e.text(num, s)
	}
}

func (e *ownerEncoder) dropped(num byte, n uint32) {
	if n != 0 {
		e.buf = binary.AppendUvarint(append(e.buf, num<<3), uint64(n))
	}
}

// The fields of a message come in descending order, which is pdata's.

func (e *ownerEncoder) resource(r *spans.Resource) []byte {
	e.buf = e.buf[:0]
	e.message(1, func() {
		e.textIfAny(3, r.SchemaURL)
		e.message(1, func() {
			for i := range r.Entities {
				e.message(3, func() { e.entity(&r.Entities[i]) })
			}
			e.dropped(2, r.Dropped)
			e.attrs(1, e.b.AttrsOf(r.Attrs), 0)
		})
	})
	return e.buf
}

func (e *ownerEncoder) entity(x *spans.Entity) {
	for _, key := range x.Description {
		e.text(4, key)
	}
	for _, key := range x.ID {
		e.text(3, key)
	}
	e.textIfAny(2, x.Type)
	e.textIfAny(1, x.SchemaURL)
}

func (e *ownerEncoder) scope(s *spans.Scope) []byte {
	e.buf = e.buf[:0]
	e.message(1, func() {
		e.message(2, func() {
			e.textIfAny(3, s.SchemaURL)
			e.message(1, func() {
				e.dropped(4, s.Dropped)
				e.attrs(3, e.b.AttrsOf(s.Attrs), 0)
				e.textIfAny(2, s.Version)
				e.textIfAny(1, s.Name)
			})
		})
		e.message(1, func() {})
	})
	return e.buf
}

func (e *ownerEncoder) attrs(num byte, attrs []spans.Attr, depth int) {
	for i := range attrs {
		e.message(num, func() {
			e.message(2, func() { e.value(&attrs[i].Value, depth) })
			e.textIfAny(1, attrs[i].Key)
		})
	}
}

// value writes v, which is so many levels deep; what is too deep as text.
func (e *ownerEncoder) value(v *spans.Value, depth int) {
	if depth > maxNesting {
		e.text(1, e.b.Text(v))
		return
	}
	switch v.Kind {
	case spans.String:
		e.text(1, v.Str)
	case spans.Bool:
		e.buf = append(e.buf, 2<<3, byte(v.Num))
	case spans.Int:
		e.buf = binary.AppendUvarint(append(e.buf, 3<<3), v.Num)
	case spans.Double:
		e.buf = binary.LittleEndian.AppendUint64(append(e.buf, 4<<3|1), v.Num)
	case spans.Array:
		e.message(5, func() {
			elems := e.b.Elems(v)
			for i := range elems {
				e.message(1, func() { e.value(&elems[i].Value, depth+1) })
			}
		})
	case spans.Map:
		e.message(6, func() { e.attrs(1, e.b.Elems(v), depth+1) })
	case spans.Bytes:
		e.text(7, v.Str)
	case spans.Empty:
	}
}

// entity is a decoded resource or scope.
type entity struct {
	rs      ptrace.ResourceSpans // of a resource
	ss      ptrace.ScopeSpans    // of a scope
	attrs   []attrValue          // none of ValueNone
	service string               // service.name of a resource
}

// attrValue is one attribute with its value.
type attrValue struct {
	attrKey
	num int64  // of numbers; the bits of floats
	str string // of strings; the text of the rest
}

func valueOf(name string, v pcommon.Value) attrValue {
	a := attrValue{attrKey: attrKey{name: name}}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		a.typ, a.str = store.ValueString, v.Str()
	case pcommon.ValueTypeInt:
		a.typ, a.num = store.ValueInt, v.Int()
	case pcommon.ValueTypeDouble:
		a.typ, a.num = store.ValueFloat, int64(math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		a.typ = store.ValueBool
		if v.Bool() {
			a.num = 1
		}
	case pcommon.ValueTypeSlice:
		a.typ, a.str = store.ValueOther, v.AsString()
		if isUniform(v.Slice()) {
			a.typ = store.ValueArray
		}
	case pcommon.ValueTypeEmpty, pcommon.ValueTypeMap, pcommon.ValueTypeBytes:
		a.typ, a.str = store.ValueOther, v.AsString()
	}
	return a
}

// isUniform reports whether s is a non-empty array of scalars of one type.
func isUniform(s pcommon.Slice) bool {
	for _, v := range s.All() {
		switch t := v.Type(); t {
		case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
			if t != s.At(0).Type() {
				return false
			}
		default:
			return false
		}
	}
	return s.Len() > 0
}

func valuesOf(m pcommon.Map) []attrValue {
	var out []attrValue
	for name, v := range m.All() {
		if v.Type() != pcommon.ValueTypeEmpty {
			out = append(out, valueOf(name, v))
		}
	}
	return out
}

// resources remembers decoded resources and scopes by their message. It belongs to one
// goroutine.
type resources struct{ byRes, byScope map[string]*entity }

func newResources() resources {
	return resources{map[string]*entity{}, map[string]*entity{}}
}

// decodeMessage returns the resource of a message. Blocks have checksums, so that a bad
// message is a bug; it reads as an empty resource.
func decodeMessage(payload string) ptrace.ResourceSpans {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces([]byte(payload))
	if err != nil || td.ResourceSpans().Len() == 0 {
		return ptrace.NewResourceSpans()
	}
	return td.ResourceSpans().At(0)
}

func (r resources) resource(payload string) *entity {
	e, ok := r.byRes[payload]
	if !ok {
		e = &entity{rs: decodeMessage(payload)}
		e.attrs = valuesOf(e.rs.Resource().Attributes())
		if v, ok := e.rs.Resource().Attributes().Get("service.name"); ok {
			e.service = v.AsString()
		}
		r.byRes[payload] = e
	}
	return e
}

func (r resources) scope(payload string) *entity {
	e, ok := r.byScope[payload]
	if !ok {
		e = &entity{ss: ptrace.NewScopeSpans()}
		if rs := decodeMessage(payload); rs.ScopeSpans().Len() > 0 {
			e.ss = rs.ScopeSpans().At(0)
		}
		e.attrs = valuesOf(e.ss.Scope().Attributes())
		r.byScope[payload] = e
	}
	return e
}

func compareAttrs(a, b store.Attr) int {
	if a.Scope != b.Scope {
		return int(a.Scope) - int(b.Scope)
	}
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

// linkIDs returns the halves of a stored link id.
func linkIDs(s string) (t model.TraceID, id model.SpanID) {
	copy(t[:], s)
	if len(s) == 24 {
		copy(id[:], s[16:])
	}
	return t, id
}
