package logql

import (
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Tailer applies a log query to entries as they are written. It is for one goroutine.
type Tailer struct {
	query      *LogQuery
	pipe       *pipeline
	categorize bool
}

// NewTailer compiles q. With categorize the streams it yields are keyed by stream labels
// only, and entries carry the others.
func (g *Engine) NewTailer(q *LogQuery, categorize bool) (*Tailer, error) {
	p, err := compile(q.stages, compileOptions{now: g.now()})
	if err != nil {
		return nil, err
	}
	return &Tailer{query: q, pipe: p, categorize: categorize}, nil
}

// Apply returns the entries of b that match the query: streams sorted by label text,
// entries in the order of b, grouped by their labels. The result shares no memory with b.
func (t *Tailer) Apply(b *store.LogBatch) []Stream {
	k := &keeper{}
	k.sets.categorize = t.categorize
	for i := range b.Streams {
		s := &b.Streams[i]
		if !model.MatchesLabels(s.Labels, t.query.Matchers) {
			continue
		}
		for j := range s.Entries {
			e := &s.Entries[j]
			if !t.pipe.passes(e.Line) {
				continue
			}
			t.pipe.row.begin(e.Time, e.Line, s.Labels)
			e.Meta.Each(t.pipe.row.addMeta)
			if t.pipe.run() {
				_ = k.add(&t.pipe.row) // it can fail only on a budget, and there is none
			}
		}
	}
	return k.streams()
}
