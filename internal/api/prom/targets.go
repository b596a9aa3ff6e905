package prom

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// targetMetadata is what is known of a metric that a target exposes.
type targetMetadata struct {
	Target map[string]string `json:"target"`
	Metric string            `json:"metric,omitempty"` // none if it was asked for by name
	Type   string            `json:"type"`
	Help   string            `json:"help"`
	Unit   string            `json:"unit"`
}

// targetsMetadata answers which metrics the scrape targets expose, and what they are. The
// store keeps metadata by metric: those are a target's of which it has series of the last
// hour under the target's job and instance.
func (a *API) targetsMetadata(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitParam(r)
	if err != nil {
		return err
	}
	var match []*model.Matcher
	if s := r.FormValue("match_target"); s != "" {
		if match, err = a.Engine.Selector(s); err != nil {
			return api.Invalid("invalid parameter %q: %w", "match_target", err)
		}
	}
	metric := r.FormValue("metric")
	return a.do(w, r, "targets metadata", func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		if a.Targets == nil {
			return errNoMetadata()
		}
		targets, err := a.Targets(ctx, tenant)
		if err != nil {
			return err
		}
		list, err := a.Index.Metadata(ctx, tenant, metric, 0)
		if err != nil {
			return err
		}
		var out []targetMetadata
		for i := range targets {
			if !matchesTarget(match, targets[i].Labels) {
				continue
			}
			names, err := a.exposed(ctx, tenant, targets[i].Labels, acct)
			if err != nil {
				return err
			}
			for _, m := range list {
				if limit > 0 && len(out) == limit {
					break
				}
				if !isFamily(m.Metric, names) {
					continue
				}
				md := targetMetadata{Target: targets[i].Labels, Metric: m.Metric, Type: m.Type, Help: m.Help, Unit: m.Unit}
				if metric != "" {
					md.Metric = ""
				}
				out = append(out, md)
			}
		}
		if len(out) == 0 {
			return errNoMetadata()
		}
		resp.data = out
		return nil
	})
}

func errNoMetadata() error {
	return fmt.Errorf("specified metadata %w", store.ErrNotFound)
}

// matchesTarget reports whether the labels of a target match.
func matchesTarget(ms []*model.Matcher, labels map[string]string) bool {
	return !slices.ContainsFunc(ms, func(m *model.Matcher) bool { return !m.Matches(labels[m.Name]) })
}

// exposed returns the sorted names of the metrics that a target has exposed in the last hour.
func (a *API) exposed(ctx context.Context, tenant model.Tenant, labels map[string]string, acct *store.Account) ([]string, error) {
	now := a.Now()
	sel := store.MetricSelector{
		Range: model.TimeRange{From: now.Add(-time.Hour).UnixMilli(), To: now.UnixMilli() + 1}, Func: "series", Account: acct,
		Matchers: []*model.Matcher{
			model.MustMatcher(model.MatchEqual, "job", labels["job"]), model.MustMatcher(model.MatchEqual, "instance", labels["instance"]),
		},
	}
	return a.Index.LabelValues(ctx, tenant, model.MetricName, sel)
}

// isFamily reports whether one of sorted names is of the family that metadata is about.
func isFamily(family string, names []string) bool {
	for _, suffix := range []string{"", "_total", "_bucket", "_count", "_sum", "_info"} {
		if _, ok := slices.BinarySearch(names, family+suffix); ok {
			return true
		}
	}
	return false
}
