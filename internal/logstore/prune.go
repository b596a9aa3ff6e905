package logstore

import (
	"encoding/binary"
	"slices"
	"sync"
)

// Most blocks hold nothing that a query wants, so this is decided before they are read, in
// the order of what it costs: by the templates of their lines, which are judged once for all
// blocks; by the filter, if it is in memory; by what filter and widths say about the
// variables in which a needle can lie. The plan asks a pruner about every block. A filter
// that is not in memory yet is asked when the block is fetched.

// pruner says which blocks of a part a query need not read.
type pruner struct {
	w    *wants
	x    *partIndex
	meta bool // some field that is looked at occurs

	// Of each template of the part, as far as the plan has met it.
	of    []*judgement
	marks []uint8  // notMet, denied, open, or markClass + index in classes
	vars  []uint16 // number of variables

	classes []needleClass
	byKey   map[string]uint8 // marks of the classes

	// Of the templates that the plan has met, made when the first block is decoded.
	needles func() *varPlan
	shapes  func() *shapePlan
}

const (
	notMet    = 0
	denied    = 1 // no line of the template is wanted
	open      = 2 // nothing tells whether a block has such lines
	markClass = 3

	maxClasses = 128 // more of them are open
)

// needleClass is the needles of templates that have the same ones in the same columns. If
// they do not lie in a block, no line of such a template is wanted.
type needleClass struct {
	needles []*needle
	probes  []probe // of one of them, see probe.go
}

// newPruner returns a pruner of x.
func newPruner(w *wants, x *partIndex) *pruner {
	p := &pruner{w: w, x: x, meta: w.readsMeta(x)}
	if w.judge.asks() {
		n := len(x.templates.list)
		p.of, p.marks, p.vars = make([]*judgement, n), make([]uint8, n), make([]uint16, n)
		p.byKey = map[string]uint8{}
		p.needles = sync.OnceValue(func() *varPlan {
			plan := &varPlan{}
			planNeedles(plan, x.templates.list, p.of)
			if !slices.ContainsFunc(w.judge.filters, func(f lineFilter) bool { return f.negate || f.hint }) {
				plan.marks = p.marks
			}
			return plan
		})
		p.shapes = sync.OnceValue(func() *shapePlan { return newShapePlan(w.judge, x.templates.list, p.of) })
	}
	return p
}

// meet judges template id and returns its mark.
func (p *pruner) meet(id uint32) uint8 {
	tp := p.x.templates.list[id]
	v := p.w.judge.cached(tp)
	p.of[id], p.vars[id] = v, uint16(min(len(tp.kinds), 1<<16-1))
	p.marks[id] = p.mark(tp, v)
	return p.marks[id]
}

func (p *pruner) mark(tp *template, v *judgement) uint8 {
	if v.deny {
		return denied
	}
	var c needleClass
	var key []byte
	for _, n := range v.needles {
		if n == nil || !n.keep {
			continue
		}
		c.needles = append(c.needles, n)
		if c.probes == nil {
			c.probes = n.probes(tp)
		}
		key = binary.AppendUvarint(key, uint64(len(n.spots)))
		for i := range n.spots {
			s := &n.spots[i]
			key = binary.AppendUvarint(key, uint64(len(s.parts)))
			for k := range s.parts {
				key = s.parts[k].appendKey(binary.AppendUvarint(key, uint64(tp.places[s.first+k])))
			}
		}
	}
	if len(c.needles) == 0 {
		return open
	}
	m, ok := p.byKey[string(key)]
	if !ok {
		if len(p.classes) == maxClasses {
			return open
		}
		m = uint8(markClass + len(p.classes))
		p.byKey[string(key)] = m
		p.classes = append(p.classes, c)
	}
	return m
}

// skips reports whether block i need not be read, as far as it can be told from what is in
// memory, and whether its filter has no more to say. The templates of other blocks are met.
func (p *pruner) skips(i int) (skip, asked bool) {
	b := &p.x.blocks[i]
	if p.denies(b) {
		return true, false
	}
	var bf *blockFilter
	asks := p.w.asksFilter()
	if asks {
		bf = p.x.filters[i].Load()
	}
	if bf != nil && !p.w.mayHold(bf) { // before the rest of the templates: this ends most blocks
		return true, true
	}
	if p.marks != nil {
		for _, id := range b.templates {
			p.markOf(id)
		}
	}
	return bf != nil && p.lacks(b, bf), bf != nil || !asks
}

// markOf returns the mark of template id, which it meets if need be.
func (p *pruner) markOf(id uint32) uint8 {
	if m := p.marks[id]; m != notMet {
		return m
	}
	return p.meet(id)
}

// denies reports whether no line of b is wanted by what its templates are.
func (p *pruner) denies(b *blockInfo) bool {
	return p.marks != nil && len(b.templates) > 0 && !slices.ContainsFunc(b.templates, func(id uint32) bool { return p.markOf(id) != denied })
}

// may reports whether block b, whose templates are met and whose filter is bf, can hold what is
// wanted.
func (p *pruner) may(b *blockInfo, bf *blockFilter) bool { return p.w.mayHold(bf) && !p.lacks(b, bf) }

// mayHold reports whether a block with filter bf can hold what is wanted.
func (w *wants) mayHold(bf *blockFilter) bool {
	for i := range w.lines {
		if !w.lines[i].may(bf) {
			return false
		}
	}
	for i, vs := range w.values {
		name := w.fields[i].Field()
		if len(vs) > 0 && !slices.ContainsFunc(vs, func(v string) bool { return bf.field(name, v) }) {
			return false
		}
	}
	return true
}

// lacks reports whether no line of b, whose templates are met and whose filter is bf, is
// wanted, because needles cannot lie in its variables.
func (p *pruner) lacks(b *blockInfo, bf *blockFilter) bool {
	if len(p.classes) == 0 || !bf.known || len(b.templates) == 0 {
		return false
	}
	var asked [markClass + maxClasses]bool
	at := 0
	for _, id := range b.templates {
		m := p.marks[id]
		if m == open {
			return false
		}
		if !asked[m] && m >= markClass {
			asked[m] = true
			var widths []uint8
			if len(b.widths) > 0 {
				widths = b.widths[at : at+int(p.vars[id])]
			}
			if !p.classes[m-markClass].lacks(widths, bf) {
				return false
			}
		}
		at += int(p.vars[id])
	}
	return true
}

// lacks reports whether one of the needles cannot lie in a block with filter bf, where
// variables have the widths.
func (c *needleClass) lacks(widths []uint8, bf *blockFilter) bool {
	return slices.ContainsFunc(c.needles, func(n *needle) bool { return !n.mayLie(widths, bf) })
}

// judgements returns those of the templates of a block, whose lines are sk, in the memory
// of scratch.
func (p *pruner) judgements(b *blockInfo, sk *skeletons, scratch *buffer) []*judgement {
	scratch.judgements = zeroed(scratch.judgements, len(sk.list))
	out := scratch.judgements
	if len(b.templates) > 0 {
		for i, id := range b.templates {
			out[i] = p.of[id]
		}
		return out
	}
	for i, tp := range sk.list {
		out[i] = p.w.judge.cached(tp)
	}
	return out
}

// plan returns which variables the needles of the templates of a block need, and how these
// are numbered in the plan, nil for as in the block.
func (p *pruner) plan(b *blockInfo, sk *skeletons, of []*judgement, scratch *buffer) (*varPlan, []uint32) {
	if len(b.templates) > 0 {
		return p.needles(), b.templates
	}
	planNeedles(&scratch.plan, sk.list, of)
	return &scratch.plan, nil
}

// shapePlan is plan for fields.
func (p *pruner) shapePlan(b *blockInfo, sk *skeletons, of []*judgement) (*shapePlan, []uint32) {
	if len(b.templates) > 0 {
		return p.shapes(), b.templates
	}
	return newShapePlan(p.w.judge, sk.list, of), nil
}

// asksFilter reports whether filters of blocks can tell anything.
func (w *wants) asksFilter() bool {
	for i := range w.lines {
		if w.lines[i].prunes() {
			return true
		}
	}
	return slices.ContainsFunc(w.values, func(vs []string) bool { return len(vs) > 0 })
}
