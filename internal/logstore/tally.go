package logstore

import (
	"math"
	"slices"
	"sort"

	"github.com/pharos-o11y/pharos/internal/model"
)

// A caller that only counts takes tallies for rows: how many rows of a stream lie in a
// piece of time and hold the same fields. They are made where a block is decoded, by as
// many goroutines as there are, and no row leaves it. That needs rows that no other source
// of the stream may hold as well: those in the range of time that a use has alone. The
// others, and those whose lines have to be looked at, go the way of rows.

// alone sets the range of time that each source of a stream has to itself. They are in
// order of their begin.
func alone(sources []source) {
	before := int64(math.MinInt64) // latest time so far
	for i := range sources {
		s := &sources[i]
		next := int64(math.MaxInt64)
		if i+1 < len(sources) {
			next = sources[i+1].min
		}
		if s.block != nil {
			s.block.uses[s.use].alone = model.TimeRange{From: before + 1, To: next}
			if before == math.MinInt64 {
				s.block.uses[s.use].alone.From = before
			}
		}
		before = max(before, s.max)
	}
}

// tallies reports whether w takes tallies for the rows of b, whose metadata is open, by the
// fields of their lines.
func (w *wants) tallies(b *fetched) bool {
	return w.pieces != nil && (!w.sizes || b.sizes != nil) && b.meta.rest == nil && !w.hasOutput(&b.meta)
}

// cell is the count of rows that are alike, in the current piece.
type cell struct {
	fields        *model.LineFields
	row           int // one of them
	list          []float64
	n, size       int64
	sum, min, max float64
}

// tallier makes the tallies of a block.
type tallier struct {
	pieces func(int64) (int, int64, bool)
	keep   *mask
	sizes  []int32 // nil if they are not wanted
	rest   []int32 // rows of which there are no tallies
	cells  []cell  // of fields, in the order of places; or by what is alike in the metadata, or one
	used   []int32 // cells that are not empty
	alike  *alikeRows

	places []int32 // which of cells, + 1, by the ID of the fields; 0 for none
	list   bool    // numbers are listed
	listed []listedNumber
}

// listedNumber is the number of a row.
type listedNumber struct {
	cell int32
	v    float64
}

func (w *wants) tallier(b *fetched, keep *mask) *tallier {
	t := &tallier{pieces: w.pieces, keep: keep}
	if w.sizes {
		t.sizes = b.sizes
	}
	if w.judge.parses() && w.judge.number != nil {
		t.list = w.judge.number.List
	}
	return t
}

// run calls count with the rows that each use of b has alone, one piece after the other in
// the order of rows, and drops them from the mask but for the rest.
func (t *tallier) run(b *fetched, count func(from, to int)) {
	order := make([]*use, 0, 4)
	for i := range b.uses {
		order = append(order, &b.uses[i])
	}
	slices.SortFunc(order, func(x, y *use) int { return x.from - y.from })
	whole := t.keep.keep == nil
	for _, u := range order {
		of := b.times[u.lo:u.hi]
		u.first = u.lo + sort.Search(len(of), func(i int) bool { return of[i] >= u.alone.From })
		u.end = u.first + sort.Search(u.hi-u.first, func(i int) bool { return b.times[u.first+i] >= u.alone.To })
		for from := u.first; from < u.end; {
			piece, until, ok := t.pieces(b.times[from])
			to := from + 1 + sort.Search(u.end-from-1, func(i int) bool { return b.times[from+1+i] > until })
			if ok {
				count(from, to)
				u.tallies = t.flush(piece, u.tallies)
			}
			from = to
		}
		whole = whole && (u.first == u.lo || u.end == u.hi)
	}
	if whole && len(t.rest) == 0 {
		for _, u := range order {
			if u.first == u.lo {
				u.lo = u.end
			} else {
				u.hi = u.first
			}
		}
		return
	}
	t.keep.open()
	for _, u := range order {
		if u.first == u.end {
			continue
		}
		clear(t.keep.keep[u.first-t.keep.from : u.end-t.keep.from])
	}
	for _, row := range t.rest {
		t.keep.keep[int(row)-t.keep.from] = true
	}
}

// flush appends what the cells hold, and empties them.
func (t *tallier) flush(piece int, dst []model.LineTally) []model.LineTally {
	t.share()
	for _, i := range t.used {
		c := &t.cells[i]
		l := model.LineTally{Fields: c.fields, Piece: piece, N: c.n, Size: c.size, Sum: c.sum, Min: c.min, Max: c.max, Numbers: c.list}
		switch {
		case t.alike != nil:
			l.Meta = t.alike.meta(i, c.row)
		case c.fields != nil:
			t.places[c.fields.ID] = 0
		}
		dst = append(dst, l)
		*c = cell{}
	}
	t.used = t.used[:0]
	return dst
}

// share gives each cell its listed numbers.
func (t *tallier) share() {
	all := make([]float64, len(t.listed))
	for _, l := range t.listed {
		c := &t.cells[l.cell]
		if c.list == nil {
			c.list, all = all[:0:c.n], all[c.n:]
		}
		c.list = append(c.list, l.v)
	}
	t.listed = t.listed[:0]
}

// cell returns the cell of f, which has an ID.
func (t *tallier) cell(f *model.LineFields) *cell {
	if had := len(t.places); f.ID >= had {
		t.places = slices.Grow(t.places, f.ID+1-had)[:f.ID+1]
		clear(t.places[had:])
	}
	if i := t.places[f.ID]; i > 0 {
		return &t.cells[i-1]
	}
	i := len(t.used)
	if i == len(t.cells) {
		t.cells = append(t.cells, cell{})
	}
	t.places[f.ID], t.used = int32(i)+1, append(t.used, int32(i))
	t.cells[i].fields = f
	return &t.cells[i]
}

// number adds the number of a row of f to its cell c before the row is counted. Later numbers
// replace NaN as the least and the greatest.
func (t *tallier) number(f *model.LineFields, c *cell, v float64) {
	if t.list {
		t.listed = append(t.listed, listedNumber{t.places[f.ID] - 1, v})
		return
	}
	c.sum += v
	if c.n == 0 || v < c.min || math.IsNaN(c.min) {
		c.min = v
	}
	if c.n == 0 || v > c.max || math.IsNaN(c.max) {
		c.max = v
	}
}

// tally makes tallies of the rows of b that are left, as far as they have fields to share
// or are asked for none.
func (f *fetcher) tally(b *fetched, keep *mask) error {
	w := f.wants
	t := w.tallier(b, keep)
	switch {
	case keep.empty() || w.pieces == nil:
	case !w.judge.parses() && w.hasOutput(&b.meta):
		if w.sizes && b.sizes == nil {
			return nil
		}
		if err := f.decodeAnswer(b); err != nil {
			return err
		}
		if t.alike = w.alike(&b.meta); t.alike != nil {
			t.cells = make([]cell, t.alike.n)
			t.run(b, t.same)
		}
	case !w.tallies(b):
	case !w.judge.parses():
		t.cells = make([]cell, 1)
		t.run(b, t.all)
	case b.found != nil:
		t.run(b, func(from, to int) { t.found(b, from, to) })
	}
	return nil
}

// all counts the rows from..to that are kept.
func (t *tallier) all(from, to int) {
	c := &t.cells[0]
	kept := t.keep.rows(from, to)
	if kept == nil {
		c.n = int64(to - from)
	}
	for _, k := range kept {
		if k {
			c.n++
		}
	}
	if t.sizes != nil {
		for i, size := range t.sizes[from:to] {
			if kept == nil || kept[i] {
				c.size += int64(size)
			}
		}
	}
	if c.n > 0 {
		t.used = append(t.used, 0)
	}
}

// found counts the rows from..to that are kept, by the fields that b has found.
func (t *tallier) found(b *fetched, from, to int) {
	for row := from; row < to; row++ {
		k := row - t.keep.from
		if !t.keep.keep[k] {
			continue
		}
		f := b.found[k]
		if f == nil || f.ID < 0 {
			t.rest = append(t.rest, int32(row))
			continue
		}
		c := t.cell(f)
		if b.numbers != nil {
			t.number(f, c, b.numbers[k])
		}
		c.n++
		if t.sizes != nil {
			c.size += int64(t.sizes[row])
		}
	}
}

// rows returns which of the rows from..to are kept, nil for all.
func (m *mask) rows(from, to int) []bool {
	if m.keep == nil {
		return nil
	}
	return m.keep[from-m.from : to-m.from]
}

// tally makes tallies of the rows that have fields to share. The variables move on.
func (r *shapeReader) tally(b *fetched, t *tallier) {
	t.run(b, func(from, to int) {
		r.skipTo(from)
		r.count(t, from, to)
	})
}

// count counts the rows from..to, of which the variables are at the first, into cells.
func (r *shapeReader) count(t *tallier, from, to int) {
	kept := t.keep.rows(from, to)
	for ; r.at < len(r.live); r.at++ {
		row := int(r.live[r.at])
		if row >= to {
			return
		}
		l := r.of[r.sk.rows[row]]
		if !l.deny && (kept == nil || kept[row-from]) {
			f := l.fixed
			v, ok := 0.0, f == nil || f.ID >= 0
			if f == nil {
				if f, ok = r.alike(l); ok && l.number >= 0 && f != nil {
					v, ok = r.number(l)
				}
			}
			switch {
			case !ok:
				t.rest = append(t.rest, int32(row))
			case f != nil:
				c := t.cell(f)
				if l.number >= 0 {
					t.number(f, c, v)
				}
				c.n++
				if t.sizes != nil {
					c.size += int64(t.sizes[row])
				}
			}
		}
		for _, slot := range l.moves {
			r.reads[slot].skip()
		}
	}
}

// alike is fields for rows that share them; ok is false for others.
func (r *shapeReader) alike(l *rowShape) (f *model.LineFields, ok bool) {
	switch {
	case l.LineShape == nil:
		return nil, false
	case !l.found.full.Load():
		f = r.fields(l)
	case !r.passes(l):
		return nil, true
	default:
		if f = r.lookUp(l); f == nil {
			return nil, false
		}
	}
	return f, f == nil || f.ID >= 0
}
