package lokipush

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// recorder is a LogWriter that keeps the text of what it is given.
type recorder struct {
	tenant model.Tenant
	got    []string // "{stream} time line {meta}", sorted
	err    error
}

func (r *recorder) Append(_ context.Context, tenant model.Tenant, b *store.LogBatch) error {
	r.tenant = tenant
	for _, s := range b.Streams {
		for _, e := range s.Entries {
			r.got = append(r.got, strings.Clone(fmt.Sprintf("%s %d %s %s", s.Labels, e.Time, e.Line, e.Meta.Labels())))
		}
	}
	slices.Sort(r.got)
	return r.err
}

type entry struct {
	ts   int64
	line string
	meta []string
}

// protoPush encodes one stream as a PushRequest.
func protoPush(labels string, entries ...entry) []byte {
	bytesField := func(dst []byte, num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), v)
	}
	varint := func(dst []byte, num protowire.Number, v int64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), uint64(v))
	}
	stream := bytesField(nil, 1, []byte(labels))
	for _, e := range entries {
		b := bytesField(nil, 1, varint(varint(nil, 1, e.ts/1e9), 2, e.ts%1e9))
		b = bytesField(b, 2, []byte(e.line))
		for i := 0; i < len(e.meta); i += 2 {
			b = bytesField(b, 3, bytesField(bytesField(nil, 1, []byte(e.meta[i])), 2, []byte(e.meta[i+1])))
		}
		stream = bytesField(stream, 2, b)
	}
	stream = varint(stream, 3, 12345) // the hash is ignored
	return bytesField(nil, 1, stream)
}

func compress(t *testing.T, encoding string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch encoding {
	case "gzip":
		z := gzip.NewWriter(&b)
		if _, err := z.Write(body); err != nil {
			t.Fatal(err)
		}
		z.Close()
	case "deflate":
		z, err := flate.NewWriter(&b, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(body); err != nil {
			t.Fatal(err)
		}
		z.Close()
	default:
		return body
	}
	return b.Bytes()
}

const now = 1_700_000_000_000_000_000

type request struct {
	name, body         string
	contentType        string
	encoding, tenantID string
	storeErr           error

	status int
	text   string   // in the answer
	want   []string // stored
}

func (tt request) run(t *testing.T, h func(*Server) http.Handler) {
	t.Helper()
	w := &recorder{err: tt.storeErr}
	s := New(w, Options{MaxBytes: 1 << 20, Now: func() time.Time { return time.Unix(0, now) }})
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(compress(t, tt.encoding, []byte(tt.body))))
	r.Header.Set("Content-Type", tt.contentType)
	if tt.encoding != "" {
		r.Header.Set("Content-Encoding", tt.encoding)
	}
	if tt.tenantID != "" {
		r.Header.Set("X-Scope-OrgID", tt.tenantID)
	}
	rec := httptest.NewRecorder()
	h(s).ServeHTTP(rec, r)
	if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.text) {
		t.Errorf("got %d %q, want %d with %q", rec.Code, rec.Body, tt.status, tt.text)
	}
	if diff := cmp.Diff(tt.want, w.got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestPushJSON(t *testing.T) {
	line := func(values string) string { return `{"streams":[{"stream":{"app":"x"},"values":[` + values + `]}]}` }
	one := `{app="x", service_name="x"} 1700000000000000000 hello {detected_level="unknown"}`
	tests := []request{
		{name: "plain", body: line(`["1700000000000000000","hello"]`), status: 204, want: []string{one}},
		{name: "charset", contentType: "Application/JSON; charset=utf-8", body: line(`["1700000000000000000","hello"]`), status: 204, want: []string{one}},
		{name: "gzip", encoding: "gzip", body: line(`["1700000000000000000","hello"]`), status: 204, want: []string{one}},
		{name: "deflate", encoding: "deflate", body: line(`["1700000000000000000","hello"]`), status: 204, want: []string{one}},
		{name: "brotli", encoding: "br", body: line(`["1700000000000000000","hello"]`), status: 400, text: "not supported"},
		{name: "metadata", body: line(`["1700000000000000000","hello",{"trace_id":"abc","a.b":"c"}]`), status: 204, want: []string{
			`{app="x", service_name="x"} 1700000000000000000 hello {a_b="c", detected_level="unknown", trace_id="abc"}`,
		}},
		{name: "no stream", body: `{"streams":[{"values":[["1700000000000000000","hello"]]}]}`, status: 204, want: []string{
			`{service_name="unknown_service"} 1700000000000000000 hello {detected_level="unknown"}`,
		}},
		{name: "null values", body: `{"streams":[{"stream":{"a":"b"},"values":null}]}`, status: 204},
		{name: "number as time", body: line(`[1700000000000000000,"hello"]`), status: 400, text: "streams[0].values[0] is a number"},
		{name: "text as time", body: line(`["now","hello"]`), status: 400, text: `"now"`},
		{name: "number as line", body: line(`["1700000000000000000",5]`), status: 400, text: "not a string"},
		{name: "number in metadata", body: line(`["1700000000000000000","x",{"a":5}]`), status: 400, text: "not a string"},
		{name: "metadata is no object", body: line(`["1700000000000000000","x","y"]`), status: 400, text: "not an object"},
		{name: "number as label", body: `{"streams":[{"stream":{"a":1},"values":[]}]}`, status: 400, text: "label a"},
		{name: "empty", body: ``, status: 400},
		{name: "garbage", body: `{"streams":`, status: 400},
		{name: "array", body: `[]`, status: 400, text: "not an object"},
		{name: "no streams", body: `{}`, status: 422, text: "at least one valid stream"},
		{name: "empty streams", body: `{"streams":[]}`, status: 422, text: "at least one valid stream"},
		{
			name: "dotted label", body: `{"streams":[{"stream":{"a.b":"c"},"values":[["1700000000000000000","lost"]]},{"stream":{"app":"x"},"values":[["1700000000000000000","hello"]]}]}`,
			status: 400, text: "1 invalid_labels", want: []string{one},
		},
		{name: "bomb", encoding: "gzip", body: line(`["1700000000000000000","` + strings.Repeat("x", 2<<20) + `"]`), status: 413},
		{name: "no type", contentType: "-", body: line(""), status: 400, text: "Content-Type"},
		{name: "tenant", tenantID: "a b", body: line(""), status: 400, text: "tenant"},
		{name: "legacy", body: `{"streams":[{"labels":"{app=\"x\"}","entries":[{"ts":"2023-11-14T22:13:20Z","line":"hello"}]}]}`, status: 204, want: []string{one}},
		{name: "overloaded", body: line(`["1700000000000000000","hello"]`), storeErr: store.ErrOverloaded, status: 503, want: []string{one}},
		{
			name: "stream limit", body: line(`["1700000000000000000","hello"]`), status: 429, text: "stream_limit", want: []string{one},
			storeErr: &store.Refused{Refusals: []store.Refusal{{Reason: store.ReasonStreamLimit, Count: 1}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			switch tt.contentType {
			case "":
				tt.contentType = "application/json"
			case "-":
				tt.contentType = ""
			}
			tt.run(t, (*Server).Push)
		})
	}
}

func TestPushProtobuf(t *testing.T) {
	body := protoPush(`{b="c", app="x"}`,
		entry{now, "level=warn first", []string{"trace_id", "abc", "1x", "y"}},
		entry{now + 5, "second", nil})
	snappy := func(b []byte) string { return string(s2.EncodeSnappy(nil, b)) }
	want := []string{
		`{app="x", b="c", service_name="x"} 1700000000000000000 level=warn first {detected_level="warn", key_1x="y", trace_id="abc"}`,
		`{app="x", b="c", service_name="x"} 1700000000000000005 second {detected_level="unknown"}`,
	}
	tests := []request{
		{name: "plain", body: snappy(body), status: 204, want: want},
		{name: "named", body: snappy(body), encoding: "snappy", status: 204, want: want},
		{name: "gzip", body: snappy(body), encoding: "gzip", status: 204, want: want},
		{
			name: "two streams", body: snappy(append(slices.Clone(body), protoPush(`{z="z"}`, entry{now, "third", nil})...)), status: 204,
			want: append(slices.Clone(want), `{service_name="unknown_service", z="z"} 1700000000000000000 third {detected_level="unknown"}`),
		},
		{name: "not snappy", body: "hello", status: 400, text: "snappy"},
		{name: "truncated", body: snappy(body[:40]), status: 400, text: "at byte"},
		{name: "bad labels", body: snappy(append(slices.Clone(body), protoPush(`{app=pb}`, entry{now, "lost", nil})...)), status: 400, text: "couldn't parse labels", want: want},
		{name: "repeated label", body: snappy(protoPush(`{a="1", a="2"}`, entry{now, "lost", nil})), status: 400, text: "duplicate label name"},
		{name: "no streams", body: snappy(nil), status: 422, text: "at least one valid stream"},
		{name: "bomb", body: snappy(make([]byte, 2<<20)), status: 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.contentType = "application/x-protobuf"
			tt.run(t, (*Server).Push)
		})
	}
}

func TestPushOTLP(t *testing.T) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	rl.Resource().Attributes().PutStr("host.name", "h1")
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("lib")
	lr := sl.LogRecords().AppendEmpty()
	lr.SetTimestamp(now)
	lr.SetObservedTimestamp(now + 1)
	lr.SetSeverityNumber(plog.SeverityNumberError)
	lr.SetSeverityText("ERR")
	lr.SetTraceID([16]byte{15: 1})
	lr.SetSpanID([8]byte{7: 2})
	lr.Body().SetStr("boom")
	lr.Attributes().PutInt("n", 5)
	lr.Attributes().PutEmptyMap("kv").PutStr("x.y", "z")
	lr.Attributes().PutEmptySlice("list").AppendEmpty().SetInt(1)
	lr = sl.LogRecords().AppendEmpty()
	lr.Body().SetEmptyMap().PutInt("a", 1)
	req := plogotlp.NewExportRequestFromLogs(ld)
	proto, err := req.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	text, err := req.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{service_name="checkout"} 1700000000000000000 boom {detected_level="error", host_name="h1", kv_x_y="z", list="[1]", n="5", observed_timestamp="1700000000000000001", scope_name="lib", severity_number="17", severity_text="ERR", span_id="0000000000000002", trace_id="00000000000000000000000000000001"}`,
		`{service_name="checkout"} 1700000000000000000 {"a":1} {detected_level="unknown", host_name="h1", scope_name="lib"}`,
	}
	for _, tt := range []request{
		{name: "protobuf", contentType: "application/x-protobuf", body: string(proto), status: 204, want: want},
		{name: "gzip", contentType: "application/x-protobuf", encoding: "gzip", body: string(proto), status: 204, want: want},
		{name: "json", contentType: "application/json; charset=utf-8", body: string(text), status: 204, want: want},
		{name: "text", contentType: "text/plain", body: string(text), status: 415, text: "application/x-protobuf"},
		{name: "truncated", contentType: "application/x-protobuf", body: string(proto[:20]), status: 400, text: "ExportLogsServiceRequest"},
		{name: "empty", contentType: "application/json", body: `{}`, status: 422, text: "at least one"},
		{name: "broken store", contentType: "application/json", body: string(text), storeErr: fmt.Errorf("input/output error"), status: 503, text: "input/output", want: want},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, (*Server).OTLP) })
	}
}

func FuzzProto(f *testing.F) {
	f.Add(protoPush(`{a="b"}`, entry{now, "line", []string{"k", "v"}}))
	f.Fuzz(func(t *testing.T, body []byte) { push(t, "application/x-protobuf", s2.EncodeSnappy(nil, body)) })
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"streams":[{"stream":{"app":"x"},"values":[["1700000000000000000","line",{"k":"v"}]]}]}`))
	f.Add([]byte(`{"streams":[{"labels":"{app=\"x\"}","entries":[{"ts":"2023-11-14T22:13:20Z","line":"hello"}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) { push(t, "application/json", body) })
}

// push checks that an answer is one of those the protocol knows, and that nothing but
// valid entries reach the store.
func push(t *testing.T, contentType string, body []byte) {
	t.Helper()
	w := new(recorder)
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	New(w, Options{Now: func() time.Time { return time.Unix(0, now) }}).Push().ServeHTTP(rec, r)
	switch rec.Code {
	case 204, 400, 422:
	default:
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if rec.Code == 422 && len(w.got) > 0 {
		t.Errorf("a refused request stored %q", w.got)
	}
}

func BenchmarkPushProtobuf(b *testing.B) {
	var entries []entry
	for i := range 1000 {
		entries = append(entries, entry{now, fmt.Sprintf(`10.0.0.1 - - [01/Jan/2024:10:00:00 +0000] "GET /api/users/%d HTTP/1.1" 200 1234 "-" "curl/8.0" padding padding padding padding`, i), nil})
	}
	raw := protoPush(`{app="x", env="prod"}`, entries...)
	body := s2.EncodeSnappy(nil, raw)
	h := New(discard{}, Options{Now: func() time.Time { return time.Unix(0, now) }}).Push()
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/x-protobuf")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

type discard struct{}

func (discard) Append(context.Context, model.Tenant, *store.LogBatch) error { return nil }

// A stream that is asked for again stays in the cache while others pass through it.
func TestStreamCache(t *testing.T) {
	var c streamCache
	kept, err := c.get(`{app="kept"}`, logrules.ParseLabels)
	if err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 4000)
	for i := range 3 * maxCachedTexts / 4000 {
		if _, err := c.get(fmt.Sprintf(`{app="%d", pad="%s"}`, i, pad), logrules.ParseLabels); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			if again, _ := c.get(`{app="kept"}`, logrules.ParseLabels); again != kept {
				t.Fatalf("after %d others the stream was made anew", i)
			}
		}
		if c.text > maxCachedTexts {
			t.Fatalf("a generation has %d bytes of text", c.text)
		}
	}
	if _, err := c.get(`{app=`, logrules.ParseLabels); err == nil {
		t.Error("no error for a broken text")
	}
	long := `{app="` + strings.Repeat("y", maxCachedText) + `"}`
	if _, err := c.get(long, logrules.ParseLabels); err != nil || c.young[long] != nil {
		t.Errorf("error %v, or a long text was kept", err)
	}
}

// Label sets in JSON are known by their text: each gets its own labels the first time and the
// second, whatever escapes say, and none is taken for another or for labels in Loki's text.
func TestStreamsOfJSON(t *testing.T) {
	s := New(discard{}, Options{Now: func() time.Time { return time.Unix(0, now) }})
	post := func(contentType, body string) (labels, answer string) {
		d := &decoder{}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		if _, err := s.push(r, decodePush, s.bodies.Get(), d); err != nil {
			return "", err.Error()
		}
		ls := d.Batch().Streams[0].Labels
		return slices.DeleteFunc(slices.Clone(ls), func(l model.Label) bool { return l.Name == "service_name" }).String(), ""
	}
	for range 2 {
		for set, want := range map[string]string{
			`{"a":"b"}`:             `{a="b"}`,
			`{ "a" : "b" }`:         `{a="b"}`,
			`{"a":"\u0062"}`:        `{a="b"}`,
			`{"\u0061":"b"}`:        `{a="b"}`,
			`{"a":"\\u0062"}`:       `{a="\\u0062"}`,
			`{"a":"b","c":""}`:      `{a="b"}`,
			`{"a":"b\",\"c\":\"d"}`: `{a="b\",\"c\":\"d"}`,
			`{"a":"b","c":"d"}`:     `{a="b", c="d"}`,
			`{"c":"d","a":"b"}`:     `{a="b", c="d"}`,
			`{"a":"b","a":"c"}`:     "duplicate label name",
			`{"a":1}`:               "not a string",
			`{"0a":"b"}`:            "invalid label name",
			`{}`:                    `{}`,
			`["a"]`:                 "not an object of labels",
		} {
			labels, answer := post("application/json", `{"streams":[{"stream":`+set+`,"values":[["1700000000000000000","x"]]}]}`)
			if labels != want && (answer == "" || !strings.Contains(answer, want)) {
				t.Errorf("%s: got %s %s, want %s", set, labels, answer, want)
			}
			text := string(s2.EncodeSnappy(nil, protoPush(set, entry{ts: now, line: "x"})))
			if labels, _ := post("application/x-protobuf", text); labels != "" && labels != "{}" {
				t.Errorf("%s as the text of labels is taken for %s", set, labels)
			}
		}
	}
}
