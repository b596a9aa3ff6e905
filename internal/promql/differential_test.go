package promql

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// randomStore fills a store with series of all habits: counters with resets, gauges, gaps,
// stale markers, NaN, infinities, histogram buckets.
func randomStore(t *testing.T, rnd *rand.Rand) *storetest.Metrics {
	t.Helper()
	m := storetest.NewMetrics()
	var b store.MetricBatch
	add := func(name string, value func(i int) float64, kv ...string) {
		ls := []model.Label{{Name: model.MetricName, Value: name}}
		for i := 0; i < len(kv); i += 2 {
			ls = append(ls, model.Label{Name: kv[i], Value: kv[i+1]})
		}
		b.Series = append(b.Series, store.SeriesWrite{Labels: model.NewLabels(ls...), Samples: randomSamples(rnd, value)})
	}
	for _, job := range []string{"a", "b", "c"} {
		for inst := range 4 {
			kv := []string{"job", job, "instance", fmt.Sprint(inst)}
			total := 0.0
			add("requests_total", func(int) float64 {
				total += rnd.Float64() * 10
				if rnd.IntN(20) == 0 {
					total = rnd.Float64()
				}
				return total
			}, kv...)
			add("temperature", func(int) float64 {
				switch rnd.IntN(30) {
				case 0:
					return math.NaN()
				case 1:
					return math.Inf(1 - 2*rnd.IntN(2))
				}
				return math.Round(rnd.NormFloat64()*100) / 8
			}, kv...)
			for _, le := range []string{"0.1", "1", "+Inf"} {
				add("latency_bucket", func(i int) float64 { return float64(i * (len(le) + inst)) }, append(kv, "le", le)...)
			}
		}
		add("info", func(int) float64 { return 1 }, "job", job, "version", "v"+job)
	}
	for inst := range 5 {
		b.Series = append(b.Series, store.SeriesWrite{
			Labels: model.NewLabels(model.Label{Name: model.MetricName, Value: "spans"}, model.Label{Name: "job", Value: []string{"a", "b"}[inst%2]},
				model.Label{Name: "instance", Value: fmt.Sprint(inst)}),
			Histograms: randomHistograms(rnd, inst),
		})
	}
	floats := randomSamples(rnd, func(i int) float64 { return float64(i) })
	b.Series[len(b.Series)-1].Samples = floats[:min(10, len(floats))] // becomes a histogram
	late := b.Series[len(b.Series)-1].Histograms
	b.Series[len(b.Series)-1].Histograms = slices.DeleteFunc(late, func(h store.HistogramSample) bool { return h.Time < sampleStart+12*sampleEvery })
	if err := m.Append(t.Context(), "t1", &b); err != nil {
		t.Fatal(err)
	}
	return m
}

// randomHistograms makes a native histogram that grows, is reset, has gaps and stale
// markers: of integers, floats, gauges or with custom bounds.
func randomHistograms(rnd *rand.Rand, kind int) []store.HistogramSample {
	var out []store.HistogramSample
	counts := []int64{1, 0, 2}
	for i := range sampleCount {
		for k := range counts {
			counts[k] += rnd.Int64N(4)
		}
		if rnd.IntN(25) == 0 {
			counts = []int64{1, 1, 0}
		}
		if rnd.IntN(12) == 0 {
			continue
		}
		total := uint64(counts[0] + counts[1] + counts[2])
		h := &histogram.Histogram{
			Schema: int32(kind % 2), Count: total, Sum: float64(total) * 1.5, ZeroThreshold: 0.001,
			PositiveSpans:   []histogram.Span{{Offset: int32(kind), Length: 3}},
			PositiveBuckets: []int64{counts[0], counts[1] - counts[0], counts[2] - counts[1]},
		}
		s := store.HistogramSample{Time: sampleStart + int64(i)*sampleEvery, Int: h}
		switch kind {
		case 2:
			s.Int, s.Float = nil, h.ToFloat(nil)
		case 3:
			h.CounterResetHint = histogram.GaugeType
		case 4:
			h.Schema, h.ZeroThreshold, h.PositiveSpans = histogram.CustomBucketsSchema, 0, []histogram.Span{{Length: 3}}
			h.CustomValues = []float64{1, 2}
		}
		if rnd.IntN(30) == 0 {
			s.Int, s.Float = &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}, nil
		}
		out = append(out, s)
	}
	return out
}

const (
	sampleEvery = 15_000
	sampleCount = 60
	sampleStart = 1_700_000_000_000
)

func randomSamples(rnd *rand.Rand, next func(i int) float64) []store.Sample {
	var out []store.Sample
	skip := 0
	for i := range sampleCount {
		v := next(i)
		if skip > 0 {
			skip--
			continue
		}
		switch rnd.IntN(40) {
		case 0:
			skip = rnd.IntN(30)
		case 1:
			v = math.Float64frombits(value.StaleNaN)
		}
		out = append(out, store.Sample{Time: sampleStart + int64(i)*sampleEvery + int64(rnd.IntN(3)), Value: v})
	}
	return out
}

// randomExpr returns an expression; depth bounds its nesting.
func randomExpr(rnd *rand.Rand, depth int) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	selector := func() string {
		return pick("requests_total", "temperature", `temperature{job="a"}`, `requests_total{job=~"a|b"}`, `{job="c"}`, "info", "nothing",
			`latency_bucket{instance!="1"}`, "spans", `spans{job="a"}`)
	}
	offset := func() string {
		return pick("", "", "", "", "", " offset 2m", " offset -1m", " @ 1700000300", " @ end()", " @ start() offset 1m")
	}
	ranged := func() string {
		if depth > 1 && rnd.IntN(4) == 0 {
			return fmt.Sprintf("(%s)[%s]%s", randomExpr(rnd, depth-2), pick("2m:30s", "5m:1m", "5m:", "1m:15s"), offset())
		}
		return fmt.Sprintf("%s[%s]%s", selector(), pick("30s", "1m", "5m", "7m13s"), offset())
	}
	if depth == 0 {
		return selector() + offset()
	}
	sub := func() string { return randomExpr(rnd, depth-1) }
	switch rnd.IntN(12) {
	case 10:
		return randomHistogramExpr(rnd)
	case 0:
		return pick("1", "0.5", "time()", "-3", "scalar(info)", fmt.Sprintf("scalar(%s)", sub()), "pi()", "min_of(1, time())", "vector(time())", "hour()")
	case 1, 2:
		f := pick("rate", "increase", "delta", "irate", "idelta", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time",
			"count_over_time", "present_over_time", "last_over_time", "stddev_over_time", "stdvar_over_time", "changes", "resets",
			"deriv", "mad_over_time", "first_over_time", "ts_of_min_over_time", "ts_of_max_over_time", "ts_of_last_over_time",
			"ts_of_first_over_time", "absent_over_time")
		return fmt.Sprintf("%s(%s)", f, ranged())
	case 3, 4:
		agg := pick("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile(0.7, ", "count_values('v', ", "sum", "avg")
		by := pick("", " by (job)", " by (job, instance)", " without (instance)", " by (nope)", " without (le, job)")
		if strings.HasPrefix(agg, "count_values") { // its labels show the last bit of a value, which may differ
			return fmt.Sprintf("count_values%s('v', round(%s, 1e-6))", by, sub())
		}
		if name, more, ok := strings.Cut(agg, "("); ok {
			return fmt.Sprintf("%s%s(%s%s)", name, by, more, sub())
		}
		return fmt.Sprintf("%s%s(%s)", agg, by, sub())
	case 5:
		f := pick("abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "-", "sin", "deg", "asinh", "timestamp", "absent",
			"day_of_week", "minute", "month", "days_in_month", "histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev")
		return fmt.Sprintf("%s(%s)", f, sub())
	case 6:
		op := pick("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "== bool", "> bool", "atan2")
		match := pick("", " on (job, instance)", " ignoring (le)", " on (job) group_left (version)", " on (job) group_right", "")
		return fmt.Sprintf("(%s) %s%s (%s)", sub(), op, match, sub())
	case 7:
		return fmt.Sprintf("(%s) %s%s (%s)", sub(), pick("and", "or", "unless"), pick("", " on (job)", " ignoring (instance, le)"), sub())
	default:
		return pick(
			fmt.Sprintf("histogram_quantile(%s, sum by (le%s) (rate(latency_bucket[5m])))", pick("0.5", "0.99", "0", "7"), pick("", ", job")),
			fmt.Sprintf("histogram_quantile(%s, %s)", pick("0.5", "0.9", "scalar(info)"), pick("spans", "sum(rate(spans[5m]))", "latency_bucket", "temperature")),
			fmt.Sprintf("histogram_fraction(0, 3, %s)", pick("spans", "rate(spans[5m])")), "sum(rate(spans[5m])) by (job)",
			fmt.Sprintf("clamp_min(%s, 2)", sub()), fmt.Sprintf("clamp(%s, -1, 2.5)", sub()), fmt.Sprintf("round(%s, 0.5)", sub()),
			fmt.Sprintf("clamp_max(%s, scalar(requests_total{job='a',instance='0'}))", sub()),
			fmt.Sprintf("quantile_over_time(%s, %s)", pick("0.5", "0.9", "0", "1", "2", "scalar(info)"), ranged()),
			fmt.Sprintf("predict_linear(%s, %s)", ranged(), pick("60", "scalar(info)")),
			fmt.Sprintf("double_exponential_smoothing(%s, 0.3, %s)", ranged(), pick("0.6", "0.6", "0.6", "2")),
			fmt.Sprintf("%s(%s, requests_total%s)", pick("topk", "bottomk"), pick("2", "1", "100", "0"), offset()),
			fmt.Sprintf("%s by (job) (%s, rate(requests_total[5m]))", pick("topk", "bottomk"), pick("2", "1", "scalar(info)")),
			fmt.Sprintf("topk(2, %s)", pick("spans", "{job=\"a\"}")), fmt.Sprintf("limitk(2, %s)", selector()), fmt.Sprintf("limit_ratio(0.5, %s)", selector()),
			fmt.Sprintf(`label_replace(%s, "%s", "x$1", "instance", "(%s)")`, sub(), pick("job", "host", "__name__"), pick(".*", "[12]", "1|(2")),
			fmt.Sprintf(`label_join(%s, "all", "-", "job", "instance")`, sub()),
			fmt.Sprintf("%s(%s)", pick("sort", "sort_desc"), pick("temperature", "requests_total")),
		)
	}
}

// randomHistogramExpr returns an expression about native histograms, alone or among floats
// and classic ones.
func randomHistogramExpr(rnd *rand.Rand) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	var hists func(depth int) string
	hists = func(depth int) string {
		if depth == 0 || rnd.IntN(3) == 0 {
			return pick("spans", "rate(spans[3m])", `spans{job="a"}`, "increase(spans[1m])", "last_over_time(spans[1m])", `{job="a"}`, "spans offset 1m", "sum_over_time(spans[2m])")
		}
		a, b := hists(depth-1), hists(depth-1)
		return pick(
			fmt.Sprintf("(%s %s %s)", a, pick("+", "-", "==", "!=", "*", "> bool", "== bool"), b),
			fmt.Sprintf("(%s %s on (instance) group_left %s)", a, pick("+", "-", "!="), b),
			fmt.Sprintf("(%s %s %s)", a, pick("*", "/", "+", ">", "</", ">/"), pick("2", "-0.5", "0", "scalar(info)")),
			fmt.Sprintf("(%s %s %s)", pick("2", "time()"), pick("*", "/", "<", "<= bool"), a),
			fmt.Sprintf("(%s %s %s)", a, pick("*", "/", "+", "==", "</"), pick("temperature", "on (job) group_left info")),
			"-"+a,
			fmt.Sprintf("%s by (%s) (%s)", pick("sum", "avg"), pick("job", "instance", "__name__"), a),
			fmt.Sprintf("%s(%s)", pick("sum", "avg"), a),
			fmt.Sprintf("(%s or %s)", a, b),
		)
	}
	h := hists(2)
	return pick(h, h, h,
		fmt.Sprintf("%s(%s)", pick("histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar"), h),
		fmt.Sprintf("%s(%s)", pick("min", "max", "count", "group", "stddev", "stdvar"), h),
		fmt.Sprintf("%s(%s, %s)", pick("topk", "bottomk", "quantile"), pick("1", "0.5", "3"), h),
		fmt.Sprintf("%s(%s)", pick("abs", "timestamp", "sort", "sort_desc", "hour", "exp", "scalar", "absent"), h),
		fmt.Sprintf("histogram_quantile(%s, %s)", pick("0.5", "0", "2", "-1", "NaN", "scalar(info)"), pick(h, "latency_bucket", `{job="a"}`, `rate({job="a"}[2m])`)),
		fmt.Sprintf("histogram_fraction(%s, %s, %s)", pick("0", "-1", "NaN"), pick("0.3", "2", "+Inf"), pick(h, "latency_bucket", `{job="a"}`)),
		fmt.Sprintf(`histogram_quantiles(%s, "q", %s)`, pick(h, "latency_bucket", `{job="a"}`), pick("0.5, 0.9", "0.1", "0.1, 2", "0.5, 0.5", "scalar(info), time()")),
		fmt.Sprintf("round(%s, 0.5)", h), fmt.Sprintf("clamp_min(%s, 1)", h),
	)
}

// TestVectorisedEqualsReference evaluates random expressions over random series with the
// vectorised evaluator and with Prometheus' engine.
func TestVectorisedEqualsReference(t *testing.T) {
	rounds, seed := 2000, uint64(1)
	if testing.Short() {
		rounds = 600
	}
	if s := os.Getenv("PHAROS_FUZZ_SEED"); s != "" { // a longer run, by hand
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds, seed = 30_000, uint64(n)
	}
	rnd := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // a test wants the same numbers each time
	vectorised := 0
	var m *storetest.Metrics
	for i := range rounds {
		if i%100 == 0 {
			m = randomStore(t, rnd)
		}
		q := Query{Tenant: "t1", Text: randomExpr(rnd, 1+rnd.IntN(3)), Start: time.UnixMilli(sampleStart + rnd.Int64N(10*60_000))}
		if rnd.IntN(3) > 0 {
			q.Step = time.Duration(1+rnd.IntN(90)) * time.Second
			q.End = q.Start.Add(time.Duration(rnd.IntN(12)) * time.Minute)
		}
		if compareEngines(t, m, q) {
			vectorised++
		}
		if t.Failed() {
			return
		}
	}
	if vectorised < rounds/2 {
		t.Errorf("only %d of %d queries were vectorised", vectorised, rounds)
	}
}

// errorKind names the sentinel that err wraps.
func errorKind(err error) string {
	for _, kind := range []error{ErrParse, ErrEval, store.ErrTooBroad} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return fmt.Sprint(err)
}

// compareEngines reports whether q has an answer, and fails the test if the answers of
// the two engines differ.
func compareEngines(t *testing.T, m *storetest.Metrics, q Query) bool {
	t.Helper()
	e := New(Options{Features: Features()})
	got, err := e.Run(t.Context(), m, q, nil)
	want, wantErr := e.runReference(t.Context(), m, q, nil)
	if err != nil || wantErr != nil {
		if errorKind(err) != errorKind(wantErr) {
			t.Errorf("%s\nat %v..%v step %v: error %v, want %v", q.Text, q.Start.UnixMilli(), q.End.UnixMilli(), q.Step, err, wantErr)
		}
		return false
	}
	diff := diffAnswers(got, want)
	if diff == "" {
		return true
	}
	for range 12 { // Prometheus adds up in the order of a map, so it may not agree with itself
		if again, err := e.runReference(t.Context(), m, q, nil); err == nil && diffAnswers(again, want) != "" {
			return true
		}
	}
	t.Errorf("%s\nat %v..%v step %v: %s", q.Text, q.Start.UnixMilli(), q.End.UnixMilli(), q.Step, diff)
	return true
}

func diffAnswers(got, want Result) string {
	if diff := diffValues(got.Value, want.Value); diff != "" {
		return diff
	}
	for _, list := range [][]string{got.Warnings, got.Infos, want.Warnings, want.Infos} {
		slices.Sort(list)
	}
	if !slices.Equal(got.Warnings, want.Warnings) || !slices.Equal(got.Infos, want.Infos) {
		return fmt.Sprintf("warnings %q and infos %q, want %q and %q", got.Warnings, got.Infos, want.Warnings, want.Infos)
	}
	return ""
}

// flatten maps "labels@time" to values: of a histogram its count, sum and buckets.
func flatten(v parser.Value) map[string]float64 {
	out := map[string]float64{}
	hist := func(key string, h *histogram.FloatHistogram) {
		out[key+" hint"] = float64(h.CounterResetHint)
		out[key+" count"], out[key+" sum"] = h.Count, h.Sum
		for it := h.AllBucketIterator(); it.Next(); {
			if b := it.At(); b.Count != 0 {
				out[fmt.Sprint(key, " ", b.Lower, b.Upper)] = b.Count
			}
		}
	}
	switch v := v.(type) {
	case promql.Scalar:
		out[fmt.Sprint("scalar@", v.T)] = v.V
	case promql.Vector:
		for _, s := range v {
			if s.H != nil {
				hist(fmt.Sprint(s.Metric, "@", s.T), s.H)
				continue
			}
			out[fmt.Sprint(s.Metric, "@", s.T)] = s.F
		}
	case promql.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				out[fmt.Sprint(s.Metric, "@", p.T)] = p.F
			}
			for _, p := range s.Histograms {
				hist(fmt.Sprint(s.Metric, "@", p.T), p.H)
			}
		}
	}
	return out
}

func diffValues(got, want parser.Value) string {
	a, b := flatten(got), flatten(want)
	var diffs []string
	for k, w := range b {
		if g, ok := a[k]; !ok || !near(g, w) {
			diffs = append(diffs, fmt.Sprintf("%s: got %v (%v), want %v", k, g, ok, w))
		}
	}
	for k, g := range a {
		if _, ok := b[k]; !ok {
			diffs = append(diffs, fmt.Sprintf("%s: got %v, want nothing", k, g))
		}
	}
	if gm, ok := got.(promql.Matrix); ok && !slices.IsSortedFunc(gm, func(x, y promql.Series) int { return labels.Compare(x.Metric, y.Metric) }) {
		diffs = append(diffs, "series are not sorted")
	}
	slices.Sort(diffs)
	return strings.Join(diffs[:min(len(diffs), 5)], "\n")
}

func near(a, b float64) bool {
	switch {
	case math.IsNaN(a) || math.IsNaN(b):
		return math.IsNaN(a) == math.IsNaN(b)
	case a == b:
		return true
	}
	return math.Abs(a-b) <= 1e-12*math.Max(math.Abs(a), math.Abs(b))
}
