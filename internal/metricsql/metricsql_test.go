package metricsql

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestDocumented holds the functions against the parser and the list in the documentation.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metricsql.md")
	if err != nil {
		t.Fatal(err)
	}
	e := New()
	var names []string
	for name := range e.rollups {
		names = append(names, name)
		if !metricsql.IsRollupFunc(name) {
			t.Errorf("the parser does not know the rollup %s", name)
		}
	}
	for name := range e.transforms {
		names = append(names, name)
	}
	for name := range e.aggregates {
		names = append(names, name)
		if !metricsql.IsAggrFunc(name) {
			t.Errorf("the parser does not know the aggregation %s", name)
		}
	}
	for _, name := range names {
		if name != "" && !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/metricsql.md does not list %s", name)
		}
	}
	for line := range strings.SplitSeq(string(doc), "\n") {
		if !strings.HasPrefix(line, "**Over") && !strings.HasPrefix(line, "**Agg") {
			continue
		}
		for i, name := range strings.Split(line, "`") {
			if i%2 == 1 && !slices.Contains(names, name) {
				t.Errorf("docs/metricsql.md lists %s, which there is not", name)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	e := New()
	m := storetest.NewMetrics()
	now := storetest.Now()
	for text, want := range map[string]error{
		"":                                      ErrParse,
		"sum(":                                  ErrParse,
		"nosuchfunction(up)":                    ErrParse,
		"rate(up[5m])":                          nil,
		"label_set(up, \"a\")":                  ErrEval,
		"rollup(up[5m], \"nope\")":              ErrEval,
		"clamp(up)":                             ErrEval,
		`label_replace(up, "a", "b", "c", "(")`: ErrEval,
		"up[-5m]":                               ErrParse,
		"{a=~\"(\"}":                            ErrParse,
		"timezone_offset(\"Mars/Base\")":        ErrEval,
		"max_over_time(up[1y:1ms])":             ErrEval,
		strings.Repeat("(", 20_000):             ErrParse,
	} {
		_, err := e.Run(t.Context(), m, Query{Tenant: model.DefaultTenant, Text: text, Start: now, Instant: true}, nil)
		if !errors.Is(err, want) {
			t.Errorf("%.40s: error %v, want %v", text, err, want)
		}
	}
	_, err := e.Run(t.Context(), m, Query{Tenant: model.DefaultTenant, Text: "1", Start: now, End: now.Add(24 * time.Hour), Step: time.Millisecond}, nil)
	if !errors.Is(err, ErrEval) {
		t.Errorf("too many points: error %v", err)
	}
}

// TestStaleness ends a series at a staleness marker, which no function but those made for
// it counts as a sample.
func TestStaleness(t *testing.T) {
	m := storetest.NewMetrics()
	now := storetest.Now()
	s := store.SeriesWrite{Labels: model.NewLabels(model.Label{Name: model.MetricName, Value: "m"})}
	for i := range 10 {
		v := float64(i)
		if i == 9 {
			v = math.Float64frombits(value.StaleNaN)
		}
		s.Samples = append(s.Samples, store.Sample{Time: now.Add(time.Duration(i-9) * 15 * time.Second).UnixMilli(), Value: v})
	}
	if err := m.Append(t.Context(), model.DefaultTenant, &store.MetricBatch{Series: []store.SeriesWrite{s}}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]float64{
		"m": math.NaN(), "last_over_time(m[5m])": 8, "count_over_time(m[5m])": 9, "stale_samples_over_time(m[5m])": 1, "m default 3": 3,
	} {
		res, err := New().Run(t.Context(), m, Query{Tenant: model.DefaultTenant, Text: text, Start: now, Instant: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := math.NaN()
		if len(res.Series) == 1 {
			got = res.Series[0].Values[0]
		}
		if !same(got, want) {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	res, err := New().Run(t.Context(), m, Query{Tenant: model.DefaultTenant, Text: "m[1m]", Start: now, Instant: true}, nil)
	if err != nil || len(res.Raw) != 1 || !slices.Equal(res.Raw[0].Values, []float64{6, 7, 8}) {
		t.Errorf("m[1m]: %+v, error %v", res, err)
	}
}

// TestMemory refuses a query whose series do not fit into its budget.
func TestMemory(t *testing.T) {
	m := storetest.NewMetrics()
	if err := m.Append(t.Context(), model.DefaultTenant, &store.MetricBatch{Series: goldenSeries()}); err != nil {
		t.Fatal(err)
	}
	q := Query{Tenant: model.DefaultTenant, Text: "temperature", Start: goldenStart, End: goldenEnd, Step: time.Second}
	if _, err := New().Run(t.Context(), m, q, &store.Account{MaxMemory: 10_000}); !errors.Is(err, store.ErrTooBroad) {
		t.Errorf("error %v, want ErrTooBroad", err)
	}
}

// FuzzRun evaluates anything: it may fail, not panic.
func FuzzRun(f *testing.F) {
	text, err := os.ReadFile("testdata/queries.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			f.Add(line)
		}
	}
	m := storetest.NewMetrics()
	if err := m.Append(f.Context(), model.DefaultTenant, &store.MetricBatch{Series: goldenSeries()[:8]}); err != nil {
		f.Fatal(err)
	}
	e := New()
	f.Fuzz(func(t *testing.T, text string) {
		for _, q := range []Query{{Start: goldenStart, Instant: true}, {Start: goldenStart, End: goldenStart.Add(10 * time.Minute), Step: time.Minute}} {
			q.Tenant, q.Text = model.DefaultTenant, text
			_, _ = e.Run(t.Context(), m, q, &store.Account{MaxMemory: 64 << 20})
		}
	})
}
