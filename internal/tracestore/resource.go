package tracestore

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A resource and a scope are stored as the protobuf message of otherwise empty
// ResourceSpans and ScopeSpans: few are different, and nothing of them is lost.

// encodeResource returns the message of a resource and its schema URL.
func encodeResource(rs ptrace.ResourceSpans) (string, error) {
	td := ptrace.NewTraces()
	c := td.ResourceSpans().AppendEmpty()
	rs.Resource().CopyTo(c.Resource())
	c.SetSchemaUrl(rs.SchemaUrl())
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	return string(b), err
}

// encodeScope returns the message of a scope and its schema URL.
func encodeScope(ss ptrace.ScopeSpans) (string, error) {
	td := ptrace.NewTraces()
	c := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	ss.Scope().CopyTo(c.Scope())
	c.SetSchemaUrl(ss.SchemaUrl())
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	return string(b), err
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
	a := attrValue{attrKey: attrKey{name, typeOf(v)}}
	switch a.typ {
	case store.ValueInt:
		a.num = v.Int()
	case store.ValueFloat:
		a.num = int64(math.Float64bits(v.Double()))
	case store.ValueBool:
		if v.Bool() {
			a.num = 1
		}
	default:
		a.str = v.AsString()
	}
	return a
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
