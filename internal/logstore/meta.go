package logstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// The metadata column of a block is a directory and one section for each field:
//
//	fields uvarint, then for each: name, length of its section
//	sections: the value of each row, "" where absent:
//	  metaPlain, metaDict: a codec string column
//	  metaPatterns:        values in patterns (patterned.go), one for each row
//	  metaPatternDict:     the distinct values in patterns; the value of each row: ints
//
// The last two are there since version 4 of the index.
//
// The last field may have the empty name: its values are encoded metadata, the fields of
// rows in blocks that have more than maxMetaColumns different ones.

// The first byte of a section. The first two are those of codec strings.
const (
	metaPlain       = 0
	metaDict        = 1
	metaPatterns    = 2
	metaPatternDict = 3
)

// maxMetaColumns bounds the fields of a block that have a column of their own.
const maxMetaColumns = 256

// metaBuilder turns encoded metadata into columns.
type metaBuilder struct {
	byName  map[string]int
	byNames map[*logmeta.Names]*namedColumns
	names   []string
	values  [][]string // for each name, one for each row
	rest    []string
	sizes   []int32 // bytes of names and values, for each row; nil if there are no fields

	// Of encode:
	keys     []uint64 // of the distinct values, column by column
	keysEnd  []int    // for each column
	unsought []bool   // columns that are to be looked at rather than the filter

	distinct distinctTexts
	patterns patternWriter
	memory   map[string]*fieldMemory
	sections []byte

	spare      [][]string // memory of columns of blocks before
	spareSizes []int32
}

// namedColumns is where the fields of rows with the same names go.
type namedColumns struct {
	names *logmeta.Names
	cols  []int // of each, -1 if there are too many
	bytes int   // of names
}

// build splits metas into columns.
func (m *metaBuilder) build(metas []logmeta.Meta) {
	if m.byName == nil {
		m.byName, m.byNames = map[string]int{}, map[*logmeta.Names]*namedColumns{}
	}
	clear(m.byName)
	clear(m.byNames)
	m.spare = append(m.spare, m.values...)
	if m.sizes != nil {
		m.spareSizes = m.sizes
	}
	m.names, m.values, m.rest, m.sizes = m.names[:0], m.values[:0], nil, nil
	n, to := len(metas), &namedColumns{}
	for i := range metas {
		if f := metas[i].Fields; f != nil {
			if f.Names != to.names {
				to = m.columnsOf(f.Names, n)
			}
			m.row(i, n, &metas[i], to)
		}
	}
}

// row enters the fields of row i, whose names are those of to.
func (m *metaBuilder) row(i, n int, meta *logmeta.Meta, to *namedColumns) {
	if m.sizes == nil {
		m.sizes = slices.Grow(m.spareSizes[:0], n)[:n]
		clear(m.sizes)
	}
	var rest []byte
	shared, values, size := meta.Fields.Shared, meta.Values, to.bytes
	for k, col := range to.cols {
		v := ""
		if shared != nil {
			v = shared[k]
		}
		if v == "" {
			v, values = logmeta.NextValue(values)
		}
		size += len(v)
		if col >= 0 {
			m.values[col][i] = v
		} else {
			rest = appendMeta(rest, model.Labels{{Name: to.names.All()[k], Value: v}})
		}
	}
	m.sizes[i] = int32(size)
	if rest != nil {
		if m.rest == nil {
			m.rest = make([]string, n)
		}
		m.rest[i] = text(rest)
	}
}

// columnsOf returns where fields with these names go in a block of n rows.
func (m *metaBuilder) columnsOf(names *logmeta.Names, n int) *namedColumns {
	to := m.byNames[names]
	if to == nil {
		to = &namedColumns{names: names, cols: make([]int, len(names.All()))}
		for k, name := range names.All() {
			to.bytes += len(name)
			to.cols[k] = m.column(name, n)
		}
		m.byNames[names] = to
	}
	return to
}

// column returns the column of name, -1 if there are too many.
func (m *metaBuilder) column(name string, n int) int {
	col, ok := m.byName[name]
	switch {
	case ok:
	case len(m.names) == maxMetaColumns || name == "":
		return -1
	default:
		col = len(m.names)
		m.byName[name] = col
		m.names = append(m.names, name)
		m.values = append(m.values, m.newColumn(n))
	}
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
	m.keys, m.keysEnd, m.unsought = m.keys[:0], m.keysEnd[:0], m.unsought[:0]
	count := len(m.names)
	if m.rest != nil {
		count++
	}
	dst = binary.AppendUvarint(dst, uint64(count))
	m.sections = m.sections[:0]
	for i, name := range m.names {
		at := len(m.sections)
		m.sections = m.section(m.sections, name, m.values[i], z)
		dst = codec.AppendBytes(dst, name)
		dst = binary.AppendUvarint(dst, uint64(len(m.sections)-at))
	}
	if m.rest != nil {
		at := len(m.sections)
		m.sections = codec.AppendStrings(m.sections, m.rest, z)
		dst = codec.AppendBytes(dst, "")
		dst = binary.AppendUvarint(dst, uint64(len(m.sections)-at))
	}
	return append(dst, m.sections...)
}

// section appends the section of a field, and notes the keys of its values.
func (m *metaBuilder) section(dst []byte, name string, values []string, z *codec.Zstd) []byte {
	mem := m.remember(name)
	d, at := &m.distinct, len(dst)
	d.find(values, fieldSeed(name), mem.distinct)
	mem.distinct = len(d.texts)
	measured := false
	if mem.left--; len(d.texts) >= minPatterned && (!mem.texts || mem.left < 0) && m.gather(mem) {
		dst = m.patterned(dst, mem, values, z)
		measured = m.patterns.fractions()
	} else {
		dst = d.encode(dst, values, z)
	}
	for i, key := range d.keys {
		if d.texts[i] != "" {
			m.keys = append(m.keys, key)
		}
	}
	m.keysEnd = append(m.keysEnd, len(m.keys))
	m.unsought = append(m.unsought, measured || len(dst)-at < len(d.keys)*filterBits/8)
	return dst
}

// gather splits the distinct values into patterns; false if they have few in common.
func (m *metaBuilder) gather(mem *fieldMemory) bool {
	if m.patterns.gather(m.distinct.texts) {
		return true
	}
	mem.texts, mem.left = true, retrySplit
	return false
}

// patterned appends values, whose distinct ones the patterns are gathered of, in patterns,
// or as they are if that is found to take less.
func (m *metaBuilder) patterned(dst []byte, mem *fieldMemory, values []string, z *codec.Zstd) []byte {
	d, w, at := &m.distinct, &m.patterns, len(dst)
	repeat := len(d.texts) <= len(values)-len(values)/16
	if repeat {
		dst = w.encode(append(dst, metaPatternDict), nil, z)
		repeat = once(len(d.texts), len(values), len(dst)-at)
	}
	if repeat {
		dst = codec.AppendInts(dst, d.codes)
	} else {
		dst = w.encode(append(dst[:at], metaPatterns), d.codes, z)
	}
	if mem.left >= 0 {
		return dst
	}
	mem.left = retryPatterns
	size := len(dst) - at
	dst = d.encode(dst, values, z)
	if mem.texts = len(dst)-at-size < size; mem.texts {
		return append(dst[:at], dst[at+size:]...)
	}
	return dst[:at+size]
}

// fieldMemory is what is remembered of a field from block to block.
type fieldMemory struct {
	distinct int  // values in the last block
	texts    bool // patterns take more, or there are too many
	left     int  // blocks for which that holds
}

// maxFields bounds the fields that are remembered, the others the blocks for which a
// choice between patterns and texts holds: by their sizes, or because there are many
// patterns.
const (
	maxFields     = 4096
	retryPatterns = 64
	retrySplit    = 8
)

func (m *metaBuilder) remember(name string) *fieldMemory {
	mem := m.memory[name]
	if mem == nil {
		if m.memory == nil || len(m.memory) >= maxFields {
			m.memory = map[string]*fieldMemory{}
		}
		mem = &fieldMemory{}
		m.memory[strings.Clone(name)] = mem
	}
	return mem
}

// release forgets the block, so that nothing holds its entries, and keeps what the next
// part can use.
func (m *metaBuilder) release() {
	m.distinct.release()
	*m = metaBuilder{distinct: m.distinct, patterns: m.patterns, memory: m.memory, keys: m.keys, sections: m.sections}
}

// keysOf returns the keys of the values of column col, after encode.
func (m *metaBuilder) keysOf(col int) []uint64 {
	from := 0
	if col > 0 {
		from = m.keysEnd[col-1]
	}
	return m.keys[from:m.keysEnd[col]]
}

// metaColumn is one field of a block.
type metaColumn struct {
	name    string
	section []byte
	dict    []string      // values, not necessarily distinct; of texts those that were asked for
	codes   []int64       // index into dict, for each row; nil if the section is not decoded yet
	texts   *patternTexts // what dict is made of; nil if it is complete
}

func (c *metaColumn) value(i int) string { return c.text(c.codes[i]) }

// text returns dict[code].
func (c *metaColumn) text(code int64) string {
	s := c.dict[code]
	if s == "" && c.texts != nil {
		s = c.texts.text(int(code))
		c.dict[code] = s
	}
	return s
}

// decode reads the section of c, which has n rows. Strings share memory with it, codes with
// mem.
func (c *metaColumn) decode(n int, z *codec.Zstd, mem *buffer) error {
	if c.codes != nil {
		return nil
	}
	dict, codes, texts, err := decodeSection(c.section, n, z, mem)
	if err == nil && len(codes) != n {
		err = fmt.Errorf("%w: %d values, want %d", store.ErrCorrupt, len(codes), n)
	}
	if err != nil {
		return fmt.Errorf("metadata field %q: %w", c.name, err)
	}
	c.dict, c.codes, c.texts = dict, codes, texts
	return nil
}

// pick makes of c, which has n rows, the values of rows, which ascend. They share memory with
// the section.
func (c *metaColumn) pick(rows []int32, n int, z *codec.Zstd, mem *buffer) error {
	if c.codes != nil {
		values := make([]string, len(rows))
		for i, row := range rows {
			values[i] = c.value(int(row))
		}
		c.dict, c.texts = values, nil
		return nil
	}
	r, p := codec.NewReader(c.section), &mem.picker
	have, err := 0, error(nil)
	switch kind := r.Byte(); kind {
	case metaPlain, metaDict:
		c.dict, have, err = p.Strings(make([]string, 0, len(rows)), c.section, rows, z)
	case metaPatterns, metaPatternDict:
		texts := pickPatterned(r, n, z, mem)
		have = texts.n
		at, codes := rows, []int64(nil)
		if kind == metaPatternDict && r.Err() == nil {
			distinct := have
			if codes, have, _, err = p.Ints(nil, r.Rest(), rows); err != nil {
				break
			}
			at = positionsOf(codes, distinct, r)
		}
		if r.Err() == nil {
			texts.pick(r, at, p)
		}
		if err = r.Err(); err == nil {
			c.dict = texts.all(at, codes)
		}
	default:
		err = fmt.Errorf("%w: section of unknown kind %d", store.ErrCorrupt, kind)
	}
	if err == nil && have != n {
		err = fmt.Errorf("%w: %d values, want %d", store.ErrCorrupt, have, n)
	}
	if err != nil {
		return fmt.Errorf("metadata field %q: %w", c.name, err)
	}
	return nil
}

// positionsOf returns the different ones of codes of n values, in order.
func positionsOf(codes []int64, n int, r *codec.Reader) []int32 {
	at := make([]int32, len(codes))
	for i, code := range codes {
		if uint64(code) >= uint64(n) {
			r.Fail("value %d of %d", code, n)
		}
		at[i] = int32(code)
	}
	slices.Sort(at)
	return slices.Compact(at)
}

func decodeSection(section []byte, n int, z *codec.Zstd, mem *buffer) (dict []string, codes []int64, texts *patternTexts, err error) {
	r := codec.NewReader(section)
	kind := r.Byte()
	if kind < metaPatterns {
		dict, codes, _, err = codec.DecodeDict(mem.room(n), section, z)
		return dict, codes, nil, err
	}
	if kind > metaPatternDict {
		r.Fail("section of unknown kind %d", kind)
		return nil, nil, nil, r.Err()
	}
	texts = readPatterned(r, n, z, mem)
	dict = make([]string, len(texts.of))
	if kind == metaPatterns {
		return dict, appendNumbers(mem.room(len(dict)), len(dict)), texts, r.Err()
	}
	codes = r.Ints(mem.room(n))
	for _, code := range codes {
		if uint64(code) >= uint64(len(dict)) {
			r.Fail("value %d of %d", code, len(dict))
		}
	}
	return dict, codes, texts, r.Err()
}

// appendNumbers appends 0 to n-1.
func appendNumbers(dst []int64, n int) []int64 {
	for i := range n {
		dst = append(dst, int64(i))
	}
	return dst
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
	all := make([]metaColumn, r.Count(r.Len()/2))
	for i := range all {
		c := &all[i]
		c.name = text(r.Bytes())
		c.section = data[:r.Count(len(data))] // for its size
	}
	m.cols = all[:0]
	for _, c := range all {
		c.section = r.Take(len(c.section))
		switch {
		case c.name == "":
			m.rest = &metaColumn{section: c.section}
		case want == nil || want(c.name):
			m.cols = append(m.cols, c)
		}
	}
	slices.SortFunc(m.cols, func(a, b metaColumn) int { return strings.Compare(a.name, b.name) })
	return m, r.Err()
}

// decodeAll decodes the columns of m, which have n rows.
func (m *metaColumns) decodeAll(n int, z *codec.Zstd, mem *buffer) error {
	return m.each(func(c *metaColumn) error { return c.decode(n, z, mem) })
}

// each calls f with the columns of m until one fails.
func (m *metaColumns) each(f func(c *metaColumn) error) error {
	for i := range m.cols {
		if err := f(&m.cols[i]); err != nil {
			return err
		}
	}
	if m.rest == nil {
		return nil
	}
	return f(m.rest)
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
