package config

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"

	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/ingest/lokipush"
	"github.com/pharos-o11y/pharos/internal/logql"
)

// Logs configures what one tenant may do with logs.
type Logs struct {
	Limits       LogLimits            `yaml:"limits" doc:"Limits by the names and with the meanings of Loki's limits_config. 0 means no limit where nothing else is said."`
	Tenants      map[string]LogLimits `yaml:"tenants" doc:"Per tenant; what a tenant leaves out is as above."`
	CancelPeriod Duration             `yaml:"delete_request_cancel_period" doc:"How long a delete request can be taken back. Its entries are hidden at once; they leave the disk after this time."`
}

// LogLimits is what one tenant may do with logs.
type LogLimits struct {
	MaxLineSize         BinaryBytes `yaml:"max_line_size" doc:"Size of one line."`
	MaxLineSizeTruncate bool        `yaml:"max_line_size_truncate" doc:"Cut longer lines instead of refusing them."`
	MaxLabelNames       int         `yaml:"max_label_names_per_series" doc:"Labels of one stream, not counting service_name."`
	MaxLabelNameLength  int         `yaml:"max_label_name_length" doc:"Bytes of a label name."`
	MaxLabelValueLength int         `yaml:"max_label_value_length" doc:"Bytes of a label value."`
	MaxStreams          int         `yaml:"max_global_streams_per_user" doc:"Streams written to within an hour."`
	IngestionRate       float64     `yaml:"ingestion_rate_mb" doc:"MiB of entries a second. A request that exceeds it is answered 429 and nothing of it is stored."`
	IngestionBurst      float64     `yaml:"ingestion_burst_size_mb" doc:"MiB that may come at once; 0 means 1.5 times the rate."`
	PerStreamRate       BinaryBytes `yaml:"per_stream_rate_limit" doc:"Bytes of entries of one stream a second."`
	PerStreamBurst      BinaryBytes `yaml:"per_stream_rate_limit_burst" doc:"Bytes of one stream that may come at once; 0 means 5 times the rate."`
	RejectOldSamples    bool        `yaml:"reject_old_samples" doc:"Refuse entries older than reject_old_samples_max_age. Off, everything is taken that its retention keeps."`
	RejectOldSamplesAge Duration    `yaml:"reject_old_samples_max_age" doc:"Oldest entry that is taken with reject_old_samples."`
	CreationGracePeriod Duration    `yaml:"creation_grace_period" doc:"How far ahead of the clock an entry may be."`
	MaxMetadataSize     BinaryBytes `yaml:"max_structured_metadata_size" doc:"Bytes of names and values of one entry's structured metadata."`
	MaxMetadataCount    int         `yaml:"max_structured_metadata_entries_count" doc:"Structured metadata fields of one entry."`
	AllowMetadata       bool        `yaml:"allow_structured_metadata" doc:"Take structured metadata. Off, entries that have any are refused, which all OTLP entries do."`
	SpreadEqualTimes    bool        `yaml:"increment_duplicate_timestamp" doc:"Give entries of a stream that come one after the other with the same time each a nanosecond more."`
	RequiredLabels      []string    `yaml:"enforced_labels" doc:"Labels that each stream must have."`
	BlockUntil          Time        `yaml:"block_ingestion_until" doc:"Refuse everything until this time, RFC 3339."`
	BlockStatus         int         `yaml:"block_ingestion_status_code" doc:"Answer to what is refused because it is blocked. Clients take 260 for success and do not send it again; 200 hides it from them."`
	ServiceLabels       []string    `yaml:"discover_service_name" doc:"Labels that service_name is taken from, best first; [] adds no service_name."`
	DiscoverLevels      bool        `yaml:"discover_log_levels" doc:"Find the level of each entry and add it as detected_level."`
	LevelFields         []string    `yaml:"log_level_fields" doc:"Fields that hold a level, best first: labels, metadata, and keys of JSON and logfmt lines."`
	OTLP                OTLPConfig  `yaml:"otlp_config" doc:"What becomes of the attributes of OpenTelemetry logs."`
	DeletionMode        string      `yaml:"deletion_mode" doc:"filter-and-delete; filter-only: what is deleted is hidden and stays on disk; disabled: no delete requests."`

	Policies       map[string][]PolicyStream `yaml:"policy_stream_mapping" doc:"Groups of streams: by name a list of selector and priority. Of those that match a stream the highest priority counts."`
	PolicyRequired map[string][]string       `yaml:"policy_enforced_labels" doc:"Labels that each stream of a policy must have, on top of enforced_labels; * means every stream."`
	PolicyBlocked  map[string]Time           `yaml:"block_ingestion_policy_until" doc:"Refuse the streams of a policy until this time; * means the streams of no policy."`

	RetentionStream   []Stream    `yaml:"retention_stream" doc:"Streams that are kept for longer or shorter than retention.logs: a list of selector, priority and period. Of the rules that match a stream the one with the highest priority counts."`
	MaxEntries        int         `yaml:"max_entries_limit_per_query" doc:"Entries of the answer to a log query."`
	MaxQuerySeries    int         `yaml:"max_query_series" doc:"Series of the answer to a metric query."`
	MaxQueryLength    Duration    `yaml:"max_query_length" doc:"Time between start and end of a query."`
	MaxQueryRange     Duration    `yaml:"max_query_range" doc:"The longest [range] in a query."`
	MaxQueryLookback  Duration    `yaml:"max_query_lookback" doc:"How far before now queries see."`
	MaxStreamMatchers int         `yaml:"max_streams_matchers_per_query" doc:"Stream matchers of one query."`
	RequiredMatchers  []string    `yaml:"required_labels" doc:"Labels that each stream selector of a query must name."`
	MinMatchers       int         `yaml:"minimum_labels_number" doc:"Matchers that each stream selector of a query must have."`
	MaxBytesRead      BinaryBytes `yaml:"max_query_bytes_read" doc:"Bytes of entries that one query may have to look at, as explain=1 counts them."`
	QueryTimeout      Duration    `yaml:"query_timeout" doc:"Longest run of one query; 0 means query.timeout."`
	VolumeEnabled     bool        `yaml:"volume_enabled" doc:"Answer index/volume and index/volume_range."`
	VolumeMaxSeries   int         `yaml:"volume_max_series" doc:"Series of an answer about volume."`
	MaxTails          int         `yaml:"max_concurrent_tail_requests" doc:"Live tails at one time."`
	TailMaxDuration   Duration    `yaml:"tail_max_duration" doc:"Longest live tail."`
}

// OTLPConfig says what becomes of attributes of OpenTelemetry logs. Of the rules that match
// one the first counts.
type OTLPConfig struct {
	Resource OTLPResource `yaml:"resource_attributes" doc:"Of resources."`
	Scope    []OTLPRule   `yaml:"scope_attributes" doc:"Of scopes: a list of action (structured_metadata or drop), attributes and regex."`
	Severity bool         `yaml:"severity_text_as_label" doc:"Make the severity text of a record the label severity_text of its stream."`
	Log      []OTLPRule   `yaml:"log_attributes" doc:"Of log records: a list like that of scopes."`
}

// OTLPResource says what becomes of resource attributes.
type OTLPResource struct {
	IgnoreDefaults bool       `yaml:"ignore_defaults" doc:"Make no attribute a label that attributes_config does not name."`
	Rules          []OTLPRule `yaml:"attributes_config" doc:"A list of action (index_label, structured_metadata or drop), attributes and regex. What no rule names is a label if it is in Loki's list, such as service.name and k8s.pod.name."`
}

// OTLPRule is a rule about attributes.
type OTLPRule struct {
	Action     string   `yaml:"action" doc:"index_label, structured_metadata or drop."`
	Attributes []string `yaml:"attributes" doc:"Names of attributes."`
	Regex      string   `yaml:"regex" doc:"Regular expression that whole names match."`
}

// Actions of an [OTLPRule].
const (
	OTLPLabel    = "index_label"
	OTLPMetadata = "structured_metadata"
	OTLPDrop     = "drop"
)

func (r *OTLPRule) check(key string, label bool) error {
	switch r.Action {
	case OTLPMetadata, OTLPDrop:
	case OTLPLabel:
		if !label {
			return fmt.Errorf("%s: only resource attributes can be %s", key, OTLPLabel)
		}
	default:
		return fmt.Errorf("%s: action %q; want %s, %s or %s", key, r.Action, OTLPLabel, OTLPMetadata, OTLPDrop)
	}
	if len(r.Attributes) == 0 && r.Regex == "" {
		return fmt.Errorf("%s: attributes or regex is required", key)
	}
	if _, err := regexp.Compile(r.Regex); err != nil {
		return fmt.Errorf("%s.regex: %w", key, err)
	}
	return nil
}

func (c *OTLPConfig) check(key string) error {
	var errs []error
	for place, rules := range map[string][]OTLPRule{
		".resource_attributes.attributes_config": c.Resource.Rules, ".scope_attributes": c.Scope, ".log_attributes": c.Log,
	} {
		for i := range rules {
			errs = append(errs, rules[i].check(fmt.Sprintf("%s%s: rule %d", key, place, i+1), place[1] == 'r'))
		}
	}
	return errors.Join(errs...)
}

// Stream is a rule about the retention of streams.
type Stream struct {
	Selector string   `yaml:"selector" doc:"LogQL stream selector."`
	Priority int      `yaml:"priority" doc:"Higher ones win."`
	Period   Duration `yaml:"period" doc:"How long entries are kept; 0 means for ever."`
}

// PolicyStream says which streams belong to a policy.
type PolicyStream struct {
	Selector string `yaml:"selector" doc:"LogQL stream selector."`
	Priority int    `yaml:"priority" doc:"Higher ones win."`
}

// Modes of deletion.
const (
	DeletionOff    = "disabled"
	DeletionFilter = "filter-only"
	DeletionFull   = "filter-and-delete"
)

func defaultLogs() Logs {
	return Logs{
		CancelPeriod: days(1),
		Limits: LogLimits{
			MaxLineSize: 256 << 10, MaxLabelNames: 15, MaxLabelNameLength: 1024, MaxLabelValueLength: 2048, MaxStreams: 100_000,
			RejectOldSamplesAge: days(7), CreationGracePeriod: Duration(10 * time.Minute), MaxMetadataSize: 64 << 10, MaxMetadataCount: 128,
			MaxEntries: 5000, MaxQuerySeries: 500, MaxQueryLength: Duration(721 * time.Hour), MaxStreamMatchers: 1000, VolumeMaxSeries: 1000,
			MaxTails: 10, TailMaxDuration: Duration(time.Hour),
			AllowMetadata: true, ServiceLabels: logrules.ServiceLabels(), DiscoverLevels: true, LevelFields: logrules.LevelFields(), VolumeEnabled: true,
			BlockStatus: lokipush.StatusBlocked, DeletionMode: DeletionFull,
		},
	}
}

// decodeTenants reads the limits of tenants, each on top of the common ones.
func (l *Logs) decodeTenants(root *yaml.Node) error {
	tenants := child(child(root, "logs"), "tenants")
	for name := range l.Tenants {
		own := l.Limits
		own.Policies, own.PolicyRequired, own.PolicyBlocked = maps.Clone(own.Policies), maps.Clone(own.PolicyRequired), maps.Clone(own.PolicyBlocked)
		if err := child(tenants, name).Decode(&own); err != nil {
			return err
		}
		l.Tenants[name] = own
	}
	return nil
}

// child returns the value of a key of a mapping, an empty node if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return &yaml.Node{}
}

// check reports the mistakes of l, whose key is given.
func (l *LogLimits) check(key string) error {
	var errs []error
	for name, n := range map[string]int64{
		"max_line_size": int64(l.MaxLineSize), "max_label_names_per_series": int64(l.MaxLabelNames), "max_label_name_length": int64(l.MaxLabelNameLength),
		"max_label_value_length": int64(l.MaxLabelValueLength), "max_global_streams_per_user": int64(l.MaxStreams), "ingestion_rate_mb": int64(l.IngestionRate),
		"ingestion_burst_size_mb": int64(l.IngestionBurst), "max_structured_metadata_entries_count": int64(l.MaxMetadataCount),
		"max_entries_limit_per_query": int64(l.MaxEntries), "max_query_series": int64(l.MaxQuerySeries), "max_streams_matchers_per_query": int64(l.MaxStreamMatchers),
		"volume_max_series": int64(l.VolumeMaxSeries), "max_concurrent_tail_requests": int64(l.MaxTails), "minimum_labels_number": int64(l.MinMatchers),
	} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("%s.%s: must not be negative", key, name))
		}
	}
	errs = append(errs, l.OTLP.check(key+".otlp_config"), l.checkPolicies(key))
	if !oneOf(l.DeletionMode, DeletionOff, DeletionFilter, DeletionFull) {
		errs = append(errs, fmt.Errorf("%s.deletion_mode: %q; want %s, %s or %s", key, l.DeletionMode, DeletionOff, DeletionFilter, DeletionFull))
	}
	if c := l.BlockStatus; c < http.StatusOK || c > 599 {
		errs = append(errs, fmt.Errorf("%s.block_ingestion_status_code: %d is not the status of an answer", key, c))
	}
	for i, r := range l.RetentionStream {
		if _, err := logql.ParseSelector(r.Selector, false); err != nil {
			errs = append(errs, fmt.Errorf("%s.retention_stream: selector %d: %w", key, i+1, err))
		}
		if r.Period != 0 && r.Period < days(1) {
			errs = append(errs, fmt.Errorf("%s.retention_stream: period %s of %s; the least is 1d, and 0 keeps entries for ever", key, r.Period, r.Selector))
		}
	}
	return errors.Join(errs...)
}

// checkPolicies reports the mistakes of the policies of l.
func (l *LogLimits) checkPolicies(key string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(l.Policies)) {
		for i, s := range l.Policies[name] {
			if _, err := logql.ParseSelector(s.Selector, false); err != nil {
				errs = append(errs, fmt.Errorf("%s.policy_stream_mapping.%s: selector %d: %w", key, name, i+1, err))
			}
		}
	}
	for _, name := range l.PolicyNames() {
		if _, ok := l.Policies[name]; !ok && name != AnyPolicy {
			errs = append(errs, fmt.Errorf("%s: policy %s is not in policy_stream_mapping", key, name))
		}
	}
	return errors.Join(errs...)
}

// AnyPolicy names the policy of streams that belong to no other.
const AnyPolicy = "*"

// PolicyNames returns the policies of l in order.
func (l *LogLimits) PolicyNames() []string {
	names := slices.Concat(slices.Collect(maps.Keys(l.Policies)), slices.Collect(maps.Keys(l.PolicyRequired)), slices.Collect(maps.Keys(l.PolicyBlocked)))
	slices.Sort(names)
	return slices.Compact(names)
}

// ofLoki says what takes the place of a key of Loki's configuration that t does not have, ""
// of any other key.
func ofLoki(t reflect.Type, key string) string {
	switch {
	case t == reflect.TypeFor[Config]() && key == "limits_config":
		return ", which is logs.limits here"
	case t == reflect.TypeFor[Config]() && key == "overrides":
		return ", which is logs.tenants here"
	case t != reflect.TypeFor[LogLimits]():
		return ""
	}
	for _, x := range []struct{ keys, hint string }{
		{"retention_period", "set retention.logs or retention.tenants.NAME.logs"},
		{"max_chunks_per_query max_querier_bytes_read cardinality_limit", "there are no chunks; set max_query_bytes_read or query.max_query_memory"},
		{"max_streams_per_user", "set max_global_streams_per_user"},
		{"allow_deletes", "set deletion_mode"},
		{"ingestion_rate_strategy use_owned_stream_count", "one process takes all writes: limits are exact"},
		{"unordered_writes", "entries are taken in any order"},
		{"split_* tsdb_* shard_* min_sharding_lookback max_query_parallelism max_queriers_per_tenant query_ready_index_num_days", "queries are not split; query.max_concurrent and query.max_tenant_concurrent bound them"},
		{"max_cache_freshness_per_query max_stats_cache_freshness max_metadata_cache_freshness max_query_capacity", "there is no cache of answers"},
		{"pattern_* metric_aggregation_*", "patterns are found when they are asked for, from what is stored"},
		{"bloom_*", "there is always a filter of words for each block"},
		{"ruler_*", "there are no rules over logs"},
		{"blocked_queries", "queries cannot be blocked; max_query_bytes_read and query_timeout bound them"},
	} {
		for known := range strings.FieldsSeq(x.keys) {
			if prefix, ok := strings.CutSuffix(known, "*"); key == known || ok && strings.HasPrefix(key, prefix) {
				return ", a limit of Loki's that is not here: " + x.hint
			}
		}
	}
	return ""
}

// BinaryBytes is a size like [Bytes], except that KB, MB and GB are powers of 1,024, as in
// Loki's configuration.
type BinaryBytes int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (b *BinaryBytes) UnmarshalYAML(n *yaml.Node) error {
	text := n.Value
	if k := len(text); k > 1 && (text[k-1] == 'B' || text[k-1] == 'b') {
		switch text[k-2] {
		case 'k', 'K', 'm', 'M', 'g', 'G', 't', 'T':
			text = text[:k-1] + "iB"
		}
	}
	v, err := humanize.ParseBytes(text)
	if err != nil || v > 1<<60 {
		return fmt.Errorf("line %d: %q is not a size such as 256KB, 1MiB or 4096", n.Line, n.Value)
	}
	*b = BinaryBytes(v)
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (b BinaryBytes) MarshalYAML() (any, error) { return b.String(), nil }

// String returns the form that UnmarshalYAML reads, exactly.
func (b BinaryBytes) String() string { return Bytes(b).String() }
