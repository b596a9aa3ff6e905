package traceql

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// ParseTags returns the query for the old search by tags, as Tempo takes it: tags is
// logfmt (a=b c="d e"), every pair must be met by some span or resource of the trace,
// strings by containing the value in any case, and the whole trace must last between
// minDuration and maxDuration (0 for no bound). Results describe traces only. Errors
// match [ErrParse].
func ParseTags(tags string, minDuration, maxDuration time.Duration) (*Expr, error) {
	pairs, err := parseLogfmt(tags)
	if err != nil {
		return nil, err
	}
	var all spansets = &filter{expr: durationBounds(minDuration, maxDuration)}
	for _, kv := range pairs {
		all = &spansetOp{op: opAnd, l: all, r: &filter{expr: tagCondition(kv[0], kv[1])}}
	}
	e := &Expr{pipe: &pipeline{stages: []stage{all}}, bare: true}
	if err := checkExpr(e); err != nil {
		return nil, err
	}
	foldExpr(e)
	return e, nil
}

func durationBounds(low, high time.Duration) field {
	bound := func(op operator, d time.Duration) field {
		return &binary{op: op, l: &attribute{in: inTraceDuration}, r: &literal{val: durationValue(int64(d))}}
	}
	switch {
	case low > 0 && high > 0:
		return &binary{op: opAnd, l: bound(opGreaterEqual, low), r: bound(opLessEqual, high)}
	case low > 0:
		return bound(opGreaterEqual, low)
	case high > 0:
		return bound(opLessEqual, high)
	}
	return nil
}

// tagCondition is one key=value of a search by tags.
func tagCondition(key, value string) field {
	contains := func(a *attribute) field {
		return &binary{op: opRegex, l: a, r: &literal{val: stringValue("(?i).*" + regexp.QuoteMeta(value) + ".*")}}
	}
	equals := func(a *attribute, v Value) field {
		return &binary{op: opEqual, l: a, r: &literal{val: v}}
	}
	switch key {
	case "name":
		return contains(&attribute{in: inName})
	case "root.name":
		return contains(&attribute{in: inRootName})
	case "root.service.name":
		return contains(&attribute{in: inRootService})
	case "status.code":
		for i, w := range statusWords {
			if value == w || value == strconv.Itoa(i) {
				return equals(&attribute{in: inStatus}, statusValue(uint8(i)))
			}
		}
	case "error":
		if value == "true" {
			return equals(&attribute{in: inStatus}, statusValue(2))
		}
	}
	var out field
	or := func(e field) {
		if out == nil {
			out = e
			return
		}
		out = &binary{op: opOr, l: out, r: e}
	}
	for _, s := range [...]scope{scopeSpan, scopeResource} {
		a := &attribute{scope: s, name: key}
		or(contains(a))
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			or(equals(a, intValue(n)))
		} else if f, err := strconv.ParseFloat(value, 64); err == nil && finite(floatValue(f)) {
			or(equals(a, floatValue(f)))
		}
		if value == "true" || value == "false" {
			or(equals(a, boolValue(value == "true")))
		}
	}
	return out
}

// parseLogfmt reads key=value pairs.
func parseLogfmt(s string) ([][2]string, error) {
	var out [][2]string
	seen := map[string]bool{}
	fail := func(at int, format string, args ...any) error {
		return pos{1, int32(at) + 1}.errorf(format, args...)
	}
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\t' || s[i] == '\n' {
			i++
			continue
		}
		start := i
		for i < len(s) && s[i] != '=' && s[i] != ' ' {
			i++
		}
		key := s[start:i]
		if key == "" || i == len(s) || s[i] != '=' {
			return nil, fail(start, "expected key=value at pos %d", start)
		}
		i++
		value := ""
		if i < len(s) && s[i] == '"' {
			n := quotedLen(s[i:])
			v, err := strconv.Unquote(s[i : i+n])
			if err != nil {
				return nil, fail(i, "unterminated quoted value at pos %d", i)
			}
			value = v
			i += n
		} else {
			from := i
			for i < len(s) && s[i] != ' ' {
				i++
			}
			value = s[from:i]
		}
		if seen[key] {
			return nil, fail(start, "tag %s has been set twice", key)
		}
		seen[key] = true
		out = append(out, [2]string{key, value})
	}
	return out, nil
}

// quotedLen returns the length of the quoted string s starts with, all of s if it is not
// terminated.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// Tag names an attribute or intrinsic whose values are asked for.
type Tag struct{ attr *attribute }

// ParseTag reads a tag as it is written in a query, such as resource.service.name or
// span:name. Errors match [ErrParse].
func ParseTag(text string) (Tag, error) {
	p := &parser{toks: lex(text)}
	a, err := p.attribute()
	if err == nil && p.tok().kind != tokEOF {
		err = p.unexpected("")
	}
	if err == nil {
		_, err = check(a)
	}
	if err != nil {
		return Tag{}, fmt.Errorf("please provide a valid tagName: failed to parse identifier %s: %w", text, err)
	}
	return Tag{a}, nil
}

// UnscopedTag is the attribute name of spans and, where those lack it, resources.
func UnscopedTag(name string) Tag { return Tag{&attribute{name: name}} }

// String returns the tag as written in a query.
func (t Tag) String() string { return fieldText(t.attr) }
