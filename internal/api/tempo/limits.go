package tempo

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/traceql"
)

// Answers that are cut at a limit say so: status PARTIAL and why.

// partialStatus writes the status of an answer that is incomplete for a reason; "" is none.
func partialStatus(m message, why string) {
	if why != "" {
		m.enum(3, "status", 1, "PARTIAL")
		m.str(4, "message", why)
	}
}

// cutTrace keeps the spans of td that started first, as many as have limit bytes in protobuf
// with their resources and scopes, at least one; limit 0 keeps all. It says what is missing,
// "" if nothing is.
func cutTrace(td ptrace.Traces, limit int64) string {
	sizer := &ptrace.ProtoMarshaler{}
	total := int64(sizer.TracesSize(td))
	if limit <= 0 || total <= limit {
		return ""
	}
	type sized struct {
		span ptrace.Span
		size int64
	}
	var spans []sized
	rest := total // of resources and scopes
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				size := int64(sizer.SpanSize(s))
				spans = append(spans, sized{s, size})
				rest -= size
			}
		}
	}
	slices.SortStableFunc(spans, func(a, b sized) int {
		x, y := a.span.SpanID(), b.span.SpanID()
		return cmp.Or(cmp.Compare(a.span.StartTimestamp(), b.span.StartTimestamp()), bytes.Compare(x[:], y[:]))
	})
	keep, used := map[spanKey]bool{}, rest
	for i, s := range spans {
		if used += s.size; used > limit && i > 0 {
			break
		}
		keep[keyOf(s.span)] = true
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(s ptrace.Span) bool { return !keep[keyOf(s)] })
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return fmt.Sprintf("the trace has %d bytes, query.max_bytes_per_trace is %d: of its %d spans the first %d are shown", total, limit, len(spans), td.SpanCount())
}

// spanKey tells the spans of a trace apart.
type spanKey struct {
	id   pcommon.SpanID
	kind ptrace.SpanKind
}

func keyOf(s ptrace.Span) spanKey { return spanKey{s.SpanID(), s.Kind()} }

// maxSeries is how many series an answer may have: the limit of the server or of the request,
// whichever is less; 0 is any number.
func (a *API) maxSeries(q url.Values) (int, error) {
	if q.Get("maxSeries") == "0" {
		q.Del("maxSeries")
	}
	n, err := positive(q, "maxSeries", a.MaxSeries, maxLimit)
	if a.MaxSeries > 0 {
		n = min(n, a.MaxSeries)
	}
	return n, err
}

// cutSeries keeps the first limit series, in the order of their labels; 0 keeps all. It says
// what is missing, "" if nothing is.
func cutSeries(series []traceql.Series, limit int) ([]traceql.Series, string) {
	if limit <= 0 || len(series) <= limit {
		return series, ""
	}
	return series[:limit], fmt.Sprintf("the query has %d series, the limit is %d: the others are left out", len(series), limit)
}
