package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/store"
)

func testZstd(t testing.TB) *Zstd {
	t.Helper()
	z, err := NewZstd(LevelFast)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestInts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	gen := func(n int, f func(i int) int64) []int64 {
		vs := make([]int64, n)
		for i := range vs {
			vs[i] = f(i)
		}
		return vs
	}
	tests := []struct {
		name string
		vs   []int64
		max  int // bytes
	}{
		{"none", nil, 2},
		{"one", []int64{-5}, 5},
		{"two", []int64{1e12, 1e12 + 15000}, 16},
		{"extremes", []int64{math.MinInt64, math.MaxInt64, 0, -1, 1, math.MaxInt64, math.MinInt64}, 80},
		{"constant", gen(100_000, func(int) int64 { return 42 }), 8},
		{"regular times", gen(8000, func(i int) int64 { return 1_700_000_000_000 + int64(i)*15_000 }), 20},
		{"one gap", gen(8000, func(i int) int64 { return 1_700_000_000_000 + int64(i+i/4000)*15_000 }), 40},
		{"jitter", gen(8192, func(int) int64 { return 0 }), 8},
		{"small range", gen(1280, func(int) int64 { return 1000 + rnd.Int64N(16) }), 1280/2 + 60},
		{"pages", gen(1280, func(int) int64 { return rnd.Int64N(16) * 4096 }), 1280/2 + 60},
		{"negative multiples", gen(1280, func(int) int64 { return -rnd.Int64N(16) * 7000 }), 1280/2 + 60},
		{"random", gen(1000, func(int) int64 { return int64(rnd.Uint64()) }), 8100},
		{"wide", gen(300, func(int) int64 { return int64(rnd.Uint64() >> 4) }), 2400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := AppendInts([]byte("x"), tt.vs)
			if len(b)-1 > tt.max {
				t.Errorf("%d bytes, want at most %d", len(b)-1, tt.max)
			}
			got, rest, err := DecodeInts([]int64{7}, append(b[1:], "rest"...))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, append([]int64{7}, tt.vs...)) || string(rest) != "rest" {
				t.Errorf("values differ, rest %q", rest)
			}
			checkBlocks(t, b[1:], tt.vs)
		})
	}
}

func TestIntsOfEveryWidth(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for width := range 65 {
		for _, n := range []int{1, 2, 3, 127, 128, 129, 300} {
			vs := make([]int64, n)
			for i := range vs {
				vs[i] = int64(rnd.Uint64() & (1<<width - 1))
			}
			got, rest, err := DecodeInts(nil, AppendInts(nil, vs))
			if err != nil || len(rest) > 0 || !slices.Equal(got, vs) {
				t.Fatalf("width %d, %d values: error %v, rest %d, %v != %v", width, n, err, len(rest), got, vs)
			}
			checkBlocks(t, AppendInts(nil, vs), vs)
		}
	}
}

// TestIntsAreSmallest holds the layout that is chosen against all others.
func TestIntsAreSmallest(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		vs := make([]int64, 1+rng.IntN(600))
		step, repeat := 1+rng.Int64N(1000), 1+rng.IntN(40)
		for i := range vs {
			switch {
			case i%repeat != 0:
				vs[i] = vs[i-1]
			case rng.IntN(2) == 0:
				vs[i] = rng.Int64N(step)
			default:
				vs[i] = int64(i) * step
			}
		}
		st := measure(vs)
		best := math.MaxInt
		for order := range min(2, len(vs)) + 1 {
			e := elements{vs, order}
			first := 0
			for _, f := range st.first[:order] {
				first += len(binary.AppendVarint(nil, f))
			}
			best = min(best, first+len(appendRuns(nil, e)), first+len(appendBlocks(nil, e)))
		}
		mode := st.best()
		cost := st.blocks[mode&intOrderMask]
		if mode&intRuns != 0 {
			cost = st.runs[mode&intOrderMask]
		}
		if cost != best {
			t.Errorf("%d values take %d bytes in mode %#x, %d at best", len(vs), cost, mode, best)
		}
	}
}

// checkBlocks reads a column block by block, last one first, if it can be read so.
func checkBlocks(t *testing.T, column []byte, want []int64) {
	t.Helper()
	var b IntBlocks
	ok, rest, err := b.Open(append(column[:len(column):len(column)], "rest"...), len(want))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return
	}
	if string(rest) != "rest" || b.Len() != len(want) {
		t.Fatalf("%d blocks' values, want %d; rest %q", b.Len(), len(want), rest)
	}
	got := make([]int64, len(want))
	for i := (len(want)+IntBlock-1)/IntBlock - 1; i >= 0; i-- {
		b.Block(i, got)
		lo, hi, ok := b.Bounds(i)
		block := want[i*IntBlock : min(len(want), (i+1)*IntBlock)]
		if ok && (slices.Min(block) < lo || slices.Max(block) > hi) {
			t.Errorf("block %d is in %d..%d, want within %d..%d", i, slices.Min(block), slices.Max(block), lo, hi)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if ok, _, err := b.Open(column, len(want)+1); ok || !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("one value more: %v, %v, want ErrCorrupt", ok, err)
	}
}

func sameBits(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

func TestFloats(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	stale := math.Float64frombits(0x7ff0000000000002)
	gen := func(n int, f func(i int) float64) []float64 {
		vs := make([]float64, n)
		for i := range vs {
			vs[i] = f(i)
		}
		return vs
	}
	tests := []struct {
		name string
		vs   []float64
		max  int
	}{
		{"none", nil, 5},
		{"one", []float64{3.25}, 9},
		{"odd ones", []float64{math.NaN(), stale, math.Copysign(0, -1), 0, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}, 80},
		{"all stale", gen(1000, func(int) float64 { return stale }), 40},
		{"counter", gen(8000, func(i int) float64 { return float64(i * 17) }), 30},
		{"percent", gen(1280, func(int) float64 { return float64(rnd.IntN(1000)) / 10 }), 1280*10/8 + 80},
		{"seconds", gen(1280, func(i int) float64 { return float64(i) + float64(rnd.IntN(100))/100 }), 1280 + 100},
		{"gauge with stale markers", gen(1000, func(i int) float64 {
			if i%100 == 0 {
				return stale
			}
			return 5
		}), 120},
		{"random", gen(1000, func(int) float64 { return rnd.Float64() }), 7200},
		{"random bits", gen(1000, func(int) float64 { return math.Float64frombits(rnd.Uint64()) }), 8100},
		{"big", gen(100, func(i int) float64 { return 1e300 + 1e285*float64(i) }), 600},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := AppendFloats([]byte("x"), tt.vs)
			if len(b)-1 > tt.max {
				t.Errorf("%d bytes, want at most %d", len(b)-1, tt.max)
			}
			got, rest, err := DecodeFloats([]float64{7}, append(b[1:], "rest"...))
			if err != nil {
				t.Fatal(err)
			}
			if !sameBits(got, append([]float64{7}, tt.vs...)) || string(rest) != "rest" {
				t.Errorf("values differ, rest %q", rest)
			}
		})
	}
}

func TestStrings(t *testing.T) {
	z := testZstd(t)
	many := func(n int, f func(i int) string) []string {
		vs := make([]string, n)
		for i := range vs {
			vs[i] = f(i)
		}
		return vs
	}
	tests := []struct {
		name string
		vs   []string
		max  int
	}{
		{"none", nil, 6},
		{"empty ones", []string{"", "", ""}, 20},
		{"repeated", many(10_000, func(i int) string { return []string{"GET", "PUT", "POST"}[i/100%3] }), 400},
		{"distinct", many(1000, func(i int) string { return fmt.Sprint("/api/v1/items/", i) }), 6000},
		{"bytes", []string{"\x00\xff", "\xf0", strings.Repeat("a", 1000)}, 80},
	}
	for _, tt := range tests {
		for _, z := range []*Zstd{nil, z} {
			t.Run(fmt.Sprint(tt.name, z != nil), func(t *testing.T) {
				b := AppendStrings([]byte("x"), tt.vs, z)
				if z != nil && len(b)-1 > tt.max {
					t.Errorf("%d bytes, want at most %d", len(b)-1, tt.max)
				}
				b = append(b[1:], "rest"...)
				got, _, rest, err := DecodeStrings([]string{"7"}, nil, b, z)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, append([]string{"7"}, tt.vs...)) || string(rest) != "rest" {
					t.Errorf("values differ, rest %q", rest)
				}
				distinct, codes, rest, err := DecodeDict(nil, b, z)
				if err != nil || string(rest) != "rest" || len(codes) != len(tt.vs) {
					t.Fatalf("dict: error %v, rest %q, %d codes", err, rest, len(codes))
				}
				for i, c := range codes {
					if distinct[c] != tt.vs[i] {
						t.Fatalf("dict value %d is %q", i, distinct[c])
					}
				}
			})
		}
	}
}

func TestZstdBlocks(t *testing.T) {
	z := testZstd(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 2000 {
		src := make([]byte, n)
		for i := range src {
			src[i] = "abcdefgh"[rnd.IntN(1+n%8)]
		}
		b := append(z.Append([]byte("x"), src), "rest"...)
		got, _, rest, err := z.Decode(nil, b[1:])
		if err != nil || string(got) != string(src) || string(rest) != "rest" {
			t.Fatalf("%d bytes: %v, rest %q", n, err, rest)
		}
		if len(b) > n+10 {
			t.Fatalf("%d bytes become %d", n, len(b))
		}
	}
}

func TestBits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		for _, p := range []int{0, 1, 2, 50, 100} {
			vs := make([]bool, n)
			for i := range vs {
				vs[i] = rnd.IntN(100) < p
			}
			got, rest, err := DecodeBits(nil, append(AppendBits(nil, vs), 'r'))
			if err != nil || string(rest) != "r" || !slices.Equal(got, vs) {
				t.Fatalf("%d bits: error %v, rest %q", n, err, rest)
			}
		}
	}
}

// FuzzFloats demands bit-exactness of columns made of the fuzzer's bytes, and of decimal
// ones.
func FuzzFloats(f *testing.F) {
	f.Add([]byte("12345678abcdefgh"), uint8(1))
	f.Add(binary.LittleEndian.AppendUint64(nil, 0x7ff0000000000002), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, exp uint8) {
		var vs []float64
		for len(data) >= 8 {
			u := binary.LittleEndian.Uint64(data)
			vs = append(vs, math.Float64frombits(u), float64(int32(u))/powers[exp%maxExponent], float64(u>>32))
			data = data[8:]
		}
		got, rest, err := DecodeFloats(nil, AppendFloats(nil, vs))
		if err != nil || len(rest) != 0 || !sameBits(got, vs) {
			t.Fatalf("error %v, %d bytes left, got %v, want %v", err, len(rest), got, vs)
		}
		var b []byte
		for _, v := range vs {
			b = AppendFloat(b, v)
		}
		r := NewReader(b)
		for _, v := range vs {
			if got := r.Float(); math.Float64bits(got) != math.Float64bits(v) {
				t.Fatalf("single value: got %v, want %v", got, v)
			}
		}
		if r.Err() != nil || r.Len() != 0 {
			t.Fatalf("single values: error %v, %d bytes left", r.Err(), r.Len())
		}
	})
}

// FuzzInts demands exactness of columns made of the fuzzer's bytes, shaped in the ways
// the layouts are for.
func FuzzInts(f *testing.F) {
	f.Add([]byte("12345678abcdefgh"), int64(1000), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, factor int64, shape uint8) {
		var vs []int64
		last := int64(0)
		for len(data) >= 2 {
			v := int64(int16(binary.LittleEndian.Uint16(data))) * factor
			data = data[2:]
			for range shape%5 + 1 {
				last += v
				switch shape % 3 {
				case 0:
					vs = append(vs, v)
				default:
					vs = append(vs, last)
				}
			}
		}
		got, rest, err := DecodeInts(nil, AppendInts(nil, vs))
		if err != nil || len(rest) != 0 || !slices.Equal(got, vs) {
			t.Fatalf("error %v, %d bytes left, got %v, want %v", err, len(rest), got, vs)
		}
		checkBlocks(t, AppendInts(nil, vs), vs)
		got, rest, err = DecodeInts(nil, appendFew(nil, vs))
		if err != nil || len(rest) != 0 || !slices.Equal(got, vs) {
			t.Fatalf("few: error %v, %d bytes left, got %v, want %v", err, len(rest), got, vs)
		}
	})
}

// FuzzDecode feeds garbage to every decoder: only corrupt-data errors may come out.
func FuzzDecode(f *testing.F) {
	z := testZstd(f)
	f.Add(AppendInts(nil, []int64{1, 2, 3, 1000}))
	f.Add(AppendFloats(nil, []float64{1, 2.5, math.NaN()}))
	f.Add(AppendStrings(nil, []string{"a", "b", "a", "a", strings.Repeat("abc", 100)}, z))
	f.Add(AppendBits(nil, []bool{true, false, true}))
	f.Fuzz(func(t *testing.T, data []byte) {
		vs, _, errInts := DecodeInts(nil, data)
		var blocks IntBlocks
		if ok, _, err := blocks.Open(data, len(vs)); ok {
			if errInts != nil {
				t.Errorf("blocks can be read, the column not: %v", errInts)
			}
			for i := 0; i*IntBlock < len(vs); i++ {
				got := make([]int64, len(vs))
				blocks.Block(i, got)
				if to := min(len(vs), (i+1)*IntBlock); !slices.Equal(got[i*IntBlock:to], vs[i*IntBlock:to]) {
					t.Errorf("block %d: %v, want %v", i, got, vs)
				}
			}
		} else if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error does not wrap ErrCorrupt: %v", err)
		}
		var p Picker
		picked, n, _, errPick := p.Ints(nil, data, []int32{0, 1, 200}[:min(len(vs), 2)])
		if (errPick == nil) != (errInts == nil) || errInts == nil && (n != len(vs) || !slices.Equal(picked, vs[:len(picked)])) {
			t.Errorf("picked %v of %d, error %v; decoded %v, error %v", picked, n, errPick, vs, errInts)
		}
		_, _, errTexts := p.Strings(nil, data, []int32{0, 3}, z)
		_, _, errFloats := DecodeFloats(nil, data)
		_, _, _, errStrings := DecodeStrings(nil, nil, data, z)
		_, _, _, errDict := DecodeDict(nil, data, z)
		_, _, errBits := DecodeBits(nil, data)
		for _, err := range []error{errInts, errPick, errTexts, errFloats, errStrings, errDict, errBits} {
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("error does not wrap ErrCorrupt: %v", err)
			}
		}
	})
}

func BenchmarkInts(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, bc := range []struct {
		name string
		f    func(i int) int64
	}{
		{"times", func(i int) int64 { return int64(i) * 15000 }},
		{"counter", func(i int) int64 { return int64(i)*1000 + rnd.Int64N(100) }},
		{"gauge", func(int) int64 { return rnd.Int64N(1 << 20) }},
	} {
		vs := make([]int64, 4096)
		for i := range vs {
			vs[i] = bc.f(i)
		}
		enc := AppendInts(nil, vs)
		b.Run("encode/"+bc.name, func(b *testing.B) {
			var buf []byte
			for b.Loop() {
				buf = AppendInts(buf[:0], vs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/value")
		})
		b.Run("decode/"+bc.name, func(b *testing.B) {
			var out []int64
			for b.Loop() {
				out, _, _ = DecodeInts(out[:0], enc)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/value")
		})
	}
}

func BenchmarkFloats(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, bc := range []struct {
		name string
		f    func(i int) float64
	}{
		{"counter", func(i int) float64 { return float64(i*1000 + rnd.IntN(100)) }},
		{"cpu", func(i int) float64 { return float64(i*1500+rnd.IntN(100)) / 100 }},
		{"noise", func(int) float64 { return rnd.Float64() }},
	} {
		vs := make([]float64, 4096)
		for i := range vs {
			vs[i] = bc.f(i)
		}
		enc := AppendFloats(nil, vs)
		b.Run("encode/"+bc.name, func(b *testing.B) {
			var buf []byte
			var e FloatEncoder
			for b.Loop() {
				buf = e.Append(buf[:0], vs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/value")
		})
		b.Run("decode/"+bc.name, func(b *testing.B) {
			var out []float64
			var d FloatDecoder
			for b.Loop() {
				out, _, _ = d.Decode(out[:0], enc)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/value")
		})
	}
}

func TestZstdOfEveryShortLength(t *testing.T) {
	z, err := NewZstd(LevelFast)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 600 {
		src := bytes.Repeat([]byte("abcdefg "), n/8+1)[:n]
		b := z.Append(nil, src)
		got, _, rest, err := z.Decode(nil, b)
		if err != nil || !bytes.Equal(got, src) || len(rest) > 0 {
			t.Fatalf("%d bytes: %d, rest %d, %v", n, len(got), len(rest), err)
		}
	}
}
