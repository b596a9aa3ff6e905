package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pharos-o11y/pharos/internal/config"
)

func TestUnderJaeger(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jaeger/api/services/{service}/operations", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.PathValue("service")+" "+r.URL.Query().Get("a"))
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ready") })
	h := underJaeger(mux)
	for target, want := range map[string]string{
		"/api/services/web%2Fx/operations?a=b": "web/x b",
		"/ready":                               "ready",
		"/api/traces":                          "404 page not found\n",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody))
		if w.Body.String() != want {
			t.Errorf("%s: %q, want %q", target, w.Body, want)
		}
	}
}

func TestCompatHost(t *testing.T) {
	for listen, want := range map[string]string{"127.0.0.1:1": "127.0.0.1", "[::1]:1": "::1", ":1": "0.0.0.0"} {
		if got := compatHost(&config.Config{Listen: listen, CompatPorts: true}); got != want {
			t.Errorf("%s: %q, want %q", listen, got, want)
		}
		if got := compatHost(&config.Config{Listen: listen}); got != "" {
			t.Errorf("%s without compatible ports: %q", listen, got)
		}
	}
}
