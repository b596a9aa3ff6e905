package logstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A wal record is a version byte and an s2 block of
//
//	groups uvarint, then for each group:
//	  stream id * 2 + 1 if its labels follow   uvarint
//	  [labels: count uvarint, then name and value, each with its length]
//	  entries uvarint, then for each entry:
//	    time, as the difference to the entry before   varint
//	    line, metadata                                each with its length
//
// Metadata is name and value strings, each with its length, sorted by name.
//
// Labels follow the first time that a stream occurs after the head was cut, and again
// every few MiB: a replay, which begins at a cut, knows all streams, and a damaged record
// takes the labels of few others with it.
const recordVersion = 1

// row is one entry in memory. Its strings point into the text of its record, which never
// changes.
type row struct {
	time int64
	line string
	meta string // encoded metadata, "" for none
}

const rowSize = 40 // bytes of a row without its strings

// encodeRecord returns the text of a record that holds gs, and sets their rows to point
// into it. define tells whether the labels of a stream must be in it.
func encodeRecord(gs []group, define func(*stream) bool) []byte {
	size, entries := binary.MaxVarintLen64, 0
	for i := range gs {
		entries += len(gs[i].entries)
	}
	metas := make([]int32, 0, entries) // lengths
	for i := range gs {
		size += 3*binary.MaxVarintLen64 + len(gs[i].stream.key) + 2*binary.MaxVarintLen32*len(gs[i].labels)
		for j := range gs[i].entries {
			e := &gs[i].entries[j]
			metas = append(metas, int32(metaLen(e.Meta)))
			size += binary.MaxVarintLen64 + 2*binary.MaxVarintLen32 + len(e.Line) + int(metas[len(metas)-1])
		}
	}
	b := make([]byte, 0, size) // never grows: rows point into it
	b = binary.AppendUvarint(b, uint64(len(gs)))
	rows := make([]row, entries) // of all groups: many have one
	for i := range gs {
		g := &gs[i]
		if define(g.stream) {
			b = binary.AppendUvarint(b, g.stream.id<<1|1)
			b = binary.AppendUvarint(b, uint64(len(g.labels)))
			b = appendMeta(b, g.labels)
		} else {
			b = binary.AppendUvarint(b, g.stream.id<<1)
		}
		b = binary.AppendUvarint(b, uint64(len(g.entries)))
		g.rows, rows = rows[:len(g.entries):len(g.entries)], rows[len(g.entries):]
		last := int64(0)
		for j := range g.entries {
			e, r := &g.entries[j], &g.rows[j]
			b = binary.AppendVarint(b, e.Time-last)
			last = e.Time
			r.time = e.Time
			b = binary.AppendUvarint(b, uint64(len(e.Line)))
			b = append(b, e.Line...)
			r.line = text(b[len(b)-len(e.Line):])
			b = binary.AppendUvarint(b, uint64(metas[0]))
			metas = metas[1:]
			at := len(b)
			b = appendMeta(b, e.Meta)
			r.meta = text(b[at:])
		}
	}
	if len(b) > size {
		model.Bug("log record of %d bytes, expected at most %d", len(b), size)
	}
	return b
}

// compressRecord returns the wal form of a record's text, appended to dst.
func compressRecord(dst, b []byte) []byte {
	dst = append(dst, recordVersion)
	n := len(dst)
	dst = slices.Grow(dst, max(0, s2.MaxEncodedLen(len(b))))
	return dst[:n+len(s2.Encode(dst[n:cap(dst)], b))]
}

// decodeRecord reverses both, and returns the text as well. lookup returns the stream of an id
// and, if they follow, its labels, which it may keep.
func decodeRecord(data []byte, lookup func(id uint64, labels model.Labels) *stream) ([]group, string, error) {
	if len(data) == 0 || data[0] != recordVersion {
		return nil, "", fmt.Errorf("%w: log record of unknown version", store.ErrCorrupt)
	}
	b, err := s2.Decode(nil, data[1:])
	if err != nil {
		return nil, "", fmt.Errorf("%w: log record: %w", store.ErrCorrupt, err)
	}
	r := scanner{b: text(b)}
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
			rows[i] = row{time: last, line: r.str(), meta: r.str()}
		}
		if r.bad {
			break
		}
		gs = append(gs, group{stream: lookup(ref>>1, labels), rows: rows})
	}
	if r.bad || len(r.b) > 0 {
		return nil, "", fmt.Errorf("%w: log record has a wrong length", store.ErrCorrupt)
	}
	return gs, text(b), nil
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

// metaLen returns the length of the encoding of ls.
func metaLen(ls model.Labels) int {
	n := 0
	for i := range ls {
		n += varintLen(len(ls[i].Name)) + len(ls[i].Name) + varintLen(len(ls[i].Value)) + len(ls[i].Value)
	}
	return n
}

func varintLen(v int) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

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
