package native

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/ingest/meter"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// explainServer serves 100 requests of the service shop, every fifth slow because of zone
// b; slow ones log a line with the trace id as metadata, all log one with it in the text.
func explainServer(t *testing.T) (base string, now time.Time) {
	t.Helper()
	now = time.Unix(1_700_000_000, 0)
	traces, logs := storetest.NewTraces(), storetest.NewLogs()
	var lines store.LogBatch
	for i := range 100 {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "shop")
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		id := pcommon.TraceID{1, 15: byte(i)}
		sp.SetTraceID(id)
		sp.SetSpanID(pcommon.SpanID{7: 1})
		sp.SetName("GET /")
		sp.SetKind(ptrace.SpanKindServer)
		start, took, zone := now.Add(-time.Duration(i+1)*time.Second), 100*time.Millisecond, "a"
		text := store.LogEntry{Time: start.UnixNano(), Line: fmt.Sprintf("served %d trace=%s", i, model.TraceID(id))}
		lines.Streams = append(lines.Streams, store.LogStream{Labels: model.LabelsFromMap(map[string]string{"service_name": "shop"}), Entries: []store.LogEntry{text}})
		if i%5 == 0 {
			took, zone = 2*time.Second, "b"
			meta := model.LabelsFromMap(map[string]string{"trace_id": model.TraceID(id).String(), "detected_level": "warn"})
			slow := store.LogEntry{Time: start.UnixNano(), Line: fmt.Sprintf("lock wait of %dms", i), Meta: logmeta.New(meta...)}
			lines.Streams = append(lines.Streams, store.LogStream{Labels: model.LabelsFromMap(map[string]string{"service_name": "db"}), Entries: []store.LogEntry{slow}})
		}
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(took)))
		sp.Attributes().PutStr("zone", zone)
		if err := traces.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
	}
	if err := logs.Append(t.Context(), model.DefaultTenant, &lines); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(Options{Traces: traces, Logs: logs, Door: query.New(query.Options{}), Meter: meter.New(nil, nil), Now: func() time.Time { return now }}).Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL, now
}

func get(t *testing.T, url string, v any) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil && res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, v); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode, string(text)
}

func TestExplain(t *testing.T) {
	base, now := explainServer(t)
	sec := func(ago int) string { return fmt.Sprint(now.Unix() - int64(ago)) }
	tests := []struct {
		name               string
		q                  url.Values
		population         string
		selected, baseline int
		filter             string // of the first factor
	}{
		{"slow by itself", url.Values{}, `{ }`, 20, 80, `{ span.zone = "b" }`},
		{"service", url.Values{"service": {"shop"}, "select": {"slow"}}, `{ resource.service.name = "shop" && (kind = server || kind = consumer) }`, 20, 80, `{ span.zone = "b" }`},
		{"operation", url.Values{"service": {"shop"}, "operation": {"GET /"}}, `{ resource.service.name = "shop" && name = "GET /" }`, 20, 80, `{ span.zone = "b" }`},
		{"query and service", url.Values{"q": {`{ kind = server }`}, "service": {"nope"}}, `{ kind = server } | { resource.service.name = "nope" }`, 0, 0, ""},
		{"filter", url.Values{"select": {`{ duration > 1s }`}}, `{ }`, 20, 80, `{ span.zone = "b" }`},
		{"failed", url.Values{"select": {"failed"}}, `{ }`, 0, 100, ""},
		{"box", url.Values{"from": {sec(50)}, "to": {sec(0)}, "min": {"1s"}, "max": {"5"}}, `{ }`, 10, 90, `{ span.zone = "b" }`},
		{
			"against another time",
			url.Values{"start": {sec(50)}, "end": {sec(0)}, "min": {"1ms"}, "baseline_from": {sec(101)}, "baseline_to": {sec(50)}, "baseline": {`{ span.zone = "a" }`}},
			`{ }`, 50, 40, "", // the zone is part of the question
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got explanation
			if code, text := get(t, base+"/api/pharos/v1/traces/explain?"+tt.q.Encode(), &got); code != http.StatusOK {
				t.Fatalf("status %d: %s", code, text)
			}
			if got.Population != tt.population || got.Selected.Spans != tt.selected || got.Baseline.Spans != tt.baseline {
				t.Errorf("%s: %d spans against %d; want %s: %d against %d", got.Population, got.Selected.Spans, got.Baseline.Spans, tt.population, tt.selected, tt.baseline)
			}
			filter := ""
			if len(got.Factors) > 0 {
				filter = got.Factors[0].Filter
			}
			if filter != tt.filter {
				t.Errorf("first factor %q, want %q", filter, tt.filter)
			}
		})
	}
}

func TestExplainLogs(t *testing.T) {
	base, _ := explainServer(t)
	var got explanation
	if code, text := get(t, base+"/api/pharos/v1/traces/explain?examples=2", &got); code != http.StatusOK {
		t.Fatalf("status %d: %s", code, text)
	}
	if n := len(got.Selected.Examples); n != 2 {
		t.Errorf("%d examples, want 2", n)
	}
	logs := got.Logs
	if logs == nil || logs.SelectedTraces != 20 || logs.BaselineTraces != 20 || len(logs.Patterns) != 2 {
		t.Fatalf("logs %+v", logs)
	}
	first, second := logs.Patterns[0], logs.Patterns[1]
	if first.Pattern != "lock wait of <_>" || first.Service != "db" || first.Level != "warn" || first.Selected != (explainedLine{20, 20}) || first.Baseline != (explainedLine{}) {
		t.Errorf("first pattern %+v", first)
	}
	if second.Pattern != "served <_> trace=<_>" || second.Selected != (explainedLine{20, 20}) || second.Baseline != (explainedLine{20, 20}) {
		t.Errorf("second pattern %+v", second)
	}
	if !strings.Contains(second.Sample.Line, second.Sample.Trace) {
		t.Errorf("sample %+v", second.Sample)
	}
	got = explanation{}
	get(t, base+"/api/pharos/v1/traces/explain?logs=false", &got)
	if got.Logs != nil {
		t.Error("logs, though not wanted")
	}
}

func TestExplainErrors(t *testing.T) {
	base, _ := explainServer(t)
	tests := []struct{ q, want string }{
		{"q=%7B", "parse error at line 1, col 2"},
		{"select=fast", "parse error at line 1"},
		{"select=" + url.QueryEscape("{ } | count() > 1"), "a selection is one filter"},
		{"q=" + url.QueryEscape("{ } | rate()"), "without a metrics function"},
		{"start=5", "want both start and end"},
		{"from=5&to=4", "from must be before to"},
		{"min=-1s", "min: "},
		{"limit=0", "limit: want a number from 1 to 200"},
		{"baseline=x", "baseline: parse error"},
	}
	for _, tt := range tests {
		code, text := get(t, base+"/api/pharos/v1/traces/explain?"+tt.q, nil)
		if code != http.StatusBadRequest || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %d %s, want 400 with %q", tt.q, code, text, tt.want)
		}
	}
}
