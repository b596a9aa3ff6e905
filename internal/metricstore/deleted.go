package metricstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A deletion is a numbered note: series that match, in a range of time. It applies to the
// data that was stored when it was made, which is what lies in parts that have seen fewer
// deletions: a delete begins with a flush, and every part knows the number of the last
// deletion that it has seen. So readers leave the data out at once, merges drop it for
// good, and what is written later under the same names stays. A note that no part needs
// any more is forgotten.
//
// The notes are in one small file, replaced as a whole before a delete is acknowledged.

// deletedName is the file of the deletions in the directory of the store.
const deletedName = "DELETED"

// deletions is the state of the deletions. It never changes; a new one replaces it.
type deletions struct {
	last uint64 // number of the newest one ever
	list []deletion
}

type deletion struct {
	seq    uint64
	tenant model.Tenant
	ms     []*model.Matcher
	q      *index.Query
	r      model.TimeRange // Unix milliseconds
}

// Form on disk.
type (
	deletionsFile struct {
		Version int            `json:"version"`
		Last    uint64         `json:"last"`
		List    []deletionFile `json:"list"`
	}
	deletionFile struct {
		Seq      uint64        `json:"seq"`
		Tenant   model.Tenant  `json:"tenant"`
		Matchers []matcherFile `json:"matchers"`
		From     int64         `json:"from"`
		To       int64         `json:"to"`
	}
	matcherFile struct {
		Name  string `json:"name"`
		Op    string `json:"op"` // =, !=, =~, !~
		Value string `json:"value"`
	}
)

const deletedVersion = 1

func (d *deletions) save(dir string) error {
	f := deletionsFile{Version: deletedVersion, Last: d.last}
	for _, x := range d.list {
		y := deletionFile{Seq: x.seq, Tenant: x.tenant, From: x.r.From, To: x.r.To}
		for _, m := range x.ms {
			y.Matchers = append(y.Matchers, matcherFile{m.Name, m.Type.String(), m.Value})
		}
		f.List = append(f.List, y)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("save deletions: %w", err)
	}
	return part.Save(dir, deletedName, body)
}

func loadDeletions(dir string) (*deletions, error) {
	d := &deletions{}
	body, err := part.Load(dir, deletedName)
	if errors.Is(err, os.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	var f deletionsFile
	if err := json.Unmarshal(body, &f); err != nil {
		return d, fmt.Errorf("load deletions: %w: %w", store.ErrCorrupt, err)
	}
	if f.Version > deletedVersion {
		return d, fmt.Errorf("load deletions: format version %d, this program reads up to %d", f.Version, deletedVersion)
	}
	d.last = f.Last
	ops := []model.MatchType{model.MatchEqual, model.MatchNotEqual, model.MatchRegexp, model.MatchNotRegexp}
	for _, y := range f.List {
		x := deletion{seq: y.Seq, tenant: y.Tenant, r: model.TimeRange{From: y.From, To: y.To}}
		for _, m := range y.Matchers {
			op := slices.IndexFunc(ops, func(t model.MatchType) bool { return t.String() == m.Op })
			if op < 0 {
				return d, fmt.Errorf("load deletions: %w: operator %q", store.ErrCorrupt, m.Op)
			}
			mm, err := model.NewMatcher(ops[op], m.Name, m.Value)
			if err != nil {
				return d, fmt.Errorf("load deletions: %w: %w", store.ErrCorrupt, err)
			}
			x.ms = append(x.ms, mm)
		}
		x.q = index.NewQuery(x.ms)
		d.list = append(d.list, x)
	}
	return d, nil
}

// openDeletions loads the deletions. When they are damaged, deleted data shows again, and
// queries say so; parts know the highest number that they have seen.
func (s *Store) openDeletions() error {
	d, err := loadDeletions(s.dir)
	if errors.Is(err, store.ErrCorrupt) {
		s.opts.Logger.Error("deletions are unreadable; deleted series that no merge has dropped show again", "err", err)
		s.lose("the list of deleted series is damaged: some of them show again; delete them once more")
		d = &deletions{}
	} else if err != nil {
		return err
	}
	for _, name := range s.set.Tenants() {
		v := s.set.View(name, always())
		for _, p := range v.Parts {
			d.last = max(d.last, p.Data.seen)
		}
		v.Close()
	}
	s.deleted.Store(d)
	return nil
}

// Delete deletes the samples, histograms and exemplars in r (Unix milliseconds) of the
// series that match all of one of sets. It returns nil once that is durable and readers
// see none of them. What is written later is not deleted.
func (s *Store) Delete(ctx context.Context, name model.Tenant, sets [][]*model.Matcher, r model.TimeRange) error {
	var add []deletion
	for _, ms := range sets {
		q := index.NewQuery(ms)
		if err := tooBroad(&store.MetricSelector{}, q); err != nil {
			return fmt.Errorf("delete series: %w", err)
		}
		add = append(add, deletion{tenant: name, ms: slices.Clone(ms), q: q, r: r})
	}
	if r.Empty() || len(add) == 0 {
		return nil
	}
	if err := s.Flush(ctx); err != nil {
		return fmt.Errorf("delete series: %w", err)
	}
	s.delMu.Lock()
	defer s.delMu.Unlock()
	old := s.deleted.Load()
	next := &deletions{last: old.last, list: slices.Clone(old.list)}
	for _, x := range add {
		next.last++
		x.seq = next.last
		next.list = append(next.list, x)
	}
	if err := next.save(s.dir); err != nil {
		return fmt.Errorf("delete series: %w", err)
	}
	s.deleted.Store(next)
	return nil
}

// CleanDeleted drops deleted data from disk now. Merges do it anyway, a little later.
func (s *Store) CleanDeleted(ctx context.Context) error {
	if err := s.Merge(ctx); err != nil {
		return fmt.Errorf("clean deleted series: %w", err)
	}
	return s.forgetDeletions()
}

// forgetDeletions drops the notes that no part needs any more.
func (s *Store) forgetDeletions() error {
	s.delMu.Lock()
	defer s.delMu.Unlock()
	old := s.deleted.Load()
	next := &deletions{last: old.last, list: slices.DeleteFunc(slices.Clone(old.list), func(x deletion) bool {
		v := s.set.View(x.tenant, toNanos(x.r))
		defer v.Close()
		return !slices.ContainsFunc(v.Parts, func(p *openPart) bool { return p.Data.seen < x.seq && p.Data.unhurt.Load() < x.seq })
	})}
	if len(next.list) == len(old.list) {
		return nil
	}
	if err := next.save(s.dir); err != nil {
		return fmt.Errorf("forget deletions: %w", err)
	}
	s.deleted.Store(next)
	return nil
}

// holes is what is deleted of the series of a part: sorted ranges without overlaps.
type holes map[uint32][]model.TimeRange

// holesOf returns what deletions d take from p, nil for nothing.
func (d *deletions) holesOf(p *openPart, t *tables) holes {
	var out holes
	lo, hi := p.Info.Stats.MinTime/nsPerMs, p.Info.Stats.MaxTime/nsPerMs
	for i := range d.list {
		x := &d.list[i]
		if x.seq <= p.Data.seen || x.seq <= p.Data.unhurt.Load() || x.tenant != p.Info.Tenant || !x.r.Overlaps(lo, hi) {
			continue
		}
		for _, ref := range t.series.Select(x.q) {
			if out == nil {
				out = holes{}
			}
			out[ref] = addRange(out[ref], x.r)
		}
	}
	if out == nil {
		p.Data.unhurt.Store(d.last)
	}
	return out
}

// addRange adds r to sorted ranges without overlaps.
func addRange(rs []model.TimeRange, r model.TimeRange) []model.TimeRange {
	out := make([]model.TimeRange, 0, len(rs)+1)
	for _, x := range rs {
		if x.To < r.From || r.To < x.From {
			out = append(out, x)
		} else {
			r.From, r.To = min(r.From, x.From), max(r.To, x.To)
		}
	}
	i, _ := slices.BinarySearchFunc(out, r.From, func(x model.TimeRange, from int64) int {
		if x.From < from {
			return -1
		}
		return 1
	})
	return slices.Insert(out, i, r)
}

// covers reports whether everything in r from minT to maxT is deleted.
func covers(rs []model.TimeRange, r model.TimeRange, minT, maxT int64) bool {
	minT, maxT = max(minT, r.From), min(maxT, r.To-1)
	return slices.ContainsFunc(rs, func(x model.TimeRange) bool { return x.Contains(minT) && x.Contains(maxT) })
}

func inHole(rs []model.TimeRange, t int64) bool {
	return slices.ContainsFunc(rs, func(x model.TimeRange) bool { return x.Contains(t) })
}

// cutHoles drops the deleted ones of the samples from index had on.
func cutHoles(ts []int64, vs []float64, had int, rs []model.TimeRange) ([]int64, []float64) {
	if len(rs) == 0 {
		return ts, vs
	}
	off, n := len(vs)-len(ts), had // the slices may have begun at different lengths
	for i := had; i < len(ts); i++ {
		if !inHole(rs, ts[i]) {
			ts[n], vs[n+off] = ts[i], vs[i+off]
			n++
		}
	}
	return ts[:n], vs[:n+off]
}

func cutHistograms(hs []store.HistogramSample, rs []model.TimeRange) []store.HistogramSample {
	if len(rs) == 0 {
		return hs
	}
	return slices.DeleteFunc(hs, func(h store.HistogramSample) bool { return inHole(rs, h.Time) })
}

func cutExemplars(es []store.Exemplar, rs []model.TimeRange) []store.Exemplar {
	if len(rs) == 0 {
		return es
	}
	return slices.DeleteFunc(slices.Clone(es), func(e store.Exemplar) bool { return inHole(rs, e.Time) })
}

// wholly is every time a range can hold, Unix milliseconds.
func wholly() model.TimeRange { return model.TimeRange{From: math.MinInt64, To: math.MaxInt64} }

// toClean returns the first of the parts that holds deleted data, if one does.
func (s *Store) toClean(ps []*openPart) []*openPart {
	d := s.deleted.Load()
	if len(d.list) == 0 {
		return nil
	}
	for _, p := range ps {
		if p.Data.seen >= d.last || p.Data.unhurt.Load() >= d.last {
			continue
		}
		t, err := s.load(p)
		if err != nil {
			continue // merges and queries report it
		}
		if d.holesOf(p, t) != nil {
			return []*openPart{p}
		}
	}
	return nil
}
