package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"
)

// Target is a scrape target that a prometheus receiver found, and how its last scrape
// went.
type Target struct {
	Discovered map[string]string // labels before relabelling
	Labels     map[string]string // labels after
	Job        string
	URL        string
	LastError  string
	LastScrape time.Time
	Duration   time.Duration // of the last scrape
	Health     string        // up, down or unknown
	Interval   string
	Timeout    string
}

// watchScrapes has the prometheus receivers of conf answer questions about their targets
// on sockets in dir, unless the configuration gives them an API server itself. It reports
// whether there are such receivers.
func watchScrapes(conf map[string]any, dir string) (scrapes bool) {
	receivers := section(conf, "receivers")
	for _, id := range keys(receivers) {
		if typeOf(id) != "prometheus" {
			continue
		}
		scrapes = true
		// The receiver's API server wants host:port; a socket's name may look like one.
		name := strings.NewReplacer("/", "-", " ", "").Replace(id) + ":0"
		setDefault(receivers, id, "api_server", map[string]any{
			"enabled": true, "server_config": map[string]any{"transport": "unix", "endpoint": filepath.Join(dir, name)},
		})
	}
	return scrapes
}

// Targets returns the active targets of the prometheus receivers, from those receivers.
// It fails if one does not answer; the others' targets are returned.
func (p *Pipeline) Targets(ctx context.Context) ([]Target, error) {
	l := p.running.Load()
	if l == nil {
		return nil, nil
	}
	var out []Target
	var errs []error
	for id, cfg := range l.config.Receivers {
		rc, ok := cfg.(*prometheusreceiver.Config)
		if !ok || !rc.APIServer.Enabled {
			continue
		}
		addr := rc.APIServer.ServerConfig.NetAddr
		ts, err := askTargets(ctx, string(addr.Transport), addr.Endpoint)
		if err != nil {
			errs = append(errs, fmt.Errorf("ask receiver %s for its targets: %w", id, err))
		}
		out = append(out, ts...)
	}
	return out, errors.Join(errs...)
}

// askTargets asks Prometheus' API at an address.
func askTargets(ctx context.Context, network, address string) ([]Target, error) {
	var d net.Dialer
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://receiver/api/v1/targets?state=active", nil)
	if err != nil {
		return nil, err
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	var body struct {
		Error string `json:"error"`
		Data  struct {
			Active []struct {
				Discovered map[string]string `json:"discoveredLabels"`
				Labels     map[string]string `json:"labels"`
				Job        string            `json:"scrapePool"`
				URL        string            `json:"scrapeUrl"`
				LastError  string            `json:"lastError"`
				LastScrape time.Time         `json:"lastScrape"`
				Seconds    float64           `json:"lastScrapeDuration"`
				Health     string            `json:"health"`
				Interval   string            `json:"scrapeInterval"`
				Timeout    string            `json:"scrapeTimeout"`
			} `json:"activeTargets"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return nil, fmt.Errorf("decode answer with status %d: %w", res.StatusCode, err)
	}
	if body.Error != "" {
		return nil, errors.New(body.Error)
	}
	var out []Target
	for _, t := range body.Data.Active {
		out = append(out, Target{
			Discovered: t.Discovered, Labels: t.Labels, Job: t.Job, URL: t.URL, LastError: t.LastError, LastScrape: t.LastScrape,
			Duration: time.Duration(t.Seconds * float64(time.Second)), Health: t.Health, Interval: t.Interval, Timeout: t.Timeout,
		})
	}
	return out, nil
}
