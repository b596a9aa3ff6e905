package metricstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

func label(name, value string) model.Label { return model.Label{Name: name, Value: value} }

// mergeInput is one part of a merge, read series by series.
type mergeInput struct {
	p      *openPart
	t      *tables
	exs    []refExemplars
	holes  holes
	next   uint32 // series
	labels model.Labels

	block     []byte // the last one read
	blockNo   uint32
	haveBlock bool

	sums     []byte // the last block of summaries
	sumsNo   uint32
	haveSums bool
}

// merge writes the series of in to w. Big chunks that overlap no other are copied; small
// neighbours and overlapping ones are combined.
func (s *Store) merge(ctx context.Context, in []*openPart, w *part.Writer) (*part.Finished, error) {
	deleted := s.deleted.Load()
	pw := newPartWriter(w, s.z, deleted.last)
	m := &merger{s: s, deleted: deleted, w: pw, combine: s.mayCombine(in), dedup: s.dedupOf(in[0].Info.Tenant)}
	pw.resolution = s.resolution(in[0].Info.Tenant, in[0].Info.Day)
	for _, p := range in {
		pw.resolution = max(pw.resolution, p.Data.resolution)
	}
	for _, p := range in {
		if err := m.add(p); err != nil {
			return nil, err
		}
	}
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if pw.full(s.limit) {
			return nil, fmt.Errorf("%w: the %d parts hold too many series or labels for one", store.ErrLimit, len(in))
		}
		more, err := m.series()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	if pw.rows == 0 && len(pw.metadata) == 0 {
		return nil, nil
	}
	return pw.finish(in[0].Info.Day)
}

// mayCombine reports whether no other part of the day was written between the parts of
// in: then of two samples with one time the newer generation wins over everything.
func (s *Store) mayCombine(in []*openPart) bool {
	lo, hi := in[0].Data.minGen, in[0].Data.maxGen
	for _, p := range in {
		lo, hi = min(lo, p.Data.minGen), max(hi, p.Data.maxGen)
	}
	day := in[0].Info.Day
	v := s.set.View(in[0].Info.Tenant, model.TimeRange{From: day.Start(), To: (day + 1).Start()})
	defer v.Close()
	for _, p := range v.Parts {
		inside := slices.ContainsFunc(in, func(q *openPart) bool { return q.Info.ID == p.Info.ID })
		if !inside && p.Data.minGen <= hi && p.Data.maxGen >= lo {
			return false
		}
	}
	return true
}

type merger struct {
	s       *Store
	w       *partWriter
	deleted *deletions
	combine bool
	dedup   int64 // interval, 0 for none
	in      []*mergeInput
	found   []mergeChunk
	dec     codec.FloatDecoder
	ts      []int64
	vs      []float64
}

// mergeChunk is a chunk and where it is.
type mergeChunk struct {
	chunkMeta
	from  *mergeInput
	holes []model.TimeRange // what is deleted of it
}

// add opens p. Damage is reported and skipped; the set keeps the damaged file.
func (m *merger) add(p *openPart) error {
	_, mds, err := m.s.readIndex(p.File)
	if err != nil {
		return err
	}
	m.w.metadata = appendNew(m.w.metadata, mds)
	t, err := m.s.load(p)
	if err != nil {
		return skipDamage(p, p.Data.table.Off, err)
	}
	x := &mergeInput{p: p, t: t, holes: m.deleted.holesOf(p, t)}
	if x.exs, err = m.s.readExemplars(p, t); err != nil {
		if err := skipDamage(p, p.Data.exemplars.Off, err); err != nil {
			return err
		}
	}
	if t.series.Len() > 0 {
		x.labels = t.series.Labels(0)
		m.in = append(m.in, x)
	}
	return nil
}

// appendNew appends the descriptions that are not there yet.
func appendNew(dst, mds []store.MetricMetadata) []store.MetricMetadata {
	for _, md := range mds {
		if !slices.Contains(dst, md) {
			dst = append(dst, md)
		}
	}
	return dst
}

// skipDamage reports err if it is damage and returns it otherwise.
func skipDamage(p *openPart, block uint64, err error) error {
	if !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	p.Data.damaged(p, block, err)
	return nil
}

// series writes the next series; false when there is none.
func (m *merger) series() (bool, error) {
	var lowest model.Labels
	for _, x := range m.in {
		if lowest == nil || x.labels.Compare(lowest) < 0 {
			lowest = x.labels
		}
	}
	if lowest == nil {
		return false, nil
	}
	m.found = m.found[:0]
	var exs []store.Exemplar
	for i := 0; i < len(m.in); i++ {
		x := m.in[i]
		if !x.labels.Equal(lowest) {
			continue
		}
		for _, c := range x.t.of(x.next) {
			gone := x.holes[x.next]
			if covers(gone, wholly(), c.minT, c.maxT) {
				continue
			}
			if !slices.ContainsFunc(gone, func(r model.TimeRange) bool { return r.Overlaps(c.minT, c.maxT) }) {
				gone = nil
			}
			m.found = append(m.found, mergeChunk{c, x, gone})
		}
		if len(x.exs) > 0 && x.exs[0].ref == x.next {
			exs = append(exs, cutExemplars(x.exs[0].exs, x.holes[x.next])...)
			x.exs = x.exs[1:]
		}
		if x.next++; int(x.next) == x.t.series.Len() {
			m.in = slices.Delete(m.in, i, i+1)
			i--
		} else {
			x.labels = x.t.series.Labels(x.next)
		}
	}
	if m.w.resolution > 0 {
		exs = nil // they go with the samples they were taken from
	}
	if len(exs)+len(m.found) > 0 {
		m.w.series(lowest)
	}
	if len(exs) > 0 {
		m.w.addExemplars(sortExemplars(exs))
	}
	slices.SortStableFunc(m.found, func(a, b mergeChunk) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.minT, b.minT))
	})
	if m.w.resolution > 0 {
		return true, m.thin()
	}
	if m.combine && m.isMixed() {
		return true, m.rewriteMixed()
	}
	return true, m.chunks()
}

// chunks writes the found chunks, group by group.
func (m *merger) chunks() error {
	for from := 0; from < len(m.found); {
		to, decode := m.group(from)
		group := m.found[from:to]
		var err error
		switch {
		case !decode:
			err = m.copy(group)
		case group[0].kind == chunkHistogram:
			err = m.rewriteHistograms(group)
		default:
			err = m.rewrite(group)
		}
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// group returns the end of the chunks from from on that belong together, and whether
// they must be decoded.
func (m *merger) group(from int) (to int, decode bool) {
	first := &m.found[from]
	decode = len(first.holes) > 0
	if !m.combine {
		return from + 1, decode
	}
	end, rows := first.maxT, first.count
	limit, low := uint32(maxChunk), uint32(minChunk)
	if first.kind == chunkHistogram {
		limit, low = maxHistChunk, maxHistChunk/4
	}
	for to = from + 1; to < len(m.found); to++ {
		c := &m.found[to]
		overlap := c.minT <= end
		join := c.count < low || rows < low
		if c.kind != first.kind || !overlap && (!join || rows+c.count > limit) {
			break
		}
		end, rows = max(end, c.maxT), rows+c.count
		decode = true
	}
	return to, decode
}

// read returns the bytes of c. ok is false if they are damaged.
func (m *merger) read(c *mergeChunk) (data []byte, ok bool, err error) {
	x := c.from
	if !x.haveBlock || x.blockNo != c.block {
		x.haveBlock = false
		b, err := m.s.readBlock(x.p, x.t, c.block)
		if err != nil {
			return nil, false, skipDamage(x.p, x.t.blocks[c.block].Off, err)
		}
		x.block, x.blockNo, x.haveBlock = b, c.block, true
	}
	data, err = c.cut(x.block)
	if err != nil {
		return nil, false, skipDamage(x.p, x.t.blocks[c.block].Off, err)
	}
	return data, true, nil
}

// summary returns the encoded summary of c, nil if there is none.
func (m *merger) summary(c *mergeChunk) ([]byte, error) {
	x := c.from
	i := c.stat / summaryRun
	if int(i) >= len(x.t.summaries) {
		return nil, nil
	}
	if !x.haveSums || x.sumsNo != i {
		b, err := m.s.readPacked(x.p, x.t.summaries[i])
		if err != nil {
			return nil, skipDamage(x.p, x.t.summaries[i].Off, err)
		}
		x.sums, x.sumsNo, x.haveSums = b, i, true
	}
	return summaryBytes(x.sums, &c.chunkMeta, len(x.t.chunks)), nil
}

func (m *merger) copy(group []mergeChunk) error {
	for i := range group {
		data, ok, err := m.read(&group[i])
		if err != nil {
			return err
		}
		if ok {
			sum, err := m.summary(&group[i])
			if err != nil {
				return err
			}
			if err := m.w.chunk(group[i].chunkMeta, data, sum); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrite decodes the chunks of a group and writes their samples anew.
func (m *merger) rewrite(group []mergeChunk) error {
	m.ts, m.vs = m.ts[:0], m.vs[:0]
	var gen uint32
	overlap := false
	type span struct {
		from int
		prio uint64
	}
	spans := make([]span, 0, len(group))
	for i := range group {
		c := &group[i]
		data, ok, err := m.read(c)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		from := len(m.ts)
		m.ts, m.vs, err = decodeFloatChunk(m.ts, m.vs, data, c.count, &m.dec)
		if err != nil {
			if err := skipDamage(c.from.p, c.from.t.blocks[c.block].Off, fmt.Errorf("part %s: %w", c.from.p.Name(), err)); err != nil {
				return err
			}
			continue
		}
		overlap = overlap || from > 0 && m.ts[from] <= m.ts[from-1]
		m.ts, m.vs = cutHoles(m.ts, m.vs, from, c.holes)
		if len(m.ts) == from {
			continue
		}
		gen = max(gen, c.gen)
		spans = append(spans, span{from, uint64(c.gen)})
	}
	if !overlap {
		m.ts, m.vs = dedup(m.ts, m.vs, 0, m.dedup)
		return m.w.samples(m.ts, m.vs, gen)
	}
	runs := make([]sortedRun, len(spans))
	for i, sp := range spans {
		to := len(m.ts)
		if i+1 < len(spans) {
			to = spans[i+1].from
		}
		runs[i] = sortedRun{m.ts[sp.from:to], m.vs[sp.from:to], sp.prio}
	}
	ts, vs := mergeRuns(nil, nil, runs, m.dedup > 0)
	ts, vs = dedup(ts, vs, 0, m.dedup)
	return m.w.samples(ts, vs, gen)
}

func (m *merger) rewriteHistograms(group []mergeChunk) error {
	// In order of generation, so that the stable sort keeps the newest of equal times.
	slices.SortStableFunc(group, func(a, b mergeChunk) int { return cmp.Compare(a.gen, b.gen) })
	var hs []store.HistogramSample
	var gen uint32
	for i := range group {
		c := &group[i]
		data, ok, err := m.read(c)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		had := len(hs)
		if hs, err = decodeHistogramChunk(hs, data); err != nil {
			if err := skipDamage(c.from.p, c.from.t.blocks[c.block].Off, fmt.Errorf("part %s: %w", c.from.p.Name(), err)); err != nil {
				return err
			}
			continue
		}
		hs = append(hs[:had], cutHistograms(hs[had:], c.holes)...)
		gen = max(gen, c.gen)
	}
	return m.w.histograms(dedupHistograms(sortHistograms(hs), m.dedup), gen)
}

// isMixed reports whether floats of the found chunks may have the times of histograms.
func (m *merger) isMixed() bool {
	i := slices.IndexFunc(m.found, func(c mergeChunk) bool { return c.kind == chunkHistogram }) // floats come first
	for n := range max(i, 0) {
		for _, h := range m.found[i:] {
			if m.found[n].minT <= h.maxT && h.minT <= m.found[n].maxT {
				return true
			}
		}
	}
	return false
}

// rewriteMixed writes the found chunks anew, of a float and a histogram with one time the
// later one.
func (m *merger) rewriteMixed() error {
	x := newMixed(m.dedup > 0)
	var gen uint32
	for i := range m.found {
		c := &m.found[i]
		data, ok, err := m.read(c)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := m.addTo(x, c, data); err != nil {
			if err := skipDamage(c.from.p, c.from.t.blocks[c.block].Off, fmt.Errorf("part %s: %w", c.from.p.Name(), err)); err != nil {
				return err
			}
			continue
		}
		gen = max(gen, c.gen)
	}
	ts, vs, hs := x.result()
	ts, vs = dedup(ts, vs, 0, m.dedup)
	if err := m.w.samples(ts, vs, gen); err != nil {
		return err
	}
	return m.w.histograms(dedupHistograms(hs, m.dedup), gen)
}

// addTo adds what chunk c holds to x.
func (m *merger) addTo(x *mixed, c *mergeChunk, data []byte) error {
	if c.kind == chunkHistogram {
		hs, err := decodeHistogramChunk(nil, data)
		x.addHistograms(cutHistograms(hs, c.holes), histRank(uint64(c.gen)))
		return err
	}
	var err error
	if m.ts, m.vs, err = decodeFloatChunk(m.ts[:0], m.vs[:0], data, c.count, &m.dec); err != nil {
		return err
	}
	m.ts, m.vs = cutHoles(m.ts, m.vs, 0, c.holes)
	x.addFloats(m.ts, m.vs, floatRank(uint64(c.gen)))
	return nil
}
