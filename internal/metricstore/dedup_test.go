package metricstore

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// slowDedup is the definition: of each interval the newest sample, of equal times the
// biggest value, a stale marker last of all.
func slowDedup(samples []store.Sample, interval int64) map[int64]float64 {
	best := map[int64]store.Sample{}
	for _, x := range samples {
		k := int64(math.Ceil(float64(x.Time) / float64(interval)))
		old, ok := best[k]
		stale, wasStale := value.IsStaleNaN(x.Value), value.IsStaleNaN(old.Value)
		if !ok || x.Time > old.Time || x.Time == old.Time && (wasStale && !stale || !stale && x.Value > old.Value) {
			best[k] = x
		}
	}
	out := map[int64]float64{}
	for _, x := range best {
		out[x.Time] = x.Value
	}
	return out
}

// TestHighlyAvailablePair writes what two scrapers of one target send, at slightly
// different times and partly at equal ones, with flushes and merges in between.
func TestHighlyAvailablePair(t *testing.T) {
	const interval = 15_000
	opts := testOptions()
	opts.Dedup = func(model.Tenant) time.Duration { return interval * time.Millisecond }
	e := openEngine(t, t.TempDir(), opts)
	defer func() { e.close(t) }()
	rnd := rand.New(rand.NewPCG(3, 4))
	start := storetest.Now().UnixMilli() - 3*3_600_000
	var sent []store.Sample
	ls := testLabels(1)
	for i := range int64(600) {
		at := start + i*interval
		pair := []store.Sample{
			{Time: at, Value: float64(rnd.IntN(5))},
			{Time: at + rnd.Int64N(3)*7000, Value: float64(rnd.IntN(5))},
		}
		if i%50 == 7 {
			pair[rnd.IntN(2)].Value = math.Float64frombits(value.StaleNaN)
		}
		for _, x := range pair {
			sent = append(sent, x)
			writeSample(t, e, ls, x.Time, x.Value)
		}
		if i%90 == 89 {
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if i == 400 {
			if err := e.Merge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := slowDedup(sent, interval)
	check := func(when string) {
		t.Helper()
		got := read(t, e, nil)[ls.String()]
		if len(got) != len(want) {
			t.Fatalf("%s: %d samples, want %d", when, len(got), len(want))
		}
		for at, v := range want {
			if got[at] != math.Float64bits(v) {
				t.Fatalf("%s: at %d %v, want %v", when, at-start, math.Float64frombits(got[at]), v)
			}
		}
	}
	check("head and parts")
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("merged")
}

// TestOneSamplePerTime writes floats and histograms of one series at the same times. The
// last written counts, wherever the others are by then.
func TestOneSamplePerTime(t *testing.T) {
	e := openEngine(t, t.TempDir(), testOptions())
	defer func() { e.close(t) }()
	rnd := rand.New(rand.NewPCG(5, 6))
	start := storetest.Now().UnixMilli() - 3_600_000
	want := map[int64]string{}
	ls := model.LabelsFromMap(map[string]string{model.MetricName: "both"})
	check := func(when string) {
		t.Helper()
		got := map[int64]string{}
		for x, err := range e.Select(t.Context(), testTenant, store.MetricSelector{All: true, Range: model.TimeRange{From: 0, To: math.MaxInt64}}) {
			if err != nil {
				t.Fatal(err)
			}
			ts, vs, err := x.Samples(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range ts {
				got[ts[i]] = fmt.Sprint("float ", vs[i])
			}
			hs, err := x.Histograms(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range hs {
				if got[h.Time] != "" {
					t.Fatalf("%s: %s and a histogram at %d", when, got[h.Time], h.Time)
				}
				got[h.Time] = fmt.Sprint("histogram ", h.Int.Count)
			}
		}
		for at, x := range want {
			if got[at] != x {
				t.Fatalf("%s: at %d %q, want %q", when, at, got[at], x)
			}
		}
	}
	for i := range 400 {
		at := start + rnd.Int64N(60)*1000
		w := store.SeriesWrite{Labels: ls}
		if rnd.IntN(2) == 0 {
			w.Samples = []store.Sample{{Time: at, Value: float64(i)}}
			want[at] = fmt.Sprint("float ", float64(i))
		} else {
			w.Histograms = []store.HistogramSample{{Time: at, Int: &histogram.Histogram{Count: uint64(i), ZeroCount: uint64(i)}}}
			want[at] = fmt.Sprint("histogram ", i)
		}
		if err := e.Append(t.Context(), testTenant, &store.MetricBatch{Series: []store.SeriesWrite{w}}); err != nil {
			t.Fatal(err)
		}
		if i%23 == 22 {
			check("head")
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			check("flushed")
		}
		if i%70 == 69 {
			if err := e.Merge(t.Context()); err != nil {
				t.Fatal(err)
			}
			check("merged")
		}
	}
}

// TestResetHints compares the hints with what a comparison of neighbours says.
func TestResetHints(t *testing.T) {
	const unknown, reset, not, gauge = histogram.UnknownCounterReset, histogram.CounterReset, histogram.NotCounterReset, histogram.GaugeType
	hist := func(count uint64, hint histogram.CounterResetHint) store.HistogramSample {
		return store.HistogramSample{Int: &histogram.Histogram{
			CounterResetHint: hint, Count: count, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{int64(count / 2), 0},
		}}
	}
	float := hist(20, unknown)
	float = store.HistogramSample{Float: float.Int.ToFloat(nil)}
	stale := store.HistogramSample{Int: &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}}
	for _, c := range []struct {
		name string
		in   []store.HistogramSample
		want []histogram.CounterResetHint
	}{
		{"grows", []store.HistogramSample{hist(2, not), hist(4, unknown), hist(4, unknown)}, []histogram.CounterResetHint{unknown, not, not}},
		{"falls", []store.HistogramSample{hist(8, unknown), hist(2, not), hist(4, unknown)}, []histogram.CounterResetHint{unknown, reset, not}},
		{"told", []store.HistogramSample{hist(8, reset), hist(10, reset)}, []histogram.CounterResetHint{reset, reset}},
		{"gauge", []store.HistogramSample{hist(8, gauge), hist(2, gauge), hist(2, unknown)}, []histogram.CounterResetHint{gauge, gauge, unknown}},
		{"kinds", []store.HistogramSample{hist(8, unknown), float, hist(2, unknown)}, []histogram.CounterResetHint{unknown, not, reset}},
		{"stale", []store.HistogramSample{hist(8, unknown), stale, hist(9, unknown)}, []histogram.CounterResetHint{unknown, unknown, unknown}},
	} {
		resetHints(c.in)
		var got []histogram.CounterResetHint
		for i := range c.in {
			got = append(got, *hintOf(&c.in[i]))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
