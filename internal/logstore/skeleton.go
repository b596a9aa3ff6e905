package logstore

import (
	"encoding/binary"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// Log lines are mostly printed from few formats: what differs are numbers and ids. The
// third layout of the lines column separates the two. A line is its skeleton, the
// literals between its variables, and the variables:
//
//	10.1.2.3 took=15ms trace=4bf92f3577b34da6
//	‹int›.‹int›.‹int›.‹int› took=‹int›ms trace=‹hex›
//
// A variable is a run of at most 18 digits; a token of at least 8 lower-case hex digits,
// some of them letters; or any other token in which letters and digits take turns often.
// Keys of fields stay whole.
// Variables that stand at the same place of similar lines form a column.
//
// What a line is without its variables is its template; those of a part are in its index
// (templates.go).
//
//	bytes of the text uvarint
//	only if the templates are not in the index (else see linerows.go):
//	  literals of all templates: strings
//	  for each template its variables: ints
//	  for each variable of each template its column: ints
//	  the template of each row: ints
//	columns uvarint, each its length and: kind byte, then
//	  varInt:    values: ints (no leading zeros)
//	  varPadded: width uvarint, values: ints
//	  varMixed:  widths: ints, values: ints
//	  varHex:    number of digits uvarint, values: text block, two digits a byte
//	  varHexMix: numbers of digits: ints, values: text block, each padded to a byte
//	  varText:   strings
//
// So a block takes two thirds of the space of compressed text, and a filter for a word
// is decided by looking at the skeletons: see [lineFilter.decide].
const (
	varInt    = 0
	varPadded = 1
	varMixed  = 2
	varHex    = 3
	varHexMix = 4
	varText   = 5
)

const (
	maxDigits    = 18 // of an integer variable
	minHex       = 8  // digits of a hex variable
	maxHex       = 1 << 20
	maxTurns     = 3 // between letters and digits in a token that is not one variable
	contextBytes = 6 // before a variable that tell its column
)

// skeletonBuilder separates the lines of a block.
type skeletonBuilder struct {
	templates []uint32 // of the block, numbers in the table
	rows      []int64  // for each row, which of templates
	columns   []varColumn

	list    []*template
	cols    [][]int32 // for each of templates
	local   []int32   // for each template of the table, its index in templates + 1
	byPlace []int32   // for each place of the table, its column + 1

	dir directory // of the lines column, after encode

	key     []byte
	vars    []variable
	tokens  []variable // tokens with digits; kind is the classes of their bytes
	section []byte
}

// variable is a variable of the current line: line[from:to].
type variable struct {
	kind     byte // varInt, varHex or varText
	from, to int
}

// varColumn is the variables of one place, of one for each row that has it.
type varColumn struct {
	kind     byte
	n        int
	min, max int     // widths
	padded   bool    // some integer has leading zeros
	widths   []int64 // of integers once one is padded; of hex numbers once two differ
	ints     []int64
	bytes    []byte
	texts    []string
}

// build separates text, lines of the lengths lens, enters their templates into t, and makes
// filter hold their tokens: those without digits once for each template. It reports false
// if the lines are not alike enough to gain by it.
func (b *skeletonBuilder) build(t *templateTable, txt []byte, lens []int64, filter *filterBuilder) bool {
	filter.reset()
	b.templates, b.list, b.cols = b.templates[:0], b.list[:0], b.cols[:0]
	b.columns, b.rows = b.columns[:0], b.rows[:0]
	b.dir.reset()
	clear(b.local)
	clear(b.byPlace)
	had := len(t.list)
	most := max(16, len(lens)/8)
	at := 0
	for _, n := range lens {
		line := text(txt[at : at+int(n)])
		at += int(n) + 1
		if !b.split(line) {
			t.truncate(had)
			return false
		}
		id, ok := t.byKey[string(b.key)]
		if !ok {
			id = t.add(text(b.key))
		}
		for int(id) >= len(b.local) {
			b.local = append(b.local, 0)
		}
		k := b.local[id] - 1
		if k < 0 {
			if len(b.templates) == most {
				t.truncate(had)
				return false
			}
			k = int32(len(b.templates))
			b.local[id] = k + 1
			b.use(t, id)
			for _, lit := range t.list[id].lits {
				filter.tokens(bytesOf(lit))
			}
		}
		for _, v := range b.tokens {
			filter.token(line[v.from:v.to], v.kind)
		}
		b.rows = append(b.rows, int64(k))
		for i, v := range b.vars {
			b.columns[b.cols[k][i]].add(line[v.from:v.to])
		}
	}
	return true
}

// appendRows appends the rows column of the lines that were built and encoded last.
// templates is the outcome: nil if they are not in the index.
func (b *skeletonBuilder) appendRows(dst []byte, lens []int64, templates []uint32) []byte {
	if templates == nil {
		return appendRows(dst, lens, nil, nil)
	}
	return appendRows(dst, lens, b.rows, &b.dir)
}

// use adds a template to the block, and its columns as [columnsOf] numbers them.
func (b *skeletonBuilder) use(t *templateTable, id int32) {
	tp := t.list[id]
	b.templates, b.list = append(b.templates, uint32(id)), append(b.list, tp)
	cols := make([]int32, len(tp.places))
	for i, p := range tp.places {
		for int(p) >= len(b.byPlace) {
			b.byPlace = append(b.byPlace, 0)
		}
		if b.byPlace[p] == 0 {
			b.addColumn(tp.kinds[i])
			b.dir.first(len(b.templates)-1, i)
			b.byPlace[p] = int32(len(b.columns))
		}
		cols[i] = b.byPlace[p] - 1
	}
	b.cols = append(b.cols, cols)
}

// split finds the variables of line and its key: the literals with a byte for each
// variable in between. It reports false if line holds such bytes itself.
func (b *skeletonBuilder) split(line string) bool {
	key, vars, tokens := b.key[:0], b.vars[:0], b.tokens[:0]
	lit := 0 // begin of the current literal
	for i := 0; i < len(line); {
		class := splitClass[line[i]]
		if class&classToken == 0 {
			if class == classKind {
				return false
			}
			i++
			continue
		}
		from := i
		for i++; i < len(line); i++ {
			c := splitClass[line[i]]
			if c&classToken == 0 {
				break
			}
			class |= c
		}
		if class&classDigit == 0 {
			continue
		}
		if class == classDigit && i-from <= maxDigits { // most tokens with digits are numbers
			v := variable{varInt, from, i}
			tokens, vars = append(tokens, variable{classDigit, from, i}), append(vars, v)
			key = append(append(key, line[lit:from]...), varInt)
			lit = i
			continue
		}
		if class&classLetter != 0 && isKey(line, i) {
			continue
		}
		tokens = append(tokens, variable{class & classToken, from, i})
		before := len(vars)
		vars = appendVariables(vars, line, from, i, class)
		for _, v := range vars[before:] {
			key = append(append(key, line[lit:v.from]...), v.kind)
			lit = v.to
		}
	}
	b.key, b.vars, b.tokens = append(key, line[lit:]...), vars, tokens
	return true
}

// Classes of bytes beside those of tokens.
const (
	classToken = classLetter | classDigit
	classPlain = 4 // a letter that is no hex digit
	classKind  = 8 // the byte of a variable in a key
)

// splitClass is the classes of bytes in lines.
//
//nolint:gochecknoglobals // read-only table
var splitClass = func() (t [256]byte) {
	for c := range t {
		switch t[c] = byteClass[c]; {
		case c <= varText:
			t[c] = classKind
		case t[c] == classLetter && nibbles[c] > 0xf:
			t[c] |= classPlain
		}
	}
	return t
}()

// isKey reports whether the token before line[i] is the key of a field, key= or "key":.
func isKey(line string, i int) bool {
	return i < len(line) && (line[i] == '=' || line[i] == '"' && i+1 < len(line) && line[i+1] == ':')
}

// appendVariables appends the variables of the token line[from:to], which has a digit;
// class is the classes of its bytes.
func appendVariables(vars []variable, line string, from, to int, class byte) []variable {
	if class&classLetter == 0 {
		kind := byte(varInt)
		if to-from > maxDigits {
			kind = varText
		}
		return append(vars, variable{kind, from, to})
	}
	if to-from >= minHex && to-from <= maxHex && class&classPlain == 0 {
		return append(vars, variable{varHex, from, to})
	}
	before := len(vars)
	turns := 0
	for i := from; i < to; {
		c := byteClass[line[i]]
		run := i
		for i < to && byteClass[line[i]] == c {
			i++
		}
		if c == classDigit {
			if i-run > maxDigits {
				turns = maxTurns + 1
			}
			vars = append(vars, variable{varInt, run, i})
		}
		if i < to {
			turns++
		}
	}
	if turns > maxTurns {
		vars = append(vars[:before], variable{varText, from, to})
	}
	return vars
}

// nibbles is the values of lower-case hex digits, 0xff for other bytes.
//
//nolint:gochecknoglobals // read-only table
var nibbles = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(hexDigits) {
		t[hexDigits[i]] = byte(i)
	}
	return t
}()

// addColumn adds a column, in the memory of one of the block before if there is.
func (b *skeletonBuilder) addColumn(kind byte) {
	n := len(b.columns)
	if n == cap(b.columns) {
		b.columns = append(b.columns, varColumn{kind: kind})
		return
	}
	b.columns = b.columns[:n+1]
	c := &b.columns[n]
	*c = varColumn{kind: kind, widths: c.widths[:0], ints: c.ints[:0], bytes: c.bytes[:0], texts: c.texts[:0]}
}

func (c *varColumn) add(s string) {
	w := len(s)
	if c.n == 0 {
		c.min, c.max = w, w
	}
	switch c.kind {
	case varInt:
		v := int64(0)
		for i := range len(s) {
			v = v*10 + int64(s[i]-'0')
		}
		if s[0] == '0' && w > 1 && !c.padded {
			c.padded = true
			for _, old := range c.ints {
				c.widths = append(c.widths, int64(decimalLen(old)))
			}
		}
		c.ints = append(c.ints, v)
		if c.padded {
			c.widths = append(c.widths, int64(w))
		}
	case varHex:
		if len(c.widths) == 0 && w != c.min {
			for range c.n {
				c.widths = append(c.widths, int64(c.min))
			}
		}
		if len(c.widths) > 0 {
			c.widths = append(c.widths, int64(w))
		}
		for i := 0; i < len(s); i += 2 {
			v := nibbles[s[i]] << 4
			if i+1 < len(s) {
				v |= nibbles[s[i+1]]
			}
			c.bytes = append(c.bytes, v)
		}
	default:
		c.texts = append(c.texts, s)
	}
	c.n++
	c.min, c.max = min(c.min, w), max(c.max, w)
}

func decimalLen(v int64) int {
	n := 1
	for ; v >= 10; v /= 10 {
		n++
	}
	return n
}

// encode appends the column after build: with the templates and the rows themselves if the
// table is not stored.
func (b *skeletonBuilder) encode(dst []byte, size int, stored bool, z *codec.Zstd) []byte {
	from := len(dst)
	if stored {
		dst = append(dst, linesTemplates)
		dst = binary.AppendUvarint(dst, uint64(size))
	} else {
		dst = appendSkeletons(dst, size, b.list, z)
		dst = codec.AppendInts(dst, b.rows)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.columns)))
	for i := range b.columns {
		b.section = b.columns[i].encode(b.section[:0], z)
		dst = codec.AppendBytes(dst, b.section)
		b.dir.column(len(dst)-from, b.section)
	}
	return dst
}

// appendSkeletons appends the begin of a column of the skeleton layout, up to the rows.
func appendSkeletons(dst []byte, size int, list []*template, z *codec.Zstd) []byte {
	dst = append(dst, linesSkeleton)
	dst = binary.AppendUvarint(dst, uint64(size))
	var lits []string
	var counts, cols []int64
	byPlace, _ := columnsOf(list, nil)
	for _, tp := range list {
		lits = append(lits, tp.lits...)
		counts = append(counts, int64(len(tp.kinds)))
		for _, p := range tp.places {
			cols = append(cols, int64(byPlace[p]-1))
		}
	}
	dst = codec.AppendStrings(dst, lits, z)
	dst = codec.AppendInts(dst, counts)
	return codec.AppendInts(dst, cols)
}

func (c *varColumn) encode(dst []byte, z *codec.Zstd) []byte {
	same := c.min == c.max
	switch {
	case c.kind == varText:
		return codec.AppendStrings(append(dst, varText), c.texts, z)
	case c.kind == varHex && same:
		dst = binary.AppendUvarint(append(dst, varHex), uint64(c.min))
		return z.Append(dst, c.bytes)
	case c.kind == varHex:
		dst = codec.AppendInts(append(dst, varHexMix), c.widths)
		return z.Append(dst, c.bytes)
	case !c.padded:
		return codec.AppendInts(append(dst, varInt), c.ints)
	case same:
		dst = binary.AppendUvarint(append(dst, varPadded), uint64(c.min))
		return codec.AppendInts(dst, c.ints)
	}
	dst = codec.AppendInts(append(dst, varMixed), c.widths)
	return codec.AppendInts(dst, c.ints)
}
