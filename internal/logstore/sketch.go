package logstore

import (
	"math"
	"slices"
)

// sketch estimates the number of distinct hashes it was shown: it keeps the sketchSize
// smallest ones, sorted. Up to that many it is exact.
type sketch []uint64

const sketchSize = 128

func (s *sketch) add(hash uint64) {
	v := *s
	if len(v) == sketchSize && hash >= v[sketchSize-1] {
		return
	}
	i, found := slices.BinarySearch(v, hash)
	if found {
		return
	}
	if len(v) == sketchSize {
		v = v[:sketchSize-1]
	}
	*s = slices.Insert(v, i, hash)
}

func (s *sketch) merge(other sketch) { s.addAll(other) }

func (s *sketch) addAll(hashes []uint64) {
	limit := uint64(math.MaxUint64) // from which on they change nothing
	for _, h := range hashes {
		if h >= limit {
			continue
		}
		s.add(h)
		if v := *s; len(v) == sketchSize {
			limit = v[sketchSize-1]
		}
	}
}

// count returns the estimate. Hashes are uniform, so the largest of the k smallest tells
// how dense they are.
func (s sketch) count() int64 {
	if len(s) < sketchSize {
		return int64(len(s))
	}
	return int64(float64(sketchSize-1) / (float64(s[sketchSize-1]) / math.MaxUint64))
}
