package tracestore

import "github.com/prometheus/client_golang/prometheus"

// metrics is what the store tells of itself.
type metrics struct {
	spans   prometheus.Counter
	flushes prometheus.Counter
	traces  prometheus.Counter
	unread  prometheus.Counter
	thinned prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, s *Store) *metrics {
	m := &metrics{
		spans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_tracestore_spans_total", Help: "Spans stored.",
		}),
		flushes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_tracestore_flushes_total", Help: "Times the spans in memory were written to parts.",
		}),
		traces: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_tracestore_trace_reads_total", Help: "Traces asked for by id.",
		}),
		unread: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_tracestore_wal_records_unread_total", Help: "Records of the write-ahead log that could not be read back.",
		}),
		thinned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_tracestore_traces_thinned_total", Help: "Traces of a day removed by sampling after the fact.",
		}),
	}
	if reg != nil {
		gauge := func(name, help string, f func(*head) int64) prometheus.Collector {
			return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
				s.mu.Lock()
				defer s.mu.Unlock()
				return float64(f(s.head))
			})
		}
		reg.MustRegister(m.spans, m.flushes, m.traces, m.unread, m.thinned,
			gauge("pharos_tracestore_head_bytes", "Bytes of the spans in memory.", func(h *head) int64 { return h.bytes }),
			gauge("pharos_tracestore_head_spans", "Spans in memory.", func(h *head) int64 { return h.rows }))
	}
	return m
}
