package logql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	promModel "github.com/prometheus/common/model"
)

// maxQueryLen is Loki's limit on the text of a query.
const maxQueryLen = 131072

type tokKind uint8

const (
	tokEOF      tokKind = iota
	tokIdent            // text
	tokString           // text is the decoded value
	tokNumber           // text
	tokDuration         // dur, may be negative
	tokBytes            // bytes
	tokRange            // dur: everything from [ to ]
	tokFlag             // text: --strict or --keep-empty
	tokKeyword          // text, lower case: reserved everywhere
	tokFunc             // text, lower case: a function word followed by ( or by grouping
	tokOp               // text: operator or punctuation
	tokTraces           // text: TraceQL in braces or parentheses, behind a label and in
)

type token struct {
	kind      tokKind
	text      string
	src       string // as written, for messages
	dur       time.Duration
	bytes     uint64
	line, col int
}

// describe names t for an error message.
func (t *token) describe() string {
	switch t.kind {
	case tokEOF:
		return "$end"
	case tokIdent:
		return "identifier " + strconv.Quote(t.text)
	case tokString:
		return "string " + strconv.Quote(t.text)
	case tokNumber:
		return "number " + t.src
	case tokDuration:
		return "duration " + t.src
	case tokBytes:
		return "size " + t.src
	case tokRange:
		return "range " + t.src
	default:
		return t.src
	}
}

// reserved reports whether the lower-case word s is a keyword wherever it stands.
func reserved(s string) bool {
	switch s {
	case "by", "without", "bool", "offset", "on", "ignoring", "group_left", "group_right",
		"and", "or", "unless", "json", "logfmt", "regexp", "unpack", "pattern", "line_format",
		"label_format", "unwrap", "decolorize", "drop", "keep":
		return true
	}
	return false
}

// functionWord reports whether the lower-case word s is a keyword where a call follows.
func functionWord(s string) bool {
	switch s {
	case "vector", "label_replace", "bytes", "duration", "duration_seconds", "ip":
		return true
	}
	return rangeFuncOf(s) != nil || isVectorAgg(s)
}

type lexer struct {
	src       string
	pos       int
	line, col int
	toks      []token
}

// lex cuts src into tokens, ending with one of kind tokEOF.
func lex(src string) ([]token, error) {
	if len(src) >= maxQueryLen {
		return nil, parseErrorf("input size too long (%d > %d)", len(src), maxQueryLen)
	}
	l := &lexer{src: src, line: 1, col: 1, toks: make([]token, 0, len(src)/4+2)}
	for {
		done, err := l.next()
		if err != nil {
			return nil, err
		}
		if done {
			return l.toks, nil
		}
	}
}

func (l *lexer) errorf(line, col int, format string, args ...any) error {
	return &ParseError{Line: line, Col: col, Msg: fmt.Sprintf(format, args...)}
}

// advance moves n bytes on, counting lines and characters.
func (l *lexer) advance(n int) {
	for _, r := range l.src[l.pos : l.pos+n] {
		if r == '\n' {
			l.line++
			l.col = 1
		} else {
			l.col++
		}
	}
	l.pos += n
}

// skipSpace skips white space and comments.
func (l *lexer) skipSpace() error {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r':
			l.advance(1)
		case rest[0] == '#' || strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.advance(n)
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.errorf(l.line, l.col, "comment not terminated")
			}
			l.advance(n + 4)
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) emit(t token, n int) {
	t.line, t.col, t.src = l.line, l.col, l.src[l.pos:l.pos+n]
	l.advance(n)
	l.toks = append(l.toks, t)
}

func (l *lexer) next() (done bool, err error) {
	if err := l.skipSpace(); err != nil {
		return false, err
	}
	if l.pos >= len(l.src) {
		l.emit(token{kind: tokEOF}, 0)
		return true, nil
	}
	rest := l.src[l.pos:]
	c := rest[0]
	switch {
	case c == '"':
		return false, l.quoted(rest)
	case c == '`':
		return false, l.raw(rest)
	case c == '[':
		return false, l.rangeLiteral(rest)
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return false, l.number(rest)
	}
	r, _ := utf8.DecodeRuneInString(rest)
	if r == '_' || unicode.IsLetter(r) {
		l.word(rest)
		return false, nil
	}
	return false, l.operator(rest)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (l *lexer) quoted(rest string) error {
	end := -1
	for i := 1; i < len(rest) && end < 0; i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			end = i
		case '\n':
			return l.errorf(l.line, l.col, "string not terminated before the end of the line; write \\n or use backquotes")
		}
	}
	if end < 0 {
		return l.errorf(l.line, l.col, "string not terminated")
	}
	src := rest[:end+1]
	if !utf8.ValidString(src) {
		return l.errorf(l.line, l.col, "invalid UTF-8 rune in string")
	}
	text, err := strconv.Unquote(src)
	if err != nil {
		return l.errorf(l.line, l.col, "invalid escape in string %s; use backquotes for text with backslashes", src)
	}
	l.emit(token{kind: tokString, text: text}, len(src))
	return nil
}

func (l *lexer) raw(rest string) error {
	end := strings.IndexByte(rest[1:], '`')
	if end < 0 {
		return l.errorf(l.line, l.col, "string not terminated")
	}
	text := rest[1 : 1+end]
	if !utf8.ValidString(text) {
		return l.errorf(l.line, l.col, "invalid UTF-8 rune in string")
	}
	l.emit(token{kind: tokString, text: text}, end+2)
	return nil
}

func (l *lexer) rangeLiteral(rest string) error {
	end := strings.IndexByte(rest, ']')
	if end < 0 {
		return l.errorf(l.line, l.col, "missing closing ']' in duration")
	}
	d, err := promModel.ParseDuration(rest[1:end])
	if err != nil {
		return l.errorf(l.line, l.col, "invalid range %s: want whole numbers with units from y w d h m s ms, largest first, such as [5m] or [1h30m]", rest[:end+1])
	}
	l.emit(token{kind: tokRange, dur: time.Duration(d)}, end+1)
	return nil
}

// parseDuration reads a duration literal: Prometheus' form first, then Go's.
func parseDuration(s string) (time.Duration, bool) {
	if d, err := promModel.ParseDuration(s); err == nil {
		return time.Duration(d), true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// durationAt reads the duration literal at the start of s, which starts with a number of
// n bytes. It returns its length, 0 if there is none.
func durationAt(s string, n int) (time.Duration, int) {
	end := n
	for end < len(s) {
		r, size := utf8.DecodeRuneInString(s[end:])
		if !strings.ContainsRune("0123456789.nuµmshdwy", r) {
			break
		}
		end += size
	}
	if end == n {
		return 0, 0
	}
	d, ok := parseDuration(s[:end])
	if !ok {
		return 0, 0
	}
	return d, end
}

// numberLen returns the length of the number literal at the start of s.
func numberLen(s string) (n int, ok bool) {
	if len(s) > 1 && s[0] == '0' && strings.IndexByte("xXoO", s[1]) >= 0 {
		n = 2
		for n < len(s) && (isHex(s[n]) || s[n] == '_') {
			n++
		}
		return n, n > 2
	}
	for n < len(s) && (isDigit(s[n]) || s[n] == '_') {
		n++
	}
	if n < len(s) && s[n] == '.' {
		n++
		for n < len(s) && (isDigit(s[n]) || s[n] == '_') {
			n++
		}
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		n++
		if n < len(s) && (s[n] == '+' || s[n] == '-') {
			n++
		}
		start := n
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		return n, n > start
	}
	return n, true
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (l *lexer) number(rest string) error {
	n, ok := numberLen(rest)
	if !ok {
		return l.errorf(l.line, l.col, "malformed number %q: exponent has no digits", rest[:n])
	}
	if d, end := durationAt(rest, n); end > 0 {
		l.emit(token{kind: tokDuration, dur: d}, end)
		return nil
	}
	end := n
	for end < len(rest) && strings.IndexByte("0123456789.BikKMGTP", rest[end]) >= 0 {
		end++
	}
	if end > n {
		if b, err := humanize.ParseBytes(rest[:end]); err == nil {
			l.emit(token{kind: tokBytes, bytes: b}, end)
			return nil
		}
	}
	l.emit(token{kind: tokNumber, text: rest[:n]}, n)
	return nil
}

func (l *lexer) word(rest string) {
	n := wordLen(rest)
	text := rest[:n]
	lower := strings.ToLower(text)
	switch {
	case lower == "in" && len(l.toks) > 0 && l.toks[len(l.toks)-1].kind == tokIdent && l.traces(rest, n):
	case reserved(lower):
		l.emit(token{kind: tokKeyword, text: lower}, n)
	case functionWord(lower) && callFollows(rest[n:]):
		l.emit(token{kind: tokFunc, text: lower}, n)
	default:
		l.emit(token{kind: tokIdent, text: text}, n)
	}
}

// traces emits TraceQL if that is what follows the word in, the first n bytes of rest.
func (l *lexer) traces(rest string, n int) bool {
	for n < len(rest) && strings.IndexByte(" \t\r\n", rest[n]) >= 0 {
		n++
	}
	if n == len(rest) || rest[n] != '{' && rest[n] != '(' {
		return false
	}
	size := traceText(rest[n:])
	if size > 0 {
		l.emit(token{kind: tokTraces, text: rest[n : n+size]}, n+size)
	}
	return size > 0
}

func wordLen(s string) int {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return i
		}
	}
	return len(s)
}

// callFollows reports whether s goes on with "(" or with "by (" or "without (".
func callFollows(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	if strings.HasPrefix(s, "(") {
		return true
	}
	n := wordLen(s)
	switch strings.ToLower(s[:n]) {
	case "by", "without":
		return strings.HasPrefix(strings.TrimLeft(s[n:], " \t\r\n"), "(")
	}
	return false
}

func (l *lexer) operator(rest string) error {
	for _, flag := range [...]string{"--strict", "--keep-empty"} {
		if strings.HasPrefix(rest, flag) && wordLen("_"+rest[len(flag):]) == 1 {
			l.emit(token{kind: tokFlag, text: flag}, len(flag))
			return nil
		}
	}
	if rest[0] == '-' && len(rest) > 1 && isDigit(rest[1]) {
		if n, ok := numberLen(rest[1:]); ok {
			if d, end := durationAt(rest[1:], n); end > 0 {
				l.emit(token{kind: tokDuration, dur: -d}, end+1)
				return nil
			}
		}
	}
	if len(rest) > 1 {
		switch op := rest[:2]; op {
		case "==", "!=", "=~", "!~", "|=", "|~", "|>", "!>", "<=", ">=":
			l.emit(token{kind: tokOp, text: op}, 2)
			return nil
		}
	}
	switch c := rest[0]; c {
	case '{', '}', '(', ')', ']', ',', '=', '|', '<', '>', '+', '-', '*', '/', '%', '^', '.':
		l.emit(token{kind: tokOp, text: rest[:1]}, 1)
		return nil
	case '\'':
		return l.errorf(l.line, l.col, "syntax error: unexpected '; strings take double quotes or backquotes")
	default:
		r, _ := utf8.DecodeRuneInString(rest)
		return l.errorf(l.line, l.col, "syntax error: unexpected character %q", r)
	}
}
