package tempo

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// The parameter q of /api/v2/traces/{id}: of a trace only the spans that a filter matches,
// and if wanted those around them.

// traceFilter says which spans of a trace are wanted.
type traceFilter struct {
	expr        *traceql.Expr // with the trace id among its conditions
	ancestors   int           // generations above a match, -1 for all
	descendants int           // below
}

// traceFilterOf reads the parameters; nil if all spans are wanted.
func traceFilterOf(q url.Values, id model.TraceID) (*traceFilter, error) {
	text := q.Get("q")
	if text == "" {
		return nil, nil
	}
	e, err := traceql.Parse(text)
	if err != nil {
		return nil, api.Invalid("invalid TraceQL filter: %w", err)
	}
	inner, ok := strings.CutPrefix(e.String(), "{")
	if ok {
		inner, ok = strings.CutSuffix(inner, "}")
	}
	if strings.TrimSpace(inner) == "" {
		return nil, nil
	}
	f := &traceFilter{}
	if ok {
		// Anything but one filter does not parse like this.
		f.expr, err = traceql.Parse("{ (" + inner + `) && trace:id = "` + id.String() + `" }`)
	}
	if !ok || err != nil {
		return nil, api.Invalid("invalid TraceQL filter: want one filter such as { status = error }, not %s", e)
	}
	if q.Get("keep_hierarchy") == "true" {
		f.ancestors = -1
	}
	for name, dst := range map[string]*int{"ancestor_depth": &f.ancestors, "match_depth": &f.descendants} {
		s := q.Get(name)
		if s == "" || name == "ancestor_depth" && f.ancestors == 0 {
			continue
		}
		if *dst, err = strconv.Atoi(s); err != nil || *dst < -1 {
			return nil, api.Invalid("invalid %s: want a number from -1, not %q", name, s)
		}
	}
	return f, nil
}

// apply removes the spans of td that are not wanted.
func (f *traceFilter) apply(ctx context.Context, r store.TraceReader, tenant model.Tenant, td ptrace.Traces, acct *store.Account) error {
	up := map[pcommon.SpanID]pcommon.SpanID{}
	down := map[pcommon.SpanID][]pcommon.SpanID{}
	var when model.TimeRange
	for s := range spansOf(td) {
		up[s.SpanID()] = s.ParentSpanID()
		down[s.ParentSpanID()] = append(down[s.ParentSpanID()], s.SpanID())
		start, end := int64(s.StartTimestamp()), int64(s.EndTimestamp())+1
		if when.Empty() {
			when = model.TimeRange{From: start, To: end}
		}
		when.From, when.To = min(when.From, start), max(when.To, end)
	}
	p := traceql.Params{Range: when, Limit: 1, SpansPerSpanset: max(1, td.SpanCount()), Account: acct}
	res, err := traceql.Search(ctx, r, tenant, f.expr, p)
	if err != nil {
		return err
	}
	keep := map[pcommon.SpanID]bool{}
	for _, tr := range res.Traces {
		for _, set := range tr.Spansets {
			for _, s := range set.Spans {
				f.around(pcommon.SpanID(s.ID), up, down, keep)
			}
		}
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(s ptrace.Span) bool { return !keep[s.SpanID()] })
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return nil
}

// around keeps a match and what is wanted around it.
func (f *traceFilter) around(id pcommon.SpanID, up map[pcommon.SpanID]pcommon.SpanID, down map[pcommon.SpanID][]pcommon.SpanID, keep map[pcommon.SpanID]bool) {
	keep[id] = true
	seen := map[pcommon.SpanID]bool{id: true}
	for at, n := up[id], f.ancestors; n != 0 && !at.IsEmpty() && !seen[at]; at, n = up[at], n-1 {
		seen[at], keep[at] = true, true
	}
	generation := []pcommon.SpanID{id}
	for n := f.descendants; n != 0 && len(generation) > 0; n-- {
		var next []pcommon.SpanID
		for _, s := range generation {
			for _, child := range down[s] {
				if !seen[child] {
					seen[child], keep[child] = true, true
					next = append(next, child)
				}
			}
		}
		generation = next
	}
}

// spansOf yields the spans of td.
func spansOf(td ptrace.Traces) func(yield func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}
