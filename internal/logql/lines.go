package logql

import (
	"errors"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/textmatch"
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

type regexpTest struct{ re textmatch.Matcher }

func (t *regexpTest) match(line string) bool { return t.re.MatchString(line) }

type patternTest struct{ parts []patternPart }

func (t *patternTest) match(line string) bool { return matchPattern(t.parts, line) }

func (m ipMatch) match(line string) bool { return m.in(line) }

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
		// A store finds a single text itself.
		if texts := textmatch.Needed(t.re); len(texts) > 1 {
			for _, text := range texts {
				add(text)
			}
		}
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
		re, err := textmatch.Compile(a.text)
		return &regexpTest{re: re}, err
	case linePattern, lineNotPattern:
		parts, err := parsePattern(a.text)
		if err != nil {
			return nil, err
		}
		return &patternTest{parts: parts}, checkWildcards(parts)
	}
	return &containsTest{needle: a.text}, nil
}
