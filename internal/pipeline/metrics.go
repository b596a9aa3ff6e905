package pipeline

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what happens to the Collector as a whole.
type metrics struct{ reloads *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pharos_pipeline_reloads_total", Help: "Reloads of the pipeline configuration by result.",
	}, []string{"result"})}
	if reg != nil {
		reg.MustRegister(m.reloads)
	}
	return m
}

func (m *metrics) reloaded(err error) {
	result := "success"
	if err != nil {
		result = "failure"
	}
	m.reloads.WithLabelValues(result).Inc()
}

// selfMetrics exposes the metrics of the Collector that runs now in our registry. Each
// start of a Collector makes a new set of metrics; a registry cannot give up an
// unchecked collector, so one of ours stays there and passes on to the newest.
type selfMetrics struct {
	mu  sync.Mutex
	now prometheus.Collector // guarded by mu; nil while none runs
}

func newSelfMetrics(reg prometheus.Registerer) *selfMetrics {
	s := new(selfMetrics)
	if reg != nil {
		reg.MustRegister(s)
	}
	return s
}

// Describe implements prometheus.Collector. It says nothing: what a Collector measures
// depends on its configuration.
func (*selfMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *selfMetrics) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	c := s.now
	s.mu.Unlock()
	if c != nil {
		c.Collect(ch)
	}
}

// Register implements prometheus.Registerer for the OpenTelemetry exporter.
func (s *selfMetrics) Register(c prometheus.Collector) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = c
	return nil
}

// MustRegister implements prometheus.Registerer.
func (s *selfMetrics) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		_ = s.Register(c) // it cannot fail
	}
}

// Unregister implements prometheus.Registerer.
func (s *selfMetrics) Unregister(c prometheus.Collector) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != c {
		return false
	}
	s.now = nil
	return true
}
