package logql

import (
	"regexp"
	"testing"
)

// FuzzRegexp compares line tests with the regular expression they stand for.
func FuzzRegexp(f *testing.F) {
	for _, re := range []string{
		`foo`, `(?i)foo`, `error|fail|timeout`, `err(or)?`, `(?i)Info.*worker 1 `, `a.*b.*c`, `(?s)a.*b`, `^x`, `x$`, `[ab]c`, `(?i)ks`, `a+b`, `(a|b)(c|d)`,
		`5\d\d`, `a\.b`, `(?i:a)B`, `.*`, ``, `x{2,3}`, "\ufffd", `(?m)^a$`, `\bword\b`, `a.b`, `foo.*`, `(?i)É`,
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
		test, err := newRegexpTest(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := test.match(line), re.MatchString(line); got != want {
			t.Errorf("%T of %q on %q = %t, want %t", test, text, line, got, want)
		}
	})
}
