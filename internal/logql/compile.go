package logql

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/textmatch"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// preserveLabel marks series of a query that asked for its parser errors.
const preserveLabel = "__preserve_error__"

// stage is a compiled pipeline stage. It belongs to one pipeline, so it may keep buffers.
type stage interface {
	// run changes r and reports whether the entry stays.
	run(r *row) bool
}

// usage collects the labels that stages look at.
type usage struct {
	names []string
	all   bool // any label
}

func (u *usage) add(names ...string) { u.names = append(u.names, names...) }

// compiler holds what stages need to be built.
type compiler struct {
	early []valueFilter // of the parser that is being built
	now   func() time.Time
	caps  store.LogCaps
}

// pipeline is a compiled sequence of stages for one goroutine.
type pipeline struct {
	lines  []*lineFilter // filters on the stored line that the store does not evaluate
	judged bool          // entries with shapes have passed them
	push   []store.LineFilter
	stages []stage
	row    row

	parsers []shapeStage // stages whose work can be done on shapes of lines
	tests   []shapeTest  // filters behind them that decide about an entry by themselves
	valid   bool         // entries with the error of the first are dropped
}

// compileOptions say what a pipeline may leave out.
type compileOptions struct {
	want      *wanted // labels needed, nil for all
	countOnly bool    // the line does not matter after the last stage that reads it
	shapes    bool    // entries may come with shapes of lines instead of lines
	caps      store.LogCaps
	now       func() time.Time
}

// compile builds the pipeline of nodes.
func compile(nodes []stageNode, o compileOptions) (*pipeline, error) {
	c := &compiler{now: o.now, caps: o.caps}
	p := &pipeline{}
	p.row.want = o.want
	if o.countOnly {
		nodes = dropLastFormat(nodes)
	}
	nodes, early, err := moveFilters(nodes)
	if err != nil {
		return nil, err
	}
	rewritten, simple := false, true
	for i, n := range nodes {
		switch n := n.(type) {
		case *lineFilterNode:
			if rewritten {
				break
			}
			f, push, whole, err := n.filter(c.caps)
			if err != nil {
				return nil, stageError(n, err)
			}
			p.push = append(p.push, push...)
			if !whole {
				p.lines = append(p.lines, f)
			}
			continue
		case *lineFormatNode, *unpackNode, *decolorizeNode:
			rewritten = true
		}
		c.early = early[i]
		s, err := n.build(c)
		if err != nil {
			return nil, stageError(n, err)
		}
		if isParser(n) && o.want != nil && len(o.want.names) == 0 {
			continue // nothing it could find is needed
		}
		if len(p.stages) == 0 && dropsErrors(n) {
			p.row.dropErrors(n) // nothing but metadata can have made one yet
			continue
		}
		p.stages = append(p.stages, s)
		if !isParser(n) {
			simple = simple && isFilter(n) // others may set labels
			continue
		}
		simple = simple && !hasExpressions(n) // which set labels
		if st, ok := s.(shapeStage); ok && !rewritten {
			if len(p.parsers) == 0 {
				p.valid = dropErrors(nodes[i+1:])
			}
			p.addParser(st, early[i], simple)
		}
	}
	return p, nil
}

// addParser adds a stage that takes shapes. early are the filters behind it; simple says
// that nothing before it but such stages makes labels.
func (p *pipeline) addParser(st shapeStage, early []valueFilter, simple bool) {
	sh := st.shape()
	sh.number = len(p.parsers)
	p.parsers = append(p.parsers, st)
	if !simple {
		return
	}
	clean := true
	switch st.(type) {
	case *regexpStage, *patternStage:
		clean = false
	}
	for _, f := range early {
		p.tests = append(p.tests, shapeTest{valueFilter: f, parser: sh.number, clean: clean})
	}
}

func stageError(n stageNode, err error) error {
	return parseErrorf("stage '%s' : %v", n, err)
}

// isParser reports whether n makes labels from the line and does nothing else.
func isParser(n stageNode) bool {
	switch n.(type) {
	case *jsonNode, *logfmtNode, *regexpNode, *patternNode:
		return true
	}
	return false
}

// isFilter reports whether n changes nothing about an entry.
func isFilter(n stageNode) bool {
	switch n.(type) {
	case *lineFilterNode, *labelFilterNode:
		return true
	}
	return false
}

// patterns reports whether there are lines to filter by nothing but patterns.
func (p *pipeline) patterns() bool {
	return len(p.lines) > 0 && !slices.ContainsFunc(p.lines, func(f *lineFilter) bool {
		return slices.ContainsFunc(f.tests, func(t lineTest) bool { _, ok := t.(*patternTest); return !ok })
	})
}

// useShapes says that entries may come with shapes.
func (p *pipeline) useShapes() {
	for _, s := range p.parsers {
		s.shape().on = true
	}
}

// dropsErrors reports whether n is a drop of nothing but the error labels, whatever their
// values are.
func dropsErrors(n stageNode) bool {
	d, ok := n.(*dropKeepNode)
	return ok && !d.keep && !slices.ContainsFunc(d.items, func(it dropKeepItem) bool {
		return it.m != nil || it.name != errorLabel && it.name != detailsLabel
	})
}

// dropErrors reports whether nodes drop every entry that has an error.
func dropErrors(nodes []stageNode) bool {
	for _, n := range nodes {
		switch n := n.(type) {
		case *labelFilterNode:
			if m, ok := n.cond.(*labelMatcher); ok && m.name == errorLabel && m.typ == model.MatchEqual && m.value == "" {
				return true
			}
		case *dropKeepNode:
			return false
		}
	}
	return false
}

// dropLastFormat removes line_format stages whose line nobody reads.
func dropLastFormat(nodes []stageNode) []stageNode {
	out := slices.Clone(nodes)
	for i := len(out) - 1; i >= 0; i-- {
		switch n := out[i].(type) {
		case *lineFormatNode:
			out = slices.Delete(out, i, i+1)
		case *labelFilterNode, *dropKeepNode:
		case *labelFormatNode:
			if n.readsLine() {
				return out
			}
		default:
			return out
		}
	}
	return out
}

// moveFilters moves every filter on a single label to directly after the nearest parser
// before it, unless a stage between them may write that label. early[i] are the filters
// that the parser at i of the result may try while it parses.
func moveFilters(nodes []stageNode) (out []stageNode, early [][]valueFilter, err error) {
	last := -1 // index in out behind the last parser and the filters moved there
	parser := -1
	for _, n := range nodes {
		f, ok := n.(*labelFilterNode)
		if !ok || parser < 0 {
			out, early = append(out, n), append(early, nil)
			if isParser(n) {
				parser, last = len(out)-1, len(out)
				if hasExpressions(n) {
					parser = -1
				}
			} else if _, ok := n.(*unpackNode); ok {
				parser = -1
			}
			continue
		}
		vf, single, err := f.single()
		if err != nil {
			return nil, nil, stageError(n, err)
		}
		if !single || writes(out[last:], vf.name) {
			out, early = append(out, n), append(early, nil)
			continue
		}
		early[parser] = append(early[parser], vf)
		out, early = slices.Insert(out, last, n), slices.Insert(early, last, nil)
		last++
	}
	return out, early, nil
}

func hasExpressions(n stageNode) bool {
	switch n := n.(type) {
	case *jsonNode:
		return len(n.exprs) > 0
	case *logfmtNode:
		return len(n.exprs) > 0
	}
	return false
}

// writes reports whether one of nodes may set or remove the label name.
func writes(nodes []stageNode, name string) bool {
	for _, n := range nodes {
		switch n := n.(type) {
		case *labelFormatNode:
			for _, it := range n.items {
				if it.dst == name || !it.template && it.src == name {
					return true
				}
			}
		case *dropKeepNode:
			if n.keep {
				return true
			}
			for _, it := range n.items {
				if it.name == name {
					return true
				}
			}
		}
	}
	return false
}

// run sends r through the stages and reports whether it stays.
func (p *pipeline) run() bool {
	for _, s := range p.stages {
		if !s.run(&p.row) {
			return false
		}
	}
	return true
}

// passes reports whether the stored line passes the filters left to the pipeline.
func (p *pipeline) passes(line string) bool {
	for _, f := range p.lines {
		if !f.match(line) {
			return false
		}
	}
	return true
}

func (*lineFilterNode) reads(*usage)     {}
func (*jsonNode) reads(*usage)           {}
func (*logfmtNode) reads(*usage)         {}
func (*regexpNode) reads(*usage)         {}
func (*patternNode) reads(*usage)        {}
func (*unpackNode) reads(*usage)         {}
func (*decolorizeNode) reads(*usage)     {}
func (n *lineFormatNode) reads(u *usage) { templateReads(u, n.text) }

func (n *labelFilterNode) reads(u *usage) { u.names = n.cond.names(u.names) }

func (n *labelFormatNode) reads(u *usage) {
	for _, it := range n.items {
		if it.template {
			templateReads(u, it.src)
		} else {
			u.add(it.src)
		}
	}
}

func (n *dropKeepNode) reads(u *usage) {
	for _, it := range n.items {
		if it.m != nil {
			u.add(it.name)
		}
	}
}

func templateReads(u *usage, text string) {
	t, err := newTemplate(text, time.Now)
	if err != nil {
		return // reported when the stage is built
	}
	u.add(t.fields...)
	u.all = u.all || t.all
}

// readsLine reports whether a template of n looks at the line.
func (n *labelFormatNode) readsLine() bool {
	for _, it := range n.items {
		if it.template && lineFunc.MatchString(it.src) {
			return true
		}
	}
	return false
}

// lineFunc finds __line__ in a template. It may find it in text as well, which does no
// harm.
var lineFunc = regexp.MustCompile(`\b__line__\b`)

func (n *lineFilterNode) build(*compiler) (stage, error) {
	f, _, _, err := n.filter(store.LogCaps{})
	return f, err
}

func (n *jsonNode) build(c *compiler) (stage, error) {
	if len(n.exprs) == 0 {
		return &jsonStage{early: c.early}, nil
	}
	st := &jsonExprStage{}
	for _, e := range n.exprs {
		steps, err := parseJSONPath(e.source)
		if err != nil {
			return nil, err
		}
		st.paths = append(st.paths, jsonPath{name: e.name, steps: steps})
	}
	return st, nil
}

func (n *logfmtNode) build(c *compiler) (stage, error) {
	if len(n.exprs) == 0 {
		return &logfmtStage{strict: n.strict, keepEmpty: n.keepEmpty, early: c.early}, nil
	}
	st := &logfmtExprStage{strict: n.strict, values: make([]string, len(n.exprs))}
	for _, e := range n.exprs {
		if err := checkLogfmtKey(e.source); err != nil {
			return nil, err
		}
		st.exprs = append(st.exprs, e)
	}
	return st, nil
}

func (n *regexpNode) build(c *compiler) (stage, error) {
	st := &regexpStage{node: n, early: c.early, overShapes: textmatch.NewShapes(n.re.String())}
	for _, name := range n.re.SubexpNames() {
		var label []byte
		if name != "" {
			if isDigit(name[0]) {
				label = append(label, '_')
			}
			label = appendName(label, name)
		}
		st.names = append(st.names, string(label))
	}
	return st, nil
}

func (n *patternNode) build(c *compiler) (stage, error) {
	return &patternStage{parts: n.parts, early: c.early}, nil
}

func (n *unpackNode) build(*compiler) (stage, error) { return &unpackStage{}, nil }

func (n *decolorizeNode) build(*compiler) (stage, error) {
	re, err := regexp.Compile(ansiSequences)
	return &decolorizeStage{re: re}, err
}

func (n *labelFilterNode) build(*compiler) (stage, error) {
	p, err := n.cond.build()
	return &filterStage{p: p}, err
}

func (n *lineFormatNode) build(c *compiler) (stage, error) {
	t, err := newTemplate(n.text, c.now)
	return &lineFormatStage{t: t}, err
}

func (n *labelFormatNode) build(c *compiler) (stage, error) {
	st := &labelFormatStage{items: n.items}
	var first *lineTemplate
	seen := map[string]bool{}
	for _, it := range n.items {
		switch {
		case it.dst == errorLabel:
			return nil, fmt.Errorf("%s cannot be formatted", errorLabel)
		case seen[it.dst]:
			return nil, fmt.Errorf("label %s is formatted twice in one stage; use a stage for each", it.dst)
		}
		seen[it.dst] = true
		var t *lineTemplate
		if it.template {
			var err error
			if t, err = newTemplate(it.src, c.now); err != nil {
				return nil, err
			}
			if first == nil {
				first = t
			}
			first.share(t)
		}
		st.templates = append(st.templates, t)
	}
	return st, nil
}

func (n *dropKeepNode) build(*compiler) (stage, error) {
	if n.keep {
		return &keepStage{items: n.items}, nil
	}
	return &dropStage{items: n.items}, nil
}
