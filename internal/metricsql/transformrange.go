package metricsql

import (
	"math"
	"slices"
	"strings"
)

// Functions over all values of a series.

func addRangeFunctions(t map[string]transform) {
	onSeries := func(f func(values []float64)) func(*call) ([]*series, error) {
		return func(c *call) ([]*series, error) {
			list, err := c.series(0)
			for _, s := range list {
				f(s.values)
			}
			return list, err
		}
	}
	for name, f := range map[string]func(values []float64){
		"range_avg": repeat(mean), "range_max": repeat(slices.Max[[]float64]), "range_min": repeat(slices.Min[[]float64]), "range_sum": repeat(sum),
		"range_first": repeat(func(vs []float64) float64 { return vs[0] }), "range_last": repeat(func(vs []float64) float64 { return vs[len(vs)-1] }),
		"range_stddev": repeat(stddev), "range_stdvar": repeat(variance), "range_mad": repeat(mad), "range_median": repeat(func(vs []float64) float64 { return quantile(0.5, vs) }),
		"range_zscore": zscores, "keep_last_value": keepLast, "keep_next_value": keepNext, "interpolate": interpolate, "remove_resets": removeResetsGaps,
		"running_sum": running(func(acc, v float64, _ int) float64 { return acc + v }),
		"running_min": running(func(acc, v float64, _ int) float64 { return math.Min(acc, v) }),
		"running_max": running(func(acc, v float64, _ int) float64 { return math.Max(acc, v) }),
		"running_avg": running(func(acc, v float64, n int) float64 { return acc + (v-acc)/float64(n) }),
	} {
		drops := strings.HasPrefix(name, "running_") || slices.Contains([]string{"range_avg", "range_max", "range_min", "range_sum"}, name)
		t[name] = transform{min: 1, max: 1, keepName: !drops, eval: onSeries(f)}
	}
	t["range_linear_regression"] = transform{min: 1, max: 1, keepName: true, eval: rangeRegression}
	t["range_quantile"] = transform{min: 2, max: 2, keepName: true, eval: rangeQuantile}
	t["range_normalize"] = transform{min: 1, max: -1, keepName: true, eval: rangeNormalize}
	t["range_trim_outliers"] = transform{min: 2, max: 2, keepName: true, eval: trim(func(k float64, vs []float64) (low, high float64) {
		middle, d := quantile(0.5, vs), k*mad(vs)
		return middle - d, middle + d
	})}
	t["range_trim_zscore"] = transform{min: 2, max: 2, keepName: true, eval: trim(func(z float64, vs []float64) (low, high float64) {
		avg, d := mean(vs), z*stddev(vs)
		return avg - d, avg + d
	})}
	t["range_trim_spikes"] = transform{min: 2, max: 2, keepName: true, eval: trim(func(phi float64, vs []float64) (low, high float64) {
		return quantile(phi/2, vs), quantile(1-phi/2, vs)
	})}
	t["smooth_exponential"] = transform{min: 2, max: 2, keepName: true, eval: smoothExponential}
}

// repeat makes all values f of them.
func repeat(f func([]float64) float64) func([]float64) {
	return func(values []float64) {
		vs := finite(values)
		if len(vs) == 0 {
			return
		}
		v := f(vs)
		for i := range values {
			values[i] = v
		}
	}
}

func zscores(values []float64) {
	vs := finite(values)
	avg, sd := mean(vs), stddev(vs)
	for i, v := range values {
		values[i] = (v - avg) / sd
	}
}

func keepLast(values []float64) {
	for i := 1; i < len(values); i++ {
		if math.IsNaN(values[i]) {
			values[i] = values[i-1]
		}
	}
}

func keepNext(values []float64) {
	for i := len(values) - 2; i >= 0; i-- {
		if math.IsNaN(values[i]) {
			values[i] = values[i+1]
		}
	}
}

// interpolate draws lines over gaps between values.
func interpolate(values []float64) {
	before := -1
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		if before >= 0 && i-before > 1 {
			d := (v - values[before]) / float64(i-before)
			for k := before + 1; k < i; k++ {
				values[k] = values[before] + d*float64(k-before)
			}
		}
		before = i
	}
}

// removeResetsGaps removes counter resets and leaves gaps.
func removeResetsGaps(values []float64) {
	vs := finite(values)
	removeResets(vs)
	for i, v := range values {
		if !math.IsNaN(v) {
			values[i], vs = vs[0], vs[1:]
		}
	}
}

// running accumulates with f, whose n counts the values so far.
func running(f func(acc, v float64, n int) float64) func([]float64) {
	return func(values []float64) {
		acc, n := nan(), 0
		for i, v := range values {
			if !math.IsNaN(v) {
				n++
				if n == 1 {
					acc = v
				} else {
					acc = f(acc, v, n)
				}
			}
			values[i] = acc
		}
	}
}

// rangeRegression replaces values by the line through them.
func rangeRegression(c *call) ([]*series, error) {
	list, err := c.series(0)
	for _, s := range list {
		var vs []float64
		var times []int64
		for i, v := range s.values {
			if !math.IsNaN(v) {
				vs, times = append(vs, v), append(times, c.ev.start+int64(i)*c.ev.step)
			}
		}
		at, slope := regression(vs, times, c.ev.start)
		for i := range s.values {
			s.values[i] = at + slope*float64(int64(i)*c.ev.step)/1e3
		}
	}
	return list, err
}

func rangeQuantile(c *call) ([]*series, error) {
	phi, err := c.number(0)
	if err != nil {
		return nil, err
	}
	list, err := c.series(1)
	for _, s := range list {
		repeat(func(vs []float64) float64 { return quantile(phi, vs) })(s.values)
	}
	return list, err
}

// rangeNormalize maps the values of each series to [0, 1].
func rangeNormalize(c *call) ([]*series, error) {
	list, err := union(c)
	for _, s := range list {
		vs := finite(s.values)
		if len(vs) == 0 {
			continue
		}
		low := slices.Min(vs)
		d := slices.Max(vs) - low
		for i, v := range s.values {
			if s.values[i] = (v - low) / d; d == 0 && !math.IsNaN(v) {
				s.values[i] = v
			}
		}
	}
	return list, err
}

// trim removes the values outside of the bounds that f finds, given the first argument.
func trim(f func(k float64, vs []float64) (low, high float64)) func(*call) ([]*series, error) {
	return func(c *call) ([]*series, error) {
		k, err := c.number(0)
		if err != nil {
			return nil, err
		}
		list, err := c.series(1)
		for _, s := range list {
			vs := finite(s.values)
			if len(vs) == 0 {
				continue
			}
			low, high := f(k, vs)
			for i, v := range s.values {
				if v < low || v > high {
					s.values[i] = nan()
				}
			}
		}
		return list, err
	}
}

// smoothExponential is the exponential moving average with a factor in [0, 1].
func smoothExponential(c *call) ([]*series, error) {
	list, err := c.series(0)
	if err != nil {
		return nil, err
	}
	factors, err := c.scalar(1)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		avg := nan()
		for i, v := range s.values {
			switch {
			case math.IsNaN(v) || math.IsInf(v, 0):
			case math.IsNaN(avg):
				avg = v
			default:
				f := math.Max(0, math.Min(1, factors[i]))
				avg = avg*(1-f) + v*f
			}
			if !math.IsNaN(avg) {
				s.values[i] = avg
			}
		}
	}
	return list, nil
}
