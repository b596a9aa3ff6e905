package tracestore

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// builder makes a group, span after span in order. Spans come from OTLP data or from
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

// add appends an OTLP span; res and scope are its encoded resource and scope.
func (b *builder) add(res, scope string, s ptrace.Span) {
	b.span(model.TraceID(s.TraceID()), model.SpanID(s.SpanID()), model.SpanID(s.ParentSpanID()))
	start := int64(s.StartTimestamp())
	events, links := s.Events(), s.Links()
	ints := &b.g.ints
	ints[iStart] = append(ints[iStart], start)
	ints[iDur] = append(ints[iDur], int64(s.EndTimestamp())-start)
	ints[iKind] = append(ints[iKind], int64(s.Kind()))
	ints[iStatus] = append(ints[iStatus], int64(s.Status().Code()))
	ints[iFlags] = append(ints[iFlags], int64(s.Flags()))
	ints[iDropAttrs] = append(ints[iDropAttrs], int64(s.DroppedAttributesCount()))
	ints[iDropEvents] = append(ints[iDropEvents], int64(s.DroppedEventsCount()))
	ints[iDropLinks] = append(ints[iDropLinks], int64(s.DroppedLinksCount()))
	ints[iEvents] = append(ints[iEvents], int64(events.Len()))
	ints[iLinks] = append(ints[iLinks], int64(links.Len()))
	b.strs[sName].add(s.Name(), &b.mem)
	b.strs[sMessage].add(s.Status().Message(), &b.mem)
	b.strs[sState].add(s.TraceState().AsRaw(), &b.mem)
	b.strs[sRes].add(res, &b.mem)
	b.strs[sScope].add(scope, &b.mem)
	b.attrs(ofSpan, s.Attributes())
	for i := range events.Len() {
		e := events.At(i)
		ints[iEvTime] = append(ints[iEvTime], int64(e.Timestamp())-start)
		ints[iEvDrop] = append(ints[iEvDrop], int64(e.DroppedAttributesCount()))
		b.strs[sEvName].add(e.Name(), &b.mem)
		b.attrs(ofEvent, e.Attributes())
	}
	for i := range links.Len() {
		l := links.At(i)
		ints[iLkFlags] = append(ints[iLkFlags], int64(l.Flags()))
		ints[iLkDrop] = append(ints[iLkDrop], int64(l.DroppedAttributesCount()))
		var id [24]byte
		trace, span := l.TraceID(), l.SpanID()
		copy(id[:16], trace[:])
		copy(id[16:], span[:])
		b.strs[sLkID].add(string(id[:]), &b.mem)
		b.strs[sLkState].add(l.TraceState().AsRaw(), &b.mem)
		b.attrs(ofLink, l.Attributes())
	}
}

// attrs appends the attributes of one row.
func (b *builder) attrs(d domain, m pcommon.Map) {
	s := &b.sets[d]
	s.begin()
	i := 0
	for name, v := range m.All() {
		typ := typeOf(v)
		c := s.column(i, attrKey{name, typ}, &b.mem)
		i++
		col := &s.set.cols[c]
		col.n++
		switch typ {
		case store.ValueString:
			s.cols[c].add(v.Str(), &b.mem)
		case store.ValueInt:
			col.ints = append(col.ints, v.Int())
		case store.ValueFloat:
			col.ints = append(col.ints, int64(math.Float64bits(v.Double())))
		case store.ValueBool:
			n := int64(0)
			if v.Bool() {
				n = 1
			}
			col.ints = append(col.ints, n)
		case store.ValueArray, store.ValueOther:
			b.value = appendValue(b.value[:0], v, 0)
			s.cols[c].add(string(b.value), &b.mem)
		}
	}
	s.end()
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
