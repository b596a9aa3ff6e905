package logrules

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// naiveMeta is the metadata of an entry without a thought of those before it.
func naiveMeta(r *Rules, streamLevel string, own, shared []model.Label, line string) string {
	var out []model.Label
	for _, l := range append(slices.Clone(own), shared...) {
		if name := new(Builder).lookUp(l.Name); name != "" && l.Value != "" {
			out = append(out, model.Label{Name: name, Value: cleanValue(l.Value)})
		}
	}
	at := func(name string) int {
		return slices.IndexFunc(out, func(l model.Label) bool { return l.Name == name })
	}
	if r == nil || !r.NoLevels {
		if i := at(detectedLevel); i >= 0 {
			out[i].Value = normaliseLevel(out[i].Value)
		} else {
			level := cmp.Or(streamLevel, r.levelOf(out))
			if k := at(severityNumber); level == "" && k >= 0 {
				level = severityLevel(out[k].Value)
			}
			out = append(out, model.Label{Name: detectedLevel, Value: cmp.Or(level, r.Level(line))})
		}
	}
	slices.SortStableFunc(out, func(a, b model.Label) int { return cmp.Compare(a.Name, b.Name) })
	out = slices.CompactFunc(out, func(a, b model.Label) bool { return a.Name == b.Name })
	return model.Labels(out).String()
}

// TestForms gives builders entries of few and of many forms, and compares their metadata
// with what each is for itself.
func TestForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	values := []string{"", "x", "error", "Warn", "17", "bad\xff", "ü", fmt.Sprintf("%0200d", 1)}
	names := []string{"a", "b.c", "b_c", "1x", "__", "level", "detected_level", "severity_number", "severity_text", "z"}
	fields := func(n, most int) []model.Label {
		var out []model.Label
		for range rng.IntN(n) {
			name := names[rng.IntN(len(names))]
			if most > 0 && rng.IntN(4) == 0 {
				name = fmt.Sprint("n", rng.IntN(most))
			}
			out = append(out, model.Label{Name: name, Value: values[rng.IntN(len(values))]})
		}
		return out
	}
	rules := []*Rules{nil, {NoLevels: true}, {Levels: []string{"z", "level"}}}
	var b Builder
	for round := range 300 {
		r := rules[rng.IntN(len(rules))]
		b.Reset(time.Unix(1, 0), r)
		var want []string
		most := []int{0, 3, 1000}[round%3]
		frequent := [][]model.Label{fields(6, most), fields(6, most), fields(6, most)}
		for range 1 + rng.IntN(3) {
			ls := model.Labels{{Name: "app", Value: "x"}}
			if rng.IntN(4) == 0 {
				ls = append(ls, model.Label{Name: "level", Value: "debug"})
			}
			s, err := r.NewStream(ls)
			if err != nil {
				t.Fatal(err)
			}
			b.Stream(s)
			b.Unshare(0)
			shared := fields(4, most)
			for _, l := range shared {
				b.ShareMeta(l.Name, l.Value)
			}
			for range rng.IntN(8) {
				own := frequent[rng.IntN(len(frequent))]
				if rng.IntN(3) == 0 {
					own = fields(6, most)
				}
				for _, l := range own {
					b.Meta(string([]byte(l.Name)), l.Value)
				}
				b.Entry(1, "warn: it")
				want = append(want, naiveMeta(r, s.level, own, shared, "warn: it"))
			}
		}
		if round%10 == 0 {
			b.Meta("left", "over") // of an entry that did not end
		}
		var got []string
		for _, s := range b.Batch().Streams {
			for i := range s.Entries {
				if !s.Entries[i].Meta.Valid() {
					t.Fatalf("metadata %+v is not valid", s.Entries[i].Meta)
				}
				got = append(got, s.Entries[i].Meta.Labels().String())
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: got\n%q, want\n%q", round, got, want)
		}
	}
}
