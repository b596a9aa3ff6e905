package logstore

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
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
	numCols
)

// blockInfo is what the index knows about a block.
type blockInfo struct {
	cols     [numCols]part.Ref
	rows     int
	size     int64 // bytes of lines and metadata
	segs     [2]uint32
	min, max int64
}

// index is the opened index of a part.
type index struct {
	symbols []string
	pairs   []uint32 // label name and value, as symbols
	ends    []uint32 // for each stream, where its labels end in pairs
	hashes  []uint64 // for each stream
	fields  [][]uint32
	fieldOf []uint32 // for each stream, the index in fields of its metadata field names

	names    []string // of metadata fields
	sketches []sketch // of their values

	blocks []blockInfo
	segs   []segment // in order of block, then stream

	streamSegs []uint32 // segments in order of stream, then block
	streamEnds []uint32 // for each stream, where its segments end in streamSegs

	mu      sync.Mutex
	damaged map[part.Ref]bool // guarded by mu; columns reported as unreadable
}

func (x *index) numStreams() int { return len(x.ends) }

func (x *index) pairsOf(stream int) []uint32 {
	from := uint32(0)
	if stream > 0 {
		from = x.ends[stream-1]
	}
	return x.pairs[from:x.ends[stream]]
}

// labels returns the labels of a stream. Their strings stay valid.
func (x *index) labels(stream int) model.Labels {
	ps := x.pairsOf(stream)
	ls := make(model.Labels, len(ps)/2)
	for i := range ls {
		ls[i] = model.Label{Name: x.symbols[ps[2*i]], Value: x.symbols[ps[2*i+1]]}
	}
	return ls
}

// segments returns the segments of a stream, as indexes into segs, oldest block first.
func (x *index) segments(stream int) []uint32 {
	from := uint32(0)
	if stream > 0 {
		from = x.streamEnds[stream-1]
	}
	return x.streamSegs[from:x.streamEnds[stream]]
}

// match returns the streams that satisfy ms, in order.
func (x *index) match(ms []*model.Matcher) []int {
	type memo struct {
		m      *model.Matcher
		absent bool
		name   int64 // symbol of the label name, -1 if no stream has it
		values map[uint32]bool
	}
	memos := make([]memo, len(ms))
	for i, m := range ms {
		memos[i] = memo{m: m, absent: m.Matches(""), name: -1, values: map[uint32]bool{}}
		if at, ok := slices.BinarySearch(x.symbols, m.Name); ok {
			memos[i].name = int64(at)
		}
	}
	var out []int
streams:
	for s := range x.ends {
		ps := x.pairsOf(s)
		for i := range memos {
			c := &memos[i]
			ok := c.absent
			for k := 0; k < len(ps); k += 2 {
				if int64(ps[k]) == c.name {
					var known bool
					if ok, known = c.values[ps[k+1]]; !known {
						ok = c.m.Matches(x.symbols[ps[k+1]])
						c.values[ps[k+1]] = ok
					}
					break
				}
			}
			if !ok {
				continue streams
			}
		}
		out = append(out, s)
	}
	return out
}

// reportOnce tells whether the column at ref is reported as damaged for the first time.
func (x *index) reportOnce(ref part.Ref) bool {
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

const indexVersion = 1

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

// appendTexts appends a list of strings of any length.
func appendTexts(dst []byte, ss []string, z *codec.Zstd) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ss)))
	for len(ss) > 0 {
		n := min(len(ss), maxColumn)
		dst = codec.AppendBytes(dst, codec.AppendStrings(nil, ss[:n], z))
		ss = ss[n:]
	}
	return dst
}

// readTexts reads a list written by appendTexts. Its strings share memory with the input.
func readTexts(r *codec.Reader, z *codec.Zstd) []string {
	n := r.Uvarint()
	var out []string
	for r.Err() == nil && uint64(len(out)) < n {
		had := len(out)
		var err error
		if out, _, _, err = codec.DecodeStrings(out, nil, r.Bytes(), z); err != nil {
			r.Fail("list of strings: %v", err)
		} else if len(out) == had {
			r.Fail("empty piece of a list")
		}
	}
	if uint64(len(out)) != n {
		r.Fail("list of %d strings, want %d", len(out), n)
	}
	return out
}

// encode returns the bytes of the index. docs/formats/logs.md describes them.
func (x *index) encode(z *codec.Zstd) []byte {
	dst := []byte{indexVersion}
	dst = appendTexts(dst, x.symbols, z)
	n := x.numStreams()
	dst = appendInts(dst, n, func(i int) int64 { return int64(len(x.pairsOf(i)) / 2) })
	dst = appendInts(dst, len(x.pairs)/2, func(i int) int64 { return int64(x.pairs[2*i]) })
	dst = appendInts(dst, len(x.pairs)/2, func(i int) int64 { return int64(x.pairs[2*i+1]) })

	dst = appendTexts(dst, x.names, z)
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
	return dst
}

// loadIndex opens the index of f.
func (s *Store) loadIndex(f *part.File) (*index, error) {
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

func decodeIndex(data []byte, z *codec.Zstd) (*index, error) {
	r := codec.NewReader(data)
	if v := r.Byte(); v != indexVersion {
		r.Fail("log index of version %d, this program reads %d", v, indexVersion)
	}
	x := &index{symbols: readTexts(r, z)}
	x.readStreams(r)
	x.names = readTexts(r, z)
	for range x.names {
		s := make(sketch, r.Count(sketchSize))
		for i := range s {
			s[i] = r.Uint64()
		}
		x.sketches = append(x.sketches, s)
	}
	x.readFields(r)
	x.readBlocks(r)
	if err := r.Err(); err != nil {
		return nil, err
	}
	x.sortSegments()
	return x, nil
}

func (x *index) readStreams(r *codec.Reader) {
	counts, names, values := readInts(r), readInts(r), readInts(r)
	if len(names) != len(values) {
		r.Fail("%d label names, %d values", len(names), len(values))
	}
	if r.Err() != nil {
		return
	}
	if !slices.IsSorted(x.symbols) {
		r.Fail("symbols are not sorted")
	}
	x.pairs = make([]uint32, 0, 2*len(names))
	for i := range names {
		if max(names[i], values[i]) >= int64(len(x.symbols)) || min(names[i], values[i]) < 0 {
			r.Fail("symbol %d or %d of %d", names[i], values[i], len(x.symbols))
			return
		}
		x.pairs = append(x.pairs, uint32(names[i]), uint32(values[i]))
	}
	end := int64(0)
	x.ends = make([]uint32, 0, len(counts))
	x.hashes = make([]uint64, 0, len(counts))
	for _, c := range counts {
		if c < 0 || c > int64(len(names)) || end+2*c > int64(len(x.pairs)) {
			r.Fail("stream of %d labels", c)
			return
		}
		end += 2 * c
		x.ends = append(x.ends, uint32(end))
	}
	if end != int64(len(x.pairs)) {
		r.Fail("%d labels without a stream", int64(len(x.pairs))-end)
		return
	}
	var key []byte
	for i := range x.ends {
		var hash uint64
		key, hash = streamKey(key[:0], x.labels(i))
		x.hashes = append(x.hashes, hash)
	}
}

func (x *index) readFields(r *codec.Reader) {
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

func (x *index) readBlocks(r *codec.Reader) {
	var offs, lens [numCols][]int64
	for c := range numCols {
		offs[c], lens[c] = readInts(r), readInts(r)
	}
	counts := readInts(r)
	streams, rows, sizes, mins, spans := readInts(r), readInts(r), readInts(r), readInts(r), readInts(r)
	for _, col := range [][]int64{rows, sizes, mins, spans} {
		if len(col) != len(streams) {
			r.Fail("segment columns differ in length")
		}
	}
	for c := range numCols {
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
		for c := range numCols {
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
func (x *index) sortSegments() {
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
