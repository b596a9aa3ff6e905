package promql

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/util/kahansum"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Functions over long windows need not see every sample: a chunk that no window cuts
// counts as its summary (model.Summary). Only the samples of the chunks at the ends of
// windows are decoded.

// summarized reports whether a function over a range can be made of summaries.
func summarized(name string) bool {
	switch name {
	case "sum_over_time", "avg_over_time", "count_over_time", "min_over_time", "max_over_time", "present_over_time", "absent_over_time",
		"first_over_time", "last_over_time", "ts_of_first_over_time", "ts_of_last_over_time",
		"rate", "increase", "delta", "changes", "resets":
		return true
	}
	return false
}

// uncut returns a function that reports whether samples between two times are all in the
// same windows: none begins or ends among them.
func (spec *rollupSpec) uncut(ev *evaluator) func(from, to int64) bool {
	end, stride := spec.first(ev)
	falls := func(at, from, to int64) bool { // one of at, at+stride, ... in [from, to)
		if at < from && stride > 0 {
			at += min((from-at+stride-1)/stride, int64(ev.n-1)) * stride
		}
		return at >= from && at < to
	}
	return func(from, to int64) bool {
		return !falls(end, from, to) && !falls(end-spec.window, from, to)
	}
}

// rollSummaries rolls up the samples and summaries in buf. ok is false if the samples
// themselves are needed: a sum is not finite.
func (ev *evaluator) rollSummaries(spec *rollupSpec, buf *rollupBuf, vals []float64) (has, ok bool) {
	ts, vs := dropStale(buf.ts, buf.vs)
	w := &buf.windows
	end, stride := spec.first(ev)
	w.fit(ts, len(vals), end, stride, spec.window)
	sums := buf.sums
	lo, hi := 0, 0
	for i := range vals {
		to := end + int64(i)*stride
		from := to - spec.window
		for hi < len(sums) && sums[hi].From <= to {
			hi++
		}
		for lo < hi && sums[lo].From <= from {
			lo++
		}
		all := joined(spec.name, ts[w.lo[i]:w.hi[i]], vs[w.lo[i]:w.hi[i]], sums[lo:hi])
		if all.Count == 0 {
			continue
		}
		v, state := ofSummary(spec.name, &all, from, to)
		if state == summaryUseless {
			return false, false
		}
		if state == summaryValue {
			vals[i], has = v, true
		}
	}
	return has, true
}

// joined returns the summary of samples and summaries in order of time: what the function
// needs of it.
func joined(name string, ts []int64, vs []float64, sums []model.Summary) model.Summary {
	var all model.Summary
	run := func(n int) {
		if n > 0 {
			part := partial(name, ts[:n], vs[:n])
			all.Join(&part)
			ts, vs = ts[n:], vs[n:]
		}
	}
	for i := range sums {
		n, _ := slices.BinarySearch(ts, sums[i].From)
		run(n)
		all.Join(&sums[i])
	}
	run(len(ts))
	return all
}

// partial returns the summary of samples, of which only the fields are right that the
// function needs. Values need not be finite.
func partial(name string, ts []int64, vs []float64) model.Summary {
	last := len(ts) - 1
	s := model.Summary{From: ts[0], To: ts[last], Count: int64(len(ts)), First: vs[0], Last: vs[last]}
	in := window{vs: vs}
	switch name {
	case "sum_over_time", "avg_over_time":
		for _, v := range vs {
			s.Sum, s.Lost = kahansum.Inc(v, s.Sum, s.Lost)
		}
	case "min_over_time":
		s.Min, _ = minOverTime(&in)
	case "max_over_time":
		s.Max, _ = maxOverTime(&in)
	case "rate", "increase":
		s.Fell = addResets(0, vs)
	case "resets":
		n, _ := resets(&in)
		s.Resets = int64(n)
	case "changes":
		n, _ := changes(&in)
		s.Changes = int64(n)
	}
	return s
}

// What ofSummary can make of a summary.
const (
	summaryUseless = iota // the samples are needed
	summaryNone           // no value
	summaryValue
)

// ofSummary returns the value of a function over the window (from, to].
func ofSummary(name string, s *model.Summary, from, to int64) (v float64, state int) {
	switch name {
	case "sum_over_time", "avg_over_time":
		if sum := s.Sum + s.Lost; math.IsInf(sum, 0) || math.IsNaN(sum) {
			return 0, summaryUseless
		}
		if name == "sum_over_time" {
			return s.Sum + s.Lost, summaryValue
		}
		n := float64(s.Count)
		return s.Sum/n + s.Lost/n, summaryValue
	case "count_over_time":
		v = float64(s.Count)
	case "min_over_time":
		v = s.Min
	case "max_over_time":
		v = s.Max
	case "first_over_time":
		v = s.First
	case "last_over_time":
		v = s.Last
	case "ts_of_first_over_time":
		v = float64(s.From) / 1000
	case "ts_of_last_over_time":
		v = float64(s.To) / 1000
	case "changes":
		v = float64(s.Changes)
	case "resets":
		v = float64(s.Resets)
	case "rate", "increase", "delta":
		if s.Count < 2 {
			return 0, summaryNone
		}
		kind := rateOf(name)
		x := extrapolation(s.From, s.To, int(s.Count), from, to, kind)
		grown := s.Last - s.First
		if kind.counter {
			return x.counted(grown+s.Fell, s.First, kind), summaryValue
		}
		return grown * x.factor, summaryValue
	default: // present_over_time, absent_over_time
		v = 1
	}
	return v, summaryValue
}
