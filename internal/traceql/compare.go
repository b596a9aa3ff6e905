package traceql

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/store"
)

// maxCompared bounds the distinct values that compare() counts of one attribute.
const maxCompared = 10_000

// comparer counts the values of every attribute, for the spans of a selection and for
// the others, the baseline.
type comparer struct {
	run      *metricRun
	cmp      *comparison
	filter   int // id of the selection's filter
	byName   map[string]*comparedAttr
	attrs    []*comparedAttr
	names    attrNames
	overflow bool
}

// comparedAttr is the counts of one attribute.
type comparedAttr struct {
	name   string
	values map[Value]*comparedValue
	totals [2][]float64 // by side and interval: spans that have the attribute
	seen   int32        // row last counted in totals
}

// comparedValue is the counts of one value, baseline then selection, by interval.
type comparedValue struct {
	counts [2][]float64
	seen   int32 // row last counted: a span counts once
}

// compare evaluates compare().
func (m *metricRun) compare(ctx context.Context, q *metricQuery) ([]line, error) {
	pl := newPlan(q.pipe, m.grid.timeRange(), m.acct)
	b := &binder{slots: pl.slots, filters: pl.filters}
	k := &comparer{run: m, cmp: q.cmp, filter: b.filter(q.cmp.sel.expr), byName: map[string]*comparedAttr{}, names: attrNames{}}
	pl.finish(b)
	pl.sel.AllAttrs, pl.sel.Events, pl.sel.Links = true, true, true
	f := newFrame(pl.slots, pl.filters)
	var one [1]set
	for rows, err := range m.reader.Scan(ctx, m.tenant, pl.sel) {
		if err != nil {
			return nil, err
		}
		f.load(rows)
		for _, a := range k.attrs {
			a.forget()
		}
		selected := f.mask(k.filter)
		for t := range f.traces() {
			f.used = 0
			one[0] = set{rows: f.span(t)}
			sets, err := runStages(f, t, pl.stages, one[:])
			if err != nil {
				return nil, err
			}
			for _, s := range sets {
				for _, r := range s.rows {
					if err := k.span(f, r, selected[r]); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	if k.overflow {
		m.acct.Warn("compare() counted the first %d values of an attribute only", maxCompared)
	}
	return k.lines(), nil
}

// forget readies a for rows of another batch.
func (a *comparedAttr) forget() {
	a.seen = -1
	for _, v := range a.values {
		v.seen = -1
	}
}

// span counts the attributes of one span.
func (k *comparer) span(f *frame, row int32, selected bool) error {
	start := f.rows.Start[row]
	i := k.run.grid.interval(start)
	if i < 0 {
		return nil
	}
	side := 0
	if selected && (k.cmp.args < 3 || start > k.cmp.start && start <= k.cmp.end) {
		side = 1
	}
	var err error
	count := func(name string, v Value) {
		if err == nil && v.typ != TypeNil {
			err = k.count(row, i, side, name, v)
		}
	}
	c := cursor{row, -1, -1}
	for _, in := range [...]intrinsic{inName, inStatus, inKind, inStatusMessage, inRootName, inRootService, inScopeName, inScopeVersion} {
		if v := f.intrinsic(in, c); v.typ != TypeString || v.s != "" {
			count(in.info().name, v)
		}
	}
	k.columns(f, f.rows.Attrs, row, row+1, count)
	if f.rows.Events != nil {
		lo, hi := f.events(row)
		for e := lo; e < hi; e++ {
			count(inEventName.info().name, stringValue(f.rows.Events.Name[e]))
		}
		k.columns(f, f.rows.Events.Attrs, lo, hi, count)
	}
	if f.rows.Links != nil {
		lo, hi := f.links(row)
		k.columns(f, f.rows.Links.Attrs, lo, hi, count)
	}
	return err
}

// columns counts the values in rows lo..hi of attribute columns.
func (k *comparer) columns(f *frame, attrs []store.AttrColumn, lo, hi int32, count func(string, Value)) {
	for i := range attrs {
		col := &attrs[i]
		if col.Type == store.ValueOther {
			continue
		}
		name := k.names.of(col.Attr)
		for r := lo; r < hi; r++ {
			if !col.Has[r] {
				continue
			}
			v := f.columnValue(col, r)
			if v.typ != TypeArray {
				count(name, v)
				continue
			}
			for _, e := range v.Elems() {
				count(name, e)
			}
		}
	}
}

// attrNames is stored attributes as written in a query.
type attrNames map[store.Attr]string

func (n attrNames) of(a store.Attr) string {
	name, ok := n[a]
	if !ok {
		a.Name = strings.Clone(a.Name)
		for s := scopeSpan; s <= scopeInstrumentation; s++ {
			if s.store() == a.Scope {
				name = fieldText(&attribute{scope: s, name: a.Name})
			}
		}
		n[a] = name
	}
	return name
}

func (k *comparer) count(row int32, interval, side int, name string, v Value) error {
	n := k.run.grid.n
	a := k.byName[name]
	if a == nil {
		if err := k.run.hold(16*n + 200 + len(name)); err != nil {
			return err
		}
		a = &comparedAttr{name: name, values: map[Value]*comparedValue{}, seen: -1}
		a.totals = [2][]float64{make([]float64, n), make([]float64, n)}
		k.byName[name] = a
		k.attrs = append(k.attrs, a)
	}
	if a.seen != row {
		a.seen = row
		a.totals[side][interval]++
	}
	c := a.values[v]
	if c == nil {
		if len(a.values) == maxCompared {
			k.overflow = true
			return nil
		}
		if err := k.run.hold(16*n + 150 + len(v.s)); err != nil {
			return err
		}
		c = &comparedValue{seen: -1}
		c.counts = [2][]float64{make([]float64, n), make([]float64, n)}
		a.values[v.clone()] = c
	}
	if c.seen != row {
		c.seen = row
		c.counts[side][interval]++
	}
	return nil
}

// lines returns, for each attribute and side, the most frequent values and the total.
func (k *comparer) lines() []line {
	var out []line
	sides := [2]string{"baseline", "selection"}
	for _, a := range k.attrs {
		for side, name := range sides {
			type ranked struct {
				val Value
				sum float64
			}
			var all []ranked
			for v, c := range a.values {
				if s := sum(c.counts[side]); s > 0 {
					all = append(all, ranked{v, s})
				}
			}
			slices.SortFunc(all, func(x, y ranked) int {
				return cmp.Or(cmp.Compare(y.sum, x.sum), cmp.Compare(x.val.String(), y.val.String()), cmp.Compare(x.val.typ, y.val.typ))
			})
			for _, r := range all[:min(int(k.cmp.topN), len(all))] {
				out = append(out, compareLine(name, a.name, r.val, a.values[r.val].counts[side]))
			}
			if len(all) > 0 {
				out = append(out, compareLine(name+"_total", a.name, stringValue("nil"), a.totals[side]))
			}
		}
	}
	return out
}

func compareLine(meta, attr string, v Value, counts []float64) line {
	return line{labels: []KeyValue{{"__meta_type", stringValue(meta)}, {attr, v}}, values: counts}
}

func sum(vs []float64) float64 {
	total := 0.0
	for _, v := range vs {
		total += v
	}
	return total
}
