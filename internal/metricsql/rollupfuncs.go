package metricsql

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"
)

// rollupTable returns every rollup function by name.
func rollupTable() map[string]rollup {
	spread3 := map[string]func(*window) float64{"min": onValues(slices.Min[[]float64]), "max": onValues(slices.Max[[]float64]), "avg": onValues(mean)}
	t := map[string]rollup{
		"default_rollup":      {make: plain(last), keepName: true, adjusts: true, stale: true},
		"rate":                {make: plain(derivFast), adjusts: true, counter: true},
		"irate":               {make: plain(ideriv), adjusts: true, counter: true},
		"increase":            {make: plain(delta), counter: true},
		"increase_pure":       {make: plain(increasePure), counter: true},
		"increase_prometheus": {make: plain(deltaPrometheus), counter: true},
		"rate_prometheus":     {make: plain(ratePrometheus), counter: true},
		"delta":               {make: plain(delta)},
		"delta_prometheus":    {make: plain(deltaPrometheus)},
		"idelta":              {make: plain(idelta)},
		"deriv":               {make: plain(deriv), adjusts: true},
		"deriv_fast":          {make: plain(derivFast), adjusts: true},
		"ideriv":              {make: plain(ideriv), adjusts: true},
		"rate_over_sum":       {make: plain(rateOverSum), adjusts: true},
		"scrape_interval":     {make: plain(scrapeInterval), adjusts: true},
		"timestamp":           {make: plain(lastTime), adjusts: true},
		"timestamp_with_name": {make: plain(lastTime), keepName: true, adjusts: true},

		"changes":             {make: plain(changes)},
		"changes_prometheus":  {make: plain(changesPrometheus)},
		"resets":              {make: plain(resets)},
		"increases_over_time": {make: plain(func(w *window) float64 { return w.steps(1, false) })},
		"decreases_over_time": {make: plain(func(w *window) float64 { return w.steps(-1, false) })},
		"ascent_over_time":    {make: plain(func(w *window) float64 { return w.steps(1, true) })},
		"descent_over_time":   {make: plain(func(w *window) float64 { return w.steps(-1, true) })},
		"integrate":           {make: plain(integrate)},
		"lag":                 {make: plain(lag)},
		"lifetime":            {make: plain(lifetime)},

		"tfirst_over_time":        {make: plain(over(func(w *window) float64 { return float64(w.times[0]) / 1e3 }))},
		"tlast_over_time":         {make: plain(lastTime)},
		"tmin_over_time":          {make: plain(func(w *window) float64 { return w.timeOf(func(a, b float64) bool { return a <= b }) })},
		"tmax_over_time":          {make: plain(func(w *window) float64 { return w.timeOf(func(a, b float64) bool { return a >= b }) })},
		"tlast_change_over_time":  {make: plain(lastChange)},
		"stale_samples_over_time": {make: plain(staleSamples), stale: true},

		"mode_over_time":        {make: plain(over(func(w *window) float64 { return mode(w.prev, w.values) })), keepName: true},
		"absent_over_time":      {make: plain(func(w *window) float64 { return ifElse(len(w.values) == 0, 1, nan()) })},
		"present_over_time":     {make: plain(over(func(*window) float64 { return 1 }))},
		"count_over_time":       {make: plain(over(func(w *window) float64 { return float64(len(w.values)) }))},
		"zscore_over_time":      {make: plain(over(zscoreOver))},
		"outlier_iqr_over_time": {make: plain(over(outlierIQR))},

		"predict_linear":     {make: predictLinear, keepName: true},
		"quantile_over_time": {make: withNumber(func(phi float64, w *window) float64 { return quantile(phi, w.values) }), keepName: true},
		"duration_over_time": {make: withNumber(durationOver)},
		"holt_winters":       {make: holtWinters, keepName: true},

		"hoeffding_bound_lower": {make: withNumber(func(phi float64, w *window) float64 {
			bound, avg := hoeffding(phi, w.values)
			return avg - bound
		}), keepName: true},
		"hoeffding_bound_upper": {make: withNumber(func(phi float64, w *window) float64 {
			bound, avg := hoeffding(phi, w.values)
			return avg + bound
		}), keepName: true},

		"rollup":                 {make: rollupOf(spread3), keepName: true, adjusts: true},
		"rollup_rate":            {make: rollupOf(spread3), adjusts: true, counter: true, pre: rates},
		"rollup_deriv":           {make: rollupOf(spread3), adjusts: true, pre: rates},
		"rollup_increase":        {make: rollupOf(spread3), counter: true, pre: deltas},
		"rollup_delta":           {make: rollupOf(spread3), pre: deltas},
		"rollup_scrape_interval": {make: rollupOf(spread3), adjusts: true, pre: intervals},
		"rollup_candlestick":     {make: candlestick, keepName: true, adjusts: true},
		"quantiles_over_time":    {make: quantilesOver, keepName: true},
		"aggr_over_time":         {make: aggrOver},
		"count_values_over_time": {spread: countValuesOver},
		"histogram_over_time":    {spread: histogramOver},
	}
	addValueRollups(t)
	addCompareRollups(t)
	return t
}

// addValueRollups adds the functions of the values alone.
func addValueRollups(t map[string]rollup) {
	for name, f := range map[string]func([]float64) float64{
		"sum_over_time": sum, "sum2_over_time": sumSquares, "stddev_over_time": stddev, "stdvar_over_time": variance,
		"distinct_over_time": distinct, "mad_over_time": mad,
		"range_over_time": func(vs []float64) float64 { return slices.Max(vs) - slices.Min(vs) },
	} {
		t[name] = rollup{make: plain(onValues(f))}
	}
	for name, f := range map[string]func([]float64) float64{
		"avg_over_time": mean, "min_over_time": slices.Min[[]float64], "max_over_time": slices.Max[[]float64],
		"geomean_over_time": geomean,
		"median_over_time":  func(vs []float64) float64 { return quantile(0.5, vs) },
		"first_over_time":   func(vs []float64) float64 { return vs[0] },
		"last_over_time":    func(vs []float64) float64 { return vs[len(vs)-1] },
	} {
		t[name] = rollup{make: plain(onValues(f)), keepName: true}
	}
}

// addCompareRollups adds those that compare every value with a number.
func addCompareRollups(t map[string]rollup) {
	for op, holds := range map[string]func(v, limit float64) bool{
		"le": func(v, x float64) bool { return v <= x }, "gt": func(v, x float64) bool { return v > x },
		"eq": func(v, x float64) bool { return v == x }, "ne": func(v, x float64) bool { return v != x },
	} {
		count := func(x float64, w *window) float64 {
			n := 0
			for _, v := range w.values {
				if holds(v, x) {
					n++
				}
			}
			return float64(n)
		}
		t["count_"+op+"_over_time"] = rollup{make: withNumber(count)}
		if op == "ne" {
			continue
		}
		t["share_"+op+"_over_time"] = rollup{make: withNumber(func(x float64, w *window) float64 { return count(x, w) / float64(len(w.values)) })}
		t["sum_"+op+"_over_time"] = rollup{make: withNumber(func(x float64, w *window) float64 {
			total := 0.0
			for _, v := range w.values {
				if holds(v, x) {
					total += v
				}
			}
			return total
		})}
	}
}

func ifElse(cond bool, a, b float64) float64 {
	if cond {
		return a
	}
	return b
}

// plain makes one output without arguments.
func plain(f func(*window) float64) func(*call) ([]output, error) {
	return func(c *call) ([]output, error) {
		if c.has(0) {
			return nil, c.errorf("%d arguments too many", len(c.args))
		}
		return []output{{f: f}}, nil
	}
}

// over is f, and NaN of an empty window.
func over(f func(*window) float64) func(*window) float64 {
	return func(w *window) float64 {
		if len(w.values) == 0 {
			return nan()
		}
		return f(w)
	}
}

func onValues(f func([]float64) float64) func(*window) float64 {
	return over(func(w *window) float64 { return f(w.values) })
}

// withNumber makes one output with a number, which may change from point to point.
func withNumber(f func(x float64, w *window) float64) func(*call) ([]output, error) {
	return func(c *call) ([]output, error) {
		xs, err := c.scalar(0)
		if err != nil {
			return nil, err
		}
		return []output{{f: over(func(w *window) float64 { return f(xs[w.i], w) })}}, nil
	}
}

func last(w *window) float64 {
	if n := len(w.values); n > 0 && !value.IsStaleNaN(w.values[n-1]) {
		return w.values[n-1]
	}
	return nan()
}

// begin returns the sample from which a change in the window counts, and the rest.
func (w *window) begin() (v float64, at int64, rest []float64, ok bool) {
	if !math.IsNaN(w.prev) {
		return w.prev, w.prevTime, w.values, true
	}
	if len(w.values) == 0 {
		return nan(), 0, nil, false
	}
	return w.values[0], w.times[0], w.values[1:], true
}

// derivFast is the slope from the sample before the window to its last one.
func derivFast(w *window) float64 {
	v, at, rest, ok := w.begin()
	switch {
	case !ok:
		return nan()
	case len(w.values) == 0:
		return 0
	case len(rest) == 0:
		return nan() // one sample: since when is not known
	}
	n := len(w.values) - 1
	return (w.values[n] - v) / (float64(w.times[n]-at) / 1e3)
}

// delta is the change from the sample before the window. A series that begins in the
// window began at 0 if its first value is small next to its changes.
func delta(w *window) float64 {
	prev, values := w.prev, w.values
	if math.IsNaN(prev) {
		if len(values) == 0 {
			return nan()
		}
		if !math.IsNaN(w.realPrev) {
			return values[len(values)-1] - w.realPrev
		}
		d := 10.0
		if len(values) > 1 {
			d = values[1] - values[0]
		} else if !math.IsNaN(w.realNext) {
			d = w.realNext - values[0]
		}
		if d == 0 {
			d = 10
		}
		if math.Abs(values[0]) < 10*(math.Abs(d)+1) {
			prev = 0
		} else {
			prev, values = values[0], values[1:]
		}
	}
	if len(values) == 0 {
		return 0
	}
	return values[len(values)-1] - prev
}

func increasePure(w *window) float64 {
	prev := w.prev
	if math.IsNaN(prev) {
		if len(w.values) == 0 {
			return nan()
		}
		prev = 0 // counters begin there
		if !math.IsNaN(w.realPrev) {
			prev = w.realPrev
		}
	}
	if len(w.values) == 0 {
		return 0
	}
	return w.values[len(w.values)-1] - prev
}

func deltaPrometheus(w *window) float64 {
	if len(w.values) < 2 {
		return nan()
	}
	return w.values[len(w.values)-1] - w.values[0]
}

func ratePrometheus(w *window) float64 { return deltaPrometheus(w) / (float64(w.span) / 1e3) }

func ideriv(w *window) float64 {
	n := len(w.values)
	if n == 0 || n == 1 && math.IsNaN(w.prev) {
		return nan()
	}
	v, at := w.prev, w.prevTime
	for i := n - 2; i >= 0; i-- {
		if w.times[i] < w.times[n-1] {
			v, at = w.values[i], w.times[i]
			break
		}
	}
	return (w.values[n-1] - v) / (float64(w.times[n-1]-at) / 1e3)
}

func idelta(w *window) float64 {
	switch n := len(w.values); {
	case n == 0 && math.IsNaN(w.prev):
		return nan()
	case n == 0 || n == 1 && math.IsNaN(w.prev):
		return 0
	case n == 1:
		return w.values[0] - w.prev
	default:
		return w.values[n-1] - w.values[n-2]
	}
}

func deriv(w *window) float64 {
	if len(w.values) == 0 {
		return nan()
	}
	_, slope := regression(w.values, w.times, w.at)
	return slope
}

func rateOverSum(w *window) float64 {
	if len(w.values) == 0 {
		return nan()
	}
	return sum(w.values) / (float64(w.span) / 1e3)
}

func scrapeInterval(w *window) float64 {
	n := len(w.values)
	if n == 0 || n == 1 && math.IsNaN(w.prev) {
		return nan()
	}
	if math.IsNaN(w.prev) {
		return float64(w.times[n-1]-w.times[0]) / 1e3 / float64(n-1)
	}
	return float64(w.times[n-1]-w.prevTime) / 1e3 / float64(n)
}

func lastTime(w *window) float64 {
	if n := len(w.times); n > 0 {
		return float64(w.times[n-1]) / 1e3
	}
	return nan()
}

// differs reports whether two values differ by more than rounding.
func differs(a, b float64) bool { return a != b && math.Abs(a-b) >= 1e-12*math.Abs(a) }

func changes(w *window) float64 {
	prev, values, n := w.prev, w.values, 0
	if math.IsNaN(prev) {
		if len(values) == 0 {
			return nan()
		}
		prev, values, n = values[0], values[1:], 1
	}
	return float64(n + countChanges(prev, values))
}

func changesPrometheus(w *window) float64 {
	if len(w.values) == 0 {
		return nan()
	}
	return float64(countChanges(w.values[0], w.values[1:]))
}

func countChanges(prev float64, values []float64) int {
	n := 0
	for _, v := range values {
		if differs(v, prev) {
			n, prev = n+1, v
		}
	}
	return n
}

func resets(w *window) float64 { return w.steps(-1, false) }

// steps counts the rises (sign 1) or falls (-1) from sample to sample, or adds them up.
func (w *window) steps(sign float64, amount bool) float64 {
	prev, _, rest, ok := w.begin()
	if !ok {
		return nan()
	}
	n, total := 0, 0.0
	for _, v := range rest {
		if d := (v - prev) * sign; d > 0 && (amount || differs(v, prev)) {
			n, total = n+1, total+d
		}
		prev = v
	}
	if amount {
		return total
	}
	return float64(n)
}

func integrate(w *window) float64 {
	v, at, rest, ok := w.begin()
	if !ok {
		return nan()
	}
	if !math.IsNaN(w.prev) {
		at = w.at - w.span // it held when the window began
	}
	times := w.times[len(w.times)-len(rest):]
	total := 0.0
	for i, next := range rest {
		total += v * float64(times[i]-at) / 1e3
		v, at = next, times[i]
	}
	if math.IsNaN(w.realNext) {
		return total // how long the last value held is not known
	}
	return total + v*float64(w.at-at)/1e3
}

func lag(w *window) float64 {
	if n := len(w.times); n > 0 {
		return float64(w.at-w.times[n-1]) / 1e3
	}
	if math.IsNaN(w.prev) {
		return nan()
	}
	return float64(w.at-w.prevTime) / 1e3
}

func lifetime(w *window) float64 {
	n := len(w.times)
	if math.IsNaN(w.prev) {
		if n < 2 {
			return nan()
		}
		return float64(w.times[n-1]-w.times[0]) / 1e3
	}
	if n == 0 {
		return nan()
	}
	return float64(w.times[n-1]-w.prevTime) / 1e3
}

// timeOf returns when the value was that no other is better than, the last of several.
func (w *window) timeOf(better func(a, b float64) bool) float64 {
	if len(w.values) == 0 {
		return nan()
	}
	best := 0
	for i, v := range w.values {
		if better(v, w.values[best]) {
			best = i
		}
	}
	return float64(w.times[best]) / 1e3
}

func lastChange(w *window) float64 {
	n := len(w.values)
	if n == 0 {
		return nan()
	}
	for i := n - 2; i >= 0; i-- {
		if w.values[i] != w.values[n-1] {
			return float64(w.times[i+1]) / 1e3
		}
	}
	if math.IsNaN(w.prev) || w.prev != w.values[n-1] {
		return float64(w.times[0]) / 1e3
	}
	return nan()
}

func staleSamples(w *window) float64 {
	if len(w.values) == 0 {
		return nan()
	}
	n := 0
	for _, v := range w.values {
		if value.IsStaleNaN(v) {
			n++
		}
	}
	return float64(n)
}

func zscoreOver(w *window) float64 {
	v := w.values[len(w.values)-1]
	if sd := stddev(w.values); sd > 0 {
		return (v - mean(w.values)) / sd
	}
	return 0
}

func outlierIQR(w *window) float64 {
	v := w.values[len(w.values)-1]
	if low, high := iqr(w.values); v < low || v > high {
		return v
	}
	return nan()
}

func predictLinear(c *call) ([]output, error) {
	secs, err := c.scalar(0)
	if err != nil {
		return nil, err
	}
	return []output{{f: func(w *window) float64 {
		v, slope := regression(w.values, w.times, w.at)
		return v + slope*secs[w.i]
	}}}, nil
}

// durationOver adds up the times between samples not further apart than limit seconds.
func durationOver(limit float64, w *window) float64 {
	total := 0.0
	for i := 1; i < len(w.times); i++ {
		if d := float64(w.times[i]-w.times[i-1]) / 1e3; d <= limit {
			total += d
		}
	}
	return total
}

// holtWinters smooths twice, with a factor of the value and one of the trend.
func holtWinters(c *call) ([]output, error) {
	sfs, err := c.scalar(0)
	if err != nil {
		return nil, err
	}
	tfs, err := c.scalar(1)
	if err != nil {
		return nil, err
	}
	return []output{{f: func(w *window) float64 {
		sf, tf := sfs[w.i], tfs[w.i]
		if !(sf > 0 && sf < 1 && tf > 0 && tf < 1) {
			return nan()
		}
		s0, _, rest, ok := w.begin()
		if !ok || len(rest) == 0 {
			return s0
		}
		b0 := rest[0] - s0
		for _, v := range rest {
			s1 := sf*v + (1-sf)*(s0+b0)
			b1 := tf*(s1-s0) + (1-tf)*b0
			s0, b0 = s1, b1
		}
		return s0
	}}}, nil
}

// hoeffding returns the bound of the mean with probability phi, and the mean.
func hoeffding(phi float64, values []float64) (bound, avg float64) {
	if len(values) == 1 {
		return 0, values[0]
	}
	span := slices.Max(values) - slices.Min(values)
	avg = mean(values)
	if phi >= 1 {
		return math.Inf(1), avg
	}
	if phi <= 0 || span <= 0 {
		return 0, avg
	}
	return span * math.Sqrt(math.Log(1/(1-phi))/(2*float64(len(values)))), avg
}
