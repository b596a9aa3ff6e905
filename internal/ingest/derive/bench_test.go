package derive

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/store/spans"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// BenchmarkObserve counts spans of 18 attributes of 25 services, half of them calls.
func BenchmarkObserve(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	const resources, each = 25, 40
	requests := make([]*spans.Batch, 64)
	for n := range requests {
		td := ptrace.NewTraces()
		for r := range resources {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr(serviceName, fmt.Sprintf("service-%02d", r))
			list := rs.ScopeSpans().AppendEmpty().Spans()
			for i := range each {
				s := list.AppendEmpty()
				s.SetName(fmt.Sprintf("GET /api/v1/items/%d", i%10))
				s.SetKind([]ptrace.SpanKind{internal, internal, client, server}[i%4])
				s.SetTraceID(pcommon.TraceID{1: byte(n), 14: byte(r), 15: byte(i / 4)})
				s.SetSpanID(pcommon.SpanID{1: 1, 7: byte(i)})
				s.SetParentSpanID(pcommon.SpanID{1: 1, 7: byte(i - 1)})
				s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(i) * time.Millisecond)))
				s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
				for a := range 18 {
					s.Attributes().PutStr(fmt.Sprintf("http.request.attr_%d", a), "some value of it")
				}
			}
		}
		requests[n] = storetest.Spans(td)
	}
	p, err := New(Options{Metrics: newFake(), Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		p.observe("t", requests[n%len(requests)])
		for _, t := range p.tenants {
			t.seen = recent{}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(resources*each), "ns/span")
}
