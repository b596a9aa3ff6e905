package prom

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestAppendValue compares with the general algorithm over numbers of all lengths.
func TestAppendValue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test wants the same numbers each time
	check := func(v float64) {
		t.Helper()
		format := byte('f')
		if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e'
		}
		if got, want := string(appendValue(nil, v)), strconv.FormatFloat(v, format, -1, 64); got != want {
			t.Errorf("%x: got %s, want %s", math.Float64bits(v), got, want)
		}
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.001, 0.0005, 1e15, 1e12, 999999999999.999, 1e21, 1e-7, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324} {
		check(v)
	}
	for range 200_000 {
		n := float64(rnd.Int64N(1<<rnd.IntN(62)+1) - 1<<20)
		for _, scale := range []float64{1, 10, 100, 1000, 10_000, 3} {
			check(n / scale)
			check(math.Nextafter(n/scale, math.Inf(1)))
		}
		check(math.Float64frombits(rnd.Uint64()))
	}
}

// TestAppendTimes writes series with the same, shifted and missing times.
func TestAppendTimes(t *testing.T) {
	var times timeTexts
	for _, list := range [][]int64{{1000, 2500}, {1000, 2500, 3000}, {2500, 3000}, {-1, 1000, 2500}} {
		for i, ms := range list {
			want := "[" + string(appendTime(nil, ms)) + `,"`
			if got := string(times.append(nil, i, ms)); got != want {
				t.Errorf("point %d of %v: got %s, want %s", i, list, got, want)
			}
		}
	}
}
