package metricstore

import (
	"encoding/binary"
	"fmt"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Kinds of chunks.
const (
	chunkFloat     = 0
	chunkHistogram = 1
	chunkRows      = 2 // downsampled floats
)

// Samples of one chunk. Merges combine chunks below minChunk and copy others. A query
// decodes whole chunks: half a day at 15 seconds is a compromise between that and the
// 50 bytes that a chunk costs.
const (
	maxChunk     = 3072
	minChunk     = 1024
	maxHistChunk = 512
)

// chunkMeta says where a chunk is and what it holds.
type chunkMeta struct {
	minT, maxT int64 // Unix milliseconds
	series     uint32
	block      uint32
	off        uint32 // in the block
	size       uint32
	count      uint32
	gen        uint32
	stat       uint32 // place in the part, which finds its summary
	kind       uint8
}

// A float chunk: a byte 0, a column of times, a column of values. Up to version 2 of the
// part the byte is the length of statistics that follow it; they do not count values that
// are not numbers, so nothing can be made of them.
func appendFloatChunk(dst []byte, ts []int64, vs []float64, enc *codec.FloatEncoder) []byte {
	dst = append(dst, 0)
	dst = codec.AppendInts(dst, ts)
	return enc.Append(dst, vs)
}

// decodeFloatChunk appends the samples of a chunk.
func decodeFloatChunk(ts []int64, vs []float64, data []byte, count uint32, dec *codec.FloatDecoder) ([]int64, []float64, error) {
	had := len(ts)
	if len(data) == 0 || len(data) < 1+int(data[0]) {
		return ts, vs, fmt.Errorf("chunk: %w: too short", store.ErrCorrupt)
	}
	ts2, rest, err := codec.DecodeInts(ts, data[1+int(data[0]):])
	if err != nil {
		return ts, vs, fmt.Errorf("times of chunk: %w", err)
	}
	vs2, _, err := dec.Decode(vs, rest)
	if err != nil {
		return ts, vs, fmt.Errorf("values of chunk: %w", err)
	}
	if n := len(ts2) - had; n != len(vs2)-len(vs) || n != int(count) {
		return ts, vs, fmt.Errorf("chunk: %w: %d times and %d values, want %d", store.ErrCorrupt, n, len(vs2)-len(vs), count)
	}
	return ts2, vs2, nil
}

// A histogram chunk: a column of times, then the histograms, each with its length.
func appendHistogramChunk(dst []byte, hs []store.HistogramSample) []byte {
	times := make([]int64, len(hs))
	for i := range hs {
		times[i] = hs[i].Time
	}
	dst = codec.AppendInts(dst, times)
	var one []byte
	for _, h := range hs {
		one = appendHistogram(one[:0], h)
		dst = binary.AppendUvarint(dst, uint64(len(one)))
		dst = append(dst, one...)
	}
	return dst
}

func decodeHistogramChunk(dst []store.HistogramSample, data []byte) ([]store.HistogramSample, error) {
	had := len(dst)
	r := codec.NewReader(data)
	for _, t := range r.Ints(nil) {
		one := codec.NewReader(r.Bytes())
		h := readHistogram(one)
		h.Time = t
		if one.Err() != nil || r.Err() != nil || checkHistogram(h) != nil {
			return dst[:had], fmt.Errorf("histogram chunk: %w", store.ErrCorrupt)
		}
		dst = append(dst, h)
	}
	if r.Err() != nil {
		return dst[:had], fmt.Errorf("histogram chunk: %w", r.Err())
	}
	return dst, nil
}
