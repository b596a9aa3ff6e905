package logstore

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	entries      prometheus.Counter
	bytes        prometheus.Counter
	headBytes    prometheus.Gauge
	streams      prometheus.Gauge
	flushSeconds prometheus.Histogram
	flushFailed  prometheus.Counter
	tailDropped  prometheus.Counter
	lostLabels   prometheus.Counter
	unread       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		entries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_logs_appended_entries_total", Help: "Log entries stored.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_logs_appended_bytes_total", Help: "Bytes of lines and structured metadata stored.",
		}),
		headBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pharos_logs_head_bytes", Help: "Memory taken by entries that are not in a part yet.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pharos_logs_active_streams", Help: "Streams written to recently.",
		}),
		flushSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pharos_logs_flush_seconds", Help: "Time to write a head to parts.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 7),
		}),
		flushFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_logs_flushes_failed_total", Help: "Flushes that failed and will be tried again.",
		}),
		tailDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_logs_tail_dropped_entries_total", Help: "Entries not shown to a tail that was too slow.",
		}),
		lostLabels: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_logs_replay_lost_labels_total", Help: "Groups of replayed entries whose stream labels were in a damaged wal record.",
		}),
	}
	m.unread = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pharos_logs_replay_unread_records_total", Help: "Replayed records that could not be read.",
	})
	if reg != nil {
		reg.MustRegister(m.unread, m.entries, m.bytes, m.headBytes, m.streams, m.flushSeconds, m.flushFailed, m.tailDropped, m.lostLabels)
	}
	return m
}
