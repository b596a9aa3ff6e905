package metricstore

import (
	"math/rand/v2"
	"testing"
)

// TestBlockCache puts and gets blocks at random: what is found is right, what is held
// stays within bounds, and blocks that are asked for outlive a scan.
func TestBlockCache(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 4)) //nolint:gosec // a test wants the same numbers each time
	const p = 7
	c := newBlockCache(1000)
	for range 20_000 {
		key := blockKey{p, uint32(rnd.IntN(100))}
		if data, ok := c.get(key); ok {
			if data[0] != byte(key.block) {
				t.Fatalf("block %d holds %d", key.block, data[0])
			}
			continue
		}
		data := make([]byte, 1+rnd.IntN(200))
		data[0] = byte(key.block)
		c.put(key, data)
		held := 0
		for key, i := range c.index {
			if c.slots[i].key != key {
				t.Fatalf("slot %d holds another block", i)
			}
			held += len(c.slots[i].data)
		}
		if held != c.bytes || held > c.max || len(c.index) != len(c.slots) {
			t.Fatalf("%d bytes are held in %d of %d slots, %d are counted", held, len(c.index), len(c.slots), c.bytes)
		}
	}
	c = newBlockCache(1000)
	hot := blockKey{p, 1}
	c.put(hot, make([]byte, 100))
	for i := range uint32(200) {
		if _, ok := c.get(hot); !ok {
			t.Fatalf("a block in use is gone after a scan of %d", i)
		}
		c.put(blockKey{p, i + 2}, make([]byte, 100))
	}
	c.put(blockKey{p, 999}, make([]byte, 1001))
	if _, ok := c.get(blockKey{p, 999}); ok {
		t.Error("a block larger than the cache is kept")
	}
}
