package logql

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/textmatch"
	"github.com/pharos-o11y/pharos/internal/model"
)

// maxTemplateText bounds what a template may render for one entry.
const maxTemplateText = 1 << 20

var errTemplateText = errors.New("template renders more than 1 MiB")

// maxTicks bounds the loops and calls of a template for one entry: text/template cannot be
// interrupted.
const maxTicks = 1000

var errTicks = fmt.Errorf("template loops more than %d times", maxTicks)

// lineTemplate renders the labels of an entry. Templates that only join fields and text,
// which is nearly all, are run without package text/template.
type lineTemplate struct {
	plain []segment // nil if it needs tmpl

	tmpl   *template.Template
	fields []string // labels it looks at
	all    bool     // it may look at any label
	line   bool     // it looks at the line
	timed  bool     // it may look at a time, or at the clock
	state  *templateState
}

// segment is text, a label, or the line.
type segment struct {
	text, field string
	line        bool
}

// templateState is what the functions of a template see of the current entry.
type templateState struct {
	line  string
	time  int64
	data  map[string]string
	out   cappedWriter
	ticks int
	re    map[string]*regexp.Regexp // compiled by template functions
}

// tick counts a turn of a loop, or a call of a template.
func (st *templateState) tick() (string, error) {
	if st.ticks++; st.ticks > maxTicks {
		return "", errTicks
	}
	return "", nil
}

// maxTemplateRegexps bounds templateState.re: an expression may be made from labels.
const maxTemplateRegexps = 100

func (st *templateState) regexp(text string) (*regexp.Regexp, error) {
	if re := st.re[text]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	if st.re == nil || len(st.re) >= maxTemplateRegexps {
		st.re = map[string]*regexp.Regexp{}
	}
	st.re[strings.Clone(text)] = re
	return re, nil
}

// cappedWriter collects text up to maxTemplateText.
type cappedWriter struct{ b []byte }

func (w *cappedWriter) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > maxTemplateText {
		return 0, errTemplateText
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

func newTemplate(text string, now func() time.Time) (*lineTemplate, error) {
	t := &lineTemplate{state: &templateState{data: map[string]string{}}}
	var err error
	t.tmpl, err = template.New("line").Option("missingkey=zero").Funcs(templateFuncs(t.state, now)).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, sub := range t.tmpl.Templates() {
		if sub.Tree == nil {
			continue
		}
		t.walk(sub.Tree.Root)
		if sub != t.tmpl && sub.Name() != t.tmpl.Name() {
			t.count(sub.Tree.Root)
		}
	}
	if t.tmpl.Tree == nil { // only definitions
		t.plain = []segment{}
		return t, nil
	}
	if len(t.tmpl.Templates()) <= 1 {
		t.plain = plainSegments(t.tmpl.Tree.Root)
	}
	return t, nil
}

// plainSegments returns the segments of a template that has nothing but text, fields and
// __line__, else nil.
func plainSegments(root *parse.ListNode) []segment {
	out := []segment{}
	for _, n := range root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			out = append(out, segment{text: string(n.Text)})
		case *parse.CommentNode:
		case *parse.ActionNode:
			if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
				return nil
			}
			switch arg := n.Pipe.Cmds[0].Args[0].(type) {
			case *parse.FieldNode:
				if len(arg.Ident) != 1 {
					return nil
				}
				out = append(out, segment{field: arg.Ident[0]})
			case *parse.IdentifierNode:
				if arg.Ident != "__line__" {
					return nil
				}
				out = append(out, segment{line: true})
			default:
				return nil
			}
		default:
			return nil
		}
	}
	return out
}

// walk collects the fields that n looks at.
func (t *lineTemplate) walk(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, c := range n.Nodes {
			t.walk(c)
		}
	case *parse.ActionNode:
		t.walk(n.Pipe)
	case *parse.IfNode:
		t.branch(&n.BranchNode)
	case *parse.RangeNode:
		t.branch(&n.BranchNode)
		t.count(n.List)
	case *parse.WithNode:
		t.branch(&n.BranchNode)
	case *parse.TemplateNode:
		t.walk(n.Pipe)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, c := range n.Cmds {
			for _, a := range c.Args {
				t.walk(a)
			}
		}
	case *parse.ChainNode:
		t.walk(n.Node)
	case *parse.IdentifierNode:
		switch n.Ident {
		case "__line__":
			t.line = true
		case "__timestamp__", "now", "date": // date takes what is no time for now
			t.timed = true
		}
	case *parse.FieldNode:
		t.fields = append(t.fields, n.Ident[0])
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			t.fields = append(t.fields, n.Ident[1])
		} else if n.Ident[0] == "$" {
			t.all = true
		}
	case *parse.DotNode:
		t.all = true
	}
}

// count makes the nodes of l call tick first.
func (t *lineTemplate) count(l *parse.ListNode) {
	tick, err := template.New("").Funcs(template.FuncMap{tickFunc: t.state.tick}).Parse("{{" + tickFunc + "}}")
	if err == nil {
		l.Nodes = slices.Insert(l.Nodes, 0, tick.Tree.Root.Nodes[0])
	}
}

// tickFunc is the name of the function that calls templateState.tick.
const tickFunc = "__tick__"

func (t *lineTemplate) branch(n *parse.BranchNode) {
	t.walk(n.Pipe)
	t.walk(n.List)
	t.walk(n.ElseList)
}

// render renders t with the current labels of r; the text is valid until r begins anew.
func (t *lineTemplate) render(r *row) (string, error) {
	if t.plain != nil {
		return t.renderPlain(r)
	}
	t.load(r)
	return t.execute(r)
}

func (t *lineTemplate) renderPlain(r *row) (string, error) {
	if len(t.plain) == 1 {
		return t.plain[0].value(r), nil
	}
	n := len(r.text)
	for i := range t.plain {
		r.text = append(r.text, t.plain[i].value(r)...)
	}
	if len(r.text)-n > maxTemplateText {
		r.text = r.text[:n]
		return "", errTemplateText
	}
	return r.keep(n), nil
}

func (s *segment) value(r *row) string {
	switch {
	case s.line:
		return r.line
	case s.field == "":
		return s.text
	case s.field == errorLabel:
		return r.err
	case s.field == detailsLabel:
		return r.details
	}
	v, _ := r.get(s.field)
	return v
}

// share makes other see the labels that t loads, and t load those that other looks at.
func (t *lineTemplate) share(other *lineTemplate) {
	other.state.data = t.state.data
	if other != t {
		t.fields = append(t.fields, other.fields...)
		t.all = t.all || other.all
	}
}

// load fills the map that the template sees. Its strings are copied when they may outlive
// the row: they do not, the map is cleared for each entry.
func (t *lineTemplate) load(r *row) {
	clear(t.state.data)
	add := func(l model.Label) {
		if t.all || slices.Contains(t.fields, l.Name) {
			t.state.data[l.Name] = l.Value
		}
	}
	for _, l := range r.stream {
		if _, ok := r.get(l.Name); ok {
			add(l)
		}
	}
	for _, l := range r.meta {
		add(l)
	}
	for _, l := range r.parsed {
		add(l)
	}
	if r.err != "" {
		add(model.Label{Name: errorLabel, Value: r.err})
	}
	if r.details != "" {
		add(model.Label{Name: detailsLabel, Value: r.details})
	}
}

// execute renders t with the labels that load has put into its map.
func (t *lineTemplate) execute(r *row) (string, error) {
	t.state.line, t.state.time, t.state.ticks = r.line, r.time, 0
	t.state.out.b = t.state.out.b[:0]
	if err := t.tmpl.Execute(&t.state.out, t.state.data); err != nil {
		return "", err
	}
	n := len(r.text)
	r.text = append(r.text, t.state.out.b...)
	return r.keep(n), nil
}

// lineFormatStage is | line_format.
type lineFormatStage struct{ t *lineTemplate }

func (s *lineFormatStage) run(r *row) bool {
	line, err := s.t.render(r)
	if err != nil {
		r.fail(errTemplate, strings.Clone(err.Error()))
		return true
	}
	r.line = line
	return true
}

// labelFormatStage is | label_format.
type labelFormatStage struct {
	items     []formatItem
	templates []*lineTemplate // nil where the item renames
}

func (s *labelFormatStage) run(r *row) bool {
	loaded := false // the map of all templates, with the labels as they were at the first of them
	for i := range s.items {
		it := &s.items[i]
		t := s.templates[i]
		if t == nil {
			if v, ok := r.get(it.src); ok {
				r.set(it.dst, v)
				if it.src != it.dst {
					r.remove(it.src)
				}
			}
			continue
		}
		if !loaded {
			loaded = true
			t.load(r)
		}
		text, err := t.execute(r)
		if err != nil {
			r.fail(errTemplate, strings.Clone(err.Error()))
			continue
		}
		r.set(it.dst, text)
	}
	return true
}

// decolorizeStage is | decolorize.
type decolorizeStage struct{ re colorRegexp }

type colorRegexp interface {
	ReplaceAllString(src, repl string) string
}

// ansiSequences matches ANSI and VT control sequences.
const ansiSequences = "[\x1b\u009b][\\[\\]()#;?]*(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x07|(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~])"

func (s *decolorizeStage) run(r *row) bool {
	if strings.IndexByte(r.line, 0x1b) >= 0 || strings.Contains(r.line, "\u009b") {
		r.line = s.re.ReplaceAllString(r.line, "")
	}
	return true
}

// dropStage is | drop.
type dropStage struct{ items []dropKeepItem }

func (s *dropStage) run(r *row) bool {
	for i := range s.items {
		it := &s.items[i]
		switch it.name {
		case errorLabel:
			if it.m == nil || it.m.matches(r.err) {
				r.err, r.parserErr = "", false
			}
			continue
		case detailsLabel:
			if it.m == nil || it.m.matches(r.details) {
				r.details = ""
			}
			continue
		}
		if it.m != nil {
			if v, _ := r.get(it.name); !it.m.matches(v) {
				continue
			}
		}
		r.remove(it.name)
	}
	return true
}

// keepStage is | keep.
type keepStage struct {
	items []dropKeepItem
	gone  []string
}

func (s *keepStage) run(r *row) bool {
	s.gone = s.gone[:0]
	for _, ls := range [...][]model.Label{r.stream, r.meta, r.parsed} {
		for _, l := range ls {
			if v, ok := r.get(l.Name); !ok || !s.keeps(l.Name, v) {
				s.gone = append(s.gone, l.Name)
			}
		}
	}
	for _, name := range s.gone {
		r.remove(name)
	}
	return true
}

func (s *keepStage) keeps(name, value string) bool {
	for i := range s.items {
		if it := &s.items[i]; it.name == name && (it.m == nil || it.m.matches(value)) {
			return true
		}
	}
	return name == preserveLabel
}

// regexpStage is | regexp.
type regexpStage struct {
	shaped
	node       *regexpNode
	names      []string // label name of each group, "" for none
	early      []valueFilter
	overShapes *textmatch.Shapes // nil if it cannot be run over them
}

func (s *regexpStage) run(r *row) bool {
	if s.on && r.found != nil {
		return r.fromShape(&s.shaped, "", s.early, false)
	}
	m := s.node.re.FindStringSubmatchIndex(r.line)
	if m == nil {
		return true
	}
	r.early = s.early
	for i, name := range s.names {
		if name == "" {
			continue
		}
		value := ""
		if m[2*i] >= 0 {
			value = r.line[m[2*i]:m[2*i+1]]
		}
		if !r.extract(name, value) {
			break
		}
	}
	r.early = nil
	return !r.drop
}

// patternStage is | pattern.
type patternStage struct {
	shaped
	parts []patternPart
	early []valueFilter
}

func (s *patternStage) run(r *row) bool {
	if s.on && r.found != nil {
		return r.fromShape(&s.shaped, "", s.early, false)
	}
	r.early = s.early
	capture(s.parts, r.line, r.extract)
	r.early = nil
	return !r.drop
}
