package traceql

// ExtractFilter returns what an unfinished query, such as the content of an editor,
// already says about spans: its complete comparisons as a filter. It returns nil when
// nothing is left, or when q is not one { ... } with nothing after it. It never fails,
// for the lists it filters are better long than missing.
//
// An unfinished comparison counts as true: it disappears beside && and makes || match
// everything.
func ExtractFilter(q string) *Expr {
	if len(q) > maxQueryBytes {
		return nil
	}
	toks := lex(q)
	if toks[0].kind != tokOp || toks[0].text != "{" {
		return nil
	}
	toks = toks[1:]
	end := len(toks) - 1
	for i, t := range toks {
		if t.kind == tokOp && (t.text == "}" || t.text == "{") {
			if t.text == "{" || toks[i+1].kind != tokEOF {
				return nil
			}
			end = i
			break
		}
	}
	e := extract(toks[:end], maxDepth)
	if e == nil {
		return nil
	}
	out := &Expr{pipe: &pipeline{stages: []stage{&filter{expr: e}}}}
	if checkExpr(out) != nil {
		return nil
	}
	foldExpr(out)
	return out
}

// extract returns the complete comparisons of toks, nil for "true".
func extract(toks []token, depth int) field {
	if depth == 0 {
		return nil
	}
	var out field
	known := false // out holds a value, perhaps nil
	op := opAnd
	for len(toks) > 0 {
		n := operandLen(toks)
		e := extractOperand(toks[:n], depth)
		switch {
		case !known:
			out = e
		case op == opAnd && out == nil:
			out = e
		case op == opAnd && e == nil:
		case op == opOr && (out == nil || e == nil):
			out = nil
		default:
			out = &binary{op: op, l: out, r: e, at: toks[0].at}
		}
		known = true
		toks = toks[n:]
		if len(toks) == 0 {
			break
		}
		op = fieldOperator(toks[0].text)
		if toks = toks[1:]; len(toks) == 0 && op == opOr {
			return nil // "x ||": the other side is not written yet
		}
	}
	return out
}

// operandLen returns the number of tokens before the next && or || outside parentheses.
func operandLen(toks []token) int {
	level := 0
	for i, t := range toks {
		if t.kind != tokOp {
			continue
		}
		switch t.text {
		case "(":
			level++
		case ")":
			level--
		case "&&", "||":
			if level == 0 {
				return i
			}
		}
	}
	return len(toks)
}

// extractOperand returns the comparison or the parenthesised expression that toks are.
func extractOperand(toks []token, depth int) field {
	if n := len(toks); n > 1 && toks[0].text == "(" && toks[0].kind == tokOp {
		if toks[n-1].kind == tokOp && toks[n-1].text == ")" {
			return extract(toks[1:n-1], depth-1)
		}
		return nil
	}
	last := token{kind: tokEOF}
	p := &parser{toks: append(append([]token(nil), toks...), last)}
	e, err := p.field()
	if err != nil || p.tok().kind != tokEOF {
		return nil
	}
	cmp, ok := e.(*binary)
	if !ok || !cmp.op.comparison() {
		return nil // a bare attribute is about to become a comparison
	}
	if _, err := check(e); err != nil {
		return nil
	}
	return e
}
