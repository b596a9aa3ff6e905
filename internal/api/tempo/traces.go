package tempo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// trace reads the trace id, or what filter leaves of it. It is empty if there is none.
func (a *API) trace(w http.ResponseWriter, r *http.Request, id model.TraceID, filter *traceFilter) (ptrace.Traces, query.Stats, error) {
	out := ptrace.NewTraces()
	q := r.URL.Query()
	start, end, hinted, err := seconds(q)
	if err != nil {
		return out, query.Stats{}, err
	}
	var hint model.TimeRange
	if hinted {
		hint = secondsRange(start, end)
	}
	switch mode := q.Get("mode"); mode {
	case "", "all", "blocks", "ingesters", "external":
	default:
		return out, query.Stats{}, api.Invalid("invalid value for mode %s", mode)
	}
	st, err := a.do(w, r, "trace "+id.String(), func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error {
		for _, tenant := range tenants {
			td, err := a.Reader.Trace(ctx, tenant, id, hint, acct)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err == nil && filter != nil {
				err = filter.apply(ctx, a.Reader, tenant, td, acct)
			}
			if err != nil {
				return err
			}
			td.ResourceSpans().MoveAndAppendTo(out.ResourceSpans())
		}
		return nil
	})
	return out, st, err
}

// parseTraceID reads up to 32 hex digits.
func parseTraceID(s string) (model.TraceID, error) {
	if i := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) }); i >= 0 {
		return model.TraceID{}, api.Invalid("trace IDs can only contain hex characters: invalid character '%c' at position %d", []rune(s[i:])[0], i+1)
	}
	if len(s) > 32 {
		return model.TraceID{}, api.Invalid("trace IDs can't be larger than 128 bits")
	}
	id, err := model.ParseTraceID(s)
	if err != nil {
		return id, api.Invalid("invalid trace id %q: %w", s, err)
	}
	return id, nil
}

func (a *API) traceV1(w http.ResponseWriter, r *http.Request) error {
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		return err
	}
	td, _, err := a.trace(w, r, id, nil)
	if err != nil {
		return err
	}
	if why := cutTrace(td, a.MaxBytesPerTrace); why != "" { // this answer cannot say that it is incomplete
		return fmt.Errorf("%w: trace exceeds max size (max bytes: %d); /api/v2/traces/%s shows a part of it", store.ErrTooBroad, a.MaxBytesPerTrace, id)
	}
	if td.ResourceSpans().Len() == 0 {
		w.WriteHeader(http.StatusNotFound)
		return nil
	}
	return send(w, r, func(m message) { resourceSpans(m, 1, "batches", td) })
}

func (a *API) traceV2(w http.ResponseWriter, r *http.Request) error {
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		return err
	}
	filter, err := traceFilterOf(r.URL.Query(), id)
	if err != nil {
		return err
	}
	td, st, err := a.trace(w, r, id, filter)
	if err != nil {
		return err
	}
	why := cutTrace(td, a.MaxBytesPerTrace)
	if filter != nil {
		why = strings.TrimPrefix(why+"; only the spans that q asks for", "; ")
	}
	if wantsLLM(r) {
		return sendLLM(w, id, td)
	}
	return send(w, r, func(m message) {
		m.message(1, "trace", func(m message) { resourceSpans(m, 1, "resourceSpans", td) })
		m.message(2, "metrics", func(m message) {
			if td.ResourceSpans().Len() > 0 {
				m.uint64(1, "inspectedBytes", uint64(st.BytesRead))
			}
		})
		partialStatus(m, why)
	})
}
