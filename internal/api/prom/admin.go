package prom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
)

// Deleter deletes series.
type Deleter interface {
	// Delete deletes what the series that match all of one of sets have in r (Unix
	// milliseconds).
	Delete(ctx context.Context, tenant model.Tenant, sets [][]*model.Matcher, r model.TimeRange) error
	// CleanDeleted drops deleted data from disk now.
	CleanDeleted(ctx context.Context) error
}

// Snapshotter keeps copies of the data directory.
type Snapshotter interface {
	// Create makes a snapshot, without what is only in memory if skipHead is set.
	Create(ctx context.Context, skipHead bool) (name string, err error)
	// List returns the names, oldest first.
	List() ([]string, error)
	// Remove deletes one.
	Remove(name string) error
}

// registerAdmin adds the endpoints that change what is stored.
func (a *API) registerAdmin(mux *http.ServeMux, prefix string, d api.Dialect) {
	guard := http.NewCrossOriginProtection() // no other web site may use the browser of a user
	handle := func(methods []string, path string, h api.Handler) {
		handler := d.Handle(func(w http.ResponseWriter, r *http.Request) error {
			if a.Admin == nil {
				return fmt.Errorf("%w: admin APIs disabled; set admin_api: on", api.ErrForbidden)
			}
			if err := guard.Check(r); err != nil {
				return fmt.Errorf("%w: %w", api.ErrForbidden, err)
			}
			if r.Header.Get("Sec-Fetch-Site") == "cross-site" { // guard lets every GET pass
				return fmt.Errorf("%w: request of another web site", api.ErrForbidden)
			}
			return h(w, r)
		})
		for _, m := range methods {
			mux.Handle(m+" "+prefix+path, handler)
		}
		mux.Handle(prefix+path, d.Handle(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			return fmt.Errorf("%w: %s takes %s, not %s", api.ErrMethod, r.URL.Path, strings.Join(methods, " or "), r.Method)
		}))
	}
	// GET does not delete series: where a browser does not say which site a request is
	// from, a picture in a page could.
	change := []string{http.MethodPost, http.MethodPut}
	handle(change, "/api/v1/admin/tsdb/delete_series", a.deleteSeries)
	handle(change, "/api/v1/admin/tsdb/clean_tombstones", a.cleanTombstones)
	handle(change, "/api/v1/admin/tsdb/snapshot", a.snapshot)
	handle([]string{http.MethodGet, http.MethodPost}, "/snapshot/list", snapshotAnswer(a.listSnapshots))
	handle(append(change, http.MethodGet), "/snapshot/create", snapshotAnswer(a.createSnapshot))
	handle(append(change, http.MethodGet), "/snapshot/delete", snapshotAnswer(a.deleteSnapshot))
	handle(append(change, http.MethodGet), "/snapshot/delete_all", snapshotAnswer(a.deleteSnapshots))
}

func (a *API) deleteSeries(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	sets, err := a.narrowing(r)
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		return api.Invalid("no match[] parameter provided")
	}
	rng, err := window(r, time.UnixMilli(-maxTime), time.UnixMilli(maxTime))
	if err != nil {
		return err
	}
	err = a.Admin.Delete(r.Context(), tenant, sets, rng)
	if a.Cache != nil {
		a.Cache.Drop(tenant) // also after an error: part of it may be deleted
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) cleanTombstones(w http.ResponseWriter, r *http.Request) error {
	if err := a.Admin.CleanDeleted(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) snapshot(w http.ResponseWriter, r *http.Request) error {
	skip := false
	switch v := r.FormValue("skip_head"); v {
	case "", "false", "0":
	case "true", "1":
		skip = true
	default:
		return api.Invalid("invalid parameter %q: %q is not true or false", "skip_head", v)
	}
	name, err := a.Snapshots.Create(r.Context(), skip)
	if err != nil {
		return err
	}
	return (&response{data: map[string]string{"name": name}}).write(w)
}

// snapshotAnswer answers as VictoriaMetrics does: {"status":"ok",...}.
func snapshotAnswer(f func(r *http.Request) (map[string]any, error)) api.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		data, err := f(r)
		if err != nil {
			return err
		}
		data["status"] = "ok"
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(data)
	}
}

func (a *API) createSnapshot(r *http.Request) (map[string]any, error) {
	name, err := a.Snapshots.Create(r.Context(), false)
	return map[string]any{"snapshot": name}, err
}

func (a *API) listSnapshots(*http.Request) (map[string]any, error) {
	names, err := a.Snapshots.List()
	return map[string]any{"snapshots": names}, err
}

func (a *API) deleteSnapshot(r *http.Request) (map[string]any, error) {
	name := r.FormValue("snapshot")
	if name == "" {
		return nil, api.Invalid("no snapshot parameter provided")
	}
	return map[string]any{}, a.Snapshots.Remove(name)
}

func (a *API) deleteSnapshots(*http.Request) (map[string]any, error) {
	names, err := a.Snapshots.List()
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, a.Snapshots.Remove(name))
	}
	return map[string]any{}, errors.Join(errs...)
}
