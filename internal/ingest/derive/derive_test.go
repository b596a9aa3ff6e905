package derive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// fake keeps the last sample of every series, and all samples of each.
type fake struct {
	series    map[string][]store.Sample
	natives   map[string][]store.HistogramSample
	exemplars map[string][]store.Exemplar
	err       error
}

func newFake() *fake {
	return &fake{series: map[string][]store.Sample{}, natives: map[string][]store.HistogramSample{}, exemplars: map[string][]store.Exemplar{}}
}

func (f *fake) Append(_ context.Context, tenant model.Tenant, b *store.MetricBatch) error {
	if f.err != nil {
		return f.err
	}
	for _, s := range b.Series {
		ls, err := b.Decode(s.Key, nil)
		if err != nil {
			return err
		}
		ls = model.NewLabels(ls...).Clone()
		name := ls.Get(model.MetricName) + strings.Replace(ls.String(), `__name__="`+ls.Get(model.MetricName)+`", `, "", 1)
		if tenant != "t" {
			name = string(tenant) + ":" + name
		}
		f.series[name] = append(f.series[name], s.Samples...)
		f.natives[name] = append(f.natives[name], s.Histograms...)
		for _, e := range s.Exemplars {
			e.Labels = e.Labels.Clone()
			f.exemplars[name] = append(f.exemplars[name], e)
		}
	}
	return nil
}

// last returns the newest values of the series whose name begins with prefix; zeros are
// left out.
func (f *fake) last(prefix string) map[string]float64 {
	out := map[string]float64{}
	for n, s := range f.series {
		if strings.HasPrefix(n, prefix) && len(s) > 0 && s[len(s)-1].Value != 0 {
			out[n] = s[len(s)-1].Value
		}
	}
	return out
}

// traces is the store of spans; it fails with err.
type traces struct{ err error }

func (t traces) Append(context.Context, model.Tenant, *spans.Batch) error { return t.err }

// spec describes a span: times are in milliseconds before now.
type spec struct {
	service, name string
	kind          ptrace.SpanKind
	trace, id, up byte
	from, to      int // ms before now
	failed        bool
	attrs         map[string]any
	resource      map[string]any
}

const (
	server   = ptrace.SpanKindServer
	client   = ptrace.SpanKindClient
	producer = ptrace.SpanKindProducer
	consumer = ptrace.SpanKindConsumer
	internal = ptrace.SpanKindInternal
)

func build(now time.Time, specs ...spec) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, x := range specs {
		rs := td.ResourceSpans().AppendEmpty()
		_ = rs.Resource().Attributes().FromRaw(x.resource)
		if x.service != "" {
			rs.Resource().Attributes().PutStr(serviceName, x.service)
		}
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetName(x.name)
		s.SetKind(x.kind)
		s.SetTraceID(pcommon.TraceID{15: x.trace})
		s.SetSpanID(pcommon.SpanID{7: x.id})
		if x.up != 0 {
			s.SetParentSpanID(pcommon.SpanID{7: x.up})
		}
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(x.from) * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(x.to) * time.Millisecond)))
		if x.failed {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		_ = s.Attributes().FromRaw(x.attrs)
	}
	return td
}

// bench is a Processor under test with a clock of its own.
type rig struct {
	*Processor
	t   *testing.T
	now time.Time
	out *fake
}

func newRig(t *testing.T, opts Options) *rig {
	r := &rig{t: t, now: time.Unix(1_700_000_000, 0), out: newFake()}
	opts.Metrics, opts.Now = r.out, func() time.Time { return r.now }
	var err error
	if r.Processor, err = New(opts); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) send(specs ...spec) {
	r.t.Helper()
	if err := r.Traces(traces{}).Append(r.t.Context(), "t", storetest.Spans(build(r.now, specs...))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) wait(d time.Duration) {
	r.now = r.now.Add(d)
	r.flush(r.t.Context())
}

func (r *rig) want(prefix string, want map[string]float64) {
	r.t.Helper()
	full := map[string]float64{}
	for k, v := range want {
		full[prefix+k] = v
	}
	if diff := cmp.Diff(full, r.out.last(prefix), cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })); diff != "" {
		r.t.Errorf("%s: -want +got\n%s", prefix, diff)
	}
}

func TestSpanMetrics(t *testing.T) {
	r := newRig(t, Options{})
	pay := spec{service: "pay", name: "POST /pay", kind: server, trace: 1, id: 2, up: 1, from: 2600, failed: true}
	r.send(pay)
	r.wait(10 * time.Second)
	ls := `{service="pay", span_kind="SPAN_KIND_SERVER", span_name="POST /pay", status_code="STATUS_CODE_ERROR"}`
	le := func(le string) string { return strings.Replace(ls, "{", `{le="`+le+`", `, 1) }
	r.want("traces_spanmetrics_calls_total", map[string]float64{ls: 1})
	r.want("traces_spanmetrics_latency_sum", map[string]float64{ls: 2.6})
	r.want("traces_spanmetrics_latency_count", map[string]float64{ls: 1})
	r.want("traces_spanmetrics_latency_bucket", map[string]float64{le("4.096"): 1, le("8.192"): 1, le("16.384"): 1, le("+Inf"): 1})
	size := (&ptrace.ProtoMarshaler{}).SpanSize(build(r.now, pay).ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0))
	r.want("traces_spanmetrics_size_total", map[string]float64{ls: float64(size)})

	var les []string
	for n := range r.out.series {
		if strings.HasPrefix(n, "traces_spanmetrics_latency_bucket") {
			les = append(les, strings.Split(n, `"`)[1])
		}
	}
	slices.Sort(les)
	if got, want := strings.Join(les, " "), "+Inf 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 16.384 2.048 4.096 8.192"; got != want {
		t.Errorf("buckets %s, want %s", got, want)
	}
	samples := r.out.series["traces_spanmetrics_calls_total"+ls]
	if len(samples) != 2 || samples[0] != (store.Sample{Time: 1_700_000_000_000 - 1, Value: 0}) {
		t.Errorf("a new series begins with %v, want a sample 0 first", samples)
	}
	want := map[string][]store.Exemplar{"traces_spanmetrics_latency_bucket" + le("4.096"): {{
		Time: 1_700_000_000_000, Value: 2.6, Labels: model.Labels{{Name: "traceID", Value: "1"}},
	}}}
	if diff := cmp.Diff(want, r.out.exemplars); diff != "" {
		t.Errorf("exemplars: -want +got\n%s", diff)
	}
	r.send(spec{name: "POST /pay", kind: internal, trace: 1, id: 9, from: 1})
	r.wait(10 * time.Second)
	if n := len(r.out.series["traces_spanmetrics_calls_total"+ls]); n != 3 {
		t.Errorf("%d samples; a series that rests gets one each time", n)
	}
	if len(r.out.exemplars) != 2 || len(r.out.exemplars["traces_spanmetrics_latency_bucket"+le("4.096")]) != 1 {
		t.Errorf("exemplars are written once: %v", r.out.exemplars)
	}
	r.want("traces_spanmetrics_calls_total{span_kind", map[string]float64{`="SPAN_KIND_INTERNAL", span_name="POST /pay", status_code="STATUS_CODE_UNSET"}`: 1}) // no service, no label
}

func TestWhatIsCounted(t *testing.T) {
	ok := spec{service: "a", name: "x", trace: 1, id: 1, from: 5}
	refused := &store.Refused{Kept: 1}
	tests := []struct {
		name string
		spec spec
		err  []error // of the store, request by request
		want float64
	}{
		{name: "stored", spec: ok, err: []error{nil}, want: 1},
		{name: "refused in part", spec: ok, err: []error{refused}, want: 1},
		{name: "refused, then again", spec: ok, err: []error{&store.Refused{}, nil}, want: 1},
		{name: "refused", spec: ok, err: []error{&store.Refused{}}},
		{name: "not stored, then again", spec: ok, err: []error{store.ErrOverloaded, store.ErrReadOnly, nil}, want: 1},
		{name: "stored twice", spec: ok, err: []error{nil, nil}, want: 1},
		{name: "ended 30 s ago", spec: spec{service: "a", name: "x", trace: 1, id: 1, from: 60_000, to: 30_000}, err: []error{nil}, want: 1},
		{name: "too old", spec: spec{service: "a", name: "x", trace: 1, id: 1, from: 60_000, to: 30_001}, err: []error{nil}},
		{name: "in the future", spec: spec{service: "a", name: "x", trace: 1, id: 1, to: -30_001}, err: []error{nil}},
		{name: "no id", spec: spec{service: "a", name: "x", trace: 1}, err: []error{nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, Options{})
			for _, err := range tt.err {
				if got := r.Traces(traces{err}).Append(t.Context(), "t", storetest.Spans(build(r.now, tt.spec))); !errors.Is(got, err) {
					t.Fatalf("error %v, want the store's: %v", got, err)
				}
			}
			r.wait(time.Second)
			got := 0.0
			for _, v := range r.out.last("traces_spanmetrics_calls_total") {
				got += v
			}
			if got != tt.want {
				t.Errorf("counted %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDimensions(t *testing.T) {
	r := newRig(t, Options{Spans: SpanOptions{
		Dimensions: []string{"http.method", "status.code", "zone", "absent"}, StatusMessage: true, TargetInfo: true, MultiplierKey: "ratio",
	}})
	r.send(spec{
		service: "a", name: "x", trace: 1, id: 1, from: 5,
		attrs:    map[string]any{"http.method": "GET", "status.code": 7, "ratio": 0.25},
		resource: map[string]any{"zone": "eu", "service.namespace": "ns", "service.instance.id": "i1", "k8s.pod.name": "p"},
	})
	r.wait(time.Second)
	r.want("traces_spanmetrics_calls_total", map[string]float64{
		`{__status_code="7", http_method="GET", instance="i1", job="ns/a", service="a", span_kind="SPAN_KIND_UNSPECIFIED", span_name="x", status_code="STATUS_CODE_UNSET", zone="eu"}`: 4,
	})
	r.want("traces_target_info", map[string]float64{`{instance="i1", job="ns/a", k8s_pod_name="p", zone="eu"}`: 1})
}

func TestLimitOfSeries(t *testing.T) {
	r := newRig(t, Options{MaxSeries: 100, Graph: GraphOptions{Off: true}})
	for i := range 20 {
		r.send(spec{service: "a", name: fmt.Sprint("op", i), trace: 1, id: byte(i + 1), from: 5})
	}
	r.wait(time.Second)
	sum := 0.0
	for _, v := range r.out.last("traces_spanmetrics_calls_total") {
		sum += v
	}
	over := r.out.last("traces_spanmetrics_calls_total")[`traces_spanmetrics_calls_total{service="a", span_kind="SPAN_KIND_UNSPECIFIED", span_name="__cardinality_overflow__", status_code="STATUS_CODE_UNSET"}`]
	if sum != 20 || over != 15 {
		t.Errorf("counted %v, of them %v in overflow; want 20 and 15", sum, over)
	}
}

func TestStaleness(t *testing.T) {
	r := newRig(t, Options{Graph: GraphOptions{Off: true}})
	r.send(spec{service: "a", name: "x", trace: 1, id: 1, from: 5})
	r.wait(10 * time.Second)
	r.wait(16 * time.Minute)
	for n, s := range r.out.series {
		if !value.IsStaleNaN(s[len(s)-1].Value) {
			t.Errorf("%s ends with %v, want a stale marker", n, s)
		}
	}
	before := len(slices.Collect(maps.Keys(r.out.series)))
	r.out.series = map[string][]store.Sample{}
	r.wait(10 * time.Second)
	if len(r.out.series) != 0 || before == 0 {
		t.Errorf("written after the end: %v", r.out.series)
	}
	r.send(spec{service: "a", name: "x", trace: 1, id: 2, from: 5})
	r.wait(10 * time.Second)
	for n, s := range r.out.last("traces_spanmetrics_calls_total") {
		if s != 1 || r.out.series[n][0].Value != 0 {
			t.Errorf("%s begins anew with %v", n, r.out.series[n])
		}
	}
}

func TestFailedFlushLosesNothing(t *testing.T) {
	r := newRig(t, Options{Graph: GraphOptions{Off: true}})
	r.send(spec{service: "a", name: "x", trace: 1, id: 1, from: 5})
	r.out.err = store.ErrReadOnly
	r.wait(10 * time.Second)
	r.out.err = nil
	r.wait(10 * time.Second)
	ls := `{service="a", span_kind="SPAN_KIND_UNSPECIFIED", span_name="x", status_code="STATUS_CODE_UNSET"}`
	want := []store.Sample{{Time: 1_700_000_000_000 - 1}, {Time: 1_700_000_020_000, Value: 1}}
	if diff := cmp.Diff(want, r.out.series["traces_spanmetrics_calls_total"+ls]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(r.out.exemplars) != 1 {
		t.Errorf("exemplars %v", r.out.exemplars)
	}
}

func TestNativeHistograms(t *testing.T) {
	for _, kind := range []Histograms{Native, Both} {
		r := newRig(t, Options{Spans: SpanOptions{Histograms: kind}, Graph: GraphOptions{Off: true}})
		r.send(spec{service: "a", name: "x", trace: 1, id: 1, from: 1000}, spec{service: "a", name: "x", trace: 1, id: 2, from: 1000}, spec{service: "a", name: "x", trace: 1, id: 3})
		r.wait(10 * time.Second)
		ls := `{service="a", span_kind="SPAN_KIND_UNSPECIFIED", span_name="x", status_code="STATUS_CODE_UNSET"}`
		got := r.out.natives["traces_spanmetrics_latency"+ls]
		if len(got) != 2 || got[0].Float.Count != 0 {
			t.Fatalf("%s: %v", kind, got)
		}
		h := got[1].Float
		if err := h.Validate(); err != nil {
			t.Error(err)
		}
		if h.Count != 3 || h.Sum != 2 || h.ZeroCount != 1 || len(h.PositiveBuckets) != 1 || h.PositiveBuckets[0] != 2 || h.PositiveSpans[0].Offset != 0 {
			t.Errorf("%s: %v", kind, h)
		}
		if classic := len(r.out.last("traces_spanmetrics_latency_count")) > 0; classic != (kind == Both) {
			t.Errorf("%s: classic series: %v", kind, classic)
		}
		if len(r.out.exemplars) == 0 {
			t.Errorf("%s: no exemplars", kind)
		}
		r.wait(16 * time.Minute)
		got = r.out.natives["traces_spanmetrics_latency"+ls]
		if !value.IsStaleNaN(got[len(got)-1].Float.Sum) {
			t.Errorf("%s: does not end with a stale marker", kind)
		}
	}
}

func TestNativeBuckets(t *testing.T) {
	for schema := int32(lowestSchema); schema <= firstSchema; schema++ {
		for _, v := range []float64{1e-9, 0.0001, 0.5, 0.75, 1, 1.0000001, 2, 3, 4, 1000, 86400} {
			i := bucketIndex(v, schema)
			base := math.Exp2(math.Exp2(-float64(schema)))
			hi, lo := math.Pow(base, float64(i)), math.Pow(base, float64(i-1))
			if v > hi*(1+1e-12) || v <= lo*(1-1e-12) {
				t.Errorf("schema %d: %v is in bucket %d, (%v, %v]", schema, v, i, lo, hi)
			}
		}
	}
	n := newNative()
	for i := range 2000 {
		n.observe(math.Pow(1.05, float64(i%500)), 1)
	}
	h := n.sample(1, 2000)
	if err := h.Validate(); err != nil {
		t.Error(err)
	}
	if len(h.PositiveBuckets) > maxNative || h.Schema >= firstSchema {
		t.Errorf("%d buckets of schema %d", len(h.PositiveBuckets), h.Schema)
	}
}

func TestSampledShare(t *testing.T) {
	for state, want := range map[string]float64{
		"": 0, "ot=th:0": 1, "ot=th:8": 0.5, "ot=th:c": 0.25, "a=b, ot=rv:123;th:c,c=d": 0.25, "ot=th:00000000000000": 1,
		"ot=th:": 0, "ot=th:xyz": 0, "ot=th:123456789012345": 0, "ot=rv:8": 0, "other=th:8": 0,
	} {
		if got := sampledShare(state); got != want {
			t.Errorf("%q: %v, want %v", state, got, want)
		}
	}
	r := newRig(t, Options{Spans: SpanOptions{TraceState: true}})
	td := build(r.now, spec{service: "a", name: "x", trace: 1, id: 1, from: 5})
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceState().FromRaw("ot=th:c")
	if err := r.Traces(traces{}).Append(t.Context(), "t", storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	r.wait(time.Second)
	r.want("traces_spanmetrics_calls_total", map[string]float64{`{service="a", span_kind="SPAN_KIND_UNSPECIFIED", span_name="x", status_code="STATUS_CODE_UNSET"}`: 4})
}
