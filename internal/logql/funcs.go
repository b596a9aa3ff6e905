package logql

// use says whether a range function takes samples unwrapped from a label.
type use uint8

const (
	never use = iota
	maybe
	always
)

// rangeFunc is what the parser and the evaluator must know of a range function.
type rangeFunc struct {
	name     string
	unwrap   use
	grouping bool // may be followed by by (...) or without (...)
	param    bool // needs a number before the range
	value    entryValue
	acc      accKind
	perSec   bool // the result is divided by the range in seconds
	merges   string
}

// entryValue is what an entry counts for without unwrap.
type entryValue uint8

const (
	valueOne   entryValue = iota // 1
	valueBytes                   // length of the line
)

// accKind chooses the accumulator of a window.
type accKind uint8

const (
	accCount accKind = iota
	accSum
	accAvg
	accMin
	accMax
	accFirst
	accLast
	accVar
	accStddev
	accQuantile
	accCounter
	accAbsent
)

// rangeFuncs lists every range function. merges names the vector aggregation that may be
// computed together with it: sum of counts is the count of all.
var rangeFuncs = [...]rangeFunc{ //nolint:gochecknoglobals // read-only table
	{name: "rate", unwrap: maybe, acc: accCount, perSec: true, merges: "sum"},
	{name: "rate_counter", unwrap: always, acc: accCounter},
	{name: "count_over_time", unwrap: never, acc: accCount, merges: "sum"},
	{name: "bytes_rate", unwrap: never, value: valueBytes, acc: accSum, perSec: true, merges: "sum"},
	{name: "bytes_over_time", unwrap: never, value: valueBytes, acc: accSum, merges: "sum"},
	{name: "avg_over_time", unwrap: always, grouping: true, acc: accAvg},
	{name: "sum_over_time", unwrap: always, acc: accSum, merges: "sum"},
	{name: "min_over_time", unwrap: always, grouping: true, acc: accMin, merges: "min"},
	{name: "max_over_time", unwrap: always, grouping: true, acc: accMax, merges: "max"},
	{name: "stdvar_over_time", unwrap: always, grouping: true, acc: accVar},
	{name: "stddev_over_time", unwrap: always, grouping: true, acc: accStddev},
	{name: "quantile_over_time", unwrap: always, grouping: true, param: true, acc: accQuantile},
	{name: "first_over_time", unwrap: always, grouping: true, acc: accFirst},
	{name: "last_over_time", unwrap: always, grouping: true, acc: accLast},
	{name: "absent_over_time", unwrap: maybe, acc: accAbsent},
}

// rangeFuncOf returns the function called name, nil if there is none.
func rangeFuncOf(name string) *rangeFunc {
	for i := range rangeFuncs {
		if rangeFuncs[i].name == name {
			return &rangeFuncs[i]
		}
	}
	return nil
}

// isVectorAgg reports whether name is a vector aggregation.
func isVectorAgg(name string) bool {
	switch name {
	case "sum", "avg", "count", "max", "min", "stddev", "stdvar", "bottomk", "topk", "sort",
		"sort_desc", "approx_topk":
		return true
	}
	return false
}

// takesK reports whether the vector aggregation name has a parameter.
func takesK(name string) bool {
	return name == "topk" || name == "bottomk" || name == "approx_topk"
}
