package logstore

import "github.com/pharos-o11y/pharos/internal/engine/codec"

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
	column int32
	text   string
}

// probes returns what must be in the columns of b for some line to be wanted, nil if that is
// not known.
func (p *pruner) probes(b *blockInfo, scratch *buffer) (probes []columnProbe, columns int) {
	if len(p.classes) == 0 || len(b.templates) == 0 {
		return nil, 0
	}
	for _, id := range b.templates {
		if m := p.marks[id]; m == open || m >= markClass && p.classes[m-markClass].probes == nil {
			return nil, 0
		}
	}
	cols, columns := columnsOf(p.x.templatesOf(b), scratch)
	var seen [markClass + maxClasses]bool
	for i, id := range b.templates {
		m := p.marks[id]
		if m < markClass || seen[m] {
			continue
		}
		seen[m] = true
		for _, pr := range p.classes[m-markClass].probes {
			probes = append(probes, columnProbe{cols[i][pr.variable], pr.text})
		}
	}
	return probes, columns
}

// probe reports whether the variables of b may hold what is wanted, and the bytes read for
// that.
func (f *fetcher) probe(b *fetched, buf *buffer) (may bool, size int64, err error) {
	if b.pruner == nil {
		return true, 0, nil
	}
	probes, columns := b.pruner.probes(b.info, buf)
	if probes == nil {
		return true, 0, nil
	}
	data, err := b.readInto(colLines, buf)
	if err != nil {
		return true, 0, err
	}
	may, err = holdsProbes(data, columns, probes, f.s.zstd)
	return may, int64(len(data)), err
}

// holdsProbes reports whether a lines column may hold one of probes.
func holdsProbes(data []byte, columns int, probes []columnProbe, z *codec.Zstd) (bool, error) {
	r := codec.NewReader(data)
	if r.Byte() != linesTemplates {
		return true, r.Err()
	}
	sk := skeletons{n: columns}
	if err := sk.load(r.Rest()); err != nil {
		return true, err
	}
	for _, p := range probes {
		r := codec.NewReader(sk.vars[p.column])
		if r.Byte() != varHex {
			return true, nil
		}
		r.Count(maxHex) // digits of each
		digits, _, _, err := z.Decode(nil, r.Rest())
		if err != nil || holdsHex(digits, p.text) {
			return true, err
		}
	}
	return false, nil
}
