package logql

import (
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
)

// arith applies a binary operator to two numbers; comparisons give 1 or 0. Division by
// zero is NaN, as in Loki, not ±Inf.
func arith(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		if b == 0 {
			return math.NaN()
		}
		return a / b
	case "%":
		if b == 0 {
			return math.NaN()
		}
		return math.Mod(a, b)
	case "^":
		return math.Pow(a, b)
	}
	if compare(op, a, b) {
		return 1
	}
	return 0
}

// compare applies a comparison operator.
func compare(op string, a, b float64) bool {
	switch op {
	case "==":
		return a == b
	case "!=":
		return a != b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "<":
		return a < b
	case "<=":
		return a <= b
	}
	return false
}

// binary evaluates a binary operation.
func (x *exec) binary(e *binaryExpr) (*frame, error) {
	left, err := x.eval(e.left)
	if err != nil {
		return nil, err
	}
	right, err := x.eval(e.right)
	if err != nil {
		return nil, err
	}
	switch {
	case left.scalar && right.scalar:
		return &frame{n: left.n, scalar: true, value: arith(e.op, left.value, right.value)}, nil
	case isSetOp(e.op):
		if left.scalar || right.scalar {
			return nil, queryErrorf("set operator %s needs series on both sides", e.op)
		}
		return setOp(e, left, right), nil
	case right.scalar:
		applyScalar(e, left, right.value, false)
		return left, nil
	case left.scalar:
		applyScalar(e, right, left.value, true)
		return right, nil
	}
	return x.match(e, left, right)
}

// combine applies the operator of e to two values. keep is false if a comparison without
// bool does not hold; then the value that it would keep is that of the vector side.
func (e *binaryExpr) combine(a, b, kept float64) (v float64, keep bool) {
	if !isComparison(e.op) {
		return arith(e.op, a, b), true
	}
	if e.returnBool {
		return arith(e.op, a, b), true
	}
	return kept, compare(e.op, a, b)
}

// applyScalar combines every value of f with a number, which is on the left if flip is
// set.
func applyScalar(e *binaryExpr, f *frame, s float64, flip bool) {
	for _, v := range f.series {
		has := newBitset(f.n)
		for k, x := range v.vals {
			if !v.has.get(k) {
				continue
			}
			a, b := x, s
			if flip {
				a, b = s, x
			}
			if out, keep := e.combine(a, b, x); keep {
				v.vals[k] = out
				has.set(k)
			}
		}
		v.has = has
	}
}

// signature appends what a series is matched by.
func (e *binaryExpr) signature(dst []byte, ls model.Labels) []byte {
	for i := range ls {
		if m := e.matching; m == nil || slices.Contains(m.labels, ls[i].Name) == m.on {
			dst = appendKey(dst, ls[i:i+1])
		}
	}
	return dst
}

// bySignature groups series by what they are matched by.
func (e *binaryExpr) bySignature(series []*values) map[string][]*values {
	out := map[string][]*values{}
	var key []byte
	for _, v := range series {
		key = e.signature(key[:0], v.labels)
		out[string(key)] = append(out[string(key)], v)
	}
	return out
}

// setOp evaluates and, or, unless.
func setOp(e *binaryExpr, left, right *frame) *frame {
	present := func(series []*values) map[string]bitset {
		out := map[string]bitset{}
		for sig, vs := range e.bySignature(series) {
			b := newBitset(left.n)
			for _, v := range vs {
				for i := range b {
					b[i] |= v.has[i]
				}
			}
			out[sig] = b
		}
		return out
	}
	var key []byte
	mask := func(series []*values, by map[string]bitset, keepMatched bool) {
		for _, v := range series {
			key = e.signature(key[:0], v.labels)
			b := by[string(key)]
			for i := range v.has {
				var w uint64
				if b != nil {
					w = b[i]
				}
				if !keepMatched {
					w = ^w
				}
				v.has[i] &= w
			}
		}
	}
	switch e.op {
	case "and":
		mask(left.series, present(right.series), true)
	case "unless":
		mask(left.series, present(right.series), false)
	case "or":
		mask(right.series, present(left.series), false)
		left.series = mergeEqual(left.series, right.series, left.n)
	}
	return left
}

// mergeEqual appends add to series; a series whose labels are already there fills the
// steps that the other one has not.
func mergeEqual(series, add []*values, n int) []*values {
	byKey := map[string]*values{}
	for _, v := range series {
		byKey[string(appendKey(nil, v.labels))] = v
	}
	for _, v := range add {
		to := byKey[string(appendKey(nil, v.labels))]
		if to == nil {
			series = append(series, v)
			continue
		}
		for k := range n {
			if v.has.get(k) && !to.has.get(k) {
				to.set(k, v.vals[k])
			}
		}
	}
	return series
}

// match evaluates an operation on two sets of series, pairing those with equal
// signatures at each step.
func (x *exec) match(e *binaryExpr, left, right *frame) (*frame, error) {
	many, one := left, right
	flip := e.matching != nil && e.matching.card == oneToMany
	if flip {
		many, one = right, left
	}
	ones := e.bySignature(one.series)
	out := &frame{n: left.n, sorted: left.sorted || right.sorted}
	results := map[string]*values{}
	taken := map[string]bitset{} // of one-to-one: signatures that have found their element
	var key []byte
	for _, m := range many.series {
		key = e.signature(key[:0], m.labels)
		candidates := ones[string(key)]
		if len(candidates) == 0 {
			continue
		}
		var used bitset
		if e.matching == nil || e.matching.card == oneToOne {
			if used = taken[string(key)]; used == nil {
				used = newBitset(out.n)
				taken[string(key)] = used
			}
		}
		for k := range out.n {
			if !m.has.get(k) {
				continue
			}
			o, err := e.partner(candidates, m, k)
			if err != nil {
				return nil, err
			}
			if o == nil {
				continue
			}
			if used != nil {
				if used.get(k) {
					return nil, queryErrorf("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right); %s is one of several on the left-hand side of %s", m.labels, e.op)
				}
				used.set(k)
			}
			if err := x.emit(e, out, results, m, o, k, flip); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// partner returns the candidate that has a value at step k, nil if there is none.
func (e *binaryExpr) partner(candidates []*values, m *values, k int) (*values, error) {
	var found *values
	for _, c := range candidates {
		if !c.has.get(k) {
			continue
		}
		if found != nil {
			return nil, queryErrorf("found duplicate series for the match group of %s on the side of %s that must be unique: %s and %s; many-to-many matching not allowed: matching labels must be unique on one side", m.labels, e.op, found.labels, c.labels)
		}
		found = c
	}
	return found, nil
}

// emit adds the result of m and o, its partner, at step k.
func (x *exec) emit(e *binaryExpr, out *frame, results map[string]*values, m, o *values, k int, flip bool) error {
	a, b := m.vals[k], o.vals[k]
	if flip {
		a, b = b, a
	}
	v, keep := e.combine(a, b, a)
	if !keep {
		return nil
	}
	ls := e.resultLabels(m.labels, o.labels)
	key := string(appendKey(nil, ls))
	to := results[key]
	if to == nil {
		var err error
		if to, err = x.newValues(ls); err != nil {
			return err
		}
		results[key] = to
		out.series = append(out.series, to)
	}
	if to.has.get(k) {
		return queryErrorf("multiple matches for labels: grouping labels must ensure unique matches; %s results twice from %s", ls, e.op)
	}
	to.set(k, v)
	return nil
}

// resultLabels returns the labels of the result of many and its partner one.
func (e *binaryExpr) resultLabels(many, one model.Labels) model.Labels {
	m := e.matching
	if m == nil {
		return many
	}
	if m.card == oneToOne {
		return slices.DeleteFunc(slices.Clone(many), func(l model.Label) bool {
			return slices.Contains(m.labels, l.Name) != m.on
		})
	}
	ls := slices.Clone(many)
	for _, name := range m.include {
		ls = slices.DeleteFunc(ls, func(l model.Label) bool { return l.Name == name })
		if i := index(one, name); i >= 0 {
			ls = append(ls, one[i])
		}
	}
	sortLabels(ls)
	return ls
}
