package traceql

import "github.com/pharos-o11y/pharos/internal/model"

const (
	upRoot    = -1 // the span has no parent
	upMissing = -2 // its parent is not in the trace
)

// treeColumns are the parent links and nested-set numbers of a batch, built trace by
// trace when first needed. Spans that no walk from a root reaches have left 0: they are
// disconnected and stand in no relation.
type treeColumns struct {
	built       []bool  // by trace
	up          []int32 // row of the parent, or upRoot, upMissing
	left, right []int32
	children    []int32 // direct children, connected or not
	order       []int32 // of a trace from its first row on: connected rows, parents first
	orderEnd    []int32 // by trace

	first, next []int32 // child lists while building
	byID        map[model.SpanID]int32
}

func (t *treeColumns) reset(rows, traces int) {
	t.built = resize(t.built, traces)
	clear(t.built)
	t.orderEnd = resize(t.orderEnd, traces)
	for _, col := range [...]*[]int32{&t.up, &t.left, &t.right, &t.children, &t.order, &t.first, &t.next} {
		*col = resize(*col, rows)
	}
}

// parentLeft returns the left number of the parent: -1 for roots, 0 for disconnected spans.
func (t *treeColumns) parentLeft(row int32) int32 {
	switch {
	case t.left[row] == 0:
		return 0
	case t.up[row] == upRoot:
		return -1
	}
	return t.left[t.up[row]]
}

// buildTree fills the tree columns of trace t.
func (f *frame) buildTree(t int) {
	tr := &f.tree
	if tr.built[t] {
		return
	}
	tr.built[t] = true
	rows := f.span(t)
	if tr.byID == nil {
		tr.byID = map[model.SpanID]int32{}
	}
	clear(tr.byID)
	for _, r := range rows {
		// Client and server halves may share an id; children belong to the server's.
		if old, ok := tr.byID[f.rows.SpanID[r]]; !ok || f.rows.Kind[old] != 2 {
			tr.byID[f.rows.SpanID[r]] = r
		}
		tr.left[r], tr.right[r], tr.children[r], tr.first[r] = 0, 0, 0, -1
	}
	for i := len(rows) - 1; i >= 0; i-- {
		r := rows[i]
		if f.rows.Parent[r].IsZero() {
			tr.up[r] = upRoot
			continue
		}
		p, ok := tr.byID[f.rows.Parent[r]]
		if !ok || p == r {
			tr.up[r] = upMissing
			continue
		}
		tr.up[r] = p
		tr.children[p]++
		tr.next[r] = tr.first[p]
		tr.first[p] = r
	}
	tr.orderEnd[t] = f.bounds[t]
	number := int32(0)
	for _, r := range rows {
		if tr.up[r] == upRoot {
			number = tr.walk(r, t, number)
		}
	}
}

// walk numbers the tree below root depth first, without recursion, and returns the last
// number given.
func (t *treeColumns) walk(root int32, trace int, number int32) int32 {
	enter := func(r int32) {
		number++
		t.left[r] = number
		t.order[t.orderEnd[trace]] = r
		t.orderEnd[trace]++
	}
	enter(root)
	for r := root; ; {
		if c := t.first[r]; c >= 0 {
			t.first[r] = t.next[c] // consumed
			enter(c)
			r = c
			continue
		}
		number++
		t.right[r] = number
		if r == root {
			return number
		}
		r = t.up[r]
	}
}

// relate evaluates the structural operators: which of b stand in relation op to some of
// a. Inputs and result are ascending rows of trace t.
func (f *frame) relate(op operator, t int, a, b []int32) []int32 {
	if len(b) == 0 {
		return nil
	}
	f.buildTree(t)
	inA, inB := f.borrow(), f.borrow()
	defer f.giveBack(inA)
	defer f.giveBack(inB)
	markA, markB := f.marks(t, a, inA), f.marks(t, b, inB)
	switch op {
	case opChild, opDescendant, opParent, opAncestor, opSibling:
		return f.keep(op, t, b, markA, true)
	case opNotChild, opNotDescendant, opNotParent, opNotAncestor, opNotSibling:
		return f.keep(op-opNotChild+opChild, t, b, markA, false)
	}
	plain := op - opUnionChild + opChild
	right := f.keep(plain, t, b, markA, true)
	inverse := plain
	switch plain {
	case opChild:
		inverse = opParent
	case opDescendant:
		inverse = opAncestor
	case opParent:
		inverse = opChild
	case opAncestor:
		inverse = opDescendant
	}
	return f.union(f.keep(inverse, t, a, markB, true), right)
}

// marks sets m at the given rows of trace t and clears it at the others.
func (f *frame) marks(t int, rows []int32, m []bool) []bool {
	clear(m[f.bounds[t]:f.bounds[t+1]])
	for _, r := range rows {
		m[r] = true
	}
	return m
}

// keep returns the rows that have (or, with want false, have not) a relative in marked:
// for opChild a parent in it, and so on.
func (f *frame) keep(op operator, t int, rows []int32, marked []bool, want bool) []int32 {
	has := f.borrow()
	defer f.giveBack(has)
	clear(has[f.bounds[t]:f.bounds[t+1]])
	tr := &f.tree
	order := tr.order[f.bounds[t]:tr.orderEnd[t]]
	switch op {
	case opChild, opDescendant:
		for _, r := range order {
			if p := tr.up[r]; p >= 0 {
				has[r] = marked[p] || op == opDescendant && has[p]
			}
		}
	case opParent, opAncestor:
		for i := len(order) - 1; i >= 0; i-- {
			r := order[i]
			if p := tr.up[r]; p >= 0 && (marked[r] || op == opAncestor && has[r]) {
				has[p] = true
			}
		}
	case opSibling:
		f.siblings(order, marked, has)
	}
	out := f.alloc(len(rows))
	for _, r := range rows {
		if has[r] == want {
			out = append(out, r)
		}
	}
	return out
}

// siblings sets has where another child of the same parent is marked. Roots are siblings.
func (f *frame) siblings(order []int32, marked, has []bool) {
	tr := &f.tree
	roots := int32(0)
	counts := tr.first // free after building
	for _, r := range order {
		counts[r] = 0
	}
	count := func(r int32) *int32 {
		if p := tr.up[r]; p >= 0 {
			return &counts[p]
		}
		return &roots
	}
	for _, r := range order {
		if marked[r] {
			*count(r)++
		}
	}
	for _, r := range order {
		n := *count(r)
		if marked[r] {
			n--
		}
		has[r] = n > 0
	}
}

// union merges two ascending lists of rows.
func (f *frame) union(a, b []int32) []int32 {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	out := f.alloc(len(a) + len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			out = append(out, a[0])
			a = a[1:]
		case a[0] > b[0]:
			out = append(out, b[0])
			b = b[1:]
		default:
			out = append(out, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
