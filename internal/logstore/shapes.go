package logstore

import (
	"slices"
	"strconv"
	"sync"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// The skeletons of a block (skeleton.go) are as good as columns for the fields of JSON or
// logfmt lines: where a field lies is the same in all lines of a template, so the query's
// [store.ShapeParser] looks at each template once. A field is then a constant of the
// template, or one column of variables, or both joined, and only the columns in question
// are decoded. No line is printed and nothing is stored twice.

// judge says what the templates of lines mean to one query.
type judge struct {
	filters []lineFilter
	parser  store.ShapeParser // nil if fields are not asked for
	tests   []model.FieldTest

	// parts has what the plan has asked about, by part and number of the template; it does
	// not change any more.
	parts map[*partIndex][]*judgement

	mu    sync.Mutex
	byKey map[string]*judgement // guarded by mu; templates that blocks bring themselves
	ids   int                   // guarded by mu; shapes so far
}

// judgement is what a template means to a query.
type judgement struct {
	deny     bool      // no line of it is wanted
	verdicts []verdict // of each line filter
	needles  []*needle // of each line filter, nil where lines have to be looked at
	shape    *shape    // nil without a parser
}

// shape is a template seen by the parser.
type shape struct {
	*model.LineShape // nil if the lines have to be looked at
	fields           []shapeValue
	tests            []shapeTest
}

// shapeValue is the pieces of a field: text, then for each variable it and more text.
type shapeValue struct {
	fixed string
	vars  []int32 // which variables of the template
	texts []string
}

// plain reports whether v is nothing but a variable.
func (v *shapeValue) plain() bool { return len(v.vars) == 1 && v.fixed == "" && v.texts[0] == "" }

// shapeTest is a test on a field that is not the same in all lines.
type shapeTest struct {
	test  *model.FieldTest
	field int
}

// asks reports whether templates mean anything to the query. A nil judge asks nothing.
func (j *judge) asks() bool { return j != nil && (len(j.filters) > 0 || j.parser != nil) }

// parses reports whether fields are asked for.
func (j *judge) parses() bool { return j != nil && j.parser != nil }

// plan judges the templates of a block before it is read. It reports whether the block may
// hold lines that are wanted.
func (j *judge) plan(x *partIndex, b *blockInfo) bool {
	if !j.asks() || len(b.templates) == 0 {
		return true
	}
	of := j.parts[x]
	if of == nil {
		of = make([]*judgement, len(x.templates.list))
		j.parts[x] = of
	}
	may := false
	for _, id := range b.templates {
		if of[id] == nil {
			of[id] = j.judge(x.templates.list[id])
		}
		may = may || !of[id].deny
	}
	return may
}

// of returns the judgements of the templates of a block.
func (j *judge) of(x *partIndex, b *blockInfo, sk *skeletons) []*judgement {
	out := make([]*judgement, len(sk.list))
	planned := j.parts[x]
	for i, tp := range sk.list {
		if len(b.templates) > 0 && planned != nil {
			out[i] = planned[b.templates[i]]
			continue
		}
		out[i] = j.cached(tp)
	}
	return out
}

// cached judges a template that a block brings itself.
func (j *judge) cached(tp *template) *judgement {
	key := tp.appendKey(nil)
	j.mu.Lock()
	defer j.mu.Unlock()
	if v := j.byKey[string(key)]; v != nil {
		return v
	}
	v := j.judge(tp)
	j.byKey[text(key)] = v
	return v
}

func (j *judge) judge(tp *template) *judgement {
	v := &judgement{verdicts: make([]verdict, len(j.filters)), needles: make([]*needle, len(j.filters))}
	for i := range j.filters {
		if v.verdicts[i] = j.filters[i].decide(tp); v.verdicts[i] == maybe {
			v.needles[i] = j.filters[i].needle(tp)
		}
		v.deny = v.deny || v.verdicts[i] == never
	}
	if j.parser == nil || v.deny {
		return v
	}
	line, vars := tp.sample()
	v.shape = &shape{LineShape: j.parser.ParseShape(line, vars)}
	if v.shape.LineShape != nil {
		v.shape.split(line, vars)
		v.shape.ID = j.ids
		j.ids++
		v.deny = !v.shape.bind(j.tests)
	}
	return v
}

// sample returns a line of tp.
func (tp *template) sample() (string, []model.LineVar) {
	line := append(make([]byte, 0, 256), tp.lits[0]...)
	vars := make([]model.LineVar, 0, len(tp.kinds))
	for i, kind := range tp.kinds {
		v := model.LineVar{From: len(line), Digits: kind == varInt}
		if v.Digits {
			line = append(line, '1')
		} else {
			line = append(line, "a1"...)
		}
		v.To = len(line)
		vars = append(vars, v)
		line = append(line, tp.lits[i+1]...)
	}
	return text(line), vars
}

// split cuts the fields into text and variables.
func (sh *shape) split(line string, vars []model.LineVar) {
	sh.Fixed = true
	for _, f := range sh.Fields {
		var v shapeValue
		at, first := f.From, true
		add := func(t string) {
			if first {
				v.fixed, first = t, false
			} else {
				v.texts = append(v.texts, t)
			}
		}
		for i := range vars {
			if vars[i].From >= f.From && vars[i].To <= f.To {
				add(line[at:vars[i].From])
				v.vars = append(v.vars, int32(i))
				at = vars[i].To
			}
		}
		add(line[at:f.To])
		sh.Fixed = sh.Fixed && len(v.vars) == 0
		sh.fields = append(sh.fields, v)
	}
	if sh.Fixed {
		for i := range sh.fields {
			sh.Values = append(sh.Values, sh.fields[i].fixed)
		}
	}
}

// values returns the fields whose values differ between rows.
func (l *localShape) values() []shapeValue {
	if l.LineShape == nil || l.Fixed {
		return nil
	}
	return l.fields
}

// bind decides the tests that have the same outcome for all lines of sh. It reports false
// if one denies them.
func (sh *shape) bind(tests []model.FieldTest) bool {
	for i := range tests {
		t := &tests[i]
		k := slices.IndexFunc(sh.Fields, func(f model.ShapeField) bool { return f.Name == t.Name })
		switch {
		case k < 0:
			if !t.Absent(sh.LineShape) {
				return false
			}
		case len(sh.fields[k].vars) == 0:
			if !t.Text(sh.fields[k].fixed) {
				return false
			}
		default:
			sh.tests = append(sh.tests, shapeTest{test: t, field: k})
		}
	}
	return true
}

// parsed is the shapes of a block.
type parsed struct {
	shapes []*model.LineShape // of each row that is kept, nil where the line has to be looked at
	starts []int32            // of each row in values; one more at the end
	values []string
}

// shapeReader reads the fields of a block.
type shapeReader struct {
	sk    *skeletons
	of    []localShape // of each template of the block
	reads []varReader  // of each column, where needed
	buf   []byte
}

// localShape is a shape in a block.
type localShape struct {
	*shape
	cols  []int32 // of the variables of the template
	moves []int32 // columns that move on with a row
}

// readsVars reports whether fields of some shape hold variables.
func readsVars(of []*judgement) bool {
	return slices.ContainsFunc(of, func(v *judgement) bool {
		return !v.deny && v.shape.LineShape != nil && !v.shape.Fixed
	})
}

// openShapes prepares to read the fields of the rows of sk. Columns are decoded into the
// memory of scratch.
func openShapes(sk *skeletons, of []*judgement, z *codec.Zstd, scratch *buffer) (*shapeReader, error) {
	r := &shapeReader{sk: sk, of: make([]localShape, len(of))}
	need := make([]bool, len(sk.vars))
	for id, v := range of {
		r.of[id] = localShape{shape: v.shape, cols: sk.cols[id]}
		if v.deny || v.shape.LineShape == nil {
			continue
		}
		for i := range v.shape.fields {
			for _, k := range v.shape.fields[i].vars {
				need[sk.cols[id][k]] = true
			}
		}
	}
	if sk.vars == nil { // no field holds a variable
		return r, nil
	}
	reads, moves, err := sk.open(need, z, scratch)
	if err != nil {
		return nil, err
	}
	for id := range moves {
		r.of[id].moves = moves[id]
	}
	r.reads = reads
	return r, nil
}

// room returns memory for n more integers.
func (b *buffer) room(n int) []int64 {
	b.ints = slices.Grow(b.ints, n)
	had := len(b.ints)
	b.ints = b.ints[:had+n]
	return b.ints[had : had : had+n]
}

// rewind starts at the first row again.
func (r *shapeReader) rewind() {
	for c := range r.reads {
		r.reads[c].next, r.reads[c].at = 0, 0
	}
}

// filter clears the rows of m, which is open, that fail a test. It reports whether a row
// that stays has no shape.
func (r *shapeReader) filter(m *mask) (lines bool) {
	r.rewind()
	for row, id := range r.sk.rows {
		l := &r.of[id]
		if k := row - m.from; uint(k) < uint(len(m.keep)) && m.keep[k] {
			if l.LineShape == nil {
				lines = true
			}
			for i := range l.tests {
				if !r.test(l, &l.tests[i]) {
					m.keep[k] = false
					break
				}
			}
		}
		for _, c := range l.moves {
			r.reads[c].skip()
		}
	}
	return lines
}

// test runs a test on the current row.
func (r *shapeReader) test(l *localShape, t *shapeTest) bool {
	v := &l.fields[t.field]
	if t.test.Int != nil && v.plain() {
		if c := &r.reads[l.cols[v.vars[0]]]; c.kind == varInt {
			return t.test.Int(c.ints[c.next])
		}
	}
	r.buf = r.value(r.buf[:0], v, l.cols)
	return t.test.Text(text(r.buf))
}

// value appends the value of v in the current row.
func (r *shapeReader) value(dst []byte, v *shapeValue, cols []int32) []byte {
	dst = append(dst, v.fixed...)
	for i, k := range v.vars {
		dst = append(r.reads[cols[k]].peek(dst), v.texts[i]...)
	}
	return dst
}

// parse returns the shapes and values of the rows that m, which is open, keeps.
func (r *shapeReader) parse(m *mask) *parsed {
	n := 0
	for _, k := range m.keep {
		if k {
			n++
		}
	}
	p := &parsed{shapes: make([]*model.LineShape, 0, n), starts: make([]int32, 1, n+1)}
	var arena []byte
	type piece struct{ value, from int }
	var pieces []piece
	r.rewind()
	for row, id := range r.sk.rows {
		l := &r.of[id]
		if k := row - m.from; uint(k) < uint(len(m.keep)) && m.keep[k] {
			p.shapes = append(p.shapes, l.LineShape)
			for i := range l.values() {
				v := &l.fields[i]
				switch {
				case len(v.vars) == 0:
					p.values = append(p.values, v.fixed)
					continue
				case v.plain():
					if s := r.reads[l.cols[v.vars[0]]].short(); s != "" {
						p.values = append(p.values, s)
						continue
					}
				}
				pieces = append(pieces, piece{len(p.values), len(arena)})
				p.values = append(p.values, "")
				arena = r.value(arena, v, l.cols)
			}
			p.starts = append(p.starts, int32(len(p.values)))
		}
		for _, c := range l.moves {
			r.reads[c].skip()
		}
	}
	for i, x := range pieces {
		to := len(arena)
		if i+1 < len(pieces) {
			to = pieces[i+1].from
		}
		p.values[x.value] = text(arena[x.from:to])
	}
	return p
}

// short returns the next value of v if that needs no memory, else "".
func (v *varReader) short() string {
	if v.kind == varInt && v.ints[v.next] < 100 {
		return strconv.Itoa(int(v.ints[v.next])) // a constant of the library
	}
	return ""
}
