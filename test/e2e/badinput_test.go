package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/pharos-o11y/pharos/test/harness"
)

// bomb is n zero bytes, gzipped.
func bomb(t *testing.T, n int) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	chunk := bytes.Repeat([]byte{' '}, 1<<20)
	for range n >> 20 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMalformedRequests sends what cannot be understood: a 4xx that says what is wrong,
// and a server that goes on.
func TestMalformedRequests(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	jsonType := map[string]string{"Content-Type": "application/json"}
	proto := map[string]string{"Content-Type": "application/x-protobuf"}
	gz := func(h map[string]string) map[string]string {
		return map[string]string{"Content-Type": h["Content-Type"], "Content-Encoding": "gzip"}
	}
	rw := map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
	traces, err := ptraceotlp.NewExportRequestFromTraces(oneSpan(time.Now())).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	series := []byte("\x0a\x20\x0a\x0d\x0a\x08__name__\x12\x01x\x12\x0b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x10\x01")
	push := []byte("\x0a\x10\x0a\x09{a=\"b\"}  \x12\x05")
	snappyBomb := append(binary.AppendUvarint(nil, 100<<20), bytes.Repeat([]byte{0xfe, 0x01, 0x00}, 1000)...)

	tests := []struct {
		name, path string
		body       []byte
		header     map[string]string
		codes      []int
		says       string // part of the message, lower case
	}{
		{"loki: number as timestamp", "/loki/api/v1/push", []byte(`{"streams":[{"stream":{"a":"b"},"values":[[1700000000000000000,"x"]]}]}`), jsonType, []int{400}, "timestamp"},
		{"loki: number as line", "/loki/api/v1/push", []byte(`{"streams":[{"stream":{"a":"b"},"values":[["1700000000000000000",5]]}]}`), jsonType, []int{400}, "line"},
		{"loki: object as stream", "/loki/api/v1/push", []byte(`{"streams":{"a":"b"}}`), jsonType, []int{400}, "streams"},
		{"loki: cut JSON", "/loki/api/v1/push", []byte(`{"streams":[{"stream":{"a":"b"},"val`), jsonType, []int{400}, ""},
		{"loki: empty body", "/loki/api/v1/push", nil, jsonType, []int{400}, ""},
		{"loki: no streams", "/loki/api/v1/push", []byte(`{}`), jsonType, []int{422}, "stream"},
		{"loki: no content type", "/loki/api/v1/push", []byte(`{}`), nil, []int{400}, "content"},
		{"loki: cut protobuf", "/loki/api/v1/push", snappy.Encode(nil, push), proto, []int{400}, ""},
		{"loki: not snappy", "/loki/api/v1/push", []byte("\xff\xff\xff\xffplain"), proto, []int{400}, "snappy"},
		{"loki: gzip bomb", "/loki/api/v1/push", bomb(t, 100<<20), gz(jsonType), []int{413}, "64"},
		{"loki: snappy bomb", "/loki/api/v1/push", snappyBomb, proto, []int{413, 400}, ""},
		{"loki: unknown encoding", "/loki/api/v1/push", []byte(`{}`), map[string]string{"Content-Type": "application/json", "Content-Encoding": "br"}, []int{400, 415}, "br"},
		{"loki: bad label name", "/loki/api/v1/push", []byte(`{"streams":[{"stream":{"a-b":"c"},"values":[["1700000000000000000","x"]]}]}`), jsonType, []int{400}, "a-b"},
		{"remote write: cut protobuf", "/api/v1/write", snappy.Encode(nil, series[:20]), rw, []int{400}, ""},
		{"remote write: cut snappy", "/api/v1/write", snappy.Encode(nil, series)[:9], rw, []int{400}, "snappy"},
		{"remote write: snappy bomb", "/api/v1/write", snappyBomb, rw, []int{413, 400}, ""},
		{"remote write: JSON", "/api/v1/write", []byte(`{}`), jsonType, []int{400, 415}, ""},
		{"remote write: GET", "/api/v1/write?x=GET", nil, rw, []int{400, 405}, ""},
		{"otlp: cut protobuf", "/v1/traces", traces[:len(traces)-3], proto, []int{400}, ""},
		{"otlp: cut JSON", "/v1/logs", []byte(`{"resourceLogs":[{`), jsonType, []int{400}, ""},
		{"otlp: gzip bomb", "/v1/traces", bomb(t, 100<<20), gz(proto), []int{400, 413}, ""},
		{"otlp: wrong content type", "/v1/metrics", []byte("x"), map[string]string{"Content-Type": "text/plain"}, []int{415}, ""},
		{"query: PromQL", "/api/v1/query?query=sum(", nil, map[string]string{"X-Method": "GET"}, []int{400}, "parse"},
		{"query: LogQL", "/loki/api/v1/query_range?query=%7Bapp", nil, map[string]string{"X-Method": "GET"}, []int{400}, "parse"},
		{"query: TraceQL", "/api/search?q=%7B+span.", nil, map[string]string{"X-Method": "GET"}, []int{400}, ""},
		{"query: trace id", "/api/traces/nothex", nil, map[string]string{"X-Method": "GET"}, []int{400}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method := http.MethodPost
			if tt.header["X-Method"] != "" {
				method = tt.header["X-Method"]
			}
			a, err := s.Do(t, method, tt.path, tt.body, tt.header)
			if err != nil {
				t.Fatal(err)
			}
			ok := false
			for _, c := range tt.codes {
				ok = ok || a.Code == c
			}
			if !ok {
				t.Errorf("%s, want %v", a, tt.codes)
			}
			if !strings.Contains(strings.ToLower(a.Body), tt.says) {
				t.Errorf("message %q does not mention %q", a.Body, tt.says)
			}
			if strings.TrimSpace(a.Body) == "" && a.Code != http.StatusMethodNotAllowed && a.Code != http.StatusUnsupportedMediaType {
				t.Errorf("status %d without a message", a.Code)
			}
			if !s.Alive() {
				t.Fatal("the server died")
			}
		})
	}
	if rss := s.Status(t, "VmHWM"); rss > 600<<20 {
		t.Errorf("the bombs cost %d MB of memory", rss>>20)
	}
}

// TestPartlyBadRequests sends requests of which one part must be refused: the answer is a
// clear 4xx or a partial success with counts, and the good part is there.
func TestPartlyBadRequests(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	now := time.Now()
	many := func(n int) [][2]string {
		var l [][2]string
		for i := range n {
			l = append(l, [2]string{fmt.Sprintf("l%05d", i), "v"})
		}
		return l
	}
	year := 365 * 24 * time.Hour
	metrics := []struct {
		name string
		bad  harness.Sample
		says string
	}{
		{"10,000 labels", harness.Sample{Labels: append([][2]string{{"__name__", "bad"}}, many(10_000)...), Millis: now.UnixMilli()}, "label"},
		{"invalid UTF-8", harness.Sample{Labels: [][2]string{{"__name__", "bad"}, {"a", "x\xff"}}, Millis: now.UnixMilli()}, "utf-8"},
		{"no name", harness.Sample{Labels: [][2]string{{"a", "x"}}, Millis: now.UnixMilli()}, ""},
		{"in a year", harness.Sample{Labels: [][2]string{{"__name__", "bad"}}, Millis: now.Add(year).UnixMilli()}, "future"},
		{"20 years ago", harness.Sample{Labels: [][2]string{{"__name__", "bad"}}, Millis: now.Add(-20 * year).UnixMilli()}, "old"},
	}
	for i, tt := range metrics {
		t.Run("remote write: "+tt.name, func(t *testing.T) {
			good := harness.Sample{Labels: [][2]string{{"__name__", "good"}, {"i", fmt.Sprint(i)}}, Millis: now.UnixMilli(), Value: 5}
			a, err := s.WriteMetrics(t, tt.bad, good)
			if err != nil {
				t.Fatal(err)
			}
			if tt.says == "" && a.Code/100 == 2 {
				t.Logf("accepted: %s", a) // a series without a name is legal in the data model
			} else if a.Code != http.StatusBadRequest || !strings.Contains(strings.ToLower(a.Body), tt.says) {
				t.Errorf("%s, want 400 that mentions %q", a, tt.says)
			}
			if got := s.Prom(t, fmt.Sprintf(`good{i="%d"}`, i), now).Vector.One(t); got != 5 {
				t.Errorf("the good sample reads %v", got)
			}
		})
	}
	stream := map[string]string{}
	for _, l := range many(10_000) {
		stream[l[0]] = l[1]
	}
	logs := []struct {
		name   string
		stream map[string]string
		bad    harness.Entry
		says   string
	}{
		{"10,000 labels", stream, harness.Entry{Time: now, Line: "bad"}, "label"},
		{"in a year", nil, harness.Entry{Time: now.Add(year), Line: "bad"}, "new"},
		{"20 years ago", nil, harness.Entry{Time: now.Add(-20 * year), Line: "bad"}, "old"},
		{"1 MiB line", nil, harness.Entry{Time: now, Line: strings.Repeat("x", 1<<20)}, "size"},
	}
	for i, tt := range logs {
		t.Run("loki push: "+tt.name, func(t *testing.T) {
			own := map[string]string{"case": fmt.Sprint(i)}
			good := harness.Entry{Time: now, Line: "good"}
			var a harness.Answer
			var err error
			if tt.stream != nil { // the bad stream alone, then the good one
				a, err = s.PushLogs(t, tt.stream, tt.bad)
				if b, err := s.PushLogs(t, own, good); err != nil || b.Code/100 != 2 {
					t.Errorf("good stream: %s, %v", b, err)
				}
			} else {
				a, err = s.PushLogs(t, own, tt.bad, good)
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.Code != http.StatusBadRequest || !strings.Contains(strings.ToLower(a.Body), tt.says) {
				t.Errorf("%s, want 400 that mentions %q", a, tt.says)
			}
			if got := s.LokiRange(t, fmt.Sprintf(`{case="%d"}`, i), now.Add(-time.Minute), now.Add(time.Minute)).Lines(); len(got) != 1 || got[0] != "good" {
				t.Errorf("lines %q, want the good one", got)
			}
		})
	}
	t.Run("otlp: a point of 20 years ago", func(t *testing.T) { partialMetrics(t, s, now, now.Add(-20*year)) })
	t.Run("otlp: a point of next year", func(t *testing.T) { partialMetrics(t, s, now, now.Add(year)) })
	t.Run("otlp: a log record of 20 years ago", func(t *testing.T) { partialLogs(t, s, now, now.Add(-20*year)) })
	t.Run("otlp: a span without an id", func(t *testing.T) { partialSpans(t, s, now) })
}

func partialMetrics(t *testing.T, s *harness.Server, now, bad time.Time) {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("partial_gauge")
	pts := m.SetEmptyGauge().DataPoints()
	for i, at := range []time.Time{bad, now} {
		p := pts.AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetDoubleValue(float64(i))
		p.Attributes().PutStr("i", fmt.Sprint(i))
	}
	raw, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Do(t, http.MethodPost, "/v1/metrics", raw, map[string]string{"Content-Type": "application/x-protobuf"})
	if err != nil {
		t.Fatal(err)
	}
	resp := pmetricotlp.NewExportResponse()
	if a.Code == http.StatusOK {
		if err := resp.UnmarshalProto([]byte(a.Body)); err != nil {
			t.Fatal(err)
		}
	}
	if ps := resp.PartialSuccess(); a.Code/100 != 4 && (ps.RejectedDataPoints() != 1 || ps.ErrorMessage() == "") {
		t.Errorf("%d, rejected %d, message %q; want a 4xx or 1 rejected with a message", a.Code, ps.RejectedDataPoints(), ps.ErrorMessage())
	}
	if got := s.Prom(t, `partial_gauge{i="1"}`, now).Vector.One(t); got != 1 {
		t.Errorf("the good point reads %v", got)
	}
}

func partialLogs(t *testing.T, s *harness.Server, now, bad time.Time) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "partial")
	recs := rl.ScopeLogs().AppendEmpty().LogRecords()
	for _, at := range []time.Time{bad, now} {
		r := recs.AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(at))
		r.Body().SetStr("record")
	}
	raw, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Do(t, http.MethodPost, "/v1/logs", raw, map[string]string{"Content-Type": "application/x-protobuf"})
	if err != nil {
		t.Fatal(err)
	}
	resp := plogotlp.NewExportResponse()
	if a.Code == http.StatusOK {
		if err := resp.UnmarshalProto([]byte(a.Body)); err != nil {
			t.Fatal(err)
		}
	}
	if ps := resp.PartialSuccess(); a.Code/100 != 4 && (ps.RejectedLogRecords() != 1 || ps.ErrorMessage() == "") {
		t.Errorf("%d, rejected %d, message %q; want a 4xx or 1 rejected with a message", a.Code, ps.RejectedLogRecords(), ps.ErrorMessage())
	}
	if got := s.LokiRange(t, `{service_name="partial"}`, now.Add(-time.Minute), now.Add(time.Minute)).Lines(); len(got) != 1 {
		t.Errorf("lines %q, want the good one", got)
	}
}

func partialSpans(t *testing.T, s *harness.Server, now time.Time) {
	td := oneSpan(now)
	bad := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
	bad.SetName("no id")
	bad.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
	bad.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	a, err := s.SendSpans(t, td)
	if err != nil {
		t.Fatal(err)
	}
	resp := ptraceotlp.NewExportResponse()
	if a.Code == http.StatusOK {
		if err := resp.UnmarshalProto([]byte(a.Body)); err != nil {
			t.Fatal(err)
		}
	}
	if ps := resp.PartialSuccess(); a.Code/100 != 4 && (ps.RejectedSpans() != 1 || ps.ErrorMessage() == "") {
		t.Errorf("%d, rejected %d, message %q; want a 4xx or 1 rejected with a message", a.Code, ps.RejectedSpans(), ps.ErrorMessage())
	}
	if got := s.Trace(t, oneSpanID); len(got) != 1 {
		t.Errorf("%d spans, want the good one", len(got))
	}
}
