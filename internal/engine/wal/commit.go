package wal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Commit waits until every record up to pos is durable. It returns an error wrapping
// [store.ErrReadOnly] when the disk refused the record; then the record is not in the
// log and its writer must not be acknowledged. A done ctx ends only the waiting.
func (l *Log) Commit(ctx context.Context, pos Pos) error {
	return l.commit(ctx, pos, l.opts.Sync == SyncCommit)
}

func (l *Log) commit(ctx context.Context, pos Pos, sync bool) error {
	for {
		l.mu.Lock()
		if err, done := l.outcome(pos); done {
			l.mu.Unlock()
			return err
		}
		c := l.writing
		lead := c == nil
		if lead && l.closed {
			l.mu.Unlock()
			return errClosed()
		}
		if lead {
			if l.pending == nil {
				model.Bug("wal position %d was never written", pos)
			}
			c, l.writing = l.pending, l.pending
			if sync && c.records < l.crowd {
				c.want, c.full = l.crowd, make(chan struct{})
			}
		}
		l.mu.Unlock()
		if lead {
			c.gather()
			l.take(c)
			l.lead(c, sync)
		} else {
			select {
			case <-c.done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if c.first < pos && pos <= c.end() {
			return c.err
		} // else the record is still pending and needs one more round
	}
}

// gatherTime is the longest that a leader waits for the writers that shared the commits
// before: one sync for all of them costs as much as one for each.
const gatherTime = 5 * time.Millisecond

// gather waits for the records that the leader of c hopes for.
func (c *commit) gather() {
	if c.full == nil {
		return
	}
	t := time.NewTimer(gatherTime)
	defer t.Stop()
	select {
	case <-c.full:
	case <-t.C:
	}
}

// take ends the gathering of c. The next leader hopes for as many records as c has, and
// for more once more came while c was being written.
func (l *Log) take(c *commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = nil
	l.crowd = c.records
	c.want, c.size = 0, Pos(len(c.buf))
}

// outcome tells whether the fate of pos is decided. The caller holds mu.
func (l *Log) outcome(pos Pos) (error, bool) { //nolint:revive // reads as a pair
	for _, f := range l.failed {
		if f.after < pos && pos <= f.through {
			return f.err, true
		}
	}
	return nil, pos <= l.synced
}

// lead writes c to the log and wakes its waiters.
func (l *Log) lead(c *commit, sync bool) {
	begin := time.Now()
	end := c.end()
	err := l.append(c, sync)
	l.metrics.commitSeconds.Observe(time.Since(begin).Seconds())

	l.mu.Lock()
	if err != nil {
		l.metrics.failed.Inc()
		l.opts.Logger.Error("wal commit refused", "err", err)
		c.err = fmt.Errorf("commit wal: %w: %w", store.ErrReadOnly, err)
		l.fail(failure{c.first, end, c.err})
	} else {
		l.metrics.bytes.Add(float64(c.size))
		l.segments[len(l.segments)-1].size = l.written
	}
	l.synced = end
	l.writing = nil
	if cap(c.buf) <= maxSpare {
		l.spare = c.buf[:0]
	}
	l.mu.Unlock()
	close(c.done)
}

// fail remembers lost positions for writers that ask later. Failures that follow each
// other are one range. The caller holds mu.
func (l *Log) fail(f failure) {
	if n := len(l.failed); n > 0 && l.failed[n-1].through == f.after {
		l.failed[n-1].through = f.through
		return
	}
	if len(l.failed) == maxFailures {
		l.failed = l.failed[1:]
	}
	l.failed = append(l.failed, f)
}

// maxSpare bounds the buffer that is kept between commits.
const maxSpare = 4 << 20

// append writes c at the end of the current segment. After a failure the next commit
// begins a new segment: what the failed one left behind is a torn tail to replay.
func (l *Log) append(c *commit, sync bool) error {
	if l.file == nil || l.written >= l.opts.SegmentSize {
		if err := l.roll(c.first); err != nil {
			return err
		}
	}
	n, err := l.file.Write(c.buf)
	if err == nil && sync {
		err = datasync(l.file)
	}
	if err != nil {
		// Take the half-written records back, so that no replay finds one that was refused.
		_ = l.file.Truncate(l.written)
		_ = l.file.Sync()
		_ = l.file.Close()
		l.file = nil
		return err
	}
	l.written += int64(n)
	return nil
}

// roll begins the segment that starts at start.
func (l *Log) roll(start Pos) error {
	if l.file != nil {
		if err := l.file.Sync(); err != nil {
			return fmt.Errorf("sync wal segment: %w", err)
		}
		_ = l.file.Close()
		l.file = nil
	}
	f, err := os.OpenFile(l.path(start), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("begin wal segment: %w", err)
	}
	if err := syncDir(l.dir); err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return fmt.Errorf("begin wal segment: %w", err)
	}
	l.file, l.written = f, 0
	l.mu.Lock()
	if n := len(l.segments); n > 0 && l.segments[n-1].start == start {
		l.segments[n-1].size = 0 // an empty file left by the last process
	} else {
		l.segments = append(l.segments, segment{start: start})
	}
	l.mu.Unlock()
	return nil
}

// Sync makes everything written so far durable, whatever the mode.
func (l *Log) Sync(ctx context.Context) error {
	if err := l.commit(ctx, l.End(), true); err != nil {
		return err
	}
	if l.opts.Sync == SyncCommit {
		return nil
	}
	return l.syncCurrent()
}

// syncCurrent syncs the current segment in SyncInterval mode, where commits do not. It
// opens the file by name, since a leader may be replacing l.file.
func (l *Log) syncCurrent() error {
	l.mu.Lock()
	if len(l.segments) == 0 {
		l.mu.Unlock()
		return nil
	}
	path := l.path(l.segments[len(l.segments)-1].start)
	l.mu.Unlock()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if os.IsNotExist(err) {
		return nil // released in the meantime
	}
	if err != nil {
		return fmt.Errorf("sync wal: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	return datasync(f)
}

// Run syncs in the background in SyncInterval mode, and commits records whose writers
// did not wait, until ctx is done; then it syncs once more.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(l.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.Sync(context.WithoutCancel(ctx))
		case <-tick.C:
			if err := l.Sync(ctx); err != nil && ctx.Err() == nil {
				l.opts.Logger.Error("sync wal", "err", err)
			}
		}
	}
}

// errClosed is what a write gets after the log is closed: a client that outlived the stop
// sends again, to the next process.
func errClosed() error { return fmt.Errorf("%w: the process stops", store.ErrReadOnly) }

// Close syncs and closes the log. A Write or Commit that comes later fails.
func (l *Log) Close(ctx context.Context) error {
	err := l.Sync(ctx)
	l.mu.Lock()
	l.closed = true
	last := l.writing
	l.mu.Unlock()
	if last != nil {
		<-last.done
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	_ = l.lock.Close()
	return err
}

// syncDir makes creations, renames and removals in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // read-only
	return d.Sync()
}
