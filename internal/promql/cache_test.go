package promql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestCacheEqualsEngine asks random range queries of a few dashboards while time goes by,
// samples come in, some of them late, and some are deleted, with and without the cache.
func TestCacheEqualsEngine(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // a test wants the same numbers each time
	now := time.UnixMilli(sampleStart)
	m := storetest.NewMetrics()
	c := NewCache(CacheOptions{Margin: 2 * time.Minute, MaxBytes: 1 << 20, Now: func() time.Time { return now }})
	w := c.Watch(m)
	e := New(Options{Features: Features()})
	write := func(at time.Time) {
		var b store.MetricBatch
		for inst := range 3 {
			if rnd.IntN(8) > 0 {
				b.Series = append(b.Series, store.SeriesWrite{
					Labels:  model.NewLabels(model.Label{Name: model.MetricName, Value: "a_total"}, model.Label{Name: "instance", Value: fmt.Sprint(inst)}),
					Samples: []store.Sample{{Time: at.UnixMilli(), Value: rnd.Float64()}},
				})
			}
		}
		if err := w.Append(t.Context(), "t1", &b); err != nil {
			t.Fatal(err)
		}
	}
	texts := []string{
		"a_total", "sum(rate(a_total[2m]))", "max_over_time(a_total[3m:30s] offset 1m)", "topk(1, a_total)",
		"absent(a_total > 0.9)", "a_total offset -1m", "count(a_total @ end())", "rate(a_total[1m]) > 0.001 or vector(time())",
	}
	reused := 0
	for i := range 1500 {
		now = now.Add(15 * time.Second)
		write(now)
		if rnd.IntN(20) == 0 {
			write(now.Add(-time.Duration(rnd.IntN(40)) * time.Minute))
		}
		step := []time.Duration{15 * time.Second, time.Minute}[rnd.IntN(2)]
		q := Query{Tenant: "t1", Text: texts[rnd.IntN(len(texts))], Step: step}
		q.End = now.Truncate(step).Add(-time.Duration(rnd.IntN(3)) * step)
		q.Start = q.End.Add(-time.Duration(5+rnd.IntN(20)) * step)
		got, err := c.Run(t.Context(), e, m, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		reused += got.CachedSteps
		want, err := e.Run(t.Context(), m, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffAnswers(got, want); diff != "" {
			t.Fatalf("round %d: %s from %v to %v every %v: %s", i, q.Text, q.Start, q.End, step, diff)
		}
	}
	if reused == 0 {
		t.Error("nothing was reused")
	}
}

func TestCacheForgets(t *testing.T) {
	m := load(t)
	now := time.UnixMilli(1_000_000 + 3_600_000)
	c := NewCache(CacheOptions{Now: func() time.Time { return now }})
	e := New(Options{Features: Features()})
	q := Query{Tenant: "t1", Text: "up", Start: time.UnixMilli(1_000_000), End: time.UnixMilli(1_100_000), Step: 10 * time.Second}
	ask := func(q Query) int {
		t.Helper()
		res, err := c.Run(t.Context(), e, m, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res.CachedSteps
	}
	if n := ask(q); n != 0 {
		t.Errorf("the first answer reuses %d steps", n)
	}
	if n := ask(q); n != 11 {
		t.Errorf("the second answer reuses %d steps, want 11", n)
	}
	other := q
	other.Tenant = "t2"
	if n := ask(other); n != 0 {
		t.Errorf("another tenant reuses %d steps", n)
	}
	c.Drop("t1")
	if n := ask(q); n != 0 {
		t.Errorf("after a deletion %d steps are reused", n)
	}
	w := c.Watch(m)
	sample := func(ms int64) *store.MetricBatch {
		return &store.MetricBatch{Series: []store.SeriesWrite{{
			Labels: model.NewLabels(model.Label{Name: model.MetricName, Value: "x"}), Samples: []store.Sample{{Time: ms, Value: 1}},
		}}}
	}
	if err := w.Append(t.Context(), "t1", sample(now.UnixMilli())); err != nil {
		t.Fatal(err)
	}
	if n := ask(q); n != 11 {
		t.Errorf("after a new sample %d steps are reused, want 11", n)
	}
	zero := c.Watch(zeroAdder{m, 1_050_000})
	if err := zero.Append(t.Context(), "t1", sample(now.UnixMilli())); err != nil {
		t.Fatal(err)
	}
	if n := ask(q); n != 0 {
		t.Errorf("after a zero sample %d steps are reused", n)
	}
	if n := ask(q); n != 11 {
		t.Errorf("%d steps are reused, want 11", n)
	}
	if err := w.Append(t.Context(), "t1", sample(1_050_000)); err != nil {
		t.Fatal(err)
	}
	if n := ask(q); n != 0 {
		t.Errorf("after a late sample %d steps are reused", n)
	}
}

// zeroAdder says that it has added a sample.
type zeroAdder struct {
	store.MetricWriter
	at int64
}

func (z zeroAdder) Append(ctx context.Context, tenant model.Tenant, b *store.MetricBatch) error {
	b.Added = z.at
	return z.MetricWriter.Append(ctx, tenant, b)
}
