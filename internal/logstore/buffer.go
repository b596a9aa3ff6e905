package logstore

import "sync"

// buffer is reusable memory.
type buffer struct {
	b    []byte
	ints []int64
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
	if cap(b.b) <= maxPooled && cap(b.ints) <= maxPooled/8 {
		p.p.Put(b)
	}
}
