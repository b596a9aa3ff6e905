package logql

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// logfmtScan walks key=value pairs.
type logfmtScan struct {
	src    string
	pos    int
	strict bool // errors are shown to somebody
}

// errLogfmtPair is the error of a scan that is not strict.
var errLogfmtPair = errors.New("bad logfmt pair")

// pair reads the next pair. ok is false at the end of the line. After an error the scan
// stands at the next separator.
func (s *logfmtScan) pair(r *row) (key, value string, ok bool, err error) {
	for s.pos < len(s.src) && s.src[s.pos] <= ' ' {
		s.pos++
	}
	if s.pos == len(s.src) {
		return "", "", false, nil
	}
	start := s.pos
	for s.pos < len(s.src) {
		if c := s.src[s.pos]; c <= ' ' || c == '=' || c == '"' {
			break
		}
		s.pos++
	}
	key = s.src[start:s.pos]
	switch {
	case key == "":
		return "", "", true, s.fail("unexpected %q, want a key", s.src[s.pos])
	case !utf8.ValidString(key):
		return "", "", true, s.fail("invalid UTF-8 in a key")
	case s.pos == len(s.src) || s.src[s.pos] <= ' ':
		return key, "", true, nil
	case s.src[s.pos] == '"':
		return "", "", true, s.fail("unexpected '\"' in a key")
	}
	s.pos++ // the =
	if s.pos < len(s.src) && s.src[s.pos] == '"' {
		value, err = s.quoted(r)
		return key, value, true, err
	}
	start = s.pos
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		if c <= ' ' {
			break
		}
		if c == '=' || c == '"' {
			return "", "", true, s.fail("unexpected %q in a value", c)
		}
		s.pos++
	}
	return key, cleanText(s.src[start:s.pos]), true, nil
}

func (s *logfmtScan) quoted(r *row) (string, error) {
	start, escaped := s.pos+1, false
	for i := start; i < len(s.src); i++ {
		switch s.src[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			s.pos = i + 1
			if !escaped {
				return cleanText(s.src[start:i]), nil
			}
			n := len(r.text)
			var err error
			if r.text, err = unquoteJSON(r.text, s.src[start:i], true); err != nil {
				return "", s.fail("%v in a quoted value", err)
			}
			return cleanText(r.keep(n)), nil
		}
	}
	err := s.fail("quoted value is not closed")
	s.pos = len(s.src)
	return "", err
}

// fail makes an error for the current position and skips to the next separator.
func (s *logfmtScan) fail(format string, args ...any) error {
	err := errLogfmtPair
	if s.strict {
		err = fmt.Errorf("logfmt syntax error at pos %d : "+format, append([]any{s.pos + 1}, args...)...)
	}
	for s.pos < len(s.src) && s.src[s.pos] > ' ' {
		s.pos++
	}
	return err
}

// logfmtStage is | logfmt without expressions.
type logfmtStage struct {
	shaped
	strict, keepEmpty bool
	early             []valueFilter
	buf               []byte
}

func (st *logfmtStage) run(r *row) bool {
	if st.on && r.found != nil {
		return r.fromShape(&st.shaped, errLogfmt, st.early, true)
	}
	s := logfmtScan{src: r.line, strict: st.strict}
	r.early = st.early
	for {
		key, value, ok, err := s.pair(r)
		if !ok {
			break
		}
		if err != nil {
			if st.strict {
				r.failParser(errLogfmt, err.Error())
				break
			}
			continue
		}
		if value == "" && !st.keepEmpty {
			continue
		}
		if name, ok := st.name(r, key); ok && !r.extract(name, value) {
			break
		}
	}
	r.early = nil
	return !r.drop
}

func (st *logfmtStage) name(r *row, key string) (string, bool) {
	st.buf = st.buf[:0]
	if isDigit(key[0]) {
		st.buf = append(st.buf, '_')
	}
	st.buf = appendName(st.buf, key)
	if len(st.buf) == 0 {
		return "", false
	}
	if r.want != nil {
		name := r.want.base(st.buf)
		return name, name != ""
	}
	return r.names.name(st.buf), true
}

// logfmtExprStage is | logfmt name="key", ...
type logfmtExprStage struct {
	shaped
	strict bool
	exprs  []extraction
	values []string
}

func (st *logfmtExprStage) run(r *row) bool {
	if st.on && r.found != nil {
		for _, e := range st.exprs {
			if name := r.target(e.name); r.want == nil || r.want.has(name) {
				value, _ := r.foundIn(&st.shaped, e.name)
				r.set(name, cleanText(value))
			}
		}
		return true
	}
	s := logfmtScan{src: r.line, strict: st.strict}
	clear(st.values)
	for {
		key, value, ok, err := s.pair(r)
		if !ok {
			break
		}
		if err != nil {
			if st.strict {
				r.failParser(errLogfmt, err.Error())
				break
			}
			continue
		}
		for i := range st.exprs {
			if st.exprs[i].source == key {
				st.values[i] = value
			}
		}
	}
	for i := range st.exprs {
		if name := r.target(st.exprs[i].name); r.want == nil || r.want.has(name) {
			r.set(name, st.values[i])
		}
	}
	return true
}

// checkLogfmtKey checks the source of a logfmt expression: one key.
func checkLogfmtKey(s string) error {
	if s == "" || strings.ContainsAny(s, " \t\r\n=\"") {
		return fmt.Errorf("expression %q: want a single logfmt key", s)
	}
	return nil
}
