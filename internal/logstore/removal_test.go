package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// testFilter reads "app" or "app text": entries of streams with that label value, whose
// line or metadata holds the text.
func testFilter(query string) (EntryFilter, error) {
	app, text, _ := strings.Cut(query, " ")
	m, err := model.NewMatcher(model.MatchRegexp, "app", app)
	f := EntryFilter{Matchers: []*model.Matcher{m}}
	if text != "" {
		f.New = func() func(model.Labels, int64, string, model.Labels) bool {
			return func(_ model.Labels, _ int64, line string, meta model.Labels) bool {
				return strings.Contains(line, text) || strings.Contains(meta.Get("user"), text)
			}
		}
	}
	return f, err
}

// removalTest is a store with a clock, next to a plain list of its entries.
type removalTest struct {
	*opened
	t       *testing.T
	opts    Options
	now     time.Time
	entries []removalEntry
}

type removalEntry struct {
	app, line, user string
	at              int64
}

func newRemovalTest(t *testing.T, lim Limits) *removalTest {
	rt := &removalTest{t: t, now: storetest.Now()}
	lim.RejectOldSamplesMaxAge = -1
	rt.opts = Options{Limits: lim, Now: func() time.Time { return rt.now }, DeleteFilter: testFilter, DeleteCancelPeriod: time.Hour}
	rt.opened = openAt(t, t.TempDir(), rt.opts)
	t.Cleanup(func() { rt.close(t) })
	return rt
}

func (rt *removalTest) put(app string, at int64, line, user string) {
	rt.t.Helper()
	var meta []model.Label
	if user != "" {
		meta = append(meta, model.Label{Name: "user", Value: user})
	}
	put(rt.t, rt, app, at, line, meta...)
	rt.entries = append(rt.entries, removalEntry{app, line, user, at})
}

func (rt *removalTest) delete(query string, r model.TimeRange) string {
	rt.t.Helper()
	d, err := rt.Delete(rt.t.Context(), tenant, store.LogDeletion{Query: query, Range: r})
	if err != nil {
		rt.t.Fatal(err)
	}
	return d.ID
}

// forget takes what query means out of the list.
func (rt *removalTest) forget(query string, r model.TimeRange) {
	f, _ := testFilter(query)
	rt.entries = slices.DeleteFunc(rt.entries, func(e removalEntry) bool {
		if !r.Contains(e.at) || !model.MatchesLabels(appLabels(e.app), f.Matchers) {
			return false
		}
		return f.New == nil || f.New()(appLabels(e.app), 0, e.line, model.Labels{{Name: "user", Value: e.user}})
	})
}

// check compares what queries see with the list.
func (rt *removalTest) check(step string) {
	rt.t.Helper()
	sel := store.LogSelector{Range: always()}
	var want []string
	apps := map[string]bool{}
	for _, e := range rt.entries {
		want = append(want, e.app+": "+e.line)
		apps[e.app] = true
	}
	slices.Sort(want)
	got := lines(rt.t, rt, sel)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		rt.t.Fatalf("%s: (-want +got)\n%s", step, diff)
	}
	n, size := 0, 0
	for rows, err := range rt.Select(rt.t.Context(), tenant, store.LogSelector{Range: always(), NoLine: true, NoMeta: true, Sizes: true}) {
		if err != nil {
			rt.t.Fatal(err)
		}
		if rows.Lines != nil || len(rows.Meta) > 0 {
			rt.t.Fatalf("%s: columns that nobody asked for", step)
		}
		n += len(rows.Times)
		for _, b := range rows.Sizes {
			size += int(b)
		}
	}
	for _, e := range rt.entries {
		size -= len(e.line)
	}
	if size != 0 {
		rt.t.Fatalf("%s: lines have %d bytes more than those of the list", step, size)
	}
	if n != len(want) {
		rt.t.Fatalf("%s: counted %d entries, want %d", step, n, len(want))
	}
	if len(rt.entries) == 0 {
		return
	}
	limited := lines(rt.t, rt, store.LogSelector{Range: always(), Direction: store.Backward, Limit: 1})
	newest := slices.MaxFunc(rt.entries, func(a, b removalEntry) int { return int(a.at - b.at) })
	if len(limited) == 0 || !slices.ContainsFunc(limited, func(l string) bool { return l == newest.app+": "+newest.line }) {
		rt.t.Fatalf("%s: a query with a limit misses the newest entry: %q", step, limited)
	}
}

func (rt *removalTest) reopen() {
	rt.t.Helper()
	rt.close(rt.t)
	rt.opened = openAt(rt.t, rt.dir, rt.opts)
}

// process lets the time for cancelling pass and everything due happen.
func (rt *removalTest) process() {
	rt.t.Helper()
	rt.now = rt.now.Add(2 * time.Hour)
	for range 2 {
		if err := rt.advanceDeletes(rt.t.Context()); err != nil {
			rt.t.Fatal(err)
		}
		if err := rt.mergeAll(rt.t.Context()); err != nil {
			rt.t.Fatal(err)
		}
	}
}

// onDisk reports whether some file below dir holds text, as it is or in a decoded column.
func (rt *removalTest) onDisk(text string) bool {
	rt.t.Helper()
	found := false
	err := filepath.WalkDir(rt.dir+"/logs/data", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, rerr := os.ReadFile(path)
			found = found || strings.Contains(string(data), text)
			return rerr
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		rt.t.Fatal(err)
	}
	v := rt.set.View(tenant, always())
	defer v.Close()
	for _, p := range v.Parts {
		found = found || partHolds(rt, p, text)
	}
	return found
}

// partHolds looks into the index, lines and metadata of p.
func partHolds(rt *removalTest, p *part.Part[*partIndex], text string) bool {
	x := p.Data
	if slices.Contains(x.names, text) {
		return true
	}
	for _, tm := range x.templates.list {
		if strings.Contains(fmt.Sprintf("%q", tm), text) {
			return true
		}
	}
	for st := range x.numStreams() {
		if ls, _ := x.labels(uint32(st)); strings.Contains(ls.String(), text) {
			return true
		}
	}
	for i := range x.blocks {
		b := &fetched{part: p, info: &x.blocks[i]}
		f := rt.newFetcher(func() error { return nil }, &wants{}, nil, nil)
		for row := range b.info.rows {
			line, meta, err := f.content(b, row)
			if err != nil {
				rt.t.Fatal(err)
			}
			if strings.Contains(line, text) || strings.Contains(meta, text) {
				return true
			}
		}
	}
	return false
}

// checkVolume compares the volumes of the index with the list.
func (rt *removalTest) checkVolume(step string) {
	rt.t.Helper()
	type volume struct{ Entries, Bytes int64 }
	want, got := map[string]volume{}, map[string]volume{}
	for _, e := range rt.entries {
		v := want[e.app]
		v.Entries++
		v.Bytes += int64(len(e.line))
		if e.user != "" {
			v.Bytes += int64(len("user") + len(e.user))
		}
		want[e.app] = v
	}
	streams, err := rt.Streams(rt.t.Context(), tenant, store.LogSelector{Range: always()})
	if err != nil {
		rt.t.Fatal(err)
	}
	for _, st := range streams {
		got[st.Labels.Get("app")] = volume{st.Entries, st.Bytes}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.t.Errorf("%s: volumes (-want +got)\n%s", step, diff)
	}
}

// TestVolumeOfDeletedEntries deletes lines from a part of the range, and all lines of a stream
// one by one.
func TestVolumeOfDeletedEntries(t *testing.T) {
	rt := newRemovalTest(t, Limits{})
	base := rt.now.UnixNano() - int64(10*time.Minute)
	for i := range 60 {
		rt.put("a", base+int64(i)*1e9, fmt.Sprintf("line %02d word%d", i, i%3), "")
		rt.put("b", base+int64(i)*1e9, fmt.Sprintf("line %02d word1", i), "")
		if i == 30 {
			if err := rt.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	rt.checkVolume("at first")
	window := model.TimeRange{From: base, To: base + 45e9}
	rt.delete("a word2", window)
	rt.forget("a word2", window)
	rt.checkVolume("some of one stream")
	rt.delete("b word1", always())
	rt.forget("b word1", always())
	rt.checkVolume("all of another")
	if vs, err := rt.LabelValues(t.Context(), tenant, "app", store.LogSelector{Range: always()}); err != nil || !slices.Equal(vs, []string{"a"}) {
		t.Errorf("label values %q, error %v", vs, err)
	}
	inside := store.LogSelector{Range: model.TimeRange{From: base + 12e9, To: base + 18e9}} // 12..17 without 14, 17
	if st, err := rt.Streams(t.Context(), tenant, inside); err != nil || len(st) != 1 || st[0].Entries != 4 {
		t.Errorf("within the window: %+v, %v", st, err)
	}
	rt.process()
	rt.checkVolume("off the disk")
}

func TestDeletedEntries(t *testing.T) {
	rt := newRemovalTest(t, Limits{})
	base := rt.now.UnixNano() - int64(10*time.Minute)
	for i := range 50 {
		at := base + int64(i)*1e9
		rt.put("a", at, fmt.Sprintf("line %d secret%d", i, i%5), "")
		rt.put("b", at, fmt.Sprintf("of user %d", i), fmt.Sprintf("user%d", i%3))
		rt.put("gone", at, fmt.Sprintf("number %d", i), "")
	}
	if err := rt.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := always()
	half := model.TimeRange{From: base, To: base + 25e9}
	secret, gone := rt.delete("a secret3", all), rt.delete("gone", all)
	early := rt.delete("b user1", half)
	rt.forget("a secret3", all)
	rt.forget("gone", all)
	rt.forget("b user1", half)
	rt.check("at once")
	rt.checkVolume("at once")
	if vs, err := rt.LabelValues(t.Context(), tenant, "app", store.LogSelector{Range: all}); err != nil || !slices.Equal(vs, []string{"a", "b"}) {
		t.Errorf("label values %q, error %v", vs, err)
	}
	rt.reopen()
	rt.check("after a restart")
	rt.put("a", base, "late secret3 is deleted as well", "")
	rt.forget("a secret3", all)
	rt.check("late entry")
	rt.checkVolume("late entry")

	if err := rt.CancelDeletion(t.Context(), tenant, early, false); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if i%3 == 1 {
			rt.entries = append(rt.entries, removalEntry{"b", fmt.Sprintf("of user %d", i), "user1", base + int64(i)*1e9})
		}
	}
	rt.check("one canceled")
	rt.checkVolume("one canceled")
	if !rt.onDisk("secret3") || !rt.onDisk("gone") {
		t.Errorf("entries left the disk while the request could be canceled")
	}
	rt.process()
	rt.check("processed")
	if rt.onDisk("secret3") || rt.onDisk("gone") {
		t.Errorf("deleted entries are still on disk")
	}
	for _, d := range rt.Deletions(tenant) {
		if d.Done != 1 || d.Cancelable {
			t.Errorf("request %+v is not over", d)
		}
	}
	if err := rt.CancelDeletion(t.Context(), tenant, secret, false); !errors.Is(err, store.ErrLimit) {
		t.Errorf("cancel of a processed request: %v", err)
	}
	if err := rt.CancelDeletion(t.Context(), tenant, gone, true); err != nil {
		t.Errorf("forced cancel of a processed request: %v", err)
	}
	if err := rt.CancelDeletion(t.Context(), "other", secret, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("cancel by another tenant: %v", err)
	}
	rt.put("a", base, "new secret3", "")
	rt.check("entries that come afterwards stay")
	rt.reopen()
	rt.check("after another restart")
}

// TestDeleteEverything leaves parts without rows.
func TestDeleteEverything(t *testing.T) {
	rt := newRemovalTest(t, Limits{})
	for i := range 10 {
		rt.put("a", rt.now.UnixNano()-int64(i), fmt.Sprint(i), "")
	}
	rt.delete("a", always())
	rt.forget("a", always())
	rt.process()
	rt.check("processed")
	if n := rt.DiskSize(); n != 0 {
		t.Errorf("%d bytes of parts are left", n)
	}
	rt.reopen()
	rt.check("after a restart")
}

// TestDeletedEntriesMayStay checks deletion_mode filter-only: what is deleted is hidden, can
// be taken back at any time, and never leaves the disk.
func TestDeletedEntriesMayStay(t *testing.T) {
	rt := newRemovalTest(t, Limits{KeepDeleted: true})
	put(t, rt.opened, "x", rt.now.UnixNano(), "gone")
	d, err := rt.Delete(t.Context(), tenant, store.LogDeletion{Query: "x", Range: always()})
	if err != nil {
		t.Fatal(err)
	}
	rt.now = rt.now.Add(30 * 24 * time.Hour)
	if err := rt.advanceDeletes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, rt.opened, store.LogSelector{Range: always()}); len(got) != 0 {
		t.Errorf("%q is seen", got)
	}
	if all := rt.Deletions(tenant); len(all) != 1 || !all[0].Cancelable {
		t.Errorf("requests %+v, want one that can be taken back", all)
	}
	if err := rt.CancelDeletion(t.Context(), tenant, d.ID, false); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, rt.opened, store.LogSelector{Range: always()}); len(got) != 1 {
		t.Errorf("%q is seen once the request is taken back", got)
	}
}

func TestDamagedDeletesWarn(t *testing.T) {
	rt := newRemovalTest(t, Limits{})
	rt.put("a", rt.now.UnixNano(), "x", "")
	rt.delete("a", always())
	if err := os.WriteFile(rt.dir+"/logs/"+deletesName, []byte("0\n{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	rt.reopen()
	acct := &store.Account{}
	if got := lines(t, rt, store.LogSelector{Range: always(), Account: acct}); len(got) != 1 || len(acct.Warnings()) != 1 {
		t.Errorf("got %q, warnings %q", got, acct.Warnings())
	}
}

func TestStreamRetention(t *testing.T) {
	day := 24 * time.Hour
	rule := func(app string, priority int, period time.Duration) StreamRetention {
		return StreamRetention{Matchers: []*model.Matcher{model.MustMatcher(model.MatchRegexp, "app", app)}, Priority: priority, Period: period}
	}
	rt := newRemovalTest(t, Limits{Retention: 7 * day, StreamRetention: []StreamRetention{rule("short.*", 1, day), rule("short-but-kept", 2, 30*day), rule("long", 1, 30*day)}})
	for d := range 20 {
		at := rt.now.Add(-time.Duration(d)*day - time.Minute).UnixNano()
		for app, keep := range map[string]int{"short-one": 1, "short-but-kept": 30, "long": 30, "plain": 7} {
			line := fmt.Sprintf("%s day %d", app, d)
			if d < keep {
				rt.put(app, at, line, "")
			} else if err := rt.Append(t.Context(), tenant, &store.LogBatch{Streams: []store.LogStream{{Labels: appLabels(app), Entries: []store.LogEntry{{Time: at, Line: line}}}}}); err == nil {
				t.Errorf("%s is kept for %d days, and an entry of %d days was stored", app, keep, d)
			}
		}
	}
	if err := rt.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	rt.check("stored")
	pass := func(d time.Duration) {
		rt.now = rt.now.Add(d)
		rt.entries = slices.DeleteFunc(rt.entries, func(e removalEntry) bool {
			lim := rt.limits(tenant)
			return e.at < cutoff(rt.now, lim.retention(appLabels(e.app)))
		})
	}
	pass(3 * time.Hour)
	rt.check("three hours later")
	pass(3 * day)
	rt.check("three days later")
	if !rt.onDisk("short-one") {
		t.Errorf("nothing has run yet, and entries left the disk")
	}
	for range 2 {
		if err := rt.mergeAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rt.check("merged")
	if rt.onDisk("short-one") {
		t.Errorf("a stream is on disk past its retention")
	}
	if !rt.onDisk("long day 19") {
		t.Errorf("a stream left the disk before its time")
	}
	if n, err := rt.set.MergeOnce(t.Context()); n != 0 || err != nil {
		t.Errorf("%d more merges, error %v", n, err)
	}
	pass(30 * day)
	rt.check("all gone")
	if err := rt.set.DropExpired(); err != nil {
		t.Fatal(err)
	}
	if rt.DiskSize() != 0 {
		t.Errorf("days that nothing keeps are on disk")
	}
}

// TestRandomRemovals does a long list of random things and compares with the list of
// entries after each.
func TestRandomRemovals(t *testing.T) {
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rt := newRemovalTest(t, Limits{})
		type request struct {
			query string
			r     model.TimeRange
		}
		base := rt.now.UnixNano() - int64(72*time.Hour)
		n := 0
		for step := range 40 {
			what := ""
			switch rnd.IntN(6) {
			case 0, 1:
				what = "put"
				b := &store.LogBatch{}
				for range 1 + rnd.IntN(60) {
					n++
					e := removalEntry{fmt.Sprint("app", rnd.IntN(3)), fmt.Sprintf("line %d word%d", n, rnd.IntN(6)), fmt.Sprint("user", rnd.IntN(3)), base + rnd.Int64N(int64(60*time.Hour))}
					rt.entries = append(rt.entries, e)
					b.Streams = append(b.Streams, store.LogStream{Labels: appLabels(e.app), Entries: []store.LogEntry{{Time: e.at, Line: e.line, Meta: logmeta.New(model.Label{Name: "user", Value: e.user})}}})
				}
				if err := rt.Append(t.Context(), tenant, b); err != nil {
					t.Fatal(err)
				}
			case 2:
				what = "delete"
				from := base + rnd.Int64N(int64(60*time.Hour))
				q := request{query: []string{"app1", "app[12] word3", "app.* user2", "app0 word1"}[rnd.IntN(4)], r: model.TimeRange{From: from, To: from + rnd.Int64N(int64(30*time.Hour))}}
				rt.delete(q.query, q.r)
				rt.forget(q.query, q.r)
				rt.process() // so that later entries are not meant
			case 3:
				what = "flush"
				if err := rt.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			case 4:
				what = "merge"
				if err := rt.mergeAll(t.Context()); err != nil {
					t.Fatal(err)
				}
			case 5:
				what = "reopen"
				rt.reopen()
			}
			rt.check(fmt.Sprintf("seed %d step %d: %s", seed, step, what))
		}
	}
}
