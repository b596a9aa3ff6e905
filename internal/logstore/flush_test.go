package logstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

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

// TestHeadDue says which heads are flushed.
func TestHeadDue(t *testing.T) {
	opts := Options{HeadSize: 16 << 20, HeadAge: time.Minute}
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		name        string
		bytes       int
		streams     int
		tenants     int
		age, silent time.Duration
		due         bool
	}{
		{name: "empty"},
		{"small and busy", 1 << 20, 10, 1, 30 * time.Second, 0, false},
		{"big", 17 << 20, 10, 1, time.Second, 0, true},
		{"big, of many streams", 17 << 20, 10_000, 1, time.Second, 0, false},
		{"bigger, of many streams", 19 << 20, 10_000, 1, time.Second, 0, true},
		{"twice the size, of more streams", 32 << 20, 1_000_000, 1, time.Second, 0, true},
		{"old", 100, 1, 1, time.Minute, 0, true},
		{"small and quiet", 1 << 20, 10, 1, 30 * time.Second, 10 * time.Second, false},
		{"quiet", 5 << 20, 10, 1, 30 * time.Second, 2 * time.Second, true},
		{"not yet quiet", 5 << 20, 10, 1, 30 * time.Second, time.Second, false},
		{"quiet, of tiny streams", 5 << 20, 10_000, 1, 30 * time.Second, 2 * time.Second, false},
		{"quiet, of many tenants", 5 << 20, 10, 10, 30 * time.Second, 2 * time.Second, false},
	} {
		h := newHead()
		if c.bytes > 0 {
			h.since, h.last, h.bytes, h.streams = now.Add(-c.age), now.Add(-c.silent), c.bytes, c.streams
			for i := range c.tenants {
				h.tenants[model.Tenant(fmt.Sprint(i))] = &tenantHead{}
			}
		}
		if got := h.due(now, &opts); got != c.due {
			t.Errorf("%s: due is %v, want %v", c.name, got, c.due)
		}
	}
}
