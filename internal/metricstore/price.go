package metricstore

import "github.com/pharos-o11y/pharos/internal/store"

// Price implements [store.Series]: what Samples and Histograms would decode, from the
// directory of chunks alone.
func (s *selected) Price() (chunks int, bytes int64) {
	r := s.x.r
	for _, pr := range s.parts {
		cs := s.x.parts[pr.part].t.of(pr.ref)
		for i := range cs {
			if r.Overlaps(cs[i].minT, cs[i].maxT) {
				chunks++
				bytes += int64(cs[i].size)
			}
		}
	}
	if s.head == nil {
		return chunks, bytes
	}
	frozen, cur := s.views()
	for _, b := range []*view{&frozen, &cur} {
		for i := range b.sealed.chunks {
			if c := &b.sealed.chunks[i]; r.Overlaps(c.minT, c.maxT) {
				chunks++
				bytes += int64(len(b.sealed.bytes(i)))
			}
		}
		for _, run := range [][]store.Sample{b.open, b.late} {
			if len(run) > 0 {
				chunks++
				bytes += int64(len(run)) * sampleBytes
			}
		}
		bytes += int64(len(b.hists)) * histogramPrice
	}
	return chunks, bytes
}

// histogramPrice is what a histogram of the head is taken to hold.
const histogramPrice = 200
