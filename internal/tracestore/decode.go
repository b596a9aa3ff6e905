package tracestore

import (
	"math"
	"sort"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Sections of a group besides its columns, in the order of the header.
const (
	secIDs = iota
	secSpanID
	secParent
	secInts
	secStrs   = secInts + numInts
	secShapes = secStrs + numStrs
	numFixed  = secShapes + int(numDomains)
)

// source is where an opened group reads its sections.
type source struct {
	read   readSection
	z      *codec.Zstd
	mem    *scratch
	refs   [numFixed]part.Ref
	loaded [numFixed]bool
	ints   [numFixed]*partial // of fields and parents
	strs   [numStrs]*partialText
	starts *partialStarts
	traces int
	bytes  int64 // read so far
}

// readSection returns the bytes of a section, which may lie in buf.
type readSection func(ref part.Ref, buf []byte) ([]byte, error)

// maxColumns bounds the columns of a set in a file.
const maxColumns = 1 << 20

// openGroup reads a header. Sections are read by need, into mem.
func openGroup(header []byte, read readSection, z *codec.Zstd, mem *scratch) (*group, error) {
	r := codec.NewReader(header)
	text := string(header) // that names share
	if v := r.Byte(); v < 1 || v > groupVersion {
		r.Fail("group of version %d, this program reads 1 to %d", v, groupVersion)
	}
	g := &group{src: &source{read: read, z: z, mem: mem}}
	for d := range g.rows {
		g.rows[d] = r.Count(codec.MaxCount)
	}
	g.src.traces = r.Count(g.len())
	var end uint64
	ref := func() part.Ref {
		n := r.Uvarint()
		if n == 0 {
			return part.Ref{}
		}
		if n > math.MaxUint32 {
			r.Fail("section of %d bytes", n)
		}
		out := part.Ref{Off: end + r.Uvarint(), Len: uint32(n)}
		end = out.Off + n
		return out
	}
	for s := range secInts {
		g.src.refs[s] = ref()
	}
	for f := range numInts {
		g.src.refs[secInts+f] = ref()
		g.zones[f] = zone{r.Varint(), r.Varint()}
	}
	for f := range numStrs {
		g.src.refs[secStrs+f] = ref()
	}
	for d := range g.sets {
		n := r.Count(min(maxColumns, r.Len()))
		g.src.refs[secShapes+d] = ref()
		g.sets[d].cols = make([]column, n)
		for i := range g.sets[d].cols {
			c := &g.sets[d].cols[i]
			n := len(r.Bytes())
			c.name = text[len(text)-r.Len()-n:][:n]
			c.typ = store.ValueType(r.Byte())
			c.n = r.Count(codec.MaxCount)
			c.ref = ref()
			if c.typ == store.ValueInt || c.typ == store.ValueBool {
				c.zone = zone{r.Varint(), r.Varint()}
			}
			if c.typ > store.ValueOther {
				r.Fail("column of type %d", c.typ)
			}
		}
	}
	return g, r.Err()
}

// section reads one section; nil if it is empty. It is valid until the next one is read.
func (g *group) section(ref part.Ref) ([]byte, error) {
	if ref.Len == 0 {
		return nil, nil
	}
	g.src.bytes += int64(ref.Len)
	b, err := g.src.read(ref, g.src.mem.section)
	if cap(b) > cap(g.src.mem.section) {
		g.src.mem.section = b[:0]
	}
	return b, err
}

// decoder returns a decoder of a section.
func (g *group) decoder(section []byte) *decoder {
	return &decoder{Reader: codec.NewReader(section), z: g.src.z, mem: g.src.mem}
}

// need reads the fixed sections named, if they are not there.
func (g *group) need(sections ...int) error {
	if g.src == nil {
		return nil
	}
	for _, s := range sections {
		if g.src.loaded[s] {
			continue
		}
		if err := g.need(before(s)...); err != nil {
			return err
		}
		if err := g.load(s); err != nil {
			return err
		}
		g.src.loaded[s] = true
	}
	return nil
}

// load reads all of section s.
func (g *group) load(s int) error {
	switch {
	case s >= secInts && s < secStrs:
		return g.needInts(s-secInts, 0, g.rows[intDomain(s-secInts)])
	case s >= secStrs && s < secShapes:
		return g.needStrs(s-secStrs, 0, g.rows[strDomain(s-secStrs)])
	case s == secParent:
		return g.needParents(0, g.len())
	}
	b, err := g.section(g.src.refs[s])
	if err != nil {
		return err
	}
	r := g.decoder(b)
	switch s {
	case secIDs:
		g.decodeIDs(r)
	case secSpanID:
		g.spanID = decodeSpanIDs(r, g.len())
	default:
		g.decodeShapes(r, domain(s-secShapes))
	}
	return r.Err()
}

// open returns a decoder of section s, nil if it is empty or all of it is there.
func (g *group) open(s int) (*decoder, error) {
	if g.src == nil || g.src.loaded[s] {
		return nil, nil
	}
	if err := g.need(before(s)...); err != nil {
		return nil, err
	}
	b, err := g.section(g.src.refs[s])
	if b == nil || err != nil {
		g.src.loaded[s] = err == nil
		return nil, err
	}
	return g.decoder(b), nil
}

// needInts reads the rows from..to of integer field f; of start times those of all traces
// that these rows are of.
func (g *group) needInts(f, from, to int) error {
	if f == iStart {
		return g.needStarts(from, to)
	}
	if g.src == nil {
		return nil
	}
	s := secInts + f
	if g.src.ints[s] == nil {
		r, err := g.open(s)
		if r == nil || err != nil {
			return err
		}
		p := r.partial(g.rows[intDomain(f)])
		if err := r.Err(); err != nil {
			return err
		}
		g.src.ints[s], g.ints[f] = p, p.vals
	}
	g.src.ints[s].need(from, to)
	return nil
}

func (g *group) needStarts(from, to int) error {
	if g.src == nil {
		return nil
	}
	if g.src.starts == nil {
		r, err := g.open(secInts + iStart)
		if r == nil || err != nil {
			return err
		}
		starts := r.partialStarts(g.src.traces, g.len())
		if err := r.Err(); err != nil {
			return err
		}
		g.src.starts, g.ints[iStart] = starts, r.mem.ints.take(g.len())[:g.len()]
	}
	t := sort.Search(len(g.ends), func(t int) bool { return int(g.ends[t]) > from })
	for ; t < len(g.ends) && from < to; t++ {
		g.src.starts.need(g, t)
		from = int(g.ends[t])
	}
	return nil
}

// needStrs reads the rows from..to of string field f.
func (g *group) needStrs(f, from, to int) error {
	text, err := g.openStrs(f)
	if text == nil || err != nil {
		return err
	}
	return text.need(&g.strs[f], from, to)
}

// openStrs reads what there is of string field f without its rows; nil if it is all there.
func (g *group) openStrs(f int) (*partialText, error) {
	if g.src == nil || g.src.loaded[secStrs+f] {
		return nil, nil
	}
	if g.src.strs[f] == nil {
		r, err := g.open(secStrs + f)
		if r == nil || err != nil {
			return nil, err
		}
		c, text := r.partialStrs(g.rows[strDomain(f)])
		if text != nil && text.texts != nil && (f == sRes || f == sScope) {
			r.Fail("messages in patterns")
		}
		if err := r.Err(); err != nil {
			return nil, err
		}
		g.strs[f], g.src.strs[f] = c, text
	}
	return g.src.strs[f], nil
}

// needParents reads the parents of the spans from..to.
func (g *group) needParents(from, to int) error {
	if g.src == nil {
		return nil
	}
	p := g.src.ints[secParent]
	if p == nil {
		r, err := g.open(secParent)
		if r == nil || err != nil {
			return err
		}
		p = r.partial(g.len())
		if r.Len() > 0 { // ids of parents that are not here: the rows before tell whose
			g.decodeParents(r, p)
			g.src.loaded[secParent] = true
		}
		if err := r.Err(); err != nil {
			return err
		}
		if g.src.loaded[secParent] {
			return nil
		}
		g.src.ints[secParent], g.parent = p, r.mem.ids.take(g.len())[:g.len()]
	}
	return g.parentsIn(p, from, to)
}

// before returns the sections without which section s cannot be decoded.
func before(s int) []int {
	switch s {
	case secParent:
		return []int{secIDs, secSpanID}
	case secInts + iStart:
		return []int{secIDs}
	}
	return nil
}

// needColumn reads a column of attributes. Which rows have its values, the shapes say.
func (g *group) needColumn(d domain, i int) error {
	c := &g.sets[d].cols[i]
	if g.src == nil || c.loaded {
		return nil
	}
	if err := g.needColumnIn(d, i, 0, c.n); err != nil {
		return err
	}
	c.loaded = true
	return nil
}

// needColumnIn reads the values from..to of a column of attributes.
func (g *group) needColumnIn(d domain, i, from, to int) error {
	c := &g.sets[d].cols[i]
	if err := g.openColumn(c); err != nil {
		return err
	}
	switch {
	case c.part != nil:
		c.part.need(from, to)
	case c.text != nil:
		return c.text.need(&c.strs, from, to)
	}
	return nil
}

// openColumn reads what there is of a column without its rows.
func (g *group) openColumn(c *column) error {
	if g.src == nil || c.loaded || c.part != nil || c.text != nil {
		return nil
	}
	b, err := g.section(c.ref)
	if err != nil {
		return err
	}
	r := g.decoder(b)
	switch {
	case c.typ == store.ValueFloat:
		c.ints = r.floats(c.n)
		c.loaded = true
	case isNumber(c.typ):
		if c.part = r.partial(c.n); c.part != nil {
			c.ints = c.part.vals
		}
	case isText(c.typ) && b != nil:
		c.strs, c.text = r.partialStrs(c.n)
	default:
		c.loaded = true
	}
	return r.Err()
}

// needRows reads what there is of the spans from..to, which are whole traces.
func (g *group) needRows(from, to int) error {
	if g.src == nil {
		return nil
	}
	if err := g.needChildren(); err != nil {
		return err
	}
	rows := [numDomains]zone{ofSpan: {int64(from), int64(to)}}
	for i := range to {
		events, links := intAt(g.ints[iEvents], i), intAt(g.ints[iLinks], i)
		if i < from {
			rows[ofEvent].lo += events
			rows[ofLink].lo += links
		}
		rows[ofEvent].hi += events
		rows[ofLink].hi += links
	}
	if err := g.need(secIDs, secSpanID); err != nil {
		return err
	}
	if err := g.needParents(from, to); err != nil {
		return err
	}
	for d, r := range rows {
		if r.lo < r.hi {
			if err := g.needDomain(domain(d), int(r.lo), int(r.hi)); err != nil {
				return err
			}
		}
	}
	return nil
}

// needDomain reads the rows from..to of a domain.
func (g *group) needDomain(d domain, from, to int) error {
	for f := range numInts {
		if intDomain(f) == d {
			if err := g.needInts(f, from, to); err != nil {
				return err
			}
		}
	}
	for f := range numStrs {
		if strDomain(f) == d {
			if err := g.needStrs(f, from, to); err != nil {
				return err
			}
		}
	}
	if err := g.need(secShapes + int(d)); err != nil {
		return err
	}
	cursor := newAttrCursor(&g.sets[d])
	cursor.seek(&g.sets[d], from)
	return g.needValues(d, &cursor, to, func(int) bool { return true })
}

// needValues reads the values of the rows from that of cursor up to to, of the columns that
// are wanted.
func (g *group) needValues(d domain, cursor *attrCursor, to int, want func(col int) bool) error {
	set := &g.sets[d]
	counts := make([]int, len(set.cols))
	for _, code := range set.codes[cursor.row:to] {
		for _, col := range set.shapes[code] {
			counts[col]++
		}
	}
	for col, n := range counts {
		if at := cursor.next[col]; n > 0 && want(col) {
			if err := g.needColumnIn(d, col, at, at+n); err != nil {
				return err
			}
		}
	}
	return nil
}

// needAll makes the group complete.
func (g *group) needAll() error {
	for s := range numFixed {
		if err := g.need(s); err != nil {
			return err
		}
	}
	for d := range g.sets {
		for i := range g.sets[d].cols {
			if err := g.needColumn(domain(d), i); err != nil {
				return err
			}
		}
	}
	return g.checkChildren()
}

// checkChildren checks that the events and links of the spans are those there are.
func (g *group) checkChildren() error {
	r := codec.NewReader(nil)
	for _, c := range []struct {
		field int
		rows  int
	}{{iEvents, g.rows[ofEvent]}, {iLinks, g.rows[ofLink]}} {
		sum := 0
		for _, n := range g.ints[c.field] {
			if n < 0 || n > int64(c.rows) {
				r.Fail("span with %d children", n)
				return r.Err()
			}
			sum += int(n)
		}
		if sum != c.rows {
			r.Fail("spans have %d children, there are %d", sum, c.rows)
		}
	}
	return r.Err()
}

// decoder reads columns of a known length.
type decoder struct {
	*codec.Reader
	z   *codec.Zstd
	mem *scratch
}

// roomyBlock is the least room for a decompressed block: the decompressor takes a slower
// way where there is none for 128 KiB more than there is to come.
const roomyBlock = 384 << 10

// block reads a block that may be compressed. It is valid until the next one is read.
func (r *decoder) block() []byte {
	if r.z != nil && r.mem.block == nil {
		r.mem.block = make([]byte, 0, roomyBlock)
	}
	rest := r.Rest()
	data, used, after, err := r.z.Decode(r.mem.block[:0], rest)
	if err != nil {
		r.Fail("%v", err)
		return nil
	}
	r.mem.block = used
	r.Take(len(rest) - len(after))
	return data
}

// numbers reads integers of any count, appended to dst.
func (r *decoder) numbers(dst []int64) []int64 {
	if r.Byte() == 0 {
		return r.Ints(dst)
	}
	in := codec.NewReader(r.block())
	if r.Err() != nil {
		return nil
	}
	vs := in.Ints(dst)
	if err := in.Err(); err != nil {
		r.Fail("%v", err)
	}
	return vs
}

// ints reads n numbers, to be kept.
func (r *decoder) ints(n int) []int64 {
	return r.exactly(n, r.numbers(r.mem.ints.take(n)))
}

// passing reads n numbers that are valid until numbers are read again.
func (r *decoder) passing(n int) []int64 {
	r.mem.nums = r.numbers(r.mem.nums[:0])
	return r.exactly(n, r.mem.nums)
}

func (r *decoder) exactly(n int, vs []int64) []int64 {
	if len(vs) != n {
		r.Fail("column of %d numbers, want %d", len(vs), n)
		return nil
	}
	return vs
}

// codes reads n numbers below limit, valid until numbers are read again.
func (r *decoder) codes(n, limit int) []int64 {
	vs := r.passing(n)
	for _, v := range vs {
		if uint64(v) >= uint64(limit) {
			r.Fail("code %d of %d", v, limit)
			return nil
		}
	}
	return vs
}

func (r *decoder) floats(n int) []int64 {
	vs, rest, err := r.mem.codec.Decode(r.mem.floats[:0], r.Rest())
	if err != nil || len(vs) != n {
		r.Fail("column of %d floats, want %d: %v", len(vs), n, err)
		return nil
	}
	r.mem.floats = vs
	r.Take(r.Len() - len(rest))
	out := r.mem.ints.take(n)[:n]
	for i, v := range vs {
		out[i] = int64(math.Float64bits(v))
	}
	return out
}

func decodeSpanIDs(r *decoder, n int) []model.SpanID {
	b := r.Take(8 * n)
	ids := r.mem.ids.take(len(b) / 8)[:len(b)/8]
	for i := range ids {
		ids[i] = model.SpanID(b[8*i:])
	}
	return ids
}

func (g *group) decodeIDs(r *decoder) {
	counts := r.passing(g.src.traces)
	g.ends = make([]int32, 0, len(counts))
	g.traces = make([]model.TraceID, 0, len(counts))
	total := 0
	for _, n := range counts {
		if n < 1 || n > int64(g.len()-total) {
			r.Fail("trace of %d spans", n)
			return
		}
		total += int(n)
		g.ends = append(g.ends, int32(total))
	}
	if total != g.len() {
		r.Fail("traces have %d spans of %d", total, g.len())
	}
	b := r.Take(16 * len(counts))
	for i := 0; i < len(b); i += 16 {
		id := model.TraceID(b[i:])
		if i > 0 && g.last().Compare(id) >= 0 {
			r.Fail("trace %s after %s", id, g.last())
			return
		}
		g.traces = append(g.traces, id)
	}
}

// decodeParents reads the parents of all spans, some of which are not in the group.
func (g *group) decodeParents(r *decoder, p *partial) {
	if r.Err() != nil {
		return
	}
	p.need(0, g.len())
	g.parent = r.mem.ids.take(g.len())[:g.len()]
	for i, v := range p.vals {
		if v != parentOther {
			g.parentRow(r, i, v)
			continue
		}
		if b := r.Take(8); b != nil {
			g.parent[i] = model.SpanID(b)
		}
	}
}

// parentsIn sets the parents of the spans from..to, all of which are in the group.
func (g *group) parentsIn(p *partial, from, to int) error {
	r := &decoder{Reader: codec.NewReader(nil)}
	p.need(from, to)
	for i := from; i < to; i++ {
		g.parentRow(r, i, p.vals[i])
	}
	return r.Err()
}

// parentRow sets the parent of span i, which v says is none or a span of the group.
func (g *group) parentRow(r *decoder, i int, v int64) {
	if v == parentNone {
		g.parent[i] = model.SpanID{}
		return
	}
	u := uint64(v - parentRow)
	row := int64(i) + (int64(u>>1) ^ -int64(u&1))
	if v < parentRow || row < 0 || row >= int64(len(g.spanID)) {
		r.Fail("parent %d of row %d", v, i)
		return
	}
	g.parent[i] = g.spanID[row]
}

// decodeShapes reads the shapes, and checks that the columns hold as many values as the
// rows want.
func (g *group) decodeShapes(r *decoder, d domain) {
	s := &g.sets[d]
	if g.rows[d] == 0 {
		return
	}
	in := codec.NewReader(r.block())
	for range in.Count(in.Len()) {
		shape := make([]int32, 0, 8)
		for range in.Count(in.Len()) {
			if len(s.cols) == 0 {
				in.Fail("attribute of no column")
				break
			}
			shape = append(shape, int32(in.Count(len(s.cols)-1)))
		}
		s.shapes = append(s.shapes, shape)
	}
	if err := in.Err(); err != nil {
		r.Fail("%v", err)
		return
	}
	codes := r.codes(g.rows[d], len(s.shapes))
	s.codes = r.mem.shapes.take(len(codes))[:len(codes)]
	rows := make([]int, len(s.shapes))
	for i, c := range codes {
		s.codes[i] = int32(c)
		rows[c]++
	}
	if r.Err() != nil {
		return
	}
	values := make([]int, len(s.cols))
	for shape, n := range rows {
		for _, c := range s.shapes[shape] {
			values[c] += n
		}
	}
	for i := range s.cols {
		if s.cols[i].n != values[i] {
			r.Fail("column %q has %d values, its rows want %d", s.cols[i].name, s.cols[i].n, values[i])
			return
		}
	}
}
