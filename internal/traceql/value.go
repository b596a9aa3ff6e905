package traceql

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Type is the type of a [Value].
type Type uint8

// The types of TraceQL. TypeNil is the absence of a value.
const (
	TypeNil Type = iota
	TypeString
	TypeInt
	TypeFloat
	TypeBool
	TypeDuration
	TypeStatus
	TypeKind
	TypeArray // of strings, ints, floats or bools
)

// String returns the name of t in error messages.
func (t Type) String() string {
	return [...]string{"nil", "string", "int", "float", "bool", "duration", "status", "kind", "array"}[t]
}

func (t Type) numeric() bool { return t == TypeInt || t == TypeFloat || t == TypeDuration }

// Value is a typed value: a literal, or what an expression yields for a span. Values of
// all types but TypeArray are comparable with ==. A Value is immutable.
type Value struct {
	typ   Type
	n     int64 // int, duration, bool, status, kind; the bits of a float
	s     string
	elems *[]Value
}

func stringValue(s string) Value  { return Value{typ: TypeString, s: s} }
func intValue(n int64) Value      { return Value{typ: TypeInt, n: n} }
func floatValue(f float64) Value  { return Value{typ: TypeFloat, n: int64(math.Float64bits(f))} }
func durationValue(n int64) Value { return Value{typ: TypeDuration, n: n} }
func statusValue(n uint8) Value   { return Value{typ: TypeStatus, n: int64(n)} }
func kindValue(n uint8) Value     { return Value{typ: TypeKind, n: int64(n)} }

func boolValue(b bool) Value {
	if b {
		return Value{typ: TypeBool, n: 1}
	}
	return Value{typ: TypeBool}
}

// Type returns the type of v.
func (v Value) Type() Type { return v.typ }

// Int returns the value of a TypeInt, TypeDuration (nanoseconds), TypeStatus (0 unset, 1
// ok, 2 error) or TypeKind (0 unspecified to 5 consumer).
func (v Value) Int() int64 { return v.n }

func (v Value) isTrue() bool { return v.typ == TypeBool && v.n != 0 }

// Bool returns the value of a TypeBool.
func (v Value) Bool() bool { return v.n != 0 }

// Float returns a number as a float64, durations in nanoseconds; NaN for other types.
func (v Value) Float() float64 {
	switch v.typ {
	case TypeFloat:
		return math.Float64frombits(uint64(v.n))
	case TypeInt, TypeDuration:
		return float64(v.n)
	}
	return math.NaN()
}

// Elems returns the elements of a TypeArray.
func (v Value) Elems() []Value {
	if v.elems == nil {
		return nil
	}
	return *v.elems
}

// String returns v as results show it: strings as they are, durations as Go durations,
// status and kind as keywords, nil as "nil".
func (v Value) String() string {
	switch v.typ {
	case TypeString:
		return v.s
	case TypeInt:
		return strconv.FormatInt(v.n, 10)
	case TypeFloat:
		return formatFloat(v.Float())
	case TypeBool:
		return strconv.FormatBool(v.n != 0)
	case TypeDuration:
		return time.Duration(v.n).String()
	case TypeStatus:
		return keyword(statusWords[:], v.n)
	case TypeKind:
		return keyword(kindWords[:], v.n)
	case TypeArray:
		var b strings.Builder
		b.WriteByte('[')
		for i, e := range v.Elems() {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(e.String())
		}
		b.WriteByte(']')
		return b.String()
	}
	return "nil"
}

//nolint:gochecknoglobals // read-only tables
var (
	statusWords = [...]string{"unset", "ok", "error"}
	kindWords   = [...]string{"unspecified", "internal", "server", "client", "producer", "consumer"}
)

func keyword(words []string, n int64) string {
	if n >= 0 && n < int64(len(words)) {
		return words[n]
	}
	return strconv.FormatInt(n, 10)
}

// formatFloat keeps a decimal point or an exponent, so that the text reads as a float.
func formatFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(s, ".eIN") {
		return s
	}
	return s + ".0"
}

// writeLiteral writes v as it is written in a query.
func (v Value) writeLiteral(b *strings.Builder) {
	switch {
	case v.typ == TypeString:
		b.WriteString(strconv.Quote(v.s))
	case v.typ == TypeInt && v.n == math.MinInt64:
		b.WriteString("minInt")
	default:
		b.WriteString(v.String())
	}
}

// clone returns v with memory of its own.
func (v Value) clone() Value {
	v.s = strings.Clone(v.s)
	if v.elems != nil {
		elems := make([]Value, len(*v.elems))
		for i, e := range *v.elems {
			elems[i] = e.clone()
		}
		v.elems = &elems
	}
	return v
}

// key returns a comparable Value that stands for v: an array by its text.
func (v Value) key() Value {
	if v.typ == TypeArray {
		return Value{typ: TypeArray, s: v.String()}
	}
	return v
}

// parseArray reads the JSON text of an array attribute. Numbers are ints unless one of
// them has a fraction or an exponent. An empty, mixed or nested array is nil: TraceQL
// cannot address it.
func parseArray(text string) Value {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var raw []any
	if dec.Decode(&raw) != nil || len(raw) == 0 {
		return Value{}
	}
	elems := make([]Value, len(raw))
	floats := false
	for i, x := range raw {
		switch x := x.(type) {
		case string:
			elems[i] = stringValue(x)
		case bool:
			elems[i] = boolValue(x)
		case json.Number:
			n, err := x.Int64()
			elems[i] = intValue(n)
			if err != nil {
				f, _ := x.Float64()
				elems[i] = floatValue(f)
				floats = true
			}
		}
	}
	for i, e := range elems {
		if floats && e.typ == TypeInt {
			elems[i] = floatValue(float64(e.n))
		}
		if elems[i].typ == TypeNil || elems[i].typ != elems[0].typ {
			return Value{}
		}
	}
	return Value{typ: TypeArray, elems: &elems}
}
