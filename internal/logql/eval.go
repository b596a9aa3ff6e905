package logql

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/pharos-o11y/pharos/internal/model"
)

// frame is the value of an expression at all steps: series, or one number.
type frame struct {
	n      int
	series []*values
	sorted bool // the order of series is part of the result

	scalar bool
	value  float64
}

// values is one series at all steps. vals[k] counts where has(k).
type values struct {
	labels model.Labels
	vals   []float64
	has    bitset
}

func (v *values) set(k int, x float64) {
	v.vals[k] = x
	v.has.set(k)
}

// newValues makes an empty series and charges for it.
func (x *exec) newValues(ls model.Labels) (*values, error) {
	n := len(x.steps)
	if err := x.p.Account.Hold(int64(9*n + 64)); err != nil {
		return nil, err
	}
	return &values{labels: ls, vals: make([]float64, n), has: newBitset(n)}, nil
}

// maxSteps bounds the evaluations of a range query.
const maxSteps = 100_000

// Bounds on times, so that no sum of a time, a range and an offset can overflow.
const (
	minEvalTime = -1 << 60 // the year 1933
	maxEvalTime = 1 << 62  // the year 2116
	maxReach    = 1 << 61  // 73 years
)

// metrics runs a metric query.
func (x *exec) metrics(e metricExpr) (*Result, error) {
	if x.p.Start < minEvalTime || x.p.End > maxEvalTime || x.p.End < x.p.Start {
		return nil, queryErrorf("times to evaluate at must lie in order between the years 1933 and 2116")
	}
	if x.p.Instant() {
		x.steps = []int64{x.p.End}
	} else {
		if n := (x.p.End - x.p.Start) / int64(x.p.Step); n < 0 || n >= maxSteps {
			return nil, queryErrorf("range holds %d steps, at most %d are allowed; use a longer step", n+1, maxSteps)
		}
		for t := x.p.Start; t <= x.p.End; t += int64(x.p.Step) {
			x.steps = append(x.steps, t)
		}
	}
	f, err := x.eval(e)
	if err != nil {
		return nil, err
	}
	return x.result(f)
}

func (x *exec) result(f *frame) (*Result, error) {
	if f.scalar {
		if x.p.Instant() {
			return &Result{Type: Scalar, Scalar: Point{Time: x.p.End, Value: f.value}}, nil
		}
		v, err := x.constant(f.value)
		if err != nil {
			return nil, err
		}
		f = &frame{n: f.n, series: []*values{v}}
	}
	f.series = slices.DeleteFunc(f.series, func(v *values) bool { return v.has.empty() })
	if !f.sorted || !x.p.Instant() {
		slices.SortStableFunc(f.series, func(a, b *values) int { return a.labels.Compare(b.labels) })
	}
	if limit := x.p.MaxSeries; limit > 0 && len(f.series) > limit {
		text := fmt.Sprintf("maximum number of series (%d) reached for a single query", limit)
		if !x.p.PartialSeries {
			return nil, queryErrorf("%s; use a narrower selector or a shorter range, or aggregate with sum by (...)", text)
		}
		x.p.Account.Warn("%s; returning partial results", text)
		f.series = f.series[:limit]
	}
	res := &Result{Type: Matrix, Series: make([]Series, len(f.series))}
	if x.p.Instant() {
		res.Type = Vector
	}
	for i, v := range f.series {
		s := Series{Labels: v.labels}
		for k, t := range x.steps {
			if v.has.get(k) {
				s.Points = append(s.Points, Point{Time: t, Value: v.vals[k]})
			}
		}
		res.Series[i] = s
	}
	return res, nil
}

// constant is a series without labels that has value at every step.
func (x *exec) constant(value float64) (*values, error) {
	v, err := x.newValues(model.Labels{})
	if err != nil {
		return nil, err
	}
	for k := range v.vals {
		v.set(k, value)
	}
	return v, nil
}

func (x *exec) eval(e metricExpr) (*frame, error) {
	if err := x.ctx.Err(); err != nil {
		return nil, err
	}
	switch e := e.(type) {
	case *literalExpr:
		return &frame{n: len(x.steps), scalar: true, value: e.value}, nil
	case *vectorExpr:
		v, err := x.constant(e.value)
		return &frame{n: len(x.steps), series: []*values{v}}, err
	case *rangeAggExpr:
		return x.rangeAgg(e, nil)
	case *vectorAggExpr:
		return x.vectorAgg(e)
	case *labelReplaceExpr:
		return x.labelReplace(e)
	case *binaryExpr:
		return x.binary(e)
	}
	return nil, queryErrorf("unknown kind of expression %s", e)
}

func (x *exec) labelReplace(e *labelReplaceExpr) (*frame, error) {
	f, err := x.eval(e.inner)
	if err != nil {
		return nil, err
	}
	if f.scalar {
		return nil, queryErrorf("label_replace needs series, %s is a number", e.inner)
	}
	for _, v := range f.series {
		src := v.labels.Get(e.src)
		m := e.re.FindStringSubmatchIndex(src)
		if m == nil {
			continue
		}
		ls := slices.DeleteFunc(slices.Clone(v.labels), func(l model.Label) bool { return l.Name == e.dst })
		if text := string(e.re.ExpandString(nil, e.repl, src, m)); text != "" {
			ls = append(ls, model.Label{Name: e.dst, Value: text})
			sortLabels(ls)
		}
		v.labels = ls
	}
	return f, nil
}

// vectorAgg evaluates an aggregation over the series of each step.
func (x *exec) vectorAgg(e *vectorAggExpr) (*frame, error) {
	if r, ok := e.inner.(*rangeAggExpr); ok && r.group == nil && r.fn.merges == e.op {
		g := e.group
		if g == nil {
			g = &grouping{}
		}
		return x.rangeAgg(r, g)
	}
	f, err := x.eval(e.inner)
	if err != nil {
		return nil, err
	}
	if f.scalar {
		return nil, queryErrorf("%s needs series, %s is a number", e.op, e.inner)
	}
	switch e.op {
	case "sort", "sort_desc":
		if x.p.Instant() {
			sortSeries(f.series, e.op == "sort_desc")
			f.sorted = true
		}
		return f, nil
	case "topk", "bottomk", "approx_topk":
		return f, x.topk(e, f)
	}
	out := &frame{n: f.n}
	for _, g := range groupSeries(f.series, e.group) {
		v, err := x.newValues(g.labels)
		if err != nil {
			return nil, err
		}
		if err := x.aggregate(e.op, g.members, v); err != nil {
			return nil, err
		}
		out.series = append(out.series, v)
	}
	return out, nil
}

// sortSeries orders an instant result by value, NaN last.
func sortSeries(s []*values, desc bool) {
	slices.SortStableFunc(s, func(a, b *values) int { return compareValues(a.vals[0], b.vals[0], desc) })
}

func compareValues(a, b float64, desc bool) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	case desc:
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

// group is the series that are aggregated together.
type group struct {
	labels  model.Labels
	members []*values
}

// groupSeries splits series into groups, in the order of their first members.
func groupSeries(series []*values, g *grouping) []*group {
	var out []*group
	byKey := map[string]*group{}
	var key []byte
	for _, v := range series {
		ls := groupLabels(v.labels, g)
		key = appendKey(key[:0], ls)
		gr := byKey[string(key)]
		if gr == nil {
			gr = &group{labels: ls}
			byKey[string(key)] = gr
			out = append(out, gr)
		}
		gr.members = append(gr.members, v)
	}
	return out
}

// groupLabels returns the labels of ls that g keeps; nil keeps none.
func groupLabels(ls model.Labels, g *grouping) model.Labels {
	if g == nil {
		return model.Labels{}
	}
	out := make(model.Labels, 0, len(ls))
	for _, l := range ls {
		if slices.Contains(g.labels, l.Name) != g.without {
			out = append(out, l)
		}
	}
	return out
}

// aggregate computes op over members into out.
func (x *exec) aggregate(op string, members []*values, out *values) error {
	for k := range out.vals {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		n, acc, m2 := 0, 0.0, 0.0
		for _, m := range members {
			if !m.has.get(k) {
				continue
			}
			v := m.vals[k]
			n++
			switch op {
			case "sum", "avg":
				acc += v
			case "min":
				if n == 1 || v < acc || math.IsNaN(acc) {
					acc = v
				}
			case "max":
				if n == 1 || v > acc || math.IsNaN(acc) {
					acc = v
				}
			case "stddev", "stdvar":
				delta := v - acc
				acc += delta / float64(n)
				m2 += delta * (v - acc)
			}
		}
		if n == 0 {
			continue
		}
		switch op {
		case "count":
			acc = float64(n)
		case "avg":
			acc /= float64(n)
		case "stdvar":
			acc = m2 / float64(n)
		case "stddev":
			acc = math.Sqrt(m2 / float64(n))
		}
		out.set(k, acc)
	}
	return nil
}

// topk keeps, at each step, the k greatest or smallest members of each group.
func (x *exec) topk(e *vectorAggExpr, f *frame) error {
	desc := e.op != "bottomk"
	for _, g := range groupSeries(f.series, e.group) {
		kept := make([]bitset, len(g.members))
		for i := range kept {
			kept[i] = newBitset(f.n)
		}
		var present, chosen []int // members
		for k := range f.n {
			if err := x.ctx.Err(); err != nil {
				return err
			}
			present = present[:0]
			for i, m := range g.members {
				if m.has.get(k) {
					present = append(present, i)
				}
			}
			best := present
			if int64(len(present)) > e.k {
				best = g.best(present, int(max(e.k, 0)), chosen[:0], func(a, b *values) int {
					return compareValues(a.vals[k], b.vals[k], desc)
				})
				chosen = best
			}
			for _, i := range best {
				kept[i].set(k)
			}
		}
		for i, m := range g.members {
			m.has = kept[i]
		}
	}
	return nil
}

// best appends the n first of the given members in the order of compare to dst, which is
// empty. Of equal ones the first is better.
func (g *group) best(members []int, n int, dst []int, compare func(a, b *values) int) []int {
	for _, i := range members {
		before := func(j int) bool { return compare(g.members[i], g.members[j]) < 0 }
		if len(dst) < n {
			dst = append(dst, i)
		} else if n == 0 || !before(dst[n-1]) {
			continue
		}
		last := len(dst) - 1
		at := sort.Search(last, func(k int) bool { return before(dst[k]) })
		copy(dst[at+1:], dst[at:last])
		dst[at] = i
	}
	return dst
}
