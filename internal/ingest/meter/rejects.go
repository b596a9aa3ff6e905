package meter

// What was refused, why, and an example: the first question of someone whose data does not
// arrive.

import (
	"cmp"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Reject is what was refused of one signal for one reason since the start.
type Reject struct {
	Signal model.Signal
	Reason string // one of the Reason constants of the contract
	Count  int64
	Sample string // message about the last refusal: names the series, stream or span and the limit
	Last   time.Time
}

type rejectKey struct {
	signal model.Signal
	tenant model.Tenant // "" for tenants of which nothing was ever stored
	reason string
}

// reject counts a refusal. The caller holds m.mu.
func (m *Meter) reject(sig model.Signal, tenant model.Tenant, r store.Refusal, now time.Time) {
	key := rejectKey{sig, tenant, r.Reason}
	x := m.rejects[key]
	if x == nil {
		x = &Reject{Signal: sig, Reason: r.Reason}
		m.rejects[key] = x
	}
	x.Count += int64(r.Count)
	x.Sample = r.Sample
	x.Last = now
}

// Rejects returns what was refused of tenant, the latest first. Of tenants of which
// nothing was ever stored it is known under "".
func (m *Meter) Rejects(tenant model.Tenant) []Reject {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Reject{}
	for k, x := range m.rejects {
		if k.tenant == tenant {
			list = append(list, *x)
		}
	}
	slices.SortFunc(list, func(a, b Reject) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}
