package tracestore

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/FastFilter/xorfilter"
	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// groupVersion is the first byte of a group's header. In version 1 no strings are in
// patterns.
const groupVersion = 2

// encoder turns groups into a header and sections. docs/formats/traces.md describes the
// bytes.
type encoder struct {
	put   func(block []byte) (part.Ref, error)
	z     *codec.Zstd // nil does not compress
	buf   []byte
	tmp   []byte
	nums  []int64
	steps []int64
	vals  []float64
	raw   []byte
	texts textWriter
	err   error
	end   uint64 // end of the last section: references count from it
}

// write stores the section in e.buf, if any, and appends its reference to header.
func (e *encoder) write(header []byte) []byte {
	if len(e.buf) == 0 {
		return binary.AppendUvarint(header, 0)
	}
	ref, err := e.put(e.buf)
	if err != nil && e.err == nil {
		e.err = err
	}
	header = binary.AppendUvarint(header, uint64(ref.Len))
	header = binary.AppendUvarint(header, ref.Off-e.end)
	e.end = ref.Off + uint64(ref.Len)
	e.buf = e.buf[:0]
	return header
}

// group writes the sections of g and returns its header.
func (e *encoder) group(g *group) ([]byte, error) {
	e.end, e.err = 0, nil
	h := []byte{groupVersion}
	for _, n := range g.rows {
		h = binary.AppendUvarint(h, uint64(n))
	}
	h = binary.AppendUvarint(h, uint64(len(g.traces)))
	e.ids(g)
	h = e.write(h)
	for _, id := range g.spanID {
		e.buf = append(e.buf, id[:]...)
	}
	h = e.write(h)
	e.parents(g)
	h = e.write(h)
	for f, vs := range g.ints {
		switch {
		case vs == nil:
		case f == iStart:
			e.starts(g)
		default:
			e.ints(vs, f != iDur && f != iEvTime)
		}
		h = e.write(h)
		h = appendZone(h, vs)
	}
	for f := range g.strs {
		e.str(textKey{field: f}, &g.strs[f])
		h = e.write(h)
	}
	for d := range g.sets {
		h = e.set(h, domain(d), &g.sets[d])
	}
	return h, e.err
}

func appendZone(h []byte, vs []int64) []byte {
	if vs == nil {
		return append(h, 0, 0)
	}
	h = binary.AppendVarint(h, slices.Min(vs))
	return binary.AppendVarint(h, slices.Max(vs))
}

// ids: the numbers of spans of each trace, then the ids.
func (e *encoder) ids(g *group) {
	e.nums = e.nums[:0]
	prev := int32(0)
	for _, end := range g.ends {
		e.nums = append(e.nums, int64(end-prev))
		prev = end
	}
	e.ints(e.nums, true)
	for _, id := range g.traces {
		e.buf = append(e.buf, id[:]...)
	}
}

// Parents are mostly spans of the same group.
const (
	parentNone  = 0
	parentOther = 1 // its id follows
	parentRow   = 2 // plus the zigzag distance to its row
)

func (e *encoder) parents(g *group) {
	e.nums, e.raw = e.nums[:0], e.raw[:0]
	var rows map[model.SpanID]int // of a trace with many spans
	for t := range g.traces {
		from, to := g.run(t)
		clear(rows)
		for i := from; i < to && to-from > maxFew; i++ {
			if rows == nil {
				rows = map[model.SpanID]int{}
			}
			if _, ok := rows[g.spanID[i]]; !ok {
				rows[g.spanID[i]] = i
			}
		}
		for i := from; i < to; i++ {
			p := g.parent[i]
			if p.IsZero() {
				e.nums = append(e.nums, parentNone)
				continue
			}
			row, known := rows[p]
			if to-from <= maxFew {
				row = from + slices.Index(g.spanID[from:to], p)
				known = row >= from
			}
			if known {
				d := int64(row - i)
				e.nums = append(e.nums, parentRow+(d<<1^d>>63))
			} else {
				e.nums = append(e.nums, parentOther)
				e.raw = append(e.raw, p[:]...)
			}
		}
	}
	e.ints(e.nums, true)
	e.buf = append(e.buf, e.raw...)
}

// starts: the first of each trace, then the differences within traces.
func (e *encoder) starts(g *group) {
	e.nums = e.nums[:0]
	steps := e.steps[:0]
	for t := range g.traces {
		from, to := g.run(t)
		e.nums = append(e.nums, g.ints[iStart][from])
		for i := from + 1; i < to; i++ {
			steps = append(steps, g.ints[iStart][i]-g.ints[iStart][i-1])
		}
	}
	e.ints(e.nums, false)
	e.ints(steps, false)
	e.steps = steps
}

// ints appends a column of integers, compressed once more if squeeze is set.
func (e *encoder) ints(vs []int64, squeeze bool) {
	if !squeeze || e.z == nil {
		e.buf = append(e.buf, 0)
		e.buf = codec.AppendInts(e.buf, vs)
		return
	}
	e.tmp = codec.AppendInts(e.tmp[:0], vs)
	e.buf = append(e.buf, 1)
	e.buf = e.z.Append(e.buf, e.tmp)
}

// What the first byte of a column of strings says.
const (
	strsCodes    = 1 // codes follow the strings, which are a dictionary
	strsPatterns = 2 // the strings are in patterns
)

// str appends a column of strings: what it has, the strings, and the codes.
func (e *encoder) str(key textKey, c *strCol) {
	if c.dict == nil {
		return
	}
	mode := byte(0)
	if c.codes != nil {
		mode = strsCodes
	}
	e.buf = append(e.buf, mode)
	if e.patterned(key, c.dict) {
		e.buf[0] |= strsPatterns
	} else {
		e.plain(c.dict)
	}
	if c.codes != nil {
		e.nums = e.nums[:0]
		for _, code := range c.codes {
			e.nums = append(e.nums, int64(code))
		}
		e.ints(e.nums, true)
	}
}

// set writes the shapes and columns of s. The header names the columns.
func (e *encoder) set(h []byte, d domain, s *attrSet) []byte {
	h = binary.AppendUvarint(h, uint64(len(s.cols)))
	if len(s.codes) > 0 {
		e.raw = binary.AppendUvarint(e.raw[:0], uint64(len(s.shapes)))
		for _, shape := range s.shapes {
			e.raw = binary.AppendUvarint(e.raw, uint64(len(shape)))
			for _, c := range shape {
				e.raw = binary.AppendUvarint(e.raw, uint64(c))
			}
		}
		e.buf = e.z.Append(e.buf, e.raw)
		e.nums = e.nums[:0]
		for _, c := range s.codes {
			e.nums = append(e.nums, int64(c))
		}
		e.ints(e.nums, true)
	}
	h = e.write(h)
	for i := range s.cols {
		c := &s.cols[i]
		h = codec.AppendBytes(h, c.name)
		h = append(h, byte(c.typ))
		h = binary.AppendUvarint(h, uint64(c.n))
		switch {
		case c.typ == store.ValueFloat:
			e.floats(c.ints)
		case isNumber(c.typ):
			e.ints(c.ints, true)
		default:
			e.str(textKey{numStrs + int(d), c.attrKey}, &c.strs)
		}
		h = e.write(h)
		if c.typ == store.ValueInt || c.typ == store.ValueBool {
			h = appendZone(h, c.ints)
		}
	}
	return h
}

func (e *encoder) floats(bits []int64) {
	e.vals = e.vals[:0]
	for _, b := range bits {
		e.vals = append(e.vals, math.Float64frombits(uint64(b)))
	}
	e.buf = codec.AppendFloats(e.buf, e.vals)
}

// idHash is what the filter of a group holds of a trace id.
func idHash(id model.TraceID) uint64 { return xxh3.Hash(id[:]) }

// appendFilter appends a filter of the trace ids of g, or nothing if there is none.
func appendFilter(dst []byte, g *group) []byte {
	keys := make([]uint64, len(g.traces))
	for i, id := range g.traces {
		keys[i] = idHash(id)
	}
	f, err := xorfilter.PopulateBinaryFuse8(keys)
	if err != nil { // it gives up on some sets of keys; readers then look themselves
		return dst
	}
	dst = binary.LittleEndian.AppendUint64(dst, f.Seed)
	dst = binary.LittleEndian.AppendUint32(dst, f.SegmentLength)
	dst = binary.LittleEndian.AppendUint32(dst, f.SegmentCount)
	return append(dst, f.Fingerprints...)
}

// parseFilter reads a filter. It returns nil, which knows nothing, if b is no filter.
func parseFilter(b []byte) *xorfilter.BinaryFuse8 {
	if len(b) < 17 {
		return nil
	}
	f := &xorfilter.BinaryFuse8{
		Seed:          binary.LittleEndian.Uint64(b),
		SegmentLength: binary.LittleEndian.Uint32(b[8:]),
		SegmentCount:  binary.LittleEndian.Uint32(b[12:]),
		Fingerprints:  b[16:],
	}
	l, n := uint64(f.SegmentLength), uint64(f.SegmentCount)
	if l == 0 || l&(l-1) != 0 || l*(n+2) != uint64(len(f.Fingerprints)) || n == 0 {
		return nil
	}
	f.SegmentLengthMask = f.SegmentLength - 1
	f.SegmentCountLength = f.SegmentLength * f.SegmentCount
	return f
}
