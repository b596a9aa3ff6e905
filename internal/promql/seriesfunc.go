package promql

import (
	"math"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Functions that look at series as a whole: which there are, what they are called, in
// which order they come.

// absent evaluates absent: 1 at the steps where nothing has a value.
func (ev *evaluator) absent(e *parser.Call) (operand, error) {
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	return ev.invert(in, e.Args[0]), nil
}

// absentOverTime evaluates absent_over_time.
func (ev *evaluator) absentOverTime(spec rollupSpec) (operand, error) {
	spec.keepName = true // series that are equal without their names are no matter here
	in, err := ev.rollup(spec)
	if err != nil {
		return in, err
	}
	return ev.invert(in, spec.args[0]), nil
}

// invert returns 1 where no row has a value, with the labels that the selector arg fixes.
func (ev *evaluator) invert(in operand, arg parser.Expr) operand {
	vals := ev.constant(1)
	for i := range vals {
		if slices.ContainsFunc(in.rows, func(r row) bool { return r.has(i) }) {
			vals[i] = absent()
		}
	}
	ev.drop(len(in.rows))
	return operand{rows: dropEmpty([]row{{labels: fixedLabels(arg), vals: vals}})}
}

// fixedLabels returns the labels that every series of a selector has: those with one
// equality matcher.
func fixedLabels(expr parser.Expr) labels.Labels {
	if inv, ok := expr.(*parser.StepInvariantExpr); ok {
		expr = inv.Expr
	}
	if m, ok := expr.(*parser.MatrixSelector); ok {
		expr = m.VectorSelector
	}
	vs, ok := expr.(*parser.VectorSelector)
	if !ok {
		return labels.EmptyLabels()
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	has := map[string]bool{}
	for _, m := range vs.LabelMatchers {
		switch {
		case m.Name == model.MetricNameLabel:
		case m.Type == labels.MatchEqual && !has[m.Name]:
			b.Set(m.Name, m.Value)
			has[m.Name] = true
		default:
			b.Del(m.Name)
		}
	}
	return b.Labels()
}

// timestamp evaluates timestamp: of a selector the time of the sample, of any other
// expression that of the step.
func (ev *evaluator) timestamp(e *parser.Call) (operand, error) {
	if vs, ok := e.Args[0].(*parser.VectorSelector); ok {
		if vs.Timestamp != nil && vs.OriginalOffset != 0 {
			return operand{}, errFallback // Prometheus looks for samples without the offset
		}
		spec, err := ev.selector(vs)
		if err != nil {
			return operand{}, err
		}
		spec.name, spec.keepName = "timestamp", false
		spec.f = func(w *window) (float64, bool) {
			last := len(w.vs) - 1
			return float64(w.ts[last]) / 1000, !isAbsent(w.vs[last])
		}
		return ev.rollup(spec)
	}
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	for _, r := range in.rows { // a histogram's is that of the step, too
		for i, h := range r.hists {
			if h != nil {
				r.vals[i] = 0
			}
		}
	}
	return ev.mapValues(in, func(i int, _ float64) float64 { return float64(ev.at(i)) / 1000 })
}

// relabel evaluates label_replace and label_join, once a series.
func (ev *evaluator) relabel(e *parser.Call) (operand, error) {
	change, err := relabeling(e)
	if err != nil {
		return operand{}, err
	}
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	lb := labels.NewBuilder(labels.EmptyLabels())
	for i := range in.rows {
		r := &in.rows[i]
		lb.Reset(r.labels)
		change(r.labels, lb)
		r.labels = lb.Labels()
	}
	if !unique(in.rows) {
		return operand{}, errFallback
	}
	return in, nil
}

// relabeling returns what a call of label_replace or label_join does to a label set.
// Arguments that are wrong are errFallback, for Prometheus' engine to word.
func relabeling(e *parser.Call) (func(ls labels.Labels, lb *labels.Builder), error) {
	args := make([]string, 0, len(e.Args)-1)
	for _, a := range e.Args[1:] {
		s, ok := a.(*parser.StringLiteral)
		if !ok {
			return nil, errFallback
		}
		args = append(args, s.Val)
	}
	dst := args[0]
	if !model.UTF8Validation.IsValidLabelName(dst) {
		return nil, errFallback
	}
	if e.Func.Name == "label_join" {
		sep, src := args[1], args[2:]
		for _, name := range src {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return nil, errFallback
			}
		}
		vals := make([]string, len(src))
		return func(ls labels.Labels, lb *labels.Builder) {
			for i, name := range src {
				vals[i] = ls.Get(name)
			}
			lb.Set(dst, strings.Join(vals, sep))
		}, nil
	}
	repl, src := args[1], args[2]
	re, err := regexp.Compile("^(?s:" + args[3] + ")$")
	if err != nil {
		return nil, errFallback
	}
	known := map[string]*string{} // by value: many series share theirs
	return func(ls labels.Labels, lb *labels.Builder) {
		val := ls.Get(src)
		out, ok := known[val]
		if !ok {
			if at := re.FindStringSubmatchIndex(val); at != nil {
				s := string(re.ExpandString(nil, repl, val, at))
				out = &s
			}
			known[val] = out
		}
		if out != nil {
			lb.Set(dst, *out)
		}
	}, nil
}

// sort evaluates sort and sort_desc of instant queries; at several steps there is no one
// order, which Prometheus' engine warns about.
func (ev *evaluator) sort(e *parser.Call) (operand, error) {
	if ev.end != ev.start {
		return operand{}, errFallback
	}
	in, err := ev.eval(e.Args[0])
	if err != nil {
		return in, err
	}
	for k := range in.rows {
		in.rows[k].hists = nil // they have no order
	}
	in.rows = dropEmpty(in.rows)
	desc := e.Func.Name == "sort_desc"
	sort.Sort(sort.Reverse(byValue{in.rows, func(a, b row) bool {
		x, y := a.vals[0], b.vals[0]
		return math.IsNaN(x) || (desc && x < y || !desc && x > y)
	}}))
	return in, nil
}

// byValue sorts as Prometheus does, equal values included: by the same algorithm.
type byValue struct {
	rows []row
	less func(a, b row) bool
}

func (s byValue) Len() int           { return len(s.rows) }
func (s byValue) Less(i, j int) bool { return s.less(s.rows[i], s.rows[j]) }
func (s byValue) Swap(i, j int)      { s.rows[i], s.rows[j] = s.rows[j], s.rows[i] }
