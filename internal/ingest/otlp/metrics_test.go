package otlp

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// lines is what a batch or an appender was given, as sorted text: one line a sample,
// histogram or exemplar.
type lines []string

func (l *lines) sample(ls fmt.Stringer, t int64, v float64) {
	*l = append(*l, fmt.Sprintf("%s %d %x", ls, t, math.Float64bits(v)))
}

func (l *lines) histogram(ls fmt.Stringer, t int64, h *histogram.FloatHistogram) {
	*l = append(*l, fmt.Sprintf("%s %d %s hint %d", ls, t, h.Copy().Compact(0), h.CounterResetHint))
}

func (l *lines) exemplar(ls fmt.Stringer, t int64, v float64, ex fmt.Stringer) {
	*l = append(*l, fmt.Sprintf("%s exemplar %d %g %s", ls, t, v, ex))
}

// recorder is a MetricWriter that keeps lines and metadata.
type recorder struct {
	lines lines
	meta  map[string]store.MetricMetadata
	err   error
}

func (r *recorder) Append(_ context.Context, _ model.Tenant, b *store.MetricBatch) error {
	for _, w := range b.Series {
		ls, err := b.Decode(w.Key, nil)
		if err != nil {
			return err
		}
		ls = model.NewLabels(ls...)
		for _, s := range w.Samples {
			r.lines.sample(ls, s.Time, s.Value)
		}
		for _, h := range w.Histograms {
			fh := h.Float
			if h.Int != nil {
				fh = h.Int.ToFloat(nil)
			}
			r.lines.histogram(ls, h.Time, fh)
		}
		for _, e := range w.Exemplars {
			r.lines.exemplar(ls, e.Time, e.Value, e.Labels)
		}
	}
	if r.meta == nil {
		r.meta = map[string]store.MetricMetadata{}
	}
	for _, m := range b.Metadata {
		r.meta[m.Metric] = m
	}
	return r.err
}

// appender is Prometheus' side: it keeps the same.
type appender struct {
	storage.AppenderTransaction
	lines lines
	meta  map[string]store.MetricMetadata
}

func (a *appender) Append(_ storage.SeriesRef, ls labels.Labels, _, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	text := model.LabelsFromMap(ls.Map())
	switch {
	case h != nil:
		a.lines.histogram(text, t, h.ToFloat(nil))
	case fh != nil:
		a.lines.histogram(text, t, fh)
	default:
		a.lines.sample(text, t, v)
	}
	for _, e := range opts.Exemplars {
		a.lines.exemplar(text, e.Ts, e.Value, model.LabelsFromMap(e.Labels.Map()))
	}
	a.meta[opts.MetricFamilyName] = store.MetricMetadata{
		Metric: opts.MetricFamilyName, Type: string(opts.Metadata.Type), Unit: opts.Metadata.Unit, Help: opts.Metadata.Help,
	}
	return 0, nil
}

// oracle converts md with Prometheus' own translation.
func oracle(t *testing.T, md pmetric.Metrics, scope bool) *appender {
	t.Helper()
	app := &appender{meta: map[string]store.MetricMetadata{}}
	_, err := prometheusremotewrite.NewPrometheusConverter(app).FromMetrics(t.Context(), md, prometheusremotewrite.Settings{
		AddMetricSuffixes: true, LabelNameUnderscoreSanitization: true, LabelNamePreserveMultipleUnderscores: true,
		PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{PromoteResourceAttributes: []string{"service.name"}}),
		PromoteScopeMetadata:      scope,
	})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// metricsBody returns md as it is sent.
func metricsBody(t testing.TB, md pmetric.Metrics) []byte {
	t.Helper()
	b, err := new(pmetric.ProtoMarshaler).MarshalMetrics(md)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unique(l lines) lines {
	slices.Sort(l)
	return slices.Compact(l)
}

func TestMatchesPrometheus(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			md := randomMetrics(rand.New(rand.NewPCG(seed, 1)))
			want := oracle(t, md, seed%2 == 1)
			var got recorder
			if _, err := New(Options{Metrics: &got, ScopeLabels: seed%2 == 1}).WriteMetrics(t.Context(), "t", metricsBody(t, md)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(unique(want.lines), unique(got.lines)); diff != "" {
				t.Errorf("data (-Prometheus +ours):\n%s", diff)
			}
			if diff := cmp.Diff(want.meta, got.meta); diff != "" {
				t.Errorf("metadata (-Prometheus +ours):\n%s", diff)
			}
		})
	}
}

// randomMetrics makes metrics with every kind of data point and awkward names.
func randomMetrics(r *rand.Rand) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i := range 2 {
		rm := md.ResourceMetrics().AppendEmpty()
		res := rm.Resource().Attributes()
		if r.IntN(4) > 0 {
			res.PutStr("service.name", fmt.Sprintf("svc-%d", i))
		}
		for k, v := range map[string]string{"service.namespace": "ns", "service.instance.id": "i-1", "host.name": "h", "1bad": "x", "_under": "y"} {
			if r.IntN(2) == 0 {
				res.PutStr(k, v)
			}
		}
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("my.lib")
		sm.Scope().SetVersion("1.2")
		sm.Scope().Attributes().PutStr("a.b", "c")
		for range 6 {
			randomMetric(r, sm.Metrics().AppendEmpty())
		}
	}
	return md
}

func randomMetric(r *rand.Rand, m pmetric.Metric) {
	m.SetName([]string{"http.server.duration", "system.memory.usage", "requests_total", "9lives", "a__b", "total.errors"}[r.IntN(6)] + fmt.Sprint(r.IntN(100)))
	m.SetUnit([]string{"s", "By", "1", "{request}", "By/s", "ms", "", "%", "m/s^2"}[r.IntN(9)])
	m.SetDescription("A description.")
	ts := pcommon.Timestamp(1_700_000_000_000_000_000 + r.Int64N(600e9))
	common := func(attrs pcommon.Map) {
		attrs.PutStr("http.method", "GET")
		for k, v := range map[string]any{"http_method": "POST", "code": 200, "ok": true, "ratio": 0.5, "__name__": "evil", "job": "x", "empty": "", "_u": "v"} {
			if r.IntN(2) == 0 {
				if err := attrs.PutEmpty(k).FromRaw(v); err != nil {
					panic(err)
				}
			}
		}
	}
	stale := r.IntN(5) == 0
	switch r.IntN(5) {
	case 0:
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		common(p.Attributes())
		p.SetTimestamp(ts)
		p.SetDoubleValue(r.Float64())
		p.SetFlags(p.Flags().WithNoRecordedValue(stale))
	case 1:
		s := m.SetEmptySum()
		s.SetIsMonotonic(r.IntN(2) == 0)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := s.DataPoints().AppendEmpty()
		common(p.Attributes())
		p.SetTimestamp(ts)
		p.SetIntValue(r.Int64N(1000))
		p.SetFlags(p.Flags().WithNoRecordedValue(stale))
		randomExemplars(r, p.Exemplars(), ts)
	case 2:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		common(p.Attributes())
		p.SetTimestamp(ts)
		p.ExplicitBounds().FromRaw([]float64{0.005, 1, 2.5, 1e6})
		p.BucketCounts().FromRaw([]uint64{1, 0, 3, 4, 5})
		p.SetCount(13)
		if r.IntN(2) == 0 {
			p.SetSum(42.5)
		}
		p.SetFlags(p.Flags().WithNoRecordedValue(stale))
		randomExemplars(r, p.Exemplars(), ts)
	case 3:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		common(p.Attributes())
		p.SetTimestamp(ts)
		randomExponential(r, p)
		randomExemplars(r, p.Exemplars(), ts)
	case 4:
		p := m.SetEmptySummary().DataPoints().AppendEmpty()
		common(p.Attributes())
		p.SetTimestamp(ts)
		p.SetSum(3)
		p.SetCount(2)
		q := p.QuantileValues().AppendEmpty()
		q.SetQuantile(0.99)
		q.SetValue(7)
		p.SetFlags(p.Flags().WithNoRecordedValue(stale))
	}
}

func randomExponential(r *rand.Rand, p pmetric.ExponentialHistogramDataPoint) {
	p.SetScale(int32(r.IntN(13) - 4)) // Prometheus misplaces buckets that it merges after empty ones
	total := uint64(r.IntN(3))
	p.SetZeroCount(total)
	for _, b := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
		b.SetOffset(int32(r.IntN(2000) - 1000))
		for range r.IntN(40) {
			n := uint64(max(r.IntN(20)-10, 0))
			b.BucketCounts().Append(n)
			total += n
		}
	}
	p.SetCount(total)
	p.SetSum(17.25)
}

func randomExemplars(r *rand.Rand, es pmetric.ExemplarSlice, ts pcommon.Timestamp) {
	for i := range r.IntN(4) {
		e := es.AppendEmpty()
		e.SetTimestamp(ts)
		e.SetDoubleValue(float64(i) * 1.1)
		e.SetTraceID([16]byte{0: 1, 15: byte(i)})
		e.SetSpanID([8]byte{7: 1})
		e.FilteredAttributes().PutStr("user", strings.Repeat("u", r.IntN(80)))
	}
}

// TestNativeBucketsMerge compares merged buckets with the definition.
func TestNativeBucketsMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		b := &buckets{offset: int32(r.IntN(200) - 100)}
		down := int32(r.IntN(6))
		want := map[int32]int64{}
		for i := range r.IntN(60) {
			n := max(r.Int64N(20)-10, 0)
			b.counts = append(b.counts, uint64(n))
			if n > 0 {
				want[(int32(i)+b.offset)>>down+1] += n
			}
		}
		spans, deltas := nativeBuckets(b, down)
		got := map[int32]int64{}
		var index int32
		var n int64
		for _, s := range spans {
			index += s.Offset
			for range s.Length {
				n += deltas[0]
				deltas = deltas[1:]
				if n != 0 {
					got[index] = n
				}
				index++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("buckets by index (-want +got):\n%s", diff)
		}
	}
}

// deltaSum makes metrics of one delta sum.
func deltaSum(start, ts int64, v float64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "s")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("jobs")
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	p := s.DataPoints().AppendEmpty()
	p.SetStartTimestamp(pcommon.Timestamp(start * 1e9))
	p.SetTimestamp(pcommon.Timestamp(ts * 1e9))
	p.SetDoubleValue(v)
	return md
}

// TestStart demands the start of what counts up: of deltas, that of the first.
func TestStart(t *testing.T) {
	w := New(Options{Metrics: new(recorder)})
	c := &converter{opts: &w.opts, deltas: &w.deltas}
	starts := func(md pmetric.Metrics) (out []int64) {
		c.reset("a", 0)
		defer c.release()
		if err := c.convert(metricsBody(t, md)); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.batch.Series {
			out = append(out, s.Start)
		}
		return out
	}
	want := func(got []int64, want ...int64) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	want(starts(deltaSum(10, 20, 5)), 10_000)
	want(starts(deltaSum(20, 30, 5)), 10_000)
	md := deltaSum(40, 50, 5)
	metrics := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	metrics.At(0).Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	want(starts(md), 40_000)
	metrics.At(0).Sum().SetIsMonotonic(false)
	p := metrics.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty()
	p.SetStartTimestamp(40e9)
	p.QuantileValues().AppendEmpty()
	metrics.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetStartTimestamp(40e9)
	metrics.At(1).SetName("s")
	metrics.At(2).SetName("g")
	want(starts(md), 0, 40_000, 40_000, 0, 0)
}

func TestDeltaSum(t *testing.T) {
	now := time.Unix(1000, 0)
	rec := new(recorder)
	w := New(Options{Metrics: rec, MaxDeltaSeries: 1, Now: func() time.Time { return now }})
	steps := []struct {
		tenant        model.Tenant
		start, ts     int64
		v             float64
		storeErr      error
		want          float64 // stored
		refused, fail string
	}{
		{tenant: "a", start: 10, ts: 20, v: 5, want: 5},
		{tenant: "a", start: 20, ts: 30, v: 2, want: 7},
		{tenant: "a", start: 20, ts: 30, v: 2, want: 7},                                      // sent again
		{tenant: "a", start: 20, ts: 25, v: 2, refused: reasonDeltaOrder},                    // late
		{tenant: "a", start: 5, ts: 40, v: 2, refused: reasonDeltaOrder},                     // another process
		{tenant: "a", start: 30, ts: 40, v: 1, storeErr: store.ErrOverloaded, fail: "overl"}, // taken back
		{tenant: "a", start: 30, ts: 40, v: 1, want: 8},
		{tenant: "b", start: 10, ts: 20, v: 5, refused: store.ReasonSeriesLimit},
	}
	for i, s := range steps {
		rec.lines, rec.err = nil, s.storeErr
		_, err := w.WriteMetrics(t.Context(), s.tenant, metricsBody(t, deltaSum(s.start, s.ts, s.v)))
		switch {
		case s.fail != "":
			if err == nil || !strings.Contains(err.Error(), s.fail) {
				t.Errorf("step %d: error %v", i, err)
			}
		case s.refused != "":
			if err == nil || !strings.Contains(err.Error(), s.refused) || len(rec.lines) > 0 {
				t.Errorf("step %d: error %v, want %s; stored %q", i, err, s.refused, rec.lines)
			}
		case err != nil:
			t.Errorf("step %d: %v", i, err)
		default:
			var want lines
			want.sample(model.LabelsFromMap(map[string]string{"__name__": "jobs_total", "job": "s", "service_name": "s"}), s.ts*1000, s.want)
			if diff := cmp.Diff(want, rec.lines); diff != "" {
				t.Errorf("step %d (-want +got):\n%s", i, diff)
			}
		}
	}
	now = now.Add(6 * time.Minute) // tenant a's series is forgotten
	if _, err := w.WriteMetrics(t.Context(), "b", metricsBody(t, deltaSum(10, 20, 5))); err != nil {
		t.Errorf("after the other series went stale: %v", err)
	}
}

func TestDeltaHistograms(t *testing.T) {
	md := func(ts int64) pmetric.Metrics {
		md := pmetric.NewMetrics()
		ms := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
		m := ms.AppendEmpty()
		m.SetName("h")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := h.DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.Timestamp(ts * 1e9))
		p.ExplicitBounds().FromRaw([]float64{1})
		p.BucketCounts().FromRaw([]uint64{2, 1})
		p.SetCount(3)
		p.SetSum(1.5)
		m = ms.AppendEmpty()
		m.SetName("e")
		e := m.SetEmptyExponentialHistogram()
		e.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		q := e.DataPoints().AppendEmpty()
		q.SetTimestamp(pcommon.Timestamp(ts * 1e9))
		q.SetScale(2 - int32(ts)) // the resolution falls
		q.Positive().SetOffset(0)
		q.Positive().BucketCounts().FromRaw([]uint64{4})
		q.SetCount(4)
		q.SetSum(2)
		return md
	}
	rec := new(recorder)
	w := New(Options{Metrics: rec})
	for ts := range int64(3) {
		rec.lines = nil
		if _, err := w.WriteMetrics(t.Context(), "t", metricsBody(t, md(ts+1))); err != nil {
			t.Fatal(err)
		}
	}
	var want lines
	name := func(n string, le ...string) model.Labels {
		m := map[string]string{"__name__": n}
		if len(le) > 0 {
			m["le"] = le[0]
		}
		return model.LabelsFromMap(m)
	}
	want.sample(name("h_sum"), 3000, 4.5)
	want.sample(name("h_count"), 3000, 9)
	want.sample(name("h_bucket", "1"), 3000, 6)
	want.sample(name("h_bucket", "+Inf"), 3000, 9)
	want.histogram(name("e"), 3000, &histogram.FloatHistogram{
		Schema: -1, ZeroThreshold: defaultZeroThreshold, Count: 12, Sum: 6,
		PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{12},
	})
	if diff := cmp.Diff(unique(want), unique(rec.lines)); diff != "" {
		t.Errorf("after three deltas (-want +got):\n%s", diff)
	}
}

func TestMetricsRefused(t *testing.T) {
	md := pmetric.NewMetrics()
	ms := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	m := ms.AppendEmpty()
	m.SetName("unspecified")
	m.SetEmptySum().DataPoints().AppendEmpty()
	m = ms.AppendEmpty()
	m.SetName("...")
	m.SetEmptyGauge().DataPoints().AppendEmpty()
	m = ms.AppendEmpty()
	m.SetName("coarse")
	e := m.SetEmptyExponentialHistogram()
	e.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	e.DataPoints().AppendEmpty().SetScale(-5)
	m = ms.AppendEmpty()
	m.SetName("fine")
	m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	m = ms.AppendEmpty()
	m.SetName("no data")
	m.SetEmptyGauge()
	rec := new(recorder)
	_, err := New(Options{Metrics: rec}).WriteMetrics(t.Context(), "t", metricsBody(t, md))
	for _, part := range []string{reasonTemporality, reasonName, reasonHistogram, "3 of 4 items refused"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %s", err, part)
		}
	}
	if got := slices.Sorted(maps.Keys(rec.meta)); !slices.Contains(got, "fine") || len(rec.lines) != 1 {
		t.Errorf("stored %q, metadata %q", rec.lines, got)
	}
}

func TestTargetInfoIsBounded(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "s")
	rm.Resource().Attributes().PutStr("host.name", "h")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("g")
	g := m.SetEmptyGauge()
	for _, times := range [][]pcommon.Timestamp{
		{0, 1_700_000_000_000_000_000},
		{math.MaxInt64 - 1, math.MaxInt64},
		{math.MaxInt64 - 1, math.MaxUint64},
	} {
		g.DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return true })
		for _, ts := range times {
			g.DataPoints().AppendEmpty().SetTimestamp(ts)
		}
		rec := new(recorder)
		if _, err := New(Options{Metrics: rec}).WriteMetrics(t.Context(), "t", metricsBody(t, md)); err != nil {
			t.Fatal(err)
		}
		if n := len(rec.lines); n > 200 {
			t.Errorf("%d: %d samples", times, n)
		}
	}
}

// TestFarBuckets adds up delta histograms whose buckets lie at the ends of the index
// range: they are refused, not added.
func TestFarBuckets(t *testing.T) {
	for _, offsets := range [][2]int32{{math.MinInt32, math.MaxInt32 - 1}, {math.MaxInt32 - 1, 0}, {0, math.MinInt32}} {
		md := pmetric.NewMetrics()
		m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("h")
		e := m.SetEmptyExponentialHistogram()
		e.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for i, offset := range offsets {
			p := e.DataPoints().AppendEmpty()
			p.SetStartTimestamp(pcommon.Timestamp(1 + i))
			p.SetTimestamp(pcommon.Timestamp(2 + i))
			p.SetScale([]int32{8, -4}[i])
			p.SetCount(2)
			p.Positive().SetOffset(offset)
			p.Positive().BucketCounts().FromRaw([]uint64{1, 1})
		}
		_, err := New(Options{Metrics: new(recorder)}).WriteMetrics(t.Context(), "t", metricsBody(t, md))
		if err == nil || !strings.Contains(err.Error(), reasonHistogram) {
			t.Errorf("offsets %d: error %v", offsets, err)
		}
	}
}

// TestKeysAreBounded converts a histogram for whose series there is no room.
func TestKeysAreBounded(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", strings.Repeat("s", 1000))
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("h")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	h.DataPoints().AppendEmpty().ExplicitBounds().FromRaw(make([]float64, 100))
	h.DataPoints().At(0).BucketCounts().FromRaw(make([]uint64, 101))
	w := New(Options{Metrics: new(recorder)})
	c := &converter{opts: &w.opts, deltas: &w.deltas}
	c.reset("t", 0)
	c.keys = make([]byte, maxKeys-10_000) // memory that is never touched
	if err := c.convert(metricsBody(t, md)); err != nil || !c.over || len(c.keys) > maxKeys+10_000 {
		t.Errorf("%d bytes of keys, error %v", len(c.keys), err)
	}
}

func FuzzDecodeKey(f *testing.F) {
	key := appendName([]byte{keyPrefix}, "m", "_sum")
	key = appendRec(key, recAttr, "a.b", "1")
	f.Add(appendRec(key, recPromoted, "service_name", "s"))
	f.Fuzz(func(_ *testing.T, key []byte) { _, _ = decodeKey(key, nil) })
}

func BenchmarkMetrics(b *testing.B) {
	bench := func(name string, fill func(m pmetric.Metric)) {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "checkout")
		rm.Resource().Attributes().PutStr("service.instance.id", "0123456789")
		ms := rm.ScopeMetrics().AppendEmpty().Metrics()
		for i := range 100 {
			m := ms.AppendEmpty()
			m.SetName(fmt.Sprintf("http.server.metric_%d", i))
			m.SetUnit("s")
			fill(m)
		}
		b.Run(name, func(b *testing.B) {
			out := new(discard)
			w := New(Options{Metrics: out})
			body := metricsBody(b, md)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.WriteMetrics(b.Context(), "t", body); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(out.series), "ns/series")
		})
	}
	attrs := func(p pointOf, j int) {
		p.SetTimestamp(1_700_000_000_000_000_000)
		p.Attributes().PutStr("http.route", fmt.Sprintf("/api/users/%d", j))
		p.Attributes().PutStr("http.request.method", "GET")
		p.Attributes().PutInt("http.response.status_code", 200)
	}
	bench("sums", func(m pmetric.Metric) {
		s := m.SetEmptySum()
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		s.SetIsMonotonic(true)
		for j := range 10 {
			p := s.DataPoints().AppendEmpty()
			p.SetIntValue(int64(j))
			attrs(p, j)
		}
	})
	bench("histograms", func(m pmetric.Metric) {
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for j := range 10 {
			p := h.DataPoints().AppendEmpty()
			p.ExplicitBounds().FromRaw([]float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10})
			p.BucketCounts().FromRaw(make([]uint64, 15))
			attrs(p, j)
		}
	})
}

// discard is a MetricWriter that only counts the series of the last batch.
type discard struct{ series int }

func (d *discard) Append(_ context.Context, _ model.Tenant, b *store.MetricBatch) error {
	d.series = len(b.Series)
	return nil
}
