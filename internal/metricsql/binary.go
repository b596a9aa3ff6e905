package metricsql

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/pharos-o11y/pharos/internal/model"
)

// arithmetic are the operators that make a number of two.
func arithmetic(op string) func(a, b float64) float64 {
	switch op {
	case "+":
		return func(a, b float64) float64 { return a + b }
	case "-":
		return func(a, b float64) float64 { return a - b }
	case "*":
		return func(a, b float64) float64 { return a * b }
	case "/":
		return func(a, b float64) float64 { return a / b }
	case "%":
		return math.Mod
	case "^":
		return math.Pow
	case "atan2":
		return math.Atan2
	case "default":
		return func(a, b float64) float64 { return ifElse(math.IsNaN(a), b, a) }
	case "if":
		return func(a, b float64) float64 { return ifElse(math.IsNaN(b), nan(), a) }
	case "ifnot":
		return func(a, b float64) float64 { return ifElse(math.IsNaN(b), a, nan()) }
	}
	return nil
}

// comparison are the operators that compare.
func comparison(op string) func(a, b float64) bool {
	switch op {
	case "==":
		return same
	case "!=":
		return func(a, b float64) bool { return !same(a, b) }
	case ">":
		return func(a, b float64) bool { return a > b }
	case "<":
		return func(a, b float64) bool { return a < b }
	case ">=":
		return func(a, b float64) bool { return a >= b }
	case "<=":
		return func(a, b float64) bool { return a <= b }
	}
	return nil
}

// binary evaluates an operator.
func (ev *evaluator) binary(e *metricsql.BinaryOpExpr) ([]*series, error) {
	left, err := ev.eval(e.Left)
	if err != nil {
		return nil, err
	}
	right, err := ev.eval(e.Right)
	if err != nil {
		return nil, err
	}
	op := strings.ToLower(e.Op)
	b := &operator{ev: ev, e: e, op: op}
	switch op {
	case "and", "or", "unless", "default", "if", "ifnot":
		return b.set(left, right)
	}
	if b.f = b.pointwise(op); b.f == nil {
		return nil, fmt.Errorf("%w: unknown operator %s", ErrEval, e.Op)
	}
	return b.match(left, right)
}

// operator is a binary operator on its way.
type operator struct {
	ev *evaluator
	e  *metricsql.BinaryOpExpr
	op string
	f  func(a, b float64) float64
}

// pointwise returns what the operator does with two values.
func (b *operator) pointwise(op string) func(a, c float64) float64 {
	if f := arithmetic(op); f != nil {
		return f
	}
	cmp := comparison(op)
	switch {
	case cmp == nil:
		return nil
	case b.e.Bool:
		return func(x, y float64) float64 {
			if math.IsNaN(x) {
				return nan()
			}
			return ifElse(cmp(x, y), 1, 0)
		}
	}
	return func(x, y float64) float64 { return ifElse(cmp(x, y), x, nan()) }
}

// isNumber reports whether list is what a number or a function without labels makes.
func isNumber(list []*series) bool { return len(list) == 1 && len(list[0].labels) == 0 }

// matches returns the labels by which series of the two sides find each other.
func (b *operator) matches(ls model.Labels) string {
	m := b.e.GroupModifier
	switch strings.ToLower(m.Op) {
	case "on":
		return labelKey(only(ls, m.Args...))
	case "ignoring":
		return labelKey(without(without(ls, m.Args...), model.MetricName))
	}
	return labelKey(without(ls, model.MetricName))
}

// keepsName reports whether results keep the metric name of the left side.
func (b *operator) keepsName() bool {
	return b.e.KeepMetricNames || comparison(b.op) != nil && !b.e.Bool
}

// match evaluates arithmetic and comparisons.
func (b *operator) match(left, right []*series) ([]*series, error) {
	explicit := b.e.GroupModifier.Op != "" || b.e.JoinModifier.Op != ""
	switch {
	case !explicit && isNumber(right):
		return b.each(left, func(s *series) { b.apply(s.values, s.values, right[0].values) })
	case !explicit && isNumber(left):
		return b.each(right, func(s *series) {
			if cmp := comparison(b.op); cmp != nil && !b.e.Bool {
				// The series is what is filtered, whichever side it is on.
				for i, v := range s.values {
					s.values[i] = ifElse(cmp(left[0].values[i], v), v, nan())
				}
				return
			}
			b.apply(s.values, left[0].values, s.values)
		})
	}
	switch join := strings.ToLower(b.e.JoinModifier.Op); join {
	case "group_left", "group_right":
		return b.join(left, right, join == "group_right")
	}
	return b.oneToOne(left, right)
}

func (b *operator) apply(dst, x, y []float64) {
	for i := range dst {
		dst[i] = b.f(x[i], y[i])
	}
}

// each changes every series of list.
func (b *operator) each(list []*series, change func(*series)) ([]*series, error) {
	for _, s := range list {
		change(s)
		if !b.keepsName() {
			s.dropName()
		}
	}
	return list, nil
}

// fill returns the series that stands for a missing one, nil if there is none.
func (b *operator) fill(n *metricsql.NumberExpr) *series {
	if n == nil {
		return nil
	}
	return b.ev.constant(n.N)[0]
}

func (b *operator) oneToOne(left, right []*series) ([]*series, error) {
	lefts := groupBy(left, func(s *series) string { return b.matches(s.labels) })
	rights := groupBy(right, func(s *series) string { return b.matches(s.labels) })
	var out []*series
	for _, key := range lefts.keys {
		x, err := b.single(lefts.of[key], "left")
		if err != nil {
			return nil, err
		}
		y := b.fill(b.e.FillRight)
		if list, ok := rights.of[key]; ok {
			if y, err = b.single(list, "right"); err != nil {
				return nil, err
			}
		}
		if y == nil {
			continue
		}
		if b.e.FillLeft != nil || b.e.FillRight != nil {
			b.fillGaps(x.values, y.values)
		}
		b.apply(x.values, x.values, y.values)
		x.labels = b.resultLabels(x.labels)
		out = append(out, x)
	}
	if b.e.FillLeft == nil {
		return out, nil
	}
	for _, key := range rights.keys {
		if _, ok := lefts.of[key]; ok {
			continue
		}
		y, err := b.single(rights.of[key], "right")
		if err != nil {
			return nil, err
		}
		b.apply(y.values, b.fill(b.e.FillLeft).values, y.values)
		y.labels = b.resultLabels(y.labels)
		out = append(out, y)
	}
	return out, nil
}

// fillGaps fills in one side where the other has values.
func (b *operator) fillGaps(x, y []float64) {
	for i := range x {
		switch {
		case math.IsNaN(x[i]) && !math.IsNaN(y[i]) && b.e.FillLeft != nil:
			x[i] = b.e.FillLeft.N
		case math.IsNaN(y[i]) && !math.IsNaN(x[i]) && b.e.FillRight != nil:
			y[i] = b.e.FillRight.N
		}
	}
}

// resultLabels returns the labels of a one to one result.
func (b *operator) resultLabels(ls model.Labels) model.Labels {
	name := get(ls, model.MetricName)
	m := b.e.GroupModifier
	out := without(ls, model.MetricName)
	switch strings.ToLower(m.Op) {
	case "on":
		out = only(ls, m.Args...)
	case "ignoring":
		out = without(out, m.Args...)
	}
	if b.keepsName() {
		return with(out, model.MetricName, name)
	}
	return without(out, model.MetricName)
}

// single merges the series of one side that have equal matching labels, if no two have a
// value at one time.
func (b *operator) single(list []*series, side string) (*series, error) {
	merged := list[0]
	for _, s := range list[1:] {
		for i, v := range s.values {
			if math.IsNaN(v) {
				continue
			}
			if !math.IsNaN(merged.values[i]) {
				return nil, fmt.Errorf("%w: several series on the %s side of %s match one: %s and %s; aggregate, or match by more labels", ErrEval, side, b.e.Op, merged.labels, s.labels)
			}
			merged.values[i] = v
		}
	}
	return merged, nil
}

// join evaluates group_left, or group_right if swapped: many series of one side match one
// of the other.
func (b *operator) join(left, right []*series, swapped bool) ([]*series, error) {
	many, one, side := left, right, "right"
	if swapped {
		many, one, side = right, left, "left"
	}
	ones := groupBy(one, func(s *series) string { return b.matches(s.labels) })
	var out []*series
	for _, m := range many {
		list, ok := ones.of[b.matches(m.labels)]
		if !ok {
			continue
		}
		o := list[0]
		if len(list) > 1 {
			copies := make([]*series, len(list))
			for i, s := range list {
				copies[i] = s.clone()
			}
			var err error
			if o, err = b.single(copies, side); err != nil {
				return nil, err
			}
		}
		if swapped {
			b.apply(m.values, o.values, m.values)
		} else {
			b.apply(m.values, m.values, o.values)
		}
		m.labels = b.joined(m.labels, o.labels)
		out = append(out, m)
	}
	return out, nil
}

// joined returns the labels of the many side with those that are taken from the one side.
func (b *operator) joined(many, one model.Labels) model.Labels {
	out := many
	if !b.keepsName() {
		out = without(out, model.MetricName)
	}
	prefix := ""
	if p := b.e.JoinModifierPrefix; p != nil {
		prefix = p.S
	}
	take := b.e.JoinModifier.Args
	if slices.Contains(take, "*") {
		rest := without(one, model.MetricName)
		if strings.EqualFold(b.e.GroupModifier.Op, "on") {
			rest = without(rest, b.e.GroupModifier.Args...)
		}
		take = nil
		for _, l := range rest {
			take = append(take, l.Name)
		}
	}
	for _, name := range take {
		out = with(out, prefix+name, get(one, name))
	}
	return out
}

// set evaluates the operators that choose between the sides.
func (b *operator) set(left, right []*series) ([]*series, error) {
	if isNumber(right) && b.e.GroupModifier.Op == "" && (b.op == "default" || b.op == "if" || b.op == "ifnot") {
		f := arithmetic(b.op)
		if len(left) == 0 && b.op == "default" {
			return right, nil
		}
		for _, s := range left {
			for i, v := range s.values {
				s.values[i] = f(v, right[0].values[i])
			}
		}
		return left, nil
	}
	lefts := groupBy(left, func(s *series) string { return b.matches(s.labels) })
	rights := groupBy(right, func(s *series) string { return b.matches(s.labels) })
	switch b.op {
	case "or", "default":
		return b.union(left, right, lefts, rights), nil
	}
	var out []*series
	for _, s := range left {
		others, ok := rights.of[b.matches(s.labels)]
		has := b.op == "and" || b.op == "if" // keep what the right side has, or what it has not
		if !ok && has {
			continue
		}
		for i := range s.values {
			found := slices.ContainsFunc(others, func(o *series) bool { return !math.IsNaN(o.values[i]) })
			if found != has {
				s.values[i] = nan()
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// union returns the left side, its gaps filled from the right, and the series of the
// right that match none.
func (b *operator) union(left, right []*series, lefts, rights *groups) []*series {
	out := slices.Clone(left)
	for _, s := range left {
		for _, o := range rights.of[b.matches(s.labels)] {
			if b.op == "or" && labelKey(o.labels) != labelKey(s.labels) {
				continue
			}
			for i, v := range s.values {
				if math.IsNaN(v) {
					s.values[i] = o.values[i]
				}
			}
		}
	}
	for _, o := range right {
		others, ok := lefts.of[b.matches(o.labels)]
		if !ok && (b.op == "or" || len(left) == 0) {
			out = append(out, o)
			continue
		}
		if b.op == "default" || slices.ContainsFunc(others, func(s *series) bool { return labelKey(s.labels) == labelKey(o.labels) }) {
			continue
		}
		for i := range o.values { // where no left series has a value
			if slices.ContainsFunc(others, func(s *series) bool { return !math.IsNaN(s.values[i]) }) {
				o.values[i] = nan()
			}
		}
		out = append(out, o)
	}
	return out
}
