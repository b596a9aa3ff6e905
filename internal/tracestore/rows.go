package tracestore

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// wanted is what a selector wants to see of attributes.
type wanted struct {
	all    bool
	attrs  map[store.Attr]bool
	events bool
	links  bool
}

func wantedOf(sel store.SpanSelector) wanted {
	w := wanted{all: sel.AllAttrs, attrs: map[store.Attr]bool{}, events: sel.Events, links: sel.Links}
	for _, a := range sel.Attrs {
		w.attrs[a] = true
	}
	return w
}

func (w *wanted) has(scope store.AttrScope, name string) bool {
	return w.all || w.attrs[store.Attr{Scope: scope, Name: name}]
}

// rowBuilder makes a batch of a Scan.
type rowBuilder struct {
	want    wanted
	res     resources
	rows    *store.SpanRows
	batches int
	attrs   attrColumns
	events  attrColumns
	links   attrColumns
}

func newRowBuilder(want wanted, res resources) *rowBuilder {
	b := &rowBuilder{want: want, res: res}
	b.reset()
	return b
}

func (b *rowBuilder) reset() {
	b.rows = &store.SpanRows{}
	if b.want.events {
		b.rows.Events = &store.EventRows{}
	}
	if b.want.links {
		b.rows.Links = &store.LinkRows{}
	}
	b.batches++
	b.attrs, b.events, b.links = attrColumns{batch: b.batches}, attrColumns{batch: b.batches}, attrColumns{batch: b.batches}
}

// finish returns the batch and begins the next one.
func (b *rowBuilder) finish() *store.SpanRows {
	r := b.rows
	r.Attrs = b.attrs.finish(r.Len())
	if r.Events != nil {
		r.Events.Attrs = b.events.finish(len(r.Events.Time))
	}
	if r.Links != nil {
		r.Links.Attrs = b.links.finish(len(r.Links.SpanID))
	}
	b.reset()
	return r
}

// rowSource reads rows of one group, in ascending order.
type rowSource struct {
	g      *group
	want   *wanted
	events []int32 // ends
	links  []int32
	res    entities
	scopes entities
	sets   [numDomains]setSource
}

type setSource struct {
	used   bool // some column is wanted
	want   []bool
	cursor attrCursor
	binding
}

// binding remembers which columns of a batch the columns of a source are.
type binding struct {
	batch int     // number of the batch
	to    []int32 // column of the batch, plus one; 0 is not known yet
}

// bind forgets what it knows of an earlier batch.
func (b *binding) bind(cols *attrColumns) {
	if b.batch != cols.batch {
		b.batch = cols.batch
		clear(b.to)
	}
}

// entities are the decoded resources or scopes of a group, by their code.
type entities []*wantedEntity

// wantedEntity is what the rows of one resource or scope have in common.
type wantedEntity struct {
	service, name, version string
	scope                  store.AttrScope
	attrs                  []attrValue // wanted
	binding
}

// at returns the entity of row i of c.
func (e *entities) at(c *strCol, i int, decode func(string) *wantedEntity) *wantedEntity {
	if *e == nil {
		*e = make(entities, max(1, len(c.dict)))
	}
	code := 0
	if c.dict != nil {
		code = c.code(i)
	}
	if (*e)[code] == nil {
		(*e)[code] = decode(c.at(i))
	}
	return (*e)[code]
}

func (b *rowBuilder) resource(payload string) *wantedEntity {
	e := b.res.resource(payload)
	out := b.entity(e, store.ScopeResource)
	out.service = e.service
	return out
}

func (b *rowBuilder) scope(payload string) *wantedEntity {
	e := b.res.scope(payload)
	out := b.entity(e, store.ScopeInstrumentation)
	out.name, out.version = e.ss.Scope().Name(), e.ss.Scope().Version()
	return out
}

func (b *rowBuilder) entity(e *entity, scope store.AttrScope) *wantedEntity {
	out := &wantedEntity{scope: scope}
	for _, a := range e.attrs {
		if b.want.has(scope, a.name) {
			out.attrs = append(out.attrs, a)
		}
	}
	out.to = make([]int32, len(out.attrs))
	return out
}

// put puts the wanted attributes into a row of cols.
func (e *wantedEntity) put(cols *attrColumns, row int) {
	e.bind(cols)
	for i, a := range e.attrs {
		if e.to[i] == 0 {
			e.to[i] = cols.column(e.scope, a.attrKey) + 1
		}
		cols.put(e.to[i]-1, row, a)
	}
}

// rowSections returns the sections of what every row has.
func rowSections() []int {
	return []int{
		secIDs, secSpanID, secParent, secInts + iStart, secInts + iDur, secInts + iKind, secInts + iStatus,
		secStrs + sName, secStrs + sMessage, secStrs + sRes, secStrs + sScope,
	}
}

// newRowSource returns a source of the rows of g, which load reads.
func newRowSource(g *group, want *wanted) (*rowSource, error) {
	s := &rowSource{g: g, want: want}
	if err := s.bind(ofSpan, store.ScopeSpan); err != nil {
		return nil, err
	}
	if !want.events && !want.links {
		return s, nil
	}
	if err := g.needChildren(); err != nil {
		return nil, err
	}
	if want.events {
		s.events = childEnds(g.ints[iEvents], g.len())
		if err := s.bind(ofEvent, store.ScopeEvent); err != nil {
			return nil, err
		}
	}
	if want.links {
		s.links = childEnds(g.ints[iLinks], g.len())
		return s, s.bind(ofLink, store.ScopeLink)
	}
	return s, nil
}

// bind finds out which columns of a domain are wanted.
func (s *rowSource) bind(d domain, scope store.AttrScope) error {
	set := &s.g.sets[d]
	out := setSource{want: make([]bool, len(set.cols)), binding: binding{to: make([]int32, len(set.cols))}}
	for i := range set.cols {
		c := &set.cols[i]
		if c.typ != store.ValueNone && c.n > 0 && s.want.has(scope, c.name) {
			out.want[i], out.used = true, true
		}
	}
	if out.used {
		if err := s.g.need(secShapes + int(d)); err != nil {
			return err
		}
		out.cursor = newAttrCursor(set)
	}
	s.sets[d] = out
	return nil
}

// load reads what there is of the spans from..to, which are whole traces. It may read
// more. Spans come in ascending order.
func (s *rowSource) load(from, to int) error {
	g := s.g
	if g.src == nil {
		return nil
	}
	if err := errors.Join(g.need(secIDs, secSpanID), g.needParents(from, to), g.needStarts(from, to)); err != nil {
		return err
	}
	if err := s.fields(from, to, []int{iDur, iKind, iStatus}, []int{sName, sMessage, sRes, sScope}); err != nil {
		return err
	}
	if err := s.loadSet(ofSpan, from, to); err != nil {
		return err
	}
	if s.want.events {
		lo, hi := childRows(s.events, from, to)
		if err := errors.Join(s.fields(lo, hi, []int{iEvTime}, []int{sEvName}), s.loadSet(ofEvent, lo, hi)); err != nil {
			return err
		}
	}
	if s.want.links {
		lo, hi := childRows(s.links, from, to)
		return errors.Join(s.fields(lo, hi, nil, []int{sLkID}), s.loadSet(ofLink, lo, hi))
	}
	return nil
}

// childRows returns the child rows of the spans from..to.
func childRows(ends []int32, from, to int) (lo, hi int) {
	if from >= to {
		return 0, 0
	}
	lo, _ = childRange(ends, from)
	_, hi = childRange(ends, to-1)
	return lo, hi
}

// fields reads the rows from..to of fields.
func (s *rowSource) fields(from, to int, ints, strs []int) error {
	for _, f := range ints {
		if err := s.g.needInts(f, from, to); err != nil {
			return err
		}
	}
	for _, f := range strs {
		if err := s.g.needStrs(f, from, to); err != nil {
			return err
		}
	}
	return nil
}

// loadSet reads the wanted values of the rows from..to of a domain.
func (s *rowSource) loadSet(d domain, from, to int) error {
	in := &s.sets[d]
	if !in.used || from >= to {
		return nil
	}
	in.cursor.seek(&s.g.sets[d], from)
	return s.g.needValues(d, &in.cursor, to, func(col int) bool { return in.want[col] })
}

// add appends span i of s, which is one of trace.
func (b *rowBuilder) add(s *rowSource, trace model.TraceID, i int) {
	g, r := s.g, b.rows
	row := r.Len()
	start := intAt(g.ints[iStart], i)
	res := s.res.at(&g.strs[sRes], i, b.resource)
	scope := s.scopes.at(&g.strs[sScope], i, b.scope)
	r.TraceID = append(r.TraceID, trace)
	r.SpanID = append(r.SpanID, g.spanID[i])
	r.Parent = append(r.Parent, g.parent[i])
	r.Start = append(r.Start, start)
	r.Duration = append(r.Duration, g.duration(i))
	r.Kind = append(r.Kind, uint8(intAt(g.ints[iKind], i)))
	r.Status = append(r.Status, uint8(intAt(g.ints[iStatus], i)))
	r.Name = append(r.Name, g.strs[sName].at(i))
	r.StatusMessage = append(r.StatusMessage, g.strs[sMessage].at(i))
	r.Service = append(r.Service, res.service)
	r.ScopeName = append(r.ScopeName, scope.name)
	r.ScopeVersion = append(r.ScopeVersion, scope.version)
	res.put(&b.attrs, row)
	scope.put(&b.attrs, row)
	s.attrs(ofSpan, store.ScopeSpan, i, &b.attrs, row)
	if ev := r.Events; ev != nil {
		for from, to := childRange(s.events, i); from < to; from++ {
			s.attrs(ofEvent, store.ScopeEvent, from, &b.events, len(ev.Time))
			ev.Time = append(ev.Time, start+intAt(g.ints[iEvTime], from))
			ev.Name = append(ev.Name, g.strs[sEvName].at(from))
		}
		r.EventEnd = append(r.EventEnd, int32(len(ev.Time)))
	}
	if ln := r.Links; ln != nil {
		for from, to := childRange(s.links, i); from < to; from++ {
			s.attrs(ofLink, store.ScopeLink, from, &b.links, len(ln.SpanID))
			t, id := linkIDs(g.strs[sLkID].at(from))
			ln.TraceID = append(ln.TraceID, t)
			ln.SpanID = append(ln.SpanID, id)
		}
		r.LinkEnd = append(r.LinkEnd, int32(len(ln.SpanID)))
	}
}

// attrs puts the wanted attributes of a row of g into row out of cols.
func (s *rowSource) attrs(d domain, scope store.AttrScope, row int, cols *attrColumns, out int) {
	in := &s.sets[d]
	if !in.used {
		return
	}
	set := &s.g.sets[d]
	in.bind(cols)
	in.cursor.seek(set, row)
	for _, col := range set.shapes[set.codes[row]] {
		if in.want[col] {
			c := &set.cols[col]
			v := attrValue{attrKey: c.attrKey}
			switch i := in.cursor.next[col]; {
			case isNumber(c.typ):
				v.num = intAt(c.ints, i)
			case c.typ == store.ValueString:
				v.str = c.strs.at(i)
			default:
				v.str = valueText(c.strs.at(i))
			}
			if in.to[col] == 0 {
				in.to[col] = cols.column(scope, c.attrKey) + 1
			}
			cols.put(in.to[col]-1, out, v)
		}
		in.cursor.next[col]++
	}
	in.cursor.row++
}

// attrColumns are columns in the making.
type attrColumns struct {
	batch int // counts the batches that a builder has begun
	index map[columnID]int32
	cols  []store.AttrColumn
}

type columnID struct {
	scope store.AttrScope
	attrKey
}

// column returns the number of a column.
func (c *attrColumns) column(scope store.AttrScope, key attrKey) int32 {
	id := columnID{scope, key}
	i, ok := c.index[id]
	if !ok {
		if c.index == nil {
			c.index = map[columnID]int32{}
		}
		i = int32(len(c.cols))
		c.index[id] = i
		c.cols = append(c.cols, store.AttrColumn{Attr: store.Attr{Scope: scope, Name: key.name}, Type: key.typ})
	}
	return i
}

// put puts v into row of column i. Rows come in ascending order.
func (c *attrColumns) put(i int32, row int, v attrValue) {
	col := &c.cols[i]
	if row < len(col.Has) {
		return // the attribute twice in one row: the first one counts
	}
	if len(col.Has) < row {
		pad(col, row)
	}
	col.Has = append(col.Has, true)
	switch v.typ {
	case store.ValueInt, store.ValueBool:
		col.Ints = append(col.Ints, v.num)
	case store.ValueFloat:
		col.Floats = append(col.Floats, math.Float64frombits(uint64(v.num)))
	default:
		col.Strs = append(col.Strs, v.str)
	}
}

// pad appends rows without a value until there are n.
func pad(col *store.AttrColumn, n int) {
	more := n - len(col.Has)
	if more <= 0 {
		return
	}
	col.Has = append(col.Has, make([]bool, more)...)
	switch col.Type {
	case store.ValueInt, store.ValueBool:
		col.Ints = append(col.Ints, make([]int64, more)...)
	case store.ValueFloat:
		col.Floats = append(col.Floats, make([]float64, more)...)
	default:
		col.Strs = append(col.Strs, make([]string, more)...)
	}
}

func (c *attrColumns) finish(rows int) []store.AttrColumn {
	for i := range c.cols {
		pad(&c.cols[i], rows)
	}
	slices.SortFunc(c.cols, func(a, b store.AttrColumn) int {
		return cmp.Or(compareAttrs(a.Attr, b.Attr), cmp.Compare(a.Type, b.Type))
	})
	return c.cols
}
