package main

import (
	"context"
	"fmt"
	"os"

	"github.com/pharos-o11y/pharos/internal/app"
	"github.com/pharos-o11y/pharos/internal/config"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check a configuration file, its pipeline included, and say what is wrong."`
	Print configPrintCmd `cmd:"" help:"Print the configuration in force: the file with all defaults."`
	Docs  configDocsCmd  `cmd:"" help:"Print the reference of all keys as Markdown."`
}

type configCheckCmd struct {
	File string `arg:"" help:"YAML file."`
}

// Run checks the file.
func (c configCheckCmd) Run(ctx context.Context, s streams) error {
	cfg, err := loadConfig(c.File)
	if err != nil {
		return err
	}
	if err := app.CheckPipeline(ctx, cfg); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s is valid\n", c.File)
	return err
}

type configPrintCmd struct {
	File string `arg:"" optional:"" help:"YAML file; without it the defaults are printed."`
}

// Run prints the configuration.
func (c configPrintCmd) Run(s streams) error {
	cfg, err := loadConfig(c.File)
	if err != nil {
		return err
	}
	return config.Print(s.out, cfg)
}

type configDocsCmd struct{}

// Run prints the reference.
func (configDocsCmd) Run(s streams) error { return config.Docs(s.out) }

// loadConfig reads a file, or the defaults if path is "".
func loadConfig(path string) (*config.Config, error) {
	var data []byte
	if path != "" {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
	}
	cfg, err := config.Parse(data, os.LookupEnv)
	if err != nil && path != "" {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, err
}
