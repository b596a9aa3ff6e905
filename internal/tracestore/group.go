package tracestore

import (
	"iter"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// domain says what a column has one value of: spans, events or links.
type domain int

const (
	ofSpan domain = iota
	ofEvent
	ofLink
	numDomains
)

// The integer fields, in the order of their numbers on disk. Event times count from the
// start of their span.
const (
	iStart = iota
	iDur   // end - start, as written: negative if the span ends before it starts
	iKind
	iStatus
	iFlags
	iDropAttrs
	iDropEvents
	iDropLinks
	iEvents // number of events
	iLinks
	iEvTime
	iEvDrop
	iLkFlags
	iLkDrop
	numInts
)

// The string fields, in the order of their numbers on disk. Resources and scopes are
// protobuf messages with their schema URL; a link id is its trace id and span id.
const (
	sName = iota
	sMessage
	sState
	sRes
	sScope
	sEvName
	sLkID
	sLkState
	numStrs
)

func intDomain(f int) domain {
	switch {
	case f >= iLkFlags:
		return ofLink
	case f >= iEvTime:
		return ofEvent
	}
	return ofSpan
}

func strDomain(f int) domain {
	switch {
	case f >= sLkID:
		return ofLink
	case f >= sEvName:
		return ofEvent
	}
	return ofSpan
}

// group is a run of spans in the order of trace id, start, span id and kind, as columns.
// It is the unit of everything: an appended batch, an entry of the log, the head, and
// the row groups of a part are groups, and one merge turns many into few. No two spans
// of a group are the same span.
//
// A group made in memory is complete and immutable. One opened from a part reads each
// section when need asks for it, and belongs to one goroutine.
type group struct {
	rows   [numDomains]int // spans, events, links
	traces []model.TraceID // distinct, ascending
	ends   []int32         // index after the last span of traces[i]
	spanID []model.SpanID
	parent []model.SpanID
	ints   [numInts][]int64 // nil if all are 0
	strs   [numStrs]strCol
	sets   [numDomains]attrSet

	times zone          // first start, last end, of a complete group
	mem   int64         // bytes, of a complete group
	zones [numInts]zone // of an opened group
	src   *source       // nil if the group is complete
}

// zone is the range of a column's values.
type zone struct{ lo, hi int64 }

// strCol is a column of strings: row i is dict[codes[i]], or dict[i] if codes is nil, or
// "" if dict is nil, too.
type strCol struct {
	dict  []string
	codes []uint32
}

func (c *strCol) at(i int) string {
	switch {
	case c.codes != nil:
		return c.dict[c.codes[i]]
	case c.dict != nil:
		return c.dict[i]
	}
	return ""
}

// code returns the index of row i in dict.
func (c *strCol) code(i int) int {
	if c.codes != nil {
		return int(c.codes[i])
	}
	return i
}

func intAt(vs []int64, i int) int64 {
	if vs == nil {
		return 0
	}
	return vs[i]
}

// attrSet is the attributes of all rows of a domain. A shape is the columns of one row in
// the order of its attributes; rows that come from the same code share it. A column holds
// values only for the rows whose shape has it.
type attrSet struct {
	cols   []column
	shapes [][]int32 // column indexes
	codes  []int32   // shape of each row
}

// column is the values of one attribute and type, in the order of rows.
type column struct {
	attrKey
	n    int
	ints []int64 // of ValueInt, ValueBool, and the bits of ValueFloat
	strs strCol  // of ValueString, and encoded values of ValueArray and ValueOther

	zone   zone // of an opened column of integers
	ref    part.Ref
	part   *partial     // of numbers that are not all there
	text   *partialText // of strings that are not all there
	loaded bool
}

// attrKey tells columns of a set apart.
type attrKey struct {
	name string
	typ  store.ValueType
}

func isText(t store.ValueType) bool {
	return t == store.ValueString || t == store.ValueArray || t == store.ValueOther
}

func isNumber(t store.ValueType) bool {
	return t == store.ValueInt || t == store.ValueBool || t == store.ValueFloat
}

func (g *group) len() int { return g.rows[ofSpan] }

func (g *group) first() model.TraceID { return g.traces[0] }
func (g *group) last() model.TraceID  { return g.traces[len(g.traces)-1] }

// run returns the spans of traces[i].
func (g *group) run(i int) (from, to int) {
	if i > 0 {
		from = int(g.ends[i-1])
	}
	return from, int(g.ends[i])
}

// duration is the time span i took, never negative.
func (g *group) duration(i int) int64 { return max(0, intAt(g.ints[iDur], i)) }

// childEnds returns the index after the last child row of each span.
func childEnds(counts []int64, spans int) []int32 {
	out := make([]int32, spans)
	var n int32
	for i := range out {
		n += int32(intAt(counts, i))
		out[i] = n
	}
	return out
}

func childRange(ends []int32, i int) (from, to int) {
	if i > 0 {
		from = int(ends[i-1])
	}
	return from, int(ends[i])
}

// complete notes what is asked of complete groups again and again.
func (g *group) complete() {
	g.src, g.mem = nil, g.bytes()
	for d := range g.sets {
		for i := range g.sets[d].cols {
			g.sets[d].cols[i].part, g.sets[d].cols[i].text = nil, nil
		}
	}
	var lo, hi int64
	for i := range g.len() {
		start := intAt(g.ints[iStart], i)
		end := endOf(start, g.duration(i))
		if i == 0 {
			lo, hi = start, end
		}
		lo, hi = min(lo, start), max(hi, end)
	}
	g.times = zone{lo, hi}
}

// attrs yields the attributes that occur.
func (g *group) attrs(res resources) iter.Seq[store.Attr] {
	return func(yield func(store.Attr) bool) {
		for d, scope := range [...]store.AttrScope{store.ScopeSpan, store.ScopeEvent, store.ScopeLink} {
			for _, c := range g.sets[d].cols {
				if c.typ != store.ValueNone && !yield(store.Attr{Scope: scope, Name: c.name}) {
					return
				}
			}
		}
		for _, payload := range g.strs[sRes].dict {
			for _, a := range res.resource(payload).attrs {
				if !yield(store.Attr{Scope: store.ScopeResource, Name: a.name}) {
					return
				}
			}
		}
		for _, payload := range g.strs[sScope].dict {
			for _, a := range res.scope(payload).attrs {
				if !yield(store.Attr{Scope: store.ScopeInstrumentation, Name: a.name}) {
					return
				}
			}
		}
	}
}

// endOf adds without overflow.
func endOf(start, duration int64) int64 {
	if end := start + duration; end >= start {
		return end
	}
	return 1<<63 - 1
}

// size returns the bytes read of an opened group, or the memory of a complete one.
func (g *group) size() int64 {
	if g.src != nil {
		return g.src.bytes
	}
	return g.mem
}

// bytes estimates the memory of a complete group.
func (g *group) bytes() int64 {
	n := int64(len(g.traces)*20 + len(g.spanID)*16)
	for _, c := range g.ints {
		n += int64(len(c) * 8)
	}
	for i := range g.strs {
		n += g.strs[i].bytes()
	}
	for i := range g.sets {
		s := &g.sets[i]
		n += int64(len(s.codes) * 4)
		for j := range s.cols {
			n += int64(len(s.cols[j].ints)*8) + s.cols[j].strs.bytes() + 100
		}
	}
	return n + 2000
}

func (c *strCol) bytes() int64 {
	n := int64(len(c.codes) * 4)
	for _, s := range c.dict {
		n += int64(16 + len(s))
	}
	return n
}

// attrCursor walks the values of a set, row after row.
type attrCursor struct {
	row  int
	next []int // per column, the index of its next value
	rows []int // per shape, rows that were passed; reused
}

func newAttrCursor(s *attrSet) attrCursor { return attrCursor{next: make([]int, len(s.cols))} }

// seek moves to row. Rows are asked for in ascending order; anything else is slow.
func (c *attrCursor) seek(s *attrSet, row int) {
	if row < c.row {
		clear(c.next)
		c.row = 0
	}
	passed := s.codes[c.row:row]
	c.row = row
	if len(passed) < 2*len(s.shapes) {
		for _, code := range passed {
			for _, col := range s.shapes[code] {
				c.next[col]++
			}
		}
		return
	}
	if c.rows == nil {
		c.rows = make([]int, len(s.shapes))
	}
	for _, code := range passed {
		c.rows[code]++
	}
	for code, n := range c.rows {
		for _, col := range s.shapes[code] {
			c.next[col] += n
		}
		c.rows[code] = 0
	}
}
