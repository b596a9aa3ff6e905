package promql

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"golang.org/x/sync/errgroup"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// rollupSpec is a selector or subquery and the function that makes one value of the
// samples in a window (t-window, t] of each of its series.
type rollupSpec struct {
	vs     *parser.VectorSelector // nil: a subquery
	sub    *parser.SubqueryExpr
	window int64  // milliseconds
	offset int64  // milliseconds from the end of the window to the step
	fixed  *int64 // @: the window ends here (less the offset) at every step

	name     string // of the PromQL function, "" for an instant selector
	f        rollupFunc
	params   [][]float64        // its other arguments, by step
	args     parser.Expressions // its arguments as Prometheus' functions want them
	instant  bool               // an instant selector: a stale marker ends the series
	keepName bool
	counter  bool // rate or increase
	sums     bool // summaries of samples will do
}

// first returns the end of the window at the first step and how far it moves with a step.
func (spec *rollupSpec) first(ev *evaluator) (end, stride int64) {
	if spec.fixed != nil {
		return *spec.fixed - spec.offset, 0
	}
	return ev.start - spec.offset, ev.step
}

// selector returns the rollup that an instant selector is.
func (ev *evaluator) selector(vs *parser.VectorSelector) (rollupSpec, error) {
	if vs.Anchored || vs.Smoothed {
		return rollupSpec{}, errFallback
	}
	return rollupSpec{
		vs: vs, window: ev.look, offset: vs.OriginalOffset.Milliseconds(), fixed: vs.Timestamp,
		instant: true, keepName: true,
	}, nil
}

// rollupCall returns the rollup that a call over a range is; ok is false if it is none.
func (ev *evaluator) rollupCall(e *parser.Call) (spec rollupSpec, ok bool, err error) {
	at := slices.IndexFunc(e.Args, func(a parser.Expr) bool { return a.Type() == parser.ValueTypeMatrix })
	if at < 0 {
		return spec, false, nil
	}
	name := e.Func.Name
	spec = rollupSpec{
		name: name, args: slices.Clone(e.Args),
		keepName: name == "last_over_time" || name == "first_over_time", counter: name == "rate" || name == "increase",
	}
	for i, arg := range e.Args {
		if i == at {
			continue
		}
		in, err := ev.eval(arg)
		if err != nil {
			return spec, true, err
		}
		spec.params = append(spec.params, in.scalar)
	}
	if spec.f, ok = rollupFuncs(name, spec.params); !ok {
		return spec, true, errFallback
	}
	as := &parser.MatrixSelector{}
	var stand parser.VectorSelector
	switch m := e.Args[at].(type) {
	case *parser.MatrixSelector:
		vs, is := m.VectorSelector.(*parser.VectorSelector)
		if !is || vs.Anchored || vs.Smoothed {
			return spec, true, errFallback
		}
		spec.vs, spec.window, spec.offset, spec.fixed = vs, m.Range.Milliseconds(), vs.OriginalOffset.Milliseconds(), vs.Timestamp
		*as, stand = *m, *vs
		spec.sums = summarized(name)
	case *parser.SubqueryExpr:
		spec.sub, spec.window, spec.offset, spec.fixed = m, m.Range.Milliseconds(), m.OriginalOffset.Milliseconds(), m.Timestamp
		as.Range = m.Range
	default: // @ on a subquery of a function that depends on the step: Prometheus answers nothing
		return spec, true, errFallback
	}
	end, _ := spec.first(ev)
	stand.Offset = time.Duration(ev.start-end) * time.Millisecond
	as.VectorSelector = &stand
	spec.args[at] = as
	return spec, true, nil
}

// rollupSeries is a series to roll up: of the store, or a row of a subquery.
type rollupSeries struct {
	store.Series
	row    *row
	any    bool // it has a value at some step
	floats bool // one of them is a float
}

// name returns the metric name.
func (s *rollupSeries) name() string {
	if s.row != nil {
		return s.row.labels.Get(model.MetricName)
	}
	return s.Labels().Get(model.MetricName)
}

// full returns all labels.
func (s *rollupSeries) full() labels.Labels {
	if s.row != nil {
		return s.row.labels
	}
	return PromLabels(s.Labels())
}

// source is the series of a rollup.
type source struct {
	spec   *rollupSpec
	series []rollupSeries
	grid   *evaluator // of a subquery: the steps of its rows
	differ bool       // no two series have the same labels in the result

	uncut func(from, to int64) bool // see [rollupSpec.uncut]
}

// labels returns the labels of series i in the result.
func (src *source) labels(i int) labels.Labels {
	s := &src.series[i]
	if src.spec.keepName {
		return s.full()
	}
	if s.row != nil {
		return dropMetadata(s.row.labels)
	}
	ls := s.Labels()
	b := labels.NewScratchBuilder(len(ls))
	for _, l := range ls {
		if !isMetadata(l.Name) {
			b.Add(l.Name, l.Value)
		}
	}
	return b.Labels()
}

// group adds to buf what tells the group of series i.
func (src *source) group(k *groupKey, buf []byte, i int) []byte {
	s := &src.series[i]
	if s.row != nil {
		return k.of(buf, src.labels(i))
	}
	return k.ofModel(buf, s.Labels())
}

// unique reports that the series that have a value have different labels.
func (src *source) unique() bool {
	if src.differ {
		return true
	}
	seen := make(map[uint64]struct{}, len(src.series))
	for i := range src.series {
		if !src.series[i].any {
			continue
		}
		h := src.labels(i).Hash()
		if _, dup := seen[h]; dup {
			return false
		}
		seen[h] = struct{}{}
	}
	return true
}

// release gives the memory of src back.
func (src *source) release(ev *evaluator) {
	if src.grid == nil && cap(src.series) > 0 {
		clear(src.series)
		list := src.series[:0]
		ev.engine.series.Put(&list)
	}
	src.series = nil
}

// open selects the series of spec over all steps.
func (ev *evaluator) open(spec *rollupSpec) (source, error) {
	if spec.sub != nil {
		return ev.openSubquery(spec)
	}
	ms, err := convertMatchers(spec.vs.LabelMatchers)
	if err != nil {
		return source{}, err
	}
	sel := store.MetricSelector{Matchers: ms, Step: ev.step, Func: spec.name, Account: ev.acct, Range: ev.reach(spec)}
	sel.Latest = spec.instant && (ev.n == 1 || spec.fixed != nil)
	out := source{spec: spec, differ: spec.keepName || oneMetric(ms), uncut: spec.uncut(ev)}
	if list, ok := ev.engine.series.Get().(*[]rollupSeries); ok {
		out.series = *list
	}
	for s, err := range ev.reader.Select(ev.ctx, ev.tenant, sel) {
		if err != nil {
			out.release(ev)
			return out, err
		}
		out.series = append(out.series, rollupSeries{Series: s})
		out.differ = out.differ && !described(s.Labels())
	}
	return out, nil
}

// reach returns the range of the samples in all windows of spec.
func (ev *evaluator) reach(spec *rollupSpec) model.TimeRange {
	end, stride := spec.first(ev)
	return model.TimeRange{From: end - spec.window + 1, To: end + int64(ev.n-1)*stride + 1}
}

// oneMetric reports whether matchers select series of one metric only: then they differ
// without their names, too.
func oneMetric(ms []*model.Matcher) bool {
	return slices.ContainsFunc(ms, func(m *model.Matcher) bool {
		return m.Name == model.MetricName && m.Type == model.MatchEqual && m.Value != ""
	})
}

// described reports whether labels hold a type or unit, which go with the name.
func described(ls model.Labels) bool {
	for _, l := range ls {
		if len(l.Name) == len("__type__") && l.Name != model.MetricName && isMetadata(l.Name) {
			return true
		}
	}
	return false
}

func isMetadata(name string) bool {
	return name == model.MetricName || name == "__type__" || name == "__unit__"
}

// subgrid returns the evaluator of the subquery of spec at its own steps: the multiples of
// its step in all windows. It is nil if there are none.
func (ev *evaluator) subgrid(spec *rollupSpec) *evaluator {
	first, stride := spec.first(ev)
	if stride == 0 { // as Prometheus, whose @ fixes the window but evaluates on
		stride = ev.step
	}
	last := first + int64(ev.n-1)*stride
	step := spec.sub.Step.Milliseconds()
	if step == 0 {
		step = defaultSubqueryStep
	}
	from := first - spec.window
	start := step * (from / step)
	if start <= from {
		start += step
	}
	if last < start {
		return nil
	}
	return &evaluator{query: ev.query, start: start, end: last, step: step, n: int((last-start)/step) + 1}
}

// openSubquery evaluates the subquery of spec.
func (ev *evaluator) openSubquery(spec *rollupSpec) (source, error) {
	grid := ev.subgrid(spec)
	if grid == nil {
		return source{spec: spec}, nil
	}
	in, err := grid.eval(spec.sub.Expr)
	if err != nil {
		return source{}, err
	}
	if in.scalar != nil {
		in.rows = []row{{vals: in.scalar}}
	}
	out := source{spec: spec, grid: grid, series: make([]rollupSeries, len(in.rows)), differ: spec.keepName}
	for i := range in.rows {
		out.series[i].row = &in.rows[i]
	}
	return out, nil
}

// rollup evaluates spec for every series.
func (ev *evaluator) rollup(spec rollupSpec) (operand, error) {
	src, err := ev.open(&spec)
	if err != nil {
		return operand{}, err
	}
	defer src.release(ev)
	rows := make([]row, len(src.series))
	err = ev.parallel(len(rows), func(from, to int) error {
		buf := newRollupBuf(ev)
		defer buf.done()
		for i := from; i < to; i++ {
			vals, err := ev.newRow()
			if err != nil {
				return err
			}
			hists, err := ev.rollOne(&spec, &src, i, buf, vals)
			if err != nil {
				return err
			}
			rows[i] = row{vals: vals, hists: hists}
		}
		return nil
	})
	if err != nil {
		return operand{}, err
	}
	if !src.unique() {
		return operand{}, ev.duplicates(spec.name)
	}
	ev.warnNonCounters(&spec, src.series)
	n := 0
	for i := range rows {
		if src.series[i].any {
			rows[n] = rows[i]
			rows[n].labels = src.labels(i)
			n++
		}
	}
	ev.drop(len(rows) - n)
	return operand{rows: rows[:n]}, nil
}

// duplicates is the answer of a function over a range whose series are equal without their
// names: an error, even if they never have a value at one step.
func (ev *evaluator) duplicates(function string) error {
	if function == "timestamp" {
		return errFallback // over an instant selector steps do count
	}
	return evaluation{errors.New("vector cannot contain metrics with the same labelset")}
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
	ev    *evaluator
	ts    []int64
	vs    []float64
	hs    []store.HistogramSample
	sums  []model.Summary
	sort  []float64
	count int

	windows windows

	floats []promql.FPoint
	points []promql.HPoint
	wide   []*histogram.FloatHistogram // memory of histograms that are floats only while one series is rolled up
	help   promql.EvalNodeHelper
	annos  annotations.Annotations
}

func newRollupBuf(ev *evaluator) *rollupBuf {
	buf, ok := ev.engine.bufs.Get().(*rollupBuf)
	if !ok {
		buf = &rollupBuf{}
	}
	buf.ev = ev
	return buf
}

// done hands in the warnings of the worker, and its memory for the next one.
func (buf *rollupBuf) done() {
	ev := buf.ev
	if len(buf.annos) > 0 {
		ev.mu.Lock()
		ev.annos.Merge(buf.annos)
		ev.mu.Unlock()
	}
	if buf.points != nil || cap(buf.ts) > maxPooled {
		return // histograms, or a very long series
	}
	buf.ev, buf.annos, buf.count, buf.windows.known = nil, nil, 0, false
	ev.engine.bufs.Put(buf)
}

// maxPooled is the number of samples whose memory is kept for the next query.
const maxPooled = 1 << 16

// load decodes series i of src.
func (buf *rollupBuf) load(src *source, i int) error {
	s := &src.series[i]
	buf.ts, buf.vs, buf.sums = buf.ts[:0], buf.vs[:0], buf.sums[:0]
	clear(buf.hs)
	buf.hs = buf.hs[:0]
	var err error
	if s.row == nil {
		if buf.hs, err = s.Histograms(buf.hs); err != nil {
			return err
		}
		if src.spec.sums && len(buf.hs) == 0 {
			buf.ts, buf.vs, buf.sums, err = s.Summaries(src.uncut, buf.ts, buf.vs, buf.sums)
			return err
		}
		buf.ts, buf.vs, err = s.Samples(buf.ts, buf.vs)
		return err
	}
	for k, v := range s.row.vals {
		switch {
		case !isAbsent(v):
			buf.ts, buf.vs = append(buf.ts, src.grid.at(k)), append(buf.vs, v)
		case s.row.hists != nil && s.row.hists[k] != nil:
			h := s.row.hists[k]
			if h.CounterResetHint == histogram.NotCounterReset || h.CounterResetHint == histogram.CounterReset {
				c := *h // samples between the steps of a subquery are not seen, so the hints say nothing
				c.CounterResetHint = histogram.UnknownCounterReset
				h = &c
			}
			buf.hs = append(buf.hs, store.HistogramSample{Time: src.grid.at(k), Float: h})
		}
	}
	return nil
}

// rollOne rolls up one series into vals, which holds absent values. It returns the
// histograms of the result, if there are any.
func (ev *evaluator) rollOne(spec *rollupSpec, src *source, i int, buf *rollupBuf, vals []float64) ([]*histogram.FloatHistogram, error) {
	if buf.count++; buf.count%64 == 0 && ev.ctx.Err() != nil {
		return nil, ev.ctx.Err()
	}
	if err := buf.load(src, i); err != nil {
		return nil, err
	}
	s := &src.series[i]
	if len(buf.hs) > 0 {
		if spec.bare() && !spec.counter && spec.name != "delta" {
			return nil, errFallback // resets among the samples that Prometheus happens to read
		}
		return ev.rollHistograms(spec, s, buf, vals)
	}
	done := false
	if len(buf.sums) > 0 {
		if s.any, done = ev.rollSummaries(spec, buf, vals); !done {
			var err error
			if buf.ts, buf.vs, err = s.Samples(buf.ts[:0], buf.vs[:0]); err != nil {
				return nil, err
			}
		}
	}
	if !done {
		s.any = ev.rollFloats(spec, buf, vals)
	}
	s.floats = s.any
	return nil, nil
}

// rollFloats rolls up the floats in buf and reports whether there is a value.
func (ev *evaluator) rollFloats(spec *rollupSpec, buf *rollupBuf, vals []float64) bool {
	ts, vs := buf.ts, buf.vs
	if !spec.instant {
		ts, vs = dropStale(ts, vs)
	}
	w := &buf.windows
	end, stride := spec.first(ev)
	w.fit(ts, len(vals), end, stride, spec.window)
	switch spec.name {
	case "":
		return w.newest(vs, vals)
	case "rate", "increase", "delta":
		kind := rateOf(spec.name)
		w.extend(kind, end, stride, spec.window)
		return w.rates(vs, vals, kind)
	case "sum_over_time", "avg_over_time":
		return w.sums(vs, vals, spec.name == "avg_over_time", spec.f)
	}
	has := false
	in := window{scratch: &buf.sort}
	for i := range vals {
		lo, hi := w.lo[i], w.hi[i]
		if lo == hi {
			continue
		}
		in.ts, in.vs, in.step, in.at = ts[lo:hi], vs[lo:hi], i, ev.at(i)
		if v, ok := spec.f(&in); ok {
			vals[i] = v
			has = true
		}
	}
	return has
}

// rollHistograms rolls up a series with histograms: instant selectors here, everything
// else with Prometheus' own functions.
func (ev *evaluator) rollHistograms(spec *rollupSpec, s *rollupSeries, buf *rollupBuf, vals []float64) ([]*histogram.FloatHistogram, error) {
	buf.floats, buf.points = buf.floats[:0], buf.points[:0]
	for i, t := range buf.ts {
		if spec.instant || !isAbsent(buf.vs[i]) {
			buf.floats = append(buf.floats, promql.FPoint{T: t, F: buf.vs[i]})
		}
	}
	copies := spec.counter || spec.name == "delta" // the result shares nothing with the samples
	used := 0
	list := buf.hs
	if spec.bare() {
		buf.points, list = appendBare(buf.points, list), nil
	}
	for _, h := range list {
		fh := h.Float
		switch {
		case h.Int == nil:
		case !copies:
			fh = h.Int.ToFloat(nil)
		default:
			if used == len(buf.wide) {
				buf.wide = append(buf.wide, &histogram.FloatHistogram{})
			}
			fh = h.Int.ToFloat(buf.wide[used])
			used++
		}
		if spec.instant || !isAbsent(fh.Sum) {
			buf.points = append(buf.points, promql.HPoint{T: h.Time, H: fh})
		}
	}
	hists := make([]*histogram.FloatHistogram, len(vals))
	isHist := false
	full := s.full()
	end, stride := spec.first(ev)
	var fw, hw span
	for i := range vals {
		to := end + int64(i)*stride
		fw.move(len(buf.floats), to-spec.window, to, func(k int) int64 { return buf.floats[k].T })
		floats := buf.floats[fw.lo:fw.hi]
		hw.move(len(buf.points), to-spec.window, to, func(k int) int64 { return buf.points[k].T })
		points := buf.points[hw.lo:hw.hi]
		if len(floats)+len(points) == 0 {
			continue
		}
		var v promql.Sample
		var ok bool
		if spec.instant {
			v, ok = newest(floats, points, spec.name != "")
		} else {
			v, ok = buf.kernel(spec, full, i, floats, points)
		}
		switch {
		case !ok:
			continue
		case v.H != nil:
			hists[i], isHist = v.H, true
		default:
			vals[i] = v.F
			s.floats = true
		}
		s.any = true
	}
	if !isHist {
		return nil, nil
	}
	return hists, ev.acct.Hold(int64(len(hists)) * histogramBytes)
}

// bare reports whether only the counts and sums of histograms are wanted.
func (spec *rollupSpec) bare() bool { return spec.vs != nil && spec.vs.SkipHistogramBuckets }

// appendBare appends histograms without their buckets, which say whether a counter was
// reset before that, if the histogram itself does not.
func appendBare(dst []promql.HPoint, hs []store.HistogramSample) []promql.HPoint {
	var before, cur *histogram.FloatHistogram // with buckets; nil if nobody asked
	wide := func(h *store.HistogramSample) *histogram.FloatHistogram {
		if h.Int != nil {
			return h.Int.ToFloat(nil)
		}
		return h.Float
	}
	last := -1
	for i := range hs {
		h := &hs[i]
		out := &histogram.FloatHistogram{}
		if h.Int != nil {
			out.CounterResetHint, out.Schema, out.Count, out.Sum = h.Int.CounterResetHint, h.Int.Schema, float64(h.Int.Count), h.Int.Sum
		} else {
			out.CounterResetHint, out.Schema, out.Count, out.Sum = h.Float.CounterResetHint, h.Float.Schema, h.Float.Count, h.Float.Sum
		}
		if isAbsent(out.Sum) {
			continue
		}
		cur = nil
		if out.CounterResetHint == histogram.UnknownCounterReset && last >= 0 {
			if before == nil {
				before = wide(&hs[last])
			}
			cur = wide(h)
			out.CounterResetHint = histogram.NotCounterReset
			if cur.DetectReset(before) {
				out.CounterResetHint = histogram.CounterReset
			}
		}
		before, last = cur, i
		dst = append(dst, promql.HPoint{T: h.Time, H: out})
	}
	return dst
}

// histogramBytes is what a native histogram is taken to hold.
const histogramBytes = 300

// span is a window of samples by index.
type span struct{ lo, hi int }

// move makes s the samples in (from, to].
func (s *span) move(n int, from, to int64, at func(i int) int64) {
	for s.hi < n && at(s.hi) <= to {
		s.hi++
	}
	for s.lo < s.hi && at(s.lo) <= from {
		s.lo++
	}
}

// newest is an instant selector over floats and histograms, or with stamp its time.
func newest(floats []promql.FPoint, points []promql.HPoint, stamp bool) (promql.Sample, bool) {
	var s promql.Sample
	if n := len(floats); n > 0 {
		s.T, s.F = floats[n-1].T, floats[n-1].F
	}
	if n := len(points); n > 0 && (len(floats) == 0 || points[n-1].T > s.T) {
		s.T, s.H = points[n-1].T, points[n-1].H
	}
	if s.H != nil && isAbsent(s.H.Sum) || s.H == nil && isAbsent(s.F) {
		return s, false
	}
	if stamp {
		s.F, s.H = float64(s.T)/1000, nil
	}
	return s, true
}

// kernel calls Prometheus' function on one window.
func (buf *rollupBuf) kernel(spec *rollupSpec, full labels.Labels, step int, floats []promql.FPoint, points []promql.HPoint) (promql.Sample, bool) {
	var params []promql.Vector
	for _, p := range spec.params {
		params = append(params, promql.Vector{{F: p[step]}})
	}
	buf.help.Ts = buf.ev.at(step)
	in := promql.Matrix{{Metric: full, Floats: floats, Histograms: points}}
	out, annos := promql.FunctionCalls[spec.name](params, in, spec.args, &buf.help)
	buf.annos.Merge(annos)
	if len(out) == 0 {
		return promql.Sample{}, false
	}
	buf.help.Out = out[:0]
	return out[0], true
}

// dropStale removes stale markers in place: a range does not see them.
func dropStale(ts []int64, vs []float64) ([]int64, []float64) {
	n := 0
	for n < len(vs) && !isAbsent(vs[n]) {
		n++
	}
	for i := n; i < len(vs); i++ {
		if !isAbsent(vs[i]) {
			ts[n], vs[n] = ts[i], vs[i]
			n++
		}
	}
	return ts[:n], vs[:n]
}

// warnNonCounters adds Prometheus' info for rate and increase of metrics that are not
// named like counters, if they have a float value.
func (ev *evaluator) warnNonCounters(spec *rollupSpec, series []rollupSeries) {
	if !spec.counter {
		return
	}
	last := ""
	for i := range series {
		s := &series[i]
		if !s.floats {
			continue
		}
		name := s.name()
		if name == last || name == "" {
			continue
		}
		last = name
		counter := strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_sum") ||
			strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_bucket")
		if !counter {
			ev.annos.Add(annotations.NewPossibleNonCounterInfo(name, spec.args[0].PositionRange()))
		}
	}
}
