package part

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Snapshot makes dir a set of its own that holds what counts now, as hard links: it costs
// no space until merges and retention replace the originals. dir must not exist, and be
// on the same file system. The snapshot covers no log: it is opened with a new one.
func (s *Set[T]) Snapshot(dir string) error {
	s.mu.Lock()
	m := manifest{NextID: s.man.NextID, Parts: slices.Clone(s.man.Parts), Quarantined: slices.Clone(s.bad)}
	var held []*Part[T]
	for _, ps := range s.parts {
		for _, p := range ps {
			p.refs.Add(1)
			held = append(held, p)
		}
	}
	s.mu.Unlock()
	defer func() {
		for _, p := range held {
			p.release()
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("snapshot %s: %w", s.opts.Signal, err)
	}
	made := map[string]bool{}
	for _, p := range held {
		rel := filepath.Dir(p.name)
		if !made[rel] {
			if err := makeDirs(dir, rel); err != nil {
				return fmt.Errorf("snapshot %s: %w", s.opts.Signal, err)
			}
			made[rel] = true
		}
		if err := os.Link(filepath.Join(s.dir, p.name), filepath.Join(dir, p.name)); err != nil {
			return fmt.Errorf("snapshot %s: %w", s.opts.Signal, err)
		}
	}
	var errs []error
	for rel := range made {
		errs = append(errs, syncDir(filepath.Join(dir, rel)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("snapshot %s: %w", s.opts.Signal, err)
	}
	return m.save(dir)
}
