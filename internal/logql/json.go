package logql

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of JSON objects in a line.
const maxJSONDepth = 128

// jsonScan walks JSON text. It is as lenient as Loki's: it looks at no more than it
// needs.
type jsonScan struct {
	src string
	pos int
}

func (s *jsonScan) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *jsonScan) peek() byte {
	s.space()
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// str reads a string; raw is the text between the quotes.
func (s *jsonScan) str() (raw string, escaped bool, err error) {
	start := s.pos + 1
	for i := start; i < len(s.src); i++ {
		switch s.src[i] {
		case '"':
			s.pos = i + 1
			return s.src[start:i], escaped, nil
		case '\\':
			escaped = true
			i++
		}
	}
	return "", false, fmt.Errorf("string at byte %d has no closing quote", start)
}

// literal reads a number, true, false or null.
func (s *jsonScan) literal() (string, error) {
	start := s.pos
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r', ',', '}', ']':
			return checkLiteral(s.src[start:s.pos], start)
		}
		s.pos++
	}
	return checkLiteral(s.src[start:], start)
}

func checkLiteral(s string, at int) (string, error) {
	switch s {
	case "true", "false", "null":
		return s, nil
	case "":
		return "", fmt.Errorf("value expected at byte %d", at+1)
	}
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' || i == 0 && !isDigit(c) && c != '-' {
			return "", fmt.Errorf("unknown value at byte %d", at+1)
		}
	}
	return s, nil
}

// skip passes over an array or object and returns its text.
func (s *jsonScan) skip() (string, error) {
	start, depth := s.pos, 0
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case '"':
			if _, _, err := s.str(); err != nil {
				return "", err
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				s.pos++
				return s.src[start:s.pos], nil
			}
		}
		s.pos++
	}
	return "", fmt.Errorf("value at byte %d is not closed", start+1)
}

// value reads any value: its text, without quotes for a string.
func (s *jsonScan) value() (raw string, kind byte, escaped bool, err error) {
	switch c := s.peek(); c {
	case '"':
		raw, escaped, err = s.str()
		return raw, '"', escaped, err
	case '{', '[':
		raw, err = s.skip()
		return raw, c, false, err
	default:
		raw, err = s.literal()
		return raw, 'l', false, err
	}
}

// member reads a key and its colon, or the end of the object.
func (s *jsonScan) member() (key string, escaped, end bool, err error) {
	c := s.peek()
	if c == ',' {
		s.pos++
		c = s.peek()
	}
	if c == '}' {
		s.pos++
		return "", false, true, nil
	}
	if c != '"' {
		return "", false, false, fmt.Errorf("key or closing '}' expected at byte %d", s.pos+1)
	}
	if key, escaped, err = s.str(); err != nil {
		return "", false, false, err
	}
	if s.peek() != ':' {
		return "", false, false, fmt.Errorf("':' expected at byte %d", s.pos+1)
	}
	s.pos++
	return key, escaped, false, nil
}

// next checks what stands between two members.
func (s *jsonScan) next() error {
	if c := s.peek(); c != ',' && c != '}' {
		if c == 0 {
			return fmt.Errorf("closing '}' missing at byte %d", s.pos+1)
		}
		return fmt.Errorf("',' or '}' expected at byte %d", s.pos+1)
	}
	return nil
}

// unquoteJSON decodes the text between the quotes of a string, appended to dst. An invalid
// surrogate makes it empty.
func unquoteJSON(dst []byte, raw string, single bool) ([]byte, error) {
	start := len(dst)
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		if i++; i == len(raw) {
			return dst, fmt.Errorf("escape at the end of a string")
		}
		switch c = raw[i]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case '\'':
			if !single {
				return dst, fmt.Errorf(`invalid escape \'`)
			}
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, n, ok := unicodeEscape(raw[i+1:])
			if n == 0 {
				return dst, fmt.Errorf("invalid \\u escape")
			}
			if !ok {
				return dst[:start], nil
			}
			dst = utf8.AppendRune(dst, r)
			i += n
		default:
			return dst, fmt.Errorf("invalid escape \\%c", c)
		}
	}
	return dst, nil
}

// unicodeEscape decodes the four digits after \u, and a second escape if they are half of
// a surrogate pair.
func unicodeEscape(s string) (r rune, n int, ok bool) {
	r, good := hex4(s)
	if !good {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(r) {
		return r, 4, true
	}
	if len(s) >= 10 && s[4] == '\\' && s[5] == 'u' {
		if low, good := hex4(s[6:]); good {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 10, true
			}
		}
	}
	return 0, 4, false
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(s[:4], 16, 32)
	return rune(v), err == nil
}

// unquote returns the text of a JSON string as found in the line.
func (r *row) unquote(raw string, escaped bool) (string, error) {
	if !escaped {
		return cleanText(raw), nil
	}
	n := len(r.text)
	var err error
	r.text, err = unquoteJSON(r.text, raw, false)
	return cleanText(r.keep(n)), err
}

// jsonStage is | json without expressions.
type jsonStage struct {
	shaped
	early []valueFilter
	path  []byte // sanitised names of the enclosing objects
	digit []byte // path with the prefix that a leading digit needs
}

func (st *jsonStage) run(r *row) bool {
	if st.on && r.found != nil {
		return r.fromShape(&st.shaped, errJSON, st.early, true)
	}
	s := jsonScan{src: r.line}
	if s.peek() != '{' {
		r.failParser(errJSON, errNotObject)
		return true
	}
	r.early = st.early
	st.path = st.path[:0]
	if _, err := st.object(&s, r, 1); err != nil {
		r.failParser(errJSON, err.Error())
	}
	r.early = nil
	return !r.drop
}

// object reads the object at s and reports whether to go on behind it.
func (st *jsonStage) object(s *jsonScan, r *row, depth int) (bool, error) {
	if depth > maxJSONDepth {
		return false, fmt.Errorf("objects are nested more than %d levels deep", maxJSONDepth)
	}
	s.pos++
	for {
		key, escaped, end, err := s.member()
		if err != nil || end {
			return err == nil, err
		}
		if escaped {
			if key, err = r.unquote(key, true); err != nil {
				return false, err
			}
		}
		n := len(st.path)
		goOn, err := st.field(s, r, key, depth)
		st.path = st.path[:n]
		if err != nil || !goOn {
			return goOn, err
		}
		if err := s.next(); err != nil {
			return false, err
		}
	}
}

// field reads the value of key.
func (st *jsonStage) field(s *jsonScan, r *row, key string, depth int) (bool, error) {
	n := len(st.path)
	if n > 0 {
		st.path = append(st.path, '_')
	}
	st.path = appendName(st.path, key)
	if n > 0 && len(st.path) == n+1 {
		st.path = st.path[:n] // blank segment
	}
	switch s.peek() {
	case '{':
		return st.object(s, r, depth+1)
	case '[':
		_, err := s.skip()
		return true, err
	}
	raw, kind, escaped, err := s.value()
	if err != nil {
		return false, err
	}
	if raw == "null" && kind == 'l' || len(st.path) == 0 {
		return true, nil
	}
	name, ok := st.name(r)
	if !ok {
		return true, nil
	}
	if kind == '"' {
		if raw, err = r.unquote(raw, escaped); err != nil {
			return false, err
		}
	}
	return r.extract(name, raw), nil
}

// name returns the label name for st.path, false if nobody wants it.
func (st *jsonStage) name(r *row) (string, bool) {
	path := st.path
	if isDigit(path[0]) {
		st.digit = append(append(st.digit[:0], '_'), path...)
		path = st.digit
	}
	if r.want != nil {
		name := r.want.base(path)
		return name, name != ""
	}
	return r.names.name(path), true
}

// pathStep is one step of a JSON path: a field, or an index if it is not negative.
type pathStep struct {
	field string
	index int
}

// parseJSONPath reads a path such as a.b["c d"][0].
func parseJSONPath(s string) ([]pathStep, error) {
	var steps []pathStep
	rest := s
	for rest != "" {
		switch {
		case rest[0] == '[':
			end, step, err := bracketStep(rest)
			if err != nil {
				return nil, fmt.Errorf("expression %q: %w", s, err)
			}
			steps = append(steps, step)
			rest = rest[end:]
			continue
		case rest[0] == '.' && len(steps) > 0:
			rest = rest[1:]
		case len(steps) > 0:
			return nil, fmt.Errorf("expression %q: want . or [ before %q", s, rest)
		}
		n := 0
		for n < len(rest) && nameByte(rest[n]) && (n > 0 || !isDigit(rest[n])) {
			n++
		}
		if n == 0 {
			return nil, fmt.Errorf("expression %q: want a field name at %q; write other names as [\"name\"]", s, rest)
		}
		steps = append(steps, pathStep{field: rest[:n], index: -1})
		rest = rest[n:]
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("expression is empty")
	}
	return steps, nil
}

func bracketStep(s string) (int, pathStep, error) {
	if len(s) > 1 && s[1] == '"' {
		quoted, err := strconv.QuotedPrefix(s[1:])
		if err != nil || !strings.HasPrefix(s[1+len(quoted):], "]") {
			return 0, pathStep{}, fmt.Errorf("bracket is not closed")
		}
		field, err := strconv.Unquote(quoted)
		return len(quoted) + 2, pathStep{field: field, index: -1}, err
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return 0, pathStep{}, fmt.Errorf("bracket is not closed")
	}
	i, err := strconv.Atoi(s[1:end])
	if err != nil || i < 0 || s[1] == '+' {
		return 0, pathStep{}, fmt.Errorf("index %q is not a whole number", s[1:end])
	}
	return end + 1, pathStep{index: i}, nil
}

// find walks to the value at steps. found is false if there is none.
func (s *jsonScan) find(steps []pathStep, r *row) (value string, found bool, err error) {
	for _, step := range steps {
		if step.index >= 0 {
			found, err = s.element(step.index)
		} else {
			found, err = s.field(step.field, r)
		}
		if err != nil || !found {
			return "", false, err
		}
	}
	raw, kind, escaped, err := s.value()
	switch {
	case err != nil:
		return "", false, err
	case kind == '"':
		value, err = r.unquote(raw, escaped)
		return value, err == nil, err
	case kind == 'l' && raw == "null":
		return "", true, nil
	}
	return raw, true, nil
}

// field moves s to the value of a member of the object at s.
func (s *jsonScan) field(name string, r *row) (bool, error) {
	if s.peek() != '{' {
		return false, nil
	}
	s.pos++
	for {
		key, escaped, end, err := s.member()
		if err != nil || end {
			return false, err
		}
		if escaped {
			if key, err = r.unquote(key, true); err != nil {
				return false, err
			}
		}
		if key == name {
			return true, nil
		}
		if _, _, _, err := s.value(); err != nil {
			return false, err
		}
		if err := s.next(); err != nil {
			return false, err
		}
	}
}

// element moves s to element i of the array at s.
func (s *jsonScan) element(i int) (bool, error) {
	if s.peek() != '[' {
		return false, nil
	}
	s.pos++
	for ; ; i-- {
		switch s.peek() {
		case ']', 0:
			return false, nil
		case ',':
			s.pos++
		}
		if i == 0 {
			return true, nil
		}
		if _, _, _, err := s.value(); err != nil {
			return false, err
		}
	}
}

type jsonPath struct {
	name  string
	steps []pathStep
}

// jsonExprStage is | json name="path", ...
type jsonExprStage struct {
	shaped
	paths []jsonPath
}

func (st *jsonExprStage) run(r *row) bool {
	if st.on && r.found != nil {
		st.fromShape(r)
		return true
	}
	if r.line == "" {
		return true
	}
	if c := r.line[0]; c != '{' && c != '[' && c != '"' {
		r.failParser(errJSON, "")
		return true
	}
	for i := range st.paths {
		p := &st.paths[i]
		s := jsonScan{src: r.line}
		value, found, err := s.find(p.steps, r)
		if err != nil {
			r.failParser(errJSON, err.Error())
		}
		name := r.target(p.name)
		if (found || name == p.name) && (r.want == nil || r.want.has(name)) {
			r.set(name, value)
		}
	}
	return true
}

// fromShape is run on the shape of the line.
func (st *jsonExprStage) fromShape(r *row) {
	if r.failShape(&st.shaped, errJSON) {
		return
	}
	for i := range st.paths {
		p := &st.paths[i]
		name := r.target(p.name)
		value, found := r.foundIn(&st.shaped, p.name)
		if (found || name == p.name) && (r.want == nil || r.want.has(name)) {
			r.set(name, cleanText(value))
		}
	}
}

// unpackStage is | unpack.
type unpackStage struct{ found []string }

func (st *unpackStage) run(r *row) bool {
	if r.line == "" {
		return true
	}
	if r.line[0] != '{' {
		r.failParser(errJSON, errNotObject)
		return true
	}
	s := jsonScan{src: r.line, pos: 1}
	st.found = st.found[:0]
	entry, packed := "", false
	for {
		key, escaped, end, err := s.member()
		if err == nil && end {
			break
		}
		var raw string
		var kind byte
		if err == nil && escaped {
			key, err = r.unquote(key, true)
		}
		if err == nil {
			raw, kind, escaped, err = s.value()
		}
		if err == nil && kind == '"' {
			raw, err = r.unquote(raw, escaped)
		}
		if err == nil {
			err = s.next()
		}
		if err != nil {
			r.failParser(errJSON, err.Error())
			return true
		}
		switch {
		case kind != '"':
		case key == "_entry":
			entry, packed = raw, true
		default:
			st.found = append(st.found, key, raw)
		}
	}
	if !packed {
		return true
	}
	r.line = entry
	var buf [64]byte
	for i := 0; i < len(st.found); i += 2 {
		name := appendName(buf[:0], st.found[i])
		if len(name) == 0 {
			continue
		}
		if isDigit(name[0]) {
			name = append([]byte{'_'}, name...)
		}
		r.extract(r.names.name(name), st.found[i+1])
	}
	return true
}
