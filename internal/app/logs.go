package app

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pharos-o11y/pharos/internal/api/loki"
	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/logstore"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// logLimits is the limits of logs under one configuration, as the store and the API take
// them. Retention by signal is not part of it.
type logLimits struct {
	common  logTenant
	tenants map[model.Tenant]logTenant
}

type logTenant struct {
	store logstore.Limits
	api   loki.Limits
	rules *logrules.Rules

	blocked int // status of what is blocked
}

func newLogLimits(cfg *config.Config) (*logLimits, error) {
	l := &logLimits{tenants: map[model.Tenant]logTenant{}}
	var err error
	if l.common, err = newLogTenant(&cfg.Logs.Limits); err != nil {
		return nil, err
	}
	for name, own := range cfg.Logs.Tenants {
		if l.tenants[model.Tenant(name)], err = newLogTenant(&own); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func newLogTenant(c *config.LogLimits) (logTenant, error) {
	const mib = 1 << 20
	maxAge := time.Duration(-1)
	if c.RejectOldSamples {
		maxAge = orNone(time.Duration(c.RejectOldSamplesAge))
	}
	t := logTenant{
		store: logstore.Limits{
			MaxLineSize: orNone(int(c.MaxLineSize)), MaxLineSizeTruncate: c.MaxLineSizeTruncate,
			MaxLabelNames: orNone(c.MaxLabelNames), MaxLabelNameLength: orNone(c.MaxLabelNameLength), MaxLabelValueLength: orNone(c.MaxLabelValueLength),
			MaxMetadataSize: orNone(int(c.MaxMetadataSize)), MaxMetadataCount: orNone(c.MaxMetadataCount), MaxStreams: orNone(c.MaxStreams),
			RejectOldSamplesMaxAge: maxAge, CreationGracePeriod: orNone(time.Duration(c.CreationGracePeriod)),
			IngestionRate: int(c.IngestionRate * mib), IngestionBurst: int(c.IngestionBurst * mib),
			PerStreamRate: int(c.PerStreamRate), PerStreamBurst: int(c.PerStreamBurst),
			NoMetadata: !c.AllowMetadata, SpreadEqualTimes: c.SpreadEqualTimes, RequiredLabels: c.RequiredLabels,
			BlockedUntil: c.BlockUntil.Time(), KeepDeleted: c.DeletionMode == config.DeletionFilter,
		},
		api: loki.Limits{
			MaxEntries: orMany(c.MaxEntries), MaxSeries: orMany(c.MaxQuerySeries), MaxMatchers: orMany(c.MaxStreamMatchers),
			MaxLength: orNone(time.Duration(c.MaxQueryLength)), MaxRange: time.Duration(c.MaxQueryRange), MaxLookback: time.Duration(c.MaxQueryLookback),
			QueryTimeout: time.Duration(c.QueryTimeout), VolumeMaxSeries: orMany(c.VolumeMaxSeries),
			MaxTails: orMany(c.MaxTails), MaxTailTime: time.Duration(c.TailMaxDuration), MaxLineSizeTruncate: c.MaxLineSizeTruncate,
			RequiredLabels: c.RequiredMatchers, MinMatchers: c.MinMatchers, MaxBytesRead: int64(c.MaxBytesRead), NoVolume: !c.VolumeEnabled, NoDeletes: c.DeletionMode == config.DeletionOff,
			ServiceLabels: c.ServiceLabels, LevelFields: c.LevelFields, NoLevels: !c.DiscoverLevels,
		},
		blocked: c.BlockStatus,
	}
	var err error
	if t.store.Policies, err = newPolicies(c); err != nil {
		return t, err
	}
	if t.rules, err = newLogRules(c); err != nil {
		return t, err
	}
	text, err := yaml.Marshal(c.OTLP)
	if err == nil {
		err = yaml.Unmarshal(text, &t.api.OTLP)
	}
	if err != nil {
		return t, fmt.Errorf("otlp_config: %w", err)
	}
	for _, r := range c.RetentionStream {
		ms, err := logql.ParseSelector(r.Selector, false)
		if err != nil {
			return t, fmt.Errorf("retention of streams %s: %w", r.Selector, err)
		}
		t.store.StreamRetention = append(t.store.StreamRetention, logstore.StreamRetention{Matchers: ms, Priority: r.Priority, Period: time.Duration(r.Period)})
	}
	return t, nil
}

// newPolicies returns the groups of streams for which more holds.
func newPolicies(c *config.LogLimits) ([]logstore.Policy, error) {
	var out []logstore.Policy
	for _, name := range c.PolicyNames() {
		p := logstore.Policy{Name: name, RequiredLabels: c.PolicyRequired[name], BlockedUntil: c.PolicyBlocked[name].Time()}
		for _, s := range c.Policies[name] {
			ms, err := logql.ParseSelector(s.Selector, false)
			if err != nil {
				return nil, fmt.Errorf("policy %s: %w", name, err)
			}
			p.Streams = append(p.Streams, logstore.PolicyStream{Matchers: ms, Priority: s.Priority})
		}
		out = append(out, p)
	}
	return out, nil
}

// newLogRules returns the rules by which entries are read, nil if they are the defaults.
func newLogRules(c *config.LogLimits) (*logrules.Rules, error) {
	r := &logrules.Rules{
		Services: c.ServiceLabels, Levels: c.LevelFields, NoLevels: !c.DiscoverLevels, IgnoreDefaults: c.OTLP.Resource.IgnoreDefaults,
		SeverityLabel: c.OTLP.Severity,
	}
	for _, x := range []struct {
		from []config.OTLPRule
		to   *[]logrules.AttributeRule
	}{{c.OTLP.Resource.Rules, &r.Resource}, {c.OTLP.Scope, &r.Scope}, {c.OTLP.Log, &r.Log}} {
		for _, rule := range x.from {
			a := logrules.AttributeRule{Names: rule.Attributes}
			switch rule.Action {
			case config.OTLPLabel:
				a.Action = logrules.AsLabel
			case config.OTLPDrop:
				a.Action = logrules.Dropped
			}
			if rule.Regex != "" {
				var err error
				if a.Match, err = regexp.Compile("^(?:" + rule.Regex + ")$"); err != nil {
					return nil, fmt.Errorf("otlp_config: %w", err)
				}
			}
			*x.to = append(*x.to, a)
		}
	}
	if r.Default() {
		return nil, nil
	}
	return r, nil
}

// orNone turns the 0 of the configuration, no limit, into that of the store.
func orNone[T int | time.Duration](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

// orMany turns no limit into one that nothing reaches.
func orMany(n int) int {
	if n == 0 {
		return 1 << 40
	}
	return n
}

// of returns the limits of a tenant.
func (l *logLimits) of(t model.Tenant) logTenant {
	if own, ok := l.tenants[t]; ok {
		return own
	}
	return l.common
}

func (a *App) logOptions(cfg *config.Config, limit int64) logstore.Options {
	return logstore.Options{
		HeadSize: int(min(headSize(limit)/2, 24<<20)), // queries scan it line by line
		TenantLimits: func(t model.Tenant) (logstore.Limits, bool) {
			lim := a.logLimits.Load().of(t).store
			lim.Retention = a.retention(model.Logs, t)
			return lim, true
		},
		DeleteFilter: deleteFilter, DeleteCancelPeriod: orNone(time.Duration(cfg.Logs.CancelPeriod)),
		Logger: a.logger, Registerer: a.reg,
	}
}

// deleteFilter reads the query of a delete request.
func deleteFilter(query string) (f logstore.EntryFilter, err error) {
	f.Matchers, f.New, err = logql.Filter(query)
	return f, err
}

// logRules is the rules of a tenant by which its entries are read.
func (a *App) logRules(t model.Tenant) *logrules.Rules { return a.logLimits.Load().of(t).rules }

// blockedStatus is the answer to what of a tenant is blocked for a time.
func (a *App) blockedStatus(t model.Tenant) int { return a.logLimits.Load().of(t).blocked }

// lokiLimits is the limits of queries of a tenant.
func (a *App) lokiLimits(t model.Tenant) loki.Limits {
	lim := a.logLimits.Load().of(t).api
	lim.QueryTimeout = cmp.Or(lim.QueryTimeout, time.Duration(a.cfg.Load().Query.Timeout)) // which clients are told
	lim.Retention = a.retention(model.Logs, t)
	return lim
}

// findTraces is the [logql.TraceFinder]: it searches the trace store.
func (a *App) findTraces(ctx context.Context, tenant model.Tenant, query string, r model.TimeRange, limit int, acct *store.Account) ([]string, error) {
	e, err := traceql.Parse(query)
	if err != nil {
		return nil, fmt.Errorf("TraceQL in a label filter: %w", err)
	}
	res, err := traceql.Search(ctx, a.traces, tenant, e, traceql.Params{Range: r, Limit: limit, SpansPerSpanset: 1, Account: acct})
	if err != nil {
		return nil, fmt.Errorf("TraceQL in a label filter: %w", err)
	}
	if res.Matched > limit {
		return nil, fmt.Errorf("%w: %s selects more than %d traces, the most that can be a filter of logs", store.ErrTooBroad, query, limit)
	}
	ids := make([]string, len(res.Traces))
	for i := range res.Traces {
		ids[i] = res.Traces[i].ID.String()
	}
	return ids, nil
}
