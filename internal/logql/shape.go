package logql

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/pharos-o11y/pharos/internal/model"
)

// A store may keep lines as shapes: what many lines have in common, and variables. Then
// the first json or logfmt stage of a pipeline looks at a shape once and gets the fields
// of all its lines (see [store.ShapeParser]). What follows here mirrors jsonStage and
// logfmtStage on a line of which some stretches are unknown, and gives up wherever they
// could make a difference.

// errNotObject is what a json stage says of a line that does not begin with a brace.
const errNotObject = "line is not a JSON object"

// shapeParser implements [store.ShapeParser] for a stage.
type shapeParser struct {
	stage stage   // *jsonStage or *logfmtStage; only its options are read
	want  *wanted // nil if every field is wanted
}

// ParseShape implements [store.ShapeParser].
func (p *shapeParser) ParseShape(line string, vars []model.LineVar) *model.LineShape {
	x := &shapeScan{line: line, vars: vars, want: p.want, out: &model.LineShape{}}
	ok := false
	switch st := p.stage.(type) {
	case *jsonStage:
		ok = x.json()
	case *logfmtStage:
		ok = x.logfmt(st)
	}
	if !ok {
		return nil
	}
	return x.out
}

// shapeScan is one run of a parser over a shape.
type shapeScan struct {
	line string
	vars []model.LineVar
	want *wanted
	out  *model.LineShape
	row  row // lends its buffers
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

// offset returns where part, a piece of the line, begins.
func (x *shapeScan) offset(part string) int {
	return int(uintptr(unsafe.Pointer(unsafe.StringData(part))) - uintptr(unsafe.Pointer(unsafe.StringData(x.line))))
}

// add adds the field called name, if it is wanted.
func (x *shapeScan) add(name []byte, from, to int) {
	if x.want != nil {
		base := x.want.base(name)
		if base == "" {
			return
		}
		x.out.Fields = append(x.out.Fields, model.ShapeField{Name: base, From: from, To: to})
		return
	}
	x.out.Fields = append(x.out.Fields, model.ShapeField{Name: string(name), From: from, To: to})
}

func (x *shapeScan) wants(name []byte) bool { return x.want == nil || x.want.base(name) != "" }

// json mirrors jsonStage.run.
func (x *shapeScan) json() bool {
	s := jsonScan{src: x.line}
	if s.peek() != '{' {
		x.out.Err = errNotObject
		return true
	}
	return x.object(&s, nil, 1)
}

// object mirrors jsonStage.object. path is the name of the object.
func (x *shapeScan) object(s *jsonScan, path []byte, depth int) bool {
	if depth > maxJSONDepth {
		return false
	}
	s.pos++
	for {
		key, escaped, end, err := s.member()
		if err != nil || end {
			return err == nil
		}
		at := x.offset(key)
		if n, _ := x.touching(at, at+len(key)); n > 0 || escaped {
			return false
		}
		if !x.field(s, path, key, depth) || s.next() != nil {
			return false
		}
	}
}

// field mirrors jsonStage.field.
func (x *shapeScan) field(s *jsonScan, path []byte, key string, depth int) bool {
	n := len(path)
	path = slices.Clip(path)
	if n > 0 {
		path = append(path, '_')
	}
	path = appendName(path, key)
	if n > 0 && len(path) == n+1 {
		path = path[:n] // blank segment
	}
	switch s.peek() {
	case '{':
		return x.object(s, path, depth+1)
	case '[':
		_, err := s.skip()
		return err == nil
	}
	raw, kind, escaped, err := s.value()
	if err != nil {
		return false
	}
	from := x.offset(raw)
	if _, digits := x.touching(from, from+len(raw)); kind == 'l' && !digits {
		return false
	}
	if raw == "null" && kind == 'l' || len(path) == 0 {
		return true
	}
	if isDigit(path[0]) {
		path = append([]byte{'_'}, path...)
	}
	if escaped && x.wants(path) {
		return false
	}
	if raw == "" {
		from = 0
	}
	x.add(path, from, from+len(raw))
	return true
}

// logfmt mirrors logfmtStage.run.
func (x *shapeScan) logfmt(st *logfmtStage) bool {
	s := logfmtScan{src: x.line}
	var name []byte
	for {
		begin := s.pos
		key, value, ok, err := s.pair(&x.row)
		if !ok {
			return true
		}
		n, digits := x.touching(begin, s.pos)
		if err != nil {
			if st.strict || !digits || n > 0 && strings.IndexByte(x.line[begin:s.pos], '\\') >= 0 {
				return false
			}
			continue
		}
		at := x.offset(key)
		from, to := at+len(key), s.pos // of the value
		quoted := false
		if from < to && x.line[from] == '=' {
			if from++; from < to && x.line[from] == '"' {
				quoted = true
				from, to = from+1, to-1
			}
		}
		inKey, digits := x.touching(at, at+len(key))
		switch {
		case !digits:
			return false
		case value == "" && !st.keepEmpty:
			continue
		case inKey > 0:
			return false
		}
		name = name[:0]
		if isDigit(key[0]) {
			name = append(name, '_')
		}
		name = appendName(name, key)
		if len(name) == 0 || !x.wants(name) {
			continue
		}
		if quoted && strings.IndexByte(x.line[from:to], '\\') >= 0 {
			return false
		}
		x.add(name, from, to)
	}
}

// fromShape does what a parser stage does to r, from the shape of its line.
func (r *row) fromShape(errKind string, early []valueFilter) bool {
	r.early = early
	goOn := true
	for i := 0; i < len(r.found.Values) && goOn; i++ {
		goOn = r.extract(r.found.Shape.Fields[i].Name, cleanText(r.found.Values[i]))
	}
	if err := r.found.Shape.Err; goOn && err != "" {
		r.failParser(errKind, err)
	}
	r.early = nil
	return !r.drop
}

// validShape is the test whether the parser can read the lines of a shape. It is about no
// field: none has an empty name.
func validShape() model.FieldTest {
	return model.FieldTest{
		Text:   func(string) bool { return true },
		Absent: func(sh *model.LineShape) bool { return sh.Err == "" || len(sh.Fields) > 0 },
	}
}

// fieldTest returns f as a test for the store.
func (f *valueFilter) fieldTest() (model.FieldTest, bool) {
	t := model.FieldTest{Name: f.name}
	switch c := f.test.(type) {
	case *labelMatcher:
		absent := c.matches("")
		t.Text = func(v string) bool { return c.matches(cleanText(v)) }
		t.Absent = func(*model.LineShape) bool { return absent }
	case *numCond:
		t.Text = func(v string) bool {
			x, err := c.convert(cleanText(v))
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
