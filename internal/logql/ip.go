package logql

import (
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"
)

// ipMatch is what ip("...") asks for: an address, a network or a range.
type ipMatch struct{ rng netipx.IPRange }

func parseIPMatch(s string) (ipMatch, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return ipMatch{}, fmt.Errorf("invalid ip pattern %q: want a network such as 192.168.0.0/16", s)
		}
		return ipMatch{netipx.RangeOfPrefix(p.Masked())}, nil
	}
	if strings.Contains(s, "-") {
		r, err := netipx.ParseIPRange(s)
		if err != nil {
			return ipMatch{}, fmt.Errorf("invalid ip pattern %q: want a range such as 10.0.0.1-10.0.0.9", s)
		}
		return ipMatch{r}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ipMatch{}, fmt.Errorf("invalid ip pattern %q: want an address, a network (10.0.0.0/8) or a range (10.0.0.1-10.0.0.9)", s)
	}
	return ipMatch{netipx.IPRangeFrom(a, a)}, nil
}

// in reports whether any address in text matches.
func (m ipMatch) in(text string) bool {
	for i := 0; i < len(text); {
		n := 0
		switch {
		case isDigit(text[i]) && dotSoon(text[i+1:]):
			n = run(text[i:], func(c byte) bool { return isDigit(c) || c == '.' })
		case ip6Start(text[i:]):
			n = run(text[i:], func(c byte) bool { return isHex(c) || c == ':' || c == '.' })
		default:
			i++
			continue
		}
		if a, err := netip.ParseAddr(text[i : i+n]); err == nil && m.rng.Contains(a) {
			return true
		}
		i += n
	}
	return false
}

func run(s string, f func(byte) bool) int {
	n := 0
	for n < len(s) && f(s[n]) {
		n++
	}
	return n
}

// dotSoon reports whether one of the next three bytes is a dot.
func dotSoon(s string) bool {
	return strings.IndexByte(s[:min(3, len(s))], '.') >= 0
}

// ip6Start reports whether s may start an IPv6 address: "::" and a hex digit, or one to
// four hex digits and a colon.
func ip6Start(s string) bool {
	if strings.HasPrefix(s, "::") {
		return len(s) > 2 && isHex(s[2])
	}
	n := run(s[:min(5, len(s))], isHex)
	return 1 <= n && n <= 4 && n < len(s) && s[n] == ':'
}
