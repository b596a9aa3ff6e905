package traceql

// spansetFilter reads { } or { expression }.
func (p *parser) spansetFilter() (*filter, error) {
	p.next()
	if p.accept("}") {
		return &filter{}, nil
	}
	e, err := p.field()
	if err != nil {
		return nil, err
	}
	if err := p.expect("}"); err != nil {
		return nil, err
	}
	return &filter{expr: e}, nil
}

// field reads a whole field expression.
func (p *parser) field() (field, error) {
	at := p.tok().at
	e, err := p.fieldLevel(0)
	if err == nil && isNil(e) {
		return nil, at.errorf("syntax error: unexpected nil").hint("nil can only be compared with = and !=")
	}
	return e, err
}

func isNil(e field) bool {
	l, ok := e.(*literal)
	return ok && l.val.typ == TypeNil
}

func fieldLevel(op operator) int {
	switch {
	case op.boolean():
		return 2
	case op.comparison():
		return 3
	case op == opAdd, op == opSub:
		return 4
	case op == opPow:
		return 7
	case op.arithmetic():
		return 6
	}
	return 0
}

// fieldLevel reads a field expression whose operators bind at least as tight as level.
// The levels are TraceQL's: && and || share the loosest, unary minus stands with + and
// -, ! between those and *.
func (p *parser) fieldLevel(level int) (field, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	l, err := p.fieldOperand()
	if err != nil {
		return nil, err
	}
	for {
		t := p.tok()
		if t.kind != tokOp {
			return l, nil
		}
		op := fieldOperator(t.text)
		lv := fieldLevel(op)
		if lv == 0 || lv < level {
			return l, nil
		}
		if isNil(l) && op != opEqual && op != opNotEqual {
			return nil, p.unexpected("= or !=")
		}
		p.next()
		right := lv + 1
		if op == opPow {
			right = lv
		}
		nilAt := p.i
		r, err := p.fieldLevel(right)
		if err != nil {
			return nil, err
		}
		if isNil(r) && op != opEqual && op != opNotEqual {
			p.i = nilAt
			return nil, p.unexpected("")
		}
		l = &binary{op: op, l: l, r: r, at: t.at}
	}
}

// fieldOperand reads a literal, an attribute, ( ), or an expression with a prefix.
func (p *parser) fieldOperand() (field, error) {
	t := p.tok()
	switch {
	case p.isOp("("):
		p.next()
		e, err := p.field()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case p.isOp("-"), p.isOp("!"):
		p.next()
		op, level := opSub, 5
		if t.text == "!" {
			op, level = opNot, 6
		}
		at := p.i
		x, err := p.fieldLevel(level)
		if err != nil {
			return nil, err
		}
		if isNil(x) {
			p.i = at
			return nil, p.unexpected("")
		}
		return &unary{op: op, x: x, at: t.at}, nil
	}
	if v, ok := p.literal(); ok {
		return &literal{val: v, at: t.at}, nil
	}
	a, err := p.attribute()
	if err != nil {
		return nil, err
	}
	return a, nil
}

// literal reads a literal, if there is one.
func (p *parser) literal() (Value, bool) {
	t := p.tok()
	var v Value
	switch t.kind {
	case tokString:
		v = stringValue(t.text)
	case tokInt, tokFloat, tokDuration:
		v = numberValue(t)
	case tokWord:
		switch t.text {
		case "true", "false":
			v = boolValue(t.text == "true")
		case "nil":
		case "minInt", "maxInt":
			v = limitValue(t.text)
		default:
			var ok bool
			if v, ok = enumValue(t.text); !ok {
				return Value{}, false
			}
		}
	default:
		return Value{}, false
	}
	p.next()
	return v, true
}

// enumValue returns the status or kind that word names.
func enumValue(word string) (Value, bool) {
	for i, w := range statusWords {
		if w == word {
			return statusValue(uint8(i)), true
		}
	}
	for i, w := range kindWords {
		if w == word {
			return kindValue(uint8(i)), true
		}
	}
	return Value{}, false
}

// attribute reads an attribute or an intrinsic.
func (p *parser) attribute() (*attribute, error) {
	t := p.tok()
	switch t.kind {
	case tokAttr:
		p.next()
		return &attribute{scope: t.scope, name: t.text, parent: t.parent, at: t.at}, nil
	case tokScope:
		p.next()
		w := p.tok()
		if w.kind == tokWord {
			if in, ok := findIntrinsic(t.text + ":" + w.text); ok {
				p.next()
				return &attribute{in: in, at: t.at}, nil
			}
		}
		err := p.unexpected("")
		if e, ok := err.(*Error); ok && w.kind == tokWord { //nolint:errorlint // just made by unexpected
			e.Hint = "there is no " + t.text + ":" + w.text + "; attributes are written with a dot"
		}
		return nil, err
	case tokWord:
		if in, ok := findIntrinsic(t.text); ok {
			p.next()
			return &attribute{in: in, at: t.at}, nil
		}
	}
	return nil, p.unexpected("")
}

// attributes reads one or more attributes separated by commas.
func (p *parser) attributes() ([]*attribute, error) {
	var out []*attribute
	for {
		a, err := p.attribute()
		if err != nil {
			return nil, err
		}
		out = append(out, a)
		if !p.accept(",") {
			return out, nil
		}
	}
}
