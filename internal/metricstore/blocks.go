package metricstore

import "sync"

// blockCache keeps decompressed blocks of parts between queries: dashboards ask for the
// same ones again and again, and neighbouring series share them. Blocks go in the order in
// which they came, save those that were asked for since the hand last passed (CLOCK).
// Blocks are never changed, so they may be used after they have gone.
type blockCache struct {
	max int // bytes

	mu    sync.Mutex
	index map[blockKey]int // guarded by mu; slot of each block
	slots []blockSlot      // guarded by mu
	hand  int              // guarded by mu
	bytes int              // guarded by mu
}

// blockKey names a part by its id: a pointer would keep the tables of parts that merges
// have replaced for as long as one of their blocks is here.
type blockKey struct {
	part  uint64
	block uint32
}

type blockSlot struct {
	key   blockKey
	data  []byte
	asked bool // since the hand last passed
}

func newBlockCache(maxBytes int) *blockCache {
	return &blockCache{max: maxBytes, index: map[blockKey]int{}}
}

func (c *blockCache) get(key blockKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.index[key]
	if !ok {
		return nil, false
	}
	c.slots[i].asked = true
	return c.slots[i].data, true
}

// put keeps a block if it fits.
func (c *blockCache) put(key blockKey, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.index[key]; ok || len(data) > c.max {
		return
	}
	for c.bytes+len(data) > c.max {
		c.evict()
	}
	c.index[key] = len(c.slots)
	c.slots = append(c.slots, blockSlot{key: key, data: data})
	c.bytes += len(data)
}

// evict removes one block; the last slot takes its place. The caller holds mu.
func (c *blockCache) evict() {
	for {
		c.hand %= len(c.slots)
		s := &c.slots[c.hand]
		if !s.asked {
			break
		}
		s.asked = false
		c.hand++
	}
	gone := c.slots[c.hand]
	delete(c.index, gone.key)
	c.bytes -= len(gone.data)
	last := len(c.slots) - 1
	if c.hand != last {
		c.slots[c.hand] = c.slots[last]
		c.index[c.slots[c.hand].key] = c.hand
	}
	c.slots[last] = blockSlot{}
	c.slots = c.slots[:last]
}
