package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/ingest"
)

// testConfig listens on free ports and stores in a directory of its own.
func testConfig(t *testing.T) *config.Config {
	t.Helper()
	c := config.Default()
	c.Data = t.TempDir()
	c.Listen, c.OTLP.GRPC, c.OTLP.HTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.WAL.MinFree = 0
	return &c
}

// start runs an App until the test ends and waits until it is ready.
func start(t *testing.T, cfg *config.Config) *App {
	t.Helper()
	a, err := New(t.Context(), Options{Config: cfg, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if code, _ := get(t, a, "/-/ready"); code == http.StatusOK {
			return a
		}
		if t.Context().Err() != nil {
			t.Fatal("not ready in time")
		}
	}
	return nil
}

func get(t *testing.T, a *App, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + a.Addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func post(t *testing.T, a *App, path, contentType, body string) (int, string) {
	t.Helper()
	resp, err := http.Post("http://"+a.Addr()+path, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) (int, string) {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestEveryDoorAnswers asks each group of routes once: whatever is wired wrong fails here.
func TestEveryDoorAnswers(t *testing.T) {
	a := start(t, testConfig(t))
	now := time.Now().UnixNano()
	code, body := post(t, a, "/loki/api/v1/push", "application/json",
		`{"streams":[{"stream":{"app":"x"},"values":[["`+strconv.FormatInt(now, 10)+`","hello"]]}]}`)
	if code != http.StatusNoContent {
		t.Fatalf("push: %d %s", code, body)
	}
	for _, tt := range []struct{ path, want string }{
		{"/-/healthy", "healthy"},
		{"/metrics", `pharos_ingested_items_total{signal="logs",tenant="default"} 1`},
		{"/api/v1/query?query=1", `"scalar"`},
		{"/prometheus/api/v1/labels", `"success"`},
		{"/api/v1/targets", `"activeTargets":[]`},
		{"/api/v1/status/config", "listen: 127.0.0.1:0"},
		{"/loki/api/v1/query_range?query=%7Bapp%3D%22x%22%7D", `"hello"`},
		{"/loki/api/v1/labels", `"app"`},
		{"/api/search?q=%7B%7D", `"traces"`},
		{"/tempo/api/echo", "echo"},
		{"/api/pharos/v1/status", `"received_total":1`},
		{"/api/pharos/v1/queries", `"running":[]`},
	} {
		if code, body := get(t, a, tt.path); code != http.StatusOK || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %.300s, want %s", tt.path, code, body, tt.want)
		}
	}
}

// TestMissingTenant asks each protocol what it makes of a request without a tenant while
// tenancy is on: nothing that a client would try again.
func TestMissingTenant(t *testing.T) {
	_, err := api.Tenancy{Enabled: true}.Parse("")
	if got := api.Status(err); got != http.StatusUnauthorized {
		t.Errorf("query APIs answer %d", got)
	}
	if got := ingest.Status(err); got != http.StatusUnauthorized {
		t.Errorf("push protocols answer %d", got)
	}
}

// TestIdleClients connects clients that stop in the middle of a request, or of an answer.
// Their handlers must end.
func TestIdleClients(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for b := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(b)
		}
		ended <- err
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveHTTP(ctx, l, mux, 100*time.Millisecond) }()
	for _, request := range []string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%.4s: the handler saw no error", request)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%.4s: the handler waits for ever", request)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	cfg := testConfig(t)
	a := start(t, cfg)
	if code, body := post(t, a, "/-/reload", "", ""); code != http.StatusBadRequest || !strings.Contains(body, "no configuration file") {
		t.Errorf("reload without a file: %d %s", code, body)
	}
	next := *cfg
	next.Retention.Logs = config.Duration(48 * time.Hour)
	fail := errors.New("line 3: unknown key")
	var loadErr error
	a.OnReload(make(chan os.Signal), func() (*config.Config, error) { return &next, loadErr })
	loadErr = fail
	if code, body := post(t, a, "/-/reload", "", ""); code != http.StatusBadRequest || !strings.Contains(body, "nothing has changed") {
		t.Errorf("reload of a bad file: %d %s", code, body)
	}
	loadErr = nil
	if code, body := post(t, a, "/-/reload", "", ""); code != http.StatusOK {
		t.Errorf("reload: %d %s", code, body)
	}
	if got := a.cfg.Load().Retention.Logs; got != next.Retention.Logs {
		t.Errorf("retention is %v after the reload", got)
	}
}

func TestNewClosesWhatItOpened(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen = "127.0.0.1:99999"
	if _, err := New(t.Context(), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Fatalf("error %v", err)
	}
	cfg.Listen = "127.0.0.1:0"
	a, err := New(t.Context(), Options{Config: cfg, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("the data directory is still locked: %v", err)
	}
	if err := a.close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, "wal", "LOCK")); err != nil {
		t.Error(err)
	}
}

// TestGRPCOnMainPort: Grafana's Tempo data source streams over cleartext HTTP/2 on the port
// of the HTTP API.
func TestGRPCOnMainPort(t *testing.T) {
	a := start(t, testConfig(t))
	conn, err := grpc.NewClient(a.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	res, err := healthgrpc.NewHealthClient(conn).Check(t.Context(), &healthgrpc.HealthCheckRequest{})
	if err != nil || res.GetStatus() != healthgrpc.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", res, err)
	}
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/tempopb.StreamingQuerier/SearchTagsV2")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SendMsg(&healthgrpc.HealthCheckRequest{Service: "intrinsic"}), s.CloseSend()); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(&healthgrpc.HealthCheckRequest{}); err != nil { // any message will do: field 1 is bytes
		t.Errorf("stream: %v", err)
	}
}
