package metricstore

import (
	"cmp"
	"math"
	"slices"

	"github.com/pharos-o11y/pharos/internal/store"
)

func sameExemplar(a, b *store.Exemplar) bool { return compareExemplars(*a, *b) == 0 }

func compareExemplars(a, b store.Exemplar) int {
	return cmp.Or(
		cmp.Compare(a.Time, b.Time),
		a.Labels.Compare(b.Labels),
		cmp.Compare(math.Float64bits(a.Value), math.Float64bits(b.Value)),
	)
}

// sortExemplars sorts es in place and drops duplicates.
func sortExemplars(es []store.Exemplar) []store.Exemplar {
	slices.SortFunc(es, compareExemplars)
	return slices.CompactFunc(es, func(a, b store.Exemplar) bool { return compareExemplars(a, b) == 0 })
}
