package app

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// TestDeleteAndSnapshot takes a snapshot, deletes a series, and finds the series in a
// server on the snapshot, with the logs, and not in the one it was deleted from.
func TestDeleteAndSnapshot(t *testing.T) {
	cfg := testConfig(t)
	a := start(t, cfg)
	now := a.now().UnixNano()
	push := `{"streams":[{"stream":{"app":"snap"},"values":[["` + strconv.FormatInt(now, 10) + `","hello"]]}]}`
	if code, body := post(t, a, "/loki/api/v1/push", "application/json", push); code != http.StatusNoContent {
		t.Fatalf("push: %d %s", code, body)
	}
	b := &store.MetricBatch{Series: []store.SeriesWrite{{
		Labels: model.LabelsFromMap(map[string]string{model.MetricName: "snap_metric"}), Samples: []store.Sample{{Time: now / 1_000_000, Value: 42}},
	}}}
	if err := a.metrics.Append(t.Context(), model.DefaultTenant, b); err != nil {
		t.Fatal(err)
	}
	code, body := post(t, a, "/api/v1/admin/tsdb/snapshot", "", "")
	if code != http.StatusOK || !strings.Contains(body, `{"status":"success","data":{"name":"`) {
		t.Fatalf("snapshot: %d %s", code, body)
	}
	name := strings.Split(strings.Split(body, `"name":"`)[1], `"`)[0]
	if code, body := get(t, a, "/snapshot/list"); code != http.StatusOK || !strings.Contains(body, `"snapshots":["`+name+`"]`) {
		t.Errorf("list: %d %s", code, body)
	}
	if code, body := post(t, a, "/api/v1/admin/tsdb/delete_series?match[]=snap_metric", "", ""); code != http.StatusNoContent {
		t.Fatalf("delete: %d %s", code, body)
	}
	const query = "/api/v1/query?query=snap_metric"
	if code, body := get(t, a, query); code != http.StatusOK || strings.Contains(body, "42") {
		t.Errorf("after the delete: %d %s", code, body)
	}
	if code, body := post(t, a, "/api/v1/admin/tsdb/clean_tombstones", "", ""); code != http.StatusNoContent {
		t.Errorf("clean: %d %s", code, body)
	}

	other := testConfig(t)
	other.Data = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(other.Data, os.DirFS(filepath.Join(cfg.Data, "snapshots", name))); err != nil {
		t.Fatal(err)
	}
	c := start(t, other)
	if code, body := get(t, c, query); code != http.StatusOK || !strings.Contains(body, `"42"`) {
		t.Errorf("in the snapshot: %d %s", code, body)
	}
	if code, body := get(t, c, "/loki/api/v1/query_range?query="+url.QueryEscape(`{app="snap"}`)); code != http.StatusOK || !strings.Contains(body, "hello") {
		t.Errorf("logs in the snapshot: %d %s", code, body)
	}

	if code, body := get(t, a, "/snapshot/delete?snapshot=../metrics"); code != http.StatusNotFound {
		t.Errorf("delete of a path: %d %s", code, body)
	}
	if code, body := get(t, a, "/snapshot/delete_all"); code != http.StatusOK {
		t.Errorf("delete all: %d %s", code, body)
	}
	if code, body := get(t, a, "/snapshot/list"); code != http.StatusOK || !strings.Contains(body, `"snapshots":[]`) {
		t.Errorf("list after deleting all: %d %s", code, body)
	}
}

// TestUnfinishedSnapshot finds what a crash left of a snapshot gone after the start, and
// nothing else.
func TestUnfinishedSnapshot(t *testing.T) {
	cfg := testConfig(t)
	dir := filepath.Join(cfg.Data, "snapshots")
	const stamp = "20260115T183000Z-0123456789abcdef"
	for _, name := range []string{stamp, stamp + ".tmp", "mine.tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "metrics"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	start(t, cfg)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != stamp || left[1].Name() != "mine.tmp" {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestAdminAPIOff(t *testing.T) {
	cfg := testConfig(t)
	cfg.AdminAPI = "off"
	a := start(t, cfg)
	for _, path := range []string{"/api/v1/admin/tsdb/delete_series?match[]=up", "/api/v1/admin/tsdb/snapshot", "/snapshot/create"} {
		if code, body := post(t, a, path, "", ""); code != http.StatusForbidden || !strings.Contains(body, "admin_api: on") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// TestAdminAPIOfOtherSites demands that a page of another site cannot delete through the
// browser of somebody who has access.
func TestAdminAPIOfOtherSites(t *testing.T) {
	a := start(t, testConfig(t))
	for _, c := range []struct{ method, path string }{
		{http.MethodPost, "/api/v1/admin/tsdb/delete_series?match[]=up"}, {http.MethodGet, "/snapshot/delete_all"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+a.Addr()+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if code, body := read(t, resp); code != http.StatusForbidden {
			t.Errorf("%s: %d %s", c.path, code, body)
		}
	}
}

// TestAdminAPIMethods demands that a GET of what changes data says what to send instead.
func TestAdminAPIMethods(t *testing.T) {
	a := start(t, testConfig(t))
	for _, path := range []string{
		"/api/v1/admin/tsdb/delete_series?match[]=up", "/prometheus/api/v1/admin/tsdb/clean_tombstones", "/api/v1/admin/tsdb/snapshot",
	} {
		if code, body := get(t, a, path); code != http.StatusMethodNotAllowed || !strings.Contains(body, "takes POST or PUT, not GET") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// TestTenantLimit demands that a tenant too many is refused by every protocol, and told
// why, while others go on.
func TestTenantLimit(t *testing.T) {
	cfg := testConfig(t)
	cfg.Limits.MaxTenants = 1
	a := start(t, cfg)
	push := func(path, contentType, tenant, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Addr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Scope-OrgID", tenant)
		r.Header.Set("Content-Type", contentType)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, resp)
	}
	logs := `{"streams":[{"stream":{"app":"x"},"values":[["` + strconv.FormatInt(a.now().UnixNano(), 10) + `","hello"]]}]}`
	for _, c := range []struct {
		path, contentType, tenant, body string
		code                            int
	}{
		{"/loki/api/v1/push", "application/json", "first", logs, http.StatusNoContent},
		{"/loki/api/v1/push", "application/json", "second", logs, http.StatusTooManyRequests},
		{"/api/v1/import/prometheus", "text/plain", "third", "x 1\n", http.StatusTooManyRequests},
		{"/prometheus/api/v1/import", "", "third", `{"metric":{"__name__":"x"},"values":[1],"timestamps":[` + strconv.FormatInt(a.now().UnixMilli(), 10) + "]}", http.StatusTooManyRequests},
		{"/api/v1/import/prometheus", "text/plain", "first", "x 1\n", http.StatusNoContent},
	} {
		code, body := push(c.path, c.contentType, c.tenant, c.body)
		if code != c.code || code >= 400 && !strings.Contains(body, "limits.max_tenants") {
			t.Errorf("%s of %s: %d %s", c.path, c.tenant, code, body)
		}
	}
}

// TestMetricsNobodyReads finds the metric that no query has read, also after a restart.
func TestMetricsNobodyReads(t *testing.T) {
	cfg := testConfig(t)
	ask := func(a *App, want string) {
		t.Helper()
		code, body := get(t, a, "/api/v1/status/metric_names_stats?le=0&match_pattern=^my_")
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d %s, want %s", code, body, want)
		}
	}
	const unread = `"records":[{"metricName":"my_unread","queryRequestsCount":0,"lastRequestTimestamp":0}]`
	t.Run("counts", func(t *testing.T) {
		a := start(t, cfg)
		if code, body := post(t, a, "/api/v1/import/prometheus", "text/plain", "my_read 1\nmy_unread 1\n"); code != http.StatusNoContent {
			t.Fatalf("import: %d %s", code, body)
		}
		if code, body := get(t, a, "/api/v1/query?query=rate(my_read[5m])"); code != http.StatusOK {
			t.Fatalf("query: %d %s", code, body)
		}
		ask(a, unread)
	})
	ask(start(t, cfg), unread)
}
