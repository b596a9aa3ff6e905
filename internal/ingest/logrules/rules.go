package logrules

import (
	"regexp"
	"slices"
)

// Rules is what a tenant may set otherwise, by the names of Loki's limits_config. A nil
// *Rules has the defaults. Rules do not change once they are in use.
type Rules struct {
	Services []string // discover_service_name: labels that service_name is taken from, best first; none adds none
	Levels   []string // log_level_fields: names of fields that hold a level, best first
	NoLevels bool     // discover_log_levels is off: no detected_level

	// otlp_config: what becomes of attributes. Of the rules that match one the first counts.
	Resource, Scope, Log []AttributeRule
	IgnoreDefaults       bool // no resource attribute is a label unless a rule says so
	SeverityLabel        bool // severity_text_as_label: it is a label of streams
}

// AttributeRule says what becomes of some attributes.
type AttributeRule struct {
	Action Action
	Names  []string
	Match  *regexp.Regexp // of whole names; nil matches none
}

// Action is what becomes of an attribute.
type Action uint8

// Actions. A label is one of the stream.
const (
	AsMetadata Action = iota
	AsLabel
	Dropped
)

// ServiceLabels returns the labels that service_name is taken from by default.
func ServiceLabels() []string {
	return []string{
		"service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container", "container_name",
		"k8s_container_name", "component", "workload", "job", "k8s_job_name",
	}
}

// LevelFields returns the names of fields that hold a level by default.
func LevelFields() []string {
	fields := levelFields()
	return fields[:]
}

// Default reports whether r says what the defaults say.
func (r *Rules) Default() bool {
	return r == nil || slices.Equal(r.Services, ServiceLabels()) && slices.Equal(r.Levels, LevelFields()) && !r.NoLevels && !r.IgnoreDefaults && !r.SeverityLabel &&
		len(r.Resource)+len(r.Scope)+len(r.Log) == 0
}

func (r *Rules) services() []string {
	if r == nil {
		return ServiceLabels()
	}
	return r.Services
}

// ofResource returns what becomes of a resource attribute.
func (r *Rules) ofResource(name string) Action {
	if r == nil {
		return defaultAction(name)
	}
	if a, ok := find(r.Resource, name); ok {
		return a
	}
	if r.IgnoreDefaults {
		return AsMetadata
	}
	return defaultAction(name)
}

// defaultAction makes the resource attributes of Loki's list labels.
func defaultAction(name string) Action {
	switch name {
	case "service.name", "service.namespace", "service.instance.id",
		"deployment.environment", "deployment.environment.name",
		"cloud.region", "cloud.availability_zone",
		"k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "container.name",
		"k8s.replicaset.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name",
		"k8s.cronjob.name", "k8s.job.name":
		return AsLabel
	}
	return AsMetadata
}

func find(rules []AttributeRule, name string) (Action, bool) {
	for i := range rules {
		if r := &rules[i]; slices.Contains(r.Names, name) || r.Match != nil && r.Match.MatchString(name) {
			return r.Action, true
		}
	}
	return AsMetadata, false
}

// Place is where an attribute of OpenTelemetry stands.
type Place uint8

// Places.
const (
	InResource Place = iota
	InScope
	InLog
)

// Attribute returns what becomes of an attribute.
func (r *Rules) Attribute(where Place, name string) Action {
	switch {
	case where == InResource:
		return r.ofResource(name)
	case r == nil:
		return AsMetadata
	case where == InScope:
		a, _ := find(r.Scope, name)
		return a
	}
	a, _ := find(r.Log, name)
	return a
}
