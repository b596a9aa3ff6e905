package pipeline

import (
	"context"
	"fmt"

	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.uber.org/zap"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/service/telemetry"

	ourtelemetry "github.com/pharos-o11y/pharos/internal/telemetry"
)

// telemetryConfig is service.telemetry. The Collector is a part of Pharos: it logs to
// our logger and its metrics are among ours, at /metrics; what a configuration made for a
// Collector of its own says about that is read and set aside.
type telemetryConfig struct {
	Logs     map[string]any `mapstructure:"logs"`
	Metrics  map[string]any `mapstructure:"metrics"`
	Traces   map[string]any `mapstructure:"traces"`
	Resource map[string]any `mapstructure:"resource"`
}

// telemetryFactory makes the loggers and meters of components.
func (p *Pipeline) telemetryFactory() telemetry.Factory {
	return telemetry.NewFactory(
		func() component.Config { return new(telemetryConfig) },
		telemetry.WithCreateLogger(func(_ context.Context, _ telemetry.LoggerSettings, cfg component.Config) (*zap.Logger, component.ShutdownFunc, error) {
			if c, ok := cfg.(*telemetryConfig); ok && len(c.Logs)+len(c.Metrics)+len(c.Traces) > 0 {
				p.opts.Logger.Info("service::telemetry has no effect: the Collector logs with Pharos and its metrics are at /metrics")
			}
			return ourtelemetry.NewZap(p.opts.Logger), nil, nil
		}),
		telemetry.WithCreateMeterProvider(func(context.Context, telemetry.MeterSettings, component.Config) (telemetry.MeterProvider, error) {
			return p.meterProvider()
		}),
	)
}

// meterProvider returns one whose metrics p.self exposes. The instrumentation of the HTTP
// and gRPC libraries is left out: it has a series per peer.
func (p *Pipeline) meterProvider() (telemetry.MeterProvider, error) {
	reader, err := otelprom.New(otelprom.WithRegisterer(p.self), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("create exporter of the Collector's metrics: %w", err)
	}
	drop := sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}}
	opts := []sdkmetric.Option{sdkmetric.WithReader(reader)}
	for _, lib := range []string{"google.golang.org/grpc/otelgrpc", "net/http/otelhttp"} {
		i := sdkmetric.Instrument{}
		i.Scope.Name = "go.opentelemetry.io/contrib/instrumentation/" + lib
		opts = append(opts, sdkmetric.WithView(sdkmetric.NewView(i, drop)))
	}
	return sdkmetric.NewMeterProvider(opts...), nil
}
