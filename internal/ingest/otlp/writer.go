package otlp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// Options configures a Writer. The three stores are needed for their signals; every
// other field may be zero.
type Options struct {
	Metrics store.MetricWriter
	Logs    store.LogWriter
	Traces  store.TraceWriter

	Promote     []string // resource attributes that become labels of every series; nil means service.name
	ScopeLabels bool     // add otel_scope_name, _version and attributes to every series

	Refused  ingest.RefusedFunc                 // counts what the translation refuses; may be nil
	LogRules func(model.Tenant) *logrules.Rules // of a tenant; nil means the defaults for all

	MaxDeltaSeries int           // series of delta temporality to add up at a time; 0 means 1,000,000
	DeltaStale     time.Duration // forget one not written for this long; 0 means 5 min, at least 1 s

	// MaxAttribute is the bytes that the key, or a string value, of an attribute of a
	// tenant's traces may have; longer ones are cut. nil or 0 means any length.
	MaxAttribute func(model.Tenant) int

	Registerer prometheus.Registerer // nil counts nowhere
	Now        func() time.Time      // nil means time.Now; tests replace it
}

// Writer converts OpenTelemetry data and writes it to the stores. It is safe for
// concurrent use.
type Writer struct {
	opts    Options
	metrics *ingest.Metrics
	cut     *prometheus.CounterVec
	deltas  deltas

	converters, builders, batches sync.Pool
}

// New returns a Writer.
func New(opts Options) *Writer {
	if opts.Promote == nil {
		opts.Promote = []string{serviceName}
	}
	if opts.MaxDeltaSeries == 0 {
		opts.MaxDeltaSeries = 1_000_000
	}
	if opts.DeltaStale == 0 {
		opts.DeltaStale = 5 * time.Minute
	}
	if opts.LogRules == nil {
		opts.LogRules = func(model.Tenant) *logrules.Rules { return nil }
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Writer{
		opts: opts, metrics: ingest.NewMetrics(opts.Registerer, "otlp"), cut: newCut(opts.Registerer),
		deltas: deltas{max: opts.MaxDeltaSeries, stale: int64(max(opts.DeltaStale, time.Second))},
	}
}

// WriteMetrics converts an ExportMetricsServiceRequest and appends it. It returns how many
// data points were read, stored or not, and nil when all of them are durable; otherwise
// what [store.MetricWriter] returns, or a [model.ErrMalformed]; what the translation
// refuses is counted in the [*store.Refused]. body is only read, and not after WriteMetrics
// returns.
func (w *Writer) WriteMetrics(ctx context.Context, tenant model.Tenant, body []byte) (points int, err error) {
	if w.opts.Metrics == nil {
		return 0, noStore(model.Metrics)
	}
	c, ok := w.converters.Get().(*converter)
	if !ok {
		c = &converter{opts: &w.opts, deltas: &w.deltas}
	}
	defer func() {
		c.release()
		w.converters.Put(c)
	}()
	c.reset(tenant, w.opts.Now().UnixNano())
	err = c.convert(body)
	switch {
	case err != nil:
		err = fmt.Errorf("decode ExportMetricsServiceRequest: %w", err)
	case c.over:
		err = fmt.Errorf("write metrics: %w: the series of the request have labels of more than %d bytes; send smaller batches", store.ErrLimit, maxKeys)
	case len(c.batch.Series) > 0:
		err = w.opts.Metrics.Append(ctx, tenant, &c.batch)
	}
	var refused *store.Refused
	if err != nil && !errors.As(err, &refused) {
		c.rollback() // nothing is stored, and the sender will try again
	}
	own := c.refused // c is another request's before the caller has read the error
	err = w.opts.Refused.Finish(model.Metrics, tenant, &own, c.points, err)
	w.metrics.CountItems(model.Metrics.String(), c.points, err)
	return c.items, err
}

// WriteLogs converts an ExportLogsServiceRequest and appends it. It returns how many
// records were read, stored or not. Errors are those of [store.LogWriter], or a
// [model.ErrMalformed]; what Loki's rules refuse is counted in the [*store.Refused]. body
// is only read, and not after WriteLogs returns.
func (w *Writer) WriteLogs(ctx context.Context, tenant model.Tenant, body []byte) (records int, err error) {
	if w.opts.Logs == nil {
		return 0, noStore(model.Logs)
	}
	b, ok := w.builders.Get().(*logrules.Builder)
	if !ok {
		b = &logrules.Builder{}
	}
	defer w.builders.Put(b)
	b.Reset(w.opts.Now(), w.opts.LogRules(tenant))
	_, err = AppendLogs(b, body)
	batch := b.Batch()
	if err == nil && len(batch.Streams) > 0 {
		err = w.opts.Logs.Append(ctx, tenant, batch)
	}
	own := b.Refused // b is another request's before the caller has read the error
	err = w.opts.Refused.Finish(model.Logs, tenant, &own, b.Kept(), err)
	w.metrics.CountItems(model.Logs.String(), b.Kept(), err)
	return b.Received(), err
}

// WriteTraces appends the spans of an ExportTraceServiceRequest. It returns how many were
// read, stored or not. Errors are those of [store.TraceWriter], or a [model.ErrMalformed].
// body is only read, and not after WriteTraces returns.
func (w *Writer) WriteTraces(ctx context.Context, tenant model.Tenant, body []byte) (items int, err error) {
	if w.opts.Traces == nil {
		return 0, noStore(model.Traces)
	}
	b, ok := w.batches.Get().(*spans.Batch)
	if !ok {
		b = &spans.Batch{}
	}
	defer func() {
		b.Reset()
		w.batches.Put(b)
	}()
	err = AppendSpans(b, body)
	switch {
	case err != nil:
		err = fmt.Errorf("decode ExportTraceServiceRequest: %w", err)
	case len(b.Spans) > 0:
		if w.opts.MaxAttribute != nil {
			cutAttributes(b, w.opts.MaxAttribute(tenant), w.cut)
		}
		err = w.opts.Traces.Append(ctx, tenant, b)
	}
	w.metrics.CountItems(model.Traces.String(), len(b.Spans), err)
	return len(b.Spans), err
}

func noStore(s model.Signal) error {
	return fmt.Errorf("write %s: no store for them: %w", s, store.ErrUnsupported)
}
