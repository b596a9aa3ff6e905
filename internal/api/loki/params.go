package loki

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	promModel "github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// maxTime bounds times on both sides of 1970, a little below what an int64 holds.
const maxTime = 9_200_000_000_000_000_000

// parseTime reads a time as Loki takes it, in Unix nanoseconds: seconds with decimals,
// seconds of up to 10 digits, nanoseconds, or RFC 3339.
func parseTime(s string) (int64, error) {
	if strings.Contains(s, ".") {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			ms := f * 1000
			if math.IsNaN(ms) || math.Abs(ms) > 9.2e12 {
				return 0, api.Invalid("time %q is out of range", s)
			}
			if ms < 0 {
				return int64(ms-0.5) * int64(time.Millisecond), nil
			}
			return int64(ms+0.5) * int64(time.Millisecond), nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		unit := int64(1)
		if len(s) <= 10 {
			unit = int64(time.Second)
		}
		if n > maxTime/unit || n < -maxTime/unit {
			return 0, api.Invalid("time %q is out of range", s)
		}
		return n * unit, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, api.Invalid("%q is neither Unix seconds, Unix nanoseconds nor RFC 3339", s)
	}
	if y := t.Year(); y < 1678 || y > 2261 {
		return 0, api.Invalid("time %q is out of range", s)
	}
	return t.UnixNano(), nil
}

func timeParam(r *http.Request, name string, def int64) (int64, error) {
	s := r.FormValue(name)
	if s == "" {
		return def, nil
	}
	t, err := parseTime(s)
	if err != nil {
		return 0, api.Invalid("could not parse '%s' parameter: %w", name, err)
	}
	return t, nil
}

// timeRange reads start, end and since. A missing start is since before end, or before
// now if that is earlier.
func (a *API) timeRange(r *http.Request) (model.TimeRange, error) {
	since := time.Hour
	var rng model.TimeRange
	now := a.Now().UnixNano()
	end, err := timeParam(r, "end", now)
	if err != nil {
		return rng, err
	}
	if s := r.FormValue("since"); s != "" {
		d, err := promModel.ParseDuration(s)
		if err != nil {
			return rng, api.Invalid("could not parse 'since' parameter: %w", err)
		}
		since = time.Duration(d)
	}
	start, err := timeParam(r, "start", min(end, now)-int64(since))
	if err != nil {
		return rng, err
	}
	rng = model.TimeRange{From: start, To: end}
	switch {
	case end < start:
		return rng, api.Invalid("end timestamp must not be before or equal to start time")
	case end-start < 0:
		return rng, api.Invalid("the time range from %d to %d is too long", start, end)
	}
	return rng, nil
}

// durationParam reads seconds with decimals or a Prometheus duration; 0 if it is missing.
func durationParam(r *http.Request, name string) (time.Duration, error) {
	s := r.FormValue(name)
	if s == "" {
		return 0, nil
	}
	d, err := api.ParseDuration(s)
	if err != nil || d < 0 || strings.HasPrefix(s, "-") {
		return 0, api.Invalid("cannot parse %q to a valid duration (parameter '%s')", s, name)
	}
	return d, nil
}

// step reads step, which defaults to a 250th of rng, at least a second, and checks it.
func (l *Limits) step(r *http.Request, rng model.TimeRange) (time.Duration, error) {
	step, err := durationParam(r, "step")
	if err != nil {
		return 0, err
	}
	if r.FormValue("step") == "" {
		step = max(1, time.Duration(rng.To-rng.From)/250/time.Second) * time.Second
	}
	if step <= 0 {
		return 0, api.Invalid("zero or negative query resolution step widths are not accepted. Try a positive integer")
	}
	if (rng.To-rng.From)/int64(step) > int64(l.MaxPoints) {
		return 0, api.Invalid("exceeded maximum resolution of %d points per time series. Try increasing the value of the step parameter", l.MaxPoints)
	}
	return step, nil
}

// intParam reads a whole number that must not be negative.
func intParam(r *http.Request, name string, def int) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, api.Invalid("invalid parameter '%s': %q is not a whole number of 0 or more", name, s)
	}
	return n, nil
}

func limitParam(r *http.Request) (int, error) {
	s := r.FormValue("limit")
	if s == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, api.Invalid("could not parse 'limit' parameter: %q is not a whole number", s)
	}
	if n <= 0 {
		return 0, api.Invalid("limit must be a positive value")
	}
	return n, nil
}

func directionParam(r *http.Request) (store.Direction, error) {
	switch s := r.FormValue("direction"); strings.ToLower(s) {
	case "", "backward":
		return store.Backward, nil
	case "forward":
		return store.Forward, nil
	default:
		return 0, api.Invalid("invalid direction '%s': want forward or backward", s)
	}
}

// encodingHeader lists the optional parts of an answer that the client understands.
const encodingHeader = "X-Loki-Response-Encoding-Flags"

// categorizeFlag asks for labels by category.
const categorizeFlag = "categorize-labels"

// encodingFlags returns the flags that r asks for.
func encodingFlags(r *http.Request) (flags []string, categorize bool) {
	s := r.Header.Get(encodingHeader)
	if s == "" {
		return nil, false
	}
	flags = strings.Split(s, ",")
	for _, f := range flags {
		categorize = categorize || f == categorizeFlag
	}
	return flags, categorize
}
