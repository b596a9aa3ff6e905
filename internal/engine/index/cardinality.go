package index

import (
	"cmp"
	"slices"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Cardinality counts the label sets that keep says count (nil: all), with the topN
// largest contributors. It leaves the times 0.
func (m *Mem) Cardinality(topN int, keep func(ref uint32) bool) store.Cardinality {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var c store.Cardinality
	if keep == nil {
		c.Series = int64(len(m.labels))
	} else {
		for ref := range m.labels {
			if keep(uint32(ref)) {
				c.Series++
			}
		}
	}
	var metrics, labels, pairs []store.NameCount
	for _, n := range m.names {
		distinct := int64(0)
		for _, v := range n.values {
			count := int64(len(v.refs))
			if keep != nil {
				count = 0
				for _, ref := range v.refs {
					if keep(ref) {
						count++
					}
				}
			}
			if count == 0 {
				continue
			}
			distinct++
			if n.name == model.MetricName {
				metrics = append(metrics, store.NameCount{Name: v.value, Count: count})
			}
			pairs = append(pairs, store.NameCount{Name: n.name + "=" + v.value, Count: count})
		}
		if distinct > 0 {
			labels = append(labels, store.NameCount{Name: n.name, Count: distinct})
		}
	}
	c.LabelPairs = int64(len(pairs))
	c.ByMetric, c.ByLabel, c.ByLabelValue = top(metrics, topN), top(labels, topN), top(pairs, topN)
	return c
}

// top returns the n largest counts (0: all), largest first.
func top(cs []store.NameCount, n int) []store.NameCount {
	slices.SortFunc(cs, func(a, b store.NameCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	if n > 0 && len(cs) > n {
		cs = cs[:n]
	}
	return slices.Clone(cs)
}
