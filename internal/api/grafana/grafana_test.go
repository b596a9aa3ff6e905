package grafana

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/dashboard"
	"github.com/pharos-o11y/pharos/internal/meta"
)

func server(t *testing.T) *httptest.Server {
	t.Helper()
	db, err := meta.Open(t.Context(), meta.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	lib, err := dashboard.New(dashboard.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{Library: lib, Ping: func(r *http.Request) error { return db.Ping(r.Context()) }})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/search", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "tempo") })
	a.Register(mux, "")
	a.Register(mux, "/grafana")
	srv := httptest.NewServer(a.Split(mux))
	t.Cleanup(srv.Close)
	return srv
}

func ask(t *testing.T, srv *httptest.Server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestStory saves, reads, changes, restores and deletes a dashboard as a client of
// Grafana does.
func TestStory(t *testing.T) {
	srv := server(t)
	text := "{\"uid\": \"shop\",\n  \"title\" : \"Shop\", \"tags\": [\"a\"], \"n\": 1.10}"
	steps := []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/api/folders", `{"uid":"ops","title":"Ops"}`, 200, `"uid":"ops"`},
		{"POST", "/api/folders", `{"uid":"ops","title":"Ops"}`, 412, `version-mismatch`},
		{"POST", "/api/folders", `{"title":" "}`, 400, `title is empty`},
		{"PUT", "/api/folders/ops", `{"title":"Operations","version":1}`, 200, `"Operations"`},
		{"PUT", "/api/folders/ops", `{"title":"O","version":1}`, 412, `version-mismatch`},
		{"POST", "/api/dashboards/db", `{"dashboard":` + text + `,"folderUid":"ops","message":"one"}`, 200, `"url":"/d/shop/shop"`},
		{"GET", "/api/dashboards/uid/shop/raw", "", 200, text},
		{"GET", "/api/dashboards/uid/shop", "", 200, `"dashboard":{"id":1,"version":1,"uid": "shop",`},
		{"GET", "/api/dashboards/uid/shop", "", 200, `"folderTitle":"Operations"`},
		{"POST", "/api/dashboards/db", `{"dashboard":{"uid":"shop","title":"Shop 2"}}`, 412, `version-mismatch`},
		{"POST", "/api/dashboards/db", `{"dashboard":{"uid":"shop","title":"Shop 2","version":1}}`, 200, `"version":2`},
		{"POST", "/api/dashboards/db", `{"dashboard":{"title":"Shop 2"}}`, 412, `name-exists`},
		{"POST", "/api/dashboards/db", `{"dashboard":{"uid":"a b","title":"x"}}`, 400, `uid`},
		{"POST", "/api/dashboards/db", `{}`, 400, `missing`},
		{"POST", "/api/dashboards/db", `nonsense`, 400, `bad request`},
		{"GET", "/api/dashboards/uid/shop/versions", "", 200, `"message":"one"`},
		{"GET", "/api/dashboards/uid/shop/versions/1", "", 200, `"n":1.10`},
		{"GET", "/api/dashboards/uid/shop/versions/9", "", 404, `not found`},
		{"POST", "/api/dashboards/uid/shop/restore", `{"version":1}`, 200, `"version":3`},
		{"GET", "/api/dashboards/uid/nope", "", 404, `not-found`},
		{"POST", "/api/user/stars/dashboard/uid/shop", "", 200, ``},
		{"GET", "/api/search?starred=true", "", 200, `"uid":"shop"`},
		{"GET", "/api/search?type=dash-folder", "", 200, `"dash-folder"`},
		{"GET", "/api/search?q=%7B%7D", "", 200, `tempo`},
		{"GET", "/api/search", "", 200, `tempo`},
		{"GET", "/grafana/api/search", "", 200, `"uid":"shop"`},
		{"GET", "/api/search?query=SHO&type=dash-db&tag=a", "", 200, `"isStarred":true`},
		{"GET", "/api/search?type=dash-db&limit=x", "", 400, `positive`},
		{"DELETE", "/api/user/stars/dashboard/uid/shop", "", 200, ``},
		{"GET", "/api/search?starred=true", "", 200, `[]`},
		{"GET", "/api/dashboards/tags", "", 200, `"term":"a"`},
		{"GET", "/api/health", "", 200, `"database":"ok"`},
		{"GET", "/api/org", "", 200, `"default"`},
		{"GET", "/api/datasources", "", 200, `"type":"loki"`},
		{"GET", "/api/datasources/uid/pharos-traces", "", 200, `"tempo"`},
		{"DELETE", "/api/dashboards/uid/shop", "", 200, `Shop`},
		{"DELETE", "/api/dashboards/uid/shop", "", 404, ``},
		{"DELETE", "/api/folders/ops", "", 200, `Folder deleted`},
	}
	for _, s := range steps {
		code, body := ask(t, srv, s.method, s.path, s.body)
		if code != s.code || !strings.Contains(body, s.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", s.method, s.path, s.body, code, body, s.code, s.want)
		}
		if code/100 != 2 && !json.Valid([]byte(body)) {
			t.Errorf("%s %s: error is not JSON: %s", s.method, s.path, body)
		}
	}
}

// TestShortLinks keeps an address and follows it; addresses of other servers are refused.
func TestShortLinks(t *testing.T) {
	srv := server(t)
	srv.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	long := "logs?q=" + strings.Repeat("%7Ba%3D%22b%22%7D", 500)
	code, body := ask(t, srv, "POST", "/api/short-urls", `{"path":"/`+long+`"}`)
	var link struct{ UID, URL string }
	if err := json.Unmarshal([]byte(body), &link); err != nil || code != 200 || !strings.HasSuffix(link.URL, "/goto/"+link.UID) {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if _, again := ask(t, srv, "POST", "/api/short-urls", `{"path":"`+long+`"}`); again != body {
		t.Errorf("the same address has another link: %s, %s", body, again)
	}
	resp, err := srv.Client().Get(srv.URL + "/goto/" + link.UID)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || got != "/"+long {
		t.Errorf("%d, Location %.40q", resp.StatusCode, got)
	}
	if code, body := ask(t, srv, "GET", "/goto/nothing", ""); code != 404 || !strings.Contains(body, "short link nothing") {
		t.Errorf("unknown link: %d %s", code, body)
	}
	for _, path := range []string{"", "/", "//evil.example", `/\\evil.example`, "a\nb", strings.Repeat("a", 70_000)} {
		if code, body := ask(t, srv, "POST", "/api/short-urls", `{"path":"`+path+`"}`); code != 400 {
			t.Errorf("%.30q: %d %s", path, code, body)
		}
	}
}
