package tempo

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

const (
	maxLimit = 262144 // traces in one answer
	maxSpans = 100    // spans of one spanset
	// noRoot stands for the service of a root span that has none, or has not come.
	noRoot = "<root span not yet received>"
)

func (a *API) search(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	e, err := searchExpr(q)
	if err != nil {
		return err
	}
	p := traceql.Params{}
	if p.Limit, err = positive(q, "limit", 20, maxLimit); err != nil {
		return err
	}
	if q.Get("spss") == "0" {
		q.Del("spss")
	}
	if p.SpansPerSpanset, err = positive(q, "spss", 3, maxSpans); err != nil {
		return err
	}
	if p.Range, err = a.searchRange(q); err != nil {
		return err
	}
	if isExplain(q) {
		return a.explain(w, r, e, p, nil)
	}
	var res traceql.SearchResult
	st, err := a.do(w, r, e.String(), func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error {
		p.Account = acct
		var err error
		r, told := a.reading(w, tenants, acct)
		p.Take, p.Due = taking(told, searchTraces)
		res, err = traceql.Search(ctx, r, tenants[0], e, p)
		return err
	})
	if err != nil {
		return err
	}
	return send(w, r, func(m message) {
		searchTraces(m, res.Traces)
		searchMetrics(m, "metrics", st, res.Inspected)
	})
}

// searchExpr returns the query of a search: q, or tags and duration bounds, or nothing,
// which finds every trace.
func searchExpr(q url.Values) (*traceql.Expr, error) {
	text, tags := q.Get("q"), q.Get("tags")
	if text != "" && tags != "" {
		return nil, api.Invalid("invalid request: can't specify tags and q in the same query")
	}
	if text != "" {
		e, err := traceql.Parse(text)
		if err != nil {
			return nil, api.Invalid("invalid TraceQL query: %w", err)
		}
		return e, nil
	}
	var bounds [2]time.Duration
	for i, name := range [...]string{"minDuration", "maxDuration"} {
		s := q.Get(name)
		if s == "" {
			continue
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, api.Invalid("invalid %s: %w", name, err)
		}
		bounds[i] = d
	}
	if bounds[1] > 0 && bounds[1] <= bounds[0] {
		return nil, api.Invalid("invalid maxDuration: must be greater than minDuration")
	}
	e, err := traceql.ParseTags(tags, bounds[0], bounds[1])
	if err != nil {
		return nil, api.Invalid("invalid tags: %w", err)
	}
	return e, nil
}

func searchTraces(m message, traces []traceql.Trace) {
	m.list(1, "traces", len(traces), true, func(i int, m message) {
		tr := &traces[i]
		m.str(1, "traceID", shortHex(tr.ID.String()))
		service := tr.RootService
		if service == "" {
			service = noRoot
		}
		m.str(2, "rootServiceName", service)
		m.str(3, "rootTraceName", tr.RootName)
		m.uint64(4, "startTimeUnixNano", uint64(tr.Start))
		m.uint32(5, "durationMs", uint32(tr.Duration/int64(time.Millisecond)))
		if len(tr.Spansets) == 0 {
			return
		}
		m.message(6, "spanSet", func(m message) { spanset(m, &tr.Spansets[0]) })
		m.list(7, "spanSets", len(tr.Spansets), false, func(i int, m message) { spanset(m, &tr.Spansets[i]) })
		m.mapStart("serviceStats")
		for _, s := range tr.Services {
			m.entry(8, s.Service, func(m message) {
				m.uint32(1, "spanCount", uint32(s.Spans))
				m.uint32(2, "errorCount", uint32(s.Errors))
			})
		}
		m.mapEnd()
	})
}

// shortHex drops leading zeros.
func shortHex(s string) string { return strings.TrimLeft(s, "0") }

func spanset(m message, s *traceql.Spanset) {
	m.list(1, "spans", len(s.Spans), false, func(i int, m message) {
		sp := &s.Spans[i]
		m.str(1, "spanID", sp.ID.String())
		m.str(2, "name", sp.Name)
		m.uint64(3, "startTimeUnixNano", uint64(sp.Start))
		m.uint64(4, "durationNanos", uint64(sp.Duration))
		keyValues(m, 5, "attributes", sp.Attrs)
	})
	m.uint32(2, "matched", uint32(s.Matched))
	keyValues(m, 3, "attributes", s.Attrs)
}
