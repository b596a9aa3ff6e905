package logstore

import (
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// maxBatch is the entries of one batch.
const maxBatch = 8192

// emitter collects rows into batches and yields them. A batch is yielded when the next
// one is complete, so that the last one of a slice can carry the frontier behind the
// slice.
type emitter struct {
	q        *query
	fetch    *fetcher
	yield    func(*store.LogRows) bool
	stopped  bool  // the caller has enough, or err is set
	err      error // the context is done
	frontier int64
	last     bool // no stream of the slice follows

	cur, full *batch // full is complete and waits; it may have no rows
}

// batch is a batch being built, and the blocks that its strings live in.
type batch struct {
	rows   store.LogRows
	cols   map[string]int // of rows.Meta, by name
	blocks []*fetched     // to be given back behind it
}

func newEmitter(q *query, yield func(*store.LogRows) bool) *emitter {
	return &emitter{q: q, yield: yield, cur: &batch{cols: map[string]int{}}, full: &batch{cols: map[string]int{}}}
}

// begin starts the rows of a stream.
func (e *emitter) begin(st *foundStream, last bool) {
	e.next()
	e.last = last
	e.cur.rows.Stream, e.cur.rows.StreamID = st.labels, st.id
}

// release gives b back when everything taken from it has been yielded.
func (e *emitter) release(b *fetched) { e.cur.blocks = append(e.cur.blocks, b) }

// next yields the full batch and makes the current one full. The new current one is of
// the same stream.
func (e *emitter) next() {
	if len(e.cur.rows.Times) == 0 {
		e.full.blocks = append(e.full.blocks, e.cur.blocks...)
		e.cur.blocks = e.cur.blocks[:0]
		if len(e.full.rows.Times) == 0 {
			e.done(e.full)
		}
		return
	}
	e.flush(e.full)
	r := &e.cur.rows
	r.Frontier = e.frontier
	if e.last {
		r.Frontier = r.Times[len(r.Times)-1]
	}
	e.cur, e.full = e.full, e.cur
	e.cur.rows.Stream, e.cur.rows.StreamID = r.Stream, r.StreamID
}

// flush yields b, if it has rows, and empties it.
func (e *emitter) flush(b *batch) {
	r := &b.rows
	if len(r.Times) > 0 && !e.stopped {
		b.finish()
		e.q.sel.Account.Matched(int64(len(r.Times)))
		if e.err = e.q.alive(); e.err != nil || !e.yield(r) {
			e.stopped = true
		}
	}
	e.done(b)
	b.rows = store.LogRows{Times: r.Times[:0], Lines: r.Lines[:0], Meta: r.Meta[:0], Found: r.Found[:0], Numbers: r.Numbers[:0], Sizes: r.Sizes[:0]}
	clear(b.cols)
}

func (e *emitter) done(b *batch) {
	for _, x := range b.blocks {
		e.fetch.finish(x)
	}
	b.blocks = b.blocks[:0]
}

// end yields what is left of a slice; frontier is the one behind it.
func (e *emitter) end(frontier int64) {
	e.next()
	e.full.rows.Frontier = frontier
	e.flush(e.full)
}

// rows adds the rows from..to of c, in the direction of the query.
func (e *emitter) rows(c *cursor, from, to int) {
	for from < to && !e.stopped {
		room := maxBatch - len(e.cur.rows.Times)
		if room == 0 {
			e.next()
			continue
		}
		lo, hi := from, min(to, from+room)
		if e.q.backward {
			lo, hi = max(from, to-room), to
		}
		if c.block != nil {
			e.cur.addBlock(c.block, lo, hi, e.q)
		} else {
			e.cur.addHead(c.rows[lo:hi], e.q)
		}
		if e.q.backward {
			to = lo
		} else {
			from = hi
		}
	}
}

// tallies yields ts, which are of the current stream.
func (e *emitter) tallies(ts []model.LineTally) {
	if len(ts) == 0 || e.stopped {
		return
	}
	n := int64(0)
	for i := range ts {
		n += ts[i].N
	}
	e.q.sel.Account.Matched(n)
	r := &e.cur.rows
	if e.err = e.q.alive(); e.err != nil || !e.yield(&store.LogRows{Stream: r.Stream, StreamID: r.StreamID, Tallies: ts, Frontier: e.frontier}) {
		e.stopped = true
	}
}

// order calls f with lo..hi in the direction of q.
func (q *query) order(lo, hi int, f func(i int)) {
	if q.backward {
		for i := hi - 1; i >= lo; i-- {
			f(i)
		}
		return
	}
	for i := lo; i < hi; i++ {
		f(i)
	}
}

// addBlock adds rows lo..hi of x.
func (b *batch) addBlock(x *fetched, lo, hi int, q *query) {
	had := len(b.rows.Times)
	b.rows.Times = appendRun(b.rows.Times, x.times[lo:hi], q.backward)
	if q.wants.yieldsLines() && x.lines.ends != nil {
		b.rows.Lines = padTo(b.rows.Lines, had)
		q.order(lo, hi, func(i int) { b.rows.Lines = append(b.rows.Lines, x.lines.line(i)) })
	}
	if q.wants.sizes {
		b.rows.Sizes = appendRun(b.rows.Sizes, x.sizes[lo:hi], q.backward)
	}
	if x.found != nil {
		b.rows.Found = appendRun(b.rows.Found, x.found[lo:hi], q.backward)
	}
	if x.numbers != nil {
		b.rows.Numbers = appendRun(b.rows.Numbers, x.numbers[lo:hi], q.backward)
	}
	b.padFound(q)
	if q.wants.noMeta {
		return
	}
	for k := range x.meta.cols {
		c := &x.meta.cols[k]
		if !q.wants.output(c.name) {
			continue
		}
		values := b.column(c.name, had)
		q.order(lo, hi, func(i int) { *values = append(*values, c.value(i)) })
	}
	if rest := x.meta.rest; rest != nil {
		at := had
		q.order(lo, hi, func(i int) { b.addMeta(rest.value(i), at, q); at++ })
	}
}

// yieldsLines reports whether batches hold lines.
func (w *wants) yieldsLines() bool { return !w.noLine || w.judge.parses() }

// padFound fills up the columns of what the parser finds for rows of which it is not known.
func (b *batch) padFound(q *query) {
	if q.wants.judge.parses() {
		b.rows.Found = padTo(b.rows.Found, len(b.rows.Times))
		if q.sel.Number != nil {
			b.rows.Numbers = padTo(b.rows.Numbers, len(b.rows.Times))
		}
	}
}

// appendRun appends src, reversed if the query goes backward.
func appendRun[T any](dst, src []T, backward bool) []T {
	had := len(dst)
	dst = append(dst, src...)
	if backward {
		slices.Reverse(dst[had:])
	}
	return dst
}

// padTo appends zero values up to n of them.
func padTo[T any](s []T, n int) []T {
	had := len(s)
	if had >= n {
		return s
	}
	s = slices.Grow(s, n-had)[:n]
	clear(s[had:])
	return s
}

// addHead adds rows, which are in order of time.
func (b *batch) addHead(rows []row, q *query) {
	q.order(0, len(rows), func(i int) {
		r := &rows[i]
		if q.wants.yieldsLines() {
			b.rows.Lines = append(padTo(b.rows.Lines, len(b.rows.Times)), r.line)
		}
		if q.wants.sizes {
			b.rows.Sizes = append(b.rows.Sizes, int32(len(r.line)))
		}
		if !q.wants.noMeta {
			r.meta.Each(func(name, value string) { b.addField(name, value, len(b.rows.Times), q) })
		}
		b.rows.Times = append(b.rows.Times, r.time)
	})
	b.padFound(q)
}

// addMeta sets the encoded fields of row i.
func (b *batch) addMeta(meta string, i int, q *query) {
	for meta != "" {
		var name, value string
		name, value, meta = nextMeta(meta)
		b.addField(name, value, i, q)
	}
}

// addField sets a field of row i.
func (b *batch) addField(name, value string, i int, q *query) {
	if q.wants.output(name) {
		values := b.column(name, i)
		*values = append(*values, value)
	}
}

// column returns the values of field name, filled up to row n.
func (b *batch) column(name string, n int) *[]string {
	i, ok := b.cols[name]
	if !ok {
		i = len(b.rows.Meta)
		b.cols[name] = i
		if cap(b.rows.Meta) > i {
			b.rows.Meta = b.rows.Meta[:i+1]
			b.rows.Meta[i].Name, b.rows.Meta[i].Values = name, b.rows.Meta[i].Values[:0]
		} else {
			b.rows.Meta = append(b.rows.Meta, store.MetaColumn{Name: name})
		}
	}
	c := &b.rows.Meta[i]
	for len(c.Values) < n {
		c.Values = append(c.Values, "")
	}
	return &c.Values
}

// finish brings the columns in the form of the contract.
func (b *batch) finish() {
	n := len(b.rows.Times)
	if len(b.rows.Lines) > 0 {
		b.rows.Lines = padTo(b.rows.Lines, n)
	} else {
		b.rows.Lines = nil
	}
	m, used := b.rows.Meta, 0
	for i := range m {
		c := &m[i]
		if !slices.ContainsFunc(c.Values, func(v string) bool { return v != "" }) {
			continue
		}
		for len(c.Values) < n {
			c.Values = append(c.Values, "")
		}
		m[i], m[used] = m[used], m[i] // their memory is reused, so none may be there twice
		used++
	}
	b.rows.Meta = m[:used]
	slices.SortFunc(b.rows.Meta, func(x, y store.MetaColumn) int { return strings.Compare(x.Name, y.Name) })
}
