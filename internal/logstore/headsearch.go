package logstore

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"
)

// Lines in memory have no filter: building one would cost every entry more than most queries
// ever gain by it. But they lie in the texts of their records, one behind the other, and a
// literal that a line filter needs is looked for in whole texts at a tenth of the cost of
// looking into line after line. Rows whose text lacks it are passed over by their address.

// headRuns is a snapshot of the rows of one head.
type headRuns struct {
	runs  []run
	texts []string // that hold all lines of the head
	rows  int      // of the head
}

const (
	maxHeadLiterals = 4       // that are looked for, at most
	rareSample      = 1 << 12 // bytes of text that tell which byte of a literal is rare
)

// search looks for what fs need in the texts of h, as far as that is quick, and reports whether
// no row satisfies all of fs. Runs get to know in which texts rows can lie that do; passed is
// the bytes of the others.
func (h *headRuns) search(fs []lineFilter) (lacks bool, passed int64) {
	if 2*h.selected() < h.rows { // streams of few rows are looked at themselves
		return false, 0
	}
	in := h.texts
	for i := range fs {
		if !fs[i].prunes() || len(in) == 0 {
			continue
		}
		if literals := fs[i].literals(); len(literals) <= maxHeadLiterals {
			in = holding(in, literals)
		}
	}
	if len(in) == len(h.texts) {
		return false, 0
	}
	for _, t := range h.texts {
		passed += int64(len(t))
	}
	for _, t := range in {
		passed -= int64(len(t))
	}
	within := newTextSet(in)
	for i := range h.runs {
		h.runs[i].within = within
	}
	return len(in) == 0, passed
}

// selected returns the number of rows of the runs.
func (h *headRuns) selected() int {
	n := 0
	for i := range h.runs {
		n += len(h.runs[i].rows)
	}
	return n
}

// literals returns strings of which one is in every line that satisfies f, which prunes.
func (f *lineFilter) literals() []string {
	var out []string
	for i := range f.patterns {
		if p := &f.patterns[i]; p.re == nil {
			out = append(out, p.literal)
		} else {
			out = append(out, p.seek...)
		}
	}
	return out
}

// holding returns those of texts that contain one of literals, none of which is empty.
func holding(texts, literals []string) []string {
	sample := texts[len(texts)/2]
	sample = sample[:min(len(sample), rareSample)]
	finders := make([]textFinder, len(literals))
	for i, l := range literals {
		finders[i] = newTextFinder(l, sample)
	}
	var out []string
	for _, t := range texts {
		if slices.ContainsFunc(finders, func(f textFinder) bool { return f.in(t) }) {
			out = append(out, t)
		}
	}
	return out
}

// textSet is texts in order of their address.
type textSet []string

func newTextSet(texts []string) textSet {
	t := textSet(slices.Clone(texts))
	slices.SortFunc(t, func(a, b string) int { return cmp.Compare(address(a), address(b)) })
	return t
}

func address(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }

// holds reports whether s, a piece of some text, is one of a text of t.
func (t textSet) holds(s string) bool {
	at := address(s)
	lo, hi := 0, len(t)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); address(t[mid]) <= at {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo > 0 && at-address(t[lo-1]) < uintptr(len(t[lo-1]))
}

// rows returns those of all whose line lies in a text of t.
func (t textSet) rows(all []row) []row {
	var out []row
	for i := range all {
		if t.holds(all[i].line) {
			out = append(out, all[i])
		}
	}
	return out
}

// textFinder finds a literal in texts that are alike: by its byte that is the rarest in a
// sample, or, where none is rare, as in an id, by its grams. Of each so many bytes of the
// text one gram is looked up among those of the literal, which as many bytes as it is long
// cannot all miss.
type textFinder struct {
	literal string
	rare    int               // the byte to look for
	grams   *[gramSlots]uint8 // by hash, 1 if the literal has such a gram; nil goes by rare
}

const (
	gramLen   = 4 // bytes that are looked up at once
	gramBits  = 12
	gramSlots = 1 << gramBits
	gramWorth = 9 // times that a rare byte may occur while so many grams are looked up
)

func newTextFinder(literal, sample string) textFinder {
	f := textFinder{literal: literal}
	least := len(sample) + 1
	for k := range len(literal) {
		if n := strings.Count(sample, literal[k:k+1]); n < least {
			f.rare, least = k, n
		}
	}
	if step := f.step(); step >= gramLen && least*step*gramWorth > len(sample) {
		f.grams = new([gramSlots]uint8)
		for k := range step {
			f.grams[gramHash(literal, k)] = 1
		}
	}
	return f
}

// step returns the bytes from one gram of a text that is looked up to the next.
func (f *textFinder) step() int { return len(f.literal) - gramLen + 1 }

// gramHash returns the slot of the gram at i of s.
func gramHash(s string, i int) uint32 {
	const shift = 32 - gramBits
	return binary.LittleEndian.Uint32(bytesOf(s)[i:i+gramLen]) * 0x9e3779b1 >> shift
}

// in reports whether t contains the literal.
func (f *textFinder) in(t string) bool {
	if f.grams == nil {
		return containsAt(t, f.literal, f.rare)
	}
	step := f.step()
	for i := step - 1; i+gramLen <= len(t); i += step {
		if f.grams[gramHash(t, i)] != 0 && f.around(t, i) {
			return true
		}
	}
	return false
}

// around reports whether the literal lies in t over the gram at i.
func (f *textFinder) around(t string, i int) bool {
	gram := t[i : i+gramLen]
	for k := range f.step() {
		if f.literal[k:k+gramLen] == gram && strings.HasPrefix(t[i-k:], f.literal) {
			return true
		}
	}
	return false
}

// containsAt reports whether t contains s, by looking for the byte at k of s.
func containsAt(t, s string, k int) bool {
	for at := k; at < len(t); at++ {
		i := strings.IndexByte(t[at:], s[k])
		if i < 0 {
			return false
		}
		at += i
		if strings.HasPrefix(t[at-k:], s) {
			return true
		}
	}
	return false
}
