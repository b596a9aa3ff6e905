package store

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Account is what one query has used and must tell its caller besides rows: bytes and
// rows scanned, memory held, warnings. The query front door makes one per query, with
// budgets; readers and languages charge it. It is safe for concurrent use, and a nil
// *Account charges nothing, limits nothing and drops warnings.
type Account struct {
	// MaxBytes and MaxMemory are budgets in bytes, 0 for none. Set them before use.
	MaxBytes  int64 // stored bytes the query may read
	MaxMemory int64 // bytes the query may hold at one time
	// Parent, if not nil, is charged for memory as well: the budget of all queries.
	Parent *Account

	bytes, rows, matched   atomic.Int64
	blocksRead, blocksSkip atomic.Int64
	held, peak             atomic.Int64

	mu       sync.Mutex
	warnings []string // guarded by mu
}

// maxWarnings bounds what one query can say, so that a broken disk does not make
// megabytes of warnings.
const maxWarnings = 20

// Usage is a snapshot of an [Account].
type Usage struct {
	BytesRead     int64 // bytes of lines, samples or columns decoded
	RowsScanned   int64 // samples, entries or spans looked at
	RowsMatched   int64 // of those, the ones that passed every predicate
	BlocksRead    int64
	BlocksSkipped int64 // pruned by time, index, zone map or filter
	PeakMemory    int64 // bytes
}

// Scanned charges one decoded block of bytes and rows. It returns an error that wraps
// [ErrTooBroad] once the byte budget is spent.
func (a *Account) Scanned(bytes, rows int64) error {
	if a == nil {
		return nil
	}
	a.rows.Add(rows)
	a.blocksRead.Add(1)
	if n := a.bytes.Add(bytes); a.MaxBytes > 0 && n > a.MaxBytes {
		return fmt.Errorf("%w: it read %d bytes, its limit is %d; narrow the time range or the selector", ErrTooBroad, n, a.MaxBytes)
	}
	return nil
}

// Matched counts rows that passed every predicate.
func (a *Account) Matched(rows int64) {
	if a != nil {
		a.matched.Add(rows)
	}
}

// Skipped counts blocks that were pruned without being read.
func (a *Account) Skipped(blocks int64) {
	if a != nil {
		a.blocksSkip.Add(blocks)
	}
}

// Hold charges n bytes of memory until [Account.Drop] gives them back. It returns an
// error that wraps [ErrTooBroad], and charges nothing, when the budget does not allow it.
func (a *Account) Hold(n int64) error {
	if a == nil {
		return nil
	}
	if err := a.Parent.Hold(n); err != nil {
		return err
	}
	held := a.held.Add(n)
	if a.MaxMemory > 0 && held > a.MaxMemory {
		a.held.Add(-n)
		a.Parent.Drop(n)
		return fmt.Errorf("%w: it needs more than its %d bytes of memory; narrow the time range or the selector, or aggregate", ErrTooBroad, a.MaxMemory)
	}
	for {
		peak := a.peak.Load()
		if held <= peak || a.peak.CompareAndSwap(peak, held) {
			return nil
		}
	}
}

// Drop gives back n bytes charged by [Account.Hold].
func (a *Account) Drop(n int64) {
	if a != nil {
		a.held.Add(-n)
		a.Parent.Drop(n)
	}
}

// Warn records that the answer is incomplete or surprising, and why. Equal texts are
// kept once.
func (a *Account) Warn(format string, args ...any) {
	if a == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case slices.Contains(a.warnings, text):
	case len(a.warnings) < maxWarnings:
		a.warnings = append(a.warnings, text)
	case len(a.warnings) == maxWarnings:
		a.warnings = append(a.warnings, "more warnings were dropped")
	}
}

// Close gives back all memory that is still held. Nothing may be charged after it.
func (a *Account) Close() {
	if a != nil {
		a.Drop(a.held.Load())
	}
}

// Warnings returns the recorded warnings, oldest first.
func (a *Account) Warnings() []string {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.warnings)
}

// Usage returns what has been charged so far.
func (a *Account) Usage() Usage {
	if a == nil {
		return Usage{}
	}
	return Usage{
		BytesRead:     a.bytes.Load(),
		RowsScanned:   a.rows.Load(),
		RowsMatched:   a.matched.Load(),
		BlocksRead:    a.blocksRead.Load(),
		BlocksSkipped: a.blocksSkip.Load(),
		PeakMemory:    a.peak.Load(),
	}
}
