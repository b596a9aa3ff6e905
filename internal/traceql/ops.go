package traceql

import (
	"cmp"
	"math"
)

// This file is the run-time meaning of the operators on values. Missing data is never an
// error: an operator that does not apply yields false.

// apply evaluates l op r for everything but regular expressions and nil tests.
func apply(op operator, l, r Value) Value {
	if op.boolean() {
		return boolValue(op == opAnd && l.isTrue() && r.isTrue() || op == opOr && (l.isTrue() || r.isTrue()))
	}
	if op.comparison() {
		return boolValue(compareValues(op, l, r))
	}
	return arithmetic(op, l, r)
}

// compareValues evaluates a comparison. Arrays satisfy = and the ordering operators if
// some element does, and != if every element does.
func compareValues(op operator, l, r Value) bool {
	if l.typ == TypeArray && r.typ == TypeArray {
		return false
	}
	if r.typ == TypeArray {
		l, r, op = r, l, op.mirror()
	}
	if l.typ == TypeArray {
		if op == opNotEqual {
			for _, e := range l.Elems() {
				if !compareValues(op, e, r) {
					return false
				}
			}
			return true
		}
		for _, e := range l.Elems() {
			if compareValues(op, e, r) {
				return true
			}
		}
		return false
	}
	switch {
	case l.typ == r.typ && (l.typ == TypeInt || l.typ == TypeDuration):
		return ordered(op, cmp.Compare(l.n, r.n))
	case l.typ.numeric() && r.typ.numeric():
		return compareFloats(op, l.Float(), r.Float())
	case l.typ != r.typ || l.typ == TypeNil:
		return false
	case l.typ == TypeString:
		return ordered(op, cmp.Compare(l.s, r.s))
	}
	return op == opEqual && l.n == r.n || op == opNotEqual && l.n != r.n
}

// ordered turns the result of a three-way comparison into that of op.
func ordered(op operator, c int) bool {
	switch op {
	case opEqual:
		return c == 0
	case opNotEqual:
		return c != 0
	case opLess:
		return c < 0
	case opLessEqual:
		return c <= 0
	case opGreater:
		return c > 0
	case opGreaterEqual:
		return c >= 0
	}
	return false
}

// compareFloats follows IEEE: NaN is unequal to everything.
func compareFloats(op operator, l, r float64) bool {
	switch op {
	case opEqual:
		return l == r
	case opNotEqual:
		return l != r
	case opLess:
		return l < r
	case opLessEqual:
		return l <= r
	case opGreater:
		return l > r
	case opGreaterEqual:
		return l >= r
	}
	return false
}

// arithmetic evaluates l op r. Division of ints by zero and arithmetic on arrays are
// nil, so that the span does not match; other operands that are no numbers are false.
func arithmetic(op operator, l, r Value) Value {
	switch {
	case l.typ == TypeInt && r.typ == TypeInt:
		return intArithmetic(op, l.n, r.n)
	case l.typ == TypeArray || r.typ == TypeArray:
		return Value{}
	case !l.typ.numeric() || !r.typ.numeric():
		return boolValue(false)
	}
	a, b := l.Float(), r.Float()
	switch op {
	case opAdd:
		return floatValue(a + b)
	case opSub:
		return floatValue(a - b)
	case opMul:
		return floatValue(a * b)
	case opDiv:
		return floatValue(a / b)
	case opMod:
		return floatValue(math.Mod(a, b))
	}
	return floatValue(math.Pow(a, b))
}

func intArithmetic(op operator, a, b int64) Value {
	switch op {
	case opAdd:
		return intValue(a + b)
	case opSub:
		return intValue(a - b)
	case opMul:
		return intValue(a * b)
	case opDiv, opMod:
		switch {
		case b == 0:
			return Value{}
		case b == -1 && op == opDiv: // minInt / -1 wraps
			return intValue(-a)
		case b == -1:
			return intValue(0)
		case op == opDiv:
			return intValue(a / b)
		}
		return intValue(a % b)
	}
	f := math.Pow(float64(a), float64(b))
	switch {
	case f >= math.MaxInt64:
		return intValue(math.MaxInt64)
	case f <= math.MinInt64:
		return intValue(math.MinInt64)
	case math.IsNaN(f):
		return Value{}
	}
	return intValue(int64(f))
}

// negate returns -v, or no value if v is not a number.
func negate(v Value) Value {
	switch v.typ {
	case TypeInt, TypeDuration:
		v.n = -v.n
		return v
	case TypeFloat:
		return floatValue(-v.Float())
	}
	return Value{}
}

func finite(v Value) bool {
	f := v.Float()
	return !v.typ.numeric() || !math.IsNaN(f) && !math.IsInf(f, 0)
}
