package index

import (
	"slices"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Mem is an index in memory that grows. It is safe for concurrent use.
type Mem struct {
	mu      sync.RWMutex
	labels  []model.Labels      // guarded by mu; by ref; elements never change
	byHash  map[uint64]uint32   // guarded by mu; hash of a label set to its first ref
	collide map[uint64][]uint32 // guarded by mu; further refs with the same hash
	names   map[string]*memName // guarded by mu
	scratch []byte              // guarded by mu

	orderMu sync.Mutex
	order   []uint32 // guarded by orderMu; refs below len(rank) in the order of their labels; replaced, never changed
	rank    []uint32 // guarded by orderMu; position of each of these refs in order; replaced, never changed
}

type memName struct {
	name   string
	values map[string]*memValue
}

type memValue struct {
	value string
	refs  []uint32 // ascending
}

// NewMem returns an empty index.
func NewMem() *Mem {
	return &Mem{
		byHash:  map[uint64]uint32{},
		collide: map[uint64][]uint32{},
		names:   map[string]*memName{},
	}
}

// Len returns the number of label sets. Refs are 0 to Len-1.
func (m *Mem) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.labels)
}

// Labels returns the labels of ref, which Add or Select returned. They stay valid.
func (m *Mem) Labels(ref uint32) model.Labels {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.labels[ref]
}

// All returns the labels of every ref up to now. The slice must not be changed.
func (m *Mem) All() []model.Labels {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.labels[:len(m.labels):len(m.labels)]
}

// Add returns the ref of ls, and the copy of ls that the index keeps. If ls is new it
// gets the next ref, and added is true.
func (m *Mem) Add(ls model.Labels) (ref uint32, stored model.Labels, added bool) {
	return m.add(ls, true)
}

// Adopt is Add for labels that another Mem keeps: if they are new they are kept as they
// are, not copied.
func (m *Mem) Adopt(ls model.Labels) (ref uint32, added bool) {
	ref, _, added = m.add(ls, false)
	return ref, added
}

func (m *Mem) add(ls model.Labels, clone bool) (ref uint32, stored model.Labels, added bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scratch = appendKey(m.scratch[:0], ls)
	h := xxh3.Hash(m.scratch)
	if ref, ok := m.find(h, ls); ok {
		return ref, m.labels[ref], false
	}
	ref = uint32(len(m.labels))
	stored = ls
	if clone {
		stored = make(model.Labels, len(ls))
	}
	for i, l := range ls {
		l = m.post(ref, l, clone)
		if clone {
			stored[i] = l
		}
	}
	m.labels = append(m.labels, stored)
	if _, taken := m.byHash[h]; taken {
		m.collide[h] = append(m.collide[h], ref)
	} else {
		m.byHash[h] = ref
	}
	return ref, stored, true
}

// Find returns the ref of ls.
func (m *Mem) Find(ls model.Labels) (uint32, bool) {
	h := xxh3.Hash(appendKey(nil, ls))
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.find(h, ls)
}

// find looks ls up by its hash. The caller holds mu.
func (m *Mem) find(h uint64, ls model.Labels) (uint32, bool) {
	ref, ok := m.byHash[h]
	if !ok {
		return 0, false
	}
	if m.labels[ref].Equal(ls) {
		return ref, true
	}
	for _, ref := range m.collide[h] {
		if m.labels[ref].Equal(ls) {
			return ref, true
		}
	}
	return 0, false
}

// post adds ref to the postings of l and returns l as the index keeps it: equal strings
// are kept once. The caller holds mu.
func (m *Mem) post(ref uint32, l model.Label, clone bool) model.Label {
	own := func(s string) string {
		if clone {
			return strings.Clone(s)
		}
		return s
	}
	n := m.names[l.Name]
	if n == nil {
		n = &memName{name: own(l.Name), values: map[string]*memValue{}}
		m.names[n.name] = n
	}
	v := n.values[l.Value]
	if v == nil {
		v = &memValue{value: own(l.Value)}
		n.values[v.value] = v
	}
	v.refs = append(v.refs, ref)
	return model.Label{Name: n.name, Value: v.value}
}

// appendKey appends an unambiguous encoding of ls.
func appendKey(b []byte, ls model.Labels) []byte {
	for _, l := range ls {
		b = append(b, l.Name...)
		b = append(b, 0)
		b = append(b, l.Value...)
		b = append(b, 0xff)
	}
	return b
}

// Select returns the refs that q selects in the order of their labels. The slice
// belongs to the caller.
func (m *Mem) Select(q *Query) []uint32 {
	m.mu.RLock()
	refs := m.selectRefs(q)
	labels := m.labels[:len(m.labels):len(m.labels)]
	m.mu.RUnlock()
	return m.sort(refs, labels)
}

// memCond is a condition with the values that satisfy it.
type memCond struct {
	*cond
	found []*memValue         // satisfying values, for conditions that demand one
	cost  int                 // their series
	known map[string]struct{} // the same as a set, made on first use
}

// selectRefs returns the selected refs in ascending order. The caller holds mu.
func (m *Mem) selectRefs(q *Query) []uint32 {
	var driver *memCond
	conds := make([]*memCond, len(q.conds))
	for i := range q.conds {
		c := &memCond{cond: &q.conds[i]}
		conds[i] = c
		n := m.names[c.m.Name]
		switch {
		case n == nil && !c.empty:
			return nil
		case n == nil:
			continue
		}
		c.find(n)
		if !c.empty && (driver == nil || c.cost < driver.cost) {
			driver = c
		}
	}
	if driver == nil {
		refs := make([]uint32, 0, len(m.labels))
		for ref := range m.labels {
			if matches(m.labels[ref], conds, nil) {
				refs = append(refs, uint32(ref))
			}
		}
		return refs
	}
	refs := make([]uint32, 0, driver.cost)
	for _, v := range driver.found {
		for _, ref := range v.refs {
			if matches(m.labels[ref], conds, driver) {
				refs = append(refs, ref)
			}
		}
	}
	if len(driver.found) > 1 {
		slices.Sort(refs)
	}
	return refs
}

// find collects the values of n that satisfy c.
func (c *memCond) find(n *memName) {
	if c.form == formSet && !c.negate {
		for _, s := range c.set {
			if v := n.values[s]; v != nil {
				c.add(v)
			}
		}
		return
	}
	for _, v := range n.values {
		if c.holds(v.value) {
			c.add(v)
		}
	}
	if c.form == formRegexp { // checking a series must not run the expression again
		c.known = make(map[string]struct{}, len(c.found))
		for _, v := range c.found {
			c.known[v.value] = struct{}{}
		}
	}
}

func (c *memCond) add(v *memValue) {
	c.found = append(c.found, v)
	c.cost += len(v.refs)
}

// matches checks ls against all conditions but skip.
func matches(ls model.Labels, conds []*memCond, skip *memCond) bool {
	for _, c := range conds {
		if c == skip {
			continue
		}
		v := ls.Get(c.m.Name)
		switch {
		case v == "":
			if !c.empty {
				return false
			}
		case c.known != nil:
			if _, ok := c.known[v]; !ok {
				return false
			}
		case !c.holds(v):
			return false
		}
	}
	return true
}

// Names returns the sorted label names.
func (m *Mem) Names() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]string, 0, len(m.names))
	for n := range m.names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// NamesOf returns the sorted label names of refs.
func (m *Mem) NamesOf(refs []uint32) []string {
	labels := m.All()
	seen := map[string]struct{}{}
	for _, ref := range refs {
		for _, l := range labels[ref] {
			seen[l.Name] = struct{}{}
		}
	}
	return sortedKeys(seen)
}

// Values returns the sorted values of a label.
func (m *Mem) Values(name string) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.names[name]
	if n == nil {
		return nil
	}
	out := make([]string, 0, len(n.values))
	for v := range n.values {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// ValuesWhere returns the sorted values of a label that a live ref has. For each value it
// asks only until the first one; live must not call the index.
func (m *Mem) ValuesWhere(name string, live func(ref uint32) bool) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.names[name]
	if n == nil {
		return nil
	}
	var out []string
	for _, v := range n.values {
		if slices.ContainsFunc(v.refs, live) {
			out = append(out, v.value)
		}
	}
	slices.Sort(out)
	return out
}

// ValuesOf returns the sorted values of a label among refs.
func (m *Mem) ValuesOf(name string, refs []uint32) []string {
	labels := m.All()
	seen := map[string]struct{}{}
	for _, ref := range refs {
		if v := labels[ref].Get(name); v != "" {
			seen[v] = struct{}{}
		}
	}
	return sortedKeys(seen)
}

func sortedKeys(set map[string]struct{}) []string {
	out := make([]string, 0, len(set))
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
