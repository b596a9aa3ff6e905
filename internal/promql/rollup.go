package promql

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"golang.org/x/sync/errgroup"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// rollupSpec is a selector and the function that makes one value of the samples in a
// window (t-window, t] of it.
type rollupSpec struct {
	vs       *parser.VectorSelector
	window   int64 // milliseconds
	f        rollupFunc
	instant  bool // an instant selector: a stale marker ends the series
	keepName bool
	name     string // of the PromQL function, "" for an instant selector
	counter  bool   // warn if the metric is not named like a counter
	arg      parser.Expr
}

// rollupSeries is a series to roll up.
type rollupSeries struct {
	store.Series
	labels labels.Labels
	any    bool // it has a value at some step
}

// open selects the series of spec over all steps.
func (ev *evaluator) open(spec *rollupSpec) ([]rollupSeries, error) {
	vs := spec.vs
	if vs.Timestamp != nil || vs.StartOrEnd != 0 || vs.Anchored || vs.Smoothed || vs.OriginalOffsetExpr != nil {
		return nil, errFallback
	}
	ms, err := convertMatchers(vs.LabelMatchers)
	if err != nil {
		return nil, err
	}
	offset := vs.OriginalOffset.Milliseconds()
	sel := store.MetricSelector{
		Matchers: ms, Step: ev.step, Func: spec.name, Account: ev.acct,
		Range: model.TimeRange{From: ev.start - offset - spec.window + 1, To: ev.at(ev.n-1) - offset + 1},
	}
	var out []rollupSeries
	for s, err := range ev.reader.Select(ev.ctx, ev.tenant, sel) {
		if err != nil {
			return nil, err
		}
		ls := PromLabels(s.Labels())
		if !spec.keepName {
			ls = dropMetadata(ls)
		}
		out = append(out, rollupSeries{Series: s, labels: ls})
	}
	return out, nil
}

// rollup evaluates spec for every series. arg is the expression that warnings point at.
func (ev *evaluator) rollup(arg parser.Expr, spec rollupSpec) ([]row, error) {
	spec.arg = arg
	series, err := ev.open(&spec)
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(series))
	err = ev.parallel(len(series), func(from, to int) error {
		var buf rollupBuf
		for i := from; i < to; i++ {
			vals, err := ev.newRow()
			if err != nil {
				return err
			}
			if err := ev.rollOne(&spec, &series[i], &buf, vals); err != nil {
				return err
			}
			rows[i] = row{series[i].labels, vals}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows = dropEmpty(rows)
	ev.warnNonCounters(&spec, series)
	if spec.keepName {
		return rows, nil
	}
	return rows, checkUnique(rows)
}

// dropEmpty removes rows without a value.
func dropEmpty(rows []row) []row {
	out := rows[:0]
	for _, r := range rows {
		for _, v := range r.vals {
			if !isAbsent(v) {
				out = append(out, r)
				break
			}
		}
	}
	return out
}

// parallel splits n items into contiguous runs, one a worker.
func (ev *evaluator) parallel(n int, f func(from, to int) error) error {
	workers := min(ev.workers, (n+63)/64) // fewer series are not worth a goroutine
	if workers <= 1 {
		return f(0, n)
	}
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error { return f(n*w/workers, n*(w+1)/workers) })
	}
	return g.Wait()
}

// rollupBuf is the memory of one worker.
type rollupBuf struct {
	ts    []int64
	vs    []float64
	hs    []store.HistogramSample
	sort  []float64
	drops []int32
	count int
}

// rollOne rolls up one series into vals, which holds absent values.
func (ev *evaluator) rollOne(spec *rollupSpec, s *rollupSeries, buf *rollupBuf, vals []float64) error {
	if buf.count++; buf.count%64 == 0 && ev.ctx.Err() != nil {
		return ev.ctx.Err()
	}
	var err error
	if buf.hs, err = s.Histograms(buf.hs[:0]); err != nil {
		return err
	}
	if len(buf.hs) > 0 {
		return errFallback
	}
	if buf.ts, buf.vs, err = s.Samples(buf.ts[:0], buf.vs[:0]); err != nil {
		return err
	}
	ts, vs := buf.ts, buf.vs
	if !spec.instant {
		ts, vs = dropStale(ts, vs)
	}
	if spec.counter {
		buf.drops = lastDrops(buf.drops[:0], vs)
	}
	w := window{scratch: &buf.sort}
	w.to = ev.start - spec.vs.OriginalOffset.Milliseconds()
	lo, hi := 0, 0
	for i := range vals {
		w.from = w.to - spec.window
		for hi < len(ts) && ts[hi] <= w.to {
			hi++
		}
		for lo < hi && ts[lo] <= w.from {
			lo++
		}
		switch {
		case lo < hi:
			w.ts, w.vs = ts[lo:hi], vs[lo:hi]
			w.rising = spec.counter && int(buf.drops[hi-1]) <= lo
			if v, ok := spec.f(&w); ok {
				vals[i] = v
				s.any = true
			}
		case hi == len(ts):
			return nil // no later step has a sample either
		}
		w.to += ev.step
	}
	return nil
}

// lastDrops appends, for every sample, the index of the last one up to it that is below
// the one before it, 0 if there is none: then a window knows at once whether it holds a
// counter reset.
func lastDrops(dst []int32, vs []float64) []int32 {
	last := int32(0)
	for i, v := range vs {
		if i > 0 && v < vs[i-1] {
			last = int32(i)
		}
		dst = append(dst, last)
	}
	return dst
}

// dropStale removes stale markers in place: a range does not see them.
func dropStale(ts []int64, vs []float64) ([]int64, []float64) {
	n := 0
	for i, v := range vs {
		if !isAbsent(v) {
			ts[n], vs[n] = ts[i], v
			n++
		}
	}
	return ts[:n], vs[:n]
}

// warnNonCounters adds Prometheus' info for rate and increase of metrics that are not
// named like counters, if they have a value.
func (ev *evaluator) warnNonCounters(spec *rollupSpec, series []rollupSeries) {
	if !spec.counter {
		return
	}
	last := ""
	for _, s := range series {
		name := s.Labels().Get(model.MetricName)
		if !s.any || name == last || name == "" {
			continue
		}
		last = name
		counter := strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_sum") ||
			strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_bucket")
		if !counter {
			ev.annos.Add(annotations.NewPossibleNonCounterInfo(name, spec.arg.PositionRange()))
		}
	}
}
