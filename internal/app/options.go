package app

import (
	"time"

	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
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

func lokiRules(cfg *config.Config) logrules.Limits {
	return logrules.Limits{
		MaxLine: int(cfg.Limits.MaxLineSize), MaxFuture: time.Duration(cfg.Limits.MaxFuture),
		MaxAge: -1, // the store refuses by retention
	}
}
