package traceql

import (
	"errors"
	"fmt"
)

// ErrParse is matched, with [errors.Is], by every error that the text of a query causes:
// syntax, types, unsupported constructs.
var ErrParse = errors.New("invalid TraceQL")

// Error says where a query is wrong and how to repair it.
type Error struct {
	Line, Col int    // of the offending token, from 1; columns count characters
	Msg       string // what is wrong
	Hint      string // what to write instead; may be empty
}

// Error has the form that Tempo's clients know: "parse error at line 1, col 3: ...".
func (e *Error) Error() string {
	s := fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Msg)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap makes an Error match [ErrParse].
func (e *Error) Unwrap() error { return ErrParse }

// pos is a place in the text of a query, from 1. The zero pos is "nowhere".
type pos struct{ line, col int32 }

func (p pos) errorf(format string, args ...any) *Error {
	return &Error{Line: int(p.line), Col: int(p.col), Msg: fmt.Sprintf(format, args...)}
}

func (e *Error) hint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}
