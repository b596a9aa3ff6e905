package index

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Query is a compiled list of matchers, all of which must hold. It is immutable and safe
// for concurrent use.
type Query struct{ conds []cond }

// NewQuery compiles ms. No matchers select everything.
func NewQuery(ms []*model.Matcher) *Query {
	q := &Query{}
	for _, m := range ms {
		q.conds = append(q.conds, compile(m))
	}
	return q
}

// MatchesEmpty reports whether q selects a label set without any label, that is, whether
// no matcher demands a label to be there.
func (q *Query) MatchesEmpty() bool {
	return !slices.ContainsFunc(q.conds, func(c cond) bool { return !c.empty })
}

// cond is one condition. Its form says how the values that satisfy m, or, if negated,
// those that do not, are found among sorted values.
type cond struct {
	m      *model.Matcher
	empty  bool // holds for an absent label
	negate bool
	form   form
	set    []string // formSet: sorted, distinct
	prefix string   // formPrefix, formRegexp
}

type form uint8

const (
	formSet    form = iota // the values in set
	formPrefix             // every value that begins with prefix
	formRegexp             // values that begin with prefix and match m
)

// maxLiterals bounds the alternatives that a regular expression is expanded into.
const maxLiterals = 4096

func compile(m *model.Matcher) cond {
	c := cond{m: m, empty: m.Matches(""), negate: m.Type == model.MatchNotEqual || m.Type == model.MatchNotRegexp}
	if m.Type == model.MatchEqual || m.Type == model.MatchNotEqual {
		c.set = []string{m.Value}
		return c
	}
	c.form = formRegexp
	re, err := syntax.Parse("(?s:"+m.Value+")", syntax.Perl)
	if err != nil {
		return c // the matcher has compiled it; only speed is lost
	}
	re = re.Simplify()
	if set, ok := literals(re); ok {
		slices.Sort(set)
		c.form, c.set = formSet, slices.Compact(set)
		return c
	}
	var rest []*syntax.Regexp
	c.prefix, rest = literalPrefix(re)
	if len(rest) == 1 && rest[0].Op == syntax.OpStar && rest[0].Sub[0].Op == syntax.OpAnyChar {
		c.form = formPrefix
	}
	return c
}

// literals returns the strings that re matches if they are finite and few.
func literals(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0
	case syntax.OpCapture:
		return literals(re.Sub[0])
	case syntax.OpQuest:
		set, ok := literals(re.Sub[0])
		return append(set, ""), ok
	case syntax.OpCharClass:
		var set []string
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i+1]-re.Rune[i] > 32 || len(set) > 64 {
				return nil, false
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				set = append(set, string(r))
			}
		}
		return set, true
	case syntax.OpAlternate:
		var set []string
		for _, sub := range re.Sub {
			s, ok := literals(sub)
			if !ok || len(set)+len(s) > maxLiterals {
				return nil, false
			}
			set = append(set, s...)
		}
		return set, true
	case syntax.OpConcat:
		return product(re.Sub)
	default:
		return nil, false
	}
}

// product concatenates the literals of each part in every combination.
func product(subs []*syntax.Regexp) ([]string, bool) {
	set := []string{""}
	for _, sub := range subs {
		s, ok := literals(sub)
		if !ok || len(set)*len(s) > maxLiterals {
			return nil, false
		}
		next := make([]string, 0, len(set)*len(s))
		for _, a := range set {
			for _, b := range s {
				next = append(next, a+b)
			}
		}
		set = next
	}
	return set, true
}

// literalPrefix splits re into the text every match begins with and what follows.
func literalPrefix(re *syntax.Regexp) (string, []*syntax.Regexp) {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	switch {
	case re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0:
		return string(re.Rune), nil
	case re.Op == syntax.OpConcat:
		var prefix string
		for i, sub := range re.Sub {
			p, rest := literalPrefix(sub)
			prefix += p
			if len(rest) > 0 {
				return prefix, append(rest, re.Sub[i+1:]...)
			}
		}
		return prefix, nil
	}
	return "", []*syntax.Regexp{re}
}

// holds reports whether a present value satisfies c.
func (c *cond) holds(v string) bool {
	switch c.form {
	case formSet:
		if len(c.set) == 1 {
			return (v == c.set[0]) != c.negate
		}
		_, found := slices.BinarySearch(c.set, v)
		return found != c.negate
	case formPrefix:
		return strings.HasPrefix(v, c.prefix) != c.negate
	default:
		if !strings.HasPrefix(v, c.prefix) {
			return c.negate
		}
		return c.m.Matches(v)
	}
}

// span returns the part of the sorted values in which c.form finds something.
func (c *cond) span(values []string) (lo, hi int) {
	if c.form == formSet || c.prefix == "" {
		return 0, len(values)
	}
	lo, _ = slices.BinarySearch(values, c.prefix)
	n, _ := slices.BinarySearchFunc(values[lo:], c.prefix, func(v, p string) int {
		if strings.HasPrefix(v, p) {
			return -1
		}
		return 1
	})
	return lo, lo + n
}
