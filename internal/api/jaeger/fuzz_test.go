package jaeger

import (
	"testing"
	"unicode/utf8"
)

// FuzzTerms: whatever a client searches for is a query that TraceQL takes.
func FuzzTerms(f *testing.F) {
	f.Add("shop", "GET /", "http.status_code", "500")
	f.Add("a \"b\"\n", "\\", `quo"te\`, "-1.5e3")
	f.Add("x", "", "error", "true")
	f.Add("x", "", "a b{}", "0x1p-2")
	f.Add("x", "", "event", "1_000")
	f.Fuzz(func(t *testing.T, service, operation, key, val string) {
		if key == "" || !utf8.ValidString(service+operation+key+val) {
			t.Skip()
		}
		terms := terms{service: service, operation: operation, tags: map[string]string{key: val}}
		if service+operation == "" {
			terms.service = "x"
		}
		e, err := terms.parse()
		if err != nil {
			t.Fatalf("%q %q %q %q: %v", service, operation, key, val, err)
		}
		if e.IsMetrics() {
			t.Errorf("%s is a metrics query", e)
		}
	})
}
