package logql

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
)

// testShape is a shape and its lines: "#" in a template is a variable of digits, "~" one of
// hexadecimal digits, "?" any other.
type testShape struct {
	shown  string
	sample []model.LineVar
	parts  []string // one more than variables
}

func newTestShape(template string) *testShape {
	s := &testShape{}
	from := 0
	for i := range len(template) {
		v := model.LineVar{Digits: template[i] == '#', Hex: template[i] == '~'}
		other := "a1"
		switch {
		case v.Digits:
			other = "1"
		case !v.Hex && template[i] != '?':
			continue
		}
		if from == i && i > 0 {
			continue // variables do not touch: a literal
		}
		s.parts = append(s.parts, template[from:i])
		s.shown += template[from:i]
		v.From = len(s.shown)
		s.shown += other
		v.To = len(s.shown)
		s.sample = append(s.sample, v)
		from = i + 1
	}
	s.parts = append(s.parts, template[from:])
	s.shown += template[from:]
	return s
}

// line makes a line. place says where in it a place of the shown line is.
func (s *testShape) line(rnd *rand.Rand) (line string, place func(int) int) {
	pool := []string{"0", "7", "12", "500", "0012345"}
	ends := []int{}
	for i, v := range s.sample {
		line += s.parts[i]
		from := pool
		switch {
		case v.Hex:
			from = append(slices.Clone(pool), "deadbeef", "a1", "f")
		case !v.Digits:
			from = append(slices.Clone(pool), "a1", "status", "é7", "x_9", "\xff0", "null", "INFO", "u00e9")
		}
		line += from[rnd.IntN(len(from))]
		ends = append(ends, len(line))
	}
	line += s.parts[len(s.sample)]
	return line, func(at int) int {
		for i, v := range slices.Backward(s.sample) {
			if v.To <= at {
				return ends[i] + at - v.To
			}
		}
		return at
	}
}

// shapePipelines begin with parsers that take shapes.
var shapePipelines = []string{
	`{x="y"} | json`,
	`{x="y"} | json | logfmt | drop __error__, __error_details__ | a!=""`,
	`{x="y"} | json a="b.c", b="a", c="[1]", d="a[0]" | logfmt`,
	`{x="y"} | json a="a" | a=~".+" | logfmt b="status", c`,
	`{x="y"} | logfmt --keep-empty`,
	`{x="y"} | logfmt --strict`,
	`{x="y"} | logfmt --strict a="status", b, x`,
	`{x="y"} | logfmt a="b", a="c" | a="1"`,
	"{x=\"y\"} | pattern `<a> status=<b> <_>` | b >= 500",
	"{x=\"y\"} | pattern `a<a>=<b> <c>` | json | c=\"\"",
	"{x=\"y\"} | pattern `<_> <_> [<a>] <b> <c>/<d>` | logfmt | b!=\"7\"",
	`{x="y"} | regexp "status=(?P<a>[0-9]+)( took=(?P<b>\\w+))?" | a >= 500`,
	`{x="y"} | regexp "(?P<a>\\d+)\\D+(?P<b>[0-9a-f]+)$"`,
	`{x="y"} | regexp "^(?P<a>\\S+) (?P<b>.*?)=(?P<c>[^ ]*)" | json`,
	`{x="y"} | regexp "(?i)(?P<a>info|warn)|\\b(?P<b>[a-z_]+)=" | b!="status"`,
	`{x="y"} | regexp "(?P<a>(.)\\d?)(?P<b>\\d*)x?" | logfmt`,
	`{x="y"} | regexp "(?P<x>[^=]+)=(?P<b>(\\d{3}|\\d+))\\b" | regexp "(?P<c>a+|[a-f0-9]{3,}?)"`,
	`{x="y"} | regexp "(?P<a>\\d+?)(?P<b>\\d*) |(?P<c>\\w+)"`,
	`{x="y"} |> "<_> INFO <_> status=<_>" | logfmt`,
	`{x="y"} !> "<_>status=<_> took=<_>ms<_>" or "{<_>" or "a<_>"`,
	`{x="y"} |> "a=<_> c<_>" or "<_>/<_>" | json !> "<_> [<_>] <_>"`,
}

// shapeTemplates are the seeds of the fuzz target, and lines of the test.
var shapeTemplates = []string{
	`2026-#-# #:# INFO [worker-#] GET /api/# from #.# status=# took=#ms trace=~`,
	`{"a":"?","b":{"c":#,"status":"x#"},"m":"~ \" #","e":[1,"?",#]}`,
	`{"a":[#,"?"],"b":null,"c":-#.#,"x":"\u00#"}`,
	`a=# b="?" status=~ c="x \" # y" x=?`,
	`b=# b=? c status="\u00#0" =# #=1 ?=2 a="`,
	`a?=b#c ? d [#] a /# `,
	`status=# status=#status=? took=?s`,
	`#`, `?`, ``, `a`, `{`, `[#,1]`, `"#"`, `?é~`, "#\n? a=#\x00",
}

// checkShape compares what a pipeline makes of lines with what it makes of their shape.
func checkShape(t *testing.T, query, template string, seed uint64) {
	t.Helper()
	e, err := Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	q := e.(*LogQuery)
	var u usage
	for _, s := range q.stages {
		s.reads(&u)
	}
	sh := newTestShape(template)
	for _, w := range []*wanted{nil, newWanted(append(u.names, "a", "b")), newWanted([]string{"c", "x_extracted"})} {
		plain, err := compile(q.stages, compileOptions{want: w, now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		shaped, err := compile(q.stages, compileOptions{want: w, now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		shaped.useShapes()
		parser := &shapeParser{stages: shaped.parsers, want: w}
		if len(shaped.lines) > 0 {
			parser.lines = shaped.lines
			if !shaped.patterns() {
				t.Fatalf("%s filters by more than patterns", query)
			}
		}
		shape := parser.ParseShape(sh.shown, sh.sample)
		if shape == nil {
			continue
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		for range 20 {
			line, place := sh.line(rnd)
			found := &model.LineFields{Shape: shape}
			for _, f := range shape.Fields {
				found.Values = append(found.Values, line[place(f.From):place(f.To)])
			}
			want, got := runShape(plain, line, nil), runShape(shaped, "no line", found)
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("%s with wanted labels %v on %q (-line +shape of %q):\n%s", query, w, line, sh.shown, d)
			}
			for i := range shaped.tests {
				if test, ok := shaped.tests[i].fieldTest(); ok && len(want) > 0 {
					checkTest(t, query, line, &test, found)
				}
			}
			if test := validShape(); shaped.valid && len(want) > 0 {
				checkTest(t, query, line, &test, found)
			}
		}
	}
}

// checkTest demands that test does not deny a line that passes.
func checkTest(t *testing.T, query, line string, test *model.FieldTest, found *model.LineFields) {
	t.Helper()
	i, ok := test.Field(found.Shape), false
	if i < 0 {
		ok = test.Absent(found.Shape)
	} else {
		ok = test.Text(found.Values[i])
	}
	if !ok {
		t.Fatalf("%s: the test on %q denies %q", query, test.Name, line)
	}
}

// runShape returns what p makes of a line, nothing if it drops it.
func runShape(p *pipeline, line string, found *model.LineFields) []string {
	r := &p.row
	r.begin(0, line, model.Labels{{Name: "x", Value: "y"}})
	r.addMeta("m", "1")
	r.found = found
	if found == nil && !p.passes(line) || found != nil && found.Shape.Deny || !p.run() {
		return nil
	}
	out := []string{r.err + " " + r.details}
	for _, l := range r.appendAll(nil) {
		out = append(out, l.Name+"="+strings.Clone(l.Value))
	}
	return out
}

func TestShapes(t *testing.T) {
	for _, q := range shapePipelines {
		for _, l := range shapeTemplates {
			checkShape(t, q, l, 7)
		}
	}
}

// TestShapesAreKnown checks that common stages do not look at lines of common shapes.
func TestShapesAreKnown(t *testing.T) {
	const text = `2026-#-# #:# INFO [worker-#] GET /api/# from #.# status=# took=#ms trace=~`
	const object = `{"level":"INFO","user":"user_#","id":"~","ms":#,"text":"a \"b\" #"}`
	for query, template := range map[string]string{
		"{x=\"y\"} | json | logfmt":                                                     object,
		"{x=\"y\"} | json a=\"level\" | logfmt | pattern `<a> <b>`":                     text,
		"{x=\"y\"} | json a=\"ms\" | logfmt b=\"status\"":                               object,
		"{x=\"y\"} | pattern `<_> <_> <l> [<w>] <m> <p> from <ip> status=<s> took=<t>`": text,
		`{x="y"} | regexp "status=(?P<s>[0-9]+) took=(?P<t>\\d+)ms"`:                    text,
		`{x="y"} | regexp "^(\\S+) (\\S+) (?P<l>\\w+) .* from (?P<ip>[0-9.]+) "`:        text,
		`{x="y"} | regexp "trace=(?P<id>[0-9a-f]+)" | regexp "took=(?P<t>.*?)ms"`:       text,
		`{x="y"} | regexp "(?i)(?P<l>info|warn|error)"`:                                 object,
		`{x="y"} | regexp "nothing (?P<l>\\w+)"`:                                        object,
	} {
		e, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		p, err := compile(e.(*LogQuery).stages, compileOptions{want: newWanted([]string{"a", "b", "l", "s", "t", "ip", "id"}), now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		sh := newTestShape(template)
		if (&shapeParser{stages: p.parsers, want: p.row.want}).ParseShape(sh.shown, sh.sample) == nil {
			t.Errorf("%s looks at the lines of %s", query, template)
		}
		checkShape(t, query, template, 1)
	}
}

// FuzzShapes compares stages on lines with the same on their shapes.
func FuzzShapes(f *testing.F) {
	for i, l := range shapeTemplates {
		for n := range shapePipelines {
			f.Add(l, n, uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, template string, n int, seed uint64) {
		if len(template) < 1000 {
			checkShape(t, shapePipelines[uint(n)%uint(len(shapePipelines))], template, seed)
		}
	})
}
