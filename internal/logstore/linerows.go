package logstore

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// The rows column of a block says of each line which template it was printed from and how
// long it is. It is small beside the lines column, and with the templates of the index it
// answers most questions about words and lengths.
//
//	rowsDirectory and the directory of the lines column (directory.go), if there is one
//	the template of each row, numbered as in the block: ints; none if the lines are not in
//	  the templates layout
//	the shortest line of each template, one number if there are none: ints
//	what each line is longer than that: ints

// rowsDirectory is the first byte of a rows column with a directory. No column of ints
// begins with it.
const rowsDirectory = 0xff

// appendRows appends the rows column of lines of the lengths lens. templates says which
// template each was printed from, and dir where their variables are; they are nil if that
// is not in the index.
func appendRows(dst []byte, lens, templates []int64, dir *directory) []byte {
	if dir != nil {
		dst = dir.append(append(dst, rowsDirectory))
	}
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
	dir       *directory // nil if there is none
	templates []int64    // of each row, nil if they are not in the index
	counts    []int      // rows of each template
	rest      []byte
}

// openRows reads the begin of the rows column of n rows, of at most limit templates. The
// result shares memory with data and scratch.
func openRows(data []byte, n, limit int, scratch *buffer) (lineRows, error) {
	l := lineRows{}
	r, ok := readDirectory(data, &scratch.dir)
	if ok {
		l.dir = &scratch.dir
	}
	scratch.ints = scratch.ints[:0]
	l.templates = r.Ints(scratch.room(n))
	if len(l.templates) == 0 {
		l.templates = nil
	} else {
		scratch.counts = countRows(r, scratch.counts, l.templates, n, limit)
		l.counts = scratch.counts
	}
	l.rest = r.Rest()
	return l, r.Err()
}

// countRows returns, in the memory of counts, how many of n rows are of each template.
func countRows(r *codec.Reader, counts []int, rows []int64, n, templates int) []int {
	counts = zeroed(counts, templates)
	if len(rows) != n {
		r.Fail("templates of %d rows, want %d", len(rows), n)
		return counts
	}
	for _, id := range rows {
		if uint64(id) >= uint64(len(counts)) {
			r.Fail("template %d of %d", id, len(counts))
			break
		}
		counts[id]++
	}
	return counts
}

// skeletons returns the lines as far as they are known, in the memory of scratch; list is
// the templates of the block, and source reads its lines column.
func (l *lineRows) skeletons(list []*template, source lineSource, scratch *buffer) (*skeletons, error) {
	if l.templates == nil || list == nil {
		return nil, nil
	}
	sk := &skeletons{list: list, rows: l.templates, counts: l.counts, dir: l.dir, source: source}
	return sk, sk.place(scratch)
}

// openColumns opens the columns of variables that belong to a rows column, of whose rows the
// result knows nothing.
func openColumns(data []byte, list []*template, source lineSource, scratch *buffer) (*skeletons, error) {
	sk := &skeletons{list: list, source: source}
	r, ok := readDirectory(data, &scratch.dir)
	if ok {
		sk.dir = &scratch.dir
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return sk, sk.place(scratch)
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
