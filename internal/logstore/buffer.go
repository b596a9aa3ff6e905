package logstore

import (
	"sync"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// buffer is reusable memory.
type buffer struct {
	b      []byte
	ints   []int64
	picker codec.Picker

	// What is known of the columns of lines, see [openRows], [skeletons.open], [openShapes].
	dir              directory
	counts, begins   []int
	byPlace, columns []int32
	columnData       [][]byte
	list             []*template
	judgements       []*judgement
	plan             varPlan
	used             []int
	moves            [][]int32
	vars             []varReader
	shapes           []*rowShape
	live             []int32
}

// bufferPool hands out buffers. The zero value is ready to use.
type bufferPool struct{ p sync.Pool }

// maxPooled bounds the buffers that are kept.
const maxPooled = 8 << 20

func (p *bufferPool) get() *buffer {
	if b, ok := p.p.Get().(*buffer); ok {
		return b
	}
	return &buffer{}
}

func (p *bufferPool) put(b *buffer) {
	clear(b.vars) // they point into what was read
	clear(b.columnData)
	b.plan.list = nil
	clear(b.list)
	clear(b.judgements)
	clear(b.shapes)
	if cap(b.b) <= maxPooled && cap(b.ints) <= maxPooled/8 {
		p.p.Put(b)
	}
}

// zeroed returns n zeros, in the memory of s if it is large enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	s = s[:n]
	clear(s)
	return s
}
