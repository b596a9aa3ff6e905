// Package native serves Pharos' own API under /api/pharos/v1: what no compatible API has
// a place for. The UI's home page lives on it.
package native

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/ingest/meter"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Fault is the switch of the demo's fault.
type Fault interface {
	Fault() bool
	SetFault(on bool)
}

// Options configures an API. Door, Meter, Traces and Tenancy are required.
type Options struct {
	Traces   store.TraceReader
	Logs     store.LogReader // nil: explanations come without logs
	Door     *query.Door
	Meter    *meter.Meter
	Tenancy  api.Tenancy
	Version  string
	Disk     map[model.Signal]func() int64 // bytes on disk of each signal
	Warnings func() []string               // standing problems: lost bytes, a full disk; nil means none
	Fault    Fault                         // nil outside of the demo
	// Retention is how long data of a tenant is kept, 0 for ever; nil means unknown.
	Retention func(model.Tenant, model.Signal) time.Duration
	// Space is the bytes of the disk with the data: free and in all; nil means unknown.
	Space  func() (free, total int64)
	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil means time.Now
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

// Register adds the handlers to mux.
func (a *API) Register(mux *http.ServeMux) {
	d := api.Dialect{WriteError: writeError, Logger: a.Logger}
	mux.Handle("GET /api/pharos/v1/status", d.Handle(a.status))
	mux.Handle("GET /api/pharos/v1/queries", d.Handle(a.queries))
	mux.Handle("DELETE /api/pharos/v1/queries/{id}", d.Handle(a.cancel))
	mux.Handle("GET /api/pharos/v1/traces/explain", d.Handle(a.explain))
	mux.Handle("POST /api/pharos/v1/traces/explain", d.Handle(a.explain))
	mux.Handle("GET /api/pharos/v1/rejects", d.Handle(a.rejects))
	mux.Handle("GET /api/pharos/v1/storage", d.Handle(a.storage))
	if a.Logs != nil {
		mux.Handle("GET /api/pharos/v1/logs/context", d.Handle(a.logContext))
	}
	if a.Fault != nil {
		mux.Handle("GET /api/pharos/v1/demo/fault", d.Handle(a.fault))
		mux.Handle("POST /api/pharos/v1/demo/fault", d.Handle(a.setFault))
	}
}

func writeError(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the client is gone if it fails
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

type signalStatus struct {
	Received     int64   `json:"received_total"`
	Refused      int64   `json:"refused_total"`
	Rate         float64 `json:"rate_per_second"`
	LastReceived int64   `json:"last_received_unix_ms"`
	Disk         int64   `json:"bytes_on_disk"`
}

func (a *API) status(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	signals := map[string]signalStatus{}
	for _, sig := range []model.Signal{model.Metrics, model.Logs, model.Traces} {
		c := a.Meter.Count(sig)
		s := signalStatus{Received: c.Received, Refused: c.Refused, Rate: c.Rate}
		if !c.Last.IsZero() {
			s.LastReceived = c.Last.UnixMilli()
		}
		if disk := a.Disk[sig]; disk != nil {
			s.Disk = disk()
		}
		signals[sig.String()] = s
	}
	warnings := []string{}
	if a.Warnings != nil {
		warnings = append(warnings, a.Warnings()...)
	}
	return writeJSON(w, map[string]any{
		"version": a.Version, "uptime_seconds": int64(a.Now().Sub(a.start).Seconds()), "tenant": tenant,
		"demo": a.Fault != nil, "signals": signals, "warnings": warnings,
	})
}

type queryStatus struct {
	ID       uint64  `json:"id,string"`
	Language string  `json:"language"`
	Query    string  `json:"query"`
	Start    int64   `json:"start_unix_ms"`
	Seconds  float64 `json:"seconds"`
	Bytes    int64   `json:"bytes_read"`
	Rows     int64   `json:"rows_scanned"`
	Memory   int64   `json:"peak_memory"`
	Error    string  `json:"error,omitempty"`
}

func toStatus(q query.Running, took time.Duration, err error) queryStatus {
	s := queryStatus{
		ID: q.ID, Language: q.Language, Query: q.Text, Start: q.Start.UnixMilli(), Seconds: took.Seconds(),
		Bytes: q.Usage.BytesRead, Rows: q.Usage.RowsScanned, Memory: q.Usage.PeakMemory,
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// queries lists the tenant's running, slow and costliest queries.
func (a *API) queries(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	running, slow := []queryStatus{}, []queryStatus{}
	for _, q := range a.Door.Running() {
		if q.Tenant == tenant {
			running = append(running, toStatus(q, a.Now().Sub(q.Start), nil))
		}
	}
	for _, q := range a.Door.Slow() {
		if q.Tenant == tenant {
			slow = append(slow, toStatus(q.Running, q.Took, q.Err))
		}
	}
	slices.Reverse(slow) // the latest first
	return writeJSON(w, map[string]any{"running": running, "slow": slow, "costly": a.costly(tenant)})
}

func (a *API) cancel(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		return api.Invalid("query id %q is not a number", r.PathValue("id"))
	}
	if !a.Door.Cancel(tenant, id) {
		return store.ErrNotFound
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) fault(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]bool{"active": a.Fault.Fault()})
}

func (a *API) setFault(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Active *bool `json:"active"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&body); err != nil || body.Active == nil {
		return api.Invalid(`want a body such as {"active": true}`)
	}
	a.Fault.SetFault(*body.Active)
	return a.fault(w, r)
}
