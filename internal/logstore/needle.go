package logstore

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// A line filter often looks for something that is half literal, half variable:
//
//	"user_id":"user_‹int›"   holds   user_04242   if the integer begins with 04242
//	took=‹int›ms status=‹int›   holds   ms status=5   if the second begins with 5
//
// Each template is asked once where the substring can lie in it. What remains are tests on
// its variables, and of the block only the columns in question are decoded: lines that the
// filter drops are never printed. See [spotsOf] and [mask.narrow].

// spot is a way to lie across variables: of first and those behind it, one part each.
type spot struct {
	first int
	parts []spotPart
}

// spotPart is the text that a variable must hold: at its begin, at its end, as a whole, or
// somewhere.
type spotPart struct {
	text         string
	seq          sequence // stands for text, if not nil
	number       int64    // that text means, -1 if that is none or not all of it
	begins, ends bool
	token        uint64 // key of the token that has text as its variable; 0 is not known
}

// appendKey appends what tells p from others.
func (p *spotPart) appendKey(dst []byte) []byte {
	flags := uint64(0)
	if p.begins {
		flags |= 1
	}
	if p.ends {
		flags |= 2
	}
	dst = binary.LittleEndian.AppendUint64(binary.AppendUvarint(dst, flags), p.token)
	return codec.AppendBytes(codec.AppendBytes(dst, p.text), p.seq.key())
}

// size is the bytes of what p looks for.
func (p *spotPart) size() int { return len(p.text) + len(p.seq) }

// maxSpots bounds the spots of a filter in a template. With more of them printing the line
// is as cheap.
const maxSpots = 16

// lookedFor is what a line filter looks for: a [literal] or a [sequence].
type lookedFor[T any] interface {
	size() int
	cut(from, to int) T
	begins(s string) bool // s begins with it
	within(s string) bool
	held(kind byte) int                // how many of its first bytes a variable can hold
	part(tp *template, k int) spotPart // what variable k of tp must hold
}

// literal is a text that is looked for.
type literal string

func (l literal) size() int { return len(l) }

func (l literal) cut(from, to int) literal { return l[from:to] }

func (l literal) begins(s string) bool { return strings.HasPrefix(s, string(l)) }

func (l literal) within(s string) bool { return strings.Contains(s, string(l)) }

func (l literal) held(kind byte) int {
	n := 0
	for n < len(l) && (kind != varInt || n < maxDigits) && holdable(kind, l[n]) {
		n++
	}
	return n
}

func (l literal) part(tp *template, k int) spotPart {
	return spotPart{text: string(l), number: l.number(), token: tp.tokenWith(k, string(l))}
}

// number returns the number that a variable of digits is if it has l as a whole, -1 for none.
func (l literal) number() int64 {
	if len(l) > maxDigits || len(l) > 1 && l[0] == '0' {
		return -1
	}
	v := int64(0)
	for i := range len(l) {
		if byteClass[l[i]] != classDigit {
			return -1
		}
		v = v*10 + int64(l[i]-'0')
	}
	return v
}

// holdable reports whether a variable of kind can hold c.
func holdable(kind, c byte) bool {
	switch kind {
	case varInt:
		return byteClass[c] == classDigit
	case varHex:
		return nibbles[c] <= 0xf
	}
	return byteClass[c] != 0
}

// spotsOf returns where lines of tp can hold sub, except within a literal. What begins in a
// literal reaches to its end. ok is false if there are too many ways to find all.
func spotsOf[T lookedFor[T]](tp *template, sub T) (spots []spot, ok bool) {
	f := spotFinder[T]{tp: tp}
	for i := range tp.kinds {
		lit := tp.lits[i]
		for at := max(0, len(lit)-sub.size()+1); at < len(lit); at++ {
			if n := len(lit) - at; sub.cut(0, n).begins(lit[at:]) {
				f.find(i, sub.cut(n, sub.size()), true)
			}
		}
		f.find(i, sub, false)
	}
	return f.out, f.steps <= maxSteps && len(f.out) <= maxSpots
}

// maxSteps bounds the search for spots: a sequence of large sets can go on at many places.
const maxSteps = 1 << 12

// spotFinder collects spots.
type spotFinder[T lookedFor[T]] struct {
	tp    *template
	parts []spotPart // in front of the current variable
	out   []spot
	steps int
}

// find collects the spots where rest, which is not empty, begins in variable k: at its
// begin, or anywhere.
func (f *spotFinder[T]) find(k int, rest T, begins bool) {
	depth := len(f.parts)
	for n := range rest.held(f.tp.kinds[k]) {
		n++
		if f.steps++; f.steps > maxSteps || len(f.out) > maxSpots {
			break
		}
		part := rest.cut(0, n).part(f.tp, k)
		part.begins, part.ends = begins, n < rest.size()
		f.parts = append(f.parts[:depth], part)
		lit, behind := f.tp.lits[k+1], rest.cut(n, rest.size())
		m := min(len(lit), behind.size())
		switch {
		case !behind.cut(0, m).begins(lit):
		case m == behind.size():
			f.out = append(f.out, spot{first: k - depth, parts: slices.Clone(f.parts)})
		case k+1 < len(f.tp.kinds):
			f.find(k+1, behind.cut(m, behind.size()), true)
		}
	}
	f.parts = f.parts[:depth]
}

// needle is a line filter seen by a template that does not decide it.
type needle struct {
	spots []spot
	sure  bool // a line that has one satisfies the filter; else it has to be looked at
	keep  bool // lines that have one, rather than those that have none
	look  bool // what it says is not all: lines have to be looked at
	hint  bool // it is good for dropping blocks and templates; tests on fields decide about rows
}

// see judges whether lines of tp satisfy f, and returns what is left to test if that depends
// on the line; nil if all have to be looked at.
func (f *lineFilter) see(tp *template) (verdict, *needle) {
	n := &needle{sure: true, keep: !f.negate, hint: f.hint}
	some := never
	for i := range f.patterns {
		p := &f.patterns[i]
		var v verdict
		switch {
		case p.re == nil:
			v = lookFor(n, tp, literal(p.literal))
		case p.seq != nil:
			v = lookFor(n, tp, p.seq)
		case p.needs == nil:
			if v = p.run(tp); v == maybe {
				n.look = true
			}
		default:
			v = p.need(n, tp, f.negate)
		}
		some = max(some, v)
	}
	if f.negate {
		some = sure - some
	}
	if some != maybe || n.look || len(n.spots) > maxSpots {
		return some, nil
	}
	return some, n
}

// need is lookFor for the needs of an expression. It drops them if tp is enough to decide.
func (p *linePattern) need(n *needle, tp *template, negate bool) verdict {
	v, had, look := never, len(n.spots), n.look
	for _, l := range p.needs {
		v = max(v, lookFor(n, tp, literal(l)))
	}
	if p.exact || v == never {
		return v
	}
	if v = p.run(tp); v != maybe {
		n.spots, n.look = n.spots[:had], look
		return v
	}
	n.sure, n.look = false, n.look || negate
	return v
}

// run judges by the expression as a whole whether lines of tp match.
func (p *linePattern) run(tp *template) verdict {
	if p.shapes == nil {
		return maybe
	}
	line, vars := tp.sample()
	switch groups, ok := p.shapes.Match(line, vars); {
	case !ok:
		return maybe
	case groups == nil:
		return never
	}
	return sure
}

// lookFor adds where lines of tp can hold sub to n, and judges whether they do.
func lookFor[T lookedFor[T]](n *needle, tp *template, sub T) verdict {
	if slices.ContainsFunc(tp.lits, sub.within) {
		n.look = true
		return sure
	}
	spots, ok := spotsOf(tp, sub)
	n.spots, n.look = append(n.spots, spots...), n.look || !ok
	if ok && len(spots) == 0 {
		return never
	}
	return maybe
}

// needleReader runs needles on the rows of a block.
type needleReader struct {
	openVars
	known map[slotText]bool // whether a column has a text; templates share columns
	buf   []byte
}

// slotText is a text looked for in a variable.
type slotText struct {
	slot int32
	text string
}

// planNeedles says which variables the needles of templates need. Those whose judgement is nil
// do not occur.
func planNeedles(p *varPlan, list []*template, of []*judgement) {
	p.begin(list)
	for id, v := range of {
		if v == nil || v.deny {
			continue
		}
		for i, n := range v.needles {
			if v.verdicts[i] != maybe || n == nil || n.hint {
				continue
			}
			for _, s := range n.spots {
				for k := range s.parts {
					p.want(list[id], s.first+k)
				}
			}
		}
	}
	p.finish(func(id int) bool { return of[id] != nil })
}

// narrow drops the rows that fail one of fs by what their variables hold, and returns the
// filters that still need lines. m is open; plan is what the needles need, of templates
// numbered as in ids.
func (m *mask) narrow(fs []lineFilter, sk *skeletons, of []*judgement, plan *varPlan, ids []uint32, z *codec.Zstd, pool *bufferPool) ([]*lineFilter, error) {
	scratch := pool.get()
	defer pool.put(scratch)
	scratch.ints = scratch.ints[:0]
	run := make([][]*needle, len(of)) // of each template
	some := false
	for id, used := range m.used(sk) {
		if !used {
			continue
		}
		for i, v := range of[id].verdicts {
			if n := of[id].needles[i]; v == maybe && n != nil && !n.hint {
				run[id], some = append(run[id], n), true
			}
		}
	}
	if !some {
		return m.undecided(fs, sk, of, func(*needle) bool { return false }), nil
	}
	vars, err := sk.open(plan, ids, z, scratch)
	if err != nil {
		return nil, err
	}
	r := needleReader{openVars: vars, known: map[slotText]bool{}}
	dead := make([]bool, len(of)) // no line of the template passes
	live := false                 // some row has to be looked at
	var alike [markClass + maxClasses]struct {
		run  []*needle
		dead bool
	}
	for id := range run {
		if len(run[id]) == 0 {
			continue
		}
		same := &alike[plan.mark(ids, id)]
		if same.run != nil {
			run[id], dead[id] = same.run, same.dead
			continue
		}
		for i, n := range run[id] {
			n = r.live(n, sk.list[id])
			run[id][i] = n
			dead[id] = dead[id] || n.keep && len(n.spots) == 0
			live = live || len(n.spots) > 0
		}
		if same != &alike[notMet] {
			same.run, same.dead = run[id], dead[id]
		}
	}
	rows := sk.rows[min(m.from, len(sk.rows)):]
	for k, keep := range m.keep {
		m.keep[k] = keep && !dead[rows[k]]
	}
	if live {
		r.run(m, sk, run)
	}
	return m.undecided(fs, sk, of, func(n *needle) bool { return n != nil && n.sure }), nil
}

// live returns n without the spots that no row of the block has.
func (r *needleReader) live(n *needle, tp *template) *needle {
	out := *n
	out.spots = nil
	for _, s := range n.spots {
		lacks := false
		for k := range s.parts {
			lacks = lacks || r.lacks(r.plan.slot(tp, s.first+k), &s.parts[k])
		}
		if !lacks {
			out.spots = append(out.spots, s)
		}
	}
	return &out
}

// lacks reports whether no value of a slot is as p wants it, where that is quick to
// tell: p means one number, or hex digits.
func (r *needleReader) lacks(slot int32, p *spotPart) bool {
	v := &r.reads[slot]
	var has func() bool
	switch {
	case p.seq != nil:
		return false
	case v.kind == varHex:
		has = func() bool { return holdsHex(v.bytes, p.text) }
	case v.kind == varInt && p.begins && p.ends, v.kind == varPadded && len(p.text) == v.width:
		want, err := strconv.ParseInt(p.text, 10, 64)
		if err != nil {
			return false
		}
		has = func() bool { return slices.Contains(v.ints, want) }
	default:
		return false
	}
	key := slotText{slot, p.text}
	known, ok := r.known[key]
	if !ok {
		known = has()
		r.known[key] = known
	}
	return !known
}

// holdsHex reports whether the hex digits s lie in packed ones, two a byte, at least as far
// as whole bytes go: it may be wrong about the first and the last digit, and about two
// neighbours. They begin at the high digit of a byte or at the low one.
func holdsHex(packed []byte, s string) bool {
	pairs := make([]byte, 0, len(s)/2)
	for from := range min(2, len(s)) {
		pairs = pairs[:0]
		for i := from; i+1 < len(s); i += 2 {
			pairs = append(pairs, nibbles[s[i]]<<4|nibbles[s[i+1]])
		}
		if bytes.Contains(packed, pairs) {
			return true
		}
	}
	return false
}

// run drops the rows that fail a needle of their template.
func (r *needleReader) run(m *mask, sk *skeletons, run [][]*needle) {
	sk.seek(r.openVars, m.from)
	rows := sk.rows[min(m.from, len(sk.rows)):]
	for k, id := range rows[:min(len(m.keep), len(rows))] {
		if len(run[id]) > 0 && m.keep[k] {
			m.keep[k] = !slices.ContainsFunc(run[id], func(n *needle) bool { return n.keep != r.any(n, sk.list[id]) })
		}
		r.skip(int(id))
	}
}

// any reports whether the current row has one of the spots of n.
func (r *needleReader) any(n *needle, tp *template) bool {
	return slices.ContainsFunc(n.spots, func(s spot) bool {
		for i := range s.parts {
			if !r.holds(&r.reads[r.plan.slot(tp, s.first+i)], &s.parts[i]) {
				return false
			}
		}
		return true
	})
}

// holds reports whether the next value of v is as p wants it.
func (r *needleReader) holds(v *varReader, p *spotPart) bool {
	if p.begins && p.ends && p.number >= 0 && v.kind == varInt {
		return v.ints[v.next] == p.number
	}
	value := ""
	if v.kind == varText {
		value = v.texts[v.next]
	} else {
		r.buf = v.peek(r.buf[:0])
		value = text(r.buf)
	}
	if p.seq != nil {
		return p.fits(value)
	}
	switch {
	case p.begins && p.ends:
		return value == p.text
	case p.begins:
		return strings.HasPrefix(value, p.text)
	case p.ends:
		return strings.HasSuffix(value, p.text)
	}
	return strings.Contains(value, p.text)
}

// fits is holds for a sequence.
func (p *spotPart) fits(value string) bool {
	switch {
	case p.begins && p.ends && len(value) != len(p.seq):
		return false
	case p.begins:
		return p.seq.begins(value)
	case p.ends:
		return len(value) >= len(p.seq) && p.seq.begins(value[len(value)-len(p.seq):])
	}
	return p.seq.within(value)
}
