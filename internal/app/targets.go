package app

import (
	"context"
	"fmt"
	"time"

	"github.com/pharos-o11y/pharos/internal/api/prom"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/pipeline"
	"github.com/pharos-o11y/pharos/internal/store"
)

// targets lists the scrape targets of the pipeline's prometheus receivers. Their health
// is what the last scrape wrote: the series up and scrape_duration_seconds.
func (a *App) targets(ctx context.Context, tenant model.Tenant) ([]prom.Target, error) {
	var out []prom.Target
	for _, job := range a.pipeline.ScrapeJobs() {
		up, err := a.lastScrape(ctx, tenant, "up", job)
		if err != nil {
			return nil, err
		}
		took, err := a.lastScrape(ctx, tenant, "scrape_duration_seconds", job)
		if err != nil {
			return nil, err
		}
		for _, instance := range job.Targets {
			out = append(out, target(job, instance, up, took))
		}
	}
	return out, nil
}

func target(job pipeline.ScrapeJob, instance string, up, took map[string]store.Sample) prom.Target {
	t := prom.Target{
		Discovered: map[string]string{"__address__": instance, "__metrics_path__": job.Path, "__scheme__": job.Scheme, "job": job.Job},
		Labels:     map[string]string{"job": job.Job, "instance": instance},
		Job:        job.Job, URL: fmt.Sprintf("%s://%s%s", job.Scheme, instance, job.Path),
		Interval: job.Interval.String(), Timeout: job.Timeout.String(), Health: "unknown",
	}
	if s, ok := up[instance]; ok {
		t.LastScrape = time.UnixMilli(s.Time)
		t.Health = "up"
		if s.Value == 0 {
			t.Health, t.LastError = "down", "the target did not answer; the log has the reason"
		}
	}
	t.Duration = time.Duration(took[instance].Value * float64(time.Second))
	return t
}

// lastScrape returns the last sample of a scrape's own metric by instance.
func (a *App) lastScrape(ctx context.Context, tenant model.Tenant, metric string, job pipeline.ScrapeJob) (map[string]store.Sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	now := a.now()
	sel := store.MetricSelector{
		Matchers: []*model.Matcher{
			model.MustMatcher(model.MatchEqual, model.MetricName, metric),
			model.MustMatcher(model.MatchEqual, "job", job.Job),
		},
		Range: model.TimeRange{From: now.Add(-10 * job.Interval).UnixMilli(), To: now.UnixMilli() + 1},
	}
	last := map[string]store.Sample{}
	for s, err := range a.metrics.Select(ctx, tenant, sel) {
		if err != nil {
			return nil, err
		}
		ts, vs, err := s.Samples(nil, nil)
		if err != nil {
			return nil, err
		}
		if n := len(ts); n > 0 {
			last[s.Labels().Get("instance")] = store.Sample{Time: ts[n-1], Value: vs[n-1]}
		}
	}
	return last, nil
}
