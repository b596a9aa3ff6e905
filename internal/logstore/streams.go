package logstore

import (
	"context"
	"maps"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// foundStreams returns what a selector of [store.LogIndex] matches: streams with sources
// in the range, and for each the part of the range in which it may be seen. Entries that
// only their content tells to be deleted still count: see countContent. Close the view when
// done.
func (s *Store) foundStreams(ctx context.Context, tenant model.Tenant, sel store.LogSelector) (*plan, snapshot, []model.TimeRange, error) {
	r := clip(sel.Range)
	if err := ctx.Err(); err != nil {
		return nil, snapshot{}, nil, err
	}
	rm := s.removals(tenant, r, false)
	r.From = max(r.From, rm.oldest())
	snap := s.look(tenant, sel.Matchers, r, sel.Account)
	p := newPlan(snap, sel.Matchers, r, nil, nil)
	return p, snap, rm.hideStreams(p, r), nil
}

// streamLabels returns the labels of the streams that a selector matches.
func (s *Store) streamLabels(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]model.Labels, error) {
	var out []model.Labels
	if s.contentDeletes(tenant, &sel) != nil {
		streams, err := s.Streams(ctx, tenant, sel)
		for i := range streams {
			out = append(out, streams[i].Labels)
		}
		return out, err
	}
	p, snap, _, err := s.foundStreams(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	defer snap.view.Close()
	for i := range p.streams {
		out = append(out, p.streams[i].labels)
	}
	return out, nil
}

// LabelNames implements [store.LogIndex].
func (s *Store) LabelNames(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]string, error) {
	streams, err := s.streamLabels(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, ls := range streams {
		for _, l := range ls {
			names[l.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// LabelValues implements [store.LogIndex].
func (s *Store) LabelValues(ctx context.Context, tenant model.Tenant, name string, sel store.LogSelector) ([]string, error) {
	streams, err := s.streamLabels(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	values := map[string]bool{}
	for _, ls := range streams {
		if v := ls.Get(name); v != "" {
			values[v] = true
		}
	}
	return slices.Sorted(maps.Keys(values)), nil
}

// Streams implements [store.LogIndex].
func (s *Store) Streams(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]store.StreamStats, error) {
	counted, err := s.countContent(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	p, snap, ranges, err := s.foundStreams(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	defer snap.view.Close()
	out := make([]store.StreamStats, 0, len(p.streams))
	for i := range p.streams {
		st := store.StreamStats{Labels: p.streams[i].labels}
		r, known := ranges[i], counted.of(st.Labels)
		for k := range p.streams[i].sources {
			src := &p.streams[i].sources[k]
			switch {
			case !r.Overlaps(src.min, src.max):
			case known == nil:
				src.volume(r, &st)
			default: // what is counted lies between what is before and what is after it
				st.Blocks++
				src.outside(counted.in, r, &st)
			}
		}
		if known != nil {
			if st.Entries, st.Bytes = st.Entries+known.Entries, st.Bytes+known.Bytes; st.Entries == 0 {
				continue
			}
		}
		out = append(out, st)
	}
	return out, nil
}

// counted is the volume that is left of streams of which a delete request means single
// entries. The index does not know it until they are off the disk.
type counted struct {
	in      model.TimeRange // in which it was counted: that of the requests
	deletes *removals
	streams map[string]*store.StreamStats // by the text of their labels
}

// contentDeletes returns the delete requests that concern sel and look at lines or metadata,
// nil if there are none.
func (s *Store) contentDeletes(tenant model.Tenant, sel *store.LogSelector) *removals {
	rm := s.removals(tenant, clip(sel.Range), false)
	rm.without(sel.Matchers)
	rm.deletes = slices.DeleteFunc(rm.deletes, func(d *deletion) bool { return d.filter.New == nil })
	if len(rm.deletes) == 0 {
		return nil
	}
	return rm
}

// countContent reads what the open delete requests leave of the entries in their ranges. It
// returns nil if none looks at content.
func (s *Store) countContent(ctx context.Context, tenant model.Tenant, sel store.LogSelector) (*counted, error) {
	rm := s.contentDeletes(tenant, &sel)
	if rm == nil {
		return nil, nil
	}
	c := &counted{in: rm.deletes[0].Range, deletes: rm, streams: map[string]*store.StreamStats{}}
	for _, d := range rm.deletes {
		c.in = model.TimeRange{From: min(c.in.From, d.Range.From), To: max(c.in.To, d.Range.To)}
	}
	r := clip(sel.Range)
	c.in = model.TimeRange{From: max(c.in.From, r.From), To: min(c.in.To, r.To)}
	ms := sel.Matchers
	if len(rm.deletes) == 1 {
		ms = append(slices.Clip(ms), rm.deletes[0].filter.Matchers...)
	}
	byID := map[uint64]*store.StreamStats{}
	err := s.selectVisible(ctx, tenant, store.LogSelector{Matchers: ms, Range: c.in, Account: sel.Account}, func(rows *store.LogRows) bool {
		st := byID[rows.StreamID]
		if st == nil {
			st = &store.StreamStats{}
			byID[rows.StreamID], c.streams[rows.Stream.String()] = st, st
		}
		st.Entries += int64(len(rows.Times))
		for _, line := range rows.Lines {
			st.Bytes += int64(len(line))
		}
		for _, m := range rows.Meta {
			for _, v := range m.Values {
				if v != "" {
					st.Bytes += int64(len(m.Name) + len(v))
				}
			}
		}
		return true
	})
	return c, err
}

// of returns what is left of a stream within c.in, nil if no request concerns it.
func (c *counted) of(labels model.Labels) *store.StreamStats {
	if c == nil || !slices.ContainsFunc(c.deletes.deletes, func(d *deletion) bool { return model.MatchesLabels(labels, d.filter.Matchers) }) {
		return nil
	}
	if st := c.streams[labels.String()]; st != nil {
		return st
	}
	return &store.StreamStats{}
}

// outside adds to st the entries and bytes that src holds in r, but not in cut.
func (src *source) outside(cut, r model.TimeRange, st *store.StreamStats) {
	var rest store.StreamStats
	for _, side := range [...]model.TimeRange{{From: r.From, To: min(r.To, cut.From)}, {From: max(r.From, cut.To), To: r.To}} {
		if !side.Empty() && side.Overlaps(src.min, src.max) {
			src.volume(side, &rest)
		}
	}
	st.Entries, st.Bytes = st.Entries+rest.Entries, st.Bytes+rest.Bytes
}

// volume adds to st what src holds in r.
func (src *source) volume(r model.TimeRange, st *store.StreamStats) {
	if src.head != nil {
		rows := src.head.in(r)
		for i := range rows {
			st.Entries++
			st.Bytes += int64(len(rows[i].line) + metaBytes(rows[i].meta))
		}
		if len(rows) > 0 {
			st.Blocks++
		}
		return
	}
	share := 1.0
	if src.min < r.From || src.max >= r.To {
		share = float64(min(src.max, r.To-1)-max(src.min, r.From)+1) / float64(src.max-src.min+1)
	}
	st.Blocks++
	st.Entries += int64(share*float64(src.to-src.from) + 0.5)
	st.Bytes += int64(share*float64(src.bytes) + 0.5)
}

// metaBytes returns the bytes of names and values of metadata.
func metaBytes(meta logmeta.Meta) int {
	n := 0
	meta.Each(func(name, value string) { n += len(name) + len(value) })
	return n
}

// FieldNames implements [store.LogIndex]. The fields are those that the matching streams
// have; the numbers of values are those of all streams of their parts.
func (s *Store) FieldNames(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]store.NameCount, error) {
	r := clip(sel.Range)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rm := s.removals(tenant, r, false)
	r.From = max(r.From, rm.oldest())
	snap := s.look(tenant, sel.Matchers, r, sel.Account)
	defer snap.view.Close()
	values := map[string]*sketch{}
	of := func(name string) *sketch {
		if values[name] == nil {
			values[name] = &sketch{}
		}
		return values[name]
	}
	ask := index.NewQuery(sel.Matchers)
	for _, pt := range snap.view.Parts {
		x := pt.Data
		lists, fields := map[uint32]bool{}, map[uint32]bool{}
		for _, st := range x.table.Select(ask) {
			labels, _ := x.labels(st)
			sr := rm.of(labels)
			if in := sr.visible(r); slices.ContainsFunc(x.segments(st), func(i uint32) bool { return in.Overlaps(x.segs[i].min, x.segs[i].max) }) {
				lists[x.fieldOf[st]] = true
			}
		}
		for l := range lists {
			for _, f := range x.fields[l] {
				fields[f] = true
			}
		}
		for f := range fields {
			of(x.names[f]).merge(x.sketches[f])
		}
	}
	for _, h := range snap.heads {
		for i := range h.runs {
			sr := rm.of(h.runs[i].stream.labels)
			for _, row := range h.runs[i].in(sr.visible(r)) {
				row.meta.Each(func(name, value string) { of(name).add(fieldKey(name, value)) })
			}
		}
	}
	out := make([]store.NameCount, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, store.NameCount{Name: name, Count: values[name].count()})
	}
	return out, nil
}
