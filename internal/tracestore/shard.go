package tracestore

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// shard is a range of trace ids in a pass: those behind after, if it is not the first, up
// to upTo, if it is not the last.
type shard struct {
	pass        int
	after, upTo model.TraceID
	first, last bool
}

// A boundary between shards goes through one group of each run, which both shards then
// read. So a shard has at least minShardGroups groups of each run on average, and there
// are no more than shardsPerCore of them a core: enough to keep all busy to the end.
const (
	minShardGroups = 6
	shardsPerCore  = 2
)

// shards cuts a pass.
func (ps *passes) shards(sel store.SpanSelector, pass int) []shard {
	whole := []shard{{pass: pass, first: true, last: true}}
	if sel.TraceIDs != nil || sel.Range.Empty() {
		return whole
	}
	nearby := nearby(sel.Range)
	var ends []model.TraceID // of the groups to read
	runs := 0
	for i, o := range ps.origins {
		if ps.of[i] != pass || o.part == nil {
			continue
		}
		runs++
		for i := range o.metas {
			if m := &o.metas[i]; nearby.Overlaps(m.minStart, m.maxEnd) {
				ends = append(ends, m.last)
			}
		}
	}
	n := min(len(ends)/max(1, runs*minShardGroups), shardsPerCore*runtime.GOMAXPROCS(0))
	if n < 2 {
		return whole
	}
	slices.SortFunc(ends, model.TraceID.Compare)
	out := make([]shard, 0, n)
	next := shard{pass: pass, first: true}
	for i := 1; i < n; i++ {
		end := ends[i*len(ends)/n]
		if !next.first && end == next.after {
			continue
		}
		next.upTo = end
		out = append(out, next)
		next = shard{pass: pass, after: end}
	}
	next.last = true
	return append(out, next)
}

// scanShards hands the traces of the shards of one pass to emit, in order of trace id, until
// that returns false.
func (s *Store) scanShards(ctx context.Context, sel store.SpanSelector, ps passes, shards []shard, emit func(*store.SpanRows) bool) error {
	if len(shards) == 1 {
		return s.scanShard(ctx, sel, ps, shards[0], emit)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	results := make([]shardResult, len(shards))
	for i := range results {
		results[i].rows = make(chan *store.SpanRows, 4)
	}
	var next atomic.Int64
	for range min(len(shards), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			// Shards are begun in the order in which they are awaited, so that the one
			// that is awaited is always at work.
			for i := next.Add(1) - 1; i < int64(len(shards)); i = next.Add(1) - 1 {
				results[i].run(ctx, func(emit func(*store.SpanRows) bool) error {
					return s.scanShard(ctx, sel, ps, shards[i], emit)
				})
			}
		})
	}
	for i := range results {
		for rows := range results[i].rows {
			if !emit(rows) {
				return nil
			}
		}
		if err := results[i].err; err != nil {
			return err
		}
	}
	return nil
}

// shardResult is what a shard has found.
type shardResult struct {
	rows chan *store.SpanRows // closed at the end
	err  error                // valid then
}

func (r *shardResult) run(ctx context.Context, scan func(emit func(*store.SpanRows) bool) error) {
	defer close(r.rows)
	r.err = scan(func(rows *store.SpanRows) bool {
		select {
		case r.rows <- rows:
			return true
		case <-ctx.Done():
			return false
		}
	})
}
