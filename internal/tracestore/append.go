package tracestore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/engine/rate"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

// spanRef is a span of a request, by its index in the batch.
type spanRef struct {
	trace model.TraceID
	id    model.SpanID
	kind  int32
	at    int32
	start int64
}

func compareRefs(a, b spanRef) int {
	if c := a.trace.Compare(b.trace); c != 0 {
		return c
	}
	if a.start != b.start {
		if a.start < b.start {
			return -1
		}
		return 1
	}
	if c := slices.Compare(a.id[:], b.id[:]); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.at, b.at))
}

// Append implements [store.TraceWriter].
func (s *Store) Append(ctx context.Context, tenant model.Tenant, b *spans.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.overloaded(); err != nil {
		return err
	}
	limits := s.limits(tenant)
	var refused store.Refused
	if !s.allow(tenant, b, limits, &refused) {
		return refused.Err()
	}
	refs := collect(b, limits, s.opts.Now(), &refused)
	slices.SortFunc(refs, compareRefs)
	refs = s.refuseBig(tenant, refs, limits.MaxTraceSpans, &refused)
	refused.Kept = len(refs)
	if len(refs) == 0 {
		return refused.Err()
	}
	groups := buildGroups(refs, b, &s.builders)
	r, ok := s.recorders.Get().(*recorder)
	if !ok {
		r = newRecorder()
	}
	records, err := r.records(groups)
	if err != nil {
		return err
	}
	written, err := s.put(tenant, groups, records)
	r.release(&s.recorders)
	if err != nil {
		return err
	}
	for _, pos := range written { // not only the last: they may be in different commits
		if err := s.log.Commit(ctx, pos); err != nil {
			return err
		}
	}
	s.metrics.spans.Add(float64(refused.Kept))
	return refused.Err()
}

// overloaded refuses writes while flushes do not keep up.
func (s *Store) overloaded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.head.bytes
	if s.sealed != nil {
		n += s.sealed.bytes
	}
	if n > 4*s.opts.HeadSize {
		return fmt.Errorf("%w: %d bytes of spans wait to be flushed, at most %d", store.ErrOverloaded, n, 4*s.opts.HeadSize)
	}
	return nil
}

// maxRates bounds the tenants whose rates are known. Nobody has so many; one who makes
// names up gains a burst now and then.
const maxRates = 100_000

// allow takes the bytes of b out of what the tenant may send, or refuses all of b.
func (s *Store) allow(tenant model.Tenant, b *spans.Batch, l Limits, refused *store.Refused) bool {
	if l.Rate <= 0 || len(b.Spans) == 0 {
		return true
	}
	n := 0
	for i := range b.Spans {
		n += b.Spans[i].Size
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket := s.rates[tenant]
	if bucket == nil {
		if len(s.rates) >= maxRates {
			clear(s.rates)
		}
		bucket = &rate.Bucket{}
		s.rates[tenant] = bucket
	}
	if bucket.Take(n, l.Rate, l.Burst, s.opts.Now()) {
		return true
	}
	refused.Add(store.ReasonRateLimited, len(b.Spans), func() string {
		return fmt.Sprintf("batch of %d spans of %d bytes exceeds the ingestion rate of tenant %s (%d bytes a second, burst %d bytes); nothing of it is stored", len(b.Spans), n, tenant, l.Rate, l.Burst)
	})
	return false
}

// Events and links that a span and a request may have: the columns of a group are bounded.
const (
	maxSpanChildren    = 100_000
	maxRequestChildren = 4 << 20
)

// collect returns the acceptable spans of b.
func collect(b *spans.Batch, limits Limits, now time.Time, refused *store.Refused) []spanRef {
	oldest, newest := limits.window(now)
	refs := make([]spanRef, 0, len(b.Spans))
	children := 0
	for i := range b.Spans {
		s := &b.Spans[i]
		if reason, why := refuse(s, oldest, newest); reason != "" {
			refused.Add(reason, 1, why)
			continue
		}
		n := s.Events.Len() + s.Links.Len()
		if children += n; n > maxSpanChildren || children > maxRequestChildren {
			children -= n
			refused.Add(store.ReasonTraceTooLarge, 1, func() string {
				return fmt.Sprintf("span %s of trace %s has %d events and links; a span may have %d, a request %d", s.SpanID, s.TraceID, n, maxSpanChildren, maxRequestChildren)
			})
			continue
		}
		refs = append(refs, spanRef{s.TraceID, s.SpanID, s.Kind, int32(i), s.Start})
	}
	return refs
}

// refuse returns why s cannot be stored, "" if it can.
func refuse(s *spans.Span, oldest, newest int64) (reason string, message func() string) {
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }
	switch {
	case s.TraceID.IsZero() || s.SpanID.IsZero():
		return store.ReasonInvalidID, func() string {
			return fmt.Sprintf("span %q has trace id %s and span id %s; trace ids must be 128 bit and span ids 64 bit, neither all zero", s.Name, s.TraceID, s.SpanID)
		}
	case s.Start < 0: // more than a signed number holds
		return store.ReasonTooNew, func() string {
			return fmt.Sprintf("span %s of trace %s starts after the year 2262; the newest accepted start is %s", s.SpanID, s.TraceID, at(newest))
		}
	case s.Start < oldest:
		return store.ReasonTooOld, func() string {
			return fmt.Sprintf("span %s of trace %s starts at %s; the oldest accepted start is %s", s.SpanID, s.TraceID, at(s.Start), at(oldest))
		}
	case s.Start > newest:
		return store.ReasonTooNew, func() string {
			return fmt.Sprintf("span %s of trace %s starts at %s; the newest accepted start is %s", s.SpanID, s.TraceID, at(s.Start), at(newest))
		}
	}
	return "", nil
}

// refuseBig removes spans of traces that have too many. refs is sorted.
func (s *Store) refuseBig(tenant model.Tenant, refs []spanRef, limit int, refused *store.Refused) []spanRef {
	if limit < 0 {
		return refs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.head.spans[tenant]
	out := refs[:0]
	for from := 0; from < len(refs); {
		id, to := refs[from].trace, from
		for to < len(refs) && refs[to].trace == id {
			to++
		}
		room := max(0, limit-int(counts[id]))
		keep := min(to-from, room)
		out = append(out, refs[from:from+keep]...)
		if keep < to-from {
			refused.Add(store.ReasonTraceTooLarge, to-from-keep, func() string {
				return fmt.Sprintf("trace %s has more than %d spans", id, limit)
			})
		}
		from = to
	}
	return out
}

// buildGroups makes one group for each day. refs is sorted and not empty. Of equal spans
// the first stays.
func buildGroups(refs []spanRef, b *spans.Batch, pool *builders) []*group {
	res, scopes := encodeOwners(b)
	type dayBuilder struct {
		day part.Day
		b   *builder
	}
	var days []dayBuilder
	seen := spansSeen{}
	for i, r := range refs {
		if i == 0 || refs[i-1].trace != r.trace {
			seen.reset()
		}
		if seen.add(identity{r.id, int64(r.kind)}) {
			continue
		}
		day := part.DayOf(r.start)
		at := slices.IndexFunc(days, func(d dayBuilder) bool { return d.day == day })
		if at < 0 {
			at = len(days)
			days = append(days, dayBuilder{day, pool.get()})
		}
		span := &b.Spans[r.at]
		days[at].b.add(res[b.Scopes[span.Scope].Resource], scopes[span.Scope], b, span)
	}
	groups := make([]*group, len(days))
	for i, d := range days {
		groups[i] = d.b.finish()
		pool.put(d.b)
	}
	return groups
}

// spansSeen finds equal spans of a trace. Of most traces a request has few spans, which
// are compared; a map takes over where there are many.
type spansSeen struct {
	few  []identity
	many map[identity]struct{}
}

const maxFew = 32

func (x *spansSeen) reset() {
	x.few = x.few[:0]
	if len(x.many) > 0 {
		x.many = nil
	}
}

// add adds a span, and reports whether it was there before.
func (x *spansSeen) add(id identity) bool {
	if slices.Contains(x.few, id) {
		return true
	}
	if len(x.few) < maxFew {
		x.few = append(x.few, id)
		return false
	}
	if x.many == nil {
		x.many = map[identity]struct{}{}
	}
	n := len(x.many)
	x.many[id] = struct{}{}
	return len(x.many) == n
}

// put writes the records to the log and the groups to the head, in one order.
func (s *Store) put(tenant model.Tenant, groups []*group, records [][]byte) (written []wal.Pos, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, g := range groups {
		pos, err := s.log.Write(model.Traces, tenant, records[i])
		if err != nil {
			return nil, err
		}
		written = append(written, pos)
		if err := s.head.add(tenant, g); err != nil {
			return nil, err
		}
	}
	if s.head.bytes >= s.opts.HeadSize {
		select {
		case s.full <- struct{}{}:
		default:
		}
	}
	return written, nil
}
