package logstore

import (
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A query looks at few of the metadata fields of a block, and at most of these only in rows
// that pass its filters. So a field is decoded when it is needed: those of predicates first;
// those of the answer when the filters have dropped what they drop. A block of a part without
// such fields is not read for them at all.

// output reports whether the metadata field name is part of the answer.
func (w *wants) output(name string) bool {
	return !w.noMeta && (w.names == nil || w.names[name])
}

// reads reports whether the metadata field name is looked at.
func (w *wants) reads(name string) bool {
	for i := range w.fields {
		if w.fields[i].Field() == name {
			return true
		}
	}
	return w.output(name)
}

// readsMeta reports whether blocks of x have metadata fields that are looked at.
func (w *wants) readsMeta(x *partIndex) bool {
	return (!w.noMeta || len(w.fields) > 0) && slices.ContainsFunc(x.names, w.reads)
}

// hasOutput reports whether m, which is open, has a field that is part of the answer.
func (w *wants) hasOutput(m *metaColumns) bool {
	return !w.noMeta && (m.rest != nil || slices.ContainsFunc(m.cols, func(c metaColumn) bool { return w.output(c.name) }))
}

// testFields opens the metadata of b, if it is looked at, and drops the rows that fail a
// predicate. It returns the bytes that it read.
func (f *fetcher) testFields(b *fetched, keep *mask) (int64, error) {
	w := f.wants
	if keep.empty() || w.noMeta && len(w.fields) == 0 {
		return 0, nil
	}
	var data []byte
	if b.pruner == nil || b.pruner.meta {
		var err error
		b.fields = f.s.pool.get()
		b.fields.ints = b.fields.ints[:0]
		if data, err = b.readInto(colMeta, b.fields); err != nil {
			return 0, err
		}
		if b.meta, err = openMeta(data, w.reads); err != nil {
			return 0, err
		}
	}
	for i := range w.fields {
		p := &w.fields[i]
		col := b.meta.find(p.Field())
		if col == nil {
			col = b.meta.rest
		}
		if col != nil {
			if err := col.decode(b.info.rows, f.s.zstd, b.fields); err != nil {
				return 0, err
			}
		}
		if keep.field(col, p); keep.empty() {
			break
		}
	}
	return int64(len(data)), nil
}

// find returns the column of field name, nil if it has none.
func (m *metaColumns) find(name string) *metaColumn {
	i := slices.IndexFunc(m.cols, func(c metaColumn) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &m.cols[i]
}

// decodeAnswer leaves of the metadata of b what is part of the answer, and decodes it.
func (f *fetcher) decodeAnswer(b *fetched) error {
	b.meta.cols = slices.DeleteFunc(b.meta.cols, func(c metaColumn) bool { return !f.wants.output(c.name) })
	return b.meta.decodeAll(b.info.rows, f.s.zstd, b.fields)
}

// decodeMeta leaves of the metadata of b what is part of the answer, of the rows that are left.
func (f *fetcher) decodeMeta(b *fetched) error {
	if b.n == 0 || f.wants.noMeta {
		b.meta = metaColumns{}
		f.dropFields(b)
		return nil
	}
	if b.orig != nil && len(b.orig)*fewRows <= b.info.rows {
		return f.pickMeta(b)
	}
	err := f.decodeAnswer(b)
	if err == nil && b.orig != nil {
		b.meta.compact(b.orig)
	}
	return err
}

// pickMeta is decodeMeta for few rows. Their values are copied out of what was read.
func (f *fetcher) pickMeta(b *fetched) error {
	m := &b.meta
	m.cols = slices.DeleteFunc(m.cols, func(c metaColumn) bool { return !f.wants.output(c.name) })
	codes := appendNumbers(nil, len(b.orig))
	size := 0
	err := m.each(func(c *metaColumn) error {
		if err := c.pick(b.orig, b.info.rows, f.s.zstd, b.fields); err != nil {
			return err
		}
		for _, v := range c.dict {
			size += len(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	arena := make([]byte, 0, size)
	_ = m.each(func(c *metaColumn) error {
		c.name, c.section, c.codes = strings.Clone(c.name), nil, codes
		for i, v := range c.dict {
			arena = append(arena, v...)
			c.dict[i] = text(arena[len(arena)-len(v):])
		}
		return nil
	})
	f.dropFields(b)
	return nil
}

// dropFields gives back the memory behind the metadata of b.
func (f *fetcher) dropFields(b *fetched) {
	if b.fields != nil {
		f.s.pool.put(b.fields)
		b.fields = nil
	}
}

// fewRows is the share of rows from which their values are picked: one in so many.
const fewRows = 8

// field keeps the rows whose field satisfies p. col is the column of the field, or the rest
// of the metadata, or nil.
func (m *mask) field(col *metaColumn, p *store.FieldPredicate) {
	m.open()
	if col == nil {
		if !p.Holds("") {
			clear(m.keep)
		}
		return
	}
	value := col.text
	if col.name == "" {
		value = func(code int64) string { return metaGet(col.dict[code], p.Field()) }
	}
	codes := col.codes[m.from : m.from+len(m.keep)]
	if col.texts != nil && p.Test == nil && p.Matcher.Type == model.MatchEqual {
		is := col.texts.equal(p.Matcher.Value)
		for i, code := range codes {
			m.keep[i] = m.keep[i] && is(code)
		}
		return
	}
	if len(col.dict) > len(codes) { // than rows, so each is looked at once
		for i, code := range codes {
			m.keep[i] = m.keep[i] && p.Holds(value(code))
		}
		return
	}
	ok := make([]bool, len(col.dict))
	for i := range ok {
		ok[i] = p.Holds(value(int64(i)))
	}
	for i, code := range codes {
		m.keep[i] = m.keep[i] && ok[code]
	}
}

// compact keeps the rows orig of every column.
func (m *metaColumns) compact(orig []int32) {
	_ = m.each(func(c *metaColumn) error {
		for i, o := range orig {
			c.codes[i] = c.codes[o]
		}
		c.codes = c.codes[:len(orig)]
		return nil
	})
}

// memory returns about how many bytes m holds, or will when all of its texts are made.
func (m *metaColumns) memory() int64 {
	n := 0
	_ = m.each(func(c *metaColumn) error {
		n += len(c.section) + 8*len(c.codes)
		for _, v := range c.dict {
			n += 16 + len(v)
		}
		if c.texts != nil {
			n += c.texts.memory()
		}
		return nil
	})
	return int64(n)
}
