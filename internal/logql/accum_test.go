package logql

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQuantile compares quantiles with those of sorted values.
func TestQuantile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 300; n++ {
		s := make([]float64, n)
		for i := range s {
			s[i] = float64(rnd.IntN(1 + n/(1+n%5)))
			if n%7 == 0 && rnd.IntN(4) == 0 {
				s[i] = math.NaN()
			}
		}
		sorted := slices.SortedFunc(slices.Values(s), cmp.Compare[float64])
		for _, phi := range []float64{0, 0.01, 0.5, 0.75, 0.99, 1} {
			rank := phi * float64(n-1)
			lower := int(rank)
			weight := rank - float64(lower)
			want := sorted[lower]*(1-weight) + sorted[min(lower+1, n-1)]*weight
			if got := quantile(phi, slices.Clone(s)); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("quantile %v of %v is %v, want %v", phi, s, got, want)
			}
		}
	}
}

// TestTopk compares the best members with those of a sorted list.
func TestTopk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 2))
	for n := range 60 {
		g, want := &group{}, []int{}
		for i := range n {
			g.members = append(g.members, &values{vals: []float64{float64(rnd.IntN(9))}})
			want = append(want, i)
		}
		compare := func(a, b *values) int { return compareValues(a.vals[0], b.vals[0], true) }
		all := slices.Clone(want)
		slices.SortStableFunc(want, func(a, b int) int { return compare(g.members[a], g.members[b]) })
		for k := range n {
			if got := g.best(all, k, nil, compare); !slices.Equal(got, want[:k]) {
				t.Errorf("best %d of %d are %v, want %v", k, n, got, want[:k])
			}
		}
	}
}
