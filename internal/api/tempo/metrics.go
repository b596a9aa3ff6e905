package tempo

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	prommodel "github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// metricParams reads the parameters of both metrics endpoints.
func (a *API) metricParams(q url.Values, instant bool) (*traceql.Expr, traceql.MetricParams, error) {
	p := traceql.MetricParams{Instant: instant}
	e, err := traceql.Parse(cmp.Or(q.Get("q"), q.Get("query")))
	switch {
	case err != nil && instant:
		return nil, p, api.Invalid("compiling query: %w", err)
	case err != nil:
		return nil, p, api.Invalid("%w", err)
	case !e.IsMetrics():
		return nil, p, api.Invalid("not a metrics query: end it with a function such as | rate()")
	}
	now := a.Now().UnixNano()
	p.End = now
	if s := q.Get("end"); s != "" {
		if p.End, err = parseTime("end", s); err != nil {
			return nil, p, err
		}
	}
	since := prommodel.Duration(time.Hour)
	if s := q.Get("since"); s != "" {
		if since, err = prommodel.ParseDuration(s); err != nil {
			return nil, p, api.Invalid("could not parse 'since' parameter: %v", err)
		}
	}
	p.Start = min(p.End, now) - int64(since)
	if s := q.Get("start"); s != "" {
		if p.Start, err = parseTime("start", s); err != nil {
			return nil, p, err
		}
	}
	switch {
	case p.End <= p.Start:
		return nil, p, api.Invalid("end must be greater than start")
	case p.End-p.Start > int64(a.MaxMetrics):
		return nil, p, api.Invalid("metrics query time range exceeds the maximum allowed duration of %s", a.MaxMetrics)
	}
	if !instant {
		err = rangeParams(q, &p)
	}
	return e, p, err
}

// rangeParams reads what only range queries have.
func rangeParams(q url.Values, p *traceql.MetricParams) error {
	p.Step = traceql.DefaultStep(p.Start, p.End)
	if s := q.Get("step"); s != "" {
		d, err := parseStep(s)
		if err != nil {
			return err
		}
		p.Step = int64(d)
	}
	if n := (p.End - p.Start) / p.Step; n > traceql.MaxIntervals {
		least := (p.End - p.Start + traceql.MaxIntervals - 1) / traceql.MaxIntervals
		return api.Invalid("step of %s is too small, minimum step for given range is %s", time.Duration(p.Step), time.Duration(least))
	}
	if n, err := strconv.ParseUint(q.Get("exemplars"), 10, 31); err == nil {
		p.Exemplars = int(n)
	}
	return nil
}

// maxStep keeps arithmetic on steps far from overflow.
const maxStep = 10 * 365 * 24 * time.Hour

// parseStep reads seconds, with decimals if need be, or a duration.
func parseStep(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if f, ferr := strconv.ParseFloat(s, 64); ferr == nil {
		if !(f <= maxStep.Seconds()) {
			return 0, api.Invalid("cannot parse %q: step is too long", s)
		}
		d, err = time.Duration(f*float64(time.Second)), nil
	}
	switch {
	case err != nil:
		return 0, api.Invalid("cannot parse %q: want seconds or a duration such as 15s", s)
	case d <= 0:
		return 0, api.Invalid("cannot parse %q: step must be positive", s)
	case d > maxStep:
		return 0, api.Invalid("cannot parse %q: step is too long", s)
	}
	return d, nil
}

// metrics runs the metrics query of r. If its answer is cut, why says so.
func (a *API) metrics(w http.ResponseWriter, r *http.Request, e *traceql.Expr, p traceql.MetricParams) (series []traceql.Series, why string, st query.Stats, err error) {
	limit, err := a.maxSeries(r.URL.Query())
	if err != nil {
		return nil, "", st, err
	}
	st, err = a.do(w, r, e.String(), func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error {
		p.Account = acct
		r, told := a.reading(w, tenants, acct)
		if limit <= 0 { // else it is known only in the end which series the answer has
			p.Take, p.Due = taking(told, metricSeries(p.Instant))
		}
		var err error
		if series, err = traceql.Metrics(ctx, r, tenants[0], e, p); err != nil {
			return err
		}
		series, why = cutSeries(series, limit)
		return fits(series, acct)
	})
	return series, why, st, err
}

// fits refuses an answer that a query may not hold when it is written: that of many series
// is longer than they are in memory.
func fits(series []traceql.Series, acct *store.Account) error {
	const seriesBytes, sampleBytes = 150, 45
	size := int64(0)
	for i := range series {
		size += seriesBytes + sampleBytes*int64(len(series[i].Samples))
	}
	if err := acct.Hold(size); err != nil {
		return fmt.Errorf("an answer of %d series would be about %d bytes: %w", len(series), size, err)
	}
	acct.Drop(size)
	return nil
}

func (a *API) metricsRange(w http.ResponseWriter, r *http.Request) error {
	e, p, err := a.metricParams(r.URL.Query(), false)
	if err != nil {
		return err
	}
	if isExplain(r.URL.Query()) {
		return a.explain(w, r, e, traceql.Params{}, &p)
	}
	series, why, st, err := a.metrics(w, r, e, p)
	if err != nil {
		return err
	}
	return send(w, r, func(m message) {
		rangeSeries(m, series)
		searchMetrics(m, "metrics", st, 0)
		partialStatus(m, why)
	})
}

func (a *API) metricsInstant(w http.ResponseWriter, r *http.Request) error {
	e, p, err := a.metricParams(r.URL.Query(), true)
	if err != nil {
		return err
	}
	if isExplain(r.URL.Query()) {
		return a.explain(w, r, e, traceql.Params{}, &p)
	}
	series, why, st, err := a.metrics(w, r, e, p)
	if err != nil {
		return err
	}
	return send(w, r, func(m message) {
		instantSeries(m, series)
		searchMetrics(m, "metrics", st, 0)
		partialStatus(m, why)
	})
}

// metricSeries returns what writes the series of an answer.
func metricSeries(instant bool) func(message, []traceql.Series) {
	if instant {
		return instantSeries
	}
	return rangeSeries
}

func rangeSeries(m message, series []traceql.Series) {
	m.list(1, "series", len(series), true, func(i int, m message) {
		s := &series[i]
		keyValues(m, 1, "labels", s.Labels)
		m.list(2, "samples", len(s.Samples), false, func(i int, m message) {
			m.uint64(2, "timestampMs", uint64(s.Samples[i].Time))
			m.double(1, "value", s.Samples[i].Value)
		})
		m.list(4, "exemplars", len(s.Exemplars), false, func(i int, m message) {
			x := &s.Exemplars[i]
			keyValues(m, 1, "labels", x.Labels)
			m.double(2, "value", x.Value)
			m.uint64(3, "timestampMs", uint64(x.Time))
		})
	})
}

func instantSeries(m message, series []traceql.Series) {
	m.list(1, "series", len(series), true, func(i int, m message) {
		keyValues(m, 1, "labels", series[i].Labels)
		m.double(2, "value", series[i].Samples[0].Value)
	})
}
