package metricstore

import (
	"encoding/binary"
	"math"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// A part keeps a [model.Summary] of each chunk of floats beside the chunks, so that a
// query over long windows reads few kilobytes where it would decode megabytes. Those of
// summaryRun chunks share a block: a byte each, the length of the summary (0: none), then
// the summaries.
const summaryRun = 1024

// Flags of an encoded summary. What a flag implies is not written.
const (
	sumConstant = 1 << iota // all values have the bits of the first
	sumRising               // no value is lower than the one before it
	sumExact                // Lost is 0
	sumStale                // some samples of the chunk are staleness markers
)

// appendSummary encodes the summary of the samples of one chunk; nothing if there is none.
func appendSummary(dst []byte, ts []int64, vs []float64) []byte {
	s, ok := model.Summarize(ts, vs)
	if !ok {
		return dst
	}
	flags := byte(0)
	if s.Changes == 0 && (s.First != 0 || allZero(vs)) {
		flags |= sumConstant
	}
	if s.Resets == 0 && math.Float64bits(s.Max) == math.Float64bits(s.Last) {
		flags |= sumRising
	}
	if s.Lost == 0 {
		flags |= sumExact
	}
	if int(s.Count) < len(ts) {
		flags |= sumStale
	}
	dst = append(dst, flags)
	if flags&sumStale != 0 {
		dst = binary.AppendUvarint(dst, uint64(s.From-ts[0]))
		dst = binary.AppendUvarint(dst, uint64(ts[len(ts)-1]-s.To))
		dst = binary.AppendUvarint(dst, uint64(len(ts))-uint64(s.Count))
	}
	dst = codec.AppendFloat(dst, s.First)
	if flags&sumConstant != 0 {
		return dst
	}
	dst = codec.AppendFloat(dst, s.Last)
	if flags&sumRising == 0 {
		dst = codec.AppendFloat(dst, s.Min)
		dst = codec.AppendFloat(dst, s.Max)
		dst = codec.AppendFloat(dst, s.Fell)
		dst = binary.AppendUvarint(dst, uint64(s.Resets))
	}
	dst = codec.AppendFloat(dst, s.Sum)
	if flags&sumExact == 0 {
		dst = codec.AppendFloat(dst, s.Lost)
	}
	return binary.AppendUvarint(dst, uint64(s.Changes))
}

// allZero reports whether no value is a negative zero, which equals 0 and is not it.
func allZero(vs []float64) bool {
	for _, v := range vs {
		if v == 0 && math.Signbit(v) {
			return false
		}
	}
	return true
}

// readSummary decodes the summary of chunk c. ok is false if there is none.
func readSummary(b []byte, c *chunkMeta) (s model.Summary, ok bool, err error) {
	if len(b) == 0 {
		return s, false, nil
	}
	r := codec.NewReader(b)
	flags := r.Byte()
	s = model.Summary{From: c.minT, To: c.maxT, Count: int64(c.count)}
	if flags&sumStale != 0 {
		s.From += int64(r.Uvarint())
		s.To -= int64(r.Uvarint())
		s.Count -= int64(r.Uvarint())
	}
	s.First = r.Float()
	if flags&sumConstant != 0 {
		n := float64(s.Count)
		s.Last, s.Min, s.Max = s.First, s.First, s.First
		s.Sum = s.First * n
		s.Lost = math.FMA(s.First, n, -s.Sum)
		return s, r.Err() == nil, r.Err()
	}
	s.Last = r.Float()
	s.Min, s.Max = s.First, s.Last
	if flags&sumRising == 0 {
		s.Min, s.Max, s.Fell = r.Float(), r.Float(), r.Float()
		s.Resets = int64(r.Uvarint())
	}
	s.Sum = r.Float()
	if flags&sumExact == 0 {
		s.Lost = r.Float()
	}
	s.Changes = int64(r.Uvarint())
	return s, r.Err() == nil, r.Err()
}

// summaryWriter collects the summaries of the chunks of a part.
type summaryWriter struct {
	lens []byte
	data []byte
	refs []part.Ref
}

// add takes the summary of the next chunk and writes a block when it is full.
func (x *summaryWriter) add(summary []byte, w *partWriter) error {
	x.lens, x.data = append(x.lens, byte(len(summary))), append(x.data, summary...)
	if len(x.lens) < summaryRun {
		return nil
	}
	return x.flush(w)
}

func (x *summaryWriter) flush(w *partWriter) error {
	if len(x.lens) == 0 {
		return nil
	}
	ref, err := w.w.Append(w.z.Append(nil, append(x.lens, x.data...)))
	if err != nil {
		return err
	}
	x.refs = append(x.refs, ref)
	x.lens, x.data = x.lens[:0], x.data[:0]
	return nil
}

// summaryBytes returns the encoded summary of c from its block, whose chunks are those
// from a multiple of summaryRun on; nil if the block is damaged.
func summaryBytes(block []byte, c *chunkMeta, chunks int) []byte {
	k := int(c.stat)
	n := min(summaryRun, chunks-k/summaryRun*summaryRun)
	k %= summaryRun
	if len(block) < n {
		return nil
	}
	at := n
	for _, l := range block[:k] {
		at += int(l)
	}
	if end := at + int(block[k]); end <= len(block) {
		return block[at:end]
	}
	return nil
}

// summaryOf returns the summary of a chunk of a part of the selection. ok is false if
// there is none, or it is damaged, which is reported.
func (x *selection) summaryOf(p int, c *chunkMeta) (s model.Summary, ok bool, err error) {
	sp := x.parts[p]
	i := c.stat / summaryRun
	if int(i) >= len(sp.t.summaries) {
		return s, false, nil // an older version
	}
	key := blockKey{sp.p.Info.ID, uint32(len(sp.t.blocks)) + i}
	b, had := x.s.blocks.get(key)
	if !had {
		b, err = x.s.readPacked(sp.p, sp.t.summaries[i])
	}
	if err == nil {
		if !had {
			x.s.blocks.put(key, b)
		}
		s, ok, err = readSummary(summaryBytes(b, c, len(sp.t.chunks)), c)
	}
	if err != nil {
		return s, false, skipDamage(sp.p, sp.t.summaries[i].Off, err)
	}
	return s, ok, nil
}

// Summaries implements [store.Series].
func (s *selected) Summaries(whole func(from, to int64) bool, ts []int64, vs []float64, sums []model.Summary) ([]int64, []float64, []model.Summary, error) {
	if len(s.parts) == 0 || s.x.dedup > 0 {
		ts, vs, err := s.Samples(ts, vs)
		return ts, vs, sums, err
	}
	m := &summing{whole: whole, sums: sums}
	ts, vs, err := s.read(ts, vs, m)
	if err != nil {
		return ts, vs, sums, err
	}
	return ts, vs, m.sums, nil
}

// summing is what Summaries asks for, and what it got.
type summing struct {
	whole func(from, to int64) bool
	sums  []model.Summary
	rows  int64 // samples that they stand for
}

// take adds the summary of p, if it may stand for it.
func (m *summing) take(s *selected, p *piece) (bool, error) {
	x, c := s.x, p.chunk
	if m == nil || c == nil || c.kind != chunkFloat || p.minT < x.r.From || p.maxT >= x.r.To || !m.whole(p.minT, p.maxT) {
		return false, nil
	}
	for _, hole := range x.parts[p.part].del[c.series] {
		if hole.Overlaps(p.minT, p.maxT) {
			return false, nil
		}
	}
	sum, ok, err := x.summaryOf(p.part, c)
	if ok {
		m.sums = append(m.sums, sum)
		m.rows += int64(c.count)
	}
	return ok, err
}
