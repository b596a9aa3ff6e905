package promql

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// elementwise returns the function of one value with a name, or nil.
func elementwise(name string) func(float64) float64 {
	switch name {
	case "abs":
		return math.Abs
	case "ceil":
		return math.Ceil
	case "floor":
		return math.Floor
	case "exp":
		return math.Exp
	case "sqrt":
		return math.Sqrt
	case "ln":
		return math.Log
	case "log2":
		return math.Log2
	case "log10":
		return math.Log10
	case "deg":
		return func(v float64) float64 { return v * 180 / math.Pi }
	case "rad":
		return func(v float64) float64 { return v * math.Pi / 180 }
	case "sgn":
		return func(v float64) float64 {
			switch {
			case v < 0:
				return -1
			case v > 0:
				return 1
			default:
				return v
			}
		}
	}
	return trigonometric(name)
}

func trigonometric(name string) func(float64) float64 {
	return map[string]func(float64) float64{
		"sin": math.Sin, "cos": math.Cos, "tan": math.Tan,
		"asin": math.Asin, "acos": math.Acos, "atan": math.Atan,
		"sinh": math.Sinh, "cosh": math.Cosh, "tanh": math.Tanh,
		"asinh": math.Asinh, "acosh": math.Acosh, "atanh": math.Atanh,
	}[name]
}

// datePart returns the function with a name that takes a part of a time, or nil.
func datePart(name string) func(time.Time) int {
	return map[string]func(time.Time) int{
		"year": time.Time.Year, "day_of_month": time.Time.Day, "day_of_year": time.Time.YearDay,
		"hour": time.Time.Hour, "minute": time.Time.Minute,
		"month":       func(t time.Time) int { return int(t.Month()) },
		"day_of_week": func(t time.Time) int { return int(t.Weekday()) },
		"days_in_month": func(t time.Time) int {
			return 32 - time.Date(t.Year(), t.Month(), 32, 0, 0, 0, 0, time.UTC).Day()
		},
	}[name]
}

// call evaluates a function.
func (ev *evaluator) call(e *parser.Call) (operand, error) {
	if spec, ok, err := ev.rollupCall(e); err != nil {
		return operand{}, err
	} else if ok {
		if e.Func.Name == "absent_over_time" {
			return ev.absentOverTime(spec)
		}
		return ev.rollup(spec)
	}
	if f := elementwise(e.Func.Name); f != nil {
		in, err := ev.eval(e.Args[0])
		if err != nil {
			return in, err
		}
		return ev.mapValues(in, func(_ int, v float64) float64 { return f(v) })
	}
	if f := datePart(e.Func.Name); f != nil {
		return ev.date(e, f)
	}
	if f := histogramPart(e.Func.Name); f != nil {
		return ev.histogramParts(e, f)
	}
	switch e.Func.Name {
	case "time":
		return operand{scalar: ev.times()}, nil
	case "pi":
		return operand{scalar: ev.constant(math.Pi)}, nil
	case "vector":
		in, err := ev.eval(e.Args[0])
		return operand{rows: []row{{labels: labels.EmptyLabels(), vals: in.scalar}}}, err
	case "scalar":
		return ev.scalar(e)
	case "max_of", "min_of", "clamp_min", "clamp_max", "round", "clamp":
		return ev.bounded(e)
	case "timestamp":
		return ev.timestamp(e)
	case "absent":
		return ev.absent(e)
	case "label_replace", "label_join":
		return ev.relabel(e)
	case "sort", "sort_desc":
		return ev.sort(e)
	case "histogram_quantile":
		return ev.histogramQuantile(e)
	case "histogram_quantiles":
		return ev.histogramQuantiles(e)
	case "histogram_fraction":
		return ev.histogramFraction(e)
	default:
		return operand{}, errFallback
	}
}

// times returns the time of every step in seconds.
func (ev *evaluator) times() []float64 {
	vals := make([]float64, ev.n)
	for i := range vals {
		vals[i] = float64(ev.at(i)) / 1000
	}
	return vals
}

// date evaluates a part of a time: that of the values, or of the step.
func (ev *evaluator) date(e *parser.Call, f func(time.Time) int) (operand, error) {
	part := func(_ int, v float64) float64 { return float64(f(time.Unix(int64(v), 0).UTC())) }
	if len(e.Args) == 0 {
		vals := ev.times()
		for i := range vals {
			vals[i] = part(i, math.Floor(vals[i]))
		}
		return operand{rows: []row{{labels: labels.EmptyLabels(), vals: vals}}}, nil
	}
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	return ev.mapValues(in, part)
}

// scalar is the value of a vector of one element, else NaN.
func (ev *evaluator) scalar(e *parser.Call) (operand, error) {
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	out := ev.constant(math.NaN())
	found := make([]bool, ev.n)
	for _, r := range in.rows {
		for i, v := range r.vals {
			switch {
			case isAbsent(v):
			case found[i]:
				out[i] = math.NaN()
			default:
				out[i], found[i] = v, true
			}
		}
	}
	ev.drop(len(in.rows))
	return operand{scalar: out}, nil
}

// bounded evaluates the functions with scalar parameters.
func (ev *evaluator) bounded(e *parser.Call) (operand, error) {
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	params := [2][]float64{ev.constant(1)}
	for k, a := range e.Args[1:] {
		p, err := ev.eval(a)
		if err != nil {
			return p, err
		}
		params[k] = p.scalar
	}
	a, b := params[0], params[1]
	switch e.Func.Name {
	case "max_of":
		return ev.mapValues(in, func(i int, v float64) float64 { return math.Max(v, a[i]) })
	case "min_of":
		return ev.mapValues(in, func(i int, v float64) float64 { return math.Min(v, a[i]) })
	case "clamp_min":
		b = ev.constant(math.Inf(1))
	case "clamp_max":
		a, b = ev.constant(math.Inf(-1)), a
	case "round":
		return ev.mapValues(in, func(i int, v float64) float64 {
			inverse := 1 / a[i]
			return math.Floor(v*inverse+0.5) / inverse
		})
	}
	return ev.mapValues(in, func(i int, v float64) float64 {
		if b[i] < a[i] {
			return absent()
		}
		return math.Max(a[i], math.Min(b[i], v))
	})
}
