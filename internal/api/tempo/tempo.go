// Package tempo serves the HTTP API of Grafana Tempo over the trace store: traces by id,
// TraceQL search and metrics, tag names and values, so that Grafana's Tempo data source,
// Traces Drilldown and scripts work unchanged.
//
// Responses are Tempo's protobuf messages, in its flavour of JSON or, if the client
// accepts application/protobuf, in binary; encode.go lets a handler describe both at
// once. Errors are plain text. What Tempo has no field for, such as a hint that
// span.duration is not the duration, goes into the header X-Pharos-Hint.
package tempo

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Options configures an API. Reader, Index and Door are required.
type Options struct {
	Reader        store.TraceReader
	Index         store.TraceIndex
	Door          *query.Door
	Tenancy       api.Tenancy
	Revision      string        // of Pharos, shown in buildinfo
	DefaultWindow time.Duration // searched when a request has no start and end; 0 means 1 h
	MaxWindow     time.Duration // longest search; 0 means 168 h
	MaxMetrics    time.Duration // longest metrics query; 0 means 24 h

	MaxBytesPerTrace int64 // in the answer to a trace id; 0 means no limit
	MaxSeries        int   // in the answer to a metrics query; 0 means no limit

	Logger *slog.Logger // nil discards
	Now    func() time.Time
}

// API is the handlers.
type API struct{ Options }

// New returns an API.
func New(opts Options) *API {
	opts.DefaultWindow = cmp.Or(opts.DefaultWindow, time.Hour)
	opts.MaxWindow = cmp.Or(opts.MaxWindow, 168*time.Hour)
	opts.MaxMetrics = cmp.Or(opts.MaxMetrics, 24*time.Hour)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &API{opts}
}

// Register adds the handlers to mux below prefix, "" or a path such as /tempo.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	d := api.Dialect{WriteError: writeError, Logger: a.Logger}
	for path, h := range map[string]api.Handler{
		"/api/traces/{id}":                 a.traceV1,
		"/api/v2/traces/{id}":              a.traceV2,
		"/api/search":                      a.search,
		"/api/search/tags":                 a.tagsV1,
		"/api/v2/search/tags":              a.tagsV2,
		"/api/search/tag/{name}/values":    a.valuesV1,
		"/api/v2/search/tag/{name}/values": a.valuesV2,
		"/api/metrics/query_range":         a.metricsRange,
		"/api/metrics/query":               a.metricsInstant,
		"/api/echo":                        a.echo,
		"/api/status/buildinfo":            a.buildInfo,
	} {
		handler := api.Compress(d.Handle(h))
		mux.Handle("GET "+prefix+path, handler)
		if path == "/api/search" || strings.HasPrefix(path, "/api/metrics/") {
			mux.Handle("POST "+prefix+path, handler)
		}
	}
}

// hintHeader says what Tempo's answers have no field for.
const hintHeader = "X-Pharos-Hint"

// writeError answers with one line of text.
func writeError(w http.ResponseWriter, code int, err error) {
	http.Error(w, strings.ReplaceAll(err.Error(), "\n", " "), busy(code, err))
}

// busy returns code, the status of err, but Tempo's where too many queries wait.
func busy(code int, err error) int {
	if errors.Is(err, store.ErrOverloaded) {
		return http.StatusTooManyRequests
	}
	return code
}

// do passes a query through the front door. run must copy what it keeps. Warnings go
// into the header of the response.
func (a *API) do(w http.ResponseWriter, r *http.Request, text string, run func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error) (query.Stats, error) {
	tenants, err := a.Tenancy.ReadTenants(r)
	if err != nil {
		return query.Stats{}, err
	}
	req := query.Request{Tenant: tenants[0], Language: "traceql", Text: text}
	st, err := a.Door.Do(r.Context(), req, func(ctx context.Context, acct *store.Account) error {
		return run(ctx, tenants, acct)
	})
	if len(st.Warnings) > 0 {
		w.Header().Set(hintHeader, strings.ReplaceAll(strings.Join(st.Warnings, "; "), "\n", " "))
	}
	return st, err
}

func (a *API) echo(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(w, "echo\n")
	return err
}

// version is the Tempo whose API this is: Grafana switches features on by it.
const version = "v2.9.0+pharos"

func (a *API) buildInfo(w http.ResponseWriter, _ *http.Request) error {
	m := &jsonMessage{}
	m.nested(func(x message) {
		x.oneofStr(0, "version", version)
		x.oneofStr(0, "revision", a.Revision)
		x.oneofStr(0, "branch", "pharos")
		x.oneofStr(0, "buildUser", "")
		x.oneofStr(0, "buildDate", "")
		x.oneofStr(0, "goVersion", runtime.Version())
	})
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(m.b)
	return err
}

// searchMetrics writes what a query cost.
func searchMetrics(m message, name string, st query.Stats, inspectedTraces int) {
	jobsMetrics(m, name, st, inspectedTraces, 1, 1)
}

// jobsMetrics writes what a query has cost with so many of its jobs completed.
func jobsMetrics(m message, name string, st query.Stats, inspectedTraces int, completed, total uint32) {
	m.message(2, name, func(m message) {
		m.uint32(1, "inspectedTraces", uint32(inspectedTraces))
		m.uint64(2, "inspectedBytes", uint64(st.BytesRead))
		m.uint32(3, "totalBlocks", uint32(st.BlocksRead+st.BlocksSkipped))
		m.uint32(4, "completedJobs", completed)
		m.uint32(5, "totalJobs", total)
		m.uint64(7, "inspectedSpans", uint64(st.RowsScanned))
	})
}

// listMetrics writes what listing tags cost.
func listMetrics(m message, st query.Stats) {
	m.message(2, "metrics", func(m message) { m.uint64(1, "inspectedBytes", uint64(st.BytesRead)) })
}
