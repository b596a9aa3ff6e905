package meta

// Folders of dashboards.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Folders lists the folders of a tenant by title.
func (db *DB) Folders(ctx context.Context, tenant model.Tenant) (list []Folder, err error) {
	err = db.each(ctx, func(rows *sql.Rows) error {
		var f Folder
		var created, updated int64
		err := rows.Scan(&f.UID, &f.ID, &f.Title, &f.Parent, &f.Version, &created, &updated)
		f.Created, f.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
		list = append(list, f)
		return err
	}, "SELECT uid, id, title, parent, version, created, updated FROM folders WHERE tenant = ? ORDER BY title, uid", string(tenant))
	return list, wrap(err, "list folders")
}

// SaveFolder creates the folder of f's UID or changes its title and parent.
func (db *DB) SaveFolder(ctx context.Context, tenant model.Tenant, f Folder) (Folder, error) {
	now := db.now().UTC().Truncate(time.Millisecond)
	err := db.tx(ctx, func(t *txn) error {
		if err := t.lock(ctx); err != nil {
			return err
		}
		var created int64
		err := t.row(ctx, "SELECT id, version, created FROM folders WHERE tenant = ? AND uid = ?", string(tenant), f.UID).Scan(&f.ID, &f.Version, &created)
		f.Version++
		f.Updated = now
		if errors.Is(err, sql.ErrNoRows) {
			f.Created, f.Version = now, 1
			if err := t.row(ctx, "SELECT COALESCE(MAX(id), 0) + 1 FROM folders WHERE tenant = ?", string(tenant)).Scan(&f.ID); err != nil {
				return err
			}
			_, err := t.exec(ctx, "INSERT INTO folders (tenant, uid, id, title, parent, version, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
				string(tenant), f.UID, f.ID, f.Title, f.Parent, f.Version, now.UnixMilli(), now.UnixMilli())
			return err
		}
		if err != nil {
			return err
		}
		f.Created = time.UnixMilli(created).UTC()
		_, err = t.exec(ctx, "UPDATE folders SET title = ?, parent = ?, version = ?, updated = ? WHERE tenant = ? AND uid = ?",
			f.Title, f.Parent, f.Version, now.UnixMilli(), string(tenant), f.UID)
		return err
	})
	return f, wrap(err, "save folder "+f.UID)
}

// DeleteFolder removes a folder. One that holds dashboards or folders is [ErrNotEmpty]
// unless force is set; then they are deleted as well.
func (db *DB) DeleteFolder(ctx context.Context, tenant model.Tenant, uid string, force bool) error {
	err := db.tx(ctx, func(t *txn) error {
		if err := t.lock(ctx); err != nil {
			return err
		}
		return t.deleteFolder(ctx, tenant, uid, force, 0)
	})
	return wrap(err, "delete folder "+uid)
}

// maxFolderDepth bounds nested folders, so that a cycle cannot hang a delete.
const maxFolderDepth = 16

func (t *txn) deleteFolder(ctx context.Context, tenant model.Tenant, uid string, force bool, depth int) error {
	if depth > maxFolderDepth {
		return fmt.Errorf("folders are nested deeper than %d", maxFolderDepth)
	}
	var inside int
	if err := t.row(ctx, "SELECT (SELECT COUNT(*) FROM dashboards WHERE tenant = ? AND folder = ?) + (SELECT COUNT(*) FROM folders WHERE tenant = ? AND parent = ?)",
		string(tenant), uid, string(tenant), uid).Scan(&inside); err != nil {
		return err
	}
	if inside > 0 && !force {
		return fmt.Errorf("%w: it holds %d dashboards and folders", ErrNotEmpty, inside)
	}
	if inside > 0 {
		if _, err := t.exec(ctx, "DELETE FROM dashboards WHERE tenant = ? AND folder = ?", string(tenant), uid); err != nil {
			return err
		}
		children, err := t.children(ctx, tenant, uid)
		if err != nil {
			return err
		}
		for _, c := range children {
			if err := t.deleteFolder(ctx, tenant, c, force, depth+1); err != nil {
				return err
			}
		}
	}
	n, err := t.exec(ctx, "DELETE FROM folders WHERE tenant = ? AND uid = ?", string(tenant), uid)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

func (t *txn) children(ctx context.Context, tenant model.Tenant, uid string) (list []string, err error) {
	rows, err := t.tx.QueryContext(ctx, t.db.rebind("SELECT uid FROM folders WHERE tenant = ? AND parent = ?"), string(tenant), uid)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, c)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
