package logrules

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// TestServiceName walks through the list of labels that service_name is taken from: each
// stands before those after it.
func TestServiceName(t *testing.T) {
	all := ServiceLabels()
	for i, name := range all {
		var ls model.Labels
		for _, n := range all[i:] {
			ls = append(ls, model.Label{Name: n, Value: "of " + n})
		}
		s, err := (*Rules)(nil).NewStream(ls)
		if err != nil || s.Labels.Get("service_name") != "of "+name {
			t.Errorf("without the %d before %s: %v, %v", i, name, s, err)
		}
	}
}

func TestRulesOfServices(t *testing.T) {
	own := &Rules{Services: []string{"team", "app"}}
	none := &Rules{Services: []string{}}
	for _, tt := range []struct {
		rules      *Rules
		name, want string // labels of the stream
	}{
		{own, "team", `{service_name="x", team="x"}`},
		{own, "service", `{service="x", service_name="unknown_service"}`},
		{own, "service_name", `{service_name="x"}`},
		{none, "app", `{app="x"}`},
	} {
		s, err := tt.rules.NewStream(model.Labels{{Name: tt.name, Value: "x"}})
		if err != nil || s.Labels.String() != tt.want {
			t.Errorf("%s: %v, %v; want %s", tt.name, s, err, tt.want)
		}
	}
	_, err := none.NewStream(nil)
	var le *LabelError
	if !errors.As(err, &le) || le.Reason != "missing_labels" {
		t.Errorf("no labels: %v", err)
	}
}

func TestRulesOfLevels(t *testing.T) {
	own := &Rules{Services: ServiceLabels(), Levels: []string{"prio", "level"}}
	off := &Rules{Services: ServiceLabels(), NoLevels: true}
	for _, tt := range []struct {
		name  string
		rules *Rules
		label string
		meta  []string
		line  string
		want  string
	}{
		{"label", own, "prio", nil, "info", "error"},
		{"metadata, the first field", own, "a", []string{"level", "debug", "prio", "error"}, "info", "error"},
		{"JSON", own, "a", nil, `{"severity":"debug","prio":"error"}`, "error"},
		{"logfmt", own, "a", nil, `level=info PRIO=error`, "error"},
		{"a field that is none", own, "a", []string{"severity", "debug"}, "x", "unknown"},
		{"off", off, "level", nil, "error", ""},
		{"off, and sent", off, "a", []string{"detected_level", "WARNING"}, "error", "WARNING"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := Builder{}
			b.Reset(time.Unix(1, 0), tt.rules)
			s, err := tt.rules.NewStream(model.Labels{{Name: tt.label, Value: "error"}})
			if err != nil {
				t.Fatal(err)
			}
			b.Stream(s)
			for i := 0; i < len(tt.meta); i += 2 {
				b.Meta(tt.meta[i], tt.meta[i+1])
			}
			b.Entry(1, tt.line)
			if got := b.Batch().Streams[0].Entries[0].Meta.Get("detected_level"); got != tt.want {
				t.Errorf("level %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAttributes(t *testing.T) {
	rules := &Rules{
		Resource: []AttributeRule{
			{Action: Dropped, Names: []string{"k8s.pod.name"}},
			{Action: AsLabel, Match: regexp.MustCompile(`^(?:team\..*)$`)},
			{Action: AsMetadata, Names: []string{"team.id", "service.namespace"}},
		},
		Log: []AttributeRule{{Action: Dropped, Match: regexp.MustCompile("^(?:secret)$")}},
	}
	ignore := &Rules{IgnoreDefaults: true, Resource: []AttributeRule{{Action: AsLabel, Names: []string{"host"}}}}
	for _, tt := range []struct {
		rules *Rules
		where Place
		name  string
		want  Action
	}{
		{nil, InResource, "service.name", AsLabel},
		{nil, InResource, "k8s.job.name", AsLabel},
		{nil, InResource, "host.name", AsMetadata},
		{nil, InScope, "service.name", AsMetadata},
		{nil, InLog, "service.name", AsMetadata},
		{rules, InResource, "k8s.pod.name", Dropped},
		{rules, InResource, "team.id", AsLabel}, // the first rule counts
		{rules, InResource, "my.team.id", AsMetadata},
		{rules, InResource, "service.namespace", AsMetadata},
		{rules, InResource, "service.name", AsLabel},
		{rules, InLog, "secret", Dropped},
		{rules, InLog, "secrets", AsMetadata},
		{rules, InScope, "secret", AsMetadata},
		{ignore, InResource, "service.name", AsMetadata},
		{ignore, InResource, "host", AsLabel},
	} {
		if got := tt.rules.Attribute(tt.where, tt.name); got != tt.want {
			t.Errorf("%s in %d: %d, want %d", tt.name, tt.where, got, tt.want)
		}
	}
	for r, want := range map[*Rules]bool{nil: true, rules: false, {Services: ServiceLabels(), Levels: LevelFields()}: true} {
		if r.Default() != want {
			t.Errorf("%+v is the default: %t", r, !want)
		}
	}
}
