package promql

import (
	"errors"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// histogramOp evaluates a binary operator where one of its sides is a native histogram, or
// where the operator is made for them.
type histogramOp struct {
	ev    *evaluator
	e     *parser.BinaryExpr
	float binop // of two floats; nil if they have none

	// notes is by step what the last element that something is to be said about says:
	// Prometheus keeps one a step.
	notes []error

	last struct { // histograms often stay for a few steps
		l, r *histogram.FloatHistogram
		h    *histogram.FloatHistogram
		keep bool
		note error
	}
}

// cell is one value: a histogram, or a float if it has none.
type cell struct {
	f float64
	h *histogram.FloatHistogram
}

// at returns the value of a row at step i, which may be absent.
func (r *row) at(i int) cell {
	if r.hists != nil && r.hists[i] != nil {
		return cell{h: r.hists[i]}
	}
	return cell{f: r.vals[i]}
}

// put sets the value of a row at step i.
func (r *row) put(i int, c cell) {
	if c.h == nil {
		r.vals[i] = c.f
		return
	}
	if r.hists == nil {
		r.hists = make([]*histogram.FloatHistogram, len(r.vals))
	}
	r.hists[i] = c.h
}

// compute computes l op r at a step. For comparisons keep says whether they hold; ok is
// false if there is no result.
func (o *histogramOp) compute(step int, l, r cell) (out cell, keep, ok bool) {
	var note error
	switch {
	case l.h == nil && r.h == nil && o.float != nil:
		out.f, keep = o.float(l.f, r.f)
		return out, keep, true
	case l.h != nil && r.h != nil:
		if o.last.l != l.h || o.last.r != r.h {
			o.last.l, o.last.r = l.h, r.h
			o.last.h, o.last.keep, o.last.note = o.both(l.h, r.h)
		}
		out.h, keep, note = o.last.h, o.last.keep, o.last.note
	default:
		if out.h = o.mixed(l, r); out.h == nil {
			note = annotations.NewIncompatibleTypesInBinOpInfo(l.kind(), parser.ItemTypeStr[o.e.Op], r.kind(), o.e.PositionRange())
		}
		keep = true
	}
	if note != nil {
		if o.notes == nil {
			o.notes = make([]error, o.ev.n)
		}
		o.notes[step] = note
	}
	return out, keep, out.h != nil
}

// kind returns what Prometheus calls it.
func (c cell) kind() string {
	if c.h != nil {
		return "histogram"
	}
	return "float"
}

// both computes an operator between histograms. note is what there is to say; without a
// result that is why.
func (o *histogramOp) both(l, r *histogram.FloatHistogram) (h *histogram.FloatHistogram, keep bool, note error) {
	add, name := (*histogram.FloatHistogram).Add, annotations.HistogramAdd
	switch o.e.Op {
	case parser.ADD:
	case parser.SUB:
		add, name = (*histogram.FloatHistogram).Sub, annotations.HistogramSub
	case parser.EQLC:
		return l, l.Equals(r), nil
	case parser.NEQ:
		return l, !l.Equals(r), nil
	default:
		return nil, false, annotations.NewIncompatibleTypesInBinOpInfo("histogram", parser.ItemTypeStr[o.e.Op], "histogram", o.e.PositionRange())
	}
	h, collision, reconciled, err := add(l.Copy(), r)
	switch {
	case err != nil:
		return nil, false, err
	case collision: // there is no result, as in Prometheus
		return nil, false, annotations.NewHistogramCounterResetCollisionWarning(o.e.PositionRange(), name)
	case reconciled:
		note = annotations.NewMismatchedCustomBucketsHistogramsInfo(o.e.PositionRange(), name)
	}
	if o.e.Op == parser.SUB {
		h.CounterResetHint = histogram.GaugeType
	}
	return h.Compact(0), true, note
}

// mixed computes an operator between a histogram and a float, or trims; nil if they have
// no result.
func (o *histogramOp) mixed(l, r cell) *histogram.FloatHistogram {
	switch op := o.e.Op; {
	case l.h == nil && r.h != nil && op == parser.MUL:
		return r.h.Copy().Mul(l.f).Compact(0)
	case l.h == nil:
		return nil
	case op == parser.MUL:
		return l.h.Copy().Mul(r.f).Compact(0)
	case op == parser.DIV:
		return l.h.Copy().Div(r.f).Compact(0)
	case isTrim(op):
		return l.h.Copy().TrimBuckets(r.f, op == parser.TRIM_UPPER)
	}
	return nil
}

// isTrim reports whether op cuts buckets off histograms: </ and >/.
func isTrim(op parser.ItemType) bool { return op == parser.TRIM_UPPER || op == parser.TRIM_LOWER }

// rows computes an operator between two rows into out, which has no values.
func (o *histogramOp) rows(l, r, out *row) {
	for i := range out.vals {
		if !l.has(i) || !r.has(i) {
			continue
		}
		c, keep, ok := o.compute(i, l.at(i), r.at(i))
		switch {
		case !ok:
		case o.e.ReturnBool:
			out.vals[i] = oneIf(keep)
		case keep:
			out.put(i, c)
		}
	}
}

// scalar computes an operator between a row and a scalar in place.
func (o *histogramOp) scalar(r *row, scalar []float64, swapped bool) {
	for i := range r.vals {
		if !r.has(i) {
			continue
		}
		v, s := r.at(i), cell{f: scalar[i]}
		l, rr := v, s
		if swapped {
			l, rr = s, v
		}
		c, keep, ok := o.compute(i, l, rr)
		r.clear(i)
		switch {
		case !ok:
		case o.e.ReturnBool:
			r.vals[i] = oneIf(keep)
		case !keep:
		case o.e.Op.IsComparisonOperator():
			r.put(i, v)
		default:
			r.put(i, c)
		}
	}
}

// done hands in the notes.
func (o *histogramOp) done() {
	for _, note := range o.notes {
		switch {
		case note == nil:
		case errors.Is(note, annotations.PromQLInfo), errors.Is(note, annotations.PromQLWarning):
			o.ev.annos.Add(note)
		case errors.Is(note, histogram.ErrHistogramsIncompatibleSchema):
			o.ev.annos.Add(annotations.NewIncompatibleBucketLayoutInBinOpWarning(parser.ItemTypeStr[o.e.Op], o.e.PositionRange()))
		}
	}
}
