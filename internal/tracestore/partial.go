package tracestore

import (
	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// Columns of an opened group are decoded as far as they are asked for: most searches look
// at all rows of a column or two, and then at a few rows of many columns. The slices of
// the group have their full length, and values where there has been need of them.

// block is how many values are decoded at a time.
const block = codec.IntBlock

// blocksOf returns how many blocks n values have.
func blocksOf(n int) int { return (n + block - 1) / block }

// partial is a column of integers.
type partial struct {
	blocks codec.IntBlocks
	done   []bool // of each block; nil if all values are there
	vals   []int64
}

// partial opens a column of n integers.
func (r *decoder) partial(n int) *partial {
	var src []byte
	packed := r.Byte() != 0
	if packed {
		src = r.keptBlock()
	} else {
		src = append(r.mem.raw.take(r.Len()), r.Rest()...)
	}
	if r.Err() != nil {
		return nil
	}
	p := &partial{}
	ok, rest, err := p.blocks.Open(src, n)
	if err == nil && !ok {
		p.vals, rest, err = codec.DecodeInts(r.mem.ints.take(n), src)
	}
	if err != nil {
		r.Fail("%v", err)
		return nil
	}
	if ok {
		p.vals = r.mem.ints.take(n)[:n]
		p.done = r.mem.bools.take(blocksOf(n))[:blocksOf(n)]
		clear(p.done)
	}
	if !packed {
		r.Take(len(src) - len(rest))
	}
	p.vals = r.exactly(n, p.vals)
	return p
}

// keptBlock reads a block like [decoder.block] that is valid as long as the group is open.
func (r *decoder) keptBlock() []byte {
	b := r.block()
	return append(r.mem.raw.take(len(b)), b...)
}

// need decodes the values from..to.
func (p *partial) need(from, to int) {
	if p.done == nil {
		return
	}
	for b := from / block; b*block < to; b++ {
		if !p.done[b] {
			p.blocks.Block(b, p.vals)
			p.done[b] = true
		}
	}
}

// bounds returns a range of the values of block b; false if none is known.
func (p *partial) bounds(b int) (z zone, ok bool) {
	if p == nil || p.done == nil {
		return z, false
	}
	z.lo, z.hi, ok = p.blocks.Bounds(b)
	return z, ok
}

// partialText is a column of strings.
type partialText struct {
	plain *plainTexts   // nil if they are made
	texts *patternTexts // nil if there are no patterns
	made  []bool        // of each string of dict, if there are texts; nil if none is
	size  int           // of dict
	codes *partial      // nil if there are no codes
	known []bool        // of each block of codes
}

// partialStrs opens a column of n strings.
func (r *decoder) partialStrs(n int) (c strCol, o *partialText) {
	o = &partialText{}
	mode := r.Byte()
	size := 0
	switch {
	case mode > strsCodes|strsPatterns:
		r.Fail("strings of mode %d", mode)
	case mode&strsPatterns == 0:
		if o.plain = r.plain(); o.plain != nil {
			size = len(o.plain.lens)
			c.dict = r.mem.dicts.take(size)[:size]
		}
	default:
		if o.texts = r.texts(); o.texts != nil {
			size = len(o.texts.codes) // dict comes when there is need of it
		}
	}
	if r.Err() == nil && (size == 0 || mode&strsCodes == 0 && size != n) {
		r.Fail("%d strings for %d rows", size, n)
	}
	o.size = size
	if mode&strsCodes != 0 {
		if o.codes = r.partial(n); o.codes != nil {
			c.codes = r.mem.codes.take(n)[:n]
			o.known = r.mem.bools.take(blocksOf(n))[:blocksOf(n)]
			clear(o.known)
		}
	}
	if r.Err() != nil {
		return strCol{}, nil
	}
	return c, o
}

// makePlain makes the strings of c that are not in patterns.
func (o *partialText) makePlain(c *strCol) {
	if o.plain == nil {
		return
	}
	text := string(o.plain.text)
	for i, n := range o.plain.lens {
		c.dict[i], text = text[:n], text[n:]
	}
	o.plain = nil
}

// need makes the rows from..to of c.
func (o *partialText) need(c *strCol, from, to int) error {
	o.makePlain(c)
	if err := o.needCodes(c, from, to); err != nil || o.texts == nil {
		return err
	}
	if err := o.texts.decodeAll(); err != nil {
		return err
	}
	if mem := o.texts.mem; o.made == nil {
		c.dict = mem.dicts.take(o.size)[:o.size]
		o.made = mem.bools.take(o.size)[:o.size]
		clear(o.made)
	}
	for i := from; i < to; i++ {
		at := c.code(i)
		if o.made[at] {
			continue
		}
		o.made[at] = true
		end := at + 1
		for ; o.codes == nil && end < to && !o.made[end]; end++ {
			o.made[end] = true
		}
		o.texts.fill(c.dict, at, end)
	}
	return nil
}

// needCodes decodes the codes of the rows from..to of c.
func (o *partialText) needCodes(c *strCol, from, to int) error {
	p := o.codes
	if p == nil {
		return nil
	}
	for b := from / block; b*block < to; b++ {
		if o.known[b] {
			continue
		}
		lo, hi := b*block, min(len(c.codes), (b+1)*block)
		p.need(lo, hi)
		for i, v := range p.vals[lo:hi] {
			if uint64(v) >= uint64(o.size) {
				r := codec.NewReader(nil)
				r.Fail("code %d of %d", v, o.size)
				return r.Err()
			}
			c.codes[lo+i] = uint32(v)
		}
		o.known[b] = true
	}
	return nil
}

// partialStarts is the start times.
type partialStarts struct {
	firsts []int64  // of each trace
	steps  *partial // between the spans of a trace
}

func (r *decoder) partialStarts(traces, spans int) *partialStarts {
	s := &partialStarts{firsts: r.ints(traces)}
	s.steps = r.partial(spans - traces)
	if r.Err() != nil {
		return nil
	}
	return s
}

// need sets the start times of trace t of g.
func (s *partialStarts) need(g *group, t int) {
	lo, hi := g.run(t)
	start := s.firsts[t]
	out := g.ints[iStart][lo:hi]
	out[0] = start
	s.steps.need(lo-t, hi-t-1)
	for i, step := range s.steps.vals[lo-t : hi-t-1] {
		start += step
		out[i+1] = start
	}
}
