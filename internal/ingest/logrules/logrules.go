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
//	b.Entry(time, line, meta...)
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

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
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

	rules    *Rules
	batch    store.LogBatch
	entries  []store.LogEntry
	meta     []model.Label
	now      int64
	total    int
	stream   *Stream
	first    int // where the entries of the stream begin
	replaced strings.Builder
	names    map[string]string // what normalise made of names; they repeat in every entry
	places   []renamed         // of the names of the entry before, which mostly has the same
	place    int               // of the next name of the entry
	order    order
}

// renamed is a name and what normalise made of it.
type renamed struct{ in, out string }

// order is how the pairs of the entry before were sorted.
type order struct {
	names []string // as they came
	from  []int32  // for each that was kept, in order, which it was
	pairs []model.Label
}

// Bounds of the names that a Builder remembers.
const (
	maxNames     = 5_000
	maxNameBytes = 200
	maxPlaces    = 128
)

// Reset empties b for the next batch, of a tenant with the given rules. now is when it was
// received.
func (b *Builder) Reset(now time.Time, rules *Rules) {
	b.rules = rules
	clear(b.batch.Streams)
	clear(b.entries)
	clear(b.meta)
	b.batch.Streams, b.entries, b.meta = b.batch.Streams[:0], b.entries[:0], b.meta[:0]
	if cap(b.entries) > 1<<16 || cap(b.meta) > 1<<18 {
		b.entries, b.meta = nil, nil
	}
	if len(b.names) > maxNames {
		b.names = nil
	}
	clear(b.places) // like order it shares the memory of the request
	clear(b.order.names)
	clear(b.order.pairs)
	b.places, b.place, b.order.names = b.places[:0], 0, b.order.names[:0]
	b.Refused, b.stream, b.total = store.Refused{}, nil, 0
	b.now = now.UnixNano()
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

// Meta appends a pair of structured metadata for the next Entry, with its name
// normalised.
func (b *Builder) Meta(name, value string) {
	if value == "" {
		return
	}
	if name = b.normalise(name); name == "" {
		return
	}
	b.meta = append(b.meta, model.Label{Name: name, Value: cleanValue(value)})
}

// MetaMark returns where the metadata of the next Entry begins. Pass it to [Builder.Entry].
func (b *Builder) MetaMark() int { return len(b.meta) }

// TakeMeta moves the pairs appended since mark to dst: what many entries share is
// normalised once, and given to each of them with [Builder.ShareMeta].
func (b *Builder) TakeMeta(mark int, dst []model.Label) []model.Label {
	dst = append(dst, b.meta[mark:]...)
	b.meta, b.place = b.meta[:mark], 0
	return dst
}

// ShareMeta appends pairs from [Builder.TakeMeta] for the next Entry.
func (b *Builder) ShareMeta(pairs []model.Label) { b.meta = append(b.meta, pairs...) }

// Entry adds an entry of the current stream with the metadata appended since mark.
func (b *Builder) Entry(mark int, ts int64, line string) {
	b.total++
	if b.rules == nil || !b.rules.NoLevels {
		b.detectLevel(mark, line)
	}
	n := b.order.sortUnique(b.meta[mark:])
	b.meta, b.place = b.meta[:mark+n], 0
	b.entries = append(b.entries, store.LogEntry{Time: ts, Line: line, Meta: b.meta[mark : mark+n : mark+n]})
}

// detectLevel adds detected_level to the metadata since mark, or brings its value in order.
func (b *Builder) detectLevel(mark int, line string) {
	meta := b.meta[mark:]
	level := b.stream.level
	detected := -1
	for i := range meta {
		if meta[i].Name == detectedLevel {
			detected = i
			break
		}
	}
	if detected >= 0 {
		meta[detected].Value = normaliseLevel(meta[detected].Value)
	} else {
		if level == "" {
			level = b.rules.levelOf(meta)
		}
		if level == "" {
			level = severityLevel(meta)
		}
		if level == "" {
			level = b.rules.Level(line)
		}
		b.meta = append(b.meta, model.Label{Name: detectedLevel, Value: level})
	}
}

// sortUnique sorts pairs by name, keeps the first of equal names, and returns how many
// are left. Pairs with the names of those before are put in the same order.
func (o *order) sortUnique(ls []model.Label) int {
	if len(ls) < 2 {
		return len(ls)
	}
	if o.same(ls) {
		o.pairs = append(o.pairs[:0], ls...)
		for i, k := range o.from {
			ls[i] = o.pairs[k]
		}
		return len(o.from)
	}
	o.names, o.from = o.names[:0], o.from[:0]
	for i := range ls {
		o.names, o.from = append(o.names, ls[i].Name), append(o.from, int32(i))
	}
	for i := 1; i < len(ls); i++ { // pairs are few and often sorted, so insertion sort it is
		for j := i; j > 0 && ls[j].Name < ls[j-1].Name; j-- {
			ls[j], ls[j-1] = ls[j-1], ls[j]
			o.from[j], o.from[j-1] = o.from[j-1], o.from[j]
		}
	}
	n := 0
	for i := range ls {
		if n == 0 || ls[n-1].Name != ls[i].Name {
			ls[n], o.from[n] = ls[i], o.from[i]
			n++
		}
	}
	o.from = o.from[:n]
	return n
}

// same reports whether ls have the names of the pairs before.
func (o *order) same(ls []model.Label) bool {
	if len(ls) != len(o.names) {
		return false
	}
	for i := range ls {
		if ls[i].Name != o.names[i] {
			return false
		}
	}
	return true
}

// normalise makes a structured metadata name of letters, digits and single underscores.
// Names like __x__ stay. It returns "" for a name of which nothing is left.
func (b *Builder) normalise(name string) string {
	at := b.place
	b.place++
	if at < len(b.places) && b.places[at].in == name {
		return b.places[at].out
	}
	out := b.lookUp(name)
	if at < len(b.places) {
		b.places[at] = renamed{name, out}
	} else if at == len(b.places) && at < maxPlaces {
		b.places = append(b.places, renamed{name, out})
	}
	return out
}

// lookUp normalises a name that is not the one in its place of the entry before.
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
	all := byte(0)
	for i := range len(v) {
		all |= v[i]
	}
	if all < utf8.RuneSelf {
		return v
	}
	if utf8.ValidString(v) && !strings.ContainsRune(v, utf8.RuneError) {
		return v
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError {
			return ' '
		}
		return r
	}, v)
}

// severityLevel returns the level of a severity_number of OpenTelemetry's scale.
func severityLevel(meta []model.Label) string {
	for i := range meta {
		if meta[i].Name != "severity_number" {
			continue
		}
		n, err := strconv.Atoi(meta[i].Value)
		if err != nil || n < 0 || n > 24 {
			return ""
		}
		return [...]string{levelUnknown, "trace", "debug", "info", "warn", "error", "fatal"}[(n+3)/4]
	}
	return ""
}
