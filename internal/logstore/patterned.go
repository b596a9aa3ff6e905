package logstore

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/pattern"
)

// Values of metadata that differ by numbers and ids are written in patterns
// (engine/pattern): the patterns, which of them each value has, and the variables as
// columns of integers, one for the first number of each value, one for its second and so
// on; the same for ids. A trace id takes 16 bytes, a number the bits of its range, and a
// time that goes along with those of the rows nearly none.
//
//	patterns uvarint; a text block: each with its length
//	pattern of each value: ints
//	for numbers, then for ids:
//	  columns uvarint, each its length and ints

// Bounds of values in patterns: how many a column has, and the bytes of one.
const (
	minPatterned = 16
	maxPatterned = 512
)

// maxKnown bounds the patterns that are remembered from column to column.
const maxKnown = 1024

// patternWriter writes texts in patterns, reusing its memory.
type patternWriter struct {
	split pattern.Splitter
	known map[string]*knownPattern // by text of the pattern

	// Of the current column:
	column uint64          // counts columns
	used   []*knownPattern // in order of first use
	of     []int64         // for each text, index in used
	vars   []int64         // of all texts: numbers, then words
	at     []int32         // where those of each text begin, and the end

	nums  [pattern.MaxNums][]int64
	words [pattern.MaxWords][]int64
	codes []int64
	buf   []byte
}

// knownPattern is a pattern that occurred.
type knownPattern struct {
	pattern.Pattern
	regular bool
	column  uint64 // the last one that had it
	number  int64  // in used of that column
}

// gather splits texts; false if they have too little in common for patterns.
func (w *patternWriter) gather(texts []string) bool {
	w.column++
	w.split.Long = true
	if len(w.known) >= maxKnown || w.known == nil { // never within a column, which has each pattern once
		w.known = map[string]*knownPattern{}
	}
	w.used, w.of, w.vars, w.at = w.used[:0], w.of[:0], w.vars[:0], w.at[:0]
	most := 16 + len(texts)/16
	var last *knownPattern
	for _, s := range texts {
		if len(s) > maxPatterned {
			return false
		}
		if last == nil || !last.regular || !w.split.SplitLike(&last.Pattern, s) {
			if last = w.patternOf(s); last == nil || len(w.used) > most {
				return false
			}
		}
		w.of = append(w.of, last.number)
		w.at = append(w.at, int32(len(w.vars)))
		w.vars = append(append(w.vars, w.split.Nums...), w.split.Words...)
	}
	w.at = append(w.at, int32(len(w.vars)))
	return true
}

// patternOf splits s, whose pattern is not that of the text before.
func (w *patternWriter) patternOf(s string) *knownPattern {
	for _, p := range w.used[:min(len(w.used), 16)] {
		if p.regular && w.split.SplitLike(&p.Pattern, s) {
			return p
		}
	}
	if !w.split.Split(s) {
		return nil
	}
	p := w.known[string(w.split.Text)]
	if p == nil {
		parsed, ok := pattern.Parse(string(w.split.Text))
		if !ok {
			return nil
		}
		p = &knownPattern{Pattern: parsed, regular: parsed.Regular()}
		w.known[p.Text] = p
	}
	if p.column != w.column {
		p.column, p.number = w.column, int64(len(w.used))
		w.used = append(w.used, p)
	}
	return p
}

// fractions reports whether the texts that were gathered are decimal numbers, some of them
// with a fraction.
func (w *patternWriter) fractions() bool {
	some := false
	for _, p := range w.used {
		number, fraction := p.Decimal()
		if !number && p.Text != "" {
			return false
		}
		some = some || fraction
	}
	return some
}

// encode appends the texts that were gathered, in the order of codes; nil means that of
// texts.
func (w *patternWriter) encode(dst []byte, codes []int64, z *codec.Zstd) []byte {
	w.buf = w.buf[:0]
	for _, p := range w.used {
		w.buf = codec.AppendBytes(w.buf, p.Text)
	}
	dst = binary.AppendUvarint(dst, uint64(len(w.used)))
	dst = smallZstd(z, len(w.buf)).Append(dst, w.buf)
	of := w.transpose(codes)
	dst = codec.AppendInts(dst, of)
	dst = w.columns(dst, w.nums[:])
	return w.columns(dst, w.words[:])
}

// transpose makes columns of the variables, and returns the pattern of each value.
func (w *patternWriter) transpose(codes []int64) []int64 {
	for k := range w.nums {
		w.nums[k] = w.nums[k][:0]
	}
	for k := range w.words {
		w.words[k] = w.words[k][:0]
	}
	if codes == nil {
		for i, number := range w.of {
			w.row(w.used[number].Nums, w.vars[w.at[i]:w.at[i+1]])
		}
		return w.of
	}
	w.codes = w.codes[:0]
	for _, i := range codes {
		number := w.of[i]
		w.codes = append(w.codes, number)
		w.row(w.used[number].Nums, w.vars[w.at[i]:w.at[i+1]])
	}
	return w.codes
}

// row adds the variables of a value, of which the first are numbers.
func (w *patternWriter) row(nums int, vars []int64) {
	for k, v := range vars[:nums] {
		w.nums[k] = append(w.nums[k], v)
	}
	for k, v := range vars[nums:] {
		w.words[k] = append(w.words[k], v)
	}
}

// columns appends the columns of one sort of variables.
func (w *patternWriter) columns(dst []byte, columns [][]int64) []byte {
	n := 0
	for n < len(columns) && len(columns[n]) > 0 {
		n++
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for _, vs := range columns[:n] {
		w.buf = codec.AppendInts(w.buf[:0], vs)
		dst = codec.AppendBytes(dst, w.buf)
	}
	return dst
}

// once reports whether n values are better written as the distinct texts, which take size
// bytes, and a code for each, than as they are.
func once(distinct, n, size int) bool {
	codes := n * bits.Len(uint(distinct-1)) / 8
	return size+codes < size*n/max(distinct, 1)
}

// minZstd is the bytes from which text that is there once in a block is compressed. For
// less it takes longer than all the rest of a column.
const minZstd = 512

// smallZstd returns z if a text of size bytes is worth compressing.
func smallZstd(z *codec.Zstd, size int) *codec.Zstd {
	if size < minZstd {
		return nil
	}
	return z
}

// patternTexts is values in patterns as they are read: all of them, or those at a few
// positions. The variables are decoded, texts are made when they are asked for.
type patternTexts struct {
	patterns []pattern.Pattern
	n        int     // values
	of       []int64 // pattern of each value
	nums     []textVars
	words    []textVars
	arena    []byte // memory of texts
}

// textVars is the k-th number or word of the values that have one.
type textVars struct {
	column []byte
	vals   []int64
	index  []uint32 // of each value's; nil if every value has one
}

func (c *textVars) at(i int) int64 {
	if c.index != nil {
		i = int(c.index[i])
	}
	return c.vals[i]
}

// readPatterned reads at most n values in patterns. Variables share memory with mem.
func readPatterned(r *codec.Reader, n int, z *codec.Zstd, mem *buffer) *patternTexts {
	t := &patternTexts{}
	t.open(r, z)
	t.of = r.Ints(mem.room(n))
	if t.n = len(t.of); r.Err() == nil {
		t.openColumns(r)
	}
	if r.Err() == nil {
		t.each(func(columns []textVars, of func(*pattern.Pattern) int) { t.decode(r, columns, of, mem) })
	}
	return t
}

// pickPatterned is readPatterned but for the variables, which are to be picked.
func pickPatterned(r *codec.Reader, n int, z *codec.Zstd, mem *buffer) *patternTexts {
	t := &patternTexts{}
	t.open(r, z)
	if len(t.patterns) == 1 { // of all
		var rest []byte
		var err error
		if _, t.n, rest, err = mem.picker.Ints(nil, r.Rest(), nil); err != nil {
			r.Fail("patterns: %v", err)
		}
		r.Take(r.Len() - len(rest))
	} else {
		t.of = r.Ints(mem.room(n))
		t.n = len(t.of)
	}
	if r.Err() == nil {
		t.openColumns(r)
	}
	return t
}

// open reads the patterns.
func (t *patternTexts) open(r *codec.Reader, z *codec.Zstd) {
	count := r.Count(codec.MaxCount)
	block, _, rest, err := z.Decode(nil, r.Rest())
	if err != nil {
		r.Fail("patterns: %v", err)
		return
	}
	r.Take(r.Len() - len(rest))
	in := codec.NewReader(block)
	for range count {
		p, ok := pattern.Parse(text(in.Bytes()))
		if in.Err() != nil || !ok {
			r.Fail("no pattern of a value")
			return
		}
		t.patterns = append(t.patterns, p)
	}
}

// openColumns finds the columns of the variables.
func (t *patternTexts) openColumns(r *codec.Reader) {
	for _, k := range t.of {
		if uint64(k) >= uint64(len(t.patterns)) {
			r.Fail("pattern %d of %d", k, len(t.patterns))
			return
		}
	}
	t.nums, t.words = openTextVars(r, pattern.MaxNums), openTextVars(r, pattern.MaxWords)
	t.each(func(columns []textVars, of func(*pattern.Pattern) int) {
		for i := range t.patterns {
			if n := of(&t.patterns[i]); n > len(columns) {
				r.Fail("pattern with %d variables, there are %d", n, len(columns))
			}
		}
	})
}

// openTextVars reads the columns of one sort of variables, of which there are at most so many.
func openTextVars(r *codec.Reader, most int) []textVars {
	columns := make([]textVars, r.Count(most))
	for k := range columns {
		columns[k].column = r.Bytes()
	}
	return columns
}

// each calls f with the columns of each sort of variables, and how many a pattern has.
func (t *patternTexts) each(f func(columns []textVars, of func(*pattern.Pattern) int)) {
	f(t.nums, func(p *pattern.Pattern) int { return p.Nums })
	f(t.words, func(p *pattern.Pattern) int { return p.Words })
}

// decode decodes the columns of one sort of variables.
func (t *patternTexts) decode(r *codec.Reader, columns []textVars, of func(*pattern.Pattern) int, mem *buffer) {
	uses := t.uses()
	for k := range columns {
		c := &columns[k]
		in := codec.NewReader(c.column)
		want := uses.of(t, k, of)
		c.vals = in.Ints(mem.room(want))
		if in.Err() != nil || len(c.vals) != want || in.Len() > 0 {
			r.Fail("%d variables, want %d: %v", len(c.vals), want, in.Err())
			return
		}
		if want == len(t.of) {
			continue
		}
		c.index = make([]uint32, len(t.of))
		next := uint32(0)
		for i, number := range t.of {
			c.index[i] = next
			if of(&t.patterns[number]) > k {
				next++
			}
		}
	}
}

// patternUses is how many values have each pattern.
type patternUses []int

func (t *patternTexts) uses() patternUses {
	if len(t.patterns) == 1 {
		return patternUses{t.n}
	}
	uses := make(patternUses, len(t.patterns))
	for _, k := range t.of {
		uses[k]++
	}
	return uses
}

// of returns how many values have variable k of a sort.
func (u patternUses) of(t *patternTexts, k int, of func(*pattern.Pattern) int) (n int) {
	for i := range t.patterns {
		if of(&t.patterns[i]) > k {
			n += u[i]
		}
	}
	return n
}

// pick makes of t the values at the positions at, which ascend.
func (t *patternTexts) pick(r *codec.Reader, at []int32, p *codec.Picker) {
	if len(at) > 0 && int(at[len(at)-1]) >= t.n {
		r.Fail("value %d of %d", at[len(at)-1], t.n)
		return
	}
	uses, own := t.uses(), make([]int32, 0, len(at))
	t.each(func(columns []textVars, of func(*pattern.Pattern) int) {
		for k := range columns {
			c := &columns[k]
			want, where := uses.of(t, k, of), at
			if want < t.n {
				where = t.ranks(own[:0], at, func(number int64) bool { return of(&t.patterns[number]) > k })
				c.index = make([]uint32, len(at))
				next := uint32(0)
				for j, i := range at {
					c.index[j] = next
					if of(&t.patterns[t.of[i]]) > k {
						next++
					}
				}
			}
			vals, n, rest, err := p.Ints(make([]int64, 0, len(where)), c.column, where)
			if err != nil || n != want || len(rest) > 0 {
				r.Fail("%d variables, want %d: %v", n, want, err)
				return
			}
			c.vals = vals
		}
	})
	if t.n = len(at); len(t.patterns) == 1 {
		t.of = make([]int64, t.n)
		return
	}
	for j, i := range at {
		t.of[j] = t.of[i]
	}
	t.of = t.of[:t.n]
}

// ranks appends, for each of the values at that has what is counted, how many before it have.
func (t *patternTexts) ranks(dst, at []int32, has func(number int64) bool) []int32 {
	n := int32(0)
	for i, number := range t.of {
		if len(at) == 0 {
			break
		}
		counts := has(number)
		if int(at[0]) == i {
			if at = at[1:]; counts {
				dst = append(dst, n)
			}
		}
		if counts {
			n++
		}
	}
	return dst
}

// append appends value i.
func (t *patternTexts) append(dst []byte, i int) []byte {
	p := &t.patterns[t.of[i]]
	var nums [pattern.MaxNums]int64
	var words [pattern.MaxWords]int64
	for k := range p.Nums {
		nums[k] = t.nums[k].at(i)
	}
	for k := range p.Words {
		words[k] = t.words[k].at(i)
	}
	return p.Append(dst, nums[:], words[:])
}

// memory returns about how many bytes t holds when all texts are made.
func (t *patternTexts) memory() int {
	n := 0
	for _, number := range t.of {
		n += len(t.patterns[number].Text)
	}
	t.each(func(columns []textVars, _ func(*pattern.Pattern) int) {
		for k := range columns {
			n += 2 * 8 * len(columns[k].vals) // the integers, and about as many bytes of text
		}
	})
	return n
}

// textChunk is the memory that texts are made in.
const textChunk = 4 << 10

// text makes value i, which stays valid.
func (t *patternTexts) text(i int) string {
	at := len(t.arena)
	t.arena = t.append(t.arena, i)
	s := text(t.arena[at:])
	if cap(t.arena)-len(t.arena) < maxPatterned {
		t.arena = make([]byte, 0, textChunk)
	}
	return s
}

// all makes the values of t, which has those at the positions at: each once, or that of each
// of codes, which are among the positions.
func (t *patternTexts) all(at []int32, codes []int64) []string {
	values := make([]string, len(at))
	arena := make([]byte, 0, 32*len(at))
	for i := range values {
		from := len(arena)
		arena = t.append(arena, i) // values before keep their memory
		values[i] = text(arena[from:])
	}
	if codes == nil {
		return values
	}
	out := make([]string, len(codes))
	for i, code := range codes {
		k, _ := slices.BinarySearch(at, int32(code))
		out[i] = values[k]
	}
	return out
}

// equal returns what tells which values equal s.
func (t *patternTexts) equal(s string) func(i int64) bool {
	x := &pattern.Splitter{Long: true}
	code := int64(-1)
	if x.Split(s) {
		code = int64(slices.IndexFunc(t.patterns, func(p pattern.Pattern) bool { return p.Text == string(x.Text) }))
	}
	return func(i int64) bool { return t.of[i] == code && t.has(int(i), x) }
}

// has reports whether the variables of value i are those of x. Words differ most.
func (t *patternTexts) has(i int, x *pattern.Splitter) bool {
	for k, v := range x.Words {
		if t.words[k].at(i) != v {
			return false
		}
	}
	for k, v := range x.Nums {
		if t.nums[k].at(i) != v {
			return false
		}
	}
	return true
}
