package tracestore

import (
	"sync"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/pattern"
	"github.com/pharos-o11y/pharos/internal/model"
)

// scratch is the memory into which one opened group is decoded, used again for the next
// one: columns of a group of a part are some megabytes that live for one query. Only
// what nobody can hold after the group is closed lies in it; the bytes of strings never
// do, since rows and spans that were handed out share them.
type scratch struct {
	section []byte // bytes of the section that is being decoded
	block   []byte // its decompressed block
	nums    []int64
	text    []byte
	ends    []int
	floats  []float64
	codec   codec.FloatDecoder

	split pattern.Splitter

	ints   slab[int64]
	codes  slab[uint32]
	shapes slab[int32]
	dicts  slab[string]
	ids    slab[model.SpanID]
	bools  slab[bool]
	raw    slab[byte]
}

// slab hands out slices of one buffer. When the buffer is too small it allocates, and
// the next use of the slab has a buffer that is big enough.
type slab[T any] struct {
	buf  []T
	used int
}

// take returns an empty slice with room for n. Its memory holds old values.
func (s *slab[T]) take(n int) []T {
	from := s.used
	s.used += n
	if s.used > len(s.buf) {
		return make([]T, 0, n)
	}
	return s.buf[from:from:s.used]
}

func (s *slab[T]) reset() {
	if s.used > len(s.buf) {
		s.buf = make([]T, s.used)
	}
	s.used = 0
}

// maxScratch is the most numbers that a scratch keeps for the next group: four times
// what a group of groupRows spans with 60 columns has.
const maxScratch = 2 << 20

// scratches is a pool of them. The zero value is ready to use.
type scratches struct{ pool sync.Pool }

func (p *scratches) get() *scratch {
	if s, ok := p.pool.Get().(*scratch); ok {
		return s
	}
	return &scratch{}
}

// put takes back the memory of g, which nobody may use any more.
func (p *scratches) put(g *group) {
	if g == nil || g.src == nil || g.src.mem == nil {
		return
	}
	s := g.src.mem
	g.src.mem = nil
	if max(s.ints.used, s.codes.used, s.dicts.used, s.raw.used/8) > maxScratch {
		return
	}
	clear(s.dicts.buf[:min(s.dicts.used, len(s.dicts.buf))]) // let the texts go
	s.ints.reset()
	s.codes.reset()
	s.shapes.reset()
	s.dicts.reset()
	s.ids.reset()
	s.bools.reset()
	s.raw.reset()
	p.pool.Put(s)
}
