package promql

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-o11y/pharos/internal/model"
)

// binary evaluates a binary operator.
func (ev *evaluator) binary(e *parser.BinaryExpr) (operand, error) {
	f, ok := binops()[e.Op]
	isSet := e.Op == parser.LAND || e.Op == parser.LOR || e.Op == parser.LUNLESS
	if !ok && !isSet {
		return operand{}, errFallback
	}
	lhs, err := ev.eval(e.LHS)
	if err != nil {
		return operand{}, err
	}
	rhs, err := ev.eval(e.RHS)
	if err != nil {
		return operand{}, err
	}
	switch {
	case lhs.scalar != nil && rhs.scalar != nil:
		for i := range lhs.scalar {
			v, keep := f(lhs.scalar[i], rhs.scalar[i])
			if e.Op.IsComparisonOperator() {
				v = oneIf(keep)
			}
			lhs.scalar[i] = v
		}
		return lhs, nil
	case lhs.scalar != nil || rhs.scalar != nil:
		return ev.vectorScalar(e, f, lhs, rhs)
	case e.VectorMatching == nil || e.VectorMatching.FillValues.LHS != nil || e.VectorMatching.FillValues.RHS != nil:
		return operand{}, errFallback
	case isSet:
		return ev.set(e, lhs.rows, rhs.rows)
	default:
		rows, err := ev.match(e, f, lhs.rows, rhs.rows)
		return operand{rows: rows}, err
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// binop computes a value, and for comparisons whether they hold.
type binop func(l, r float64) (v float64, keep bool)

func binops() map[parser.ItemType]binop {
	return map[parser.ItemType]binop{
		parser.ADD:   func(l, r float64) (float64, bool) { return l + r, true },
		parser.SUB:   func(l, r float64) (float64, bool) { return l - r, true },
		parser.MUL:   func(l, r float64) (float64, bool) { return l * r, true },
		parser.DIV:   func(l, r float64) (float64, bool) { return l / r, true },
		parser.MOD:   func(l, r float64) (float64, bool) { return math.Mod(l, r), true },
		parser.POW:   func(l, r float64) (float64, bool) { return math.Pow(l, r), true },
		parser.ATAN2: func(l, r float64) (float64, bool) { return math.Atan2(l, r), true },
		parser.EQLC:  func(l, r float64) (float64, bool) { return l, l == r },
		parser.NEQ:   func(l, r float64) (float64, bool) { return l, l != r },
		parser.GTR:   func(l, r float64) (float64, bool) { return l, l > r },
		parser.LSS:   func(l, r float64) (float64, bool) { return l, l < r },
		parser.GTE:   func(l, r float64) (float64, bool) { return l, l >= r },
		parser.LTE:   func(l, r float64) (float64, bool) { return l, l <= r },
	}
}

// vectorScalar evaluates an operator between rows and a scalar, in place. A comparison
// keeps the value of the vector, on whichever side it stands.
func (ev *evaluator) vectorScalar(e *parser.BinaryExpr, f binop, lhs, rhs operand) (operand, error) {
	rows, scalar, swapped := lhs.rows, rhs.scalar, false
	if lhs.scalar != nil {
		rows, scalar, swapped = rhs.rows, lhs.scalar, true
	}
	dropName := !e.Op.IsComparisonOperator() || e.ReturnBool
	for k := range rows {
		vals := rows[k].vals
		for i, v := range vals {
			if isAbsent(v) {
				continue
			}
			l, r := v, scalar[i]
			if swapped {
				l, r = r, l
			}
			out, keep := f(l, r)
			switch {
			case e.ReturnBool:
				out = oneIf(keep)
			case !keep:
				out = absent()
			case e.Op.IsComparisonOperator():
				out = v
			}
			vals[i] = out
		}
		if dropName {
			rows[k].labels = dropMetadata(rows[k].labels)
		}
	}
	rows = dropEmpty(rows)
	if dropName {
		return operand{rows: rows}, checkUnique(rows)
	}
	return operand{rows: rows}, nil
}

// signer computes the matching signature of label sets.
type signer struct {
	on    bool
	names []string
	buf   []byte
}

func newSigner(m *parser.VectorMatching) *signer {
	s := &signer{on: m.On, names: slices.Clone(m.MatchingLabels)}
	if !m.On {
		s.names = append(s.names, model.MetricName)
	}
	slices.Sort(s.names)
	return s
}

func (s *signer) of(ls labels.Labels) string {
	if s.on {
		s.buf = ls.BytesWithLabels(s.buf, s.names...)
	} else {
		s.buf = ls.BytesWithoutLabels(s.buf, s.names...)
	}
	return string(s.buf)
}

// match evaluates arithmetic and comparison between rows. A signature that several rows
// of a "one" side share may still be right, if they never have a value at one step, or
// be an error; Prometheus' engine decides.
func (ev *evaluator) match(e *parser.BinaryExpr, f binop, lhs, rhs []row) ([]row, error) {
	m := e.VectorMatching
	many, one := lhs, rhs
	if m.Card == parser.CardOneToMany {
		many, one = rhs, lhs
	}
	sig := newSigner(m)
	index := make(map[string]int, len(one))
	for i := range one {
		key := sig.of(one[i].labels)
		if _, dup := index[key]; dup {
			return nil, errFallback
		}
		index[key] = i
	}
	used := make(map[int]bool, len(one))
	dropName := !e.Op.IsComparisonOperator() || e.ReturnBool
	lb := labels.NewBuilder(labels.EmptyLabels())
	out := make([]row, 0, len(many))
	for _, r := range many {
		i, ok := index[sig.of(r.labels)]
		if !ok {
			continue
		}
		if m.Card == parser.CardOneToOne && used[i] {
			return nil, errFallback
		}
		used[i] = true
		l, rr := r.vals, one[i].vals
		if m.Card == parser.CardOneToMany {
			l, rr = rr, l
		}
		vals, err := ev.newRow()
		if err != nil {
			return nil, err
		}
		combine(f, l, rr, e.ReturnBool, vals)
		out = append(out, row{resultLabels(lb, r.labels, one[i].labels, m, dropName), vals})
	}
	out = dropEmpty(out)
	return out, checkUnique(out)
}

func combine(f binop, l, r []float64, returnBool bool, out []float64) {
	for i := range out {
		if isAbsent(l[i]) || isAbsent(r[i]) {
			continue
		}
		v, keep := f(l[i], r[i])
		switch {
		case returnBool:
			out[i] = oneIf(keep)
		case keep:
			out[i] = v
		}
	}
}

// resultLabels are the labels of the "many" side, restricted for one-to-one matching to
// what was matched on, with the labels that group_left or group_right include.
func resultLabels(lb *labels.Builder, many, one labels.Labels, m *parser.VectorMatching, dropName bool) labels.Labels {
	if dropName {
		many = dropMetadata(many)
	}
	lb.Reset(many)
	if m.Card == parser.CardOneToOne {
		if m.On {
			lb.Keep(m.MatchingLabels...)
		} else {
			lb.Del(m.MatchingLabels...)
		}
	}
	for _, name := range m.Include {
		lb.Set(name, one.Get(name)) // an empty value deletes
	}
	return lb.Labels()
}

// set evaluates and, or and unless.
func (ev *evaluator) set(e *parser.BinaryExpr, lhs, rhs []row) (operand, error) {
	sig := newSigner(e.VectorMatching)
	present, err := ev.presence(sig, lhs, rhs, e.Op == parser.LOR)
	if err != nil {
		return operand{}, err
	}
	if e.Op == parser.LOR {
		for _, r := range rhs {
			mask := present[sig.of(r.labels)]
			for i := range r.vals {
				if mask != nil && mask[i] {
					r.vals[i] = absent()
				}
			}
		}
		rows := dropEmpty(append(lhs, rhs...))
		return operand{rows: rows}, checkUnique(rows)
	}
	for _, r := range lhs {
		mask := present[sig.of(r.labels)]
		for i := range r.vals {
			if has := mask != nil && mask[i]; has != (e.Op == parser.LAND) {
				r.vals[i] = absent()
			}
		}
	}
	return operand{rows: dropEmpty(lhs)}, nil
}

// presence tells at which steps each signature has a value on the deciding side: the
// left one for or, the right one otherwise.
func (ev *evaluator) presence(sig *signer, lhs, rhs []row, left bool) (map[string][]bool, error) {
	side := rhs
	if left {
		side = lhs
	}
	present := map[string][]bool{}
	for _, r := range side {
		key := sig.of(r.labels)
		mask := present[key]
		if mask == nil {
			if err := ev.acct.Hold(int64(ev.n)); err != nil {
				return nil, err
			}
			mask = make([]bool, ev.n)
			present[key] = mask
		}
		for i, v := range r.vals {
			mask[i] = mask[i] || !isAbsent(v)
		}
	}
	return present, nil
}
