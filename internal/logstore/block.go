package logstore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// A block is cut when its text reaches blockText, or at the end of a stream when it has
// reached minBlockText; a merge copies blocks of at least minBlockText as they are.
const (
	blockText    = 1 << 20
	minBlockText = 512 << 10
	maxBlockRows = 1 << 17
)

// rowBlock collects the rows of a block.
type rowBlock struct {
	times []int64
	text  []byte // lines, each followed by a newline
	lens  []int64
	multi bool // a line holds a newline
	metas []logmeta.Meta
	segs  []segment
	size  int // bytes of lines and of what metadata does not share
}

func (b *rowBlock) reset() {
	*b = rowBlock{times: b.times[:0], text: b.text[:0], lens: b.lens[:0], metas: b.metas[:0], segs: b.segs[:0]}
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
	b.size += len(r.line) + len(r.meta.Values)
	s := &b.segs[len(b.segs)-1]
	s.rows++
	s.bytes += int64(len(r.line))
	s.min, s.max = min(s.min, r.time), max(s.max, r.time)
}

// The layouts of the lines column, its first byte. The first two hold the text with a
// newline after each line; if lines hold newlines themselves their lengths come first.
// The others are described in skeleton.go.
const (
	linesPlain     = 0
	linesLengths   = 1
	linesSkeleton  = 2
	linesTemplates = 3
)

// appendLines appends the lines column of b and gives filter its tokens. It returns the
// numbers of the templates in t that the column needs.
func (b *rowBlock) appendLines(dst []byte, t *templateTable, sk *skeletonBuilder, filter *filterBuilder, z *codec.Zstd) ([]byte, []uint32) {
	if len(b.times) >= minSkeletonRows {
		stored := !t.full()
		if !stored {
			t = newTemplateTable()
		}
		if sk.build(t, b.text, b.lens, filter) {
			dst = sk.encode(dst, len(b.text), stored, z)
			if !stored {
				return dst, nil
			}
			return dst, slices.Clone(sk.templates)
		}
	}
	filter.reset()
	filter.tokens(b.text)
	if b.multi {
		dst = append(dst, linesLengths)
		dst = codec.AppendInts(dst, b.lens)
	} else {
		dst = append(dst, linesPlain)
	}
	return z.Append(dst, b.text), nil
}

// minSkeletonRows is the rows from which separating lines is tried.
const minSkeletonRows = 16

// encodedLines is a lines column that is not rendered yet.
type encodedLines struct {
	n    int
	lens []int64    // of linesLengths
	text []byte     // of linesPlain and linesLengths: what follows
	sk   *skeletons // of linesSkeleton and linesTemplates
}

// openLines reads the begin of a lines column of n rows whose templates are not in the index.
// The result shares memory with data and scratch.
func openLines(data []byte, n int, z *codec.Zstd, scratch *buffer) (encodedLines, error) {
	r := codec.NewReader(data)
	l := encodedLines{n: n}
	var err error
	switch mode := r.Byte(); mode {
	case linesPlain:
	case linesLengths:
		l.lens = r.Ints(nil)
	case linesSkeleton:
		l.sk, err = readSkeletons(r.Rest(), n, z, scratch)
	default:
		r.Fail("lines column of layout %d without templates", mode)
	}
	if err != nil {
		return l, fmt.Errorf("lines column: %w", err)
	}
	l.text = r.Rest()
	return l, r.Err()
}

// render returns the text of the lines and where each ends in it, exclusive of its
// newline. It decodes into buf, which may grow. Rows from+i with keep[i] false, and rows
// outside, may be empty; a nil keep wants all.
func (l *encodedLines) render(keep []bool, from int, z *codec.Zstd, pool *bufferPool, buf []byte) (t lineText, used []byte, err error) {
	if l.sk != nil {
		if used, t.ends, err = l.sk.render(keep, from, z, pool, buf[:0]); err != nil {
			return t, buf, fmt.Errorf("lines column: %w", err)
		}
		t.text = text(used)
		return t, used, nil
	}
	all, used, _, err := z.Decode(buf[:0], l.text)
	if err != nil {
		return t, buf, fmt.Errorf("lines column: %w", err)
	}
	if len(used) == 0 { // stored as it is: the text lies in the memory of the column
		used = append(used, all...)
		all = used
	}
	t.text, t.ends = text(all), make([]uint32, 0, l.n)
	if l.lens == nil {
		t.ends = splitLines(all, t.ends)
	}
	at := int64(0)
	for _, n := range l.lens {
		if n < 0 || n >= int64(len(all))-at {
			return t, used, fmt.Errorf("lines column: %w: line of %d bytes", store.ErrCorrupt, n)
		}
		t.ends = append(t.ends, uint32(at+n))
		at += n + 1
	}
	if len(t.ends) != l.n || l.n > 0 && int(t.ends[l.n-1])+1 != len(all) {
		return t, used, fmt.Errorf("lines column: %w: %d lines, want %d", store.ErrCorrupt, len(t.ends), l.n)
	}
	return t, used, nil
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
