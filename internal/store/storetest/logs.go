package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// Logs is the reference log store.
type Logs struct {
	mu      sync.RWMutex
	tenants map[model.Tenant]map[string]*refStream // by Labels.String
	tails   map[chan *store.LogBatch]model.Tenant
}

type refStream struct {
	labels  model.Labels
	id      uint64
	entries []store.LogEntry // in order of time, without duplicates
}

// NewLogs returns an empty reference log store.
func NewLogs() *Logs {
	return &Logs{
		tenants: map[model.Tenant]map[string]*refStream{},
		tails:   map[chan *store.LogBatch]model.Tenant{},
	}
}

// Append implements [store.LogWriter].
func (l *Logs) Append(ctx context.Context, tenant model.Tenant, b *store.LogBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	streams := l.tenants[tenant]
	if streams == nil {
		streams = map[string]*refStream{}
		l.tenants[tenant] = streams
	}
	var refused store.Refused
	kept := &store.LogBatch{}
	for _, in := range b.Streams {
		ls, err := writeLabels(&store.SeriesWrite{Labels: in.Labels}, nil)
		if err != nil {
			refused.Add(store.ReasonInvalidLabels, len(in.Entries), err.Error)
			continue
		}
		if len(in.Entries) == 0 {
			continue
		}
		s := streams[ls.String()]
		if s == nil {
			s = &refStream{labels: ls, id: uint64(len(streams))}
			streams[ls.String()] = s
		}
		out := store.LogStream{Labels: ls}
		for _, e := range in.Entries {
			e = store.LogEntry{Time: e.Time, Line: strings.Clone(e.Line), Meta: logmeta.New(e.Meta.Labels().Clone()...)}
			if !slices.ContainsFunc(s.entries, func(x store.LogEntry) bool { return compareEntries(x, e) == 0 }) {
				s.entries = append(s.entries, e)
				out.Entries = append(out.Entries, e)
			}
			refused.Kept++
		}
		slices.SortFunc(s.entries, compareEntries)
		kept.Streams = append(kept.Streams, out)
	}
	for c, who := range l.tails {
		if who == tenant {
			select {
			case c <- kept:
			default: // the reference drops without counting
			}
		}
	}
	return refused.Err()
}

func compareEntries(a, b store.LogEntry) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Line, b.Line), a.Meta.Labels().Compare(b.Meta.Labels()))
}

// matching returns the streams that match ms in the order of labels.
func (l *Logs) matching(tenant model.Tenant, ms []*model.Matcher) []*refStream {
	var out []*refStream
	for _, s := range l.tenants[tenant] {
		if model.MatchesLabels(s.labels, ms) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *refStream) int { return a.labels.Compare(b.labels) })
	return out
}

// in returns the entries of s in r, in order of time.
func (s *refStream) in(r model.TimeRange) []store.LogEntry {
	var out []store.LogEntry
	for _, e := range s.entries {
		if r.Contains(e.Time) {
			out = append(out, e)
		}
	}
	return out
}

// lineFilters compiles fs to one predicate.
func lineFilters(fs []store.LineFilter) (func(line string) bool, error) {
	var all []func(string) bool
	for _, f := range fs {
		if len(f.Patterns) == 0 {
			return nil, errors.New("a line filter has no pattern")
		}
		var some []func(string) bool
		for _, p := range f.Patterns {
			if !f.Regexp {
				some = append(some, func(line string) bool { return strings.Contains(line, p) })
				continue
			}
			re, err := regexp.Compile(p)
			if err != nil {
				return nil, fmt.Errorf("compile line filter %q: %w", p, err)
			}
			some = append(some, re.MatchString)
		}
		all = append(all, func(line string) bool {
			return f.Negate != slices.ContainsFunc(some, func(m func(string) bool) bool { return m(line) })
		})
	}
	return func(line string) bool {
		return !slices.ContainsFunc(all, func(m func(string) bool) bool { return !m(line) })
	}, nil
}

// selected returns the entries that sel selects of each stream, in its direction.
func (l *Logs) selected(tenant model.Tenant, sel store.LogSelector) (map[*refStream][]store.LogEntry, error) {
	keep, err := lineFilters(sel.Lines)
	if err != nil {
		return nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := map[*refStream][]store.LogEntry{}
	for _, s := range l.matching(tenant, sel.Matchers) {
		entries := slices.DeleteFunc(s.in(sel.Range), func(e store.LogEntry) bool {
			if sh := shapeOf(e.Line, sel.Parser); sh != nil && !sh.passes(sel.Tests) {
				return true
			}
			return !keep(e.Line) || slices.ContainsFunc(sel.Fields, func(f store.FieldPredicate) bool {
				return !f.Holds(e.Meta.Get(f.Field()))
			})
		})
		if sel.Direction == store.Backward {
			slices.Reverse(entries)
		}
		if len(entries) > 0 {
			out[s] = entries
		}
	}
	return out, nil
}

// refBatch is the batch size of the reference, small so that tests see several.
const refBatch = 7

// Select implements [store.LogReader]. It merges the streams by time, one run of entries
// of a stream after the other.
func (l *Logs) Select(ctx context.Context, tenant model.Tenant, sel store.LogSelector) iter.Seq2[*store.LogRows, error] {
	return func(yield func(*store.LogRows, error) bool) {
		rest, err := l.selected(tenant, sel)
		if err != nil {
			yield(nil, err)
			return
		}
		for n := 0; len(rest) > 0 && (sel.Limit == 0 || n < sel.Limit); {
			s := firstStream(rest, sel.Direction)
			run := runOf(rest, s, sel.Direction)
			err := ctx.Err()
			if err == nil {
				err = sel.Account.Scanned(entryBytes(run), int64(len(run)))
			}
			if err != nil {
				yield(nil, err)
				return
			}
			sel.Account.Matched(int64(len(run)))
			rows := logRows(s, run, sel, n)
			if rest[s] = rest[s][len(run):]; len(rest[s]) == 0 {
				delete(rest, s)
			}
			rows.Frontier = run[len(run)-1].Time
			if !yield(rows, nil) {
				return
			}
			poisonLogRows(rows)
			n += len(run)
		}
	}
}

// firstStream returns the stream whose next entry comes first in direction d; of equal
// ones, that with the smaller labels.
func firstStream(rest map[*refStream][]store.LogEntry, d store.Direction) *refStream {
	streams := slices.SortedFunc(maps.Keys(rest), func(a, b *refStream) int {
		byTime := cmp.Compare(rest[a][0].Time, rest[b][0].Time)
		if d == store.Backward {
			byTime = -byTime
		}
		return cmp.Or(byTime, a.labels.Compare(b.labels))
	})
	return streams[0]
}

// runOf returns the longest run of next entries of s, at most refBatch, that do not come
// after the next entry of another stream.
func runOf(rest map[*refStream][]store.LogEntry, s *refStream, d store.Direction) []store.LogEntry {
	run := rest[s]
	if len(run) > refBatch {
		run = run[:refBatch]
	}
	for other, entries := range rest {
		if other == s {
			continue
		}
		next := entries[0].Time
		after := func(e store.LogEntry) bool { return e.Time > next }
		if d == store.Backward {
			after = func(e store.LogEntry) bool { return e.Time < next }
		}
		if i := slices.IndexFunc(run, after); i >= 0 {
			run = run[:i]
		}
	}
	return run
}

func entryBytes(entries []store.LogEntry) (n int64) {
	for _, e := range entries {
		n += int64(len(e.Line))
		for _, m := range e.Meta.Labels() {
			n += int64(len(m.Name) + len(m.Value))
		}
	}
	return n
}

// logRows makes a batch of run; before is the number of entries in batches before.
func logRows(s *refStream, run []store.LogEntry, sel store.LogSelector, before int) *store.LogRows {
	rows := &store.LogRows{Stream: s.labels, StreamID: s.id}
	names := map[string]bool{}
	for _, e := range run {
		rows.Times = append(rows.Times, e.Time)
		if sel.Sizes {
			rows.Sizes = append(rows.Sizes, int32(len(e.Line)))
		}
		line := e.Line
		if sel.Parser != nil {
			found, number := (*model.LineFields)(nil), 0.0
			if sh := shapeOf(e.Line, sel.Parser); sh != nil {
				found, number = sh.found(sel.Number, before+len(rows.Found))
				if sel.NoLine {
					line = "the line of a row with fields"
				}
			}
			rows.Found = append(rows.Found, found)
			if sel.Number != nil {
				rows.Numbers = append(rows.Numbers, number)
			}
		}
		if !sel.NoLine || sel.Parser != nil {
			rows.Lines = append(rows.Lines, line)
		}
		for _, m := range e.Meta.Labels() {
			if !sel.NoMeta && (sel.MetaNames == nil || slices.Contains(sel.MetaNames, m.Name)) {
				names[m.Name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := store.MetaColumn{Name: name}
		for _, e := range run {
			c.Values = append(c.Values, e.Meta.Get(name))
		}
		rows.Meta = append(rows.Meta, c)
	}
	return rows
}

// poisonLogRows spoils a batch that its reader may not use any more.
func poisonLogRows(r *store.LogRows) {
	const spoilt = "batch used after its iteration"
	for i := range r.Times {
		r.Times[i] = -1
	}
	for i := range r.Lines {
		r.Lines[i] = spoilt
	}
	for _, f := range r.Found {
		if f != nil && f.ID < 0 {
			for i := range f.Values {
				f.Values[i] = spoilt
			}
		}
	}
	for _, c := range r.Meta {
		for i := range c.Values {
			c.Values[i] = spoilt
		}
	}
}

// Tail implements [store.LogReader].
func (l *Logs) Tail(ctx context.Context, tenant model.Tenant, ms []*model.Matcher, f func(b *store.LogBatch, dropped int) error) error {
	c := make(chan *store.LogBatch, 1000)
	l.mu.Lock()
	l.tails[c] = tenant
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.tails, c)
		l.mu.Unlock()
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f(&store.LogBatch{}, 0); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-c:
			out := &store.LogBatch{}
			for _, s := range b.Streams {
				if model.MatchesLabels(s.Labels, ms) && len(s.Entries) > 0 {
					out.Streams = append(out.Streams, s)
				}
			}
			if len(out.Streams) == 0 {
				continue
			}
			if err := f(out, 0); err != nil {
				return err
			}
		}
	}
}

// Caps implements [store.LogReader].
func (l *Logs) Caps() store.LogCaps {
	return store.LogCaps{LineFilter: true, LineRegexp: true, FieldFilter: true, Shapes: true, Sizes: true}
}

// inRange calls f for each matching stream with entries in the range of sel.
func (l *Logs) inRange(tenant model.Tenant, sel store.LogSelector, f func(*refStream, []store.LogEntry)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.matching(tenant, sel.Matchers) {
		if entries := s.in(sel.Range); len(entries) > 0 {
			f(s, entries)
		}
	}
}

// LabelNames implements [store.LogIndex].
func (l *Logs) LabelNames(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]string, error) {
	names := map[string]bool{}
	l.inRange(tenant, sel, func(s *refStream, _ []store.LogEntry) {
		for _, x := range s.labels {
			names[x.Name] = true
		}
	})
	return slices.Sorted(maps.Keys(names)), ctx.Err()
}

// LabelValues implements [store.LogIndex].
func (l *Logs) LabelValues(ctx context.Context, tenant model.Tenant, name string, sel store.LogSelector) ([]string, error) {
	values := map[string]bool{}
	l.inRange(tenant, sel, func(s *refStream, _ []store.LogEntry) {
		if v := s.labels.Get(name); v != "" {
			values[v] = true
		}
	})
	return slices.Sorted(maps.Keys(values)), ctx.Err()
}

// Streams implements [store.LogIndex].
func (l *Logs) Streams(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]store.StreamStats, error) {
	var out []store.StreamStats
	l.inRange(tenant, sel, func(s *refStream, entries []store.LogEntry) {
		out = append(out, store.StreamStats{Labels: s.labels, Entries: int64(len(entries)), Bytes: entryBytes(entries), Blocks: 1})
	})
	return out, ctx.Err()
}

// FieldNames implements [store.LogIndex].
func (l *Logs) FieldNames(ctx context.Context, tenant model.Tenant, sel store.LogSelector) ([]store.NameCount, error) {
	values := map[string]map[string]bool{}
	l.inRange(tenant, sel, func(_ *refStream, entries []store.LogEntry) {
		for _, e := range entries {
			for _, m := range e.Meta.Labels() {
				if values[m.Name] == nil {
					values[m.Name] = map[string]bool{}
				}
				values[m.Name][m.Value] = true
			}
		}
	})
	var out []store.NameCount
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, store.NameCount{Name: name, Count: int64(len(values[name]))})
	}
	return out, ctx.Err()
}
