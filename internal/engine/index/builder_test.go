package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
)

// TestSortRuns sorts different values in runs of all lengths.
func TestSortRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		in := make([]numbered, n)
		for i := range in {
			in[i] = numbered{fmt.Sprintf("%x", rng.Uint64()), uint32(i)}
		}
		byValue := func(a, b numbered) int { return strings.Compare(a.value, b.value) }
		for from := 0; from < n; {
			to := min(n, from+1+rng.IntN(1+n/2))
			slices.SortFunc(in[from:to], byValue)
			from = to
		}
		want := slices.Clone(in)
		slices.SortFunc(want, byValue)
		if got := sortRuns(in); !slices.Equal(got, want) {
			t.Fatalf("%d values: got %v, want %v", n, got, want)
		}
	}
}

// BenchmarkBuilder makes the table of 100,000 sets, in each of 20 groups a value for each.
func BenchmarkBuilder(b *testing.B) {
	var sets []model.Labels
	for i := range 100_000 {
		sets = append(sets, model.NewLabels(model.Label{Name: "app", Value: fmt.Sprint("app-", i%20)}, model.Label{Name: "pod", Value: fmt.Sprint("pod-", i)}))
	}
	slices.SortFunc(sets, func(a, b model.Labels) int { return a.Compare(b) })
	z := testZstd(b)
	b.ReportAllocs()
	for b.Loop() {
		AppendTable(nil, sets, z)
	}
}
