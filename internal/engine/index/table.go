package index

import (
	"slices"
	"sync"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Table is an immutable index of label sets, sorted by [model.Labels.Compare]. It is
// safe for concurrent use.
//
// A pair is a name and a value; pairs are numbered in the order of their names, then
// values, so that comparing label sets is comparing lists of pair numbers.
type Table struct {
	names  []string // sorted
	first  []uint32 // first[i]: number of the first pair of names[i]; one more at the end
	values []string // of each pair
	nameOf []uint32 // of each pair

	pairs []uint32 // of all series
	off   []uint32 // series i has pairs[off[i]:off[i+1]]

	once    sync.Once
	postOff []uint32 // guarded by once; pair p is in the series post[postOff[p]:postOff[p+1]]
	post    []uint32 // guarded by once
}

// Len returns the number of label sets. Refs are 0 to Len-1.
func (t *Table) Len() int { return len(t.off) - 1 }

// Pairs returns the number of distinct pairs of name and value.
func (t *Table) Pairs() int { return len(t.values) }

// Labels returns the labels of ref, which must be below Len. They stay valid.
func (t *Table) Labels(ref uint32) model.Labels { return t.AppendLabels(nil, ref) }

// AppendLabels appends the labels of ref to dst. The strings stay valid.
func (t *Table) AppendLabels(dst model.Labels, ref uint32) model.Labels {
	pairs := t.series(ref)
	dst = slices.Grow(dst, len(pairs))
	for _, p := range pairs {
		dst = append(dst, model.Label{Name: t.names[t.nameOf[p]], Value: t.values[p]})
	}
	return dst
}

func (t *Table) series(ref uint32) []uint32 { return t.pairs[t.off[ref]:t.off[ref+1]] }

// Find returns the ref of ls.
func (t *Table) Find(ls model.Labels) (uint32, bool) {
	want := make([]uint32, len(ls))
	for i, l := range ls {
		n, ok := search(t.names, l.Name)
		if !ok {
			return 0, false
		}
		v, ok := search(t.values[t.first[n]:t.first[n+1]], l.Value)
		if !ok {
			return 0, false
		}
		want[i] = t.first[n] + uint32(v)
	}
	lo, hi := 0, t.Len()
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if slices.Compare(t.series(uint32(mid)), want) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return uint32(lo), lo < t.Len() && slices.Equal(t.series(uint32(lo)), want)
}

// Bytes estimates the memory that t holds.
func (t *Table) Bytes() int64 {
	n := int64(len(t.pairs))*8 + int64(len(t.off))*4 + int64(len(t.values))*28
	for _, v := range t.values {
		n += int64(len(v))
	}
	return n
}

// postings builds the inverted lists by counting.
func (t *Table) postings() {
	t.once.Do(func() {
		off := make([]uint32, len(t.values)+2)
		for _, p := range t.pairs {
			off[p+2]++
		}
		for i := 2; i < len(off); i++ {
			off[i] += off[i-1]
		}
		post := make([]uint32, len(t.pairs))
		for s := range t.Len() {
			for _, p := range t.series(uint32(s)) {
				post[off[p+1]] = uint32(s)
				off[p+1]++
			}
		}
		t.postOff, t.post = off[:len(off)-1], post
	})
}

// tableCond is a condition resolved to pair numbers.
type tableCond struct {
	lo, hi uint32 // pairs of the label
	empty  bool
	set    valueSet // relative to lo
}

// Select returns the refs that q selects, in order. The result must not be changed.
func (t *Table) Select(q *Query) []uint32 {
	conds := make([]tableCond, len(q.conds))
	for i := range q.conds {
		c := &q.conds[i]
		conds[i].empty = c.empty
		if n, ok := search(t.names, c.m.Name); ok {
			lo, hi := t.first[n], t.first[n+1]
			conds[i].lo, conds[i].hi = lo, hi
			conds[i].set = c.resolve(t.values[lo:hi])
		} else if !c.empty {
			return nil
		}
	}
	t.postings()
	driver, cost := -1, t.Len()
	for i := range conds {
		if conds[i].empty {
			continue
		}
		if n := t.cost(&conds[i]); n < cost || driver < 0 && n <= cost {
			driver, cost = i, n
		}
	}
	if driver < 0 || cost > t.Len()/2 && len(conds) > 1 {
		return t.scan(conds)
	}
	refs, owned := t.collect(&conds[driver])
	conds = slices.Delete(conds, driver, driver+1)
	if len(conds) == 0 {
		return refs
	}
	out := refs[:0]
	if !owned {
		out = make([]uint32, 0, min(len(refs), 1024))
	}
	for _, ref := range refs {
		if t.matches(ref, conds) {
			out = append(out, ref)
		}
	}
	return out
}

// cost returns the number of series with a value that satisfies c.
func (t *Table) cost(c *tableCond) int {
	s := &c.set
	if s.bits == nil {
		in := int(t.postOff[c.lo+s.hi] - t.postOff[c.lo+s.lo])
		if s.negate {
			return int(t.postOff[c.hi]-t.postOff[c.lo]) - in
		}
		return in
	}
	n := 0
	for p := c.lo; p < c.hi; p++ {
		if s.has(p - c.lo) {
			n += int(t.postOff[p+1] - t.postOff[p])
		}
	}
	return n
}

// collect returns the series with a value that satisfies c, sorted; owned is false when
// the slice belongs to t.
func (t *Table) collect(c *tableCond) (refs []uint32, owned bool) {
	if s := &c.set; s.bits == nil && !s.negate && s.hi-s.lo <= 1 {
		return t.post[t.postOff[c.lo+s.lo]:t.postOff[c.lo+s.hi]], false
	}
	lists := 0
	for p := c.lo; p < c.hi; p++ {
		if c.set.has(p - c.lo) {
			refs = append(refs, t.post[t.postOff[p]:t.postOff[p+1]]...)
			lists++
		}
	}
	if lists > 1 {
		slices.Sort(refs) // a series has one value of a label: no duplicates
	}
	return refs, true
}

// scan checks every series.
func (t *Table) scan(conds []tableCond) []uint32 {
	out := make([]uint32, 0, t.Len())
	for ref := range uint32(t.Len()) {
		if t.matches(ref, conds) {
			out = append(out, ref)
		}
	}
	return out
}

func (t *Table) matches(ref uint32, conds []tableCond) bool {
	pairs := t.series(ref)
next:
	for i := range conds {
		c := &conds[i]
		for _, p := range pairs {
			if p < c.lo {
				continue
			}
			if p >= c.hi {
				break
			}
			if !c.set.has(p - c.lo) {
				return false
			}
			continue next
		}
		if !c.empty {
			return false
		}
	}
	return true
}

// Names returns the sorted label names.
func (t *Table) Names() []string { return t.names }

// NamesOf returns the sorted label names of refs.
func (t *Table) NamesOf(refs []uint32) []string {
	seen := make([]bool, len(t.names))
	for _, ref := range refs {
		for _, p := range t.series(ref) {
			seen[t.nameOf[p]] = true
		}
	}
	var out []string
	for i, ok := range seen {
		if ok {
			out = append(out, t.names[i])
		}
	}
	return out
}

// Values returns the sorted values of a label.
func (t *Table) Values(name string) []string {
	n, ok := search(t.names, name)
	if !ok {
		return nil
	}
	return t.values[t.first[n]:t.first[n+1]]
}

// ValuesOf returns the sorted values of a label among refs.
func (t *Table) ValuesOf(name string, refs []uint32) []string {
	n, ok := search(t.names, name)
	if !ok {
		return nil
	}
	lo, hi := t.first[n], t.first[n+1]
	seen := make([]bool, hi-lo)
	for _, ref := range refs {
		for _, p := range t.series(ref) {
			if p >= lo && p < hi {
				seen[p-lo] = true
			}
		}
	}
	var out []string
	for i, ok := range seen {
		if ok {
			out = append(out, t.values[lo+uint32(i)])
		}
	}
	return out
}
