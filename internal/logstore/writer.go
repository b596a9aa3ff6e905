package logstore

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// partWriter writes the rows of one part: first [partWriter.copyBlock] for blocks that
// are taken over, and streams in ascending order with their rows.
type partWriter struct {
	w    *part.Writer
	zstd *codec.Zstd

	streams []writtenStream
	blocks  []blockInfo
	segs    []segment
	names   map[string]uint32
	fields  []string // names, in order of first use
	values  []sketch // of fields

	templates *templateTable

	*builders
}

// builders is what a partWriter builds blocks with. The next one takes them over.
type builders struct {
	block  rowBlock
	meta   metaBuilder
	lines  skeletonBuilder
	filter filterBuilder
	buf    []byte
}

// writtenStream is a stream of the part being written.
type writtenStream struct {
	labels model.Labels
	fields []uint32 // sorted
}

// newPartWriter returns a partWriter that builds blocks with b, which belongs to it until
// its end.
func newPartWriter(w *part.Writer, b *builders, z *codec.Zstd) *partWriter {
	b.block.reset()
	return &partWriter{w: w, builders: b, zstd: z, names: map[string]uint32{}, templates: newTemplateTable()}
}

// expect makes room for n streams.
func (p *partWriter) expect(n int) {
	p.streams, p.segs = slices.Grow(p.streams, n), slices.Grow(p.segs, n)
}

// addStream adds a stream and returns its index. Streams are added in order of labels.
func (p *partWriter) addStream(labels model.Labels) uint32 {
	p.streams = append(p.streams, writtenStream{labels: labels})
	return uint32(len(p.streams) - 1)
}

// addRows adds rows of stream, sorted by time. Streams come in order.
func (p *partWriter) addRows(stream uint32, rows []row) error {
	for i := range rows {
		b := &p.block
		if n := len(b.segs); n == 0 || b.segs[n-1].stream != stream {
			b.segs = append(b.segs, segment{stream: stream, from: uint32(len(b.times)), min: maxTime, max: minTime})
		}
		b.add(&rows[i])
		if b.full() {
			if err := p.endBlock(); err != nil {
				return err
			}
		}
	}
	return nil
}

// endStream says that the next rows are of another stream.
func (p *partWriter) endStream() error {
	if p.block.size >= minBlockText {
		return p.endBlock()
	}
	return nil
}

// endBlock writes the rows collected so far as a block.
func (p *partWriter) endBlock() error {
	b := &p.block
	if len(b.times) == 0 {
		return nil
	}
	p.meta.build(b.metas)
	var info blockInfo
	for c := range numCols {
		p.buf = p.buf[:0]
		switch c {
		case colTimes:
			p.buf = codec.AppendInts(p.buf, b.times)
		case colLines:
			p.buf, info.templates = b.appendLines(p.buf, p.templates, &p.lines, &p.filter, p.zstd)
			info.widths = p.lines.widthsOf(info.templates)
		case colMeta:
			p.buf = p.meta.encode(p.buf, p.zstd)
		case colFilter:
			p.buf = p.filter.build(p.buf, &p.meta)
		case colRows:
			p.buf = p.lines.appendRows(p.buf, b.lens, info.templates)
		}
		var err error
		if info.cols[c], err = p.w.Append(p.buf); err != nil {
			return err
		}
	}
	p.noteFields()
	p.addBlock(info, b.segs)
	b.reset()
	return nil
}

// addBlock enters a written block and its segments.
func (p *partWriter) addBlock(info blockInfo, segs []segment) {
	info.segs = [2]uint32{uint32(len(p.segs)), uint32(len(p.segs) + len(segs))}
	for _, s := range segs {
		s.block, s.from = uint32(len(p.blocks)), uint32(info.rows)
		info.add(&s)
		p.segs = append(p.segs, s)
	}
	p.blocks = append(p.blocks, info)
}

// noteFields enters the metadata fields of the block's streams, their values and sizes,
// once the block is encoded.
func (p *partWriter) noteFields() {
	m := &p.meta
	for i := range p.block.segs {
		s := &p.block.segs[i]
		if m.sizes != nil {
			for _, n := range m.sizes[s.from : s.from+s.rows] {
				s.bytes += int64(n)
			}
		}
	}
	for col, name := range m.names {
		id := p.field(name)
		values := m.values[col]
		p.values[id].addAll(m.keysOf(col))
		for i := range p.block.segs {
			s := &p.block.segs[i]
			if slices.ContainsFunc(values[s.from:s.from+s.rows], func(v string) bool { return v != "" }) {
				p.streams[s.stream].addField(id)
			}
		}
	}
	if m.rest == nil {
		return
	}
	for i := range p.block.segs {
		s := &p.block.segs[i]
		for _, rest := range m.rest[s.from : s.from+s.rows] {
			for rest != "" {
				var name, v string
				name, v, rest = nextMeta(rest)
				id := p.field(name)
				p.values[id].add(fieldKey(name, v))
				p.streams[s.stream].addField(id)
			}
		}
	}
}

func (p *partWriter) field(name string) uint32 {
	id, ok := p.names[name]
	if !ok {
		name = strings.Clone(name)
		id = uint32(len(p.fields))
		p.names[name] = id
		p.fields = append(p.fields, name)
		p.values = append(p.values, nil)
	}
	return id
}

func (s *writtenStream) addField(id uint32) {
	if i, found := slices.BinarySearch(s.fields, id); !found {
		s.fields = slices.Insert(s.fields, i, id)
	}
}

// finish writes what is left and the index. A part without rows is nil.
func (p *partWriter) finish() (*part.Finished, error) {
	if err := p.endBlock(); err != nil {
		p.w.Abort()
		return nil, err
	}
	if len(p.blocks) == 0 {
		return nil, nil
	}
	p.dropEmptyStreams()
	x := p.index()
	st := part.Stats{}
	for i := range p.blocks {
		b := &p.blocks[i]
		if i == 0 {
			st.MinTime, st.MaxTime = b.min, b.max
		}
		st.MinTime, st.MaxTime = min(st.MinTime, b.min), max(st.MaxTime, b.max)
		st.Rows += int64(b.rows)
	}
	return p.w.Finish(x.encode(p.labels(), p.zstd), st)
}

func (p *partWriter) labels() []model.Labels {
	out := make([]model.Labels, len(p.streams))
	for i := range p.streams {
		out[i] = p.streams[i].labels
	}
	return out
}

func (p *partWriter) index() *partIndex {
	x := &partIndex{names: p.fields, sketches: p.values, templates: p.templates, blocks: p.blocks, segs: p.segs}
	sets := map[string]uint32{}
	var key []byte
	for i := range p.streams {
		s := &p.streams[i]
		key = key[:0]
		for _, f := range s.fields {
			key = binary.LittleEndian.AppendUint32(key, f)
		}
		id, ok := sets[string(key)]
		if !ok {
			id = uint32(len(x.fields))
			sets[string(key)] = id
			x.fields = append(x.fields, s.fields)
		}
		x.fieldOf = append(x.fieldOf, id)
	}
	return x
}
