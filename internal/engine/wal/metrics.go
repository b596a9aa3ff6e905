package wal

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	bytes         prometheus.Counter
	commitSeconds prometheus.Histogram
	failed        prometheus.Counter
	refused       prometheus.Counter
	damaged       prometheus.Counter
	replayed      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_wal_written_bytes_total", Help: "Bytes committed to the write-ahead log.",
		}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pharos_wal_commit_seconds", Help: "Time to write and sync one group of records.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_wal_commits_failed_total", Help: "Groups of records that the disk refused.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_wal_writes_refused_total", Help: "Records refused because the disk is nearly full.",
		}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_wal_damaged_ranges_total", Help: "Ranges of unreadable bytes found by replay.",
		}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_wal_replayed_records_total", Help: "Records replayed at start.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.bytes, m.commitSeconds, m.failed, m.refused, m.damaged, m.replayed)
	}
	return m
}
