package jaeger

import (
	"encoding/binary"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// splitShared gives the server's half of a call an id of its own where it has the client's,
// as Zipkin's tracers may have it: Jaeger's clients know spans by their id alone. The
// server's half is then below the client's, and what was below their id is below it.
func splitShared(td ptrace.Traces) {
	used, clients := map[pcommon.SpanID]bool{}, map[pcommon.SpanID]bool{}
	each := func(f func(s ptrace.Span)) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					f(s)
				}
			}
		}
	}
	each(func(s ptrace.Span) {
		used[s.SpanID()] = true
		if s.Kind() == ptrace.SpanKindClient {
			clients[s.SpanID()] = true
		}
	})
	moved := map[pcommon.SpanID]pcommon.SpanID{}
	each(func(s ptrace.Span) {
		id := s.SpanID()
		if s.Kind() == ptrace.SpanKindServer && clients[id] {
			moved[id] = unused(id, used)
		}
	})
	if len(moved) == 0 {
		return
	}
	each(func(s ptrace.Span) {
		id := s.SpanID()
		if own, ok := moved[id]; ok && s.Kind() == ptrace.SpanKindServer {
			s.SetSpanID(own)
			s.SetParentSpanID(id)
		} else if up, ok := moved[s.ParentSpanID()]; ok {
			s.SetParentSpanID(up)
		}
	})
}

// unused returns the next id after id that is not used, and uses it.
func unused(id pcommon.SpanID, used map[pcommon.SpanID]bool) pcommon.SpanID {
	for used[id] || id.IsEmpty() {
		binary.BigEndian.PutUint64(id[:], binary.BigEndian.Uint64(id[:])+1)
	}
	used[id] = true
	return id
}
