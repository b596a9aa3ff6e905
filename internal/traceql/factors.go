package traceql

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/store"
)

// The attribute half of [Explain]: counting values column by column, and ranking them.

// factorAttr is the counts of one attribute.
type factorAttr struct {
	name   string
	values map[Value]*factorCount
	full   bool // more values than are counted
}

// factorCount counts the spans of both sides that have a value. set is equal for two
// values, all but certainly, if the same spans have them.
type factorCount struct {
	n    [2]int
	set  uint64
	seen int32 // row last counted
}

// maxNumbers is the distinct numbers of an attribute from which on they are counted in
// ranges.
const maxNumbers = 64

func (x *explainer) attr(name string) (*factorAttr, error) {
	a := x.byName[name]
	if a == nil {
		if err := x.hold(200 + len(name)); err != nil {
			return nil, err
		}
		a = &factorAttr{name: name, values: map[Value]*factorCount{}}
		x.byName[name] = a
		x.attrs = append(x.attrs, a)
	}
	return a, nil
}

// count counts the values of all attributes of a batch.
func (x *explainer) count(f *frame) error {
	for _, in := range [...]intrinsic{inName, inStatus, inKind, inStatusMessage, inRootName, inRootService, inScopeName, inScopeVersion} {
		err := x.column(f, in.info().name, func(row int32, count func(Value)) {
			if v := f.intrinsic(in, cursor{row, -1, -1}); v.typ != TypeString || v.s != "" {
				count(v)
			}
		})
		if err != nil {
			return err
		}
	}
	err := x.column(f, "resource.service.name", func(row int32, count func(Value)) {
		if s := f.rows.Service[row]; s != "" {
			count(stringValue(s))
		}
	})
	if err != nil {
		return err
	}
	for i := range f.rows.Attrs {
		col := &f.rows.Attrs[i]
		if col.Type == store.ValueOther || col.Attr == (store.Attr{Scope: store.ScopeResource, Name: serviceName}) {
			continue
		}
		err := x.column(f, x.names.of(col.Attr), func(row int32, count func(Value)) { countCell(f, col, row, count) })
		if err != nil {
			return err
		}
	}
	if f.rows.Events == nil {
		return nil
	}
	err = x.column(f, inEventName.info().name, func(row int32, count func(Value)) {
		lo, hi := f.events(row)
		for e := lo; e < hi; e++ {
			count(stringValue(f.rows.Events.Name[e]))
		}
	})
	for i := range f.rows.Events.Attrs {
		col := &f.rows.Events.Attrs[i]
		if err != nil || col.Type == store.ValueOther {
			continue
		}
		err = x.column(f, x.names.of(col.Attr), func(row int32, count func(Value)) {
			lo, hi := f.events(row)
			for e := lo; e < hi; e++ {
				countCell(f, col, e, count)
			}
		})
	}
	return err
}

// countCell counts a cell of a column, of an array each element.
func countCell(f *frame, col *store.AttrColumn, at int32, count func(Value)) {
	if !col.Has[at] {
		return
	}
	v := f.columnValue(col, at)
	if v.typ != TypeArray {
		count(v)
		return
	}
	for _, e := range v.Elems() {
		count(e)
	}
}

// column counts one attribute: cells calls count for each value that a row has.
func (x *explainer) column(f *frame, name string, cells func(row int32, count func(Value))) error {
	if x.skip[name] {
		return nil
	}
	a, err := x.attr(name)
	if err != nil {
		return err
	}
	for _, c := range a.values {
		c.seen = -1
	}
	var last Value
	var lastCount *factorCount
	var row int32
	count := func(v Value) {
		if v.typ == TypeNil || err != nil {
			return
		}
		if lastCount == nil || v != last {
			last = v
			if lastCount, err = x.value(a, v); lastCount == nil {
				return
			}
		}
		if lastCount.seen != row {
			lastCount.seen = row
			lastCount.n[x.sides[row]]++
			lastCount.set ^= x.ids[row]
		}
	}
	for i := range f.rows.Len() {
		if row = int32(i); x.sides[row] >= 0 {
			cells(row, count)
		}
	}
	return err
}

// value returns the counts of v, nil if there are too many values.
func (x *explainer) value(a *factorAttr, v Value) (*factorCount, error) {
	c := a.values[v]
	if c == nil {
		if len(a.values) == maxCompared {
			if !a.full {
				a.full = true
				x.params.Account.Warn("%s: only the first %d values are compared", a.name, maxCompared)
			}
			return nil, nil
		}
		if err := x.hold(150 + len(v.s)); err != nil {
			return nil, err
		}
		c = &factorCount{seen: -1}
		a.values[v.clone()] = c
	}
	return c, nil
}

// result ranks what was counted.
func (x *explainer) result() Explanation {
	out := Explanation{Threshold: x.threshold}
	for side, g := range [2]*Group{&out.Baseline, &out.Selected} {
		*g = Group{Spans: x.spans[side], P50: x.durations[side].quantile(0.5), P95: x.durations[side].quantile(0.95), Examples: x.examples[side]}
	}
	out.Factors = x.factors()
	out.Time = x.timeSpent()
	return out
}

// candidate is a factor before equal ones are put together.
type candidate struct {
	Factor
	set uint64
}

func (x *explainer) factors() []Factor {
	var all []candidate
	for _, a := range x.attrs {
		if !a.numbers() {
			for v, c := range a.values {
				all = x.consider(all, a.name, v.String(), v.typ, conditionText(a.name, v), c)
			}
			continue
		}
		for low, c := range a.ranges() {
			high := 2 * low
			text := number(low) + " to " + number(high)
			cond := a.name + " >= " + number(low) + " && " + a.name + " < " + number(high)
			if low == 0 {
				text, cond = "0 or less", a.name+" <= 0"
			}
			all = x.consider(all, a.name, text, TypeFloat, cond, c)
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Type, b.Type))
	})
	var out []Factor
	at := map[uint64]int{}
	for _, c := range all {
		if i, ok := at[c.set]; ok {
			out[i].Same = append(out[i].Same, Same{c.Attribute, c.Value, c.Filter})
			continue
		}
		if len(out) == x.params.Factors {
			break
		}
		at[c.set] = len(out)
		out = append(out, c.Factor)
	}
	return out
}

// consider adds a value if selected spans have it more often, beyond chance.
func (x *explainer) consider(all []candidate, attr, text string, typ Type, cond string, c *factorCount) []candidate {
	f := Factor{Attribute: attr, Value: text, Type: typ, Filter: "{ " + cond + " }", Selected: c.n[1], Baseline: c.n[0]}
	n1, n0 := float64(x.spans[1]), float64(x.spans[0])
	if n1 == 0 || n0 == 0 || f.Selected == 0 {
		return all
	}
	p1, p0 := float64(f.Selected)/n1, float64(f.Baseline)/n0
	f.Difference = p1 - p0
	// The interval of Agresti and Caffo: one success and one failure added to each side.
	q1, q0 := (float64(f.Selected)+1)/(n1+2), (float64(f.Baseline)+1)/(n0+2)
	f.Score = q1 - q0 - 1.96*math.Sqrt(q1*(1-q1)/(n1+2)+q0*(1-q0)/(n0+2))
	if f.Score <= 0 {
		return all
	}
	f.Lift = p1 / ((float64(f.Baseline) + 0.5) / (n0 + 0.5))
	pooled := float64(f.Selected+f.Baseline) / (n1 + n0)
	if se := math.Sqrt(pooled * (1 - pooled) * (1/n1 + 1/n0)); se > 0 {
		f.PValue = math.Erfc(math.Abs(f.Difference) / se / math.Sqrt2)
	}
	return append(all, candidate{f, c.set})
}

// conditionText is the condition that an attribute has a value.
func conditionText(name string, v Value) string {
	var b strings.Builder
	b.WriteString(name + " = ")
	v.writeLiteral(&b)
	return b.String()
}

// numbers reports whether a has so many numbers that ranges of them say more.
func (a *factorAttr) numbers() bool {
	if len(a.values) <= maxNumbers {
		return false
	}
	for v := range a.values {
		if v.typ != TypeInt && v.typ != TypeFloat {
			return false
		}
	}
	return true
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// ranges adds up the numbers from each power of two to the next, by the power; 0 is the
// numbers that are not positive.
func (a *factorAttr) ranges() map[float64]*factorCount {
	out := map[float64]*factorCount{}
	for v, c := range a.values {
		low := 0.0
		if f := v.Float(); f > 0 && !math.IsInf(f, 0) {
			_, exp := math.Frexp(f)
			low = math.Ldexp(1, exp-1)
		}
		sum := out[low]
		if sum == nil {
			sum = &factorCount{}
			out[low] = sum
		}
		sum.n[0] += c.n[0]
		sum.n[1] += c.n[1]
		sum.set ^= c.set
	}
	return out
}

// timeSpent returns the operations on which selected spans spend more time.
func (x *explainer) timeSpent() []TimeSpent {
	var out []TimeSpent
	for op, sum := range x.time {
		t := TimeSpent{Service: op.service, Name: op.name}
		if x.spans[1] > 0 {
			t.Selected = sum[1] / float64(x.spans[1])
		}
		if x.spans[0] > 0 {
			t.Baseline = sum[0] / float64(x.spans[0])
		}
		if t.Selected > t.Baseline {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b TimeSpent) int {
		return cmp.Or(cmp.Compare(b.Selected-b.Baseline, a.Selected-a.Baseline), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), maxTimeSpent)]
}
