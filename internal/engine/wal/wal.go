// Package wal is the write-ahead log that the three embedded stores share.
//
// There is one log per process. A store writes one record per batch with [Log.Write],
// applies the batch to its head, and acknowledges after [Log.Commit] has returned. The
// store holds its own lock over Write and apply, so that the order of records in the log
// is the order in which its head saw them; then one position, recorded when the head is
// cut, says exactly which records the parts cover. After a restart [Log.Replay] hands
// back the records past that position, each once.
//
// Commits are shared: the first caller that finds no write in progress becomes the leader,
// writes and syncs everything buffered so far, and wakes all whose records it covered.
// Under load one fsync carries the records of every waiting writer: a leader gives as many
// writers as shared the last commit a few milliseconds to come again. A lone writer never
// waits for a timer.
//
// A position is a byte offset in the endless log. It never goes back, not even after a
// failed write: the bytes of a failed commit leave a gap. docs/formats/wal.md describes
// the files.
//
// A full disk makes Write refuse with [store.ErrReadOnly] before the last bytes are gone
// (Options.MinFree), so that flushes and reads go on; it recovers by itself.
package wal

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Pos is a position in the log: the offset of the byte after a record. Positions grow
// and are never used twice.
type Pos uint64

// SyncMode says when a commit returns.
type SyncMode uint8

// The modes of wal.sync in the configuration.
const (
	// SyncCommit waits for fsync: survives kill -9 and power loss.
	SyncCommit SyncMode = iota
	// SyncInterval waits for write only and syncs every Options.Interval: survives
	// kill -9, may lose the last interval on power loss.
	SyncInterval
)

// Options configures a Log. The zero value is ready to use.
type Options struct {
	SegmentSize int64         // bytes after which a new file is begun; 0 means 64 MiB
	Sync        SyncMode      // zero is SyncCommit
	Interval    time.Duration // between syncs in SyncInterval mode; 0 means 200 ms
	MinFree     int64         // free bytes of the disk below which writes are refused; 0 means 64 MiB, negative none
	Logger      *slog.Logger  // nil discards
	Registerer  prometheus.Registerer
}

func (o Options) withDefaults() Options {
	o.SegmentSize = cmp.Or(o.SegmentSize, 64<<20)
	o.Interval = cmp.Or(o.Interval, 200*time.Millisecond)
	o.MinFree = cmp.Or(o.MinFree, 64<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Log is a write-ahead log. Its methods are safe for concurrent use.
type Log struct {
	dir     string
	opts    Options
	metrics *metrics
	space   spaceGuard

	lock *os.File

	// file and written belong to the leader of the commit in progress.
	file    *os.File
	written int64 // bytes in file

	mu       sync.Mutex
	segments []segment            // guarded by mu; the last one is being written
	next     Pos                  // guarded by mu; position after the last record written
	synced   Pos                  // guarded by mu; everything before it is durable
	pending  *commit              // guarded by mu; collects records
	writing  *commit              // guarded by mu; the leader's, nil when there is none
	closed   bool                 // guarded by mu
	spare    []byte               // guarded by mu; buffer of the last finished commit
	crowd    int                  // guarded by mu; records of the last commit
	failed   []failure            // guarded by mu; position ranges that were lost, oldest first
	released map[model.Signal]Pos // guarded by mu
	lost     []string             // guarded by mu; what replay could not read
}

// segment is one file of the log; it holds records from start on.
type segment struct {
	start Pos
	size  int64
}

// commit is a group of records that are written and synced together.
type commit struct {
	buf   []byte
	first Pos
	size  Pos           // of buf when the leader took it; buf is reused afterwards
	done  chan struct{} // closed when the commit has succeeded or failed
	err   error         // set before done is closed

	records int
	want    int           // records that the leader waits for, 0 for none
	full    chan struct{} // closed when they are there
}

// end returns the position after the last record of a commit that a leader has taken.
func (c *commit) end() Pos { return c.first + c.size }

// failure is the range (after, through] of positions whose commit failed.
type failure struct {
	after, through Pos
	err            error
}

// maxFailures bounds the memory of failed commits. Writers look theirs up at once, and
// failures in a row count as one.
const maxFailures = 1024

const segmentSuffix = ".wal"

// Open opens the log in dir, creating it if absent, and locks dir against other
// processes. It starts no goroutine. Call [Log.Replay] before the first Write.
func Open(dir string, opts Options) (*Log, error) {
	l := &Log{
		dir:      dir,
		opts:     opts.withDefaults(),
		metrics:  newMetrics(opts.Registerer),
		released: map[model.Signal]Pos{},
	}
	l.space = spaceGuard{dir: dir, min: l.opts.MinFree}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open wal: %w", err)
	}
	if err := l.lockDir(); err != nil {
		return nil, err
	}
	if err := l.list(); err != nil {
		_ = l.lock.Close()
		return nil, err
	}
	return l, nil
}

// lockDir takes an advisory lock that ends with the process.
func (l *Log) lockDir() error {
	f, err := os.OpenFile(filepath.Join(l.dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("open wal: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return fmt.Errorf("lock %s: another process uses it: %w", l.dir, err)
	}
	l.lock = f
	return nil
}

// list finds the segments. Writing goes on in a new one, so that a torn tail is never
// appended to.
func (l *Log) list() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("list wal: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		start, err := strconv.ParseUint(name, 16, 64)
		if err != nil {
			l.opts.Logger.Warn("file in wal directory ignored", "file", e.Name())
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("list wal: %w", err)
		}
		l.segments = append(l.segments, segment{Pos(start), info.Size()})
		l.next = max(l.next, Pos(start)+Pos(info.Size()))
	}
	slices.SortFunc(l.segments, func(a, b segment) int { return cmp.Compare(a.start, b.start) })
	l.synced = l.next
	return nil
}

func (l *Log) path(start Pos) string {
	return filepath.Join(l.dir, fmt.Sprintf("%016x%s", uint64(start), segmentSuffix))
}

// Write buffers one record and returns its position. It does not wait for the disk; the
// record is durable once Commit of its position has returned nil. data is copied.
//
// Errors wrap [store.ErrReadOnly] when the disk is full.
func (l *Log) Write(sig model.Signal, tenant model.Tenant, data []byte) (Pos, error) {
	if err := l.space.check(); err != nil {
		l.metrics.refused.Inc()
		return 0, err
	}
	if len(data) > maxRecord {
		return 0, fmt.Errorf("write wal record of %d bytes: %w: at most %d", len(data), store.ErrLimit, maxRecord)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, errClosed()
	}
	if l.pending == nil {
		l.pending = &commit{buf: l.spare[:0], first: l.next, done: make(chan struct{})}
		l.spare = nil
	}
	before := len(l.pending.buf)
	l.pending.buf = appendRecord(l.pending.buf, sig, tenant, data)
	l.next += Pos(len(l.pending.buf) - before)
	if l.pending.records++; l.pending.records == l.pending.want {
		close(l.pending.full)
	}
	return l.next, nil
}

// End returns the position after the last record written, durable or not.
func (l *Log) End() Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}
