package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pharos-o11y/pharos/internal/app"
	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/telemetry"
)

// serverFlags override the configuration file.
type serverFlags struct {
	Config   string `help:"YAML configuration file (reference: pharos config docs)." type:"path" placeholder:"FILE"`
	Data     string `help:"Directory of the data (default: ./data)." placeholder:"DIR"`
	Listen   string `help:"Address of UI and APIs (default: 127.0.0.1:4319)." placeholder:"HOST:PORT"`
	OTLPGRPC string `name:"otlp-grpc" help:"Address of OTLP over gRPC (default: 127.0.0.1:4317)." placeholder:"HOST:PORT"`
	OTLPHTTP string `name:"otlp-http" help:"Address of OTLP over HTTP (default: 127.0.0.1:4318)." placeholder:"HOST:PORT"`
	LogLevel string `help:"debug, info, warn or error (default: info)." placeholder:"LEVEL"`
}

// load reads the file and applies the flags.
func (f *serverFlags) load() (*config.Config, error) {
	cfg, err := loadConfig(f.Config)
	if err != nil {
		return nil, err
	}
	for _, o := range []struct {
		flag string
		dst  *string
	}{{f.Data, &cfg.Data}, {f.Listen, &cfg.Listen}, {f.OTLPGRPC, &cfg.OTLP.GRPC}, {f.OTLPHTTP, &cfg.OTLP.HTTP}, {f.LogLevel, &cfg.Log.Level}} {
		if o.flag != "" {
			*o.dst = o.flag
		}
	}
	return cfg, cfg.Check()
}

type serveCmd struct{ serverFlags }

// Run serves until a signal ends it.
func (c *serveCmd) Run(ctx context.Context, s streams) error {
	return serve(ctx, s, &c.serverFlags, false)
}

// stopWithin bounds a stop; a second signal ends it at once.
const stopWithin = 30 * time.Second

func serve(ctx context.Context, s streams, flags *serverFlags, demo bool) error {
	cfg, err := flags.load()
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(s.err, cfg.Log.Level, cfg.Log.Format)
	a, err := app.New(ctx, app.Options{Config: cfg, Version: version, Logger: logger, Demo: demo})
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	a.OnReload(hup, flags.load)
	end := context.AfterFunc(ctx, func() {
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		select {
		case <-again:
		case <-time.After(stopWithin):
		}
		fmt.Fprintln(s.err, "pharos: the stop took too long; the write-ahead log has everything that was acknowledged")
		os.Exit(1)
	})
	defer end()
	return a.Run(ctx)
}
