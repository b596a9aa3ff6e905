package logstore

import (
	"errors"
	"slices"

	"github.com/pharos-o11y/pharos/internal/store"
)

// cursor walks over the rows of one source in the direction of the query.
type cursor struct {
	seq   int
	block *fetched
	rows  []row // of the head
	lo    int   // rows lo..hi of block or rows are left
	hi    int
}

// rowMerge puts the sources of one stream in order and drops duplicates.
//
// Rows of one source are in order and differ from each other. Sources overlap little, so
// the merge moves whole runs: from the cursor that is ahead it takes everything before
// the next row of any other. Only where two sources have rows of one time are contents
// compared.
type rowMerge struct {
	q       *query
	w       *wants
	pending []source // in order of their begin
	active  []*cursor
	limit   int // rows still wanted
}

// before reports whether time a comes before b in the direction.
func (m *rowMerge) before(a, b int64) bool {
	if m.q.backward {
		return a > b
	}
	return a < b
}

// begin returns the first time of s in the direction.
func (m *rowMerge) begin(s *source) int64 {
	if m.q.backward {
		return s.max
	}
	return s.min
}

// at returns the time of the i-th row that is left.
func (m *rowMerge) at(c *cursor, i int) int64 {
	if m.q.backward {
		i = c.hi - 1 - i
	} else {
		i += c.lo
	}
	if c.block != nil {
		return c.block.times[i]
	}
	return c.rows[i].time
}

// run emits every row until the limit is reached or the caller has enough.
func (m *rowMerge) run() error {
	defer m.close()
	for m.limit > 0 && !m.q.out.stopped {
		first, err := m.activate()
		if err != nil || first == nil {
			return err
		}
		at := m.at(first, 0)
		tied := 0
		var next *int64 // earliest time behind at
		for _, c := range m.active {
			t := m.at(c, 0)
			if t == at {
				tied++
			} else if next == nil || m.before(t, *next) {
				next = &t
			}
		}
		if len(m.pending) > 0 {
			if t := m.begin(&m.pending[0]); next == nil || m.before(t, *next) {
				next = &t
			}
		}
		if tied > 1 {
			err = m.ties(at)
		} else {
			m.bulk(first, next)
		}
		if err != nil {
			return err
		}
		m.drop()
	}
	return nil
}

// activate opens the sources that may hold the next row and returns the cursor that is
// ahead, nil if nothing is left.
func (m *rowMerge) activate() (*cursor, error) {
	for {
		var first *cursor
		for _, c := range m.active {
			if first == nil || m.before(m.at(c, 0), m.at(first, 0)) {
				first = c
			}
		}
		if len(m.pending) == 0 || first != nil && m.before(m.at(first, 0), m.begin(&m.pending[0])) {
			return first, nil
		}
		s := m.pending[0]
		m.pending = m.pending[1:]
		c := &cursor{seq: int(s.seq), block: s.block}
		if s.block != nil {
			if err := m.q.fetch.need(s.block); err != nil {
				m.q.fetch.finish(s.block)
				return nil, err
			}
			u := &s.block.uses[s.use]
			c.lo, c.hi = u.lo, u.hi
			m.q.out.tallies(u.tallies)
		} else {
			var err error
			if c.rows, err = m.q.headRows(s.head, m.w); err != nil {
				return nil, err
			}
			c.hi = len(c.rows)
		}
		m.active = append(m.active, c)
		m.drop() // it may be empty
	}
}

// drop removes the cursors that are at their end.
func (m *rowMerge) drop() {
	m.active = slices.DeleteFunc(m.active, func(c *cursor) bool {
		if c.lo < c.hi {
			return false
		}
		if c.block != nil {
			m.q.out.release(c.block)
		}
		return true
	})
}

// close gives back what is open or was never opened.
func (m *rowMerge) close() {
	for _, c := range m.active {
		c.lo = c.hi
	}
	m.drop()
	for _, s := range m.pending {
		if s.block != nil {
			m.q.out.release(s.block)
		}
	}
	m.pending = nil
}

// bulk emits the rows of c before the time next, all if that is nil.
func (m *rowMerge) bulk(c *cursor, next *int64) {
	n := c.hi - c.lo
	if next != nil && !m.before(m.at(c, n-1), *next) {
		// The first row is before next, so n ends up at least 1.
		lo, hi := 1, n
		for lo < hi {
			if mid := (lo + hi) / 2; m.before(m.at(c, mid), *next) {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		n = lo
	}
	n = min(n, m.limit)
	m.take(c, n)
}

// take emits the next n rows of c.
func (m *rowMerge) take(c *cursor, n int) {
	m.limit -= n
	m.q.matched += n
	if m.q.backward {
		m.q.out.rows(c, c.hi-n, c.hi)
		c.hi -= n
		return
	}
	m.q.out.rows(c, c.lo, c.lo+n)
	c.lo += n
}

// tiedRow is a row whose time occurs in several sources.
type tiedRow struct {
	c          *cursor
	i          int
	line, meta string
}

// ties emits the rows of time at of all cursors, equal ones once: forward in the order in
// which they were stored, backward reversed.
func (m *rowMerge) ties(at int64) error {
	var rows []tiedRow
	cs := slices.Clone(m.active)
	slices.SortStableFunc(cs, func(a, b *cursor) int { return a.seq - b.seq })
	for _, c := range cs {
		n := 0
		for n < c.hi-c.lo && m.at(c, n) == at {
			n++
		}
		from := c.lo
		if m.q.backward {
			c.hi -= n
			from = c.hi
		} else {
			c.lo += n
		}
		for i := from; i < from+n; i++ {
			r := tiedRow{c: c, i: i}
			if c.block == nil {
				r.line, r.meta = c.rows[i].line, encodeMeta(c.rows[i].meta)
			} else if err := m.content(&r); err != nil {
				return err
			}
			rows = append(rows, r)
		}
	}
	seen := make(map[content]bool, len(rows))
	rows = slices.DeleteFunc(rows, func(r tiedRow) bool {
		k := content{r.line, r.meta}
		dup := seen[k]
		seen[k] = true
		return dup
	})
	if m.q.backward {
		slices.Reverse(rows)
	}
	for _, r := range rows[:min(len(rows), m.limit)] {
		m.q.out.rows(r.c, r.i, r.i+1)
		m.limit--
		m.q.matched++
	}
	return nil
}

// content reads line and metadata of r. If they are unreadable the row differs from all.
func (m *rowMerge) content(r *tiedRow) error {
	var err error
	r.line, r.meta, err = m.q.fetch.content(r.c.block, r.i)
	if errors.Is(err, store.ErrCorrupt) {
		m.q.s.damaged(r.c.block, err, m.q.sel.Account)
		r.meta = string([]byte{0xff, byte(r.i), byte(r.i >> 8), byte(r.i >> 16), byte(r.c.seq), byte(r.c.seq >> 8)})
		return nil
	}
	return err
}
