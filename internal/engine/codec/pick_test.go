package codec

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/store"
)

// positions returns some positions below n, in order.
func positions(rng *rand.Rand, n int) []int32 {
	var at []int32
	for i := range n {
		if rng.IntN(1+n/5) == 0 {
			at = append(at, int32(i))
		}
	}
	return at
}

func TestPick(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	z := testZstd(t)
	makes := map[string]func(i int) int64{
		"same":    func(int) int64 { return -7 },
		"regular": func(i int) int64 { return 5 + int64(i)*15 },
		"times":   func(i int) int64 { return int64(i)*1e9 + rng.Int64N(1e6) },
		"runs":    func(i int) int64 { return int64(i / 50 * 977 % 13) },
		"small":   func(int) int64 { return rng.Int64N(5) },
		"scaled":  func(int) int64 { return 3 + 1000*rng.Int64N(100) },
		"wide":    func(int) int64 { return int64(rng.Uint64()) },
		"wide 60": func(int) int64 { return rng.Int64N(1 << 60) },
		"extreme": func(i int) int64 { return []int64{math.MinInt64, math.MaxInt64}[i%2] },
	}
	var p Picker
	for name, f := range makes {
		for _, n := range []int{0, 1, 2, 3, 127, 128, 129, 1000} {
			vs := make([]int64, n)
			texts := make([]string, n)
			for i := range vs {
				vs[i] = f(i)
				texts[i] = fmt.Sprint(vs[i])
			}
			at := positions(rng, n)
			want, wantTexts := []int64{1}, []string{"1"}
			for _, i := range at {
				want, wantTexts = append(want, vs[i]), append(wantTexts, texts[i])
			}
			column := append(AppendInts(nil, vs), "rest"...)
			got, count, rest, err := p.Ints([]int64{1}, column, at)
			if err != nil || count != n || string(rest) != "rest" || !slices.Equal(got, want) {
				t.Errorf("%d %s: %v of %d values, rest %q, error %v; want %v", n, name, got, count, rest, err, want)
			}
			if _, _, _, err := p.Ints(nil, column, []int32{int32(n)}); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%d %s: error %v behind the end", n, name, err)
			}
			gotTexts, count, err := p.Strings([]string{"1"}, AppendStrings(nil, texts, z), at, z)
			if err != nil || count != n || !slices.Equal(gotTexts, wantTexts) {
				t.Errorf("%d texts of %s: %d, error %v\n%s", n, name, count, err, cmp.Diff(wantTexts, gotTexts))
			}
		}
	}
}
