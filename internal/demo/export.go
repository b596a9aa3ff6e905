package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	maxHeld    = 50_000 // spans and log records kept for a receiver that does not accept
	maxBatches = 200    // collections of metrics kept for it
	maxItems   = 2_000  // spans or log records in one request
)

// exporter collects what the SDKs of all services produce and sends it over one
// connection, one request a signal. It is used by one goroutine at a time.
type exporter struct {
	conn    *grpc.ClientConn
	started time.Time
	traces  sdktrace.SpanExporter
	logs    sdklog.Exporter
	meters  []*otlpmetricgrpc.Exporter // by service: each sends one resource at a time
	spans   []sdktrace.ReadOnlySpan
	records []sdklog.Record
	batches [][]*metricdata.ResourceMetrics // by service, oldest first
}

func newExporter(ctx context.Context, opts Options) (*exporter, error) {
	conn, err := grpc.NewClient("passthrough:///"+opts.GRPCEndpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 2 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", opts.GRPCEndpoint, err)
	}
	e := &exporter{conn: conn, started: opts.Now().Add(-max(0, opts.History))}
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	e.traces, err = otlptracegrpc.New(ctx, otlptracegrpc.WithGRPCConn(conn), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}))
	add(err)
	e.batches = make([][]*metricdata.ResourceMetrics, len(services))
	e.logs, err = otlploggrpc.New(ctx, otlploggrpc.WithGRPCConn(conn), otlploggrpc.WithRetry(otlploggrpc.RetryConfig{}))
	add(err)
	for range services {
		m, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithGRPCConn(conn), otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}))
		add(err)
		e.meters = append(e.meters, m)
	}
	if err := errors.Join(errs...); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// close drops the connection; what was produced since the last flush is not sent.
func (e *exporter) close() { _ = e.conn.Close() }

// collect puts the metrics of every service, as of at, with what is to be sent.
func (e *exporter) collect(ctx context.Context, svcs []*service, at time.Time) error {
	for i, svc := range svcs {
		rm := &metricdata.ResourceMetrics{}
		if err := svc.reader.Collect(ctx, rm); err != nil {
			return fmt.Errorf("collect metrics of %s: %w", svc.name, err)
		}
		restamp(rm, e.started, at)
		if n := len(e.batches[i]); n >= maxBatches {
			e.batches[i] = append(e.batches[i][:0], e.batches[i][n-maxBatches/2:]...)
		}
		e.batches[i] = append(e.batches[i], rm)
	}
	return nil
}

// send sends everything collected since it last succeeded.
func (e *exporter) send(ctx context.Context) error {
	var g errgroup.Group
	for i := range e.batches {
		g.Go(func() error {
			return drain(&e.batches[i], 1, func(rms []*metricdata.ResourceMetrics) error {
				if err := e.meters[i].Export(ctx, rms[0]); err != nil {
					return fmt.Errorf("send metrics: %w", err)
				}
				return nil
			})
		})
	}
	g.Go(func() error {
		return drain(&e.spans, maxItems, func(spans []sdktrace.ReadOnlySpan) error {
			if err := e.traces.ExportSpans(ctx, spans); err != nil {
				return fmt.Errorf("send spans: %w", err)
			}
			return nil
		})
	})
	g.Go(func() error {
		return drain(&e.records, maxItems, func(records []sdklog.Record) error {
			if err := e.logs.Export(ctx, records); err != nil {
				return fmt.Errorf("send logs: %w", err)
			}
			return nil
		})
	})
	return g.Wait()
}

// drain hands the items of list to send, at most n at a time, and removes those that it
// took. It keeps no more than maxHeld of the others.
func drain[T any](list *[]T, n int, send func([]T) error) error {
	var err error
	rest := *list
	for len(rest) > 0 && err == nil {
		k := min(n, len(rest))
		if err = send(rest[:k]); err == nil {
			rest = rest[k:]
		}
	}
	if len(rest) > maxHeld {
		rest = rest[len(rest)-maxHeld:]
	}
	kept := copy(*list, rest)
	clear((*list)[kept:])
	*list = (*list)[:kept]
	return err
}

// restamp replaces the times that the SDK took from the clock of the machine by those of
// the simulation.
func restamp(rm *metricdata.ResourceMetrics, start, at time.Time) {
	for i := range rm.ScopeMetrics {
		for j := range rm.ScopeMetrics[i].Metrics {
			switch d := rm.ScopeMetrics[i].Metrics[j].Data.(type) {
			case metricdata.Gauge[float64]:
				stampPoints(d.DataPoints, time.Time{}, at)
			case metricdata.Sum[float64]:
				stampPoints(d.DataPoints, start, at)
			case metricdata.Sum[int64]:
				stampPoints(d.DataPoints, start, at)
			case metricdata.Histogram[float64]:
				for k := range d.DataPoints {
					d.DataPoints[k].StartTime, d.DataPoints[k].Time = start, at
				}
			}
		}
	}
}

func stampPoints[N int64 | float64](p []metricdata.DataPoint[N], start, at time.Time) {
	for k := range p {
		p[k].StartTime, p[k].Time = start, at
		p[k].Exemplars = nil // only histograms carry them
	}
}

func (e *exporter) spanSink() sdktrace.SpanProcessor { return spanSink{e} }
func (e *exporter) logSink() sdklog.Processor        { return logSink{e} }

// spanSink hands ended spans to the exporter.
type spanSink struct{ e *exporter }

func (k spanSink) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (k spanSink) OnEnd(s sdktrace.ReadOnlySpan)                   { k.e.spans = append(k.e.spans, s) }
func (k spanSink) Shutdown(context.Context) error                  { return nil }
func (k spanSink) ForceFlush(context.Context) error                { return nil }

// logSink hands emitted records to the exporter.
type logSink struct{ e *exporter }

func (k logSink) OnEmit(_ context.Context, r *sdklog.Record) error {
	k.e.records = append(k.e.records, r.Clone())
	return nil
}
func (k logSink) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (k logSink) Shutdown(context.Context) error                         { return nil }
func (k logSink) ForceFlush(context.Context) error                       { return nil }

var (
	_ sdktrace.SpanProcessor = spanSink{}
	_ sdklog.Processor       = logSink{}
)
