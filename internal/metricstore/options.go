package metricstore

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
	// Retention returns how long the samples of a tenant are kept; nil or 0 means for
	// ever. Samples up to this old are taken, in any order.
	Retention func(model.Tenant) time.Duration
	MaxFuture time.Duration // samples further ahead of the clock are refused; 0 means 10 minutes
	// Limits returns what a tenant may write; nil means the zero Limits.
	Limits func(model.Tenant) Limits

	// Tiers are the resolutions in which samples are kept beyond Retention, finest first.
	// A tenant without retention needs none.
	Tiers []Tier
	// Dedup returns the interval of a tenant in which one sample of a series is kept, as
	// VictoriaMetrics' dedup.minScrapeInterval; nil or 0 keeps all.
	Dedup func(model.Tenant) time.Duration

	// CreatedZero adds a sample of 0 at the Start of a counter or histogram that is newer
	// than the last sample of the series and not older than an hour.
	CreatedZero bool

	HeadBytes int64         // samples in memory before the head is cut; 0 means 256 MiB
	HeadAge   time.Duration // longest time between cuts; 0 means 1 hour
	MaxWAL    int64         // size of the whole log that makes this store cut early; 0 means 1 GiB

	// StopFlush is how long the flush at a stop may take before it is left to the next
	// start, which replays the log; 0 means 10 s.
	StopFlush time.Duration

	// BlockCache is the memory for decompressed blocks of parts, kept between queries; 0
	// means 32 MiB.
	BlockCache int64

	Every      time.Duration    // between looks for merges and retention; 0 means 5 s
	Logger     *slog.Logger     // nil discards
	Now        func() time.Time // nil means time.Now
	Registerer prometheus.Registerer
}

// Limits bounds what one tenant may write. A zero field is its default; negative is no
// limit.
type Limits struct {
	ActiveSeries    int // series in the head; 0 means 3 million
	LabelsPerSeries int // 0 means 100
	LabelNameLen    int // bytes; 0 means 1,024
	LabelValueLen   int // bytes; 0 means 8,192
}

func (l Limits) withDefaults() Limits {
	l.ActiveSeries = cmp.Or(l.ActiveSeries, 3_000_000)
	l.LabelsPerSeries = cmp.Or(l.LabelsPerSeries, 100)
	l.LabelNameLen = cmp.Or(l.LabelNameLen, 1024)
	l.LabelValueLen = cmp.Or(l.LabelValueLen, 8192)
	return l
}

func (o Options) withDefaults() Options {
	o.MaxFuture = cmp.Or(o.MaxFuture, 10*time.Minute)
	o.HeadBytes = cmp.Or(o.HeadBytes, 256<<20)
	o.BlockCache = cmp.Or(o.BlockCache, 32<<20)
	o.StopFlush = cmp.Or(o.StopFlush, 10*time.Second)
	o.HeadAge = cmp.Or(o.HeadAge, time.Hour)
	o.MaxWAL = cmp.Or(o.MaxWAL, 1<<30)
	if o.Retention == nil {
		o.Retention = func(model.Tenant) time.Duration { return 0 }
	}
	if o.Limits == nil {
		o.Limits = func(model.Tenant) Limits { return Limits{} }
	}
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
	for _, x := range []struct {
		name string
		v    int64
	}{
		{"future window", int64(o.MaxFuture)},
		{"head size", o.HeadBytes},
		{"head age", int64(o.HeadAge)},
		{"log size", o.MaxWAL},
		{"merge interval", int64(o.Every)},
		{"time of the last flush", int64(o.StopFlush)},
	} {
		if x.v < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", x.name))
		}
	}
	errs = append(errs, checkTiers(o.Tiers))
	return errors.Join(errs...)
}
