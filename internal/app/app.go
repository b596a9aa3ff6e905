// Package app is the composition root: it opens the stores, builds everything on top of
// them and runs it. It is a straight list of constructors and the only package that may
// import all others. Tests run the whole server in process through it.
//
// Order matters twice. Opening replays the write-ahead log before anything can write.
// Stopping goes backwards through the list of [App.Run], so that what produces data stops
// before what keeps it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/dashboard"
	"github.com/pharos-o11y/pharos/internal/demo"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/ingest/derive"
	"github.com/pharos-o11y/pharos/internal/ingest/meter"
	"github.com/pharos-o11y/pharos/internal/logstore"
	"github.com/pharos-o11y/pharos/internal/meta"
	"github.com/pharos-o11y/pharos/internal/metricstore"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/pipeline"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/run"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/telemetry"
	"github.com/pharos-o11y/pharos/internal/tracestore"
)

// Options configures an App. Config is required.
type Options struct {
	Config  *config.Config
	Version string
	Logger  *slog.Logger // nil discards
	Demo    bool         // run the synthetic shop as well
}

// App is the whole server.
type App struct {
	version string
	logger  *slog.Logger
	reg     *prometheus.Registry
	cfg     atomic.Pointer[config.Config]
	tenancy api.Tenancy
	now     func() time.Time

	wal       *wal.Log
	metrics   *metricstore.Store
	logs      *logstore.Store
	logLimits atomic.Pointer[logLimits]
	traces    *tracestore.Store
	meter     *meter.Meter
	answers   *promql.Cache      // nil: none are kept
	samples   store.MetricWriter // of the metric store, watched by answers
	derive    *derive.Processor
	pipeline  *pipeline.Pipeline
	door      *query.Door
	tracing   *telemetry.Tracing
	shop      *demo.Shop
	meta      *meta.DB
	library   *dashboard.Library

	listeners []net.Listener
	ready     atomic.Bool

	reloadMu sync.Mutex
	reload   func() (*config.Config, error) // guarded by reloadMu; nil: nothing to reload from
	hup      <-chan os.Signal
}

// New opens the stores, replays the log, binds the listeners and builds the rest. It
// starts nothing but the listeners' queues. What it has opened is closed again when it
// fails.
func New(ctx context.Context, opts Options) (_ *App, err error) {
	a := &App{version: opts.Version, logger: opts.Logger, reg: prometheus.NewRegistry(), now: time.Now}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	cfg := opts.Config
	a.cfg.Store(cfg)
	a.tenancy = api.Tenancy{Enabled: cfg.Tenancy.Enabled}
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close(ctx))
		}
	}()
	limit := a.limitMemory(cfg)
	limits, err := newLogLimits(cfg)
	if err != nil {
		return nil, err
	}
	a.logLimits.Store(limits)
	if err := a.openStores(ctx, cfg, limit); err != nil {
		return nil, err
	}
	if err := (&snapshots{a: a}).sweep(); err != nil {
		a.logger.Warn("unfinished snapshots stay", "err", err)
	}
	if err := a.openLibrary(ctx, cfg); err != nil {
		return nil, err
	}
	a.meter = meter.New(a.reg, nil)
	a.meter.BoundTenants(cfg.Limits.MaxTenants, slices.Concat(a.metrics.Tenants(), a.logs.Tenants(), a.traces.Tenants())...)
	if a.derive, err = derive.New(a.deriveOptions(cfg)); err != nil {
		return nil, err
	}
	a.door = query.New(a.queryOptions(cfg, limit))
	if err := a.buildPipeline(ctx, cfg); err != nil {
		return nil, err
	}
	if cfg.Telemetry.Traces {
		if a.tracing, err = telemetry.NewTracing(ctx, cfg.OTLP.GRPC, a.version); err != nil {
			return nil, err
		}
	}
	if err := a.listen(ctx, cfg); err != nil {
		return nil, err
	}
	if opts.Demo {
		a.shop = demo.New(demo.Options{GRPCEndpoint: cfg.OTLP.GRPC, LokiURL: "http://" + a.Addr(), Logger: a.logger})
	}
	return a, nil
}

// gcPercent is what GOGC is if the environment does not say: a tenth less CPU for ingest
// than Go's 100, for a tenth more memory. The limit holds all the same.
const gcPercent = 150

// limitMemory sets the Go runtime's memory limit and returns it.
func (a *App) limitMemory(cfg *config.Config) int64 {
	const share = 0.8 // of the cgroup or machine
	if set := debug.SetGCPercent(gcPercent); set != 100 {
		debug.SetGCPercent(set) // the environment says so
	}
	if l := int64(cfg.Memory.Limit); l > 0 {
		debug.SetMemoryLimit(l)
		return l
	}
	_, err := memlimit.SetGoMemLimitWithOpts(memlimit.WithRatio(share),
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)))
	if err != nil {
		a.logger.Warn("memory limit is unknown; set memory.limit", "err", err)
	}
	return debug.SetMemoryLimit(-1)
}

// openStores opens the log and the three stores and replays the one into the others.
func (a *App) openStores(ctx context.Context, cfg *config.Config, limit int64) error {
	begin := time.Now()
	var err error
	a.wal, err = wal.Open(filepath.Join(cfg.Data, "wal"), wal.Options{
		SegmentSize: int64(cfg.WAL.SegmentSize), Interval: time.Duration(cfg.WAL.Interval), MinFree: int64(cfg.WAL.MinFree),
		Sync: syncMode(cfg.WAL.Sync), Logger: a.logger, Registerer: a.reg,
	})
	if err != nil {
		return err
	}
	if a.metrics, err = metricstore.Open(filepath.Join(cfg.Data, model.Metrics.String()), a.wal, a.metricOptions(cfg, limit)); err != nil {
		return err
	}
	a.samples = a.metrics
	if n := int64(cfg.Query.ResultCache); n > 0 {
		a.answers = promql.NewCache(promql.CacheOptions{MaxBytes: n, Registerer: a.reg})
		a.samples = a.answers.Watch(a.metrics)
	}
	if a.logs, err = logstore.Open(filepath.Join(cfg.Data, model.Logs.String()), a.wal, a.logOptions(cfg, limit)); err != nil {
		return err
	}
	traceOptions, err := a.traceOptions(cfg, limit)
	if err != nil {
		return err
	}
	if a.traces, err = tracestore.Open(filepath.Join(cfg.Data, model.Traces.String()), a.wal, traceOptions); err != nil {
		return err
	}
	type replayer struct {
		covered func() wal.Pos
		replay  func(wal.Record) error
	}
	stores := map[model.Signal]replayer{
		model.Metrics: {a.metrics.Covered, a.metrics.Replay},
		model.Logs:    {a.logs.Covered, a.logs.Replay},
		model.Traces:  {a.traces.Covered, a.traces.Replay},
	}
	records := 0
	err = a.wal.Replay(ctx, func(s model.Signal) wal.Pos { return stores[s].covered() }, func(r wal.Record) error {
		st, ok := stores[r.Signal]
		if !ok {
			return fmt.Errorf("record of unknown signal %s", r.Signal)
		}
		records++
		return st.replay(r)
	})
	if err != nil {
		return err
	}
	a.logger.Info("stores are open", "data", cfg.Data, "replayed_records", records, "took", time.Since(begin).Round(time.Millisecond).String())
	return nil
}

func syncMode(s string) wal.SyncMode {
	if s == "interval" {
		return wal.SyncInterval
	}
	return wal.SyncCommit
}

// Addr returns the address of the UI and APIs.
func (a *App) Addr() string { return a.listeners[0].Addr().String() }

// Run runs the server until ctx is done, then stops it in order: what sends data first,
// then what answers, then the stores, which flush their heads, then the log.
func (a *App) Run(ctx context.Context) error {
	var g run.Group
	g.Add("wal", a.wal.Run)
	g.Add("metrics", a.metrics.Run)
	g.Add("logs", a.logs.Run)
	g.Add("traces", a.traces.Run)
	g.Add("derive", a.derive.Run)
	g.Add("dashboards", a.library.Run)
	g.Add("pipeline", a.pipeline.Run)
	if a.tracing != nil {
		g.Add("tracing", a.tracing.Run)
	}
	handler, limit := a.handler(), requestTime(a.cfg.Load())
	for i, l := range a.listeners {
		handler := handler
		if _, port, _ := net.SplitHostPort(l.Addr().String()); i > 0 && port == portJaeger {
			handler = underJaeger(handler)
		}
		g.Add("http "+l.Addr().String(), func(ctx context.Context) error { return serveHTTP(ctx, l, handler, limit) })
	}
	g.Add("reload", a.watchReload)
	if a.shop != nil {
		g.Add("demo", a.shop.Run)
	}
	g.Add("ready", func(ctx context.Context) error {
		select {
		case <-a.pipeline.Ready():
		case <-ctx.Done():
			return nil
		}
		a.ready.Store(true)
		giveBackBinary()
		a.logger.Info("ready", "url", "http://"+a.Addr(), "version", a.version)
		<-ctx.Done()
		a.ready.Store(false)
		return nil
	})
	err := g.Run(ctx)
	return errors.Join(err, a.close(context.WithoutCancel(ctx)))
}

// close closes whatever is open, in reverse order of opening.
func (a *App) close(ctx context.Context) error {
	var errs []error
	for _, l := range a.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.meta != nil {
		errs = append(errs, a.meta.Close())
	}
	if a.traces != nil {
		errs = append(errs, a.traces.Close())
	}
	if a.logs != nil {
		errs = append(errs, a.logs.Close())
	}
	if a.metrics != nil {
		errs = append(errs, a.metrics.Close())
	}
	if a.wal != nil {
		errs = append(errs, a.wal.Close(ctx))
	}
	return errors.Join(errs...)
}

// Reload puts cfg in force as far as that is possible while running: retention, the
// limits of logs and the pipeline. Other changes are named in the log and wait for a
// restart. On an error nothing has changed.
func (a *App) Reload(ctx context.Context, cfg *config.Config) error {
	old := a.cfg.Load()
	before, err := old.Pipeline.YAML()
	if err != nil {
		return err
	}
	text, err := cfg.Pipeline.YAML()
	if err != nil {
		return err
	}
	limits, err := newLogLimits(cfg)
	if err != nil {
		return err
	}
	if text != before {
		if err := a.pipeline.Reload(ctx, text); err != nil {
			return fmt.Errorf("reload: nothing has changed: %w", err)
		}
	}
	next := *old
	next.Retention, next.Pipeline = cfg.Retention, cfg.Pipeline
	next.Logs.Limits, next.Logs.Tenants = cfg.Logs.Limits, cfg.Logs.Tenants
	a.cfg.Store(&next)
	a.logLimits.Store(limits)
	if keys := config.Changed(&next, cfg); len(keys) > 0 {
		a.logger.Warn("these changes need a restart", "keys", keys)
	}
	a.logger.Info("configuration reloaded")
	return nil
}

// OnReload says where a new configuration comes from: load is called on every signal of
// hup and on POST /-/reload. Call it before Run.
func (a *App) OnReload(hup <-chan os.Signal, load func() (*config.Config, error)) {
	a.reloadMu.Lock()
	defer a.reloadMu.Unlock()
	a.hup, a.reload = hup, load
}

// reloadNow loads and applies the configuration.
func (a *App) reloadNow(ctx context.Context) error {
	a.reloadMu.Lock()
	defer a.reloadMu.Unlock()
	if a.reload == nil {
		return errors.New("there is no configuration file to reload")
	}
	cfg, err := a.reload()
	if err != nil {
		return fmt.Errorf("reload: nothing has changed: %w", err)
	}
	return a.Reload(ctx, cfg)
}

func (a *App) watchReload(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.hup:
			if err := a.reloadNow(ctx); err != nil {
				a.logger.Error("reload", "err", err)
			}
		}
	}
}
