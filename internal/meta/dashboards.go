package meta

// Dashboards: the current text of each, all earlier texts, folders and stars. What is in
// the text is not this package's business.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Dashboard is a stored dashboard.
type Dashboard struct {
	UID     string
	ID      int64 // a number for clients that want one; unique in the tenant
	Folder  string
	Title   string
	Tags    []string
	Version int64
	Created time.Time
	Updated time.Time
	Body    string // exactly what was saved; empty in lists
}

// Version is one text of a dashboard.
type Version struct {
	Version      int64
	Created      time.Time
	Message      string
	RestoredFrom int64  // 0 if it was not restored
	Body         string // empty in lists
}

// Folder is a folder of dashboards. Parent is "" at the top.
type Folder struct {
	UID     string
	ID      int64
	Title   string
	Parent  string
	Version int64
	Created time.Time
	Updated time.Time
}

// Save is a request to store a dashboard.
type Save struct {
	Dashboard           // Version, ID, Created and Updated are set by the store
	Expect       int64  // the version it is based on; a different one is [ErrVersion]
	Overwrite    bool   // do not look at Expect
	Message      string // for the history
	RestoredFrom int64
}

const tagSep = "\n"

const dashboardColumns = "uid, id, folder, title, tags, version, created, updated"

func scanDashboard(row interface{ Scan(dest ...any) error }, more ...any) (Dashboard, error) {
	var d Dashboard
	var tags string
	var created, updated int64
	err := row.Scan(append([]any{&d.UID, &d.ID, &d.Folder, &d.Title, &tags, &d.Version, &created, &updated}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return d, ErrNotFound
	}
	if tags != "" {
		d.Tags = strings.Split(tags, tagSep)
	}
	d.Created, d.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return d, err
}

// Dashboards lists all dashboards of a tenant by title, without their bodies.
func (db *DB) Dashboards(ctx context.Context, tenant model.Tenant) (list []Dashboard, err error) {
	err = db.each(ctx, func(rows *sql.Rows) error {
		d, err := scanDashboard(rows)
		list = append(list, d)
		return err
	}, "SELECT "+dashboardColumns+" FROM dashboards WHERE tenant = ? ORDER BY title, uid", string(tenant))
	return list, wrap(err, "list dashboards")
}

// Dashboard returns one dashboard; [ErrNotFound] if there is none.
func (db *DB) Dashboard(ctx context.Context, tenant model.Tenant, uid string) (Dashboard, error) {
	var body string
	d, err := scanDashboard(db.sql.QueryRowContext(ctx,
		db.rebind("SELECT "+dashboardColumns+", body FROM dashboards WHERE tenant = ? AND uid = ?"), string(tenant), uid), &body)
	d.Body = body
	return d, wrap(err, "dashboard "+uid)
}

// SaveDashboard stores s under its UID as the next version and returns it without its
// body.
func (db *DB) SaveDashboard(ctx context.Context, tenant model.Tenant, s Save) (Dashboard, error) {
	now := db.now().UTC().Truncate(time.Millisecond)
	d := s.Dashboard
	err := db.tx(ctx, func(t *txn) error {
		if err := t.lock(ctx); err != nil {
			return err
		}
		old, err := scanDashboard(t.row(ctx, "SELECT "+dashboardColumns+" FROM dashboards WHERE tenant = ? AND uid = ?", string(tenant), d.UID))
		isNew := errors.Is(err, ErrNotFound)
		if err != nil && !isNew {
			return err
		}
		if !isNew && !s.Overwrite && old.Version != s.Expect {
			return fmt.Errorf("%w: version is %d, this was based on %d", ErrVersion, old.Version, s.Expect)
		}
		d.ID, d.Version, d.Created, d.Updated = old.ID, old.Version+1, old.Created, now
		if isNew {
			d.Created = now
			if err := t.row(ctx, "SELECT COALESCE(MAX(id), 0) + 1 FROM dashboards WHERE tenant = ?", string(tenant)).Scan(&d.ID); err != nil {
				return err
			}
			// A deleted dashboard that comes back goes on counting where it stopped.
			if err := t.row(ctx, "SELECT COALESCE(MAX(version), 0) + 1 FROM dashboard_versions WHERE tenant = ? AND uid = ?", string(tenant), d.UID).Scan(&d.Version); err != nil {
				return err
			}
		}
		return t.putDashboard(ctx, tenant, d, s, isNew)
	})
	d.Body = ""
	return d, wrap(err, "save dashboard "+d.UID)
}

func (t *txn) putDashboard(ctx context.Context, tenant model.Tenant, d Dashboard, s Save, isNew bool) error {
	query := "UPDATE dashboards SET folder = ?, title = ?, tags = ?, version = ?, updated = ?, body = ? WHERE tenant = ? AND uid = ?"
	args := []any{d.Folder, d.Title, strings.Join(d.Tags, tagSep), d.Version, d.Updated.UnixMilli(), d.Body, string(tenant), d.UID}
	if isNew {
		query = "INSERT INTO dashboards (folder, title, tags, version, updated, body, tenant, uid, id, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		args = append(args, d.ID, d.Created.UnixMilli())
	}
	if _, err := t.exec(ctx, query, args...); err != nil {
		return err
	}
	_, err := t.exec(ctx, "INSERT INTO dashboard_versions (tenant, uid, version, created, message, restored_from, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
		string(tenant), d.UID, d.Version, d.Updated.UnixMilli(), s.Message, s.RestoredFrom, d.Body)
	return err
}

// DeleteDashboard removes a dashboard and its stars. Its history stays, so that saving
// the same UID again can tell old texts from new ones.
func (db *DB) DeleteDashboard(ctx context.Context, tenant model.Tenant, uid string) error {
	err := db.tx(ctx, func(t *txn) error {
		n, err := t.exec(ctx, "DELETE FROM dashboards WHERE tenant = ? AND uid = ?", string(tenant), uid)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNotFound
		}
		_, err = t.exec(ctx, "DELETE FROM stars WHERE tenant = ? AND uid = ?", string(tenant), uid)
		return err
	})
	return wrap(err, "delete dashboard "+uid)
}

// Versions lists the history of a dashboard, newest first, without bodies.
func (db *DB) Versions(ctx context.Context, tenant model.Tenant, uid string) (list []Version, err error) {
	err = db.each(ctx, func(rows *sql.Rows) error {
		var v Version
		var created int64
		err := rows.Scan(&v.Version, &created, &v.Message, &v.RestoredFrom)
		v.Created = time.UnixMilli(created).UTC()
		list = append(list, v)
		return err
	}, "SELECT version, created, message, restored_from FROM dashboard_versions WHERE tenant = ? AND uid = ? ORDER BY version DESC", string(tenant), uid)
	return list, wrap(err, "versions of "+uid)
}

// DashboardVersion returns one version with its body.
func (db *DB) DashboardVersion(ctx context.Context, tenant model.Tenant, uid string, version int64) (Version, error) {
	v := Version{Version: version}
	var created int64
	err := db.sql.QueryRowContext(ctx,
		db.rebind("SELECT created, message, restored_from, body FROM dashboard_versions WHERE tenant = ? AND uid = ? AND version = ?"),
		string(tenant), uid, version).Scan(&created, &v.Message, &v.RestoredFrom, &v.Body)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	v.Created = time.UnixMilli(created).UTC()
	return v, wrap(err, fmt.Sprintf("version %d of %s", version, uid))
}

// Stars returns the UIDs of starred dashboards.
func (db *DB) Stars(ctx context.Context, tenant model.Tenant) (map[string]bool, error) {
	stars := map[string]bool{}
	err := db.each(ctx, func(rows *sql.Rows) error {
		var uid string
		err := rows.Scan(&uid)
		stars[uid] = true
		return err
	}, "SELECT uid FROM stars WHERE tenant = ?", string(tenant))
	return stars, wrap(err, "list stars")
}

// Star sets or removes the star of a dashboard.
func (db *DB) Star(ctx context.Context, tenant model.Tenant, uid string, on bool) error {
	err := db.tx(ctx, func(t *txn) error {
		if _, err := t.exec(ctx, "DELETE FROM stars WHERE tenant = ? AND uid = ?", string(tenant), uid); err != nil || !on {
			return err
		}
		_, err := t.exec(ctx, "INSERT INTO stars (tenant, uid) VALUES (?, ?)", string(tenant), uid)
		return err
	})
	return wrap(err, "star "+uid)
}

// each calls f for every row of query.
func (db *DB) each(ctx context.Context, f func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.sql.QueryContext(ctx, db.rebind(query), args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := f(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// wrap adds what was being done to err, if there is one.
func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
