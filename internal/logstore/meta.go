package logstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// The metadata column of a block is a directory and one section for each field:
//
//	fields uvarint, then for each: name, length of its section
//	sections: the value of each row as a codec string column, "" where absent
//
// The last field may have the empty name: its values are encoded metadata, the fields of
// rows in blocks that have more than maxMetaColumns different ones.

// maxMetaColumns bounds the fields of a block that have a column of their own.
const maxMetaColumns = 256

// metaBuilder turns encoded metadata into columns.
type metaBuilder struct {
	byName map[string]int
	names  []string
	values [][]string // for each name, one for each row
	last   []int      // columns of the fields of the row before, in order
	rest   []string
	sizes  []int32 // bytes of names and values, for each row; nil if there are no fields

	spare      [][]string // memory of columns of blocks before
	spareSizes []int32
}

// build splits metas into columns.
func (m *metaBuilder) build(metas []string) {
	if m.byName == nil {
		m.byName = map[string]int{}
	}
	clear(m.byName)
	m.spare = append(m.spare, m.values...)
	if m.sizes != nil {
		m.spareSizes = m.sizes
	}
	m.names, m.values, m.last, m.rest, m.sizes = m.names[:0], m.values[:0], m.last[:0], nil, nil
	n := len(metas)
	for i, meta := range metas {
		if meta != "" {
			m.row(i, n, meta)
		}
	}
}

func (m *metaBuilder) row(i, n int, meta string) {
	var rest []byte
	if m.sizes == nil {
		m.sizes = slices.Grow(m.spareSizes[:0], n)[:n]
		clear(m.sizes)
	}
	for k := 0; meta != ""; k++ {
		var name, value string
		name, value, meta = nextMeta(meta)
		m.sizes[i] += int32(len(name) + len(value))
		if col := m.column(k, n, name); col >= 0 {
			m.values[col][i] = value
		} else {
			rest = appendMeta(rest, model.Labels{{Name: name, Value: value}})
		}
	}
	if rest != nil {
		if m.rest == nil {
			m.rest = make([]string, n)
		}
		m.rest[i] = text(rest)
	}
}

// column returns the column of name, the k-th field of its row, or -1 if there are too
// many. Rows mostly have the fields of the row before.
func (m *metaBuilder) column(k, n int, name string) int {
	if k < len(m.last) && m.last[k] >= 0 && m.names[m.last[k]] == name {
		return m.last[k]
	}
	col, ok := m.byName[name]
	if !ok {
		if col = len(m.names); col == maxMetaColumns || name == "" {
			col = -1
		} else {
			m.byName[name] = col
			m.names = append(m.names, name)
			m.values = append(m.values, m.newColumn(n))
		}
	}
	for len(m.last) <= k {
		m.last = append(m.last, -1)
	}
	m.last[k] = col
	return col
}

// newColumn returns n empty values.
func (m *metaBuilder) newColumn(n int) []string {
	last := len(m.spare) - 1
	if last < 0 {
		return make([]string, n)
	}
	values := slices.Grow(m.spare[last][:0], n)[:n]
	m.spare = m.spare[:last]
	clear(values)
	return values
}

// encode appends the metadata column of the block.
func (m *metaBuilder) encode(dst []byte, z *codec.Zstd) []byte {
	names, values := m.names, m.values
	if m.rest != nil {
		names, values = append(slices.Clip(names), ""), append(slices.Clip(values), m.rest)
	}
	var sections []byte
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for i, name := range names {
		at := len(sections)
		sections = codec.AppendStrings(sections, values[i], z)
		dst = codec.AppendBytes(dst, name)
		dst = binary.AppendUvarint(dst, uint64(len(sections)-at))
	}
	return append(dst, sections...)
}

// metaColumn is one field of a block.
type metaColumn struct {
	name    string
	section []byte
	dict    []string // values, not necessarily distinct
	codes   []int64  // index into dict, for each row; nil if the section is not decoded yet
}

func (c *metaColumn) value(i int) string { return c.dict[c.codes[i]] }

// decode reads the section of c, which has n rows. Strings share memory with it.
func (c *metaColumn) decode(n int, z *codec.Zstd) error {
	if c.codes != nil {
		return nil
	}
	dict, codes, _, err := codec.DecodeDict(c.section, z)
	if err == nil && len(codes) != n {
		err = fmt.Errorf("%w: %d values, want %d", store.ErrCorrupt, len(codes), n)
	}
	if err != nil {
		return fmt.Errorf("metadata field %q: %w", c.name, err)
	}
	c.dict, c.codes = dict, codes
	return nil
}

// metaColumns is the fields of a block, sorted by name.
type metaColumns struct {
	cols []metaColumn
	rest *metaColumn // encoded metadata, nil if there is none
}

// openMeta finds the columns whose names are wanted, all if want is nil, and the rest. None is
// decoded. They share memory with data.
func openMeta(data []byte, want func(name string) bool) (metaColumns, error) {
	var m metaColumns
	r := codec.NewReader(data)
	names := make([]string, r.Count(r.Len()/2))
	sizes := make([]int, len(names))
	for i := range names {
		names[i] = text(r.Bytes())
		sizes[i] = r.Count(len(data))
	}
	for i, name := range names {
		c := metaColumn{name: name, section: r.Take(sizes[i])}
		switch {
		case name == "":
			m.rest = &c
		case want == nil || want(name):
			m.cols = append(m.cols, c)
		}
	}
	slices.SortFunc(m.cols, func(a, b metaColumn) int { return strings.Compare(a.name, b.name) })
	return m, r.Err()
}

// decodeAll decodes the columns of m, which have n rows.
func (m *metaColumns) decodeAll(n int, z *codec.Zstd) error {
	for i := range m.cols {
		if err := m.cols[i].decode(n, z); err != nil {
			return err
		}
	}
	if m.rest == nil {
		return nil
	}
	return m.rest.decode(n, z)
}

// row returns the encoded metadata of row i. m holds all columns, decoded.
func (m *metaColumns) row(i int) string {
	var ls model.Labels
	for k := range m.cols {
		if v := m.cols[k].value(i); v != "" {
			ls = append(ls, model.Label{Name: m.cols[k].name, Value: v})
		}
	}
	if m.rest != nil {
		ls = metaLabels(ls, m.rest.value(i))
		slices.SortFunc(ls, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
	}
	return text(appendMeta(nil, ls))
}
