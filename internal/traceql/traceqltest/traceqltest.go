// Package traceqltest makes random TraceQL queries for differential tests: one query is
// answered in two ways, by the real store and by spans in memory, or with and without the
// conditions that a store prunes by, and the answers must be the same. The queries are
// about the attributes of testdata/fixture.json. Some have ill types, and do not parse.
package traceqltest

import "math/rand/v2"

// Generator makes random queries.
type Generator struct{ Rand *rand.Rand }

// Pick returns one of options.
func (g Generator) Pick(options ...string) string { return options[g.Rand.IntN(len(options))] }

// Joined makes a search of filters side by side, without parentheses.
func (g Generator) Joined() string {
	filter := func() string { return "{ " + g.Filter(2) + " }" }
	q := filter()
	for range g.Rand.IntN(3) {
		q += g.Pick(" && ", " || ", " > ", " >> ", " < ", " << ", " ~ ", " !> ", " !>> ", " !< ", " !~ ", " &> ", " &>> ", " &<< ", " &~ ", " | ") + filter()
	}
	return q + g.Pick("", "", " | count() > 1", " | by(kind)", " | select(span.a, .x) | { name != \"A\" }", " | max(duration) > 20ms")
}

// Filter makes the inside of a filter, nested at most depth times.
func (g Generator) Filter(depth int) string {
	if depth == 0 || g.Rand.IntN(5) == 0 {
		return g.comparison()
	}
	switch g.Rand.IntN(5) {
	case 0:
		return "!(" + g.Filter(depth-1) + ")"
	case 1:
		return "(" + g.Filter(depth-1) + ")"
	case 2:
		return g.Filter(depth-1) + " || " + g.Filter(depth-1)
	default:
		return g.Filter(depth-1) + " && " + g.Filter(depth-1)
	}
}

func (g Generator) comparison() string {
	attr := g.Pick("span.a", "span.s", "span.f", "span.b", ".x", ".shared", "resource.shared", "resource.x", "span.arr.s", "span.arr.i",
		"span.i", ".service.name", "resource.service.name", "span.empty", "span.http.status_code", ".a", "span.kv", "span.arr.mixed",
		"name", "duration", "status", "kind", "statusMessage", "nestedSetParent", "rootName", "traceDuration", "instrumentation:name",
		"event.msg", "event:name", "link.shared", "span:childCount", "span.v", ".v", "resource.v", "event.v", "link.v")
	lit := g.Pick("5", "5.0", `"5"`, "1", "2", `"x"`, `"abc"`, "true", "false", "nil", "10ms", "1s", "error", "internal", `"A"`, `""`, `"typed"`, `"frontend"`, `"rs"`, "-1", "0", `"hi"`, `"log"`)
	op := g.Pick("=", "!=", "<", "<=", ">", ">=")
	switch g.Rand.IntN(8) {
	case 0:
		return attr
	case 1:
		return attr + g.Pick(" =~ ", " !~ ") + g.Pick(`".*"`, `"[a-z]*"`, `"5|x"`, `""`, `".+"`, `"(?i)ABC"`, `"[^x]"`, `"a.c"`, `"x|y|"`, `"^x$"`)
	case 2:
		return lit + " " + op + " " + attr
	case 3:
		return attr + " + 1 " + op + " " + lit
	}
	return attr + " " + op + " " + lit
}

// Search makes a search of any shape.
func (g Generator) Search() string {
	q := g.spansets(2)
	for range g.Rand.IntN(3) {
		q += " | " + g.stage()
	}
	return q
}

func (g Generator) spansets(depth int) string {
	if depth == 0 || g.Rand.IntN(3) == 0 {
		return g.Pick("{ }", "{ "+g.Filter(1)+" }", "{ "+g.Filter(2)+" }")
	}
	op := g.Pick("&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~")
	return "(" + g.spansets(depth-1) + ") " + op + " (" + g.spansets(depth-1) + ")"
}

func (g Generator) key() string {
	return g.Pick("span.v", "span.a", ".v", "resource.v", "span.arr.s", "span.arr.i", "name", "kind", "status", "resource.service.name", "rootName", "event.v", "event:name", "link.v", "span:childCount", "nestedSetParent")
}

func (g Generator) stage() string {
	number := g.Pick("duration", "span.v", "span.a", "span:childCount", "traceDuration")
	switch g.Rand.IntN(7) {
	case 0:
		return "by(" + g.key() + ")"
	case 1:
		return "by(" + g.key() + ") | coalesce()"
	case 2:
		return "select(" + g.key() + ", " + g.key() + ")"
	case 3:
		return "count() " + g.Pick("=", "!=", "<", ">", ">=") + g.Pick(" 1", " 2", " 5")
	case 4:
		return g.Pick("avg", "min", "max", "sum") + "(" + number + ") " + g.Pick("=", "!=", "<", ">=") + g.Pick(" 5", " 1", " 10ms", " 1s")
	default:
		return "{ " + g.Filter(1) + " }"
	}
}

// Metrics makes a metrics query.
func (g Generator) Metrics() string {
	by := g.Pick("", "", " by ("+g.key()+")", " by ("+g.key()+", "+g.key()+")")
	number := g.Pick("duration", "span.v", "span.a", "traceDuration")
	fn := g.Pick("rate()", "count_over_time()", "min_over_time("+number+")", "max_over_time("+number+")", "avg_over_time("+number+")",
		"sum_over_time("+number+")", "quantile_over_time("+number+", 0.5, 0.9)", "histogram_over_time("+number+")")
	q := g.Search() + " | "
	switch g.Rand.IntN(6) {
	case 0:
		return q + "compare({ " + g.Filter(1) + " }, 5)"
	case 1:
		return "(" + q + fn + by + ")" + g.Pick(" + ", " / ", " * ", " - ") + "(" + g.spansets(1) + " | rate()" + by + ")"
	case 2:
		return q + fn + by + " > 1"
	}
	return q + fn + by
}

// Any makes a search or, one time in three, a metrics query.
func (g Generator) Any() string {
	if g.Rand.IntN(3) == 0 {
		return g.Metrics()
	}
	return g.Search()
}
