package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// RunLogs holds a log store to the contract. open returns a new empty store each time.
func RunLogs(t *testing.T, open func(t *testing.T) Subject[LogStore]) {
	cases := []struct {
		name string
		test func(t *testing.T, sub Subject[LogStore])
	}{
		{"empty", testLogsEmpty},
		{"lines", testLines},
		{"duplicates", testLogDuplicates},
		{"half-open range", testLogRange},
		{"directions and limits", testLogLimits},
		{"stream matchers", testLogMatchers},
		{"line filters", testLineFilters},
		{"metadata columns", testLogMeta},
		{"field predicates", testLogFields},
		{"big batches", testLogBig},
		{"writer gives memory back", testLogOwnership},
		{"invalid labels", testLogInvalid},
		{"budget", testLogBudget},
		{"streams", testLogStreams},
		{"tail", testTail},
		{"tenants", testLogTenants},
		{"cancel", testLogCancel},
		{"concurrent", testLogConcurrent},
		{"random", func(t *testing.T, _ Subject[LogStore]) { testLogRandom(t, open) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// nanos is the clock of the suites in the unit of logs and traces.
func nanos() int64 { return Now().UnixNano() }

func logSel(d store.Direction, ms ...*model.Matcher) store.LogSelector {
	return store.LogSelector{Matchers: ms, Range: always(), Direction: d}
}

// logTwin writes to the subject and to the reference alike.
type logTwin struct {
	sub Subject[LogStore]
	ref *Logs
}

func newLogTwin(sub Subject[LogStore]) *logTwin { return &logTwin{sub: sub, ref: NewLogs()} }

func (w *logTwin) append(t *testing.T, tenant model.Tenant, b *store.LogBatch) {
	t.Helper()
	if err := w.ref.Append(t.Context(), tenant, b); err != nil {
		t.Fatalf("the reference refuses: %v", err)
	}
	if err := w.sub.Store.Append(t.Context(), tenant, b); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func (w *logTwin) lines(t *testing.T, ls model.Labels, entries ...store.LogEntry) {
	t.Helper()
	w.append(t, tenant, &store.LogBatch{Streams: []store.LogStream{{Labels: ls, Entries: entries}}})
}

// logRow is one entry of an answer. Columns not asked for are empty.
type logRow struct {
	Time               int64
	Stream, Line, Meta string
}

// readLogs returns the entries of a Select in the order they came, after checking the
// promises about batches.
func readLogs(t *testing.T, s store.LogReader, tenant model.Tenant, sel store.LogSelector) []logRow {
	t.Helper()
	var out []logRow
	var frontier *int64
	before := func(a, b int64) bool { return a < b } // a comes before b
	if sel.Direction == store.Backward {
		before = func(a, b int64) bool { return a > b }
	}
	ids, last := map[uint64]string{}, map[string]int64{}
	for b, err := range s.Select(t.Context(), tenant, sel) {
		if err != nil {
			t.Fatalf("select %v: %v", sel.Matchers, err)
		}
		checkLogShape(t, b, sel)
		stream := b.Stream.String()
		if known, ok := ids[b.StreamID]; ok && known != stream {
			t.Fatalf("stream id %d names %s and %s", b.StreamID, known, stream)
		}
		ids[b.StreamID] = stream
		for i, at := range b.Times {
			if frontier != nil && before(at, *frontier) {
				t.Fatalf("an entry at %d comes after frontier %d", at, *frontier)
			}
			if l, ok := last[stream]; ok && before(at, l) {
				t.Fatalf("stream %s: an entry at %d comes after one at %d", stream, at, l)
			}
			last[stream] = at
			row := logRow{Time: at, Stream: stream}
			if !sel.NoLine {
				row.Line = strings.Clone(b.Lines[i])
			}
			if !sel.NoMeta {
				meta := slices.DeleteFunc(b.Row(i, nil), func(l model.Label) bool {
					return sel.MetaNames != nil && !slices.Contains(sel.MetaNames, l.Name)
				})
				row.Meta = meta.String()
			}
			out = append(out, row)
		}
		f := b.Frontier
		if frontier != nil && before(f, *frontier) {
			t.Fatalf("the frontier goes back from %d to %d", *frontier, f)
		}
		frontier = &f
	}
	if len(ids) > len(last) {
		t.Fatalf("%d stream ids for %d streams", len(ids), len(last))
	}
	return out
}

func checkLogShape(t *testing.T, b *store.LogRows, sel store.LogSelector) {
	t.Helper()
	n := len(b.Times)
	if n < 1 || n > 8192 {
		t.Fatalf("a batch holds %d entries", n)
	}
	if sel.NoLine != (b.Lines == nil) || b.Lines != nil && len(b.Lines) != n {
		t.Fatalf("a batch of %d entries has %d lines; NoLine is %v", n, len(b.Lines), sel.NoLine)
	}
	for i, c := range b.Meta {
		if len(c.Values) != n {
			t.Fatalf("metadata column %q has %d values for %d entries", c.Name, len(c.Values), n)
		}
		if i > 0 && b.Meta[i-1].Name >= c.Name {
			t.Fatalf("metadata column %q after %q", c.Name, b.Meta[i-1].Name)
		}
	}
}

// sortRows brings rows in one order, so that entries of equal time compare.
func sortRows(rows []logRow) []logRow {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, compareRows)
	return rows
}

func compareRows(a, b logRow) int {
	switch {
	case a.Time != b.Time:
		if a.Time < b.Time {
			return -1
		}
		return 1
	case a.Stream != b.Stream:
		return strings.Compare(a.Stream, b.Stream)
	case a.Line != b.Line:
		return strings.Compare(a.Line, b.Line)
	}
	return strings.Compare(a.Meta, b.Meta)
}

// check compares one Select of the subject with the reference. Filters that the subject
// denies are left to the case that tests refusal.
func (w *logTwin) check(t *testing.T, sel store.LogSelector) {
	t.Helper()
	sel = within(w.sub.Store.Caps(), sel)
	full := sel
	full.Limit = 0
	want := sortRows(readLogs(t, w.ref, tenant, full))
	got := sortRows(readLogs(t, w.sub.Store, tenant, sel))
	if sel.Limit == 0 || len(want) <= sel.Limit {
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("select %s (-want +got):\n%s", logSelText(sel), d)
		}
		return
	}
	checkFirst(t, sel, want, got)
}

// checkFirst checks that got, a part of want, holds the first sel.Limit entries of it.
func checkFirst(t *testing.T, sel store.LogSelector, want, got []logRow) {
	t.Helper()
	rest := map[logRow]int{}
	for _, r := range want {
		rest[r]++
	}
	for _, r := range got {
		if rest[r]--; rest[r] < 0 {
			t.Fatalf("select %s yields %+v, which does not belong", logSelText(sel), r)
		}
	}
	if len(got) < sel.Limit {
		t.Fatalf("select %s yields %d entries of %d", logSelText(sel), len(got), len(want))
	}
	first, edge := want[:sel.Limit], want[sel.Limit-1].Time
	if sel.Direction == store.Backward {
		first, edge = want[len(want)-sel.Limit:], want[len(want)-sel.Limit].Time
	}
	for _, r := range first {
		if r.Time != edge && rest[r] > 0 { // entries at the edge are interchangeable
			t.Fatalf("select %s: %+v is missing", logSelText(sel), r)
		}
	}
}

// within drops from sel what caps denies.
func within(caps store.LogCaps, sel store.LogSelector) store.LogSelector {
	sel.Lines = slices.DeleteFunc(slices.Clone(sel.Lines), func(f store.LineFilter) bool {
		return f.Regexp && !caps.LineRegexp || !f.Regexp && !caps.LineFilter
	})
	if !caps.FieldFilter {
		sel.Fields = nil
	}
	return sel
}

func logSelText(sel store.LogSelector) string {
	var fields []string
	for _, f := range sel.Fields {
		fields = append(fields, f.String())
	}
	return fmt.Sprintf("%v lines %+v fields %v in %v direction %d limit %d", sel.Matchers, sel.Lines, fields, sel.Range, sel.Direction, sel.Limit)
}

// checkEverywhere compares in memory, after a flush and after a restart, both ways.
func (w *logTwin) checkEverywhere(t *testing.T, sels ...store.LogSelector) {
	t.Helper()
	if len(sels) == 0 {
		sels = []store.LogSelector{logSel(store.Forward)}
	}
	each := func() {
		for _, sel := range sels {
			for _, sel.Direction = range []store.Direction{store.Forward, store.Backward} {
				w.check(t, sel)
			}
		}
	}
	each()
	settle(t, &w.sub)
	each()
	if w.sub.Reopen != nil {
		reopen(t, &w.sub)
		each()
	}
}

func testLogsEmpty(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	w.checkEverywhere(t)
	w.append(t, tenant, &store.LogBatch{})
	w.lines(t, labels("app", "x"))
	w.checkEverywhere(t)
	sel := logSel(store.Forward)
	sel.Range = model.TimeRange{From: 5, To: 5}
	w.checkEverywhere(t, sel)
	caps := w.sub.Store.Caps()
	for _, c := range []struct {
		able bool
		sel  store.LogSelector
	}{
		{caps.LineFilter, store.LogSelector{Range: always(), Lines: []store.LineFilter{{Patterns: []string{"x"}}}}},
		{caps.LineRegexp, store.LogSelector{Range: always(), Lines: []store.LineFilter{{Regexp: true, Patterns: []string{"x"}}}}},
		{caps.FieldFilter, store.LogSelector{Range: always(), Fields: []store.FieldPredicate{{Matcher: eq("a", "b")}}}},
	} {
		if !c.able {
			wantLastError(t, w.sub.Store.Select(t.Context(), tenant, c.sel), store.ErrUnsupported)
		}
	}
}

func testLines(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	for i, line := range []string{
		"", " ", "plain", "tab\tnewline\nreturn\r", "\x00 zero", "\xff\xfe not utf-8", "ünïcödé ☃", `{"json":true,"n":1.50}`,
		`level=info msg="quoted \"text\"" n=3`, strings.Repeat("long ", 20_000),
	} {
		w.lines(t, labels("app", "x"), store.LogEntry{Time: nanos() - int64(i), Line: line})
	}
	w.checkEverywhere(t)
}

func testLogDuplicates(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	e := store.LogEntry{Time: nanos(), Line: "same", Meta: logmeta.New(labels("k", "v")...)}
	other := []store.LogEntry{
		{Time: nanos(), Line: "same"},                                         // no metadata
		{Time: nanos(), Line: "same", Meta: logmeta.New(labels("k", "w")...)}, // other metadata
		{Time: nanos() + 1, Line: "same", Meta: logmeta.New(labels("k", "v")...)},
		{Time: nanos(), Line: "other", Meta: logmeta.New(labels("k", "v")...)},
	}
	for range 3 {
		w.lines(t, labels("app", "x"), e, e)
		w.lines(t, labels("app", "x"), other...)
		w.lines(t, labels("app", "y"), e) // another stream
		w.append(t, tenant, &store.LogBatch{Streams: []store.LogStream{
			{Labels: labels("app", "x"), Entries: []store.LogEntry{e}}, {Labels: labels("app", "x"), Entries: []store.LogEntry{e}},
		}})
		w.checkEverywhere(t)
	}
}

func testLogRange(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	midnight := nanos() - nanos()%dayNanos
	times := []int64{midnight - 1, midnight, midnight + 1, midnight + 1_000_000}
	for _, at := range times {
		w.lines(t, labels("app", "x"), store.LogEntry{Time: at, Line: "x"})
	}
	var sels []store.LogSelector
	for _, from := range times {
		for _, to := range times {
			sels = append(sels, store.LogSelector{Range: model.TimeRange{From: from, To: to}})
		}
	}
	w.checkEverywhere(t, sels...)
}

func testLogLimits(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	for i := range 200 {
		at := nanos() - int64((i*37)%200/2)*3_000_000_000_000/2 // pairs of equal times, over two days
		w.lines(t, labels("app", fmt.Sprint(i%5)), store.LogEntry{Time: at, Line: fmt.Sprint(i)})
		if i == 100 {
			settle(t, &w.sub)
		}
	}
	var sels []store.LogSelector
	for _, limit := range []int{1, 2, 3, 10, 99, 199, 200, 1000} {
		sel, two := logSel(0), logSel(0, re("app", "[13]"))
		sel.Limit, two.Limit = limit, limit
		sels = append(sels, sel, two)
	}
	w.checkEverywhere(t, sels...)
}

func testLogMatchers(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	for i, ls := range []model.Labels{
		labels("app", "api", "env", "prod"), labels("app", "api"), labels("app", "api-gateway", "env", "dev"), labels("env", "prod"),
	} {
		w.lines(t, ls, store.LogEntry{Time: nanos() + int64(i), Line: "x"})
	}
	var sels []store.LogSelector
	for _, ms := range [][]*model.Matcher{
		nil,
		{eq("app", "api")},
		{eq("app", "")},
		{neq("app", "api")},
		{re("app", "api")},
		{re("app", "api.*")},
		{re("app", "|api")},
		{nre("env", "prod")},
		{nre("env", ".+")},
		{neq("absent", "x")},
		{eq("absent", "x")},
		{eq("app", "api"), neq("env", "prod")},
	} {
		sels = append(sels, store.LogSelector{Matchers: ms, Range: always()})
	}
	w.checkEverywhere(t, sels...)
}

func testLogConcurrent(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				b := &store.LogBatch{Streams: []store.LogStream{{
					Labels:  labels("g", fmt.Sprint(g%2)),
					Entries: []store.LogEntry{{Time: nanos() + int64(i%7), Line: fmt.Sprint(g, i)}},
				}}}
				if err := errors.Join(w.sub.Store.Append(t.Context(), tenant, b), w.ref.Append(t.Context(), tenant, b)); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				for _, err := range w.sub.Store.Select(t.Context(), tenant, logSel(store.Backward)) {
					if err != nil {
						t.Errorf("select: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	w.checkEverywhere(t)
}

func testTail(t *testing.T, sub Subject[LogStore]) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, listens := make(chan string, 1000), make(chan struct{})
	tails := make(chan error, 2)
	stop := errors.New("enough")
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		tails <- sub.Store.Tail(ctx, tenant, []*model.Matcher{eq("app", "x")}, func(b *store.LogBatch, _ int) error {
			if len(b.Streams) == 0 {
				close(listens) // twice would panic
			}
			for _, s := range b.Streams {
				for _, e := range s.Entries {
					seen <- s.Labels.String() + " " + strings.Clone(e.Line)
				}
			}
			return nil
		})
	})
	write := func(tenant model.Tenant, app, line string, at int) {
		t.Helper()
		err := sub.Store.Append(t.Context(), tenant, &store.LogBatch{Streams: []store.LogStream{
			{Labels: labels("app", app), Entries: []store.LogEntry{{Time: nanos() + int64(at), Line: line}}},
		}})
		if err != nil {
			t.Fatalf("append: %v", err)
		}
	}
	select {
	case <-listens:
	case err := <-tails:
		t.Fatalf("tail ended early: %v", err)
	}
	write(tenant, "y", "of another stream", 0)
	write("team-b", "x", "of another tenant", 0)
	write(tenant, "x", "wanted", 0)
	for i, found := 1, false; !found; i++ {
		select {
		case got := <-seen:
			if found = got == `{app="x"} wanted`; !found {
				t.Errorf("tail shows %q", got)
			}
		case <-time.After(time.Second): // it was behind, and dropped the entry
			write(tenant, "x", "wanted", i)
		}
	}
	cancel()
	if err := <-tails; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled tail = %v", err)
	}
	ctx2, cancel2 := context.WithCancel(t.Context())
	defer cancel2()
	wg.Go(func() {
		tails <- sub.Store.Tail(ctx2, tenant, nil, func(*store.LogBatch, int) error { return stop })
	})
	for i := 0; ; i++ {
		write(tenant, "x", "stop", i)
		select {
		case err := <-tails:
			if !errors.Is(err, stop) {
				t.Errorf("tail whose function fails = %v, want its error", err)
			}
			return
		default:
		}
	}
}
