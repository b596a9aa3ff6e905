package tracestore

import (
	"regexp"
	"strings"
	"testing"
)

func TestRequiredLiteral(t *testing.T) {
	for expr, want := range map[string]string{
		".*carts.*LIMIT 50": "LIMIT 50",
		"abc":               "abc",
		"a|b":               "",
		"(ab)+c?":           "ab",
		"x(foo|bar)yz":      "yz",
		"(?i)abc.*":         "",
		"(?i:abc)de":        "de",
		"[ab]*":             "",
		"a{2,3}":            "a",
		"(":                 "",
		"":                  "",
		"foo.bar":           "foo",
		"\\.svc\\.cluster":  ".svc.cluster",
	} {
		if got := requiredLiteral(expr); got != want {
			t.Errorf("%q needs %q, want %q", expr, got, want)
		}
	}
}

func FuzzRequiredLiteral(f *testing.F) {
	f.Add("a(b|c)*d", "abcd")
	f.Add("(?i)ab|cd", "AB")
	f.Add("\ufffd", "\xff")
	f.Fuzz(func(t *testing.T, expr, s string) {
		re, err := regexp.Compile("^(?s:" + expr + ")$")
		if err != nil {
			return
		}
		if lit := requiredLiteral(expr); re.MatchString(s) && !strings.Contains(s, lit) {
			t.Errorf("%q matches %q, which lacks %q", expr, s, lit)
		}
	})
}
