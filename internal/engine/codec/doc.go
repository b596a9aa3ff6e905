// Package codec turns columns of values into bytes and back: integers, floats, strings,
// bytes, bits. It is what the three embedded stores write inside their blocks.
//
// Every encoder appends to a caller's slice and every decoder appends to a caller's slice
// and returns what follows in the input, so columns are written one after another and
// read back in the same order without lengths in between:
//
//	b = codec.AppendInts(b, times)
//	b = codec.AppendStrings(b, names, z)
//	...
//	times, b, err = codec.DecodeInts(times[:0], b)
//	names, arena, b, err = codec.DecodeStrings(names[:0], arena[:0], b, z)
//
// All are lossless: every int64, every float64 bit for bit (NaN payloads and -0 included),
// every byte. An encoder looks at the values and chooses the smallest of several layouts;
// a column that compresses badly costs a few bytes more than its raw form, never twice.
// A column holds at most [MaxCount] values; encoders treat more as a bug.
//
// Decoders never panic and never allocate more than MaxCount values on any input. What
// they cannot read is an error that wraps [store.ErrCorrupt]. They do not find flipped
// bits: blocks carry checksums for that.
//
// The functions are pure and safe for concurrent use. docs/formats/codec.md describes
// the bytes.
package codec

import (
	"fmt"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// MaxCount is the largest number of values in one column.
const MaxCount = 1 << 23

// maxText is the largest number of bytes of all strings of a column, or of one byte block.
const maxText = 1 << 30

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrCorrupt, fmt.Sprintf(format, args...))
}

func checkCount(n int) {
	if n > MaxCount {
		model.Bug("column of %d values, at most %d", n, MaxCount)
	}
}
