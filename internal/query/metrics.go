package query

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	running  prometheus.Gauge
	rejected *prometheus.CounterVec
	failed   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	language := []string{"language"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, language)
	}
	m := &metrics{
		running:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "pharos_queries_running", Help: "Queries in progress."}),
		rejected: counter("pharos_queries_rejected_total", "Queries that found the line full or waited too long."),
		failed:   counter("pharos_queries_failed_total", "Queries that ended with an error."),
		bytes:    counter("pharos_query_read_bytes_total", "Bytes decoded by queries."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pharos_query_seconds", Help: "Run time of queries, without waiting.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, language),
	}
	if reg != nil {
		reg.MustRegister(m.running, m.rejected, m.failed, m.bytes, m.seconds)
	}
	return m
}

func (m *metrics) observe(language string, st Stats, err error) {
	m.seconds.WithLabelValues(language).Observe(st.Run.Seconds())
	m.bytes.WithLabelValues(language).Add(float64(st.BytesRead))
	if err != nil {
		m.failed.WithLabelValues(language).Inc()
	}
}
