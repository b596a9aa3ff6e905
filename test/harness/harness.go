// Package harness runs the real Pharos binary for black-box tests: it builds it once,
// starts and kills it, sends over the public protocols and asks the public APIs. Nothing
// in it knows how Pharos works inside.
//
//	s := harness.Start(t, harness.Options{})   // ready, on free loopback ports
//	s.PushLogs(t, `{app="x"}`, line)            // acknowledged
//	s.Kill(t); s = s.Restart(t)                 // same data
//
// Black-box tests are skipped by go test -short.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buildTags are those of the Makefile: without them the binary takes minutes to build.
const buildTags = "remove_all_sd,enable_kubernetes_sd,enable_dns_sd,enable_consul_sd"

// Root returns the root of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}

// Cache returns a directory that survives the test run, for what is costly to make.
func Cache(t testing.TB) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "pharos-test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Lock makes the test processes of one run take turns at preparing name. It returns the
// function that unlocks.
func Lock(t testing.TB, name string) func() {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(Cache(t), name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() } // closing unlocks
}

// Binary returns the path of the binary under test: PHAROS_BIN, or what the tree builds
// to. It is built once a process, which takes a while even where nothing has changed.
func Binary(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("black-box test: not run with -short")
	}
	if bin := os.Getenv("PHAROS_BIN"); bin != "" { //nolint:forbidigo // how make names the binary under test
		return bin
	}
	built.Do(func() { built.path, built.err = build(t) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

//nolint:gochecknoglobals // the binary is that of the process, whatever test asks first
var built struct {
	sync.Once
	path string
	err  error
}

// build builds the binary. The go command relinks it only if it is out of date.
func build(t testing.TB) (string, error) {
	defer Lock(t, "build")()
	root := Root(t)
	readSources(t, root)
	bin := filepath.Join(Cache(t), "pharos-"+strings.Trim(strings.ReplaceAll(root, string(filepath.Separator), "-"), "-"))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", buildTags, "-o", bin, "./cmd/pharos")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary under test: %w\n%s", err, out)
	}
	return bin, nil
}

// readSources lists the directories of the binary's sources: the go command notes what a
// test looks at, and so does not take an old result for one of the binary of today.
func readSources(t testing.TB, root string) {
	t.Helper()
	for _, dir := range []string{"cmd", "internal", filepath.Join("web", "dist")} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Options says how to start a server. The zero value starts it on a new data directory.
type Options struct {
	Command string   // serve or demo; empty means serve
	Data    string   // data directory; empty means a temporary one
	Config  string   // text of the configuration file; empty means none
	Args    []string // more arguments
	Env     []string // more environment, KEY=value
}

// Server is a running Pharos.
type Server struct {
	URL      string // http://host:port of everything
	GRPC     string // host:port of OTLP gRPC
	OTLPHTTP string // http://host:port of OTLP HTTP
	Data     string
	Ready    time.Duration // from start to readiness

	opts Options
	cmd  *exec.Cmd
	logs *logBuffer
	done chan struct{}
	err  error // of Wait, valid once done is closed
	http *http.Client
}

// Start starts a server and waits until it is ready. It is killed when the test ends; its
// log is printed if the test has failed.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := TryStart(t, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TryStart is Start for a server that may refuse to start.
func TryStart(t testing.TB, opts Options) (*Server, error) {
	t.Helper()
	bin := Binary(t)
	if opts.Data == "" {
		opts.Data = t.TempDir()
	}
	if opts.Command == "" {
		opts.Command = "serve"
	}
	ports := freePorts(t, 3)
	s := &Server{
		URL: "http://" + ports[0], GRPC: ports[1], OTLPHTTP: "http://" + ports[2], Data: opts.Data,
		opts: opts, logs: &logBuffer{}, done: make(chan struct{}),
		http: &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
	}
	args := []string{opts.Command, "--data", opts.Data, "--listen", ports[0], "--otlp-grpc", ports[1], "--otlp-http", ports[2]}
	if opts.Config != "" {
		file := filepath.Join(t.TempDir(), "pharos.yaml")
		if err := os.WriteFile(file, []byte(opts.Config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	s.cmd = exec.Command(bin, append(args, opts.Args...)...) //nolint:noctx // ended by Kill or Stop, not by a context
	s.cmd.Env = append(os.Environ(), opts.Env...)
	s.cmd.Stdout, s.cmd.Stderr = s.logs, s.logs
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.err = s.cmd.Wait(); close(s.done) })
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		wg.Wait()
		s.http.CloseIdleConnections()
		if t.Failed() {
			t.Logf("log of %s:\n%s", strings.Join(s.cmd.Args, " "), s.logs.tail(60))
		}
	})
	err := s.wait(t.Context(), 60*time.Second)
	s.Ready = time.Since(began)
	return s, err
}

func freePorts(t testing.TB, n int) []string {
	var addrs []string
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all at once, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// wait polls readiness.
func (s *Server) wait(ctx context.Context, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/-/ready", nil)
		if err != nil {
			return err
		}
		resp, err := s.http.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return fmt.Errorf("server ended before it was ready: %w\n%s", errors.Join(s.err, errEnded), s.logs.tail(30))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("server not ready after %s", limit)
		}
	}
}

var errEnded = errors.New("process ended")

// Kill ends the process with SIGKILL and waits until it is gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-s.done
}

// KillStopping begins an orderly stop and kills the process in the middle of it, unless it
// has ended by then. It reports whether it was killed.
func (s *Server) KillStopping(t testing.TB, after time.Duration) bool {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
		return false
	case <-time.After(after):
		s.Kill(t)
		return true
	}
}

// Stop ends the process with SIGTERM, as an operator would, and fails the test if it ends
// with an error or not at all.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(60 * time.Second):
		t.Fatal("server did not stop within 60 s")
	}
	if s.err != nil {
		t.Fatalf("server stopped with %v\n%s", s.err, s.logs.tail(30))
	}
}

// Alive reports whether the process still runs.
func (s *Server) Alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Restart starts a stopped or killed server again on the same data.
func (s *Server) Restart(t testing.TB) *Server {
	t.Helper()
	opts := s.opts
	opts.Data = s.Data
	return Start(t, opts)
}

// Log returns what the server has written to its log so far.
func (s *Server) Log() string { return s.logs.tail(0) }

// Status reads a field of /proc/PID/status that is given in kB, in bytes: VmRSS, VmHWM.
func (s *Server) Status(t testing.TB, field string) int64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no field %s in the status of the process", field)
	return 0
}

// Eventually polls ok until it is true or a generous limit has passed.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 60 s", what)
		}
		<-tick.C
	}
}

// logBuffer keeps the output of a process.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// tail returns the last n lines; all for 0.
func (b *logBuffer) tail(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := strings.Split(strings.TrimRight(b.buf.String(), "\n"), "\n")
	if n > 0 && len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
