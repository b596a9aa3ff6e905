package tracestore

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/pattern"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Strings of a column are written as their text, compressed, or in patterns: the patterns,
// which of them each string has, and the variables as integer columns, one for the first
// number of each string, one for its second and so on; the same for words. Patterns take a
// fraction of the bytes where strings differ by numbers and ids, and can be searched
// without the text.

// minPatterned is how many strings a column in patterns has.
const minPatterned = 64

// retryPatterns is how many groups a choice between text and patterns lasts.
const retryPatterns = 32

// textWriter encodes strings in patterns.
type textWriter struct {
	split    pattern.Splitter
	index    map[string]int64
	patterns []byte // encoded
	codes    []int64
	nums     [pattern.MaxNums][]int64
	words    [pattern.MaxWords][]int64
	choices  map[textKey]textChoice
}

// textKey is a string field, or an attribute: the field is then numStrs plus the domain.
type textKey struct {
	field int
	attrKey
}

// textChoice is what was found out of a column.
type textChoice struct {
	patterns bool // take less
	left     int  // groups for which that holds
}

// gather splits all strings; false if they have too little in common.
func (w *textWriter) gather(strs []string) bool {
	if w.index == nil {
		w.index = map[string]int64{}
	}
	clear(w.index)
	w.patterns, w.codes = w.patterns[:0], w.codes[:0]
	for k := range w.nums {
		w.nums[k] = w.nums[k][:0]
	}
	for k := range w.words {
		w.words[k] = w.words[k][:0]
	}
	variables := 0
	for _, s := range strs {
		if !w.split.Split(s) {
			return false
		}
		code, ok := w.index[string(w.split.Text)]
		if !ok {
			if len(w.index) > 16+len(strs)/16 {
				return false
			}
			code = int64(len(w.index))
			w.index[string(w.split.Text)] = code
			w.patterns = codec.AppendBytes(w.patterns, w.split.Text)
		}
		w.codes = append(w.codes, code)
		for k, v := range w.split.Nums {
			w.nums[k] = append(w.nums[k], v)
		}
		for k, v := range w.split.Words {
			w.words[k] = append(w.words[k], v)
		}
		variables += len(w.split.Nums) + len(w.split.Words)
	}
	return variables > 0
}

// patterned appends strs in patterns to e.buf; false if that is not the better way.
func (e *encoder) patterned(key textKey, strs []string) bool {
	if e.z == nil || len(strs) < minPatterned || key.field == sRes || key.field == sScope || key.typ > store.ValueString {
		return false
	}
	w := &e.texts
	choice := w.choices[key]
	if choice.left > 0 && !choice.patterns {
		choice.left--
		w.choices[key] = choice
		return false
	}
	ok := w.gather(strs)
	at := len(e.buf)
	if ok {
		e.patterns()
	}
	if choice.left--; choice.left < 0 {
		if ok {
			size := len(e.buf) - at
			e.plain(strs)
			ok = size < len(e.buf)-at-size
			e.buf = e.buf[:at+size]
		}
		choice = textChoice{ok, retryPatterns}
	}
	if w.choices == nil {
		w.choices = map[textKey]textChoice{}
	}
	w.choices[key] = choice
	if !ok {
		e.buf = e.buf[:at]
	}
	return ok
}

// patterns appends what was gathered.
func (e *encoder) patterns() {
	w := &e.texts
	e.raw = binary.AppendUvarint(e.raw[:0], uint64(len(w.index)))
	e.raw = append(e.raw, w.patterns...)
	e.buf = e.z.Append(e.buf, e.raw)
	e.ints(w.codes, true)
	for _, columns := range [...][][]int64{w.nums[:], w.words[:]} {
		n := 0
		for n < len(columns) && len(columns[n]) > 0 {
			n++
		}
		e.buf = binary.AppendUvarint(e.buf, uint64(n))
		for _, vs := range columns[:n] {
			e.tmp = codec.AppendInts(e.tmp[:0], vs)
			e.buf = codec.AppendBytes(e.buf, e.tmp)
		}
	}
}

// plain appends strs as lengths and text.
func (e *encoder) plain(strs []string) {
	e.nums, e.raw = e.nums[:0], e.raw[:0]
	for _, s := range strs {
		e.nums = append(e.nums, int64(len(s)))
		e.raw = append(e.raw, s...)
	}
	e.ints(e.nums, len(e.nums) > 64)
	e.buf = e.z.Append(e.buf, e.raw)
}

// plainTexts is strings that are not in patterns, as they are read: to look for one is
// several times cheaper than to make all of them.
type plainTexts struct {
	lens []int64
	text []byte
}

// plain reads strings that are not in patterns.
func (r *decoder) plain() *plainTexts {
	r.mem.nums = r.numbers(r.mem.nums[:0])
	t := &plainTexts{lens: append(r.mem.ints.take(len(r.mem.nums)), r.mem.nums...), text: r.keptBlock()}
	left := len(t.text)
	for _, n := range t.lens {
		if n < 0 || n > int64(left) {
			r.Fail("string of %d bytes, %d are left", n, left)
		}
		left -= int(n)
	}
	if r.Err() != nil {
		return nil
	}
	return t
}

// lacks reports whether no string contains literal, or, if whole is set, is it.
func (t *plainTexts) lacks(literal string, whole bool) bool {
	if !whole {
		return !bytes.Contains(t.text, []byte(literal))
	}
	text := t.text
	for _, n := range t.lens {
		if int(n) == len(literal) && string(text[:n]) == literal {
			return false
		}
		text = text[n:]
	}
	return true
}

// patternTexts is strings in patterns, as they are read: codes and variables are decoded, the
// text is made when it is asked for.
type patternTexts struct {
	patterns []pattern.Pattern
	codes    []int64 // pattern of each string
	nums     []varColumn
	words    []varColumn
	mem      *scratch
}

// varColumn is the k-th number or word of the strings that have one.
type varColumn struct {
	raw   []byte
	n     int
	vals  []int64  // nil until decoded
	index []uint32 // of each string's value; nil if every string has one
}

// texts reads strings in patterns.
func (r *decoder) texts() *patternTexts {
	t := &patternTexts{mem: r.mem}
	in := codec.NewReader(r.block())
	count := in.Count(in.Len())
	for range count {
		p, ok := pattern.Parse(string(in.Bytes()))
		if !ok {
			in.Fail("no pattern of a string")
		}
		t.patterns = append(t.patterns, p)
	}
	if err := in.Err(); err != nil {
		r.Fail("patterns: %v", err)
		return nil
	}
	r.mem.nums = r.numbers(r.mem.nums[:0])
	n := len(r.mem.nums)
	t.codes = append(r.mem.ints.take(n), r.mem.nums...)
	uses := t.uses(r)
	if r.Err() != nil {
		return nil
	}
	t.nums = r.variables(t, uses, pattern.MaxNums, func(p *pattern.Pattern) int { return p.Nums })
	t.words = r.variables(t, uses, pattern.MaxWords, func(p *pattern.Pattern) int { return p.Words })
	if r.Err() != nil {
		return nil
	}
	return t
}

// uses returns how many strings each pattern has.
func (t *patternTexts) uses(r *decoder) []int {
	uses := make([]int, len(t.patterns))
	var all int64 // bits of all codes
	for _, code := range t.codes {
		all |= code
	}
	if all == 0 && len(uses) > 0 { // many columns have one pattern
		uses[0] = len(t.codes)
		return uses
	}
	for _, code := range t.codes {
		if uint64(code) >= uint64(len(uses)) {
			r.Fail("pattern %d of %d", code, len(uses))
			break
		}
		uses[code]++
	}
	return uses
}

// variables reads the columns of one sort of variables. of tells how many a pattern has,
// uses how many strings a pattern has.
func (r *decoder) variables(t *patternTexts, uses []int, most int, of func(*pattern.Pattern) int) []varColumn {
	columns := make([]varColumn, r.Count(most))
	for k := range columns {
		b := r.Bytes()
		columns[k].raw = append(r.mem.raw.take(len(b)), b...)
	}
	for i := range t.patterns {
		if of(&t.patterns[i]) > len(columns) {
			r.Fail("pattern with %d variables, there are %d", of(&t.patterns[i]), len(columns))
			return nil
		}
		for k := range of(&t.patterns[i]) {
			columns[k].n += uses[i]
		}
	}
	for k := range columns {
		c := &columns[k]
		if c.n == len(t.codes) {
			continue
		}
		c.index = r.mem.codes.take(len(t.codes))
		next := uint32(0)
		for _, code := range t.codes {
			c.index = append(c.index, next)
			if of(&t.patterns[code]) > k {
				next++
			}
		}
	}
	return columns
}

// decode decodes the variables.
func (t *patternTexts) decode(columns []varColumn) error {
	for k := range columns {
		c := &columns[k]
		if c.vals != nil || c.n == 0 {
			continue
		}
		in := codec.NewReader(c.raw)
		vals := in.Ints(t.mem.ints.take(c.n))
		if in.Err() == nil && (len(vals) != c.n || in.Len() > 0) {
			in.Fail("%d variables, want %d", len(vals), c.n)
		}
		if err := in.Err(); err != nil {
			return err
		}
		c.vals = vals
	}
	return nil
}

func (t *patternTexts) decodeAll() error {
	if err := t.decode(t.nums); err != nil {
		return err
	}
	return t.decode(t.words)
}

// at returns the value of string i.
func (c *varColumn) at(i int) int64 {
	if c.index != nil {
		i = int(c.index[i])
	}
	return c.vals[i]
}

// append appends string i. All variables must be decoded.
func (t *patternTexts) append(dst []byte, i int) []byte {
	p := &t.patterns[t.codes[i]]
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

// fill makes strings from..to of dst, which has room for all.
func (t *patternTexts) fill(dst []string, from, to int) {
	buf, at := t.mem.text[:0], t.mem.ends[:0]
	for i := from; i < to; i++ {
		buf = t.append(buf, i)
		at = append(at, len(buf))
	}
	text, prev := string(buf), 0
	for i, end := range at {
		dst[from+i] = text[prev:end]
		prev = end
	}
	t.mem.text, t.mem.ends = buf, at
}

// equal returns which strings equal s; nil means none.
func (t *patternTexts) equal(s string) ([]bool, error) {
	x := &t.mem.split
	if !x.Split(s) {
		return nil, nil
	}
	code := int64(slices.IndexFunc(t.patterns, func(p pattern.Pattern) bool { return p.Text == string(x.Text) }))
	if code < 0 {
		return nil, nil
	}
	columns, want := t.words, x.Words
	if len(want) == 0 {
		columns, want = t.nums, x.Nums
	}
	// The greatest variable is likely to be the one that differs most.
	k := 0
	for i, v := range want {
		if uint64(v) > uint64(want[k]) {
			k = i
		}
	}
	var out []bool
	hit := func(i int) {
		if t.codes[i] != code {
			return
		}
		for k, v := range x.Nums {
			if t.nums[k].at(i) != v {
				return
			}
		}
		for k, v := range x.Words {
			if t.words[k].at(i) != v {
				return
			}
		}
		if out == nil {
			out = make([]bool, len(t.codes))
		}
		out[i] = true
	}
	if len(want) == 0 {
		for i := range t.codes {
			hit(i)
		}
		return out, nil
	}
	if err := t.decode(columns[k : k+1]); err != nil {
		return nil, err
	}
	c := &columns[k]
	if !slices.Contains(c.vals, want[k]) {
		return nil, nil
	}
	if err := t.decodeAll(); err != nil {
		return nil, err
	}
	for i, of := range t.codes {
		if of == code && c.at(i) == want[k] {
			hit(i)
		}
	}
	return out, nil
}

// matching returns which strings f holds for; nil means none. Strings whose pattern
// cannot contain literal are not made.
func (t *patternTexts) matching(literal string, f func([]byte) bool) ([]bool, error) {
	may, some := make([]bool, len(t.patterns)), false
	for i := range t.patterns {
		may[i] = t.patterns[i].Admits(literal)
		some = some || may[i]
	}
	if !some {
		return nil, nil
	}
	if err := t.decodeAll(); err != nil {
		return nil, err
	}
	var out []bool
	buf := t.mem.text[:0]
	for i, code := range t.codes {
		if !may[code] {
			continue
		}
		if buf = t.append(buf[:0], i); f(buf) {
			if out == nil {
				out = make([]bool, len(t.codes))
			}
			out[i] = true
		}
	}
	t.mem.text = buf
	return out, nil
}
