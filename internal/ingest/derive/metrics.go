package derive

import "github.com/prometheus/client_golang/prometheus"

// metrics is what a Processor tells of itself.
type metrics struct {
	series   *prometheus.GaugeVec   // tenant
	edges    *prometheus.GaugeVec   // tenant
	refused  *prometheus.CounterVec // reason
	overflow prometheus.Counter
	skipped  prometheus.Counter
	filtered prometheus.Counter
	repeated prometheus.Counter
	expired  prometheus.Counter
	dropped  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"tenant"})
	}
	m := &metrics{
		series: gauge("pharos_derive_series", "Series derived from spans."),
		edges:  gauge("pharos_derive_edges", "Calls that wait for the span of their other side."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pharos_derive_refused_samples_total", Help: "Derived samples that the metric store refused, by reason.",
		}, []string{"reason"}),
		overflow: counter("pharos_derive_overflow_spans_total", "Spans counted under __cardinality_overflow__, or not at all, because of the limit of series."),
		skipped:  counter("pharos_derive_skipped_spans_total", "Spans not counted, because they ended too long ago or in the future."),
		filtered: counter("pharos_derive_filtered_spans_total", "Spans left out of span metrics by a filter policy."),
		repeated: counter("pharos_derive_repeated_requests_total", "Requests not counted, because they had been stored before."),
		expired:  counter("pharos_derive_expired_edges_total", "Calls of which one side never came and that could not be told."),
		dropped:  counter("pharos_derive_dropped_edges_total", "Calls not counted, because too many were waiting."),
	}
	if reg != nil {
		reg.MustRegister(m.series, m.edges, m.refused, m.overflow, m.skipped, m.filtered, m.repeated, m.expired, m.dropped)
	}
	return m
}
