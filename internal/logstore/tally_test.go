package logstore

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// numberShapes finds in "k=12 n=34" k and n.
type numberShapes struct{}

func (numberShapes) ParseShape(line string, vars []model.LineVar) *model.LineShape {
	if len(vars) != 2 || line[:2] != "k=" {
		return nil
	}
	return &model.LineShape{Fields: []model.ShapeField{{Name: "k", From: vars[0].From, To: vars[0].To}, {Name: "n", From: vars[1].From, To: vars[1].To}}}
}

// tallyCount is what a query counts, by stream, piece, field and metadata.
type tallyCount map[string][3]float64

func (c tallyCount) add(r *store.LogRows, piece int, meta model.Labels, f *model.LineFields, n, sum float64, size int64) {
	key := fmt.Sprint(r.Stream, piece, meta)
	if f != nil {
		key += f.Values[0]
	}
	v := c[key]
	c[key] = [3]float64{v[0] + n, v[1] + sum, v[2] + float64(size)}
}

// TestTallies compares tallies and what rows are left beside them with rows alone, over
// parts that overlap.
func TestTallies(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	rng := rand.New(rand.NewPCG(1, 2))
	base := storetest.Now().UnixNano() - 1e12
	for part := range 4 {
		b := &store.LogBatch{}
		for k := range 3 {
			st := store.LogStream{Labels: appLabels(fmt.Sprint(k))}
			for i := range 500 {
				line := fmt.Sprintf("k=%d n=%d", rng.IntN(5), rng.IntN(1000))
				if i%50 == 3 {
					line = "neither"
				}
				e := store.LogEntry{Time: base + int64(part*(300+100*k)+i)*1e8, Line: line}
				var meta []model.Label
				for _, name := range []string{"level", "code", "id"} {
					if n := rng.IntN(8); n < 3 {
						meta = append(meta, model.Label{Name: name, Value: fmt.Sprint(n)})
					}
				}
				if k == 2 {
					meta = append(meta, model.Label{Name: "id", Value: fmt.Sprint(i)})
				}
				e.Meta = logmeta.New(meta...)
				st.Entries = append(st.Entries, e)
			}
			b.Streams = append(b.Streams, st)
		}
		if err := o.Append(t.Context(), tenant, b); err != nil {
			t.Fatal(err)
		}
		if part < 3 {
			if err := o.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	pieces := func(t int64) (int, int64, bool) {
		n := (t - base) / 7e9
		return int(n), base + (n+1)*7e9 - 1, n != 3
	}
	code, err := model.NewMatcher(model.MatchRegexp, "code", "[12]|")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		parsed bool
		meta   []string
		fields []store.FieldPredicate
		most   int // rows that come one by one
	}{
		{name: "nothing", most: 4000},
		{name: "fields", parsed: true, most: 4000},
		{name: "metadata", meta: []string{"level", "code"}, most: 4000},
		{name: "metadata that passes", meta: []string{"level"}, fields: []store.FieldPredicate{{Matcher: code}}, most: 4000},
		{name: "metadata that is absent", meta: []string{"nothing"}, most: 4000},
		{name: "ids", meta: []string{"id", "level"}, most: 6000},
		{name: "fields and metadata", parsed: true, meta: []string{"level"}, most: 6000},
	} {
		sel := store.LogSelector{Range: model.TimeRange{From: base + 5e9, To: base + 200e9}, NoLine: true, NoMeta: tt.meta == nil, MetaNames: tt.meta, Sizes: true, Fields: tt.fields}
		if tt.parsed {
			sel.Parser = numberShapes{}
			sel.Number = &model.FieldNumber{Name: "n", Int: true, Text: func(string) (float64, bool) { return 0, false }}
		}
		want, all := countAll(t, o.Store, sel, pieces)
		sel.Pieces = pieces
		got, rows := countAll(t, o.Store, sel, pieces)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, d)
		}
		if rows == 0 || rows > tt.most*all/6000 {
			t.Errorf("%s: %d of %d rows come one by one", tt.name, rows, all)
		}
	}
}

// countAll counts what sel selects, and how many rows it yields.
func countAll(t *testing.T, s *Store, sel store.LogSelector, pieces func(int64) (int, int64, bool)) (tallyCount, int) {
	c, rows := tallyCount{}, 0
	for b, err := range s.Select(t.Context(), tenant, sel) {
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range b.Tallies {
			if sel.Number != nil && (a.Min > a.Max || a.Sum < a.Min*float64(a.N) || a.Sum > a.Max*float64(a.N)) {
				t.Errorf("tally %+v", a)
			}
			c.add(b, a.Piece, metaOf(a), a.Fields, float64(a.N), a.Sum, a.Size)
		}
		rows += len(b.Times)
		for i, at := range b.Times {
			piece, _, ok := pieces(at)
			if !ok {
				continue
			}
			f, n := (*model.LineFields)(nil), 0.0
			if b.Found != nil {
				if f = b.Found[i]; f != nil {
					n = b.Numbers[i]
				}
			}
			c.add(b, piece, b.Row(i, nil), f, 1, n, int64(b.Sizes[i]))
		}
	}
	return c, rows
}

func metaOf(a model.LineTally) model.Labels {
	if a.Meta == nil {
		return nil
	}
	return a.Meta.Labels
}
