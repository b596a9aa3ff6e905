package metricstore

import (
	"context"
	"iter"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// LabelNames implements [store.MetricIndex]. Of a part all series count, whenever in its
// day they have samples.
func (s *Store) LabelNames(ctx context.Context, name model.Tenant, sel store.MetricSelector) ([]string, error) {
	return s.names(ctx, name, &sel, nil,
		func(ls model.Labels, add func(string)) {
			for _, l := range ls {
				add(l.Name)
			}
		},
		func(p *selectedPart, all bool) []string {
			if all {
				return p.t.series.Names()
			}
			return p.t.series.NamesOf(p.refs)
		})
}

// LabelValues implements [store.MetricIndex]. Of a part all series count, whenever in its
// day they have samples.
func (s *Store) LabelValues(ctx context.Context, name model.Tenant, label string, sel store.MetricSelector) ([]string, error) {
	return s.names(ctx, name, &sel, func(t *tenant) []string { return t.headValues(label, sel.Range) },
		func(ls model.Labels, add func(string)) {
			if v := ls.Get(label); v != "" {
				add(v)
			}
		},
		func(p *selectedPart, all bool) []string {
			if all {
				return p.t.series.Values(label)
			}
			return p.t.series.ValuesOf(label, p.refs)
		})
}

// names collects texts from the label sets of the head and from parts. Without matchers
// ofHead, if not nil, knows those of the head.
func (s *Store) names(ctx context.Context, name model.Tenant, sel *store.MetricSelector, ofHead func(*tenant) []string,
	ofLabels func(model.Labels, func(string)), ofPart func(p *selectedPart, all bool) []string,
) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := map[string]struct{}{}
	add := func(text string) { seen[text] = struct{}{} }
	x, err := s.begin(ctx, sel)
	if err != nil {
		return nil, err
	}
	if q := index.NewQuery(sel.Matchers); !sel.Range.Empty() {
		x.t = s.known(name)
		switch {
		case x.t == nil:
		case ofHead != nil && len(sel.Matchers) == 0:
			for _, text := range ofHead(x.t) {
				add(text)
			}
		default:
			x.openHead(q, false)
		}
		if err := x.openParts(name, sel, q); err != nil {
			return nil, err
		}
	}
	for i := range x.head {
		ofLabels(x.head[i].labels, add)
	}
	for _, p := range x.parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		all := len(sel.Matchers) == 0 && p.p.Data.exemplars.Len == 0 && p.del == nil
		if !all {
			p.refs = p.withSamples()
		}
		for _, text := range ofPart(p, all) {
			add(text)
		}
	}
	out := make([]string, 0, len(seen))
	for text := range seen {
		out = append(out, text)
	}
	slices.Sort(out)
	if sel.Limit > 0 && len(out) > sel.Limit {
		sel.Account.Warn("more than %d names match; the answer holds only the first ones", sel.Limit)
		out = out[:sel.Limit]
	}
	return out, nil
}

// LabelSets implements [store.MetricIndex].
func (s *Store) LabelSets(ctx context.Context, name model.Tenant, sel store.MetricSelector) iter.Seq2[model.Labels, error] {
	return func(yield func(model.Labels, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := s.each(ctx, name, &sel, index.NewQuery(sel.Matchers), func(out *selected) bool { return yield(out.labels, nil) })
		if err != nil {
			yield(nil, err)
		}
	}
}

// Cardinality implements [store.MetricIndex].
func (s *Store) Cardinality(ctx context.Context, name model.Tenant, topN int) (store.Cardinality, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	day := dayOf(s.opts.Now().UnixMilli())
	sel := store.MetricSelector{All: true, Range: model.TimeRange{From: day.Start() / nsPerMs, To: (day + 1).Start() / nsPerMs}}
	count := index.NewMem()
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	x, err := s.open(ctx, name, &sel, index.NewQuery(nil), false)
	if err != nil {
		return store.Cardinality{}, err
	}
	n, chunks := 0, 0
	for out := range x.series {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return store.Cardinality{}, ctx.Err()
		}
		first, last, held := out.times()
		if first <= last {
			count.Add(out.labels)
			chunks += held
			lo, hi = min(lo, first), max(hi, last)
		}
	}
	c := count.Cardinality(topN, nil)
	c.Chunks = int64(chunks)
	if c.Series > 0 {
		c.MinTime, c.MaxTime = lo, hi
	}
	return c, nil
}

// times returns the first and last time of the data in the range, which must hold whole
// days, and in how many chunks it is; first > last if there is none.
func (s *selected) times() (first, last int64, chunks int) {
	first, last = math.MaxInt64, math.MinInt64
	r := s.x.r
	see := func(minT, maxT int64) {
		if r.Overlaps(minT, maxT) {
			first, last = min(first, max(minT, r.From)), max(last, min(maxT, r.To-1))
		}
	}
	for _, pr := range s.parts {
		for _, c := range s.x.parts[pr.part].t.of(pr.ref) { // within a day
			if s.x.parts[pr.part].has(&c, r) {
				see(c.minT, c.maxT)
				chunks++
			}
		}
	}
	if s.head == nil {
		return first, last, chunks
	}
	frozen, cur := s.views()
	for _, b := range []*view{&frozen, &cur} {
		for _, c := range b.sealed.chunks {
			see(c.minT, c.maxT)
			if r.Overlaps(c.minT, c.maxT) {
				chunks++
			}
		}
		if len(b.open)+len(b.late)+len(b.hists) > 0 {
			chunks++ // to be
		}
		for _, x := range b.open {
			see(x.Time, x.Time)
		}
		for _, x := range b.late {
			see(x.Time, x.Time)
		}
		for _, h := range b.hists {
			see(h.Time, h.Time)
		}
	}
	return first, last, chunks
}

// Exemplars implements [store.MetricReader].
func (s *Store) Exemplars(ctx context.Context, name model.Tenant, sel store.MetricSelector) iter.Seq2[store.SeriesExemplars, error] {
	return func(yield func(store.SeriesExemplars, error) bool) {
		all, err := s.exemplars(ctx, name, &sel)
		if err != nil {
			yield(store.SeriesExemplars{}, err)
			return
		}
		for i, x := range all {
			if err := ctx.Err(); err != nil {
				yield(store.SeriesExemplars{}, err)
				return
			}
			if sel.Limit > 0 && i == sel.Limit {
				sel.Account.Warn("more than %d series have exemplars; the answer holds only the first ones", sel.Limit)
				return
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

func (s *Store) exemplars(ctx context.Context, name model.Tenant, sel *store.MetricSelector) ([]store.SeriesExemplars, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := index.NewQuery(sel.Matchers)
	if err := tooBroad(sel, q); err != nil {
		return nil, err
	}
	x, err := s.open(ctx, name, sel, q, true)
	if err != nil {
		return nil, err
	}
	found := index.NewMem() // numbers the series
	var all []store.SeriesExemplars
	add := func(ls model.Labels, es []store.Exemplar) {
		es = slices.DeleteFunc(slices.Clone(es), func(e store.Exemplar) bool { return !sel.Range.Contains(e.Time) })
		if len(es) == 0 {
			return
		}
		ref, stored, fresh := found.Add(ls)
		if fresh {
			all = append(all, store.SeriesExemplars{Labels: stored})
		}
		all[ref].Exemplars = append(all[ref].Exemplars, es...)
	}
	for i := range x.head {
		frozen, cur := (&selected{x: x, head: &x.head[i]}).views()
		add(x.head[i].labels, frozen.exs)
		add(x.head[i].labels, cur.exs)
	}
	for _, p := range x.parts {
		res, err := s.readExemplars(p.p, p.t)
		if err != nil {
			if err := x.damage(p.p, p.p.Data.exemplars.Off, err); err != nil {
				return nil, err
			}
			continue
		}
		if err := sel.Account.Scanned(int64(p.p.Data.exemplars.Len), int64(len(res))); err != nil {
			return nil, err
		}
		for _, re := range res {
			if _, ok := slices.BinarySearch(p.refs, re.ref); ok {
				add(p.t.series.Labels(re.ref), cutExemplars(re.exs, p.del[re.ref]))
			}
		}
	}
	for i := range all {
		for j := range all[i].Exemplars {
			e := &all[i].Exemplars[j]
			e.Labels = slices.Clone(e.Labels)
		}
		all[i].Exemplars = sortExemplars(all[i].Exemplars)
	}
	slices.SortFunc(all, func(a, b store.SeriesExemplars) int { return a.Labels.Compare(b.Labels) })
	return all, nil
}
