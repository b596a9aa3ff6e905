package logstore

import (
	"bytes"
	"fmt"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A block is cut when its text reaches blockText, or at the end of a stream when it has
// reached minBlockText; a merge copies blocks of at least minBlockText as they are.
const (
	blockText    = 1 << 20
	minBlockText = 256 << 10
	maxBlockRows = 1 << 17
)

// rowBlock collects the rows of a block.
type rowBlock struct {
	times []int64
	text  []byte // lines, each followed by a newline
	lens  []int64
	multi bool // a line holds a newline
	metas []string
	segs  []segment
	size  int // bytes of lines and encoded metadata
}

func (b *rowBlock) reset() {
	*b = rowBlock{times: b.times[:0], text: b.text[:0], lens: b.lens[:0], metas: b.metas[:0]}
}

func (b *rowBlock) full() bool { return b.size >= blockText || len(b.times) >= maxBlockRows }

// add appends r, whose stream is the one of the last segment.
func (b *rowBlock) add(r *row) {
	b.times = append(b.times, r.time)
	b.multi = b.multi || len(r.line) > 0 && bytes.IndexByte(bytesOf(r.line), '\n') >= 0
	b.text = append(b.text, r.line...)
	b.text = append(b.text, '\n')
	b.lens = append(b.lens, int64(len(r.line)))
	b.metas = append(b.metas, r.meta)
	b.size += len(r.line) + len(r.meta)
	s := &b.segs[len(b.segs)-1]
	s.rows++
	s.bytes += int64(len(r.line))
	s.min, s.max = min(s.min, r.time), max(s.max, r.time)
}

// The layouts of the lines column, its first byte. Both hold the text with a newline
// after each line; if lines hold newlines themselves their lengths come first.
const (
	linesPlain   = 0
	linesLengths = 1
)

// appendLines appends the lines column of b.
func (b *rowBlock) appendLines(dst []byte, z *codec.Zstd) []byte {
	if b.multi {
		dst = append(dst, linesLengths)
		dst = codec.AppendInts(dst, b.lens)
	} else {
		dst = append(dst, linesPlain)
	}
	return z.Append(dst, b.text)
}

// decodeLines reads a lines column of n rows. It returns the text, which may share memory
// with data or buf, where each line ends in it, exclusive of its newline, and buf, which
// may have grown.
func decodeLines(data []byte, n int, z *codec.Zstd, buf []byte) (txt string, ends []uint32, used []byte, err error) {
	r := codec.NewReader(data)
	mode := r.Byte()
	var lens []int64
	switch mode {
	case linesPlain:
	case linesLengths:
		lens = r.Ints(nil)
	default:
		r.Fail("lines column of unknown layout %d", mode)
	}
	if err := r.Err(); err != nil {
		return "", nil, buf, err
	}
	all, used, _, err := z.Decode(buf[:0], r.Rest())
	if err != nil {
		return "", nil, buf, fmt.Errorf("lines column: %w", err)
	}
	ends = make([]uint32, 0, n)
	if mode == linesPlain {
		ends = splitLines(all, ends)
	} else {
		at := int64(0)
		for _, l := range lens {
			if l < 0 || at+l >= int64(len(all)) {
				return "", nil, used, fmt.Errorf("lines column: %w: line of %d bytes", store.ErrCorrupt, l)
			}
			ends = append(ends, uint32(at+l))
			at += l + 1
		}
	}
	if len(ends) != n || n > 0 && int(ends[n-1])+1 != len(all) {
		return "", nil, used, fmt.Errorf("lines column: %w: %d lines, want %d", store.ErrCorrupt, len(ends), n)
	}
	return text(all), ends, used, nil
}

// splitLines appends the position of each newline in all.
func splitLines(all []byte, ends []uint32) []uint32 {
	for at := 0; at < len(all); {
		i := bytes.IndexByte(all[at:], '\n')
		if i < 0 {
			break
		}
		ends = append(ends, uint32(at+i))
		at += i + 1
	}
	return ends
}
