package compat

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/test/harness"
)

// debian finds a program on the path or takes it out of its Debian package, which is
// unpacked into a cache and not installed, so no service is started.
func debian(t *testing.T, pkg, file string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("black-box test: not run with -short")
	}
	if path, err := exec.LookPath(filepath.Base(file)); err == nil {
		return path
	}
	defer harness.Lock(t, "debian")()
	dir := filepath.Join(harness.Cache(t), "debian")
	bin := filepath.Join(dir, file)
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) error {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
		}
		return nil
	}
	err := run("apt-get", "download", pkg)
	if err != nil && os.Geteuid() == 0 {
		if err = run("apt-get", "update"); err == nil {
			err = run("apt-get", "download", pkg)
		}
	}
	if err != nil {
		t.Skipf("SKIPPED: cannot get Debian's package %s (%v); it is NOT tested by this run", pkg, err)
	}
	debs, err := filepath.Glob(filepath.Join(dir, pkg+"_*.deb"))
	if err != nil || len(debs) == 0 {
		t.Fatalf("no package file of %s in %s", pkg, dir)
	}
	slices.Sort(debs)
	if err := run("dpkg-deb", "-x", debs[len(debs)-1], "."); err != nil {
		t.Fatal(err)
	}
	return bin
}

// spawn runs a program until the test ends.
func spawn(t *testing.T, bin string, args ...string) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = cmd.Wait() })
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		wg.Wait()
		if t.Failed() {
			t.Logf("output of %s:\n%.4000s", bin, out.String())
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func nodeExporter(t *testing.T) string {
	addr := freePort(t)
	spawn(t, debian(t, "prometheus-node-exporter", "usr/bin/prometheus-node-exporter"), "--web.listen-address="+addr)
	harness.Eventually(t, "node exporter answers", func() bool {
		resp, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return addr
}

// TestDebianPrometheus lets Debian's Prometheus scrape itself and a node exporter and
// remote-write into Pharos: both must answer the same.
func TestDebianPrometheus(t *testing.T) {
	bin := debian(t, "prometheus", "usr/bin/prometheus")
	s := harness.Start(t, harness.Options{})
	node, web := nodeExporter(t), freePort(t)
	conf := filepath.Join(t.TempDir(), "prometheus.yml")
	err := os.WriteFile(conf, fmt.Appendf(nil, `
global: {scrape_interval: 1s, external_labels: {cluster: test}}
scrape_configs:
  - {job_name: node, static_configs: [{targets: ['%s']}]}
  - {job_name: prometheus, static_configs: [{targets: ['%s']}]}
remote_write:
  - url: %s/api/v1/write
    queue_config: {batch_send_deadline: 200ms}
    metadata_config: {send_interval: 1s}
`, node, web, s.URL), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, bin, "--config.file="+conf, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+web)
	// As many as fill the windows below: where a series begins inside a window, Prometheus 2
	// and 3 extrapolate differently.
	harness.Eventually(t, "fourteen scrapes arrive", func() bool {
		r, err := s.TryQuery(t, "/api/v1/query", url.Values{"query": {`min(count_over_time(up[1m]))`}})
		if err != nil {
			t.Fatal(err)
		}
		for _, pts := range r.Vector {
			n, err := strconv.ParseFloat(pts[0].Value, 64)
			return err == nil && n >= 14
		}
		return false
	})
	at := time.Now().Add(-2 * time.Second) // both have everything up to then
	for _, query := range []string{
		`up`,
		`count by (__name__) ({job="node"})`,
		`sum by (mode) (node_cpu_seconds_total)`,
		`rate(prometheus_http_requests_total[10s])`,
		`node_memory_MemTotal_bytes`,
		`histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[10s])))`,
	} {
		want := askPrometheus(t, web, query, at)
		r := s.Prom(t, query, at)
		got := map[string]string{}
		for k, pts := range r.Vector {
			got[strings.ReplaceAll(strings.Replace(k, `cluster="test",`, "", 1), `{cluster="test"}`, "{}")] = pts[0].Value
		}
		if len(got) != len(want) || len(want) == 0 {
			t.Errorf("%s: %d series, Prometheus has %d", query, len(got), len(want))
			continue
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %s = %q, Prometheus says %q", query, k, got[k], v)
			}
		}
	}
	comparePromtool(t, s.URL, "http://"+web, at)
	var meta struct {
		Data map[string][]struct{ Type, Help string }
	}
	s.Get(t, "/api/v1/metadata?metric=node_cpu_seconds_total", &meta)
	if m := meta.Data["node_cpu_seconds_total"]; len(m) != 1 || m[0].Type != "counter" || m[0].Help == "" {
		t.Errorf("metadata of node_cpu_seconds_total: %+v", meta.Data)
	}
}

// comparePromtool asks both servers with promtool, whose answers must be the same, and lets
// it check our own metrics.
func comparePromtool(t *testing.T, pharos, prometheus string, at time.Time) {
	t.Helper()
	promtool := debian(t, "prometheus", "usr/bin/promtool")
	seconds := func(d time.Duration) string { return strconv.FormatInt(at.Add(d).Unix(), 10) }
	run := func(server string, args ...string) string {
		i := slices.Index(args, "SERVER")
		args = slices.Replace(slices.Clone(args), i, i+1, server)
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("promtool %q: %v\n%s", args, err, out)
		}
		text := strings.ReplaceAll(strings.ReplaceAll(string(out), `cluster="test", `, ""), "\ncluster\n", "\n")
		lines := strings.Split(strings.TrimSpace(text), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	for _, args := range [][]string{
		{"query", "instant", "--time=" + seconds(0), "SERVER", `sum by (job, mode) (node_cpu_seconds_total) or up`},
		{"query", "range", "--start=" + seconds(-8*time.Second), "--end=" + seconds(0), "--step=2s", "SERVER", `up{job="node"}`},
		{"query", "series", "--match=up", "--match=node_load1", "SERVER"},
		{"query", "labels", "SERVER", "mode"},
		{"query", "labels", "SERVER", "job"},
	} {
		got, want := run(pharos, args...), run(prometheus, args...)
		if got != want || want == "" {
			t.Errorf("promtool %q: got\n%s\nPrometheus answers\n%s", args, got, want)
		}
	}
	resp, err := http.Get(pharos + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = resp.Body
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

func askPrometheus(t *testing.T, addr, query string, at time.Time) map[string]string {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/api/v1/query?" + url.Values{
		"query": {query}, "time": {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range body.Data.Result {
		var parts []string
		for k, v := range r.Metric {
			parts = append(parts, k+"="+strconv.Quote(v))
		}
		slices.Sort(parts)
		all["{"+strings.Join(parts, ",")+"}"] = fmt.Sprint(r.Value[1])
	}
	return all
}

// TestScrapeNodeExporter lets Pharos scrape a node exporter itself, through the
// Collector's receiver.
func TestScrapeNodeExporter(t *testing.T) {
	node := nodeExporter(t)
	s := harness.Start(t, harness.Options{Config: fmt.Sprintf(`
pipeline:
  receivers:
    prometheus:
      config:
        scrape_configs:
          - job_name: node
            scrape_interval: 1s
            static_configs: [{targets: ['%s']}]
  exporters:
    pharos: {}
  service:
    pipelines:
      metrics: {receivers: [prometheus], exporters: [pharos]}
`, node)})
	harness.Eventually(t, "three scrapes arrive", func() bool {
		r, err := s.TryQuery(t, "/api/v1/query", url.Values{"query": {fmt.Sprintf(`count_over_time(up{job="node",instance=%q}[1m]) >= 3`, node)}})
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Vector) == 1
	})
	now := time.Now()
	if got := s.Prom(t, `up{job="node"}`, now).Vector.One(t); got != 1 {
		t.Errorf("up = %v", got)
	}
	if r := s.Prom(t, `rate(node_cpu_seconds_total{mode="idle"}[10s])`, now); len(r.Vector) == 0 {
		t.Error("no rate of node_cpu_seconds_total")
	}
	if got := s.Prom(t, `node_memory_MemTotal_bytes`, now).Vector.One(t); got < 1e6 {
		t.Errorf("node_memory_MemTotal_bytes = %v", got)
	}
	if got := s.Prom(t, `count(count by (__name__) ({job="node"}))`, now).Vector.One(t); got < 100 {
		t.Errorf("%v metrics of the node exporter, want more than 100", got)
	}
}

// TestCurl pushes a line with curl, as documents about Loki show it.
func TestCurl(t *testing.T) {
	if testing.Short() {
		t.Skip("black-box test: not run with -short")
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED: no curl on the path; pushing with curl is NOT tested by this run")
	}
	s := harness.Start(t, harness.Options{})
	now := time.Now()
	body := fmt.Sprintf(`{"streams": [{ "stream": { "service": "api" }, "values": [ [ "%d", "{\"level\":\"error\",\"status_code\":503}" ] ] }]}`, now.UnixNano())
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "-o", "-", "-w", "%{http_code}", "-H", "Content-Type: application/json", "-H", "X-Scope-OrgID: tenant-1",
		"-XPOST", "--data-raw", body, s.URL+"/loki/api/v1/push").CombinedOutput()
	if err != nil || string(out) != "204" {
		t.Fatalf("curl: %v, %s", err, out)
	}
	query := "/loki/api/v1/query_range?" + url.Values{"query": {`{service="api"} | json | status_code >= 500`}, "start": {strconv.FormatInt(now.Add(-time.Minute).UnixNano(), 10)}}.Encode()
	out, err = exec.CommandContext(t.Context(), curl, "-sS", "-H", "X-Scope-OrgID: tenant-1", s.URL+query).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `status_code\":503`) {
		t.Fatalf("curl: %v, %s", err, out)
	}
}
