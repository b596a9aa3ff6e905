package traceql

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func mustMetrics(t testing.TB, s store.TraceReader, q string, p MetricParams) []Series {
	t.Helper()
	out, err := Metrics(t.Context(), s, tenant, mustParse(t, q), p)
	if err != nil {
		t.Fatalf("metrics %s: %v", q, err)
	}
	return out
}

func TestMetricsInstant(t *testing.T) {
	s := fixture(t)
	for _, b := range behaviours(t, "testdata/metrics.test") {
		t.Run(b.query, func(t *testing.T) {
			acct := &store.Account{MaxMemory: 1 << 20}
			var got, want []string
			for _, x := range mustMetrics(t, s, b.query, MetricParams{Start: fixtureT0 - 60e9, End: fixtureT0 + 60e9, Instant: true, Account: acct}) {
				if len(x.Samples) != 1 || x.Samples[0].Time != (fixtureT0+60e9)/1e6 || x.Exemplars != nil {
					t.Errorf("instant series %+v", x)
				}
				got = append(got, fmt.Sprintf("%s %v", attrText(x.Labels), x.Samples[0].Value))
			}
			if b.want[0] != "nothing" {
				want = slices.Sorted(slices.Values(b.want))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := acct.Hold(1 << 20); err != nil {
				t.Errorf("memory is not given back: %v", err)
			}
		})
	}
}

func TestMetricsCompare(t *testing.T) {
	s := fixture(t)
	got := map[string]float64{}
	for _, x := range mustMetrics(t, s, `{ resource.service.name="tree" } | compare({ name = "A" }, 3)`, MetricParams{Start: fixtureT0 - 60e9, End: fixtureT0 + 60e9, Instant: true}) {
		got[attrText(x.Labels)] = x.Samples[0].Value
	}
	for labels, want := range map[string]float64{
		"__meta_type=selection name=A":                      1,
		"__meta_type=baseline name=B":                       1,
		"__meta_type=baseline name=D":                       1,
		"__meta_type=baseline name=E":                       0, // beyond the top 3
		"__meta_type=baseline_total name=nil":               6,
		"__meta_type=baseline resource.service.name=tree":   6,
		"__meta_type=selection_total kind=nil":              1,
		"__meta_type=selection rootServiceName=tree":        1,
		"__meta_type=baseline_total resource.nosuch=nil":    0,
		"__meta_type=selection_total statusMessage=nil":     0,
		"__meta_type=baseline_total instrumentation:name=0": 0,
	} {
		if got[labels] != want {
			t.Errorf("%s is %v, want %v", labels, got[labels], want)
		}
	}
	// Of the values 5, "5" and 5.0, equally frequent, the first is always the same.
	for range 20 {
		for _, x := range mustMetrics(t, s, `{ resource.service.name="typed" } | compare({ name = "nope" }, 1)`, MetricParams{Start: fixtureT0 - 60e9, End: fixtureT0 + 60e9, Instant: true}) {
			if kv := x.Labels[1]; kv.Key == "span.a" && kv.Value.String() != "nil" && kv.Value.Type() != TypeString {
				t.Fatalf("the most frequent value of span.a is %s of type %d, want the string", kv.Value, kv.Value.Type())
			}
		}
	}
	// A selection bounded in time: everything else is baseline.
	res := mustMetrics(t, s, fmt.Sprintf(`{ resource.service.name="tree" } | compare({ }, 10, %d, %d)`, int64(fixtureT0), int64(fixtureT0+2e6)), MetricParams{Start: fixtureT0 - 60e9, End: fixtureT0 + 60e9, Instant: true})
	for _, x := range res {
		if attrText(x.Labels) == "__meta_type=selection_total name=nil" && x.Samples[0].Value != 2 {
			t.Errorf("selection of B and C has %v spans", x.Samples[0].Value)
		}
	}
}

func TestMetricsRange(t *testing.T) {
	s := fixture(t)
	const minute = int64(time.Minute)
	p := MetricParams{Start: fixtureT0/minute*minute - 30e9, End: fixtureT0/minute*minute + 90e9, Step: minute}
	times := func(x Series) (out []int64) {
		for _, y := range x.Samples {
			out = append(out, (y.Time*1e6-p.Start)/1e9)
		}
		return out
	}

	res := mustMetrics(t, s, `{ } | rate()`, p)
	if got, want := times(res[0]), []int64{-30, 30, 90, 150}; !slices.Equal(got, want) {
		t.Errorf("samples at %v s after start, want %v", got, want)
	}
	res = mustMetrics(t, s, `{ resource.service.name="tree" } | count_over_time()`, p)
	var vals []float64
	for _, y := range res[0].Samples {
		vals = append(vals, y.Value)
	}
	if want := []float64{0, 0, 7, 0}; !slices.Equal(vals, want) {
		t.Errorf("values %v, want %v", vals, want)
	}
	if res := mustMetrics(t, s, `{ resource.service.name="tree" } | max_over_time(duration)`, p); len(res[0].Samples) != 1 {
		t.Errorf("samples without data: %v", res[0].Samples)
	}

	res = mustMetrics(t, s, `{ resource.service.name="tree" && name =~ "A|B" } | rate()`, p)
	ex := res[0].Exemplars
	if len(ex) != 1 || attrText(ex[0].Labels) != "trace:id=d400 resource.service.name=tree name=A" || ex[0].Time != fixtureT0/1e6 || ex[0].Value != 2.0/60 {
		t.Errorf("exemplars %+v", ex)
	}
	res = mustMetrics(t, s, `{ resource.service.name="typed" } | quantile_over_time(duration, 0.5)`, p)
	if ex := res[0].Exemplars; len(ex) != 1 || ex[0].Value != 0.01 {
		t.Errorf("exemplars of a quantile: %+v", ex)
	}
	if res := mustMetrics(t, s, `{ } | rate() with (exemplars=false)`, p); res[0].Exemplars != nil {
		t.Errorf("exemplars in spite of the hint: %v", res[0].Exemplars)
	}
	if res := mustMetrics(t, s, `{ } | rate() with (exemplars=3)`, p); len(res[0].Exemplars) > 3 {
		t.Errorf("%d exemplars, the hint allows 3", len(res[0].Exemplars))
	}

	for _, bad := range []MetricParams{
		{Start: 5, End: 5},
		{Start: fixtureT0, End: fixtureT0 + 1e12, Step: 1e6},
		{Start: 1, End: 1<<63 - 1},
		{Start: fixtureT0, End: fixtureT0 + 1e12, Step: -1},
	} {
		if _, err := Metrics(t.Context(), s, tenant, mustParse(t, `{ } | rate()`), bad); !errors.Is(err, ErrParse) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
	if _, err := Metrics(t.Context(), s, tenant, mustParse(t, `{ }`), p); !errors.Is(err, ErrParse) || !strings.Contains(err.Error(), "not a metrics query") {
		t.Errorf("a search as metrics: %v", err)
	}
	acct := &store.Account{MaxMemory: 1500}
	p.Account = acct
	if _, err := Metrics(t.Context(), s, tenant, mustParse(t, `{ } | rate() by (name)`), p); !errors.Is(err, store.ErrTooBroad) {
		t.Errorf("many series in little memory: %v", err)
	}
}

// metricText writes series as labels and values.
func metricText(series []Series) []string {
	var out []string
	for _, x := range series {
		line := attrText(x.Labels)
		for _, y := range x.Samples {
			line += fmt.Sprintf(" %d:%v", (y.Time-fixtureT0/1e6)/1000, y.Value)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// TestMetricsWindow: what counts is where a span starts; the others of its trace are there
// for the rest of the query.
func TestMetricsWindow(t *testing.T) {
	s := fixture(t)
	ms := int64(time.Millisecond)
	for _, tt := range []struct {
		q        string
		from, to int64 // ms after the fixture, both included
		want     []string
	}{
		{`{ resource.service.name="tree" } | count_over_time() by (name)`, 1, 2, []string{"name=B 0:1", "name=C 0:1"}}, // both edges
		{`{ resource.service.name="tree" } | count_over_time() by (name)`, 6, 7, []string{"name=G 0:1"}},
		{`({ name = "A" } >> { }) | count_over_time() by (name)`, 4, 6, []string{"name=E 0:1", "name=F 0:1"}}, // A is outside
		{`{ resource.service.name="tree" } | count() = 7 | count_over_time()`, 4, 6, []string{"__name__=count_over_time 0:3"}},
		{`{ resource.service.name="payment-service" } | max_over_time(traceDuration)`, 200, 400, []string{"__name__=max_over_time 0:3"}}, // seconds
		{`{ name = "with events" } | max_over_time(event:timeSinceStart)`, 0, 1, []string{"__name__=max_over_time 0:0.1"}},
	} {
		got := metricText(mustMetrics(t, s, tt.q, MetricParams{Start: fixtureT0 + tt.from*ms, End: fixtureT0 + tt.to*ms, Instant: true}))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.q, diff)
		}
	}
}

// TestMetricsSteps: spans of two minutes, one group more frequent in each.
func TestMetricsSteps(t *testing.T) {
	s := storetest.NewTraces()
	td := ptrace.NewTraces()
	n := byte(0)
	add := func(second, durationMs int64, name string, count int) {
		for range count {
			n++
			sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			sp.SetTraceID([16]byte{15: n})
			sp.SetSpanID([8]byte{7: 1})
			sp.SetName(name)
			sp.SetStartTimestamp(pcommon.Timestamp(fixtureT0 + second*1e9))
			sp.SetEndTimestamp(pcommon.Timestamp(fixtureT0 + second*1e9 + durationMs*1e6))
		}
	}
	minute := int64(time.Minute)
	start := fixtureT0/minute*minute - fixtureT0
	start /= 1e9 // seconds from the fixture to the minute before it: -24
	for i := range int64(4) {
		add(start+10, (i+1)*100, "a", 1)
	}
	add(start+10, 1, "b", 2)
	add(start+60, 1, "b", 1) // on an edge: of the interval that ends there
	add(start+70, 1, "b", 3)
	add(start+70, 1, "c", 1)
	if err := s.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	p := MetricParams{Start: fixtureT0 + start*1e9, End: fixtureT0 + (start+120)*1e9, Step: minute}
	for _, tt := range []struct {
		q    string
		want []string
	}{
		{`{ } | count_over_time() by (name)`, []string{"name=a -24:0 36:4 96:0", "name=b -24:0 36:3 96:3", "name=c -24:0 36:0 96:1"}},
		{`{ } | count_over_time() by (name) | topk(1)`, []string{"name=a -24:0 36:4", "name=b 96:3"}}, // at each time
		{`{ } | count_over_time() by (name) | bottomk(1)`, []string{"name=a 96:0", "name=c -24:0 36:0"}},
		{`{ } | count_over_time() by (name) > 3`, []string{"name=a 36:4"}},
		{`{ name = "a" } | quantile_over_time(duration, .5, .75, 1)`, []string{"p=0.5 -24:0 36:0.268435456 96:0", "p=0.75 -24:0 36:0.37962506249700617 96:0", "p=1.0 -24:0 36:0.536870912 96:0"}},
		{`{ name = "a" } | histogram_over_time(duration)`, []string{"__bucket=0.134217728 -24:0 36:1 96:0", "__bucket=0.268435456 -24:0 36:1 96:0", "__bucket=0.536870912 -24:0 36:2 96:0"}},
		{`({ } | count_over_time() by (name)) / ({ name != "a" } | count_over_time() by (name))`, []string{"name=b 36:1 96:1", "name=c 96:1"}},
		{`{ name = "a" } | min_over_time(duration)`, []string{"__name__=min_over_time 36:0.1"}},
	} {
		if diff := cmp.Diff(tt.want, metricText(mustMetrics(t, s, tt.q, p))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.q, diff)
		}
	}
}

// TestTopK compares topk and bottomk with sorting.
func TestTopK(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 300 {
		n, k, bottom := 1+rng.IntN(40), 1+rng.IntN(12), rng.IntN(2) == 0
		lines := func() (out []line) {
			for j := range n {
				out = append(out, line{labels: []KeyValue{{"a", stringValue(fmt.Sprintf("%02d", j))}}, values: make([]float64, 5)})
			}
			return out
		}
		got, want := lines(), lines()
		for i := range 5 {
			order := []int{}
			for j := range n {
				v := float64(rng.IntN(4))
				if v == 3 {
					v = math.NaN()
				} else {
					order = append(order, j)
				}
				got[j].values[i], want[j].values[i] = v, v
			}
			if n <= k {
				continue
			}
			slices.SortFunc(order, func(a, b int) int {
				if bottom {
					a, b = b, a
				}
				return cmpOr(want[b].values[i]-want[a].values[i], a-b)
			})
			for _, j := range order[min(k, len(order)):] {
				want[j].values[i] = math.NaN()
			}
		}
		topK(got, k, bottom)
		for j := range n {
			if !slices.EqualFunc(got[j].values, want[j].values, func(a, b float64) bool { return a == b || a != a && b != b }) {
				t.Fatalf("of %d lines the first %d, bottom %t: line %d is %v, want %v", n, k, bottom, j, got[j].values, want[j].values)
			}
		}
	}
}

// cmpOr orders by x, then by y.
func cmpOr(x float64, y int) int {
	switch {
	case x < 0:
		return -1
	case x > 0:
		return 1
	}
	return y
}

// TestExemplars: at most one of a trace, at most as many as asked for.
func TestExemplars(t *testing.T) {
	s := storetest.NewTraces()
	td := ptrace.NewTraces()
	for i := range 600 { // of 300 traces, over a minute
		sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID([16]byte{14: byte(i / 2 >> 8), 15: byte(i / 2)})
		sp.SetSpanID([8]byte{1, 7: byte(i)})
		if i < 2 {
			sp.SetTraceID([16]byte{1})
		}
		sp.SetName("x")
		sp.Attributes().PutInt("n", int64(i+1))
		sp.SetStartTimestamp(pcommon.Timestamp(fixtureT0 + int64(i)*100e6))
		sp.SetEndTimestamp(pcommon.Timestamp(fixtureT0 + int64(i)*100e6 + 1e6))
	}
	if err := s.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	p := MetricParams{Start: fixtureT0, End: fixtureT0 + 60e9, Step: 10e9}
	for q, most := range map[string]int{
		`{ } | rate()`:                              100,
		`{ } | rate() by (name)`:                    100,
		`{ } | rate() with (exemplars=10)`:          10,
		`{ } | rate() with (exemplars=1000)`:        100,
		`{ } | rate() with (exemplars=true)`:        100,
		`{ } | rate() with (exemplars=false)`:       0,
		`{ } | max_over_time(span.n)`:               100,
		`({ } | rate()) + ({ } | rate() by (name))`: 200,
	} {
		traces, n := map[string]bool{}, 0
		for _, x := range mustMetrics(t, s, q, p) {
			for _, e := range x.Exemplars {
				n++
				if e.Labels[0].Key != "trace:id" || e.Time < fixtureT0/1e6 || e.Time > fixtureT0/1e6+60_000 {
					t.Errorf("%s: %+v", q, e)
				}
				traces[e.Labels[0].Value.String()] = true
			}
		}
		if n > most || most > 0 && n < min(10, most)/2 || most <= 100 && len(traces) != n {
			t.Errorf("%s: %d exemplars of %d traces, want at most %d", q, n, len(traces), most)
		}
	}
}

func TestGrid(t *testing.T) {
	g := newGrid(MetricParams{Start: 95, End: 201, Step: 10})
	if g.start != 80 || g.n != 13 {
		t.Fatalf("grid %+v", g)
	}
	for _, c := range []struct{ at, want int64 }{{80, -1}, {81, 0}, {90, 0}, {91, 1}, {210, 12}, {211, -1}} {
		if got := g.interval(c.at); got != int(c.want) {
			t.Errorf("interval of %d is %d, want %d", c.at, got, c.want)
		}
	}
	for _, c := range []struct{ span, want time.Duration }{
		{time.Hour, 5 * time.Second * 3},
		{6 * time.Hour, time.Minute},
		{24 * time.Hour, 5 * time.Minute},
		{30 * time.Minute, 5 * time.Second},
		{30 * time.Second, 100 * time.Millisecond},
		{time.Second, 50 * time.Millisecond},
	} {
		if got := DefaultStep(0, int64(c.span)); got != int64(c.want) {
			t.Errorf("default step of %s is %s, want %s", c.span, time.Duration(got), c.want)
		}
	}
}
