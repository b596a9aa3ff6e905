package metricstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// usage counts which metrics queries read, so that those nobody reads can be found. It is
// saved now and then: a crash costs the last few minutes of counts.
type usage struct {
	mu    sync.Mutex
	state usageState // guarded by mu
	dirty bool       // guarded by mu
}

// usageState is the form on disk.
type usageState struct {
	Version int                                   `json:"version"`
	Since   int64                                 `json:"since"` // Unix seconds
	Tenants map[model.Tenant]map[string]MetricUse `json:"tenants"`
}

// MetricUse is how often queries have read a metric, and when they did last.
type MetricUse struct {
	Count int64 `json:"count"`
	Last  int64 `json:"last"` // Unix seconds; 0: never
}

const (
	usageName    = "QUERIED"
	usageVersion = 1
	maxUsed      = 200_000 // metrics of a tenant that are counted
)

// load reads the saved counts. Damaged ones begin anew: they are no data.
func (u *usage) load(dir string, now int64) error {
	u.state = usageState{Version: usageVersion, Since: now, Tenants: map[model.Tenant]map[string]MetricUse{}}
	body, err := part.Load(dir, usageName)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, store.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	var st usageState
	if err := json.Unmarshal(body, &st); err != nil || st.Version != usageVersion || st.Tenants == nil {
		return nil //nolint:nilerr // begin anew
	}
	u.state = st
	return nil
}

// save writes the counts if they have changed.
func (u *usage) save(dir string) error {
	u.mu.Lock()
	if !u.dirty {
		u.mu.Unlock()
		return nil
	}
	body, err := json.Marshal(u.state)
	u.dirty = false
	u.mu.Unlock()
	if err == nil {
		err = part.Save(dir, usageName, body)
	}
	if err != nil {
		return fmt.Errorf("save query counts: %w", err)
	}
	return nil
}

// note counts a query that found series of the metric that ms name, if they name one.
func (u *usage) note(tenant model.Tenant, ms []*model.Matcher, now int64) {
	for _, m := range ms {
		if m.Name != model.MetricName || m.Type != model.MatchEqual {
			continue
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		t := u.state.Tenants[tenant]
		if t == nil {
			t = map[string]MetricUse{}
			u.state.Tenants[tenant] = t
		}
		old, known := t[m.Value]
		if !known && len(t) >= maxUsed {
			return
		}
		t[strings.Clone(m.Value)] = MetricUse{old.Count + 1, now}
		u.dirty = true
		return
	}
}

// MetricUsage returns how queries have used the metrics that have data now, and since when
// they are counted (Unix seconds).
func (s *Store) MetricUsage(ctx context.Context, name model.Tenant, acct *store.Account) (map[string]MetricUse, int64, error) {
	names, err := s.LabelValues(ctx, name, model.MetricName, store.MetricSelector{All: true, Range: wholly(), Account: acct})
	if err != nil {
		return nil, 0, err
	}
	s.queried.mu.Lock()
	defer s.queried.mu.Unlock()
	out := make(map[string]MetricUse, len(names))
	for _, n := range names {
		out[n] = s.queried.state.Tenants[name][n]
	}
	return out, s.queried.state.Since, nil
}
