package metricstore

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestStopWithoutFlush stops a store whose last flush may take no time: it leaves no part,
// is no failure, and the next start has everything.
func TestStopWithoutFlush(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit time.Duration
		parts bool
	}{{"in time", time.Minute, true}, {"late", time.Nanosecond, false}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var text bytes.Buffer
			opts := testOptions()
			opts.StopFlush, opts.Logger = c.limit, slog.New(slog.NewTextHandler(&text, nil))
			e := openEngine(t, dir, opts)
			want := samples{}
			for i := range 500 {
				writeSample(t, e, testLabels(i), storetest.Now().UnixMilli(), float64(i))
				want.add(testLabels(i), storetest.Now().UnixMilli(), float64(i))
			}
			e.flushMu.Lock() // the flush waits until its time is over
			ctx, cancel := context.WithCancel(t.Context())
			var g errgroup.Group
			g.Go(func() error { return e.Run(ctx) })
			cancel()
			if !c.parts {
				<-time.After(100 * time.Millisecond)
			}
			e.flushMu.Unlock()
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			if got := e.DiskSize() > 0; got != c.parts {
				t.Errorf("parts: %v, want %v", got, c.parts)
			}
			if strings.Contains(text.String(), "ERROR") || strings.Contains(text.String(), "too long") == c.parts {
				t.Errorf("log: %s", &text)
			}
			e.close(t)
			again := openEngine(t, dir, testOptions())
			defer again.close(t)
			if got := read(t, again, nil); !maps.EqualFunc(got, want, maps.Equal) {
				t.Errorf("%d series after the restart, want %d", len(got), len(want))
			}
		})
	}
}
