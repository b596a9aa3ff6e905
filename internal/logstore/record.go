package logstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// A wal record is a version byte and
//
//	field lists uvarint, then for each:
//	  fields uvarint, then for each: name, value that its entries share, each with its length
//	groups uvarint, then for each group:
//	  stream id * 2 + 1 if its labels follow   uvarint
//	  [labels: count uvarint, then name and value, each with its length]
//	  entries uvarint, then for each entry:
//	    time, as the difference to the entry before   varint
//	    line                                          with its length
//	    fields of its metadata: 0 for none, else the number of the list   uvarint
//	    [values of fields without a shared one, each with its length: together with their length]
//
// The text of rows in memory is that of their record: it is written as it is, since the log
// holds no more than what is in memory, and compressing it would be a tenth of what an entry
// costs. In version 1 the rest is an s2 block, without lists of fields; metadata is names and
// values, each with its length, together with their length.
//
// Labels follow the first time that a stream occurs after the head was cut, and again
// every few MiB: a replay, which begins at a cut, knows all streams, and a damaged record
// takes the labels of few others with it.
const recordVersion = 2

// row is one entry in memory. Its strings point into the text of its record, which never
// changes.
type row struct {
	time int64
	line string
	meta logmeta.Meta
}

const rowSize = 48 // bytes of a row without its strings

// fieldLists numbers the lists of fields of a record.
type fieldLists struct {
	given, own []*logmeta.Fields // the sender's, and the same in the memory of the record
	numbers    map[*logmeta.Fields]int
	last       *logmeta.Fields
	number     int // of last
}

// of returns the number of fields, from 1.
func (t *fieldLists) of(fields *logmeta.Fields) int {
	if fields == t.last {
		return t.number
	}
	if t.numbers == nil {
		t.numbers = map[*logmeta.Fields]int{}
	}
	n, ok := t.numbers[fields]
	if !ok {
		t.given = append(t.given, fields)
		n = len(t.given)
		t.numbers[fields] = n
	}
	t.last, t.number = fields, n
	return n
}

// encode writes the lists.
func (t *fieldLists) encode(b *recordBuilder) {
	b.uvarint(len(t.given))
	for _, f := range t.given {
		names, own := f.Names.All(), f
		b.uvarint(len(names))
		var shared []string
		if f.Shared != nil {
			shared = make([]string, len(names))
		}
		for i, name := range names {
			b.text(name)
			if shared == nil {
				b.text("")
			} else {
				shared[i] = b.text(f.Shared[i])
			}
		}
		if shared != nil {
			own = logmeta.NewFields(f.Names, shared)
		}
		t.own = append(t.own, own)
	}
}

// encodeRecord returns a record that holds gs, and sets their rows to point
// into it. define tells whether the labels of a stream must be in it.
func encodeRecord(gs []group, define func(*stream) bool) string {
	var lists fieldLists
	size, entries := 1+2*binary.MaxVarintLen64, 0
	for i := range gs {
		size += 3*binary.MaxVarintLen64 + len(gs[i].stream.key) + 2*binary.MaxVarintLen32*len(gs[i].labels)
		entries += len(gs[i].entries)
		for j := range gs[i].entries {
			e := &gs[i].entries[j]
			if e.Meta.Fields != nil {
				lists.of(e.Meta.Fields)
			}
			size += binary.MaxVarintLen64 + 3*binary.MaxVarintLen32 + len(e.Line) + len(e.Meta.Values)
		}
	}
	for _, f := range lists.given {
		size += binary.MaxVarintLen32 + logmeta.Meta{Fields: f}.Size() + len(f.Names.All())
	}
	var b recordBuilder
	b.Grow(size) // it never grows again: rows point into it
	b.WriteByte(recordVersion)
	lists.encode(&b)
	b.uvarint(len(gs))
	rows := make([]row, entries) // of all groups: many have one
	for i := range gs {
		g := &gs[i]
		if define(g.stream) {
			b.uvarint(int(g.stream.id<<1 | 1))
			b.uvarint(len(g.labels))
			for _, l := range g.labels {
				b.text(l.Name)
				b.text(l.Value)
			}
		} else {
			b.uvarint(int(g.stream.id << 1))
		}
		b.uvarint(len(g.entries))
		g.rows, rows = rows[:len(g.entries):len(g.entries)], rows[len(g.entries):]
		last := int64(0)
		for j := range g.entries {
			e, r := &g.entries[j], &g.rows[j]
			b.varint(e.Time - last)
			last = e.Time
			r.time = e.Time
			r.line = b.text(e.Line)
			if e.Meta.Fields == nil {
				b.uvarint(0)
				continue
			}
			n := lists.of(e.Meta.Fields)
			b.uvarint(n)
			r.meta = logmeta.Meta{Fields: lists.own[n-1], Values: b.text(e.Meta.Values)}
		}
	}
	if b.Len() > size {
		model.Bug("log record of %d bytes, expected at most %d", b.Len(), size)
	}
	return b.String()
}

// recordBuilder builds the text of a record, in memory that is not cleared before.
type recordBuilder struct{ strings.Builder }

func (b *recordBuilder) uvarint(v int) {
	u := uint64(v)
	for ; u >= 0x80; u >>= 7 {
		b.WriteByte(byte(u) | 0x80)
	}
	b.WriteByte(byte(u))
}

func (b *recordBuilder) varint(v int64) { b.uvarint(int(v<<1 ^ v>>63)) }

// text writes s with its length, and returns it where it was written.
func (b *recordBuilder) text(s string) string {
	b.uvarint(len(s))
	at := b.Len()
	b.WriteString(s)
	return b.String()[at:]
}

// decodeRecord reverses it, and returns the text that rows point into as well. lookup returns the stream of an id
// and, if they follow, its labels, which it may keep.
func decodeRecord(data []byte, lookup func(id uint64, labels model.Labels) *stream) ([]group, string, error) {
	if len(data) == 0 || data[0] < 1 || data[0] > recordVersion {
		return nil, "", fmt.Errorf("%w: log record of unknown version", store.ErrCorrupt)
	}
	r := recordReader{version: data[0]}
	all := ""
	if r.version == 1 {
		b, err := s2.Decode(nil, data[1:])
		if err != nil {
			return nil, "", fmt.Errorf("%w: log record: %w", store.ErrCorrupt, err)
		}
		all = text(b)
		r.b = all
	} else {
		all = string(data)
		r.b = all[1:]
		r.fields()
	}
	gs := make([]group, 0, r.count(2))
	for range cap(gs) {
		ref := r.uvarint()
		var labels model.Labels
		if ref&1 != 0 {
			labels = make(model.Labels, r.count(2))
			for i := range labels {
				labels[i] = model.Label{Name: strings.Clone(r.str()), Value: strings.Clone(r.str())}
			}
		}
		rows := make([]row, r.count(3))
		last := int64(0)
		for i := range rows {
			last += r.varint()
			rows[i] = row{time: last, line: r.str(), meta: r.meta()}
		}
		if r.bad {
			break
		}
		gs = append(gs, group{stream: lookup(ref>>1, labels), rows: rows})
	}
	if r.bad || len(r.b) > 0 {
		return nil, "", fmt.Errorf("%w: log record has a wrong length", store.ErrCorrupt)
	}
	return gs, all, nil
}

// recordReader reads the text of a record.
type recordReader struct {
	scanner
	version byte
	lists   []*logmeta.Fields
	packer  metaPacker // of metadata of version 1
}

// fields reads the lists of fields.
func (r *recordReader) fields() {
	r.lists = make([]*logmeta.Fields, r.count(3))
	var names []string
	for i := range r.lists {
		names = names[:0]
		n, some := r.count(2), false
		shared := make([]string, n)
		for k := range n {
			names = append(names, r.str())
			shared[k] = r.str()
			some = some || shared[k] != ""
			r.bad = r.bad || k > 0 && names[k-1] >= names[k]
		}
		if r.bad = r.bad || n == 0; !some {
			shared = nil
		}
		r.lists[i] = logmeta.NewFields(logmeta.NewNames(names), shared)
	}
}

// meta reads the metadata of an entry.
func (r *recordReader) meta() logmeta.Meta {
	if r.version == 1 {
		for meta := r.str(); meta != ""; {
			var name, value string
			name, value, meta = nextMeta(meta)
			r.packer.add(name, value)
		}
		return r.packer.take()
	}
	list := r.uvarint()
	switch {
	case list == 0:
		return logmeta.Meta{}
	case list > uint64(len(r.lists)):
		r.bad = true
		return logmeta.Meta{}
	}
	m := logmeta.Meta{Fields: r.lists[list-1], Values: r.str()}
	r.bad = r.bad || !m.Valid()
	return m
}

// metaPacker makes metadata of fields that come in order. Rows with the same names share
// them.
type metaPacker struct {
	known  []*logmeta.Fields // the last few
	names  []string          // of the fields since take
	values []byte
}

// maxPackedNames bounds how many lists of names a metaPacker looks through.
const maxPackedNames = 8

// add adds a field; one without a value is none.
func (p *metaPacker) add(name, value string) {
	if value != "" {
		p.names, p.values = append(p.names, name), logmeta.AppendValue(p.values, value)
	}
}

// take returns the fields since the last call, in memory of their own.
func (p *metaPacker) take() logmeta.Meta {
	if len(p.names) == 0 {
		return logmeta.Meta{}
	}
	i := slices.IndexFunc(p.known, func(f *logmeta.Fields) bool { return slices.Equal(f.Names.All(), p.names) })
	if i < 0 {
		if i = len(p.known); i < maxPackedNames {
			p.known = append(p.known, nil)
		} else {
			i = 0
		}
		p.known[i] = logmeta.NewFields(logmeta.NewNames(p.names), nil)
	}
	m := logmeta.Meta{Fields: p.known[i], Values: string(p.values)}
	p.names, p.values = p.names[:0], p.values[:0]
	return m
}

// scanner reads varints and strings from a text. After an error bad is set and results
// are zero.
type scanner struct {
	b   string
	bad bool
}

func (r *scanner) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.b) && i < binary.MaxVarintLen64; i++ {
		c := r.b[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.b = r.b[i+1:]
			return v
		}
	}
	r.b, r.bad = "", true
	return 0
}

func (r *scanner) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number of things that take at least size bytes each.
func (r *scanner) count(size int) int {
	v := r.uvarint()
	if v > uint64(len(r.b)/size) {
		r.b, r.bad = "", true
		return 0
	}
	return int(v)
}

func (r *scanner) str() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = "", true
		return ""
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

// appendMeta appends the encoding of ls.
func appendMeta(b []byte, ls model.Labels) []byte {
	for i := range ls {
		b = binary.AppendUvarint(b, uint64(len(ls[i].Name)))
		b = append(b, ls[i].Name...)
		b = binary.AppendUvarint(b, uint64(len(ls[i].Value)))
		b = append(b, ls[i].Value...)
	}
	return b
}

// encodeMeta returns the fields of meta encoded.
func encodeMeta(meta logmeta.Meta) string { return text(appendMeta(nil, meta.Labels())) }

// nextMeta splits the first field off encoded metadata. The encoding was checked when it
// was read; a broken one ends early.
func nextMeta(meta string) (name, value, rest string) {
	if len(meta) > 0 && meta[0] < 0x80 { // nearly all are short
		if n := 1 + int(meta[0]); n < len(meta) && meta[n] < 0x80 {
			if end := n + 1 + int(meta[n]); end <= len(meta) {
				return meta[1:n], meta[n+1 : end], meta[end:]
			}
		}
	}
	r := scanner{b: meta}
	name, value = r.str(), r.str()
	return name, value, r.b
}

// metaLabels decodes metadata, appended to dst.
func metaLabels(dst model.Labels, meta string) model.Labels {
	for meta != "" {
		var l model.Label
		l.Name, l.Value, meta = nextMeta(meta)
		dst = append(dst, l)
	}
	return dst
}

// metaGet returns the value of name in encoded metadata, "" if absent.
func metaGet(meta, name string) string {
	for meta != "" {
		var n, v string
		if n, v, meta = nextMeta(meta); n == name {
			return v
		}
	}
	return ""
}
