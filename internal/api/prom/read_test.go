package prom

import (
	"bytes"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestRemoteRead asks as Prometheus does when it reads from another server.
func TestRemoteRead(t *testing.T) {
	m := storetest.NewMetrics()
	h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 2, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{3}}
	name := func(job string) model.Labels {
		return model.LabelsFromMap(map[string]string{model.MetricName: "up", "job": job})
	}
	err := m.Append(t.Context(), "default", &store.MetricBatch{Series: []store.SeriesWrite{
		{Labels: name("a"), Samples: []store.Sample{{Time: 1000, Value: 1}, {Time: 2000, Value: math.Float64frombits(value.StaleNaN)}, {Time: 3000, Value: 3}}},
		{Labels: name("b"), Histograms: []store.HistogramSample{{Time: 2000, Int: h}}},
		{Labels: name("c"), Samples: []store.Sample{{Time: 2000, Value: 7}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(req *prompb.ReadRequest) *httptest.ResponseRecorder {
		t.Helper()
		b, err := req.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/prometheus/api/v1/read", bytes.NewReader(s2.EncodeSnappy(nil, b)))
		w := httptest.NewRecorder()
		bulkServer(m).ServeHTTP(w, r)
		return w
	}
	both := []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES}
	w := ask(&prompb.ReadRequest{AcceptedResponseTypes: both, Queries: []*prompb.Query{
		{StartTimestampMs: 1000, EndTimestampMs: 2000, Matchers: []*prompb.LabelMatcher{
			{Type: prompb.LabelMatcher_EQ, Name: "__name__", Value: "up"}, {Type: prompb.LabelMatcher_NRE, Name: "job", Value: "c|d"},
		}},
		{StartTimestampMs: 0, EndTimestampMs: math.MaxInt64, Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_EQ, Name: "job", Value: "c"}}},
	}})
	raw, err := s2.Decode(nil, w.Body.Bytes())
	if err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "snappy" {
		t.Fatalf("%d, %v, header %v", w.Code, err, w.Header())
	}
	var got prompb.ReadResponse
	if err := got.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	labels := func(job string) []prompb.Label {
		return []prompb.Label{{Name: "__name__", Value: "up"}, {Name: "job", Value: job}}
	}
	if n := len(got.Results); n != 2 || len(got.Results[0].Timeseries) != 2 || len(got.Results[1].Timeseries) != 1 {
		t.Fatalf("%d results: %v", n, got.Results)
	}
	a, b, c := got.Results[0].Timeseries[0], got.Results[0].Timeseries[1], got.Results[1].Timeseries[0]
	for i, diff := range []string{
		cmp.Diff(labels("a"), a.Labels), cmp.Diff(labels("b"), b.Labels), cmp.Diff(labels("c"), c.Labels),
		cmp.Diff([]prompb.Sample{{Timestamp: 2000, Value: 7}}, c.Samples),
	} {
		if diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
	}
	if len(a.Samples) != 2 || a.Samples[0].Value != 1 || !value.IsStaleNaN(a.Samples[1].Value) {
		t.Errorf("samples of a: %v", a.Samples)
	}
	if len(b.Histograms) != 1 || !b.Histograms[0].ToIntHistogram().Equals(h) {
		t.Errorf("histograms of b: %v", b.Histograms)
	}
	chunks := ask(&prompb.ReadRequest{AcceptedResponseTypes: both[:1]})
	bad := ask(&prompb.ReadRequest{Queries: []*prompb.Query{{Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_RE, Name: "a", Value: "("}}}}})
	if chunks.Code != http.StatusBadRequest || bad.Code != http.StatusBadRequest {
		t.Errorf("chunks alone: %d; a bad regex: %d", chunks.Code, bad.Code)
	}
}
