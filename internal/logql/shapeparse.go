package logql

import (
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/textmatch"
)

// parseShape mirrors jsonStage.run.
func (*jsonStage) parseShape(x *shapeScan) bool {
	s := jsonScan{src: x.line}
	if s.peek() != '{' {
		x.fail(errNotObject)
		return true
	}
	return x.object(&s, nil, 1)
}

// object mirrors jsonStage.object. path is the name of the object.
func (x *shapeScan) object(s *jsonScan, path []byte, depth int) bool {
	if depth > maxJSONDepth {
		return false
	}
	s.pos++
	for {
		key, escaped, end, err := s.member()
		if err != nil || end {
			return err == nil
		}
		at := x.offset(key)
		if n, _ := x.touching(at, at+len(key)); n > 0 || escaped {
			return false
		}
		if !x.field(s, path, key, depth) || s.next() != nil {
			return false
		}
	}
}

// field mirrors jsonStage.field.
func (x *shapeScan) field(s *jsonScan, path []byte, key string, depth int) bool {
	n := len(path)
	path = slices.Clip(path)
	if n > 0 {
		path = append(path, '_')
	}
	path = appendName(path, key)
	if n > 0 && len(path) == n+1 {
		path = path[:n] // blank segment
	}
	switch s.peek() {
	case '{':
		return x.object(s, path, depth+1)
	case '[':
		_, err := s.skip()
		return err == nil
	}
	raw, kind, escaped, err := s.value()
	if err != nil {
		return false
	}
	from := x.offset(raw)
	if _, digits := x.touching(from, from+len(raw)); kind == 'l' && !digits {
		return false
	}
	if raw == "null" && kind == 'l' || len(path) == 0 {
		return true
	}
	if isDigit(path[0]) {
		path = append([]byte{'_'}, path...)
	}
	if escaped && x.wants(path) {
		return false
	}
	if raw == "" {
		from = 0
	}
	x.add(path, from, from+len(raw))
	return true
}

// logfmtPair is a pair that all lines of a shape have. Its value, line[from:to], may hold
// variables; the key does not, unless the value is empty.
type logfmtPair struct {
	key      string
	inKey    int // variables in the key
	from, to int
	escaped  bool // the value is not as it is written
}

// pairs calls f with each pair. It reports false if f does, or if what the pairs are depends
// on the line. Variables hold nothing that ends a key or a value, and none is empty; but one
// in a key may be no valid text, which matters to strict parsers, and one may be behind a
// backslash.
func (x *shapeScan) pairs(strict bool, f func(p *logfmtPair) bool) bool {
	s := logfmtScan{src: x.line}
	for {
		begin := s.pos
		key, value, ok, err := s.pair(&x.row)
		if !ok {
			return true
		}
		n, _ := x.touching(begin, s.pos)
		if err != nil {
			if strict || n > 0 && strings.IndexByte(x.line[begin:s.pos], '\\') >= 0 {
				return false
			}
			continue
		}
		p := logfmtPair{key: key, from: s.pos, to: s.pos}
		at := x.offset(key)
		if from := at + len(key); from < s.pos && x.line[from] == '=' {
			p.from = from + 1
			if p.from < p.to && x.line[p.from] == '"' {
				p.from, p.to = p.from+1, p.to-1
				p.escaped = strings.IndexByte(x.line[p.from:p.to], '\\') >= 0
			}
		}
		inKey, digits := x.touching(at, at+len(key))
		if p.inKey = inKey; inKey > 0 && !digits && (strict || value != "") {
			return false
		}
		if p.escaped && x.escapes(p.from, p.to) {
			return false
		}
		if !f(&p) {
			return false
		}
	}
}

// escapes reports whether a variable is part of an escape in line[from:to].
func (x *shapeScan) escapes(from, to int) bool {
	for i := from; i+1 < to; i++ {
		if x.line[i] != '\\' {
			continue
		}
		n := 1
		if x.line[i+1] == 'u' {
			n = 5
		}
		if vars, _ := x.touching(i+1, i+1+n); vars > 0 {
			return true
		}
		i++
	}
	return false
}

// parseShape mirrors logfmtStage.run.
func (st *logfmtStage) parseShape(x *shapeScan) bool {
	var name []byte
	return x.pairs(st.strict, func(p *logfmtPair) bool {
		if p.from == p.to && !st.keepEmpty {
			return true
		}
		if p.inKey > 0 {
			return false
		}
		name = name[:0]
		if isDigit(p.key[0]) {
			name = append(name, '_')
		}
		name = appendName(name, p.key)
		switch {
		case len(name) == 0 || !x.wants(name):
			return true
		case p.escaped:
			return false
		}
		x.add(name, p.from, p.to)
		return true
	})
}

// parseShape mirrors logfmtExprStage.run.
func (st *logfmtExprStage) parseShape(x *shapeScan) bool {
	if sameNames(len(st.exprs), func(i int) string { return st.exprs[i].name }) {
		return false
	}
	last := make([]logfmtPair, len(st.exprs)) // of each expression
	ok := x.pairs(st.strict, func(p *logfmtPair) bool {
		at := x.offset(p.key)
		for i, e := range st.exprs {
			switch {
			case p.inKey > 0:
				if x.may(at, at+len(p.key), e.source, true) {
					return false
				}
			case e.source == p.key:
				last[i] = *p
			}
		}
		return true
	})
	if !ok {
		return false
	}
	for i, e := range st.exprs {
		if last[i].escaped && x.wants([]byte(e.name)) {
			return false
		}
		x.add([]byte(e.name), last[i].from, last[i].to)
	}
	return true
}

// sameNames reports whether two of n names are equal.
func sameNames(n int, name func(i int) string) bool {
	for i := range n {
		for k := range i {
			if name(i) == name(k) {
				return true
			}
		}
	}
	return false
}

// parseShape mirrors jsonExprStage.run.
func (st *jsonExprStage) parseShape(x *shapeScan) bool {
	if x.line == "" || sameNames(len(st.paths), func(i int) string { return st.paths[i].name }) {
		return false
	}
	if c := x.line[0]; c != '{' && c != '[' && c != '"' {
		x.fail("")
		return true
	}
	for i := range st.paths {
		p := &st.paths[i]
		s := jsonScan{src: x.line}
		found, ok := x.walk(&s, p.steps)
		if !ok {
			return false
		}
		if !found {
			continue
		}
		raw, kind, escaped, ok := x.value(&s)
		if !ok || escaped && x.wants([]byte(p.name)) {
			return false
		}
		if kind == 'l' && raw == "null" {
			raw = ""
		}
		from := 0
		if raw != "" {
			from = x.offset(raw)
		}
		if kind == '[' || kind == '{' { // which nobody makes valid text of
			if _, digits := x.touching(from, from+len(raw)); !digits || cleanText(raw) != raw {
				return false
			}
		}
		x.add([]byte(p.name), from, from+len(raw))
	}
	return true
}

// value reads a value; ok is false if it depends on the line what it is.
func (x *shapeScan) value(s *jsonScan) (raw string, kind byte, escaped, ok bool) {
	raw, kind, escaped, err := s.value()
	if err != nil {
		return "", 0, false, false
	}
	if raw != "" {
		from := x.offset(raw)
		if _, digits := x.touching(from, from+len(raw)); kind == 'l' && !digits {
			return "", 0, false, false
		}
	}
	return raw, kind, escaped, true
}

// walk mirrors jsonScan.find as far as the value.
func (x *shapeScan) walk(s *jsonScan, steps []pathStep) (found, ok bool) {
	for _, step := range steps {
		if step.index >= 0 {
			found, ok = x.element(s, step.index)
		} else {
			found, ok = x.memberOf(s, step.field)
		}
		if !ok || !found {
			return false, ok
		}
	}
	return true, true
}

// memberOf mirrors jsonScan.field.
func (x *shapeScan) memberOf(s *jsonScan, name string) (found, ok bool) {
	if s.peek() != '{' {
		return false, true
	}
	s.pos++
	for {
		key, escaped, end, err := s.member()
		if err != nil || end {
			return false, err == nil
		}
		if escaped {
			return false, false
		}
		if key == name {
			n := 0
			if key != "" {
				n, _ = x.touching(x.offset(key), x.offset(key)+len(key))
			}
			return true, n == 0
		}
		if at := x.offset(key); key != "" && x.may(at, at+len(key), name, true) {
			return false, false
		}
		if _, _, _, ok := x.value(s); !ok || s.next() != nil {
			return false, false
		}
	}
}

// element mirrors jsonScan.element.
func (x *shapeScan) element(s *jsonScan, i int) (found, ok bool) {
	if s.peek() != '[' {
		return false, true
	}
	s.pos++
	for ; ; i-- {
		switch s.peek() {
		case ']', 0:
			return false, true
		case ',':
			s.pos++
		}
		if i == 0 {
			return true, true
		}
		if _, _, _, ok := x.value(s); !ok {
			return false, false
		}
	}
}

// parseShape mirrors capture.
func (s *patternStage) parseShape(x *shapeScan) bool {
	if x.line == "" {
		return true
	}
	parts, at := s.parts, 0
	if !parts[0].capture {
		lit := parts[0].literal
		if n, _ := x.touching(0, len(lit)); n > 0 || !strings.HasPrefix(x.line, lit) {
			return !x.may(0, len(x.line), lit, false)
		}
		at, parts = len(lit), parts[1:]
	}
	for i := 0; i < len(parts); i += 2 {
		from, to, found := at, len(x.line), false
		if i+1 < len(parts) {
			lit := parts[i+1].literal
			end, ok := x.find(at, lit)
			if !ok {
				return false
			}
			if end >= 0 {
				to, at, found = end, end+len(lit), true
			}
		}
		if parts[i].name != "" {
			x.add([]byte(parts[i].name), from, to)
		}
		if !found {
			return true
		}
	}
	return true
}

// onShape mirrors lineFilter.match. ok is false if it depends on the line.
func (f *lineFilter) onShape(x *shapeScan) (passes, ok bool) {
	ok = true
	for _, t := range f.tests {
		p, pattern := t.(*patternTest)
		if !pattern {
			return false, false
		}
		match, sure := p.onShape(x)
		if sure && match {
			return !f.negate, true
		}
		ok = ok && sure
	}
	return f.negate, ok
}

// onShape mirrors matchPattern.
func (t *patternTest) onShape(x *shapeScan) (match, ok bool) {
	parts := t.parts
	if len(parts) == 0 || x.line == "" {
		return len(parts) == 0 && x.line == "", true
	}
	off := 0
	for i := range parts {
		if parts[i].capture {
			continue
		}
		at, ok := x.find(off, parts[i].literal)
		if !ok {
			return false, false
		}
		if at < 0 || at == off && i > 0 {
			return false, true
		}
		off = at + len(parts[i].literal)
	}
	if parts[len(parts)-1].capture {
		return off < len(x.line), true
	}
	return off == len(x.line), true
}

// parseShape mirrors regexpStage.run.
func (s *regexpStage) parseShape(x *shapeScan) bool {
	if s.overShapes == nil {
		return false
	}
	m, ok := s.overShapes.Match(x.line, x.vars)
	if !ok || m == nil {
		return ok
	}
	for i, name := range s.names {
		switch {
		case name == "":
			continue
		case m[2*i] == textmatch.NoPlace || m[2*i+1] == textmatch.NoPlace:
			return false
		case m[2*i] < 0 || m[2*i+1] < 0:
			x.add([]byte(name), 0, 0)
		default:
			x.add([]byte(name), m[2*i], m[2*i+1])
		}
	}
	return true
}
