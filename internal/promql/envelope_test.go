package promql

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql"
)

// TestEnvelope compares with sorting, over series that begin and end at different steps.
func TestEnvelope(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 8)) //nolint:gosec // a test wants the same numbers each time
	for range 300 {
		var m promql.Matrix
		at := map[int64][]float64{}
		for range 1 + rnd.IntN(30) {
			var s promql.Series
			for step := range int64(10) {
				if rnd.IntN(3) == 0 {
					continue
				}
				v := float64(rnd.IntN(9)) / 3
				if rnd.IntN(15) == 0 {
					v = math.NaN()
				} else {
					at[step] = append(at[step], v)
				}
				s.Floats = append(s.Floats, promql.FPoint{T: step, F: v})
			}
			m = append(m, s)
		}
		e := NewEnvelope(m)
		if len(e.Min) != len(at) || len(e.Median) != len(at) || len(e.Max) != len(at) {
			t.Fatalf("envelope of %d, %d and %d steps, want %d", len(e.Min), len(e.Median), len(e.Max), len(at))
		}
		for i, p := range e.Median {
			vals := at[p.T]
			slices.Sort(vals)
			want := vals[len(vals)/2]
			if len(vals)%2 == 0 {
				want = vals[len(vals)/2-1]/2 + want/2
			}
			if p.F != want || e.Min[i].F != vals[0] || e.Max[i].F != vals[len(vals)-1] {
				t.Fatalf("step %d of %v: got %v, %v, %v", p.T, vals, e.Min[i].F, p.F, e.Max[i].F)
			}
		}
	}
}
