package tracestore

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"unsafe"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// builder makes groups, span after span in order. Spans come from a batch or from other
// groups, with which the new one shares strings; those of a batch are copied. Columns are
// made in memory that is used again, and a group gets copies of just its size.
type builder struct {
	g     group
	strs  [numStrs]strBuilder
	sets  [numDomains]setBuilder
	mem   arena
	value []byte
	made  int // groups
}

func newBuilder() *builder {
	b := &builder{}
	b.strs[sRes].keep, b.strs[sScope].keep = true, true
	return b
}

// builders is a pool of them. The zero value is ready to use.
type builders struct{ pool sync.Pool }

func (p *builders) get() *builder {
	if b, ok := p.pool.Get().(*builder); ok {
		return b
	}
	return newBuilder()
}

// maxPooled is how many rows the groups of a builder may have had for it to be used again.
const maxPooled = 32 << 10

// put takes back b, which is empty and nobody may use any more.
func (p *builders) put(b *builder) {
	if b != nil && max(cap(b.g.spanID), cap(b.g.ints[iEvTime]), cap(b.g.ints[iLkFlags])) <= maxPooled {
		p.pool.Put(b)
	}
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

// finish returns the group. The builder is empty then.
func (b *builder) finish() *group {
	from := &b.g
	g := &group{
		rows:   [numDomains]int{len(from.spanID), len(from.ints[iEvTime]), len(from.ints[iLkFlags])},
		traces: slices.Clone(from.traces), ends: slices.Clone(from.ends),
		spanID: slices.Clone(from.spanID), parent: slices.Clone(from.parent),
	}
	from.traces, from.ends, from.spanID, from.parent = from.traces[:0], from.ends[:0], from.spanID[:0], from.parent[:0]
	for f, vs := range from.ints {
		if slices.ContainsFunc(vs, func(v int64) bool { return v != 0 }) {
			g.ints[f] = slices.Clone(vs)
		}
		from.ints[f] = vs[:0]
	}
	for f := range g.strs {
		g.strs[f] = b.strs[f].finish()
	}
	for d := range g.sets {
		g.sets[d] = b.sets[d].finish()
	}
	b.made++
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
	first  int32   // column of the first attribute of the last row
	next   []int32 // for each column, the one that came after it last
	key    []byte
}

// finish returns the attributes, and empties s.
func (s *setBuilder) finish() attrSet {
	out := attrSet{shapes: s.set.shapes, codes: slices.Clone(s.set.codes), cols: make([]column, len(s.set.cols))}
	for i := range s.set.cols {
		c := &s.set.cols[i]
		out.cols[i] = column{attrKey: c.attrKey, n: c.n, strs: s.cols[i].finish()}
		if len(c.ints) > 0 {
			out.cols[i].ints = slices.Clone(c.ints)
		}
		*c = column{ints: c.ints[:0]}
	}
	clear(s.index)
	clear(s.shapes)
	s.set = attrSet{cols: s.set.cols[:0], codes: s.set.codes[:0]}
	s.guess, s.last, s.first, s.next = nil, 0, 0, s.next[:0]
	return out
}

func (s *setBuilder) begin() { s.row = s.row[:0] }

// column returns the column of key, the i-th of the row in progress.
func (s *setBuilder) column(i int, key attrKey, mem *arena) int32 {
	next := &s.first
	if i > 0 {
		next = &s.next[s.row[i-1]]
	}
	c := *next
	if c >= int32(len(s.set.cols)) || s.set.cols[c].attrKey != key {
		var ok bool
		if c, ok = s.index[key]; !ok {
			c = s.newColumn(attrKey{mem.str(key.name), key.typ})
			if i > 0 { // it may have moved
				next = &s.next[s.row[i-1]]
			}
		}
		*next = c
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
	if len(s.set.cols) == cap(s.set.cols) {
		s.set.cols = append(s.set.cols, column{})
		s.cols = append(s.cols[:c], strBuilder{})
	} else { // with the memory that it had for an earlier group
		s.set.cols = s.set.cols[:c+1]
		if s.cols = s.cols[:cap(s.cols)]; len(s.cols) <= int(c) {
			s.cols = append(s.cols, strBuilder{})
		}
	}
	s.set.cols[c].attrKey = key
	s.next = append(s.next, 0)
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
	dict  []string // or all values, if plain
	codes []uint32
	index strIndex
	last  uint32 // code of the last value
	plain bool
	keep  bool
}

// From plainMin distinct values on, a column whose values are mostly distinct is plain.
const plainMin = 512

func (b *strBuilder) add(s string, mem *arena) {
	if b.plain {
		b.dict = append(b.dict, mem.str(s))
		return
	}
	if len(b.dict) > 0 && b.dict[b.last] == s {
		b.codes = append(b.codes, b.last)
		return
	}
	b.last = b.code(s, mem)
	b.codes = append(b.codes, b.last)
	if n := len(b.dict); n >= plainMin && !b.keep && n > len(b.codes)*3/4 {
		b.giveUp()
	}
}

// addCode appends a value whose code is known.
func (b *strBuilder) addCode(code uint32) { b.codes = append(b.codes, code) }

// code returns the code of s.
func (b *strBuilder) code(s string, mem *arena) uint32 {
	slot := b.index.find(s, b.dict)
	if code := *slot; code != 0 {
		return code - 1
	}
	b.dict = append(b.dict, mem.str(s))
	*slot = uint32(len(b.dict))
	return uint32(len(b.dict)) - 1
}

// giveUp puts the value of each row in its place, last row first: a code is never greater
// than the row in which it occurs first, so that no value is lost before it is used.
func (b *strBuilder) giveUp() {
	b.index.reset(len(b.dict))
	n := len(b.codes)
	b.dict = slices.Grow(b.dict, n-len(b.dict))[:n]
	for i := n - 1; i >= 0; i-- {
		b.dict[i] = b.dict[b.codes[i]]
	}
	b.codes, b.plain = b.codes[:0], true
}

// finish returns the column, and empties b.
func (b *strBuilder) finish() (out strCol) {
	switch {
	case b.plain:
		out.dict = slices.Clone(b.dict)
	case len(b.dict) > 1 || len(b.dict) == 1 && b.dict[0] != "":
		out = strCol{dict: slices.Clone(b.dict), codes: slices.Clone(b.codes)}
	}
	if !b.plain {
		b.index.reset(len(b.dict))
	}
	clear(b.dict)
	b.dict, b.codes, b.last, b.plain = b.dict[:0], b.codes[:0], 0, false
	return out
}

// strIndex finds strings in a dictionary: a hash table of codes, plus one.
type strIndex struct {
	seed  maphash.Seed
	slots []uint32 // a power of two, at least twice as many as strings
}

// find returns the slot of s, 0 if dict does not have it: the caller then appends s to
// dict and sets the slot to the length of dict.
func (x *strIndex) find(s string, dict []string) *uint32 {
	if 2*len(dict) >= len(x.slots) {
		if x.slots == nil {
			x.seed = maphash.MakeSeed()
		}
		x.slots = make([]uint32, max(16, 2*len(x.slots)))
		for i, s := range dict {
			*x.find(s, dict[:i]) = uint32(i) + 1
		}
	}
	mask := uint64(len(x.slots) - 1)
	for i := maphash.String(x.seed, s) & mask; ; i = (i + 1) & mask {
		if slot := &x.slots[i]; *slot == 0 || dict[*slot-1] == s {
			return slot
		}
	}
}

// reset empties x, which has had n strings.
func (x *strIndex) reset(n int) {
	if len(x.slots) > 64+8*n {
		x.slots = nil // clearing it each time would cost more than filling it
	}
	clear(x.slots)
}

// arena holds the bytes of many small strings. A nil arena leaves them where they are.
type arena struct{ buf []byte }

func (a *arena) str(s string) string {
	if a == nil || s == "" {
		return s
	}
	if len(s) > cap(a.buf)-len(a.buf) {
		a.buf = make([]byte, 0, max(len(s), min(64<<10, max(1<<10, 2*cap(a.buf)))))
	}
	at := len(a.buf)
	a.buf = append(a.buf, s...)
	return unsafe.String(&a.buf[at], len(s))
}
