package native

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// "Why slow": GET /api/pharos/v1/traces/explain compares selected spans with others. The
// request and the response are described in docs/traces.md.

// explainWindow is looked at if the request names no time.
const explainWindow = time.Hour

// logTraces is how many traces of each side have their logs read.
const logTraces = 20

// explainRequest is the parameters of a request, bound.
type explainRequest struct {
	params   traceql.ExplainParams
	texts    [3]string // population, selection, baseline as queries
	examples int
	logs     bool
}

func (a *API) explain(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return api.Invalid("cannot read the form: %w", err)
	}
	req, err := a.explainRequest(r.Form)
	if err != nil {
		return err
	}
	var found traceql.Explanation
	var logs *explainedLogs
	text := fmt.Sprintf("explain %s of %s", req.texts[1], req.texts[0])
	st, err := a.Door.Do(r.Context(), query.Request{Tenant: tenant, Language: "traceql", Text: text}, func(ctx context.Context, acct *store.Account) error {
		req.params.Account = acct
		var err error
		if found, err = traceql.Explain(ctx, a.Traces, tenant, req.params); err != nil || !req.logs || a.Logs == nil {
			return err
		}
		logs, err = a.explainLogs(ctx, tenant, &found, acct)
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, req.response(&found, logs, st))
}

// explainRequest reads the parameters.
func (a *API) explainRequest(q url.Values) (*explainRequest, error) {
	req := &explainRequest{examples: 5, logs: q.Get("logs") != "false"}
	p := &req.params
	var err error
	now := a.Now()
	if p.Range, err = timeRange(q, "start", "end", model.TimeRange{From: now.Add(-explainWindow).UnixNano(), To: now.UnixNano()}); err != nil {
		return nil, err
	}
	req.texts[0] = population(q)
	if p.Population, err = traceql.Parse(req.texts[0]); err != nil {
		return nil, err
	}
	if err := req.selection(q); err != nil {
		return nil, err
	}
	if text := q.Get("baseline"); text != "" {
		req.texts[2] = text
		if p.Baseline.Filter, err = traceql.Parse(text); err != nil {
			return nil, fmt.Errorf("baseline: %w", err)
		}
	}
	if p.Baseline.Range, err = timeRange(q, "baseline_from", "baseline_to", model.TimeRange{}); err != nil {
		return nil, err
	}
	for name, dst := range map[string]*int{"limit": &p.Factors, "examples": &req.examples} {
		if s := q.Get(name); s != "" {
			if *dst, err = strconv.Atoi(s); err != nil || *dst < 1 || *dst > 200 {
				return nil, api.Invalid("%s: want a number from 1 to 200, not %q", name, s)
			}
		}
	}
	p.Examples = max(req.examples, logTraces)
	return req, nil
}

// population is the query for the spans that are compared: q, or service and operation.
// Of a service alone it is the requests that it serves.
func population(q url.Values) string {
	var conds []string
	if s := q.Get("service"); s != "" {
		conds = append(conds, "resource.service.name = "+strconv.Quote(s))
	}
	if s := q.Get("operation"); s != "" {
		conds = append(conds, "name = "+strconv.Quote(s))
	} else if len(conds) > 0 && q.Get("q") == "" {
		conds = append(conds, "(kind = server || kind = consumer)")
	}
	text := q.Get("q")
	switch {
	case text == "" && len(conds) == 0:
		return "{ }"
	case text == "":
		return "{ " + strings.Join(conds, " && ") + " }"
	case len(conds) == 0:
		return text
	}
	return text + " | { " + strings.Join(conds, " && ") + " }"
}

// selection reads select and the box of times and durations.
func (req *explainRequest) selection(q url.Values) error {
	s := &req.params.Selected
	var err error
	if s.Range, err = timeRange(q, "from", "to", model.TimeRange{}); err != nil {
		return err
	}
	for name, dst := range map[string]*int64{"min": &s.MinDuration, "max": &s.MaxDuration} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		d, err := api.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if d <= 0 {
			return api.Invalid("%s: want a duration above 0, not %q", name, text)
		}
		*dst = int64(d)
	}
	box := !s.Range.Empty() || s.MinDuration > 0 || s.MaxDuration > 0
	text := q.Get("select")
	switch {
	case text == "slow", text == "" && !box:
		req.texts[1], s.Slow = "slow", true
		return nil
	case text == "failed":
		text = "{ status = error }"
	case text == "":
		req.texts[1] = "box"
		return nil
	}
	req.texts[1] = text
	if s.Filter, err = traceql.Parse(text); err != nil {
		return fmt.Errorf("select: %w", err)
	}
	return nil
}

// timeRange reads two times; def if neither is given.
func timeRange(q url.Values, from, to string, def model.TimeRange) (model.TimeRange, error) {
	f, t := q.Get(from), q.Get(to)
	if f == "" && t == "" {
		return def, nil
	}
	if f == "" || t == "" {
		return def, api.Invalid("want both %s and %s, or neither", from, to)
	}
	a, err := api.ParseTime(f)
	if err != nil {
		return def, fmt.Errorf("%s: %w", from, err)
	}
	b, err := api.ParseTime(t)
	if err != nil {
		return def, fmt.Errorf("%s: %w", to, err)
	}
	if !a.Before(b) {
		return def, api.Invalid("%s must be before %s", from, to)
	}
	return model.TimeRange{From: a.UnixNano(), To: b.UnixNano()}, nil
}

type explainedGroup struct {
	Query    string           `json:"query,omitempty"`
	Spans    int              `json:"spans"`
	P50      float64          `json:"p50_ms"`
	P95      float64          `json:"p95_ms"`
	Examples []explainedTrace `json:"examples"`
}

type explainedTrace struct {
	Trace       string  `json:"trace_id"`
	Span        string  `json:"span_id"`
	Service     string  `json:"service"`
	Name        string  `json:"name"`
	RootService string  `json:"root_service"`
	RootName    string  `json:"root_name"`
	Start       float64 `json:"start_unix_ms"`
	Duration    float64 `json:"duration_ms"`
	Failed      bool    `json:"failed"`
}

type explainedShare struct {
	Spans int     `json:"spans"`
	Share float64 `json:"share"`
}

type explainedFactor struct {
	Attribute  string          `json:"attribute"`
	Value      string          `json:"value"`
	Type       string          `json:"type"`
	Filter     string          `json:"filter"`
	Selected   explainedShare  `json:"selection"`
	Baseline   explainedShare  `json:"baseline"`
	Difference float64         `json:"difference"`
	Score      float64         `json:"score"`
	Lift       float64         `json:"lift"`
	PValue     float64         `json:"p_value"`
	Same       []explainedSame `json:"same"`
}

type explainedSame struct {
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
	Filter    string `json:"filter"`
}

type explainedTime struct {
	Service    string  `json:"service"`
	Name       string  `json:"name"`
	Selected   float64 `json:"selection_ms"`
	Baseline   float64 `json:"baseline_ms"`
	Difference float64 `json:"difference_ms"`
}

type explanation struct {
	Population string            `json:"population"`
	Threshold  float64           `json:"threshold_ms,omitempty"`
	Selected   explainedGroup    `json:"selection"`
	Baseline   explainedGroup    `json:"baseline"`
	Factors    []explainedFactor `json:"factors"`
	Time       []explainedTime   `json:"time"`
	Logs       *explainedLogs    `json:"logs,omitempty"`
	Seconds    float64           `json:"seconds"`
	Scanned    int64             `json:"spans_scanned"`
	Warnings   []string          `json:"warnings"`
}

func millis[N int64 | float64](ns N) float64 { return float64(ns) / float64(time.Millisecond) }

// response makes the answer.
func (req *explainRequest) response(e *traceql.Explanation, logs *explainedLogs, st query.Stats) *explanation {
	out := &explanation{
		Population: req.texts[0], Threshold: millis(e.Threshold), Factors: []explainedFactor{}, Time: []explainedTime{},
		Logs: logs, Seconds: st.Run.Seconds(), Scanned: st.RowsScanned, Warnings: append([]string{}, st.Warnings...),
	}
	out.Selected, out.Baseline = req.group(&e.Selected, req.texts[1]), req.group(&e.Baseline, req.texts[2])
	share := func(n, of int) explainedShare {
		if of == 0 {
			return explainedShare{}
		}
		return explainedShare{n, float64(n) / float64(of)}
	}
	for _, f := range e.Factors {
		x := explainedFactor{
			Attribute: f.Attribute, Value: f.Value, Type: f.Type.String(), Filter: f.Filter,
			Selected: share(f.Selected, e.Selected.Spans), Baseline: share(f.Baseline, e.Baseline.Spans),
			Difference: f.Difference, Score: f.Score, Lift: f.Lift, PValue: f.PValue, Same: []explainedSame{},
		}
		for _, s := range f.Same {
			x.Same = append(x.Same, explainedSame(s))
		}
		out.Factors = append(out.Factors, x)
	}
	for _, t := range e.Time {
		out.Time = append(out.Time, explainedTime{t.Service, t.Name, millis(t.Selected), millis(t.Baseline), millis(t.Selected - t.Baseline)})
	}
	return out
}

func (req *explainRequest) group(g *traceql.Group, text string) explainedGroup {
	out := explainedGroup{Query: text, Spans: g.Spans, P50: millis(g.P50), P95: millis(g.P95), Examples: []explainedTrace{}}
	for _, e := range g.Examples[:min(len(g.Examples), req.examples)] {
		out.Examples = append(out.Examples, explainedTrace{
			Trace: e.Trace.String(), Span: e.Span.String(), Service: e.Service, Name: e.Name, RootService: e.RootService,
			RootName: e.RootName, Start: millis(e.Start), Duration: millis(e.Duration), Failed: e.Failed,
		})
	}
	return out
}
