package logstore

import (
	"slices"
	"sync"

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
	number  *model.FieldNumber // nil if no field is one

	mu    sync.Mutex
	byKey map[string]*judgement        // guarded by mu; by the key of the template: parts have many in common
	alike map[string]*model.LineFields // guarded by mu; fields that rows share, by what they hold

	denied model.LineFields // stands for those that fail a test
	codes  *intCodes        // nil without a parser
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
	number           int     // which field is the query's number, -1 if none
	vars             []int32 // variables that tell rows apart: those of the other fields
	found            foundTable
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

// cached judges tp, unless it has done so.
func (j *judge) cached(tp *template) *judgement {
	key := tp.key
	if key == "" {
		key = text(tp.appendKey(nil))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if v := j.byKey[key]; v != nil {
		return v
	}
	v := j.judge(tp)
	j.byKey[key] = v
	return v
}

func (j *judge) judge(tp *template) *judgement {
	v := &judgement{verdicts: make([]verdict, len(j.filters)), needles: make([]*needle, len(j.filters))}
	for i := range j.filters {
		v.verdicts[i], v.needles[i] = j.filters[i].see(tp)
		v.deny = v.deny || v.verdicts[i] == never
	}
	if j.parser == nil || v.deny {
		return v
	}
	line, vars := tp.sample()
	v.shape = &shape{LineShape: j.parser.ParseShape(line, vars)}
	if v.shape.LineShape != nil {
		v.shape.split(line, vars)
		v.shape.tell(j.number)
		v.deny = v.shape.Deny || !v.shape.bind(j.tests)
	}
	return v
}

// sample returns a line of tp.
func (tp *template) sample() (string, []model.LineVar) {
	line := append(make([]byte, 0, 256), tp.lits[0]...)
	vars := make([]model.LineVar, 0, len(tp.kinds))
	for i, kind := range tp.kinds {
		v := model.LineVar{From: len(line), Digits: kind == varInt, Hex: kind == varHex}
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
		sh.fields = append(sh.fields, v)
	}
}

// tell finds the number and the variables that tell rows apart.
func (sh *shape) tell(number *model.FieldNumber) {
	sh.number = -1
	if number != nil {
		sh.number = slices.IndexFunc(sh.Fields, func(f model.ShapeField) bool { return f.Name == number.Name })
	}
	for i := range sh.fields {
		for _, k := range sh.fields[i].vars {
			if i != sh.number && !slices.Contains(sh.vars, k) {
				sh.vars = append(sh.vars, k)
			}
		}
	}
}

// bind decides the tests that have the same outcome for all lines of sh. It reports false
// if one denies them.
func (sh *shape) bind(tests []model.FieldTest) bool {
	for i := range tests {
		t := &tests[i]
		k := t.Field(sh.LineShape)
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
