package model

import "slices"

// Many lines of a log are printed from one format: they have a shape in common and differ
// in variables. A log store that knows the shapes of its lines and a language that finds
// fields in lines speak about them in these words.

// LineVar is a stretch of a line in which it differs from other lines of its shape. It
// holds ASCII letters, digits, "_" and bytes from 0x80 on, at least one; with Digits set
// only digits, with Hex set only digits and the letters a to f.
type LineVar struct {
	From, To    int
	Digits, Hex bool
}

// Holds reports whether v may hold the byte c.
func (v *LineVar) Holds(c byte) bool {
	switch {
	case '0' <= c && c <= '9':
		return true
	case v.Digits:
		return false
	case v.Hex:
		return 'a' <= c && c <= 'f'
	}
	return c >= 0x80 || c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// LineShape is what all lines of one shape give.
type LineShape struct {
	Fields []ShapeField // in the order found
	Errs   []ShapeError // in the order of parsers, of each at most one
	Deny   bool         // no line of the shape is wanted
}

// ShapeField is a field: line[From:To] of the line given to the parser.
type ShapeField struct {
	Name     string
	From, To int
	Parser   int // which of the parsers that the language runs over a line found it
}

// ShapeError is why one of the parsers cannot read such lines.
type ShapeError struct {
	Parser int
	Text   string
}

// LineFields is what the language finds in a line of a known shape. Lines that are alike
// share one.
type LineFields struct {
	Shape  *LineShape
	Values []string // of the fields of Shape
	ID     int      // small, and different for those of one Select; -1 if no other line has this one
}

// FieldNumber names a field of which nothing but a number counts. Its function is safe for
// concurrent use.
type FieldNumber struct {
	Name string
	Text func(value string) (v float64, ok bool)
	Int  bool // decimal numbers of at most 18 digits without leading zeros stand for themselves
	List bool // each number counts, not just what they come to
}

// FieldTest is a condition on the first field called Name of a row with a shape, among those
// of Parser and of parsers before it. Its functions are safe for concurrent use.
type FieldTest struct {
	Name   string
	Parser int
	Text   func(value string) bool
	Int    func(value int64) bool      // nil, or the same for decimal numbers of at most 18 digits without leading zeros
	Absent func(shape *LineShape) bool // for rows without the field
}

// LineMeta is metadata that lines share.
type LineMeta struct {
	Labels Labels
	ID     int // small, and different for those of one Select
}

// LineTally stands for N lines that are alike and lie in one piece of time.
type LineTally struct {
	Fields        *LineFields // of each, with an ID; nil if fields are not asked for
	Meta          *LineMeta   // of each; nil if there is none, or Fields
	Piece         int
	N             int64
	Size          int64     // bytes of the lines, if these are asked for
	Sum, Min, Max float64   // of the numbers of the lines, if a field is one, or instead
	Numbers       []float64 // each of them, if these are asked for
}

// Field returns which field of s t is about, -1 if there is none.
func (t *FieldTest) Field(s *LineShape) int {
	return slices.IndexFunc(s.Fields, func(f ShapeField) bool { return f.Name == t.Name && f.Parser <= t.Parser })
}
