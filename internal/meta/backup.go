package meta

import (
	"context"
	"fmt"
	"path/filepath"
)

// Backup writes a consistent copy of the SQLite file into dir, which must not hold one.
// With PostgreSQL it does nothing: that has backups of its own.
func (db *DB) Backup(ctx context.Context, dir string) error {
	if db.postgres {
		return nil
	}
	if _, err := db.sql.ExecContext(ctx, "VACUUM INTO ?", filepath.Join(dir, "meta.db")); err != nil {
		return fmt.Errorf("back up meta store: %w", err)
	}
	return nil
}
