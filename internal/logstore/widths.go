package logstore

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// The filter of a block (filter.go) knows whole tokens. A needle at whose edge a token may
// go on, |= "user_04242" say, is none. But where it can lie in the lines of a template is
// known (needle.go), and how wide the variables there are in the block at most, too: if
// user_ is followed by no more than five digits, then user_04242 is a token, and most
// blocks do not have it. So they are not read.

// anyWidth is the width of variables of that many bytes or more.
const anyWidth = 255

// widthsOf returns the most bytes that the block has of each variable of its templates,
// after build, whose outcome is templates; nil if that is nil.
func (b *skeletonBuilder) widthsOf(templates []uint32) []uint8 {
	var out []uint8
	for i := range templates {
		for _, c := range b.cols[i] {
			out = append(out, uint8(min(b.columns[c].max, anyWidth)))
		}
	}
	return out
}

// encodeWidths appends the widths of all blocks.
func (x *partIndex) encodeWidths(dst []byte, z *codec.Zstd) []byte {
	var all []uint8
	for i := range x.blocks {
		all = append(all, x.blocks[i].widths...)
	}
	dst = appendInts(dst, len(x.blocks), func(i int) int64 { return int64(len(x.blocks[i].widths)) })
	return z.Append(dst, all)
}

func (x *partIndex) readWidths(r *codec.Reader, z *codec.Zstd) {
	counts := readInts(r)
	data, _, _, err := z.Decode(nil, r.Rest())
	if err != nil {
		r.Fail("widths of variables: %v", err)
		return
	}
	if len(counts) != len(x.blocks) {
		r.Fail("widths of %d blocks, want %d", len(counts), len(x.blocks))
		return
	}
	all := slices.Clone(data)
	for i, n := range counts {
		b := &x.blocks[i]
		vars := 0
		for _, id := range b.templates {
			vars += len(x.templates.list[id].kinds)
		}
		if n != 0 && n != int64(vars) || n > int64(len(all)) {
			r.Fail("%d widths of %d variables", n, vars)
			return
		}
		if n > 0 {
			b.widths, all = all[:n:n], all[n:]
		}
	}
}

// tokenWith returns the key of the token in which variable k of tp lies if its value is
// value; 0 if another variable may be part of the token, too.
func (tp *template) tokenWith(k int, value string) uint64 {
	before, behind := tp.lits[k], tp.lits[k+1]
	from, to := len(before), 0
	for from > 0 && byteClass[before[from-1]] != 0 {
		from--
	}
	for to < len(behind) && byteClass[behind[to]] != 0 {
		to++
	}
	if from == 0 && k > 0 || to == len(behind) && k+1 < len(tp.kinds) {
		return 0
	}
	return tokenKey(before[from:] + value + behind[:to])
}

// mayLie reports whether lines of a template can have one of the spots of n. widths are
// those of the variables, none if they are not known.
func (n *needle) mayLie(widths []uint8, bf *blockFilter) bool {
	return slices.ContainsFunc(n.spots, func(s spot) bool {
		for i := range s.parts {
			width := anyWidth
			if len(widths) > 0 {
				width = int(widths[s.first+i])
			}
			if s.parts[i].lacks(width, bf) {
				return false
			}
		}
		return true
	})
}

// lacks reports whether no variable of width bytes at most is as p wants it.
func (p *spotPart) lacks(width int, bf *blockFilter) bool {
	if width < anyWidth && width < p.size() {
		return true
	}
	whole := p.begins && p.ends || width < anyWidth && width == len(p.text)
	return whole && p.token != 0 && !bf.has(p.token)
}
