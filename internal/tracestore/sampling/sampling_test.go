package sampling

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// twoTraces is a trace of two spans, 1 s long, with an error in checkout, and one of a
// single fast span of search.
func twoTraces() *store.SpanRows {
	const ms = 1_000_000
	return &store.SpanRows{
		TraceID:  []model.TraceID{{1}, {1}, {2}},
		SpanID:   make([]model.SpanID, 3),
		Start:    []int64{0, 800 * ms, 0},
		Duration: []int64{500 * ms, 200 * ms, ms},
		Status:   []uint8{0, 2, 1},
		Attrs: []store.AttrColumn{
			{Attr: store.Attr{Scope: store.ScopeSpan, Name: "http.status"}, Type: store.ValueInt, Has: []bool{true, true, true}, Ints: []int64{200, 503, 200}},
			{Attr: store.Attr{Scope: store.ScopeSpan, Name: "cached"}, Type: store.ValueBool, Has: []bool{false, false, true}, Ints: []int64{0, 0, 1}},
			{Attr: store.Attr{Scope: store.ScopeResource, Name: "service.name"}, Type: store.ValueString, Has: []bool{true, true, true}, Strs: []string{"web", "checkout", "search"}},
		},
	}
}

func TestKeep(t *testing.T) {
	num := func(n int64) *int64 { return &n }
	errorsOnly := Policy{Name: "errors", Type: "status_code", StatusCode: StatusCode{Codes: []string{"error"}}}
	always := Policy{Name: "all", Type: "always_sample"}
	service := func(invert bool, values ...string) Policy {
		return Policy{Name: "service", Type: "string_attribute", StringAttribute: StringAttribute{Key: "service.name", Values: values, Invert: invert}}
	}
	for name, test := range map[string]struct {
		policies []Policy
		want     [2]bool // of each trace
	}{
		"always":         {[]Policy{always}, [2]bool{true, true}},
		"errors":         {[]Policy{errorsOnly}, [2]bool{true, false}},
		"ok":             {[]Policy{{Type: "status_code", StatusCode: StatusCode{Codes: []string{"OK"}}}}, [2]bool{false, true}},
		"slow":           {[]Policy{{Type: "latency", Latency: Latency{Threshold: 1000}}}, [2]bool{true, false}},
		"slower":         {[]Policy{{Type: "latency", Latency: Latency{Threshold: 1001}}}, [2]bool{false, false}},
		"between":        {[]Policy{{Type: "latency", Latency: Latency{Threshold: 1, Upper: 999}}}, [2]bool{false, true}},
		"none":           {[]Policy{{Type: "probabilistic"}}, [2]bool{false, false}},
		"everything":     {[]Policy{{Type: "probabilistic", Probabilistic: Probabilistic{Percentage: 100}}}, [2]bool{true, true}},
		"spans":          {[]Policy{{Type: "span_count", SpanCount: SpanCount{Min: 2}}}, [2]bool{true, false}},
		"few spans":      {[]Policy{{Type: "span_count", SpanCount: SpanCount{Max: 1}}}, [2]bool{false, true}},
		"string":         {[]Policy{service(false, "checkout", "other")}, [2]bool{true, false}},
		"string, invert": {[]Policy{service(true, "checkout")}, [2]bool{false, true}},
		"regexp":         {[]Policy{{Type: "string_attribute", StringAttribute: StringAttribute{Key: "service.name", Values: []string{"^sea"}, Regexp: true}}}, [2]bool{false, true}},
		"number":         {[]Policy{{Type: "numeric_attribute", NumericAttribute: NumericAttribute{Key: "http.status", Min: num(500)}}}, [2]bool{true, false}},
		"number, max":    {[]Policy{{Type: "numeric_attribute", NumericAttribute: NumericAttribute{Key: "http.status", Min: num(300), Max: num(502)}}}, [2]bool{false, false}},
		"boolean":        {[]Policy{{Type: "boolean_attribute", BooleanAttribute: BooleanAttribute{Key: "cached", Value: true}}}, [2]bool{false, true}},
		"referenced":     {[]Policy{{Type: "referenced"}}, [2]bool{false, true}},
		"and":            {[]Policy{{Type: "and", And: And{[]Policy{errorsOnly, service(false, "web")}}}}, [2]bool{true, false}},
		"and, not":       {[]Policy{{Type: "and", And: And{[]Policy{errorsOnly, service(false, "search")}}}}, [2]bool{false, false}},
		"not":            {[]Policy{{Type: "not", Not: Not{&errorsOnly}}}, [2]bool{false, true}},
		"any of two":     {[]Policy{errorsOnly, service(false, "search")}, [2]bool{true, true}},
		"drop wins":      {[]Policy{always, {Type: "drop", Drop: Drop{[]Policy{errorsOnly}}}}, [2]bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(test.policies)
			if err != nil {
				t.Fatal(err)
			}
			rows := twoTraces()
			second := func(id model.TraceID) bool { return id == model.TraceID{2} }
			if got := [2]bool{s.Keep(rows, 0, 2, second), s.Keep(rows, 2, 3, second)}; got != test.want {
				t.Errorf("kept %v, want %v", got, test.want)
			}
		})
	}
}

func TestBadPolicies(t *testing.T) {
	for want, p := range map[string]Policy{
		`policy "x" of type : has no type`:                 {Name: "x"},
		`policy "x" of type latency: threshold_ms -1`:      {Name: "x", Type: "latency", Latency: Latency{Threshold: -1}},
		`policy "x" of type status_code: status "BAD"`:     {Name: "x", Type: "status_code", StatusCode: StatusCode{Codes: []string{"BAD"}}},
		`policy "x" of type rate_limiting: depends on the`: {Name: "x", Type: "rate_limiting"},
		`policy "x" of type ottl_condition: unknown or`:    {Name: "x", Type: "ottl_condition"},
		`policy "x" of type string_attribute: has no key`:  {Name: "x", Type: "string_attribute", StringAttribute: StringAttribute{Values: []string{"a"}}},
		`policy "x" of type string_attribute: value "("`:   {Name: "x", Type: "string_attribute", StringAttribute: StringAttribute{Key: "k", Values: []string{"("}, Regexp: true}},
		`policy "x" of type probabilistic: sampling_perce`: {Name: "x", Type: "probabilistic", Probabilistic: Probabilistic{Percentage: 101}},
		`policy "x": policy "y" of type not: has no not_s`: {Name: "x", Type: "and", And: And{[]Policy{{Name: "y", Type: "not"}}}},
		`policy "x" of type and: has no and_sub_policy`:    {Name: "x", Type: "and"},
		`no policy keeps anything`:                         {Name: "x", Type: "drop", Drop: Drop{[]Policy{{Type: "always_sample"}}}},
	} {
		if _, err := New([]Policy{p}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestProbabilisticShare checks the share over many trace ids, and that it grows with the
// percentage: what 1 % keeps, 10 % keeps.
func TestProbabilisticShare(t *testing.T) {
	sampler := func(pc float64) *Sampler {
		s, err := New([]Policy{{Type: "probabilistic", Probabilistic: Probabilistic{Salt: "s", Percentage: pc}}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, ten := sampler(1), sampler(10)
	kept := [2]int{}
	const n = 100_000
	for i := range n {
		var id model.TraceID
		binary.BigEndian.PutUint64(id[8:], uint64(i))
		rows := &store.SpanRows{TraceID: []model.TraceID{id}}
		a, b := one.Keep(rows, 0, 1, nil), ten.Keep(rows, 0, 1, nil)
		if a {
			kept[0]++
		}
		if b {
			kept[1]++
		}
		if a && !b {
			t.Fatalf("1 %% keeps %s, 10 %% does not", id)
		}
	}
	if kept[0] < n*9/1000 || kept[0] > n*11/1000 || kept[1] < n*97/1000 || kept[1] > n*103/1000 {
		t.Errorf("1 %% and 10 %% keep %v of %d", kept, n)
	}
}
