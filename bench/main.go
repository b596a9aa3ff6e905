// Command bench measures what Pharos costs beside the servers that people run today.
//
// It makes three workloads that are the same on every machine (gen_*.go), sends each to
// Pharos and to its peers one server at a time over loopback with the real protocols
// (ingest.go), asks every server the same questions (query.go), and reads from /proc what
// the server process spent: user and system time including background merges, peak
// resident memory, bytes on disk after a clean stop (proc.go). The result is a set of
// Markdown tables (report.go). Ratios within one run mean something; absolute figures
// drift with the machine.
//
// Peers are pinned: VictoriaMetrics and VictoriaLogs as tools of this module's go.mod,
// built once into -cache; Prometheus is Debian's package, unpacked into -cache. A peer that
// cannot be had is left out and named in the report.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type config struct {
	pharos, cache, out, work string
	signals, peers           string
	keep                     bool
	repeat                   int
	senders                  int
	write2                   bool
	settle                   time.Duration
	metrics, month           metricLoad
	churn, million           seriesLoad
	otlp                     otlpLoad
	logs                     logLoad
	otelLogs                 otelLogLoad
	spans                    spanLoad
}

func parseFlags() config {
	var c config
	flag.StringVar(&c.pharos, "pharos", "../bin/pharos", "`path` of the Pharos binary; empty runs the peers alone")
	flag.StringVar(&c.cache, "cache", ".bin", "`directory` where peer binaries are built once and kept")
	flag.StringVar(&c.out, "out", "", "Markdown `file` whose section between the bench markers is replaced; empty prints only")
	flag.StringVar(&c.work, "work", "", "`directory` for the data of the servers; empty means a temporary one")
	flag.StringVar(&c.signals, "signals", "metrics,month,otlp,churn,logs,otel-logs,spans", "which workloads to run, a `list`; million (of active series) runs only when it is named")
	flag.StringVar(&c.peers, "peers", "victoria-metrics,prometheus,victoria-logs", "which peers to run, a `list`; empty means Pharos alone")
	flag.BoolVar(&c.keep, "keep", false, "keep the data directories")
	flag.IntVar(&c.repeat, "repeat", 5, "how often each query is asked")
	flag.IntVar(&c.senders, "senders", 4, "concurrent connections that send")
	flag.BoolVar(&c.write2, "remote-write-2", false, "send metrics as remote write 2.0")
	flag.DurationVar(&c.settle, "settle", 90*time.Second, "longest wait for background work to end")
	c.metrics = metricLoad{title: "metrics", every: scrapeEvery}
	c.month = metricLoad{title: month, every: 2 * time.Minute, targets: 4, scrapes: 29 * 24 * 30}
	flag.IntVar(&c.month.series, "month", 50, "month: series of each of 4 targets, for 29 days")
	flag.IntVar(&c.metrics.targets, "targets", 100, "metrics: scrape targets")
	flag.IntVar(&c.metrics.series, "series", 500, "metrics: series of each target")
	flag.IntVar(&c.metrics.scrapes, "scrapes", 120, "metrics: scrapes of each target, 15 s apart")
	flag.IntVar(&c.logs.lines, "log-lines", 2_000_000, "logs: lines, 70% text and 30% JSON")
	flag.IntVar(&c.logs.streams, "log-streams", 200, "logs: streams")
	flag.IntVar(&c.logs.perPush, "log-streams-a-push", 5, "logs: streams in each push of 1,000 lines")
	flag.IntVar(&c.otelLogs.records, "otel-logs", 1_000_000, "otel-logs: log records of 11 attributes")
	flag.IntVar(&c.otelLogs.instances, "otel-logs-instances", 200, "otel-logs: service instances")
	flag.IntVar(&c.spans.spans, "spans", 500_000, "spans: spans of about 20 attributes")
	c.churn = seriesLoad{title: "churn", scrapes: 1, generations: 10}
	flag.IntVar(&c.churn.series, "churn", 50_000, "churn: series in each of 10 scrapes, all new in each")
	c.million = seriesLoad{title: "million", scrapes: 4, generations: 1}
	flag.IntVar(&c.million.series, "active", 1_000_000, "million: active series, four scrapes of them")
	flag.IntVar(&c.otlp.instances, "instances", 500, "otlp: service instances of 100 series")
	flag.IntVar(&c.otlp.scrapes, "exports", 60, "otlp: exports of each instance, 15 s apart")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: go run . [flags]\n\nCompares Pharos with its peers on one machine in one run: CPU, memory and disk of the\nserver process for ingest and queries. With the defaults it takes about 10 minutes.\n\nFlags:\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	return c
}

func main() {
	c := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// commandLine is what to type to do the same again.
func commandLine() string {
	words := []string{"go run ."}
	for _, a := range os.Args[1:] {
		if a == "" {
			a = `""`
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

func run(ctx context.Context, c config) error {
	if c.work == "" {
		dir, err := os.MkdirTemp("", "pharos-bench-")
		if err != nil {
			return err
		}
		c.work = dir
		if !c.keep {
			defer os.RemoveAll(dir)
		}
	}
	rep := &report{started: time.Now(), command: commandLine(), cpus: runtime.NumCPU()}
	servers, err := findServers(ctx, c, rep)
	if err != nil {
		return err
	}
	signals := strings.Split(c.signals, ",")
	for _, load := range []workload{&c.metrics, &c.month, &c.otlp, &c.churn, &c.million, &c.logs, &c.otelLogs, &c.spans} {
		if !slices.Contains(signals, load.name()) {
			continue
		}
		for _, s := range servers {
			if !slices.Contains(s.takes, load.name()) {
				continue
			}
			if err := runOne(ctx, c, s, load, rep); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				rep.note("%s failed on %s: %v", s.name, load.name(), err)
				fmt.Fprintf(os.Stderr, "%s, %s: %v\n", s.name, load.name(), err)
			}
		}
	}
	if slices.Contains(signals, c.spans.name()) {
		bound, err := c.spans.zstdBound(100)
		if err != nil {
			return err
		}
		rep.note("Spans: the same OTLP messages of 1,000 spans, only compressed with zstd, take %.1f bytes a span.", bound)
		if slices.ContainsFunc(servers, func(s server) bool { return s.lang == "logsql" }) {
			rep.note("Spans: VictoriaLogs gets the rows that VictoriaTraces makes of spans (one field an attribute; without its index of trace ids), and searches return rows, not traces.")
		}
	}
	text := rep.markdown()
	fmt.Println(text)
	if c.out != "" {
		return rewrite(c.out, text)
	}
	return nil
}

// runOne sends one workload to one fresh server, asks the queries and stops it.
func runOne(ctx context.Context, c config, s server, load workload, rep *report) (err error) {
	dir := filepath.Join(c.work, s.name+"-"+load.name())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !c.keep {
		defer os.RemoveAll(dir)
	}
	p, err := start(ctx, s, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.kill()) }() // the last one
	idle, err := p.usage()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: sending %s …", s.name, load.name())
	began := time.Now()
	n, raw, err := load.send(ctx, c, p)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	wall := time.Since(began)
	if err := p.quiesce(ctx, c.settle); err != nil {
		return err
	}
	after, err := p.usage()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, " %d in %s, %.1f s CPU; asking …", n, wall.Round(time.Second/10), (after.cpu - idle.cpu).Seconds())
	if err := load.verify(ctx, p, n); err != nil {
		rep.note("%s, %s: %v", s.name, load.name(), err)
		fmt.Fprintf(os.Stderr, " WRONG: %v …", err)
	}
	var stopping time.Duration // what the stop still had to write belongs to the ingest
	if load.name() == month {
		if p, stopping, err = restart(ctx, p, dir); err != nil {
			return fmt.Errorf("restart: %w", err)
		}
	}
	if err := ask(ctx, c, p, load, rep); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	last, err := p.usage()
	if err != nil {
		return err
	}
	if s.seal != "" {
		if err := post(ctx, p.base+s.seal, nil, "", nil); err != nil {
			return fmt.Errorf("seal: %w", err)
		}
	}
	if err := p.stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	data, wal, err := diskBytes(dir, s.sealed)
	if err != nil {
		return err
	}
	rep.ingest = append(rep.ingest, ingestRow{
		load: load.name(), server: s.title, items: n, raw: raw, wall: wall,
		cpu: after.cpu - idle.cpu + stopping + p.total() - last.cpu, rssIngest: after.peak, rss: last.peak, disk: data, wal: wal,
	})
	fmt.Fprintf(os.Stderr, " done: %.1f MB on disk\n", float64(data)/1e6)
	return nil
}

// restart stops a server and starts it again on its data. It returns what the stop cost.
func restart(ctx context.Context, p *proc, dir string) (*proc, time.Duration, error) {
	before, err := p.usage()
	if err != nil {
		return p, 0, err
	}
	if err := p.stop(); err != nil {
		return p, 0, err
	}
	cost := p.total() - before.cpu
	next, err := start(ctx, p.server, dir)
	if err != nil {
		return p, 0, err
	}
	return next, cost, nil
}
