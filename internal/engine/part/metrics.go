package part

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/model"
)

type metrics struct {
	quarantined  prometheus.Counter
	damaged      prometheus.Counter
	merges       prometheus.Counter
	mergesFailed prometheus.Counter
	mergeSeconds prometheus.Histogram
	dropped      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, sig model.Signal) *metrics {
	label := prometheus.Labels{"signal": sig.String()}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: label})
	}
	m := &metrics{
		quarantined:  counter("pharos_parts_quarantined_total", "Parts and manifests moved aside because they were unreadable."),
		damaged:      counter("pharos_blocks_damaged_total", "Reads of blocks that failed their checksum or format."),
		merges:       counter("pharos_merges_total", "Background merges of parts."),
		mergesFailed: counter("pharos_merges_failed_total", "Background merges that failed and will be tried again."),
		dropped:      counter("pharos_parts_expired_total", "Parts dropped because their retention was over."),
		mergeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pharos_merge_seconds", Help: "Time one merge took.", ConstLabels: label,
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.quarantined, m.damaged, m.merges, m.mergesFailed, m.dropped, m.mergeSeconds)
	}
	return m
}
