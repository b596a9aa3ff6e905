package model

// Many lines of a log are printed from one format: they have a shape in common and differ
// in variables. A log store that knows the shapes of its lines and a language that finds
// fields in lines speak about them in these words.

// LineVar is a stretch of a line in which it differs from other lines of its shape. It
// holds ASCII letters, digits, "_" and bytes from 0x80 on, at least one; with Digits set
// only digits.
type LineVar struct {
	From, To int
	Digits   bool
}

// LineShape is what all lines of one shape give.
type LineShape struct {
	Fields []ShapeField // in the order found
	Err    string       // why the language cannot read such lines, "" if it can
	ID     int          // set by the store: small and different for the shapes of one Select
	Fixed  bool         // set by the store: no field holds a variable
	Values []string     // set by the store: the values of the fields, if they are fixed
}

// ShapeField is a field: line[From:To] of the line given to the parser.
type ShapeField struct {
	Name     string
	From, To int
}

// FieldTest is a condition on the first field called Name of a row with a shape. Its
// functions are safe for concurrent use.
type FieldTest struct {
	Name   string
	Text   func(value string) bool
	Int    func(value int64) bool      // nil, or the same for decimal numbers of at most 18 digits without leading zeros
	Absent func(shape *LineShape) bool // for rows without the field
}
