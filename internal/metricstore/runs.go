package metricstore

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/store"
)

// sortedRun is samples in order of time. Of samples with one time in several runs, that of the
// run with the highest priority counts.
type sortedRun struct {
	ts   []int64
	vs   []float64
	prio uint64
}

// mergeRuns appends the samples of all runs, in order, without duplicates. If big is set,
// the biggest value of a time counts, whatever its priority.
func mergeRuns(ts []int64, vs []float64, runs []sortedRun, big bool) ([]int64, []float64) {
	runs = slices.DeleteFunc(runs, func(r sortedRun) bool { return len(r.ts) == 0 })
	for len(runs) > 1 {
		best := 0
		next := runs[0].ts[0]
		for i := 1; i < len(runs); i++ {
			t := runs[i].ts[0]
			wins := t == next && (!big && runs[i].prio > runs[best].prio || big && beats(runs[i].vs[0], runs[best].vs[0]))
			if t < next || wins {
				best, next = i, t
			}
		}
		ts, vs = append(ts, next), append(vs, runs[best].vs[0])
		for i := 0; i < len(runs); i++ {
			if r := &runs[i]; r.ts[0] == next {
				if r.ts, r.vs = r.ts[1:], r.vs[1:]; len(r.ts) == 0 {
					runs = slices.Delete(runs, i, i+1)
					i--
				}
			}
		}
	}
	if len(runs) == 1 {
		ts, vs = append(ts, runs[0].ts...), append(vs, runs[0].vs...)
	}
	return ts, vs
}

// sortHistograms returns hs in order of time, of equal times the last one.
func sortHistograms(hs []store.HistogramSample) []store.HistogramSample {
	return lastOfEach(hs, func(h store.HistogramSample) int64 { return h.Time })
}
