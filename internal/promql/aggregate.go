package promql

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/kahansum"

	"github.com/pharos-o11y/pharos/internal/model"
)

// aggregate evaluates an aggregation. When its argument is a selector or a rollup, series
// are added to their group as they are decoded.
func (ev *evaluator) aggregate(e *parser.AggregateExpr) (operand, error) {
	op, ok := aggregations()[e.Op]
	switch {
	case e.Op == parser.TOPK || e.Op == parser.BOTTOMK:
		return ev.topk(e)
	case e.Op == parser.QUANTILE:
		return ev.quantile(e)
	case !ok:
		return operand{}, errFallback
	}
	if spec, ok, err := ev.rollupOf(e.Expr); err != nil {
		return operand{}, err
	} else if ok {
		out, err := ev.aggregateRollup(e, op, spec)
		if !errors.Is(err, errFallback) {
			return out, err
		}
	}
	in, err := ev.eval(e.Expr)
	if err != nil {
		return operand{}, err
	}
	if in.histograms() {
		return ev.aggregateHistograms(e, op, in.rows)
	}
	groups := groupRows(e, in.rows)
	accs := make([]accumulator, len(groups.labels))
	for i, r := range in.rows {
		if err := accs[groups.of[i]].addRow(ev, op, r.vals); err != nil {
			return operand{}, err
		}
	}
	ev.drop(len(in.rows))
	return operand{rows: finish(groups, op, accs)}, nil
}

// rollupOf returns the rollup that the argument of an aggregation is; ok is false if it is
// none that can be added series by series.
func (ev *evaluator) rollupOf(expr parser.Expr) (spec rollupSpec, ok bool, err error) {
	for {
		p, ok := expr.(*parser.ParenExpr)
		if !ok {
			break
		}
		expr = p.Expr
	}
	switch e := expr.(type) {
	case *parser.VectorSelector:
		spec, err = ev.selector(e)
		ok = err == nil
	case *parser.Call:
		if e.Func.Name == "absent_over_time" {
			return spec, false, nil
		}
		spec, ok, err = ev.rollupCall(e)
		ok = ok && err == nil
	}
	if errors.Is(err, errFallback) {
		err = nil // the argument is a graft
	}
	return spec, ok, err
}

// aggregateRollup decodes, rolls up and aggregates series by series. Series are sorted by
// group, and each worker takes a run of them, so that a group is shared by few workers.
func (ev *evaluator) aggregateRollup(e *parser.AggregateExpr, op aggregation, spec rollupSpec) (operand, error) {
	src, err := ev.open(&spec)
	if err != nil {
		return operand{}, err
	}
	defer src.release(ev)
	series := src.series
	groups := newGrouping(e, len(series), src.group, src.labels)
	order := groups.order()

	// Workers hand in the groups they have finished; a group that two of them share is
	// merged, in order.
	type part struct {
		from int
		accs map[int]*accumulator
	}
	parts := make([]part, 0, ev.workers)
	var mu sync.Mutex // guards parts
	err = ev.parallel(len(order), func(from, to int) error {
		p := part{from, map[int]*accumulator{}}
		vals, err := ev.newRow()
		if err != nil {
			return err
		}
		defer ev.drop(1)
		buf := newRollupBuf(ev)
		defer buf.done()
		dirty := false
		for _, i := range order[from:to] {
			if dirty {
				for j := range vals {
					vals[j] = absent()
				}
			}
			hists, err := ev.rollOne(&spec, &src, i, buf, vals)
			if err != nil {
				return err
			}
			if hists != nil || len(buf.annos) > 0 {
				return errFallback
			}
			if dirty = series[i].any; !dirty {
				continue
			}
			acc := p.accs[groups.of[i]]
			if acc == nil {
				acc = &accumulator{}
				p.accs[groups.of[i]] = acc
			}
			if err := acc.addRow(ev, op, vals); err != nil {
				return err
			}
		}
		mu.Lock()
		parts = append(parts, p)
		mu.Unlock()
		return nil
	})
	if err != nil {
		return operand{}, err
	}
	if !src.unique() {
		return operand{}, ev.duplicates(spec.name)
	}
	ev.warnNonCounters(&spec, series)
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.from, b.from) })
	accs := make([]accumulator, len(groups.labels))
	for _, p := range parts {
		for g, acc := range p.accs {
			if err := accs[g].merge(op, acc); err != nil {
				return operand{}, err
			}
		}
	}
	return operand{rows: finish(groups, op, accs)}, nil
}

// grouping assigns series to groups.
type grouping struct {
	of     []int // group of each series
	labels []labels.Labels
}

// groupKey makes the keys of groups.
type groupKey struct {
	without bool
	names   []string // sorted
}

func newGroupKey(e *parser.AggregateExpr) *groupKey {
	k := &groupKey{without: e.Without, names: slices.Clone(e.Grouping)}
	if e.Without {
		k.names = append(k.names, model.MetricName)
	}
	slices.Sort(k.names)
	return k
}

// of appends the key of labels to buf.
func (k *groupKey) of(buf []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) { buf = k.label(buf, l.Name, l.Value) })
	return buf
}

// ofModel is of for labels of the store.
func (k *groupKey) ofModel(buf []byte, ls model.Labels) []byte {
	for i := range ls {
		buf = k.label(buf, ls[i].Name, ls[i].Value)
	}
	return buf
}

func (k *groupKey) label(buf []byte, name, value string) []byte {
	if slices.Contains(k.names, name) == k.without {
		return buf
	}
	buf = append(buf, name...)
	buf = append(buf, 0xff)
	buf = append(buf, value...)
	return append(buf, 0xff)
}

// newGrouping groups n series, whose keys key appends and whose labels at returns.
func newGrouping(e *parser.AggregateExpr, n int, key func(k *groupKey, buf []byte, i int) []byte, at func(i int) labels.Labels) grouping {
	g := grouping{of: make([]int, n)}
	k := newGroupKey(e)
	index := map[string]int{}
	var last, buf []byte // neighbours are often of one group
	lb := labels.NewBuilder(labels.EmptyLabels())
	for i := range n {
		buf = key(k, buf[:0], i)
		if i > 0 && bytes.Equal(buf, last) {
			g.of[i] = g.of[i-1]
			continue
		}
		id, ok := index[string(buf)]
		if !ok {
			id = len(g.labels)
			index[string(buf)] = id
			lb.Reset(at(i))
			if e.Without {
				lb.Del(k.names...)
			} else {
				lb.Keep(k.names...)
			}
			g.labels = append(g.labels, lb.Labels())
		}
		g.of[i] = id
		last, buf = buf, last
	}
	return g
}

// groupRows groups rows.
func groupRows(e *parser.AggregateExpr, rows []row) grouping {
	return newGrouping(e, len(rows),
		func(k *groupKey, buf []byte, i int) []byte { return k.of(buf, rows[i].labels) },
		func(i int) labels.Labels { return rows[i].labels })
}

// order returns the numbers of the series, those of a group together.
func (g *grouping) order() []int {
	next := make([]int, len(g.labels)+1)
	for _, of := range g.of {
		next[of+1]++
	}
	for k := range g.labels {
		next[k+1] += next[k]
	}
	order := make([]int, len(g.of))
	for i, of := range g.of {
		order[next[of]] = i
		next[of]++
	}
	return order
}

// aggregation is one operator.
type aggregation uint8

const (
	aggSum aggregation = iota
	aggAvg
	aggMin
	aggMax
	aggCount
	aggGroup
	aggStddev
	aggStdvar
)

func aggregations() map[parser.ItemType]aggregation {
	return map[parser.ItemType]aggregation{
		parser.SUM: aggSum, parser.AVG: aggAvg, parser.MIN: aggMin, parser.MAX: aggMax,
		parser.COUNT: aggCount, parser.GROUP: aggGroup, parser.STDDEV: aggStddev, parser.STDVAR: aggStdvar,
	}
}

// accumulator is the state of one group at all steps. value is the sum, extreme or sum of
// squared differences; aux its compensation or the mean.
type accumulator struct {
	count, value, aux []float64
}

// begin allocates the state on first use.
func (a *accumulator) begin(ev *evaluator, op aggregation) error {
	if a.count != nil {
		return nil
	}
	if err := ev.acct.Hold(int64(ev.n) * 24); err != nil {
		return err
	}
	a.count = make([]float64, ev.n)
	if op != aggCount && op != aggGroup {
		a.value = make([]float64, ev.n)
	}
	if op == aggSum || op == aggAvg || op == aggStddev || op == aggStdvar {
		a.aux = make([]float64, ev.n)
	}
	return nil
}

// addRow adds one series, the first one too.
func (a *accumulator) addRow(ev *evaluator, op aggregation, vals []float64) error {
	if err := a.begin(ev, op); err != nil {
		return err
	}
	return a.add(op, vals)
}

// add adds one series.
func (a *accumulator) add(op aggregation, vals []float64) error {
	switch op {
	case aggSum, aggAvg:
		return a.addSum(op, vals)
	case aggMin, aggMax:
		for i, v := range vals {
			if isAbsent(v) {
				continue
			}
			m := a.value[i]
			if a.count[i] == 0 || math.IsNaN(m) || op == aggMin && v < m || op == aggMax && v > m {
				a.value[i] = v
			}
			a.count[i]++
		}
	case aggCount, aggGroup:
		for i, v := range vals {
			if !isAbsent(v) {
				a.count[i]++
			}
		}
	case aggStddev, aggStdvar:
		for i, v := range vals {
			if !isAbsent(v) {
				a.addVariance(i, v)
			}
		}
	}
	return nil
}

// addSum adds compensated sums. As long as nothing overflows, what an addition loses is the
// same however it is computed.
func (a *accumulator) addSum(op aggregation, vals []float64) error {
	count, value, aux := a.count[:len(vals)], a.value[:len(vals)], a.aux[:len(vals)]
	for i, v := range vals {
		if isAbsent(v) {
			continue
		}
		s := value[i]
		t := s + v
		if t-t == 0 {
			aux[i] += lost(s, v, t)
		} else {
			if op == aggAvg && count[i] > 0 && math.IsInf(t, 0) {
				return errFallback // Prometheus goes on with the incremental mean
			}
			t, aux[i] = kahansum.Inc(v, s, aux[i])
		}
		value[i] = t
		count[i]++
	}
	return nil
}

// addVariance adds one value at step i (Welford).
func (a *accumulator) addVariance(i int, v float64) {
	a.count[i]++
	if a.count[i] == 1 {
		a.aux[i] = v
		if math.IsNaN(v) || math.IsInf(v, 0) {
			a.value[i] = math.NaN()
		}
		return
	}
	delta := v - a.aux[i]
	a.aux[i] += delta / a.count[i]
	a.value[i] += delta * (v - a.aux[i])
}

// merge adds what another worker has accumulated of the same group.
func (a *accumulator) merge(op aggregation, b *accumulator) error {
	if a.count == nil {
		*a = *b
		return nil
	}
	for i, n := range b.count {
		switch {
		case n == 0:
			continue
		case a.count[i] == 0:
			if a.value != nil {
				a.value[i] = b.value[i]
			}
			if a.aux != nil {
				a.aux[i] = b.aux[i]
			}
		case op == aggSum || op == aggAvg:
			a.value[i], a.aux[i] = kahansum.Inc(b.value[i], a.value[i], a.aux[i])
			a.value[i], a.aux[i] = kahansum.Inc(b.aux[i], a.value[i], a.aux[i])
			if op == aggAvg && math.IsInf(a.value[i], 0) {
				return errFallback
			}
		case op == aggMin && (b.value[i] < a.value[i] || math.IsNaN(a.value[i])),
			op == aggMax && (b.value[i] > a.value[i] || math.IsNaN(a.value[i])):
			a.value[i] = b.value[i]
		case op == aggStddev || op == aggStdvar: // Chan et al.: combine means and squares
			na, nb := a.count[i], n
			delta := b.aux[i] - a.aux[i]
			a.aux[i] += delta * nb / (na + nb)
			a.value[i] += b.value[i] + delta*delta*na*nb/(na+nb)
		}
		a.count[i] += n
	}
	return nil
}

// finish turns the accumulators into rows; they become the memory of the rows.
func finish(g grouping, op aggregation, accs []accumulator) []row {
	rows := make([]row, 0, len(accs))
	for k := range accs {
		if out, seen := accs[k].finish(op); seen {
			rows = append(rows, row{labels: g.labels[k], vals: out})
		}
	}
	return rows
}

// finish turns a into the values of a row, and reports whether it has some.
func (a *accumulator) finish(op aggregation) (vals []float64, seen bool) {
	out := a.count
	for i, n := range a.count {
		if n == 0 {
			out[i] = absent()
			continue
		}
		seen = true
		out[i] = a.final(op, i, n)
	}
	return out, seen
}

func (a *accumulator) final(op aggregation, i int, n float64) float64 {
	switch op {
	case aggSum:
		if math.IsInf(a.value[i], 0) {
			return a.value[i]
		}
		return a.value[i] + a.aux[i]
	case aggAvg:
		return a.value[i]/n + a.aux[i]/n
	case aggMin, aggMax:
		return a.value[i]
	case aggGroup:
		return 1
	case aggStddev:
		return math.Sqrt(a.value[i] / n)
	case aggStdvar:
		return a.value[i] / n
	default:
		return n
	}
}
