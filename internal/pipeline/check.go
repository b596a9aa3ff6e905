package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check finds mistakes that are easy to make and whose messages from the Collector do
// not say what to write instead. It names every one of them, with its path.
func check(conf map[string]any) error {
	var errs []error
	processors := section(conf, "processors")
	for _, id := range keys(processors) {
		switch typeOf(id) {
		case "attributes":
			errs = append(errs, checkActions(section(processors, id), id, "actions", "attributes"))
		case "resource":
			errs = append(errs, checkActions(section(processors, id), id, "attributes", "actions"))
		}
	}
	return errors.Join(errs...)
}

// checkActions checks the actions of an attributes or resource processor, which the two
// keep under different keys.
func checkActions(processor map[string]any, id, key, wrongKey string) error {
	path := "processors::" + id
	if _, ok := processor[wrongKey]; ok && processor[key] == nil {
		return fmt.Errorf("%s::%s: the %s processor calls it %s", path, wrongKey, typeOf(id), key)
	}
	list, ok := processor[key].([]any)
	if !ok {
		return nil
	}
	var errs []error
	for i, v := range list {
		a, ok := v.(map[string]any)
		if !ok {
			continue
		}
		if err := checkAction(a); err != nil {
			errs = append(errs, fmt.Errorf("%s::%s[%d] (key %v): %w", path, key, i, a["key"], err))
		}
	}
	return errors.Join(errs...)
}

// checkAction checks one action.
func checkAction(a map[string]any) error {
	action, _ := a["action"].(string)
	action = strings.ToLower(action)
	known := []string{"insert", "update", "upsert", "delete", "hash", "extract", "convert"}
	var sources []string
	for _, k := range []string{"value", "from_attribute", "from_context"} {
		if a[k] != nil {
			sources = append(sources, k)
		}
	}
	writes := action == "insert" || action == "update" || action == "upsert"
	switch {
	case action == "":
		return fmt.Errorf("action is missing; write one of %s", strings.Join(known, ", "))
	case !slices.Contains(known, action):
		return fmt.Errorf("unknown action %s; write one of %s", action, strings.Join(known, ", "))
	case writes && a["pattern"] != nil:
		return fmt.Errorf(`pattern does not go with action %s, which replaces the value whatever it is; to mask what matches, use a transform processor: `+
			`transform: {trace_statements: ['replace_pattern(span.attributes["%v"], "%v", "%v")']}`, action, a["key"], escape(a["pattern"]), orMask(a["value"]))
	case writes && len(sources) > 1 && a["from_attribute"] != nil:
		return fmt.Errorf(`from_attribute does not go with %s: an action has one source, and from_attribute copies that attribute as it is; to derive a value, use a transform processor: `+
			`transform: {trace_statements: ['set(span.attributes["%v"], span.attributes["%v"])', 'replace_pattern(span.attributes["%v"], "^/api/users/[^/?]+", "%v")']}`,
			sources[0], a["key"], a["from_attribute"], a["key"], orMask(a["value"]))
	case writes && len(sources) > 1:
		return fmt.Errorf("%s do not go together: an action has one source", strings.Join(sources, " and "))
	case writes && len(sources) == 0 && a["default_value"] == nil:
		return fmt.Errorf("action %s needs value, from_attribute or from_context", action)
	case (action == "delete" || action == "hash") && len(sources) > 0:
		return fmt.Errorf("%s does not go with action %s; leave it out", sources[0], action)
	}
	return nil
}

// escape writes a regular expression as it stands in a string of OTTL.
func escape(v any) string { return strings.ReplaceAll(fmt.Sprint(v), `\`, `\\`) }

func orMask(v any) any {
	if v == nil {
		return "***"
	}
	return v
}

// replacements says what to use instead of components that are not built in.
func replacements() map[string]string {
	return map[string]string{
		"loki":                  "Pharos takes Loki pushes at /loki/api/v1/push; to send logs to another Loki use exporter otlphttp with its /otlp endpoint",
		"prometheusremotewrite": "Pharos takes remote write at /api/v1/write; as an exporter it is built in",
		"jaeger":                "Jaeger takes OTLP: use exporter otlp; as a receiver it is built in",
		"zipkin":                "as a receiver it is built in",
		"prometheus":            "as a receiver it is built in; to be scraped, use the /metrics and federation endpoints",
		"hostmetrics":           "run node_exporter and scrape it with receiver prometheus",
		"servicegraph":          "Pharos derives the service map from stored traces",
		"basicauth":             "use bearertokenauth or oidc, or a proxy in front",
		"headers_setter":        "set headers of the exporter",
		"count":                 "use spanmetrics, or a recording rule",
		"metricstransform":      "use transform",
		"resourcedetection":     "set OTEL_RESOURCE_ATTRIBUTES at the source, or use resource",
		"k8sattributes":         "run an OpenTelemetry Collector on each node for it and send OTLP here",
	}
}

// explain adds to an error of the Collector what to do about it, where that is known.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, `unknown type: "`); ok {
		name, _, _ := strings.Cut(rest, `"`)
		if hint := replacements()[name]; hint != "" {
			return fmt.Errorf("%w (%s: %s)", err, name, hint)
		}
	}
	if strings.Contains(text, "which is not configured") {
		return fmt.Errorf("%w (define it in its section, or take it out of service::pipelines)", err)
	}
	if strings.Contains(text, "address already in use") {
		return fmt.Errorf("%w (another program listens there; stop it or choose another endpoint)", err)
	}
	return err
}
