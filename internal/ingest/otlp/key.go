package otlp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/otlptranslator"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
)

// A key is keyPrefix and then records: a kind, a name and a value, both with their
// length before them. The order is the sender's, names of attributes are untranslated:
// making a key is copying bytes. The prefix keeps keys apart from those of remote write,
// which begin with 0x0a.
const keyPrefix = 0x01

// Kinds of records. Together they say what Prometheus' translation makes of the series:
// attributes first, colliding ones joined; promoted resource attributes where the name
// is free; final labels over everything.
const (
	recAttr     = 'A'
	recPromoted = 'P'
	recFinal    = 'L'
)

// appendRec appends a record whose name and value are known.
func appendRec(dst []byte, kind byte, name, value string) []byte {
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// appendName appends the record of the metric name, which is name and suffix.
func appendName(dst []byte, name, suffix string) []byte {
	dst = append(dst, recFinal)
	dst = binary.AppendUvarint(dst, uint64(len(model.MetricName)))
	dst = append(dst, model.MetricName...)
	dst = binary.AppendUvarint(dst, uint64(len(name)+len(suffix)))
	return append(append(dst, name...), suffix...)
}

// appendAttr appends a record of a kind of an attribute. The metric name is never one.
func appendAttr(dst []byte, kind byte, a *attr) []byte {
	switch {
	case a.key == model.MetricName:
		return dst
	case a.kind == kindString:
		return appendRec(dst, kind, a.key, a.text)
	case a.kind == kindInt:
		var buf [20]byte
		return appendRec(dst, kind, a.key, wire.AsString(strconv.AppendInt(buf[:0], int64(a.num), 10)))
	}
	return appendRec(dst, kind, a.key, a.String())
}

var errKey = errors.New("malformed series key")

// nextRec reads the first record of key.
func nextRec(key []byte) (kind byte, l model.Label, rest []byte, err error) {
	text := func() string {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			err = errKey
			return ""
		}
		s := rest[size : size+int(n)]
		rest = rest[size+int(n):]
		return wire.AsString(s)
	}
	kind, rest = key[0], key[1:]
	l.Name = text()
	if err == nil {
		l.Value = text()
	}
	return kind, l, rest, err
}

// labelNamer translates attribute names as Prometheus' OTLP endpoint does by default.
func labelNamer() otlptranslator.LabelNamer {
	return otlptranslator.LabelNamer{UnderscoreLabelSanitization: true, PreserveMultipleUnderscores: true} //nolint:staticcheck // Prometheus sets it by default, deprecated or not
}

// decodeKey is the Decode of every batch of this package: it does the part of the
// translation that a known series is spared.
func decodeKey(key []byte, dst model.Labels) (model.Labels, error) {
	if len(key) == 0 || key[0] != keyPrefix {
		return dst, errKey
	}
	var attrs, promoted, final []model.Label
	for rest := key[1:]; len(rest) > 0; {
		kind, l, next, err := nextRec(rest)
		if err != nil {
			return dst, err
		}
		rest = next
		if !utf8.ValidString(l.Value) {
			return dst, fmt.Errorf("value %q of %s is not valid UTF-8", l.Value, l.Name)
		}
		switch kind {
		case recAttr:
			attrs = append(attrs, l)
		case recPromoted:
			promoted = append(promoted, l)
		case recFinal:
			final = append(final, l)
		default:
			return dst, errKey
		}
	}
	first := len(dst)
	find := func(name string) int {
		return slices.IndexFunc(dst[first:], func(l model.Label) bool { return l.Name == name }) + first
	}
	namer := labelNamer()
	slices.SortStableFunc(attrs, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range attrs {
		name, err := namer.Build(l.Name)
		if err != nil {
			return dst, fmt.Errorf("translate attribute name: %w", err)
		}
		if i := find(name); i >= first && dst[i].Value != "" {
			dst[i].Value += ";" + l.Value
		} else if i >= first {
			dst[i].Value = l.Value
		} else {
			dst = append(dst, model.Label{Name: name, Value: l.Value})
		}
	}
	for _, l := range promoted {
		if i := find(l.Name); i < first {
			dst = append(dst, l)
		} else if dst[i].Value == "" {
			dst[i].Value = l.Value
		}
	}
	for _, l := range final {
		if i := find(l.Name); i < first {
			dst = append(dst, l)
		} else {
			dst[i].Value = l.Value
		}
	}
	out := dst[:first]
	for _, l := range dst[first:] {
		if l.Value != "" {
			out = append(out, l)
		}
	}
	return out, nil
}
