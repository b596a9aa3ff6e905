package wal

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pharos-o11y/pharos/internal/store"
)

// spaceGuard refuses writes while the disk is nearly full. It asks the file system at
// most every spaceEvery.
type spaceGuard struct {
	dir  string
	min  int64
	next atomic.Int64 // Unix nanoseconds when to ask again
	full atomic.Bool
}

const spaceEvery = 100 * time.Millisecond

// check returns an error wrapping [store.ErrReadOnly] if fewer than min bytes are free.
func (g *spaceGuard) check() error {
	if g.min < 0 {
		return nil
	}
	now := time.Now().UnixNano()
	if next := g.next.Load(); now >= next && g.next.CompareAndSwap(next, now+int64(spaceEvery)) {
		var st syscall.Statfs_t
		if err := syscall.Statfs(g.dir, &st); err == nil {
			g.full.Store(int64(st.Bavail)*st.Bsize < g.min)
		}
	}
	if g.full.Load() {
		return fmt.Errorf("%w: fewer than %d bytes are free on the disk of %s", store.ErrReadOnly, g.min, g.dir)
	}
	return nil
}

// ReadOnly returns the reason why writes are refused now, nil if they are not.
func (l *Log) ReadOnly() error { return l.space.check() }

// datasync makes the contents of f durable.
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
