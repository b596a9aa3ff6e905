package metricstore

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

const hourMillis = 3_600_000

// tierData is a day of random series: counters with resets, gauges, one that ends, one
// that is mostly not a number.
func tierData(rnd *rand.Rand, from int64) map[string][]store.Sample {
	out := map[string][]store.Sample{}
	for i := range 6 {
		var v float64
		var xs []store.Sample
		step := []int64{15_000, 30_000, 60_000}[i%3]
		for at := from + rnd.Int64N(step); at < from+24*hourMillis-step; at += step {
			switch {
			case i < 4:
				v += float64(rnd.IntN(100))
				if rnd.IntN(200) == 0 {
					v = float64(rnd.IntN(5))
				}
			default:
				v = rnd.NormFloat64() * 100
			}
			x := store.Sample{Time: at + rnd.Int64N(step/2), Value: v}
			if i == 3 && rnd.IntN(100) == 0 {
				x.Value = math.Float64frombits(value.StaleNaN)
			}
			if i == 5 && rnd.IntN(10) > 0 {
				x.Value = math.NaN()
			}
			xs = append(xs, x)
		}
		name := fmt.Sprintf("counter_%d", i)
		if i >= 4 {
			name = fmt.Sprintf("gauge_%d", i)
		}
		out[name] = xs
	}
	return out
}

// numbersIn returns the numbers among the samples in (from, to].
func numbersIn(xs []store.Sample, from, to int64) []float64 {
	var out []float64
	for _, x := range xs {
		if x.Time > from && x.Time <= to && x.Value == x.Value {
			out = append(out, x.Value)
		}
	}
	return out
}

func increase(vs []float64) float64 {
	sum := 0.0
	for i := 1; i < len(vs); i++ {
		sum += step(vs[i-1], vs[i])
	}
	return sum
}

func fold(vs []float64, f func(a, b float64) float64) float64 {
	out := math.NaN()
	for i, v := range vs {
		if i == 0 {
			out = v
		} else {
			out = f(out, v)
		}
	}
	return out
}

func readAs(t *testing.T, e *engine, metric, f string) []store.Sample {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var acct store.Account
	sel := store.MetricSelector{Matchers: []*model.Matcher{equal(model.MetricName, metric)}, Range: wholly(), Func: f, Account: &acct}
	var out []store.Sample
	for x, err := range e.Select(ctx, testTenant, sel) {
		if err != nil {
			t.Fatal(err)
		}
		ts, vs, err := x.Samples(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ts {
			if i > 0 && ts[i] <= ts[i-1] {
				t.Fatalf("%s as %s: %d after %d", metric, f, ts[i], ts[i-1])
			}
			out = append(out, store.Sample{Time: ts[i], Value: vs[i]})
		}
	}
	if len(acct.Warnings()) == 0 {
		t.Errorf("%s as %s: no word about downsampling", metric, f)
	}
	return out
}

// TestTiers keeps a day through all tiers and compares what functions make of it with
// what they made of the samples.
func TestTiers(t *testing.T) {
	now := storetest.Now()
	opts := testOptions()
	opts.Now = func() time.Time { return now }
	day := 24 * time.Hour
	opts.Tiers = []Tier{{5 * time.Minute, 90 * day}, {time.Hour, 365 * day}}
	e := openEngine(t, t.TempDir(), opts)
	defer func() { e.close(t) }()
	from := dayOf(now.UnixMilli()).Start()/nsPerMs - 24*hourMillis
	data := tierData(rand.New(rand.NewPCG(1, 9)), from)
	b := &store.MetricBatch{}
	for name, xs := range data {
		b.Series = append(b.Series, store.SeriesWrite{Labels: model.LabelsFromMap(map[string]string{model.MetricName: name}), Samples: xs})
	}
	var hists []store.HistogramSample
	count := uint64(0)
	for at := from; at < from+24*hourMillis; at += 60_000 {
		if count++; (at-from)%(7*hourMillis) == 0 {
			count = 1
		}
		hists = append(hists, store.HistogramSample{Time: at, Int: &histogram.Histogram{
			Count: count, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(count)},
		}})
	}
	b.Series = append(b.Series, store.SeriesWrite{Labels: model.LabelsFromMap(map[string]string{model.MetricName: "hist"}), Histograms: hists})
	if err := e.Append(t.Context(), testTenant, b); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, c := range []struct {
		age time.Duration
		res int64
	}{{0, 0}, {20 * day, 300_000}, {91 * day, hourMillis}} {
		now = storetest.Now().Add(c.age)
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Merge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.res == 0 {
			size = e.DiskSize()
			continue
		}
		if n := e.DiskSize(); n > size*3/4 {
			t.Errorf("%d bytes at %d ms, %d before", n, c.res, size)
		} else {
			size = n
		}
		for name, xs := range data {
			compareTier(t, e, name, xs, from, c.res)
		}
		compareTierHistograms(t, e, hists, c.res)
	}
	now = storetest.Now().Add(367 * day)
	if err := e.set.DropExpired(); err != nil {
		t.Fatal(err)
	}
	if n := e.DiskSize(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

func compareTier(t *testing.T, e *engine, name string, raw []store.Sample, from, res int64) {
	t.Helper()
	near := func(a, b float64) bool {
		return a == b || math.Abs(a-b) <= 1e-9*(math.Abs(a)+math.Abs(b)) || a != a && b != b
	}
	lines := readAs(t, e, name, "")
	for _, f := range []struct {
		name string
		do   func([]float64) float64
	}{
		{"sum_over_time", func(vs []float64) float64 { return fold(vs, func(a, b float64) float64 { return a + b }) }},
		{"min_over_time", func(vs []float64) float64 { return fold(vs, math.Min) }},
		{"max_over_time", func(vs []float64) float64 { return fold(vs, math.Max) }},
		{"count_over_time", func(vs []float64) float64 { return float64(len(vs)) }},
	} {
		tier := readAs(t, e, name, f.name)
		for at := from + 2*res - 1; at < from+24*hourMillis; at += res * 2 { // whole buckets
			want, got := f.do(numbersIn(raw, at-2*res, at)), f.do(numbersIn(tier, at-2*res, at))
			if !near(want, got) {
				t.Fatalf("%s(%s) at %d of %d ms: %v, want %v", f.name, name, at-from, res, got, want)
			}
		}
	}
	last := func(vs []float64) float64 { return fold(vs, func(_, b float64) float64 { return b }) }
	for at := from + res - 1; at < from+24*hourMillis; at += res {
		if want, got := last(numbersIn(raw, at-res, at)), last(numbersIn(lines, at-res, at)); !near(want, got) {
			t.Fatalf("last of %s at %d of %d ms: %v, want %v", name, at-from, res, got, want)
		}
	}
	if name[0] != 'c' {
		return
	}
	tier := readAs(t, e, name, "rate")
	if want, got := increase(numbersIn(raw, 0, math.MaxInt64)), increase(numbersIn(tier, 0, math.MaxInt64)); !near(want, got) {
		t.Fatalf("growth of %s at %d ms: %v, want %v", name, res, got, want)
	}
	rnd := rand.New(rand.NewPCG(2, uint64(res)))
	for range 200 {
		at := from + rnd.Int64N(24*hourMillis)
		w := res * (3 + rnd.Int64N(4))
		got := increase(numbersIn(tier, at-w, at))
		lo, hi := increase(numbersIn(raw, at-w+res, at-res)), increase(numbersIn(raw, at-w-res, at+res))
		if got < lo*(1-1e-9) || got > hi*(1+1e-9) {
			t.Fatalf("increase of %s in %d ms at %d of %d ms: %v, want %v to %v", name, w, at-from, res, got, lo, hi)
		}
	}
}

func compareTierHistograms(t *testing.T, e *engine, raw []store.HistogramSample, res int64) {
	t.Helper()
	total := func(hs []store.HistogramSample) uint64 {
		n := hs[0].Int.Count
		for i := 1; i < len(hs); i++ {
			if a, b := hs[i-1].Int.Count, hs[i].Int.Count; b >= a {
				n += b - a
			} else {
				n += b
			}
		}
		return n
	}
	tier := readHistograms(t, e, "hist")
	if want, got := total(raw), total(tier); got != want {
		t.Errorf("histograms of %d ms count %d, want %d", res, got, want)
	}
	if most := 24*hourMillis/int(res) + 10; len(tier) > most {
		t.Errorf("%d histograms at %d ms, want at most %d", len(tier), res, most)
	}
}

// FuzzRows demands that damaged rows are an error and good ones come back as they were.
func FuzzRows(f *testing.F) {
	var enc codec.FloatEncoder
	f.Add(appendRows(nil, []row{rowOf(1, 2), rowOf(5, math.NaN())}, &enc), uint32(2))
	f.Fuzz(func(t *testing.T, data []byte, n uint32) {
		var dec sampleDecoder
		ts, vs, err := decodeExpanded(nil, nil, data, n%64, shapeCounter, &dec)
		if err == nil && len(ts) != len(vs) {
			t.Errorf("%d times, %d values", len(ts), len(vs))
		}
	})
}
