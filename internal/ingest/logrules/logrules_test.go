package logrules

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

func TestParseLabels(t *testing.T) {
	tests := []struct {
		in, want string
		fails    bool
	}{
		{in: `{a="b", c="d"}`, want: `{a="b", c="d"}`},
		{in: ` { c = "d" , a="b\n" , } `, want: `{c="d", a="b\n"}`},
		{in: `{}`, want: `{}`},
		{in: `{app=pb}`, fails: true},
		{in: `{app="x"`, fails: true},
		{in: `{app}`, fails: true},
		{in: `{="x"}`, fails: true},
		{in: `{a="b"} x`, fails: true},
		{in: `{a="b" c="d"}`, fails: true},
		{in: ``, fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			ls, err := ParseLabels(tt.in)
			if (err != nil) != tt.fails {
				t.Fatalf("error = %v, want one: %t", err, tt.fails)
			}
			if err == nil && ls.String() != tt.want {
				t.Errorf("got %s, want %s", ls, tt.want)
			}
		})
	}
}

func FuzzParseLabels(f *testing.F) {
	f.Add(`{a="b", c="d"}`)
	f.Add(`{a="\x00",}`)
	f.Fuzz(func(t *testing.T, s string) {
		ls, err := ParseLabels(s)
		if err != nil {
			return
		}
		if _, err := (*Rules)(nil).NewStream(ls); err != nil {
			return
		}
		again, err := ParseLabels(ls.String())
		if err != nil || !again.Equal(ls) {
			t.Errorf("%q parses as %s, which parses as %s, %v", s, ls, again, err)
		}
	})
}

func TestStream(t *testing.T) {
	tests := []struct{ in, want, reason string }{
		{in: `{app="x"}`, want: `{app="x", service_name="x"}`},
		{in: `{job="j", container="c"}`, want: `{container="c", job="j", service_name="c"}`},
		{in: `{z="1"}`, want: `{service_name="unknown_service", z="1"}`},
		{in: `{}`, want: `{service_name="unknown_service"}`},
		{in: `{service_name="s", a=""}`, want: `{service_name="s"}`},
		{in: `{a="1", a="2"}`, reason: store.ReasonInvalidLabels},
		{in: `{a.b="1"}`, reason: store.ReasonInvalidLabels},
		{in: `{é="1"}`, reason: store.ReasonInvalidLabels},
		{in: `{a="\xff"}`, reason: store.ReasonInvalidLabels},
	}
	for _, tt := range tests {
		t.Run(tt.in[:min(30, len(tt.in))], func(t *testing.T) {
			ls, err := ParseLabels(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			s, err := (*Rules)(nil).NewStream(ls)
			var le *LabelError
			switch {
			case tt.reason == "" && err != nil:
				t.Fatal(err)
			case tt.reason == "" && s.Labels.String() != tt.want:
				t.Errorf("got %s, want %s", s.Labels, tt.want)
			case tt.reason != "" && (!errors.As(err, &le) || le.Reason != tt.reason):
				t.Errorf("error = %v, want reason %s", err, tt.reason)
			}
		})
	}
}

// build makes a batch of one entry.
func build(t *testing.T, labels string, ts time.Time, line string, meta ...string) (*store.LogEntry, *store.Refused) {
	t.Helper()
	b := Builder{}
	b.Reset(time.Unix(1_700_000_000, 0), nil)
	ls, err := ParseLabels(labels)
	if err != nil {
		t.Fatal(err)
	}
	s, err := (*Rules)(nil).NewStream(ls)
	if err != nil {
		t.Fatal(err)
	}
	b.Stream(s)
	for i := 0; i < len(meta); i += 2 {
		b.Meta(meta[i], meta[i+1])
	}
	b.Entry(ts.UnixNano(), line)
	if batch := b.Batch(); len(batch.Streams) == 1 {
		return &batch.Streams[0].Entries[0], &b.Refused
	}
	return nil, &b.Refused
}

func TestEntryLevel(t *testing.T) {
	tests := []struct {
		labels string
		meta   []string
		line   string
		want   string
	}{
		{`{a="b"}`, []string{"detected_level", "WARNING"}, "error", "warn"},
		{`{level="ERR"}`, nil, "info", "error"},
		{`{level="custom"}`, nil, "info", "custom"},
		{`{a="b"}`, []string{"severity", "dbg"}, "info", "debug"},
		{`{a="b"}`, []string{"Severity", "dbg", "level", "error"}, "info", "error"},
		{`{a="b"}`, []string{"severity_number", "17"}, "info", "error"},
		{`{a="b"}`, []string{"severity_number", "0"}, "info", "unknown"},
		{`{a="b"}`, []string{"severity_number", "24"}, "info", "fatal"},
		{`{a="b"}`, nil, "level=warn", "warn"},
		{`{a="b"}`, nil, "hello", "unknown"},
	}
	for _, tt := range tests {
		e, refused := build(t, tt.labels, time.Unix(1_700_000_000, 0), tt.line, tt.meta...)
		if e == nil {
			t.Fatal(refused)
		}
		if got := e.Meta.Get("detected_level"); got != tt.want {
			t.Errorf("%s %q %q: level %q, want %q", tt.labels, tt.meta, tt.line, got, tt.want)
		}
	}
}

func TestEntryMeta(t *testing.T) {
	e, _ := build(t, `{a="b"}`, time.Unix(1_700_000_000, 0), "x",
		"a.b", "1", "a_b", "2", "1x", "3", "été", "4", "__x__", "5", "UP", "6", "_u", "7", "a  -c", "8", "__", "9", "", "10", "empty", "", "bad", "o\xffk")
	want := model.Labels{
		{Name: "UP", Value: "6"},
		{Name: "__x__", Value: "5"},
		{Name: "_t_", Value: "4"},
		{Name: "_u", Value: "7"},
		{Name: "a_b", Value: "1"},
		{Name: "a_c", Value: "8"},
		{Name: "bad", Value: "o k"},
		{Name: "detected_level", Value: "unknown"},
		{Name: "key_1x", Value: "3"},
	}
	if diff := cmp.Diff(want, e.Meta.Labels()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}
