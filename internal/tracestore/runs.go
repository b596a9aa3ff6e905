package tracestore

import (
	"cmp"
	"math"
	"slices"
)

// A part is one or more runs: groups in order of trace id. Each run is of one stretch of
// time, as far as the spans came in order of time, so that a search for the newest traces,
// or in a short range, reads a few runs and not the whole part. A trace lies in one run, or in
// several when its spans were written at different times, as it may lie in several parts.
// Looking for a trace id reads a filter of each run: there are few.

// A merge makes about maxRuns runs, but none smaller than minRunRows spans.
const (
	maxRuns    = 4
	minRunRows = 12 * groupRows
)

// run is a run of a part: groups [from, to).
type run struct {
	from, to    int
	first, last int64 // first start and last end of a span
	stretch
}

// makeRun makes one of groups [from, to).
func makeRun(groups []groupMeta, from, to int) run {
	r := run{from: from, to: to, first: math.MaxInt64, last: math.MinInt64, stretch: stretchOf(groups[from:to])}
	for _, m := range groups[from:to] {
		r.first, r.last = min(r.first, m.minStart), max(r.last, m.maxEnd)
	}
	return r
}

// runsOf finds the runs among the groups of a part: where trace ids start again.
func runsOf(groups []groupMeta) []run {
	var out []run
	from := 0
	for i := range groups {
		if i+1 == len(groups) || groups[i+1].first.Compare(groups[i].last) < 0 {
			out = append(out, makeRun(groups, from, i+1))
			from = i + 1
		}
	}
	return out
}

// stretch is when the spans of something to merge are, but for stragglers.
type stretch struct {
	rows   int
	lo, hi int64
}

// stretchOf is the stretch of groups: what the median of them spans.
func stretchOf(groups []groupMeta) stretch {
	var s stretch
	starts, ends := make([]int64, len(groups)), make([]int64, len(groups))
	for i := range groups {
		s.rows += groups[i].rows
		starts[i], ends[i] = groups[i].minStart, groups[i].maxEnd
	}
	slices.Sort(starts)
	slices.Sort(ends)
	s.lo, s.hi = starts[len(starts)/2], ends[len(ends)/2]
	return s
}

// cluster says what to merge with what into runs of at least least spans, oldest first: the
// indexes of stretches. Stretches of the same time stay together.
func cluster(in []stretch, least int) [][]int {
	total := 0
	order := make([]int, len(in))
	for i := range in {
		order[i] = i
		total += in[i].rows
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(in[a].hi, in[b].hi) })
	enough := max(least, total/maxRuns)
	var out [][]int
	begin, rows, lo, hi := 0, 0, int64(math.MaxInt64), int64(math.MinInt64)
	for n, i := range order {
		rows, lo, hi = rows+in[i].rows, min(lo, in[i].lo), max(hi, in[i].hi)
		left := total - rows
		if n+1 < len(order) && (rows < enough || left < enough/2 || in[order[n+1]].lo < lo+(hi-lo)/2) {
			continue
		}
		total, rows, lo, hi = left, 0, math.MaxInt64, math.MinInt64
		next := slices.Clone(order[begin : n+1])
		slices.Sort(next) // of equal spans that of the oldest stays
		out = append(out, next)
		begin = n + 1
	}
	return out
}
