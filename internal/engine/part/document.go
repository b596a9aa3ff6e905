package part

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/store"
)

// Save replaces the small file name in dir atomically and durably: a line with the
// checksum of body, then body. When it fails, the old file still stands.
func Save(dir, name string, body []byte) error {
	path := filepath.Join(dir, name)
	if err := writeSynced(path+".tmp", signed(body)); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return syncDir(dir)
}

// Load returns what [Save] was given. Errors wrap [os.ErrNotExist] if there is no such
// file and [store.ErrCorrupt] if its bytes are damaged.
func Load(dir, name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // a file of ours
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	sum, body, ok := bytes.Cut(data, []byte("\n"))
	want, err := strconv.ParseUint(string(sum), 16, 64)
	if !ok || err != nil || xxh3.Hash(body) != want {
		return nil, fmt.Errorf("load %s: %w: checksum", name, store.ErrCorrupt)
	}
	return body, nil
}

// signed puts the checksum line before body.
func signed(body []byte) []byte {
	return append(fmt.Appendf(nil, "%016x\n", xxh3.Hash(body)), body...)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
