package pattern

// Texts of a column mostly have the pattern of the text before, or of one of a few. To see
// whether a text has a given pattern is several times quicker than to split it: literals
// are compared, and only variables are looked at.

// Regular reports whether p can be given to [Splitter.SplitLike]: it is such that a text
// with the literals of p, and with variables in between that are written as they should,
// is split into p. Most patterns are. "deadN" is not, as deadbee7 is an id, and others are
// not because they hold more variables than a text may have.
func (p *Pattern) Regular() bool {
	var r run
	for k, kind := range p.kinds {
		if !r.literal(p.lits[k]) || !r.variable(kind) {
			return false
		}
	}
	return r.literal(p.lits[len(p.kinds)]) && r.end()
}

// run is what is known of the current run of letters and digits in a pattern.
type run struct {
	letters bool // some of them in no hexadecimal number
	hex     bool // a letter that may be
	nums    int
	digits  int // of hexadecimal ids
	uuid    bool
	after   bool // the last byte is of a variable
}

// literal adds a literal, and reports whether all is as a regular pattern has it.
func (r *run) literal(s string) bool {
	for i := range len(s) {
		switch classOf(s[i]) {
		case classOther:
			if !r.end() {
				return false
			}
			*r = run{}
			continue
		case classDigit:
			return false
		case classHex:
			r.hex = true
		default:
			r.letters = true
		}
		r.after = false
	}
	return true
}

// variable adds a variable.
func (r *run) variable(kind byte) bool {
	switch {
	case kind == varUUID:
		ok := *r == run{}
		r.uuid = true
		return ok
	case kind > varHex:
		ok := !r.letters && !r.hex && r.nums == 0 && !r.uuid && r.digits%16 == 0
		r.digits += int(kind - varHex)
		return ok
	}
	ok := !r.after && r.digits == 0 && !r.uuid
	r.nums++
	r.after = true
	return ok
}

// end reports whether what came is a run of a regular pattern.
func (r *run) end() bool {
	switch {
	case r.uuid || r.digits > 0:
		return !r.letters && !r.hex && r.nums == 0 && (r.digits == 0 || r.digits >= minHex)
	case r.nums > 0:
		return r.letters || !r.hex && r.nums == 1
	}
	return true
}

// SplitLike splits s, as Split does, if its pattern is p, which is regular; Text stays as
// it was. False means that Split has to be asked.
func (x *Splitter) SplitLike(p *Pattern, s string) bool {
	x.Nums, x.Words = x.Nums[:0], x.Words[:0]
	var id hexRun
	for k, kind := range p.kinds {
		lit := p.lits[k]
		if len(s) < len(lit) || s[:len(lit)] != lit {
			return false
		}
		s = s[len(lit):]
		n := 0
		switch {
		case kind == varUUID:
			a, b, ok := parseUUID(s)
			if !ok {
				return false
			}
			x.Words = append(x.Words, a, b)
			n = uuidLen
		case kind > varHex:
			if n = int(kind - varHex); len(s) < n {
				return false
			}
			v, ok := id.parse(s[:n])
			if !ok || !id.ends(s[n:]) {
				return false
			}
			x.Words = append(x.Words, v)
		default:
			var v int64
			v, n = parseDecimal(s)
			padded := n > 1 && s[0] == '0'
			if n == 0 || !x.takes(n, v, s[0]) || padded != (kind != varNumber) || padded && n != int(kind-varPadded) || mayBeUUID(n, s[n:]) {
				return false
			}
			x.Nums = append(x.Nums, v)
		}
		s = s[n:]
	}
	return s == p.lits[len(p.kinds)]
}

// mayBeUUID reports whether n digits in front of rest may be the begin of a UUID.
func mayBeUUID(n int, rest string) bool { return n == 8 && len(rest) > 0 && rest[0] == '-' }

// parseDecimal parses the digits at the begin of s, of which n may be too many.
func parseDecimal(s string) (v int64, n int) {
	for n < len(s) && s[n]-'0' < 10 && n <= maxDigits {
		v = v*10 + int64(s[n]-'0')
		n++
	}
	return v, n
}

// hexRun is the hexadecimal digits of an id in several words.
type hexRun struct {
	n, decimal int // digits, and those below ten
}

// parse returns the value of at most 16 digits.
func (h *hexRun) parse(s string) (v int64, ok bool) {
	decimal, all := 0, byte(0)
	for i := range len(s) {
		d := hexValues[s[i]]
		v = v<<4 | int64(d&15)
		decimal += int(d >> 6 & 1)
		all |= d
	}
	h.n += len(s)
	h.decimal += decimal
	return v, all < noHex
}

// hexValues is the values of hexadecimal digits in lower case, of those below ten with
// bit 6 set, and noHex for other bytes.
//
//nolint:gochecknoglobals // read-only table
var hexValues = func() (t [256]byte) {
	for c := range t {
		t[c] = noHex
	}
	for i := range len(hexDigits) {
		t[hexDigits[i]] = byte(i)
		if i < 10 {
			t[hexDigits[i]] |= 1 << 6
		}
	}
	return t
}()

const noHex = 0x80

// ends reports whether the id is one, if it ends before rest.
func (h *hexRun) ends(rest string) bool {
	if len(rest) > 0 && classOf(rest[0]) != classOther {
		return h.n%16 == 0 // it goes on
	}
	ok := h.decimal > 0 && h.decimal < h.n && !mayBeUUID(h.n, rest)
	*h = hexRun{}
	return ok
}
