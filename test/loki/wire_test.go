package loki

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/pharos-o11y/pharos/test/harness"
)

// compressed returns body in a Content-Encoding.
func compressed(t *testing.T, encoding string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "":
		return body
	case "snappy":
		return s2.EncodeSnappy(nil, body)
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w, err = flate.NewWriter(&b, 5)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	case "lz4":
		w = lz4.NewWriter(&b)
	default:
		t.Fatalf("encoding %s", encoding)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestEncodings sends the same entry in every form and encoding that an agent has, and reads
// it back.
func TestEncodings(t *testing.T) {
	r := start(t, "")
	type form struct{ name, path, contentType string }
	pushJSON := form{"json", pushPath, "application/json"}
	pushProto := form{"proto", pushPath, "application/x-protobuf"}
	otlpJSON := form{"otlp-json", "/otlp/v1/logs", "application/json"}
	otlpProto := form{"otlp-proto", "/otlp/v1/logs", "application/x-protobuf"}
	line := strings.Repeat("a line that compresses ", 50)
	for _, tt := range []struct {
		form
		encodings string
	}{
		{pushJSON, " gzip deflate snappy"}, {pushProto, " gzip deflate snappy"}, {otlpJSON, " gzip zstd lz4 deflate snappy"}, {otlpProto, " gzip zstd lz4 deflate snappy"},
	} {
		for encoding := range strings.SplitSeq(tt.encodings, " ") {
			t.Run(tt.name+" "+encoding, func(t *testing.T) {
				app := tt.name + "-" + encoding
				body := []byte(r.expand(push(fmt.Sprintf(`{"service_name":%q}`, app), "+0", line)))
				switch tt.form {
				case pushProto:
					body = []byte(protoPush(fmt.Sprintf(`{service_name=%q}`, app), line, r.base))
				case otlpJSON, otlpProto:
					body = []byte(r.expand(fmt.Sprintf(`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},
						"scopeLogs":[{"logRecords":[{"timeUnixNano":"{Tn}","body":{"stringValue":%q}}]}]}]}`, app, line)))
				}
				if tt.form == otlpProto {
					req := plogotlp.NewExportRequest()
					if err := req.UnmarshalJSON(body); err != nil {
						t.Fatal(err)
					}
					var err error
					if body, err = req.MarshalProto(); err != nil {
						t.Fatal(err)
					}
				}
				header := map[string]string{"Content-Type": tt.contentType}
				if encoding != "" {
					header["Content-Encoding"] = encoding
				}
				if tt.form != pushProto || encoding != "snappy" { // which is snappy already
					body = compressed(t, encoding, body)
				}
				a, err := r.s.Do(t, http.MethodPost, tt.path, body, header)
				harness.MustOK(t, a, err)
				if got := r.s.LokiRange(t, fmt.Sprintf(`{service_name=%q}`, app), r.base, r.base.Add(time.Second)).Lines(); !slices.Equal(got, []string{line}) {
					t.Errorf("read back %q", got)
				}
			})
		}
	}
}

// TestTooLarge sends more than limits.max_body, as it is and as what it decompresses to.
func TestTooLarge(t *testing.T) {
	r := start(t, "limits: {max_body: 100KiB}\n")
	body := []byte(r.expand(push(`{"app":"big"}`, "+0", strings.Repeat("x", 110_000))))
	for _, tt := range []struct{ name, path, contentType, encoding string }{
		{"plain", pushPath, "application/json", ""},
		{"gzip", pushPath, "application/json", "gzip"},
		{"deflate", pushPath, "application/json", "deflate"},
		{"protobuf", pushPath, "application/x-protobuf", "snappy"},
		{"legacy", "/api/prom/push", "application/json", ""},
		{"OTLP", "/otlp/v1/logs", "application/json", ""},
		{"OTLP zstd", "/otlp/v1/logs", "application/json", "zstd"},
		{"OTLP lz4", "/otlp/v1/logs", "application/x-protobuf", "lz4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := r.s.Do(t, http.MethodPost, tt.path, compressed(t, tt.encoding, body), map[string]string{"Content-Type": tt.contentType, "Content-Encoding": tt.encoding})
			if err != nil || a.Code != http.StatusRequestEntityTooLarge || !strings.Contains(a.Body, "exceeds 102400 bytes") {
				t.Errorf("%d %s %v, want 413", a.Code, a.Body, err)
			}
		})
	}
	r.run(
		call{n: "B2.1", name: "as much as it takes", path: pushPath, headers: jsonType, body: push(`{"app":"big"}`, "+0", strings.Repeat("x", 100_000)), code: 204},
		call{n: "B1.2", name: "nothing else is stored", path: "/loki/api/v1/query", params: `query=sum(count_over_time({app="big"}[1h]))&time={T+59}`, want: []string{`,"1"]`}},
	)
}

// slowQuery is a query that runs for seconds over what pushSlow pushes: each of its steps
// sorts thousands of numbers.
const slowQuery = `quantile_over_time(0.5, {app="slow"} | regexp "n=(?P<n>.*)" | unwrap n [1h]) by (app)`

func (r *runner) slowParams() string {
	return url.Values{
		"query": {slowQuery}, "start": {strconv.FormatInt(r.base.Unix(), 10)}, "end": {strconv.FormatInt(r.base.Unix()+3500, 10)}, "step": {"0.5"},
	}.Encode()
}

func (r *runner) pushSlow(tenant string) {
	var values []string
	for i := range 20_000 {
		values = append(values, fmt.Sprintf(`["%d","n=%d"]`, r.base.UnixNano()+int64(i)*20_000_000, i*7919%20_000))
	}
	r.push(tenant, `{"streams":[{"stream":{"app":"slow"},"values":[`+strings.Join(values, ",")+`]}]}`)
}

// TestQueryTimeout checks that a query ends with 504 when its time is over, whatever it is
// doing, and leaves room for the next.
func TestQueryTimeout(t *testing.T) {
	r := start(t, "logs: {tenants: {hasty: {query_timeout: 100ms}}}\n")
	r.pushSlow("hasty")
	began := time.Now()
	a, err := r.s.Do(t, http.MethodGet, rangePath+"?"+r.slowParams(), nil, map[string]string{"X-Scope-OrgID": "hasty"})
	if err != nil || a.Code != http.StatusGatewayTimeout {
		t.Fatalf("%d %.300s %v, want 504", a.Code, a.Body, err)
	}
	t.Logf("504 after %s: %s", time.Since(began).Round(time.Millisecond), a.Body)
	r.run(
		call{n: "B1.2", name: "as text", path: "/loki/api/v1/drilldown-limits", headers: "X-Scope-OrgID: hasty", want: []string{`"query_timeout":"100ms"`}},
		call{n: "B9.4", name: "the common one", path: "/loki/api/v1/drilldown-limits", want: []string{`"query_timeout":"2m"`}},
		call{n: "B1.2", name: "others are answered", path: "/loki/api/v1/query", headers: "X-Scope-OrgID: hasty", params: `query=sum(count_over_time({app="slow"}[1h]))&time={T+3500}`, want: []string{`,"20000"]`}},
	)
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("content type %q", a.Header.Get("Content-Type"))
	}
}

// TestClientGone hangs up in the middle of a query: it ends at once, and is seen as 499 in
// Pharos' traces of itself.
func TestClientGone(t *testing.T) {
	r := start(t, "telemetry: {traces: true}\n")
	r.pushSlow("")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.s.URL+rangePath+"?"+r.slowParams(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		if err == nil {
			resp.Body.Close()
		}
		t.Fatalf("the query was over before its client was gone: %v", err)
	}
	harness.Eventually(t, "the query ends", func() bool {
		a, err := r.s.Do(t, http.MethodGet, "/metrics", nil, nil)
		harness.MustOK(t, a, err)
		return strings.Contains(a.Body, "\npharos_queries_running 0\n") && strings.Contains(a.Body, `pharos_queries_failed_total{language="logql"} 1`)
	})
	harness.Eventually(t, "status 499", func() bool {
		return len(r.s.Search(t, `{resource.service.name="pharos" && span.http.response.status_code=499}`, r.base, time.Now())) == 1
	})
}

// TestDeleteProgress follows a delete request that cannot be taken back until it is
// processed (B12).
func TestDeleteProgress(t *testing.T) {
	r := start(t, "logs: {delete_request_cancel_period: 0s}\n")
	for day := range 5 {
		r.push("", push(`{"app":"x"}`, fmt.Sprintf("%+d", -86400*day), "gone "+strings.Repeat("x", 100), fmt.Sprintf("%+d", -86400*day+1), "kept"))
		a, err := r.s.Do(t, http.MethodPost, "/flush", nil, nil)
		harness.MustOK(t, a, err)
	}
	const path = "/loki/api/v1/delete"
	r.run(
		call{n: "B12", name: "max_interval", method: "POST", path: path, params: `query={app="x"} |= "gone"&start={T-500000}&max_interval=12h`, code: 204},
		call{n: "B12", name: "no interval", method: "POST", path: path, params: `query={app="x"}&start={T-500000}&max_interval=soon`, code: 400, want: []string{"invalid max_interval"}},
		call{n: "B12", name: "hidden at once", path: rangePath, params: `query={app="x"}&start={T-500000}&end={T+59}`, not: []string{"gone"}, want: []string{"kept"}},
	)
	seen := regexp.MustCompile(`^(received|[0-9]{1,2}% Complete|processed)$`)
	var before int
	harness.Eventually(t, "the request is processed", func() bool {
		var list []struct{ Status string }
		r.s.Get(t, path, &list)
		if len(list) != 1 || !seen.MatchString(list[0].Status) {
			t.Fatalf("requests %+v", list)
		}
		if percent, ok := strings.CutSuffix(list[0].Status, "% Complete"); ok {
			n, _ := strconv.Atoi(percent)
			if n < before {
				t.Errorf("%d %% complete after %d %%", n, before)
			}
			before = n
		}
		return list[0].Status == "processed"
	})
	r.run(
		call{n: "B12", name: "what is left", path: "/loki/api/v1/query", params: `query=sum(count_over_time({app="x"}[7d]))&time={T+59}`, want: []string{`,"5"]`}},
		call{n: "B12", name: "is all there is", path: "/loki/api/v1/index/stats", params: `query={app="x"}&start={T-500000}&end={T+59}`, want: []string{`"entries":5`}},
	)
}

// TestManyFields pushes an entry with as many fields as a limit of 1,000 takes, and one with
// one more; the default takes 128.
func TestManyFields(t *testing.T) {
	r := start(t, "logs: {tenants: {wide: {max_structured_metadata_entries_count: 1000}}}\n")
	wide := map[string]string{"X-Scope-OrgID": "wide", "X-Loki-Response-Encoding-Flags": "categorize-labels"}
	entry := func(n int) string {
		fields := map[string]string{}
		for i := range n {
			fields[fmt.Sprintf("key%04d", i)] = strconv.Itoa(i)
		}
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"streams":[{"stream":{"app":"wide"},"values":[["{T%+dn}","%d fields",%s]]}]}`, n-1000, n, text)
	}
	r.run(
		call{n: "C1", name: "1,000", path: pushPath, headers: jsonType + "; X-Scope-OrgID: wide", body: entry(1000), code: 204},
		call{n: "C1", name: "1,001", path: pushPath, headers: jsonType + "; X-Scope-OrgID: wide", body: entry(1001), code: 400, want: []string{"too many structured metadata labels: '1001', limit: '1000'"}},
		call{n: "C1", name: "1,000 where 128 are the limit", path: pushPath, headers: jsonType, body: entry(1000), code: 400, want: []string{"'1000', limit: '128'"}},
	)
	for _, when := range []string{"in memory", "on disk", "after kill -9"} {
		switch when {
		case "on disk":
			a, err := r.s.Do(t, http.MethodPost, "/flush", nil, nil)
			harness.MustOK(t, a, err)
		case "after kill -9":
			r.s.Kill(t)
			r.s = r.s.Restart(t)
		}
		q := url.Values{"query": {`{app="wide"} | key0999="999"`}, "start": {strconv.FormatInt(r.base.Unix(), 10)}, "end": {strconv.FormatInt(r.base.Unix()+59, 10)}}
		a, err := r.s.Do(t, http.MethodGet, rangePath+"?"+q.Encode(), nil, wide)
		harness.MustOK(t, a, err)
		var got struct {
			Data struct {
				Result []struct{ Values [][]json.RawMessage }
			}
		}
		var meta struct{ StructuredMetadata map[string]string }
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Data.Result) != 1 || len(got.Data.Result[0].Values) != 1 {
			t.Fatalf("%s: answer %.300s", when, a.Body)
		}
		if err := json.Unmarshal(got.Data.Result[0].Values[0][2], &meta); err != nil {
			t.Fatal(err)
		}
		if n := len(meta.StructuredMetadata); n != 1001 || meta.StructuredMetadata["key0500"] != "500" { // and detected_level
			t.Errorf("%s: %d fields, key0500 is %q", when, n, meta.StructuredMetadata["key0500"])
		}
	}
}

// TestQueryMemory asks for more than a query may hold: that is said, and the server goes on.
func TestQueryMemory(t *testing.T) {
	r := start(t, "query: {max_query_memory: 300KiB}\n")
	r.pushSlow("")
	at := "&time={T+3500}"
	r.run(
		call{n: "B1.2", name: "too much", path: "/loki/api/v1/query", params: `query=count_over_time({app="slow"} | logfmt [1h])` + at, code: 422, want: []string{"needs more than its 307200 bytes of memory"}},
		call{n: "B1.2", name: "too many entries", path: rangePath, params: `query={app="slow"}&limit=5000&start={T}&end={T+590}`, code: 422, want: []string{"needs more than"}},
		call{n: "B1.2", name: "enough", path: "/loki/api/v1/query", params: `query=sum(count_over_time({app="slow"}[1h]))` + at, want: []string{`,"20000"]`}},
	)
}
