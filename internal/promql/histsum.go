package promql

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql/parser"
)

// histogramSum is the sum of native histograms of one group at one step.
type histogramSum struct {
	value, lost *histogram.FloatHistogram // lost: what rounding took (Kahan)
	reset       bool                      // one of them is known to be a counter reset
	noReset     bool                      // one is known to be none
}

// add adds h and reports whether that is all there is to it. If not, Prometheus' engine
// has something to say: a warning, or that there is no sum.
func (s *histogramSum) add(h *histogram.FloatHistogram) bool {
	switch h.CounterResetHint {
	case histogram.CounterReset:
		s.reset = true
	case histogram.NotCounterReset:
		s.noReset = true
	}
	if s.reset && s.noReset {
		return false
	}
	if s.value == nil {
		s.value = h.Copy()
		return true
	}
	lost, _, reconciled, err := s.value.KahanAdd(h, s.lost)
	s.lost = lost
	return err == nil && !reconciled
}

// result returns the sum, nil if nothing was added.
func (s *histogramSum) result() *histogram.FloatHistogram {
	if s.value == nil {
		return nil
	}
	if s.lost != nil {
		if sum, _, _, err := s.value.Add(s.lost); err == nil {
			s.value = sum
		}
	}
	return s.value.Compact(0)
}

// sumHistograms evaluates sum over rows that have nothing but native histograms. ok is
// false if it is a matter for Prometheus' engine.
func (ev *evaluator) sumHistograms(e *parser.AggregateExpr, rows []row) (out operand, ok bool, err error) {
	for i := range rows {
		for k, v := range rows[i].vals {
			if !isAbsent(v) && (rows[i].hists == nil || rows[i].hists[k] == nil) {
				return out, false, nil
			}
		}
	}
	groups := groupRows(e, rows)
	held := int64(len(groups.labels)) * int64(ev.n) * histogramBytes
	if err := ev.acct.Hold(held); err != nil {
		return out, false, err
	}
	sums := make([][]histogramSum, len(groups.labels))
	for i := range rows {
		g := groups.of[i]
		if sums[g] == nil {
			sums[g] = make([]histogramSum, ev.n)
		}
		for k, h := range rows[i].hists {
			if h != nil && !sums[g][k].add(h) {
				ev.acct.Drop(held)
				return out, false, nil
			}
		}
	}
	for g := range sums {
		vals, err := ev.newRow()
		if err != nil {
			return out, false, err
		}
		r := row{labels: groups.labels[g], vals: vals, hists: make([]*histogram.FloatHistogram, ev.n)}
		for k := range sums[g] {
			r.hists[k] = sums[g][k].result()
		}
		out.rows = append(out.rows, r)
	}
	ev.drop(len(rows))
	return out, true, nil
}

// histogramPart returns the function with a name that takes a number out of a histogram,
// or nil.
func histogramPart(name string) func(h *histogram.FloatHistogram) float64 {
	switch name {
	case "histogram_count":
		return func(h *histogram.FloatHistogram) float64 { return h.Count }
	case "histogram_sum":
		return func(h *histogram.FloatHistogram) float64 { return h.Sum }
	case "histogram_avg":
		return func(h *histogram.FloatHistogram) float64 { return h.Sum / h.Count }
	}
	return nil
}

// histogramParts evaluates a function that takes a number out of histograms; floats have
// none.
func (ev *evaluator) histogramParts(e *parser.Call, part func(h *histogram.FloatHistogram) float64) (operand, error) {
	arg := e.Args[0]
	for {
		p, ok := arg.(*parser.ParenExpr)
		if !ok {
			break
		}
		arg = p.Expr
	}
	if vs, ok := arg.(*parser.VectorSelector); ok { // that the buckets may be skipped is no matter here
		whole := *vs
		whole.SkipHistogramBuckets = false
		arg = &whole
	}
	in, err := ev.eval(arg)
	if err != nil {
		return in, err
	}
	n := 0
	for _, r := range in.rows {
		described := r.labels.Has("__type__") || r.labels.Has("__unit__")
		if described { // Prometheus keeps these here
			return operand{}, errFallback
		}
		if r.hists == nil {
			ev.drop(1)
			continue
		}
		for k, h := range r.hists {
			r.vals[k] = absent()
			if h != nil {
				r.vals[k] = part(h)
			}
		}
		r.hists = nil
		in.rows[n] = r
		n++
	}
	in.rows = in.rows[:n]
	if !dropNames(in.rows) {
		return operand{}, errFallback
	}
	return in, nil
}
