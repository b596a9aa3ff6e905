package logstore

import "testing"

// TestFilterCache fills the cache with more than it may hold: it stays within its bounds,
// most of what is there stays, and what is in parts that are dropped goes.
func TestFilterCache(t *testing.T) {
	const size = 4 << 20
	var c filterCache
	a, b := &partIndex{filters: make(partFilters, 8)}, &partIndex{filters: make(partFilters, 40)}
	kept := func(x *partIndex) (n int) {
		for i := range x.filters {
			if x.filters[i].Load() != nil {
				n++
			}
		}
		return n
	}
	f := &blockFilter{known: true}
	f.fuse.Fingerprints = make([]uint8, size)
	for i := range a.filters {
		c.put(a, i, f)
		c.put(a, i, f)
	}
	if kept(a) != len(a.filters) || c.size != len(a.filters)*f.memory() {
		t.Fatalf("%d of %d filters are kept, %d bytes", kept(a), len(a.filters), c.size)
	}
	const fit = filterCacheSize / (size + 256)
	for range 2 {
		for i := range b.filters {
			c.put(b, i, f)
		}
		if n := kept(a) + kept(b); n != fit || c.size != n*f.memory() || len(c.held) != n {
			t.Fatalf("%d filters are kept in %d places, %d bytes; %d fit", n, len(c.held), c.size, fit)
		}
	}
	if kept(a) == len(a.filters) || kept(a) == 0 {
		t.Errorf("%d of %d old filters are left", kept(a), len(a.filters))
	}
	if got := a.filters; got[0].Load() != nil && &got[0].Load().fuse.Fingerprints[0] == &f.fuse.Fingerprints[0] {
		t.Error("the cache shares memory with what it was given")
	}
	n := kept(b)
	c.drop(a)
	if c.size != n*f.memory() || len(c.held) != n {
		t.Errorf("%d bytes of %d filters after a part of the two is dropped, want %d", c.size, len(c.held), n)
	}
	for i := range a.filters {
		a.filters[i].Store(nil)
	}
	c.put(a, 0, f)
	if kept(a) != 1 && kept(b) != fit {
		t.Error("there is no room after a part was dropped")
	}
}
