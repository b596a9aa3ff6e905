package meta

// Short links: addresses within the interface that are too long to be pasted.

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

const (
	// maxLinks and maxLinkBytes bound the short links of all tenants together: whoever
	// may read may make one, so they must not be able to fill the disk.
	maxLinks     = 100_000
	maxLinkBytes = 256 << 20
	// useStep is how exactly the last use is known: a link that many follow is not
	// written each time.
	useStep = time.Hour
)

// SaveLink keeps path under uid; that is a use of it, too. A uid that is there already
// keeps its path. Beyond the bounds the tenant that has the most loses the links that it
// has not used for the longest time.
func (db *DB) SaveLink(ctx context.Context, tenant model.Tenant, uid, path string) error {
	err := db.tx(ctx, func(t *txn) error {
		if err := t.lock(ctx); err != nil {
			return err
		}
		now := db.now().UnixMilli()
		added, err := t.exec(ctx, "INSERT INTO links (tenant, uid, path, used) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, uid) DO NOTHING",
			string(tenant), uid, path, now)
		if err != nil {
			return err
		}
		if added == 0 {
			_, err := t.exec(ctx, "UPDATE links SET used = ? WHERE tenant = ? AND uid = ?", now, string(tenant), uid)
			return err
		}
		_, err = t.exec(ctx, "INSERT INTO link_totals (tenant, links, bytes) VALUES (?, 1, ?) ON CONFLICT (tenant) DO UPDATE SET links = link_totals.links + 1, bytes = link_totals.bytes + excluded.bytes",
			string(tenant), len(path))
		if err != nil {
			return err
		}
		return t.dropLinks(ctx)
	})
	return wrap(err, "save link")
}

// dropLinks deletes links until the rest is within the bounds.
func (t *txn) dropLinks(ctx context.Context) error {
	for {
		var links, bytes int64
		if err := t.row(ctx, "SELECT CAST(COALESCE(SUM(links), 0) AS BIGINT), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM link_totals").Scan(&links, &bytes); err != nil {
			return err
		}
		if links <= t.db.maxLinks && bytes <= t.db.maxLinkBytes {
			return nil
		}
		order := "links"
		if bytes > t.db.maxLinkBytes {
			order = "bytes"
		}
		var tenant, uid string
		var size int64
		if err := t.row(ctx, "SELECT tenant FROM link_totals ORDER BY "+order+" DESC, tenant LIMIT 1").Scan(&tenant); err != nil {
			return err
		}
		if err := t.row(ctx, "SELECT uid, OCTET_LENGTH(path) FROM links WHERE tenant = ? ORDER BY used, uid LIMIT 1", tenant).Scan(&uid, &size); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "DELETE FROM links WHERE tenant = ? AND uid = ?", tenant, uid); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "UPDATE link_totals SET links = links - 1, bytes = bytes - ? WHERE tenant = ?", size, tenant); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "DELETE FROM link_totals WHERE tenant = ? AND links = 0", tenant); err != nil {
			return err
		}
	}
}

// Link returns the path that is kept under uid, or [ErrNotFound]. That is a use of it.
func (db *DB) Link(ctx context.Context, tenant model.Tenant, uid string) (path string, err error) {
	var used int64
	err = db.sql.QueryRowContext(ctx, db.rebind("SELECT path, used FROM links WHERE tenant = ? AND uid = ?"), string(tenant), uid).Scan(&path, &used)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if now := db.now(); err == nil && now.Sub(time.UnixMilli(used)) >= useStep {
		_, err = db.sql.ExecContext(ctx, db.rebind("UPDATE links SET used = ? WHERE tenant = ? AND uid = ?"), now.UnixMilli(), string(tenant), uid)
	}
	return path, wrap(err, "short link "+uid)
}
