package traceql

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExtractFilter(t *testing.T) {
	tests := []struct{ q, want string }{
		{`{ .a = "x" }`, `{ .a = "x" }`},
		{`{ .a = "x" && .b = }`, `{ .a = "x" }`},
		{`{ .b = && .a = "x" }`, `{ .a = "x" }`},
		{`{ .a = "x" && .b }`, `{ .a = "x" }`},
		{`{ .a = "x" && .b = "y`, `{ .a = "x" }`},
		{`{ .a = "x" && `, `{ .a = "x" }`},
		{`{ .a = "x" || .b = }`, ``},
		{`{ .a = "x" || `, ``},
		{`{ .a = "x" || .b = 1 }`, `{ (.a = "x") || (.b = 1) }`},
		{`{ (.a = "x" || .b = ) && .c = 1 }`, `{ .c = 1 }`},
		{`{ (.a = "x" || .b = 2) && .c = 1 }`, `{ ((.a = "x") || (.b = 2)) && (.c = 1) }`},
		{`{ .a = "x" && status = foo && kind = server }`, `{ (.a = "x") && (kind = server) }`},
		{`{ name = 5 && .a = 1 }`, `{ .a = 1 }`},
		{`{ .a }`, ``},
		{`{}`, ``},
		{`{`, ``},
		{``, ``},
		{`.a = 1`, ``},
		{`{ .a = 1 } && { .b = 1 }`, ``},
		{`{ .a = 1 } | rate()`, ``},
		{`{ .a = 1 { .b = 2 }`, ``},
		{`{ ((((`, ``},
	}
	for _, tt := range tests {
		got := ""
		if e := ExtractFilter(tt.q); e != nil {
			got = e.String()
		}
		if got != tt.want {
			t.Errorf("ExtractFilter(%q) = %q, want %q", tt.q, got, tt.want)
		}
	}
}

func FuzzExtractFilter(f *testing.F) {
	f.Add(`{ .a = "x" && (.b = 1 || .c`)
	f.Fuzz(func(t *testing.T, q string) {
		if e := ExtractFilter(q); e != nil {
			checkRoundTrip(t, e)
		}
	})
}

func TestParseTagsSearch(t *testing.T) {
	s := fixture(t)
	tests := []struct {
		tags     string
		min, max int64
		want     []string
	}{
		{tags: "service.name=pay", want: []string{"a1"}},
		{tags: "service.name=PAY", want: []string{"a1"}},
		{tags: "db.system=postgresql service.name=front", want: []string{"a1"}},
		{tags: "http.status_code=500", want: []string{"a1"}},
		{tags: "http.status_code=5"},
		{tags: `"sp=`},
		{tags: "error=true", want: []string{"a1"}},
		{tags: "status.code=2", want: []string{"a1"}},
		{tags: "name=select", want: []string{"a1"}},
		{tags: "root.name=GET root.service.name=front", want: []string{"a1"}},
		{tags: "b=true", want: []string{"b200"}},
		{min: 2e9, want: []string{"a1"}},
		{min: 900e6, max: 2e9, want: []string{"c300"}},
		{tags: "service.name=evlink", max: 2e9, want: []string{"c300"}},
	}
	for _, tt := range tests {
		e, err := ParseTags(tt.tags, 0, 0)
		if tt.min+tt.max > 0 {
			e, err = ParseTags(tt.tags, time.Duration(tt.min), time.Duration(tt.max))
		}
		if err != nil {
			if tt.want != nil {
				t.Errorf("%s: %v", tt.tags, err)
			}
			continue
		}
		res, err := Search(t.Context(), s, tenant, e, Params{Range: fixtureRange})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tr := range res.Traces {
			got = append(got, shortID(tr.ID))
			if tr.Spansets != nil {
				t.Errorf("%s: trace has spansets", tt.tags)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("tags %q %d..%d: %v, want %v", tt.tags, tt.min, tt.max, got, tt.want)
		}
	}
	for _, bad := range []string{`a="b`, "a=1 a=2", "a", "=b"} {
		if _, err := ParseTags(bad, 0, 0); err == nil {
			t.Errorf("tags %q: no error", bad)
		}
	}
}

func TestTagValues(t *testing.T) {
	s := fixture(t)
	tests := []struct {
		tag, filter string
		want        []string
	}{
		{"span.a", "", []string{"5", "5", "5.0", "true"}},
		{"span.a", `{ .service.name = "typed" && span.f > 1.0 }`, []string{"5", "5"}},
		{"span.arr.i", "", []string{"1", "2", "3"}},
		{"span.arr.i", `{ span.b }`, []string{"1", "2", "3"}},
		{"status", "", []string{"error", "ok", "unset"}},
		{"kind", `{ name = "A" }`, []string{"client", "consumer", "internal", "producer", "server", "unspecified"}},
		{"name", `{ resource.service.name = "tworoots" }`, []string{"r1", "r2"}},
		{"name", `{ resource.service.name = "tworoots" && span.x = }`, []string{"r1", "r2"}},
		{"rootServiceName", `{ name = "SELECT pay" }`, []string{"frontend"}},
		{"event:name", "", []string{"exception", "log"}},
		{"event.exception.type", "", []string{"E1"}},
		{"event.exception.type", `{ kind = internal }`, []string{"E1"}},
		{"link.link.kind", `{ kind = internal }`, []string{"follows"}},
		{"event:timeSinceStart", "", []string{"100000000", "500000000"}},
		{"instrumentation:name", "", []string{"lib", "mylib"}},
		{".x", "", []string{"1", "res-x"}},
		{`span."sp ace"`, "", []string{"q"}},
		{"duration", "", nil},
		{"span.kv", "", nil},
		{"span.nosuch", "", nil},
		{"resource.service.name", `{ kind = server && status = error }`, []string{"payment-service"}},
	}
	for _, tt := range tests {
		tag, err := ParseTag(tt.tag)
		if err != nil {
			t.Fatal(err)
		}
		vals, err := TagValues(t.Context(), s, s, tenant, tag, TagParams{Range: fixtureRange, Filter: ExtractFilter(tt.filter)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range vals {
			got = append(got, v.String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("values of %s where %s (-want +got):\n%s", tt.tag, tt.filter, diff)
		}
	}
	for _, bad := range []string{"service.name", "", "span.a = 1", "parent.x"} {
		if _, err := ParseTag(bad); err == nil {
			t.Errorf("tag %q: no error", bad)
		}
	}
}

func TestTagNames(t *testing.T) {
	s := fixture(t)
	names := func(filter string) (out []string) {
		attrs, err := TagNames(t.Context(), s, s, tenant, TagParams{Range: fixtureRange, Filter: ExtractFilter(filter)})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attrs {
			out = append(out, a.Name)
		}
		return out
	}
	want := []string{"e", "service.name", "shared", "exception.message", "exception.type", "msg", "shared", "link.kind", "shared", "lang", "shared"}
	if diff := cmp.Diff(want, names(`{ name = "with events" }`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(names("")); n < 30 {
		t.Errorf("%d names without a filter", n)
	}
}
