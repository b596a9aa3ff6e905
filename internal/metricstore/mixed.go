package metricstore

import (
	"cmp"
	"maps"
	"slices"

	"github.com/pharos-o11y/pharos/internal/store"
)

// A series has one sample at one time: a float or a histogram, whichever was written
// last. Floats and histograms lie in chunks of their own, so a series that has both needs
// a look at both. Such series are rare (an instrument that changes its kind), so this
// code is short rather than fast.

// mixed collects floats and histograms of one series by time, with ranks: the sample of
// the highest rank counts.
type mixed struct {
	floats map[int64]rankedFloat
	hists  map[int64]rankedHistogram
	big    bool // of floats with one time the biggest counts
}

type rankedFloat struct {
	v    float64
	rank uint64
}

type rankedHistogram struct {
	h    store.HistogramSample
	rank uint64
}

func newMixed(big bool) *mixed {
	return &mixed{floats: map[int64]rankedFloat{}, hists: map[int64]rankedHistogram{}, big: big}
}

// Ranks of what has priority prio: of two samples that one flush wrote the histogram is
// the later one, see [buffer.overwrite].
func floatRank(prio uint64) uint64 { return 2 * prio }
func histRank(prio uint64) uint64  { return 2*prio + 1 }

func (m *mixed) addFloats(ts []int64, vs []float64, rank uint64) {
	for i, t := range ts {
		old, ok := m.floats[t]
		switch {
		case !ok:
			m.floats[t] = rankedFloat{vs[i], rank}
		case m.big:
			v := old.v
			if beats(vs[i], v) {
				v = vs[i]
			}
			m.floats[t] = rankedFloat{v, max(rank, old.rank)}
		case rank >= old.rank:
			m.floats[t] = rankedFloat{vs[i], rank}
		}
	}
}

func (m *mixed) addHistograms(hs []store.HistogramSample, rank uint64) {
	for _, h := range hs {
		if old, ok := m.hists[h.Time]; !ok || rank >= old.rank {
			m.hists[h.Time] = rankedHistogram{h, rank}
		}
	}
}

// result returns what counts, in order of time.
func (m *mixed) result() (ts []int64, vs []float64, hs []store.HistogramSample) {
	for _, t := range slices.Sorted(maps.Keys(m.floats)) {
		f := m.floats[t]
		if h, ok := m.hists[t]; ok && h.rank > f.rank {
			continue
		}
		delete(m.hists, t)
		ts, vs = append(ts, t), append(vs, f.v)
	}
	hs = make([]store.HistogramSample, 0, len(m.hists))
	for _, h := range m.hists {
		hs = append(hs, h.h)
	}
	slices.SortFunc(hs, func(a, b store.HistogramSample) int { return cmp.Compare(a.Time, b.Time) })
	return ts, vs, hs
}

// overwrite notes that samples are newer than the histograms of r with their times: an
// empty histogram says that the float of its time counts.
func (r *rare) overwrite(samples []store.Sample) {
	for _, x := range samples {
		for i := len(r.hists) - 1; i >= 0; i-- {
			if h := &r.hists[i]; h.Time == x.Time {
				if h.Int != nil || h.Float != nil {
					r.hists = append(r.hists, store.HistogramSample{Time: x.Time})
				}
				break
			}
		}
	}
}

// histograms returns those of r that count among its histograms, in order of time. They
// share memory with r.
func (r *rare) histograms() []store.HistogramSample {
	return slices.DeleteFunc(sortHistograms(r.hists), func(h store.HistogramSample) bool { return h.Int == nil && h.Float == nil })
}

// isMixed reports whether s has floats as well as histograms in the range. It may err on
// the side of true.
func (s *selected) isMixed(frozen, cur *view) bool {
	if len(frozen.hists)+len(cur.hists) == 0 && !s.mayHaveHistograms() {
		return false
	}
	hists := len(frozen.hists)+len(cur.hists) > 0
	floats := len(frozen.open)+len(cur.open)+len(frozen.late)+len(cur.late) > 0
	for _, pr := range s.parts {
		for i := range s.x.parts[pr.part].t.of(pr.ref) {
			c := &s.x.parts[pr.part].t.of(pr.ref)[i]
			if s.x.r.Overlaps(c.minT, c.maxT) {
				hists = hists || c.kind == chunkHistogram
				floats = floats || c.kind != chunkHistogram
			}
		}
	}
	return hists && floats
}
