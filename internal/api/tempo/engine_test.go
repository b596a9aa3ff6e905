package tempo

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/tracestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine serves the fixture from the embedded trace engine.
func engine(t *testing.T) (h http.Handler, flush func()) {
	t.Helper()
	dir := t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := tracestore.Open(dir+"/traces", log, tracestore.Options{Now: func() time.Time { return time.Unix(fixtureSecond+30, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		_ = log.Close(context.Background())
	})
	load(t, s)
	return serve(s, api.Tenancy{}), func() {
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEngine compares answers from the embedded engine, in memory and on disk, with
// those from the reference store.
func TestEngine(t *testing.T) {
	ref := server(t, api.Tenancy{})
	h, flush := engine(t)
	targets := []string{
		"/api/v2/search/tags?W", "/api/search/tags?W", "/api/v2/search/tag/name/values?W",
		"/api/v2/search/tag/.service.name/values?W", "/api/search?minDuration=1ms&&&W",
	}
	for _, path := range []string{"behaviour", "metrics"} {
		data, err := os.ReadFile("../../traceql/testdata/" + path + ".test")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); strings.ContainsAny(line[:min(1, len(line))], "{(cb1") {
				target := "/api/search?spss=100&&&limit=100&&&W&&&q="
				if path == "metrics" {
					target = "/api/metrics/query_range?step=30&&&W&&&q="
				}
				targets = append(targets, target+line)
			}
		}
	}
	for _, stage := range []string{"head", "parts"} {
		if stage == "parts" {
			flush()
		}
		for _, target := range targets {
			want, _, _ := strings.Cut(get(t, ref, target).Body.String(), `,"metrics":`)
			w := get(t, h, target)
			if got, _, _ := strings.Cut(w.Body.String(), `,"metrics":`); got != want {
				t.Errorf("%s: %s answers %d\n%s, want\n%s", stage, target, w.Code, got, want)
			}
		}
		if w := get(t, h, "/api/traces/b200"); w.Code != 200 || !strings.Contains(w.Body.String(), `"bytesValue":"AQI="`) {
			t.Errorf("%s: trace %d: %s", stage, w.Code, w.Body)
		}
	}
	if len(targets) < 150 {
		t.Errorf("only %d requests", len(targets))
	}
}
