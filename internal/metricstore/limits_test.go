package metricstore

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func one(ls model.Labels, at ...int64) *store.MetricBatch {
	s := store.SeriesWrite{Labels: ls}
	for _, t := range at {
		s.Samples = append(s.Samples, store.Sample{Time: t, Value: 1})
	}
	return &store.MetricBatch{Series: []store.SeriesWrite{s}}
}

func TestRefusals(t *testing.T) {
	now := storetest.Now().UnixMilli()
	day := int64(86_400_000)
	many := model.Labels{}
	for i := range 6 {
		many = append(many, model.Label{Name: fmt.Sprint("l", i), Value: "x"})
	}
	tests := []struct {
		name   string
		batch  *store.MetricBatch
		reason string
		kept   int
	}{
		{"too old", one(testLabels(1), now-15*day-1, now-15*day, now), store.ReasonTooOld, 2},
		{"too new", one(testLabels(1), now+600_001, now+600_000), store.ReasonTooNew, 1},
		{"end of time", one(testLabels(1), math.MaxInt64, now), store.ReasonTooNew, 1},
		{"begin of time", one(testLabels(1), math.MinInt64), store.ReasonTooOld, 0},
		{"many labels", one(many, now), store.ReasonLabelCount, 0},
		{"long name", one(model.Labels{{Name: strings.Repeat("n", 21), Value: "x"}}, now), store.ReasonLabelName, 0},
		{"long value", one(model.Labels{{Name: "n", Value: strings.Repeat("n", 31)}}, now), store.ReasonLabelValue, 0},
		{"series limit", &store.MetricBatch{Series: []store.SeriesWrite{
			one(testLabels(1), now).Series[0], one(testLabels(2), now).Series[0], one(testLabels(3), now).Series[0], one(testLabels(1), now).Series[0],
		}}, store.ReasonSeriesLimit, 3},
		{"bad histogram", &store.MetricBatch{Series: []store.SeriesWrite{{
			Labels: testLabels(1), Histograms: []store.HistogramSample{{Time: now}},
		}}}, reasonHistogram, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := testOptions()
			opts.Limits = func(model.Tenant) Limits {
				return Limits{ActiveSeries: 2, LabelsPerSeries: 5, LabelNameLen: 20, LabelValueLen: 30}
			}
			e := openEngine(t, t.TempDir(), opts)
			defer e.close(t)
			err := e.Append(t.Context(), testTenant, tt.batch)
			var r *store.Refused
			if !errors.As(err, &r) || len(r.Refusals) != 1 || r.Refusals[0].Reason != tt.reason || r.Kept != tt.kept {
				t.Fatalf("append = %v (%+v), want reason %s and %d kept", err, r, tt.reason, tt.kept)
			}
			if len(r.Refusals[0].Sample) > 2000 || r.Refusals[0].Sample == "" {
				t.Errorf("sample %q", r.Refusals[0].Sample)
			}
		})
	}
}

func TestUnlimitedRetentionTakesOldSamples(t *testing.T) {
	e := openEngine(t, t.TempDir(), Options{})
	defer e.close(t)
	want := samples{}
	for _, at := range []int64{-86_400_000 * 400, -1, 0, 1} {
		want.add(testLabels(1), at, 1)
		if err := e.Append(t.Context(), testTenant, one(testLabels(1), at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := 0
	sel := store.MetricSelector{All: true, Range: model.TimeRange{From: math.MinInt64, To: math.MaxInt64}}
	for x, err := range e.Select(t.Context(), testTenant, sel) {
		if err != nil {
			t.Fatal(err)
		}
		ts, _, err := x.Samples(nil, nil)
		if err != nil || !slices.IsSorted(ts) {
			t.Fatal(ts, err)
		}
		got += len(ts)
	}
	if got != 4 {
		t.Errorf("%d samples, want 4", got)
	}
}

// TestManyDays flushes samples of more days than are written in one pass.
func TestManyDays(t *testing.T) {
	e := openEngine(t, t.TempDir(), Options{})
	defer e.close(t)
	now := storetest.Now().UnixMilli()
	want := samples{}
	for i := range int64(2*maxDays + 5) {
		for s := range 3 {
			at := now - (i*5+int64(s))*86_400_000
			want.add(testLabels(s), at, float64(i))
			writeSample(t, e, testLabels(s), at, float64(i))
		}
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, read(t, e, nil)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestExpiredDaysAreDropped(t *testing.T) {
	now := storetest.Now()
	opts := testOptions()
	opts.Now = func() time.Time { return now }
	e := openEngine(t, t.TempDir(), opts)
	defer e.close(t)
	for i := range 3 {
		at := now.Add(-time.Duration(i) * 24 * time.Hour).UnixMilli()
		if err := e.Append(t.Context(), testTenant, one(testLabels(1), at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(15 * 24 * time.Hour)
	if err := e.set.DropExpired(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, e, nil)[testLabels(1).String()]; len(got) != 1 {
		t.Errorf("%d samples left, want 1", len(got))
	}
}

// TestIdleSeriesLeaveTheHead also demands that they can come back.
func TestIdleSeriesLeaveTheHead(t *testing.T) {
	e := openEngine(t, t.TempDir(), testOptions())
	defer e.close(t)
	now := storetest.Now().UnixMilli()
	const n = minDead + 100
	want := samples{}
	write := func(from, to int, at int64) {
		b := &store.MetricBatch{}
		for i := from; i < to; i++ {
			want.add(testLabels(i), at, 1)
			b.Series = append(b.Series, one(testLabels(i), at).Series[0])
		}
		if err := e.Append(t.Context(), testTenant, b); err != nil {
			t.Fatal(err)
		}
	}
	write(0, n, now)
	for i := range int64(4) {
		write(0, 50, now+1+i)
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.headSeries(); got != 50 {
		t.Errorf("%d series in the head, want 50", got)
	}
	write(30, 90, now+10)
	if got := e.headSeries(); got != 90 {
		t.Errorf("%d series in the head, want 90", got)
	}
	if got := read(t, e, nil); len(got) != n || len(got[testLabels(40).String()]) != 6 || len(got[testLabels(80).String()]) != 2 {
		t.Errorf("%d series; %v; %v", len(got), got[testLabels(40).String()], got[testLabels(80).String()])
	}
	crashed := openEngine(t, copyDir(t, strings.TrimSuffix(e.dir, "/metrics")), testOptions())
	defer crashed.close(t)
	got := read(t, crashed, nil)
	for name, points := range want {
		if len(got[name]) != len(points) {
			t.Fatalf("%s: %d samples after a crash, want %d", name, len(got[name]), len(points))
		}
	}
}

func TestOverloaded(t *testing.T) {
	opts := testOptions()
	opts.HeadBytes = 100
	e := openEngine(t, t.TempDir(), opts)
	defer e.close(t)
	now := storetest.Now().UnixMilli()
	var err error
	for i := range 1000 {
		if err = e.Append(t.Context(), testTenant, one(testLabels(i), now)); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrOverloaded) {
		t.Fatalf("append = %v, want ErrOverloaded", err)
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Append(t.Context(), testTenant, one(testLabels(1), now+1)); err != nil {
		t.Errorf("append after a flush: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := Open(t.TempDir(), nil, Options{HeadBytes: -1, HeadAge: -1})
	if err == nil || !strings.Contains(err.Error(), "head size") || !strings.Contains(err.Error(), "head age") {
		t.Errorf("open = %v, want both mistakes", err)
	}
}
