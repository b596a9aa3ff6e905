package codec

import (
	"encoding/binary"
	"math"
)

// IntBlock is how many values a block of [IntBlocks] has, the last one excepted.
const IntBlock = blockLen

// IntBlocks reads a column written by [AppendInts] block by block, in any order, so that
// who wants a few values of a column need not decode all. The zero value is empty.
type IntBlocks struct {
	n            int
	base, factor int64
	src          []byte
	at           []uint32 // where each block is in src
}

// Open makes b the column at the start of src, which it shares memory with, and returns
// what follows in src. It checks all blocks, but decodes none. ok is false if the column
// has no blocks that stand for themselves (it is made of runs or differences); then b is
// empty and [DecodeInts] has to read it. n is how many values the column is to have.
func (b *IntBlocks) Open(src []byte, n int) (ok bool, rest []byte, err error) {
	*b = IntBlocks{factor: 1, at: b.at[:0]}
	r := Reader{b: src}
	mode := r.Byte()
	if mode&^intScaled != 0 {
		return false, src, r.err
	}
	if count := r.Count(MaxCount); count != n {
		r.Fail("integer column of %d values, want %d", count, n)
	}
	if mode&intScaled != 0 {
		b.base, b.factor = r.Varint(), int64(r.Uvarint())
	}
	body := r.b
	for i := 0; i < n && r.err == nil; i += blockLen {
		b.at = append(b.at, uint32(len(body)-len(r.b)))
		r.Varint()
		width := uint(r.Byte())
		if width > 64 {
			r.Fail("width of %d bits", width)
		}
		r.Take(packedLen(min(blockLen, n-i), width))
	}
	if r.err != nil {
		return false, src, r.err
	}
	b.n, b.src = n, body
	return true, r.b, nil
}

// Len returns the number of values.
func (b *IntBlocks) Len() int { return b.n }

// head returns the minimum and the width of a block, and what follows them.
func (b *IntBlocks) head(i int) (lo int64, width uint, rest []byte) {
	src := b.src[b.at[i]:]
	lo, n := binary.Varint(src)
	return lo, uint(src[n]), src[n+1:]
}

// Bounds returns a range that holds the values of block i; ok is false if that is not
// known.
func (b *IntBlocks) Bounds(i int) (lo, hi int64, ok bool) {
	lo, width, _ := b.head(i)
	if b.factor != 1 || b.base != 0 || width > 62 || lo > math.MaxInt64-(1<<width-1) {
		return 0, 0, false
	}
	return lo, lo + (1<<width - 1), true
}

// Block decodes block i into out[i*IntBlock:], where out has room for the whole column.
func (b *IntBlocks) Block(i int, out []int64) {
	out = out[i*blockLen : min(b.n, (i+1)*blockLen)]
	lo, width, src := b.head(i)
	unpack(out, src, lo, width)
	if b.factor != 1 || b.base != 0 {
		for j, v := range out {
			out[j] = b.base + v*b.factor
		}
	}
}
