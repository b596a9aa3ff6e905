package logstore

import "sync"

// filterCacheSize bounds the bytes of filters that are kept in memory. A query for a rare
// word asks the filters of all blocks and reads few of these, so reading the filters would
// be most of its work.
const filterCacheSize = 32 << 20

// filterCache keeps opened filters. The zero value is ready to use.
type filterCache struct {
	mu    sync.Mutex
	byKey map[*blockInfo]blockFilter // guarded by mu
	size  int                        // guarded by mu
}

func (c *filterCache) get(b *blockInfo) (blockFilter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.byKey[b]
	return f, ok
}

// put keeps f, whose memory nobody reuses. It drops any others to make room.
func (c *filterCache) put(b *blockInfo, f blockFilter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.byKey = map[*blockInfo]blockFilter{}
	}
	if _, ok := c.byKey[b]; ok {
		return
	}
	c.byKey[b] = f
	c.size += f.memory()
	for old, x := range c.byKey {
		if c.size <= filterCacheSize {
			break
		}
		delete(c.byKey, old)
		c.size -= x.memory()
	}
}

// memory returns the bytes that f holds, about.
func (f *blockFilter) memory() int { return 256 + cap(f.fuse.Fingerprints) }
