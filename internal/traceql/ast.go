package traceql

import "strings"

// operator is a unary, binary, comparison or spanset operator.
type operator uint8

const (
	opNone operator = iota
	opAnd
	opOr
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opRegex
	opNotRegex
	opAdd
	opSub
	opMul
	opDiv
	opMod
	opPow
	opNot // prefix
	// Spanset operators. A > B is opChild: the spans of B whose parent is in A.
	opChild
	opDescendant
	opParent
	opAncestor
	opSibling
	opNotChild
	opNotDescendant
	opNotParent
	opNotAncestor
	opNotSibling
	opUnionChild
	opUnionDescendant
	opUnionParent
	opUnionAncestor
	opUnionSibling
)

//nolint:gochecknoglobals // read-only table
var operatorTexts = [...]string{
	"", "&&", "||", "=", "!=", "<", "<=", ">", ">=", "=~", "!~", "+", "-", "*", "/", "%", "^", "!",
	">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~",
}

func (op operator) String() string { return operatorTexts[op] }

func (op operator) comparison() bool { return opEqual <= op && op <= opNotRegex }
func (op operator) ordering() bool   { return opLess <= op && op <= opGreaterEqual }
func (op operator) regex() bool      { return op == opRegex || op == opNotRegex }
func (op operator) arithmetic() bool { return opAdd <= op && op <= opPow }
func (op operator) boolean() bool    { return op == opAnd || op == opOr }
func (op operator) structural() bool { return opChild <= op && op <= opUnionSibling }

// mirror returns the operator with the sides exchanged: a < b is b > a.
func (op operator) mirror() operator {
	switch op {
	case opLess:
		return opGreater
	case opLessEqual:
		return opGreaterEqual
	case opGreater:
		return opLess
	case opGreaterEqual:
		return opLessEqual
	}
	return op
}

// fieldOperator and spansetOperator read an operator's text in the two contexts.
func fieldOperator(text string) operator {
	for op := opAnd; op <= opPow; op++ {
		if op.String() == text {
			return op
		}
	}
	return opNone
}

func spansetOperator(text string) operator {
	switch text {
	case "&&":
		return opAnd
	case "||":
		return opOr
	}
	for op := opChild; op <= opUnionSibling; op++ {
		if op.String() == text {
			return op
		}
	}
	return opNone
}

// field is an expression over one span: *literal, *attribute, *unary or *binary.
type field interface {
	write(b *strings.Builder)
	pos() pos
}

type literal struct {
	val Value
	at  pos
}

type attribute struct {
	in     intrinsic // inNone for an attribute
	scope  scope
	name   string
	parent bool // parent.x, refused by the checks
	at     pos
}

type unary struct {
	op operator // opNot or opSub
	x  field
	at pos
}

type binary struct {
	op   operator
	l, r field
	at   pos // of the operator
}

func (e *literal) pos() pos   { return e.at }
func (e *attribute) pos() pos { return e.at }
func (e *unary) pos() pos     { return e.at }
func (e *binary) pos() pos    { return e.at }

func (e *literal) write(b *strings.Builder) { e.val.writeLiteral(b) }

func (e *attribute) write(b *strings.Builder) {
	if e.in != inNone {
		b.WriteString(e.in.info().name)
		return
	}
	if e.parent {
		b.WriteString("parent.")
	}
	if e.scope != scopeNone {
		b.WriteString(e.scope.String())
	}
	if e.scope != scopeNone || !e.parent {
		b.WriteByte('.')
	}
	if !needsQuotes(e) {
		b.WriteString(e.name)
		return
	}
	b.WriteByte('"')
	for i := range len(e.name) {
		if c := e.name[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(e.name[i])
	}
	b.WriteByte('"')
}

func needsQuotes(e *attribute) bool {
	switch {
	case e.name == "", strings.ContainsFunc(e.name, attrStop):
		return true
	case e.scope == scopeNone && !e.parent:
		return isDigit(e.name[0]) // .5 is a number
	case e.scope == scopeNone:
		return strings.HasPrefix(e.name, "span.") || strings.HasPrefix(e.name, "resource.")
	}
	return false
}

func (e *unary) write(b *strings.Builder) {
	b.WriteString(e.op.String())
	writeOperand(b, e.op, e.x)
}

func (e *binary) write(b *strings.Builder) {
	if l, ok := e.l.(*binary); ok && l.op == e.op && e.op.boolean() {
		l.write(b) // a && b && c
	} else {
		writeOperand(b, e.op, e.l)
	}
	b.WriteByte(' ')
	b.WriteString(e.op.String())
	b.WriteByte(' ')
	writeOperand(b, e.op, e.r)
}

// writeOperand puts what has operators of its own in parentheses, and negative numbers
// where their minus could bind differently.
func writeOperand(b *strings.Builder, parent operator, e field) {
	switch e := e.(type) {
	case *binary, *unary:
	case *literal:
		if !parent.arithmetic() && parent != opNot || !e.val.typ.numeric() || e.val.Float() >= 0 {
			e.write(b)
			return
		}
	default:
		e.write(b)
		return
	}
	b.WriteByte('(')
	e.write(b)
	b.WriteByte(')')
}

func fieldText(e field) string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

// spansets is an expression that yields spansets: *filter, *spansetOp, or a *pipeline in
// parentheses.
type spansets interface {
	writeSpansets(b *strings.Builder)
}

type filter struct {
	expr field // nil matches every span
}

type spansetOp struct {
	op   operator
	l, r spansets
	at   pos
}

// stage is one step of a pipeline: a spansets, *scalarFilter, *groupBy, *coalesce or
// *selection.
type stage any

// pipeline is stages joined by "|".
type pipeline struct {
	stages []stage
}

type scalarFilter struct {
	op   operator
	l, r scalar
}

// scalar is a number per spanset: *aggregate, *scalarConst or *scalarOp.
type scalar interface {
	writeScalar(b *strings.Builder)
}

type aggregate struct {
	name string // count, avg, min, max, sum
	expr field  // nil for count
	at   pos
}

type scalarConst struct {
	val Value
	at  pos
}

type scalarOp struct {
	op   operator
	l, r scalar
	at   pos
}

type groupBy struct {
	expr field
	at   pos
}

type coalesce struct{}

type selection struct{ attrs []*attribute }

func (e *filter) writeSpansets(b *strings.Builder) {
	if e.expr == nil {
		b.WriteString("{ }")
		return
	}
	b.WriteString("{ ")
	e.expr.write(b)
	b.WriteString(" }")
}

func (e *spansetOp) writeSpansets(b *strings.Builder) {
	if l, ok := e.l.(*spansetOp); ok && l.op == e.op && e.op.boolean() {
		l.writeSpansets(b)
	} else {
		writeSpansetOperand(b, e.l)
	}
	b.WriteByte(' ')
	b.WriteString(e.op.String())
	b.WriteByte(' ')
	writeSpansetOperand(b, e.r)
}

func writeSpansetOperand(b *strings.Builder, e spansets) {
	if f, ok := e.(*filter); ok {
		f.writeSpansets(b)
		return
	}
	b.WriteByte('(')
	e.writeSpansets(b)
	b.WriteByte(')')
}

func (p *pipeline) writeSpansets(b *strings.Builder) {
	for i, s := range p.stages {
		if i > 0 {
			b.WriteString(" | ")
		}
		writeStage(b, s)
	}
}

func writeStage(b *strings.Builder, s stage) {
	switch s := s.(type) {
	case *pipeline:
		writeSpansetOperand(b, s)
	case spansets:
		s.writeSpansets(b)
	case *scalarFilter:
		s.l.writeScalar(b)
		b.WriteString(" " + s.op.String() + " ")
		s.r.writeScalar(b)
	case *groupBy:
		b.WriteString("by(")
		s.expr.write(b)
		b.WriteByte(')')
	case *coalesce:
		b.WriteString("coalesce()")
	case *selection:
		b.WriteString("select(")
		writeAttributes(b, s.attrs)
		b.WriteByte(')')
	}
}

func writeAttributes(b *strings.Builder, attrs []*attribute) {
	for i, a := range attrs {
		if i > 0 {
			b.WriteString(", ")
		}
		a.write(b)
	}
}

func (e *aggregate) writeScalar(b *strings.Builder) {
	b.WriteString(e.name)
	b.WriteByte('(')
	if e.expr != nil {
		e.expr.write(b)
	}
	b.WriteByte(')')
}

func (e *scalarConst) writeScalar(b *strings.Builder) { e.val.writeLiteral(b) }

func (e *scalarOp) writeScalar(b *strings.Builder) {
	for i, x := range [...]scalar{e.l, e.r} {
		if i > 0 {
			b.WriteString(" " + e.op.String() + " ")
		}
		if _, ok := x.(*scalarOp); ok {
			b.WriteByte('(')
			x.writeScalar(b)
			b.WriteByte(')')
			continue
		}
		x.writeScalar(b)
	}
}

// metrics is a metrics query: *metricQuery, *metricOp or *metricConst.
type metrics interface {
	writeMetrics(b *strings.Builder)
}

// metricQuery is a pipeline that ends in a metrics function.
type metricQuery struct {
	pipe      *pipeline
	fn        metricFunc
	attr      *attribute // nil when the function takes none
	quantiles []float64
	cmp       *comparison // of compare()
	by        []*attribute
	second    []secondStage
	at        pos
}

// comparison is the arguments of compare().
type comparison struct {
	sel        *filter
	topN       int64
	start, end int64 // Unix nanoseconds, both 0 when not given
	args       int
}

// metricOp is arithmetic between metrics queries, or between one and a constant.
type metricOp struct {
	op     operator
	l, r   metrics
	second []secondStage
	at     pos
}

type metricConst struct{ val Value }

// secondStage is topk, bottomk (op is opNone) or a comparison with a constant.
type secondStage struct {
	op     operator
	val    Value
	bottom bool
	k      int64
}

func (m *metricQuery) writeMetrics(b *strings.Builder) {
	m.pipe.writeSpansets(b)
	b.WriteString(" | ")
	b.WriteString(m.fn.String())
	b.WriteByte('(')
	if m.attr != nil {
		m.attr.write(b)
	}
	for _, q := range m.quantiles {
		b.WriteString(", " + formatFloat(q))
	}
	if c := m.cmp; c != nil {
		c.sel.writeSpansets(b)
		args := [...]int64{c.topN, c.start, c.end}
		for _, n := range args[:c.args] {
			b.WriteString(", " + intValue(n).String())
		}
	}
	b.WriteByte(')')
	if len(m.by) > 0 {
		b.WriteString(" by (")
		writeAttributes(b, m.by)
		b.WriteByte(')')
	}
	writeSecond(b, m.second)
}

func (m *metricOp) writeMetrics(b *strings.Builder) {
	for i, x := range [...]metrics{m.l, m.r} {
		if i > 0 {
			b.WriteString(" " + m.op.String() + " ")
		}
		if _, ok := x.(*metricConst); ok {
			x.writeMetrics(b)
			continue
		}
		b.WriteByte('(')
		x.writeMetrics(b)
		b.WriteByte(')')
	}
	writeSecond(b, m.second)
}

func (m *metricConst) writeMetrics(b *strings.Builder) { m.val.writeLiteral(b) }

func writeSecond(b *strings.Builder, stages []secondStage) {
	for _, s := range stages {
		switch {
		case s.op != opNone:
			b.WriteString(" " + s.op.String() + " ")
			s.val.writeLiteral(b)
		case s.bottom:
			b.WriteString(" | bottomk(" + intValue(s.k).String() + ")")
		default:
			b.WriteString(" | topk(" + intValue(s.k).String() + ")")
		}
	}
}

// hint is one name=value of with(...).
type hint struct {
	name string
	val  Value
}

// Expr is a parsed and checked query. It is immutable and safe for concurrent use.
type Expr struct {
	pipe  *pipeline // the search; for a metrics query the pipeline of its first operand
	meter metrics   // nil for a search
	hints []hint
	bare  bool // a search by tags: results describe traces only
}

// IsMetrics reports whether the query ends in a metrics function and so yields series.
func (e *Expr) IsMetrics() bool { return e.meter != nil }

// String returns the canonical text of the query.
func (e *Expr) String() string {
	var b strings.Builder
	if e.meter != nil {
		e.meter.writeMetrics(&b)
	} else {
		e.pipe.writeSpansets(&b)
	}
	if len(e.hints) > 0 {
		b.WriteString(" with (")
		for i, h := range e.hints {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(h.name + "=")
			h.val.writeLiteral(&b)
		}
		b.WriteByte(')')
	}
	return b.String()
}

// hint returns the value of a hint of the given type.
func (e *Expr) hint(name string, t Type) (Value, bool) {
	for _, h := range e.hints {
		if h.name == name && h.val.typ == t {
			return h.val, true
		}
	}
	return Value{}, false
}
