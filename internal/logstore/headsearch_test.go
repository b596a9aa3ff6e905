package logstore

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// TestContainsAt compares the search by one byte with that of the library.
func TestContainsAt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ab\n"[rng.IntN(3)]
		}
		return string(b)
	}
	for range 5000 {
		text, s := word(rng.IntN(40)), word(1+rng.IntN(6))
		for k := range len(s) {
			if got, want := containsAt(text, s, k), strings.Contains(text, s); got != want {
				t.Fatalf("%q in %q by byte %d: %v, want %v", s, text, k, got, want)
			}
		}
		if got, want := holdsLiteral([]string{"", text}, s), strings.Contains(text, s); got != want {
			t.Fatalf("%q in %q: %v, want %v", s, text, got, want)
		}
	}
}

// TestHeadSearch asks heads of several records for what is in one of their lines, across
// two, or in none: a head without it is left out, and no other.
func TestHeadSearch(t *testing.T) {
	reg := registry{tenants: map[model.Tenant]*tenantStreams{}, active: newHead()}
	push := func(known bool, lines ...string) {
		s := reg.resolve("t", model.Labels{{Name: "job", Value: lines[0]}}, 0, 0, 0)
		g := group{stream: s, labels: s.labels}
		for i, l := range lines {
			g.entries = append(g.entries, store.LogEntry{Time: int64(i), Line: l})
		}
		gs := []group{g}
		record := text(encodeRecord(gs, func(*stream) bool { return true }))
		if !known {
			record = ""
		}
		reg.apply("t", gs, record, len(record), time.Unix(1, 0))
	}
	push(true, "alpha took=15ms", "beta trace=4bf92f3577b34da6")
	push(true, "gamma status=500", "delta")
	check := func(want bool, f store.LineFilter) {
		t.Helper()
		fs, err := compileLines([]store.LineFilter{f})
		if err != nil {
			t.Fatal(err)
		}
		heads := reg.snapshot("t", nil, model.TimeRange{From: 0, To: 10})
		if len(heads) != 1 {
			t.Fatalf("%d heads, want 1", len(heads))
		}
		if lacks, _, _ := heads[0].lacks(fs); lacks != want {
			t.Errorf("%+v is absent: %v, want %v", f, lacks, want)
		}
	}
	check(true, store.LineFilter{Patterns: []string{"nosuch"}})
	check(true, store.LineFilter{Patterns: []string{"nosuch", "4bf92f3577b34da7"}})
	check(true, store.LineFilter{Patterns: []string{"took=1[67]ms"}, Regexp: true})
	check(false, store.LineFilter{Patterns: []string{"nosuch", "4bf92f3577b34da6"}})
	check(false, store.LineFilter{Patterns: []string{"took=1[56]ms"}, Regexp: true})
	check(false, store.LineFilter{Patterns: []string{"nosuch"}, Negate: true})
	check(false, store.LineFilter{Patterns: []string{"(?i)NOSUCH"}, Regexp: true})
	check(false, store.LineFilter{Patterns: []string{""}})
	heads := reg.snapshot("t", []*model.Matcher{model.MustMatcher(model.MatchEqual, "job", "alpha took=15ms")}, model.TimeRange{From: 0, To: 10})
	heads[0].rows = 5
	if lacks, _, _ := heads[0].lacks([]lineFilter{{patterns: []linePattern{{literal: "nosuch"}}}}); lacks {
		t.Error("texts are searched for streams of few of their rows")
	}
	push(false, "replayed nosuch")
	check(false, store.LineFilter{Patterns: []string{"nosuch"}})
}
