package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/api/loki"
	"github.com/pharos-o11y/pharos/internal/api/tempo"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestMain lets scripts run pharos as a command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pharos": func() { os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr})) },
	})
}

func TestScripts(t *testing.T) {
	url, logs := traceServer(t), logServer(t)
	t.Cleanup(logs.Close) // scripts run in parallel, beyond this function
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SERVER", url)
			e.Setenv("PHAROS_ADDR", logs.URL)
			e.Setenv("TZ", "UTC")
			return nil
		},
	})
}

// traceServer serves two traces: a1 of three spans, and b2, a span without its parent.
func traceServer(t *testing.T) string {
	t.Helper()
	td, begin := ptrace.NewTraces(), time.Now().Add(-time.Minute)
	span := func(service, name string, trace, id, up byte, at, took time.Duration) ptrace.Span {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetName(name)
		s.SetTraceID(pcommon.TraceID{15: trace})
		s.SetSpanID(pcommon.SpanID{7: id})
		s.SetParentSpanID(pcommon.SpanID{7: up})
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(begin.Add(at)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(begin.Add(at + took)))
		return s
	}
	const ms = time.Millisecond
	span("shop", "GET /cart", 0xa1, 1, 0, 0, 2000*ms)
	db := span("db", "SELECT", 0xa1, 2, 1, 500*ms, 1000*ms)
	db.Attributes().PutStr("db.system", "postgresql")
	db.Status().SetCode(ptrace.StatusCodeError)
	db.Status().SetMessage("lock timeout")
	e := db.Events().AppendEmpty()
	e.SetName("exception")
	e.SetTimestamp(pcommon.NewTimestampFromTime(begin.Add(1400 * ms)))
	e.Attributes().PutStr("exception.type", "LockTimeout")
	span("shop", "render", 0xa1, 3, 1, 1600*ms, 400*ms)
	span("shop", "POST /pay", 0xb2, 1, 9, 0, 10*ms)
	s := storetest.NewTraces()
	if err := s.Append(context.Background(), model.DefaultTenant, storetest.Spans(td)); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	tempo.New(tempo.Options{Reader: s, Index: s, Door: query.New(query.Options{})}).Register(mux, "")
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// logServer serves the logs of a day that has long passed: ten entries of api, one of db a
// second, and one of another tenant. Tails end at once.
func logServer(t *testing.T) *httptest.Server {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	logs := storetest.NewLogs()
	write := func(tenant model.Tenant, app string, second int, line string) {
		b := &store.LogBatch{Streams: []store.LogStream{{
			Labels:  model.Labels{{Name: "app", Value: app}, {Name: "env", Value: "prod"}},
			Entries: []store.LogEntry{{Time: at.Add(time.Duration(second) * time.Second).UnixNano(), Line: line}},
		}}}
		if err := logs.Append(t.Context(), tenant, b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		write(model.DefaultTenant, "api", i, fmt.Sprintf("request %d", i))
	}
	write(model.DefaultTenant, "db", 3, "slow query")
	write("other", "api", 0, "of another tenant")
	now := func() time.Time { return at.Add(time.Minute) }
	mux := http.NewServeMux()
	loki.New(loki.Options{
		Reader: logs, Index: logs, Door: query.New(query.Options{Now: now}), Now: now,
		Limits: func(model.Tenant) loki.Limits { return loki.Limits{MaxTailTime: 100 * time.Millisecond} },
	}).Register(mux, "")
	return httptest.NewServer(mux)
}
