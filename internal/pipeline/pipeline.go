// Package pipeline runs the OpenTelemetry Collector inside the process: receivers,
// processors, connectors and exporters as a standard Collector configuration wires them.
//
//	receivers (otlp, prometheus, ...) -> processors -> exporter pharos -> Sink
//
// The exporter pharos is ours: it hands data to a [Sink] synchronously, so that without a
// batch processor in between a client's acknowledgement means durable. The tenant comes
// from the request's X-Scope-OrgID. What the Sink refuses of a request is a partial
// success that names reasons and counts (partial.go), or a permanent error where the
// protocol has no such answer; overload is a retryable one.
//
// Where a pipeline is nothing but a wire from an OTLP receiver to the exporter pharos,
// requests do not go through the Collector: they are written as they were sent, and
// answered and counted as the receiver would (direct.go). Nobody can tell, but by the CPU.
//
// A configuration goes through three steps before anything starts: complete (config.go)
// turns a fragment into a whole configuration, check (check.go) finds the mistakes that
// people make and says what to write instead, and the Collector's own validation builds
// every component. [Pipeline.Reload] does the same, so a bad file changes nothing.
//
// To add a component, add its factory to components.go. This package and nothing else
// imports the Collector.
package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/service"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Sink takes what comes out of the pipelines: a body is OTLP's protobuf, an
// Export*ServiceRequest (which is MetricsData, LogsData or TracesData, too). Its methods
// are safe for concurrent use, only read body, and not after they return. They return how
// many data points, records or spans they read, stored or not. Their error is nil only when
// all of it is durable; otherwise it is a *store.Refused for what is refused for good (the
// rest is stored), or an error when nothing was stored: one that wraps model.ErrMalformed
// for what is no such message, store.ErrOverloaded or store.ErrReadOnly for what is worth
// another try.
type Sink interface {
	WriteMetrics(ctx context.Context, tenant model.Tenant, body []byte) (items int, err error)
	WriteLogs(ctx context.Context, tenant model.Tenant, body []byte) (items int, err error)
	WriteTraces(ctx context.Context, tenant model.Tenant, body []byte) (items int, err error)
}

// Where the OTLP receiver of the default configuration listens.
const (
	DefaultGRPC = "127.0.0.1:4317"
	DefaultHTTP = "127.0.0.1:4318"
)

// Options configures a Pipeline. Sink is required.
type Options struct {
	Sink Sink

	// Config is the Collector configuration as YAML, or a fragment of one, see
	// [Complete]. Empty means OTLP receivers at the two addresses below and the
	// exporter pharos.
	Config   string
	OTLPGRPC string // listen address of the default configuration; "" means DefaultGRPC, "none" none
	OTLPHTTP string // listen address of the default configuration; "" means DefaultHTTP, "none" none
	Compat   string // host on whose usual ports Jaeger's and Zipkin's clients are served, too; "" serves none

	// Tenant decides whose data a request carries that names tenant id ("" if it names
	// none). Nil means id, or the default tenant.
	Tenant func(ctx context.Context, id string) (model.Tenant, error)

	Version    string                // of Pharos, told to components
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // the Collector's own metrics; nil counts nowhere
}

// Pipeline is a Collector. Run starts it; the other methods are safe for concurrent use.
type Pipeline struct {
	opts    Options
	metrics *metrics
	self    *selfMetrics

	sockets string // directory of the sockets of watchScrapes

	reloads chan reload
	ready   chan struct{}
	running atomic.Pointer[loaded]
	once    sync.Once
}

// reload asks Run to replace the configuration.
type reload struct {
	config string
	done   chan error
}

// New checks the configuration and returns a Pipeline that Run can start.
func New(ctx context.Context, opts Options) (*Pipeline, error) {
	if opts.Sink == nil {
		return nil, errors.New("new pipeline: no sink")
	}
	if opts.OTLPGRPC == "" {
		opts.OTLPGRPC = DefaultGRPC
	}
	if opts.OTLPHTTP == "" {
		opts.OTLPHTTP = DefaultHTTP
	}
	if opts.Tenant == nil {
		opts.Tenant = func(_ context.Context, id string) (model.Tenant, error) {
			if id == "" {
				return model.DefaultTenant, nil
			}
			return model.ParseTenant(id)
		}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pipeline{
		opts: opts, reloads: make(chan reload), ready: make(chan struct{}),
		sockets: filepath.Join(os.TempDir(), "pharos-"+rand.Text()),
		metrics: newMetrics(opts.Registerer), self: newSelfMetrics(opts.Registerer),
	}
	if err := p.Validate(ctx, opts.Config); err != nil {
		return nil, err
	}
	return p, nil
}

// Validate reports what is wrong with a configuration. It builds every component and
// starts none.
func (p *Pipeline) Validate(ctx context.Context, config string) error {
	l, err := p.load(ctx, config)
	if err != nil {
		return err
	}
	if err := service.Validate(ctx, l.settings, service.Config{Pipelines: l.config.Service.Pipelines}); err != nil {
		return fmt.Errorf("pipeline: %w", explain(err))
	}
	return nil
}

// Check reports what is wrong with a configuration, without a Pipeline: for a program
// that only checks files.
func Check(ctx context.Context, config string) error {
	p := &Pipeline{opts: Options{OTLPGRPC: DefaultGRPC, OTLPHTTP: DefaultHTTP}, self: newSelfMetrics(nil)}
	return p.Validate(ctx, config)
}

// Ready is closed once the Collector has started for the first time.
func (p *Pipeline) Ready() <-chan struct{} { return p.ready }

// Run starts the Collector and keeps it running until ctx is done or a component fails
// for good. It stops receivers first, so that what is in the pipelines is written.
func (p *Pipeline) Run(ctx context.Context) error {
	return errors.Join(p.run(ctx), os.RemoveAll(p.sockets))
}

func (p *Pipeline) run(ctx context.Context) error {
	config := p.opts.Config
	async := make(chan error, 16) // components report fatal errors here
	srv, err := p.start(ctx, config, async)
	if err != nil {
		return err
	}
	p.once.Do(func() { close(p.ready) })
	for {
		select {
		case <-ctx.Done():
			return p.stop(ctx, srv)
		case err := <-async:
			return errors.Join(fmt.Errorf("pipeline: a component failed: %w", err), p.stop(ctx, srv))
		case r := <-p.reloads:
			next, err := p.replace(ctx, srv, config, r.config, async)
			p.metrics.reloaded(err)
			r.done <- err
			if next == nil {
				return fmt.Errorf("pipeline: the previous configuration does not start again: %w", err)
			}
			if srv = next; err == nil {
				config = r.config
			}
		}
	}
}

// Reload replaces the configuration of a running Pipeline. When the new one is bad or
// does not start, the old one runs on, and the error says why.
func (p *Pipeline) Reload(ctx context.Context, config string) error {
	if err := p.Validate(ctx, config); err != nil {
		p.metrics.reloaded(err)
		return err
	}
	r := reload{config, make(chan error, 1)}
	select {
	case p.reloads <- r:
	case <-ctx.Done():
		return fmt.Errorf("reload pipeline: %w", ctx.Err())
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("reload pipeline: %w", ctx.Err())
	}
}

// replace stops srv and starts next. If that fails it starts the old configuration
// again; if that fails too it returns no service.
func (p *Pipeline) replace(ctx context.Context, srv *service.Service, old, next string, async chan error) (*service.Service, error) {
	if err := p.stop(ctx, srv); err != nil {
		p.opts.Logger.Warn("the old pipeline did not stop cleanly", "error", err)
	}
	srv, err := p.start(ctx, next, async)
	if err == nil {
		return srv, nil
	}
	srv, again := p.start(ctx, old, async)
	if again != nil {
		return nil, errors.Join(err, again)
	}
	return srv, fmt.Errorf("%w (the previous configuration runs on)", err)
}

// start builds and starts a Collector service.
func (p *Pipeline) start(ctx context.Context, config string, async chan error) (*service.Service, error) {
	ctx = context.WithoutCancel(ctx) // components outlive the call that starts them
	l, err := p.load(ctx, config)
	if err != nil {
		return nil, err
	}
	if l.scrapes {
		if err := os.MkdirAll(p.sockets, 0o700); err != nil {
			return nil, fmt.Errorf("pipeline: make directory of sockets: %w", err)
		}
	}
	l.settings.AsyncErrorChannel = async
	srv, err := service.New(ctx, l.settings, l.config.Service)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", explain(err))
	}
	if err := srv.Start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start pipeline: %w", err), srv.Shutdown(ctx))
	}
	p.running.Store(l)
	return srv, nil
}

func (p *Pipeline) stop(ctx context.Context, srv *service.Service) error {
	p.running.Store(nil)
	if err := srv.Shutdown(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("stop pipeline: %w", err)
	}
	return nil
}

// loaded is a configuration that was read and checked, ready to build a service from.
// Components may change their part of it: load afresh for each start.
type loaded struct {
	config   *otelcol.Config
	settings service.Settings
	scrapes  bool // a receiver listens on a socket of watchScrapes
}

// load reads a configuration: complete, check, expand variables, decode, validate.
func (p *Pipeline) load(ctx context.Context, text string) (*loaded, error) {
	conf, err := Complete(text, p.opts.OTLPGRPC, p.opts.OTLPHTTP, p.opts.Compat)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	if err := check(conf); err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	setDefaults(conf)
	extendReceivers(conf)
	scrapes := watchScrapes(conf, p.sockets)
	var direct map[component.ID]*directReceiver
	f, err := p.factories(func(id component.ID) *directReceiver { return direct[id] })
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	cfg, err := decode(ctx, conf, f)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", explain(err))
	}
	direct = p.directReceivers(cfg)
	return &loaded{config: cfg, scrapes: scrapes, settings: service.Settings{
		BuildInfo:        component.BuildInfo{Command: "pharos", Description: "Pharos", Version: p.opts.Version},
		ReceiversConfigs: cfg.Receivers, ReceiversFactories: f.Receivers,
		ProcessorsConfigs: cfg.Processors, ProcessorsFactories: f.Processors,
		ExportersConfigs: cfg.Exporters, ExportersFactories: f.Exporters,
		ConnectorsConfigs: cfg.Connectors, ConnectorsFactories: f.Connectors,
		ExtensionsConfigs: cfg.Extensions, ExtensionsFactories: f.Extensions,
		TelemetryFactory: f.Telemetry,
	}}, nil
}
