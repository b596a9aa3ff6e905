package model

import "math"

// staleNaN is the bits of a staleness marker, as Prometheus defines it.
const staleNaN = 0x7ff0000000000002

// Summary is what consecutive float samples of a series, at least one, come to: enough
// for most functions over a range, which then need not see the samples. Staleness markers
// are left out; all values are finite numbers.
type Summary struct {
	From, To    int64 // times of the first and the last sample, Unix milliseconds
	Count       int64
	First, Last float64
	Min, Max    float64
	Sum, Lost   float64 // the sum, and what rounding took from it (Neumaier)
	Fell        float64 // sum of the values that stand right before a lower one
	Resets      int64   // number of these
	Changes     int64   // number of values that differ from the one before them
}

// Summarize returns the summary of samples in order of time. ok is false if there is none:
// no sample is left without staleness markers, or a value or the sum is not finite.
func Summarize(ts []int64, vs []float64) (s Summary, ok bool) {
	var sum, lost, last float64 // in registers: this runs over every sample that is written
	to := 0
	for i, v := range vs {
		if math.Float64bits(v) == staleNaN {
			continue
		}
		if s.Count == 0 {
			s = Summary{From: ts[i], First: v, Min: v, Max: v}
			last = v
		}
		t := sum + v
		if math.Abs(sum) >= math.Abs(v) {
			lost += (sum - t) + v
		} else {
			lost += (v - t) + sum
		}
		sum = t
		if v != last {
			s.Changes++
			if v < last {
				s.Fell += last
				s.Resets++
			}
			if v < s.Min {
				s.Min = v
			}
			if v > s.Max {
				s.Max = v
			}
		}
		last, to = v, i
		s.Count++
	}
	if s.Count > 0 {
		s.To, s.Last, s.Sum, s.Lost = ts[to], last, sum, lost
	}
	finite := func(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }
	return s, s.Count > 0 && finite(s.Sum) && finite(s.Lost) && finite(s.Min) && finite(s.Max) && finite(s.Fell)
}

// Join adds the samples of x, which come after those of s. The values of either need not
// be finite. A zero Summary is no samples.
func (s *Summary) Join(x *Summary) {
	if s.Count == 0 {
		*s = *x
		return
	}
	if x.Count == 0 {
		return
	}
	if x.First < s.Last {
		s.Fell += s.Last
		s.Resets++
	}
	if x.First != s.Last && !(math.IsNaN(x.First) && math.IsNaN(s.Last)) {
		s.Changes++
	}
	s.Fell, s.Resets, s.Changes = s.Fell+x.Fell, s.Resets+x.Resets, s.Changes+x.Changes
	s.add(x.Sum)
	s.add(x.Lost)
	if x.Min < s.Min || math.IsNaN(s.Min) {
		s.Min = x.Min
	}
	if x.Max > s.Max || math.IsNaN(s.Max) {
		s.Max = x.Max
	}
	s.To, s.Last, s.Count = x.To, x.Last, s.Count+x.Count
}

// add adds v to the sum, as Prometheus does.
func (s *Summary) add(v float64) {
	t := s.Sum + v
	switch {
	case math.IsInf(t, 0):
		s.Lost = 0
	case math.Abs(s.Sum) >= math.Abs(v):
		s.Lost += (s.Sum - t) + v
	default:
		s.Lost += (v - t) + s.Sum
	}
	s.Sum = t
}
