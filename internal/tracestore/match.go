package tracestore

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/store"
)

// The predicates of a conjunction are judged in two steps: what zones and dictionaries say
// of a whole group, which often ends it, and then row by row, cheap columns first, those
// rows that are left. Of a column only the blocks with such rows are decoded.

// rowTest is one attribute of a predicate on a group where some row may satisfy it.
type rowTest struct {
	cost int // tests of small cost run first
	// run sets out[i] for the spans i that satisfy the predicate, at least among those
	// that are alive.
	run func(alive, out []bool) error
}

// What tests cost.
const (
	costInts = iota // blocks of it can often be passed over
	costStrs
	costColumn
	costChildren
)

// match returns which spans of g satisfy w; nil means none.
func (w *where) match(g *group) ([]bool, error) {
	var out []bool
	for _, conj := range w.any {
		rows, err := w.conjunction(g, conj)
		if err != nil {
			return nil, err
		}
		out = orRows(out, rows)
	}
	return out, nil
}

func orRows(a, b []bool) []bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	for i, v := range b {
		a[i] = a[i] || v
	}
	return a
}

func (w *where) conjunction(g *group, conj []predicate) ([]bool, error) {
	for i := range conj { // what the header alone says
		if !conj[i].possible(g) {
			return nil, nil
		}
	}
	tests := make([][]rowTest, len(conj))
	for i := range conj {
		for _, a := range conj[i].Attrs {
			ts, err := w.tests(g, &conj[i], a)
			if err != nil {
				return nil, err
			}
			tests[i] = append(tests[i], ts...)
		}
		if len(tests[i]) == 0 {
			return nil, nil
		}
	}
	cost := func(ts []rowTest) int {
		return slices.MaxFunc(ts, func(a, b rowTest) int { return cmp.Compare(a.cost, b.cost) }).cost
	}
	slices.SortStableFunc(tests, func(a, b []rowTest) int { return cmp.Compare(cost(a), cost(b)) })
	alive := slices.Repeat([]bool{true}, g.len())
	for _, any := range tests {
		next := make([]bool, g.len())
		for _, t := range any {
			if err := t.run(alive, next); err != nil {
				return nil, err
			}
		}
		left := false
		for i, v := range next {
			next[i] = v && alive[i]
			left = left || next[i]
		}
		if !left {
			return nil, nil
		}
		alive = next
	}
	return alive, nil
}

// tests returns the tests of p on attribute a of g; none if no row satisfies it.
func (w *where) tests(g *group, p *predicate, a store.Attr) ([]rowTest, error) {
	if d, ok := setDomain(a.Scope); ok {
		return p.columnTests(g, d, a.Name)
	}
	switch a.Scope {
	case store.ScopeResource:
		return p.strTest(g, sRes, func(m string) bool { return p.anyOf(w.res.resource(m).attrs, a.Name) })
	case store.ScopeInstrumentation:
		return p.strTest(g, sScope, func(m string) bool { return p.anyOf(w.res.scope(m).attrs, a.Name) })
	case store.ScopeIntrinsic:
		switch f, isInt := intrinsicInt(a); {
		case isInt && p.fits(store.ValueInt):
			return []rowTest{p.intTest(g, f)}, nil
		case isInt || !p.fits(store.ValueString):
		case a.Name == store.IntrinsicName:
			return p.strTest(g, sName, p.text)
		case a.Name == store.IntrinsicStatusMessage:
			return p.strTest(g, sMessage, p.text)
		}
	}
	return nil, nil
}

// eachBlock calls f for each block of rows with some that are alive.
func eachBlock(alive []bool, f func(b, from, to int) error) error {
	for from := 0; from < len(alive); from += block {
		to := min(from+block, len(alive))
		if !slices.Contains(alive[from:to], true) {
			continue
		}
		if err := f(from/block, from, to); err != nil {
			return err
		}
	}
	return nil
}

// intTest tests an integer field of spans.
func (p *predicate) intTest(g *group, f int) rowTest {
	lo, hi, exact := p.interval()
	return rowTest{costInts, func(alive, out []bool) error {
		if err := g.needInts(f, 0, 0); err != nil {
			return err
		}
		var col *partial
		if g.src != nil {
			col = g.src.ints[secInts+f]
		}
		return eachBlock(alive, func(b, from, to int) error {
			if z, ok := col.bounds(b); ok && !p.inZone(clampDuration(f, z)) {
				return nil
			}
			if err := g.needInts(f, from, to); err != nil {
				return err
			}
			if g.ints[f] == nil || !exact {
				for i := from; i < to; i++ {
					z := clampDuration(f, zone{intAt(g.ints[f], i), 0})
					out[i] = out[i] || p.number(store.ValueInt, z.lo)
				}
				return nil
			}
			for i, v := range g.ints[f][from:to] {
				if f == iDur {
					v = max(0, v)
				}
				if v >= lo && v <= hi {
					out[from+i] = true
				}
			}
			return nil
		})
	}}
}

// clampDuration makes a range of durations as they are seen: never negative.
func clampDuration(f int, z zone) zone {
	if f == iDur {
		return zone{max(0, z.lo), max(0, z.hi)}
	}
	return z
}

// interval returns the integers that satisfy p, if they are an interval.
func (p *predicate) interval() (lo, hi int64, ok bool) {
	if p.Type != store.ValueInt && p.Type != store.ValueBool {
		return 0, 0, false
	}
	lo, hi = math.MinInt64, math.MaxInt64
	switch p.Op {
	case store.OpEqual:
		return p.Int, p.Int, true
	case store.OpLess:
		return lo, p.Int - 1, p.Int > lo
	case store.OpLessEqual:
		return lo, p.Int, true
	case store.OpGreater:
		return p.Int + 1, hi, p.Int < hi
	case store.OpGreaterEqual:
		return p.Int, hi, true
	}
	return 0, 0, false
}

// hits is which strings of a column satisfy a predicate.
type hits struct {
	of  []bool // by code
	all bool
}

func hitsOf(of []bool) (hits, bool) {
	return hits{of, !slices.Contains(of, false)}, of != nil
}

// strTest tests a string field of spans.
func (p *predicate) strTest(g *group, f int, hit func(string) bool) ([]rowTest, error) {
	text, err := g.openStrs(f)
	if err != nil {
		return nil, err
	}
	c := &g.strs[f]
	of, err := p.stringHits(c, text, f != sRes && f != sScope, hit)
	if err != nil {
		return nil, err
	}
	h, some := hitsOf(of)
	if !some {
		return nil, nil
	}
	return []rowTest{{costStrs, func(alive, out []bool) error {
		return eachBlock(alive, func(_, from, to int) error {
			if h.all {
				for i := from; i < to; i++ {
					out[i] = true
				}
				return nil
			}
			if text != nil {
				if err := text.needCodes(c, from, to); err != nil {
					return err
				}
			}
			for i := from; i < to; i++ {
				out[i] = out[i] || h.of[c.code(i)]
			}
			return nil
		})
	}}}, nil
}

// stringHits returns which strings of the dictionary of c satisfy hit; nil means none.
// text says which of them are not there, if it is not nil. texts says that hit is
// [predicate.text]: the strings are texts, not messages.
func (p *predicate) stringHits(c *strCol, text *partialText, texts bool, hit func(string) bool) ([]bool, error) {
	if text != nil && text.texts != nil {
		if p.Op == store.OpEqual && p.Type == store.ValueString {
			return text.texts.equal(p.Str)
		}
		return text.texts.matching(p.literal, p.bytes)
	}
	if text != nil && text.plain != nil {
		whole := p.Op == store.OpEqual && p.Type == store.ValueString
		if texts && (whole || p.literal != "") && text.plain.lacks(p.literal, whole) {
			return nil, nil
		}
		text.makePlain(c)
	}
	dict := c.dict
	if dict == nil {
		dict = []string{""}
	}
	var out []bool
	for i, s := range dict {
		if hit(s) {
			if out == nil {
				out = make([]bool, len(dict))
			}
			out[i] = true
		}
	}
	return out, nil
}

// columnTests returns the tests of attribute name in domain d.
func (p *predicate) columnTests(g *group, d domain, name string) ([]rowTest, error) {
	var out []rowTest
	for i := range g.sets[d].cols {
		c := &g.sets[d].cols[i]
		if c.name != name || !p.fits(c.typ) || g.src != nil && c.typ == store.ValueInt && !p.inZone(c.zone) {
			continue
		}
		t, err := p.columnTest(g, d, i)
		if err != nil {
			return nil, err
		}
		if t.run != nil {
			out = append(out, t)
		}
	}
	return out, nil
}

// columnTest tests column i of domain d; the result has no run if no row satisfies it.
func (p *predicate) columnTest(g *group, d domain, i int) (rowTest, error) {
	c := &g.sets[d].cols[i]
	v := valueTest{p: p, c: c, all: p.Op == store.OpExists || !isNumber(c.typ) && c.typ != store.ValueString}
	if !v.all {
		if err := g.openColumn(c); err != nil {
			return rowTest{}, err
		}
	}
	if !v.all && c.typ == store.ValueString {
		of, err := p.stringHits(&c.strs, c.text, true, p.text)
		h, some := hitsOf(of)
		if err != nil || !some {
			return rowTest{}, err
		}
		v.hits, v.all = h.of, h.all
	}
	if d == ofSpan {
		return rowTest{costColumn, func(alive, out []bool) error { return v.rows(g, d, i, alive, out) }}, nil
	}
	return rowTest{costChildren, func(_, out []bool) error {
		children := make([]bool, g.rows[d])
		if err := v.rows(g, d, i, slices.Repeat([]bool{true}, g.rows[d]), children); err != nil {
			return err
		}
		return g.orParents(d, children, out)
	}}, nil
}

// orParents sets out for the spans that have a child in children.
func (g *group) orParents(d domain, children, out []bool) error {
	counts := iEvents
	if d == ofLink {
		counts = iLinks
	}
	if err := g.needChildren(); err != nil {
		return err
	}
	at := 0
	for i := range out {
		n := int(intAt(g.ints[counts], i))
		out[i] = out[i] || slices.Contains(children[at:at+n], true)
		at += n
	}
	return nil
}

// valueTest tests values of a column.
type valueTest struct {
	p    *predicate
	c    *column
	all  bool   // every value satisfies
	hits []bool // by code, of strings
}

// rows sets out for the rows of domain d that are alive and have a value in column i that
// satisfies.
func (v *valueTest) rows(g *group, d domain, i int, alive, out []bool) error {
	if err := g.need(secShapes + int(d)); err != nil {
		return err
	}
	s := &g.sets[d]
	times := make([]int, len(s.shapes)) // that a shape has the column
	for shape, cols := range s.shapes {
		for _, col := range cols {
			if int(col) == i {
				times[shape]++
			}
		}
	}
	next := 0 // value of the row
	for from := 0; from < len(alive); from += block {
		to := min(from+block, len(alive))
		at, n := next, 0
		for _, shape := range s.codes[from:to] {
			n += times[shape]
		}
		next += n
		if n == 0 || !slices.Contains(alive[from:to], true) {
			continue
		}
		if !v.all {
			skip, err := v.need(at, next)
			if err != nil {
				return err
			}
			if skip {
				continue
			}
		}
		for row := from; row < to; row++ {
			for range times[s.codes[row]] {
				if v.all || v.holds(at) {
					out[row] = true
				}
				at++
			}
		}
	}
	return nil
}

// need reads the values from..to; true means that none of them satisfies.
func (v *valueTest) need(from, to int) (skip bool, err error) {
	switch c := v.c; {
	case c.text != nil:
		return false, c.text.needCodes(&c.strs, from, to)
	case c.part != nil:
		skip = c.typ != store.ValueFloat
		for b := from / block; b*block < to && skip; b++ {
			z, ok := c.part.bounds(b)
			skip = ok && !v.p.inZone(z)
		}
		if !skip {
			c.part.need(from, to)
		}
	}
	return skip, nil
}

func (v *valueTest) holds(i int) bool {
	if v.hits != nil {
		return v.hits[v.c.strs.code(i)]
	}
	return v.c.typ == store.ValueString || v.p.number(v.c.typ, intAt(v.c.ints, i))
}

// bytes is [predicate.text] of bytes.
func (p *predicate) bytes(b []byte) bool {
	switch p.Op {
	case store.OpRegexp:
		return bytes.Contains(b, []byte(p.literal)) && p.re.Match(b)
	case store.OpNotRegexp:
		return !p.re.Match(b)
	}
	return p.text(string(b))
}
