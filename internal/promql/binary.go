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
	lhs, err := ev.eval(e.LHS)
	if err != nil {
		return operand{}, err
	}
	rhs, err := ev.eval(e.RHS)
	if err != nil {
		return operand{}, err
	}
	f := operator(e.Op)
	switch {
	case e.Op == parser.LAND || e.Op == parser.LOR || e.Op == parser.LUNLESS:
		return ev.set(e, lhs.rows, rhs.rows)
	case f == nil && (!isTrim(e.Op) || lhs.scalar != nil && rhs.scalar != nil):
		return ev.graft(e, lhs, rhs)
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
	case e.VectorMatching.FillValues.LHS != nil || e.VectorMatching.FillValues.RHS != nil:
		return ev.graft(e, lhs, rhs)
	default:
		return ev.match(e, f, lhs, rhs)
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

// operator returns the function of an operator, or nil if floats have none.
func operator(op parser.ItemType) binop {
	switch op {
	case parser.ADD:
		return func(l, r float64) (float64, bool) { return l + r, true }
	case parser.SUB:
		return func(l, r float64) (float64, bool) { return l - r, true }
	case parser.MUL:
		return func(l, r float64) (float64, bool) { return l * r, true }
	case parser.DIV:
		return func(l, r float64) (float64, bool) { return l / r, true }
	case parser.MOD:
		return func(l, r float64) (float64, bool) { return math.Mod(l, r), true }
	case parser.POW:
		return func(l, r float64) (float64, bool) { return math.Pow(l, r), true }
	case parser.ATAN2:
		return func(l, r float64) (float64, bool) { return math.Atan2(l, r), true }
	case parser.EQLC:
		return func(l, r float64) (float64, bool) { return l, l == r }
	case parser.NEQ:
		return func(l, r float64) (float64, bool) { return l, l != r }
	case parser.GTR:
		return func(l, r float64) (float64, bool) { return l, l > r }
	case parser.LSS:
		return func(l, r float64) (float64, bool) { return l, l < r }
	case parser.GTE:
		return func(l, r float64) (float64, bool) { return l, l >= r }
	case parser.LTE:
		return func(l, r float64) (float64, bool) { return l, l <= r }
	default:
		return nil
	}
}

// vectorScalar evaluates an operator between rows and a scalar, in place. A comparison
// keeps the value of the vector, on whichever side it stands.
func (ev *evaluator) vectorScalar(e *parser.BinaryExpr, f binop, lhs, rhs operand) (operand, error) {
	rows, scalar, swapped := lhs.rows, rhs.scalar, false
	if lhs.scalar != nil {
		rows, scalar, swapped = rhs.rows, lhs.scalar, true
	}
	if dropsName(e) && !dropNames(rows) {
		return operand{}, errFallback
	}
	hists := histogramOp{ev: ev, e: e, float: f}
	defer hists.done()
	for k := range rows {
		if rows[k].hists != nil || f == nil {
			hists.scalar(&rows[k], scalar, swapped)
			continue
		}
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
	}
	return operand{rows: dropEmpty(rows)}, nil
}

// dropsName reports whether the result of an operator is another metric.
func dropsName(e *parser.BinaryExpr) bool {
	return e.ReturnBool || !e.Op.IsComparisonOperator() && !isTrim(e.Op)
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
func (ev *evaluator) match(e *parser.BinaryExpr, f binop, lhs, rhs operand) (operand, error) {
	m := e.VectorMatching
	many, one := lhs.rows, rhs.rows
	if m.Card == parser.CardOneToMany {
		many, one = one, many
	}
	sig := newSigner(m)
	index := make(map[string]int, len(one))
	for i := range one {
		key := sig.of(one[i].labels)
		if _, dup := index[key]; dup {
			return ev.graft(e, lhs, rhs)
		}
		index[key] = i
	}
	used := make(map[int]bool, len(one))
	dropName := dropsName(e)
	lb := labels.NewBuilder(labels.EmptyLabels())
	out := make([]row, 0, len(many))
	hists := histogramOp{ev: ev, e: e, float: f}
	for k := range many {
		r := &many[k]
		i, ok := index[sig.of(r.labels)]
		if !ok {
			continue
		}
		if m.Card == parser.CardOneToOne && used[i] {
			return ev.graft(e, lhs, rhs)
		}
		used[i] = true
		l, rr := r, &one[i]
		if m.Card == parser.CardOneToMany {
			l, rr = rr, l
		}
		vals, err := ev.newRow()
		if err != nil {
			return operand{}, err
		}
		to := row{labels: resultLabels(lb, r.labels, one[i].labels, m, dropName), vals: vals}
		if l.hists != nil || rr.hists != nil || f == nil {
			hists.rows(l, rr, &to)
		} else {
			combine(f, l.vals, rr.vals, e.ReturnBool, vals)
		}
		out = append(out, to)
	}
	if !unique(out) {
		return ev.graft(e, lhs, rhs)
	}
	hists.done()
	ev.drop(len(lhs.rows) + len(rhs.rows))
	return operand{rows: dropEmpty(out)}, nil
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
		return operand{rows: union(sig, present, lhs, rhs)}, nil
	}
	for k := range lhs {
		r := &lhs[k]
		mask := present[sig.of(r.labels)]
		for i := range r.vals {
			if has := mask != nil && mask[i]; has != (e.Op == parser.LAND) {
				r.clear(i)
			}
		}
	}
	ev.drop(len(rhs))
	return operand{rows: dropEmpty(lhs)}, nil
}

// union adds to lhs what rhs has at steps where lhs has nothing of the same signature. Rows
// that are equal on both sides become one: they share a signature, so never a step.
func union(sig *signer, present map[string][]bool, lhs, rhs []row) []row {
	index := make(map[uint64]int, len(lhs))
	for k := range lhs {
		index[lhs[k].labels.Hash()] = k
	}
	out := lhs
	for k := range rhs {
		r := &rhs[k]
		mask := present[sig.of(r.labels)]
		at, same := index[r.labels.Hash()]
		same = same && labels.Equal(lhs[at].labels, r.labels)
		for i := range r.vals {
			switch {
			case mask != nil && mask[i]:
				r.clear(i)
			case same:
				lhs[at].take(r, i)
			}
		}
		if !same {
			out = append(out, *r)
		}
	}
	return dropEmpty(out)
}

// presence tells at which steps each signature has a value on the deciding side: the
// left one for or, the right one otherwise.
func (ev *evaluator) presence(sig *signer, lhs, rhs []row, left bool) (map[string][]bool, error) {
	side := rhs
	if left {
		side = lhs
	}
	present := map[string][]bool{}
	for k := range side {
		r := &side[k]
		key := sig.of(r.labels)
		mask := present[key]
		if mask == nil {
			if err := ev.acct.Hold(int64(ev.n)); err != nil {
				return nil, err
			}
			mask = make([]bool, ev.n)
			present[key] = mask
		}
		for i := range r.vals {
			mask[i] = mask[i] || r.has(i)
		}
	}
	return present, nil
}

// dropEmpty removes rows without a value.
func dropEmpty(rows []row) []row {
	out := rows[:0]
	for _, r := range rows {
		for i := range r.vals {
			if r.has(i) {
				out = append(out, r)
				break
			}
		}
	}
	return out
}
