package loki

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/test/harness"
)

// The extremes of the number of streams, inside 1 GiB: docs/performance.md has the numbers
// that these print. With PHAROS_LONG=1; together about two minutes.

const memoryLimit = 1 << 30

// pushLines sends rounds requests, which lines makes, and returns the bytes of their bodies.
func (r *runner) pushLines(rounds int, lines func(b *strings.Builder, round int)) (sent int) {
	r.t.Helper()
	for round := range rounds {
		var b strings.Builder
		b.WriteString(`{"streams":[`)
		lines(&b, round)
		b.WriteString(`]}`)
		a, err := r.s.Do(r.t, http.MethodPost, pushPath, []byte(b.String()), map[string]string{"Content-Type": "application/json"})
		harness.MustOK(r.t, a, err)
		sent += b.Len()
	}
	return sent
}

// cpu returns the CPU seconds that the server has used.
func (r *runner) cpu() float64 {
	r.t.Helper()
	a, err := r.s.Do(r.t, http.MethodGet, "/metrics", nil, nil)
	harness.MustOK(r.t, a, err)
	for line := range strings.Lines(a.Body) {
		if v, ok := strings.CutPrefix(line, "process_cpu_seconds_total "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return n
		}
	}
	r.t.Fatal("no process_cpu_seconds_total")
	return 0
}

// counted expects that {app=~".+"} has n lines, flushes, and reports what it cost.
func (r *runner) counted(n, sent int) {
	t := r.t
	t.Helper()
	a, err := r.s.Do(t, http.MethodPost, "/flush", nil, nil)
	harness.MustOK(t, a, err)
	ingest := r.cpu()
	query := url.Values{"query": {`sum(count_over_time({app=~".+"}[1h]))`}, "time": {strconv.FormatInt(time.Now().Unix()+5, 10)}}
	a, err = r.s.Do(t, http.MethodGet, "/loki/api/v1/query?"+query.Encode(), nil, nil)
	harness.MustOK(t, a, err)
	if want := fmt.Sprintf(`,"%d"]`, n); !strings.Contains(a.Body, want) {
		t.Errorf("answer %.300s\nlacks %s", a.Body, want)
	}
	peak := r.s.Status(t, "VmHWM")
	t.Logf("%d lines in %d MB of requests: %.1f CPU s (%.1f a GB), count %.2f CPU s, peak RSS %d MB",
		n, sent/1e6, ingest, ingest/float64(sent)*1e9, r.cpu()-ingest, peak/1e6)
	if peak > memoryLimit {
		t.Errorf("peak RSS of %d bytes, want at most %d", peak, memoryLimit)
	}
}

// TestManyStreams writes ten times one line to each of 100,000 streams, a thousand streams
// a request.
func TestManyStreams(t *testing.T) {
	if os.Getenv("PHAROS_LONG") == "" {
		t.Skip("set PHAROS_LONG=1")
	}
	r := startAlone(t, "memory: {limit: 1GiB}\n")
	const streams, each, times = 100_000, 1000, 10
	next := 0
	sent := r.pushLines(times*streams/each, func(b *strings.Builder, round int) {
		for i := range each {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, `{"stream":{"app":"app-%d","pod":"pod-%d"},"values":[["%d","GET /api/users/%d status=200 took=%dms trace=%016x"]]}`,
				next%20, next, time.Now().UnixNano(), next*7, round%900, uint64(next+round*streams)*0x9e3779b97f4a7c15)
			next = (next + 1) % streams
		}
	})
	r.counted(times*streams, sent)
}

// TestLongStream writes five million lines to one stream.
func TestLongStream(t *testing.T) {
	if os.Getenv("PHAROS_LONG") == "" {
		t.Skip("set PHAROS_LONG=1")
	}
	r := startAlone(t, "memory: {limit: 1GiB}\n")
	const lines, each = 5_000_000, 5000
	sent := r.pushLines(lines/each, func(b *strings.Builder, round int) {
		b.WriteString(`{"stream":{"app":"one"},"values":[`)
		at := time.Now().UnixNano()
		for i := range each {
			if i > 0 {
				b.WriteByte(',')
			}
			n := round*each + i
			fmt.Fprintf(b, `["%d","GET /api/users/%d status=200 took=%dms trace=%016x"]`, at+int64(i), n*7, n%900, uint64(n)*0x9e3779b97f4a7c15)
		}
		b.WriteString(`]}`)
	})
	r.counted(lines, sent)
}
