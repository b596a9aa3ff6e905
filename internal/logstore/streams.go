package logstore

import (
	"context"
	"maps"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// foundStreams returns what a selector of [store.LogIndex] matches: streams with sources
// in the range, and for each the part of the range in which it may be seen. Entries that
// only their content tells to be deleted still count. Close the view when done.
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

// LabelNames implements [store.LogIndex].
func (s *Store) LabelNames(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]string, error) {
	p, snap, _, err := s.foundStreams(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	defer snap.view.Close()
	names := map[string]bool{}
	for i := range p.streams {
		for _, l := range p.streams[i].labels {
			names[l.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// LabelValues implements [store.LogIndex].
func (s *Store) LabelValues(ctx context.Context, tenant model.Tenant, name string, sel store.LogSelector) ([]string, error) {
	p, snap, _, err := s.foundStreams(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	defer snap.view.Close()
	values := map[string]bool{}
	for i := range p.streams {
		if v := p.streams[i].labels.Get(name); v != "" {
			values[v] = true
		}
	}
	return slices.Sorted(maps.Keys(values)), nil
}

// Streams implements [store.LogIndex].
func (s *Store) Streams(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]store.StreamStats, error) {
	p, snap, ranges, err := s.foundStreams(ctx, tenant, sel)
	if err != nil {
		return nil, err
	}
	defer snap.view.Close()
	out := make([]store.StreamStats, 0, len(p.streams))
	for i := range p.streams {
		st := store.StreamStats{Labels: p.streams[i].labels}
		for k := range p.streams[i].sources {
			if src := &p.streams[i].sources[k]; ranges[i].Overlaps(src.min, src.max) {
				src.volume(ranges[i], &st)
			}
		}
		out = append(out, st)
	}
	return out, nil
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

// metaBytes returns the bytes of names and values in encoded metadata.
func metaBytes(meta string) int {
	n := 0
	for meta != "" {
		var name, value string
		name, value, meta = nextMeta(meta)
		n += len(name) + len(value)
	}
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
	for _, runs := range snap.heads {
		for i := range runs {
			sr := rm.of(runs[i].stream.labels)
			for _, row := range runs[i].in(sr.visible(r)) {
				for meta := row.meta; meta != ""; {
					var name, value string
					name, value, meta = nextMeta(meta)
					of(name).add(fieldKey(name, value))
				}
			}
		}
	}
	out := make([]store.NameCount, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, store.NameCount{Name: name, Count: values[name].count()})
	}
	return out, nil
}
