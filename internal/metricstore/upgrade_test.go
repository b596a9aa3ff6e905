package metricstore

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// oldBatches is what testdata/v1 and testdata/v2 hold: the first and second batch in parts, the third in
// the log.
func oldBatches() []*store.MetricBatch {
	const day = 86_400_000
	now := storetest.Now().UnixMilli()
	odd := []float64{1, math.Copysign(0, -1), math.Inf(1), math.NaN(), math.Float64frombits(value.StaleNaN), 0.1, 1e300}
	var out []*store.MetricBatch
	for n := range 3 {
		b := &store.MetricBatch{Metadata: []store.MetricMetadata{{Metric: "old_total", Type: "counter", Help: fmt.Sprintf("Help %d.", n)}}}
		for i := range 4 {
			w := store.SeriesWrite{Labels: model.LabelsFromMap(map[string]string{model.MetricName: "old_total", "i": fmt.Sprint(i)})}
			for k := range 50 {
				at := now - 2*day + int64(n)*day/3 + int64(k)*60_000
				w.Samples = append(w.Samples, store.Sample{Time: at, Value: odd[(k+i)%len(odd)] + float64(n)})
			}
			if i == 0 {
				w.Exemplars = []store.Exemplar{{Time: w.Samples[3].Time, Value: 7, Labels: model.LabelsFromMap(map[string]string{"trace_id": "abc"})}}
			}
			b.Series = append(b.Series, w)
		}
		h := store.SeriesWrite{Labels: model.LabelsFromMap(map[string]string{model.MetricName: "old_seconds"})}
		for k := range 20 {
			h.Histograms = append(h.Histograms, store.HistogramSample{Time: now - 2*day + int64(n)*day/3 + int64(k)*60_000, Int: &histogram.Histogram{
				Schema: 2, Count: uint64(k + 3), Sum: float64(k), ZeroThreshold: 0.001, ZeroCount: 2,
				PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, int64(k) - 1},
			}})
		}
		b.Series = append(b.Series, h)
		out = append(out, b)
	}
	return out
}

// TestOpensOldVersions opens a directory that each earlier version wrote, reads all of it,
// and reads it again from a merge in today's format.
func TestOpensOldVersions(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) { opensVersion(t, version) })
	}
}

func opensVersion(t *testing.T, version string) {
	t.Helper()
	want := samples{}
	for _, b := range oldBatches() {
		for _, w := range b.Series {
			for _, x := range w.Samples {
				want.add(w.Labels, x.Time, x.Value)
			}
		}
	}
	e := openEngine(t, copyDir(t, filepath.Join("testdata", version)), testOptions())
	defer func() { e.close(t) }()
	check := func(when string) {
		t.Helper()
		var acct store.Account
		got := read(t, e, &acct)
		for name, m := range want {
			for at, bits := range m {
				if got[name][at] != bits {
					t.Fatalf("%s: %s at %d is %x, want %x", when, name, at, got[name][at], bits)
				}
			}
		}
		if ws := acct.Warnings(); len(ws) > 0 {
			t.Errorf("%s: warnings %q", when, ws)
		}
		if hs := readHistograms(t, e, "old_seconds"); len(hs) != 60 || hs[25].Int.Count != 8 {
			t.Errorf("%s: %d histograms", when, len(hs))
		}
		mds, err := e.Metadata(t.Context(), testTenant, "old_total", 0)
		if err != nil || len(mds) != 3 || !slices.ContainsFunc(mds, func(m store.MetricMetadata) bool { return m.Help == "Help 1." }) {
			t.Errorf("%s: metadata %v, %v", when, mds, err)
		}
	}
	check("opened")
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("merged")
}

func readHistograms(t *testing.T, e *engine, metric string) []store.HistogramSample {
	t.Helper()
	sel := store.MetricSelector{
		Matchers: []*model.Matcher{model.MustMatcher(model.MatchEqual, model.MetricName, metric)},
		Range:    model.TimeRange{From: 0, To: math.MaxInt64},
	}
	var out []store.HistogramSample
	for x, err := range e.Select(t.Context(), testTenant, sel) {
		if err != nil {
			t.Fatal(err)
		}
		if out, err = x.Histograms(out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
