package traceql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF      tokenKind = iota
	tokWord               // keyword or identifier
	tokScope              // "span:" and its like, text without the colon
	tokAttr               // whole attribute: scope and name
	tokString             // text is the value
	tokInt                // n
	tokFloat              // f
	tokDuration           // n
	tokOp                 // operators and punctuation
	tokError              // text is the message
)

// token is one token. An error is a token too, so that a syntax error before it wins.
type token struct {
	kind   tokenKind
	text   string
	at     pos
	scope  scope // of tokAttr
	parent bool  // of tokAttr: parent.x
	n      int64
	f      float64
	hint   string // of tokError
}

// lexer turns text into tokens. It has no modes to switch: a prefix such as "span." and
// the attribute name after it are read in one go.
type lexer struct {
	src  string
	off  int
	line int32
	col  int32
	out  []token
}

// lex returns the tokens of src, ended by tokEOF or tokError.
func lex(src string) []token {
	l := &lexer{src: src, line: 1, col: 1, out: make([]token, 0, len(src)/4+2)}
	for l.next() {
	}
	return l.out
}

func (l *lexer) pos() pos { return pos{l.line, l.col} }

// advance moves over n bytes, keeping line and column.
func (l *lexer) advance(n int) {
	for _, r := range l.src[l.off : l.off+n] {
		if r == '\n' {
			l.line++
			l.col = 1
		} else {
			l.col++
		}
	}
	l.off += n
}

func (l *lexer) rest() string { return l.src[l.off:] }

func (l *lexer) emit(t token) bool {
	l.out = append(l.out, t)
	return t.kind != tokEOF && t.kind != tokError
}

func (l *lexer) fail(at pos, hint, format string, args ...any) bool {
	return l.emit(token{kind: tokError, text: fmt.Sprintf(format, args...), at: at, hint: hint})
}

// next reads one token and reports whether there may be more.
func (l *lexer) next() bool {
	if !l.skipSpace() {
		return false
	}
	at := l.pos()
	rest := l.rest()
	if rest == "" {
		return l.emit(token{kind: tokEOF, at: at})
	}
	c := rest[0]
	switch {
	case c == '"':
		return l.quoted(at)
	case c == '`':
		return l.raw(at)
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.number(at)
	case c == '.':
		l.advance(1)
		return l.attribute(at, scopeNone, false)
	}
	if n := wordLen(rest); n > 0 {
		return l.word(at, n)
	}
	if op := operatorAt(rest); op != "" {
		l.advance(len(op))
		return l.emit(token{kind: tokOp, text: op, at: at})
	}
	r, _ := utf8.DecodeRuneInString(rest)
	hint := ""
	switch r {
	case '\'', '‘', '’', '“', '”':
		hint = `strings are written "..." or in back quotes`
	case '&':
		hint = "and is written &&"
	case '[', ']':
		hint = "TraceQL has no lists; join comparisons with ||"
	}
	return l.fail(at, hint, "unexpected character %q", r)
}

// skipSpace skips white space and comments; it is false after emitting an error.
func (l *lexer) skipSpace() bool {
	for {
		rest := l.rest()
		switch {
		case rest == "":
			return true
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r':
			l.advance(1)
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.advance(n)
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.fail(l.pos(), "close it with */", "comment not terminated")
			}
			l.advance(n + 4)
		default:
			return true
		}
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// wordLen returns the length of the identifier that s starts with, 0 if none.
func wordLen(s string) int {
	for i, r := range s {
		if r == '_' || unicode.IsLetter(r) || (i > 0 && unicode.IsDigit(r)) {
			continue
		}
		return i
	}
	return len(s)
}

// operatorAt returns the longest operator that s starts with.
func operatorAt(s string) string {
	for _, op := range [...]string{
		"!>>", "!<<", "&>>", "&<<",
		"!>", "!<", "!~", "!=", "&>", "&<", "&~", "&&", "||", ">>", "<<", ">=", "<=", "=~",
		"{", "}", "(", ")", ",", "=", "<", ">", "+", "-", "*", "/", "%", "^", "!", "|", "~",
	} {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	return ""
}

// word reads an identifier of n bytes, and what it is the prefix of.
func (l *lexer) word(at pos, n int) bool {
	w := l.rest()[:n]
	var after byte
	if len(l.rest()) > n {
		after = l.rest()[n]
	}
	switch {
	case after == '.' && w == "parent":
		l.advance(n + 1)
		for _, s := range [...]scope{scopeSpan, scopeResource} {
			if p := s.String() + "."; strings.HasPrefix(l.rest(), p) {
				l.advance(len(p))
				return l.attribute(at, s, true)
			}
		}
		return l.attribute(at, scopeNone, true)
	case after == '.':
		if s, ok := attrScope(w); ok {
			l.advance(n + 1)
			return l.attribute(at, s, false)
		}
	case after == ':' && intrinsicScope(w):
		l.advance(n + 1)
		return l.emit(token{kind: tokScope, text: w, at: at})
	}
	l.advance(n)
	return l.emit(token{kind: tokWord, text: w, at: at})
}

// attribute reads the name after a prefix: bare and quoted parts without a break.
func (l *lexer) attribute(at pos, s scope, parent bool) bool {
	var name strings.Builder
	start := l.off
	for {
		rest := l.rest()
		if rest == "" {
			break
		}
		if rest[0] == '"' {
			if !l.quotedPart(&name) {
				return false
			}
			continue
		}
		n := strings.IndexFunc(rest, attrStop)
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			break
		}
		name.WriteString(rest[:n])
		l.advance(n)
	}
	if l.off == start {
		return l.fail(l.pos(), "the name of an attribute follows its dot directly", "syntax error: unexpected %s, expecting attribute name", l.describeNext())
	}
	return l.emit(token{kind: tokAttr, text: name.String(), at: at, scope: s, parent: parent})
}

func (l *lexer) describeNext() string {
	r, n := utf8.DecodeRuneInString(l.rest())
	if n == 0 {
		return "$end"
	}
	if unicode.IsSpace(r) {
		return "white space"
	}
	return string(r)
}

// attrStop reports whether r ends a bare part of an attribute name.
func attrStop(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`{}()=~!<>&|^,"`, r)
}

// quotedPart reads "..." inside an attribute name; only \" and \\ are escapes there.
func (l *lexer) quotedPart(name *strings.Builder) bool {
	at := l.pos()
	rest := l.rest()
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			l.advance(i + 1)
			return true
		case '\\':
			if i+1 >= len(rest) || (rest[i+1] != '"' && rest[i+1] != '\\') {
				return l.fail(at, `in attribute names only \" and \\ are escapes`, "invalid escape sequence")
			}
			i++
		}
		name.WriteByte(rest[i])
	}
	return l.fail(at, `close it with "`, "attribute name not terminated")
}

// quoted reads a string literal "...".
func (l *lexer) quoted(at pos) bool {
	rest := l.rest()
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '\n':
			return l.fail(at, "strings over several lines are written in back quotes", "string not terminated")
		case '"':
			s, err := strconv.Unquote(rest[:i+1])
			if err != nil {
				return l.fail(at, `a regular expression is best written in back quotes, or with \\ for \`, "invalid escape sequence in %s", rest[:i+1])
			}
			l.advance(i + 1)
			return l.emit(token{kind: tokString, text: s, at: at})
		}
	}
	return l.fail(at, `close it with "`, "string not terminated")
}

// raw reads a string literal in back quotes.
func (l *lexer) raw(at pos) bool {
	rest := l.rest()
	n := strings.IndexByte(rest[1:], '`')
	if n < 0 {
		return l.fail(at, "close it with a back quote", "string not terminated")
	}
	l.advance(n + 2)
	return l.emit(token{kind: tokString, text: strings.ReplaceAll(rest[1:n+1], "\r", ""), at: at})
}

// number reads an integer, a float or a duration.
func (l *lexer) number(at pos) bool {
	rest := l.rest()
	n, isFloat := numberLen(rest)
	m := n
	for m < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[m:])
		if !strings.ContainsRune("nsumhµdwy.0123456789", r) {
			break
		}
		m += size
	}
	if m > n {
		if d, ok := parseDuration(rest[:m]); ok {
			l.advance(m)
			return l.emit(token{kind: tokDuration, text: rest[:m], at: at, n: d})
		}
	}
	text := rest[:n]
	if isFloat {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return l.fail(at, "", "number %s is out of range", text)
		}
		l.advance(n)
		return l.emit(token{kind: tokFloat, text: text, at: at, f: f})
	}
	if len(text) > 1 && text[0] == '0' && strings.ContainsAny(text, "89") {
		return l.fail(at, "drop the leading zero", "invalid number %s", text)
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return l.fail(at, "integers have 64 bits, write a float such as 1e19", "number %s is out of range", text)
	}
	l.advance(n)
	return l.emit(token{kind: tokInt, text: text, at: at, n: i})
}

// numberLen returns the length of the decimal number that s starts with, and whether it
// is a float.
func numberLen(s string) (n int, isFloat bool) {
	digits := func() {
		for n < len(s) && isDigit(s[n]) {
			n++
		}
	}
	digits()
	if n < len(s) && s[n] == '.' {
		isFloat = true
		n++
		digits()
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		m := n + 1
		if m < len(s) && (s[m] == '+' || s[m] == '-') {
			m++
		}
		if m < len(s) && isDigit(s[m]) {
			isFloat = true
			n = m
			digits()
		}
	}
	return n, isFloat
}

// parseDuration reads a duration of Prometheus (1d12h) or Go (1.5h) style.
func parseDuration(s string) (int64, bool) {
	if d, ok := promDuration(s); ok {
		return d, true
	}
	d, err := time.ParseDuration(s)
	return int64(d), err == nil
}

func promDuration(s string) (total int64, ok bool) {
	units := [...]struct {
		name string
		ns   int64
	}{
		{"y", int64(365 * 24 * time.Hour)},
		{"w", int64(7 * 24 * time.Hour)},
		{"d", int64(24 * time.Hour)},
		{"h", int64(time.Hour)},
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)},
	}
	next := 0
	for s != "" {
		n := 0
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		v, err := strconv.ParseInt(s[:n], 10, 64)
		if err != nil {
			return 0, false
		}
		s = s[n:]
		u := 0
		for u < len(s) && !isDigit(s[u]) {
			u++
		}
		for next < len(units) && units[next].name != s[:u] {
			next++
		}
		if next == len(units) {
			return 0, false
		}
		ns := units[next].ns
		next++
		s = s[u:]
		if v > (1<<63-1)/ns || total > 1<<63-1-v*ns {
			return 0, false
		}
		total += v * ns
	}
	return total, true
}
