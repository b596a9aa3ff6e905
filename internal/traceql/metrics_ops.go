package traceql

import (
	"container/heap"
	"context"
	"math"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// secondStages applies topk, bottomk and comparisons, left to right.
func (m *metricRun) secondStages(lines []line, stages []secondStage) []line {
	for _, s := range stages {
		if s.op == opNone {
			topK(lines, int(min(s.k, math.MaxInt32)), s.bottom)
		} else {
			keepIf(lines, s.op, constValue(s.val))
		}
		lines = slices.DeleteFunc(lines, func(l line) bool {
			return !slices.ContainsFunc(l.values, func(v float64) bool { return !math.IsNaN(v) })
		})
	}
	return lines
}

// constValue returns a constant as metrics see it: durations in seconds.
func constValue(v Value) float64 {
	if v.typ == TypeDuration {
		return float64(v.n) / float64(time.Second)
	}
	return v.Float()
}

func keepIf(lines []line, op operator, c float64) {
	for _, l := range lines {
		for i, v := range l.values {
			if !compareFloats(op, v, c) {
				l.values[i] = math.NaN()
			}
		}
	}
}

// topK keeps, interval by interval, the k largest or smallest values. Of equal ones topk
// prefers the lines that come first in label order, bottomk the last.
func topK(lines []line, k int, bottom bool) {
	if len(lines) <= k {
		return
	}
	sortLines(lines)
	kept := make([]bool, len(lines))
	best := ranking{lines: lines, bottom: bottom}
	for i := range lines[0].values {
		best.at, best.heap = i, best.heap[:0]
		clear(kept)
		for j := range lines {
			switch {
			case math.IsNaN(lines[j].values[i]):
			case len(best.heap) < k:
				heap.Push(&best, j)
			case best.before(j, best.heap[0]):
				best.heap[0] = j
				heap.Fix(&best, 0)
			}
		}
		for _, j := range best.heap {
			kept[j] = true
		}
		for j := range lines {
			if !kept[j] {
				lines[j].values[i] = math.NaN()
			}
		}
	}
}

// ranking is the best lines at an interval so far, as a heap with the worst of them on top.
type ranking struct {
	lines  []line
	at     int
	bottom bool
	heap   []int // indexes of lines
}

// before reports whether line a is better than line b.
func (r *ranking) before(a, b int) bool {
	x, y := r.lines[a].values[r.at], r.lines[b].values[r.at]
	if r.bottom {
		return x < y || x == y && a > b
	}
	return x > y || x == y && a < b
}

// Len implements [heap.Interface].
func (r *ranking) Len() int { return len(r.heap) }

// Less implements [heap.Interface].
func (r *ranking) Less(i, j int) bool { return r.before(r.heap[j], r.heap[i]) }

// Swap implements [heap.Interface].
func (r *ranking) Swap(i, j int) { r.heap[i], r.heap[j] = r.heap[j], r.heap[i] }

// Push implements [heap.Interface].
func (r *ranking) Push(x any) {
	if j, ok := x.(int); ok {
		r.heap = append(r.heap, j)
	}
}

// Pop implements [heap.Interface]; nothing is ever taken out one by one.
func (r *ranking) Pop() any {
	j := r.heap[len(r.heap)-1]
	r.heap = r.heap[:len(r.heap)-1]
	return j
}

// arithmetic evaluates both sides of an operator and combines them.
func (m *metricRun) arithmetic(ctx context.Context, e *metricOp) ([]line, error) {
	lc, lconst := e.l.(*metricConst)
	rc, rconst := e.r.(*metricConst)
	switch {
	case lconst && rconst:
		model.Bug("arithmetic between constants was not folded")
	case rconst:
		lines, err := m.eval(ctx, e.l)
		applyConst(lines, func(v float64) float64 { return calculate(e.op, v, rc.val.Float()) })
		return lines, err
	case lconst:
		lines, err := m.eval(ctx, e.r)
		applyConst(lines, func(v float64) float64 { return calculate(e.op, lc.val.Float(), v) })
		return lines, err
	}
	l, err := m.eval(ctx, e.l)
	if err != nil {
		return nil, err
	}
	r, err := m.eval(ctx, e.r)
	if err != nil {
		return nil, err
	}
	return joinLines(e.op, l, r), nil
}

func applyConst(lines []line, f func(float64) float64) {
	for _, l := range lines {
		for i, v := range l.values {
			l.values[i] = f(v)
		}
	}
}

// calculate is NaN where there is no result.
func calculate(op operator, a, b float64) float64 {
	var v float64
	switch op {
	case opAdd:
		v = a + b
	case opSub:
		v = a - b
	case opMul:
		v = a * b
	default:
		v = a / b
	}
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// joinLines combines lines with the same labels. A side that is one line without labels
// is combined with every line of the other.
func joinLines(op operator, l, r []line) []line {
	ungrouped := func(ls []line) bool { return len(ls) == 1 && len(ls[0].labels) == 0 }
	var out []line
	switch {
	case ungrouped(l) && !ungrouped(r):
		for i := range r {
			out = append(out, combineLines(op, &l[0], &r[i], r[i].exemplars))
		}
	case ungrouped(r):
		for i := range l {
			ex := l[i].exemplars
			if ungrouped(l) {
				ex = slices.Concat(ex, r[0].exemplars)
			}
			out = append(out, combineLines(op, &l[i], &r[0], ex))
		}
	default:
		byKey := map[string]*line{}
		for i := range r {
			byKey[labelKey(r[i].labels)] = &r[i]
		}
		for i := range l {
			if other := byKey[labelKey(l[i].labels)]; other != nil {
				out = append(out, combineLines(op, &l[i], other, slices.Concat(l[i].exemplars, other.exemplars)))
			}
		}
	}
	return out
}

func combineLines(op operator, l, r *line, ex []exemplar) line {
	out := line{labels: slices.Clone(l.labels), values: make([]float64, len(l.values)), exemplars: ex}
	for _, kv := range r.labels {
		if !slices.ContainsFunc(l.labels, func(x KeyValue) bool { return x.Key == kv.Key }) {
			out.labels = append(out.labels, kv)
		}
	}
	if l.name != "" && r.name != "" {
		out.name = "(" + l.name + " " + op.String() + " " + r.name + ")"
	}
	for i := range out.values {
		out.values[i] = calculate(op, l.values[i], r.values[i])
	}
	return out
}
