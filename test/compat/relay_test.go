package compat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pharos-o11y/pharos/test/harness"
)

// relayConfig is a Collector between clients and a backend: what comes by gRPC goes on by
// gRPC, what comes by HTTP by HTTP. Its four addresses are those of its receivers and of
// the backend's.
const relayConfig = `
pipeline:
  receivers:
    otlp/grpc: {protocols: {grpc: {endpoint: '%s'}}}
    otlp/http: {protocols: {http: {endpoint: '%s'}}}
  processors:
    batch: {timeout: 50ms}
  exporters:
    otlp:
      endpoint: '%s'
      tls: {insecure: true}
      sending_queue: &queue {enabled: true, queue_size: 1000}
      retry_on_failure: &retry {enabled: true, initial_interval: 50ms, max_interval: 300ms, max_elapsed_time: 0s}
    otlphttp:
      endpoint: 'http://%s'
      sending_queue: *queue
      retry_on_failure: *retry
  service:
    pipelines:
      traces/grpc: &grpc {receivers: [otlp/grpc], processors: [batch], exporters: [otlp]}
      metrics/grpc: *grpc
      logs/grpc: *grpc
      traces/http: &http {receivers: [otlp/http], processors: [batch], exporters: [otlphttp]}
      metrics/http: *http
      logs/http: *http
`

// relayPart is the i-th part of what a client sends: a span of one trace, a data point of
// one counter and a log line.
type relayPart struct {
	service string
	i       int
	at      time.Time
}

func (p relayPart) resource(r pcommon.Resource) { r.Attributes().PutStr("service.name", p.service) }

func (p relayPart) traceID() pcommon.TraceID {
	return pcommon.TraceID([]byte((p.service + "................")[:16]))
}

func (p relayPart) line() string { return fmt.Sprintf("line %03d", p.i) }

func (p relayPart) spans() ptraceotlp.ExportRequest {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	p.resource(rs.Resource())
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(p.traceID())
	sp.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, uint64(p.i)+1)))
	sp.SetName(p.line())
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(p.at))
	sp.SetEndTimestamp(pcommon.NewTimestampFromTime(p.at.Add(time.Millisecond)))
	return ptraceotlp.NewExportRequestFromTraces(td)
}

func (p relayPart) points() pmetricotlp.ExportRequest {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	p.resource(rm.Resource())
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("relay.parts")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	pt := sum.DataPoints().AppendEmpty()
	pt.SetTimestamp(pcommon.NewTimestampFromTime(p.at))
	pt.SetIntValue(int64(p.i))
	return pmetricotlp.NewExportRequestFromMetrics(md)
}

func (p relayPart) logs() plogotlp.ExportRequest {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	p.resource(rl.Resource())
	rec := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetTimestamp(pcommon.NewTimestampFromTime(p.at))
	rec.Body().SetStr(p.line())
	return plogotlp.NewExportRequestFromLogs(ld)
}

// relayClient sends parts to the relay.
type relayClient struct {
	conn *grpc.ClientConn
	url  string // of OTLP over HTTP
}

func (c relayClient) sendGRPC(t *testing.T, p relayPart) {
	t.Helper()
	_, err1 := ptraceotlp.NewGRPCClient(c.conn).Export(t.Context(), p.spans())
	_, err2 := pmetricotlp.NewGRPCClient(c.conn).Export(t.Context(), p.points())
	_, err3 := plogotlp.NewGRPCClient(c.conn).Export(t.Context(), p.logs())
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatalf("part %d: %v", p.i, err)
		}
	}
}

func (c relayClient) sendHTTP(t *testing.T, p relayPart) {
	t.Helper()
	for _, part := range []struct {
		path string
		body interface{ MarshalProto() ([]byte, error) }
	}{{"traces", p.spans()}, {"metrics", p.points()}, {"logs", p.logs()}} {
		raw, err := part.body.MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/v1/"+part.path, bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("part %d of %s: %s, %v", p.i, part.path, resp.Status, err)
		}
	}
}

// relayed returns what the backend has of a service: spans, data points and log lines, each
// as the numbers of its parts in order.
func relayed(t *testing.T, s *harness.Server, p relayPart, from time.Time) [3][]int {
	t.Helper()
	var got [3][]int
	number := func(text string) int {
		n, err := strconv.Atoi(strings.TrimPrefix(text, "line "))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, sp := range s.Trace(t, p.traceID().String()) {
		got[0] = append(got[0], number(sp.Name))
	}
	vec := s.Query(t, "/api/v1/query", url.Values{"query": {`relay_parts_total{job="` + p.service + `"}[5m]`}}).Vector
	if len(vec) > 1 {
		t.Errorf("%s: %d series", p.service, len(vec))
	}
	for _, pts := range vec {
		for _, pt := range pts {
			got[1] = append(got[1], number(pt.Value))
		}
	}
	for _, line := range s.LokiRange(t, `{service_name="`+p.service+`"}`, from, from.Add(5*time.Minute)).Lines() {
		got[2] = append(got[2], number(line))
	}
	for _, list := range got {
		slices.Sort(list)
	}
	return got
}

// TestRelay sends through the Collector's exporters otlp and otlphttp, with their queues
// and retries, to a backend that is killed and started again meanwhile: everything the
// Collector has accepted arrives once.
func TestRelay(t *testing.T) {
	backGRPC, backHTTP, inGRPC, inHTTP := freePort(t), freePort(t), freePort(t), freePort(t)
	back := harness.Start(t, harness.Options{Args: []string{"--otlp-grpc", backGRPC, "--otlp-http", backHTTP}})
	harness.Start(t, harness.Options{Config: fmt.Sprintf(relayConfig, inGRPC, inHTTP, backGRPC, backHTTP)})
	conn, err := grpc.NewClient(inGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := relayClient{conn, "http://" + inHTTP}
	const parts = 150
	from := time.Now().Add(-parts * 100 * time.Millisecond).Truncate(time.Millisecond)
	services := []string{"relay-grpc", "relay-http"}
	for i := range parts {
		at := from.Add(time.Duration(i) * 100 * time.Millisecond)
		client.sendGRPC(t, relayPart{services[0], i, at})
		client.sendHTTP(t, relayPart{services[1], i, at})
		switch i {
		case parts / 3:
			back.Kill(t) // in the middle of requests
		case 2 * parts / 3:
			back = back.Restart(t)
		}
	}
	var all []int
	for i := range parts {
		all = append(all, i)
	}
	check := func(when string) {
		for _, service := range services {
			var got [3][]int
			complete := func() bool {
				got = relayed(t, back, relayPart{service: service}, from)
				return len(got[0]) >= parts && len(got[1]) >= parts && len(got[2]) >= parts
			}
			harness.Eventually(t, service+" arrives "+when, complete)
			for i, signal := range []string{"spans", "data points", "log lines"} {
				if !slices.Equal(got[i], all) {
					t.Errorf("%s, %s: %s %v, want each of %d parts once", service, when, signal, got[i], parts)
				}
			}
		}
	}
	check("after the first kill")
	back.Kill(t)
	back = back.Restart(t)
	check("after the second kill")
}
