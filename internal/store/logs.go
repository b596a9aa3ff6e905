package store

import (
	"context"
	"iter"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// LogBatch is what a [LogWriter] takes. Senders reuse one.
type LogBatch struct{ Streams []LogStream }

// LogStream is the new entries of one stream. The same stream may occur several times
// in a batch.
type LogStream struct {
	Labels  model.Labels // stream labels, at least one
	Entries []LogEntry   // in any order of time
}

// LogEntry is one log line.
type LogEntry struct {
	Time int64 // Unix nanoseconds
	Line string
	Meta logmeta.Meta // structured metadata
}

// LogWriter stores log entries.
type LogWriter interface {
	// Append stores b. An entry equal to a stored one in stream, time, line and metadata
	// is kept once. It returns nil once all of b is durable and visible to readers, a
	// [*Refused] (counting entries) when some of b was refused and the rest is durable,
	// and errors wrapping [ErrReadOnly] or [ErrOverloaded] when nothing was stored and the
	// sender should retry.
	Append(ctx context.Context, tenant model.Tenant, b *LogBatch) error
}

// Direction is the order of time in which entries are wanted.
type Direction uint8

// The two directions. Loki's default is Backward.
const (
	Forward Direction = iota
	Backward
)

// LineFilter is a condition on the whole line. Any of its patterns must match, or, if
// Negate is set, none may. A hint follows from other conditions: rows that do not satisfy it
// are not wanted, but may be yielded.
type LineFilter struct {
	Negate   bool
	Hint     bool
	Regexp   bool     // patterns are RE2, unanchored, else they are substrings
	Patterns []string // at least one
}

// FieldPredicate is a condition on one structured metadata field. An absent field has
// the value "".
type FieldPredicate struct {
	Matcher *model.Matcher

	// Test, if not nil, is the condition on the field called Name instead of Matcher. It is
	// safe for concurrent use. Text says what it is, for people.
	Test       func(value string) bool
	Name, Text string
}

// Field returns the name of the field.
func (p *FieldPredicate) Field() string {
	if p.Test != nil {
		return p.Name
	}
	return p.Matcher.Name
}

// Holds reports whether the predicate holds for value.
func (p *FieldPredicate) Holds(value string) bool {
	if p.Test != nil {
		return p.Test(value)
	}
	return p.Matcher.Matches(value)
}

// String says what the predicate is.
func (p *FieldPredicate) String() string {
	if p.Test != nil {
		return p.Text
	}
	return p.Matcher.String()
}

// LogSelector says which entries to read.
type LogSelector struct {
	Matchers  []*model.Matcher // stream matchers; all must match; none selects every stream
	Range     model.TimeRange  // Unix nanoseconds
	Direction Direction

	// Lines and Fields must all hold. A store evaluates those its Caps names, exactly;
	// setting one it denies is [ErrUnsupported].
	Lines  []LineFilter
	Fields []FieldPredicate

	// Parser, if not nil, asks for fields parsed from lines; see [LogRows.Found]. Tests
	// must hold on the fields of rows that come with fields; the caller tests the others.
	// Number, if not nil, names the field that [LogRows.Numbers] is about; Tests do not ask
	// about it.
	Parser ShapeParser
	Tests  []model.FieldTest
	Number *model.FieldNumber

	// Pieces, if not nil, cuts time: it returns the piece that t lies in and the last time
	// of it; ok is false if entries there are not wanted. The caller treats rows that lie in
	// one piece alike, but for their numbers and sizes, if they have the same fields, or it
	// asks for none, and of the metadata that it looks at the same: it takes
	// [LogRows.Tallies] for them. Pieces is safe for concurrent use.
	Pieces func(t int64) (piece int, until int64, ok bool)

	// Limit says how many entries the caller needs in all, 0 for all of them. A reader may
	// stop once it has yielded every entry that could be among the first Limit ones.
	Limit int

	// NoLine and NoMeta say that the caller does not look at lines or metadata (a count
	// by time). With a Parser, NoLine leaves out only the lines of rows that come with fields.
	// MetaNames, if not nil, names the only metadata it looks at.
	// Sizes asks for the lengths of lines.
	NoLine    bool
	Sizes     bool
	NoMeta    bool
	MetaNames []string

	Account *Account
}

// LogCaps says which parts of a selector Select evaluates itself. The zero value is the
// least able store, so that a field added later is denied by default.
type LogCaps struct {
	LineFilter  bool // substring filters, negated or not
	LineRegexp  bool // regular expression filters
	FieldFilter bool // structured metadata predicates
	Shapes      bool // fields parsed from lines, and tests on them
	Sizes       bool // lengths of lines
}

// ShapeParser is how a language finds fields in lines without the store knowing its
// syntax. A store that keeps what lines have in common apart from their variables shows
// the parser one line of each shape and applies the answer to all of them.
type ShapeParser interface {
	// ParseShape returns what the language finds in every line that equals line but for
	// the contents of vars, which are in order and do not touch. It returns nil if that
	// depends on the contents: then the lines have to be looked at. A field consists of
	// whole variables and text between them. ParseShape is safe for concurrent use.
	ParseShape(line string, vars []model.LineVar) *model.LineShape
}

// LogRows is a run of entries of a single stream, as columns of equal length.
type LogRows struct {
	Stream   model.Labels
	StreamID uint64   // equal for equal Stream within one Select
	Times    []int64  // Unix nanoseconds, in the order of the selector's direction
	Lines    []string // nil if the caller looks at none of them, by NoLine
	Sizes    []int32  // bytes of each line, if the selector asks for them
	Meta     []MetaColumn

	// Found is set if the selector has a Parser: for each row what the parser finds in its
	// line, or nil if the line has to be looked at. Those with an ID do not change any more.
	Found []*model.LineFields

	// Origin tells apart stores whose answers are joined: equal IDs of fields mean the same
	// only within one.
	Origin int

	// Numbers is set if the selector has a Number. Rows that differ in nothing but the
	// number share their fields: of one with an ID the value of that field, the first of
	// its name, is that of some such row, and its own number is here.
	Numbers []float64

	// Tallies stand for rows of the stream, in any order, if the selector has Pieces. A batch
	// with tallies has no rows.
	Tallies []model.LineTally

	// Frontier promises that no later batch of this Select holds an entry that comes
	// before it in the selector's direction: backward, all later entries have
	// Time <= Frontier. A caller that has enough entries at or past it can stop.
	Frontier int64
}

// MetaColumn is the values of one structured metadata field, "" where absent. Columns
// are sorted by name.
type MetaColumn struct {
	Name   string
	Values []string
}

// Row gathers the structured metadata of row i, appended to dst.
func (r *LogRows) Row(i int, dst model.Labels) model.Labels {
	for _, c := range r.Meta {
		if v := c.Values[i]; v != "" {
			dst = append(dst, model.Label{Name: c.Name, Value: v})
		}
	}
	return dst
}

// LogReader reads log entries.
type LogReader interface {
	// Select yields the entries of tenant that match sel.
	//
	// Shape: a batch holds 1 to 8,192 entries of a single stream in order of time; two
	// batches of one stream do not overlap out of order: entries of one stream come in the
	// selector's direction over the whole Select. Batches of different streams interleave;
	// Frontier bounds how far. Of equal entries one is yielded.
	//
	// Ownership: a batch and all strings in it are valid only during its iteration, except
	// Stream, which stays valid. Clone what you keep.
	//
	// Errors: at most one, yielded last with a nil batch: [ErrTooBroad], [ErrUnsupported]
	// wrapped, or ctx.Err(). Quarantined data is a warning on sel.Account, not an error.
	Select(ctx context.Context, tenant model.Tenant, sel LogSelector) iter.Seq2[*LogRows, error]

	// Tail calls f with each batch of entries that is appended for tenant from now on and
	// whose stream matches ms, after it is durable, until ctx is done or f returns an
	// error, which Tail returns. The first batch is empty: it says that Tail listens, and
	// that nothing appended later is missed. Lines and fields are not filtered. When f is slower than
	// the writers, entries are dropped and counted in the dropped argument of the next
	// call; a writer never waits for a tail.
	Tail(ctx context.Context, tenant model.Tenant, ms []*model.Matcher, f func(b *LogBatch, dropped int) error) error

	// Caps reports which parts of a selector Select evaluates itself.
	Caps() LogCaps
}

// LogIndex answers questions about streams, without reading lines. Of the selectors only
// Matchers, Range and Account count.
type LogIndex interface {
	// LabelNames returns the sorted stream label names.
	LabelNames(ctx context.Context, tenant model.Tenant, sel LogSelector) ([]string, error)
	// LabelValues returns the sorted values of stream label name.
	LabelValues(ctx context.Context, tenant model.Tenant, name string, sel LogSelector) ([]string, error)
	// Streams returns the matching streams in the order of [model.Labels.Compare], with
	// what they hold in the range: counts of blocks that lie partly in it are shared out
	// by time.
	Streams(ctx context.Context, tenant model.Tenant, sel LogSelector) ([]StreamStats, error)
	// FieldNames returns the structured metadata fields with an estimate of their number
	// of distinct values, sorted by name.
	FieldNames(ctx context.Context, tenant model.Tenant, sel LogSelector) ([]NameCount, error)
}

// LogDeletion is a request to delete entries: those of its range that its query selects.
// No query sees them from the moment of the request; later they leave the disk.
type LogDeletion struct {
	ID         string
	Query      string // LogQL, as it was given
	Range      model.TimeRange
	Created    int64   // Unix nanoseconds
	Cancelable bool    // it can still be taken back without loss
	Done       float64 // share of the data that has been rewritten; at 1 it is over
}

// StreamStats is the volume of one stream in a range.
type StreamStats struct {
	Labels  model.Labels
	Entries int64
	Bytes   int64 // of lines and structured metadata, uncompressed
	Blocks  int64
}
