package loki

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/logstore"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// scripts returns all entries that the scripts of package logql load, and all queries
// that they run.
func scripts(t *testing.T) (*store.LogBatch, []string) {
	t.Helper()
	files, err := filepath.Glob("../../logql/testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	b := &store.LogBatch{}
	var queries []string
	head := regexp.MustCompile(`^eval (log( (forward|backward|categorize|(limit|start|end|interval)=\S+))*|instant \S+|range \S+ \S+ \S+) `)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case strings.HasPrefix(line, "load "):
				ms, err := logql.ParseSelector(strings.TrimPrefix(strings.TrimPrefix(line, "load "), "more "), true)
				if err != nil {
					t.Fatal(err)
				}
				st := store.LogStream{}
				for _, m := range ms {
					st.Labels = append(st.Labels, model.Label{Name: m.Name, Value: m.Value})
				}
				st.Labels = model.NewLabels(st.Labels...)
				b.Streams = append(b.Streams, st)
			case head.MatchString(line):
				queries = append(queries, line[len(head.FindString(line)):])
			case strings.HasPrefix(line, "  ") && len(b.Streams) > 0:
				if e, ok := entry(strings.TrimSpace(line)); ok {
					st := &b.Streams[len(b.Streams)-1]
					st.Entries = append(st.Entries, e)
				}
			}
		}
	}
	return b, queries
}

// entry reads "time `line` name=value ...".
func entry(s string) (store.LogEntry, bool) {
	at, rest, _ := strings.Cut(s, " ")
	sec, err := strconv.ParseFloat(at, 64)
	quoted, err2 := strconv.QuotedPrefix(rest)
	if err != nil || err2 != nil {
		return store.LogEntry{}, false
	}
	e := store.LogEntry{Time: base*int64(time.Second) + int64(sec*float64(time.Second))}
	e.Line, _ = strconv.Unquote(quoted)
	var meta []model.Label
	for _, pair := range strings.Fields(rest[len(quoted):]) {
		if name, value, ok := strings.Cut(pair, "="); ok {
			meta = append(meta, model.Label{Name: name, Value: value})
		}
	}
	e.Meta = logmeta.New(meta...)
	return e, true
}

// TestEngine runs every query of the language's scripts on the embedded log engine, in
// memory and on disk, and compares the answers with those from the reference store.
func TestEngine(t *testing.T) {
	dir := t.TempDir()
	log, err := wal.Open(dir+"/wal", wal.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(context.Background())
	embedded, err := logstore.Open(dir+"/logs", log, logstore.Options{Now: func() time.Time { return time.Unix(base+100, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	defer embedded.Close()
	ref := storetest.NewLogs()
	b, queries := scripts(t)
	for _, w := range []store.LogWriter{ref, embedded} {
		if err := w.Append(t.Context(), "t", b); err != nil {
			t.Fatal(err)
		}
	}
	if len(queries) < 150 {
		t.Fatalf("only %d queries found", len(queries))
	}
	for _, stage := range []string{"head", "parts"} {
		if stage == "parts" {
			if err := embedded.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range queries {
			e, err := logql.Parse(text)
			if err != nil {
				continue // goes on over several lines
			}
			for _, p := range []logql.Params{
				{Start: base * 1e9, End: (base + 60) * 1e9, Step: 7 * time.Second, Direction: store.Forward, Limit: 3},
				{Start: base * 1e9, End: (base + 60) * 1e9, Direction: store.Backward, Categorize: true},
				{Start: (base + 1) * 1e9, End: (base + 10) * 1e9, Step: time.Second, Direction: store.Backward, Interval: 2 * time.Second},
			} {
				want := answer(t, ref, ref, e, p)
				got := answer(t, embedded, embedded, e, p)
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s with %+v (-reference +embedded)\n%s", stage, text, p, diff)
				}
			}
		}
	}
}

// answer is the result as text, or that there was an error. Which of several entries of
// one time come first is not specified: of a result with a limit or an interval only the
// times are kept, else entries of one time are sorted.
func answer(t *testing.T, r store.LogReader, ix store.LogIndex, e logql.Expr, p logql.Params) []string {
	t.Helper()
	res, err := (&logql.Engine{Reader: r, Index: ix}).Query(t.Context(), "t", e, p)
	if err != nil {
		return []string{"error"}
	}
	var out []string
	for _, s := range res.Series {
		l := s.Labels.String()
		for _, pt := range s.Points {
			l += " " + strconv.FormatInt(pt.Time/1e6, 10) + ":" + strconv.FormatFloat(pt.Value, 'g', 10, 64)
		}
		out = append(out, l)
	}
	for _, s := range res.Streams {
		for _, en := range s.Entries {
			l := strconv.FormatInt(en.Time, 10)
			if p.Limit == 0 && p.Interval == 0 {
				l += " " + s.Labels.String() + " " + en.Line + en.Meta.String() + en.Parsed.String()
			}
			out = append(out, l)
		}
	}
	if len(res.Streams) > 0 {
		slices.SortFunc(out, cmp.Compare[string])
	}
	return out
}
