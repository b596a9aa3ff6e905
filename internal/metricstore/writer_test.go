package metricstore

import (
	"errors"
	"strconv"
	"testing"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestTooManyChunks finishes a part with more chunks than a column holds.
func TestTooManyChunks(t *testing.T) {
	set, err := part.Open(t.TempDir(), part.Options[*partData]{
		Signal: model.Metrics, Load: func(*part.File) (*partData, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	f, err := set.Create("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	w := newPartWriter(f, nil, 0)
	w.chunks = make([]chunkMeta, codec.MaxCount+1) // memory that is never touched
	if _, err := w.finish(0); !errors.Is(err, store.ErrLimit) {
		t.Errorf("error %v, want ErrLimit", err)
	}
}

// TestTooManySamples appends a batch with more samples than a record holds.
func TestTooManySamples(t *testing.T) {
	e := openEngine(t, t.TempDir(), testOptions())
	defer e.close(t)
	now := storetest.Now().UnixMilli()
	b := &store.MetricBatch{Series: []store.SeriesWrite{{
		Labels: model.Labels{{Name: "__name__", Value: "m"}}, Samples: make([]store.Sample, codec.MaxCount+1),
	}}}
	for i := range b.Series[0].Samples {
		b.Series[0].Samples[i].Time = now
	}
	if err := e.Append(t.Context(), "t", b); !errors.Is(err, store.ErrLimit) {
		t.Errorf("error %v, want ErrLimit", err)
	}
}

// TestManySeriesMakeSeveralParts flushes and merges more series than one part takes.
func TestManySeriesMakeSeveralParts(t *testing.T) {
	e := openEngine(t, t.TempDir(), testOptions())
	defer e.close(t)
	e.limit = 100
	now := storetest.Now().UnixMilli()
	const series = 450
	want := 0
	for round := range 3 {
		b := &store.MetricBatch{}
		for i := range series {
			b.Series = append(b.Series, store.SeriesWrite{
				Labels:  model.NewLabels(model.Label{Name: "__name__", Value: "m"}, model.Label{Name: "i", Value: strconv.Itoa(i)}),
				Samples: []store.Sample{{Time: now - int64(round)*1000, Value: float64(i)}},
			})
			want++
		}
		if err := e.Append(t.Context(), testTenant, b); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(minParts int) {
		t.Helper()
		v := e.set.View(testTenant, always())
		defer v.Close()
		if len(v.Parts) < minParts {
			t.Errorf("%d parts, want at least %d", len(v.Parts), minParts)
		}
		got, last := 0, -1
		for s, err := range e.Select(t.Context(), testTenant, store.MetricSelector{All: true, Range: model.TimeRange{From: now - 10_000, To: now + 1}}) {
			if err != nil {
				t.Fatal(err)
			}
			ts, vs, err := s.Samples(nil, nil)
			if err != nil || len(ts) != 3 || strconv.Itoa(int(vs[0])) != s.Labels().Get("i") {
				t.Fatalf("series %s: %v %v, %v", s.Labels(), ts, vs, err)
			}
			got += len(ts)
			last++
		}
		if got != want || last+1 != series {
			t.Errorf("%d samples of %d series, want %d of %d", got, last+1, want, series)
		}
	}
	check(3 * series / 100)
	if err := e.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(series / 100)
}
