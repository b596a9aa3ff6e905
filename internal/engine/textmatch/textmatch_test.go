package textmatch

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// FuzzRegexp compares matchers with the regular expressions they stand for.
func FuzzRegexp(f *testing.F) {
	for _, re := range []string{
		`foo`, `(?i)foo`, `error|fail|timeout`, `err(or)?`, `(?i)Info.*worker 1 `, `a.*b.*c`, `(?s)a.*b`, `^x`, `x$`, `[ab]c`, `(?i)ks`, `a+b`, `(a|b)(c|d)`,
		`5\d\d`, `a\.b`, `(?i:a)B`, `.*`, ``, `x{2,3}`, "\ufffd", `(?m)^a$`, `\bword\b`, `a.b`, `foo.*`, `(?i)É`, `^a.*b$`, `^ab$`, `^.*b$`, `^a.*`, `(?i)^INFO.*k$`, `a.*$`, `^$`, `^.*$`, `(ab)+c`,
	} {
		for _, line := range []string{"foo bar", "FOO", "timeout", "INFO the worker 1 x", "a\nb c", "xacbbc", "\u212as \u017f", "", "aB", "ab", "\xff", "a.b word", "503", "é"} {
			f.Add(re, line)
		}
	}
	f.Fuzz(func(t *testing.T, text, line string) {
		re, err := regexp.Compile(text)
		if err != nil {
			return
		}
		test, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := test.MatchString(line), re.MatchString(line); got != want {
			t.Errorf("%T of %q on %q = %t, want %t", test, text, line, got, want)
		}
	})
}

// FuzzNeeded checks that matching texts contain what is needed.
func FuzzNeeded(f *testing.F) {
	f.Add(`foo.*bar`, "a foo b bar")
	f.Add(`(?i)x(ab)+c`, "Xababc")
	f.Fuzz(func(t *testing.T, expr, line string) {
		m, err := Compile(expr)
		if err != nil || !m.MatchString(line) {
			return
		}
		for _, s := range Needed(m) {
			if !strings.Contains(line, s) {
				t.Errorf("%q matches %q, which lacks %q", expr, line, s)
			}
		}
	})
}

func TestKinds(t *testing.T) {
	tests := []struct{ expr, kind, needed string }{
		{`foo`, "*textmatch.containsTest", "[foo]"},
		{`(?i)foo`, "*textmatch.foldTest", "[]"},
		{`error|fail`, "*textmatch.anyTest", "[]"},
		{`(?i)error|fail`, "*textmatch.anyTest", "[]"},
		{`foo.*bar`, "*textmatch.sequenceTest", "[foo bar]"},
		{`(?i)foo.*bar.*`, "*textmatch.sequenceTest", "[]"},
		{`items/77[0-9]+ x`, "*textmatch.regexpTest", "[items/77  x]"},
		{`^foo$`, "*textmatch.sequenceTest", "[foo]"},
		{`^foo.*bar$`, "*textmatch.sequenceTest", "[foo bar]"},
		{`a\d+b\d*c`, "*textmatch.regexpTest", "[a b c]"},
		{`[0-9]+`, "*textmatch.regexpTest", "[]"},
	}
	for _, tt := range tests {
		m, err := Compile(tt.expr)
		if err != nil {
			t.Fatal(err)
		}
		if kind, needed := fmt.Sprintf("%T", m), fmt.Sprint(Needed(m)); kind != tt.kind || needed != tt.needed {
			t.Errorf("%s: %s needs %s, want %s, %s", tt.expr, kind, needed, tt.kind, tt.needed)
		}
	}
	if texts, ok := Texts(`err(or)?|[ab]c`); !ok || fmt.Sprint(texts) != "[err error ac bc]" {
		t.Errorf("texts %v %t", texts, ok)
	}
	if texts, ok := Texts(`(?i)a|b+`); ok {
		t.Errorf("texts %v of an infinite expression", texts)
	}
}
