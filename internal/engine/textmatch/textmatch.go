// Package textmatch decides whether a line of text matches a regular expression, without
// running one where that can be avoided.
//
// Most expressions that people write in line filters are a text, a few texts, or texts
// with ".*" between them, in any case or not. Looking for the texts decides the same as
// the regular expression and is many times faster. What is left runs as a regular
// expression, but only on lines that contain a text which every match must contain.
//
// The answer is always that of package regexp; a fuzz test compares the two.
// [Shapes] decides for many lines at once: those that differ in known stretches only.
package textmatch

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Matcher reports whether a text contains a match of an expression. It is safe for
// concurrent use.
type Matcher interface{ MatchString(s string) bool }

// literal is a text to look for, in any case if fold is set: then it is lower-case ASCII.
type literal struct {
	text string
	fold bool
}

// index returns where l first occurs in s, -1 if it does not.
func (l *literal) index(s string) int {
	if !l.fold {
		return strings.Index(s, l.text)
	}
	if l.text == "" {
		return 0
	}
	first, n := l.text[0], len(l.text)
	for i := 0; i+n <= len(s); i++ {
		if lowerASCII(s[i]) == first && equalFoldASCII(s[i:i+n], l.text) {
			return i
		}
	}
	return -1
}

// prefix and suffix report whether s starts, or ends, with l.
func (l *literal) prefix(s string) bool {
	n := len(l.text)
	return len(s) >= n && l.equal(s[:n])
}

func (l *literal) suffix(s string) bool {
	n := len(l.text)
	return len(s) >= n && l.equal(s[len(s)-n:])
}

func (l *literal) equal(s string) bool {
	if !l.fold {
		return s == l.text
	}
	return len(s) == len(l.text) && equalFoldASCII(s, l.text)
}

// inOrder reports whether line contains the literals, each behind the one before.
func inOrder(lits []literal, line string) bool {
	for i := range lits {
		at := lits[i].index(line)
		if at < 0 {
			return false
		}
		line = line[at+len(lits[i].text):]
	}
	return true
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

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// foldTest looks for an ASCII text in any case. In lines that are not ASCII the Kelvin
// sign and the long s count as k and s, so the regular expression decides.
type foldTest struct {
	lit literal
	re  *regexp.Regexp
}

func (t *foldTest) MatchString(line string) bool {
	return t.lit.index(line) >= 0 || !isASCII(line) && t.re.MatchString(line)
}

// anyTest is the alternation of several texts.
type anyTest struct{ tests []Matcher }

func (t *anyTest) MatchString(line string) bool {
	for _, alt := range t.tests {
		if alt.MatchString(line) {
			return true
		}
	}
	return false
}

// sequenceTest is texts with ".*" between them. The first may have to stand at the start
// of the line, and the last at its end.
type sequenceTest struct {
	parts      []literal
	start, end bool
	fold       bool
	re         *regexp.Regexp // decides lines with line feeds, or not in ASCII if fold is set
}

func (t *sequenceTest) MatchString(line string) bool {
	if !t.find(line) {
		return t.fold && !isASCII(line) && t.re.MatchString(line)
	}
	return strings.IndexByte(line, '\n') < 0 || t.re.MatchString(line)
}

func (t *sequenceTest) find(line string) bool {
	parts := t.parts
	if t.start {
		first := &parts[0]
		if t.end && len(parts) == 1 {
			return first.equal(line)
		}
		if !first.prefix(line) {
			return false
		}
		line, parts = line[len(first.text):], parts[1:]
	}
	if t.end {
		last := &parts[len(parts)-1]
		if !last.suffix(line) {
			return false
		}
		line, parts = line[:len(line)-len(last.text)], parts[:len(parts)-1]
	}
	return inOrder(parts, line)
}

// regexpTest matches a regular expression. Every match contains the literals needs, in
// their order.
type regexpTest struct {
	needs []literal
	fold  bool // one of needs is in any case
	re    *regexp.Regexp
}

func (t *regexpTest) MatchString(line string) bool {
	if !inOrder(t.needs, line) && (!t.fold || isASCII(line)) {
		return false
	}
	return t.re.MatchString(line)
}

// containsTest looks for a text.
type containsTest struct{ text string }

func (t *containsTest) MatchString(line string) bool { return strings.Contains(line, t.text) }

// Compile returns the cheapest Matcher that decides as the RE2 expression expr does. Its
// errors are those of [regexp.Compile].
func Compile(expr string) (Matcher, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	tree = tree.Simplify()
	if lits, ok := finite(tree); ok {
		t := &anyTest{}
		for _, l := range lits {
			if l.fold {
				t.tests = append(t.tests, &foldTest{l, re})
			} else {
				t.tests = append(t.tests, &containsTest{l.text})
			}
		}
		if len(t.tests) == 1 {
			return t.tests[0], nil
		}
		return t, nil
	}
	if t := sequence(tree, re); t != nil {
		return t, nil
	}
	t := &regexpTest{needs: needed(tree, nil), re: re}
	t.fold = slices.ContainsFunc(t.needs, func(l literal) bool { return l.fold })
	return t, nil
}

// literalOf returns the text of a literal node. U+FFFD in an expression also matches
// bytes that are not UTF-8, so it is no plain text.
func literalOf(re *syntax.Regexp) (literal, bool) {
	s := string(re.Rune)
	if strings.ContainsRune(s, utf8.RuneError) {
		return literal{}, false
	}
	if re.Flags&syntax.FoldCase == 0 {
		return literal{text: s}, true
	}
	return literal{text: strings.ToLower(s), fold: true}, isASCII(s)
}

// Bounds on the texts that an expression is expanded into: how many, and how long.
const (
	maxTexts   = 16
	maxTextLen = 1024
)

// finite returns the texts that re matches, if they are few and in one kind of case.
func finite(re *syntax.Regexp) ([]literal, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []literal{{}}, true
	case syntax.OpLiteral:
		l, ok := literalOf(re)
		return []literal{l}, ok
	case syntax.OpCapture:
		return finite(re.Sub[0])
	case syntax.OpCharClass:
		return classTexts(re)
	case syntax.OpQuest:
		lits, ok := finite(re.Sub[0])
		return append([]literal{{}}, lits...), ok && len(lits) < maxTexts
	case syntax.OpAlternate:
		var out []literal
		for _, sub := range re.Sub {
			lits, ok := finite(sub)
			if out = append(out, lits...); !ok || len(out) > maxTexts {
				return nil, false
			}
		}
		return out, true
	case syntax.OpConcat:
		out := []literal{{}}
		for _, sub := range re.Sub {
			lits, ok := finite(sub)
			if !ok || len(out)*len(lits) > maxTexts {
				return nil, false
			}
			if out, ok = product(out, lits); !ok {
				return nil, false
			}
		}
		return out, true
	}
	return nil, false
}

func classTexts(re *syntax.Regexp) ([]literal, bool) {
	var out []literal
	for i := 0; i < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			if len(out) == maxTexts || r == utf8.RuneError {
				return nil, false
			}
			out = append(out, literal{text: string(r)})
		}
	}
	return out, len(out) > 0
}

// product joins every a with every b. A text is either in any case or not, as a whole.
func product(as, bs []literal) ([]literal, bool) {
	var out []literal
	for _, a := range as {
		for _, b := range bs {
			if a.fold != b.fold && a.text != "" && b.text != "" && hasLetter(a, b) {
				return nil, false
			}
			if len(a.text)+len(b.text) > maxTextLen {
				return nil, false
			}
			fold := a.fold || b.fold
			l := literal{text: a.text + b.text, fold: fold}
			if fold {
				if !isASCII(l.text) {
					return nil, false
				}
				l.text = strings.ToLower(l.text)
			}
			out = append(out, l)
		}
	}
	return out, true
}

// hasLetter reports whether the one of a and b that is not in any case has letters.
func hasLetter(a, b literal) bool {
	exact := a.text
	if a.fold {
		exact = b.text
	}
	return strings.ContainsFunc(exact, unicode.IsLetter)
}

// sequence returns the test for texts with ".*" between them, nil if re is not that.
func sequence(tree *syntax.Regexp, re *regexp.Regexp) Matcher {
	if tree.Op != syntax.OpConcat {
		return nil
	}
	t := &sequenceTest{re: re}
	subs := tree.Sub
	atStart := subs[0].Op == syntax.OpBeginText
	if atStart {
		subs = subs[1:]
	}
	joined := false // the last part was a text: another one must follow it directly
	for i, sub := range subs {
		if sub.Op == syntax.OpStar && (sub.Sub[0].Op == syntax.OpAnyCharNotNL || sub.Sub[0].Op == syntax.OpAnyChar) {
			joined = false
			continue
		}
		if sub.Op == syntax.OpEndText && i == len(subs)-1 {
			t.end = joined
			continue
		}
		lits, ok := finite(sub)
		if !ok || len(lits) != 1 || joined {
			return nil
		}
		joined = true
		t.start = t.start || atStart && i == 0
		t.parts = append(t.parts, lits[0])
		t.fold = t.fold || lits[0].fold
	}
	if len(t.parts) == 0 {
		return nil
	}
	return t
}

// needed appends texts that every match of re contains, in their order.
func needed(re *syntax.Regexp, dst []literal) []literal {
	if len(dst) == maxTexts {
		return dst
	}
	switch re.Op {
	case syntax.OpLiteral:
		if l, ok := literalOf(re); ok {
			return append(dst, l)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0], dst)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			dst = needed(sub, dst)
		}
	}
	return dst
}

// Needed returns texts that every text which m, a result of [Compile], matches contains.
func Needed(m Matcher) []string {
	var out []string
	add := func(l literal) {
		if !l.fold && l.text != "" {
			out = append(out, l.text)
		}
	}
	switch t := m.(type) {
	case *containsTest:
		add(literal{text: t.text})
	case *regexpTest:
		for _, l := range t.needs {
			add(l)
		}
	case *sequenceTest:
		for _, l := range t.parts {
			add(l)
		}
	}
	return out
}

// Texts returns all texts that the expression expr matches as a whole, if they are few
// and their case matters.
func Texts(expr string) ([]string, bool) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, false
	}
	lits, ok := finite(tree.Simplify())
	if !ok {
		return nil, false
	}
	out := make([]string, len(lits))
	for i, l := range lits {
		if l.fold {
			return nil, false
		}
		out[i] = l.text
	}
	return out, true
}
