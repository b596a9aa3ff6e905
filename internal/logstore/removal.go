package logstore

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// What must not be seen: entries past the retention of their stream, and entries that a
// delete request means. Both are removals. Queries cut them out of what they read, with
// what holds at that moment; merges leave them out of what they write, which is when they
// leave the disk. Days that nothing can keep are dropped as a whole by the part set.

// StreamRetention is how long the entries of some streams are kept.
type StreamRetention struct {
	Matchers []*model.Matcher
	Priority int           // of the rules that match a stream the one with the highest counts
	Period   time.Duration // 0 means for ever
}

// retention returns how long entries of a stream are kept, 0 for ever.
func (l *Limits) retention(labels model.Labels) time.Duration {
	period, best := l.Retention, math.MinInt
	for i := range l.StreamRetention {
		if r := &l.StreamRetention[i]; r.Priority > best && model.MatchesLabels(labels, r.Matchers) {
			period, best = r.Period, r.Priority
		}
	}
	return period
}

// longestRetention is how long an entry of some stream may be kept, 0 for ever.
func (l *Limits) longestRetention() time.Duration {
	longest := l.Retention
	for _, r := range l.StreamRetention {
		if longest == 0 || r.Period == 0 {
			return 0
		}
		longest = max(longest, r.Period)
	}
	return longest
}

// cutoff returns the time of the oldest entry that is kept for period.
func cutoff(now time.Time, period time.Duration) int64 {
	if period <= 0 {
		return minTime
	}
	return now.Add(-period).UnixNano()
}

// removals is what must not be seen of a tenant's entries, at one moment.
type removals struct {
	now     time.Time
	limits  Limits
	deletes []*deletion
}

// removals returns what to leave out of the entries of tenant in r. With due only deletes
// count that cannot be taken back.
func (s *Store) removals(tenant model.Tenant, r model.TimeRange, due bool) *removals {
	return &removals{now: s.opts.Now(), limits: s.limits(tenant), deletes: s.deletes.in(tenant, r, due)}
}

// oldest returns a time before which nothing is to be seen.
func (rm *removals) oldest() int64 { return cutoff(rm.now, rm.limits.longestRetention()) }

// simple reports whether oldest says all.
func (rm *removals) simple() bool { return len(rm.deletes) == 0 && len(rm.limits.StreamRetention) == 0 }

// without leaves out the deletes that cannot mean a stream that matches ms.
func (rm *removals) without(ms []*model.Matcher) {
	rm.deletes = slices.DeleteFunc(rm.deletes, func(d *deletion) bool {
		return slices.ContainsFunc(d.filter.Matchers, func(a *model.Matcher) bool {
			return a.Type == model.MatchEqual && slices.ContainsFunc(ms, func(b *model.Matcher) bool {
				return b.Type == model.MatchEqual && a.Name == b.Name && a.Value != b.Value
			})
		})
	})
}

// content reports whether lines and metadata are needed to decide.
func (rm *removals) content() bool {
	return slices.ContainsFunc(rm.deletes, func(d *deletion) bool { return d.filter.New != nil })
}

// streamRemovals is the removals of one stream.
type streamRemovals struct {
	oldest  int64
	deletes []*deletion
}

func (rm *removals) of(labels model.Labels) streamRemovals {
	sr := streamRemovals{oldest: cutoff(rm.now, rm.limits.retention(labels))}
	for _, d := range rm.deletes {
		if model.MatchesLabels(labels, d.filter.Matchers) {
			sr.deletes = append(sr.deletes, d)
		}
	}
	return sr
}

// visible returns the part of r outside of which nothing of the stream is to be seen. Whole
// deletes that begin or end within r do not split it.
func (sr *streamRemovals) visible(r model.TimeRange) model.TimeRange {
	r.From = max(r.From, sr.oldest)
	for again := true; again; {
		again = false
		for _, d := range sr.deletes {
			if d.filter.New != nil || r.Empty() {
				continue
			}
			switch cut := d.Range; {
			case cut.From <= r.From && cut.To > r.From:
				r.From, again = min(cut.To, r.To), true
			case cut.To >= r.To && cut.From < r.To:
				r.To, again = max(cut.From, r.From), true
			}
		}
	}
	return r
}

// hides reports whether nothing from the first to the last instant is to be seen.
func (sr *streamRemovals) hides(first, last int64) bool {
	return sr.visible(model.TimeRange{From: first, To: last + 1}).Empty()
}

// touches reports whether something between the instants first and last may have to go:
// anything that a delete means, and what a retention has hidden as a whole.
func (sr *streamRemovals) touches(first, last int64) bool {
	return last < sr.oldest || slices.ContainsFunc(sr.deletes, func(d *deletion) bool { return d.Range.Overlaps(first, last) })
}

// cutter takes removed rows out of batches. It is for one goroutine.
type cutter struct {
	rm      *removals
	streams map[uint64]*cutStream
	meta    model.Labels
}

type cutStream struct {
	streamRemovals
	meant []func(model.Labels, int64, string, model.Labels) bool // for each delete; nil: every entry
}

func newCutter(rm *removals) *cutter { return &cutter{rm: rm, streams: map[uint64]*cutStream{}} }

func (c *cutter) stream(r *store.LogRows) *cutStream {
	s := c.streams[r.StreamID]
	if s == nil {
		s = &cutStream{streamRemovals: c.rm.of(r.Stream)}
		for _, d := range s.deletes {
			var f func(model.Labels, int64, string, model.Labels) bool
			if d.filter.New != nil {
				f = d.filter.New()
			}
			s.meant = append(s.meant, f)
		}
		c.streams[r.StreamID] = s
	}
	return s
}

// gone reports whether row i of r, which is of s, has to go.
func (c *cutter) gone(s *cutStream, r *store.LogRows, i int) bool {
	at := r.Times[i]
	if at < s.oldest {
		return true
	}
	for k, d := range s.deletes {
		if !d.Range.Contains(at) {
			continue
		}
		if s.meant[k] == nil {
			return true
		}
		c.meta = r.Row(i, c.meta[:0])
		if s.meant[k](r.Stream, at, r.Lines[i], c.meta) {
			return true
		}
	}
	return false
}

// cut takes the removed rows out of r in place and reports whether any are left.
func (c *cutter) cut(r *store.LogRows) bool {
	s := c.stream(r)
	if len(s.deletes) == 0 && r.Times[0] >= s.oldest && r.Times[len(r.Times)-1] >= s.oldest {
		return true
	}
	n := 0
	for i := range r.Times {
		if c.gone(s, r, i) {
			continue
		}
		move(r.Times, n, i)
		move(r.Lines, n, i)
		move(r.Sizes, n, i)
		move(r.Found, n, i)
		move(r.Numbers, n, i)
		for k := range r.Meta {
			move(r.Meta[k].Values, n, i)
		}
		n++
	}
	r.Times = r.Times[:n]
	r.Lines = r.Lines[:min(n, len(r.Lines))]
	r.Sizes = r.Sizes[:min(n, len(r.Sizes))]
	r.Found = r.Found[:min(n, len(r.Found))]
	r.Numbers = r.Numbers[:min(n, len(r.Numbers))]
	for k := range r.Meta {
		r.Meta[k].Values = r.Meta[k].Values[:n]
	}
	return n > 0
}

// move sets s[to] to s[from] if s is not empty.
func move[T any](s []T, to, from int) {
	if len(s) > 0 {
		s[to] = s[from]
	}
}

// selectVisible is selectRows without what is removed.
func (s *Store) selectVisible(ctx context.Context, tenant model.Tenant, sel store.LogSelector, yield func(*store.LogRows) bool) error {
	rm := s.removals(tenant, sel.Range, false)
	rm.without(sel.Matchers)
	sel.Range.From = max(sel.Range.From, rm.oldest())
	if rm.simple() {
		return s.selectRows(ctx, tenant, sel, yield)
	}
	inner := sel
	inner.Limit = 0 // counts rows that are still to be cut
	inner.Pieces = nil
	content := rm.content()
	if content {
		inner.NoLine, inner.NoMeta, inner.MetaNames, inner.Parser, inner.Tests, inner.Number = false, false, nil, nil, nil, nil
	}
	c := newCutter(rm)
	return s.selectRows(ctx, tenant, inner, func(r *store.LogRows) bool {
		own := *r // r keeps its memory
		own.Meta = slices.Clone(r.Meta)
		if !c.cut(&own) {
			return true
		}
		if content {
			narrow(&own, &sel)
		}
		return yield(&own)
	})
}

// narrow leaves out of r the columns that sel does not want. If it has a parser, all lines
// are to be looked at.
func narrow(r *store.LogRows, sel *store.LogSelector) {
	if sel.Parser != nil {
		r.Found = make([]*model.LineFields, len(r.Times))
		if sel.Number != nil {
			r.Numbers = make([]float64, len(r.Times))
		}
	} else if sel.NoLine {
		r.Lines = nil
	}
	if sel.NoMeta {
		r.Meta = nil
	}
	r.Meta = slices.DeleteFunc(r.Meta, func(m store.MetaColumn) bool {
		return sel.MetaNames != nil && !slices.Contains(sel.MetaNames, m.Name)
	})
}

// hideStreams takes out of p what is removed as a whole, and returns for each stream that
// is left the range in which it may be seen.
func (rm *removals) hideStreams(p *plan, r model.TimeRange) []model.TimeRange {
	ranges := make([]model.TimeRange, 0, len(p.streams))
	p.streams = slices.DeleteFunc(p.streams, func(fs foundStream) bool {
		sr := rm.of(fs.labels)
		in := sr.visible(r)
		reached := slices.ContainsFunc(fs.sources, func(src source) bool {
			if src.head != nil {
				return !in.Empty() && src.head.reaches(in)
			}
			return in.Overlaps(src.min, src.max) && !sr.hides(max(in.From, src.min), min(in.To-1, src.max))
		})
		if reached {
			ranges = append(ranges, in)
		}
		return !reached
	})
	return ranges
}
