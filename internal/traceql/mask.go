package traceql

import (
	"cmp"
	bin "encoding/binary"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/pharos-o11y/pharos/internal/store"
)

// mask evaluates a boolean expression on all rows of a batch.
type mask interface {
	// refine clears m at the rows where the expression is not true. It need not look at
	// rows that are clear already.
	refine(f *frame, m []bool)
	// forget drops what was remembered of the last batch.
	forget()
}

type (
	allMask  struct{} // { } and true
	noneMask struct{}
	andMask  struct{ l, r mask }
	orMask   struct{ l, r mask }
	notMask  struct{ x mask }
	rootMask struct{} // nestedSetParent < 0
	// rowMask evaluates row by row what has no faster way.
	rowMask struct{ e evaluator }
	// childMask does so for each event and link of a row.
	childMask struct {
		e     evaluator
		needs children
	}
	// columnMask compares an intrinsic that is a column.
	columnMask struct {
		in intrinsic
		m  *matcher
	}
	// slotMask compares an attribute.
	slotMask struct {
		slot int
		m    *matcher
	}
	// existsMask is x != nil, or x = nil.
	existsMask struct {
		slot   int
		absent bool
	}
)

func (allMask) forget()      {}
func (noneMask) forget()     {}
func (rootMask) forget()     {}
func (rowMask) forget()      {}
func (childMask) forget()    {}
func (existsMask) forget()   {}
func (k andMask) forget()    { k.l.forget(); k.r.forget() }
func (k orMask) forget()     { k.l.forget(); k.r.forget() }
func (k notMask) forget()    { k.x.forget() }
func (k columnMask) forget() { k.m.forget() }
func (k slotMask) forget()   { k.m.forget() }

func (allMask) refine(*frame, []bool)      {}
func (noneMask) refine(_ *frame, m []bool) { clear(m) }

func (k andMask) refine(f *frame, m []bool) {
	k.l.refine(f, m)
	k.r.refine(f, m)
}

func (k orMask) refine(f *frame, m []bool) {
	left := f.borrow()
	defer f.giveBack(left)
	copy(left, m)
	k.l.refine(f, left)
	for i := range m {
		m[i] = m[i] && !left[i]
	}
	k.r.refine(f, m)
	for i := range m {
		m[i] = m[i] || left[i]
	}
}

func (k notMask) refine(f *frame, m []bool) {
	x := f.borrow()
	defer f.giveBack(x)
	copy(x, m)
	k.x.refine(f, x)
	for i := range m {
		m[i] = m[i] && !x[i]
	}
}

func (rootMask) refine(f *frame, m []bool) {
	parents := f.rows.Parent[:len(m)]
	for i := range m {
		m[i] = m[i] && bin.NativeEndian.Uint64(parents[i][:]) == 0
	}
}

func (k rowMask) refine(f *frame, m []bool) {
	for i, ok := range m {
		if ok {
			m[i] = k.e.value(f, cursor{int32(i), -1, -1}).isTrue()
		}
	}
}

func (k childMask) refine(f *frame, m []bool) {
	for i, ok := range m {
		if ok {
			m[i] = k.exists(f, int32(i))
		}
	}
}

// exists reports whether the expression is true for one event and one link of the row.
// A row without any is evaluated once, without.
func (k childMask) exists(f *frame, row int32) bool {
	c := cursor{row, -1, -1}
	var evLo, evHi, lnLo, lnHi int32
	if k.needs.events {
		evLo, evHi = f.events(row)
	}
	if k.needs.links {
		lnLo, lnHi = f.links(row)
	}
	for ev := evLo; ev < max(evHi, evLo+1); ev++ {
		if c.event = ev; ev == evHi {
			c.event = -1
		}
		for ln := lnLo; ln < max(lnHi, lnLo+1); ln++ {
			if c.link = ln; ln == lnHi {
				c.link = -1
			}
			if k.e.value(f, c).isTrue() {
				return true
			}
		}
	}
	return false
}

func (k columnMask) refine(f *frame, m []bool) {
	r := f.rows
	switch k.in {
	case inName:
		k.m.strings(m, nil, r.Name)
	case inStatusMessage:
		k.m.strings(m, nil, r.StatusMessage)
	case inScopeName:
		k.m.strings(m, nil, r.ScopeName)
	case inScopeVersion:
		k.m.strings(m, nil, r.ScopeVersion)
	case inDuration:
		k.m.ints(m, nil, r.Duration)
	case inStatus:
		k.m.bytes(m, r.Status)
	case inKind:
		k.m.bytes(m, r.Kind)
	}
}

func (k slotMask) refine(f *frame, m []bool) {
	s := f.slots[k.slot]
	cols := f.columns[k.slot]
	if s.service() && len(cols.first) == 0 {
		k.m.strings(m, nil, f.rows.Service)
		return
	}
	if len(cols.second) == 0 && !s.service() && len(cols.first) == 1 {
		k.m.column(f, m, cols.first[0])
		return
	}
	// Rows with a value of the first scope are decided by it, the others by the second.
	hit, part := f.borrow(), f.borrow()
	defer f.giveBack(hit)
	defer f.giveBack(part)
	clear(hit)
	try := func(col *store.AttrColumn) {
		copy(part, m)
		k.m.column(f, part, col)
		for i := range hit {
			hit[i] = hit[i] || part[i]
		}
	}
	for _, col := range cols.first {
		try(col)
	}
	if len(cols.second) == 0 && !s.service() {
		copy(m, hit)
		return
	}
	for _, col := range cols.first {
		for i, has := range col.Has {
			m[i] = m[i] && (!has || col.Type == store.ValueArray && f.array(col.Strs[i]).typ == TypeNil)
		}
	}
	for _, col := range cols.second {
		try(col)
	}
	if s.service() {
		k.m.strings(m, nil, f.rows.Service)
		for i := range m {
			m[i] = m[i] || hit[i]
		}
		return
	}
	copy(m, hit)
}

func (k existsMask) refine(f *frame, m []bool) {
	cols := f.columns[k.slot]
	if f.slots[k.slot].service() {
		if k.absent {
			clear(m)
		}
		return
	}
	has := f.borrow()
	defer f.giveBack(has)
	clear(has)
	for _, set := range [...][]*store.AttrColumn{cols.first, cols.second} {
		for _, col := range set {
			for i, h := range col.Has {
				has[i] = has[i] || h && (col.Type != store.ValueArray || f.array(col.Strs[i]).typ != TypeNil)
			}
		}
	}
	for i := range m {
		m[i] = m[i] && has[i] != k.absent
	}
}

// matcher is "op literal", to be applied to columns.
type matcher struct {
	op  operator
	lit Value
	re  *labels.FastRegexMatcher // of the regex operators

	// What the regular expression said of strings of this batch.
	memo map[string]bool
}

func (k *matcher) forget() { clear(k.memo) }

// value decides one value, arrays included.
func (k *matcher) value(v Value) bool {
	if k.re != nil {
		return (&regexEval{re: k.re, negate: k.op == opNotRegex}).matches(v)
	}
	return compareValues(k.op, v, k.lit)
}

// column clears m where col has no value or one that does not match.
func (k *matcher) column(f *frame, m []bool, col *store.AttrColumn) {
	switch col.Type {
	case store.ValueString:
		k.strings(m, col.Has, col.Strs)
	case store.ValueInt:
		k.ints(m, col.Has, col.Ints)
	case store.ValueFloat:
		if k.lit.typ.numeric() && k.re == nil {
			compareColumn(k.op, m, col.Has, col.Floats, k.lit.Float())
			return
		}
		clear(m)
	default:
		for i := range m {
			m[i] = m[i] && col.Has[i] && k.value(f.columnValue(col, int32(i)))
		}
	}
}

func (k *matcher) ints(m, has []bool, vals []int64) {
	switch {
	case k.re != nil, !k.lit.typ.numeric():
		clear(m)
	case k.lit.typ != TypeFloat:
		compareColumn(k.op, m, has, vals, k.lit.n)
	default:
		lit := k.lit.Float()
		for i := range m {
			m[i] = m[i] && (has == nil || has[i]) && compareFloats(k.op, float64(vals[i]), lit)
		}
	}
}

// bytes compares a column of status or kind.
func (k *matcher) bytes(m []bool, vals []uint8) {
	compareColumn(k.op, m, nil, vals, uint8(k.lit.n))
}

func (k *matcher) strings(m, has []bool, vals []string) {
	switch {
	case k.re != nil:
		k.regex(m, has, vals)
	case k.lit.typ != TypeString:
		clear(m)
	default:
		compareColumn(k.op, m, has, vals, k.lit.s)
	}
}

// regex asks the expression once for each distinct string of the batch.
func (k *matcher) regex(m, has []bool, vals []string) {
	if k.memo == nil {
		k.memo = map[string]bool{}
	}
	want := k.op == opRegex
	last, lastOK := "", k.re.MatchString("")
	for i := range m {
		if !m[i] {
			continue
		}
		if has != nil && !has[i] {
			m[i] = false
			continue
		}
		s := vals[i]
		if s != last {
			ok, known := k.memo[s]
			if !known {
				ok = k.re.MatchString(s)
				k.memo[s] = ok
			}
			last, lastOK = s, ok
		}
		m[i] = lastOK == want
	}
}

// compareColumn clears m where has is false or vals do not stand in relation op to lit.
func compareColumn[T cmp.Ordered](op operator, m, has []bool, vals []T, lit T) {
	vals = vals[:len(m)]
	switch op {
	case opEqual:
		for i := range m {
			m[i] = m[i] && vals[i] == lit
		}
	case opNotEqual:
		for i := range m {
			m[i] = m[i] && vals[i] != lit
		}
	case opLess:
		for i := range m {
			m[i] = m[i] && vals[i] < lit
		}
	case opLessEqual:
		for i := range m {
			m[i] = m[i] && vals[i] <= lit
		}
	case opGreater:
		for i := range m {
			m[i] = m[i] && vals[i] > lit
		}
	case opGreaterEqual:
		for i := range m {
			m[i] = m[i] && vals[i] >= lit
		}
	}
	if has == nil {
		return
	}
	has = has[:len(m)]
	for i := range m {
		m[i] = m[i] && has[i]
	}
}
