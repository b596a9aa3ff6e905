package storetest

import (
	"cmp"
	"maps"
	"regexp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// satisfies reports whether x satisfies every predicate of some element of where.
func satisfies(x *refSpan, where [][]store.SpanPredicate) bool {
	return len(where) == 0 || slices.ContainsFunc(where, func(all []store.SpanPredicate) bool {
		return !slices.ContainsFunc(all, func(p store.SpanPredicate) bool { return !holds(x, p) })
	})
}

// holds reports whether p is true of x.
func holds(x *refSpan, p store.SpanPredicate) bool {
	for a, v := range eachAttr(x) {
		if slices.Contains(p.Attrs, a) && compares(v, p) {
			return true
		}
	}
	return false
}

// compares reports whether v is present and stands in the relation of p to p's value.
func compares(v refValue, p store.SpanPredicate) bool {
	switch v.typ {
	case store.ValueNone:
		return false
	case store.ValueArray:
		return true
	}
	switch {
	case p.Op == store.OpExists, v.typ == store.ValueArray:
		return true
	case p.Op == store.OpRegexp, p.Op == store.OpNotRegexp:
		return v.typ == store.ValueString &&
			regexp.MustCompile("^(?s:"+p.Str+")$").MatchString(v.str) == (p.Op == store.OpRegexp)
	}
	switch {
	case v.typ == store.ValueString && p.Type == store.ValueString:
		return ordered(v.str, p.Str, p.Op)
	case v.typ == store.ValueBool && p.Type == store.ValueBool, v.typ == store.ValueInt && p.Type == store.ValueInt:
		return ordered(v.num, p.Int, p.Op)
	case v.typ == store.ValueInt && p.Type == store.ValueFloat:
		return ordered(float64(v.num), p.Float, p.Op)
	case v.typ == store.ValueFloat && p.Type == store.ValueInt:
		return ordered(v.flt, float64(p.Int), p.Op)
	case v.typ == store.ValueFloat && p.Type == store.ValueFloat:
		return ordered(v.flt, p.Float, p.Op)
	}
	return false
}

func ordered[T cmp.Ordered](a, b T, op store.CompareOp) bool {
	switch op {
	case store.OpEqual:
		return a == b
	case store.OpNotEqual:
		return a != b
	case store.OpLess:
		return a < b
	case store.OpLessEqual:
		return a <= b
	case store.OpGreater:
		return a > b
	default:
		return a >= b
	}
}

// spanRows turns spans into columns.
func spanRows(spans []*refSpan, sel store.SpanSelector) *store.SpanRows {
	r := &store.SpanRows{}
	attrs := newColumns(len(spans), sel)
	events, links := 0, 0
	for _, x := range spans {
		events += x.span.Events().Len()
		links += x.span.Links().Len()
	}
	eventAttrs, linkAttrs := newColumns(events, sel), newColumns(links, sel)
	ev, ln := &store.EventRows{}, &store.LinkRows{}
	for i, x := range spans {
		r.TraceID = append(r.TraceID, x.traceID())
		r.SpanID = append(r.SpanID, x.id())
		r.Parent = append(r.Parent, model.SpanID(x.span.ParentSpanID()))
		r.Start = append(r.Start, x.start())
		r.Duration = append(r.Duration, x.duration())
		r.Kind = append(r.Kind, uint8(x.span.Kind()))
		r.Status = append(r.Status, uint8(x.span.Status().Code()))
		r.Name = append(r.Name, x.span.Name())
		r.StatusMessage = append(r.StatusMessage, x.span.Status().Message())
		service := ""
		if v, ok := x.res.Resource().Attributes().Get("service.name"); ok {
			service = valueOf(v).text()
		}
		r.Service = append(r.Service, service)
		r.ScopeName = append(r.ScopeName, x.scope.Scope().Name())
		r.ScopeVersion = append(r.ScopeVersion, x.scope.Scope().Version())
		attrs.set(i, store.ScopeSpan, x.span.Attributes())
		attrs.set(i, store.ScopeResource, x.res.Resource().Attributes())
		attrs.set(i, store.ScopeInstrumentation, x.scope.Scope().Attributes())
		for _, e := range x.span.Events().All() {
			eventAttrs.set(len(ev.Time), store.ScopeEvent, e.Attributes())
			ev.Time = append(ev.Time, int64(e.Timestamp()))
			ev.Name = append(ev.Name, e.Name())
		}
		for _, l := range x.span.Links().All() {
			linkAttrs.set(len(ln.SpanID), store.ScopeLink, l.Attributes())
			ln.TraceID = append(ln.TraceID, model.TraceID(l.TraceID()))
			ln.SpanID = append(ln.SpanID, model.SpanID(l.SpanID()))
		}
		r.EventEnd = append(r.EventEnd, int32(len(ev.Time)))
		r.LinkEnd = append(r.LinkEnd, int32(len(ln.SpanID)))
	}
	r.Attrs, ev.Attrs, ln.Attrs = attrs.sorted(), eventAttrs.sorted(), linkAttrs.sorted()
	if r.Events, r.Links = ev, ln; !sel.Events {
		r.Events, r.EventEnd = nil, nil
	}
	if !sel.Links {
		r.Links, r.LinkEnd = nil, nil
	}
	return r
}

// columns collects the attribute columns of n rows.
type columns struct {
	n   int
	sel store.SpanSelector
	by  map[columnKey]*store.AttrColumn
}

type columnKey struct {
	attr store.Attr
	typ  store.ValueType
}

func newColumns(n int, sel store.SpanSelector) *columns {
	return &columns{n: n, sel: sel, by: map[columnKey]*store.AttrColumn{}}
}

// set puts the wanted attributes of m into row i.
func (c *columns) set(i int, scope store.AttrScope, m pcommon.Map) {
	for name, value := range m.All() {
		a, v := store.Attr{Scope: scope, Name: name}, valueOf(value)
		if v.typ == store.ValueNone || !c.sel.AllAttrs && !slices.Contains(c.sel.Attrs, a) {
			continue
		}
		col := c.by[columnKey{a, v.typ}]
		if col == nil {
			col = &store.AttrColumn{Attr: a, Type: v.typ, Has: make([]bool, c.n)}
			switch v.typ {
			case store.ValueInt, store.ValueBool:
				col.Ints = make([]int64, c.n)
			case store.ValueFloat:
				col.Floats = make([]float64, c.n)
			default:
				col.Strs = make([]string, c.n)
			}
			c.by[columnKey{a, v.typ}] = col
		}
		col.Has[i] = true
		switch v.typ {
		case store.ValueInt, store.ValueBool:
			col.Ints[i] = v.num
		case store.ValueFloat:
			col.Floats[i] = v.flt
		default:
			col.Strs[i] = v.str
		}
	}
}

func (c *columns) sorted() []store.AttrColumn {
	keys := slices.SortedFunc(maps.Keys(c.by), func(a, b columnKey) int {
		return cmp.Or(compareAttrs(a.attr, b.attr), cmp.Compare(a.typ, b.typ))
	})
	var out []store.AttrColumn
	for _, k := range keys {
		out = append(out, *c.by[k])
	}
	return out
}
