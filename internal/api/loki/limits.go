package loki

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	promModel "github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
)

// Limits bound what one request of a tenant may ask for. The names in comments are those
// of Loki's limits_config, and a zero field has Loki's default.
type Limits struct {
	MaxEntries      int           // max_entries_limit_per_query: entries of a log query; 0 means 5,000
	MaxSeries       int           // max_query_series: series of a metric query; 0 means 500
	MaxPoints       int           // points of a series; 0 means 11,000
	MaxLength       time.Duration // max_query_length: between start and end; 0 means 721 h, negative no limit
	MaxRange        time.Duration // max_query_range: the longest [range]; 0 means no limit
	MaxLookback     time.Duration // max_query_lookback: how far before now a query sees; 0 means no limit
	MaxMatchers     int           // max_streams_matchers_per_query; 0 means 1,000
	QueryTimeout    time.Duration // query_timeout; 0 means that of the front door
	VolumeMaxSeries int           // volume_max_series: of an answer about volume; 0 means 1,000
	MaxTails        int           // max_concurrent_tail_requests; 0 means 10
	MaxTailTime     time.Duration // tail_max_duration; 0 means 1 h
	RequiredLabels  []string      // required_labels: that each selector of a query must name
	MinMatchers     int           // minimum_labels_number: of each selector of a query; 0 means any number
	MaxBytesRead    int64         // max_query_bytes_read: that a query may look at; 0 means no limit
	NoVolume        bool          // volume_enabled is off
	NoDeletes       bool          // deletion_mode is disabled

	// The rest is only shown to clients.
	ServiceLabels       []string       // discover_service_name
	LevelFields         []string       // log_level_fields
	NoLevels            bool           // discover_log_levels is off
	OTLP                map[string]any // otlp_config
	Retention           time.Duration  // retention_period; 0 means for ever
	MaxLineSizeTruncate bool           // max_line_size_truncate
}

func (l Limits) withDefaults() Limits {
	l.MaxEntries = cmp.Or(l.MaxEntries, 5000)
	l.MaxSeries = cmp.Or(l.MaxSeries, 500)
	l.MaxPoints = cmp.Or(l.MaxPoints, 11000)
	l.MaxLength = cmp.Or(l.MaxLength, 721*time.Hour)
	l.MaxMatchers = cmp.Or(l.MaxMatchers, 1000)
	l.VolumeMaxSeries = cmp.Or(l.VolumeMaxSeries, 1000)
	l.MaxTails = cmp.Or(l.MaxTails, 10)
	l.MaxTailTime = cmp.Or(l.MaxTailTime, time.Hour)
	if l.ServiceLabels == nil {
		l.ServiceLabels = logrules.ServiceLabels()
	}
	if l.LevelFields == nil {
		l.LevelFields = logrules.LevelFields()
	}
	return l
}

// limits returns what holds for a request that reads tenants: of each limit the
// strictest.
func (a *API) limits(tenants []model.Tenant) Limits {
	var out Limits
	for i, t := range tenants {
		var l Limits
		if a.Limits != nil {
			l = a.Limits(t)
		}
		l = l.withDefaults()
		if i == 0 {
			out = l
			continue
		}
		out.MaxEntries = min(out.MaxEntries, l.MaxEntries)
		out.MaxSeries = min(out.MaxSeries, l.MaxSeries)
		out.MaxPoints = min(out.MaxPoints, l.MaxPoints)
		out.MaxLength = stricter(out.MaxLength, l.MaxLength)
		out.MaxRange = stricter(out.MaxRange, l.MaxRange)
		out.MaxLookback = stricter(out.MaxLookback, l.MaxLookback)
		out.MaxMatchers = min(out.MaxMatchers, l.MaxMatchers)
		out.QueryTimeout = stricter(out.QueryTimeout, l.QueryTimeout)
		out.VolumeMaxSeries = min(out.VolumeMaxSeries, l.VolumeMaxSeries)
		out.RequiredLabels = append(slices.Clip(out.RequiredLabels), l.RequiredLabels...)
		out.MinMatchers = max(out.MinMatchers, l.MinMatchers)
		out.MaxBytesRead = stricter(out.MaxBytesRead, l.MaxBytesRead)
		out.NoVolume = out.NoVolume || l.NoVolume
	}
	return out
}

// stricter returns the lower of a and b, where 0 and less mean no limit.
func stricter[T time.Duration | int64](a, b T) T {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// checkLength refuses ranges that are too long for a query.
func (l *Limits) checkLength(rng model.TimeRange) error {
	length := time.Duration(rng.To - rng.From)
	if length < 0 { // it overflows
		return api.Invalid("the time range from %d to %d is too long", rng.From, rng.To)
	}
	if l.MaxLength > 0 && length > l.MaxLength {
		return api.Invalid("the query time range exceeds the limit (query length: %s, limit: %s)",
			length.Truncate(time.Millisecond), promModel.Duration(l.MaxLength))
	}
	return nil
}

// checkQuery refuses queries that are too wide whatever their time range is.
func (l *Limits) checkQuery(e logql.Expr) error {
	n := 0
	for _, ms := range logql.Selectors(e) {
		n += len(ms)
		if err := l.checkSelector(ms); err != nil {
			return err
		}
	}
	if n > l.MaxMatchers {
		return api.Invalid("max streams matchers per query exceeded, matchers-count > limit (%d > %d)", n, l.MaxMatchers)
	}
	if longest := logql.LongestRange(e); l.MaxRange > 0 && longest > l.MaxRange {
		return api.Invalid("the query time range exceeds the limit (interval: [%s], limit: %s)",
			promModel.Duration(longest), promModel.Duration(l.MaxRange))
	}
	return nil
}

// checkSelector refuses a selector that says too little.
func (l *Limits) checkSelector(ms []*model.Matcher) error {
	for _, name := range l.RequiredLabels {
		if !slices.ContainsFunc(ms, func(m *model.Matcher) bool { return m.Name == name }) {
			return api.Invalid("stream selector is missing required matchers [%s]: required_labels are %s", name, strings.Join(l.RequiredLabels, ", "))
		}
	}
	if len(ms) < l.MinMatchers {
		return api.Invalid("stream selector has less label matchers than required: minimum_labels_number is %d, it has %d", l.MinMatchers, len(ms))
	}
	return nil
}

// checkBytes refuses queries that may have to read too much.
func (l *Limits) checkBytes(ctx context.Context, src *source, e logql.Expr, p logql.Params) error {
	if l.MaxBytesRead <= 0 {
		return nil
	}
	reads, err := src.engine.Explain(ctx, src.name, e, p)
	if err != nil {
		return err
	}
	bytes := int64(0)
	for i := range reads {
		bytes += reads[i].Bytes
	}
	if bytes > l.MaxBytesRead {
		return api.Invalid("the query would read too many bytes (query: %s, limit: %s); consider adding more specific stream selectors or reduce the time range of the query",
			humanize.IBytes(uint64(bytes)), humanize.IBytes(uint64(l.MaxBytesRead)))
	}
	return nil
}

// errNoVolume answers requests for volumes of a tenant that has none.
func errNoVolume() error {
	return api.Invalid("volume is not enabled for this tenant, see the limit volume_enabled")
}

// see cuts rng to what a query may see.
func (l *Limits) see(rng model.TimeRange, now time.Time) model.TimeRange {
	if l.MaxLookback <= 0 {
		return rng
	}
	oldest := now.Add(-l.MaxLookback).UnixNano()
	return model.TimeRange{From: max(rng.From, oldest), To: max(rng.To, oldest)}
}
