package logql

import (
	"errors"
	"strings"
	"testing"
)

// TestParse holds queries with their canonical form; "" means that they are canonical.
func TestParse(t *testing.T) {
	tests := []struct{ in, want string }{
		{in: `{app="x"}`},
		{in: `{a="b"}|json`, want: `{a="b"} | json`},
		{in: "{app=\"x\"} #c\n |= \"a\" # d", want: `{app="x"} |= "a"`},
		{in: `{app="x"} /* c */ |= "a" // d`, want: `{app="x"} |= "a"`},
		{in: `SUM BY (a) (Rate({app="x"}[1m]))`, want: `sum by (a) (rate({app="x"}[1m]))`},
		{in: `sum(rate({app="x"}[1m])) by (app)`, want: `sum by (app) (rate({app="x"}[1m]))`},
		{in: `{app=~".+",b=""}`, want: `{app=~".+", b=""}`},
		{in: `{日本="x"}`},
		{in: `{rate="x"} | duration > 10s`},
		{in: `sum by (rate, bytes, ip) (rate({app="x"}[1m]))`},
		{in: `({app="x"} |= "a")`, want: `{app="x"} |= "a"`},
		{in: `{app="x"} |= "a" or ip("10.0.0.0/8") or "c" != "d" |~ "e\\d" !~ "f" |> "g <_>" !> "h"`, want: "{app=\"x\"} |= \"a\" or ip(\"10.0.0.0/8\") or \"c\" != \"d\" |~ `e\\d` !~ \"f\" |> \"g <_>\" !> \"h\""},
		{in: `{app="x"} | json a, b="c[\"d\"]" | logfmt --strict --keep-empty x | logfmt`, want: "{app=\"x\"} | json a=\"a\", b=`c[\"d\"]` | logfmt --strict --keep-empty x=\"x\" | logfmt"},
		{in: "{app=\"x\"} | regexp `(?P<a>x)` | pattern `<ip> - <_>` | unpack | decolorize", want: `{app="x"} | regexp "(?P<a>x)" | pattern "<ip> - <_>" | unpack | decolorize`},
		{in: "{app=\"x\"} | line_format `{{.a}}` | label_format a=b, c=`{{.d}}`", want: `{app="x"} | line_format "{{.a}}" | label_format a=b, c="{{.d}}"`},
		{in: `{app="x"} | drop a, b="x", c=~"re", d!="y", e!~"re" | keep f, g="1"`},
		{in: `{app="x"} | a=5 | a==5 | b!=-1.5 | c>=1KB | d<1h30m | e>-1s | f=ip("::1") | g!=ip("1.2.3.4")`, want: `{app="x"} | a == 5 | a == 5 | b != -1.5 | c >= 1KB | d < 1h30m | e > -1s | f=ip("::1") | g!=ip("1.2.3.4")`},
		{in: `{app="x"} | a=~"x|y" | b!~"z"`},
		{in: `rate({a="b"}[1m] offset -5m)`},
		{in: `rate({a="b"}[1m] |= "x" | json)`, want: `rate({a="b"} |= "x" | json [1m])`},
		{in: `rate(({a="b"} | json)[1m] offset 5m)`, want: `rate({a="b"} | json [1m] offset 5m)`},
		{in: `sum_over_time(({a="b"})[1m] | unwrap x)`, want: `sum_over_time({a="b"} | unwrap x [1m])`},
		{in: `quantile_over_time(0.95, {a="b"} | json | unwrap duration(d) | __error__="" [1h]) by (x, y)`, want: `quantile_over_time(0.95, {a="b"} | json | unwrap duration(d) | __error__="" [1h]) by (x, y)`},
		{in: `rate({a="b"}[0s])`},
		{in: `rate({a="b"}[1y])`},
		{in: `topk by (x) (5, vector(1))`},
		{in: `topk(5, vector(1)) by (x)`, want: `topk by (x) (5, vector(1))`},
		{in: `sort_desc(sum without () (rate({a="b"}[1m])))`, want: `sort_desc(sum without () (rate({a="b"}[1m])))`},
		{in: `1 -1`, want: `0`},
		{in: `1 - -1`, want: `2`},
		{in: `-2 ^ 2`, want: `4`},
		{in: `2 ^ 3 ^ 2`, want: `512`},
		{in: `1 > bool 2`, want: `0`},
		{in: `1 + 2 * 3 % 2`, want: `1`},
		{in: `vector(1)+vector(1)`, want: `(vector(1) + vector(1))`},
		{in: `vector(1) + vector(2) * vector(3) ^ vector(4) ^ vector(5)`, want: `(vector(1) + (vector(2) * (vector(3) ^ (vector(4) ^ vector(5)))))`},
		{in: `vector(1) or vector(2) and vector(3) unless vector(4)`, want: `(vector(1) or ((vector(2) and vector(3)) unless vector(4)))`},
		{in: `vector(1) - vector(2) - vector(3) > 4`, want: `(((vector(1) - vector(2)) - vector(3)) > 4)`},
		{in: `vector(1) / on(a, b) group_left(c) vector(2)`, want: `(vector(1) / on (a, b) group_left (c) vector(2))`},
		{in: `vector(1) / ignoring(a) group_right (sum(vector(2)))`, want: `(vector(1) / ignoring (a) group_right () sum(vector(2)))`},
		{in: `label_replace(vector(1), "a", "$1", "b", "(.*)")`},
		{in: `{app="x"} | a="1" or b="2" and c="3"`, want: `{app="x"} | a="1" or ( b="2" and c="3" )`},
		{in: `{app="x"} | a="1" and b="2" or c="3"`, want: `{app="x"} | ( a="1" and b="2" ) or c="3"`},
		{in: `{app="x"} | a="1" , b="2" or c="3"`, want: `{app="x"} | a="1" and ( b="2" or c="3" )`},
		{in: `{app="x"} | a="1" b="2" or c="3"`, want: `{app="x"} | a="1" and ( b="2" or c="3" )`},
		{in: `{app="x"} | a="1" or b="2" , c="3"`, want: `{app="x"} | a="1" or ( b="2" and c="3" )`},
		{in: `{app="x"} | a="1" or b="2" c="3"`, want: `{app="x"} | a="1" or ( b="2" and c="3" )`},
		{in: `{app="x"} | a="1" and b="2" , c="3" or d="4"`, want: `{app="x"} | a="1" and ( b="2" and ( c="3" or d="4" ) )`},
		{in: `{app="x"} | (a="1" or b="2") and c="3"`, want: `{app="x"} | ( a="1" or b="2" ) and c="3"`},
		{in: `sum by (endpoint) (rate({service="api"} | json | status_code >= 500 | __error__ = "" [1h]))`, want: `sum by (endpoint) (rate({service="api"} | json | status_code >= 500 | __error__="" [1h]))`},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.in
			}
			e, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.String(); got != want {
				t.Errorf("String() = %s, want %s", got, want)
			}
			checkRoundTrip(t, e)
		})
	}
}

// checkRoundTrip checks that e survives printing and parsing, in both forms.
func checkRoundTrip(t *testing.T, e Expr) {
	t.Helper()
	for _, text := range []string{e.String(), Format(e)} {
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("parse %q: %v", text, err)
		}
		if again.String() != e.String() {
			t.Fatalf("printed %q, parsed and printed again %q", e, again)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ in, want string }{
		{`{app="x",}`, `line 1, col 10: syntax error: unexpected }`},
		{"{app=\"x\"}\n | foo ~ 3", `line 2, col 8: syntax error: unexpected character '~'`},
		{`{}`, `parse error : queries require`},
		{`{app=""}`, `parse error : queries require`},
		{`{app!="b"}`, `queries require`},
		{`{app=~".*"}`, `queries require`},
		{`{app=~"b|"}`, `queries require`},
		{`rate({app=~".*"}[1m])`, `queries require`},
		{`{app=~"("}`, `error parsing regexp: `},
		{`{json="x"}`, `json is a reserved word`},
		{`sum by (pattern) (rate({a="b"}[1m]))`, `reserved word`},
		{`{a.b="x"}`, `label names have no dots`},
		{`{"a.b"="x"}`, `quoted label names`},
		{`{app='x'}`, `double quotes or backquotes`},
		{`rate({app="x"} offset 5m [1m])`, `unexpected offset`},
		{`rate({app="x"}[1m]) offset 5m`, `unexpected offset`},
		{`rate({a="b"}[1m] |= "x" offset 5m)`, `unexpected offset`},
		{`rate({app="x"}[1m] @ 5)`, `unexpected character '@'`},
		{`rate({app="x"}[1m:10s])`, `invalid range [1m:10s]`},
		{`rate({app="x"}[1.5h])`, `invalid range`},
		{`rate({app="x"}[ 1m ])`, `invalid range`},
		{`rate({app="x"}[60])`, `invalid range`},
		{`rate({app="x"}[30s1m])`, `invalid range`},
		{`rate({app="x"}[5m`, `missing closing ']' in duration`},
		{`{app="x"} | distinct a`, `LogQL has no distinct`},
		{`variants(rate({a="b"}[1m])) of ({a="b"}[1m])`, `LogQL has no variants`},
		{`{app="x"} | s > 1kb`, `unexpected`},
		{`{app="x"} | s > 1EB`, `malformed number`},
		{`{app="x"} | s > 0x10`, `unable to parse literal as a float: 0x10`},
		{`1e400`, `unable to parse literal as a float`},
		{`{app="x"} | a=="5"`, `unexpected ==`},
		{`{app="x"} | a=~5`, `unexpected =~`},
		{`count_over_time({app="x"} | unwrap a [1m])`, `invalid aggregation count_over_time with unwrap`},
		{`avg_over_time({app="x"}[1m])`, `invalid aggregation avg_over_time without unwrap`},
		{`sum_over_time({app="x"} | unwrap a [1m]) by (a)`, `grouping not allowed for sum_over_time aggregation`},
		{`rate({app="x"} | unwrap a [1m]) by (a)`, `grouping not allowed`},
		{`avg_over_time by (y) ({app="x"} | unwrap a [1m])`, `after its parentheses`},
		{`quantile_over_time({app="x"} | unwrap a [1m])`, `parameter required for operation quantile_over_time`},
		{`quantile_over_time(-0.5, {app="x"} | unwrap a [1m])`, `unexpected -`},
		{`rate(5, {app="x"}[1m])`, `parameter 5 not supported for operation rate`},
		{`topk(0, vector(1))`, `invalid parameter (must be greater than 0) topk(0`},
		{`topk(1.5, vector(1))`, `invalid parameter topk(1.5,`},
		{`topk(vector(1))`, `parameter required for operation topk`},
		{`sum(5, vector(1))`, `unsupported parameter for operation sum(5,`},
		{`approx_topk by (a) (5, vector(1))`, `grouping not allowed for approx_topk`},
		{`sort by (a) (vector(1))`, `sort and sort_desc doesn't allow grouping by`},
		{`sum by (a) (vector(1)) by (b)`, `already given`},
		{`vector(-1)`, `a number without sign`},
		{`-vector(1)`, `a number after -`},
		{`-(1)`, `a number after -`},
		{`1 and 2`, `unexpected literal for left leg of logical/set binary operation (and): 1.000000`},
		{`vector(1) and 2`, `unexpected literal for right leg of logical/set binary operation (and): 2.000000`},
		{`{a="b"} + vector(1)`, `unexpected type for left leg of binary operation (+)`},
		{`vector(1) + {a="b"}`, `unexpected type for right leg of binary operation (+)`},
		{`sum({a="b"})`, `unexpected log query in sum(...)`},
		{`{app="x"} | regexp "x"`, `invalid regexp parser: at least one named group`},
		{`{app="x"} | regexp "(?P<a>x)(?P<a>y)"`, `invalid regexp parser: `},
		{`{app="x"} | regexp "("`, `invalid regexp parser: error parsing regexp`},
		{`{app="x"} | pattern "x"`, `invalid pattern parser: at least one capture`},
		{`{app="x"} | pattern "<a><b>"`, `invalid pattern parser: capture <b> follows another one`},
		{`{app="x"} | pattern "<a> <a>"`, `invalid pattern parser: capture <a> occurs twice`},
		{`{app="x"} | pattern ""`, `invalid pattern parser`},
		{`{app="x"} | logfmt | unwrap v`, `unexpected unwrap`},
		{`sum_over_time({app="x"} | unwrap v | json [1m])`, `nothing else may follow unwrap`},
		{`({a="b"}) |= "x"`, `unexpected |=`},
		{`{app="x"} | a=~"("`, `error parsing regexp`},
		{`label_replace(vector(1), "a", "$1", "b", "(")`, `invalid regex in label_replace`},
		{`{app="x`, `string not terminated`},
		{``, `unexpected $end`},
		{`{app="x"} | level`, `unexpected $end`},
		{strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500), `nested more than`},
		{"1" + strings.Repeat("+vector(1)", 2000), `more than 1000 operators`},
		{`{app="` + strings.Repeat("x", maxQueryLen) + `"}`, `parse error : input size too long`},
	}
	for _, tt := range tests {
		t.Run(tt.in[:min(len(tt.in), 60)], func(t *testing.T) {
			e, err := Parse(tt.in)
			if !errors.Is(err, ErrParse) {
				t.Fatalf("Parse gave %v, error %v, want ErrParse", e, err)
			}
			if !strings.HasPrefix(err.Error(), "parse error at line ") && !strings.HasPrefix(err.Error(), "parse error : ") {
				t.Errorf("error %q has no prefix that clients know", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestFormatLong(t *testing.T) {
	e, err := Parse(`sum by (endpoint) (rate({service="api"} |= "some long text to look for" | json | status_code >= 500 | __error__="" [1h])) / sum by (endpoint) (rate({service="api"}[1h]))`)
	if err != nil {
		t.Fatal(err)
	}
	want := `(
  sum by (endpoint) (
    rate(
      {service="api"} |= "some long text to look for" | json | status_code >= 500 | __error__="" [1h]
    )
  )
/
  sum by (endpoint) (rate({service="api"}[1h]))
)`
	if got := Format(e); got != want {
		t.Errorf("Format = %s, want %s", got, want)
	}
}

func TestParseSelector(t *testing.T) {
	tests := []struct {
		in  string
		all bool
		ok  bool
	}{
		{in: `{app="x"}`, ok: true},
		{in: `{}`},
		{in: `{}`, all: true, ok: true},
		{in: `{app=~".*"}`, all: true},
		{in: `{app="x"} |= "a"`},
		{in: `rate({app="x"}[1m])`},
	}
	for _, tt := range tests {
		if _, err := ParseSelector(tt.in, tt.all); (err == nil) != tt.ok {
			t.Errorf("ParseSelector(%s, %t): error %v, want ok %t", tt.in, tt.all, err, tt.ok)
		}
	}
}

// FuzzParse checks that no text panics and that what parses survives printing.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{a="b"} |= "x" | json a="b[0]" | a > 5, b="c" or c=~"d" | line_format "{{.x}}"`,
		`sum by (a) (quantile_over_time(0.9, {a="b"} | unwrap duration(x) | __error__="" [1h30m] offset -5m)) / on(a) group_left(b) vector(1)`,
		"topk(3, label_replace(rate({a=~`.+`}[1s]), \"a\", \"b\", \"c\", \"d\")) ^ -1.5e3 > bool 0",
		`{a="\xff"} != ip("1.2.3.4") or "y" | drop a, b!~"c" | logfmt --strict --keep-empty`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrParse) {
				t.Fatalf("error %v is not ErrParse", err)
			}
			return
		}
		checkRoundTrip(t, e)
	})
}
