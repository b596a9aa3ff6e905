// Package meter counts what arrives at the three stores, whatever the protocol: it wraps
// the writers of the contract. The counts are the "received" state of the home page and
// the pharos_ingested_items_total and pharos_discarded_items_total metrics.
package meter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
	"github.com/prometheus/client_golang/prometheus"
)

// window is the time over which rates are taken.
const window = 10 // seconds

// Meter counts. It is safe for concurrent use.
type Meter struct {
	now      func() time.Time
	received *prometheus.CounterVec
	refused  *prometheus.CounterVec

	mu      sync.Mutex
	signals map[model.Signal]*counts // guarded by mu
	tenants map[model.Tenant]bool    // guarded by mu; of which something was stored
	most    int                      // guarded by mu; tenants, 0 for any number
	rejects map[rejectKey]*Reject    // guarded by mu
}

type counts struct {
	received, refused int64
	last              time.Time
	ring              [window + 1]int64 // items received in the second i%len
	second            int64             // the newest second in ring
}

// Count is what has arrived of one signal since the start.
type Count struct {
	Received int64   // items stored: samples, entries or spans
	Refused  int64   // items refused for good
	Rate     float64 // items received per second, over the last 10 s
	Last     time.Time
}

// New returns a Meter. now nil means time.Now; reg nil registers nothing.
func New(reg prometheus.Registerer, now func() time.Time) *Meter {
	if now == nil {
		now = time.Now
	}
	m := &Meter{
		now:     now,
		signals: map[model.Signal]*counts{},
		tenants: map[model.Tenant]bool{},
		rejects: map[rejectKey]*Reject{},
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pharos_ingested_items_total", Help: "Samples, log entries and spans stored.",
		}, []string{"signal", "tenant"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pharos_discarded_items_total", Help: "Samples, log entries and spans refused for good, by reason; those of tenants of which nothing was ever stored have no tenant.",
		}, []string{"signal", "tenant", "reason"}),
	}
	if reg != nil {
		reg.MustRegister(m.received, m.refused)
	}
	return m
}

// BoundTenants refuses new tenants once most are known, over all signals, so that nobody
// fills the disk with directories of tenants. known are those that have data already.
func (m *Meter) BoundTenants(most int, known ...model.Tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most = most
	for _, t := range known {
		m.tenants[t] = true
	}
}

// admit refuses n items of a tenant that is one too many.
func (m *Meter) admit(tenant model.Tenant, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.most <= 0 || m.tenants[tenant] || len(m.tenants) < m.most {
		return nil
	}
	var refused store.Refused
	refused.Add(ingest.ReasonTenants, n, func() string {
		return fmt.Sprintf("tenant %s is new, and the limit of %d tenants is reached; raise limits.max_tenants", tenant, m.most)
	})
	return refused.Err()
}

// Refused counts what a protocol refused before it came to a store.
func (m *Meter) Refused(sig model.Signal, tenant model.Tenant, refused *store.Refused) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := ""
	if m.tenants[tenant] {
		name = string(tenant)
	}
	m.count(sig, name, refused, m.now())
	c := m.signals[sig]
	if c == nil {
		c = &counts{}
		m.signals[sig] = c
	}
	c.refused += int64(refused.Count())
}

// count counts refusals by reason. name is the tenant's, "" if nothing of it was ever stored.
// The caller holds m.mu.
func (m *Meter) count(sig model.Signal, name string, refused *store.Refused, now time.Time) {
	if refused == nil {
		return
	}
	for _, r := range refused.Refusals {
		m.refused.WithLabelValues(sig.String(), name, r.Reason).Add(float64(r.Count))
		m.reject(sig, model.Tenant(name), r, now)
	}
}

// observe counts an Append of n items that ended with err.
func (m *Meter) observe(sig model.Signal, tenant model.Tenant, n int, err error) {
	var refused *store.Refused
	if err != nil && !errors.As(err, &refused) {
		return // nothing was stored; the sender tries again
	}
	lost := 0
	if refused != nil {
		lost = refused.Count()
	}
	kept := max(0, n-lost)
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	name := ""
	if kept > 0 {
		m.tenants[tenant] = true
		m.received.WithLabelValues(sig.String(), string(tenant)).Add(float64(kept))
	}
	if m.tenants[tenant] { // else anyone could make series without end
		name = string(tenant)
	}
	m.count(sig, name, refused, now)
	c := m.signals[sig]
	if c == nil {
		c = &counts{}
		m.signals[sig] = c
	}
	c.advance(now.Unix())
	c.ring[now.Unix()%int64(len(c.ring))] += int64(kept)
	c.received += int64(kept)
	c.refused += int64(lost)
	if kept > 0 {
		c.last = now
	}
}

// advance clears the seconds that have passed since the last call.
func (c *counts) advance(second int64) {
	n := int64(len(c.ring))
	for s := max(c.second+1, second-n+1); s <= second; s++ {
		c.ring[s%n] = 0
	}
	c.second = max(c.second, second)
}

// Count returns what has arrived of sig.
func (m *Meter) Count(sig model.Signal) Count {
	second := m.now().Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.signals[sig]
	if c == nil {
		return Count{}
	}
	c.advance(second)
	var sum int64
	for i, n := range c.ring {
		if int64(i) != second%int64(len(c.ring)) { // the current second is not over
			sum += n
		}
	}
	return Count{c.received, c.refused, float64(sum) / window, c.last}
}

// Metrics returns w with its appends counted.
func (m *Meter) Metrics(w store.MetricWriter) store.MetricWriter { return metricMeter{m, w} }

// Logs returns w with its appends counted.
func (m *Meter) Logs(w store.LogWriter) store.LogWriter { return logMeter{m, w} }

// Traces returns w with its appends counted.
func (m *Meter) Traces(w store.TraceWriter) store.TraceWriter { return traceMeter{m, w} }

type metricMeter struct {
	m *Meter
	w store.MetricWriter
}

func (x metricMeter) Append(ctx context.Context, tenant model.Tenant, b *store.MetricBatch) error {
	n := 0
	for i := range b.Series {
		s := &b.Series[i]
		n += len(s.Samples) + len(s.Histograms) + len(s.Exemplars)
	}
	err := x.m.admit(tenant, n)
	if err == nil {
		err = x.w.Append(ctx, tenant, b)
	}
	x.m.observe(model.Metrics, tenant, n, err)
	return err
}

type logMeter struct {
	m *Meter
	w store.LogWriter
}

func (x logMeter) Append(ctx context.Context, tenant model.Tenant, b *store.LogBatch) error {
	n := 0
	for i := range b.Streams {
		n += len(b.Streams[i].Entries)
	}
	err := x.m.admit(tenant, n)
	if err == nil {
		err = x.w.Append(ctx, tenant, b)
	}
	x.m.observe(model.Logs, tenant, n, err)
	return err
}

type traceMeter struct {
	m *Meter
	w store.TraceWriter
}

func (x traceMeter) Append(ctx context.Context, tenant model.Tenant, b *spans.Batch) error {
	n := len(b.Spans)
	err := x.m.admit(tenant, n)
	if err == nil {
		err = x.w.Append(ctx, tenant, b)
	}
	x.m.observe(model.Traces, tenant, n, err)
	return err
}
