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
	for r := r; r.More(); {
		num, typ, err := r.Field()
		switch {
		case err != nil:
		case num == 1 && typ == wire.Bytes:
			var m wire.Reader
			if m, err = r.Message(); err == nil {
				err = t.resource(m, &res)
			}
		case num == fieldScopes:
			scopes = fieldScopes
			err = r.Skip(typ)
		case num == 3 && typ == wire.Bytes:
			res.SchemaURL, err = r.String()
		default:
			err = skip(&r, "ResourceSpans", num, typ, 1<<1|1<<3)
		}
		if err != nil {
			return err
		}
	}
	res.Attrs.To = int32(len(t.b.Attrs))
	t.b.Resources = append(t.b.Resources, res)
	return each(r, "ResourceSpans", scopes, t.scopeSpans)
}

func (t traces) resource(r wire.Reader, res *spans.Resource) error {
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		var m wire.Reader
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Bytes):
			err = t.attr(&r)
		case 2<<3 | int(wire.Varint):
			res.Dropped, err = uint32Of(&r)
		case 3<<3 | int(wire.Bytes):
			if m, err = r.Message(); err == nil {
				res.Entities = append(res.Entities, spans.Entity{})
				err = readEntity(m, &res.Entities[len(res.Entities)-1])
			}
		default:
			err = skip(&r, "Resource", num, typ, 0xe)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readEntity(r wire.Reader, e *spans.Entity) error {
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		var key string
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Bytes):
			e.SchemaURL, err = r.String()
		case 2<<3 | int(wire.Bytes):
			e.Type, err = r.String()
		case 3<<3 | int(wire.Bytes):
			key, err = r.String()
			e.ID = append(e.ID, key)
		case 4<<3 | int(wire.Bytes):
			key, err = r.String()
			e.Description = append(e.Description, key)
		default:
			err = skip(&r, "EntityRef", num, typ, 0x1e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scopeSpans adds a ScopeSpans of the last resource.
func (t traces) scopeSpans(r wire.Reader) error {
	out := spans.Scope{Resource: int32(len(t.b.Resources) - 1)}
	out.Attrs.From = int32(len(t.b.Attrs))
	for r := r; r.More(); {
		num, typ, err := r.Field()
		switch {
		case err != nil:
		case num == 1 && typ == wire.Bytes:
			var m wire.Reader
			if m, err = r.Message(); err == nil {
				err = t.scope(m, &out)
			}
		case num == 2 && typ == wire.Bytes:
			_, err = r.Bytes()
		case num == 3 && typ == wire.Bytes:
			out.SchemaURL, err = r.String()
		default:
			err = skip(&r, "ScopeSpans", num, typ, 0xe)
		}
		if err != nil {
			return err
		}
	}
	out.Attrs.To = int32(len(t.b.Attrs))
	t.b.Scopes = append(t.b.Scopes, out)
	return each(r, "ScopeSpans", 2, t.span)
}

func (t traces) scope(r wire.Reader, out *spans.Scope) error {
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Bytes):
			out.Name, err = r.String()
		case 2<<3 | int(wire.Bytes):
			out.Version, err = r.String()
		case 3<<3 | int(wire.Bytes):
			err = t.attr(&r)
		case 4<<3 | int(wire.Varint):
			out.Dropped, err = uint32Of(&r)
		default:
			err = skip(&r, "InstrumentationScope", num, typ, 0x1e)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return false, false, err
		}
		var n uint64
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Bytes):
			err = readInto(&r, s.TraceID[:])
		case 2<<3 | int(wire.Bytes):
			err = readInto(&r, s.SpanID[:])
		case 3<<3 | int(wire.Bytes):
			s.TraceState, err = r.String()
		case 4<<3 | int(wire.Bytes):
			err = readInto(&r, s.Parent[:])
		case 5<<3 | int(wire.Bytes):
			s.Name, err = r.String()
		case 6<<3 | int(wire.Varint):
			n, err = r.Uvarint()
			s.Kind = int32(n)
		case 7<<3 | int(wire.Fixed64):
			n, err = r.Fixed64()
			s.Start = int64(n)
		case 8<<3 | int(wire.Fixed64):
			n, err = r.Fixed64()
			s.End = int64(n)
		case 9<<3 | int(wire.Bytes):
			err = t.attr(&r)
		case 10<<3 | int(wire.Varint):
			s.DroppedAttrs, err = uint32Of(&r)
		case 11<<3 | int(wire.Bytes):
			events = true
			_, err = r.Bytes()
		case 12<<3 | int(wire.Varint):
			s.DroppedEvents, err = uint32Of(&r)
		case 13<<3 | int(wire.Bytes):
			links = true
			_, err = r.Bytes()
		case 14<<3 | int(wire.Varint):
			s.DroppedLinks, err = uint32Of(&r)
		case 15<<3 | int(wire.Bytes):
			var m wire.Reader
			if m, err = r.Message(); err == nil {
				err = readStatus(m, s)
			}
		case 16<<3 | int(wire.Fixed32):
			s.Flags, err = r.Fixed32()
		default:
			err = skip(&r, "Span", num, typ, 0x1fffe)
		}
		if err != nil {
			return false, false, err
		}
	}
	return events, links, nil
}

func readStatus(r wire.Reader, s *spans.Span) error {
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		var n uint64
		switch num<<3 | int(typ) {
		case 2<<3 | int(wire.Bytes):
			s.StatusMessage, err = r.String()
		case 3<<3 | int(wire.Varint):
			n, err = r.Uvarint()
			s.Status = int32(n)
		default:
			err = skip(&r, "Status", num, typ, 0xc)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// event adds an Event of the span at hand.
func (t traces) event(r wire.Reader) error {
	e := spans.Event{Attrs: spans.Range{From: int32(len(t.b.Attrs))}}
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		var n uint64
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Fixed64):
			n, err = r.Fixed64()
			e.Time = int64(n)
		case 2<<3 | int(wire.Bytes):
			e.Name, err = r.String()
		case 3<<3 | int(wire.Bytes):
			err = t.attr(&r)
		case 4<<3 | int(wire.Varint):
			e.Dropped, err = uint32Of(&r)
		default:
			err = skip(&r, "Event", num, typ, 0x1e)
		}
		if err != nil {
			return err
		}
	}
	e.Attrs.To = int32(len(t.b.Attrs))
	t.b.Events = append(t.b.Events, e)
	return nil
}

// link adds a Link of the span at hand.
func (t traces) link(r wire.Reader) error {
	l := spans.Link{Attrs: spans.Range{From: int32(len(t.b.Attrs))}}
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Bytes):
			err = readInto(&r, l.TraceID[:])
		case 2<<3 | int(wire.Bytes):
			err = readInto(&r, l.SpanID[:])
		case 3<<3 | int(wire.Bytes):
			l.TraceState, err = r.String()
		case 4<<3 | int(wire.Bytes):
			err = t.attr(&r)
		case 5<<3 | int(wire.Varint):
			l.Dropped, err = uint32Of(&r)
		case 6<<3 | int(wire.Fixed32):
			l.Flags, err = r.Fixed32()
		default:
			err = skip(&r, "Link", num, typ, 0x7e)
		}
		if err != nil {
			return err
		}
	}
	l.Attrs.To = int32(len(t.b.Attrs))
	t.b.Links = append(t.b.Links, l)
	return nil
}

// readInto reads an id, which is not there or as long as dst.
func readInto(r *wire.Reader, dst []byte) error {
	b, err := r.Bytes()
	switch {
	case err != nil:
		return err
	case len(b) == 0:
		clear(dst)
	case len(b) != len(dst):
		return r.Errorf("an id has %d bytes, want %d", len(b), len(dst))
	}
	copy(dst, b)
	return nil
}

// attr adds an attribute, which r is at.
func (t traces) attr(r *wire.Reader) error {
	m, err := r.Message()
	if err != nil {
		return err
	}
	var a attr
	if err := a.read(m, 0); err != nil {
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
