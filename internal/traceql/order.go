package traceql

import (
	"cmp"
	"fmt"
	"math"
	"strings"
)

// An extension of TraceQL: with (order_by="duration") returns, instead of the newest
// traces, those whose matching spans are the longest. Tempo takes the hint and ignores it.

const orderHint = "order_by"

// order is what search results are ranked by, highest first; the zero order is the start
// of the trace alone.
type order struct {
	attr    *attribute // its largest value among the matching spans
	matched bool       // the number of matching spans
	oldest  bool       // by start, oldest first
	asc     bool
	value   evaluator
}

// orderOf reads the hint.
func orderOf(e *Expr) (order, error) {
	var o order
	for _, h := range e.hints {
		if h.name != orderHint {
			continue
		}
		bad := func(why string) (order, error) {
			return order{}, fmt.Errorf(`%w: order_by %s; want "start", "matched" or a number such as "duration", "traceDuration" or "span.size", with " asc" for the smallest first`, ErrParse, why)
		}
		if h.val.typ != TypeString {
			return bad("is not a string")
		}
		text, asc := strings.CutSuffix(h.val.s, " asc")
		o = order{asc: asc}
		switch text = strings.TrimSpace(strings.TrimSuffix(text, " desc")); text {
		case "start":
			o.oldest = asc
		case "matched":
			o.matched = true
		default:
			tag, err := ParseTag(text)
			if err != nil {
				return bad(fmt.Sprintf("%q is no attribute", text))
			}
			if in := tag.attr.in; in != inNone && !in.info().typ.numeric() || tag.attr.children().any() {
				return bad(fmt.Sprintf("%q is not a number of a span", text))
			}
			o.attr = tag.attr
		}
	}
	return o, nil
}

// newest reports whether the traces that start last come first.
func (o *order) newest() bool { return o.attr == nil && !o.matched && !o.oldest }

// bind makes p read what o looks at.
func (o *order) bind(p *plan) {
	if o.attr == nil {
		return
	}
	b := &binder{slots: p.slots, filters: p.filters}
	o.value = b.evaluator(o.attr)
	p.finish(b)
}

// rank returns the rank of a trace with the spansets sets: higher comes first, -Inf if
// there is nothing to rank by.
func (o *order) rank(f *frame, sets []set) float64 {
	best, found := 0.0, false
	switch {
	case o.matched:
		for _, s := range sets {
			best, found = best+float64(len(s.rows)), true
		}
	case o.value == nil:
		return 0
	}
	if o.value != nil {
		for _, s := range sets {
			for _, r := range s.rows {
				v := o.value.value(f, cursor{r, -1, -1})
				if !v.typ.numeric() || math.IsNaN(v.Float()) {
					continue
				}
				x := v.Float()
				if !found || x > best {
					best, found = x, true
				}
			}
		}
	}
	switch {
	case !found:
		return math.Inf(-1)
	case o.asc:
		return -best
	}
	return best
}

// ranked is a trace among the best.
type ranked struct {
	Trace
	rank   float64
	oldest bool // of equal ones the oldest comes first, not the newest
}

// compareRanked is positive if a comes before b in results.
func compareRanked(a, b *ranked) int {
	if c := cmp.Compare(a.rank, b.rank); c != 0 {
		return c
	}
	if a.oldest {
		return compareNewest(b.Start, b.ID, a.Start, a.ID)
	}
	return compareNewest(a.Start, a.ID, b.Start, b.ID)
}
