package logql

import (
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/textmatch"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// source is a compiled pipeline and the selector that feeds it.
type source struct {
	pipe *pipeline
	sel  store.LogSelector
}

// bind compiles q for the range and moves into the selector what the store evaluates.
func (x *exec) bind(q *LogQuery, rng model.TimeRange, o compileOptions) (*source, error) {
	o.caps, o.now = x.engine.Reader.Caps(), x.engine.now()
	s := &source{sel: store.LogSelector{Matchers: q.Matchers, Range: rng, Account: x.p.Account}}
	push := pushdown{x: x, caps: o.caps, sel: s.sel}
	nodes, err := push.fields(q.stages)
	if err != nil {
		return nil, err
	}
	if err := push.values(nodes); err != nil {
		return nil, err
	}
	if s.pipe, err = compile(nodes, o); err != nil {
		return nil, err
	}
	s.sel.Lines = append(s.pipe.push, push.lines...)
	s.sel.Fields = push.preds
	return s, push.shapes(s, o)
}

// pushdown finds what the stream index allows the store to evaluate besides line filters.
// A label filter may look at a stream label, at structured metadata, or at a label parsed
// from the line. If the index knows no such stream label, a filter before any parser can
// only mean metadata; if it knows no such metadata either, a filter behind a parser can only
// mean text of the line.
type pushdown struct {
	x    *exec
	caps store.LogCaps
	sel  store.LogSelector

	streamNames []string // stream labels, once asked for
	fieldNames  []string // metadata fields, once asked for
	asked       [2]bool

	preds []store.FieldPredicate
	lines []store.LineFilter
}

func (d *pushdown) isStreamLabel(name string) (bool, error) {
	if !d.asked[0] {
		var err error
		if d.streamNames, err = d.x.engine.Index.LabelNames(d.x.ctx, d.x.tenant, d.sel); err != nil {
			return false, err
		}
		d.asked[0] = true
	}
	return slices.Contains(d.streamNames, name), nil
}

func (d *pushdown) isField(name string) (bool, error) {
	if !d.asked[1] {
		names, err := d.x.engine.Index.FieldNames(d.x.ctx, d.x.tenant, d.sel)
		if err != nil {
			return false, err
		}
		for _, n := range names {
			d.fieldNames = append(d.fieldNames, n.Name)
		}
		d.asked[1] = true
	}
	return slices.Contains(d.fieldNames, name), nil
}

// ordinary reports whether name can be pushed down: it has no meaning of its own.
func ordinary(name string) bool {
	return !strings.HasPrefix(name, "__") && !strings.HasSuffix(name, extractedSuffix)
}

// fields takes out of nodes the filters on metadata that the store can evaluate, and
// returns the rest.
func (d *pushdown) fields(nodes []stageNode) ([]stageNode, error) {
	if d.x.engine.Index == nil || !d.caps.FieldFilter {
		return nodes, nil
	}
	out := slices.Clone(nodes)
	for i := 0; i < len(out); i++ {
		switch n := out[i].(type) {
		case *lineFilterNode, *lineFormatNode, *decolorizeNode:
		case *labelFilterNode:
			if err := d.numbers(n.cond); err != nil {
				return nil, err
			}
			m, ok := n.cond.(*labelMatcher)
			if !ok || !ordinary(m.name) {
				continue
			}
			known, err := d.isStreamLabel(m.name)
			if err != nil {
				return nil, err
			}
			if known {
				continue
			}
			value := m.value
			if m.re != nil {
				value = "(?-s:" + value + ")" // here "." does not match a line feed
			}
			mm, err := model.NewMatcher(m.typ, m.name, value)
			if err != nil {
				continue
			}
			d.preds = append(d.preds, store.FieldPredicate{Matcher: mm})
			out = slices.Delete(out, i, i+1)
			i--
		default:
			return out, nil
		}
	}
	return out, nil
}

// numbers makes predicates of what c, a filter before any parser, compares numbers with. The
// filter stays: values that are no numbers pass, with an error.
func (d *pushdown) numbers(c condition) error {
	switch c := c.(type) {
	case *binaryCond:
		if c.or {
			return nil
		}
		if err := d.numbers(c.left); err != nil {
			return err
		}
		return d.numbers(c.right)
	case *numCond:
		if !ordinary(c.name) {
			return nil
		}
		known, err := d.isStreamLabel(c.name)
		if err != nil || known {
			return err
		}
		d.preds = append(d.preds, store.FieldPredicate{Name: c.name, Text: c.String(), Test: func(value string) bool {
			v, err := c.convert(value)
			return value != "" && (err != nil || compare(c.op, v, c.value))
		}})
	}
	return nil
}

// shapes asks the store for what the parsers of s find in shapes of lines, and for entries
// that pass the filters behind them and filters by patterns.
func (d *pushdown) shapes(s *source, o compileOptions) error {
	patterns := s.pipe.patterns()
	if len(s.pipe.parsers) == 0 && !patterns || !d.caps.Shapes {
		return nil
	}
	p := &shapeParser{stages: s.pipe.parsers, want: o.want}
	if patterns {
		p.lines = s.pipe.lines
	}
	if s.pipe.valid {
		s.sel.Tests = append(s.sel.Tests, validShape())
	}
	if d.x.engine.Index != nil {
		var names []string
		for i := range s.pipe.tests {
			f := &s.pipe.tests[i]
			t, ok := f.fieldTest()
			if !ok || !ordinary(f.name) {
				continue
			}
			known, err := d.isStreamLabel(f.name)
			if err == nil && !known {
				known, err = d.isField(f.name)
			}
			if err != nil {
				return err
			}
			if !known {
				s.sel.Tests = append(s.sel.Tests, t)
				names = append(names, f.name)
			}
		}
		if !o.shapes {
			p.want = newWanted(names)
		}
	}
	switch {
	case o.shapes:
		s.pipe.useShapes()
		s.pipe.judged = patterns
	case len(s.sel.Tests) > 0:
	case patterns:
		p.stages = nil
	default:
		return nil
	}
	s.sel.Parser = p
	return nil
}

// values derives line filters from filters behind a parser: a line from which a label gets
// the value v contains v, or an escape that may stand for a part of it. The filters stay.
func (d *pushdown) values(nodes []stageNode) error {
	if d.x.engine.Index == nil || !d.caps.LineFilter {
		return nil
	}
	parsed := false
	for _, n := range nodes {
		switch n := n.(type) {
		case *lineFilterNode, *dropKeepNode:
		case *jsonNode, *logfmtNode, *regexpNode, *patternNode:
			parsed = true
		case *labelFilterNode:
			if !parsed {
				continue
			}
			if err := d.conjuncts(n.cond); err != nil {
				return err
			}
		default:
			return nil // it may write labels or the line
		}
	}
	return nil
}

func (d *pushdown) conjuncts(c condition) error {
	switch c := c.(type) {
	case *binaryCond:
		if c.or {
			return nil
		}
		if err := d.conjuncts(c.left); err != nil {
			return err
		}
		return d.conjuncts(c.right)
	case *labelMatcher:
		texts := c.texts()
		if len(texts) == 0 || !ordinary(c.name) {
			return nil
		}
		for _, is := range [...]func(string) (bool, error){d.isStreamLabel, d.isField} {
			if known, err := is(c.name); known || err != nil {
				return err
			}
		}
		d.lines = append(d.lines, store.LineFilter{Hint: true, Patterns: append(texts, `\u`)})
	}
	return nil
}

// texts returns the values that m allows, nil if they are not a few plain texts.
func (m *labelMatcher) texts() []string {
	var out []string
	switch m.typ {
	case model.MatchEqual:
		out = []string{m.value}
	case model.MatchRegexp:
		lits, ok := textmatch.Texts(m.value)
		if !ok {
			return nil
		}
		out = lits
	}
	for _, s := range out {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !plainValueRune(r) }) {
			return nil
		}
	}
	return out
}

// plainValueRune reports whether r stands for itself in JSON and logfmt, unless written as
// \u.
func plainValueRune(r rune) bool {
	return r < 0x80 && (nameByte(byte(r)) || strings.ContainsRune("-.:+", r))
}
