// Package spans is the batch in which spans come to a trace store: what an OTLP request
// says, field for field, laid out flat.
//
// A [Batch] is a handful of arenas. A span names its scope, and a scope its resource, by
// index; events, links and attributes lie in their arenas in the order of the spans, and
// each owner has a [Range] of them. So a batch of any number of spans is a few slices,
// which the next request uses again, and reading it is walking memory in order:
//
//	for i := range b.Spans {
//		s := &b.Spans[i]
//		for _, a := range b.AttrsOf(s.Attrs) { ... a.Key, a.Value ... }
//	}
//
// Elements of arrays and maps are attributes, too (those of arrays without a key), in an
// arena of their own; [Batch.Elems] finds them.
//
// Ownership: the strings of a batch may share the memory of the request. Who is handed a
// batch reads it, and copies what it keeps before it returns.
package spans

import "github.com/pharos-o11y/pharos/internal/model"

// Batch is spans with all they have. The zero value is empty and ready to use.
type Batch struct {
	Resources []Resource
	Scopes    []Scope
	Spans     []Span
	Events    []Event
	Links     []Link
	Attrs     []Attr // of resources, scopes, spans, events and links
	Nested    []Attr // elements of arrays and maps
}

// Range is a part of an arena, from one index up to another.
type Range struct{ From, To int32 }

// Len returns the number of elements.
func (r Range) Len() int { return int(r.To - r.From) }

// Resource is what sent spans.
type Resource struct {
	Attrs     Range
	Dropped   uint32 // attributes that the sender left out
	Entities  []Entity
	SchemaURL string
}

// Entity says which attributes of a resource identify and describe a thing of a type.
type Entity struct {
	SchemaURL, Type string
	ID, Description []string // keys of attributes
}

// Scope is the instrumentation that made spans.
type Scope struct {
	Resource      int32 // index in Resources
	Name, Version string
	Attrs         Range
	Dropped       uint32 // attributes
	SchemaURL     string
}

// Span is one span. Times are Unix nanoseconds; kind and status are OTLP's numbers.
type Span struct {
	TraceID model.TraceID
	SpanID  model.SpanID
	Parent  model.SpanID // zero for a root
	Scope   int32        // index in Scopes

	Kind, Status  int32
	Start, End    int64
	Name          string
	StatusMessage string
	TraceState    string
	Flags         uint32

	Attrs                                     Range
	Events                                    Range // in Batch.Events
	Links                                     Range // in Batch.Links
	DroppedAttrs, DroppedEvents, DroppedLinks uint32

	Size int // bytes of the span as an OTLP message, as it was sent
}

// Event is something that happened during a span.
type Event struct {
	Time    int64 // Unix nanoseconds
	Name    string
	Attrs   Range
	Dropped uint32 // attributes
}

// Link points from a span to another.
type Link struct {
	TraceID    model.TraceID
	SpanID     model.SpanID
	TraceState string
	Flags      uint32
	Attrs      Range
	Dropped    uint32 // attributes
}

// Attr is an attribute, or an element of an array or map.
type Attr struct {
	Key string
	Value
}

// Kind is the type of a value.
type Kind uint8

// The kinds of OTLP's AnyValue.
const (
	Empty Kind = iota
	String
	Bool
	Int
	Double
	Array
	Map
	Bytes
)

// Value is the value of an attribute.
type Value struct {
	Kind Kind
	Num  uint64 // Bool: 0 or 1; Int; the bits of a Double; of an Array or Map see [Batch.Elems]
	Str  string // String, Bytes
}

// Elems returns the elements of v, an array or map of b.
func (b *Batch) Elems(v *Value) []Attr {
	from, n := v.Num>>32, v.Num&(1<<32-1)
	return b.Nested[from : from+n : from+n]
}

// Reserve makes v an array or map of n elements, empty yet. They stay where they are
// only until the next Reserve: find them with Elems each time.
func (b *Batch) Reserve(v *Value, kind Kind, n int) {
	*v = Value{Kind: kind, Num: uint64(len(b.Nested))<<32 | uint64(n)}
	b.Nested = append(b.Nested, make([]Attr, n)...)
}

// AttrsOf returns the attributes in r.
func (b *Batch) AttrsOf(r Range) []Attr { return b.Attrs[r.From:r.To:r.To] }

// ResourceOf returns the resource of s.
func (b *Batch) ResourceOf(s *Span) *Resource { return &b.Resources[b.Scopes[s.Scope].Resource] }

// keep is how many bytes the arenas of a batch may have for the next request.
const keep = 8 << 20

// Reset empties b for the next request. It lets go of the strings, and of more memory
// than most requests need.
func (b *Batch) Reset() {
	if cap(b.Spans)*256+cap(b.Attrs)*48+cap(b.Nested)*48+cap(b.Events)*48+cap(b.Links)*72 > keep {
		*b = Batch{}
		return
	}
	clear(b.Resources)
	clear(b.Scopes)
	clear(b.Spans)
	clear(b.Events)
	clear(b.Links)
	clear(b.Attrs)
	clear(b.Nested)
	b.Resources, b.Scopes, b.Spans = b.Resources[:0], b.Scopes[:0], b.Spans[:0]
	b.Events, b.Links = b.Events[:0], b.Links[:0]
	b.Attrs, b.Nested = b.Attrs[:0], b.Nested[:0]
}
