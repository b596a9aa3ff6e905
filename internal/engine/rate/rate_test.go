package rate

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b Bucket
	now := time.Unix(1000, 0)
	for _, step := range []struct {
		after time.Duration
		n     int
		want  bool
	}{
		{0, 100, true}, // the burst
		{0, 1, false},
		{time.Second, 11, false}, // nothing is taken
		{0, 10, true},
		{-time.Hour, 1, false}, // a clock that goes back fills nothing
		{2 * time.Hour, 101, false},
		{0, 100, true},
	} {
		now = now.Add(step.after)
		if got := b.Take(step.n, 10, 100, now); got != step.want {
			t.Errorf("take %d at %s: %t, want %t", step.n, now, got, step.want)
		}
	}
}
