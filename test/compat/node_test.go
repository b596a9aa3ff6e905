package compat

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/test/harness"
)

// nodeModules installs the packages of the lock file, once for all tests of a machine.
func nodeModules(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("black-box test: not run with -short")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: no %s on the path; the Node SDK is NOT tested by this run", tool)
		}
	}
	dir := filepath.Join(harness.Root(t), "test", "compat", "node")
	defer harness.Lock(t, "node")()
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	// npm writes this file at the end of an install.
	if done, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err == nil && !done.ModTime().Before(lock.ModTime()) {
		return dir
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci in %s: %v\n%s", dir, err, out)
	}
	return dir
}

// TestNodeSDK runs the Node SDK with its auto-instrumentations and both JavaScript
// snippets of the text that Pharos was asked for with, over each protocol.
func TestNodeSDK(t *testing.T) {
	dir := nodeModules(t)
	s := harness.Start(t, harness.Options{})
	for _, tt := range []struct{ protocol, endpoint string }{
		{"http/protobuf", s.OTLPHTTP}, {"http/json", s.URL}, {"grpc", "http://" + s.GRPC},
	} {
		t.Run(tt.protocol, func(t *testing.T) {
			service := "payment-" + strings.ReplaceAll(tt.protocol, "/", "-")
			cmd := exec.CommandContext(t.Context(), "node", "--import", "./instrumentation.mjs", "app.mjs")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(),
				"OTEL_SERVICE_NAME="+service, "OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop,deployment.environment.name=test",
				"OTEL_EXPORTER_OTLP_PROTOCOL="+tt.protocol, "OTEL_EXPORTER_OTLP_ENDPOINT="+tt.endpoint,
				"OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=otlp",
				"OTEL_NODE_RESOURCE_DETECTORS=env,process,host", "OTEL_LOG_LEVEL=warn",
			)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("node: %v\n%s%s", err, out, &stderr)
			}
			var app struct {
				OK, Failed int
				Traces     map[string]string
			}
			line := strings.TrimSpace(string(out))
			if err := json.Unmarshal([]byte(line[strings.LastIndexByte(line, '\n')+1:]), &app); err != nil {
				t.Fatalf("output of the app: %v\n%s%s", err, out, &stderr)
			}
			if app.OK != 200 || app.Failed != 500 {
				t.Fatalf("the app itself failed: %+v\n%s", app, &stderr)
			}
			checkNode(t, s, service, app.Traces)
			if text := stderr.String(); strings.Contains(text, "Failed") || strings.Contains(text, "rror") {
				t.Errorf("the SDK complains:\n%s", text)
			}
		})
	}
}

func checkNode(t *testing.T, s *harness.Server, service string, traces map[string]string) {
	now := time.Now()
	spans := s.Trace(t, traces["42"])
	var names []string
	for _, sp := range spans {
		names = append(names, sp.Name)
		if sp.Service != service {
			t.Errorf("span %s belongs to %q", sp.Name, sp.Service)
		}
		if sp.Name == "process_payment" {
			if sp.Attrs["payment.amount"] != "42" || sp.Attrs["payment.currency"] != "USD" || sp.Status != "STATUS_CODE_OK" {
				t.Errorf("process_payment: %v, %s", sp.Attrs, sp.Status)
			}
		}
	}
	if !slices.Contains(names, "process_payment") || !slices.Contains(names, "GET") {
		t.Errorf("spans of the trace: %v, want the client's and server's GET and process_payment", names)
	}
	q := fmt.Sprintf(`{ resource.service.name = %q && name = "process_payment" && status = error }`, service)
	if found := s.Search(t, q, now.Add(-time.Hour), now.Add(time.Minute)); len(found) != 1 || found[0].TraceID != strings.TrimLeft(traces["0"], "0") && found[0].TraceID != traces["0"] {
		t.Errorf("%s found %v, want trace %s", q, found, traces["0"])
	}
	lines := s.LokiRange(t, fmt.Sprintf(`{service_name=%q} | trace_id=%q`, service, traces["0"]), now.Add(-time.Hour), now.Add(time.Minute)).Lines()
	if len(lines) != 1 || lines[0] != "payment failed: card declined" {
		t.Errorf("logs of the failed trace: %q", lines)
	}
	var series struct{ Data []map[string]string }
	s.Get(t, "/api/v1/series?"+url.Values{"match[]": {fmt.Sprintf(`{job=%q,__name__=~"http_server.*_count"}`, "shop/"+service)}}.Encode(), &series)
	if len(series.Data) == 0 {
		t.Errorf("no histogram of the HTTP server instrumentation for job %q", "shop/"+service)
	}
}
