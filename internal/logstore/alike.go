package logstore

import (
	"sync"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Rows that a query counts by metadata, like a level or a route, are counted by the codes of
// its columns. What a code stands for is looked up once for all rows of a block that have it.

// metaTable is the metadata of the tallies of a query.
type metaTable struct {
	mu    sync.Mutex
	byKey map[string]*model.LineMeta // guarded by mu; by the encoded metadata
}

// maxCells is the number of different codes that are not counted to see how many occur.
const maxCells = 256

// maxMetas bounds what a metaTable keeps. Rows of further blocks are not counted.
const maxMetas = 1 << 16

// alikeRows says which rows of a block have the same metadata, as far as it is asked for.
type alikeRows struct {
	table *metaTable
	cols  []metaColumn
	of    []int64 // of each row what it is alike in, below n
	n     int
	metas []*model.LineMeta // of each of n, as far as it is known
}

// alike returns what rows have the same of m, whose columns are decoded. It is nil if few
// rows have anything in common.
func (w *wants) alike(m *metaColumns) *alikeRows {
	if m.rest != nil || len(m.cols) == 0 || w.metas.full() {
		return nil
	}
	a := &alikeRows{table: w.metas, cols: m.cols, of: m.cols[0].codes, n: len(m.cols[0].dict)}
	most := max(maxCells, len(a.of)/4)
	for i := range a.cols {
		if len(a.cols[i].dict) > most {
			return nil
		}
		if i > 0 {
			a.join(&a.cols[i])
		}
		if a.n > most {
			return nil
		}
	}
	a.metas = make([]*model.LineMeta, a.n)
	return a
}

// join tells rows apart by c as well.
func (a *alikeRows) join(c *metaColumn) {
	of := make([]int64, len(a.of))
	for i, k := range a.of {
		of[i] = k*int64(len(c.dict)) + c.codes[i]
	}
	a.of, a.n = of, a.n*len(c.dict)
	if a.n <= maxCells {
		return
	}
	seen := map[int64]int64{}
	for i, both := range of {
		id, ok := seen[both]
		if !ok {
			id = int64(len(seen))
			seen[both] = id
		}
		of[i] = id
	}
	a.n = len(seen)
}

// meta returns the metadata number i, which a row has; nil if that is none.
func (a *alikeRows) meta(i int32, row int) *model.LineMeta {
	if a.metas[i] == nil {
		var ls model.Labels
		for k := range a.cols {
			if v := a.cols[k].value(row); v != "" {
				ls = append(ls, model.Label{Name: a.cols[k].name, Value: v})
			}
		}
		a.metas[i] = a.table.intern(ls)
	}
	if len(a.metas[i].Labels) == 0 {
		return nil
	}
	return a.metas[i]
}

func (t *metaTable) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey) > maxMetas
}

// intern returns the metadata ls, whose strings it does not keep.
func (t *metaTable) intern(ls model.Labels) *model.LineMeta {
	key := text(appendMeta(nil, ls))
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.byKey[key]
	if m == nil {
		m = &model.LineMeta{Labels: metaLabels(nil, key), ID: len(t.byKey)}
		t.byKey[key] = m
	}
	return m
}

// same counts the rows from..to that are kept, by what is alike in their metadata.
func (t *tallier) same(from, to int) {
	kept := t.keep.rows(from, to)
	for i, id := range t.alike.of[from:to] {
		if kept != nil && !kept[i] {
			continue
		}
		c := &t.cells[id]
		if c.n == 0 {
			c.row = from + i
			t.used = append(t.used, int32(id))
		}
		c.n++
		if t.sizes != nil {
			c.size += int64(t.sizes[from+i])
		}
	}
}
