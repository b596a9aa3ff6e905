package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// otlpLoad is metrics as OpenTelemetry SDKs export them, over HTTP and not compressed:
// service instances with 100 series each, half of them sums and half gauges, of which an
// agent forwards 20 instances a request every 15 s.
type otlpLoad struct {
	instances, scrapes int
	first, last        time.Time // fixed by the first server of a run
}

const (
	seriesAnInstance = 100
	instancesARun    = 20
)

func (l *otlpLoad) name() string { return "otlp" }

// export makes the request of instances [from, to).
func (l *otlpLoad) export(from, to int, at time.Time, rng *rand.Rand) pmetric.Metrics {
	md := pmetric.NewMetrics()
	ts := pcommon.NewTimestampFromTime(at)
	start := pcommon.NewTimestampFromTime(l.first)
	for i := from; i < to; i++ {
		rm := md.ResourceMetrics().AppendEmpty()
		putResource(rm.Resource().Attributes(), fmt.Sprintf("service-%02d", i%25), fmt.Sprintf("instance-%05d", i), fmt.Sprintf("node-%d", i%50))
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("app")
		for n := range seriesAnInstance / 10 {
			m := sm.Metrics().AppendEmpty()
			m.SetName(fmt.Sprintf("app_metric_%02d", n))
			m.SetDescription("What the application counts.")
			var points pmetric.NumberDataPointSlice
			if n%2 == 0 {
				s := m.SetEmptySum()
				s.SetIsMonotonic(true)
				s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				points = s.DataPoints()
			} else {
				points = m.SetEmptyGauge().DataPoints()
			}
			for r := range 10 {
				p := points.AppendEmpty()
				p.SetTimestamp(ts)
				p.SetStartTimestamp(start)
				p.Attributes().PutStr("http.route", "/api/users/"+strconv.Itoa(r))
				p.Attributes().PutStr("http.request.method", "GET")
				p.Attributes().PutInt("http.response.status_code", 200)
				if n%2 == 0 {
					p.SetIntValue(at.Unix()*int64(r+1) + int64(rng.IntN(10)))
				} else {
					p.SetDoubleValue(float64(rng.IntN(10_000)) / 100)
				}
			}
		}
	}
	return md
}

func (l *otlpLoad) send(ctx context.Context, c config, p *proc) (int, int64, error) {
	if l.first.IsZero() {
		l.last = time.Now().Truncate(scrapeEvery)
		l.first = l.last.Add(-time.Duration(l.scrapes-1) * scrapeEvery)
	}
	return spread(ctx, c.senders, func(ctx context.Context, w int, sent *progress) error {
		rng := rand.New(rand.NewPCG(uint64(w), 7))
		for k := range l.scrapes {
			at := l.first.Add(time.Duration(k) * scrapeEvery)
			for from := w * instancesARun; from < l.instances; from += c.senders * instancesARun {
				to := min(from+instancesARun, l.instances)
				body, err := pmetricotlp.NewExportRequestFromMetrics(l.export(from, to, at, rng)).MarshalProto()
				if err != nil {
					return err
				}
				if err := post(ctx, p.otlp, body, "application/x-protobuf", nil); err != nil {
					return err
				}
				sent.add((to-from)*seriesAnInstance, len(body))
			}
		}
		return nil
	})
}

func (l *otlpLoad) verify(ctx context.Context, p *proc, items int) error {
	var exprs []string
	for n := range seriesAnInstance / 10 { // the suffix is Prometheus' translation
		exprs = append(exprs, fmt.Sprintf(`sum(count_over_time({__name__=~"app_metric_%02d(_total)?"}[%ds]))`, n, int(l.last.Sub(l.first).Seconds())+10))
	}
	return countSamples(ctx, p, l.last, items, exprs...)
}

func (l *otlpLoad) queries(*proc) []query {
	q := url.Values{
		"query": {`sum(avg_over_time(app_metric_03[5m]))`}, "step": {"60"}, "nocache": {"1"},
		"start": {fmt.Sprint(l.first.Unix())}, "end": {fmt.Sprint(l.last.Unix())},
	}
	return []query{{name: "`sum(avg_over_time(app_metric_03[5m]))`, 60 s", path: "/api/v1/query_range?" + q.Encode()}}
}
