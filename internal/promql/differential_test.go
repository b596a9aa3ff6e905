package promql

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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
	if err := m.Append(t.Context(), "t1", &b); err != nil {
		t.Fatal(err)
	}
	return m
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
		return pick("requests_total", "temperature", `temperature{job="a"}`, `requests_total{job=~"a|b"}`, `{job="c"}`, "info", "nothing", `latency_bucket{instance!="1"}`)
	}
	offset := func() string { return pick("", "", "", " offset 2m", " offset -1m") }
	if depth == 0 {
		return selector() + offset()
	}
	sub := func() string { return randomExpr(rnd, depth-1) }
	switch rnd.IntN(9) {
	case 0:
		return pick("1", "0.5", "time()", "-3")
	case 1, 2:
		f := pick("rate", "increase", "delta", "irate", "idelta", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time",
			"count_over_time", "present_over_time", "last_over_time", "stddev_over_time", "stdvar_over_time", "changes", "resets")
		return fmt.Sprintf("%s(%s[%s]%s)", f, selector(), pick("30s", "1m", "5m", "7m13s"), offset())
	case 3, 4:
		agg := pick("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
		return fmt.Sprintf("%s%s(%s)", agg, pick("", " by (job)", " by (job, instance)", " without (instance)", " by (nope)", " without (le, job)"), sub())
	case 5:
		f := pick("abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "-", "sin", "deg")
		return fmt.Sprintf("%s(%s)", f, sub())
	case 6:
		op := pick("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "== bool", "> bool", "atan2")
		match := pick("", " on (job, instance)", " ignoring (le)", " on (job) group_left (version)", " on (job) group_right", "")
		return fmt.Sprintf("(%s) %s%s (%s)", sub(), op, match, sub())
	case 7:
		return fmt.Sprintf("(%s) %s%s (%s)", sub(), pick("and", "or", "unless"), pick("", " on (job)", " ignoring (instance, le)"), sub())
	default:
		return pick(
			fmt.Sprintf("histogram_quantile(%s, sum by (le%s) (rate(latency_bucket[5m])))", pick("0.5", "0.99", "0"), pick("", ", job")),
			fmt.Sprintf("clamp_min(%s, 2)", sub()), fmt.Sprintf("clamp(%s, -1, 2.5)", sub()), fmt.Sprintf("round(%s, 0.5)", sub()),
			fmt.Sprintf("quantile_over_time(%s, %s[%s])", pick("0.5", "0.9", "0", "1", "2"), selector(), pick("1m", "5m")),
			fmt.Sprintf("topk(2, %s)", sub()), "vector(time())")
	}
}

// TestVectorisedEqualsReference evaluates random expressions over random series with the
// vectorised evaluator and with Prometheus' engine.
func TestVectorisedEqualsReference(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 600
	}
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test wants the same numbers each time
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

// compareEngines reports whether q was vectorised, and fails the test if the answers
// differ.
func compareEngines(t *testing.T, m *storetest.Metrics, q Query) bool {
	t.Helper()
	e := New(Options{})
	expr, err := e.Parse(q.Text)
	if err != nil {
		return false // the generator makes some nonsense, such as sum of a scalar
	}
	v, annos, err := e.vectorised(t.Context(), m, q, expr, nil)
	if err != nil {
		return false
	}
	want, err := e.runReference(t.Context(), m, q, nil)
	if err != nil {
		t.Errorf("%s: vectorised, but the reference fails: %v", q.Text, err)
		return true
	}
	if diff := diffValues(v, want.Value); diff != "" {
		t.Errorf("%s\nat %v..%v step %v: %s", q.Text, q.Start.UnixMilli(), q.End.UnixMilli(), q.Step, diff)
	}
	warnings, infos := annos.AsStrings(q.Text, maxAnnotations, maxAnnotations)
	slices.Sort(infos)
	slices.Sort(want.Infos)
	if !slices.Equal(warnings, want.Warnings) || !slices.Equal(infos, want.Infos) {
		t.Errorf("%s: warnings %q and infos %q, want %q and %q", q.Text, warnings, infos, want.Warnings, want.Infos)
	}
	return true
}

// flatten maps "labels@time" to values.
func flatten(v parser.Value) map[string]float64 {
	out := map[string]float64{}
	switch v := v.(type) {
	case promql.Scalar:
		out[fmt.Sprint("scalar@", v.T)] = v.V
	case promql.Vector:
		for _, s := range v {
			out[fmt.Sprint(s.Metric, "@", s.T)] = s.F
		}
	case promql.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				out[fmt.Sprint(s.Metric, "@", p.T)] = p.F
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
