package logstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// minSegmentText is the average text of a block's streams from which a merge copies it.
// In blocks with less a query for one stream reads much of others.
const minSegmentText = 8 << 10

// keeps reports whether a merge takes b over as it is.
func (b *blockInfo) keeps() bool {
	return b.size >= minBlockText && b.size/int64(b.segs[1]-b.segs[0]) >= minSegmentText
}

// merge writes the rows of in to w, without those that are removed for good. Big blocks are copied without being decompressed;
// the rows of the others are sorted by stream and time into new blocks, without
// duplicates.
func (s *Store) merge(ctx context.Context, in []*part.Part[*partIndex], w *part.Writer) (*part.Finished, error) {
	b := s.takeBuilders()
	defer s.giveBuilders(b)
	p := newPartWriter(w, b, s.zstd)
	day := model.TimeRange{From: in[0].Info.Day.Start(), To: (in[0].Info.Day + 1).Start()}
	rm := s.removals(in[0].Info.Tenant, day, true)
	touched := rm.touched(in)
	plan, maps := mergePlan(in, touched, p)
	if err := s.copyBlocks(ctx, in, touched, maps, p); err != nil {
		return nil, fmt.Errorf("copy blocks: %w", err)
	}
	if err := s.rewrite(ctx, plan, newCutter(rm), p); err != nil {
		return nil, fmt.Errorf("rewrite blocks: %w", err)
	}
	return p.finish()
}

// mergePlan enters the streams of in into p. It returns what has to be rewritten, all of the
// touched parts among it, and for each part the new number of its streams.
func mergePlan(in []*part.Part[*partIndex], touched []bool, p *partWriter) (*plan, [][]uint32) {
	pl := &plan{}
	most := 0
	for _, pt := range in {
		most = max(most, pt.Data.numStreams())
	}
	f := newFinder(most)
	var labels model.Labels
	places := make([][]int, len(in))
	seq := 0
	for k, pt := range in {
		x := pt.Data
		blocks := map[uint32]*fetched{}
		places[k] = make([]int, x.numStreams())
		for stream := range x.numStreams() {
			var hash uint64
			labels, hash = x.appendLabels(labels[:0], uint32(stream))
			fs := f.find(labels, hash)
			places[k][stream] = int(fs.id)
			for _, i := range x.segments(uint32(stream)) {
				sg := &x.segs[i]
				info := &x.blocks[sg.block]
				if info.keeps() && !touched[k] {
					continue
				}
				b := blocks[sg.block]
				if b == nil {
					b = &fetched{part: pt, info: info, seq: seq + int(sg.block), uses: make([]use, 0, info.segs[1]-info.segs[0])}
					blocks[sg.block] = b
					pl.blocks = append(pl.blocks, b)
				}
				if fs.sources == nil {
					fs.sources = make([]source, 0, len(in))
				}
				fs.sources = append(fs.sources, source{
					block: b, from: int32(sg.from), to: int32(sg.from + sg.rows), min: sg.min, max: sg.max, seq: int32(b.seq),
				})
			}
		}
		seq += len(x.blocks)
	}
	pl.streams = f.streams
	slices.SortFunc(pl.streams, func(a, b foundStream) int { return a.labels.Compare(b.labels) })
	p.expect(len(pl.streams))
	number := make([]uint32, len(pl.streams))
	for i := range pl.streams {
		number[pl.streams[i].id] = p.addStream(pl.streams[i].labels)
		pl.streams[i].id = uint64(i)
	}
	maps := make([][]uint32, len(in))
	for k := range in {
		for _, at := range places[k] {
			maps[k] = append(maps[k], number[at])
		}
	}
	return pl, maps
}

// copyBlocks copies the blocks that are kept, oldest part first, and what is known about
// their fields.
func (s *Store) copyBlocks(ctx context.Context, in []*part.Part[*partIndex], touched []bool, maps [][]uint32, p *partWriter) error {
	buf := s.pool.get()
	defer s.pool.put(buf)
	for k, pt := range in {
		if touched[k] {
			continue // what is left of it is found out anew
		}
		x := pt.Data
		ids := make([]uint32, len(x.names))
		for i, name := range x.names {
			ids[i] = p.field(name)
			p.values[ids[i]].merge(x.sketches[i])
		}
		for i := range x.blocks {
			b := &x.blocks[i]
			if !b.keeps() {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := copyBlock(pt, b, maps[k], p, buf); err != nil {
				return err
			}
		}
		for stream, n := range maps[k] {
			for _, f := range x.fields[x.fieldOf[stream]] {
				p.streams[n].addField(ids[f])
			}
		}
	}
	return nil
}

// copyBlock copies one block. A damaged one is reported and left out.
func copyBlock(pt *part.Part[*partIndex], b *blockInfo, numbers []uint32, p *partWriter, buf *buffer) error {
	x := pt.Data
	var info blockInfo
	templates, taken := p.templates.take(x.templates, b.templates)
	var rows []byte // the rows column of a block that brings its templates
	for c := range numCols {
		if b.cols[c].Len == 0 && c == colRows {
			continue // of version 1
		}
		fb := fetched{part: pt, info: b}
		data, err := fb.readInto(c, buf)
		if errors.Is(err, store.ErrCorrupt) && c == colFilter {
			data, err = nil, nil // an absent filter hides nothing
			if x.reportOnce(b.cols[c]) {
				pt.Damaged(fmt.Errorf("filter of a block: %w", store.ErrCorrupt))
			}
		}
		if errors.Is(err, store.ErrCorrupt) {
			if x.reportOnce(b.cols[colTimes]) {
				pt.Damaged(err)
			}
			return nil // the columns written so far stay behind, unused
		}
		if err != nil {
			return err
		}
		switch {
		case taken:
		case c == colLines:
			if data, rows, err = bringTemplates(&fb, data, p.zstd); err != nil {
				return err
			}
		case c == colRows:
			data = rows
		}
		if info.cols[c], err = p.w.Append(data); err != nil {
			return err
		}
	}
	segs := slices.Clone(x.segs[b.segs[0]:b.segs[1]])
	for i := range segs {
		segs[i].stream = numbers[segs[i].stream]
	}
	if info.templates = templates; taken {
		info.widths = b.widths
	}
	p.addBlock(info, segs)
	return nil
}

// bringTemplates returns the lines and the rows column of b, whose lines column in the
// templates layout is data, in the skeleton layout, which holds the templates itself.
func bringTemplates(b *fetched, data []byte, z *codec.Zstd) (lines, rows []byte, err error) {
	list := b.part.Data.templatesOf(b.info, &buffer{})
	column, err := b.column(colRows, nil)
	if err != nil {
		return nil, nil, err
	}
	l, err := openRows(column, b.info.rows, len(list), &buffer{})
	if err != nil {
		return nil, nil, err
	}
	sizes, err := l.sizes(b.info.rows)
	if err != nil {
		return nil, nil, err
	}
	lens := make([]int64, len(sizes))
	for i, n := range sizes {
		lens[i] = int64(n)
	}
	return joinTemplates(data, list, l.templates, z), appendRows(nil, lens, nil, nil), nil
}

// joinTemplates does it once all is read.
func joinTemplates(data []byte, list []*template, rows []int64, z *codec.Zstd) []byte {
	r := codec.NewReader(data[1:])
	out := appendSkeletons(nil, r.Count(1<<30), list, z)
	return append(codec.AppendInts(out, rows), r.Rest()...)
}

// rewrite writes the rows of plan that c leaves, stream by stream.
func (s *Store) rewrite(ctx context.Context, pl *plan, c *cutter, p *partWriter) error {
	if len(pl.blocks) == 0 {
		return nil
	}
	sel := store.LogSelector{Range: model.TimeRange{From: minTime, To: maxTime}}
	q := &query{s: s, alive: ctx.Err, sel: sel}
	var err error
	var rows []row
	var packer metaPacker
	last := uint64(0)
	q.out = newEmitter(q, func(r *store.LogRows) bool {
		if r.StreamID != last {
			last = r.StreamID
			if err = p.endStream(); err != nil {
				return false
			}
		}
		rows = rows[:0]
		if !c.rm.simple() && !c.cut(r) {
			return true
		}
		for i := range r.Times {
			rows = append(rows, row{time: r.Times[i], line: r.Lines[i], meta: packRow(&packer, r, i)})
		}
		err = p.addRows(uint32(r.StreamID), rows)
		return err == nil
	})
	sp := pl.slice(sel.Range, store.Forward)
	if serr := q.slice(sp); serr != nil {
		return serr
	}
	if err == nil {
		err = q.out.err
	}
	return err
}

// packRow returns the metadata of row i of r.
func packRow(p *metaPacker, r *store.LogRows, i int) logmeta.Meta {
	for k := range r.Meta {
		p.add(r.Meta[k].Name, r.Meta[k].Values[i])
	}
	return p.take()
}
