package metricsql

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Functions over classic histograms: series with le, or with vmrange, which is turned into
// le first.

func addHistogramFunctions(t map[string]transform) {
	t["histogram_quantile"] = transform{min: 2, max: 3, eval: histogramQuantile}
	t["histogram_quantiles"] = transform{min: 3, max: -1, eval: histogramQuantiles}
	t["histogram_share"] = transform{min: 2, max: 2, eval: histogramShare}
	t["histogram_fraction"] = transform{min: 3, max: 3, eval: histogramFraction}
	t["histogram_avg"] = transform{min: 1, max: 1, eval: histogramMoment(func(avg, _ float64) float64 { return avg })}
	t["histogram_stdvar"] = transform{min: 1, max: 1, eval: histogramMoment(func(_, v float64) float64 { return v })}
	t["histogram_stddev"] = transform{min: 1, max: 1, eval: histogramMoment(func(_, v float64) float64 { return math.Sqrt(v) })}
	t["buckets_limit"] = transform{min: 2, max: 2, keepName: true, eval: bucketsLimit}
	t["prometheus_buckets"] = transform{min: 1, max: 1, keepName: true, eval: func(c *call) ([]*series, error) {
		list, err := c.series(0)
		return c.toLe(list), err
	}}
}

// toLe turns vmrange into cumulative le.
func (c *call) toLe(list []*series) []*series {
	var out []*series
	ranged := slices.DeleteFunc(slices.Clone(list), func(s *series) bool { return get(s.labels, "vmrange") == "" })
	for _, s := range list {
		if get(s.labels, "vmrange") == "" {
			out = append(out, s)
		}
	}
	gs := groupBy(ranged, func(s *series) string { return labelKey(without(s.labels, "vmrange", "le")) })
	for _, key := range gs.keys {
		out = append(out, c.cumulate(gs.of[key])...)
	}
	return out
}

// cumulate makes le buckets of the vmrange ones of one histogram.
func (c *call) cumulate(list []*series) []*series {
	type bucket struct {
		low, high         float64
		lowName, highName string
		s                 *series
	}
	var buckets []bucket
	for _, s := range list {
		lowName, highName, ok := strings.Cut(get(s.labels, "vmrange"), "...")
		low, err1 := strconv.ParseFloat(lowName, 64)
		high, err2 := strconv.ParseFloat(highName, 64)
		if ok && err1 == nil && err2 == nil {
			buckets = append(buckets, bucket{low, high, lowName, highName, s})
		}
	}
	if len(buckets) == 0 {
		return nil
	}
	slices.SortStableFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.high, b.high) })
	base := without(buckets[0].s.labels, "vmrange", "le")
	total := make([]float64, c.ev.points())
	var out []*series
	put := func(le string) {
		out = append(out, &series{with(base, "le", le), slices.Clone(total)})
	}
	end := math.Inf(-1)
	for _, b := range buckets {
		if b.low != end {
			put(b.lowName)
		}
		for i, v := range b.s.values {
			if !math.IsNaN(v) {
				total[i] += v
			}
		}
		if put(b.highName); math.IsInf(b.high, 1) {
			return out
		}
		end = b.high
	}
	put("+Inf")
	return out
}

// histogram is the buckets of one histogram, ascending.
type histogram struct {
	labels model.Labels // without le and the metric name
	les    []float64
	lists  []*series
}

// histograms gathers buckets.
func (c *call) histograms(arg int) ([]*histogram, error) {
	list, err := c.series(arg)
	if err != nil {
		return nil, err
	}
	list = c.toLe(list)
	gs := groupBy(list, func(s *series) string { return labelKey(without(s.labels, "le", model.MetricName)) })
	var out []*histogram
	for _, key := range gs.keys {
		h := &histogram{labels: without(gs.of[key][0].labels, "le", model.MetricName)}
		group := gs.of[key]
		les := map[*series]float64{}
		group = slices.DeleteFunc(group, func(s *series) bool {
			le, err := strconv.ParseFloat(get(s.labels, "le"), 64)
			les[s] = le
			return err != nil
		})
		slices.SortStableFunc(group, func(a, b *series) int { return cmp.Compare(les[a], les[b]) })
		for _, s := range group {
			if n := len(h.les); n > 0 && h.les[n-1] == les[s] { // the same bound written twice
				for i, v := range s.values {
					h.lists[n-1].values[i] += v
				}
				continue
			}
			h.les, h.lists = append(h.les, les[s]), append(h.lists, s)
		}
		if len(h.les) > 0 {
			out = append(out, h)
		}
	}
	return out, nil
}

// column returns the cumulative counts of point i, made to ascend.
func (h *histogram) column(dst []float64, i int) []float64 {
	high := 0.0
	for _, s := range h.lists {
		if v := s.values[i]; !math.IsNaN(v) {
			high = math.Max(high, v)
		}
		dst = append(dst, high)
	}
	return dst
}

// eachHistogram makes a series of each histogram.
func (c *call) eachHistogram(arg int, f func(h *histogram, i int, counts []float64) float64) ([]*series, error) {
	hs, err := c.histograms(arg)
	if err != nil {
		return nil, err
	}
	var out []*series
	var counts []float64
	for _, h := range hs {
		s := &series{h.labels, make([]float64, c.ev.points())}
		for i := range s.values {
			if counts = h.column(counts[:0], i); counts[len(counts)-1] == 0 {
				s.values[i] = nan()
				continue
			}
			s.values[i] = f(h, i, counts)
		}
		out = append(out, s)
	}
	return out, nil
}

// quantile returns the phi quantile and the bounds of its bucket.
func (h *histogram) quantile(phi float64, counts []float64) (q, low, high float64) {
	total := counts[len(counts)-1]
	switch {
	case math.IsNaN(phi):
		return nan(), nan(), nan()
	case phi < 0:
		return math.Inf(-1), math.Inf(-1), counts[0]
	case phi > 1:
		return math.Inf(1), total, math.Inf(1)
	}
	want := total * phi
	before, lePrev := 0.0, 0.0
	for i, n := range counts {
		le := h.les[i]
		if n <= 0 || n < want {
			before, lePrev = n, le
			continue
		}
		switch {
		case math.IsInf(le, 1):
			return lePrev, lePrev, le
		case n == before:
			return lePrev, lePrev, n
		}
		return lePrev + (le-lePrev)*(want-before)/(n-before), lePrev, le
	}
	return lePrev, lePrev, math.Inf(1)
}

// histogramQuantile estimates a quantile. A third argument names a label for two more
// series, the lower and upper bound of the estimate.
func histogramQuantile(c *call) ([]*series, error) {
	phis, err := c.scalar(0)
	if err != nil {
		return nil, err
	}
	if !c.has(2) {
		return c.eachHistogram(1, func(h *histogram, i int, counts []float64) float64 {
			q, _, _ := h.quantile(phis[i], counts)
			return q
		})
	}
	label, err := c.text(2)
	if err != nil {
		return nil, err
	}
	var out []*series
	for k, bound := range []string{"", "lower", "upper"} {
		list, err := c.eachHistogram(1, func(h *histogram, i int, counts []float64) float64 {
			q, low, high := h.quantile(phis[i], counts)
			return []float64{q, low, high}[k]
		})
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			s.labels = with(s.labels, label, bound)
		}
		out = append(out, list...)
	}
	return out, nil
}

// histogramQuantiles makes a series of each quantile: histogram_quantiles("phi", 0.5, 0.9, q).
func histogramQuantiles(c *call) ([]*series, error) {
	label, err := c.text(0)
	if err != nil {
		return nil, err
	}
	n := len(c.args) - 1
	var out []*series
	for k := 1; k < n; k++ {
		phis, err := c.scalar(k)
		if err != nil {
			return nil, err
		}
		list, err := c.eachHistogram(n, func(h *histogram, i int, counts []float64) float64 {
			q, _, _ := h.quantile(phis[i], counts)
			return q
		})
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			s.labels = with(s.labels, label, number(phis[0]))
		}
		out = append(out, list...)
	}
	return out, nil
}

// share returns which part of the values is at most x.
func (h *histogram) share(x float64, counts []float64) float64 {
	total := counts[len(counts)-1]
	switch {
	case math.IsNaN(x):
		return nan()
	case x < 0:
		return 0
	case math.IsInf(x, 1):
		return 1
	}
	before, lePrev := 0.0, 0.0
	for i, n := range counts {
		le := h.les[i]
		switch {
		case x >= le:
			before, lePrev = n, le
			continue
		case math.IsInf(le, 1) || x == lePrev:
			return before / total
		}
		return (before + (n-before)*(x-lePrev)/(le-lePrev)) / total
	}
	return 1
}

func histogramShare(c *call) ([]*series, error) {
	xs, err := c.scalar(0)
	if err != nil {
		return nil, err
	}
	return c.eachHistogram(1, func(h *histogram, i int, counts []float64) float64 { return h.share(xs[i], counts) })
}

func histogramFraction(c *call) ([]*series, error) {
	lows, err := c.scalar(0)
	if err != nil {
		return nil, err
	}
	highs, err := c.scalar(1)
	if err != nil {
		return nil, err
	}
	return c.eachHistogram(2, func(h *histogram, i int, counts []float64) float64 {
		if !(lows[i] < highs[i]) {
			return nan()
		}
		return h.share(highs[i], counts) - h.share(lows[i], counts)
	})
}

// histogramMoment makes something of mean and variance, with every value in the middle of
// its bucket.
func histogramMoment(f func(avg, variance float64) float64) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		return c.eachHistogram(0, func(h *histogram, _ int, counts []float64) float64 {
			var sum, squares, weight, before, lePrev float64
			for k, n := range counts {
				if le := h.les[k]; !math.IsInf(le, 1) {
					mid, w := (le+lePrev)/2, n-before
					sum, squares, weight = sum+mid*w, squares+mid*mid*w, weight+w
					before, lePrev = n, le
				}
			}
			if weight == 0 {
				return nan()
			}
			avg := sum / weight
			return f(avg, math.Max(0, squares/weight-avg*avg))
		})
	}
}

// bucketsLimit merges neighbours with the fewest values until there are k buckets.
func bucketsLimit(c *call) ([]*series, error) {
	k, err := c.number(0)
	if err != nil {
		return nil, err
	}
	limit := max(3, clampK(k, 1<<20)) // the first and the last one stay
	hs, err := c.histograms(1)
	if err != nil {
		return nil, err
	}
	var out []*series
	for _, h := range hs {
		hits := make([]float64, len(h.lists)) // of each bucket, over all times
		for i := range c.ev.points() {
			before := 0.0
			for b, n := range h.column(nil, i) {
				hits[b] += n - before
				before = n
			}
		}
		for len(h.lists) > limit {
			least := 1
			for b := 1; b < len(h.lists)-2; b++ {
				if hits[b]+hits[b+1] < hits[least]+hits[least+1] {
					least = b
				}
			}
			hits[least+1] += hits[least]
			hits, h.lists = slices.Delete(hits, least, least+1), slices.Delete(h.lists, least, least+1)
		}
		out = append(out, h.lists...)
	}
	return out, nil
}
