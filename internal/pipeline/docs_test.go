package pipeline

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs checks the configurations of the user's guide, and that it names every
// component.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml( refused)?\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) < 6 {
		t.Fatalf("%d blocks of YAML", len(blocks))
	}
	for _, m := range blocks {
		if err := Check(t.Context(), m[2]); (err != nil) != (m[1] != "") {
			t.Errorf("error %v of\n%s", err, m[2])
		}
	}
	names := []string{exporterName}
	for _, f := range receivers() {
		names = append(names, f.Type().String())
	}
	for _, f := range processors() {
		names = append(names, f.Type().String())
	}
	for _, f := range exporters() {
		names = append(names, f.Type().String())
	}
	for _, f := range connectors() {
		names = append(names, f.Type().String())
	}
	for _, f := range extensions() {
		names = append(names, f.Type().String())
	}
	plain := func(s string) string { return strings.ReplaceAll(s, "_", "") }
	for _, n := range names {
		if !strings.Contains(plain(string(b)), "`"+plain(n)+"`") {
			t.Errorf("docs/pipeline.md does not name the component %s", n)
		}
	}
}
