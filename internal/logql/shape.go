package logql

import (
	"strings"
	"unsafe"

	"github.com/pharos-o11y/pharos/internal/model"
)

// A store may keep lines as shapes: what many lines have in common, and variables. Then
// the parsers at the begin of a pipeline look at a shape once and get the fields of all its
// lines (see [store.ShapeParser]). What follows here and in shapeparse.go mirrors their stages on a line of which some stretches are unknown, and gives up wherever
// they could make a difference.

// errNotObject is what a json stage says of a line that does not begin with a brace.
const errNotObject = "line is not a JSON object"

// shapeStage is a parser stage whose work can be done on shapes.
type shapeStage interface {
	stage
	shape() *shaped
	// parseShape adds what the stage finds in all lines of x, and reports false if that
	// depends on the line.
	parseShape(x *shapeScan) bool
}

// shaped is the part of a parser stage that is about shapes.
type shaped struct {
	on     bool // entries may come with the shapes of their lines
	number int  // of the stage among those of the pipeline
}

func (s *shaped) shape() *shaped { return s }

// shapeParser implements [store.ShapeParser] for the parsers of a pipeline.
type shapeParser struct {
	lines  []*lineFilter // whose tests are patterns
	stages []shapeStage  // only their options are read
	want   *wanted       // nil if every field is wanted
}

// ParseShape implements [store.ShapeParser].
func (p *shapeParser) ParseShape(line string, vars []model.LineVar) *model.LineShape {
	x := &shapeScan{line: line, vars: vars, want: p.want, out: &model.LineShape{}}
	for _, f := range p.lines {
		switch passes, ok := f.onShape(x); {
		case !ok:
			return nil
		case !passes:
			x.out.Deny = true
			return x.out
		}
	}
	for i, st := range p.stages {
		x.parser = i
		if !st.parseShape(x) {
			return nil
		}
	}
	return x.out
}

// shapeScan is one run of parsers over a shape.
type shapeScan struct {
	line   string
	vars   []model.LineVar
	want   *wanted
	parser int // number of the current one
	out    *model.LineShape
	row    row // lends its buffers
}

// touching returns the number of variables in line[from:to], and whether they are all
// digits.
func (x *shapeScan) touching(from, to int) (n int, digits bool) {
	digits = true
	for _, v := range x.vars {
		if v.From < to && from < v.To {
			n++
			digits = digits && v.Digits
		}
	}
	return n, digits
}

// variable returns the variable that holds line[at], nil if none does.
func (x *shapeScan) variable(at int) *model.LineVar {
	for i := range x.vars {
		if v := &x.vars[i]; v.From <= at && at < v.To {
			return v
		}
	}
	return nil
}

// may reports whether in some line of the shape text can stand where line[at] does, at the
// begin of a variable, somewhere in it, or outside of one. With whole set it must end where
// line[at:end] does.
func (x *shapeScan) may(at, end int, text string, whole bool) bool {
	places := []int{at} // at which what is left of text can go on
	var next []int
	add := func(to int) {
		if len(next) == 0 || next[len(next)-1] < to {
			next = append(next, to)
		}
	}
	for i := range len(text) {
		next = next[:0]
		for _, p := range places {
			if p >= end {
				continue
			}
			if v := x.variable(p); v != nil {
				if v.Holds(text[i]) {
					add(p)
					add(v.To)
				}
			} else if x.line[p] == text[i] {
				add(p + 1)
			}
		}
		if len(next) == 0 {
			return false
		}
		places, next = next, places
	}
	return !whole || places[len(places)-1] == end
}

// find returns where text stands first in line[from:], -1 if it does not, the same in all
// lines of the shape. ok is false if that depends on the line.
func (x *shapeScan) find(from int, text string) (at int, ok bool) {
	for p := from; p < len(x.line); p++ {
		if v := x.variable(p); v != nil && p > v.From {
			continue
		}
		if strings.HasPrefix(x.line[p:], text) {
			if n, _ := x.touching(p, p+len(text)); n == 0 {
				return p, true
			}
		}
		if x.may(p, len(x.line), text, false) {
			return 0, false
		}
	}
	return -1, true
}

// offset returns where part, a piece of the line, begins.
func (x *shapeScan) offset(part string) int {
	return int(uintptr(unsafe.Pointer(unsafe.StringData(part))) - uintptr(unsafe.Pointer(unsafe.StringData(x.line))))
}

// add adds the field called name, if it is wanted.
func (x *shapeScan) add(name []byte, from, to int) {
	if from == to {
		from, to = 0, 0
	}
	f := model.ShapeField{Parser: x.parser, From: from, To: to}
	if x.want != nil {
		if f.Name = x.want.base(name); f.Name == "" {
			return
		}
	} else {
		f.Name = string(name)
	}
	x.out.Fields = append(x.out.Fields, f)
}

// fail records that the current parser cannot read the lines.
func (x *shapeScan) fail(text string) {
	x.out.Errs = append(x.out.Errs, model.ShapeError{Parser: x.parser, Text: text})
}

func (x *shapeScan) wants(name []byte) bool { return x.want == nil || x.want.base(name) != "" }

// fromShape does what the parser st does to r, from the shape of its line. clean is set for
// parsers that make text valid.
func (r *row) fromShape(st *shaped, errKind string, early []valueFilter, clean bool) bool {
	r.early = early
	goOn := true
	for i := 0; i < len(r.found.Values) && goOn; i++ {
		f := &r.found.Shape.Fields[i]
		if f.Parser != st.number {
			continue
		}
		value := r.found.Values[i]
		if clean {
			value = cleanText(value)
		}
		goOn = r.extract(f.Name, value)
	}
	if goOn {
		r.failShape(st, errKind)
	}
	r.early = nil
	return !r.drop
}

// foundIn returns the field called name that the parser st finds.
func (r *row) foundIn(st *shaped, name string) (string, bool) {
	for i, f := range r.found.Shape.Fields {
		if f.Parser == st.number && f.Name == name {
			return r.found.Values[i], true
		}
	}
	return "", false
}

// failShape records the error that the shape has of the parser st, and reports whether there
// is one.
func (r *row) failShape(st *shaped, errKind string) bool {
	for _, e := range r.found.Shape.Errs {
		if e.Parser == st.number {
			r.failParser(errKind, e.Text)
			return true
		}
	}
	return false
}

// shapeTest is a filter behind a parser that decides about an entry by itself.
type shapeTest struct {
	valueFilter
	parser int
	clean  bool // see row.fromShape
}

// validShape is the test whether the first parser can read the lines of a shape. It is about
// no field: none has an empty name.
func validShape() model.FieldTest {
	return model.FieldTest{
		Text: func(string) bool { return true },
		Absent: func(sh *model.LineShape) bool {
			return len(sh.Errs) == 0 || sh.Errs[0].Parser != 0
		},
	}
}

// fieldTest returns f as a test for the store.
func (f *shapeTest) fieldTest() (model.FieldTest, bool) {
	t := model.FieldTest{Name: f.name, Parser: f.parser}
	text := func(v string) string { return v }
	if f.clean {
		text = cleanText
	}
	switch c := f.test.(type) {
	case *labelMatcher:
		absent := c.matches("")
		t.Text = func(v string) bool { return c.matches(text(v)) }
		t.Absent = func(*model.LineShape) bool { return absent }
	case *numCond:
		t.Text = func(v string) bool {
			x, err := c.convert(text(v))
			return err != nil || compare(c.op, x, c.value) // an error stays, to be seen
		}
		if c.kind != kindDuration && c.kind != kindBytes {
			t.Int = func(v int64) bool { return compare(c.op, float64(v), c.value) }
		}
		t.Absent = func(*model.LineShape) bool { return false }
	default:
		return t, false
	}
	return t, true
}
