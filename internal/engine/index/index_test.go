package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

func testZstd(t testing.TB) *codec.Zstd {
	t.Helper()
	z, err := codec.NewZstd(codec.LevelFast)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// testSeries returns label sets in random order, some labels missing in some.
func testSeries(n int) []model.Labels {
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	var out []model.Labels
	for len(out) < n {
		m := map[string]string{
			model.MetricName: fmt.Sprintf("metric_%d", rnd.IntN(20)),
			"instance":       fmt.Sprintf("host-%d:9100", rnd.IntN(n/10+1)),
		}
		if rnd.IntN(2) == 0 {
			m["env"] = []string{"prod", "dev", "staging"}[rnd.IntN(3)]
		}
		if rnd.IntN(3) == 0 {
			m["path"] = []string{"/", "/a", "/a/b", "/aé", "a\nb", "A"}[rnd.IntN(6)]
		}
		if rnd.IntN(3) == 0 {
			m["Upper"] = fmt.Sprint(rnd.IntN(3))
		}
		ls := model.LabelsFromMap(m)
		if !seen[ls.String()] {
			seen[ls.String()] = true
			out = append(out, ls)
		}
	}
	return append(out, model.Labels{})
}

func testMatchers() []*model.Matcher {
	var ms []*model.Matcher
	for _, name := range []string{model.MetricName, "instance", "env", "path", "Upper", "absent"} {
		for _, v := range []string{"", "prod", "metric_3", "host-1:9100", "/a", "1", "nothing"} {
			ms = append(ms, model.MustMatcher(model.MatchEqual, name, v), model.MustMatcher(model.MatchNotEqual, name, v))
		}
		for _, re := range []string{
			"", ".*", ".+", "prod|dev", "prod|", "host-1.*", "host-(1|2|33):9100", "metric_[0-4]", "metric_1?", "(?i)PROD",
			"/a.*", "/a.+", "a.b", "(/a)(/b)?", "[^a]+", "^prod$", "x{0}", "h.st-1:9100", "(host-)(.*)", "metric_(1|2).*", "(?i:p)rod", "metric_1(.*)",
		} {
			ms = append(ms, model.MustMatcher(model.MatchRegexp, name, re), model.MustMatcher(model.MatchNotRegexp, name, re))
		}
	}
	return ms
}

// build returns both indexes of series, and series sorted.
func build(t testing.TB, series []model.Labels) (*Mem, *Table, []model.Labels) {
	t.Helper()
	mem := NewMem()
	for i, ls := range series {
		if ref, stored, added := mem.Add(ls); !added || int(ref) != i || !stored.Equal(ls) {
			t.Fatalf("add %v: ref %d, stored %v, added %v", ls, ref, stored, added)
		}
	}
	sorted := slices.Clone(series)
	slices.SortFunc(sorted, model.Labels.Compare)
	z := testZstd(t)
	b := AppendTable(nil, sorted, z)
	table, rest, err := DecodeTable(append(b, 'r'), z)
	if err != nil || string(rest) != "r" {
		t.Fatalf("decode: %v, rest %q", err, rest)
	}
	return mem, table, sorted
}

func TestSelectAgreesWithTryingEverySeries(t *testing.T) {
	mem, table, sorted := build(t, testSeries(1000))
	rnd := rand.New(rand.NewPCG(1, 2))
	all := testMatchers()
	queries := [][]*model.Matcher{nil}
	for _, m := range all {
		queries = append(queries, []*model.Matcher{m})
	}
	for range 3000 {
		queries = append(queries, []*model.Matcher{all[rnd.IntN(len(all))], all[rnd.IntN(len(all))], all[rnd.IntN(len(all))]})
	}
	for _, ms := range queries {
		var want []model.Labels
		for _, ls := range sorted {
			if model.MatchesLabels(ls, ms) {
				want = append(want, ls)
			}
		}
		q := NewQuery(ms)
		if got, want := q.MatchesEmpty(), model.MatchesLabels(nil, ms); got != want {
			t.Errorf("%v: MatchesEmpty %v, want %v", ms, got, want)
		}
		tableRefs, memRefs := table.Select(q), mem.Select(q)
		var fromTable, fromMem []model.Labels
		for _, ref := range tableRefs {
			fromTable = append(fromTable, table.Labels(ref))
		}
		for _, ref := range memRefs {
			fromMem = append(fromMem, mem.Labels(ref))
		}
		if !slices.EqualFunc(fromTable, want, model.Labels.Equal) {
			t.Fatalf("%v: table selects %d series, want %d", ms, len(fromTable), len(want))
		}
		if !slices.EqualFunc(fromMem, want, model.Labels.Equal) {
			t.Fatalf("%v: mem selects %d series, want %d", ms, len(fromMem), len(want))
		}
		checkNames(t, mem, memRefs, table, tableRefs, want)
	}
}

func checkNames(t *testing.T, mem *Mem, memRefs []uint32, table *Table, tableRefs []uint32, series []model.Labels) {
	t.Helper()
	names, values := map[string]struct{}{}, map[string]struct{}{}
	for _, ls := range series {
		for _, l := range ls {
			names[l.Name] = struct{}{}
			if l.Name == "path" {
				values[l.Value] = struct{}{}
			}
		}
	}
	for what, pair := range map[string][2][]string{
		"mem names":    {mem.NamesOf(memRefs), sortedKeys(names)},
		"table names":  {table.NamesOf(tableRefs), sortedKeys(names)},
		"mem values":   {mem.ValuesOf("path", memRefs), sortedKeys(values)},
		"table values": {table.ValuesOf("path", tableRefs), sortedKeys(values)},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Fatalf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
}

func TestWholeNamesAndValues(t *testing.T) {
	mem, table, _ := build(t, testSeries(500))
	if got := mem.Names(); !slices.Equal(got, table.Names()) || !slices.IsSorted(got) || len(got) != 5 {
		t.Errorf("names: %q and %q", got, table.Names())
	}
	for _, n := range append(mem.Names(), "absent") {
		if got := mem.Values(n); !slices.Equal(got, table.Values(n)) || !slices.IsSorted(got) {
			t.Errorf("values of %s: %q and %q", n, got, table.Values(n))
		}
	}
}

func TestFind(t *testing.T) {
	mem, table, sorted := build(t, testSeries(500))
	for i, ls := range sorted {
		if ref, ok := table.Find(ls); !ok || int(ref) != i {
			t.Fatalf("table: find %v = %d, %v, want %d", ls, ref, ok, i)
		}
		if ref, ok := mem.Find(ls); !ok || !mem.Labels(ref).Equal(ls) {
			t.Fatalf("mem: find %v = %d, %v", ls, ref, ok)
		}
		if ref, _, added := mem.Add(ls); added || !mem.Labels(ref).Equal(ls) {
			t.Fatalf("mem: second add of %v is new", ls)
		}
		other := append(slices.Clone(ls), model.Label{Name: "zz", Value: "1"})
		if _, ok := table.Find(other); ok {
			t.Fatalf("table finds %v", other)
		}
		if _, ok := mem.Find(other); ok {
			t.Fatalf("mem finds %v", other)
		}
	}
}

func TestRegexpsAreLookedUp(t *testing.T) {
	f := func(re string, want form, prefix string, set ...string) {
		t.Helper()
		c := compile(model.MustMatcher(model.MatchRegexp, "n", re))
		if c.form != want || c.prefix != prefix || !slices.Equal(c.set, set) {
			t.Errorf("%q: form %d, prefix %q, set %q", re, c.form, c.prefix, c.set)
		}
	}
	f("a|b|c", formSet, "", "a", "b", "c")
	f("foo|far|baz", formSet, "", "baz", "far", "foo")
	f("(a|b)-(c|d)", formSet, "", "a-c", "a-d", "b-c", "b-d")
	f("node_.*", formPrefix, "node_")
	f("(node_.*)", formPrefix, "node_")
	f("node_.+", formRegexp, "node_")
	f(".*", formPrefix, "")
	f(".*x", formRegexp, "")
	f("(?i)a", formRegexp, "")
}

func TestAddWhileAsking(t *testing.T) {
	series := testSeries(3000)
	mem := NewMem()
	q := NewQuery([]*model.Matcher{model.MustMatcher(model.MatchRegexp, "instance", "host-[1-5].*"), model.MustMatcher(model.MatchNotEqual, "env", "dev")})
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, ls := range series {
			mem.Add(ls)
		}
	})
	for range 2 {
		wg.Go(func() {
			for mem.Len() < len(series) {
				var last model.Labels
				for i, ref := range mem.Select(q) {
					ls := mem.Labels(ref)
					if i > 0 && last.Compare(ls) >= 0 {
						t.Errorf("%v before %v", last, ls)
						return
					}
					last = ls
				}
			}
		})
	}
	wg.Wait()
}

func TestCardinality(t *testing.T) {
	mem := NewMem()
	for i := range 5 {
		mem.Add(model.LabelsFromMap(map[string]string{model.MetricName: fmt.Sprint("m", i%2), "i": fmt.Sprint(i)}))
	}
	got := mem.Cardinality(2, func(ref uint32) bool { return ref != 4 })
	want := store.Cardinality{
		Series: 4, LabelPairs: 6,
		ByMetric:     []store.NameCount{{Name: "m0", Count: 2}, {Name: "m1", Count: 2}},
		ByLabel:      []store.NameCount{{Name: "i", Count: 4}, {Name: model.MetricName, Count: 2}},
		ByLabelValue: []store.NameCount{{Name: "__name__=m0", Count: 2}, {Name: "__name__=m1", Count: 2}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEmptyTable(t *testing.T) {
	table, _, err := DecodeTable(AppendTable(nil, nil, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(table.Select(NewQuery(nil))); n != 0 || table.Len() != 0 {
		t.Errorf("%d of %d series selected", n, table.Len())
	}
}

func FuzzDecodeTable(f *testing.F) {
	series := testSeries(20)
	slices.SortFunc(series, model.Labels.Compare)
	f.Add(AppendTable(nil, series, nil))
	f.Add(AppendTable(nil, nil, nil))
	q := NewQuery([]*model.Matcher{model.MustMatcher(model.MatchNotEqual, "env", "dev")})
	f.Fuzz(func(t *testing.T, data []byte) {
		table, _, err := DecodeTable(data, nil)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("error does not wrap ErrCorrupt: %v", err)
			}
			return
		}
		for _, ref := range table.Select(q) {
			table.Labels(ref)
		}
	})
}

// benchSeries is the labels of n series like those of a fleet of node exporters.
func benchSeries(n int) []model.Labels {
	out := make([]model.Labels, n)
	for i := range out {
		out[i] = model.LabelsFromMap(map[string]string{
			model.MetricName: fmt.Sprintf("node_metric_%d_total", i%500),
			"instance":       fmt.Sprintf("host-%d:9100", i/500),
			"job":            "node", "device": fmt.Sprint("eth", i%7), "cluster": strings.Repeat("c", 10),
		})
	}
	return out
}

func BenchmarkMemAdd(b *testing.B) {
	series := benchSeries(100_000)
	for b.Loop() {
		mem := NewMem()
		for _, ls := range series {
			mem.Add(ls)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(series)), "ns/series")
}

func BenchmarkTable(b *testing.B) {
	series := benchSeries(100_000)
	slices.SortFunc(series, model.Labels.Compare)
	z := testZstd(b)
	enc := AppendTable(nil, series, z)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			AppendTable(nil, series, z)
		}
		b.ReportMetric(float64(len(enc))/float64(len(series)), "B/series")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := DecodeTable(enc, z); err != nil {
				b.Fatal(err)
			}
		}
	})
	table, _, err := DecodeTable(enc, z)
	if err != nil {
		b.Fatal(err)
	}
	mem := NewMem()
	for _, ls := range series {
		mem.Add(ls)
	}
	q := NewQuery([]*model.Matcher{
		model.MustMatcher(model.MatchRegexp, model.MetricName, "node_metric_1.*"),
		model.MustMatcher(model.MatchEqual, "device", "eth1"),
	})
	b.Run("select", func(b *testing.B) {
		for b.Loop() {
			table.Select(q)
		}
	})
	b.Run("selectMem", func(b *testing.B) {
		for b.Loop() {
			mem.Select(q)
		}
	})
}
