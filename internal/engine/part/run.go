package part

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// mergeWidth is the number of parts of similar size that are merged into one.
const mergeWidth = 6

// Parts up to smallPart bytes count as similar to each other, and a part as similar to
// smaller ones if it is at most similarRatio times as big as all of them together.
const (
	smallPart    = 1 << 20
	similarRatio = 4
)

// Run merges parts and drops days past their retention until ctx is done.
func (s *Set[T]) Run(ctx context.Context) error {
	tick := time.NewTicker(s.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.DropExpired(); err != nil {
			s.opts.Logger.Error("drop expired data", "signal", s.opts.Signal.String(), "err", err)
		}
		if _, err := s.MergeOnce(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.Error("merge parts", "signal", s.opts.Signal.String(), "err", err)
		}
	}
}

// MergeOnce does every merge that is due now and reports how many it did. One that fails
// does not keep other tenants and days from theirs.
func (s *Set[T]) MergeOnce(ctx context.Context) (int, error) {
	if s.opts.Merge == nil {
		return 0, nil
	}
	s.mergeMu.Lock()
	defer s.mergeMu.Unlock()
	n := 0
	var errs []error
	for _, key := range s.partitions() {
		for ctx.Err() == nil {
			in := s.pickRewrite(key)
			asked := len(in) > 0
			if !asked {
				in = s.pick(key)
			}
			if len(in) == 0 {
				break
			}
			err := s.merge(ctx, key, in)
			tooBig := !asked && errors.Is(err, store.ErrLimit)
			if tooBig {
				slices.MaxFunc(in, func(a, b *Part[T]) int { return cmp.Compare(a.size, b.size) }).closed.Store(true)
			}
			for _, p := range in {
				p.release()
			}
			if tooBig {
				continue
			}
			if err != nil {
				s.metrics.mergesFailed.Inc()
				errs = append(errs, fmt.Errorf("merge %d parts of %s/%s: %w", len(in), key.tenant, key.day, err))
				break
			}
			n++
		}
		if ctx.Err() != nil {
			break
		}
	}
	return n, errors.Join(errs...)
}

func (s *Set[T]) partitions() []partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []partition
	for key, ps := range s.parts {
		if len(ps) > 1 || len(ps) == 1 && s.opts.Rewrite != nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.day, b.day))
	})
	return keys
}

// pickRewrite asks the store for parts to merge next. Each is referenced.
func (s *Set[T]) pickRewrite(key partition) []*Part[T] {
	if s.opts.Rewrite == nil {
		return nil
	}
	s.mu.Lock()
	ps := slices.Clone(s.parts[key])
	for _, p := range ps {
		p.refs.Add(1)
	}
	s.mu.Unlock()
	in := s.opts.Rewrite(key.tenant, key.day, ps)
	for _, p := range ps {
		if !slices.Contains(in, p) {
			p.release()
		}
	}
	return in
}

// pick chooses the parts to merge next: mergeWidth or more of similar size in the
// current day, two or more in a day that is over. A part much bigger than all smaller
// ones together is left alone, so that a trickle of late data does not rewrite it again
// and again. Each picked part is referenced.
func (s *Set[T]) pick(key partition) []*Part[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	width := mergeWidth
	if key.day.Start()+nsPerDay+int64(time.Hour) < s.opts.Now().UnixNano() {
		width = 2
	}
	ps := slices.DeleteFunc(slices.Clone(s.parts[key]), func(p *Part[T]) bool { return p.closed.Load() })
	slices.SortFunc(ps, func(a, b *Part[T]) int { return cmp.Compare(a.size, b.size) })
	for i := 0; i+width <= len(ps); i++ {
		total, n := int64(0), 0
		for _, p := range ps[i:] {
			if n > 0 && p.size > similarRatio*max(total, smallPart) || total+p.size > s.opts.MaxPartSize {
				break
			}
			total += p.size
			n++
		}
		if n < width {
			continue
		}
		in := ps[i : i+n]
		slices.SortFunc(in, func(a, b *Part[T]) int { return cmp.Compare(a.Info.ID, b.Info.ID) })
		for _, p := range in {
			p.refs.Add(1)
		}
		return in
	}
	return nil
}

func (s *Set[T]) merge(ctx context.Context, key partition, in []*Part[T]) error {
	begin := time.Now()
	var level uint32
	for _, p := range in {
		level = max(level, p.stats.Level)
	}
	w, err := s.create(key, level+1)
	if err != nil {
		return err
	}
	done, err := s.opts.Merge(ctx, in, w)
	if err != nil {
		w.Abort()
		return err
	}
	var add []*Finished
	if done == nil {
		w.Abort()
	} else {
		add = append(add, done)
	}
	if err := s.keepDamaged(in); err != nil {
		for _, f := range add {
			f.Discard()
		}
		return err
	}
	if err := s.commit(0, add, in); err != nil {
		return err
	}
	s.metrics.merges.Inc()
	s.metrics.mergeSeconds.Observe(time.Since(begin).Seconds())
	return nil
}

// keepDamaged copies parts with damaged blocks to quarantine before a merge replaces
// them, and remembers that rows are missing.
func (s *Set[T]) keepDamaged(in []*Part[T]) error {
	for _, p := range in {
		if p.damaged.Load() == 0 {
			continue
		}
		if err := makeDirs(s.dir, quarantineDir); err != nil {
			return err
		}
		to := filepath.Join(s.dir, quarantineDir, flatten(p.name))
		if err := os.Link(filepath.Join(s.dir, p.name), to); err != nil && !os.IsExist(err) {
			return fmt.Errorf("quarantine %s: %w", p.name, err)
		}
		s.mu.Lock()
		if !slices.ContainsFunc(s.bad, func(i Info) bool { return i.ID == p.Info.ID }) { // from a merge that failed
			s.bad = append(slices.Clip(s.bad), p.Info)
		}
		s.mu.Unlock()
	}
	return nil
}

// DropExpired removes the days whose last instant is older than their tenant's
// retention.
func (s *Set[T]) DropExpired() error {
	if s.opts.Retention == nil {
		return nil
	}
	now := s.opts.Now()
	expired := func(i Info) bool {
		keep := s.opts.Retention(i.Tenant)
		return keep > 0 && i.Day.Start()+nsPerDay < now.Add(-keep).UnixNano()
	}
	s.mu.Lock()
	var drop []*Part[T]
	var dirs []string
	for _, ps := range s.parts {
		if len(ps) > 0 && expired(ps[0].Info) {
			drop = append(drop, ps...)
			dirs = append(dirs, filepath.Join(s.dir, filepath.Dir(ps[0].Info.path())))
		}
	}
	s.bad = slices.DeleteFunc(slices.Clone(s.bad), expired)
	s.mu.Unlock()
	if len(drop) == 0 {
		return nil
	}
	if err := s.commit(0, nil, drop); err != nil {
		return err
	}
	s.metrics.dropped.Add(float64(len(drop)))
	for _, d := range dirs {
		_ = os.Remove(d) // fails while a view still reads a part; the next Open sweeps it
	}
	return nil
}

// sweep deletes files that do not count: unfinished writes and inputs of merges that a
// crash left behind.
func (s *Set[T]) sweep() {
	known := map[uint64]bool{}
	for _, i := range s.man.Parts {
		known[i.ID] = true
	}
	err := s.walk(func(info Info, complete bool) {
		if complete && known[info.ID] {
			return
		}
		path := filepath.Join(s.dir, info.path())
		_ = os.Remove(path + ".tmp")
		if !known[info.ID] {
			_ = os.Remove(path)
			_ = os.Remove(filepath.Dir(path)) // if empty
		}
	})
	if err != nil {
		s.opts.Logger.Error("sweep unused files", "signal", s.opts.Signal.String(), "err", err)
	}
}

// walk calls f for every part file below dir; complete is false for unfinished ones.
func (s *Set[T]) walk(f func(info Info, complete bool)) error {
	return filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == quarantineDir && filepath.Dir(path) == filepath.Clean(s.dir) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		if info, complete, ok := parsePath(rel); ok {
			f(info, complete)
		}
		return nil
	})
}

// parsePath reads data/<tenant>/<yyyymmdd>/<id>.part[.tmp].
func parsePath(rel string) (info Info, complete, ok bool) {
	elems := strings.Split(filepath.ToSlash(rel), "/")
	if len(elems) != 4 || elems[0] != dataDir {
		return info, false, false
	}
	day, err := time.Parse("20060102", elems[2])
	if err != nil {
		return info, false, false
	}
	name, tmp := strings.CutSuffix(elems[3], ".tmp")
	name, isPart := strings.CutSuffix(name, ".part")
	id, err := strconv.ParseUint(name, 16, 64)
	if !isPart || err != nil {
		return info, false, false
	}
	return Info{ID: id, Tenant: model.Tenant(elems[1]), Day: DayOf(day.UnixNano())}, !tmp, true
}

// flatten makes one file name of a path.
func flatten(rel string) string { return strings.ReplaceAll(filepath.ToSlash(rel), "/", "_") }
