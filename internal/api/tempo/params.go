package tempo

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	prommodel "github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
)

// seconds reads start and end as Unix seconds, both or neither. ok is false when neither
// is given.
func seconds(q url.Values) (start, end int64, ok bool, err error) {
	s, e := q.Get("start"), q.Get("end")
	if s == "" && e == "" {
		return 0, 0, false, nil
	}
	if s == "" || e == "" {
		return 0, 0, false, api.Invalid("error parsing date range: only one of start and end provided: must provide both or neither")
	}
	if start, err = strconv.ParseInt(s, 10, 64); err != nil || start < 0 || start > 1<<32 {
		return 0, 0, false, api.Invalid("invalid start: want Unix seconds, not %q", s)
	}
	if end, err = strconv.ParseInt(e, 10, 64); err != nil || end < 0 || end > 1<<32 {
		return 0, 0, false, api.Invalid("invalid end: want Unix seconds, not %q", e)
	}
	if start >= end {
		return 0, 0, false, api.Invalid("http parameter start must be before end. received start=%d end=%d", start, end)
	}
	return start, end, true, nil
}

// secondsRange makes the range of whole seconds from start to end, both included.
func secondsRange(start, end int64) model.TimeRange {
	return model.TimeRange{From: start * int64(time.Second), To: (end + 1) * int64(time.Second)}
}

// searchRange returns the window of a search.
func (a *API) searchRange(q url.Values) (model.TimeRange, error) {
	start, end, ok, err := seconds(q)
	if err != nil {
		return model.TimeRange{}, err
	}
	if !ok {
		return a.recent(), nil
	}
	if time.Duration(end-start)*time.Second > a.MaxWindow {
		return model.TimeRange{}, api.Invalid("range specified by start and end exceeds %s. received start=%d end=%d", a.MaxWindow, start, end)
	}
	return secondsRange(start, end), nil
}

// recent is the window of requests that name none.
func (a *API) recent() model.TimeRange {
	now := a.Now()
	return model.TimeRange{From: now.Add(-a.DefaultWindow).UnixNano(), To: now.Add(time.Minute).UnixNano()}
}

// parseTime reads a time as the tag and metrics endpoints take it: Unix seconds of at
// most 10 digits, longer ones as nanoseconds, decimal seconds, or RFC 3339.
func parseTime(name, s string) (int64, error) {
	if strings.Contains(s, ".") && !strings.Contains(s, ":") {
		if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < 1<<33 {
			return int64(f*1000) * int64(time.Millisecond), nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		if len(s) <= 10 {
			n *= int64(time.Second)
		}
		return n, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UnixNano(), nil
	}
	return 0, api.Invalid("could not parse '%s' parameter: want Unix seconds, Unix nanoseconds or RFC 3339, not %q", name, s)
}

// tagRange returns the window of a request about tags: start and end, or since.
func (a *API) tagRange(q url.Values) (model.TimeRange, error) {
	s, e := q.Get("start"), q.Get("end")
	r := a.recent()
	switch {
	case s == "" && e == "":
		since := q.Get("since")
		if since == "" {
			return r, nil
		}
		d, err := prommodel.ParseDuration(since)
		if err != nil {
			return r, api.Invalid("could not parse 'since' parameter: %v", err)
		}
		r.From = a.Now().Add(-time.Duration(d)).UnixNano()
	case s == "" || e == "":
		return r, api.Invalid("error parsing date range: only one of start and end provided: must provide both or neither")
	default:
		var err error
		if r.From, err = parseTime("start", s); err != nil {
			return r, err
		}
		if r.To, err = parseTime("end", e); err != nil {
			return r, err
		}
		if r.To < r.From {
			return r, api.Invalid("http parameter start must be before end. received start=%s end=%s", s, e)
		}
		if len(e) <= 10 && !strings.Contains(e, ".") {
			r.To += int64(time.Second) // the second that end names is included
		} else {
			r.To++
		}
	}
	if time.Duration(r.To-r.From) > a.MaxWindow+2*time.Minute {
		return r, api.Invalid("range specified by start and end exceeds %s", a.MaxWindow)
	}
	return r, nil
}

// positive reads a positive number with a default and a maximum.
func positive(q url.Values, name string, def, limit int) (int, error) {
	s := q.Get(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	switch {
	case err != nil:
		return 0, api.Invalid("invalid %s: want a number, not %q", name, s)
	case n == 0:
		return 0, api.Invalid("invalid %s: must be a positive number", name)
	case int(n) > limit:
		return 0, api.Invalid("%s %d exceeds max %s %d", name, n, name, limit)
	}
	return int(n), nil
}
