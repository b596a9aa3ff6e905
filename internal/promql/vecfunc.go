package promql

import (
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// elementwise returns the functions of one value.
func elementwise() map[string]func(float64) float64 {
	return map[string]func(float64) float64{
		"abs": math.Abs, "ceil": math.Ceil, "floor": math.Floor, "exp": math.Exp, "sqrt": math.Sqrt,
		"ln": math.Log, "log2": math.Log2, "log10": math.Log10,
		"sin": math.Sin, "cos": math.Cos, "tan": math.Tan,
		"deg": func(v float64) float64 { return v * 180 / math.Pi },
		"rad": func(v float64) float64 { return v * math.Pi / 180 },
		"sgn": func(v float64) float64 {
			switch {
			case v < 0:
				return -1
			case v > 0:
				return 1
			default:
				return v
			}
		},
	}
}

// rollupCall returns the rollup that a call over a range is, if it is one.
func rollupCall(e *parser.Call) (rollupSpec, bool) {
	f, ok := rollupOfCall(e)
	if !ok {
		return rollupSpec{}, false
	}
	arg := e.Args[len(e.Args)-1]
	ms, ok := arg.(*parser.MatrixSelector)
	if !ok || ms.RangeExpr != nil {
		return rollupSpec{}, false
	}
	vs, ok := ms.VectorSelector.(*parser.VectorSelector)
	if !ok {
		return rollupSpec{}, false
	}
	name := e.Func.Name
	return rollupSpec{
		vs: vs, window: ms.Range.Milliseconds(), f: f, name: name, keepName: name == "last_over_time",
		counter: name == "rate" || name == "increase", arg: arg,
	}, true
}

// rollupOfCall returns the function over a range that e calls.
func rollupOfCall(e *parser.Call) (rollupFunc, bool) {
	if e.Func.Name == "quantile_over_time" {
		q, ok := number(e.Args[0])
		return quantileOverTime(q), ok && q >= 0 && q <= 1
	}
	f, ok := rollups()[e.Func.Name]
	return f, ok && len(e.Args) == 1
}

// call evaluates a function.
func (ev *evaluator) call(e *parser.Call) (operand, error) {
	if spec, ok := rollupCall(e); ok {
		rows, err := ev.rollup(spec.arg, spec)
		return operand{rows: rows}, err
	}
	if f, ok := elementwise()[e.Func.Name]; ok && len(e.Args) == 1 {
		in, err := ev.eval(e.Args[0])
		if err != nil {
			return in, err
		}
		return ev.mapValues(in, true, f)
	}
	switch e.Func.Name {
	case "time":
		vals := make([]float64, ev.n)
		for i := range vals {
			vals[i] = float64(ev.at(i)) / 1000
		}
		return operand{scalar: vals}, nil
	case "vector":
		in, err := ev.eval(e.Args[0])
		return operand{rows: []row{{labels.EmptyLabels(), in.scalar}}}, err
	case "clamp_min", "clamp_max", "round", "clamp":
		return ev.bounded(e)
	case "histogram_quantile":
		rows, err := ev.histogramQuantile(e)
		return operand{rows: rows}, err
	default:
		return operand{}, errFallback
	}
}

// number returns the value of a literal argument.
func number(e parser.Expr) (float64, bool) {
	switch e := e.(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.ParenExpr:
		return number(e.Expr)
	case *parser.UnaryExpr:
		v, ok := number(e.Expr)
		if e.Op == parser.SUB {
			v = -v
		}
		return v, ok
	}
	return 0, false
}

// bounded evaluates the functions with literal bounds.
func (ev *evaluator) bounded(e *parser.Call) (operand, error) {
	var args []float64
	for _, a := range e.Args[1:] {
		v, ok := number(a)
		if !ok {
			return operand{}, errFallback
		}
		args = append(args, v)
	}
	var f func(float64) float64
	switch {
	case e.Func.Name == "clamp_min":
		f = func(v float64) float64 { return math.Max(args[0], v) }
	case e.Func.Name == "clamp_max":
		f = func(v float64) float64 { return math.Min(args[0], v) }
	case e.Func.Name == "clamp" && args[0] <= args[1]:
		f = func(v float64) float64 { return math.Max(args[0], math.Min(args[1], v)) }
	case e.Func.Name == "round":
		inverse := 1.0
		if len(args) == 1 {
			inverse = 1 / args[0]
		}
		f = func(v float64) float64 { return math.Floor(v*inverse+0.5) / inverse }
	default:
		return operand{}, errFallback
	}
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	return ev.mapValues(in, true, f)
}

// bucketSet is the buckets of one classic histogram.
type bucketSet struct {
	labels labels.Labels // without le and name
	bounds []float64
	rows   []int
}

// histogramQuantile evaluates histogram_quantile over classic buckets, with Prometheus'
// interpolation. Buckets that are not monotonic or have no number for a bound come with
// warnings, which Prometheus' engine words.
func (ev *evaluator) histogramQuantile(e *parser.Call) ([]row, error) {
	q, ok := number(e.Args[0])
	if !ok || math.IsNaN(q) || q < 0 || q > 1 {
		return nil, errFallback
	}
	in, err := ev.eval(e.Args[1])
	if err != nil {
		return nil, err
	}
	sets, err := bucketSets(in.rows)
	if err != nil {
		return nil, err
	}
	out := make([]row, 0, len(sets))
	for _, set := range sets {
		vals, err := ev.newRow()
		if err != nil {
			return nil, err
		}
		var buckets promql.Buckets
		for i := range vals {
			buckets = buckets[:0]
			for k, r := range set.rows {
				if v := in.rows[r].vals[i]; !isAbsent(v) {
					buckets = append(buckets, promql.Bucket{UpperBound: set.bounds[k], Count: v})
				}
			}
			if len(buckets) == 0 {
				continue
			}
			v, forced, _, _, _, _ := promql.BucketQuantile(q, buckets)
			if forced {
				return nil, errFallback
			}
			vals[i] = v
		}
		out = append(out, row{set.labels, vals})
	}
	return dropEmpty(out), checkUnique(out)
}

// bucketSets groups rows by all labels but le.
func bucketSets(rows []row) ([]*bucketSet, error) {
	index := map[string]*bucketSet{}
	var sets []*bucketSet
	var buf []byte
	lb := labels.NewBuilder(labels.EmptyLabels())
	for i, r := range rows {
		bound, err := strconv.ParseFloat(r.labels.Get(labels.BucketLabel), 64)
		if err != nil {
			return nil, errFallback
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
	return sets, nil
}
