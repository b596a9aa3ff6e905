package metricstore

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestSummaryRoundTrip encodes and decodes the summaries of random chunks.
func TestSummaryRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		n := 1 + rnd.IntN(40)
		ts, vs := make([]int64, n), make([]float64, n)
		kind, v := rnd.IntN(5), rnd.NormFloat64()*100
		for i := range n {
			switch kind {
			case 0: // constant
			case 1: // counter
				v += float64(rnd.IntN(5))
			case 2: // counter with resets
				v = math.Mod(v+float64(rnd.IntN(9)), 20)
			case 3:
				v = rnd.NormFloat64() * math.Pow(10, float64(rnd.IntN(30)-15))
			case 4: // zeros of both signs
				v = math.Copysign(0, float64(rnd.IntN(2))-0.5)
			}
			ts[i], vs[i] = int64(1000+i*15), v
			switch rnd.IntN(60) {
			case 0:
				vs[i] = math.Float64frombits(value.StaleNaN)
			case 1:
				vs[i] = []float64{math.NaN(), math.Inf(1)}[rnd.IntN(2)]
			}
		}
		want, has := model.Summarize(ts, vs)
		c := chunkMeta{minT: ts[0], maxT: ts[n-1], count: uint32(n)}
		got, ok, err := readSummary(appendSummary(nil, ts, vs), &c)
		if err != nil || ok != has {
			t.Fatalf("%v: %v, %v; want %v", vs, ok, err, has)
		}
		if !has {
			continue
		}
		sum, wantSum := got.Sum+got.Lost, want.Sum+want.Lost
		if math.Abs(sum-wantSum) > 1e-12*math.Abs(wantSum) {
			t.Fatalf("%v: sum %g, want %g", vs, sum, wantSum)
		}
		got.Sum, got.Lost = want.Sum, want.Lost // of a constant it is computed anew
		bits := func(s model.Summary) [6]uint64 {
			b := math.Float64bits
			return [6]uint64{b(s.First), b(s.Last), b(s.Min), b(s.Max), b(s.Fell), uint64(s.Count)}
		}
		if got != want || bits(got) != bits(want) {
			t.Fatalf("%v:\n got %+v\nwant %+v", vs, got, want)
		}
	}
}

// TestSummariesEqualSamples reads random windows of series that were flushed, merged,
// written late and deleted, as samples and with summaries.
func TestSummariesEqualSamples(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 9))
	e := openEngine(t, t.TempDir(), testOptions())
	defer func() { e.close(t) }()
	const series, day = 3, int64(86_400_000)
	start := storetest.Now().UnixMilli() - 3*day
	level := [series]float64{}
	ends := []int64{} // of the flushes
	for n := range 24 {
		b := &store.MetricBatch{}
		for i := range series {
			w := store.SeriesWrite{Labels: model.LabelsFromMap(map[string]string{model.MetricName: "m", "i": string(rune('a' + i))})}
			for k := range 150 {
				level[i] += float64(rnd.IntN(7))
				if rnd.IntN(400) == 0 {
					level[i] = 0
				}
				v := level[i]
				if i == 2 && rnd.IntN(500) == 0 {
					v = []float64{math.NaN(), math.Float64frombits(value.StaleNaN)}[rnd.IntN(2)]
				}
				w.Samples = append(w.Samples, store.Sample{Time: start + int64(n*150+k)*60_000, Value: v})
			}
			if n > 3 && rnd.IntN(4) == 0 {
				w.Samples = append(w.Samples, store.Sample{Time: w.Samples[0].Time - int64(rnd.IntN(9_000_000)), Value: 5})
			}
			b.Series = append(b.Series, w)
		}
		if err := e.Append(t.Context(), testTenant, b); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, b.Series[0].Samples[149].Time)
		if n < 23 {
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n == 15 {
			if err := e.Merge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	compare := func(when string, some bool) {
		t.Helper()
		summaries := 0
		for range 200 {
			from := start + rnd.Int64N(2*day)
			r := model.TimeRange{From: from, To: from + 1 + rnd.Int64N(2*day)}
			cut := ends[rnd.IntN(len(ends))] - rnd.Int64N(3)*3_600_000
			summaries += compareSummaries(t, e, r, cut)
		}
		if some != (summaries > 0) {
			t.Errorf("%s: %d summaries", when, summaries)
		}
	}
	compare("written", true)
	err := e.Delete(t.Context(), testTenant, [][]*model.Matcher{{model.MustMatcher(model.MatchEqual, "i", "a")}},
		model.TimeRange{From: start + 10*3_600_000, To: start + 20*3_600_000})
	if err != nil {
		t.Fatal(err)
	}
	compare("deleted", true)
	for range 3 {
		if err := e.Merge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	compare("merged", true)
}

// compareSummaries reads r with summaries of what lies on one side of cut and compares
// with the samples. It returns the number of summaries.
func compareSummaries(t *testing.T, e *engine, r model.TimeRange, cut int64) (found int) {
	t.Helper()
	sel := store.MetricSelector{Matchers: []*model.Matcher{model.MustMatcher(model.MatchEqual, model.MetricName, "m")}, Range: r}
	for x, err := range e.Select(t.Context(), testTenant, sel) {
		if err != nil {
			t.Fatal(err)
		}
		ts, vs, err := x.Samples(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		whole := func(from, to int64) bool { return from > cut == (to > cut) }
		ts2, vs2, sums, err := x.Summaries(whole, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		found += len(sums)
		for i, t2 := range ts2 {
			k, ok := slices.BinarySearch(ts, t2)
			if !ok || math.Float64bits(vs[k]) != math.Float64bits(vs2[i]) {
				t.Fatalf("sample at %d is none", t2)
			}
			ts, vs = slices.Delete(ts, k, k+1), slices.Delete(vs, k, k+1)
		}
		for _, s := range sums {
			lo, _ := slices.BinarySearch(ts, s.From)
			hi, _ := slices.BinarySearchFunc(ts, s.To, func(a, b int64) int { return cmp.Or(cmp.Compare(a, b), -1) })
			want, ok := model.Summarize(ts[lo:hi], vs[lo:hi])
			s.Sum, s.Lost = s.Sum+s.Lost, 0
			want.Sum, want.Lost = want.Sum+want.Lost, 0
			if !ok || s != want || !whole(s.From, s.To) {
				t.Fatalf("summary %+v, want %+v", s, want)
			}
			ts, vs = slices.Delete(ts, lo, hi), slices.Delete(vs, lo, hi)
		}
		for _, v := range vs {
			if !value.IsStaleNaN(v) {
				t.Fatalf("%d samples are missing", len(ts))
			}
		}
	}
	return found
}
