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
	part       int            // of the selection; -1: head
	chunk      *chunkMeta     // in a part
	head       []byte         // columns in the head
	raw        []store.Sample // sorted
}

// The buffers of the head are newer than every part, and the late samples of a buffer
// newer than the others.
const headPrio = math.MaxUint32 + 1

// pieces returns what holds float samples in the range, in order of time.
func (s *selected) pieces(buf []piece, frozen, cur *view) []piece {
	for _, pr := range s.parts {
		sp := s.x.parts[pr.part]
		cs := sp.t.of(pr.ref)
		for i := range cs {
			if c := &cs[i]; c.kind != chunkHistogram && sp.has(c, s.x.r) {
				buf = append(buf, piece{minT: c.minT, maxT: c.maxT, prio: uint64(c.gen), part: pr.part, chunk: c})
			}
		}
	}
	buf = s.headPieces(buf, frozen, headPrio)
	buf = s.headPieces(buf, cur, headPrio+2)
	byTime := func(a, b piece) int { return cmp.Compare(a.minT, b.minT) }
	if !slices.IsSortedFunc(buf, byTime) {
		slices.SortStableFunc(buf, byTime)
	}
	return buf
}

// views returns what the head holds of s.
func (s *selected) views() (frozen, cur view) {
	if s.head == nil {
		return frozen, cur
	}
	s.x.t.mu.RLock()
	defer s.x.t.mu.RUnlock()
	return s.head.frozen.view(), s.head.cur.view()
}

// sampleViews is views without the exemplars, which needs no lock for most series.
func (s *selected) sampleViews() (frozen, cur view) {
	if h := s.head; h != nil && h.plain {
		return frozen, view{sealed: h.sealed, open: h.open}
	}
	return s.views()
}

func (s *selected) headPieces(buf []piece, b *view, prio uint64) []piece {
	r := s.x.r
	for i := range b.sealed.chunks {
		if c := &b.sealed.chunks[i]; r.Overlaps(c.minT, c.maxT) {
			buf = append(buf, piece{minT: c.minT, maxT: c.maxT, prio: prio, part: -1, head: b.sealed.bytes(i)})
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
	return s.read(ts, vs, nil)
}

// read appends the samples for which sum, which may be nil, takes no summary.
func (s *selected) read(ts []int64, vs []float64, sum *summing) ([]int64, []float64, error) {
	x, had := s.x, len(ts)
	if err := x.ctx.Err(); err != nil {
		return ts, vs, err
	}
	dec := x.s.decoders.Get().(*sampleDecoder) //nolint:forcetypeassert // the pool holds nothing else
	defer x.s.decoders.Put(dec)
	dec.bytes, dec.rows = 0, 0
	plain := s.head != nil && s.head.plain && len(s.parts) == 0
	var err error
	switch {
	case plain && x.latest && s.latestOpen() != nil:
		v := s.latestOpen()
		ts, vs = append(ts, v.Time), append(vs, v.Value)
		dec.bytes, dec.rows = sampleBytes, 1
	case plain:
		ts, vs, err = s.plainSamples(ts, vs, dec)
	default:
		ts, vs, err = s.allSamples(ts, vs, dec, sum)
	}
	if err == nil {
		ts, vs = dedup(ts, vs, had, x.dedup)
		matched := int64(len(ts) - had)
		if sum != nil {
			matched += sum.rows
		}
		x.acct.Matched(matched)
		err = x.acct.Scanned(dec.bytes, dec.rows)
	}
	if err != nil {
		return ts[:had], vs[:len(vs)-(len(ts)-had)], err
	}
	return ts, vs, nil
}

// latestOpen returns the newest sample in the range of a plain series, if it is not
// encoded yet.
func (s *selected) latestOpen() *store.Sample {
	open := s.head.open
	for i := len(open) - 1; i >= 0 && open[i].Time >= s.x.r.From; i-- {
		if open[i].Time < s.x.r.To {
			return &open[i]
		}
	}
	return nil
}

// sampleDecoder is the working memory of one call of Samples, and what it has read.
type sampleDecoder struct {
	codec.FloatDecoder
	pieces      []piece
	bytes, rows int64
}

// plainSamples appends the samples of a series that is in the head alone, in order.
func (s *selected) plainSamples(ts []int64, vs []float64, dec *sampleDecoder) ([]int64, []float64, error) {
	r, had := s.x.r, len(ts)
	sealed := &s.head.sealed
	cs := sealed.chunks
	i := 0
	for i < len(cs) && cs[i].maxT < r.From {
		i++
	}
	if s.x.latest {
		for i+1 < len(cs) && cs[i+1].minT < r.To { // it has a sample there
			i++
		}
	}
	for ; i < len(cs) && cs[i].minT < r.To; i++ {
		data := sealed.bytes(i)
		var err error
		if ts, vs, err = decodeColumns(ts, vs, data, &dec.FloatDecoder); err != nil {
			return ts, vs, err
		}
		dec.bytes += int64(len(data))
	}
	dec.rows = int64(len(ts) - had)
	if n := len(ts); n > had && (ts[had] < r.From || ts[n-1] >= r.To) {
		ts, vs = trim(ts, vs, had, r)
	}
	open := s.head.open
	if n := len(open); n > 0 && (open[0].Time < r.From || open[n-1].Time >= r.To) {
		at := func(x store.Sample, t int64) int { return cmp.Compare(x.Time, t) }
		lo, _ := slices.BinarySearchFunc(open, r.From, at)
		hi, _ := slices.BinarySearchFunc(open, r.To, at)
		open = open[lo:max(lo, hi)]
	}
	for i := range open {
		ts, vs = append(ts, open[i].Time), append(vs, open[i].Value)
	}
	dec.bytes, dec.rows = dec.bytes+int64(len(open))*sampleBytes, dec.rows+int64(len(open))
	return ts, vs, nil
}

// allSamples appends the samples of any series.
func (s *selected) allSamples(ts []int64, vs []float64, dec *sampleDecoder, sum *summing) ([]int64, []float64, error) {
	frozen, cur := s.sampleViews()
	if s.isMixed(&frozen, &cur) {
		fts, fvs, _, err := s.decodeMixed(&frozen, &cur, dec)
		return append(ts, fts...), append(vs, fvs...), err
	}
	dec.pieces = s.pieces(dec.pieces[:0], &frozen, &cur)
	defer func() { clear(dec.pieces) }()
	ps := dec.pieces
	if s.x.latest && len(ps) > 1 {
		ps = s.x.latestPieces(ps)
	}
	var err error
	for from := 0; from < len(ps); {
		to, end := from+1, ps[from].maxT
		for to < len(ps) && ps[to].minT <= end {
			end = max(end, ps[to].maxT)
			to++
		}
		taken := false
		if to == from+1 {
			taken, err = sum.take(s, &ps[from])
		}
		switch {
		case taken || err != nil:
		case to == from+1:
			ts, vs, err = s.decode(&ps[from], ts, vs, dec)
		default:
			ts, vs, err = s.decodeMerged(ps[from:to], ts, vs, dec)
		}
		if err != nil {
			return ts, vs, err
		}
		from = to
	}
	return ts, vs, nil
}

// latestPieces leaves out the pieces that end before a sample that another one holds for
// sure, in place.
func (x *selection) latestPieces(ps []piece) []piece {
	newest := int64(math.MinInt64)
	for i := range ps {
		p := &ps[i]
		if c := p.chunk; c != nil && (c.kind == chunkRows || x.parts[p.part].del[c.series] != nil) {
			continue // its ends are no samples, or may be deleted
		}
		for _, t := range [...]int64{p.minT, p.maxT} { // a piece has a sample at either end
			if x.r.Contains(t) {
				newest = max(newest, t)
			}
		}
	}
	return slices.DeleteFunc(ps, func(p piece) bool { return p.maxT < newest })
}

// decodeMerged appends the samples of pieces that overlap.
func (s *selected) decodeMerged(ps []piece, ts []int64, vs []float64, dec *sampleDecoder) ([]int64, []float64, error) {
	runs := make([]sortedRun, len(ps))
	for i := range ps {
		rts, rvs, err := s.decode(&ps[i], nil, nil, dec)
		if err != nil {
			return ts, vs, err
		}
		runs[i] = sortedRun{rts, rvs, ps[i].prio}
	}
	ts, vs = mergeRuns(ts, vs, runs, s.x.dedup > 0)
	return ts, vs, nil
}

// decode appends the samples of p that lie in the range. Damage is reported and leaves
// them out.
func (s *selected) decode(p *piece, ts []int64, vs []float64, dec *sampleDecoder) ([]int64, []float64, error) {
	x, had := s.x, len(ts)
	var size int64
	switch {
	case p.chunk != nil:
		sp := x.parts[p.part]
		var err error
		data, err := x.chunk(p.part, p.chunk)
		if err == nil && data != nil {
			if p.chunk.kind == chunkRows {
				ts, vs, err = decodeExpanded(ts, vs, data, p.chunk.count, x.shape, dec)
			} else {
				ts, vs, err = decodeFloatChunk(ts, vs, data, p.chunk.count, &dec.FloatDecoder)
			}
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
		if ts, vs, err = decodeColumns(ts, vs, p.head, &dec.FloatDecoder); err != nil {
			return ts, vs, err
		}
		size = int64(len(p.head))
	default:
		for _, v := range p.raw {
			ts, vs = append(ts, v.Time), append(vs, v.Value)
		}
		size = int64(len(p.raw)) * sampleBytes
	}
	dec.bytes, dec.rows = dec.bytes+size, dec.rows+int64(len(ts)-had)
	if p.chunk != nil {
		ts, vs = cutHoles(ts, vs, had, x.parts[p.part].del[p.chunk.series])
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

// mayHaveHistograms reports whether it is worth looking for histograms.
func (s *selected) mayHaveHistograms() bool {
	if s.head != nil && !s.head.plain {
		return true
	}
	for _, pr := range s.parts {
		if s.x.parts[pr.part].t.histograms {
			return true
		}
	}
	return false
}

// Histograms implements [store.Series].
func (s *selected) Histograms(dst []store.HistogramSample) ([]store.HistogramSample, error) {
	x := s.x
	if err := x.ctx.Err(); err != nil {
		return dst, err
	}
	if !s.mayHaveHistograms() {
		return dst, nil
	}
	frozen, cur := s.sampleViews()
	var all []store.HistogramSample
	if s.isMixed(&frozen, &cur) {
		var dec sampleDecoder
		_, _, hs, err := s.decodeMixed(&frozen, &cur, &dec)
		if err == nil {
			err = x.acct.Scanned(dec.bytes, dec.rows)
		}
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
func (s *selected) headHistograms(dst []store.HistogramSample, bufs ...*view) ([]store.HistogramSample, error) {
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
			if c.kind != chunkHistogram || !sp.has(c, x.r) {
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
			sources = append(sources, histSource{c.gen, cutHistograms(hs, sp.del[pr.ref])})
		}
	}
	slices.SortStableFunc(sources, func(a, b histSource) int { return cmp.Compare(a.gen, b.gen) })
	return sources, nil
}

// decodeMixed returns the floats and histograms of a series that has both.
func (s *selected) decodeMixed(frozen, cur *view, dec *sampleDecoder) ([]int64, []float64, []store.HistogramSample, error) {
	m := newMixed(s.x.dedup > 0)
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
	for i, b := range []*view{frozen, cur} {
		hs, err := s.headHistograms(nil, b)
		if err != nil {
			return nil, nil, nil, err
		}
		m.addHistograms(hs, histRank(headPrio+2*uint64(i)+1)) // behind the late samples of b
	}
	ts, vs, hs := m.result()
	return ts, vs, hs, nil
}
