// Package jaeger serves the JSON API of Jaeger's query service over the trace store, so
// that Jaeger's UI, Grafana's Jaeger data source, Kiali and scripts work unchanged: below
// /jaeger on the main address, since Tempo has /api/traces/{id} for itself.
//
//	search parameters -> TraceQL -> ids -> whole traces -> Jaeger's model as JSON
//
// search.go writes the TraceQL, model.go the JSON, v3.go the newer API, which speaks
// OTLP, dependencies.go who calls whom, monitor.go the rates of the Monitor tab. Every answer of the older API is an envelope of
// data and errors.
package jaeger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// Options configures an API. Reader, Index and Door are required.
type Options struct {
	Reader  store.TraceReader
	Index   store.TraceIndex
	Metrics store.MetricReader // derived from spans; nil: dependencies are counted from spans, and rates are not known
	Engine  *promql.Engine     // over Metrics; nil means one with defaults
	Door    *query.Door
	Tenancy api.Tenancy
	Logger  *slog.Logger // nil discards
	Now     func() time.Time
}

// API is the handlers.
type API struct{ Options }

// New returns an API.
func New(opts Options) *API {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Engine == nil {
		opts.Engine = promql.New(promql.Options{Logger: opts.Logger})
	}
	return &API{opts}
}

// Register adds the handlers to mux below prefix.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	v1 := api.Dialect{WriteError: writeError, Logger: a.Logger}
	v3 := api.Dialect{WriteError: writeV3Error, Logger: a.Logger}
	for path, h := range map[string]http.Handler{
		"/api/services":                      v1.Handle(a.services),
		"/api/services/{service}/operations": v1.Handle(a.operationNames),
		"/api/operations":                    v1.Handle(a.operations),
		"/api/traces":                        v1.Handle(a.search),
		"/api/traces/{id}":                   v1.Handle(a.trace),
		"/api/dependencies":                  v1.Handle(a.dependencies),
		"/api/metrics/calls":                 v1.Handle(a.calls),
		"/api/metrics/errors":                v1.Handle(a.errorRates),
		"/api/metrics/latencies":             v1.Handle(a.latencies),
		"/api/metrics/minstep":               v1.Handle(a.minStep),
		"/api/v3/services":                   v3.Handle(a.servicesV3),
		"/api/v3/operations":                 v3.Handle(a.operationsV3),
		"/api/v3/traces":                     v3.Handle(a.searchV3),
		"/api/v3/traces/{id}":                v3.Handle(a.traceV3),
	} {
		mux.Handle("GET "+prefix+path, api.Compress(h))
	}
}

// envelope is every answer of the older API.
type envelope struct {
	Data   any           `json:"data"`
	Total  int           `json:"total"`
	Limit  int           `json:"limit"`
	Offset int           `json:"offset"`
	Errors []answerError `json:"errors"`
}

type answerError struct {
	Code    int    `json:"code,omitempty"`
	Msg     string `json:"msg"`
	TraceID string `json:"traceID,omitempty"`
}

func writeError(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(envelope{Errors: []answerError{{Code: code, Msg: err.Error()}}}) // the client is gone if it fails
}

// writeJSON sends v, indented if the client says prettyPrint.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	if q := r.URL.Query(); q.Has("prettyPrint") && q.Get("prettyPrint") != "false" {
		enc.SetIndent("", "    ")
	}
	return enc.Encode(v)
}

// do passes a query through the front door.
func (a *API) do(r *http.Request, text string, run func(ctx context.Context, tenant model.Tenant, acct *store.Account) error) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	_, err = a.Door.Do(r.Context(), query.Request{Tenant: tenant, Language: "traceql", Text: text}, func(ctx context.Context, acct *store.Account) error {
		return run(ctx, tenant, acct)
	})
	return err
}

// recently is where operations are looked for: Jaeger's API has no time for them.
const recently = 48 * time.Hour

func (a *API) recent() model.TimeRange {
	now := a.Now()
	return model.TimeRange{From: now.Add(-recently).UnixNano(), To: now.Add(time.Hour).UnixNano()}
}

// serviceNames lists the services of all that is stored.
func (a *API) serviceNames(r *http.Request) ([]string, error) {
	names := []string{}
	err := a.do(r, "services", func(ctx context.Context, tenant model.Tenant, acct *store.Account) error {
		sel := store.SpanSelector{Range: model.TimeRange{To: a.Now().Add(time.Hour).UnixNano()}, Account: acct}
		vals, err := a.Index.TagValues(ctx, tenant, store.Attr{Scope: store.ScopeResource, Name: serviceName}, 0, sel)
		for _, v := range vals {
			if v.Value != "" {
				names = append(names, strings.Clone(v.Value))
			}
		}
		return err
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

func (a *API) services(w http.ResponseWriter, r *http.Request) error {
	names, err := a.serviceNames(r)
	if err != nil {
		return err
	}
	return writeJSON(w, r, envelope{Data: names, Total: len(names)})
}

// operation is an operation of a service.
type operation struct {
	Name string `json:"name"`
	Kind string `json:"spanKind"`
}

// operationsOf lists the operations of a service by name and kind.
func (a *API) operationsOf(r *http.Request, service, kind string) ([]operation, error) {
	text := "{ resource.service.name = " + quote(service) + " } | count_over_time() by (name, kind)"
	if kind != "" {
		if !isKind(kind) {
			return nil, errKind(kind)
		}
		text = strings.Replace(text, " }", " && kind = "+kind+" }", 1)
	}
	e, err := traceql.Parse(text)
	if err != nil {
		return nil, err
	}
	ops := []operation{}
	err = a.do(r, text, func(ctx context.Context, tenant model.Tenant, acct *store.Account) error {
		when := a.recent()
		series, err := traceql.Metrics(ctx, a.Reader, tenant, e, traceql.MetricParams{Start: when.From, End: when.To, Instant: true, Account: acct})
		for _, s := range series {
			var op operation
			for _, l := range s.Labels {
				switch l.Key {
				case "name":
					op.Name = l.Value.String()
				case "kind":
					op.Kind = l.Value.String()
				}
			}
			if op.Kind == "unspecified" {
				op.Kind = ""
			}
			ops = append(ops, op)
		}
		return err
	})
	slices.SortFunc(ops, func(x, y operation) int {
		if c := strings.Compare(x.Name, y.Name); c != 0 {
			return c
		}
		return strings.Compare(x.Kind, y.Kind)
	})
	return ops, err
}

func isKind(s string) bool {
	return slices.Contains([]string{"unspecified", "internal", "server", "client", "producer", "consumer"}, s)
}

func errKind(s string) error {
	return api.Invalid("parameter 'spanKind' is %q; want server, client, producer, consumer or internal", s)
}

func (a *API) operationNames(w http.ResponseWriter, r *http.Request) error {
	ops, err := a.operationsOf(r, r.PathValue("service"), "")
	if err != nil {
		return err
	}
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = op.Name
	}
	names = slices.Compact(names)
	return writeJSON(w, r, envelope{Data: names, Total: len(names)})
}

func (a *API) operations(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	service := q.Get("service")
	if service == "" {
		return errService
	}
	ops, err := a.operationsOf(r, service, q.Get("spanKind"))
	if err != nil {
		return err
	}
	return writeJSON(w, r, envelope{Data: ops, Total: len(ops)})
}

var errService = api.Invalid("parameter 'service' is required")

// errNoTrace is the answer for an id that is not stored.
var errNoTrace = traceNotFound{}

type traceNotFound struct{}

// Error implements error, with Jaeger's text.
func (traceNotFound) Error() string { return "trace not found" }

// Unwrap makes it a 404.
func (traceNotFound) Unwrap() error { return store.ErrNotFound }

// parseTraceID reads an id in hex or, as newer clients write it, in base64.
func parseTraceID(s string) (model.TraceID, error) {
	for _, enc := range [...]*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		if b, err := enc.DecodeString(s); err == nil && len(b) == len(model.TraceID{}) && strings.HasSuffix(s, "=") {
			return model.TraceID(b), nil
		}
	}
	return model.ParseTraceID(s)
}

// oneTrace reads the trace that the path names.
func (a *API) oneTrace(r *http.Request, hint model.TimeRange) (ptrace.Traces, error) {
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		return ptrace.Traces{}, err
	}
	var td ptrace.Traces
	err = a.do(r, "trace "+id.String(), func(ctx context.Context, tenant model.Tenant, acct *store.Account) error {
		td, err = a.Reader.Trace(ctx, tenant, id, hint, acct)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errNoTrace
	}
	return td, err
}

func (a *API) trace(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	var hint model.TimeRange
	if q.Get("start") != "" && q.Get("end") != "" {
		var err error
		if hint, err = a.window(q); err != nil {
			return err
		}
	}
	td, err := a.oneTrace(r, hint)
	if err != nil {
		return err
	}
	return writeJSON(w, r, envelope{Data: []*traceJSON{newTrace(td)}})
}

func (a *API) search(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if len(q["traceID"]) > 0 {
		return a.byIDs(w, r, q["traceID"])
	}
	s, err := a.searchOf(q)
	if err != nil {
		return err
	}
	found, missed, err := a.find(r, s)
	if err != nil {
		return err
	}
	out := make([]*traceJSON, len(found))
	for i, td := range found {
		out[i] = newTrace(td)
	}
	answer := envelope{Data: out}
	if missed {
		answer.Errors = []answerError{{Msg: fmt.Sprintf("only the newest %d traces that match the rest were asked for %s; narrow the search", maxLimit, tagTraceState)}}
	}
	return writeJSON(w, r, answer)
}

// find runs a search and reads the traces it finds, newest first. missed tells that there
// may be more which were not looked at.
func (a *API) find(r *http.Request, s *search) (out []ptrace.Traces, missed bool, err error) {
	p := traceql.Params{Range: s.when, Limit: s.limit, SpansPerSpanset: 1}
	if s.state != "" {
		p.Limit, p.SpansPerSpanset = maxLimit, maxSpans
	}
	err = a.do(r, s.expr.String(), func(ctx context.Context, tenant model.Tenant, acct *store.Account) error {
		p.Account = acct
		res, err := traceql.Search(ctx, a.Reader, tenant, s.expr, p)
		if err != nil {
			return err
		}
		for _, t := range res.Traces {
			if len(out) == s.limit {
				return nil
			}
			td, err := a.Reader.Trace(ctx, tenant, t.ID, model.TimeRange{From: t.Start, To: t.Start + t.Duration + 1}, acct)
			if errors.Is(err, store.ErrNotFound) {
				continue // dropped by retention since
			}
			if err != nil {
				return err
			}
			if s.state == "" || hasState(td, t.Spansets, s.state) {
				out = append(out, td)
			}
		}
		missed = s.state != "" && res.Matched > len(res.Traces)
		return nil
	})
	return out, missed, err
}

// maxSpans is how many spans of a trace are asked for their trace state.
const maxSpans = 100_000

// hasState reports whether one of the spans in sets has this trace state.
func hasState(td ptrace.Traces, sets []traceql.Spanset, state string) bool {
	matched := map[model.SpanID]bool{}
	for _, set := range sets {
		for i := range set.Spans {
			matched[set.Spans[i].ID] = true
		}
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if s.TraceState().AsRaw() == state && matched[model.SpanID(s.SpanID())] {
					return true
				}
			}
		}
	}
	return false
}

// byIDs answers a search for ids; those that are missing are errors beside the data.
func (a *API) byIDs(w http.ResponseWriter, r *http.Request, ids []string) error {
	out := envelope{}
	data := []*traceJSON{}
	err := a.do(r, "traces "+strings.Join(ids, " "), func(ctx context.Context, tenant model.Tenant, acct *store.Account) error {
		for _, text := range ids {
			id, err := parseTraceID(text)
			if err != nil {
				return err
			}
			td, err := a.Reader.Trace(ctx, tenant, id, model.TimeRange{}, acct)
			switch {
			case errors.Is(err, store.ErrNotFound):
				out.Errors = append(out.Errors, answerError{Msg: errNoTrace.Error(), TraceID: text})
			case err != nil:
				return err
			default:
				data = append(data, newTrace(td))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	out.Data = data
	return writeJSON(w, r, out)
}

// window reads start and end as Unix microseconds; two days up to now if they are absent.
func (a *API) window(q url.Values) (model.TimeRange, error) {
	now := a.Now()
	when := model.TimeRange{From: now.Add(-48 * time.Hour).UnixNano(), To: now.UnixNano() + 1}
	for name, dst := range map[string]*int64{"start": &when.From, "end": &when.To} {
		us, ok, err := integer(q, name)
		if err != nil {
			return when, err
		}
		if ok {
			*dst = us * 1000
			if name == "end" {
				*dst += 1000 // the microsecond that end names is included
			}
		}
	}
	if when.Empty() {
		return when, api.Invalid("parameter 'start' must be before 'end'")
	}
	return when, nil
}
