package pipeline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComplete(t *testing.T) {
	tests := []struct {
		name, in string
		want     map[string]any // of service::pipelines
		fails    string
		compat   string
	}{
		{name: "empty", want: map[string]any{
			"traces":  map[string]any{"receivers": []any{"otlp"}, "processors": []any{}, "exporters": []any{"pharos"}},
			"metrics": map[string]any{"receivers": []any{"otlp"}, "processors": []any{}, "exporters": []any{"pharos"}},
			"logs":    map[string]any{"receivers": []any{"otlp"}, "processors": []any{}, "exporters": []any{"pharos"}},
		}},
		{
			name: "order and signals",
			in:   "receivers: {filelog: {include: [/x]}, prometheus: {}}\nprocessors: {tail_sampling: {}, batch: , attributes/a: {}}\nexporters: {prometheusremotewrite: {}}",
			want: map[string]any{
				"traces":  map[string]any{"receivers": []any{"otlp"}, "processors": []any{"tail_sampling", "batch", "attributes/a"}, "exporters": []any{"pharos"}},
				"metrics": map[string]any{"receivers": []any{"otlp", "prometheus"}, "processors": []any{"batch", "attributes/a"}, "exporters": []any{"pharos", "prometheusremotewrite"}},
				"logs":    map[string]any{"receivers": []any{"filelog", "otlp"}, "processors": []any{"batch", "attributes/a"}, "exporters": []any{"pharos"}},
			},
		},
		{
			name: "compatible ports", compat: "127.0.0.1",
			in: "receivers: {zipkin/own: {}}\nprocessors: {batch: }",
			want: map[string]any{
				"traces":  map[string]any{"receivers": []any{"jaeger", "otlp", "zipkin/own"}, "processors": []any{"batch"}, "exporters": []any{"pharos"}},
				"metrics": map[string]any{"receivers": []any{"otlp"}, "processors": []any{"batch"}, "exporters": []any{"pharos"}},
				"logs":    map[string]any{"receivers": []any{"otlp"}, "processors": []any{"batch"}, "exporters": []any{"pharos"}},
			},
		},
		{name: "whole, compatible ports", compat: "::1", in: "service: {pipelines: {traces: {receivers: [x]}}}", want: map[string]any{"traces": map[string]any{"receivers": []any{"x"}}}},
		{name: "whole", in: "service: {pipelines: {traces: {receivers: [x]}}}", want: map[string]any{"traces": map[string]any{"receivers": []any{"x"}}}},
		{name: "unknown key", in: "inputs: {}", fails: "unknown key inputs: a Collector configuration has receivers,"},
		{name: "dotted key", in: "service.pipelines: {}", fails: "write service: pipelines"},
		{name: "processor in a whole one", in: "tail_sampling: {}\nservice: {pipelines: {traces: {}}}", fails: "write it below processors"},
		{name: "list", in: "processors: [batch]", fails: "processors is not a mapping"},
		{name: "connectors", in: "connectors: {spanmetrics: }", fails: "service::pipelines is missing"},
		{name: "not YAML", in: "a: [", fails: "read configuration"},
		{name: "text", in: "hello", fails: "read configuration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf, err := Complete(tt.in, "g", "h", tt.compat)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Fatalf("error %v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, section(section(conf, "service"), "pipelines")); diff != "" {
				t.Errorf("pipelines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetDefaults(t *testing.T) {
	conf, err := Complete(`
receivers:
  otlp: {protocols: {grpc: , http: {include_metadata: false}}}
  zipkin:
  prometheus:
processors: {batch: , batch/own: {metadata_keys: [a]}}
`, "g", "h", "")
	if err != nil {
		t.Fatal(err)
	}
	setDefaults(conf)
	want := map[string]any{
		"otlp": map[string]any{"protocols": map[string]any{
			"grpc": map[string]any{"include_metadata": true}, "http": map[string]any{"include_metadata": false},
		}},
		"zipkin":     map[string]any{"include_metadata": true},
		"prometheus": map[string]any{"discovery_reload_on_startup": true},
	}
	if diff := cmp.Diff(want, conf["receivers"]); diff != "" {
		t.Errorf("receivers (-want +got):\n%s", diff)
	}
	want = map[string]any{
		"batch": map[string]any{"metadata_keys": []any{headerTenant}}, "batch/own": map[string]any{"metadata_keys": []any{"a"}},
	}
	if diff := cmp.Diff(want, conf["processors"]); diff != "" {
		t.Errorf("processors (-want +got):\n%s", diff)
	}
}

// TestCompat checks what is added for clients of Jaeger and Zipkin.
func TestCompat(t *testing.T) {
	conf, err := Complete("", "g", "h", "::1")
	if err != nil {
		t.Fatal(err)
	}
	setDefaults(conf)
	delete(section(conf, "receivers"), "otlp")
	want := map[string]any{
		"zipkin": map[string]any{"endpoint": "[::1]:9411", "include_metadata": true},
		"jaeger": map[string]any{"protocols": map[string]any{
			"grpc":        map[string]any{"endpoint": "[::1]:14250", "include_metadata": true},
			"thrift_http": map[string]any{"endpoint": "[::1]:14268", "include_metadata": true},
		}},
	}
	if diff := cmp.Diff(want, conf["receivers"]); diff != "" {
		t.Errorf("receivers (-want +got):\n%s", diff)
	}
}

// TestMistakes checks that an error names the place and the right form.
func TestMistakes(t *testing.T) {
	tests := []struct {
		in    string
		wants []string
	}{
		{"processors: {resource: {actions: [{key: a, action: delete}]}}", []string{"processors::resource::actions: the resource processor calls it attributes"}},
		{"processors: {attributes: {attributes: []}}", []string{"processors::attributes::attributes: the attributes processor calls it actions"}},
		{"processors: {attributes: {actions: [{key: a}]}}", []string{"attributes::actions[0] (key a): action is missing"}},
		{"processors: {attributes: {actions: [{key: a, action: hash, value: x}]}}", []string{"value does not go with action hash"}},
		{"processors: {attributes: {actions: [{key: a, action: insert}]}}", []string{"needs value, from_attribute or from_context"}},
		{"processors: {attrs: {}}", []string{`unknown type: "attrs"`}},
		{"receivers: {loki: {}}", []string{`unknown type: "loki"`, "/loki/api/v1/push"}},
		{"exporters: {logging: {}}", []string{"use the debug exporter instead"}},
		{"processors: {batch: {timout: 1s}}", []string{"timout"}},
		{"receivers: {otlp: {protocols: {grpc: }}}\nexporters: {pharos: }\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [phar]}}}", []string{"phar", "define it in its section"}},
		{"processors: {filter: {logs: {log_record: ['attributes[level == 1']}}}", []string{"filter"}},
		{"exporters: {pharos: {tenant: 'a/b'}}", []string{"tenant"}},
	}
	for _, tt := range tests {
		err := Check(t.Context(), tt.in)
		for _, want := range tt.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s:\nerror %v\nwant  %s", tt.in, err, want)
			}
		}
	}
}

func FuzzComplete(f *testing.F) {
	f.Add("processors: {batch: , attributes/x: {actions: [{key: a, action: insert, value: 1}]}}")
	f.Add("receivers: {otlp: {protocols: {grpc: 5}}}")
	f.Add("service: {pipelines: 5}")
	f.Fuzz(func(_ *testing.T, text string) {
		conf, err := Complete(text, "g", "h", "")
		if err != nil {
			return
		}
		_ = check(conf)
		setDefaults(conf)
	})
}
