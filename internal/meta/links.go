package meta

// Short links: addresses within the interface that are too long to be pasted.

import (
	"context"
	"database/sql"
	"errors"

	"github.com/pharos-o11y/pharos/internal/model"
)

// SaveLink keeps path under uid. A uid that is there already keeps its path.
func (db *DB) SaveLink(ctx context.Context, tenant model.Tenant, uid, path string) error {
	err := db.tx(ctx, func(t *txn) error {
		_, err := t.exec(ctx, "INSERT INTO links (tenant, uid, path, created) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, uid) DO NOTHING",
			string(tenant), uid, path, db.now().UnixMilli())
		return err
	})
	return wrap(err, "save link")
}

// Link returns the path that is kept under uid, or [ErrNotFound].
func (db *DB) Link(ctx context.Context, tenant model.Tenant, uid string) (path string, err error) {
	err = db.sql.QueryRowContext(ctx, db.rebind("SELECT path FROM links WHERE tenant = ? AND uid = ?"), string(tenant), uid).Scan(&path)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return path, wrap(err, "short link "+uid)
}
