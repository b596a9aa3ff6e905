// Package derive makes metrics out of spans as they arrive: the rate, errors and duration
// of every operation of every service (span metrics) and of every call from one service
// to another (the service graph), under the names and labels that Tempo's metrics
// generator gives them.
//
// A [Processor] wraps the trace writer. What the store has taken is counted, once: a
// request that fails as a whole is not, since its sender comes again, and one that comes
// again although it was stored is recognised. Only spans that ended about now count;
// a counter cannot go back in time.
//
//	Append -> trace store -> spans.go: one counter, histogram and size a label set
//	                      \-> graph.go: pairs of client and server spans, kept until they
//	                          are complete or have waited long enough
//	Run: every interval, all counters -> metric store
//
// Memory is bounded: by the number of series of a tenant (operations beyond it share one
// series a service) and by the number of waiting pairs. series.go holds counters and how
// they become samples, native.go native histograms.
package derive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// Options configures a Processor. Metrics is required; the zero value of the rest
// derives both kinds of metrics.
type Options struct {
	Metrics  store.MetricWriter
	Interval time.Duration // between two samples of a series; 0 means 10 s
	Stale    time.Duration // a series not counted for this long ends; 0 means 15 min
	Slack    time.Duration // how far from now the end of a counted span may be; 0 means 30 s

	// ExemplarLabel is the label of exemplars that holds the trace id; "" means traceID.
	ExemplarLabel string
	MaxSeries     int // of one tenant; 0 means 200,000

	Spans SpanOptions
	Graph GraphOptions

	Logger     *slog.Logger     // nil discards
	Now        func() time.Time // nil means time.Now; tests replace it
	Registerer prometheus.Registerer
}

// SpanOptions configures span metrics.
type SpanOptions struct {
	Off           bool
	Dimensions    []string   // attributes that become labels
	StatusMessage bool       // label status_message
	TargetInfo    bool       // labels job and instance, and traces_target_info
	MultiplierKey string     // attribute that holds the sampling ratio: a span counts one over it
	TraceState    bool       // without that attribute, the sampling threshold of the trace state counts
	Histograms    Histograms // of the latency
	Buckets       []float64  // upper bounds in seconds, ascending; nil means 2 ms doubled up to 16.384 s

	DimensionMappings []DimensionMapping // labels made of several attributes
	FilterPolicies    []FilterPolicy     // spans that count; all if there are none
}

// GraphOptions configures the service graph.
type GraphOptions struct {
	Off              bool
	Wait             time.Duration // for the other side of a call; 0 means 10 s
	MaxItems         int           // calls waiting, of one tenant; 0 means 10,000
	Dimensions       []string      // attributes that become labels
	Prefixes         bool          // a label client_ and one server_ for each dimension
	PeerAttributes   []string      // that name an uninstrumented server; nil means [DefaultPeerAttributes]
	VirtualNodeLabel bool          // label virtual_node
	MessagingLatency bool          // histogram of the time messages wait in a queue
	ConnectionInfo   bool          // gauge of the presence of an edge
	Histograms       Histograms
	Buckets          []float64 // upper bounds in seconds, ascending; nil means 0.1 s doubled up to 12.8 s
}

// Histograms says which histograms durations become.
type Histograms string

// The kinds of histograms. The zero value means classic.
const (
	Classic Histograms = "classic"
	Native  Histograms = "native"
	Both    Histograms = "both"
)

// DefaultPeerAttributes returns the attributes of a client span that name what it called.
func DefaultPeerAttributes() []string {
	return []string{"peer.service", "db.name", "db.system", "db.system.name"}
}

// DefaultSpanBuckets returns the bounds of the latency histogram, in seconds.
func DefaultSpanBuckets() []float64 { return doubled(0.002, 14) }

// DefaultGraphBuckets returns the bounds of the service graph's histograms, in seconds.
func DefaultGraphBuckets() []float64 { return doubled(0.1, 8) }

func doubled(first float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = first
		first *= 2
	}
	return out
}

func (o Options) withDefaults() Options {
	o.Interval = cmp.Or(o.Interval, 10*time.Second)
	o.Stale = cmp.Or(o.Stale, 15*time.Minute)
	o.Slack = cmp.Or(o.Slack, 30*time.Second)
	o.ExemplarLabel = cmp.Or(o.ExemplarLabel, "traceID")
	o.MaxSeries = cmp.Or(o.MaxSeries, 200_000)
	o.Spans.Histograms = cmp.Or(o.Spans.Histograms, Classic)
	o.Graph.Histograms = cmp.Or(o.Graph.Histograms, Classic)
	o.Graph.Wait = cmp.Or(o.Graph.Wait, 10*time.Second)
	o.Graph.MaxItems = cmp.Or(o.Graph.MaxItems, 10_000)
	if o.Graph.PeerAttributes == nil {
		o.Graph.PeerAttributes = DefaultPeerAttributes()
	}
	if o.Spans.Buckets == nil {
		o.Spans.Buckets = DefaultSpanBuckets()
	}
	if o.Graph.Buckets == nil {
		o.Graph.Buckets = DefaultGraphBuckets()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Processor derives metrics. It is safe for concurrent use.
type Processor struct {
	opts    Options
	metrics *metrics
	attrs   *wanted
	filter  *filter  // nil without policies
	dims    []string // labels of the dimensions of span metrics, then of the mappings
	seed    maphash.Seed
	bad     bool // the last flush failed or was refused in part; only Run uses it

	mu      sync.Mutex
	tenants map[model.Tenant]*tenant // guarded by mu
}

// tenant is the counters of one tenant.
type tenant struct {
	mu      sync.Mutex
	seen    recent   // guarded by mu
	table   *table   // guarded by mu
	graph   *graph   // guarded by mu
	flushed int64    // guarded by mu; Unix ms up to which samples were written
	vals    attrVals // guarded by mu; scratch
	res     attrVals // guarded by mu; scratch
	buf     []byte   // guarded by mu; scratch
}

// New returns a Processor. It starts nothing: that is [Processor.Run]. It fails if a filter
// policy or a dimension mapping is wrong.
func New(opts Options) (*Processor, error) {
	opts = opts.withDefaults()
	attrs := newWanted(&opts)
	pass, err := newFilter(opts.Spans.FilterPolicies, attrs)
	if err := errors.Join(err, opts.Spans.checkMappings()); err != nil {
		return nil, fmt.Errorf("configure span metrics: %w", err)
	}
	attrs.spans = attrs.spans || pass != nil && pass.spans
	return &Processor{
		opts: opts, metrics: newMetrics(opts.Registerer), attrs: attrs, filter: pass, dims: spanDimensions(&opts.Spans), seed: maphash.MakeSeed(),
		tenants: map[model.Tenant]*tenant{},
	}, nil
}

// Traces returns w with the spans that it stores counted.
func (p *Processor) Traces(w store.TraceWriter) store.TraceWriter { return writer{p, w} }

type writer struct {
	p *Processor
	w store.TraceWriter
}

// Append implements [store.TraceWriter].
func (x writer) Append(ctx context.Context, tenant model.Tenant, b *spans.Batch) error {
	err := x.w.Append(ctx, tenant, b)
	var refused *store.Refused
	if err == nil || errors.As(err, &refused) && refused.Kept > 0 {
		x.p.observe(tenant, b)
	}
	return err
}

func (p *Processor) tenant(name model.Tenant) *tenant {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tenants[name]
	if t == nil {
		now := p.opts.Now().UnixMilli()
		t = &tenant{table: newTable(&p.opts, p.metrics), flushed: now}
		t.graph = newGraph(&p.opts, t.table, p.attrs, p.metrics)
		p.tenants[name] = t
	}
	return t
}

// observe counts the spans of b that ended about now.
func (p *Processor) observe(name model.Tenant, b *spans.Batch) {
	now := p.opts.Now()
	slack := int64(p.opts.Slack)
	oldest, newest := now.UnixNano()-slack, now.UnixNano()+slack
	sum, fresh := p.fingerprint(b, oldest, newest)
	if fresh == 0 {
		return
	}
	t := p.tenant(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.seen.add(sum) {
		p.metrics.repeated.Inc()
		return
	}
	t.table.now = now.UnixMilli()
	t.table.zeroAt = t.flushed
	t.graph.expire(now.UnixNano())
	defer t.vals.forget()
	defer t.res.forget()
	t.vals.b, t.res.b = b, b
	var res *resource
	owner := int32(-1)
	for i := range b.Spans {
		s := &b.Spans[i]
		if s.End < oldest || s.End > newest || s.TraceID.IsZero() || s.SpanID.IsZero() {
			p.metrics.skipped.Inc()
			continue
		}
		if r := b.Scopes[s.Scope].Resource; r != owner {
			owner, res = r, resourceOf(b.AttrsOf(b.Resources[r].Attrs), p.attrs, &t.res)
		}
		p.span(t, s, res, now.UnixNano())
	}
}

// span counts one span. The caller holds the lock of t.
func (p *Processor) span(t *tenant, s *spans.Span, res *resource, now int64) {
	t.vals.reset()
	inGraph := !p.opts.Graph.Off && s.Kind >= kindServer
	if inGraph || p.attrs.spans {
		p.attrs.collect(t.vals.b.AttrsOf(s.Attrs), &t.vals)
	}
	switch {
	case p.opts.Spans.Off:
	case p.filter != nil && !p.filter.passes(s, &t.vals, res.vals):
		p.metrics.filtered.Inc()
	default:
		t.buf = p.spanMetrics(t, s, res)
	}
	if inGraph {
		t.graph.span(s, res, &t.vals, now)
	}
}

// fingerprint hashes the ids of all spans of b and counts those that ended about now.
func (p *Processor) fingerprint(b *spans.Batch, oldest, newest int64) (sum uint64, fresh int) {
	var h maphash.Hash
	h.SetSeed(p.seed)
	for i := range b.Spans {
		s := &b.Spans[i]
		if s.End >= oldest && s.End <= newest {
			fresh++
		}
		_, _ = h.Write(s.TraceID[:]) // never fails
		_, _ = h.Write(s.SpanID[:])
		_ = h.WriteByte(byte(s.Kind))
	}
	return h.Sum64(), fresh
}

// recent is the fingerprints of the last requests.
type recent struct {
	set  map[uint64]struct{}
	ring [1024]uint64
	n    int
}

// add remembers x and reports whether it was new.
func (r *recent) add(x uint64) bool {
	if _, ok := r.set[x]; ok {
		return false
	}
	if r.set == nil {
		r.set = map[uint64]struct{}{}
	}
	at := r.n % len(r.ring)
	if r.n >= len(r.ring) {
		delete(r.set, r.ring[at])
	}
	r.ring[at] = x
	r.n++
	r.set[x] = struct{}{}
	return true
}

// Run writes the metrics every interval until ctx is done, and once more then.
func (p *Processor) Run(ctx context.Context) error {
	tick := time.NewTicker(p.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.flush(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			p.flush(ctx)
		}
	}
}

// flush writes the samples of all tenants. What cannot be written now is in the next
// sample, since counters only grow.
func (p *Processor) flush(ctx context.Context) {
	p.mu.Lock()
	names := make(map[model.Tenant]*tenant, len(p.tenants))
	for n, t := range p.tenants {
		names[n] = t
	}
	p.mu.Unlock()
	var errs []error
	for name, t := range names {
		if err := p.flushTenant(ctx, name, t); err != nil {
			errs = append(errs, fmt.Errorf("tenant %s: %w", name, err))
		}
	}
	err := errors.Join(errs...)
	if err != nil && !p.bad && ctx.Err() == nil {
		p.opts.Logger.WarnContext(ctx, "metrics derived from spans are incomplete", "err", err)
	}
	p.bad = err != nil
}

func (p *Processor) flushTenant(ctx context.Context, name model.Tenant, t *tenant) error {
	now := p.opts.Now()
	t.mu.Lock()
	t.table.now, t.table.zeroAt = now.UnixMilli(), t.flushed
	t.graph.expire(now.UnixNano())
	t.mu.Unlock()
	var b batch
	var errs []error
	for from := 0; ; {
		t.mu.Lock()
		next := t.table.fill(&b, from)
		t.mu.Unlock()
		if next == from {
			break
		}
		err := p.opts.Metrics.Append(ctx, name, &b.MetricBatch)
		var refused *store.Refused
		if errors.As(err, &refused) {
			for _, r := range refused.Refusals {
				p.metrics.refused.WithLabelValues(r.Reason).Add(float64(r.Count))
			}
		}
		t.mu.Lock()
		t.table.written(from, next, err == nil || refused != nil)
		t.mu.Unlock()
		errs = append(errs, err)
		from = next
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.table.dropStale()
	t.flushed = now.UnixMilli()
	p.metrics.series.WithLabelValues(string(name)).Set(float64(t.table.series))
	p.metrics.edges.WithLabelValues(string(name)).Set(float64(len(t.graph.waiting)))
	return errors.Join(errs...)
}
