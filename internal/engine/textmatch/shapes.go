package textmatch

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/model"
)

// A regular expression is run over a shape the way package regexp runs it over a line: a
// list of threads, in the order of their priority, takes one character after the other. What
// a variable holds is not known, nor how long it is. So a thread is sure, or it is there in
// some lines only: if all characters that the variable may hold lead to the same threads,
// however many they are, these are sure. A match by a thread that is not sure, or one that
// begins or ends a group inside a variable, ends the attempt.

// Shapes is an expression that runs over shapes. It is safe for concurrent use.
type Shapes struct {
	prog    *syntax.Prog
	accepts [3][]share // by the kind of variable and the instruction
}

// share says how many of some characters an instruction accepts.
type share uint8

const (
	none share = iota
	some
	every
)

// Kinds of variables.
const (
	varDigits = iota
	varHexDigits
	varAny
)

func kindOf(v *model.LineVar) int {
	switch {
	case v.Digits:
		return varDigits
	case v.Hex:
		return varHexDigits
	}
	return varAny
}

// NewShapes compiles expr. It returns nil if that is no expression.
func NewShapes(expr string) *Shapes {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil
	}
	s := &Shapes{prog: prog}
	for kind := range s.accepts {
		for i := range prog.Inst {
			s.accepts[kind] = append(s.accepts[kind], acceptOf(&prog.Inst[i], kind))
		}
	}
	return s
}

// acceptOf returns how many of the characters of a kind of variable in accepts.
func acceptOf(in *syntax.Inst, kind int) share {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
	default:
		return none
	}
	yes, no := false, false
	v := model.LineVar{Digits: kind == varDigits, Hex: kind == varHexDigits}
	for c := range byte(utf8.RuneSelf) {
		if v.Holds(c) {
			ok := in.MatchRune(rune(c))
			yes, no = yes || ok, no || !ok
		}
	}
	if kind == varAny {
		high, low := highRunes(in)
		yes, no = yes || high, no || low
	}
	switch {
	case yes && no:
		return some
	case yes:
		return every
	}
	return none
}

// highRunes reports whether in accepts some of the runes beyond ASCII, and whether it
// refuses some.
func highRunes(in *syntax.Inst) (yes, no bool) {
	switch {
	case in.Op == syntax.InstRuneAny || in.Op == syntax.InstRuneAnyNotNL:
		return true, false
	case len(in.Rune) == 1: // perhaps with other cases
		for r := unicode.SimpleFold(in.Rune[0]); r != in.Rune[0]; r = unicode.SimpleFold(r) {
			yes = yes || r >= utf8.RuneSelf
		}
		return yes || in.Rune[0] >= utf8.RuneSelf, true
	}
	no = true
	for i := 0; i+1 < len(in.Rune); i += 2 {
		yes = yes || in.Rune[i+1] >= utf8.RuneSelf
		no = no && (in.Rune[i] > utf8.RuneSelf || in.Rune[i+1] < unicode.MaxRune)
	}
	return yes, no
}

// symbol is a character of a shape, a variable, or the end.
type symbol struct {
	r        rune           // -1 for a variable and outside of the line
	v        *model.LineVar // nil if it is none
	from, to int
}

// NoPlace is a place inside a variable.
const NoPlace = -2

// thread is a thread before an instruction that takes a character or matches.
type thread struct {
	pc   uint32
	caps []int
	sure bool
}

func (t *thread) equal(u *thread) bool {
	return t.pc == u.pc && t.sure == u.sure && slices.Equal(t.caps, u.caps)
}

// threads is where a run stands.
type threads struct {
	list    []thread
	seen    []bool // instructions that the list has been through
	matched share  // whether there is a match so far: none, in some lines, or in all of them
	groups  []int  // of the match in all lines
}

func (q *threads) equal(p *threads) bool {
	return slices.EqualFunc(q.list, p.list, func(a, b thread) bool { return a.equal(&b) }) && q.sameMatch(p)
}

func (q *threads) sameMatch(p *threads) bool {
	return q.matched == p.matched && slices.Equal(q.groups, p.groups)
}

// shapeRun is a run over a shape.
type shapeRun struct {
	*Shapes
	start []int // groups of a new thread
}

// spot is what stands around a place: which conditions hold there, and which may.
type spot struct {
	place     int
	yes, some syntax.EmptyOp
}

// wordness returns how many of the characters that s may stand for are word characters.
func (s *symbol) wordness() share {
	switch {
	case s.v == nil && (s.r < 0 || !syntax.IsWordChar(s.r)):
		return none
	case s.v == nil || kindOf(s.v) != varAny:
		return every
	}
	return some
}

func spotBetween(place int, before, behind *symbol) spot {
	s := spot{place: place}
	if before.v == nil && before.r < 0 {
		s.yes |= syntax.EmptyBeginText | syntax.EmptyBeginLine
	}
	if behind.v == nil && behind.r < 0 {
		s.yes |= syntax.EmptyEndText | syntax.EmptyEndLine
	}
	if before.r == '\n' {
		s.yes |= syntax.EmptyBeginLine
	}
	if behind.r == '\n' {
		s.yes |= syntax.EmptyEndLine
	}
	switch a, b := before.wordness(), behind.wordness(); {
	case a == some || b == some:
		s.some = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
	case a == b:
		s.yes |= syntax.EmptyNoWordBoundary
	default:
		s.yes |= syntax.EmptyWordBoundary
	}
	return s
}

// add adds a thread at pc, or what follows there.
func (x *shapeRun) add(q *threads, pc uint32, at *spot, caps []int, sure bool) {
	for !q.seen[pc] {
		q.seen[pc] = true
		in := &x.prog.Inst[pc]
		switch in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			x.add(q, in.Out, at, caps, sure)
			pc = in.Arg
			continue
		case syntax.InstEmptyWidth:
			op := syntax.EmptyOp(in.Arg)
			if op&^(at.yes|at.some) != 0 {
				return
			}
			sure = sure && op&^at.yes == 0
		case syntax.InstNop:
		case syntax.InstCapture:
			if int(in.Arg) < len(caps) {
				caps = slices.Clone(caps)
				caps[in.Arg] = at.place
			}
		case syntax.InstFail:
			return
		default:
			q.list = append(q.list, thread{pc: pc, caps: caps, sure: sure})
			return
		}
		pc = in.Out
	}
}

// step takes s from q, before which at is; behind it is to. ok is false if a thread matches
// that is not sure.
func (x *shapeRun) step(q *threads, s *symbol, at, to *spot) (next *threads, ok bool) {
	next = &threads{seen: make([]bool, len(x.prog.Inst)), matched: q.matched, groups: q.groups}
	if q.matched != every {
		started := &threads{list: slices.Clip(q.list), seen: slices.Clone(q.seen)}
		x.add(started, uint32(x.prog.Start), at, x.start, q.matched == none)
		q = started
	}
	done := false // a thread has matched: what is behind it does not count
	for i := range q.list {
		t := &q.list[i]
		in := &x.prog.Inst[t.pc]
		if in.Op == syntax.InstMatch {
			if !t.sure {
				return nil, false
			}
			if !done {
				next.matched, next.groups, done = every, t.caps, true
			}
			continue
		}
		if done && t.sure {
			continue
		}
		accept := none
		switch {
		case s.v != nil:
			accept = x.accepts[kindOf(s.v)][t.pc]
		case s.r >= 0 && in.MatchRune(s.r):
			accept = every
		}
		if accept != none {
			x.add(next, in.Out, to, t.caps, t.sure && accept == every)
		}
	}
	return next, true
}

// maxShapeTurns bounds the characters of a variable after which further ones must not make
// a difference any more.
const maxShapeTurns = 64

// variable takes the variable s, after before and before behind.
func (x *shapeRun) variable(q *threads, before, s, behind *symbol) (*threads, bool) {
	at, end, inside := spotBetween(s.from, before, s), spotBetween(s.to, s, behind), spotBetween(NoPlace, s, s)
	var joined *threads
	for range maxShapeTurns {
		ended, ok := x.step(q, s, &at, &end)
		if !ok {
			return nil, false
		}
		if joined == nil {
			joined = ended
		} else {
			joined = x.join(joined, ended)
		}
		next, ok := x.step(q, s, &at, &inside)
		if !ok {
			return nil, false
		}
		if at.place == NoPlace && next.equal(q) {
			return joined, true
		}
		q, at = next, inside
	}
	return nil, false
}

// join returns what holds for both a and b.
func (x *shapeRun) join(a, b *threads) *threads {
	n := 0
	for n < len(a.list) && n < len(b.list) && a.list[n].equal(&b.list[n]) {
		n++
	}
	out := &threads{list: slices.Clone(a.list[:n]), seen: make([]bool, len(x.prog.Inst)), matched: some}
	if a.sameMatch(b) {
		out.matched, out.groups = a.matched, a.groups
	}
	listed := func(pc uint32) bool {
		return slices.ContainsFunc(out.list, func(t thread) bool { return t.pc == pc })
	}
	for _, rest := range [...][]thread{a.list[n:], b.list[n:]} {
		for _, t := range rest {
			if !listed(t.pc) {
				out.list = append(out.list, thread{pc: t.pc, caps: t.caps})
			}
		}
	}
	for i := range out.seen {
		out.seen[i] = a.seen[i] && b.seen[i] || listed(uint32(i))
	}
	return out
}

// Match returns the groups of the match in all lines of the shape, nil if they have none;
// those that begin or end in a variable do so at [NoPlace]. The groups of the match as a whole
// are not known. ok is false if it depends on the line whether there is a match, or which.
func (s *Shapes) Match(line string, vars []model.LineVar) (groups []int, ok bool) {
	x := &shapeRun{Shapes: s, start: make([]int, s.prog.NumCap)}
	for i := range x.start {
		x.start[i] = -1
	}
	outside := symbol{r: -1}
	next := func(at int) symbol {
		if len(vars) > 0 && vars[0].From == at {
			v := &vars[0]
			vars = vars[1:]
			return symbol{r: -1, v: v, from: v.From, to: v.To}
		}
		end := len(line)
		if len(vars) > 0 {
			end = vars[0].From
		}
		if at == end {
			return outside
		}
		r, n := utf8.DecodeRuneInString(line[at:end])
		return symbol{r: r, from: at, to: at + n}
	}
	q := &threads{seen: make([]bool, len(s.prog.Inst))}
	before, cur := outside, next(0)
	for cur != outside {
		behind := next(cur.to)
		if cur.v != nil {
			if kindOf(cur.v) == varAny && (before.r >= utf8.RuneSelf || behind.r >= utf8.RuneSelf) {
				return nil, false // they may be parts of a character
			}
			q, ok = x.variable(q, &before, &cur, &behind)
		} else {
			at, to := spotBetween(cur.from, &before, &cur), spotBetween(cur.to, &cur, &behind)
			q, ok = x.step(q, &cur, &at, &to)
		}
		if !ok {
			return nil, false
		}
		before, cur = cur, behind
	}
	at := spotBetween(len(line), &before, &outside)
	if q, ok = x.step(q, &outside, &at, &at); !ok {
		return nil, false
	}
	return q.groups, q.matched != some
}
