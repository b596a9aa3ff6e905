package promql

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// BenchmarkHistograms compares this evaluator with Prometheus' engine over 100 native
// histograms of 40 buckets and 240 samples, at 60 steps. As in a real store, histograms know that they are no reset.
func BenchmarkHistograms(b *testing.B) {
	m := storetest.NewMetrics()
	var batch store.MetricBatch
	for s := range 100 {
		w := store.SeriesWrite{Labels: model.NewLabels(model.Label{Name: model.MetricName, Value: "h"}, model.Label{Name: "i", Value: fmt.Sprint(s)}, model.Label{Name: "job", Value: fmt.Sprint(s % 5)})}
		for k := range 240 {
			h := &histogram.Histogram{Schema: 3, ZeroThreshold: 1e-6, PositiveSpans: []histogram.Span{{Offset: -10, Length: 40}}, Sum: float64(k), CounterResetHint: histogram.NotCounterReset}
			before := int64(0)
			for i := range 40 {
				n := int64(k*(i+1)*(s+1)) / 7
				h.PositiveBuckets = append(h.PositiveBuckets, n-before)
				before = n
				h.Count += uint64(n)
			}
			w.Histograms = append(w.Histograms, store.HistogramSample{Time: int64(k) * 15_000, Int: h})
		}
		batch.Series = append(batch.Series, w)
	}
	if err := m.Append(b.Context(), "t1", &batch); err != nil {
		b.Fatal(err)
	}
	for _, text := range []string{
		`rate(h[5m])`, `sum by (job) (rate(h[5m]))`, `histogram_quantile(0.9, sum(rate(h[5m])))`, `histogram_avg(h)`, `histogram_avg(sum(rate(h[5m])))`, `h + h`, `h * 2`, `sum(h)`, `avg(h)`,
	} {
		for _, reference := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/prometheus=%v", text, reference), func(b *testing.B) {
				e := New(Options{Reference: reference})
				q := Query{Tenant: "t1", Text: text, Start: time.UnixMilli(0), End: time.UnixMilli(59 * 60_000), Step: time.Minute}
				for b.Loop() {
					if _, err := e.Run(b.Context(), m, q, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
