package traceql

import (
	"context"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// maxBy is the most attributes that by() takes.
const maxBy = 5

// groupKey is the values of by() by their numbers in the dictionaries.
type groupKey [maxBy]int32

// dictionary numbers the values of one attribute of by().
type dictionary struct {
	vals   []Value // by number, with memory of their own
	strs   map[string]int32
	others map[Value]int32

	last   Value // of this batch, numbered lastID; -1 before the first
	lastID int32
}

// number returns the number of v.
func (d *dictionary) number(v Value) int32 {
	if d.lastID >= 0 && v == d.last {
		return d.lastID
	}
	d.last = v
	id, ok := d.strs[v.s]
	if v.typ != TypeString {
		id, ok = d.others[v]
	}
	if !ok {
		id = int32(len(d.vals))
		own := v.clone()
		d.vals = append(d.vals, own)
		if v.typ == TypeString {
			d.strs[own.s] = id
		} else {
			d.others[own] = id
		}
	}
	d.lastID = id
	return id
}

// group accumulates one group of spans.
type group struct {
	labels []KeyValue
	// values are counts, sums, minima or maxima; carry the lost digits of sums; counts the
	// observations behind an average.
	values, carry, counts []float64
	// buckets are counts of observations by interval, for each power of two that occurs:
	// bucket e holds values above 2^(e-1) up to 2^e.
	buckets   [65][]float64
	exemplars []exemplar
}

// meter observes the spans of one metrics query.
type meter struct {
	run   *metricRun
	q     *metricQuery
	plan  *plan
	attr  evaluator // nil if the function takes none
	isDur bool      // attr yields durations: shown in seconds
	by    []evaluator
	names []*attribute
	child bool // attr or by read events or links

	dicts   []dictionary // by attribute of by()
	groups  []*group
	index   map[groupKey]int
	lastKey groupKey
	last    *group // of lastKey, nil before the first

	slices    []uint8 // exemplars taken in each part of the window; nil for none
	taken     int     // in all
	traceUsed bool    // the current trace has given its exemplar
}

// query evaluates one metrics function.
func (m *metricRun) query(ctx context.Context, q *metricQuery) ([]line, error) {
	pl := newPlan(q.pipe, m.grid.timeRange(), m.acct)
	b := &binder{slots: pl.slots, filters: pl.filters}
	k := &meter{run: m, q: q, plan: pl, index: map[groupKey]int{}, names: q.by}
	if q.attr != nil {
		k.attr = b.evaluator(q.attr)
		k.isDur = q.attr.in != inNone && q.attr.in.info().typ == TypeDuration
		pl.wantChildren(q.attr.children())
		k.child = q.attr.children().any()
	}
	for _, a := range q.by {
		k.by = append(k.by, b.evaluator(a))
		k.dicts = append(k.dicts, dictionary{strs: map[string]int32{}, others: map[Value]int32{}, lastID: -1})
		pl.wantChildren(a.children())
		k.child = k.child || a.children().any()
	}
	pl.finish(b)
	if m.exemplars > 0 {
		pl.bindExemplars(q)
		k.slices = make([]uint8, max(1, m.exemplars/2))
	}
	if len(q.by) == 0 && (q.fn == fnRate || q.fn == fnCount) {
		if _, err := k.group(groupKey{}); err != nil { // present even if nothing matches
			return nil, err
		}
	}
	if pl.sel.TraceIDs != nil && len(pl.sel.TraceIDs) == 0 {
		return k.lines(), nil
	}
	f := newFrame(pl.slots, pl.filters)
	for rows, err := range m.reader.Scan(ctx, m.tenant, pl.sel) {
		if err != nil {
			return nil, err
		}
		f.load(rows)
		for j := range k.dicts {
			k.dicts[j].lastID = -1
		}
		if err := k.batch(f); err != nil {
			return nil, err
		}
		if err := k.tell(); err != nil {
			return nil, err
		}
	}
	return k.lines(), nil
}

// tell hands over the series so far, if it is time to.
func (k *meter) tell() error {
	if k.run.take == nil || !k.run.due() {
		return nil
	}
	size := int64(8 * k.run.grid.n * len(k.groups))
	if err := k.run.acct.Hold(size); err != nil {
		return err
	}
	defer k.run.acct.Drop(size)
	return k.run.take(k.run.series(k.lines()))
}

func (k *meter) batch(f *frame) error {
	if k.plan.single >= 0 {
		return k.singleFilter(f)
	}
	var one [1]set
	matched := int64(0)
	for t := range f.traces() {
		f.used = 0
		k.traceUsed = false
		one[0] = set{rows: f.span(t)}
		sets, err := runStages(f, t, k.plan.stages, one[:])
		if err != nil {
			return err
		}
		for _, s := range sets {
			matched += int64(len(s.rows))
			for _, r := range s.rows {
				if err := k.observe(f, r); err != nil {
					return err
				}
			}
		}
	}
	k.run.acct.Matched(matched)
	return nil
}

// singleFilter needs no spansets: every span of the mask counts.
func (k *meter) singleFilter(f *frame) error {
	mask := f.mask(k.plan.single)
	matched := int64(0)
	for t := range f.traces() {
		k.traceUsed = false
		for r := f.bounds[t]; r < f.bounds[t+1]; r++ {
			if !mask[r] {
				continue
			}
			matched++
			if err := k.observe(f, r); err != nil {
				return err
			}
		}
	}
	k.run.acct.Matched(matched)
	return nil
}

// observe counts the span at row.
func (k *meter) observe(f *frame, row int32) error {
	start := f.rows.Start[row]
	i := k.run.grid.interval(start)
	if i < 0 {
		return nil
	}
	c := cursor{row, -1, -1}
	if k.child {
		c = f.firstChild(row)
	}
	var v Value
	if k.attr != nil {
		v = k.attr.value(f, c)
		if !v.typ.numeric() || k.buckets() && (v.typ == TypeFloat || v.n < 2) {
			return nil
		}
	}
	g, err := k.groupOf(f, c)
	if err != nil {
		return err
	}
	x := v.Float()
	if v.typ == TypeDuration {
		x /= float64(time.Second)
	}
	switch k.q.fn {
	case fnRate, fnCount:
		g.values[i]++
	case fnSum, fnAvg:
		k.add(g, i, x)
	case fnMin:
		if math.IsNaN(g.values[i]) || x < g.values[i] {
			g.values[i] = x
		}
	case fnMax:
		if math.IsNaN(g.values[i]) || x > g.values[i] {
			g.values[i] = x
		}
	case fnQuantile, fnHistogram:
		e := bits.Len64(uint64(v.n) - 1)
		if g.buckets[e] == nil {
			if err := k.run.hold(8 * k.run.grid.n); err != nil {
				return err
			}
			g.buckets[e] = make([]float64, k.run.grid.n)
		}
		g.buckets[e][i]++
	}
	if k.slices != nil && !k.traceUsed {
		k.exemplar(f, row, i, g, x)
	}
	return nil
}

func (k *meter) buckets() bool { return k.q.fn == fnQuantile || k.q.fn == fnHistogram }

// add adds x with Kahan's compensation (Neumaier's variant).
func (k *meter) add(g *group, i int, x float64) {
	g.counts[i]++
	if math.IsNaN(g.values[i]) {
		g.values[i] = x
		return
	}
	sum := g.values[i] + x
	if math.Abs(g.values[i]) >= math.Abs(x) {
		g.carry[i] += (g.values[i] - sum) + x
	} else {
		g.carry[i] += (x - sum) + g.values[i]
	}
	g.values[i] = sum
}

// groupOf returns the group of the span at c.
func (k *meter) groupOf(f *frame, c cursor) (*group, error) {
	var key groupKey
	for j, e := range k.by {
		v := e.value(f, c)
		switch {
		case v.typ == TypeArray:
			v = Value{} // no label; Tempo's way
		case v.typ == TypeNil && k.names[j].in == inEventName:
			v = stringValue("")
		}
		key[j] = k.dicts[j].number(v)
	}
	if k.last != nil && key == k.lastKey {
		return k.last, nil
	}
	return k.group(key)
}

// group finds or makes the group of key.
func (k *meter) group(key groupKey) (*group, error) {
	i, ok := k.index[key]
	if !ok {
		n := k.run.grid.n
		if err := k.run.hold(24*n + 1000); err != nil {
			return nil, err
		}
		g := &group{labels: k.labels(key)}
		switch k.q.fn {
		case fnRate, fnCount:
			g.values = make([]float64, n)
		case fnSum, fnAvg:
			g.values, g.carry, g.counts = noValues(n), make([]float64, n), make([]float64, n)
		case fnMin, fnMax:
			g.values = noValues(n)
		}
		i = len(k.groups)
		k.groups = append(k.groups, g)
		k.index[key] = i
	}
	k.last, k.lastKey = k.groups[i], key
	return k.last, nil
}

func noValues(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// labels names the values of a group. Nil drops a label; if all are nil the first says so.
func (k *meter) labels(key groupKey) []KeyValue {
	var out []KeyValue
	for j, a := range k.names {
		if v := k.dicts[j].vals[key[j]]; v.typ != TypeNil {
			out = append(out, KeyValue{fieldText(a), v})
		}
	}
	if len(out) == 0 && len(k.names) > 0 {
		out = append(out, KeyValue{fieldText(k.names[0]), stringValue("nil")})
	}
	return out
}

// lines turns groups into lines. The groups stay as they are.
func (k *meter) lines() []line {
	var out []line
	for _, g := range k.groups {
		l := line{labels: g.labels, values: g.values, exemplars: g.exemplars}
		if len(k.by) == 0 {
			l.name = k.q.fn.String()
		}
		switch k.q.fn {
		case fnRate:
			l.values = slices.Clone(g.values)
			seconds := float64(k.run.grid.step) / float64(time.Second)
			for i := range l.values {
				l.values[i] /= seconds
			}
		case fnSum, fnAvg:
			l.values = slices.Clone(g.values)
			for i := range l.values {
				l.values[i] += g.carry[i]
				if k.q.fn == fnAvg {
					l.values[i] /= g.counts[i]
				}
			}
		case fnQuantile:
			out = append(out, k.quantiles(g)...)
			continue
		case fnHistogram:
			out = append(out, k.histogram(g)...)
			continue
		}
		out = append(out, l)
	}
	return out
}

// bound returns the upper bound of bucket e as it is shown.
func (k *meter) bound(e int) float64 {
	b := math.Ldexp(1, e)
	if k.isDur {
		b /= float64(time.Second)
	}
	return b
}

func (k *meter) histogram(g *group) []line {
	var out []line
	for e, counts := range g.buckets {
		if counts != nil {
			labels := append(slices.Clone(g.labels), KeyValue{"__bucket", floatValue(k.bound(e))})
			out = append(out, line{labels: labels, values: counts})
		}
	}
	if len(out) > 0 {
		out[0].exemplars = nil
		k.spreadExemplars(g, out)
	}
	return out
}

// spreadExemplars gives each bucket's line the exemplars that fall into it.
func (k *meter) spreadExemplars(g *group, lines []line) {
	for _, x := range g.exemplars {
		for i := range lines {
			if b := lines[i].labels[len(lines[i].labels)-1].Value.Float(); x.Value <= b {
				lines[i].exemplars = append(lines[i].exemplars, exemplar{x.Exemplar, x.interval})
				break
			}
		}
	}
}

func (k *meter) quantiles(g *group) []line {
	var out []line
	for n, q := range k.q.quantiles {
		l := line{
			labels: append(slices.Clone(g.labels), KeyValue{"p", floatValue(q)}),
			values: make([]float64, k.run.grid.n),
		}
		if n == 0 {
			l.exemplars = g.exemplars
		}
		for i := range l.values {
			l.values[i] = k.quantile(g, i, q)
		}
		out = append(out, l)
	}
	return out
}

// quantile interpolates, on a logarithmic scale, within the bucket that holds the rank.
func (k *meter) quantile(g *group, i int, q float64) float64 {
	total := 0.0
	for _, counts := range g.buckets {
		if counts != nil {
			total += counts[i]
		}
	}
	if total == 0 {
		return 0
	}
	rank := max(1, math.Ceil(q*total))
	seen := 0.0
	previous := -1
	for e, counts := range g.buckets {
		if counts == nil || counts[i] == 0 {
			continue
		}
		if seen+counts[i] > rank {
			low := float64(e - 1)
			if previous >= 0 {
				low = float64(previous)
			}
			exp := low + (float64(e)-low)*(rank-seen)/counts[i]
			if k.isDur {
				return math.Exp2(exp) / float64(time.Second)
			}
			return math.Exp2(exp)
		}
		seen += counts[i]
		previous = e
		if seen == rank {
			break
		}
	}
	return k.bound(previous)
}

// exemplar keeps the span at row as an exemplar of g, if its part of the window has room.
func (k *meter) exemplar(f *frame, row int32, interval int, g *group, x float64) {
	r := k.run.grid.timeRange()
	part := int(float64(f.rows.Start[row]-r.From) / float64(r.To-r.From) * float64(len(k.slices)))
	part = min(max(part, 0), len(k.slices)-1)
	if k.slices[part] >= 2 || k.taken == k.run.exemplars {
		return
	}
	k.slices[part]++
	k.taken++
	k.traceUsed = true
	labels := []KeyValue{{"trace:id", stringValue(strings.Clone(shortID(f.rows.TraceID[row])))}}
	for i := range k.plan.display {
		labels = k.plan.display[i].show(f, row, labels)
	}
	ex := exemplar{Exemplar: Exemplar{Labels: labels, Time: f.rows.Start[row] / int64(time.Millisecond), Value: x}, interval: -1}
	if k.q.fn == fnRate || k.q.fn == fnCount || k.q.fn == fnHistogram {
		ex.interval = interval
	}
	g.exemplars = append(g.exemplars, ex)
}

// bindExemplars makes the plan show what the query mentions, under full names.
func (p *plan) bindExemplars(q *metricQuery) {
	b := &binder{slots: p.slots, filters: p.filters}
	attrs := attributesOf(q.pipe)
	if q.attr != nil {
		attrs = append(attrs, q.attr)
	}
	attrs = append(attrs, q.by...)
	var seen []*attribute
	for _, a := range attrs {
		if a.in == inTraceID || slices.ContainsFunc(seen, func(x *attribute) bool { return sameAttribute(a, x) }) {
			continue
		}
		seen = append(seen, a)
		p.display = append(p.display, display{key: fieldText(a), e: b.evaluator(a), needs: a.children()})
		p.wantChildren(a.children())
	}
	p.finish(b)
}
