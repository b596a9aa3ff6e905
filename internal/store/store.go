// Package store is the contract between what writes telemetry and what reads it: the
// narrow waist of Pharos. Ingest and the Collector write through the three writers, the
// query languages read through the readers, and neither side knows which implementation
// is behind them.
//
// Rules that hold for all of it:
//
//   - A tenant is an argument, never a value in a context.
//   - Metric samples are in Unix milliseconds, logs and traces in Unix nanoseconds, UTC.
//     Ranges are half-open, [From, To).
//   - A writer returns nil, or a [*Refused], only when everything it kept survives
//     kill -9 and power loss.
//   - Methods are safe for concurrent use. Strings and slices given to a writer belong to
//     the caller again when Append returns; strings and slices that a reader hands out are
//     valid as long as its documentation says.
//   - An answer that is incomplete says so through [Account.Warn].
//
// Every implementation passes the suite in package storetest.
package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors that every store may return, wrapped. Test for them with [errors.Is].
var (
	// ErrCorrupt means stored bytes fail their checksum or break their format.
	ErrCorrupt = errors.New("corrupt data")
	// ErrTooBroad means a query would read or hold more than its limits allow.
	ErrTooBroad = errors.New("query too broad")
	// ErrUnsupported means the selector needs a capability that Caps denies.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrLimit means a limit of the tenant or of the request refuses the write.
	ErrLimit = errors.New("limit exceeded")
	// ErrOverloaded means the store cannot take more work now; retry later.
	ErrOverloaded = errors.New("overloaded")
	// ErrReadOnly means the store takes no writes now (a full disk); reads go on.
	ErrReadOnly = errors.New("store is read-only")
	// ErrNotFound means that what was asked for by id does not exist.
	ErrNotFound = errors.New("not found")
)

// Reasons why a writer refuses an item. They are the label values of the discarded
// counters; the names are Loki's, Mimir's and Tempo's where those have one.
const (
	ReasonTooOld        = "greater_than_max_sample_age"
	ReasonTooNew        = "too_far_in_future"
	ReasonLabelCount    = "max_label_names_per_series"
	ReasonLabelName     = "label_name_too_long"
	ReasonLabelValue    = "label_value_too_long"
	ReasonInvalidLabels = "invalid_labels"
	ReasonSeriesLimit   = "series_limit"
	ReasonStreamLimit   = "stream_limit"
	ReasonLineTooLong   = "line_too_long"
	ReasonMetaTooLarge  = "structured_metadata_too_large"
	ReasonMetaTooMany   = "structured_metadata_too_many"
	ReasonTraceTooLarge = "trace_too_large"
	ReasonInvalidID     = "invalid_id"
	ReasonRateLimited   = "rate_limited"
)

// Refusal counts items refused for one reason.
type Refusal struct {
	Reason string // one of the Reason constants
	Count  int    // items refused
	Sample string // message about one of them: names the series, stream or span and the limit
}

// Refused is the error of an Append that kept some items and refused others for good:
// sending them again does not help, unless TryLater says so. Everything not counted in it
// is durable.
type Refused struct {
	Kept     int // items stored
	Refusals []Refusal
}

// Add counts n items refused for reason. The message of the first call with a reason is
// kept as its sample; message is only called then.
func (r *Refused) Add(reason string, n int, message func() string) {
	i := slices.IndexFunc(r.Refusals, func(x Refusal) bool { return x.Reason == reason })
	if i < 0 {
		r.Refusals = append(r.Refusals, Refusal{Reason: reason, Sample: message()})
		i = len(r.Refusals) - 1
	}
	r.Refusals[i].Count += n
}

// Count returns the number of refused items.
func (r *Refused) Count() int {
	n := 0
	for _, x := range r.Refusals {
		n += x.Count
	}
	return n
}

// Err returns r if anything was refused, else nil.
func (r *Refused) Err() error {
	if len(r.Refusals) == 0 {
		return nil
	}
	return r
}

// Error names every reason with its count and one example.
func (r *Refused) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d items refused (the other %d are stored)", r.Count(), r.Count()+r.Kept, r.Kept)
	for i, x := range r.Refusals {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%d %s, for example: %s", sep, x.Count, x.Reason, x.Sample)
	}
	return b.String()
}

// TryLater reports whether the same items may be taken later: something was refused by a
// limit on what comes in a time, or on how many senders or streams there are now.
func (r *Refused) TryLater() bool {
	return slices.ContainsFunc(r.Refusals, func(x Refusal) bool {
		switch x.Reason {
		case ReasonRateLimited, ReasonStreamLimit, "per_stream_rate_limit", "tenant_limit": // the last two are of the log store and of ingest
			return true
		}
		return false
	})
}

// Is makes a Refused match [ErrLimit].
func (r *Refused) Is(target error) bool { return target == ErrLimit }
