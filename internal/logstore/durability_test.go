package logstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

const tenant model.Tenant = "team-a"

func always() model.TimeRange { return model.TimeRange{From: 0, To: 1 << 62} }

func appLabels(app string) model.Labels { return model.Labels{{Name: "app", Value: app}} }

// put appends one entry to stream {app}.
func put(t testing.TB, s store.LogWriter, app string, at int64, line string, meta ...model.Label) {
	t.Helper()
	err := s.Append(context.Background(), tenant, &store.LogBatch{Streams: []store.LogStream{
		{Labels: appLabels(app), Entries: []store.LogEntry{{Time: at, Line: line, Meta: logmeta.New(meta...)}}},
	}})
	if err != nil {
		t.Fatalf("append: %v", err)
	}
}

// lines returns the lines of a Select, each with its stream, sorted.
func lines(t testing.TB, s store.LogReader, sel store.LogSelector) []string {
	t.Helper()
	var out []string
	for r, err := range s.Select(context.Background(), tenant, sel) {
		if err != nil {
			t.Fatalf("select: %v", err)
		}
		for _, l := range r.Lines {
			out = append(out, r.Stream.Get("app")+": "+l)
		}
	}
	slices.Sort(out)
	return out
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestEveryAcknowledgedEntryOnceAfterACrash copies the files as a crash would leave them,
// at many moments between appends, flushes and merges, and opens the copy.
func TestEveryAcknowledgedEntryOnceAfterACrash(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	var want []string
	for i := range 60 {
		app := fmt.Sprint("app-", i%7)
		line := fmt.Sprint("line ", i)
		put(t, o, app, storetest.Now().UnixNano()-int64(i%11)*int64(time.Hour), line, model.Label{Name: "n", Value: fmt.Sprint(i)})
		want = append(want, app+": "+line)
		switch {
		case i%9 == 8:
			if err := o.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		case i%25 == 24:
			if err := o.mergeAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if i%4 != 0 {
			continue
		}
		crashed := openAt(t, copyDir(t, o.dir), Options{})
		got, exp := lines(t, crashed, store.LogSelector{Range: always()}), slices.Sorted(slices.Values(want))
		if !slices.Equal(got, exp) {
			t.Fatalf("after a crash behind entry %d: got %d entries %q, want %q", i, len(got), got, exp)
		}
		// Life goes on: what the next process writes survives its crash as well.
		put(t, crashed, "app-1", storetest.Now().UnixNano(), "of the second process")
		again := openAt(t, copyDir(t, crashed.dir), Options{})
		if got := lines(t, again, store.LogSelector{Range: always()}); len(got) != len(want)+1 {
			t.Fatalf("after a second crash: %d entries, want %d", len(got), len(want)+1)
		}
		again.close(t)
		crashed.close(t)
	}
}

// TestCrashBetweenPartsAndManifest leaves finished part files that no manifest names.
func TestCrashBetweenPartsAndManifest(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	put(t, o, "x", storetest.Now().UnixNano(), "a line")
	o.cut()
	if _, err := o.writeHead(t.Context(), o.reg.frozen[0]); err != nil {
		t.Fatal(err)
	}
	crashed := openAt(t, copyDir(t, o.dir), Options{})
	defer crashed.close(t)
	if got, want := lines(t, crashed, store.LogSelector{Range: always()}), []string{"x: a line"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDamageIsNeverSilent flips bytes in every kind of file. Opening and reading must not
// panic, every entry that is missing must be warned about, and none may be wrong.
func TestDamageIsNeverSilent(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	var want []string
	for i := range 40 {
		app, line := fmt.Sprint("app-", i%3), fmt.Sprint("line ", i, " trace_id=", strings.Repeat("ab12", 8))
		put(t, o, app, storetest.Now().UnixNano()-int64(i)*int64(time.Minute), line, model.Label{Name: "k", Value: fmt.Sprint("v", i%4)})
		want = append(want, app+": "+line)
		if i == 15 || i == 30 {
			if err := o.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(want)
	clean := copyDir(t, o.dir)
	o.close(t)
	var files []string
	err := filepath.WalkDir(clean, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "LOCK" {
			rel, _ := filepath.Rel(clean, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.ReplaceAll(file, "/", "_"), func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(clean, file))
			if err != nil {
				t.Fatal(err)
			}
			step := max(1, len(data)/24)
			for at := 0; at < len(data); at += step {
				bad := slices.Clone(data)
				bad[at] ^= 0x41
				checkDamaged(t, clean, file, bad, want, fmt.Sprint("byte ", at))
			}
			checkDamaged(t, clean, file, data[:len(data)/2], want, "cut in half")
			checkDamaged(t, clean, file, nil, want, "empty")
		})
	}
}

// checkDamaged opens a copy of dir whose file holds data and reads everything.
func checkDamaged(t *testing.T, dir, file string, data []byte, want []string, what string) {
	t.Helper()
	dir = copyDir(t, dir)
	if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := tryOpen(dir, Options{})
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("%s: open: %v", what, err)
		}
		return // refused, loudly
	}
	defer o.close(t)
	for _, sel := range []store.LogSelector{
		{Range: always()},
		{Range: always(), Direction: store.Backward, Lines: []store.LineFilter{{Patterns: []string{"line"}}}},
	} {
		sel.Account = &store.Account{}
		got := lines(t, o, sel)
		for _, l := range got {
			if _, ok := slices.BinarySearch(want, l); !ok && !strings.HasPrefix(l, ": line") { // of a stream whose labels are lost
				t.Fatalf("%s: read %q, which was never written", what, l)
			}
		}
		tail := strings.Contains(file, "wal") // an unfinished record at the end may have been acknowledged to no one
		if len(got) < len(want) && len(sel.Account.Warnings()) == 0 && !tail {
			t.Fatalf("%s: %d of %d entries without a warning", what, len(got), len(want))
		}
		if len(got) > len(want) {
			t.Fatalf("%s: %d entries, want at most %d", what, len(got), len(want))
		}
	}
	if err := o.mergeAll(t.Context()); err != nil {
		t.Fatalf("%s: merge: %v", what, err)
	}
}

// TestDamagedVariables flips bytes of a part of which a query reads single columns of the
// lines: what it is told is what was written, or it is warned.
func TestDamagedVariables(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	var entries []store.LogEntry
	for i := range 3000 {
		entries = append(entries, store.LogEntry{Time: storetest.Now().UnixNano() + int64(i), Line: fmt.Sprintf("k=%d n=%d", i*7919%30_000, i*104_729%100_000)})
	}
	if err := o.Append(t.Context(), tenant, &store.LogBatch{Streams: []store.LogStream{{Labels: appLabels("x"), Entries: entries}}}); err != nil {
		t.Fatal(err)
	}
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	clean := copyDir(t, o.dir)
	o.close(t)
	sum := func(dir string) (n int, total float64, warned bool) {
		o := openAt(t, dir, Options{})
		defer o.close(t)
		acct := &store.Account{}
		sel := store.LogSelector{
			Range: always(), NoLine: true, NoMeta: true, Account: acct, Parser: numberShapes{},
			Number: &model.FieldNumber{Name: "n", Int: true, Text: func(s string) (float64, bool) {
				v, err := strconv.ParseFloat(s, 64)
				return v, err == nil
			}},
		}
		for r, err := range o.Select(t.Context(), tenant, sel) {
			if err != nil {
				t.Fatal(err)
			}
			n += len(r.Times)
			for _, v := range r.Numbers {
				total += v
			}
		}
		return n, total, len(acct.Warnings()) > 0
	}
	n, total, warned := sum(copyDir(t, clean))
	if n != len(entries) || total == 0 || warned {
		t.Fatalf("%d entries, sum %v, warned %t", n, total, warned)
	}
	files, err := filepath.Glob(filepath.Join(clean, "logs", "data", "*", "*", "*.part"))
	if err != nil || len(files) != 1 {
		t.Fatalf("parts %q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	rel, _ := filepath.Rel(clean, files[0])
	const flips = 100
	found := 0
	for i := range flips {
		bad := slices.Clone(data)
		bad[i*len(data)/flips] ^= 0x41
		dir := copyDir(t, clean)
		if err := os.WriteFile(filepath.Join(dir, rel), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		gotN, got, warned := sum(dir)
		if !warned && (gotN != n || got != total) {
			t.Errorf("byte %d: %d entries and the sum %v without a warning, want %d and %v", i*len(data)/flips, gotN, got, n, total)
		}
		if warned {
			found++
		}
	}
	if found < flips/10 {
		t.Errorf("%d of %d flipped bytes concern the query: the test proves little", found, flips)
	}
}

func TestWALIsReleased(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	put(t, o, "x", storetest.Now().UnixNano(), "a line")
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := o.Covered(), o.log.End(); got != want {
		t.Errorf("covered %d after a flush, want %d", got, want)
	}
	if err := o.flushDue(t.Context()); err != nil {
		t.Errorf("look at an empty head: %v", err)
	}
}

func TestRetentionDropsDays(t *testing.T) {
	now := storetest.Now()
	o := openAt(t, t.TempDir(), Options{Now: func() time.Time { return now }, Limits: Limits{Retention: 48 * time.Hour}})
	defer o.close(t)
	put(t, o, "x", now.UnixNano(), "kept for two days")
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ after, want int }{{1, 1}, {2, 1}, {4, 0}} {
		now = storetest.Now().Add(time.Duration(c.after) * 24 * time.Hour)
		if err := o.set.DropExpired(); err != nil {
			t.Fatal(err)
		}
		if got := len(lines(t, o, store.LogSelector{Range: always()})); got != c.want {
			t.Errorf("after %d days: %d entries, want %d", c.after, got, c.want)
		}
	}
}

// TestSplit splits batches at every size and puts them together again.
func TestSplit(t *testing.T) {
	entry := func(line string) store.LogEntry { return store.LogEntry{Line: line} }
	whole := []group{
		{labels: appLabels("a"), entries: []store.LogEntry{entry("a1"), entry("a2"), entry("a3")}},
		{labels: appLabels("b"), entries: []store.LogEntry{entry("b1")}},
		{labels: appLabels("c"), entries: []store.LogEntry{entry("c1"), entry("c2")}},
	}
	for limit := range 8 * (rowSize + 10) {
		var got []string
		for gs := whole; len(gs) > 0; {
			var first []group
			first, gs = split(gs, limit)
			size := 0
			for _, g := range first {
				if len(g.entries) == 0 {
					t.Fatalf("limit %d: a group without entries", limit)
				}
				for _, e := range g.entries {
					got = append(got, g.labels.Get("app")+e.Line)
					size += rowSize + len(e.Line)
				}
			}
			if size > limit && (len(first) > 1 || len(first[0].entries) > 1) {
				t.Errorf("limit %d: %d bytes", limit, size)
			}
		}
		if want := []string{"aa1", "aa2", "aa3", "bb1", "cc1", "cc2"}; !slices.Equal(got, want) {
			t.Errorf("limit %d: got %q", limit, got)
		}
	}
}

// TestRunFlushes lets Run do its work: it flushes a full head, and what is left at the end.
func TestRunFlushes(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{HeadSize: 1 << 16})
	defer o.close(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	line := strings.Repeat("x", 1000)
	for i := range 1000 { // several times the head, so writers wait for flushes
		put(t, o, "x", storetest.Now().UnixNano()+int64(i), line)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatalf("run: %v", err)
	}
	if got := len(lines(t, o, store.LogSelector{Range: always()})); got != 1000 {
		t.Errorf("%d entries, want 1000", got)
	}
	if got, want := o.Covered(), o.log.End(); got != want {
		t.Errorf("covered %d after Run, want %d", got, want)
	}
}

// TestOverload demands a refusal, not memory, when nothing flushes.
func TestOverload(t *testing.T) {
	o := openAt(t, t.TempDir(), Options{HeadSize: 1 << 12})
	defer o.close(t)
	put(t, o, "x", storetest.Now().UnixNano(), strings.Repeat("x", 1<<14))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := o.Append(ctx, tenant, &store.LogBatch{Streams: []store.LogStream{{Labels: appLabels("x"), Entries: []store.LogEntry{{Time: storetest.Now().UnixNano(), Line: "y"}}}}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append to a full head = %v, want it to wait", err)
	}
}
