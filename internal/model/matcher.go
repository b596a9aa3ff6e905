package model

import (
	"fmt"
	"regexp"
	"strconv"
)

// MatchType is the operator of a [Matcher].
type MatchType uint8

// The four operators of a label matcher.
const (
	MatchEqual MatchType = iota
	MatchNotEqual
	MatchRegexp
	MatchNotRegexp
)

// String returns the operator as written in PromQL and LogQL.
func (t MatchType) String() string { return [...]string{"=", "!=", "=~", "!~"}[t] }

// Matcher is a condition on the value of one label. An absent label has the value "".
// Regular expressions are RE2, anchored at both ends, and "." matches a newline, as in
// Prometheus and Loki. A Matcher is immutable and safe for concurrent use.
type Matcher struct {
	Type  MatchType
	Name  string
	Value string

	re *regexp.Regexp
}

// NewMatcher returns the matcher name <t> value. It fails if a regular expression does
// not compile.
func NewMatcher(t MatchType, name, value string) (*Matcher, error) {
	m := &Matcher{Type: t, Name: name, Value: value}
	if t == MatchRegexp || t == MatchNotRegexp {
		re, err := regexp.Compile("^(?s:" + value + ")$")
		if err != nil {
			return nil, fmt.Errorf("compile regular expression %q of label %s: %w", value, name, err)
		}
		m.re = re
	}
	return m, nil
}

// MustMatcher is [NewMatcher] for matchers known to be valid; it panics on an error.
func MustMatcher(t MatchType, name, value string) *Matcher {
	m, err := NewMatcher(t, name, value)
	if err != nil {
		Bug("%v", err)
	}
	return m
}

// Matches reports whether the label value v satisfies m.
func (m *Matcher) Matches(v string) bool {
	switch m.Type {
	case MatchEqual:
		return v == m.Value
	case MatchNotEqual:
		return v != m.Value
	case MatchRegexp:
		return m.re.MatchString(v)
	default:
		return !m.re.MatchString(v)
	}
}

// MatchesLabels reports whether ls satisfies every matcher.
func MatchesLabels(ls Labels, ms []*Matcher) bool {
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// String returns m as written in a selector.
func (m *Matcher) String() string {
	return m.Name + m.Type.String() + strconv.Quote(m.Value)
}
