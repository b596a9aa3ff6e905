// Package nesting bounds how deep a message from outside is nested, before a decoder sees
// it that recurses: on a hostile depth such a decoder runs out of stack, which ends the
// process and cannot be recovered from. OpenTelemetry's own decoder is one.
//
// Both checks look at each byte at most once and allocate only their stack. They need no
// schema: in protobuf every length-delimited field is taken for a message as long as it
// reads like one. Text rarely does, and never for long, since each level must fit into the
// one around it; for the same reason short fields need no look.
package nesting

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Max is the greatest depth that passes. A JSON value nested 300 deep takes 900 levels of
// OTLP's protobuf.
const Max = 1000

// ErrTooDeep is wrapped by the errors of this package.
var ErrTooDeep = errors.New("nested too deep")

func tooDeep(at int) error {
	return fmt.Errorf("%w: more than %d levels at byte %d", ErrTooDeep, Max, at)
}

// Proto checks a protobuf message. What a decoder would call malformed is passed over:
// the decoder stops there, too.
func Proto(b []byte) error {
	ends := make([]int, 1, 64) // of the messages around position i
	ends[0] = len(b)
	for i := 0; len(ends) > 0; {
		end := ends[len(ends)-1]
		if i >= end {
			ends = ends[:len(ends)-1]
			continue
		}
		next, inside, ok := field(b[:end], i)
		switch {
		case !ok:
			i = end
		case !inside:
			i = next
		case len(ends) == Max:
			return tooDeep(i)
		default:
			n, size := binary.Uvarint(b[next:end])
			i = next + size
			if len(ends)+1+int(n)/levelBytes <= Max {
				i += int(n) // it is too short to nest too deep
				continue
			}
			ends = append(ends, i+int(n))
		}
	}
	return nil
}

// levelBytes is the least that a level costs: a tag and a length.
const levelBytes = 2

// field reads the field at i. If it holds bytes (inside), next is the offset of their
// length, which fits into b; else next is the offset of the next field.
func field(b []byte, i int) (next int, inside, ok bool) {
	tag, size := binary.Uvarint(b[i:])
	if size <= 0 {
		return 0, false, false
	}
	i += size
	switch tag & 7 {
	case 0: // varint
		_, size = binary.Uvarint(b[i:])
		return i + size, false, size > 0
	case 1: // 64 bit
		return i + 8, false, i+8 <= len(b)
	case 2: // bytes
		n, size := binary.Uvarint(b[i:])
		fits := size > 0 && n <= uint64(len(b)-i-size)
		return i, true, fits
	case 3, 4: // group marks
		return i, false, true
	case 5: // 32 bit
		return i + 4, false, i+4 <= len(b)
	default:
		return 0, false, false
	}
}

// JSON checks a JSON document.
func JSON(b []byte) error {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			if depth++; depth > Max {
				return tooDeep(i)
			}
		case ']', '}':
			depth--
		}
	}
	return nil
}
