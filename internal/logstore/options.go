package logstore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Options configures a Store. The zero value is ready to use.
type Options struct {
	HeadSize int           // bytes in memory after which entries are flushed to disk, up to twice as many if they are of many streams; 0 means 16 MiB
	HeadAge  time.Duration // longest an entry waits in memory to be flushed; 0 means 1 minute
	Limits   Limits        // of every tenant that TenantLimits does not know

	// DeleteFilter reads the query of a delete request; nil means that there can be none.
	DeleteFilter       func(query string) (EntryFilter, error)
	DeleteCancelPeriod time.Duration // how long a delete request can be taken back; 0 means 24 h

	// TenantLimits returns the limits of a tenant, or false for the common ones. It is
	// called on every append and must be cheap. nil means the same limits for all.
	TenantLimits func(model.Tenant) (Limits, bool)
	MaxTenants   int // that write within an hour; 0 means 10,000

	Logger     *slog.Logger     // nil discards
	Now        func() time.Time // nil means time.Now; tests replace it
	Registerer prometheus.Registerer
}

// EntryFilter says which entries a query means.
type EntryFilter struct {
	Matchers []*model.Matcher // of the streams
	// New returns a function that reports whether an entry of such a stream is meant. It is
	// for one goroutine. nil means that every entry is.
	New func() func(stream model.Labels, at int64, line string, meta model.Labels) bool
}

// Limits bounds what a tenant may store. Names in comments are those of Loki's
// limits_config, whose meanings they have. In every field 0 means the default and, where
// that makes sense, a negative value means no limit. Limits are checked here and nowhere
// else, whatever way entries come.
type Limits struct {
	Retention              time.Duration     // retention_period: how long entries are kept; 0 means for ever
	StreamRetention        []StreamRetention // retention_stream: of streams that are kept for longer or shorter
	MaxLineSize            int               // max_line_size: bytes; 0 means 256 KiB
	MaxLineSizeTruncate    bool              // max_line_size_truncate: cut longer lines instead of refusing them
	MaxLabelNames          int               // max_label_names_per_series: of a stream, not counting service_name; 0 means 15
	MaxLabelNameLength     int               // max_label_name_length: bytes; 0 means 1024
	MaxLabelValueLength    int               // max_label_value_length: bytes; 0 means 2048
	MaxMetadataSize        int               // max_structured_metadata_size: bytes of names and values of one entry; 0 means 64 KiB
	MaxMetadataCount       int               // max_structured_metadata_entries_count: fields of one entry; 0 means 128
	NoMetadata             bool              // allow_structured_metadata is off: entries that have any are refused
	SpreadEqualTimes       bool              // increment_duplicate_timestamp: entries of one time get times of their own
	RequiredLabels         []string          // enforced_labels: streams without one of them are refused
	Policies               []Policy          // policy_stream_mapping: groups of streams for which more holds
	BlockedUntil           time.Time         // block_ingestion_until: everything is refused before; zero: nothing is
	KeepDeleted            bool              // deletion_mode is filter-only: deleted entries are hidden and stay on disk
	MaxStreams             int               // max_global_streams_per_user: written to within an hour; 0 means 100,000
	RejectOldSamplesMaxAge time.Duration     // reject_old_samples_max_age: entries older than this are refused; 0 means 168 h
	CreationGracePeriod    time.Duration     // creation_grace_period: entries further in the future are refused; 0 means 10 minutes
	IngestionRate          int               // ingestion_rate_mb, in bytes per second; 0 means no limit
	IngestionBurst         int               // ingestion_burst_size_mb, in bytes; 0 means 1.5 times the rate
	PerStreamRate          int               // per_stream_rate_limit, in bytes per second; 0 means no limit
	PerStreamBurst         int               // per_stream_rate_limit_burst, in bytes; 0 means 5 times the rate
}

func (o Options) withDefaults() Options {
	o.HeadSize = cmp.Or(o.HeadSize, 16<<20)
	o.HeadAge = cmp.Or(o.HeadAge, time.Minute)
	o.MaxTenants = cmp.Or(o.MaxTenants, 10_000)
	o.DeleteCancelPeriod = cmp.Or(o.DeleteCancelPeriod, 24*time.Hour)
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	if o.HeadSize < 0 {
		errs = append(errs, fmt.Errorf("head size %d is negative", o.HeadSize))
	}
	if o.HeadAge < 0 {
		errs = append(errs, fmt.Errorf("head age %s is negative", o.HeadAge))
	}
	if o.Limits.Retention < 0 {
		errs = append(errs, fmt.Errorf("retention %s is negative", o.Limits.Retention))
	}
	return errors.Join(errs...)
}

func (l Limits) withDefaults() Limits {
	l.MaxLineSize = cmp.Or(l.MaxLineSize, 256<<10)
	l.MaxLabelNames = cmp.Or(l.MaxLabelNames, 15)
	l.MaxLabelNameLength = cmp.Or(l.MaxLabelNameLength, 1024)
	l.MaxLabelValueLength = cmp.Or(l.MaxLabelValueLength, 2048)
	l.MaxMetadataSize = cmp.Or(l.MaxMetadataSize, 64<<10)
	l.MaxMetadataCount = cmp.Or(l.MaxMetadataCount, 128)
	l.MaxStreams = cmp.Or(l.MaxStreams, 100_000)
	l.RejectOldSamplesMaxAge = cmp.Or(l.RejectOldSamplesMaxAge, 168*time.Hour)
	l.CreationGracePeriod = cmp.Or(l.CreationGracePeriod, 10*time.Minute)
	l.IngestionBurst = cmp.Or(l.IngestionBurst, l.IngestionRate+l.IngestionRate/2)
	l.PerStreamBurst = cmp.Or(l.PerStreamBurst, 5*l.PerStreamRate)
	return l
}

// limits returns the limits of tenant, defaults filled in.
func (s *Store) limits(tenant model.Tenant) Limits {
	if s.opts.TenantLimits != nil {
		if l, ok := s.opts.TenantLimits(tenant); ok {
			return l.withDefaults()
		}
	}
	return s.opts.Limits
}

// window returns the oldest and newest acceptable time of a stream, Unix nanoseconds.
func (l *Limits) window(now time.Time, labels model.Labels) (oldest, newest int64) {
	oldest, newest = minTime, maxTime
	if age := l.RejectOldSamplesMaxAge; age > 0 {
		oldest = now.Add(-age).UnixNano()
	}
	oldest = max(oldest, cutoff(now, l.retention(labels)))
	if ahead := l.CreationGracePeriod; ahead > 0 {
		newest = now.Add(ahead).UnixNano()
	}
	return oldest, newest
}

// Entries outside of these times are refused whatever the limits, so that arithmetic on
// times cannot overflow: the years 1823 to 2116.
const (
	minTime = -1 << 62
	maxTime = 1 << 62
)
