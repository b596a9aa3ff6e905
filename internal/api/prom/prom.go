// Package prom serves the HTTP API of Prometheus over the metric store: queries, series,
// labels, metadata, exemplars and status, in Prometheus' own JSON, so that Grafana, promtool
// and every client library work unchanged.
//
// Reference: the "HTTP API" page of the Prometheus documentation.
package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/metricsql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Options configures an API. Reader, Index, Engine, MetricsQL and Door are required.
type Options struct {
	Reader    store.MetricReader
	Index     store.MetricIndex
	Engine    *promql.Engine
	MetricsQL *metricsql.Engine // answers queries in that dialect
	Cache     *promql.Cache     // answers of range queries in PromQL; nil keeps none
	Door      *query.Door
	Tenancy   api.Tenancy
	// Targets returns the active scrape targets; nil means there are none.
	Targets func(ctx context.Context, tenant model.Tenant) ([]Target, error)
	// Usage returns how often queries have read the metrics that have data, and since when
	// that is counted (Unix seconds); nil: nobody counts.
	Usage func(ctx context.Context, tenant model.Tenant, acct *store.Account) ([]MetricUse, int64, error)
	// Writer takes imports; nil: there is no import.
	Writer  store.MetricWriter
	MaxBody int64 // of a text that is imported, or of one line; 0 means 64 MiB
	// Admin and Snapshots are behind the admin endpoints; nil turns those off.
	Admin     Deleter
	Snapshots Snapshotter
	Build     BuildInfo
	Config    func() string     // the configuration in force, as YAML; nil means ""
	Flags     map[string]string // settings by the names that Prometheus' command line has for them
	Logger    *slog.Logger      // nil discards
	Now       func() time.Time
}

// BuildInfo is the answer of /api/v1/status/buildinfo. Clients choose features by the
// version, so it names the Prometheus whose API this is.
type BuildInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

// Target is one scrape target, as /api/v1/targets shows it.
type Target struct {
	Discovered map[string]string
	Labels     map[string]string
	Job        string
	URL        string
	LastError  string
	LastScrape time.Time
	Duration   time.Duration // of the last scrape
	Health     string        // up, down or unknown
	Interval   string
	Timeout    string
}

// API is the handlers.
type API struct {
	Options
	start time.Time
}

// New returns an API.
func New(opts Options) *API {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &API{Options: opts, start: opts.Now()}
}

// Register adds the handlers to mux below prefix, "" or a path such as /prometheus.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	d := api.Dialect{WriteError: writeError, Logger: a.Logger}
	for path, h := range map[string]api.Handler{
		"query":               a.query,
		"query_range":         a.queryRange,
		"query_exemplars":     a.exemplars,
		"series":              a.series,
		"labels":              a.labels,
		"label/{name}/values": a.labelValues,
		"metadata":            a.metadata,
		"format_query":        a.formatQuery,
		"parse_query":         a.parseQuery,
		"targets":             a.targets,
		"scrape_pools":        a.scrapePools,
		"features":            a.features,
		"status/buildinfo":    a.buildInfo,
		"status/runtimeinfo":  a.runtimeInfo,
		"status/config":       a.config,
		"status/flags":        a.flags,
		"status/tsdb":         a.tsdb,
		"rules":               a.empty("groups"),
		"alerts":              a.empty("alerts"),
		"alertmanagers":       a.empty("activeAlertmanagers", "droppedAlertmanagers"),
		"notifications":       a.emptyList,
		"targets/metadata":    a.targetsMetadata,
		"status/walreplay":    a.walReplay,
	} {
		handler := api.Compress(d.Handle(h))
		mux.Handle("GET "+prefix+"/api/v1/"+path, handler)
		mux.Handle("POST "+prefix+"/api/v1/"+path, handler)
	}
	mux.Handle("POST "+prefix+"/api/v1/read", d.Handle(a.read))
	a.registerAdmin(mux, prefix, d)
	a.registerBulk(mux, prefix, d)
}

// do runs a query of r through the front door and writes what run leaves in the
// response.
func (a *API) do(w http.ResponseWriter, r *http.Request, text string, run func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	timeout, err := durationParam(r, "timeout")
	if err != nil {
		return err
	}
	var resp response
	req := query.Request{Tenant: tenant, Language: "promql", Text: text, Timeout: timeout}
	st, err := a.Door.Do(r.Context(), req, func(ctx context.Context, acct *store.Account) error {
		return run(ctx, tenant, acct, &resp)
	})
	if err != nil {
		return inQuery(err)
	}
	resp.warnings = append(resp.warnings, st.Warnings...)
	if r.FormValue("stats") != "" {
		resp.stats = &st
	}
	return resp.write(w)
}

// inQuery adds to an error about the text of a query which parameter that is.
func inQuery(err error) error {
	if errors.Is(err, promql.ErrParse) {
		return fmt.Errorf("invalid parameter %q: %w", "query", err)
	}
	return err
}

func timeParam(r *http.Request, name string, def time.Time) (time.Time, error) {
	s := r.FormValue(name)
	if s == "" {
		return def, nil
	}
	t, err := api.ParseTime(s)
	if err != nil {
		return t, api.Invalid("invalid parameter %q: %w", name, err)
	}
	return t, nil
}

// durationParam returns a duration, 0 if it is absent.
func durationParam(r *http.Request, name string) (time.Duration, error) {
	s := r.FormValue(name)
	if s == "" {
		return 0, nil
	}
	d, err := api.ParseDuration(s)
	if err != nil {
		return d, api.Invalid("invalid parameter %q: %w", name, err)
	}
	return d, nil
}

func limitParam(r *http.Request) (int, error) { return countParam(r, "limit") }

// countParam returns a parameter that is a number of things, 0 if it is absent.
func countParam(r *http.Request, name string) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, api.Invalid("invalid parameter %q: limit must be a non-negative number", name)
	}
	return n, nil
}

// isTrue reports whether a parameter turns something on, as VictoriaMetrics reads it.
func isTrue(s string) bool {
	on, err := strconv.ParseBool(s)
	return err == nil && on
}

// window returns the range of r in milliseconds. start and end are inclusive in the API.
func window(r *http.Request, start, end time.Time) (model.TimeRange, error) {
	from, err := timeParam(r, "start", start)
	if err != nil {
		return model.TimeRange{}, err
	}
	to, err := timeParam(r, "end", end)
	if err != nil {
		return model.TimeRange{}, err
	}
	if to.Before(from) {
		return model.TimeRange{}, api.Invalid("invalid parameter %q: end timestamp must not be before start time", "end")
	}
	return model.TimeRange{From: from.UnixMilli(), To: to.UnixMilli() + 1}, nil
}

func (a *API) query(w http.ResponseWriter, r *http.Request) error {
	at, err := timeParam(r, "time", a.Now())
	if err != nil {
		return err
	}
	return a.eval(w, r, promql.Query{Start: at})
}

// maxPoints is Prometheus' bound on the points of one series.
const maxPoints = 11_000

func (a *API) queryRange(w http.ResponseWriter, r *http.Request) error {
	var q promql.Query
	var err error
	for _, name := range []string{"start", "end", "step"} {
		if r.FormValue(name) == "" {
			return api.Invalid("invalid parameter %q: it is required", name)
		}
	}
	if q.Start, err = timeParam(r, "start", time.Time{}); err != nil {
		return err
	}
	if q.End, err = timeParam(r, "end", time.Time{}); err != nil {
		return err
	}
	if q.Step, err = durationParam(r, "step"); err != nil {
		return err
	}
	switch {
	case q.End.Before(q.Start):
		return api.Invalid("invalid parameter %q: end timestamp must not be before start time", "end")
	case q.Step < time.Millisecond && q.Step > 0:
		return api.Invalid("invalid parameter %q: the smallest step is 1ms", "step")
	case q.Step <= 0:
		return api.Invalid("invalid parameter %q: zero or negative query resolution step widths are not accepted. Try a positive integer", "step")
	case q.End.Sub(q.Start)/q.Step > maxPoints:
		return api.Invalid("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	return a.eval(w, r, q)
}

func (a *API) eval(w http.ResponseWriter, r *http.Request, q promql.Query) error {
	var err error
	if q.Lookback, err = durationParam(r, "lookback_delta"); err != nil {
		return err
	}
	limit, err := limitParam(r)
	if err != nil {
		return err
	}
	q.Text = r.FormValue("query")
	if ok, err := inMetricsQL(r); err != nil || ok {
		if err != nil {
			return err
		}
		return a.evalMetricsQL(w, r, q, limit)
	}
	return a.do(w, r, q.Text, func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		q.Tenant = tenant
		if isTrue(r.FormValue("explain")) {
			return a.explain(ctx, q, acct, resp)
		}
		run := a.Engine.Run
		if a.Cache != nil && !isTrue(r.FormValue("nocache")) {
			run = func(ctx context.Context, r store.MetricReader, q promql.Query, acct *store.Account) (promql.Result, error) {
				return a.Cache.Run(ctx, a.Engine, r, q, acct)
			}
		}
		res, err := run(ctx, a.Reader, q, acct)
		if err != nil {
			return err
		}
		resp.warnings, resp.infos, resp.cached = res.Warnings, res.Infos, res.CachedSteps
		resp.value = res.Value
		resp.limit = limit
		resp.envelope = isTrue(r.FormValue("envelope"))
		return nil
	})
}

// explain answers how q would be evaluated and what it would read, without doing it.
func (a *API) explain(ctx context.Context, q promql.Query, acct *store.Account, resp *response) error {
	plan, price, err := a.Engine.Explain(ctx, a.Reader, q, acct)
	if err != nil {
		return err
	}
	resp.data = map[string]any{"resultType": "plan", "plan": plan, "price": price}
	return nil
}

func (a *API) formatQuery(w http.ResponseWriter, r *http.Request) error {
	expr, err := a.Engine.Parse(r.FormValue("query"))
	if err != nil {
		return inQuery(err)
	}
	return (&response{data: expr.Pretty(0)}).write(w)
}

// parseQuery answers with the syntax tree, or an error with its position.
func (a *API) parseQuery(w http.ResponseWriter, r *http.Request) error {
	expr, err := a.Engine.Parse(r.FormValue("query"))
	if err != nil {
		return inQuery(err)
	}
	return (&response{data: syntaxTree(expr)}).write(w)
}

// matchers returns the selectors of the match[] parameters.
func (a *API) matchers(r *http.Request) ([][]*model.Matcher, error) {
	if err := r.ParseForm(); err != nil {
		return nil, api.Invalid("error parsing form values: %w", err)
	}
	var sets [][]*model.Matcher
	for _, s := range r.Form["match[]"] {
		ms, err := a.Engine.Selector(s)
		if err != nil {
			return nil, api.Invalid("invalid parameter %q: %w", "match[]", err)
		}
		sets = append(sets, ms)
	}
	return sets, nil
}

// narrowing returns the selectors of the match[] parameters, each of which must ask for
// something: one that fits every series is rather a mistake.
func (a *API) narrowing(r *http.Request) ([][]*model.Matcher, error) {
	sets, err := a.matchers(r)
	if err != nil {
		return nil, err
	}
	for _, ms := range sets {
		if !slices.ContainsFunc(ms, func(m *model.Matcher) bool { return !m.Matches("") }) {
			return nil, api.Invalid("invalid parameter %q: match[] must contain at least one non-empty matcher", "match[]")
		}
	}
	return sets, nil
}

// maxTime is the end of index questions that name none, Unix milliseconds.
const maxTime = 1 << 50

// selectors turns the parameters of an index question into selectors, one for each
// match[].
func (a *API) selectors(r *http.Request, acct *store.Account) ([]store.MetricSelector, error) {
	sets, err := a.narrowing(r)
	if err != nil {
		return nil, err
	}
	rng, err := window(r, time.UnixMilli(0), time.UnixMilli(maxTime))
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return []store.MetricSelector{{All: true, Range: rng, Func: "series", Account: acct}}, nil
	}
	var sels []store.MetricSelector
	for _, ms := range sets {
		sels = append(sels, store.MetricSelector{Matchers: ms, Range: rng, Func: "series", Account: acct})
	}
	return sels, nil
}
