package logstore

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/FastFilter/xorfilter"
	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// The filter of a block answers "can this substring, or this field value, be in it?" with
// "no" or "maybe", without the text. It is a binary fuse filter (9 bits a key, one wrong
// "maybe" in 256) over three kinds of keys:
//
//   - every token of the lines: the longest runs of ASCII letters, digits, "_" and bytes
//     from 0x80 on;
//   - of tokens with a digit and more than longToken bytes, each of their pieces of
//     pieceLen bytes that begins at a multiple of that (since version 2 of the index);
//   - every gram of the tokens: shortGram and longGram bytes of a token without a digit
//     among them, in lower case;
//   - every metadata field with its value; or, of a field that is not worth it, the field with
//     the empty value, which none has (since version 4): its column takes less than the keys
//     would, or holds measurements, decimal numbers with fractions, for which nobody looks.
//
// A substring matches inside of tokens too, so how much of it can be looked up depends on
// what surrounds it. A token in the middle of the substring is a whole token of the line.
// A token at its edge may go on in the line: of it the grams must be there; and if it has
// a digit it lies in a token with a digit, so if no such token of the block is longer it
// must be one as a whole: that finds trace ids. The length of the longest token with a
// digit is kept for that. If there are longer ones, and it has longToken bytes or more,
// then it is a whole token or lies in one that is long enough to have pieces, and holds at
// least one of these: so ids are found beside longer ids.
//
//	longest token with a digit   uvarint
//	keys                         uvarint; if there are any:
//	seed 8 bytes, segment length uvarint, segment count uvarint, fingerprints
//
// Without a key the rest is absent and every answer is "no". Blocks with more than
// maxKeys keys have no filter: the column is empty and every answer is "maybe".
const (
	shortGram = 4
	longGram  = 8
	longToken = 16
	pieceLen  = 8
	maxKeys   = 1 << 20

	filterBits = 9 // of a key
)

// classes of bytes in tokens; 0 is no token byte.
const (
	classLetter = 1
	classDigit  = 2
)

//nolint:gochecknoglobals // read-only table
var byteClass = func() (t [256]byte) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c >= 0x80:
			t[c] = classLetter
		case '0' <= c && c <= '9':
			t[c] = classDigit
		}
	}
	return t
}()

// tokenKey is the key of a whole token.
func tokenKey(token string) uint64 { return xxh3.HashString(token) }

// shortKey and longKey are the keys of the last bytes of g, lower-cased, as grams.
func shortKey(g uint64) uint64 { return (g&0xffffffff | 1<<32) * 0x9e3779b97f4a7c15 }

func longKey(g uint64) uint64 { return (g ^ g>>29) * 0xd6e8feb86659fd93 }

// pieceKey is the key of a piece of a long token.
func pieceKey(piece string) uint64 { return xxh3.HashStringSeed(piece, pieceLen) }

// fieldKey is the key of a metadata field and its value.
func fieldKey(name, value string) uint64 { return xxh3.HashStringSeed(value, fieldSeed(name)) }

// fieldSeed is the seed of the keys of a metadata field.
func fieldSeed(name string) uint64 { return xxh3.HashString(name) | 1 }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// hasGrams reports whether token has shortGram bytes without a digit next to each other:
// ids mostly have not. Of the bytes of tokens digits alone have neither of the upper bits.
func hasGrams(token string) bool {
	run := uint64(0) // bits of the last bytes that are no digits
	for ; len(token) >= 8; token = token[8:] {
		x := binary.LittleEndian.Uint64(bytesOf(token))
		letters := (x>>6 | x>>7) & 0x0101010101010101 // one bit for each byte
		run = run<<8 | letters*0x8040201008040201>>56 // the first byte is the highest bit
		if r := run & (run >> 1); r&(r>>2) != 0 {
			return true
		}
	}
	for i := range len(token) {
		c := uint64(token[i])
		run = run<<1 | (c>>6|c>>7)&1
	}
	r := run & (run >> 1)
	return r&(r>>2) != 0
}

// grams calls f with the keys of the grams of a token until it returns false.
func grams(token string, f func(key uint64) bool) bool {
	var g uint64
	n := 0
	for i := range len(token) {
		c := token[i]
		if byteClass[c] == classDigit {
			n = 0
			continue
		}
		g = g<<8 | uint64(lower(c))
		if n++; n >= shortGram && !f(shortKey(g)) || n >= longGram && !f(longKey(g)) {
			return false
		}
	}
	return true
}

// keySet is a set of keys that is cheap to reuse.
type keySet struct {
	slots []uint64 // open addressing; 0 is empty
	keys  []uint64
	zero  bool
}

func (s *keySet) reset() {
	clear(s.slots)
	s.keys, s.zero = s.keys[:0], false
}

// add reports whether key is new.
func (s *keySet) add(key uint64) bool {
	if key == 0 {
		if s.zero {
			return false
		}
		s.zero = true
		s.keys = append(s.keys, 0)
		return true
	}
	if 2*len(s.keys) >= len(s.slots) {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case key:
			return false
		case 0:
			s.slots[i] = key
			s.keys = append(s.keys, key)
			return true
		}
	}
}

// addNew adds keys that differ from each other and, but for a freak of hashing, from all
// others. No others are added after them.
func (s *keySet) addNew(keys ...uint64) { s.keys = append(s.keys, keys...) }

func (s *keySet) grow() {
	s.slots = make([]uint64, max(1<<12, 2*len(s.slots)))
	mask := uint64(len(s.slots) - 1)
	for _, key := range s.keys {
		if key == 0 {
			continue
		}
		i := key & mask
		for s.slots[i] != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = key
	}
}

// filterBuilder builds filters, reusing its memory.
type filterBuilder struct {
	set      keySet
	numbers  [(smallNumbers + 63) / 64]uint64 // which of the short numbers are in set
	maxDigit int
	fuse     xorfilter.BinaryFuseBuilder
}

// Most tokens with digits are numbers of few digits, and most of them are there already:
// so those are looked up without being hashed. There are 10 of one digit, 100 of two, and
// so on.
const (
	shortNumber  = 4
	smallNumbers = 10 + 100 + 1000 + 10_000
)

// known reports whether token, at most shortNumber digits, was asked for before.
func (b *filterBuilder) known(token string) bool {
	place, first, count := 0, 0, 1
	for i := range len(token) {
		place = 10*place + int(token[i]-'0')
		first += count
		count *= 10
	}
	place += first - 1
	word, bit := &b.numbers[place/64], uint64(1)<<(place%64)
	was := *word&bit != 0
	*word |= bit
	return was
}

// reset begins a filter. Then tokens are added, and build ends it.
func (b *filterBuilder) reset() {
	b.set.reset()
	clear(b.numbers[:])
	b.maxDigit = 0
}

// build appends the filter of the tokens and of metadata columns, which are encoded.
func (b *filterBuilder) build(dst []byte, meta *metaBuilder) []byte {
	for _, rest := range meta.rest {
		for rest != "" {
			var name, value string
			name, value, rest = nextMeta(rest)
			b.set.add(fieldKey(name, value))
		}
	}
	for i, name := range meta.names {
		if meta.unsought[i] {
			b.set.addNew(fieldKey(name, ""))
		} else {
			b.set.addNew(meta.keysOf(i)...)
		}
	}
	if len(b.set.keys) > maxKeys {
		return dst
	}
	had := len(dst)
	dst = binary.AppendUvarint(dst, uint64(b.maxDigit))
	dst = binary.AppendUvarint(dst, uint64(len(b.set.keys)))
	if len(b.set.keys) == 0 {
		return dst
	}
	f, err := xorfilter.BuildBinaryFuse[uint8](&b.fuse, b.set.keys)
	if err != nil { // as likely as a cosmic ray, says the library
		return dst[:had]
	}
	dst = binary.LittleEndian.AppendUint64(dst, f.Seed)
	dst = binary.AppendUvarint(dst, uint64(f.SegmentLength))
	dst = binary.AppendUvarint(dst, uint64(f.SegmentCount))
	return append(dst, f.Fingerprints...)
}

// tokens adds the tokens of lines and their grams.
func (b *filterBuilder) tokens(lines []byte) {
	for i := 0; i < len(lines); {
		class := byteClass[lines[i]]
		if class == 0 {
			i++
			continue
		}
		from := i
		for i++; i < len(lines); i++ {
			c := byteClass[lines[i]]
			if c == 0 {
				break
			}
			class |= c
		}
		b.token(unsafe.String(&lines[from], i-from), class)
	}
}

// token adds one token; class is the classes of its bytes.
func (b *filterBuilder) token(token string, class byte) {
	if class == classDigit && len(token) <= shortNumber && b.known(token) || !b.set.add(tokenKey(token)) {
		return
	}
	if class&classDigit != 0 {
		b.maxDigit = max(b.maxDigit, len(token))
		if len(token) > longToken {
			for i := 0; i+pieceLen <= len(token); i += pieceLen {
				b.set.add(pieceKey(token[i : i+pieceLen]))
			}
		}
	}
	if class&classLetter != 0 && hasGrams(token) {
		grams(token, func(key uint64) bool { b.set.add(key); return true })
	}
}

// blockFilter is an opened filter. The zero value answers "maybe" to everything.
type blockFilter struct {
	known    bool
	maxDigit int
	keys     bool
	pieces   bool // of long tokens are keys
	fuse     xorfilter.BinaryFuse[uint8]
}

// openFilter reads a filter, which has pieces of long tokens since version 2 of the index;
// the result shares memory with data.
func openFilter(data []byte, pieces bool) (blockFilter, error) {
	if len(data) == 0 {
		return blockFilter{}, nil
	}
	r := codec.NewReader(data)
	f := blockFilter{known: true, maxDigit: int(r.Uvarint()), pieces: pieces}
	if f.keys = r.Uvarint() > 0; !f.keys {
		return f, r.Err()
	}
	f.fuse.Seed = r.Uint64()
	length, count := r.Count(1<<18), r.Count(1<<24)
	f.fuse.SegmentLength, f.fuse.SegmentLengthMask = uint32(length), uint32(length-1)
	f.fuse.SegmentCount, f.fuse.SegmentCountLength = uint32(count), uint32(count*length)
	f.fuse.Fingerprints = r.Rest()
	if r.Err() == nil && (bits.OnesCount(uint(length)) != 1 || count == 0 || len(r.Rest()) != (count+2)*length) {
		r.Fail("filter of %d segments of %d has %d fingerprints", count, length, len(r.Rest()))
	}
	return f, r.Err()
}

func (f *blockFilter) has(key uint64) bool {
	return !f.known || f.keys && f.fuse.Contains(key)
}

// field reports whether some entry may have value, which is not empty, in field name.
func (f *blockFilter) field(name, value string) bool {
	return f.has(fieldKey(name, value)) || f.has(fieldKey(name, ""))
}

// substring reports whether some line may contain s.
func (f *blockFilter) substring(s string) bool {
	if !f.known {
		return true
	}
	for i := 0; i < len(s); {
		class := byteClass[s[i]]
		if class == 0 {
			i++
			continue
		}
		from := i
		for i++; i < len(s) && byteClass[s[i]] != 0; i++ {
			class |= byteClass[s[i]]
		}
		if !f.piece(s[from:i], class, from > 0 && i < len(s)) {
			return false
		}
	}
	return true
}

// piece reports whether some token may contain t, or be t if whole is set.
func (f *blockFilter) piece(t string, class byte, whole bool) bool {
	digit := class&classDigit != 0
	switch {
	case digit && len(t) > f.maxDigit:
		return false
	case whole, digit && len(t) == f.maxDigit:
		return f.has(tokenKey(t))
	case digit && f.pieces && len(t) >= longToken:
		return f.has(tokenKey(t)) || f.inLonger(t)
	}
	return grams(t, f.has)
}

// inLonger reports whether some token longer than t, which has at least longToken bytes,
// may contain t. Where it begins there decides which pieces of the token lie in t.
func (f *blockFilter) inLonger(t string) bool {
	for begin := range pieceLen {
		all := true
		for i := begin; all && i+pieceLen <= len(t); i += pieceLen {
			all = f.has(pieceKey(t[i : i+pieceLen]))
		}
		if all {
			return true
		}
	}
	return false
}
