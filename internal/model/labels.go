package model

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// MetricName is the label that holds a series' metric name.
const MetricName = "__name__"

// Label is a name and its value.
type Label struct{ Name, Value string }

// Labels is a set of labels, sorted by name in byte order, names unique, values not
// empty. Build one with [NewLabels] when the input may break these rules.
type Labels []Label

// NewLabels sorts ls in place, drops labels with an empty value and, of labels with the
// same name, keeps the last. The result shares the memory of ls.
func NewLabels(ls ...Label) Labels {
	slices.SortStableFunc(ls, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	out := ls[:0]
	for i, l := range ls {
		if i+1 < len(ls) && ls[i+1].Name == l.Name {
			continue
		}
		if l.Value != "" {
			out = append(out, l)
		}
	}
	return out
}

// LabelsFromMap returns the labels of m.
func LabelsFromMap(m map[string]string) Labels {
	ls := make([]Label, 0, len(m))
	for n, v := range m {
		ls = append(ls, Label{n, v})
	}
	return NewLabels(ls...)
}

// Get returns the value of name, "" if absent.
func (ls Labels) Get(name string) string {
	for i := range ls {
		if ls[i].Name == name {
			return ls[i].Value
		}
	}
	return ""
}

// Map returns ls as a new map.
func (ls Labels) Map() map[string]string {
	m := make(map[string]string, len(ls))
	for _, l := range ls {
		m[l.Name] = l.Value
	}
	return m
}

// Clone returns a copy of ls that shares no memory with it, strings included.
func (ls Labels) Clone() Labels {
	out := make(Labels, len(ls))
	for i, l := range ls {
		out[i] = Label{strings.Clone(l.Name), strings.Clone(l.Value)}
	}
	return out
}

// Compare orders label sets by name, then value, label by label; a prefix comes first.
func (ls Labels) Compare(other Labels) int {
	for i := range min(len(ls), len(other)) {
		a, b := &ls[i], &other[i]
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		if a.Value != b.Value {
			return strings.Compare(a.Value, b.Value)
		}
	}
	return cmp.Compare(len(ls), len(other))
}

// Equal reports whether ls and other hold the same labels.
func (ls Labels) Equal(other Labels) bool { return slices.Equal(ls, other) }

// String returns ls in Prometheus' notation, {a="b", c="d"}.
func (ls Labels) String() string {
	n := 2
	for i := range ls {
		n += len(ls[i].Name) + len(ls[i].Value) + len(`="", `)
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte('{')
	for i, l := range ls {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.Name)
		b.WriteByte('=')
		if plainText(l.Value) {
			b.WriteByte('"')
			b.WriteString(l.Value)
			b.WriteByte('"')
		} else {
			b.WriteString(strconv.Quote(l.Value))
		}
	}
	b.WriteByte('}')
	return b.String()
}

// plainText reports whether s is quoted as it is.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
