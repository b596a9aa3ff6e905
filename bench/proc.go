package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// proc is a running server.
type proc struct {
	server
	cmd      *exec.Cmd
	base     string // URL of its HTTP port
	grpc     string // host:port of its OTLP gRPC port, if it has one
	otlp     string // URL of OTLP metrics over HTTP
	otlpLogs string // likewise of logs
	log      string
	done     chan error
	dead     bool
}

// usage is what a process has spent.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes
}

// ticks is the unit of the times in /proc: USER_HZ, 100 on every Linux that Go runs on.
const ticks = 100

func start(ctx context.Context, s server, dir string) (*proc, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	logPath := filepath.Join(filepath.Dir(dir), filepath.Base(dir)+".log")
	out, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &proc{server: s, base: "http://" + ports[0], grpc: ports[1], log: logPath, done: make(chan error, 1)}
	otlp := p.base
	if s.otlpPort {
		otlp = "http://" + ports[2]
	}
	p.otlp, p.otlpLogs = otlp+s.otlpPath, otlp+s.logsPath
	args, err := s.args(dir, ports)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(s.binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := http.Get(p.base + s.ready)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), p.kill())
		case err := <-p.done:
			p.dead = true
			return nil, fmt.Errorf("%s ended at start: %w; see %s", s.name, err, logPath)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("%s not ready after 30 s; see %s", s.name, logPath), p.kill())
		}
	}
}

func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// usage reads what the process has spent so far.
func (p *proc) usage() (usage, error) {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return usage{}, fmt.Errorf("%s is gone: %w; see %s", p.name, err, p.log)
	}
	// The command in parentheses may hold spaces; what follows it is fields 3 and on.
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.ParseInt(f[14-3], 10, 64)
	sys, err2 := strconv.ParseInt(f[15-3], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return usage{}, err
	}
	u := usage{cpu: time.Duration(user+sys) * time.Second / ticks}
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return usage{}, err
			}
			u.peak = kb << 10
		}
	}
	return u, nil
}

// quiesce asks the server to flush and merge where it can be asked, then waits until it
// has spent less than 3% of a core for 3 s, at most limit.
func (p *proc) quiesce(ctx context.Context, limit time.Duration) error {
	for _, path := range p.flush {
		if _, err := p.get(ctx, path, nil); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(limit)
	before, err := p.usage()
	if err != nil {
		return err
	}
	for quiet := 0; quiet < 3 && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		now, err := p.usage()
		if err != nil {
			return err
		}
		if now.cpu-before.cpu < 30*time.Millisecond {
			quiet++
		} else {
			quiet = 0
		}
		before = now
	}
	return nil
}

// stop ends the process as an operator would.
func (p *proc) stop() error {
	if p.dead {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		p.dead = true
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 0 {
			return nil
		}
		return err
	case <-time.After(60 * time.Second):
		return fmt.Errorf("%s did not stop within 60 s", p.name)
	}
}

// total is the CPU time of the ended process.
func (p *proc) total() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

func (p *proc) kill() error {
	if p.dead {
		return nil
	}
	p.dead = true
	err := p.cmd.Process.Kill()
	<-p.done
	return err
}

// get reads a path of the server. Any status but 2xx is an error.
func (p *proc) get(ctx context.Context, path string, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return body, fmt.Errorf("GET %s: %s: %.300s", path, resp.Status, body)
	}
	return body, nil
}

// diskBytes is what the files below dir occupy, write-ahead logs apart. If sealed is not
// empty, data counts only what is below that directory.
func diskBytes(dir, sealed string) (data, wal int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		size := info.Size()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			size = st.Blocks * 512 // preallocated files are sparse
		}
		if strings.Contains("/"+rel, "/wal") {
			wal += size
		} else if strings.HasPrefix(rel, sealed) {
			data += size
		}
		return nil
	})
	return data, wal, err
}
