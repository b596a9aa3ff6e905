package tracestore

import (
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
