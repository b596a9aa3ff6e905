package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Vector is a result of series: labels in canonical text to points.
type Vector map[string][]Point

// Point is a value at a time.
type Point struct {
	Time  float64 // Unix seconds
	Value string
}

// Keys returns the label sets in order.
func (v Vector) Keys() []string { return slices.Sorted(maps.Keys(v)) }

// One returns the only value of the only series, failing the test if there is another.
func (v Vector) One(t testing.TB) float64 {
	t.Helper()
	if len(v) != 1 {
		t.Fatalf("%d series, want 1: %v", len(v), v)
	}
	for _, pts := range v {
		if len(pts) == 1 {
			f, err := strconv.ParseFloat(pts[0].Value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Fatalf("want one value: %v", v)
	return 0
}

// Result is what a Prometheus- or Loki-style query API answered.
type Result struct {
	Type     string
	Vector   Vector
	Streams  map[string][]Line // log lines by labels
	Warnings []string
}

// Line is a log line of an answer.
type Line struct {
	Nanos int64
	Text  string
}

// Lines returns all lines of a log answer.
func (r Result) Lines() []string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(r.Streams)) {
		for _, l := range r.Streams[k] {
			all = append(all, l.Text)
		}
	}
	return all
}

type envelope struct {
	Status   string
	Warnings []string
	Data     struct {
		ResultType string
		Result     json.RawMessage
	}
}

// Query asks a Prometheus- or Loki-style API and fails the test on any error.
func (s *Server) Query(t testing.TB, path string, params url.Values) Result {
	t.Helper()
	r, err := s.TryQuery(t, path, params)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TryQuery is Query for an answer that may be an error.
func (s *Server) TryQuery(t testing.TB, path string, params url.Values) (Result, error) {
	t.Helper()
	a, err := s.Do(t, http.MethodGet, path+"?"+params.Encode(), nil, nil)
	if err != nil {
		return Result{}, err
	}
	if a.Code != http.StatusOK {
		return Result{}, fmt.Errorf("%s %s: %s", path, params.Get("query"), a)
	}
	var e envelope
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil {
		return Result{}, fmt.Errorf("%s: %w in %.300s", path, err, a.Body)
	}
	r := Result{Type: e.Data.ResultType, Vector: Vector{}, Streams: map[string][]Line{}, Warnings: e.Warnings}
	if r.Type == "scalar" {
		var p point
		err := json.Unmarshal(e.Data.Result, &p)
		r.Vector["{}"] = []Point{Point(p)}
		return r, err
	}
	var items []struct {
		Metric, Stream map[string]string
		Value          *point
		Values         json.RawMessage
	}
	if err := json.Unmarshal(e.Data.Result, &items); err != nil {
		return Result{}, fmt.Errorf("%s: %w in %.300s", path, err, a.Body)
	}
	for _, it := range items {
		switch {
		case it.Value != nil:
			r.Vector[labels(it.Metric)] = append(r.Vector[labels(it.Metric)], Point(*it.Value))
		case r.Type == "streams":
			var lines [][]any
			if err := json.Unmarshal(it.Values, &lines); err != nil {
				return Result{}, err
			}
			for _, l := range lines {
				ns, err := strconv.ParseInt(fmt.Sprint(l[0]), 10, 64)
				if err != nil {
					return Result{}, err
				}
				r.Streams[labels(it.Stream)] = append(r.Streams[labels(it.Stream)], Line{ns, fmt.Sprint(l[1])})
			}
		default:
			var pts []point
			if err := json.Unmarshal(it.Values, &pts); err != nil {
				return Result{}, err
			}
			for _, p := range pts {
				r.Vector[labels(it.Metric)] = append(r.Vector[labels(it.Metric)], Point(p))
			}
		}
	}
	return r, nil
}

// point reads [time, "value"].
type point Point

// UnmarshalJSON implements json.Unmarshaler.
func (p *point) UnmarshalJSON(raw []byte) error {
	var pair [2]any
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	ts, ok := pair[0].(float64)
	if !ok {
		return fmt.Errorf("time %v is not a number", pair[0])
	}
	p.Time, p.Value = ts, fmt.Sprint(pair[1])
	return nil
}

// labels renders a label set in canonical order, without spaces.
func labels(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+strconv.Quote(m[k]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Prom evaluates PromQL at an instant.
func (s *Server) Prom(t testing.TB, query string, at time.Time) Result {
	t.Helper()
	return s.Query(t, "/api/v1/query", url.Values{"query": {query}, "time": {seconds(at)}})
}

// PromRange evaluates PromQL over a range.
func (s *Server) PromRange(t testing.TB, query string, from, to time.Time, step time.Duration) Result {
	t.Helper()
	return s.Query(t, "/api/v1/query_range", url.Values{
		"query": {query}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

// Loki evaluates LogQL at an instant.
func (s *Server) Loki(t testing.TB, query string, at time.Time) Result {
	t.Helper()
	return s.Query(t, "/loki/api/v1/query", url.Values{"query": {query}, "time": {nanos(at)}})
}

// LokiRange evaluates LogQL over a range; lines come oldest first.
func (s *Server) LokiRange(t testing.TB, query string, from, to time.Time) Result {
	t.Helper()
	return s.Query(t, "/loki/api/v1/query_range", url.Values{
		"query": {query}, "start": {nanos(from)}, "end": {nanos(to)}, "limit": {"5000"}, "direction": {"forward"},
	})
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
func nanos(t time.Time) string   { return strconv.FormatInt(t.UnixNano(), 10) }

// Span is a span of an answer to a trace by id.
type Span struct {
	SpanID, ParentSpanID, Name, Service string
	Attrs                               map[string]string
	Status                              string
}

type attr struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    any
		DoubleValue *float64
		BoolValue   *bool
	}
}

func attrMap(list []attr) map[string]string {
	m := map[string]string{}
	for _, a := range list {
		switch v := a.Value; {
		case v.StringValue != nil:
			m[a.Key] = *v.StringValue
		case v.IntValue != nil:
			m[a.Key] = fmt.Sprint(v.IntValue)
		case v.DoubleValue != nil:
			m[a.Key] = strconv.FormatFloat(*v.DoubleValue, 'g', -1, 64)
		case v.BoolValue != nil:
			m[a.Key] = strconv.FormatBool(*v.BoolValue)
		}
	}
	return m
}

// Trace reads a trace by id; nil if there is none.
func (s *Server) Trace(t testing.TB, id string) []Span {
	t.Helper()
	a, err := s.Do(t, http.MethodGet, "/api/traces/"+id, nil, map[string]string{"Accept": "application/json"})
	if err != nil {
		t.Fatal(err)
	}
	if a.Code == http.StatusNotFound {
		return nil
	}
	MustOK(t, a, nil)
	var body struct {
		Batches []struct {
			Resource   struct{ Attributes []attr }
			ScopeSpans []struct {
				Spans []struct {
					SpanID, ParentSpanID, Name string
					Attributes                 []attr
					Status                     struct{ Code string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatalf("trace %s: %v in %.300s", id, err, a.Body)
	}
	var spans []Span
	for _, b := range body.Batches {
		service := attrMap(b.Resource.Attributes)["service.name"]
		for _, sc := range b.ScopeSpans {
			for _, sp := range sc.Spans {
				spans = append(spans, Span{sp.SpanID, sp.ParentSpanID, sp.Name, service, attrMap(sp.Attributes), sp.Status.Code})
			}
		}
	}
	return spans
}

// Found is a trace of an answer to a search.
type Found struct {
	TraceID           string
	RootServiceName   string
	RootTraceName     string
	StartTimeUnixNano string
	DurationMs        int
	SpanSets          []struct {
		Matched    int
		Attributes []attr
		Spans      []struct {
			SpanID, Name, DurationNanos string
			Attributes                  []attr
		}
	}
}

// Groups renders each spanset: its own attributes, then the sorted attributes of each of
// its spans.
func (f Found) Groups() []string {
	var all []string
	for _, set := range f.SpanSets {
		var spans []string
		for _, sp := range set.Spans {
			spans = append(spans, strings.TrimSpace(sp.Name+" "+labels(attrMap(sp.Attributes))))
		}
		slices.Sort(spans)
		all = append(all, labels(attrMap(set.Attributes))+": "+strings.Join(spans, "; "))
	}
	slices.Sort(all)
	return all
}

// Search runs a TraceQL search.
func (s *Server) Search(t testing.TB, query string, from, to time.Time) []Found {
	t.Helper()
	var body struct{ Traces []Found }
	s.Get(t, "/api/search?"+url.Values{
		"q": {query}, "start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix()+1, 10)}, "limit": {"100"}, "spss": {"100"},
	}.Encode(), &body)
	return body.Traces
}
