package metricsql

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/model"
)

// aggregate makes series of a group of series with equal grouping labels.
type aggregate struct {
	params int // arguments before the series
	// values makes one series: it reduces the values of one point, none of them NaN and at
	// least one.
	values func(vs []float64) float64
	// group, instead, makes what it likes. labels are the group's.
	group func(a *aggregation, labels model.Labels, list []*series) ([]*series, error)
}

// aggregation is an aggregate with its arguments.
type aggregation struct {
	call
}

func aggregateTable() map[string]aggregate {
	t := map[string]aggregate{
		"sum": {values: sum}, "avg": {values: mean}, "min": {values: slices.Min[[]float64]}, "max": {values: slices.Max[[]float64]},
		"count": {values: func(vs []float64) float64 { return float64(len(vs)) }}, "group": {values: func([]float64) float64 { return 1 }},
		"stddev": {values: stddev}, "stdvar": {values: variance}, "sum2": {values: sumSquares}, "geomean": {values: geomean},
		"median": {values: func(vs []float64) float64 { return quantile(0.5, vs) }}, "mode": {values: func(vs []float64) float64 { return mode(nan(), vs) }}, "mad": {values: mad},
		"distinct": {values: distinct},

		"any":          {group: aggregateAny},
		"quantile":     {params: 1, group: aggregateQuantile},
		"quantiles":    {params: -1, group: aggregateQuantiles},
		"count_values": {params: 1, group: aggregateCountValues},
		"histogram":    {group: aggregateHistogram},
		"limitk":       {params: 1, group: aggregateLimitK},
		"share":        {group: eachPoint(func(v float64, vs []float64) float64 { return v / sum(vs) }, true)},
		"zscore": {group: eachPoint(func(v float64, vs []float64) float64 {
			if sd := stddev(vs); sd > 0 {
				return (v - mean(vs)) / sd
			}
			return 0
		}, false)},
		"outliers_iqr": {group: aggregateOutliersIQR},
		"outliers_mad": {params: 1, group: aggregateOutliersMAD},
		"outliersk":    {params: 1, group: aggregateOutliersK},
		"topk":         {params: 1, group: kPerPoint(func(a, b float64) int { return cmp.Compare(b, a) })},
		"bottomk":      {params: 1, group: kPerPoint(cmp.Compare[float64])},
	}
	for name, rank := range map[string]func([]float64) float64{
		"min": slices.Min[[]float64], "max": slices.Max[[]float64], "avg": mean,
		"median": func(vs []float64) float64 { return quantile(0.5, vs) },
		"last":   func(vs []float64) float64 { return vs[len(vs)-1] },
	} {
		t["topk_"+name] = aggregate{params: 1, group: kSeries(rank, func(a, b float64) int { return cmp.Compare(b, a) })}
		t["bottomk_"+name] = aggregate{params: 1, group: kSeries(rank, cmp.Compare[float64])}
	}
	return t
}

// aggregate evaluates an aggregation.
func (ev *evaluator) aggregate(e *metricsql.AggrFuncExpr) ([]*series, error) {
	name := strings.ToLower(e.Name)
	agg := ev.engine.aggregates[name]
	a := &aggregation{call{ev: ev, name: name, args: e.Args}}
	params := agg.params
	if params < 0 {
		params = len(e.Args) - 1
	}
	if len(e.Args) <= params {
		return nil, a.errorf("%d arguments, it needs %d", len(e.Args), params+1)
	}
	last := len(e.Args)
	if params == 1 && last > 2 {
		last = 2 // topk_max(k, q, "other"): the rest is its own
	}
	var list []*series
	for i := params; i < last; i++ {
		more, err := a.series(i)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	gs := groupBy(list, func(s *series) string { return labelKey(grouping(e.Modifier, s.labels)) })
	if e.Limit > 0 && len(gs.keys) > e.Limit {
		gs.keys = gs.keys[:e.Limit]
	}
	var out []*series
	for _, key := range gs.keys {
		group := gs.of[key]
		labels := grouping(e.Modifier, group[0].labels)
		if agg.group == nil {
			if err := ev.hold(1); err != nil {
				return nil, err
			}
			out = append(out, reduce(labels, group, agg.values))
			continue
		}
		made, err := agg.group(a, labels, group)
		if err != nil {
			return nil, err
		}
		out = append(out, made...)
	}
	return out, nil
}

// grouping returns the labels by which a series is grouped.
func grouping(m metricsql.ModifierExpr, ls model.Labels) model.Labels {
	switch strings.ToLower(m.Op) {
	case "by":
		return only(ls, m.Args...)
	case "without":
		return without(without(ls, m.Args...), model.MetricName)
	}
	return nil
}

// reduce makes one series, in the values of the first.
func reduce(labels model.Labels, list []*series, f func([]float64) float64) *series {
	out := list[0].values
	column := make([]float64, 0, len(list))
	for i := range out {
		if column = columnAt(column[:0], list, i); len(column) == 0 {
			out[i] = nan()
			continue
		}
		out[i] = f(column)
	}
	return &series{labels, out}
}

// columnAt appends the values of point i that are not NaN.
func columnAt(dst []float64, list []*series, i int) []float64 {
	for _, s := range list {
		if v := s.values[i]; !math.IsNaN(v) {
			dst = append(dst, v)
		}
	}
	return dst
}

func aggregateAny(_ *aggregation, _ model.Labels, list []*series) ([]*series, error) {
	for _, s := range list {
		if !s.empty() {
			return []*series{s}, nil
		}
	}
	return nil, nil
}

func aggregateQuantile(a *aggregation, labels model.Labels, list []*series) ([]*series, error) {
	phis, err := a.scalar(0)
	if err != nil {
		return nil, err
	}
	return []*series{reduceIndexed(labels, list, func(i int, vs []float64) float64 { return quantile(phis[i], vs) })}, nil
}

func reduceIndexed(labels model.Labels, list []*series, f func(i int, vs []float64) float64) *series {
	out := make([]float64, len(list[0].values))
	var column []float64
	for i := range out {
		if column = columnAt(column[:0], list, i); len(column) == 0 {
			out[i] = nan()
			continue
		}
		out[i] = f(i, column)
	}
	return &series{labels, out}
}

// aggregateQuantiles makes a series of each quantile: quantiles("phi", 0.5, 0.9, q).
func aggregateQuantiles(a *aggregation, labels model.Labels, list []*series) ([]*series, error) {
	label, err := a.text(0)
	if err != nil {
		return nil, err
	}
	var out []*series
	for i := 1; i < len(a.args)-1; i++ {
		phis, err := a.scalar(i)
		if err != nil {
			return nil, err
		}
		if err := a.ev.hold(1); err != nil {
			return nil, err
		}
		s := reduceIndexed(labels, list, func(at int, vs []float64) float64 { return quantile(phis[at], vs) })
		s.labels = with(s.labels, label, number(phis[0]))
		out = append(out, s)
	}
	return out, nil
}

// spreadValues makes a series of each key that f finds at a point.
func (a *aggregation) spreadValues(labels model.Labels, label string, list []*series, f func([]float64) map[string]float64) ([]*series, error) {
	byKey := map[string]*series{}
	var out []*series
	var column []float64
	for i := range a.ev.points() {
		column = columnAt(column[:0], list, i)
		for key, v := range f(column) {
			s := byKey[key]
			if s == nil {
				if err := a.ev.hold(1); err != nil {
					return nil, err
				}
				s = &series{with(labels, label, key), a.ev.constant(nan())[0].values}
				byKey[key] = s
				out = append(out, s)
			}
			s.values[i] = v
		}
	}
	return out, nil
}

func aggregateCountValues(a *aggregation, labels model.Labels, list []*series) ([]*series, error) {
	label, err := a.text(0)
	if err != nil {
		return nil, err
	}
	return a.spreadValues(labels, label, list, func(vs []float64) map[string]float64 {
		out := map[string]float64{}
		for _, v := range vs {
			out[number(v)]++
		}
		return out
	})
}

func aggregateHistogram(a *aggregation, labels model.Labels, list []*series) ([]*series, error) {
	out, err := a.spreadValues(labels, "vmrange", list, vmRanges)
	return a.toLe(out), err
}

// aggregateLimitK takes k series, the same ones every time.
func aggregateLimitK(a *aggregation, _ model.Labels, list []*series) ([]*series, error) {
	k, err := a.number(0)
	if err != nil {
		return nil, err
	}
	hash := func(s *series) uint64 { return xxh3.HashString(labelKey(s.labels)) }
	slices.SortStableFunc(list, func(x, y *series) int { return cmp.Compare(hash(x), hash(y)) })
	return list[:clampK(k, len(list))], nil
}

// clampK makes a count of a number.
func clampK(k float64, n int) int {
	if !(k > 0) {
		return 0
	}
	return int(math.Min(k, float64(n)))
}

// eachPoint replaces every value by f of it and all values of its point.
func eachPoint(f func(v float64, vs []float64) float64, dropNegative bool) func(*aggregation, model.Labels, []*series) ([]*series, error) {
	return func(a *aggregation, _ model.Labels, list []*series) ([]*series, error) {
		var column []float64
		for i := range a.ev.points() {
			if dropNegative {
				for _, s := range list {
					if s.values[i] < 0 {
						s.values[i] = nan()
					}
				}
			}
			column = columnAt(column[:0], list, i)
			for _, s := range list {
				if v := s.values[i]; !math.IsNaN(v) {
					s.values[i] = f(v, column)
				}
			}
		}
		return list, nil
	}
}

// selectSeries keeps the series for which want is true at some point.
func selectSeries(list []*series, points int, want func(i int, v float64, column []float64) bool) []*series {
	keep := make([]bool, len(list))
	var column []float64
	for i := range points {
		column = columnAt(column[:0], list, i)
		for k, s := range list {
			if v := s.values[i]; !math.IsNaN(v) && !keep[k] {
				keep[k] = want(i, v, column)
			}
		}
	}
	var out []*series
	for k, s := range list {
		if keep[k] {
			out = append(out, s)
		}
	}
	return out
}

func aggregateOutliersIQR(a *aggregation, _ model.Labels, list []*series) ([]*series, error) {
	return selectSeries(list, a.ev.points(), func(_ int, v float64, column []float64) bool {
		low, high := iqr(column)
		return v < low || v > high
	}), nil
}

func aggregateOutliersMAD(a *aggregation, _ model.Labels, list []*series) ([]*series, error) {
	tolerances, err := a.scalar(0)
	if err != nil {
		return nil, err
	}
	return selectSeries(list, a.ev.points(), func(i int, v float64, column []float64) bool {
		return math.Abs(v-quantile(0.5, column)) > tolerances[i]*mad(column)
	}), nil
}

// topSeries takes the k series with the greatest rank.
func topSeries(list []*series, k float64, rank func(*series) float64, order func(a, b float64) int) (top, rest []*series) {
	ranks := make(map[*series]float64, len(list))
	for _, s := range list {
		ranks[s] = rank(s)
	}
	slices.SortStableFunc(list, func(x, y *series) int {
		a, b := ranks[x], ranks[y]
		if math.IsNaN(a) || math.IsNaN(b) { // those without values come last
			return cmp.Compare(toInt(math.IsNaN(a)), toInt(math.IsNaN(b)))
		}
		return cmp.Or(order(a, b), x.labels.Compare(y.labels))
	})
	n := clampK(k, len(list))
	return list[:n], list[n:]
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// aggregateOutliersK takes the k series that are furthest from the median.
func aggregateOutliersK(a *aggregation, _ model.Labels, list []*series) ([]*series, error) {
	k, err := a.number(0)
	if err != nil {
		return nil, err
	}
	median := reduceIndexed(nil, list, func(_ int, vs []float64) float64 { return quantile(0.5, vs) })
	top, _ := topSeries(list, k, func(s *series) float64 {
		total := 0.0
		for i, v := range s.values {
			if d := v - median.values[i]; !math.IsNaN(d) {
				total += d * d
			}
		}
		return total
	}, func(a, b float64) int { return cmp.Compare(b, a) })
	return top, nil
}

// kPerPoint takes the first k values of each point.
func kPerPoint(order func(a, b float64) int) func(*aggregation, model.Labels, []*series) ([]*series, error) {
	return func(a *aggregation, _ model.Labels, list []*series) ([]*series, error) {
		ks, err := a.scalar(0)
		if err != nil {
			return nil, err
		}
		if a.has(2) {
			return nil, a.errorf("it takes 2 arguments")
		}
		slices.SortStableFunc(list, func(x, y *series) int { return x.labels.Compare(y.labels) })
		at := make([]*series, 0, len(list))
		for i := range a.ev.points() {
			at = at[:0]
			for _, s := range list {
				if !math.IsNaN(s.values[i]) {
					at = append(at, s)
				}
			}
			slices.SortStableFunc(at, func(x, y *series) int { return order(x.values[i], y.values[i]) })
			for _, s := range at[clampK(ks[i], len(at)):] {
				s.values[i] = nan()
			}
		}
		n := a.ev.points() - 1
		slices.SortStableFunc(list, func(x, y *series) int {
			v, w := x.values[n], y.values[n]
			if math.IsNaN(v) || math.IsNaN(w) {
				return cmp.Compare(toInt(math.IsNaN(v)), toInt(math.IsNaN(w)))
			}
			return order(v, w)
		})
		return list, nil
	}
}

// kSeries takes the first k whole series by a rank of their values. A third argument
// names a label and its value of a series that is the sum of the others: "other=sum".
func kSeries(rank func([]float64) float64, order func(a, b float64) int) func(*aggregation, model.Labels, []*series) ([]*series, error) {
	return func(a *aggregation, labels model.Labels, list []*series) ([]*series, error) {
		k, err := a.number(0)
		if err != nil {
			return nil, err
		}
		top, rest := topSeries(list, k, func(s *series) float64 {
			vs := finite(s.values)
			if len(vs) == 0 {
				return nan()
			}
			return rank(vs)
		}, order)
		if !a.has(2) {
			return top, nil
		}
		text, err := a.text(2)
		if err != nil || len(rest) == 0 {
			return top, err
		}
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			value = name
		}
		if name == "" {
			return nil, a.errorf("argument 3 is %s, want a label such as %q", strconv.Quote(text), "other=rest")
		}
		return append(slices.Clip(top), reduce(with(labels, name, value), rest, sum)), nil
	}
}
