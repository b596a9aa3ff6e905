// Package meta keeps what people write, as opposed to what machines send: dashboards,
// their folders and history. It is a few tables in SQLite inside the data directory, or
// in PostgreSQL when several processes share them. The driver is all that differs:
// migrations and queries are one text, in the SQL that both speak, with ? for parameters.
//
// Every method takes the tenant first; rows of one tenant are never seen by another.
package meta

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"
)

var (
	// ErrNotFound means that there is no row of that name.
	ErrNotFound = errors.New("not found")
	// ErrVersion means that somebody else has changed the row since it was read.
	ErrVersion = errors.New("changed by someone else")
	// ErrNotEmpty means that a folder still holds something.
	ErrNotEmpty = errors.New("folder is not empty")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options configures a DB. One of Dir and Postgres is required.
type Options struct {
	Dir      string           // directory of the SQLite file, created if absent
	Postgres string           // connection string; when set, Dir is not used
	Now      func() time.Time // nil means time.Now
}

// DB is the tables. Its methods are safe for concurrent use.
type DB struct {
	sql      *sql.DB
	postgres bool
	now      func() time.Time

	maxLinks, maxLinkBytes int64
}

// Open connects and brings the tables up to date.
func Open(ctx context.Context, opts Options) (*DB, error) {
	db := &DB{now: opts.Now, postgres: opts.Postgres != "", maxLinks: maxLinks, maxLinkBytes: maxLinkBytes}
	if db.now == nil {
		db.now = time.Now
	}
	var err error
	if db.postgres {
		db.sql, err = sql.Open("pgx", opts.Postgres)
	} else {
		db.sql, err = openSQLite(opts.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open meta store: %w", err)
	}
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open meta store: %w", err), db.sql.Close())
	}
	return db, nil
}

// openSQLite opens the file with a log of its own, so that readers never wait for the
// one writer.
func openSQLite(dir string) (*sql.DB, error) {
	const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_txlock=immediate"
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "meta.db")+pragmas)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	return db, nil
}

// Close closes the connections.
func (db *DB) Close() error { return db.sql.Close() }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.sql.PingContext(ctx) }

// rebind turns ? into $1, $2, … for PostgreSQL. No query here has a ? in a literal.
func (db *DB) rebind(query string) string {
	if !db.postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// tx runs f in a transaction of its own.
func (db *DB) tx(ctx context.Context, f func(*txn) error) (err error) {
	t, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Rollback())
		}
	}()
	if err := f(&txn{t, db}); err != nil {
		return err
	}
	return t.Commit()
}

// txn is a transaction that rebinds its queries.
type txn struct {
	tx *sql.Tx
	db *DB
}

func (t *txn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, t.db.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *txn) row(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.db.rebind(query), args...)
}

// lock serialises the writers of one transaction on PostgreSQL; SQLite has one writer.
func (t *txn) lock(ctx context.Context) error {
	if !t.db.postgres {
		return nil
	}
	_, err := t.tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey)
	return err
}

// lockKey is the advisory lock of migrations and of dashboards: an arbitrary number that
// is ours.
const lockKey = 0x70686172 // "phar"

// migrate runs the migrations that have not run yet, each in a transaction. A database
// that is newer than this binary is refused.
func (db *DB) migrate(ctx context.Context) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	sort.Strings(names)
	return db.tx(ctx, func(t *txn) error {
		if err := t.lock(ctx); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "CREATE TABLE IF NOT EXISTS meta_version (version BIGINT NOT NULL)"); err != nil {
			return err
		}
		var have int
		if err := t.row(ctx, "SELECT COALESCE(MAX(version), 0) FROM meta_version").Scan(&have); err != nil {
			return err
		}
		if have > len(names) {
			return fmt.Errorf("its version is %d and this binary knows versions up to %d; run the newer binary", have, len(names))
		}
		for i := have; i < len(names); i++ {
			if err := t.run(ctx, names[i], i+1); err != nil {
				return fmt.Errorf("migration %s: %w", names[i], err)
			}
		}
		return nil
	})
}

// run executes one migration, statement by statement, and records it.
func (t *txn) run(ctx context.Context, name string, version int) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	for stmt := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		if _, err := t.exec(ctx, stmt); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, "INSERT INTO meta_version (version) VALUES (?)", version)
	return err
}
