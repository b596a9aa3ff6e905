package remotewrite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// series is a SeriesWrite with its labels decoded: what a store would keep.
type series struct {
	Labels     model.Labels
	Samples    []store.Sample
	Histograms []store.HistogramSample
	Exemplars  []store.Exemplar
}

// recorder is a MetricWriter that keeps what it is given.
type recorder struct {
	tenant model.Tenant
	series []series
	meta   []store.MetricMetadata
	err    error
}

func (r *recorder) Append(_ context.Context, tenant model.Tenant, b *store.MetricBatch) error {
	r.tenant = tenant
	var err error
	r.series, err = flatten(b)
	r.meta = slices.Clone(b.Metadata)
	return cmp.Or(err, r.err)
}

func flatten(b *store.MetricBatch) ([]series, error) {
	var out []series
	for _, w := range b.Series {
		ls, err := b.Decode(w.Key, nil)
		if err != nil {
			return nil, err
		}
		s := series{Labels: model.NewLabels(ls...).Clone(), Samples: slices.Clone(w.Samples), Histograms: slices.Clone(w.Histograms)}
		for _, e := range w.Exemplars {
			e.Labels = e.Labels.Clone()
			s.Exemplars = append(s.Exemplars, e)
		}
		out = append(out, s)
	}
	return out, nil
}

var equal = []gocmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()}

// randomV1 makes a request with every kind of content.
func randomV1(r *rand.Rand, n int) *prompb.WriteRequest {
	req := new(prompb.WriteRequest)
	for i := range n {
		ts := prompb.TimeSeries{Labels: []prompb.Label{
			{Name: "__name__", Value: fmt.Sprintf("metric_%d", i)}, {Name: "instance", Value: strings.Repeat("x", r.IntN(300))}, {Name: "job", Value: "j"},
		}}
		for j := range r.IntN(3) {
			ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: 1_700_000_000_000 + int64(j), Value: []float64{0, 1.5, math.NaN(), math.Inf(1)}[r.IntN(4)]})
		}
		if r.IntN(3) == 0 {
			ts.Exemplars = append(ts.Exemplars, prompb.Exemplar{Timestamp: 7, Value: r.Float64(), Labels: []prompb.Label{{Name: "trace_id", Value: "abc"}}})
		}
		switch r.IntN(6) {
		case 0:
			ts.Histograms = append(ts.Histograms, prompb.FromIntHistogram(9, intHistogram()))
		case 1:
			ts.Histograms = append(ts.Histograms, prompb.FromFloatHistogram(9, intHistogram().ToFloat(nil)))
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	req.Metadata = append(req.Metadata, prompb.MetricMetadata{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "metric", Help: "Help.", Unit: "bytes"})
	return req
}

func intHistogram() *histogram.Histogram {
	return &histogram.Histogram{
		CounterResetHint: histogram.NotCounterReset, Schema: 2, ZeroThreshold: 0.01, ZeroCount: 2, Count: 13, Sum: 18.5,
		PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}, {Offset: 4, Length: 1}}, PositiveBuckets: []int64{3, -1, 2},
		NegativeSpans: []histogram.Span{{Offset: 1, Length: 2}}, NegativeBuckets: []int64{1, 0},
	}
}

// wantV1 is the obvious slow decoder: the generated one.
func wantV1(body []byte) ([]series, error) {
	var req prompb.WriteRequest
	if err := req.Unmarshal(body); err != nil {
		return nil, err
	}
	var out []series
	for _, ts := range req.Timeseries {
		s := series{Labels: modelLabels(ts.Labels)}
		for _, x := range ts.Samples {
			s.Samples = append(s.Samples, store.Sample{Time: x.Timestamp, Value: x.Value})
		}
		for _, x := range ts.Exemplars {
			s.Exemplars = append(s.Exemplars, store.Exemplar{Time: x.Timestamp, Value: x.Value, Labels: modelLabels(x.Labels)})
		}
		for _, x := range ts.Histograms {
			h := store.HistogramSample{Time: x.Timestamp}
			if x.IsFloatHistogram() {
				h.Float = x.ToFloatHistogram()
			} else {
				h.Int = x.ToIntHistogram()
			}
			if valid(h) {
				s.Histograms = append(s.Histograms, h)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func valid(h store.HistogramSample) bool {
	if h.Int != nil {
		return h.Int.Validate() == nil
	}
	return h.Float.Validate() == nil
}

func modelLabels(ls []prompb.Label) model.Labels {
	var out model.Labels
	for _, l := range ls {
		out = append(out, model.Label{Name: l.Name, Value: l.Value})
	}
	return model.NewLabels(out...)
}

func marshalV1(t testing.TB, req *prompb.WriteRequest) []byte {
	t.Helper()
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// gotV1 decodes body as the handler does.
func gotV1(body []byte) ([]series, error) {
	var d decoder
	d.reset()
	if err := d.v1(body); err != nil {
		return nil, err
	}
	d.batch.Decode = decodeKey
	return flatten(&d.batch)
}

func TestV1MatchesGeneratedDecoder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		body := marshalV1(t, randomV1(r, 20))
		want, err := wantV1(body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := gotV1(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got, equal...); diff != "" {
			t.Fatalf("decoded series (-generated +ours):\n%s", diff)
		}
	}
}

// TestV1ScatteredLabels has a series whose label fields do not stand together.
func TestV1ScatteredLabels(t *testing.T) {
	part := func(ts prompb.TimeSeries) []byte {
		b, err := ts.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	inner := part(prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "m"}}, Samples: []prompb.Sample{{Value: 1, Timestamp: 2}}})
	inner = append(inner, part(prompb.TimeSeries{Labels: []prompb.Label{{Name: "a", Value: "b"}}, Samples: []prompb.Sample{{Value: 3, Timestamp: 4}}})...)
	inner = append(inner, part(prompb.TimeSeries{Labels: []prompb.Label{{Name: "c", Value: "d"}}})...)
	body := append([]byte{0x0a, byte(len(inner))}, inner...)
	want, err := wantV1(body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := gotV1(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got, equal...); diff != "" {
		t.Fatalf("decoded series (-generated +ours):\n%s", diff)
	}
}

func FuzzV1(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 4 {
		f.Add(marshalV1(f, randomV1(r, 3)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := gotV1(body)
		if err != nil {
			return // groups, bad UTF-8 and duplicates pass the generated decoder
		}
		want, err := wantV1(body)
		if err != nil {
			t.Fatalf("the generated decoder refuses it: %v", err)
		}
		if diff := gocmp.Diff(want, got, append(equal, cmpopts.IgnoreFields(series{}, "Histograms"))...); diff != "" {
			t.Fatalf("decoded series (-generated +ours):\n%s", diff)
		}
	})
}

func TestV2MatchesGeneratedDecoder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		body := marshalV2(t, randomV1(r, 20))
		var req writev2.Request
		if err := req.Unmarshal(body); err != nil {
			t.Fatal(err)
		}
		b := labels.NewScratchBuilder(0)
		var want []series
		for _, ts := range req.Timeseries {
			ls, err := ts.ToLabels(&b, req.Symbols)
			if err != nil {
				t.Fatal(err)
			}
			s := series{Labels: model.LabelsFromMap(ls.Map())}
			for _, x := range ts.Samples {
				s.Samples = append(s.Samples, store.Sample{Time: x.Timestamp, Value: x.Value})
			}
			for _, x := range ts.Exemplars {
				e, err := x.ToExemplar(&b, req.Symbols)
				if err != nil {
					t.Fatal(err)
				}
				s.Exemplars = append(s.Exemplars, store.Exemplar{Time: e.Ts, Value: e.Value, Labels: model.LabelsFromMap(e.Labels.Map())})
			}
			for _, x := range ts.Histograms {
				if x.IsFloatHistogram() {
					s.Histograms = append(s.Histograms, store.HistogramSample{Time: x.Timestamp, Float: x.ToFloatHistogram()})
				} else {
					s.Histograms = append(s.Histograms, store.HistogramSample{Time: x.Timestamp, Int: x.ToIntHistogram()})
				}
			}
			want = append(want, s)
		}
		var d decoder
		d.reset()
		if err := d.v2(body); err != nil {
			t.Fatal(err)
		}
		d.batch.Decode = decodeKey
		got, err := flatten(&d.batch)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got, equal...); diff != "" {
			t.Fatalf("decoded series (-generated +ours):\n%s", diff)
		}
	}
}

// marshalV2 encodes req as version 2.0.
func marshalV2(t testing.TB, req *prompb.WriteRequest) []byte {
	t.Helper()
	st := writev2.NewSymbolTable()
	var out writev2.Request
	for _, ts := range req.Timeseries {
		b := labels.NewScratchBuilder(0)
		x := writev2.TimeSeries{LabelsRefs: st.SymbolizeLabels(ts.ToLabels(&b, nil), nil)}
		for _, s := range ts.Samples {
			x.Samples = append(x.Samples, writev2.Sample{Value: s.Value, Timestamp: s.Timestamp, StartTimestamp: s.Timestamp - 1000})
		}
		for _, e := range ts.Exemplars {
			x.Exemplars = append(x.Exemplars, writev2.Exemplar{Value: e.Value, Timestamp: e.Timestamp, LabelsRefs: st.SymbolizeLabels(e.ToExemplar(&b, nil).Labels, nil)})
		}
		for _, h := range ts.Histograms {
			if h.IsFloatHistogram() {
				x.Histograms = append(x.Histograms, writev2.FromFloatHistogram(0, h.Timestamp, h.ToFloatHistogram()))
			} else {
				x.Histograms = append(x.Histograms, writev2.FromIntHistogram(0, h.Timestamp, h.ToIntHistogram()))
			}
		}
		x.Metadata = writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: st.Symbolize("Help."), UnitRef: st.Symbolize("bytes")}
		out.Timeseries = append(out.Timeseries, x)
	}
	out.Symbols = st.Symbols()
	b, err := out.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzV2(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 4 {
		f.Add(marshalV2(f, randomV1(r, 3)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var d decoder
		d.reset()
		if err := d.v2(body); err != nil {
			return
		}
		d.batch.Decode = decodeKey
		if _, err := flatten(&d.batch); err != nil {
			return
		}
		var req writev2.Request
		if err := req.Unmarshal(body); err != nil {
			t.Fatalf("the generated decoder refuses it: %v", err)
		}
	})
}

// TestStart demands the start of the first sample of each series of 2.0, and of no other.
func TestStart(t *testing.T) {
	series := func(name string, samples ...prompb.Sample) prompb.TimeSeries {
		return prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}}, Samples: samples}
	}
	req := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
		series("a", prompb.Sample{Value: 5, Timestamp: 10_000}, prompb.Sample{Value: 6, Timestamp: 20_000}), series("b"),
	}}
	var d decoder
	d.reset()
	if err := d.v2(marshalV2(t, req)); err != nil {
		t.Fatal(err)
	}
	if got := d.batch.Series; len(got) != 2 || got[0].Start != 9000 || got[1].Start != 0 {
		t.Errorf("batch %v", got)
	}
}

func post(t *testing.T, w store.MetricWriter, body []byte, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	New(w, Options{MaxBytes: 1 << 20}).ServeHTTP(rec, req)
	return rec
}

func TestHandler(t *testing.T) {
	v1 := s2.EncodeSnappy(nil, marshalV1(t, randomV1(rand.New(rand.NewPCG(1, 1)), 5)))
	v2 := s2.EncodeSnappy(nil, marshalV2(t, randomV1(rand.New(rand.NewPCG(1, 1)), 5)))
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	const v2Type = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	var bomb bytes.Buffer
	g := gzip.NewWriter(&bomb)
	if _, err := g.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	g.Close()
	tests := []struct {
		name   string
		body   []byte
		header []string
		err    error
		want   int
		text   string
	}{
		{name: "1.0", body: v1, want: 204},
		{name: "1.0 named", body: v1, header: []string{"Content-Type", "application/x-protobuf; proto=prometheus.WriteRequest", "Content-Encoding", "snappy"}, want: 204},
		{name: "2.0", body: v2, header: []string{"Content-Type", v2Type}, want: 204},
		{name: "zstd", body: z.EncodeAll(marshalV1(t, randomV1(rand.New(rand.NewPCG(1, 1)), 5)), nil), header: []string{"Content-Encoding", "zstd"}, want: 204},
		{name: "2.0 as 1.0", body: v1, header: []string{"Content-Type", v2Type}, want: 400, text: "looks like a 1.0 message"},
		{name: "text", body: v1, header: []string{"Content-Type", "text/plain"}, want: 415, text: "application/x-protobuf"},
		{name: "unknown message", body: v1, header: []string{"Content-Type", "application/x-protobuf;proto=foo"}, want: 415, text: `"foo"`},
		{name: "gzip", body: bomb.Bytes(), header: []string{"Content-Encoding", "gzip"}, want: 415, text: "snappy"},
		{name: "not snappy", body: []byte("hello there"), want: 400, text: "snappy"},
		{name: "truncated", body: s2.EncodeSnappy(nil, marshalV1(t, randomV1(rand.New(rand.NewPCG(1, 1)), 5))[:100]), want: 400, text: "at byte"},
		{name: "snappy bomb", body: s2.EncodeSnappy(nil, make([]byte, 2<<20)), want: 413, text: "1048576"},
		{name: "snappy lie", body: []byte{0x80, 0x80, 0x10, 0x00, 0x41}, want: 400, text: "promises"},
		{name: "tenant", body: v1, header: []string{"X-Scope-OrgID", "a/b"}, want: 400, text: "tenant"},
		{name: "refused", body: v1, err: &store.Refused{Kept: 3, Refusals: []store.Refusal{{Reason: store.ReasonTooOld, Count: 2, Sample: "series x"}}}, want: 400, text: "2 greater_than_max_sample_age"},
		{name: "read-only", body: v1, err: fmt.Errorf("append: %w", store.ErrReadOnly), want: 503, text: "read-only"},
		{name: "overloaded", body: v1, err: store.ErrOverloaded, want: 503},
		{name: "disk", body: v1, err: errors.New("input/output error"), want: 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := post(t, &recorder{err: tt.err}, tt.body, tt.header...)
			if rec.Code != tt.want || !strings.Contains(rec.Body.String(), tt.text) {
				t.Errorf("got %d %q, want %d with %q", rec.Code, rec.Body, tt.want, tt.text)
			}
			if got := rec.Header().Get("Retry-After") != ""; got != (tt.want == 503) {
				t.Errorf("Retry-After present: %t at status %d", got, rec.Code)
			}
		})
	}
}

// TestSymbolsAreBounded sends references of a byte to a symbol of a megabyte.
func TestSymbolsAreBounded(t *testing.T) {
	req := writev2.Request{Symbols: []string{"", strings.Repeat("s", 1<<20)}}
	req.Timeseries = []writev2.TimeSeries{{LabelsRefs: slices.Repeat([]uint32{1}, 1000), Samples: []writev2.Sample{{Timestamp: 1}}}}
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var d decoder
	d.reset()
	d.expanded = maxExpanded - 10<<20
	if err := d.v2(b); ingest.Status(err) != http.StatusRequestEntityTooLarge || len(d.keys) > 12<<20 {
		t.Errorf("%d bytes of keys, error %v", len(d.keys), err)
	}
}

func TestWrittenHeaders(t *testing.T) {
	req := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:    []prompb.Label{{Name: "__name__", Value: "m"}},
		Samples:   []prompb.Sample{{Value: 1, Timestamp: 1}, {Value: 2, Timestamp: 2}},
		Exemplars: []prompb.Exemplar{{Value: 1, Timestamp: 1}},
	}}}
	body := s2.EncodeSnappy(nil, marshalV2(t, req))
	header := []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request", "X-Scope-OrgID", "team-a"}
	get := func(rec *httptest.ResponseRecorder) string {
		h := rec.Header()
		return h.Get("X-Prometheus-Remote-Write-Samples-Written") + " " + h.Get("X-Prometheus-Remote-Write-Histograms-Written") + " " + h.Get("X-Prometheus-Remote-Write-Exemplars-Written")
	}
	w := new(recorder)
	if got := get(post(t, w, body, header...)); got != "2 0 1" {
		t.Errorf("written = %q, want 2 0 1", got)
	}
	if w.tenant != "team-a" {
		t.Errorf("tenant = %q", w.tenant)
	}
	want := []store.MetricMetadata{{Metric: "m", Type: "counter", Unit: "bytes", Help: "Help."}}
	if diff := gocmp.Diff(want, w.meta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	w.err = &store.Refused{Kept: 2, Refusals: []store.Refusal{{Reason: store.ReasonTooOld, Count: 1}}}
	if got := get(post(t, w, body, header...)); got != "1 0 1" {
		t.Errorf("written after a refusal = %q, want 1 0 1", got)
	}
	w.err = store.ErrOverloaded
	if got := get(post(t, w, body, header...)); got != "0 0 0" {
		t.Errorf("written when overloaded = %q, want zeros", got)
	}
}

func TestDecodeKeyRefuses(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"", "x", "no name"}, {"a\xff", "x", "UTF-8"}, {"a", "\xff", "UTF-8"},
	} {
		if _, err := decodeKey(appendLabel(nil, []byte(tt.name), []byte(tt.value)), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("decode %q=%q: error %v, want %q", tt.name, tt.value, err, tt.want)
		}
	}
	twice := appendLabel(appendLabel(nil, []byte("a"), []byte("1")), []byte("a"), []byte("2"))
	if _, err := decodeKey(twice, nil); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("duplicate label: error %v", err)
	}
}

// BenchmarkV1 decodes node_exporter-shaped requests, as a Prometheus shard sends them.
func BenchmarkV1(b *testing.B) {
	req := new(prompb.WriteRequest)
	for i := range 2000 {
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels: []prompb.Label{
				{Name: "__name__", Value: "node_cpu_seconds_total"},
				{Name: "cpu", Value: fmt.Sprint(i % 64)},
				{Name: "instance", Value: fmt.Sprintf("host-%d:9100", i/64)},
				{Name: "job", Value: "node"},
				{Name: "mode", Value: "idle"},
			},
			Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: float64(i)}},
		})
	}
	body := s2.EncodeSnappy(nil, marshalV1(b, req))
	h := New(discard{}, Options{})
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/sample")
}

type discard struct{}

func (discard) Append(context.Context, model.Tenant, *store.MetricBatch) error { return nil }
