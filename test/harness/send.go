package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Answer is an HTTP answer read whole.
type Answer struct {
	Code   int
	Body   string
	Header http.Header
}

// Do sends a request and reads the answer. An error is one of the transport.
func (s *Server) Do(t testing.TB, method, path string, body []byte, header map[string]string) (Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, string(raw), resp.Header}, err
}

// Sample is one sample of one series.
type Sample struct {
	Labels [][2]string // __name__ included
	Millis int64
	Value  float64
}

// WriteMetrics sends samples by remote write 1.0.
func (s *Server) WriteMetrics(t testing.TB, samples ...Sample) (Answer, error) {
	t.Helper()
	var req prompb.WriteRequest
	for _, sm := range samples {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Value: sm.Value, Timestamp: sm.Millis}}}
		for _, l := range sm.Labels {
			ts.Labels = append(ts.Labels, prompb.Label{Name: l[0], Value: l[1]})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	raw, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return s.RemoteWrite(t, snappy.Encode(nil, raw))
}

// RemoteWrite sends a body as a remote write 1.0 request.
func (s *Server) RemoteWrite(t testing.TB, body []byte) (Answer, error) {
	t.Helper()
	return s.Do(t, http.MethodPost, "/api/v1/write", body, map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0",
	})
}

// Entry is a log line.
type Entry struct {
	Time time.Time
	Line string
	Meta map[string]string // structured metadata
}

// PushLogs pushes entries of one stream by Loki's JSON.
func (s *Server) PushLogs(t testing.TB, stream map[string]string, entries ...Entry) (Answer, error) {
	t.Helper()
	values := make([][]any, 0, len(entries))
	for _, e := range entries {
		v := []any{strconv.FormatInt(e.Time.UnixNano(), 10), e.Line}
		if e.Meta != nil {
			v = append(v, e.Meta)
		}
		values = append(values, v)
	}
	raw, err := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": stream, "values": values}}})
	if err != nil {
		t.Fatal(err)
	}
	return s.Do(t, http.MethodPost, "/loki/api/v1/push", raw, map[string]string{"Content-Type": "application/json"})
}

// SendSpans sends spans by OTLP over HTTP.
func (s *Server) SendSpans(t testing.TB, td ptrace.Traces) (Answer, error) {
	t.Helper()
	raw, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return s.Do(t, http.MethodPost, "/v1/traces", raw, map[string]string{"Content-Type": "application/x-protobuf"})
}

// MustOK fails the test unless the answer is a 2xx.
func MustOK(t testing.TB, a Answer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if a.Code/100 != 2 {
		t.Fatalf("status %d: %s", a.Code, a.Body)
	}
}

// Get reads a path as JSON into v and fails the test unless the status is 200.
func (s *Server) Get(t testing.TB, path string, v any) {
	t.Helper()
	a, err := s.Do(t, http.MethodGet, path, nil, nil)
	MustOK(t, a, err)
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		t.Fatalf("GET %s: %v in %.300s", path, err, a.Body)
	}
}

// String renders an answer for a message.
func (a Answer) String() string { return fmt.Sprintf("%d %.300s", a.Code, a.Body) }
