package traceql

import (
	"fmt"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// set is a spanset under evaluation: ascending rows of one trace, and what by() and
// scalar filters said about them.
type set struct {
	rows  []int32
	attrs []KeyValue
}

// runStage is one step of a pipeline on the spansets of trace t. Its result may use the
// memory of in. Values in attributes point into the batch.
type runStage interface {
	run(f *frame, t int, in []set) ([]set, error)
}

// runSpansets is an expression that picks rows of trace t.
type runSpansets interface {
	pick(f *frame, t int, in []int32) ([]int32, error)
}

type (
	filterRun struct{ id int }
	opRun     struct {
		op   operator
		l, r runSpansets
	}
	pipeRun struct{ stages []runStage }

	pickStage   struct{ e runSpansets }
	scalarStage struct {
		op   operator
		l, r runScalar
	}
	groupStage struct {
		key      string
		e        evaluator
		fallback evaluator // if every span of a set yields nil; may be nil
	}
	coalesceStage struct{}
	selectStage   struct{}
)

// stages compiles a pipeline.
func (b *binder) stages(pl *pipeline) []runStage {
	out := make([]runStage, 0, len(pl.stages))
	for _, s := range pl.stages {
		switch s := s.(type) {
		case spansets:
			out = append(out, pickStage{b.spansets(s)})
		case *scalarFilter:
			out = append(out, scalarStage{s.op, b.scalar(s.l), b.scalar(s.r)})
		case *groupBy:
			g := groupStage{key: "by(" + fieldText(s.expr) + ")", e: b.evaluator(s.expr)}
			if a, ok := s.expr.(*attribute); ok && a.in == inNone && a.scope == scopeSpan && a.name == serviceName {
				g.fallback = &slotEval{b.slotOf(slot{scopeResource, serviceName})}
			}
			out = append(out, g)
		case *coalesce:
			out = append(out, coalesceStage{})
		case *selection:
			out = append(out, selectStage{})
		}
	}
	return out
}

func (b *binder) spansets(e spansets) runSpansets {
	switch e := e.(type) {
	case *filter:
		return filterRun{b.filter(e.expr)}
	case *spansetOp:
		return opRun{e.op, b.spansets(e.l), b.spansets(e.r)}
	case *pipeline:
		return pipeRun{b.stages(e)}
	}
	model.Bug("no plan for %T", e)
	return nil
}

// filter adds a filter to the plan and returns its id.
func (b *binder) filter(e field) int {
	b.filters = append(b.filters, b.mask(e))
	return len(b.filters) - 1
}

func (k filterRun) pick(f *frame, _ int, in []int32) ([]int32, error) {
	m := f.mask(k.id)
	out := f.alloc(len(in))
	for _, r := range in {
		if m[r] {
			out = append(out, r)
		}
	}
	return out, nil
}

func (k opRun) pick(f *frame, t int, in []int32) ([]int32, error) {
	l, err := k.l.pick(f, t, in)
	if err != nil {
		return nil, err
	}
	// Without spans on the left only || and the negated operators have a result.
	negated := opNotChild <= k.op && k.op <= opNotSibling
	if len(l) == 0 && k.op != opOr && !negated {
		return nil, nil
	}
	r, err := k.r.pick(f, t, in)
	if err != nil {
		return nil, err
	}
	switch {
	case k.op == opOr:
		return f.union(l, r), nil
	case len(r) == 0:
		return nil, nil
	case k.op == opAnd:
		return f.union(l, r), nil
	}
	return f.relate(k.op, t, l, r), nil
}

func (k pipeRun) pick(f *frame, t int, in []int32) ([]int32, error) {
	sets, err := runStages(f, t, k.stages, []set{{rows: in}})
	switch {
	case err != nil || len(sets) == 0:
		return nil, err
	case len(sets) > 1:
		return nil, fmt.Errorf("%w: spanset operators are not supported for multiple spansets per trace, consider coalesce()", store.ErrUnsupported)
	}
	return sets[0].rows, nil
}

func runStages(f *frame, t int, stages []runStage, sets []set) ([]set, error) {
	var err error
	for _, s := range stages {
		if sets, err = s.run(f, t, sets); err != nil || len(sets) == 0 {
			return nil, err
		}
	}
	return sets, nil
}

func (k pickStage) run(f *frame, t int, in []set) ([]set, error) {
	out := in[:0]
	for _, s := range in {
		rows, err := k.e.pick(f, t, s.rows)
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			out = append(out, set{rows, s.attrs})
		}
	}
	return out, nil
}

func (selectStage) run(_ *frame, _ int, in []set) ([]set, error) { return in, nil }

func (coalesceStage) run(f *frame, _ int, in []set) ([]set, error) {
	var rows []int32
	for _, s := range in {
		rows = f.union(rows, s.rows)
	}
	return append(in[:0], set{rows: rows}), nil
}

func (k groupStage) run(f *frame, _ int, in []set) ([]set, error) {
	var out []set
	for _, s := range in {
		e := k.e
		if k.fallback != nil && k.allNil(f, s.rows) {
			e = k.fallback
		}
		clear(f.groupIdx)
		base := len(out)
		for _, r := range s.rows {
			v := e.value(f, f.firstChild(r))
			key := v.key()
			i, ok := f.groupIdx[key]
			if !ok {
				i = len(out)
				f.groupIdx[key] = i
				attrs := append(s.attrs[:len(s.attrs):len(s.attrs)], KeyValue{k.key, v})
				out = append(out, set{attrs: attrs})
			}
			out[i].rows = append(out[i].rows, r)
		}
		if len(out) == base+1 {
			out[base].rows = s.rows
		}
	}
	return out, nil
}

func (k groupStage) allNil(f *frame, rows []int32) bool {
	for _, r := range rows {
		if k.e.value(f, f.firstChild(r)).typ != TypeNil {
			return false
		}
	}
	return true
}

// firstChild returns the cursor of a row with its first event and link, for expressions
// that want one value per span.
func (f *frame) firstChild(row int32) cursor {
	c := cursor{row, -1, -1}
	if lo, hi := f.events(row); lo < hi {
		c.event = lo
	}
	if lo, hi := f.links(row); lo < hi {
		c.link = lo
	}
	return c
}

// runScalar is a number per spanset. Aggregates are added to attrs.
type runScalar interface {
	scalar(f *frame, rows []int32, attrs *[]KeyValue) Value
}

type (
	constScalar struct{ val Value }
	opScalar    struct {
		op   operator
		l, r runScalar
	}
	aggregateScalar struct {
		name, key string
		e         evaluator
	}
)

func (b *binder) scalar(s scalar) runScalar {
	switch s := s.(type) {
	case *scalarConst:
		return constScalar{s.val}
	case *scalarOp:
		return opScalar{s.op, b.scalar(s.l), b.scalar(s.r)}
	case *aggregate:
		a := aggregateScalar{name: s.name, key: s.name + "()"}
		if s.expr != nil {
			a.e = b.evaluator(s.expr)
			a.key = s.name + "(" + fieldText(s.expr) + ")"
		}
		return a
	}
	model.Bug("no plan for %T", s)
	return nil
}

func (k scalarStage) run(f *frame, _ int, in []set) ([]set, error) {
	out := in[:0]
	for _, s := range in {
		attrs := s.attrs[:len(s.attrs):len(s.attrs)]
		l := k.l.scalar(f, s.rows, &attrs)
		if l.typ == TypeNil {
			continue
		}
		if compareValues(k.op, l, k.r.scalar(f, s.rows, &attrs)) {
			out = append(out, set{s.rows, attrs})
		}
	}
	return out, nil
}

func (k constScalar) scalar(*frame, []int32, *[]KeyValue) Value { return k.val }

func (k opScalar) scalar(f *frame, rows []int32, attrs *[]KeyValue) Value {
	return arithmetic(k.op, k.l.scalar(f, rows, attrs), k.r.scalar(f, rows, attrs))
}

func (k aggregateScalar) scalar(f *frame, rows []int32, attrs *[]KeyValue) Value {
	v := intValue(int64(len(rows)))
	if k.e != nil {
		v = k.aggregate(f, rows)
	}
	if v.typ != TypeNil {
		*attrs = append(*attrs, KeyValue{k.key, v})
	}
	return v
}

// aggregate folds the values of rows; nil if there are none.
func (k aggregateScalar) aggregate(f *frame, rows []int32) Value {
	var acc Value
	n := int64(0)
	sum := k.name == "sum" || k.name == "avg"
	for _, r := range rows {
		v := k.e.value(f, f.firstChild(r))
		switch {
		case v.typ == TypeNil, v.typ == TypeArray, sum && !v.typ.numeric():
			continue
		case acc.typ == TypeNil:
			acc = v
		case sum:
			acc = addValues(acc, v)
		case k.name == "min" && compareValues(opLess, v, acc), k.name == "max" && compareValues(opGreater, v, acc):
			acc = v
		}
		n++
	}
	if k.name != "avg" || n == 0 {
		return acc
	}
	if acc.typ == TypeDuration {
		return durationValue(acc.n / n)
	}
	return floatValue(acc.Float() / float64(n))
}

// addValues adds numbers, keeping the type if both have the same.
func addValues(a, b Value) Value {
	if a.typ == b.typ && a.typ != TypeFloat {
		a.n += b.n
		return a
	}
	return floatValue(a.Float() + b.Float())
}
