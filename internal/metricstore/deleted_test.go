package metricstore

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func equal(name, v string) *model.Matcher { return model.MustMatcher(model.MatchEqual, name, v) }

func mustDelete(t *testing.T, e *engine, r model.TimeRange, ms ...*model.Matcher) {
	t.Helper()
	if err := e.Delete(t.Context(), testTenant, [][]*model.Matcher{ms}, r); err != nil {
		t.Fatal(err)
	}
}

// TestDelete deletes at random between writes, flushes, merges and kills, and compares
// with a map.
func TestDelete(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	defer func() { e.close(t) }()
	rnd := rand.New(rand.NewPCG(7, 8))
	want := samples{}
	now := storetest.Now().UnixMilli()
	check := func(when string) {
		t.Helper()
		var acct store.Account
		got := read(t, e, &acct)
		maps.DeleteFunc(want, func(_ string, m map[int64]uint64) bool { return len(m) == 0 })
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s (-want +got):\n%s", when, d)
		}
		if ws := acct.Warnings(); len(ws) > 0 {
			t.Fatalf("%s: %q", when, ws)
		}
	}
	for round := range 60 {
		for range 30 {
			ls, at, v := testLabels(rnd.IntN(12)), now-rnd.Int64N(2*86_400_000), rnd.Float64()
			want.add(ls, at, v)
			writeSample(t, e, ls, at, v)
		}
		if round%3 == 1 {
			i := rnd.IntN(12)
			from := now - rnd.Int64N(2*86_400_000)
			r := model.TimeRange{From: from, To: from + rnd.Int64N(86_400_000)}
			if rnd.IntN(4) == 0 {
				r = wholly()
			}
			mustDelete(t, e, r, equal("i", fmt.Sprint(i)))
			maps.DeleteFunc(want[testLabels(i).String()], func(at int64, _ uint64) bool { return r.Contains(at) })
			check("deleted")
		}
		switch round % 7 {
		case 2:
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 4:
			if err := e.Merge(t.Context()); err != nil {
				t.Fatal(err)
			}
			check("merged")
		case 6: // kill -9
			dir = copyDir(t, dir)
			e.close(t)
			e = openEngine(t, dir, testOptions())
			check("killed")
		}
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.CleanDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("cleaned")
	if n := len(e.deleted.Load().list); n != 0 {
		t.Errorf("%d deletions are kept after cleaning", n)
	}
}

// TestDeleteLeavesNothing demands that a deleted metric is gone from names, label sets,
// exemplars and, after cleaning, from the disk; and that writing it again works.
func TestDeleteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	defer func() { e.close(t) }()
	at := storetest.Now().UnixMilli() - 3_600_000
	secret := model.LabelsFromMap(map[string]string{model.MetricName: "secret", "password": "hunter2-hunter2"})
	b := &store.MetricBatch{Series: []store.SeriesWrite{
		{
			Labels: secret, Samples: []store.Sample{{Time: at, Value: 1}, {Time: at + 1000, Value: 2}},
			Exemplars: []store.Exemplar{{Time: at, Value: 1, Labels: model.LabelsFromMap(map[string]string{"trace_id": "deadbeefdeadbeef"})}},
		},
		{Labels: testLabels(1), Samples: []store.Sample{{Time: at, Value: 1}}},
	}}
	if err := e.Append(t.Context(), testTenant, b); err != nil {
		t.Fatal(err)
	}
	mustDelete(t, e, wholly(), equal(model.MetricName, "secret"))
	all := store.MetricSelector{All: true, Range: wholly()}
	check := func(when string) {
		t.Helper()
		if got := read(t, e, nil); len(got) != 1 {
			t.Errorf("%s: series %v", when, slices.Collect(maps.Keys(got)))
		}
		for _, name := range []string{model.MetricName, "password"} {
			vs, err := e.LabelValues(t.Context(), testTenant, name, all)
			if err != nil || slices.Contains(vs, "secret") || slices.Contains(vs, "hunter2-hunter2") {
				t.Errorf("%s: values of %s: %v, %v", when, name, vs, err)
			}
		}
		ns, err := e.LabelNames(t.Context(), testTenant, all)
		if err != nil || slices.Contains(ns, "password") {
			t.Errorf("%s: names %v, %v", when, ns, err)
		}
		for x, err := range e.Exemplars(t.Context(), testTenant, all) {
			t.Errorf("%s: exemplars of %v, %v", when, x.Labels, err)
		}
		c, err := e.Cardinality(t.Context(), testTenant, 10)
		if err != nil || c.Series != 1 {
			t.Errorf("%s: %d series, %v", when, c.Series, err)
		}
	}
	check("deleted")
	if err := e.CleanDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("cleaned")
	parts, err := filepath.Glob(filepath.Join(e.dir, "data", "*", "*", "*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("parts %v, %v", parts, err)
	}
	if info, err := os.Stat(parts[0]); err != nil || info.Size() > 500 {
		t.Errorf("part of %d bytes, %v", info.Size(), err)
	}
	writeSample(t, e, secret, at+500, 3)
	if got := read(t, e, nil)[secret.String()]; len(got) != 1 || got[at+500] != math.Float64bits(3) {
		t.Errorf("written again: %v", got)
	}
}

// TestDamagedDeletions demands a warning, not a refusal to start.
func TestDamagedDeletions(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir, testOptions())
	writeSample(t, e, testLabels(1), storetest.Now().UnixMilli(), 1)
	mustDelete(t, e, wholly(), equal("i", "1"))
	e.close(t)
	if err := os.WriteFile(filepath.Join(dir, "metrics", deletedName), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, dir, testOptions())
	defer func() { e.close(t) }()
	var acct store.Account
	read(t, e, &acct)
	if len(acct.Warnings()) == 0 {
		t.Error("no warning")
	}
}
