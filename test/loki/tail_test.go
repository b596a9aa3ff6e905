package loki

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pharos-o11y/pharos/test/harness"
)

// tailed is what a client of a tail has seen.
type tailed struct{ entries, dropped int }

// read reads frames until it has seen n entries, dropped ones included.
func (s *tailed) read(ctx context.Context, t *testing.T, conn *websocket.Conn, n int) {
	t.Helper()
	conn.SetReadLimit(64 << 20)
	for s.entries+s.dropped < n {
		_, data, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("after %d entries and %d dropped of %d: %v", s.entries, s.dropped, n, err)
		}
		var frame struct {
			Streams []json.RawMessage
			Dropped []json.RawMessage `json:"dropped_entries"`
			Total   int               `json:"dropped_total"`
		}
		if err := json.Unmarshal(data, &frame); err != nil {
			t.Fatal(err)
		}
		if (frame.Total > 0) != (len(frame.Dropped) > 0) {
			t.Errorf("%d dropped, and a list of %d", frame.Total, len(frame.Dropped))
		}
		s.entries += len(frame.Streams)
		s.dropped += frame.Total
	}
	if s.entries+s.dropped > n {
		t.Errorf("%d entries and %d dropped, of %d", s.entries, s.dropped, n)
	}
}

func (r *runner) tail(ctx context.Context, query string) *websocket.Conn {
	r.t.Helper()
	u := "ws" + strings.TrimPrefix(r.s.URL, "http") + "/loki/api/v1/tail?query=" + url.QueryEscape(query)
	conn, resp, err := websocket.Dial(ctx, u, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.Body != nil {
		resp.Body.Close()
	}
	if _, _, err := conn.Read(ctx); err != nil { // the history
		r.t.Fatal(err)
	}
	return conn
}

// write sends n entries of size bytes in requests of 500, one request every wait.
func (r *runner) write(n, size int, wait time.Duration) {
	r.t.Helper()
	pad := strings.Repeat("x", size)
	var tick <-chan time.Time
	if wait > 0 {
		ticker := time.NewTicker(wait)
		defer ticker.Stop()
		tick = ticker.C
	}
	for from := 0; from < n; from += 500 {
		var values []string
		for i := range 500 {
			values = append(values, fmt.Sprintf(`["%d","line %d %s"]`, time.Now().UnixNano(), from+i, pad))
		}
		body := `{"streams":[{"stream":{"app":"tail"},"values":[` + strings.Join(values, ",") + `]}]}`
		a, err := r.s.Do(r.t, http.MethodPost, pushPath, []byte(body), map[string]string{"Content-Type": "application/json"})
		harness.MustOK(r.t, a, err)
		if tick != nil {
			<-tick
		}
	}
}

// TestTailKeepsUp follows 5,000 lines a second. Not one is dropped.
func TestTailKeepsUp(t *testing.T) {
	r := startAlone(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.push("", push(`{"app":"tail"}`, "+0", "line before"))
	conn := r.tail(ctx, `{app="tail"} |= "line" | logfmt`)
	defer conn.CloseNow()
	const n = 10_000
	begin := time.Now()
	r.write(n, 150, 100*time.Millisecond)
	var got tailed
	got.read(ctx, t, conn, n)
	t.Logf("%d entries and %d dropped in %s", got.entries, got.dropped, time.Since(begin).Round(time.Millisecond))
	if got.dropped > 0 {
		t.Errorf("%d entries of 5,000 a second were dropped", got.dropped)
	}
}

// TestSlowTailClient reads nothing while more is written than anything in between holds.
// What it gets afterwards and what it is told to have missed is all there was.
func TestSlowTailClient(t *testing.T) {
	r := startAlone(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.push("", push(`{"app":"tail"}`, "+0", "line before"))
	conn := r.tail(ctx, `{app="tail"}`)
	defer conn.CloseNow()
	const n = 40_000
	r.write(n, 1500, 0)
	var got tailed
	got.read(ctx, t, conn, n)
	if got.dropped == 0 {
		t.Errorf("all of %d MB waited in memory", n*1500/1_000_000)
	}
	t.Logf("%d entries and %d dropped", got.entries, got.dropped)
}
