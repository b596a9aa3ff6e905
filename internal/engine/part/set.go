package part

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Options configures a Set of parts whose opened form is T. Signal and Load are required.
type Options[T any] struct {
	Signal model.Signal
	// Load reads what the store wants to keep in memory of a part: its index. An error
	// wrapping store.ErrCorrupt quarantines the part.
	Load func(*File) (T, error)
	// Merge writes the rows of in, oldest part first, to w and finishes it. It drops
	// duplicates and skips blocks that File.Read calls corrupt after reporting them with
	// Part.Damaged. If no row is left it returns nil, and the parts go without a
	// successor. An error wrapping store.ErrLimit says that the result would be too big:
	// the biggest part of in is left alone from then on, unless Rewrite asked for it. nil
	// means parts are never merged.
	Merge func(ctx context.Context, in []*Part[T], w *Writer) (*Finished, error)
	// Rewrite returns those of the parts of a tenant's day, oldest first, that are to be
	// merged into one now whatever their size, because what Merge makes of them is no
	// longer what they hold: rows were deleted, have expired or are thinned out. nil asks
	// for nothing. It must be cheap, and return nil once that merge is done.
	Rewrite func(tenant model.Tenant, day Day, ps []*Part[T]) []*Part[T]
	// Drop is told the Data of a part that is closed because nobody reads it any more; nil
	// need not know. It must be quick and not use the set.
	Drop func(T)
	// Retention returns how long the data of a tenant is kept; nil or 0 means for ever.
	Retention func(model.Tenant) time.Duration

	MaxPartSize int64            // merges make no part much bigger than this; 0 means 2 GiB
	Every       time.Duration    // between looks for merges and retention; 0 means 5 s
	Logger      *slog.Logger     // nil discards
	Now         func() time.Time // nil means time.Now
	Registerer  prometheus.Registerer
}

func (o Options[T]) withDefaults() Options[T] {
	o.MaxPartSize = cmp.Or(o.MaxPartSize, 2<<30)
	o.Every = cmp.Or(o.Every, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Set is the parts of one signal. Its methods are safe for concurrent use.
type Set[T any] struct {
	dir     string
	opts    Options[T]
	metrics *metrics

	files    handles
	commitMu sync.Mutex // serialises changes of the manifest
	mergeMu  sync.Mutex // held by MergeOnce, so that no part is merged twice

	mu    sync.Mutex
	man   manifest                 // guarded by mu; as on disk, except NextID
	parts map[partition][]*Part[T] // guarded by mu; in order of id
	bad   []Info                   // guarded by mu; quarantined parts; replaced, never changed in place
}

// partition is the unit of retention and merging.
type partition struct {
	tenant model.Tenant
	day    Day
}

// Part is an open part. Data is what Options.Load returned.
type Part[T any] struct {
	*File
	Info Info
	Data T

	set     *Set[T]
	refs    atomic.Int32 // the set's own reference and one per view
	doomed  atomic.Bool  // remove the file with the last reference
	damaged atomic.Int64 // corrupt blocks reported
	closed  atomic.Bool  // too big for another merge
}

// Open opens the set in dir, creating it if absent: it loads every part, quarantines
// those that cannot be read and deletes files that do not count. A damaged or missing
// manifest is rebuilt from the files; then the wal is replayed from the start, and the
// stores' duplicate rules keep every item single. It starts no goroutine.
func Open[T any](dir string, opts Options[T]) (*Set[T], error) {
	s := &Set[T]{dir: dir, opts: opts.withDefaults(), files: handles{max: maxOpen}, parts: map[partition][]*Part[T]{}}
	s.metrics = newMetrics(opts.Registerer, opts.Signal)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open %s: %w", opts.Signal, err)
	}
	man, err := loadManifest(dir)
	fresh := errors.Is(err, store.ErrCorrupt) || errors.Is(err, os.ErrNotExist)
	if fresh {
		man, err = s.rebuild(err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", opts.Signal, err)
	}
	s.man, s.bad = man, man.Quarantined
	if err := s.openAll(fresh); err != nil {
		s.Close()
		return nil, fmt.Errorf("open %s: %w", opts.Signal, err)
	}
	s.sweep()
	return s, nil
}

// rebuild makes a manifest from the files, keeping a damaged one aside. A directory
// without files is a new one.
func (s *Set[T]) rebuild(cause error) (manifest, error) {
	m := manifest{NextID: 1}
	err := s.walk(func(info Info, complete bool) {
		if complete {
			m.Parts = append(m.Parts, info)
			m.NextID = max(m.NextID, info.ID+1)
		}
	})
	missing := errors.Is(cause, os.ErrNotExist)
	if err != nil || missing && len(m.Parts) == 0 {
		return m, err
	}
	s.metrics.quarantined.Inc()
	s.opts.Logger.Error("manifest is damaged or missing; it is rebuilt from the part files", "signal", s.opts.Signal.String(), "err", cause)
	if missing {
		return m, nil
	}
	return m, s.moveAside(manifestName)
}

// openAll opens the parts that the manifest names. It saves the manifest if it is fresh
// or a part cannot be read: the files of a set without one would be deleted.
func (s *Set[T]) openAll(fresh bool) error {
	slices.SortFunc(s.man.Parts, func(a, b Info) int { return cmp.Compare(a.ID, b.ID) })
	good := s.man.Parts[:0:0]
	for _, info := range s.man.Parts {
		p, err := s.load(info)
		switch {
		case errors.Is(err, store.ErrCorrupt) || errors.Is(err, os.ErrNotExist):
			s.quarantine(info, err)
			continue
		case err != nil:
			return err
		}
		good = append(good, p.Info)
		key := partition{info.Tenant, info.Day}
		s.parts[key] = append(s.parts[key], p)
	}
	if len(good) == len(s.man.Parts) && !fresh {
		return nil
	}
	s.man.Parts, s.man.Quarantined = good, s.bad
	return s.man.save(s.dir)
}

func (s *Set[T]) load(info Info) (*Part[T], error) {
	f, err := openFile(filepath.Join(s.dir, info.path()), info.path(), &s.files)
	if err != nil {
		return nil, err
	}
	info.Size, info.Stats = f.size, f.stats
	p := &Part[T]{File: f, Info: info, set: s}
	p.refs.Store(1)
	if p.Data, err = s.opts.Load(f); err != nil {
		f.close()
		return nil, err
	}
	return p, nil
}

// quarantine moves an unreadable part aside and remembers what is missing. It runs in
// Open only, before the set is shared.
func (s *Set[T]) quarantine(info Info, cause error) {
	s.metrics.quarantined.Inc()
	s.opts.Logger.Error("part is unreadable and quarantined", "part", info.path(), "rows", info.Stats.Rows, "err", cause)
	s.bad = append(s.bad, info)
	if err := s.moveAside(info.path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.opts.Logger.Error("move part to quarantine", "part", info.path(), "err", err)
	}
}

// moveAside moves a file below dir to quarantine/, named by its whole path.
func (s *Set[T]) moveAside(rel string) error {
	if err := makeDirs(s.dir, quarantineDir); err != nil {
		return err
	}
	name := fmt.Sprintf("%s.%d", flatten(rel), s.opts.Now().UnixNano())
	if err := os.Rename(filepath.Join(s.dir, rel), filepath.Join(s.dir, quarantineDir, name)); err != nil {
		return fmt.Errorf("quarantine %s: %w", rel, err)
	}
	return syncDir(s.dir)
}

// Covered returns the wal position that the parts cover.
func (s *Set[T]) Covered() wal.Pos {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.man.Covered
}

// Create begins a part of tenant and day.
func (s *Set[T]) Create(tenant model.Tenant, day Day) (*Writer, error) {
	return s.create(partition{tenant, day}, 0)
}

func (s *Set[T]) create(p partition, level uint32) (*Writer, error) {
	s.mu.Lock()
	id := s.man.NextID
	s.man.NextID++
	s.mu.Unlock()
	return createFile(s.dir, s.opts.Signal, Info{ID: id, Tenant: p.tenant, Day: p.day, Stats: Stats{Level: level}})
}

// NextID returns a number above the id of every part that counts now, and not above that of
// any part created from now on.
func (s *Set[T]) NextID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.man.NextID
}

// Commit makes finished parts count, atomically together with the wal position that the
// parts now cover: every record of this signal up to covered is in them. When it fails,
// nothing has changed and the files are removed.
func (s *Set[T]) Commit(covered wal.Pos, add ...*Finished) error {
	return s.commit(covered, add, nil)
}

// commit adds and removes parts in one step. covered 0 leaves the position as it is.
func (s *Set[T]) commit(covered wal.Pos, add []*Finished, remove []*Part[T]) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	opened, err := s.openFinished(add)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old, next := s.man, s.man
	next.Quarantined = s.bad
	s.mu.Unlock()
	next.Covered = max(next.Covered, covered)
	next.Parts = slices.DeleteFunc(slices.Clone(next.Parts), func(i Info) bool {
		return slices.ContainsFunc(remove, func(p *Part[T]) bool { return p.Info.ID == i.ID })
	})
	for _, p := range opened {
		next.Parts = append(next.Parts, p.Info)
	}
	if err := next.save(s.dir); err != nil {
		_ = old.save(s.dir) // the new one may be in place, but not durable
		for _, p := range opened {
			p.close()
			_ = os.Remove(filepath.Join(s.dir, p.Info.path()))
		}
		return err
	}
	s.mu.Lock()
	next.NextID = s.man.NextID
	s.man = next
	for _, p := range remove {
		key := partition{p.Info.Tenant, p.Info.Day}
		s.parts[key] = slices.DeleteFunc(s.parts[key], func(q *Part[T]) bool { return q == p })
	}
	for _, p := range opened {
		key := partition{p.Info.Tenant, p.Info.Day}
		s.parts[key] = append(s.parts[key], p)
	}
	s.mu.Unlock()
	for _, p := range remove {
		p.doomed.Store(true)
		p.release()
	}
	return nil
}

func (s *Set[T]) openFinished(add []*Finished) ([]*Part[T], error) {
	var opened []*Part[T]
	for _, f := range add {
		p, err := s.load(f.info)
		if err != nil {
			for _, p := range opened {
				p.close()
			}
			for _, f := range add {
				f.Discard()
			}
			return nil, fmt.Errorf("read back new part: %w", err)
		}
		opened = append(opened, p)
	}
	return opened, nil
}

// Close closes every part. No view may be open.
func (s *Set[T]) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ps := range s.parts {
		for _, p := range ps {
			p.release()
		}
	}
	s.parts = map[partition][]*Part[T]{}
}

// Tenants returns the tenants that have parts, sorted.
func (s *Set[T]) Tenants() []model.Tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ts []model.Tenant
	for key, ps := range s.parts {
		if len(ps) > 0 {
			ts = append(ts, key.tenant)
		}
	}
	slices.Sort(ts)
	return slices.Compact(ts)
}

// Size returns the bytes of all parts.
func (s *Set[T]) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, ps := range s.parts {
		for _, p := range ps {
			n += p.size
		}
	}
	return n
}

// Damaged reports a block of p that could not be read: it is logged and counted, and
// queries over p warn from now on.
func (p *Part[T]) Damaged(err error) {
	p.damaged.Add(1)
	p.set.metrics.damaged.Inc()
	p.set.opts.Logger.Error("block is unreadable and skipped", "part", p.name, "err", err)
}

func (p *Part[T]) release() {
	if p.refs.Add(-1) > 0 {
		return
	}
	p.close()
	if p.set.opts.Drop != nil {
		p.set.opts.Drop(p.Data)
	}
	if p.doomed.Load() {
		_ = os.Remove(filepath.Join(p.set.dir, p.name))
	}
}
