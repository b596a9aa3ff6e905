package promql

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWindowQuantile compares with sorting, over windows of all lengths with ties.
func TestWindowQuantile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3)) //nolint:gosec // a test wants the same numbers each time
	var scratch []float64
	for range 20_000 {
		vs := make([]float64, 1+rnd.IntN(30))
		for i := range vs {
			vs[i] = float64(rnd.IntN(12)) / 3
		}
		if rnd.IntN(20) == 0 {
			vs[0] = math.NaN()
		}
		q := []float64{0, 1, 0.5, 0.9, rnd.Float64()}[rnd.IntN(5)]
		sorted := slices.Sorted(slices.Values(vs))
		got, want := (&window{vs: vs, scratch: &scratch}).quantile(q), quantileOf(sorted, q)
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("quantile %v of %v: got %v, want %v", q, vs, got, want)
		}
	}
}
