package logql

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// naive computes a range aggregation the obvious way: for each step, collect the samples
// of its window and look at all of them.
func naive(e *rangeAggExpr, steps []int64, samples []sample) []Point {
	var out []Point
	kind := e.fn.acc
	for _, t := range steps {
		w := newWindow(kind.fields())
		end := t - int64(e.offset)
		for _, s := range samples {
			if end-int64(e.rng) < s.time && s.time <= end {
				w.add(kind, 0, s.time, s.value)
			}
		}
		if w.n[0] > 0 {
			out = append(out, Point{t, w.value(e, kind, end)})
		}
	}
	return out
}

// TestWindows compares the evaluator with the naive one on random ranges, steps, offsets
// and samples.
func TestWindows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	funcs := []string{
		"avg_over_time", "min_over_time", "max_over_time", "first_over_time", "last_over_time",
		"stdvar_over_time", "stddev_over_time", "quantile_over_time", "sum_over_time", "rate_counter", "count_over_time", "rate",
	}
	for range 300 {
		fn := funcs[rnd.IntN(len(funcs))]
		unit := []int64{1, 7, 1000, int64(time.Second)}[rnd.IntN(4)]
		e := &rangeAggExpr{
			fn: rangeFuncOf(fn), param: rnd.Float64(),
			query:  &LogQuery{Matchers: []*model.Matcher{model.MustMatcher(model.MatchEqual, "app", "x")}, stages: []stageNode{&logfmtNode{}}},
			unwrap: &unwrapNode{name: "v"},
			rng:    time.Duration(rnd.Int64N(50) * unit),
			offset: time.Duration((rnd.Int64N(20) - 10) * unit),
		}
		if e.fn.acc == accCount { // the way by columns
			e.unwrap, e.query.stages = nil, nil
		}
		start := int64(1_700_000_000_000_000_000) + rnd.Int64N(100)
		p := Params{Start: start, Step: time.Duration((1 + rnd.Int64N(30)) * unit)}
		p.End = start + rnd.Int64N(20)*int64(p.Step)
		logs := storetest.NewLogs()
		stream := store.LogStream{Labels: model.Labels{{Name: "app", Value: "x"}}}
		var samples []sample
		for range rnd.IntN(60) {
			at := start + (rnd.Int64N(700)-100)*unit
			if slices.ContainsFunc(samples, func(s sample) bool { return s.time == at }) {
				continue
			}
			v := float64(rnd.IntN(100))
			samples = append(samples, sample{at, v})
			stream.Entries = append(stream.Entries, store.LogEntry{Time: at, Line: "v=" + formatNumber(v)})
		}
		if err := logs.Append(t.Context(), "t", &store.LogBatch{Streams: []store.LogStream{stream}}); err != nil {
			t.Fatal(err)
		}
		x := &exec{engine: &Engine{Reader: logs}, ctx: t.Context(), tenant: "t", p: p}
		for at := p.Start; at <= p.End; at += int64(p.Step) {
			x.steps = append(x.steps, at)
		}
		f, err := x.rangeAgg(e, &grouping{})
		if err != nil {
			t.Fatal(err)
		}
		res, err := x.result(f)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(samples, func(a, b sample) int { return int(a.time - b.time) })
		var got []Point
		if len(res.Series) > 0 {
			got = res.Series[0].Points
		}
		near := cmp.Comparer(func(a, b float64) bool { return a == b || math.Abs(a-b) < 1e-6*(math.Abs(a)+math.Abs(b)) })
		if diff := cmp.Diff(naive(e, x.steps, samples), got, near); diff != "" {
			t.Fatalf("%s start %d step %d: (-naive +got)\n%s", e, start, p.Step, diff)
		}
	}
}
