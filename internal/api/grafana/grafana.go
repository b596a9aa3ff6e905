// Package grafana serves the part of Grafana's HTTP API that tools for dashboards use:
// Terraform, grizzly, scripts with curl. Dashboards, their versions, folders, stars and
// search are real; organisations, users and data sources are the fixed answers that such
// tools look at first.
//
// It is registered at the root and again below /grafana. Only search differs: at the root
// Tempo has the same path, so there a request is taken for Grafana's when it has a
// parameter that only Grafana knows (see [API.Split]).
package grafana

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/dashboard"
	"github.com/pharos-o11y/pharos/internal/meta"
)

// grafanaVersion is the Grafana whose API this is: clients choose features by it.
const grafanaVersion = "11.6.0"

// Options configures an API. Library, Ping and Tenancy are required.
type Options struct {
	Library  *dashboard.Library
	Ping     func(r *http.Request) error // whether the database answers
	Tenancy  api.Tenancy
	MaxBytes int64 // size of one request; 0 means 16 MiB
	Logger   *slog.Logger
}

// API is the handlers.
type API struct{ Options }

// New returns an API.
func New(opts Options) *API {
	if opts.MaxBytes == 0 {
		opts.MaxBytes = 16 << 20
	}
	return &API{opts}
}

// Register adds the handlers to mux below prefix.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	d := api.Dialect{WriteError: writeError, Logger: a.Logger}
	handle := func(method, path string, h api.Handler) { mux.Handle(method+" "+prefix+path, d.Handle(h)) }
	handle("POST", "/api/dashboards/db", a.save)
	handle("GET", "/api/dashboards/uid/{uid}", a.get)
	handle("GET", "/api/dashboards/uid/{uid}/raw", a.raw)
	handle("DELETE", "/api/dashboards/uid/{uid}", a.remove)
	handle("GET", "/api/dashboards/uid/{uid}/versions", a.versions)
	handle("GET", "/api/dashboards/uid/{uid}/versions/{version}", a.version)
	handle("POST", "/api/dashboards/uid/{uid}/restore", a.restore)
	handle("GET", "/api/dashboards/tags", a.tags)
	handle("POST", "/api/user/stars/dashboard/uid/{uid}", a.star(true))
	handle("DELETE", "/api/user/stars/dashboard/uid/{uid}", a.star(false))
	handle("POST", "/api/short-urls", a.shorten)
	handle("GET", "/goto/{uid}", a.follow)
	handle("GET", "/api/folders", a.folders)
	handle("POST", "/api/folders", a.createFolder)
	handle("GET", "/api/folders/{uid}", a.folder)
	handle("PUT", "/api/folders/{uid}", a.updateFolder)
	handle("DELETE", "/api/folders/{uid}", a.deleteFolder)
	handle("GET", "/api/health", a.health)
	handle("GET", "/api/org", a.org)
	handle("GET", "/api/user", a.user)
	handle("GET", "/api/datasources", a.dataSources)
	handle("GET", "/api/datasources/uid/{uid}", a.dataSource)
	handle("GET", "/api/datasources/name/{uid}", a.dataSource)
	if prefix != "" {
		handle("GET", "/api/search", a.search)
	}
}

// Split hands Grafana's searches at /api/search to a and everything else to next.
func (a *API) Split(next http.Handler) http.Handler {
	search := api.Dialect{WriteError: writeError, Logger: a.Logger}.Handle(a.search)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/api/search" && isSearch(r) {
			search.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isSearch reports whether a request to /api/search is Grafana's rather than Tempo's.
func isSearch(r *http.Request) bool {
	q := r.URL.Query()
	for _, tempo := range []string{"q", "tags", "start", "end", "minDuration", "maxDuration", "spss"} {
		if q.Has(tempo) {
			return false
		}
	}
	for _, own := range []string{"query", "type", "tag", "folderIds", "folderUIDs", "dashboardIds", "dashboardUIDs", "dashboardUID", "starred", "permission", "sort", "page", "deleted"} {
		if q.Has(own) {
			return true
		}
	}
	return false
}

// writeError answers in Grafana's envelope. Conflicts carry the word that its clients
// look for.
func writeError(w http.ResponseWriter, code int, err error) {
	body := map[string]string{"message": err.Error()}
	switch {
	case errors.Is(err, meta.ErrVersion):
		body["status"] = "version-mismatch"
	case errors.Is(err, dashboard.ErrTitleTaken):
		body["status"] = "name-exists"
	case errors.Is(err, meta.ErrNotFound):
		body["status"] = "not-found"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if it fails
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// read decodes the body of r into v.
func (a *API) read(w http.ResponseWriter, r *http.Request, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, a.MaxBytes)).Decode(v)
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return api.Invalid("the request is larger than %d bytes", tooBig.Limit)
	}
	if err != nil {
		return api.Invalid("bad request data: %w", err)
	}
	return nil
}

func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	if err := a.Ping(r); err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"commit": "pharos", "database": "ok", "version": grafanaVersion})
}

func (a *API) org(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"id": 1, "name": tenant})
}

func (a *API) user(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]any{"id": 1, "login": "admin", "email": "admin@localhost", "name": "Pharos", "orgId": 1, "isGrafanaAdmin": true})
}

// dataSource is one of the three fixed data sources, one for each signal.
type dataSource struct {
	ID        int            `json:"id"`
	UID       string         `json:"uid"`
	OrgID     int            `json:"orgId"`
	Name      string         `json:"name"`
	Type      string         `json:"type"`
	Access    string         `json:"access"`
	URL       string         `json:"url"`
	IsDefault bool           `json:"isDefault"`
	ReadOnly  bool           `json:"readOnly"`
	JSONData  map[string]any `json:"jsonData"`
}

func dataSources(r *http.Request) []dataSource {
	base := "http://" + r.Host
	return []dataSource{
		{1, "pharos-metrics", 1, "Pharos metrics", "prometheus", "proxy", base + "/prometheus", true, true, map[string]any{}},
		{2, "pharos-logs", 1, "Pharos logs", "loki", "proxy", base, false, true, map[string]any{}},
		{3, "pharos-traces", 1, "Pharos traces", "tempo", "proxy", base + "/tempo", false, true, map[string]any{}},
	}
}

func (a *API) dataSources(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, dataSources(r))
}

func (a *API) dataSource(w http.ResponseWriter, r *http.Request) error {
	for _, d := range dataSources(r) {
		if d.UID == r.PathValue("uid") || d.Name == r.PathValue("uid") {
			return writeJSON(w, d)
		}
	}
	return meta.ErrNotFound
}
