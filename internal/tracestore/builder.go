package tracestore

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// builder makes a group, span after span in order. Spans come from a batch or from
// other groups. Everything is copied.
type builder struct {
	g     group
	strs  [numStrs]strBuilder
	sets  [numDomains]setBuilder
	mem   arena
	value []byte
}

func newBuilder(spans int) *builder {
	b := &builder{}
	b.g.spanID = make([]model.SpanID, 0, spans)
	b.g.parent = make([]model.SpanID, 0, spans)
	for f := range iEvTime {
		b.g.ints[f] = make([]int64, 0, spans)
	}
	b.strs[sRes].keep, b.strs[sScope].keep = true, true
	return b
}

func (b *builder) len() int { return len(b.g.spanID) }

func (b *builder) children() int { return len(b.g.ints[iEvTime]) + len(b.g.ints[iLkFlags]) }

// span begins the next span.
func (b *builder) span(trace model.TraceID, id, parent model.SpanID) {
	g := &b.g
	if n := len(g.traces); n == 0 || g.traces[n-1] != trace {
		g.traces = append(g.traces, trace)
		g.ends = append(g.ends, int32(len(g.spanID)))
	}
	g.ends[len(g.ends)-1]++
	g.spanID = append(g.spanID, id)
	g.parent = append(g.parent, parent)
}

// finish returns the group. The builder cannot be used any more.
func (b *builder) finish() *group {
	g := &b.g
	g.rows = [numDomains]int{len(g.spanID), len(g.ints[iEvTime]), len(g.ints[iLkFlags])}
	for f := range g.ints {
		if !slices.ContainsFunc(g.ints[f], func(v int64) bool { return v != 0 }) {
			g.ints[f] = nil
		}
	}
	for f := range g.strs {
		g.strs[f] = b.strs[f].finish()
	}
	for d := range g.sets {
		s := &b.sets[d]
		for i := range s.cols {
			s.set.cols[i].strs = s.cols[i].finish()
		}
		g.sets[d] = s.set
	}
	g.complete()
	return g
}

// add appends span s of in; res and scope are its encoded resource and scope.
func (b *builder) add(res, scope string, in *spans.Batch, s *spans.Span) {
	b.span(s.TraceID, s.SpanID, s.Parent)
	ints := &b.g.ints
	ints[iStart] = append(ints[iStart], s.Start)
	ints[iDur] = append(ints[iDur], s.End-s.Start)
	ints[iKind] = append(ints[iKind], int64(s.Kind))
	ints[iStatus] = append(ints[iStatus], int64(s.Status))
	ints[iFlags] = append(ints[iFlags], int64(s.Flags))
	ints[iDropAttrs] = append(ints[iDropAttrs], int64(s.DroppedAttrs))
	ints[iDropEvents] = append(ints[iDropEvents], int64(s.DroppedEvents))
	ints[iDropLinks] = append(ints[iDropLinks], int64(s.DroppedLinks))
	ints[iEvents] = append(ints[iEvents], int64(s.Events.Len()))
	ints[iLinks] = append(ints[iLinks], int64(s.Links.Len()))
	b.strs[sName].add(s.Name, &b.mem)
	b.strs[sMessage].add(s.StatusMessage, &b.mem)
	b.strs[sState].add(s.TraceState, &b.mem)
	b.strs[sRes].add(res, &b.mem)
	b.strs[sScope].add(scope, &b.mem)
	b.attrs(ofSpan, in, s.Attrs)
	for i := s.Events.From; i < s.Events.To; i++ {
		e := &in.Events[i]
		ints[iEvTime] = append(ints[iEvTime], e.Time-s.Start)
		ints[iEvDrop] = append(ints[iEvDrop], int64(e.Dropped))
		b.strs[sEvName].add(e.Name, &b.mem)
		b.attrs(ofEvent, in, e.Attrs)
	}
	for i := s.Links.From; i < s.Links.To; i++ {
		l := &in.Links[i]
		ints[iLkFlags] = append(ints[iLkFlags], int64(l.Flags))
		ints[iLkDrop] = append(ints[iLkDrop], int64(l.Dropped))
		b.value = append(append(b.value[:0], l.TraceID[:]...), l.SpanID[:]...)
		b.strs[sLkID].add(string(b.value), &b.mem)
		b.strs[sLkState].add(l.TraceState, &b.mem)
		b.attrs(ofLink, in, l.Attrs)
	}
}

// attrs appends the attributes of one row.
func (b *builder) attrs(d domain, in *spans.Batch, r spans.Range) {
	set := &b.sets[d]
	set.begin()
	for i, attrs := 0, in.AttrsOf(r); i < len(attrs); i++ {
		a := &attrs[i]
		typ := typeOf(in, &a.Value)
		c := set.column(i, attrKey{a.Key, typ}, &b.mem)
		col := &set.set.cols[c]
		col.n++
		switch typ {
		case store.ValueString:
			set.cols[c].add(a.Str, &b.mem)
		case store.ValueInt, store.ValueFloat, store.ValueBool:
			col.ints = append(col.ints, int64(a.Num))
		case store.ValueArray, store.ValueOther:
			b.value = appendValue(b.value[:0], in, &a.Value, 0)
			set.cols[c].add(string(b.value), &b.mem)
		case store.ValueNone:
		}
	}
	set.end()
}

// setBuilder makes the attributes of a domain.
type setBuilder struct {
	set    attrSet
	cols   []strBuilder // of set.cols
	index  map[attrKey]int32
	shapes map[string]int32
	row    []int32 // columns of the row in progress
	guess  []int32 // shape of the last row: the next is likely to have it, too
	last   int32   // its code
	key    []byte
}

func (s *setBuilder) begin() { s.row = s.row[:0] }

// column returns the column of key, the i-th of the row in progress.
func (s *setBuilder) column(i int, key attrKey, mem *arena) int32 {
	if i < len(s.guess) {
		if c := s.guess[i]; s.set.cols[c].attrKey == key {
			s.row = append(s.row, c)
			return c
		}
	}
	c, ok := s.index[key]
	if !ok {
		c = s.newColumn(attrKey{mem.str(key.name), key.typ})
	}
	s.row = append(s.row, c)
	return c
}

func (s *setBuilder) newColumn(key attrKey) int32 {
	if s.index == nil {
		s.index = map[attrKey]int32{}
	}
	c := int32(len(s.set.cols))
	s.index[key] = c
	s.set.cols = append(s.set.cols, column{attrKey: key})
	s.cols = append(s.cols, strBuilder{})
	return c
}

// end finds the shape of the row and finishes it.
func (s *setBuilder) end() {
	if len(s.set.shapes) > 0 && slices.Equal(s.row, s.guess) {
		s.set.codes = append(s.set.codes, s.last)
		return
	}
	code := s.shape(s.row)
	s.set.codes = append(s.set.codes, code)
	s.guess, s.last = s.set.shapes[code], code
}

func (s *setBuilder) shape(cols []int32) int32 {
	s.key = s.key[:0]
	for _, c := range cols {
		s.key = binary.LittleEndian.AppendUint32(s.key, uint32(c))
	}
	code, ok := s.shapes[string(s.key)]
	if !ok {
		if s.shapes == nil {
			s.shapes = map[string]int32{}
		}
		code = int32(len(s.set.shapes))
		s.shapes[string(s.key)] = code
		s.set.shapes = append(s.set.shapes, slices.Clone(cols))
	}
	return code
}

// strBuilder makes a strCol. It gives the dictionary up when most values are distinct,
// unless keep is set.
type strBuilder struct {
	col   strCol
	index map[string]uint32
	last  uint32 // code of the last value
	plain bool
	keep  bool
}

// From plainMin distinct values on, a column whose values are mostly distinct is plain.
const plainMin = 512

func (b *strBuilder) add(s string, mem *arena) {
	if b.plain {
		b.col.dict = append(b.col.dict, mem.str(s))
		return
	}
	if len(b.col.dict) > 0 && b.col.dict[b.last] == s {
		b.col.codes = append(b.col.codes, b.last)
		return
	}
	b.last = b.code(s, mem)
	b.col.codes = append(b.col.codes, b.last)
	if n := len(b.col.dict); n >= plainMin && !b.keep && n > len(b.col.codes)*3/4 {
		b.giveUp()
	}
}

// addCode appends a value whose code is known.
func (b *strBuilder) addCode(code uint32) { b.col.codes = append(b.col.codes, code) }

// code returns the code of s.
func (b *strBuilder) code(s string, mem *arena) uint32 {
	code, ok := b.index[s]
	if !ok {
		if b.index == nil {
			b.index = map[string]uint32{}
		}
		s = mem.str(s)
		code = uint32(len(b.col.dict))
		b.index[s] = code
		b.col.dict = append(b.col.dict, s)
	}
	return code
}

func (b *strBuilder) giveUp() {
	vs := make([]string, len(b.col.codes), 2*len(b.col.codes))
	for i, c := range b.col.codes {
		vs[i] = b.col.dict[c]
	}
	b.col, b.index, b.plain = strCol{dict: vs}, nil, true
}

func (b *strBuilder) finish() strCol {
	if len(b.col.dict) == 1 && b.col.dict[0] == "" {
		return strCol{}
	}
	return b.col
}

// arena holds the bytes of many small strings.
type arena struct{ buf []byte }

func (a *arena) str(s string) string {
	if s == "" {
		return ""
	}
	if len(s) > cap(a.buf)-len(a.buf) {
		a.buf = make([]byte, 0, max(len(s), min(64<<10, max(1<<10, 2*cap(a.buf)))))
	}
	at := len(a.buf)
	a.buf = append(a.buf, s...)
	return unsafe.String(&a.buf[at], len(s))
}
