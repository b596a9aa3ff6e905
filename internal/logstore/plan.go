package logstore

import (
	"cmp"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// source is rows of one stream in one place, sorted by time: a segment of a block, or a
// run of the head.
type source struct {
	block    *fetched // nil for the head
	head     *run
	from, to int32 // rows of the block
	use      int32 // in a slice: index in block.uses
	seq      int32 // age of the place: of equal times, smaller ones come first
	min, max int64
	bytes    int64
}

// foundStream is a stream that a query selects.
type foundStream struct {
	labels   model.Labels
	id       uint64
	sources  []source
	sameHash int32 // another stream of a finder that has the hash, + 1; 0 for none
}

// snapshot is everything a query reads, at one moment.
type snapshot struct {
	heads []headRuns
	view  *part.View[*partIndex]
}

// look takes a snapshot of what tenant has for ms in r. Close its view.
func (s *Store) look(tenant model.Tenant, ms []*model.Matcher, r model.TimeRange, acct *store.Account) snapshot {
	s.swap.RLock()
	defer s.swap.RUnlock()
	snap := snapshot{heads: s.reg.snapshot(tenant, ms, r), view: s.set.View(tenant, r)}
	for _, w := range snap.view.Warnings() {
		acct.Warn("%s", w)
	}
	for _, w := range slices.Concat(s.lost, s.log.Lost()) {
		acct.Warn("%s", w)
	}
	return snap
}

// finder collects the streams of several places under one identity each.
type finder struct {
	byHash  map[uint64]int32 // the stream found last of those with a hash, + 1
	streams []foundStream
}

// newFinder returns a finder with room for n streams.
func newFinder(n int) finder {
	return finder{byHash: make(map[uint64]int32, n), streams: make([]foundStream, 0, n)}
}

// find returns the stream of labels, whose hash is given. It does not keep labels.
func (f *finder) find(labels model.Labels, hash uint64) *foundStream {
	first := f.byHash[hash]
	for i := first; i > 0; i = f.streams[i-1].sameHash {
		if fs := &f.streams[i-1]; fs.labels.Equal(labels) {
			return fs
		}
	}
	f.streams = append(f.streams, foundStream{labels: slices.Clone(labels), id: uint64(len(f.streams)), sameHash: first})
	f.byHash[hash] = int32(len(f.streams))
	return &f.streams[len(f.streams)-1]
}

// plan lists what a query has to read.
type plan struct {
	streams []foundStream // in order of labels
	blocks  []*fetched    // with rows of the streams
	newest  int64         // of the rows in memory
	oldest  int64
}

// newPlan finds the streams and blocks of snap that match ms and overlap r, without the
// blocks that pruners, made for each part, skip; a nil prune skips none.
func newPlan(snap snapshot, ms []*model.Matcher, r model.TimeRange, prune func(*partIndex) *pruner, acct *store.Account) *plan {
	p := &plan{newest: math.MinInt64, oldest: math.MaxInt64}
	f := newFinder(0)
	var labels model.Labels
	seq := 0
	ask := index.NewQuery(ms)
	skipped := &fetched{}
	for _, pt := range snap.view.Parts {
		x := pt.Data
		var pruner *pruner
		if prune != nil {
			pruner = prune(x)
		}
		blocks := make([]*fetched, len(x.blocks))
		reads := len(p.blocks)
		for _, stream := range x.table.Select(ask) {
			var fs *foundStream
			for _, i := range x.segments(stream) {
				sg := &x.segs[i]
				if !r.Overlaps(sg.min, sg.max) {
					continue
				}
				b := blocks[sg.block]
				if b == skipped {
					continue
				}
				if b == nil {
					skip, asked := false, true
					if pruner != nil {
						skip, asked = pruner.skips(int(sg.block))
					}
					if skip {
						blocks[sg.block] = skipped
						continue
					}
					b = &fetched{part: pt, info: &x.blocks[sg.block], number: int(sg.block), pruner: pruner, asked: asked, seq: seq + int(sg.block), min: sg.min, max: sg.max}
					blocks[sg.block] = b
					p.blocks = append(p.blocks, b)
				}
				b.min, b.max = min(b.min, sg.min), max(b.max, sg.max)
				if fs == nil {
					var hash uint64
					labels, hash = x.appendLabels(labels[:0], stream)
					fs = f.find(labels, hash)
				}
				fs.sources = append(fs.sources, source{
					block: b, from: int32(sg.from), to: int32(sg.from + sg.rows),
					min: sg.min, max: sg.max, bytes: sg.bytes, seq: int32(b.seq),
				})
			}
		}
		seq += len(x.blocks)
		acct.Skipped(int64(len(x.blocks) - (len(p.blocks) - reads)))
	}
	for k := range snap.heads {
		for i := range snap.heads[k].runs {
			h := &snap.heads[k].runs[i]
			fs := f.find(h.stream.labels, h.stream.hash)
			fs.sources = append(fs.sources, source{head: h, min: h.min, max: h.max, seq: int32(seq)})
			p.newest, p.oldest = max(p.newest, h.max), min(p.oldest, h.min)
		}
		seq++
	}
	p.streams = f.streams
	slices.SortFunc(p.streams, func(a, b foundStream) int { return a.labels.Compare(b.labels) })
	for i := range p.streams {
		p.streams[i].id = uint64(i)
	}
	return p
}

// Blocks that the first slices touch in addition to the ones before, and at most. More
// blocks at a time mean fewer that are read twice, but more memory.
const (
	firstSlice    = 4
	sliceGrowth   = 4
	maxSlice      = 256
	maxSliceTally = 1024 // when most rows are counted where they are decoded
	maxSliceNoRow = 4096 // when neither lines nor metadata are read
)

// slices cuts r into ranges in direction d. The first holds what is in memory only, if
// that comes first; the next so many blocks; and so on up to the most of them. So a reader that stops early has
// touched few blocks, and one that goes on reads few blocks twice.
func (p *plan) slices(r model.TimeRange, d store.Direction, blocks, most int) []model.TimeRange {
	edges := make([]int64, len(p.blocks)) // where each block begins, in the direction
	for i, b := range p.blocks {
		if edges[i] = b.min; d == store.Backward {
			edges[i] = -b.max
		}
	}
	slices.Sort(edges)
	from, end := r.From, r.To
	first := p.oldest < math.MaxInt64 && len(edges) > 0 && p.oldest < edges[0]
	if d == store.Backward {
		from, end = 1-r.To, 1-r.From // times negated: [from, end) again
		first = p.newest > math.MinInt64 && len(edges) > 0 && -p.newest < edges[0]
	}
	var out []model.TimeRange
	step := blocks
	for n := 0; from < end; {
		to := end
		if n > 0 || !first {
			n += step
			step = min(step*sliceGrowth, most)
		}
		for n < len(edges) && edges[n] <= from { // no time between
			n++
		}
		if n < len(edges) {
			to = min(end, edges[n])
		}
		first = false
		if d == store.Backward {
			out = append(out, model.TimeRange{From: 1 - to, To: 1 - from})
		} else {
			out = append(out, model.TimeRange{From: from, To: to})
		}
		from = to
	}
	return out
}

// slicePlan is the work of one slice.
type slicePlan struct {
	r       model.TimeRange
	streams []sliceStream
	blocks  []*fetched // in the order in which they are needed
	next    int64      // the frontier behind the slice
}

// sliceStream is the sources of one stream in a slice, in order of their begin in the
// direction.
type sliceStream struct {
	*foundStream
	sources []source
}

// slice plans the rows of r. Streams come in order. Until the next slice it may use the
// sources of p themselves.
func (p *plan) slice(r model.TimeRange, d store.Direction) *slicePlan {
	sp := &slicePlan{r: r, next: r.To}
	if d == store.Backward {
		sp.next = r.From - 1
	}
	for i := range p.streams {
		fs := &p.streams[i]
		out := func(s source) bool { return !r.Overlaps(s.min, s.max) }
		st := sliceStream{foundStream: fs, sources: fs.sources}
		if slices.ContainsFunc(fs.sources, out) {
			st.sources = slices.DeleteFunc(slices.Clone(fs.sources), out)
		}
		if len(st.sources) == 0 {
			continue
		}
		slices.SortStableFunc(st.sources, func(a, b source) int {
			if d == store.Backward {
				return cmp.Compare(b.max, a.max)
			}
			return cmp.Compare(a.min, b.min)
		})
		for k := range st.sources {
			if b := st.sources[k].block; b != nil {
				if b.users == 0 {
					b.begin(len(sp.blocks))
					sp.blocks = append(sp.blocks, b)
				}
				b.users++
				st.sources[k].use = int32(len(b.uses))
				b.uses = append(b.uses, use{from: int(st.sources[k].from), to: int(st.sources[k].to)})
			}
		}
		sp.streams = append(sp.streams, st)
	}
	return sp
}
