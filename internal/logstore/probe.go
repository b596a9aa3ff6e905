package logstore

import (
	"slices"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// The filter of a block often says "maybe" to an id that may be a piece of a longer one. Such
// an id lies in a few columns of hex digits, two a byte, which are quick to search: that is
// done before times, rows and other variables are decoded.

// minProbe is the digits of an id that is looked for like this.
const minProbe = 8

// probe is where a needle must lie: in a variable of the templates of a class.
type probe struct {
	variable int
	text     string
}

// probes returns, for a needle of tp, the hex digits of which some must be there, nil if it
// may lie elsewhere.
func (n *needle) probes(tp *template) []probe {
	var out []probe
	for i := range n.spots {
		s := &n.spots[i]
		found := false
		for k := range s.parts {
			if tp.kinds[s.first+k] == varHex && len(s.parts[k].text) >= minProbe {
				out, found = append(out, probe{s.first + k, s.parts[k].text}), true
				break
			}
		}
		if !found {
			return nil
		}
	}
	return out
}

// columnProbe is a probe in a block.
type columnProbe struct {
	place int32
	text  string
}

// probes returns what must be in the variables of b for some line to be wanted, nil if that is
// not known.
func (p *pruner) probes(b *blockInfo) (probes []columnProbe) {
	if len(p.classes) == 0 || len(b.templates) == 0 {
		return nil
	}
	for _, id := range b.templates {
		if m := p.marks[id]; m == open || m >= markClass && p.classes[m-markClass].probes == nil {
			return nil
		}
	}
	var seen [markClass + maxClasses]bool
	for _, id := range b.templates {
		m := p.marks[id]
		if m < markClass || seen[m] {
			continue
		}
		seen[m] = true
		for _, pr := range p.classes[m-markClass].probes {
			probes = append(probes, columnProbe{p.x.templates.list[id].places[pr.variable], pr.text})
		}
	}
	return probes
}

// probe reports whether the variables of b may hold what is wanted, and the bytes read for
// that.
func (f *fetcher) probe(b *fetched, buf *buffer) (may bool, size int64, err error) {
	if b.pruner == nil {
		return true, 0, nil
	}
	probes := b.pruner.probes(b.info)
	if probes == nil {
		return true, 0, nil
	}
	scratch := f.s.pool.get()
	defer f.s.pool.put(scratch)
	data, err := b.readInto(colRows, buf)
	if err != nil {
		return true, 0, err
	}
	lines := &lineReader{b: b, buf: buf, size: int64(len(data))}
	sk, err := openColumns(data, b.part.Data.templatesOf(b.info, scratch), lines.read, scratch)
	if err != nil {
		return true, lines.size, err
	}
	may, err = sk.holds(probes, f.s.zstd)
	return may, lines.size, err
}

// holds reports whether the columns of s may hold one of probes.
func (s *skeletons) holds(probes []columnProbe, z *codec.Zstd) (bool, error) {
	var cols []int32
	for _, p := range probes {
		c := s.columnAt(p.place)
		if c < 0 {
			return true, nil
		}
		cols = append(cols, c)
	}
	if err := s.fetch(slices.Clone(cols)); err != nil {
		return true, err
	}
	for i, c := range cols {
		r := codec.NewReader(s.vars[c])
		if r.Byte() != varHex {
			return true, nil
		}
		r.Count(maxHex) // digits of each
		digits, _, _, err := z.Decode(nil, r.Rest())
		if err != nil || holdsHex(digits, probes[i].text) {
			return true, err
		}
	}
	return false, nil
}
