package codec

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// blockLen is the number of values that share a frame of reference.
const blockLen = 128

// packedLen returns the bytes that n values of width bits take.
func packedLen(n int, width uint) int { return (n*int(width) + 7) / 8 }

// appendPacked appends the low width bits of every v - base, little endian, padded to a
// whole byte.
func appendPacked(dst []byte, vs []int64, base int64, width uint) []byte {
	var acc uint64
	var have uint
	for _, v := range vs {
		u := uint64(v) - uint64(base)
		acc |= u << have
		have += width
		if have >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			have -= 64
			acc = u >> (width - have) // a shift by 64 gives 0
		}
	}
	for have > 0 {
		dst = append(dst, byte(acc))
		acc >>= 8
		have -= min(have, 8)
	}
	return dst
}

// unpack reverses appendPacked into out, at most blockLen values. src starts with the packed
// bytes; bytes behind them are read and ignored.
func unpack(out []int64, src []byte, base int64, width uint) {
	switch {
	case width == 0:
		for i := range out {
			out[i] = base
		}
	case len(src) < packedLen(len(out), width)+9:
		unpackEnd(out, src, base, width)
	case width <= 8:
		unpackSmall(out, src, base, width)
	default:
		unpackAny(out, src, base, width)
	}
}

// unpackEnd is unpack where src may end too early for loads of whole words.
func unpackEnd(out []int64, src []byte, base int64, width uint) {
	var pad [blockLen*8 + 9]byte
	copy(pad[:], src)
	unpackAny(out, pad[:], base, width)
}

// unpackSmall unpacks values of at most 8 bits: a word has 8 of them, which take width bytes.
func unpackSmall(out []int64, src []byte, base int64, width uint) {
	mask := uint64(1)<<(width&63) - 1
	for len(out) >= 8 {
		word := binary.LittleEndian.Uint64(src)
		to := (*[8]int64)(out)
		for i := range to {
			to[i] = base + int64(word&mask)
			word >>= width & 63
		}
		out, src = out[8:], src[width:]
	}
	unpackAny(out, src, base, width)
}

func unpackAny(out []int64, src []byte, base int64, width uint) {
	mask := ^uint64(0) >> (64 - width)
	var bit uint
	if width <= 28 { // a word has two
		for len(out) >= 2 {
			v := binary.LittleEndian.Uint64(src[bit>>3:]) >> (bit & 7)
			out[0], out[1] = base+int64(v&mask), base+int64(v>>(width&63)&mask)
			out = out[2:]
			bit += 2 * width
		}
	}
	if width <= 56 {
		for i := range out {
			v := binary.LittleEndian.Uint64(src[bit>>3:]) >> (bit & 7)
			out[i] = base + int64(v&mask)
			bit += width
		}
		return
	}
	for i := range out {
		at, s := bit>>3, bit&7
		v := binary.LittleEndian.Uint64(src[at:])>>s | uint64(src[at+8])<<(64-s)
		out[i] = base + int64(v&mask)
		bit += width
	}
}

// grow returns s extended by n elements, whose values are undefined.
func grow[T any](s []T, n int) []T {
	s = slices.Grow(s, n)
	return s[:len(s)+n]
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// uvarintLen returns the bytes of the varint u.
func uvarintLen(u uint64) int { return (bits.Len64(u|1) + 6) / 7 }
