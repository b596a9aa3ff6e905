package logstore

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// segment is the rows of one stream in one block: rows from..from+rows of it.
type segment struct {
	stream, block uint32 // index in the part
	from, rows    uint32
	bytes         int64 // of lines and metadata
	min, max      int64
}

// The columns of a block in its file.
const (
	colTimes = iota
	colLines
	colMeta
	colFilter
	colRows // since version 2
	numCols
)

// blockInfo is what the index knows about a block.
type blockInfo struct {
	cols     [numCols]part.Ref
	rows     int
	size     int64 // bytes of lines and metadata
	segs     [2]uint32
	min, max int64

	templates []uint32 // of the lines, numbers in the part's table
	widths    []uint8  // of their variables, see widths.go; nil if not known
}

// partIndex is the opened index of a part. Streams are numbered as in the table.
type partIndex struct {
	table   *index.Table
	fields  [][]uint32
	fieldOf []uint32 // for each stream, the index in fields of its metadata field names

	names    []string // of metadata fields
	sketches []sketch // of their values

	templates *templateTable // of lines

	blocks  []blockInfo
	filters partFilters
	segs    []segment // in order of block, then stream

	streamSegs []uint32 // segments in order of stream, then block
	streamEnds []uint32 // for each stream, where its segments end in streamSegs

	expiry expiry // by mustRewrite

	mu      sync.Mutex
	damaged map[part.Ref]bool // guarded by mu; columns reported as unreadable
}

func (x *partIndex) numStreams() int { return x.table.Len() }

// labels returns the labels of a stream and their hash. The strings stay valid.
func (x *partIndex) labels(stream uint32) (model.Labels, uint64) { return x.appendLabels(nil, stream) }

// appendLabels appends the labels to ls, which is empty.
func (x *partIndex) appendLabels(ls model.Labels, stream uint32) (model.Labels, uint64) {
	ls = x.table.AppendLabels(ls, stream)
	var buf [512]byte
	_, hash := streamKey(buf[:0], ls)
	return ls, hash
}

// segments returns the segments of a stream, as indexes into segs, oldest block first.
func (x *partIndex) segments(stream uint32) []uint32 {
	from := uint32(0)
	if stream > 0 {
		from = x.streamEnds[stream-1]
	}
	return x.streamSegs[from:x.streamEnds[stream]]
}

// reportOnce tells whether the column at ref is reported as damaged for the first time.
func (x *partIndex) reportOnce(ref part.Ref) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.damaged[ref] {
		return false
	}
	if x.damaged == nil {
		x.damaged = map[part.Ref]bool{}
	}
	x.damaged[ref] = true
	return true
}

// indexVersion is the version of the index. Version 1 has no templates and no rows columns,
// version 2 no widths of variables, version 3 no directories in rows columns and no
// metadata in patterns.
const indexVersion = 4

// maxColumn is the values of one codec column; longer lists are written in pieces.
const maxColumn = 1 << 20

// appendInts appends a list of n numbers of any length.
func appendInts(dst []byte, n int, at func(i int) int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(n))
	buf := make([]int64, 0, min(n, maxColumn))
	for from := 0; from < n; from += maxColumn {
		buf = buf[:0]
		for i := from; i < min(n, from+maxColumn); i++ {
			buf = append(buf, at(i))
		}
		dst = codec.AppendInts(dst, buf)
	}
	return dst
}

// readInts reads a list written by appendInts.
func readInts(r *codec.Reader) []int64 {
	n := r.Uvarint()
	var out []int64
	for r.Err() == nil && uint64(len(out)) < n {
		had := len(out)
		if out = r.Ints(out); len(out) == had {
			r.Fail("empty piece of a list")
		}
	}
	if uint64(len(out)) != n {
		r.Fail("list of %d numbers, want %d", len(out), n)
	}
	return out
}

// encode returns the bytes of the index of streams. docs/formats/logs.md describes them.
func (x *partIndex) encode(streams []model.Labels, z *codec.Zstd) []byte {
	n := len(streams)
	dst := index.AppendTable([]byte{indexVersion}, streams, z)
	dst = codec.AppendStrings(dst, x.names, z)
	for _, s := range x.sketches {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		for _, h := range s {
			dst = binary.LittleEndian.AppendUint64(dst, h)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(x.fields)))
	for _, f := range x.fields {
		dst = appendInts(dst, len(f), func(i int) int64 { return int64(f[i]) })
	}
	dst = appendInts(dst, n, func(i int) int64 { return int64(x.fieldOf[i]) })

	blocks := func(f func(b *blockInfo) int64) {
		dst = appendInts(dst, len(x.blocks), func(i int) int64 { return f(&x.blocks[i]) })
	}
	for c := range numCols {
		blocks(func(b *blockInfo) int64 { return int64(b.cols[c].Off) })
		blocks(func(b *blockInfo) int64 { return int64(b.cols[c].Len) })
	}
	blocks(func(b *blockInfo) int64 { return int64(b.segs[1] - b.segs[0]) })

	segs := func(f func(s *segment) int64) {
		dst = appendInts(dst, len(x.segs), func(i int) int64 { return f(&x.segs[i]) })
	}
	segs(func(s *segment) int64 { return int64(s.stream) })
	segs(func(s *segment) int64 { return int64(s.rows) })
	segs(func(s *segment) int64 { return s.bytes })
	segs(func(s *segment) int64 { return s.min })
	segs(func(s *segment) int64 { return s.max - s.min })
	return x.encodeTemplates(dst, z)
}

// encodeTemplates appends the templates of lines, and which of them the blocks need.
func (x *partIndex) encodeTemplates(dst []byte, z *codec.Zstd) []byte {
	dst = x.templates.encode(dst, z)
	var all []uint32
	for i := range x.blocks {
		all = append(all, x.blocks[i].templates...)
	}
	dst = appendInts(dst, len(x.blocks), func(i int) int64 { return int64(len(x.blocks[i].templates)) })
	dst = appendInts(dst, len(all), func(i int) int64 { return int64(all[i]) })
	return x.encodeWidths(dst, z)
}

func (x *partIndex) readTemplates(r *codec.Reader, z *codec.Zstd) *codec.Reader {
	x.templates, r = readTemplates(r, z)
	counts, all := readInts(r), readInts(r)
	if len(counts) != len(x.blocks) {
		r.Fail("templates of %d blocks, want %d", len(counts), len(x.blocks))
		return r
	}
	ids := make([]uint32, len(all))
	for i, id := range all {
		if uint64(id) >= uint64(len(x.templates.list)) {
			r.Fail("template %d of %d", id, len(x.templates.list))
			return r
		}
		ids[i] = uint32(id)
	}
	for i, n := range counts {
		if n < 0 || n > int64(len(ids)) {
			r.Fail("%d templates in a block", n)
			return r
		}
		if n > 0 {
			x.blocks[i].templates, ids = ids[:n:n], ids[n:]
		}
	}
	return r
}

// templatesOf returns the templates of the lines of b, in the memory of scratch; nil if they
// are not in the index.
func (x *partIndex) templatesOf(b *blockInfo, scratch *buffer) []*template {
	if len(b.templates) == 0 {
		return nil
	}
	scratch.list = zeroed(scratch.list, len(b.templates))
	list := scratch.list
	for i, id := range b.templates {
		list[i] = x.templates.list[id]
	}
	return list
}

// loadIndex opens the index of f.
func (s *Store) loadIndex(f *part.File) (*partIndex, error) {
	data, err := f.Index()
	if err != nil {
		return nil, err
	}
	x, err := decodeIndex(data, s.zstd)
	if err != nil {
		return nil, fmt.Errorf("index of part %s: %w", f.Name(), err)
	}
	return x, nil
}

func decodeIndex(data []byte, z *codec.Zstd) (*partIndex, error) {
	r := codec.NewReader(data)
	version := r.Byte()
	if version == 0 || version > indexVersion {
		r.Fail("log index of version %d, this program reads up to %d", version, indexVersion)
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	x := &partIndex{}
	var err error
	if x.table, data, err = index.DecodeTable(r.Rest(), z); err != nil {
		return nil, err
	}
	if x.names, _, data, err = codec.DecodeStrings(nil, nil, data, z); err != nil {
		return nil, err
	}
	r = codec.NewReader(data)
	for range x.names {
		s := make(sketch, r.Count(sketchSize))
		for i := range s {
			s[i] = r.Uint64()
		}
		x.sketches = append(x.sketches, s)
	}
	x.readFields(r)
	x.readBlocks(r, version)
	x.templates = newTemplateTable()
	if version > 1 {
		r = x.readTemplates(r, z)
	}
	if version > 2 {
		x.readWidths(r, z)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	x.filters = make(partFilters, len(x.blocks))
	x.sortSegments()
	return x, nil
}

func (x *partIndex) readFields(r *codec.Reader) {
	for range r.Count(r.Len()) {
		var f []uint32
		for _, v := range readInts(r) {
			if v < 0 || v >= int64(len(x.names)) {
				r.Fail("field %d of %d", v, len(x.names))
				return
			}
			f = append(f, uint32(v))
		}
		x.fields = append(x.fields, f)
	}
	for _, v := range readInts(r) {
		if v < 0 || v >= int64(len(x.fields)) {
			r.Fail("field list %d of %d", v, len(x.fields))
			return
		}
		x.fieldOf = append(x.fieldOf, uint32(v))
	}
	if len(x.fieldOf) != x.numStreams() {
		r.Fail("%d field lists for %d streams", len(x.fieldOf), x.numStreams())
	}
}

func (x *partIndex) readBlocks(r *codec.Reader, version byte) {
	var offs, lens [numCols][]int64
	cols := numCols
	if version == 1 {
		cols = colRows
	}
	for c := range cols {
		offs[c], lens[c] = readInts(r), readInts(r)
	}
	counts := readInts(r)
	streams, rows, sizes, mins, spans := readInts(r), readInts(r), readInts(r), readInts(r), readInts(r)
	for _, col := range [][]int64{rows, sizes, mins, spans} {
		if len(col) != len(streams) {
			r.Fail("segment columns differ in length")
		}
	}
	for c := range cols {
		if len(offs[c]) != len(counts) || len(lens[c]) != len(counts) {
			r.Fail("block columns differ in length")
		}
	}
	if r.Err() != nil {
		return
	}
	x.segs = make([]segment, len(streams))
	x.blocks = make([]blockInfo, len(counts))
	at := int64(0)
	for i := range x.blocks {
		b := &x.blocks[i]
		if counts[i] <= 0 || at+counts[i] > int64(len(streams)) {
			r.Fail("block of %d segments", counts[i])
			return
		}
		for c := range cols {
			b.cols[c] = part.Ref{Off: uint64(offs[c][i]), Len: uint32(lens[c][i])}
		}
		b.segs = [2]uint32{uint32(at), uint32(at + counts[i])}
		for k := at; k < at+counts[i]; k++ {
			if streams[k] < 0 || streams[k] >= int64(x.numStreams()) || rows[k] <= 0 || rows[k] > maxBlockRows || spans[k] < 0 || b.rows+int(rows[k]) > maxBlockRows {
				r.Fail("segment %d", k)
				return
			}
			x.segs[k] = segment{
				stream: uint32(streams[k]), block: uint32(i), from: uint32(b.rows), rows: uint32(rows[k]),
				bytes: sizes[k], min: mins[k], max: mins[k] + spans[k],
			}
			b.add(&x.segs[k])
		}
		at += counts[i]
	}
	if at != int64(len(streams)) {
		r.Fail("%d segments without a block", int64(len(streams))-at)
	}
}

// add counts s, a segment of b.
func (b *blockInfo) add(s *segment) {
	if b.rows == 0 {
		b.min, b.max = s.min, s.max
	}
	b.rows += int(s.rows)
	b.size += s.bytes
	b.min, b.max = min(b.min, s.min), max(b.max, s.max)
}

// sortSegments builds the lists by stream.
func (x *partIndex) sortSegments() {
	x.streamSegs = make([]uint32, len(x.segs))
	for i := range x.streamSegs {
		x.streamSegs[i] = uint32(i)
	}
	slices.SortStableFunc(x.streamSegs, func(a, b uint32) int {
		return cmp.Compare(x.segs[a].stream, x.segs[b].stream)
	})
	x.streamEnds = make([]uint32, x.numStreams())
	for _, i := range x.streamSegs {
		x.streamEnds[x.segs[i].stream]++
	}
	sum := uint32(0)
	for i := range x.streamEnds {
		sum += x.streamEnds[i]
		x.streamEnds[i] = sum
	}
}
