package logstore

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/store"
)

// The skeletons of a block (skeleton.go) are as good as columns for the fields of JSON or
// logfmt lines: where a field lies is the same in all lines of a skeleton, so the query's
// [store.ShapeParser] looks at each skeleton once. A field is then a constant of the
// skeleton, or one column of variables, or both joined, and only the columns in question
// are decoded. No line is printed and nothing is stored twice.

// shapeSet is the shapes that one query has seen. Most skeletons occur in many blocks.
type shapeSet struct {
	parser store.ShapeParser
	tests  []store.FieldTest

	mu    sync.Mutex
	byKey map[string]*shape // guarded by mu
}

// shape is a skeleton seen by the parser.
type shape struct {
	*store.LineShape // nil if the lines have to be looked at
	fields           []shapeValue
	tests            []shapeTest
	never            bool // a test denies all lines
	vars             []int32 // that fields or tests need, ascending
}

// shapeValue is the pieces of a field: text, then for each variable it and more text.
type shapeValue struct {
	fixed string
	vars  []int32 // which variables of the shape
	texts []string
}

// shapeTest is a test on a field that is not the same in all lines.
type shapeTest struct {
	test  *store.FieldTest
	field int
}

// find returns the shape of key, which names literals and kinds of variables.
func (s *shapeSet) find(key []byte, sample func() (string, []store.LineVar)) *shape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh, ok := s.byKey[string(key)]; ok {
		return sh
	}
	line, vars := sample()
	sh := &shape{LineShape: s.parser.ParseShape(line, vars)}
	if sh.LineShape != nil {
		sh.split(line, vars)
		sh.LineShape.ID = len(s.byKey)
		s.bind(sh)
	}
	s.byKey[strings.Clone(text(key))] = sh
	return sh
}

// split cuts the fields into text and variables.
func (sh *shape) split(line string, vars []store.LineVar) {
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
}

// bind decides the tests that are the same for all lines of sh.
func (s *shapeSet) bind(sh *shape) {
	for i := range s.tests {
		t := &s.tests[i]
		k := slices.IndexFunc(sh.Fields, func(f store.ShapeField) bool { return f.Name == t.Name })
		switch {
		case k < 0:
			sh.never = sh.never || !t.Absent(sh.LineShape)
		case len(sh.fields[k].vars) == 0:
			sh.never = sh.never || !t.Text(sh.fields[k].fixed)
		default:
			sh.tests = append(sh.tests, shapeTest{test: t, field: k})
		}
	}
	need := map[int32]bool{}
	for i := range sh.fields {
		for _, v := range sh.fields[i].vars {
			need[v] = true
		}
	}
	for v := range need {
		sh.vars = append(sh.vars, v)
	}
	slices.Sort(sh.vars)
}

// parsed is the shapes of a block.
type parsed struct {
	shapes []*store.LineShape // of each row that is kept, nil where the line has to be looked at
	starts []int32            // of each row in values; one more at the end
	values []string
}

// shapeReader reads the fields of a block.
type shapeReader struct {
	sk     *skeletons
	shapes []*shape   // of each skeleton
	cols   [][]int32  // for each skeleton, the columns of the variables that its shape needs
	reads  []varReader // of each column, where needed
	need   []bool
	buf    []byte
}

// maxFixedSection is the bytes of an encoded column that may hold one value for all rows.
const maxFixedSection = 24

// open finds the shapes of all skeletons of sk.
func (s *shapeSet) open(sk *skeletons, z *codec.Zstd) (*shapeReader, error) {
	r := &shapeReader{sk: sk, need: make([]bool, len(sk.vars)), reads: make([]varReader, len(sk.vars))}
	used := sk.used()
	fixed := make([]string, len(sk.vars)) // contents of columns of one value
	for c, data := range sk.vars {
		if len(data) > maxFixedSection || data[0] > varMixed {
			continue
		}
		v, err := readVars(data, used[c], z, nil)
		if err != nil {
			return nil, err
		}
		if v.same {
			fixed[c] = text(v.append(nil))
		}
	}
	r.shapes = make([]*shape, len(sk.lits))
	r.cols = make([][]int32, len(sk.lits))
	var key []byte
	for id := range sk.lits {
		key = sk.shapeKey(key[:0], id, fixed)
		sh := s.find(key, func() (string, []store.LineVar) { return sk.sample(id, fixed) })
		r.shapes[id] = sh
		if sh.LineShape == nil || sh.never || len(sh.vars) == 0 {
			continue
		}
		// The variables of the shape are those of the skeleton that are not fixed.
		var open []int32
		for _, c := range sk.cols[id] {
			if fixed[c] == "" {
				open = append(open, c)
			}
		}
		r.cols[id] = open
		for _, v := range sh.vars {
			r.need[open[v]] = true
		}
	}
	for c, need := range r.need {
		if need {
			var err error
			if r.reads[c], err = readVars(sk.vars[c], used[c], z, nil); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// used returns the number of rows of each column.
func (s *skeletons) used() []int {
	rows := make([]int, len(s.lits))
	for _, id := range s.rows {
		rows[id]++
	}
	used := make([]int, len(s.vars))
	for id, cols := range s.cols {
		for _, c := range cols {
			used[c] += rows[id]
		}
	}
	return used
}

// shapeKey appends what skeleton id looks like to a parser.
func (s *skeletons) shapeKey(dst []byte, id int, fixed []string) []byte {
	dst = append(dst, s.lits[id][0]...)
	for i, c := range s.cols[id] {
		if fixed[c] != "" {
			dst = append(dst, fixed[c]...)
		} else {
			dst = append(dst, 0, s.vars[c][0], 0)
		}
		dst = append(dst, s.lits[id][i+1]...)
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(len(s.cols[id])))
}

// sample returns a line of skeleton id.
func (s *skeletons) sample(id int, fixed []string) (string, []store.LineVar) {
	line := []byte(s.lits[id][0])
	var vars []store.LineVar
	for i, c := range s.cols[id] {
		if fixed[c] != "" {
			line = append(line, fixed[c]...)
		} else {
			v := store.LineVar{From: len(line)}
			switch s.vars[c][0] {
			case varInt, varPadded, varMixed:
				line = append(line, '1')
			default:
				v.Kind = store.VarToken
				line = append(line, "a1"...)
			}
			v.To = len(line)
			vars = append(vars, v)
		}
		line = append(line, s.lits[id][i+1]...)
	}
	return text(line), vars
}

// rewind starts at the first row again.
func (r *shapeReader) rewind() {
	for c := range r.reads {
		r.reads[c].next, r.reads[c].at = 0, 0
	}
}

// each calls f with every row, its shape and the columns of the shape; behind it the
// columns are moved on.
func (r *shapeReader) each(f func(row int, sh *shape, cols []int32)) {
	r.rewind()
	for i, id := range r.sk.rows {
		cols := r.cols[id]
		f(i, r.shapes[id], cols)
		for _, c := range r.sk.cols[id] {
			if r.need[c] {
				r.reads[c].skip()
			}
		}
	}
}

// filter clears the rows of m whose shape or fields fail a test. It reports whether a row
// that stays has no shape.
func (r *shapeReader) filter(m *mask) (lines bool) {
	m.open()
	r.each(func(row int, sh *shape, cols []int32) {
		k := row - m.from
		if k < 0 || k >= len(m.keep) || !m.keep[k] {
			return
		}
		if sh.LineShape == nil {
			lines = true
			return
		}
		if sh.never {
			m.keep[k] = false
			return
		}
		for i := range sh.tests {
			t := &sh.tests[i]
			v := &sh.fields[t.field]
			ok := false
			if t.test.Int != nil && len(v.vars) == 1 && v.fixed == "" && v.texts[0] == "" && r.reads[cols[v.vars[0]]].kind == varInt {
				c := &r.reads[cols[v.vars[0]]]
				ok = t.test.Int(c.ints[c.next])
			} else {
				r.buf = r.value(r.buf[:0], v, cols)
				ok = t.test.Text(text(r.buf))
			}
			if !ok {
				m.keep[k] = false
				return
			}
		}
	})
	return lines
}

// value appends the value of v in the current row.
func (r *shapeReader) value(dst []byte, v *shapeValue, cols []int32) []byte {
	dst = append(dst, v.fixed...)
	for i, k := range v.vars {
		dst = append(r.reads[cols[k]].peek(dst), v.texts[i]...)
	}
	return dst
}

// parse returns the shapes and values of the rows that m keeps.
func (r *shapeReader) parse(m *mask) *parsed {
	m.open()
	n := 0
	for _, k := range m.keep {
		if k {
			n++
		}
	}
	p := &parsed{shapes: make([]*store.LineShape, 0, n), starts: make([]int32, 1, n+1)}
	var arena []byte
	type piece struct{ value, from int }
	var pieces []piece
	r.each(func(row int, sh *shape, cols []int32) {
		k := row - m.from
		if k < 0 || k >= len(m.keep) || !m.keep[k] {
			return
		}
		p.shapes = append(p.shapes, sh.LineShape)
		for i := range sh.fields {
			v := &sh.fields[i]
			switch {
			case len(v.vars) == 0:
				p.values = append(p.values, v.fixed)
			case v.fixed == "" && len(v.vars) == 1 && v.texts[0] == "" && r.short(&r.reads[cols[v.vars[0]]]) != "":
				p.values = append(p.values, r.short(&r.reads[cols[v.vars[0]]]))
			default:
				pieces = append(pieces, piece{len(p.values), len(arena)})
				p.values = append(p.values, "")
				arena = r.value(arena, v, cols)
			}
		}
		p.starts = append(p.starts, int32(len(p.values)))
	})
	for i, x := range pieces {
		to := len(arena)
		if i+1 < len(pieces) {
			to = pieces[i+1].from
		}
		p.values[x.value] = text(arena[x.from:to])
	}
	return p
}

// short returns the current value of v if that needs no memory, else "".
func (r *shapeReader) short(v *varReader) string {
	if v.kind == varInt && v.ints[v.next] < 100 {
		return strconv.Itoa(int(v.ints[v.next])) // a constant of the library
	}
	return ""
}
