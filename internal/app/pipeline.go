package app

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/ingest/otlp"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/pipeline"
)

// buildPipeline makes the Collector, writing through the meter to the stores.
func (a *App) buildPipeline(ctx context.Context, cfg *config.Config) error {
	text, err := cfg.Pipeline.YAML()
	if err != nil {
		return err
	}
	a.pipeline, err = pipeline.New(ctx, pipeline.Options{
		Sink: otlp.New(otlp.Options{
			Metrics: a.meter.Metrics(a.samples), Logs: a.meter.Logs(a.logs), Traces: a.derive.Traces(a.meter.Traces(a.traces)),
			MaxAttribute: func(t model.Tenant) int {
				return int(cmp.Or(cfg.Limits.Tenants[string(t)].MaxAttribute, cfg.Limits.MaxAttribute))
			},
			LogRules: a.logRules, Refused: a.meter.Refused, Registerer: a.reg,
		}),
		Config: text, OTLPGRPC: cfg.OTLP.GRPC, OTLPHTTP: cfg.OTLP.HTTP, Compat: compatHost(cfg),
		Tenant:  func(_ context.Context, id string) (model.Tenant, error) { return a.tenancy.Parse(id) },
		Version: a.version, Logger: a.logger, Registerer: a.reg,
	})
	return err
}

// CheckPipeline reports what is wrong with the pipeline of cfg, without starting it.
func CheckPipeline(ctx context.Context, cfg *config.Config) error {
	text, err := cfg.Pipeline.YAML()
	if err != nil {
		return err
	}
	if err := pipeline.Check(ctx, text); err != nil {
		return fmt.Errorf("check pipeline: %w", err)
	}
	return nil
}
