package loki

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pharos-o11y/pharos/test/harness"
)

// TestPushForms pushes what is odd but taken, and what is refused as a whole.
func TestPushForms(t *testing.T) {
	r := start(t, "")
	win := "&start={T}&end={T+59}"
	push := func(n, name, body string, code int, want ...string) call {
		return call{n: n, name: name, path: pushPath, headers: jsonType, body: body, code: code, want: want}
	}
	see := func(n, name, query string, want ...string) call {
		return call{n: n, name: name, path: rangePath, params: "query=" + query + win, want: want}
	}
	r.run(
		push("B2.3", "a fourth element", `{"streams":[{"stream":{"app":"four"},"values":[["{Tn}","x",{"k":"v"},"more"]]}]}`, 204),
		see("B2.3", "is ignored", `{app="four"}`, `"k":"v"`, `"x"]`),
		push("B2.3", "no line", `{"streams":[{"stream":{"app":"one"},"values":[["{Tn}"]]}]}`, 204),
		see("B2.3", "is an empty one", `{app="one"}`, `["{Tn}",""]`),
		push("B2.3", "no values", `{"streams":[{"stream":{"app":"none"},"values":[]},{"stream":{"app":"null"},"values":null}]}`, 204),
		push("B2.3", "no stream", `{"streams":[{"values":[["{Tn}","homeless"]]}]}`, 204),
		see("B2.3", "has a service all the same", `{service_name="unknown_service"}`, "homeless"),
		push("B2.3", "no timestamp", `{"streams":[{"stream":{"app":"x"},"values":[[]]}]}`, 400, "streams[0].values[0]"),
		push("B2.3", "nested metadata", `{"streams":[{"stream":{"app":"x"},"values":[["{Tn}","x",{"a":{"b":"c"}}]]}]}`, 400, "not a string"),
		push("B2.3", "metadata in a list", `{"streams":[{"stream":{"app":"x"},"values":[["{Tn}","x",["a"]]]}]}`, 400, "not an object"),
		push("B2.3", "empty body", ` `, 400, "couldn't parse push request"),
		push("B2.8", "names that become one", `{"streams":[{"stream":{"app":"sm"},"values":[["{Tn}","x",{"a.b":"1","a_b":"2","UP":"3","_u":"4","a  -c":"5","é":"6","e":""}]]}]}`, 204),
		see("B2.8", "the first counts", `{app="sm"}`, `"a_b":"1"`, `"UP":"3"`, `"_u":"4"`, `"a_c":"5"`),
		push("B2.8", "values that are not UTF-8", `{"streams":[{"stream":{"app":"utf"},"values":[["{Tn}","l\ufffdne <&>",{"v":"\ufffdv"}]]}]}`, 204),
		see("B2.8", "have spaces", `{app="utf"}`, `"v":" v"`, `l`+"\uFFFD"+`ne \u003c\u0026\u003e`),
		push("A11.5", "the same entry again", `{"streams":[{"stream":{"app":"one"},"values":[["{Tn}"]]}]}`, 204),
		call{n: "A11.5", name: "is stored once", path: "/loki/api/v1/query", params: `query=sum(count_over_time({app="one"}[1h]))&time={T+59}`, want: []string{`,"1"]`}},
		call{n: "B1.2", name: "errors end with a line feed", path: pushPath, headers: jsonType, body: "[]", code: 400, want: []string{"\n"}},
	)
	a, err := r.s.Do(t, http.MethodGet, "/loki/api/v1/query?query=%7B", nil, nil)
	if err != nil || a.Code != 400 || strings.HasSuffix(a.Body, "\n") {
		t.Errorf("error of a query: %d %q %v", a.Code, a.Body, err)
	}
}

// TestDetectedLevels sends the table of B2.7 over the wire (191).
func TestDetectedLevels(t *testing.T) {
	r := start(t, "")
	table, err := os.ReadFile(filepath.Join(harness.Root(t), "internal/ingest/logrules/testdata/levels.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	var entries []string
	for row := range strings.Lines(string(table)) {
		if level, line, _ := strings.Cut(strings.TrimSuffix(row, "\n"), " "); level != "#" {
			want[line] = level
			entries = append(entries, "+0", line)
		}
	}
	r.push("", push(`{"app":"levels"}`, entries...))
	q := url.Values{"query": {`{app="levels"}`}, "start": {fmt.Sprint(r.base.Unix())}, "end": {fmt.Sprint(r.base.Unix() + 9)}}
	var got struct {
		Data struct {
			Result []struct {
				Stream map[string]string
				Values [][2]string
			}
		}
	}
	r.s.Get(t, rangePath+"?"+q.Encode(), &got)
	n := 0
	for _, s := range got.Data.Result {
		for _, v := range s.Values {
			n++
			if s.Stream["detected_level"] != want[v[1]] {
				t.Errorf("%q: %s, want %s", v[1], s.Stream["detected_level"], want[v[1]])
			}
		}
	}
	if n != len(want) {
		t.Errorf("%d entries, want %d", n, len(want))
	}
}

// TestOTLPMapping sends one record that has everything (B2.9).
func TestOTLPMapping(t *testing.T) {
	r := start(t, "")
	str := func(k, v string) string { return fmt.Sprintf(`{"key":%q,"value":{"stringValue":%q}}`, k, v) }
	names := []string{
		"service.name", "service.namespace", "service.instance.id", "deployment.environment", "deployment.environment.name", "cloud.region",
		"cloud.availability_zone", "k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "container.name",
		"k8s.replicaset.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
	}
	labels := []string{`"service_name":"v"`}
	var resource []string
	for _, n := range names[1:14] { // as many as the limit of labels takes
		labels = append(labels, fmt.Sprintf(`%q:"v"`, strings.ReplaceAll(n, ".", "_")))
	}
	for _, n := range names[:14] {
		resource = append(resource, str(n, "v"))
	}
	record := `{"timeUnixNano":"{T+1n}","observedTimeUnixNano":"{T+2n}","severityNumber":9,"severityText":"Info","flags":1,"droppedAttributesCount":2,"eventName":"ev",
		"traceId":"0102030405060708090A0B0C0D0E0F10","spanId":"0102030405060708","body":{"stringValue":"full"},"attributes":[
		{"key":"i","value":{"intValue":"5"}},{"key":"d","value":{"doubleValue":1.5}},{"key":"b","value":{"boolValue":true}},
		{"key":"arr","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"b"}]}}},{"key":"kv","value":{"kvlistValue":{"values":[` + str("x.y", "z") + `]}}},` + str("both", "entry") + `]}`
	body := `{"resourceLogs":[{"resource":{"attributes":[` + strings.Join(append(resource, str("host.name", "h"), str("both", "resource")), ",") + `]},
		"scopeLogs":[{"scope":{"name":"sc","version":"1","droppedAttributesCount":3,"attributes":[` + str("sa", "s") + "," + str("both", "scope") + `]},"logRecords":[` + record + `,
		{"observedTimeUnixNano":"{T+3n}","body":{"arrayValue":{"values":[{"stringValue":"q"}]}}},{"timeUnixNano":"{T+4n}","body":{"intValue":"7"}},{"timeUnixNano":"{T+5n}","body":{"boolValue":false}},{"timeUnixNano":"{T+6n}"}]}]},
		{"scopeLogs":[{"logRecords":[{"timeUnixNano":"{T+7n}","body":{"stringValue":"no resource"}}]}]}]}`
	win := "&start={T}&end={T+59}&direction=forward"
	r.run(
		call{n: "B2.9", name: "everything", path: "/otlp/v1/logs", headers: jsonType, body: body, code: 204},
		call{n: "B2.9", name: "labels", path: "/loki/api/v1/series", params: `match[]={service_name="v"}` + win, want: labels, not: []string{"host_name", "scope_name"}},
		call{n: "B2.9", name: "metadata", path: rangePath, params: `query={service_name="v"} |= "full"` + win, want: []string{
			`"host_name":"h"`, `"scope_name":"sc"`, `"scope_version":"1"`, `"scope_dropped_attributes_count":"3"`, `"sa":"s"`, `"i":"5"`, `"d":"1.5"`, `"b":"true"`, `"arr":"[1,\"b\"]"`,
			`"kv_x_y":"z"`, `"both":"entry"`, `"observed_timestamp":"{T+2n}"`, `"severity_number":"9"`, `"severity_text":"Info"`, `"flags":"1"`, `"dropped_attributes_count":"2"`, `"event_name":"ev"`,
			`"trace_id":"0102030405060708090a0b0c0d0e0f10"`, `"span_id":"0102030405060708"`, `"detected_level":"info"`, `["{T+1n}","full"]`,
		}},
		call{n: "B2.9", name: "bodies and times", path: rangePath, params: `query={service_name="v"} | keep app` + win, want: []string{`["{T+3n}","[\"q\"]"],["{T+4n}","7"],["{T+5n}","false"],["{T+6n}",""]`}},
		call{n: "B2.9", name: "observed alone is the time", path: rangePath, params: `query={service_name="v"} |= "q"` + win, not: []string{"observed_timestamp"}},
		call{n: "B2.9", name: "no service", path: rangePath, params: `query={service_name="unknown_service"}` + win, want: []string{"no resource"}},
		call{n: "B2.9", name: "nonsense", path: "/otlp/v1/logs", headers: jsonType, body: `{"resourceLogs":5}`, code: 400},
		call{n: "B2.9", name: "GET", path: "/otlp/v1/logs", code: 405},
	)
}

// TestStatistics holds the members of the statistics (B4.3), whatever the query.
func TestStatistics(t *testing.T) {
	r := start(t, "")
	r.push("", push(`{"app":"x"}`, "+0", "one", "+1", "two"))
	chunk := "headChunkBytes headChunkLines decompressedBytes decompressedLines compressedBytes totalDuplicates postFilterLines headChunkStructuredMetadataBytes decompressedStructuredMetadataBytes"
	inStore := "totalChunksRef totalChunksDownloaded chunksDownloadTime queryReferencedStructuredMetadata queryUsedV2Engine chunkRefsFetchTime congestionControlLatency pipelineWrapperFilteredLines dataobj chunk"
	cache := "entriesFound entriesRequested entriesStored bytesReceived bytesSent requests downloadTime queryLengthServed"
	want := map[string]string{
		"summary": "bytesProcessedPerSecond linesProcessedPerSecond totalBytesProcessed totalLinesProcessed execTime queueTime subqueries totalEntriesReturned splits shards totalPostFilterLines totalStructuredMetadataBytesProcessed",
		"querier": "store querierExecTime", "querier.store": inStore, "querier.store.chunk": chunk,
		"ingester": "totalReached totalChunksMatched totalBatches totalLinesSent store recvWaitTime", "ingester.store": inStore, "ingester.store.chunk": chunk,
		"cache": "chunk index result statsResult volumeResult seriesResult labelResult instantMetricResult", "cache.chunk": cache, "cache.instantMetricResult": cache,
		"index": "totalChunks postFilterChunks shardsDuration usedBloomFilters totalStreams chunkRefsLookupTime bloomFilterTime",
	}
	for _, q := range []string{`{app="x"} |= "two"`, `sum(count_over_time({app="x"}[1m]))`} {
		v := url.Values{"query": {q}, "start": {fmt.Sprint(r.base.Unix())}, "end": {fmt.Sprint(r.base.Unix() + 60)}, "step": {"60"}}
		var got struct {
			Data struct{ Stats map[string]any }
		}
		r.s.Get(t, rangePath+"?"+v.Encode(), &got)
		for path, members := range want {
			at := any(got.Data.Stats)
			for part := range strings.SplitSeq(path, ".") {
				m, _ := at.(map[string]any)
				at = m[part]
			}
			m, _ := at.(map[string]any)
			for name := range strings.FieldsSeq(members) {
				if _, ok := m[name]; !ok {
					t.Errorf("%s: %s lacks %s", q, path, name)
				}
			}
		}
		summary, _ := got.Data.Stats["summary"].(map[string]any)
		if lines, _ := summary["totalLinesProcessed"].(float64); lines == 0 {
			t.Errorf("%s: no line was processed: %v", q, summary)
		}
	}
}

// TestPatterns checks order, rhythm and level of patterns (B9.1), and that each selects its
// lines.
func TestPatterns(t *testing.T) {
	r := start(t, "")
	var entries []string
	for i := range 60 {
		entries = append(entries, fmt.Sprintf("+%d", i), fmt.Sprintf("level=info ts=%d user=u%d msg=done", 1000+i, i))
	}
	entries = append(entries, "+125", "level=info ts=2000 user=u1 msg=done", "+5", "level=error it broke", "+6", "level=error it broke")
	r.push("", push(`{"app":"p"}`, entries...))
	q := url.Values{"query": {`{app="p"}`}, "start": {fmt.Sprint(r.base.Unix())}, "end": {fmt.Sprint(r.base.Unix() + 200)}, "step": {"60s"}}
	var got struct {
		Data []struct {
			Pattern, Level string
			Samples        [][2]int64
		}
	}
	r.s.Get(t, "/loki/api/v1/patterns?"+q.Encode(), &got)
	if len(got.Data) != 2 || got.Data[0].Level != "info" || got.Data[1].Level != "error" {
		t.Fatalf("patterns %+v, want one of info and then one of error", got.Data)
	}
	at := r.base.Unix()
	if s := got.Data[0].Samples; fmt.Sprint(s) != fmt.Sprint([][2]int64{{at, 60}, {at + 60, 0}, {at + 120, 1}}) {
		t.Errorf("samples %v of %d", s, at)
	}
	for _, p := range got.Data {
		total := int64(0)
		for _, s := range p.Samples {
			total += s[1]
		}
		r.one(t, &call{
			path: "/loki/api/v1/query", params: fmt.Sprintf("query=sum(count_over_time({app=\"p\"} |> `%s` [1h]))&time={T+300}", p.Pattern), want: []string{fmt.Sprintf(`,"%d"]`, total)},
		})
	}
}

// TestTailProtocol checks frames (B8): the latest old entries first, oldest before newest, an
// entry a stream object, at most a hundred a frame, and that a tail ends when its time is over.
func TestTailProtocol(t *testing.T) {
	r := start(t, "logs: {limits: {tail_max_duration: 3s}}\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var entries []string
	for i := range 300 {
		entries = append(entries, fmt.Sprintf("+%d", i), fmt.Sprintf("old %d", i))
	}
	r.push("", push(`{"app":"tail"}`, entries...))
	q := url.Values{"query": {`{app="tail"}`}, "limit": {"250"}, "delay_for": {"5"}, "start": {fmt.Sprint(r.base.Unix())}}
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(r.s.URL, "http")+"/loki/api/v1/tail?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		resp.Body.Close()
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	next := 50
	frames := 0
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			if s := websocket.CloseStatus(err); s != websocket.StatusNormalClosure {
				t.Errorf("the tail ended with status %d: %v", s, err)
			}
			break
		}
		frames++
		var f struct {
			Streams []struct {
				Stream map[string]string
				Values [][2]string
			}
		}
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		if len(f.Streams) > 100 {
			t.Errorf("a frame of %d entries", len(f.Streams))
		}
		for _, s := range f.Streams {
			if len(s.Values) != 1 || s.Values[0][1] != fmt.Sprintf("old %d", next) || s.Stream["detected_level"] != "unknown" {
				t.Fatalf("got %+v, want old %d alone", s, next)
			}
			next++
		}
	}
	if next != 300 || frames < 3 {
		t.Errorf("%d frames, up to old %d", frames, next-1)
	}
}

// TestErrors checks the head of answers (B1.2).
func TestErrors(t *testing.T) {
	r := start(t, "")
	for _, tt := range []struct {
		method, path string
		code         int
		kind, sniff  string
	}{
		{"GET", "/loki/api/v1/query?query=%7B", 400, "text/plain; charset=utf-8", "nosniff"},
		{"GET", "/loki/api/v1/labels?start=9&end=1", 400, "text/plain; charset=utf-8", "nosniff"},
		{"POST", pushPath, 400, "text/plain; charset=utf-8", "nosniff"},
		{"POST", "/otlp/v1/logs", 415, "application/octet-stream", ""},
		{"GET", "/loki/api/v1/format_query?query=%7B", 400, "application/json; charset=UTF-8", ""},
		{"GET", "/loki/api/v1/query?query=1", 200, "application/json; charset=UTF-8", ""},
		{"DELETE", "/loki/api/v1/delete?request_id=nope", 404, "text/plain; charset=utf-8", "nosniff"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, r.s.URL+tt.path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if h := resp.Header; resp.StatusCode != tt.code || h.Get("Content-Type") != tt.kind || h.Get("X-Content-Type-Options") != tt.sniff {
			t.Errorf("%s %s: %d %v, want %d %s %s", tt.method, tt.path, resp.StatusCode, h, tt.code, tt.kind, tt.sniff)
		}
	}
}

// TestTenantLabel checks a label called like that of tenants (202), and what merges and what
// does not (B1.3).
func TestTenantLabel(t *testing.T) {
	r := start(t, "tenancy: {enabled: true}\n")
	r.push("A", push(`{"app":"m","__tenant_id__":"zz"}`, "+1", "of A"))
	r.push("B", push(`{"app":"m"}`, "+2", "of B"))
	both := "X-Scope-OrgID: A|B"
	win := "&start={T}&end={T+59}"
	r.run(
		call{n: "202", name: "renamed", path: rangePath, params: `query={app="m"}` + win, headers: both, want: []string{`"original___tenant_id__":"zz"`, `"__tenant_id__":"A"`}},
		call{n: "B1.3", name: "without grouping tenants merge", path: "/loki/api/v1/query", params: `query=sum(count_over_time({app="m"}[20m]))&time={T+59}`, headers: both, want: []string{`"metric":{},"value":[{T+59},"2"]`}},
		call{n: "B1.3", name: "no tenant matches", path: rangePath, params: `query={app="m",__tenant_id__=~"C|D"}` + win, headers: both, want: []string{`"result":[]`}},
		call{n: "B1.3", name: "labels", path: "/loki/api/v1/labels", params: "x=y" + win, headers: both, want: []string{`"__tenant_id__"`}},
		call{n: "B1.3", name: "tenants of the header", path: "/loki/api/v1/label/__tenant_id__/values", params: "x=y" + win, headers: both, want: []string{`["A","B"]`}},
		call{n: "B1.3", name: "stats", path: "/loki/api/v1/index/stats", params: `query={app="m"}` + win, headers: both, want: []string{`"streams":2`, `"entries":2`}},
		call{n: "B1.3", name: "series", path: "/loki/api/v1/series", params: "x=y" + win, headers: both, want: []string{`"__tenant_id__":"B"`}},
		call{n: "B1.3", name: "empty header", path: rangePath, params: `query={app="m"}`, headers: "X-Scope-OrgID: ", code: 401, want: []string{"no org id"}},
		call{n: "204", name: "rules", path: "/loki/api/v1/rules", headers: both, code: 400, want: []string{"multiple org IDs"}},
	)
}
