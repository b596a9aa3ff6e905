package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// VictoriaTraces keeps spans as rows of VictoriaLogs' engine: one field an attribute, the
// service and the operation as the stream. There is no VictoriaTraces to build here, so
// VictoriaLogs is fed the rows that it would make, as OTLP log records: the decoding costs
// about as much. What is left out favours the peer: the index of trace ids, and in a
// search the second query for the spans of the traces found.

// rowsOf makes a log record of every span.
func rowsOf(td ptrace.Traces) plog.Logs {
	out := plog.NewLogs()
	for _, rs := range td.ResourceSpans().All() {
		rl := out.ResourceLogs().AppendEmpty()
		rs.Resource().CopyTo(rl.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			sl := rl.ScopeLogs().AppendEmpty()
			ss.Scope().CopyTo(sl.Scope())
			for _, s := range ss.Spans().All() {
				rowOf(s, sl.LogRecords().AppendEmpty())
			}
		}
	}
	return out
}

func rowOf(s ptrace.Span, r plog.LogRecord) {
	r.SetTimestamp(s.StartTimestamp())
	r.Body().SetStr("-")
	a := r.Attributes()
	s.Attributes().CopyTo(a)
	a.PutStr("trace_id", s.TraceID().String())
	a.PutStr("span_id", s.SpanID().String())
	a.PutStr("parent_span_id", s.ParentSpanID().String())
	a.PutStr("name", s.Name())
	a.PutInt("kind", int64(s.Kind()))
	a.PutInt("start_time_unix_nano", int64(s.StartTimestamp()))
	a.PutInt("end_time_unix_nano", int64(s.EndTimestamp()))
	a.PutInt("duration", int64(s.EndTimestamp()-s.StartTimestamp()))
	a.PutInt("status_code", int64(s.Status().Code()))
	if m := s.Status().Message(); m != "" {
		a.PutStr("status_message", m)
	}
	for i, e := range s.Events().All() {
		prefix := "event:" + string(rune('0'+i)) + ":"
		a.PutStr(prefix+"name", e.Name())
		a.PutInt(prefix+"time", int64(e.Timestamp()))
		for k, v := range e.Attributes().All() {
			a.PutStr(prefix+k, v.AsString())
		}
	}
}

// postRows sends spans to VictoriaLogs.
func postRows(ctx context.Context, p *proc, td ptrace.Traces) error {
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(rowsOf(td))
	if err != nil {
		return err
	}
	return post(ctx, p.base+"/insert/opentelemetry/v1/logs?_stream_fields=service.name,name", body, "application/x-protobuf", nil)
}

// verifyRows counts the rows.
func (l *spanLoad) verifyRows(ctx context.Context, p *proc, items int) error {
	v := url.Values{"query": {"* | stats count() n"}, "start": {strconv.FormatInt(l.first.Unix(), 10)}, "end": {strconv.FormatInt(l.last.Unix()+1, 10)}}
	body, err := p.get(ctx, "/select/logsql/query?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	if want := `"n":"` + strconv.Itoa(items) + `"`; !strings.Contains(string(body), want) {
		return fmt.Errorf("%d spans sent, the query counts %.80s", items, body)
	}
	return nil
}

// logsqlQueries asks the questions of spanLoad.queries in LogsQL.
func (l *spanLoad) logsqlQueries(present, absent string) []query {
	ask := func(name, q string) query {
		v := url.Values{"query": {q}, "start": {strconv.FormatInt(l.first.Unix(), 10)}, "end": {strconv.FormatInt(l.last.Unix()+1, 10)}}
		return query{name: name, path: "/select/logsql/query?" + v.Encode()}
	}
	search := func(name, filter string) query {
		return ask("`"+name+"`", filter+" | sort by (_time desc) limit 20")
	}
	return []query{
		ask("trace by id", `"trace_id":="`+present+`"`),
		ask("trace by id, absent", `"trace_id":="`+absent+`"`),
		search(`{ status = error }`, `"status_code":=2`),
		search(`{ resource.service.name = "service-03" && duration > 1s }`, `{"service.name"="service-03"} duration:>1000000000`),
		search(`{ span.db.system =~ ".*" && duration > 1s }`, `"db.system":* duration:>1000000000`),
		search(`{ span.http.response.status_code >= 500 && span.app.tenant = "tenant-7" }`, `"http.response.status_code":>=500 "app.tenant":="tenant-7"`),
		search(`{ span.enduser.id = "user_12345" }`, `"enduser.id":="user_12345"`),
		search(`{ span.db.statement =~ ".*carts.*LIMIT 50" }`, `"db.statement":~".*carts.*LIMIT 50"`),
		search(`{ name = "nosuchname" }`, `name:="nosuchname"`),
		ask("tag values of service.name", `* | uniq by ("service.name")`),
	}
}

// zstdBound returns the bytes a span of the OTLP messages in frames of a request,
// compressed: what a store that only appends and compresses would need.
func (l *spanLoad) zstdBound(requests int) (perSpan float64, err error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return 0, err
	}
	var bytes, spans int
	for n := range requests {
		td := l.export(n, spansAExport)
		msg, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			return 0, err
		}
		bytes += len(enc.EncodeAll(msg, nil))
		spans += td.SpanCount()
	}
	return float64(bytes) / float64(spans), nil
}
