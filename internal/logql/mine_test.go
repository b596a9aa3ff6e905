package logql

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// minePatterns mines lines, one a second.
func minePatterns(t testing.TB, step time.Duration, level string, lines ...string) []Pattern {
	t.Helper()
	logs := storetest.NewLogs()
	st := store.LogStream{Labels: model.Labels{{Name: "app", Value: "x"}}}
	for i, l := range lines {
		e := store.LogEntry{Time: int64(i) * 1e9, Line: l}
		if level != "" {
			e.Meta = logmeta.New(model.Label{Name: detectedName, Value: level})
		}
		st.Entries = append(st.Entries, e)
	}
	if err := logs.Append(t.Context(), "t", &store.LogBatch{Streams: []store.LogStream{st}}); err != nil {
		t.Fatal(err)
	}
	g := &Engine{Reader: logs, Index: logs}
	ms := []*model.Matcher{model.MustMatcher(model.MatchEqual, "app", "x")}
	ps, err := g.Patterns(t.Context(), "t", ms, model.TimeRange{To: int64(len(lines)) * 1e9}, step, &store.Account{})
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func TestMining(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"one line", []string{"server started"}, "server started"},
		{"numbers", []string{"took 5 ms", "took 17 ms", "took 1234 ms"}, "took <_> ms"},
		{"equal numbers stay", []string{"took 5 ms for a", "took 5 ms for b"}, "took 5 ms for <_>"},
		{"words", []string{"user alice logged in", "user bob logged in"}, "user <_> logged in"},
		{"times", []string{"at 10:15:20 job done", "at 11:16:21 job done"}, "at <_> job done"},
		{"logfmt", []string{`level=info dur=5ms msg="ok then"`, `level=info dur=9ms msg="ok then"`}, `level=info dur=<_> msg="ok then"`},
		{"angle brackets", []string{"tag <a1> seen", "tag <a2> seen"}, "tag <<_>> seen"},
		{"paths", []string{"GET /api/u1/x 200", "GET /api/u2/x 200"}, "GET /api/<_>/x 200"},
		{"leading separators", []string{"  [1] x", "  [2] x"}, "  [<_>] x"},
		{"only separators", []string{"---", "---"}, "---"},
	} {
		ps := minePatterns(t, 10*time.Second, "", tt.lines...)
		if len(ps) != 1 || ps[0].Text != tt.want || ps[0].Total != int64(len(tt.lines)) {
			t.Errorf("%s: %+v, want %q", tt.name, ps, tt.want)
		}
	}
	if ps := minePatterns(t, 10*time.Second, "", "", " ,; "); len(ps) != 0 {
		t.Errorf("lines without words: %+v", ps)
	}
}

// TestPatternPoints checks levels, buckets and the zeros between them.
func TestPatternPoints(t *testing.T) {
	lines := make([]string, 35)
	for i := range lines {
		if lines[i] = "other"; i < 3 || i > 31 {
			lines[i] = fmt.Sprintf("tick %d", i)
		}
	}
	ps := minePatterns(t, 10*time.Second, "info", lines...)
	if len(ps) != 2 || ps[0].Text != "other" || ps[1].Text != "tick <_>" || ps[1].Level != "info" {
		t.Fatalf("%+v", ps)
	}
	want := []Point{{0, 3}, {10e9, 0}, {20e9, 0}, {30e9, 3}}
	if got := fmt.Sprint(ps[1].Points); got != fmt.Sprint(want) {
		t.Errorf("points %s, want %v", got, want)
	}
}

// TestPatternsMatchTheirLines mines random lines and demands that the patterns are valid
// for |>, and that each line matches one of them.
func TestPatternsMatchTheirLines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	words := []string{"user", "alice", "bob", "GET", "/api", "<b>", "id=1", "x:y", "10:11:12", "a/b/c", "\"q\"", "{", "}", "err", "42", "", "<_>", "a:", ":b", "::", "é"}
	var lines []string
	for range 3000 {
		line := ""
		for range rnd.IntN(8) {
			line += words[rnd.IntN(len(words))] + []string{" ", "", ":", "/"}[rnd.IntN(4)]
		}
		lines = append(lines, line)
	}
	checkPatterns(t, lines)
}

func checkPatterns(t *testing.T, lines []string) {
	t.Helper()
	var filters []*LogQuery
	for _, p := range minePatterns(t, time.Hour, "", lines...) {
		e, err := Parse(fmt.Sprintf(`{app="x"} |> %q`, p.Text))
		if err != nil {
			t.Fatalf("pattern %q: %v", p.Text, err)
		}
		filters = append(filters, e.(*LogQuery))
	}
	if len(filters) == mineMerged {
		return // there are more
	}
	var tailers []*Tailer
	for _, f := range filters {
		tl, err := (&Engine{}).NewTailer(f, false)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		tailers = append(tailers, tl)
	}
next:
	for _, line := range lines {
		m := miner{}
		if m.split(line); len(m.words) == 0 {
			continue
		}
		b := &store.LogBatch{Streams: []store.LogStream{{Labels: model.Labels{{Name: "app", Value: "x"}}, Entries: []store.LogEntry{{Line: line}}}}}
		for _, tl := range tailers {
			if len(tl.Apply(b)) > 0 {
				continue next
			}
		}
		t.Errorf("line %q matches no pattern", line)
	}
}

// TestMiningIsBounded mines lines of which no two look alike.
func TestMiningIsBounded(t *testing.T) {
	m := miner{step: 1e9, weight: 1, levels: map[string]*mineLevel{}}
	rnd := rand.New(rand.NewPCG(3, 3))
	for range 50_000 {
		line := ""
		for range 3 + rnd.IntN(5) {
			line += string(rune('a'+rnd.IntN(26))) + string(rune('a'+rnd.IntN(26))) + []string{" ", ":", "=", ";", "|"}[rnd.IntN(5)]
		}
		if err := m.add("", line, 0); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, g := range m.levels[""].groups {
		n += len(g)
	}
	if n > mineClusters+1 || n != m.levels[""].clusters {
		t.Errorf("%d clusters, counted %d, limit %d", n, m.levels[""].clusters, mineClusters)
	}
	if got := len(m.patterns()); got != mineMerged {
		t.Errorf("%d patterns, want %d", got, mineMerged)
	}
}

func BenchmarkMine(b *testing.B) {
	rnd := rand.New(rand.NewPCG(3, 3))
	var lines []string
	for range 1000 {
		lines = append(lines, fmt.Sprintf(`2026-01-02T03:04:%02d.123Z level=info caller=handler.go:%d method=GET path=/api/v1/users/%d status=200 duration=%dms trace_id=%016x msg="request done"`,
			rnd.IntN(60), rnd.IntN(300), rnd.IntN(1e6), rnd.IntN(1000), rnd.Uint64()))
	}
	m := miner{step: 1e9, weight: 1, levels: map[string]*mineLevel{}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := m.add("info", lines[i%len(lines)], 0); err != nil {
			b.Fatal(err)
		}
	}
}
