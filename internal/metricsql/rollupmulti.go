package metricsql

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Rollups that make several series of one: each gets a label that says which it is.

func setLabel(name, value string) model.Labels { return model.Labels{{Name: name, Value: value}} }

// choose returns the output that the argument names, or all of them.
func choose(c *call, label string, order []string, f func(name string) func(*window) float64) ([]output, error) {
	if !c.has(0) {
		var outs []output
		for _, name := range order {
			outs = append(outs, output{setLabel(label, name), f(name)})
		}
		return outs, nil
	}
	name, err := c.text(0)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(order, name) {
		return nil, c.errorf("unknown %q; want one of %s", name, strings.Join(order, ", "))
	}
	return []output{{f: f(name)}}, nil
}

// rollupOf makes minimum, maximum and average of the samples.
func rollupOf(fs map[string]func(*window) float64) func(*call) ([]output, error) {
	return func(c *call) ([]output, error) {
		return choose(c, "rollup", []string{"min", "max", "avg"}, func(name string) func(*window) float64 { return fs[name] })
	}
}

// deltas replaces every sample by the change to the next one, the last one by the change
// before.
func deltas(_ []int64, values []float64) {
	d := 0.0
	for i := range values {
		if i+1 < len(values) {
			d = values[i+1] - values[i]
		}
		values[i] = d
	}
}

// rates replaces every sample by the change a second to the next one, the last one by the
// change before.
func rates(times []int64, values []float64) {
	d := 0.0
	for i := range values {
		if i+1 < len(values) && times[i+1] > times[i] {
			d = (values[i+1] - values[i]) / (float64(times[i+1]-times[i]) / 1e3)
		}
		values[i] = d
	}
}

// intervals replaces every sample by the seconds since the one before; the first one has
// the interval of the second.
func intervals(times []int64, values []float64) {
	for i := len(values) - 1; i > 0; i-- {
		values[i] = float64(times[i]-times[i-1]) / 1e3
	}
	if len(values) > 1 {
		values[0] = values[1]
	} else {
		clear(values)
	}
}

// candlestick makes open, close, low and high.
func candlestick(c *call) ([]output, error) {
	fs := map[string]func(*window) float64{
		"open": onValues(func(vs []float64) float64 { return vs[0] }), "close": last,
		"low": onValues(slices.Min[[]float64]), "high": onValues(slices.Max[[]float64]),
	}
	outs, err := choose(c, "rollup", []string{"open", "close", "low", "high"}, func(name string) func(*window) float64 { return fs[name] })
	if err == nil && c.has(0) { // unlike the others, it keeps the label when one is chosen
		name, _ := c.text(0)
		outs[0].set = setLabel("rollup", name)
	}
	return outs, err
}

// quantilesOver makes a series of each quantile: quantiles_over_time("phi", 0.5, 0.9, m).
func quantilesOver(c *call) ([]output, error) {
	label, err := c.text(0)
	if err != nil {
		return nil, err
	}
	var outs []output
	for i := 1; c.has(i); i++ {
		phis, err := c.scalar(i)
		if err != nil {
			return nil, err
		}
		outs = append(outs, output{setLabel(label, number(phis[0])), over(func(w *window) float64 { return quantile(phis[w.i], w.values) })})
	}
	if len(outs) == 0 {
		return nil, c.errorf("it has no quantiles")
	}
	return outs, nil
}

// aggrOver makes a series of each function named:
// aggr_over_time(("min_over_time", "max_over_time"), m).
func aggrOver(c *call) ([]output, error) {
	list := c
	if c.has(0) {
		if u, ok := c.args[0].(*metricsql.FuncExpr); ok && (u.Name == "" || u.Name == "union") {
			list = &call{ev: c.ev, name: c.name, args: u.Args}
		}
	}
	names, err := list.texts(0)
	if err != nil {
		return nil, err
	}
	var outs []output
	for _, name := range names {
		r, ok := c.ev.engine.rollups[strings.ToLower(name)]
		if !ok || r.make == nil || r.counter || r.stale {
			return nil, c.errorf("%q cannot be used here", name)
		}
		made, err := r.make(&call{ev: c.ev, name: name})
		if err != nil {
			return nil, err
		}
		for _, o := range made {
			outs = append(outs, output{append(setLabel("rollup", name), o.set...), o.f})
		}
	}
	if len(outs) == 0 {
		return nil, c.errorf("it names no functions")
	}
	return outs, nil
}

// number writes a number as label values have it.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// countValuesOver counts each value: count_values_over_time("value", m).
func countValuesOver(c *call) (string, func(*window) map[string]float64, error) {
	label, err := c.text(0)
	return label, func(w *window) map[string]float64 {
		out := map[string]float64{}
		for _, v := range w.values {
			out[number(v)]++
		}
		return out
	}, err
}

// histogramOver counts samples in the ranges of [vmRange].
func histogramOver(c *call) (string, func(*window) map[string]float64, error) {
	if c.has(0) {
		return "", nil, c.errorf("%d arguments too many", len(c.args))
	}
	return "vmrange", func(w *window) map[string]float64 { return vmRanges(w.values) }, nil
}

// vmRanges counts values in 18 ranges a decade from 1e-9 to 1e18, named as VictoriaMetrics
// names them.
func vmRanges(values []float64) map[string]float64 {
	out := map[string]float64{}
	for _, v := range values {
		if r := vmRange(v); r != "" {
			out[r]++
		}
	}
	return out
}

const (
	perDecade  = 18
	minDecade  = -9
	maxDecade  = 18
	lowestName = "0...1.000e-09"
)

// vmRange returns the range of a value, "" if it has none.
func vmRange(v float64) string {
	switch {
	case math.IsNaN(v) || v < 0:
		return ""
	case v <= math.Pow10(minDecade):
		return lowestName
	case v > math.Pow10(maxDecade):
		return fmt.Sprintf("%.3e...+Inf", math.Pow10(maxDecade))
	}
	at := (math.Log10(v) - minDecade) * perDecade
	i := int(at)
	if at == math.Trunc(at) && i > 0 { // ranges include their upper end
		i--
	}
	bound := func(i int) float64 { return math.Pow(10, float64(minDecade)+float64(i)/perDecade) }
	return fmt.Sprintf("%.3e...%.3e", bound(i), bound(i+1))
}
