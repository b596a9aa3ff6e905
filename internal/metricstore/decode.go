package metricstore

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// selected is one series of a selection. It implements [store.Series].
type selected struct {
	x      *selection
	labels model.Labels
	head   *headSeries // nil: not in the head
	parts  []partRef
}

// partRef is a series in a part of the selection.
type partRef struct {
	part int
	ref  uint32
}

// Labels implements [store.Series].
func (s *selected) Labels() model.Labels { return s.labels }

// piece is a run of samples that is still encoded. Of samples with one time in several
// pieces, that of the piece with the highest priority counts.
type piece struct {
	minT, maxT int64
	prio       uint64
	part       int        // of the selection; -1: head
	chunk      *chunkMeta // in a part
	head       *headChunk
	raw        []store.Sample // sorted
}

// The buffers of the head are newer than every part, and the late samples of a buffer
// newer than the others.
const headPrio = math.MaxUint32 + 1

// pieces returns what holds float samples in the range, in order of time.
func (s *selected) pieces(buf []piece, frozen, cur *buffer) []piece {
	for _, pr := range s.parts {
		cs := s.x.parts[pr.part].t.of(pr.ref)
		for i := range cs {
			if c := &cs[i]; c.kind == chunkFloat && s.x.r.Overlaps(c.minT, c.maxT) {
				buf = append(buf, piece{minT: c.minT, maxT: c.maxT, prio: uint64(c.gen), part: pr.part, chunk: c})
			}
		}
	}
	buf = s.headPieces(buf, frozen, headPrio)
	buf = s.headPieces(buf, cur, headPrio+2)
	slices.SortStableFunc(buf, func(a, b piece) int { return cmp.Compare(a.minT, b.minT) })
	return buf
}

// snapshots returns copies of the buffers that may be read without the lock.
func (s *selected) snapshots() (frozen, cur buffer) {
	if s.head == nil {
		return frozen, cur
	}
	s.x.t.mu.RLock()
	defer s.x.t.mu.RUnlock()
	if s.head.frozen != nil {
		frozen = s.head.frozen.snapshot()
	}
	if s.head.cur != nil {
		cur = s.head.cur.snapshot()
	}
	return frozen, cur
}

func (s *selected) headPieces(buf []piece, b *buffer, prio uint64) []piece {
	r := s.x.r
	for i := range b.chunks {
		if c := &b.chunks[i]; r.Overlaps(c.minT, c.maxT) {
			buf = append(buf, piece{minT: c.minT, maxT: c.maxT, prio: prio, part: -1, head: c})
		}
	}
	for i, raw := range [2][]store.Sample{b.open, sortLate(b.late, s.x.dedup > 0)} {
		if n := len(raw); n > 0 && r.Overlaps(raw[0].Time, raw[n-1].Time) {
			buf = append(buf, piece{minT: raw[0].Time, maxT: raw[n-1].Time, prio: prio + uint64(i), part: -1, raw: raw})
		}
	}
	return buf
}

// Samples implements [store.Series].
func (s *selected) Samples(ts []int64, vs []float64) ([]int64, []float64, error) {
	if err := s.x.ctx.Err(); err != nil {
		return ts, vs, err
	}
	had := len(ts)
	if open, ok := s.newest(); ok {
		for _, v := range open {
			ts, vs = append(ts, v.Time), append(vs, v.Value)
		}
		s.x.acct.Matched(int64(len(open)))
		return ts, vs, s.x.acct.Scanned(int64(len(open))*sampleBytes, int64(len(open)))
	}
	frozen, cur := s.snapshots()
	if s.isMixed(&frozen, &cur) {
		fts, fvs, _, err := s.decodeMixed(&frozen, &cur)
		if err == nil {
			fts, fvs = dedup(fts, fvs, 0, s.x.dedup)
			ts, vs = append(ts, fts...), append(vs, fvs...)
		}
		return ts, vs, err
	}
	var space [16]piece
	ps := s.pieces(space[:0], &frozen, &cur)
	dec := s.x.s.decoders.Get().(*codec.FloatDecoder) //nolint:forcetypeassert // the pool holds nothing else
	defer s.x.s.decoders.Put(dec)
	var err error
	for from := 0; from < len(ps); {
		to, end := from+1, ps[from].maxT
		for to < len(ps) && ps[to].minT <= end {
			end = max(end, ps[to].maxT)
			to++
		}
		if to == from+1 {
			ts, vs, err = s.decode(&ps[from], ts, vs, dec)
		} else {
			ts, vs, err = s.decodeMerged(ps[from:to], ts, vs, dec)
		}
		if err != nil {
			return ts[:had], vs[:len(vs)-(len(ts)-had)], err
		}
		from = to
	}
	ts, vs = dedup(ts, vs, had, s.x.dedup)
	s.x.acct.Matched(int64(len(ts) - had))
	return ts, vs, nil
}

// newest returns the samples in the range if all of them are in the uncompressed end of
// the head: the case of nearly every instant query.
func (s *selected) newest() ([]store.Sample, bool) {
	if s.head == nil || len(s.parts) > 0 || s.x.dedup > 0 || s.head.frozen != nil {
		return nil, false
	}
	r := s.x.r
	s.x.t.mu.RLock()
	b := s.head.cur
	open := b.open[:len(b.open):len(b.open)]
	ok := len(b.late) == 0 && len(b.hists) == 0 && (len(b.chunks) == 0 || b.chunks[len(b.chunks)-1].maxT < r.From)
	s.x.t.mu.RUnlock()
	if !ok {
		return nil, false
	}
	at := func(x store.Sample, t int64) int { return cmp.Compare(x.Time, t) }
	lo, _ := slices.BinarySearchFunc(open, r.From, at)
	hi, _ := slices.BinarySearchFunc(open, r.To, at)
	return open[lo:max(lo, hi)], true
}

// decodeMerged appends the samples of pieces that overlap.
func (s *selected) decodeMerged(ps []piece, ts []int64, vs []float64, dec *codec.FloatDecoder) ([]int64, []float64, error) {
	runs := make([]run, len(ps))
	for i := range ps {
		rts, rvs, err := s.decode(&ps[i], nil, nil, dec)
		if err != nil {
			return ts, vs, err
		}
		runs[i] = run{rts, rvs, ps[i].prio}
	}
	ts, vs = mergeRuns(ts, vs, runs, s.x.dedup > 0)
	return ts, vs, nil
}

// decode appends the samples of p that lie in the range. Damage is reported and leaves
// them out.
func (s *selected) decode(p *piece, ts []int64, vs []float64, dec *codec.FloatDecoder) ([]int64, []float64, error) {
	x, had := s.x, len(ts)
	var size int64
	switch {
	case p.chunk != nil:
		sp := x.parts[p.part]
		var err error
		data, err := x.chunk(p.part, p.chunk)
		if err == nil && data != nil {
			ts, vs, err = decodeFloatChunk(ts, vs, data, p.chunk.count, dec)
			if err != nil {
				err = x.damage(sp.p, sp.t.blocks[p.chunk.block].Off, fmt.Errorf("part %s: %w", sp.p.Name(), err))
			}
		}
		if err != nil {
			return ts, vs, err
		}
		size = int64(p.chunk.size)
	case p.head != nil:
		var err error
		if ts, vs, err = p.head.decode(ts, vs, dec); err != nil {
			return ts, vs, err
		}
		size = int64(len(p.head.data))
	default:
		for _, v := range p.raw {
			ts, vs = append(ts, v.Time), append(vs, v.Value)
		}
		size = int64(len(p.raw)) * sampleBytes
	}
	if err := x.acct.Scanned(size, int64(len(ts)-had)); err != nil {
		return ts, vs, err
	}
	if p.minT < x.r.From || p.maxT >= x.r.To {
		ts, vs = trim(ts, vs, had, x.r)
	}
	return ts, vs, nil
}

// chunk returns the bytes of a chunk; nil and no error if they are damaged.
func (x *selection) chunk(part int, c *chunkMeta) ([]byte, error) {
	sp := x.parts[part]
	b, err := x.block(part, c.block)
	if err == nil {
		b, err = c.cut(b)
	}
	if err != nil {
		return nil, x.damage(sp.p, sp.t.blocks[c.block].Off, err)
	}
	return b, nil
}

// trim keeps of the samples from index had on those in r.
func trim(ts []int64, vs []float64, had int, r model.TimeRange) ([]int64, []float64) {
	lo, _ := slices.BinarySearch(ts[had:], r.From)
	hi, _ := slices.BinarySearch(ts[had:], r.To)
	hi = max(lo, hi)
	off := len(vs) - len(ts) // the slices may have begun at different lengths
	if lo > 0 {
		copy(ts[had:], ts[had+lo:had+hi])
		copy(vs[had+off:], vs[had+off+lo:had+off+hi])
	}
	return ts[:had+hi-lo], vs[:had+off+hi-lo]
}

// histSource is histograms of one generation.
type histSource struct {
	gen uint32
	hs  []store.HistogramSample
}

// Histograms implements [store.Series].
func (s *selected) Histograms(dst []store.HistogramSample) ([]store.HistogramSample, error) {
	x := s.x
	if err := x.ctx.Err(); err != nil {
		return dst, err
	}
	frozen, cur := s.snapshots()
	var all []store.HistogramSample
	if s.isMixed(&frozen, &cur) {
		_, _, hs, err := s.decodeMixed(&frozen, &cur)
		if err != nil {
			return dst, err
		}
		all = hs
	} else {
		sources, err := s.partHistograms()
		if err != nil {
			return dst, err
		}
		for _, src := range sources {
			all = append(all, src.hs...)
		}
		if all, err = s.headHistograms(all, &frozen, &cur); err != nil {
			return dst, err
		}
		all = sortHistograms(all)
	}
	had := len(dst)
	for _, h := range dedupHistograms(all, x.dedup) {
		if x.r.Contains(h.Time) {
			dst = append(dst, h)
		}
	}
	resetHints(dst[had:])
	return dst, nil
}

// headHistograms appends copies of the histograms of the head.
func (s *selected) headHistograms(dst []store.HistogramSample, bufs ...*buffer) ([]store.HistogramSample, error) {
	n := len(dst)
	for _, b := range bufs {
		if len(b.hists) > 0 {
			dst = append(dst, b.histograms()...)
		}
	}
	for i := n; i < len(dst); i++ {
		dst[i] = cloneHistogram(dst[i])
	}
	return dst, s.x.acct.Scanned(int64(len(dst)-n)*200, int64(len(dst)-n))
}

// partHistograms returns the histograms of chunks that overlap the range, in order of
// generation.
func (s *selected) partHistograms() ([]histSource, error) {
	x := s.x
	var sources []histSource
	for _, pr := range s.parts {
		sp := x.parts[pr.part]
		for i := range sp.t.of(pr.ref) {
			c := &sp.t.of(pr.ref)[i]
			if c.kind != chunkHistogram || !x.r.Overlaps(c.minT, c.maxT) {
				continue
			}
			data, err := x.chunk(pr.part, c)
			var hs []store.HistogramSample
			if err == nil && data != nil {
				if hs, err = decodeHistogramChunk(nil, data); err != nil {
					err = x.damage(sp.p, sp.t.blocks[c.block].Off, fmt.Errorf("part %s: %w", sp.p.Name(), err))
				}
			}
			if err == nil {
				err = x.acct.Scanned(int64(c.size), int64(len(hs)))
			}
			if err != nil {
				return nil, err
			}
			sources = append(sources, histSource{c.gen, hs})
		}
	}
	slices.SortStableFunc(sources, func(a, b histSource) int { return cmp.Compare(a.gen, b.gen) })
	return sources, nil
}

// decodeMixed returns the floats and histograms of a series that has both.
func (s *selected) decodeMixed(frozen, cur *buffer) ([]int64, []float64, []store.HistogramSample, error) {
	m := newMixed(s.x.dedup > 0)
	dec := s.x.s.decoders.Get().(*codec.FloatDecoder) //nolint:forcetypeassert // the pool holds nothing else
	defer s.x.s.decoders.Put(dec)
	ps := s.pieces(nil, frozen, cur)
	slices.SortStableFunc(ps, func(a, b piece) int { return cmp.Compare(a.prio, b.prio) })
	for i := range ps {
		ts, vs, err := s.decode(&ps[i], nil, nil, dec)
		if err != nil {
			return nil, nil, nil, err
		}
		m.addFloats(ts, vs, floatRank(ps[i].prio))
	}
	sources, err := s.partHistograms()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, src := range sources {
		m.addHistograms(src.hs, histRank(uint64(src.gen)))
	}
	for i, b := range []*buffer{frozen, cur} {
		hs, err := s.headHistograms(nil, b)
		if err != nil {
			return nil, nil, nil, err
		}
		m.addHistograms(hs, histRank(headPrio+2*uint64(i)+1)) // behind the late samples of b
	}
	ts, vs, hs := m.result(nil, nil)
	return ts, vs, hs, nil
}
