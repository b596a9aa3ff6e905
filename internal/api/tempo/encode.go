package tempo

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message being written, as JSON or in the binary encoding: a
// response is described once, by field number and JSON name. Like proto3 it leaves out
// zero values, except where a method says otherwise.
//
//nolint:interfacebloat // one method a wire type of protobuf, that is what it abstracts
type message interface {
	str(num protowire.Number, name, v string)
	uint32(num protowire.Number, name string, v uint32) // a number in JSON
	uint64(num protowire.Number, name string, v uint64) // a string in JSON
	double(num protowire.Number, name string, v float64)
	enum(num protowire.Number, name string, v int, text string)
	bytes(num protowire.Number, name string, v []byte)
	fixed64(num protowire.Number, name string, v uint64)
	fixed32(num protowire.Number, name string, v uint32)
	// message writes a nested message, also an empty one.
	message(num protowire.Number, name string, f func(message))
	// list writes n nested messages; always keeps an empty list in JSON.
	list(num protowire.Number, name string, n int, always bool, f func(i int, m message))
	strs(num protowire.Number, name string, vs []string, always bool)
	// entry writes one entry of a map from strings to messages; entries of one map are
	// written between calls of mapStart and mapEnd.
	mapStart(name string)
	entry(num protowire.Number, key string, f func(message))
	mapEnd()
	// The alternatives of a oneof are written even when zero.
	oneofStr(num protowire.Number, name, v string)
	oneofBool(num protowire.Number, name string, v bool)
	oneofInt(num protowire.Number, name string, v int64)
	oneofDouble(num protowire.Number, name string, v float64)
}

// send writes the message that f describes in the encoding that the client accepts.
func send(w http.ResponseWriter, r *http.Request, f func(message)) error {
	if wantsProto(r) {
		m := &protoMessage{}
		f(m)
		w.Header().Set("Content-Type", "application/protobuf")
		_, err := w.Write(m.b)
		return err
	}
	m := &jsonMessage{}
	m.nested(f)
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(m.b)
	return err
}

func wantsProto(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/protobuf")
}

// jsonMessage writes proto3 JSON as Tempo does: 64-bit integers as strings, bytes in
// base64, enums by name.
type jsonMessage struct {
	b     []byte
	comma bool // the next field needs one before it
}

func (m *jsonMessage) key(name string) {
	if m.comma {
		m.b = append(m.b, ',')
	}
	m.comma = true
	m.b = append(m.b, '"')
	m.b = append(m.b, name...)
	m.b = append(m.b, '"', ':')
}

// nested writes an object of its own in place of a value.
func (m *jsonMessage) nested(f func(message)) {
	outer := m.comma
	m.comma = false
	m.b = append(m.b, '{')
	f(m)
	m.b = append(m.b, '}')
	m.comma = outer
}

func (m *jsonMessage) str(_ protowire.Number, name, v string) {
	if v != "" {
		m.oneofStr(0, name, v)
	}
}

func (m *jsonMessage) uint32(_ protowire.Number, name string, v uint32) {
	if v != 0 {
		m.key(name)
		m.b = strconv.AppendUint(m.b, uint64(v), 10)
	}
}

func (m *jsonMessage) uint64(_ protowire.Number, name string, v uint64) {
	if v != 0 {
		m.key(name)
		m.b = append(m.b, '"')
		m.b = strconv.AppendUint(m.b, v, 10)
		m.b = append(m.b, '"')
	}
}

func (m *jsonMessage) double(_ protowire.Number, name string, v float64) {
	if v != 0 {
		m.oneofDouble(0, name, v)
	}
}

func (m *jsonMessage) enum(_ protowire.Number, name string, v int, text string) {
	if v != 0 {
		m.oneofStr(0, name, text)
	}
}

func (m *jsonMessage) bytes(_ protowire.Number, name string, v []byte) {
	if len(v) > 0 {
		m.key(name)
		m.b = append(m.b, '"')
		m.b = base64.StdEncoding.AppendEncode(m.b, v)
		m.b = append(m.b, '"')
	}
}

func (m *jsonMessage) fixed64(_ protowire.Number, name string, v uint64) { m.uint64(0, name, v) }
func (m *jsonMessage) fixed32(_ protowire.Number, name string, v uint32) { m.uint32(0, name, v) }

func (m *jsonMessage) message(_ protowire.Number, name string, f func(message)) {
	m.key(name)
	m.nested(f)
}

func (m *jsonMessage) list(_ protowire.Number, name string, n int, always bool, f func(i int, m message)) {
	if n == 0 && !always {
		return
	}
	m.key(name)
	m.b = append(m.b, '[')
	for i := range n {
		if i > 0 {
			m.b = append(m.b, ',')
		}
		m.nested(func(x message) { f(i, x) })
	}
	m.b = append(m.b, ']')
}

func (m *jsonMessage) strs(_ protowire.Number, name string, vs []string, always bool) {
	if len(vs) == 0 && !always {
		return
	}
	m.key(name)
	m.b = append(m.b, '[')
	for i, v := range vs {
		if i > 0 {
			m.b = append(m.b, ',')
		}
		m.b = appendString(m.b, v)
	}
	m.b = append(m.b, ']')
}

func (m *jsonMessage) mapStart(name string) {
	m.key(name)
	m.b = append(m.b, '{')
	m.comma = false
}

func (m *jsonMessage) entry(_ protowire.Number, key string, f func(message)) {
	if m.comma {
		m.b = append(m.b, ',')
	}
	m.comma = true
	m.b = append(appendString(m.b, key), ':')
	m.nested(f)
}

func (m *jsonMessage) mapEnd() {
	m.b = append(m.b, '}')
	m.comma = true
}

func (m *jsonMessage) oneofStr(_ protowire.Number, name, v string) {
	m.key(name)
	m.b = appendString(m.b, v)
}

func (m *jsonMessage) oneofBool(_ protowire.Number, name string, v bool) {
	m.key(name)
	m.b = strconv.AppendBool(m.b, v)
}

func (m *jsonMessage) oneofInt(_ protowire.Number, name string, v int64) {
	m.key(name)
	m.b = append(m.b, '"')
	m.b = strconv.AppendInt(m.b, v, 10)
	m.b = append(m.b, '"')
}

func (m *jsonMessage) oneofDouble(_ protowire.Number, name string, v float64) {
	m.key(name)
	m.b = appendFloat(m.b, v)
}

// appendFloat writes v as encoding/json does; what JSON cannot say becomes a string, as
// in proto3 JSON.
func appendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return append(b, '0')
	}
	return append(b, text...)
}

// appendString writes s as a JSON string with <, > and & escaped.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...)
			}
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// protoMessage writes the binary encoding.
type protoMessage struct{ b []byte }

func (m *protoMessage) varint(num protowire.Number, v uint64) {
	m.b = protowire.AppendTag(m.b, num, protowire.VarintType)
	m.b = protowire.AppendVarint(m.b, v)
}

func (m *protoMessage) str(num protowire.Number, name, v string) {
	if v != "" {
		m.oneofStr(num, name, v)
	}
}

func (m *protoMessage) uint32(num protowire.Number, _ string, v uint32) {
	if v != 0 {
		m.varint(num, uint64(v))
	}
}

func (m *protoMessage) uint64(num protowire.Number, _ string, v uint64) {
	if v != 0 {
		m.varint(num, v)
	}
}

func (m *protoMessage) double(num protowire.Number, name string, v float64) {
	if v != 0 {
		m.oneofDouble(num, name, v)
	}
}

func (m *protoMessage) enum(num protowire.Number, _ string, v int, _ string) {
	if v != 0 {
		m.varint(num, uint64(v))
	}
}

func (m *protoMessage) bytes(num protowire.Number, _ string, v []byte) {
	if len(v) > 0 {
		m.b = protowire.AppendTag(m.b, num, protowire.BytesType)
		m.b = protowire.AppendBytes(m.b, v)
	}
}

func (m *protoMessage) fixed64(num protowire.Number, _ string, v uint64) {
	if v != 0 {
		m.b = protowire.AppendTag(m.b, num, protowire.Fixed64Type)
		m.b = protowire.AppendFixed64(m.b, v)
	}
}

func (m *protoMessage) fixed32(num protowire.Number, _ string, v uint32) {
	if v != 0 {
		m.b = protowire.AppendTag(m.b, num, protowire.Fixed32Type)
		m.b = protowire.AppendFixed32(m.b, v)
	}
}

func (m *protoMessage) message(num protowire.Number, _ string, f func(message)) {
	inner := &protoMessage{}
	f(inner)
	m.b = protowire.AppendTag(m.b, num, protowire.BytesType)
	m.b = protowire.AppendBytes(m.b, inner.b)
}

func (m *protoMessage) list(num protowire.Number, name string, n int, _ bool, f func(i int, m message)) {
	for i := range n {
		m.message(num, name, func(x message) { f(i, x) })
	}
}

func (m *protoMessage) strs(num protowire.Number, name string, vs []string, _ bool) {
	for _, v := range vs {
		m.oneofStr(num, name, v)
	}
}

func (m *protoMessage) mapStart(string) {}
func (m *protoMessage) mapEnd()         {}

func (m *protoMessage) entry(num protowire.Number, key string, f func(message)) {
	m.message(num, "", func(e message) {
		e.str(1, "", key)
		e.message(2, "", f)
	})
}

func (m *protoMessage) oneofStr(num protowire.Number, _, v string) {
	m.b = protowire.AppendTag(m.b, num, protowire.BytesType)
	m.b = protowire.AppendString(m.b, strings.ToValidUTF8(v, "\ufffd")) // else clients refuse the whole message
}

func (m *protoMessage) oneofBool(num protowire.Number, _ string, v bool) {
	m.varint(num, protowire.EncodeBool(v))
}

func (m *protoMessage) oneofInt(num protowire.Number, _ string, v int64) { m.varint(num, uint64(v)) }

func (m *protoMessage) oneofDouble(num protowire.Number, _ string, v float64) {
	m.b = protowire.AppendTag(m.b, num, protowire.Fixed64Type)
	m.b = protowire.AppendFixed64(m.b, math.Float64bits(v))
}
