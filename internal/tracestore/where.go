package tracestore

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/store"
)

// where is the compiled Where of a selector.
type where struct {
	any [][]predicate
	res resources
}

type predicate struct {
	store.SpanPredicate
	re      *regexp.Regexp
	literal string // that is in every string that satisfies it; "" if there is none
}

func compileWhere(in [][]store.SpanPredicate, res resources) (*where, error) {
	w := &where{res: res}
	for _, conj := range in {
		ps := make([]predicate, 0, len(conj))
		for _, p := range conj {
			c := predicate{SpanPredicate: p}
			if p.Op == store.OpEqual && p.Type == store.ValueString {
				c.literal = p.Str
			}
			if p.Op == store.OpRegexp || p.Op == store.OpNotRegexp {
				re, err := regexp.Compile("^(?s:" + p.Str + ")$")
				if err != nil {
					return nil, fmt.Errorf("compile regular expression %q: %w", p.Str, err)
				}
				c.re = re
				if p.Op == store.OpRegexp {
					c.literal = requiredLiteral(p.Str)
				}
			}
			ps = append(ps, c)
		}
		w.any = append(w.any, ps)
	}
	return w, nil
}

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
	if len(conj) == 0 {
		return slices.Repeat([]bool{true}, g.len()), nil
	}
	var out []bool
	for i := range conj {
		rows, err := w.rows(g, &conj[i])
		if err != nil || rows == nil {
			return nil, err
		}
		if out == nil {
			out = rows
			continue
		}
		left := false
		for i := range out {
			out[i] = out[i] && rows[i]
			left = left || out[i]
		}
		if !left {
			return nil, nil
		}
	}
	return out, nil
}

func setDomain(s store.AttrScope) (domain, bool) {
	switch s {
	case store.ScopeSpan:
		return ofSpan, true
	case store.ScopeEvent:
		return ofEvent, true
	case store.ScopeLink:
		return ofLink, true
	}
	return 0, false
}

// possible reports whether the header of g allows that some span satisfies p.
func (p *predicate) possible(g *group) bool {
	for _, a := range p.Attrs {
		d, ok := setDomain(a.Scope)
		if !ok {
			if f, isInt := intrinsicInt(a); !isInt || g.src == nil || p.inZone(g.intrinsicZone(f)) {
				return true
			}
			continue
		}
		for i := range g.sets[d].cols {
			c := &g.sets[d].cols[i]
			if c.name != a.Name || !p.fits(c.typ) {
				continue
			}
			if g.src == nil || c.typ != store.ValueInt || p.inZone(c.zone) {
				return true
			}
		}
	}
	return false
}

// fits reports whether values of type t can satisfy p.
func (p *predicate) fits(t store.ValueType) bool {
	switch {
	case t == store.ValueNone:
		return false
	case t == store.ValueArray || p.Op == store.OpExists:
		return true
	case p.re != nil:
		return t == store.ValueString
	case t == store.ValueInt || t == store.ValueFloat:
		return p.Type == store.ValueInt || p.Type == store.ValueFloat
	case t == store.ValueOther:
		return false
	}
	return t == p.Type
}

func intrinsicInt(a store.Attr) (field int, ok bool) {
	switch {
	case a.Scope != store.ScopeIntrinsic:
		return 0, false
	case a.Name == store.IntrinsicDuration:
		return iDur, true
	case a.Name == store.IntrinsicStatus:
		return iStatus, true
	case a.Name == store.IntrinsicKind:
		return iKind, true
	}
	return 0, false
}

func (g *group) intrinsicZone(f int) zone {
	z := g.zones[f]
	if f == iDur {
		return zone{max(0, z.lo), max(0, z.hi)}
	}
	return z
}

// inZone reports whether some integer in z may satisfy p.
func (p *predicate) inZone(z zone) bool {
	if p.Op == store.OpExists {
		return true
	}
	var lo, hi int // of z compared with the value
	switch p.Type {
	case store.ValueInt, store.ValueBool:
		lo, hi = cmp.Compare(z.lo, p.Int), cmp.Compare(z.hi, p.Int)
	case store.ValueFloat:
		if math.IsNaN(p.Float) {
			return true
		}
		lo, hi = cmp.Compare(float64(z.lo), p.Float), cmp.Compare(float64(z.hi), p.Float)
	default:
		return false
	}
	switch p.Op {
	case store.OpEqual:
		return lo <= 0 && hi >= 0
	case store.OpNotEqual:
		return lo != 0 || hi != 0
	case store.OpLess:
		return lo < 0
	case store.OpLessEqual:
		return lo <= 0
	case store.OpGreater:
		return hi > 0
	case store.OpGreaterEqual:
		return hi >= 0
	}
	return false
}

// rows returns which spans satisfy p; nil means none.
func (w *where) rows(g *group, p *predicate) ([]bool, error) {
	var out []bool
	for _, a := range p.Attrs {
		rows, err := w.attrRows(g, p, a)
		if err != nil {
			return nil, err
		}
		out = orRows(out, rows)
	}
	return out, nil
}

func (w *where) attrRows(g *group, p *predicate, a store.Attr) ([]bool, error) {
	if d, ok := setDomain(a.Scope); ok {
		return p.columnRows(g, d, a.Name)
	}
	switch a.Scope {
	case store.ScopeResource:
		return p.dictRows(g, sRes, func(m string) bool { return p.anyOf(w.res.resource(m).attrs, a.Name) })
	case store.ScopeInstrumentation:
		return p.dictRows(g, sScope, func(m string) bool { return p.anyOf(w.res.scope(m).attrs, a.Name) })
	case store.ScopeIntrinsic:
		return p.intrinsicRows(g, a)
	}
	return nil, nil
}

func (p *predicate) anyOf(attrs []attrValue, name string) bool {
	return slices.ContainsFunc(attrs, func(a attrValue) bool { return a.name == name && p.holds(a) })
}

func (p *predicate) holds(a attrValue) bool {
	if !p.fits(a.typ) {
		return false
	}
	if isNumber(a.typ) {
		return p.number(a.typ, a.num)
	}
	return a.typ != store.ValueString || p.text(a.str)
}

// text reports whether a string satisfies p, whose type fits.
func (p *predicate) text(s string) bool {
	switch p.Op {
	case store.OpExists:
		return true
	case store.OpRegexp:
		return strings.Contains(s, p.literal) && p.re.MatchString(s)
	case store.OpNotRegexp:
		return !p.re.MatchString(s)
	}
	return p.Type == store.ValueString && compares(p.Op, s, p.Str)
}

// number reports whether a number satisfies p, whose type fits.
func (p *predicate) number(t store.ValueType, n int64) bool {
	switch {
	case p.Op == store.OpExists:
		return true
	case t == store.ValueFloat && p.Type == store.ValueInt:
		return compares(p.Op, math.Float64frombits(uint64(n)), float64(p.Int))
	case t == store.ValueFloat:
		return compares(p.Op, math.Float64frombits(uint64(n)), p.Float)
	case p.Type == store.ValueFloat:
		return compares(p.Op, float64(n), p.Float)
	}
	return compares(p.Op, n, p.Int)
}

func compares[T cmp.Ordered](op store.CompareOp, a, b T) bool {
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
	case store.OpGreaterEqual:
		return a >= b
	}
	return false
}

// dictHits evaluates f once per string of c; nil means that none satisfies it.
func dictHits(c *strCol, f func(string) bool) []bool {
	dict := c.dict
	if dict == nil {
		dict = []string{""}
	}
	var hits []bool
	for i, s := range dict {
		if f(s) {
			if hits == nil {
				hits = make([]bool, len(dict))
			}
			hits[i] = true
		}
	}
	return hits
}

// textHits returns which strings of c satisfy p; nil means none.
func (p *predicate) textHits(c *strCol) []bool {
	if p.Op != store.OpEqual || c.dict == nil {
		return dictHits(c, p.text)
	}
	var hits []bool
	for i, s := range c.dict {
		if len(s) == len(p.Str) && s == p.Str {
			if hits == nil {
				hits = make([]bool, len(c.dict))
			}
			hits[i] = true
		}
	}
	return hits
}

// dictRows returns the spans whose string field f satisfies hit.
func (p *predicate) dictRows(g *group, f int, hit func(string) bool) ([]bool, error) {
	if err := g.need(secStrs + f); err != nil {
		return nil, err
	}
	c := &g.strs[f]
	hits := dictHits(c, hit)
	if hits == nil {
		return nil, nil
	}
	out := make([]bool, g.len())
	for i := range out {
		out[i] = c.dict == nil || hits[c.code(i)]
	}
	return out, nil
}

func (p *predicate) intrinsicRows(g *group, a store.Attr) ([]bool, error) {
	switch a.Name {
	case store.IntrinsicName, store.IntrinsicStatusMessage:
		if !p.fits(store.ValueString) {
			return nil, nil
		}
		f := sName
		if a.Name == store.IntrinsicStatusMessage {
			f = sMessage
		}
		return p.dictRows(g, f, p.text)
	}
	f, ok := intrinsicInt(a)
	if !ok || !p.fits(store.ValueInt) {
		return nil, nil
	}
	if err := g.need(secInts + f); err != nil {
		return nil, err
	}
	var out []bool
	for i := range g.len() {
		v := intAt(g.ints[f], i)
		if f == iDur {
			v = max(0, v)
		}
		if p.number(store.ValueInt, v) {
			if out == nil {
				out = make([]bool, g.len())
			}
			out[i] = true
		}
	}
	return out, nil
}

// columnRows returns the spans that have an attribute name in domain d that satisfies p.
func (p *predicate) columnRows(g *group, d domain, name string) ([]bool, error) {
	var out []bool // of the domain
	for i := range g.sets[d].cols {
		c := &g.sets[d].cols[i]
		if c.name != name || !p.fits(c.typ) || g.src != nil && c.typ == store.ValueInt && !p.inZone(c.zone) {
			continue
		}
		rows, err := p.valueRows(g, d, i)
		if err != nil {
			return nil, err
		}
		out = orRows(out, rows)
	}
	if out == nil || d == ofSpan {
		return out, nil
	}
	counts := iEvents
	if d == ofLink {
		counts = iLinks
	}
	if err := g.needChildren(); err != nil {
		return nil, err
	}
	spans := make([]bool, g.len())
	at := 0
	for i := range spans {
		n := int(intAt(g.ints[counts], i))
		spans[i] = slices.Contains(out[at:at+n], true)
		at += n
	}
	return spans, nil
}

// needChildren reads how many events and links each span has.
func (g *group) needChildren() error {
	if g.src == nil {
		return nil
	}
	if err := g.need(secInts+iEvents, secInts+iLinks); err != nil {
		return err
	}
	return g.checkChildren()
}

// lacks reports whether no string of column c can satisfy p, for want of its literal. It
// looks at the text as it is, which is several times cheaper than to make a column of it.
func (g *group) lacks(c *column, p *predicate) (bool, error) {
	b, err := g.section(c.ref)
	if b == nil || err != nil {
		return false, err
	}
	r := g.decoder(b)
	r.Byte()
	r.mem.nums = r.numbers(r.mem.nums[:0])
	text := r.block()
	if err := r.Err(); err != nil {
		return false, err
	}
	if p.Op != store.OpEqual {
		return !bytes.Contains(text, []byte(p.literal)), nil
	}
	for _, n := range r.mem.nums {
		if n < 0 || n > int64(len(text)) {
			return false, nil // damaged, as whoever reads the column finds out
		}
		if int(n) == len(p.literal) && string(text[:n]) == p.literal {
			return false, nil
		}
		text = text[n:]
	}
	return true, nil
}

// valueRows returns the rows of domain d whose values in column i satisfy p.
func (p *predicate) valueRows(g *group, d domain, i int) ([]bool, error) {
	s := &g.sets[d]
	c := &s.cols[i]
	if g.src != nil && !c.loaded && c.typ == store.ValueString && p.literal != "" {
		if lacks, err := g.lacks(c, p); lacks || err != nil {
			return nil, err
		}
	}
	if err := g.needColumn(d, i); err != nil {
		return nil, err
	}
	hit := func(int) bool { return true }
	switch {
	case c.typ == store.ValueString:
		hits := p.textHits(&c.strs)
		if hits == nil {
			return nil, nil
		}
		if c.strs.dict != nil {
			hit = func(v int) bool { return hits[c.strs.code(v)] }
		}
	case isNumber(c.typ):
		hit = func(v int) bool { return p.number(c.typ, intAt(c.ints, v)) }
	}
	if err := g.need(secShapes + int(d)); err != nil {
		return nil, err
	}
	times := make([]int, len(s.shapes)) // that a shape has the column
	for shape, cols := range s.shapes {
		for _, col := range cols {
			if int(col) == i {
				times[shape]++
			}
		}
	}
	var out []bool
	v := 0
	for row, shape := range s.codes {
		for range times[shape] {
			if hit(v) {
				if out == nil {
					out = make([]bool, len(s.codes))
				}
				out[row] = true
			}
			v++
		}
	}
	return out, nil
}
