package index

import (
	"cmp"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Sorting label sets is the most expensive thing a query over many series could do, so
// Mem remembers the order of all but its newest refs.

// maxUnranked is the number of refs, beside an eighth of all, that may be without a rank.
const maxUnranked = 256

// sort orders ascending refs by their labels. labels holds at least those of refs.
func (m *Mem) sort(refs []uint32, labels []model.Labels) []uint32 {
	if len(refs) < 2 {
		return refs
	}
	order, rank := m.ranks(labels)
	n, _ := slices.BinarySearch(refs, uint32(len(rank)))
	old, fresh := refs[:n:n], refs[n:]
	byLabels := func(a, b uint32) int { return labels[a].Compare(labels[b]) }
	slices.SortFunc(fresh, byLabels)
	if len(old) > len(order)/8 {
		old = filterOrdered(order, old)
	} else {
		slices.SortFunc(old, func(a, b uint32) int { return cmp.Compare(rank[a], rank[b]) })
	}
	return merge(old, fresh, byLabels)
}

// filterOrdered returns the elements of refs in the order of order.
func filterOrdered(order, refs []uint32) []uint32 {
	if len(refs) == len(order) {
		return slices.Clone(order)
	}
	in := make([]uint64, len(order)/64+1)
	for _, ref := range refs {
		in[ref>>6] |= 1 << (ref & 63)
	}
	out := make([]uint32, 0, len(refs))
	for _, ref := range order {
		if in[ref>>6]>>(ref&63)&1 == 1 {
			out = append(out, ref)
		}
	}
	return out
}

func merge(a, b []uint32, compare func(a, b uint32) int) []uint32 {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return b
	}
	out := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compare(a[0], b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	out = append(out, a...)
	return append(out, b...)
}

// ranks returns the remembered order, brought up to date if it has fallen behind.
func (m *Mem) ranks(labels []model.Labels) (order, rank []uint32) {
	m.orderMu.Lock()
	defer m.orderMu.Unlock()
	had := len(m.rank)
	if len(labels)-had <= had/8+maxUnranked {
		return m.order, m.rank
	}
	fresh := make([]uint32, 0, len(labels)-had)
	for ref := had; ref < len(labels); ref++ {
		fresh = append(fresh, uint32(ref))
	}
	byLabels := func(a, b uint32) int { return labels[a].Compare(labels[b]) }
	slices.SortFunc(fresh, byLabels)
	order = merge(m.order, fresh, byLabels)
	rank = make([]uint32, len(order))
	for i, ref := range order {
		rank[ref] = uint32(i)
	}
	m.order, m.rank = order, rank
	return order, rank
}
