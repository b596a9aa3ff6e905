package logrules

import (
	"os"
	"strings"
	"testing"
)

func TestLevel(t *testing.T) {
	table, err := os.ReadFile("testdata/levels.txt")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(table)) {
		want, line, _ := strings.Cut(strings.TrimSuffix(row, "\n"), " ")
		if got := (*Rules)(nil).Level(line); got != want && want != "#" {
			t.Errorf("Level(%q) = %s, want %s", line, got, want)
		}
	}
}

// FuzzLevel looks for lines that break the scanners.
func FuzzLevel(f *testing.F) {
	for _, s := range []string{`{"a":{"level":"trc"}}`, `level="WRN" x=1`, `{"level":"\\"}`, "[WARN] x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if (*Rules)(nil).Level(line) == "" {
			t.Errorf("Level(%q) is empty", line)
		}
		if level := (*Rules)(nil).logfmtLevel(line); level != "" && !mayHaveLevelKey(line) {
			t.Errorf("logfmtLevel(%q) is %s, yet no key may hold one", line, level)
		}
		(*Rules)(nil).jsonLevel(line)
	})
}

func BenchmarkLevel(b *testing.B) {
	for name, line := range map[string]string{
		"json":   `{"ts":"2024-01-01T10:00:00Z","level":"info","service":"api","message":"request done","duration_ms":12,"path":"/api/users/123"}`,
		"logfmt": `ts=2024-01-01T10:00:00Z caller=main.go:10 level=info msg="request done" path=/api/users/123 duration=12ms`,
		"plain":  `10.0.0.1 - - [01/Jan/2024:10:00:00 +0000] "GET /api/users/123 HTTP/1.1" 200 1234 "-" "curl/8.0"`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				(*Rules)(nil).Level(line)
			}
		})
	}
}
