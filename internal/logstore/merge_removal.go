package logstore

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
)

// rewrites returns a part of a tenant's day from which rows have to go, nil if there is
// none.
func (s *Store) rewrites(_ model.Tenant, _ part.Day, ps []*part.Part[*partIndex]) []*part.Part[*partIndex] {
	for i, p := range ps {
		if s.mustRewrite(p) {
			return ps[i : i+1]
		}
	}
	return nil
}

// mustRewrite reports whether part p holds what a delete request means, or streams whose
// retention has hidden all of their entries in it. It is asked again and again; the answer
// about retention is kept until the next stream can expire.
func (s *Store) mustRewrite(p *part.Part[*partIndex]) bool {
	r := model.TimeRange{From: p.Info.Stats.MinTime, To: p.Info.Stats.MaxTime + 1}
	for _, d := range s.deletes.in(p.Info.Tenant, r, true) {
		if d.touchesPart(p) {
			return true
		}
	}
	lim := s.limits(p.Info.Tenant)
	if len(lim.StreamRetention) == 0 {
		return false
	}
	now := s.opts.Now()
	x := p.Data
	if !x.expiry.due(&lim, now.UnixNano()) {
		return false
	}
	next := int64(maxTime)
	for stream := range x.numStreams() {
		labels, _ := x.labels(uint32(stream))
		period := lim.retention(labels)
		if period <= 0 {
			continue
		}
		last := int64(minTime)
		for _, i := range x.segments(uint32(stream)) {
			last = max(last, x.segs[i].max)
		}
		if last < cutoff(now, period) {
			return true
		}
		next = min(next, last+int64(period))
	}
	x.expiry.set(&lim, next)
	return false
}

// expiry remembers when the first stream of a part expires. It is used by one goroutine.
type expiry struct {
	rules []StreamRetention // for which next holds
	keep  int64
	next  int64 // Unix nanoseconds; 0: not known
}

func (e *expiry) due(lim *Limits, now int64) bool {
	same := e.keep == int64(lim.Retention) && slices.EqualFunc(e.rules, lim.StreamRetention, func(a, b StreamRetention) bool {
		return a.Priority == b.Priority && a.Period == b.Period && slices.Equal(a.Matchers, b.Matchers)
	})
	return !same || now >= e.next
}

func (e *expiry) set(lim *Limits, next int64) {
	e.rules, e.keep, e.next = lim.StreamRetention, int64(lim.Retention), next
}

// touched returns which of the parts in a merge has to rewrite block by block, because
// something of it has to go.
func (rm *removals) touched(in []*part.Part[*partIndex]) []bool {
	out := make([]bool, len(in))
	for k, p := range in {
		x := p.Data
		if rm.simple() {
			oldest := rm.oldest()
			out[k] = slices.ContainsFunc(x.segs, func(sg segment) bool { return sg.max < oldest })
			continue
		}
		for stream := range x.numStreams() {
			labels, _ := x.labels(uint32(stream))
			sr := rm.of(labels)
			out[k] = slices.ContainsFunc(x.segments(uint32(stream)), func(i uint32) bool { return sr.touches(x.segs[i].min, x.segs[i].max) })
			if out[k] {
				break
			}
		}
	}
	return out
}

// dropEmptyStreams takes streams out of p of which no row was written.
func (p *partWriter) dropEmptyStreams() {
	rows := make([]bool, len(p.streams))
	for i := range p.segs {
		rows[p.segs[i].stream] = true
	}
	number := make([]uint32, len(p.streams))
	n := 0
	for i := range p.streams {
		number[i] = uint32(n)
		if rows[i] {
			p.streams[n] = p.streams[i]
			n++
		}
	}
	if n == len(p.streams) {
		return
	}
	p.streams = p.streams[:n]
	for i := range p.segs {
		p.segs[i].stream = number[p.segs[i].stream]
	}
}
