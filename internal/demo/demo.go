// Package demo is a small web shop that does not exist but sends real telemetry.
//
// Nine services, three databases and a queue are simulated one request at a time: a
// request is first planned as a tree of operations with virtual times (plan.go,
// scenes.go), then played through the OpenTelemetry SDKs of the services it crosses
// (play.go, service.go), which yields spans, metrics with exemplars and logs that agree
// with each other. Nothing sleeps inside a request, so a shop of 30 requests a second
// costs a few milliseconds of CPU a second.
//
//	plan -> play -> SDK -> one OTLP batch a tick    (export.go)
//	              \-> log files -> Loki push        (loki.go)
//
// The clock is an argument everywhere, so the same code writes the history that the shop
// has when it opens and the present. History is sampled: all of it is in the metrics,
// every error and slow request and one in ten of the others in traces and logs.
//
// The package knows the shop only by its wire protocols and imports no other package of
// Pharos. To add a service, add a row to the table in service.go; to add a kind of
// request, add a scene to the table in scenes.go.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options configures a Shop. The zero value sends to the default ports of this machine.
type Options struct {
	GRPCEndpoint string           // host:port of the OTLP gRPC receiver; empty means 127.0.0.1:4317
	LokiURL      string           // base URL of a Loki push API, e.g. http://127.0.0.1:4319; empty sends no log files
	Logger       *slog.Logger     // nil discards
	Seed         uint64           // of all randomness; 0 means a new one each time
	Now          func() time.Time // nil means time.Now; tests replace it
	History      time.Duration    // what the shop claims to have done before it opened; 0 means 15 minutes, negative none
	Tick         time.Duration    // between batches of spans and logs; 0 means 1 s
	MetricEvery  time.Duration    // between collections of metrics; 0 means 5 s
}

func (o Options) withDefaults() Options {
	if o.GRPCEndpoint == "" {
		o.GRPCEndpoint = "127.0.0.1:4317"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Seed == 0 {
		o.Seed = uint64(o.Now().UnixNano())
	}
	if o.History == 0 {
		o.History = 15 * time.Minute
	}
	if o.Tick <= 0 {
		o.Tick = time.Second
	}
	if o.MetricEvery <= 0 {
		o.MetricEvery = 5 * time.Second
	}
	return o
}

// historyStep is the distance of two samples of one series in the history.
const historyStep = 15 * time.Second

// historyShare is the share of ordinary requests of the history whose spans and logs are
// kept.
const historyShare = 0.1

// The past incident: history holds one, so that there is something to find at once.
const (
	incidentFrom = 9 * time.Minute // before opening
	incidentTo   = 6 * time.Minute
)

// Shop is the simulated shop. Create it with [New] and open it with [Shop.Run].
type Shop struct {
	opts   Options
	fault  atomic.Bool
	ran    atomic.Bool
	rng    *rand.Rand
	keep   float64 // share of ordinary requests that are traced now
	faulty bool    // the fault as seen by the simulation at this instant
	state  business
	svcs   []*service
	out    *exporter
	files  *lokiClient
}

// ErrRan is returned by a second [Shop.Run].
var ErrRan = errors.New("shop was already run")

// New prepares a shop. It sends nothing and starts nothing: that is [Shop.Run].
func New(opts Options) *Shop {
	opts = opts.withDefaults()
	return &Shop{opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0x9e3779b97f4a7c15)), keep: 1}
}

// SetFault switches the fault on or off: the database of the payment service becomes
// slow, payments time out, and checkouts fail. It is safe for concurrent use.
func (s *Shop) SetFault(on bool) { s.fault.Store(on) }

// Fault reports whether the fault is switched on.
func (s *Shop) Fault() bool { return s.fault.Load() }

// Run sends the history, then the present until ctx is done. A receiver that is down or
// refuses is retried on the next tick; it ends nothing.
func (s *Shop) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return ErrRan
	}
	out, err := newExporter(ctx, s.opts)
	if err != nil {
		return fmt.Errorf("open shop: %w", err)
	}
	s.out = out
	if s.opts.LokiURL != "" {
		s.files = newLokiClient(s.opts.LokiURL)
	}
	s.svcs = newServices(s, s.rng)
	defer out.close()

	opened := s.opts.Now()
	from := opened.Add(-max(0, s.opts.History))
	s.state.reset()
	if err := s.history(ctx, from, opened); err != nil {
		return err
	}
	s.opts.Logger.InfoContext(ctx, "demo shop is open",
		slog.Int("services", len(s.svcs)), slog.String("took", s.opts.Now().Sub(opened).Round(time.Millisecond).String()))
	return s.present(ctx, opened)
}

// history plays the time from up to opened in large steps, then sends it: the steps of a
// service in order, the services side by side, so that few round trips pass one after the
// other. What the receiver does not take is tried again, so that a shop opened before its
// receiver loses nothing.
func (s *Shop) history(ctx context.Context, from, opened time.Time) error {
	s.keep = historyShare
	defer func() { s.keep = 1 }()
	for at := from; at.Before(opened); {
		next := at.Add(historyStep)
		if next.After(opened) {
			next = opened
		}
		ago := opened.Sub(next)
		s.faulty = incidentTo <= ago && ago < incidentFrom
		s.simulate(ctx, at, next)
		s.observe(ctx)
		if err := s.out.collect(ctx, s.svcs, next); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		at = next
	}
	for {
		err := s.send(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		s.opts.Logger.WarnContext(ctx, "demo history not accepted yet, trying again", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.opts.Tick):
		}
	}
}

// present plays real time until ctx is done.
func (s *Shop) present(ctx context.Context, at time.Time) error {
	tick := time.NewTicker(s.opts.Tick)
	defer tick.Stop()
	collected, down := at, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := s.opts.Now()
		if !now.After(at) { // the clock went back: wait until it has caught up
			continue
		}
		if now.Sub(at) > time.Minute { // the machine slept: no customers came
			at = now.Add(-s.opts.Tick)
		}
		s.faulty = s.fault.Load()
		s.simulate(ctx, at, now)
		at = now
		if now.Sub(collected) >= s.opts.MetricEvery {
			collected = now
			s.observe(ctx)
			if err := s.out.collect(ctx, s.svcs, now); err != nil && ctx.Err() == nil {
				return err
			}
		}
		err := s.send(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if (err != nil) != down {
			down = err != nil
			if down {
				s.opts.Logger.WarnContext(ctx, "demo telemetry not accepted, going on", slog.Any("error", err))
			} else {
				s.opts.Logger.InfoContext(ctx, "demo telemetry accepted again")
			}
		}
	}
}

// send sends what the simulation has produced, all signals at once. What is not accepted
// stays for the next time.
func (s *Shop) send(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return s.out.send(ctx) })
	if s.files != nil {
		g.Go(func() error { return s.files.flush(ctx) })
	}
	return g.Wait()
}
