package metricsql

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sort"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/prometheus/model/value"
	"golang.org/x/sync/errgroup"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// silence is how far before a window the sample lies that rate and its like begin from,
// milliseconds.
const silence = 5 * 60 * 1000

// window is what a rollup sees of a series at one point of the grid.
type window struct {
	values   []float64 // of the samples in (at-span, at]
	times    []int64   // Unix milliseconds
	prev     float64   // last sample before them, NaN if there is none that is near
	prevTime int64
	realPrev float64 // the same, however far; NaN if there is none
	realNext float64 // first sample after them
	at       int64   // the point of the grid
	span     int64   // milliseconds
	i        int     // index of the point
}

// output is one series that a rollup makes of a series: the labels to set, and its value.
type output struct {
	set model.Labels
	f   func(w *window) float64
}

// rollup is a function over windows.
type rollup struct {
	// make returns what the function makes of each series. Its arguments are those besides
	// the range.
	make func(c *call) ([]output, error)
	// spread, instead of make's outputs, makes a series of each key that it returns.
	spread func(c *call) (label string, f func(w *window) map[string]float64, err error)

	keepName bool                                  // the result is a value of the metric
	adjusts  bool                                  // a window that is not written covers at least two samples
	counter  bool                                  // counter resets are removed first
	pre      func(times []int64, values []float64) // then changes all samples, in place
	stale    bool                                  // staleness markers are samples
}

// sampled is a series of samples that a rollup runs over.
type sampled struct {
	labels model.Labels
	read   func(ts []int64, vs []float64) ([]int64, []float64, error)
}

// rollup evaluates a rollup function over re.
func (ev *evaluator) rollup(name string, rest []metricsql.Expr, re *metricsql.RollupExpr, keepName bool) ([]*series, error) {
	if re.At != nil {
		return ev.rollupAt(name, rest, re, keepName)
	}
	offset := re.Offset.Duration(ev.step)
	if name == "rollup_candlestick" {
		offset -= ev.step // a candle stands where its time begins
	}
	if offset != 0 {
		sub, err := ev.on(ev.start-offset, ev.end-offset, ev.step)
		if err != nil {
			return nil, err
		}
		moved := *re
		moved.Offset = nil
		return sub.rollupFrom(name, rest, &moved, keepName)
	}
	return ev.rollupFrom(name, rest, re, keepName)
}

// rollupFrom evaluates a rollup function without offset and @.
func (ev *evaluator) rollupFrom(name string, rest []metricsql.Expr, re *metricsql.RollupExpr, keepName bool) ([]*series, error) {
	span, err := re.Window.NonNegativeDuration(ev.step)
	if err != nil {
		return nil, fmt.Errorf("%w: window of %s: %w", ErrEval, name, err)
	}
	m, raw := re.Expr.(*metricsql.MetricExpr)
	subquery := re.ForSubquery()
	if name == "default_rollup" && !raw && !subquery && span == 0 {
		return ev.eval(re.Expr) // only an offset, which is done
	}
	r := ev.engine.rollups[name]
	c := &call{ev: ev, name: name, args: rest}
	var list []sampled
	if raw && !subquery {
		list, err = ev.samples(m, name, ev.start-max(span, ev.step)-silence)
	} else {
		list, err = ev.subquery(re, span)
	}
	if err != nil {
		return nil, err
	}
	w := &windows{ev: ev, r: &r, span: span}
	if r.spread != nil {
		return w.spread(c, list, keepName || r.keepName)
	}
	outs, err := r.make(c)
	if err != nil {
		return nil, err
	}
	out, err := w.run(list, outs, keepName || r.keepName)
	if err != nil || name != "absent_over_time" {
		return out, err
	}
	return ev.absentFrom(re.Expr, out, func(v float64) bool { return !math.IsNaN(v) }), nil
}

// rollupAt evaluates at one time, and repeats the value over the grid.
func (ev *evaluator) rollupAt(name string, rest []metricsql.Expr, re *metricsql.RollupExpr, keepName bool) ([]*series, error) {
	at, err := ev.eval(re.At)
	if err != nil {
		return nil, err
	}
	if len(at) != 1 || len(at[0].values) == 0 || math.IsNaN(at[0].values[0]) || math.Abs(at[0].values[0]) > 1e12 {
		return nil, fmt.Errorf("%w: @ of %s needs one time in seconds", ErrEval, name)
	}
	t := int64(at[0].values[0] * 1e3)
	sub, err := ev.on(t, t, ev.step)
	if err != nil {
		return nil, err
	}
	moved := *re
	moved.At = nil
	list, err := sub.rollup(name, rest, &moved, keepName)
	if err == nil {
		err = ev.hold(len(list))
	}
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		v := s.values[0]
		s.values = make([]float64, ev.points())
		for i := range s.values {
			s.values[i] = v
		}
	}
	return list, nil
}

// samples selects the series of m with samples from a time on, Unix milliseconds.
func (ev *evaluator) samples(m *metricsql.MetricExpr, function string, from int64) ([]sampled, error) {
	alternatives, err := matchersOf(m)
	if err != nil {
		return nil, err
	}
	var out []sampled
	seen := map[string]bool{}
	for _, ms := range alternatives {
		sel := store.MetricSelector{
			Matchers: ms, Range: model.TimeRange{From: from, To: ev.end + 1}, Account: ev.acct,
		}
		for s, err := range ev.reader.Select(ev.ctx, ev.tenant, sel) {
			if err != nil {
				return nil, fmt.Errorf("select series for %s: %w", function, err)
			}
			if len(alternatives) > 1 {
				key := labelKey(s.Labels())
				if seen[key] {
					continue
				}
				seen[key] = true
			}
			out = append(out, sampled{s.Labels(), s.Samples})
		}
	}
	return out, nil
}

// subquery evaluates the inner expression of re on its own grid, which lies on multiples
// of its step.
func (ev *evaluator) subquery(re *metricsql.RollupExpr, span int64) ([]sampled, error) {
	step := re.Step.Duration(ev.step)
	if step <= 0 {
		step = ev.step
	}
	start, end := ev.start-max(span, step)-silence, ev.end
	sub, err := ev.on(floorTo(start, step), floorTo(end, step), step)
	if err != nil {
		return nil, err
	}
	list, err := sub.eval(re.Expr)
	if err != nil {
		return nil, err
	}
	out := make([]sampled, 0, len(list))
	for _, s := range list {
		out = append(out, sampled{s.labels, func(ts []int64, vs []float64) ([]int64, []float64, error) {
			for i, v := range s.values {
				if !math.IsNaN(v) {
					ts, vs = append(ts, sub.start+int64(i)*step), append(vs, v)
				}
			}
			return ts, vs, nil
		}})
	}
	return out, nil
}

func floorTo(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}

// windows runs a rollup over series.
type windows struct {
	ev   *evaluator
	r    *rollup
	span int64 // as written, 0 if it is not
}

// buffers is the memory of one worker.
type buffers struct {
	times  []int64
	values []float64
}

// run returns the outputs of each series.
func (w *windows) run(list []sampled, outs []output, keepName bool) ([]*series, error) {
	out := make([]*series, len(list)*len(outs))
	err := w.each(list, func(i int, walk func(func(*window))) error {
		if err := w.ev.hold(len(outs)); err != nil {
			return err
		}
		made := out[i*len(outs) : (i+1)*len(outs)]
		for k, o := range outs {
			ls := list[i].labels
			if !keepName {
				ls = without(ls, model.MetricName)
			}
			for _, l := range o.set {
				ls = with(ls, l.Name, l.Value)
			}
			made[k] = &series{ls, make([]float64, w.ev.points())}
		}
		walk(func(win *window) {
			for k, o := range outs {
				made[k].values[win.i] = o.f(win)
			}
		})
		return nil
	})
	return out, err
}

// spread returns a series for each key that f finds in the windows of a series.
func (w *windows) spread(c *call, list []sampled, keepName bool) ([]*series, error) {
	label, f, err := w.r.spread(c)
	if err != nil {
		return nil, err
	}
	made := make([][]*series, len(list))
	err = w.each(list, func(i int, walk func(func(*window))) error {
		byKey := map[string]*series{}
		var failed error
		walk(func(win *window) {
			for key, v := range f(win) {
				s := byKey[key]
				if s == nil {
					ls := list[i].labels
					if !keepName {
						ls = without(ls, model.MetricName)
					}
					if failed == nil {
						failed = w.ev.hold(1)
					}
					s = &series{with(ls, label, key), w.ev.constant(nan())[0].values}
					byKey[key] = s
					made[i] = append(made[i], s)
				}
				s.values[win.i] = v
			}
		})
		return failed
	})
	return slices.Concat(made...), err
}

// each calls f for every series, several at a time. walk hands its windows to a function,
// in order of time.
func (w *windows) each(list []sampled, f func(i int, walk func(func(*window))) error) error {
	workers := min(len(list), runtime.GOMAXPROCS(0))
	var g errgroup.Group
	for k := range workers {
		g.Go(func() error {
			var b buffers
			for i := k; i < len(list); i += workers {
				if err := w.ev.ctx.Err(); err != nil {
					return err
				}
				var err error
				if b.times, b.values, err = list[i].read(b.times[:0], b.values[:0]); err != nil {
					return err
				}
				times, values := w.prepare(b.times, b.values)
				if err := f(i, func(visit func(*window)) { w.walk(times, values, visit) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// prepare removes staleness markers and counter resets, in place.
func (w *windows) prepare(times []int64, values []float64) ([]int64, []float64) {
	if !w.r.stale {
		n := 0
		for i, v := range values {
			if !value.IsStaleNaN(v) {
				times[n], values[n] = times[i], v
				n++
			}
		}
		times, values = times[:n], values[:n]
	}
	if w.r.counter {
		removeResets(values)
	}
	if w.r.pre != nil {
		w.r.pre(times, values)
	}
	return times, values
}

// walk hands the windows of a series to visit.
func (w *windows) walk(times []int64, values []float64, visit func(*window)) {
	near := reach(interval(times, w.ev.step))
	span := w.span
	if span == 0 {
		if span = w.ev.step; w.r.adjusts {
			span = max(span, near)
		}
	}
	win := window{span: span}
	from, to := 0, 0
	for p := range w.ev.points() {
		win.i, win.at = p, w.ev.start+int64(p)*w.ev.step
		begin := win.at - span
		for from < len(times) && times[from] <= begin {
			from++
		}
		to = max(to, from)
		for to < len(times) && times[to] <= win.at {
			to++
		}
		win.values, win.times = values[from:to], times[from:to]
		win.prev, win.prevTime, win.realPrev, win.realNext = nan(), begin-near, nan(), nan()
		if from > 0 {
			win.realPrev = values[from-1]
			if t := times[from-1]; t > win.prevTime && from < len(times) { // a series that has ended has no past
				win.prev, win.prevTime = values[from-1], t
			}
		}
		if to < len(times) {
			win.realNext = values[to]
		}
		visit(&win)
	}
}

// interval estimates the time between samples: the 0.6 quantile of the last 20.
func interval(times []int64, fallback int64) int64 {
	if len(times) < 2 {
		return fallback
	}
	last := times[max(0, len(times)-21):]
	gaps := make([]float64, 0, 20)
	for i := 1; i < len(last); i++ {
		gaps = append(gaps, float64(last[i]-last[i-1]))
	}
	sort.Float64s(gaps)
	if d := int64(quantileSorted(0.6, gaps)); d > 0 {
		return d
	}
	return fallback
}

// reach is how far the sample before may lie: a short interval varies more.
func reach(interval int64) int64 {
	switch {
	case interval <= 2_000:
		return interval + 4*interval
	case interval <= 4_000:
		return interval + 2*interval
	case interval <= 8_000:
		return interval + interval
	case interval <= 16_000:
		return interval + interval/2
	case interval <= 32_000:
		return interval + interval/4
	}
	return interval + interval/8
}

// removeResets makes a counter of values that goes on where it fell. A small fall is one
// that was only partly seen, as when scrapers of a pair disagree.
func removeResets(values []float64) {
	if len(values) == 0 {
		return
	}
	correction, prev := 0.0, values[0]
	for i, v := range values {
		if d := v - prev; d < 0 {
			if -d*8 < prev {
				correction += prev - v
			} else {
				correction += prev
			}
		}
		prev = v
		values[i] = v + correction
		if i > 0 && values[i] < values[i-1] { // rounding
			values[i] = values[i-1]
		}
	}
}

// rawRange returns the selector of an expression that asks for samples: m[5m].
func rawRange(expr metricsql.Expr) (*metricsql.RollupExpr, bool) {
	re, ok := expr.(*metricsql.RollupExpr)
	if !ok || re.Window == nil || re.ForSubquery() || re.At != nil {
		return nil, false
	}
	_, ok = re.Expr.(*metricsql.MetricExpr)
	return re, ok
}

// raw returns the samples in the window that ends at the time of an instant query.
func (ev *evaluator) raw(re *metricsql.RollupExpr) ([]RawSeries, error) {
	span, err := re.Window.NonNegativeDuration(ev.step)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEval, err)
	}
	offset := re.Offset.Duration(ev.step)
	at, err := ev.on(ev.start-offset, ev.end-offset, ev.step)
	if err != nil {
		return nil, err
	}
	list, err := at.samples(re.Expr.(*metricsql.MetricExpr), "", at.start-span+1)
	if err != nil {
		return nil, err
	}
	w := windows{ev: at, r: &rollup{}}
	var out []RawSeries
	for _, s := range list {
		times, values, err := s.read(nil, nil)
		if err != nil {
			return nil, err
		}
		times, values = w.prepare(times, values)
		if err := ev.acct.Hold(int64(16 * len(times))); err != nil {
			return nil, err
		}
		if len(times) > 0 {
			out = append(out, RawSeries{s.labels, times, values})
		}
	}
	slices.SortFunc(out, func(a, b RawSeries) int { return a.Labels.Compare(b.Labels) })
	return out, nil
}
