package meta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
)

const tenant = model.DefaultTenant

// backends runs f against SQLite and, where its server is installed, PostgreSQL.
func backends(t *testing.T, f func(t *testing.T, db *DB)) {
	t.Run("sqlite", func(t *testing.T) { f(t, open(t, Options{Dir: t.TempDir()})) })
	t.Run("postgres", func(t *testing.T) { f(t, open(t, Options{Postgres: startPostgres(t)})) })
}

func open(t *testing.T, opts Options) *DB {
	t.Helper()
	now := time.UnixMilli(1_700_000_000_000).UTC()
	opts.Now = func() time.Time { now = now.Add(time.Second); return now }
	db, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// startPostgres runs a server of its own until the test ends and returns how to reach it.
// PHAROS_TEST_POSTGRES names a running one instead. Without either the test is skipped.
func startPostgres(t *testing.T) string {
	t.Helper()
	if dsn := os.Getenv("PHAROS_TEST_POSTGRES"); dsn != "" {
		return dsn
	}
	initdb := findPostgres("initdb")
	server := findPostgres("postgres")
	if initdb == "" || server == "" {
		t.Skip("no PostgreSQL server is installed")
	}
	dir, err := os.MkdirTemp("", "pharos-pg-") //nolint:usetesting // the user postgres cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	as := func(name string, args ...string) *exec.Cmd {
		return exec.CommandContext(context.Background(), name, args...)
	}
	if me, err := user.Current(); err == nil && me.Uid == "0" {
		// PostgreSQL does not run as root.
		pg, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("PostgreSQL does not run as root and there is no user postgres")
		}
		uid, _ := strconv.Atoi(pg.Uid)
		gid, _ := strconv.Atoi(pg.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		as = func(name string, args ...string) *exec.Cmd {
			c := exec.CommandContext(context.Background(), name, args...)
			runAs(c, uint32(uid), uint32(gid))
			c.Dir = dir
			return c
		}
	}
	if out, err := as(initdb, "-D", data, "-U", "pharos", "-A", "trust", "--no-sync").CombinedOutput(); err != nil {
		t.Skipf("initdb: %v: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	srv := as(server, "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir, "-F")
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = srv.Process.Signal(os.Interrupt)
		_ = srv.Wait()
	})
	dsn := fmt.Sprintf("postgres://pharos@127.0.0.1:%d/postgres?sslmode=disable", port)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		<-tick.C
		db, err := Open(t.Context(), Options{Postgres: dsn})
		if err == nil {
			db.Close()
			return dsn
		}
	}
	t.Fatal("PostgreSQL did not start in time")
	return ""
}

func findPostgres(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

func TestDashboards(t *testing.T) {
	backends(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		body := "{\"title\" : \"Ünï\",\n  \"n\": 1.10 }"
		d, err := db.SaveDashboard(ctx, tenant, Save{Dashboard: Dashboard{UID: "a", Title: "A", Tags: []string{"x", "y z"}, Body: body}, Message: "first"})
		if err != nil || d.Version != 1 || d.ID != 1 {
			t.Fatalf("save: %+v, %v", d, err)
		}
		got, err := db.Dashboard(ctx, tenant, "a")
		if err != nil {
			t.Fatal(err)
		}
		d.Body = body
		if diff := cmp.Diff(d, got); diff != "" {
			t.Error(diff)
		}
		if _, err := db.Dashboard(ctx, "other", "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("another tenant sees it: %v", err)
		}
		if _, err := db.SaveDashboard(ctx, tenant, Save{Dashboard: Dashboard{UID: "a", Title: "A", Body: "{}"}}); !errors.Is(err, ErrVersion) {
			t.Errorf("save over an unknown version: %v", err)
		}
		if _, err := db.SaveDashboard(ctx, tenant, Save{Dashboard: Dashboard{UID: "a", Title: "A2", Body: "{}"}, Expect: 1, Message: "second"}); err != nil {
			t.Error(err)
		}
		if d, err := db.SaveDashboard(ctx, tenant, Save{Dashboard: Dashboard{UID: "a", Title: "A3", Body: "[]"}, Overwrite: true, RestoredFrom: 1}); err != nil || d.Version != 3 {
			t.Errorf("overwrite: %+v, %v", d, err)
		}
		vs, err := db.Versions(ctx, tenant, "a")
		if err != nil || len(vs) != 3 || vs[2].Message != "first" || vs[0].RestoredFrom != 1 {
			t.Errorf("versions: %+v, %v", vs, err)
		}
		if v, err := db.DashboardVersion(ctx, tenant, "a", 1); err != nil || v.Body != body {
			t.Errorf("version 1: %+v, %v", v, err)
		}
		if _, err := db.DashboardVersion(ctx, tenant, "a", 9); !errors.Is(err, ErrNotFound) {
			t.Errorf("version 9: %v", err)
		}
		list, err := db.Dashboards(ctx, tenant)
		if err != nil || len(list) != 1 || list[0].Title != "A3" {
			t.Errorf("list: %+v, %v", list, err)
		}
		if err := db.DeleteDashboard(ctx, tenant, "a"); err != nil {
			t.Error(err)
		}
		if err := db.DeleteDashboard(ctx, tenant, "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("second delete: %v", err)
		}
		if d, err := db.SaveDashboard(ctx, tenant, Save{Dashboard: Dashboard{UID: "a", Body: "{}"}}); err != nil || d.Version != 4 {
			t.Errorf("comes back as %+v, %v", d, err)
		}
	})
}

func TestStarsAndFolders(t *testing.T) {
	backends(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		for range 2 {
			if err := db.Star(ctx, tenant, "u", true); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := db.Stars(ctx, tenant); err != nil || !s["u"] || len(s) != 1 {
			t.Errorf("stars: %v, %v", s, err)
		}
		if err := db.Star(ctx, tenant, "u", false); err != nil {
			t.Fatal(err)
		}
		if s, err := db.Stars(ctx, tenant); err != nil || len(s) != 0 {
			t.Errorf("stars after removal: %v, %v", s, err)
		}

		for _, f := range []Folder{{UID: "ops", Title: "Ops"}, {UID: "db", Title: "Databases", Parent: "ops"}, {UID: "ops", Title: "Operations"}} {
			if _, err := db.SaveFolder(ctx, tenant, f); err != nil {
				t.Fatal(err)
			}
		}
		fs, err := db.Folders(ctx, tenant)
		if err != nil || len(fs) != 2 || fs[1].Title != "Operations" || fs[1].Version != 2 || fs[0].Parent != "ops" {
			t.Errorf("folders: %+v, %v", fs, err)
		}
		if _, err := db.SaveDashboard(ctx, tenant, Save{Dashboard: Dashboard{UID: "d", Folder: "db", Body: "{}"}}); err != nil {
			t.Fatal(err)
		}
		if err := db.DeleteFolder(ctx, tenant, "ops", false); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("delete of a full folder: %v", err)
		}
		if err := db.DeleteFolder(ctx, tenant, "ops", true); err != nil {
			t.Error(err)
		}
		if _, err := db.Dashboard(ctx, tenant, "d"); !errors.Is(err, ErrNotFound) {
			t.Errorf("dashboard of a deleted folder: %v", err)
		}
		if err := db.DeleteFolder(ctx, tenant, "ops", true); !errors.Is(err, ErrNotFound) {
			t.Errorf("second delete: %v", err)
		}
	})
}

// TestLinks keeps addresses by tenant.
func TestLinks(t *testing.T) {
	backends(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		for range 2 {
			if err := db.SaveLink(ctx, tenant, "x", "logs?q=1"); err != nil {
				t.Fatal(err)
			}
		}
		if path, err := db.Link(ctx, tenant, "x"); path != "logs?q=1" || err != nil {
			t.Errorf("%q, %v", path, err)
		}
		if _, err := db.Link(ctx, "other", "x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("another tenant sees it: %v", err)
		}
	})
}

// TestLinksAreBounded makes more links than may be kept, in number and in bytes: those that
// were not used for the longest time go, of the tenant that has the most.
func TestLinksAreBounded(t *testing.T) {
	backends(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		now := time.UnixMilli(1_700_000_000_000)
		db.now = func() time.Time { now = now.Add(2 * time.Hour); return now }
		db.maxLinks, db.maxLinkBytes = 4, 100
		save := func(tenant model.Tenant, uid string, size int) {
			t.Helper()
			if err := db.SaveLink(ctx, tenant, uid, strings.Repeat("ü", size/2)); err != nil {
				t.Fatal(err)
			}
		}
		kept := func(want string) {
			t.Helper()
			var got []string
			for _, l := range strings.Fields("other/x a/1 a/2 a/3 a/4 a/5 a/6") {
				tenant, uid, _ := strings.Cut(l, "/")
				var n int
				if err := db.sql.QueryRowContext(ctx, db.rebind("SELECT COUNT(*) FROM links WHERE tenant = ? AND uid = ?"), tenant, uid).Scan(&n); err != nil {
					t.Fatal(err)
				}
				if n == 1 {
					got = append(got, l)
				}
			}
			var links, rows int
			if err := db.sql.QueryRowContext(ctx, "SELECT SUM(links), (SELECT COUNT(*) FROM links) FROM link_totals").Scan(&links, &rows); err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got, " "); s != want || links != rows || rows != len(got) {
				t.Errorf("kept %s (%d counted, %d rows), want %s", s, links, rows, want)
			}
		}
		save("other", "x", 10)
		save("a", "1", 10)
		save("a", "2", 10)
		save("a", "3", 10)
		kept("other/x a/1 a/2 a/3")
		if _, err := db.Link(ctx, "a", "1"); err != nil {
			t.Error(err)
		}
		save("a", "2", 10)
		save("a", "4", 10)
		kept("other/x a/1 a/2 a/4")
		save("a", "5", 86)
		kept("other/x a/5")
		save("a", "6", 4)
		kept("other/x a/5 a/6")
		save("a", "6", 4)
		kept("other/x a/5 a/6")
	})
}

// TestConcurrentSaves lets many writers race: versions count up without gaps.
func TestConcurrentSaves(t *testing.T) {
	backends(t, func(t *testing.T, db *DB) {
		const writers, each = 4, 5
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					if _, err := db.SaveDashboard(t.Context(), tenant, Save{Dashboard: Dashboard{UID: "a", Body: "{}"}, Overwrite: true}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		vs, err := db.Versions(t.Context(), tenant, "a")
		if err != nil || len(vs) != writers*each || vs[0].Version != writers*each {
			t.Errorf("%d versions, %v", len(vs), err)
		}
	})
}

// TestOlderDatabaseIsUpgraded opens a database of version 1, which had no links, and one of
// version 2, which did not count them.
func TestOlderDatabaseIsUpgraded(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SaveDashboard(t.Context(), tenant, Save{Dashboard: Dashboard{UID: "a", Body: "{}"}}); err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{"DROP TABLE links", "DROP TABLE link_totals", "DELETE FROM meta_version WHERE version > 1"} {
		if _, err := db.sql.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, Options{Dir: dir})
	if _, err := db.Dashboard(t.Context(), tenant, "a"); err != nil {
		t.Errorf("a dashboard of before: %v", err)
	}
	if err := db.SaveLink(t.Context(), tenant, "x", "logs"); err != nil {
		t.Error(err)
	}
	for _, stmt := range []string{"DROP TABLE link_totals", "DROP INDEX links_by_use", "ALTER TABLE links RENAME COLUMN used TO created", "DELETE FROM meta_version WHERE version > 2"} {
		if _, err := db.sql.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, Options{Dir: dir})
	var bytes int
	if err := again.sql.QueryRowContext(t.Context(), "SELECT bytes FROM link_totals WHERE tenant = ?", string(tenant)).Scan(&bytes); err != nil || bytes != len("logs") {
		t.Errorf("links of before: %d bytes, %v", bytes, err)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.sql.ExecContext(t.Context(), "INSERT INTO meta_version (version) VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "newer binary") {
		t.Errorf("open: %v", err)
	}
}

func TestRebind(t *testing.T) {
	db := &DB{postgres: true}
	if got := db.rebind("a = ? AND b = ?"); got != "a = $1 AND b = $2" {
		t.Error(got)
	}
}
