package tempo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// dial serves the gRPC API over cleartext HTTP/2, beside HTTP/1.1 on the same port, and
// returns a client of it.
func dial(t *testing.T, tenancy api.Tenancy) *grpc.ClientConn {
	t.Helper()
	s := storetest.NewTraces()
	load(t, s)
	return dialTo(t, serve(s, tenancy))
}

func dialTo(t *testing.T, h http.Handler) *grpc.ClientConn {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, Protocols: &protocols}
	done := make(chan struct{})
	go func() { _ = srv.Serve(l); close(done) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask calls a streaming method and returns the messages of the answer.
func ask(ctx context.Context, conn *grpc.ClientConn, method string, req []byte) ([][]byte, error) {
	desc := &grpc.StreamDesc{StreamName: method, ServerStreams: true}
	s, err := conn.NewStream(ctx, desc, "/tempopb.StreamingQuerier/"+method, grpc.ForceCodec(rawCodec{}))
	if err != nil {
		return nil, err
	}
	raw := rawMessage(req)
	if err := s.SendMsg(&raw); err != nil {
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	var out [][]byte
	for {
		var m rawMessage
		if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		out = append(out, m)
	}
}

// request builds a message of strings and numbers by field number.
func request(kvs ...any) []byte {
	var b []byte
	for i := 0; i < len(kvs); i += 2 {
		num := protowire.Number(kvs[i].(int)) //nolint:forcetypeassert // of this test
		switch v := kvs[i+1].(type) {
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
		}
	}
	return b
}

func TestStreaming(t *testing.T) {
	conn := dial(t, api.Tenancy{})
	const from, to, ns = fixtureSecond - 30, fixtureSecond + 30, 1_000_000_000
	tests := []struct {
		method string
		req    []byte
		http   string // the same question over HTTP
	}{
		{"Search", request(4, 5, 5, from, 6, to, 8, `{ resource.service.name = "many" }`, 9, 7), `/api/search?q={ resource.service.name = "many" }&&&limit=5&&&spss=7&&&W`},
		{"Search", request(8, `{ name = "A" }`), `/api/search?q={ name = "A" }`},
		{"Search", request(8, `{ name = "nope" }`), `/api/search?q={ name = "nope" }`},
		{"Search", request(1, string(request(1, "service.name", 2, "pay")), 2, 1500, 5, from, 6, to), `/api/search?tags=service.name=pay&&&minDuration=1500ms&&&W`},
		{"SearchTags", request(1, "resource", 3, from, 4, to), `/api/search/tags?scope=resource&&&W`},
		{"SearchTagsV2", request(2, `{ name = "SELECT pay" }`, 3, from, 4, to, 5, 3), `/api/v2/search/tags?q={ name = "SELECT pay" }&&&limit=3&&&W`},
		{"SearchTagValues", request(1, "db.operation", 4, from, 5, to), `/api/search/tag/db.operation/values?W`},
		{"SearchTagValuesV2", request(1, "span.a", 4, from, 5, to, 6, 2), `/api/v2/search/tag/span.a/values?limit=2&&&W`},
		{"MetricsQueryRange", request(1, `{ } | rate() by (name)`, 2, from*ns, 3, to*ns, 4, 15*ns, 16, 3), `/api/metrics/query_range?q={ } | rate() by (name)&&&step=15s&&&exemplars=3&&&W`},
		{"MetricsQueryInstant", request(1, `{ } | count_over_time()`, 2, from*ns, 3, to*ns), `/api/metrics/query?q={ } | count_over_time()&&&W`},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.http, func(t *testing.T) {
			s := storetest.NewTraces()
			load(t, s)
			want := get(t, serve(s, api.Tenancy{}), tt.http, "Accept", "application/protobuf")
			if want.Code != http.StatusOK {
				t.Fatalf("over HTTP: %d %s", want.Code, want.Body)
			}
			got, err := ask(t.Context(), conn, tt.method, tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || string(got[0]) != want.Body.String() {
				t.Errorf("got %q, want %q", got, want.Body)
			}
		})
	}
}

// slowTraces is a store that yields batch after batch, each as if it had taken a second.
type slowTraces struct {
	*storetest.Traces
	batches int
	seconds *atomic.Int64
}

func (s slowTraces) Scan(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		for range s.batches - 1 { // empty ones first
			s.seconds.Add(1)
			if err := sel.Account.Scanned(10, 1); err != nil || !yield(&store.SpanRows{}, err) {
				return
			}
		}
		for rows, err := range s.Traces.Scan(ctx, tenant, sel) {
			s.seconds.Add(1)
			if !yield(rows, err) {
				return
			}
		}
	}
}

func TestStreamingProgress(t *testing.T) {
	var seconds atomic.Int64
	s := slowTraces{storetest.NewTraces(), 5, &seconds}
	load(t, s)
	a := New(Options{Reader: s, Index: s, Door: query.New(query.Options{}), Now: func() time.Time {
		return time.Unix(fixtureSecond+30+seconds.Load(), 0)
	}})
	mux := http.NewServeMux()
	a.Register(mux, "")
	mux.Handle("POST /tempopb.StreamingQuerier/", a.GRPC())
	conn := dialTo(t, mux)
	const from, to, ns = fixtureSecond - 30, fixtureSecond + 30, 1_000_000_000
	for _, tt := range []struct {
		method string
		req    []byte
		http   string
	}{
		{"Search", request(5, from, 6, to, 8, `{ status = error }`), `/api/search?q={ status = error }&&&W`},
		{"MetricsQueryRange", request(1, `{ } | rate()`, 2, from*ns, 3, to*ns, 4, 15*ns), `/api/metrics/query_range?q={ } | rate()&&&step=15s&&&W`},
	} {
		t.Run(tt.method, func(t *testing.T) {
			got, err := ask(t.Context(), conn, tt.method, tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) < 5 {
				t.Fatalf("%d messages, want progress before the answer", len(got))
			}
			bytes, jobs := uint64(0), uint64(0)
			for _, m := range got[:len(got)-1] {
				f, err := parseFields(m)
				if err != nil || tt.method == "Search" && len(f[1]) > 0 { // nothing is certain
					t.Fatalf("message %q, %v; want metrics alone", m, err)
				}
				x, err := parseFields(f[2][0].b)
				if err != nil {
					t.Fatal(err)
				}
				if x.number(2) < bytes || x.number(4) < jobs || x.number(4) >= x.number(5) {
					t.Errorf("bytes %d after %d, jobs %d after %d of %d", x.number(2), bytes, x.number(4), jobs, x.number(5))
				}
				bytes, jobs = x.number(2), x.number(4)
			}
			if bytes == 0 || jobs == 0 {
				t.Errorf("progress stays at %d bytes and %d jobs", bytes, jobs)
			}
			want := get(t, mux, tt.http, "Accept", "application/protobuf")
			if string(got[len(got)-1]) != want.Body.String() {
				t.Errorf("answer %q, over HTTP %q", got[len(got)-1], want.Body)
			}
		})
	}
}

func TestStreamingErrors(t *testing.T) {
	open, tenants := dial(t, api.Tenancy{}), dial(t, api.Tenancy{Enabled: true})
	named := func(tenant string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", tenant)
	}
	tests := []struct {
		name   string
		conn   *grpc.ClientConn
		ctx    context.Context
		method string
		req    []byte
		code   codes.Code
		text   string
	}{
		{"bad query", open, t.Context(), "Search", request(8, "{"), codes.InvalidArgument, "invalid TraceQL query: parse error at line 1, col 2"},
		{"bad range", open, t.Context(), "Search", request(8, "{}", 5, 200, 6, 100), codes.InvalidArgument, "start must be before end"},
		{"bad tag", open, t.Context(), "SearchTagValuesV2", request(1, "service.name"), codes.InvalidArgument, "please provide a valid tagName"},
		{"not metrics", open, t.Context(), "MetricsQueryRange", request(1, "{}"), codes.InvalidArgument, "not a metrics query"},
		{"garbage", open, t.Context(), "Search", []byte{0xff}, codes.InvalidArgument, "decode request"},
		{"unknown method", open, t.Context(), "Nope", nil, codes.Unimplemented, "unknown method"},
		{"no tenant", tenants, t.Context(), "Search", request(8, "{}"), codes.Unauthenticated, "no org id"},
		{"bad tenant", tenants, named("a/b"), "Search", request(8, "{}"), codes.InvalidArgument, "tenant"},
		{"tenant", tenants, named("default"), "Search", request(8, "{}"), codes.OK, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ask(tt.ctx, tt.conn, tt.method, tt.req)
			if st := status.Convert(err); st.Code() != tt.code || !strings.Contains(st.Message(), tt.text) {
				t.Errorf("%s %q, want %s with %q", st.Code(), st.Message(), tt.code, tt.text)
			}
		})
	}
	res, err := healthgrpc.NewHealthClient(open).Check(t.Context(), &healthgrpc.HealthCheckRequest{})
	if err != nil || res.GetStatus() != healthgrpc.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", res, err)
	}
}

func TestSplitMessage(t *testing.T) {
	var b []byte
	for i := range 100 {
		b = append(b, request(1, fmt.Sprintf("trace %d", i))...)
	}
	b = append(b, request(2, strings.Repeat("m", 50))...)
	packets, err := splitMessage(b, 40, false)
	if err != nil {
		t.Fatal(err)
	}
	var joined []byte
	for i, p := range packets {
		if len(p) > 40 && i < len(packets)-1 || len(p) == 0 {
			t.Errorf("packet %d has %d bytes", i, len(p))
		}
		joined = append(joined, p...)
	}
	if string(joined) != string(b) {
		t.Error("packets do not add up")
	}
	if packets, err = splitMessage(nil, 40, false); err != nil || len(packets) != 1 {
		t.Errorf("an empty answer is %d messages, %v", len(packets), err)
	}
	if _, err = splitMessage([]byte{0xff}, 40, true); err == nil {
		t.Error("garbage is no error")
	}
	checkLists(t)
	var msg proto.Message = &healthgrpc.HealthCheckRequest{Service: "x"}
	enc, err := rawCodec{}.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	if err := (rawCodec{}).Unmarshal(enc, &healthgrpc.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}

// checkLists splits scopes of tags, one of which is longer than a packet.
func checkLists(t *testing.T) {
	t.Helper()
	scope := func(name string, tags int) string {
		b := request(1, name)
		for i := range tags {
			b = append(b, request(2, fmt.Sprintf("%s.tag.%03d", name, i))...)
		}
		return string(b)
	}
	packets, err := splitMessage(request(1, scope("resource", 2), 1, scope("span", 100), 1, scope("link", 1), 2, "metrics"), 200, true)
	if err != nil || len(packets) < 8 {
		t.Fatalf("%d packets, %v", len(packets), err)
	}
	var got []string
	for _, p := range packets {
		f, err := parseFields(p)
		if err != nil || len(p) > 200 {
			t.Errorf("a packet of %d bytes, %v", len(p), err)
		}
		for _, s := range f[1] {
			x, err := parseFields(s.b)
			if err != nil {
				t.Fatal(err)
			}
			for _, tag := range x[2] {
				if !strings.HasPrefix(string(tag.b), x.text(1)+".") {
					t.Errorf("tag %s in scope %s", tag.b, x.text(1))
				}
				got = append(got, string(tag.b))
			}
		}
	}
	if len(got) != 103 || got[2] != "span.tag.000" || got[101] != "span.tag.099" {
		t.Errorf("%d tags: %v", len(got), got)
	}
	for _, bad := range [][]byte{request(1, "\xff"+strings.Repeat("x", 50)), request(1, string(request(1, "a"))+"\xff"+strings.Repeat("x", 50))} {
		if _, err := splitMessage(bad, 10, true); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
