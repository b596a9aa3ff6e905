package logql

import "time"

// windows are the windows of a range aggregation: at step k, everything in
// (start+k*step-offset-rng, start+k*step-offset].
//
// Their bounds cut time into pieces. All times in one piece lie in the same windows, those
// of the steps k1 to k2. Both grow with time, so k1+k2 numbers the pieces, and there are
// fewer than two pieces per step however the range, the step and the offset relate.
type windows struct {
	start, step, rng, offset int64
	n                        int64
}

func newWindows(steps []int64, step, rng, offset time.Duration) windows {
	w := windows{start: steps[0], step: int64(step), rng: int64(rng), offset: int64(offset), n: int64(len(steps))}
	if w.n == 1 {
		w.step = 1 << 60 // any step longer than everything else
	}
	return w
}

// piece says which piece the time t belongs to. It lasts up to and including until; ok is
// false if it belongs to no window.
func (w *windows) piece(t int64) (j int, until int64, ok bool) {
	u := t + w.offset - w.start
	k1 := max(ceilDiv(u, w.step), 0)
	k2 := ceilDiv(u+w.rng, w.step) - 1
	last := k1 * w.step
	if k2 >= w.n {
		k2 = w.n - 1
	} else {
		last = min(last, (k2+1)*w.step-w.rng)
	}
	return int(k1 + k2), last - w.offset + w.start, 0 <= k2 && k1 <= k2
}

// span returns the steps in whose windows the piece j lies, given a time in it.
func (w *windows) span(t int64) (k1, k2 int32) {
	u := t + w.offset - w.start
	return int32(max(ceilDiv(u, w.step), 0)), int32(min(ceilDiv(u+w.rng, w.step)-1, w.n-1))
}

func ceilDiv(a, b int64) int64 {
	q := a / b
	if a > 0 && a%b != 0 {
		q++
	}
	return q
}

// bitset has a bit for each step.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) get(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }

func (b bitset) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}
