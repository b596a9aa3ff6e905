package logstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Append implements [store.LogWriter].
func (s *Store) Append(ctx context.Context, tenant model.Tenant, b *store.LogBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var refused store.Refused
	lim := s.limits(tenant)
	gs := s.limitRates(tenant, admit(b, lim, s.opts.Now(), &refused), lim, &refused)
	for len(gs) > 0 {
		now, rest := split(gs, maxRecordText)
		if err := s.waitForRoom(ctx); err != nil {
			return err
		}
		if err := s.write(ctx, tenant, now, lim, &refused); err != nil {
			return err
		}
		gs = rest
	}
	return refused.Err()
}

// maxRecordText bounds the text of one record, unless a single entry is bigger. A batch
// can hold much more than its request: metadata that entries share counts for each.
const maxRecordText = 64 << 20

// split returns the first groups of gs, whose text takes about limit bytes, and the rest.
func split(gs []group, limit int) (first, rest []group) {
	size := 0
	for i := range gs {
		es := gs[i].entries
		for j := range es {
			size += rowSize + len(es[j].Line) + es[j].Meta.Size()
			if size <= limit || i+j == 0 {
				continue
			}
			first, rest = slices.Clone(gs[:i]), slices.Clone(gs[i:])
			if j > 0 {
				first = append(first, group{labels: gs[i].labels, entries: es[:j]})
				rest[0].entries = es[j:]
			}
			return first, rest
		}
	}
	return gs, nil
}

// write makes gs durable and visible.
func (s *Store) write(ctx context.Context, tenant model.Tenant, gs []group, lim Limits, refused *store.Refused) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	gs = s.resolve(tenant, gs, lim, refused)
	if len(gs) == 0 {
		return nil
	}
	epoch := s.epoch.Load()
	record := encodeRecord(gs, func(st *stream) bool { return st.defined.Load() != epoch })
	if s.epochBytes.Add(int64(len(record))) > epochSize {
		s.epochBytes.Store(0)
		s.epoch.Add(1)
	}
	pos, err := s.log.Write(model.Logs, tenant, bytesOf(record))
	if err != nil {
		return fmt.Errorf("append logs: %w", err)
	}
	// The outcome of the commit must be known: a record that became durable without being
	// in the head would be lost with the next flush.
	if err := s.log.Commit(context.WithoutCancel(ctx), pos); err != nil {
		return fmt.Errorf("append logs: %w", err)
	}
	entries, bytes := 0, 0
	for i := range gs {
		gs[i].stream.defined.Store(epoch)
		entries += len(gs[i].rows)
		for j := range gs[i].rows {
			bytes += len(gs[i].rows[j].line) + gs[i].rows[j].meta.Size()
		}
	}
	s.reg.mu.Lock()
	s.reg.apply(tenant, gs, record, s.opts.Now())
	full := s.reg.active.full(&s.opts)
	s.reg.mu.Unlock()
	if full {
		s.wakeFlush()
	}
	refused.Kept += entries
	s.metrics.entries.Add(float64(entries))
	s.metrics.bytes.Add(float64(bytes))
	s.tails.publish(tenant, gs, s.metrics)
	return nil
}

func (s *Store) wakeFlush() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

const (
	headsInMemory = 3 // times HeadSize that entries may take before writers wait
	roomWait      = 5 * time.Second
)

// waitForRoom waits while flushes are behind. It returns an error wrapping
// [store.ErrOverloaded] when that takes too long.
func (s *Store) waitForRoom(ctx context.Context) error {
	var timeout <-chan time.Time
	for {
		s.roomMu.Lock()
		room := s.room
		s.roomMu.Unlock()
		s.reg.mu.Lock()
		held := s.reg.bytes()
		s.reg.mu.Unlock()
		if held < headsInMemory*s.opts.HeadSize {
			return nil
		}
		s.wakeFlush()
		if timeout == nil {
			t := time.NewTimer(roomWait)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return fmt.Errorf("append logs: %w: %d bytes wait to be flushed", store.ErrOverloaded, held)
		}
	}
}
