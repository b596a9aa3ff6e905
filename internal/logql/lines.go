package logql

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/store"
)

// lineTest is one operand of a line filter.
type lineTest interface{ match(line string) bool }

// lineFilter keeps a line if any of its tests matches, or if none does.
type lineFilter struct {
	negate bool
	tests  []lineTest
}

func (f *lineFilter) match(line string) bool {
	for _, t := range f.tests {
		if t.match(line) {
			return !f.negate
		}
	}
	return f.negate
}

func (f *lineFilter) run(r *row) bool { return f.match(r.line) }

type containsTest struct{ needle string }

func (t *containsTest) match(line string) bool { return strings.Contains(line, t.needle) }

// foldTest looks for an ASCII text in any case.
type foldTest struct {
	needle string // lower case
	exotic *regexp.Regexp
}

func (t *foldTest) match(line string) bool {
	ascii := true
	first, n := t.needle[0], len(t.needle)
	for i := range len(line) {
		c := line[i]
		if c >= utf8.RuneSelf {
			ascii = false
			continue
		}
		if lowerASCII(c) == first && i+n <= len(line) && equalFoldASCII(line[i:i+n], t.needle) {
			return true
		}
	}
	// The Kelvin sign and the long s fold to k and s.
	return !ascii && t.exotic != nil && t.exotic.MatchString(line)
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func equalFoldASCII(s, lower string) bool {
	for i := range len(lower) {
		if lowerASCII(s[i]) != lower[i] {
			return false
		}
	}
	return true
}

// regexpTest matches a regular expression; a line without need cannot match.
type regexpTest struct {
	need string
	re   *regexp.Regexp
}

func (t *regexpTest) match(line string) bool {
	return (t.need == "" || strings.Contains(line, t.need)) && t.re.MatchString(line)
}

type patternTest struct{ parts []patternPart }

func (t *patternTest) match(line string) bool { return matchPattern(t.parts, line) }

func (m ipMatch) match(line string) bool { return m.in(line) }

// newRegexpTest returns the cheapest test that decides as the expression text does.
func newRegexpTest(text string) (lineTest, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	tree = tree.Simplify()
	if s := string(tree.Rune); tree.Op == syntax.OpLiteral && !strings.ContainsRune(s, utf8.RuneError) {
		if tree.Flags&syntax.FoldCase == 0 {
			return &containsTest{needle: s}, nil
		}
		if isASCII(s) {
			t := &foldTest{needle: strings.ToLower(s)}
			if strings.ContainsAny(t.needle, "ks") {
				t.exotic = re
			}
			return t, nil
		}
	}
	return &regexpTest{need: neededLiteral(tree), re: re}, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// neededLiteral returns the longest text that every match of re contains, "" if unknown.
func neededLiteral(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		// U+FFFD in an expression also matches bytes that are not UTF-8.
		if s := string(re.Rune); re.Flags&syntax.FoldCase == 0 && !strings.ContainsRune(s, utf8.RuneError) {
			return s
		}
	case syntax.OpCapture, syntax.OpPlus:
		return neededLiteral(re.Sub[0])
	case syntax.OpConcat:
		best := ""
		for _, sub := range re.Sub {
			if s := neededLiteral(sub); len(s) > len(best) {
				best = s
			}
		}
		return best
	}
	return ""
}

// filter compiles n. It also returns conditions for the store: exact ones and, where the
// store cannot evaluate n, ones that n implies. whole is true if they say all that n says.
func (n *lineFilterNode) filter(caps store.LogCaps) (f *lineFilter, push []store.LineFilter, whole bool, err error) {
	f = &lineFilter{negate: n.op.negated()}
	whole = true
	own := store.LineFilter{Negate: f.negate, Regexp: n.op == lineMatches || n.op == lineNotMatches}
	for _, a := range n.args {
		t, err := n.operand(a)
		if err != nil {
			return nil, nil, false, err
		}
		f.tests = append(f.tests, t)
		own.Patterns = append(own.Patterns, a.text)
		if a.ip || n.op == linePattern || n.op == lineNotPattern {
			whole = false
		}
	}
	if own.Regexp {
		whole = whole && caps.LineRegexp
	} else {
		whole = whole && caps.LineFilter
	}
	if whole {
		push = append(push, own)
	}
	if caps.LineFilter && len(f.tests) == 1 && !f.negate {
		push = append(push, implied(f.tests[0])...)
	}
	return f, push, whole, nil
}

// implied returns substring filters that hold on every line that t matches, as far as
// they say more than nothing.
func implied(t lineTest) []store.LineFilter {
	var out []store.LineFilter
	add := func(s string) {
		if s != "" {
			out = append(out, store.LineFilter{Patterns: []string{s}})
		}
	}
	switch t := t.(type) {
	case *regexpTest:
		add(t.need)
	case *patternTest:
		for _, p := range t.parts {
			add(p.literal)
		}
	}
	return out
}

func (n *lineFilterNode) operand(a lineFilterArg) (lineTest, error) {
	if a.ip {
		if n.op != lineContains && n.op != lineNotContains {
			return nil, errors.New("ip(...) needs the operator |= or !=, not " + n.op.String())
		}
		return parseIPMatch(a.text)
	}
	switch n.op {
	case lineMatches, lineNotMatches:
		return newRegexpTest(a.text)
	case linePattern, lineNotPattern:
		parts, err := parsePattern(a.text)
		if err != nil {
			return nil, err
		}
		return &patternTest{parts: parts}, checkWildcards(parts)
	}
	return &containsTest{needle: a.text}, nil
}
