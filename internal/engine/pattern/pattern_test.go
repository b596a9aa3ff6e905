package pattern

import (
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		text, pattern string
		variables     int
	}{
		{"", "", 0},
		{"GET", "GET", 0},
		{"user_4711", "user_\xff\x01", 1},
		{"0", "\xff\x01", 1},
		{"v1.02", "v\xff\x01.\xff\x12", 2},
		{"10.3.0.255", "\xff\x01.\xff\x01.\xff\x01.\xff\x01", 4},
		{"1234567890123456789", "1234567890123456789", 0},
		{"123456789012345678", "\xff\x01", 1},
		{"?s=9f86d081884c7d65", "?s=\xff\x40", 1},
		{"9f86d081884c7d659a2feaa0", "\xff\x40\xff\x38", 2},
		{"deadbeef", "deadbeef", 0},
		{"3f2504e0-4f89-11d3-9a0c-0305e82c3301/x", "\xff\x02/x", 2},
		{"3f2504e0-4f89-11d3-9a0c-0305e82c33012", "\xff\x38-\xff\x01f\xff\x01-\xff\x01d\xff\x01-\xff\x01a\xff\x01c-\xff\x3d", 8},
		{"größe7", "größe\xff\x01", 1},
	} {
		var x Splitter
		if !x.Split(tt.text) || string(x.Text) != tt.pattern || len(x.Nums)+len(x.Words) != tt.variables {
			t.Errorf("%q: pattern %q with %d and %d variables, want %q with %d", tt.text, x.Text, len(x.Nums), len(x.Words), tt.pattern, tt.variables)
		}
		checkSplit(t, tt.text)
	}
	if new(Splitter).Split("a\xffb") {
		t.Error("what is no text is split")
	}
}

func TestDecimal(t *testing.T) {
	for s, want := range map[string][2]bool{
		"17": {true, false}, "-17": {true, false}, "0.125": {true, true}, "-3.05": {true, true},
		"": {}, "x": {}, "x17": {}, "17ms": {}, "1.2.3": {}, "1.2ms": {}, "017": {}, "9f86d081": {}, "1e-05": {},
	} {
		var x Splitter
		x.Split(s)
		p, _ := Parse(string(x.Text))
		if number, fraction := p.Decimal(); number != want[0] || fraction != want[1] {
			t.Errorf("%q is a number: %v, with a fraction: %v; want %v", s, number, fraction, want)
		}
	}
}

// TestLong splits numbers of 19 digits.
func TestLong(t *testing.T) {
	for s, want := range map[string]string{
		"t=1764079651000000000":   "t=\xff\x01",
		"t=9223372036854775807":   "t=\xff\x01",
		"t=9223372036854775808":   "t=9223372036854775808",
		"t=0764079651000000000":   "t=0764079651000000000",
		"t=17640796510000000001":  "t=17640796510000000001",
		"t=176407965100000000012": "t=176407965100000000012",
	} {
		x := Splitter{Long: true}
		if !x.Split(s) || string(x.Text) != want {
			t.Errorf("%q has pattern %q, want %q", s, x.Text, want)
		}
		checkSplit(t, s)
		checkLike(t, "t=1", s)
		checkLike(t, "t=1764079651000000000", s)
	}
}

// checkSplit puts a text together again, and asks its pattern for parts of the text.
func checkSplit(t *testing.T, s string) {
	t.Helper()
	for _, long := range []bool{false, true} {
		checkSplitter(t, s, Splitter{Long: long})
	}
}

func checkSplitter(t *testing.T, s string, x Splitter) {
	t.Helper()
	if !x.Split(s) {
		return
	}
	p, ok := Parse(string(x.Text))
	if !ok || p.Nums != len(x.Nums) || p.Words != len(x.Words) {
		t.Fatalf("%q: pattern %q cannot be parsed, or has other variables", s, x.Text)
	}
	if got := string(p.Append(nil, x.Nums, x.Words)); got != s {
		t.Errorf("%q comes back as %q", s, got)
	}
	for from := 0; from < len(s); from += 3 {
		if literal := s[from:min(len(s), from+7)]; !p.Admits(literal) {
			t.Errorf("pattern of %q says that it lacks %q", s, literal)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("GET /users/42?session=9f86d081884c7d65&x=007")
	f.Add("urn:3f2504e0-4f89-11d3-9a0c-0305e82c3301")
	f.Fuzz(func(t *testing.T, s string) {
		checkSplit(t, s)
		if p, ok := Parse(s); ok { // garbage: anything but a panic
			p.Append(nil, make([]int64, p.Nums), slices.Repeat([]int64{-1}, p.Words))
		}
	})
}

// checkLike splits b like the pattern of a, and compares that with what Split says.
func checkLike(t *testing.T, a, b string) {
	t.Helper()
	for _, long := range []bool{false, true} {
		checkLikeOf(t, a, b, Splitter{Long: long})
	}
}

func checkLikeOf(t *testing.T, a, b string, x Splitter) {
	t.Helper()
	like := Splitter{Long: x.Long}
	if !x.Split(a) {
		return
	}
	p, ok := Parse(string(x.Text))
	if !ok || !p.Regular() {
		return
	}
	if !like.SplitLike(&p, b) {
		return
	}
	if !x.Split(b) || string(x.Text) != p.Text || !slices.Equal(x.Nums, like.Nums) || !slices.Equal(x.Words, like.Words) {
		t.Errorf("%q is split like %q, but has pattern %q, numbers %d, words %d; want %d, %d", b, a, x.Text, x.Nums, x.Words, like.Nums, like.Words)
	}
}

// TestSplitLike says for which texts the quick way is there, and that it is right.
func TestSplitLike(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		like bool
	}{
		{"", "", true},
		{"GET", "GET", true},
		{"GET", "PUT", false},
		{"user_4711", "user_12", true},
		{"user_4711", "user_", false},
		{"user_4711", "user_012", false},
		{"user_4711", "user_12x", false},
		{"user_4711", "user_1234567890123456789", false},
		{"job-007", "job-042", true},
		{"job-007", "job-0042", false},
		{"job-007", "job-42", false},
		{"10.3.0.255", "10.0.0.1", true},
		{"v1a2", "v3a45", true},
		{"9f86d081884c7d659a2feaa0", "0f86d081884c7d659a2feaa1", true},
		{"9f86d081884c7d659a2feaa0", "0f86d081884c7d659a2feaa12", false},
		{"9f86d081884c7d659a2feaa0", "123456789012345678901234", false},
		{"9f86d081", "abcdefab", false},
		{"9f86d081-x", "9f86d082-x", false}, // might be a UUID, so it is split
		{"9f86d081:x", "9f86d082:x", true},
		{"12345678-x", "12345679-x", false},
		{"dead1", "dead2", false}, // hexadecimal with more digits
		{"dead1", "deadbee1", false},
		{"3f2504e0-4f89-11d3-9a0c-0305e82c3301/x", "3f2504e0-4f89-11d3-9a0c-0305e82c3302/x", true},
		{"3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3f2504e0-4f89-11d3-9a0c-0305e82c33022", false},
	} {
		var x, like Splitter
		if !x.Split(tt.a) {
			t.Fatalf("%q is not split", tt.a)
		}
		p, ok := Parse(string(x.Text))
		if got := ok && p.Regular() && like.SplitLike(&p, tt.b); got != tt.like {
			t.Errorf("%q like %q: %v, want %v", tt.b, tt.a, got, tt.like)
		}
		checkLike(t, tt.a, tt.b)
	}
}

func FuzzSplitLike(f *testing.F) {
	f.Add("user_4711", "user_12")
	f.Add("9f86d081884c7d659a2feaa0", "9f86d081884c7d659a2feaa1")
	f.Add("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3f2504e0-4f89-11d3-9a0c-0305e82c3302")
	f.Add("12345678-1", "12345678-2")
	f.Add("1764079651000000000", "9223372036854775808")
	f.Fuzz(func(t *testing.T, a, b string) {
		checkLike(t, a, b)
		checkLike(t, a, a)
		for i := range len(b) { // texts near a
			if i < len(a) {
				checkLike(t, a, a[:i]+b[i:i+1]+a[i+1:])
				checkLike(t, a, a[:i]+b[i:i+1]+a[i:])
			}
		}
	})
}
