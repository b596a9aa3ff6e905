package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// snapshots keeps copies of the data directory below snapshots/ in it: hard links of the
// parts of all signals, the deletions, and what people wrote. A snapshot is a data
// directory; `pharos serve --data` opens it, or a copy of it.
type snapshots struct {
	a  *App
	mu sync.Mutex // one at a time
}

func (s *snapshots) dir() string { return filepath.Join(s.a.cfg.Load().Data, "snapshots") }

// unfinished ends the name of a snapshot that is being made.
const unfinished = ".tmp"

// sweep removes what a crash left of snapshots that were being made. It is for the start.
func (s *snapshots) sweep() error {
	entries, err := os.ReadDir(s.dir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sweep snapshots: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if stamp, _, _ := strings.Cut(e.Name(), "-"); strings.HasSuffix(e.Name(), unfinished) && isStamp(stamp) {
			errs = append(errs, os.RemoveAll(filepath.Join(s.dir(), e.Name())))
		}
	}
	return errors.Join(errs...)
}

// Create makes a snapshot and returns its name. Unless skipHead is set, it holds
// everything that was acknowledged before the call.
func (s *snapshots) Create(ctx context.Context, skipHead bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	name := s.a.now().UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(id[:])
	tmp := filepath.Join(s.dir(), name+unfinished)
	err := os.MkdirAll(tmp, 0o755)
	if err == nil {
		err = s.fill(ctx, tmp, skipHead)
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(s.dir(), name))
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("create snapshot: %w", err), os.RemoveAll(tmp))
	}
	return name, nil
}

func (s *snapshots) fill(ctx context.Context, dir string, skipHead bool) error {
	for _, x := range []struct {
		signal   model.Signal
		flush    func(context.Context) error
		snapshot func(dir string) error
	}{
		{model.Metrics, s.a.metrics.Flush, s.a.metrics.Snapshot},
		{model.Logs, s.a.logs.Flush, s.a.logs.Snapshot},
		{model.Traces, s.a.traces.Flush, s.a.traces.Snapshot},
	} {
		if !skipHead {
			if err := x.flush(ctx); err != nil {
				return err
			}
		}
		if err := x.snapshot(filepath.Join(dir, x.signal.String())); err != nil {
			return err
		}
	}
	return s.a.meta.Backup(ctx, dir)
}

// List returns the names of the snapshots, oldest first, without one that is being made.
func (s *snapshots) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir()) // sorted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	names := []string{}
	for _, e := range entries {
		if e.IsDir() && !strings.HasSuffix(e.Name(), unfinished) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Remove deletes a snapshot.
func (s *snapshots) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stamp, _, _ := strings.Cut(name, "-"); filepath.Base(name) != name || !isStamp(stamp) {
		return fmt.Errorf("%w: snapshot %q", store.ErrNotFound, name)
	}
	path := filepath.Join(s.dir(), name)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: snapshot %q", store.ErrNotFound, name)
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	return nil
}

func isStamp(s string) bool {
	_, err := time.Parse("20060102T150405Z", s)
	return err == nil
}
