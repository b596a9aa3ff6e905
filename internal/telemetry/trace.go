package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Tracing traces requests and sends the spans over OTLP, to Pharos itself as a rule.
type Tracing struct{ provider *sdktrace.TracerProvider }

// NewTracing returns a Tracing that exports to the OTLP gRPC endpoint (HOST:PORT, no
// TLS) as service pharos of the given version. Spans that cannot be sent are dropped.
func NewTracing(ctx context.Context, endpoint, version string) (*Tracing, error) {
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(endpoint), otlptracegrpc.WithInsecure())
	if err != nil {
		return nil, fmt.Errorf("trace own requests: %w", err)
	}
	res := resource.NewSchemaless(attribute.String("service.name", "pharos"), attribute.String("service.version", version))
	return &Tracing{provider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))}, nil
}

// Wrap traces the queries that h answers. Health checks, files of the UI and ingest are
// left out: the latter would trace the sending of traces.
func (t *Tracing) Wrap(h http.Handler) http.Handler {
	return otelhttp.NewHandler(h, "http",
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithFilter(func(r *http.Request) bool {
			p := r.URL.Path
			isQuery := strings.HasPrefix(p, "/api/") || strings.HasPrefix(p, "/loki/") || strings.HasPrefix(p, "/prometheus/") || strings.HasPrefix(p, "/tempo/")
			return isQuery && !strings.HasSuffix(p, "/push") && !strings.HasSuffix(p, "/write")
		}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method + " " + r.URL.Path }),
	)
}

// Run waits for ctx to be done and sends what is left.
func (t *Tracing) Run(ctx context.Context) error {
	<-ctx.Done()
	if err := t.provider.Shutdown(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("trace own requests: %w", err)
	}
	return nil
}
