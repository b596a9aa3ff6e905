package logstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A delete request hides its entries from the moment it is durable. For the time in which
// it can be taken back nothing else happens. Then, once:
//
//	flush the head; horizon = the next part id: what the request means is in older parts
//	parts before the horizon that it touches are rewritten without it (merge_removal.go)
//	none is left: processed; the request hides nothing any more and is kept for the record
//
// So entries that arrive after the flush are not meant, whatever their time.

// Bounds of the requests of a tenant.
const (
	maxOpenDeletes = 1000
	maxDoneDeletes = 100 // that are remembered
)

// deletion is a request.
type deletion struct {
	store.LogDeletion
	Tenant  model.Tenant
	Horizon uint64 // parts with smaller ids may hold its entries; 0 until it can not be taken back
	Parts   int    // that had to be rewritten
	Over    bool   // nothing of it is left

	filter EntryFilter
}

// open reports whether d hides entries.
func (d *deletion) open() bool { return !d.Over }

// deletes is all requests, in memory and in a file.
type deletes struct {
	path    string
	compile func(query string) (EntryFilter, error) // nil: there can be none

	mu   sync.Mutex
	list []*deletion // guarded by mu; oldest first; replaced, never changed in place
}

// deletesFile is the file: like a manifest one line with the checksum of the rest, in hex,
// and JSON.
type deletesFile struct {
	Version  int         `json:"version"`
	Requests []*deletion `json:"requests"`
}

const (
	deletesName    = "DELETES"
	deletesVersion = 1
)

// loadDeletes reads the requests in dir. One whose query is no longer understood is an
// error: its entries must not reappear.
func loadDeletes(dir string, compile func(string) (EntryFilter, error)) (*deletes, error) {
	ds := &deletes{path: filepath.Join(dir, deletesName), compile: compile}
	data, err := os.ReadFile(ds.path)
	if errors.Is(err, os.ErrNotExist) {
		return ds, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load delete requests: %w", err)
	}
	sum, body, _ := bytes.Cut(data, []byte("\n"))
	want, err := strconv.ParseUint(string(sum), 16, 64)
	if err != nil || xxh3.Hash(body) != want {
		return ds, fmt.Errorf("load delete requests: %w: checksum of %s", store.ErrCorrupt, ds.path)
	}
	var f deletesFile
	if err := json.Unmarshal(body, &f); err != nil {
		return ds, fmt.Errorf("load delete requests: %w: %w", store.ErrCorrupt, err)
	}
	if f.Version > deletesVersion {
		return nil, fmt.Errorf("load delete requests: format version %d, this program reads up to %d", f.Version, deletesVersion)
	}
	for _, d := range f.Requests {
		if !d.open() {
			continue
		}
		if compile == nil {
			return nil, fmt.Errorf("load delete requests: %w: nothing reads the query of request %s", store.ErrUnsupported, d.ID)
		}
		if d.filter, err = compile(d.Query); err != nil {
			return nil, fmt.Errorf("load delete request %s: %w", d.ID, err)
		}
	}
	ds.list = f.Requests
	return ds, nil
}

// openDeletes reads the requests in dir. If they are damaged every query warns: entries
// that were deleted may be seen again.
func (s *Store) openDeletes(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var err error
	s.deletes, err = loadDeletes(dir, s.opts.DeleteFilter)
	if errors.Is(err, store.ErrCorrupt) {
		s.opts.Logger.Error("the delete requests are unreadable; deleted entries may be seen again", "err", err)
		s.lost = append(s.lost, "the list of delete requests was damaged: entries that were deleted may be seen again; make the requests anew")
		return s.deletes.moveAside(s.opts.Now())
	}
	return err
}

// moveAside keeps a damaged file for the operator.
func (ds *deletes) moveAside(now time.Time) error {
	return os.Rename(ds.path, fmt.Sprintf("%s.damaged.%d", ds.path, now.UnixNano()))
}

// change replaces the list by what f makes of a copy, durably. Elements that f changes it
// must replace.
func (ds *deletes) change(f func(list []*deletion) ([]*deletion, error)) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	list, err := f(slices.Clone(ds.list))
	if err != nil {
		return err
	}
	body, err := json.Marshal(deletesFile{Version: deletesVersion, Requests: list})
	if err != nil {
		return fmt.Errorf("save delete requests: %w", err)
	}
	data := append(fmt.Appendf(nil, "%016x\n", xxh3.Hash(body)), body...)
	if err := writeDurably(ds.path, data); err != nil {
		return fmt.Errorf("save delete requests: %w", err)
	}
	ds.list = list
	return nil
}

// writeDurably replaces a file.
func writeDurably(path string, data []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// all returns the requests, oldest first.
func (ds *deletes) all() []*deletion {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.list
}

// in returns the open requests of tenant that concern r; with due only those that cannot
// be taken back.
func (ds *deletes) in(tenant model.Tenant, r model.TimeRange, due bool) []*deletion {
	var out []*deletion
	for _, d := range ds.all() {
		if d.Tenant == tenant && d.open() && (d.Horizon > 0 || !due) && d.Range.From < r.To && r.From < d.Range.To {
			out = append(out, d)
		}
	}
	return out
}

// Delete takes on d, of which Query and Range are set, and returns it completed. When it
// returns, no query sees the entries any more, also after a crash. Errors of the query are
// those of Options.DeleteFilter; [store.ErrLimit] means that too many requests are open.
func (s *Store) Delete(ctx context.Context, tenant model.Tenant, d store.LogDeletion) (store.LogDeletion, error) {
	if err := ctx.Err(); err != nil {
		return d, err
	}
	if s.deletes.compile == nil {
		return d, fmt.Errorf("delete logs: %w", store.ErrUnsupported)
	}
	filter, err := s.deletes.compile(d.Query)
	if err != nil {
		return d, err
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return d, fmt.Errorf("delete logs: %w", err)
	}
	d.ID, d.Created = hex.EncodeToString(id[:]), s.opts.Now().UnixNano()
	d.Range = clip(d.Range)
	err = s.deletes.change(func(list []*deletion) ([]*deletion, error) {
		open := 0
		for _, x := range list {
			if x.Tenant == tenant && x.open() {
				open++
			}
		}
		if open >= maxOpenDeletes {
			return nil, fmt.Errorf("delete logs: %w: %d delete requests are open; wait until some are processed, or combine their selectors", store.ErrLimit, open)
		}
		return append(list, &deletion{LogDeletion: d, Tenant: tenant, filter: filter}), nil
	})
	return d, err
}

// Deletions returns the delete requests of tenant, oldest first.
func (s *Store) Deletions(tenant model.Tenant) []store.LogDeletion {
	var out []store.LogDeletion
	for _, d := range s.deletes.all() {
		if d.Tenant != tenant {
			continue
		}
		x := d.LogDeletion
		switch {
		case d.Over:
			x.Done = 1
		case d.Horizon == 0:
			x.Cancelable = true
		default: // at 1 it is over, which only advanceDeletes says
			left := max(1, len(s.touchedBy(d)))
			x.Done = 1 - float64(left)/float64(max(d.Parts, left))
		}
		out = append(out, x)
	}
	return out
}

// CancelDeletion takes a delete request back: entries that are still on disk are seen
// again. Unless force is set, that is an [store.ErrLimit] once the time for it is over. It
// returns [store.ErrNotFound] if tenant has no such request.
func (s *Store) CancelDeletion(_ context.Context, tenant model.Tenant, id string, force bool) error {
	return s.deletes.change(func(list []*deletion) ([]*deletion, error) {
		i := slices.IndexFunc(list, func(d *deletion) bool { return d.Tenant == tenant && d.ID == id })
		switch {
		case i < 0:
			return nil, fmt.Errorf("cancel delete request %q: %w", id, store.ErrNotFound)
		case list[i].Horizon > 0 && !force:
			return nil, fmt.Errorf("cancel delete request %s: %w: it is being processed or done; with force what is left of its entries is kept", id, store.ErrLimit)
		}
		return slices.Delete(list, i, i+1), nil
	})
}

// deletesEvery is the time between looks at the requests.
const deletesEvery = 5 * time.Second

func (s *Store) deleteLoop(ctx context.Context) error {
	tick := time.NewTicker(deletesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.advanceDeletes(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.Error("process delete requests; it is tried again", "err", err)
		}
	}
}

// advanceDeletes lets requests begin whose time to be taken back is over, and ends those
// of which nothing is left.
func (s *Store) advanceDeletes(ctx context.Context) error {
	now := s.opts.Now()
	var due, done []*deletion
	for _, d := range s.deletes.all() {
		switch {
		case d.Horizon == 0:
			if now.Sub(time.Unix(0, d.Created)) >= s.opts.DeleteCancelPeriod && !s.limits(d.Tenant).KeepDeleted {
				due = append(due, d)
			}
		case d.open():
			if len(s.touchedBy(d)) == 0 {
				done = append(done, d)
			}
		}
	}
	if len(due)+len(done) == 0 {
		return nil
	}
	horizon := uint64(0)
	if len(due) > 0 {
		if err := s.Flush(ctx); err != nil {
			return err
		}
		horizon = s.set.NextID()
	}
	return s.deletes.change(func(list []*deletion) ([]*deletion, error) {
		for i, d := range list {
			next := *d
			switch {
			case slices.Contains(due, d):
				next.Horizon = max(1, horizon)
				next.Parts = len(s.touchedBy(&next))
			case slices.Contains(done, d):
				next.Over = true
				s.opts.Logger.Info("delete request processed", "tenant", string(d.Tenant), "id", d.ID, "query", d.Query)
			default:
				continue
			}
			list[i] = &next
		}
		return forgetDone(list), nil
	})
}

// forgetDone keeps the latest processed requests of each tenant.
func forgetDone(list []*deletion) []*deletion {
	done := map[model.Tenant]int{}
	for i := len(list) - 1; i >= 0; i-- {
		if d := list[i]; !d.open() {
			if done[d.Tenant]++; done[d.Tenant] > maxDoneDeletes {
				list = slices.Delete(list, i, i+1)
			}
		}
	}
	return list
}

// touchedBy returns the parts that may hold entries of d.
func (s *Store) touchedBy(d *deletion) []uint64 {
	v := s.set.View(d.Tenant, d.Range)
	defer v.Close()
	var out []uint64
	for _, p := range v.Parts {
		if d.touchesPart(p) {
			out = append(out, p.Info.ID)
		}
	}
	return out
}

// touchesPart reports whether p may hold entries of d.
func (d *deletion) touchesPart(p *part.Part[*partIndex]) bool {
	if p.Info.ID >= d.Horizon || !d.Range.Overlaps(p.Info.Stats.MinTime, p.Info.Stats.MaxTime) {
		return false
	}
	x := p.Data
	for stream := range x.numStreams() {
		if labels, _ := x.labels(uint32(stream)); !model.MatchesLabels(labels, d.filter.Matchers) {
			continue
		}
		if slices.ContainsFunc(x.segments(uint32(stream)), func(i uint32) bool { return d.Range.Overlaps(x.segs[i].min, x.segs[i].max) }) {
			return true
		}
	}
	return false
}
