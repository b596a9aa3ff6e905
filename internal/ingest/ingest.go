// Package ingest holds what the push protocols have in common: reading a request body
// within limits, the encoding of series keys, counters, and the table that turns a
// store's error into a status. The protocols are its subpackages:
//
//	remotewrite  Prometheus remote write 1.0 and 2.0
//	lokipush     Loki's push API (protobuf, JSON, OTLP logs)
//	otlp         OpenTelemetry data to store batches; the Collector's exporter calls it
//
// with logrules (Loki's rules for log entries) and wire (protobuf) below them. A handler
// decodes into a pooled batch, calls a store's Append once, and answers only then: a 2xx
// means durable. What a store refuses for good is answered with a 4xx that names reasons
// and counts, what it cannot take now with 503 and Retry-After.
//
// To add a protocol, add a subpackage with an Options struct and a New that returns an
// http.Handler; [Body] and [Fail] do the HTTP part.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// TenantFunc finds whose data a request carries. An error that wraps
// [model.ErrTenant] is the client's fault.
type TenantFunc func(*http.Request) (model.Tenant, error)

// HeaderTenant names the tenant on every protocol.
const HeaderTenant = "X-Scope-OrgID"

// DefaultTenant returns the tenant that the X-Scope-OrgID header names, the default
// tenant without one. Handlers use it when they are given no [TenantFunc].
func DefaultTenant(r *http.Request) (model.Tenant, error) {
	if h := r.Header.Get(HeaderTenant); h != "" {
		return model.ParseTenant(h)
	}
	return model.DefaultTenant, nil
}

// Error is a request that is refused before it reaches a store.
type Error struct {
	Status int
	Err    error
}

// Errorf returns an Error with a message.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Err: fmt.Errorf(format, args...)}
}

// Error returns the message alone.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonTenants is the reason to refuse what a tenant sends that is one too many.
const ReasonTenants = "tenant_limit"

// ReasonBlocked is the reason to refuse what a tenant's configuration blocks for a time; there
// are longer ones that begin so.
const ReasonBlocked = "blocked_ingestion"

// statusClientGone is what proxies log when the client left before the answer.
const statusClientGone = 499

// retryAfter is how long a sender should wait, in seconds, after a 429 or 503.
const retryAfter = 5

// Status maps an error of a handler or store to a status.
func Status(err error) int {
	var refused *store.Refused
	var own *Error
	switch {
	case err == nil:
		return http.StatusNoContent
	case errors.As(err, &own):
		return own.Status
	case errors.As(err, &refused):
		if refused.TryLater() {
			return http.StatusTooManyRequests
		}
		return http.StatusBadRequest
	case errors.Is(err, store.ErrLimit):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, model.ErrTenantMissing):
		return http.StatusUnauthorized
	case errors.Is(err, model.ErrTenant):
		return http.StatusBadRequest
	case errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrOverloaded):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.Canceled):
		return statusClientGone
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Fail answers with the status of err, its text and, where waiting helps, Retry-After.
// It returns the status.
func Fail(w http.ResponseWriter, err error) int {
	status := Status(err)
	SetRetryAfter(w, status)
	http.Error(w, err.Error(), status)
	return status
}

// SetRetryAfter sets the Retry-After header where status asks for it.
func SetRetryAfter(w http.ResponseWriter, status int) {
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
}

// RefusedFunc is told what a protocol itself refuses of a request of which the rest is
// decided on; [store.Refused] of stores are not part of it.
type RefusedFunc func(model.Signal, model.Tenant, *store.Refused)

// Finish is [Join] that tells f, which may be nil, what the handler itself refused, unless
// the sender will send it again.
func (f RefusedFunc) Finish(sig model.Signal, tenant model.Tenant, refused *store.Refused, appended int, err error) error {
	var of *store.Refused
	if f != nil && len(refused.Refusals) > 0 && (err == nil || errors.As(err, &of)) {
		f(sig, tenant, refused)
	}
	return Join(refused, appended, err)
}

// Join adds the outcome of an Append to what the handler itself refused: the result
// counts both, and is nil if neither refused anything. Any other error passes through.
func Join(refused *store.Refused, appended int, err error) error {
	if err == nil {
		refused.Kept += appended
		return refused.Err()
	}
	var more *store.Refused
	if !errors.As(err, &more) {
		return err
	}
	refused.Kept += more.Kept
	for _, r := range more.Refusals {
		refused.Add(r.Reason, r.Count, func() string { return r.Sample })
	}
	return refused.Err()
}
