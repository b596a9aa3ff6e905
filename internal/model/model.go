// Package model holds the words every Pharos package shares: tenants, time ranges,
// labels, matchers, trace and span ids. It imports only the standard library and does
// no I/O.
package model

import (
	"errors"
	"fmt"
	"strings"
)

// Signal is one of the three kinds of telemetry. The numbers are written to disk and
// never change.
type Signal uint8

// The three signals.
const (
	Metrics Signal = 1
	Logs    Signal = 2
	Traces  Signal = 3
)

// String returns the lower-case plural noun used in paths, metrics and messages.
func (s Signal) String() string {
	switch s {
	case Metrics:
		return "metrics"
	case Logs:
		return "logs"
	case Traces:
		return "traces"
	}
	return fmt.Sprintf("signal(%d)", uint8(s))
}

// Tenant names the owner of data. The zero Tenant is invalid.
type Tenant string

// DefaultTenant owns the data of requests that name no tenant while tenancy is off.
const DefaultTenant Tenant = "default"

// maxTenantLen is the limit of Loki and Mimir on tenant ids.
const maxTenantLen = 150

// ErrMalformed is wrapped by errors about bytes that are not the message they should be.
// Their text says which, and at which byte.
var ErrMalformed = errors.New("malformed")

// ErrTenant is wrapped by every error of [ParseTenant].
var ErrTenant = errors.New("invalid tenant")

// ErrTenantMissing means that tenants are told apart and a request names none. It wraps
// [ErrTenant].
var ErrTenantMissing error = tenantMissing{}

type tenantMissing struct{}

// Error implements error, with Loki's text.
func (tenantMissing) Error() string { return "no org id" }

// Unwrap returns what a missing tenant is a case of.
func (tenantMissing) Unwrap() error { return ErrTenant }

// ParseTenant checks a tenant id as sent in X-Scope-OrgID. The rules are those of Loki
// and Mimir, which make every tenant id safe as a directory name: 1 to 150 bytes of
// letters, digits and !-_.*'() that are neither "." nor "..". What follows a colon is not
// part of the id.
func ParseTenant(s string) (Tenant, error) {
	s, _, _ = strings.Cut(s, ":")
	switch {
	case s == "":
		return "", fmt.Errorf("%w: empty", ErrTenant)
	case len(s) > maxTenantLen:
		return "", fmt.Errorf("%w: %d bytes long, at most %d", ErrTenant, len(s), maxTenantLen)
	case s == "." || s == "..":
		return "", fmt.Errorf("%w: %q is reserved", ErrTenant, s)
	}
	for i := range len(s) {
		if !tenantByte(s[i]) {
			return "", fmt.Errorf("%w: %q holds %q; allowed are letters, digits and !-_.*'()", ErrTenant, s, s[i])
		}
	}
	return Tenant(s), nil
}

func tenantByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '!', '-', '_', '.', '*', '\'', '(', ')':
		return true
	}
	return false
}

// TimeRange is a half-open span of time, [From, To), UTC. The unit is the signal's: Unix
// nanoseconds for logs and traces, Unix milliseconds for metric samples.
type TimeRange struct{ From, To int64 }

// Contains reports whether t lies in r.
func (r TimeRange) Contains(t int64) bool { return r.From <= t && t < r.To }

// Overlaps reports whether r shares an instant with the closed interval [first, last].
func (r TimeRange) Overlaps(first, last int64) bool { return first < r.To && last >= r.From }

// Empty reports whether r holds no instant.
func (r TimeRange) Empty() bool { return r.From >= r.To }

// Bug reports a broken invariant of Pharos itself. It panics: only a programming error
// may reach it, never input or I/O.
func Bug(format string, args ...any) {
	panic("bug: " + fmt.Sprintf(format, args...))
}
