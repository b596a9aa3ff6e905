package logstore

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// The rows column of a block says of each line which template it was printed from and how
// long it is. It is small beside the lines column, and with the templates of the index it
// answers most questions about words and lengths.
//
//	the template of each row, numbered as in the block: ints; none if the lines are not in
//	  the templates layout
//	the shortest line of each template, one number if there are none: ints
//	what each line is longer than that: ints

// appendRows appends the rows column of lines of the lengths lens. templates says which
// template each was printed from; it is nil if that is not in the index.
func appendRows(dst []byte, lens, templates []int64) []byte {
	dst = codec.AppendInts(dst, templates)
	base := []int64{-1}
	of := func(int) int64 { return 0 }
	if templates != nil {
		base = slices.Repeat(base, int(slices.Max(templates))+1)
		of = func(i int) int64 { return templates[i] }
	}
	for i, n := range lens {
		if k := of(i); base[k] < 0 || n < base[k] {
			base[k] = n
		}
	}
	more := make([]int64, len(lens))
	for i, n := range lens {
		more[i] = n - base[of(i)]
	}
	dst = codec.AppendInts(dst, base)
	return codec.AppendInts(dst, more)
}

// lineRows is an opened rows column.
type lineRows struct {
	templates []int64 // of each row, nil if they are not in the index
	rest      []byte
}

// openRows reads the begin of the rows column of n rows, of at most limit templates. The
// result shares memory with data and scratch.
func openRows(data []byte, n, limit int, scratch *buffer) (lineRows, error) {
	r := codec.NewReader(data)
	scratch.ints = scratch.ints[:0]
	l := lineRows{templates: r.Ints(scratch.room(n))}
	switch {
	case len(l.templates) == 0:
		l.templates = nil
	case len(l.templates) != n:
		r.Fail("templates of %d rows, want %d", len(l.templates), n)
	}
	for _, id := range l.templates {
		if uint64(id) >= uint64(limit) {
			r.Fail("template %d of %d", id, limit)
			break
		}
	}
	l.rest = r.Rest()
	return l, r.Err()
}

// skeletons returns the lines as far as they are known, in the memory of scratch; list is the
// templates of the block.
func (l *lineRows) skeletons(list []*template, scratch *buffer) *skeletons {
	if l.templates == nil || list == nil {
		return nil
	}
	sk := &skeletons{list: list, rows: l.templates}
	sk.cols, sk.n = columnsOf(list, scratch)
	return sk
}

// sizes returns the length of each of n lines.
func (l *lineRows) sizes(n int) ([]int32, error) {
	r := codec.NewReader(l.rest)
	base, more := r.Ints(nil), r.Ints(nil)
	if len(base) == 0 || len(more) != n {
		r.Fail("lengths of %d rows, want %d", len(more), n)
		return nil, r.Err()
	}
	out := make([]int32, n)
	for i, m := range more {
		k := int64(0)
		if l.templates != nil {
			k = l.templates[i]
		}
		if k >= int64(len(base)) || m < 0 || base[k] < 0 || m > maxLine || base[k] > maxLine {
			r.Fail("length of row %d", i)
			return nil, r.Err()
		}
		out[i] = int32(base[k] + m)
	}
	return out, nil
}

// maxLine bounds the bytes of a line.
const maxLine = 1 << 29
