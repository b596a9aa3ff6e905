package logql

import (
	"errors"
	"fmt"
)

// Sentinels of this package. Test for them with [errors.Is].
var (
	// ErrParse is matched by every error about the text of a query, also by those that
	// are found only when its pipeline is built.
	ErrParse = errors.New("parse LogQL")
	// ErrQuery is matched by errors of a valid query that cannot be answered for what it
	// met: a pipeline error in a metric query, ambiguous vector matching, too many series.
	ErrQuery = errors.New("run LogQL")
)

// ParseError says what is wrong with the text of a query, and where.
type ParseError struct {
	Line, Col int // 1-based, in characters; Line is 0 if the error has no place
	Msg       string
}

// Error returns the message in the form that Loki's clients look for.
func (e *ParseError) Error() string {
	if e.Line == 0 {
		return "parse error : " + e.Msg
	}
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Msg)
}

// Is makes a ParseError match [ErrParse].
func (e *ParseError) Is(target error) bool { return target == ErrParse }

func parseErrorf(format string, args ...any) error {
	return &ParseError{Msg: fmt.Sprintf(format, args...)}
}

// queryError is an error for which the client, not the server, is to blame.
type queryError struct{ msg string }

func (e *queryError) Error() string        { return e.msg }
func (e *queryError) Is(target error) bool { return target == ErrQuery }

func queryErrorf(format string, args ...any) error {
	return &queryError{msg: fmt.Sprintf(format, args...)}
}
