package lokipush

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
)

// decodeJSON decodes a JSON push in the present or the older form:
//
//	{"streams":[{"stream":{"app":"x"},"values":[["1700000000000000000","line",{"k":"v"}]]}]}
//	{"streams":[{"labels":"{app=\"x\"}","entries":[{"ts":"2024-01-01T00:00:00Z","line":"line"}]}]}
//
// A value of a wrong type refuses the whole request; a bad label set only its stream.
func (s *Server) decodeJSON(body []byte, d *decoder) error {
	root, err := d.json.ParseBytes(body)
	if err != nil {
		return badJSON("%v", err)
	}
	if root.Type() != fastjson.TypeObject {
		return badJSON("the body is %s, not an object", a(root))
	}
	list := root.Get("streams")
	if list == nil || list.Type() == fastjson.TypeNull {
		return errNoStreams()
	}
	streams, err := list.Array()
	if err != nil {
		return badJSON("streams is %s, not an array", a(list))
	}
	if len(streams) == 0 {
		return errNoStreams()
	}
	for i, v := range streams {
		if v.Type() != fastjson.TypeObject {
			return badJSON("streams[%d] is %s, not an object", i, a(v))
		}
		if err := s.jsonStream(v, i, d); err != nil {
			return err
		}
	}
	return nil
}

func badJSON(format string, args ...any) error {
	return ingest.Errorf(http.StatusBadRequest, "couldn't parse push request: "+format, args...)
}

// a names the type of v.
func a(v *fastjson.Value) string {
	switch t := v.Type(); t {
	case fastjson.TypeObject, fastjson.TypeArray:
		return "an " + t.String()
	case fastjson.TypeTrue, fastjson.TypeFalse:
		return "a boolean"
	default:
		return "a " + t.String()
	}
}

func (s *Server) jsonStream(v *fastjson.Value, i int, d *decoder) error {
	values, legacy := v.Get("values"), false
	if values == nil {
		values, legacy = v.Get("entries"), true
	}
	var entries []*fastjson.Value
	if values != nil && values.Type() != fastjson.TypeNull {
		var err error
		if entries, err = values.Array(); err != nil {
			return badJSON("the values of streams[%d] are %s, not an array", i, a(values))
		}
	}
	stream, labelErr, err := s.jsonLabels(v, i, d)
	if err != nil {
		return err
	}
	b := &d.Builder
	if labelErr != nil {
		b.RefuseStream(len(entries), labelErr)
		return nil
	}
	b.Stream(stream)
	for j, e := range entries {
		if legacy {
			err = jsonLegacyEntry(e, i, j, b)
		} else {
			err = jsonEntry(e, i, j, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// jsonLabels reads the labels of a stream in either form. labelErr refuses the stream,
// err the request.
func (s *Server) jsonLabels(v *fastjson.Value, i int, d *decoder) (stream *logrules.Stream, labelErr, err error) {
	if text := v.Get("labels"); text != nil && text.Type() == fastjson.TypeString {
		stream, labelErr = s.streams.of(d.Rules(), false).get(str(text), logrules.ParseLabels)
		return stream, labelErr, nil
	}
	set := v.Get("stream")
	if set == nil || set.Type() == fastjson.TypeNull {
		stream, labelErr = d.Rules().NewStream(nil)
		return stream, labelErr, nil
	}
	if set.Type() != fastjson.TypeObject {
		return nil, nil, badJSON("the stream of streams[%d] is %s, not an object of labels", i, a(set))
	}
	d.text = set.MarshalTo(d.text[:0])
	stream, labelErr = s.streams.of(d.Rules(), true).get(wire.AsString(d.text), func(string) (ls model.Labels, _ error) {
		ls, err = jsonSet(set.GetObject(), i)
		return ls, err
	})
	if err != nil {
		return nil, nil, err
	}
	return stream, labelErr, nil
}

// jsonSet reads an object of labels.
func jsonSet(obj *fastjson.Object, i int) (ls model.Labels, err error) {
	obj.Visit(func(name []byte, value *fastjson.Value) {
		if value.Type() != fastjson.TypeString {
			err = badJSON("label %s of streams[%d] is %s, not a string", name, i, a(value))
			return
		}
		if text := str(value); text != "" {
			ls = append(ls, model.Label{Name: string(name), Value: strings.Clone(text)})
		}
	})
	return ls, err
}

// str returns the text of a string value, with what is not UTF-8 replaced. It may share
// the parser's memory.
func str(v *fastjson.Value) string {
	return strings.ToValidUTF8(wire.AsString(v.GetStringBytes()), "\uFFFD")
}

// jsonEntry reads [timestamp, line, metadata].
func jsonEntry(v *fastjson.Value, i, j int, b *logrules.Builder) error {
	parts, err := v.Array()
	if err != nil {
		return badJSON("streams[%d].values[%d] is %s, not an array of timestamp and line", i, j, a(v))
	}
	if len(parts) == 0 {
		return badJSON("streams[%d].values[%d] is empty, not an array of timestamp and line", i, j)
	}
	if parts[0].Type() != fastjson.TypeString {
		return badJSON("the timestamp of streams[%d].values[%d] is %s, not a string of Unix nanoseconds", i, j, a(parts[0]))
	}
	ts, err := strconv.ParseInt(string(parts[0].GetStringBytes()), 10, 64)
	if err != nil {
		return badJSON("the timestamp of streams[%d].values[%d]: %q is not a number of Unix nanoseconds", i, j, parts[0].GetStringBytes())
	}
	line := ""
	if len(parts) > 1 {
		if parts[1].Type() != fastjson.TypeString {
			return badJSON("the line of streams[%d].values[%d] is %s, not a string", i, j, a(parts[1]))
		}
		line = str(parts[1])
	}
	if len(parts) > 2 {
		if err := jsonMeta(parts[2], i, j, b); err != nil {
			return err
		}
	}
	b.Entry(ts, line)
	return nil
}

func jsonMeta(v *fastjson.Value, i, j int, b *logrules.Builder) error {
	obj, err := v.Object()
	if err != nil {
		return badJSON("the structured metadata of streams[%d].values[%d] is %s, not an object", i, j, a(v))
	}
	obj.Visit(func(name []byte, value *fastjson.Value) {
		if value.Type() != fastjson.TypeString {
			err = badJSON("structured metadata %s of streams[%d].values[%d] is %s, not a string", name, i, j, a(value))
			return
		}
		b.Meta(string(name), string(value.GetStringBytes()))
	})
	return err
}

// jsonLegacyEntry reads {"ts": ..., "line": ...}.
func jsonLegacyEntry(v *fastjson.Value, i, j int, b *logrules.Builder) error {
	text := v.GetStringBytes("ts")
	if text == nil {
		text = v.GetStringBytes("timestamp")
	}
	ts, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return badJSON("ts of streams[%d].entries[%d]: %q is not an RFC 3339 time", i, j, text)
	}
	line := v.Get("line")
	if line == nil || line.Type() != fastjson.TypeString {
		return badJSON("line of streams[%d].entries[%d] is not a string", i, j)
	}
	b.Entry(ts.UnixNano(), str(line))
	return nil
}
