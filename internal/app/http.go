package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pharos-o11y/pharos/internal/api/jaeger"
	"github.com/pharos-o11y/pharos/internal/api/loki"
	"github.com/pharos-o11y/pharos/internal/api/native"
	"github.com/pharos-o11y/pharos/internal/api/prom"
	"github.com/pharos-o11y/pharos/internal/api/tempo"
	"github.com/pharos-o11y/pharos/internal/api/webui"
	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/ingest/lokipush"
	"github.com/pharos-o11y/pharos/internal/ingest/remotewrite"
	"github.com/pharos-o11y/pharos/internal/metricsql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/web"
)

// prometheusVersion is the Prometheus whose HTTP API this is: clients choose features
// by it.
const prometheusVersion = "3.14.0"

// compatPorts are where agents of other systems expect them: Prometheus,
// VictoriaMetrics, Loki, Tempo and Jaeger's query service.
func compatPorts() []string { return []string{"9090", "8428", "3100", "3200", portJaeger} }

// portJaeger is where Jaeger's query service has its API at the root.
const portJaeger = "16686"

// compatHost is the host of the compatible ports that receivers listen on, "" if they are
// not wanted.
func compatHost(cfg *config.Config) string {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if !cfg.CompatPorts || err != nil {
		return ""
	}
	return cmp.Or(host, "0.0.0.0")
}

// underJaeger serves h with /jaeger/api at /api.
func underJaeger(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			u := *r.URL
			u.Path = "/jaeger" + u.Path
			if u.RawPath != "" {
				u.RawPath = "/jaeger" + u.RawPath
			}
			r = r.Clone(r.Context())
			r.URL = &u
		}
		h.ServeHTTP(w, r)
	})
}

// listen binds the main address and, if asked for, the compatible ports.
func (a *App) listen(ctx context.Context, cfg *config.Config) error {
	addrs := []string{cfg.Listen}
	if cfg.CompatPorts {
		host, _, err := net.SplitHostPort(cfg.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		for _, port := range compatPorts() {
			addrs = append(addrs, net.JoinHostPort(host, port))
		}
	}
	for _, addr := range addrs {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		a.listeners = append(a.listeners, l)
	}
	if cfg.AllowOpen {
		a.logger.Warn("nothing authenticates clients, and allow_open permits other machines to connect", "listen", cfg.Listen)
	}
	return nil
}

// stopHTTPWithin bounds the wait for requests in progress.
const stopHTTPWithin = 5 * time.Second

// requestTime bounds the time from the first byte of a request to the last of its answer.
// A query that waits in line and runs for as long as it may gets its answer out.
// WebSockets are exempt.
func requestTime(cfg *config.Config) time.Duration {
	return time.Duration(cfg.Query.Timeout) + 90*time.Second
}

// serveHTTP serves h on l until ctx is done. Then requests in progress may finish;
// streams are ended. A client that neither sends nor reads holds nothing for longer than
// limit.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, limit time.Duration) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC of Grafana's Tempo data source
	srv := &http.Server{
		Protocols: &protocols,
		Handler:   h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 20,
		ReadTimeout: limit, WriteTimeout: limit,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(base, stopHTTPWithin)
		defer cancel()
		err := srv.Shutdown(limit)
		if errors.Is(err, context.DeadlineExceeded) {
			end()
			err = srv.Close()
		}
		stopped <- err
	})
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return <-stopped
}

// handler builds the routes of the main address.
func (a *App) handler() http.Handler {
	cfg := a.cfg.Load()
	mux := http.NewServeMux()
	a.ingestRoutes(mux, cfg)
	a.queryRoutes(mux, cfg)
	a.adminRoutes(mux, cfg)
	ui := webui.Handler(web.Dist())
	mux.Handle("/", ui)
	h := webui.Pages(a.dashboardRoutes(mux, cfg), ui, "/services")
	if a.tracing == nil {
		return h
	}
	return a.tracing.Wrap(h)
}

func (a *App) ingestRoutes(mux *http.ServeMux, cfg *config.Config) {
	mux.Handle("POST /api/v1/write", remotewrite.New(a.meter.Metrics(a.samples), remotewrite.Options{
		Tenant: a.tenancy.Of, MaxBytes: int64(cfg.Limits.MaxBody), Refused: a.meter.Refused, Registerer: a.reg,
	}))
	push := lokipush.New(a.meter.Logs(a.logs), lokipush.Options{
		Rules: a.logRules, Blocked: a.blockedStatus, Refused: a.meter.Refused,
		Tenant: a.tenancy.Of, MaxBytes: int64(cfg.Limits.MaxBody), Registerer: a.reg,
	})
	mux.Handle("/loki/api/v1/push", push.Push())
	mux.Handle("/api/prom/push", push.Push())
	mux.Handle("/otlp/v1/logs", push.OTLP())
	otlp := a.pipeline.OTLPHandler()
	for _, signal := range []string{"traces", "metrics", "logs"} {
		mux.Handle("POST /v1/"+signal, otlp)
	}
	mux.Handle("POST /otlp/v1/traces", http.StripPrefix("/otlp", otlp))                    // what other
	mux.Handle("POST /api/otlp/v1/traces", http.StripPrefix("/api/otlp", otlp))            // backends take
	mux.Handle("POST /api/v1/otlp/v1/metrics", http.StripPrefix("/api/v1/otlp", otlp))     // Prometheus' path
	mux.Handle("POST /opentelemetry/v1/metrics", http.StripPrefix("/opentelemetry", otlp)) // VictoriaMetrics'
}

func (a *App) queryRoutes(mux *http.ServeMux, cfg *config.Config) {
	engine := promql.New(promql.Options{
		Lookback: time.Duration(cfg.Query.Lookback), MaxSamples: cfg.Query.MaxSamples, Features: cfg.Query.PromQLFeatures, Logger: a.logger,
	})
	opts := prom.Options{
		Reader: a.metrics, Index: a.metrics, Door: a.door, Tenancy: a.tenancy, Logger: a.logger,
		MetricsQL: metricsql.New(),
		Engine:    engine,
		Cache:     a.answers,
		Writer:    a.meter.Metrics(a.samples),
		Usage:     a.metricUsage,
		MaxBody:   int64(cfg.Limits.MaxBody),
		Build:     prom.BuildInfo{Version: prometheusVersion, Revision: a.version, Branch: "pharos", GoVersion: runtime.Version()},
		Config:    a.configText,
		Targets:   a.targets,
		Flags:     prometheusFlags(cfg),
	}
	if cfg.Admin() {
		opts.Admin, opts.Snapshots = a.metrics, &snapshots{a: a}
	}
	p := prom.New(opts)
	p.Register(mux, "")
	p.Register(mux, "/prometheus")
	loki.New(loki.Options{
		Reader: a.logs, Index: a.logs, Door: a.door, Tenancy: a.tenancy, Logger: a.logger,
		Build: loki.BuildInfo{Revision: a.version}, Config: a.configText, Flush: a.logs.Flush, Deleter: a.logs, Traces: a.findTraces, Limits: a.lokiLimits,
	}).Register(mux, "")
	t := tempo.New(tempo.Options{
		Reader: a.traces, Index: a.traces, Door: a.door, Tenancy: a.tenancy, Logger: a.logger, Revision: a.version,
		MaxBytesPerTrace: int64(cfg.Query.MaxBytesPerTrace), MaxSeries: cfg.Query.MaxTraceQLSeries,
	})
	t.Register(mux, "")
	t.Register(mux, "/tempo")
	jaeger.New(jaeger.Options{
		Reader: a.traces, Index: a.traces, Metrics: a.metrics, Engine: engine, Door: a.door, Tenancy: a.tenancy, Logger: a.logger,
	}).Register(mux, "/jaeger")
	streaming := t.GRPC()
	mux.Handle("POST /tempopb.StreamingQuerier/", streaming)
	mux.Handle("POST /grpc.health.v1.Health/", streaming)
}

// prometheusFlags is the configuration as far as Prometheus has flags for it: clients look
// there for what a server can do.
func prometheusFlags(cfg *config.Config) map[string]string {
	return map[string]string{
		"enable-feature":                   strings.Join(cfg.Query.PromQLFeatures, ","),
		"query.lookback-delta":             cfg.Query.Lookback.String(),
		"query.max-samples":                strconv.Itoa(cfg.Query.MaxSamples),
		"query.timeout":                    cfg.Query.Timeout.String(),
		"storage.tsdb.path":                cfg.Data,
		"storage.tsdb.retention.time":      cfg.Retention.Metrics.String(),
		"web.enable-admin-api":             strconv.FormatBool(cfg.Admin()),
		"web.enable-otlp-receiver":         "true",
		"web.enable-remote-write-receiver": "true",
		"web.listen-address":               cfg.Listen,
	}
}

// configText is the configuration in force, as YAML.
func (a *App) configText() string {
	var b strings.Builder
	if err := config.Print(&b, a.cfg.Load()); err != nil {
		return err.Error()
	}
	return b.String()
}

func (a *App) adminRoutes(mux *http.ServeMux, cfg *config.Config) {
	opts := native.Options{
		Traces: a.traces, Logs: a.logs,
		Door: a.door, Meter: a.meter, Tenancy: a.tenancy, Version: a.version, Logger: a.logger, Warnings: a.warnings,
		Disk: map[model.Signal]func() int64{
			model.Metrics: a.metrics.DiskSize, model.Logs: a.logs.DiskSize, model.Traces: a.traces.DiskSize,
		},
	}
	opts.Retention = func(t model.Tenant, sig model.Signal) time.Duration { return a.retention(sig, t) }
	opts.Space = func() (int64, int64) { return diskSpace(cfg.Data) }
	if a.shop != nil {
		opts.Fault = a.shop
	}
	native.New(opts).Register(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: a.reg}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("Pharos is healthy.\n")) // the client is gone if it fails
	})
	ready := func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			http.Error(w, "Pharos is not ready.", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n")) // the client is gone if it fails
	}
	mux.HandleFunc("GET /-/ready", ready)
	mux.HandleFunc("GET /ready", ready) // Loki's and Tempo's path
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, r *http.Request) {
		if err := a.reloadNow(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	if cfg.Telemetry.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	}
}

// warnings are standing problems that every user should see.
// diskSpace returns the free and all bytes of the disk that dir is on, 0 if unknown.
func diskSpace(dir string) (free, total int64) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize
}

func (a *App) warnings() []string {
	ws := a.wal.Lost()
	if err := a.wal.ReadOnly(); err != nil {
		ws = append(ws, err.Error())
	}
	return ws
}
