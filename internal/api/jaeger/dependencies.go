package jaeger

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// graphMetric is the counter of calls that is derived on ingest.
const graphMetric = "traces_service_graph_request_total"

type call struct{ parent, child string }

type dependency struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
	Calls  uint64 `json:"callCount"`
}

// dependencies counts the calls between services: by the service graph if it has counted
// any, else from spans.
func (a *API) dependencies(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	end, lookback := a.Now().UnixMilli(), (24 * time.Hour).Milliseconds()
	for name, dst := range map[string]*int64{"endTs": &end, "lookback": &lookback} {
		ms, ok, err := integer(q, name)
		if err != nil {
			return err
		}
		if ok {
			*dst = ms
		}
	}
	end = min(end, math.MaxInt64/int64(time.Millisecond)-1)
	when := model.TimeRange{From: max(0, end-lookback), To: end + 1} // Unix milliseconds
	var counts map[call]float64
	err := a.do(r, "dependencies", func(ctx context.Context, tenant model.Tenant, acct *store.Account) error {
		var err error
		if a.Metrics != nil {
			if counts, err = a.callsCounted(ctx, tenant, when, acct); err != nil || len(counts) > 0 {
				return err
			}
		}
		counts, err = a.callsOfSpans(ctx, tenant, when, acct)
		return err
	})
	if err != nil {
		return err
	}
	out := []dependency{}
	service := q.Get("service")
	for c, n := range counts {
		if n >= 0.5 && (service == "" || service == c.parent || service == c.child) {
			out = append(out, dependency{c.parent, c.child, uint64(math.Round(n))})
		}
	}
	slices.SortFunc(out, func(x, y dependency) int {
		return cmp.Or(strings.Compare(x.Parent, y.Parent), strings.Compare(x.Child, y.Child))
	})
	return writeJSON(w, r, envelope{Data: out, Total: len(out)})
}

// callsCounted adds up what the counters of the service graph have grown.
func (a *API) callsCounted(ctx context.Context, tenant model.Tenant, when model.TimeRange, acct *store.Account) (map[call]float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	counts := map[call]float64{}
	sel := store.MetricSelector{Matchers: []*model.Matcher{model.MustMatcher(model.MatchEqual, model.MetricName, graphMetric)}, Range: when, Account: acct}
	var ts []int64
	var vs []float64
	for s, err := range a.Metrics.Select(ctx, tenant, sel) {
		if err != nil {
			return nil, err
		}
		if ts, vs, err = s.Samples(ts[:0], vs[:0]); err != nil {
			return nil, err
		}
		ls := s.Labels()
		client := ls.Get("client")
		if client == "user" && ls.Get("connection_type") == "virtual_node" {
			continue // nobody's service
		}
		grown := 0.0
		for i := 1; i < len(vs); i++ {
			switch d := vs[i] - vs[i-1]; {
			case d >= 0:
				grown += d
			case d < 0: // it began anew
				grown += vs[i]
			}
		}
		if grown > 0 {
			counts[call{strings.Clone(client), strings.Clone(ls.Get("server"))}] += grown
		}
	}
	return counts, nil
}

// callsOfSpans counts the spans whose parent is of another service.
func (a *API) callsOfSpans(ctx context.Context, tenant model.Tenant, when model.TimeRange, acct *store.Account) (map[call]float64, error) {
	counts := map[call]float64{}
	ms := int64(time.Millisecond)
	rng := model.TimeRange{From: when.From * ms, To: when.To * ms}
	service := map[model.SpanID]string{}
	for rows, err := range a.Reader.Scan(ctx, tenant, store.SpanSelector{Range: rng, Account: acct}) {
		if err != nil {
			return nil, err
		}
		for from := 0; from < rows.Len(); {
			to := from
			clear(service)
			for ; to < rows.Len() && rows.TraceID[to] == rows.TraceID[from]; to++ {
				service[rows.SpanID[to]] = rows.Service[to]
			}
			for i := from; i < to; i++ {
				up, ok := service[rows.Parent[i]]
				if !ok || up == rows.Service[i] || up == "" || rows.Service[i] == "" || !rng.Contains(rows.Start[i]) {
					continue
				}
				c := call{up, rows.Service[i]}
				if _, known := counts[c]; !known {
					c = call{strings.Clone(c.parent), strings.Clone(c.child)}
				}
				counts[c]++
			}
			from = to
		}
	}
	return counts, nil
}
