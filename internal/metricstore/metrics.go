package metricstore

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	appended     prometheus.Counter
	refused      *prometheus.CounterVec
	newSeries    prometheus.Counter
	late         prometheus.Counter
	flushSeconds prometheus.Histogram
	flushFailed  prometheus.Counter
	unresolved   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, s *Store) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		appended: counter("pharos_metricstore_items_appended_total", "Samples, histograms and exemplars taken."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pharos_metricstore_items_refused_total", Help: "Samples, histograms and exemplars refused.",
		}, []string{"reason"}),
		newSeries: counter("pharos_metricstore_series_created_total", "Series that entered the head."),
		late:      counter("pharos_metricstore_items_late_total", "Samples that came out of order."),
		flushSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pharos_metricstore_flush_seconds", Help: "Time to write the head to parts.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
		}),
		flushFailed: counter("pharos_metricstore_flushes_failed_total", "Flushes that failed and will be tried again."),
		unresolved:  counter("pharos_metricstore_replay_unresolved_total", "Series in replayed records whose labels were lost with a damaged record."),
	}
	if reg == nil {
		return m
	}
	reg.MustRegister(m.appended, m.refused, m.newSeries, m.late, m.flushSeconds, m.flushFailed, m.unresolved,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pharos_metricstore_head_series", Help: "Series in the head.",
		}, func() float64 { return float64(s.headSeries()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pharos_metricstore_head_bytes", Help: "Bytes of samples in memory that are not in parts yet.",
		}, func() float64 { return float64(s.headBytes()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pharos_metricstore_parts_bytes", Help: "Bytes of all parts on disk.",
		}, func() float64 { return float64(s.set.Size()) }))
	return m
}
