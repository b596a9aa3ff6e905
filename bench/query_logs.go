package main

import (
	"net/url"
	"time"
)

// logQuestion is a question in both languages. LogsQL has no sliding windows and no top of
// each step, so a few stand alone.
type logQuestion struct {
	name, logql, logsql string
	step                time.Duration // of a metric query
}

const (
	all     = `{job="bench"}`
	errorsA = all + ` |= "ERROR"`
	fields  = all + ` | json | __error__="" `
)

func (l *logLoad) questions() []logQuestion {
	trace := l.trace()
	m := time.Minute
	return []logQuestion{
		// Needles.
		{name: "rare token", logql: all + ` |= "` + rareToken + `"`, logsql: all + ` "` + rareToken + `"`},
		{name: "token that is absent", logql: all + ` |= "nosuchtoken"`, logsql: all + ` "nosuchtoken"`},
		{name: "trace id", logql: all + ` |= "` + trace + `"`, logsql: all + ` "` + trace + `"`},
		{name: "user id", logql: all + ` |= "user_04242"`, logsql: all + ` user_id:"user_04242"`},
		{name: "substring", logql: all + ` |= "aymentExcept"`, logsql: all + ` ~"aymentExcept"`},
		{name: "two words", logql: all + ` |= "table carts" |= "connection 7 "`, logsql: all + ` "table carts" "connection 7"`},
		{name: "regex in one service", logql: `{job="bench", service="svc-07"} |~ "status=50[0-3] took=[78]"`, logsql: `{job="bench", service="svc-07"} ~"status=50[0-3] took=[78]"`},
		{name: "regex everywhere", logql: all + ` |~ "timed out after 8[0-9]{3}ms"`, logsql: all + ` ~"timed out after 8[0-9]{3}ms"`},
		{name: "regex, any case", logql: all + ` |~ "(?i)paymentexception"`, logsql: all + ` i("paymentexception")`},
		// Lines.
		{name: "newest lines of a service", logql: `{job="bench", service="svc-03"}`, logsql: `{job="bench", service="svc-03"} | sort by (_time desc) limit 100`},
		{name: "newest lines without INFO", logql: all + ` != "INFO"`, logsql: all + ` !"INFO" | sort by (_time desc) limit 100`},
		{name: "field of JSON lines", logql: all + ` | json | status_code >= 500`, logsql: all + ` status_code:>=500`},
		{name: "line_format", logql: fields + "| line_format `{{.method}} {{.endpoint}} {{.status_code}}`", logsql: all + ` status_code:* | format "<method> <endpoint> <status_code>"`},
		// Counts.
		{name: "lines a minute", logql: `sum(count_over_time(` + all + `[1m]))`, logsql: all + ` | stats by (_time:1m) count()`, step: m},
		{name: "lines a minute by service", logql: `sum by (service) (count_over_time(` + all + `[1m]))`, logsql: all + ` | stats by (_time:1m, service) count()`, step: m},
		{name: "bytes a second by service", logql: `sum by (service) (bytes_rate(` + all + `[1m]))`, logsql: all + ` | stats by (_time:1m, service) sum_len(_msg)`, step: m},
		{name: "lines of 6 hours, each minute", logql: `sum(count_over_time(` + all + `[6h]))`, step: m},
		{name: "errors a minute by service", logql: `sum by (service) (count_over_time(` + errorsA + ` [1m]))`, logsql: all + ` "ERROR" | stats by (_time:1m, service) count()`, step: m},
		{name: "top 5 of errors", logql: `topk(5, sum by (instance) (count_over_time(` + errorsA + ` [5m])))`, step: m},
		{name: "4xx and 5xx a minute by regex", logql: `sum(count_over_time(` + all + ` |~ "status=[45][0-9][0-9]" [1m]))`, logsql: all + ` ~"status=[45][0-9][0-9]" | stats by (_time:1m) count()`, step: m},
		// Fields.
		{name: "5xx by endpoint from JSON", logql: `sum by (endpoint) (count_over_time(` + all + ` | json | status_code >= 500 | __error__="" [1m]))`, logsql: all + ` status_code:>=500 | stats by (_time:1m, endpoint) count()`, step: m},
		{name: "JSON lines by level", logql: `sum by (level) (rate(` + fields + `[1m]))`, logsql: all + ` level:* | stats by (_time:1m, level) count()`, step: m},
		{name: "p99 of a JSON field by method", logql: `quantile_over_time(0.99, ` + fields + `| unwrap duration_ms [1m]) by (method)`, logsql: all + ` duration_ms:* | stats by (_time:1m, method) quantile(0.99, duration_ms)`, step: m},
		{name: "mean of a JSON field by endpoint", logql: `avg_over_time(` + fields + `| unwrap duration_ms [1m]) by (endpoint)`, logsql: all + ` duration_ms:* | stats by (_time:1m, endpoint) avg(duration_ms)`, step: m},
		{name: "mean of 6 hours, each minute", logql: `avg_over_time(` + all + ` | json | method="POST" | __error__="" | unwrap duration_ms [6h]) by (method)`, step: 5 * m},
		{name: "label_format, JSON", logql: `sum by (code) (count_over_time(` + fields + `| label_format code=status_code [1m]))`, logsql: all + ` status_code:* | copy status_code as code | stats by (_time:1m, code) count()`, step: m},
		{name: "logfmt in text by status", logql: `sum by (status) (count_over_time(` + all + ` |= "took=" | logfmt | status!="" [1m]))`, logsql: all + ` "took" | unpack_logfmt fields (status) | stats by (_time:1m, status) count()`, step: m},
		{name: "pattern in text by table", logql: `sum by (table) (count_over_time(` + all + ` |= "query on table" | pattern "<_> on table <table> returned <_>" [1m]))`, logsql: all + ` "query on table" | extract "on table <table> returned" | stats by (_time:1m, table) count()`, step: m},
	}
}

// queries asks the same questions in the language of the server.
func (l *logLoad) queries(p *proc) []query {
	var out []query
	for _, q := range l.questions() {
		if p.lang != "logsql" || q.logsql != "" {
			out = append(out, q.ask(p, l.from(), l.to()))
		}
	}
	return out
}

// ask makes the query of q for server p.
func (q *logQuestion) ask(p *proc, from, to []string) query {
	if p.lang == "logsql" {
		v := url.Values{"query": {q.logsql}, "start": from, "end": to}
		if q.step == 0 {
			v.Set("limit", "100")
		}
		return query{name: q.name, path: "/select/logsql/query?" + v.Encode()}
	}
	v := url.Values{"query": {q.logql}, "start": from, "end": to, "limit": {"100"}}
	if q.step > 0 {
		v.Set("step", q.step.String())
	}
	return query{name: q.name, path: "/loki/api/v1/query_range?" + v.Encode()}
}
