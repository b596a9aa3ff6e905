package loki

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
)

// flushAt is the size at which a growing answer is sent on.
const flushAt = 1 << 16

// encoder writes JSON piece by piece.
type encoder struct {
	w   http.ResponseWriter
	b   []byte
	err error
}

func newEncoder(w http.ResponseWriter) *encoder {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	return &encoder{w: w}
}

// spill sends what has been written so far if it is much.
func (e *encoder) spill() {
	if len(e.b) >= flushAt {
		e.send()
	}
}

func (e *encoder) send() {
	if e.err == nil && len(e.b) > 0 {
		_, e.err = e.w.Write(e.b)
	}
	e.b = e.b[:0]
}

// close sends the rest.
func (e *encoder) close() error {
	e.send()
	return e.err
}

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }

// writeResult writes the answer to a query.
func writeResult(w http.ResponseWriter, res *logql.Result, st *query.Stats, flags []string) error {
	e := newEncoder(w)
	e.raw(`{"status":"success",`)
	e.warnings(st.Warnings)
	e.raw(`"data":{"resultType":"` + string(res.Type) + `",`)
	if len(flags) > 0 && res.Type == logql.Streams {
		e.flags(flags)
		e.raw(`,`)
	}
	e.raw(`"result":`)
	categorize := false
	for _, f := range flags {
		categorize = categorize || f == categorizeFlag
	}
	returned := 0
	switch res.Type {
	case logql.Streams:
		e.raw(`[`)
		for i := range res.Streams {
			if i > 0 {
				e.raw(`,`)
			}
			e.stream(&res.Streams[i], categorize)
			returned += len(res.Streams[i].Entries)
		}
		e.raw(`]`)
	case logql.Scalar:
		e.b = appendPoint(e.b, res.Scalar)
	default:
		e.raw(`[`)
		for i := range res.Series {
			if i > 0 {
				e.raw(`,`)
			}
			e.series(&res.Series[i], res.Type == logql.Vector)
			returned += len(res.Series[i].Points)
		}
		e.raw(`]`)
	}
	e.raw(`,"stats":`)
	e.b = appendStats(e.b, st, returned)
	e.raw("}}\n")
	return e.close()
}

func (e *encoder) warnings(ws []string) {
	if len(ws) == 0 {
		return
	}
	e.raw(`"warnings":`)
	e.b = appendStrings(e.b, ws)
	e.raw(`,`)
}

func (e *encoder) flags(flags []string) {
	e.raw(`"encodingFlags":`)
	e.b = appendStrings(e.b, flags)
}

func (e *encoder) stream(s *logql.Stream, categorize bool) {
	e.raw(`{"stream":`)
	e.b = appendLabels(e.b, s.Labels)
	e.raw(`,"values":[`)
	for i := range s.Entries {
		if i > 0 {
			e.raw(`,`)
		}
		e.b = appendEntry(e.b, &s.Entries[i], categorize)
		e.spill()
	}
	e.raw(`]}`)
}

func appendEntry(b []byte, en *logql.Entry, categorize bool) []byte {
	b = append(b, `["`...)
	b = strconv.AppendInt(b, en.Time, 10)
	b = append(b, `",`...)
	b = appendString(b, en.Line)
	if categorize {
		b = append(b, `,{`...)
		if len(en.Meta) > 0 {
			b = append(b, `"structuredMetadata":`...)
			b = appendLabels(b, en.Meta)
		}
		if len(en.Parsed) > 0 {
			if len(en.Meta) > 0 {
				b = append(b, ',')
			}
			b = append(b, `"parsed":`...)
			b = appendLabels(b, en.Parsed)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func (e *encoder) series(s *logql.Series, vector bool) {
	e.raw(`{"metric":`)
	e.b = appendLabels(e.b, s.Labels)
	if vector {
		e.raw(`,"value":`)
		e.b = appendPoint(e.b, s.Points[0])
		e.raw(`}`)
		e.spill()
		return
	}
	e.raw(`,"values":[`)
	for i, p := range s.Points {
		if i > 0 {
			e.raw(`,`)
		}
		e.b = appendPoint(e.b, p)
		e.spill()
	}
	e.raw(`]}`)
}

func appendPoint(b []byte, p logql.Point) []byte {
	b = append(b, '[')
	b = api.AppendThousandths(b, p.Time/int64(time.Millisecond))
	b = append(b, `,"`...)
	b = strconv.AppendFloat(b, p.Value, 'f', -1, 64)
	return append(b, `"]`...)
}

func appendLabels(b []byte, ls model.Labels) []byte {
	b = append(b, '{')
	for i, l := range ls {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, l.Name)
		b = append(b, ':')
		b = appendString(b, l.Value)
	}
	return append(b, '}')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

const hexDigits = "0123456789abcdef"

// appendString writes s as a JSON string. Like Loki's it is safe inside HTML, and what is
// not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + n
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[r&15])
			start = i + n
		}
		i += n
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// writeJSON writes a small answer.
func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	e := newEncoder(w)
	e.b = append(body, '\n')
	return e.close()
}
