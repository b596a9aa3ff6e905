package logstore

import (
	"cmp"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestTextFinder compares the search by a rare byte and that by grams with the library's.
func TestTextFinder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(letters string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	grams := 0
	for i := range 20_000 {
		letters := "ab\n"
		if i%2 == 0 {
			letters = "0123456789abcdef"
		}
		text, s := word(letters, rng.IntN(80)), word(letters, 1+rng.IntN(20))
		if from := rng.IntN(80); i%3 == 0 && from+len(s) <= len(text) {
			text = text[:from] + s + text[from+len(s):]
		}
		want := strings.Contains(text, s)
		for k := range len(s) {
			if got := containsAt(text, s, k); got != want {
				t.Fatalf("%q in %q by byte %d: %v, want %v", s, text, k, got, want)
			}
		}
		f := newTextFinder(s, text)
		if f.grams != nil {
			grams++
		}
		if got := f.in(text); got != want {
			t.Fatalf("%q in %q: %v, want %v", s, text, got, want)
		}
	}
	if grams < 1000 {
		t.Errorf("%d searches by grams", grams)
	}
}

// TestHeadSearch asks a head of several records for what is in one of their lines, across
// two, or in none: a head without it is left out, and no other, and rows of records without
// it are passed over, and no other.
func TestHeadSearch(t *testing.T) {
	reg := registry{tenants: map[model.Tenant]*tenantStreams{}, active: newHead()}
	push := func(lines ...string) {
		labels := model.Labels{{Name: "job", Value: lines[0]}}
		key, hash := streamKey(nil, labels)
		s := reg.resolve(reg.tenant("t", 0), labelKey{labels, key, hash}, 0, 0)
		g := group{stream: s, labels: s.labels}
		for i, l := range lines {
			g.entries = append(g.entries, store.LogEntry{Time: int64(i), Line: l})
		}
		gs := []group{g}
		record := encodeRecord(gs, func(*stream) bool { return true })
		reg.apply("t", gs, record, time.Unix(1, 0))
	}
	push("alpha took=15ms", "beta trace=4bf92f3577b34da6")
	push("gamma status=500", "", "delta took=25ms")
	push("epsilon")
	check := func(rows int, f store.LineFilter) { // 0: the head is left out
		t.Helper()
		fs, err := compileLines([]store.LineFilter{f})
		if err != nil {
			t.Fatal(err)
		}
		heads := reg.snapshot("t", nil, model.TimeRange{From: 0, To: 10})
		if len(heads) != 1 {
			t.Fatalf("%d heads, want 1", len(heads))
		}
		lacks, _ := heads[0].search(fs)
		if lacks != (rows == 0) {
			t.Errorf("%+v is absent: %v", f, lacks)
		}
		if lacks {
			return
		}
		left := 0
		for i := range heads[0].runs {
			h := &heads[0].runs[i]
			if h.within == nil {
				left += len(h.rows)
			} else {
				left += len(h.within.rows(h.rows))
			}
		}
		if left != rows {
			t.Errorf("%+v: %d rows are left, want %d", f, left, rows)
		}
	}
	check(0, store.LineFilter{Patterns: []string{"nosuch"}})
	check(0, store.LineFilter{Patterns: []string{"nosuch", "4bf92f3577b34da7"}})
	check(0, store.LineFilter{Patterns: []string{"took=1[67]ms"}, Regexp: true})
	check(2, store.LineFilter{Patterns: []string{"nosuch", "4bf92f3577b34da6"}})
	check(2, store.LineFilter{Patterns: []string{"took=1[56]ms"}, Regexp: true})
	check(3, store.LineFilter{Patterns: []string{"delta"}})
	check(1, store.LineFilter{Patterns: []string{"epsilon"}})
	check(5, store.LineFilter{Patterns: []string{"took="}})
	check(6, store.LineFilter{Patterns: []string{"nosuch"}, Negate: true})
	check(6, store.LineFilter{Patterns: []string{"(?i)NOSUCH"}, Regexp: true})
	check(6, store.LineFilter{Patterns: []string{""}})
	heads := reg.snapshot("t", []*model.Matcher{model.MustMatcher(model.MatchEqual, "job", "alpha took=15ms")}, model.TimeRange{From: 0, To: 10})
	if lacks, _ := heads[0].search([]lineFilter{{patterns: []linePattern{{literal: "nosuch"}}}}); lacks {
		t.Error("texts are searched for streams of few of their rows")
	}
}

// TestReplayedHeadSearch looks for what is and what is not in entries read back from the wal.
func TestReplayedHeadSearch(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	at := storetest.Now().UnixNano()
	for i, line := range []string{"took=15ms", "took=25ms"} {
		gs := []group{{labels: appLabels("x"), stream: &stream{id: 7, key: "key"}, entries: []store.LogEntry{{Time: at + int64(i), Line: line}}}}
		data := []byte(encodeRecord(gs, func(*stream) bool { return true }))
		if err := o.Replay(wal.Record{Signal: model.Logs, Tenant: tenant, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]int{"took=15": 1, "took=": 2, "nosuch": 0} {
		acct := &store.Account{}
		sel := store.LogSelector{Range: always(), Lines: []store.LineFilter{{Patterns: []string{pattern}}}, Account: acct}
		if got := lines(t, o, sel); len(got) != want {
			t.Errorf("%s: got %q, want %d lines", pattern, got, want)
		}
		if rows := acct.Usage().RowsScanned; rows != int64(cmp.Or(want, 2)) {
			t.Errorf("%s: %d rows were looked at, want %d", pattern, rows, want)
		}
	}
}
