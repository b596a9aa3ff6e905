package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Level is how much work a [Zstd] spends on compressing.
type Level int

// The levels. Decompression costs the same after each of them.
const (
	LevelFast    Level = 1 // zstd's level 1
	LevelDefault Level = 3 // zstd's level 3
	LevelBest    Level = 9 // about twice the time of LevelDefault, for merges
)

// Zstd compresses byte blocks. A store makes one and shares it: it is safe for concurrent
// use. A nil *Zstd stores blocks as they are, and reads only such.
type Zstd struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewZstd returns a compressor with the given level. It decompresses blocks of any level.
// It starts no goroutine and needs no closing.
func NewZstd(level Level) (*Zstd, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(int(level))),
		zstd.WithEncoderCRC(false),   // blocks of parts carry their own checksum
		zstd.WithSingleSegment(true), // so that every frame says how long its content is
		zstd.WithLowerEncoderMem(true),
	)
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxText), zstd.IgnoreChecksum(true))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return &Zstd{enc, dec}, nil
}

// minCompress is the size from which trying to compress pays.
const minCompress = 48

// Append appends src as a block: length, then the bytes, compressed if that makes them
// smaller.
//
//	uvarint length*2 + compressed; if compressed: uvarint stored length; bytes
func (z *Zstd) Append(dst, src []byte) []byte {
	if z != nil && len(src) >= minCompress {
		start := len(dst)
		dst = binary.AppendUvarint(dst, uint64(len(src))<<1|1)
		// Room for the stored length, whose size is known only afterwards.
		body := len(dst) + uvarintLen(uint64(len(src)))
		dst = append(dst, make([]byte, body-len(dst))...)
		dst = z.enc.EncodeAll(src, dst)
		if stored := len(dst) - body; stored < len(src)-len(src)/16 {
			putUvarint(dst[body-uvarintLen(uint64(len(src))):body], uint64(stored))
			return dst
		}
		dst = dst[:start]
	}
	dst = binary.AppendUvarint(dst, uint64(len(src))<<1)
	return append(dst, src...)
}

// putUvarint writes v as a varint that fills all of b.
func putUvarint(b []byte, v uint64) {
	for i := range b {
		b[i] = byte(v) | 0x80
		v >>= 7
	}
	b[len(b)-1] &^= 0x80
}

// Decode reads a block written by [Zstd.Append] from the start of src. An uncompressed
// block shares memory with src; a compressed one is appended to buf, which may be nil.
// data is only the block; used is buf with what was appended.
func (z *Zstd) Decode(buf, src []byte) (data, used, rest []byte, err error) {
	r := Reader{b: src}
	head := r.Uvarint()
	n := head >> 1
	if n > maxText {
		r.Fail("block of %d bytes", n)
	}
	if head&1 == 0 {
		data = r.Take(int(n))
		return data, buf, r.b, r.err
	}
	stored := r.Take(r.Count(r.Len()))
	if r.err != nil {
		return nil, buf, src, r.err
	}
	if z == nil {
		return nil, buf, src, corrupt("compressed block without a decompressor")
	}
	var h zstd.Header
	if err := h.Decode(stored); err != nil || !h.HasFCS || h.FrameContentSize != n {
		return nil, buf, src, corrupt("compressed block does not say that it holds %d bytes", n)
	}
	used, err = z.dec.DecodeAll(stored, buf)
	if err != nil {
		return nil, buf, src, corrupt("decompress: %v", err)
	}
	data = used[len(buf):]
	if uint64(len(data)) != n {
		return nil, buf, src, corrupt("block of %d bytes decompresses to %d", n, len(data))
	}
	return data, used, r.b, nil
}
