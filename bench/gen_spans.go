package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// spanLoad is what instrumented services export: traces of 20 spans over 12 services,
// about 20 attributes a span, 1,000 spans a request.
type spanLoad struct {
	spans       int
	first, last time.Time
}

const (
	spansATrace  = 20
	spansAExport = 1000
)

func (l *spanLoad) name() string { return "spans" }

func traceID(n int) pcommon.TraceID {
	var id pcommon.TraceID
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	binary.BigEndian.PutUint64(id[:8], rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], rng.Uint64())
	return id
}

// export makes request n of the workload.
func (l *spanLoad) export(n, count int) ptrace.Traces {
	td := ptrace.NewTraces()
	rng := rand.New(rand.NewPCG(uint64(n), 4))
	byService := map[int]ptrace.SpanSlice{}
	for i := range count {
		trace := (n*spansAExport + i) / spansATrace
		pos := i % spansATrace
		svc := (trace + pos*pos) % 12
		spans, ok := byService[svc]
		if !ok {
			rs := td.ResourceSpans().AppendEmpty()
			name := fmt.Sprintf("service-%02d", svc)
			putResource(rs.Resource().Attributes(), name, fmt.Sprintf("%s-%d", name, n%3), fmt.Sprintf("node-%d", svc%5))
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("bench/instrumentation")
			ss.Scope().SetVersion("0.54.0")
			spans = ss.Spans()
			byService[svc] = spans
		}
		l.fill(spans.AppendEmpty(), rng, trace, pos)
	}
	return td
}

// fill makes span pos of a trace.
func (l *spanLoad) fill(s ptrace.Span, rng *rand.Rand, trace, pos int) {
	total := l.last.Sub(l.first)
	start := l.first.Add(time.Duration(float64(total) * float64(trace) / float64(l.spans/spansATrace+1))).Add(time.Duration(pos) * time.Millisecond)
	took := time.Duration(rng.ExpFloat64() * float64(40*time.Millisecond))
	if rng.IntN(500) == 0 {
		took += time.Second + time.Duration(rng.IntN(2000))*time.Millisecond
	}
	var id, parent pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], uint64(trace)*0x9e3779b97f4a7c15+uint64(pos)+1)
	s.SetTraceID(traceID(trace))
	s.SetSpanID(id)
	if pos > 0 {
		binary.BigEndian.PutUint64(parent[:], uint64(trace)*0x9e3779b97f4a7c15+uint64((pos-1)/2)+1)
		s.SetParentSpanID(parent)
	}
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(took)))
	a := s.Attributes()
	a.EnsureCapacity(20)
	user := rng.IntN(50_000)
	status := 200
	if rng.IntN(60) == 0 {
		status = 500 + rng.IntN(4)
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Status().SetMessage("upstream failed")
		e := s.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(took)))
		e.Attributes().PutStr("exception.type", "UpstreamError")
		e.Attributes().PutStr("exception.message", "upstream failed after "+took.String())
	}
	a.PutStr("thread.name", "worker-"+strconv.Itoa(rng.IntN(16)))
	a.PutInt("thread.id", int64(rng.IntN(16)))
	a.PutStr("enduser.id", "user_"+strconv.Itoa(user))
	a.PutStr("server.address", fmt.Sprintf("service-%02d.svc.cluster.local", rng.IntN(12)))
	a.PutInt("server.port", 8080)
	a.PutStr("network.protocol.version", "1.1")
	a.PutStr("network.transport", "tcp")
	if pos%4 == 3 {
		s.SetKind(ptrace.SpanKindClient)
		table := tables[rng.IntN(len(tables))]
		s.SetName("SELECT " + table)
		a.PutStr("db.system", "postgresql")
		a.PutStr("db.operation", "SELECT")
		a.PutStr("db.sql.table", table)
		a.PutStr("db.statement", "SELECT * FROM "+table+" WHERE id = $1 ORDER BY created_at LIMIT "+strconv.Itoa(10+rng.IntN(5)*10))
		a.PutStr("db.name", "shop")
		a.PutStr("db.user", "app")
		a.PutInt("db.response.returned_rows", int64(rng.IntN(100)))
		a.PutStr("peer.service", "postgres")
		return
	}
	s.SetKind(ptrace.SpanKindServer)
	route := paths[rng.IntN(len(paths))]
	method := verbs[rng.IntN(len(verbs))]
	s.SetName(method + " " + route + "{id}")
	a.PutStr("http.request.method", method)
	a.PutStr("http.route", route+"{id}")
	a.PutStr("url.path", route+strconv.Itoa(user))
	a.PutStr("url.full", "http://shop.example.com"+route+strconv.Itoa(user)+"?session="+strconv.FormatUint(rng.Uint64(), 16))
	a.PutStr("url.scheme", "http")
	a.PutInt("http.response.status_code", int64(status))
	a.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	a.PutStr("client.address", fmt.Sprintf("10.%d.%d.%d", rng.IntN(4), rng.IntN(256), rng.IntN(256)))
	a.PutInt("http.request.body.size", int64(rng.IntN(4096)))
	a.PutInt("http.response.body.size", int64(rng.IntN(65536)))
	a.PutBool("app.cache.hit", rng.IntN(3) > 0)
	a.PutStr("app.tenant", "tenant-"+strconv.Itoa(user%20))
}

func (l *spanLoad) send(ctx context.Context, c config, p *proc) (int, int64, error) {
	if l.first.IsZero() {
		l.last = time.Now().Truncate(time.Second)
		l.first = l.last.Add(-time.Hour)
	}
	conn, err := grpc.NewClient("passthrough:///"+p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	client := ptraceotlp.NewGRPCClient(conn)
	sizer := ptrace.ProtoMarshaler{}
	requests := (l.spans + spansAExport - 1) / spansAExport
	return exportEach(ctx, c, requests, func(ctx context.Context, n int, sent *progress) error {
		td := l.export(n, min(spansAExport, l.spans-n*spansAExport))
		sent.add(td.SpanCount(), sizer.TracesSize(td))
		if p.lang == "logsql" {
			return postRows(ctx, p, td)
		}
		resp, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
		if err != nil {
			return err
		}
		if no := resp.PartialSuccess().RejectedSpans(); no > 0 {
			return fmt.Errorf("%d spans refused: %s", no, resp.PartialSuccess().ErrorMessage())
		}
		return nil
	})
}

func (l *spanLoad) verify(ctx context.Context, p *proc, items int) error {
	if p.lang == "logsql" {
		return l.verifyRows(ctx, p, items)
	}
	traces := items / spansATrace
	for _, n := range []int{0, traces / 3, traces - 1} {
		id := traceID(n)
		if _, err := p.get(ctx, "/api/traces/"+id.String(), nil); err != nil {
			return fmt.Errorf("trace %s of %d: %w", id, traces, err)
		}
	}
	return nil
}

func (l *spanLoad) queries(p *proc) []query {
	present, absent := traceID(l.spans/spansATrace/2), traceID(-1)
	if p.lang == "logsql" {
		return l.logsqlQueries(present.String(), absent.String())
	}
	search := func(q string) query {
		v := url.Values{"q": {q}, "limit": {"20"}, "start": {strconv.FormatInt(l.first.Unix(), 10)}, "end": {strconv.FormatInt(l.last.Unix()+1, 10)}}
		return query{name: "`" + q + "`", path: "/api/search?" + v.Encode()}
	}
	return []query{
		{name: "trace by id", path: "/api/traces/" + present.String()},
		{name: "trace by id, absent", path: "/api/traces/" + absent.String(), status: 404},
		search(`{ status = error }`),
		search(`{ resource.service.name = "service-03" && duration > 1s }`),
		search(`{ span.db.system =~ ".*" && duration > 1s }`),
		search(`{ span.http.response.status_code >= 500 && span.app.tenant = "tenant-7" }`),
		search(`{ span.enduser.id = "user_12345" }`),
		search(`{ span.db.statement =~ ".*carts.*LIMIT 50" }`),
		search(`{ name = "nosuchname" }`),
		{name: "tag values of service.name", path: "/api/v2/search/tag/resource.service.name/values"},
	}
}
