package metricstore

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// podKey and decodePod stand for the wire format of a sender: series i of a pod.
func podKey(dst []byte, pod, i int) []byte {
	return fmt.Appendf(dst, "app_metric_%02d_total;prod-%d;10.%d.%d.%d:8080;app-%d;team-%d;app-%d-%x;%d",
		i%50, pod%3, pod>>16, pod>>8&255, pod&255, pod%100, pod%40, pod%100, uint64(pod)*0x9e3779b97f4a7c15, 200+100*(i/50))
}

func decodePod(key []byte, dst model.Labels) (model.Labels, error) {
	v := strings.Split(string(key), ";")
	return append(
		dst,
		label(model.MetricName, v[0]), label("cluster", v[1]), label("code", v[6]), label("container", "app"),
		label("instance", v[2]), label("job", v[3]), label("namespace", v[4]), label("pod", v[5]),
	), nil
}

// peakRSS returns the most memory that the process has held.
func peakRSS(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// TestFiveMillionSeriesADay runs a day of a tenant with a million active series, a sixth
// of which are replaced by new ones every hour, in simulated time, and wants it to stay
// below 4 GiB, queries over the day included. Alone, with PHAROS_LONG=1; some minutes.
func TestFiveMillionSeriesADay(t *testing.T) {
	if os.Getenv("PHAROS_LONG") == "" {
		t.Skip("set PHAROS_LONG=1")
	}
	const (
		limit      = 4 << 30
		podSeries  = 100
		activePods = 10_000
		newPods    = 1_740
		scrapes    = 1 // an hour
	)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit / 10 * 8)) // as the process does in a container of that size
	now := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	opts := testOptions()
	opts.Now = func() time.Time { return now }
	e := openEngine(t, t.TempDir(), opts)
	defer e.close(t)
	batch := &store.MetricBatch{}
	var keys []byte
	cpu, samples := cpuSeconds(), 0
	first := 0
	for range 24 {
		for range scrapes {
			now = now.Add(time.Hour / (scrapes + 1))
			for pod := first; pod < first+activePods; pod += 200 {
				batch.Reset()
				batch.Decode = decodePod
				keys = keys[:0]
				for i := range 200 * podSeries {
					from := len(keys)
					keys = podKey(keys, pod+i/podSeries, i%podSeries)
					batch.Series = append(batch.Series, store.SeriesWrite{
						Key: keys[from:len(keys):len(keys)], Samples: []store.Sample{{Time: now.UnixMilli(), Value: float64(i)}},
					})
				}
				if err := e.Append(t.Context(), testTenant, batch); err != nil {
					t.Fatal(err)
				}
				samples += len(batch.Series)
			}
		}
		now = now.Add(time.Hour/(scrapes+1) - time.Second)
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Merge(t.Context()); err != nil {
			t.Fatal(err)
		}
		first += newPods
		t.Logf("%s: %d samples, %.0f s CPU, %d MiB peak, %d series in the head", now.Format(time.TimeOnly), samples, cpuSeconds()-cpu, peakRSS(t)>>20, e.headSeries())
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sel := store.MetricSelector{
		Matchers: []*model.Matcher{model.MustMatcher(model.MatchEqual, model.MetricName, "app_metric_07_total")},
		Range:    model.TimeRange{From: now.Add(-24 * time.Hour).UnixMilli(), To: now.UnixMilli()},
	}
	n := 0
	for s, err := range e.Select(ctx, testTenant, sel) {
		if err != nil {
			t.Fatal(err)
		}
		ts, _, err := s.Samples(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		n += len(ts)
	}
	if want := samples / 50; n != want {
		t.Errorf("a metric has %d samples, want %d", n, want)
	}
	peak := peakRSS(t)
	t.Logf("%d series, %d samples, %.0f s CPU, %d MiB peak, %d MiB of parts", (first-newPods+activePods)*podSeries, samples, cpuSeconds()-cpu, peak>>20, e.set.Size()>>20)
	if peak > limit {
		t.Errorf("peak of %d MiB", peak>>20)
	}
}
