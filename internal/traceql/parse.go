package traceql

import (
	"fmt"
	"math"
)

const (
	maxQueryBytes = 131072 // Tempo's default limit
	maxDepth      = 200    // nesting; bounds the stack
)

// Parse reads and checks a query. Every error is an [*Error] and matches [ErrParse].
func Parse(text string) (*Expr, error) {
	if len(text) > maxQueryBytes {
		return nil, pos{1, 1}.errorf("query of %d bytes exceeds the maximum of %d bytes", len(text), maxQueryBytes)
	}
	p := &parser{toks: lex(text)}
	e, err := p.query()
	if err == nil {
		err = checkExpr(e)
	}
	if err != nil {
		return nil, err
	}
	foldExpr(e)
	return e, nil
}

// parser is a recursive descent parser with precedence climbing for the three kinds of
// binary expressions: fields, spansets with scalars, and (among the latter, since the
// parentheses look the same) metrics.
type parser struct {
	toks  []token
	i     int
	depth int
}

func (p *parser) tok() *token { return &p.toks[p.i] }

// next moves on to the next token, except beyond the end.
func (p *parser) next() {
	if p.i < len(p.toks)-1 {
		p.i++
	}
}

func (p *parser) isOp(text string) bool {
	t := p.tok()
	return t.kind == tokOp && t.text == text
}

func (p *parser) isWord(text string) bool {
	t := p.tok()
	return t.kind == tokWord && t.text == text
}

func (p *parser) accept(op string) bool {
	if p.isOp(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(op string) error {
	if p.accept(op) {
		return nil
	}
	return p.unexpected(op)
}

// enter guards recursion; call leave when it returned nil.
func (p *parser) enter() error {
	if p.depth == maxDepth {
		return p.tok().at.errorf("nested deeper than %d levels", maxDepth)
	}
	p.depth++
	return nil
}

func (p *parser) leave() { p.depth-- }

// unexpected is the error for the current token. expecting may name what would do.
func (p *parser) unexpected(expecting string) error {
	t := p.tok()
	if t.kind == tokError {
		return t.at.errorf("%s", t.text).hint("%s", t.hint)
	}
	if t.kind == tokWord && !isKeyword(t.text) && t.text != "minInt" && t.text != "maxInt" {
		err := t.at.errorf("unknown identifier: %s", t.text)
		err.Hint = p.identifierHint(t.text)
		return err
	}
	text := t.text
	switch t.kind {
	case tokEOF:
		text = "$end"
	case tokAttr:
		text = fieldText(&attribute{scope: t.scope, name: t.text, parent: t.parent})
	case tokScope:
		text += ":"
	case tokString:
		text = fmt.Sprintf("%q", text)
	}
	msg := "syntax error: unexpected " + text
	if expecting != "" {
		msg += ", expecting " + expecting
	}
	err := t.at.errorf("%s", msg)
	switch {
	case t.kind == tokOp && t.text == "=" && p.i > 0 && p.toks[p.i-1].text == "=":
		err.Hint = "equality is written with one ="
	case t.kind == tokWord && t.text == "nil":
		err.Hint = "nil can only be compared with = and !="
	}
	return err
}

// identifierHint guesses what was meant by a word that is not a keyword.
func (p *parser) identifierHint(word string) string {
	switch word {
	case "and", "AND", "And":
		return "and is written &&"
	case "or", "OR", "Or":
		return "or is written ||"
	case "not", "NOT", "Not":
		return "not is written !"
	case "null", "NULL", "none":
		return "an absent attribute is nil"
	case "in", "contains", "matches", "like":
		return "the operators are = != < <= > >= =~ !~; join comparisons with ||"
	case "service":
		return "the service is resource.service.name"
	}
	lower := []byte(word)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	if s := string(lower); s != word && isKeyword(s) {
		return fmt.Sprintf("keywords are case-sensitive: %s", s)
	}
	return fmt.Sprintf("an attribute has a scope, as in .%[1]s, span.%[1]s or resource.%[1]s; a string has quotes", word)
}

// query parses root { hints }.
func (p *parser) query() (*Expr, error) {
	var n node
	var err error
	if n, err = p.pipelineBody(true); err != nil {
		return nil, err
	}
	e := &Expr{}
	switch {
	case n.metrics != nil:
		e.meter = n.metrics
		e.pipe = firstPipeline(n.metrics)
	case n.is(kindPipeline | kindSpansets | kindFilter):
		e.pipe = n.asPipeline()
	case n.is(kindAggregate):
		return nil, p.tok().at.errorf("syntax error: unexpected %s, expecting a comparison", p.describe()).
			hint("an aggregate is compared, as in count() > 2")
	default:
		return nil, n.at.errorf("syntax error: a query needs spans, as in { }")
	}
	for p.isWord("with") {
		if e.hints, err = p.hints(); err != nil {
			return nil, err
		}
	}
	if p.tok().kind != tokEOF {
		return nil, p.unexpected("")
	}
	return e, nil
}

func (p *parser) describe() string {
	if t := p.tok(); t.kind != tokEOF {
		return t.text
	}
	return "$end"
}

// firstPipeline returns the leftmost pipeline of a metrics expression.
func firstPipeline(m metrics) *pipeline {
	switch m := m.(type) {
	case *metricQuery:
		return m.pipe
	case *metricOp:
		if pl := firstPipeline(m.l); pl != nil {
			return pl
		}
		return firstPipeline(m.r)
	}
	return nil
}

// kind says as what an expression of the upper level can be used.
type kind uint8

const (
	kindSpansets   kind = 1 << iota // { } and operators between
	kindPipeline                    // a pipeline in parentheses
	kindAggregate                   // count() and arithmetic with it
	kindConst                       // 5, 1h, -(2 + 3)
	kindFilter                      // count() > 1, by(.a), select(.a), coalesce()
	kindScalarPipe                  // ({ } | count())
	kindMetrics                     // ({ } | rate())
)

// node is a parsed expression of the upper level: a union of what it can be.
type node struct {
	kinds   kind
	at      pos
	spans   spansets // kindSpansets, kindPipeline
	scalar  scalar   // kindAggregate, kindConst
	filter  stage    // kindFilter
	metrics metrics  // kindMetrics
}

func (n *node) is(k kind) bool { return n.kinds&k != 0 }

// asPipeline turns a node of kindPipeline, kindSpansets or kindFilter into a pipeline.
func (n *node) asPipeline() *pipeline {
	if pl, ok := n.spans.(*pipeline); ok {
		return pl
	}
	if n.filter != nil {
		return &pipeline{stages: []stage{n.filter}}
	}
	return &pipeline{stages: []stage{n.spans}}
}

// pipelineBody reads stages up to the end of the query, a ")" or "with". top is false
// inside parentheses, where a lone aggregate or constant is an operand.
func (p *parser) pipelineBody(top bool) (node, error) {
	first, err := p.upper(0)
	if err != nil {
		return node{}, err
	}
	if first.is(kindMetrics) {
		first.metrics, err = p.secondStages(first.metrics)
		return first, err
	}
	if _, ok := first.filter.(*coalesce); ok {
		return node{}, first.at.errorf("syntax error: unexpected coalesce").hint("coalesce() joins the groups of an earlier by()")
	}
	if !p.isOp("|") {
		return first, nil
	}
	if !first.is(kindSpansets | kindFilter) {
		return node{}, p.unexpectedPipe(&first)
	}
	pl := first.asPipeline()
	pl = &pipeline{stages: append([]stage(nil), pl.stages...)}
	for p.accept("|") {
		t := p.tok()
		if t.kind == tokWord && (t.text == "topk" || t.text == "bottomk") {
			return node{}, p.unexpected("")
		}
		if t.kind == tokWord {
			if fn, ok := findMetricFunc(t.text); ok {
				m, err := p.metricStage(fn, pl)
				if err != nil {
					return node{}, err
				}
				second, err := p.secondStages(m)
				return node{kinds: kindMetrics, at: first.at, metrics: second}, err
			}
		}
		st, err := p.upper(0)
		if err != nil {
			return node{}, err
		}
		switch {
		case st.is(kindFilter):
			pl.stages = append(pl.stages, st.filter)
		case st.is(kindSpansets):
			pl.stages = append(pl.stages, st.spans)
		case st.is(kindAggregate) && !top && p.isOp(")"):
			return node{kinds: kindScalarPipe, at: first.at}, nil
		case st.is(kindAggregate):
			return node{}, p.tok().at.errorf("syntax error: unexpected %s", p.describe()).hint("an aggregate is compared, as in count() > 2")
		default:
			return node{}, st.at.errorf("syntax error: this cannot be a stage of a pipeline").
				hint("stages are { }, by(), select(), coalesce() and comparisons such as count() > 2")
		}
	}
	return node{kinds: kindPipeline, at: first.at, spans: pl}, nil
}

func (p *parser) unexpectedPipe(first *node) error {
	err := p.tok().at.errorf("syntax error: unexpected |")
	switch {
	case first.is(kindPipeline):
		err.Hint = "a pipeline in parentheses cannot be piped onward"
	case first.is(kindAggregate):
		err.Hint = "an aggregate is compared, as in count() > 2"
	}
	return err
}

// upperLevel returns the precedence of an operator between upper expressions, 0 for none.
func upperLevel(t *token) int {
	if t.kind != tokOp {
		return 0
	}
	switch t.text {
	case "&&", "||":
		return 2
	case "=", "!=", "<=", ">=":
		return 3
	case "+", "-":
		return 4
	case "*", "/", "%":
		return 6
	case "^":
		return 7
	}
	if spansetOperator(t.text).structural() {
		return 3
	}
	return 0
}

// upper reads an expression of spansets, scalars or metrics whose operators bind at
// least as tight as level.
func (p *parser) upper(level int) (node, error) {
	if err := p.enter(); err != nil {
		return node{}, err
	}
	defer p.leave()
	l, err := p.upperOperand()
	if err != nil {
		return node{}, err
	}
	for {
		t := p.tok()
		lv := upperLevel(t)
		if lv == 0 || lv < level {
			return l, nil
		}
		p.next()
		right := lv + 1
		if t.text == "^" {
			right = lv
		}
		r, err := p.upper(right)
		if err != nil {
			return node{}, err
		}
		if l, err = combine(t, l, r); err != nil {
			return node{}, err
		}
	}
}

// upperOperand reads { }, ( ), an aggregate, a constant, by, select or coalesce.
func (p *parser) upperOperand() (node, error) {
	t := p.tok()
	switch {
	case p.isOp("{"):
		f, err := p.spansetFilter()
		return node{kinds: kindSpansets, at: t.at, spans: f}, err
	case p.isOp("("):
		p.next()
		n, err := p.pipelineBody(false)
		if err != nil {
			return node{}, err
		}
		if err := p.expect(")"); err != nil {
			return node{}, err
		}
		if n.is(kindSpansets) {
			n.kinds |= kindPipeline
		} else if n.is(kindFilter) {
			n = node{kinds: kindPipeline, at: n.at, spans: &pipeline{stages: []stage{n.filter}}}
		}
		return n, nil
	case p.isOp("-"):
		p.next()
		n, err := p.upper(5)
		if err != nil {
			return node{}, err
		}
		c, ok := n.scalar.(*scalarConst)
		if !ok || !n.is(kindConst) {
			return node{}, t.at.errorf("syntax error: unexpected -").hint("only a constant can be negated here")
		}
		v := negate(c.val)
		return node{kinds: kindConst, at: t.at, scalar: &scalarConst{v, t.at}}, nil
	case t.kind == tokInt, t.kind == tokFloat, t.kind == tokDuration:
		p.next()
		return node{kinds: kindConst, at: t.at, scalar: &scalarConst{numberValue(t), t.at}}, nil
	case t.kind == tokWord:
		return p.upperWord(t)
	}
	return node{}, p.unexpected("")
}

func numberValue(t *token) Value {
	switch t.kind {
	case tokInt:
		return intValue(t.n)
	case tokDuration:
		return durationValue(t.n)
	}
	return floatValue(t.f)
}

// upperWord reads an operand that begins with a keyword.
func (p *parser) upperWord(t *token) (node, error) {
	var n node
	var err error
	switch t.text {
	case "minInt", "maxInt":
		p.next()
		return node{kinds: kindConst, at: t.at, scalar: &scalarConst{limitValue(t.text), t.at}}, nil
	case "count", "avg", "min", "max", "sum":
		a := &aggregate{name: t.text, at: t.at}
		p.next()
		if err = p.expect("("); err != nil {
			return node{}, err
		}
		if t.text != "count" {
			if a.expr, err = p.field(); err != nil {
				return node{}, err
			}
		}
		n = node{kinds: kindAggregate, at: t.at, scalar: a}
	case "by":
		p.next()
		if err = p.expect("("); err != nil {
			return node{}, err
		}
		g := &groupBy{at: t.at}
		if g.expr, err = p.field(); err != nil {
			return node{}, err
		}
		if p.isOp(",") {
			return node{}, p.tok().at.errorf("syntax error: unexpected , in by()").hint("chain the stages: by(a) | by(b)")
		}
		n = node{kinds: kindFilter, at: t.at, filter: g}
	case "coalesce":
		p.next()
		if err = p.expect("("); err != nil {
			return node{}, err
		}
		n = node{kinds: kindFilter, at: t.at, filter: &coalesce{}}
	case "select":
		p.next()
		if err = p.expect("("); err != nil {
			return node{}, err
		}
		s := &selection{}
		if s.attrs, err = p.attributes(); err != nil {
			return node{}, err
		}
		n = node{kinds: kindFilter, at: t.at, filter: s}
	default:
		if _, ok := findMetricFunc(t.text); ok {
			return node{}, t.at.errorf("syntax error: unexpected %s", t.text).hint("select spans first: { } | %s()", t.text)
		}
		return node{}, p.unexpected("")
	}
	if err := p.expect(")"); err != nil {
		return node{}, err
	}
	return n, nil
}

func limitValue(word string) Value {
	if word == "minInt" {
		return intValue(math.MinInt64)
	}
	return intValue(math.MaxInt64)
}

// hints reads with(name=literal, ...).
func (p *parser) hints() ([]hint, error) {
	p.next()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var out []hint
	for {
		t := p.tok()
		if t.kind != tokWord || isKeyword(t.text) {
			return nil, p.unexpected("hint name")
		}
		p.next()
		if err := p.expect("="); err != nil {
			return nil, err
		}
		v, ok := p.literal()
		if !ok || v.typ == TypeNil {
			return nil, p.unexpected("literal")
		}
		out = append(out, hint{t.text, v})
		if !p.accept(",") {
			return out, p.expect(")")
		}
	}
}
