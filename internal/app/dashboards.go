package app

import (
	"context"
	"net/http"

	"github.com/pharos-o11y/pharos/internal/api/grafana"
	"github.com/pharos-o11y/pharos/internal/config"
	"github.com/pharos-o11y/pharos/internal/dashboard"
	"github.com/pharos-o11y/pharos/internal/meta"
)

// openLibrary opens the meta store and the dashboards on top of it.
func (a *App) openLibrary(ctx context.Context, cfg *config.Config) error {
	var err error
	if a.meta, err = meta.Open(ctx, meta.Options{Dir: cfg.Data, Postgres: cfg.Dashboards.Postgres}); err != nil {
		return err
	}
	a.library, err = dashboard.New(dashboard.Options{
		DB: a.meta, Provision: cfg.Dashboards.Provision, NoShipped: !cfg.Dashboards.Shipped, Logger: a.logger,
	})
	return err
}

// dashboardRoutes adds Grafana's API to mux and returns the handler of both: at
// /api/search it has to look before mux does.
func (a *App) dashboardRoutes(mux *http.ServeMux, cfg *config.Config) http.Handler {
	g := grafana.New(grafana.Options{
		Library: a.library, Ping: func(r *http.Request) error { return a.meta.Ping(r.Context()) },
		Tenancy: a.tenancy, MaxBytes: int64(cfg.Limits.MaxBody), Logger: a.logger,
	})
	g.Register(mux, "")
	g.Register(mux, "/grafana")
	return g.Split(mux)
}
