package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// loan hands out strings that share one buffer, and spoils them all at once: what a
// decoder that reuses its request body does.
type loan struct{ bufs [][]byte }

func (l *loan) str(s string) string {
	if s == "" {
		return ""
	}
	return unsafe.String(unsafe.SliceData(l.bytes(s)), len(s))
}

func (l *loan) bytes(s string) []byte {
	b := []byte(s)
	l.bufs = append(l.bufs, b)
	return b
}

func (l *loan) labels(ls model.Labels) model.Labels {
	out := make(model.Labels, len(ls))
	for i, x := range ls {
		out[i] = model.Label{Name: l.str(x.Name), Value: l.str(x.Value)}
	}
	return out
}

func (l *loan) spoil() {
	for _, b := range l.bufs {
		for i := range b {
			b[i] = '#'
		}
	}
	l.bufs = nil
}

func testMetricOwnership(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	var l loan
	for i := range 3 {
		b := &store.MetricBatch{
			Decode: func(key []byte, dst model.Labels) (model.Labels, error) {
				return append(dst, model.Label{Name: "key", Value: unsafe.String(&key[0], len(key))}), nil
			},
			Series: []store.SeriesWrite{
				{Key: l.bytes("by-key"), Samples: []store.Sample{{Time: now() + int64(i), Value: 1}}},
				{
					Labels: l.labels(labels(model.MetricName, "by_labels")), Samples: []store.Sample{{Time: now(), Value: 1}},
					Exemplars: []store.Exemplar{{Time: now(), Value: 1, Labels: l.labels(labels("trace_id", "abc"))}},
				},
				{Labels: l.labels(labels(model.MetricName, "hist")), Histograms: []store.HistogramSample{{Time: now(), Int: intHistogram(i)}}},
			},
			Metadata: []store.MetricMetadata{{Metric: l.str("by_labels"), Type: l.str("gauge"), Help: l.str("helps")}},
		}
		w.append(t, tenant, b)
		l.spoil()
		for s := range b.Series {
			for j := range b.Series[s].Samples {
				b.Series[s].Samples[j] = store.Sample{}
			}
			for _, h := range b.Series[s].Histograms {
				*h.Int = histogram.Histogram{}
			}
			clear(b.Series[s].Exemplars)
		}
		w.check(t, all())
	}
	w.checkEverywhere(t, all())
	w.checkExemplars(t, all())
	w.checkMetadata(t)
}

func testMetricInvalid(t *testing.T, sub Subject[MetricStore]) {
	at := []store.Sample{{Time: now(), Value: 1}, {Time: now() + 1, Value: 1}}
	for name, bad := range map[string]model.Labels{
		"no labels":          {},
		"only empty":         {{Name: "a"}},
		"empty name":         {{Name: "", Value: "x"}},
		"name is not UTF-8":  {{Name: "a\xff", Value: "x"}},
		"value is not UTF-8": {{Name: "a", Value: "x\xff"}},
		"a name twice":       {{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := sub.Store.Append(t.Context(), tenant, &store.MetricBatch{Series: []store.SeriesWrite{
				{Labels: bad, Samples: at},
				{Labels: labels(model.MetricName, "good"), Samples: at},
				{Labels: bad, Samples: at[:1]},
			}})
			wantRefused(t, err, store.ReasonInvalidLabels, 3, 2)
		})
	}
	if got := readAll(t, sub.Store, tenant, all()); len(got) != 1 || len(got[0].Samples) != 2 {
		t.Errorf("stored %v, want the good series only", got)
	}
}

func testMetricLimit(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	for i := range 10 {
		w.series(t, labels(model.MetricName, "x", "i", fmt.Sprint(i)), store.Sample{Time: now(), Value: 1})
	}
	for _, limit := range []int{1, 5, 10, 11} {
		sel := all()
		sel.Limit, sel.Account = limit, &store.Account{}
		got := readAll(t, w.sub.Store, tenant, sel)
		if len(got) != min(limit, 10) {
			t.Errorf("limit %d: %d series", limit, len(got))
		}
		if warned := len(sel.Account.Warnings()) > 0; warned != (limit < 10) {
			t.Errorf("limit %d: warnings %q", limit, sel.Account.Warnings())
		}
	}
}

func testMetricBudget(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	var samples []store.Sample
	for i := range int64(1000) {
		samples = append(samples, store.Sample{Time: now() - i*1000, Value: rand.New(rand.NewPCG(1, uint64(i))).Float64()})
	}
	w.series(t, labels(model.MetricName, "x"), samples...)
	for range 2 {
		sel := all()
		sel.Account = &store.Account{MaxBytes: 100}
		var err error
		for x, e := range w.sub.Store.Select(t.Context(), tenant, sel) {
			if err = e; err == nil {
				_, _, err = x.Samples(nil, nil)
			}
		}
		if !errors.Is(err, store.ErrTooBroad) {
			t.Fatalf("reading 1000 samples on a budget of 100 bytes: error %v; used %+v", err, sel.Account.Usage())
		}
		settle(t, &w.sub)
	}
}

func intHistogram(i int) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: int32(i % 4), Count: uint64(12 + i), ZeroCount: 2, ZeroThreshold: 0.001, Sum: 18.4 + float64(i),
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1 + int32(i%3), Length: 2}},
		PositiveBuckets: []int64{1, 1, -1, int64(i % 5)},
		NegativeSpans:   []histogram.Span{{Offset: -3, Length: 1}},
		NegativeBuckets: []int64{int64(1 + i)},
	}
}

func customHistogram(i int) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: uint64(5 + i), Sum: float64(i) / 3,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []int64{1, 1, int64(i)},
		CustomValues: []float64{0.1, 0.5, 10},
	}
}

func testHistograms(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	stale := &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
	for i := range 40 {
		at := now() - int64((i*7)%40)*15_000
		ints := []store.HistogramSample{{Time: at, Int: intHistogram(i)}}
		if i == 20 {
			ints[0].Int = stale
		}
		floats := intHistogram(i).ToFloat(nil)
		floats.Count += 0.5
		w.append(t, tenant, &store.MetricBatch{Series: []store.SeriesWrite{
			{Labels: labels(model.MetricName, "int"), Histograms: ints},
			{Labels: labels(model.MetricName, "float"), Histograms: []store.HistogramSample{{Time: at, Float: floats}}},
			{Labels: labels(model.MetricName, "custom"), Histograms: []store.HistogramSample{{Time: at, Int: customHistogram(i)}}},
			{
				Labels:     labels(model.MetricName, "mixed"),
				Samples:    []store.Sample{{Time: at, Value: float64(i)}},
				Histograms: []store.HistogramSample{{Time: at + 1, Int: intHistogram(i)}, {Time: at + 2, Float: floats}},
			},
		}})
	}
	w.checkEverywhere(t, all())
	sel := all()
	sel.Range = model.TimeRange{From: now() - 300_000, To: now()}
	w.checkEverywhere(t, sel)
	// The last written histogram of a time wins, too.
	w.append(t, tenant, &store.MetricBatch{Series: []store.SeriesWrite{
		{Labels: labels(model.MetricName, "int"), Histograms: []store.HistogramSample{{Time: now(), Int: intHistogram(99)}}},
	}})
	w.checkEverywhere(t, all())
}

func (w *metricTwin) checkExemplars(t *testing.T, sel store.MetricSelector) {
	t.Helper()
	read := func(s store.MetricReader) (out []string) {
		for x, err := range s.Exemplars(t.Context(), tenant, sel) {
			if err != nil {
				t.Fatalf("exemplars: %v", err)
			}
			out = append(out, x.Labels.String())
			if !slices.IsSortedFunc(x.Exemplars, func(a, b store.Exemplar) int { return int(a.Time - b.Time) }) {
				t.Fatalf("exemplars of %s are not in order of time", x.Labels)
			}
			slices.SortFunc(x.Exemplars, compareExemplars)
			for _, e := range x.Exemplars {
				out = append(out, fmt.Sprintf("  %d %016x %s", e.Time, math.Float64bits(e.Value), e.Labels))
			}
		}
		return out
	}
	if d := cmp.Diff(read(w.ref), read(w.sub.Store)); d != "" {
		t.Fatalf("exemplars in %v (-want +got):\n%s", sel.Range, d)
	}
}

func testExemplars(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	for i := range 30 {
		at := now() - int64((i*11)%30)*3_600_000
		e := store.Exemplar{Time: at, Value: float64(i), Labels: labels("trace_id", fmt.Sprint(i/2), "span_id", "s")}
		w.append(t, tenant, &store.MetricBatch{Series: []store.SeriesWrite{
			{Labels: labels(model.MetricName, "h", "i", fmt.Sprint(i%3)), Samples: []store.Sample{{Time: at, Value: 1}}, Exemplars: []store.Exemplar{e, e}},
			{Labels: labels(model.MetricName, "no_samples"), Exemplars: []store.Exemplar{{Time: at, Value: -1}}},
		}})
	}
	for range 2 {
		w.checkExemplars(t, all())
		w.checkExemplars(t, all(eq("i", "1")))
		sel := all()
		sel.Range = model.TimeRange{From: now() - 5*3_600_000, To: now()}
		w.checkExemplars(t, sel)
		settle(t, &w.sub)
	}
	if w.sub.Reopen != nil {
		reopen(t, &w.sub)
		w.checkExemplars(t, all())
	}
}

func (w *metricTwin) checkMetadata(t *testing.T) {
	t.Helper()
	for _, metric := range []string{"", "requests", "unknown"} {
		want, err := w.ref.Metadata(t.Context(), tenant, metric, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.sub.Store.Metadata(t.Context(), tenant, metric, 0)
		if err != nil {
			t.Fatalf("metadata of %q: %v", metric, err)
		}
		if len(want)+len(got) > 0 && !cmp.Equal(want, got) {
			t.Fatalf("metadata of %q (-want +got):\n%s", metric, cmp.Diff(want, got))
		}
	}
}

func testMetadata(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	requests := store.MetricMetadata{Metric: "requests", Type: "counter", Unit: "requests", Help: "Requests."}
	w.append(t, tenant, &store.MetricBatch{Metadata: []store.MetricMetadata{
		requests, {Metric: "temperature", Type: "gauge", Help: "Line\nbreak, \"quotes\"."}, {Metric: "another"},
	}})
	w.checkMetadata(t)
	w.append(t, tenant, &store.MetricBatch{Metadata: []store.MetricMetadata{requests}}) // known already
	w.checkMetadata(t)
	requests.Help = "All requests."
	w.append(t, tenant, &store.MetricBatch{Metadata: []store.MetricMetadata{requests}}) // conflicts
	w.checkMetadata(t)
	settle(t, &w.sub)
	w.checkMetadata(t)
	if w.sub.Reopen != nil {
		reopen(t, &w.sub)
		w.checkMetadata(t)
	}
	got, err := w.sub.Store.Metadata(t.Context(), tenant, "", 1)
	if err != nil || len(got) != 1 || got[0].Metric != "another" {
		t.Errorf("metadata with limit 1 = %v, %v", got, err)
	}
}

func testCardinality(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	for i := range 12 {
		w.series(t, labels(model.MetricName, fmt.Sprintf("m%d", min(i/4+i%2, 2)), "i", fmt.Sprint(i)), store.Sample{Time: now() - int64(i)*1000, Value: 1})
	}
	w.series(t, labels(model.MetricName, "old", "only", "yesterday"), store.Sample{Time: now() - 2*dayMillis, Value: 1})
	for range 2 {
		want, err := w.ref.Cardinality(t.Context(), tenant, 2)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.sub.Store.Cardinality(t.Context(), tenant, 2)
		if err != nil {
			t.Fatalf("cardinality: %v", err)
		}
		if want.Chunks = got.Chunks; got.Chunks > 0 && got.Chunks < got.Series {
			t.Errorf("%d chunks of %d series", got.Chunks, got.Series)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("cardinality (-want +got):\n%s", d)
		}
		settle(t, &w.sub)
	}
}

func testMetricTenants(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	w.series(t, labels(model.MetricName, "mine"), store.Sample{Time: now(), Value: 1})
	w.append(t, "team-b", &store.MetricBatch{
		Series:   []store.SeriesWrite{{Labels: labels(model.MetricName, "theirs", "b", "c"), Samples: []store.Sample{{Time: now(), Value: 2}}}},
		Metadata: []store.MetricMetadata{{Metric: "theirs", Type: "gauge"}},
	})
	w.checkEverywhere(t, all())
	w.checkMetadata(t)
	if got := readAll(t, w.sub.Store, "team-b", all()); len(got) != 1 || !strings.Contains(got[0].Labels, "theirs") {
		t.Errorf("tenant team-b has %v", got)
	}
	if got := readAll(t, w.sub.Store, "nobody", all()); got != nil {
		t.Errorf("tenant nobody has %v", got)
	}
	names, err := w.sub.Store.LabelNames(t.Context(), tenant, all())
	if err != nil || !slices.Equal(names, []string{model.MetricName}) {
		t.Errorf("label names = %q, %v", names, err)
	}
}

func testMetricCancel(t *testing.T, sub Subject[MetricStore]) {
	w := newMetricTwin(sub)
	w.series(t, labels(model.MetricName, "x"), store.Sample{Time: now(), Value: 1})
	ctx := cancelled(t.Context())
	wantLastError(t, w.sub.Store.Select(ctx, tenant, all()), context.Canceled)
	for _, err := range w.sub.Store.Select(t.Context(), tenant, all()) {
		if err != nil {
			t.Error(err)
		}
		break // a reader may stop early
	}
}

// checkNames compares the questions about names.
func (w *metricTwin) checkNames(t *testing.T, sel store.MetricSelector) {
	t.Helper()
	wide := sel
	wide.Range = wholeDays(sel.Range, dayMillis)
	strs := func(f func(MetricStore, store.MetricSelector) ([]string, error), s MetricStore, sel store.MetricSelector) []string {
		got, err := f(s, sel)
		if err != nil {
			t.Fatalf("names for %v: %v", sel.Matchers, err)
		}
		return got
	}
	for what, f := range map[string]func(MetricStore, store.MetricSelector) ([]string, error){
		"label names": func(s MetricStore, sel store.MetricSelector) ([]string, error) {
			return s.LabelNames(t.Context(), tenant, sel)
		},
		"values of job": func(s MetricStore, sel store.MetricSelector) ([]string, error) {
			return s.LabelValues(t.Context(), tenant, "job", sel)
		},
		"metric names": func(s MetricStore, sel store.MetricSelector) ([]string, error) {
			return s.LabelValues(t.Context(), tenant, model.MetricName, sel)
		},
	} {
		wantBetween(t, what, strs(f, w.sub.Store, sel), strs(f, w.ref, sel), strs(f, w.ref, wide))
	}
	sets := func(s MetricStore, sel store.MetricSelector) (out []model.Labels) {
		for ls, err := range s.LabelSets(t.Context(), tenant, sel) {
			if err != nil {
				t.Fatalf("label sets: %v", err)
			}
			out = append(out, ls)
		}
		return out
	}
	texts := func(in []model.Labels) (out []string) {
		for _, ls := range in {
			out = append(out, ls.String())
		}
		slices.Sort(out)
		return out
	}
	got := sets(w.sub.Store, sel)
	if !slices.IsSortedFunc(got, model.Labels.Compare) {
		t.Errorf("label sets are not in order: %v", got)
	}
	wantBetween(t, "label sets", texts(got), texts(sets(w.ref, sel)), texts(sets(w.ref, wide)))
}

func randomMetricBatch(rng *rand.Rand, l *loan) *store.MetricBatch {
	b := &store.MetricBatch{}
	base := now() - rng.Int64N(2*dayMillis)
	for range 1 + rng.IntN(8) {
		ls := labels(
			model.MetricName, pick(rng, "up", "requests", "latency"), "job", pick(rng, "", "api", "db", "web"),
			"instance", fmt.Sprint(rng.IntN(4)), "env", pick(rng, "", "", "prod"),
		)
		s := store.SeriesWrite{Labels: l.labels(ls)}
		hist := ls.Get(model.MetricName) == "latency"
		for range rng.IntN(20) {
			at := base + rng.Int64N(60)*15_000
			if hist && at%2 == 0 {
				s.Histograms = append(s.Histograms, store.HistogramSample{Time: at | 1, Int: intHistogram(rng.IntN(50))})
				continue
			}
			v := pick(rng, float64(rng.IntN(1000)), rng.Float64(), math.Float64frombits(value.StaleNaN), math.Float64frombits(rng.Uint64()))
			s.Samples = append(s.Samples, store.Sample{Time: at &^ 1, Value: v})
		}
		if rng.IntN(3) == 0 {
			s.Exemplars = []store.Exemplar{{Time: base, Value: rng.Float64(), Labels: l.labels(labels("trace_id", fmt.Sprint(rng.IntN(5))))}}
		}
		b.Series = append(b.Series, s)
	}
	return b
}

func randomMetricSelector(rng *rand.Rand) store.MetricSelector {
	sel := all()
	for range rng.IntN(3) {
		sel.Matchers = append(sel.Matchers, pick(rng,
			eq(model.MetricName, "up"), re(model.MetricName, "up|latency"), neq("job", "api"), eq("job", ""), neq("env", ""),
			nre("instance", "[12]"), re("job", "|db"), re("job", ".+"), nre("env", "pr.*"), eq("instance", "3")))
	}
	if rng.IntN(3) > 0 {
		from := now() - rng.Int64N(2*dayMillis)
		sel.Range = model.TimeRange{From: from, To: from + pick(rng, rng.Int64N(dayMillis), rng.Int64N(900_000))}
	}
	return sel
}

func testMetricRandom(t *testing.T, open func(t *testing.T) Subject[MetricStore]) {
	seeds(t, func(t *testing.T, rng *rand.Rand) {
		w := newMetricTwin(open(t))
		for range 60 {
			var l loan
			w.append(t, tenant, randomMetricBatch(rng, &l))
			l.spoil()
			shake(t, rng, &w.sub)
			for range 3 {
				sel := randomMetricSelector(rng)
				w.check(t, sel)
				w.checkNames(t, sel)
				w.checkExemplars(t, sel)
			}
		}
		w.checkEverywhere(t, all())
	})
}
