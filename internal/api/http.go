// Package api is the plumbing that the HTTP APIs share: handlers that return errors, the
// only table from errors to statuses, tenants, time parameters, compression. The APIs
// themselves are the packages below it, one for each dialect: prom, loki, tempo, jaeger,
// grafana, native.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"

	"github.com/pharos-o11y/pharos/internal/dashboard"
	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/meta"
	"github.com/pharos-o11y/pharos/internal/metricsql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// ErrInvalid is wrapped by errors about a request's parameters: the client must change
// the request. Make one with [Invalid].
var ErrInvalid = errors.New("invalid request")

// ErrForbidden is wrapped by errors about what the configuration does not permit.
var ErrForbidden = errors.New("forbidden")

// ErrMethod is wrapped by errors about a method that a path does not take.
var ErrMethod = errors.New("method not allowed")

// invalid is an error with its own text that is [ErrInvalid].
type invalid struct{ error }

func (invalid) Is(target error) bool { return target == ErrInvalid }
func (e invalid) Unwrap() error      { return e.error }

// Invalid returns an error that becomes a 400 with this text.
func Invalid(format string, args ...any) error { return invalid{fmt.Errorf(format, args...)} }

// statusClientClosed is what proxies log when the client left before the answer.
const statusClientClosed = 499

// statuses is the only place where an error becomes a status, but for what a writer
// refuses: that is as in the push protocols. First match wins.
//
//nolint:gochecknoglobals // read-only table
var statuses = []struct {
	err  error
	code int
}{
	{ErrInvalid, http.StatusBadRequest},
	{ErrForbidden, http.StatusForbidden},
	{ErrMethod, http.StatusMethodNotAllowed},
	{logql.ErrParse, http.StatusBadRequest},
	{logql.ErrQuery, http.StatusBadRequest},
	{promql.ErrParse, http.StatusBadRequest},
	{metricsql.ErrParse, http.StatusBadRequest},
	{traceql.ErrParse, http.StatusBadRequest},
	{promql.ErrEval, http.StatusUnprocessableEntity},
	{metricsql.ErrEval, http.StatusUnprocessableEntity},
	{model.ErrTenantMissing, http.StatusUnauthorized}, // before ErrTenant, which it wraps
	{model.ErrTenant, http.StatusBadRequest},
	{model.ErrID, http.StatusBadRequest},
	{store.ErrNotFound, http.StatusNotFound},
	{store.ErrTooBroad, http.StatusUnprocessableEntity},
	{store.ErrLimit, http.StatusBadRequest},
	{store.ErrUnsupported, http.StatusNotImplemented},
	{store.ErrOverloaded, http.StatusServiceUnavailable},
	{store.ErrReadOnly, http.StatusServiceUnavailable},
	{dashboard.ErrInvalid, http.StatusBadRequest},
	{dashboard.ErrLink, http.StatusBadRequest},
	{dashboard.ErrProvisioned, http.StatusBadRequest},
	{dashboard.ErrTitleTaken, http.StatusPreconditionFailed},
	{meta.ErrVersion, http.StatusPreconditionFailed},
	{meta.ErrNotEmpty, http.StatusBadRequest},
	{meta.ErrNotFound, http.StatusNotFound},
	{query.ErrCanceled, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, http.StatusGatewayTimeout},
	{context.Canceled, statusClientClosed},
}

// Status returns the HTTP status of err.
func Status(err error) int {
	var refused *store.Refused
	if errors.As(err, &refused) && !errors.Is(err, ErrInvalid) {
		return ingest.Status(refused)
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.code
		}
	}
	return http.StatusInternalServerError
}

// Handler answers a request or returns an error. After it has written a byte an error
// breaks the connection, so that a client never takes half an answer for a whole one.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Dialect is how one API answers.
type Dialect struct {
	// WriteError writes err in the API's own envelope.
	WriteError func(w http.ResponseWriter, code int, err error)
	Logger     *slog.Logger // for errors that are our fault
}

// Handle turns h into an http.Handler that answers errors in the dialect. Errors that
// the client cannot do anything about are logged; the client gets their text as well,
// since in an observability backend the user is the operator.
func (d Dialect) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := &sentWriter{ResponseWriter: w}
		err := h(sent, r)
		if err == nil {
			return
		}
		code := Status(err)
		if code == http.StatusInternalServerError && d.Logger != nil {
			d.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		}
		if sent.any {
			panic(http.ErrAbortHandler)
		}
		ingest.SetRetryAfter(w, code)
		d.WriteError(w, code, err)
	})
}

type sentWriter struct {
	http.ResponseWriter
	any bool
}

func (s *sentWriter) WriteHeader(code int) { s.any = true; s.ResponseWriter.WriteHeader(code) }

func (s *sentWriter) Write(p []byte) (int, error) { s.any = true; return s.ResponseWriter.Write(p) }

// Unwrap lets http.ResponseController reach Flush and Hijack.
func (s *sentWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// TenantHeader names the tenant on every protocol.
const TenantHeader = "X-Scope-OrgID"

// Tenancy finds the tenant of a request.
type Tenancy struct {
	Enabled bool // off: every request without the header is the default tenant's
}

// Of returns the tenant that r names. Errors wrap [model.ErrTenantMissing] or
// [model.ErrTenant].
func (t Tenancy) Of(r *http.Request) (model.Tenant, error) {
	return t.Parse(r.Header.Get(TenantHeader))
}

// Parse is Of for a header value that came another way; "" is none.
func (t Tenancy) Parse(id string) (model.Tenant, error) {
	switch {
	case strings.Contains(id, "|"):
		return "", fmt.Errorf("%w: multiple org IDs present in %s; name one tenant", model.ErrTenant, TenantHeader)
	case id != "":
		return model.ParseTenant(id)
	case t.Enabled:
		return "", fmt.Errorf("%w: send the tenant in the header %s", model.ErrTenantMissing, TenantHeader)
	default:
		return model.DefaultTenant, nil
	}
}

// ReadTenants returns the tenants of a query: like Of, but the header may name several,
// separated by "|". They come sorted, each once.
func (t Tenancy) ReadTenants(r *http.Request) ([]model.Tenant, error) {
	id := r.Header.Get(TenantHeader)
	if !strings.Contains(id, "|") {
		one, err := t.Of(r)
		return []model.Tenant{one}, err
	}
	var ts []model.Tenant
	for s := range strings.SplitSeq(id, "|") {
		one, err := model.ParseTenant(s)
		if err != nil {
			return nil, err
		}
		ts = append(ts, one)
	}
	slices.Sort(ts)
	return slices.Compact(ts), nil
}

// Compress gzips answers of h for clients that accept it, at the fastest level: rows of
// numbers become 3% smaller at the usual one, for twice the time.
func Compress(h http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil {
		model.Bug("gzip wrapper: %v", err)
	}
	return wrap(h)
}
