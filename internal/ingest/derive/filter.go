package derive

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// FilterPolicy says which spans count in span metrics. A span passes if all conditions of
// Include hold, at least one of IncludeAny, and not all of Exclude; what is nil does not
// matter. It counts if it passes every policy.
type FilterPolicy struct {
	Include    *PolicyMatch `yaml:"include"`
	IncludeAny *PolicyMatch `yaml:"include_any"`
	Exclude    *PolicyMatch `yaml:"exclude"`
}

// PolicyMatch is conditions on a span and its resource.
type PolicyMatch struct {
	MatchType  string            `yaml:"match_type"` // strict or regex
	Attributes []PolicyAttribute `yaml:"attributes"`
}

// PolicyAttribute is one condition. Key is kind, status, name, span.X or resource.X. Value
// is compared with the text of the value, and so matches a number too; what is absent
// matches nothing.
type PolicyAttribute struct {
	Key   string `yaml:"key"`
	Value string `yaml:"value"`
}

// DimensionMapping makes one label of several attributes.
type DimensionMapping struct {
	Name         string   `yaml:"name"`
	SourceLabels []string `yaml:"source_labels"`
	Join         string   `yaml:"join"` // stands between the values of attributes that are there
}

// Check reports the mistakes of filter policies and dimension mappings.
func (o *SpanOptions) Check() error {
	_, err := newFilter(o.FilterPolicies, newWanted(&Options{}))
	return errors.Join(err, o.checkMappings())
}

func (o *SpanOptions) checkMappings() error {
	var errs []error
	labels := spanDimensions(o)
	for i, m := range o.DimensionMappings {
		at := fmt.Sprintf("dimension_mappings[%d]", i)
		if m.Name == "" {
			errs = append(errs, fmt.Errorf("%s: has no name", at))
		}
		if len(m.SourceLabels) == 0 {
			errs = append(errs, fmt.Errorf("%s: has no source_labels; list the attributes to join", at))
		}
		n := len(o.Dimensions) + i
		if slices.Contains(labels[:n], labels[n]) {
			errs = append(errs, fmt.Errorf("%s: the label %s is there already; choose another name", at, labels[n]))
		}
	}
	return errors.Join(errs...)
}

// filter is compiled policies; nil lets every span pass.
type filter struct {
	policies []policy
	spans    bool // looks at attributes of spans
}

type policy struct{ include, includeAny, exclude []condition }

// field is what a condition looks at.
type field uint8

const (
	fieldKind field = iota
	fieldStatus
	fieldName
	fieldSpan
	fieldResource
)

type condition struct {
	field field
	slot  int            // of an attribute
	want  string         // if re is nil
	re    *regexp.Regexp // nil compares
}

func newFilter(policies []FilterPolicy, w *wanted) (*filter, error) {
	if len(policies) == 0 {
		return nil, nil //nolint:nilnil // nothing is filtered
	}
	f := &filter{}
	var errs []error
	for i, p := range policies {
		if p.Include == nil && p.IncludeAny == nil && p.Exclude == nil {
			errs = append(errs, fmt.Errorf("filter_policies[%d]: is empty; want include, include_any or exclude", i))
		}
		var out policy
		for _, x := range []struct {
			name string
			in   *PolicyMatch
			out  *[]condition
		}{{"include", p.Include, &out.include}, {"include_any", p.IncludeAny, &out.includeAny}, {"exclude", p.Exclude, &out.exclude}} {
			if x.in == nil {
				continue
			}
			var err error
			if *x.out, err = f.compile(x.in, w); err != nil {
				errs = append(errs, fmt.Errorf("filter_policies[%d].%s: %w", i, x.name, err))
			}
		}
		f.policies = append(f.policies, out)
	}
	return f, errors.Join(errs...)
}

func (f *filter) compile(m *PolicyMatch, w *wanted) ([]condition, error) {
	if m.MatchType != "strict" && m.MatchType != "regex" {
		return nil, fmt.Errorf("match_type %q; want strict or regex", m.MatchType)
	}
	if len(m.Attributes) == 0 {
		return nil, errors.New("has no attributes; list a key and a value of each")
	}
	var out []condition
	for _, a := range m.Attributes {
		c := condition{want: a.Value}
		switch name, isSpan := strings.CutPrefix(a.Key, "span."); {
		case a.Key == "kind":
			c.field = fieldKind
		case a.Key == "status":
			c.field = fieldStatus
		case a.Key == "name":
			c.field = fieldName
		case isSpan && name != "":
			c.field, c.slot, f.spans = fieldSpan, w.of(name), true
		case strings.HasPrefix(a.Key, "resource.") && len(a.Key) > len("resource."):
			c.field, c.slot = fieldResource, w.of(strings.TrimPrefix(a.Key, "resource."))
		default:
			return nil, fmt.Errorf("key %q; want kind, status, name, span.ATTRIBUTE or resource.ATTRIBUTE", a.Key)
		}
		if m.MatchType == "regex" {
			var err error
			if c.re, err = regexp.Compile(a.Value); err != nil {
				return nil, fmt.Errorf("value of %s: %w", a.Key, err)
			}
		} else if err := c.reachable(a); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// reachable refuses a value that no span has.
func (c *condition) reachable(a PolicyAttribute) error {
	var known []string
	switch c.field {
	case fieldKind:
		for k := range int32(kindConsumer + 1) {
			known = append(known, kindText(k))
		}
	case fieldStatus:
		for s := range int32(statusError + 1) {
			known = append(known, statusText(s))
		}
	default:
		return nil
	}
	if !slices.Contains(known, a.Value) {
		return fmt.Errorf("value %q of %s; want one of %s", a.Value, a.Key, strings.Join(known, ", "))
	}
	return nil
}

// passes reports whether s, whose wanted attributes are in vals, counts.
func (f *filter) passes(s *spans.Span, vals, res *attrVals) bool {
	for i := range f.policies {
		p := &f.policies[i]
		fails := func(c condition) bool { return !c.holds(s, vals, res) }
		if slices.ContainsFunc(p.include, fails) {
			return false
		}
		if len(p.exclude) > 0 && !slices.ContainsFunc(p.exclude, fails) {
			return false
		}
		if len(p.includeAny) > 0 && !slices.ContainsFunc(p.includeAny, func(c condition) bool { return c.holds(s, vals, res) }) {
			return false
		}
	}
	return true
}

func (c *condition) holds(s *spans.Span, vals, res *attrVals) bool {
	var got string
	switch c.field {
	case fieldKind:
		got = kindText(s.Kind)
	case fieldStatus:
		got = statusText(s.Status)
	case fieldName:
		got = s.Name
	case fieldSpan, fieldResource:
		if c.field == fieldResource {
			vals = res
		}
		if vals.has == nil || !vals.has[c.slot] {
			return false
		}
		got = vals.text(c.slot)
	}
	if c.re != nil {
		return c.re.MatchString(got)
	}
	return got == c.want
}
