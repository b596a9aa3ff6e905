package jaeger

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	prom "github.com/prometheus/prometheus/promql"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// What Jaeger's Monitor tab asks: rates, errors and latencies of services and their
// operations. They come from the metrics that are derived from spans on ingest, by PromQL.

// maxPoints bounds the points of a series, as in Prometheus.
const maxPoints = 11_000

// monitorQuery is the parameters of /api/metrics/...; times are Unix milliseconds.
type monitorQuery struct {
	services       []string
	kinds          []string // of OTLP
	byOperation    bool
	quantile       float64
	end, lookback  int64
	step, ratePer  int64
	group, filters string // parts of PromQL
}

func (a *API) monitorQueryOf(q url.Values) (*monitorQuery, error) {
	m := &monitorQuery{end: a.Now().UnixMilli(), lookback: time.Hour.Milliseconds(), step: 5000, ratePer: (10 * time.Minute).Milliseconds()}
	for _, s := range q["service"] {
		if s != "" {
			m.services = append(m.services, regexp.QuoteMeta(s))
		}
	}
	if len(m.services) == 0 {
		return nil, errService
	}
	for name, dst := range map[string]*int64{"endTs": &m.end, "lookback": &m.lookback, "step": &m.step, "ratePer": &m.ratePer} {
		n, ok, err := integer(q, name)
		if err != nil {
			return nil, err
		}
		if ok {
			*dst = min(n, math.MaxInt64/int64(time.Millisecond)/4) // no sum of two overflows
		}
	}
	if m.step == 0 || m.ratePer == 0 || m.lookback/m.step > maxPoints {
		return nil, api.Invalid("parameter 'step' is %d ms, 'ratePer' %d ms, 'lookback' %d ms; want more than 0, and at most %d steps", m.step, m.ratePer, m.lookback, maxPoints)
	}
	for _, k := range q["spanKind"] {
		if !isKind(k) {
			return nil, errKind(k)
		}
		m.kinds = append(m.kinds, "SPAN_KIND_"+strings.ToUpper(k))
	}
	if len(m.kinds) == 0 {
		m.kinds = []string{"SPAN_KIND_SERVER"}
	}
	m.group = "service"
	if s := q.Get("groupByOperation"); s != "" {
		var err error
		if m.byOperation, err = strconv.ParseBool(s); err != nil {
			return nil, api.Invalid("cannot parse parameter 'groupByOperation': want true or false, not %q", s)
		}
	}
	if m.byOperation {
		m.group = "service, span_name"
	}
	m.filters = fmt.Sprintf("service=~%q, span_kind=~%q", strings.Join(m.services, "|"), strings.Join(m.kinds, "|"))
	return m, nil
}

// rate is the PromQL of the rate of a series whose labels also fulfil more.
func (m *monitorQuery) rate(series, more, by string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s{%s}[%dms]))", by, series, m.filters+more, m.ratePer)
}

const callsMetric = "traces_spanmetrics_calls_total"

func (a *API) calls(w http.ResponseWriter, r *http.Request) error {
	m, err := a.monitorQueryOf(r.URL.Query())
	if err != nil {
		return err
	}
	return a.family(w, r, m, "call_rate", "calls/sec", m.rate(callsMetric, "", m.group))
}

func (a *API) errorRates(w http.ResponseWriter, r *http.Request) error {
	m, err := a.monitorQueryOf(r.URL.Query())
	if err != nil {
		return err
	}
	all := m.rate(callsMetric, "", m.group)
	failed := m.rate(callsMetric, `, status_code="STATUS_CODE_ERROR"`, m.group)
	return a.family(w, r, m, "error_rate", "error rate, computed as a fraction of errors/sec over calls/sec", fmt.Sprintf("(%s or %s * 0) / (%s > 0)", failed, all, all))
}

func (a *API) latencies(w http.ResponseWriter, r *http.Request) error {
	m, err := a.monitorQueryOf(r.URL.Query())
	if err != nil {
		return err
	}
	q := r.URL.Query().Get("quantile")
	m.quantile, err = strconv.ParseFloat(q, 64)
	if err != nil || !(m.quantile > 0 && m.quantile <= 1) {
		return api.Invalid("cannot parse parameter 'quantile': want a number above 0 and at most 1, such as 0.95, not %q", q)
	}
	classic, native := m.rate("traces_spanmetrics_latency_bucket", "", m.group+", le"), m.rate("traces_spanmetrics_latency", "", m.group)
	text := fmt.Sprintf("1000 * (histogram_quantile(%g, %s) or histogram_quantile(%g, %s))", m.quantile, classic, m.quantile, native)
	return a.family(w, r, m, "latencies", fmt.Sprintf("%gth quantile latency", m.quantile), text)
}

// minStep answers with the least step that makes sense, in milliseconds: Jaeger's own.
func (a *API) minStep(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, r, envelope{Data: 1})
}

// metricFamily is OpenMetrics' message as JSON.
type metricFamily struct {
	Name    string         `json:"name"`
	Type    string         `json:"type"`
	Help    string         `json:"help"`
	Metrics []metricSeries `json:"metrics"`
}

type metricSeries struct {
	Labels []metricLabel `json:"labels"`
	Points []metricPoint `json:"metricPoints"`
}

type metricLabel struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type metricPoint struct {
	Gauge struct {
		Value float64 `json:"doubleValue"`
	} `json:"gaugeValue"`
	Time time.Time `json:"timestamp"`
}

// family evaluates text and answers with its series.
func (a *API) family(w http.ResponseWriter, r *http.Request, m *monitorQuery, name, help, text string) error {
	if a.Metrics == nil {
		return fmt.Errorf("metrics of services: %w", store.ErrUnsupported)
	}
	out := metricFamily{Name: "service_" + name, Type: "GAUGE", Help: help + ", grouped by service", Metrics: []metricSeries{}}
	if m.byOperation {
		out.Name, out.Help = "service_operation_"+name, out.Help+" & operation"
	}
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	_, err = a.Door.Do(r.Context(), query.Request{Tenant: tenant, Language: "promql", Text: text}, func(ctx context.Context, acct *store.Account) error {
		res, err := a.Engine.Run(ctx, a.Metrics, promql.Query{
			Tenant: tenant, Text: text, Start: time.UnixMilli(m.end - m.lookback), End: time.UnixMilli(m.end), Step: time.Duration(m.step) * time.Millisecond,
		}, acct)
		if err != nil {
			return err
		}
		matrix, ok := res.Value.(prom.Matrix)
		if !ok {
			model.Bug("a range query answers with %T", res.Value)
		}
		for _, s := range matrix {
			if x, ok := newSeries(s, m.byOperation); ok {
				out.Metrics = append(out.Metrics, x)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(out.Metrics, func(x, y metricSeries) int {
		return slices.CompareFunc(x.Labels, y.Labels, func(a, b metricLabel) int { return cmp.Compare(a.Value, b.Value) })
	})
	return writeJSON(w, r, out)
}

// newSeries is a series in Jaeger's words, without the points that are no number; false if
// there are none.
func newSeries(s prom.Series, byOperation bool) (metricSeries, bool) {
	x := metricSeries{Labels: []metricLabel{{"service_name", s.Metric.Get("service")}}}
	if byOperation {
		x.Labels = append(x.Labels, metricLabel{"operation", s.Metric.Get("span_name")})
	}
	for _, p := range s.Floats {
		if math.IsNaN(p.F) || math.IsInf(p.F, 0) {
			continue
		}
		y := metricPoint{Time: time.UnixMilli(p.T).UTC()}
		y.Gauge.Value = p.F
		x.Points = append(x.Points, y)
	}
	return x, len(x.Points) > 0
}
