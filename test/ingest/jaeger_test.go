package ingest

import (
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/api/jaeger"
	"github.com/pharos-o11y/pharos/internal/query"
)

// thrift writes Thrift's binary protocol, as much of it as Jaeger's clients use.
type thrift struct{ b []byte }

const (
	thriftBool   = 2
	thriftDouble = 4
	thriftI32    = 8
	thriftI64    = 10
	thriftString = 11
	thriftStruct = 12
	thriftList   = 15
)

func (w *thrift) field(typ byte, id uint16) {
	w.b = binary.BigEndian.AppendUint16(append(w.b, typ), id)
}

func (w *thrift) i32(id uint16, v uint32) {
	w.field(thriftI32, id)
	w.b = binary.BigEndian.AppendUint32(w.b, v)
}

func (w *thrift) i64(id uint16, v uint64) {
	w.field(thriftI64, id)
	w.b = binary.BigEndian.AppendUint64(w.b, v)
}

func (w *thrift) str(id uint16, s string) {
	w.field(thriftString, id)
	w.b = append(binary.BigEndian.AppendUint32(w.b, uint32(len(s))), s...)
}

// list writes structs, one for each of items.
func (w *thrift) list(id uint16, items ...func()) {
	w.field(thriftList, id)
	w.b = binary.BigEndian.AppendUint32(append(w.b, thriftStruct), uint32(len(items)))
	for _, item := range items {
		item()
		w.b = append(w.b, 0)
	}
}

func (w *thrift) strTag(k, v string) func() {
	return func() { w.str(1, k); w.i32(2, 0); w.str(3, v) }
}

func (w *thrift) intTag(k string, v uint64) func() {
	return func() { w.str(1, k); w.i32(2, 3); w.i64(6, v) }
}

func (w *thrift) boolTag(k string) func() {
	return func() { w.str(1, k); w.i32(2, 2); w.field(thriftBool, 5); w.b = append(w.b, 1) }
}

func (w *thrift) doubleTag(k string, bits uint64) func() {
	return func() {
		w.str(1, k)
		w.i32(2, 1)
		w.field(thriftDouble, 4)
		w.b = binary.BigEndian.AppendUint64(w.b, bits)
	}
}

// jaegerBatch is a batch of one span with everything that a client can say.
func jaegerBatch() []byte {
	w := &thrift{}
	w.field(thriftStruct, 1)
	w.str(1, "shop")
	w.list(2, w.strTag("host.name", "h1"))
	w.b = append(w.b, 0)
	w.list(2, func() {
		w.i64(1, 0xa1)
		w.i64(2, 0)
		w.i64(3, 5)
		w.i64(4, 4)
		w.str(5, "GET /cart")
		w.list(6,
			func() { w.i32(1, 0); w.i64(2, 0xa1); w.i64(3, 0); w.i64(4, 4) },
			func() { w.i32(1, 1); w.i64(2, 0xb2); w.i64(3, 1); w.i64(4, 9) })
		w.i32(7, 1)
		w.i64(8, 1_700_000_000_000_000)
		w.i64(9, 2500)
		w.list(10, w.strTag("span.kind", "server"), w.boolTag("error"), w.intTag("http.status_code", 500), w.doubleTag("ratio", 0x3fe0000000000000))
		w.list(11, func() { w.i64(1, 1_700_000_000_000_100); w.list(2, w.strTag("event", "retry"), w.intTag("attempt", 2)) })
	})
	return append(w.b, 0)
}

// zipkinProto is a span as Zipkin's protobuf.
func zipkinProto() string {
	field := func(b []byte, num protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
	}
	s := field(nil, 1, strings.Repeat("\x00", 15)+"\xc4")
	s = field(s, 3, "\x00\x00\x00\x00\x00\x00\x00\x07")
	s = protowire.AppendVarint(protowire.AppendTag(s, 4, protowire.VarintType), 2) // server
	s = field(s, 5, "get")
	s = protowire.AppendFixed64(protowire.AppendTag(s, 6, protowire.Fixed64Type), 1_700_000_000_000_000)
	s = protowire.AppendVarint(protowire.AppendTag(s, 7, protowire.VarintType), 1500)
	s = field(s, 8, string(field(nil, 1, "web")))
	return string(field(nil, 1, string(s)))
}

// send posts a body and returns the status and the answer.
func send(t *testing.T, url, contentType, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Scope-OrgID", "t")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// TestJaegerAndZipkin sends spans as clients of Jaeger and Zipkin do, through the
// Collector's receivers, and reads them back over Jaeger's API.
func TestJaegerAndZipkin(t *testing.T) {
	thriftAddr, zipkinAddr := freePort(t), freePort(t)
	h := open(t, `
receivers:
  jaeger: {protocols: {thrift_http: {endpoint: "`+thriftAddr+`"}}}
  zipkin: {endpoint: "`+zipkinAddr+`"}
exporters:
  pharos: {tenant: t}
service:
  pipelines:
    traces: {receivers: [jaeger, zipkin], exporters: [pharos]}
`)
	mux := http.NewServeMux()
	jaeger.New(jaeger.Options{Reader: h.traces, Index: h.traces, Door: query.New(query.Options{})}).Register(mux, "/jaeger")
	read := func(id string) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/jaeger/api/traces/"+id, http.NoBody)
		r.Header.Set("X-Scope-OrgID", "t")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Body.String()
	}
	zipkin := "http://" + zipkinAddr + "/api/v2/spans"
	tests := []struct {
		name, url, contentType, body string
		code                         int
		id                           string   // of the trace
		want                         []string // regular expressions on it
	}{
		{
			"jaeger thrift", "http://" + thriftAddr + "/api/traces?format=jaeger.thrift", "application/x-thrift", string(jaegerBatch()), 202, "a1",
			[]string{
				`"processes":\{"p1":\{"serviceName":"shop","tags":\[\{"key":"host.name","type":"string","value":"h1"\}\]`,
				`"spanID":"0000000000000005","operationName":"GET /cart"`,
				`\{"refType":"CHILD_OF","traceID":"00000000000000a1","spanID":"0000000000000004"\}`,
				`\{"refType":"FOLLOWS_FROM","traceID":"000000000000000100000000000000b2","spanID":"0000000000000009"\}`,
				`"startTime":1700000000000000,"duration":2500`,
				`\{"key":"http.status_code","type":"int64","value":500\}`,
				`\{"key":"ratio","type":"float64","value":0.5\}`,
				`\{"key":"span.kind","type":"string","value":"server"\}`,
				`\{"key":"error","type":"bool","value":true\}`,
				`"logs":\[\{"timestamp":1700000000000100,"fields":\[\{"key":"event","type":"string","value":"retry"\},\{"key":"attempt","type":"int64","value":2\}\]`,
			},
		},
		{"jaeger garbage", "http://" + thriftAddr + "/api/traces", "application/x-thrift", "garbage", 400, "", nil},
		{"jaeger content type", "http://" + thriftAddr + "/api/traces", "text/plain", "x", 400, "", nil},
		{
			"zipkin json", zipkin, "application/json", `[{"traceId":"00000000000000c1","id":"0000000000000007","parentId":"0000000000000006","kind":"CLIENT","name":"get",
				"timestamp":1700000000000000,"duration":1500,"localEndpoint":{"serviceName":"web"},"remoteEndpoint":{"serviceName":"api"},
				"tags":{"http.path":"/x","error":"refused"},"annotations":[{"timestamp":1700000000000200,"value":"retry"}]}]`, 202, "c1",
			[]string{
				`"serviceName":"web"`, `"operationName":"get"`, `"startTime":1700000000000000,"duration":1500`,
				`\{"refType":"CHILD_OF","traceID":"00000000000000c1","spanID":"0000000000000006"\}`,
				`\{"key":"http.path","type":"string","value":"/x"\}`, `\{"key":"span.kind","type":"string","value":"client"\}`,
				`\{"key":"error","type":"bool","value":true\}`, `"timestamp":1700000000000200,"fields":\[\{"key":"event","type":"string","value":"retry"\}\]`,
			},
		},
		{
			"zipkin shared", zipkin, "application/json", `[{"traceId":"c2","id":"7","kind":"CLIENT","name":"get","timestamp":1700000000000000,"duration":1500,"localEndpoint":{"serviceName":"web"}},
				{"traceId":"c2","id":"7","kind":"SERVER","shared":true,"name":"get","timestamp":1700000000000300,"duration":900,"localEndpoint":{"serviceName":"api","ipv4":"10.0.0.1","port":80}},
				{"traceId":"c2","id":"8","parentId":"7","name":"query","timestamp":1700000000000500,"duration":100,"localEndpoint":{"serviceName":"api"}}]`, 202, "c2",
			[]string{
				`"serviceName":"api"`, `"spanID":"0000000000000007","operationName":"get","references":\[\],"startTime":1700000000000000,"duration":1500`,
				// The server's half is below the client's, and its child below it.
				`"spanID":"0000000000000009","operationName":"get","references":\[\{"refType":"CHILD_OF","traceID":"00000000000000c2","spanID":"0000000000000007"\}\],"startTime":1700000000000300`,
				`"spanID":"0000000000000008","operationName":"query","references":\[\{"refType":"CHILD_OF","traceID":"00000000000000c2","spanID":"0000000000000009"\}\]`,
			},
		},
		{
			"zipkin v1", "http://" + zipkinAddr + "/api/v1/spans", "application/json", `[{"traceId":"00000000000000c3","id":"0000000000000007","parentId":"0000000000000006","name":"get",
				"annotations":[{"timestamp":1700000000000000,"value":"cs","endpoint":{"serviceName":"web"}},{"timestamp":1700000000001500,"value":"cr","endpoint":{"serviceName":"web"}},
					{"timestamp":1700000000000200,"value":"retry","endpoint":{"serviceName":"web"}}],
				"binaryAnnotations":[{"key":"http.path","value":"/x","endpoint":{"serviceName":"web"}},{"key":"error","value":"true","endpoint":{"serviceName":"web"}}]}]`, 202, "c3",
			[]string{
				`"serviceName":"web"`, `"operationName":"get"`, `"startTime":1700000000000000,"duration":1500`, `"spanID":"0000000000000006"`,
				`\{"key":"span.kind","type":"string","value":"client"\}`, `\{"key":"http.path","type":"string","value":"/x"\}`, `"key":"error","type":"bool","value":true`,
				`"timestamp":1700000000000200,"fields":\[[^\]]*retry`,
			},
		},
		{
			"zipkin protobuf", zipkin, "application/x-protobuf", zipkinProto(), 202, "c4",
			[]string{`"serviceName":"web"`, `"operationName":"get"`, `"spanID":"0000000000000007"`, `"startTime":1700000000000000,"duration":1500`, `\{"key":"span.kind","type":"string","value":"server"\}`},
		},
		{"zipkin protobuf garbage", zipkin, "application/x-protobuf", "\xff", 400, "", nil},
		{"zipkin v1 garbage", "http://" + zipkinAddr + "/api/v1/spans", "application/json", `[{`, 400, "", nil},
		{"zipkin garbage", zipkin, "application/json", `[{`, 400, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, text := send(t, tt.url, tt.contentType, tt.body)
			if code != tt.code {
				t.Fatalf("status %d, want %d: %s", code, tt.code, text)
			}
			if tt.id == "" {
				return
			}
			if text != "" {
				t.Errorf("the answer has a body: %q", text)
			}
			got := read(tt.id)
			for _, want := range tt.want {
				if !regexp.MustCompile(want).MatchString(got) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+thriftAddr+"/api/traces", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET of thrift: %s", res.Status)
	}
}
