package metricstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// soak is a store under load in simulated time: the clock goes as fast as the store takes
// scrapes. Midnight is in the middle of the run; the day before it is downsampled after a
// sixth of the run more, and dropped after a third.
type soak struct {
	length  time.Duration // of the run
	scrape  time.Duration // between scrapes
	headAge time.Duration
	series  int // active at any time; tracked ones among them
	late    int // samples out of order in each scrape

	e        *engine
	rnd      *rand.Rand
	clock    atomic.Int64 // Unix milliseconds
	midnight int64
	floor    int64          // begin of what want holds
	slots    []model.Labels // what is scraped now
	born     int            // series ever
	want     samples        // what the tracked series have had since floor
	before   tally          // of the tracked series, before midnight
	written  int
	parts    int // most that merges left
	wal      int64
}

// tally is what downsampling must keep.
type tally struct {
	count int
	sum   float64
}

const (
	soakTracked   = 12
	soakTrackedAs = "tracked_total"
)

// TestSoak runs two hours, or a day with PHAROS_LONG=1: scrapes with churn and samples out
// of order, with flushes, merges, downsampling, retention and queries at the same time. It
// wants the heap of a late hour to be that of an early one, merges to keep up, and what
// queries read to be what a map holds.
func TestSoak(t *testing.T) {
	s := &soak{length: 2 * time.Hour, scrape: 30 * time.Second, headAge: 3 * time.Minute, series: 100, late: 10}
	if os.Getenv("PHAROS_LONG") != "" {
		s = &soak{length: 24 * time.Hour, scrape: 15 * time.Second, headAge: 10 * time.Minute, series: 2000, late: 100}
	}
	s.open(t)
	defer s.e.close(t)
	cpu := cpuSeconds()
	part := s.length / 24 // an hour of the long run
	var heap [24]uint64
	for i := range heap {
		for range part / time.Minute {
			s.minute(t)
		}
		if d := cmp.Diff(s.want, s.tracked(t, "", model.TimeRange{From: s.floor, To: math.MaxInt64})); d != "" {
			t.Fatalf("after %s (-want +got):\n%s", time.Duration(i+1)*part, d)
		}
		s.checkOldDay(t)
		s.churn(t)
		heap[i] = s.heap(t)
		t.Logf("after %s: %d samples, %d series ever, %.1f s CPU, heap of %.1f MiB, at most %d parts, %.1f MiB of log, %.1f MiB of parts", time.Duration(i+1)*part,
			s.written, s.born, cpuSeconds()-cpu, float64(heap[i])/(1<<20), s.parts, float64(s.wal)/(1<<20), float64(s.e.DiskSize())/(1<<20))
	}
	for i := len(heap) - 3; i < len(heap); i++ {
		if early := heap[1]; heap[i] > early+early/4+1<<20 {
			t.Errorf("heap of %d bytes at the end of part %d, %d at that of part 2", heap[i], i+1, early)
		}
	}
	if s.parts > 15 {
		t.Errorf("merges left %d parts", s.parts)
	}
	if s.wal > 4<<20 {
		t.Errorf("the log grew to %d bytes", s.wal)
	}
}

func (s *soak) open(t *testing.T) {
	s.midnight = time.Date(2026, 1, 16, 0, 0, 0, 0, time.UTC).UnixMilli()
	s.clock.Store(s.midnight - s.length.Milliseconds()/2)
	s.e = openEngine(t, t.TempDir(), Options{
		Retention:  func(model.Tenant) time.Duration { return s.length / 6 },
		Tiers:      []Tier{{5 * time.Minute, s.length / 3}},
		HeadAge:    s.headAge,
		BlockCache: 1 << 20,
		Now:        func() time.Time { return time.UnixMilli(s.clock.Load()) },
	})
	for _, other := range []model.Signal{model.Logs, model.Traces} { // they have nothing in the log
		if err := s.e.log.Release(other, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
	}
	s.rnd = rand.New(rand.NewPCG(3, 24))
	s.want = samples{}
	for i := range s.series {
		s.slots = append(s.slots, s.newSeries(i))
	}
}

// newSeries returns labels that were never used.
func (s *soak) newSeries(slot int) model.Labels {
	name := fmt.Sprintf("load_%d_total", slot%20)
	if slot < soakTracked {
		name = soakTrackedAs
	}
	s.born++
	return model.LabelsFromMap(map[string]string{model.MetricName: name, "slot": fmt.Sprint(slot), "pod": fmt.Sprintf("pod-%d", s.born)})
}

// minute lets a minute pass, of which the writer, a reader and the upkeep go on at the
// same time.
func (s *soak) minute(t *testing.T) {
	end := s.clock.Load() + 60_000
	s.trim(end - s.length.Milliseconds()/6)
	stored := map[string]int{}
	for name, points := range s.want {
		stored[name] = len(points)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for s.clock.Load() < end {
			s.write(t, s.clock.Add(s.scrape.Milliseconds()))
		}
	})
	wg.Go(func() {
		got := s.tracked(t, "", model.TimeRange{From: s.floor, To: math.MaxInt64})
		for name, n := range stored {
			if len(got[name]) < n {
				t.Errorf("%s: %d samples, at least %d are stored", name, len(got[name]), n)
			}
		}
	})
	wg.Go(func() {
		if err := s.upkeep(t.Context()); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// trim forgets what is older than the retention, which answers are no longer exact for.
func (s *soak) trim(floor int64) {
	s.floor = floor
	for name, points := range s.want {
		for at := range points {
			if at < floor {
				delete(points, at)
			}
		}
		if len(points) == 0 {
			delete(s.want, name)
		}
	}
}

// write writes one scrape, with samples that come late and some that come again.
func (s *soak) write(t *testing.T, at int64) {
	b := &store.MetricBatch{}
	add := func(ls model.Labels, at int64, v float64) {
		b.Series = append(b.Series, store.SeriesWrite{Labels: ls, Samples: []store.Sample{{Time: at, Value: v}}})
		s.remember(ls, at, v)
	}
	for i, ls := range s.slots {
		add(ls, at, float64(s.written/s.series*(i+1)))
	}
	b.Series[0].Exemplars = []store.Exemplar{{Time: at, Value: 1, Labels: model.Labels{label("trace_id", fmt.Sprint(at))}}}
	n := uint64(at/1000) % 1000
	b.Series = append(b.Series, store.SeriesWrite{
		Labels: model.Labels{label(model.MetricName, "latency_seconds")},
		Histograms: []store.HistogramSample{{Time: at, Int: &histogram.Histogram{
			Count: n, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(n)},
		}}},
	})
	step := s.scrape.Milliseconds()
	for i := range s.late {
		slot := s.rnd.IntN(s.series)
		if i%4 == 0 {
			slot = s.rnd.IntN(soakTracked)
		}
		when := s.floor + s.rnd.Int64N(at-s.floor)
		if i%2 == 0 { // a time that was scraped
			when = at - (at-when)/step*step
		}
		if when < at {
			add(s.slots[slot], when, float64(s.rnd.IntN(1000)))
		}
	}
	s.append(t, b)
}

func (s *soak) append(t *testing.T, b *store.MetricBatch) {
	if err := s.e.Append(t.Context(), testTenant, b); err != nil {
		t.Error(err)
	}
	s.written += len(b.Series)
}

// remember keeps a sample of a tracked series.
func (s *soak) remember(ls model.Labels, at int64, v float64) {
	if ls.Get(model.MetricName) != soakTrackedAs {
		return
	}
	if at < s.midnight {
		if old, ok := s.want[ls.String()][at]; ok {
			s.before.count--
			s.before.sum -= math.Float64frombits(old)
		}
		s.before.count++
		s.before.sum += v
	}
	s.want.add(ls, at, v)
}

// churn ends a twentieth of the series and begins new ones.
func (s *soak) churn(t *testing.T) {
	b := &store.MetricBatch{}
	at := s.clock.Load() + 1
	stale := math.Float64frombits(value.StaleNaN)
	for range s.series / 20 {
		slot := s.rnd.IntN(s.series)
		if s.rnd.IntN(10) == 0 {
			slot = s.rnd.IntN(soakTracked)
		}
		b.Series = append(b.Series, store.SeriesWrite{Labels: s.slots[slot], Samples: []store.Sample{{Time: at, Value: stale}}})
		if slot < soakTracked {
			s.want.add(s.slots[slot], at, stale)
		}
		s.slots[slot] = s.newSeries(slot)
	}
	s.append(t, b)
}

// upkeep does what [Store.Run] does.
func (s *soak) upkeep(ctx context.Context) error {
	errs := []error{s.e.flushIfDue(ctx), s.e.set.DropExpired(), s.e.Merge(ctx)}
	if now := time.UnixMilli(s.clock.Load()); now.Minute()%5 == 0 {
		s.e.dropTables(now)
		errs = append(errs, s.e.forgetDeletions(), s.e.queried.save(s.e.dir))
	}
	v := s.e.set.View(testTenant, always())
	defer v.Close()
	s.parts, s.wal = max(s.parts, len(v.Parts)), max(s.wal, s.e.log.Size())
	return errors.Join(errs...)
}

// tracked returns what a query for function f reads of the tracked series.
func (s *soak) tracked(t *testing.T, f string, r model.TimeRange) samples {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := samples{}
	sel := store.MetricSelector{Matchers: []*model.Matcher{equal(model.MetricName, soakTrackedAs)}, Range: r, Func: f}
	for x, err := range s.e.Select(ctx, testTenant, sel) {
		if err != nil {
			t.Error(err)
			break
		}
		ts, vs, err := x.Samples(nil, nil)
		if err != nil {
			t.Error(err)
		}
		for i := range ts {
			if i > 0 && ts[i] <= ts[i-1] {
				t.Errorf("%s: %d after %d", x.Labels(), ts[i], ts[i-1])
			}
			got.add(x.Labels(), ts[i], vs[i])
		}
	}
	return got
}

// checkOldDay demands that the day before midnight is there in full, as samples or as
// rows, until it is dropped.
func (s *soak) checkOldDay(t *testing.T) {
	t.Helper()
	want := s.before
	if s.clock.Load() > s.midnight+s.length.Milliseconds()/3 {
		want = tally{}
	}
	var counted, summed tally
	for f, into := range map[string]*tally{"count_over_time": &counted, "sum_over_time": &summed} {
		for _, points := range s.tracked(t, f, model.TimeRange{From: 0, To: s.midnight}) {
			for _, bits := range points {
				if v := math.Float64frombits(bits); v == v {
					into.count++
					into.sum += v
				}
			}
		}
	}
	if counted.count != want.count || math.Abs(summed.sum-want.sum) > 1e-6*want.sum {
		t.Fatalf("%d samples of the sum %g before midnight, want %d, %g", counted.count, summed.sum, want.count, want.sum)
	}
}

// heap returns what is in use with an empty head.
func (s *soak) heap(t *testing.T) uint64 {
	t.Helper()
	if err := s.e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC() // the first leaves what was in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
