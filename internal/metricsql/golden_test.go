package metricsql

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// The golden file holds VictoriaMetrics' own answers. To write it anew:
//
//	PHAROS_VICTORIA_METRICS=../../bench/.bin/victoria-metrics go test ./internal/metricsql -run TestGolden

const goldenFile = "testdata/golden.json"

var (
	goldenStart = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	goldenEnd   = goldenStart.Add(time.Hour)
	goldenStep  = 5 * time.Minute
)

// goldenSeries is two hours of counters with resets, gauges, gaps and histograms.
func goldenSeries() []store.SeriesWrite {
	rnd := rand.New(rand.NewPCG(4, 2))
	begin, end := goldenStart.Add(-time.Hour).UnixMilli(), goldenEnd.UnixMilli()
	var out []store.SeriesWrite
	add := func(every int64, next func(i int) (float64, bool), labels ...string) {
		s := store.SeriesWrite{}
		for i := 0; i < len(labels); i += 2 {
			s.Labels = append(s.Labels, model.Label{Name: labels[i], Value: labels[i+1]})
		}
		s.Labels = model.NewLabels(s.Labels...)
		for i, t := 0, begin+rnd.Int64N(every); t <= end; i, t = i+1, t+every {
			if v, ok := next(i); ok {
				s.Samples = append(s.Samples, store.Sample{Time: t, Value: v})
			}
		}
		out = append(out, s)
	}
	counter := func(step float64, reset int) func(int) (float64, bool) {
		v := 0.0
		return func(i int) (float64, bool) {
			if v += float64(int(rnd.Float64() * step)); i > 0 && i%reset == 0 {
				v = float64(rnd.IntN(5))
			}
			return v, true
		}
	}
	gauge := func(mid, swing float64) func(int) (float64, bool) {
		return func(int) (float64, bool) { return math.Round((mid+swing*rnd.NormFloat64())*100) / 100, true }
	}
	for i, host := range []string{"a", "b", "c", "d"} {
		job := []string{"web", "db"}[i/2]
		add(15_000, counter(20, 97+i*13), "__name__", "requests_total", "host", host, "job", job)
		add(15_000, counter(3, 1000), "__name__", "errors_total", "host", host, "job", job)
		add(15_000, gauge(20+float64(3*i), 4), "__name__", "temperature", "host", host, "job", job, "code", strconv.Itoa(7+i))
		add(30_000, func(int) (float64, bool) { return float64(rnd.IntN(4)), true }, "__name__", "state", "host", host)
		add(60_000, func(int) (float64, bool) { return float64(10 * (i + 1)), true }, "__name__", "limit_by_host", "host", host, "zone", "z"+host)
		add(15_000, func(int) (float64, bool) { return 1, true }, "__name__", "up", "host", host, "job", job)
	}
	add(15_000, func(k int) (float64, bool) { return float64(k % 7), k/60%2 == 0 }, "__name__", "gappy", "host", "a", "job", "web", "code", "7")
	for _, host := range []string{"a", "b"} {
		total := make([]float64, 5)
		bounds := []string{"0.1", "0.25", "0.5", "1", "+Inf"}
		rows := map[int][]float64{}
		for b := range bounds {
			add(15_000, func(i int) (float64, bool) {
				if rows[i] == nil {
					for k := range total {
						total[k] += float64(rnd.IntN(5))
					}
					sum, row := 0.0, make([]float64, len(total))
					for k, v := range total {
						sum += v
						row[k] = sum
					}
					rows[i] = row
				}
				return rows[i][b], true
			}, "__name__", "latency_bucket", "host", host, "le", bounds[b])
		}
	}
	return out
}

// goldenAnswer is a query and its result: values by the text of the labels.
type goldenAnswer struct {
	Query  string                          `json:"query"`
	Error  string                          `json:"error,omitempty"`
	Series map[string]map[string]jsonFloat `json:"series"` // labels -> seconds -> value
}

// jsonFloat is a float64 written as Prometheus does.
type jsonFloat string

func goldenQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/queries.txt")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return line == "" || strings.HasPrefix(line, "#") })
}

func TestGolden(t *testing.T) {
	series := goldenSeries()
	if bin := os.Getenv("PHAROS_VICTORIA_METRICS"); bin != "" {
		writeGolden(t, bin, series)
	}
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var answers []goldenAnswer
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(goldenQueries(t)) {
		t.Errorf("%d answers to %d queries: write the golden file anew", len(answers), len(goldenQueries(t)))
	}
	m := storetest.NewMetrics()
	if err := m.Append(t.Context(), model.DefaultTenant, &store.MetricBatch{Series: series}); err != nil {
		t.Fatal(err)
	}
	e := New()
	for _, want := range answers {
		t.Run(want.Query, func(t *testing.T) {
			got, err := e.Run(t.Context(), m, Query{Tenant: model.DefaultTenant, Text: want.Query, Start: goldenStart, End: goldenEnd, Step: goldenStep}, nil)
			if err != nil {
				if want.Error == "" {
					t.Error(err)
				}
				return
			}
			if want.Error != "" {
				t.Fatalf("no error, want %s", want.Error)
			}
			if early(want.Query) {
				forgetFirst(got, want)
			}
			compareGolden(t, got, want)
		})
	}
}

// early reports whether VictoriaMetrics answers the first point of a query without the
// sample before its window, because it does not read that far for the function. We do.
func early(query string) bool {
	return strings.HasPrefix(query, "mode_over_time") || strings.HasPrefix(query, "holt_winters")
}

func forgetFirst(got *Result, want goldenAnswer) {
	for _, s := range got.Series {
		s.Values[0] = math.NaN()
	}
	for _, points := range want.Series {
		delete(points, strconv.FormatInt(goldenStart.Unix(), 10))
	}
}

func compareGolden(t *testing.T, got *Result, want goldenAnswer) {
	t.Helper()
	bad := 0
	fail := func(format string, args ...any) {
		if bad++; bad <= 4 {
			t.Errorf(format, args...)
		}
	}
	seen := map[string]bool{}
	for _, s := range got.Series {
		key := s.Labels.String()
		seen[key] = true
		points, ok := want.Series[key]
		if !ok {
			fail("series %s is not wanted", key)
			continue
		}
		n := 0
		for i, v := range s.Values {
			if math.IsNaN(v) {
				continue
			}
			n++
			at := strconv.FormatInt((got.Start+int64(i)*got.Step)/1000, 10)
			text, ok := points[at]
			x, _ := strconv.ParseFloat(string(text), 64)
			if !ok || !near(v, x) {
				fail("%s at %s: %v, want %q", key, at, v, text)
			}
		}
		if n != len(points) {
			fail("%s has %d points, want %d", key, n, len(points))
		}
	}
	for key := range want.Series {
		if !seen[key] {
			fail("series %s is missing", key)
		}
	}
	if bad > 4 {
		t.Errorf("and %d more", bad-4)
	}
}

// near allows for VictoriaMetrics' decimal values: it stores 15 digits or so.
func near(a, b float64) bool {
	return a == b || math.IsInf(a, 0) == math.IsInf(b, 0) && math.Abs(a-b) <= 1e-9*math.Max(1, math.Max(math.Abs(a), math.Abs(b)))
}

// writeGolden asks a VictoriaMetrics that it starts.
func writeGolden(t *testing.T, bin string, series []store.SeriesWrite) {
	t.Helper()
	const addr = "127.0.0.1:28428"
	cmd := exec.CommandContext(t.Context(), bin, "-storageDataPath="+t.TempDir(), "-httpListenAddr="+addr, "-retentionPeriod=100y", "-search.latencyOffset=0s", "-loggerLevel=WARN")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	base := "http://" + addr
	var body bytes.Buffer
	for _, s := range series {
		var line struct {
			Metric     map[string]string `json:"metric"`
			Values     []float64         `json:"values"`
			Timestamps []int64           `json:"timestamps"`
		}
		line.Metric = map[string]string{}
		for _, l := range s.Labels {
			line.Metric[l.Name] = l.Value
		}
		for _, p := range s.Samples {
			line.Values, line.Timestamps = append(line.Values, p.Value), append(line.Timestamps, p.Time)
		}
		if err := json.NewEncoder(&body).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if resp, err := http.Get(base + "/health"); err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("VictoriaMetrics does not start")
		}
	}
	fetch(t.Context(), t, http.MethodPost, base+"/api/v1/import", &body)
	fetch(t.Context(), t, http.MethodGet, base+"/internal/force_flush", nil)
	var answers []goldenAnswer
	for _, q := range goldenQueries(t) {
		v := url.Values{"query": {q}, "start": {fmt.Sprint(goldenStart.Unix())}, "end": {fmt.Sprint(goldenEnd.Unix())}, "step": {fmt.Sprint(goldenStep.Seconds())}, "nocache": {"1"}}
		answers = append(answers, parseAnswer(t, q, fetch(t.Context(), t, http.MethodGet, base+"/api/v1/query_range?"+v.Encode(), nil)))
	}
	text, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`{"query"`), []byte("\n{\"query\""))
	if err := os.WriteFile(goldenFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func fetch(ctx context.Context, t *testing.T, method, address string, body *bytes.Buffer) []byte {
	t.Helper()
	if body == nil {
		body = &bytes.Buffer{}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func parseAnswer(t *testing.T, q string, body []byte) goldenAnswer {
	t.Helper()
	var r struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("%s: %v: %s", q, err, body)
	}
	a := goldenAnswer{Query: q, Series: map[string]map[string]jsonFloat{}}
	if r.Error != "" {
		a.Error = "an error"
	}
	for _, s := range r.Data.Result {
		points := map[string]jsonFloat{}
		for _, p := range s.Values {
			points[strconv.FormatInt(int64(p[0].(float64)), 10)] = jsonFloat(p[1].(string))
		}
		a.Series[model.LabelsFromMap(s.Metric).String()] = points
	}
	return a
}
