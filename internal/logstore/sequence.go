package logstore

import (
	"encoding/binary"
	"regexp/syntax"
	"unicode"
)

// An expression like status=[45][0-9][0-9] is a sequence of sets of bytes. It has too many
// literals to look for each, but where it can lie in the lines of a template is known as for
// one literal (needle.go): across literals that fit, and variables of which a test is left.

// byteSet is a set of ASCII bytes.
type byteSet [2]uint64

func (s *byteSet) add(c byte) { s[c>>6] |= 1 << (c & 63) }

func (s *byteSet) has(c byte) bool { return c < 0x80 && s[c>>6]>>(c&63)&1 != 0 }

// sequence is what a text is looked for by: a text holds it if it has bytes of its sets next
// to each other.
type sequence []byteSet

// maxSequence bounds the sets of a sequence.
const maxSequence = 64

// sequenceOf returns the sequence that re means, nil if it means more than one.
func sequenceOf(re *syntax.Regexp) sequence {
	seq, ok := sequence{}.with(re)
	if !ok || len(seq) == 0 {
		return nil
	}
	return seq
}

// with returns q followed by what re means.
func (q sequence) with(re *syntax.Regexp) (_ sequence, ok bool) {
	if len(q) > maxSequence {
		return nil, false
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return q, true
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			var s byteSet
			for at := r; ; {
				if at >= 0x80 || at < 0 {
					return nil, false
				}
				s.add(byte(at))
				if at = unicode.SimpleFold(at); at == r || re.Flags&syntax.FoldCase == 0 {
					break
				}
			}
			q = append(q, s)
		}
	case syntax.OpCharClass:
		var s byteSet
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i+1] >= 0x80 {
				return nil, false
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				s.add(byte(r))
			}
		}
		q = append(q, s)
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			if q, ok = q.with(sub); !ok {
				return nil, false
			}
		}
	case syntax.OpRepeat:
		if re.Min != re.Max {
			return nil, false
		}
		for range re.Min {
			if q, ok = q.with(re.Sub[0]); !ok {
				return nil, false
			}
		}
	default:
		return nil, false
	}
	return q, len(q) <= maxSequence
}

// begins reports whether s begins with q.
func (q sequence) begins(s string) bool {
	if len(s) < len(q) {
		return false
	}
	for i := range q {
		if !q[i].has(s[i]) {
			return false
		}
	}
	return true
}

// within reports whether s holds q.
func (q sequence) within(s string) bool {
	for ; len(s) >= len(q); s = s[1:] {
		if q.begins(s) {
			return true
		}
	}
	return false
}

// key returns a string for what q is.
func (q sequence) key() string {
	var b []byte
	for _, s := range q {
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, s[0]), s[1])
	}
	return text(b)
}

func (q sequence) size() int { return len(q) }

func (q sequence) cut(from, to int) sequence { return q[from:to] }

func (q sequence) held(kind byte) int {
	set := kindSets[kind]
	n := 0
	for n < len(q) && (kind != varInt || n < maxDigits) && (q[n][0]&set[0] != 0 || q[n][1]&set[1] != 0) {
		n++
	}
	return n
}

// kindSets is what variables of each kind can hold of ASCII.
//
//nolint:gochecknoglobals // read-only table
var kindSets = func() (t [varText + 1]byteSet) {
	for kind := range t {
		for c := range byte(0x80) {
			if holdable(byte(kind), c) {
				t[kind].add(c)
			}
		}
	}
	return t
}()

func (q sequence) part(*template, int) spotPart { return spotPart{seq: q, number: -1} }
