package model

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// TraceID identifies a trace (W3C Trace Context: 16 bytes, not all zero).
type TraceID [16]byte

// SpanID identifies a span within its trace (8 bytes, not all zero).
type SpanID [8]byte

// ErrID is wrapped by every error of [ParseTraceID] and [ParseSpanID].
var ErrID = errors.New("invalid id")

// ParseTraceID reads 1 to 32 hex digits, either case. Missing leading zeros are filled
// in: Zipkin, Jaeger and Tempo all print short ids.
func ParseTraceID(s string) (id TraceID, err error) {
	err = parseHex(id[:], s, "trace")
	return id, err
}

// ParseSpanID reads 1 to 16 hex digits, either case, filling in leading zeros.
func ParseSpanID(s string) (id SpanID, err error) {
	err = parseHex(id[:], s, "span")
	return id, err
}

func parseHex(dst []byte, s, kind string) error {
	if s == "" || len(s) > 2*len(dst) {
		return fmt.Errorf("%w: %s id %q: want 1 to %d hex digits", ErrID, kind, s, 2*len(dst))
	}
	padded := strings.Repeat("0", 2*len(dst)-len(s)) + s
	if _, err := hex.Decode(dst, []byte(padded)); err != nil {
		return fmt.Errorf("%w: %s id %q: want hex digits only", ErrID, kind, s)
	}
	return nil
}

// String returns all 32 hex digits, lower case.
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is the invalid all-zero id.
func (id TraceID) IsZero() bool { return id == TraceID{} }

// Compare orders trace ids by their bytes.
func (id TraceID) Compare(other TraceID) int { return bytes.Compare(id[:], other[:]) }

// String returns all 16 hex digits, lower case.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is the all-zero id: as a parent, "no parent".
func (id SpanID) IsZero() bool { return id == SpanID{} }
