package jaeger

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
)

func writeV3Error(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	msg := err.Error()
	if code == http.StatusNotFound {
		msg = "No traces found"
	}
	body := map[string]any{"error": map[string]any{"httpCode": code, "message": msg}}
	_ = json.NewEncoder(w).Encode(body) // the client is gone if it fails
}

func (a *API) servicesV3(w http.ResponseWriter, r *http.Request) error {
	names, err := a.serviceNames(r)
	if err != nil {
		return err
	}
	return writeJSON(w, r, map[string]any{"services": names})
}

func (a *API) operationsV3(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	service := v3Param(q, "service")
	if service == "" {
		return errService
	}
	ops, err := a.operationsOf(r, service, v3Param(q, "spanKind"))
	if err != nil {
		return err
	}
	return writeJSON(w, r, map[string]any{"operations": ops})
}

func (a *API) traceV3(w http.ResponseWriter, r *http.Request) error {
	td, err := a.oneTrace(r, model.TimeRange{})
	if err != nil {
		return err
	}
	return writeResult(w, r, td)
}

func (a *API) searchV3(w http.ResponseWriter, r *http.Request) error {
	s, err := searchOfV3(r.URL.Query())
	if err != nil {
		return err
	}
	found, _, err := a.find(r, s)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errNoTrace
	}
	all := ptrace.NewTraces()
	for _, td := range found {
		td.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
	}
	return writeResult(w, r, all)
}

// writeResult sends spans as OTLP's JSON.
func writeResult(w http.ResponseWriter, r *http.Request, td ptrace.Traces) error {
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		return err
	}
	text = bytes.ToValidUTF8(text, []byte("\ufffd")) // senders may send what is not
	return writeJSON(w, r, map[string]json.RawMessage{"result": text})
}

// v3Param reads a parameter by its name in camel case, or its older one in snake case.
func v3Param(q url.Values, name string) string {
	if v := q.Get(name); v != "" {
		return v
	}
	var snake strings.Builder
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			snake.WriteByte('_')
			c += 'a' - 'A'
		}
		snake.WriteRune(c)
	}
	return q.Get(snake.String())
}

// searchOfV3 reads the parameters of the newer API.
func searchOfV3(q url.Values) (*search, error) {
	t := terms{service: v3Param(q, "query.serviceName"), operation: v3Param(q, "query.operationName")}
	s := &search{limit: defaultLimit}
	for name, dst := range map[string]*int64{"query.startTimeMin": &s.when.From, "query.startTimeMax": &s.when.To} {
		text := v3Param(q, name)
		if text == "" {
			return nil, api.Invalid("%s is required: want a time in RFC 3339", name)
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, api.Invalid("%s: want a time in RFC 3339, not %q", name, text)
		}
		*dst = at.UnixNano()
	}
	if s.when.Empty() {
		return nil, api.Invalid("query.startTimeMin must be before query.startTimeMax")
	}
	for name, dst := range map[string]*time.Duration{"query.durationMin": &t.min, "query.durationMax": &t.max} {
		if err := duration(url.Values{name: {v3Param(q, name)}}, name, dst); err != nil {
			return nil, err
		}
	}
	if text := v3Param(q, "query.attributes"); text != "" {
		if err := json.Unmarshal([]byte(text), &t.tags); err != nil {
			return nil, api.Invalid("query.attributes: want a JSON object of strings: %w", err)
		}
	}
	n, ok, err := integer(url.Values{"query.searchDepth": {v3Param(q, "query.searchDepth")}}, "query.searchDepth")
	if err != nil {
		return nil, err
	}
	if ok && n > 0 {
		s.limit = int(min(n, maxLimit))
	}
	return s, s.take(&t)
}
