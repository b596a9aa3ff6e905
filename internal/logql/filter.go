package logql

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/pharos-o11y/pharos/internal/model"
)

// predicate is a compiled condition.
type predicate interface{ eval(r *row) bool }

// valueTest decides on the value of a label that is present.
type valueTest interface {
	test(r *row, value string) bool
}

// valueFilter is a predicate on a single label.
type valueFilter struct {
	name string
	test valueTest
}

// filterStage is a label filter.
type filterStage struct{ p predicate }

func (s *filterStage) run(r *row) bool { return s.p.eval(r) }

func (m *labelMatcher) names(dst []string) []string { return append(dst, m.name) }
func (c *numCond) names(dst []string) []string      { return append(dst, c.name) }
func (c *ipCond) names(dst []string) []string       { return append(dst, c.name) }
func (c *binaryCond) names(dst []string) []string   { return c.right.names(c.left.names(dst)) }

func (m *labelMatcher) build() (predicate, error) { return m, nil }
func (c *numCond) build() (predicate, error)      { return c, nil }

// matches reports whether value satisfies m.
func (m *labelMatcher) matches(value string) bool {
	switch m.typ {
	case model.MatchEqual:
		return value == m.value
	case model.MatchNotEqual:
		return value != m.value
	case model.MatchRegexp:
		return m.re.MatchString(value)
	default:
		return !m.re.MatchString(value)
	}
}

func (m *labelMatcher) test(_ *row, value string) bool { return m.matches(value) }

func (m *labelMatcher) eval(r *row) bool {
	switch m.name {
	case errorLabel:
		return m.matches(r.err)
	case detailsLabel:
		return m.matches("") // it cannot be filtered
	}
	value, _ := r.get(m.name)
	return m.matches(value)
}

func (c *numCond) eval(r *row) bool {
	value, ok := r.get(c.name)
	return ok && c.test(r, value)
}

func (c *numCond) test(r *row, value string) bool {
	v, err := c.convert(value)
	if err != nil {
		if r.err == "" {
			r.fail(errFilter, err.Error())
		}
		return true
	}
	return compare(c.op, v, c.value)
}

func (c *numCond) convert(s string) (float64, error) {
	switch c.kind {
	case kindDuration:
		d, err := time.ParseDuration(s)
		return float64(d), err
	case kindBytes:
		b, err := humanize.ParseBytes(s)
		return float64(b), err
	}
	return parseFloat(s)
}

// parseFloat is strconv.ParseFloat with a short way for short whole numbers.
func parseFloat(s string) (float64, error) {
	if n := len(s); 0 < n && n <= 15 {
		v := int64(0)
		for i := range n {
			if !isDigit(s[i]) {
				return strconv.ParseFloat(strings.Clone(s), 64)
			}
			v = v*10 + int64(s[i]-'0')
		}
		return float64(v), nil
	}
	return strconv.ParseFloat(strings.Clone(s), 64)
}

type ipTest struct {
	cond  *ipCond
	match ipMatch
}

func (c *ipCond) build() (predicate, error) {
	m, err := parseIPMatch(c.text)
	return &ipTest{cond: c, match: m}, err
}

func (t *ipTest) eval(r *row) bool {
	value, ok := r.get(t.cond.name)
	return r.err != "" || ok && t.test(r, value)
}

// test lets entries that have an error already pass.
func (t *ipTest) test(r *row, value string) bool {
	return r.err != "" || t.match.in(value) != t.cond.negate
}

type binaryTest struct {
	or          bool
	left, right predicate
}

func (c *binaryCond) build() (predicate, error) {
	left, err := c.left.build()
	if err != nil {
		return nil, err
	}
	right, err := c.right.build()
	return &binaryTest{or: c.or, left: left, right: right}, err
}

func (t *binaryTest) eval(r *row) bool {
	left := t.left.eval(r)
	if t.or {
		return left || t.right.eval(r)
	}
	right := t.right.eval(r) // also if left is false: it may set an error
	return left && right
}

// single returns the filter of n if it looks at one label only, false otherwise. Filters on
// the error labels do not count.
func (n *labelFilterNode) single() (valueFilter, bool, error) {
	name := ""
	switch c := n.cond.(type) {
	case *labelMatcher:
		name = c.name
	case *numCond:
		name = c.name
	case *ipCond:
		name = c.name
	}
	if name == "" || name == errorLabel || name == detailsLabel {
		return valueFilter{}, false, nil
	}
	p, err := n.cond.build()
	if err != nil {
		return valueFilter{}, false, err
	}
	test, ok := p.(valueTest)
	if !ok {
		return valueFilter{}, false, fmt.Errorf("filter %s cannot be tested by value", n)
	}
	return valueFilter{name: name, test: test}, true, nil
}
