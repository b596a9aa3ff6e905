// Package sampling decides which traces of a store stay when it thins them out, in the
// vocabulary of the Collector's tail_sampling processor. Unlike that processor it sees
// every span of a trace, however late it came, and nothing waits in memory: the decision
// is made hours later, over what is stored.
//
//	policies := []sampling.Policy{
//		{Name: "errors", Type: "status_code", StatusCode: sampling.StatusCode{Codes: []string{"ERROR"}}},
//		{Name: "one in ten", Type: "probabilistic", Probabilistic: sampling.Probabilistic{Percentage: 10}},
//	}
//	s, err := sampling.New(policies)
//	keep := s.Keep(rows, from, to, nil)
//
// A trace stays if any policy wants it and no drop policy matches. Policies that need the
// order of arrival (rate_limiting, bytes_limiting, composite) or another language
// (ottl_condition) do not exist here and are refused by name.
package sampling

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Policy is one policy as the Collector writes it: a name, a type, and the settings of
// that type.
type Policy struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"` // always_sample, status_code, latency, ..., see New

	StatusCode       StatusCode       `yaml:"status_code"`
	Latency          Latency          `yaml:"latency"`
	Probabilistic    Probabilistic    `yaml:"probabilistic"`
	SpanCount        SpanCount        `yaml:"span_count"`
	StringAttribute  StringAttribute  `yaml:"string_attribute"`
	NumericAttribute NumericAttribute `yaml:"numeric_attribute"`
	BooleanAttribute BooleanAttribute `yaml:"boolean_attribute"`
	And              And              `yaml:"and"`
	Not              Not              `yaml:"not"`
	Drop             Drop             `yaml:"drop"`
}

// StatusCode wants traces with a span of one of the statuses OK, ERROR, UNSET.
type StatusCode struct {
	Codes []string `yaml:"status_codes"`
}

// Latency wants traces that last at least Threshold milliseconds and, if it is not 0, at
// most Upper, from their first start to their last end.
type Latency struct {
	Threshold int64 `yaml:"threshold_ms"`
	Upper     int64 `yaml:"upper_threshold_ms"`
}

// Probabilistic wants Percentage of all traces, always the same ones for one Salt.
type Probabilistic struct {
	Salt       string  `yaml:"hash_salt"`
	Percentage float64 `yaml:"sampling_percentage"`
}

// SpanCount wants traces of at least Min and, if it is not 0, at most Max spans.
type SpanCount struct {
	Min int `yaml:"min_spans"`
	Max int `yaml:"max_spans"`
}

// StringAttribute wants traces with a span whose attribute, or that of its resource, has
// one of the values; Invert wants the others.
type StringAttribute struct {
	Key       string   `yaml:"key"`
	Values    []string `yaml:"values"`
	Regexp    bool     `yaml:"enabled_regex_matching"` // values are RE2, unanchored
	CacheSize int      `yaml:"cache_max_size"`         // accepted and not needed
	Invert    bool     `yaml:"invert_match"`
}

// NumericAttribute wants traces with a span whose integer attribute, or that of its
// resource, is in [Min, Max]; a bound that is left out is none.
type NumericAttribute struct {
	Key    string `yaml:"key"`
	Min    *int64 `yaml:"min_value"`
	Max    *int64 `yaml:"max_value"`
	Invert bool   `yaml:"invert_match"`
}

// BooleanAttribute wants traces with a span whose attribute, or that of its resource, is
// Value.
type BooleanAttribute struct {
	Key    string `yaml:"key"`
	Value  bool   `yaml:"value"`
	Invert bool   `yaml:"invert_match"`
}

// And wants traces that all its policies want.
type And struct {
	Policies []Policy `yaml:"and_sub_policy"`
}

// Not wants traces that its policy does not want.
type Not struct {
	Policy *Policy `yaml:"not_sub_policy"`
}

// Drop refuses traces that all its policies want, whatever others say.
type Drop struct {
	Policies []Policy `yaml:"drop_sub_policy"`
}

// Sampler is compiled policies. It is safe for concurrent use.
type Sampler struct {
	keep, drop []rule
	attrs      []store.Attr
	refs       bool
}

// rule reports whether a policy wants a trace.
type rule func(t *trace) bool

// trace is the spans from..to of rows.
type trace struct {
	rows       *store.SpanRows
	from, to   int
	referenced func(model.TraceID) bool
}

// New compiles policies. Every mistake is reported at once, by the policy's name.
func New(policies []Policy) (*Sampler, error) {
	s := &Sampler{}
	var errs []error
	for i := range policies {
		p := &policies[i]
		r, err := s.compile(p, 0)
		switch {
		case err != nil:
			errs = append(errs, err)
		case p.Type == "drop":
			s.drop = append(s.drop, r)
		default:
			s.keep = append(s.keep, r)
		}
	}
	if len(s.keep) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no policy keeps anything; to keep the rest, add {name: rest, type: always_sample}"))
	}
	return s, errors.Join(errs...)
}

// Attrs returns the attributes that Keep looks at.
func (s *Sampler) Attrs() []store.Attr { return s.attrs }

// NeedsReferences reports whether a policy asks which traces are referenced.
func (s *Sampler) NeedsReferences() bool { return s.refs }

// Keep reports whether the trace in rows from..to stays. referenced says whether
// something else points to a trace; it may be nil unless NeedsReferences.
func (s *Sampler) Keep(rows *store.SpanRows, from, to int, referenced func(model.TraceID) bool) bool {
	t := &trace{rows, from, to, referenced}
	wanted := func(r rule) bool { return r(t) }
	return !slices.ContainsFunc(s.drop, wanted) && slices.ContainsFunc(s.keep, wanted)
}

// maxNesting bounds policies inside policies.
const maxNesting = 8

func (s *Sampler) compile(p *Policy, depth int) (rule, error) {
	bad := func(format string, args ...any) (rule, error) {
		return nil, fmt.Errorf("policy %q of type %s: %s", p.Name, p.Type, fmt.Sprintf(format, args...))
	}
	if depth > maxNesting {
		return bad("more than %d levels of policies", maxNesting)
	}
	switch p.Type {
	case "always_sample":
		return func(*trace) bool { return true }, nil
	case "referenced":
		s.refs = true
		return func(t *trace) bool { return t.referenced != nil && t.referenced(t.rows.TraceID[t.from]) }, nil
	case "status_code":
		return p.statusCode(bad)
	case "latency":
		return p.latency(bad)
	case "probabilistic":
		return p.probabilistic(bad)
	case "span_count":
		return p.spanCount(bad)
	case "string_attribute", "numeric_attribute", "boolean_attribute":
		return s.attribute(p, bad)
	case "and", "drop":
		subs := p.And.Policies
		if p.Type == "drop" {
			subs = p.Drop.Policies
		}
		if p.Type == "drop" && depth > 0 {
			return bad("stands inside another policy; it only makes sense at the top")
		}
		return s.all(p, subs, depth)
	case "not":
		if p.Not.Policy == nil {
			return bad("has no not_sub_policy")
		}
		r, err := s.compile(p.Not.Policy, depth+1)
		return func(t *trace) bool { return !r(t) }, err
	case "rate_limiting", "bytes_limiting", "composite":
		return bad("depends on the order of arrival, which stored traces do not have; use it in the pipeline's tail_sampling processor")
	case "":
		return bad("has no type; want always_sample, status_code, latency, probabilistic, span_count, string_attribute, numeric_attribute, boolean_attribute, referenced, and, not or drop")
	}
	return bad("unknown or not supported; want always_sample, status_code, latency, probabilistic, span_count, string_attribute, numeric_attribute, boolean_attribute, referenced, and, not or drop")
}

type badFunc = func(format string, args ...any) (rule, error)

func (s *Sampler) all(p *Policy, subs []Policy, depth int) (rule, error) {
	if len(subs) == 0 {
		return nil, fmt.Errorf("policy %q of type %s: has no %s_sub_policy", p.Name, p.Type, p.Type)
	}
	var rules []rule
	for i := range subs {
		r, err := s.compile(&subs[i], depth+1)
		if err != nil {
			return nil, fmt.Errorf("policy %q: %w", p.Name, err)
		}
		rules = append(rules, r)
	}
	return func(t *trace) bool {
		return !slices.ContainsFunc(rules, func(r rule) bool { return !r(t) })
	}, nil
}

func (p *Policy) statusCode(bad badFunc) (rule, error) {
	var wanted [3]bool
	for _, c := range p.StatusCode.Codes {
		i := slices.Index([]string{"UNSET", "OK", "ERROR"}, strings.ToUpper(c))
		if i < 0 {
			return bad("status %q; want OK, ERROR or UNSET", c)
		}
		wanted[i] = true
	}
	if len(p.StatusCode.Codes) == 0 {
		return bad("has no status_codes")
	}
	return func(t *trace) bool {
		return slices.ContainsFunc(t.rows.Status[t.from:t.to], func(s uint8) bool { return int(s) < len(wanted) && wanted[s] })
	}, nil
}

func (p *Policy) latency(bad badFunc) (rule, error) {
	const ms = 1_000_000
	l := p.Latency
	if l.Threshold < 0 || l.Upper < 0 || l.Upper > 0 && l.Upper <= l.Threshold || max(l.Threshold, l.Upper) > math.MaxInt64/ms {
		return bad("threshold_ms %d, upper_threshold_ms %d", l.Threshold, l.Upper)
	}
	return func(t *trace) bool {
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for i := t.from; i < t.to; i++ {
			start := t.rows.Start[i]
			first, last = min(first, start), max(last, start+t.rows.Duration[i])
		}
		d := last - first
		return d >= l.Threshold*ms && (l.Upper == 0 || d <= l.Upper*ms)
	}, nil
}

func (p *Policy) probabilistic(bad badFunc) (rule, error) {
	pc := p.Probabilistic.Percentage
	if !(pc >= 0 && pc <= 100) {
		return bad("sampling_percentage %v; want 0 to 100", pc)
	}
	salt := xxh3.HashString(p.Probabilistic.Salt)
	return func(t *trace) bool {
		var b [24]byte
		binary.LittleEndian.PutUint64(b[:], salt)
		copy(b[8:], t.rows.TraceID[t.from][:])
		// The top 53 bits make a number in [0, 1).
		return float64(xxh3.Hash(b[:])>>11)/(1<<53) < pc/100
	}, nil
}

func (p *Policy) spanCount(bad badFunc) (rule, error) {
	c := p.SpanCount
	if c.Min < 0 || c.Max < 0 || c.Max > 0 && c.Max < c.Min {
		return bad("min_spans %d, max_spans %d", c.Min, c.Max)
	}
	return func(t *trace) bool {
		n := t.to - t.from
		return n >= c.Min && (c.Max == 0 || n <= c.Max)
	}, nil
}

// attribute compiles the policies that look for a value of an attribute.
func (s *Sampler) attribute(p *Policy, bad badFunc) (rule, error) {
	var (
		key    string
		invert bool
		hit    func(c *store.AttrColumn, row int) bool
	)
	switch p.Type {
	case "string_attribute":
		a := p.StringAttribute
		key, invert = a.Key, a.Invert
		if len(a.Values) == 0 {
			return bad("has no values")
		}
		match, err := a.matcher()
		if err != nil {
			return bad("%v", err)
		}
		hit = func(c *store.AttrColumn, row int) bool { return c.Type == store.ValueString && match(c.Strs[row]) }
	case "numeric_attribute":
		a := p.NumericAttribute
		key, invert = a.Key, a.Invert
		low, high := int64(math.MinInt64), int64(math.MaxInt64)
		if a.Min != nil {
			low = *a.Min
		}
		if a.Max != nil {
			high = *a.Max
		}
		if low > high {
			return bad("min_value %d is above max_value %d", low, high)
		}
		hit = func(c *store.AttrColumn, row int) bool {
			return c.Type == store.ValueInt && c.Ints[row] >= low && c.Ints[row] <= high
		}
	default:
		a := p.BooleanAttribute
		key, invert = a.Key, a.Invert
		hit = func(c *store.AttrColumn, row int) bool {
			return c.Type == store.ValueBool && (c.Ints[row] != 0) == a.Value
		}
	}
	if key == "" {
		return bad("has no key")
	}
	for _, scope := range []store.AttrScope{store.ScopeSpan, store.ScopeResource} {
		if a := (store.Attr{Scope: scope, Name: key}); !slices.Contains(s.attrs, a) {
			s.attrs = append(s.attrs, a)
		}
	}
	return func(t *trace) bool { return t.any(key, hit) != invert }, nil
}

// any reports whether a span of t has the attribute, or its resource has, and it is a hit.
func (t *trace) any(key string, hit func(c *store.AttrColumn, row int) bool) bool {
	for i := range t.rows.Attrs {
		c := &t.rows.Attrs[i]
		if c.Attr.Name != key || c.Attr.Scope != store.ScopeSpan && c.Attr.Scope != store.ScopeResource {
			continue
		}
		for row := t.from; row < t.to; row++ {
			if c.Has[row] && hit(c, row) {
				return true
			}
		}
	}
	return false
}

func (a *StringAttribute) matcher() (func(string) bool, error) {
	if !a.Regexp {
		return func(s string) bool { return slices.Contains(a.Values, s) }, nil
	}
	var res []*regexp.Regexp
	for _, v := range a.Values {
		re, err := regexp.Compile(v)
		if err != nil {
			return nil, fmt.Errorf("value %q: %w", v, err)
		}
		res = append(res, re)
	}
	return func(s string) bool {
		return slices.ContainsFunc(res, func(re *regexp.Regexp) bool { return re.MatchString(s) })
	}, nil
}
