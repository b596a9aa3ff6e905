package traceql

import (
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// slot is an attribute that a plan reads, in the order of first mention.
type slot struct {
	scope scope
	name  string
}

// service reports whether the slot ends in the resource's service name, which is a
// column of its own and never nil.
func (s slot) service() bool {
	return s.name == serviceName && (s.scope == scopeResource || s.scope == scopeNone)
}

// slotColumns are the columns of a slot in the current batch: of its scope, and for an
// unscoped one those of the span, then of the resource.
type slotColumns struct {
	first, second []*store.AttrColumn
}

// traceInfo is what is known of a whole trace.
type traceInfo struct {
	start, end int64
	root       int32 // row of the earliest root, -1 if there is none
	known      bool
}

// cursor is where an expression is evaluated: a span, and with it an event and a link,
// or -1.
type cursor struct{ row, event, link int32 }

// frame is a batch under evaluation with everything derived from it. It is reused from
// batch to batch and belongs to one query.
type frame struct {
	rows   *store.SpanRows
	bounds []int32 // trace t is the rows bounds[t]..bounds[t+1]
	ident  []int32 // 0, 1, 2, ...

	slots   []slot
	columns []slotColumns // by slot

	filters []mask   // by filter id
	masks   [][]bool // of filters, valid where masked
	masked  []bool

	free  [][]bool // spare masks
	arena []int32  // rows of spansets of the current trace
	used  int

	infos   []traceInfo
	traceOf []int32 // trace by row; len 0 until needed

	tree     treeColumns
	arrays   map[string]Value // parsed JSON of this batch
	groupIdx map[Value]int
}

func newFrame(slots []slot, filters []mask) *frame {
	return &frame{
		slots:    slots,
		filters:  filters,
		columns:  make([]slotColumns, len(slots)),
		masks:    make([][]bool, len(filters)),
		masked:   make([]bool, len(filters)),
		arrays:   map[string]Value{},
		groupIdx: map[Value]int{},
	}
}

// load makes rows the current batch.
func (f *frame) load(rows *store.SpanRows) {
	f.rows = rows
	n := rows.Len()
	f.bounds = append(f.bounds[:0], 0)
	for i := 1; i < n; i++ {
		if rows.TraceID[i] != rows.TraceID[i-1] {
			f.bounds = append(f.bounds, int32(i))
		}
	}
	if n > 0 {
		f.bounds = append(f.bounds, int32(n))
	}
	for i := len(f.ident); i < n; i++ {
		f.ident = append(f.ident, int32(i))
	}
	clear(f.masked)
	clear(f.arrays)
	for _, m := range f.filters {
		m.forget()
	}
	f.infos = resize(f.infos, f.traces())
	clear(f.infos)
	f.traceOf = f.traceOf[:0]
	f.tree.reset(n, f.traces())
	for i, s := range f.slots {
		f.columns[i] = slotColumns{}
		c := &f.columns[i]
		switch s.scope {
		case scopeEvent:
			if rows.Events != nil {
				c.first = findColumns(c.first, rows.Events.Attrs, s)
			}
		case scopeLink:
			if rows.Links != nil {
				c.first = findColumns(c.first, rows.Links.Attrs, s)
			}
		case scopeNone:
			c.first = findColumns(nil, rows.Attrs, slot{scopeSpan, s.name})
			if !s.service() {
				c.second = findColumns(nil, rows.Attrs, slot{scopeResource, s.name})
			}
		default:
			if !s.service() {
				c.first = findColumns(nil, rows.Attrs, s)
			}
		}
	}
}

// findColumns appends the addressable columns of s.
func findColumns(out []*store.AttrColumn, attrs []store.AttrColumn, s slot) []*store.AttrColumn {
	want := store.Attr{Scope: s.scope.store(), Name: s.name}
	for i := range attrs {
		if attrs[i].Attr == want && attrs[i].Type != store.ValueOther && attrs[i].Type != store.ValueNone {
			out = append(out, &attrs[i])
		}
	}
	return out
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func (f *frame) traces() int { return max(0, len(f.bounds)-1) }

// span returns the rows of trace t as row numbers.
func (f *frame) span(t int) []int32 { return f.ident[f.bounds[t]:f.bounds[t+1]] }

// mask returns the result of filter id on every row of the batch.
func (f *frame) mask(id int) []bool {
	if !f.masked[id] {
		f.masked[id] = true
		m := resize(f.masks[id], f.rows.Len())
		for i := range m {
			m[i] = true
		}
		f.filters[id].refine(f, m)
		f.masks[id] = m
	}
	return f.masks[id]
}

// borrow returns a mask of the batch's length with unknown content; give it back.
func (f *frame) borrow() []bool {
	if n := len(f.free); n > 0 {
		m := f.free[n-1]
		f.free = f.free[:n-1]
		return resize(m, f.rows.Len())
	}
	return make([]bool, f.rows.Len())
}

func (f *frame) giveBack(m []bool) { f.free = append(f.free, m) }

// alloc returns space for up to n row numbers, valid until the next trace.
func (f *frame) alloc(n int) []int32 {
	if f.used+n > len(f.arena) {
		f.arena = make([]int32, max(2*len(f.arena), n, 4096))
		f.used = 0
	}
	out := f.arena[f.used : f.used : f.used+n]
	f.used += n
	return out
}

// traceAt returns the trace of a row.
func (f *frame) traceAt(row int32) int {
	if len(f.traceOf) == 0 {
		f.traceOf = resize(f.traceOf, f.rows.Len())
		for t := range f.traces() {
			for _, r := range f.span(t) {
				f.traceOf[r] = int32(t)
			}
		}
	}
	return int(f.traceOf[row])
}

// info returns what is known of trace t.
func (f *frame) info(t int) *traceInfo {
	in := &f.infos[t]
	if in.known {
		return in
	}
	lo := f.bounds[t]
	*in = traceInfo{start: f.rows.Start[lo], end: f.rows.Start[lo], root: -1, known: true}
	for _, r := range f.span(t) {
		in.start = min(in.start, f.rows.Start[r])
		in.end = max(in.end, f.rows.Start[r]+f.rows.Duration[r])
		if f.rows.Parent[r].IsZero() && (in.root < 0 || f.rows.Start[r] < f.rows.Start[in.root]) {
			in.root = r
		}
	}
	return in
}

// attr returns the value of a slot at c.
func (f *frame) attr(s int, c cursor) Value {
	sl := &f.slots[s]
	at := c.row
	switch sl.scope {
	case scopeEvent:
		at = c.event
	case scopeLink:
		at = c.link
	}
	if at < 0 {
		return Value{}
	}
	cols := &f.columns[s]
	for _, col := range cols.first {
		if col.Has[at] {
			if v := f.columnValue(col, at); v.typ != TypeNil {
				return v
			}
		}
	}
	for _, col := range cols.second {
		if col.Has[at] {
			if v := f.columnValue(col, at); v.typ != TypeNil {
				return v
			}
		}
	}
	if sl.service() {
		return stringValue(f.rows.Service[c.row])
	}
	return Value{}
}

func (f *frame) columnValue(col *store.AttrColumn, at int32) Value {
	switch col.Type {
	case store.ValueString:
		return stringValue(col.Strs[at])
	case store.ValueInt:
		return intValue(col.Ints[at])
	case store.ValueBool:
		return boolValue(col.Ints[at] != 0)
	case store.ValueFloat:
		return floatValue(col.Floats[at])
	case store.ValueArray:
		return f.array(col.Strs[at])
	}
	return Value{}
}

// array parses the JSON of an array once a batch.
func (f *frame) array(text string) Value {
	v, ok := f.arrays[text]
	if !ok {
		v = parseArray(text)
		f.arrays[text] = v
	}
	return v
}

// intrinsic returns the value of an intrinsic at c.
func (f *frame) intrinsic(in intrinsic, c cursor) Value {
	r := f.rows
	switch in {
	case inName:
		return stringValue(r.Name[c.row])
	case inDuration:
		return durationValue(r.Duration[c.row])
	case inStatus:
		return statusValue(r.Status[c.row])
	case inStatusMessage:
		return stringValue(r.StatusMessage[c.row])
	case inKind:
		return kindValue(r.Kind[c.row])
	case inSpanID:
		return stringValue(r.SpanID[c.row].String())
	case inParentID:
		return stringValue(r.Parent[c.row].String())
	case inScopeName:
		return stringValue(r.ScopeName[c.row])
	case inScopeVersion:
		return stringValue(r.ScopeVersion[c.row])
	case inTraceID:
		return stringValue(shortID(r.TraceID[c.row]))
	case inEventName, inEventTime, inLinkTraceID, inLinkSpanID:
		return f.childIntrinsic(in, c)
	}
	return f.traceIntrinsic(in, c.row)
}

func (f *frame) childIntrinsic(in intrinsic, c cursor) Value {
	r := f.rows
	switch {
	case in == inEventName && c.event >= 0:
		return stringValue(r.Events.Name[c.event])
	case in == inEventTime && c.event >= 0:
		return durationValue(r.Events.Time[c.event] - r.Start[c.row])
	case in == inLinkTraceID && c.link >= 0:
		return stringValue(shortID(r.Links.TraceID[c.link]))
	case in == inLinkSpanID && c.link >= 0:
		return stringValue(r.Links.SpanID[c.link].String())
	}
	return Value{}
}

// traceIntrinsic returns the intrinsics that need the whole trace.
func (f *frame) traceIntrinsic(in intrinsic, row int32) Value {
	t := f.traceAt(row)
	switch in {
	case inTraceDuration:
		info := f.info(t)
		return durationValue(info.end - info.start)
	case inRootName:
		if root := f.info(t).root; root >= 0 {
			return stringValue(f.rows.Name[root])
		}
		return stringValue("")
	case inRootService:
		if root := f.info(t).root; root >= 0 {
			return stringValue(f.rows.Service[root])
		}
		return stringValue("")
	}
	f.buildTree(t)
	switch in {
	case inChildCount:
		return intValue(int64(f.tree.children[row]))
	case inNestedLeft:
		return intValue(int64(f.tree.left[row]))
	case inNestedRight:
		return intValue(int64(f.tree.right[row]))
	case inNestedParent:
		return intValue(int64(f.tree.parentLeft(row)))
	}
	return Value{}
}

// shortID returns id in hex without leading zeros.
func shortID(id model.TraceID) string {
	s := id.String()
	for i := range s {
		if s[i] != '0' {
			return s[i:]
		}
	}
	return ""
}

// events returns the rows of the events of a span, links those of its links.
func (f *frame) events(row int32) (lo, hi int32) { return childRange(f.rows.EventEnd, row) }
func (f *frame) links(row int32) (lo, hi int32)  { return childRange(f.rows.LinkEnd, row) }

func childRange(ends []int32, row int32) (lo, hi int32) {
	if int(row) >= len(ends) {
		return 0, 0
	}
	if row > 0 {
		lo = ends[row-1]
	}
	return lo, ends[row]
}
