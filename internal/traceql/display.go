package traceql

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/store"
)

// display shows one attribute of matching spans.
type display struct {
	key      string
	e        evaluator
	needs    children
	nilTest  bool      // "x = nil" is in the query: show nil
	fallback intrinsic // shown when the attribute is absent: select(span.duration)
}

// maxChildValues bounds how many events' or links' values of one attribute are shown.
const maxChildValues = 16

// bindDisplay makes p show the attributes that the pipeline mentions.
func (p *plan) bindDisplay(pl *pipeline) {
	b := &binder{slots: p.slots, filters: p.filters}
	needed := len(b.slots)
	var nilTests []*attribute
	eachField(pl, func(e field) { nilTests = append(nilTests, nilTested(e)...) }, func(*attribute) {})
	selected := selectedAttributes(pl)
	for _, a := range attributesOf(pl) {
		same := func(x *attribute) bool { return sameAttribute(a, x) }
		isSelected := slices.ContainsFunc(selected, same)
		if a.in == inName {
			p.showName = true
		}
		if a.in != inNone && a.in.info().hidden {
			continue
		}
		d := display{key: a.key(), e: b.evaluator(a), needs: a.children(), nilTest: slices.ContainsFunc(nilTests, same)}
		if isSelected {
			d.fallback = lookalike(a)
			p.showName = p.showName || d.fallback == inName
		}
		p.display = append(p.display, d)
		p.laterChildren = p.laterChildren.or(d.needs)
	}
	p.laterChildren.events = p.laterChildren.events && !p.sel.Events
	p.laterChildren.links = p.laterChildren.links && !p.sel.Links
	for _, s := range b.slots[needed:] {
		for _, a := range s.attrs() {
			if !slices.Contains(p.sel.Attrs, a) && !slices.Contains(p.later, a) {
				p.later = append(p.later, a)
			}
		}
	}
	p.slots = b.slots
}

// twoScans reports whether results show more than is needed to find them.
func (p *plan) twoScans() bool { return len(p.later) > 0 || p.laterChildren.any() }

// withLater returns sel, which then asks for everything that is shown.
func (p *plan) withLater(sel store.SpanSelector) store.SpanSelector {
	sel.Attrs = append(sel.Attrs[:len(sel.Attrs):len(sel.Attrs)], p.later...)
	sel.Events = sel.Events || p.laterChildren.events
	sel.Links = sel.Links || p.laterChildren.links
	return sel
}

// key returns the name of a in results: intrinsics canonically, attributes unscoped.
func (e *attribute) key() string {
	if e.in != inNone {
		return e.in.info().name
	}
	return e.name
}

func selectedAttributes(pl *pipeline) []*attribute {
	var out []*attribute
	eachField(pl, func(field) {}, func(a *attribute) { out = append(out, a) })
	return out
}

// nilTested returns the attributes that e compares with "= nil".
func nilTested(e field) []*attribute {
	switch e := e.(type) {
	case *unary:
		return nilTested(e.x)
	case *binary:
		if e.op == opEqual {
			if a, lit, _, ok := attributeComparison(e); ok && lit.typ == TypeNil {
				return []*attribute{a}
			}
		}
		return append(nilTested(e.l), nilTested(e.r)...)
	}
	return nil
}

// show appends what the span at row has of the attribute.
func (d *display) show(f *frame, row int32, out []KeyValue) []KeyValue {
	if d.needs.any() {
		return d.showChildren(f, row, out)
	}
	v := d.e.value(f, cursor{row, -1, -1})
	switch {
	case v.typ != TypeNil:
	case d.fallback != inNone:
		v = f.intrinsic(d.fallback, cursor{row, -1, -1})
	case !d.nilTest:
		return out
	}
	return append(out, KeyValue{d.key, v.clone()})
}

// showChildren shows the distinct values of a span's events or links.
func (d *display) showChildren(f *frame, row int32, out []KeyValue) []KeyValue {
	c := cursor{row, -1, -1}
	at := &c.event
	lo, hi := f.events(row)
	if d.needs.links {
		at = &c.link
		lo, hi = f.links(row)
	}
	var seen []Value
	for *at = lo; *at < hi && len(seen) < maxChildValues; *at++ {
		v := d.e.value(f, c)
		if v.typ == TypeNil || slices.Contains(seen, v.key()) {
			continue
		}
		seen = append(seen, v.key())
		out = append(out, KeyValue{d.key, v.clone()})
	}
	if len(seen) == 0 && d.nilTest {
		out = append(out, KeyValue{d.key, Value{}})
	}
	return out
}
