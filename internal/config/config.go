// Package config is the only place that knows the configuration file: one YAML document
// with strict keys, environment expansion and defaults. It parses and checks; it wires
// nothing. The reference in docs/configuration.md is generated from the types below, so
// every field carries its documentation.
package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/ingest/derive"
	"github.com/pharos-o11y/pharos/internal/promql"
	"github.com/pharos-o11y/pharos/internal/tracestore/sampling"
)

// Config is the whole configuration.
type Config struct {
	Data         string         `yaml:"data" doc:"Directory of everything that is stored. One process at a time may use it."`
	Listen       string         `yaml:"listen" doc:"Address of the web UI and all HTTP APIs."`
	CompatPorts  bool           `yaml:"compat_ports" doc:"Also listen on 9090 and 8428 (Prometheus, VictoriaMetrics), 3100 (Loki), 3200 (Tempo) and 16686 (Jaeger's query API), and, unless pipeline has pipelines of its own, on 14250 and 14268 (spans of Jaeger) and 9411 (Zipkin), on the host of listen, so that existing agents need no change."`
	AllowOpen    bool           `yaml:"allow_open" doc:"Permit listening beyond loopback although nothing authenticates the clients."`
	AdminAPI     string         `yaml:"admin_api" doc:"The endpoints that delete series and make snapshots: on, off, or auto, which is on while listen is a loopback address."`
	OTLP         OTLP           `yaml:"otlp" doc:"Addresses of the OTLP receivers of the built-in pipeline. Ignored when pipeline is set: it then has its own receivers."`
	Tenancy      Tenancy        `yaml:"tenancy" doc:"Separation of tenants by the header X-Scope-OrgID."`
	Retention    Retention      `yaml:"retention" doc:"How long data is kept. Whole UTC days are dropped once they are older."`
	Downsampling []Downsampling `yaml:"downsampling" doc:"Coarser metric samples that are kept when retention.metrics ends, finest first: a list of resolution and retention, for example 5m and 90d, then 1h and 1y. Empty drops old samples."`
	Dedup        Dedup          `yaml:"dedup" doc:"De-duplication of metric samples, for pairs of scrapers that send the same series."`
	Metrics      Metrics        `yaml:"metrics" doc:"What is done to metrics as they arrive."`
	WAL          WAL            `yaml:"wal" doc:"Durability of writes."`
	Traces       Traces         `yaml:"traces" doc:"Metrics derived from spans as they arrive, with Tempo's names. Sampling in the pipeline comes before; spans that ended more than 30s ago are not counted."`
	Limits       Limits         `yaml:"limits" doc:"What is refused at the door. Refusals are counted by reason and answered with the reason."`
	Logs         Logs           `yaml:"logs" doc:"Logs: limits by tenant, deletion."`
	Query        Query          `yaml:"query" doc:"Bounds of queries."`
	Memory       Memory         `yaml:"memory" doc:"Memory of the process."`
	Log          Log            `yaml:"log" doc:"The log of Pharos itself, on standard error."`
	Telemetry    Telemetry      `yaml:"telemetry" doc:"How Pharos observes itself. Its metrics are always at /metrics."`
	Dashboards   Dashboards     `yaml:"dashboards" doc:"Dashboards that users save, and those of files."`
	Pipeline     Pipeline       `yaml:"pipeline" doc:"A standard OpenTelemetry Collector configuration. Its exporter pharos writes to the stores. A configuration without service (only processors, say) is completed with the OTLP receivers and that exporter. When absent, OTLP goes straight to the stores."`
}

// OTLP is the addresses of the OTLP receivers.
type OTLP struct {
	GRPC string `yaml:"grpc" doc:"OTLP over gRPC."`
	HTTP string `yaml:"http" doc:"OTLP over HTTP."`
}

// Tenancy configures tenants.
type Tenancy struct {
	Enabled bool `yaml:"enabled" doc:"Require the header X-Scope-OrgID. Off, requests without it belong to the tenant \"default\"."`
}

// Retention is how long each signal is kept.
type Retention struct {
	Metrics Duration                   `yaml:"metrics" doc:"Metric samples and exemplars."`
	Logs    Duration                   `yaml:"logs" doc:"Log entries."`
	Traces  Duration                   `yaml:"traces" doc:"Spans."`
	Tenants map[string]TenantRetention `yaml:"tenants" doc:"Per tenant; what a tenant leaves out is as above."`
}

// TenantRetention is what differs for one tenant.
type TenantRetention struct {
	Metrics Duration `yaml:"metrics" doc:"Metric samples and exemplars."`
	Logs    Duration `yaml:"logs" doc:"Log entries."`
	Traces  Duration `yaml:"traces" doc:"Spans."`
}

// Downsampling is one resolution in which old metric samples are kept.
type Downsampling struct {
	Resolution Duration `yaml:"resolution" doc:"Length of the interval that one stored row stands for. It divides a day, and the resolution before it divides it."`
	Retention  Duration `yaml:"retention" doc:"Age up to which these rows are kept; longer than retention.metrics and than the resolution before it."`
}

// Dedup configures de-duplication.
type Dedup struct {
	MinScrapeInterval Duration `yaml:"min_scrape_interval" doc:"Of each interval this long, the newest sample of a series counts, and of several with that time the biggest, as VictoriaMetrics' flag of this name says. 0 keeps all samples."`
}

// Metrics configures how metrics are taken in.
type Metrics struct {
	CreatedZero bool `yaml:"created_timestamp_zero_ingestion" doc:"Add a sample of 0 where a counter or histogram (of OTLP or remote write 2.0) says that it began, if that is newer than its last sample and less than an hour ago, so that rate sees its first growth. Prometheus' feature flag of this name."`
}

// WAL configures the write-ahead log.
type WAL struct {
	Sync        string   `yaml:"sync" doc:"commit: a write is acknowledged when it is on disk. interval: when the kernel has it; power loss may cost the last interval."`
	Interval    Duration `yaml:"interval" doc:"Time between syncs when sync is interval."`
	SegmentSize Bytes    `yaml:"segment_size" doc:"Size of the log's files."`
	MinFree     Bytes    `yaml:"min_free" doc:"Free disk space below which writes are refused with 503; reads go on."`
}

// Traces configures what is derived from spans.
type Traces struct {
	MetricsInterval Duration      `yaml:"metrics_interval" doc:"Time between two samples of a derived series."`
	MaxSeries       int           `yaml:"max_series" doc:"Derived series of one tenant. Operations beyond it share the span name __cardinality_overflow__."`
	ExemplarLabel   string        `yaml:"exemplar_label" doc:"Label of exemplars that holds the trace id."`
	SpanMetrics     SpanMetrics   `yaml:"span_metrics" doc:"Rate, errors, duration and size of every operation: traces_spanmetrics_calls_total, _latency, _size_total."`
	Sampling        []Sampling    `yaml:"sampling" doc:"Sampling after the fact: steps of after (how long a UTC day is over) and policies (those of the Collector's tail_sampling processor, and referenced: an exemplar or a log entry names the trace). A trace stays if any policy wants it; see docs/sampling.md."`
	ServiceGraphs   ServiceGraphs `yaml:"service_graphs" doc:"Calls between services: traces_service_graph_request_total, _failed_total, _server_seconds, _client_seconds."`
}

// Sampling says which traces of a day stay once it is over for some time.
type Sampling struct {
	After    Duration          `yaml:"after"`
	Policies []sampling.Policy `yaml:"policies"`
}

// SpanMetrics configures the metrics of operations.
type SpanMetrics struct {
	Enabled       bool      `yaml:"enabled" doc:"Derive them."`
	Dimensions    []string  `yaml:"dimensions" doc:"Attributes of the span, or else its resource, that become labels."`
	StatusMessage bool      `yaml:"status_message" doc:"Add the label status_message."`
	TargetInfo    bool      `yaml:"enable_target_info" doc:"Add the labels job and instance, and the series traces_target_info with the resource attributes."`
	MultiplierKey string    `yaml:"span_multiplier_key" doc:"Attribute that holds the sampling ratio r: a span counts 1/r."`
	TraceState    bool      `yaml:"enable_tracestate_span_multiplier" doc:"Likewise by the sampling threshold in the trace state, ot=th:..., where that attribute is missing."`
	Histograms    string    `yaml:"histograms" doc:"classic, native or both."`
	Buckets       []float64 `yaml:"histogram_buckets" doc:"Upper bounds of classic histograms, in seconds."`

	DimensionMappings []derive.DimensionMapping `yaml:"dimension_mappings" doc:"Labels made of several attributes: name, source_labels (attributes of the span, or else its resource) and join (what stands between their values); see docs/traces.md."`
	FilterPolicies    []derive.FilterPolicy     `yaml:"filter_policies" doc:"Spans that count: include (all attributes match), include_any (one does) and exclude (all do), each with match_type (strict or regex) and attributes (key and value); see docs/traces.md."`
}

// ServiceGraphs configures the metrics of calls between services.
type ServiceGraphs struct {
	Enabled          bool      `yaml:"enabled" doc:"Derive them."`
	Wait             Duration  `yaml:"wait" doc:"How long one side of a call waits for the other."`
	MaxItems         int       `yaml:"max_items" doc:"Calls of one tenant that wait."`
	Dimensions       []string  `yaml:"dimensions" doc:"Attributes of either side that become labels."`
	Prefixes         bool      `yaml:"enable_client_server_prefix" doc:"Make two labels of each dimension, client_ and server_."`
	PeerAttributes   []string  `yaml:"peer_attributes" doc:"Attributes that name an uninstrumented server, best first."`
	VirtualNodeLabel bool      `yaml:"enable_virtual_node_label" doc:"Add the label virtual_node: which side is not instrumented."`
	MessagingLatency bool      `yaml:"enable_messaging_system_latency_histogram" doc:"Add the time messages wait in a queue: traces_service_graph_request_messaging_system_seconds."`
	ConnectionInfo   bool      `yaml:"enable_connection_info" doc:"Add traces_service_graph_connection_info, 1 for each edge."`
	Histograms       string    `yaml:"histograms" doc:"classic, native or both."`
	Buckets          []float64 `yaml:"histogram_buckets" doc:"Upper bounds of classic histograms, in seconds."`
}

// Limits is what is refused.
type Limits struct {
	MaxBody       Bytes                   `yaml:"max_body" doc:"Size of one request body, decompressed."`
	MaxFuture     Duration                `yaml:"max_future" doc:"How far ahead of the clock the timestamp of a sample or span may be; that of a log entry: logs.limits.creation_grace_period."`
	MaxSeries     int                     `yaml:"max_series" doc:"Active metric series of one tenant."`
	MaxLabels     int                     `yaml:"max_labels" doc:"Labels of one metric series."`
	MaxLabelName  int                     `yaml:"max_label_name" doc:"Bytes of a label name of a metric series."`
	MaxLabelValue int                     `yaml:"max_label_value" doc:"Bytes of a label value of a metric series."`
	MaxTenants    int                     `yaml:"max_tenants" doc:"Tenants that may have data, over all signals; what others send is refused with 429. 0 means any number."`
	Tenants       map[string]TenantLimits `yaml:"tenants" doc:"Per tenant; what a tenant leaves out is as above."`
	MaxTraceSpans int                     `yaml:"max_trace_spans" doc:"Spans of one trace."`
	MaxAttribute  Bytes                   `yaml:"max_span_attribute" doc:"Bytes of the key, and of a string value, of an attribute of a span, event, link, resource or scope; longer ones are cut. 0 means no limit. Tempo's max_attribute_bytes."`
	SpanRate      Bytes                   `yaml:"span_rate" doc:"Bytes of spans of one tenant a second; a request beyond it is refused with 429. 0 means no limit."`
	SpanBurst     Bytes                   `yaml:"span_burst" doc:"Bytes of spans of one tenant that may come at once; 0 means span_rate."`
}

// TenantLimits is what differs for one tenant.
type TenantLimits struct {
	MaxSeries     int `yaml:"max_series" doc:"Active metric series."`
	MaxLabels     int `yaml:"max_labels" doc:"Labels of one metric series."`
	MaxLabelName  int `yaml:"max_label_name" doc:"Bytes of a label name of a metric series."`
	MaxLabelValue int `yaml:"max_label_value" doc:"Bytes of a label value of a metric series."`

	MaxAttribute Bytes `yaml:"max_span_attribute" doc:"Bytes of the key or a string value of an attribute of spans."`
	SpanRate     Bytes `yaml:"span_rate" doc:"Bytes of spans a second."`
	SpanBurst    Bytes `yaml:"span_burst" doc:"Bytes of spans at once."`
}

// Query bounds queries.
type Query struct {
	MaxConcurrent       int      `yaml:"max_concurrent" doc:"Queries running at once; 0 chooses by the number of CPUs. Others wait in line."`
	MaxTenantConcurrent int      `yaml:"max_tenant_concurrent" doc:"Of those, of one tenant; 0 means no bound of its own."`
	Timeout             Duration `yaml:"timeout" doc:"Longest run of one query."`
	MaxBytes            Bytes    `yaml:"max_bytes" doc:"Bytes one query may read; 0 means no limit."`
	MaxQueryMemory      Bytes    `yaml:"max_query_memory" doc:"Memory one query may hold; 0 means a quarter of the memory limit."`
	Lookback            Duration `yaml:"lookback" doc:"How old a metric sample may be to count as current."`
	MaxSamples          int      `yaml:"max_samples" doc:"Samples one PromQL query may hold."`
	MaxBytesPerTrace    Bytes    `yaml:"max_bytes_per_trace" doc:"Bytes of the answer of Tempo's API to a trace id: /api/v2/traces shows the spans that started first, with status PARTIAL, and /api/traces refuses. 0 means no limit; Tempo's is 5MB."`
	MaxTraceQLSeries    int      `yaml:"max_traceql_series" doc:"Series of the answer to one TraceQL metrics query; with more its status is PARTIAL. 0 means no limit."`
	Slow                Duration `yaml:"slow" doc:"Queries longer than this are logged and kept in the list of slow ones."`
	ResultCache         Bytes    `yaml:"result_cache" doc:"Memory for answers of PromQL range queries, so that a refresh evaluates only the newest steps; 0 keeps none."`

	PromQLFeatures []string `yaml:"promql_features" doc:"Experimental parts of PromQL to switch on, by the names of Prometheus' --enable-feature: promql-experimental-functions, promql-duration-expr, promql-extended-range-selectors, promql-binop-fill-modifiers. MetricsQL has its own functions of these names and needs none."`
}

// Memory bounds the process.
type Memory struct {
	Limit Bytes `yaml:"limit" doc:"Memory the process aims to stay below; 0 means 80% of the cgroup's limit or of the machine."`
}

// Log configures the log of Pharos itself.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error."`
	Format string `yaml:"format" doc:"text or json."`
}

// Dashboards configures dashboards.
type Dashboards struct {
	Postgres  string `yaml:"postgres" doc:"Connection string of a PostgreSQL database for saved dashboards, such as postgres://user:password@host/db. Empty keeps them in the file meta.db of the data directory."`
	Provision string `yaml:"provision" doc:"Directory of dashboard JSON files (subdirectories become folders), or a provisioning YAML in Grafana's form. Looked at every five seconds; these dashboards are read-only in the UI."`
	Shipped   bool   `yaml:"shipped" doc:"Offer the dashboards that come with Pharos."`
}

// Telemetry configures self-observation.
type Telemetry struct {
	Traces bool `yaml:"traces" doc:"Store traces of Pharos' own HTTP requests in itself, as service pharos."`
	Pprof  bool `yaml:"pprof" doc:"Serve Go profiles at /debug/pprof."`
}

// Default returns the configuration that an empty file means.
func Default() Config {
	return Config{
		Data:     "./data",
		Listen:   "127.0.0.1:4319",
		AdminAPI: "auto",
		OTLP:     OTLP{GRPC: "127.0.0.1:4317", HTTP: "127.0.0.1:4318"},
		Retention: Retention{
			Metrics: days(30), Logs: days(30), Traces: days(14),
		},
		WAL: WAL{Sync: "commit", Interval: Duration(200 * time.Millisecond), SegmentSize: 64 << 20, MinFree: 64 << 20},
		Traces: Traces{
			MetricsInterval: Duration(10 * time.Second), MaxSeries: 200_000, ExemplarLabel: "traceID",
			SpanMetrics: SpanMetrics{Enabled: true, Histograms: "classic", Buckets: derive.DefaultSpanBuckets()},
			ServiceGraphs: ServiceGraphs{
				Enabled: true, Wait: Duration(10 * time.Second), MaxItems: 10_000, Histograms: "classic", Buckets: derive.DefaultGraphBuckets(),
				PeerAttributes: derive.DefaultPeerAttributes(),
			},
		},
		Limits: Limits{
			MaxBody: 64 << 20, MaxFuture: Duration(10 * time.Minute), MaxSeries: 5_000_000,
			MaxLabels: 100, MaxLabelName: 1024, MaxLabelValue: 8192, MaxTenants: 1000, MaxTraceSpans: 1_000_000, MaxAttribute: 2048,
		},
		Logs: defaultLogs(),
		Query: Query{
			Timeout: Duration(2 * time.Minute), Lookback: Duration(5 * time.Minute), MaxSamples: 50_000_000,
			Slow: Duration(5 * time.Second), ResultCache: 64 << 20,
		},
		Log:        Log{Level: "info", Format: "text"},
		Dashboards: Dashboards{Shipped: true},
	}
}

func days(n int) Duration { return Duration(n) * Duration(24*time.Hour) }

// Check reports every mistake of c at once.
func (c *Config) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if c.Data == "" {
		bad("data", "is empty; name a directory")
	}
	for key, addr := range map[string]string{"listen": c.Listen, "otlp.grpc": c.OTLP.GRPC, "otlp.http": c.OTLP.HTTP} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad(key, "%q is not HOST:PORT", addr)
		}
	}
	if !oneOf(c.AdminAPI, "on", "off", "auto") {
		bad("admin_api", "%q; want on, off or auto", c.AdminAPI)
	}
	if !oneOf(c.WAL.Sync, "commit", "interval") {
		bad("wal.sync", "%q; want commit or interval", c.WAL.Sync)
	}
	if !oneOf(c.Log.Level, "debug", "info", "warn", "error") {
		bad("log.level", "%q; want debug, info, warn or error", c.Log.Level)
	}
	if !oneOf(c.Log.Format, "text", "json") {
		bad("log.format", "%q; want text or json", c.Log.Format)
	}
	for key, d := range map[string]Duration{"retention.metrics": c.Retention.Metrics, "retention.logs": c.Retention.Logs, "retention.traces": c.Retention.Traces} {
		if d != 0 && d < days(1) {
			bad(key, "%s; the least is 1d, and 0 keeps data for ever", d)
		}
	}
	for key, n := range map[string]int64{
		"limits.max_body": int64(c.Limits.MaxBody), "limits.max_future": int64(c.Limits.MaxFuture),
		"limits.max_series":     int64(c.Limits.MaxSeries),
		"limits.max_labels":     int64(c.Limits.MaxLabels),
		"limits.max_label_name": int64(c.Limits.MaxLabelName), "limits.max_label_value": int64(c.Limits.MaxLabelValue),
		"limits.max_trace_spans": int64(c.Limits.MaxTraceSpans), "query.timeout": int64(c.Query.Timeout),
		"query.lookback": int64(c.Query.Lookback), "query.max_samples": int64(c.Query.MaxSamples),
		"wal.segment_size": int64(c.WAL.SegmentSize), "traces.metrics_interval": int64(c.Traces.MetricsInterval),
		"traces.max_series": int64(c.Traces.MaxSeries), "traces.service_graphs.wait": int64(c.Traces.ServiceGraphs.Wait),
		"traces.service_graphs.max_items": int64(c.Traces.ServiceGraphs.MaxItems),
	} {
		if n <= 0 {
			bad(key, "must be positive")
		}
	}
	for _, f := range c.Query.PromQLFeatures {
		if !slices.Contains(promql.Features(), f) {
			bad("query.promql_features", "%q; want some of %s", f, strings.Join(promql.Features(), ", "))
		}
	}
	c.checkDownsampling(bad)
	c.Traces.check(bad)
	errs = append(errs, c.Logs.Limits.check("logs.limits"))
	for name, l := range c.Logs.Tenants {
		errs = append(errs, l.check("logs.tenants."+name))
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && !c.AllowOpen && !loopback(host) {
		bad("listen", "%s is reachable from other machines and nothing authenticates clients; listen on 127.0.0.1, or set allow_open: true", c.Listen)
	}
	return errors.Join(errs...)
}

func (c *Config) checkDownsampling(bad func(key, format string, args ...any)) {
	before := Downsampling{Retention: c.Retention.Metrics}
	for i, d := range c.Downsampling {
		key := fmt.Sprintf("downsampling[%d]", i)
		switch {
		case c.Retention.Metrics == 0:
			bad(key, "retention.metrics is 0: samples are kept for ever, so that none are left to downsample")
		case d.Resolution <= 0 || days(1)%d.Resolution != 0:
			bad(key+".resolution", "%s does not divide a day", d.Resolution)
		case i > 0 && (d.Resolution <= before.Resolution || d.Resolution%before.Resolution != 0):
			bad(key+".resolution", "%s is no multiple of the resolution before it, %s", d.Resolution, before.Resolution)
		case d.Retention <= before.Retention:
			bad(key+".retention", "%s is not longer than %s, which is kept in more detail", d.Retention, before.Retention)
		}
		before = d
	}
}

// check reports the mistakes of t through bad.
func (t *Traces) check(bad func(key, format string, args ...any)) {
	for _, x := range []struct {
		key, histograms string
		buckets         []float64
	}{
		{"traces.span_metrics", t.SpanMetrics.Histograms, t.SpanMetrics.Buckets},
		{"traces.service_graphs", t.ServiceGraphs.Histograms, t.ServiceGraphs.Buckets},
	} {
		if !oneOf(x.histograms, "classic", "native", "both") {
			bad(x.key+".histograms", "%q; want classic, native or both", x.histograms)
		}
		for i, b := range x.buckets {
			if !(b > 0) || i > 0 && b <= x.buckets[i-1] || b > 1e9 {
				bad(x.key+".histogram_buckets", "%v; want seconds above 0, ascending", x.buckets)
				break
			}
		}
		if len(x.buckets) == 0 || len(x.buckets) > 200 {
			bad(x.key+".histogram_buckets", "has %d bounds; want 1 to 200", len(x.buckets))
		}
	}
	o := derive.SpanOptions{
		Dimensions: t.SpanMetrics.Dimensions, DimensionMappings: t.SpanMetrics.DimensionMappings, FilterPolicies: t.SpanMetrics.FilterPolicies,
	}
	if err := o.Check(); err != nil {
		bad("traces.span_metrics", "%v", err)
	}
	for i, step := range t.Sampling {
		key := fmt.Sprintf("traces.sampling[%d]", i)
		if i > 0 && step.After <= t.Sampling[i-1].After {
			bad(key+".after", "%s does not come after the step before, %s", step.After, t.Sampling[i-1].After)
		}
		if _, err := sampling.New(step.Policies); err != nil {
			bad(key+".policies", "%v", err)
		}
	}
	if t.ExemplarLabel == "" {
		bad("traces.exemplar_label", "is empty; the usual names are traceID and trace_id")
	}
}

// Admin reports whether the admin endpoints are on.
func (c *Config) Admin() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return c.AdminAPI == "on" || c.AdminAPI == "auto" && err == nil && loopback(host)
}

func oneOf(s string, list ...string) bool {
	for _, x := range list {
		if s == x {
			return true
		}
	}
	return false
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
