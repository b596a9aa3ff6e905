package logql

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	promModel "github.com/prometheus/common/model"
)

// quote writes s as a LogQL string: with backquotes if that saves escapes.
func quote(s string) string {
	if strings.ContainsAny(s, "\"\\") && !strings.ContainsAny(s, "`\r") && utf8.ValidString(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func formatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + formatDuration(-d)
	}
	if d%time.Millisecond != 0 {
		return d.String()
	}
	return promModel.Duration(d).String()
}

// String returns the canonical form of q.
func (q *LogQuery) String() string {
	var b strings.Builder
	q.writeSelector(&b)
	for _, s := range q.stages {
		b.WriteByte(' ')
		b.WriteString(s.String())
	}
	return b.String()
}

func (q *LogQuery) writeSelector(b *strings.Builder) {
	b.WriteByte('{')
	for i, m := range q.Matchers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.Name + m.Type.String() + quote(m.Value))
	}
	b.WriteByte('}')
}

func (op lineOp) String() string {
	return [...]string{"|=", "!=", "|~", "!~", "|>", "!>"}[op]
}

func (n *lineFilterNode) String() string {
	var b strings.Builder
	b.WriteString(n.op.String())
	for i, a := range n.args {
		if i > 0 {
			b.WriteString(" or")
		}
		if a.ip {
			b.WriteString(" ip(" + quote(a.text) + ")")
		} else {
			b.WriteString(" " + quote(a.text))
		}
	}
	return b.String()
}

func writeExtractions(b *strings.Builder, es []extraction) {
	for i, e := range es {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(" " + e.name + "=" + quote(e.source))
	}
}

func (n *jsonNode) String() string {
	var b strings.Builder
	b.WriteString("| json")
	writeExtractions(&b, n.exprs)
	return b.String()
}

func (n *logfmtNode) String() string {
	var b strings.Builder
	b.WriteString("| logfmt")
	if n.strict {
		b.WriteString(" --strict")
	}
	if n.keepEmpty {
		b.WriteString(" --keep-empty")
	}
	writeExtractions(&b, n.exprs)
	return b.String()
}

func (n *regexpNode) String() string     { return "| regexp " + quote(n.text) }
func (n *patternNode) String() string    { return "| pattern " + quote(n.text) }
func (n *unpackNode) String() string     { return "| unpack" }
func (n *decolorizeNode) String() string { return "| decolorize" }
func (n *lineFormatNode) String() string { return "| line_format " + quote(n.text) }

func (n *labelFormatNode) String() string {
	var b strings.Builder
	b.WriteString("| label_format ")
	for i, it := range n.items {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(it.dst + "=")
		if it.template {
			b.WriteString(quote(it.src))
		} else {
			b.WriteString(it.src)
		}
	}
	return b.String()
}

func (n *dropKeepNode) String() string {
	var b strings.Builder
	b.WriteString("| drop ")
	if n.keep {
		b.Reset()
		b.WriteString("| keep ")
	}
	for i, it := range n.items {
		if i > 0 {
			b.WriteString(", ")
		}
		if it.m != nil {
			b.WriteString(it.m.String())
		} else {
			b.WriteString(it.name)
		}
	}
	return b.String()
}

func (n *labelFilterNode) String() string { return "| " + n.cond.String() }

func (m *labelMatcher) String() string { return m.name + m.typ.String() + quote(m.value) }

func (c *ipCond) String() string {
	op := "="
	if c.negate {
		op = "!="
	}
	return c.name + op + "ip(" + quote(c.text) + ")"
}

func (c *numCond) String() string { return c.name + " " + c.op + " " + c.text }

func (c *binaryCond) String() string {
	op := " and "
	if c.or {
		op = " or "
	}
	return nestedCond(c.left) + op + nestedCond(c.right)
}

func nestedCond(c condition) string {
	if _, ok := c.(*binaryCond); ok {
		return "( " + c.String() + " )"
	}
	return c.String()
}

func (u *unwrapNode) String() string {
	var b strings.Builder
	b.WriteString("| unwrap ")
	if u.conv == convNumber {
		b.WriteString(u.name)
	} else {
		b.WriteString(string(u.conv) + "(" + u.name + ")")
	}
	for _, f := range u.filters {
		b.WriteByte(' ')
		b.WriteString(f.String())
	}
	return b.String()
}

func (g *grouping) String() string {
	word := "by"
	if g.without {
		word = "without"
	}
	return word + " (" + strings.Join(g.labels, ", ") + ")"
}

// rangeText is everything between the parentheses of e except the parameter.
func (e *rangeAggExpr) rangeText() string {
	var b strings.Builder
	b.WriteString(e.query.String())
	if e.unwrap != nil {
		b.WriteString(" " + e.unwrap.String())
		b.WriteByte(' ')
	} else if e.query.HasPipeline() {
		b.WriteByte(' ')
	}
	b.WriteString("[" + formatDuration(e.rng) + "]")
	if e.offset != 0 {
		b.WriteString(" offset " + formatDuration(e.offset))
	}
	return b.String()
}

func (e *rangeAggExpr) String() string {
	var b strings.Builder
	b.WriteString(e.fn.name + "(")
	if e.fn.param {
		b.WriteString(formatNumber(e.param) + ", ")
	}
	b.WriteString(e.rangeText() + ")")
	if e.group != nil {
		b.WriteString(" " + e.group.String())
	}
	return b.String()
}

func (e *vectorAggExpr) head() string {
	head := e.op
	if e.group != nil {
		head += " " + e.group.String() + " "
	}
	return head
}

func (e *vectorAggExpr) String() string {
	s := e.head() + "("
	if takesK(e.op) {
		s += strconv.FormatInt(e.k, 10) + ", "
	}
	return s + e.inner.String() + ")"
}

// operator is the operator with its modifiers.
func (e *binaryExpr) operator() string {
	s := e.op
	if e.returnBool {
		s += " bool"
	}
	if m := e.matching; m != nil {
		if m.on {
			s += " on (" + strings.Join(m.labels, ", ") + ")"
		} else {
			s += " ignoring (" + strings.Join(m.labels, ", ") + ")"
		}
		if m.card != oneToOne {
			s += [...]string{manyToOne: " group_left (", oneToMany: " group_right ("}[m.card] + strings.Join(m.include, ", ") + ")"
		}
	}
	return s
}

func (e *binaryExpr) String() string {
	return "(" + e.left.String() + " " + e.operator() + " " + e.right.String() + ")"
}

func (e *literalExpr) String() string { return formatNumber(e.value) }

func (e *vectorExpr) String() string { return "vector(" + formatNumber(e.value) + ")" }

func (e *labelReplaceExpr) args() string {
	return quote(e.dst) + ", " + quote(e.repl) + ", " + quote(e.src) + ", " + quote(e.reg)
}

func (e *labelReplaceExpr) String() string {
	return "label_replace(" + e.inner.String() + ", " + e.args() + ")"
}

// maxColumns is how long a line of [Format] may be before it is broken up.
const maxColumns = 100

// Format returns e in canonical form, on several indented lines if it is too long for
// one.
func Format(e Expr) string {
	var b strings.Builder
	format(&b, e, 0)
	return b.String()
}

func format(b *strings.Builder, e Expr, depth int) {
	indent := strings.Repeat("  ", depth)
	if s := e.String(); len(indent)+len(s) <= maxColumns {
		b.WriteString(indent + s)
		return
	}
	switch e := e.(type) {
	case *LogQuery:
		b.WriteString(indent)
		e.writeSelector(b)
		for _, s := range e.stages {
			b.WriteString("\n" + indent + "  " + s.String())
		}
	case *rangeAggExpr:
		b.WriteString(indent + e.fn.name + "(\n")
		if e.fn.param {
			b.WriteString(indent + "  " + formatNumber(e.param) + ",\n")
		}
		format(b, e.query, depth+1)
		if e.unwrap != nil {
			b.WriteString("\n" + indent + "    " + e.unwrap.String())
		}
		b.WriteString(" [" + formatDuration(e.rng) + "]")
		if e.offset != 0 {
			b.WriteString(" offset " + formatDuration(e.offset))
		}
		b.WriteString("\n" + indent + ")")
		if e.group != nil {
			b.WriteString(" " + e.group.String())
		}
	case *vectorAggExpr:
		b.WriteString(indent + e.head() + "(\n")
		if takesK(e.op) {
			b.WriteString(indent + "  " + strconv.FormatInt(e.k, 10) + ",\n")
		}
		format(b, e.inner, depth+1)
		b.WriteString("\n" + indent + ")")
	case *binaryExpr:
		b.WriteString(indent + "(\n")
		format(b, e.left, depth+1)
		b.WriteString("\n" + indent + e.operator() + "\n")
		format(b, e.right, depth+1)
		b.WriteString("\n" + indent + ")")
	case *labelReplaceExpr:
		b.WriteString(indent + "label_replace(\n")
		format(b, e.inner, depth+1)
		b.WriteString(",\n" + indent + "  " + e.args() + "\n" + indent + ")")
	default:
		b.WriteString(indent + e.String())
	}
}
