// Package logmeta is the structured metadata of log entries on its way from a protocol to a
// part. Entries come by the thousand with the same names, and what their resource says is
// the same in all of them too. [Fields] holds that once; what an entry has of its own is one
// text of values, to be copied as it is:
//
//	names   app_route   host_name   user
//	shared  ""          "node-1"    ""
//	values  "/login"                "u17"      of one entry
//
// Senders make Fields once for many entries; who meets the same pointer again knows what the
// names are without looking.
package logmeta

import (
	"encoding/binary"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Names is names of fields, sorted and unique. It is immutable and may be
// kept.
type Names struct {
	names []string
	size  int // bytes of the names, each with its length
}

// NewNames returns names, sorted and unique, in memory of their own.
func NewNames(names []string) *Names {
	var text []byte
	for _, name := range names {
		text = AppendValue(text, name)
	}
	n := &Names{names: make([]string, len(names)), size: len(text)}
	rest := string(text)
	for i := range n.names {
		n.names[i], rest = NextValue(rest)
	}
	return n
}

// All returns the names, which are only to be read.
func (n *Names) All() []string { return n.names }

// Fields is what the structured metadata of entries has in common. It is immutable.
type Fields struct {
	Names *Names

	// Shared has for each name the value that all entries have, or "" if each has its own;
	// nil if that is so for all names.
	Shared []string

	own, size int // names without a shared value; bytes of names and shared values
}

// NewFields returns fields with these names and shared values. Without shared values
// they may be kept.
func NewFields(names *Names, shared []string) *Fields {
	f := &Fields{Names: names, Shared: shared, own: len(names.names), size: names.size}
	for _, v := range shared {
		if v != "" {
			f.own--
			f.size += valueLen(v)
		}
	}
	return f
}

// Meta is the structured metadata of an entry. The zero Meta is none.
type Meta struct {
	Fields *Fields // nil for none
	Values string  // those that are not shared, in order of names, by [AppendValue]; none is empty
}

// New returns ls, in any order, as metadata. Of fields with one name the last counts.
func New(ls ...model.Label) Meta {
	if ls = model.NewLabels(slices.Clone(ls)...); len(ls) == 0 {
		return Meta{}
	}
	names := make([]string, len(ls))
	var values []byte
	for i := range ls {
		names[i] = ls[i].Name
		values = AppendValue(values, ls[i].Value)
	}
	return Meta{Fields: NewFields(NewNames(names), nil), Values: string(values)}
}

// AppendValue appends a value as [Meta.Values] holds it: its length as a uvarint, and its
// bytes.
func AppendValue(dst []byte, value string) []byte {
	if len(value) < 0x80 {
		return append(append(dst, byte(len(value))), value...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

func valueLen(s string) int {
	n := 1 + len(s)
	for l := len(s); l >= 0x80; l >>= 7 {
		n++
	}
	return n
}

// NextValue splits off the first of the values that [AppendValue] wrote. What is broken ends
// early.
func NextValue(values string) (value, rest string) {
	if len(values) > 0 && values[0] < 0x80 { // nearly all are short
		if n := 1 + int(values[0]); n <= len(values) {
			return values[1:n], values[n:]
		}
	}
	n := uint64(0)
	for at := 0; at < len(values) && at < binary.MaxVarintLen64; at++ {
		n |= uint64(values[at]&0x7f) << (7 * at)
		if values[at] < 0x80 {
			values = values[at+1:]
			n = min(n, uint64(len(values)))
			return values[:n], values[n:]
		}
	}
	return "", ""
}

// Valid reports whether m has a value for each name that needs one, and no empty one.
func (m Meta) Valid() bool {
	values, n := m.Values, 0
	for v := ""; values != ""; n++ {
		if v, values = NextValue(values); v == "" {
			return false
		}
	}
	return m.Fields == nil && n == 0 || m.Fields != nil && n == m.Fields.own
}

// Len returns the number of fields.
func (m Meta) Len() int {
	if m.Fields == nil {
		return 0
	}
	return len(m.Fields.Names.names)
}

// Size returns the bytes of the names and values, each with its length.
func (m Meta) Size() int {
	if m.Fields == nil {
		return 0
	}
	return m.Fields.size + len(m.Values)
}

// Each calls f with each field, in order of names.
func (m Meta) Each(f func(name, value string)) {
	if m.Fields == nil {
		return
	}
	values := m.Values
	for i, name := range m.Fields.Names.names {
		v := ""
		if m.Fields.Shared != nil {
			v = m.Fields.Shared[i]
		}
		if v == "" {
			v, values = NextValue(values)
		}
		f(name, v)
	}
}

// Labels returns the fields, nil for none.
func (m Meta) Labels() model.Labels {
	if m.Fields == nil {
		return nil
	}
	ls := make(model.Labels, 0, m.Len())
	m.Each(func(name, value string) { ls = append(ls, model.Label{Name: name, Value: value}) })
	return ls
}

// Get returns the value of a field, "" if there is none of that name.
func (m Meta) Get(name string) string {
	if m.Fields == nil {
		return ""
	}
	i, ok := slices.BinarySearch(m.Fields.Names.names, name)
	if !ok {
		return ""
	}
	shared, values := m.Fields.Shared, m.Values
	if shared != nil && shared[i] != "" {
		return shared[i]
	}
	for k := range i {
		if shared == nil || shared[k] == "" {
			_, values = NextValue(values)
		}
	}
	v, _ := NextValue(values)
	return v
}

// Equal reports whether m and o have the same fields.
func (m Meta) Equal(o Meta) bool {
	switch {
	case m.Fields == o.Fields:
		return m.Values == o.Values
	case m.Len() != o.Len() || m.Size() != o.Size():
		return false
	}
	return slices.Equal(m.Labels(), o.Labels())
}
