package store

import (
	"context"
	"iter"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/model"
)

// MetricBatch is what a [MetricWriter] takes: series with their new samples, and
// metadata. Senders reuse one; [MetricBatch.Reset] keeps its memory.
type MetricBatch struct {
	Series   []SeriesWrite
	Metadata []MetricMetadata

	// Decode turns the Key of a series into labels, appended to dst. The labels may share
	// memory with key. It is called only for keys the store has not seen, so that a known
	// series costs a hash and a compare, never a parse. Required if any series has a Key.
	// Its labels need not be sorted; the store sorts and checks them.
	Decode func(key []byte, dst model.Labels) (model.Labels, error)

	// Added is set by Append: the earliest of the zero samples that it added because of a
	// Start, Unix milliseconds; 0 for none.
	Added int64
}

// Reset empties b for reuse.
func (b *MetricBatch) Reset() {
	b.Series, b.Metadata, b.Decode, b.Added = b.Series[:0], b.Metadata[:0], nil, 0
}

// SeriesWrite is the new data of one series. The same series may occur several times in
// a batch.
type SeriesWrite struct {
	// Key identifies the series in the sender's own encoding: equal keys given with equal
	// Decode functions are equal label sets (the label bytes of a remote-write message,
	// say). If nil, Labels identifies it.
	Key    []byte
	Labels model.Labels

	// Start is when what the series counts began at 0, Unix milliseconds; 0 is not known.
	// A store may add a sample of 0 there.
	Start int64

	Samples    []Sample
	Histograms []HistogramSample
	Exemplars  []Exemplar
}

// Sample is a float value. NaN payloads are kept: value.StaleNaN marks staleness.
type Sample struct {
	Time  int64 // Unix milliseconds
	Value float64
}

// HistogramSample is a native histogram. Exactly one of Int and Float is set.
type HistogramSample struct {
	Time  int64 // Unix milliseconds
	Int   *histogram.Histogram
	Float *histogram.FloatHistogram
}

// Exemplar is an example measurement, usually with trace_id and span_id labels.
type Exemplar struct {
	Time   int64 // Unix milliseconds
	Value  float64
	Labels model.Labels
}

// MetricMetadata describes a metric family.
type MetricMetadata struct {
	Metric string // family name
	Type   string // counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown
	Unit   string
	Help   string
}

// MetricWriter stores samples.
type MetricWriter interface {
	// Append stores b. Of several samples of one series with one timestamp the last
	// written wins; an exemplar equal to a stored one of its series is kept once. It returns nil once all of b is durable and visible to readers, a
	// [*Refused] (counting samples, histograms and exemplars) when some of b was refused
	// and the rest is durable, and errors wrapping [ErrReadOnly] or [ErrOverloaded] when
	// nothing was stored and the sender should retry.
	Append(ctx context.Context, tenant model.Tenant, b *MetricBatch) error
}

// MetricSelector says which series to read.
type MetricSelector struct {
	// Matchers must all match, as in Prometheus: an absent label has the value "". At
	// least one of them must not match the empty string, unless All is set.
	Matchers []*model.Matcher
	All      bool
	Range    model.TimeRange // Unix milliseconds
	Step     int64           // milliseconds between evaluations of a range query, 0 for none: a hint
	// Func is the PromQL function applied directly to the selector ("rate",
	// "max_over_time", ...; "series" when only labels are needed): a hint.
	Func string
	// Latest says that of each series only the newest float and the newest histogram
	// matter: a reader may leave out earlier ones. Staleness markers are samples.
	Latest bool
	// Limit bounds the number of series, 0 for none. When it cuts, the reader warns.
	Limit   int
	Account *Account
}

// MetricCaps says what a metric store evaluates itself. The zero value is the least
// able store.
type MetricCaps struct {
	// WholeExpr: the store evaluates whole PromQL expressions (a remote cluster).
	WholeExpr bool
}

// Series is one series of a Select. It may be decoded several times and from several
// goroutines, until the context of the Select is done.
type Series interface {
	// Labels returns the labels, metric name included. They stay valid after the Select.
	Labels() model.Labels
	// Samples appends the float samples in the selector's range to ts and vs, in order of
	// time, without duplicates, and returns the extended slices.
	Samples(ts []int64, vs []float64) ([]int64, []float64, error)
	// Summaries is Samples for a caller to whom consecutive samples are as good as their
	// summary where whole(time of the first, time of the last) holds. Some of these come
	// as summaries, in order of time; their samples are not in ts and vs.
	Summaries(whole func(from, to int64) bool, ts []int64, vs []float64, sums []model.Summary) ([]int64, []float64, []model.Summary, error)
	// Histograms appends the native histograms in the selector's range, in order of time.
	// The histograms belong to the caller.
	Histograms(dst []HistogramSample) ([]HistogramSample, error)
	// Price estimates what the two would decode, without reading it: blocks of samples,
	// and their stored bytes.
	Price() (chunks int, bytes int64)
}

// MetricReader reads samples.
type MetricReader interface {
	// Select yields the series of tenant that match sel and have data in its range, in
	// the order of [model.Labels.Compare].
	//
	// Ownership: a Series may be kept and decoded until ctx is done, not only during its
	// iteration; that releases the files behind it. Pass a context that you cancel.
	//
	// Errors: at most one, yielded last with a nil Series: [ErrTooBroad] wrapped, or
	// ctx.Err(). Quarantined data is a warning on sel.Account, not an error.
	Select(ctx context.Context, tenant model.Tenant, sel MetricSelector) iter.Seq2[Series, error]

	// Exemplars yields, for each series with exemplars in sel.Range, its labels and its
	// exemplars in order of time, in the order of Select. They belong to the caller.
	Exemplars(ctx context.Context, tenant model.Tenant, sel MetricSelector) iter.Seq2[SeriesExemplars, error]

	// Caps reports what the store evaluates itself.
	Caps() MetricCaps
}

// SeriesExemplars is the exemplars of one series.
type SeriesExemplars struct {
	Labels    model.Labels
	Exemplars []Exemplar
}

// MetricIndex answers questions about names, without reading samples.
type MetricIndex interface {
	// LabelNames returns the sorted label names of the series that match sel. With no
	// matchers it is all names in sel.Range.
	LabelNames(ctx context.Context, tenant model.Tenant, sel MetricSelector) ([]string, error)
	// LabelValues returns the sorted values of label name among the series that match sel.
	LabelValues(ctx context.Context, tenant model.Tenant, name string, sel MetricSelector) ([]string, error)
	// LabelSets yields the label sets of the series that match sel, in the order of
	// [model.Labels.Compare]. They stay valid.
	LabelSets(ctx context.Context, tenant model.Tenant, sel MetricSelector) iter.Seq2[model.Labels, error]
	// Metadata returns what is known of metric, or of all metrics if it is "", sorted by
	// name; several entries of one metric are conflicting descriptions, newest first.
	Metadata(ctx context.Context, tenant model.Tenant, metric string, limit int) ([]MetricMetadata, error)
	// Cardinality counts the series of the current day.
	Cardinality(ctx context.Context, tenant model.Tenant, topN int) (Cardinality, error)
}

// Cardinality is the counts behind /api/v1/status/tsdb.
type Cardinality struct {
	Series       int64 // active series
	Chunks       int64 // that they are stored in; 0 where a store has none
	LabelPairs   int64
	MinTime      int64 // Unix milliseconds
	MaxTime      int64
	ByMetric     []NameCount // series per metric name
	ByLabel      []NameCount // distinct values per label name
	ByLabelValue []NameCount // series per "name=value"
}

// NameCount is a name and how often it occurs.
type NameCount struct {
	Name  string
	Count int64
}
