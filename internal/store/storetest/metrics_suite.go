package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// RunMetrics holds a metric store to the contract. open returns a new empty store each
// time.
func RunMetrics(t *testing.T, open func(t *testing.T) Subject[MetricStore]) {
	cases := []struct {
		name string
		test func(t *testing.T, sub Subject[MetricStore])
	}{
		{"empty", testMetricsEmpty},
		{"float bits", testFloatBits},
		{"last written wins", testLastWins},
		{"out of order", testOutOfOrder},
		{"half-open range", testMetricRange},
		{"matchers", testMetricMatchers},
		{"keys", testMetricKeys},
		{"writer gives memory back", testMetricOwnership},
		{"invalid labels", testMetricInvalid},
		{"limit", testMetricLimit},
		{"budget", testMetricBudget},
		{"histograms", testHistograms},
		{"exemplars", testExemplars},
		{"metadata", testMetadata},
		{"cardinality", testCardinality},
		{"tenants", testMetricTenants},
		{"cancel", testMetricCancel},
		{"concurrent", testMetricConcurrent},
		{"random", func(t *testing.T, _ Subject[MetricStore]) { testMetricRandom(t, open) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// now is the clock of the suites in the unit of metric samples.
func now() int64 { return Now().UnixMilli() }

func labels(pairs ...string) model.Labels {
	var ls model.Labels
	for i := 0; i < len(pairs); i += 2 {
		ls = append(ls, model.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return model.NewLabels(ls...)
}

func eq(name, v string) *model.Matcher  { return model.MustMatcher(model.MatchEqual, name, v) }
func neq(name, v string) *model.Matcher { return model.MustMatcher(model.MatchNotEqual, name, v) }
func re(name, v string) *model.Matcher  { return model.MustMatcher(model.MatchRegexp, name, v) }
func nre(name, v string) *model.Matcher { return model.MustMatcher(model.MatchNotRegexp, name, v) }

func all(ms ...*model.Matcher) store.MetricSelector {
	return store.MetricSelector{Matchers: ms, All: true, Range: always()}
}

// metricTwin writes to the subject and to the reference alike.
type metricTwin struct {
	sub Subject[MetricStore]
	ref *Metrics
}

func newMetricTwin(sub Subject[MetricStore]) *metricTwin {
	return &metricTwin{sub: sub, ref: NewMetrics()}
}

func (w *metricTwin) append(t *testing.T, tenant model.Tenant, b *store.MetricBatch) {
	t.Helper()
	want := w.ref.Append(t.Context(), tenant, b)
	got := w.sub.Store.Append(t.Context(), tenant, b)
	if want == nil && got == nil {
		return
	}
	var wr, gr *store.Refused
	if !errors.As(want, &wr) || !errors.As(got, &gr) || wr.Count() != gr.Count() || wr.Kept != gr.Kept {
		t.Fatalf("append = %v, want %v", got, want)
	}
}

func (w *metricTwin) series(t *testing.T, ls model.Labels, samples ...store.Sample) {
	t.Helper()
	w.append(t, tenant, &store.MetricBatch{Series: []store.SeriesWrite{{Labels: ls, Samples: samples}}})
}

// seriesText is one series of an answer, as comparable values.
type seriesText struct {
	Labels     string
	Samples    []string // time and bits of the value
	Histograms []string
}

// readAll decodes what sel selects. Series without data are left out: a store need not
// decode blocks to know that nothing in them is in the range.
func readAll(t *testing.T, s store.MetricReader, tenant model.Tenant, sel store.MetricSelector) []seriesText {
	t.Helper()
	var out []seriesText
	var last model.Labels
	for x, err := range s.Select(t.Context(), tenant, sel) {
		if err != nil {
			t.Fatalf("select %v: %v", sel.Matchers, err)
		}
		if last != nil && last.Compare(x.Labels()) >= 0 {
			t.Fatalf("select %v: series %s after %s: not in order", sel.Matchers, x.Labels(), last)
		}
		last = x.Labels()
		st := decodeSeries(t, x)
		if len(st.Samples)+len(st.Histograms) > 0 {
			out = append(out, st)
		}
	}
	return out
}

func decodeSeries(t *testing.T, x store.Series) seriesText {
	t.Helper()
	ts, vs, err := x.Samples([]int64{-7}, []float64{-7})
	if err != nil {
		t.Fatalf("decode samples of %s: %v", x.Labels(), err)
	}
	if len(ts) != len(vs) || len(ts) < 1 || ts[0] != -7 || vs[0] != -7 {
		t.Fatalf("Samples of %s do not append: %d times, %d values", x.Labels(), len(ts), len(vs))
	}
	st := seriesText{Labels: x.Labels().String()}
	for i := range ts[1:] {
		if i > 0 && ts[i] >= ts[i+1] {
			t.Fatalf("samples of %s: %d after %d", x.Labels(), ts[i+1], ts[i])
		}
		st.Samples = append(st.Samples, fmt.Sprintf("%d %016x (%v)", ts[i+1], math.Float64bits(vs[i+1]), vs[i+1]))
	}
	hs, err := x.Histograms(nil)
	if err != nil {
		t.Fatalf("decode histograms of %s: %v", x.Labels(), err)
	}
	for _, h := range hs {
		st.Histograms = append(st.Histograms, histogramText(h))
	}
	return st
}

// histogramText is equal for histograms that mean the same: empty spans and the counter
// reset hint do not count.
func histogramText(h store.HistogramSample) string {
	switch {
	case h.Int != nil && h.Float == nil:
		c := h.Int.Copy().Compact(0)
		c.CounterResetHint = histogram.UnknownCounterReset
		return fmt.Sprintf("%d int %+v sum %016x", h.Time, *c, math.Float64bits(c.Sum))
	case h.Float != nil && h.Int == nil:
		c := h.Float.Copy().Compact(0)
		c.CounterResetHint = histogram.UnknownCounterReset
		return fmt.Sprintf("%d float %+v sum %016x", h.Time, *c, math.Float64bits(c.Sum))
	}
	return fmt.Sprintf("%d: want exactly one of Int and Float", h.Time)
}

// check compares one Select of the subject with the reference.
func (w *metricTwin) check(t *testing.T, sel store.MetricSelector) {
	t.Helper()
	want := readAll(t, w.ref, tenant, sel)
	got := readAll(t, w.sub.Store, tenant, sel)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("select %v in %v (-want +got):\n%s", sel.Matchers, sel.Range, d)
	}
	sel.Latest = true
	got = readAll(t, w.sub.Store, tenant, sel)
	for _, list := range [][]seriesText{want, got} {
		for i := range list {
			list[i].Samples, list[i].Histograms = newest(list[i].Samples), newest(list[i].Histograms)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("select the latest of %v in %v (-want +got):\n%s", sel.Matchers, sel.Range, d)
	}
}

func newest(list []string) []string { return list[max(0, len(list)-1):] }

// checkEverywhere compares a Select in memory, after a flush and after a restart.
func (w *metricTwin) checkEverywhere(t *testing.T, sel store.MetricSelector) {
	t.Helper()
	w.check(t, sel)
	settle(t, &w.sub)
	w.check(t, sel)
	if w.sub.Reopen != nil {
		reopen(t, &w.sub)
		w.check(t, sel)
	}
}

func testMetricsEmpty(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	w.check(t, all())
	w.append(t, tenant, &store.MetricBatch{})
	w.append(t, tenant, &store.MetricBatch{Series: []store.SeriesWrite{{Labels: labels("a", "b")}}})
	w.checkEverywhere(t, all())
	wantLastError(t, w.sub.Store.Select(t.Context(), tenant, store.MetricSelector{Range: always()}), store.ErrTooBroad)
	wantLastError(t, w.sub.Store.Select(t.Context(), tenant, store.MetricSelector{
		Range: always(), Matchers: []*model.Matcher{eq("a", ""), nre("b", "x"), re("c", ".*")},
	}), store.ErrTooBroad)
}

func testFloatBits(t *testing.T, sub Subject[MetricStore]) {
	bits := []uint64{
		value.StaleNaN, value.NormalNaN, 0x7ff0000000000001, 0xfff8000000000000, 0x7fffffffffffffff,
		0, 1 << 63, 1, math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)),
		math.Float64bits(math.MaxFloat64), math.Float64bits(0.1), math.Float64bits(1 << 53), math.Float64bits(1<<53 + 2),
		math.Float64bits(123456789.123456), math.Float64bits(1e-300), math.Float64bits(-42), math.Float64bits(1e22),
	}
	w := newMetricTwin(sub)
	for i := range bits { // every pair of neighbours occurs, in both orders
		var samples []store.Sample
		for j := range bits {
			samples = append(samples, store.Sample{Time: now() - 3_600_000 + int64(j)*15_000, Value: math.Float64frombits(bits[(i*j)%len(bits)])})
		}
		w.series(t, labels(model.MetricName, "bits", "i", fmt.Sprint(i)), samples...)
	}
	w.checkEverywhere(t, all(eq(model.MetricName, "bits")))
}

func testLastWins(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	ls := labels(model.MetricName, "x")
	at := now() - 1000
	w.series(t, ls, store.Sample{Time: at, Value: 1}, store.Sample{Time: at, Value: 2})
	w.check(t, all())
	w.append(t, tenant, &store.MetricBatch{Series: []store.SeriesWrite{
		{Labels: ls, Samples: []store.Sample{{Time: at, Value: 3}}},
		{Labels: ls, Samples: []store.Sample{{Time: at, Value: 4}, {Time: at + 1, Value: 5}}},
	}})
	w.checkEverywhere(t, all())
	w.series(t, ls, store.Sample{Time: at, Value: math.Float64frombits(value.StaleNaN)})
	w.checkEverywhere(t, all())
	w.series(t, ls, store.Sample{Time: at, Value: 6})
	w.checkEverywhere(t, all())
}

func testOutOfOrder(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	ls := labels(model.MetricName, "x")
	for i, ago := range []int64{0, 10_000, dayMillis, 5_000, 2 * dayMillis, dayMillis + 1, 1, 7_200_000, 7_200_001} {
		w.series(t, ls, store.Sample{Time: now() - ago, Value: float64(i)})
		if i%3 == 2 {
			settle(t, &w.sub)
		}
		w.check(t, all())
	}
	w.checkEverywhere(t, all())
}

func testMetricRange(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	midnight := now() - now()%dayMillis
	times := []int64{midnight - 1, midnight, midnight + 1, midnight + 1000}
	for _, at := range times {
		w.series(t, labels(model.MetricName, "x"), store.Sample{Time: at, Value: 1})
		w.series(t, labels(model.MetricName, "at", "at", fmt.Sprint(at)), store.Sample{Time: at, Value: 2})
	}
	for range 2 {
		for _, from := range times {
			for _, to := range times {
				sel := all()
				sel.Range = model.TimeRange{From: from, To: to}
				w.check(t, sel)
			}
		}
		settle(t, &w.sub)
	}
}

func testMetricMatchers(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	for _, ls := range []model.Labels{
		labels(model.MetricName, "up", "job", "api", "env", "prod"),
		labels(model.MetricName, "up", "job", "api"),
		labels(model.MetricName, "up", "job", "db", "env", "dev"),
		labels(model.MetricName, "up", "env", "line\nbreak"),
		labels(model.MetricName, "down", "job", "api-gateway", "é", "ü"),
		labels("job", "nameless"),
	} {
		w.series(t, ls, store.Sample{Time: now(), Value: 1})
	}
	sets := [][]*model.Matcher{
		{eq("job", "api")},
		{eq("job", "")},
		{neq("job", "")},
		{neq("job", "api")},
		{re("job", "api")}, // anchored: not api-gateway
		{re("job", "api.*")},
		{re("job", "a|b|db|api")},
		{re("job", "")},
		{re("job", ".*")},
		{re("job", ".+")},
		{re("job", "(?i)API")},
		{re("env", "line.break")}, // a dot matches a newline
		{nre("job", "api.*")},
		{nre("job", ".+")},
		{nre("job", ".*")},
		{nre("env", "prod|dev")},
		{eq("absent", "")},
		{eq("absent", "x")},
		{neq("absent", "x")},
		{eq("é", "ü")},
		{eq(model.MetricName, "up"), neq("env", "prod")},
		{eq(model.MetricName, "up"), re("env", "prod|"), neq("job", "db")},
		{re(model.MetricName, "up|down"), nre("job", "db")},
		{eq("job", "api"), eq("job", "db")},
		nil,
	}
	for range 2 {
		for _, ms := range sets {
			w.check(t, all(ms...))
		}
		settle(t, &w.sub)
	}
}

func testMetricKeys(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	decode := func(key []byte, dst model.Labels) (model.Labels, error) {
		if string(key) == "bad" {
			return nil, errors.New("bad key")
		}
		// not sorted, one empty
		return append(dst, model.Label{Name: "z", Value: string(key)}, model.Label{Name: "a", Value: "1"}, model.Label{Name: "m"}), nil
	}
	sample := func(v float64) []store.Sample { return []store.Sample{{Time: now(), Value: v}} }
	for v := range 3 {
		w.append(t, tenant, &store.MetricBatch{Decode: decode, Series: []store.SeriesWrite{
			{Key: []byte("k1"), Samples: sample(float64(v))},
			{Key: []byte("k2"), Samples: sample(float64(v))},
			{Key: []byte("k1"), Samples: sample(float64(10 + v))},
			{Labels: labels("z", "k2", "a", "1"), Samples: sample(7)}, // the same series, named by labels
		}})
	}
	w.checkEverywhere(t, all(eq("a", "1")))
	err := w.sub.Store.Append(t.Context(), tenant, &store.MetricBatch{Decode: decode, Series: []store.SeriesWrite{
		{Key: []byte("bad"), Samples: sample(1)}, {Key: []byte("k3"), Samples: sample(1)},
	}})
	wantRefused(t, err, store.ReasonInvalidLabels, 1, 1)
}

func testMetricConcurrent(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				b := &store.MetricBatch{Series: []store.SeriesWrite{{
					Labels:  labels(model.MetricName, "c", "g", fmt.Sprint(g%2)), // two writers a series
					Samples: []store.Sample{{Time: now() + int64(i*10+g), Value: float64(i)}},
				}}}
				if err := w.sub.Store.Append(t.Context(), tenant, b); err != nil {
					t.Errorf("append: %v", err)
				}
				if err := w.ref.Append(t.Context(), tenant, b); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				for x, err := range w.sub.Store.Select(t.Context(), tenant, all()) {
					if err != nil {
						t.Errorf("select: %v", err)
						return
					}
					if _, _, err := x.Samples(nil, nil); err != nil {
						t.Errorf("decode: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	w.checkEverywhere(t, all())
	// A series is decoded from several goroutines.
	for x, err := range w.sub.Store.Select(t.Context(), tenant, all()) {
		if err != nil {
			t.Fatal(err)
		}
		var sizes [4]int
		for g := range sizes {
			wg.Go(func() {
				ts, _, err := x.Samples(nil, nil)
				if err != nil {
					t.Errorf("decode: %v", err)
				}
				sizes[g] = len(ts)
			})
		}
		wg.Wait()
		if slices.Min(sizes[:]) != slices.Max(sizes[:]) {
			t.Errorf("series %s decodes to %v samples", x.Labels(), sizes)
		}
	}
}
