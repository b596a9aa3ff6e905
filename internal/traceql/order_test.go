package traceql

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestOrderBy(t *testing.T) {
	s := storetest.NewTraces()
	// Trace n starts n ns later; the spans of a trace take these times and sizes.
	for n, spans := range [][][2]int64{{{5, 1}, {50, 9}}, {{70, 0}}, {{20, 4}, {20, 5}, {20, 6}}, {{60, 7}}} {
		td := ptrace.NewTraces()
		for i, sp := range spans {
			span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetTraceID(pcommon.TraceID{15: byte(n + 1)})
			span.SetSpanID(pcommon.SpanID{7: byte(i + 1)})
			span.SetName("op")
			span.SetStartTimestamp(pcommon.Timestamp(fixtureT0 + n))
			span.SetEndTimestamp(pcommon.Timestamp(fixtureT0 + int64(n) + sp[0]*1e6))
			if sp[1] > 0 {
				span.Attributes().PutInt("size", sp[1])
			}
		}
		if err := s.Append(t.Context(), tenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ q, want string }{
		{`{ }`, "4 3 2 1"},
		{`{ } with (order_by="start")`, "4 3 2 1"},
		{`{ } with (order_by="start asc")`, "1 2 3 4"},
		{`{ } with (order_by="duration")`, "2 4 1 3"},
		{`{ } with (order_by="duration desc")`, "2 4 1 3"},
		{`{ } with (order_by="duration asc")`, "3 1 4 2"},
		{`{ duration < 30ms } with (order_by="duration")`, "3 1"}, // of the spans that match
		{`{ } with (order_by="traceDuration")`, "2 4 1 3"},
		{`{ } with (order_by="matched")`, "3 1 4 2"},
		{`{ } with (order_by="span.size")`, "1 4 3 2"}, // without one comes last
		{`{ } with (order_by="span.size asc")`, "3 4 1 2"},
		{`{ } | select(span.size) with (order_by=".size")`, "1 4 3 2"}, // two scans
		{`{ } | by(span.size) with (order_by="duration", most_recent=true)`, "2 4 1 3"},
	}
	for _, tt := range tests {
		for limit := 4; limit > 1; limit-- {
			var got []string
			for _, tr := range mustSearch(t, s, tt.q, Params{Range: fixtureRange, Limit: limit}).Traces {
				got = append(got, strings.TrimLeft(tr.ID.String(), "0"))
			}
			want := strings.Fields(tt.want)
			if want = want[:min(limit, len(want))]; !slices.Equal(got, want) {
				t.Errorf("%s, limit %d: %v, want %v", tt.q, limit, got, want)
			}
		}
	}
	for _, q := range []string{`{ } with (order_by=5)`, `{ } with (order_by="nosuch")`, `{ } with (order_by="name")`, `{ } with (order_by="event:name")`, `{ } with (order_by="")`} {
		if _, err := Search(t.Context(), s, model.DefaultTenant, mustParse(t, q), Params{Range: fixtureRange}); !errors.Is(err, ErrParse) {
			t.Errorf("%s: error %v, want %v", q, err, ErrParse)
		}
	}
}
