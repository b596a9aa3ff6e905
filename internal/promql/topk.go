package promql

import (
	"math"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// topk evaluates topk and bottomk. Every group keeps, for each step, a heap of the k best
// values so far with the numbers of their series, and only those series become rows; when
// the argument is a selector or a rollup, series are decoded a batch at a time, so that
// memory grows with k and not with the number of series.
//
// The heaps work as Prometheus' do, so that of equal values the same ones win.
func (ev *evaluator) topk(e *parser.AggregateExpr) (operand, error) {
	k, err := ev.eval(e.Param)
	if err != nil {
		return k, err
	}
	for _, v := range k.scalar {
		if !(v >= 1 && v < 1<<31) {
			return operand{}, errFallback // of no element, or an error
		}
	}
	t := &topkState{ev: ev, k: k.scalar, less: func(a, b float64) bool { return math.IsNaN(a) || a < b }}
	if e.Op == parser.BOTTOMK {
		t.less = func(a, b float64) bool { return math.IsNaN(a) || a > b }
	}
	spec, ok, err := ev.rollupOf(e.Expr)
	if err != nil {
		return operand{}, err
	}
	if ok {
		err = t.fromRollup(e, &spec)
	} else {
		var in operand
		if in, err = ev.eval(e.Expr); err != nil {
			return in, err
		}
		ev.ignoreHistograms(in.rows, e.Op, e.PosRange)
		if err := t.begin(groupRows(e, in.rows), func(i int) labels.Labels { return in.rows[i].labels }); err != nil {
			return operand{}, err
		}
		for i := range in.rows {
			t.add(i, in.rows[i].vals)
		}
		ev.drop(len(in.rows))
	}
	if err != nil {
		return operand{}, err
	}
	return t.rows()
}

// topkBatch is the number of series that are decoded before they compete.
const topkBatch = 1024

type topkState struct {
	ev     *evaluator
	k      []float64 // by step
	less   func(a, b float64) bool
	groups grouping
	label  func(i int) labels.Labels
	heaps  [][]candidate // by group, then step
}

// candidate is the value of a series.
type candidate struct {
	value  float64
	series int
}

// begin makes the heaps, charged as if they were full.
func (t *topkState) begin(groups grouping, label func(i int) labels.Labels) error {
	t.groups, t.label = groups, label
	sizes := make([]int, len(groups.labels))
	for _, of := range groups.of {
		sizes[of]++
	}
	most, full := int(slices.Max(t.k)), 0
	for _, size := range sizes {
		full += min(size, most)
	}
	if err := t.ev.acct.Hold(int64(t.ev.n) * int64(len(sizes)*24+full*16)); err != nil {
		return err
	}
	t.heaps = make([][]candidate, len(groups.labels)*t.ev.n)
	return nil
}

// fromRollup adds the series of a rollup.
func (t *topkState) fromRollup(e *parser.AggregateExpr, spec *rollupSpec) error {
	ev := t.ev
	src, err := ev.open(spec)
	if err != nil {
		return err
	}
	series := src.series
	if err := t.begin(newGrouping(e, len(series), src.group, src.labels), src.labels); err != nil {
		return err
	}
	batch := make([][]float64, min(topkBatch, len(series)))
	for i := range batch {
		if batch[i], err = ev.newRow(); err != nil {
			return err
		}
	}
	defer ev.drop(len(batch))
	var ignored atomic.Bool // histograms
	for at := 0; at < len(series); at += topkBatch {
		n := min(topkBatch, len(series)-at)
		err := ev.parallel(n, func(from, to int) error {
			buf := newRollupBuf(ev)
			defer buf.done()
			for i := from; i < to; i++ {
				vals := batch[i]
				if at > 0 {
					for j := range vals {
						vals[j] = absent()
					}
				}
				hists, err := ev.rollOne(spec, &src, at+i, buf, vals)
				if err != nil {
					return err
				}
				if len(buf.annos) > 0 {
					return errFallback
				}
				if hists != nil {
					ignored.Store(true)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := range n {
			if series[at+i].any {
				t.add(at+i, batch[i])
			}
		}
	}
	if !src.unique() {
		return ev.duplicates(spec.name)
	}
	ev.warnNonCounters(spec, series)
	if ignored.Load() {
		ev.annos.Add(annotations.NewHistogramIgnoredInAggregationInfo(parser.ItemTypeStr[e.Op], e.PosRange))
	}
	return nil
}

// add lets a series compete.
func (t *topkState) add(series int, vals []float64) {
	heaps := t.heaps[t.groups.of[series]*t.ev.n:]
	for i, v := range vals {
		if isAbsent(v) {
			continue
		}
		h := heaps[i]
		switch {
		case len(h) < int(t.k[i]):
			heaps[i] = append(h, candidate{v, series})
			t.up(heaps[i])
		case !math.IsNaN(v) && t.less(h[0].value, v):
			h[0] = candidate{v, series}
			t.down(h)
		}
	}
}

// up moves the last element of a heap to its place.
func (t *topkState) up(h []candidate) {
	for j := len(h) - 1; j > 0; {
		i := (j - 1) / 2
		if !t.less(h[j].value, h[i].value) {
			return
		}
		h[i], h[j] = h[j], h[i]
		j = i
	}
}

// down moves the first element of a heap to its place.
func (t *topkState) down(h []candidate) {
	for i := 0; ; {
		j := 2*i + 1
		if j >= len(h) {
			return
		}
		if j+1 < len(h) && t.less(h[j+1].value, h[j].value) {
			j++
		}
		if !t.less(h[j].value, h[i].value) {
			return
		}
		h[i], h[j] = h[j], h[i]
		i = j
	}
}

// rows returns the winners: of an instant query the best first.
func (t *topkState) rows() (operand, error) {
	var out []row
	at := map[int]int{} // series to row
	for at0, h := range t.heaps {
		step := at0 % t.ev.n
		if t.ev.n == 1 && len(h) > 1 {
			sort.Sort(sort.Reverse(candidates{h, t.less}))
		}
		for _, c := range h {
			k, ok := at[c.series]
			if !ok {
				vals, err := t.ev.newRow()
				if err != nil {
					return operand{}, err
				}
				k = len(out)
				at[c.series] = k
				out = append(out, row{labels: t.label(c.series), vals: vals})
			}
			out[k].vals[step] = c.value
		}
	}
	return operand{rows: out}, nil
}

// candidates sorts.
type candidates struct {
	list []candidate
	less func(a, b float64) bool
}

func (c candidates) Len() int           { return len(c.list) }
func (c candidates) Less(i, j int) bool { return c.less(c.list[i].value, c.list[j].value) }
func (c candidates) Swap(i, j int)      { c.list[i], c.list[j] = c.list[j], c.list[i] }

// quantile evaluates quantile over the values of each group.
func (ev *evaluator) quantile(e *parser.AggregateExpr) (operand, error) {
	q, err := ev.eval(e.Param)
	if err != nil {
		return q, err
	}
	in, err := ev.eval(e.Expr)
	if err != nil {
		return in, err
	}
	for _, v := range q.scalar {
		if !(v >= 0 && v <= 1) {
			return ev.graft(e, in, q)
		}
	}
	ev.ignoreHistograms(in.rows, e.Op, e.Expr.PositionRange())
	groups := groupRows(e, in.rows)
	order := groups.order()
	var out []row
	var vs []float64
	for at := 0; at < len(order); {
		group := groups.of[order[at]]
		end := at
		for end < len(order) && groups.of[order[end]] == group {
			end++
		}
		vals, err := ev.newRow()
		if err != nil {
			return operand{}, err
		}
		for i := range vals {
			vs = vs[:0]
			for _, k := range order[at:end] {
				if v := in.rows[k].vals[i]; !isAbsent(v) {
					vs = append(vs, v)
				}
			}
			if len(vs) > 0 {
				sortFloats(vs)
				vals[i] = quantileOf(vs, q.scalar[i])
			}
		}
		out = append(out, row{labels: groups.labels[group], vals: vals})
		at = end
	}
	ev.drop(len(in.rows))
	return operand{rows: dropEmpty(out)}, nil
}
