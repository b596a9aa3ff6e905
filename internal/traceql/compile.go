package traceql

// mask compiles a boolean field expression, nil being always true.
func (b *binder) mask(e field) mask {
	if e == nil {
		return allMask{}
	}
	if needs := childrenOf(e); needs.any() {
		return b.childMask(e)
	}
	switch e := e.(type) {
	case *literal:
		if e.val.isTrue() {
			return allMask{}
		}
		return noneMask{}
	case *unary:
		if e.op == opNot && yieldsBool(e.x) {
			return notMask{b.mask(e.x)}
		}
	case *binary:
		switch {
		case e.op == opAnd:
			return andMask{b.mask(e.l), b.mask(e.r)}
		case e.op == opOr:
			return orMask{b.mask(e.l), b.mask(e.r)}
		case e.op.comparison():
			if m := b.comparisonMask(e); m != nil {
				return m
			}
		}
	}
	return rowMask{b.evaluator(e)}
}

// yieldsBool reports whether e is true or false for every span, never anything else.
func yieldsBool(e field) bool {
	switch e := e.(type) {
	case *literal:
		return e.val.typ == TypeBool
	case *unary:
		return e.op == opNot && yieldsBool(e.x)
	case *binary:
		return !e.op.arithmetic()
	}
	return false
}

// childMask compiles a conjunction that mentions events or links: first what does not,
// then the rest together, since it speaks of the same event.
func (b *binder) childMask(e field) mask {
	var plain mask = allMask{}
	var rest field
	var split func(e field)
	split = func(e field) {
		if x, ok := e.(*binary); ok && x.op == opAnd {
			split(x.l)
			split(x.r)
			return
		}
		switch {
		case !childrenOf(e).any():
			plain = andMask{plain, b.mask(e)}
		case rest == nil:
			rest = e
		default:
			rest = &binary{op: opAnd, l: rest, r: e}
		}
	}
	split(e)
	return andMask{plain, childMask{b.evaluator(rest), childrenOf(rest)}}
}

// comparisonMask compiles a comparison of one attribute with one literal, nil for others.
func (b *binder) comparisonMask(e *binary) mask {
	op := e.op
	a, ok := e.l.(*attribute)
	lit, lok := e.r.(*literal)
	if !ok {
		a, ok = e.r.(*attribute)
		lit, lok = e.l.(*literal)
		op = op.mirror()
	}
	if !ok || !lok {
		return nil
	}
	if lit.val.typ == TypeNil {
		if a.in != inNone {
			return nil
		}
		return existsMask{b.slot(a), op == opEqual}
	}
	m := &matcher{op: op, lit: lit.val}
	if op.regex() {
		if _, attrLeft := e.l.(*attribute); !attrLeft {
			return nil
		}
		m.re = compileRegex(e)
	}
	switch a.in {
	case inNone:
		return slotMask{b.slot(a), m}
	case inName, inStatusMessage, inDuration, inStatus, inKind, inScopeName, inScopeVersion:
		return columnMask{a.in, m}
	case inNestedParent:
		if lit.val.typ == TypeInt && (op == opLess && lit.val.n == 0 || op == opEqual && lit.val.n == -1) {
			return rootMask{}
		}
	}
	return nil
}
