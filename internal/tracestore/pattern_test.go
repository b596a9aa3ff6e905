package tracestore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// columnGroup returns a group of one span a value of attribute x, "" for none.
func columnGroup(values []string) *group {
	b := newBuilder()
	b.sets[ofSpan].begin()
	for i, v := range values {
		b.span(model.TraceID{1, byte(i >> 12), byte(i >> 4)}, model.SpanID{1, byte(i >> 8), byte(i)}, model.SpanID{})
		for f := range iEvTime {
			b.g.ints[f] = append(b.g.ints[f], int64(i%3))
		}
		b.g.ints[iStart][i], b.g.ints[iEvents][i], b.g.ints[iLinks][i] = int64(i), 0, 0
		for f := range sEvName {
			b.strs[f].add("", nil)
		}
		set := &b.sets[ofSpan]
		set.begin()
		if v != "" {
			c := set.column(0, attrKey{"x", store.ValueString}, nil)
			set.set.cols[c].n++
			set.cols[c].add(v, nil)
		}
		set.end()
	}
	return b.finish()
}

// written returns what opens g again, as it is written to a part.
func written(t *testing.T, g *group) func() *group {
	t.Helper()
	z, err := codec.NewZstd(codec.LevelFast)
	if err != nil {
		t.Fatal(err)
	}
	var blocks [][]byte
	e := encoder{z: z, put: func(b []byte) (part.Ref, error) {
		blocks = append(blocks, slices.Clone(b))
		return part.Ref{Off: uint64(len(blocks)) << 30, Len: uint32(len(b))}, nil
	}}
	header, err := e.group(g)
	if err != nil {
		t.Fatal(err)
	}
	return func() *group {
		g, err := openGroup(header, func(ref part.Ref, _ []byte) ([]byte, error) { return slices.Clone(blocks[ref.Off>>30-1]), nil }, z, &scratch{})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
}

// TestTexts writes columns of strings of many makes, reads them in parts, and compares
// predicates on them with those on the group in memory.
func TestTexts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	hex := func() string { return fmt.Sprintf("%x", rng.Uint64()) }
	makes := map[string]func(i int) string{
		"numbers":   func(int) string { return fmt.Sprint("user_", rng.IntN(50_000)) },
		"padded":    func(int) string { return fmt.Sprintf("job-%05d/%d", rng.IntN(2000), rng.IntN(10)) },
		"addresses": func(int) string { return fmt.Sprintf("10.%d.%d.%d", rng.IntN(4), rng.IntN(256), rng.IntN(256)) },
		"urls": func(i int) string {
			return []string{"/cart/", "/item/", "/", "/health"}[i%4] + strings.Repeat(fmt.Sprint(i*7), i%2) + "?s=" + hex()
		},
		"uuids": func(int) string {
			return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", rng.Uint32(), rng.Uint32()>>16, rng.Uint32()>>16, rng.Uint32()>>16, rng.Uint64()>>16)
		},
		"few":        func(int) string { return fmt.Sprint("worker-", rng.IntN(300)) },
		"some":       func(i int) string { return strings.Repeat(fmt.Sprint("n", i), i%5/4) },
		"no pattern": func(int) string { return strings.Map(func(r rune) rune { return 'g' + r%16 }, hex()) },
		"sequence":   func(i int) string { return fmt.Sprint("id", 100_000+i) },
	}
	for name, f := range makes {
		t.Run(name, func(t *testing.T) {
			values := make([]string, 1000+rng.IntN(1000))
			for i := range values {
				values[i] = f(i)
			}
			g := columnGroup(values)
			open := written(t, g)
			whole := open()
			if err := whole.needAll(); err != nil {
				t.Fatal(err)
			}
			want := g.sets[ofSpan].cols[0]
			patterned := whole.sets[ofSpan].cols[0].text.texts != nil
			if patterned == (name == "no pattern") {
				t.Errorf("in patterns: %v", patterned)
			}
			some := open()
			for range 20 {
				from := rng.IntN(want.n)
				to := min(want.n, from+rng.IntN(200))
				if err := some.needColumnIn(ofSpan, 0, from, to); err != nil {
					t.Fatal(err)
				}
				for i := from; i < to; i++ {
					if got := some.sets[ofSpan].cols[0].strs.at(i); got != want.strs.at(i) || whole.sets[ofSpan].cols[0].strs.at(i) != got {
						t.Fatalf("value %d is %q, want %q", i, got, want.strs.at(i))
					}
				}
			}
			sample := want.strs.at(rng.IntN(want.n))
			checkPredicates(t, g, open, sample)
		})
	}
}

// checkPredicates compares predicates near sample on g with those on a written group.
func checkPredicates(t *testing.T, g *group, open func() *group, sample string) {
	t.Helper()
	half := sample[len(sample)/2:]
	for op, values := range map[store.CompareOp][]string{
		store.OpExists:    {""},
		store.OpEqual:     {sample, half, sample + "0", "user_00001", "\xff", ""},
		store.OpNotEqual:  {sample, ""},
		store.OpLess:      {sample},
		store.OpRegexp:    {".*" + regexp.QuoteMeta(half), ".*1.*", ".*", "nothing.*", ".*s=.*9.*|.*-4000-.*"},
		store.OpNotRegexp: {".*" + regexp.QuoteMeta(half)},
	} {
		for _, v := range values {
			p := store.SpanPredicate{Attrs: []store.Attr{{Scope: store.ScopeSpan, Name: "x"}}, Op: op, Type: store.ValueString, Str: v}
			kind := store.SpanPredicate{Attrs: []store.Attr{{Scope: store.ScopeIntrinsic, Name: store.IntrinsicKind}}, Op: store.OpEqual, Type: store.ValueInt, Int: 1}
			for _, conj := range [][]store.SpanPredicate{{p}, {p, kind}} {
				w, err := compileWhere([][]store.SpanPredicate{conj}, newResources())
				if err != nil {
					t.Fatal(err)
				}
				want, err := w.match(g)
				if err != nil {
					t.Fatal(err)
				}
				got, err := w.match(open())
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%v %q with %d predicates: other spans than in memory, error %v", op, v, len(conj), err)
				}
			}
		}
	}
}

// TestDamagedTexts changes each byte of strings in patterns: they are refused, or read as
// other strings, without a panic.
func TestDamagedTexts(t *testing.T) {
	values := make([]string, 100)
	for i := range values {
		values[i] = fmt.Sprintf("/%d/%08x-0000-4000-8000-%012x", i, i*77, i*99)
	}
	e := encoder{z: nil}
	if !e.texts.gather(values) {
		t.Fatal("not in patterns")
	}
	e.buf = append(e.buf, strsPatterns)
	e.patterns()
	for i := range e.buf {
		for _, x := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(e.buf)
			bad[i] ^= x
			r := &decoder{Reader: codec.NewReader(bad), mem: &scratch{}}
			c, text := r.partialStrs(len(values))
			err := r.Err()
			if err == nil {
				err = text.need(&c, 0, len(values))
			}
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("byte %d: error %v, want ErrCorrupt", i, err)
			}
		}
	}
}

// TestGroupVersion1 reads a group as older programs wrote it, without patterns, and
// refuses one of a later version.
func TestGroupVersion1(t *testing.T) {
	r := newRecorder()
	in := storetest.Spans(newShop(9, storetest.Now()).batch(300))
	var refused store.Refused
	refs := collect(in, Limits{}, storetest.Now(), &refused)
	slices.SortFunc(refs, compareRefs)
	g := buildGroups(refs, in, new(builders))[0]
	header, err := r.e.group(g)
	if err != nil {
		t.Fatal(err)
	}
	open := func(version byte) (*group, error) {
		header[0] = version
		return openGroup(header, func(ref part.Ref, _ []byte) ([]byte, error) {
			return slices.Clone(r.body[ref.Off : ref.Off+uint64(ref.Len)]), nil
		}, nil, &scratch{})
	}
	old, err := open(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.needAll(); err != nil {
		t.Fatal(err)
	}
	old.complete()
	if groupText(t, old) != groupText(t, g) {
		t.Error("a group of version 1 reads as another")
	}
	if _, err := open(groupVersion + 1); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a later version: error %v, want ErrCorrupt", err)
	}
}
