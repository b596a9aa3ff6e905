package metricstore

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// metadata is the descriptions of a tenant's metrics, newest first. They are written to
// the parts of the days on which they are received, so that they live as long as data.
type metadata map[string][]metaEntry

type metaEntry struct {
	store.MetricMetadata
	day   part.Day // when it was received last
	dirty bool     // not in a part of that day yet
}

// maxConflicts bounds the descriptions kept of one metric.
const maxConflicts = 10

// isNew reports whether add would change anything.
func (m metadata) isNew(md *store.MetricMetadata, day part.Day) bool {
	if !m.hasRoom(md) {
		return false
	}
	i := m.find(md)
	return i < 0 || m[md.Metric][i].day < day
}

// Bounds of what is kept: metrics of a tenant, and bytes of one description. The rest is
// left out; descriptions are a comfort.
const (
	maxDescribed   = 200_000
	maxDescription = 16 << 10
)

func (m metadata) hasRoom(md *store.MetricMetadata) bool {
	return len(md.Metric)+len(md.Type)+len(md.Unit)+len(md.Help) <= maxDescription && (len(m) < maxDescribed || m[md.Metric] != nil)
}

func (m metadata) find(md *store.MetricMetadata) int {
	return slices.IndexFunc(m[md.Metric], func(e metaEntry) bool { return e.MetricMetadata == *md })
}

// add remembers md. It shares no memory with its argument afterwards.
func (m metadata) add(md *store.MetricMetadata, day part.Day, dirty bool) {
	if i := m.find(md); i >= 0 {
		if e := &m[md.Metric][i]; e.day < day {
			e.day, e.dirty = day, dirty
		}
		return
	}
	e := metaEntry{day: day, dirty: dirty, MetricMetadata: store.MetricMetadata{
		Metric: strings.Clone(md.Metric), Type: strings.Clone(md.Type), Unit: strings.Clone(md.Unit), Help: strings.Clone(md.Help),
	}}
	es := slices.Insert(slices.Clone(m[e.Metric]), 0, e)
	m[e.Metric] = es[:min(len(es), maxConflicts)]
}

// takeDirty returns what must be written, oldest first for each metric, by day.
func (m metadata) takeDirty() map[part.Day][]store.MetricMetadata {
	out := map[part.Day][]store.MetricMetadata{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		for i := len(m[name]) - 1; i >= 0; i-- {
			if e := &m[name][i]; e.dirty {
				out[e.day] = append(out[e.day], e.MetricMetadata)
				e.dirty = false
			}
		}
	}
	return out
}

// expire drops what was not received since day.
func (m metadata) expire(day part.Day) {
	for name, es := range m {
		keep := slices.DeleteFunc(slices.Clone(es), func(e metaEntry) bool { return e.day < day && !e.dirty })
		if len(keep) == 0 {
			delete(m, name)
		} else {
			m[name] = keep
		}
	}
}

func appendMetadata(dst []byte, mds []store.MetricMetadata) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(mds)))
	for _, md := range mds {
		for _, s := range []string{md.Metric, md.Type, md.Unit, md.Help} {
			dst = codec.AppendBytes(dst, s)
		}
	}
	return dst
}

func readMetadata(r *codec.Reader) []store.MetricMetadata {
	out := make([]store.MetricMetadata, 0, min(1024, r.Len()/4))
	for range r.Count(r.Len() / 4) {
		out = append(out, store.MetricMetadata{
			Metric: string(r.Bytes()), Type: string(r.Bytes()), Unit: string(r.Bytes()), Help: string(r.Bytes()),
		})
	}
	return out
}

// Metadata implements [store.MetricIndex]. A limit counts metrics.
func (s *Store) Metadata(ctx context.Context, name model.Tenant, metric string, limit int) ([]store.MetricMetadata, error) {
	t := s.known(name)
	if t == nil {
		return nil, ctx.Err()
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	names := []string{metric}
	if metric == "" {
		names = slices.Sorted(maps.Keys(t.meta))
		if limit > 0 && len(names) > limit {
			names = names[:limit]
		}
	}
	var out []store.MetricMetadata
	for _, n := range names {
		for _, e := range t.meta[n] {
			out = append(out, e.MetricMetadata)
		}
	}
	return out, ctx.Err()
}

func (m metadata) hasDirty() bool {
	for _, es := range m {
		for i := range es {
			if es[i].dirty {
				return true
			}
		}
	}
	return false
}
