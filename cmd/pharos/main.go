// Command pharos is a whole observability backend in one binary: it receives, stores,
// queries and shows metrics, logs and traces. Each subcommand is a file of its own; the
// struct below is the table of them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

// cli is the table of subcommands.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Demo       demoCmd       `cmd:"" help:"Run the server with a synthetic shop that sends it telemetry."`
	Query      queryCmd      `cmd:"" help:"Ask a running server in PromQL."`
	Logs       logsCmd       `cmd:"" help:"Ask a running server for logs in LogQL, or follow them."`
	Traces     tracesCmd     `cmd:"" help:"Search the traces of a running server with TraceQL."`
	Trace      traceCmd      `cmd:"" help:"Show a trace of a running server."`
	Dashboards dashboardsCmd `cmd:"" help:"Import, export and list dashboards of a running server."`
	Config     configCmd     `cmd:"" help:"Check, print or document the configuration."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// streams is where a subcommand reads and writes.
type streams struct {
	out, err io.Writer
}

func main() { os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr})) }

// run parses args and runs the subcommand; it returns the exit status.
func run(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("pharos"), kong.UsageOnError(), kong.Writers(s.out, s.err),
		kong.Description("Metrics, logs and traces in one binary."),
		kong.Exit(func(code int) { exit = code }),
		kong.Bind(s), kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(s.err, "pharos:", err)
		return 2
	}
	k, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		fmt.Fprintln(s.err, "pharos:", err)
		return 2
	}
	if err := k.Run(); err != nil {
		fmt.Fprintln(s.err, "pharos:", err)
		return 1
	}
	return 0
}
