package pipeline

import (
	"slices"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"
	"github.com/prometheus/prometheus/discovery"
)

// ScrapeJob is a job of a prometheus receiver as it is configured. Whether its targets
// answer is in their up series.
type ScrapeJob struct {
	Receiver string // component id
	Job      string
	Scheme   string
	Path     string
	Interval time.Duration
	Timeout  time.Duration
	Targets  []string // host:port of static targets
	Dynamic  bool     // it has targets from service discovery too
}

// ScrapeJobs returns the scrape jobs of the running configuration, sorted.
func (p *Pipeline) ScrapeJobs() []ScrapeJob {
	l := p.running.Load()
	if l == nil {
		return nil
	}
	var out []ScrapeJob
	for id, cfg := range l.config.Receivers {
		rc, ok := cfg.(*prometheusreceiver.Config)
		if !ok || rc.PrometheusConfig == nil {
			continue
		}
		for _, sc := range rc.PrometheusConfig.ScrapeConfigs {
			job := ScrapeJob{
				Receiver: id.String(), Job: sc.JobName, Scheme: sc.Scheme, Path: sc.MetricsPath,
				Interval: time.Duration(sc.ScrapeInterval), Timeout: time.Duration(sc.ScrapeTimeout),
			}
			for _, sd := range sc.ServiceDiscoveryConfigs {
				static, ok := sd.(discovery.StaticConfig)
				job.Dynamic = job.Dynamic || !ok
				for _, group := range static {
					for _, target := range group.Targets {
						job.Targets = append(job.Targets, string(target["__address__"]))
					}
				}
			}
			out = append(out, job)
		}
	}
	slices.SortFunc(out, func(a, b ScrapeJob) int {
		return strings.Compare(a.Receiver+"\x00"+a.Job, b.Receiver+"\x00"+b.Job)
	})
	return out
}
