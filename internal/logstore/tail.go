package logstore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Bounds of what waits for one tail.
const (
	tailBatches = 1024
	tailBytes   = 8 << 20
)

// tails is the listeners to new entries.
type tails struct {
	n    atomic.Int32 // len(subs), so that writers without listeners take no lock
	mu   sync.Mutex
	subs map[*tail]struct{} // guarded by mu
}

// tail is one listener.
type tail struct {
	tenant   model.Tenant
	matchers []*model.Matcher
	c        chan tailBatch
	waiting  atomic.Int64 // bytes in c
	dropped  atomic.Int64 // entries since the last call
}

type tailBatch struct {
	groups []group
	bytes  int64
}

// publish shows gs, which are durable, to the listeners of tenant. It never waits.
func (t *tails) publish(tenant model.Tenant, gs []group, m *metrics) {
	if t.n.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for sub := range t.subs {
		if sub.tenant == tenant {
			sub.offer(gs, m)
		}
	}
}

func (sub *tail) offer(gs []group, m *metrics) {
	var b tailBatch
	entries := int64(0)
	for i := range gs {
		if !model.MatchesLabels(gs[i].stream.labels, sub.matchers) {
			continue
		}
		b.groups = append(b.groups, group{stream: gs[i].stream, rows: gs[i].rows})
		entries += int64(len(gs[i].rows))
		for j := range gs[i].rows {
			b.bytes += rowSize + int64(len(gs[i].rows[j].line)+gs[i].rows[j].meta.Size())
		}
	}
	if entries == 0 {
		return
	}
	if waiting := sub.waiting.Load(); waiting == 0 || waiting+b.bytes <= tailBytes {
		sub.waiting.Add(b.bytes)
		select {
		case sub.c <- b:
			return
		default:
			sub.waiting.Add(-b.bytes)
		}
	}
	sub.dropped.Add(entries)
	m.tailDropped.Add(float64(entries))
}

// Tail implements [store.LogReader].
func (s *Store) Tail(ctx context.Context, tenant model.Tenant, ms []*model.Matcher, f func(b *store.LogBatch, dropped int) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sub := &tail{tenant: tenant, matchers: ms, c: make(chan tailBatch, tailBatches)}
	s.tails.mu.Lock()
	s.tails.subs[sub] = struct{}{}
	s.tails.n.Add(1)
	s.tails.mu.Unlock()
	defer func() {
		s.tails.mu.Lock()
		delete(s.tails.subs, sub)
		s.tails.n.Add(-1)
		s.tails.mu.Unlock()
	}()
	if err := f(&store.LogBatch{}, 0); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-sub.c:
			sub.waiting.Add(-b.bytes)
			if err := f(b.batch(), int(sub.dropped.Swap(0))); err != nil {
				return err
			}
		}
	}
}

// batch returns b in the form of the contract.
func (b *tailBatch) batch() *store.LogBatch {
	out := &store.LogBatch{Streams: make([]store.LogStream, len(b.groups))}
	for i, g := range b.groups {
		entries := make([]store.LogEntry, len(g.rows))
		for j, r := range g.rows {
			entries[j] = store.LogEntry{Time: r.time, Line: r.line, Meta: r.meta}
		}
		out.Streams[i] = store.LogStream{Labels: g.stream.labels, Entries: entries}
	}
	return out
}
