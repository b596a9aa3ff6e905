package app

import (
	"time"

	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/ingest/derive"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
)

// queryOptions derives the bounds of queries from the memory limit of the process:
// together they may use half of it, one of them a quarter.
func (a *App) queryOptions(cfg *config.Config, limit int64) query.Options {
	q := cfg.Query
	opts := query.Options{
		MaxConcurrent: q.MaxConcurrent, MaxTenantConcurrent: q.MaxTenantConcurrent,
		Timeout: time.Duration(q.Timeout), MaxBytes: int64(q.MaxBytes), MaxQueryMemory: int64(q.MaxQueryMemory),
		Slow: time.Duration(q.Slow), MaxMemory: limit / 2, Logger: a.logger, Registerer: a.reg,
	}
	if opts.MaxQueryMemory == 0 {
		opts.MaxQueryMemory = limit / 4
	}
	return opts
}

// retention returns how long tenant's data of sig is kept under the configuration in
// force.
func (a *App) retention(sig model.Signal, tenant model.Tenant) time.Duration {
	r := a.cfg.Load().Retention
	own := r.Tenants[string(tenant)]
	common, special := r.Metrics, own.Metrics
	switch sig {
	case model.Logs:
		common, special = r.Logs, own.Logs
	case model.Traces:
		common, special = r.Traces, own.Traces
	case model.Metrics:
	}
	if special != 0 {
		return time.Duration(special)
	}
	return time.Duration(common)
}

// deriveOptions says which metrics are made of spans. They go to the store past the
// meter: nobody sent them.
func (a *App) deriveOptions(cfg *config.Config) derive.Options {
	c, sm, sg := cfg.Traces, cfg.Traces.SpanMetrics, cfg.Traces.ServiceGraphs
	return derive.Options{
		Metrics: a.samples, Interval: time.Duration(c.MetricsInterval), MaxSeries: c.MaxSeries, ExemplarLabel: c.ExemplarLabel,
		Spans: derive.SpanOptions{
			Off: !sm.Enabled, Dimensions: sm.Dimensions, StatusMessage: sm.StatusMessage, TargetInfo: sm.TargetInfo,
			MultiplierKey: sm.MultiplierKey, TraceState: sm.TraceState, Histograms: derive.Histograms(sm.Histograms), Buckets: sm.Buckets,
			DimensionMappings: sm.DimensionMappings, FilterPolicies: sm.FilterPolicies,
		},
		Graph: derive.GraphOptions{
			Off: !sg.Enabled, Wait: time.Duration(sg.Wait), MaxItems: sg.MaxItems, Dimensions: sg.Dimensions,
			Prefixes: sg.Prefixes, PeerAttributes: sg.PeerAttributes, VirtualNodeLabel: sg.VirtualNodeLabel,
			MessagingLatency: sg.MessagingLatency, ConnectionInfo: sg.ConnectionInfo,
			Histograms: derive.Histograms(sg.Histograms), Buckets: sg.Buckets,
		},
		Logger: a.logger, Registerer: a.reg,
	}
}
