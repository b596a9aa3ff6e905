package jaeger

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

const (
	defaultLimit = 100
	maxLimit     = 1500 // whole traces are held in memory
)

// search is the parameters of a search, as TraceQL.
type search struct {
	expr  *traceql.Expr
	when  model.TimeRange
	limit int
	state string // trace state of the span that matches expr, which TraceQL does not know; "" for any
}

// terms is what one span of a trace must be like.
type terms struct {
	service, operation string
	min, max           time.Duration
	tags               map[string]string
}

// searchOf reads the parameters of the older API.
func (a *API) searchOf(q url.Values) (*search, error) {
	t := terms{service: q.Get("service"), operation: q.Get("operation"), tags: map[string]string{}}
	if t.service == "" {
		return nil, errService
	}
	for name, dst := range map[string]*time.Duration{"minDuration": &t.min, "maxDuration": &t.max} {
		if err := duration(q, name, dst); err != nil {
			return nil, err
		}
	}
	for _, kv := range q["tag"] {
		k, v, ok := strings.Cut(kv, ":")
		if !ok {
			v = "true"
		}
		t.tags[k] = v
	}
	for _, text := range q["tags"] {
		var tags map[string]string
		if err := json.Unmarshal([]byte(text), &tags); err != nil {
			return nil, api.Invalid(`malformed 'tags' parameter: want a JSON object of strings such as {"error":"true"}: %w`, err)
		}
		for k, v := range tags {
			t.tags[k] = v
		}
	}
	s := &search{limit: defaultLimit}
	n, ok, err := integer(q, "limit")
	if err != nil {
		return nil, err
	}
	if ok {
		if n < 1 || n > maxLimit {
			return nil, api.Invalid("parameter 'limit' is %d; want 1 to %d", n, maxLimit)
		}
		s.limit = int(n)
	}
	if s.when, err = a.window(q); err != nil {
		return nil, err
	}
	return s, s.take(&t)
}

// take makes the query of t.
func (s *search) take(t *terms) error {
	s.state = t.tags[tagTraceState]
	delete(t.tags, tagTraceState)
	var err error
	s.expr, err = t.parse()
	return err
}

// parse makes the query: one span holds all of it.
func (t *terms) parse() (*traceql.Expr, error) {
	if t.max > 0 && t.max < t.min {
		return nil, api.Invalid("'maxDuration' should be greater than 'minDuration'")
	}
	var conds []string
	if t.service != "" {
		conds = append(conds, "resource.service.name = "+quote(t.service))
	}
	if t.operation != "" {
		conds = append(conds, "name = "+quote(t.operation))
	}
	if t.min > 0 {
		conds = append(conds, "duration >= "+strconv.FormatInt(int64(t.min), 10)+"ns")
	}
	if t.max > 0 {
		conds = append(conds, "duration <= "+strconv.FormatInt(int64(t.max), 10)+"ns")
	}
	keys := make([]string, 0, len(t.tags))
	for k := range t.tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		conds = append(conds, tagCondition(k, t.tags[k]))
	}
	e, err := traceql.Parse("{ " + strings.Join(conds, " && ") + " }")
	if err != nil {
		return nil, api.Invalid("search: %w", err)
	}
	return e, nil
}

// tagCondition is a tag as a condition: what Jaeger shows as a tag is a field of OTLP, or
// an attribute of the span, its resource or its events, whatever its type.
func tagCondition(key, val string) string {
	switch key {
	case "error":
		if val == "false" {
			return "status != error"
		}
		return "status = error"
	case "span.kind":
		if slices.Contains([]string{"internal", "server", "client", "producer", "consumer"}, val) {
			return "kind = " + val
		}
	case "otel.status_code":
		if s := strings.ToLower(val); s == "ok" || s == "error" || s == "unset" {
			return "status = " + s
		}
	case "otel.status_description":
		return "statusMessage = " + quote(val)
	case "otel.scope.name", "otel.library.name":
		return "instrumentation:name = " + quote(val)
	case "otel.scope.version", "otel.library.version":
		return "instrumentation:version = " + quote(val)
	}
	literals := []string{quote(val)}
	if _, err := strconv.ParseInt(val, 10, 64); err == nil && (val == "0" || val[0] != '0' && val[0] != '+') {
		literals = append(literals, val)
	} else if f, err := strconv.ParseFloat(val, 64); err == nil && strings.Trim(val, "-0123456789.e") == "" && f == f {
		literals = append(literals, strconv.FormatFloat(f, 'f', -1, 64))
	}
	if val == "true" || val == "false" {
		literals = append(literals, val)
	}
	attr := traceql.UnscopedTag(key).String()
	var either []string
	for _, scope := range [...]string{"span", "resource", "event"} {
		for _, l := range literals {
			either = append(either, scope+attr+" = "+l)
		}
	}
	if key == "event" || key == "message" {
		either = append(either, "event:name = "+quote(val))
	}
	return "(" + strings.Join(either, " || ") + ")"
}

// quote writes a TraceQL string.
func quote(s string) string { return strconv.Quote(s) }

func integer(q url.Values, name string) (n int64, ok bool, err error) {
	s := q.Get(name)
	if s == "" {
		return 0, false, nil
	}
	if n, err = strconv.ParseInt(s, 10, 64); err != nil || n < 0 || n > 1<<53 {
		return 0, false, api.Invalid("cannot parse parameter '%s': want a number, not %q", name, s)
	}
	return n, true, nil
}

func duration(q url.Values, name string, dst *time.Duration) error {
	s := q.Get(name)
	if s == "" {
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return api.Invalid("cannot parse parameter '%s': want a duration such as 1.2s, 100ms or 500us, not %q", name, s)
	}
	*dst = d
	return nil
}
