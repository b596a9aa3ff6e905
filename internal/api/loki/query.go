package loki

import (
	"context"
	"net/http"
	"strings"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// query answers /loki/api/v1/query: a metric query at one instant.
func (a *API) query(w http.ResponseWriter, r *http.Request) error {
	src, err := a.source(r)
	if err != nil {
		return err
	}
	at, err := timeParam(r, "time", a.Now().UnixNano())
	if err != nil {
		return err
	}
	if _, err := limitParam(r); err != nil {
		return err
	}
	if _, err := directionParam(r); err != nil {
		return err
	}
	text := r.FormValue("query")
	e, err := logql.Parse(text)
	if err != nil {
		return err
	}
	if !logql.IsMetric(e) {
		return api.Invalid("log queries are not supported as an instant query type, please change your query to a range query type")
	}
	if err := src.limits.checkQuery(e); err != nil {
		return err
	}
	return a.run(w, r, src, text, e, logql.Params{Start: at, End: at})
}

// queryRange answers /loki/api/v1/query_range: a log query, or a metric query at every
// step.
func (a *API) queryRange(w http.ResponseWriter, r *http.Request) error {
	src, err := a.source(r)
	if err != nil {
		return err
	}
	text := r.FormValue("query")
	e, err := logql.Parse(text)
	if err != nil {
		return err
	}
	if err := src.limits.checkQuery(e); err != nil {
		return err
	}
	p, err := a.rangeParams(r, e, src.limits)
	if err != nil {
		return err
	}
	return a.run(w, r, src, text, e, p)
}

func (a *API) rangeParams(r *http.Request, e logql.Expr, limits Limits) (logql.Params, error) {
	var p logql.Params
	rng, err := a.timeRange(r)
	if err != nil {
		return p, err
	}
	rng = limits.see(rng, a.Now())
	if err := limits.checkLength(rng); err != nil {
		return p, err
	}
	if p.Limit, err = limitParam(r); err != nil {
		return p, err
	}
	if p.Direction, err = directionParam(r); err != nil {
		return p, err
	}
	step, err := limits.step(r, rng)
	if err != nil {
		return p, err
	}
	if p.Interval, err = durationParam(r, "interval"); err != nil {
		return p, err
	}
	p.Start, p.End = rng.From, rng.To
	if logql.IsMetric(e) {
		p.Step = step
		p.Start = floorTo(p.Start, int64(step))
		p.End = -floorTo(-p.End, int64(step))
		return p, nil
	}
	if p.Limit > limits.MaxEntries {
		return p, api.Invalid("max entries limit per query exceeded, limit > max_entries_limit_per_query (%d > %d)", p.Limit, limits.MaxEntries)
	}
	return p, nil
}

// floorTo rounds t down to a multiple of step.
func floorTo(t, step int64) int64 {
	m := t % step
	if m < 0 {
		m += step
	}
	return t - m
}

// run evaluates e and writes the answer.
func (a *API) run(w http.ResponseWriter, r *http.Request, src *source, text string, e logql.Expr, p logql.Params) error {
	if r.FormValue("explain") == "1" {
		return a.explain(w, r, src, text, e, p)
	}
	flags, categorize := encodingFlags(r)
	p.Categorize = categorize
	return a.evaluate(w, r, src, e, p, func(w http.ResponseWriter, out *outcome) error {
		return writeResult(w, out.res, &out.stats, flags)
	})
}

// outcome is what a query came to.
type outcome struct {
	res   *logql.Result
	stats query.Stats
}

// evaluate evaluates e and hands the answer to write.
func (a *API) evaluate(w http.ResponseWriter, r *http.Request, src *source, e logql.Expr, p logql.Params, write func(http.ResponseWriter, *outcome) error) error {
	p.MaxSeries = src.limits.MaxSeries
	p.PartialSeries = strings.Contains(r.Header.Get("X-Query-Tags"), "Source=grafana-lokiexplore-app")
	var out outcome
	var err error
	out.stats, err = a.do(r, src, r.FormValue("query"), func(ctx context.Context, acct *store.Account) (err error) {
		p.Account = acct
		if err := src.limits.checkBytes(ctx, src, e, p); err != nil {
			return err
		}
		out.res, err = src.engine.Query(ctx, src.name, e, p)
		return err
	})
	if err != nil {
		return err
	}
	return write(w, &out)
}

// formatQuery answers /loki/api/v1/format_query. It needs no tenant and has its own form
// of errors.
func (a *API) formatQuery(w http.ResponseWriter, r *http.Request) error {
	e, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(http.StatusBadRequest)
		return writeJSON(w, map[string]string{"status": "invalid-query", "error": err.Error()})
	}
	return writeJSON(w, map[string]string{"status": "success", "data": logql.Format(e)})
}
