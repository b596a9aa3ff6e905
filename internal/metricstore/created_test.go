package metricstore

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestCreatedZero writes one counter, again and again, and looks for zero samples where it
// began and nowhere else.
func TestCreatedZero(t *testing.T) {
	begin := storetest.Now()
	now := begin
	opts := testOptions()
	opts.CreatedZero = true
	opts.Now = func() time.Time { return now }
	dir := t.TempDir()
	e := openEngine(t, dir, opts)
	defer func() { e.close(t) }()
	want := samples{}
	for _, c := range []struct {
		name             string
		at, start, added int // seconds from begin; start and added 0 for none
		before           func()
	}{
		{name: "begins", at: 60, start: 30, added: 30},
		{name: "goes on", at: 75, start: 30},
		{name: "starts anew", at: 105, start: 90, added: 90},
		{name: "starts within its past", at: 120, start: 80},
		{name: "starts with its sample", at: 135, start: 135},
		{name: "starts with its last sample", at: 150, start: 135},
		{name: "does not say", at: 165},
		{name: "goes on after a flush", at: 180, start: 90, before: func() {
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "starts anew after a flush", at: 210, start: 195, added: 195},
		{name: "goes on in a new process", at: 240, start: 195, before: func() {
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.close(t)
			e = openEngine(t, dir, opts)
		}},
		{name: "starts anew long ago", at: 10_000, start: 300},
		{name: "starts anew then", at: 10_060, start: 10_030, added: 10_030},
	} {
		at := func(s int) int64 { return begin.UnixMilli() + int64(s)*1000 }
		now = time.UnixMilli(at(c.at))
		if c.before != nil {
			c.before()
		}
		w := store.SeriesWrite{Labels: testLabels(1), Samples: []store.Sample{{Time: at(c.at), Value: float64(c.at)}}}
		added := int64(0)
		if c.start != 0 {
			w.Start = at(c.start)
		}
		if c.added != 0 {
			added = at(c.added)
			want.add(testLabels(1), added, 0)
		}
		want.add(testLabels(1), at(c.at), float64(c.at))
		b := &store.MetricBatch{Series: []store.SeriesWrite{w}}
		if err := e.Append(t.Context(), testTenant, b); err != nil {
			t.Fatal(err)
		}
		if b.Added != added {
			t.Errorf("%s: added at %d, want %d", c.name, b.Added, added)
		}
		if d := cmp.Diff(want, read(t, e, nil)); d != "" {
			t.Fatalf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// TestCreatedZeroOfForgottenSeries demands no zero sample within the past of a series that
// the head no longer knows.
func TestCreatedZeroOfForgottenSeries(t *testing.T) {
	now := storetest.Now()
	opts := testOptions()
	opts.CreatedZero = true
	opts.Now = func() time.Time { return now }
	e := openEngine(t, t.TempDir(), opts)
	defer e.close(t)
	now = now.Add(time.Minute)
	first := now.UnixMilli()
	b := &store.MetricBatch{}
	for i := range minDead + 1 {
		b.Series = append(b.Series, one(testLabels(i), first).Series...)
	}
	for range idleCuts + 2 {
		if err := e.Append(t.Context(), testTenant, b); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b = one(testLabels(0), now.UnixMilli()+1)
	}
	if n := e.headSeries(); n != 1 {
		t.Fatalf("%d series in the head, want 1", n)
	}
	now = now.Add(time.Minute)
	b = one(testLabels(7), now.UnixMilli())
	b.Series[0].Start = first
	if err := e.Append(t.Context(), testTenant, b); err != nil || b.Added != 0 {
		t.Errorf("added at %d, %v", b.Added, err)
	}
}

// TestCreatedZeroOff demands that nothing is added, and that histograms are treated as
// samples are when it is on.
func TestCreatedZeroOff(t *testing.T) {
	for _, on := range []bool{false, true} {
		now := storetest.Now()
		opts := testOptions()
		opts.CreatedZero = on
		opts.Now = func() time.Time { return now }
		e := openEngine(t, t.TempDir(), opts)
		defer e.close(t)
		now = now.Add(time.Minute)
		h := &histogram.Histogram{Schema: 3, Count: 2, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{2}}
		in := []store.HistogramSample{{Time: now.UnixMilli(), Int: h}}
		b := &store.MetricBatch{Series: []store.SeriesWrite{{
			Labels: model.Labels{label(model.MetricName, "hist")}, Start: now.UnixMilli() - 5000, Histograms: slices.Clone(in),
		}}}
		if err := e.Append(t.Context(), testTenant, b); err != nil {
			t.Fatal(err)
		}
		got := readHistograms(t, e, "hist")
		switch {
		case !on && len(got) != 1, on && len(got) != 2:
			t.Errorf("on is %t: %v", on, got)
		case on && (got[0].Time != now.UnixMilli()-5000 || got[0].Int.Schema != 3 || got[0].Int.Count != 0):
			t.Errorf("zero histogram %v", got[0])
		}
	}
}
