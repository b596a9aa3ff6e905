package logql

import (
	"errors"
	"fmt"
	"strings"
)

// patternPart is a literal, or a capture: <name>, or <_> without a name.
type patternPart struct {
	literal string
	capture bool
	name    string // "" for <_>
}

// parsePattern cuts a pattern into parts. A "<" that does not start a capture is literal.
func parsePattern(s string) ([]patternPart, error) {
	var parts []patternPart
	literal := ""
	for len(s) > 0 {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			literal += s
			break
		}
		n := captureLen(s[i:])
		if n == 0 {
			literal += s[:i+1]
			s = s[i+1:]
			continue
		}
		if literal += s[:i]; literal != "" {
			parts = append(parts, patternPart{literal: literal})
			literal = ""
		} else if len(parts) > 0 && parts[len(parts)-1].capture {
			return nil, fmt.Errorf("capture %s follows another one directly; put text between them", s[i:i+n])
		}
		name := s[i+1 : i+n-1]
		if name == "_" {
			name = ""
		}
		parts = append(parts, patternPart{capture: true, name: name})
		s = s[i+n:]
	}
	if literal != "" {
		parts = append(parts, patternPart{literal: literal})
	}
	return parts, nil
}

// captureLen returns the length of the capture at the start of s, 0 if there is none.
func captureLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '>' && i > 1:
			return i + 1
		case c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case isDigit(c) && i > 1:
		default:
			return 0
		}
	}
	return 0
}

// checkCaptures checks the pattern of a pattern stage.
func checkCaptures(parts []patternPart) error {
	seen := map[string]bool{}
	for _, p := range parts {
		if !p.capture || p.name == "" {
			continue
		}
		if seen[p.name] {
			return fmt.Errorf("capture <%s> occurs twice", p.name)
		}
		seen[p.name] = true
	}
	if len(seen) == 0 {
		return errors.New("at least one capture such as <status> is required")
	}
	return nil
}

// checkWildcards checks the pattern of a line filter.
func checkWildcards(parts []patternPart) error {
	for _, p := range parts {
		if p.name != "" {
			return fmt.Errorf("capture <%s> is not allowed in a line filter; write <_>", p.name)
		}
	}
	return nil
}

// matchPattern reports whether parts, literals and <_>, match the whole of line. A
// wildcard takes at least one byte; literals are found leftmost, without backtracking.
func matchPattern(parts []patternPart, line string) bool {
	if len(parts) == 0 || line == "" {
		return len(parts) == 0 && line == ""
	}
	off := 0
	for i := range parts {
		if parts[i].capture {
			continue
		}
		at := strings.Index(line[off:], parts[i].literal)
		if at < 0 || at == 0 && i > 0 {
			return false
		}
		off += at + len(parts[i].literal)
	}
	if parts[len(parts)-1].capture {
		return off < len(line)
	}
	return off == len(line)
}

// capture calls set with every named capture of parts in line, until it returns false.
func capture(parts []patternPart, line string, set func(name, value string) bool) {
	if line == "" {
		return
	}
	if !parts[0].capture {
		rest, ok := strings.CutPrefix(line, parts[0].literal)
		if !ok {
			return
		}
		line, parts = rest, parts[1:]
	}
	for i := 0; i < len(parts); i += 2 {
		value, found := line, false
		if i+1 < len(parts) {
			if at := strings.Index(line, parts[i+1].literal); at >= 0 {
				value, found = line[:at], true
				line = line[at+len(parts[i+1].literal):]
			}
		}
		if parts[i].name != "" && !set(parts[i].name, value) || !found {
			return
		}
	}
}
