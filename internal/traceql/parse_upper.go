package traceql

// combine builds the binary expression l op r of the upper level.
func combine(t *token, l, r node) (node, error) {
	if l.is(kindFilter) || r.is(kindFilter) {
		return node{}, t.at.errorf("syntax error: unexpected %s", t.text)
	}
	if both := l.kinds & r.kinds & (kindSpansets | kindPipeline); both != 0 {
		return combineSpansets(t, l, r, both)
	}
	scalar := kindAggregate | kindConst
	op := fieldOperator(t.text)
	switch {
	case l.is(scalar) && r.is(scalar):
		return combineScalars(t, op, l, r)
	case l.is(kindMetrics) || r.is(kindMetrics):
		return combineMetrics(t, op, l, r)
	case l.is(kindScalarPipe) || r.is(kindScalarPipe):
		return node{}, t.at.errorf("comparing pipelines that end in an aggregate is not yet supported").
			hint("compare inside the pipeline: { } | count() > 2")
	}
	err := t.at.errorf("syntax error: unexpected %s", t.text)
	if (l.is(kindPipeline) || r.is(kindPipeline)) && (l.is(kindSpansets) || r.is(kindSpansets)) {
		err.Hint = "when one side is a pipeline in parentheses, put the other in parentheses too"
	}
	return node{}, err
}

func combineSpansets(t *token, l, r node, both kind) (node, error) {
	op := spansetOperator(t.text)
	if op == opNone {
		return node{}, t.at.errorf("syntax error: unexpected %s", t.text).hint("between spansets stand && || > >> < << ~ and their ! and & forms")
	}
	e := &spansetOp{op: op, l: l.spans, r: r.spans, at: t.at}
	if both&kindSpansets == 0 {
		// As pipelines both sides print in parentheses.
		e.l, e.r = parenthesised(&l), parenthesised(&r)
	}
	return node{kinds: both, at: l.at, spans: e}, nil
}

// parenthesised wraps spansets that were written in parentheses beside a pipeline, so
// that their text keeps them.
func parenthesised(n *node) spansets {
	if _, ok := n.spans.(*filter); ok {
		return n.asPipeline()
	}
	return n.spans
}

func combineScalars(t *token, op operator, l, r node) (node, error) {
	constants := l.is(kindConst) && r.is(kindConst)
	switch {
	case op.arithmetic() && constants:
		v, err := foldConst(t, op, l.scalar, r.scalar)
		if err != nil {
			return node{}, err
		}
		return node{kinds: kindConst, at: l.at, scalar: &scalarConst{v, l.at}}, nil
	case op.arithmetic():
		return node{kinds: kindAggregate, at: l.at, scalar: &scalarOp{op, l.scalar, r.scalar, t.at}}, nil
	case op.comparison() && !op.regex() && !constants:
		return node{kinds: kindFilter, at: l.at, filter: &scalarFilter{op, l.scalar, r.scalar}}, nil
	}
	err := t.at.errorf("syntax error: unexpected %s", t.text)
	if constants {
		err.Hint = "one side must be an aggregate such as count()"
	}
	return node{}, err
}

// foldConst evaluates arithmetic between constants of scalar filters and metrics.
func foldConst(t *token, op operator, l, r scalar) (Value, error) {
	a, aok := l.(*scalarConst)
	b, bok := r.(*scalarConst)
	if !aok || !bok || op == opMod || op == opPow {
		return Value{}, t.at.errorf("syntax error: unexpected %s", t.text).hint("between constants stand + - * /")
	}
	if a.val.typ == TypeDuration || b.val.typ == TypeDuration {
		return Value{}, t.at.errorf("duration cannot be used in scalar arithmetic").hint("write the result, for example 90s")
	}
	v := arithmetic(op, a.val, b.val)
	if v.typ == TypeNil || !finite(v) {
		return Value{}, t.at.errorf("division by zero")
	}
	return v, nil
}

// combineMetrics builds arithmetic with a metrics query, or its comparison.
func combineMetrics(t *token, op operator, l, r node) (node, error) {
	if l.is(kindMetrics) && op.comparison() && !op.regex() {
		c, ok := r.scalar.(*scalarConst)
		if !ok || !r.is(kindConst) {
			return node{}, t.at.errorf("syntax error: unexpected %s", t.text).hint("a metrics query is compared with a constant")
		}
		addSecond(l.metrics, secondStage{op: op, val: c.val})
		return l, nil
	}
	switch op {
	case opAdd, opSub, opMul, opDiv:
	default:
		return node{}, t.at.errorf("syntax error: unexpected %s", t.text).hint("between metrics queries stand + - * /")
	}
	sides := [2]metrics{}
	for i, n := range [...]node{l, r} {
		c, ok := n.scalar.(*scalarConst)
		switch {
		case n.is(kindMetrics):
			sides[i] = n.metrics
		case ok && n.is(kindConst) && c.val.typ == TypeDuration:
			return node{}, c.at.errorf("duration cannot be used as a scalar operand in metric arithmetic").hint("write seconds")
		case ok && n.is(kindConst):
			sides[i] = &metricConst{c.val}
		default:
			return node{}, t.at.errorf("syntax error: unexpected %s", t.text).hint("a metrics query is combined with another one or with a number")
		}
	}
	return node{kinds: kindMetrics, at: l.at, metrics: &metricOp{op: op, l: sides[0], r: sides[1], at: t.at}}, nil
}

func addSecond(m metrics, s secondStage) {
	switch m := m.(type) {
	case *metricQuery:
		m.second = append(m.second, s)
	case *metricOp:
		m.second = append(m.second, s)
	}
}

// secondStages reads what may follow a metrics query: topk, bottomk, comparisons.
func (p *parser) secondStages(m metrics) (metrics, error) {
	for {
		t := p.tok()
		if t.kind != tokOp {
			return m, nil
		}
		switch t.text {
		case "|":
			p.next()
			s, err := p.topK()
			if err != nil {
				return nil, err
			}
			addSecond(m, s)
		case "=", "!=", "<", "<=", ">", ">=":
			p.next()
			c, err := p.upper(4)
			if err != nil {
				return nil, err
			}
			k, ok := c.scalar.(*scalarConst)
			if !ok || !c.is(kindConst) {
				return nil, c.at.errorf("syntax error: a metrics query is compared with a constant")
			}
			addSecond(m, secondStage{op: fieldOperator(t.text), val: k.val})
		default:
			if fieldOperator(t.text).arithmetic() {
				return nil, t.at.errorf("syntax error: unexpected %s", t.text).hint("arithmetic needs the query in parentheses: ({ } | rate()) %s 2", t.text)
			}
			return m, nil
		}
	}
}

// topK reads topk(n) or bottomk(n).
func (p *parser) topK() (secondStage, error) {
	t := p.tok()
	if t.kind != tokWord || (t.text != "topk" && t.text != "bottomk") {
		err := p.unexpected("topk or bottomk")
		if e, ok := err.(*Error); ok && t.kind == tokOp { //nolint:errorlint // just made by unexpected
			e.Hint = "a comparison follows the metrics function without |"
		}
		return secondStage{}, err
	}
	p.next()
	if err := p.expect("("); err != nil {
		return secondStage{}, err
	}
	n := p.tok()
	if n.kind != tokInt {
		return secondStage{}, p.unexpected("integer")
	}
	p.next()
	if n.n == 0 {
		return secondStage{}, n.at.errorf("limit must be greater than 0")
	}
	return secondStage{bottom: t.text == "bottomk", k: n.n}, p.expect(")")
}

// metricStage reads a metrics function after the pipeline pl.
func (p *parser) metricStage(fn metricFunc, pl *pipeline) (*metricQuery, error) {
	m := &metricQuery{pipe: pl, fn: fn, at: p.tok().at}
	p.next()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var err error
	switch {
	case fn == fnCompare:
		m.cmp, err = p.comparison()
	case metricFuncs[fn].attr:
		m.attr, err = p.attribute()
	}
	if err != nil {
		return nil, err
	}
	for fn == fnQuantile && (len(m.quantiles) == 0 || p.isOp(",")) {
		if err := p.expect(","); err != nil {
			return nil, err
		}
		t := p.tok()
		if t.kind != tokInt && t.kind != tokFloat {
			return nil, p.unexpected("number")
		}
		p.next()
		m.quantiles = append(m.quantiles, numberValue(t).Float())
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if fn != fnCompare && p.isWord("by") {
		p.next()
		if err := p.expect("("); err != nil {
			return nil, err
		}
		if m.by, err = p.attributes(); err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// comparison reads the arguments of compare().
func (p *parser) comparison() (*comparison, error) {
	if !p.isOp("{") {
		return nil, p.unexpected("{")
	}
	f, err := p.spansetFilter()
	if err != nil {
		return nil, err
	}
	c := &comparison{sel: f, topN: 10}
	into := [...]*int64{&c.topN, &c.start, &c.end}
	for c.args < len(into) && p.accept(",") {
		t := p.tok()
		if t.kind != tokInt {
			return nil, p.unexpected("integer")
		}
		p.next()
		*into[c.args] = t.n
		c.args++
	}
	if c.args == 2 {
		return nil, p.unexpected(", and the end of the selection")
	}
	return c, nil
}
