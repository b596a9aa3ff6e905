package logstore

import (
	"slices"
	"sync"
	"sync/atomic"
)

// filterCacheSize bounds the bytes of filters that are kept in memory. A query for a rare
// word asks the filters of all blocks and reads few of these, so reading the filters would
// be most of its work.
const filterCacheSize = 64 << 20

// admitEvery is how many filters are read without being kept, once there is no room, for
// one that takes the place of another. Queries ask filters round and round: if there are
// more than fit, those that are in memory had better stay.
const admitEvery = 8

// partFilters is the opened filters of a part, by number of the block; nil are not in
// memory.
type partFilters []atomic.Pointer[blockFilter]

// filterCache bounds the opened filters of all parts. The zero value is ready to use.
type filterCache struct {
	mu      sync.Mutex
	held    []heldFilter // guarded by mu
	size    int          // guarded by mu; bytes of held
	hand    int          // guarded by mu; index in held of the next one to go
	refused int          // guarded by mu; since the last one went
}

// heldFilter is where an opened filter is kept.
type heldFilter struct {
	x     *partIndex
	block int
}

func (h *heldFilter) slot() *atomic.Pointer[blockFilter] { return &h.x.filters[h.block] }

// put keeps a copy of f, the filter of a block of x, if there is room. x is not dropped yet.
func (c *filterCache) put(x *partIndex, block int, f *blockFilter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := heldFilter{x, block}
	if h.slot().Load() != nil {
		return
	}
	for c.size+f.memory() > filterCacheSize && len(c.held) > 0 {
		if c.refused < admitEvery {
			c.refused++
			return
		}
		c.evict()
	}
	c.refused = 0
	kept := *f
	kept.fuse.Fingerprints = slices.Clone(f.fuse.Fingerprints)
	h.slot().Store(&kept)
	c.held = append(c.held, h)
	c.size += kept.memory()
}

// evict drops one filter. The caller holds mu.
func (c *filterCache) evict() {
	if c.hand >= len(c.held) {
		c.hand = 0
	}
	old := c.held[c.hand].slot()
	c.size -= old.Load().memory()
	old.Store(nil)
	last := len(c.held) - 1
	c.held[c.hand], c.held[last] = c.held[last], heldFilter{}
	c.held = c.held[:last]
	c.hand++
}

// drop forgets the filters of x, which nobody reads any more.
func (c *filterCache) drop(x *partIndex) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = slices.DeleteFunc(c.held, func(h heldFilter) bool {
		if h.x != x {
			return false
		}
		c.size -= h.slot().Load().memory()
		return true
	})
}

// memory returns the bytes that f holds, about.
func (f *blockFilter) memory() int { return 256 + len(f.fuse.Fingerprints) }
