package logql

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestTemplateFuncs checks that every function that the language names exists.
func TestTemplateFuncs(t *testing.T) {
	for name, f := range templateFuncs(&templateState{}, time.Now) {
		if f == nil {
			t.Errorf("function %s is missing", name)
		}
	}
}

// FuzzJSON compares the json stage with encoding/json on flat objects of strings.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `{"a":"\u00e9\n\"x","b":"2"}`, `{"a":1,"b":{"c":"d"},"e":[1,"]"],"f":null}`, `{"a":"\ud83d\ude00"}`, `{`, `{"a"`, `{"a":"b",}`, ``} {
		f.Add(s)
	}
	p, err := compile([]stageNode{&jsonNode{}}, compileOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p.row.begin(0, line, nil)
		if !p.run() {
			t.Fatal("a parser dropped a line")
		}
		var v map[string]any
		if !utf8.ValidString(line) || strings.Contains(line, "\ufffd") || json.Unmarshal([]byte(line), &v) != nil || v == nil {
			return
		}
		if p.row.err != "" {
			t.Fatalf("%q is valid JSON, got %s", line, p.row.details)
		}
		for key, value := range v {
			text, ok := value.(string)
			if !ok || !plainName(key) || strings.ContainsRune(text, utf8.RuneError) || strings.Count(line, `"`+key+`"`) != 1 || strings.Contains(line, `\u`) {
				continue
			}
			if got, ok := p.row.get(key); !ok || got != text {
				t.Errorf("%q: label %s = %q, want %q", line, key, got, text)
			}
		}
	})
}

func plainName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i]) || i == 0 && isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// FuzzPipeline checks that no line makes a stage panic, and that a pipeline gives the same
// labels when only those are wanted.
func FuzzPipeline(f *testing.F) {
	for _, s := range []string{`{"a":"1","b":{"c":"2"}}`, `a=1 b="x y" c`, `{"_entry":"l","a":"1"}`, `GET /p 200`, "\x1b[31mx\x1b[0m", `{"a":`, `a="\u00`, `10.0.0.1 ::1`, "\xff\xfe=1"} {
		for i := range 4 {
			f.Add(s, i)
		}
	}
	pipelines := []string{
		`{x="y"} | json | logfmt | decolorize | line_format "{{.a}} {{__line__}}" | a != ip("10.0.0.0/8") | b_c > 1 or a = 1 | drop c`,
		`{x="y"} | unpack | logfmt --strict --keep-empty | keep a, b, __error__ | label_format a="{{.b}}x", c=b |> "<_>"`,
		"{x=\"y\"} | json a=\"b.c\", b=\"[0]\" | logfmt c | pattern `<m> <p> <_>` | regexp `(?P<d>[0-9]+)`",
		`{x="y"} | logfmt | json | a > 5 | duration < 1s | b_c != ""`,
	}
	f.Fuzz(func(t *testing.T, line string, n int) {
		e, err := Parse(pipelines[uint(n)%uint(len(pipelines))])
		if err != nil {
			t.Fatal(err)
		}
		q := e.(*LogQuery)
		run := func(w *wanted) (string, bool, string) {
			p, err := compile(q.stages, compileOptions{want: w, now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			p.row.begin(0, line, model.Labels{{Name: "x", Value: "y"}})
			p.row.addMeta("m", "1")
			if !p.passes(line) || !p.run() {
				return "", false, ""
			}
			v, _ := p.row.get("a")
			return v, true, p.row.err
		}
		var u usage
		for _, s := range q.stages {
			s.reads(&u)
		}
		u.add("a")
		all, kept, failed := run(nil)
		few, kept2, _ := run(newWanted(u.names))
		if failed == "" && (kept != kept2 || all != few) {
			t.Errorf("%s on %q: a=%q kept %t, with only wanted labels a=%q kept %t", q, line, all, kept, few, kept2)
		}
	})
}

func TestTailer(t *testing.T) {
	e, err := Parse(`{app="x"} | json | n > 1`)
	if err != nil {
		t.Fatal(err)
	}
	tailer, err := (&Engine{}).NewTailer(e.(*LogQuery), false)
	if err != nil {
		t.Fatal(err)
	}
	b := &store.LogBatch{Streams: []store.LogStream{
		{Labels: model.Labels{{Name: "app", Value: "x"}}, Entries: []store.LogEntry{
			{Time: 2, Line: `{"n":2}`}, {Time: 1, Line: `{"n":1}`}, {Time: 3, Line: `{"n":2}`, Meta: logmeta.New(model.Label{Name: "m", Value: "1"})},
		}},
		{Labels: model.Labels{{Name: "app", Value: "y"}}, Entries: []store.LogEntry{{Time: 2, Line: `{"n":2}`}}},
	}}
	got := map[string]int64{}
	for _, s := range tailer.Apply(b) {
		got[s.Labels.String()] = s.Entries[0].Time
	}
	want := map[string]int64{`{app="x", n="2"}`: 2, `{app="x", m="1", n="2"}`: 3}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFieldSet(t *testing.T) {
	var s FieldSet
	stream := model.Labels{{Name: "app", Value: "x"}}
	s.Add(stream, &Entry{Line: `{"nested":{"x":1},"app":"y","size":"10KB","ok":true}`, Meta: model.Labels{{Name: "trace_id", Value: "tr"}}})
	s.Add(stream, &Entry{Line: `nested_x=2 took=5ms`})
	got := map[string]string{}
	for _, f := range s.Fields() {
		got[f.Name] = string(f.Type) + " " + strings.Join(f.Parsers, ",") + " " + strings.Join(f.Path, "/") + " " + strings.Join(f.Values, ",")
	}
	want := map[string]string{
		"nested_x":      "int json,logfmt nested/x 1,2",
		"app_extracted": "string json app y",
		"size":          "bytes json size 10KB",
		"ok":            "boolean json ok true",
		"took":          "duration logfmt  5ms",
		"trace_id":      "string   tr",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !slices.IsSorted(slices.Collect(func(yield func(string) bool) {
		for _, f := range s.Fields() {
			if !yield(f.Name) {
				return
			}
		}
	})) {
		t.Errorf("fields %v are not sorted", slices.Sorted(maps.Keys(got)))
	}
}

// TestPushdown checks what reaches the store.
func TestPushdown(t *testing.T) {
	logs := storetest.NewLogs()
	err := logs.Append(t.Context(), "t", &store.LogBatch{Streams: []store.LogStream{{
		Labels:  model.Labels{{Name: "service", Value: "api"}},
		Entries: []store.LogEntry{{Time: 1, Line: "x", Meta: logmeta.New(model.Label{Name: "user", Value: "u1"})}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		query, lines, fields string
		stages               int
	}{
		{query: `{service="api"} |= "a" or "b" != "c" |~ "d.*e"`, lines: `[a b] ![c] ~[d.*e] [d] [e]`},
		{query: `{service="api"} |> "a <_> b"`, lines: `[a ] [ b]`},
		{query: `{service="api"} |= ip("10.0.0.1")`},
		{query: `{service="api"} | user="u1"`, fields: `user="u1"`},
		{query: `{service="api"} | user=~"u." | service="api"`, fields: `user=~"(?-s:u.)"`, stages: 1},
		{query: `{service="api"} | status >= 500`, fields: `status >= 500`, stages: 1},
		{query: `{service="api"} | status > 2 and (took < 5s and service > 1)`, fields: `status > 2 took < 5s`, stages: 1},
		{query: `{service="api"} | status > 2 or user="u1" | json | status > 3`, stages: 3},
		{query: `{service="api"} | json | user="u1"`, stages: 2},
		{query: `{service="api"} | json | trace="t-1" |= "x"`, lines: `[x] [t-1 \u]`, stages: 2},
		{query: `{service="api"} | json | trace=~"t1|t2" | other="a b"`, lines: `[t1 t2 \u]`, stages: 3},
		{query: `{service="api"} | json | label_format trace="x" | trace="t1"`, stages: 3},
		{query: `{service="api"} | line_format "x" |= "x"`, stages: 2},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			e, err := Parse(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			x := &exec{engine: &Engine{Reader: logs, Index: logs}, ctx: t.Context(), tenant: "t"}
			src, err := x.bind(e.(*LogQuery), model.TimeRange{From: 0, To: 10}, compileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var lines, fields []string
			for _, f := range src.sel.Lines {
				prefix := ""
				if f.Negate {
					prefix = "!"
				}
				if f.Regexp {
					prefix += "~"
				}
				lines = append(lines, fmt.Sprintf("%s%v", prefix, f.Patterns))
			}
			for _, f := range src.sel.Fields {
				fields = append(fields, f.String())
			}
			if got := strings.Join(lines, " "); got != tt.lines {
				t.Errorf("lines %s, want %s", got, tt.lines)
			}
			if got := strings.Join(fields, " "); got != tt.fields {
				t.Errorf("fields %s, want %s", got, tt.fields)
			}
			if got := len(src.pipe.stages); got != tt.stages {
				t.Errorf("%d stages are left, want %d", got, tt.stages)
			}
		})
	}
}
