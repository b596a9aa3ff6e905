package logql

import "time"

// logRange is what stands between the parentheses of a range aggregation.
type logRange struct {
	query    *LogQuery
	unwrap   *unwrapNode
	hasRange bool
	rng      time.Duration
	offset   time.Duration
}

// logRange parses a log query with its range, which may stand after the selector, after
// the pipeline, or after parentheses around either.
func (p *parser) logRange() (*logRange, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if p.accept("(") {
		r, err := p.logRange()
		if err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		if r.hasRange || p.peek().kind != tokRange {
			return r, nil
		}
		if err := p.rangeOffset(r); err != nil {
			return nil, err
		}
		if r.unwrap == nil && !r.query.HasPipeline() {
			r.unwrap, err = p.unwrap()
		}
		return r, err
	}
	if t := p.peek(); !t.is(tokOp, "{") {
		return nil, p.unexpected(t, "a stream selector such as {service_name=\"api\"}")
	}
	ms, err := p.checkedSelector()
	if err != nil {
		return nil, err
	}
	r := &logRange{query: &LogQuery{Matchers: ms}}
	if p.peek().kind == tokRange {
		if err := p.rangeOffset(r); err != nil {
			return nil, err
		}
	}
	if r.query.stages, err = p.stages(); err != nil {
		return nil, err
	}
	if r.unwrap, err = p.unwrap(); err != nil {
		return nil, err
	}
	if !r.hasRange && p.peek().kind == tokRange {
		err = p.rangeOffset(r)
	}
	return r, err
}

// rangeOffset parses a range and an offset that may follow it.
func (p *parser) rangeOffset(r *logRange) error {
	r.hasRange, r.rng = true, p.take().dur
	if !p.acceptKeyword("offset") {
		return nil
	}
	t := p.peek()
	if t.kind != tokDuration {
		return p.unexpected(t, "a duration such as 5m or -5m")
	}
	r.offset = p.take().dur
	return nil
}

// unwrap parses an unwrap stage and the label filters after it, nil if there is none.
func (p *parser) unwrap() (*unwrapNode, error) {
	if !p.peek().is(tokOp, "|") || !p.peek2().is(tokKeyword, "unwrap") {
		return nil, nil
	}
	p.take()
	p.take()
	u := &unwrapNode{}
	t := p.peek()
	switch {
	case t.kind == tokFunc && (t.text == "bytes" || t.text == "duration" || t.text == "duration_seconds"):
		u.conv = conversion(p.take().text)
		p.take()
		if t = p.peek(); t.kind != tokIdent {
			return nil, p.unexpected(t, "a label name")
		}
		u.name = p.take().text
		if err := p.expect(")"); err != nil {
			return nil, err
		}
	case t.kind == tokIdent:
		u.name = p.take().text
	default:
		return nil, p.unexpected(t, "a label name, or bytes(label), duration(label) or duration_seconds(label)")
	}
	for p.peek().is(tokOp, "|") {
		p.take()
		if t := p.peek(); t.kind != tokIdent && !t.is(tokOp, "(") {
			return nil, p.unexpected(t, "a label filter: nothing else may follow unwrap")
		}
		f, err := p.labelFilter()
		if err != nil {
			return nil, err
		}
		u.filters = append(u.filters, f.(*labelFilterNode))
	}
	return u, nil
}
