// Package compat points programs that nobody here wrote at the real binary.
package compat

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pharos-o11y/pharos/test/harness"
)

// exporters are the three of one protocol.
type exporters struct {
	spans   sdktrace.SpanExporter
	metrics sdkmetric.Exporter
	logs    sdklog.Exporter
}

func grpcExporters(ctx context.Context, s *harness.Server) (e exporters, err error) {
	var errs [3]error
	e.spans, errs[0] = otlptracegrpc.New(ctx, otlptracegrpc.WithInsecure(), otlptracegrpc.WithEndpoint(s.GRPC), otlptracegrpc.WithCompressor("gzip"))
	e.metrics, errs[1] = otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithEndpoint(s.GRPC))
	e.logs, errs[2] = otlploggrpc.New(ctx, otlploggrpc.WithInsecure(), otlploggrpc.WithEndpoint(s.GRPC))
	return e, errors.Join(errs[:]...)
}

func httpExporters(ctx context.Context, s *harness.Server) (e exporters, err error) {
	host := strings.TrimPrefix(s.OTLPHTTP, "http://")
	var errs [3]error
	e.spans, errs[0] = otlptracehttp.New(ctx, otlptracehttp.WithInsecure(), otlptracehttp.WithEndpoint(host))
	e.metrics, errs[1] = otlpmetrichttp.New(ctx, otlpmetrichttp.WithInsecure(), otlpmetrichttp.WithEndpoint(host), otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	e.logs, errs[2] = otlploghttp.New(ctx, otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(host))
	return e, errors.Join(errs[:]...)
}

// TestGoSDK sends the three signals with the Go SDK as its documentation sets it up.
func TestGoSDK(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	for _, tt := range []struct {
		name string
		make func(context.Context, *harness.Server) (exporters, error)
	}{{"grpc", grpcExporters}, {"http", httpExporters}} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := tt.make(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			goSDK(t, s, "go-"+tt.name, e)
		})
	}
}

func goSDK(t *testing.T, s *harness.Server, service string, e exporters) {
	ctx := t.Context()
	res := resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.instance.id", "one"), attribute.String("region", "eu"))
	tp := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(e.spans))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(e.metrics)))
	lp := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(e.logs)))

	requests, err1 := mp.Meter("app").Int64Counter("app.requests", metric.WithUnit("{request}"))
	latency, err2 := mp.Meter("app").Float64Histogram("app.latency", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
	queue, err3 := mp.Meter("app").Int64Gauge("app.queue")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	pctx, parent := tp.Tracer("app").Start(ctx, "parent")
	cctx, child := tp.Tracer("app").Start(pctx, "child")
	child.SetAttributes(attribute.Int("n", 7), attribute.StringSlice("tags", []string{"a", "b"}))
	child.RecordError(errors.New("broken"))
	child.SetStatus(codes.Error, "broken")
	for range 3 {
		requests.Add(cctx, 1, metric.WithAttributes(attribute.String("route", "/x")))
		latency.Record(cctx, 0.5)
	}
	queue.Record(cctx, 4)
	var rec log.Record
	rec.SetTimestamp(time.Now())
	rec.SetSeverity(log.SeverityError)
	rec.SetSeverityText("ERROR")
	rec.SetBody(attribute.StringValue("it broke"))
	rec.AddAttributes(attribute.String("code", "E42"))
	lp.Logger("app").Emit(cctx, rec)
	child.End()
	parent.End()
	if err := errors.Join(tp.Shutdown(ctx), mp.Shutdown(ctx), lp.Shutdown(ctx)); err != nil {
		t.Fatalf("shut the SDK down: %v", err)
	}

	id := parent.SpanContext().TraceID().String()
	spans := s.Trace(t, id)
	if len(spans) != 2 {
		t.Fatalf("trace has %d spans, want 2: %v", len(spans), spans)
	}
	for _, sp := range spans {
		if sp.Name == "child" && (sp.Attrs["n"] != "7" || sp.Status != "STATUS_CODE_ERROR" || sp.ParentSpanID == "") {
			t.Errorf("child: %+v", sp)
		}
	}
	now := time.Now()
	for query, want := range map[string]float64{
		`app_requests_total{job="` + service + `",route="/x"}`:                           3,
		`app_latency_seconds_count{job="` + service + `"}`:                               3,
		`app_latency_seconds_bucket{job="` + service + `",le="1"}`:                       3,
		`app_latency_seconds_bucket{job="` + service + `",le="0.1"}`:                     0,
		`app_queue{job="` + service + `",instance="one"}`:                                4,
		`count(target_info{job="` + service + `",region="eu"})`:                          1,
		`histogram_quantile(0.5, app_latency_seconds_bucket{job="` + service + `"}) > 0`: 0.55,
	} {
		if got := s.Prom(t, query, now).Vector.One(t); got != want {
			t.Errorf("%s = %v, want %v", query, got, want)
		}
	}
	lines := s.LokiRange(t, `{service_name="`+service+`"} | trace_id="`+id+`" | code="E42"`, now.Add(-time.Minute), now.Add(time.Minute)).Lines()
	if len(lines) != 1 || lines[0] != "it broke" {
		t.Errorf("logs of the trace: %q", lines)
	}
}
