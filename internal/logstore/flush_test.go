package logstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
)

// testStreams returns n streams of random labels made of parts.
func testStreams(n int, rng *rand.Rand, parts ...string) []*headStream {
	out := make([]*headStream, n)
	for i := range out {
		var ls []model.Label
		for k := range 1 + rng.IntN(4) {
			ls = append(ls, model.Label{Name: fmt.Sprint(parts[rng.IntN(len(parts))], k), Value: parts[rng.IntN(len(parts))] + parts[rng.IntN(len(parts))]})
		}
		labels := model.NewLabels(ls...)
		key, hash := streamKey(nil, labels)
		out[i] = &headStream{stream: &stream{hash: hash, key: text(key), labels: labels}}
	}
	return out
}

// TestSortStreams compares the order of streams with that of their labels.
func TestSortStreams(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, parts := range [][]string{
		{"a", "b", "ab", "job", "\x01", "\xc3\xa9", "zz"},
		{"a", "b\x00", "ab", "\x00", "zz"}, // zero bytes in labels
	} {
		streams := testStreams(2000, rng, parts...)
		sortStreams(streams)
		if !slices.IsSortedFunc(streams, func(a, b *headStream) int { return a.stream.labels.Compare(b.stream.labels) }) {
			t.Errorf("streams of %q are not in order of labels", parts)
		}
	}
}
