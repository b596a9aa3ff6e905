package part

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Writer writes one part file. It is not safe for concurrent use.
type Writer struct {
	f     *os.File
	w     *bufio.Writer
	off   uint64
	tmp   string // path while it is being written
	final string
	info  Info
}

// Append writes a block and returns where it is. block is not kept.
func (w *Writer) Append(block []byte) (Ref, error) {
	if len(block) > maxBlock {
		return Ref{}, fmt.Errorf("write part: %w: block of %d bytes, at most %d", store.ErrLimit, len(block), maxBlock)
	}
	ref := Ref{w.off, uint32(len(block))}
	if _, err := w.w.Write(block); err != nil {
		return Ref{}, fmt.Errorf("write part: %w", err)
	}
	if _, err := w.w.Write(binary.LittleEndian.AppendUint64(nil, xxh3.Hash(block))); err != nil {
		return Ref{}, fmt.Errorf("write part: %w", err)
	}
	w.off += uint64(len(block)) + blockSumLen
	return ref, nil
}

// Size returns the bytes written so far.
func (w *Writer) Size() int64 { return int64(w.off) }

// Finish writes the index block and the trailer, makes the file durable and gives it its
// name. The part counts only after [Set.Commit]. On an error the file is removed.
func (w *Writer) Finish(index []byte, st Stats) (*Finished, error) {
	st.Level = w.info.Stats.Level
	if err := w.finish(index, st); err != nil {
		w.Abort()
		return nil, err
	}
	w.info.Stats = st
	w.info.Size = int64(w.off) + trailerLen
	return &Finished{info: w.info, path: w.final}, nil
}

func (w *Writer) finish(index []byte, st Stats) error {
	ref, err := w.Append(index)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	b := make([]byte, 0, trailerLen)
	b = le.AppendUint64(b, ref.Off)
	b = le.AppendUint32(b, ref.Len)
	b = le.AppendUint64(b, uint64(st.MinTime))
	b = le.AppendUint64(b, uint64(st.MaxTime))
	b = le.AppendUint64(b, uint64(st.Rows))
	b = le.AppendUint32(b, st.Level)
	b = le.AppendUint64(b, xxh3.Hash(b))
	b = append(b, endMagic...)
	_, err = w.w.Write(b)
	err = errors.Join(err, w.w.Flush(), w.f.Sync(), w.f.Close())
	if err != nil {
		return fmt.Errorf("finish part: %w", err)
	}
	w.f = nil
	if err := os.Rename(w.tmp, w.final); err != nil {
		return fmt.Errorf("finish part: %w", err)
	}
	return syncDir(filepath.Dir(w.final))
}

// Abort removes the file. It may be called at any time before Finish has succeeded.
func (w *Writer) Abort() {
	if w.f != nil {
		_ = w.f.Close()
		w.f = nil
	}
	_ = os.Remove(w.tmp)
	_ = os.Remove(w.final)
}

// Finished is a durable part file that does not count yet.
type Finished struct {
	info Info
	path string
}

// Discard removes the file instead of committing it.
func (f *Finished) Discard() { _ = os.Remove(f.path) }

func createFile(dir string, sig model.Signal, info Info) (*Writer, error) {
	final := filepath.Join(dir, info.path())
	if err := makeDirs(dir, filepath.Dir(info.path())); err != nil {
		return nil, fmt.Errorf("create part: %w", err)
	}
	w := &Writer{tmp: final + ".tmp", final: final, info: info, off: fileHeader}
	f, err := os.OpenFile(w.tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create part: %w", err)
	}
	w.f, w.w = f, bufio.NewWriterSize(f, 1<<18)
	if _, err := w.w.Write([]byte{'P', 'H', 'R', 'P', fileVersion, byte(sig), 0, 0}); err != nil {
		w.Abort()
		return nil, fmt.Errorf("create part: %w", err)
	}
	return w, nil
}

// makeDirs creates rel below dir; each new directory entry is made durable.
func makeDirs(dir, rel string) error {
	path := filepath.Join(dir, rel)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if parent := filepath.Dir(rel); parent != "." {
		if err := makeDirs(dir, parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes creations, renames and removals in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close() //nolint:errcheck // read-only
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
