// Package logrules applies Loki's rules to log entries on their way in, whatever
// protocol they came by: which label sets are valid, what service_name and detected_level
// an entry gets, and how names of structured metadata are normalised. How big and how old
// an entry may be is the store's to check.
//
// A protocol feeds a [Builder], stream by stream and entry by entry:
//
//	b.Reset(now, rules)
//	s, err := rules.NewStream(labels)     // cacheable
//	b.Stream(s)                           // or b.RefuseStream(n, err)
//	b.ShareMeta(name, value)              // metadata of all entries that follow
//	b.Meta(name, value)                   // of the next entry
//	b.Entry(time, line)
//	writer.Append(ctx, tenant, b.Batch())
//
// and gets a batch, with b.Refused counting the entries whose labels are not valid. The
// levels that Level finds in a line are pinned by testdata/levels.txt.
package logrules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// LabelError is a label set that is refused, and for which of the store's reasons.
type LabelError struct {
	Reason string
	Err    error
}

// Error returns the message.
func (e *LabelError) Error() string { return e.Err.Error() }

func labelErrorf(format string, args ...any) error {
	return &LabelError{store.ReasonInvalidLabels, fmt.Errorf(format, args...)}
}

// Stream is a label set that passed. It is immutable and may be cached.
type Stream struct {
	Labels model.Labels // service_name included

	level string // what a level label says, "" if there is none
}

const (
	serviceName    = "service_name"
	unknownService = "unknown_service"
)

// reasonNoLabels is Loki's reason to refuse a stream without labels, which there is only
// where no service_name is added.
const reasonNoLabels = "missing_labels"

// NewStream checks the names of a label set, sorts it, and adds service_name. The result
// shares the memory of ls; an error is a [*LabelError].
func (r *Rules) NewStream(ls model.Labels) (*Stream, error) {
	text := func() string { return slices.Clone(ls).String() }
	slices.SortStableFunc(ls, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
	for i, x := range ls {
		switch {
		case !validName(x.Name):
			return nil, labelErrorf("stream '%s' has an invalid label name: '%s'; allowed are letters, digits and _, not starting with a digit", text(), x.Name)
		case !utf8.ValidString(x.Value):
			return nil, labelErrorf("stream '%s': the value of label '%s' is not valid UTF-8", text(), x.Name)
		case i > 0 && ls[i-1].Name == x.Name:
			return nil, labelErrorf("stream '%s' has duplicate label name: '%s'", text(), x.Name)
		}
	}
	ls = model.NewLabels(ls...)
	if from := r.services(); len(from) > 0 && ls.Get(serviceName) == "" {
		ls = model.NewLabels(append(ls, model.Label{Name: serviceName, Value: service(ls, from)})...)
	}
	if len(ls) == 0 {
		return nil, &LabelError{reasonNoLabels, errors.New("a stream has no labels; at least one label pair is required per stream")}
	}
	return &Stream{Labels: ls, level: r.levelOf(ls)}, nil
}

func service(ls model.Labels, from []string) string {
	for _, name := range from {
		if v := ls.Get(name); v != "" {
			return v
		}
	}
	return unknownService
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', i > 0 && c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return s != ""
}

// Builder makes a batch of entries. It keeps its memory between batches. The zero Builder
// is ready.
type Builder struct {
	Refused store.Refused

	rules   *Rules
	batch   store.LogBatch
	entries []store.LogEntry
	values  []byte // of the metadata of entries
	now     int64
	total   int
	stream  *Stream
	first   int // where the entries of the stream begin

	entry    // the one at hand
	forms    // of those before
	replaced strings.Builder
	names    map[string]string // what replace made of names; they repeat in every entry
}

// Bounds of the names that a Builder remembers.
const (
	maxNames     = 5_000
	maxNameBytes = 200
)

// maxKeptValues bounds the memory of values that a Builder keeps.
const maxKeptValues = 4 << 20

// Reset empties b for the next batch, of a tenant with the given rules. now is when it was
// received.
func (b *Builder) Reset(now time.Time, rules *Rules) {
	clear(b.batch.Streams)
	clear(b.entries)
	b.batch.Streams, b.entries, b.values = b.batch.Streams[:0], b.entries[:0], b.values[:0]
	if cap(b.entries) > 1<<16 {
		b.entries = nil
	}
	if cap(b.values) > maxKeptValues {
		b.values = nil
	}
	if len(b.names) > maxNames {
		b.names = nil
	}
	if rules != b.rules {
		b.form, b.forms = nil, forms{}
	}
	b.entry.reset()
	b.forms.reset()
	b.Refused, b.stream, b.total = store.Refused{}, nil, 0
	b.rules, b.now = rules, now.UnixNano()
}

// Rules returns the rules given to Reset.
func (b *Builder) Rules() *Rules { return b.rules }

// Now returns the time given to Reset, in Unix nanoseconds.
func (b *Builder) Now() int64 { return b.now }

// Received returns how many entries were fed since Reset.
func (b *Builder) Received() int { return b.total }

// Kept returns how many of them are in the batch.
func (b *Builder) Kept() int { return len(b.entries) }

// Stream begins the entries of s.
func (b *Builder) Stream(s *Stream) {
	b.end()
	b.stream, b.first = s, len(b.entries)
}

// RefuseStream counts n entries of a stream whose labels were refused with err.
func (b *Builder) RefuseStream(n int, err error) {
	reason := store.ReasonInvalidLabels
	var le *LabelError
	if errors.As(err, &le) {
		reason = le.Reason
	}
	b.total += n
	b.Refused.Add(reason, n, err.Error)
}

// Batch returns what was fed since Reset. It shares memory with b and with what b was
// given.
func (b *Builder) Batch() *store.LogBatch {
	b.end()
	return &b.batch
}

func (b *Builder) end() {
	if b.stream != nil && len(b.entries) > b.first {
		b.batch.Streams = append(b.batch.Streams, store.LogStream{Labels: b.stream.Labels, Entries: b.entries[b.first:len(b.entries):len(b.entries)]})
	}
	b.stream = nil
}

// Meta adds a field of structured metadata to the next Entry, with its name normalised. Of
// fields with one name the first counts.
func (b *Builder) Meta(name, value string) {
	if value == "" {
		return
	}
	if f, k := b.form, len(b.own); f == nil || k >= len(f.given) || f.given[k] != name {
		b.turn(name)
	}
	b.own = append(b.own, value)
}

// ShareMeta adds a field to all entries that follow. Their own fields count before it.
func (b *Builder) ShareMeta(name, value string) {
	if value == "" {
		return
	}
	if name = b.lookUp(name); name != "" {
		b.shared = append(b.shared, model.Label{Name: name, Value: cleanValue(value)})
		b.stale = true
	}
}

// Shared returns how many fields are shared.
func (b *Builder) Shared() int { return len(b.shared) }

// Unshare takes back all but the first of the fields that are shared.
func (b *Builder) Unshare(keep int) {
	if keep < len(b.shared) {
		b.shared, b.stale = b.shared[:keep], true
	}
}

// Entry adds an entry of the current stream with the fields added since the one before.
func (b *Builder) Entry(ts int64, line string) {
	b.total++
	f := b.formOf()
	from, fields := len(b.values), len(b.own)
	b.pack(f, line)
	if !plain(wire.AsString(b.values[from:])) {
		b.values, b.own = b.values[:from], b.own[:fields]
		for i, v := range b.own {
			b.own[i] = cleanValue(v)
		}
		b.pack(f, line)
	}
	b.own = b.own[:0]
	e := store.LogEntry{Time: ts, Line: line}
	if f.names != nil {
		e.Meta = logmeta.Meta{Fields: b.fieldsOf(f), Values: wire.AsString(b.values[from:len(b.values):len(b.values)])}
	}
	b.entries = append(b.entries, e)
}

// pack appends the values of the entry at hand in the order of the names of its form, and
// with them its level.
func (b *Builder) pack(f *form, line string) {
	switch {
	case f.detected == f.level():
		b.own = append(b.own, b.levelOf(f, line))
	case f.detected >= 0 && f.detected < f.level():
		b.own[f.detected] = normaliseLevel(b.own[f.detected])
	}
	values := b.values
	for _, k := range f.order {
		values = logmeta.AppendValue(values, b.own[k])
	}
	b.values = values
}

// levelOf returns the level of an entry that comes without detected_level.
func (b *Builder) levelOf(f *form, line string) string {
	if b.stream.level != "" {
		return b.stream.level
	}
	if f.stated >= 0 {
		return normaliseLevel(b.value(f, f.stated))
	}
	if f.severity >= 0 {
		if level := severityLevel(b.value(f, f.severity)); level != "" {
			return level
		}
	}
	return b.rules.Level(line)
}

// lookUp makes a structured metadata name of letters, digits and single underscores. Names
// like __x__ stay. It returns "" for a name of which nothing is left.
func (b *Builder) lookUp(name string) string {
	if normal(name) {
		return name
	}
	if out, ok := b.names[name]; ok {
		return out
	}
	out := b.replace(name)
	if b.names == nil {
		b.names = map[string]string{}
	}
	if len(name) <= maxNameBytes && len(b.names) <= maxNames {
		b.names[strings.Clone(name)] = strings.Clone(out)
	}
	return out
}

// replace normalises a name that is not normal.
func (b *Builder) replace(name string) string {
	if len(name) > 4 && strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") && normal(name[2:len(name)-2]) {
		return name
	}
	out := &b.replaced
	out.Reset()
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		out.WriteString("key_")
	}
	under, left := false, false
	for _, c := range name {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			out.WriteRune(c)
			under, left = false, true
		} else if !under {
			out.WriteByte('_')
			under = true
		}
	}
	if !left {
		return ""
	}
	return out.String()
}

// normal reports whether a name needs no normalisation.
func normal(s string) bool {
	if s == "" || s == "_" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	prev := byte(0)
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '_' && prev != '_':
		default:
			return false
		}
		prev = c
	}
	return true
}

// cleanValue replaces what is not UTF-8 by spaces.
func cleanValue(v string) string {
	if plain(v) || utf8.ValidString(v) && !strings.ContainsRune(v, utf8.RuneError) {
		return v
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError {
			return ' '
		}
		return r
	}, v)
}

// plain reports whether v is ASCII.
func plain(v string) bool {
	all := uint64(0)
	for ; len(v) >= 8; v = v[8:] { // one load of eight bytes
		all |= uint64(v[0]) | uint64(v[1])<<8 | uint64(v[2])<<16 | uint64(v[3])<<24 | uint64(v[4])<<32 | uint64(v[5])<<40 | uint64(v[6])<<48 | uint64(v[7])<<56
	}
	for i := range len(v) {
		all |= uint64(v[i])
	}
	return all&0x8080808080808080 == 0
}

// severityLevel returns the level of a severity_number of OpenTelemetry's scale.
func severityLevel(number string) string {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 24 {
		return ""
	}
	return [...]string{levelUnknown, "trace", "debug", "info", "warn", "error", "fatal"}[(n+3)/4]
}
