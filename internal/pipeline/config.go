package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"
	"go.yaml.in/yaml/v3"

	"github.com/pharos-o11y/pharos/internal/model"
)

// maxBody is the largest request of the default receivers, after decompression.
const maxBody = 64 << 20

// defaultReceiver is the OTLP receiver at two addresses; "none" leaves one out.
func defaultReceiver(grpc, http string) map[string]any {
	protocols := map[string]any{}
	if grpc != "none" {
		protocols["grpc"] = map[string]any{"endpoint": grpc, "include_metadata": true, "max_recv_msg_size_mib": maxBody >> 20}
	}
	if http != "none" {
		protocols["http"] = map[string]any{"endpoint": http, "include_metadata": true, "max_request_body_size": maxBody}
	}
	return map[string]any{"protocols": protocols}
}

// compatReceivers are those of Jaeger and Zipkin at the ports where their clients expect
// them, on a host.
func compatReceivers(host string) map[string]any {
	at := func(port string) map[string]any { return map[string]any{"endpoint": net.JoinHostPort(host, port)} }
	return map[string]any{
		"jaeger": map[string]any{"protocols": map[string]any{"grpc": at("14250"), "thrift_http": at("14268")}},
		"zipkin": at("9411"),
	}
}

// signals are the three kinds of pipelines, in the order they are written.
func signals() []string { return []string{"traces", "metrics", "logs"} }

// sections are the top-level keys of a Collector configuration.
func sections() []string {
	return []string{"receivers", "processors", "exporters", "connectors", "extensions", "service"}
}

// Complete makes a whole Collector configuration of text, YAML that may be empty, a
// fragment, or complete already. What has pipelines is returned as it stands. To a
// fragment it adds the OTLP receiver at addresses grpc and http (if the fragment has none
// of its own), the exporter pharos, and a pipeline for each signal through the fragment's
// processors that support it, in the order in which they are written. A processor outside
// of processors is taken as if it stood there. With a compat host it adds the receivers of
// Jaeger and Zipkin, too, at their usual ports of that host.
func Complete(text, grpc, http, compat string) (map[string]any, error) {
	var doc yaml.Node
	conf := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if err := doc.Decode(&conf); err != nil && !doc.IsZero() {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if conf == nil {
		conf = map[string]any{}
	}
	whole := len(section(section(conf, "service"), "pipelines")) > 0
	if err := checkSections(conf, whole); err != nil {
		return nil, err
	}
	if whole {
		return conf, nil
	}
	if len(section(conf, "connectors")) > 0 {
		return nil, errors.New("service::pipelines is missing: connectors need pipelines that name them")
	}
	order := processorOrder(&doc)
	lift(conf)
	receivers := subsection(conf, "receivers")
	if !slices.ContainsFunc(keys(receivers), func(id string) bool { return typeOf(id) == "otlp" }) {
		if rc := defaultReceiver(grpc, http); len(section(rc, "protocols")) > 0 {
			receivers["otlp"] = rc
		}
	}
	if compat != "" {
		for name, rc := range compatReceivers(compat) {
			if !slices.ContainsFunc(keys(receivers), func(id string) bool { return typeOf(id) == name }) {
				receivers[name] = rc
			}
		}
	}
	exporters := subsection(conf, "exporters")
	if !slices.ContainsFunc(keys(exporters), func(id string) bool { return typeOf(id) == exporterName }) {
		exporters[exporterName] = map[string]any{}
	}
	service := subsection(conf, "service")
	service["pipelines"] = wire(keys(receivers), order, keys(exporters))
	if ext := section(conf, "extensions"); len(ext) > 0 && service["extensions"] == nil {
		list := []any{}
		for _, id := range keys(ext) {
			list = append(list, id)
		}
		service["extensions"] = list
	}
	return conf, nil
}

// checkSections refuses unknown top-level keys, naming what was probably meant.
func checkSections(conf map[string]any, whole bool) error {
	var errs []error
	for _, k := range keys(conf) {
		switch {
		case slices.Contains(sections(), k):
			if _, ok := conf[k].(map[string]any); !ok && conf[k] != nil {
				errs = append(errs, fmt.Errorf("%s is not a mapping", k))
			}
		case isProcessor(k) && !whole:
		case isProcessor(k):
			errs = append(errs, fmt.Errorf("unknown key %s: it is a processor; write it below processors, and name it in a pipeline of service::pipelines", k))
		case slices.Contains(sections(), strings.SplitN(k, ".", 2)[0]):
			errs = append(errs, fmt.Errorf("unknown key %s: keys are nested, not joined by dots; write %s", k, strings.ReplaceAll(k, ".", ": ")))
		default:
			errs = append(errs, fmt.Errorf("unknown key %s: a Collector configuration has %s", k, strings.Join(sections(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// lift moves processors that stand at the top level below processors.
func lift(conf map[string]any) {
	for _, k := range keys(conf) {
		if isProcessor(k) {
			subsection(conf, "processors")[k] = conf[k]
			delete(conf, k)
		}
	}
}

// processorOrder returns the processors of a document in the order they are written.
func processorOrder(doc *yaml.Node) []string {
	var out []string
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0].Content
	for i := 0; i+1 < len(root); i += 2 {
		if isProcessor(root[i].Value) {
			out = append(out, root[i].Value)
		}
		if root[i].Value != "processors" {
			continue
		}
		for j := 0; j+1 < len(root[i+1].Content); j += 2 {
			out = append(out, root[i+1].Content[j].Value)
		}
	}
	return out
}

// wire makes the pipelines of a completed configuration.
func wire(receiverIDs, processorIDs, exporterIDs []string) map[string]any {
	rs, ps, es := abilities(receivers()), abilities(processors()), abilities(exporters())
	es[exporterName] = func(string) bool { return true }
	// It can sample logs as well, but who writes it on its own means traces.
	ps["probabilistic_sampler"] = func(signal string) bool { return signal == "traces" }
	pipelines := map[string]any{}
	for _, s := range signals() {
		in := supporting(receiverIDs, rs, s)
		if len(in) > 0 {
			pipelines[s] = map[string]any{"receivers": in, "processors": supporting(processorIDs, ps, s), "exporters": supporting(exporterIDs, es, s)}
		}
	}
	return pipelines
}

// abilities says for every type, older names included, which signals it works on.
func abilities[F interface {
	component.Factory
	TracesStability() component.StabilityLevel
	MetricsStability() component.StabilityLevel
	LogsStability() component.StabilityLevel
}](factories []F) map[string]supports {
	out := map[string]supports{}
	types, err := otelcol.MakeFactoryMap(factories...)
	if err != nil {
		model.Bug("component list: %v", err)
	}
	for name, f := range types {
		levels := map[string]component.StabilityLevel{"traces": f.TracesStability(), "metrics": f.MetricsStability(), "logs": f.LogsStability()}
		out[name.String()] = func(signal string) bool { return levels[signal] != component.StabilityLevelUndefined }
	}
	return out
}

// supports says whether a component works on a signal.
type supports func(signal string) bool

// supporting returns the components that work on signal. One of an unknown type is kept:
// the Collector's own check names it.
func supporting(ids []string, types map[string]supports, signal string) []any {
	out := []any{}
	for _, id := range ids {
		if f, ok := types[typeOf(id)]; !ok || f(signal) {
			out = append(out, id)
		}
	}
	return out
}

func isProcessor(id string) bool { return abilities(processors())[typeOf(id)] != nil }

// typeOf returns the type in a component id, type/name.
func typeOf(id string) string {
	t, _, _ := strings.Cut(id, "/")
	return strings.TrimSpace(t)
}

// section returns the mapping below key; nil if there is none.
func section(m map[string]any, key string) map[string]any {
	s, _ := m[key].(map[string]any)
	return s
}

// subsection returns the mapping below key, making it if need be.
func subsection(m map[string]any, key string) map[string]any {
	s := section(m, key)
	if s == nil {
		s = map[string]any{}
		m[key] = s
	}
	return s
}

// keys returns the sorted keys of m.
func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// setDefaults sets what Pharos wants otherwise than a Collector, unless the configuration
// says so itself: receivers and batch processors keep the tenant header of a request, and
// scraping begins at once.
func setDefaults(conf map[string]any) {
	receivers := section(conf, "receivers")
	for _, id := range keys(receivers) {
		switch typeOf(id) {
		case "otlp", "jaeger":
			protocols := section(section(receivers, id), "protocols")
			for _, name := range keys(protocols) {
				switch name {
				case "grpc", "http", "thrift_http":
					setDefault(protocols, name, "include_metadata", true)
				}
			}
		case "prometheus":
			setDefault(receivers, id, "discovery_reload_on_startup", true)
		case "zipkin":
			setDefault(receivers, id, "include_metadata", true)
		}
	}
	processors := section(conf, "processors")
	for _, id := range keys(processors) {
		if typeOf(id) == "batch" {
			setDefault(processors, id, "metadata_keys", []any{headerTenant})
		}
	}
}

// setDefault sets m[name][key] unless it is set, or m[name] is no mapping at all.
func setDefault(m map[string]any, name, key string, v any) {
	if m[name] == nil {
		m[name] = map[string]any{}
	}
	if s := section(m, name); s != nil && s[key] == nil {
		s[key] = v
	}
}

// decode expands variables (${env:NAME}, ${file:path}) and turns conf into the typed
// configurations of the factories, validated.
func decode(ctx context.Context, conf map[string]any, f otelcol.Factories) (*otelcol.Config, error) {
	provider, err := otelcol.NewConfigProvider(otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
		URIs: []string{mapScheme + ":"},
		ProviderFactories: []confmap.ProviderFactory{
			confmap.NewProviderFactory(func(confmap.ProviderSettings) confmap.Provider { return mapProvider{conf} }),
			envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory(),
		},
		DefaultScheme: "env",
	}})
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	cfg, err := provider.Get(ctx, f)
	if err = errors.Join(err, provider.Shutdown(ctx)); err != nil {
		return nil, err
	}
	if err := confmap.Validate(cfg); err != nil {
		return nil, fmt.Errorf("invalid configuration: %w", err)
	}
	return cfg, nil
}

const mapScheme = "pharos"

// mapProvider is a confmap.Provider of a configuration at hand.
type mapProvider struct{ conf map[string]any }

// Retrieve implements confmap.Provider.
func (p mapProvider) Retrieve(context.Context, string, confmap.WatcherFunc) (*confmap.Retrieved, error) {
	return confmap.NewRetrieved(p.conf)
}

// Scheme implements confmap.Provider.
func (mapProvider) Scheme() string { return mapScheme }

// Shutdown implements confmap.Provider.
func (mapProvider) Shutdown(context.Context) error { return nil }
