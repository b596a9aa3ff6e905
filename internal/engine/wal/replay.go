package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Replay calls f with every record whose position is greater than covered(its signal),
// in the order of the log. It must run before the first Write.
//
// A damaged record is never silent: the bytes are copied to the quarantine directory
// beside the segments, logged and counted, and replay goes on behind them. Only an
// incomplete record at the end of a segment, which no writer was acknowledged for, is
// dropped with a log line alone.
//
// Replay stops at the first error of f and returns it.
func (l *Log) Replay(ctx context.Context, covered func(model.Signal) Pos, f func(Record) error) error {
	for _, sig := range signals {
		// A commit that failed may have been flushed with the head that held it: positions
		// go on behind whatever the parts cover, so that none is used twice.
		l.next = max(l.next, covered(sig))
	}
	l.synced = l.next
	for i := range l.segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		seg := l.segments[i]
		data, err := os.ReadFile(l.path(seg.start))
		if err != nil {
			return fmt.Errorf("replay wal: %w", err)
		}
		if err := l.replaySegment(seg.start, data, covered, f); err != nil {
			return fmt.Errorf("replay wal segment %016x: %w", uint64(seg.start), err)
		}
	}
	return nil
}

func (l *Log) replaySegment(start Pos, data []byte, covered func(model.Signal) Pos, f func(Record) error) error {
	for off := 0; off < len(data); {
		r, n, ok := parseRecord(data[off:])
		if !ok {
			skip := nextRecord(data[off:])
			l.damaged(start, off, data[off:off+skip], off+skip == len(data))
			off += skip
			continue
		}
		off += n
		r.Pos = start + Pos(off)
		if r.Pos <= covered(r.Signal) {
			continue
		}
		if err := f(r); err != nil {
			return err
		}
		l.metrics.replayed.Inc()
	}
	return nil
}

// nextRecord returns the distance from the damaged bytes at the start of b to the next
// undamaged record, or to the end.
func nextRecord(b []byte) int {
	magic := binary.LittleEndian.AppendUint32(nil, recordMagic)
	for off := 1; off < len(b); {
		i := bytes.Index(b[off:], magic)
		if i < 0 {
			return len(b)
		}
		off += i
		if _, _, ok := parseRecord(b[off:]); ok {
			return off
		}
		off++
	}
	return len(b)
}

// damaged reports bytes at off of a segment that are no record. At the tail they may be
// an unfinished write that nobody was acknowledged for, or damage: they are kept aside
// in both cases.
func (l *Log) damaged(start Pos, off int, b []byte, tail bool) {
	l.metrics.damaged.Inc()
	name := fmt.Sprintf("%016x-%d.bad", uint64(start), off)
	attrs := []any{"segment", fmt.Sprintf("%016x", uint64(start)), "offset", off, "bytes", len(b), "kept_as", filepath.Join("quarantine", name)}
	if tail {
		l.opts.Logger.Warn("wal segment ends in an unfinished or damaged record", attrs...)
	} else {
		l.opts.Logger.Error("wal record is damaged; the records behind it are replayed", attrs...)
	}
	dir := filepath.Join(l.dir, "quarantine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.opts.Logger.Error("keep damaged wal bytes", "err", err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		l.opts.Logger.Error("keep damaged wal bytes", "err", err)
	}
	if !tail {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost = append(l.lost, fmt.Sprintf("%d bytes of the write-ahead log were damaged and are kept in wal/quarantine/%s: %v", len(b), name, store.ErrCorrupt))
	}
}

// Lost describes the damaged records that Replay found in the middle of the log, for
// warnings on queries and the status page.
func (l *Log) Lost() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lost...)
}

// Release says that the parts of sig cover every record up to pos. Segments that no
// signal needs any more are deleted. Every signal that writes must release, or the log
// only grows: a store with an empty head releases [Log.End] taken under its lock.
func (l *Log) Release(sig model.Signal, pos Pos) error {
	l.mu.Lock()
	l.released[sig] = max(l.released[sig], pos)
	low := pos
	for _, s := range signals {
		low = min(low, l.released[s])
	}
	var drop []segment
	for len(l.segments) > 1 && l.segments[1].start <= low { // never the one being written
		drop = append(drop, l.segments[0])
		l.segments = l.segments[1:]
	}
	l.mu.Unlock()
	for _, s := range drop {
		if err := os.Remove(l.path(s.start)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("release wal segment: %w", err)
		}
	}
	return nil
}

// Size returns the bytes the segments take on disk.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, s := range l.segments {
		n += s.size
	}
	return n
}
