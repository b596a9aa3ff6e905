package tracestore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/tracestore/sampling"
)

// Thinning is sampling after the fact: everything is kept for some time, and then a
// merge writes only the traces that a sampler wants. A part remembers how many steps have
// been applied to it, so that each happens once; spans that come later are thinned on
// their own.

// ThinStep says which traces of a UTC day stay once the day is over for After.
type ThinStep struct {
	After   time.Duration
	Sampler *sampling.Sampler
}

// References returns the ids of the traces that something else points to (exemplars, log
// entries) in r, Unix nanoseconds.
type References func(ctx context.Context, tenant model.Tenant, r model.TimeRange) (map[model.TraceID]struct{}, error)

// stepsDue returns how many steps apply to day by now.
func (s *Store) stepsDue(day part.Day) int {
	n := 0
	for _, step := range s.opts.Thin {
		if dayRange(day).To+int64(step.After) < s.opts.Now().UnixNano() {
			n++
		}
	}
	return n
}

func dayRange(day part.Day) model.TimeRange {
	return model.TimeRange{From: day.Start(), To: day.Start() + int64(24*time.Hour)}
}

// toThin is the Rewrite of the kit: the parts to which fewer steps have been applied than
// are due.
func (s *Store) toThin(_ model.Tenant, day part.Day, ps []*openPart) []*openPart {
	due := s.stepsDue(day)
	return slices.DeleteFunc(slices.Clone(ps), func(p *openPart) bool { return p.Data.thinned >= due })
}

// thinning decides about the traces of one day, asked in order of trace id.
type thinning struct {
	store      *Store
	steps      []ThinStep
	referenced func(model.TraceID) bool

	next func() (*store.SpanRows, error, bool)
	stop func()
	rows *store.SpanRows
	at   int // the first span of rows not decided about
}

// newThinning begins a scan of the day for the steps from..to. Call stop at the end.
func (s *Store) newThinning(ctx context.Context, tenant model.Tenant, day part.Day, from, to int) (*thinning, error) {
	t := &thinning{store: s, steps: s.opts.Thin[from:to]}
	sel := store.SpanSelector{Range: dayRange(day)}
	needRefs := false
	for _, step := range t.steps {
		sel.Attrs = append(sel.Attrs, step.Sampler.Attrs()...)
		needRefs = needRefs || step.Sampler.NeedsReferences()
	}
	if needRefs && s.opts.References != nil {
		refs, err := s.opts.References(ctx, tenant, nearby(sel.Range))
		if err != nil {
			return nil, fmt.Errorf("find references to traces of %s: %w", day, err)
		}
		t.referenced = func(id model.TraceID) bool { _, ok := refs[id]; return ok }
	}
	t.next, t.stop = iter.Pull2(s.Scan(ctx, tenant, sel))
	return t, nil
}

// keep reports whether trace id stays. One that the scan does not know stays.
func (t *thinning) keep(id model.TraceID) (bool, error) {
	for {
		if t.rows == nil || t.at >= t.rows.Len() {
			rows, err, ok := t.next()
			if err != nil {
				return false, err
			}
			if !ok {
				return true, nil
			}
			t.rows, t.at = rows, 0
			continue
		}
		found := t.rows.TraceID[t.at]
		c := found.Compare(id)
		if c > 0 {
			return true, nil
		}
		from := t.at
		for t.at < t.rows.Len() && t.rows.TraceID[t.at] == found {
			t.at++
		}
		if c == 0 {
			return t.decide(from, t.at), nil
		}
	}
}

func (t *thinning) decide(from, to int) bool {
	for _, step := range t.steps {
		if !step.Sampler.Keep(t.rows, from, to, t.referenced) {
			t.store.metrics.thinned.Inc()
			return false
		}
	}
	return true
}
