package logstore

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/textmatch"
	"github.com/pharos-o11y/pharos/internal/store"
)

// lineFilter is a compiled [store.LineFilter].
type lineFilter struct {
	negate   bool
	hint     bool          // it follows from what is known of fields
	patterns []linePattern // any of them
}

// linePattern is one pattern: the substring literal, or an expression.
type linePattern struct {
	literal string
	re      textmatch.Matcher // nil for a literal
	// needs are literals of which one must be in a line that re matches; nil if nothing
	// is known. seek is what to look for in text: their common prefix, if that is long and
	// saves looking for many, else needs.
	needs, seek []string
	exact       bool              // re matches what holds one of needs
	seq         sequence          // re matches what holds this; nil if it does not mean one, or is exact
	shapes      *textmatch.Shapes // re; nil if it is exact, or there is seq
}

// compileLines compiles fs.
func compileLines(fs []store.LineFilter) ([]lineFilter, error) {
	out := make([]lineFilter, 0, len(fs))
	for _, f := range fs {
		if len(f.Patterns) == 0 {
			return nil, fmt.Errorf("compile line filter: %w: it has no pattern", store.ErrUnsupported)
		}
		c := lineFilter{negate: f.Negate, hint: f.Hint}
		for _, p := range f.Patterns {
			ps := []linePattern{{literal: p}}
			if f.Regexp {
				var err error
				if ps, err = compilePattern(p); err != nil {
					return nil, err
				}
			}
			c.patterns = append(c.patterns, ps...)
		}
		out = append(out, c)
	}
	return out, nil
}

// compilePattern compiles an expression. One that means "contains a, or b, ..." becomes
// literals.
func compilePattern(p string) ([]linePattern, error) {
	re, err := textmatch.Compile(p)
	if err != nil {
		return nil, fmt.Errorf("compile line filter %q: %w", p, err)
	}
	tree, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("compile line filter %q: %w", p, err)
	}
	tree = tree.Simplify()
	lits, exact := literals(tree)
	seek := lits
	if prefix := commonPrefix(lits); len(lits) > 2 && len(prefix) >= minSeek {
		seek = []string{prefix}
	} else if exact && lits != nil {
		var ps []linePattern
		for _, l := range lits {
			ps = append(ps, linePattern{literal: l})
		}
		return ps, nil
	}
	out := linePattern{re: re, needs: lits, seek: seek, exact: exact && lits != nil}
	if !out.exact {
		if out.seq = sequenceOf(tree); out.seq == nil {
			out.shapes = textmatch.NewShapes(p)
		}
	}
	return []linePattern{out}, nil
}

// minSeek is the length from which a prefix of several literals is worth looking for.
const minSeek = 4

func commonPrefix(ss []string) string {
	if len(ss) == 0 {
		return ""
	}
	p := ss[0]
	for _, s := range ss[1:] {
		for !strings.HasPrefix(s, p) {
			p = p[:len(p)-1]
		}
	}
	return p
}

// maxNeeds bounds the literals looked for before an expression runs.
const maxNeeds = 16

// literals returns strings of which one must be in every text that re matches, nil if
// there are none worth looking for. exact says that, the other way round, re matches
// every text that contains one of them.
func literals(re *syntax.Regexp) (lits []string, exact bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 && hasCase(re.Rune) || slices.Contains(re.Rune, '\uFFFD') {
			return nil, false
		}
		return []string{string(re.Rune)}, true
	case syntax.OpCharClass:
		return classLiterals(re)
	case syntax.OpCapture:
		return literals(re.Sub[0])
	case syntax.OpPlus:
		lits, _ = literals(re.Sub[0])
		return lits, false
	case syntax.OpRepeat:
		if re.Min == 0 {
			return nil, false
		}
		lits, _ = literals(re.Sub[0])
		return lits, false
	case syntax.OpConcat:
		return concatLiterals(re.Sub)
	case syntax.OpAlternate:
		exact = true
		for _, sub := range re.Sub {
			l, e := literals(sub)
			if l == nil {
				return nil, false
			}
			lits, exact = append(lits, l...), exact && e
		}
		if len(lits) > maxNeeds {
			return nil, false
		}
		return lits, exact
	default:
		return nil, false
	}
}

func hasCase(rs []rune) bool {
	s := string(rs)
	return strings.ToLower(s) != s || strings.ToUpper(s) != s
}

// classLiterals returns the members of a small class.
func classLiterals(re *syntax.Regexp) ([]string, bool) {
	var lits []string
	for i := 0; i+1 < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			if r == '\uFFFD' || len(lits) == 4 {
				return nil, false
			}
			lits = append(lits, string(r))
		}
	}
	return lits, lits != nil
}

// concatLiterals returns the best literals of one of subs: those whose shortest is the
// longest. Neighbours that are literal are joined.
func concatLiterals(subs []*syntax.Regexp) (best []string, exact bool) {
	exact = true
	var joined []string
	score := func(ls []string) int {
		n := -1
		for _, l := range ls {
			if n < 0 || len(l) < n {
				n = len(l)
			}
		}
		return n
	}
	for _, sub := range subs {
		l, e := literals(sub)
		if l == nil || !e {
			exact = false
			if joined = nil; score(l) > score(best) {
				best = l
			}
			continue
		}
		if joined == nil {
			joined = l
		} else if len(joined)*len(l) <= maxNeeds {
			joined = cross(joined, l)
		} else {
			exact = false
			joined = l
		}
		if score(joined) > score(best) {
			best = joined
		}
	}
	return best, exact && best != nil && score(best) > 0
}

func cross(as, bs []string) []string {
	out := make([]string, 0, len(as)*len(bs))
	for _, a := range as {
		for _, b := range bs {
			out = append(out, a+b)
		}
	}
	return out
}

// match reports whether line satisfies f.
func (f *lineFilter) match(line string) bool {
	return f.negate != slices.ContainsFunc(f.patterns, func(p linePattern) bool {
		if p.re == nil {
			return strings.Contains(line, p.literal)
		}
		return p.match(line)
	})
}

func (p *linePattern) match(line string) bool {
	if p.needs != nil && !slices.ContainsFunc(p.seek, func(l string) bool { return strings.Contains(line, l) }) {
		return false
	}
	return p.re.MatchString(line)
}

// may reports whether a block with filter bf can hold a line that satisfies f.
func (f *lineFilter) may(bf *blockFilter) bool {
	if f.negate {
		return true
	}
	return slices.ContainsFunc(f.patterns, func(p linePattern) bool {
		if p.re == nil {
			return bf.substring(p.literal)
		}
		return p.needs == nil || slices.ContainsFunc(p.needs, bf.substring)
	})
}

// prunes reports whether the filter of a block can tell anything about f.
func (f *lineFilter) prunes() bool {
	return !f.negate && !slices.ContainsFunc(f.patterns, func(p linePattern) bool {
		if p.re == nil {
			return p.literal == ""
		}
		return p.needs == nil
	})
}

// lineText is the lines of a block.
type lineText struct {
	text   string   // of all rows of the block
	ends   []uint32 // exclusive of the newline
	starts []uint32 // nil if every line begins behind the newline of the one before
}

func (t *lineText) start(i int) int {
	if t.starts != nil {
		return int(t.starts[i])
	}
	if i == 0 {
		return 0
	}
	return int(t.ends[i-1]) + 1
}

func (t *lineText) line(i int) string { return t.text[t.start(i):t.ends[i]] }

// mark sets keep[i-from] to false for the rows i in from..to that do not satisfy f. It
// searches the text as a whole rather than line by line.
func (f *lineFilter) mark(t *lineText, from, to int, keep []bool) {
	hit := make([]bool, to-from)
	for _, p := range f.patterns {
		switch {
		case p.re == nil:
			t.find(p.literal, from, to, func(i int) bool { hit[i-from] = true; return true })
		case p.needs != nil:
			for _, l := range p.seek {
				t.find(l, from, to, func(i int) bool {
					if !hit[i-from] && keep[i-from] {
						hit[i-from] = p.re.MatchString(t.line(i))
					}
					return true
				})
			}
		default:
			for i := from; i < to; i++ {
				if !hit[i-from] && keep[i-from] {
					hit[i-from] = p.re.MatchString(t.line(i))
				}
			}
		}
	}
	for i := range hit {
		keep[i] = keep[i] && hit[i] != f.negate
	}
}

// find calls f with each row in from..to whose line contains s, in order.
func (t *lineText) find(s string, from, to int, f func(row int) bool) {
	if from >= to {
		return
	}
	row, at, end := from, t.start(from), int(t.ends[to-1])
	for at <= end {
		i := strings.Index(t.text[at:end], s)
		if i < 0 {
			return
		}
		at += i
		if int(t.ends[row]) < at { // the row that holds at
			n, _ := slices.BinarySearch(t.ends[row:to], uint32(at))
			row += n
		}
		if at+len(s) > int(t.ends[row]) { // it reaches over the end of the line
			at++
			continue
		}
		if !f(row) {
			return
		}
		at = int(t.ends[row]) + 1
		row++
		if row >= to {
			return
		}
	}
}
