package loki

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	promModel "github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// deleteTime reads a time of a delete request: Unix seconds of 10 digits, or RFC 3339.
// Nanoseconds are refused, so that no misread unit deletes too much.
func deleteTime(r *http.Request, name string, def int64) (int64, error) {
	s := r.FormValue(name)
	if s == "" {
		return def, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) == 10 {
		return n * int64(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, api.Invalid("invalid %s time %q: require unix seconds or RFC3339 format", name, s)
	}
	return t.UnixNano(), nil
}

// deleter returns the tenant whose entries a request deletes.
func (a *API) deleter(r *http.Request) (model.Tenant, error) {
	tenant, err := a.Tenancy.Of(r)
	if err == nil && a.limits([]model.Tenant{tenant}).NoDeletes {
		err = fmt.Errorf("%w: deletion is not available for this tenant, see the limit deletion_mode", api.ErrForbidden)
	}
	return tenant, err
}

// addDelete answers POST and PUT /loki/api/v1/delete.
func (a *API) addDelete(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.deleter(r)
	if err != nil {
		return err
	}
	now := a.Now().UnixNano()
	d := store.LogDeletion{Query: r.FormValue("query")}
	if d.Query == "" {
		return api.Invalid("query not set")
	}
	if r.FormValue("start") == "" {
		return api.Invalid("start time not set")
	}
	if d.Range.From, err = deleteTime(r, "start", 0); err != nil {
		return err
	}
	end, err := deleteTime(r, "end", now)
	switch {
	case err != nil:
		return err
	case end > now:
		return api.Invalid("deletes in the future are not allowed")
	case d.Range.From > end:
		return api.Invalid("start time can't be greater than end time")
	}
	if s := r.FormValue("max_interval"); s != "" {
		if _, err := promModel.ParseDuration(s); err != nil {
			return api.Invalid("invalid max_interval: %w", err)
		}
	}
	d.Range = closed(model.TimeRange{From: d.Range.From, To: end})
	if _, err := a.Deleter.Delete(r.Context(), tenant, d); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type deleteStatus struct {
	ID      string  `json:"request_id"`
	Start   int64   `json:"start_time"`
	End     int64   `json:"end_time"`
	Query   string  `json:"query"`
	Status  string  `json:"status"`
	Created float64 `json:"created_at"`
}

// deletes answers GET /loki/api/v1/delete: the requests of the tenant.
func (a *API) deletes(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.deleter(r)
	if err != nil {
		return err
	}
	out := []deleteStatus{}
	for _, d := range a.Deleter.Deletions(tenant) {
		s := deleteStatus{
			ID: d.ID, Query: d.Query, Status: "received", Created: float64(d.Created/int64(time.Millisecond)) / 1000,
			Start: d.Range.From / int64(time.Second), End: d.Range.To / int64(time.Second),
		}
		switch {
		case d.Done == 1:
			s.Status = "processed"
		case !d.Cancelable:
			s.Status = fmt.Sprintf("%d%% Complete", int(d.Done*100))
		}
		out = append(out, s)
	}
	return writeJSON(w, out)
}

// cancelDelete answers DELETE /loki/api/v1/delete.
func (a *API) cancelDelete(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.deleter(r)
	if err != nil {
		return err
	}
	id := r.FormValue("request_id")
	if id == "" {
		return api.Invalid("request_id not set")
	}
	if err := a.Deleter.CancelDeletion(r.Context(), tenant, id, r.FormValue("force") == "true"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
