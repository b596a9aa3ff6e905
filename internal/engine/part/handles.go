package part

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// A set may have more parts than the process may have open files. Handles of files that
// were not read for a while are therefore closed, and opened again by the next read.

// maxOpen is the number of files that a set keeps open.
const maxOpen = 512

// handles is the open files of a set.
type handles struct {
	max int

	mu   sync.Mutex
	open []*handle // guarded by mu
	hand int       // guarded by mu; where the search for one to close goes on
}

// handle is a file that is open when it has to be. The zero value but for path and all is
// ready to use.
type handle struct {
	path string
	all  *handles
	used atomic.Bool // since the search for one to close passed by

	mu     sync.RWMutex
	f      *os.File // guarded by mu; nil: not open
	closed bool     // guarded by mu
}

// with calls do with the open file.
func (h *handle) with(do func(f *os.File) error) error {
	h.used.Store(true)
	for {
		h.mu.RLock()
		if h.f != nil {
			return h.locked(do)
		}
		h.mu.RUnlock()
		if err := h.reopen(); err != nil {
			return err
		}
	}
}

// locked calls do with the file, which is open, and gives back the read lock.
func (h *handle) locked(do func(f *os.File) error) error {
	defer h.mu.RUnlock()
	return do(h.f)
}

func (h *handle) reopen() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return os.ErrClosed
	}
	if h.f != nil { // by another reader
		h.mu.Unlock()
		return nil
	}
	f, err := os.Open(h.path)
	h.f = f
	h.mu.Unlock()
	if err != nil {
		return err
	}
	h.all.add(h)
	h.mu.RLock()
	closed := h.closed
	h.mu.RUnlock()
	if closed { // in between
		h.all.remove(h)
	}
	return nil
}

func (h *handle) readAt(b []byte, off int64) error {
	return h.with(func(f *os.File) error {
		_, err := f.ReadAt(b, off)
		return err
	})
}

func (h *handle) stat() (size int64, err error) {
	err = h.with(func(f *os.File) error {
		info, err := f.Stat()
		if err == nil {
			size = info.Size()
		}
		return err
	})
	return size, err
}

// close ends the use of h.
func (h *handle) close() {
	h.all.remove(h)
	h.park(true)
}

// park closes the file; for good if closed is set.
func (h *handle) park(closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = h.closed || closed
	if h.f != nil {
		_ = h.f.Close() // it was only read
		h.f = nil
	}
}

// add counts h as open, and closes another file if there are too many. The caller holds
// no lock of a handle.
func (a *handles) add(h *handle) {
	a.mu.Lock()
	var out *handle
	if len(a.open) >= a.max {
		out = a.evict()
	}
	a.open = append(a.open, h)
	a.mu.Unlock()
	if out != nil {
		out.park(false)
	}
}

// evict takes out a handle that was not used since it was last looked at. The caller
// holds mu.
func (a *handles) evict() *handle {
	for a.open[a.hand%len(a.open)].used.Swap(false) {
		a.hand++
	}
	i := a.hand % len(a.open)
	out := a.open[i]
	last := len(a.open) - 1
	a.open[i] = a.open[last]
	a.open[last] = nil
	a.open = a.open[:last]
	a.hand = i + 1
	return out
}

func (a *handles) remove(h *handle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.open, h); i >= 0 {
		a.open = slices.Delete(a.open, i, i+1)
	}
}
