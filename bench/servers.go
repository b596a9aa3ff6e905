package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// server is a product under test.
type server struct {
	name, title string
	binary      string
	takes       []string // workloads
	ready       string   // path that answers 200 once it serves
	flush       []string // paths that make it flush and merge
	seal        string   // path that makes it write what it has into files, asked at the end by POST
	sealed      string   // directory below its data that then holds everything; empty means all of it
	args        func(dir string, ports []string) ([]string, error)

	writePath string // remote write
	otlpPath  string // OTLP metrics over HTTP
	otlpPort  bool   // at a port of its own
	pushPath  string // Loki push
	logsPath  string // path of OTLP logs over HTTP, at the port of otlpPath
	lang      string // of log queries: logql or logsql
}

// findServers makes sure of every binary that the flags ask for.
func findServers(ctx context.Context, c config, rep *report) ([]server, error) {
	cache, err := filepath.Abs(c.cache)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	var list []server
	if c.pharos != "" {
		s, err := pharos(c.pharos)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	peers := map[string]func() (server, error){
		"victoria-metrics": func() (server, error) { return victoriaMetrics(ctx, cache) },
		"victoria-logs":    func() (server, error) { return victoriaLogs(ctx, cache) },
		"prometheus":       func() (server, error) { return prometheus(ctx, cache) },
	}
	for name := range strings.SplitSeq(c.peers, ",") {
		if name == "" {
			continue
		}
		find, ok := peers[name]
		if !ok {
			return nil, fmt.Errorf("unknown peer %q; known are victoria-metrics, victoria-logs, prometheus", name)
		}
		s, err := find()
		if err != nil {
			rep.note("%s left out: %v", name, err)
			fmt.Fprintf(os.Stderr, "%s left out: %v\n", name, err)
			continue
		}
		list = append(list, s)
	}
	return list, nil
}

func pharos(path string) (server, error) {
	bin, err := filepath.Abs(path)
	if err != nil {
		return server{}, err
	}
	if _, err := os.Stat(bin); err != nil {
		return server{}, fmt.Errorf("find Pharos: %w; build it with make build or name it with -pharos", err)
	}
	return server{
		name: "pharos", title: "Pharos", binary: bin, takes: []string{"metrics", "month", "otlp", "churn", "million", "logs", "otel-logs", "spans"}, ready: "/-/ready",
		writePath: "/api/v1/write", otlpPath: "/v1/metrics", otlpPort: true, pushPath: "/loki/api/v1/push", logsPath: "/v1/logs", lang: "logql",
		args: func(dir string, ports []string) ([]string, error) {
			return []string{"serve", "--data", dir, "--listen", ports[0], "--otlp-grpc", ports[1], "--otlp-http", ports[2]}, nil
		},
	}, nil
}

func victoriaMetrics(ctx context.Context, cache string) (server, error) {
	bin, err := buildTool(ctx, cache, "victoria-metrics", "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics")
	return server{
		name: "victoria-metrics", title: "VictoriaMetrics", binary: bin, takes: []string{"metrics", "month", "otlp", "churn", "million"}, ready: "/health",
		writePath: "/api/v1/write", otlpPath: "/opentelemetry/v1/metrics", flush: []string{"/internal/force_flush", "/internal/force_merge"},
		args: func(dir string, ports []string) ([]string, error) {
			return []string{
				"-storageDataPath=" + dir, "-httpListenAddr=" + ports[0], "-retentionPeriod=1y",
				"-search.disableCache", "-search.latencyOffset=0s", "-loggerLevel=WARN",
			}, nil
		},
	}, err
}

func victoriaLogs(ctx context.Context, cache string) (server, error) {
	bin, err := buildTool(ctx, cache, "victoria-logs", "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
	return server{
		name: "victoria-logs", title: "VictoriaLogs", binary: bin, takes: []string{"logs", "otel-logs", "spans"}, ready: "/health",
		pushPath: "/insert/loki/api/v1/push", logsPath: "/insert/opentelemetry/v1/logs", lang: "logsql", flush: []string{"/internal/force_flush", "/internal/force_merge"},
		args: func(dir string, ports []string) ([]string, error) {
			return []string{"-storageDataPath=" + dir, "-httpListenAddr=" + ports[0], "-retentionPeriod=1y", "-loggerLevel=WARN"}, nil
		},
	}, err
}

func prometheus(ctx context.Context, cache string) (server, error) {
	bin, err := debianBinary(ctx, cache, "prometheus", "usr/bin/prometheus")
	return server{
		name: "prometheus", title: "Prometheus (Debian)", binary: bin, takes: []string{"metrics", "churn", "million"}, ready: "/-/ready", writePath: "/api/v1/write",
		// Blocks are cut after two to three hours; a snapshot cuts one now.
		seal: "/api/v1/admin/tsdb/snapshot", sealed: "snapshots",
		args: func(dir string, ports []string) ([]string, error) {
			conf := dir + ".yml"
			if err := os.WriteFile(conf, []byte("global: {}\n"), 0o600); err != nil {
				return nil, err
			}
			return []string{
				"--config.file=" + conf, "--storage.tsdb.path=" + dir, "--web.listen-address=" + ports[0],
				"--web.enable-remote-write-receiver", "--web.enable-admin-api", "--log.level=warn",
			}, nil
		},
	}, err
}

// buildTool builds a tool of this module's go.mod into the cache unless it is there.
func buildTool(ctx context.Context, cache, name, pkg string) (string, error) {
	bin := filepath.Join(cache, name)
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	fmt.Fprintf(os.Stderr, "building %s, once …\n", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %.500s", name, err, out)
	}
	return bin, nil
}

// debianBinary finds a program on the path or takes it out of its Debian package, which is
// unpacked into the cache and not installed, so no service is started.
func debianBinary(ctx context.Context, cache, pkg, file string) (string, error) {
	if path, err := exec.LookPath(filepath.Base(file)); err == nil {
		return path, nil
	}
	dir := filepath.Join(cache, "debian")
	bin := filepath.Join(dir, file)
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	run := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %.300s", name, strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := run("apt-get", "download", pkg); err != nil {
		if err := errors.Join(run("apt-get", "update"), run("apt-get", "download", pkg)); err != nil {
			return "", fmt.Errorf("get Debian's package %s: %w", pkg, err)
		}
	}
	debs, err := filepath.Glob(filepath.Join(dir, pkg+"_*.deb"))
	if err != nil || len(debs) == 0 {
		return "", fmt.Errorf("no package file of %s in %s", pkg, dir)
	}
	slices.Sort(debs)
	if err := run("dpkg-deb", "-x", debs[len(debs)-1], "."); err != nil {
		return "", err
	}
	return bin, nil
}
