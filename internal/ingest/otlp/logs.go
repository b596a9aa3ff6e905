package otlp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// streamLabel returns the label name of a stream attribute: what a label name cannot hold
// becomes an underscore.
func streamLabel(attr string) string {
	b := []byte(attr)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			b[i] = '_'
		}
	}
	if len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		return "key_" + string(b)
	}
	return string(b)
}

// AppendLogs feeds every record of an ExportLogsServiceRequest to b: resource attributes
// that the rules of b name are its stream labels, everything else is structured metadata,
// entry before resource before scope. It returns the number of resources. body must not
// change until the batch is written. An error wraps [model.ErrMalformed] or
// [store.ErrLimit]: the batch must not be written then.
func AppendLogs(b *logrules.Builder, body []byte) (resources int, err error) {
	l := logs{b: b, rules: b.Rules()}
	err = each(wire.NewReader(body), "ExportLogsServiceRequest", 1, func(r wire.Reader) error {
		resources++
		return l.resourceLogs(r)
	})
	if errors.Is(err, model.ErrMalformed) {
		err = fmt.Errorf("decode ExportLogsServiceRequest: %w", err)
	}
	return resources, err
}

// logs feeds log records to a builder.
type logs struct {
	b     *logrules.Builder
	rules *logrules.Rules
	attrs []attr // of the resource or scope or record at hand

	severities *severityStreams // of the resource, where severity texts are labels

	resource int // fields of the resource that its records share

	text   []byte // the end of the texts of numbers and ids
	kept   int    // bytes of text that are not the record's at hand
	joined int    // bytes of names of flattened maps
}

// resourceLogs feeds a ResourceLogs.
func (l *logs) resourceLogs(r wire.Reader) error {
	scopes := fieldOldScopes
	l.attrs = l.attrs[:0]
	f := wire.Walk(r, "ResourceLogs")
	for f.Next() {
		switch f.Num {
		case 1:
			var err error
			l.attrs, err = readAttrs(f.Message(), "Resource", 1, l.attrs)
			f.Check(err)
		case fieldScopes:
			scopes = fieldScopes
		}
	}
	if err := f.Err(); err != nil {
		return err
	}
	stream, err := l.stream()
	if err != nil {
		return l.refuse(r, scopes, err)
	}
	l.b.Stream(stream)
	l.b.Unshare(0)
	l.metas(logrules.InResource, l.attrs, l.b.ShareMeta)
	l.resource = l.b.Shared()
	return each(r, "ResourceLogs", scopes, l.scopeLogs)
}

// stream makes the stream of the resource, and drops the attributes that are in it.
func (l *logs) stream() (*logrules.Stream, error) {
	var labels model.Labels
	rest := l.attrs[:0]
	for _, a := range l.attrs {
		switch l.rules.Attribute(logrules.InResource, a.key) {
		case logrules.AsMetadata:
			rest = append(rest, a)
		case logrules.AsLabel:
			if text := a.String(); text != "" {
				labels = append(labels, model.Label{Name: streamLabel(a.key), Value: text})
			}
		}
	}
	l.attrs = rest
	if l.rules != nil && l.rules.SeverityLabel {
		l.severities = &severityStreams{rules: l.rules, resource: slices.Clone(labels), streams: map[string]*logrules.Stream{}}
	}
	return l.rules.NewStream(labels)
}

// severityStreams is the streams of a resource whose records have the label severity_text.
type severityStreams struct {
	rules    *logrules.Rules
	resource model.Labels
	streams  map[string]*logrules.Stream // by severity text
	last     *logrules.Stream            // that entries go to
}

const severityText = "severity_text"

// of returns the stream of the records with a severity text, "" for none.
func (s *severityStreams) of(text string) (*logrules.Stream, error) {
	if found := s.streams[text]; found != nil {
		return found, nil
	}
	stream, err := s.rules.NewStream(append(slices.Clone(s.resource), model.Label{Name: severityText, Value: text}))
	if err == nil {
		s.streams[text] = stream
	}
	return stream, err
}

// refuse counts the records of a resource whose stream is refused for a reason.
func (l *logs) refuse(r wire.Reader, scopes int, reason error) error {
	n := 0
	err := each(r, "ResourceLogs", scopes, func(r wire.Reader) error {
		return each(r, "ScopeLogs", 2, func(wire.Reader) error { n++; return nil })
	})
	if err == nil {
		l.b.RefuseStream(n, reason)
	}
	return err
}

// scopeLogs feeds a ScopeLogs.
func (l *logs) scopeLogs(r wire.Reader) error {
	var s scope
	l.attrs = l.attrs[:0]
	err := each(r, "ScopeLogs", 1, func(r wire.Reader) (err error) {
		l.attrs, err = s.read(r, l.attrs)
		return err
	})
	if err != nil {
		return err
	}
	l.b.Unshare(l.resource)
	l.b.ShareMeta("scope_name", s.name)
	l.b.ShareMeta("scope_version", s.version)
	l.metas(logrules.InScope, l.attrs, l.b.ShareMeta)
	if s.dropped != 0 {
		l.b.ShareMeta("scope_dropped_attributes_count", l.number(int64(s.dropped)))
	}
	l.kept = len(l.text)
	return each(r, "ScopeLogs", 2, func(r wire.Reader) error {
		if err := l.record(r); err != nil {
			return err
		}
		if l.joined > maxJoined {
			return fmt.Errorf("write logs: %w: the names of attributes in maps of the request, written out, have more than %d bytes; send smaller batches", store.ErrLimit, maxJoined)
		}
		return nil
	})
}

// record is a LogRecord as far as it is kept.
type record struct {
	ts, observed        uint64
	severity            int32
	severityText, event string
	body                anyValue
	dropped, flags      uint32
	trace, span         []byte
}

// read reads a LogRecord and appends its attributes to attrs.
func (rec *record) read(r wire.Reader, attrs []attr) ([]attr, error) {
	f := wire.Walk(r, "LogRecord")
	for f.Next() {
		switch f.Num {
		case 1:
			rec.ts = f.Fixed64()
		case 2:
			rec.severity = int32(f.Uvarint())
		case 3:
			rec.severityText = f.String()
		case 5:
			if b := f.Bytes(); !rec.body.plain(b) {
				f.Check(rec.body.read(f.Inner(b), 0))
			}
		case 6:
			b := f.Bytes()
			attrs = append(attrs, attr{})
			if a := &attrs[len(attrs)-1]; !a.plain(b) {
				f.Check(a.read(f.Inner(b), 0))
			}
		case 7:
			rec.dropped = uint32(f.Uvarint())
		case 8:
			rec.flags = f.Fixed32()
		case 9:
			rec.trace = readID(&f, len(model.TraceID{}))
		case 10:
			rec.span = readID(&f, len(model.SpanID{}))
		case 11:
			rec.observed = f.Fixed64()
		case 12:
			rec.event = f.String()
		}
	}
	return attrs, f.Err()
}

// record feeds a LogRecord.
func (l *logs) record(r wire.Reader) (err error) {
	var rec record
	if l.attrs, err = rec.read(r, l.attrs[:0]); err != nil {
		return err
	}
	b := l.b
	if l.severities != nil {
		stream, err := l.severities.of(rec.severityText)
		if err != nil {
			b.RefuseStream(1, err)
			return nil
		}
		if stream != l.severities.last {
			b.Stream(stream)
			l.severities.last = stream
		}
		rec.severityText = ""
	}
	l.text = l.text[:l.kept] // the builder has copied that of the record before
	ts := int64(rec.ts)
	switch {
	case ts != 0 && rec.observed != 0:
		b.Meta("observed_timestamp", l.number(int64(rec.observed)))
	case ts != 0:
	case rec.observed != 0:
		ts = int64(rec.observed)
	default:
		ts = b.Now()
	}
	if rec.severity != 0 {
		b.Meta("severity_number", l.number(int64(rec.severity)))
	}
	b.Meta(severityText, rec.severityText)
	b.Meta("trace_id", l.hex(rec.trace))
	b.Meta("span_id", l.hex(rec.span))
	if rec.flags != 0 {
		b.Meta("flags", l.number(int64(rec.flags)))
	}
	if rec.dropped != 0 {
		b.Meta("dropped_attributes_count", l.number(int64(rec.dropped)))
	}
	b.Meta("event_name", rec.event)
	l.metas(logrules.InLog, l.attrs, b.Meta)
	b.Entry(ts, rec.body.String())
	return nil
}

// maxJoined bounds the names that the maps of a request are flattened to: a name is
// written again for each of the values below it.
const maxJoined = 64 << 20

// metas gives attributes to add as structured metadata, except those that the rules drop.
func (l *logs) metas(where logrules.Place, attrs []attr, add func(name, value string)) {
	for i := range attrs {
		if l.rules == nil || l.rules.Attribute(where, attrs[i].key) != logrules.Dropped {
			l.meta(attrs[i].key, &attrs[i].anyValue, add)
		}
	}
}

// meta gives an attribute to add; maps are flattened, joined by _.
func (l *logs) meta(name string, v *anyValue, add func(name, value string)) {
	switch v.kind {
	case kindString:
		add(name, v.text)
	case kindInt:
		add(name, l.number(int64(v.num)))
	case kindDouble:
		at := l.room(maxDouble)
		l.text = appendDouble(l.text, math.Float64frombits(v.num))
		add(name, wire.AsString(l.text[at:]))
	case kindMap:
		v.elements(func(a *attr) {
			if l.joined += len(name) + 1 + len(a.key); l.joined <= maxJoined {
				l.meta(name+"_"+a.key, &a.anyValue, add)
			}
		})
	default:
		add(name, v.String())
	}
}

// number returns the text of n.
func (l *logs) number(n int64) string {
	at := l.room(20)
	l.text = strconv.AppendInt(l.text, n, 10)
	return wire.AsString(l.text[at:])
}

// hex returns the text of an id, none of none.
func (l *logs) hex(id []byte) string {
	at := l.room(2 * len(id))
	l.text = hex.AppendEncode(l.text, id)
	return wire.AsString(l.text[at:])
}

// room makes room for n bytes of text, and returns where it begins. Earlier texts of the
// record, and those that are kept, stay valid.
func (l *logs) room(n int) int {
	if cap(l.text)-len(l.text) < n {
		l.text, l.kept = make([]byte, 0, 4<<10), 0
	}
	return len(l.text)
}
