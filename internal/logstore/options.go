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
	HeadSize int           // bytes in memory after which entries are flushed to disk; 0 means 16 MiB
	HeadAge  time.Duration // longest an entry waits in memory to be flushed; 0 means 1 minute
	Limits   Limits        // of every tenant that TenantLimits does not know

	// TenantLimits returns the limits of a tenant, or false for the common ones. It is
	// called on every append and must be cheap. nil means the same limits for all.
	TenantLimits func(model.Tenant) (Limits, bool)

	Logger     *slog.Logger     // nil discards
	Now        func() time.Time // nil means time.Now; tests replace it
	Registerer prometheus.Registerer
}

// Limits bounds what a tenant may store. Names and meanings are Loki's. In every field 0
// means the default and, where that makes sense, a negative value means no limit.
type Limits struct {
	Retention              time.Duration // how long entries are kept; 0 means for ever
	MaxLineSize            int           // bytes of a line; 0 means 256 KiB
	MaxLineSizeTruncate    bool          // cut longer lines instead of refusing them
	MaxLabelNames          int           // labels of a stream, not counting service_name; 0 means 15
	MaxLabelNameLength     int           // bytes; 0 means 1024
	MaxLabelValueLength    int           // bytes; 0 means 2048
	MaxMetadataSize        int           // bytes of names and values of one entry; 0 means 64 KiB
	MaxMetadataCount       int           // fields of one entry; 0 means 128
	MaxStreams             int           // streams written to within an hour; 0 means 100,000
	RejectOldSamplesMaxAge time.Duration // entries older than this are refused; 0 means 168 h
	CreationGracePeriod    time.Duration // entries further in the future are refused; 0 means 10 minutes
}

func (o Options) withDefaults() Options {
	o.HeadSize = cmp.Or(o.HeadSize, 16<<20)
	o.HeadAge = cmp.Or(o.HeadAge, time.Minute)
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

// window returns the oldest and newest acceptable time, Unix nanoseconds.
func (l Limits) window(now time.Time) (oldest, newest int64) {
	oldest, newest = minTime, maxTime
	if age := l.RejectOldSamplesMaxAge; age > 0 {
		oldest = now.Add(-age).UnixNano()
	}
	if l.Retention > 0 {
		oldest = max(oldest, now.Add(-l.Retention).UnixNano())
	}
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
