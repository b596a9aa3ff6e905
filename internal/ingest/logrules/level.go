package logrules

import (
	"math"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
)

const (
	detectedLevel   = "detected_level"
	severityNumber  = "severity_number"
	levelUnknown    = "unknown"
	levelFieldCount = 14
)

// levelFields are the names that hold a level, best first. Labels, metadata and JSON
// keys must match exactly, logfmt keys in any case.
func levelFields() [levelFieldCount]string {
	return [...]string{
		"level", "LEVEL", "Level", "log.level", "severity", "SEVERITY", "Severity", "SeverityText",
		"lvl", "LVL", "Lvl", "severity_text", "Severity_Text", "SEVERITY_TEXT",
	}
}

// levelOf returns the level that a label or metadata field states, normalised; a value
// that is no known level is returned as it is.
func (r *Rules) levelOf(ls []model.Label) string {
	best, value := noRank, ""
	for i := range ls {
		if n := r.rank(ls[i].Name); n < best && ls[i].Value != "" {
			best, value = n, ls[i].Value
		}
	}
	if value == "" {
		return ""
	}
	return normaliseLevel(value)
}

// noRank is the rank of what is no level field.
const noRank = math.MaxInt

// rank returns the place of name among the level fields.
func (r *Rules) rank(name string) int {
	if r != nil {
		if i := slices.Index(r.Levels, name); i >= 0 {
			return i
		}
		return noRank
	}
	if len(name) < 3 || len(name) > 13 {
		return noRank
	}
	switch name[0] {
	case 'l', 'L', 's', 'S':
		fields := levelFields()
		for i := range fields {
			if fields[i] == name {
				return i
			}
		}
	}
	return noRank
}

// foldRank is rank for logfmt keys, which match in any case.
func (r *Rules) foldRank(name string) int {
	if r != nil {
		if i := slices.IndexFunc(r.Levels, func(f string) bool { return strings.EqualFold(f, name) }); i >= 0 {
			return i
		}
		return noRank
	}
	if len(name) < 3 || len(name) > 13 {
		return noRank
	}
	fields := levelFields()
	for i := range fields {
		if strings.EqualFold(fields[i], name) {
			return i
		}
	}
	return noRank
}

// known returns the canonical name of a level, "" if v is none.
func known(v string) string {
	if len(v) < 3 || len(v) > 11 {
		return ""
	}
	names := [...][2]string{
		{"info", "info"},
		{"error", "error"},
		{"warn", "warn"},
		{"warning", "warn"},
		{"debug", "debug"},
		{"err", "error"},
		{"trace", "trace"},
		{"fatal", "fatal"},
		{"critical", "critical"},
		{"inf", "info"},
		{"information", "info"},
		{"wrn", "warn"},
		{"dbg", "debug"},
		{"trc", "trace"},
	}
	for i := range names {
		if len(names[i][0]) == len(v) && strings.EqualFold(names[i][0], v) {
			return names[i][1]
		}
	}
	return ""
}

func normaliseLevel(v string) string {
	if k := known(v); k != "" {
		return k
	}
	return v
}

// Level finds the level of a line by Loki's rules: a level field of a JSON or logfmt
// line, else the first word that is a level. It returns "unknown" if there is none.
func (r *Rules) Level(line string) string {
	level := ""
	switch {
	case len(line) > 1 && line[0] == '{' && line[len(line)-1] == '}':
		level = r.jsonLevel(line)
	case r == nil && mayHaveLevelKey(line), r != nil && strings.IndexByte(line, '=') >= 0:
		level = r.logfmtLevel(line)
	}
	if level == "" {
		level = wordLevel(line)
	}
	if level == "" {
		level = levelUnknown
	}
	return level
}

// maxJSONLevelDepth is how deep objects are searched for a level field.
const maxJSONLevelDepth = 2

// jsonLevel looks for a level field with a string value in the line's objects. It does
// not check that the line is JSON: a scan that jumps from quote to quote is enough.
func (r *Rules) jsonLevel(line string) string {
	best, level := noRank, ""
	var arrays uint64 // bit d is set if the container at depth d is an array
	depth := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '{', '[':
			if depth++; depth > 63 {
				return level
			}
			arrays &^= 1 << depth
			if line[i] == '[' {
				arrays |= 1 << depth
			}
		case '}', ']':
			depth = max(depth-1, 0)
		case '"':
			end := stringEnd(line, i+1)
			text := line[i+1 : end]
			i = end
			if depth > maxJSONLevelDepth || arrays != 0 && arrays&(1<<(depth+1)-1) != 0 {
				continue
			}
			next := skipSpace(line, i+1)
			if next >= len(line) || line[next] != ':' {
				continue
			}
			if i = skipSpace(line, next+1); i >= len(line) || line[i] != '"' {
				i--
				continue
			}
			end = stringEnd(line, i+1)
			value := line[min(i+1, end):end]
			i = end
			if n := r.rank(text); n < best {
				if k := known(value); k != "" {
					best, level = n, k
				}
				if best == 0 {
					return level
				}
			}
		}
	}
	return level
}

// stringEnd returns the index of the quote that ends the string whose text begins at i,
// or the length of the line.
func stringEnd(line string, i int) int {
	for i < len(line) {
		j := strings.IndexByte(line[i:], '"')
		if j < 0 {
			return len(line)
		}
		i += j
		slashes := 0
		for k := i - 1; k >= 0 && line[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		i++
	}
	return len(line)
}

func skipSpace(line string, i int) int {
	for i < len(line) && (line[i] == ' ' || line[i] == '\t' || line[i] == '\n' || line[i] == '\r') {
		i++
	}
	return i
}

// mayHaveLevelKey reports whether some = of line may end a key that holds a level: the last
// two bytes of these, in any case, are el, vl, ty or xt.
func mayHaveLevelKey(line string) bool {
	for at := 0; ; at++ {
		i := strings.IndexByte(line[at:], '=')
		if i < 0 {
			return false
		}
		if at += i; at < 3 {
			continue
		}
		switch line[at-1] | 0x20 {
		case 'l':
			if c := line[at-2] | 0x20; c == 'e' || c == 'v' {
				return true
			}
		case 'y':
			if line[at-2]|0x20 == 't' {
				return true
			}
		case 't':
			if line[at-2]|0x20 == 'x' {
				return true
			}
		}
	}
}

// logfmtLevel looks for a level field among key=value pairs.
func (r *Rules) logfmtLevel(line string) string {
	best, level := noRank, ""
	for i := 0; i < len(line); {
		if line[i] <= ' ' {
			i++
			continue
		}
		from := i
		for i < len(line) && line[i] > ' ' && line[i] != '=' {
			i++
		}
		if i == len(line) || line[i] != '=' {
			continue
		}
		key := line[from:i]
		i++
		from = i
		if i < len(line) && line[i] == '"' {
			from++
			i = stringEnd(line, from)
		} else {
			for i < len(line) && line[i] > ' ' {
				i++
			}
		}
		value := line[min(from, i):i]
		i++
		if n := r.foldRank(key); n < best {
			if k := known(value); k != "" {
				best, level = n, k
			}
			if best == 0 {
				return level
			}
		}
	}
	return level
}

// Bytes that may stand before and after a level word, as bit sets of the two halves of
// ASCII.
const (
	leftLow   = 1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'(' | 1<<'"' | 1<<'\'' | 1<<'=' | 1<<';'
	leftHigh  = 1<<('['-64) | 1<<('{'-64) | 1<<('|'-64)
	rightLow  = leftLow | 1<<')' | 1<<':' | 1<<',' | 1<<'!'
	rightHigh = leftHigh | 1<<(']'-64) | 1<<('}'-64)
)

func in(c byte, low, high uint64) bool {
	if c < 64 {
		return low>>c&1 != 0
	}
	return c < 128 && high>>(c-64)&1 != 0
}

// wordLevel returns the first word of the line that is a level.
func wordLevel(line string) string {
	for i := range len(line) {
		if i > 0 && !in(line[i-1], leftLow, leftHigh) {
			continue
		}
		switch line[i] | 0x20 {
		case 't', 'd', 'f', 'c', 'e', 'w', 'i':
			if level := wordAt(line[i:]); level != "" {
				return level
			}
		}
	}
	return ""
}

// wordAt returns the level whose name s begins with, as a whole word.
func wordAt(s string) string {
	words := [...]string{"trace", "debug", "fatal", "critical", "error", "err", "warning", "warn", "info"}
	for _, w := range words {
		if len(s) < len(w) || s[0]|0x20 != w[0] || !strings.EqualFold(s[:len(w)], w) {
			continue
		}
		if len(s) == len(w) || in(s[len(w)], rightLow, rightHigh) {
			return known(w)
		}
	}
	return ""
}
