package logstore

import (
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// distinctTexts finds the distinct values of a metadata column, reusing its memory. Each
// is hashed once: the hash is its key in the filter and in the sketch of the field, too.
type distinctTexts struct {
	texts []string // in order of first use
	keys  []uint64 // of texts, see fieldKey
	codes []int64  // of each row, index in texts

	slots  []int32 // open addressing by key: index in texts + 1, 0 is empty
	recent [64]struct {
		text string
		code int64
	}
}

// maxFill is how full the slots get, of 4.
const maxFill = 3

// find finds the distinct ones of values, which are of a field with seed. It expects about
// as many as the last time that field was seen.
func (d *distinctTexts) find(values []string, seed uint64, expect int) {
	d.texts, d.keys = d.texts[:0], d.keys[:0]
	d.codes = slices.Grow(d.codes[:0], len(values))[:len(values)]
	d.room(expect)
	clear(d.recent[:])
	code, last := int64(-1), ""
	for i, v := range values {
		if 2*len(d.texts) > i+64 { // most are new
			code = d.code(v, seed)
		} else if code < 0 || v != last {
			code = d.known(v, seed)
		}
		d.codes[i], last = code, v
	}
}

// known is code for a value that was probably there a moment ago.
func (d *distinctTexts) known(v string, seed uint64) int64 {
	n := len(v)
	if n == 0 {
		return d.code(v, seed)
	}
	r := &d.recent[(n+7*int(v[0])+31*int(v[n/2])+13*int(v[n-1]))%len(d.recent)]
	if r.text != v {
		r.text, r.code = v, d.code(v, seed)
	}
	return r.code
}

// code returns the index of v in texts, which it adds unless it is there.
func (d *distinctTexts) code(v string, seed uint64) int64 {
	key := xxh3.HashStringSeed(v, seed)
	mask := uint64(len(d.slots) - 1)
	i := key & mask
	for ; d.slots[i] != 0; i = (i + 1) & mask {
		if k := d.slots[i] - 1; d.keys[k] == key && d.texts[k] == v {
			return int64(k)
		}
	}
	d.texts, d.keys = append(d.texts, v), append(d.keys, key)
	d.slots[i] = int32(len(d.texts))
	if 4*len(d.texts) >= maxFill*len(d.slots) {
		d.room(2 * len(d.texts))
	}
	return int64(len(d.texts) - 1)
}

// room makes slots for n texts and those that there are.
func (d *distinctTexts) room(n int) {
	size := 64
	for maxFill*size <= 4*n {
		size *= 2
	}
	if cap(d.slots) < size {
		d.slots = make([]int32, size)
	}
	d.slots = d.slots[:size]
	clear(d.slots)
	mask := uint64(size - 1)
	for k, key := range d.keys {
		i := key & mask
		for d.slots[i] != 0 {
			i = (i + 1) & mask
		}
		d.slots[i] = int32(k + 1)
	}
}

// release forgets the values.
func (d *distinctTexts) release() {
	clear(d.texts[:cap(d.texts)])
	clear(d.recent[:])
}

// encode appends values, which were looked at, as text: with a dictionary if it is a short
// one.
func (d *distinctTexts) encode(dst []byte, values []string, z *codec.Zstd) []byte {
	if 2*len(d.texts) > len(values) {
		return codec.AppendPlain(dst, values, z)
	}
	size := 0
	for _, s := range d.texts {
		size += len(s)
	}
	return codec.AppendDict(dst, d.texts, d.codes, smallZstd(z, size))
}
