package otlp

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
)

// deltas adds up series of delta temporality, which Prometheus' data model has not. Its
// memory is bounded: a series not written for a while is forgotten (and begins again at
// its next delta, which reads as a counter reset), and past the maximum new ones are
// refused.
type deltas struct {
	max   int
	stale int64 // nanoseconds

	mu     sync.Mutex
	series map[string]*deltaState // guarded by mu; the states are immutable
	swept  int64                  // guarded by mu
}

// deltaState is what a series has added up to.
type deltaState struct {
	start, ts int64 // Unix nanoseconds: of the first delta, of the last one
	seen      int64 // when it was last written

	value float64 // sums

	counts []uint64 // classic histograms
	bounds []float64
	count  uint64
	sum    float64
	hasSum bool

	native *histogram.FloatHistogram // exponential histograms
}

var errDeltaFull = errors.New("too many series of delta temporality; send cumulative temporality or raise the limit")

// undo restores a series' earlier state.
type undo struct {
	key      string
	old, new *deltaState
}

// add replaces the state of the series by what plus makes of it. The last delta sent
// again changes nothing and returns the state as it is: a sender repeats a request that
// was refused for the moment.
func (d *deltas) add(key []byte, start, ts, now int64, plus func(*deltaState) (*deltaState, error)) (*deltaState, undo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(now)
	old := d.series[string(key)]
	switch {
	case old == nil && len(d.series) >= d.max:
		return nil, undo{}, errDeltaFull
	case old == nil:
	case start < old.start:
		return nil, undo{}, fmt.Errorf("it starts at %s, before the series did; do two processes send the same series?", time.Unix(0, start).UTC().Format(time.RFC3339Nano))
	case ts == old.ts:
		return old, undo{}, nil
	case ts < old.ts:
		return nil, undo{}, fmt.Errorf("its time is %s, but the series is already at %s", time.Unix(0, ts).UTC().Format(time.RFC3339Nano), time.Unix(0, old.ts).UTC().Format(time.RFC3339Nano))
	}
	s, err := plus(old)
	if err != nil {
		return nil, undo{}, err
	}
	s.start, s.ts, s.seen = start, ts, now
	if old != nil {
		s.start = old.start
	}
	u := undo{key: string(key), old: old, new: s}
	if d.series == nil {
		d.series = make(map[string]*deltaState)
	}
	d.series[u.key] = s
	return s, u, nil
}

// undo takes back an add, unless the series went on since.
func (d *deltas) undo(u undo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.series[u.key] != u.new:
	case u.old == nil:
		delete(d.series, u.key)
	default:
		d.series[u.key] = u.old
	}
}

// sweep forgets stale series, at most once per tenth of the time that makes one stale.
func (d *deltas) sweep(now int64) {
	if now-d.swept < d.stale/10 {
		return
	}
	d.swept = now
	for k, s := range d.series {
		if now-s.seen > d.stale {
			delete(d.series, k)
		}
	}
}

// plusHistogram returns old plus a delta. If the bounds changed, the series begins anew.
func (old *deltaState) plusHistogram(counts []uint64, bounds []float64, count uint64, sum float64, hasSum bool) *deltaState {
	s := &deltaState{counts: counts, bounds: bounds, count: count, sum: sum, hasSum: hasSum}
	if old == nil || !slices.Equal(old.bounds, bounds) {
		return s
	}
	for i := range min(len(counts), len(old.counts)) {
		counts[i] += old.counts[i]
	}
	s.count += old.count
	s.sum += old.sum
	s.hasSum = hasSum && old.hasSum
	return s
}

// plusNative returns old plus a delta, at the lower of the two resolutions.
func (old *deltaState) plusNative(h *histogram.Histogram) (*deltaState, error) {
	sum := h.ToFloat(nil)
	sum.CounterResetHint = histogram.UnknownCounterReset
	if old != nil && old.native != nil {
		total, _, _, err := old.native.Copy().Add(sum)
		if err != nil {
			return nil, fmt.Errorf("add to the histogram so far: %w", err)
		}
		sum = total.Compact(2)
		sum.CounterResetHint = histogram.UnknownCounterReset
	}
	for sum.Schema > histogram.ExponentialSchemaMin && len(sum.PositiveBuckets)+len(sum.NegativeBuckets) > maxNativeBuckets {
		if err := sum.ReduceResolution(sum.Schema - 1); err != nil {
			return nil, fmt.Errorf("reduce the histogram's resolution: %w", err)
		}
	}
	return &deltaState{native: sum}, nil
}

// maxNativeBuckets bounds an added-up histogram; past it, resolution is halved.
const maxNativeBuckets = 320
