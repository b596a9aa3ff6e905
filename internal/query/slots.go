package query

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// slots is a semaphore with a bound per tenant. Waiters are served in order of arrival,
// passing over those whose tenant is at its bound.
type slots struct {
	max, maxTenant, maxWaiting int

	mu     sync.Mutex
	used   int                  // guarded by mu
	tenant map[model.Tenant]int // guarded by mu; slots used by each
	line   []*waiter            // guarded by mu; first come first
}

type waiter struct {
	tenant model.Tenant
	ready  chan struct{} // closed when the slot is taken for the waiter
}

func newSlots(n, perTenant, waiting int) *slots {
	return &slots{max: n, maxTenant: perTenant, maxWaiting: waiting, tenant: map[model.Tenant]int{}}
}

// take waits for a slot, at most for wait.
func (s *slots) take(ctx context.Context, t model.Tenant, wait time.Duration) error {
	s.mu.Lock()
	if s.free(t) {
		s.occupy(t)
		s.mu.Unlock()
		return nil
	}
	if len(s.line) >= s.maxWaiting {
		s.mu.Unlock()
		return fmt.Errorf("%w: %d queries are waiting already", store.ErrOverloaded, s.maxWaiting)
	}
	w := &waiter{tenant: t, ready: make(chan struct{})}
	s.line = append(s.line, w)
	s.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = fmt.Errorf("%w: the query waited %s for others to finish", store.ErrOverloaded, wait)
	}
	if s.leave(w) {
		return err
	}
	s.give(t) // the slot came at the same moment
	return err
}

// free reports whether t may take a slot now. The caller holds mu.
func (s *slots) free(t model.Tenant) bool { return s.used < s.max && s.tenant[t] < s.maxTenant }

// occupy takes a slot. The caller holds mu.
func (s *slots) occupy(t model.Tenant) {
	s.used++
	s.tenant[t]++
}

// give returns a slot and hands it on.
func (s *slots) give(t model.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	if s.tenant[t]--; s.tenant[t] == 0 {
		delete(s.tenant, t)
	}
	for i, w := range s.line {
		if s.free(w.tenant) {
			s.occupy(w.tenant)
			s.line = append(s.line[:i:i], s.line[i+1:]...)
			close(w.ready)
			return
		}
	}
}

// leave takes w out of the line; it reports false if w has been served.
func (s *slots) leave(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.line {
		if s.line[i] == w {
			s.line = append(s.line[:i:i], s.line[i+1:]...)
			return true
		}
	}
	return false
}
