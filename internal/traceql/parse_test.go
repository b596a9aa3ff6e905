package traceql

import (
	"errors"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type parseCase struct {
	Q    string
	Text string
	Err  string
}

func parseCases(t testing.TB) (valid, fails []parseCase) {
	t.Helper()
	data, err := os.ReadFile("testdata/parse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Valid, Fails []parseCase }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Valid, file.Fails
}

func TestParse(t *testing.T) {
	valid, fails := parseCases(t)
	for _, c := range valid {
		t.Run(c.Q, func(t *testing.T) {
			e, err := Parse(c.Q)
			if err != nil {
				t.Fatal(err)
			}
			want := c.Text
			if want == "" {
				want = c.Q
			}
			if got := e.String(); got != want {
				t.Errorf("canonical text is\n%s, want\n%s", got, want)
			}
			checkRoundTrip(t, e)
		})
	}
	for _, c := range fails {
		t.Run("not "+c.Q, func(t *testing.T) {
			e, err := Parse(c.Q)
			if err == nil {
				t.Fatalf("parsed as %s, want an error with %q", e, c.Err)
			}
			if !strings.Contains(err.Error(), c.Err) {
				t.Errorf("error %q, want it to contain %q", err, c.Err)
			}
			if !errors.Is(err, ErrParse) || !strings.HasPrefix(err.Error(), "parse error at line ") {
				t.Errorf("error %q has no position or is not ErrParse", err)
			}
		})
	}
}

func checkRoundTrip(t *testing.T, e *Expr) {
	t.Helper()
	text := e.String()
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("canonical text %s does not parse: %v", text, err)
	}
	if got := again.String(); got != text {
		t.Errorf("canonical text changes from\n%s to\n%s", text, got)
	}
}

func TestParseLimits(t *testing.T) {
	if _, err := Parse(`{ .a = "` + strings.Repeat("x", maxQueryBytes) + `" }`); !errors.Is(err, ErrParse) {
		t.Errorf("long query: %v", err)
	}
	if _, err := Parse("{ " + strings.Repeat("(", 100_000)); !errors.Is(err, ErrParse) {
		t.Errorf("deep query: %v", err)
	}
	if _, err := Parse("{ .a" + strings.Repeat(" && .a", 10_000) + " }"); err != nil {
		t.Errorf("long chain: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	valid, fails := parseCases(f)
	for _, c := range append(valid, fails...) {
		f.Add(c.Q)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrParse) {
				t.Fatalf("error %v is not ErrParse", err)
			}
			return
		}
		if len(text) < 2000 { // the text of a longer chain may nest too deep
			checkRoundTrip(t, e)
		}
	})
}
