package tracestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/FastFilter/xorfilter"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// indexVersion is the first byte of a part's index. Up to version 2 a part is one run.
// Version 1 does not tell how often the part was thinned: never.
const indexVersion = 3

// partIndex is what is kept in memory of a part: one entry a group, run after run, and in a
// run in order of trace id.
type partIndex struct {
	groups  []groupMeta
	runs    []run
	attrs   []store.Attr // that occur in the part
	thinned int          // steps of thinning that have been applied

	mu       sync.Mutex
	damaged  map[int]bool                         // guarded by mu; groups reported
	entities map[store.AttrScope]map[string]int64 // guarded by mu; spans of each resource and scope, once known
}

// groupMeta is where a group is and what it spans.
type groupMeta struct {
	rows        int
	first, last model.TraceID
	minStart    int64
	maxEnd      int64
	header      part.Ref
	filter      part.Ref // Len 0 if there is none
}

// openPart is a part of spans.
type openPart = part.Part[*partIndex]

// partWriter writes groups to a part.
type partWriter struct {
	w       *part.Writer
	e       encoder
	index   []byte
	n       int
	thinned int
	attrs   map[store.Attr]struct{}
	st      part.Stats
	res     resources
	buf     []byte
}

func newPartWriter(w *part.Writer, z *codec.Zstd) *partWriter {
	return &partWriter{w: w, e: encoder{put: w.Append, z: z}, attrs: map[store.Attr]struct{}{}, res: newResources()}
}

func (p *partWriter) add(g *group) error {
	header, err := p.e.group(g)
	if err != nil {
		return err
	}
	href, err := p.w.Append(header)
	if err != nil {
		return err
	}
	var fref part.Ref
	if p.buf = appendFilter(p.buf[:0], g); len(p.buf) > 0 {
		if fref, err = p.w.Append(p.buf); err != nil {
			return err
		}
	}
	lo, hi := g.times.lo, g.times.hi
	if p.n == 0 {
		p.st.MinTime, p.st.MaxTime = lo, hi
	}
	p.st.MinTime, p.st.MaxTime = min(p.st.MinTime, lo), max(p.st.MaxTime, hi)
	p.st.Rows += int64(g.len())
	p.n++
	for a := range g.attrs(p.res) {
		p.attrs[a] = struct{}{}
	}
	first, last := g.first(), g.last()
	b := binary.AppendUvarint(p.index, uint64(g.len()))
	b = append(append(b, first[:]...), last[:]...)
	b = binary.AppendVarint(b, lo)
	b = binary.AppendVarint(b, hi)
	for _, ref := range []part.Ref{href, fref} {
		b = binary.AppendUvarint(b, ref.Off)
		b = binary.AppendUvarint(b, uint64(ref.Len))
	}
	p.index = b
	return nil
}

func (p *partWriter) finish() (*part.Finished, error) {
	b := []byte{indexVersion}
	b = binary.AppendUvarint(b, uint64(p.n))
	b = append(b, p.index...)
	b = binary.AppendUvarint(b, uint64(len(p.attrs)))
	for _, a := range slices.SortedFunc(maps.Keys(p.attrs), compareAttrs) {
		b = codec.AppendBytes(append(b, byte(a.Scope)), a.Name)
	}
	b = binary.AppendUvarint(b, uint64(p.thinned))
	return p.w.Finish(b, p.st)
}

// loadIndex reads the index of a part.
func loadIndex(f *part.File) (*partIndex, error) {
	b, err := f.Index()
	if err != nil {
		return nil, err
	}
	idx, err := parseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("index of part %s: %w", f.Name(), err)
	}
	return idx, nil
}

func parseIndex(b []byte) (*partIndex, error) {
	r := codec.NewReader(b)
	version := r.Byte()
	if version < 1 || version > indexVersion {
		r.Fail("index of version %d, this program reads 1 to %d", version, indexVersion)
	}
	idx := &partIndex{damaged: map[int]bool{}}
	n := r.Count(r.Len())
	for range n {
		m := groupMeta{rows: r.Count(codec.MaxCount)}
		if b := r.Take(32); b != nil {
			m.first, m.last = model.TraceID(b[:16]), model.TraceID(b[16:])
		}
		m.minStart, m.maxEnd = r.Varint(), r.Varint()
		for _, ref := range []*part.Ref{&m.header, &m.filter} {
			ref.Off, ref.Len = r.Uvarint(), uint32(r.Count(1<<30))
		}
		if r.Err() != nil {
			break
		}
		idx.groups = append(idx.groups, m)
	}
	for range r.Count(r.Len()) {
		idx.attrs = append(idx.attrs, store.Attr{Scope: store.AttrScope(r.Byte()), Name: string(r.Bytes())})
	}
	if version > 1 {
		idx.thinned = r.Count(1 << 20)
	}
	idx.runs = runsOf(idx.groups)
	return idx, r.Err()
}

// openPartGroup opens group i of p. Its columns lie in mem.
func openPartGroup(p *openPart, i int, z *codec.Zstd, mem *scratch) (*group, error) {
	header, err := p.Read(p.Data.groups[i].header, mem.section)
	if err != nil {
		return nil, err
	}
	g, err := openGroup(header, p.Read, z, mem)
	if err != nil {
		return nil, fmt.Errorf("group %d of part %s: %w", i, p.Name(), err)
	}
	if g.len() == 0 || g.len() != p.Data.groups[i].rows {
		return nil, fmt.Errorf("group %d of part %s: %w: %d spans, the index says %d", i, p.Name(), store.ErrCorrupt, g.len(), p.Data.groups[i].rows)
	}
	g.src.bytes = int64(len(header))
	return g, nil
}

// openPartFilter reads the filter of group i, nil if it has none.
func openPartFilter(p *openPart, i int) (*xorfilter.BinaryFuse8, error) {
	ref := p.Data.groups[i].filter
	if ref.Len == 0 {
		return nil, nil
	}
	b, err := p.Read(ref, nil)
	if err != nil {
		return nil, err
	}
	return parseFilter(b), nil
}

// reportDamage reports that group i cannot be read, once.
func reportDamage(p *openPart, i int, err error) {
	p.Data.mu.Lock()
	known := p.Data.damaged[i]
	p.Data.damaged[i] = true
	p.Data.mu.Unlock()
	if !known {
		p.Damaged(err)
	}
}

// runStream yields the groups of a run of p, complete. It skips and reports damaged ones.
func runStream(p *openPart, r run, z *codec.Zstd) stream {
	i, mem := r.from, &scratch{} // the groups own their columns
	return func() (*group, error) {
		for ; i < r.to; i++ {
			g, err := openPartGroup(p, i, z, mem)
			if err == nil {
				err = g.needAll()
			}
			if errors.Is(err, store.ErrCorrupt) {
				reportDamage(p, i, err)
				continue
			}
			if err != nil {
				return nil, err
			}
			g.complete()
			mem.raw.reset() // of what is not part of a complete group
			mem.bools.reset()
			i++
			return g, nil
		}
		return nil, nil
	}
}

// mergeParts is the merge of the kit: in, parts of one tenant's day, becomes one part. It
// applies the steps of thinning that are due to all of them; the part is then one run, since
// thinning goes through the traces of a day in order.
func (s *Store) mergeParts(ctx context.Context, in []*openPart, w *part.Writer) (*part.Finished, error) {
	out := newPartWriter(w, s.zMerge)
	info := in[0].Info
	done, due := math.MaxInt, s.stepsDue(info.Day)
	var stretches []stretch
	var streams []stream
	for _, p := range in {
		for _, r := range p.Data.runs {
			stretches = append(stretches, r.stretch)
			streams = append(streams, runStream(p, r, s.z))
		}
		done = min(done, p.Data.thinned)
	}
	out.thinned = max(done, due)
	runs := cluster(stretches, s.minRun)
	var keep func(model.TraceID) (bool, error)
	if due > done {
		t, err := s.newThinning(ctx, info.Tenant, info.Day, done, due)
		if err != nil {
			return nil, err
		}
		defer t.stop()
		keep, runs = t.keep, [][]int{slices.Concat(runs...)}
		slices.Sort(runs[0])
	}
	for _, r := range runs {
		m := &merger{size: groupRows, pool: &s.builders, emit: out.add, stop: ctx.Err, keep: keep}
		for _, i := range r {
			m.in = append(m.in, &mergeInput{next: streams[i]})
			streams[i] = nil // its buffers go with the run
		}
		if err := m.run(); err != nil {
			return nil, err
		}
	}
	if out.n == 0 {
		return nil, nil
	}
	return out.finish()
}
