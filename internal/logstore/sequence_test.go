package logstore

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/store"
)

// TestSequences compares sequences with the expressions that they are made of.
func TestSequences(t *testing.T) {
	tests := []struct {
		re   string
		size int // of the sequence, 0 for none
	}{
		{"status=[45][0-9][0-9]", 10},
		{"a[0-9]{3}ms", 6},
		{"(?i)ab0", 3},
		{"(?i)ask", 0}, // the Kelvin sign is a k, too
		{"(a[bc])d", 3},
		{"a[^b]", 0},
		{"a.c", 0},
		{"^ab", 0},
		{"ab+", 0},
		{"ab{1,2}", 0},
		{"a|bc", 0},
		{"é[0-9]", 0},
		{"[0-9]{65}", 0},
		{"", 0},
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tt := range tests {
		tree, err := syntax.Parse(tt.re, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		q := sequenceOf(tree.Simplify())
		if len(q) != tt.size {
			t.Errorf("%q: %d sets, want %d", tt.re, len(q), tt.size)
		}
		re := regexp.MustCompile(tt.re)
		for range 2000 {
			line := make([]byte, rng.IntN(16))
			for i := range line {
				line[i] = "status=4509aAbBcdmsk0\xc3"[rng.IntN(22)]
			}
			if q != nil && q.within(string(line)) != re.Match(line) {
				t.Fatalf("%q in %q: %v", tt.re, line, !re.Match(line))
			}
		}
	}
}

// TestManySpots looks for sequences that can lie in a template in more ways than are worth
// finding: lines have to be looked at, and soon.
func TestManySpots(t *testing.T) {
	table := newTemplateTable()
	tp := table.list[table.add(strings.Repeat("\x00.", 40)+"x")]
	for _, re := range []string{"[0-9.]{60}", "[0-9.]{59}!"} {
		fs, err := compileLines([]store.LineFilter{{Regexp: true, Patterns: []string{re}}})
		if err != nil {
			t.Fatal(err)
		}
		if v, n := fs[0].see(tp); v != maybe || n != nil {
			t.Errorf("%q: verdict %v, needle %v", re, v, n)
		}
	}
}
