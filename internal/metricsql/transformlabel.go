package metricsql

import (
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Functions over labels.

func addLabelFunctions(t map[string]transform) {
	for name, f := range map[string]struct {
		min, max int
		eval     func(*call) ([]*series, error)
	}{
		"label_set":            {1, -1, pairs(func(ls model.Labels, name, value string) model.Labels { return with(ls, name, value) })},
		"label_copy":           {1, -1, pairs(func(ls model.Labels, from, to string) model.Labels { return copyLabel(ls, from, to) })},
		"label_move":           {1, -1, pairs(moveLabel)},
		"label_del":            {1, -1, names(func(ls model.Labels, ns []string) model.Labels { return without(ls, ns...) })},
		"label_keep":           {1, -1, names(func(ls model.Labels, ns []string) model.Labels { return only(ls, ns...) })},
		"label_lowercase":      {1, -1, names(mapLabels(strings.ToLower))},
		"label_uppercase":      {1, -1, names(mapLabels(strings.ToUpper))},
		"label_graphite_group": {1, -1, graphiteGroup},
		"label_map":            {2, -1, labelMap},
		"label_join":           {3, -1, labelJoin},
		"label_replace":        {5, 5, labelReplace},
		"label_transform":      {4, 4, labelTransform},
		"label_value":          {2, 2, labelValue},
		"label_match":          {3, 3, labelMatch(true)},
		"label_mismatch":       {3, 3, labelMatch(false)},
		"labels_equal":         {3, -1, labelsEqual},
		"drop_common_labels":   {1, -1, dropCommon},
		"sort":                 {1, 1, sortBy(func(a, b float64) bool { return a < b })},
		"sort_desc":            {1, 1, sortBy(func(a, b float64) bool { return a > b })},

		"sort_by_label":              {2, -1, sortByLabel(strings.Compare, 1)},
		"sort_by_label_desc":         {2, -1, sortByLabel(strings.Compare, -1)},
		"sort_by_label_numeric":      {2, -1, sortByLabel(compareNumeric, 1)},
		"sort_by_label_numeric_desc": {2, -1, sortByLabel(compareNumeric, -1)},
	} {
		t[name] = transform{min: f.min, max: f.max, eval: f.eval, keepName: name != "label_value"}
	}
}

// equalLabels returns the labels that a selector demands to be equal to something.
func equalLabels(expr metricsql.Expr) model.Labels {
	if re, ok := expr.(*metricsql.RollupExpr); ok {
		expr = re.Expr
	}
	m, ok := expr.(*metricsql.MetricExpr)
	if !ok || len(m.LabelFilterss) != 1 {
		return nil
	}
	var out model.Labels
	for _, f := range m.LabelFilterss[0] {
		if f.Label != model.MetricName && !f.IsRegexp && !f.IsNegative {
			out = with(out, f.Label, f.Value)
		}
	}
	return out
}

// relabel changes the labels of the series in the first argument.
func relabel(c *call, f func(model.Labels) model.Labels) ([]*series, error) {
	list, err := c.series(0)
	for _, s := range list {
		s.labels = f(s.labels)
	}
	return list, err
}

// pairs applies f with pairs of strings.
func pairs(f func(ls model.Labels, a, b string) model.Labels) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		args, err := c.texts(1)
		if err != nil {
			return nil, err
		}
		if len(args)%2 != 0 {
			return nil, c.errorf("the strings come in pairs, there are %d", len(args))
		}
		return relabel(c, func(ls model.Labels) model.Labels {
			for i := 0; i < len(args); i += 2 {
				ls = f(ls, args[i], args[i+1])
			}
			return ls
		})
	}
}

// names applies f with names of labels.
func names(f func(ls model.Labels, names []string) model.Labels) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		args, err := c.texts(1)
		if err != nil {
			return nil, err
		}
		return relabel(c, func(ls model.Labels) model.Labels { return f(ls, args) })
	}
}

func copyLabel(ls model.Labels, from, to string) model.Labels {
	if v := get(ls, from); v != "" {
		return with(ls, to, v)
	}
	return ls
}

func moveLabel(ls model.Labels, from, to string) model.Labels {
	v := get(ls, from)
	if v == "" || from == to {
		return ls
	}
	return with(without(ls, from), to, v)
}

func mapLabels(f func(string) string) func(model.Labels, []string) model.Labels {
	return func(ls model.Labels, names []string) model.Labels {
		for _, name := range names {
			if v := get(ls, name); v != "" {
				ls = with(ls, name, f(v))
			}
		}
		return ls
	}
}

// graphiteGroup makes a name of the parts of a Graphite name.
func graphiteGroup(c *call) ([]*series, error) {
	var at []int
	for i := 1; c.has(i); i++ {
		n, err := c.number(i)
		if err != nil {
			return nil, err
		}
		at = append(at, int(n))
	}
	return relabel(c, func(ls model.Labels) model.Labels {
		parts := strings.Split(get(ls, model.MetricName), ".")
		var chosen []string
		for _, i := range at {
			part := ""
			if i >= 0 && i < len(parts) {
				part = parts[i]
			}
			chosen = append(chosen, part)
		}
		return with(ls, model.MetricName, strings.Join(chosen, "."))
	})
}

// labelMap replaces values of a label: label_map(q, "label", "from", "to", ...).
func labelMap(c *call) ([]*series, error) {
	args, err := c.texts(1)
	if err != nil {
		return nil, err
	}
	if len(args)%2 != 1 {
		return nil, c.errorf("it takes a label and pairs of values")
	}
	return relabel(c, func(ls model.Labels) model.Labels {
		v := get(ls, args[0])
		for i := 1; i < len(args); i += 2 {
			if args[i] == v {
				return with(ls, args[0], args[i+1])
			}
		}
		return ls
	})
}

func labelJoin(c *call) ([]*series, error) {
	args, err := c.texts(1)
	if err != nil {
		return nil, err
	}
	return relabel(c, func(ls model.Labels) model.Labels {
		var values []string
		for _, name := range args[2:] {
			values = append(values, get(ls, name))
		}
		return with(ls, args[0], strings.Join(values, args[1]))
	})
}

func (c *call) regexp(text string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, c.errorf("regular expression %q: %v", text, err)
	}
	return re, nil
}

func labelReplace(c *call) ([]*series, error) {
	args, err := c.texts(1)
	if err != nil {
		return nil, err
	}
	to, replacement, from := args[0], args[1], args[2]
	re, err := c.regexp("^(?s:" + args[3] + ")$")
	if err != nil {
		return nil, err
	}
	return relabel(c, func(ls model.Labels) model.Labels {
		v := get(ls, from)
		m := re.FindStringSubmatchIndex(v)
		if m == nil {
			return ls
		}
		return with(ls, to, string(re.ExpandString(nil, replacement, v, m)))
	})
}

// labelTransform replaces all matches in a label: label_transform(q, "label", "re", "to").
func labelTransform(c *call) ([]*series, error) {
	args, err := c.texts(1)
	if err != nil {
		return nil, err
	}
	re, err := c.regexp(args[1])
	if err != nil {
		return nil, err
	}
	return relabel(c, func(ls model.Labels) model.Labels {
		return with(ls, args[0], re.ReplaceAllString(get(ls, args[0]), args[2]))
	})
}

// labelValue makes the number in a label the value.
func labelValue(c *call) ([]*series, error) {
	name, err := c.text(1)
	if err != nil {
		return nil, err
	}
	list, err := c.series(0)
	for _, s := range list {
		n, err := strconv.ParseFloat(get(s.labels, name), 64)
		if err != nil {
			n = nan()
		}
		for i, v := range s.values {
			if !math.IsNaN(v) {
				s.values[i] = n
			}
		}
	}
	return list, err
}

func labelMatch(want bool) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		args, err := c.texts(1)
		if err != nil {
			return nil, err
		}
		re, err := c.regexp("^(?s:" + args[1] + ")$")
		if err != nil {
			return nil, err
		}
		list, err := c.series(0)
		return slices.DeleteFunc(list, func(s *series) bool { return re.MatchString(get(s.labels, args[0])) != want }), err
	}
}

func labelsEqual(c *call) ([]*series, error) {
	args, err := c.texts(1)
	if err != nil {
		return nil, err
	}
	list, err := c.series(0)
	return slices.DeleteFunc(list, func(s *series) bool {
		first := get(s.labels, args[0])
		return slices.ContainsFunc(args[1:], func(name string) bool { return get(s.labels, name) != first })
	}), err
}

// dropCommon removes the labels that all series have with the same value.
func dropCommon(c *call) ([]*series, error) {
	list, err := union(c)
	if err != nil || len(list) == 0 {
		return list, err
	}
	var common []string
	for _, l := range list[0].labels {
		if !slices.ContainsFunc(list, func(s *series) bool { return get(s.labels, l.Name) != l.Value }) {
			common = append(common, l.Name)
		}
	}
	for _, s := range list {
		s.labels = without(s.labels, common...)
	}
	return list, nil
}

// sortBy orders series by their last value.
func sortBy(before func(a, b float64) bool) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		list, err := c.series(0)
		sort.SliceStable(list, func(i, j int) bool {
			a, b := list[i].values, list[j].values
			for k := len(a) - 1; k >= 0; k-- {
				if math.IsNaN(a[k]) != math.IsNaN(b[k]) {
					return math.IsNaN(b[k]) // those without a value come last
				}
				if !same(a[k], b[k]) {
					return before(a[k], b[k])
				}
			}
			return false
		})
		return list, err
	}
}

func sortByLabel(compare func(a, b string) int, direction int) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		args, err := c.texts(1)
		if err != nil {
			return nil, err
		}
		list, err := c.series(0)
		slices.SortStableFunc(list, func(a, b *series) int {
			for _, name := range args {
				if d := compare(get(a.labels, name), get(b.labels, name)); d != 0 {
					return d * direction
				}
			}
			return 0
		})
		return list, err
	}
}

// compareNumeric compares texts, and numbers in them as numbers: node9 comes before node10.
func compareNumeric(a, b string) int {
	for a != "" && b != "" {
		x, restA := leading(a)
		y, restB := leading(b)
		m, errM := strconv.ParseFloat(x, 64)
		n, errN := strconv.ParseFloat(y, 64)
		d := 0
		if errM == nil && errN == nil {
			d = int(sign(m - n))
		} else {
			d = strings.Compare(x, y)
		}
		if d != 0 {
			return d
		}
		a, b = restA, restB
	}
	return strings.Compare(a, b)
}

// leading cuts the digits, or the text up to the next digit, off s.
func leading(s string) (head, rest string) {
	digit := func(b byte) bool { return b >= '0' && b <= '9' || b == '.' }
	i := 1
	for i < len(s) && digit(s[i]) == digit(s[0]) {
		i++
	}
	return s[:i], s[i:]
}
