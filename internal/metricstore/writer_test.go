package metricstore

import (
	"errors"
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
