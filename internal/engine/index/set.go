package index

// valueSet is the values of one label that satisfy a condition, as numbers in [0, n).
type valueSet struct {
	n      int
	negate bool
	lo, hi uint32   // the set lies within [lo, hi)
	bits   []uint64 // nil: all of [lo, hi)
}

// has reports whether value v is in the set.
func (s *valueSet) has(v uint32) bool {
	in := v >= s.lo && v < s.hi
	if in && s.bits != nil {
		v -= s.lo
		in = s.bits[v>>6]>>(v&63)&1 == 1
	}
	return in != s.negate
}

func (s *valueSet) add(v uint32) {
	v -= s.lo
	s.bits[v>>6] |= 1 << (v & 63)
}

// resolve finds the values that satisfy c among the sorted values of its label.
func (c *cond) resolve(values []string) valueSet {
	s := valueSet{n: len(values), negate: c.negate}
	lo, hi := c.span(values)
	s.lo, s.hi = uint32(lo), uint32(hi)
	switch {
	case c.form == formPrefix || lo == hi:
	case c.form == formSet:
		c.resolveSet(&s, values)
	default:
		s.bits = make([]uint64, (hi-lo+63)/64)
		for v := lo; v < hi; v++ {
			if c.m.Matches(values[v]) != c.negate {
				s.add(uint32(v))
			}
		}
	}
	return s
}

func (c *cond) resolveSet(s *valueSet, values []string) {
	var found []uint32
	for _, want := range c.set {
		if v, ok := search(values, want); ok {
			found = append(found, uint32(v))
		}
	}
	if len(found) == 0 {
		s.lo, s.hi = 0, 0
		return
	}
	s.lo, s.hi = found[0], found[len(found)-1]+1
	if int(s.hi-s.lo) == len(found) {
		return
	}
	s.bits = make([]uint64, (s.hi-s.lo+63)/64)
	for _, v := range found {
		s.add(v)
	}
}

// search is slices.BinarySearch for strings, without its generic compare.
func search(values []string, want string) (int, bool) {
	lo, hi := 0, len(values)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if values[mid] < want {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(values) && values[lo] == want
}
