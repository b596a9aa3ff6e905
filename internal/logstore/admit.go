package logstore

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// group is the admitted entries of one stream of a batch. Strings are the sender's.
type group struct {
	labels  model.Labels // sorted, unique, not empty
	stream  *stream
	entries []store.LogEntry
	rows    []row // set by encodeRecord; strings are the store's
}

// Reasons of Loki's that only logs have.
const (
	reasonNoMetadata    = "disallowed_structured_metadata"
	reasonMissingLabels = "missing_enforced_labels"
)

// Names that are added on the way in, which the limits of a sender do not count.
const (
	serviceName   = "service_name"
	detectedLevel = "detected_level"
)

// admit checks b against the limits and returns what may be stored. It does not change b.
func admit(b *store.LogBatch, lim Limits, now time.Time, refused *store.Refused) []group {
	groups := make([]group, 0, len(b.Streams))
	for i := range b.Streams {
		in := &b.Streams[i]
		if len(in.Entries) == 0 {
			continue
		}
		labels, err := normalise(in.Labels)
		if err != nil {
			refused.Add(store.ReasonInvalidLabels, len(in.Entries), err.Error)
			continue
		}
		if reason, message := lim.checkLabels(labels, now); reason != "" {
			refused.Add(reason, len(in.Entries), message)
			continue
		}
		c := entryCheck{lim: &lim, labels: labels, refused: refused}
		c.oldest, c.newest = lim.window(now, labels)
		if entries := c.all(in.Entries); len(entries) > 0 {
			groups = append(groups, group{labels: labels, entries: entries})
		}
	}
	return groups
}

// normalise returns ls sorted and without empty values; the result may be ls itself.
func normalise(ls model.Labels) (model.Labels, error) {
	sorted := true
	for i := range ls {
		if ls[i].Value == "" || i > 0 && ls[i-1].Name >= ls[i].Name {
			sorted = false
			break
		}
	}
	if !sorted {
		given := 0
		for _, l := range ls {
			if l.Value != "" {
				given++
			}
		}
		ls = slices.DeleteFunc(slices.Clone(ls), func(l model.Label) bool { return l.Value == "" })
		ls = model.NewLabels(ls...)
		if len(ls) != given {
			return nil, fmt.Errorf("stream %s: a label name occurs twice", ls)
		}
	}
	if len(ls) == 0 {
		return nil, errors.New("a stream has no labels; at least one is needed")
	}
	for _, l := range ls {
		if l.Name == "" || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return nil, fmt.Errorf("stream %s: label name %q is empty, or it or its value is not UTF-8", ls, l.Name)
		}
	}
	return ls, nil
}

// checkLabels returns the reason why a stream with these labels is refused, "" if it is not.
func (l *Limits) checkLabels(labels model.Labels, now time.Time) (reason string, message func() string) {
	policy := l.policy(labels)
	if reason, message = l.blocked(labels, policy, now); reason != "" {
		return reason, message
	}
	names := len(labels)
	if labels.Get(serviceName) != "" {
		names--
	}
	if l.MaxLabelNames > 0 && names > l.MaxLabelNames {
		return store.ReasonLabelCount, func() string {
			return fmt.Sprintf("entry for stream '%s' has %d label names; limit %d", labels, names, l.MaxLabelNames)
		}
	}
	if reason, message = l.checkRequired(labels, policy); reason != "" {
		return reason, message
	}
	for i := range labels {
		x := &labels[i]
		if l.MaxLabelNameLength > 0 && len(x.Name) > l.MaxLabelNameLength {
			return store.ReasonLabelName, func() string {
				return fmt.Sprintf("stream '%s' has label name too long: '%s'", labels, x.Name)
			}
		}
		if l.MaxLabelValueLength > 0 && len(x.Value) > l.MaxLabelValueLength {
			return store.ReasonLabelValue, func() string {
				return fmt.Sprintf("stream '%s' has label value too long: '%s'", labels, x.Value)
			}
		}
	}
	return "", nil
}

// entryCheck checks the entries of one stream.
type entryCheck struct {
	lim            *Limits
	labels         model.Labels
	oldest, newest int64
	refused        *store.Refused

	last struct { // the entry before, for spread
		given, time int64
		line        string
	}
}

// all returns the entries that are in order; the result shares memory with in as long as
// nothing has to change.
func (c *entryCheck) all(in []store.LogEntry) []store.LogEntry {
	out, shared := in, true
	for i := range in {
		e := in[i]
		ok, changed := c.one(&e)
		if ok && c.lim.SpreadEqualTimes && c.spread(&e) {
			changed = true
		}
		if ok && !changed {
			if !shared {
				out = append(out, e)
			}
			continue
		}
		if shared {
			out, shared = append(make([]store.LogEntry, 0, len(in)), in[:i]...), false
		}
		if ok {
			out = append(out, e)
		}
	}
	return out
}

// spread gives e a time a nanosecond behind that of the entry before it if both came with
// the same time, and reports whether it did. What is twice the same entry stays so.
func (c *entryCheck) spread(e *store.LogEntry) bool {
	last := c.last
	c.last.given, c.last.time, c.last.line = e.Time, e.Time, e.Line
	if last.time == 0 || last.given != e.Time {
		return false
	}
	if e.Time = last.time; last.line != e.Line {
		e.Time++
	}
	c.last.time = e.Time
	return e.Time != c.last.given
}

// one checks e and brings its line and metadata in order.
func (c *entryCheck) one(e *store.LogEntry) (ok, changed bool) {
	refuse := func(reason, format string, args ...any) {
		c.refused.Add(reason, 1, func() string { return fmt.Sprintf(format, args...) })
	}
	switch {
	case e.Time < c.oldest || e.Time <= minTime:
		refuse(store.ReasonTooOld, "entry for stream '%s' has timestamp too old: %s, oldest acceptable timestamp is: %s", c.labels, rfc3339(e.Time), rfc3339(c.oldest))
		return false, false
	case e.Time > c.newest || e.Time >= maxTime:
		refuse(store.ReasonTooNew, "entry for stream '%s' has timestamp too new: %s", c.labels, rfc3339(e.Time))
		return false, false
	case c.lim.MaxLineSize > 0 && len(e.Line) > c.lim.MaxLineSize:
		if !c.lim.MaxLineSizeTruncate {
			refuse(store.ReasonLineTooLong, "max entry size '%d' bytes exceeded for stream '%s' while adding an entry with length '%d' bytes", c.lim.MaxLineSize, c.labels, len(e.Line))
			return false, false
		}
		e.Line = cutLine(e.Line, c.lim.MaxLineSize)
		changed = true
	}
	if e.Meta.Fields == nil {
		return true, changed
	}
	if c.lim.NoMetadata {
		if names := e.Meta.Fields.Names.All(); len(names) > 1 || names[0] != detectedLevel {
			refuse(reasonNoMetadata, "stream '%s' includes structured metadata, but this feature is disallowed; see allow_structured_metadata", c.labels)
			return false, false
		}
		e.Meta = logmeta.Meta{} // Pharos' own
		return true, true
	}
	size, count := c.lim.sizeOf(&e.Meta)
	if c.lim.MaxMetadataSize > 0 && size > c.lim.MaxMetadataSize {
		refuse(store.ReasonMetaTooLarge, "stream '%s' has structured metadata too large: '%d' bytes, limit: '%d' bytes", c.labels, size, c.lim.MaxMetadataSize)
		return false, false
	}
	if c.lim.MaxMetadataCount > 0 && count > c.lim.MaxMetadataCount {
		refuse(store.ReasonMetaTooMany, "stream '%s' has too many structured metadata labels: '%d', limit: '%d'", c.labels, count, c.lim.MaxMetadataCount)
		return false, false
	}
	return true, changed
}

// sizeOf returns the bytes of names and values of m, and the number of its fields, without
// the level that is added on the way in. If they are well within the limits it returns 0.
func (l *Limits) sizeOf(m *logmeta.Meta) (size, count int) {
	if (l.MaxMetadataSize <= 0 || m.Size() <= l.MaxMetadataSize) && (l.MaxMetadataCount <= 0 || m.Len() <= l.MaxMetadataCount) {
		return 0, 0
	}
	m.Each(func(name, value string) {
		if name != detectedLevel {
			size += len(name) + len(value)
			count++
		}
	})
	return size, count
}

// cutLine cuts line to at most n bytes, not within a rune.
func cutLine(line string, n int) string {
	for i := n; i > 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(line[i]) {
			return line[:i]
		}
	}
	return line[:n]
}

func rfc3339(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
