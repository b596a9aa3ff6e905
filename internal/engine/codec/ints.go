package codec

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/pharos-o11y/pharos/internal/model"
)

// The first byte of an integer column. The order says what is stored: values,
// differences, or differences of differences. Runs are pairs of element and repetitions;
// otherwise elements are packed in blocks of 128 with a minimum and a bit width each.
// Scaled columns store (v - base) / factor.
const (
	intOrderMask = 0x03
	intRuns      = 0x04
	intScaled    = 0x08
	intModes     = 0x0f
)

// AppendInts appends the encoding of vs to dst.
//
// Sorted and regular columns (timestamps, offsets, counters) cost a few bits a value or
// nothing; columns of repeated values the runs; others the bits of their range within
// blocks of 128. A common factor of all differences is divided out.
func AppendInts(dst []byte, vs []int64) []byte {
	checkCount(len(vs))
	if len(vs) == 0 {
		return append(dst, intRuns, 0)
	}
	factor := uint64(1)
	if len(vs) > 2 {
		if isRegular(vs) {
			return appendRegular(dst, vs)
		}
		factor = commonFactor(vs)
	}
	ks := vs
	if factor > 1 {
		ks = divide(vs, factor)
	}
	st := measure(ks)
	mode := st.best()
	order := int(mode & intOrderMask)
	if factor > 1 {
		mode |= intScaled
	}
	dst = append(dst, mode)
	dst = binary.AppendUvarint(dst, uint64(len(vs)))
	if factor > 1 {
		dst = binary.AppendVarint(dst, vs[0])
		dst = binary.AppendUvarint(dst, factor)
	}
	for _, f := range st.first[:order] {
		dst = binary.AppendVarint(dst, f)
	}
	e := elements{ks, order}
	if mode&intRuns != 0 {
		return appendRuns(dst, e)
	}
	return appendBlocks(dst, e)
}

// appendFew appends the encoding of vs, which are of a small range: of these the differences
// take no less, so they are not tried.
func appendFew(dst []byte, vs []int64) []byte {
	if len(vs) <= 2 || isRegular(vs) {
		return AppendInts(dst, vs)
	}
	o := orderStats{last: ^vs[0]}
	for from := 0; from < len(vs); from += blockLen {
		o.add(vs[from:min(len(vs), from+blockLen)])
	}
	e := elements{vs, 0}
	if 2*o.runs <= o.blocks && runsLen(e, o.blocks) <= o.blocks {
		dst = append(dst, intRuns)
		return appendRuns(binary.AppendUvarint(dst, uint64(len(vs))), e)
	}
	dst = append(dst, 0)
	return appendBlocks(binary.AppendUvarint(dst, uint64(len(vs))), e)
}

// isRegular reports whether all differences are equal, as those of scrape times.
func isRegular(vs []int64) bool {
	d := vs[1] - vs[0]
	for i := 2; i < len(vs); i++ {
		if vs[i]-vs[i-1] != d {
			return false
		}
	}
	return true
}

// appendRegular appends at least 3 values with equal differences: a run of the value, or
// of zero differences of differences.
func appendRegular(dst []byte, vs []int64) []byte {
	if vs[0] == vs[1] {
		dst = append(dst, intRuns)
		dst = binary.AppendUvarint(dst, uint64(len(vs)))
		dst = binary.AppendVarint(dst, vs[0])
		return binary.AppendUvarint(dst, uint64(len(vs)))
	}
	dst = append(dst, 2|intRuns)
	dst = binary.AppendUvarint(dst, uint64(len(vs)))
	dst = binary.AppendVarint(dst, vs[0])
	dst = binary.AppendVarint(dst, vs[1]-vs[0])
	dst = append(dst, 0)
	return binary.AppendUvarint(dst, uint64(len(vs)-2))
}

// commonFactor returns the greatest common divisor of the differences, 1 if they are all
// 0 or the values span too wide for it.
func commonFactor(vs []int64) uint64 {
	lo, hi := vs[0], vs[0]
	var g uint64
	for i := 1; i < len(vs); i++ {
		lo, hi = min(lo, vs[i]), max(hi, vs[i])
		d := vs[i] - vs[i-1]
		if d < 0 {
			d = -d
		}
		if g == 1 {
			return 1
		}
		if u := uint64(d); u != 0 && (g == 0 || u%g != 0) {
			g = gcd(g, u)
		}
	}
	if uint64(hi)-uint64(lo) >= math.MaxInt64/4 || g == 0 {
		return 1
	}
	return g
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// divide returns (v - vs[0]) / factor of every v, which is exact.
func divide(vs []int64, factor uint64) []int64 {
	ks := make([]int64, len(vs))
	base := vs[0]
	if factor&(factor-1) == 0 {
		shift := bits.TrailingZeros64(factor)
		for i, v := range vs {
			ks[i] = (v - base) >> shift
		}
		return ks
	}
	for i, v := range vs {
		ks[i] = (v - base) / int64(factor)
	}
	return ks
}

// elements yields the stored elements of a column.
type elements struct {
	vs    []int64
	order int
}

// at returns element i (i >= order).
func (e elements) at(i int) int64 {
	vs := e.vs
	switch e.order {
	case 0:
		return vs[i]
	case 1:
		return vs[i] - vs[i-1]
	default:
		return vs[i] - 2*vs[i-1] + vs[i-2]
	}
}

// intStats is the cost of each layout.
type intStats struct {
	n      int
	first  [2]int64 // first value and first difference
	blocks [3]int   // bytes as blocks, by order
	runs   [3]int   // bytes as runs, by order
}

// orderStats gathers the cost of one order, block by block.
type orderStats struct {
	blocks int
	last   int64 // element before
	runs   int   // that begin
}

// add counts the elements of one block.
func (o *orderStats) add(block []int64) {
	lo, hi, last, runs := block[0], block[0], o.last, o.runs
	for _, v := range block {
		lo, hi = min(lo, v), max(hi, v)
		if v != last {
			runs++
		}
		last = v
	}
	o.last, o.runs = last, runs
	width := bits.Len64(uint64(hi) - uint64(lo))
	o.blocks += uvarintLen(zigzag(lo)) + 1 + packedLen(len(block), uint(width))
}

// measure computes the cost of every layout that can be the cheapest.
func measure(vs []int64) intStats {
	st := intStats{n: len(vs)}
	st.first[0] = vs[0]
	if len(vs) > 1 {
		st.first[1] = vs[1] - vs[0]
	}
	// Blocks of order k begin at element k.
	var os [3]orderStats
	var d1, d2 [blockLen]int64
	os[0].last = ^vs[0] // no first element is like the one before
	for from := 0; from < len(vs); from += blockLen {
		os[0].add(vs[from:min(len(vs), from+blockLen)])
	}
	if len(vs) > 1 {
		os[1].last = ^st.first[1]
	}
	for from := 1; from < len(vs); from += blockLen {
		of := vs[from-1 : min(len(vs), from+blockLen)]
		d := d1[:len(of)-1]
		for i := range d {
			d[i] = of[i+1] - of[i]
		}
		os[1].add(d)
	}
	if len(vs) > 2 {
		os[2].last = ^(vs[2] - 2*vs[1] + vs[0])
	}
	if os[1].blocks > os[0].blocks && 2*os[1].runs > len(vs) { // noise: more differences make it worse
		os[2] = orderStats{blocks: 2 * os[1].blocks, runs: 2 * os[1].runs}
		return st.layouts(vs, &os)
	}
	for from := 2; from < len(vs); from += blockLen {
		of := vs[from-2 : min(len(vs), from+blockLen)]
		d := d2[:len(of)-2]
		for i := range d {
			d[i] = of[i+2] - 2*of[i+1] + of[i]
		}
		os[2].add(d)
	}
	return st.layouts(vs, &os)
}

// layouts returns st with the costs.
func (st intStats) layouts(vs []int64, os *[3]orderStats) intStats {
	firsts, least := 0, math.MaxInt
	for k := range os {
		if k > 0 {
			firsts += uvarintLen(zigzag(st.first[k-1]))
		}
		st.blocks[k] = firsts + os[k].blocks
		least = min(least, st.blocks[k])
	}
	firsts = 0
	for k := range os {
		if k > 0 {
			firsts += uvarintLen(zigzag(st.first[k-1]))
		}
		st.runs[k] = firsts + 2*os[k].runs // at least
		if st.runs[k] <= least {
			st.runs[k] = firsts + runsLen(elements{vs, k}, least-firsts)
			least = min(least, st.runs[k])
		}
	}
	return st
}

// runsLen returns the bytes of e as runs, or some number above limit if they exceed it.
func runsLen(e elements, limit int) int {
	if e.order >= len(e.vs) {
		return 0
	}
	size, run := 0, 0
	last := e.at(e.order)
	for i := e.order; i < len(e.vs); i++ {
		v := e.at(i)
		if v == last {
			run++
			continue
		}
		if size += uvarintLen(zigzag(last)) + uvarintLen(uint64(run)); size > limit {
			return size
		}
		last, run = v, 1
	}
	return size + uvarintLen(zigzag(last)) + uvarintLen(uint64(run))
}

// best returns the cheapest mode.
func (st *intStats) best() (mode byte) {
	cost := math.MaxInt
	for o := range st.blocks {
		if o > st.n {
			break
		}
		if st.runs[o] < cost {
			cost, mode = st.runs[o], byte(o)|intRuns
		}
		if st.blocks[o] < cost {
			cost, mode = st.blocks[o], byte(o)
		}
	}
	return mode
}

// run returns how many elements from i on are equal.
func (e elements) run(i int) int {
	v, n := e.at(i), 1
	for i+n < len(e.vs) && e.at(i+n) == v {
		n++
	}
	return n
}

func appendRuns(dst []byte, e elements) []byte {
	for i := e.order; i < len(e.vs); {
		v, run := e.at(i), e.run(i)
		dst = binary.AppendVarint(dst, v)
		dst = binary.AppendUvarint(dst, uint64(run))
		i += run
	}
	return dst
}

func appendBlocks(dst []byte, e elements) []byte {
	var buf [blockLen]int64
	for from := e.order; from < len(e.vs); from += blockLen {
		block := buf[:min(blockLen, len(e.vs)-from)]
		lo := e.at(from)
		hi := lo
		for i := range block {
			block[i] = e.at(from + i)
			lo, hi = min(lo, block[i]), max(hi, block[i])
		}
		width := uint(bits.Len64(uint64(hi) - uint64(lo)))
		dst = binary.AppendVarint(dst, lo)
		dst = append(dst, byte(width))
		if width > 0 {
			dst = appendPacked(dst, block, lo, width)
		}
	}
	return dst
}

// DecodeInts reads a column written by [AppendInts] from the start of src, appends its
// values to dst, and returns the extended slice and what follows in src.
func DecodeInts(dst []int64, src []byte) (vs []int64, rest []byte, err error) {
	r := Reader{b: src}
	vs, h := decodeElements(dst, &r)
	if r.err != nil {
		return dst, src, r.err
	}
	out := vs[len(dst):]
	integrate(out, h.order)
	if h.factor != 1 || h.base != 0 {
		for i, v := range out {
			out[i] = h.base + v*h.factor
		}
	}
	return vs, r.b, nil
}

// intHeader says what the elements of a column stand for: differences of an order, of
// values that are (v - base) / factor.
type intHeader struct {
	mode         byte
	n, order     int
	base, factor int64
	first        [2]int64 // the first value and the first difference, as far as the order has these
}

// readIntHeader reads the begin of a column. An error is left in r.
func readIntHeader(r *Reader) intHeader {
	mode := r.Byte()
	h := intHeader{mode: mode, n: r.Count(MaxCount), order: int(mode & intOrderMask), factor: 1}
	if mode > intModes || h.order > 2 || h.order > h.n {
		r.Fail("integer column of %d values with mode %#x", h.n, mode)
	}
	if r.err != nil {
		return h
	}
	if mode&intScaled != 0 {
		h.base, h.factor = r.Varint(), int64(r.Uvarint())
	}
	for i := range h.order {
		h.first[i] = r.Varint()
	}
	// A block costs at least 2 bytes, so few bytes cannot claim many values; runs can,
	// up to MaxCount.
	if mode&intRuns == 0 && r.err == nil && (h.n-h.order+blockLen-1)/blockLen*2 > len(r.b) {
		r.Fail("%d values in %d bytes", h.n, len(r.b))
	}
	return h
}

// decodeElements reads a column and appends its elements to dst, the first value and the
// first difference before them if the order has these. An error is left in r.
func decodeElements(dst []int64, r *Reader) ([]int64, intHeader) {
	h := readIntHeader(r)
	if r.err != nil {
		return dst, h
	}
	vs := grow(dst, h.n)
	out := vs[len(dst):]
	copy(out, h.first[:h.order])
	switch {
	case h.mode == 2|intRuns && decodeRegular(out, r):
		h.order = 0
	case h.mode&intRuns != 0:
		decodeRuns(out[h.order:], r)
	default:
		decodeBlocks(out[h.order:], r)
	}
	return vs, h
}

// decodeRegular decodes what appendRegular wrote: equal differences. The first value and
// the first difference stand in out, which it fills with values. It returns false, having
// read nothing, if there is more to the column.
func decodeRegular(out []int64, r *Reader) bool {
	if len(r.b) < 2 || r.b[0] != 0 {
		return false
	}
	run, n := binary.Uvarint(r.b[1:])
	if n <= 0 || run == 0 || run != uint64(len(out)-2) {
		return false
	}
	r.b = r.b[1+n:]
	v, d := out[0], out[1]
	for i := range out {
		out[i] = v
		v += d
	}
	return true
}

func decodeRuns(out []int64, r *Reader) {
	for len(out) > 0 && r.err == nil {
		v, run := r.Varint(), r.Count(len(out))
		if run == 0 {
			r.Fail("empty run")
			return
		}
		for i := range out[:run] {
			out[i] = v
		}
		out = out[run:]
	}
}

func decodeBlocks(out []int64, r *Reader) {
	for len(out) > 0 {
		block := out[:min(blockLen, len(out))]
		lo, width := r.Varint(), uint(r.Byte())
		if width > 64 {
			r.Fail("width of %d bits", width)
		}
		if r.err != nil {
			return
		}
		size := packedLen(len(block), width)
		if size > len(r.b) {
			r.Fail("short block")
			return
		}
		unpack(block, r.b, lo, width)
		r.b = r.b[size:]
		out = out[len(block):]
	}
}

// integrate turns elements into values. The first order elements are the first value and
// the first difference.
func integrate(out []int64, order int) {
	switch order {
	case 1:
		var v int64
		for i, d := range out {
			v += d
			out[i] = v
		}
	case 2:
		v, d := out[0], out[1]
		out[1] = v + d
		v += d
		for i := 2; i < len(out); i++ {
			d += out[i]
			v += d
			out[i] = v
		}
	case 0:
	default:
		model.Bug("integer column of order %d", order)
	}
}
