package otlp

import (
	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// This file reads an ExportTraceServiceRequest into a batch, field for field. What the
// batch has no place for (fields that later versions of OTLP add) is passed over.

// AppendSpans adds every span of an ExportTraceServiceRequest to b, whose strings share
// the memory of body. An error is a [model.ErrMalformed]: b must not be written then.
func AppendSpans(b *spans.Batch, body []byte) error {
	t := traces{b}
	return each(wire.NewReader(body), "ExportTraceServiceRequest", 1, t.resourceSpans)
}

// traces adds to a batch.
type traces struct{ b *spans.Batch }

// resourceSpans adds a ResourceSpans.
func (t traces) resourceSpans(r wire.Reader) error {
	var res spans.Resource
	res.Attrs.From = int32(len(t.b.Attrs))
	scopes := fieldOldScopes
	f := wire.Walk(r, "ResourceSpans")
	for f.Next() {
		switch f.Num {
		case 1:
			f.Check(t.resource(f.Message(), &res))
		case fieldScopes:
			scopes = fieldScopes
		case 3:
			res.SchemaURL = f.String()
		}
	}
	if err := f.Err(); err != nil {
		return err
	}
	res.Attrs.To = int32(len(t.b.Attrs))
	t.b.Resources = append(t.b.Resources, res)
	return each(r, "ResourceSpans", scopes, t.scopeSpans)
}

func (t traces) resource(r wire.Reader, res *spans.Resource) error {
	f := wire.Walk(r, "Resource")
	for f.Next() {
		switch f.Num {
		case 1:
			f.Check(t.attr(f.Message()))
		case 2:
			res.Dropped = uint32(f.Uvarint())
		case 3:
			e, err := readEntity(f.Message())
			res.Entities = append(res.Entities, e)
			f.Check(err)
		}
	}
	return f.Err()
}

func readEntity(r wire.Reader) (e spans.Entity, err error) {
	f := wire.Walk(r, "EntityRef")
	for f.Next() {
		switch f.Num {
		case 1:
			e.SchemaURL = f.String()
		case 2:
			e.Type = f.String()
		case 3:
			e.ID = append(e.ID, f.String())
		case 4:
			e.Description = append(e.Description, f.String())
		}
	}
	return e, f.Err()
}

// scopeSpans adds a ScopeSpans of the last resource.
func (t traces) scopeSpans(r wire.Reader) error {
	out := spans.Scope{Resource: int32(len(t.b.Resources) - 1)}
	out.Attrs.From = int32(len(t.b.Attrs))
	f := wire.Walk(r, "ScopeSpans")
	for f.Next() {
		switch f.Num {
		case 1:
			f.Check(t.scope(f.Message(), &out))
		case 3:
			out.SchemaURL = f.String()
		}
	}
	if err := f.Err(); err != nil {
		return err
	}
	out.Attrs.To = int32(len(t.b.Attrs))
	t.b.Scopes = append(t.b.Scopes, out)
	return each(r, "ScopeSpans", 2, t.span)
}

func (t traces) scope(r wire.Reader, out *spans.Scope) error {
	f := wire.Walk(r, "InstrumentationScope")
	for f.Next() {
		switch f.Num {
		case 1:
			out.Name = f.String()
		case 2:
			out.Version = f.String()
		case 3:
			f.Check(t.attr(f.Message()))
		case 4:
			out.Dropped = uint32(f.Uvarint())
		}
	}
	return f.Err()
}

// span adds a Span of the last scope. Its attributes come first, and then, in order,
// those of events and links, for which the message is walked again: a part of an arena is
// one owner's, in whatever order the fields come.
func (t traces) span(r wire.Reader) error {
	b := t.b
	b.Spans = append(b.Spans, spans.Span{
		Scope: int32(len(b.Scopes) - 1), Size: len(r.Rest()),
		Attrs: spans.Range{From: int32(len(b.Attrs))},
	})
	s := &b.Spans[len(b.Spans)-1]
	events, links, err := t.fields(r, s)
	if err != nil {
		return err
	}
	s.Attrs.To = int32(len(b.Attrs))
	s.Events.From, s.Links.From = int32(len(b.Events)), int32(len(b.Links))
	if events {
		err = each(r, "Span", 11, t.event)
	}
	if err == nil && links {
		err = each(r, "Span", 13, t.link)
	}
	s.Events.To, s.Links.To = int32(len(b.Events)), int32(len(b.Links))
	return err
}

// fields reads all of a Span but its events and links, and says whether it has them.
func (t traces) fields(r wire.Reader, s *spans.Span) (events, links bool, err error) {
	f := wire.Walk(r, "Span")
	for f.Next() {
		switch f.Num {
		case 1:
			readInto(&f, s.TraceID[:])
		case 2:
			readInto(&f, s.SpanID[:])
		case 3:
			s.TraceState = f.String()
		case 4:
			readInto(&f, s.Parent[:])
		case 5:
			s.Name = f.String()
		case 6:
			s.Kind = int32(f.Uvarint())
		case 7:
			s.Start = int64(f.Fixed64())
		case 8:
			s.End = int64(f.Fixed64())
		case 9:
			f.Check(t.attr(f.Message()))
		case 10:
			s.DroppedAttrs = uint32(f.Uvarint())
		case 11:
			events = true
		case 12:
			s.DroppedEvents = uint32(f.Uvarint())
		case 13:
			links = true
		case 14:
			s.DroppedLinks = uint32(f.Uvarint())
		case 15:
			f.Check(readStatus(f.Message(), s))
		case 16:
			s.Flags = f.Fixed32()
		}
	}
	return events, links, f.Err()
}

func readStatus(r wire.Reader, s *spans.Span) error {
	f := wire.Walk(r, "Status")
	for f.Next() {
		switch f.Num {
		case 2:
			s.StatusMessage = f.String()
		case 3:
			s.Status = int32(f.Uvarint())
		}
	}
	return f.Err()
}

// event adds an Event of the span at hand.
func (t traces) event(r wire.Reader) error {
	e := spans.Event{Attrs: spans.Range{From: int32(len(t.b.Attrs))}}
	f := wire.Walk(r, "Event")
	for f.Next() {
		switch f.Num {
		case 1:
			e.Time = int64(f.Fixed64())
		case 2:
			e.Name = f.String()
		case 3:
			f.Check(t.attr(f.Message()))
		case 4:
			e.Dropped = uint32(f.Uvarint())
		}
	}
	e.Attrs.To = int32(len(t.b.Attrs))
	t.b.Events = append(t.b.Events, e)
	return f.Err()
}

// link adds a Link of the span at hand.
func (t traces) link(r wire.Reader) error {
	l := spans.Link{Attrs: spans.Range{From: int32(len(t.b.Attrs))}}
	f := wire.Walk(r, "Link")
	for f.Next() {
		switch f.Num {
		case 1:
			readInto(&f, l.TraceID[:])
		case 2:
			readInto(&f, l.SpanID[:])
		case 3:
			l.TraceState = f.String()
		case 4:
			f.Check(t.attr(f.Message()))
		case 5:
			l.Dropped = uint32(f.Uvarint())
		case 6:
			l.Flags = f.Fixed32()
		}
	}
	l.Attrs.To = int32(len(t.b.Attrs))
	t.b.Links = append(t.b.Links, l)
	return f.Err()
}

// readInto reads an id, which is not there or as long as dst.
func readInto(f *wire.Fields, dst []byte) {
	b := f.Bytes()
	switch {
	case len(b) == 0:
		clear(dst)
	case len(b) != len(dst):
		f.Check(badID(f, b, len(dst)))
	}
	copy(dst, b)
}

// attr adds an attribute.
func (t traces) attr(r wire.Reader) error {
	var a attr
	if err := a.read(r, 0); err != nil {
		return err
	}
	t.b.Attrs = append(t.b.Attrs, spans.Attr{Key: a.key, Value: t.value(&a.anyValue)})
	return nil
}

// value returns v as a value of the batch, whose kinds have the same numbers.
func (t traces) value(v *anyValue) spans.Value {
	switch v.kind {
	case kindBool:
		return spans.Value{Kind: spans.Bool, Num: min(v.num, 1)}
	case kindArray, kindMap:
	default:
		return spans.Value{Kind: spans.Kind(v.kind), Num: v.num, Str: v.text}
	}
	n := 0
	v.elements(func(*attr) { n++ })
	var out spans.Value
	t.b.Reserve(&out, spans.Kind(v.kind), n)
	i := 0
	v.elements(func(a *attr) {
		elem := t.value(&a.anyValue)
		t.b.Elems(&out)[i] = spans.Attr{Key: a.key, Value: elem}
		i++
	})
	return out
}
