// Package loki serves the query side of Loki's HTTP API over the log store: queries,
// labels, series, volume, live tail and what Grafana's log pages ask for, in Loki's own
// JSON, so that Grafana, logcli and dashboards work unchanged. Errors are plain text, as
// Loki's are; their prefixes are those that clients look for.
//
// Push is package ingest/lokipush. Every query runs through the front door of package
// query. Large answers are written without reflection and sent on as they grow.
package loki

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Options configures an API. Reader, Index and Door are required.
type Options struct {
	Reader  store.LogReader
	Index   store.LogIndex
	Door    *query.Door
	Tenancy api.Tenancy
	// Limits returns the limits of a tenant; nil means the defaults for all. It is called
	// once a request.
	Limits  func(model.Tenant) Limits
	Build   BuildInfo
	Traces  logql.TraceFinder               // answers filters of logs by traces; nil refuses them
	Deleter Deleter                         // nil: entries cannot be deleted
	Config  func() string                   // the configuration in force, as YAML; nil: not shown
	Flush   func(ctx context.Context) error // writes what is in memory to disk; nil: not offered
	Logger  *slog.Logger                    // nil discards
	Now     func() time.Time
}

// Deleter deletes entries that are stored already.
type Deleter interface {
	// Delete takes on d, of which Query and Range are set. When it returns, no query sees the
	// entries any more.
	Delete(ctx context.Context, tenant model.Tenant, d store.LogDeletion) (store.LogDeletion, error)
	// Deletions returns the requests of tenant, oldest first.
	Deletions(tenant model.Tenant) []store.LogDeletion
	// CancelDeletion takes a request back; with force also while it is being processed. Errors
	// wrap [store.ErrNotFound] or [store.ErrLimit].
	CancelDeletion(ctx context.Context, tenant model.Tenant, id string, force bool) error
}

// API is the handlers. They are safe for concurrent use.
type API struct {
	Options
	engine *logql.Engine

	mu    sync.Mutex
	tails map[model.Tenant]int // guarded by mu; running tails
}

// New returns an API.
func New(opts Options) *API {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Build.Version == "" {
		opts.Build.Version = compatVersion
	}
	return &API{
		Options: opts,
		engine:  &logql.Engine{Reader: opts.Reader, Index: opts.Index, Now: opts.Now, Traces: opts.Traces},
		tails:   map[model.Tenant]int{},
	}
}

// Register adds the handlers to mux below prefix, "" or a path.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	d := api.Dialect{WriteError: writeError, Logger: a.Logger}
	both := func(path string, h api.Handler) {
		handler := api.Compress(d.Handle(h))
		mux.Handle("GET "+prefix+path, handler)
		mux.Handle("POST "+prefix+path, handler)
	}
	for path, h := range map[string]api.Handler{
		"query":                        a.query,
		"query_range":                  a.queryRange,
		"labels":                       a.labels,
		"label":                        a.labels,
		"label/{name}/values":          a.labelValues,
		"series":                       a.series,
		"index/stats":                  a.stats,
		"index/volume":                 a.volume,
		"index/volume_range":           a.volumeRange,
		"detected_labels":              a.detectedLabels,
		"detected_fields":              a.detectedFields,
		"detected_field/{name}/values": a.detectedField,
		"patterns":                     a.patterns,
		"format_query":                 a.formatQuery,
		"status/buildinfo":             a.buildInfo,
		"drilldown-limits":             a.drilldownLimits,
	} {
		both("/loki/api/v1/"+path, h)
	}
	both(legacyPrefix+"/query", a.legacyQuery)
	both(legacyPrefix+"/label", a.labels)
	both(legacyPrefix+"/label/{name}/values", a.labelValues)
	both(legacyPrefix+"/series", a.series)
	for _, path := range []string{"/loki/api/v1/rules", "/loki/api/v1/rules/{rest...}", "/api/prom/rules", "/api/prom/rules/{rest...}"} {
		mux.Handle(prefix+path, d.Handle(a.rules))
	}
	for _, path := range []string{"/loki/api/v1/tail", "/api/prom/tail"} {
		mux.Handle("GET "+prefix+path, d.Handle(a.tail))
	}
	if a.Deleter != nil {
		path := prefix + "/loki/api/v1/delete"
		mux.Handle("GET "+path, d.Handle(a.deletes))
		mux.Handle("POST "+path, d.Handle(a.addDelete))
		mux.Handle("PUT "+path, d.Handle(a.addDelete))
		mux.Handle("DELETE "+path, d.Handle(a.cancelDelete))
	}
	mux.Handle("GET "+prefix+"/config/tenant/v1/limits", d.Handle(a.yamlLimits))
	mux.Handle("GET "+prefix+"/services", d.Handle(a.services))
	mux.Handle("GET "+prefix+"/ring", d.Handle(a.ring))
	if a.Config != nil {
		mux.Handle("GET "+prefix+"/config", d.Handle(a.config))
	}
	if a.Flush != nil {
		mux.Handle("POST "+prefix+"/flush", d.Handle(a.flush))
	}
}

// writeError answers as Loki does: the bare message as text.
func writeError(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(err.Error())) // the client may be gone
}
