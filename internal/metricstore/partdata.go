package metricstore

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/store"
)

// partData is what is known of an open part. The tables are read when they are needed
// and dropped when they were not for a while.
type partData struct {
	minGen, maxGen uint32
	resolution     int64  // of its floats, Unix milliseconds; 0: as they were written
	seen           uint64 // number of the last deletion whose data is not in the part
	table, chunks  part.Ref
	exemplars      part.Ref // length 0: none
	version        byte

	unhurt atomic.Uint64 // number of a deletion up to which none touches the part
	used   atomic.Int64  // Unix seconds of the last use of tables
	tables atomic.Pointer[tables]

	mu  sync.Mutex
	bad map[uint64]bool // guarded by mu; blocks, by offset, that were reported as damaged
}

// tables is the loaded index of a part.
type tables struct {
	series *index.Table
	chunks []chunkMeta // by series, then time
	first  []uint32    // series i has chunks[first[i]:first[i+1]]
	blocks []part.Ref

	summaries []part.Ref // blocks of summaryRun summaries each, absent in old versions

	histograms bool // some chunk holds histograms
}

// tableIdle is how long unused tables stay in memory.
const tableIdle = 10 * time.Minute

// loadPart reads the index block.
func (s *Store) loadPart(f *part.File) (*partData, error) {
	d, _, err := s.readIndex(f)
	return d, err
}

// readIndex reads the index block with the metadata, which need not stay in memory.
func (s *Store) readIndex(f *part.File) (*partData, []store.MetricMetadata, error) {
	b, err := f.Index()
	if err != nil {
		return nil, nil, err
	}
	r := codec.NewReader(b)
	version := r.Byte()
	if version == 0 || version > partVersion {
		return nil, nil, fmt.Errorf("part %s: %w: index version %d, this program reads up to %d", f.Name(), store.ErrCorrupt, version, partVersion)
	}
	d := &partData{version: version, minGen: uint32(r.Uvarint()), maxGen: uint32(r.Uvarint())}
	if version >= 2 {
		d.seen, d.resolution = r.Uvarint(), int64(r.Uvarint())
	}
	d.table, d.chunks, d.exemplars = readRef(r), readRef(r), readRef(r)
	if r.Err() != nil {
		return nil, nil, fmt.Errorf("index of part %s: %w", f.Name(), r.Err())
	}
	meta, _, _, err := s.z.Decode(nil, r.Rest())
	if err != nil {
		return nil, nil, fmt.Errorf("index of part %s: %w", f.Name(), err)
	}
	r = codec.NewReader(meta)
	mds := readMetadata(r)
	if r.Err() != nil {
		return nil, nil, fmt.Errorf("metadata of part %s: %w", f.Name(), r.Err())
	}
	return d, mds, nil
}

func readRef(r *codec.Reader) part.Ref {
	return part.Ref{Off: r.Uvarint(), Len: uint32(r.Count(1 << 30))}
}

type openPart = part.Part[*partData]

// load returns the tables of p.
func (s *Store) load(p *openPart) (*tables, error) {
	d := p.Data
	d.used.Store(s.opts.Now().Unix())
	if t := d.tables.Load(); t != nil {
		return t, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tables.Load(); t != nil {
		return t, nil
	}
	t, err := s.readTables(p)
	if err != nil {
		return nil, err
	}
	d.tables.Store(t)
	return t, nil
}

func (s *Store) readTables(p *openPart) (*tables, error) {
	t := &tables{}
	b, err := p.Read(p.Data.table, nil)
	if err != nil {
		return nil, err
	}
	if t.series, _, err = index.DecodeTable(b, s.z); err != nil {
		return nil, fmt.Errorf("part %s: %w", p.Name(), err)
	}
	if b, err = p.Read(p.Data.chunks, nil); err != nil {
		return nil, err
	}
	if b, _, _, err = s.z.Decode(nil, b); err == nil {
		err = t.decodeChunks(b, p.Data.version)
	}
	if err != nil {
		return nil, fmt.Errorf("chunk table of part %s: %w", p.Name(), err)
	}
	return t, nil
}

func readRefs(r *codec.Reader) []part.Ref {
	offs, lens := r.Ints(nil), r.Ints(nil)
	if len(offs) != len(lens) {
		r.Fail("%d block offsets, %d lengths", len(offs), len(lens))
		return nil
	}
	out := make([]part.Ref, len(offs))
	for i := range offs {
		if offs[i] < 0 || lens[i] < 0 || lens[i] > 1<<30 {
			r.Fail("block reference")
			return nil
		}
		out[i] = part.Ref{Off: uint64(offs[i]), Len: uint32(lens[i])}
	}
	return out
}

func (t *tables) decodeChunks(b []byte, version byte) error {
	r := codec.NewReader(b)
	t.blocks = readRefs(r)
	if version >= 3 {
		t.summaries = readRefs(r)
	}
	var cols [8][]int64
	for i := range cols {
		cols[i] = r.Ints(nil)
		if len(cols[i]) != len(cols[0]) {
			r.Fail("columns of different lengths")
		}
	}
	if n := len(t.summaries); r.Err() == nil && n > 0 && n != (len(cols[0])+summaryRun-1)/summaryRun {
		r.Fail("%d blocks of summaries of %d chunks", n, len(cols[0]))
	}
	if r.Err() != nil {
		return r.Err()
	}
	n := t.series.Len()
	t.chunks = make([]chunkMeta, len(cols[0]))
	t.first = make([]uint32, n+1)
	off, last := int64(0), int64(-1)
	for i := range t.chunks {
		ref, block, size := cols[0][i], cols[1][i], cols[2][i]
		if uint64(ref) >= uint64(n) || uint64(block) >= uint64(len(t.blocks)) || size < 0 || size > 1<<30 {
			return fmt.Errorf("%w: chunk %d", store.ErrCorrupt, i)
		}
		if block != last {
			off, last = 0, block
		}
		t.chunks[i] = chunkMeta{
			series: uint32(ref), block: uint32(block), off: uint32(off), size: uint32(size),
			minT: cols[3][i], maxT: cols[3][i] + cols[4][i], count: uint32(cols[5][i]), gen: uint32(cols[6][i]), stat: uint32(i), kind: uint8(cols[7][i]),
		}
		t.histograms = t.histograms || t.chunks[i].kind == chunkHistogram
		off += size
		if off > 1<<31 {
			return fmt.Errorf("%w: chunk %d", store.ErrCorrupt, i)
		}
		t.first[ref+1]++
	}
	for i := range n {
		t.first[i+1] += t.first[i]
	}
	slices.SortStableFunc(t.chunks, func(a, b chunkMeta) int {
		return cmp.Or(cmp.Compare(a.series, b.series), cmp.Compare(a.minT, b.minT))
	})
	return nil
}

// of returns the chunks of a series.
func (t *tables) of(ref uint32) []chunkMeta { return t.chunks[t.first[ref]:t.first[ref+1]] }

// withSamples returns those of the selected series that have more than exemplars.
func (p *selectedPart) withSamples() []uint32 {
	out := make([]uint32, 0, len(p.refs))
	for _, ref := range p.refs {
		if slices.ContainsFunc(p.t.of(ref), func(c chunkMeta) bool { return p.has(&c, wholly()) }) {
			out = append(out, ref)
		}
	}
	return out
}

// damaged reports a block of p once. key is its offset.
func (d *partData) damaged(p *openPart, key uint64, err error) {
	d.mu.Lock()
	known := d.bad[key]
	if d.bad == nil {
		d.bad = map[uint64]bool{}
	}
	d.bad[key] = true
	d.mu.Unlock()
	if !known {
		p.Damaged(err)
	}
}

// dropTables frees the tables that were not used for a while.
func (s *Store) dropTables(now time.Time) {
	for _, name := range s.set.Tenants() {
		v := s.set.View(name, always())
		for _, p := range v.Parts {
			if now.Unix()-p.Data.used.Load() > int64(tableIdle/time.Second) {
				p.Data.tables.Store(nil)
			}
		}
		v.Close()
	}
}

// readBlock returns the chunks of block i of p.
func (s *Store) readBlock(p *openPart, t *tables, i uint32) ([]byte, error) {
	return s.readPacked(p, t.blocks[i])
}

// readPacked returns the content of a block of p that was packed on its own.
func (s *Store) readPacked(p *openPart, ref part.Ref) ([]byte, error) {
	buf, ok := s.packed.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	b, err := p.Read(ref, *buf)
	if err != nil {
		return nil, err
	}
	data, unpacked, _, err := s.z.Decode(nil, b)
	if unpacked != nil { // else data is b itself
		*buf = b
		s.packed.Put(buf)
	}
	if err != nil {
		return nil, fmt.Errorf("block at %d of part %s: %w", ref.Off, p.Name(), err)
	}
	return data, nil
}

// cut returns the bytes of chunk c in its block.
func (c *chunkMeta) cut(block []byte) ([]byte, error) {
	if uint64(c.off)+uint64(c.size) > uint64(len(block)) {
		return nil, fmt.Errorf("%w: chunk at %d+%d of a block of %d bytes", store.ErrCorrupt, c.off, c.size, len(block))
	}
	return block[c.off : c.off+c.size], nil
}

// readExemplars returns the exemplars of the part by series.
func (s *Store) readExemplars(p *openPart, t *tables) ([]refExemplars, error) {
	if p.Data.exemplars.Len == 0 {
		return nil, nil
	}
	b, err := p.Read(p.Data.exemplars, nil)
	if err != nil {
		return nil, err
	}
	out, err := decodeExemplars(b, t.series.Len(), s.z)
	if err != nil {
		return nil, fmt.Errorf("exemplars of part %s: %w", p.Name(), err)
	}
	return out, nil
}

func decodeExemplars(b []byte, series int, z *codec.Zstd) ([]refExemplars, error) {
	r := codec.NewReader(b)
	refs, counts, times := r.Ints(nil), r.Ints(nil), r.Ints(nil)
	if r.Err() != nil {
		return nil, r.Err()
	}
	values, b, err := codec.DecodeFloats(nil, r.Rest())
	if err != nil {
		return nil, err
	}
	labels, b, err := codec.DecodeInts(nil, b)
	if err != nil {
		return nil, err
	}
	names, _, b, err := codec.DecodeStrings(nil, nil, b, z)
	if err != nil {
		return nil, err
	}
	texts, _, _, err := codec.DecodeStrings(nil, nil, b, z)
	if err != nil {
		return nil, err
	}
	if len(refs) != len(counts) || len(times) != len(values) || len(times) != len(labels) || len(names) != len(texts) {
		return nil, fmt.Errorf("%w: columns of different lengths", store.ErrCorrupt)
	}
	out := make([]refExemplars, len(refs))
	for i, ref := range refs {
		n := counts[i]
		if uint64(ref) >= uint64(series) || n < 0 || n > int64(len(times)) {
			return nil, fmt.Errorf("%w: series %d with %d exemplars", store.ErrCorrupt, ref, n)
		}
		out[i].ref = uint32(ref)
		for j := range n {
			k := labels[j]
			if k < 0 || k > int64(len(names)) {
				return nil, fmt.Errorf("%w: exemplar with %d labels", store.ErrCorrupt, k)
			}
			e := store.Exemplar{Time: times[j], Value: values[j]}
			for l := range k {
				e.Labels = append(e.Labels, label(names[l], texts[l]))
			}
			names, texts = names[k:], texts[k:]
			out[i].exs = append(out[i].exs, e)
		}
		times, values, labels = times[n:], values[n:], labels[n:]
	}
	return out, nil
}
