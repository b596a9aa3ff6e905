package loki

import (
	"fmt"
	"net/http"
	"runtime"
	"time"

	promModel "github.com/prometheus/common/model"

	"github.com/pharos-o11y/pharos/internal/store"
)

// buildInfo answers /loki/api/v1/status/buildinfo. It needs no tenant.
func (a *API) buildInfo(w http.ResponseWriter, _ *http.Request) error {
	b := a.Build
	if b.GoVersion == "" {
		b.GoVersion = runtime.Version()
	}
	return writeJSON(w, b)
}

// drilldownLimits answers /loki/api/v1/drilldown-limits, by which Grafana's Logs Drilldown
// decides what it can show.
func (a *API) drilldownLimits(w http.ResponseWriter, _ *http.Request) error {
	show := func(d time.Duration) string { return promModel.Duration(d).String() }
	limits := map[string]any{
		"discover_log_levels": true,
		"discover_service_name": []string{
			"service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container",
			"container_name", "k8s_container_name", "component", "workload", "job", "k8s_job_name",
		},
		"log_level_fields":            []string{"level", "LEVEL", "Level", "severity", "SEVERITY", "Severity", "lvl", "LVL", "Lvl", "severity_text"},
		"max_entries_limit_per_query": a.Limits.MaxEntries,
		"max_line_size_truncate":      false,
		"max_query_bytes_read":        "0B",
		"max_query_length":            show(a.Limits.MaxLength),
		"max_query_lookback":          "0s",
		"max_query_range":             "0s",
		"max_query_series":            a.Limits.MaxSeries,
		"metric_aggregation_enabled":  false,
		"pattern_persistence_enabled": false,
		"query_timeout":               "1m",
		"retention_period":            show(a.Limits.Retention),
		"volume_enabled":              true,
		"volume_max_series":           1000,
	}
	return writeJSON(w, map[string]any{"limits": limits, "pattern_ingester_enabled": false, "version": a.Build.Version})
}

// patterns answers /loki/api/v1/patterns the way a Loki without the pattern component
// does.
func (a *API) patterns(http.ResponseWriter, *http.Request) error {
	return fmt.Errorf("log patterns are not recorded: %w", store.ErrNotFound)
}

// rules answers /loki/api/v1/rules: rules over logs are kept with all other rules.
func (a *API) rules(http.ResponseWriter, *http.Request) error {
	return fmt.Errorf("no rule groups found: %w", store.ErrNotFound)
}
