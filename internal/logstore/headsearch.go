package logstore

import (
	"slices"
	"strings"
)

// Lines in memory have no filter: building one would cost every entry more than most queries
// ever gain by it. But they lie in the texts of their records, one behind the other, and a
// literal that a line filter needs is looked for in whole texts at a quarter of the cost of
// looking into line after line. If it is in none of them, the head is left out.

// headRuns is a snapshot of the rows of one head.
type headRuns struct {
	runs  []run
	texts []string // that hold all lines of the head; nil if they are not known
	rows  int      // of the head
}

const (
	maxHeadLiterals = 4       // that are looked for, at most
	rareSample      = 1 << 12 // bytes of text that tell which byte of a literal is rare
)

// lacks reports whether no row of h satisfies all of fs, as far as that is quick to tell,
// and how many bytes and rows that covers.
func (h *headRuns) lacks(fs []lineFilter) (lacks bool, bytes, rows int64) {
	for i := range h.runs {
		rows += int64(len(h.runs[i].rows))
	}
	if len(h.texts) == 0 || 2*rows < int64(h.rows) { // streams of few rows are looked at themselves
		return false, 0, 0
	}
	for i := range fs {
		if !fs[i].prunes() {
			continue
		}
		literals := fs[i].literals()
		if len(literals) > maxHeadLiterals {
			continue
		}
		if !slices.ContainsFunc(literals, func(l string) bool { return holdsLiteral(h.texts, l) }) {
			for _, t := range h.texts {
				bytes += int64(len(t))
			}
			return true, bytes, rows
		}
	}
	return false, 0, 0
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

// holdsLiteral reports whether one of texts contains s, which is not empty. It looks for the
// byte of s that is the rarest in a sample.
func holdsLiteral(texts []string, s string) bool {
	sample := texts[len(texts)/2]
	sample = sample[:min(len(sample), rareSample)]
	rare, least := 0, len(sample)+1
	for k := range len(s) {
		if n := strings.Count(sample, s[k:k+1]); n < least {
			rare, least = k, n
		}
	}
	return slices.ContainsFunc(texts, func(t string) bool { return containsAt(t, s, rare) })
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
