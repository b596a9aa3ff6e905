package native

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/ingest/meter"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestLogContext(t *testing.T) {
	logs := storetest.NewLogs()
	put := func(labels model.Labels, at int64, line string, meta ...model.Label) {
		b := &store.LogBatch{Streams: []store.LogStream{{Labels: labels, Entries: []store.LogEntry{{Time: at, Line: line, Meta: logmeta.New(meta...)}}}}}
		if err := logs.Append(t.Context(), model.DefaultTenant, b); err != nil {
			t.Fatal(err)
		}
	}
	own := model.Labels{{Name: "app", Value: "x"}}
	for i, line := range []string{"a", "b", "c", "d", "e"} {
		put(own, int64(i+1)*1e9, line)
		put(model.NewLabels(own[0], model.Label{Name: "pod", Value: "p"}), int64(i+1)*1e9, "of another stream")
	}
	put(own, 3e9, "c too", model.Label{Name: "user", Value: "u"})
	mux := http.NewServeMux()
	New(Options{Logs: logs, Door: query.New(query.Options{}), Meter: meter.New(nil, nil)}).Register(mux)
	ask := func(pairs ...string) (int, string) {
		q := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/pharos/v1/logs/context?"+q.Encode(), nil))
		return w.Code, w.Body.String()
	}
	for _, tt := range []struct {
		name   string
		params []string
		want   string
	}{
		{
			"in the middle",
			[]string{"stream", `{app="x"}`, "time", "3000000000", "line", "c too", "before", "2", "after", "1"},
			`{"after":[{"time":"4000000000","line":"d"}],"before":[{"time":"2000000000","line":"b"},{"time":"3000000000","line":"c"}],` +
				`"entry":{"time":"3000000000","line":"c too","metadata":{"user":"u"}},"stream":{"app":"x"}}` + "\n",
		},
		{
			"at the begin",
			[]string{"stream", `{app="x"}`, "time", "1000000000", "after", "1"},
			`{"after":[{"time":"2000000000","line":"b"}],"before":[],"entry":{"time":"1000000000","line":"a"},"stream":{"app":"x"}}` + "\n",
		},
		{
			"no such entry",
			[]string{"stream", `{app="x"}`, "time", "2000000001", "before", "1", "after", "0"},
			`{"after":[],"before":[{"time":"2000000000","line":"b"}],"entry":null,"stream":{"app":"x"}}` + "\n",
		},
	} {
		code, body := ask(tt.params...)
		if diff := cmp.Diff(tt.want, body); code != http.StatusOK || diff != "" {
			t.Errorf("%s: status %d (-want +got)\n%s", tt.name, code, diff)
		}
	}
	for _, bad := range [][]string{
		{"stream", `{app=~"x"}`, "time", "1"}, {"stream", `{app="x"} |= "a"`, "time", "1"}, {"stream", `{app="x"}`}, {"stream", `{app="x"}`, "time", "1", "before", "5000"},
	} {
		if code, body := ask(bad...); code != http.StatusBadRequest {
			t.Errorf("%q: status %d, %s", bad, code, body)
		}
	}
}
