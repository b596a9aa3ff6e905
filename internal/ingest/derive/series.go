package derive

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// family is metrics that have their labels in common: some counters or gauges and some
// histograms.
type family struct {
	id       byte // first byte of the keys of its sets
	counters []store.MetricMetadata
	hists    []store.MetricMetadata
	bounds   []float64
	les      []string // bounds as labels, and +Inf
	classic  bool
	native   bool
}

func newFamily(id byte, kind Histograms, bounds []float64) *family {
	f := &family{id: id, bounds: bounds, classic: kind != Native, native: kind != Classic}
	for _, b := range bounds {
		f.les = append(f.les, strconv.FormatFloat(b, 'f', -1, 64))
	}
	f.les = append(f.les, "+Inf")
	return f
}

func (f *family) counter(name, help string) *family {
	f.counters = append(f.counters, store.MetricMetadata{Metric: name, Type: "counter", Help: help})
	return f
}

func (f *family) gauge(name, help string) *family {
	f.counters = append(f.counters, store.MetricMetadata{Metric: name, Type: "gauge", Help: help})
	return f
}

func (f *family) histogram(name, help string) *family {
	f.hists = append(f.hists, store.MetricMetadata{Metric: name, Type: "histogram", Help: help})
	return f
}

// size is the number of series of a set.
func (f *family) size() int {
	each := 0
	if f.classic {
		each += len(f.les) + 2
	}
	if f.native {
		each++
	}
	return len(f.counters) + len(f.hists)*each
}

// set is the metrics of one family under one set of labels.
type set struct {
	fam     *family
	key     string // id of the family, records of the labels
	fresh   bool   // not written yet
	zeroAt  int64  // when its counters were 0, Unix ms; for a fresh one
	updated int64  // Unix ms
	ended   bool   // stale, and the end was put into a batch
	values  []float64
	hists   []hist
}

// hist is a histogram of seconds.
type hist struct {
	counts []float64 // by bucket, not cumulative; nil without classic histograms
	sum    float64
	count  float64
	native *native
	ex     []exemplar // by bucket, of the current interval
}

type exemplar struct {
	trace [16]byte
	at    int64 // Unix ms
	value float64
}

// observe counts a duration weight times.
func (x *set) observe(i int, seconds, weight float64, trace [16]byte, at int64) {
	h := &x.hists[i]
	h.sum += seconds * weight
	h.count += weight
	at2, _ := slices.BinarySearch(x.fam.bounds, seconds)
	if x.fam.classic {
		h.counts[at2] += weight
	}
	if h.native != nil {
		h.native.observe(seconds, weight)
	}
	if trace != ([16]byte{}) {
		h.ex[at2] = exemplar{trace, at, seconds}
	}
}

// table is all sets of a tenant. Its owner locks it.
type table struct {
	opts    *Options
	metrics *metrics
	sets    map[string]*set
	order   []*set
	fams    []*family // whose metadata is written
	series  int
	now     int64 // Unix ms
	zeroAt  int64 // Unix ms: when a set made now was 0

	spans  *family
	target *family
}

func newTable(o *Options, m *metrics) *table {
	t := &table{opts: o, metrics: m, sets: map[string]*set{}}
	t.spans = newFamily('s', o.Spans.Histograms, o.Spans.Buckets).
		counter("traces_spanmetrics_calls_total", "Spans, by service, operation, kind and status.").
		counter("traces_spanmetrics_size_total", "Bytes of spans as protobuf.").
		histogram("traces_spanmetrics_latency", "Duration of spans in seconds.")
	t.target = newFamily('t', Classic, nil).gauge("traces_target_info", "Resource attributes of what sends spans.")
	t.fams = append(t.fams, t.spans)
	if o.Spans.TargetInfo {
		t.fams = append(t.fams, t.target)
	}
	return t
}

// get returns the set with key, making it if spare more series than the limit allow it,
// and nil if they do not.
func (t *table) get(f *family, key []byte, spare int) *set {
	x := t.sets[string(key)]
	if x == nil {
		if t.series+f.size() > t.opts.MaxSeries+spare {
			return nil
		}
		x = &set{fam: f, key: string(key), fresh: true, zeroAt: min(t.zeroAt, t.now-1), values: make([]float64, len(f.counters)), hists: make([]hist, len(f.hists))}
		for i := range x.hists {
			h := &x.hists[i]
			h.ex = make([]exemplar, len(f.les))
			if f.classic {
				h.counts = make([]float64, len(f.les))
			}
			if f.native {
				h.native = newNative()
			}
		}
		t.sets[x.key] = x
		t.order = append(t.order, x)
		t.series += f.size()
	}
	x.updated, x.ended = t.now, false
	return x
}

// appendRec appends a label to a key.
func appendRec(dst []byte, name, val string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	val = clip(val)
	dst = binary.AppendUvarint(dst, uint64(len(val)))
	return append(dst, val...)
}

// maxValue is the length of the longest label value; longer ones are cut.
const maxValue = 2048

func clip(s string) string {
	if len(s) > maxValue {
		s = s[:maxValue]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		s = s[:max(0, len(s)-1)]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return s
}

var errKey = errors.New("broken key")

// decodeKey is the Decode of the batches: it turns records into labels.
func decodeKey(key []byte, dst model.Labels) (model.Labels, error) {
	field := func() (string, bool) {
		n, w := binary.Uvarint(key)
		if w <= 0 || n > uint64(len(key)-w) {
			return "", false
		}
		s := string(key[w : w+int(n)])
		key = key[w+int(n):]
		return s, true
	}
	for len(key) > 0 {
		name, ok1 := field()
		val, ok2 := field()
		if !ok1 || !ok2 {
			return dst, errKey
		}
		if val != "" {
			dst = append(dst, model.Label{Name: name, Value: val})
		}
	}
	return dst, nil
}

// batch is the working memory of a flush.
type batch struct {
	store.MetricBatch
	samples []store.Sample
	hists   []store.HistogramSample
	keys    []byte
	ends    []int // of the key of each series
}

// perBatch bounds the series of one Append.
const perBatch = 8192

// fill puts the samples of the sets from index from on into b, as many as fit, and
// returns the index after the last.
func (t *table) fill(b *batch, from int) int {
	b.Reset()
	b.Decode = decodeKey
	b.samples, b.hists, b.keys, b.ends = b.samples[:0], b.hists[:0], b.keys[:0], b.ends[:0]
	if from == 0 {
		for _, f := range t.fams {
			b.Metadata = append(append(b.Metadata, f.counters...), f.hists...)
		}
	}
	to := from
	for ; to < len(t.order) && len(b.Series) < perBatch; to++ {
		t.put(b, t.order[to])
	}
	start := 0
	for i, end := range b.ends {
		b.Series[i].Key = b.keys[start:end:end]
		start = end
	}
	return to
}

// put adds the samples of x to b.
func (t *table) put(b *batch, x *set) {
	x.ended = t.now-x.updated > t.opts.Stale.Milliseconds()
	for i := range x.values {
		b.add(x, t.now, x.fam.counters[i].Metric, "", "", x.values[i], x.fam.counters[i].Type == "gauge")
	}
	for i := range x.hists {
		h, name := &x.hists[i], x.fam.hists[i].Metric
		if x.fam.classic {
			cumulative := 0.0
			for j, n := range h.counts {
				cumulative += n
				b.add(x, t.now, name, "_bucket", x.fam.les[j], cumulative, false)
				b.exemplars(t.opts.ExemplarLabel, h.ex[j:j+1])
			}
			b.add(x, t.now, name, "_sum", "", h.sum, false)
			b.add(x, t.now, name, "_count", "", h.count, false)
		}
		if x.fam.native {
			b.addNative(x, t.now, name, h)
			if !x.fam.classic {
				b.exemplars(t.opts.ExemplarLabel, h.ex)
			}
		}
	}
}

func (b *batch) key(x *set, name, suffix, le string) {
	b.keys = binary.AppendUvarint(b.keys, uint64(len(model.MetricName)))
	b.keys = append(b.keys, model.MetricName...)
	b.keys = binary.AppendUvarint(b.keys, uint64(len(name)+len(suffix)))
	b.keys = append(append(b.keys, name...), suffix...)
	if le != "" {
		b.keys = appendRec(b.keys, "le", le)
	}
	b.keys = append(b.keys, x.key[1:]...)
	b.ends = append(b.ends, len(b.keys))
}

// add adds one series with its new sample. A new counter was 0 before.
func (b *batch) add(x *set, now int64, name, suffix, le string, v float64, gauge bool) {
	from := len(b.samples)
	if x.fresh && !gauge {
		b.samples = append(b.samples, store.Sample{Time: x.zeroAt})
	}
	if x.ended {
		v = math.Float64frombits(value.StaleNaN)
	}
	b.samples = append(b.samples, store.Sample{Time: now, Value: v})
	b.Series = append(b.Series, store.SeriesWrite{Samples: b.samples[from:len(b.samples):len(b.samples)]})
	b.key(x, name, suffix, le)
}

func (b *batch) addNative(x *set, now int64, name string, h *hist) {
	from := len(b.hists)
	cur := h.native.sample(h.sum, h.count)
	if x.fresh {
		b.hists = append(b.hists, store.HistogramSample{Time: x.zeroAt, Float: &histogram.FloatHistogram{Schema: cur.Schema, ZeroThreshold: cur.ZeroThreshold}})
	}
	if x.ended {
		cur = &histogram.FloatHistogram{Sum: math.Float64frombits(value.StaleNaN)}
	}
	b.hists = append(b.hists, store.HistogramSample{Time: now, Float: cur})
	b.Series = append(b.Series, store.SeriesWrite{Histograms: b.hists[from:len(b.hists):len(b.hists)]})
	b.key(x, name, "", "")
}

// exemplars adds those of list that are set to the last series.
func (b *batch) exemplars(label string, list []exemplar) {
	last := &b.Series[len(b.Series)-1]
	for _, e := range list {
		if e.at == 0 {
			continue
		}
		id := strings.TrimLeft(model.TraceID(e.trace).String(), "0")
		last.Exemplars = append(last.Exemplars, store.Exemplar{Time: e.at, Value: e.value, Labels: model.Labels{{Name: label, Value: id}}})
	}
}

// written notes that the sets in [from, to) are stored, if ok.
func (t *table) written(from, to int, ok bool) {
	for _, x := range t.order[from:to] {
		if !ok {
			x.ended = false // once more
			continue
		}
		x.fresh = false
		for i := range x.hists {
			clear(x.hists[i].ex)
		}
	}
}

// dropStale forgets the sets that have ended.
func (t *table) dropStale() {
	t.order = slices.DeleteFunc(t.order, func(x *set) bool {
		if x.ended {
			delete(t.sets, x.key)
			t.series -= x.fam.size()
		}
		return x.ended
	})
}
