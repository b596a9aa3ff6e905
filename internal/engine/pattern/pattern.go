// Package pattern splits texts into what they have in common and the numbers and ids in
// which they differ, so that a column of such texts is a few patterns and columns of
// integers.
//
// A pattern is what texts of one origin have in common: the text with a mark in the place
// of each number, UUID and hexadecimal id. "user_4711" and "user_12" are numbers of one
// pattern. What a text is split into follows from the text alone, so that two texts are
// equal if and only if their patterns and variables are:
//
//	var x pattern.Splitter
//	x.Split("user_4711")                          // x.Text is the pattern, x.Nums is 4711
//	p, ok := pattern.Parse(string(x.Text))
//	text := p.Append(nil, x.Nums, x.Words)        // "user_4711"
//
// Columns of texts go on with the pattern of the text before: see [Splitter.SplitLike].
package pattern

import (
	"strconv"
	"strings"
)

// In a pattern a variable is varMark and a byte that says how its value is written:
//
//	varNumber       a decimal number without leading zeros, up to 18 digits (see Long)
//	varUUID         a UUID in lower case: two words
//	varPadded + n   a decimal number of n digits with leading zeros
//	varHex + n      n hexadecimal digits in lower case, up to 16: one word
//
// Words are kept apart from the other variables, since they take many more bits.
const (
	varMark   = 0xff // in no UTF-8 text
	varNumber = 1
	varUUID   = 2
	varPadded = 0x10
	varHex    = 0x30

	maxDigits = 18
	minHex    = 8 // digits of a hexadecimal id
	uuidLen   = 36
	hexDigits = "0123456789abcdef"
)

// The variables of a text. What comes after them is part of the pattern.
const (
	MaxNums  = 16
	MaxWords = 8
)

// Classes of bytes.
const (
	classOther = iota
	classLetter
	classHex   // a to f
	classDigit // 0 to 9
)

func classOf(c byte) int {
	switch {
	case c-'0' < 10:
		return classDigit
	case c-'a' < 6:
		return classHex
	case c-'a' < 26 || c-'A' < 26 || c >= 0x80:
		return classLetter
	}
	return classOther
}

// Splitter splits texts. What it found in the last one stays until the next.
type Splitter struct {
	// Long makes numbers of 19 digits variables if they are int64, as Unix times in
	// nanoseconds are. It has to be the same wherever patterns are compared.
	Long bool

	Text  []byte  // of the pattern
	Nums  []int64 // numbers, in order
	Words []int64 // ids, in order
}

// Split splits s; false if s cannot be split, because it is no text.
func (x *Splitter) Split(s string) bool {
	x.Text, x.Nums, x.Words = x.Text[:0], x.Nums[:0], x.Words[:0]
	for i := 0; i < len(s); {
		if classOf(s[i]) == classOther {
			x.Text = append(x.Text, s[i])
			i++
			continue
		}
		end, digits, letters := i, 0, 0
		for ; end < len(s); end++ {
			c := classOf(s[end])
			if c == classOther {
				break
			}
			if s[end] == varMark {
				return false
			}
			switch c {
			case classDigit:
				digits++
			case classLetter:
				letters++
			}
		}
		switch {
		case letters == 0 && end-i == 8 && x.uuid(s[i:]):
			end = i + uuidLen
		case letters == 0 && digits > 0 && digits < end-i && end-i >= minHex && len(x.Words)+(end-i+15)/16 <= MaxWords:
			for ; i < end; i += 16 {
				n := min(16, end-i)
				v, _ := parseHex(s[i : i+n])
				x.variable(varHex+byte(n), &x.Words, v)
			}
		case digits == 0:
			x.Text = append(x.Text, s[i:end]...)
		default:
			x.run(s[i:end])
		}
		i = end
	}
	return true
}

// variable appends a variable.
func (x *Splitter) variable(kind byte, to *[]int64, v int64) {
	x.Text = append(x.Text, varMark, kind)
	*to = append(*to, v)
}

// run splits a run of letters and digits.
func (x *Splitter) run(s string) {
	for i := 0; i < len(s); {
		if classOf(s[i]) != classDigit {
			x.Text = append(x.Text, s[i])
			i++
			continue
		}
		end, v := i, int64(0)
		for ; end < len(s) && classOf(s[end]) == classDigit; end++ {
			if end-i <= maxDigits {
				v = v*10 + int64(s[end]-'0') // of 19 digits it may be negative
			}
		}
		n := end - i
		switch {
		case !x.takes(n, v, s[i]) || len(x.Nums) == MaxNums:
			x.Text = append(x.Text, s[i:end]...)
		case s[i] == '0' && n > 1:
			x.variable(varPadded+byte(n), &x.Nums, v)
		default:
			x.variable(varNumber, &x.Nums, v)
		}
		i = end
	}
}

// takes reports whether n digits that begin with first, of the value v, are a variable.
func (x *Splitter) takes(n int, v int64, first byte) bool {
	return n <= maxDigits || x.Long && n == maxDigits+1 && first != '0' && v > 0
}

// uuid splits the UUID that s, which begins with a run of 8 digits, begins with.
func (x *Splitter) uuid(s string) bool {
	if len(x.Words)+2 > MaxWords {
		return false
	}
	a, b, ok := parseUUID(s)
	if ok {
		x.variable(varUUID, &x.Words, a)
		x.Words = append(x.Words, b)
	}
	return ok
}

// parseUUID returns the words of the UUID that s begins with.
func parseUUID(s string) (a, b int64, ok bool) {
	if len(s) < uuidLen || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return 0, 0, false
	}
	if len(s) > uuidLen && classOf(s[uuidLen]) != classOther {
		return 0, 0, false
	}
	var words [2]int64
	for i, part := range [...]string{s[:8], s[9:13], s[14:18], s[19:23], s[24:36]} {
		v, ok := parseHex(part)
		if !ok {
			return 0, 0, false
		}
		w := &words[min(1, i/3)]
		*w = *w<<(4*len(part)) | v
	}
	return words[0], words[1], true
}

// parseHex returns the value of at most 16 hexadecimal digits in lower case.
func parseHex(s string) (v int64, ok bool) {
	for i := range len(s) {
		switch c := s[i]; classOf(c) {
		case classDigit:
			v = v<<4 | int64(c-'0')
		case classHex:
			v = v<<4 | int64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// Pattern is a parsed pattern.
type Pattern struct {
	Text  string
	Nums  int // variables of each sort
	Words int
	lits  []string // before each variable, and after the last one
	kinds []byte
}

// Parse parses a pattern as [Splitter] makes them; false if it is none.
func Parse(text string) (p Pattern, ok bool) {
	p.Text = text
	for rest := text; ; {
		i := strings.IndexByte(rest, varMark)
		if i < 0 {
			p.lits = append(p.lits, rest)
			return p, p.Nums <= MaxNums && p.Words <= MaxWords
		}
		if i+1 == len(rest) {
			return p, false
		}
		switch kind := rest[i+1]; {
		case kind == varNumber || kind > varPadded && kind <= varPadded+maxDigits:
			p.Nums++
		case kind == varUUID:
			p.Words += 2
		case kind > varHex && kind <= varHex+16:
			p.Words++
		default:
			return p, false
		}
		p.lits, p.kinds = append(p.lits, rest[:i]), append(p.kinds, rest[i+1])
		rest = rest[i+2:]
	}
}

// Append appends the text of p with the variables, of which there are enough.
func (p *Pattern) Append(dst []byte, nums, words []int64) []byte {
	for i, kind := range p.kinds {
		dst = append(dst, p.lits[i]...)
		switch {
		case kind == varNumber:
			dst = strconv.AppendInt(dst, nums[0], 10)
			nums = nums[1:]
		case kind == varUUID:
			a, b := uint64(words[0]), uint64(words[1])
			words = words[2:]
			dst = append(appendHex(dst, a>>32, 8), '-')
			dst = append(appendHex(dst, a>>16, 4), '-')
			dst = append(appendHex(dst, a, 4), '-')
			dst = append(appendHex(dst, b>>48, 4), '-')
			dst = appendHex(dst, b, 12)
		case kind > varHex:
			dst = appendHex(dst, uint64(words[0]), int(kind-varHex))
			words = words[1:]
		default:
			dst = appendPadded(dst, nums[0], int(kind-varPadded))
			nums = nums[1:]
		}
	}
	return append(dst, p.lits[len(p.kinds)]...)
}

// appendHex appends the last n hexadecimal digits of v.
func appendHex(dst []byte, v uint64, n int) []byte {
	for n--; n >= 0; n-- {
		dst = append(dst, hexDigits[v>>(4*n)&15])
	}
	return dst
}

// appendPadded appends the last n decimal digits of v.
func appendPadded(dst []byte, v int64, n int) []byte {
	at := len(dst)
	dst = append(dst, "000000000000000000"[:n]...)
	for i := at + n - 1; i >= at && v > 0; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
	return dst
}

// Decimal reports whether texts of p are decimal numbers, and whether with a fraction.
func (p *Pattern) Decimal() (number, fraction bool) {
	if len(p.kinds) == 0 || p.kinds[0] != varNumber || p.lits[0] != "" && p.lits[0] != "-" {
		return false, false
	}
	switch len(p.kinds) {
	case 1:
		return p.lits[1] == "", false
	case 2:
		number = p.lits[1] == "." && p.lits[2] == "" && (p.kinds[1] == varNumber || p.kinds[1] < varHex && p.kinds[1] > varPadded)
	}
	return number, number
}

// Admits reports whether a text of p may contain literal: what of it can be part of no
// variable must be in the pattern.
func (p *Pattern) Admits(literal string) bool {
	for len(literal) > 0 {
		n := 0
		for n < len(literal) && !variableByte(literal[n]) {
			n++
		}
		if n > 0 && !strings.Contains(p.Text, literal[:n]) {
			return false
		}
		literal = literal[max(n, 1):]
	}
	return true
}

// variableByte reports whether c occurs in texts of variables.
func variableByte(c byte) bool {
	class := classOf(c)
	return class == classDigit || class == classHex || c == '-'
}
