package logstore

import (
	"fmt"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// reasonStreamRate is Loki's name; the ending tells the sender to slow down.
const reasonStreamRate = "per_stream_rate_limit"

// size returns the entries and bytes of a group.
func (g *group) size() (entries, bytes int) {
	for i := range g.entries {
		bytes += len(g.entries[i].Line) + g.entries[i].Meta.Size()
	}
	return len(g.entries), bytes
}

// limitRates applies the limits that count over time. The tenant's refuses all of gs, as
// one request; a stream's the entries of that stream.
func (s *Store) limitRates(tenant model.Tenant, gs []group, lim Limits, refused *store.Refused) []group {
	if lim.IngestionRate <= 0 || len(gs) == 0 {
		return gs
	}
	entries, bytes := 0, 0
	for i := range gs {
		n, size := gs[i].size()
		entries, bytes = entries+n, bytes+size
	}
	s.reg.mu.Lock()
	t := s.reg.tenant(tenant, s.opts.MaxTenants)
	ok := t == nil || t.rate.Take(bytes, lim.IngestionRate, lim.IngestionBurst, s.opts.Now())
	s.reg.mu.Unlock()
	if ok {
		return gs // without a tenant the streams are refused
	}
	refused.Add(store.ReasonRateLimited, entries, func() string {
		return fmt.Sprintf("ingestion rate limit exceeded for user %s (limit: %d bytes/sec, burst: %d bytes) while attempting to ingest '%d' lines totaling '%d' bytes; nothing of the request is stored",
			tenant, lim.IngestionRate, lim.IngestionBurst, entries, bytes)
	})
	return nil
}

// resolve finds the streams of gs and drops the groups that a limit on streams or tenants
// refuses.
func (s *Store) resolve(tenant model.Tenant, gs []group, lim Limits, refused *store.Refused) []group {
	now := s.opts.Now()
	keys := keysOf(gs)
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	t := s.reg.tenant(tenant, s.opts.MaxTenants)
	var known []*stream
	if t != nil {
		known = t.known(keys)
	}
	for i := range gs {
		g := &gs[i]
		if t == nil {
			refused.Add(store.ReasonStreamLimit, len(g.entries), func() string {
				return fmt.Sprintf("tenant %s is one too many: %d tenants have written within the last hour", tenant, s.opts.MaxTenants)
			})
			continue
		}
		st := known[i]
		if st == nil {
			st = s.reg.resolve(t, keys[i], 0, lim.MaxStreams)
		}
		if st == nil {
			refused.Add(store.ReasonStreamLimit, len(g.entries), func() string {
				return fmt.Sprintf("maximum active stream limit exceeded when trying to create stream %s, reduce the number of active streams (reduce labels or reduce label values): limit %d", g.labels, lim.MaxStreams)
			})
			continue
		}
		st.lastWrite = now.UnixNano()
		if lim.PerStreamRate > 0 {
			if _, bytes := g.size(); !st.rate.Take(bytes, lim.PerStreamRate, lim.PerStreamBurst, now) {
				refused.Add(reasonStreamRate, len(g.entries), func() string {
					return fmt.Sprintf("per stream rate limit exceeded (limit: %d bytes/sec, burst: %d bytes) while attempting to ingest '%d' bytes for stream '%s'",
						lim.PerStreamRate, lim.PerStreamBurst, bytes, g.labels)
				})
				continue
			}
		}
		g.stream = st
	}
	return slices.DeleteFunc(gs, func(g group) bool { return g.stream == nil })
}
