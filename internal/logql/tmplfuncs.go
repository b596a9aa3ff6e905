package logql

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/Masterminds/sprig/v3"
	"github.com/dustin/go-humanize"
)

// fromSprig names the functions that are taken from the sprig library as they are.
const fromSprig = "lower upper title trim trimAll trimPrefix trimSuffix replace trunc substr contains hasPrefix hasSuffix " +
	"b64enc default int float64 add sub div mod mul addf subf mulf divf max min maxf minf ceil floor round date"

// templateFuncs returns the functions of line_format and label_format, bound to st.
func templateFuncs(st *templateState, now func() time.Time) template.FuncMap {
	all := sprig.GenericFuncMap()
	fs := template.FuncMap{
		"__line__":      func() string { return st.line },
		tickFunc:        st.tick,
		"__timestamp__": func() time.Time { return time.Unix(0, st.time) },
		"now":           now,

		"ToLower":    strings.ToLower,
		"ToUpper":    strings.ToUpper,
		"TrimSpace":  strings.TrimSpace,
		"Trim":       strings.Trim,
		"TrimLeft":   strings.TrimLeft,
		"TrimRight":  strings.TrimRight,
		"TrimPrefix": strings.TrimPrefix,
		"TrimSuffix": strings.TrimSuffix,
		"Replace":    strings.Replace,
		"alignLeft":  alignLeft,
		"alignRight": alignRight,
		"repeat":     repeat,
		"indent":     indent,
		"nindent":    func(n int, s string) (string, error) { s, err := indent(n, s); return "\n" + s, err },
		"urlencode":  url.QueryEscape,
		"urldecode":  url.QueryUnescape,
		"b64dec":     decodeBase64,
		"fromJson":   fromJSON,
		"count":      st.countMatches,
		"bytes":      parseSize,
		"duration":   parseSeconds,
		"unixToTime": unixToTime,
		"unixEpoch":  func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
		"toDate":     func(layout, s string) time.Time { return toDate(layout, time.Local, s) },

		"unixEpochMillis":        func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) },
		"unixEpochNanos":         func(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) },
		"duration_seconds":       parseSeconds,
		"toDateInZone":           toDateInZone,
		"regexReplaceAll":        st.regexReplaceAll,
		"regexReplaceAllLiteral": st.regexReplaceAllLiteral,
	}
	for _, name := range strings.Fields(fromSprig) {
		fs[name] = all[name]
	}
	return fs
}

func checkTextLen(n int) error {
	if n < 0 || n > maxTemplateText {
		return errTemplateText
	}
	return nil
}

// alignLeft pads s with spaces to n characters, or cuts it to the first n.
func alignLeft(n int, s string) (string, error) {
	have := utf8.RuneCountInString(s)
	switch {
	case n < 0 || n == have:
		return s, nil
	case n < have:
		return string([]rune(s)[:n]), nil
	}
	return s + strings.Repeat(" ", min(n-have, maxTemplateText)), checkTextLen(n)
}

// alignRight pads s with spaces on the left, or keeps the last n characters.
func alignRight(n int, s string) (string, error) {
	have := utf8.RuneCountInString(s)
	switch {
	case n < 0 || n == have:
		return s, nil
	case n < have:
		return string([]rune(s)[have-n:]), nil
	}
	return strings.Repeat(" ", min(n-have, maxTemplateText)) + s, checkTextLen(n)
}

func repeat(n int, s string) (string, error) {
	if n > 0 && len(s) > maxTemplateText/n {
		return "", errTemplateText
	}
	return strings.Repeat(s, max(n, 0)), nil
}

func indent(n int, s string) (string, error) {
	lines := strings.Count(s, "\n") + 1
	if n > maxTemplateText/lines {
		return "", errTemplateText
	}
	pad := strings.Repeat(" ", max(n, 0))
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad), nil
}

// decodeBase64 adds missing padding; what cannot be decoded gives the text of the error.
func decodeBase64(s string) string {
	if n := len(s) % 4; n != 0 {
		s += strings.Repeat("=", 4-n)
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// fromJSON decodes s; what cannot be decoded gives nil.
func fromJSON(s string) any {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return nil
	}
	return v
}

func (st *templateState) countMatches(re, s string) (int, error) {
	r, err := st.regexp(re)
	if err != nil {
		return 0, err
	}
	return len(r.FindAllStringIndex(s, -1)), nil
}

func (st *templateState) regexReplaceAll(re, s, repl string) (string, error) {
	r, err := st.regexp(re)
	if err != nil {
		return "", err
	}
	return r.ReplaceAllString(s, repl), nil
}

func (st *templateState) regexReplaceAllLiteral(re, s, repl string) (string, error) {
	r, err := st.regexp(re)
	if err != nil {
		return "", err
	}
	return r.ReplaceAllLiteralString(s, repl), nil
}

func parseSize(s string) (float64, error) {
	b, err := humanize.ParseBytes(s)
	return float64(b), err
}

func parseSeconds(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	return d.Seconds(), err
}

// toDate parses s; what cannot be parsed gives the zero time.
func toDate(layout string, loc *time.Location, s string) time.Time {
	t, err := time.ParseInLocation(layout, s, loc)
	if err != nil {
		return time.Time{}
	}
	return t
}

func toDateInZone(layout, zone, s string) time.Time {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC
	}
	return toDate(layout, loc, s)
}

// unixToTime reads a Unix time whose unit follows from its number of digits.
func unixToTime(s string) (time.Time, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("unable to parse time %q: want a whole number", s)
	}
	switch len(s) {
	case 5:
		return time.Unix(v*86400, 0), nil
	case 10:
		return time.Unix(v, 0), nil
	case 13:
		return time.UnixMilli(v), nil
	case 16:
		return time.UnixMicro(v), nil
	case 19:
		return time.Unix(0, v), nil
	}
	return time.Time{}, fmt.Errorf("unable to parse time %q: want 5 digits for days, 10 for seconds, 13, 16 or 19", s)
}
