package prom

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

func (a *API) buildInfo(w http.ResponseWriter, _ *http.Request) error {
	return (&response{data: a.Build}).write(w)
}

func (a *API) runtimeInfo(w http.ResponseWriter, _ *http.Request) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return (&response{data: map[string]any{
		"startTime": a.start.UTC().Format(time.RFC3339Nano), "CWD": dir, "hostname": host,
		"serverTime": a.Now().UTC().Format(time.RFC3339Nano), "reloadConfigSuccess": true,
		"lastConfigTime": a.start.UTC().Format(time.RFC3339Nano), "corruptionCount": 0,
		"goroutineCount": runtime.NumGoroutine(), "GOMAXPROCS": runtime.GOMAXPROCS(0),
		"GOMEMLIMIT": debug.SetMemoryLimit(-1), "GOGC": "", "GODEBUG": "", "storageRetention": a.Flags["storage.tsdb.retention.time"],
	}}).write(w)
}

func (a *API) config(w http.ResponseWriter, _ *http.Request) error {
	yaml := ""
	if a.Config != nil {
		yaml = a.Config()
	}
	return (&response{data: map[string]string{"yaml": yaml}}).write(w)
}

func (a *API) flags(w http.ResponseWriter, _ *http.Request) error {
	flags := a.Flags
	if flags == nil {
		flags = map[string]string{}
	}
	return (&response{data: flags}).write(w)
}

// features says what this server can do in the words of Prometheus, so that clients need
// not go by its version.
func (a *API) features(w http.ResponseWriter, _ *http.Request) error {
	all := a.Engine.Supported()
	all["api"] = map[string]bool{
		"admin": a.Admin != nil, "lifecycle": false, "remote_write_receiver": a.Writer != nil, "otlp_write_receiver": true, "search": false,
		"label_values_match": true, "query_warnings": true, "query_stats": true, "time_range_series": true, "time_range_labels": true,
	}
	all["prometheus"] = map[string]bool{"agent_mode": false, "server_mode": true}
	return (&response{data: all}).write(w)
}

// scrapePools lists the jobs of the targets.
func (a *API) scrapePools(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	pools := []string{}
	if a.Targets != nil {
		list, err := a.Targets(r.Context(), tenant)
		if err != nil {
			return err
		}
		for _, t := range list {
			pools = append(pools, t.Job)
		}
	}
	slices.Sort(pools)
	return (&response{data: map[string]any{"scrapePools": slices.Compact(pools)}}).write(w)
}

func (a *API) walReplay(w http.ResponseWriter, _ *http.Request) error {
	return (&response{data: map[string]any{"min": 0, "max": 0, "current": 0, "state": "done"}}).write(w)
}

// empty answers with empty lists under names: what a Prometheus without rules says.
func (a *API) empty(names ...string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		data := map[string][]string{}
		for _, n := range names {
			data[n] = []string{}
		}
		return (&response{data: data}).write(w)
	}
}

func (a *API) emptyList(w http.ResponseWriter, _ *http.Request) error {
	return (&response{data: []string{}}).write(w)
}

func (a *API) tsdb(w http.ResponseWriter, r *http.Request) error {
	limit, err := topN(r)
	if err != nil {
		return err
	}
	stats := func(list []store.NameCount) []stat {
		out := []stat{}
		for _, nc := range list {
			out = append(out, stat{Name: nc.Name, Value: nc.Count})
		}
		return out
	}
	return a.do(w, r, "cardinality", func(ctx context.Context, tenant model.Tenant, acct *store.Account, resp *response) error {
		if wantsDetail(r) {
			data, err := a.detailed(ctx, r, tenant, limit, acct)
			resp.data = data
			return err
		}
		c, err := a.Index.Cardinality(ctx, tenant, limit)
		if err != nil {
			return err
		}
		resp.data = map[string]any{
			"headStats": map[string]any{
				"numSeries": c.Series, "numLabelPairs": c.LabelPairs, "chunkCount": c.Chunks,
				"minTime": c.MinTime, "maxTime": c.MaxTime,
			},
			"seriesCountByMetricName":     stats(c.ByMetric),
			"labelValueCountByLabelName":  stats(c.ByLabel),
			"memoryInBytesByLabelName":    []stat{},
			"seriesCountByLabelValuePair": stats(c.ByLabelValue),
		}
		return nil
	})
}

func (a *API) targets(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	type target struct {
		DiscoveredLabels   map[string]string `json:"discoveredLabels"`
		Labels             map[string]string `json:"labels"`
		ScrapePool         string            `json:"scrapePool"`
		ScrapeURL          string            `json:"scrapeUrl"`
		GlobalURL          string            `json:"globalUrl"`
		LastError          string            `json:"lastError"`
		LastScrape         string            `json:"lastScrape"`
		LastScrapeDuration float64           `json:"lastScrapeDuration"`
		Health             string            `json:"health"`
		ScrapeInterval     string            `json:"scrapeInterval"`
		ScrapeTimeout      string            `json:"scrapeTimeout"`
	}
	active := []target{}
	var list []Target
	if a.Targets != nil {
		if list, err = a.Targets(r.Context(), tenant); err != nil {
			return err
		}
	}
	state, pool := strings.ToLower(r.FormValue("state")), r.FormValue("scrapePool")
	for _, t := range list {
		if state != "" && state != "any" && state != "active" || pool != "" && pool != t.Job {
			continue
		}
		active = append(active, target{
			t.Discovered, t.Labels, t.Job, t.URL, t.URL, t.LastError,
			t.LastScrape.UTC().Format(time.RFC3339Nano), t.Duration.Seconds(), t.Health, t.Interval, t.Timeout,
		})
	}
	return (&response{data: map[string]any{
		"activeTargets": active, "droppedTargets": []target{}, "droppedTargetCounts": map[string]int{},
	}}).write(w)
}

// errorType is Prometheus' name for a kind of error.
func errorType(code int) string {
	switch code {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusMethodNotAllowed:
		return "bad_data"
	case http.StatusUnprocessableEntity:
		return "execution"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusServiceUnavailable, http.StatusForbidden, http.StatusTooManyRequests:
		return "unavailable"
	case http.StatusGatewayTimeout:
		return "timeout"
	case 499:
		return "canceled"
	default:
		return "internal"
	}
}

func writeError(w http.ResponseWriter, code int, err error) {
	if code == http.StatusGatewayTimeout {
		code = http.StatusServiceUnavailable // what Prometheus answers to a query that ran too long
		w.Header().Set("Retry-After", strconv.Itoa(5))
	}
	writeErrorBody(w, code, errorType(code), err.Error())
}
