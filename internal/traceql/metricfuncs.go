package traceql

// metricFunc is a function that ends a metrics query.
type metricFunc uint8

const (
	fnRate metricFunc = iota
	fnCount
	fnMin
	fnMax
	fnAvg
	fnSum
	fnQuantile
	fnHistogram
	fnCompare
)

// metricFuncInfo describes a metrics function.
type metricFuncInfo struct {
	name  string
	attr  bool // takes an attribute
	maxBy int  // how many attributes by() may name
}

//nolint:gochecknoglobals // read-only table
var metricFuncs = [...]metricFuncInfo{
	fnRate:      {"rate", false, 5},
	fnCount:     {"count_over_time", false, 5},
	fnMin:       {"min_over_time", true, 5},
	fnMax:       {"max_over_time", true, 5},
	fnAvg:       {"avg_over_time", true, 4},
	fnSum:       {"sum_over_time", true, 5},
	fnQuantile:  {"quantile_over_time", true, 4},
	fnHistogram: {"histogram_over_time", true, 4},
	fnCompare:   {"compare", false, 0},
}

// String returns the function's name.
func (f metricFunc) String() string { return metricFuncs[f].name }

func findMetricFunc(name string) (metricFunc, bool) {
	for i := range metricFuncs {
		if metricFuncs[i].name == name {
			return metricFunc(i), true
		}
	}
	return 0, false
}
