package app

import (
	"cmp"
	"context"
	"time"

	"github.com/pharos-o11y/pharos/internal/api/prom"
	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/metricstore"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/tracestore"
	"github.com/pharos-o11y/pharos/internal/tracestore/sampling"
)

// What is older than its retention would be dropped at once, so each store refuses
// exactly that; retention is looked up on every write, since a reload may change it.

func (a *App) metricOptions(cfg *config.Config, limit int64) metricstore.Options {
	var tiers []metricstore.Tier
	for _, d := range cfg.Downsampling {
		tiers = append(tiers, metricstore.Tier{Resolution: time.Duration(d.Resolution), Retention: time.Duration(d.Retention)})
	}
	return metricstore.Options{
		Tiers:       tiers,
		Retention:   func(t model.Tenant) time.Duration { return a.retention(model.Metrics, t) },
		Limits:      func(t model.Tenant) metricstore.Limits { return metricLimits(cfg, t) },
		CreatedZero: cfg.Metrics.CreatedZero,
		Dedup:       func(model.Tenant) time.Duration { return time.Duration(cfg.Dedup.MinScrapeInterval) },
		MaxFuture:   time.Duration(cfg.Limits.MaxFuture), HeadBytes: headSize(limit),
		Logger: a.logger, Registerer: a.reg,
	}
}

func metricLimits(cfg *config.Config, t model.Tenant) metricstore.Limits {
	all, own := cfg.Limits, cfg.Limits.Tenants[string(t)]
	return metricstore.Limits{
		ActiveSeries: cmp.Or(own.MaxSeries, all.MaxSeries), LabelsPerSeries: cmp.Or(own.MaxLabels, all.MaxLabels),
		LabelNameLen: cmp.Or(own.MaxLabelName, all.MaxLabelName), LabelValueLen: cmp.Or(own.MaxLabelValue, all.MaxLabelValue),
	}
}

func (a *App) traceOptions(cfg *config.Config, limit int64) (tracestore.Options, error) {
	var thin []tracestore.ThinStep
	for _, step := range cfg.Traces.Sampling {
		s, err := sampling.New(step.Policies)
		if err != nil {
			return tracestore.Options{}, err
		}
		thin = append(thin, tracestore.ThinStep{After: time.Duration(step.After), Sampler: s})
	}
	return tracestore.Options{
		Thin: thin, References: a.traceReferences,
		HeadSize: headSize(limit) / 2,
		TenantLimits: func(t model.Tenant) (tracestore.Limits, bool) {
			keep, own := a.retention(model.Traces, t), cfg.Limits.Tenants[string(t)]
			return tracestore.Limits{
				Retention: keep, MaxAge: maxAge(keep), MaxAhead: time.Duration(cfg.Limits.MaxFuture),
				MaxTraceSpans: cfg.Limits.MaxTraceSpans,
				Rate:          int(cmp.Or(own.SpanRate, cfg.Limits.SpanRate)), Burst: int(cmp.Or(own.SpanBurst, cfg.Limits.SpanBurst)),
			}, true
		},
		Logger: a.logger, Registerer: a.reg,
	}, nil
}

// maxAge is the age at which data is refused when it is kept for keep, 0 for ever.
func maxAge(keep time.Duration) time.Duration {
	if keep == 0 {
		return 100 * 365 * 24 * time.Hour
	}
	return keep
}

// headSize is what a head may hold in memory under the memory limit of the process:
// small machines flush more often.
func headSize(limit int64) int64 { return min(256<<20, max(16<<20, limit/8)) }

// metricUsage returns how queries have used the metrics of a tenant.
func (a *App) metricUsage(ctx context.Context, t model.Tenant, acct *store.Account) ([]prom.MetricUse, int64, error) {
	uses, since, err := a.metrics.MetricUsage(ctx, t, acct)
	out := make([]prom.MetricUse, 0, len(uses))
	for name, u := range uses {
		out = append(out, prom.MetricUse{Metric: name, Count: u.Count, Last: u.Last})
	}
	return out, since, err
}
