package webui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPages(t *testing.T) {
	ui := Handler(fstest.MapFS{"index.html": {Data: []byte("<p>the UI</p>")}})
	api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the API")) })
	h := Pages(api, ui, "/services")
	for _, c := range []struct{ method, path, accept, want string }{
		{"GET", "/services", "text/html,application/xhtml+xml", "the UI"},
		{"GET", "/services", "*/*", "the API"},
		{"POST", "/services", "text/html", "the API"},
		{"GET", "/services/checkout", "text/html", "the API"},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("Accept", c.accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s for %s: %q, want %s", c.method, c.path, c.accept, w.Body.String(), c.want)
		}
	}
}
