package prom

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	prommodel "github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/store"
)

// cut shortens a list to limit, 0 for no limit, with Prometheus' warning.
func cut[T any](list []T, limit int, resp *response) []T {
	if limit > 0 && len(list) > limit {
		resp.warnings = append(resp.warnings, "results truncated due to limit")
		return list[:limit]
	}
	return list
}

func (a *API) series(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitParam(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return api.Invalid("error parsing form values: %w", err)
	}
	if len(r.Form["match[]"]) == 0 {
		return api.Invalid("no match[] parameter provided")
	}
	return a.do(w, r, "series", func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		sels, err := a.selectors(r, acct)
		if err != nil {
			return err
		}
		var sets []model.Labels
		for _, sel := range sels {
			for ls, err := range a.Index.LabelSets(ctx, tenant, sel) {
				if err != nil {
					return err
				}
				sets = append(sets, ls)
				if limit > 0 && len(sels) == 1 && len(sets) > limit {
					break
				}
			}
		}
		if len(sels) > 1 {
			slices.SortFunc(sets, model.Labels.Compare)
			sets = slices.CompactFunc(sets, model.Labels.Equal)
		}
		resp.labelSets, resp.data = cut(sets, limit, resp), nil
		return nil
	})
}

// names answers a question whose answer is a sorted list of strings.
func (a *API) names(w http.ResponseWriter, r *http.Request, what string, ask func(context.Context, model.Tenant, store.MetricSelector) ([]string, error)) error {
	limit, err := limitParam(r)
	if err != nil {
		return err
	}
	return a.do(w, r, what, func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		sels, err := a.selectors(r, acct)
		if err != nil {
			return err
		}
		all := []string{}
		for _, sel := range sels {
			names, err := ask(ctx, tenant, sel)
			if err != nil {
				return err
			}
			all = append(all, names...)
		}
		slices.Sort(all)
		resp.data = cut(slices.Compact(all), limit, resp)
		return nil
	})
}

func (a *API) labels(w http.ResponseWriter, r *http.Request) error {
	return a.names(w, r, "label names", a.Index.LabelNames)
}

func (a *API) labelValues(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") { // the escaped form of names that are no path
		name = prommodel.UnescapeName(name, prommodel.ValueEncodingEscaping)
	}
	return a.names(w, r, "values of label "+name, func(ctx context.Context, t model.Tenant, sel store.MetricSelector) ([]string, error) {
		return a.Index.LabelValues(ctx, t, name, sel)
	})
}

func (a *API) metadata(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitParam(r)
	if err != nil {
		return err
	}
	perMetric, err := countParam(r, "limit_per_metric")
	if err != nil {
		return err
	}
	type entry struct {
		Type string `json:"type"`
		Help string `json:"help"`
		Unit string `json:"unit"`
	}
	return a.do(w, r, "metadata", func(ctx context.Context, tenant model.Tenant, _ *store.Account, resp *response) error {
		list, err := a.Index.Metadata(ctx, tenant, r.FormValue("metric"), limit)
		if err != nil {
			return err
		}
		byMetric := map[string][]entry{}
		for _, m := range list {
			if perMetric > 0 && len(byMetric[m.Metric]) == perMetric {
				continue
			}
			byMetric[m.Metric] = append(byMetric[m.Metric], entry{m.Type, m.Help, m.Unit})
		}
		resp.data = byMetric
		return nil
	})
}

// maxExemplars is the most exemplars that one answer holds: more is no chart.
const maxExemplars = 10_000

func (a *API) exemplars(w http.ResponseWriter, r *http.Request) error {
	text := r.FormValue("query")
	expr, err := a.Engine.Parse(text)
	if err != nil {
		return inQuery(err)
	}
	sets, err := promql.Selectors(expr)
	if err != nil {
		return err
	}
	now := a.Now()
	rng, err := window(r, now.Add(-time.Hour), now)
	if err != nil {
		return err
	}
	type point struct {
		Labels    map[string]string `json:"labels"`
		Value     string            `json:"value"`
		Timestamp float64           `json:"timestamp"`
	}
	type result struct {
		SeriesLabels map[string]string `json:"seriesLabels"`
		Exemplars    []point           `json:"exemplars"`
	}
	limit, err := limitParam(r)
	if err != nil {
		return err
	}
	if limit == 0 || limit > maxExemplars {
		limit = maxExemplars
	}
	return a.do(w, r, text, func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		out := []result{}
		left, cut := limit, false
		for _, ms := range sets {
			sel := store.MetricSelector{Matchers: ms, Range: rng, Account: acct}
			for se, err := range a.Reader.Exemplars(ctx, tenant, sel) {
				if err != nil {
					return err
				}
				if left == 0 {
					cut = true
					break
				}
				if over := len(se.Exemplars) - left; over > 0 { // the newest ones
					se.Exemplars, cut = se.Exemplars[over:], true
				}
				left -= len(se.Exemplars)
				res := result{SeriesLabels: se.Labels.Map()}
				for _, e := range se.Exemplars {
					res.Exemplars = append(res.Exemplars, point{e.Labels.Map(), string(appendValue(nil, e.Value)), float64(e.Time) / 1000})
				}
				out = append(out, res)
			}
		}
		if cut {
			resp.warnings = append(resp.warnings, "results truncated due to limit")
		}
		resp.data = out
		return nil
	})
}
