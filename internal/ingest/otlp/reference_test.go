package otlp

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// The converter as it was before it read protobuf itself: slow and plain, over pdata. The
// tests hold the fast one to it.

// refConverter has the state of a converter, and the methods that it had.
type refConverter struct{ *converter }

// convert adds everything in md to the batch.
func (c *refConverter) convert(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		first, last := pcommon.Timestamp(math.MaxUint64), pcommon.Timestamp(0)
		c.info = false
		for _, sm := range rm.ScopeMetrics().All() {
			c.setResource(rm.Resource(), sm)
			c.info = c.info || !c.scraped
			for _, m := range sm.Metrics().All() {
				lo, hi := c.metric(m)
				first, last = min(first, lo), max(last, hi)
			}
		}
		if first <= last {
			c.targetInfo(rm.Resource(), first, last)
		}
	}
}

// setResource prepares the records that hold for every data point: promoted attributes,
// job and instance, and the scope's if asked for.
func (c *refConverter) setResource(res pcommon.Resource, sm pmetric.ScopeMetrics) {
	dst := append(c.resource[:0], keyPrefix)
	attrs := res.Attributes()
	promote := c.opts.Promote
	c.scraped, c.attrKind = sm.Scope().Name() == scrapeScope, recAttr
	if c.scraped {
		promote, c.attrKind = nil, recPromoted
	}
	for _, name := range promote {
		if v, ok := attrs.Get(name); ok {
			namer := labelNamer()
			if label, err := namer.Build(name); err == nil {
				dst = appendRec(dst, recPromoted, label, v.AsString())
			}
		}
	}
	dst = refTarget(dst, attrs)
	scope := sm.Scope()
	if c.opts.ScopeLabels && !c.scraped && scope.Name() != "" {
		for k, v := range scope.Attributes().All() {
			namer := labelNamer()
			if label, err := namer.Build("otel_scope_" + k); err == nil {
				dst = appendRec(dst, recFinal, label, v.AsString())
			}
		}
		dst = appendRec(dst, recFinal, "otel_scope_name", scope.Name())
		dst = appendRec(dst, recFinal, "otel_scope_version", scope.Version())
		dst = appendRec(dst, recFinal, "otel_scope_schema_url", sm.SchemaUrl())
	}
	c.resource = dst
}

// appendTarget appends job and instance as far as the resource has them.
func refTarget(dst []byte, attrs pcommon.Map) []byte {
	if v, ok := attrs.Get(serviceName); ok {
		job := v.AsString()
		if ns, ok := attrs.Get(serviceNamespace); ok {
			job = ns.AsString() + "/" + job
		}
		if job != "" {
			dst = appendRec(dst, recFinal, "job", job)
		}
	}
	if v, ok := attrs.Get(serviceInstance); ok && v.AsString() != "" {
		dst = appendRec(dst, recFinal, "instance", v.AsString())
	}
	return dst
}

// targetInfo adds target_info, which carries the attributes that are not labels of every
// series: a sample every interval from first to last and one at last.
func (c *refConverter) targetInfo(res pcommon.Resource, first, last pcommon.Timestamp) {
	const interval, most = int64(150 * time.Second), 100
	c.start = 0
	key := len(c.keys)
	c.keys = append(c.keys, keyPrefix)
	target := refTarget(c.scratch[:0], res.Attributes())
	c.scratch = target
	more := false
	for k, v := range res.Attributes().All() {
		switch k {
		case serviceName, serviceNamespace, serviceInstance, model.MetricName:
		case "server.address", "server.port", "url.scheme":
			more = more || c.info // the Prometheus receiver adds these to every target
			c.keys = refAttrRec(c.keys, recAttr, k, v)
		default:
			more = true
			c.keys = refAttrRec(c.keys, recAttr, k, v)
		}
	}
	if !more || len(target) == 0 {
		c.keys = c.keys[:key]
		return
	}
	c.keys = appendName(append(c.keys, target...), "target_info", "")
	from := len(c.samples)
	for t := max(int64(first), int64(last)-most*interval); t < int64(last); t += interval {
		c.samples = append(c.samples, store.Sample{Time: t / 1e6, Value: 1})
		if t > math.MaxInt64-interval {
			break
		}
	}
	c.samples = append(c.samples, store.Sample{Time: refMillis(last), Value: 1})
	c.series(key, from, len(c.histos), len(c.exemplars))
	c.batch.Metadata = append(c.batch.Metadata, store.MetricMetadata{Metric: "target_info", Type: "gauge", Help: "Target metadata"})
}

// metric adds the data points of m and returns the range of their timestamps.
func (c *refConverter) metric(m pmetric.Metric) (first, last pcommon.Timestamp) {
	first, last = math.MaxUint64, 0
	seen := func(t pcommon.Timestamp) { first, last = min(first, t), max(last, t) }
	known, err := c.translate(m)
	name := known.name
	if err != nil {
		c.refused.Add(reasonName, refPoints(m), err.Error)
		return first, last
	}
	delta, err := refIsDelta(m)
	if err != nil {
		c.refused.Add(reasonTemporality, refPoints(m), err.Error)
		return first, last
	}
	if refPoints(m) > 0 {
		_, typ := refKind(m)
		c.batch.Metadata = append(c.batch.Metadata, store.MetricMetadata{Metric: name, Type: typ, Unit: known.unit, Help: m.Description()})
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		c.start = 0
		for _, p := range m.Gauge().DataPoints().All() {
			seen(p.Timestamp())
			c.number(name, p, false, false)
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			seen(p.Timestamp())
			if c.start = 0; m.Sum().IsMonotonic() {
				c.start = refMillis(p.StartTimestamp())
			}
			c.number(name, p, delta, true)
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			seen(p.Timestamp())
			c.start = refMillis(p.StartTimestamp())
			c.histogram(name, p, delta)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			seen(p.Timestamp())
			c.start = refMillis(p.StartTimestamp())
			c.exponential(name, p, delta)
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			seen(p.Timestamp())
			c.start = refMillis(p.StartTimestamp())
			c.summary(name, p)
		}
	}
	return first, last
}

// isDelta tells delta from cumulative temporality, where a metric has one.
func refIsDelta(m pmetric.Metric) (bool, error) {
	t := pmetric.AggregationTemporalityCumulative
	switch m.Type() {
	case pmetric.MetricTypeSum:
		t = m.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		t = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		t = m.ExponentialHistogram().AggregationTemporality()
	}
	if t == pmetric.AggregationTemporalityUnspecified {
		return false, fmt.Errorf("metric %q: aggregation temporality is unspecified; it must be cumulative or delta", m.Name())
	}
	return t == pmetric.AggregationTemporalityDelta, nil
}

func refPoints(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 0
}

// kind returns the metric's type for the naming rules and for metadata.
func refKind(m pmetric.Metric) (otlptranslator.MetricType, string) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return otlptranslator.MetricTypeGauge, "gauge"
	case pmetric.MetricTypeSum:
		if m.Sum().IsMonotonic() {
			return otlptranslator.MetricTypeMonotonicCounter, "counter"
		}
		return otlptranslator.MetricTypeNonMonotonicCounter, "gauge"
	case pmetric.MetricTypeHistogram:
		return otlptranslator.MetricTypeHistogram, "histogram"
	case pmetric.MetricTypeExponentialHistogram:
		return otlptranslator.MetricTypeExponentialHistogram, "histogram"
	case pmetric.MetricTypeSummary:
		return otlptranslator.MetricTypeSummary, "summary"
	}
	return otlptranslator.MetricTypeUnknown, "unknown"
}

// translate returns the name and unit of m.
func (c *refConverter) translate(m pmetric.Metric) (translated, error) {
	k, _ := refKind(m)
	id := metricID{m.Name(), m.Unit(), k}
	if c.scraped {
		return translated{m.Name(), m.Unit()}, nil
	}
	if t, ok := c.names[id]; ok {
		return t, nil
	}
	namer, units := otlptranslator.MetricNamer{WithMetricSuffixes: true}, otlptranslator.UnitNamer{}
	name, err := namer.Build(otlptranslator.Metric{Name: id.name, Unit: id.unit, Type: k})
	if err != nil {
		return translated{}, err
	}
	c.names[id] = translated{name, units.Build(id.unit)}
	return c.names[id], nil
}

// number adds a gauge's or sum's data point.
func (c *refConverter) number(name string, p pmetric.NumberDataPoint, delta, exemplars bool) {
	if !c.room(c.resource) {
		return
	}
	key := len(c.keys)
	c.keys = appendName(append(c.keys, c.resource...), name, "")
	c.keys = refAttrs(c.keys, c.attrKind, p.Attributes())
	v := p.DoubleValue()
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		v = float64(p.IntValue())
	}
	if delta && !p.Flags().NoRecordedValue() {
		s, err := c.add(key, p.StartTimestamp(), p.Timestamp(), func(old *deltaState) (*deltaState, error) {
			sum := v
			if old != nil {
				sum += old.value
			}
			return &deltaState{value: sum}, nil
		})
		if err != nil {
			c.refuseDelta(name, err)
			c.keys = c.keys[:key]
			return
		}
		v = s.value
	}
	first := len(c.exemplars)
	if exemplars {
		c.addExemplars(p.Exemplars())
	}
	c.sample(key, refMillis(p.Timestamp()), refStale(p.Flags(), v), first)
}

// addExemplars appends exemplars to the arena.
func (c *refConverter) addExemplars(es pmetric.ExemplarSlice) {
	for _, e := range es.All() {
		c.exemplars = append(c.exemplars, c.exemplar(e))
	}
}

func (c *refConverter) exemplar(e pmetric.Exemplar) store.Exemplar {
	out := store.Exemplar{Time: refMillis(e.Timestamp()), Value: e.DoubleValue()}
	if e.ValueType() == pmetric.ExemplarValueTypeInt {
		out.Value = float64(e.IntValue())
	}
	first, runes := len(c.labels), 0
	if id := e.TraceID(); !id.IsEmpty() {
		c.labels = append(c.labels, model.Label{Name: "trace_id", Value: hex.EncodeToString(id[:])})
		runes += len("trace_id") + 32
	}
	if id := e.SpanID(); !id.IsEmpty() {
		c.labels = append(c.labels, model.Label{Name: "span_id", Value: hex.EncodeToString(id[:])})
		runes += len("span_id") + 16
	}
	for k, v := range e.FilteredAttributes().All() {
		runes += utf8.RuneCountInString(k) + utf8.RuneCountInString(v.AsString())
	}
	if runes <= maxExemplarRunes {
		for k, v := range e.FilteredAttributes().All() {
			c.labels = append(c.labels, model.Label{Name: k, Value: v.AsString()})
		}
	}
	out.Labels = model.NewLabels(c.labels[first:len(c.labels):len(c.labels)]...)
	return out
}

// histogram adds a classic histogram's data point: _sum, _count and a _bucket for every
// bound and +Inf.
func (c *refConverter) histogram(name string, p pmetric.HistogramDataPoint, delta bool) {
	base := c.base(p.Attributes())
	counts, bounds := p.BucketCounts().AsRaw(), p.ExplicitBounds().AsRaw()
	count, sum, hasSum := p.Count(), p.Sum(), p.HasSum()
	if delta && !p.Flags().NoRecordedValue() {
		key := len(c.keys)
		c.keys = appendName(append(c.keys, base...), name, "")
		s, err := c.add(key, p.StartTimestamp(), p.Timestamp(), func(old *deltaState) (*deltaState, error) {
			return old.plusHistogram(counts, bounds, count, sum, hasSum), nil
		})
		c.keys = c.keys[:key]
		if err != nil {
			c.refuseDelta(name, err)
			return
		}
		counts, count, sum, hasSum = s.counts, s.count, s.sum, s.hasSum
	}
	ts, flags := refMillis(p.Timestamp()), p.Flags()
	if hasSum {
		c.sub(base, name, "_sum", "", "", ts, refStale(flags, sum), len(c.exemplars))
	}
	c.sub(base, name, "_count", "", "", ts, refStale(flags, float64(count)), len(c.exemplars))

	next, examples := 0, p.Exemplars()
	take := func(upTo float64) (first int) { // exemplars come in order of value
		first = len(c.exemplars)
		for ; next < examples.Len(); next++ {
			e := c.exemplar(examples.At(next))
			if e.Value > upTo {
				break
			}
			c.exemplars = append(c.exemplars, e)
		}
		return first
	}
	var below uint64
	for i := range min(len(bounds), len(counts)) {
		below += counts[i]
		c.text = strconv.AppendFloat(c.text[:0], bounds[i], 'f', -1, 64)
		c.sub(base, name, "_bucket", "le", string(c.text), ts, refStale(flags, float64(below)), take(bounds[i]))
	}
	c.sub(base, name, "_bucket", "le", "+Inf", ts, refStale(flags, float64(count)), take(math.Inf(1)))
}

// base returns the records that the series of one data point share. It is valid until
// the next call.
func (c *refConverter) base(attrs pcommon.Map) []byte {
	c.scratch = refAttrs(append(c.scratch[:0], c.resource...), c.attrKind, attrs)
	return c.scratch
}

// sub adds one of the series of a data point, with the exemplars appended since first.
func (c *refConverter) sub(base []byte, name, suffix, label, labelValue string, ts int64, v float64, first int) {
	if !c.room(base) {
		return
	}
	key := len(c.keys)
	c.keys = appendName(append(c.keys, base...), name, suffix)
	if label != "" {
		c.keys = appendRec(c.keys, recFinal, label, labelValue)
	}
	c.sample(key, ts, v, first)
}

// summary adds a summary's data point.
func (c *refConverter) summary(name string, p pmetric.SummaryDataPoint) {
	base := c.base(p.Attributes())
	ts, flags := refMillis(p.Timestamp()), p.Flags()
	c.sub(base, name, "_sum", "", "", ts, refStale(flags, p.Sum()), len(c.exemplars))
	c.sub(base, name, "_count", "", "", ts, refStale(flags, float64(p.Count())), len(c.exemplars))
	c.start = 0
	for _, q := range p.QuantileValues().All() {
		c.text = strconv.AppendFloat(c.text[:0], q.Quantile(), 'f', -1, 64)
		c.sub(base, name, "", "quantile", string(c.text), ts, refStale(flags, q.Value()), len(c.exemplars))
	}
}

// exponential adds an exponential histogram's data point as a native histogram.
func (c *refConverter) exponential(name string, p pmetric.ExponentialHistogramDataPoint, delta bool) {
	h, err := refNative(p)
	if err == nil {
		err = h.Validate()
	}
	if err != nil {
		c.refused.Add(reasonHistogram, 1, func() string { return fmt.Sprintf("metric %s: %v", name, err) })
		return
	}
	if !c.room(c.resource) {
		return
	}
	key := len(c.keys)
	c.keys = appendName(append(c.keys, c.resource...), name, "")
	c.keys = refAttrs(c.keys, c.attrKind, p.Attributes())
	out := store.HistogramSample{Time: refMillis(p.Timestamp()), Int: h}
	if delta && !p.Flags().NoRecordedValue() {
		s, err := c.add(key, p.StartTimestamp(), p.Timestamp(), func(old *deltaState) (*deltaState, error) {
			return old.plusNative(h)
		})
		if err != nil {
			c.refuseDelta(name, err)
			c.keys = c.keys[:key]
			return
		}
		out.Int, out.Float = nil, s.native.Copy()
	}
	first := len(c.exemplars)
	c.addExemplars(p.Exemplars())
	c.histos = append(c.histos, out)
	c.series(key, len(c.samples), len(c.histos)-1, first)
}

// add adds a delta to the state of the series whose key begins at key.
func (c *refConverter) add(key int, start, ts pcommon.Timestamp, plus func(old *deltaState) (*deltaState, error)) (*deltaState, error) {
	c.text = append(append(append(c.text[:0], c.tenant...), 0), c.keys[key:]...)
	s, u, err := c.deltas.add(c.text, int64(start), int64(ts), c.now, plus)
	if u.key != "" {
		c.undo = append(c.undo, u)
	}
	if err == nil && c.start != 0 {
		c.start = s.start / 1_000_000 // of what was added up
	}
	return s, err
}

func refMillis(t pcommon.Timestamp) int64 { return int64(t) / 1_000_000 }

func refStale(flags pmetric.DataPointFlags, v float64) float64 {
	if flags.NoRecordedValue() {
		return math.Float64frombits(value.StaleNaN)
	}
	return v
}

// refAttrs appends records of a kind of attributes. The metric name is never one of
// them.
func refAttrs(dst []byte, kind byte, attrs pcommon.Map) []byte {
	for k, v := range attrs.All() {
		if k != model.MetricName {
			dst = refAttrRec(dst, kind, k, v)
		}
	}
	return dst
}

func refAttrRec(dst []byte, kind byte, k string, v pcommon.Value) []byte {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendRec(dst, kind, k, v.Str())
	case pcommon.ValueTypeInt:
		var buf [20]byte
		return appendRec(dst, kind, k, string(strconv.AppendInt(buf[:0], v.Int(), 10)))
	}
	return appendRec(dst, kind, k, v.AsString())
}

// refNative turns an exponential histogram into a native one.
func refNative(p pmetric.ExponentialHistogramDataPoint) (*histogram.Histogram, error) {
	scale, down := p.Scale(), int32(0)
	if scale < histogram.ExponentialSchemaMin {
		return nil, fmt.Errorf("scale %d is below %d, the coarsest of native histograms", scale, histogram.ExponentialSchemaMin)
	}
	if scale > histogram.ExponentialSchemaMax {
		scale, down = histogram.ExponentialSchemaMax, scale-histogram.ExponentialSchemaMax
	}
	for _, b := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
		first := int64(b.Offset()) >> min(down, 31)
		last := (int64(b.Offset()) + int64(b.BucketCounts().Len())) >> min(down, 31)
		if b.BucketCounts().Len() > 0 && (first < -maxBucketIndex || last > maxBucketIndex) {
			return nil, fmt.Errorf("buckets %d to %d of scale %d lie beyond every float64", b.Offset(), int64(b.Offset())+int64(b.BucketCounts().Len())-1, p.Scale())
		}
	}
	h := &histogram.Histogram{Schema: scale, ZeroThreshold: defaultZeroThreshold, ZeroCount: p.ZeroCount()}
	h.PositiveSpans, h.PositiveBuckets = refBuckets(p.Positive(), down)
	h.NegativeSpans, h.NegativeBuckets = refBuckets(p.Negative(), down)
	h.Count, h.Sum = p.Count(), p.Sum()
	if p.Flags().NoRecordedValue() {
		h.Sum = refStale(p.Flags(), 0)
	}
	return h, nil
}

// refBuckets turns dense buckets into spans and deltas, merging 2^down neighbours.
// Bucket i holds (base^i, base^(i+1)] in OpenTelemetry, (base^(i-1), base^i] here.
func refBuckets(b pmetric.ExponentialHistogramDataPointBuckets, down int32) (spans []histogram.Span, out []int64) {
	counts := b.BucketCounts()
	var next int32 // index after the last bucket written
	var prev int64 // its count
	put := func(index int32, n int64) {
		switch {
		case n == 0:
			return
		case len(spans) == 0:
			spans = append(spans, histogram.Span{Offset: index})
		case index-next > 2:
			spans = append(spans, histogram.Span{Offset: index - next})
		default:
			for ; next < index; next++ { // a short gap is cheaper as empty buckets
				spans[len(spans)-1].Length++
				out = append(out, -prev)
				prev = 0
			}
		}
		spans[len(spans)-1].Length++
		out = append(out, n-prev)
		prev, next = n, index+1
	}
	var index int32
	var n int64
	for i := range counts.Len() {
		at := (int32(i)+b.Offset())>>min(down, 31) + 1
		if i == 0 || at != index {
			put(index, n)
			index, n = at, 0
		}
		n += int64(counts.At(i))
	}
	put(index, n)
	return spans, out
}
