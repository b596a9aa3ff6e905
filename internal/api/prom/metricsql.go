package prom

import (
	"context"
	"math"
	"net/http"
	"strings"
	"time"

	promeng "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/metricsql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/store"
)

// victoriaPrefix is the path below which VictoriaMetrics serves the API of Prometheus;
// its clients expect MetricsQL there.
const victoriaPrefix = "/prometheus/"

// inMetricsQL reports whether r asks in MetricsQL: by dialect=metricsql, or by the path
// that clients of VictoriaMetrics use, unless it says dialect=promql.
func inMetricsQL(r *http.Request) (bool, error) {
	switch d := r.FormValue("dialect"); d {
	case "metricsql":
		return true, nil
	case "promql":
		return false, nil
	case "":
		return strings.HasPrefix(r.URL.Path, victoriaPrefix), nil
	default:
		return false, api.Invalid("invalid parameter %q: %q; want promql or metricsql", "dialect", d)
	}
}

// evalMetricsQL answers a query in MetricsQL. q.Step is that of a range query.
func (a *API) evalMetricsQL(w http.ResponseWriter, r *http.Request, q promql.Query, limit int) error {
	mq := metricsql.Query{Text: q.Text, Start: q.Start, End: q.End, Step: q.Step, Instant: q.Step == 0}
	if mq.Instant {
		var err error
		if mq.Step, err = durationParam(r, "step"); err != nil {
			return err
		}
		if mq.Step < 0 || mq.Step > 0 && mq.Step < time.Millisecond {
			return api.Invalid("invalid parameter %q: want at least 1ms", "step")
		}
	}
	return a.do(w, r, mq.Text, func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		ctx, cancel := context.WithCancel(ctx) // lets go of the files behind the series
		defer cancel()
		mq.Tenant = tenant
		res, err := a.MetricsQL.Run(ctx, a.Reader, mq, acct)
		if err != nil {
			return err
		}
		resp.limit = limit
		resp.value = metricsqlValue(res, mq.Instant)
		return nil
	})
}

// metricsqlValue turns a result into the types that responses are written from.
func metricsqlValue(res *metricsql.Result, instant bool) parser.Value {
	if res.Raw != nil {
		out := promeng.Matrix{}
		for _, s := range res.Raw {
			points := make([]promeng.FPoint, len(s.Times))
			for i, t := range s.Times {
				points[i] = promeng.FPoint{T: t, F: s.Values[i]}
			}
			out = append(out, promeng.Series{Metric: promql.PromLabels(s.Labels), Floats: points})
		}
		return out
	}
	if instant {
		out := promeng.Vector{}
		for _, s := range res.Series {
			out = append(out, promeng.Sample{Metric: promql.PromLabels(s.Labels), T: res.Start, F: s.Values[0]})
		}
		return out
	}
	out := promeng.Matrix{}
	for _, s := range res.Series {
		points := make([]promeng.FPoint, 0, len(s.Values))
		for i, v := range s.Values {
			if !math.IsNaN(v) {
				points = append(points, promeng.FPoint{T: res.Start + int64(i)*res.Step, F: v})
			}
		}
		out = append(out, promeng.Series{Metric: promql.PromLabels(s.Labels), Floats: points})
	}
	return out
}
