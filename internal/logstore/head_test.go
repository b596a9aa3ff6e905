package logstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// TestExpireOfOneHash forgets idle streams among others that have the same hash.
func TestExpireOfOneHash(t *testing.T) {
	const hash = 7
	now := time.Unix(1_700_000_000, 0)
	for idle := range 1 << 3 {
		ts := &tenantStreams{byHash: map[uint64]*stream{}, n: 3}
		for i := range 3 {
			s := &stream{hash: hash, key: fmt.Sprint(i), lastWrite: now.UnixNano(), next: ts.byHash[hash]}
			if idle>>i&1 != 0 {
				s.lastWrite = now.Add(-idleAfter - time.Second).UnixNano()
			}
			ts.byHash[hash] = s
		}
		g := &registry{tenants: map[model.Tenant]*tenantStreams{"t": ts}, active: newHead()}
		left := g.expire(now)
		for i := range 3 {
			kept := ts.byHash[hash].withKey([]byte(fmt.Sprint(i))) != nil
			if want := idle>>i&1 == 0; kept != want {
				t.Errorf("idle %03b: stream %d is kept: %t", idle, i, kept)
			}
			if kept {
				left--
			}
		}
		if left != 0 || len(g.tenants) != 0 != (idle != 7) {
			t.Errorf("idle %03b: %d streams more are left than are found, %d tenants", idle, left, len(g.tenants))
		}
	}
}
