package promql

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// complianceQueries returns the queries that a PromQL compliance test asks: every function,
// operator, aggregation and modifier in its usual shapes, and what must be an error. Words
// in angle brackets stand for each of a list.
func complianceQueries() []string {
	lists := map[string][]string{
		"agg":      {"sum", "avg", "max", "min", "count", "stddev", "stdvar", "group"},
		"k":        {"topk", "bottomk", "limitk"},
		"by":       {"", "()", "(instance)", "(instance, type)", "(nonexistent)"},
		"q":        {"-0.5", "0.1", "0.5", "0.75", "0.95", "0.90", "0.99", "1", "1.5"},
		"arith":    {"+", "-", "*", "/", "%", "^"},
		"compare":  {"==", "!=", "<", ">", "<=", ">="},
		"binary":   {"+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "atan2"},
		"set":      {"and", "or", "unless"},
		"range":    {"1s", "15s", "1m", "5m", "15m", "1h"},
		"offset":   {"1m", "5m", "10m", "-1m"},
		"at":       {"1700000600", "0", "start()", "end()", "1700000600 offset 2m"},
		"math":     {"abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "deg", "rad", "round"},
		"trig":     {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"},
		"extrap":   {"rate", "increase", "delta"},
		"over":     {"sum_over_time", "avg_over_time", "max_over_time", "min_over_time", "count_over_time", "stddev_over_time", "stdvar_over_time", "present_over_time", "last_over_time", "first_over_time", "mad_over_time", "absent_over_time", "ts_of_last_over_time"},
		"edge":     {"irate", "idelta", "changes", "resets", "deriv"},
		"date":     {"day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"},
		"scalar":   {"0.1", "1.5", "-3", "+Inf", "NaN", "1e3", "0x1f"},
		"literal":  {"42", "1.234", ".123", "1.23e-3", "0x3d", "1_000", "Inf", "+Inf", "-Inf", "NaN", "10 * 60"},
		"hist":     {"histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar"},
		"matchtyp": {`="idle"`, `!="idle"`, `=~"id.*"`, `!~"id.*"`, `=""`, `!=""`, `=~"idle|user"`, `=~".+"`},
	}
	templates := []string{
		"<literal>", "cpu", "cpu{type<matchtyp>}", `{__name__="cpu"}`, `{__name__=~"cpu|memory", type!=""}`, `cpu{instance="a", type="idle"}`, `cpu{foo=""}`,
		"nothing", `cpu{type="none"}`, "gappy", "cpu offset <offset>", "cpu @ <at>", "rate(cpu[5m] @ <at>)", "rate(cpu[5m] offset <offset>)",
		"<agg>(cpu)", "<agg>(nothing)", "<agg> by<by2> (cpu)", "<agg> without<by2> (cpu)", "<agg>(rate(cpu[5m])) by (type)", "<agg>(gappy)", "<agg>(cpu > 100)",
		"<k>(3, cpu)", "<k>(2, cpu) by (type)", "<k>(0, cpu)", "<k>(1000, rate(cpu[1m]))", "topk(scalar(cores), cpu)", "quantile(<q>, cpu)", "quantile by (type) (<q>, cpu)",
		`count_values("value", cores)`, `count_values by (instance) ("value", cores)`, `count_values without (type) ("v", cpu > bool 50)`, "limit_ratio(0.5, cpu)", "limit_ratio(-0.5, cpu)",
		"cpu <binary> <scalar2>", "<scalar2> <binary> cpu", "1 <binary3> 2", "cpu <compare> bool 100", "100 <compare> bool cpu", "1 <compare> bool 2",
		"cpu <binary> cpu", "cpu <arith> on (instance, type) cpu", "cpu <compare> on (instance, type) cpu", "cpu <compare> bool on (instance, type) cpu", "cpu <arith> ignoring (type) group_left () cores",
		"cores <arith> on (instance) group_right () cpu", "cpu * on (instance) group_left (version) info", "sum by (instance) (cpu) / cores", "cpu <set> cpu", `cpu <set> cpu{type="idle"}`, "cpu <set> on (instance) cores", "cpu <set> ignoring (type) cores",
		"rate(cpu[5m]) <set> rate(memory[5m])", "-cpu", "-rate(cpu[5m])", "--1", "-1 ^ 2", "2 ^ 3 ^ 2", "cpu + -cpu", "(1 + 2) * 3",
		"<extrap>(cpu[<range>])", "<edge>(cpu[<range>])", "<over>(cpu[<range>])", "<extrap>(gappy[5m])", "<over>(gappy[5m])", "<edge>(gappy[5m])", "<over>(nothing[5m])",
		"quantile_over_time(<q>, cpu[5m])", "predict_linear(memory[15m], <num>)", "double_exponential_smoothing(memory[5m], 0.5, 0.1)", "double_exponential_smoothing(memory[5m], 2, 0.1)", "double_exponential_smoothing(memory[5m], 0.5, 0)",
		"<math>(cpu)", "<math>(-cpu)", "<trig>(rate(cpu[5m]))", "round(cpu, 5)", "round(cpu, 0.1)", "clamp(cpu, 10, 100)", "clamp(cpu, 100, 10)", "clamp(cpu, NaN, 1)", "clamp_min(cpu, 50)", "clamp_max(cpu, 50)", "clamp_max(cpu, scalar(cores))",
		"pi()", "time()", "vector(1)", "vector(time())", "scalar(cores)", `scalar(cores{instance="a"})`, "scalar(nothing)", "max_of(1, 2)", "min_of(time(), 1)",
		"timestamp(cpu)", "timestamp(cpu offset 1m)", "timestamp(-cpu)", "timestamp(cpu @ 1700000600)", "<date>()", "<date>(vector(1136239445))", "<date>(cpu * 1e6)", "absent(cpu)", "absent(nothing)", `absent(nothing{a="b", c=~"d"})`, "absent(sum(nothing))", `absent_over_time(nothing{a="b"}[5m])`,
		`label_replace(cpu, "host", "h-$1", "instance", "(.*)")`, `label_replace(cpu, "host", "$1$2", "instance", "(.)(.*)")`, `label_replace(cpu, "type", "", "type", "idle")`, `label_replace(cpu, "instance", "x", "", "")`, `label_replace(cpu, "~bad", "x", "", "")`, `label_replace(cpu, "x", "$1", "y", "(")`, `label_replace(cpu, "type", "", "", "")`,
		`label_join(cpu, "all", "-", "instance", "type")`, `label_join(cpu, "all", "-")`, `label_join(cpu, "instance", "", "type")`, "sort(cpu)", "sort_desc(cpu)", `sort_by_label(cpu, "type")`, `sort_by_label_desc(cpu, "type", "instance")`,
		"histogram_quantile(<q>, latency_bucket)", "histogram_quantile(<q>, rate(latency_bucket[5m]))", "histogram_quantile(0.9, sum by (le) (rate(latency_bucket[5m])))", "histogram_quantile(0.9, sum by (le, instance) (rate(latency_bucket[5m])))", "histogram_quantile(0.9, cpu)", `histogram_quantile(0.9, {__name__=~"latency_bucket.*"})`, "histogram_fraction(0, 0.2, rate(latency_bucket[5m]))", `histogram_quantiles(rate(latency_bucket[5m]), "q", 0.5, 0.9)`,
		"<hist>(spans)", "<hist>(rate(spans[5m]))", "histogram_quantile(<q>, spans)", "histogram_quantile(0.9, sum(rate(spans[5m])))", "histogram_fraction(1, 4, spans)", "sum(spans)", "avg(spans)", "<extrap>(spans[5m])", "<edge>(spans[5m])", "<over>(spans[5m])", "spans <binary3> 2", "2 <binary3> spans", "spans <binary3> spans", "max(spans)", "topk(2, spans)", "count(spans)", "abs(spans)", "-spans", `avg(histogram_quantiles(latency_bucket, "q", 0.1, 2))`, "spans </ 2", "spans >/ 2", "timestamp(-spans)", "histogram_avg(sum(rate(spans[5m])))", "histogram_count(spans + spans)", "histogram_fraction(0, 1, latency_bucket)",
		"max_over_time((time() - max(cpu) < 1000)[5m:10s] offset 5m)", "avg_over_time(rate(cpu[1m])[2m:10s])", "sum_over_time(cpu[5m:])", "rate(cpu[5m:30s])", "max_over_time(max_over_time(cpu[1m:10s])[2m:30s])", "quantile_over_time(0.5, sum(cpu)[10m:1m])", "sum_over_time(cpu[5m:1m] @ 1700000600)", "min_over_time(sum(rate(cpu[2m]))[5m:30s] @ end() offset 1m)", "count_over_time(time()[5m:1m])", "absent_over_time(nothing[5m:1m])",
		"info(cpu)", `info(cpu, {version=~".+"})`, `info(rate(cpu[5m]), {__name__="info"})`, "cpu[5m", "sum(", "rate(cpu)", "cpu{", "foo(cpu)", "cpu + on () group_left cpu", "sum by (instance (cpu)", "cpu and 1", "1 and 2", "cpu[5m] + 1", "topk(cpu, 1)", "cpu offset", "cpu @ foo", `{}`, `{x=""}`, "1 == 2", `"string"`, `"a" + 1`, "cpu * cores", "cpu / on (instance) cores", "memory == on (instance) group_left () cpu", `cpu{type=~"("}`, "rate(cpu[0s])", "rate(cpu[5m]) by (x)", "start() + end() + step() + range()",
	}
	lists["by2"] = []string{" ()", " (instance)", " (instance, type)", " (type)", " (nonexistent)"}
	lists["scalar2"] = []string{"1.5", "NaN", "-2"}
	lists["binary3"] = []string{"+", "-", "*", "/", "==", "!=", "<", "^"}
	lists["num"] = []string{"60", "-60", "3600"}
	var out []string
	for len(templates) > 0 {
		text := templates[0]
		templates = templates[1:]
		word := ""
		for name := range lists {
			if strings.Contains(text, "<"+name+">") && name > word {
				word = name
			}
		}
		if word == "" {
			out = append(out, text)
			continue
		}
		for _, v := range lists[word] {
			templates = append(templates, strings.Replace(text, "<"+word+">", v, 1))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// complianceStore holds twenty minutes of what a small fleet exports.
func complianceStore(t *testing.T) *storetest.Metrics {
	t.Helper()
	m := storetest.NewMetrics()
	var b store.MetricBatch
	add := func(name string, value func(i int) (float64, bool), kv ...string) {
		ls := []model.Label{{Name: model.MetricName, Value: name}}
		for i := 0; i < len(kv); i += 2 {
			ls = append(ls, model.Label{Name: kv[i], Value: kv[i+1]})
		}
		w := store.SeriesWrite{Labels: model.NewLabels(ls...)}
		for i := range 120 {
			if v, ok := value(i); ok {
				w.Samples = append(w.Samples, store.Sample{Time: sampleStart + int64(i)*10_000, Value: v})
			}
		}
		b.Series = append(b.Series, w)
	}
	for k, instance := range []string{"a", "b", "c"} {
		kv := []string{"job", "shop", "instance", instance}
		for j, typ := range []string{"idle", "user", "system"} {
			at := float64(k*3 + j)
			add("cpu", func(i int) (float64, bool) { return math.Mod(float64(i)*(at+0.7), 130+at), true }, append(kv, "type", typ)...)
			add("memory", func(i int) (float64, bool) { return 1e9 + 1e6*math.Sin(float64(i)/7+at), true }, append(kv, "type", typ)...)
		}
		add("cores", func(int) (float64, bool) { return float64(4 + 4*(k%2)), true }, kv...)
		add("info", func(int) (float64, bool) { return 1, true }, append(kv, "version", "v"+instance)...)
		add("target_info", func(int) (float64, bool) { return 1, true }, append(kv, "zone", "z"+instance)...)
		add("gappy", func(i int) (float64, bool) { return float64(i), i/20%2 == k%2 }, kv...)
		for j, le := range []string{"0.1", "0.2", "0.5", "1", "+Inf"} {
			add("latency_bucket", func(i int) (float64, bool) { return float64(i * (j + 1) * (k + 1)), true }, append(kv, "le", le)...)
		}
		var hs []store.HistogramSample
		for i := range 120 {
			h := histogramOf(int64(i*(k+1)), int64(i/2), int64(3*i))
			hs = append(hs, store.HistogramSample{Time: sampleStart + int64(i)*10_000, Int: h})
		}
		b.Series = append(b.Series, store.SeriesWrite{Histograms: hs, Labels: model.NewLabels(
			model.Label{Name: model.MetricName, Value: "spans"}, model.Label{Name: "instance", Value: instance}, model.Label{Name: "job", Value: "shop"})})
	}
	if err := m.Append(t.Context(), "t1", &b); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestCompliance holds every query of the list to the answer of Prometheus' engine: values,
// warnings, infos, and for errors the same text, as a range query and as an instant one.
func TestCompliance(t *testing.T) {
	m := complianceStore(t)
	e := New(Options{Features: Features()})
	queries := complianceQueries()
	if len(queries) < 500 {
		t.Errorf("the list has %d queries", len(queries))
	}
	start := time.UnixMilli(sampleStart + 300_000)
	for _, text := range queries {
		for _, q := range []Query{
			{Tenant: "t1", Text: text, Start: start, End: start.Add(15 * time.Minute), Step: 40 * time.Second},
			{Tenant: "t1", Text: text, Start: start.Add(7 * time.Minute)},
		} {
			got, err := e.Run(t.Context(), m, q, nil)
			want, wantErr := e.runReference(t.Context(), m, q, nil)
			if err != nil || wantErr != nil {
				if a, b := firstWords(err), firstWords(wantErr); a != b {
					t.Errorf("%s: error %v, want %v", text, err, wantErr)
				}
				continue
			}
			if diff := diffAnswers(got, want); diff != "" {
				t.Errorf("%s, step %v: %s", text, q.Step, diff)
			}
		}
	}
}

// firstWords returns the text of err without the examples that Prometheus chooses at
// random.
func firstWords(err error) string {
	text, _, _ := strings.Cut(fmt.Sprint(err), "group {")
	return text
}

// histogramOf is a histogram with three buckets that have these counts.
func histogramOf(a, b, c int64) *histogram.Histogram {
	n := uint64(a + b + c)
	return &histogram.Histogram{
		Count: n, Sum: float64(n) * 1.25, ZeroThreshold: 0.001,
		PositiveSpans: []histogram.Span{{Length: 3}}, PositiveBuckets: []int64{a, b - a, c - b},
	}
}
