package logql

import (
	"math"
	"regexp"
	"strconv"
)

// precedence returns how tight the binary operator t binds, 0 if it is none.
func precedence(t *token) int {
	switch t.kind {
	case tokKeyword:
		switch t.text {
		case "or":
			return 1
		case "and", "unless":
			return 2
		}
	case tokOp:
		switch t.text {
		case "==", "!=", "<", "<=", ">", ">=":
			return 3
		case "+", "-":
			return 4
		case "*", "/", "%":
			return 5
		case "^":
			return 6
		}
	}
	return 0
}

func isSetOp(op string) bool { return op == "and" || op == "or" || op == "unless" }

func isComparison(op string) bool {
	switch op {
	case "==", "!=", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// expr parses a query whose binary operators bind at least as tight as level.
func (p *parser) expr(level int) (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		prec := precedence(t)
		if prec == 0 || prec < level {
			return left, nil
		}
		l, ok := left.(metricExpr)
		if !ok {
			return nil, p.errorf(t, "unexpected type for left leg of binary operation (%s): a log query has no value; wrap it in count_over_time(... [5m]) or another range aggregation", t.text)
		}
		if left, err = p.binary(l, prec); err != nil {
			return nil, err
		}
	}
}

func (p *parser) binary(left metricExpr, prec int) (metricExpr, error) {
	if err := p.operation(); err != nil {
		return nil, err
	}
	op := p.take()
	e := &binaryExpr{op: op.text, left: left}
	e.returnBool = p.acceptKeyword("bool")
	if err := p.matching(e); err != nil {
		return nil, err
	}
	level := prec + 1
	if op.text == "^" {
		level = prec // right-associative
	}
	at := p.peek()
	x, err := p.expr(level)
	if err != nil {
		return nil, err
	}
	right, ok := x.(metricExpr)
	if !ok {
		return nil, p.errorf(at, "unexpected type for right leg of binary operation (%s): a log query has no value; wrap it in count_over_time(... [5m]) or another range aggregation", op.text)
	}
	e.right = right
	return p.checkBinary(op, e)
}

// checkBinary validates e and folds an operation on two numbers.
func (p *parser) checkBinary(op *token, e *binaryExpr) (metricExpr, error) {
	l, lit := e.left.(*literalExpr)
	r, rlit := e.right.(*literalExpr)
	if isSetOp(e.op) {
		switch {
		case lit:
			return nil, p.errorf(op, "unexpected literal for left leg of logical/set binary operation (%s): %f", e.op, l.value)
		case rlit:
			return nil, p.errorf(op, "unexpected literal for right leg of logical/set binary operation (%s): %f", e.op, r.value)
		case e.returnBool:
			return nil, p.errorf(op, "bool is not allowed with the set operator %s", e.op)
		case e.matching != nil && e.matching.card != oneToOne:
			return nil, p.errorf(op, "group_left and group_right are not allowed with the set operator %s", e.op)
		}
	}
	if lit && rlit {
		if v := arith(e.op, l.value, r.value); !math.IsNaN(v) && !math.IsInf(v, 0) {
			return &literalExpr{value: v}, nil
		}
	}
	return e, nil
}

func (p *parser) matching(e *binaryExpr) error {
	t := p.peek()
	if !t.is(tokKeyword, "on") && !t.is(tokKeyword, "ignoring") {
		if t.is(tokKeyword, "group_left") || t.is(tokKeyword, "group_right") {
			return p.errorf(t, "syntax error: unexpected %s, expecting on (...) or ignoring (...) before it", t.text)
		}
		return nil
	}
	p.take()
	m := &matching{on: t.text == "on"}
	var err error
	if m.labels, err = p.labelList(); err != nil {
		return err
	}
	switch g := p.peek(); {
	case g.is(tokKeyword, "group_left"):
		m.card = manyToOne
	case g.is(tokKeyword, "group_right"):
		m.card = oneToMany
	}
	if m.card != oneToOne {
		p.take()
		if p.peek().is(tokOp, "(") && p.isLabelList() {
			if m.include, err = p.labelList(); err != nil {
				return err
			}
		}
	}
	e.matching = m
	return nil
}

// isLabelList tells group_left (a, b) from group_left (sum(...)).
func (p *parser) isLabelList() bool {
	for i := p.pos + 1; i < len(p.toks); i++ {
		switch t := &p.toks[i]; {
		case t.is(tokOp, ")"):
			return true
		case t.kind != tokIdent && !t.is(tokOp, ","):
			return false
		}
	}
	return false
}

// labelList parses "(" [ label { "," label } ] ")".
func (p *parser) labelList() ([]string, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	labels := []string{}
	if p.accept(")") {
		return labels, nil
	}
	for {
		t := p.peek()
		if t.kind != tokIdent {
			return nil, p.unexpected(t, "a label name")
		}
		labels = append(labels, p.take().text)
		if p.accept(")") {
			return labels, nil
		}
		if !p.accept(",") {
			return nil, p.unexpected(p.peek(), `")" or ","`)
		}
	}
}

// operand parses everything that is not a binary operation.
func (p *parser) operand() (Expr, error) {
	t := p.peek()
	switch {
	case t.is(tokOp, "{"):
		q, err := p.logQuery()
		if err == nil && p.peek().is(tokOp, "|") {
			err = p.errorf(p.peek2(), "syntax error: unexpected unwrap: it is allowed only in a range aggregation such as sum_over_time(... | unwrap x [5m])")
		}
		return q, err
	case t.is(tokOp, "("):
		p.take()
		e, err := p.expr(1)
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case t.kind == tokNumber, t.is(tokOp, "-"), t.is(tokOp, "+"):
		return p.literal()
	case t.is(tokFunc, "vector"):
		return p.vector()
	case t.is(tokFunc, "label_replace"):
		return p.labelReplace()
	case t.kind == tokFunc && rangeFuncOf(t.text) != nil:
		return p.rangeAgg()
	case t.kind == tokFunc && isVectorAgg(t.text):
		return p.vectorAgg()
	}
	return nil, p.unexpected(t, "a stream selector such as {service_name=\"api\"}, a range or vector aggregation, or a number")
}

func (p *parser) literal() (Expr, error) {
	sign := ""
	if t := p.peek(); t.kind == tokOp {
		sign = p.take().text
	}
	t := p.peek()
	if t.kind != tokNumber {
		return nil, p.unexpected(t, "a number after "+sign)
	}
	p.take()
	v, err := p.number(t)
	if sign == "-" {
		v = -v
	}
	return &literalExpr{value: v}, err
}

func (p *parser) vector() (Expr, error) {
	p.take()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	t := p.peek()
	if t.kind != tokNumber {
		return nil, p.unexpected(t, "a number without sign")
	}
	p.take()
	v, err := p.number(t)
	if err != nil {
		return nil, err
	}
	return &vectorExpr{value: v}, p.expect(")")
}

// metric parses an expression that must be a metric query.
func (p *parser) metric(of string) (metricExpr, error) {
	t := p.peek()
	e, err := p.expr(1)
	if err != nil {
		return nil, err
	}
	m, ok := e.(metricExpr)
	if !ok {
		return nil, p.errorf(t, "syntax error: unexpected log query in %s(...): wrap it in count_over_time(... [5m]), rate(... [5m]) or another range aggregation", of)
	}
	return m, nil
}

func (p *parser) labelReplace() (Expr, error) {
	p.take()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	inner, err := p.metric("label_replace")
	if err != nil {
		return nil, err
	}
	e := &labelReplaceExpr{inner: inner}
	at := p.peek()
	for _, arg := range []*string{&e.dst, &e.repl, &e.src, &e.reg} {
		if err := p.expect(","); err != nil {
			return nil, err
		}
		at = p.peek()
		if *arg, err = p.expectString("a quoted string"); err != nil {
			return nil, err
		}
	}
	if e.re, err = regexp.Compile("^(?:" + e.reg + ")$"); err != nil {
		return nil, p.errorf(at, "invalid regex in label_replace: %v", err)
	}
	return e, p.expect(")")
}

// grouping parses by (...) or without (...), nil if there is none.
func (p *parser) grouping() (*grouping, error) {
	t := p.peek()
	if !t.is(tokKeyword, "by") && !t.is(tokKeyword, "without") {
		return nil, nil
	}
	p.take()
	labels, err := p.labelList()
	if err != nil {
		return nil, err
	}
	return &grouping{without: t.text == "without", labels: labels}, nil
}

func (p *parser) vectorAgg() (Expr, error) {
	t := p.take()
	e := &vectorAggExpr{op: t.text}
	var err error
	if e.group, err = p.grouping(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	param := ""
	if p.peek().kind == tokNumber && p.peek2().is(tokOp, ",") {
		param = p.take().text
		p.take()
	}
	if e.inner, err = p.metric(e.op); err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if g := p.peek(); e.group != nil && (g.is(tokKeyword, "by") || g.is(tokKeyword, "without")) {
		return nil, p.errorf(g, "syntax error: unexpected %s: the grouping of %s is already given", g.text, e.op)
	}
	if e.group == nil {
		if e.group, err = p.grouping(); err != nil {
			return nil, err
		}
	}
	return e, p.checkVectorAgg(t, e, param)
}

func (p *parser) checkVectorAgg(t *token, e *vectorAggExpr, param string) error {
	switch {
	case takesK(e.op):
		if param == "" {
			return p.errorf(t, "parameter required for operation %s: %s(5, ...)", e.op, e.op)
		}
		k, err := strconv.ParseInt(param, 10, 64)
		if err != nil {
			return p.errorf(t, "invalid parameter %s(%s, : want a whole number", e.op, param)
		}
		if k <= 0 {
			return p.errorf(t, "invalid parameter (must be greater than 0) %s(%s", e.op, param)
		}
		if e.op == "approx_topk" && e.group != nil {
			return p.errorf(t, "grouping not allowed for approx_topk aggregation")
		}
		e.k = k
	case param != "":
		return p.errorf(t, "unsupported parameter for operation %s(%s,", e.op, param)
	case e.op == "sort" || e.op == "sort_desc":
		if e.group != nil && len(e.group.labels) > 0 {
			return p.errorf(t, "sort and sort_desc doesn't allow grouping by")
		}
	}
	return nil
}

func (p *parser) rangeAgg() (Expr, error) {
	t := p.take()
	e := &rangeAggExpr{fn: rangeFuncOf(t.text)}
	if g := p.peek(); g.kind == tokKeyword {
		return nil, p.errorf(g, "syntax error: unexpected %s: the grouping of a range aggregation goes after its parentheses", g.text)
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var param *float64
	if n := p.peek(); n.kind == tokNumber {
		v, err := p.number(p.take())
		if err != nil {
			return nil, err
		}
		param = &v
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
	r, err := p.logRange()
	if err != nil {
		return nil, err
	}
	if !r.hasRange {
		return nil, p.unexpected(p.peek(), "a range such as [5m]")
	}
	e.query, e.unwrap, e.rng, e.offset = r.query, r.unwrap, r.rng, r.offset
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if e.group, err = p.grouping(); err != nil {
		return nil, err
	}
	return e, p.checkRangeAgg(t, e, param)
}

func (p *parser) checkRangeAgg(t *token, e *rangeAggExpr, param *float64) error {
	fn := e.fn
	switch {
	case fn.param && param == nil:
		return p.errorf(t, "parameter required for operation %s: %s(0.95, ...)", fn.name, fn.name)
	case !fn.param && param != nil:
		return p.errorf(t, "parameter %s not supported for operation %s", formatNumber(*param), fn.name)
	case e.group != nil && !fn.grouping:
		return p.errorf(t, "grouping not allowed for %s aggregation: wrap it, as in sum by (%s) (%s(...))", fn.name, "label", fn.name)
	case e.unwrap != nil && fn.unwrap == never:
		return p.errorf(t, "invalid aggregation %s with unwrap", fn.name)
	case e.unwrap == nil && fn.unwrap == always:
		return p.errorf(t, "invalid aggregation %s without unwrap: add | unwrap label before the range", fn.name)
	}
	if param != nil {
		e.param = *param
	}
	return nil
}
