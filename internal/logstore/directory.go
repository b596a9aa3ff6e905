package logstore

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// Most queries need one or two variables of the lines of a block. Where their columns lie
// in the lines column stands in the rows column, so that they are read alone, each with a
// checksum of its own. Since version 4:
//
//	begin of the first column in the lines column: uvarint
//	the bytes of each column: ints
//	the template of the first variable in each, as numbered in the block: ints
//	the number of that variable in its template: ints
//	for each column the low 32 bits of its xxh3
//
// A merge copies it as it is: it does not say what the part calls templates and places.
type directory struct {
	begin           int
	lens            []int64
	templates, vars []int64
	sums            []byte
}

func (d *directory) reset() {
	*d = directory{lens: d.lens[:0], templates: d.templates[:0], vars: d.vars[:0], sums: d.sums[:0]}
}

// first says that the next column begins with a variable of a template.
func (d *directory) first(template, variable int) {
	d.templates, d.vars = append(d.templates, int64(template)), append(d.vars, int64(variable))
}

// column says that the next column was written and ends at end of the lines column.
func (d *directory) column(end int, data []byte) {
	if len(d.lens) == 0 {
		d.begin = end - len(data)
	}
	d.lens = append(d.lens, int64(len(data)))
	d.sums = binary.LittleEndian.AppendUint32(d.sums, uint32(xxh3.Hash(data)))
}

// intact reports whether data is column c.
func (d *directory) intact(c int, data []byte) bool {
	return uint32(xxh3.Hash(data)) == binary.LittleEndian.Uint32(d.sums[4*c:])
}

func (d *directory) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(d.begin))
	dst = codec.AppendInts(dst, d.lens)
	dst = codec.AppendInts(dst, d.templates)
	dst = codec.AppendInts(dst, d.vars)
	return append(dst, d.sums...)
}

// readDirectory reads the directory at the begin of a rows column into d, and returns a
// reader of what follows. ok is false if there is none.
func readDirectory(data []byte, d *directory) (r *codec.Reader, ok bool) {
	r = codec.NewReader(data)
	d.reset()
	if len(data) == 0 || data[0] != rowsDirectory {
		return r, false
	}
	r.Byte()
	d.begin = r.Count(maxColumnBytes)
	d.lens, d.templates, d.vars = r.Ints(d.lens), r.Ints(d.templates), r.Ints(d.vars)
	n := len(d.lens)
	if len(d.templates) != n || len(d.vars) != n {
		r.Fail("directory of %d columns, %d templates, %d variables", n, len(d.templates), len(d.vars))
	}
	d.sums = append(d.sums, r.Take(4*n)...)
	for _, l := range d.lens {
		if l < 1 || l > maxColumnBytes {
			r.Fail("column of %d bytes", l)
			break
		}
	}
	return r, true
}

// maxColumnBytes bounds a column of variables.
const maxColumnBytes = 1 << 30

// begins returns where each column begins in the lines column, in the memory of scratch.
func (d *directory) begins(scratch []int) []int {
	var size [binary.MaxVarintLen64]byte
	scratch = scratch[:0]
	at := d.begin
	for c, l := range d.lens {
		if c > 0 {
			at += binary.PutUvarint(size[:], uint64(l))
		}
		scratch = append(scratch, at)
		at += int(l)
	}
	return scratch
}

// byPlace returns the column of each place that the templates of the block have, plus one, in
// the memory of byPlace.
func (d *directory) byPlace(list []*template, byPlace []int32) ([]int32, bool) {
	last := int32(-1)
	for c, k := range d.templates {
		if uint64(k) >= uint64(len(list)) || uint64(d.vars[c]) >= uint64(len(list[k].places)) {
			return nil, false
		}
		last = max(last, list[k].places[d.vars[c]])
	}
	byPlace = zeroed(byPlace, int(last+1))
	for c, k := range d.templates {
		byPlace[list[k].places[d.vars[c]]] = int32(c + 1)
	}
	return byPlace, true
}
