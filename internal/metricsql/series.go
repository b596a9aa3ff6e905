package metricsql

import (
	"math"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
)

// series is a series on the grid of the evaluator. Nodes own the series they get: they
// change values in place and replace labels.
type series struct {
	labels model.Labels // sorted, metric name included; never changed in place
	values []float64
}

func (s *series) empty() bool {
	return !slices.ContainsFunc(s.values, func(v float64) bool { return !math.IsNaN(v) })
}

func (s *series) clone() *series {
	return &series{labels: s.labels, values: slices.Clone(s.values)}
}

// dropName removes the metric name.
func (s *series) dropName() { s.labels = without(s.labels, model.MetricName) }

// labelKey is equal for equal labels.
func labelKey(ls model.Labels) string {
	var b strings.Builder
	for _, l := range ls {
		b.WriteString(l.Name)
		b.WriteByte(0xff)
		b.WriteString(l.Value)
		b.WriteByte(0xff)
	}
	return b.String()
}

// get returns the value of a label, "" if it is absent.
func get(ls model.Labels, name string) string {
	for _, l := range ls {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// with returns ls with a label set, or removed if value is "".
func with(ls model.Labels, name, value string) model.Labels {
	out := make(model.Labels, 0, len(ls)+1)
	for _, l := range ls {
		if l.Name != name {
			out = append(out, l)
		}
	}
	if value == "" {
		return out
	}
	at, _ := slices.BinarySearchFunc(out, name, func(l model.Label, n string) int { return strings.Compare(l.Name, n) })
	return slices.Insert(out, at, model.Label{Name: name, Value: value})
}

// without returns ls without the labels named.
func without(ls model.Labels, names ...string) model.Labels {
	if !slices.ContainsFunc(ls, func(l model.Label) bool { return slices.Contains(names, l.Name) }) {
		return ls
	}
	out := make(model.Labels, 0, len(ls))
	for _, l := range ls {
		if !slices.Contains(names, l.Name) {
			out = append(out, l)
		}
	}
	return out
}

// only returns the labels named.
func only(ls model.Labels, names ...string) model.Labels {
	var out model.Labels
	for _, l := range ls {
		if slices.Contains(names, l.Name) {
			out = append(out, l)
		}
	}
	return out
}

// groups gathers series by a key, in the order in which the keys come first.
type groups struct {
	keys []string
	of   map[string][]*series
}

func groupBy(list []*series, key func(*series) string) *groups {
	g := &groups{of: map[string][]*series{}}
	for _, s := range list {
		k := key(s)
		if _, ok := g.of[k]; !ok {
			g.keys = append(g.keys, k)
		}
		g.of[k] = append(g.of[k], s)
	}
	return g
}
