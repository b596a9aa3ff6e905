package store

import (
	"context"
	"iter"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// TraceWriter stores spans.
type TraceWriter interface {
	// Append stores every span of b with its resource, scope, events and links. A span
	// equal in trace id, span id and kind to a stored one is the same span and is kept
	// once. b is only read, and not after Append returns. It returns nil once all of b is
	// durable and visible to readers, a [*Refused] (counting spans) when some were refused
	// and the rest is durable, and errors wrapping [ErrReadOnly] or [ErrOverloaded] when
	// nothing was stored and the sender should retry.
	Append(ctx context.Context, tenant model.Tenant, b *spans.Batch) error
}

// AttrScope says where an attribute lives.
type AttrScope uint8

// The scopes of TraceQL. ScopeIntrinsic attributes are fields of the span itself; their
// names are the Intrinsic constants. The numbers are written to disk and never change.
const (
	ScopeIntrinsic       AttrScope = 0
	ScopeSpan            AttrScope = 1
	ScopeResource        AttrScope = 2
	ScopeEvent           AttrScope = 3
	ScopeLink            AttrScope = 4
	ScopeInstrumentation AttrScope = 5
)

// Names of the intrinsics a store can evaluate predicates on, with the type of their
// values: duration in nanoseconds and the OTLP numbers of status and kind as ValueInt.
const (
	IntrinsicName          = "name"
	IntrinsicDuration      = "duration"
	IntrinsicStatus        = "status" // 0 unset, 1 ok, 2 error
	IntrinsicStatusMessage = "statusMessage"
	IntrinsicKind          = "kind" // 0 unspecified .. 5 consumer
)

// Attr names an attribute.
type Attr struct {
	Scope AttrScope
	Name  string
}

// ValueType is the type of an attribute's value.
type ValueType uint8

// The types of OTLP's AnyValue. Of an ArrayValue, map or bytes value only the text is
// handed out, as pcommon.Value.AsString gives it. The numbers are written to disk and never change.
const (
	ValueNone   ValueType = 0
	ValueString ValueType = 1
	ValueInt    ValueType = 2
	ValueFloat  ValueType = 3
	ValueBool   ValueType = 4
	ValueArray  ValueType = 5 // non-empty array of scalars of one type, as JSON
	ValueOther  ValueType = 6 // map, empty, mixed or nested array, as JSON; bytes, as base64
)

// CompareOp is the operator of a [SpanPredicate].
type CompareOp uint8

// Operators. Exists takes no value. Regular expressions are RE2, anchored, and apply to
// strings only.
const (
	OpExists CompareOp = iota
	OpEqual
	OpNotEqual
	OpLess
	OpLessEqual
	OpGreater
	OpGreaterEqual
	OpRegexp
	OpNotRegexp
)

// SpanPredicate is a condition on one attribute of one span. It is false when the
// attribute is absent or its type does not fit the value (an int fits a float and the
// other way round). On event and link attributes it is true if it is for any event or
// link. Of an attribute that holds a ValueArray every predicate is true: the elements
// decide, and the language looks at them.
type SpanPredicate struct {
	Attrs []Attr // any of them may satisfy it: .x is span x or resource x
	Op    CompareOp
	Type  ValueType // of the value
	Str   string    // value of ValueString, or the regular expression
	Int   int64     // value of ValueInt; of ValueBool 0 or 1
	Float float64   // value of ValueFloat
}

// SpanSelector says which traces to read. It selects whole traces: every stored span of
// a trace that qualifies.
type SpanSelector struct {
	// Range selects traces that have a span overlapping it, Unix nanoseconds.
	Range model.TimeRange
	// TraceIDs, if not nil, are the only traces wanted, sorted by [model.TraceID.Compare].
	TraceIDs []model.TraceID

	// Where is a disjunction of conjunctions: a trace qualifies if some span of it
	// satisfies all predicates of one element. Empty means every trace. It is for pruning:
	// a store may yield traces that do not qualify, but never withhold one that does,
	// unless Caps.ExactWhere. Of a trace that goes on for longer, a store need not look at
	// spans that end more than six hours before Range or start more than six hours after.
	Where [][]SpanPredicate

	// Attrs are the attributes wanted in [SpanRows.Attrs]; AllAttrs wants every one.
	// Events and Links want those columns, with the event and link attributes that Attrs
	// names.
	Attrs    []Attr
	AllAttrs bool
	Events   bool
	Links    bool

	// Newer, if set, asks for the newest traces first, and is raised by the reader while it
	// reads: a trace that has a span that starts before it is of no more use, and need not
	// be yielded.
	Newer *atomic.Int64
	// Settled, if set besides Newer, is lowered by the store while it yields: every trace
	// that starts after it, and is of use, has been yielded before. So the reader knows some
	// of the newest traces before the end. A batch may be empty to tell of it.
	Settled *atomic.Int64

	Account *Account
}

// TraceCaps says what a trace store evaluates itself. The zero value is the least able
// store.
type TraceCaps struct {
	ExactWhere bool // only qualifying traces are yielded
}

// SpanRows is the spans of one or more whole traces, as columns of equal length. Spans
// of one trace are adjacent, in order of start time, then span id.
type SpanRows struct {
	TraceID       []model.TraceID
	SpanID        []model.SpanID
	Parent        []model.SpanID // zero for a root
	Start         []int64        // Unix nanoseconds
	Duration      []int64        // nanoseconds, never negative
	Kind          []uint8
	Status        []uint8
	Name          []string
	StatusMessage []string
	Service       []string // service.name of the resource, "" if absent
	ScopeName     []string
	ScopeVersion  []string

	// Attrs holds one column per wanted span, resource and instrumentation attribute and
	// type it occurs with in these rows, sorted by scope, name, type.
	Attrs []AttrColumn

	// Events and Links hold the child rows of all spans, in the order of the spans; nil if
	// not wanted. EventEnd[i] is the index after the last event of span i, so span i owns
	// the rows EventEnd[i-1]..EventEnd[i]; the same for links.
	Events   *EventRows
	EventEnd []int32
	Links    *LinkRows
	LinkEnd  []int32
}

// Len returns the number of spans.
func (r *SpanRows) Len() int { return len(r.SpanID) }

// AttrColumn is one attribute with values of one type. Has tells which rows have it;
// exactly one of the value slices is set, its values at other rows are zero.
type AttrColumn struct {
	Attr   Attr
	Type   ValueType
	Has    []bool
	Strs   []string  // ValueString, ValueArray, ValueOther
	Ints   []int64   // ValueInt, ValueBool (0 or 1)
	Floats []float64 // ValueFloat
}

// EventRows is the events of many spans, as columns of equal length.
type EventRows struct {
	Time  []int64 // Unix nanoseconds
	Name  []string
	Attrs []AttrColumn
}

// LinkRows is the links of many spans, as columns of equal length.
type LinkRows struct {
	TraceID []model.TraceID
	SpanID  []model.SpanID
	Attrs   []AttrColumn
}

// TraceReader reads spans.
type TraceReader interface {
	// Trace returns every stored span of trace id, exactly as it was written, resources
	// and scopes merged where equal. hint, if not empty, says where its spans are likely
	// to be (Unix nanoseconds); it never hides spans. An unknown id is [ErrNotFound].
	// The result belongs to the caller.
	Trace(ctx context.Context, tenant model.Tenant, id model.TraceID, hint model.TimeRange, acct *Account) (ptrace.Traces, error)

	// Scan yields the traces of tenant that match sel, each once: in order of trace id, or,
	// with sel.Newer, the newest first as far as that is cheap for the store.
	//
	// Shape: a batch holds whole traces, about 4,096 spans of them or one bigger trace.
	// Spans of one trace that lie in different parts are merged and duplicates dropped.
	//
	// Ownership: a batch and the strings in it are valid only during its iteration. Clone
	// what you keep.
	//
	// Errors: at most one, yielded last with a nil batch: [ErrTooBroad] wrapped, or
	// ctx.Err(). Quarantined data is a warning on sel.Account, not an error.
	Scan(ctx context.Context, tenant model.Tenant, sel SpanSelector) iter.Seq2[*SpanRows, error]

	// Caps reports what the store evaluates itself.
	Caps() TraceCaps
}

// TraceIndex answers questions about attribute names and values. Of the selectors only
// Range, Where and Account count; an implementation may ignore Where (the languages use
// Scan when the filter matters).
type TraceIndex interface {
	// Tags returns the attributes present, sorted by scope, then name.
	Tags(ctx context.Context, tenant model.Tenant, sel SpanSelector) ([]Attr, error)
	// TagValues returns the distinct values of attr, most frequent first, at most limit
	// (0 for all); when it cuts, it warns.
	TagValues(ctx context.Context, tenant model.Tenant, attr Attr, limit int, sel SpanSelector) ([]TagValue, error)
	// Price returns what a Scan of sel would read, without reading columns. Here Where and
	// the wanted columns count.
	Price(ctx context.Context, tenant model.Tenant, sel SpanSelector) (model.ScanPrice, error)
}

// TagValue is a distinct value of an attribute as text, and its type.
type TagValue struct {
	Type  ValueType
	Value string
}
