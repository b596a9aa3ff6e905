package logstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// metaMakes makes values of metadata fields as they occur, with the kind of section that
// 2000 of them take.
func metaMakes(rng *rand.Rand) map[string]struct {
	kind byte
	make func(i int) string
} {
	hex := func() string { return fmt.Sprintf("%016x", rng.Uint64()) }
	traces := make([]string, 500)
	for i := range traces {
		traces[i] = hex() + hex()
	}
	return map[string]struct {
		kind byte
		make func(i int) string
	}{
		"constant":   {metaDict, func(int) string { return "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101" }},
		"few":        {metaDict, func(i int) string { return []string{"GET", "PUT", ""}[i%3] }},
		"workers":    {metaPatternDict, func(int) string { return fmt.Sprint("worker-", rng.IntN(50)) }},
		"traces":     {metaPatternDict, func(int) string { return traces[rng.IntN(len(traces))] }},
		"spans":      {metaPatterns, func(int) string { return hex() }},
		"users":      {metaPatterns, func(int) string { return fmt.Sprint("user_", rng.IntN(50_000)) }},
		"sizes":      {metaPatterns, func(int) string { return fmt.Sprint(rng.IntN(65_536)) }},
		"durations":  {metaPatterns, func(int) string { return fmt.Sprint(float64(rng.IntN(9000)) / 1000) }},
		"times":      {metaPatterns, func(i int) string { return fmt.Sprint(1_764_079_651_000_000_000 + i*1_000_003) }},
		"addresses":  {metaPatterns, func(int) string { return fmt.Sprintf("10.%d.%d.%d", rng.IntN(4), rng.IntN(256), rng.IntN(256)) }},
		"sparse":     {metaPatternDict, func(i int) string { return strings.Repeat(hex(), i%5/3) }},
		"urls":       {metaPatterns, func(i int) string { return []string{"/cart/", "/item/", "/", "/x?id="}[i%4] + fmt.Sprint(i*7) }},
		"long":       {metaPlain, func(i int) string { return fmt.Sprint(strings.Repeat("x", maxPatterned), i) }},
		"no pattern": {metaPlain, func(int) string { return strings.Map(func(r rune) rune { return 'g' + r%16 }, hex()+hex()) }},
		"no text":    {metaPlain, func(i int) string { return fmt.Sprint("\xff", i) }},
	}
}

// fieldColumn returns the encoded metadata column of rows with one field.
func fieldColumn(m *metaBuilder, values []string) []byte {
	metas := make([]logmeta.Meta, len(values))
	for i, v := range values {
		metas[i] = logmeta.New(model.Label{Name: "k", Value: v})
	}
	m.build(metas)
	return m.encode(nil, nil)
}

// TestMetaColumns writes columns of many makes, reads them, and compares predicates on
// them with those on the values, and what the filter says.
func TestMetaColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for name, mk := range metaMakes(rng) {
		t.Run(name, func(t *testing.T) {
			var m metaBuilder
			values := make([]string, 2000)
			for i := range values {
				values[i] = mk.make(i)
			}
			data := fieldColumn(&m, values)
			meta, err := openMeta(data, nil)
			if err == nil {
				err = meta.decodeAll(len(values), nil, &buffer{})
			}
			if err != nil {
				t.Fatal(err)
			}
			c := &meta.cols[0]
			if c.section[0] != mk.kind {
				t.Errorf("section of kind %d, want %d", c.section[0], mk.kind)
			}
			var b filterBuilder
			bf, err := openFilter(b.build(nil, &m), true)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				if got := c.value(i); got != v {
					t.Fatalf("value %d is %q, want %q", i, got, v)
				}
				if v != "" && !bf.field("k", v) {
					t.Fatalf("the filter denies %q", v)
				}
			}
			for _, rows := range [][]int32{{}, {0}, {1999}, {7, 8, 500, 501, 1700}} {
				few, err := openMeta(data, nil)
				if err == nil {
					err = few.cols[0].pick(rows, len(values), nil, &buffer{})
				}
				if err != nil {
					t.Fatal(err)
				}
				for i, row := range rows {
					if got := few.cols[0].dict[i]; got != values[row] {
						t.Errorf("value %d of few is %q, want %q", row, got, values[row])
					}
				}
			}
			sample := values[7]
			for _, matcher := range []*model.Matcher{
				model.MustMatcher(model.MatchEqual, "k", sample),
				model.MustMatcher(model.MatchEqual, "k", sample+"0"),
				model.MustMatcher(model.MatchEqual, "k", ""),
				model.MustMatcher(model.MatchEqual, "k", "\xff"),
				model.MustMatcher(model.MatchNotEqual, "k", sample),
				model.MustMatcher(model.MatchRegexp, "k", ".*7.*"),
			} {
				for _, rows := range []int{len(values), 10} { // fewer than distinct values, too
					keep := mask{b: &fetched{}, keep: slices.Repeat([]bool{true}, rows)}
					again, err := openMeta(data, nil)
					if err == nil {
						err = again.decodeAll(len(values), nil, &buffer{})
					}
					if err != nil {
						t.Fatal(err)
					}
					keep.field(&again.cols[0], &store.FieldPredicate{Matcher: matcher})
					for i, got := range keep.keep {
						if got != matcher.Matches(values[i]) {
							t.Fatalf("%v of %q: %v", matcher, values[i], got)
						}
					}
				}
			}
		})
	}
}

// TestDamagedMeta changes each byte of a column: it is refused, or read as other values,
// without a panic.
func TestDamagedMeta(t *testing.T) {
	for name, mk := range metaMakes(rand.New(rand.NewPCG(5, 6))) {
		var m metaBuilder
		values := make([]string, 50)
		for i := range values {
			values[i] = mk.make(i)
		}
		data := fieldColumn(&m, values)
		for i := range data {
			for _, x := range []byte{0x01, 0x80, 0xff} {
				bad := slices.Clone(data)
				bad[i] ^= x
				meta, err := openMeta(bad, nil)
				if err == nil {
					err = meta.decodeAll(len(values), nil, &buffer{})
				}
				if err != nil {
					if !errors.Is(err, store.ErrCorrupt) {
						t.Errorf("%s, byte %d: error %v, want ErrCorrupt", name, i, err)
					}
					continue
				}
				for k := range values {
					meta.row(k)
				}
			}
		}
	}
}

// TestUnsought writes a field whose column is smaller than its keys: the filter says that
// it has to be looked at.
func TestUnsought(t *testing.T) {
	var m metaBuilder
	values := make([]string, 2000)
	for i := range values {
		values[i] = fmt.Sprint(1_764_079_651_000_000_000 + i*1_000_000)
	}
	fieldColumn(&m, values)
	var b filterBuilder
	data := b.build(nil, &m)
	if len(data) > 100 {
		t.Errorf("filter of %d bytes", len(data))
	}
	bf, err := openFilter(data, true)
	if err != nil || !bf.field("k", values[3]) || !bf.field("k", "1") {
		t.Errorf("the filter denies a value of a field it does not hold, error %v", err)
	}
}

// TestPatternsAreTriedAgain writes blocks of a field whose values change their make: they
// are in patterns again after some blocks of texts.
func TestPatternsAreTriedAgain(t *testing.T) {
	makes := metaMakes(rand.New(rand.NewPCG(5, 6)))
	var m metaBuilder
	var kinds []byte
	for _, name := range append([]string{"users", "no pattern"}, slices.Repeat([]string{"users"}, retrySplit+1)...) {
		values := make([]string, 200)
		for i := range values {
			values[i] = makes[name].make(i)
		}
		meta, err := openMeta(fieldColumn(&m, values), nil)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, meta.cols[0].section[0])
	}
	want := append([]byte{metaPatterns}, make([]byte, retrySplit+1)...)
	if want = append(want, metaPatterns); !slices.Equal(kinds, want) {
		t.Errorf("sections of kinds %d, want %d", kinds, want)
	}
}

// FuzzMeta writes values of a field and reads them again, and asks for each of them.
func FuzzMeta(f *testing.F) {
	f.Add("user_1\x01user_22\x01\x01user_22", uint8(9))
	f.Add("4bf92f3577b34da6a3ce929d0e0e4736\x0110.0.0.1\x010.25\x01-3.5\x01017", uint8(40))
	f.Add("1764079651000000000\x013f2504e0-4f89-11d3-9a0c-0305e82c3301\x01\xff", uint8(200))
	f.Fuzz(func(t *testing.T, texts string, n uint8) {
		values := strings.Split(texts, "\x01")
		for i := 0; len(values) < int(n); i++ { // like these, with other digits
			b := []byte(values[i])
			for k := range b {
				if b[k] >= '0' && b[k] <= '9' {
					b[k] = '0' + (b[k]-'0'+byte(i+k))%10
				}
			}
			values = append(values, string(b))
		}
		var m metaBuilder
		data := fieldColumn(&m, values)
		meta, err := openMeta(data, nil)
		if err == nil {
			err = meta.decodeAll(len(values), nil, &buffer{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(meta.cols) == 0 {
			return // all are empty
		}
		for i, v := range values {
			if got := meta.cols[0].value(i); got != v {
				t.Fatalf("value %d of %q is %q", i, values, got)
			}
		}
		matcher := model.MustMatcher(model.MatchEqual, "k", values[int(n)%len(values)])
		keep := mask{b: &fetched{}, keep: slices.Repeat([]bool{true}, len(values))}
		keep.field(&meta.cols[0], &store.FieldPredicate{Matcher: matcher})
		for i, got := range keep.keep {
			if got != matcher.Matches(values[i]) {
				t.Errorf("%v of %q: %v", matcher, values[i], got)
			}
		}
	})
}
