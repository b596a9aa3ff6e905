package prom

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// stat is one line of /api/v1/status/tsdb. Change is how much it has grown since the day
// before, if that was asked for.
type stat struct {
	Name   string `json:"name"`
	Value  int64  `json:"value"`
	Change *int64 `json:"change,omitempty"`
}

// tally is the counts of one day behind /api/v1/status/tsdb, by metric, label, pair and
// value of one label.
type tally struct {
	series                           int64
	metrics, labels, values, ofFocus map[string]int64
	pairs                            map[string]int64
}

// count counts the series that sels select. A series that several select counts once.
func (a *API) count(ctx context.Context, tenant model.Tenant, sets [][]*model.Matcher, r model.TimeRange, focus string, acct *store.Account) (*tally, error) {
	t := &tally{
		metrics: map[string]int64{}, labels: map[string]int64{}, values: map[string]int64{},
		ofFocus: map[string]int64{}, pairs: map[string]int64{},
	}
	if len(sets) == 0 {
		sets = [][]*model.Matcher{nil}
	}
	for i, ms := range sets {
		sel := store.MetricSelector{Matchers: ms, All: len(ms) == 0, Range: r, Func: "series", Account: acct}
		for ls, err := range a.Index.LabelSets(ctx, tenant, sel) {
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(sets[:i], func(before []*model.Matcher) bool { return model.MatchesLabels(ls, before) }) {
				continue
			}
			if err := t.add(ls, focus, acct); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (t *tally) add(ls model.Labels, focus string, acct *store.Account) error {
	t.series++
	for _, l := range ls {
		switch l.Name {
		case focus:
			t.ofFocus[l.Value]++
		case model.MetricName:
			t.metrics[l.Value]++
		}
		t.labels[l.Name]++
		pair := l.Name + "=" + l.Value
		if t.pairs[pair]++; t.pairs[pair] == 1 {
			t.values[l.Name]++
			if err := acct.Hold(int64(len(pair)) + 64); err != nil {
				return err
			}
		}
	}
	return nil
}

// topStats returns the n biggest of now, with their change since before, which may be nil.
func topStats(now, before map[string]int64, n int) []stat {
	out := make([]stat, 0, len(now))
	for name, v := range now {
		out = append(out, stat{Name: name, Value: v})
	}
	slices.SortFunc(out, func(a, b stat) int { return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name)) })
	out = out[:min(n, len(out))]
	for i := range out {
		if before != nil {
			change := out[i].Value - before[out[i].Name]
			out[i].Change = &change
		}
	}
	return out
}

// detailed answers /api/v1/status/tsdb with the parameters of VictoriaMetrics (date,
// match[], focusLabel) and change=true.
func (a *API) detailed(ctx context.Context, r *http.Request, tenant model.Tenant, n int, acct *store.Account) (map[string]any, error) {
	sets, err := a.matchers(r)
	if err != nil {
		return nil, err
	}
	day := a.Now().UTC().Truncate(24 * time.Hour)
	if s := r.FormValue("date"); s != "" {
		if day, err = time.Parse(time.DateOnly, s); err != nil {
			return nil, api.Invalid("invalid parameter %q: %q is not a day such as 2026-01-31", "date", s)
		}
	}
	focus := r.FormValue("focusLabel")
	of := func(day time.Time) (*tally, error) {
		return a.count(ctx, tenant, sets, model.TimeRange{From: day.UnixMilli(), To: day.Add(24 * time.Hour).UnixMilli()}, focus, acct)
	}
	now, err := of(day)
	if err != nil {
		return nil, err
	}
	before := &tally{}
	if isTrue(r.FormValue("change")) {
		if before, err = of(day.Add(-24 * time.Hour)); err != nil {
			return nil, err
		}
	}
	data := map[string]any{
		"headStats": map[string]any{
			"numSeries": now.series, "numLabelPairs": len(now.pairs), "chunkCount": 0,
			"minTime": day.UnixMilli(), "maxTime": day.Add(24*time.Hour).UnixMilli() - 1,
		},
		"totalSeries": now.series, "totalLabelValuePairs": len(now.pairs),
		"seriesCountByMetricName":      topStats(now.metrics, before.metrics, n),
		"seriesCountByLabelName":       topStats(now.labels, before.labels, n),
		"labelValueCountByLabelName":   topStats(now.values, before.values, n),
		"seriesCountByLabelValuePair":  topStats(now.pairs, before.pairs, n),
		"seriesCountByFocusLabelValue": topStats(now.ofFocus, before.ofFocus, n),
		"memoryInBytesByLabelName":     []stat{},
	}
	return data, nil
}

// topN returns the number of lines asked for: limit, or topN as in VictoriaMetrics.
func topN(r *http.Request) (int, error) {
	n, err := limitParam(r)
	if s := r.FormValue("topN"); s != "" && n == 0 && err == nil {
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			return 0, api.Invalid("invalid parameter %q: %q is not a positive number", "topN", s)
		}
	}
	return cmp.Or(n, 10), err
}

func wantsDetail(r *http.Request) bool {
	for _, name := range []string{"date", "match[]", "focusLabel", "change"} {
		if r.FormValue(name) != "" {
			return true
		}
	}
	return false
}

// MetricUse is how often queries have read a metric, and when last (Unix seconds, 0 for
// never).
type MetricUse struct {
	Metric string
	Count  int64
	Last   int64
}

// metricNamesStats answers /api/v1/status/metric_names_stats as VictoriaMetrics does: the
// metrics with data, least queried first. le=0 leaves those that nobody reads.
func (a *API) metricNamesStats(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitParam(r)
	if err != nil {
		return err
	}
	le := int64(math.MaxInt64)
	if s := r.FormValue("le"); s != "" {
		if le, err = strconv.ParseInt(s, 10, 64); err != nil {
			return api.Invalid("invalid parameter %q: %q is not a number", "le", s)
		}
	}
	pattern, err := regexp.Compile(r.FormValue("match_pattern"))
	if err != nil {
		return api.Invalid("invalid parameter %q: %w", "match_pattern", err)
	}
	type record struct {
		Metric string `json:"metricName"`
		Count  int64  `json:"queryRequestsCount"`
		Last   int64  `json:"lastRequestTimestamp"`
	}
	return a.do(w, r, "metric names", func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		uses, since, err := a.Usage(ctx, tenant, acct)
		if err != nil {
			return err
		}
		records := []record{}
		for _, u := range uses {
			if u.Count <= le && pattern.MatchString(u.Metric) {
				records = append(records, record(u))
			}
		}
		slices.SortFunc(records, func(a, b record) int { return cmp.Or(cmp.Compare(a.Count, b.Count), cmp.Compare(a.Metric, b.Metric)) })
		resp.data = map[string]any{
			"statsCollectedSince": since, "statsCollectedRecordsTotal": len(uses), "records": cut(records, cmp.Or(limit, 1000), resp),
		}
		return nil
	})
}
