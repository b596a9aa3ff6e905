// Package loki holds the running server to the behaviours that clients of Loki rely on:
// each case is a statement, a request and what the answer must hold. Numbers are those of
// the list of behaviours that the API was built from.
package loki

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/pharos-o11y/pharos/test/harness"
)

// call is a request and what is expected of its answer. In all texts {T+3} stands for the
// Unix second three seconds after the base time of the test, {T+3n} for its nanoseconds.
type call struct {
	n       string // of the behaviour
	name    string
	method  string // GET if there is no body, else POST
	path    string
	params  string // a=b&c=d, to be escaped
	headers string // A: b; C: d
	body    string
	code    int      // 0 means 200
	want    []string // that the body holds
	not     []string // that it does not hold
	exact   string   // the body
}

type runner struct {
	t    *testing.T
	s    *harness.Server
	base time.Time
}

func (r *runner) expand(s string) string {
	return regexp.MustCompile(`\{T([+-]\d+)?(n?)\}`).ReplaceAllStringFunc(s, func(m string) string {
		m = m[2 : len(m)-1]
		m, nanos := strings.CutSuffix(m, "n")
		d, _ := strconv.Atoi(m)
		at := r.base.Add(time.Duration(d) * time.Second)
		if nanos {
			return strconv.FormatInt(at.UnixNano(), 10)
		}
		return strconv.FormatInt(at.Unix(), 10)
	})
}

func (r *runner) run(calls ...call) {
	for _, c := range calls {
		r.t.Run(c.n+" "+c.name, func(t *testing.T) { r.one(t, &c) })
	}
}

func (r *runner) one(t *testing.T, c *call) {
	q := url.Values{}
	if c.params != "" {
		for pair := range strings.SplitSeq(r.expand(c.params), "&") {
			k, v, _ := strings.Cut(pair, "=")
			q.Add(k, strings.NewReplacer("%26", "&", "%2B", "+").Replace(v))
		}
	}
	method := c.method
	if method == "" {
		if method = http.MethodGet; c.body != "" {
			method = http.MethodPost
		}
	}
	path := c.path
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	header := map[string]string{}
	for h := range strings.SplitSeq(c.headers, "; ") {
		if k, v, ok := strings.Cut(h, ": "); ok {
			header[k] = v
		}
	}
	a, err := r.s.Do(t, method, path, []byte(r.expand(c.body)), header)
	if err != nil {
		t.Fatal(err)
	}
	if want := cmp.Or(c.code, http.StatusOK); a.Code != want {
		t.Fatalf("status %d, want %d: %.500s", a.Code, want, a.Body)
	}
	for _, w := range c.want {
		if w = r.expand(w); !strings.Contains(a.Body, w) {
			t.Errorf("answer %.1500s\nlacks %s", a.Body, w)
		}
	}
	for _, w := range c.not {
		if w = r.expand(w); strings.Contains(a.Body, w) {
			t.Errorf("answer %.1500s\nholds %s", a.Body, w)
		}
	}
	if c.exact != "" {
		if got, want := canonical(t, a.Body), canonical(t, r.expand(c.exact)); got != want {
			t.Errorf("answer\n%s\nwant\n%s", got, want)
		}
	}
}

// canonical is JSON without statistics.
func canonical(t *testing.T, text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %.500s", err, text)
	}
	if m, ok := v.(map[string]any); ok {
		if d, ok := m["data"].(map[string]any); ok {
			delete(d, "stats")
		}
	}
	b, _ := json.Marshal(v)
	return string(b)
}

const (
	pushPath  = "/loki/api/v1/push"
	rangePath = "/loki/api/v1/query_range"
	jsonType  = "Content-Type: application/json"
)

// push is a JSON push body: stream labels as JSON, and entries as time offset and line.
func push(stream string, entries ...string) string {
	var values []string
	for i := 0; i < len(entries); i += 2 {
		line, _ := json.Marshal(entries[i+1])
		values = append(values, fmt.Sprintf(`["{T%sn}",%s]`, entries[i], line))
	}
	return fmt.Sprintf(`{"streams":[{"stream":%s,"values":[%s]}]}`, stream, strings.Join(values, ","))
}

// start runs a server, next to those of other tests. Its base time is a whole minute of ten
// minutes ago.
func start(t *testing.T, config string) *runner {
	t.Parallel()
	return startAlone(t, config)
}

// startAlone is start for tests that measure something.
func startAlone(t *testing.T, config string) *runner {
	s := harness.Start(t, harness.Options{Config: config})
	return &runner{t: t, s: s, base: time.Now().Add(-10 * time.Minute).Truncate(time.Minute)}
}

func (r *runner) push(tenant, body string) {
	r.t.Helper()
	h := map[string]string{"Content-Type": "application/json"}
	if tenant != "" {
		h["X-Scope-OrgID"] = tenant
	}
	a, err := r.s.Do(r.t, http.MethodPost, pushPath, []byte(r.expand(body)), h)
	harness.MustOK(r.t, a, err)
}

func TestLogQueries(t *testing.T) {
	r := start(t, "")
	r.push("", push(`{"app":"x"}`, "+0", "l0", "+1", "l1", "+2", "l2", "+3", "l3", "+4", "l4"))
	r.push("", push(`{"app":"same"}`, "+1", "a", "+1", "b", "+1", "c", "+1", "a"))
	r.push("", push(`{"app":"m","s":"1"}`, "+5", "same"))
	r.push("", push(`{"app":"m","s":"2"}`, "+5", "same"))
	r.push("", `{"streams":[{"stream":{"app":"sm"},"values":[["{T+1n}","x",{"x":"1"}],["{T+1n}","x",{"x":"2"}]]}]}`)
	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("+%d", i), fmt.Sprintf("m%03d", i))
	}
	r.push("", push(`{"app":"many"}`, many...))
	win := "&start={T}&end={T+59}"
	r.run(
		call{n: "36", name: "start inclusive, end exclusive", path: rangePath, params: `query={app="x"}&start={T+1}&end={T+3}`, want: []string{"l1", "l2"}, not: []string{"l0", "l3"}},
		call{n: "37", name: "newest 100 first", path: rangePath, params: `query={app="many"}&start={T}&end={T+590}`, want: []string{`[["{T+149n}","m149"],["{T+148n}"`, "m050"}, not: []string{"m049"}},
		call{n: "40", name: "equal times forward", path: rangePath, params: `direction=forward&query={app="same"}` + win, want: []string{`[["{T+1n}","a"],["{T+1n}","b"],["{T+1n}","c"]]`}},
		call{n: "40/41", name: "equal times backward, stored once", path: rangePath, params: `query={app="same"}` + win, want: []string{`[["{T+1n}","c"],["{T+1n}","b"],["{T+1n}","a"]]`}},
		call{n: "42", name: "same line, other metadata", path: rangePath, params: `query={app="sm"}` + win, want: []string{`"x":"1"`, `"x":"2"`}},
		call{n: "44", name: "streams that become one are not deduplicated", path: rangePath, params: `query={app="m"} | drop s` + win, want: []string{`[["{T+5n}","same"],["{T+5n}","same"]]`}},
		call{n: "45", name: "13 digits are nanoseconds", path: rangePath, params: `query={app="x"}&start={T}000&end={T+59}000`, exact: `{"status":"success","data":{"resultType":"streams","result":[]}}`},
		call{n: "46", name: "seconds with decimals", path: rangePath, params: `query={app="x"}&start={T}.5&end={T+2}.5`, want: []string{"l1", "l2"}, not: []string{"l0", "l3"}},
		call{n: "46", name: "RFC 3339", path: rangePath, params: `query={app="x"}&start=` + r.base.Format(time.RFC3339) + `&end=` + r.base.Add(2*time.Second).UTC().Format(time.RFC3339Nano), want: []string{"l0", "l1"}, not: []string{"l2"}},
		call{n: "47", name: "reversed", path: rangePath, params: `query={app="x"}&start={T+3}&end={T}`, code: 400, want: []string{"end timestamp must not be before"}},
		call{n: "47", name: "empty range", path: rangePath, params: `query={app="x"}&start={T+3}&end={T+3}`, want: []string{"l3"}, not: []string{"l2"}},
		call{n: "48", name: "limit 0", path: rangePath, params: `query={app="x"}&limit=0`, code: 400},
		call{n: "48", name: "limit -1", path: rangePath, params: `query={app="x"}&limit=-1`, code: 400},
		call{n: "48", name: "limit 5001", path: rangePath, params: `query={app="x"}&limit=5001`, code: 400, want: []string{"max entries limit", "5001", "5000"}},
		call{n: "48", name: "limit 5000", path: rangePath, params: `query={app="x"}&limit=5000`},
		call{n: "49", name: "too many points", path: rangePath, params: `query={app="x"}&step=1&start={T-86400}&end={T}`, code: 400},
		call{n: "50", name: "instant log query", path: "/loki/api/v1/query", params: `query={app="x"}`, code: 400, want: []string{"log queries are not supported as an instant query type"}},
		call{n: "154", name: "more than 500 series", path: "/loki/api/v1/query", params: `time={T+599}&query=count_over_time({app="many"} | pattern "<id>" [11m])`, want: []string{`"id":"m149"`}},
	)
}

func TestAPI(t *testing.T) {
	r := start(t, "")
	r.push("", push(`{"app":"x","pod":"p1","id":"123","uuid":"0a1b2c3d-0000-1111-2222-333344445555","two":"0"}`,
		"+1", `{"level":"error","n":5,"f":1.5,"b":true,"d":"5ms","s":"10KB","nested":{"x":1}}`, "+2", `{"level":"info","n":6,"f":1.5,"b":true,"d":"5ms","s":"10KB","nested":{"x":1}}`))
	r.push("", push(`{"app":"y","two":"1"}`, "+3", "short"))
	win := "&start={T}&end={T+59}"
	r.run(
		call{n: "157", name: "health query", path: "/loki/api/v1/query", params: "direction=backward&query=vector(1)%2Bvector(1)&time=4000000000", exact: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[4000000000,"2"]}]}}`},
		call{n: "158", name: "errors are text", path: "/loki/api/v1/query", params: "query={", code: 400, want: []string{"parse error at line 1, col "}},
		call{n: "159", name: "POST form", path: rangePath, headers: "Content-Type: application/x-www-form-urlencoded", body: "query=%7Bapp%3D%22y%22%7D&start={T}&end={T+59}", want: []string{"short"}},
		call{n: "160", name: "no labels, no data", path: "/loki/api/v1/labels", params: "start=1&end=2", exact: `{"status":"success"}`},
		call{n: "161", name: "values with a pipeline", path: "/loki/api/v1/label/app/values", params: `query={app="x"} |= "a"`, code: 400},
		call{n: "162", name: "series {}", path: "/loki/api/v1/series", params: "match[]={}" + win, want: []string{`"app":"x"`, `"app":"y"`}},
		call{n: "162", name: "series {} and more", path: "/loki/api/v1/series", params: `match[]={}&match[]={app="x"}` + win, code: 400, want: []string{"0 matchers in group: {}"}},
		call{n: "163", name: "index/stats", path: "/loki/api/v1/index/stats", params: `query={app="y"}` + win, want: []string{`{"streams":1,"chunks":1,"bytes":`, `"entries":1}`}},
		call{n: "164", name: "volume by labels", path: "/loki/api/v1/index/volume", params: `query={app="x"}&aggregateBy=labels` + win, want: []string{`"metric":{"app":""}`}},
		call{n: "165", name: "volume of the largest", path: "/loki/api/v1/index/volume", params: `query={app=~".%2B"}&limit=1` + win, want: []string{`"app":"x"`}, not: []string{`"app":"y"`}},
		call{n: "B7.2", name: "volume of everything", path: "/loki/api/v1/index/volume", params: `query={}&targetLabels=service_name&limit=5000` + win, want: []string{`"service_name":"x"`, `"service_name":"y"`, `[{T+59},`}},
		call{n: "B7.2", name: "bad aggregation", path: "/loki/api/v1/index/volume", params: `query={}&aggregateBy=pods`, code: 400, want: []string{"invalid aggregation option"}},
		call{n: "B7.2", name: "volume_range", path: "/loki/api/v1/index/volume_range", params: `query={app="y"}&step=60` + win, want: []string{`"resultType":"matrix"`, `[{T+59}.999,`}},
		call{n: "166", name: "categorize-labels", path: rangePath, params: `query={app="x"} | json n` + win, headers: "X-Loki-Response-Encoding-Flags: categorize-labels", want: []string{`"encodingFlags":["categorize-labels"]`, `"structuredMetadata":{"detected_level":"error"},"parsed":{"n":"5"}`}},
		call{n: "167", name: "unknown flag", path: rangePath, params: `query={app="x"}` + win, headers: "X-Loki-Response-Encoding-Flags: foo", want: []string{`"encodingFlags":["foo"]`, `"detected_level":"error"`}},
		call{n: "168", name: "detected_labels", path: "/loki/api/v1/detected_labels", params: "x=y" + win, want: []string{`"pod"`, `{"label":"app","cardinality":2}`, `"two"`}, not: []string{`"id"`, `"uuid"`}},
		call{n: "169", name: "detected_fields", path: "/loki/api/v1/detected_fields", params: `query={app="x"}` + win, want: []string{
			`{"label":"n","type":"int"`, `{"label":"f","type":"float"`, `{"label":"b","type":"boolean"`, `{"label":"d","type":"duration"`, `{"label":"s","type":"bytes"`,
			`{"label":"nested_x","type":"int","cardinality":1,"parsers":["json"],"jsonPath":["nested","x"]}`, `{"label":"detected_level","type":"string","cardinality":2,"parsers":null}`, `"limit":1000`,
		}},
		call{n: "170", name: "values of a field", path: "/loki/api/v1/detected_field/level/values", params: `query={app="x"}` + win, want: []string{`"error"`, `"info"`, `"limit":1000`}},
		call{n: "B9.3", name: "sizes as queries read them", path: "/loki/api/v1/detected_field/s/values", params: `query={app="x"}` + win, want: []string{`["10kB"]`}},
		call{n: "B9.3", name: "nothing", path: "/loki/api/v1/detected_fields", params: `query={app="none"}`, exact: `{}`},
		call{n: "171", name: "no patterns", path: "/loki/api/v1/patterns", params: `query={app="none"}`, exact: `{"status":"success","data":[]}`},
		call{n: "B9.1", name: "patterns", path: "/loki/api/v1/patterns", params: `query={app="y"}&step=60s` + win, exact: `{"status":"success","data":[{"pattern":"short","level":"unknown","samples":[[{T},1]]}]}`},
		call{n: "172", name: "format_query", path: "/loki/api/v1/format_query", params: `query={a="b"}|json`, exact: `{"status":"success","data":"{a=\"b\"} | json"}`},
		call{n: "172", name: "format_query of nonsense", path: "/loki/api/v1/format_query", params: `query={`, code: 400, want: []string{`"status":"invalid-query"`, "parse error"}},
		call{n: "173", name: "tail without upgrade", path: "/loki/api/v1/tail", params: `query={app="x"}`, code: 400, want: []string{"Bad Request"}},
		call{n: "173", name: "tail delay", path: "/loki/api/v1/tail", params: `query={app="x"}&delay_for=6`, code: 400},
		call{n: "B10.1", name: "ready", path: "/ready", want: []string{"ready\n"}},
		call{n: "B10.1", name: "buildinfo", path: "/loki/api/v1/status/buildinfo", want: []string{`"version":"3.7.6"`, `"goVersion"`}},
		call{n: "B10.1", name: "config", path: "/config", want: []string{"max_global_streams_per_user:"}},
		call{n: "B10.1", name: "services", path: "/services", want: []string{"=> Running"}},
		call{n: "B10.1", name: "ring", path: "/ring", want: []string{"ACTIVE"}},
		call{n: "B10.1", name: "flush", method: "POST", path: "/flush", code: 204},
		call{n: "B9.4", name: "limits for Drilldown", path: "/loki/api/v1/drilldown-limits", want: []string{`"pattern_ingester_enabled":true`, `"volume_enabled":true`, `"max_query_length":"30d1h"`, `"max_query_series":500`, `"retention_period":"30d"`}},
		call{n: "B9.4", name: "limits as YAML", path: "/config/tenant/v1/limits", want: []string{"volume_enabled: true"}},
		call{n: "B11", name: "no rules", path: "/loki/api/v1/rules", code: 404, want: []string{"no rule groups found"}, not: []string{"not found"}},
		call{n: "B11", name: "no rules of a namespace", path: "/loki/api/v1/rules/ns", code: 404},
		call{n: "B11", name: "no rules for Prometheus' clients", path: "/prometheus/api/v1/rules", want: []string{`"groups":[]`}},
		call{n: "B11", name: "no alerts", path: "/prometheus/api/v1/alerts", want: []string{`"alerts":[]`}},
		call{n: "B9.3", name: "limit 0 is the default", path: "/loki/api/v1/detected_fields", params: `query={app="x"}&limit=0` + win, want: []string{`"limit":1000`, `"label":"n"`}},
		call{n: "B11", name: "rules cannot be stored", path: "/loki/api/v1/rules/ns", headers: "Content-Type: application/yaml", body: "name: g", code: 404, want: []string{"no ruler storage"}},
		call{n: "B11", name: "rules cannot be deleted", method: "DELETE", path: "/loki/api/v1/rules/ns/g", code: 404},
		call{n: "B10.3", name: "legacy labels", path: "/api/prom/label", params: "x=y" + win, want: []string{`"values":["app",`}},
		call{n: "B10.3", name: "legacy values", path: "/api/prom/label/app/values", params: "x=y" + win, want: []string{`"values":["x","y"]`}},
		call{n: "B10.3", name: "legacy query", path: "/api/prom/query", params: `query={app="y"} |= "short"` + win, want: []string{`{"streams":[{"labels":"{app=\"y\", detected_level=\"unknown\", service_name=\"y\", two=\"1\"}","entries":[{"ts":"` + r.base.Add(3*time.Second).UTC().Format(time.RFC3339) + `","line":"short"}]}],"stats":{`}},
		call{n: "B10.3", name: "legacy metric query", path: "/api/prom/query", params: `query=rate({app="y"}[1m])`, code: 400, want: []string{"/loki/api/v1/query_range"}},
		call{n: "B10.3", name: "legacy regexp", path: "/api/prom/query", params: `query={app="y"}&regexp=x`, code: 400, want: []string{"|~"}},
		call{n: "B10.3", name: "legacy series", path: "/api/prom/series", params: `match[]={app="y"}` + win, want: []string{`"app":"y"`}},
		call{n: "B10.3", name: "legacy tail", path: "/api/prom/tail", params: `query={app="y"}`, code: 400, want: []string{"Bad Request"}},
		call{n: "B10.3", name: "legacy rules", path: "/api/prom/rules", code: 404, want: []string{"no rule groups found"}},
		call{n: "A16", name: "scalars have seconds", path: "/loki/api/v1/query", params: "query=1%2B2&time=4000000000", exact: `{"status":"success","data":{"resultType":"scalar","result":[4000000000,"3"]}}`},
		call{n: "B1.4", name: "bad time", path: rangePath, params: `query={app="y"}&end=soon`, code: 400, want: []string{"'end'"}},
		call{n: "B1.4", name: "bad since", path: rangePath, params: `query={app="y"}&since=x`, code: 400, want: []string{"since"}},
		call{n: "B1.4", name: "since", path: rangePath, params: `query={app="y"}&since=1m`, want: []string{`"result":[]`}},
		call{n: "B1.4", name: "negative step", path: rangePath, params: `query={app="y"}&step=-1s`, code: 400, want: []string{"to a valid duration"}},
		call{n: "B1.4", name: "step of Prometheus", path: rangePath, params: `query=vector(1)&step=1500ms&start={T}&end={T+3}`, want: []string{`"values":[[`}},
		call{n: "129", name: "default step", path: rangePath, params: `query=vector(1)&start={T}&end={T+2}`, exact: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[{T},"1"],[{T+1},"1"],[{T+2},"1"]]}]}}`},
		call{n: "127", name: "aligned to the step", path: rangePath, params: `query=vector(1)&start={T+3}&end={T+58}&step=30`, exact: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[{T},"1"],[{T+30},"1"],[{T+60},"1"]]}]}}`},
		call{n: "B3.4", name: "bad direction", path: rangePath, params: `query={app="y"}&direction=up`, code: 400, want: []string{"invalid direction 'up'"}},
		call{n: "B3.4", name: "direction in upper case", path: rangePath, params: `query={app="x"}&direction=FORWARD` + win, want: []string{`"resultType":"streams"`}},
		call{n: "B3.1", name: "no query", path: rangePath, params: "limit=5", code: 400, want: []string{"parse error"}},
		call{n: "30", name: "131072 bytes", path: rangePath, headers: "Content-Type: application/x-www-form-urlencoded", body: "query=%7Bapp%3D%22" + strings.Repeat("y", 131072) + "%22%7D", code: 400, want: []string{"input size too long"}},
		call{n: "B1.1", name: "unknown path", path: "/loki/api/v1/nothing", code: 404},
		call{n: "B4.4", name: "flags are not trimmed", path: rangePath, params: `query={app="y"}` + win, headers: "X-Loki-Response-Encoding-Flags: a, categorize-labels", not: []string{`"structuredMetadata"`}},
		call{n: "B4.4", name: "second flag", path: rangePath, params: `query={app="y"}` + win, headers: "X-Loki-Response-Encoding-Flags: a,categorize-labels", want: []string{`"encodingFlags":["a","categorize-labels"]`, `"structuredMetadata":{"detected_level":"unknown"}`}},
		call{n: "B4.4", name: "metric queries have no flags", path: "/loki/api/v1/query", params: "query=vector(1)&time={T}", headers: "X-Loki-Response-Encoding-Flags: categorize-labels", exact: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[{T},"1"]}]}}`},
		call{n: "B4.3", name: "statistics", path: rangePath, params: `query={app="y"}` + win, want: []string{
			`"bytesProcessedPerSecond":`, `"totalBytesProcessed":`, `"totalLinesProcessed":`, `"execTime":`, `"totalEntriesReturned":1`,
			`"querier":`, `"ingester":`, `"cache":`, `"index":`, `"headChunkLines":`,
		}},
		call{n: "B5", name: "labels of a selector", path: "/loki/api/v1/labels", params: `query={app="y"}` + win, exact: `{"status":"success","data":["app","service_name","two"]}`},
		call{n: "B5", name: "labels of everything", path: "/loki/api/v1/labels", params: `query={app=~".*"}` + win, code: 400},
		call{n: "B5", name: "labels, reversed", path: "/loki/api/v1/labels", params: "start={T+3}&end={T}", code: 400},
		call{n: "B6", name: "series by match", path: "/loki/api/v1/series", params: `match={app="y"}&match={app="x"}` + win, want: []string{`"app":"x"`, `"app":"y"`}},
		call{n: "B6", name: "series with a pipeline", path: "/loki/api/v1/series", params: `match={app="y"} |= "a"`, code: 400},
		call{n: "B7.1", name: "stats need a selector", path: "/loki/api/v1/index/stats", params: `query={app="y"} |= "a"`, code: 400},
		call{n: "B7.2", name: "negative limit", path: "/loki/api/v1/index/volume", params: `query={}&limit=-1`, code: 400},
		call{n: "B9.1", name: "patterns of a pipeline", path: "/loki/api/v1/patterns", params: `query={app="y"} |= "a"`, code: 400},
		call{n: "B9.2", name: "labels of nothing", path: "/loki/api/v1/detected_labels", params: "start=1&end=2", exact: `{}`},
		call{n: "B9.3", name: "fields of a metric query", path: "/loki/api/v1/detected_fields", params: `query=rate({app="y"}[1m])`, code: 400, want: []string{"only log selector is supported"}},
		call{n: "B9.3", name: "fields as Drilldown asks", path: "/loki/api/v1/detected_fields", params: `query={app="x"} | json | logfmt | drop __error__, __error_details__&line_limit=1000&limit=1` + win, want: []string{`"limit":1`}, not: []string{"__error"}},
		call{n: "B13", name: "histogram of Explore", path: rangePath, params: `query=sum by (level, detected_level) (count_over_time({app="x"} | drop __error__ [1m]))&step=60` + win, want: []string{`"detected_level":"error"`, `"detected_level":"info"`}},
		call{n: "B13", name: "shards", path: "/loki/api/v1/label/__stream_shard__/values", params: `query={app="x"}` + win, exact: `{"status":"success"}`},
		call{n: "B13", name: "last shard", path: rangePath, params: `query={app="y",__stream_shard__=""}` + win, want: []string{"short"}},
		call{n: "B5", name: "default window is an hour", path: "/loki/api/v1/series", want: []string{`"app":"x"`}},
		call{n: "B3.4", name: "too long", path: rangePath, params: `query={app="x"}&start={T-2700000}&end={T}`, code: 400, want: []string{"the query time range exceeds the limit (query length: "}},
	)
}

func TestDelete(t *testing.T) {
	r := start(t, "")
	r.push("", push(`{"app":"x"}`, "+1", "keep", "+2", "drop this", "+3", `{"user":"u1"}`))
	const path = "/loki/api/v1/delete"
	win := "&start={T}&end={T+59}"
	r.run(
		call{n: "174", name: "none", path: path, exact: "[]"},
		call{n: "174", name: "nanoseconds", method: "POST", path: path, params: `query={app="x"}&start={Tn}`, code: 400},
		call{n: "174", name: "future end", method: "POST", path: path, params: `query={app="x"}&start={T}&end={T+90000}`, code: 400, want: []string{"future"}},
		call{n: "174", name: "no query", method: "POST", path: path, params: "start={T}", code: 400, want: []string{"query"}},
		call{n: "174", name: "no start", method: "POST", path: path, params: `query={app="x"}`, code: 400, want: []string{"start"}},
		call{n: "174", name: "metric query", method: "POST", path: path, params: `query=rate({app="x"}[1m])&start={T}`, code: 400},
		call{n: "174", name: "unknown id", method: "DELETE", path: path, params: "request_id=nope", code: 404},
		call{n: "B12", name: "line filter", method: "POST", path: path, params: `query={app="x"} |= "drop"&start={T}`, code: 204},
		call{n: "B12", name: "label filter", method: "PUT", path: path, params: `query={app="x"} | json | user="u1"&start={T}`, code: 204},
		call{n: "B12", name: "hidden at once", path: rangePath, params: `query={app="x"}` + win, want: []string{"keep"}, not: []string{"drop this", "u1"}},
		call{n: "B12", name: "counts", path: "/loki/api/v1/query", params: `query=sum(count_over_time({app="x"}[10m]))&time={T+59}`, want: []string{`"1"]`}},
		call{n: "B12", name: "not in statistics", path: "/loki/api/v1/index/stats", params: `query={app="x"}` + win, want: []string{`"entries":1}`}},
		call{n: "B12", name: "not in volumes", path: "/loki/api/v1/index/volume", params: `query={app="x"}` + win, want: []string{`"25"]`}},
		call{n: "B12", name: "all lines of a stream", method: "POST", path: path, params: `query={app="x"} |= "keep"&start={T}&end={T+2}`, code: 204},
		call{n: "B12", name: "no stream is left", path: "/loki/api/v1/series", params: "x=y" + win, exact: `{"status":"success","data":[]}`},
		call{n: "B12", name: "no label is left", path: "/loki/api/v1/labels", params: "x=y" + win, exact: `{"status":"success"}`},
		call{n: "B12", name: "nothing is detected", path: "/loki/api/v1/detected_labels", params: "x=y" + win, exact: `{}`},
		call{n: "B12", name: "list", path: path, want: []string{`"status":"received"`, `"query":"{app=\"x\"} |= \"drop\""`, `"start_time":{T}`, `"request_id":"`}},
	)
	var list []struct {
		ID string `json:"request_id"`
	}
	r.s.Get(t, path, &list)
	r.run(call{n: "B12", name: "take the last one back", method: "DELETE", path: path, params: "request_id=" + list[2].ID, code: 204})
	r.s.Kill(t)
	r.s = r.s.Restart(t)
	r.run(
		call{n: "B12", name: "hidden after kill -9", path: rangePath, params: `query={app="x"}` + win, want: []string{"keep"}, not: []string{"drop this", "u1"}},
		call{n: "B12", name: "cancel", method: "DELETE", path: path, params: "request_id=" + list[0].ID, code: 204},
		call{n: "B12", name: "seen again", path: rangePath, params: `query={app="x"}` + win, want: []string{"keep", "drop this"}, not: []string{"u1"}},
	)
}

// protoPush is a snappy PushRequest with one stream of one entry.
func protoPush(labels, line string, at time.Time) string {
	field := func(n byte, b []byte) []byte {
		return append(binary.AppendUvarint([]byte{n<<3 | 2}, uint64(len(b))), b...)
	}
	ts := binary.AppendUvarint([]byte{1 << 3}, uint64(at.Unix()))
	entry := append(field(1, ts), field(2, []byte(line))...)
	stream := append(field(1, []byte(labels)), field(2, entry)...)
	return string(s2.EncodeSnappy(nil, field(1, stream)))
}

func TestPush(t *testing.T) {
	r := start(t, "logs: {limits: {reject_old_samples: true}}\n")
	zip := func(body string, w func(*bytes.Buffer) io.WriteCloser) string {
		var b bytes.Buffer
		z := w(&b)
		_, err := z.Write([]byte(r.expand(body)))
		if err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	gz := func(b *bytes.Buffer) io.WriteCloser { return gzip.NewWriter(b) }
	raw := func(b *bytes.Buffer) io.WriteCloser { w, _ := flate.NewWriter(b, 1); return w }
	labels := func(n int) string {
		var ls []string
		for i := range n {
			ls = append(ls, fmt.Sprintf(`"l%d":"v"`, i))
		}
		return "{" + strings.Join(ls, ",") + "}"
	}
	ok := func(n, name, body string) call {
		return call{n: n, name: name, path: pushPath, headers: jsonType, body: body, code: 204}
	}
	bad := func(n, name, body string, want ...string) call {
		return call{n: n, name: name, path: pushPath, headers: jsonType, body: body, code: 400, want: want}
	}
	win := "&start={T}&end={T+59}"
	value := func(v string) string { return `{"streams":[{"stream":{"app":"v"},"values":[` + v + `]}]}` }
	r.run(
		ok("175", "JSON", push(`{"app":"json"}`, "+0", "hello")),
		call{n: "176", name: "gzip", path: pushPath, headers: jsonType + "; Content-Encoding: gzip", body: zip(push(`{"app":"gz"}`, "+0", "x"), gz), code: 204},
		call{n: "176", name: "deflate", path: pushPath, headers: jsonType + "; Content-Encoding: deflate", body: zip(push(`{"app":"df"}`, "+0", "x"), raw), code: 204},
		call{n: "176", name: "charset", path: pushPath, headers: "Content-Type: application/json;charset=utf-8", body: push(`{"app":"cs"}`, "+0", "x"), code: 204},
		call{n: "176", name: "upper case", path: pushPath, headers: "Content-Type: Application/JSON", body: push(`{"app":"uc"}`, "+0", "x"), code: 204},
		call{n: "177", name: "protobuf", path: pushPath, headers: "Content-Type: application/x-protobuf", body: protoPush(`{app="proto"}`, "x", r.base), code: 204},
		bad("178", "numeric timestamp", value(`[1700000000000000000,"x"]`)),
		bad("179", "metadata that is no string", value(`["{Tn}","x",{"a":1}]`)),
		call{n: "180", name: "no streams", path: pushPath, headers: jsonType, body: "{}", code: 422},
		call{n: "181", name: "no type", path: pushPath, body: "{}", code: 400},
		call{n: "181", name: "unknown encoding", path: pushPath, headers: jsonType + "; Content-Encoding: br", body: "{}", code: 400},
		bad("182", "16 labels", push(labels(16), "+0", "x"), "has 16 label names; limit 15"),
		ok("182", "15 labels", push(labels(15), "+0", "x")),
		ok("183", "line of 256 KiB", push(`{"app":"big"}`, "+0", strings.Repeat("x", 262144))),
		bad("183", "longer line", push(`{"app":"big"}`, "+1", strings.Repeat("x", 262145)), "max entry size '262144' bytes exceeded"),
		bad("184", "too old, the rest kept", push(`{"app":"old"}`, "-691200", "gone", "+0", "kept"), "timestamp too old"),
		call{n: "184", name: "the rest", path: rangePath, params: `query={app="old"}` + win, want: []string{"kept"}, not: []string{"gone"}},
		bad("185", "11 minutes ahead", push(`{"app":"new"}`, "+1320", "x"), "timestamp too new"),
		ok("185", "9 minutes ahead", push(`{"app":"new"}`, "+1080", "x")),
		ok("186", "out of order", push(`{"app":"order"}`, "+50", "x", "-3600", "y")),
		ok("187", "empty value", push(`{"app":"","b":"c"}`, "+0", "x")),
		call{n: "187", name: "empty value is no label", path: "/loki/api/v1/series", params: `match[]={b="c"}` + win, exact: `{"status":"success","data":[{"b":"c","service_name":"unknown_service"}]}`},
		ok("188", "service_name", push(`{"service":"S","app":"A"}`, "+0", "x")),
		call{n: "188", name: "service_name of the first label", path: "/loki/api/v1/series", params: `match[]={service="S"}` + win, want: []string{`"service_name":"S"`}},
		ok("189", "metadata names", `{"streams":[{"stream":{"app":"sm"},"values":[["{Tn}","x",{"a.b":"1","1x":"2","__r__":"3","app":"fromsm"}]]}]}`),
		call{n: "189/190", name: "metadata names", path: rangePath, params: `query={app="sm"}` + win, want: []string{`"a_b":"1"`, `"key_1x":"2"`, `"__r__":"3"`, `"app_extracted":"fromsm"`}},
		bad("B2.4", "129 fields", `{"streams":[{"stream":{"app":"f"},"values":[["{Tn}","x",`+strings.ReplaceAll(labels(129), "l", "f")+`]]}]}`, "too many structured metadata labels"),
		ok("B2.4", "128 fields", `{"streams":[{"stream":{"app":"f"},"values":[["{Tn}","x",`+strings.ReplaceAll(labels(128), "l", "f")+`]]}]}`),
		bad("B2.4", "long value", push(`{"app":"`+strings.Repeat("v", 2049)+`"}`, "+0", "x"), "label value too long"),
		bad("B2.4", "long name", push(`{"`+strings.Repeat("n", 1025)+`":"v"}`, "+0", "x"), "label name too long"),
		bad("B2.3", "bad label name", push(`{"a.b":"c"}`, "+0", "x"), "invalid label name"),
		call{n: "B2.3", name: "legacy", path: "/api/prom/push", headers: jsonType, body: `{"streams":[{"labels":"{app=\"legacy\"}","entries":[{"ts":"` + r.base.Format(time.RFC3339Nano) + `","line":"old form"}]}]}`, code: 204},
		call{n: "B1.1", name: "push by GET", path: pushPath, code: 405},
		call{n: "192", name: "OTLP", path: "/otlp/v1/logs", headers: jsonType, body: `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"otlp"}},{"key":"k8s.pod.name","value":{"stringValue":"p"}},{"key":"host","value":{"stringValue":"h"}}]},
			"scopeLogs":[{"scope":{"name":"sc"},"logRecords":[{"timeUnixNano":"{Tn}","observedTimeUnixNano":"{T+1n}","severityNumber":17,"traceId":"0102030405060708090a0b0c0d0e0f10",
			"body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"1"}},{"key":"b","value":{"stringValue":"x"}}]}},"attributes":[{"key":"kv","value":{"kvlistValue":{"values":[{"key":"x.y","value":{"stringValue":"z"}}]}}}]}]}]}]}`, code: 204},
		call{n: "192/193", name: "OTLP mapping", path: rangePath, params: `query={service_name="otlp"}` + win, want: []string{
			`"k8s_pod_name":"p"`, `"host":"h"`, `"scope_name":"sc"`, `"observed_timestamp":"{T+1n}"`, `"severity_number":"17"`, `"trace_id":"0102030405060708090a0b0c0d0e0f10"`,
			`"kv_x_y":"z"`, `"detected_level":"error"`, `{\"a\":1,\"b\":\"x\"}`,
		}},
		call{n: "194", name: "OTLP with charset", path: "/otlp/v1/logs", headers: "Content-Type: application/json;charset=utf-8", body: `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}`, code: 204},
		call{n: "B2.9", name: "OTLP without records", path: "/otlp/v1/logs", headers: jsonType, body: `{}`, code: 422},
	)
}

func TestRates(t *testing.T) {
	r := start(t, "logs:\n  limits: {ingestion_rate_mb: 4, ingestion_burst_size_mb: 6}\n  tenants: {few: {max_global_streams_per_user: 3}}\n")
	var streams []string
	for i := range 5 {
		streams = append(streams, fmt.Sprintf(`{"stream":{"app":"s%d"},"values":[["{Tn}","x"]]}`, i))
	}
	lines := []string{}
	for range 40 {
		lines = append(lines, "+0", strings.Repeat("y", 200_000))
	}
	win := "&start={T}&end={T+59}"
	r.run(
		call{n: "194a", name: "rate", path: pushPath, headers: jsonType, body: push(`{"app":"big"}`, lines...), code: 429, want: []string{"ingestion rate limit exceeded"}},
		call{n: "194a", name: "nothing stored", path: rangePath, params: `query={app="big"}` + win, want: []string{`"result":[]`}},
		call{n: "194b", name: "streams", path: pushPath, headers: jsonType + "; X-Scope-OrgID: few", body: `{"streams":[` + strings.Join(streams, ",") + `]}`, code: 429, want: []string{"2 stream_limit", "the other 3 are stored"}},
		call{n: "194b", name: "what fits", path: "/loki/api/v1/label/app/values", headers: "X-Scope-OrgID: few", params: "x=y" + win, want: []string{`["s0","s1","s2"]`}},
		call{n: "C2", name: "counted", path: "/metrics", want: []string{`pharos_discarded_items_total{reason="stream_limit",signal="logs",tenant="few"} 2`}},
	)
}

func TestTenancy(t *testing.T) {
	r := start(t, "tenancy: {enabled: true}\n")
	r.push("A", push(`{"app":"m"}`, "+1", "of A"))
	r.push("B", push(`{"app":"m"}`, "+2", "of B"))
	win := "&start={T}&end={T+59}"
	both := "X-Scope-OrgID: A|B"
	r.run(
		call{n: "195", name: "push", path: pushPath, headers: jsonType, body: push(`{"app":"m"}`, "+1", "x"), code: 401, want: []string{"no org id"}},
		call{n: "195", name: "query", path: rangePath, params: `query={app="m"}`, code: 401, want: []string{"no org id"}},
		call{n: "196", name: "buildinfo", path: "/loki/api/v1/status/buildinfo"},
		call{n: "196", name: "format_query", path: "/loki/api/v1/format_query", params: "query=1"},
		call{n: "196", name: "ready", path: "/ready"},
		call{n: "197", name: "push of two", path: pushPath, headers: jsonType + "; " + both, body: push(`{"app":"m"}`, "+1", "x"), code: 400, want: []string{"multiple org IDs"}},
		call{n: "198", name: "dot", path: rangePath, params: `query={app="m"}`, headers: "X-Scope-OrgID: .", code: 400},
		call{n: "198", name: "slash", path: rangePath, params: `query={app="m"}`, headers: "X-Scope-OrgID: a/b", code: 400},
		call{n: "198", name: "space", path: rangePath, params: `query={app="m"}`, headers: "X-Scope-OrgID: a b", code: 400},
		call{n: "198", name: "151 bytes", path: rangePath, params: `query={app="m"}`, headers: "X-Scope-OrgID: " + strings.Repeat("a", 151), code: 400},
		call{n: "B1.3", name: "metadata behind a colon", path: rangePath, params: `query={app="m"}` + win, headers: "X-Scope-OrgID: A:b", want: []string{"of A"}},
		call{n: "199", name: "two", path: rangePath, params: `query={app="m"}` + win, headers: both, want: []string{`"__tenant_id__":"A"`, `"__tenant_id__":"B"`, "of A", "of B"}},
		call{n: "200", name: "one twice", path: rangePath, params: `query={app="m"}` + win, headers: "X-Scope-OrgID: A|A", want: []string{"of A"}, not: []string{"__tenant_id__"}},
		call{n: "201", name: "matcher", path: rangePath, params: `query={app="m",__tenant_id__="A"}` + win, headers: "X-Scope-OrgID: B|A", want: []string{"of A"}, not: []string{"of B"}},
		call{n: "203", name: "aggregation", path: "/loki/api/v1/query", params: `query=sum by (__tenant_id__) (count_over_time({app="m"}[20m]))&time={T+59}`, headers: both, want: []string{`{"__tenant_id__":"A"}`, `{"__tenant_id__":"B"}`}},
		call{n: "204", name: "tail", path: "/loki/api/v1/tail", params: `query={app="m"}`, headers: both, code: 400},
		call{n: "204", name: "OTLP", path: "/otlp/v1/logs", headers: jsonType + "; " + both, body: `{"resourceLogs":[]}`, code: 400},
		call{n: "204", name: "delete", path: "/loki/api/v1/delete", headers: both, code: 400},
		call{n: "204", name: "delete POST", method: "POST", path: "/loki/api/v1/delete", params: `query={app="m"}&start={T}`, headers: both, code: 400},
	)
}
