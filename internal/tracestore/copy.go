package tracestore

import (
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// copier copies rows of one group, in ascending order, to a builder. It remembers what
// became of each string, column and shape of the source, so that a value costs a look
// into an array. The group must have every section.
type copier struct {
	g      *group
	b      *builder
	made   int     // groups that b had made
	events []int32 // ends
	links  []int32
	strs   [numStrs]codeMap
	sets   [numDomains]setCopier
}

// codeMap maps codes of a source column to codes of the builder's, plus one; 0 is not
// known yet.
type codeMap []uint32

type setCopier struct {
	cursor attrCursor
	cols   []int32 // column of the builder, plus one
	strs   []codeMap
	shapes []int32 // shape of the builder, plus one
}

func newCopier(g *group, b *builder) *copier {
	c := &copier{g: g, events: childEnds(g.ints[iEvents], g.len()), links: childEnds(g.ints[iLinks], g.len())}
	for d := range c.sets {
		c.sets[d].cursor = newAttrCursor(&g.sets[d])
	}
	c.bind(b)
	return c
}

// bound reports whether rows go to the group that b makes now.
func (c *copier) bound(b *builder) bool { return c.b == b && c.made == b.made }

// bind makes b the builder that rows go to from now on.
func (c *copier) bind(b *builder) {
	c.b, c.made = b, b.made
	c.strs = [numStrs]codeMap{}
	for d := range c.sets {
		set, s := &c.g.sets[d], &c.sets[d]
		s.cols = make([]int32, len(set.cols))
		s.strs = make([]codeMap, len(set.cols))
		s.shapes = make([]int32, len(set.shapes))
	}
}

// row copies span i, which is one of trace.
func (c *copier) row(trace model.TraceID, i int) {
	g, b := c.g, c.b
	b.span(trace, g.spanID[i], g.parent[i])
	for f := range iEvTime {
		b.g.ints[f] = append(b.g.ints[f], intAt(g.ints[f], i))
	}
	for f := range sEvName {
		c.str(f, i)
	}
	c.attrs(ofSpan, i)
	for from, to := childRange(c.events, i); from < to; from++ {
		b.g.ints[iEvTime] = append(b.g.ints[iEvTime], intAt(g.ints[iEvTime], from))
		b.g.ints[iEvDrop] = append(b.g.ints[iEvDrop], intAt(g.ints[iEvDrop], from))
		c.str(sEvName, from)
		c.attrs(ofEvent, from)
	}
	for from, to := childRange(c.links, i); from < to; from++ {
		b.g.ints[iLkFlags] = append(b.g.ints[iLkFlags], intAt(g.ints[iLkFlags], from))
		b.g.ints[iLkDrop] = append(b.g.ints[iLkDrop], intAt(g.ints[iLkDrop], from))
		c.str(sLkID, from)
		c.str(sLkState, from)
		c.attrs(ofLink, from)
	}
}

func (c *copier) str(f, i int) {
	copyString(&c.b.strs[f], &c.g.strs[f], &c.strs[f], i)
}

func copyString(dst *strBuilder, src *strCol, known *codeMap, i int) {
	if dst.plain || src.codes == nil {
		dst.add(src.at(i), nil)
		return
	}
	if *known == nil {
		*known = make(codeMap, len(src.dict))
	}
	code := src.codes[i]
	if to := (*known)[code]; to > 0 {
		dst.addCode(to - 1)
		return
	}
	dst.add(src.dict[code], nil)
	if !dst.plain {
		(*known)[code] = dst.last + 1
	}
}

func (c *copier) attrs(d domain, row int) {
	from, to, s := &c.g.sets[d], &c.b.sets[d], &c.sets[d]
	s.cursor.seek(from, row)
	shape := from.codes[row]
	if s.shapes[shape] == 0 {
		s.shapes[shape] = c.shape(d, shape) + 1
	}
	to.set.codes = append(to.set.codes, s.shapes[shape]-1)
	for _, col := range from.shapes[shape] {
		src, out := &from.cols[col], s.cols[col]-1
		dst := &to.set.cols[out]
		i := s.cursor.next[col]
		dst.n++
		switch {
		case isText(src.typ):
			copyString(&to.cols[out], &src.strs, &s.strs[col], i)
		case src.typ != store.ValueNone:
			dst.ints = append(dst.ints, src.ints[i])
		}
		s.cursor.next[col]++
	}
	s.cursor.row++
}

// shape returns the builder's shape that is shape of the source.
func (c *copier) shape(d domain, shape int32) int32 {
	from, to, s := &c.g.sets[d], &c.b.sets[d], &c.sets[d]
	var cols []int32
	for _, col := range from.shapes[shape] {
		if s.cols[col] == 0 {
			key := from.cols[col].attrKey
			out, ok := to.index[key]
			if !ok {
				out = to.newColumn(key)
			}
			s.cols[col] = out + 1
		}
		cols = append(cols, s.cols[col]-1)
	}
	return to.shape(cols)
}
