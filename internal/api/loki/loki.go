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
	Limits  Limits
	Build   BuildInfo
	Logger  *slog.Logger // nil discards
	Now     func() time.Time
}

// Limits bound what one request may ask for. The zero value has Loki's defaults.
type Limits struct {
	MaxEntries  int           // entries of a log query; 0 means 5,000
	MaxSeries   int           // series of a metric query; 0 means 500
	MaxPoints   int           // points of a series; 0 means 11,000
	MaxLength   time.Duration // between start and end; 0 means 721 h
	MaxTails    int           // live tails of one tenant; 0 means 10
	MaxTailTime time.Duration // 0 means 1 h
	Retention   time.Duration // only shown to clients; 0 means forever
}

// BuildInfo is the answer of status/buildinfo. Clients choose features by the version, so
// it names the Loki whose API this is.
type BuildInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

// compatVersion is the Loki version that the API follows.
const compatVersion = "3.7.6"

func (l Limits) withDefaults() Limits {
	if l.MaxEntries == 0 {
		l.MaxEntries = 5000
	}
	if l.MaxSeries == 0 {
		l.MaxSeries = 500
	}
	if l.MaxPoints == 0 {
		l.MaxPoints = 11000
	}
	if l.MaxLength == 0 {
		l.MaxLength = 721 * time.Hour
	}
	if l.MaxTails == 0 {
		l.MaxTails = 10
	}
	if l.MaxTailTime == 0 {
		l.MaxTailTime = time.Hour
	}
	return l
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
	opts.Limits = opts.Limits.withDefaults()
	return &API{
		Options: opts,
		engine:  &logql.Engine{Reader: opts.Reader, Index: opts.Index, Now: opts.Now},
		tails:   map[model.Tenant]int{},
	}
}

// Register adds the handlers to mux below prefix, "" or a path.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	d := api.Dialect{WriteError: writeError, Logger: a.Logger}
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
		"rules":                        a.rules,
	} {
		handler := api.Compress(d.Handle(h))
		mux.Handle("GET "+prefix+"/loki/api/v1/"+path, handler)
		mux.Handle("POST "+prefix+"/loki/api/v1/"+path, handler)
	}
	mux.Handle("GET "+prefix+"/loki/api/v1/tail", d.Handle(a.tail))
}

// writeError answers as Loki does: the bare message as text.
func writeError(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(err.Error())) // the client may be gone
}

// do runs f through the front door for the tenant of r.
func (a *API) do(r *http.Request, text string, f func(ctx context.Context, tenant model.Tenant, acct *store.Account) error) (query.Stats, error) {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return query.Stats{}, err
	}
	return a.Door.Do(r.Context(), query.Request{Tenant: tenant, Language: "logql", Text: text}, func(ctx context.Context, acct *store.Account) error {
		return f(ctx, tenant, acct)
	})
}
