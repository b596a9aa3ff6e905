package traceql

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// plan is a query bound to a time range: what to read and how to evaluate it.
type plan struct {
	sel     store.SpanSelector
	slots   []slot
	filters []mask
	stages  []runStage
	single  int // id of the filter that is the whole pipeline, -1 if it is more

	display  []display
	showName bool
	// later are attributes that only the display of results needs: worth a second scan
	// of the few traces that are returned.
	later         []store.Attr
	laterChildren children
}

// binder builds a plan.
type binder struct {
	slots   []slot
	filters []mask
}

// slot returns the number of the slot of an attribute.
func (b *binder) slot(a *attribute) int { return b.slotOf(slot{a.scope, a.name}) }

func (b *binder) slotOf(s slot) int {
	if i := slices.Index(b.slots, s); i >= 0 {
		return i
	}
	b.slots = append(b.slots, s)
	return len(b.slots) - 1
}

// newPlan binds the pipeline of a query.
func newPlan(pl *pipeline, r model.TimeRange, acct *store.Account) *plan {
	b := &binder{}
	p := &plan{sel: store.SpanSelector{Range: r, Account: acct}, single: -1}
	p.stages = b.stages(pl)
	if _, ok := pl.stages[0].(*filter); ok && len(pl.stages) == 1 {
		p.single = 0
	}
	c := pushPipeline(pl)
	p.sel.Where = c.where
	p.sel.TraceIDs = c.ids
	p.finish(b)
	for _, a := range attributesOf(pl) {
		warnLookalike(acct, a)
	}
	eachField(pl, func(e field) { p.wantChildren(childrenOf(e)) }, func(*attribute) {})
	return p
}

// finish takes over what b has collected so far.
func (p *plan) finish(b *binder) {
	p.slots, p.filters = b.slots, b.filters
	p.sel.Attrs = p.sel.Attrs[:0]
	for _, s := range b.slots {
		p.want(s)
	}
}

// want adds the attributes behind s to the selector.
func (p *plan) want(s slot) {
	for _, a := range s.attrs() {
		if !slices.Contains(p.sel.Attrs, a) {
			p.sel.Attrs = append(p.sel.Attrs, a)
		}
	}
	switch s.scope {
	case scopeEvent:
		p.sel.Events = true
	case scopeLink:
		p.sel.Links = true
	}
}

// attrs returns the stored attributes that s reads beyond the fixed columns.
func (s slot) attrs() []store.Attr {
	switch {
	case s.scope == scopeResource && s.service():
		return nil
	case s.service():
		return []store.Attr{{Scope: store.ScopeSpan, Name: s.name}}
	case s.scope == scopeNone:
		return []store.Attr{{Scope: store.ScopeSpan, Name: s.name}, {Scope: store.ScopeResource, Name: s.name}}
	}
	return []store.Attr{{Scope: s.scope.store(), Name: s.name}}
}

// wantChildren asks for events and links if an expression reads their fixed columns.
func (p *plan) wantChildren(c children) {
	p.sel.Events = p.sel.Events || c.events
	p.sel.Links = p.sel.Links || c.links
}

// warnLookalike says that span.duration and its like are not the intrinsic they look like.
func warnLookalike(acct *store.Account, a *attribute) {
	if in := lookalike(a); in != inNone {
		acct.Warn("%s is an attribute of that name; the field of the span is %s", fieldText(a), in.info().name)
	}
}

// lookalike returns the intrinsic that an attribute is easily mistaken for.
func lookalike(a *attribute) intrinsic {
	if a.in != inNone || a.scope != scopeSpan {
		return inNone
	}
	switch a.name {
	case "name":
		return inName
	case "duration":
		return inDuration
	case "status":
		return inStatus
	case "kind":
		return inKind
	case "status_message", "statusMessage":
		return inStatusMessage
	}
	return inNone
}

// attributesOf returns the attributes that a pipeline mentions, in order, once each.
func attributesOf(pl *pipeline) []*attribute {
	var out []*attribute
	add := func(a *attribute) {
		if !slices.ContainsFunc(out, func(b *attribute) bool { return sameAttribute(a, b) }) {
			out = append(out, a)
		}
	}
	eachField(pl, func(e field) { walk(e, add) }, add)
	return out
}

func sameAttribute(a, b *attribute) bool {
	return a.in == b.in && a.scope == b.scope && a.name == b.name
}

// eachField calls f for every field expression of a pipeline, and sel for every selected
// attribute.
func eachField(pl *pipeline, f func(field), sel func(*attribute)) {
	var inScalar func(s scalar)
	inScalar = func(s scalar) {
		switch s := s.(type) {
		case *scalarOp:
			inScalar(s.l)
			inScalar(s.r)
		case *aggregate:
			if s.expr != nil {
				f(s.expr)
			}
		}
	}
	var inSpansets func(e spansets)
	inSpansets = func(e spansets) {
		switch e := e.(type) {
		case *filter:
			if e.expr != nil {
				f(e.expr)
			}
		case *spansetOp:
			inSpansets(e.l)
			inSpansets(e.r)
		case *pipeline:
			eachField(e, f, sel)
		}
	}
	for _, s := range pl.stages {
		switch s := s.(type) {
		case spansets:
			inSpansets(s)
		case *scalarFilter:
			inScalar(s.l)
			inScalar(s.r)
		case *groupBy:
			f(s.expr)
		case *selection:
			for _, a := range s.attrs {
				sel(a)
			}
		}
	}
}
