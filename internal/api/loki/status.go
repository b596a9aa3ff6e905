package loki

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"

	promModel "github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// BuildInfo is the answer of status/buildinfo. Clients choose features by the version, so
// it names the Loki whose API this is.
type BuildInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

// compatVersion is the Loki version that the API follows.
const compatVersion = "3.7.6"

// buildInfo answers /loki/api/v1/status/buildinfo. It needs no tenant.
func (a *API) buildInfo(w http.ResponseWriter, _ *http.Request) error {
	b := a.Build
	if b.GoVersion == "" {
		b.GoVersion = runtime.Version()
	}
	return writeJSON(w, b)
}

// tenantLimits returns the limits that clients may see, by Loki's names. A request that
// names no tenant gets those of the default one.
func (a *API) tenantLimits(r *http.Request) map[string]any {
	tenants, err := a.Tenancy.ReadTenants(r)
	if err != nil {
		tenants = []model.Tenant{model.DefaultTenant}
	}
	l := a.limits(tenants)
	show := func(d time.Duration) string { return promModel.Duration(max(d, 0)).String() }
	return map[string]any{
		"discover_log_levels":         !l.NoLevels,
		"discover_service_name":       l.ServiceLabels,
		"log_level_fields":            l.LevelFields,
		"otlp_config":                 l.OTLP,
		"max_entries_limit_per_query": l.MaxEntries,
		"max_line_size_truncate":      l.MaxLineSizeTruncate,
		"max_query_bytes_read":        fmt.Sprintf("%dB", l.MaxBytesRead),
		"max_query_length":            show(l.MaxLength),
		"max_query_lookback":          show(l.MaxLookback),
		"max_query_range":             show(l.MaxRange),
		"max_query_series":            l.MaxSeries,
		"metric_aggregation_enabled":  false,
		"pattern_persistence_enabled": false,
		"query_timeout":               show(l.QueryTimeout),
		"retention_period":            show(l.Retention),
		"volume_enabled":              !l.NoVolume,
		"volume_max_series":           l.VolumeMaxSeries,
	}
}

// drilldownLimits answers /loki/api/v1/drilldown-limits, by which Grafana's Logs Drilldown
// decides what it can show. It needs no tenant.
func (a *API) drilldownLimits(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, map[string]any{"limits": a.tenantLimits(r), "pattern_ingester_enabled": true, "version": a.Build.Version})
}

// yamlLimits answers /config/tenant/v1/limits: the same limits as YAML.
func (a *API) yamlLimits(w http.ResponseWriter, r *http.Request) error {
	text, err := yaml.Marshal(a.tenantLimits(r))
	if err != nil {
		return err
	}
	return writeText(w, string(text))
}

// config answers /config: the configuration in force.
func (a *API) config(w http.ResponseWriter, _ *http.Request) error { return writeText(w, a.Config()) }

// services answers /services. All of Pharos is one process, so what Loki lists as services
// runs if this answer is written.
func (a *API) services(w http.ResponseWriter, _ *http.Request) error {
	return writeText(w, "server => Running\nstore => Running\ndistributor => Running\ningester => Running\nquerier => Running\ncompactor => Running\n")
}

// ring answers /ring: there is one member, and it is active.
func (a *API) ring(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]any{
		"shards": []map[string]any{{"id": "pharos", "state": "ACTIVE", "address": "127.0.0.1", "timestamp": a.Now().UTC().Format(time.RFC3339), "tokens": []int{}}},
		"now":    a.Now().UTC().Format(time.RFC3339Nano),
	})
}

// flush answers POST /flush: what is in memory is written to parts.
func (a *API) flush(w http.ResponseWriter, r *http.Request) error {
	if err := a.Flush(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// rules answers Loki's rule endpoints the way a Loki does whose ruler has no storage.
// Rules over logs are kept with all other rules of Pharos.
func (a *API) rules(_ http.ResponseWriter, r *http.Request) error {
	if _, err := a.Tenancy.Of(r); err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		return notFound("no rule groups found")
	}
	return notFound("rule groups cannot be changed here, no ruler storage is configured")
}

// notFound is a [store.ErrNotFound] with a text of its own.
type notFound string

func (e notFound) Error() string { return string(e) }

func (notFound) Is(target error) bool { return target == store.ErrNotFound }

func writeText(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(w, text)
	return err
}
