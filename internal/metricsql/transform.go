package metricsql

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metricsql"
)

// transform is a function over series on the grid.
type transform struct {
	min, max int // arguments; max < 0 means any number
	eval     func(c *call) ([]*series, error)
	keepName bool // the result is a value of the metric
}

func (t transform) arity() string {
	switch {
	case t.max < 0:
		return fmt.Sprintf("%d or more", t.min)
	case t.min == t.max:
		return fmt.Sprint(t.min)
	}
	return fmt.Sprintf("%d to %d", t.min, t.max)
}

// transformTable returns every function over the grid by name.
func transformTable() map[string]transform {
	t := map[string]transform{
		"absent":            {min: 1, max: 1, eval: absent},
		"bitmap_and":        {min: 2, max: 2, eval: bitmap(func(a, b uint64) uint64 { return a & b })},
		"bitmap_or":         {min: 2, max: 2, eval: bitmap(func(a, b uint64) uint64 { return a | b })},
		"bitmap_xor":        {min: 2, max: 2, eval: bitmap(func(a, b uint64) uint64 { return a ^ b })},
		"clamp":             {min: 3, max: 3, keepName: true, eval: clamp(1, 2)},
		"clamp_min":         {min: 2, max: 2, keepName: true, eval: clamp(1, 0)},
		"clamp_max":         {min: 2, max: 2, keepName: true, eval: clamp(0, 1)},
		"round":             {min: 1, max: 2, keepName: true, eval: round},
		"drop_empty_series": {min: 1, max: 1, keepName: true, eval: dropEmpty},
		"limit_offset":      {min: 3, max: 3, keepName: true, eval: limitOffset},
		"scalar":            {min: 1, max: 1, eval: scalarOf},
		"vector":            {min: 1, max: 1, keepName: true, eval: func(c *call) ([]*series, error) { return c.series(0) }},
		"union":             {max: -1, keepName: true, eval: union},
		"":                  {max: -1, keepName: true, eval: union},
		"timezone_offset":   {min: 1, max: 1, eval: timezoneOffset},

		"time":  {eval: func(c *call) ([]*series, error) { return c.ev.generate(func(at float64) float64 { return at }), nil }},
		"start": {eval: func(c *call) ([]*series, error) { return c.ev.constant(float64(c.ev.start) / 1e3), nil }},
		"end":   {eval: func(c *call) ([]*series, error) { return c.ev.constant(float64(c.ev.end) / 1e3), nil }},
		"step":  {eval: func(c *call) ([]*series, error) { return c.ev.constant(float64(c.ev.step) / 1e3), nil }},
		"pi":    {eval: func(c *call) ([]*series, error) { return c.ev.constant(math.Pi), nil }},
		"now": {eval: func(c *call) ([]*series, error) {
			return c.ev.constant(float64(time.Now().UnixMilli()) / 1e3), nil
		}},
		"rand":             {max: 1, eval: random((*rand.Rand).Float64)},
		"rand_normal":      {max: 1, eval: random((*rand.Rand).NormFloat64)},
		"rand_exponential": {max: 1, eval: random((*rand.Rand).ExpFloat64)},
	}
	for name, f := range map[string]func(float64) float64{
		"abs": math.Abs, "exp": math.Exp, "ln": math.Log, "log2": math.Log2, "log10": math.Log10, "sqrt": math.Sqrt,
		"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "asin": math.Asin, "acos": math.Acos,
		"sinh": math.Sinh, "cosh": math.Cosh, "tanh": math.Tanh, "asinh": math.Asinh, "acosh": math.Acosh, "atan": math.Atan, "atanh": math.Atanh,
		"deg": func(v float64) float64 { return v * 180 / math.Pi }, "rad": func(v float64) float64 { return v * math.Pi / 180 },
		"sgn": sign,
	} {
		t[name] = transform{min: 1, max: 1, eval: pointwise(f)}
	}
	for name, f := range map[string]func(float64) float64{"ceil": math.Ceil, "floor": math.Floor} {
		t[name] = transform{min: 1, max: 1, keepName: true, eval: pointwise(f)}
	}
	for name, f := range map[string]func(time.Time) int{
		"minute": time.Time.Minute, "hour": time.Time.Hour, "month": func(at time.Time) int { return int(at.Month()) }, "year": time.Time.Year,
		"day_of_month": time.Time.Day, "day_of_week": func(at time.Time) int { return int(at.Weekday()) }, "day_of_year": time.Time.YearDay,
		"days_in_month": func(at time.Time) int { return time.Date(at.Year(), at.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() },
	} {
		t[name] = transform{max: 1, eval: datePart(f)}
	}
	addLabelFunctions(t)
	addRangeFunctions(t)
	addHistogramFunctions(t)
	return t
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return v
}

// pointwise applies f to every value.
func pointwise(f func(float64) float64) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		list, err := c.series(0)
		for _, s := range list {
			for i, v := range s.values {
				s.values[i] = f(v)
			}
		}
		return list, err
	}
}

// datePart takes a part of the date in UTC of each value, or of each time.
func datePart(f func(time.Time) int) func(*call) ([]*series, error) {
	part := func(v float64) float64 {
		if math.IsNaN(v) || math.Abs(v) > 1e12 {
			return nan()
		}
		return float64(f(time.Unix(int64(v), 0).UTC()))
	}
	return func(c *call) ([]*series, error) {
		if !c.has(0) {
			return c.ev.generate(part), nil
		}
		return pointwise(part)(c)
	}
}

// absent is 1 where no series has a value.
func absent(c *call) ([]*series, error) {
	list, err := c.series(0)
	if err != nil {
		return nil, err
	}
	return c.ev.absentFrom(c.args[0], list, math.IsNaN), nil
}

// absentFrom is 1 where absent is true of every series of expr. Its labels are those that
// the selector names.
func (ev *evaluator) absentFrom(expr metricsql.Expr, list []*series, absent func(float64) bool) []*series {
	out := ev.constant(1)
	out[0].labels = equalLabels(expr)
	for _, s := range list {
		for i, v := range s.values {
			if !absent(v) {
				out[0].values[i] = nan()
			}
		}
	}
	return out
}

func bitmap(f func(a, b uint64) uint64) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		list, err := c.series(0)
		if err != nil {
			return nil, err
		}
		masks, err := c.scalar(1)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			for i, v := range s.values {
				if math.IsNaN(v) || math.IsNaN(masks[i]) {
					s.values[i] = nan()
					continue
				}
				s.values[i] = float64(f(uint64(v), uint64(masks[i])))
			}
		}
		return list, nil
	}
}

// clamp bounds values by the arguments low and high, 0 for none.
func clamp(low, high int) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		list, err := c.series(0)
		if err != nil {
			return nil, err
		}
		bound := func(at int, cut func(v, bound float64) bool) error {
			if at == 0 {
				return nil
			}
			bounds, err := c.scalar(at)
			if err != nil {
				return err
			}
			for _, s := range list {
				for i, v := range s.values {
					if cut(v, bounds[i]) {
						s.values[i] = bounds[i]
					}
				}
			}
			return nil
		}
		if err := bound(high, func(v, b float64) bool { return v > b }); err != nil {
			return nil, err
		}
		return list, bound(low, func(v, b float64) bool { return v < b })
	}
}

// round rounds to multiples of the second argument, 1 if there is none.
func round(c *call) ([]*series, error) {
	list, err := c.series(0)
	if err != nil {
		return nil, err
	}
	steps := c.ev.constant(1)[0].values
	if c.has(1) {
		if steps, err = c.scalar(1); err != nil {
			return nil, err
		}
	}
	for _, s := range list {
		for i, v := range s.values {
			step := steps[i]
			_, exp := math.Frexp(step)
			if step == math.Trunc(step) || exp > 0 {
				s.values[i] = math.Floor(v/step+0.5) * step
				continue
			}
			// 1/step is more often a whole number than step can be written exactly.
			inverse := math.Round(1 / step)
			if math.Abs(inverse*step-1) > 1e-9 {
				s.values[i] = math.Floor(v/step+0.5) * step
				continue
			}
			s.values[i] = math.Floor(v*inverse+0.5) / inverse
		}
	}
	return list, nil
}

func dropEmpty(c *call) ([]*series, error) {
	list, err := c.series(0)
	return slices.DeleteFunc(list, (*series).empty), err
}

// limitOffset takes limit series behind the first offset ones: limit_offset(limit, offset, q).
func limitOffset(c *call) ([]*series, error) {
	limit, err := c.number(0)
	if err != nil {
		return nil, err
	}
	offset, err := c.number(1)
	if err != nil {
		return nil, err
	}
	list, err := c.series(2)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, (*series).empty)
	slices.SortStableFunc(list, func(a, b *series) int { return a.labels.Compare(b.labels) })
	list = list[clampK(offset, len(list)):]
	return list[:clampK(limit, len(list))], nil
}

// scalarOf is the values of the only series, NaN if there are more.
func scalarOf(c *call) ([]*series, error) {
	list, err := c.series(0)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return c.ev.constant(nan()), nil
	}
	list[0].labels = nil
	return list, nil
}

// union returns the series of all arguments; of equal ones the first.
func union(c *call) ([]*series, error) {
	var out []*series
	seen := map[string]bool{}
	for i := range c.args {
		list, err := c.series(i)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			key := labelKey(s.labels)
			if seen[key] {
				continue
			}
			seen[key] = true
			out = append(out, s)
		}
	}
	return out, nil
}

// timezoneOffset is the offset from UTC of a time zone, in seconds.
func timezoneOffset(c *call) ([]*series, error) {
	name, err := c.text(0)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(name, "local") {
		return nil, c.errorf("the server has no time zone of its own; name one such as Europe/Berlin")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, c.errorf("unknown time zone %q", name)
	}
	return c.ev.generate(func(at float64) float64 {
		_, offset := time.Unix(int64(at), 0).In(zone).Zone()
		return float64(offset)
	}), nil
}

// random generates values, the same ones for the same seed.
func random(f func(*rand.Rand) float64) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		seed := rand.Uint64()
		if c.has(0) {
			v, err := c.number(0)
			if err != nil {
				return nil, err
			}
			seed = uint64(int64(v))
		}
		r := rand.New(rand.NewPCG(seed, seed))
		return c.ev.generate(func(float64) float64 { return f(r) }), nil
	}
}
