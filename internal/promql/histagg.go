package promql

import (
	"errors"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Aggregations of rows that have native histograms, perhaps among floats. sum and avg add
// histograms with Prometheus' own addition, sample for sample in its order; all others
// count histograms or pass over them.

// aggregateHistograms evaluates an aggregation over rows of which some have histograms.
func (ev *evaluator) aggregateHistograms(e *parser.AggregateExpr, op aggregation, rows []row) (operand, error) {
	switch op {
	case aggSum, aggAvg:
		return ev.addHistograms(e, op, rows)
	case aggCount, aggGroup:
		for i := range rows {
			for k, h := range rows[i].hists {
				if h != nil {
					rows[i].vals[k] = 1 // any value will do
				}
			}
		}
	default:
		ev.ignoreHistograms(rows, e.Op, e.Expr.PositionRange())
	}
	groups := groupRows(e, rows)
	accs := make([]accumulator, len(groups.labels))
	for i := range rows {
		if err := accs[groups.of[i]].addRow(ev, op, rows[i].vals); err != nil {
			return operand{}, err
		}
	}
	ev.drop(len(rows))
	return operand{rows: finish(groups, op, accs)}, nil
}

// ignoreHistograms removes the histograms of rows, and says that an aggregation passes over
// them.
func (ev *evaluator) ignoreHistograms(rows []row, op parser.ItemType, pos posrange.PositionRange) {
	for i := range rows {
		if slices.ContainsFunc(rows[i].hists, func(h *histogram.FloatHistogram) bool { return h != nil }) {
			ev.annos.Add(annotations.NewHistogramIgnoredInAggregationInfo(parser.ItemTypeStr[op], pos))
		}
		rows[i].hists = nil
	}
}

// histogramSum is what native histograms of one group at one step add up to.
type histogramSum struct {
	value, lost *histogram.FloatHistogram // lost: what rounding took (Kahan)
	n           int

	reset, noReset bool // some are known to be a counter reset, or to be none
	incompatible   bool // they have no sum: exponential and custom buckets
	afterFloat     bool // a float came first: nothing is added up
}

// add adds h. Bounds that had to be reconciled are reported.
func (s *histogramSum) add(h *histogram.FloatHistogram) (reconciled bool, err error) {
	switch h.CounterResetHint {
	case histogram.CounterReset:
		s.reset = true
	case histogram.NotCounterReset:
		s.noReset = true
	}
	s.n++
	if s.value == nil {
		s.value = h.Copy()
		return false, nil
	}
	s.lost, _, reconciled, err = s.value.KahanAdd(h, s.lost)
	return reconciled, err
}

// result returns the sum or the mean. ok is false if Prometheus goes on with another
// method: a mean whose sum overflows.
func (s *histogramSum) result(op aggregation) (h *histogram.FloatHistogram, ok bool) {
	if op == aggAvg && s.n > 1 {
		if s.value.HasOverflow() || math.IsNaN(s.value.Sum) {
			return nil, false
		}
		s.value.Div(float64(s.n))
		if s.lost != nil {
			s.lost.Div(float64(s.n))
		}
	}
	if s.lost != nil {
		if sum, _, _, err := s.value.Add(s.lost); err == nil {
			s.value = sum
		}
	}
	return s.value.Compact(0), true
}

// addHistograms evaluates sum and avg. A group that has floats and histograms at a step
// has no sum there.
func (ev *evaluator) addHistograms(e *parser.AggregateExpr, op aggregation, rows []row) (operand, error) {
	groups := groupRows(e, rows)
	sums := make([][]histogramSum, len(groups.labels))
	accs := make([]accumulator, len(groups.labels))
	var annos annotations.Annotations
	pos := e.Expr.PositionRange()
	for i := range rows {
		r, g := &rows[i], groups.of[i]
		if r.hists != nil && sums[g] == nil {
			if err := ev.acct.Hold(int64(ev.n) * histogramBytes); err != nil {
				return operand{}, err
			}
			sums[g] = make([]histogramSum, ev.n)
		}
		for k := range sums[g] {
			s := &sums[g][k]
			if s.incompatible {
				r.vals[k] = absent() // what comes later does not count, as in Prometheus
				continue
			}
			if r.hists == nil || r.hists[k] == nil {
				continue
			}
			if s.afterFloat = s.value == nil && accs[g].count != nil && accs[g].count[k] > 0; s.afterFloat {
				continue
			}
			reconciled, err := s.add(r.hists[k])
			if reconciled {
				annos.Add(annotations.NewMismatchedCustomBucketsHistogramsInfo(pos, annotations.HistogramAgg))
			}
			if err != nil {
				s.incompatible = true
			}
			if errors.Is(err, histogram.ErrHistogramsIncompatibleSchema) {
				annos.Add(annotations.NewMixedExponentialCustomHistogramsWarning(r.labels.Get(model.MetricName), pos))
			}
		}
		if err := accs[g].addRow(ev, op, r.vals); err != nil {
			return operand{}, err
		}
	}
	var out []row
	for g := range sums {
		r := row{labels: groups.labels[g]}
		r.vals, _ = accs[g].finish(op)
		if sums[g] != nil {
			r.hists = make([]*histogram.FloatHistogram, ev.n)
		}
		for k := range sums[g] {
			s := &sums[g][k]
			switch {
			case s.value == nil && !s.afterFloat:
				continue
			case !isAbsent(r.vals[k]):
				annos.Add(annotations.NewMixedFloatsHistogramsAggWarning(pos))
				r.vals[k] = absent()
				continue
			case s.incompatible:
				continue
			case s.reset && s.noReset:
				annos.Add(annotations.NewHistogramCounterResetCollisionWarning(pos, annotations.HistogramAgg))
			}
			h, ok := s.result(op)
			if !ok {
				return operand{}, errFallback
			}
			r.hists[k] = h
		}
		out = append(out, r)
	}
	ev.annos.Merge(annos)
	ev.drop(len(rows))
	return operand{rows: dropEmpty(out)}, nil
}
