package ingest

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/store"
)

// Metrics counts what a protocol received. Protocols that share a registerer share the
// families, told apart by the label protocol.
type Metrics struct {
	items    *prometheus.CounterVec // signal
	refused  *prometheus.CounterVec // reason
	bytes    prometheus.Counter
	requests *prometheus.CounterVec // code
}

// NewMetrics registers the counters of protocol; reg may be nil.
func NewMetrics(reg prometheus.Registerer, protocol string) *Metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"protocol": protocol}, reg)
	return &Metrics{
		items: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pharos_ingest_items_total", Help: "Samples, log entries and spans that were stored.",
		}, []string{"signal"})),
		refused: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pharos_ingest_refused_total", Help: "Samples, log entries and spans that were refused for good.",
		}, []string{"reason"})),
		bytes: register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pharos_ingest_bytes_total", Help: "Bytes received, after decompression.",
		})),
		requests: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pharos_ingest_requests_total", Help: "Write requests by the status they were answered with.",
		}, []string{"code"})),
	}
}

// register returns c, or what was registered in its place before.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	var already prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

// Count counts a request: the status it got, the size of its body, and its items, of
// which err may refuse some or all.
func (m *Metrics) Count(signal string, status, bytes, items int, err error) {
	m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	m.bytes.Add(float64(bytes))
	m.CountItems(signal, items, err)
}

// CountItems counts the items of an Append that returned err.
func (m *Metrics) CountItems(signal string, items int, err error) {
	var refused *store.Refused
	if errors.As(err, &refused) {
		items = refused.Kept
		for _, r := range refused.Refusals {
			m.refused.WithLabelValues(r.Reason).Add(float64(r.Count))
		}
	} else if err != nil {
		return
	}
	m.items.WithLabelValues(signal).Add(float64(items))
}
