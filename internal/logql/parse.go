package logql

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
)

// maxDepth bounds the nesting of a query, so that no text can exhaust the stack, and
// maxOps the number of its binary operators.
const (
	maxDepth = 200
	maxOps   = 1000
)

// Parse reads a query. Its errors match [ErrParse], most are a [*ParseError] that names
// the place.
func Parse(text string) (Expr, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	e, err := p.expr(1)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokEOF {
		return nil, p.unexpected(t, after(e))
	}
	return e, nil
}

// after says what may follow a complete query.
func after(e Expr) string {
	if _, ok := e.(*LogQuery); ok {
		return "a pipeline stage or the end of the query"
	}
	return "an operator or the end of the query"
}

// ParseSelector reads a stream selector without a pipeline. Unless all is set, one of its
// matchers must exclude the empty string; with all, {} alone selects every stream.
func ParseSelector(text string, all bool) ([]*model.Matcher, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	ms, err := p.selector()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokEOF {
		return nil, p.errorf(t, "only label matchers are supported here, such as {service_name=\"api\"}; unexpected %s", t.describe())
	}
	if !all || len(ms) > 0 {
		err = checkSelector(ms)
	}
	return ms, err
}

type parser struct {
	toks  []token
	pos   int
	depth int
	ops   int
}

func newParser(text string) (*parser, error) {
	toks, err := lex(text)
	if err != nil {
		return nil, err
	}
	return &parser{toks: toks}, nil
}

func (p *parser) peek() *token { return &p.toks[p.pos] }

// peek2 returns the token after the next one.
func (p *parser) peek2() *token { return &p.toks[min(p.pos+1, len(p.toks)-1)] }

func (p *parser) take() *token {
	t := &p.toks[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (t *token) is(kind tokKind, text string) bool { return t.kind == kind && t.text == text }

// accept takes the next token if it is the operator op.
func (p *parser) accept(op string) bool {
	if p.peek().is(tokOp, op) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) acceptKeyword(word string) bool {
	if p.peek().is(tokKeyword, word) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(op string) error {
	if !p.accept(op) {
		return p.unexpected(p.peek(), strconv.Quote(op))
	}
	return nil
}

func (p *parser) expectString(what string) (string, error) {
	if t := p.peek(); t.kind != tokString {
		return "", p.unexpected(t, what)
	}
	return p.take().text, nil
}

func (p *parser) errorf(t *token, format string, args ...any) error {
	return &ParseError{Line: t.line, Col: t.col, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) unexpected(t *token, expecting string) error {
	if h := hint(t); h != "" {
		return p.errorf(t, "syntax error: unexpected %s, expecting %s; %s", t.describe(), expecting, h)
	}
	return p.errorf(t, "syntax error: unexpected %s, expecting %s", t.describe(), expecting)
}

// hint explains mistakes that come from other languages.
func hint(t *token) string {
	switch t.kind {
	case tokKeyword:
		return t.text + " is a reserved word and cannot be a label name"
	case tokIdent:
		switch strings.ToLower(t.text) {
		case "distinct", "increase", "irate", "delta", "quantile", "group", "count_values", "label_join",
			"abs", "time", "histogram_quantile", "variants", "limit", "stats", "where", "select":
			return "LogQL has no " + t.text
		}
	case tokString:
		return "quoted label names are not part of LogQL"
	case tokOp:
		if t.text == "." {
			return "label names have no dots: structured metadata and json keys are written with _ instead"
		}
	}
	return ""
}

// enter counts a level of nesting; leave it with p.depth--.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.errorf(p.peek(), "query is nested more than %d levels deep", maxDepth)
	}
	return nil
}

// operation counts a binary operator.
func (p *parser) operation() error {
	if p.ops++; p.ops > maxOps {
		return p.errorf(p.peek(), "query has more than %d operators", maxOps)
	}
	return nil
}

// logQuery parses a selector and its stages.
func (p *parser) logQuery() (*LogQuery, error) {
	ms, err := p.checkedSelector()
	if err != nil {
		return nil, err
	}
	q := &LogQuery{Matchers: ms}
	q.stages, err = p.stages()
	return q, err
}

func (p *parser) checkedSelector() ([]*model.Matcher, error) {
	ms, err := p.selector()
	if err != nil {
		return nil, err
	}
	return ms, checkSelector(ms)
}

func (p *parser) selector() ([]*model.Matcher, error) {
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	var ms []*model.Matcher
	if p.accept("}") {
		return ms, nil
	}
	for {
		t := p.peek()
		if t.kind != tokIdent {
			return nil, p.unexpected(t, "a label name")
		}
		p.take()
		typ, err := p.matchType()
		if err != nil {
			return nil, err
		}
		value, err := p.expectString("a quoted string")
		if err != nil {
			return nil, err
		}
		m, err := model.NewMatcher(typ, t.text, value)
		if err != nil {
			return nil, p.errorf(t, "label %s: %v", t.text, regexpCause(err))
		}
		ms = append(ms, m)
		if p.accept("}") {
			return ms, nil
		}
		if !p.accept(",") {
			return nil, p.unexpected(p.peek(), `"}" or ","`)
		}
	}
}

// regexpCause strips what wraps the message of package regexp.
func regexpCause(err error) string {
	s := err.Error()
	if i := strings.Index(s, "error parsing regexp: "); i >= 0 {
		return s[i:]
	}
	return s
}

func (p *parser) matchType() (model.MatchType, error) {
	t := p.peek()
	if t.kind == tokOp {
		for typ := model.MatchEqual; typ <= model.MatchNotRegexp; typ++ {
			if typ.String() == t.text {
				p.take()
				return typ, nil
			}
		}
	}
	return 0, p.unexpected(t, "one of = != =~ !~")
}

// checkSelector refuses selectors that would select every stream.
func checkSelector(ms []*model.Matcher) error {
	for _, m := range ms {
		if !m.Matches("") {
			return nil
		}
	}
	return parseErrorf(`queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will`)
}

// stages parses pipeline stages up to anything else; unwrap is left alone.
func (p *parser) stages() ([]stageNode, error) {
	var out []stageNode
	for {
		t := p.peek()
		if t.kind != tokOp {
			return out, nil
		}
		if op, ok := lineOpOf(t.text); ok {
			p.take()
			s, err := p.lineFilter(op)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
			continue
		}
		if t.text != "|" || p.peek2().is(tokKeyword, "unwrap") {
			return out, nil
		}
		p.take()
		s, err := p.stage()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
}

func lineOpOf(s string) (lineOp, bool) {
	for op := lineContains; op <= lineNotPattern; op++ {
		if op.String() == s {
			return op, true
		}
	}
	return 0, false
}

func (p *parser) lineFilter(op lineOp) (*lineFilterNode, error) {
	n := &lineFilterNode{op: op}
	for {
		if p.peek().is(tokFunc, "ip") {
			text, err := p.ipCall()
			if err != nil {
				return nil, err
			}
			n.args = append(n.args, lineFilterArg{text: text, ip: true})
		} else {
			text, err := p.expectString("a quoted string or ip(...)")
			if err != nil {
				return nil, err
			}
			n.args = append(n.args, lineFilterArg{text: text})
		}
		if !p.acceptKeyword("or") {
			return n, nil
		}
	}
}

func (p *parser) ipCall() (string, error) {
	p.take()
	if err := p.expect("("); err != nil {
		return "", err
	}
	text, err := p.expectString("a quoted address, network or range")
	if err != nil {
		return "", err
	}
	return text, p.expect(")")
}

// stage parses what follows "|".
func (p *parser) stage() (stageNode, error) {
	t := p.peek()
	if t.kind == tokIdent || t.is(tokOp, "(") {
		return p.labelFilter()
	}
	if t.kind == tokKeyword {
		switch t.text {
		case "json":
			p.take()
			es, err := p.extractions()
			return &jsonNode{exprs: es}, err
		case "logfmt":
			return p.logfmt()
		case "regexp":
			return p.regexpStage()
		case "pattern":
			return p.patternStage()
		case "unpack":
			p.take()
			return &unpackNode{}, nil
		case "decolorize":
			p.take()
			return &decolorizeNode{}, nil
		case "line_format":
			p.take()
			text, err := p.expectString("a quoted template")
			return &lineFormatNode{text: text}, err
		case "label_format":
			return p.labelFormat()
		case "drop", "keep":
			return p.dropKeep()
		}
	}
	return nil, p.unexpected(t, "a parser (json, logfmt, regexp, pattern, unpack), a label filter, line_format, label_format, decolorize, drop or keep")
}

func (p *parser) extractions() ([]extraction, error) {
	var es []extraction
	for p.peek().kind == tokIdent {
		e := extraction{name: p.take().text}
		e.source = e.name
		if p.accept("=") {
			text, err := p.expectString("a quoted expression")
			if err != nil {
				return nil, err
			}
			e.source = text
		}
		es = append(es, e)
		if !p.accept(",") {
			return es, nil
		}
		if t := p.peek(); t.kind != tokIdent {
			return nil, p.unexpected(t, "a label name")
		}
	}
	return es, nil
}

func (p *parser) logfmt() (stageNode, error) {
	p.take()
	n := &logfmtNode{}
	for p.peek().kind == tokFlag {
		if p.take().text == "--strict" {
			n.strict = true
		} else {
			n.keepEmpty = true
		}
	}
	var err error
	n.exprs, err = p.extractions()
	return n, err
}

func (p *parser) regexpStage() (stageNode, error) {
	p.take()
	t := p.peek()
	text, err := p.expectString("a quoted regular expression")
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, p.errorf(t, "invalid regexp parser: %v", err)
	}
	seen := map[string]bool{}
	for _, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if seen[name] {
			return nil, p.errorf(t, "invalid regexp parser: group name %q occurs twice", name)
		}
		seen[name] = true
	}
	if len(seen) == 0 {
		return nil, p.errorf(t, "invalid regexp parser: at least one named group such as (?P<status>\\d+) is required")
	}
	return &regexpNode{text: text, re: re}, nil
}

func (p *parser) patternStage() (stageNode, error) {
	p.take()
	t := p.peek()
	text, err := p.expectString("a quoted pattern")
	if err != nil {
		return nil, err
	}
	parts, err := parsePattern(text)
	if err == nil {
		err = checkCaptures(parts)
	}
	if err != nil {
		return nil, p.errorf(t, "invalid pattern parser: %v", err)
	}
	return &patternNode{text: text, parts: parts}, nil
}

func (p *parser) labelFormat() (stageNode, error) {
	p.take()
	n := &labelFormatNode{}
	for {
		dst := p.peek()
		if dst.kind != tokIdent {
			return nil, p.unexpected(dst, "a label name")
		}
		p.take()
		if err := p.expect("="); err != nil {
			return nil, err
		}
		src := p.peek()
		if src.kind != tokIdent && src.kind != tokString {
			return nil, p.unexpected(src, "a label name or a quoted template")
		}
		p.take()
		n.items = append(n.items, formatItem{dst: dst.text, src: src.text, template: src.kind == tokString})
		if !p.accept(",") {
			return n, nil
		}
	}
}

func (p *parser) dropKeep() (stageNode, error) {
	n := &dropKeepNode{keep: p.take().text == "keep"}
	for {
		t := p.peek()
		if t.kind != tokIdent {
			return nil, p.unexpected(t, "a label name")
		}
		p.take()
		item := dropKeepItem{name: t.text}
		// drop a != "x" is a matcher; drop a != ip("...") is followed by a line filter.
		if op := p.peek(); op.kind == tokOp && p.peek2().kind == tokString &&
			(op.text == "=" || op.text == "!=" || op.text == "=~" || op.text == "!~") {
			m, err := p.labelMatcher(t)
			if err != nil {
				return nil, err
			}
			item.m = m
		}
		n.items = append(n.items, item)
		if !p.accept(",") {
			return n, nil
		}
	}
}

// labelMatcher parses the operator and the value that follow the label name t.
func (p *parser) labelMatcher(t *token) (*labelMatcher, error) {
	typ, err := p.matchType()
	if err != nil {
		return nil, err
	}
	value, err := p.expectString("a quoted string")
	if err != nil {
		return nil, err
	}
	m := &labelMatcher{typ: typ, name: t.text, value: value}
	if typ == model.MatchRegexp || typ == model.MatchNotRegexp {
		if m.re, err = regexp.Compile("^(?:" + value + ")$"); err != nil {
			return nil, p.errorf(t, "label %s: %v", t.text, err)
		}
	}
	return m, nil
}

func (p *parser) labelFilter() (stageNode, error) {
	c, err := p.condition(1)
	if err != nil {
		return nil, err
	}
	return &labelFilterNode{cond: c}, nil
}

// condition parses a label filter whose operators bind at least as tight as level: 1 for
// or, 2 for and. A comma, or nothing, between two conditions is an "and" that takes
// everything to its right, as in Loki.
func (p *parser) condition(level int) (condition, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := p.comparison()
	if err != nil {
		return nil, err
	}
	for {
		if err := p.operation(); err != nil {
			return nil, err
		}
		t := p.peek()
		var right condition
		switch {
		case t.is(tokKeyword, "or") && level <= 1:
			p.take()
			right, err = p.condition(2)
			left = &binaryCond{or: true, left: left, right: right}
		case t.is(tokKeyword, "and") && level <= 2:
			p.take()
			right, err = p.condition(3)
			left = &binaryCond{left: left, right: right}
		case t.is(tokOp, ","):
			p.take()
			right, err = p.condition(1)
			left = &binaryCond{left: left, right: right}
		case t.kind == tokIdent || t.is(tokOp, "("):
			right, err = p.condition(1)
			left = &binaryCond{left: left, right: right}
		default:
			return left, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) comparison() (condition, error) {
	if p.accept("(") {
		c, err := p.condition(1)
		if err != nil {
			return nil, err
		}
		return c, p.expect(")")
	}
	t := p.peek()
	if t.kind != tokIdent {
		return nil, p.unexpected(t, "a label name")
	}
	p.take()
	op := p.peek()
	if op.kind == tokTraces {
		return p.traceCondition(t)
	}
	if op.kind != tokOp || op.text == "|" {
		if hint(t) != "" {
			return nil, p.unexpected(t, "a pipeline stage")
		}
		return nil, p.unexpected(op, "a comparison with the label "+t.text)
	}
	switch value := p.peek2(); {
	case value.kind == tokString:
		if op.text == "==" {
			return nil, p.errorf(op, "syntax error: unexpected ==, expecting = : a label is compared with a string by = != =~ !~")
		}
		return p.labelMatcher(t)
	case value.is(tokFunc, "ip"):
		if op.text != "=" && op.text != "!=" {
			return nil, p.unexpected(op, "= or != before ip(...)")
		}
		p.take()
		text, err := p.ipCall()
		return &ipCond{name: t.text, negate: op.text == "!=", text: text}, err
	}
	return p.numberComparison(t, op)
}

func (p *parser) numberComparison(label, op *token) (condition, error) {
	c := &numCond{name: label.text, op: op.text}
	switch op.text {
	case "=":
		c.op = "=="
	case "==", "!=", ">", ">=", "<", "<=":
	default:
		return nil, p.unexpected(op, "one of = == != > >= < <= and a number, duration or size, or a quoted string after = != =~ !~")
	}
	p.take()
	t := p.take()
	sign := ""
	if t.kind == tokOp && (t.text == "-" || t.text == "+") && p.peek().kind == tokNumber {
		sign, t = t.text, p.take()
	}
	switch t.kind {
	case tokDuration:
		c.kind, c.value, c.text = kindDuration, float64(t.dur), t.src
	case tokBytes:
		c.kind, c.value, c.text = kindBytes, float64(t.bytes), t.src
	case tokNumber:
		v, err := p.number(t)
		if err != nil {
			return nil, err
		}
		if sign == "-" {
			v = -v
		}
		c.value, c.text = v, strings.TrimPrefix(sign, "+")+t.text
	default:
		return nil, p.unexpected(t, "a quoted string, number, duration or size")
	}
	return c, nil
}

func (p *parser) number(t *token) (float64, error) {
	v, err := strconv.ParseFloat(t.text, 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, p.errorf(t, "unable to parse literal as a float: %s", t.text)
	}
	return v, nil
}
