package native

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/ingest/meter"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// refusing is a log store that keeps nothing.
type refusing struct{}

func (refusing) Append(context.Context, model.Tenant, *store.LogBatch) error {
	r := &store.Refused{}
	r.Add("too_old", 2, func() string { return "line of {app=x} is 3 days old" })
	return r
}

func ask(t *testing.T, h http.Handler, path string, to any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestAdmin(t *testing.T) {
	m := meter.New(nil, nil)
	door := query.New(query.Options{Slow: time.Nanosecond})
	mux := http.NewServeMux()
	New(Options{
		Door: door, Meter: m,
		Disk:      map[model.Signal]func() int64{model.Logs: func() int64 { return 42 }},
		Retention: func(_ model.Tenant, s model.Signal) time.Duration { return time.Duration(s+1) * time.Hour },
		Space:     func() (int64, int64) { return 10, 100 },
	}).Register(mux)

	err := m.Logs(refusing{}).Append(t.Context(), model.DefaultTenant, &store.LogBatch{
		Streams: []store.LogStream{{Entries: make([]store.LogEntry, 2)}},
	})
	var refused *store.Refused
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want a refusal", err)
	}
	var rejects struct {
		Rejects []struct {
			Signal, Reason, Sample string
			Count                  int
		}
	}
	ask(t, mux, "/api/pharos/v1/rejects", &rejects)
	if len(rejects.Rejects) != 1 || rejects.Rejects[0].Signal != "logs" || rejects.Rejects[0].Count != 2 || rejects.Rejects[0].Sample != "line of {app=x} is 3 days old" {
		t.Errorf("rejects: %+v", rejects)
	}

	for range 2 {
		if _, err := door.Do(t.Context(), query.Request{Tenant: model.DefaultTenant, Language: "logql", Text: "{}"}, func(context.Context, *store.Account) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var queries struct {
		Running, Slow []struct{ Query string }
		Costly        []struct {
			Query string
			Runs  int
		}
	}
	ask(t, mux, "/api/pharos/v1/queries", &queries)
	if len(queries.Costly) != 1 || queries.Costly[0].Runs != 2 || len(queries.Slow) != 2 || queries.Running == nil {
		t.Errorf("queries: %+v", queries)
	}

	var space struct {
		Signals map[string]struct {
			Disk      int64   `json:"bytes_on_disk"`
			Retention float64 `json:"retention_seconds"`
		}
		Free int64 `json:"free_bytes"`
	}
	ask(t, mux, "/api/pharos/v1/storage", &space)
	if space.Signals["logs"].Disk != 42 || space.Signals["logs"].Retention == 0 || space.Free != 10 {
		t.Errorf("storage: %+v", space)
	}
}
