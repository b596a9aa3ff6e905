package storetest

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// refShape is what the reference knows of the shape of a line: where its variables stand
// in it, and in the line of other contents that the parser is shown.
type refShape struct {
	*model.LineShape
	line   string
	own    []model.LineVar
	sample []model.LineVar
}

// shapeOf shows a line of the shape of line to p. Every run of digits is a variable, or,
// in every other line, every token with a digit; some lines have no shape.
func shapeOf(line string, p store.ShapeParser) *refShape {
	if p == nil || len(line)%5 == 4 {
		return nil
	}
	s := &refShape{line: line}
	var shown []byte
	for i := 0; i < len(line); {
		from := i
		only := len(line)%2 != 0
		digits := false
		for i < len(line) && (isDigit(line[i]) || !only && isTokenByte(line[i])) {
			digits = digits || isDigit(line[i])
			i++
		}
		switch {
		case i == from:
			shown = append(shown, line[i])
			i++
		case !digits:
			shown = append(shown, line[from:i]...)
		default:
			other := "0b"
			if only {
				other = "4711"
			}
			s.own = append(s.own, model.LineVar{From: from, To: i, Digits: only})
			s.sample = append(s.sample, model.LineVar{From: len(shown), To: len(shown) + len(other), Digits: only})
			shown = append(shown, other...)
		}
	}
	s.LineShape = p.ParseShape(string(shown), s.sample)
	if s.LineShape == nil {
		return nil
	}
	return s
}

// found returns the fields of the line, every third time as fields that no other line has.
func (s *refShape) found(n *model.FieldNumber, id int) (*model.LineFields, float64) {
	f := &model.LineFields{Shape: s.LineShape, ID: id}
	for _, sf := range s.Fields {
		f.Values = append(f.Values, s.value(sf))
	}
	number := 0.0
	if id%3 == 0 {
		f.ID = -1
	}
	if n == nil || f.ID < 0 {
		return f, number
	}
	if i := slices.IndexFunc(s.Fields, func(sf model.ShapeField) bool { return sf.Name == n.Name }); i >= 0 {
		ok := false
		if number, ok = n.Text(f.Values[i]); !ok {
			f.ID = -1
		} else if _, ok = n.Text("4711"); ok {
			f.Values[i] = "4711" // of some other line
		}
	}
	return f, number
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isTokenByte(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

// value returns the value of a field.
func (s *refShape) value(f model.ShapeField) string {
	return s.line[s.place(f.From):s.place(f.To)]
}

// place returns where a place of the line shown to the parser is in the own one.
func (s *refShape) place(at int) int {
	for i := len(s.sample) - 1; i >= 0; i-- {
		if s.sample[i].To <= at {
			return s.own[i].To + at - s.sample[i].To
		}
	}
	return at
}

// passes reports whether the tests hold.
func (s *refShape) passes(tests []model.FieldTest) bool {
	return !s.Deny && !slices.ContainsFunc(tests, func(t model.FieldTest) bool {
		i := t.Field(s.LineShape)
		if i < 0 {
			return !t.Absent(s.LineShape)
		}
		return !t.Text(s.value(s.Fields[i]))
	})
}
