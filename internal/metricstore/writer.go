package metricstore

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// blockSize is the size of a block of chunks before compression: what is read and
// checked at once.
const blockSize = 32 << 10

// partWriter writes one part. Series come in the order of their labels; the chunks of a
// series in any.
type partWriter struct {
	w *part.Writer
	z *codec.Zstd

	table    *index.Builder
	last     model.Labels // of the series being written
	chunks   []chunkMeta
	blocks   []part.Ref
	block    []byte // chunks of the block being filled
	stored   []byte
	sums     summaryWriter
	exs      []refExemplars
	metadata []store.MetricMetadata

	rows           int64
	minT, maxT     int64 // Unix milliseconds
	minGen, maxGen uint32
	seen           uint64 // number of the last deletion
	resolution     int64  // bucket of rows, Unix milliseconds; 0: samples
	enc            codec.FloatEncoder
	buf, sum       []byte
}

// refExemplars is the exemplars of one series of a part.
type refExemplars struct {
	ref uint32
	exs []store.Exemplar
}

func newPartWriter(w *part.Writer, z *codec.Zstd, seen uint64) *partWriter {
	return &partWriter{w: w, z: z, seen: seen, table: index.NewBuilder(), minT: math.MaxInt64, maxT: math.MinInt64, minGen: math.MaxUint32}
}

// series says which series what follows belongs to.
func (w *partWriter) series(ls model.Labels) {
	if w.table.Len() == 0 || !w.last.Equal(ls) {
		w.table.Add(ls)
		w.last = append(w.last[:0], ls...)
	}
}

func (w *partWriter) ref() uint32 { return uint32(w.table.Len() - 1) }

// partLimit is the number of series, of pairs of label name and value, and of chunks from
// which on a part takes no other series: columns can hold no more, apart from some room
// for the labels and chunks of the last one.
const partLimit = codec.MaxCount - 1<<16

// full reports whether the part should take no other series.
func (w *partWriter) full(limit int) bool {
	return max(w.table.Len(), w.table.Pairs(), len(w.chunks)) >= limit
}

// samples writes samples of the series as chunks of generation gen.
func (w *partWriter) samples(ts []int64, vs []float64, gen uint32) error {
	for len(ts) > 0 {
		n := len(ts)
		if n > maxChunk {
			n = min(maxChunk, (n+1)/2)
		}
		w.buf = appendFloatChunk(w.buf[:0], ts[:n], vs[:n], &w.enc)
		m := chunkMeta{minT: ts[0], maxT: ts[n-1], count: uint32(n), gen: gen, kind: chunkFloat}
		w.sum = appendSummary(w.sum[:0], ts[:n], vs[:n])
		if err := w.chunk(m, w.buf, w.sum); err != nil {
			return err
		}
		ts, vs = ts[n:], vs[n:]
	}
	return nil
}

// histograms writes histograms of the series as chunks of generation gen.
func (w *partWriter) histograms(hs []store.HistogramSample, gen uint32) error {
	for len(hs) > 0 {
		n := min(len(hs), maxHistChunk)
		w.buf = appendHistogramChunk(w.buf[:0], hs[:n])
		m := chunkMeta{minT: hs[0].Time, maxT: hs[n-1].Time, count: uint32(n), gen: gen, kind: chunkHistogram}
		if err := w.chunk(m, w.buf, nil); err != nil {
			return err
		}
		hs = hs[n:]
	}
	return nil
}

// chunk writes an encoded chunk of the series and its summary, nil if there is none.
func (w *partWriter) chunk(m chunkMeta, data, summary []byte) error {
	if err := w.sums.add(summary, w); err != nil {
		return err
	}
	m.series, m.block, m.off, m.size = w.ref(), uint32(len(w.blocks)), uint32(len(w.block)), uint32(len(data))
	w.chunks = append(w.chunks, m)
	w.block = append(w.block, data...)
	w.rows += int64(m.count)
	w.minT, w.maxT = min(w.minT, m.minT), max(w.maxT, m.maxT)
	w.minGen, w.maxGen = min(w.minGen, m.gen), max(w.maxGen, m.gen)
	if len(w.block) >= blockSize {
		return w.flushBlock()
	}
	return nil
}

func (w *partWriter) flushBlock() error {
	if len(w.block) == 0 {
		return nil
	}
	w.stored = w.z.Append(w.stored[:0], w.block)
	ref, err := w.w.Append(w.stored)
	if err != nil {
		return err
	}
	w.blocks = append(w.blocks, ref)
	w.block = w.block[:0]
	return nil
}

// addExemplars adds exemplars of the series, in order of time. They are kept until
// finish.
func (w *partWriter) addExemplars(es []store.Exemplar) {
	w.exs = append(w.exs, refExemplars{w.ref(), es})
	w.rows += int64(len(es))
	w.minT, w.maxT = min(w.minT, es[0].Time), max(w.maxT, es[len(es)-1].Time)
}

// finish writes the tables and the index. On an error the file is gone.
func (w *partWriter) finish(day part.Day) (*part.Finished, error) {
	index, err := w.tables()
	if err != nil {
		w.w.Abort()
		return nil, err
	}
	st := part.Stats{MinTime: day.Start(), MaxTime: day.Start(), Rows: w.rows}
	if w.rows > 0 {
		st.MinTime, st.MaxTime = w.minT*nsPerMs, w.maxT*nsPerMs
	}
	return w.w.Finish(index, st)
}

// partVersion is the version of the index block.
const partVersion = 3

// tables writes all blocks that are not chunks and returns the index block: version,
// lowest and highest generation, number of the last deletion, resolution, references of
// series table, chunk table and exemplars (length 0: none), metadata.
func (w *partWriter) tables() ([]byte, error) {
	if n := max(w.table.Len(), w.table.Pairs(), len(w.chunks)); n > codec.MaxCount {
		return nil, fmt.Errorf("%w: a part of %d series with %d different labels and %d chunks; the most is %d of each",
			store.ErrLimit, w.table.Len(), w.table.Pairs(), len(w.chunks), codec.MaxCount)
	}
	if err := w.flushBlock(); err != nil {
		return nil, err
	}
	if err := w.sums.flush(w); err != nil {
		return nil, err
	}
	if len(w.chunks) == 0 {
		w.minGen = 0
	}
	b := []byte{partVersion}
	b = binary.AppendUvarint(b, uint64(w.minGen))
	b = binary.AppendUvarint(b, uint64(w.maxGen))
	b = binary.AppendUvarint(b, w.seen)
	b = binary.AppendUvarint(b, uint64(w.resolution))
	for _, block := range [][]byte{w.table.AppendTable(nil, w.z), w.chunkTable(), w.exemplarBlock()} {
		var ref part.Ref
		if len(block) > 0 {
			var err error
			if ref, err = w.w.Append(block); err != nil {
				return nil, err
			}
		}
		b = appendRef(b, ref)
	}
	return w.z.Append(b, appendMetadata(nil, w.metadata)), nil
}

func appendRef(b []byte, r part.Ref) []byte {
	b = binary.AppendUvarint(b, r.Off)
	return binary.AppendUvarint(b, uint64(r.Len))
}

// chunkTable encodes the metadata of the chunks, in the order in which they are in the
// blocks, as columns.
func (w *partWriter) chunkTable() []byte {
	col := make([]int64, 0, max(len(w.chunks), len(w.blocks), len(w.sums.refs)))
	var b []byte
	ints := func(n int, f func(i int) int64) {
		col = col[:0]
		for i := range n {
			col = append(col, f(i))
		}
		b = codec.AppendInts(b, col)
	}
	cs := w.chunks
	for _, refs := range [][]part.Ref{w.blocks, w.sums.refs} {
		ints(len(refs), func(i int) int64 { return int64(refs[i].Off) })
		ints(len(refs), func(i int) int64 { return int64(refs[i].Len) })
	}
	ints(len(cs), func(i int) int64 { return int64(cs[i].series) })
	ints(len(cs), func(i int) int64 { return int64(cs[i].block) })
	ints(len(cs), func(i int) int64 { return int64(cs[i].size) })
	ints(len(cs), func(i int) int64 { return cs[i].minT })
	ints(len(cs), func(i int) int64 { return cs[i].maxT - cs[i].minT })
	ints(len(cs), func(i int) int64 { return int64(cs[i].count) })
	ints(len(cs), func(i int) int64 { return int64(cs[i].gen) })
	ints(len(cs), func(i int) int64 { return int64(cs[i].kind) })
	return w.z.Append(nil, b)
}

// exemplarBlock encodes the exemplars as columns: refs, number per ref, times, values,
// number of labels each, names, values.
func (w *partWriter) exemplarBlock() []byte {
	if len(w.exs) == 0 {
		return nil
	}
	var refs, counts, times, labels []int64
	var values []float64
	var names, texts []string
	for _, x := range w.exs {
		refs, counts = append(refs, int64(x.ref)), append(counts, int64(len(x.exs)))
		for _, e := range x.exs {
			times, values, labels = append(times, e.Time), append(values, e.Value), append(labels, int64(len(e.Labels)))
			for _, l := range e.Labels {
				names, texts = append(names, l.Name), append(texts, l.Value)
			}
		}
	}
	var b []byte
	b = codec.AppendInts(b, refs)
	b = codec.AppendInts(b, counts)
	b = codec.AppendInts(b, times)
	b = w.enc.Append(b, values)
	b = codec.AppendInts(b, labels)
	b = codec.AppendStrings(b, names, w.z)
	return codec.AppendStrings(b, texts, w.z)
}
