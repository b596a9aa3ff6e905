package logql

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// The scripts in testdata/*.test load entries, run queries and compare. Times are seconds
// after scriptStart.
//
//	load {app="x"}          starts a new, empty store; "load more {...}" keeps it
//	  0 `line` k=v          an entry with structured metadata
//	eval log [forward|backward] [start=S] [end=S] [limit=N] [interval=D] [categorize] QUERY
//	  {app="x"}             expected streams, in order, with their entries
//	    0 `line` [meta {...}] [parsed {...}]
//	eval instant TIME QUERY, or: eval range START END STEP QUERY
//	  {app="x"} 5           expected series, in order; for a range time:value pairs
//	eval fail QUERY         expected text of the error, also for the other kinds:
//	  text                  "eval fail range 0 60 10 QUERY"
//
// A query goes on over the following lines that start with "|". Empty lines and lines
// that start with # are ignored.
const scriptStart = int64(1_767_225_600) // 2026-01-01T00:00:00Z

type scriptRunner struct {
	t    *testing.T
	logs *storetest.Logs
	name string
	line int
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".test"), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			(&scriptRunner{t: t, name: f, logs: storetest.NewLogs()}).run(strings.Split(string(b), "\n"))
		})
	}
}

func (s *scriptRunner) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.name, s.line, fmt.Sprintf(format, args...))
}

func (s *scriptRunner) run(lines []string) {
	ignored := func(l string) bool { return strings.TrimSpace(l) == "" || strings.HasPrefix(l, "#") }
	for i := 0; i < len(lines); {
		if ignored(lines[i]) {
			i++
			continue
		}
		s.line = i + 1
		head := lines[i]
		var body []string
		for i++; i < len(lines) && (ignored(lines[i]) || strings.HasPrefix(lines[i], " ")); i++ {
			switch l := lines[i]; {
			case ignored(l):
			case strings.HasPrefix(strings.TrimSpace(l), "|") && len(body) == 0 && strings.HasPrefix(head, "eval"):
				head += "\n" + l
			default:
				body = append(body, l)
			}
		}
		switch {
		case strings.HasPrefix(head, "load "):
			s.load(strings.TrimPrefix(head, "load "), body)
		case strings.HasPrefix(head, "eval "):
			s.eval(strings.TrimPrefix(head, "eval "), body)
		default:
			s.fatalf("unknown command %q", head)
		}
	}
}

func (s *scriptRunner) labels(text string) model.Labels {
	s.t.Helper()
	if strings.TrimSpace(text) == "{}" {
		return model.Labels{}
	}
	toks, err := lex(text)
	if err != nil {
		s.fatalf("labels %q: %v", text, err)
	}
	ls := model.Labels{}
	for i := 0; i+2 < len(toks); i++ {
		if toks[i+1].is(tokOp, "=") {
			ls = append(ls, model.Label{Name: toks[i].src, Value: toks[i+2].text})
		}
	}
	sortLabels(ls)
	return ls
}

// cutToken cuts the first token, which may be a quoted string, off text.
func cutToken(text string) (string, string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", ""
	}
	if text[0] == '"' || text[0] == '`' {
		if q, err := strconv.QuotedPrefix(text); err == nil {
			v, _ := strconv.Unquote(q)
			return v, text[len(q):]
		}
	}
	head, rest, _ := strings.Cut(text, " ")
	return head, rest
}

func (s *scriptRunner) seconds(text string) int64 {
	s.t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.fatalf("time %q: %v", text, err)
	}
	return scriptStart*int64(time.Second) + int64(f*float64(time.Second))
}

func (s *scriptRunner) load(head string, body []string) {
	s.t.Helper()
	if rest, ok := strings.CutPrefix(head, "more "); ok {
		head = rest
	} else {
		s.logs = storetest.NewLogs()
	}
	stream := store.LogStream{Labels: s.labels(head)}
	for _, l := range body {
		at, rest := cutToken(l)
		e := store.LogEntry{Time: s.seconds(at)}
		var meta []model.Label
		e.Line, rest = cutToken(rest)
		for strings.TrimSpace(rest) != "" {
			name, after, _ := strings.Cut(strings.TrimSpace(rest), "=")
			var v string
			v, rest = cutToken(after)
			meta = append(meta, model.Label{Name: name, Value: v})
		}
		e.Meta = logmeta.New(meta...)
		stream.Entries = append(stream.Entries, e)
	}
	err := s.logs.Append(s.t.Context(), model.DefaultTenant, &store.LogBatch{Streams: []store.LogStream{stream}})
	if err != nil {
		s.fatalf("append: %v", err)
	}
}

func (s *scriptRunner) eval(head string, body []string) {
	s.t.Helper()
	head, fail := strings.CutPrefix(head, "fail ")
	p := Params{Start: s.seconds("0"), End: s.seconds("3600"), Direction: store.Forward, Limit: 1000}
	switch {
	case strings.HasPrefix(head, "log "):
		head = s.logOptions(&p, strings.TrimPrefix(head, "log "))
	case strings.HasPrefix(head, "instant "):
		at, rest := cutToken(strings.TrimPrefix(head, "instant "))
		p.Start, p.End = s.seconds(at), s.seconds(at)
		head = rest
	case strings.HasPrefix(head, "range "):
		var start, end, step string
		start, head = cutToken(strings.TrimPrefix(head, "range "))
		end, head = cutToken(head)
		step, head = cutToken(head)
		p.Start, p.End = s.seconds(start), s.seconds(end)
		p.Step = time.Duration(s.seconds(step) - s.seconds("0"))
	}
	res, err := s.query(head, p)
	if fail {
		want := strings.TrimSpace(strings.Join(body, "\n"))
		if !errors.Is(err, ErrParse) && !errors.Is(err, ErrQuery) {
			s.fatalf("%s: result %+v, error %v, want one of the query", head, res, err)
		}
		if !strings.Contains(err.Error(), want) {
			s.fatalf("%s: error %q does not say %q", head, err, want)
		}
		return
	}
	if err != nil {
		s.fatalf("%s: %v", head, err)
	}
	want := make([]string, len(body))
	for i, l := range body {
		want[i] = s.normalise(l)
	}
	if diff := cmp.Diff(want, render(res), cmp.Transformer("", func(l []string) string { return strings.Join(l, "\n") + "\n" })); diff != "" {
		s.t.Errorf("%s:%d: %s: (-want +got)\n%s", s.name, s.line, head, diff)
	}
}

// query runs text on the reference store, and again on one that evaluates nothing itself:
// what is pushed down must not change the answer.
func (s *scriptRunner) query(text string, p Params) (*Result, error) {
	s.t.Helper()
	e, err := Parse(text)
	if err != nil {
		return nil, err
	}
	checkRoundTrip(s.t, e)
	able := &Engine{Reader: s.logs, Index: s.logs}
	res, err := able.Query(s.t.Context(), model.DefaultTenant, e, p)
	unable := &Engine{Reader: unableLogs{s.logs}}
	res2, err2 := unable.Query(s.t.Context(), model.DefaultTenant, e, p)
	if (err == nil) != (err2 == nil) {
		s.fatalf("%s: error %v with pushdown, %v without", text, err, err2)
	}
	if diff := cmp.Diff(res, res2, cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" {
		s.fatalf("%s: pushdown changes the answer (-with +without)\n%s", text, diff)
	}
	return res, err
}

// unableLogs is a store that evaluates only stream matchers.
type unableLogs struct{ *storetest.Logs }

func (unableLogs) Caps() store.LogCaps { return store.LogCaps{} }

func (s *scriptRunner) logOptions(p *Params, head string) string {
	for {
		tok, rest := cutToken(head)
		key, value, _ := strings.Cut(tok, "=")
		switch key {
		case "forward":
		case "backward":
			p.Direction = store.Backward
		case "categorize":
			p.Categorize = true
		case "start":
			p.Start = s.seconds(value)
		case "end":
			p.End = s.seconds(value)
		case "limit":
			p.Limit, _ = strconv.Atoi(value)
		case "interval":
			p.Interval, _ = time.ParseDuration(value)
		default:
			return head
		}
		head = rest
	}
}

// normalise rewrites an expected line the way render writes it.
func (s *scriptRunner) normalise(l string) string {
	s.t.Helper()
	l = strings.TrimSpace(l)
	if strings.HasPrefix(l, "{") {
		end := labelsEnd(l)
		return strings.TrimSpace(s.labels(l[:end]).String() + " " + strings.Join(strings.Fields(l[end:]), " "))
	}
	at, rest := cutToken(l)
	if rest == "" {
		return at
	}
	line, rest := cutToken(rest)
	out := at + " " + strconv.Quote(line)
	for _, word := range []string{"meta", "parsed"} {
		if after, ok := strings.CutPrefix(strings.TrimSpace(rest), word+" "); ok {
			after = strings.TrimSpace(after)
			end := labelsEnd(after)
			out += " " + word + " " + s.labels(after[:end]).String()
			rest = after[end:]
		}
	}
	return out
}

// labelsEnd returns the length of the label set at the start of l.
func labelsEnd(l string) int {
	for i := 1; i < len(l); i++ {
		switch l[i] {
		case '"', '`':
			if q, err := strconv.QuotedPrefix(l[i:]); err == nil {
				i += len(q) - 1
			}
		case '}':
			return i + 1
		}
	}
	return len(l)
}

func renderTime(ns int64) string {
	return strconv.FormatFloat(float64(ns-scriptStart*int64(time.Second))/1e9, 'f', -1, 64)
}

func renderValue(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }

// render writes a result as expected in a script.
func render(res *Result) []string {
	out := []string{}
	for _, st := range res.Streams {
		out = append(out, st.Labels.String())
		for _, e := range st.Entries {
			l := renderTime(e.Time) + " " + strconv.Quote(e.Line)
			if len(e.Meta) > 0 {
				l += " meta " + e.Meta.String()
			}
			if len(e.Parsed) > 0 {
				l += " parsed " + e.Parsed.String()
			}
			out = append(out, l)
		}
	}
	for _, se := range res.Series {
		l := se.Labels.String()
		for _, pt := range se.Points {
			if res.Type == Vector {
				l += " " + renderValue(pt.Value)
			} else {
				l += " " + renderTime(pt.Time) + ":" + renderValue(pt.Value)
			}
		}
		out = append(out, l)
	}
	if res.Type == Scalar {
		out = append(out, renderValue(res.Scalar.Value))
	}
	return out
}
