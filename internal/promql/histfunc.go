package promql

import (
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/kahansum"
)

// Functions of histograms: of native ones, and of the buckets of classic ones.

// histogramPart returns the function with a name that takes a number out of a native
// histogram, or nil.
func histogramPart(name string) func(h *histogram.FloatHistogram) float64 {
	switch name {
	case "histogram_count":
		return func(h *histogram.FloatHistogram) float64 { return h.Count }
	case "histogram_sum":
		return func(h *histogram.FloatHistogram) float64 { return h.Sum }
	case "histogram_avg":
		return func(h *histogram.FloatHistogram) float64 { return h.Sum / h.Count }
	case "histogram_stdvar":
		return histogramVariance
	case "histogram_stddev":
		return func(h *histogram.FloatHistogram) float64 { return math.Sqrt(histogramVariance(h)) }
	}
	return nil
}

// histogramVariance estimates the variance of what a histogram has counted, all of a bucket
// being at its middle.
func histogramVariance(h *histogram.FloatHistogram) float64 {
	mean := h.Sum / h.Count
	var sum, lost float64
	for it := h.AllBucketIterator(); it.Next(); {
		if b := it.At(); b.Count != 0 {
			d := middle(&b, h.UsesCustomBuckets()) - mean
			sum, lost = kahansum.Inc(b.Count*d*d, sum, lost)
		}
	}
	return (sum + lost) / h.Count
}

// middle returns the arithmetic middle of a bucket with custom bounds, the geometric one
// of an exponential bucket, and 0 for the one around zero.
func middle(b *histogram.Bucket[float64], custom bool) float64 {
	switch {
	case custom:
		return (b.Upper + b.Lower) / 2
	case b.Lower <= 0 && b.Upper >= 0:
		return 0
	}
	return math.Copysign(math.Sqrt(b.Upper*b.Lower), b.Upper)
}

// histogramParts evaluates a function that takes a number out of histograms; floats have
// none.
func (ev *evaluator) histogramParts(e *parser.Call, part func(h *histogram.FloatHistogram) float64) (operand, error) {
	arg := e.Args[0]
	for {
		p, ok := arg.(*parser.ParenExpr)
		if !ok {
			break
		}
		arg = p.Expr
	}
	if vs, ok := arg.(*parser.VectorSelector); ok { // that the buckets may be skipped is no matter here
		whole := *vs
		whole.SkipHistogramBuckets = false
		arg = &whole
	}
	in, err := ev.eval(arg)
	if err != nil {
		return in, err
	}
	n := 0
	for _, r := range in.rows {
		described := r.labels.Has("__type__") || r.labels.Has("__unit__")
		if described { // Prometheus keeps these here
			return operand{}, errFallback
		}
		if r.hists == nil {
			ev.drop(1)
			continue
		}
		for k, h := range r.hists {
			r.vals[k] = absent()
			if h != nil {
				r.vals[k] = part(h)
			}
		}
		r.hists = nil
		in.rows[n] = r
		n++
	}
	in.rows = in.rows[:n]
	if !dropNames(in.rows) {
		return operand{}, errFallback
	}
	return in, nil
}

// bucketFunc is a function of the buckets of histograms.
type bucketFunc struct {
	arg     parser.Expr // the histograms
	native  func(step int, h *histogram.FloatHistogram) (float64, annotations.Annotations)
	classic func(step int, buckets promql.Buckets) (v float64, ok bool) // ok is false if Prometheus has something to say
}

// histogramQuantile evaluates histogram_quantile.
func (ev *evaluator) histogramQuantile(e *parser.Call) (operand, error) {
	q, err := ev.eval(e.Args[0])
	if err != nil {
		return q, err
	}
	in, err := ev.eval(e.Args[1])
	if err != nil {
		return in, err
	}
	rows, err := ev.ofBuckets(in.rows, ev.quantileOfBuckets(q.scalar, e.Args[0], e.Args[1], e.Args[0]))
	ev.drop(len(in.rows))
	return operand{rows: rows}, err
}

// quantileOfBuckets returns the function for a quantile, which is by step. Warnings about
// it point at one expression, those about native histograms at blame.
func (ev *evaluator) quantileOfBuckets(q []float64, param, arg, blame parser.Expr) bucketFunc {
	for _, v := range q {
		if !(v >= 0 && v <= 1) {
			ev.annos.Add(annotations.NewInvalidQuantileWarning(v, param.PositionRange()))
		}
	}
	return bucketFunc{
		arg: arg,
		native: func(step int, h *histogram.FloatHistogram) (float64, annotations.Annotations) {
			return promql.HistogramQuantile(q[step], h, "", blame.PositionRange())
		},
		classic: func(step int, buckets promql.Buckets) (float64, bool) {
			v, forced, _, _, _, _ := promql.BucketQuantile(q[step], buckets)
			return v, !forced // that they are not monotonic is told with their bounds
		},
	}
}

// histogramQuantiles evaluates histogram_quantiles: several quantiles, told apart by a
// label.
func (ev *evaluator) histogramQuantiles(e *parser.Call) (operand, error) {
	name, ok := e.Args[1].(*parser.StringLiteral)
	if !ok {
		return operand{}, errFallback
	}
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	var out []row
	lb := labels.NewBuilder(labels.EmptyLabels())
	for _, arg := range e.Args[2:] {
		q, err := ev.eval(arg)
		if err != nil {
			return q, err
		}
		for _, v := range q.scalar {
			if v != q.scalar[0] { // or NaN: labels change with the step
				return operand{}, errFallback
			}
		}
		rows, err := ev.ofBuckets(in.rows, ev.quantileOfBuckets(q.scalar, arg, e.Args[0], e.Args[0]))
		if err != nil {
			return operand{}, err
		}
		for _, r := range rows {
			lb.Reset(r.labels)
			r.labels = lb.Set(name.Val, labels.FormatOpenMetricsFloat(q.scalar[0])).Labels()
			out = append(out, r)
		}
	}
	if !unique(out) {
		return operand{}, errFallback
	}
	ev.drop(len(in.rows))
	return operand{rows: out}, nil
}

// histogramFraction evaluates histogram_fraction.
func (ev *evaluator) histogramFraction(e *parser.Call) (operand, error) {
	var bounds [2][]float64
	for i := range bounds {
		p, err := ev.eval(e.Args[i])
		if err != nil {
			return p, err
		}
		bounds[i] = p.scalar
	}
	in, err := ev.eval(e.Args[2])
	if err != nil {
		return in, err
	}
	rows, err := ev.ofBuckets(in.rows, bucketFunc{
		arg: e.Args[2],
		native: func(step int, h *histogram.FloatHistogram) (float64, annotations.Annotations) {
			return promql.HistogramFraction(bounds[0][step], bounds[1][step], h, "", e.Args[0].PositionRange())
		},
		classic: func(step int, buckets promql.Buckets) (float64, bool) {
			return promql.BucketFraction(bounds[0][step], bounds[1][step], buckets), true
		},
	})
	ev.drop(len(in.rows))
	return operand{rows: rows}, err
}

// ofBuckets evaluates a function of buckets, which leaves in as it is. Where a series is a
// native histogram and a classic one at the same step, it is neither.
func (ev *evaluator) ofBuckets(in []row, f bucketFunc) ([]row, error) {
	sets, index, err := bucketSets(in)
	if err != nil {
		return nil, err
	}
	var out []row
	var key []byte
	var annos annotations.Annotations
	for i := range in {
		r := &in[i]
		if r.hists == nil {
			continue
		}
		vals, err := ev.newRow()
		if err != nil {
			return nil, err
		}
		key = r.labels.Bytes(key)
		set := index[string(key)]
		for k, h := range r.hists {
			switch {
			case h == nil:
			case set.has(in, k):
				annos.Add(annotations.NewMixedClassicNativeHistogramsWarning("", f.arg.PositionRange()))
				set.drop(k, ev.n)
			default:
				v, more := f.native(k, h)
				vals[k] = v
				annos.Merge(more)
			}
		}
		out = append(out, row{labels: dropMetadata(r.labels), vals: vals})
	}
	for _, set := range sets {
		vals, err := ev.newRow()
		if err != nil {
			return nil, err
		}
		var buckets promql.Buckets
		for k := range vals {
			if buckets = set.at(in, k, buckets[:0]); len(buckets) == 0 {
				continue
			}
			v, ok := f.classic(k, buckets)
			if !ok {
				return nil, errFallback
			}
			vals[k] = v
		}
		out = append(out, row{labels: set.labels, vals: vals})
	}
	out = dropEmpty(out)
	if !unique(out) {
		return nil, errFallback
	}
	ev.annos.Merge(annos)
	return out, nil
}

// bucketSet is the buckets of one classic histogram.
type bucketSet struct {
	labels  labels.Labels // without le and name
	bounds  []float64
	rows    []int
	dropped []bool // by step: there is a native histogram, too; nil if there is none
}

// has reports whether there are buckets at a step.
func (s *bucketSet) has(rows []row, step int) bool {
	if s == nil {
		return false
	}
	for _, r := range s.rows {
		if !isAbsent(rows[r].vals[step]) {
			return true
		}
	}
	return false
}

// drop drops the buckets at a step, of n.
func (s *bucketSet) drop(step, n int) {
	if s.dropped == nil {
		s.dropped = make([]bool, n)
	}
	s.dropped[step] = true
}

// at appends the buckets at a step to dst.
func (s *bucketSet) at(rows []row, step int, dst promql.Buckets) promql.Buckets {
	if s.dropped != nil && s.dropped[step] {
		return dst
	}
	for k, r := range s.rows {
		if v := rows[r].vals[step]; !isAbsent(v) {
			dst = append(dst, promql.Bucket{UpperBound: s.bounds[k], Count: v})
		}
	}
	return dst
}

// bucketSets groups rows that have floats by all labels but le, the key of index. Buckets
// that have no number for a bound come with a warning, which Prometheus' engine words.
func bucketSets(rows []row) (sets []*bucketSet, index map[string]*bucketSet, err error) {
	index = map[string]*bucketSet{}
	var buf []byte
	lb := labels.NewBuilder(labels.EmptyLabels())
	for i := range rows {
		r := &rows[i]
		if r.hists != nil && !r.floats() {
			continue
		}
		bound, err := strconv.ParseFloat(r.labels.Get(labels.BucketLabel), 64)
		if err != nil {
			return nil, nil, errFallback
		}
		buf = r.labels.BytesWithoutLabels(buf, labels.BucketLabel)
		set, ok := index[string(buf)]
		if !ok {
			lb.Reset(dropMetadata(r.labels))
			set = &bucketSet{labels: lb.Del(labels.BucketLabel).Labels()}
			index[string(buf)] = set
			sets = append(sets, set)
		}
		set.bounds = append(set.bounds, bound)
		set.rows = append(set.rows, i)
	}
	return sets, index, nil
}
