package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// otelLogLoad is log records as OpenTelemetry SDKs export them, over HTTP and not
// compressed: service instances whose records have a short body, 11 attributes, and the ids
// of the span they belong to.
type otelLogLoad struct {
	records, instances int
	first, last        time.Time // fixed by the first server of a run
}

const (
	recordsAnExport = 1000
	resourcesARun   = 5 // service instances in an export
)

func (l *otelLogLoad) name() string { return "otel-logs" }

// export makes request n of the workload.
func (l *otelLogLoad) export(n, count int) plog.Logs {
	ld := plog.NewLogs()
	rng := rand.New(rand.NewPCG(uint64(n), 5))
	var to []plog.LogRecordSlice
	for k := range resourcesARun {
		i := (n*resourcesARun + k) % l.instances
		rl := ld.ResourceLogs().AppendEmpty()
		putResource(rl.Resource().Attributes(), fmt.Sprintf("service-%02d", i%25), fmt.Sprintf("instance-%05d", i), fmt.Sprintf("node-%d", i%50))
		sl := rl.ScopeLogs().AppendEmpty()
		sl.Scope().SetName("app.http")
		to = append(to, sl.LogRecords())
	}
	step := l.last.Sub(l.first) / time.Duration(l.records+1)
	for i := range count {
		l.fill(to[i%len(to)].AppendEmpty(), rng, n*recordsAnExport+i, l.first.Add(time.Duration(n*recordsAnExport+i)*step))
	}
	return ld
}

// fill makes record n of the workload, of the time at.
func (l *otelLogLoad) fill(r plog.LogRecord, rng *rand.Rand, n int, at time.Time) {
	user, route, method, took := rng.IntN(50_000), paths[rng.IntN(len(paths))], verbs[rng.IntN(len(verbs))], rng.IntN(900)
	status, severity := 200, plog.SeverityNumberInfo
	if rng.IntN(50) == 0 {
		status, severity = 500+rng.IntN(4), plog.SeverityNumberError
	}
	r.SetTimestamp(pcommon.NewTimestampFromTime(at))
	r.SetObservedTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Millisecond)))
	r.SetSeverityNumber(severity)
	r.SetSeverityText(severity.String())
	trace := traceID(n / 4)
	r.SetTraceID(trace)
	r.SetSpanID(pcommon.SpanID(trace[4:12]))
	r.Body().SetStr(fmt.Sprintf("%s %s%d answered %d in %d ms", method, route, user, status, took))
	a := r.Attributes()
	a.EnsureCapacity(11)
	a.PutStr("http.request.method", method)
	a.PutStr("http.route", route+"{id}")
	a.PutStr("url.path", route+strconv.Itoa(user))
	a.PutInt("http.response.status_code", int64(status))
	a.PutStr("client.address", fmt.Sprintf("10.%d.%d.%d", rng.IntN(4), rng.IntN(256), rng.IntN(256)))
	a.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	a.PutInt("http.response.body.size", int64(rng.IntN(65536)))
	a.PutDouble("app.duration", float64(took)/1000)
	a.PutStr("enduser.id", "user_"+strconv.Itoa(user))
	a.PutStr("thread.name", "worker-"+strconv.Itoa(rng.IntN(16)))
	a.PutBool("app.cache.hit", rng.IntN(3) > 0)
}

func (l *otelLogLoad) send(ctx context.Context, c config, p *proc) (int, int64, error) {
	if l.first.IsZero() {
		l.last = time.Now().Truncate(time.Second)
		l.first = l.last.Add(-time.Hour)
	}
	exports := (l.records + recordsAnExport - 1) / recordsAnExport
	return exportEach(ctx, c, exports, func(ctx context.Context, n int, sent *progress) error {
		count := min(recordsAnExport, l.records-n*recordsAnExport)
		body, err := plogotlp.NewExportRequestFromLogs(l.export(n, count)).MarshalProto()
		if err != nil {
			return err
		}
		sent.add(count, len(body))
		return post(ctx, p.otlpLogs, body, "application/x-protobuf", nil)
	})
}

func (l *otelLogLoad) verify(ctx context.Context, p *proc, items int) error {
	path := "/loki/api/v1/query?" + url.Values{"query": {`sum(count_over_time({service_name=~".+"}[2h]))`}, "time": {strconv.FormatInt(l.last.Add(time.Minute).UnixNano(), 10)}}.Encode()
	if p.lang == "logsql" {
		path = "/select/logsql/query?" + url.Values{"query": {"* | stats count() n"}, "start": l.from(), "end": l.to()}.Encode()
	}
	body, err := p.get(ctx, path, nil)
	if err != nil {
		return err
	}
	var r struct {
		N    string
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	if len(r.Data.Result) == 1 {
		r.N = fmt.Sprint(r.Data.Result[0].Value[1])
	}
	if r.N != strconv.Itoa(items) {
		return fmt.Errorf("%d records sent, query counts %q", items, r.N)
	}
	return nil
}

func (l *otelLogLoad) from() []string { return []string{strconv.FormatInt(l.first.Unix(), 10)} }
func (l *otelLogLoad) to() []string   { return []string{strconv.FormatInt(l.last.Unix()+1, 10)} }

// queries asks the same questions in the language of the server.
func (l *otelLogLoad) queries(p *proc) []query {
	trace := traceID(l.records / 8).String()
	var out []query
	for _, q := range []logQuestion{
		{name: "records of a trace", logql: `{service_name=~".+"} | trace_id="` + trace + `"`, logsql: `trace_id:="` + trace + `"`},
		{name: "5xx of a service", logql: `{service_name="service-03"} | http_response_status_code="503"`, logsql: `{"service.name"="service-03"} "http.response.status_code":="503"`},
		{name: "records a minute by service", logql: `sum by (service_name) (count_over_time({service_name=~".+"}[1m]))`, logsql: `* | stats by (_time:1m, "service.name") count()`, step: time.Minute},
		{name: "records a minute by route", logql: `sum by (http_route) (count_over_time({service_name=~".+"}[1m]))`, logsql: `* | stats by (_time:1m, "http.route") count()`, step: time.Minute},
	} {
		out = append(out, q.ask(p, l.from(), l.to()))
	}
	return out
}
